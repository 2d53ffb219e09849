"""What the widgets share that look at one layer, and at one of its channels."""

from typing import Any

import traitlets as t

from .base import Widget


class UnitWidget(Widget):
    """A panel on a `layer` and, unless it is on all of them together, a `channel`, which are traits of it."""

    layer: Any
    _no_channel = ""
    """What None in place of a channel stands for; empty where it cannot be."""

    @property
    def unit(self) -> tuple[str, int | None]:
        """The layer and channel, None where all channels are meant; setting it sets both."""
        return self.layer, getattr(self, "channel", None)

    @unit.setter
    def unit(self, unit: tuple[str, int | None]) -> None:
        with self.hold_trait_notifications():
            self._take_unit(*unit)

    def _take_unit(self, layer: str, channel: int | None) -> None:
        self.layer, self.channel = layer, channel

    @t.validate("channel")
    def _validate_channel(self, proposal: Any) -> int | None:
        return self._possible_channel(proposal["value"])

    def _possible_channel(self, index: int | None) -> int | None:
        return index if index is None else self._subject.channel(self.layer, index, self._no_channel)
