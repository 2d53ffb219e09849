"""Twins: private copies of a module that share its weights, made for each run, or kept for the next short one."""

import copy
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .binding import Binding
from .code_names import uses_of
from .guard import CALL, Guard, guarded, set_guard, unguarded


def twin_of(module: nn.Module, values: Mapping[int, Tensor] | None = None) -> nn.Module:
    """A structural copy that shares the weights' storage, frozen and in eval mode; all other tensors are its own.

    Every part has its empty twin before any is filled, so that parts may refer to each other in circles.

    Args:
        module: the original.
        values: what the copy has for weights of its own, each by the `id` of the original's, instead of sharing them.
    """
    return twins_of([module], values)[id(module)]


def twins_of(modules: Sequence[nn.Module], values: Mapping[int, Tensor] | None = None) -> dict[int, Any]:
    """A twin of each module, and of each of its parts and tensors, by `id`; parts that they share have one twin."""
    memo: dict[int, Any] = {}
    every = list(dict.fromkeys(part for module in modules for part in module.modules()))
    parts = [part for part in every if not isinstance(part, torch.jit.ScriptModule)]
    scripts = [part for part in every if isinstance(part, torch.jit.ScriptModule)]
    inner = {id(below) for part in scripts for below in part.modules() if below is not part}
    outer = [part for part in scripts if id(part) not in inner]
    memo.update({id(part): Scripted(part) if values is None else _script_of(part, values) for part in outer})
    whole = {id(eager(module)) for module in modules}
    for part in parts:
        for parameter in part._parameters.values():
            if parameter is not None:
                weight = _alias(parameter) if values is None else _value(parameter, values)
                memo[id(parameter)] = nn.Parameter(weight, requires_grad=False)
        for value in (*part._buffers.values(), *vars(part).values()):
            if isinstance(value, Tensor):
                memo.setdefault(id(value), value.detach().clone())
        if eager(part) is part:
            kind = unguarded(type(part))
            memo[id(part)] = object.__new__(guarded(kind) if id(part) in whole else kind)
    for part in parts:
        if eager(part) is not part:
            memo[id(part)] = memo[id(eager(part))]
    twins, bind = dict(memo), Binding(dict(memo))
    for part in parts:
        if eager(part) is part:
            own = {k: v if type(v) in PLAIN else _copied(v, memo, bind) for k, v in vars(part).items() if k != CALL}
            vars(memo[id(part)]).update(own, training=False)
    for module in modules:
        set_guard(twins[id(module)], Guard(eager(module), twins[id(module)], uses_of(eager(module))))
    return twins


def eager(module: nn.Module) -> nn.Module:
    """The module as written: what `torch.compile` wrapped, if it was compiled, since hooks do not run inside."""
    return module if isinstance(module, torch.jit.ScriptModule) else module._modules.get("_orig_mod") or module


class Scripted(nn.Module):
    """The twin of a TorchScript module: one part, which takes hooks as its inner parts cannot."""

    def __init__(self, part: torch.jit.ScriptModule):
        super().__init__()
        with torch.no_grad():  # otherwise the copies of the weights are not leaves
            self._inside = [copy.deepcopy(part).eval()]
        for parameter in self._inside[0].parameters():
            parameter.requires_grad_(False)
        self.eval()

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Runs it."""
        return self._inside[0](*args, **kwargs)

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        self._inside[0]._apply(fn)
        return self


def _script_of(part: torch.jit.ScriptModule, values: Mapping[int, Tensor]) -> torch.jit.ScriptModule:
    with torch.no_grad():
        own = copy.deepcopy(part).eval()
        for parameter, original in zip(own.parameters(), part.parameters(), strict=True):
            parameter.requires_grad_(False).copy_(_value(original, values))
    return own


PLAIN = frozenset((bool, int, float, str, type(None)))


def _alias(parameter: Tensor) -> Tensor:
    return parameter.detach().clone() if parameter.is_inference() else parameter.detach()


def _value(parameter: Tensor, values: Mapping[int, Tensor]) -> Tensor:
    return values[id(parameter)] if id(parameter) in values else parameter.detach().clone()


def _copied(value: Any, memo: dict[int, Any], bind: Binding) -> Any:
    """A deep copy in which what cannot be copied (a lock, an open file) is shared, and only that."""
    # Most of a module is plain settings and dicts of hooks or of what has its twin already; deepcopy is slow to see it.
    kind = type(value)
    if kind in (dict, OrderedDict, set) and not value:
        return kind()
    if kind in PLAIN or (kind is tuple and all(type(each) in PLAIN for each in value)):
        return value
    if kind is dict and all(each is None or id(each) in memo for each in value.values()):
        return {key: None if each is None else memo[id(each)] for key, each in value.items()}
    size = len(memo)
    try:
        return bind(copy.deepcopy(value, memo))
    except Exception:
        while len(memo) > size:  # half-made copies
            memo.popitem()
        if not isinstance(value, dict):
            return bind(value)
        own = copy.copy(value)
        own.update({key: _copied(each, memo, bind) for key, each in value.items()})
        return own
