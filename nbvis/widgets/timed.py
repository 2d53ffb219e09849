"""What a panel shares with others whose runs take a time instead of a number of steps, if that is asked for."""

from typing import Any

from nbvis.engine import DreamStep

from .notes import Note, plain
from .numbers import Number
from .run import RunWidget

FIRST = 30
"""Steps that a run with a time begins with, until it is known how many there is time for."""
LATE = 1.25
"""So many times its time a run may take without a word."""


class TimedWidget(RunWidget):
    """A panel on a run that may be given a time."""

    seconds = Number(
        None, 1, 3600, "Seconds", unit="s", log=True, optional=True,
        help="What a run is to take, in the place of steps: as many are taken as that leaves time for; None for steps.",
    )  # fmt: skip

    @property
    def _seconds(self) -> float | None:
        """The time that a run has; None where steps are counted."""
        return None if self._by_steps() else self.seconds

    def _by_steps(self) -> bool:
        """Whether the run goes by steps, whatever is set."""
        raise NotImplementedError

    def _within_time(self, options: dict[str, Any]) -> dict[str, Any]:
        """The options of a run with its time, and then without steps, which are planned."""
        seconds = self._seconds
        kept = {name: value for name, value in options.items() if seconds is None or name != "steps"}
        return kept | {"seconds": seconds}

    def _current_notes(self) -> list[Note]:
        return [*super()._current_notes(), *plain(*self._late())]

    def _late(self) -> list[str]:
        """That a run took longer than it should have, if it did."""
        session = self._session
        seconds, last = session.options.get("seconds"), session.last
        if seconds is None or last is None or session.state != "finished" or session.elapsed <= LATE * seconds:
            return []
        octaves = last.octaves if isinstance(last, DreamStep) else 1
        each = f"each of {octaves} octaves takes at least two" if octaves > 1 else "at least two are taken"
        return [f"{last.index + 1} steps took {session.elapsed:.2g} s instead of {seconds:g} s: {each}."]
