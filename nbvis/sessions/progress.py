"""How far a run is: its scores, its speed, and what is left of it."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from nbvis.engine import Step

CURVE_POINTS = 160
"""A curve is thinned to at most twice this many points before it is sent."""


class Progress:
    """The newest step of a run and the history of its scores.

    Attributes:
        last: the newest `Step`, None before the first.
        history: (index, octave, score) of each step of the run.
        seconds: what a step takes now, 0 before the first.
    """

    def __init__(self):
        self.last: Step | None = None
        self.history: list[tuple[int, int, float]] = []
        self.seconds = 0.0

    def record(self, step: Step, seconds: float, afresh: bool) -> bool:
        """Adds a step, the first of a run if `afresh`; True if it is as large as the one before, so of the same speed.

        Args:
            step: the step.
            seconds: what it took.
            afresh: whether it begins another run.
        """
        same = not afresh and self.last is not None and step.octave == self.last.octave
        self.seconds = self.seconds + 0.2 * (seconds - self.seconds) if same else seconds
        self.history = [] if afresh else self.history
        self.history.append((step.index, step.octave, step.score.mean().item()))
        self.last = step
        return same

    def fields(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """What a frame says about it; `left` is in seconds, `rate` in steps per second."""
        step, every = self.last, max(1, len(self.history) // CURVE_POINTS)
        return {
            "step": step.index + 1 if step else 0,
            "total": step.total if step else 0,
            "octave": step.octave if step else 0,
            "octaves": step.octaves if step else 0,
            "score": self.history[-1][2] if self.history else None,
            "rate": 1 / self.seconds if self.seconds else None,
            "left": seconds_to_go(step, options, self.seconds) if step else None,
            "curve": [[index, score] for index, _, score in self.history[::-every][::-1]],
            "octave_starts": [new[0] for old, new in pairwise(self.history) if old[1] != new[1]],
        }


def seconds_to_go(step: Step, options: Mapping[str, Any], seconds: float) -> float:
    """What is left after a step of so many seconds, if a step's time grows with its octave's number of pixels."""
    later = step.octaves - step.octave
    each = options.get("steps", 0) if later else 0
    growth = options.get("octave_scale", 1.0) ** 2
    here = step.total - step.index - 1 - later * each
    return seconds * (here + each * sum(growth**n for n in range(1, later + 1)))
