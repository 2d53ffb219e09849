"""The front end in every place for notebooks: its theme, its keys, its menus, and what is there without a kernel."""

import threading
from collections.abc import Callable, Iterator

import pytest
import torch
from playwright.sync_api import Locator, Page, expect
from torch import nn

from nbvis import DreamCanvas, SaliencyView, demo
from nbvis.engine import Network
from nbvis.widgets.base import Widget
from tests.browser.hosts import DARK, KEYS, PLACES, Pipe, show
from tests.browser.lab import becomes, stands, until

LIVES = "Run this cell to bring it back to life."
NONE = "No kernel answers."
LOOKS = "Looking at the network and the picture…"
LUMINANCE = """(part) => {
  const [red, green, blue] = getComputedStyle(part).backgroundColor.match(/[\\d.]+/g).map(Number);
  return 0.3 * red + 0.6 * green + 0.1 * blue;
}"""

New = Callable[..., Page]
every_place = pytest.mark.parametrize("place", PLACES)


@pytest.fixture
def canvas() -> Iterator[DreamCanvas]:
    made = DreamCanvas(demo.network("cpu"), demo.photo("chelsea", size=128), layer="_blocks.3", octaves=2, steps=3)
    yield made
    made.close()


def paints(panel: Locator) -> Locator:
    """The panel, once its first picture is there."""
    expect(panel).to_have_attribute("data-shown", "ready")
    return panel


@every_place
def test_a_panel_has_the_theme_of_its_place(place: str, canvas: Widget, new_page: New) -> None:
    page = new_page()
    page.emulate_media(color_scheme="dark")  # the system's, which the place overrules
    panel = paints(show(page, canvas, place))
    until(lambda: panel.evaluate(LUMINANCE) > 200, page, "the panel is light")
    page.emulate_media(color_scheme="light")
    page.evaluate(DARK[place])
    until(lambda: panel.evaluate(LUMINANCE) < 60, page, "the panel is dark")


@pytest.mark.parametrize(("color", "dark"), [
    ("color(srgb 1 1 1)", False), ("color(srgb 0.1 0.1 0.1)", True), ("oklch(0.98 0 0)", False), ("lab(8% 0 0)", True),
    ("hsl(0 0% 100%)", False), ("transparent", True),
])  # fmt: skip
def test_a_page_that_says_nothing_is_looked_at(color: str, dark: bool, canvas: Widget, new_page: New) -> None:
    page = new_page()
    page.emulate_media(color_scheme="dark")
    panel = paints(show(page, canvas, "marimo"))
    page.evaluate("(color) => { document.body.style.background = color; }", color)
    until(lambda: (panel.evaluate(LUMINANCE) < 60) == dark, page, f"the panel suits {color}")


@every_place
def test_the_menu_saves_by_mouse(place: str, canvas: Widget, new_page: New) -> None:
    page = new_page()
    panel = paints(show(page, canvas, place))
    panel.get_by_role("button", name="Save").click()
    with page.expect_download() as download:
        panel.get_by_role("menuitem", name="Page (HTML)").click()
    assert download.value.suggested_filename == "dream.html"
    panel.get_by_role("button", name="Help").click()
    expect(panel.get_by_role("dialog")).to_be_visible()
    panel.get_by_role("dialog").get_by_text("play or pause").click()
    expect(panel.get_by_role("dialog")).to_be_visible()
    panel.locator("header b").click()
    expect(panel.get_by_role("dialog")).to_be_hidden()


@every_place
def test_only_keys_with_control_or_meta_reach_the_place(place: str, canvas: Widget, new_page: New) -> None:
    page = new_page()
    panel = paints(show(page, canvas, place))
    page.evaluate(KEYS, place == "Notebook 7")
    controls = panel.locator("button, input, canvas").filter(visible=True)
    for control in [panel, *controls.all()]:
        control.focus()
        for key in ("x", "d", "0", "Escape", "Alt+m", "Control+s", "Meta+k"):
            page.keyboard.press(key)
    becomes(lambda: set(page.evaluate("keys")), {"Control", "Meta", "s", "k"}, page, "the keys that came out")


@pytest.mark.parametrize("place", [place for place in PLACES if place != "marimo"])
def test_the_sentence_of_a_saved_panel_hides_beside_a_live_one(place: str, canvas: Widget, new_page: New) -> None:
    page = new_page()
    paints(show(page, canvas, place))
    sentence = page.locator(".nbvis-saved")
    expect(sentence).to_be_attached()
    # It would appear by itself after three seconds.
    page.evaluate("for (const each of document.getAnimations()) each.finish()")
    expect(sentence).to_be_hidden()
    page.evaluate("end()")
    if place in ("VS Code", "Colab"):
        expect(sentence).to_be_visible()


