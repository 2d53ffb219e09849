"""Weights that stand still while a network is looked at, though another thread may be training it."""

import copy
import functools
import inspect
import time
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

import torch
from torch import Tensor, nn

from .imprint import Imprint, versions_of, weights_of
from .network import Network, as_network
from .other_threads import OtherThreads, other_threads
from .twin import twin_of

_T = TypeVar("_T")
_P = ParamSpec("_P")

_QUIET = 0.003
"""Seconds for which nothing may happen, where nobody is seen to train, before a copy counts as consistent."""

_PATIENCE, _LATE, _END = 0.05, 0.3, 1.0
"""Seconds: what one step waits for a copy at most; after which the weights may be seen to change without anybody being
seen in a forward or backward pass; and after which nothing more is tried."""

_PAUSE = 0.0005

_PERIOD = 0.5
"""Seconds between two snapshots while somebody trains, since a snapshot takes as long as a few steps, and a descent
whose target moves with every update gets nowhere."""


class Steady:
    """A network for tasks that need all its weights from one moment, though another thread may be training it.

    A task runs on the network itself, and shares its weights, as long as nobody changes them meanwhile. Once somebody
    does, the task is run again on a snapshot, a private copy of the weights as they were between two updates; from then
    on each task gets a new snapshot if the weights have changed, though only twice a second while somebody trains. What
    is trained is only ever read.

    Between two updates means: no thread is inside an optimizer's step, no weight was written while they were copied,
    and whoever trains is in a forward or backward pass. Buffers, such as the statistics of a batch norm, are as they
    were shortly after.

    Args:
        network: the network.

    Attributes:
        network: what the last task ran on.
    """

    def __init__(self, network: Network):
        self.network = self._original = network
        self._trainers: set[int] = set()
        self._taken_from: Imprint | None = None
        self._stale_since: float | None = None
        self._copies, self._seconds, self._taken_at = 0, 0.0, 0.0
        self._weights: list[Tensor] = []
        self._versions: list[int] = []

    @property
    def notes(self) -> tuple[str, ...]:
        """A sentence on the snapshots and what they cost, if there were any."""
        if not self._copies:
            return ()
        times = "once" if self._copies == 1 else f"{self._copies} times"
        each = f"{1e3 * self._seconds / self._copies:.2g} ms" + (" each" if self._copies > 1 else "")
        notes = f"The network was trained meanwhile: its weights were copied {times}, {each}.", *self._age()
        return (" ".join(notes),)

    def run(self, task: Callable[[Network], _T]) -> _T:
        """What a task gives for the network with all its weights from one moment; it may have to run twice.

        Raises:
            RuntimeError: if another thread writes the weights without a pause.
        """
        if self.network is not self._original:
            self._renew()
            return task(self.network)
        self._weights = weights_of(self._original.module)
        self._versions = versions_of(self._weights)
        try:
            found = task(self.network)
        except (Exception, _DisturbedError):
            if not self._disturbed():
                raise
        else:
            if not self._disturbed():
                return found
        self._begin()
        return task(self.network)

    def check(self) -> None:
        """Ends a task that runs in vain, because the weights it shares have changed."""
        if self.network is self._original and versions_of(self._weights) != self._versions:
            raise _DisturbedError

    def _disturbed(self) -> bool:
        """Whether a weight was written since the task began; a write counts once it is over, so it is waited for."""
        end = time.perf_counter() + _LATE
        while versions_of(self._weights) == self._versions:
            if not other_threads().writing or time.perf_counter() > end:
                return False
            time.sleep(_PAUSE)
        return True

    def _begin(self) -> None:
        began = time.perf_counter()
        if not (self._take(began + _LATE, strict=True) or self._take(began + _END, strict=False)):
            raise RuntimeError(
                "another thread writes the network's weights without a pause, so there is no moment to look at them"
            )

    def _renew(self) -> None:
        """Takes a snapshot if anything has changed; one that cannot be had in time is left to the next task."""
        assert self._taken_from is not None
        if self._taken_from.holds():
            self._stale_since = None
            return
        now, others = time.perf_counter(), self._look()
        if (others.passing or others.writing) and now < self._taken_at + _PERIOD:
            return
        self._stale_since = self._stale_since or now
        strict = now < self._stale_since + _LATE
        self._take(now + (_PATIENCE if strict else _LATE), strict)

    def _age(self) -> tuple[str, ...]:
        if self._stale_since is None or (age := time.perf_counter() - self._stale_since) < _END:
            return ()
        return (f"The last copy is {age:.0f} s old, since they are written without a pause.",)

    @torch.inference_mode(False)
    def _take(self, end: float, strict: bool) -> bool:
        """Whether a consistent copy could be taken before the end; not so `strict`, nobody need be seen in a pass."""
        began = time.perf_counter()
        imprint = Imprint(self._original.module)
        weights = weights_of(self._original.module)
        sources = [weight.detach() for weight in weights]
        own = [torch.empty_like(source) for source in sources]
        while not self._copied(weights, sources, own, strict):
            if time.perf_counter() > end:
                return False
            time.sleep(_PAUSE)
        values = {id(weight): value for weight, value in zip(weights, own, strict=True)}
        network = copy.copy(self._original)
        network.module = twin_of(self._original.module, values).to(network.device)
        self.network, self._taken_from, self._stale_since = network, imprint, None
        self._taken_at = time.perf_counter()
        self._copies, self._seconds = self._copies + 1, self._seconds + self._taken_at - began
        return True

    def _copied(self, weights: list[Tensor], sources: list[Tensor], own: list[Tensor], strict: bool) -> bool:
        """Copies once; whether that was between two updates."""
        before, versions = self._look(), versions_of(weights)
        if before.writing:
            return False
        if sources:
            torch._foreach_copy_(own, sources)  # type: ignore[reportPrivateImportUsage]  # one call, so that it is short
        after = self._look()
        # A version is raised after the write, so that an optimizer may be writing though none has changed.
        if after.writing or versions_of(weights) != versions:
            return False
        if not strict:
            return True
        if trainers := self._trainers & before.alive & after.alive:
            return trainers <= before.passing & after.passing
        end = time.perf_counter() + _QUIET
        while time.perf_counter() < end:
            time.sleep(_PAUSE)
            self._look()
            if self._trainers or versions_of(weights) != versions:
                return False
        return True

    def _look(self) -> OtherThreads:
        others = other_threads()
        self._trainers |= others.passing | others.writing
        return others


class _DisturbedError(BaseException):
    """Ends a task that runs in vain; no `except Exception` on the way may catch it."""


def steadily(
    answer: Callable[Concatenate[Network | nn.Module, _P], _T],
) -> Callable[Concatenate[Network | nn.Module, _P], _T]:
    """Makes a function that asks a network many things ask them all of the same weights.

    It may have to start again, on a snapshot; its `progress`, if it has such an argument, then waits until it has
    caught up.
    """
    tells = "progress" in inspect.signature(answer).parameters

    @functools.wraps(answer)
    def asked(network: Network | nn.Module, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        steady = Steady(as_network(network))
        if tells:
            kwargs["progress"] = _checking(steady, kwargs.get("progress"))
        return steady.run(lambda network: answer(network, *args, **kwargs))

    return asked


def _checking(steady: Steady, progress: object) -> Callable[[int, int], None]:
    most = 0

    def told(done: int, total: int) -> None:
        nonlocal most
        most = max(most, done)
        if callable(progress):
            progress(most, total)
        if done < total:
            steady.check()

    return told
