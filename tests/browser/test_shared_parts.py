"""What every panel can do: fill the screen, magnify its pictures, show the original, begin again, say what failed."""

import functools
import io
import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest
import torch
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect
from torch import Tensor, nn

from nbvis import ActivationStats, DreamCanvas, DropoutInverter, LayerExplorer, SaliencyView
from nbvis.widgets import layer_explorer
from nbvis.widgets.base import Widget
from tests.browser.hosts import heard, show
from tests.browser.lab import becomes, stands, until
from tests.browser.test_layout import is_right

New = Callable[..., Page]
Shot = Callable[[str, Page | Locator], None]

SIZE = 24, 36
"""Height and width of the picture."""


class Small(nn.Module):
    """A network with all that a panel needs, which can be broken."""

    def __init__(self) -> None:
        super().__init__()
        self.part, self.drop, self.table = nn.Conv2d(3, 6, 3, padding=1), nn.Dropout(0.5), {"weights": 1.0}
        self.last = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.part(x * self.table["weights"]).relu()
        return self.last(self.drop(x.mean((2, 3))))


MAKE: dict[str, Callable[[nn.Module, Tensor], Widget]] = {
    "DreamCanvas": lambda network, image: DreamCanvas(network, image, octaves=1, steps=3, lr=0.3),
    "SaliencyView": lambda network, image: SaliencyView(network, image),
    "DropoutInverter": lambda network, image: DropoutInverter(network, image, steps=3, lr=0.5, tolerance=1e-8),
    "ActivationStats": lambda network, image: ActivationStats(network, image.expand(3, -1, -1, -1), channel=1),
    "LayerExplorer": lambda network, image: LayerExplorer(network, image, layer="part", channel=4),
}
PICTURES = {
    "DreamCanvas": ".stage canvas",
    "SaliencyView": "figure[data-key=gradient] canvas",
    "DropoutInverter": "canvas[data-picture=corrupted]",
    "ActivationStats": ".whole canvas",
    "LayerExplorer": "figure[data-key=back] canvas",
}
"""One of each panel, as a CSS selector."""

every_widget = pytest.mark.parametrize("widget", MAKE, indirect=True)


@pytest.fixture
def widget(request: pytest.FixtureRequest) -> Iterator[Widget]:
    """A widget on a small network, by its name."""
    torch.manual_seed(0)
    made = MAKE[request.param](Small().eval(), torch.rand(1, 3, *SIZE))
    yield made
    made.close()


def shown(page: Page, widget: Widget, place: str = "JupyterLab") -> Locator:
    """The panel, once what it has to compute is done."""
    panel = show(page, widget, place)
    if panel.locator("footer .primary").count():
        panel.get_by_role("button", name=re.compile("Play|Collect")).click()
    expect(panel.locator(".chip i.finished")).to_be_visible()
    expect(panel).to_have_attribute("data-shown", "finished")
    expect(panel.locator("[data-key='']")).to_have_count(0)
    return panel


def fills(panel: Locator) -> bool:
    """Whether the panel is all of the screen."""
    return panel.evaluate("(root) => root.matches(':fullscreen')")


def chosen(widget: Widget) -> list[object]:
    """The layer and channel of a widget, as far as it has one."""
    return [widget.get_state().get(name) for name in ("layer", "channel")]


