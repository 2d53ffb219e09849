"""What a panel on a dream says of it once it rests: what has come of it, and that it has failed."""

import functools
from typing import Any

import traitlets as t
from torch import Tensor

from nbvis.engine import AscentStep, Network, Objective, PictureStep, as_network, is_grey
from nbvis.sessions import Frame

from .notes import Note, plain
from .objectives import ObjectiveWidget
from .verdict import verdict


class JudgedWidget(ObjectiveWidget):
    """A panel whose run is judged where it rests."""

    judge = t.Any(None, help="Another network, which is asked what it sees in the picture; None for none.")
    verdict = t.Unicode(help="What has come of the run, in words, once it rests.").tag(sync=True)

    def _start_with(self, objective: Objective | None) -> None:
        super()._start_with(objective)
        self._grey: tuple[PictureStep, bool] | None = None
        self._judging: tuple[PictureStep, Network | None] | None = None

    @t.validate("judge")
    def _validate_judge(self, proposal: Any) -> Network | None:
        return None if proposal["value"] is None else as_network(proposal["value"])

    @t.observe("judge")
    def _on_judge(self, change: Any) -> None:
        self._ask_for_verdict()

    def _on_frame(self, frame: Frame) -> None:
        super()._on_frame(frame)
        if frame.header["state"] == "running":
            self._judging = None
            if self.verdict:
                self._tell_verdict("")
        elif frame.header["format"] == "png":
            self._ask_for_verdict()

    def _ask_for_verdict(self) -> None:
        """Has the worker say what has come of the run, where it rests."""
        last, objective = (self._session.last, self._shown_objective()) if hasattr(self, "_session") else (None, None)
        if last is None or objective is None or self._lookout.closed:
            return
        if self._judging and self._judging[0] is last and self._judging[1] is self.judge:
            return  # it is only painted again, as for another view
        self._judging = last, self.judge
        told = last, self._subject.network, self.judge, objective, self._session.start
        self._lookout.ask(functools.partial(_judged, *told), self._on_verdict, aside=True, key="verdict")

    def _on_verdict(self, found: tuple[PictureStep, str]) -> None:
        if self._session.state != "running" and self._session.last is found[0]:
            self._tell_verdict(found[1])

    def _tell_verdict(self, words: str) -> None:
        with self._traits_lock:
            self.verdict = words

    def _shown_objective(self) -> Objective | None:
        """The objective of what is shown; None if it shows one for each of several."""
        past = self._session.past
        held = [past.origin, *(changed for _, changed in past.changes)]
        found = next((each["objective"] for each in reversed(held) if "objective" in each), None)
        return found if isinstance(found, Objective) else None

    def _current_notes(self) -> list[Note]:
        return [*super()._current_notes(), *plain(*self._failed())]

    def _failed(self) -> list[str]:
        """That a visualisation has failed, if it has."""
        last = self._session.last
        if self._session.state != "finished" or not isinstance(last, AscentStep) or last.image.shape[1] != 3:
            return []
        if self._grey is None or self._grey[0] is not last:  # notes are asked for with each change of a slider
            self._grey = last, bool(is_grey(last.image).all())
        return [_GREY] if self._grey[1] else []


_GREY = (
    "The picture is grey, as visualisations are that failed: what is climbed hardly changes here, the learning rate is "
    "far too small, or the steps are too few."
)


def _judged(
    last: PictureStep, network: Network, judge: Network | None, objective: Objective, start: Tensor
) -> tuple[PictureStep, str]:
    return last, verdict(network, judge, objective, start, last.image)
