"""How far pictures without dropout are from what they gave with it, and the gradient that leads there."""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import NamedTuple

import torch
from torch import Tensor

from ..network.network import Network
from ..network.pass_errors import without_gradient
from ..network.prepared import Prepared
from ..network.score_gradient import gradients
from .noisy_passes import Noisy, Pass


class Posed(NamedTuple):
    """What is asked of a network.

    Attributes:
        noisy: the network.
        clean: what the images that it starts from give without dropout.
        target: what they give with dropout.
        notes: sentences on dropout that stays off, and on layers that none reaches.
    """

    noisy: Noisy
    clean: Pass
    target: Pass
    notes: tuple[str, ...]


class Match:
    """The loss of each row: the weighted sum, over layers, of the mean squared distance from the target's activation.

    Args:
        pose: asks a network for the target.
        weights: of each layer, by name.
        start: the images, (rows, channels, height, width).

    Attributes:
        noisy: the network.
        clean: what the start gives without dropout.
        target: what it gives with dropout.
    """

    def __init__(self, pose: Callable[[Network], Posed], weights: Mapping[str, float], start: Tensor):
        self._pose, self._weights, self._start = pose, weights, start
        self._prepared: Prepared | None = None
        self._notes: tuple[str, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on the dropout, and on how the pictures are shown to the network."""
        return (*self._notes, *(self._prepared.batching.notes if self._prepared else ()))

    def start(self, network: Network, images: Tensor) -> tuple[Tensor, Tensor] | None:
        """Takes the target from this network, unless it is the one before with the weights it had.

        Returns:
            Loss (rows,) and gradient of all rows of the images; None if nothing has changed.

        Raises:
            FloatingPointError: if the target, a loss or a gradient is not finite.
        """
        if self._prepared is not None:
            with self.noisy.dropouts:
                if not self._prepared.refresh(network):
                    return None
        self.noisy, self.clean, self.target, self._notes = self._pose(network)
        same = torch.ones(len(images), dtype=torch.bool, device=images.device)
        for name in self._weights:
            if not torch.isfinite(self.target.activations[name]).all():
                raise FloatingPointError(f"with dropout on, layer {name!r} gives NaN or infinite values")
            same &= (self.target.activations[name] == self.clean.activations[name]).flatten(1).all(1)
        if self._prepared is None:
            with self.noisy.dropouts:
                self._prepared = Prepared(network, list(self._weights), self._start)
        every = torch.arange(len(images), device=images.device)
        loss, gradient = self(images, every)
        refuse_infinite(loss, gradient, every, 0, 0)
        # The copy that is optimised rounds otherwise than the plain one: what is equal there is at its target.
        same &= (images == self._start).flatten(1).all(1)
        return torch.where(same, 0, loss), gradient

    @torch.enable_grad()
    def __call__(self, images: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Loss (rows,) and gradient of those rows of the images."""
        assert self._prepared is not None
        leaf, dropouts = images[rows].requires_grad_(), self.noisy.dropouts
        with dropouts if dropouts.always_on else nullcontext():
            found = self._prepared(leaf)
        losses = []
        for name, weight in self._weights.items():
            if not found[name].requires_grad:
                raise without_gradient(name)
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
