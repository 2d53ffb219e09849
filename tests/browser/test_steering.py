"""A control shows what it does: also after the end, on a slow network, and when the network is not what it was."""

import re
import threading
from collections.abc import Callable, Iterator

import pytest
import torch
from playwright.sync_api import Locator, Page, expect
from torch import nn

from nbvis import DreamCanvas
from tests.browser.hosts import heard, show
from tests.browser.lab import SCRIPT, Notebook, Panel, until

LONG = 60.0
OTHER = "made with other settings than the panel shows"

New = Callable[..., Page]
Open = Callable[..., Notebook]
Shot = Callable[[str, Page | Locator], None]


class Turnstile(nn.Module):
    """Lets a pass through when it may, and says when one has come."""

    def __init__(self) -> None:
        super().__init__()
        self.may, self.came = threading.Event(), threading.Event()
        self.may.set()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.came.set()
        assert self.may.wait(LONG)
        return images


@pytest.fixture
def turnstile() -> Iterator[Turnstile]:
    made = Turnstile()
    yield made
    made.may.set()


@pytest.fixture
def canvas(turnstile: Turnstile) -> Iterator[DreamCanvas]:
    torch.manual_seed(0)
    network = nn.Sequential(turnstile, nn.Conv2d(3, 8, 5), nn.ReLU(), nn.Conv2d(8, 8, 5))
    image = torch.rand(1, 3, 48, 64, generator=torch.Generator().manual_seed(0))
    made = DreamCanvas(network, image, layer="1", octaves=2, steps=4, jitter=2, lr=0.05)
    assert made.wait(LONG)
    yield made
    made.close()


def opened(canvas: DreamCanvas, new_page: New) -> Panel:
    """The panel, once it knows what the network takes."""
    page = new_page()
    page.add_init_script(SCRIPT)
    page.goto("about:blank")
    panel = Panel(page, show(page, canvas))
    assert canvas._trial and canvas._trial.wait(LONG)
    return panel


def anew(panel: Panel, act: Callable[[], None]) -> list[int]:
    """The picture at the end of the run that an act begins."""
    frame = panel.frame()
    act()
    panel.where("canvas.dataset.frame > given", frame)
    panel.state("finished")
    panel.rests()
    return panel.thumb()


def layer(panel: Panel) -> None:
    """Picks another layer."""
    panel.root.get_by_role("combobox", name="Layer").click()
    panel.root.get_by_role("option", name="3 Conv2d").click()


def typed(panel: Panel, label: str, value: str) -> None:
    """Types a number."""
    panel.field(label).fill(value)
    panel.page.keyboard.press("Enter")


