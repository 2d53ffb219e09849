"""How a person changes the picture in the panel: photographs, files, the clipboard, camera and video, a list to walk.

Messages from a view, beside those of `base`:

| type | with | asks for |
|---|---|---|
| choose | id, way, and what the way needs | another picture, and a reply once the network has been shown it |
| original | id | a reply: the picture as the network is shown it, as a PNG |

The ways are `photograph`, with its `name`; `list`, with the `place` in `pictures` and the way to `turn`, 1, -1 or 0,
from one that cannot be read; and `opened`, `pasted`, `camera` and `video`, with a `name`, what the browser has done to
it in a sentence, `said`, and one buffer: the bytes of an image file.
"""

import functools
from collections.abc import Callable
from typing import Any

import traitlets as t
from torch import Tensor

from nbvis.engine import ImageFiles
from nbvis.sessions import described, encoded, picture

from . import reading
from .base import Widget
from .given import Given
from .numbers import OneOf

REPLACED = ("first", "second")

Answer = tuple[Given | Exception, str]
"""A picture, or why it cannot be read, with the id of the question."""


class Pictures(t.Any):
    """Where pictures lie; None too is checked."""

    allow_none = False


class InputWidget(Widget):
    """A panel in which a person can choose the picture."""

    picture = t.Unicode(
        "", read_only=True, help="What the picture is called: a photograph, a file, where it came from."
    )
    picture.tag(sync=True)
    pictures = Pictures(
        None, help="Pictures to walk through: a folder, a list of paths or a text file of them, or None."
    )
    _pictures = t.List(help="Name and label of each.").tag(sync=True)
    _position = t.Int(-1, help="Which of them is shown; -1 for none.").tag(sync=True)
    replaces = OneOf("first", REPLACED, help="The picture of a pair that the next one replaces: first or second.")
    _pairs = t.Bool(False, help="Whether the picture is a pair.").tag(sync=True)
    _oblong = t.Bool(False, help="Whether the picture is not square.").tag(sync=True)
    _left_out = t.Int(0, help="How many files of the folder are no pictures, by their names.").tag(sync=True)
    _photographs = t.List(help="The names of the photographs that ship, if they are installed.").tag(sync=True)

    _pictures_taken = t.Int(help="Another number for another picture: what a view has of the last one is old.").tag(
        sync=True
    )

    _files: ImageFiles | None = None
    _bounded = True
    """Whether the picture has to lie in [0, 1]."""

    def __init__(self, subject: Any, **options: Any):
        super().__init__(subject, **options)
        self._photographs = reading.photographs()

    def _name_subject(self) -> None:
        super()._name_subject()
        given = self._subject.given
        self.set_trait("picture", given.name if given else "none")
        self._pictures_taken += 1
        self._pairs, self._oblong = bool(given and given.pair), bool(given and not given.square)
        self._find_position()

    def _find_position(self) -> None:
        files, given = self._files.files if self._files else [], self._subject.given
        self._position = files.index(given.files) if given and given.files in files else -1

    @t.validate("pictures")
    def _validate_pictures(self, proposal: Any) -> Any:
        source = proposal["value"]
        self._files = None if source is None else reading.listed(source, self._subject.network.pair)
        return source

    @t.observe("pictures")
    def _on_pictures(self, change: Any) -> None:
        self._pictures = reading.names_of(self._files) if self._files else []
        self._left_out = self._files.left_out if self._files else 0
        self._find_position()

    def _acts(self, content: dict[str, Any]) -> dict[str, Callable[[], Any]]:
        return super()._acts(content) | {
            "choose": lambda: self._ask_for_picture(content),
            "original": lambda: self._ask_for_original(content["id"]),
        }

    def _ask_for_original(self, question: str) -> None:
        if self._subject.given is None:
            return self._answer_question(question, "no picture was given")
        self._find_out(functools.partial(_encoded, self._subject.image, question), self._on_encoded)

    def _on_encoded(self, made: tuple[bytes, str]) -> None:
        png, question = made
        self.send({"type": "reply", "id": question}, [png])

    def _ask_for_picture(self, asked: dict[str, Any]) -> None:
        self._refuse(None)
        given = self._subject.given
        before = given.original if given and given.pair else None
        wanted = reading.Wanted(self._subject.image.shape[1], self._bounded, before, self.replaces)
        self._find_out(functools.partial(_answer, asked, self._files, wanted), self._on_read)

    def _on_read(self, answer: Answer) -> None:
        """Takes the picture as if it had been set in Python, on the worker's thread."""
        given, question = answer
        if isinstance(given, Exception):
            return self._answer_question(question, str(given))
        try:
            with self._traits_lock:
                self.image = given
        except (t.TraitError, ValueError, TypeError, RuntimeError) as error:
            return self._answer_question(question, described(error))
        # The network is shown the picture next; what is asked here is answered after that.
        self._lookout.ask(lambda: answer, self._on_taken)

    def _on_taken(self, answer: Answer) -> None:
        given, question = answer
        taken = isinstance(given, Given) and self._subject.original is given.original
        self._answer_question(question, "" if taken else self.error or "Another picture took its place.")

    def _answer_question(self, question: str, error: str) -> None:
        self.send({"type": "reply", "id": question, "text": ""} | ({"error": error} if error else {}))


def _answer(asked: dict[str, Any], files: ImageFiles | None, wanted: reading.Wanted) -> Answer:
    try:
        return reading.read(asked, files, wanted), asked["id"]
    except (ValueError, OSError) as error:
        return error, asked["id"]
    except Exception as error:
        return RuntimeError(described(error)), asked["id"]


def _encoded(image: Tensor, question: str) -> tuple[bytes, str]:
    return encoded(picture(image), lossless=True), question
