"""Functions that reach a module from outside, as closures do: copies of them that reach its twin instead."""

import weakref
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from functools import partial
from types import CellType, FunctionType, MethodType
from typing import Any

from .code_names import MOST, contents, names_in

_CONTAINERS = (dict, OrderedDict, list, tuple, set, frozenset)


class Binding:
    """Gives what reaches one of the originals as a copy that reaches its twin; all else it gives as it is.

    It follows functions (closures, defaults, and the globals they name), bound methods, partials, weak references and
    containers in each other.

    Args:
        twins: by the original's `id`.
    """

    def __init__(self, twins: Mapping[int, Any]):
        self._twins = twins
        self._made: dict[int, tuple[Any, Any]] = {}

    def __call__(self, value: Any) -> Any:
        """The value, or its copy."""
        if id(value) in self._twins:
            return self._twins[id(value)]
        if id(value) in self._made:
            return self._made[id(value)][1]
        if not self._reaches(value, set()):
            return value
        return self._function(value) if isinstance(value, FunctionType) else self._kept(value, self._other(value))

    def _reaches(self, value: Any, seen: set[int]) -> bool:
        if id(value) in self._twins:
            return True
        if id(value) in seen:
            return False
        seen.add(id(value))
        return any(self._reaches(each, seen) for each in held(value))

    def _kept(self, value: Any, made: Any) -> Any:
        self._made[id(value)] = value, made  # the value too, so that its id stays its own
        return made

    def _function(self, function: FunctionType) -> FunctionType:
        cells = tuple(CellType() for _ in function.__closure__ or ())
        read = named_globals(function)
        bound = {name: self(each) for name, each in read.items() if self._reaches(each, set())}
        names = _Globals(function.__globals__, bound) if bound else function.__globals__
        made = FunctionType(function.__code__, names, function.__name__, None, cells or None)
        self._kept(function, made)  # before it is filled, since it may reach itself
        for cell, original in zip(cells, function.__closure__ or (), strict=True):
            try:
                held = original.cell_contents
            except ValueError:  # not filled yet
                continue
            cell.cell_contents = self(held)
        made.__defaults__, made.__kwdefaults__ = self(function.__defaults__), self(function.__kwdefaults__)
        made.__dict__.update(function.__dict__)
        made.__qualname__, made.__module__ = function.__qualname__, function.__module__
        return made

    def _other(self, value: Any) -> Any:
        if isinstance(value, MethodType):
            return MethodType(self(value.__func__), self(value.__self__))
        if isinstance(value, partial):
            return partial(self(value.func), *map(self, value.args), **{k: self(v) for k, v in value.keywords.items()})
        if isinstance(value, weakref.ref):
            return weakref.ref(self(value()))
        if isinstance(value, dict):
            return type(value)((self(key), self(each)) for key, each in value.items())
        return type(value)(map(self, value))


class _Globals(dict[str, Any]):
    """The globals of a function with some of them replaced; the rest is looked up as it comes."""

    def __init__(self, names: dict[str, Any], replaced: dict[str, Any]):
        super().__init__({name: each for name, each in names.items() if name[:2] == name[-2:] == "__"} | replaced)
        self._names = names

    def __missing__(self, name: str) -> Any:
        return self._names[name]


def named_globals(function: FunctionType) -> dict[str, Any]:
    """The globals that a function names and may be given in a copy; none for a function that writes any."""
    names = names_in(function.__code__)
    if names.written:
        return {}
    return {chain[0]: function.__globals__[chain[0]] for chain in names.read if chain[0] in function.__globals__}


def held(value: Any) -> Iterable[Any]:
    """What functions and containers hold."""
    if isinstance(value, FunctionType):
        read = named_globals(value).values()
        # Functions from elsewhere belong to a library, which knows nothing of this module.
        near = [each for each in read if not isinstance(each, FunctionType) or each.__globals__ is value.__globals__]
        return [*contents(value), value.__defaults__, value.__kwdefaults__, *near]
    if isinstance(value, MethodType):
        return value.__func__, value.__self__
    if isinstance(value, partial):
        return value.func, value.args, value.keywords
    if isinstance(value, weakref.ref):
        return (value(),)
    if type(value) in _CONTAINERS and len(value) <= MOST:
        return [*value.keys(), *value.values()] if isinstance(value, dict) else value
    return ()
