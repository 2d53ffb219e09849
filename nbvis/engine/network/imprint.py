"""Whether a module is still what it was: its parts and settings, its tensors, and the values in them."""

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from enum import Enum
from itertools import chain
from operator import is_
from types import BuiltinFunctionType, FunctionType
from typing import Any

import torch
from torch import Tensor, nn

from .guard import Guard
from .twin import PLAIN, Scripted, eager


def weights_of(module: nn.Module) -> list[Tensor]:
    """The parameters of a module and its parts, each once."""
    found: dict[int, Tensor] = {}
    for part in _parts_of(module):
        found |= {id(weight): weight for weight in part._parameters.values() if weight is not None}
    return list(found.values())


def versions_of(tensors: Iterable[Tensor]) -> list[int]:
    """How often each was written in place, as far as PyTorch counts: not through `.data`."""
    return [0 if tensor.is_inference() else tensor._version for tensor in tensors]


_ROW = 1 << 16
"""Values that are summed at once."""


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

    def of(self, module: nn.Module) -> bool:
        """Whether it is that of this module, and holds."""
        return module is self._module and self.holds()

    def holds(self) -> bool:
        """Whether that is what they are still, as far as PyTorch counts what is written: not through `.data`."""
        return fingerprint(self._module) == self._fingerprint


def values_of(parts: Iterable[nn.Module]) -> bytes:
    """Other bytes for other weights: what is written through `.data` leaves no trace but the values themselves.

    Args:
        parts: the modules whose own weights and buffers count, as `module.modules()` gives them.
    """
    found = [tensor.detach().flatten() for part in parts for tensor in tensors_of(part)]
    flat = [(torch.view_as_real(values).flatten() if values.is_complex() else values).float() for values in found]
    # A network has hundreds of small tensors, so that asking each takes longer than reading all of them.
    small: dict[torch.device, list[Tensor]] = {}
    for values in flat:
        if len(values) < _ROW:
            small.setdefault(values.device, []).append(values)
    # A sum over many of them has room for a change of one only in double precision, which not every device has.
    joined = [torch.cat(values).cpu().double() for values in small.values()]
    sums = [_row_sums(values) for values in (*joined, *(each for each in flat if len(each) >= _ROW))]
    return torch.cat([each.cpu().double() for each in sums]).numpy().tobytes() if sums else b""


def _row_sums(values: Tensor) -> Tensor:
    """One sum for each row of values, in which each place weighs another amount; what is not finite counts as 0."""
    whole = len(values) - len(values) % _ROW
    places = torch.arange(1, _ROW + 1, device=values.device, dtype=values.dtype)
    rest = values[whole:]
    sums = torch.cat([values[:whole].view(-1, _ROW) @ places, (rest @ places[: len(rest)])[None]])
    if sums.isfinite().all() or values.isfinite().all():
        return sums
    return _row_sums(values.nan_to_num(0, 0, 0))


def digest(module: nn.Module) -> str:
    """A short text that other weights do not have, the same in every process."""
    found = hashlib.blake2b(digest_size=8)
    for key, value in module.state_dict().items():
        if isinstance(value, Tensor):
            found.update(key.encode() + value.detach().float().cpu().numpy().tobytes())
    return found.hexdigest()


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


class Contents:
    """What a module is made of, except for the values of its tensors, and whether that is still so.

    Asked at each call, so the comparisons are loops in C.

    Args:
        module: the module.

    Attributes:
        known: whether all there is to compare can be compared.
        functions: the functions in it, by `id`.
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
            type(part) is not Scripted
            and not isinstance(part, torch.jit.ScriptModule)
            and eager(part) is part
            and self._watch(vars(part))
            for part in self._parts
        )
        self._dicts = [each for each in self._full if isinstance(each, dict)]
        self._lengths = [*map(len, self._full)]
        self._keys, self._values = [*self._all_keys()], [*self._all_values()]

    def unchanged(self) -> bool:
        """Whether parts, classes, settings, hooks and tensors are the same objects still."""
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


_FIXED = PLAIN | {
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
