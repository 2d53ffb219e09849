"""What the passport of a channel shows at one moment: in a frame, and on the saved sheet."""

from dataclasses import dataclass
from typing import Any

from nbvis.engine import Statistics
from nbvis.sessions import Partial, Refusal, encoded, picture

from .data_set import DataSet
from .optimised import Dream
from .panes import Painter, Picture
from .passport import COLLECT, Bearer, Habits, Maximal
from .sheet import Cell
from .statistics_painting import PATCH, atlas, atlas_places, contact_sheet, small_multiples
from .views import figure

SIDE = 480
"""Pixels of each picture on the saved sheet."""


@dataclass(frozen=True)
class PassportScene:
    """The optimised image of a channel, what drives it most in a data set, how it answers there, and with whom.

    Attributes:
        painter: keeps the pictures.
        bearer: whose passport it is.
        habits: how it answers, or why that is not known; None while it is not.
        maximal: what drives it most, likewise.
        dream: its optimised image, likewise.
        growing: the same as far as it is; None where it is not being made.
        missing: what has to be given to see more, and the line of code that gives it; both empty if nothing has.
    """

    painter: Painter
    bearer: Bearer
    habits: Habits | Refusal | None
    maximal: Maximal | Partial | Refusal | None
    dream: Dream | Refusal | None
    growing: Dream | None
    missing: tuple[str, str]

    @property
    def empty(self) -> bool:
        """Whether nothing of it has been found out."""
        return self._shown is None and not any((self._patches, isinstance(self.habits, Habits)))

    def frame(self, first: int) -> tuple[dict[str, Any], list[bytes]]:
        """What a frame says of it, and its pictures; the numbers of their buffers begin with `first`."""
        buffers: list[bytes] = []

        def index(made: Picture | None) -> int:
            buffers.extend([made.sent] if made else [])
            return first + len(buffers) - 1 if made else -1

        top, bearer, shown = self._top, self.bearer, self._shown
        dream = shown and self.painter.plain(("dream", bearer, shown.done), picture(shown.image))
        said = {
            "of": bearer.name,
            "missing": list(self.missing),
            "dream": {"picture": index(dream), "line": self._line, "note": _reason(self.dream)},
            "patches": self._rows(),
            "pictures": index(self._strip("seen")),
            "guided": index(self._strip("guided")),
            "note": " ".join(top.notes) if top else _reason(self.maximal),
        }
        return said | self._answers(), buffers

    def growing_frame(self) -> tuple[dict[str, Any], list[bytes]]:
        """What a frame without the other pictures says of the optimised image."""
        if self.dream is not None or self.growing is None:
            return {}, []
        made = encoded(picture(self.growing.image), lossless=False)
        return {"dream": {"of": self.bearer.name, "picture": 0, "line": self._line, "note": ""}}, [made]

    def cells(self) -> list[Cell]:
        """It as it is saved."""
        name, habits, patches = self.bearer.name, self.habits, self._patches
        instead = " ".join(part for part in self.missing if part) or _reason(self.maximal) or "not computed yet"
        shown = self._shown
        drawn = picture(shown.image) if shown else None
        line = self._line if shown else _reason(self.dream) or "not computed yet"
        cells = [Cell(drawn, f"Optimised image of {name}", line)]
        between = f"activations {figure(patches[0].value)} … {figure(patches[-1].value)}" if patches else instead
        cells.append(Cell(contact_sheet(patches, SIDE) if patches else None, f"Maximal patches of {name}", between))
        if guided := self._guided:
            seen = [each._replace(seen=came) for each, came in zip(patches, guided, strict=True)]
            cells.append(Cell(contact_sheet(seen, SIDE), "What comes back to them", "guided backpropagation"))
        if isinstance(habits, Habits):
            bars = small_multiples(habits.bars, [self.bearer.channel], [habits.dead], False, SIDE)
            cells.append(Cell(bars, f"Activations of {name}", ", ".join(" ".join(each) for each in habits.figures)))
        return cells

    @property
    def _top(self) -> Maximal | None:
        found = self.maximal.answer if isinstance(self.maximal, Partial) else self.maximal
        return found if isinstance(found, Maximal) else None

    @property
    def _patches(self):
        return self._top.patches if self._top else ()

    @property
    def _guided(self):
        """What came back to each of the patches; none before it came to all."""
        top = self._top
        return top.guided if top and len(top.guided) == len(top.patches) else ()

    @property
    def _shown(self) -> Dream | None:
        return self.dream if isinstance(self.dream, Dream) else self.growing

    @property
    def _line(self) -> str:
        shown = self._shown
        if shown is None:
            return ""
        far = "" if shown.done == shown.total else f"{shown.done} of {shown.total} · "
        return f"{far}score {figure(shown.score)}"

    def _rows(self) -> list[dict[str, Any]]:
        places = atlas_places([each.seen for each in self._patches], PATCH)
        return [
            {"value": each.value, "image": each.image, "seen": list(place)}
            for each, place in zip(self._patches, places, strict=True)
        ]

    def _strip(self, which: str) -> Picture | None:
        """The patches side by side, or what came back to them."""
        images = [each.seen for each in self._patches] if which == "seen" else self._guided
        return self.painter.plain((which, self.bearer), atlas(images, PATCH)) if images else None

    def _answers(self) -> dict[str, Any]:
        habits = self.habits
        if not isinstance(habits, Habits):
            empty = {"figures": [], "bars": None, "dead": False, "correlates": []}
            return empty | {"alone": _reason(habits)}
        bars = habits.bars
        counts = bars.counts[0].double().tolist()
        return {
            "figures": [list(each) for each in habits.figures],
            "bars": {
                "low": bars.low, "width": (bars.high - bars.low) / len(counts), "zeros": int(bars.zeros[0]),
                "counts": counts,
            },
            "dead": habits.dead,
            "correlates": [list(each) for each in habits.correlates],
            "alone": habits.alone,
        }  # fmt: skip


def missing(statistics: Statistics | None, data: DataSet | None, layer: str) -> tuple[str, str]:
    """What has to be given to see all of a passport, and the line of code that gives it; empty if nothing has."""
    if statistics is None:
        return "Its real patches, histogram and correlates come from statistics of a data set:", COLLECT
    if layer not in statistics:
        return f"The statistics given have no layer {layer!r}:", f"collect(network, batches, layers=[{layer!r}])"
    if data is None:
        said = "To see its real patches, give the batches that the statistics are of as well:"
        return said, "LayerExplorer(network, image, statistics, batches)"
    if not statistics.options.top:
        return "The statistics given keep no patches:", "collect(network, batches, top=9)"
    return "", ""


def _reason(found: Any) -> str:
    return found.reason if isinstance(found, Refusal) else ""
