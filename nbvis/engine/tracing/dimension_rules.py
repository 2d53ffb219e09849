"""What tensor functions do to places: which dimensions count what afterwards, and what each row and column sees."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from .axes import Axes, Dimension, dimension
from .receptive_field import Field
from .seen import Seen, mixed_along, together


@dataclass(frozen=True)
class Place:
    """Where a tensor's values come from.

    Attributes:
        axes: what its dimensions count; None if that is not known.
        field: what its rows and columns see of any image; None if that is unbounded or not known.
        seen: what they see of the one that is traced; None if that is not known.
    """

    axes: Axes | None = None
    field: Field | None = None
    seen: Seen | None = None


UNKNOWN = Place()


@dataclass(frozen=True)
class Call:
    """One call of a tensor function.

    Attributes:
        name: of the function, without underscores around it.
        func: the function.
        args: by position.
        kwargs: by name.
        sources: each tensor that may depend on the image, with its place before the call.
        output: a tensor that it returns.
        image: (height, width) of the image.
    """

    name: str
    func: Callable[..., Any]
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    sources: Sequence[tuple[Tensor, Place]]
    output: Tensor
    image: tuple[int, int]

    def given(self, position: int, *names: str, default: Any = None) -> Any:
        """An argument by its position or one of its names."""
        if len(self.args) > position:
            return self.args[position]
        return next((self.kwargs[name] for name in names if name in self.kwargs), default)

    def place(self, tensor: Any) -> Place | None:
        """Of one of its tensors; None if it does not depend on the image."""
        return next((place for source, place in self.sources if source is tensor), None)

    @property
    def first(self) -> Place:
        """The place of the first argument; unknown if it does not depend on the image, but another does."""
        return (self.place(self.args[0]) if self.args and len(self.sources) == 1 else None) or UNKNOWN


Rule = Callable[[Call], Place]


def opaque(call: Call) -> Place:
    """What is not known: it may see the whole image, but what keeps its shape keeps its order."""
    same = (p.axes for s, p in call.sources if p.axes is not None and s.shape == call.output.shape)
    return Place(next(same, None))


def pointwise(call: Call) -> Place:
    """Each value from those at its own place."""
    size = call.output.dim()
    known = [place.axes.dimensions for _, place in call.sources if place.axes is not None]
    found: list[Dimension] = []
    for back in range(size, 0, -1):
        length = call.output.shape[-back]
        fitting = [each[-back] for each in known if len(each) >= back and each[-back].size == length]
        fitting.sort(key=lambda each: (not each.has_places, not each.parts))
        found.append(fitting[0] if fitting else dimension("other", length) if length > 1 else Dimension())
    axes = Axes(tuple(found)) if known else None
    return _beside(axes, [place for _, place in call.sources])


def _beside(axes: Axes | None, places: Sequence[Place]) -> Place:
    return Place(axes, _joined(axes, places), together(axes, [(place.axes, place.seen) for place in places]))


def _joined(axes: Axes | None, places: Iterable[Place]) -> Field | None:
    """What is seen of all of them, where their rows and columns are those of the axes."""
    joined: Field | None = None
    for k, each in enumerate(places):
        if axes is None or each.axes is None or each.field is None or _spatial(each.axes) != _spatial(axes):
            return None
        joined = each.field if k == 0 else joined and joined.joined(each.field)
    return joined


def _spatial(axes: Axes) -> dict[int, Dimension]:
    """The dimensions with rows and columns, counted from the end."""
    return {back: each for back, each in enumerate(reversed(axes.dimensions)) if each.has_places}


def permuted(call: Call) -> Place:
    """Another order of the dimensions, which the function itself tells on dimensions of different lengths."""
    axes = call.first.axes
    if axes is None:
        return UNKNOWN
    probe = torch.empty(list(range(2, 2 + len(axes.dimensions))), device="meta")
    order = [length - 2 for length in call.func(probe, *call.args[1:], **call.kwargs).shape]
    return replace(call.first, axes=axes.permuted(order))


def regrouped(call: Call) -> Place:
    """Another shape for the same values in the same order."""
    place = call.place(call.args[0]) or UNKNOWN  # another tensor may have given the shape
    axes = place.axes and place.axes.regrouped(call.output.shape)
    return replace(place, axes=axes) if axes else opaque(call)


def unsqueezed(call: Call) -> Place:
    """One more dimension."""
    axes, d = call.first.axes, call.given(1, "dim")
    if axes is None:
        return UNKNOWN
    d %= len(axes.dimensions) + 1
    return replace(call.first, axes=Axes((*axes.dimensions[:d], Dimension(), *axes.dimensions[d:])))


def squeezed(call: Call) -> Place:
    """Without some or all dimensions of length one."""
    axes, given = call.first.axes, call.given(1, "dim")
    if axes is None:
        return UNKNOWN
    count = len(axes.dimensions)
    which = range(count) if given is None else [d % count for d in _numbers(given)]
    kept = [each for d, each in enumerate(axes.dimensions) if d not in which or each.size != 1]
    return replace(call.first, axes=Axes(tuple(kept)))


def where_unmoved(place: Place, axes: Axes) -> Place:
    """The field stays where rows and columns stayed."""
    before, now = ([each for each in every.dimensions if each.has_places] for every in (place.axes or axes, axes))
    return Place(axes, place.field if before == now else None, place.seen and place.seen.fitting(axes))


def reduced(call: Call) -> Place:
    """One number in place of all along some dimensions."""
    axes, given = call.first.axes, call.given(1, "dim", "axis")
    if axes is None or not (isinstance(given, int) or _numbers(given)) or isinstance(given, bool):
        return pointwise(call) if isinstance(given, Tensor) else opaque(call)
    which = {d % len(axes.dimensions) for d in _numbers(given)}
    kept = call.output.dim() == len(axes.dimensions)
    found = [
        each if d not in which else each.resized(1) for d, each in enumerate(axes.dimensions) if kept or d not in which
    ]
    moved = any(axes.dimensions[d].has_places for d in which)
    seen = mixed_along(call.first.seen, axes, which)
    return Place(Axes(tuple(found)), None if moved else call.first.field, seen)


def along(position: int, default: int | None = None) -> Rule:
    """The same shape, but each value from all along one dimension."""

    def rule(call: Call) -> Place:
        axes, d = call.first.axes, call.given(position, "dim", default=default)
        if axes is None or d is None or axes.dimensions[d].has_places:
            return opaque(call)
        return pointwise(call)

    return rule


def normalized(call: Call) -> Place:
    """The same shape, but each value from all along the last dimensions."""
    axes, shape = call.first.axes, call.given(1, "normalized_shape")
    if axes is None or any(each.has_places for each in axes.dimensions[-len(_numbers(shape)) :]):
        return opaque(call)
    return call.first


def linear(call: Call) -> Place:
    """The last dimension's values added up, for each new channel."""
    axes = call.first.axes
    if axes is None:
        return UNKNOWN
    new = axes.replaced(-1, dimension("channel", call.output.shape[-1]))
    seen = mixed_along(call.first.seen, axes, [-1])
    return Place(new, None if axes.dimensions[-1].has_places else call.first.field, seen)


