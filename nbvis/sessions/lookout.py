"""Looks at a network on a worker thread, one after the other, for what only a pass can tell."""

import threading
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any

from .closing import close_at_exit
from .threads import started


class Finding:
    """Something that is being found out.

    Attributes:
        key: what is asked; empty for what stands alone.
        aside: whether it is good to know, but nobody need wait for it.
        error: why it could not be; None until then.
    """

    def __init__(self, work: Callable[[], Any], then: Callable[[Any], None], aside: bool = False, key: str = ""):
        self.aside, self.key = aside, key
        self.error: Exception | None = None
        self._work, self._then = work, weakref.WeakMethod(then)
        self._lock = threading.Condition()
        self._over = self._left = False

    @property
    def over(self) -> bool:
        """Whether it is found out, or cannot be."""
        return self._over

    def wait(self, timeout: float | None = None) -> bool:
        """Blocks until it is over; False if it is not after `timeout` seconds."""
        with self._lock:
            return self._lock.wait_for(lambda: self._over, timeout)

    def leave(self, timeout: float = 0.0) -> bool:
        """Waits for at most `timeout` seconds; True if it is not over then, and its error will go to the lookout."""
        with self._lock:
            self._left = not self._lock.wait_for(lambda: self._over, timeout)
            return self._left

    def ask_instead(self, work: Callable[[], Any]) -> None:
        """Finds out something else, before it has begun."""
        self._work = work

    def run(self, failed: Callable[["Finding"], None]) -> None:
        """Finds it out and hands it over; whoever asked may be gone by then."""
        try:
            found = self._work()
            if then := self._then():
                then(found)
        except Exception as error:
            self.error = error
        with self._lock:
            self._over = True
            self._lock.notify_all()
            alone = self._left
        if alone and self.error:
            failed(self)


class Lookout:
    """A worker thread that finds out one thing after the other; it lives while there is something to find out.

    Args:
        failed: bound method that gets each `Finding` with an error that nobody waits for, held weakly; called on the
            worker thread.
    """

    def __init__(self, failed: Callable[[Finding], None]):
        self._failed = weakref.WeakMethod(failed)
        self._lock = threading.Condition()
        self._looks: deque[Finding] = deque()
        self._now: Finding | None = None
        self._thread: threading.Thread | None = None
        self._closed = False
        close_at_exit(self)

    def ask(
        self, work: Callable[[], Any], then: Callable[[Any], None], *, aside: bool = False, key: str = ""
    ) -> Finding:
        """Has something found out.

        Args:
            work: function that finds it; it must not hold whoever asks.
            then: bound method that gets it, held weakly; called on the worker thread.
            aside: whether it comes after all else, and `wait` does not wait for it.
            key: what is asked; who still waits for the same gets this answer to it, in this place of the line. Empty
                for what stands alone.
        """
        with self._lock:
            if self._closed:
                raise RuntimeError("this widget is closed: make a new one")
            if key and (look := next((look for look in self._looks if look.key == key), None)):
                look.ask_instead(work)
                self._looks.remove(look)
            else:
                look = Finding(work, then, aside, key)
            self._looks.append(look)
            if self._thread is None:
                self._thread = started(_work, self)
        return look

    @property
    def closed(self) -> bool:
        """Whether nothing more can be asked."""
        return self._closed

    @property
    def here(self) -> bool:
        """Whether whoever asks is its own thread, which finds out nothing while it waits."""
        return threading.current_thread() is self._thread

    def wait(self, timeout: float | None = None) -> bool:
        """Blocks until all is found out but what is aside; False if it is not after `timeout` seconds."""
        if self.here:
            return True
        with self._lock:
            return self._lock.wait_for(lambda: all(look.aside for look in (*self._looks, self._now) if look), timeout)

    def end(self) -> None:
        """Finds out nothing more after what is being found out."""
        with self._lock:
            self._closed = True
            self._looks.clear()

    def close(self) -> None:
        """Ends it and its thread."""
        self.end()
        if (thread := self._thread) not in (None, threading.current_thread()):
            thread.join()

    def _next(self) -> Finding | None:
        with self._lock:
            self._now = min(self._looks, key=lambda look: look.aside, default=None)
            if self._now:
                self._looks.remove(self._now)
            else:
                self._thread = None
            self._lock.notify_all()
            return self._now

    def _tell_failed(self, look: Finding) -> None:
        if (failed := self._failed()) and not self._closed:
            failed(look)


def _work(reference: "weakref.ref[Lookout]") -> None:
    while (lookout := reference()) is not None and (look := lookout._next()) is not None:
        # While it works the thread holds nothing, so that what is forgotten can be collected.
        del lookout
        look.run(lambda look: _tell(reference, look))
        del look


def _tell(reference: "weakref.ref[Lookout]", look: Finding) -> None:
    if (lookout := reference()) is not None:
        lookout._tell_failed(look)
