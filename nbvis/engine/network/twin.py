"""Twins: private copies of a module that share its weights, made for each run, or kept for the next short one."""

import copy
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from itertools import chain
from operator import is_
from types import BuiltinFunctionType, FunctionType
from typing import Any

import torch
from torch import Tensor, nn

from .binding import Binding
from .code_names import uses_of
from .guard import CALL, Guard


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
    memo.update({id(part): _Scripted(part) if values is None else _script_of(part, values) for part in outer})
    for part in parts:
        for parameter in part._parameters.values():
            if parameter is not None:
                weight = _alias(parameter) if values is None else _value(parameter, values)
                memo[id(parameter)] = nn.Parameter(weight, requires_grad=False)
        for value in (*part._buffers.values(), *vars(part).values()):
            if isinstance(value, Tensor):
                memo.setdefault(id(value), value.detach().clone())
        if eager(part) is part:
            memo[id(part)] = object.__new__(type(part))
    for part in parts:
        if eager(part) is not part:
            memo[id(part)] = memo[id(eager(part))]
    twins, bind = dict(memo), Binding(dict(memo))
    for part in parts:
        if eager(part) is part:
            own = {k: v if type(v) in _PLAIN else _copied(v, memo, bind) for k, v in vars(part).items() if k != CALL}
            vars(memo[id(part)]).update(own, training=False)
    for module in modules:
        vars(twins[id(module)])[CALL] = Guard(eager(module), twins[id(module)], uses_of(eager(module)))
    return twins


def eager(module: nn.Module) -> nn.Module:
    """The module as written: what `torch.compile` wrapped, if it was compiled, since hooks do not run inside."""
    return getattr(module, "_orig_mod", module)


def weights_of(module: nn.Module) -> list[Tensor]:
    """The parameters of a module and its parts, each once."""
    found: dict[int, Tensor] = {}
    for part in _parts_of(module):
        found |= {id(weight): weight for weight in part._parameters.values() if weight is not None}
    return list(found.values())


def versions_of(tensors: Iterable[Tensor]) -> list[int]:
    """How often each was written in place, as far as PyTorch counts: not through `.data`."""
    return [0 if tensor.is_inference() else tensor._version for tensor in tensors]


class Imprint:
    """What a module's parts, weights and buffers were at one moment.

    All of it stays alive meanwhile, so that no address in it can come to mean something new.

    Args:
        module: the module.
    """

    def __init__(self, module: nn.Module):
        self._module, self._fingerprint = module, fingerprint(module)
        parts = _parts_of(module)
        self._alive = [*parts, *(tensor.detach() for part in parts for tensor in tensors_of(part))]

    def holds(self) -> bool:
        """Whether that is what they are still."""
        return fingerprint(self._module) == self._fingerprint


def fingerprint(module: nn.Module) -> tuple[int, ...]:
    """Changes whenever a part, a weight or a buffer is replaced, or a tensor is written in place."""
    found: list[int] = []
    for part in _parts_of(module):
        found.append(id(part))
        for tensor in tensors_of(part):
            found += (tensor.data_ptr(), 0 if tensor.is_inference() else tensor._version)
    return tuple(found)


def _parts_of(module: nn.Module) -> list[nn.Module]:
    parts, seen = [module], {id(module)}
    for part in parts:  # by hand, because `modules()` takes three times as long and this happens at every step
        for child in part._modules.values():
            if child is not None and id(child) not in seen:
                seen.add(id(child))
                parts.append(child)
    return parts


def tensors_of(module: nn.Module) -> list[Tensor]:
    """The weights and buffers of a part itself."""
    return [t for t in (*module._parameters.values(), *module._buffers.values()) if t is not None]


class _Scripted(nn.Module):
    """The twin of a TorchScript module: one part, which takes hooks as its inner parts cannot."""

    def __init__(self, part: torch.jit.ScriptModule):
        super().__init__()
        with torch.no_grad():  # otherwise the copies of the weights are not leaves
            self._inside = [copy.deepcopy(part).eval()]
        for parameter in self._inside[0].parameters():
            parameter.requires_grad_(False)
        self.eval()

    def forward(self, *args: Any, **kwargs: Any) -> Any:
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


_PLAIN = frozenset((bool, int, float, str, type(None)))


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
    if kind in _PLAIN or (kind is tuple and all(type(each) in _PLAIN for each in value)):
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
        self._sides = _Contents(module), _Contents(twin)
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


class _Contents:
    """What a module is made of, except for the values of its tensors, and whether that is still so.

    Asked at each call, so the comparisons are loops in C.
    """

    def __init__(self, module: nn.Module):
        self._parts = list(module.modules())
        self._own = {id(part) for part in self._parts}
        self._holders = {id(each) for part in self._parts for each in (vars(part), part._parameters, part._buffers)}
        self._types, self._vars = [*map(type, self._parts)], [*map(vars, self._parts)]
        self.functions: list[int] = []
        self._full: list[Any] = []
        self._empty: list[Any] = []
        self.known = all(
            type(part) is not _Scripted
            and not isinstance(part, torch.jit.ScriptModule)
            and eager(part) is part
            and self._watch(vars(part))
            for part in self._parts
        )
        self._dicts = [each for each in self._full if isinstance(each, dict)]
        self._lengths = [*map(len, self._full)]
        self._keys, self._values = [*self._all_keys()], [*self._all_values()]

    def unchanged(self) -> bool:
        return (
            not any(self._empty)
            and [*map(len, self._full)] == self._lengths
            and _same(map(type, self._parts), self._types)
            and _same(map(vars, self._parts), self._vars)
            and _same(self._all_keys(), self._keys)
            and _same(self._all_values(), self._values)
        )

    def _all_keys(self) -> Iterable[Any]:
        return chain.from_iterable(self._full)

    def _all_values(self) -> Iterable[Any]:
        return chain.from_iterable(map(dict.values, self._dicts))

    def _watch(self, value: Any) -> bool:
        """Whether the value is something of which any change would be noticed."""
        kind = type(value)
        if kind in (dict, OrderedDict, list, set):
            (self._full if value else self._empty).append(value)
            tensors = (Tensor, nn.Parameter) if id(value) in self._holders else ()
            inner = value.values() if isinstance(value, dict) else value
            return all((type(each) in tensors and each.layout is torch.strided) or self._watch(each) for each in inner)
        if isinstance(value, tuple):
            return all(self._watch(each) for each in value)
        if kind is FunctionType:
            self.functions.append(id(value))
        return kind in _FIXED or isinstance(value, type | Enum) or id(value) in self._own


_FIXED = _PLAIN | {
    Guard,
    FunctionType,
    BuiltinFunctionType,
    torch.dtype,
    torch.device,
    torch.layout,
    torch.memory_format,
}


def _same(now: Iterable[Any], before: Sequence[Any]) -> bool:
    return all(map(is_, now, before))
