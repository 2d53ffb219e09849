"""A run whose points are remembered: one can go back to any of them, change something and go on from there."""

import weakref
from collections.abc import Callable, Mapping
from contextlib import closing
from copy import copy
from typing import Any

from torch import Tensor

from nbvis.engine import PictureStep, Steps

from .frames import picture
from .history import History, Node, Settings, differing, thumbnail
from .progress import Progress
from .session import Past, Session

PAUSE = 1.0
"""Seconds between two changes of the same options from which they are two: a slider that is dragged changes once."""


class BranchingSession(Session):
    """A session with a history.

    A point is remembered when a run begins, before something is changed, when it rests, and before one goes back.

    Args:
        start: as for `Session`; the options may have `after`, the step that the run is to go on from.
        options: as for `Session`.
        settings: bound method that gives what the controls are set to, held weakly; called where options are changed.
        more: as for `Session`.

    Attributes:
        points: the history.
    """

    def __init__(
        self,
        start: Callable[[dict[str, Any]], Steps],
        options: Mapping[str, Any],
        *,
        settings: Callable[[], Settings],
        **more: Any,
    ):
        self.points = History()
        self._settings = weakref.WeakMethod(settings)
        self._asked: Settings = {}
        self._taken: Settings = {}
        self._shown: Settings = {}
        self._changing: set[str] = set()
        self._stroke, self._marked = 0, -1
        self._last_change: tuple[set[str], float] = set(), float("-inf")
        self._goal: Node | None = None
        self._leaving: list[Node] = []
        self._script: dict[int, dict[str, Any]] | None = None
        self._until = 0
        super().__init__(start, options, **more)

    def back(self, node: Node) -> None:
        """Goes back to a point and rests there; where the run is now is remembered first."""
        with self._lock:
            self._remember_present()
            self._set_out(node)
        self._tell_state()

    def before(self) -> Node | None:
        """The point before where the run is now, which is remembered first; None if there is none."""
        with self._lock:
            self._remember_present()
            return self.points.undone()

    def after(self) -> Node | None:
        """The point that was left last for the one where the run is now; None if there is none."""
        with self._lock:
            here = self.points.current
            self._ask()
            gone = here is None or (self._goal is None and (self.last is not here.kept or differing(here, self._asked)))
            return None if gone else self.points.redone()

    def change(self, **options: Any) -> int:
        """Puts changed options in the inbox and returns the number of the change."""
        with self._lock:
            self._ask()
            names, at = self._last_change
            self._last_change = set(options), self._clock()
            self._stroke += names != set(options) or self._clock() - at > PAUSE
            if self._goal is not None:
                self.rev += 1
                self._inbox.update(options)
                return self.rev
            return super().change(**options)

    def renew(self, **options: Any) -> int:
        """As `Session.renew`: another picture begins another history."""
        with self._lock:
            self.points.clear()
            self._goal, self._leaving, self._script = None, [], None
            self._ask()
            return super().renew(**options)

    def present(self) -> tuple[Past, Progress]:
        """How the run came to where it rests, with a step that can be gone on from, and how far that is.

        Raises:
            ValueError: if it goes, or there is no run.
        """
        with self._lock:
            here, past = self.points.current, self.past
            if self.state == "running":
                raise ValueError("the run goes: pause it, and then save it")
            if past.last is None or here is None or here.kept is not past.last:
                raise ValueError("there is no run to save yet: play")
            return past, _copied(self._progress)

    def adopt(self, settings: Settings, past: Past, history: list[tuple[int, int, Tensor]], elapsed: float) -> Node:
        """A point of another process, to go back to.

        Args:
            settings: what the controls were set to.
            past: how it was reached; its `last` can be gone on from.
            history: the (index, octave, scores) of the steps.
            elapsed: what they took, seconds.
        """
        assert past.last is not None
        small = self._small(past.last.image)
        with self._lock:
            node = self.points.add(settings, past.origin, past.changes)
            node.step, node.kept, node.thumbnail = past.last.index + 1, past.last, small
            node.progress.last, node.progress.history, node.progress.elapsed = past.last, list(history), elapsed
        return node

    def _set_out(self, node: Node) -> None:
        """Has the worker go to a point before it does anything else; called under the lock."""
        self.points.go(node)
        self._goal, self._asked, self._inbox = node, node.settings, {}
        self._allowance, self._pausing = 0, self.state == "running"
        self._afresh = self._ending = self._beyond = False
        self.rev += 1
        self.state, self.error = "paused" if self.state == "finished" else self.state, ""
        self._work()

    def _remember_present(self) -> None:
        """Adds points for where the run is, to be filled by the worker; called under the lock."""
        here = self.points.current
        known = self._goal is not None or self._leaving or self._script is not None
        if known or here is None or self.last is None:
            return
        self._ask()
        moved, goes_on = self.last is not here.kept or bool(differing(here, self._shown)), self._stroke == self._marked
        if moved and not goes_on:
            here, moved = self._add(self._shown), False
        if moved or differing(here, self._asked):
            self._add(self._asked)

    def _add(self, settings: Settings) -> Node:
        node = self.points.add(settings, self.origin, self.changes)
        self._leaving.append(node)
        return node

    def _ask(self) -> None:
        found = self._settings()
        self._asked = found() if found else {}

    def _go(self, allowance: int | None, afresh: bool = False) -> None:
        with self._lock:
            self._ask()
        super()._go(allowance, afresh)

    def _take_inbox(self) -> dict[str, Any]:
        if self._script is not None and (self._inbox or (self.last and self.last.index + 1 >= self._until)):
            self._script = None  # somebody changes something on the way, or the point is reached
        if self._script and self.last:
            self._inbox = self._script.pop(self.last.index + 1, {})
        self._taken, changes = self._asked, super()._take_inbox()
        self._changing = set(changes)
        return changes

    def _planned(self) -> dict[str, Any]:
        # Where it runs to a point again, all that was planned is among what was changed.
        return {} if self._script is not None else super()._planned()

    def _begin(self) -> PictureStep:
        self._mark_change()
        return super()._begin()

    def _continue(self, changes: dict[str, Any]) -> PictureStep:
        if self._changing:
            self._mark_change()
        return super()._continue(changes)

    def _record(self, step: PictureStep, rev: int, afresh: bool, seconds: float) -> None:
        super()._record(step, rev, afresh, seconds)
        self._shown = self._taken
        if afresh and self.points.current is None:
            self.points.add(self._shown, self.origin, []).thumbnail = self._small(self.start)

    def _mark_change(self) -> None:
        """Remembers where the run is, unless what now changes has just been changed."""
        if not self._changing or self._stroke != self._marked:
            self._marked = self._stroke
            self._mark()

    def _mark(self) -> None:
        """Remembers where the run is; on the worker."""
        with self._lock:
            here = self.points.current
            if here is None or self.last is None or self._script is not None or self._goal is not None:
                return
            if self.last is here.kept and not differing(here, self._shown):
                return
            self._add(self._shown)
        self._fill()

    def _fill(self) -> None:
        """Puts into the points that are left what makes up where the run is."""
        with self._lock:
            leaving, self._leaving, last = self._leaving, [], self.last
        if not leaving or last is None:
            return
        kept = last if any(node.kept is last for node in self.points) else last.keep()
        small = self._small(last.image)
        vars(kept)["image"] = last.image
        with self._lock:
            self._progress.last = kept
            for node in leaving:
                node.origin, node.changes, node.step = dict(self.origin), list(self.changes), kept.index + 1
                node.kept, node.thumbnail, node.progress = kept, small, _copied(self._progress)
                if (twin := self.points.twin(node)) is not None:
                    twin.kept, twin.progress = kept, node.progress
                    self.points.replace(node, twin)
            self.points.tidy()

    def _small(self, image: Any) -> bytes:
        return thumbnail((self._filmed or picture)(image))

    def _turn(self) -> bool:
        if self._goal is not None:
            self._fill()
            self._jump()
        return super()._turn()

    def _jump(self) -> None:
        """Has the run be at the point that somebody wants to go back to."""
        with self._lock:
            node, self._goal = self._goal, None
            if node is None:
                return
            self._end_run()
            self.film, self._script = None, None
            self._reflected, self._shown = self.rev, node.settings
            self.origin, self.changes, self._options = dict(node.origin), list(node.changes), node.options
            self._progress = _copied(node.progress) if node.kept else Progress()
            if node.kept:
                self._progress.last = node.kept
                options = node.options | {"after": node.kept}
                self._run = run = _resumed(lambda: self._start(options))
                next(run)
            if self._allowance == 0:
                over = node.kept is not None and node.kept.index + 1 == node.kept.total
                self._settle("finished" if over else "paused" if node.kept else "ready")
            if node.step and not node.kept:
                self._replay(node)

    def _replay(self, node: Node) -> None:
        """Runs to a point from the start."""
        self.changes, self._options, self._script = [], dict(node.origin), dict(node.changes)
        self._until, self._afresh = node.step, True
        self._allowance, self.state = node.step if self._allowance == 0 else None, "running"

    def _has_more(self) -> bool:
        return super()._has_more() or self._goal is not None

    def _rest(self) -> bool:
        self._reach()
        self._mark()
        return super()._rest()

    def _reach(self) -> None:
        """Has a point that was run to again be one that one can go on from at once."""
        with self._lock:
            here, last = self.points.current, self.last
            reached = self._script is not None and last is not None and last.index + 1 == self._until
            if here is None or last is None or not reached:
                return
            self._script = None
            kept = last.keep()
            here.kept = self._progress.last = kept
            here.progress, self._shown = _copied(self._progress), here.settings
            self.points.tidy()


def _resumed(make: Callable[[], Steps]) -> Any:
    """A run that goes on from a step, made when it is asked for the next one."""
    changes = yield
    with closing(make()) as run:
        next(run)  # the step that it goes on from
        while True:
            try:
                step = run.send(changes)
            except StopIteration:
                return
            changes = yield step


def _copied(progress: Progress) -> Progress:
    made = copy(progress)
    made.history = list(progress.history)
    return made
