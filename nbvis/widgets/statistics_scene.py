"""The scene of an ActivationStats: its frame, its pictures, its notes, and the sheet that is saved."""

from dataclasses import dataclass
from typing import Any

from nbvis.sessions import Refusal

from .channels import SORTS, dead
from .notes import Note, plain
from .panes import Painter, Picture, Scene
from .sheet import Cell
from .statistics_painting import PATCH, WHOLE, atlas, contact_sheet, matrix, small_multiples
from .statistics_records import chosen, collected, layer_line, matrix_key, matrix_record, overview, page
from .statistics_shown import Shown
from .views import figure

SIDE = 480
"""Pixels of each picture on the saved sheet."""
ENDS = ("#053061", "#4393c3", "#f7f7f7", "#d6604d", "#67001f")
"""The colours of correlations from −1 to 1."""


@dataclass(frozen=True)
class StatisticsScene(Scene):
    """The layers, the channels of one of them, and one of these.

    Attributes:
        painter: keeps the pictures.
        shown: what there is to show.
        outdated: whether the network has changed since.
    """

    painter: Painter
    shown: Shown
    outdated: bool
    size = (SIDE, SIDE)
    made = "these statistics were collected"

    @property
    def title(self) -> str:
        """Whose statistics these are."""
        return f"Activation statistics of {self.shown.network}"

    def frame(self) -> tuple[dict[str, Any], list[bytes]]:
        """What a frame says, and the bins of the channels on the page and of the chosen one."""
        shown = self.shown
        channels, buffers = page(shown)
        one, more = chosen(shown, len(buffers))
        return {
            "collected": collected(shown),
            "overview": overview(shown),
            "page": channels,
            "chosen": one,
            "matrix": matrix_record(shown),
        }, buffers + more

    def picture(self, which: str) -> Picture | None:
        """The patches, the images they are from, or the correlation matrix; None while it is not there."""
        shown = self.shown
        if which == "matrix":
            held, window = shown.clustered, shown.window()
            if held is None or window is None:
                return None
            return self.painter.plain(matrix_key(shown), matrix(held.correlation, *window))
        if shown.patches is None or not shown.patches.patches:
            return None
        images = [each.seen if which == "patches" else each.whole for each in shown.patches.patches]
        key = which, shown.about, shown.view.layer, shown.view.channel, shown.view.patches
        return self.painter.plain(key, atlas(images, PATCH if which == "patches" else WHOLE))

    def traits(self) -> dict[str, Any]:
        """How far collecting is."""
        return {"images": self.shown.collection.images if self.shown.collection else 0}

    def notes(self) -> list[Note]:
        """What is wrong with the network, and what there is to say of the statistics."""
        shown, layer = self.shown, self.shown.view.layer
        diagnosis = shown.answers.get("diagnosis")
        if isinstance(diagnosis, Refusal):
            return plain(diagnosis.reason)
        read = [Note(each.sentence.removeprefix(f"{each.layer}: "), each.layer, "finding") for each in diagnosis or ()]
        read += plain(*(diagnosis.notes if diagnosis else ()), *self._said())
        if shown.before is not None and shown.layer is not None and shown.layer_before is None:
            read += plain(f"{layer} cannot be compared: the statistics before have no such layer of this size.")
        answer = shown.answers.get("weights" if shown.view.values == "weights" else "correlation")
        return read + plain(answer.reason if isinstance(answer, Refusal) else "")

    def facts(self) -> dict[str, object]:
        """What was collected, and the layers."""
        found: dict[str, object] = {"Images": f"{collected(self.shown)['images']:,}"}
        for row in overview(self.shown) if self.shown.found else []:
            said = f"{row['channels']} channels, {row['dead']} dead"
            found[row["name"]] = said + (f", {row['saturated']} saturated" if row["saturated"] else "")
        return found

    def cells(self) -> list[Cell]:
        """The channels, their correlation, and the patches of the one that is chosen."""
        shown, layer, view = self.shown, self.shown.layer, self.shown.view
        if layer is None:
            return [Cell(None, "Channels", "not collected yet")]
        on_page = shown.on_page
        bars, still = shown.bars(on_page), dead(layer)[on_page].tolist()
        title = f"Channels of {layer.name}, {SORTS[view.sort].label}"
        drawn = small_multiples(bars, on_page, still, view.log, SIDE) if bars and on_page else None
        cells = [Cell(drawn, title, layer_line(shown))]
        held, window = shown.clustered, shown.window()
        if held is not None and window is not None:
            line = f"{len(window[0])} of {len(held.order)} channels"
            cells.append(Cell(matrix(held.correlation, *window), "Correlation, clustered", line, (-1.0, 1.0), ENDS))
        if shown.patches is not None and (patches := shown.patches.patches):
            line = f"activations {figure(patches[0].value)} … {figure(patches[-1].value)}"
            kind = "Minimal" if view.patches == "lowest" else "Maximal"
            cells.append(Cell(contact_sheet(patches, SIDE), f"{kind} patches of channel {view.channel}", line))
        return cells

    def _said(self) -> list[str]:
        """The notes on the statistics; of other layers only those on broken values."""
        held = self.shown.collection
        if held is None or held.summary is None:
            return []
        return [*held.summary.remarks, *held.summary.notes.get(self.shown.view.layer, ())]
