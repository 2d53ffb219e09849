"""The threads that widgets and sessions work on, as a test finds them."""

import gc
import threading
import time
import weakref
from typing import Any

LONG = 60.0


def workers() -> list[threading.Thread]:
    """Those that there are."""
    return [thread for thread in threading.enumerate() if thread.name == "nbvis"]


def none_left() -> bool:
    """Whether all of them end: who said that it is done may take a moment to go."""
    for worker in workers():
        worker.join(LONG)
    return not workers()


def collected(reference: "weakref.ref[Any]") -> bool:
    """Whether something is collected, at the latest once no worker is in the middle of a step of it."""
    end = time.monotonic() + LONG
    while reference() is not None and time.monotonic() < end:
        gc.collect()
        time.sleep(0.01)
    return reference() is None
