"""A notebook from somebody else, opened for the first time: nothing in it may run, and it still looks as it should."""

from collections.abc import Callable

import nbformat
from playwright.sync_api import Locator, Page, expect

from tests.browser.lab import Lab, Notebook, Panel, becomes

CELL = """
from nbvis import DreamCanvas, demo
canvas = DreamCanvas(demo.network("cpu"), demo.photo("chelsea", size=128), octaves=2, steps=4)
canvas
"""


def test_it_shows_a_sentence_and_the_picture_and_no_stray_line(
    open_notebook: Callable[..., Notebook], lab: Lab, shot: Callable[[str, Page | Locator], None]
) -> None:
    notebook = open_notebook(CELL)
    notebook.run(0)
    Panel(notebook.page, notebook.page.locator(".nbvis")).state("ready")
    notebook.close()
    file = lab.root / notebook.path
    saved = nbformat.read(file, as_version=4)
    saved.cells[0].source += "# from somebody else"  # the signature that JupyterLab keeps is of another text
    nbformat.write(saved, file)
    notebook.open()
    outputs = notebook.page.locator(".jp-OutputArea-child")
    expect(notebook.page.locator(".jp-RenderedImage img")).to_be_visible()
    shot("untrusted", notebook.page)
    expect(notebook.page.locator(".nbvis")).to_have_count(0)

    def said() -> list[str]:
        return [text.strip() for text in outputs.all_inner_texts() if text.strip()]

    sentence = "DreamCanvas as it was saved. Run this cell to bring it back to life."
    becomes(said, [sentence], notebook.page, "what is said")
    high = "(parts) => parts.filter((part) => part.offsetHeight > 0).length"
    becomes(lambda: outputs.evaluate_all(high), 2, notebook.page, "the sentence and the picture")