@pytest.mark.parametrize("place", [place for place in PLACES if place != "marimo"])
def test_without_a_kernel_the_saved_picture_says_so(place: str, canvas: Widget, new_page: New) -> None:
    page = new_page()
    panel = show(page, canvas, place, answers=False)
    heights = page.evaluate_handle("""() => {
      const root = document.querySelector(".nbvis"), heights = [root.offsetHeight];
      new ResizeObserver(() => heights.push(root.offsetHeight)).observe(root);
      return heights;
    }""")
    expect(page.get_by_text(LIVES)).to_be_visible()
    expect(page.locator("img")).to_be_visible()
    expect(panel.locator("button, input, canvas").filter(visible=True)).to_have_count(0)
    if place in ("JupyterLab", "Notebook 7"):
        expect(panel).to_be_hidden()
    else:
        expect(panel.get_by_text(NONE)).to_be_visible()
        stands(lambda: panel.evaluate("(root) => root.offsetHeight"), page, "the panel")
        assert len(set(heights.json_value())) == 1


class Late(nn.Module):
    """A network that gives its first answer when it may."""

    def __init__(self) -> None:
        super().__init__()
        self.may = threading.Event()
        self.convolution = nn.Conv2d(3, 4, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.may.wait()
        return self.convolution(images).mean((2, 3))


def test_a_panel_drawn_before_its_network_is_known_gets_its_lists(new_page: New) -> None:
    network = Late().eval()
    view = SaliencyView(Network(network, labels=["cat", "dog", "cow", "hen"]), torch.rand(1, 3, 32, 32))
    panel = show(new_page(), view)
    target, unit = panel.get_by_role("combobox", name="Target"), panel.get_by_role("button", name="Explain the unit")
    expect(panel.get_by_role("group", name="Method")).to_be_visible()
    expect(panel.get_by_text(LOOKS)).to_be_visible()
    expect(target).to_be_hidden()
    expect(unit).to_be_hidden()
    network.may.set()
    expect(target).to_be_visible()
    expect(panel.get_by_text(LOOKS)).to_be_hidden()
    expect(unit).to_be_visible()
    target.click()
    expect(panel.get_by_role("listbox").get_by_role("option")).to_have_count(4)
    view.close()


@every_place
@pytest.mark.parametrize("widget", ["DreamCanvas", "SaliencyView"])
def test_a_panel_that_dies_stays_as_it_is(
    place: str, widget: str, canvas: Widget, new_page: New, shot: Callable
) -> None:
    page = new_page()
    shown = canvas if widget == "DreamCanvas" else SaliencyView(demo.network("cpu"), demo.photo("coffee", size=128))
    panel = show(page, shown, place)
    state = "ready" if widget == "DreamCanvas" else "finished"
    expect(panel.locator(".chip i")).to_have_class(state)
    expect(panel).to_have_attribute("data-shown", state)
    if widget == "DreamCanvas":
        # The last that it finds out about the network: whether there are classes.
        expect(panel.get_by_role("button", name="+ Class")).to_be_visible()
    boxes = (
        "(root) => [root, ...root.querySelectorAll('canvas, button, h4')].map((part) => part.getBoundingClientRect().y)"
    )
    before = stands(lambda: panel.evaluate(boxes), page, "the panel")
    pipe = shown.comm
    assert isinstance(pipe, Pipe)
    pipe.cut = True
    panel.get_by_role("button", name="Restart" if widget == "DreamCanvas" else "Measure").click()
    expect(panel.get_by_text(NONE)).to_be_visible()
    shot(f"dead-{widget}-{place}", page)
    becomes(lambda: panel.evaluate(boxes), before, page, "the places of its parts")
    expect(panel.locator("canvas").first).to_be_visible()
    assert panel.evaluate(
        "(root) => [...root.querySelectorAll('button, input')].every((part) => part.closest('[inert]'))"
    )
    expect(page.get_by_text(LIVES)).to_be_hidden()
    # It hears its kernel again.
    pipe.cut = False
    pipe.send({"method": "custom", "content": {"type": "nothing"}})
    expect(panel.get_by_text(NONE)).to_be_hidden()
    expect(panel.locator("[inert]")).to_have_count(0)
    if shown is not canvas:
        shown.close()
