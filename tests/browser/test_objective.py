"""The objective on the panel: a formula that is typed, terms that are weighed and left out, and two ways to draw."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from PIL import Image
from playwright.sync_api import Locator, Page, expect
from torch import nn

from nbvis import DreamCanvas
from nbvis.engine import Network
from tests.browser.lab import Panel, until
from tests.browser.test_steering import opened

LONG = 60.0
LABELS = ["crane", "tabby", "tiger cat", "flamingo"]

New = Callable[..., Page]


@pytest.fixture
def canvas() -> Iterator[DreamCanvas]:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 8, 5), nn.ReLU(), nn.Conv2d(8, 8, 5), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4)
    )
    image = torch.rand(1, 3, 48, 64, generator=torch.Generator().manual_seed(0))
    made = DreamCanvas(Network(network, labels=LABELS), image, layer="0", octaves=1, steps=4, jitter=2, lr=0.05)
    assert made.wait(LONG) and made._trial and made._trial.wait(LONG)
    yield made
    made.close()


def field(panel: Panel) -> Locator:
    return panel.root.get_by_role("combobox", name="Formula")


def rows(panel: Panel) -> Locator:
    return panel.root.locator(".term")


def test_a_formula_is_completed_as_one_types_and_taken_with_enter(canvas: DreamCanvas, new_page: New) -> None:
    panel = opened(canvas, new_page)
    expect(field(panel)).to_have_value("activity('0')")
    field(panel).fill("logit[fla")
    expect(panel.root.get_by_role("option")).to_have_text(["flamingo"])
    field(panel).press("Tab")
    expect(field(panel)).to_have_value("logit[flamingo")
    field(panel).press_sequentially("] - '2'[3]")
    field(panel).press("Enter")
    until(lambda: canvas.expression == "logit(3) - channel('2', 3)", panel.page, "the formula is taken")
    expect(field(panel)).to_have_value("logit[3] - '2'[3]")
    expect(rows(panel)).to_have_count(2)
    expect(rows(panel).first).to_contain_text("flamingo")
    expect(panel.root.locator(".wrong")).to_be_hidden()


def test_a_mistake_is_pointed_at_and_what_was_typed_stays(canvas: DreamCanvas, new_page: New) -> None:
    panel = opened(canvas, new_page)
    field(panel).fill("'0'[1] + '7'[2]")
    field(panel).press("Enter")
    expect(panel.root.locator(".wrong mark")).to_have_text("'7'")
    expect(panel.root.locator(".wrong")).to_contain_text("no layer '7'")
    expect(field(panel)).to_have_attribute("aria-invalid", "true")
    expect(field(panel)).to_have_value("'0'[1] + '7'[2]")
    assert canvas.expression == "activity('0')"
    field(panel).press("Escape")
    expect(field(panel)).to_have_value("activity('0')")
    expect(panel.root.locator(".wrong")).to_be_hidden()


def test_a_weight_that_is_moved_acts_on_the_run(canvas: DreamCanvas, new_page: New) -> None:
    canvas.formula, canvas.endless = "'0'[1] + '2'[3]", True
    panel = opened(canvas, new_page)
    panel.play.click()
    panel.frames(2)
    weight = panel.root.get_by_role("slider", name="Weight of '2'[3]")
    weight.fill("1")
    until(lambda: canvas.weights == [1.0, 2.0], panel.page, "the weight is taken")
    panel.frames(2)
    expect(panel.root.get_by_role("spinbutton", name="Weight of term 2, value")).to_have_value("2")
    panel.root.get_by_role("slider", name="Mix").fill("0.5")
    until(lambda: canvas.weights == [1.5, 1.5], panel.page, "both weigh the same")
    session = canvas._session
    until(lambda: any("objective" in changed for _, changed in session.changes), panel.page, "the run takes it")
    assert session.origin["objective"] is not canvas.objective


def test_terms_are_added_selected_and_left_out(canvas: DreamCanvas, new_page: New, tmp_path: Path) -> None:
    panel = opened(canvas, new_page)
    panel.root.get_by_role("button", name="+ Layer or channel").click()
    expect(rows(panel)).to_have_count(2)
    expect(rows(panel).nth(1).locator(".term-name")).to_have_attribute("aria-pressed", "true")
    panel.root.get_by_role("button", name="One channel").click()
    panel.root.get_by_role("button", name="+ Class").click()
    panel.root.get_by_role("combobox", name="Class").fill("tiger")
    panel.root.get_by_role("combobox", name="Class").press("Enter")
    until(lambda: canvas.formula == "activity('0') + '0'[0] + logit[2]", panel.page, "the class is added")
    rows(panel).first.locator(".term-name").click()
    until(lambda: canvas.unit == ("0", None), panel.page, "the first term is selected")
    Image.new("RGB", (40, 30), "red").save(tmp_path / "red.png")
    panel.root.locator("input[type=file][accept='image/*']").last.set_input_files(tmp_path / "red.png")
    expect(rows(panel)).to_have_count(4)
    expect(rows(panel).nth(3)).to_contain_text("guide('0', reference)")
    rows(panel).nth(1).get_by_role("button", name=re.compile("Leave out")).click()
    until(lambda: canvas.formula == "activity('0') + logit[2]", panel.page, "a term is left out")
    expect(rows(panel)).to_have_count(3)


def test_out_of_noise_a_class_is_drawn(canvas: DreamCanvas, new_page: New) -> None:
    canvas.formula, canvas.side, canvas.updates = "logit[flamingo]", 40, 5
    panel = opened(canvas, new_page)
    expect(panel.slider("Octaves")).to_be_visible()
    panel.root.get_by_role("button", name="Visualise").click()
    expect(panel.slider("Octaves")).to_be_hidden()
    expect(panel.slider("Weight noise")).to_be_visible()
    until(lambda: canvas.size == [40, 40], panel.page, "the picture has the size of a visualisation")
    panel.play.click()
    panel.state("finished")
    panel.rests()
    expect(panel.canvas).to_have_attribute("aria-label", re.compile(r"Visualisation of logit\(3\), step 5 of 5"))
    panel.root.get_by_role("combobox", name="Recipe").select_option("yosinski 3")
    expect(panel.slider("Weight noise")).to_be_hidden()
    until(lambda: canvas._session.options["preset"] == "yosinski 3", panel.page, "the recipe is taken")
    panel.root.get_by_role("button", name="Dream", exact=True).click()
    until(lambda: canvas.size == [48, 64], panel.page, "the dream has the photograph's size")


def test_from_a_grid_of_channels_one_is_made_large(canvas: DreamCanvas, new_page: New) -> None:
    canvas.tiles, canvas.tile, canvas.updates, canvas.side = 6, 32, 3, 40
    panel = opened(canvas, new_page)
    panel.root.get_by_role("button", name="Channels", exact=True).click()
    tiles = panel.root.get_by_role("group", name="Channels").get_by_role("button")
    expect(tiles).to_have_count(6)
    expect(field(panel)).to_be_hidden()
    panel.play.click()
    panel.state("finished")
    panel.rests()
    panel.root.get_by_role("button", name="Next page").click()
    expect(tiles).to_have_text(["", ""])
    expect(tiles.first).to_have_accessible_name("Channel 6")
    tiles.first.focus()
    panel.page.keyboard.press("ArrowRight")
    expect(tiles.nth(1)).to_be_focused()
    panel.page.keyboard.press("Enter")
    until(lambda: canvas.expression == "channel('0', 7)" and canvas.mode == "visualise", panel.page, "it is chosen")
    expect(tiles.first).to_be_hidden()
    panel.rests()
    until(lambda: canvas.result.shape == (1, 3, 40, 40), panel.page, "it is large")
