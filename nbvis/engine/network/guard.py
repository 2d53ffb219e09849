"""The guard at a twin's door: in its passes nothing of the original runs, and nobody's random numbers are used up."""

import sys
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

from torch import Tensor, nn

from ..tracing.receptive_field import flat
from .code_names import Uses
from .random_state import Deal, Draws, Recomputed, Refusal, borrowed, dealing

CALL = "_compiled_call_impl"
"""Where `nn.Module.__call__` looks first for what to call: a twin has its guard there."""


class TwinError(RuntimeError):
    """A pass of a private copy that would have run parts of the original."""


class Guard:
    """What a twin is called through.

    The first pass looks at each tensor function: one that is given a weight or a buffer of the original, or is called
    by one of its parts, is refused before it runs. Looking costs a few hundredths of a small network's pass, so later
    passes are only looked at for random numbers, where there may be any.

    Args:
        original: the module that must not run.
        twin: its twin.
        uses: what the code of the original uses.

    Raises:
        TwinError: at the call, if the original would run.
    """

    def __init__(self, original: nn.Module, twin: nn.Module, uses: Uses):
        self.name = type(original).__name__
        self._twin, self._uses = weakref.ref(twin), uses
        self._streams = uses.streams
        self._tried, self._draws = False, uses.draws
        self.parts: dict[int, tuple[nn.Module, str]] = {}
        self.tensors: dict[int, tuple[Tensor, str]] = {}
        before = vars(original).get(CALL)  # the original may be a twin itself
        if isinstance(before, Guard):
            self.parts.update(before.parts)
            self.tensors.update(before.tensors)
        # All are held, since an `id` is a name only as long as its owner lives.
        for name, part in original.named_modules():
            self.parts[id(part)] = part, name
            for tensor in (*part._parameters.values(), *part._buffers.values(), *vars(part).values()):
                if isinstance(tensor, Tensor):
                    self.tensors[id(tensor)] = tensor, name

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
        watch = None if self._tried else _Watch(self, twin, deal, self._uses.hidden)
        mode = watch or (Draws(deal, self._uses.hidden) if self._draws else nullcontext())
        try:
            with borrowed(self._streams, deal), mode:
                return twin._call_impl(*args, **kwargs)
        except _OriginalRuns:
            if watch is None or watch.met is None:  # of another network's pass around this one
                raise
        finally:
            if watch is not None and watch.met is None:
                self._tried, self._draws = True, self._draws or deal.drew[0]
            elif watch is not None:
                raise TwinError(watch.met)


class _OriginalRuns(Refusal):
    pass


class _Watch(Draws):
    """Within it, a tensor function that belongs to the original is refused.

    Attributes:
        met: a sentence about the first one.
    """

    def __init__(self, guard: Guard, twin: nn.Module, deal: Deal, hidden: bool):
        super().__init__(deal, hidden)
        self._guard, self._own = guard, {id(part) for part in twin.modules()}
        self.met: str | None = None

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Runs the function, unless it belongs to the original."""
        for each in flat([*args, *(kwargs or {}).values()]):
            if id(each) in self._guard.tensors:
                self._refuse(self._guard.tensors[id(each)][1])
        frame = sys._getframe(1)
        while frame is not None and frame.f_code is not Guard._run.__code__:
            code = frame.f_code
            owner = id(frame.f_locals.get(code.co_varnames[0])) if code.co_argcount else None
            if owner in self._guard.parts:
                self._refuse(self._guard.parts[owner][1])
            if owner in self._own:  # what called it was looked at before, and is no part of the original
                break
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
