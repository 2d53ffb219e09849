"""What a frame of an ActivationStats says: the layers, the channels on the page, the chosen one, and the matrix."""

import math
from collections.abc import Hashable, Sequence
from typing import Any

from nbvis.engine import LayerStatistics
from nbvis.sessions import Refusal

from .channel_weights import Weights
from .channels import SORTS, dead, figures, saturated
from .clustering import strongest
from .statistics_painting import PATCH, WHOLE, atlas_places
from .statistics_shown import PAGE, Shown
from .views import figure


def collected(shown: Shown) -> dict[str, Any]:
    """How far the collecting is."""
    held = shown.collection
    return {
        "images": held.images if held else 0,
        "over": bool(held and held.over),
        "working": shown.working,
        "pausing": bool(held and held.busy and not shown.working),
        "rate": held.rate if held else None,
        "to_go": held.left if held else None,
        "nbytes": held.nbytes if held else 0,
    }


def overview(shown: Shown) -> list[dict[str, Any]]:
    """The layers: {name, kind, channels, known, dead, saturated} of each."""
    if shown.collection is not None and shown.collection.summary is not None:
        return shown.collection.summary.rows
    empty = {"known": False, "dead": 0, "saturated": 0}
    return [{"name": r["name"], "kind": r["kind"], "channels": r["shape"][0]} | empty for r in shown.layers]


def page(shown: Shown) -> tuple[dict[str, Any], list[bytes]]:
    """The channels on the page, and the buffers with their bins."""
    layer, view = shown.layer, shown.view
    if layer is None:
        return _no_page(), []
    every, on_page = shown.listed, shown.on_page
    sort = SORTS[view.sort]
    said = figures(layer, shown.layer_before).get(sort.figure)
    still, full = dead(layer), saturated(layer)
    rows = [
        {
            "channel": each, "dead": bool(still[each]), "saturated": bool(full[each]),
            "text": "" if said is None else figure_text(said[each].item(), sort.percent),
        }
        for each in on_page
    ]  # fmt: skip
    axes, buffers = _axes(shown, on_page)
    told = {"layer": layer.name, "line": layer_line(shown), "channels": rows, "first": view.page * PAGE}
    return told | {"of": len(every), "figure": sort.figure, "axes": axes}, buffers


def _no_page() -> dict[str, Any]:
    return {"layer": "", "line": "", "channels": [], "first": 0, "of": 0, "figure": "", "axes": []}


def _axes(shown: Shown, channels: Sequence[int], first: int = 0) -> tuple[list[dict[str, Any]], list[bytes]]:
    """Where histograms lie, those now and those before; and their bins."""
    made = [each for each in (shown.bars(channels), shown.bars(channels, before=True)) if each is not None]
    axes = [
        {"low": each.low, "high": each.high, "bins": each.counts.shape[1], "buffer": first + place}
        for place, each in enumerate(made)
    ]
    return axes, [each.data() for each in made]


def layer_line(shown: Shown) -> str:
    """What kind of layer is shown, and its shape."""
    layer = shown.layer
    assert layer is not None
    return f"{layer.kind} · {' × '.join(map(str, layer.shape))}"


def chosen(shown: Shown, first: int) -> tuple[dict[str, Any] | None, list[bytes]]:
    """The chosen channel, None for none, and its bins in buffers that are counted from `first`."""
    layer, channel = shown.layer, shown.view.channel
    if layer is None or channel is None:
        return None, []
    axes, buffers = _axes(shown, [channel], first)
    told = {
        "channel": channel,
        "dead": bool(dead(layer)[channel]),
        "facts": [[name, text] for name, text in _figures(shown, layer, channel)],
        "axes": axes,
        "correlates": [[each, r] for each, r in _correlates(shown, channel)],
    }
    return told | _patches(shown), buffers


def _figures(shown: Shown, layer: LayerStatistics, channel: int) -> list[tuple[str, str]]:
    said = channel_figures(layer, channel, shown.layer_before)
    weights = shown.answers.get("weights")
    if isinstance(weights, Weights) and weights.bias is not None and shown.view.values == "weights":
        said.append(("bias", figure(weights.bias[channel].item())))
    return [*said, ("values", f"{int(layer.count[channel]):,}")]


def channel_figures(
    layer: LayerStatistics, channel: int, before: LayerStatistics | None = None
) -> list[tuple[str, str]]:
    """The figures of a channel that there are, (name, text) each."""
    percent = [sort.figure for sort in SORTS.values() if sort.percent]
    return [
        (name, figure_text(values[channel].item(), name in percent))
        for name, values in figures(layer, before).items()
        if not math.isnan(values[channel].item())
    ]


def _correlates(shown: Shown, channel: int) -> list[tuple[int, float]]:
    return strongest(shown.clustered.correlation, channel) if shown.clustered else []


def _patches(shown: Shown) -> dict[str, Any]:
    found = shown.patches
    if found is None:
        refused = shown.answers.get("patches")
        note = refused.reason if isinstance(refused, Refusal) else ""
        return {"patches": [], "patch_note": note, "patch_key": ""}
    seen = atlas_places([each.seen for each in found.patches], PATCH)
    whole = atlas_places([each.whole for each in found.patches], WHOLE)
    rows = [
        {"value": each.value, "image": each.image, "box": list(each.box), "seen": list(one), "whole": list(other)}
        for each, one, other in zip(found.patches, seen, whole, strict=True)
    ]
    key = str(hash((shown.about, shown.view.layer, shown.view.channel, shown.view.patches)))
    return {"patches": rows, "patch_note": " ".join(found.notes), "patch_key": key}


def matrix_key(shown: Shown) -> Hashable:
    """Stands for the picture of the matrix."""
    return "matrix", shown.about, shown.view.layer, shown.view.values, shown.view.zoom


def matrix_record(shown: Shown) -> dict[str, Any]:
    """What the matrix shows, and where the chosen channel is in it."""
    window = shown.window()
    total = len(shown.clustered.order) if shown.clustered else 0
    key = str(hash(matrix_key(shown))) if window else ""
    zoom = list(shown.view.zoom) or [0, 0, total]
    spot = None
    if window and shown.view.channel is not None:
        places = (window[0] == shown.view.channel).nonzero(), (window[1] == shown.view.channel).nonzero()
        spot = [int(each[0]) if len(each) else -1 for each in places]
    return {"key": key, "rows": len(window[0]) if window else 0, "total": total, "zoom": zoom, "spot": spot}


def figure_text(value: float, percent: bool = False) -> str:
    """A figure of a channel, short."""
    if math.isnan(value):
        return "–"
    if percent:
        return f"{100 * value:.0f} %" if 0.005 <= value <= 0.995 or value in (0, 1) else f"{100 * value:.3g} %"
    return figure(value)


def pair_text(shown: Shown, row: int, column: int) -> str:
    """The pair of channels at a cell of the matrix that is shown, and how they go together, in words."""
    window, held = shown.window(), shown.clustered
    if window is None or held is None or row >= len(window[0]) or column >= len(window[1]):
        return "no value"
    one, other = int(window[0][row]), int(window[1][column])
    r = held.correlation[one, other].item()
    said = "never varies" if math.isnan(r) else f"r = {r:.3f}".replace("-", "−")
    return f"channels {one} × {other} · {said}"
