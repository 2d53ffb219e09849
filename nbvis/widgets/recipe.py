"""What a widget shows, as Python source that makes it again."""

import ast
import itertools
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from torch import Tensor

from nbvis import engine
from nbvis.engine import Names, Objective, Objectives, Step
from nbvis.sessions import Past

from .dreaming import LOOP, OPTIONS
from .shown_calls import Calls

TAKEN = (
    *engine.__all__, "torch", "network", "image", "objective", "target", "run", "changes", "step", "picture", "drawn",
    "masks", "attribution", "attributions", "batches", "statistics", "layer", "found", "maps", "activation", "demo",
    "optimised",
)  # fmt: skip
"""What names mean in a recipe, beside those of the masks, functions and other tensors."""

MANY = 4
"""Tensors of a kind above which not every one is mentioned, as of the masks that one stroke of a brush leaves."""


def dream_recipe(image: str, past: Past, names: Names, whence: str = "") -> str:
    """Source that makes a dream's picture from `network`, `image` and whatever masks and functions its objective has.

    Args:
        image: the source of the image it started from.
        past: of the run.
        names: learns what the source needs.
        whence: what `image` is there, if it is not what the widget was given.
    """
    last = past.last
    loops = past.origin["rounds"] != 1 or any(name in changed for _, changed in past.changes for name in LOOP)
    options = _options({name: past.origin[name] for name in (*(LOOP if loops else ()), *OPTIONS)})
    lines = [
        f"objective = {past.origin['objective'].source(names)}",
        *([] if image == "image" else [f"image = {image}"]),
        f"run = {'keep_dreaming' if loops else 'dream'}(network, objective, image, {options})",
    ]
    whole = last is None or (last.index + 1 == last.total and not past.changes)
    if last is None and past.origin["rounds"] is None:
        lines += ["for step in run:  # without an end: stop it when you like", "    picture = step.image"]
    else:
        lines += _driven(past.changes, None if whole else last, names)
    return _recipe("DreamCanvas", lines, names, image, whence)


def visualise_recipe(parameter: str, past: Past, options: Mapping[str, Any], names: Names) -> str:
    """Source that makes a visualisation from `network`, and whatever masks and functions its objective has.

    Args:
        parameter: the source of the image parameter.
        past: of the run.
        options: what `ascend` got beside network, objective and image parameter.
        names: learns what the source needs.
    """
    last = past.last
    lines = [
        f"objective = {_objective(past.origin['objective'], names)}",
        f"run = ascend(network, objective, {parameter}, {_options(options)})",
    ]
    whole = last is None or (last.index + 1 == last.total and not past.changes)
    lines += _driven(past.changes, None if whole else last, names)
    return _recipe("DreamCanvas", lines, names, "None", "")


