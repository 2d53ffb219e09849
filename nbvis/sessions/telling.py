"""A worker whose answers are told by a second thread, so that whoever asks, looks or draws is never held up."""

import contextlib
import threading
import weakref
from collections.abc import Callable
from typing import Any

from .gate import PATIENCE
from .threads import started
from .worker import Worker


class Telling(Worker):
    """A worker that has what it found told at the rate of its gate.

    The thread that tells lives while there is something to tell, or a slow view is waited for.

    Args:
        listener: bound method that gets the header of each frame, on that thread. A header whose "format" is "png"
            asks it for pictures. None instead of a header says that the state is another, and that pictures follow: a
            frame of its own would only hold them up.
        loop: of the worker's own thread.
        rested: bound method that is called there when what is shown stays for a while, held weakly.
        options_of_worker: as for `Worker`.
    """

    def __init__(
        self,
        listener: Callable[[dict[str, Any] | None], None],
        loop: "Callable[[weakref.ref[Any]], None]",
        rested: Callable[[], None],
        **options_of_worker: Any,
    ):
        self._rested = weakref.WeakMethod(rested)
        self._teller: threading.Thread | None = None
        self._busy = self._changed = self._due = self._urgent = self._unrested = self._telling = False
        super().__init__(listener, loop, **options_of_worker)

    def changed(self) -> None:
        """The same answers are to be shown in another way."""
        with self._lock:
            self._changed = self._unrested = True
            self._show()

    def wait(self, timeout: float | None = None) -> bool:
        """Blocks until all that is wanted is answered and told; False if it is not after `timeout` seconds."""
        telling = threading.current_thread() is self._teller
        with self._lock:
            return self._lock.wait_for(lambda: not self._busy and (telling or self._all_told()), timeout)

    def close(self) -> None:
        """Ends it for good, and its threads."""
        super().close()
        if (teller := self._teller) not in (None, threading.current_thread()):
            teller.join()

    def acknowledge(self, view: str, frame: int) -> None:
        """A view has drawn a frame, and may get the next."""
        with self._lock:
            super().acknowledge(view, frame)
            self._show()

    def _show(self) -> None:
        """Has the teller look whether there is something to tell; called under the lock."""
        self._lock.notify_all()
        if self._teller is None and not self._silent and (self._word() or self._waits_for_a_view()):
            self._teller = started(_tell_all, self)

    def _word(self) -> str:
        """What is to be told next: pictures, at least the state, that what is shown stays, or nothing."""
        behind = self._gate.in_flight()
        if self._changed and self._gate.watched and (self._urgent or not behind):
            return "pictures"
        if self._due or (self._changed and not self._gate.watched):
            return "state"
        return "" if self._changed or self._busy or behind or not self._unrested else "rest"

    def _all_told(self) -> bool:
        return self._silent or not (self._telling or self._word())

    def _waits_for_a_view(self) -> bool:
        waits = self._changed or (self._unrested and not self._busy)
        return waits and self._gate.watched and self._gate.in_flight() and not self._closed

    def _tell_next(self) -> bool:
        """Tells one thing, or waits for a view; False if there is nothing more to do, and then the thread is over."""
        with self._lock:
            word = "" if self._silent else self._word()
            if not word and self._waits_for_a_view():
                self._lock.wait(PATIENCE)
                if self._gate.leave_silent() and not self.background and self.state == "running":
                    self._halt("paused", forget=False)
                return True
            if not word:
                self._teller = None
                self._lock.notify_all()
                return False
            self._telling, header = True, None
            if word == "rest":
                self._unrested = False
            else:
                self._due = self._urgent = False
                self._changed = self._changed and word == "state" and self._gate.watched
                header = None if self._changed else self._header(word == "pictures")
        began = self._clock()
        try:
            if word != "rest":
                self._tell(header)
            elif rested := self._rested():
                rested()
        except Exception as failure:
            with self._lock:
                self._fail(failure)
                header = self._header(False)
            with contextlib.suppress(Exception):  # it hears nothing at all
                self._tell(header)
        with self._lock:
            self._telling = False
            if word == "pictures":
                self._gate.charge(self._clock() - began)
            self._lock.notify_all()
        return True

    def _header(self, pictures: bool) -> dict[str, Any]:
        """What a frame says of where the work stands."""
        raise NotImplementedError

    def _halt(self, state: str, forget: bool) -> None:
        """Ends the work, for good or until it goes on."""
        raise NotImplementedError


def _tell_all(reference: "weakref.ref[Telling]") -> None:
    while (worker := reference()) is not None and worker._tell_next():
        del worker
