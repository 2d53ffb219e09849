"""The points of a run that one can go back to, as a tree: what was changed at a point makes a branch."""

import dataclasses
import io
from collections.abc import Iterator, Mapping
from typing import Any

from PIL import Image
from torch import Tensor

from nbvis.engine import ImageParameter, PictureStep

from .progress import Progress
from .sameness import same

ROOM = 256 * 2**20
"""Bytes of what it takes to go on from the points at once; the oldest ones then have to be run to again."""
MOST = 300
"""So many points are remembered."""
SIDE = 128
"""Longer side of a thumbnail, pixels."""

Settings = Mapping[str, Any]


@dataclasses.dataclass(eq=False)
class Node:
    """A point of a run: how it was made, and where it was.

    Attributes:
        id: counted from 0.
        parent: the point that it came from; None for the first.
        settings: what the controls were set to, as the session was told.
        origin: the options that the run began with.
        changes: (index, changed options) of what changed on the way.
        step: number of steps; 0 for the start.
        kept: the newest step with all that it takes to go on; None for the start, and where there is no more room.
        progress: of the run.
        thumbnail: JPEG.
        latest: the point after it that was looked at last, by its id.
    """

    id: int
    parent: "Node | None"
    settings: Settings
    origin: dict[str, Any]
    changes: list[tuple[int, dict[str, Any]]]
    step: int = 0
    kept: PictureStep | None = None
    progress: Progress = dataclasses.field(default_factory=Progress)
    thumbnail: bytes = b""
    latest: int | None = None

    @property
    def options(self) -> dict[str, Any]:
        """The options that the run had."""
        found = dict(self.origin)
        for _, changed in self.changes:
            found |= changed
        return found

    def equals(self, other: "Node") -> bool:
        """Whether it is the same point of the same run."""
        if self.step != other.step or len(self.changes) != len(other.changes) or differing(self, other):
            return False
        pairs = zip(self.changes, other.changes, strict=True)
        alike = _alike(self.origin, other.origin) and all(a == b and _alike(x, y) for (a, x), (b, y) in pairs)
        if not alike or self.kept is None or other.kept is None:
            return alike
        return same(self.kept.image, other.kept.image)  # the network may have been trained in between


class History:
    """The points, in the order in which they were made, and the one that the run came from last.

    Args:
        room: bytes; see `ROOM`.
        most: number of points at most.

    Attributes:
        current: the point that the run came from; None before there is any.
        version: another number once anything has changed.
    """

    def __init__(self, room: int = ROOM, most: int = MOST):
        self._room, self._most = room, most
        self._nodes: dict[int, Node] = {}
        self._next = self.version = 0
        self.current: Node | None = None

    def __iter__(self) -> Iterator[Node]:
        """The points as they were made."""
        return iter(list(self._nodes.values()))

    def __len__(self) -> int:
        """How many there are."""
        return len(self._nodes)

    def get(self, id: Any) -> Node:
        """The point of an id.

        Raises:
            ValueError: if there is none.
        """
        if isinstance(id, bool) or id not in self._nodes:
            known = ", ".join(map(str, self._nodes)) or "none yet"
            raise ValueError(f"no point {id!r} in the history: there are {known}")
        return self._nodes[id]

    def add(self, settings: Settings, origin: Mapping[str, Any], changes: list[tuple[int, dict[str, Any]]]) -> Node:
        """A point after the current one, which becomes the current one."""
        node = Node(self._next, self.current, settings, dict(origin), list(changes))
        self._next += 1
        self._nodes[node.id] = node
        self.go(node)
        while len(self._nodes) > self._most:
            self._forget(next(each for each in self._nodes.values() if each is not node))
        return node

    def go(self, node: Node) -> None:
        """Makes a point the current one; `redo` finds back to where one was."""
        self.current, after = node, node
        while (before := after.parent) is not None:
            before.latest, after = after.id, before
        self.version += 1

    def undone(self) -> Node | None:
        """The point before the current one."""
        return self.current.parent if self.current else None

    def redone(self) -> Node | None:
        """The point after the current one that was looked at last."""
        latest = self.current.latest if self.current else None
        return None if latest is None else self._nodes.get(latest)

    def twin(self, node: Node) -> Node | None:
        """The same point, if it was there before."""
        return next((each for each in self._nodes.values() if each is not node and each.equals(node)), None)

    def replace(self, node: Node, by: Node) -> None:
        """Has another point stand for one."""
        del self._nodes[node.id]
        for each in self._nodes.values():
            each.parent = by if each.parent is node else each.parent
            each.latest = by.id if each.latest == node.id else each.latest
        self.current = by if self.current is node else self.current
        self.version += 1

    def tidy(self) -> None:
        """Lets go of what it takes to go on from the oldest points, as far as there is too much."""
        self.version += 1
        sizes = [_sizes(node.kept) for node in self._nodes.values()]
        taken = sum({each: size for found in sizes for each, size in found.items()}.values())
        for node in self._nodes.values():
            if taken <= self._room:
                return
            if node is not self.current and node.kept is not None:
                node.kept = None
                sizes = [_sizes(each.kept) for each in self._nodes.values()]
                taken = sum({each: size for found in sizes for each, size in found.items()}.values())

    def clear(self) -> None:
        """Forgets all points."""
        self._nodes, self.current = {}, None
        self.version += 1

    def _forget(self, node: Node) -> None:
        """Takes a point out; those after it come from the one before it, and each has all that it takes."""
        del self._nodes[node.id]
        for each in self._nodes.values():
            each.parent = node.parent if each.parent is node else each.parent
            each.latest = node.latest if each.latest == node.id else each.latest


def differing(one: Node, other: Node | Settings) -> set[str]:
    """The settings that two points do not share."""
    found, others = one.settings, other.settings if isinstance(other, Node) else other
    return {name for name in found if not same(found[name], others.get(name))}


def thumbnail(image: Image.Image) -> bytes:
    """A picture made small, as JPEG."""
    small, stream = image.convert("RGB"), io.BytesIO()
    small.thumbnail((SIDE, SIDE))
    small.save(stream, "JPEG", quality=85)
    return stream.getvalue()


def _alike(one: Settings, other: Settings) -> bool:
    return one.keys() == other.keys() and all(same(value, other[name]) for name, value in one.items())


def _sizes(step: PictureStep | None) -> dict[int, int]:
    """Bytes of the tensors of a step, by where they lie: points of a run share some."""
    found: dict[int, int] = {}
    waiting: list[Any] = [] if step is None else [step.make_place(), vars(step).get("image")]
    while waiting:
        each = waiting.pop()
        if isinstance(each, Tensor):
            found[each.data_ptr()] = each.untyped_storage().nbytes()
        elif isinstance(each, Mapping):
            waiting += each.values()
        elif isinstance(each, list | tuple):
            waiting += each
        elif isinstance(each, ImageParameter) or dataclasses.is_dataclass(each):
            waiting += vars(each).values()
    return found
