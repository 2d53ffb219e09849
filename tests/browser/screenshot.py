"""The README's picture: `python -m tests.browser.screenshot` makes it, with the real widget in JupyterLab."""

import io
from pathlib import Path

from PIL import Image
from playwright.sync_api import expect, sync_playwright

from tests.browser.lab import Notebook, Panel, launch, running_lab

FILE = Path(__file__).parents[2] / "notebooks" / "dream_canvas.jpg"
MAKE = """
import torch.nn.functional as F
from nbvis import DreamCanvas, demo
photo = F.interpolate(demo.photo("chelsea"), scale_factor=2, mode="bicubic", antialias=True).clamp(0, 1)
canvas = DreamCanvas(demo.network(), photo, layer="_blocks.9", octaves=5, steps=8)
canvas
"""


def main() -> None:
    """Makes the picture and says where it is."""
    with running_lab() as lab, sync_playwright() as playwright:
        browser = launch(playwright)
        page = browser.new_page(viewport={"width": 1120, "height": 1000}, device_scale_factor=2)
        notebook = Notebook(lab, page, lab.write("screenshot", MAKE))
        notebook.run(0)
        panel = Panel(page, page.locator(".nbvis"))
        panel.play.click()
        expect(panel.root.locator(".chip i.finished")).to_be_visible(timeout=300_000)
        panel.rests()
        page.mouse.move(0, 0)
        shot = Image.open(io.BytesIO(panel.root.screenshot()))
        notebook.disconnect()
        browser.close()
    shot.convert("RGB").save(FILE, quality=85, subsampling=0, optimize=True)
    print(f"{FILE}: {shot.width} × {shot.height}, {FILE.stat().st_size / 1000:.0f} KB")


if __name__ == "__main__":
    main()
