"""What a widget shows, as Python source that makes it again."""

import itertools
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from torch import Tensor

from nbvis import engine
from nbvis.engine import Names, Objective, Step
from nbvis.sessions import Past

OPTIONS = ("octaves", "octave_scale", "steps", "lr", "jitter", "rotation", "seed")

TAKEN = (
    *engine.__all__, "torch", "network", "image", "objective", "target", "run", "changes", "step", "picture", "drawn",
    "masks", "attribution", "attributions",
)  # fmt: skip
"""What names mean in a recipe, beside those of the masks and functions."""


def dream_recipe(image: str, past: Past) -> str:
    """Source that makes a dream's picture from `network`, `image` and whatever masks and functions its objective has.

    Args:
        image: the source of the image it started from.
        past: of the run.
    """
    names, last = Names(TAKEN), past.last
    options = _options({name: past.origin[name] for name in OPTIONS})
    lines = [
        f"objective = {past.origin['objective'].source(names)}",
        *([] if image == "image" else [f"image = {image}"]),
        f"run = dream(network, objective, image, {options})",
    ]
    whole = last is None or (last.index + 1 == last.total and not past.changes)
    lines += _driven(past.changes, None if whole else last, names)
    return _recipe("DreamCanvas", lines, names, image)


def inversion_recipe(image: str, past: Past, finished: bool) -> str:
    """Source that makes the pictures of a dropout inversion from `network` and `image`.

    Args:
        image: the source of the image it started from.
        past: of the run; several `p` are those of one mask.
        finished: whether that is the end of the run.
    """
    names, origin = Names(TAKEN), past.origin
    options = {name: value for name, value in origin.items() if name not in ("images", "layer")}
    if options["insert"] is None:
        del options["insert"]
    lines = [] if image == "image" else [f"image = {image}"]
    arguments, masks = f"network, {origin['layer']!r}, image", ""
    if isinstance(options["p"], tuple):
        single = {name: options[name] for name in ("seed", "insert", "bounds") if name in options} | {"steps": 0}
        lines += [
            f"drawn = [next(invert_dropout({arguments}, p=p, {_options(single)})).masks for p in {options['p']}]",
            "masks = {place: torch.cat([masks[place] for masks in drawn]) for place in drawn[0]}",
        ]
        masks = ", masks=masks"
    lines.append(f"run = invert_dropout({arguments}, {_options(options)}{masks})")
    lines += _driven(past.changes, None if finished and not past.changes else past.last, names)
    return _recipe("DropoutInverter", lines, names, image)


def attribution_recipe(
    image: str,
    covered: Sequence[Sequence[int]],
    side: int,
    target: Any,
    label: str,
    calls: Mapping[str, Mapping[str, Any]],
    refused: Mapping[str, str],
    own: Mapping[str, Callable[..., Tensor]],
) -> str:
    """Source that makes maps from `network`, `image` and whatever functions their target has.

    Args:
        image: the source of the image.
        covered: (row, column) of the top left corner of each square that is covered.
        side: of these squares, pixels.
        target: a class or an objective.
        label: what the target is called.
        calls: by method, what `attribute` gets beside the network, the image and the target.
        refused: why there is no map, by the method that has none.
        own: the functions that are methods, by their names.
    """
    names = Names(TAKEN)
    methods = {name: names.function(function) for name, function in own.items() if name in calls}
    lines = [] if image == "image" else [f"image = {image}"]
    if covered:
        lines.append("image = image.clone()")
        lines += [f"image[..., {row}:{row + side}, {column}:{column + side}] = 0" for row, column in covered]
    if isinstance(target, Objective):
        lines.append(f"target = {target.source(names)}")
    else:
        lines.append(f"target = {target}  # {_line(label)}")
    lines += [f"# No map by {method}: {_line(reason)}" for method, reason in refused.items()]
    made = [
        f"attribute(network, image, target, {_options({**options, 'method': _Written(methods[name])})})"
        if name in methods else f"attribute(network, image, target, {_options(options)})"
        for name, options in calls.items()
    ]  # fmt: skip
    if len(made) == 1:
        lines.append(f"attribution = {made[0]}")
    elif made:
        rows = [f"    {name!r}: {call}," for name, call in zip(calls, made, strict=True)]
        lines += ["attributions = {", *rows, "}"]
    return _recipe("SaliencyView", lines, names, image, methods)


def _driven(changes: Sequence[tuple[int, dict[str, Any]]], stop: Step | None, names: Names) -> list[str]:
    """Source that takes `run` to a step, changing what was changed, or to its end for None."""
    if stop is None:
        return ["picture = last(run).image"]
    made = [f"{index}: {_changed(changed, names)}" for index, changed in changes if index <= stop.index]
    return [
        f"changes = {{{', '.join(made)}}}",
        "step = next(run)",
        f"while step.index < {stop.index}:",
        "    step = run.send(changes.get(step.index + 1))",
        "picture = step.image",
    ]


class _Written(str):
    """What stands in the source as it is."""

    __repr__ = str.__str__


def _recipe(
    widget: str, lines: Sequence[str], names: Names, image: str, methods: Mapping[str, str] = MappingProxyType({})
) -> str:
    """The whole source, with what it needs said in the first line and imported below."""
    text = "\n".join([*_apart(list(names.masks)), *lines])
    code = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    used = [name for name in engine.__all__ if re.search(rf"\b{name}\(", code)]
    own = ["network", *(["image"] if re.search(r"(?<!\.)\bimage\b", image) else [])]
    said = f"# Runs once {_listed(own)} {'are' if len(own) > 1 else 'is'} what the {widget} was given"
    kinds = {"mask": [*names.masks], "function": [each for each in names.functions if each not in methods.values()]}
    for kind, each in kinds.items():
        if each:
            plural = f"are the {kind}s" if len(each) > 1 else f"is the {kind}"
            said += f", and {_listed(each)} {plural} of its objective{'s' if 'changes = {' in code else ''}"
    said += "".join(f", and `{written}` is its method {name!r}" for name, written in methods.items())
    imports = ["import torch", ""] if "torch." in code else []
    imports += [f"from nbvis.engine import {', '.join(used)}", ""] if used else []
    return "\n".join([f"{said}.", *imports, text, ""])


def _apart(masks: Sequence[str]) -> list[str]:
    """Lines that raise where one mask is given for two."""
    said = "assert not torch.equal(torch.as_tensor({0}), torch.as_tensor({1})), '{0} and {1} are two masks'"
    return [said.format(*two) for two in itertools.combinations(masks, 2)]


def _options(options: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in options.items())


def _changed(changed: Mapping[str, Any], names: Names) -> str:
    made = {
        name: value.source(names) if isinstance(value, Objective) else repr(value) for name, value in changed.items()
    }
    return "{" + ", ".join(f"{name!r}: {value}" for name, value in made.items()) + "}"


def _listed(names: Collection[str]) -> str:
    *first, end = (f"`{name}`" for name in names)
    return f"{', '.join(first)} and {end}" if first else end


def _line(sentence: str) -> str:
    return " ".join(sentence.split())
