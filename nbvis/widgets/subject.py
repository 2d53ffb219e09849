"""What a widget looks at: a network and a picture, with what looks at the two find."""

from collections.abc import Hashable
from typing import Any

from torch import Tensor

from nbvis.engine import Network, check_objective, fingerprint, layers, values_of
from nbvis.sessions import shown_as

from .given import Given
from .notes import Note, plain
from .numbers import InvalidValueError, one_of
from .rows import layer_rows, possible_layer


class Subject:
    """A network and a picture.

    Args:
        network: the network.
        given: the picture; None where there is none.
        image: what the network is shown, (batch, channels, height, width); None for the picture.
        number: of the picture.

    Attributes:
        looked: whether the network has been shown it; what follows is empty before.
        layers: the layers with channels, {name, kind, shape: (channels, …)}.
    """

    def __init__(self, network: Network, given: Given | None = None, image: Tensor | None = None, number: int = 0):
        self.network, self.given, self.number = network, given, number
        shown = given.image if given else image
        assert shown is not None
        self.image, self.looked = shown, False
        self.layers: list[dict[str, Any]] = []

    def look(self, *wanted: Any) -> None:
        """Shows the network the picture.

        Args:
            wanted: objectives that have to fit the two.

        Raises:
            ValueError: if one does not.
            RuntimeError: if the network does not run on the picture; its own error is attached.
        """
        self._find(*wanted)
        self.looked = True

    def _find(self, *wanted: Any) -> None:
        self.layers = layer_rows(layers(self.network, self.image))
        for objective in wanted:
            check_objective(self.network, objective, self.image)

    def layer(self, name: str) -> str:
        """The name, if a layer is called so, or before the look if one may be.

        Raises:
            InvalidValueError: if none is; the message names near ones.
        """
        if not self.looked:
            return possible_layer(name, self.network.module)
        return one_of("layer", name, [row["name"] for row in self.layers])

    def channels(self, layer: str) -> int | None:
        """How many channels a layer has, 0 if there is no such layer; None before the look."""
        return self.row(layer).get("shape", [0])[0] if self.looked else None

    def channel(self, layer: str, index: int, instead: str = "") -> int:
        """The index, if a layer has such a channel, or before the look if one may have it.

        Args:
            layer: its name.
            index: of the channel.
            instead: what None in its place would stand for; empty where that cannot be.

        Raises:
            InvalidValueError: if it has not; the message says which it has.
        """
        count = self.channels(layer)
        if index >= 0 and (count is None or index < count):
            return index
        what = f"layer {layer!r} has {count}, 0 to {count - 1}" if count else "pick a layer first"
        what = "they are counted from 0" if count is None else what
        raise InvalidValueError(f"no channel {index}: {what}" + (f", or None for {instead}" if instead else ""))

    def row(self, layer: str) -> dict[str, Any]:
        """What is known of a layer; empty before the look, and where there is no such layer."""
        return next((row for row in self.layers if row["name"] == layer), {})

    @property
    def name(self) -> str:
        """The network, and the picture's size."""
        return f"{self.network.name} · {self.size[0]} × {self.size[1]}"

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the picture, pixels."""
        return self.image.shape[2], self.image.shape[3]

    @property
    def original(self) -> Tensor | None:
        """The picture as it was given, (1, channels, height, width); None where there is none."""
        return self.given.original if self.given else None

    @property
    def longest(self) -> int | None:
        """Longer side in pixels at which the picture is worked on; None for all of it."""
        return self.given.longest if self.given else None

    def sizes(self) -> list[dict[str, Any]]:
        """The sizes at which the picture can be worked on; see `Given.sizes`."""
        return self.given.sizes() if self.given else []

    def notes(self) -> list[Note]:
        """On how the picture was read, the size at which it is worked on, and channels that cannot be shown."""
        given = [self.given.said, self.given.note] if self.given else []
        return plain(*given, shown_as(self.image.shape[1]))


class DatedSubject(Subject):
    """A subject that knows the state in which the network was asked, so that an answer is one about that state.

    Attributes:
        about: other values for other weights and another picture, as they were when the network was last asked.
    """

    def __init__(self, network: Network, given: Given | None = None, image: Tensor | None = None, number: int = 0):
        super().__init__(network, given, image, number)
        self._content = b""
        self.about = self._now()

    def look(self, *wanted: Any) -> None:
        """Shows the network the picture; see `Subject`."""
        self.renew()
        super().look(*wanted)
        self.about = self._now()

    def renew(self) -> None:
        """Takes the weights as they are now for what is asked from now on."""
        self._content = values_of(self.network.module.modules())
        self.about = self._now()

    @property
    def changed(self) -> bool:
        """Whether the network has changed since it was last asked, as far as that shows without a pass."""
        return self._now() != self.about

    def is_still(self, about: Hashable) -> bool:
        """Whether the network is in the state that `about` stands for, down to the last weight."""
        return about == self.about == self._now() and values_of(self.network.module.modules()) == self._content

    def _now(self) -> tuple[Hashable, ...]:
        state = hash((fingerprint(self.network.module), self._content)), id(self.network.preprocess)
        return state, self.number
