"""A shelf for what takes effort to make: the newest few of it, kept for whoever needs the same again."""

from collections.abc import Hashable
from typing import Any


class Shelf:
    """What was made for a network with some effort, kept for whoever needs the same again; only the newest few.

    Who takes something has it alone, and puts it back; whoever needs it meanwhile, in another thread, makes its own.
    """

    MOST = 2

    def __init__(self):
        self._kept: dict[Hashable, Any] = {}

    def take(self, key: Hashable) -> Any:
        """What was put there under this key, which is then gone; None if there is nothing."""
        return self._kept.pop(key, None)  # one thread gets it, whoever asks at the same time

    def put(self, key: Hashable, value: Any) -> None:
        """Keeps it."""
        self._kept[key] = value
        for older in list(self._kept)[: -self.MOST]:
            self._kept.pop(older, None)