@every_widget
def test_a_panel_fills_the_screen_and_comes_back(widget: Widget, new_page: New, shot: Shot) -> None:
    page = new_page(1500, 900)
    panel = shown(page, widget)
    before, unit = stands(panel.bounding_box, page, "the panel"), chosen(widget)
    button = panel.get_by_role("button", name="Full screen")
    panel.focus()
    page.keyboard.press("f")
    until(lambda: fills(panel), page, "it fills the screen")
    expect(button).to_have_attribute("aria-pressed", "true")
    becomes(panel.bounding_box, {"x": 0, "y": 0, "width": 1500, "height": 900}, page, "its place")
    is_right(panel, "on all of the screen")
    shot(f"full-screen-{type(widget).__name__}", page)
    panel.get_by_role("button", name="Help").click()
    page.keyboard.press("Escape")  # the help's
    expect(panel.get_by_role("dialog")).to_be_hidden()
    heard(page, widget)
    assert fills(panel)
    page.keyboard.press("Escape")
    until(lambda: not fills(panel), page, "it is back")
    expect(button).to_have_attribute("aria-pressed", "false")
    sides = ("x", "y", "width")
    becomes(lambda: [panel.evaluate(BOX)[side] for side in sides], [before[side] for side in sides], page, "its place")
    heard(page, widget)
    assert chosen(widget) == unit  # that Escape was no other key of the panel
    button.click()
    until(lambda: fills(panel), page, "it fills the screen by its button")
    page.keyboard.press("f")
    until(lambda: not fills(panel), page, "it is back by its key")


@pytest.mark.parametrize("widget", ["DreamCanvas"], indirect=True)
def test_a_panel_in_a_shadow_root_fills_the_screen(widget: Widget, new_page: New) -> None:
    page = new_page()
    panel = shown(page, widget, "marimo")
    panel.get_by_role("button", name="Full screen").click()
    until(lambda: fills(panel), page, "it fills the screen")
    page.keyboard.press("Escape")
    until(lambda: not fills(panel), page, "it is back")


@pytest.mark.parametrize("widget", ["DreamCanvas"], indirect=True)
def test_a_page_that_lets_nothing_fill_the_screen_is_told_so(widget: Widget, browser: Browser) -> None:
    page = browser.new_page()  # one that may complain of it
    headers = {"Permissions-Policy": "fullscreen=()"}
    page.route("**/*", lambda route: route.fulfill(body="", headers=headers, content_type="text/html"))
    page.goto("http://notebook.invalid/")
    panel = shown(page, widget)
    panel.get_by_role("button", name="Full screen").click()
    expect(panel.get_by_role("alert")).to_have_text(re.compile("does not let a panel fill the screen"))
    assert not fills(panel)
    page.close()


BOX = "(part) => part.getBoundingClientRect().toJSON()"
PLACE = "(part) => { const { x, y, width, height } = part.getBoundingClientRect(); return [x, y, width, height]; }"
INPUT = "figure[data-key=input]"


def at(picture: Locator, across: float, down: float) -> tuple[float, float]:
    """A place of the screen by its shares of a picture's place."""
    x, y, width, height = picture.locator("xpath=ancestor::*[contains(@class, 'stage')]").evaluate(PLACE)
    return x + across * width, y + down * height


def turn(page: Page, notches: int) -> None:
    """Turns the wheel upwards with Ctrl."""
    page.keyboard.down("Control")
    for _ in range(notches):
        page.mouse.wheel(0, -100)
    page.keyboard.up("Control")


def scale(picture: Locator) -> float:
    """How many times larger than whole a picture is."""
    return picture.evaluate("(canvas) => canvas.clientWidth / canvas.closest('.stage').clientWidth")


def edges(picture: Locator, down: float) -> int:
    """How many times the colour changes along a row of what is seen of a picture."""
    stage = picture.locator("xpath=ancestor::*[contains(@class, 'stage')]")
    seen = Image.open(io.BytesIO(stage.screenshot())).convert("RGB")
    row = [seen.getpixel((across, round(down * seen.height))) for across in range(8, seen.width - 8)]
    return sum(one != other for one, other in pairwise(row))


