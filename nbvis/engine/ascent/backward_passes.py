"""The backward passes that objectives with masks need, as few as will do, and the scores that each goes back from."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ..network.layout import Activations
from ..network.score_gradient import gradients
from .objective import Objective, Term
from .reference import Beside

Passes = Sequence[tuple[Tensor | None, list[Objective | None]]]
"""For each pass a mask, (rows, 1, height, width) or None, and the part of the objectives that goes back in it."""


def backward_passes(
    objectives: Sequence[Objective], size: Sequence[int], device: torch.device, dtype: torch.dtype
) -> Passes:
    """The objectives' terms in groups that share one backward pass, with one part for each row.

    Terms with the same mask need one pass; a row with fewer masks than another sits the last ones out.
    """
    rows = []
    for one in objectives:
        groups: dict[int, list[Term]] = {}
        # A constant has no gradient to confine; without its company it would count as reaching the whole picture.
        company = next(term.mask for term in one.terms if not term.constant)
        for term in one.terms:
            groups.setdefault(id(company if term.constant else term.mask), []).append(term)
        rows.append(list(groups.values()))
    passes = []
    for k in range(max(len(groups) for groups in rows)):
        parts = [Objective(tuple(groups[k])) if k < len(groups) else None for groups in rows]
        masks = [torch.zeros(*size) if part is None else _mask(part, size) for part in parts]
        mask = torch.stack([each.to(device, dtype) for each in masks])[:, None]
        passes.append((None if mask.eq(1).all() else mask, parts))
    return passes


def there_and_back(
    passes: Passes,
    rows: Sequence[int],
    images: Tensor,
    activations: Activations,
    beside: Sequence[Beside],
    dtype: torch.dtype,
) -> tuple[Tensor, list[Tensor]]:
    """The scores of some images, (batch,), and their gradient there in each pass.

    Args:
        passes: of the whole batch.
        rows: which of the batch these images are.
        images: a leaf of the graph that the activations have.
        activations: of these images.
        beside: for each part of the whole batch those of its references.
        dtype: of the network between them.
    """
    total, back = images.new_zeros(len(images)), []
    for k, (_, parts) in enumerate(passes):
        own, others = (parts, beside) if len(parts) == 1 else ([parts[i] for i in rows], [beside[i] for i in rows])
        found = None
        if any(part is not None for part in own):
            scores = scores_of(own, activations, others)
            total = total + scores.detach()
            (found,) = gradients(scores, [images], dtype, retain_graph=k + 1 < len(passes))
        back.append(torch.zeros_like(images) if found is None else found)
    return total, back


def scores_of(parts: Sequence[Objective | None], activations: Activations, beside: Sequence[Beside]) -> Tensor:
    """The score of each image, (batch,): all by one part, or each by its own, 0 where it has none.

    Args:
        parts: one for all images, or one for each.
        activations: of all images.
        beside: for each part those of its references.
    """
    if len(parts) == 1:
        assert parts[0] is not None
        return parts[0].score(activations, beside[0])
    found = {i: _scored(part, i, activations, beside[i]) for i, part in enumerate(parts) if part is not None}
    none = torch.zeros_like(next(iter(found.values())))
    return torch.cat([found.get(i, none) for i in range(len(parts))])


def _scored(part: Objective, index: int, activations: Activations, beside: Beside) -> Tensor:
    """The score of one image of a batch, (1,)."""
    row = activations.of_image(index)
    rows = {
        each: beside[each].of_image(index if each.viewed or len(each.images) > 1 else 0) for each in part.references
    }
    return torch.stack(
        [
            term.score(activations, beside)[index : index + 1] if term.whole else term.score(row, rows)
            for term in part.terms
        ]
    ).sum(0)


def _mask(part: Objective, size: Sequence[int]) -> Tensor:
    mask = next(term.mask for term in part.terms if not term.constant)
    return torch.ones(*size) if mask is None else mask
