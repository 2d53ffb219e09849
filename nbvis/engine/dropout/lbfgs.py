"""What a few steps and the changes of gradient along them tell of a function's second derivative."""

import torch
from torch import Tensor

MEMORY = 10
"""Pairs of a step and its change of gradient that are remembered."""


class Curvature:
    """A second derivative for each row: scale · identity − wideᵀ · middle⁻¹ · wide, the compact form of L-BFGS.

    Its part for some elements alone has an inverse in closed form, which the usual two-loop recursion has not. Few
    passes go over the long vectors: their products with each other are kept.

    Args:
        like: rows of the size of the steps, (rows, size).

    Source: Byrd, Nocedal and Schnabel 1994, "Representations of quasi-Newton matrices and their use in limited memory
    methods", equation 3.8.
    """

    def __init__(self, like: Tensor):
        rows, size = like.shape
        # The small systems are ill conditioned, the long vectors are not.
        exact = torch.float32 if like.device.type == "mps" else torch.float64
        self._wide = like.new_zeros(rows, 2 * MEMORY, size)  # in turn: a change of gradient, the step it came with
        self._products = torch.zeros(rows, 2 * MEMORY, 2 * MEMORY, dtype=exact, device=like.device)
        self._ages = torch.zeros(rows, MEMORY, dtype=torch.long, device=like.device)  # 0 for an empty place

    def known(self) -> Tensor:
        """How many pairs each row remembers, (rows,)."""
        return (self._ages > 0).sum(1)

    def forget(self, rows: Tensor) -> None:
        """Begins anew in some rows, given by their indices."""
        self._wide[rows], self._products[rows], self._ages[rows] = 0, 0, 0

    def remember(self, rows: Tensor, steps: Tensor, changes: Tensor) -> None:
        """Adds a pair in each of these rows, in place of the oldest, but where the function bends downwards."""
        upwards = (steps * changes).sum(1) > 1e-10 * changes.square().sum(1)
        rows, pairs = rows[upwards], torch.stack([changes[upwards], steps[upwards]], 1)
        slot = self._ages[rows].argmin(1)
        self._ages[rows, slot] = self._ages[rows].amax(1) + 1
        for k in range(2):
            self._wide[rows, 2 * slot + k] = pairs[:, k]
        common = (self._of(rows) @ pairs.mT).to(self._products)
        for k in range(2):
            self._products[rows, :, 2 * slot + k] = self._products[rows, 2 * slot + k, :] = common[:, :, k]

    def scale(self, rows: Tensor, start: Tensor) -> Tensor:
        """The multiple of the identity in these rows, as their newest pair has it; `start` where there is none."""
        newest = 2 * self._ages[rows].argmax(1)
        ratio = self._products[rows, newest, newest] / self._products[rows, newest, newest + 1]
        return torch.where(self._ages[rows].any(1), ratio.to(start.dtype), start)

    def solved(self, rows: Tensor, gradient: Tensor, scale: Tensor, free: Tensor | None = None) -> Tensor:
        """The step, (rows, size), along which it expects the gradient to rise by `gradient`; zero but where free."""
        gradient = gradient if free is None else gradient * free
        middle, factor = self._middle(rows, scale)
        common = self._common(rows, free) * factor[:, :, None] * factor[:, None]
        step = self._through(rows, middle - common / scale[:, None, None].to(common), factor, gradient, None)
        step = (gradient + step / scale[:, None]) / scale[:, None]
        return step if free is None else step * free

    def times(self, rows: Tensor, step: Tensor, scale: Tensor) -> Tensor:
        """How much it expects the gradient to rise along a step (rows, size), which is zero in most elements."""
        middle, factor = self._middle(rows, scale)
        moves = step.any(0).nonzero().flatten()
        return scale[:, None] * step - self._through(rows, middle, factor, step, moves)

    def _of(self, rows: Tensor) -> Tensor:
        return self._wide if len(rows) == len(self._wide) else self._wide[rows]  # without a copy, if it can be

    def _through(self, rows: Tensor, middle: Tensor, factor: Tensor, vector: Tensor, where: Tensor | None) -> Tensor:
        wide = self._of(rows)
        narrow, part = (wide, vector) if where is None else (wide[:, :, where], vector[:, where])
        right = factor * (narrow @ part[:, :, None])[:, :, 0].to(factor)
        found = factor * torch.linalg.solve_ex(middle, right[:, :, None])[0][:, :, 0]
        return (found.nan_to_num(0, 0, 0).to(vector.dtype)[:, None] @ wide)[:, 0]

    def _common(self, rows: Tensor, free: Tensor | None) -> Tensor:
        """The products of the long vectors with each other, over the free elements."""
        every = self._products[rows]
        if free is None:
            return every
        held = (~free).any(0).nonzero().flatten()
        if 2 * len(held) > free.shape[1]:
            few = self._of(rows) * free[:, None]
            return (few @ few.mT).to(every)
        few = self._of(rows)[:, :, held] * ~free[:, None, held]
        return every - (few @ few.mT).to(every)

    def _middle(self, rows: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
        """The small matrices, and what the long vectors are multiplied by: 1 for a change, the scale for a step."""
        products, ages, scale = self._products[rows], self._ages[rows], scale.to(self._products)
        along = products[:, 1::2, ::2]
        earlier = along * (ages[:, :, None] > ages[:, None])
        empty = torch.diag_embed((ages == 0).to(along))
        middle = torch.zeros_like(products)
        middle[:, ::2, ::2] = -torch.diag_embed(along.diagonal(dim1=1, dim2=2)) - empty
        middle[:, ::2, 1::2], middle[:, 1::2, ::2] = earlier.mT, earlier
        middle[:, 1::2, 1::2] = scale[:, None, None] * products[:, 1::2, 1::2] + empty
        factor = torch.ones_like(products[:, 0])
        factor[:, 1::2] = scale[:, None]
        return middle, factor
