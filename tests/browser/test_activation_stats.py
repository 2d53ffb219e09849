"""A reader collects statistics in JupyterLab, finds what is wrong, and looks at what a channel answers to."""

import csv
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.lab import Notebook, becomes, run_tutorial, until

MAKE = """
import torch
from torch import nn
from nbvis import ActivationStats, demo
torch.manual_seed(0)
net = nn.Sequential(nn.Conv2d(3, 12, 5), nn.ReLU(), nn.Conv2d(12, 60, 3, stride=2), nn.ReLU6()).eval()
with torch.no_grad():
    net[0].bias[3] = -9
    net[2].bias += 0.3
stats = ActivationStats(net, demo.crops({count}, 48), layer="3"{options})
stats
"""
QUICK = MAKE.format(count=70, options="")
LONG = MAKE.format(count=3000, options="")

Open = Callable[..., Notebook]
Shot = Callable[[str, Page | Locator], None]


class Stats:
    """An ActivationStats on the page."""

    def __init__(self, notebook: Notebook, root: Locator | None = None):
        self.notebook, self.page = notebook, notebook.page
        self.root = root or notebook.page.locator(".nbvis")
        self.layers, self.tiles = self.root.get_by_role("listbox", name="Layers"), self.root.locator(".tiles button")
        self.matrix, self.readout = self.root.locator(".matrix canvas"), self.root.locator(".readout")
        self.patches = self.root.locator(".patches button")

    def button(self, name: str) -> Locator:
        """The button that is called so."""
        return self.root.get_by_role("button", name=name, exact=True)

    def says(self, word: str) -> None:
        """Waits until the state is this."""
        expect(self.root.locator(".chip")).to_have_text(re.compile(f"^{word}"))

    def layer(self, name: str) -> Locator:
        """A row of the overview."""
        return self.layers.locator(f"li[data-layer='{name}']")

    def tile(self, channel: int) -> Locator:
        """A channel on the page."""
        return self.root.locator(f".tiles button[data-channel='{channel}']")

    def shown(self) -> list[int]:
        """The channels on the page."""
        return self.tiles.evaluate_all("(tiles) => tiles.map((tile) => Number(tile.dataset.channel))")

    def drawn(self) -> None:
        """Waits until the matrix is the one that is asked for."""
        expect(self.matrix).to_have_attribute("data-key", re.compile(r"\d"))

    def at(self, row: int, column: int, count: int) -> tuple[float, float]:
        """Where a cell of the matrix is on the page."""
        self.matrix.scroll_into_view_if_needed()
        box = self.matrix.bounding_box()
        assert box is not None
        return box["x"] + (column + 0.5) / count * box["width"], box["y"] + (row + 0.5) / count * box["height"]


def collected(open_notebook: Open, cell: str = QUICK) -> Stats:
    notebook = open_notebook(cell)
    notebook.run(0)
    stats = Stats(notebook)
    stats.button("Collect").click()
    stats.says("complete")
    return stats


def test_the_tutorial_runs_from_top_to_bottom(open_notebook: Open, shot: Shot) -> None:
    notebook = run_tutorial(open_notebook, "activation_stats")
    expect(notebook.page.locator(".nbvis")).to_have_count(3)
    panels = [Stats(notebook, notebook.page.locator(".nbvis").nth(at)) for at in range(3)]
    for panel, layer in zip(panels, ("block.relu", "relu1", "_blocks.5._swish"), strict=True):
        panel.root.scroll_into_view_if_needed()
        panel.says("complete")
        expect(panel.layer(layer)).to_have_attribute("aria-selected", "true")
        expect(panel.patches).to_have_count(9)
        panel.drawn()
        shot(f"statistics-tutorial-{layer}", notebook.page)
    dead, twins, large = panels
    expect(dead.tiles.filter(has_text="dead")).to_have_count(16)
    expect(twins.root.locator(".mates button b").first).to_have_text("8")
    large.tiles.nth(1).click()
    expect(large.root.locator(".chosen h4").first).to_have_text(
        re.compile(f"^Channel {large.tiles.nth(1).get_attribute('data-channel')}")
    )


