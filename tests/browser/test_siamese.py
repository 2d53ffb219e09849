"""A network that compares two pictures, on the panel: the pair side by side, and one of the two changed at a time."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from playwright.sync_api import Locator, Page, expect
from torch import Tensor, nn

from nbvis import LayerExplorer
from nbvis.engine import Network, halves
from tests.browser.hosts import DARK, show
from tests.browser.lab import becomes, stands, until
from tests.browser.test_inputs import carry, chooser, encoded, shows

New = Callable[..., Page]
Shot = Callable[[str, Page | Locator], None]

BOX = """(part) => {
  const own = part.getBoundingClientRect(), all = part.parentElement.getBoundingClientRect();
  return [(own.left - all.left) / all.width, own.width / all.width].map((share) => Math.round(32 * share));
}"""
"""Left edge and width, in pixels of the pair."""


class Siamese(nn.Module):
    """Shared weights, and a layer that sees both pictures."""

    def __init__(self):
        super().__init__()
        self.first, self.relu, self.second = nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 8, 2, 2)
        self.apart, self.head = nn.Conv2d(8, 4, 1), nn.Linear(4, 2)

    def branch(self, images: Tensor) -> Tensor:
        return self.second(self.relu(self.first(images)))

    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        return self.head(self.apart(self.branch(one) - self.branch(other)).relu().mean((2, 3)))


@pytest.fixture
def explorer() -> Iterator[LayerExplorer]:
    torch.manual_seed(0)
    network = Network(Siamese(), labels=["same", "another"], pair="inputs", device="cpu")
    ramp = torch.linspace(0, 1, 16).expand(1, 3, 16, 16).clone()
    made = LayerExplorer(network, (ramp, ramp.mT.contiguous()), layer="second", channel=1)
    yield made
    made.close()


def part(panel: Locator, key: str) -> Locator:
    return panel.locator(f"figure[data-key={key}]:not(.empty, .stale) canvas")


def click(place: Locator, across: float, down: float) -> None:
    # What comes late may move what is below it.
    expect(place.page.locator(".nbvis[data-shown=finished] .chip i.finished")).to_be_visible()
    box = stands(place.bounding_box, place.page, "the picture")
    place.click(position={"x": across * box["width"], "y": down * box["height"]})


def boxes(panel: Locator, name: str) -> list[list[int]]:
    return panel.locator(f"{name}:visible").evaluate_all(f"(parts) => parts.map({BOX})")


@pytest.mark.parametrize("dark", [False, True])
def test_a_place_in_either_picture_is_chosen_and_what_it_sees_is_marked(
    explorer: LayerExplorer, dark: bool, new_page: New, shot: Shot
) -> None:
    page = new_page(380 if dark else 1280, 1400 if dark else 1000)
    panel = show(page, explorer)
    if dark:
        page.evaluate(DARK["JupyterLab"])
    expect(part(panel, "layer")).to_be_visible()
    expect(panel.locator("[data-layer=second]")).to_contain_text("2 × 8 × 8²")
    expect(panel.get_by_text("8 channels of 8 × 16, both pictures side by side")).to_be_visible()
    click(part(panel, "input"), (16 + 4.5) / 32, 6.5 / 16)
    becomes(lambda: explorer.place, [3, 10], page, "place")
    becomes(lambda: boxes(panel, ".box"), [[19, 4]], page, "what it sees")
    becomes(lambda: boxes(panel, ".here"), [[20, 2]], page, "the place")
    click(part(panel, "channel"), 2.5 / 16, 3.5 / 8)
    becomes(lambda: explorer.place, [3, 2], page, "place")
    becomes(lambda: boxes(panel, ".box"), [[3, 4]], page, "what it sees")
    shot(f"siamese-{'dark' if dark else 'light'}", page)


def test_a_layer_that_sees_both_pictures_marks_its_place_in_both(
    explorer: LayerExplorer, new_page: New, shot: Shot
) -> None:
    explorer.layer = "apart"
    page = new_page()
    panel = show(page, explorer)
    expect(part(panel, "layer")).to_be_visible()
    click(part(panel, "input"), (16 + 4.5) / 32, 6.5 / 16)
    becomes(lambda: explorer.place, [3, 2], page, "place")
    becomes(lambda: boxes(panel, ".box"), [[3, 4], [19, 4]], page, "what it sees")
    becomes(lambda: boxes(panel, ".here"), [[8, 4]], page, "the place")  # the map alone is half as wide as the pair
    explorer.overlay = "active"
    becomes(lambda: boxes(panel, ".here"), [[4, 2], [20, 2]], page, "the place over both pictures")
    click(part(panel, "channel"), (16 + 8.5) / 32, 6.5 / 16)
    becomes(lambda: explorer.place, [3, 4], page, "place")
    shot("siamese-both", page)


def test_the_picture_that_is_changed_is_chosen(explorer: LayerExplorer, new_page: New) -> None:
    page = new_page()
    panel = show(page, explorer)
    before = halves(explorer.image)
    group = panel.get_by_role("group", name="Replaces")
    expect(group.get_by_role("button", name="First")).to_have_attribute("aria-pressed", "true")
    group.get_by_role("button", name="Second").click()
    white = encoded(np.full((16, 16, 3), 255, np.uint8))
    carry(panel, "drop", white, "white.png")
    shows(panel, "white.png")
    until(lambda: bool((halves(explorer.image)[1] == 1).all()), page, "the second picture is white")
    assert torch.equal(halves(explorer.image)[0], before[0])
    group.get_by_role("button", name="First").click()
    carry(panel, "paste", white)
    shows(panel, "pasted")
    until(lambda: bool((explorer.image == 1).all()), page, "both pictures are white")


def test_single_pictures_have_no_choice_of_which_is_changed(new_page: New) -> None:
    explorer = LayerExplorer(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), torch.rand(1, 3, 16, 16))
    panel = show(new_page(), explorer)
    expect(chooser(panel)).to_be_visible()
    expect(panel.get_by_role("group", name="Replaces")).to_be_hidden()
    explorer.close()
