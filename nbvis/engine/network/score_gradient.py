"""The gradient of scores, also through a network in half precision."""

from collections.abc import Sequence

import torch
from torch import Tensor

_FACTORS = (2.0**10, 1.0)
"""What scores are multiplied by before they go back through half precision, whose least number is 6e-8: the mean of a
layer has gradients near that. Where the multiple overflows, the next is taken."""


def gradients(
    scores: Tensor, places: Sequence[Tensor], dtype: torch.dtype, retain_graph: bool = False
) -> list[Tensor | None]:
    """The gradient of the sum of the scores at each place, None where there is no way to it.

    Args:
        scores: (batch,).
        places: leaves of the graph, whose first dimension is of pictures.
        dtype: of the network between them.
        retain_graph: whether to go back again.
    """
    if not scores.requires_grad:
        return [None] * len(places)
    if dtype != torch.float16:
        return list(torch.autograd.grad(scores.sum(), places, allow_unused=True, retain_graph=retain_graph))
    best: list[Tensor | None] = [None] * len(places)
    for factor in _FACTORS:
        found = torch.autograd.grad(scores.sum() * factor, places, allow_unused=True, retain_graph=True)
        divided = [None if each is None else each / factor for each in found]
        best = [_finite(old, new) for old, new in zip(best, divided, strict=True)]
        if all(each is None or bool(torch.isfinite(each).all()) for each in best):
            break
    return best


def _finite(old: Tensor | None, new: Tensor | None) -> Tensor | None:
    """Each row of the old, but of the new where the old is not finite."""
    if old is None or new is None:
        return new
    rows = torch.isfinite(old).flatten(1).all(1).view(-1, *[1] * (old.dim() - 1))
    return torch.where(rows, old, new)
