"""Answers that take a while: found on a worker thread, kept, and told to whoever looks by a thread of its own."""

import contextlib
import functools
import weakref
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any

from .kept import Kept
from .tasks import Partial, Refusal, Task
from .telling import Telling
from .worker import described

IDLE = 0.1
"""Seconds without anything to do after which what may be wanted next is found out."""
COURTESY = 0.15
"""Seconds for which what takes a while waits at most until a view is told, or has drawn, what is known already."""
_Work = Callable[["weakref.ref[Answers]"], Callable[["Answers"], None]]
"""What the worker's thread does without holding the answers, and what is to be done with what came out."""
Find = Callable[[], Mapping[Any, Any]]
"""Gives answers by their keys. It cannot be ended in the middle, and must not hold whoever asks."""


class Answers(Telling):
    """What is wanted, and the answers to it, found one after the other.

    For each kind of question there is a list of tasks; a new list takes the place of the old one, and a task that is
    on no list any more ends the next time it tells how far it is. With that it may tell a `Partial` answer, which is
    shown at the rate of the gate until the final one is there. A `ValueError` or `TypeError` is a `Refusal`, an answer
    like any other. Any other error ends the work, and what was found before stays.

    Args:
        listener: as for `Telling`.
        rested: as for `Telling`.
        foresees: bound method that gives what finds answers that may be wanted next, held weakly. It is called on the
            worker's thread once there has been nothing to do for a while, if somebody watches; what it gives is given
            up as soon as something is asked. Neither its answers nor an error are told.
        options_of_worker: as for `Worker`.
    """

    def __init__(
        self,
        *,
        listener: Callable[[dict[str, Any] | None], None],
        rested: Callable[[], None],
        foresees: Callable[[], Iterable[Find]] | None = None,
        **options_of_worker: Any,
    ):
        self._foresees = weakref.WeakMethod(foresees) if foresees else lambda: None
        self._wanted: dict[str, list[Task]] = {}
        self._found = Kept()
        self._task: Task | None = None
        self._done = self._total = 0
        self._first: Hashable = None
        self._began = self._asked = 0.0
        self._held = self._courteous = self._ahead = False
        super().__init__(listener, _loop, rested, **options_of_worker)

    def ask(self, held: bool = False, anew: bool = True, /, **wanted: Sequence[Task]) -> None:
        """Says what is wanted from now on, by kind and in this order; kinds not named stay as they are.

        Args:
            held: whether no task begins before the next time that something is asked.
            anew: whether what is known of it may not have been shown yet.
            wanted: the tasks of each kind.
        """
        with self._lock:
            if self._closed:
                return
            self._held = held
            self._wanted |= {kind: list(tasks) for kind, tasks in wanted.items()}
            self._asked = self._clock()
            self._begin(anew)
            self._show()

    def wanted(self, kind: str) -> list[Task]:
        """What is wanted of a kind, answered or not."""
        with self._lock:
            return list(self._wanted.get(kind, []))

    def get(self, key: Hashable) -> Any:
        """The answer, `Partial` while it is not final, a `Refusal` if there can be none, None while there is none."""
        with self._lock:
            return self._found.get(key)

    def stop(self) -> None:
        """Nothing is wanted any more; the task that runs ends the next time it tells how far it is."""
        self._halt("stopped", forget=True)

    def wait_for(self, *kinds: str) -> None:
        """Blocks until what is wanted of some kinds is answered, whatever else is, or nothing more is found out."""
        with self._lock:
            self._lock.wait_for(lambda: not self._busy or not any(map(self._open, kinds)))

    def wait_to_tell(self) -> None:
        """Blocks for a moment, until all is told that need not wait for a view to draw."""
        with self._lock:
            self._lock.wait_for(self._all_told, COURTESY)

    def joined(self, view: str) -> None:
        """A view appeared: it gets everything at once, and what paused goes on."""
        with self._lock:
            self._gate.join(view)
            self._changed = True
            if self.state == "paused":
                self._begin()
            elif self._may_look_ahead():
                self._work()
            self._urgent = self._due = True
            self._show()

    def left(self, view: str) -> None:
        """A view is gone; without any, the work pauses unless it is to go on in the background."""
        with self._lock:
            alone = self._gate.leave(view)
            self._lock.notify_all()
        if alone and not self.background:
            self._halt("paused", forget=False)

    def _begin(self, anew: bool = True) -> None:
        """Begins with what is wanted; `anew` as for `ask`."""
        self._changed, self._unrested, self._ahead = self._changed or anew, True, False
        self.state, self.error = "running" if self._next() else "finished", ""
        if self.state == "running":
            self._busy = True
            first, before = next(task for tasks in self._wanted.values() for task in tasks), self._first
            self._first = first.key
            self._courteous = (self._courteous or first.key != before) and not self._is_open(first)
            if self._task is None:  # the frame that shows what is known says what comes next
                self._turn_to(self._next())
            self._work()
            self._lock.notify_all()
        elif self._may_look_ahead():
            self._work()

    def _halt(self, state: str, forget: bool) -> None:
        with self._lock:
            if forget:
                self._wanted.clear()
            if self.state == "running" or (forget and self.state == "paused"):
                self.state = state
            self._changed = self._unrested = True
            self._show()

    def _next(self) -> Task | None:
        """What is to be found out next."""
        return next((task for kind in self._wanted for task in self._open(kind)), None)

    def _open(self, kind: str) -> list[Task]:
        """What is wanted of a kind and has no final answer yet."""
        return [task for task in self._wanted.get(kind, ()) if self._is_open(task)]

    def _is_open(self, task: Task) -> bool:
        return isinstance(self._found.get(task.key), Partial | None)

    def _drawn(self) -> bool:
        """Whether a view has drawn what is known, or need not be waited for."""
        if self.state != "running" or not self._gate.watched:
            return True
        return not (self._telling or self._word() == "pictures" or self._gate.in_flight())

    def _turn(self) -> _Work | None:
        """What the worker does next; None if there is nothing, and then its thread is over."""
        with self._lock:
            while True:
                if self._courteous:
                    # Both would want the same processor, and somebody waits for what is known.
                    self._lock.wait_for(self._drawn, COURTESY)
                    self._courteous = False
                task, ahead = self._take(), self._may_look_ahead()
                if not (task or ahead):
                    self._thread = None
                    return None
                early = self._asked + task.after - self._clock() if task else IDLE
                patience = None if self._held else min(early, IDLE) if ahead else early
                if self._lock.wait_for(lambda task=task: not self._still(task), patience):
                    continue
                if ahead and (task is None or early > IDLE):
                    self._ahead = True
                    return _look_ahead
                if task:
                    return functools.partial(_worked, task)

    def _take(self) -> Task | None:
        """The next task, if there is one; otherwise all is done."""
        before, task = self._task, self._next() if self.state == "running" else None
        self._turn_to(task)
        if task:
            self._changed |= before is None or before.key != task.key
        elif self._busy:
            self.state = "finished" if self.state == "running" else self.state
            self._changed = self._unrested = self._due = True
            self._busy = False
        self._show()
        return task

    def _turn_to(self, task: Task | None) -> None:
        self._task, self._done, self._total, self._began = task, 0, 0, self._clock()

    def _still(self, task: Task | None) -> bool:
        """Whether a task is still the next, or there is still none."""
        if task is None:
            return not (self._busy or self._closed)
        return self.state == "running" and self._next() is task and not self._courteous

    def _may_look_ahead(self) -> bool:
        rests = self.state in ("running", "finished") and not (self._held or self._ahead or self._closed)
        return rests and self._gate.watched and self._foresees() is not None

    def _keep(self, task: Task, answer: Any) -> None:
        with self._lock:
            self._found.put(task.key, answer)
            self._make_room()

    def _keep_foreseen(self, found: Mapping[Hashable, Any]) -> bool:
        """Keeps what nobody has asked for yet; whether it goes on."""
        with self._lock:
            for key in found:
                if self._found.get(key) is None:
                    self._found.put(key, found[key])
            self._make_room()
            return self._ahead and not self._closed

    def _make_room(self) -> None:
        self._found.make_room(self._keys())

    def _keys(self) -> set[Hashable]:
        return {each.key for tasks in self._wanted.values() for each in tasks}

    def fail(self, error: Exception) -> None:
        """Says that no answers can be had."""
        with self._lock:
            self._fail(error)
            self._wanted.clear()
            self._changed = self._unrested = self._due = True
            self._show()

    def _goes_on(self, task: Task, done: int, total: int, so_far: Any) -> bool:
        """Takes a word of the running task; whether it is still wanted."""
        with self._lock:
            self._done, self._total = done, total
            if so_far is not None:
                self._found.put(task.key, Partial(so_far))
                self._changed |= self._gate.opens()
            alone = self._gate.leave_silent() and not self.background
        if alone:
            self._halt("paused", forget=False)
        with self._lock:
            wanted = self.state == "running" and task.key in self._keys()
            self._due |= wanted and not self._changed and self._gate.opens()
            self._show()
        return wanted

    def _header(self, pictures: bool) -> dict[str, Any]:
        left = None
        if self._done:
            left = (self._clock() - self._began) / self._done * (self._total - self._done)
        return {
            "type": "frame",
            "frame": self._gate.sent(),
            "format": "png" if pictures else "",
            "state": self.state,
            "doing": self._task.label if self._task and self.state == "running" else "",
            "done": self._done,
            "total": self._total,
            "left": left,
        }


