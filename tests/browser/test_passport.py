"""A reader looks at what a channel stands for: its passport follows the selection, however that is made."""

import re
from collections.abc import Callable

import pytest
import torch
from playwright.sync_api import Locator, Page, expect
from torch import nn

from nbvis import LayerExplorer
from tests.browser.hosts import show
from tests.browser.lab import Notebook, Panel, until
from tests.browser.test_layer_explorer import FROM_PNG, Explorer

MAKE = """
from torch.utils.data import DataLoader
from nbvis import ActivationStats, LayerExplorer, demo, link
from nbvis.engine import collect
network, crops = demo.network("cpu"), demo.crops(14, size=112)
statistics = collect(network, DataLoader(crops, batch_size=7), layers=["_blocks.5", "_blocks.6"])
explorer = LayerExplorer(network, demo.photo("chelsea", size=112), statistics, crops, layer="_blocks.5", channel=21)
explorer
"""
LINKED = """
stats = ActivationStats(network, crops, statistics, layer="_blocks.5")
linked = link(explorer, stats)
stats
"""
PNG = "__import__('base64').b64encode(explorer._painter.plain(object(), {}).sent).decode()"
DREAM = "__import__('nbvis.sessions', fromlist=['']).picture(explorer.dreamt)"
STRIP = "__import__('nbvis.widgets.statistics_painting', fromlist=['']).atlas([{}], 128)"

Open = Callable[..., Notebook]
Shot = Callable[[str, Page | Locator], None]


class Passport:
    """The passport on a LayerExplorer's panel."""

    def __init__(self, panel: Panel):
        self.page = panel.page
        self.root = panel.root.locator(".passport")
        self.dream, self.patches = self.root.locator(".dream canvas"), self.root.locator(".patches")

    def is_of(self, unit: str) -> None:
        """Waits until all of it is that of a channel."""
        expect(self.root.locator("summary code")).to_have_text(unit)
        expect(self.patches).to_have_attribute("data-of", f"{unit} true")
        expect(self.root.locator(".dream .sub")).to_have_text(re.compile("^score "))
        expect(self.dream).to_have_attribute("data-of", unit)

    def shows(self, canvas: Locator, data: str) -> None:
        """Waits until a canvas shows a PNG."""
        until(lambda: canvas.evaluate(FROM_PNG, data) == 0, self.page, "the picture that Python has painted")


def opened(open_notebook: Open, *cells: str) -> tuple[Explorer, Passport]:
    notebook = open_notebook(MAKE, *cells)
    notebook.run(0)
    panel = Explorer(notebook)
    passport = Passport(panel)
    passport.is_of("_blocks.5:21")
    return panel, passport


def test_it_follows_the_mouse_and_the_keyboard_with_pictures_that_are_right(open_notebook: Open, shot: Shot) -> None:
    panel, passport = opened(open_notebook)
    kernel = panel.notebook.kernel
    panel.canvas.focus()
    panel.page.keyboard.press("ArrowRight")
    panel.page.keyboard.press("ArrowRight")
    passport.is_of("_blocks.5:23")
    panel.page.mouse.click(*panel.middle(12))
    passport.is_of("_blocks.5:12")
    panel.item("_blocks.6").click()
    passport.is_of("_blocks.6:12")
    passport.shows(passport.dream, kernel(PNG.format(DREAM)))
    for at in (0, 8):
        tile = passport.patches.locator("> div").nth(at).locator("canvas")
        guided = "explorer._passport_scene()._guided"
        passport.shows(tile.nth(0), kernel(PNG.format(STRIP.format(f"explorer.patches[{at}].seen"))))
        passport.shows(tile.nth(1), kernel(PNG.format(STRIP.format(f"{guided}[{at}]"))))
    value, image = kernel("(explorer.patches[0].value, explorer.patches[0].image)")
    label = passport.patches.locator("canvas").first.get_attribute("aria-label") or ""
    found = re.fullmatch(r"Patch 1 of 9: ([\d.]+), in image (\d+)", label)
    assert found and float(found[1]) == pytest.approx(value, rel=1e-2) and int(found[2]) == image
    expect(passport.root.locator(".facts dd").first).to_have_text(
        kernel("f\"{statistics['_blocks.6'].mean[12]:.3g}\".replace('-', '−')")
    )
    shot("passport", panel.page)


