"""Which dimensions of a tensor are its images, channels, rows and columns, however they were turned, cut and merged."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor

Kind = Literal["image", "channel", "row", "column", "other"]


@dataclass(frozen=True)
class Part:
    """So many indices of one kind, each of them `step` further along all the rows (columns, …) there are."""

    kind: Kind
    size: int
    step: int = 1

    def cut(self, outer: int) -> tuple["Part", "Part"]:
        """As two, the outer of that size."""
        inner = self.size // outer
        return Part(self.kind, outer, self.step * inner), Part(self.kind, inner, self.step)


@dataclass(frozen=True)
class Dimension:
    """What the indices of one dimension count: its parts, the last one fastest, between others of no place."""

    parts: tuple[Part, ...] = ()
    before: int = 0
    after: int = 0

    @property
    def inner(self) -> int:
        """Indices without those before and after."""
        return math.prod(part.size for part in self.parts)

    @property
    def size(self) -> int:
        """Indices."""
        return self.before + self.inner + self.after

    @property
    def kinds(self) -> set[Kind]:
        """Of its parts."""
        return {part.kind for part in self.parts}

    @property
    def has_places(self) -> bool:
        """Whether rows or columns are among its parts."""
        return bool(self.kinds & {"row", "column"})

    def resized(self, size: int) -> "Dimension":
        """Another number of indices of the same kind."""
        if self.size == size:
            return self
        (kind,) = self.kinds if len(self.kinds) == 1 else ("other",)
        return dimension(kind, size)


def dimension(kind: Kind, size: int) -> Dimension:
    """A dimension of one part."""
    return Dimension((Part(kind, size),))


@dataclass(frozen=True)
class Axes:
    """Which dimensions of a layer's output are its images, channels, rows and columns.

    Args:
        dimensions: what the indices of each dimension count, as a traced forward pass shows it.

    Example:
        >>> axes = layers(nn.Sequential(nn.Conv2d(3, 8, 3)), torch.rand(1, 3, 9, 9))[0].axes
        >>> print(axes), axes.channel, axes.grid
        (image, channel, row, column)
        (None, 1, (7, 7))
    """

    dimensions: tuple[Dimension, ...]

    @cached_property
    def channel(self) -> int | None:
        """The dimension that counts channels; None if there is none."""
        return next((d for d, each in enumerate(self.dimensions) if "channel" in each.kinds), None)

    @cached_property
    def grid(self) -> tuple[int, int] | None:
        """Numbers of rows and columns; None where the trace shows no such grid."""
        if any("other" in each.kinds and each.inner > 1 for each in self.dimensions):
            return None
        rows, columns = (_whole(self._parts(kind)) for kind in ("row", "column"))
        return (rows, columns) if rows and columns else None

    @property
    def besides(self) -> int:
        """Tokens besides the grid, such as a class token."""
        return sum(each.before + each.after for each in self.dimensions)

    @cached_property
    def usual(self) -> bool:
        """Whether the order is (images, channels, rows, columns) already, or (images, channels, …) without a grid."""
        if self.grid is None:
            return len(self.dimensions) < 2 or (self._place("image") == 0 and self.channel in (None, 1))
        order = [[part.kind for part in each.parts] for each in self.dimensions]
        return order == [["image"], ["channel"], ["row"], ["column"]] and not self.besides

    @property
    def any_size(self) -> bool:
        """Whether they hold for images of any size, since nothing is merged."""
        return all(len(each.parts) < 2 for each in self.dimensions)

    def planes(self, activation: Tensor) -> Tensor:
        """An activation as (batch, channels, rows, columns), or (batch, channels, …) where there is no grid.

        It is a view where that is possible, and the activation itself where that is its order already. Tokens besides
        the grid, such as a class token, are left out.

        Example:
            >>> axes = layers(nn.Sequential(nn.Flatten(2)), torch.rand(1, 3, 4, 5))[0].axes
            >>> print(axes)
            (image, channel, row × column)
            >>> axes.planes(torch.rand(2, 3, 20)).shape
            torch.Size([2, 3, 4, 5])
        """
        if self.usual:
            return activation
        if self.grid is None:
            return _first(activation, [d for d in (self._place("image"), self.channel) if d is not None])
        for d, each in enumerate(self.dimensions):
            activation = activation.narrow(d, each.before, activation.shape[d] - each.before - each.after)
        shape: list[int] = []
        parts: list[Part] = []
        for size, each in zip(activation.shape, self.dimensions, strict=True):
            # A pass may hold more images than the traced one.
            images = size // math.prod(part.size for part in each.parts if part.kind != "image")
            own = [size] if len(each.parts) < 2 else [images if p.kind == "image" else p.size for p in each.parts]
            shape, parts = shape + own, [*parts, *(each.parts or (Part("other", 1),))]
        order = [
            [k for k in sorted(range(len(parts)), key=lambda k: -parts[k].step) if parts[k].kind == kind]
            for kind in ("image", "channel", "row", "column", "other")
        ]
        merged = [math.prod(shape[k] for k in group) for group in order[:4]]
        return activation.reshape(shape).permute([k for group in order for k in group]).reshape(merged)

    def __str__(self) -> str:
        """The dimensions in words, such as (image, row, column, channel) or (image, 1 + row × column, channel)."""
        return f"({', '.join(_words(each) for each in self.dimensions)})"

    def settled(self, shape: Sequence[int]) -> "Axes":
        """These, if they say which dimension counts channels; otherwise the usual ones of that shape."""
        channels = [each for each in self.dimensions if "channel" in each.kinds]
        clear = len(channels) == 1 and channels[0].kinds == {"channel"} and not (channels[0].before + channels[0].after)
        one_channel = not channels and len(shape) == 3 and self.grid is not None
        return self if (clear or one_channel) and self._place("image") is not None else usual_axes(shape)

    def permuted(self, order: Iterable[int]) -> "Axes":
        """After a permutation of the dimensions."""
        return Axes(tuple(self.dimensions[d] for d in order))

    def replaced(self, d: int, *others: Dimension) -> "Axes":
        """With these in place of one dimension."""
        d %= len(self.dimensions)
        return Axes((*self.dimensions[:d], *others, *self.dimensions[d + 1 :]))

    def regrouped(self, shape: Sequence[int]) -> "Axes | None":
        """After a view of that shape; None if it cuts through what belongs together."""
        units: list[Part | Dimension] = []
        for each in self.dimensions:
            units += [each] if each.before or each.after else each.parts
        found: list[Dimension] = []
        for d, size in enumerate(shape):
            own: list[Part | Dimension] = []
            product = 1
            while units and (product < size or (units[0].size == 1 and (not own or d == len(shape) - 1))):
                unit, wanted = units.pop(0), size // product
                if size % (product * unit.size):  # more than there is room for
                    if isinstance(unit, Dimension) or wanted * product != size or unit.size % wanted:
                        return None
                    unit, rest = unit.cut(wanted)
                    units.insert(0, rest)
                own.append(unit)
                product *= unit.size
            if product != size:
                return None
            tokens = [unit for unit in own if isinstance(unit, Dimension)]
            if tokens and len(own) > 1:
                return None
            found.append(tokens[0] if tokens else Dimension(_merged([p for p in own if isinstance(p, Part)])))
        return None if units else Axes(tuple(found))

    def _parts(self, kind: Kind) -> list[Part]:
        return [part for each in self.dimensions for part in each.parts if part.kind == kind]

    def _place(self, kind: Kind) -> int | None:
        return next((d for d, each in enumerate(self.dimensions) if kind in each.kinds), None)


def usual_axes(shape: Sequence[int]) -> Axes:
    """(images, channels, rows, columns), or (images, channels, …) of another length."""
    kinds: Mapping[int, Kind] = {0: "image", 1: "channel", 2: "row", 3: "column"}
    kinds = kinds if len(shape) == 4 else {0: "image", 1: "channel"}
    return Axes(tuple(dimension(kinds.get(d, "other"), size) for d, size in enumerate(shape)))


def _merged(parts: Sequence[Part]) -> tuple[Part, ...]:
    """Neighbours that go on where the other ends as one; a channel is counted as the layer returns it."""
    found: list[Part] = []
    for part in parts:
        last = found[-1] if found else None
        if last and last.kind == part.kind and part.kind in ("channel", "other"):
            found[-1] = Part(part.kind, last.size * part.size)
        elif last and last.kind == part.kind and last.step == part.size * part.step:
            found[-1] = Part(part.kind, last.size * part.size, part.step)
        else:
            found.append(part)
    return tuple(replace(part, step=1) if part.kind in ("channel", "other") else part for part in found)


def _whole(parts: Sequence[Part]) -> int | None:
    """The size of an axis, if these parts are all of it, each once."""
    order = sorted(parts, key=lambda part: (-part.step, -part.size))
    follows = all(outer.step == inner.step * inner.size for outer, inner in pairwise(order))
    return math.prod(part.size for part in order) if order and follows and order[-1].step == 1 else None


def _first(activation: Tensor, dimensions: Sequence[int]) -> Tensor:
    return torch.movedim(activation, tuple(dimensions), tuple(range(len(dimensions))))


def _words(each: Dimension) -> str:
    parts = " × ".join(part.kind for part in each.parts) or "1"
    return " + ".join([*([str(each.before)] if each.before else []), parts, *([str(each.after)] if each.after else [])])