@every_widget
def test_a_picture_is_magnified_with_its_pixels_crisp(widget: Widget, new_page: New, shot: Shot) -> None:
    page = new_page(900, 500)
    panel = shown(page, widget)
    picture = panel.locator(PICTURES[type(widget).__name__])
    picture.scroll_into_view_if_needed()
    page.mouse.move(*at(picture, 0.5, 0.6))
    before = stands(lambda: page.evaluate("scrollY"), page, "the page")
    page.mouse.wheel(0, -60 if before else 60)
    page.wait_for_function("(before) => scrollY !== before", arg=before)  # without Ctrl the wheel is the page's
    assert scale(picture) == 1
    stands(lambda: page.evaluate("scrollY"), page, "the page")  # a wheel turns it little by little
    picture.scroll_into_view_if_needed()
    scrolled = stands(lambda: page.evaluate("scrollY"), page, "the page")
    page.mouse.move(*at(picture, 0.5, 0.6))
    turn(page, 3)
    until(lambda: scale(picture) > 3, page, "it is magnified")
    assert page.evaluate("scrollY") == scrolled
    page.mouse.move(0, 0)
    shot(f"magnified-{type(widget).__name__}", page)
    expect(picture).to_have_css("image-rendering", "pixelated")  # it is drawn anew, as wide as the picture
    wide = picture.evaluate("(canvas) => canvas.width")
    few = wide / scale(picture) + 1  # one a pixel, as no smoothed picture has
    until(lambda: edges(picture, 0.8) <= few, page, "crisp pixels")
    page.mouse.dblclick(*at(picture, 0.2, 0.4))
    until(lambda: scale(picture) == 1, page, "it is whole")
    picture.focus()
    page.keyboard.press("+")
    until(lambda: scale(picture) > 1, page, "it is magnified by a key")
    page.keyboard.press("0")
    until(lambda: scale(picture) == 1, page, "it is whole by a key")
    page.keyboard.press("+")
    panel.get_by_role("button", name="back to the whole picture").click()
    until(lambda: scale(picture) == 1, page, "it is whole by its button")
    expect(picture).to_be_focused()


@pytest.mark.parametrize("widget", ["SaliencyView", "LayerExplorer"], indirect=True)
def test_a_magnified_picture_is_read_and_clicked_on_where_one_points(widget: Any, new_page: New) -> None:
    page = new_page()
    panel = shown(page, widget)
    picture, readout = panel.locator(f"{INPUT} canvas"), panel.locator(".readout")
    if isinstance(widget, SaliencyView):
        widget.click, widget.window = "occlude", 1
        expect(panel.get_by_role("button", name="Occlude here")).to_have_attribute("aria-pressed", "true")

    def chose() -> list:
        return widget.covered if isinstance(widget, SaliencyView) else widget.place

    def reads(row: int, column: int) -> None:
        expect(readout).to_contain_text(f"row {row}, column {column} ·")

    x, y = at(picture, 20.5 / 36, 9.5 / 24)
    page.mouse.move(x, y)
    reads(9, 20)
    turn(page, 3)
    until(lambda: scale(picture) > 3, page, "it is magnified")
    wide = picture.evaluate("(canvas) => canvas.clientWidth") / 36
    page.mouse.move(x + 1, y)
    reads(9, 20)
    page.mouse.move(x + wide, y - wide)
    reads(8, 21)

    def marked() -> bool:
        left, top, width, height = panel.locator(f"{INPUT} .mark").evaluate(PLACE)
        under = left < x + wide < left + width and top < y - wide < top + height
        return under and [width, height] == pytest.approx([wide, wide], rel=0.01)

    until(marked, page, "the mark is under the mouse")
    # What is dragged stays under the mouse, and the end of it is no click.
    page.mouse.down()
    page.mouse.move(x - 2 * wide, y + wide, steps=4)
    page.mouse.up()
    page.mouse.move(x - 2 * wide + 1, y + wide)
    reads(8, 21)
    page.mouse.move(x - wide, y + wide)
    reads(8, 22)
    heard(page, widget)
    assert chose() == []
    page.mouse.down()
    page.mouse.up()
    until(lambda: chose() in ([[8, 22]], [8, 22]), page, "the click chooses the pixel that was read")


