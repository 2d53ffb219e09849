"""A run as a file: all that it takes to go on with it after the kernel has ended, to the same bits.

The file is a zip of tensors, numbers and words, as `torch.save` writes them; nothing in it is executed when it is read.
"""

import ast
import io
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from nbvis import engine
from nbvis.engine import Network, Objective, restored, stored
from nbvis.sessions import Past

from .dreaming import canonical
from .given import Given, given_image
from .terms import text_row, told
from .visualising import Drawn

SUFFIX = ".nbvis"
VERSION = 1
_FUNCTIONS = tuple(f"nbvis.engine.ascent.{name}" for name in ("transforms", "size_transforms", "regularisers"))


class SavedRun(NamedTuple):
    """What a file held.

    Attributes:
        settings: what the controls were set to, by name, and the objective.
        given: the picture; None where there was none.
        past: of the run; its `last` can be gone on from.
        history: the (index, octave, scores) of its steps.
        elapsed: what it had taken, seconds.
    """

    settings: dict[str, Any]
    given: Given | None
    past: Past
    history: list[tuple[int, int, Tensor]]
    elapsed: float


def written(
    network: Network,
    given: Given | None,
    settings: Mapping[str, Any],
    past: Past,
    history: list[tuple[int, int, Tensor]],
    elapsed: float,
) -> bytes:
    """A run as a file; see `SavedRun`.

    Raises:
        ValueError: if something of it cannot be written down, such as a function of one's own.
    """
    assert past.last is not None
    file, writer = io.BytesIO(), _Writer()
    picture = given and {
        "image": given.original.cpu(), "longest": given.longest, "framing": given.framing, "name": given.name,
    }  # fmt: skip
    said = {
        "version": VERSION,
        "network": network.name,
        "picture": picture,
        "settings": {name: writer.plain(value) for name, value in settings.items()},
        "origin": {name: writer.plain(value) for name, value in past.origin.items() if name != "after"},
        "changes": [
            [index, {name: writer.plain(value) for name, value in changed.items()}] for index, changed in past.changes
        ],
        "objectives": writer.objectives,
        "step": stored(past.last),
        "history": [[index, octave, scores.cpu()] for index, octave, scores in history],
        "elapsed": elapsed,
    }
    torch.save(said, file)
    return file.getvalue()


def opened(path: Path, network: Network | None) -> SavedRun:
    """The run that a file holds.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it holds none, one of another version, or the network is not given.
    """
    try:
        said = torch.load(path, weights_only=True, map_location="cpu")
        version, name = said["version"], said["network"]
    except FileNotFoundError:
        raise
    except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError, TypeError, OSError) as error:
        raise ValueError(f"{path.name} is no run that a canvas saved") from error
    if version != VERSION:
        raise ValueError(f"{path.name} holds a run of version {version!r}, and this is nbvis's version {VERSION}")
    if network is None:
        raise ValueError(
            f"{path.name} was made with the network {name!r}: give it, as DreamCanvas.open({path.name!r}, network)"
        )
    read = _Reader(said["objectives"]).value
    origin = {name: read(value) for name, value in said["origin"].items()}
    changes = [(index, {name: read(value) for name, value in changed.items()}) for index, changed in said["changes"]]
    settings = {name: read(value) for name, value in said["settings"].items()}
    start, picture = origin["images"], said["picture"]
    if isinstance(start, Tensor):
        origin["images"] = start = start.to(network.device)
    made = start.made() if isinstance(start, Drawn) and said["step"]["kind"] == "ascent" else None
    step = restored(said["step"], made, network.device)
    given = picture and _given(picture, path.name)
    history = [(index, octave, scores.to(network.device)) for index, octave, scores in said["history"]]
    return SavedRun(settings, given, Past(origin, changes, step), history, said["elapsed"])


def _given(picture: Mapping[str, Any], name: str) -> Given:
    made = given_image(picture["image"], "DreamCanvas", longest=picture["longest"], framing=picture["framing"])
    return made._replace(name=picture["name"], whence=f"the picture in {name}")


class _Writer:
    """Puts values as tensors, numbers and words; an objective that is there twice is written once."""

    def __init__(self):
        self.objectives: list[list[dict[str, Any]]] = []
        self._seen: dict[int, int] = {}
        self._held: list[Objective] = []

    def plain(self, value: Any) -> Any:
        if value is None or isinstance(value, bool | int | float | str):
            return value
        if isinstance(value, Tensor):
            return {"tensor": value.detach().cpu()}
        if isinstance(value, Drawn):
            return {"drawn": [value.parameter, list(value.shape), value.seed]}
        if isinstance(value, Objective):
            return {"objective": self._number(value)}
        if isinstance(value, tuple | list):
            return {"tuple": [self.plain(each) for each in value]}
        if _function(source := repr(value)) == value:
            return {"function": source}
        raise ValueError(f"{source} is a function of your own, which no file can hold: save the picture, as .png")

    def _number(self, objective: Objective) -> int:
        if id(objective) not in self._seen:
            texts = [text_row(objective, at) for at in range(len(objective.terms))]
            if not all(texts):
                lost = str(objective) if len(texts) == 1 else f"term {texts.index('')} of {objective}"
                raise ValueError(
                    f"{lost} is a picture or function of your own, which no file can hold: save the picture, as .png"
                )
            self._seen[id(objective)] = len(self.objectives)
            self._held.append(objective)  # or another one could come to lie where it was
            self.objectives.append(
                [
                    {"text": text, "weight": term.weight, "mask": term.mask}
                    for text, term in zip(texts, objective.terms, strict=True)
                ]
            )
        return self._seen[id(objective)]


class _Reader:
    """What a writer put down."""

    def __init__(self, objectives: list[list[dict[str, Any]]]):
        self._objectives = [_objective(terms) for terms in objectives]

    def value(self, plain: Any) -> Any:
        if not isinstance(plain, dict):
            return plain
        (kind, held), *_ = plain.items()
        if kind == "drawn":
            return Drawn(held[0], tuple(held[1]), held[2])
        if kind == "objective":
            return self._objectives[held]
        if kind == "function":
            return _function(held)
        return held if kind == "tensor" else tuple(self.value(each) for each in held)


def _objective(rows: list[dict[str, Any]]) -> Objective:
    return canonical(Objective(tuple(term for row in rows for term in told(**row).terms)))


def _function(source: str) -> Any:
    """The transform or regulariser that prints so; None if none does."""
    try:
        return _made(ast.parse(source, mode="eval").body)
    except (SyntaxError, ValueError, TypeError):
        return None


def _made(node: ast.AST) -> Any:
    if isinstance(node, ast.List | ast.Tuple):
        made = [_made(each) for each in node.elts]
        return made if isinstance(node, ast.List) else tuple(made)
    if not isinstance(node, ast.Call):
        return ast.literal_eval(node)
    name = node.func.id if isinstance(node.func, ast.Name) else ""
    make: Any = getattr(engine, name, None)
    if name not in engine.__all__ or getattr(make, "__module__", "") not in _FUNCTIONS:
        raise ValueError(f"{name!r} is no transform or regulariser, and nothing else is called, whatever a file says")
    return make(*map(_made, node.args), **{str(each.arg): _made(each.value) for each in node.keywords})
