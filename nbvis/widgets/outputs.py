"""What a panel leaves in the notebook and on the disk: a picture that stays without a kernel, pages and files."""

import base64
from pathlib import Path
from typing import Any

from IPython.display import display

from .forgetting import Showing
from .seeing import SeeingWidget
from .subject import Subject

PATIENCE = 2.0
"""Seconds that the first display waits for a look at the network."""

SAVED = """<style>
.nbvis-saved { color: var(--jp-ui-font-color2, #5b6775); margin: 4px 0; animation: nbvis-late 0s 3s backwards; }
@keyframes nbvis-late { from { visibility: hidden; } }
.jp-OutputArea-child:has(.nbvis-saved):has(+ .jp-OutputArea-child .nbvis:not(.unheard.asleep)),
.jp-OutputArea-child:has(.nbvis-saved) + .jp-OutputArea-child:not(:has(.nbvis:not(.unheard.asleep))),
.jp-OutputArea-child:has(.nbvis:not(.unheard.asleep)) + .jp-OutputArea-child:has(.jp-RenderedImage) { display: none; }
</style><p class="nbvis-saved">NAME as it was saved. Run this cell to bring it back to life.</p>"""


class OutputWidget(SeeingWidget):
    """A panel with a still picture below it, which stays when it goes.

    Args:
        subject: what it is about.
        options: any of the traits.
    """

    _suffixes: tuple[str, ...] = (".png", ".html")
    """What `save` takes."""

    def __init__(self, subject: Subject, **options: Any):
        self._hides_still, self._displayed = True, False
        self._showing = Showing()
        super().__init__(subject, **options)

    def save(self, path: str | Path) -> None:
        """Writes the picture to a file.

        Args:
            path: ends in .png for the picture, or in .html for a page with the picture, its settings and its recipe
                that needs neither a kernel nor the network.

        Raises:
            ValueError: if it ends in anything else.
        """
        Path(path).write_bytes(self._saved(Path(path).suffix))

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
        *first, end = self._suffixes
        possible, given = f"{', '.join(first)} and {end}", suffix or "a name without a suffix"
        raise ValueError(f"{type(self).__name__} saves to {possible}, not to {given}")

    def _picture(self) -> bytes:
        raise NotImplementedError

    def _page(self) -> str:
        raise NotImplementedError

    def _words(self) -> str:
        """What the picture shows, in words."""
        raise NotImplementedError

    def _update_still(self) -> None:
        """Renews the picture that stays in the saved notebook."""
        if self._displayed:
            still, words = (self._still(), self._alternative()) if self._hides_still else ({}, {})
            display(still, metadata=words, raw=True, display_id=self.model_id, update=True)
