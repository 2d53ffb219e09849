"""In JupyterLab: another image for a panel that is open, and what the network's own code said as it failed."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.lab import Notebook, Panel

Open = Callable[..., Notebook]
Shot = Callable[[str, Page | Locator], None]

NETWORK = """
import numpy as np, torch
from torch import nn
from nbvis import DreamCanvas, DropoutInverter
torch.manual_seed(0)
network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Dropout(0.5), nn.Conv2d(8, 8, 3))
wide = np.random.default_rng(0).integers(0, 256, (60, 120, 3), dtype=np.uint8)
"""
MAKE = {
    "DreamCanvas": "widget = DreamCanvas(network, wide, octaves=1, steps=3)\nwidget",
    "DropoutInverter": "widget = DropoutInverter(network, wide, steps=3, tolerance=1e-8)\nwidget",
}
CANVAS = {"DreamCanvas": "canvas", "DropoutInverter": "canvas[data-picture=original]"}


@pytest.mark.parametrize("name", list(MAKE))
def test_another_image_takes_the_place_of_the_old_one_on_the_open_panel(open_notebook: Open, shot: Shot, name: str):
    notebook = open_notebook(NETWORK + MAKE[name], "widget.image = wide.transpose(1, 0, 2)")
    notebook.run(0)
    panel = Panel(notebook.page, notebook.page.locator(".nbvis"), CANVAS[name])
    stage = panel.root.locator(".stage:visible").first
    panel.play.click()
    panel.state("finished")

    def shape(wanted: float) -> None:
        expect(stage).to_have_css("aspect-ratio", re.compile(rf"^{wanted:g} / 1$"))

    shape(2)
    notebook.run(1)
    panel.state("ready")
    shape(0.5)
    if name == "DropoutInverter":
        expect(panel.root.locator(".pictures .instead:visible")).to_have_count(2)
        expect(panel.root.locator(".pictures figcaption").last).to_have_text("Difference")
    shot(f"another-image-{name}", notebook.page)
    panel.play.click()
    panel.state("finished")
    if name == "DropoutInverter":
        expect(panel.root.locator(".pictures .instead:visible")).to_have_count(0)


FRAGILE = """
import torch
from torch import nn
from nbvis import DreamCanvas
from nbvis.engine import activity
class Fragile(nn.Module):
    def __init__(self):
        super().__init__()
        self.part, self.table = nn.Conv2d(3, 4, 3), {"weights": 1.0}
    def forward(self, x):
        return self.part(x) * self.table["weights"]
network = Fragile()
canvas = DreamCanvas(network, torch.rand(3, 64, 64), activity(""), octaves=1, steps=2)
canvas
"""


def test_the_traceback_of_a_network_that_fails_is_there_for_whoever_asks(open_notebook: Open, shot: Shot) -> None:
    notebook = open_notebook(FRAGILE, "del network.table['weights']", "network.table['weights'] = 1.0")
    notebook.run(0)
    panel = Panel(notebook.page, notebook.page.locator(".nbvis"))
    panel.state("ready")
    notebook.run(1)
    panel.play.click()
    panel.state("error")
    expect(panel.root.get_by_role("alert")).to_contain_text("KeyError")
    asked = panel.root.get_by_text("The network's own traceback")
    pre = panel.root.locator(".traceback pre")
    expect(pre).to_be_hidden()
    asked.click()
    expect(pre).to_be_visible()
    expect(pre).to_contain_text('return self.part(x) * self.table["weights"]')
    expect(pre).to_contain_text("KeyError: 'weights'")
    shot("traceback", notebook.page)
    notebook.run(2)
    panel.play.click()
    panel.state("finished")
    expect(asked).to_have_count(0)
