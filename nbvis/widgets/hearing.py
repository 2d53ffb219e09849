"""How a widget hears its views while the kernel is busy."""

import contextlib
import threading
from typing import Any


def answer_where_asked(comm: Any) -> None:
    """Has messages of a comm handled on the sub-shell that its views send them to.

    ipykernel 7.4 hands them to the shell that sent the comm's last message: to that of the cell that started a run, and
    then an acknowledgement, or a click on Pause, would wait until that cell ends. A route of None leaves them alone.
    """
    if hasattr(comm, "_reply_subshell_for"):
        comm._reply_subshell_for = None


class Hearing:
    """Whether a word from a view would be heard now.

    Where the kernel handles messages between its cells only (ipykernel 6), a view that is silent while a cell runs
    is no view that is gone.
    """

    def __init__(self):
        self._beside = False
        self._answered = True
        kernel = getattr(_shell(), "kernel", None)
        self._loop = getattr(kernel, "io_loop", None)

    def heard(self) -> None:
        """A message is being handled, on the thread that calls this."""
        self._beside = threading.current_thread() is not threading.main_thread()

    def __call__(self) -> bool:
        """Whether the kernel has answered the question that the call before this one left for it."""
        if self._beside or self._loop is None:
            return True
        answered = self._answered
        if answered:
            self._answered = False
            with contextlib.suppress(RuntimeError):  # the kernel is closing
                self._loop.add_callback(self._answer)
        return answered

    def _answer(self) -> None:
        self._answered = True


def _shell() -> Any:
    from IPython import get_ipython

    return get_ipython()