def inversion_recipe(image: str, past: Past, finished: bool, whence: str = "") -> str:
    """Source that makes the pictures of a dropout inversion from `network` and `image`.

    Args:
        image: the source of the image it started from.
        past: of the run; several `p` are those of one mask.
        finished: whether that is the end of the run.
        whence: as for `dream_recipe`.
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
    return _recipe("DropoutInverter", lines, names, image, whence)


def attribution_recipe(
    image: str,
    covered: Sequence[Sequence[int]],
    side: int,
    target: Any,
    label: str,
    calls: Mapping[str, Mapping[str, Any]],
    refused: Mapping[str, str],
    own: Mapping[str, Callable[..., Tensor]],
    whence: str = "",
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
        whence: as for `dream_recipe`.
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
    return _recipe("SaliencyView", lines, names, image, whence, methods)


def exploration_recipe(
    image: str,
    calls: Calls,
    channel: int,
    objective: Objective | None,
    rule: str,
    whence: str = "",
    dreamt: str = "",
) -> str:
    """Source that makes a layer's activations from `network` and `image`, and what comes back from a channel.

    Args:
        image: the source of the image.
        calls: of the layer that is shown.
        channel: the one that is shown.
        objective: what is derived; None for nothing.
        rule: the method.
        whence: as for `dream_recipe`.
        dreamt: the source of the channel's optimised image; empty for no such image.
    """
    names = Names(TAKEN)
    lines = [] if image == "image" else [f"image = {image}"]
    lines.append(f"found = activations(network, image, {[*calls.names]})")
    if len(calls.names) == 1:
        lines.append(f"maps = planes(found, {calls.names[0]!r})[0]")
    else:  # a pair
        joined = "cat" if calls.grid else "stack"
        lines.append(f"maps = torch.{joined}([planes(found, name)[0] for name in found], -1)")
    lines.append(f"activation = maps[{channel}]")
    if objective is not None:
        lines.append(f"attribution = attribute(network, image, {objective.source(names)}, method={rule!r})")
    lines += [f"optimised = {dreamt}"] if dreamt else []
    return _recipe("LayerExplorer", lines, names, image, whence)


def statistics_recipe(given: bool, single: bool, options: Mapping[str, Any], layer: str, channel: int | None) -> str:
    """Source that collects statistics from `network` and `batches`, and says what is wrong with the network.

    Args:
        given: whether `statistics` were given instead.
        single: whether `batches` is a data set of single images.
        options: what `collect` gets beside the two.
        layer: the one that is shown.
        channel: the one that is shown; None for none.
    """
    own = ["network", "statistics" if given else "batches"]
    lines = [f"# Runs once {_listed(own)} are what the ActivationStats was given."]
    lines += ["from torch.utils.data import DataLoader", ""] if single and not given else []
    lines += [f"from nbvis.engine import {'diagnose' if given else 'collect, diagnose'}", ""]
    said = "".join(f", {name}={value!r}" for name, value in options.items())
    batches = "DataLoader(batches, batch_size=32)" if single else "batches"
    lines += [] if given else [f"statistics = collect(network, {batches}{said})"]
    lines += ["print(diagnose(statistics))", f"layer = statistics[{layer!r}]"]
    lines += [] if channel is None else [f"print(layer.mean[{channel}], layer.top_indices[{channel}])"]
    return "\n".join([*lines, ""])


def _driven(changes: Sequence[tuple[int, dict[str, Any]]], stop: Step | None, names: Names) -> list[str]:
    """Source that takes `run` to a step, changing what was changed, or to its end for None."""
    if stop is None:
        return ["picture = last(run).image"]
    own = [(index, {name: value for name, value in changed.items() if name != "seconds"}) for index, changed in changes]
    made = [f"{index}: {_changed(changed, names)}" for index, changed in own if changed and index <= stop.index]
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
    widget: str,
    lines: Sequence[str],
    names: Names,
    image: str,
    whence: str,
    methods: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """The whole source, with what it needs said in the first line and imported below."""
    apart = [
        line
        for kind, found in names.given.items()
        if kind not in ("function", "network")
        for line in _apart(kind, list(found))
    ]
    text = "\n".join([*apart, *lines])
    code = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    used = [name for name in engine.__all__ if re.search(rf"\b{name}[(.]", code)]
    own = ["network", *(["image"] if "image" in _names_in(image) and not whence else [])]
    said = f"# Runs once {_listed(own)} {'are' if len(own) > 1 else 'is'} what the {widget} was given"
    said += f", and `image` is its .image: {_line(whence)}" if whence else ""
    kinds = {kind: [each for each in found if each not in methods.values()] for kind, found in names.given.items()}
    for kind, each in kinds.items():
        if each:
            plural = f"are the {kind}s" if len(each) > 1 else f"is the {kind}"
            said += f", and {_listed(each)} {plural} of its objective{'s' if 'changes = {' in code else ''}"
            said += ", which it has in .recipe_masks" if kind == "mask" else ""
    said += "".join(f", and `{written}` is its method {name!r}" for name, written in methods.items())
    imports = ["import torch", ""] if "torch." in code else []
    imports += ["from nbvis import demo"] if "demo" in _names_in(image) else []
    imports += [f"from nbvis.engine import {', '.join(used)}", ""] if used else []
    return "\n".join([f"{said}.", *imports, text, ""])


def _names_in(source: str) -> set[str]:
    return {node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)}


def _apart(kind: str, names: Sequence[str]) -> list[str]:
    """Lines that raise where one tensor is given for two."""
    if len(names) > MANY:
        each = f"{{torch.as_tensor(each).numpy().tobytes() for each in ({', '.join(names)})}}"
        return [f"assert len({each}) == {len(names)}, 'these are {len(names)} {kind}s'"]
    said = "assert not torch.equal(torch.as_tensor({0}), torch.as_tensor({1})), '{0} and {1} are two {2}s'"
    return [said.format(*two, kind) for two in itertools.combinations(names, 2)]


def _options(options: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in options.items())


def _changed(changed: Mapping[str, Any], names: Names) -> str:
    made = {name: _objective(value, names) if name == "objective" else repr(value) for name, value in changed.items()}
    return "{" + ", ".join(f"{name!r}: {value}" for name, value in made.items()) + "}"


def _objective(given: Objectives, names: Names) -> str:
    """An objective, or a list with one for each image."""
    if isinstance(given, Objective):
        return given.source(names)
    return f"[{', '.join(each.source(names) for each in given)}]"


def _listed(names: Collection[str]) -> str:
    *first, end = (f"`{name}`" for name in names)
    if len(first) >= MANY:
        return f"{first[0]}, {first[1]} … {end}"
    return f"{', '.join(first)} and {end}" if first else end


def _line(sentence: str) -> str:
    return " ".join(sentence.split())
