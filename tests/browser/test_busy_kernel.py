"""A reader watches and steers a run while the cell that started it, or another one, keeps the kernel busy."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.browser.lab import Notebook, Panel, until

MAKE = """
from IPython.display import display
from nbvis import DreamCanvas, demo
import time
canvas = DreamCanvas(demo.network("cpu"), demo.photo("chelsea", size=224), layer="_blocks.3",
                     octaves=8, octave_scale=1.1, steps=200)
"""
BUSY = "time.sleep(10)"
SECONDS = 3
EARLY = 100

Open = Callable[..., Notebook]


def frames_a_step(panel: Panel) -> float:
    """How many frames come for each step of the run, which other work on the machine slows as it slows the frames."""

    def step() -> int:
        said = re.search(r"step (\d+) of", panel.status.inner_text())
        return int(said[1]) if said else 0

    # Later steps, of larger octaves, take up to four times as long.
    until(lambda: 0 < step() < EARLY, panel.page, "a step near the beginning")
    first, begins = panel.frame(), step()
    panel.page.wait_for_timeout(1000 * SECONDS)
    return (panel.frame() - first) / (step() - begins)


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
    busy = frames_a_step(panel)
    panel.play.click()
    panel.state("paused")
    expect(notebook.cell(len(cells) - 1).locator(".jp-InputPrompt")).to_have_text("[*]:", timeout=1)
    notebook.done(len(cells) - 1)
    notebook.kernel("canvas.restart()")
    panel.state("running")
    assert busy > 0.2 * frames_a_step(panel)  # unheard it was a twentieth