@pytest.mark.parametrize("widget", ["LayerExplorer"], indirect=True)
def test_what_lies_over_a_magnified_picture_stays_in_its_place(widget: LayerExplorer, new_page: New) -> None:
    page = new_page()
    panel = shown(page, widget)
    picture, box = panel.locator(f"{INPUT} canvas"), panel.locator(f"{INPUT} .box")
    tiles, tile = panel.locator("figure[data-key=layer] canvas"), panel.locator(".tile.chosen")

    def share(part: Locator, whole: Locator) -> list[float]:
        (x, y, *size), (left, top, *sizes) = part.evaluate(PLACE), whole.evaluate(PLACE)
        return [(x - left) / sizes[0], (y - top) / sizes[1], size[0] / sizes[0], size[1] / sizes[1]]

    widget.place = [9, 20]
    expect(panel.locator(".here")).to_be_visible()
    until(lambda: share(box, picture) == pytest.approx([19 / 36, 8 / 24, 3 / 36, 3 / 24], abs=0.01), page, "the field")
    before = stands(lambda: share(tile, tiles), page, "the tile")
    for each, place in ((picture, (0.5, 0.4)), (tiles, (0.1, 0.9))):
        page.mouse.move(*at(each, *place))
        turn(page, 3)
        until(lambda each=each: scale(each) > 2, page, "it is magnified")
    field = pytest.approx([19 / 36, 8 / 24, 3 / 36, 3 / 24], abs=0.002)
    becomes(lambda: share(box, picture), field, page, "the field")
    becomes(lambda: share(tile, tiles), pytest.approx(before, abs=0.002), page, "the tile")


@pytest.mark.parametrize("widget", ["SaliencyView"], indirect=True)
def test_a_magnified_picture_follows_the_arrow_keys(widget: Widget, new_page: New) -> None:
    page = new_page()
    panel = shown(page, widget)
    picture, mark = panel.locator(f"{INPUT} canvas"), panel.locator(f"{INPUT} .mark")
    picture.focus()
    for key in ("ArrowUp", "+", "+", "+", "+", "Shift+ArrowRight", "Shift+ArrowDown"):
        page.keyboard.press(key)
    expect(panel.locator(".readout")).to_contain_text("row 21, column 28 ·")

    def seen() -> bool:
        x, y, width, height = mark.evaluate(PLACE)
        (left, top), (right, bottom) = at(picture, 0, 0), at(picture, 1, 1)
        return left - 1 <= x and x + width <= right + 1 and top - 1 <= y and y + height <= bottom + 1

    until(seen, page, "the mark is seen")


@pytest.mark.parametrize("widget", ["DreamCanvas"], indirect=True)
def test_fingers_magnify_a_picture_and_move_it(widget: Widget, browser: Browser) -> None:
    page = browser.new_page(has_touch=True)
    panel = shown(page, widget)
    picture = panel.locator(PICTURES["DreamCanvas"])
    hand = page.context.new_cdp_session(page)

    def touch(kind: str, *shares: float) -> None:
        places = [at(picture, share, 0.5) for share in shares]
        points = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(places)]
        hand.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", 0.45, 0.55)
    touch("touchMove", 0.4, 0.6)
    touch("touchMove", 0.3, 0.7)
    touch("touchEnd")
    until(lambda: scale(picture) == pytest.approx(4, rel=0.05), page, "it is magnified")
    before = picture.evaluate(PLACE)[0]
    wide = panel.locator(".stage").first.evaluate("(stage) => stage.clientWidth")
    touch("touchStart", 0.5)
    touch("touchMove", 0.4)
    touch("touchMove", 0.3)
    touch("touchEnd")
    until(lambda: picture.evaluate(PLACE)[0] == pytest.approx(before - 0.2 * wide, abs=2), page, "it is moved")
    page.close()


