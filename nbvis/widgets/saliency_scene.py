"""What a SaliencyView shows at one moment, and how that becomes panes, a film, notes and facts."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import Tensor

from nbvis.engine import Attribution, Faithfulness, RandomizationCheck
from nbvis.sessions import Refusal, picture

from .explaining import Asked, preprocessing_line
from .notes import Note, plain
from .painting import Look, own_limits, rgb
from .panes import FILM, Painter, Pane, Picture, Scene
from .views import VIEWS, Limits, figure

REFERENCES = {"random": "random", "centre": "centre", "edge": "edges"}
"""The maps that each map is compared with, and what they are called on the panel."""


class Shown(NamedTuple):
    """A map on the panel.

    Attributes:
        asked: which.
        found: the answer, None while there is none.
        before: the last answer to the same method, which stands in until then.
        measured: how faithful it is, None before that is asked.
    """

    asked: Asked
    found: Attribution | Refusal | None
    before: Attribution | None = None
    measured: Faithfulness | Refusal | None = None

    @property
    def map(self) -> Tensor | None:
        """(channels, height, width); None while there is none, or if there can be none."""
        return self.found.map[0].detach().float().cpu() if isinstance(self.found, Attribution) else None


@dataclass(frozen=True)
class SaliencyScene(Scene):
    """The image, the maps, and the checks of them.

    Attributes:
        painter: keeps the pictures.
        about: what stands for the state of the network and the image.
        image: (1, channels, height, width), with what is covered.
        expression: what is explained.
        shown: the maps.
        look: how they are shown.
        locked: the values their colours end at, None for each its own.
        input_line: what is said below the image.
        waiting: what stands in place of a map that is not there; empty while it is on its way.
        keeps: whether the map before stays until then.
        outdated: whether all that is shown is of the network as it was before.
        check: the sanity check of the first map; None before it is asked for.
        preprocessing: what the network really sees; None before it is known.
    """

    painter: Painter
    about: Hashable
    image: Tensor
    expression: str
    shown: Sequence[Shown]
    look: Look
    locked: Limits | None
    input_line: str
    waiting: str
    keeps: bool
    outdated: bool
    check: RandomizationCheck | None
    preprocessing: Any
    made = "these maps were computed"

    @property
    def title(self) -> str:
        """What is explained."""
        return f"What speaks for {self.expression}"

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the image, pixels."""
        return self.image.shape[2], self.image.shape[3]

    def panes(self) -> list[Pane]:
        """The image and each of the maps."""
        image = self.painter.plain(self.about, picture(self.image))
        return [Pane("input", "Input", self.input_line, "", self.size, image), *map(self._pane, self.shown)]

    def more(self) -> Mapping[str, Sequence[Picture | None]]:
        """The film: the map of the network as trained, and that of each stage of its forgetting, in its own colours."""
        if self.check is None:
            return {"film": []}
        look, image = self.look._replace(overlay="none", opacity=0.0), rgb(self.image)
        maps = [self.check.map, *(stage.map for stage in self.check.stages)]
        asked = self.shown[0].asked
        return {
            "film": [
                self.painter.map(("film", asked, place), each[0].float().cpu(), image, look, None, FILM)[1]
                for place, each in enumerate(maps)
            ]
        }

    def notes(self) -> list[Note]:
        """What whoever looks should read."""
        several = len(self.shown) > 1
        read: list[Note] = []
        for shown in self.shown:
            about = shown.asked.label if several else ""
            read += [Note(each, about) for each in [*_said(shown.found), *self._beyond(shown)]]
        for shown in self.shown:
            read += [Note(each, shown.asked.label, "faithfulness") for each in _said(shown.measured)]
        return read + plain(*_said(self.check), self.look.note)

    def traits(self) -> dict[str, Any]:
        """The results of the checks."""
        line, fit = preprocessing_line(self.preprocessing)
        return {"bars": self._bars(), "sanity": self._sanity(), "preprocessing": line, "preprocessing_fit": fit}

    def facts(self) -> dict[str, object]:
        """What was asked, and how the checks ended."""
        facts: dict[str, object] = {"Explained": self.expression, "View": VIEWS[self.look.view].label}
        for asked in (shown.asked for shown in self.shown):
            facts[asked.label] = ", ".join(f"{name} {value}" for name, value in asked.arguments().items())
        for row in self._bars():
            if row["insertion"] is not None and row["deletion"] is not None:
                areas = f"insertion {row['insertion']:.3f}, deletion {row['deletion']:.3f}"
                facts[f"Faithfulness, {row['label']}"] = areas
        sanity = self._sanity()
        facts |= {"Sanity check": sanity["verdict"]} if sanity else {}
        return facts | {"Preprocessing": preprocessing_line(self.preprocessing)[0]}

    def _pane(self, shown: Shown) -> Pane:
        asked, found, stale = shown.asked, shown.found, False
        if found is None and shown.before is not None and self.keeps:
            found, stale = shown.before, True
        if not isinstance(found, Attribution):
            note = found.reason if isinstance(found, Refusal) else self.waiting
            return Pane(asked.name, asked.label, "", asked.layer or "", self.size, note=note)
        key = (asked, id(found)) if stale else asked
        values = found.map[0].detach().float().cpu()
        painted, made = self.painter.map(key, values, rgb(self.image), self.look, self.locked)
        size = (painted.image.height, painted.image.width) if painted.image else self.size
        return Pane(
            asked.name, asked.label, painted.caption, found.layer or "", size, made, painted.between, painted.colors,
            painted.note, stale or self.outdated,
        )  # fmt: skip

    def _beyond(self, shown: Shown) -> list[str]:
        values = shown.map
        own = None if values is None or self.locked is None else own_limits(values, self.look.view, self.size)
        if own is None or self.locked is None or own[1] <= self.locked[1]:
            return []
        return [
            f"Its own colours would end at {figure(own[1])}, and they are locked at {figure(self.locked[1])}: what "
            "lies beyond has the colour of the end."
        ]

    def _bars(self) -> list[dict[str, Any]]:
        """The areas under the curves of each map, and of the reference maps after them."""
        found = [(shown.asked, shown.measured) for shown in self.shown if isinstance(shown.measured, Faithfulness)]
        rows = [_bar(asked.name, asked.label, each, "attribution", False) for asked, each in found]
        if found:
            rows += [_bar(name, label, found[0][1], name, True) for name, label in REFERENCES.items()]
        return rows

    def _sanity(self) -> dict[str, Any]:
        """The sanity check as the panel reads it; empty before it is there."""
        if self.check is None:
            return {}
        asked = self.shown[0].asked
        stages = [
            {
                "layer": stage.layer,
                "fraction": stage.fraction,
                "correlation": _finite(stage.correlation),
                "similarity": _finite(stage.similarity),
            }
            for stage in self.check.stages
        ]
        verdict = self.check.verdict_on(asked.label)
        return {
            "method": asked.name, "label": asked.label, "passed": self.check.passed, "verdict": verdict,
            "stages": stages,
        }  # fmt: skip


def _said(found: Any) -> list[str]:
    """The notes on an answer; of a refusal, its reason."""
    if found is None:
        return []
    return [found.reason] if isinstance(found, Refusal) else list(found.notes)


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
