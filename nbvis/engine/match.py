"""How far pictures without dropout are from what they gave with it, and the gradient that leads there."""

from collections.abc import Mapping
from contextlib import nullcontext

import torch
from torch import Tensor

from .backward import gradients
from .chance import unchanged_chance
from .noisy import Noisy, Pass
from .prepare import Prepared


class Match:
    """The loss of each row: the weighted sum, over layers, of the mean squared distance from the target's activation.

    Args:
        noisy: the network.
        weights: of each layer, by name.
        clean: what the start gives without dropout.
        target: what it gives with dropout.
        start: the images, (rows, channels, height, width).

    Raises:
        FloatingPointError: if the target is not finite.
    """

    def __init__(self, noisy: Noisy, weights: Mapping[str, float], clean: Pass, target: Pass, start: Tensor):
        self.clean, self.target = clean, target
        self.same = torch.ones(len(start), dtype=torch.bool, device=start.device)
        for name in weights:
            if not torch.isfinite(target.activations[name]).all():
                raise FloatingPointError(f"with dropout on, layer {name!r} gives NaN or infinite values")
            self.same &= (target.activations[name] == clean.activations[name]).flatten(1).all(1)
        self._weights, self._dropouts, self._device = weights, noisy.dropouts, start.device
        with self._dropouts:
            self._prepared = Prepared(noisy.network, list(weights), start)

    def start(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Loss (rows,) and gradient of all rows of the images that it starts from."""
        every = torch.arange(len(images), device=self._device)
        loss, gradient = self(images, every)
        refuse_infinite(loss, gradient, every, 0, 0)
        # The copy that is optimised rounds otherwise than the plain one: what is equal there is at its target.
        return torch.where(self.same, 0, loss), gradient

    @torch.enable_grad()
    def __call__(self, images: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Loss (rows,) and gradient of those rows of the images."""
        self._prepared.refresh()
        leaf = images[rows].requires_grad_()
        with unchanged_chance(0), self._dropouts if self._dropouts.always_on else nullcontext():
            found = self._prepared(leaf)
        losses = []
        for name, weight in self._weights.items():
            if not found[name].requires_grad:
                raise RuntimeError(
                    f"no gradient flows back from layer {name!r}: the network detaches it, "
                    "or an operation before it cannot be differentiated"
                )
            difference = found[name] - self.target.activations[name][rows]
            losses.append(weight * difference.square().flatten(1).mean(1))
        loss = torch.stack(losses).sum(0)
        (gradient,) = gradients(loss, [leaf], self._prepared.network.dtype)
        assert gradient is not None
        return loss.detach(), gradient


def refuse_infinite(loss: Tensor, gradient: Tensor, rows: Tensor, step: int, lr: float) -> None:
    """Raises if one of these rows has a loss or gradient that is not finite; `step` 0 is before the first."""
    bad = rows[~torch.isfinite(loss[rows] + gradient[rows].flatten(1).abs().sum(1))].tolist()
    if bad:
        where = f"at step {step}" if step else "before the first step"
        why = f"the network overflowed, or the learning rate of {lr:g} is too high" if step else "the network overflows"
        raise FloatingPointError(
            f"the loss of row {bad[0]} is {loss[bad[0]]:g} {where} and its gradient is not finite: {why}"
        )
