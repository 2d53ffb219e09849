"""The guard at a twin's door: in its passes nothing of the original runs, and nobody's random numbers are used up."""

import sys
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from ..tracing.receptive_field import flat
from .code_names import Uses
from .random_draws import Draws, Recomputed
from .random_state import Deal, Refusal, dealing
from .random_streams import borrowed

CALL = "_compiled_call_impl"
"""Where `nn.Module.__call__` looks first for what to call: a twin has its guard there."""


class TwinError(RuntimeError):
    """A pass of a private copy that would have run parts of the original."""


class Guard:
    """What a twin is called through.

    It looks at each tensor function of each pass, since a branch may be taken late: one that is given a weight or a
    buffer of the original, or is called by one of its parts, is refused before it runs.

    Args:
        original: the module that must not run.
        twin: its twin.
        uses: what the code of the original uses.

    Raises:
        TwinError: at the call, if the original would run.
    """

    def __init__(self, original: nn.Module, twin: nn.Module, uses: Uses):
        self.name = type(original).__name__
        self._twin, self._hidden, self._streams = weakref.ref(twin), uses.hidden, uses.streams
        self.parts: dict[int, tuple[nn.Module, str]] = {}
        self.tensors: dict[int, tuple[Tensor, str]] = {}
        before = guard_of(original)  # it may be a twin itself
        if before is not None:
            self.parts.update(before.parts)
            self.tensors.update(before.tensors)
        # All are held, since an `id` is a name only as long as its owner lives.
        for name, part in original.named_modules():
            self.parts[id(part)] = part, name
            for tensor in (*part._parameters.values(), *part._buffers.values(), *vars(part).values()):
                if isinstance(tensor, Tensor):
                    self.tensors[id(tensor)] = tensor, name

    @property
    def lost(self) -> bool:
        """Whether it can no longer reach the twin: the garbage collector had it, though a finalizer may keep it."""
        return self._twin() is None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Calls the twin."""
        with dealing() as deal:
            start = deal.states()
            try:
                return self._run(deal, args, kwargs)
            except Recomputed:
                deal.rewind(start)
                self._streams |= {"torch"}
            return self._run(deal, args, kwargs)

    def _run(self, deal: Deal, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        twin = self._twin()
        assert twin is not None  # whoever calls it holds it
        own: Any = super(type(twin), twin)
        call = twin._call_impl if type(twin).__call__ is nn.Module.__call__ else own.__call__
        watch = _Watch(self, twin, deal, self._hidden)
        try:
            with borrowed(self._streams, deal), watch:
                return call(*args, **kwargs)
        except _OriginalRuns:
            if watch.met is None:  # of another network's pass around this one
                raise
        finally:
            if watch.met is not None:
                raise TwinError(watch.met)


def guarded(kind: type[nn.Module]) -> type[nn.Module]:
    """The class for a twin of a module of this class: a subclass if its own way of being called has to be guarded."""
    if kind.__call__ is nn.Module.__call__:
        return kind
    names = {"__module__": kind.__module__, "__qualname__": kind.__qualname__, "__doc__": kind.__doc__}
    return type.__new__(type(kind), kind.__name__, (_Quiet, kind), names)  # a metaclass may keep a list, too


def unguarded(kind: type[nn.Module]) -> type[nn.Module]:
    """The class itself, or what `guarded` made it of."""
    return kind.__mro__[2] if isinstance(kind.__call__, Guard) else kind


class _Quiet:
    """Keeps from a class that somebody makes a subclass of it."""

    def __init_subclass__(cls) -> None:
        pass


def set_guard(twin: nn.Module, guard: Guard) -> None:
    """Has a twin, of a class that `guarded` gave, called through the guard."""
    if type(twin).__call__ is nn.Module.__call__:
        vars(twin)[CALL] = guard
    else:
        type(twin).__call__ = guard


def guard_of(module: nn.Module) -> Guard | None:
    """What a twin is called through; None for any other module."""
    return next((each for each in (vars(module).get(CALL), type(module).__call__) if isinstance(each, Guard)), None)


class _OriginalRuns(Refusal):
    pass


class _Watch(Draws):
    """Within it, a tensor function that belongs to the original is refused.

    Each costs three millionths of a second, of which a small network has a hundred a pass.

    Attributes:
        met: a sentence about the first one.
    """

    def __init__(self, guard: Guard, twin: nn.Module, deal: Deal, hidden: bool):
        super().__init__(deal, hidden)
        self._guard, self._parts, self._tensors = guard, guard.parts, guard.tensors
        self._own = {id(part) for part in twin.modules()}
        self.met: str | None = None

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Runs the function, unless it belongs to the original."""
        for each in flat((*args, *kwargs.values()) if kwargs else args):
            if id(each) in self._tensors:
                self._refuse(self._tensors[id(each)][1])
        frame = sys._getframe(1)
        while frame is not None and (code := frame.f_code) is not _RUN:
            if code.co_argcount:
                owner = id(frame.f_locals.get(code.co_varnames[0]))
                if owner in self._own:  # what called it was looked at before, and is no part of the original
                    break
                if owner in self._parts:
                    self._refuse(self._parts[owner][1])
            frame = frame.f_back
        return super().__torch_function__(func, types, args, kwargs)

    def _refuse(self, part: str) -> None:
        name = self._guard.name
        self.met = (
            f"the forward pass of {name} runs {f'{part!r} of ' if part else ''}the original network, which a private "
            "copy of it cannot replace there: it is reached by way of a global that a class or a library names, or of "
            "an object that cannot be copied. Reach it as an attribute (self.…), or from the closure or the defaults "
            "of a function"
        )
        raise _OriginalRuns


_RUN = Guard._run.__code__
