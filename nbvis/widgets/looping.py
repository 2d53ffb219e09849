"""What a panel shares with others that can go on dreaming: rounds without an end, each enlarged and turned."""

from collections.abc import Mapping
from typing import Any

import traitlets as t

from nbvis.engine import DreamStep

from .filming import FilmWidget
from .numbers import Number


class LoopWidget(FilmWidget):
    """A panel on a dream that may go on from what it made."""

    endless = t.Bool(False, help="Whether it goes on from what is there, round after round.").tag(sync=True)
    zoom = Number(1, 1, 1.2, "Zoom", unit="×", help="How much the picture is enlarged after each round.")
    turn = Number(0, -10, 10, "Turn", unit="°", help="How far the picture is turned after each round, anticlockwise.")

    def keep_dreaming(self) -> None:
        """Goes on from what is there, also after the end of a dream, until `endless` is off again."""
        self.endless = True
        self._once_seen(self._session.go_on)

    def _loop(self) -> dict[str, Any]:
        """What the run is to know of it, as `keep_dreaming` takes it."""
        return {"rounds": None if self.endless else 1, "zoom": self.zoom, "turn": self.turn}

    def _changed(self, options: Mapping[str, Any], remake: bool) -> None:
        state = self._session.state
        more = options.get("rounds", 1) is None and not self._doing
        if more and (state == "running" or (state == "finished" and self._from_a_view)):
            self._session.go_on(**options)
        else:
            super()._changed(options, remake)

    def _far(self) -> str:
        """How far it is, in words."""
        step = self._session.last
        if step is None:
            return "before the first step"
        place = [f"round {step.round}"] if isinstance(step, DreamStep) and step.rounds != 1 else []
        of = "" if step.total is None else f" of {step.total}"
        return ", ".join([*place, f"step {step.index + 1}{of}"])
