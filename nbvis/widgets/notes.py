"""Notes: what whoever looks should read, each with what it is about, so that a panel can put it where it belongs."""

from collections.abc import Iterable
from typing import Any, NamedTuple


class Note(NamedTuple):
    """A sentence or two.

    Attributes:
        text: what it says.
        about: what it is about, as the panel calls it; empty for all that is shown.
        kind: "faithfulness" for one on that check, else empty.
    """

    text: str
    about: str = ""
    kind: str = ""

    @property
    def line(self) -> str:
        """It as a line among others."""
        about = f"Faithfulness of {self.about}" if self.kind == "faithfulness" else self.about
        return f"{about}: {self.text}" if about else self.text


def lines(notes: Iterable[Note]) -> str:
    """Notes one a line."""
    return "\n".join(note.line for note in notes)


def records(notes: Iterable[Note]) -> list[dict[str, Any]]:
    """Notes as the front end reads them."""
    return [note._asdict() | {"line": note.line} for note in notes]


def plain(*sentences: str) -> list[Note]:
    """Notes on all that is shown, of the sentences that are not empty."""
    return [Note(each) for each in sentences if each]
