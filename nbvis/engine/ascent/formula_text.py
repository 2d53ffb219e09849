"""The formula of an objective, where it has one."""

from .formula_names import OF_CHANNELS, OF_LAYERS
from .formula_tokens import LOGIT, Token, token_at, written
from .objective import Objective
from .objective_source import Names

_UNARY, _SINGLE = 3, 4


def as_formula(objective: Objective) -> str | None:
    """The text from which `formula` makes the same objective to the bit; None where there is no such text.

    There is none for masks, vectors, pictures and functions of one's own.

    Args:
        objective: any.

    Example:
        >>> as_formula(channel("layer3", 12) - 2 * (logit(207) + 1))
        'layer3[12] - 2 * logit[207] - 2'
    """
    names = Names()
    source = objective.source(names)
    # A layer whose name needs a backslash cannot be written in a formula either.
    if names.given or "\\" in source:
        return None
    try:
        return _Reader(source).text()
    except (_NoFormulaError, RecursionError):
        return None


class _NoFormulaError(Exception):
    """A part of an objective that a formula cannot say."""


_Part = tuple[str, int]
"""A text, and how closely what is outermost in it binds."""


class _Reader:
    """Reads the source of an objective: a sum of products of calls and numbers."""

    def __init__(self, source: str):
        self._source, self._place = source, 0

    def text(self) -> str:
        """The formula."""
        text, _ = self._sum()
        if self._next().kind != "end":
            raise _NoFormulaError
        return text

    def _next(self) -> Token:
        return token_at(self._source, self._place)

    def _take(self) -> Token:
        token = self._next()
        self._place = token.end
        return token

    def _takes(self, *symbols: str) -> str:
        """The next symbol if it is one of these."""
        return self._take().text if self._next().kind == "symbol" and self._next().text in symbols else ""

    def _sum(self) -> _Part:
        left = self._product()
        while sign := self._takes("+", "-"):
            left = _joined(left, sign, self._product(), 1)
        return left

    def _product(self) -> _Part:
        left = self._signed()
        while sign := self._takes("*", "/"):
            left = _joined(left, sign, self._signed(), 2)
        return left

    def _signed(self) -> _Part:
        if not self._takes("-"):
            return self._single()
        text, binding = self._signed()
        return f"-{text if binding >= _UNARY else f'({text})'}", _UNARY

    def _single(self) -> _Part:
        token = self._take()
        if token.kind == "number":
            return token.text, _SINGLE
        if token.text == "(":
            inner = self._sum()
            if self._takes(")"):
                return inner
        if token.kind == "name" and self._takes("("):
            return _call(token.text, self._given()), _SINGLE
        raise _NoFormulaError

    def _given(self) -> list[object]:
        """The arguments of a call, up to the bracket behind them."""
        given: list[object] = []
        while not self._takes(")"):
            negative, token = self._takes("-"), self._take()
            if token.kind == "quoted" and not negative:
                given.append(token.text[1:-1])
            elif token.kind == "number" and token.text.isdecimal():
                given.append(-int(token.text) if negative else int(token.text))
            elif token.text == "None":
                given.append(None)
            else:
                raise _NoFormulaError
            self._takes(",")
        return given


def _joined(left: _Part, sign: str, right: _Part, own: int) -> _Part:
    first = left[0] if left[1] >= own else f"({left[0]})"
    return f"{first} {sign} {right[0] if right[1] > own else f'({right[0]})'}", own


def _call(name: str, given: list[object]) -> str:
    if name == "logit":
        return f"{LOGIT}[{given[0]}]"
    layer = written(given[0]) if given and isinstance(given[0], str) else None
    if layer is None:
        raise _NoFormulaError
    index = ", ".join(map(str, given[1:]))
    if name in OF_LAYERS:
        return f"{name}({layer})"
    if name == "channel" or (name == "unit" and len(given) == 4 and None not in given):
        return f"{layer}[{index}]"
    if name in OF_CHANNELS and len(given) == 2:
        return f"{name}({layer}[{index}])"
    raise _NoFormulaError
