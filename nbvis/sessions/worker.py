"""A worker: one thread for one widget, with its state, its errors, its views and its end."""

import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

from .closing import close_at_exit
from .gate import Gate
from .threads import started
from .tracebacks import traced


class Worker:
    """What works on a thread of its own, and tells a listener how it stands.

    The thread lives while there is something to do, and holds the worker only while it must, so that a worker that
    nobody holds any more ends by itself.

    Args:
        listener: bound method that hears how it stands, held weakly; called on the thread and on the callers'.
        loop: what the thread runs; it gets a weak reference to the worker.
        background: whether it goes on when the last view leaves; otherwise it pauses.
        gate: decides when a frame goes out.
        listens: function that says whether a view would be heard now.
        clock: function that gives the time in seconds.

    Attributes:
        state: "ready", "running", "paused", "stopped", "finished" or "error".
        error: why it is "error", otherwise empty.
        traceback: that of the last error, from where the network's own code begins; empty if it was not raised there.
    """

    def __init__(
        self,
        listener: Callable[[Any], None],
        loop: "Callable[[weakref.ref[Any]], None]",
        *,
        background: bool = False,
        gate: Gate | None = None,
        listens: Callable[[], bool] = lambda: True,
        clock: Callable[[], float] = time.perf_counter,
    ):
        self.state, self.error, self.traceback, self.background = "ready", "", "", background
        self._listener, self._loop = weakref.WeakMethod(listener), loop
        self._gate, self._clock = gate or Gate(listens=listens), clock
        self._lock = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = self._silent = False
        close_at_exit(self)

    def stop(self) -> None:
        """Ends what is being done; what is shown stays."""
        raise NotImplementedError

    def fail(self, error: Exception) -> None:
        """Says that it cannot work."""
        raise NotImplementedError

    def wait(self, timeout: float | None = None) -> bool:
        """Blocks until it rests; False if it does not within `timeout` seconds."""
        raise NotImplementedError

    def joined(self, view: str) -> None:
        """A view appeared."""
        raise NotImplementedError

    def left(self, view: str) -> None:
        """A view is gone."""
        raise NotImplementedError

    def end(self) -> None:
        """Ends it for good as soon as can be, without a word and without waiting for it."""
        self._closed = self._silent = True
        self.stop()

    def close(self) -> None:
        """Ends it for good, and its thread."""
        self._closed = True
        self.stop()
        if (thread := self._thread) not in (None, threading.current_thread()):
            thread.join()

    @property
    def watched(self) -> bool:
        """Whether there is a view."""
        return self._gate.watched

    def displayed(self) -> None:
        """A view will appear."""
        with self._lock:
            self._gate.expect()

    def acknowledge(self, view: str, frame: int) -> None:
        """A view has drawn a frame."""
        with self._lock:
            self._gate.acknowledge(view, frame)
            self._lock.notify_all()

    def _work(self) -> None:
        """Has the thread run, if it does not; called under the lock."""
        if self._thread is None and not self._closed:
            self._thread = started(self._loop, self)

    def _fail(self, error: Exception, where: str = "") -> None:
        self.state, self.error, self.traceback = "error", where + described(error), traced(error)

    def _tell(self, message: Any) -> None:
        listener = self._listener()
        if listener is not None and not self._silent:
            listener(message)


def described(error: BaseException) -> str:
    """An exception as a sentence for the panel."""
    expected = isinstance(error, ValueError | RuntimeError | FloatingPointError)
    text = str(error) if expected else f"{type(error).__name__}: {error}"
    return text or type(error).__name__
