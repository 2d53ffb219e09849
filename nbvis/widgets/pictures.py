"""What the widgets share that look at one picture, which can be changed."""

from collections.abc import Sequence
from typing import Any

import traitlets as t
from torch import Tensor

from nbvis.engine import Objective
from nbvis.sessions import Finding, described

from .given import FRAMINGS, Given, GivenImage, WorkingSize, fitted, given_image, sized
from .inputs import InputWidget
from .numbers import InvalidValueError, OneOf
from .subject import Subject


class PictureWidget(InputWidget):
    """A panel on a network and a picture."""

    image = GivenImage(help="The picture, (1, channels, height, width); set another.")
    working_size = WorkingSize(
        None, help="Longer side in pixels at which the picture is worked on; None for all of it."
    )
    working_size.tag(sync=True)
    framing = OneOf("whole", FRAMINGS, help="A picture that is not square: whole, crop to its middle, or stretch.")

    def __init__(self, subject: Subject, **options: Any):
        self._subject = subject
        super().__init__(subject, image=subject.original, **self._of_picture() | options)

    def _of_picture(self) -> dict[str, Any]:
        """The traits that follow from the picture."""
        given = self._subject.given
        return {"working_size": given.longest, "framing": given.framing} if given else {"working_size": None}

    def _take_over(self, first: bool) -> None:
        if not first:
            with self.hold_trait_notifications():
                follows = self._of_picture()
                for name, value in follows.items():
                    self.set_trait(name, value)
                self._began |= {name: value for name, value in follows.items() if name in self._began}
                self._name_subject()

    def _another(self, given: Given | None) -> Subject:
        """The same network with another picture."""
        return type(self._subject)(self._subject.network, given, number=self._subject.number + 1)

    def _must_fit(self) -> Sequence[Objective]:
        """What has to fit another picture."""
        return ()

    def _change_picture(self, given: Given | None) -> None:
        """Looks at another picture, or the same at another size."""
        look = self._look_at(self._another(given), *self._must_fit())
        if look.error:
            raise InvalidValueError(described(look.error)) from look.error

    def _on_failure(self, look: Finding) -> None:
        with self._traits_lock:
            self.image = self._subject.original
            for name, value in self._of_picture().items():
                self.set_trait(name, value)
        super()._on_failure(look)

    @t.validate("image")
    def _validate_image(self, proposal: Any) -> Tensor | None:
        value = proposal["value"]
        if value is self._subject.original:
            return value
        given = value if isinstance(value, Given) else self._given(value)
        given = sized(given, self.framing) if given and given.framing != self.framing else given
        self._change_picture(given)
        return given.original if given else None

    def _given(self, value: Any) -> Given | None:
        pair = self._subject.network.pair
        return given_image(value, type(self).__name__, bounded=self._bounded, pair=pair)

    @t.validate("working_size")
    def _validate_working_size(self, proposal: Any) -> int | None:
        longest, given = proposal["value"], self._subject.given
        if given is None and longest is not None:
            raise InvalidValueError("there is no picture to work on at another size: set image first")
        if given is None or longest == given.longest:
            return longest
        another = fitted(given, longest, given.framing)
        if another.longest != given.longest:
            self._change_picture(another)
        return another.longest

    @t.validate("framing")
    def _validate_framing(self, proposal: Any) -> str:
        framing, given = proposal["value"], self._subject.given
        if given is not None and framing != given.framing:
            self._change_picture(fitted(given, self.working_size, framing))
        return framing
