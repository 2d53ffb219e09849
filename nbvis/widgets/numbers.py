"""Numbers and words that a control and Python set alike, with a sentence for whoever gives one that cannot be."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import traitlets as t

from nbvis.engine import Option, near


class InvalidValueError(ValueError, t.TraitError):
    """A value that a control cannot take; the message names what was given and what is possible."""


class Number(t.TraitType):
    """A synced number with bounds: one slider.

    Args:
        default: what it is to begin with.
        low: least value.
        high: greatest value.
        label: its name on the panel.
        unit: behind the value, such as "px".
        log: whether equal ways on the slider are equal ratios.
        whole: whether it is a count.
        optional: whether it may be None, as the help says what for.
        help: a sentence on what it does.
    """

    def __init__(
        self,
        default: float | None,
        low: float,
        high: float,
        label: str,
        *,
        unit: str = "",
        log: bool = False,
        whole: bool = False,
        optional: bool = False,
        help: str = "",
    ):
        super().__init__(default, allow_none=optional, help=help)
        self.low, self.high, self.whole, self.label = low, high, whole, label
        self.control = {
            "label": label, "low": low, "high": high, "unit": unit, "log": log, "whole": whole, "help": help,
        }  # fmt: skip
        self.tag(sync=True)

    @classmethod
    def of(cls, option: Option) -> "Number":
        """A slider for an option of a method."""
        return cls(
            option.default, option.low, option.high, option.label, unit=option.unit, log=option.log,
            whole=option.whole, help=option.help,
        )  # fmt: skip

    def validate(self, obj: Any, value: Any) -> float:
        """The value as a float or an int, if it lies within the bounds."""
        value = value.item() if hasattr(value, "item") else value
        number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if not number or not self.low <= value <= self.high or (self.whole and value != int(value)):
            what = "a whole number" if self.whole else "a number"
            raise InvalidValueError(
                f"{self.label} ({self.name}) is {what} from {self.low:g} to {self.high:g}, not {value!r}"
            )
        return int(value) if self.whole else float(value)


class OneOf(t.Unicode):
    """A synced word of several.

    Args:
        default: what it is to begin with.
        possible: the words.
        help: a sentence on what it does.
    """

    def __init__(self, default: str, possible: Iterable[str], *, help: str = ""):
        super().__init__(default, help=help)
        self.possible = tuple(possible)
        self.tag(sync=True)

    def validate(self, obj: Any, value: Any) -> str:
        """The value, if it is one of those possible."""
        return one_of(self.name or "value", value, self.possible)


def one_of(name: str, value: Any, possible: Sequence[str]) -> Any:
    """The value, if it is one of those possible; otherwise an error with near matches."""
    if value not in possible:
        raise InvalidValueError(f"no {name} {value!r}{near(value, possible)}")
    return value


def numbers(widget: t.HasTraits) -> dict[str, Number]:
    """The sliders of a widget, by name."""
    return {name: trait for name, trait in widget.traits().items() if isinstance(trait, Number)}


def controls(widget: t.HasTraits) -> dict[str, dict[str, Any]]:
    """What the front end needs to know about each slider of a widget."""
    return {name: trait.control for name, trait in numbers(widget).items()}
