"""A run that is to take a time instead of a number of steps: how many steps that leaves."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from nbvis.engine import PictureStep

from .progress import place_of

LEAST = 2
"""Steps of an octave, however short the time: the first one of a size is slow, and the second one tells how fast."""
CLOSE = 0.05
"""By so much of what is left, steps may be off without being planned anew: each new plan is a line of the recipe."""
MOST = 100_000
"""Steps of an octave, however long the time."""


class _Mark(NamedTuple):
    octave: int
    index: int
    elapsed: float


class Budget:
    """Plans the steps of an octave, the option `steps`, so that a run takes `options["seconds"]`.

    The first step of each octave is left alone, the second one tells what a step costs there, and one of a later octave
    is taken to cost as many times more as it did in the run before, or as it has pixels. In the last octave that is
    looked at again when half of what was left is done, and so on.
    """

    def __init__(self):
        self._mark: _Mark | None = None
        self._look = 0
        self._costs: dict[int, float] = {}

    def steps(self, step: PictureStep, elapsed: float, options: Mapping[str, Any]) -> int | None:
        """How many steps an octave is to have from now on; None for as many as planned.

        Args:
            step: the newest one.
            elapsed: what the run has taken so far, seconds.
            options: of the run, `seconds` among them; without it, with rounds or without an end there is no plan.
        """
        seconds = options.get("seconds")
        octave, octaves, _, rounds = place_of(step)
        if seconds is None or step.total is None or rounds != 1:
            return None
        planned = options["steps"]
        left = step.total - step.index - 1 - planned * (octaves - octave)
        done, mark = planned - left, self._mark
        if mark is None or mark.octave != octave or not mark.index < step.index:
            self._mark, self._look = _Mark(octave, step.index, elapsed), left
            return LEAST if planned < LEAST else None
        if left > self._look:
            return None
        self._look = left // 2 if octave == octaves else -1
        cost = max((elapsed - mark.elapsed) / (step.index - mark.index), 1e-9)
        later = sum(self._ratio(octaves - octave, octaves - each, options) for each in range(octave + 1, octaves + 1))
        self._costs[octaves - octave] = cost
        here = (seconds - elapsed) / cost
        if octave == octaves:
            more = min(MOST, round(here))
            if abs(more - left) <= CLOSE * left or (more < 1 and not left):
                return None
            found = done + max(1, more)
        else:
            found = min(MOST, max(LEAST, round((here + done) / (1 + later))))
        return None if found == planned else found

    def _ratio(self, here: int, there: int, options: Mapping[str, Any]) -> float:
        """How many times more a step costs in another octave; both counted back from the last one."""
        if here in self._costs and there in self._costs:
            return self._costs[there] / self._costs[here]
        return options["octave_scale"] ** (2 * (here - there))
