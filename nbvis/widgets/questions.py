"""What the widgets share that ask questions about a network, and show the answers as they come.

A widget of this kind says what it asks (`_asked`, `_tasks`), what it shows of the answers (`_scene`), and its recipe.

Messages from a view, beside those of `base`:

| type | with | asks for |
|---|---|---|
| play, cancel | | what is missing; nothing more |
| value | id, pane, row, column | a reply: the value at this pixel of a pane's picture |

A frame has `doing`, `done`, `total` and the seconds `left` of what is being found out, and whether what is shown is
`outdated`. With pictures it has the `panes`, each with the index of its buffer.
"""

import functools
import threading
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from nbvis.sessions import Answers, Find, Finding, Task

from .base import Widget
from .notes import plain
from .page import page
from .panes import Painter, Scene
from .subject import DatedSubject


class QuestionWidget(Widget):
    """A panel on questions about a network: whatever is shown is found out in the background, and kept.

    Args:
        subject: what the questions are about.
        options: any of the traits.
    """

    _session: Answers
    _subject: DatedSubject
    _shows_first = False
    """Whether it shows what is known before it has made sure that no weight was written behind PyTorch's back."""

    _foreseen: Callable[[], Iterable[Find]] | None = None
    """What gives what finds answers that may be asked for next, see `Answers`; that must not hold the widget."""

    def __init__(self, subject: DatedSubject, **options: Any):
        self._painter = Painter()
        self._wishes: set[str] = set()
        # Whatever threads ask or stop: a question is put only if it is the last, and who is held is let go after that.
        self._times_asked, self._shown_first, self._asking_lock = 0, None, threading.RLock()
        super().__init__(subject, **options)
        self._session = Answers(
            listener=self._on_header,
            rested=self._update_still,
            foresees=self._foreseen,
            background=self.background,
            listens=self._hearing,
        )
        self._begin_to_see()

    def play(self) -> None:
        """Computes what is missing."""
        self._refusal = "", ""
        if not self._subject.looked and self._look is not None and self._look.over:
            self._begin_to_see()
        self._ask()

    def pause(self) -> None:
        """Ends what is being computed, as `stop` does."""
        self.stop()

    def stop(self) -> None:
        """Ends what is being computed; `play` begins it again."""
        with self._asking_lock:
            self._times_asked += 1
            self._wishes.clear()
            self._session.stop()
        super()._told()  # what is shown is told with the next frame, which the session paints

    def save(self, path: str | Path) -> None:
        """Waits for what is shown and writes it to a file; see `Widget.save`."""
        self._wait_for_answers()
        super().save(path)

    def _asked(self) -> Sequence[Hashable]:
        """The keys of what is shown; none before the network has been looked at."""
        raise NotImplementedError

    def _tasks(self, wishes: set[str]) -> Mapping[str, Sequence[Task]]:
        """How to find out what is shown, by kind.

        It is called once what follows from the state of the network is known.

        Args:
            wishes: kinds that are found out only when somebody asks for them, and that somebody has asked for.
        """
        raise NotImplementedError

    def _scene(self) -> Scene:
        """What is shown now."""
        raise NotImplementedError

    def _preparation(self) -> Callable[[], None]:
        """What has to be done on the worker's thread before each question; it must not hold the widget."""
        return self._subject.renew

    def _value(self, pane: str, row: int, column: int) -> str:
        """The value at a pixel of a pane's picture, in words."""
        raise NotImplementedError

    def _on_seen(self, subject: DatedSubject) -> None:
        try:
            super()._on_seen(subject)
        finally:
            self._doing = ""
            with self._asking_lock:
                self._times_asked += 1
                times = self._times_asked
            self._on_prepared(times)

    def _on_failure(self, look: Finding) -> None:
        if self._subject.looked:
            super()._on_failure(look)
        elif look.error:
            self._session.fail(look.error)

    def _ask(self, *wishes: str) -> None:
        """Asks for whatever is shown, and for what else is wished; drops what was asked about something else."""
        with self._asking_lock:
            self._wishes |= set(wishes)
            if not self._subject.looked:
                return
            self._times_asked += 1
            subject, times, ask = self._subject, self._times_asked, self._lookout.ask
            if self._shows_first:
                ask(functools.partial(_if_as_it_was, subject, times), self._on_asked, key="ask")
            look = ask(functools.partial(_prepared, self._preparation(), times), self._on_prepared, key="prepare")
        self._wait_a_moment(look)

    def _on_asked(self, times: int | None) -> None:
        """Shows what is known already; what is not is held until the network is prepared."""
        if self._put(times, held=True):
            self._told()
            self._session.wait_to_tell()  # to compare all weights would hold that up

    def _on_prepared(self, times: int | Exception) -> None:
        """Asks, unless something else has been asked meanwhile."""
        if isinstance(times, Exception):
            self._session.fail(times)
        elif self._put(times):
            self._told()  # what is known already need not wait for a view to draw

    def _put(self, times: int | None, held: bool = False) -> bool:
        """Puts the question of that number; False if it is not the last any more, or what is known of it was told."""
        with self._traits_lock, self._asking_lock:
            if times != self._times_asked:
                return False
            question = times, self._subject.about
            # Of another question the answers may all be known and alike, and yet they are to be shown in another way.
            anew = question != self._shown_first
            self._session.ask(held, anew, **self._tasks(self._wishes))
            if held:
                self._shown_first = question
            else:
                self._wishes.clear()
        return anew

    def _show_anew(self) -> None:
        """Shows the same answers in another way; if the network has changed since they were found, asks again."""
        if not hasattr(self, "_session"):  # it is being made
            return
        if self._outdated():
            self._ask()
        else:
            self._session.changed()

    def _check_network(self) -> None:
        if self._outdated():
            self._session.changed()
            self._told()

    def _outdated(self) -> bool:
        """Whether the network has changed since all was answered."""
        if self._session.state != "finished" or not self._subject.looked:
            return False
        return self._subject.changed or any(self._session.get(asked) is None for asked in self._asked())

    def _wait_for_answers(self, *wishes: str, kinds: Sequence[str] = ()) -> None:
        """Waits for the answers to what is shown, from the network as it is.

        Args:
            wishes: as for `_tasks`.
            kinds: of what alone is waited for; none for all.
        """
        self._rests(kinds)
        if self._session.state in ("finished", "running"):  # the network may have been trained since
            self._ask(*wishes)
            self._rests(kinds)

    def _rests(self, kinds: Sequence[str]) -> None:
        if not kinds:
            self.wait()
        elif self._lookout.wait():
            self._session.wait_for(*kinds)

    def _told(self) -> Scene:
        """Takes over what the session knows, and tells what is shown then."""
        with self._at_once():
            super()._told()
            scene = self._scene()
            for name, value in scene.traits().items():
                self.set_trait(name, value)
            old = f"The network has changed since {scene.made}: Compute again." if scene.outdated else ""
            self._tell_notes([*plain(old), *self._subject.notes(), *scene.notes()])
        return scene

    def _on_header(self, header: dict[str, Any] | None) -> None:
        """Passes on what the session tells, with pictures if it asks for them, on its thread."""
        with self._unhurried():
            scene = self._told()
            if header is None:
                return
            fields, buffers = scene.frame() if header["format"] else scene.growing()
            self.send(header | fields | {"outdated": scene.outdated}, buffers or None)

    def _picture(self) -> bytes:
        return self._scene().sheet()

    def _page(self) -> str:
        scene = self._scene()
        facts = {"Network": self.subject} | scene.facts() | ({"Notes": self.notes} if self.notes else {})
        return page(scene.title, scene.cells(), facts, self.recipe())

    def _words(self) -> str:
        scene = self._scene()
        return f"{scene.title}. {'; '.join(cell.words for cell in scene.cells())}."

    def _acts(self, content: dict[str, Any]) -> dict[str, Callable[[], Any]]:
        def value() -> str:
            return self._value(content["pane"], content["row"], content["column"])

        own = {"play": self.play, "cancel": self.stop, "value": lambda: self._reply(content, value)}
        return super()._acts(content) | own


def _if_as_it_was(subject: DatedSubject, times: int) -> int | None:
    return None if subject.changed else times


def _prepared(prepare: Callable[[], None], times: int) -> int | Exception:
    try:
        prepare()
    except Exception as error:  # a session that is held would wait for ever
        return error
    return times
