"""The tokens of a formula, and the error that points at one."""

import re
from dataclasses import dataclass
from typing import Literal

Kind = Literal["number", "name", "quoted", "open", "symbol", "other", "end"]

LOGIT = "logit"
"""What stands for the network's output, as `logit[207]`."""

_BARE = r"[^\W\d]\w*(?:\.\w+)*(?::[0-9]+)?"

_TOKEN = re.compile(
    r"(?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)"
    rf"|(?P<name>{_BARE})"
    r"""|(?P<quoted>'[^']*'|"[^"]*")|(?P<open>'[^']*|"[^"]*)|(?P<symbol>[-+*/()\[\],])|(?P<other>.)""",
    re.DOTALL,
)

_WIDTH = 80
"""Characters of a formula that an error shows at most."""


@dataclass(frozen=True)
class Token:
    """A number, a layer's name, a symbol, or what is none of them; a quote may be left open."""

    kind: Kind
    text: str
    start: int

    @property
    def end(self) -> int:
        """The place after its last character."""
        return self.start + len(self.text)


class FormulaError(ValueError):
    """A formula that says nothing: the message says why, and shows where.

    Attributes:
        reason: the sentence alone.
        position: the first character that is wrong, from 0; the length of the text if something is missing at its end.
        length: how many are.
    """

    def __init__(self, reason: str, text: str, position: int, length: int):
        # What cannot be printed takes one place all the same, so that the carets stand right.
        reason, text = ("".join(each if each.isprintable() else " " for each in said) for said in (reason, text))
        self.reason, self.position, self.length = reason, position, length
        first = max(0, min(position - _WIDTH // 2, len(text) - _WIDTH))
        left, right = "…" if first else "", "…" if first + _WIDTH < len(text) else ""
        carets = "^" * max(1, min(length, first + _WIDTH - position))
        shown = f"{left}{text[first : first + _WIDTH]}{right}"
        super().__init__(f"{reason}\n    {shown}\n    {' ' * (len(left) + position - first)}{carets}")


def token_at(text: str, place: int) -> Token:
    """The first token from a place on."""
    while place < len(text) and text[place].isspace():
        place += 1
    found = _TOKEN.match(text, place)
    if found is None:
        return Token("end", "", place)
    assert found.lastgroup is not None
    return Token(found.lastgroup, found[0], place)  # type: ignore[arg-type]


def raw_class(text: str, place: int) -> Token:
    """What stands in the brackets of a class, from behind the opening one: a quoted label, or all up to the "]"."""
    token = token_at(text, place)
    if token.kind in ("quoted", "open"):
        return token
    end = text.find("]", place)
    given = text[place : len(text) if end < 0 else end]
    return Token("name", given.strip(), place + len(given) - len(given.lstrip()))


def written(name: str) -> str | None:
    """A layer's name as a formula writes it, in quotes if need be; None if it cannot be written."""
    if re.fullmatch(_BARE, name) and name != LOGIT:
        return name
    return next((f"{quote}{name}{quote}" for quote in "'\"" if quote not in name), None)
