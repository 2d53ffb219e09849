"""What the widgets share that drive a run of steps.

Messages from a view, beside those of `base`: `step` for one step and `restart` for the whole run again; play and pause
are the trait `running`. A frame is a JPEG while it runs and a PNG when it rests.
"""

from typing import Any

from torch import Tensor

from nbvis.sessions import Frame, Session, encoded, picture

from .base import Widget


class RunWidget(Widget):
    """A panel on a run that plays, pauses, takes one step, and begins again."""

    _session: Session

    def play(self) -> None:
        """Goes on, or begins; a run that has ended begins again."""
        self._session.play()

    def pause(self) -> None:
        """Rests after the step that is being taken."""
        self._session.pause()

    def step(self) -> None:
        """Takes one step and rests."""
        self._session.step()

    def stop(self) -> None:
        """Ends the run after the step that is being taken; the picture stays, and `play` begins again."""
        self._session.stop()

    def restart(self) -> None:
        """Begins again and goes on."""
        self._session.restart()

    @property
    def result(self) -> Tensor:
        """The newest image at full precision, (1, channels, height, width) in [0, 1], of the size of its octave."""
        return self._session.image

    def _picture(self) -> bytes:
        return encoded(picture(self.result), lossless=True)

    def _current_notes(self) -> str:
        return "\n".join(self._session.last.notes) if self._session.last else ""

    def _on_frame(self, frame: Frame) -> None:
        """Passes on what the session tells, on its thread."""
        self._told()
        self.send(frame.header, list(frame.pictures) or None)
        if frame.header["format"] == "png":
            self._update_still()

    def _on_message(self, _: Any, content: dict[str, Any], buffers: Any) -> None:
        kind = content.get("type")
        if kind in ("step", "restart"):
            getattr(self, kind)()
        else:
            super()._on_message(_, content, buffers)
