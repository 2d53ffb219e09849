"""Threads that work for something that may go away meanwhile."""

import threading
import weakref
from collections.abc import Callable
from typing import Any


def started(loop: "Callable[[weakref.ref[Any]], None]", owner: Any) -> threading.Thread:
    """A thread that runs a loop for its owner, which the loop holds weakly; it does not keep the process alive."""
    thread = threading.Thread(target=loop, args=(weakref.ref(owner),), name="nbvis", daemon=True)
    thread.start()
    return thread
