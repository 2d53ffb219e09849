"""A run on a worker thread: what it is asked to do next, where it stands, and the newest frame of it."""

import weakref
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from PIL import Image
from torch import Tensor

from nbvis.engine import PictureStep, Steps

from .budget import Budget
from .film import Film
from .frames import Frame, encoded, picture
from .progress import Progress
from .sameness import same
from .tracebacks import traced
from .worker import Worker, described


class Past(NamedTuple):
    """How a run came to where it is.

    Attributes:
        origin: the options that it began with, or will.
        changes: (index, changed options) of what changed while it went: `index` is the first step it applied to.
        last: the newest step, None before the first.
    """

    origin: dict[str, Any]
    changes: list[tuple[int, dict[str, Any]]]
    last: PictureStep | None


Paint = Callable[["Session", str], tuple[dict[str, Any], tuple[bytes, ...]]]
"""(session, format) → what a header says beside where the run stands, and the pictures, encoded so ("": none)."""


def paint_image(session: "Session", format: str) -> tuple[dict[str, Any], tuple[bytes, ...]]:
    """The first of the newest images, as one picture."""
    return {}, (encoded(picture(session.image), format == "png"),) if format else ()


class Session(Worker):
    """One run that can be played, paused, stepped, stopped and changed while it goes.

    The thread lives from play to rest. Whatever is asked takes effect between two steps.

    Args:
        start: function from the options to the run, a generator of steps that takes changed options by `send`. It is
            called on the worker thread.
        options: everything the run needs; `options["images"]` is the picture it starts from, or a function that makes
            it, on the worker thread. With `options["seconds"]`, `options["steps"]` is planned so that the run takes
            that time, and the plans are among the changes.
        live: names of the options that a run takes while it goes; any other starts it afresh at the next step.
        listener: bound method that gets each `Frame`.
        paint: makes a frame of where it stands; it must not hold whoever listens.
        filmed: what a frame of its film looks like, of the images; None for no film.
        options_of_worker: as for `Worker`.

    Attributes:
        rev: how many changes were asked for; each frame carries the number that it reflects.
        origin: the options that the run began with, or before the first step those that it will begin with.
        changes: (index, changed options) of what changed while it went: `index` is the first step it applied to.
        film: of the run, None before the first step or if none is made.
    """

    def __init__(
        self,
        start: Callable[[dict[str, Any]], Steps],
        options: Mapping[str, Any],
        *,
        live: frozenset[str],
        listener: Callable[[Frame], None],
        paint: Paint = paint_image,
        filmed: Callable[[Tensor], Image.Image] | None = None,
        **options_of_worker: Any,
    ):
        self.rev = 0
        self.origin: dict[str, Any] = dict(options)
        self.changes: list[tuple[int, dict[str, Any]]] = []
        self._options, self._start, self._live = dict(options), start, live
        self._paint = paint
        self._run: Steps | None = None
        self._inbox: dict[str, Any] = {}
        self._allowance: int | None = 0
        self._afresh = self._renewed = self._ending = self._pausing = self._beyond = False
        self._progress, self._budget = Progress(), Budget()
        self._filmed = filmed
        self.film: Film | None = None
        self._shown_rev = self._reflected = 0
        super().__init__(listener, _loop, **options_of_worker)

    def play(self) -> None:
        """Goes on, or begins; a run that has ended begins again."""
        self._go(None)

    def go_on(self, **options: Any) -> None:
        """Changes options and goes on, also beyond the end of a run that they give more to do."""
        with self._lock:
            self.rev += 1
            self._inbox.update(options)
            self._beyond = True
        self._go(None)

    def step(self) -> None:
        """Takes one step and rests."""
        self._go(1)

    def restart(self) -> None:
        """Begins again and goes on."""
        self._go(None, afresh=True)

    def pause(self) -> None:
        """Rests after the step that is being taken."""
        with self._lock:
            self._allowance, self._pausing = 0, self.state == "running"

    def stop(self) -> None:
        """Ends the run after the step that is being taken; the picture stays."""
        with self._lock:
            self._allowance = 0
            if self.state == "finished":
                self._end_run()
            self._ending = self._pausing = self.state == "running"
            paused = self.state == "paused"
            if paused:
                self._settle("stopped")
        if paused:
            self._tell_state()

    def change(self, **options: Any) -> int:
        """Puts changed options in the inbox and returns the number of the change."""
        with self._lock:
            self.rev += 1
            self._inbox.update(options)
            if self._run is None and self.state != "running":
                self._take_inbox()
                if self.last is None and "images" in options:
                    self.repaint()
        return self.rev

    def renew(self, **options: Any) -> int:
        """Has the run forgotten for another, which begins at once if it goes; returns as `change` does."""
        with self._lock:
            self.rev += 1
            self._inbox.update(options)
            self._renewed = True
            self._work()
        return self.rev

    def fail(self, error: Exception) -> None:
        """Says that it cannot run, unless it does."""
        with self._lock:
            resting = self.state != "running"
            if resting:
                self._fail(error)
        if resting:
            self._tell_state()

    def wait(self, timeout: float | None = None) -> bool:
        """Blocks until the run rests; False if it still goes after `timeout` seconds."""
        with self._lock:
            # A thread that plays has said so before there is a worker.
            return self._lock.wait_for(
                lambda: self._thread is None and (self.state != "running" or self._closed), timeout
            )

    @property
    def pausing(self) -> bool:
        """Whether it will rest after the step that is being taken, because somebody asked for that."""
        return self._pausing

    @property
    def last(self) -> PictureStep | None:
        """The newest step, None before the first."""
        return self._progress.last

    @property
    def elapsed(self) -> float:
        """What the run has taken so far, with all that was painted, seconds."""
        return self._progress.elapsed

    @property
    def history(self) -> list[tuple[int, int, Tensor]]:
        """The index, octave and scores (batch,) of the run's steps, evenly thinned where they are many."""
        return self._progress.history

    @property
    def options(self) -> dict[str, Any]:
        """The options that the run has taken so far."""
        return dict(self._options)

    @property
    def past(self) -> Past:
        """How the run came to where it is; of a renewed one, how it will begin."""
        with self._lock:
            if self._renewed:
                return Past(self._options | self._inbox, [], None)
            return Past(dict(self.origin), list(self.changes), self.last)

    @property
    def differing(self) -> set[str]:
        """The options that are asked for by now and are not those of what is shown; none before the first step."""
        with self._lock:
            if self.last is None:
                return set()
            shown = dict(self.origin)
            for _, changed in self.changes:
                shown |= changed
            asked = self._options | self._inbox
        return {name for name, value in asked.items() if not same(value, shown.get(name))}

    def curve(self, reduce: Callable[[Tensor], Tensor]) -> list[list[float]]:
        """[index, value] of the run so far, thinned; `reduce` makes scores (steps, batch) one value a step."""
        return self._progress.curve(reduce)

    @property
    def image(self) -> Tensor:
        """The newest image at full precision; before the first step, the one it starts from."""
        past = self.past
        return made(past.origin["images"]) if past.last is None else past.last.image

    @property
    def start(self) -> Tensor:
        """The image that the newest one came from, or will."""
        return made(self.origin["images"])

    def joined(self, view: str) -> None:
        """A view appeared: it gets the picture at once if the run rests, otherwise with the next step."""
        with self._lock:
            self._gate.join(view)
            self.repaint()
            resting = self.state != "running"
        if not resting:
            self._tell_state()

    def repaint(self) -> None:
        """Has it painted anew by the worker: with the next step, or at once if the run rests."""
        with self._lock:
            self._shown_rev = -1
            if self.state != "running":
                self._work()

    def left(self, view: str) -> None:
        """A view is gone; without any, the run pauses unless it is to go on in the background."""
        with self._lock:
            if self._gate.leave(view) and not self.background:
                self._allowance = 0

    def _go(self, allowance: int | None, afresh: bool = False) -> None:
        with self._lock:
            if self._closed:
                raise RuntimeError("this session is closed: make a new widget")
            self._allowance, self._ending, self._pausing = allowance, False, False
            self._afresh |= afresh or (self.state == "finished" and not self._beyond)
            self.state, self.error = "running", ""
        self._tell_state()  # before the worker has anything to tell
        with self._lock:
            self._work()

    def _turn(self) -> bool:
        """One step of the run, or rest; False if there is nothing more to do."""
        with self._lock:
            if self._gate.leave_silent() and not self.background:
                self._allowance = 0
            if renewed := self._renewed:
                self._end_run()
                self._progress, self.changes, self._renewed, self.film = Progress(), [], False, None
                self._take_inbox()
                self._reflected = self.rev
            if resting := self._allowance == 0:
                if renewed or self.state == "running":
                    self._settle("ready" if renewed else "stopped" if self._ending else "paused")
            else:
                self._allowance = None if self._allowance is None else self._allowance - 1
                changes, rev = self._take_inbox(), self.rev
                afresh = self._afresh or self._run is None or not changes.keys() <= self._live
                changes |= {} if afresh else self._planned()
                self._afresh = self._beyond = False
        if resting:
            return self._rest()
        began = self._clock()
        try:
            step = self._begin() if afresh else self._continue(changes)
            self._record(step, rev, afresh, self._clock() - began)
            if self._filmed:
                self.film = Film(self.start, shown_as=self._filmed) if afresh or self.film is None else self.film
                self.film.record(step)
            if self._opens():
                self._deliver("jpeg")
            self._progress.elapsed += self._clock() - began
        except StopIteration:
            return self._is_asked_anew(changes) or self._rest()
        except Exception as error:
            where = "" if afresh or self.last is None else f"Step {self.last.index + 2}: "
            self.traceback = traced(error)
            self._settle("error", where + described(error))
            return self._rest()
        return True

    def _take_inbox(self) -> dict[str, Any]:
        changes, self._inbox = self._inbox, {}
        self._options.update(changes)
        if self.last is None:
            self.origin = dict(self._options)
        return changes

    def _planned(self) -> dict[str, Any]:
        """The options that a time budget changes now."""
        steps = self._budget.steps(self.last, self._progress.elapsed, self._options) if self.last else None
        planned = {} if steps is None else {"steps": steps}
        self._options.update(planned)
        return planned

    def _begin(self) -> PictureStep:
        self._end_run()
        options = dict(self._options)
        self._run = self._start(dict(options))
        return next(self._run)

    def _continue(self, changes: dict[str, Any]) -> PictureStep:
        assert self._run is not None and self.last is not None
        if self.last.index + 1 == self.last.total and not changes:
            raise StopIteration  # and the run stays where it is, so that it can be given more to do
        step = self._run.send({name: value for name, value in changes.items() if name != "seconds"} or None)
        if changes:
            self.changes.append((self.last.index + 1, changes))
        return step

    def _is_asked_anew(self, changes: dict[str, Any]) -> bool:
        """Whether a run that is over goes on beyond its end, or begins again for changes that no step was left for."""
        with self._lock:
            if self._beyond:
                return True
            self._afresh = bool(changes or self._inbox)
            if not self._afresh:
                self._settle("finished")
            elif self._allowance == 0 and not self._pausing:
                self._allowance = 1  # the step that was asked for has not been taken
            return self._afresh

    def _record(self, step: PictureStep, rev: int, afresh: bool, seconds: float) -> None:
        with self._lock:
            if self._progress.record(step, seconds, afresh):
                self._gate.stepped(seconds)
            else:
                self._gate.forget_speed()
            if afresh:
                # Not before, since after an error the last run is what is shown.
                self.changes, self.origin = [], dict(self._options)
            self._reflected = rev

    def _opens(self) -> bool:
        with self._lock:
            urgent = self._reflected != self._shown_rev
            # The next step shows what has just been asked for: a frame on its way then would hold that up.
            return (urgent or not self._inbox) and self._gate.opens(urgent)

    def _settle(self, state: str, error: str = "") -> None:
        """From now on it rests."""
        with self._lock:
            self.state, self.error, self._allowance, self._pausing, self._ending = state, error, 0, False, False
            if state not in ("paused", "finished"):
                self._end_run()

    def _rest(self) -> bool:
        """Shows the picture that stays; True if somebody asked for more meanwhile."""
        while True:
            try:
                self._deliver("png")
            except Exception as failure:
                self._fail(failure)
            with self._lock:
                # Whoever played may have paused again while it was painted: that has to be settled all the same.
                if self.state == "running" or (self._has_more() and not self._silent):
                    return True
                if self._silent or self._shown_rev == self._reflected:  # nobody asked for it anew meanwhile
                    self._thread = None
                    self._lock.notify_all()
                    return False

    def _has_more(self) -> bool:
        """Whether there is more to do than to rest."""
        return self._renewed

    def _end_run(self) -> None:
        if self._run is not None:
            self._run.close()
            self._run = None

    def _deliver(self, format: str) -> None:
        """Makes a frame of where the run stands and hands it over."""
        if self._silent:
            return
        began = self._clock()
        with self._lock:
            self._shown_rev = self._reflected
        fields, pictures = self._paint(self, format)
        with self._lock:
            self._gate.sent()
        self._tell(Frame(self._header(format) | fields, pictures))
        with self._lock:
            self._gate.charge(self._clock() - began)

    def _tell_state(self) -> None:
        fields, _ = self._paint(self, "")
        self._tell(Frame(self._header("") | fields))

    def _header(self, format: str) -> dict[str, Any]:
        with self._lock:
            start = {"type": "frame", "frame": self._gate.number, "rev": self._reflected, "format": format}
            return start | {"state": self.state} | self._progress.fields(self._options)


def made(images: Tensor | Callable[[], Tensor]) -> Tensor:
    """The picture itself, also where it is a function that makes it."""
    return images if isinstance(images, Tensor) else images()


def _loop(reference: "weakref.ref[Session]") -> None:
    while (session := reference()) is not None and session._turn():
        # Between two steps the thread holds nothing, so that a forgotten session can be collected.
        del session
