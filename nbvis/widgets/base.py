"""What all widgets share: the front end's files, the views, the messages, saving, and life without a kernel.

Messages, beside the synced traits. From a view:

| type | with | asks for |
|---|---|---|
| joined | view, lab | the picture; `lab` says whether the view hides the still picture below it |
| left | view | nothing: the view is gone |
| drawn | view, frame | the next frame |
| recipe, save | id, suffix | a reply |

To the views: `frame`, whose fields the session fills and whose buffers are pictures, encoded as its `format` says (none
if only the state changed), and `reply` with the id of the question, `text` or a buffer, or `error`.
"""

import base64
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anywidget
import traitlets as t
from IPython.display import display

from nbvis.engine import near
from nbvis.sessions import Finding, Lookout, Worker, described, traced

from .forgetting import Showing, keep_track
from .front_end import module_source, style_source
from .given import WorkingSize
from .hearing import Hearing, answer_where_asked
from .notes import Note, lines, records
from .numbers import controls, numbers

GRACE, PATIENCE = 0.2, 2.0
"""Seconds that a call from Python waits for a look at the network, and that the first display does."""

SAVED = """<style>
.nbvis-saved { color: var(--jp-ui-font-color2, #5b6775); margin: 4px 0; animation: nbvis-late 0s 3s backwards; }
@keyframes nbvis-late { from { visibility: hidden; } }
.jp-OutputArea-child:has(.nbvis-saved):has(+ .jp-OutputArea-child .nbvis:not(.unheard.asleep)),
.jp-OutputArea-child:has(.nbvis-saved) + .jp-OutputArea-child:not(:has(.nbvis:not(.unheard.asleep))),
.jp-OutputArea-child:has(.nbvis:not(.unheard.asleep)) + .jp-OutputArea-child:has(.jp-RenderedImage) { display: none; }
</style><p class="nbvis-saved">NAME as it was saved. Run this cell to bring it back to life.</p>"""


