"""What indexing and other ways to take a part of a tensor, or to repeat it, do to places."""

from dataclasses import replace

from .axes import Axes, Dimension, dimension
from .dimension_rules import UNKNOWN, Call, Place, opaque, where_unmoved
from .receptive_field import Window, cut


def item(call: Call) -> Place:
    """What stands between square brackets."""
    axes, asked = call.first.axes, call.args[1]
    if axes is None:
        return UNKNOWN
    asked = list(asked) if isinstance(asked, tuple) else [asked]
    lists = [k for k, each in enumerate(asked) if not isinstance(each, int | slice | type(None) | type(...))]
    numbers = any(isinstance(each, int) for each in asked)
    if len(lists) > 1 or (lists and numbers) or any(isinstance(each, bool) for each in asked):
        return opaque(call)
    gap = len(axes.dimensions) - sum(each is not None and each is not ... for each in asked)
    at = next((k for k, each in enumerate(asked) if each is ...), len(asked))
    asked[at : at + 1] = [slice(None)] * gap
    if sum(not isinstance(each, int) for each in asked) != call.output.dim():
        return opaque(call)  # an index that is itself of several dimensions, or a mask
    place, d = call.first, 0
    for each in asked:
        assert place.axes is not None
        if each is None:
            place = replace(place, axes=Axes((*place.axes.dimensions[:d], Dimension(), *place.axes.dimensions[d:])))
            d += 1
        elif isinstance(each, int):
            place = where_unmoved(place, place.axes.replaced(d))
        else:
            length = call.output.shape[d]
            start, _, step = each.indices(place.axes.dimensions[d].size) if isinstance(each, slice) else (0, 0, 0)
            place = sliced(place, d, start, step, length)
            d += 1
    return place


def sliced(place: Place, d: int, start: int, step: int, length: int) -> Place:
    """Every so many indices of a dimension, from `start` on; step 0 for no order that is known."""
    assert place.axes is not None
    old = place.axes.dimensions[d]
    if not old.has_places:
        return replace(place, axes=place.axes.replaced(d, old.resized(length)))
    if step == 1 and length == old.size:
        return place
    end = old.size - start - length
    if (old.before or old.after) and step == 1 and start <= old.before and end <= old.after:
        return replace(place, axes=place.axes.replaced(d, Dimension(old.parts, old.before - start, old.after - end)))
    kind = old.parts[0].kind if len(old.parts) == 1 else "other"
    axes = place.axes.replaced(d, dimension(kind, length))
    if not step or not alone(place.axes, d):
        return Place(axes)
    return looked(place, axes, d, cut(start, step))


def alone(axes: Axes, d: int) -> bool:
    """Whether a dimension holds all rows, or all columns, and nothing else."""
    own = axes.dimensions[d]
    others = (each for each in axes.dimensions if each is not own)
    return len(own.parts) == 1 and not own.before + own.after and not any(own.kinds & each.kinds for each in others)


def looked(place: Place, axes: Axes, d: int, window: Window) -> Place:
    """A place after a window along a dimension that holds all rows or all columns; the axes are those afterwards."""
    assert place.axes is not None
    old, field = place.axes.dimensions[d], place.field
    if field is not None:
        sight = (field.rows if old.kinds == {"row"} else field.columns).through(window)
        field = replace(field, rows=sight) if old.kinds == {"row"} else replace(field, columns=sight)
    seen = place.seen and place.seen.through(old.kinds, window, old.size, axes.dimensions[d].size)
    return Place(axes, None if window.whole else field, seen)


def stretched(call: Call) -> Place:
    """Values again and again along some dimensions."""
    if call.first.axes is None:
        return UNKNOWN
    given, shape = call.first.axes.dimensions, call.output.shape
    new = [dimension("other", n) if n > 1 else Dimension() for n in shape[: len(shape) - len(given)]]
    found = [each.resized(n) for each, n in zip(given, shape[len(new) :], strict=True)]
    return where_unmoved(call.first, Axes((*new, *found)))


def narrowed(call: Call) -> Place:
    """A stretch of one dimension."""
    if call.first.axes is None:
        return UNKNOWN
    d, start = call.given(1, "dim"), call.given(2, "start")
    d %= call.output.dim()
    size = call.first.axes.dimensions[d].size
    return sliced(call.first, d, int(start) % size if size else 0, 1, call.output.shape[d])


def selected(call: Call) -> Place:
    """One index of a dimension, or each in turn."""
    d = call.given(1, "dim", default=0)
    return where_unmoved(call.first, call.first.axes.replaced(d)) if call.first.axes else UNKNOWN


def divided(call: Call) -> Place:
    """Parts of one dimension, or other indices of it in any order."""
    d = call.given(1 if call.name == "index_select" else 2, "dim", default=0)
    return sliced(call.first, d % call.output.dim(), 0, 0, call.output.shape[d]) if call.first.axes else UNKNOWN
