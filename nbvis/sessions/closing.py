"""What has a worker thread is closed before the process ends."""

import atexit
import weakref
from typing import Protocol


class Closable(Protocol):
    """Something whose `close` ends its thread."""

    def close(self) -> None:
        """Ends it for good."""
        ...


_OPEN: "weakref.WeakSet[Closable]" = weakref.WeakSet()


def close_at_exit(session: Closable) -> None:
    """Has it closed while torch still works: a thread cut off by the end of the process would abort it."""
    _OPEN.add(session)


@atexit.register
def _close_all() -> None:
    for session in list(_OPEN):
        session.close()
