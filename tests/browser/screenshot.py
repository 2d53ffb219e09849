"""The README's pictures, of the widgets in JupyterLab: `python -m tests.browser.screenshot [name …]` makes them."""

import io
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image
from playwright.sync_api import expect, sync_playwright

from tests.browser.lab import Notebook, Panel, launch, running_lab

FOLDER = Path(__file__).parents[2] / "notebooks"
DREAM = """
import torch.nn.functional as F
from nbvis import DreamCanvas, demo
photo = F.interpolate(demo.photo("chelsea"), scale_factor=2, mode="bicubic", antialias=True).clamp(0, 1)
canvas = DreamCanvas(demo.network(), photo, layer="_blocks.9", octaves=5, steps=8)
canvas
"""
SALIENCY = """
from nbvis import SaliencyView, demo
options = {"view": "absolute", "overlay": "blend", "window": 32}
view = SaliencyView(demo.network(), demo.photo("coffee", size=224), compare=["grad_cam"], **options)
view
"""


def dreamt(panel: Panel) -> None:
    """The whole run."""
    panel.play.click()
    expect(panel.root.locator(".chip i.finished")).to_be_visible(timeout=300_000)
    panel.rests()


def checked(panel: Panel) -> None:
    """The maps with both of their checks."""
    for button, when_done in (("Measure", "Measure again"), ("Run the check", "Run again")):
        panel.root.get_by_role("button", name=button, exact=True).click()
        done = panel.root.get_by_role("button", name=when_done, exact=True)
        expect(done).to_be_visible(timeout=300_000)


PICTURES: dict[str, tuple[str, str, Callable[[Panel], None]]] = {
    "dream_canvas": (DREAM, "canvas", dreamt),
    "saliency_view": (SALIENCY, "canvas[data-pane=input]", checked),
}
"""By file: the cell, which picture to wait for, and what to do before."""


def main(names: Sequence[str]) -> None:
    """Makes the pictures and says where they are.

    Args:
        names: which; all if there are none.
    """
    with running_lab() as lab, sync_playwright() as playwright:
        browser = launch(playwright)
        page = browser.new_page(viewport={"width": 1120, "height": 1400}, device_scale_factor=2)
        for name in names or PICTURES:
            cell, canvas, prepare = PICTURES[name]
            notebook = Notebook(lab, page, lab.write(name, cell))
            notebook.run(0)
            panel = Panel(page, page.locator(".nbvis"), canvas)
            prepare(panel)
            page.mouse.move(0, 0)
            shot = Image.open(io.BytesIO(panel.root.screenshot()))
            notebook.close()
            notebook.disconnect()
            file = FOLDER / f"{name}.jpg"
            shot.convert("RGB").save(file, quality=85, subsampling=0, optimize=True)
            print(f"{file}: {shot.width} × {shot.height}, {file.stat().st_size / 1000:.0f} KB")
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1:])
