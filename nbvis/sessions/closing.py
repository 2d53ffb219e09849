"""Closes whatever has a worker thread before the process ends."""

import atexit
import weakref
from typing import Protocol


class Closable(Protocol):
    """Something with a thread."""

    def end(self) -> None:
        """Ends it for good as soon as can be, without a word and without waiting for it."""
        ...

    def close(self) -> None:
        """Ends it for good, and its thread."""
        ...


_OPEN: "weakref.WeakSet[Closable]" = weakref.WeakSet()


def close_at_exit(session: Closable) -> None:
    """Has it closed while torch still works: a thread cut off by the end of the process would abort it."""
    _OPEN.add(session)


@atexit.register
def _close_all() -> None:
    sessions = list(_OPEN)
    for session in sessions:
        session.end()  # whatever would carry a word to somebody is being closed too
    for session in sessions:
        session.close()
