"""What the widgets share that drive a run of steps.

Messages from a view, beside those of `base`: `step` for one step and `restart` for the whole run again; play and pause
are the trait `running`. A frame is a JPEG while it runs and a PNG when it rests.
"""

import threading
from collections.abc import Callable, Mapping
from typing import Any

import traitlets as t
from torch import Tensor

from nbvis.engine import Steps, fingerprint
from nbvis.sessions import Finding, Frame, Session, encoded, picture

from .notes import Note, plain
from .pictures import PictureWidget
from .subject import Subject


class RunWidget(PictureWidget):
    """A panel on a run that plays, pauses, takes one step, and begins again."""

    size = t.List(t.Int(), help="Height and width of the picture, pixels.").tag(sync=True)

    _session_kind: type[Session] = Session
    _session: Any
    _weights: tuple[int, ...] = ()
    _later: Callable[[], None] | None = None

    def _begin(self, start: Callable[[dict[str, Any]], Steps], options: Mapping[str, Any], **session: Any) -> None:
        """Makes the session, as `Session` takes it, and looks at the network for the first time."""
        self._session = self._session_kind(
            start, options, listener=self._on_frame, background=self.background, listens=self._hearing, **session
        )
        self._renew_notes()
        self._begin_to_see()

    def play(self) -> None:
        """Goes on, or begins; a run that has ended begins again."""
        self._once_seen(self._session.play)

    def pause(self) -> None:
        """Rests after the step that is being taken."""
        self._later = None
        self._session.pause()
        self._tell_running(False)

    def step(self) -> None:
        """Takes one step and rests."""
        self._once_seen(self._session.step)

    def stop(self) -> None:
        """Ends the run after the step that is being taken; the picture stays, and `play` begins again."""
        self._later = None
        self._session.stop()
        self._tell_running(False)

    def restart(self) -> None:
        """Begins again and goes on."""
        self._once_seen(self._session.restart)

    @property
    def result(self) -> Tensor:
        """The newest image at full precision, (1, channels, height, width) in [0, 1], of the size of its octave."""
        return self._session.image

    def _on_left(self, view: str) -> None:
        super()._on_left(view)
        if self._later and not (self._watched or self.background):
            self.pause()

    def _once_seen(self, act: Callable[[], None]) -> None:
        """Does it once the network has been looked at."""
        self._refusal = "", ""
        if not self._doing:
            return act()
        self._later = act
        if self._look is not None and self._look.over:
            self._begin_to_see()
        if self._doing:
            self._tell_running(True)

    def _of_picture(self) -> dict[str, Any]:
        return super()._of_picture() | {"size": list(self._subject.size)}

    def _start_image(self) -> Tensor:
        """What a run starts from, (1, channels, height, width)."""
        return self._subject.image

    def _on_seen(self, subject: Subject) -> None:
        first = subject is self._subject
        super()._on_seen(subject)
        if not first:
            self._session.renew(images=self._start_image())
        self._doing = ""
        self._do_later()

    def _do_later(self) -> None:
        """Does what had to wait, if anything had."""
        with self._traits_lock:
            later, self._later = self._later, None
        if later:
            later()

    def _is_running(self) -> bool:
        return self._later is not None or (self._session.state == "running" and not self._session.pausing)

    def _on_failure(self, look: Finding) -> None:
        if look is self._look or self._look is None:
            self._later = None
            if look.error:
                self._session.fail(look.error)
        else:
            super()._on_failure(look)

    def _tell_running(self, running: bool) -> None:
        with self._traits_lock:
            self._telling = threading.get_ident()
            self.running = running
            self._telling = None

    def _picture(self) -> bytes:
        return encoded(picture(self.result), lossless=True)

    def _told(self) -> None:
        with self._at_once():
            super()._told()
            self._renew_notes()

    def _renew_notes(self) -> None:
        self._tell_notes(self._current_notes())

    def _current_notes(self) -> list[Note]:
        last = self._session.last
        return [*self._subject.notes(), *plain(*(last.notes if last else ()), *self._outdated())]

    def _outdated(self) -> list[str]:
        """Sentences on what has changed since the picture was made, while it rests."""
        session = self._session
        if session.last is None or session.state == "running":
            return []
        if session.differing:
            way = "Go on" if session.state == "paused" else "Play"
            return [f"The picture was made with other settings than the panel shows: {way} takes these."]
        if self._weights and self._weights != fingerprint(self._subject.network.module):
            return ["The network has changed since the picture was made: Restart makes it anew."]
        return []

    def _check_network(self) -> None:
        with self._at_once():
            self._renew_notes()

    def _changed(self, options: Mapping[str, Any], remake: bool) -> None:
        """Hands changed options to the session.

        Args:
            options: what has changed.
            remake: whether it makes the picture of a run that is over anew, if a view has changed it.
        """
        if not options:
            return
        self._session.change(**options)
        # While the network has not been seen, an error is that of the look at it, and no run is over.
        if remake and self._from_a_view and not self._doing and self._session.state in ("finished", "error"):
            self.play()
        else:
            self._check_network()

    def _on_frame(self, frame: Frame) -> None:
        """Passes on what the session tells, on its thread."""
        if frame.header["state"] == "running":
            self._weights = fingerprint(self._subject.network.module)
        self._told()
        self.send(frame.header, list(frame.pictures) or None)
        if frame.header["format"] == "png":
            self._update_still()

    def _acts(self, content: dict[str, Any]) -> dict[str, Callable[[], Any]]:
        return super()._acts(content) | {"step": self.step, "restart": self.restart}
