"""The part of a traceback that lies outside this library."""

import traceback
from pathlib import Path

_OURS = Path(__file__).parents[1]


def traced(error: BaseException) -> str:
    """The traceback of an error that other code raised, from where that code begins; empty if we raised it ourselves.

    Args:
        error: the error; of one that was raised from another it is that other one's.

    Example:
        >>> traced(ValueError("no channel 9"))
        ''
    """
    while error.__cause__ is not None:
        error = error.__cause__
    frames = traceback.extract_tb(error.__traceback__)
    own = [place for place, frame in enumerate(frames) if Path(frame.filename).is_relative_to(_OURS)]
    foreign = frames[own[-1] + 1 :] if own else frames
    if not foreign:
        return ""
    lines = ["Traceback (most recent call last):\n", *traceback.format_list(foreign)]
    return "".join([*lines, *traceback.format_exception_only(error)]).rstrip()
