"""What the other threads do: whether they run a network, or write its weights."""

import gc
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NamedTuple

_OWN = __name__.partition(".")[0] + "."


class OtherThreads(NamedTuple):
    """The other threads, by their idents: all, those in a forward or backward pass, and those that write weights."""

    alive: set[int]
    passing: set[int]
    writing: set[int]


def other_threads() -> OtherThreads:
    """Where the other threads are, seen from outside, since hooks on a guest's network or optimizer are not for us."""
    with _uncollected():
        return _by_frames()


def _by_frames() -> OtherThreads:
    found = OtherThreads(set(), set(), set())
    frames = sys._current_frames()
    # A frame that is among its own variables would stay, with all that its callers hold, until garbage is collected.
    del frames[threading.get_ident()]
    for thread, frame in frames.items():
        found.alive.add(thread)
        doing = _doing(frame)
        if doing:
            getattr(found, doing).add(thread)
    return found


_collecting = threading.Lock()


@contextmanager
def _uncollected() -> Iterator[None]:
    """No garbage is collected inside the block.

    Up to Python 3.11 a collection may begin while another thread's frame is looked up. A finaliser that it runs, such
    as a tensor's, lets that thread go on; the frame is gone before it was found, and memory is torn.
    """
    with _collecting:  # else the first to leave would switch it on for the others
        enabled = gc.isenabled()
        gc.disable()
        try:
            yield
        finally:
            if enabled:
                gc.enable()


def _doing(frame: FrameType | None) -> str:
    """What a thread does that runs code of this frame; nothing, if it is one of our own.

    The innermost tells: an optimizer may evaluate the network within its step, and stands still meanwhile.
    """
    found = ""
    while frame is not None:
        module, function = frame.f_globals.get("__name__") or "", frame.f_code.co_name
        if module.startswith(_OWN):
            return ""
        if not found:
            if (module, function) in _PASSES:
                found = "passing"
            elif module.startswith("torch.optim.") or (module, function) in _WRITES:
                found = "writing"
        frame = frame.f_back
    return found


_PASSES = {("torch.nn.modules.module", "_call_impl"), ("torch.autograd.graph", "_engine_run_backward")}
_WRITES = {("torch.nn.modules.module", name) for name in ("load_state_dict", "_load_from_state_dict", "_apply")}
