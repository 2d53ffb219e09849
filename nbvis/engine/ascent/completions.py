"""What could stand at the cursor of a formula that is being typed."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from .formula_names import OF_CHANNELS, OF_LAYERS
from .formula_tokens import LOGIT, Token, raw_class, token_at, written

_FUNCTIONS = (*OF_LAYERS, *OF_CHANNELS)


@dataclass(frozen=True)
class Completions:
    """What could stand at the cursor.

    Attributes:
        start: the first character that a candidate takes the place of, from 0.
        end: the one after the last.
        candidates: the texts, best first.
    """

    start: int
    end: int
    candidates: tuple[str, ...]


def complete(text: str, cursor: int, layers: Iterable[str] = (), labels: Sequence[str] | None = None) -> Completions:
    """What could stand at the cursor of a formula: layers and functions, or in the brackets of `logit` the labels.

    That comes first which is what is typed, then what begins with it, has a word that does, contains it, or has its
    letters in order; of these the shorter one. A candidate is written as a formula takes it, in quotes if need be.

    Args:
        text: the formula so far; it need not be right.
        cursor: the number of characters before the cursor.
        layers: the names of the layers.
        labels: the names of the classes.

    Example:
        >>> complete("layer3[12] + conv", 17, ["layer3", "layer4.conv", "conv1"]).candidates
        ('conv1', 'layer4.conv')
    """
    cursor = min(max(cursor, 0), len(text))
    nothing = Completions(cursor, cursor, ())
    last, function, ended = Token("end", "", 0), False, False
    while (token := token_at(text, last.end)).kind != "end" and token.start < cursor:
        if token.text == "[":
            inside = raw_class(text, token.end)
            closing = text.find("]", inside.end)
            closing = len(text) if closing < 0 else closing
            if cursor <= closing:
                return _of_labels(text, inside, cursor, labels) if last.text == LOGIT else nothing
            token = Token("symbol", "]", closing)
        elif token.end >= cursor and token.kind in ("name", "quoted", "open"):
            return nothing if ended else _of_names(text, token, cursor, layers, function)
        function = token.text == "(" and last.text in _FUNCTIONS
        ended = token.kind != "symbol" or token.text in ")]"
        last = token
    if ended:
        return nothing
    here = token if token.kind in ("name", "quoted") and token.start == cursor else Token("name", "", cursor)
    return _of_names(text, here, cursor, layers, function)


def _of_names(text: str, token: Token, cursor: int, layers: Iterable[str], function: bool) -> Completions:
    """What answers the part of a name before the cursor: layers, and functions unless it is the layer of one."""
    end = cursor if token.kind == "open" else token.end
    typed = text[token.start : cursor]
    names = {name: candidate for name in layers if name and (candidate := written(name))}
    if not function and token.kind == "name" and token_at(text, end).text not in ("(", "["):
        names |= {name: f"{name}(" for name in _FUNCTIONS} | {LOGIT: f"{LOGIT}["}
    query = typed.strip("'\"") if token.kind != "name" else typed
    return Completions(token.start, end, tuple(names[name] for name in _ranked(query, names)))


def _of_labels(text: str, token: Token, cursor: int, labels: Sequence[str] | None) -> Completions:
    """The labels that answer what stands in the brackets before the cursor."""
    start, end = min(token.start, cursor), cursor if token.kind == "open" else max(token.end, cursor)
    typed = text[start:cursor].strip("'\"")
    names = {label: candidate for label in labels or () if (candidate := _label(label))}
    return Completions(start, end, tuple(names[label] for label in _ranked(typed, names)))


def _label(label: str) -> str | None:
    """A label as it stands in the brackets, in quotes if it could be taken for something else."""
    if label == label.strip() and label and label[0] not in "'\"" and "]" not in label:
        if not label.removeprefix("-").isdecimal():
            return label
    return next((f"{quote}{label}{quote}" for quote in "'\"" if quote not in label), None)


def _ranked(query: str, names: Mapping[str, object]) -> list[str]:
    """The names that answer a query, best first, as the panels' own search has them; all for an empty one."""
    query = query.strip().lower()
    if not query:
        return list(names)
    found = [(score, len(name), name) for name in names if (score := _answer(query, name.lower()))]
    return [name for _, _, name in sorted(found, key=lambda each: (-each[0], each[1]))]


def _answer(wanted: str, given: str) -> int:
    """How well a name answers: 5 for the same, a beginning, a word's, a part, 1 for the letters in order, 0 for not."""
    if given.startswith(wanted):
        return 5 if given == wanted else 4
    at = given.find(wanted)
    if at >= 0:
        return 2 if re.match("[a-z0-9]", given[at - 1]) else 3
    letters = iter(given)
    return int(all(letter in letters for letter in wanted if not letter.isspace()))
