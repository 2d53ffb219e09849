"""What a SaliencyView shows at one moment, and how that becomes panes, a film, notes and one sheet."""

from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

from torch import Tensor

from nbvis.engine import Attribution, Faithfulness, RandomizationCheck
from nbvis.sessions import Refusal, encoded, picture, shown_as

from .explaining import Asked
from .notes import Note, plain
from .painting import Look, own_limits, rgb
from .panes import FILM, Painter, Pane, Picture
from .sheet import Cell, sheet
from .views import VIEWS, Limits, figure

Measured = Sequence[tuple[Asked, Faithfulness | Refusal]]
"""The answers there are to how faithful the maps shown are."""

REFERENCES = {"random": "random", "centre": "centre", "edge": "edges"}
"""The maps that each map is compared with, and what they are called on the panel."""


class Shown(NamedTuple):
    """A map on the panel.

    Attributes:
        asked: which.
        found: the answer, None while there is none.
        before: the last answer to the same method, which stands in until then.
    """

    asked: Asked
    found: Attribution | Refusal | None
    before: Attribution | None = None

    @property
    def map(self) -> Tensor | None:
        """(channels, height, width); None while there is none, or if there can be none."""
        return self.found.map[0].detach().float().cpu() if isinstance(self.found, Attribution) else None


class Scene(NamedTuple):
    """What is shown.

    Attributes:
        about: what stands for the state of the network and the image.
        image: (1, channels, height, width), with what is covered.
        shown: the maps.
        look: how they are shown.
        locked: the values their colours end at, None for each its own.
        input_line: what is said below the image.
        waiting: what stands in place of a map that is not there; empty while it is on its way.
        keeps: whether the map before stays until then.
        outdated: whether all that is shown is of the network as it was before.
    """

    about: Hashable
    image: Tensor
    shown: Sequence[Shown]
    look: Look
    locked: Limits | None
    input_line: str
    waiting: str
    keeps: bool
    outdated: bool

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the image, pixels."""
        return self.image.shape[2], self.image.shape[3]


def panes(painter: Painter, scene: Scene) -> list[Pane]:
    """The image and each of the maps."""
    image = painter.plain(scene.about, picture(scene.image))
    return [
        Pane("input", "Input", scene.input_line, "", scene.size, image),
        *(_pane(painter, scene, shown) for shown in scene.shown),
    ]


def film(painter: Painter, scene: Scene, asked: Asked, check: RandomizationCheck) -> list[Picture | None]:
    """The map of the network as trained, and that of each stage of its forgetting, each in colours of its own."""
    look, image = scene.look._replace(overlay="none", opacity=0.0), rgb(scene.image)
    maps = [check.map, *(stage.map for stage in check.stages)]
    return [
        painter.map(("film", asked, place), each[0].float().cpu(), image, look, None, FILM)[1]
        for place, each in enumerate(maps)
    ]


def notes(scene: Scene, measured: Measured, check: RandomizationCheck | None) -> list[Note]:
    """What whoever looks should read."""
    several = len(scene.shown) > 1
    read = plain(shown_as(scene.image.shape[1]))
    for shown in scene.shown:
        found: Sequence[str] = ()
        if isinstance(shown.found, Refusal):
            found = [shown.found.reason]
        elif shown.found is not None:
            found = [*shown.found.notes, *_beyond(scene, shown)]
        read += [Note(note, shown.asked.label if several else "") for note in found]
    for asked, answer in measured:
        said = [answer.reason] if isinstance(answer, Refusal) else answer.notes
        read += [Note(note, asked.label, "faithfulness") for note in said]
    if check is not None:
        read += plain(*check.notes)
    if scene.look.overlay != "none" and not scene.look.mixes:
        read += plain(f"The view {VIEWS[scene.look.view].label} is shown without the overlay {scene.look.overlay!r}.")
    return read


def bars(measured: Measured) -> list[dict[str, Any]]:
    """The areas under the curves of each map, and of the reference maps after them."""
    found = [(asked, each) for asked, each in measured if isinstance(each, Faithfulness)]
    rows = [_bar(asked.name, asked.label, each, "attribution", False) for asked, each in found]
    if found:
        rows += [_bar(name, label, found[0][1], name, True) for name, label in REFERENCES.items()]
    return rows


def sanity(asked: Asked, check: RandomizationCheck) -> dict[str, Any]:
    """The sanity check as the panel reads it."""
    stages = [
        {
            "layer": stage.layer,
            "fraction": stage.fraction,
            "correlation": _finite(stage.correlation),
            "similarity": _finite(stage.similarity),
        }
        for stage in check.stages
    ]
    verdict = check.verdict_on(asked.label)
    return {
        "method": asked.name, "label": asked.label, "passed": check.passed, "verdict": verdict, "stages": stages,
    }  # fmt: skip


def page_facts(rows: Sequence[dict[str, Any]], checked: dict[str, Any]) -> dict[str, str]:
    """The checks as facts of a saved page."""
    facts = {
        f"Faithfulness, {row['label']}": f"insertion {row['insertion']:.3f}, deletion {row['deletion']:.3f}"
        for row in rows
        if row["insertion"] is not None and row["deletion"] is not None
    }
    return facts | ({"Sanity check": checked["verdict"]} if checked else {})


def whole_sheet(shown: Sequence[Pane], size: tuple[int, int]) -> bytes:
    """All panes side by side, as one PNG."""
    return encoded(sheet(cells(shown), size), lossless=True)


def cells(shown: Sequence[Pane]) -> list[Cell]:
    """The panes as they are saved."""
    return [_cell(pane) for pane in shown]


def _cell(pane: Pane) -> Cell:
    title = f"{pane.title} · {pane.layer}" if pane.layer else pane.title
    line = pane.sub if pane.picture else pane.note or "not computed yet"
    return Cell(pane.picture.image if pane.picture else None, title, line, pane.between, pane.colors)


def _pane(painter: Painter, scene: Scene, shown: Shown) -> Pane:
    asked, found, stale = shown.asked, shown.found, False
    if found is None and shown.before is not None and scene.keeps:
        found, stale = shown.before, True
    if not isinstance(found, Attribution):
        note = found.reason if isinstance(found, Refusal) else scene.waiting
        return Pane(asked.name, asked.label, "", asked.layer or "", scene.size, note=note)
    key = (asked, id(found)) if stale else asked
    values = found.map[0].detach().float().cpu()
    painted, made = painter.map(key, values, rgb(scene.image), scene.look, scene.locked)
    size = (painted.image.height, painted.image.width) if painted.image else scene.size
    return Pane(
        asked.name, asked.label, painted.caption, found.layer or "", size, made, painted.between, painted.colors,
        painted.note, stale or scene.outdated,
    )  # fmt: skip


def _beyond(scene: Scene, shown: Shown) -> list[str]:
    values = shown.map
    own = None if values is None or scene.locked is None else own_limits(values, scene.look.view, scene.size)
    if own is None or scene.locked is None or own[1] <= scene.locked[1]:
        return []
    return [
        f"Its own colours would end at {figure(own[1])}, and they are locked at {figure(scene.locked[1])}: what lies "
        "beyond has the colour of the end."
    ]


def _bar(name: str, label: str, found: Faithfulness, which: str, reference: bool) -> dict[str, Any]:
    return {
        "name": name,
        "label": label,
        "insertion": _finite(found.insertion_area[which]),
        "deletion": _finite(found.deletion_area[which]),
        "reference": reference,
    }


def _finite(values: Tensor) -> float | None:
    """The mean as a number that a message can carry; None for NaN."""
    value = values.mean().item()
    return value if value - value == 0 else None
