"""Something to find out, and what can come of it."""

from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

Tell = Callable[..., None]
"""(done, total) or (done, total, answer so far) → nothing; it raises once the answer is not wanted any more.

An answer so far is shown until the next one; the task may not change it afterwards.
"""

Known = Callable[[Hashable], Any]
"""key → the answer found before; of its own key, what the task had told when it was stopped.

It raises `ValueError` with the reason if there can be no answer, and `LookupError` if there is none yet.
"""


class Task(NamedTuple):
    """Something to find out.

    Attributes:
        key: what is asked; the answer is kept under it.
        label: what somebody who waits for it reads.
        run: gives the answer, on the worker thread. It must not hold whoever asks.
        after: seconds for which nothing else may have been asked before it begins.
    """

    key: Any
    label: str
    run: Callable[[Tell, Known], Any]
    after: float = 0.0


class Refusal(NamedTuple):
    """The answer to a question that cannot be answered."""

    reason: str


class Partial(NamedTuple):
    """An answer that is not final yet: as much of it as has been found."""

    answer: Any
