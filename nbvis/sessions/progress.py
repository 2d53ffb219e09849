"""How far a run is: its scores, its speed, and what is left of it."""

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from nbvis.engine import DreamStep, PictureStep

CURVE_POINTS = 160
"""A curve is thinned to at most twice this many points before it is sent."""


class Progress:
    """The newest step of a run and the history of its scores.

    Attributes:
        last: the newest step, None before the first.
        history: (index, octave, scores (batch,)) of each step of the run.
        seconds: what a step takes now, 0 before the first.
    """

    def __init__(self):
        self.last: PictureStep | None = None
        self.history: list[tuple[int, int, Tensor]] = []
        self.seconds = 0.0

    def record(self, step: PictureStep, seconds: float, afresh: bool) -> bool:
        """Adds a step, the first of a run if `afresh`; True if it is as large as the one before, so of the same speed.

        Args:
            step: the step.
            seconds: what it took.
            afresh: whether it begins another run.
        """
        octave, _ = _octave(step)
        same = not afresh and self.last is not None and octave == _octave(self.last)[0]
        self.seconds = self.seconds + 0.2 * (seconds - self.seconds) if same else seconds
        self.history = [] if afresh else self.history
        self.history.append((step.index, octave, step.score))
        self.last = step
        return same

    def fields(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """What a frame says about it; `left` is in seconds, `rate` in steps per second."""
        step, curve = self.last, self.curve(lambda scores: scores.mean(1))
        octave, octaves = _octave(step) if step else (0, 0)
        return {
            "step": step.index + 1 if step else 0,
            "total": step.total if step else 0,
            "octave": octave,
            "octaves": octaves,
            "score": curve[-1][1] if curve else None,
            "rate": 1 / self.seconds if self.seconds else None,
            "left": seconds_to_go(step, options, self.seconds) if step else None,
            "curve": curve,
            "octave_starts": [new[0] for old, new in pairwise(self.history) if old[1] != new[1]],
        }

    def curve(self, reduce: Callable[[Tensor], Tensor]) -> list[list[float]]:
        """[index, value] of the run so far, thinned; `reduce` makes scores (steps, batch) one value a step."""
        kept = self.history[:: -max(1, len(self.history) // CURVE_POINTS)][::-1]
        if not kept:
            return []
        values = reduce(torch.stack([scores for _, _, scores in kept])).tolist()
        return [[index, value] for (index, _, _), value in zip(kept, values, strict=True)]


def _octave(step: PictureStep) -> tuple[int, int]:
    """Which octave a step is of, and of how many."""
    return (step.octave, step.octaves) if isinstance(step, DreamStep) else (1, 1)


def seconds_to_go(step: PictureStep, options: Mapping[str, Any], seconds: float) -> float:
    """What is left after a step of so many seconds, if a step's time grows with its octave's number of pixels."""
    octave, octaves = _octave(step)
    later = octaves - octave
    each = options.get("steps", 0) if later else 0
    growth = options.get("octave_scale", 1.0) ** 2
    here = step.total - step.index - 1 - later * each
    return seconds * (here + each * sum(growth**n for n in range(1, later + 1)))
