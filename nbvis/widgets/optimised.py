"""The image that a channel likes best, for its passport: small, and there in a second or two."""

import functools
from contextlib import closing
from typing import NamedTuple

from torch import Tensor

from nbvis.engine import Fourier, Network, Objective, PictureStep, Steps, ascend, channel
from nbvis.sessions import Known, Task, Tell

from .passport import Bearer, tried

STEPS, SIDE = 64, 128
"""Updates of an optimised image and its longer side in pixels: few and small, to be there in a second or two."""


class Dream(NamedTuple):
    """The optimised image of a channel.

    Attributes:
        image: (1, channels, height, width) in [0, 1].
        score: the mean of the channel over all positions, before the last update.
        done: updates so far.
        total: updates in all.
    """

    image: Tensor
    score: float
    done: int
    total: int | None


class Growing:
    """The image that is being optimised, as far as it is: the newest step of one channel."""

    def __init__(self):
        self._now: tuple[Bearer, PictureStep] | None = None

    def put(self, bearer: Bearer, step: PictureStep) -> None:
        """Has it be this one."""
        self._now = bearer, step

    def get(self, bearer: Bearer) -> Dream | None:
        """The image of a channel, if it is being made."""
        now = self._now
        return dreamt(now[1]) if now and now[0] == bearer else None


def dream_task(bearer: Bearer, network: Network, shape: tuple[int, ...], growing: Growing) -> Task:
    """The image that a channel likes best; `shape` is that of a picture that the network takes."""
    run = functools.partial(_dream, bearer, network, shape, growing)
    return Task(bearer.key("dream"), f"Optimised image of {bearer.name}", run)


def _dream(
    bearer: Bearer, network: Network, shape: tuple[int, ...], growing: Growing, tell: Tell, known: Known
) -> Dream:
    objective, step = channel(bearer.layer, bearer.channel), None
    with closing(tried(lambda: dream_steps(network, objective, shape))) as steps:
        while (following := tried(lambda: next(steps, None))) is not None:
            step = following
            growing.put(bearer, step)
            tell(step.index + 1, step.total)
    assert step is not None
    return dreamt(step)


def dream_steps(network: Network, objective: Objective, shape: tuple[int, ...]) -> Steps:
    """The run of an optimised image: at `SIDE` pixels, or where the network does not take that, as large as `shape`."""
    small, *large = dream_sizes(network, shape)
    try:
        return ascend(network, objective, Fourier(*small, channels=shape[1]), steps=STEPS)
    except RuntimeError:
        if not large:
            raise
    return ascend(network, objective, Fourier(*large[0], channels=shape[1]), steps=STEPS)


def dream_source(bearer: Bearer, dream: Dream) -> str:
    """Source that makes an optimised image from `network`."""
    _, channels, height, width = dream.image.shape
    start = f"Fourier({height}, {width}, channels={channels})"
    return f"last(ascend(network, channel({bearer.layer!r}, {bearer.channel}), {start}, steps={STEPS})).image"


def dream_sizes(network: Network, shape: tuple[int, ...]) -> list[tuple[int, int]]:
    """(height, width) in the order in which they are tried; the last is that of a picture that the network takes."""
    height, width = shape[2:] if network.pair else network.input_size or shape[2:]
    part, each = min(1.0, SIDE / max(height, width)), 2 if network.pair else 1  # a pair has an even width
    small = max(1, round(part * height)), each * max(1, round(part * width / each))
    return list(dict.fromkeys([small, (shape[2], shape[3])]))


def dreamt(step: PictureStep) -> Dream:
    """What a step gives."""
    image = step.image.detach().float().cpu()
    return Dream(image, step.score[0].item(), step.index + 1, step.total)
