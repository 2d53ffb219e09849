"""The history of a panel: points of its runs to go back to, change something at, and branch from.

A view goes by the trait `_history_wish`: {act: back, undo or redo, point, number}. A message would overtake the
sliders' values that are still on their way, and these would then undo what was asked for. Messages, each with a reply:

| type | with | asks for |
|---|---|---|
| thumbnail | id, point | its small picture, as JPEG |
| point | id, point | its picture, as PNG; where that would have to be run to again, the small one |
"""

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import traitlets as t
from PIL import Image
from torch import Tensor

from nbvis.engine import Names, Objective
from nbvis.sessions import BranchingSession, Frame, Node, Past, differing, encoded, same

from .filming import FilmWidget
from .history_words import label, place
from .numbers import numbers
from .painted import PaintedWidget
from .recipe import TAKEN
from .saved_run import SUFFIX, SavedRun, written
from .terms import alike


class Point(NamedTuple):
    """A point of the history.

    Attributes:
        id: what `back` takes.
        parent: that of the point it came from; None for the first.
        label: what was changed since then, in words.
        step: number of steps by then.
        settings: what the controls were set to, by name.
        image: the picture at full precision, (batch, channels, height, width); None for the start, and where it would
            have to be run to again.
        recipe: Python source that makes the picture.
    """

    id: int
    parent: int | None
    label: str
    step: int
    settings: Mapping[str, Any]
    image: Tensor | None
    recipe: str


