"""A twin that is kept for the next short run."""

from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from .imprint import Contents


class KeptTwin:
    """A twin that is kept for the next short run, and knows whether it is the module's true twin still.

    Weights are shared, so their values never grow old; buffers are copied again each time. All else is compared by
    identity, on both sides: parts and their classes, settings, hooks, which tensors there are and where they lie.

    Args:
        module: the original.
        twin: its twin, just made.
        device: where the twin is.

    Attributes:
        lasting: whether all there is to compare can be compared; without that it is good for once.
        known: what was found out about it, by what was asked.
    """

    def __init__(self, module: nn.Module, twin: nn.Module, device: torch.device):
        self.known: dict[Any, Any] = {}
        self.module, self.twin, self.device = module, twin, device
        self._sides = Contents(module), Contents(twin)
        self._weights: list[tuple[Tensor, Tensor]] = []
        self._copies: dict[int, tuple[Tensor, Tensor, Tensor]] = {}
        # A function that was bound to the twin holds what others may put something else for.
        bound = self._sides[0].functions != self._sides[1].functions
        self.lasting = all(side.known for side in self._sides) and not bound
        for part, own in zip(module.modules(), twin.modules(), strict=True) if self.lasting else ():
            holders: list[tuple[Any, Any]] = [(part._buffers, own._buffers), (vars(part), vars(own))]
            copies = [(k, v, ours) for theirs, ours in holders for k, v in theirs.items() if isinstance(v, Tensor)]
            self._copies |= {id(tensor): (tensor, tensor.detach(), ours[key]) for key, tensor, ours in copies}
            mine: Any = own._parameters
            self._weights += [(weight, mine[key]) for key, weight in part._parameters.items() if weight is not None]
        tensors = [*chain.from_iterable(self._weights), *chain.from_iterable(self._copies.values())]
        self.lasting = self.lasting and all(t.device == device for t in tensors) and self._in_place()

    def renewed(self) -> bool:
        """Whether it is the module's twin; if so, with the buffers as they are now."""
        if not (self.lasting and all(side.unchanged() for side in self._sides) and self._in_place()):
            return False
        with torch.inference_mode(False), torch.no_grad():
            for _, original, own in self._copies.values():
                own.copy_(original)
        return True

    def _in_place(self) -> bool:
        """Whether every tensor still lies where it lay, and each weight where its twin does."""
        return all(own.is_set_to(weight) for weight, own in self._weights) and all(
            tensor.is_set_to(before) for tensor, before, _ in self._copies.values()
        )
