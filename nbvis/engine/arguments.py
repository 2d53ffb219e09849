"""Arguments: checked before any work starts, with errors that say what would have worked."""

import difflib
import math
from collections.abc import Sequence
from typing import Any


def near(given: object, names: Sequence[str], most: int = 12) -> str:
    """The end of an error: the names closest to what was given, or those there are."""
    close = difflib.get_close_matches(str(given), names, n=3, cutoff=0.6)
    if close:
        return "; did you mean " + " or ".join(repr(name) for name in close) + "?"
    if not names:
        return "; there are none"
    shown = ", ".join(repr(name) for name in names[:most])
    return f"; there are {shown}" + (f" and {len(names) - most} more" if len(names) > most else "")


def whole(value: Any, what: str, least: int = 0) -> int:
    """The value, if it is a whole number from `least` up.

    Raises:
        ValueError: otherwise; the message says what it is for.
    """
    if isinstance(value, bool) or not hasattr(value, "__index__") or value.__index__() < least:
        raise ValueError(f"{what} is a whole number from {least} up, not {value!r}")
    return value.__index__()


def number(value: Any, what: str, least: float = 0, most: float = math.inf) -> float:
    """The value, if it is a finite number from `least` to `most`.

    Raises:
        ValueError: otherwise; the message says what it is for.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most or value == math.inf:
        end = "up" if most == math.inf else f"to {most:g}"
        raise ValueError(f"{what} is a number from {least:g} {end}, not {value!r}")
    return value