class _NotWantedError(BaseException):
    """Ends a task that nobody wants any more; no `except Exception` on the way may catch it."""


def _loop(reference: "weakref.ref[Answers]") -> None:
    while (answers := reference()) is not None and (work := answers._turn()) is not None:
        # While it works the thread holds nothing, so that what is forgotten can be collected.
        del answers
        then = work(reference)
        if (answers := reference()) is not None:
            then(answers)
        del answers, then


def _worked(task: Task, reference: "weakref.ref[Answers]") -> Callable[[Answers], None]:
    """Does a task; what is to be done with what came out."""
    try:
        answer = task.run(functools.partial(_word, reference, task), functools.partial(_known, reference, task))
    except _NotWantedError:
        return lambda answers: None
    except (ValueError, TypeError) as error:
        answer = Refusal(described(error))
    except Exception as error:
        failure = error
        return lambda answers: answers.fail(failure)
    return lambda answers: answers._keep(task, answer)


def _look_ahead(reference: "weakref.ref[Answers]") -> Callable[[Answers], None]:
    """Finds what may be wanted next, as long as nothing is asked."""
    with contextlib.suppress(Exception):  # nobody has asked; whoever does is told
        for find in _foreseen(reference):
            found = find()
            if (answers := reference()) is None or not answers._keep_foreseen(found):
                break
            del answers
    return lambda answers: None


def _foreseen(reference: "weakref.ref[Answers]") -> list[Find]:
    answers = reference()
    foresees = answers and answers._foresees()
    return [*foresees()] if foresees else []


def _word(reference: "weakref.ref[Answers]", task: Task, done: int, total: int, so_far: Any = None) -> None:
    answers = reference()
    if answers is None or not answers._goes_on(task, done, total, so_far):
        raise _NotWantedError


def _known(reference: "weakref.ref[Answers]", task: Task, key: Hashable) -> Any:
    if (answers := reference()) is None:
        raise _NotWantedError
    found = answers.get(key)
    if isinstance(found, Refusal):
        raise ValueError(found.reason)
    if isinstance(found, Partial) and key == task.key:
        return found.answer
    if found is None or isinstance(found, Partial):
        raise LookupError("a task needs an answer that has not been asked for before it")
    return found
