"""The README's pictures, of the widgets in JupyterLab: `python -m tests.browser.screenshot [name …]` makes them."""

import io
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image
from playwright.sync_api import Locator, expect, sync_playwright

from tests.browser.lab import Notebook, Panel, launch, running_lab

FOLDER = Path(__file__).parents[2] / "notebooks"
DREAM = """
import torch.nn.functional as F
from nbvis import DreamCanvas, demo
photo = F.interpolate(demo.photo("chelsea"), scale_factor=2, mode="bicubic", antialias=True).clamp(0, 1)
canvas = DreamCanvas(demo.network(), photo, octaves=5, steps=8, formula="activity(_blocks.9) + 0.6*_blocks.13[37]")
canvas
"""
SALIENCY = """
from nbvis import SaliencyView, demo
options = {"view": "absolute", "overlay": "blend", "window": 32}
view = SaliencyView(demo.network(), demo.photo("coffee", size=224), compare=["grad_cam"], **options)
view
"""
EXPLORER = """
from torch.utils.data import DataLoader
from nbvis import LayerExplorer, demo
from nbvis.engine import collect
network, crops = demo.network(), demo.crops(140)
statistics = collect(network, DataLoader(crops, batch_size=14), ["_blocks.5._swish"])
options = {"layer": "_blocks.5._swish", "channel": 21, "back": "guided_backprop"}
explorer = LayerExplorer(network, demo.photo("chelsea", size=224), statistics, crops, **options)
explorer
"""
STATISTICS = """
from nbvis import ActivationStats, demo
relus = [f"_blocks.{index}._swish" for index in range(16)]
stats = ActivationStats(demo.network(), demo.crops(140), layers=relus, layer="_blocks.5._swish", channel=10)
stats
"""


def dreamt(root: Locator) -> None:
    """The whole run."""
    panel = Panel(root.page, root)
    panel.play.click()
    expect(panel.root.locator(".chip i.finished")).to_be_visible(timeout=300_000)
    panel.rests()


def checked(root: Locator) -> None:
    """The maps with both of their checks."""
    panel = Panel(root.page, root, "canvas[data-pane=input]")
    for button, when_done in (("Measure", "Measure again"), ("Run the check", "Run again")):
        panel.root.get_by_role("button", name=button, exact=True).click()
        done = panel.root.get_by_role("button", name=when_done, exact=True)
        expect(done).to_be_visible(timeout=300_000)


def collected(root: Locator) -> None:
    """The statistics, with the patches of a channel and how all of them go together."""
    root.get_by_role("button", name="Collect", exact=True).click()
    expect(root.locator(".chip i.finished")).to_be_visible(timeout=300_000)
    expect(root.locator(".patches:not([data-key='']) button")).to_have_count(9, timeout=300_000)
    expect(root.locator(".matrix canvas")).to_have_attribute("data-key", re.compile(r"\d"), timeout=300_000)


def explored(root: Locator) -> None:
    """All of the passport."""
    expect(root.locator(".passport .patches")).to_have_attribute("data-of", re.compile("true$"), timeout=300_000)
    expect(root.locator(".passport .dream .sub")).to_have_text(re.compile("^score"), timeout=300_000)
    expect(root.locator(".chip i.finished")).to_be_visible(timeout=300_000)


PICTURES: dict[str, tuple[str, Callable[[Locator], None]]] = {
    "dream_canvas": (DREAM, dreamt),
    "saliency_view": (SALIENCY, checked),
    "layer_explorer": (EXPLORER, explored),
    "activation_stats": (STATISTICS, collected),
}
"""By file: the cell, and what to do before."""


def main(names: Sequence[str]) -> None:
    """Makes the pictures and says where they are.

    Args:
        names: which; all if there are none.
    """
    with running_lab() as lab, sync_playwright() as playwright:
        browser = launch(playwright)
        page = browser.new_page(viewport={"width": 1120, "height": 1800}, device_scale_factor=2)
        for name in names or PICTURES:
            cell, prepare = PICTURES[name]
            notebook = Notebook(lab, page, lab.write(name, cell))
            page.set_default_timeout(300_000)
            notebook.run(0)
            root = page.locator(".nbvis")
            prepare(root)
            page.mouse.move(0, 0)
            shot = Image.open(io.BytesIO(root.screenshot()))
            notebook.close()
            notebook.disconnect()
            file = FOLDER / f"{name}.jpg"
            shot.convert("RGB").save(file, quality=85, subsampling=0, optimize=True)
            print(f"{file}: {shot.width} × {shot.height}, {file.stat().st_size / 1000:.0f} KB")
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1:])
