"""Answers that take a while: found on a worker thread, kept, and told to whoever looks."""

import contextlib
import dataclasses
import functools
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

from torch import Tensor

from .gate import PATIENCE
from .tasks import Refusal, Task
from .worker import Worker, described

KEPT = 256 * 2**20
"""Bytes of answers that are kept, the last used ones."""


class Answers(Worker):
    """What is wanted, and the answers to it, found one after the other.

    For each kind of question there is a list of tasks; a new list takes the place of the old one, and a task that is
    on no list any more ends the next time it tells how far it is. A `ValueError` or `TypeError` is a `Refusal`, an
    answer like any other. Any other error ends the work, and what was found before stays. The thread lives while there
    is something to find out or a slow view to be waited for.

    Args:
        listener: bound method that gets the header of each frame. A header whose "format" is "png" asks it for
            pictures.
        rested: bound method that is called when what is shown stays for a while, held weakly.
        options_of_worker: as for `Worker`.
    """

    def __init__(
        self,
        *,
        listener: Callable[[dict[str, Any]], None],
        rested: Callable[[], None],
        **options_of_worker: Any,
    ):
        self._rested = weakref.WeakMethod(rested)
        self._wanted: dict[str, list[Task]] = {}
        self._found: OrderedDict[Hashable, Any] = OrderedDict()
        self._task: Task | None = None
        self._done = self._total = 0
        self._began = 0.0
        self._busy = self._painting = self._changed = self._unrested = False
        super().__init__(listener, _loop, **options_of_worker)

    def ask(self, **wanted: Sequence[Task]) -> None:
        """Says what is wanted from now on, by kind and in this order; kinds not named stay as they are."""
        with self._lock:
            if self._closed:
                return
            self._wanted |= {kind: list(tasks) for kind, tasks in wanted.items()}
            self._begin()
        self._show()
        self._rest_if_quiet()

    def wanted(self, kind: str) -> list[Task]:
        """What is wanted of a kind, answered or not."""
        with self._lock:
            return list(self._wanted.get(kind, []))

    def get(self, key: Hashable) -> Any:
        """The answer, a `Refusal` if there can be none, None while there is none."""
        with self._lock:
            if key in self._found:
                self._found.move_to_end(key)
            return self._found.get(key)

    def changed(self) -> None:
        """The same answers are to be shown in another way."""
        with self._lock:
            self._changed = self._unrested = True
        self._show()
        self._rest_if_quiet()

    def stop(self) -> None:
        """Nothing is wanted any more; the task that runs ends the next time it tells how far it is."""
        self._halt("stopped", forget=True)

    def wait(self, timeout: float | None = None) -> bool:
        """Blocks until all that is wanted is answered; False if it is not after `timeout` seconds."""
        with self._lock:
            return self._lock.wait_for(lambda: not self._busy, timeout)

    def joined(self, view: str) -> None:
        """A view appeared: it gets everything at once, and what paused goes on."""
        with self._lock:
            self._gate.join(view)
            self._changed = True
            if self.state == "paused":
                self._begin()
        self._show(urgent=True, anyway=True)

    def left(self, view: str) -> None:
        """A view is gone; without any, the work pauses unless it is to go on in the background."""
        with self._lock:
            alone = self._gate.leave(view)
            self._lock.notify_all()
        if alone and not self.background:
            self._halt("paused", forget=False)

    def acknowledge(self, view: str, frame: int) -> None:
        """A view has drawn a frame, and may get the next."""
        super().acknowledge(view, frame)
        self._show()
        self._rest_if_quiet()

    def _begin(self) -> None:
        self._changed = self._unrested = True
        self.state, self.error = "running" if self._next() else "finished", ""
        if self.state == "running":
            self._busy = True
            self._work()
            self._lock.notify_all()

    def _halt(self, state: str, forget: bool) -> None:
        with self._lock:
            if forget:
                self._wanted.clear()
            if self.state == "running" or (forget and self.state == "paused"):
                self.state = state
            self._changed = self._unrested = True
            self._lock.notify_all()
        self._show()

    def _next(self) -> Task | None:
        """What is to be found out next."""
        return next((t for tasks in self._wanted.values() for t in tasks if t.key not in self._found), None)

    def _turn(self) -> Task | None:
        """The next task for the worker; None if there is none, and then its thread is over."""
        while True:
            with self._lock:
                task = self._task = self._next() if self.state == "running" else None
                resting = self._busy and not task
                if task:
                    self._done, self._total, self._began, self._changed = 0, 0, self._clock(), True
                elif resting:
                    self.state = "finished" if self.state == "running" else self.state
                elif self._waits_for_a_view():
                    self._lock.wait(PATIENCE)
                    self._gate.leave_silent()
                else:
                    self._thread = None
                    return None
            if resting:
                self._rest()
            else:
                self._show()
            if task:
                return task

    def _rest(self) -> None:
        with self._lock:
            self._changed = self._unrested = True
        self._show(anyway=True)
        self._tell_rested()
        with self._lock:
            # Somebody may have asked for more meanwhile.
            self._busy = self.state == "running"
            self._lock.notify_all()

    def _keep(self, task: Task, answer: Any) -> None:
        with self._lock:
            self._found[task.key] = answer
            wanted = {each.key for tasks in self._wanted.values() for each in tasks}
            room = KEPT - sum(map(size_of, self._found.values()))
            for key in [each for each in self._found if each not in wanted]:
                if room >= 0:
                    break
                room += size_of(self._found.pop(key))

    def fail(self, error: Exception) -> None:
        """Says that no answers can be had."""
        with self._lock:
            self._fail(error)
            self._wanted.clear()
            self._changed = self._unrested = True
        self._show(anyway=True)

    def _goes_on(self, task: Task, done: int, total: int) -> bool:
        """Takes a word of the running task; whether it is still wanted."""
        with self._lock:
            self._done, self._total = done, total
            alone = self._gate.leave_silent() and not self.background
        if alone:
            self._halt("paused", forget=False)
        with self._lock:
            wanted = self.state == "running" and any(
                task.key == each.key for tasks in self._wanted.values() for each in tasks
            )
            tells = wanted and not self._changed and self._gate.opens()
        if wanted:
            self._show(anyway=tells)
        return wanted

    def _waits_for_a_view(self) -> bool:
        return self._changed and self._gate.watched and not self._closed

    def _show(self, *, urgent: bool = False, anyway: bool = False) -> None:
        """Tells what changed, with pictures once every view has drawn the last ones.

        Args:
            urgent: pictures go out though a view is behind.
            anyway: where no pictures can go, at least the state does.
        """
        with self._lock:
            ready = self._changed and self._gate.watched and (urgent or not self._gate.in_flight())
            pictures = ready and not self._painting
            if not (pictures or anyway or (self._changed and not self._gate.watched)):
                if self._waits_for_a_view():
                    self._work()
                return
            self._painting |= pictures
            self._changed = self._changed and not pictures and self._gate.watched
            header = self._header(pictures)
        began = self._clock()
        try:
            self._tell(header)
        except Exception as failure:
            with self._lock:
                self._fail(failure)
                header = self._header(False)
            with contextlib.suppress(Exception):  # it hears nothing at all
                self._tell(header)
        finally:
            if pictures:
                with self._lock:
                    self._painting = False
                    self._gate.charge(self._clock() - began)
                self._show()  # whoever came meanwhile has left it to us

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

    def _rest_if_quiet(self) -> None:
        with self._lock:
            shown = not self._changed and not self._gate.in_flight()
            quiet = self._unrested and not self._busy and shown
        if quiet:
            self._tell_rested()

    def _tell_rested(self) -> None:
        with self._lock:
            self._unrested = False
        if (rested := self._rested()) and not self._silent:
            rested()


