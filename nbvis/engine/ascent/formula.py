"""Formulas: objectives typed as text, such as `layer3[12] + 0.5*layer4[7] - logit[207]`."""

import math
from collections.abc import Mapping, Sequence
from typing import NoReturn

from ..arguments import near
from .formula_names import OF_CHANNELS, OF_LAYERS, Known, example
from .formula_tokens import LOGIT, FormulaError, Token, raw_class, token_at
from .objective import Objective
from .objectives import channel, logit, unit

_LONGEST = 10_000
"""Characters."""

_DEEPEST = 50
"""Brackets within brackets and products, since each is a call within a call when the score is taken."""

_Value = Objective | float


def formula(
    text: str, layers: Mapping[str, int | None] | None = None, labels: Sequence[str] | None = None
) -> Objective:
    """The objective that a text says: a sum of channels, or what else there is, with weights.

    `layer3[12]` is the mean activation of a channel, `layer3[12, 4, 5]` that at a row and column, `logit[207]` the
    output for a class, also by its label: `logit[tabby]` or `logit["tabby"]`. `activity(layer3)`, `diversity(layer3)`,
    `energy(layer3[12])` and `unit(layer3[12])`, its position in the middle, are the functions of these names. They are
    added, subtracted, negated and multiplied, and divided by numbers. A layer's name that begins with a digit, or holds
    anything but letters, digits, "_" and dots, goes in quotes: `'0'[3]`. Nothing of the text is run as Python.

    Args:
        text: of 10,000 characters at most.
        layers: the layers there are, each with the number of its channels, None if that is not known; None for not
            looking whether a layer is there.
        labels: the names of the classes.

    Raises:
        FormulaError: a `ValueError` that has the place of the mistake and what would have worked.

    Example:
        >>> print(formula("layer3[12] + 0.5*layer4[7] - logit[crane]", labels=["tabby", "crane"]))
        channel('layer3', 12) + 0.5 * channel('layer4', 7) - logit(1)
        >>> formula("layer3[12] + layre4[7]", {"layer3": 256, "layer4": 512})
        Traceback (most recent call last):
        ...
        nbvis.engine.ascent.formula_tokens.FormulaError: no layer 'layre4'; did you mean 'layer4' or 'layer3'?
            layer3[12] + layre4[7]
                         ^^^^^^
    """
    return _Parser(text, layers, labels).objective()