COMPARED = {
    "DreamCanvas": [".stage canvas"],
    "SaliencyView": ["figure[data-key=gradient] canvas"],
    "DropoutInverter": ["canvas[data-picture=corrupted]", "canvas[data-picture=difference]"],
    "LayerExplorer": ["figure[data-key=channel] canvas", "figure[data-key=back] canvas"],
}
"""The pictures in whose place the original can be seen."""
# A canvas on as many pixels as the picture has.
THUMB = """(canvas) => {
  const small = Object.assign(document.createElement("canvas"), { width: 36, height: 24 });
  const context = small.getContext("2d", { willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  context.drawImage(canvas, 0, 0, 36, 24);
  return [...context.getImageData(0, 0, 36, 24).data];
}"""


def apart(picture: Locator, image: Tensor) -> float:
    """How far the pixels of a picture are from those of an image, in the mean."""
    pixels = torch.tensor(picture.evaluate(THUMB), dtype=torch.float32)
    return (pixels.reshape(*SIZE, 4).permute(2, 0, 1)[:3] / 255 - image[0]).abs().mean().item()


@pytest.mark.parametrize("widget", COMPARED, indirect=True)
def test_the_original_is_seen_while_it_is_held(widget: Any, new_page: New, shot: Shot) -> None:
    page, name = new_page(), type(widget).__name__
    page.add_init_script("performance.now = () => window.clock ?? 0;")
    page.goto("about:blank")
    messages: list[str] = []
    widget.on_msg(lambda _, content, buffers: messages.append(content["type"]))
    panel = shown(page, widget)
    pictures = [panel.locator(each) for each in COMPARED[name]]
    button = panel.get_by_role("button", name="Original", exact=True)

    own = stands(lambda: [apart(picture, widget.image) for picture in pictures], page, "the pictures")

    def shows(original: bool) -> None:
        expect(button).to_have_attribute("aria-pressed", str(original).lower())
        expect(panel.locator(".stage.original")).to_have_count(len(pictures) if original else 0)
        for picture, before in zip(pictures, own, strict=True):
            far = functools.partial(apart, picture, widget.image)
            if original:
                until(lambda far=far, before=before: far() < 0.95 * before, page, "the original")
            else:
                becomes(far, before, page, "its own picture")

    shows(False)
    panel.focus()
    page.keyboard.down("g")
    shows(True)
    shot(f"original-{name}", panel)
    page.keyboard.up("g")
    shows(False)
    button.hover()
    page.mouse.down()
    shows(True)
    page.evaluate("window.clock = 1000")  # it is held so long
    page.mouse.up()
    shows(False)
    button.click()  # a short press stays
    shows(True)
    page.evaluate("window.clock = 9000")
    page.mouse.move(0, 0)
    shows(True)
    button.click()
    shows(False)
    button.press("Enter")
    shows(True)
    button.press("Space")
    shows(False)
    heard(page, widget)
    assert messages.count("original") == (name == "DreamCanvas")  # asked for once, and never where it is there


@pytest.mark.parametrize("widget", ["SaliencyView"], indirect=True)
def test_a_tap_shows_the_original_until_the_next_one(widget: Widget, browser: Browser) -> None:
    page = browser.new_page(has_touch=True)
    page.add_init_script("performance.now = () => 0;")  # however slow the machine is, a tap is short
    page.goto("about:blank")
    panel = shown(page, widget)
    for count in (1, 0):
        panel.get_by_role("button", name="Original", exact=True).tap()
        expect(panel.locator(".stage.original")).to_have_count(count)
    page.close()


@pytest.mark.parametrize("widget", ["DreamCanvas"], indirect=True)
def test_the_original_is_that_of_the_picture_shown_now(widget: Any, new_page: New) -> None:
    page = new_page()
    panel = shown(page, widget)
    picture, button = panel.locator(".stage canvas"), panel.get_by_role("button", name="Original", exact=True)
    button.press("Enter")
    expect(panel.locator(".stage.original")).to_be_visible()
    first = apart(picture, widget.image)
    another = widget.image = torch.rand(1, 3, *SIZE)  # of the same size and name
    expect(button).to_have_attribute("aria-pressed", "false")  # it was the one before that was held
    expect(panel.locator(".stage.original")).to_have_count(0)
    button.press("Enter")
    until(lambda: apart(picture, another) == pytest.approx(first, abs=0.02), page, "the second original")
    button.press("Enter")
    # What is not made of the photograph is not compared with it.
    for name, other, own in [("mode", "visualise", "dream"), ("mode", "grid", "dream"), ("start", "noise", "image")]:
        expect(button).to_be_visible()
        setattr(widget, name, other)
        expect(button).to_be_hidden()
        expect(panel.locator(".stage.original")).to_have_count(0)
        setattr(widget, name, own)
    expect(button).to_be_visible()
    button.press("Enter")
    widget.image = None
    expect(button).to_be_hidden()
    expect(panel.locator(".stage.original")).to_have_count(0)


