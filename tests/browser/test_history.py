"""The history in a panel: the strip by mouse and keyboard, undo, branches, and two points compared."""

import re
from collections.abc import Callable, Iterator

import pytest
import torch
from playwright.sync_api import Locator, Page, expect
from torch import nn

from nbvis import DreamCanvas
from tests.browser.hosts import show
from tests.browser.lab import SCRIPT, Notebook, Panel, becomes
from tests.browser.test_dream_canvas import LONG as ENDLESS
from tests.browser.test_dream_canvas import only_panel

LONG = 60.0

New = Callable[..., Page]
Open = Callable[..., Notebook]
Shot = Callable[[str, Page | Locator], None]


@pytest.fixture
def canvas() -> Iterator[DreamCanvas]:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 5), nn.ReLU(), nn.Conv2d(8, 8, 5))
    image = torch.rand(1, 3, 48, 64, generator=torch.Generator().manual_seed(0))
    made = DreamCanvas(network, image, layer="0", octaves=2, steps=4, jitter=7, lr=0.2)
    assert made.wait(LONG)
    yield made
    made.close()


def opened(canvas: DreamCanvas, page: Page) -> Panel:
    page.add_init_script(SCRIPT)
    page.goto("about:blank")
    return Panel(page, show(page, canvas))


def branched(canvas: DreamCanvas) -> None:
    """Two ends of one beginning: points 0 Start, 1 step 1, 2 its end, 3 the other end."""
    canvas.step()
    assert canvas.wait(LONG)
    canvas.play()
    assert canvas.wait(LONG)
    canvas.back(1)
    assert canvas.wait(LONG)
    canvas.layer = "2"
    canvas.play()
    assert canvas.wait(LONG)


def points(panel: Panel) -> Locator:
    return panel.root.get_by_role("listbox", name="Points of the history").get_by_role("option")


def current(panel: Panel, name: str) -> None:
    expect(points(panel).and_(panel.root.locator("[aria-selected=true]"))).to_have_accessible_name(name)


def loaded(panel: Panel, count: int) -> None:
    expect(panel.root.locator(".point img[src^='blob:']")).to_have_count(count)


def test_the_strip_grows_with_the_run_and_a_click_goes_back(canvas: DreamCanvas, new_page: New) -> None:
    panel = opened(canvas, new_page())
    panel.state("ready")
    expect(panel.root.get_by_role("region", name="History")).to_be_hidden()
    panel.root.get_by_role("button", name="Step", exact=True).click()
    expect(points(panel)).to_have_count(2)
    current(panel, "Went on, step 1")
    panel.rests()
    first = panel.thumb()
    panel.play.click()
    panel.state("finished")
    expect(points(panel)).to_have_count(3)
    panel.rests()
    panel.differs(first)
    points(panel).nth(1).click()
    panel.state("paused")
    panel.is_again(first)
    current(panel, "Went on, step 1")
    expect(panel.status).to_contain_text("step 1 of 8")


def test_the_strip_is_walked_by_keys(canvas: DreamCanvas, new_page: New) -> None:
    branched(canvas)
    panel = opened(canvas, new_page())
    loaded(panel, 4)
    current(panel, "Layer 0 → 2, step 8")
    keys = panel.page.keyboard
    points(panel).nth(3).focus()
    for key, to in (("ArrowUp", 2), ("ArrowLeft", 1), ("ArrowRight", 2), ("ArrowDown", 3), ("Home", 0), ("End", 3)):
        keys.press(key)
        expect(points(panel).nth(to)).to_be_focused()
    keys.press("ArrowUp")
    keys.press("Enter")
    current(panel, "Went on, step 8")
    expect(panel.root.get_by_role("combobox", name="Layer")).to_have_value(re.compile("^0"))


