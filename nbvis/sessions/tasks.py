"""Something to find out, and what can come of it."""

from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

Tell = Callable[[int, int], None]
"""(done, total) → nothing; it raises once the answer is not wanted any more."""

Known = Callable[[Hashable], Any]
"""key → the answer found before; it raises `ValueError` with the reason if that was refused."""


class Task(NamedTuple):
    """Something to find out.

    Attributes:
        key: what is asked; the answer is kept under it.
        label: what somebody who waits for it reads.
        run: gives the answer, on the worker thread. It must not hold whoever asks.
    """

    key: Any
    label: str
    run: Callable[[Tell, Known], Any]


class Refusal(NamedTuple):
    """The answer to a question that cannot be answered."""

    reason: str
