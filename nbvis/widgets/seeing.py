"""How a panel looks at a network without holding the kernel's thread, and takes back what cannot be."""

import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import anywidget
import traitlets as t

from nbvis.sessions import Finding, Lookout, Worker, described, traced

from .subject import Subject

GRACE = 0.2
"""Seconds that a call from Python waits for a look at the network."""


class SeeingWidget(anywidget.AnyWidget):
    """A panel that finds things out on a thread of its own, and says in words what cannot be.

    Args:
        subject: what it is about.
        options: any of the traits.
    """

    error = t.Unicode("", help="What went wrong, empty if nothing did.").tag(sync=True)
    traceback = t.Unicode("", help="Of an error of the network's own code, from where that begins.").tag(sync=True)
    _doing = t.Unicode("", help="What is being found out about the network; empty once it is.").tag(sync=True)

    _session: Worker
    _subject: Subject
    _looks_at = "Looking at the network's layers…"
    _look: Finding | None = None
    _refusal = "", ""

    def __init__(self, subject: Subject, **options: Any):
        self._subject = subject
        self._lookout, self._asking = Lookout(self._on_failure), threading.local()
        # traitlets takes one thread at a time, and here are three: the kernel's, its sub-shell's and the worker.
        self._traits_lock = threading.RLock()
        super().__init__(**options)

    def _begin_to_see(self) -> None:
        """Looks at the network for the first time, or again after an error."""
        self._doing = self._looks_at
        self._look = None
        self._look = self._see()
        if self._look.over and self._look.error:
            raise self._look.error

    def _see(self) -> Finding:
        return self._look_at(self._subject)

    def _look_at(self, subject: Subject, *wanted: Any) -> Finding:
        """Looks at a network and a picture, and at whether what is wanted fits them."""
        return self._find_out(functools.partial(_looked, subject, wanted), self._on_seen)

    def _on_seen(self, subject: Any) -> None:
        """Takes over what a look at the network found, on the worker's thread."""
        with self._traits_lock:
            first, self._subject = subject is self._subject, subject
            self._take_over(first)

    def _take_over(self, first: bool) -> None:
        """Sets what follows from a subject that has been looked at; raises for what has been set and cannot be.

        Args:
            first: whether that was the first look; otherwise there is another picture.
        """
        raise NotImplementedError

    def _find_out(
        self, work: Callable[[], Any], then: Callable[[Any], None], key: str = "", patient: bool = False
    ) -> Finding:
        """Runs `work` beside the kernel's thread; a call from Python waits a moment for it.

        Args:
            work: function that finds it; it must not hold the widget.
            then: bound method that gets it, on the worker's thread.
            key: what is asked, so that only the last one of those that wait is; empty for what stands alone.
            patient: whether it is waited for, whoever calls.

        Returns:
            the look; if it is over already, its error is for the caller to raise.
        """
        return self._wait_a_moment(self._lookout.ask(work, then, key=key), patient)

    def _wait_a_moment(self, look: Finding, patient: bool = False) -> Finding:
        """Waits for a look if the caller has time."""
        hurries = self._lookout.here or (self._told_by_a_view and not patient)
        look.leave(0.0 if hurries else GRACE)
        return look

    def _on_failure(self, look: Finding) -> None:
        """Takes back what turned out to be impossible, on the worker's thread."""
        self._refuse(look.error)

    def _refuse(self, error: Exception | None) -> None:
        """Says why a value that was given was not taken; None once one is, or something is asked for."""
        with self._traits_lock:
            ours = error is None or (isinstance(error, t.TraitError) and error.__cause__ is None)
            self._refusal = described(error) if error else "", "" if ours or error is None else traced(error)
            self.error, self.traceback = self._refusal if error else self._failure

    @property
    def _failure(self) -> tuple[str, str]:
        """What went wrong and its traceback, both empty if nothing did."""
        session = self._session
        return (session.error, session.traceback) if session.error else ("", "")

    @contextmanager
    def _unhurried(self, by_a_view: bool = False) -> Iterator[None]:
        """Within it no trait waits for the first look to be over; what is done `by_a_view` waits for nothing at all."""
        now = self._asking
        before = getattr(now, "reads", False), getattr(now, "view", False)
        now.reads, now.view = True, by_a_view or before[1]
        try:
            yield
        finally:
            now.reads, now.view = before

    @contextmanager
    def _at_once(self) -> Iterator[None]:
        """Within it the traits are this thread's, as for `_unhurried`, and the views are told at its end, once."""
        with self._traits_lock, self._unhurried():
            if hasattr(self._asking, "names"):
                yield
                return
            self._asking.names = set()
            try:
                yield
            finally:
                names = self._asking.names
                del self._asking.names
                if names:
                    self.send_state(names)

    def send_state(self, key: Any = None) -> None:
        """Sends the views what traits are now, or will do so; see `_at_once`."""
        names = getattr(self._asking, "names", None)
        if names is None or key is None:
            super().send_state(key)
        else:
            names.update([key] if isinstance(key, str) else key)

    @property
    def _from_a_view(self) -> bool:
        """Whether what is being done was asked for by a view."""
        return getattr(self._asking, "view", False)

    @property
    def _told_by_a_view(self) -> bool:
        return self._from_a_view or threading.current_thread().name == "nbvis"

    def _wait_for_look(self, timeout: float | None = None) -> None:
        """Waits for the first look, unless a view asks or a worker tells: neither may be held up."""
        if self._look is not None and not self._look.over:
            if not (getattr(self._asking, "reads", False) or self._told_by_a_view):
                self._look.wait(timeout)


def _looked(subject: Subject, wanted: tuple[Any, ...]) -> Subject:
    subject.look(*wanted)
    return subject