def test_an_image_is_seen_growing_until_another_channel_is_chosen(open_notebook: Open) -> None:
    panel, passport = opened(open_notebook)
    for channel in (40, 41):
        panel.notebook.kernel(f"setattr(explorer, 'channel', {channel})")
        panel.page.wait_for_function(
            "([root, unit]) => root.querySelector('.dream canvas').dataset.of === unit"
            " && /^\\d+ of 64 · score /.test(root.querySelector('.dream .sub').textContent)",
            arg=[passport.root.element_handle(), f"_blocks.5:{channel}"],
        )  # with each frame of the screen, for it is soon grown
    passport.is_of("_blocks.5:41")
    panel.notebook.gives("explorer._session.get(explorer._bearer()._replace(channel=40).key('dream'))", None)
    panel.notebook.kernel("setattr(explorer, 'channel', 21)")  # it is kept
    passport.is_of("_blocks.5:21")


def test_a_click_on_a_correlate_goes_there(open_notebook: Open) -> None:
    panel, passport = opened(open_notebook)
    first = panel.notebook.kernel(
        "statistics['_blocks.5'].correlation[21].abs().nan_to_num(0).argsort(descending=True)[1].item()"
    )
    mate = passport.root.locator(".mates button").first
    expect(mate).to_have_text(re.compile(rf"^Channel {first}, r = "))
    mate.click()
    panel.notebook.gives("explorer.channel", first)
    passport.is_of(f"_blocks.5:{first}")


def test_it_follows_a_channel_that_is_chosen_in_linked_statistics(open_notebook: Open, shot: Shot) -> None:
    notebook = open_notebook(MAKE, LINKED)
    notebook.run(0)
    notebook.run(1)
    panel = Panel(notebook.page, notebook.page.locator(".layer-explorer"), "canvas[data-pane='layer']")
    stats, passport = notebook.page.locator(".activation-stats"), Passport(panel)
    passport.is_of("_blocks.5:21")
    stats.locator(".tiles button").nth(7).click()
    notebook.gives("explorer.unit", ("_blocks.5", 7))
    passport.is_of("_blocks.5:7")
    stats.locator("[data-layer='_blocks.6']").click()
    passport.is_of("_blocks.6:7")
    shot("passport-linked", notebook.page)


def test_it_is_folded_and_looked_at_part_by_part_with_mouse_and_keys(open_notebook: Open, shot: Shot) -> None:
    panel, passport = opened(open_notebook)
    press, gives = panel.page.keyboard.press, panel.notebook.gives
    papers, heading = passport.root.locator(".papers"), passport.root.locator("summary")
    heading.click()
    gives("explorer.passport", False)
    expect(papers).to_be_hidden()
    panel.canvas.focus()
    press("ArrowRight")
    gives("explorer.channel", 22)
    expect(panel.root.locator("figure[data-key=channel] .title")).to_have_text(re.compile("^Channel 22"))
    panel.settles()
    gives("explorer._session.get(explorer._bearer().key('dream'))", None)
    press("9")
    gives("explorer.passport", True)
    passport.is_of("_blocks.5:22")
    parts = [".dream", ".real", ".habits", ".together"]
    for shown in [*([part] for part in parts), parts, [".together"]]:
        press("S" if shown == [".together"] and passport.root.get_by_text("All", exact=True).get_attribute(
            "aria-pressed") == "true" else "s")  # fmt: skip
        for part in parts:
            expect(papers.locator(f"{part}")).to_be_visible(visible=part in shown)
    passport.root.get_by_role("button", name="Patches").click()
    expect(papers.locator(".habits")).to_be_hidden()
    expect(passport.patches).to_be_visible()
    shot("passport-patches", panel.page)
    press("9")
    expect(papers).to_be_hidden()
    heading.focus()
    press("Enter")
    expect(papers).to_be_visible()


def test_without_statistics_the_optimised_image_stands_beside_what_to_give(new_page: Callable[..., Page]) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU())
    widget = LayerExplorer(net, torch.rand(1, 3, 40, 60), layer="1", channel=2)
    panel = show(new_page(), widget)
    expect(panel.locator(".dream canvas")).to_have_attribute("data-of", "1:2")
    expect(panel.locator(".dream .sub")).to_have_text(re.compile("^score "))
    missing = panel.locator(".missing")
    expect(missing).to_have_text(re.compile("^Its real patches, histogram and correlates come from statistics"))
    expect(missing.locator("code")).to_have_text("LayerExplorer(network, image, collect(network, batches), batches)")
    expect(panel.locator(".papers .histogram, .papers .mates")).to_have_count(2)
    for part in (".papers .histogram", ".papers .mates", ".passport .choice"):
        expect(panel.locator(part)).to_be_hidden()
    widget.close()