def test_it_collects_live_and_rests_and_goes_on(open_notebook: Open, shot: Shot) -> None:
    notebook = open_notebook(LONG)
    notebook.run(0)
    stats = Stats(notebook)
    stats.says("ready")
    expect(stats.root.locator(".tiles button")).to_have_count(0)
    stats.button("Collect").click()
    stats.says("collecting")
    expect(stats.tiles).to_have_count(24)
    expect(stats.layer("1")).to_contain_text("1 dead")
    first = notebook.until("stats.images")
    until(lambda: notebook.kernel("stats.images") > first, notebook.page, "it goes on")
    expect(stats.root.locator(".status")).to_contain_text("to go")
    shot("statistics-collecting", notebook.page)
    stats.tiles.first.click()
    expect(stats.patches).to_have_count(9)  # while it collects
    stats.button("Pause").click()
    stats.says("paused")
    notebook.until("stats.wait(0)")  # the batch that was on its way has come
    images = notebook.kernel("stats.images")
    assert 0 < images < 3000
    expect(stats.root.locator(".status")).to_contain_text(f"{images:,} images")
    stats.layer("1").click()
    expect(stats.root.locator(".channels .heading")).to_contain_text("ReLU · 12 × 44 × 44")
    stats.says("paused")
    notebook.gives("(stats.state, stats.images, stats.result.images)", ("paused", images, images))
    stats.root.press("Space")
    stats.says("collecting")
    notebook.until(f"stats.images > {images}")
    stats.button("Pause").click()
    stats.says("paused")


def test_a_dead_channel_is_one_click_away(open_notebook: Open, shot: Shot) -> None:
    stats = collected(open_notebook)
    stats.layer("1").click()
    expect(stats.layer("1")).to_have_attribute("aria-selected", "true")
    expect(stats.tiles).to_have_count(12)
    expect(stats.tiles.first).to_have_attribute("data-channel", "3")
    expect(stats.tile(3)).to_have_class("dead")
    expect(stats.root.locator(".findings")).to_contain_text("channel 3 of 12 gives 0 everywhere")
    stats.tile(3).click()
    expect(stats.root.locator(".chosen h4").first).to_have_text("Channel 3 · dead")
    stats.notebook.gives("stats.unit", ("1", 3))
    stats.root.press("Escape")
    expect(stats.root.locator(".chosen")).to_be_hidden()
    stats.layers.focus()
    stats.page.keyboard.press("ArrowDown")
    stats.notebook.gives("stats.layer", "2")
    shot("statistics", stats.page)


def test_channels_are_sorted_searched_and_paged(open_notebook: Open) -> None:
    stats = collected(open_notebook)
    stats.root.get_by_role("combobox", name="Sort").select_option("highest mean first")
    order = stats.notebook.kernel("stats.result['3'].mean.argsort(descending=True, stable=True).tolist()")
    becomes(stats.shown, order[:24], stats.page, "the first page")
    stats.root.press("]")
    becomes(stats.shown, order[24:48], stats.page, "the second page")
    stats.button("Next page").click()
    becomes(stats.shown, order[48:], stats.page, "the last page")
    expect(stats.button("Next page")).to_be_disabled()
    field = stats.root.get_by_role("textbox", name="Search channels")
    field.fill("7, 10-12")
    field.press("Enter")
    becomes(stats.shown, [each for each in order if each in (7, 10, 11, 12)], stats.page, "those that answer")
    field.fill("nonsense")
    field.press("Enter")
    expect(stats.root.get_by_role("alert")).to_contain_text("search takes channels such as")
    expect(field).to_have_value("7, 10-12")


