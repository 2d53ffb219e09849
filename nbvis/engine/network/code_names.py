"""What Python code uses by name: globals, and random numbers."""

import dis
import inspect
import random
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import nn

_LIBRARIES = frozenset(("torch", "torchvision", "numpy", *sys.stdlib_module_names)) - {"__main__"}

_RANDOM: Any = np.random  # with names that its type stubs leave out
_STREAMS = dict.fromkeys(
    map(
        id,
        (
            torch.default_generator,
            # Inside their wrappers, since PyTorch's compiler puts others around them once it is loaded.
            *map(
                inspect.unwrap,
                (
                    torch.manual_seed,
                    torch.seed,
                    torch.set_rng_state,
                    torch.random.fork_rng,
                    torch.cuda.manual_seed,
                    torch.cuda.manual_seed_all,
                    torch.cuda.set_rng_state,
                ),
            ),
        ),
    ),
    "torch",
)
_STREAMS |= dict.fromkeys(map(id, (_RANDOM, _RANDOM.mtrand._rand, _RANDOM.seed, _RANDOM.ranf, _RANDOM.sample)), "numpy")
_STREAMS |= dict.fromkeys(map(id, (random, random._inst)), "random")  # pyright: ignore[reportAttributeAccessIssue]


@dataclass(frozen=True)
class Names:
    """What the code of a function names, in itself or in a function inside it.

    Attributes:
        read: each global it reads, with the attributes taken of it: ("np", "random", "rand").
        own: attributes that it takes of its first argument.
        taken: attributes that it takes of anything else.
        imported: packages that it imports as it runs.
        written: whether it writes a global.
    """

    read: frozenset[tuple[str, ...]]
    own: frozenset[str]
    taken: frozenset[str]
    imported: frozenset[str]
    written: bool


@lru_cache(4096)
def names_in(code: CodeType) -> Names:
    """Reads the code of a function."""
    chains: list[list[str]] = []
    imported: set[str] = set()
    written, follows = False, False
    first = code.co_varnames[0] if code.co_argcount else None
    for step in dis.get_instructions(code):
        if step.opname in ("LOAD_ATTR", "LOAD_METHOD"):
            if not follows:
                chains.append([_ANYTHING])
            chains[-1].append(step.argval)
            follows = True
            continue
        follows = step.opname in ("LOAD_GLOBAL", "LOAD_NAME") or (
            step.opname.startswith(("LOAD_FAST", "LOAD_DEREF")) and step.argval == first
        )
        if follows:
            chains.append([_FIRST if step.argval == first else step.argval])
        elif step.opname == "IMPORT_NAME":
            imported.add(step.argval.partition(".")[0])
        elif step.opname in ("STORE_GLOBAL", "DELETE_GLOBAL"):
            written = True
    inner = [names_in(each) for each in code.co_consts if isinstance(each, CodeType)]
    read = {tuple(chain) for chain in chains if chain[0] not in (_FIRST, _ANYTHING)}
    taken = {name for chain in chains if chain[0] != _FIRST for name in chain}
    return Names(
        frozenset(read).union(*(each.read for each in inner)),
        frozenset(chain[1] for chain in chains if chain[0] == _FIRST and len(chain) > 1),
        frozenset(taken).union(*(each.taken for each in inner)),
        frozenset(imported).union(*(each.imported for each in inner)),
        written or any(each.written for each in inner),
    )


_FIRST, _ANYTHING = "(first argument)", "(anything)"


@dataclass(frozen=True)
class Uses:
    """What a forward pass may use, as far as its code says.

    Attributes:
        streams: random streams of the whole process: "numpy", "random", and "torch" if it seeds torch's own generator
            or sets its state; mere draws are dealt from another one.
        hidden: whether some of it is TorchScript, in which no tensor functions are seen.
    """

    streams: frozenset[str]
    hidden: bool


def uses_of(module: nn.Module) -> Uses:
    """What the forward passes of a module's parts and its hooks use."""
    search, parts = _Search(), list(module.modules())
    for kind in dict.fromkeys(map(type, parts)):
        search.method(kind, "forward")
    for part in parts:
        for value in vars(part).values():
            if isinstance(value, FunctionType | MethodType | dict) and value:
                search.value(value)
    scripted = any(isinstance(part, torch.jit.ScriptModule) for part in parts)
    return Uses(frozenset(search.streams), search.hidden or scripted)


def uses_of_function(function: Any) -> Uses:
    """What a function uses."""
    search = _Search()
    search.value(function)
    return Uses(frozenset(search.streams), search.hidden)


class _Search:
    def __init__(self):
        self.streams: set[str] = set()
        self.hidden = False
        self._seen: set[int] = set()

    def method(self, kind: type, name: str) -> None:
        """A method or property of a class, and what it names."""
        held = next((vars(each)[name] for each in kind.__mro__ if name in vars(each)), None)
        held = held.fget if isinstance(held, property) else getattr(held, "__func__", held)
        if isinstance(held, FunctionType):
            self.function(held, kind)

    def value(self, value: Any) -> None:
        """Whatever may be called, or holds such."""
        if (stream := _stream(value)) is not None:
            self.streams.add(stream)
        elif isinstance(value, torch.jit.ScriptFunction):
            self.hidden = True
        elif isinstance(value, FunctionType):
            self.function(value, None)
        elif isinstance(value, MethodType):
            self.function(value.__func__, type(value.__self__))
        elif isinstance(value, partial):
            self.value(value.func)
        elif isinstance(value, Mapping):
            for each in value.values() if len(value) <= MOST else ():
                if callable(each) and not isinstance(each, nn.Module):
                    self.value(each)
        elif callable(value) and not isinstance(value, type | nn.Module):
            self.method(type(value), "__call__")

    def function(self, function: FunctionType, kind: type | None) -> None:
        """A function, of a class if given, and what it names."""
        if id(function) in self._seen or function.__module__ is None:
            return
        self._seen.add(id(function))
        if function.__module__.partition(".")[0] in _LIBRARIES:
            return
        names = names_in(function.__code__)
        # A package imported on the way is not resolved; what else would be done with these two?
        self.streams |= names.imported & ({"random", "numpy"} if "random" in names.taken else {"random"})
        for chain in names.read:
            self.value(_resolved(function.__globals__, chain))
        for cell in contents(function):
            if callable(cell) and not isinstance(cell, nn.Module):
                self.value(cell)
        if kind is not None:
            for name in names.own:
                self.method(kind, name)


MOST = 1000
"""Entries of a container beyond which it is taken for data, and not searched for functions."""


def contents(function: FunctionType) -> Iterator[Any]:
    """What the cells of a closure hold."""
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # not filled yet
            continue


def _resolved(names: Mapping[str, Any], chain: tuple[str, ...]) -> Any:
    """The last object of a chain of attributes that there is."""
    value = names.get(chain[0])
    for name in chain[1:]:
        if _stream(value) is not None and not isinstance(value, ModuleType):
            break
        try:
            value = inspect.getattr_static(value, name) if not isinstance(value, ModuleType) else getattr(value, name)
        except AttributeError:
            break
    return value


def _stream(value: Any) -> str | None:
    value = inspect.unwrap(value) if isinstance(value, FunctionType) else value
    return _STREAMS.get(id(value)) or _STREAMS.get(id(getattr(value, "__self__", None)))
