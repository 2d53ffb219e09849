"""Films of a run, as files."""

import io
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from nbvis.engine import Steps
from nbvis.sessions import FILMS, picture

from .run import RunWidget


class FilmWidget(RunWidget):
    """A panel on a run that leaves a film."""

    _suffixes = (*RunWidget._suffixes, *FILMS)
    _seen_as = staticmethod(picture)
    """What a batch of images looks like as one picture."""

    def save(self, path: str | Path) -> None:
        """Writes the picture, a page, or a film of the run so far to a file; the run goes on meanwhile.

        A film begins with the picture that the run began with and ends with the newest one, at 20 frames a second, the
        smaller octaves enlarged. It has a frame for each step or, of a loop whose rounds last a second, for each
        round; where these are too many for the disk, evenly fewer. An MP4 has even sides, so that a last row or column
        is there twice where there is an odd number; a GIF has 256 colours in each frame.

        Args:
            path: ends in .png for the picture, in .html for a page with the picture, its settings and its recipe that
                needs neither a kernel nor the network, or in .mp4 or .gif for a film.

        Raises:
            ValueError: if it ends in anything else, or for a film before the first step.
            OSError: if it cannot be written, or the film could not be recorded.
        """
        suffix = Path(path).suffix
        if suffix not in FILMS:
            return super().save(path)
        frames = self._frames()
        with Path(path).open("wb") as file:
            FILMS[suffix](file, frames)

    def _begin(self, start: Callable[[dict[str, Any]], Steps], options: Mapping[str, Any], **session: Any) -> None:
        super()._begin(start, options, filmed=self._seen_as, **session)

    def _frames(self) -> Iterator[Image.Image]:
        film = self._session.film
        if film is None:
            raise ValueError("there is no film before the first step: play")
        return film.frames()

    def _saved(self, suffix: str) -> bytes:
        if suffix not in FILMS:
            return super()._saved(suffix)
        file = io.BytesIO()
        FILMS[suffix](file, self._frames())
        return file.getvalue()

    def _acts(self, content: dict[str, Any]) -> dict[str, Callable[[], Any]]:
        acts = super()._acts(content)
        if content.get("suffix") in FILMS:
            # It takes seconds, for which the kernel would hear nobody; the process waits for it to end.
            acts["save"] = threading.Thread(target=acts["save"], name="nbvis film").start
        return acts