CHANGES: dict[str, tuple[Callable[[Panel], None], str]] = {
    "layer": (layer, "activity('3')"),
    "channel": (lambda panel: panel.root.get_by_role("button", name="One channel").click(), "channel('1', 0)"),
    "rate": (lambda panel: typed(panel, "Learning rate", "0.3"), "activity('1')"),
    "octaves": (lambda panel: typed(panel, "Octaves", "1"), "activity('1')"),
    "start": (lambda panel: panel.root.get_by_role("button", name="Noise").click(), "activity('1')"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_after_the_end_makes_the_picture_anew(change: str, canvas: DreamCanvas, new_page: New) -> None:
    panel = opened(canvas, new_page)
    before = anew(panel, panel.play.click)
    act, objective = CHANGES[change]
    made = anew(panel, lambda: act(panel))
    panel.differs(before)
    expect(panel.canvas).to_have_attribute("aria-label", re.compile(re.escape(f"Dream of {objective}, ")))
    expect(panel.root.locator(".sentences .note")).to_have_count(0)
    anew(panel, panel.root.get_by_role("button", name="Restart").click)
    panel.is_again(made)


def test_a_change_from_python_is_offered(canvas: DreamCanvas, new_page: New) -> None:
    panel = opened(canvas, new_page)
    before = anew(panel, panel.play.click)
    canvas.layer = "3"
    expect(panel.root.locator(".sentences .note")).to_contain_text(f"{OTHER}: Play takes these.")
    panel.is_again(before)
    anew(panel, panel.play.click)
    panel.differs(before, by=0)
    expect(panel.root.locator(".sentences .note")).to_have_count(0)


def test_pausing_is_said_at_once_on_a_slow_network(
    canvas: DreamCanvas, turnstile: Turnstile, new_page: New, shot: Shot
) -> None:
    panel = opened(canvas, new_page)
    turnstile.may.clear()
    turnstile.came.clear()
    panel.play.click()
    panel.state("running")
    assert turnstile.came.wait(LONG)
    panel.play.click()
    expect(panel.status).to_have_text("Pausing after this step…")
    expect(panel.play).to_have_text("Go on")
    shot("pausing", panel.root)
    assert canvas.state == "running"
    turnstile.may.set()
    panel.state("paused")
    expect(panel.status).to_contain_text("step 1 of 8")


def test_the_sliders_of_octaves_offer_only_what_works(canvas: DreamCanvas, new_page: New) -> None:
    panel = opened(canvas, new_page)
    for label in ("Octave scale", "Octaves", "Octave scale", "Octaves"):
        slider = panel.slider(label)
        slider.focus()
        slider.press("End")
        expect(slider).to_have_value("1")
        heard(panel.page, canvas)  # what the others offer now
    assert canvas.octaves < 8
    anew(panel, panel.play.click)
    expect(panel.root.get_by_role("alert")).to_have_count(0)
    anew(panel, lambda: panel.slider("Octaves").press("Home"))
    for key in ("Home", "End"):
        anew(panel, lambda key=key: panel.slider("Octave scale").press(key))
    expect(panel.field("Octave scale")).to_have_value("2")
    expect(panel.root.get_by_role("alert")).to_have_count(0)


def test_a_value_of_many_digits_is_readable_and_stays_exact(canvas: DreamCanvas, new_page: New) -> None:
    panel = opened(canvas, new_page)
    canvas.lr = 0.1234567
    field = panel.field("Learning rate")
    expect(field).to_have_value("0.1235")
    expect(panel.slider("Learning rate")).to_have_attribute("aria-valuetext", "0.1235")
    field.press("Enter")
    typed(panel, "Steps per octave", "5")
    until(lambda: canvas.steps == 5, panel.page, "the steps")  # what was sent before has come too
    assert canvas.lr == 0.1234567
    typed(panel, "Learning rate", "0.25")
    until(lambda: canvas.lr == 0.25, panel.page, "the learning rate")


NETWORK = """
import torch
from torch import nn
from nbvis import DreamCanvas, DropoutInverter, SaliencyView
torch.manual_seed(0)
network = nn.Sequential(
    nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Dropout(0.5), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4)
)
image = torch.rand(1, 3, 48, 64)
"""
TRAINED = "with torch.no_grad():\n    network[0].weight.mul_(2)"
MAKE = {
    "DreamCanvas": "widget = DreamCanvas(network, image, octaves=1, steps=2)\nwidget",
    "DropoutInverter": "widget = DropoutInverter(network, image, steps=2)\nwidget",
    "SaliencyView": "widget = SaliencyView(network, image)\nwidget",
}


@pytest.mark.parametrize("name", MAKE)
def test_what_a_network_showed_before_it_was_trained_says_so(open_notebook: Open, name: str, shot: Shot) -> None:
    notebook = open_notebook(NETWORK + MAKE[name], TRAINED)
    notebook.run(0)
    panel = notebook.page.locator(".nbvis")
    if name != "SaliencyView":
        panel.get_by_role("button", name="Play").click()
    expect(panel.locator(".chip i.finished")).to_be_visible()
    note = panel.get_by_text("The network has changed since")
    expect(note).to_have_count(0)
    notebook.run(1)
    expect(note.first).to_be_visible()
    shot(f"trained-{name}", notebook.page)
    panel.get_by_role("button", name="Restart" if name != "SaliencyView" else "Compute").first.click()
    expect(note).to_have_count(0)
    expect(panel.locator(".chip i.finished")).to_be_visible()
