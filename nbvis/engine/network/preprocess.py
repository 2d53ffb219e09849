"""The way into a network: a preprocessing run as a guest."""

import copy
from collections.abc import Callable
from functools import partial
from types import FunctionType, MethodType
from typing import Any

import torch
from torch import Tensor, nn

from .binding import Binding, held
from .code_names import uses_of_function
from .imprint import tensors_of
from .kept_twin import KeptTwin
from .random_draws import Draws
from .random_state import dealing
from .random_streams import borrowed
from .twin import twin_of, twins_of


class Entrance:
    """A preprocessing as it is run: with a private copy, frozen and in eval mode, of each module that it reaches.

    Args:
        function: the preprocessing: a module, a function, or an object that holds some.
    """

    def __init__(self, function: Callable[[Tensor], Tensor]):
        self.function = function
        self._uses = uses_of_function(function)
        self._kept: KeptTwin | None = None

    def __call__(self, images: Tensor) -> Tensor:
        """What enters the network."""
        function = self._private()
        with dealing() as deal, borrowed(self._uses.streams, deal), Draws(deal, self._uses.hidden):
            return function(images)

    @torch.inference_mode(False)
    def _private(self) -> Callable[[Tensor], Tensor]:
        if not isinstance(self.function, nn.Module):
            return _with_twins(self.function)
        if self._kept is None or not self._kept.renewed():
            tensors = (tensor for part in self.function.modules() for tensor in tensors_of(part))
            device = next((tensor.device for tensor in tensors), torch.device("cpu"))
            self._kept = KeptTwin(self.function, twin_of(self.function), device)
        return self._kept.twin


def _with_twins(function: Any) -> Any:
    found: dict[int, Any] = {}
    _find(function, found, {})
    modules = [each for each in found.values() if isinstance(each, nn.Module)]
    if not modules:
        return function
    memo = twins_of(modules)
    bind = Binding(memo)
    for each in found.values():
        if not isinstance(each, nn.Module):
            memo[id(each)] = own = copy.copy(each)
            vars(own).update({name: bind(value) for name, value in vars(each).items()})
    return bind(function)


def _find(value: Any, found: dict[int, Any], seen: dict[int, Any]) -> bool:
    """Whether a value reaches a module; notes the modules, and the objects by way of which they are reached."""
    if id(value) in seen:
        return id(value) in found
    seen[id(value)] = value
    if isinstance(value, nn.Module):
        found[id(value)] = value
        return True
    if isinstance(value, FunctionType | MethodType | partial) or not _callable_object(value):
        return any([_find(each, found, seen) for each in held(value)])
    reaches = any([_find(each, found, seen) for each in vars(value).values()])
    if reaches:
        found[id(value)] = value
    return reaches


def _callable_object(value: Any) -> bool:
    return callable(value) and hasattr(value, "__dict__") and not isinstance(value, type)