def test_bars_are_those_of_the_engine(open_notebook: Open) -> None:
    stats = collected(open_notebook, MAKE.format(count=70, options=", sort='index', channel=5"))
    path = stats.root.locator(".large .now")
    counts = stats.notebook.kernel("stats.result['3'].histogram[5].tolist()")
    zeros = stats.notebook.kernel("int((stats.result['3'].zero_fraction * stats.result['3'].count)[5].round())")
    place = stats.notebook.kernel("int((stats.result['3'].edges <= 0).sum()) - 1")
    counts[place] -= zeros

    def heights() -> list[float]:
        return [40 - float(up) for up in re.findall(r"V([\d.]+)H", path.get_attribute("d") or "")]

    def expected(counts: list[float]) -> Any:
        return pytest.approx([max(38 * count / max(counts), 0.8) for count in counts if count], abs=0.01)

    becomes(heights, expected(counts), stats.page, "the bars")
    stats.root.get_by_role("switch", name="Log counts").check()
    becomes(heights, expected([math.log1p(count) for count in counts]), stats.page, "the logarithms")
    stats.notebook.gives("stats.log", True)


def test_the_pair_under_the_mouse_is_read_and_zoomed_in_on(open_notebook: Open, shot: Shot) -> None:
    stats = collected(open_notebook)
    stats.drawn()
    order = stats.notebook.kernel("stats._scene().shown.window()[0].tolist()")
    r = stats.notebook.kernel(f"stats.result['3'].correlation[{order[20]}, {order[31]}].item()")
    stats.page.mouse.move(*stats.at(20, 31, 60))
    expect(stats.readout).to_have_text(f"channels {order[20]} × {order[31]} · r = {r:.3f}".replace("-", "−"))
    stats.matrix.focus()
    stats.page.keyboard.press("ArrowRight")
    expect(stats.readout).to_contain_text(f"channels {order[20]} × {order[32]} ·")
    stats.page.keyboard.press("+")
    stats.notebook.until("len(stats.zoom) == 3 and stats.zoom[2] == 30")
    expect(stats.button("All")).to_be_enabled()  # the panel has heard of it
    stats.drawn()
    shot("statistics-zoomed", stats.page)
    stats.button("All").click()
    stats.notebook.gives("stats.zoom", [])
    expect(stats.button("All")).to_be_disabled()
    stats.drawn()
    stats.page.mouse.click(*stats.at(3, 3, 60))
    stats.notebook.until("stats.zoom and stats.zoom[2] == 30 and stats.zoom[0] < 4")


def test_a_channel_shows_its_patches_where_they_are_and_what_goes_with_it(open_notebook: Open, shot: Shot) -> None:
    stats = collected(open_notebook)
    stats.tiles.nth(6).click()
    channel = int(stats.tiles.nth(6).get_attribute("data-channel") or 0)
    expect(stats.patches).to_have_count(9)
    images = stats.notebook.kernel(f"stats.result['3'].top_indices[{channel}].tolist()")
    caption, box = stats.root.locator(".whole figcaption"), stats.root.locator(".whole .box")
    expect(caption).to_contain_text(f"image {images[0]} ·")
    stats.patches.nth(4).hover()
    expect(caption).to_contain_text(f"image {images[4]} ·")
    spot = stats.notebook.kernel("stats._scene().shown.patches.patches[4].box")
    corner = """(box) => {
      const [spot, whole] = [box, box.closest(".stage")].map((part) => part.getBoundingClientRect());
      return [(spot.top - whole.top) / whole.height, (spot.right - whole.left) / whole.width];
    }"""
    top_right = pytest.approx([spot[0], spot[3]], abs=0.02)
    becomes(lambda: box.evaluate(corner), top_right, stats.page, "the box around the patch")
    shot("statistics-channel", stats.page)
    mate = stats.root.locator(".mates button").first
    other = int(mate.locator("b").text_content() or 0)
    mate.click()
    stats.notebook.gives("stats.channel", other)
    expect(stats.root.locator(".chosen h4").first).to_have_text(re.compile(f"^Channel {other}"))


