"""A reader watches and steers a run while the cell that started it, or another one, keeps the kernel busy."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.browser.lab import Lab, Notebook, Panel, until

MAKE = """
from IPython.display import display
from nbvis import DreamCanvas, demo
import pathlib, time
canvas = DreamCanvas(demo.network("cpu"), demo.photo("chelsea", size=224), layer="_blocks.3",
                     octaves=1, steps=50, endless=True)
end = time.monotonic() + 120
"""
BUSY = "while not pathlib.Path('{}').exists() and time.monotonic() < end:\n    time.sleep(0.05)"
STEPS = 80

Open = Callable[..., Notebook]


def frames_a_step(panel: Panel) -> float:
    """How many frames come for each step of the run, which other work on the machine slows as it slows the frames."""

    def step() -> int:
        said = re.search(r"step (\d+)", panel.status.inner_text())
        return int(said[1]) if said else 0

    until(step, panel.page, "the first step")
    first, begins = panel.frame(), step()
    for more in range(20, STEPS + 1, 20):
        until(lambda more=more: step() >= begins + more, panel.page, f"{more} steps")
    return (panel.frame() - first) / (step() - begins)


@pytest.mark.parametrize("way", ["in the same cell", "in an earlier cell", "where it is made", "in a new kernel"])
def test_a_busy_kernel_shows_as_many_frames_as_an_idle_one_and_pauses(open_notebook: Open, lab: Lab, way: str) -> None:
    enough = lab.root / f"enough {way}"
    busy_cell = BUSY.format(enough)
    if way == "in the same cell":
        cells = [f"{MAKE}canvas", f"canvas.restart()\n{busy_cell}"]
    elif way == "in an earlier cell":
        cells = [f"{MAKE}canvas", "canvas.restart()", busy_cell]
    else:
        cells = [f"{MAKE}display(canvas)\ncanvas.play()\n{busy_cell}"]
    notebook = open_notebook(*cells, kernel=None) if way == "in a new kernel" else open_notebook(*cells)
    for index in range(len(cells) - 1):
        notebook.run(index)
    notebook.begin(len(cells) - 1)
    panel = Panel(notebook.page, notebook.page.locator(".nbvis"))
    panel.state("running")
    busy = frames_a_step(panel)
    panel.play.click()
    panel.state("paused")
    expect(notebook.cell(len(cells) - 1).locator(".jp-InputPrompt")).to_have_text("[*]:")
    enough.touch()
    notebook.done(len(cells) - 1)
    notebook.kernel("canvas.play()")
    panel.state("running")
    assert busy > 0.2 * frames_a_step(panel)  # unheard it was a twentieth
