"""Compiled modules run as they are written, so that hooks see what happens inside."""

import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext


class _Stance:
    """Shared by all blocks, since the compiler has one for the process: the last one closed brings the old one back."""

    def __init__(self):
        self._lock, self._blocks, self._before = threading.Lock(), 0, ExitStack()

    @contextmanager
    def eager(self) -> Iterator[None]:
        """Inside the block, what `torch.compile` made runs as it was written."""
        from torch.compiler import set_stance

        with self._lock:
            self._blocks += 1
            if self._blocks == 1:
                self._before.enter_context(set_stance("force_eager"))
        try:
            yield
        finally:
            with self._lock:
                self._blocks -= 1
                if not self._blocks:
                    self._before.close()


_stance = _Stance()


def uncompiled() -> AbstractContextManager[None]:
    """Inside the block, what `torch.compile` made runs as it was written, in every thread."""
    # Nothing is compiled before this is imported, which takes seconds.
    return _stance.eager() if "torch._dynamo" in sys.modules else nullcontext()
