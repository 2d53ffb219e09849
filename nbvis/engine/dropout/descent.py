"""Ways down a loss that each row of a batch has for itself: none sees another row."""

from collections.abc import Callable

import torch
from torch import Tensor

from ..arguments import near
from .lbfgs import Curvature

PATIENCE = 200
"""Trials of L-BFGS within which a row's loss has to fall by a hundredth, or it is stuck."""
_DECREASE = 1e-4
"""Share of the decrease promised by the gradient that a step has to keep (Armijo)."""

Bounds = tuple[float, float] | None


class Descent:
    """Proposes where to go next and is told what was found there.

    Args:
        values: where it starts, (rows, …).
        bounds: what the values are kept in, (low, high) or None.

    Attributes:
        careful: whether it may propose what turns out infinite, and takes it back.
    """

    careful = False

    def __init__(self, values: Tensor, bounds: Bounds):
        self.bounds = bounds
        self._none = torch.zeros(len(values), dtype=torch.bool, device=values.device)

    def propose(self, values: Tensor, loss: Tensor, gradient: Tensor, lr: float) -> Tensor:
        """Where to look next, like `values` (rows, …), given loss (rows,) and gradient there."""
        raise NotImplementedError

    def accept(self, trial: Tensor, loss: Tensor, gradient: Tensor, asked: Tensor) -> Tensor:
        """Which of the rows asked for go to the trial, (rows,), given what was found there."""
        return asked

    def stuck(self) -> Tensor:
        """The rows that have no way down left, (rows,)."""
        return self._none

    def forget(self) -> None:
        """Begins anew, since it is another loss from now on; momentum, which no loss is wrong for, stays."""

    def inside(self, values: Tensor) -> Tensor:
        """The values, brought back into the bounds."""
        return values if self.bounds is None else values.clamp(*self.bounds)

    def held(self, values: Tensor, gradient: Tensor) -> Tensor:
        """Where a bound alone keeps a value from following its gradient, like `values`."""
        if self.bounds is None:
            return torch.zeros_like(values, dtype=torch.bool)
        low, high = self.bounds
        return (values <= low) & (gradient > 0) | (values >= high) & (gradient < 0)


class Elementwise(Descent):
    """One of torch's own optimizers that treats each element by itself, such as Adam."""

    def __init__(self, make: Callable[..., torch.optim.Optimizer], values: Tensor, lr: float, bounds: Bounds):
        super().__init__(values, bounds)
        self._values = values.clone().requires_grad_()
        self._optimizer = make([self._values], lr=lr)

    def propose(self, values: Tensor, loss: Tensor, gradient: Tensor, lr: float) -> Tensor:
        """One step of the optimizer."""
        with torch.no_grad():
            self._values.copy_(values)
        self._values.grad = gradient
        for group in self._optimizer.param_groups:
            group["lr"] = lr
        self._optimizer.step()
        return self.inside(self._values.detach().clone())