def size_of(answer: Any) -> int:
    """Bytes of the tensors in an answer, of whatever kind it is."""
    if isinstance(answer, Tensor):
        return answer.numel() * answer.element_size()
    if isinstance(answer, Mapping):
        return sum(map(size_of, answer.values()))
    if isinstance(answer, list | tuple):
        return sum(map(size_of, answer))
    if dataclasses.is_dataclass(answer):
        return sum(size_of(getattr(answer, field.name)) for field in dataclasses.fields(answer))
    return 0


class _NotWantedError(BaseException):
    """Ends a task that nobody wants any more; no `except Exception` on the way may catch it."""


def _loop(reference: "weakref.ref[Answers]") -> None:
    while (answers := reference()) is not None and (task := answers._turn()) is not None:
        # While it works the thread holds nothing, so that what is forgotten can be collected.
        del answers
        then = _worked(reference, task)
        if (answers := reference()) is not None:
            then(answers)
        del answers, then


def _worked(reference: "weakref.ref[Answers]", task: Task) -> Callable[[Answers], None]:
    """Does a task; what is to be done with what came out."""
    try:
        answer = task.run(functools.partial(_word, reference, task), functools.partial(_known, reference))
    except _NotWantedError:
        return lambda answers: None
    except (ValueError, TypeError) as error:
        answer = Refusal(described(error))
    except Exception as error:
        failure = error
        return lambda answers: answers.fail(failure)
    return lambda answers: answers._keep(task, answer)


def _word(reference: "weakref.ref[Answers]", task: Task, done: int, total: int) -> None:
    answers = reference()
    if answers is None or not answers._goes_on(task, done, total):
        raise _NotWantedError


def _known(reference: "weakref.ref[Answers]", key: Hashable) -> Any:
    if (answers := reference()) is None:
        raise _NotWantedError
    found = answers.get(key)
    if isinstance(found, Refusal):
        raise ValueError(found.reason)
    if found is None:
        raise LookupError("a task needs an answer that has not been asked for before it")
    return found