@pytest.mark.parametrize("widget", ["ActivationStats"], indirect=True)
def test_a_panel_without_a_picture_of_its_own_offers_no_original(widget: Widget, new_page: New) -> None:
    panel = shown(new_page(), widget)
    expect(panel.get_by_role("button", name="Original", exact=True)).to_have_count(0)


SLIDERS = {
    "DreamCanvas": ("lr", "Learning rate"),
    "SaliencyView": ("window", "Window"),
    "DropoutInverter": ("tolerance", "Tolerance"),
    "LayerExplorer": ("boost", "Boost"),
}
"""One slider of each panel that has any."""


@every_widget
def test_reset_sets_back_what_was_set(widget: Any, new_page: New, shot: Shot) -> None:
    page, name = new_page(), type(widget).__name__
    panel = shown(page, widget)
    began, unit = dict(widget._began), chosen(widget)
    if name == "ActivationStats":
        panel.get_by_role("switch", name="Log counts").click()
        until(lambda: widget.log, page, "a switch is on")
    else:
        trait, label = SLIDERS[name]
        if name == "SaliencyView":
            panel.get_by_role("button", name="Occlude here").click()
        slider = panel.get_by_role("slider", name=re.compile(label))
        slider.focus()
        slider.press("ArrowRight")
        slider.press("ArrowRight")
        until(lambda: getattr(widget, trait) != began[trait], page, "a slider is moved")
    button = panel.get_by_role("button", name="Reset", exact=True)
    expect(button).to_have_attribute("title", re.compile("as this panel began"))
    shot(f"reset-{name}", panel)
    button.click()
    if name == "LayerExplorer":  # as the toolbox: all the way back
        began, unit = began | {"back": "off"}, ["part", 0]
    until(lambda: {each: getattr(widget, each) for each in began} == began, page, "all is as it began")
    until(lambda: chosen(widget) == unit, page, "the layer and the channel stay")


FAIL: dict[str, Callable[[Any], None]] = {
    "DreamCanvas": lambda widget: widget.restart(),
    "SaliencyView": lambda widget: setattr(widget, "method", "occlusion"),
    "DropoutInverter": lambda widget: widget.restart(),
    "ActivationStats": lambda widget: widget.play(),
    "LayerExplorer": lambda widget: setattr(widget, "layer", "last"),
}
"""What has each widget ask its network again."""


@every_widget
def test_every_panel_has_the_networks_own_traceback(
    widget: Any, new_page: New, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layer_explorer, "QUICK", 0.0)  # the other layers are not known before the network fails
    page, name = new_page(), type(widget).__name__
    panel = show(page, widget)
    expect(panel.locator(".chip i:is(.ready, .finished)")).to_be_visible()
    assert widget.wait(60)
    summary = panel.get_by_text("The network's own traceback")
    expect(summary).to_have_count(0)
    del widget._subject.network.module.table["weights"]
    FAIL[name](widget)
    expect(panel.get_by_role("alert").filter(has_text="KeyError")).to_be_visible()
    expect(panel.locator(".traceback pre")).to_be_hidden()
    summary.click()
    expect(panel.locator(".traceback pre")).to_contain_text('self.table["weights"]')
    page.keyboard.press("Space")
    expect(panel.locator(".traceback pre")).to_be_hidden()
