"""How far a run is: its scores, its speed, and what is left of it."""

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from nbvis.engine import DreamStep, PictureStep

CURVE_POINTS = 160
"""A curve is thinned to at most twice this many points before it is sent."""
KEPT = 4096
"""So many steps of a run are remembered; of a longer one every second, then every fourth, and so on."""
MARKS = 40
"""Where there are more than so many places to mark on the curve, none is."""


class Progress:
    """The newest step of a run and the history of its scores.

    Attributes:
        last: the newest step, None before the first.
        history: (index, octave, scores (batch,)) of steps of the run, evenly thinned where they are many, with the
            newest; octaves are counted on from round to round.
        seconds: what a step takes now, 0 before the first.
        elapsed: what the run has taken so far, with all that was painted, seconds.
    """

    def __init__(self):
        self.last: PictureStep | None = None
        self.history: list[tuple[int, int, Tensor]] = []
        self.seconds = self.elapsed = 0.0
        self._every = 1

    def record(self, step: PictureStep, seconds: float, afresh: bool) -> bool:
        """Adds a step, the first of a run if `afresh`; True if it is as large as the one before, so of the same speed.

        Args:
            step: the step.
            seconds: what it took.
            afresh: whether it begins another run.
        """
        octave, octaves, round, _ = place_of(step)
        same = not afresh and self.last is not None and octave == place_of(self.last)[0]
        self.seconds = self.seconds + 0.2 * (seconds - self.seconds) if same else seconds
        if afresh:
            self.history, self._every, self.elapsed = [], 1, 0.0
        if self.history and self.history[-1][0] % self._every:
            self.history.pop()  # it was there as the newest
        self.history.append((step.index, octave + (round - 1) * octaves, step.score))
        if len(self.history) > KEPT:
            self._every *= 2
            self.history = [each for each in self.history if each[0] % self._every == 0 or each[0] == step.index]
        self.last = step
        return same

    def fields(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """What a frame says about it; `left` is in seconds, `rate` in steps per second.

        Without an end, `total`, `rounds` and `left` are None.
        """
        step, curve = self.last, self.curve(lambda scores: scores.mean(1))
        octave, octaves, round, rounds = place_of(step) if step else (0, 0, 0, 1)
        return {
            "step": step.index + 1 if step else 0,
            "total": step.total if step else 0,
            "octave": octave,
            "octaves": octaves,
            "round": round,
            "rounds": rounds,
            "score": curve[-1][1] if curve else None,
            "rate": 1 / self.seconds if self.seconds else None,
            "left": seconds_to_go(step, options, self.seconds) if step else None,
            "curve": curve,
            "octave_starts": self._marks(octaves if round > 1 else 1),
        }

    def _marks(self, octaves: int) -> list[int]:
        """Where on the curve something begins: each so many octaves."""
        begins = [new[0] for old, new in pairwise(self.history) if (old[1] - 1) // octaves != (new[1] - 1) // octaves]
        return begins if len(begins) <= MARKS else []

    def curve(self, reduce: Callable[[Tensor], Tensor]) -> list[list[float]]:
        """[index, value] of the run so far, thinned; `reduce` makes scores (steps, batch) one value a step."""
        kept = self.history[:: -max(1, len(self.history) // CURVE_POINTS)][::-1]
        if not kept:
            return []
        values = reduce(torch.stack([scores for _, _, scores in kept])).tolist()
        return [[index, value] for (index, _, _), value in zip(kept, values, strict=True)]


def place_of(step: PictureStep) -> tuple[int, int, int, int | None]:
    """Which octave a step is of, and of how many, and which round, and of how many."""
    return (step.octave, step.octaves, step.round, step.rounds) if isinstance(step, DreamStep) else (1, 1, 1, 1)


def seconds_to_go(step: PictureStep, options: Mapping[str, Any], seconds: float) -> float | None:
    """Seconds left after a step that took `seconds`, if the time of a step grows with the pixels of its octave.

    None for a run without an end.
    """
    octave, octaves, round, rounds = place_of(step)
    if step.total is None or rounds is None:
        return None
    each = options.get("steps", 0) if octaves * rounds > 1 else 0
    growth = options.get("octave_scale", 1.0) ** 2
    whole = sum(growth ** (n - octave) for n in range(1, octaves + 1))
    later = sum(growth ** (n - octave) for n in range(octave + 1, octaves + 1))
    here = step.total - step.index - 1 - each * (octaves - octave + (rounds - round) * octaves)
    return seconds * (here + each * (later + (rounds - round) * whole))
