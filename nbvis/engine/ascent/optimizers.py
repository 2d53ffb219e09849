"""Optimizers: how an ascent follows its gradient, by name or as a function makes it."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from ..arguments import near

Optimizer = Callable[..., torch.optim.Optimizer]

NEWEST = 0.1
"""The part of a mean over the newest steps that is of the last one."""
SETTLED = 6
"""Steps after which the last one is half of it: the first ones lead far, and are soon forgotten."""


class Averaged(torch.optim.NAdam):
    """NAdam that remembers where its newest steps have been on average.

    Each step follows what its own random transforms show, and their mean what they have in common.
    """

    def remember(self, values: Tensor) -> None:
        """Takes the values after a step into their mean."""
        memory = self.state[values]
        if "mean" in memory:
            memory["mean"].lerp_(values.detach(), max(NEWEST, SETTLED / (SETTLED + memory["step"].item() - 1)))
        else:
            memory["mean"] = values.detach().clone()


def mean_values(values: Tensor, memory: Mapping[str, Any]) -> Tensor:
    """The mean of the values over the newest steps, if an optimizer remembers it; otherwise the values themselves."""
    return memory.get("mean", values)


OPTIMIZERS: dict[str, Optimizer] = {
    "averaged": Averaged,
    "adam": torch.optim.Adam,
    "nadam": torch.optim.NAdam,
    "adamw": torch.optim.AdamW,
    "sgd": torch.optim.SGD,
}


def made_optimizer(optimizer: str | Optimizer, values: Tensor, lr: float | None, usual: float) -> torch.optim.Optimizer:
    """The optimizer of these values, by its name or as a function makes it.

    Args:
        optimizer: its name or the function.
        values: what it changes.
        lr: its learning rate; None for that which the function has of its own, or else the usual one.
        usual: the usual one.

    Raises:
        TypeError: if it is neither.
        ValueError: if there is none of that name, or its function has no use for the learning rate.
    """
    if isinstance(optimizer, str):
        if optimizer not in OPTIMIZERS:
            raise ValueError(f"no optimizer {optimizer!r}{near(optimizer, list(OPTIMIZERS))}")
        optimizer = OPTIMIZERS[optimizer]
    if not callable(optimizer):
        raise TypeError(f"optimizer is a name or a function ([tensor], lr=…) → optimizer, not {optimizer!r}")
    own, taken = _own_lr(optimizer)
    if lr is not None and not taken:
        raise ValueError(f"the optimizer's function takes no lr, so there is no use for lr={lr:g}: leave it out")
    if lr is None and own:
        return optimizer([values])
    return optimizer([values], lr=usual if lr is None else lr)


def _own_lr(make: Optimizer) -> tuple[bool, bool]:
    """Whether a function chooses a learning rate itself, and whether it takes one."""
    if isinstance(make, type):  # whose default is nobody's choice
        return False, True
    given = inspect.signature(make).parameters
    if "lr" in given:
        return given["lr"].default is not inspect.Parameter.empty, True
    taken = any(each.kind is each.VAR_KEYWORD for each in given.values())
    return not taken, taken
