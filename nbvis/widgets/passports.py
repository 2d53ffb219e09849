"""What a widget has that shows the passport of its channel."""

from typing import Any

import traitlets as t
from torch import Tensor

from nbvis.engine import Statistics
from nbvis.sessions import Refusal, Task

from .channel_answers import Patch
from .data_set import DataSet
from .optimised import Dream, Growing, dream_task
from .passport import Bearer, Maximal, habits_task, maximal_task
from .passport_scene import PassportScene, missing
from .questions import QuestionWidget

KINDS = "habits", "dream", "maximal"
"""What is found out about a channel, in this order: what takes long, and can be left in the middle, comes last."""

CALM = 0.75
"""Seconds that whoever walks through channels stays at one before what takes long is begun."""


class PassportWidget(QuestionWidget):
    """A panel on a network, with the passport of the channel that is chosen.

    It is found out after all else that is shown, and only while somebody looks at it or asks for it.
    """

    passport = t.Bool(True, help="Whether the passport of the channel is shown, and found out while it is looked at.")
    passport.tag(sync=True)

    _statistics: Statistics | None
    _data: DataSet | None
    _growing: Growing
    layer: Any
    channel: Any

    @property
    def dreamt(self) -> Tensor:
        """The optimised image of the channel, (1, channels, height, width) in [0, 1]; makes it if it is not there yet.

        Raises:
            RuntimeError: if there can be none; the message says why.
        """
        return self._of_passport("dream", Dream).image

    @property
    def patches(self) -> tuple[Patch, ...]:
        """What the channel saw where it answered most in the data set, highest answer first; finds it if need be.

        Pictures larger than a panel shows them are reduced.

        Raises:
            RuntimeError: if there are none; the message says why.
        """
        if any(said := missing(self._statistics, self._data, self.layer)):
            raise RuntimeError(f"there are no patches. {' '.join(said)}")
        return self._of_passport("maximal", Maximal).patches

    def save(self, path: Any) -> None:
        """Waits for what is shown and writes it to a file; see `Widget.save`."""
        if self.passport:
            self._wait_for_answers("passport")
        super().save(path)

    def _of_passport(self, kind: str, wanted: type) -> Any:
        self._wait_for_answers("passport", kinds=KINDS)
        found = self._session.get(self._bearer().key(kind))
        if not isinstance(found, wanted):
            why = found.reason if isinstance(found, Refusal) else self.error or "it was stopped or closed"
            raise RuntimeError(f"there is nothing to give: {why}")
        return found

    def _passport_tasks(self, wishes: set[str]) -> dict[str, list[Task]]:
        """How to find out the passport; nothing of it where nobody looks at it."""
        tasks: dict[str, list[Task]] = {kind: [] for kind in KINDS}
        if not ("passport" in wishes or (self.passport and self._session.watched)):
            return tasks
        network, given, bearer = self._subject.network, self._statistics, self._bearer()
        after, shape = 0.0 if "passport" in wishes else CALM, tuple(self._subject.image.shape)
        tasks["dream"] = [dream_task(bearer, network, shape, self._growing)._replace(after=after)]
        if given is not None and self.layer in given:
            tasks["habits"] = [habits_task(bearer, network, given)]
            if self._data is not None and not any(missing(given, self._data, self.layer)):
                tasks["maximal"] = [maximal_task(bearer, network, given, self._data)._replace(after=after)]
        return tasks

    def _passport_scene(self) -> PassportScene | None:
        """What of the passport is shown; None if it is folded away."""
        if not (self.passport and self._subject.looked):
            return None
        bearer, found = self._bearer(), self._session.get
        habits, dream, maximal = (found(bearer.key(kind)) for kind in KINDS)
        said = missing(self._statistics, self._data, self.layer)
        return PassportScene(self._painter, bearer, habits, maximal, dream, self._growing.get(bearer), said)

    def _bearer(self) -> Bearer:
        return Bearer(self._subject.about[0], self.layer, self.channel)

    @t.observe("passport")
    def _on_passport(self, change: Any) -> None:
        if hasattr(self, "_session"):
            self._ask()
            self._session.changed()

    def _on_joined(self, view: str, lab: bool) -> None:
        super()._on_joined(view, lab)
        if self.passport and self._session.state not in ("stopped", "error"):
            self._ask()  # now somebody looks
