"""The terms of an objective, as a panel lists them: what each of them says, and how much it weighs."""

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from nbvis.engine import Names, Objective, as_formula, formula

_NAME = r"""(?P<quote>['"])(?P<name>.*)(?P=quote)"""
_WHOLE = re.compile(rf"activity\({_NAME}\)", re.DOTALL)
_CHANNEL = re.compile(rf"channel\({_NAME}, (?P<index>-?\d+)\)", re.DOTALL)
_CLASS = re.compile(r"logit\((?P<index>\d+)\)")

Unit = tuple[str, int | None]
"""A layer and one of its channels, None for all of them."""


def single(objective: Objective, at: int) -> Objective:
    """One term by itself: once, and in the whole picture."""
    return Objective((replace(objective.terms[at], weight=1.0, mask=None, masks=()),))


def text_row(objective: Objective, at: int) -> str:
    """The formula of one term; empty if no formula says it."""
    return as_formula(single(objective, at)) or ""


def told(text: str, weight: float, mask: Tensor | None) -> Objective:
    """The term that a formula says, so much of it and within a mask, None for the whole picture."""
    made = float(weight) * formula(text)
    return made if mask is None else made.within(mask)


def unit_of(objective: Objective, at: int) -> Unit | None:
    """The layer and channel that a term is about; None if it is about something else."""
    return _unit(_source(objective, at))


def class_of(objective: Objective, at: int) -> int | None:
    """The class that a term is about; None if it is about something else."""
    found = _CLASS.fullmatch(_source(objective, at))
    return int(found["index"]) if found else None


def rows(objective: Objective, labels: Sequence[str]) -> list[dict[str, Any]]:
    """{text, label, masked} of each term; `label` is the name of the class that it is about, empty for none."""
    found = []
    for at, term in enumerate(objective.terms):
        text = text_row(objective, at) or _source(objective, at)
        kind = class_of(objective, at)
        label = labels[kind] if kind is not None and kind < len(labels) else ""
        found.append({"text": text, "label": label, "masked": term.mask is not None})
    return found


def weights(objective: Objective) -> list[float]:
    """How much each term weighs."""
    return [term.weight for term in objective.terms]


def weighted(objective: Objective, by: Sequence[float]) -> Objective:
    """The same terms with other weights."""
    return Objective(tuple(replace(term, weight=weight) for term, weight in zip(objective.terms, by, strict=True)))


def without(objective: Objective, at: int) -> Objective:
    """All terms but one."""
    return Objective(objective.terms[:at] + objective.terms[at + 1 :])


def replaced(objective: Objective, at: int, other: Objective) -> Objective:
    """The objective with the first term of another in the place of one, as much of it and where that was."""
    old, terms = objective.terms[at], list(objective.terms)
    terms[at] = replace(other.terms[0], weight=old.weight, mask=old.mask, masks=old.masks)
    return Objective(tuple(terms))


@functools.lru_cache(8)
def unmasked(objective: Objective) -> Objective:
    """The same terms in the whole picture; always the same one."""
    if all(term.mask is None for term in objective.terms):
        return objective
    return Objective(tuple(replace(term, mask=None, masks=()) for term in objective.terms))


def alike(one: Any, other: Any) -> bool:
    """Whether two objectives, or two tuples of such, say the same."""
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(map(alike, one, other))
    if not (isinstance(one, Objective) and isinstance(other, Objective)) or len(one.terms) != len(other.terms):
        return False
    texts = [text_row(one, at) for at in range(len(one.terms))]
    said = all(texts) and texts == [text_row(other, at) for at in range(len(other.terms))]
    pairs = zip(one.terms, other.terms, strict=True)
    return said and weights(one) == weights(other) and all(_same_mask(a.mask, b.mask) for a, b in pairs)


def _same_mask(one: Tensor | None, other: Tensor | None) -> bool:
    return one is other or (one is not None and other is not None and torch.equal(one, other))


def is_plain(objective: Objective) -> bool:
    """Whether it is one term, once and in the whole picture."""
    return len(objective.terms) == 1 and objective.terms[0].weight == 1 and objective.terms[0].mask is None


def text_of(objective: Objective) -> str:
    """The formula of those terms that have one, without their masks."""
    said = tuple(_sayable(objective))
    return (as_formula(unmasked(Objective(said))) or "") if said else ""


def retyped(
    objective: Objective | None, text: str, layers: Mapping[str, int | None] | None, labels: Sequence[str] | None
) -> Objective:
    """The objective once its formula has been typed anew: terms that no formula can say stay, and paint stays.

    Args:
        objective: what it is now; None for nothing.
        text: the formula; empty to leave only what no formula can say.
        layers: as for `formula`.
        labels: as for `formula`.

    Raises:
        FormulaError: if the text is no formula; it has the place of the mistake.
    """
    before = objective.terms if objective else ()
    said = set(map(id, _sayable(objective))) if objective else set()
    kept = tuple(term for term in before if id(term) not in said)
    if kept and not text.strip():
        return Objective(kept)
    masked = {_source(objective, at): term for at, term in enumerate(before) if objective and term.mask is not None}
    made = formula(text, layers, labels)
    terms = []
    for at, term in enumerate(made.terms):
        old = masked.get(_source(made, at))
        terms.append(replace(term, mask=old.mask, masks=old.masks) if old else term)
    return Objective((*terms, *kept))


def _sayable(objective: Objective) -> list[Any]:
    return [term for at, term in enumerate(objective.terms) if text_row(objective, at)]


def _source(objective: Objective, at: int) -> str:
    return single(objective, at).source(Names())


def _unit(source: str) -> Unit | None:
    # The name of a layer is written by `repr`, with a backslash where quotes alone do not do: those have no unit.
    if "\\" in source:
        return None
    if found := _WHOLE.fullmatch(source):
        return found["name"], None
    found = _CHANNEL.fullmatch(source)
    return (found["name"], int(found["index"])) if found else None