def product(call: Call) -> Place:
    """A matrix product."""
    left, right = (call.place(call.given(0, "input")), call.place(call.given(1, "other", "mat2")))
    if right is None:
        return linear(call) if call.output.dim() == len(left.axes.dimensions if left and left.axes else ()) else UNKNOWN
    if left is None or not left.axes or not right.axes or len(left.axes.dimensions) != call.output.dim():
        return opaque(call)
    return Place(left.axes.replaced(-1, right.axes.dimensions[-1]))


def joined(call: Call) -> Place:
    """One after another along a dimension; what comes before or after a grid of tokens is no place."""
    tensors, d = call.args[0], call.given(1, "dim", "axis", default=0)
    places = [call.place(each) for each in tensors]
    if d is None or any(p is not None and p.axes is None for p in places):
        return opaque(call)
    dims = [None if p is None or p.axes is None else p.axes.dimensions[d] for p in places]
    grids = [k for k, each in enumerate(dims) if each is not None and each.has_places]
    axes = next(p.axes for p in places if p is not None and p.axes is not None)
    length = call.output.shape[d]
    if not grids:
        kinds = {kind for each in dims if each is not None for kind in each.kinds}
        (kind,) = kinds if len(kinds) == 1 else ("channel" if "channel" in kinds else "other",)
        axes = axes.replaced(d, dimension(kind, length))
        return _beside(axes, [p for p in places if p is not None])
    grid, place = dims[grids[0]], places[grids[0]]
    assert grid is not None and place is not None and place.axes is not None
    if len(grids) > 1 or not {"row", "column"} <= grid.kinds:
        return Place(place.axes.replaced(d, grid.resized(length)))
    before = sum(each.shape[d] for each in tensors[: grids[0]])
    around = Dimension(grid.parts, grid.before + before, length - before - grid.size + grid.after)
    return replace(place, axes=place.axes.replaced(d, around))


def stacked(call: Call) -> Place:
    """One after another along a new dimension."""
    axes = call.sources[0][1].axes
    if axes is None:
        return UNKNOWN
    d = call.given(1, "dim", default=0) % call.output.dim()
    axes = Axes((*axes.dimensions[:d], dimension("other", call.output.shape[d]), *axes.dimensions[d:]))
    return Place(axes)


def _numbers(given: Any) -> list[int]:
    if isinstance(given, int):
        return [given]
    return [d for d in given if isinstance(d, int)] if isinstance(given, tuple | list | torch.Size) else []