class Widget(anywidget.AnyWidget):
    """A panel on a session: its state, its errors and notes, its pictures with and without a kernel."""

    state = t.Unicode("ready", help="ready, running, paused, stopped, finished or error.").tag(sync=True)
    running = t.Bool(False, help="Whether it runs; set it to play and to pause.").tag(sync=True)
    background = t.Bool(False, help="Whether it runs on when no view is left; otherwise it pauses.").tag(sync=True)
    error = t.Unicode("", help="What went wrong, empty if nothing did.").tag(sync=True)
    traceback = t.Unicode("", help="Of an error of the network's own code, from where that begins.").tag(sync=True)
    notes = t.Unicode("", help="Sentences that whoever looks should read, one a line.").tag(sync=True)
    _notes = t.List(help="The same as records: {text, about, kind, line} of each.").tag(sync=True)
    subject = t.Unicode("", read_only=True, help="What it looks at: the network and the picture's size.").tag(sync=True)
    working_size = WorkingSize(
        None, help="Longer side in pixels at which the picture is worked on; None for all of it."
    )
    working_size.tag(sync=True)
    _sizes = t.List(help="Sizes to work at, for a large picture: [longer side, text].").tag(sync=True)
    _doing = t.Unicode("", help="What is being found out about the network; empty once it is.").tag(sync=True)
    _controls = t.Dict(help="The sliders' bounds, labels and units.").tag(sync=True)

    _session: Worker
    _look: Finding | None = None
    _refusal = "", ""

    def __init_subclass__(cls, front_end: str = "", **options: Any):
        """Gives a widget its front end: the module of that name with those it imports, and the style sheet."""
        if front_end:
            cls._esm, cls._css = module_source(front_end), style_source()
        super().__init_subclass__(**options)

    def __init__(self, **options: Any):
        unknown = [name for name in options if name not in self.trait_names() or name.startswith("_")]
        if unknown:
            raise TypeError(f"{type(self).__name__} has no option {unknown[0]!r}{self._near(unknown[0])}")
        self._hides_still, self._displayed = True, False
        self._hearing, self._showing = Hearing(), Showing()
        self._telling: int | None = None
        self._lookout, self._asking = Lookout(self._on_failure), threading.local()
        # traitlets takes one thread at a time, and here are three: the kernel's, its sub-shell's and the worker.
        self._traits_lock = threading.RLock()
        super().__init__(_controls=controls(self), **options)
        self.on_msg(self._on_message)
        self.observe(self._on_running, "running")
        self.observe(self._on_background, "background")
        keep_track(self)

    def __del__(self):
        """Ends the run without waiting for it: this may be called anywhere."""
        for worker in self._workers():
            worker.end()
        super().close()

    def __setattr__(self, name: str, value: Any) -> None:
        """Sets a trait or property; a name that is neither is refused, since nothing would come of it."""
        if not (name.startswith("_") or hasattr(type(self), name)):
            raise AttributeError(f"{type(self).__name__} has no {name!r} to set{self._near(name)}")
        if name.startswith("_"):
            super().__setattr__(name, value)
        else:
            with self._unhurried():
                super().__setattr__(name, value)

    def play(self) -> None:
        """Goes on, or begins."""
        raise NotImplementedError

    def pause(self) -> None:
        """Rests as soon as it can."""
        raise NotImplementedError

    def stop(self) -> None:
        """Ends what runs; what is shown stays."""
        raise NotImplementedError

    def wait(self, timeout: float | None = None) -> bool:
        """Blocks until the network is looked at and it rests; False if not after `timeout` seconds."""
        end = None if timeout is None else time.monotonic() + timeout
        if not self._lookout.wait(timeout):
            return False
        return self._session.wait(None if end is None else max(0.0, end - time.monotonic()))

    def recipe(self) -> str:
        """Python source that makes the picture shown."""
        raise NotImplementedError

    def save(self, path: str | Path) -> None:
        """Writes the picture to a file.

        Args:
            path: ends in .png for the picture, or in .html for a page with the picture, its settings and its recipe
                that needs neither a kernel nor the network.

        Raises:
            ValueError: if it ends in anything else.
        """
        Path(path).write_bytes(self._saved(Path(path).suffix))

    def close(self) -> None:
        """Ends the run and its thread, and removes the views."""
        for worker in self._workers():
            worker.close()
        super().close()

    def open(self) -> None:
        """Opens the connection to the views."""
        super().open()
        answer_where_asked(self.comm)

    def set_state(self, sync_data: dict[str, Any]) -> None:
        """Takes what a view changed; a value that cannot be is refused in words, and the view gets the old one back."""
        with self._traits_lock, self._unhurried(by_a_view=True):
            try:
                super().set_state(sync_data)
                self._refuse(None)
            except (t.TraitError, ValueError, TypeError, RuntimeError) as error:
                self._refuse(error)
                self.send_state([name for name in sync_data if name in self.keys])

    def get_state(self, *given: Any, **options: Any) -> dict[str, Any]:
        """What the views get, as far as it is known."""
        with self._unhurried():
            return super().get_state(*given, **options)

    def notify_change(self, change: Any) -> None:
        """Tells the views and the observers."""
        with self._unhurried():
            super().notify_change(change)

    def _workers(self) -> list[Any]:
        return [worker for name in ("_lookout", "_session") if (worker := getattr(self, name, None))]

    def _find_out(
        self, work: Callable[[], Any], then: Callable[[Any], None], key: str = "", patient: bool = False
    ) -> Finding:
        """Has something found out beside the kernel's thread; a call from Python waits for it for a moment.

        Args:
            work: function that finds it; it must not hold the widget.
            then: bound method that gets it, on the worker's thread.
            key: what is asked, so that only the last one of those that wait is; empty for what stands alone.
            patient: whether it is waited for, whoever calls.

        Returns:
            the look; if it is over already, its error is for the caller to raise.
        """
        look = self._lookout.ask(work, then, key=key)
        look.leave(0.0 if self._told_by_a_view and not patient else GRACE)
        return look

    def _on_failure(self, look: Finding) -> None:
        """Takes back what turned out to be impossible, on the worker's thread."""
        self._refuse(look.error)

    def _refuse(self, error: Exception | None) -> None:
        """Says why a value that was given was not taken; None once one is, or something is asked for."""
        with self._traits_lock:
            ours = error is None or (isinstance(error, t.TraitError) and error.__cause__ is None)
            self._refusal = described(error) if error else "", "" if ours or error is None else traced(error)
            self.error, self.traceback = self._refusal if error else self._failure

    @property
    def _failure(self) -> tuple[str, str]:
        """What went wrong and its traceback, both empty if nothing did."""
        session = self._session
        return (session.error, session.traceback) if session.error else ("", "")

    @contextmanager
    def _unhurried(self, by_a_view: bool = False) -> Iterator[None]:
        """Within it, what the first look finds is read as it is, and nothing at all is waited for `by_a_view`."""
        now = self._asking
        before = getattr(now, "reads", False), getattr(now, "view", False)
        now.reads, now.view = True, by_a_view or before[1]
        try:
            yield
        finally:
            now.reads, now.view = before

    @property
    def _from_a_view(self) -> bool:
        """Whether what is being done was asked for by a view."""
        return getattr(self._asking, "view", False)

    @property
    def _told_by_a_view(self) -> bool:
        return self._from_a_view or threading.current_thread().name == "nbvis"

    def _wait_for_look(self, timeout: float | None = None) -> None:
        """Somebody reads what the first look finds."""
        if self._look is not None and not self._look.over:
            if not (getattr(self._asking, "reads", False) or self._told_by_a_view):
                self._look.wait(timeout)

    def _near(self, name: str) -> str:
        """The end of an error: the settings closest to a name, also by what the panel calls them."""
        settings = [each for each, trait in self.traits().items() if trait.help and each[0] != "_"]
        labels = {trait.label.lower().replace(" ", "_"): each for each, trait in numbers(self).items()}
        if name in labels:
            return f"; did you mean {labels[name]!r}?"
        return near(name, sorted([*settings, "unit"]), most=40)

    def _repr_mimebundle_(self, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        self._wait_for_look(PATIENCE)
        with self._unhurried():
            return self._view() | self._still(), self._alternative()

    def _ipython_display_(self, **options: Any) -> None:
        # The still picture is an output of its own: updating the output that holds the view would build the view anew.
        self._displayed = True
        self._session.displayed()
        self._showing.displayed()
        self._wait_for_look(PATIENCE)
        with self._unhurried():
            self._show_outputs()

    def _show_outputs(self) -> None:
        # Where no view may be drawn, as in an untrusted notebook, its text would be a second line beside the sentence.
        view = self._view()
        text = {"text/plain": view.pop("text/plain", "")}
        display({"text/html": self._sentence()} | text, raw=True)
        display(view, raw=True)
        display(self._still(), metadata=self._alternative(), raw=True, display_id=self.model_id)

    @property
    def _watched(self) -> bool:
        session = getattr(self, "_session", None)
        return session is not None and session.watched

    def _sentence(self) -> str:
        return SAVED.replace("NAME", type(self).__name__)

    def _view(self) -> dict[str, Any]:
        data, _ = super()._repr_mimebundle_() or ({}, {})
        return data

    def _still(self) -> dict[str, Any]:
        return {"image/png": base64.b64encode(self._picture()).decode()}

    def _alternative(self) -> dict[str, Any]:
        """What stands for the still picture where it cannot be seen, as outputs carry it."""
        return {"image/png": {"alt": self._words()}}

    def _saved(self, suffix: str) -> bytes:
        if suffix == ".png":
            return self._picture()
        if suffix == ".html":
            return self._page().encode()
        raise ValueError(f"{type(self).__name__} saves to .png and .html, not to {suffix or 'a name without a suffix'}")

    def _picture(self) -> bytes:
        raise NotImplementedError

    def _page(self) -> str:
        raise NotImplementedError

    def _words(self) -> str:
        """What the picture shows, in words."""
        raise NotImplementedError

    def _current_notes(self) -> list[Note]:
        raise NotImplementedError

    def _tell_notes(self) -> None:
        """Brings the notes up to date."""
        found = list(dict.fromkeys(self._current_notes()))
        self.notes, self._notes = lines(found), records(found)

    def _told(self) -> None:
        """Takes over where the session stands, on its thread or on a caller's."""
        with self._traits_lock, self._unhurried():
            state = self._session.state
            self.error, self.traceback = self._failure if self._session.error else self._refusal
            self._telling = threading.get_ident()
            self.state, self.running = state, self._is_running()
            self._telling = None
            self._tell_notes()

    def _check_network(self) -> None:
        """Says so if the network has changed since what is shown was found; takes no pass."""
        raise NotImplementedError

    def _update_still(self) -> None:
        """Renews the picture that stays in the saved notebook."""
        if self._displayed:
            still, words = (self._still(), self._alternative()) if self._hides_still else ({}, {})
            display(still, metadata=words, raw=True, display_id=self.model_id, update=True)

    def _on_running(self, change: Any) -> None:
        # What the session tells about itself may be outdated by what another thread has just asked for.
        if self._telling != threading.get_ident() and self.running != self._is_running():
            (self.play if self.running else self.pause)()

    def _is_running(self) -> bool:
        return self._session.state == "running"

    def _on_background(self, change: Any) -> None:
        self._session.background = self.background

    def _handle_custom_msg(self, content: Any, buffers: Any) -> None:
        with self._unhurried(by_a_view=True):
            super()._handle_custom_msg(content, buffers)

    def _on_message(self, _: Any, content: dict[str, Any], buffers: Any) -> None:
        kind = content.get("type")
        self._hearing.heard()
        if kind == "drawn":
            self._session.acknowledge(content["view"], content["frame"])
        elif kind == "joined":
            if not content["lab"]:
                self._hides_still = False
            self._session.joined(content["view"])
        elif kind == "left":
            self._session.left(content["view"])
            self._showing.left()
        elif kind in ("recipe", "save"):
            self._reply(content)

    def _reply(self, content: dict[str, Any]) -> None:
        reply, buffers = {"type": "reply", "id": content["id"]}, None
        try:
            answer = self._answer(content)
            if isinstance(answer, str):
                reply["text"] = answer
            else:
                buffers = [answer]
        except Exception as error:
            reply["error"] = described(error)
        self.send(reply, buffers)

    def _answer(self, content: dict[str, Any]) -> str | bytes:
        return self.recipe() if content["type"] == "recipe" else self._saved(content["suffix"])