def test_the_lowest_patches_take_the_place_of_the_highest(open_notebook: Open, shot: Shot) -> None:
    stats = collected(open_notebook, MAKE.format(count=70, options=", channel=5").replace('"3"', '"2"'))
    expect(stats.patches).to_have_count(9)
    caption, heading = (
        stats.root.locator(".whole figcaption"),
        stats.root.get_by_role("heading", name="Maximal patches"),
    )
    expect(heading).to_be_visible()
    lowest, highest = stats.notebook.kernel(
        "[stats.result['2'].bottom_indices[5].tolist(), stats.result['2'].top_indices[5].tolist()]"
    )
    assert lowest[4] != highest[4] and lowest[5] != highest[5]
    stats.button("Lowest").click()
    stats.notebook.gives("stats.patches", "lowest")
    expect(stats.root.get_by_role("heading", name="Minimal patches")).to_be_visible()
    expect(heading).to_have_count(0)
    expect(stats.patches.nth(5)).to_have_attribute("title", re.compile(f"in image {lowest[5]}$"))
    expect(stats.root.locator(".patches")).not_to_have_attribute("data-key", "")  # all of them have come
    stats.patches.nth(4).hover()
    expect(caption).to_contain_text(f"image {lowest[4]} ·")
    shot("statistics-lowest", stats.page)
    stats.button("Highest").click()
    expect(stats.patches.nth(5)).to_have_attribute("title", re.compile(f"in image {highest[5]}$"))


SLOW = """
import threading
gate, came = threading.Event(), threading.Event()
class Slow(list):
    waits = False
    def __iter__(self):
        for batch in super().__iter__():
            if self.waits:
                came.set()
                gate.wait()
            yield batch
batches = Slow(torch.rand(10, 3, 48, 48).split(5))
stats = ActivationStats(net, batches, layer="3")
stats.wait(60)
batches.waits = True
stats
"""


def test_pausing_is_said_while_a_batch_is_on_its_way(open_notebook: Open, shot: Shot) -> None:
    notebook = open_notebook(QUICK.replace("\nstats\n", SLOW))
    notebook.run(0)
    stats = Stats(notebook)
    stats.button("Collect").click()
    notebook.until("came.is_set()")
    stats.says("collecting")
    stats.button("Pause").click()
    stats.says("pausing")
    expect(stats.root.locator(".status")).to_have_text("Pausing after this batch…")
    notebook.gives("(stats.state, stats.running)", ("running", False))
    shot("statistics-pausing", stats.page)
    notebook.kernel("gate.set()")
    stats.says("paused")
    notebook.gives("(stats.state, stats.images)", ("paused", 5))


def test_weights_take_the_place_of_activations(open_notebook: Open) -> None:
    stats = collected(open_notebook)
    stats.button("Weights").click()
    expect(stats.root.locator(".sentences")).to_contain_text("has no filters of its own")
    stats.layer("2").click()
    expect(stats.root.locator(".matrix h4")).to_have_text("Weights, clustered")
    stats.drawn()
    expect(stats.tiles.first.locator(".now")).to_have_attribute("d", re.compile("M"))


def test_a_table_is_saved_with_a_row_for_each_channel(open_notebook: Open) -> None:
    stats = collected(open_notebook)
    stats.button("Save").click()
    with stats.page.expect_download() as download:
        stats.root.get_by_role("menuitem", name="Table (CSV)").click()
    assert download.value.suggested_filename == "statistics.csv"
    rows = list(csv.DictReader(Path(download.value.path()).read_text(encoding="utf-8").splitlines()))
    assert len(rows) == 12 + 12 + 60 + 60 and {row["dead"] for row in rows if row["layer"] == "1"} == {"0", "1"}
