"""Python source of objectives, with a name for each mask and function that they hold."""

from __future__ import annotations

import keyword
import re
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from .objective import Term

_QUOTED = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""", re.DOTALL)

Text = Callable[["Names"], str]
"""Names → the source that goes by them."""


class Names:
    """Names for what source cannot spell: mask, mask_2, … and a function's own name; equal tensors share one.

    Args:
        taken: names that mean something else in the source.

    Attributes:
        given: what they stand for, by kind ("mask", "function", "network", "vector", "reference") and name, in the
            order in which they were met.
    """

    def __init__(self, taken: Collection[str] = ()):
        self.given: dict[str, dict[str, Any]] = {}
        self._taken = taken

    @property
    def masks(self) -> dict[str, Tensor]:
        """The masks by name."""
        return self.given.get("mask", {})

    @property
    def functions(self) -> dict[str, Callable[..., Any]]:
        """The functions by name."""
        return self.given.get("function", {})

    @property
    def values(self) -> dict[str, Any]:
        """Everything by name."""
        return {name: value for found in self.given.values() for name, value in found.items()}

    def tensor(self, kind: str, tensor: Tensor) -> str:
        """The name of a tensor of a kind."""
        found = self.given.setdefault(kind, {})
        known = (name for name, other in found.items() if tensor.dtype == other.dtype and torch.equal(tensor, other))
        return next(known, None) or self._new(kind, found, tensor)

    def mask(self, mask: Tensor) -> str:
        """The name of a mask."""
        return self.tensor("mask", mask)

    def function(self, function: Callable[..., Any]) -> str:
        """The name of a function: its own, or "function" if it has none that can be written."""
        own = getattr(function, "__name__", "")
        own = own if own.isidentifier() and not keyword.iskeyword(own) else "function"
        return self._itself("function", own, function)

    def network(self, network: Any) -> str:
        """The name of a network."""
        return self._itself("network", "network", network)

    def _itself(self, kind: str, wanted: str, value: Any) -> str:
        found = self.given.setdefault(kind, {})
        known = (name for name, other in found.items() if other is value)
        return next(known, None) or self._new(wanted, found, value)

    def _new(self, wanted: str, kept: dict[str, Any], value: Any) -> str:
        name, number = wanted, 1
        while name in self.values or name in self._taken:
            number += 1
            name = f"{wanted}_{number}"
        kept[name] = value
        return name


def sum_of(terms: Sequence[Term], names: Names, depth: int = 0) -> str:
    """A sum of terms: those that share a mask, and so a gradient, within one pair of brackets.

    Args:
        terms: the terms.
        names: of masks, functions and other tensors.
        depth: how many of the masks, from the last one on, are written already.
    """
    groups: dict[int, list[Term]] = {}
    for place, term in enumerate(terms):
        left = term.masks[: len(term.masks) - depth]
        groups.setdefault(id(left[-1]) if left else -1 - place, []).append(term)
    text = ""
    for key, group in groups.items():
        if key < 0:
            part = _weighted(group[0], group[0].text(names))
        elif len(group) == 1:
            part = _weighted(group[0], _masked(group[0], names, depth))
        else:
            inner = sum_of(group, names, depth + 1)
            part = f"{_bracketed(inner)}.within({names.mask(group[0].masks[-1 - depth])})"
        sign, part = ("-", part[1:]) if part[0] == "-" else ("+", part)
        text += f" {sign} {part}" if text else (f"-{part}" if sign == "-" else part)
    return text


def product_of(left: Sequence[Term], right: Sequence[Term]) -> Text:
    """The product of two sums."""

    def text(names: Names) -> str:
        first, second = sum_of(left, names), sum_of(right, names)
        first = f"({first})" if len(left) > 1 or first[0] == "-" else first
        return f"{first} * {f'({second})' if len(right) > 1 or _bare(second) else second}"

    return text


def _masked(term: Term, names: Names, depth: int) -> str:
    """A term within all its masks but the last `depth`."""
    text = _bracketed(term.text(names))
    return text + "".join(f".within({names.mask(mask)})" for mask in term.masks[: len(term.masks) - depth])


def _weighted(term: Term, text: str) -> str:
    sign, size = "-" if term.weight < 0 else "", repr(abs(term.weight)).removesuffix(".0")
    if term.constant:
        return f"{sign}{size}"
    # The brackets keep the order of the multiplications, and so the last bit.
    factor = "" if size == "1" else f"{size} * "
    return f"{sign}{factor}{_bracketed(text)}" if sign or factor else text


def _bracketed(text: str) -> str:
    return f"({text})" if _bare(text) else text


def _bare(text: str) -> bool:
    """Whether a text is a product or has a sign in front, outside of all brackets."""
    # `ast.parse` on two threads at once is a SystemError in either of them, up to Python 3.11.
    depth = 0
    for letter in _QUOTED.sub("", text):
        depth += (letter in "([") - (letter in ")]")
        if not depth and letter in "+-*/":
            return True
    return False
