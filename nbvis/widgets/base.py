"""What all widgets share: the front end's files, their state, the views and the messages.

Messages, beside the synced traits. From a view:

| type | with | asks for |
|---|---|---|
| joined | view, lab | the picture; `lab` says whether the view hides the still picture below it |
| left | view | nothing: the view is gone |
| drawn | view, frame | the next frame |
| recipe, save | id, suffix | a reply |
| reset | | the settings that the panel began with |

To the views: `frame`, whose fields the session fills and whose buffers are pictures, encoded as its `format` says (none
if only the state changed), and `reply` with the id of the question, `text` or a buffer, or `error`.
"""

import threading
import time
from collections.abc import Callable
from typing import Any

import traitlets as t

from nbvis.engine import near
from nbvis.sessions import described

from .forgetting import keep_track
from .front_end import module_source, style_source
from .hearing import Hearing, answer_where_asked
from .notes import Note, lines, records
from .numbers import controls, numbers
from .outputs import OutputWidget
from .subject import Subject


class Widget(OutputWidget):
    """A panel on a session: its state, its errors and notes, its pictures with and without a kernel.

    Args:
        subject: what it is about.
        options: any of the traits.
    """

    state = t.Unicode("ready", help="ready, running, paused, stopped, finished or error.").tag(sync=True)
    running = t.Bool(False, help="Whether it runs; set it to play and to pause.").tag(sync=True)
    background = t.Bool(False, help="Whether it runs on when no view is left; otherwise it pauses.").tag(sync=True)
    notes = t.Unicode("", help="Sentences that whoever looks should read, one a line.").tag(sync=True)
    _notes = t.List(help="The same as records: {text, about, kind, line} of each.").tag(sync=True)
    subject = t.Unicode("", read_only=True, help="What it looks at: the network and the picture's size.").tag(sync=True)
    _sizes = t.List(help="Sizes to work at, for a large picture: {longest, text} of each.").tag(sync=True)
    _controls = t.Dict(help="The sliders' bounds, labels and units.").tag(sync=True)

    _settings: tuple[str, ...] = ()
    """What `reset` sets back, beside the sliders."""

    def __init_subclass__(cls, front_end: str = "", **options: Any):
        """Gives a widget its front end: the module of that name with those it imports, and the style sheet."""
        if front_end:
            cls._esm, cls._css = module_source(front_end), style_source()
        super().__init_subclass__(**options)

    def __init__(self, subject: Subject, **options: Any):
        unknown = [name for name in options if name not in self.trait_names() or name.startswith("_")]
        if unknown:
            raise TypeError(f"{type(self).__name__} has no option {unknown[0]!r}{self._near(unknown[0])}")
        self._hearing = Hearing()
        self._telling: int | None = None
        super().__init__(subject, _controls=controls(self), **options)
        self._began = {name: getattr(self, name) for name in (*numbers(self), *self._settings)}
        self.on_msg(self._on_message)
        self.observe(self._on_running, "running")
        self.observe(self._on_background, "background")
        self._name_subject()
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

    def reset(self) -> None:
        """Sets every slider and choice back to what this widget began with; the picture, layer and channel stay.

        Raises:
            ValueError: if that cannot be, as for a picture that is smaller now; then nothing changes.
        """
        with self.hold_trait_notifications():
            self._set_back()
        self._set_back()  # one that followed from another has moved once more

    def _set_back(self) -> None:
        for name, value in self._began.items():
            setattr(self, name, value)

    def wait(self, timeout: float | None = None) -> bool:
        """Blocks until the network is looked at and it rests; False if not after `timeout` seconds."""
        end = None if timeout is None else time.monotonic() + timeout
        if not self._lookout.wait(timeout):
            return False
        return self._session.wait(None if end is None else max(0.0, end - time.monotonic()))

    def recipe(self) -> str:
        """Python source that makes the picture shown."""
        raise NotImplementedError

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
        # All that follows from it goes back at once: each message costs the browser time that the next step needs.
        with self._at_once(), self._unhurried(by_a_view=True):
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

    def _name_subject(self) -> None:
        self._sizes = self._subject.sizes()
        self.set_trait("subject", self._subject.name)

    def _near(self, name: str) -> str:
        """The end of an error: the settings closest to a name, also by what the panel calls them."""
        settings = [each for each, trait in self.traits().items() if trait.help and each[0] != "_"]
        labelled = [each for each, trait in numbers(self).items() if trait.label.lower().replace(" ", "_") == name]
        if labelled:
            return f"; did you mean {' or '.join(map(repr, labelled))}?"
        return near(name, sorted([*settings, "unit"]), most=40)

    @property
    def _watched(self) -> bool:
        session = getattr(self, "_session", None)
        return session is not None and session.watched

    def _tell_notes(self, notes: list[Note]) -> None:
        found = list(dict.fromkeys(notes))
        self.notes, self._notes = lines(found), records(found)

    def _told(self) -> Any:
        """Takes over where the session stands, on its thread or on a caller's."""
        with self._at_once():
            state = self._standing()
            self.error, self.traceback = self._failure if self._session.error else self._refusal
            self._telling = threading.get_ident()
            self.state, self.running = state, self._is_running()
            self._telling = None

    def _standing(self) -> str:
        """The state, as `state` has it."""
        return self._session.state

    def _check_network(self) -> None:
        """Says so if the network has changed since what is shown was found; takes no pass."""
        raise NotImplementedError

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
        self._hearing.heard()
        if act := self._acts(content | {"buffers": buffers}).get(str(content.get("type"))):
            try:
                act()
            except (t.TraitError, ValueError, TypeError, RuntimeError) as error:
                self._refuse(error)

    def _acts(self, content: dict[str, Any]) -> dict[str, Callable[[], Any]]:
        """What to do when a view asks for it, by the type of its message; what cannot be is refused in words."""
        return {
            "drawn": lambda: self._session.acknowledge(content["view"], content["frame"]),
            "joined": lambda: self._on_joined(content["view"], content["lab"]),
            "left": lambda: self._on_left(content["view"]),
            "reset": self.reset,
            "recipe": lambda: self._reply(content, self.recipe),
            "save": lambda: self._reply(content, lambda: self._saved(content["suffix"])),
        }

    def _on_joined(self, view: str, lab: bool) -> None:
        self._hides_still &= lab
        self._session.joined(view)

    def _on_left(self, view: str) -> None:
        self._session.left(view)
        self._showing.left()

    def _reply(self, content: dict[str, Any], find: Callable[[], str | bytes]) -> None:
        reply, buffers = {"type": "reply", "id": content["id"]}, None
        try:
            answer = find()
            if isinstance(answer, str):
                reply["text"] = answer
            else:
                buffers = [answer]
        except Exception as error:
            reply["error"] = described(error)
        self.send(reply, buffers)
