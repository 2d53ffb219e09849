"""A reader watches and steers a run while the cell that started it, or another one, keeps the kernel busy."""

import time
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.browser.lab import Notebook, Panel

MAKE = """
from IPython.display import display
from nbvis import DreamCanvas, demo
import time
canvas = DreamCanvas(demo.network("cpu"), demo.photo("chelsea", size=224), layer="_blocks.3",
                     octaves=8, octave_scale=1.1, steps=200)
"""
BUSY = "time.sleep(15)"
SECONDS = 5

Open = Callable[..., Notebook]


def frames_a_second(panel: Panel) -> float:
    """How many frames come, as the page counts them."""
    panel.frames(1)
    first, began = panel.frame(), time.monotonic()
    panel.page.wait_for_timeout(1000 * SECONDS)
    return (panel.frame() - first) / (time.monotonic() - began)


@pytest.mark.parametrize("way", ["in the same cell", "in an earlier cell", "where it is made", "in a new kernel"])
def test_a_busy_kernel_shows_as_many_frames_as_an_idle_one_and_pauses(open_notebook: Open, way: str) -> None:
    if way == "in the same cell":
        cells = [f"{MAKE}canvas", f"canvas.restart()\n{BUSY}"]
    elif way == "in an earlier cell":
        cells = [f"{MAKE}canvas", "canvas.restart()", BUSY]
    else:
        cells = [f"{MAKE}display(canvas)\ncanvas.play()\n{BUSY}"]
    notebook = open_notebook(*cells, kernel=None) if way == "in a new kernel" else open_notebook(*cells)
    for index in range(len(cells) - 1):
        notebook.run(index)
    notebook.begin(len(cells) - 1)
    panel = Panel(notebook.page, notebook.page.locator(".nbvis"))
    panel.state("running")
    busy = frames_a_second(panel)
    panel.play.click()
    panel.state("paused")
    expect(notebook.cell(len(cells) - 1).locator(".jp-InputPrompt")).to_have_text("[*]:", timeout=1)
    notebook.done(len(cells) - 1)
    panel.play.click()
    panel.state("running")
    # Unheard it was a twentieth; what else the machine does in one of the two times may be a half or a third.
    assert busy > 0.2 * frames_a_second(panel)