class _Parser:
    """Recursive descent: a sum of products of signed parts."""

    def __init__(self, text: str, layers: Mapping[str, int | None] | None, labels: Sequence[str] | None):
        self._text, self._known = text, Known(layers, labels)
        self._place, self._depth, self._products = 0, 0, 0

    def objective(self) -> Objective:
        """The whole text."""
        if len(self._text) > _LONGEST:
            raise FormulaError(f"a formula has at most {_LONGEST} characters", self._text, _LONGEST, 1)
        value = self._sum()
        token = self._next()
        if token.kind != "end":
            self._no_operator(token)
        if not isinstance(value, Objective):
            reason = "a number alone has nothing to climb: add a channel, as layer[0]"
            raise FormulaError(reason, self._text, 0, len(self._text))
        return value

    def _next(self) -> Token:
        return token_at(self._text, self._place)

    def _take(self) -> Token:
        token = self._next()
        self._place = token.end
        return token

    def _takes(self, *symbols: str) -> Token | None:
        """Takes the next token if it is one of these."""
        token = self._next()
        return self._take() if token.kind == "symbol" and token.text in symbols else None

    def _expect(self, symbol: str, reason: str) -> None:
        if not self._takes(symbol):
            self._wrong(self._next(), reason)

    def _wrong(self, token: Token, reason: str) -> NoReturn:
        raise FormulaError(reason, self._text, token.start, len(token.text))

    def _sum(self) -> _Value:
        value = self._product()
        while sign := self._takes("+", "-"):
            right = self._product()
            value = self._checked(value + right if sign.text == "+" else value - right, sign)
        return value

    def _product(self) -> _Value:
        value = self._signed()
        while sign := self._takes("*", "/"):
            divisor = self._next()
            right = self._signed()
            if sign.text == "*":
                self._products += isinstance(value, Objective) and isinstance(right, Objective)
                value = self._checked(value * right, sign)
            elif isinstance(right, Objective):
                self._wrong(divisor, "an objective is divided by a number, not by an objective")
            elif right == 0 or math.isinf(1 / right):
                self._wrong(divisor, "an objective is divided by a number other than 0")
            else:
                value = self._checked(value / right, sign)
        return value

    def _checked(self, value: _Value, sign: Token) -> _Value:
        numbers = [term.weight for term in value.terms] if isinstance(value, Objective) else [value]
        if not all(map(math.isfinite, numbers)):
            self._wrong(sign, "this gives a number that is too large")
        if self._products > _DEEPEST:
            self._wrong(sign, f"a formula has at most {_DEEPEST} products of objectives")
        return value

    def _signed(self) -> _Value:
        negative = False
        while sign := self._takes("+", "-"):
            negative ^= sign.text == "-"
        value = self._part()
        return -value if negative else value

    def _part(self) -> _Value:
        token = self._take()
        if token.kind == "number":
            return self._number(token)
        if token.text == "(":
            return self._bracketed(token)
        if token.kind == "open":
            self._wrong(token, f"the quote is not closed: {token.text[0]} is missing")
        if token.kind not in ("name", "quoted"):
            found = "here the formula ends" if token.kind == "end" else f"not {token.text!r}"
            self._wrong(token, f"a channel (layer[0]), a class (logit[0]), a number or a bracket is needed, {found}")
        if token.kind == "name" and token.text == LOGIT:
            return self._class(token)
        if token.kind == "name" and self._next().text == "(":
            return self._function(token)
        return self._channel(token, self._layer(token))

    def _bracketed(self, token: Token) -> _Value:
        self._depth += 1
        if self._depth > _DEEPEST:
            self._wrong(token, f"brackets go at most {_DEEPEST} deep")
        value = self._sum()
        if not self._takes(")"):
            self._no_operator(self._next(), "; or a ) is missing")
        self._depth -= 1
        return value

    def _no_operator(self, token: Token, otherwise: str = "") -> NoReturn:
        if token.kind == "end":
            self._wrong(token, "a ) is missing")
        if token.kind == "symbol" and token.text not in "([":
            self._wrong(token, f"{token.text} has no place here{otherwise}")
        self._wrong(token, f"an operator is missing before {token.text!r}: + - * or /{otherwise}")

    def _number(self, token: Token) -> float:
        following = token_at(self._text, token.end)
        if following.text == "[" or (following.kind == "name" and following.start == token.end):
            end = following.end if following.kind == "name" else token.end
            name = Token("name", self._text[token.start : end], token.start)
            self._wrong(name, f"a layer's name that begins with a digit goes in quotes: '{name.text}'[0]")
        value = float(token.text)
        if not math.isfinite(value):
            self._wrong(token, "this number is too large")
        return value

    def _layer(self, token: Token) -> str:
        """The name of a layer, if there is one of that name."""
        name = token.text[1:-1] if token.kind == "quoted" else token.text
        if not self._known.has(name):
            self._wrong(token, self._known.without_layer(name))
        return name

    def _channel(self, token: Token, name: str) -> Objective:
        """What is in the brackets after a layer's name."""
        given = token.text
        if not self._takes("["):
            self._wrong(token, f"a channel is needed: {given}[0] is one, and activity({given}) the whole layer")
        index = self._index(name)
        place = []
        while len(place) < 2 and self._takes(","):
            place.append(self._whole("a row" if not place else "a column")[0])
        if len(place) == 1:
            self._wrong(self._next(), f"a row goes with a column: {given}[{index}, {place[0]}, 0]")
        self._expect("]", "a ] is missing")
        return unit(name, index, *place) if place else channel(name, index)

    def _index(self, name: str) -> int:
        """The number of a channel, if the layer has it."""
        index, token = self._whole("a channel")
        if missing := self._known.without_channel(name, index):
            self._wrong(token, missing)
        return index

    def _whole(self, what: str) -> tuple[int, Token]:
        """A whole number, and the token that it is."""
        start = self._next().start
        self._takes("-")
        number = self._take()
        token = Token("number", self._text[start : number.end], start)
        if not number.text.isdecimal() or len(number.text) > 15:
            self._wrong(token, f"{what} is a whole number, not {token.text!r}")
        return int(token.text.replace(" ", "")), token

    def _function(self, token: Token) -> Objective:
        name, known = token.text, {*OF_LAYERS, *OF_CHANNELS}
        if name not in known:
            if self._known.has(name):
                self._wrong(self._next(), f"a channel goes in square brackets: {name}[0]")
            self._wrong(token, f"no function {name!r}{near(name, sorted(known))}")
        self._take()
        given = self._take()
        if given.kind not in ("name", "quoted"):
            self._wrong(given, f"{name} takes a layer, as {example(name)}")
        layer = self._layer(given)
        if name in OF_LAYERS:
            made = OF_LAYERS[name](layer)
        else:
            self._expect("[", f"{name} takes a channel, as {example(name, given.text)}")
            made = OF_CHANNELS[name](layer, self._index(layer))
            self._expect("]", "a ] is missing")
        instead = f": {name} takes a whole layer" if self._next().text == "[" else ""
        self._expect(")", f"a ) is missing{instead}")
        return made

    def _class(self, token: Token) -> Objective:
        if not self._takes("["):
            self._wrong(self._next(), "the class goes in square brackets: logit[0]")
        given = raw_class(self._text, self._place)
        self._place = given.end
        if given.kind == "open":
            self._wrong(given, f"the quote is not closed: {given.text[0]} is missing")
        if not given.text:
            self._wrong(given, "a class is needed, by its number or label: logit[0]")
        index = self._known.class_of(given)
        if isinstance(index, str):
            self._wrong(given, index)
        self._expect("]", "a ] is missing")
        return logit(index)