class LBFGS(Descent):
    """Limited-memory BFGS for every row by itself, with projection and a backtracking line search.

    One trial is one evaluation, the same work as a step of Adam: a row whose trial falls short tries a shorter one
    next time, while the others go on. The first step moves the pixels by `lr` on average (root mean square); later
    ones have their own length. A row that gets nowhere for long is stuck, until `lr` changes.

    Source: Nocedal 1980, "Updating quasi-Newton matrices with limited storage"; with bounds, after Byrd, Lu, Nocedal
    and Zhu 1995, "A limited memory algorithm for bound constrained optimization".
    """

    careful = True

    def __init__(self, values: Tensor, bounds: Bounds):
        super().__init__(values, bounds)
        self._curvature = Curvature(values.flatten(1))
        self._direction = torch.zeros_like(values).flatten(1)
        self._length = values.new_ones(len(values))
        self._fresh, self._stuck = ~self._none, self._none.clone()
        self._mark, self._trials = torch.full_like(self._length, torch.inf), torch.zeros_like(self._length)
        self._lr: float | None = None

    def propose(self, values: Tensor, loss: Tensor, gradient: Tensor, lr: float) -> Tensor:
        """A point along the quasi-Newton direction, or a nearer one if the last was no good."""
        if lr != self._lr:  # another first step, so a new beginning
            self._lr = lr
            self.forget()
        self._values, self._loss, self._gradient = values.flatten(1), loss, gradient.flatten(1)
        if len(fresh := self._fresh.nonzero().flatten()):
            self._direction[fresh] = self._headed(fresh)
        self._length = torch.where(self._fresh, 1, self._length)
        self._fresh.fill_(False)
        trial = self.inside(self._values + self._length[:, None] * self._direction)
        return trial.view_as(values)

    def accept(self, trial: Tensor, loss: Tensor, gradient: Tensor, asked: Tensor) -> Tensor:
        """Those whose loss fell by a share of what the gradient promised."""
        step = trial.flatten(1) - self._values
        promised = (self._gradient * step).sum(1)
        good = asked & (loss <= self._loss + _DECREASE * promised) & (promised < 0)
        if len(rows := good.nonzero().flatten()):
            self._curvature.remember(rows, step[rows], (gradient.flatten(1) - self._gradient)[rows])
        self._fresh |= good
        bad = asked & ~good
        if bad.any():
            # The minimum of the parabola through what is known, within limits; NaN, which is no number, goes to half.
            shorter = (-promised / (2 * (loss - self._loss - promised))).nan_to_num(0.5, 0.5, 0.5).clamp(0.1, 0.5)
            self._length = torch.where(bad, self._length * shorter, self._length)
            lost = bad & ((self._length < 1e-6) | (promised >= 0))
            known = self._curvature.known() > 0
            self._stuck |= lost & ~known
            self._forget((lost & known).nonzero().flatten())
        self._trials += asked
        due = asked & (self._trials % PATIENCE == 0)
        self._stuck |= due & (self._loss > 0.99 * self._mark)
        self._mark = torch.where(due, self._loss, self._mark)
        return good

    def stuck(self) -> Tensor:
        """Where even the shortest step along the gradient does not go down, or patience is at its end."""
        return self._stuck

    def forget(self) -> None:
        """Forgets all curvature, and takes its first step again."""
        self._forget(self._none.logical_not().nonzero().flatten())
        self._mark.fill_(torch.inf)

    def _forget(self, rows: Tensor) -> None:
        self._curvature.forget(rows)
        self._fresh[rows], self._stuck[rows] = True, False

    def _headed(self, rows: Tensor) -> Tensor:
        """From these rows to where their curvature sees the minimum: what a plain step takes to a bound goes first."""
        values, gradient, curvature = self._values[rows], self._gradient[rows], self._curvature
        size = (gradient * ~self.held(values, gradient)).square().mean(1).sqrt()
        scale = curvature.scale(rows, size / self._lr if self._lr else size + torch.inf)
        scale = scale.clamp_min(torch.finfo(values.dtype).tiny)
        ahead = self.inside(values - gradient / scale[:, None])
        if self.bounds is None:
            direction = -curvature.solved(rows, gradient, scale)
        else:
            free = (ahead > self.bounds[0]) & (ahead < self.bounds[1])
            bound = (ahead - values) * ~free
            direction = bound - curvature.solved(rows, gradient + curvature.times(rows, bound, scale), scale, free)
        down = (direction * gradient).sum(1) < 0
        return torch.where(down[:, None], direction, ahead - values)


DESCENTS: dict[str, Callable[..., torch.optim.Optimizer] | None] = {
    "lbfgs": None,
    "adam": torch.optim.Adam,
    "sgd": torch.optim.SGD,
}
"""What `invert_dropout` goes down by; "sgd" is plain gradient descent."""


def descent_by(name: str, values: Tensor, lr: float, bounds: Bounds) -> Descent:
    """The way down of this name.

    Args:
        name: one of `DESCENTS`.
        values: where it starts, (rows, …).
        lr: learning rate to begin with.
        bounds: what the values are kept in, (low, high) or None.

    Raises:
        ValueError: if there is none of that name.
    """
    if name not in DESCENTS:
        raise ValueError(f"no optimizer {name!r}{near(name, list(DESCENTS))}")
    make = DESCENTS[name]
    return LBFGS(values, bounds) if make is None else Elementwise(make, values, lr, bounds)
