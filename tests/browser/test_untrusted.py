"""A notebook from somebody else, opened for the first time: nothing in it may run, and it still looks as it should."""

from collections.abc import Callable

import nbformat
from playwright.sync_api import Locator, Page, expect

from tests.browser.lab import Lab, Notebook, Panel

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
    notebook.save()
    saved = nbformat.read(lab.root / notebook.path, as_version=4)
    for output in saved.cells[0].outputs:
        output.metadata.clear()
    saved.cells[0].source += "# from somebody else"  # its signature is of another text
    other = open_notebook("")
    nbformat.write(saved, lab.root / "untrusted.ipynb")
    other.command("docmanager:open", path="untrusted.ipynb")
    outputs = other.page.locator(".jp-OutputArea-child").filter(visible=True)
    expect(other.page.locator(".jp-RenderedImage img")).to_be_visible()
    shot("untrusted", other.page)
    said = [text for text in outputs.all_inner_texts() if text.strip()]
    assert said == ["DreamCanvas as it was saved. Run this cell to bring it back to life."]
    expect(outputs.filter(has=other.page.locator("img, p"))).to_have_count(outputs.count())
    other.command("application:close")
