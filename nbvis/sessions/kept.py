"""Answers that are kept while there is room for them."""

import dataclasses
from collections import OrderedDict
from collections.abc import Container, Hashable, Mapping
from typing import Any

from torch import Tensor

KEPT = 256 * 2**20
"""Bytes of answers that are kept, the last used ones."""


class Kept:
    """The answers by what was asked; those used last stay."""

    def __init__(self):
        self._found: OrderedDict[Hashable, Any] = OrderedDict()

    def get(self, key: Hashable) -> Any:
        """The answer, None while there is none."""
        if key in self._found:
            self._found.move_to_end(key)
        return self._found.get(key)

    def put(self, key: Hashable, answer: Any) -> None:
        """Takes an answer in the place of an earlier one."""
        self._found[key] = answer

    def make_room(self, wanted: Container[Hashable]) -> None:
        """Forgets what was used longest ago and is not wanted now, as far as there is too much."""
        room = KEPT - sum(map(size_of, self._found.values()))
        for key in [each for each in self._found if each not in wanted]:
            if room >= 0:
                break
            room += size_of(self._found.pop(key))


def size_of(answer: Any) -> int:
    """Bytes of the tensors in an answer, of whatever kind it is."""
    if isinstance(answer, Tensor):
        return answer.numel() * answer.element_size()
    if isinstance(answer, Mapping):
        return sum(map(size_of, answer.values()))
    if isinstance(answer, list | tuple):
        return sum(map(size_of, answer))
    if dataclasses.is_dataclass(answer):
        return sum(size_of(getattr(answer, field.name)) for field in dataclasses.fields(answer))
    return 0
