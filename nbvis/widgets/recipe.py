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
    options = _options({name: origin[name] for name in OPTIONS})
    lines = [
        "# `network` and `image` are those that the DreamCanvas was given, and so is any mask or custom function.",
        f"objective = {origin['objective']}",
        *([] if image == "image" else [f"image = {image}"]),
        f"run = dream(network, objective, image, {options})",
    ]
    whole = last is None or (last.index + 1 == last.total and not changes)
    lines += _driven(changes, None if whole else last)
    return _with_imports(lines)


def inversion_recipe(
    image: str,
    origin: Mapping[str, Any],
    changes: Sequence[tuple[int, dict[str, Any]]],
    last: Step | None,
    finished: bool,
) -> str:
    """Source that makes the pictures of a dropout inversion from `network` and `image`.

    Args:
        image: the source of the image it started from.
        origin: the options it began with; several `p` are those of one mask.
        changes: (index of the first step it applied to, changed options) of what changed while it went.
        last: the step that is shown; None for the end of a run that has not begun.
        finished: whether that is the end of the run.
    """
    options = {name: value for name, value in origin.items() if name not in ("images", "layer")}
    if options["insert"] is None:
        del options["insert"]
    lines = ["# `network` and `image` are those that the DropoutInverter was given."]
    if image != "image":
        lines.append(f"image = {image}")
    arguments, masks = f"network, {origin['layer']!r}, image", ""
    if isinstance(options["p"], tuple):
        single = {name: options[name] for name in ("seed", "insert") if name in options} | {"steps": 0}
        lines += [
            f"drawn = [next(invert_dropout({arguments}, p=p, {_options(single)})).masks for p in {options['p']}]",
            "masks = {place: torch.cat([masks[place] for masks in drawn]) for place in drawn[0]}",
        ]
        masks = ", masks=masks"
    lines.append(f"run = invert_dropout({arguments}, {_options(options)}{masks})")
    return _with_imports([*lines, *_driven(changes, None if finished and not changes else last)])


def attribution_recipe(
    image: str, covered: Sequence[Sequence[int]], side: int, target: str, calls: Mapping[str, Mapping[str, Any]]
) -> str:
    """Source that makes maps from `network`, `image` and whatever functions their target has.

    Args:
        image: the source of the image.
        covered: (row, column) of the top left corner of each square that is covered.
        side: of these squares, pixels.
        target: the source of a class or an objective.
        calls: by method, what `attribute` gets beside the network, the image and the target.
    """
    lines = ["# `network` and `image` are those of the SaliencyView, and so is any function that the target has."]
    if image != "image":
        lines.append(f"image = {image}")
    if covered:
        lines.append("image = image.clone()")
        lines += [f"image[..., {row}:{row + side}, {column}:{column + side}] = 0" for row, column in covered]
    lines.append(f"target = {target}")
    made = [f"attribute(network, image, target, {_options(options)})" for options in calls.values()]
    if len(made) == 1:
        lines.append(f"attribution = {made[0]}")
    else:
        rows = [f"    {name!r}: {call}," for name, call in zip(calls, made, strict=True)]
        lines += ["attributions = {", *rows, "}"]
    return _with_imports(lines)


def _driven(changes: Sequence[tuple[int, dict[str, Any]]], stop: Step | None) -> list[str]:
    """Source that takes `run` to a step, changing what was changed, or to its end for None."""
    if stop is None:
        return ["picture = last(run).image"]
    return [
        f"changes = {{{', '.join(f'{index}: {_source(changed)}' for index, changed in changes)}}}",
        "step = next(run)",
        f"while step.index < {stop.index}:",
        "    step = run.send(changes.get(step.index + 1))",
        "picture = step.image",
    ]


def _with_imports(lines: Sequence[str]) -> str:
    text = "\n".join(lines)
    used = [name for name in engine.__all__ if re.search(rf"\b{name}\(", text)]
    torch = "import torch\n\n" if "torch." in text else ""
    return f"{torch}from nbvis.engine import {', '.join(used)}\n\n{text}\n"


def _options(options: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in options.items())


def _source(changed: Mapping[str, Any]) -> str:
    return "{" + ", ".join(f"{name!r}: {value}" for name, value in changed.items()) + "}"
