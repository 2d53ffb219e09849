"""Whether two values of an option are the same."""

from typing import Any

import torch
from torch import Tensor


def same(one: Any, other: Any) -> bool:
    """Whether two values of an option are the same: numbers and pictures by what they are, all else by identity."""
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return one is other or (one.dtype == other.dtype and one.device == other.device and torch.equal(one, other))
    return one is other or (isinstance(one, int | float | str | tuple) and one == other)