class HistoryWidget(PaintedWidget, FilmWidget):
    """A panel whose runs have a history."""

    _session_kind = BranchingSession
    _also_kept: tuple[str, ...] = ("term",)
    """What a point keeps beside the sliders, the objective and what `reset` sets back."""
    _points = t.List(help="The history: {id, parent, label, place, again} of each point.").tag(sync=True)
    _point = t.Int(-1, help="The point that the run came from, by its id; -1 for none.").tag(sync=True)
    _history_wish = t.Dict(help="What a view asks of the history: {act, point, number}.").tag(sync=True)

    _suffixes = (*FilmWidget._suffixes, SUFFIX)
    _going_back = False
    _awaited: tuple[SavedRun, Mapping[str, Any]] | None = None
    _told_points = -1

    @property
    def history(self) -> list[Point]:
        """The points of this picture's runs that one can go back to, in the order in which they were made.

        A point is made when a run begins, before something is changed, when it rests, and before one goes back. Those
        of the last 256 MiB can be gone on from at once; older ones are run to again, to the same bits.
        """
        return [self._as_point(node) for node in self._session.points if node.thumbnail]

    def back(self, point: int | Point) -> None:
        """Goes back to a point: its picture is shown and all controls are set as they were then; `play` goes on.

        Where the run is now becomes a point first, so that nothing is lost; what is changed makes a branch.

        Args:
            point: of `history`, or its id.

        Raises:
            ValueError: if there is no such point.
        """
        node = self._session.points.get(point.id if isinstance(point, Point) else point)
        self._go_back(node)

    def undo(self) -> None:
        """Goes to the point before where the run is now, if there is one."""
        if (node := self._session.before()) is not None:
            self._go_back(node)

    def redo(self) -> None:
        """Goes to the point that `undo` left, unless something else was done since."""
        if (node := self._session.after()) is not None:
            self._go_back(node)

    def compare(self, one: int | Point, other: int | Point) -> dict[str, tuple[Any, Any]]:
        """The settings that two points do not share, by name, as (that of the one, that of the other).

        Raises:
            ValueError: if there is no such point.
        """
        first, second = (self._session.points.get(getattr(each, "id", each)) for each in (one, other))
        return {name: (first.settings[name], second.settings[name]) for name in sorted(differing(first, second))}

    def save(self, path: str | Path) -> None:
        """As for every film, and where it rests the run itself: `open` goes on with it in another process.

        Args:
            path: ends in .nbvis for the run, with all that it takes to go on to the same bits; else in .png, .html,
                .mp4 or .gif.

        Raises:
            ValueError: if it ends in anything else, the run goes, there is none yet, or its objective or transforms
                have a function or picture of one's own.
            OSError: if it cannot be written.
        """
        super().save(path)

    def _resume(self, run: SavedRun, options: Mapping[str, Any]) -> None:
        """Goes on from a run of another process, with other options, as soon as the network has been looked at."""
        self._awaited = run, options
        self._do_later()

    def _do_later(self) -> None:
        with self._traits_lock:
            awaited = None if self._doing or self._checking else self._awaited
            self._awaited = None if awaited else self._awaited
        if awaited:
            (run, options), later = awaited, self._later
            self._go_back(self._session.adopt(run.settings, run.past, run.history, run.elapsed))
            for name, value in options.items():
                setattr(self, name, value)
            self._later = later
        super()._do_later()

    def _saved(self, suffix: str) -> bytes:
        if suffix != SUFFIX:
            return super()._saved(suffix)
        past, progress = self._session.present()
        subject = self._subject
        return written(subject.network, subject.given, self._settings_now(), past, progress.history, progress.elapsed)

    def _begin(self, start: Any, options: Mapping[str, Any], **session: Any) -> None:
        super()._begin(start, options, settings=self._settings_now, **session)

    def _settings_now(self) -> dict[str, Any]:
        """What the controls are set to."""
        names = (*numbers(self), *self._settings, *self._also_kept)
        objective = self._fits and self._recent.packed(self._fits)
        return {name: getattr(self, name) for name in names} | {"objective": objective}

    def _go_back(self, node: Node) -> None:
        self._later = None
        with self._traits_lock, self._unhurried():
            self._session.back(node)
            self._going_back = True
            try:
                self._restore(node.settings)
            finally:
                self._going_back = False
            options = node.options
            rest = {
                name: value for name, value in self._options_now().items()
                if not same(value, options.get(name)) and not alike(value, options.get(name))
            }  # fmt: skip
            if rest:
                self._session.change(**rest)
            self._refusal = "", ""
            self._tell_points()

    def _restore(self, settings: Mapping[str, Any]) -> None:
        """Sets the controls."""
        plain = {name: value for name, value in settings.items() if name != "objective"}
        packed: Objective | None = settings["objective"]
        with self.hold_trait_notifications():
            for name, value in plain.items():
                setattr(self, name, value)
        if packed is not None:
            objective = packed if all(term.mask is None for term in packed.terms) else Objective(packed.terms)
            self._recent.remember(objective, packed)
            self._take(objective)
        for name, value in plain.items():  # one that follows from another has moved once more
            setattr(self, name, value)
        self._renew()

    def _changed(self, options: Mapping[str, Any], remake: bool) -> None:
        if not self._going_back:
            super()._changed(options, remake)

    def _as_point(self, node: Node) -> Point:
        past = Past(node.origin, node.changes, node.kept)
        image = node.kept.image if node.kept else None
        return Point(
            node.id, node.parent.id if node.parent else None, self._label(node), node.step, dict(node.settings), image,
            self._recipe_of(past, Names(TAKEN)),
        )  # fmt: skip

    def _options_now(self) -> dict[str, Any]:
        """What a run that began now would be given."""
        raise NotImplementedError

    def _recipe_of(self, past: Past, names: Names) -> str:
        """Python source that makes the picture of a run that got somewhere."""
        raise NotImplementedError

    def _label(self, node: Node) -> str:
        labels = {name: control["label"] for name, control in self._controls.items()}
        return label(node, labels)

    def _on_frame(self, frame: Frame) -> None:
        self._tell_points()
        super()._on_frame(frame)

    def _tell_points(self) -> None:
        """Has the views know the history."""
        points = self._session.points
        if self._told_points == points.version:
            return
        with self._at_once():
            self._told_points = points.version
            self._points = [
                {
                    "id": node.id, "parent": node.parent.id if node.parent else None, "label": self._label(node),
                    "place": place(node), "again": node.kept is None and node.step > 0,
                }
                for node in points if node.thumbnail
            ]  # fmt: skip
            self._point = points.current.id if points.current else -1

    @t.observe("_history_wish")
    def _on_history_wish(self, change: Any) -> None:
        wish, acts = self._history_wish, {"undo": self.undo, "redo": self.redo}
        act = acts.get(wish.get("act", ""), lambda: self.back(wish["point"]))
        act()

    def _acts(self, content: dict[str, Any]) -> dict[str, Callable[[], Any]]:
        return super()._acts(content) | {
            "thumbnail": lambda: self._reply(content, lambda: self._session.points.get(content["point"]).thumbnail),
            "point": lambda: self._find_out(
                functools.partial(_drawn, self._session.points.get(content["point"]), self._seen_as, content["id"]),
                self._on_drawn,
            ),
        }

    def _on_drawn(self, made: tuple[bytes, str]) -> None:
        picture, question = made
        self.send({"type": "reply", "id": question}, [picture])


def _drawn(node: Node, seen_as: Callable[[Tensor], Image.Image], question: str) -> tuple[bytes, str]:
    return encoded(seen_as(node.kept.image), lossless=True) if node.kept else node.thumbnail, question