def test_a_point_is_compared_with_the_present_in_its_place(canvas: DreamCanvas, new_page: New, shot: Shot) -> None:
    branched(canvas)
    panel = opened(canvas, new_page())
    panel.rests()
    present = panel.thumb()
    compare = panel.root.get_by_role("button", name="Compare")
    compare.click()
    expect(panel.root.locator(".compared")).to_have_text("Present: choose a point of the history")
    points(panel).nth(2).click()
    expect(panel.root.locator(".compared")).to_have_text("Compared: Went on · step 8")
    panel.differs(present)
    shot("history-compared", panel.root)
    points(panel).nth(2).click()
    expect(panel.root.locator(".compared")).to_have_text(re.compile("^Present"))
    panel.is_again(present)
    compare.click()
    expect(panel.root.locator(".compared")).to_be_hidden()
    expect(compare).to_have_attribute("aria-pressed", "false")
    points(panel).nth(1).focus()
    panel.page.keyboard.press("c")
    expect(panel.root.locator(".compared")).to_have_text("Compared: Went on · step 1")
    panel.page.keyboard.press("Escape")
    panel.is_again(present)
    assert canvas.state == "finished"  # nothing was gone back to


def test_undo_puts_a_slider_back_and_redo_forth(canvas: DreamCanvas, new_page: New) -> None:
    panel = opened(canvas, new_page())
    panel.root.get_by_role("button", name="Step", exact=True).click()
    expect(points(panel)).to_have_count(2)
    panel.rests()
    panel.field("Jitter").fill("2")
    panel.page.keyboard.press("Tab")
    becomes(lambda: canvas.jitter, 2, panel.page, "the kernel's jitter")
    panel.slider("Jitter").focus()
    panel.page.keyboard.press("Control+z")
    expect(panel.field("Jitter")).to_have_value("7")
    becomes(lambda: canvas.jitter, 7, panel.page, "the kernel's jitter")
    expect(points(panel)).to_have_count(3)
    panel.page.keyboard.press("Control+Shift+z")
    expect(panel.field("Jitter")).to_have_value("2")
    current(panel, "Jitter 7 → 2, step 1")


@pytest.mark.parametrize("width", [900, 380])
def test_nothing_sticks_out_in_either_theme(canvas: DreamCanvas, new_page: New, shot: Shot, width: int) -> None:
    branched(canvas)
    for _ in range(12):
        canvas.lr = canvas.lr + 0.001
        canvas.step()
        assert canvas.wait(LONG)
    panel = opened(canvas, new_page(width=width))
    loaded(panel, len(canvas.history))
    panel.fits()
    for theme in ("light", "dark"):
        panel.page.evaluate("dark => { document.body.dataset.jpThemeLight = String(!dark); }", theme == "dark")
        expect(panel.root).to_have_class(re.compile(r"\bdark\b") if theme == "dark" else re.compile("^(?!.*dark)"))
        shot(f"history-{width}-{theme}", panel.root)


def test_undo_in_jupyterlab_is_not_undone_by_what_was_on_its_way(open_notebook: Open, shot: Shot) -> None:
    notebook = open_notebook(ENDLESS.replace("octaves=8", "jitter=7, octaves=8"))
    notebook.run(0)
    panel = only_panel(notebook)
    panel.play.click()
    panel.frames(3)
    panel.drag("Jitter", 0.9)
    panel.frames(2)
    notebook.page.keyboard.press("Control+z")
    panel.state("paused")
    expect(panel.field("Jitter")).to_have_value("7")
    notebook.gives("(canvas.jitter, canvas.state)", (7, "paused"))
    shot("history-undone", notebook.page)
    for _ in range(3):
        panel.play.click()
        panel.frames(2)
        panel.drag("Jitter", 0.8)
        notebook.page.keyboard.press("Control+z")  # before the kernel has heard of the last value
        panel.state("paused")
        expect(panel.field("Jitter")).to_have_value("7")
        notebook.gives("canvas.jitter", 7)
    expect(points(panel)).to_have_count(notebook.kernel("len(canvas.history)"))
