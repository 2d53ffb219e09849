"""What a widget shows, as Python source that makes it again."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from nbvis import engine
from nbvis.engine import Step

OPTIONS = ("octaves", "octave_scale", "steps", "lr", "jitter", "rotation", "seed")


def dream_recipe(
    image: str, origin: Mapping[str, Any], changes: Sequence[tuple[int, dict[str, Any]]], last: Step | None
) -> str:
    """Source that makes a dream's picture from `network`, `image` and whatever masks and functions its objective has.

    Args:
        image: the source of the image it started from.
        origin: the options it began with.
        changes: (index of the first step it applied to, changed options) of what changed while it went.
        last: the step that is shown; None for the end of a run that has not begun.
    """
    options = ", ".join(f"{name}={origin[name]!r}" for name in OPTIONS)
    lines = [
        "# `network` and `image` are those that the DreamCanvas was given, and so is any mask or custom function.",
        f"objective = {origin['objective']}",
        *([] if image == "image" else [f"image = {image}"]),
        f"run = dream(network, objective, image, {options})",
    ]
    if last is None or (last.index + 1 == last.total and not changes):
        lines.append("picture = last(run).image")
    else:
        lines += [
            f"changes = {{{', '.join(f'{index}: {_source(changed)}' for index, changed in changes)}}}",
            "step = next(run)",
            f"while step.index < {last.index}:",
            "    step = run.send(changes.get(step.index + 1))",
            "picture = step.image",
        ]
    text = "\n".join(lines)
    used = [name for name in engine.__all__ if re.search(rf"\b{name}\(", text)]
    return f"from nbvis.engine import {', '.join(used)}\n\n{text}\n"


def _source(changed: Mapping[str, Any]) -> str:
    return "{" + ", ".join(f"{name!r}: {value}" for name, value in changed.items()) + "}"
