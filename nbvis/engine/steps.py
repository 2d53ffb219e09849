"""Steps: the record that each update yields, the settings that may change between two, and driving them to the end."""

from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any, Self, TypeVar

import torch
from torch import Tensor

from .arguments import near

Changes = Mapping[str, Any]
_S = TypeVar("_S", bound=Any)
_T = TypeVar("_T", bound="Step")


def _nowhere() -> Any:
    raise TypeError("such a run cannot be gone on with")


@dataclass(frozen=True)
class Step:
    """One update, as a record that stays true when the run has gone on.

    Attributes:
        index: from 0, over the whole run.
        total: number of steps in the whole run, as planned now; None if it has no end.
        notes: sentences that a user should read.
    """

    index: int
    total: int | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class PictureStep(Step):
    """One update of images.

    Attributes:
        score: of each image, (batch,), as the network saw it before the update.
    """

    score: Tensor
    make_image: Callable[[], Tensor] = field(repr=False, compare=False)
    make_place: Callable[[], Any] = field(default=_nowhere, repr=False, compare=False, kw_only=True)

    @cached_property
    def image(self) -> Tensor:
        """The images after the update, (batch, channels, height, width) in [0, 1]; made when first asked for."""
        with torch.no_grad():
            return self.make_image()

    def keep(self) -> Self:
        """The same step with all that it takes to go on from it, as `after`; only while it is the newest of its run.

        Raises:
            TypeError: if it is of a run that cannot be gone on with.
            ValueError: if the run has gone on.
        """
        place = self.make_place()
        return replace(self, make_place=lambda: place)


Steps = Generator[PictureStep, Changes | None, None]


def kept_step(after: PictureStep | None, kind: type[_T]) -> _T | None:
    """The step that a run is to go on from, None for none.

    Args:
        after: the step.
        kind: what the steps of such a run are.

    Raises:
        TypeError: if it is no step of such a run.
    """
    if after is None or isinstance(after, kind):
        return after
    raise TypeError(f"after is a step of such a run, step.keep(), not {type(after).__name__}")


def changed(settings: _S, changes: Changes | None) -> _S:
    """The settings, a frozen dataclass, with some of them replaced.

    Raises:
        ValueError: if one of them is unknown or has an impossible value.
    """
    names = [f.name for f in fields(settings)]
    for name in changes or ():
        if name not in names:
            raise ValueError(f"{name!r} does not change during a run{near(name, names)}")
    return replace(settings, **changes) if changes else settings


def last(steps: Iterable[_T], progress: bool = False) -> _T:
    """Runs to the end and gives the last step.

    Args:
        steps: what `ascend`, `dream` or `invert_dropout` returned.
        progress: whether to show a progress bar, with the score where there is one.

    Raises:
        ValueError: if there is no step at all.

    Example:
        >>> net = nn.Conv2d(1, 2, 3)
        >>> last(ascend(net, channel("", 0), Pixels(torch.rand(1, 1, 8, 8)), steps=4)).index
        3
    """
    from tqdm.auto import tqdm

    step = None
    with tqdm(unit="step", disable=not progress) as bar:
        for step in steps:
            if progress:
                bar.total = step.total
                if isinstance(step, PictureStep):
                    bar.set_postfix(score=f"{step.score.mean().item():.4g}", refresh=False)
            bar.update()
    if step is None:
        raise ValueError("there is no last step: the run had no steps")
    return step
