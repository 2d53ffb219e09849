"""Masks are painted on the picture: with the mouse, a pen, fingers and the keyboard, in two views, while it dreams."""

import re
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from playwright.sync_api import Browser, Locator, Page, expect
from torch import nn

from nbvis import DreamCanvas
from tests.browser.hosts import show
from tests.browser.lab import SCRIPT, Notebook, Panel, until

LONG = 60.0
HEIGHT, WIDTH = 60, 80

New = Callable[..., Page]
Open = Callable[..., Notebook]
Shot = Callable[[str, Page | Locator], None]


@pytest.fixture
def canvas() -> Iterator[DreamCanvas]:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 5), nn.ReLU(), nn.Conv2d(8, 8, 5))
    image = torch.rand(1, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0))
    made = DreamCanvas(network, image, formula="'0'[1] + '2'[3]", octaves=1, steps=200, jitter=2)
    assert made.wait(LONG)
    yield made
    made.close()


class Easel(Panel):
    """A panel with a picture that is painted on."""

    def __init__(self, page: Page, canvas: DreamCanvas):
        page.add_init_script(SCRIPT)
        page.goto("about:blank")
        super().__init__(page, show(page, canvas), "canvas[role=img]")
        self.widget = canvas
        expect(self.canvas).to_have_attribute("data-frame", re.compile(r"\d+"))

    def act(self, name: str) -> None:
        """Presses a button of the bar."""
        self.root.get_by_role("toolbar", name="Mask").get_by_role("button", name=name, exact=True).click()

    def at(self, x: float, y: float) -> tuple[float, float]:
        """A place of the picture, by its pixels, on the page."""
        box = self.canvas.bounding_box()
        assert box
        return box["x"] + x / WIDTH * box["width"], box["y"] + y / HEIGHT * box["height"]

    def drag(self, *places: tuple[float, float], release: bool = True) -> None:  # type: ignore[override]
        """Draws a line through pixels of the picture with the mouse."""
        mouse = self.page.mouse
        mouse.move(*self.at(*places[0]))
        mouse.down()
        for place in places[1:]:
            mouse.move(*self.at(*place), steps=6)
        if release:
            mouse.up()

    def mask(self, holds: Callable[[np.ndarray | None], bool], term: int = 0) -> np.ndarray:
        """The mask of a term that the widget has, once all that was painted has arrived and something holds of it."""

        def found() -> bool:
            mask = self.widget.masks[term]
            return self.root.get_attribute("data-paint") is None and holds(None if mask is None else mask.numpy())

        until(found, self.page, "the mask")
        mask = self.widget.masks[term]
        return np.zeros((HEIGHT, WIDTH)) if mask is None else mask.numpy()

    def paint(self, x: float, y: float) -> list[int]:
        """Red, green, blue and opacity of the paint over a pixel of the picture."""
        return self.root.locator("canvas.paint").evaluate(
            "(paint, [x, y]) => [...paint.getContext('2d').getImageData(x, y, 1, 1).data]", [x, y]
        )


@pytest.fixture
def easel(canvas: DreamCanvas, new_page: New) -> Easel:
    return Easel(new_page(), canvas)


def none(mask: np.ndarray | None) -> bool:
    return mask is None


def full_at(x: int, y: int) -> Callable[[np.ndarray | None], bool]:
    return lambda mask: mask is not None and mask[y, x] == 1


def test_the_picture_is_covered_by_one_button_until_it_is_painted(easel: Easel, shot: Shot) -> None:
    bar = easel.root.get_by_role("toolbar", name="Mask")
    expect(bar.get_by_role("button")).to_have_count(1)
    easel.drag((20, 20), (40, 40))
    assert easel.widget.masks == [None, None]
    easel.act("Paint")
    expect(bar.get_by_role("button", name="Brush")).to_have_attribute("aria-pressed", "true")
    expect(easel.root.locator(".painted")).to_have_text("No paint for '0'[1]: it grows in the whole picture.")
    easel.drag((20, 20), (40, 20))
    easel.mask(full_at(30, 20))
    shot("painting", easel.page)
    easel.act("Paint")
    expect(bar.get_by_role("button")).to_have_count(1)
    expect(easel.root.locator("canvas.paint")).to_have_count(0)
    expect(easel.root.locator(".painted")).to_contain_text("'0'[1] grows only where it is painted, ")


def test_the_brush_paints_under_the_mouse_and_the_eraser_takes_it_off(easel: Easel) -> None:
    easel.act("Paint")
    easel.drag((20, 20), (40, 20))
    mask = easel.mask(full_at(40, 20))
    assert mask[20, 18:42].min() == 1 and mask[40:].max() == 0 and mask[:, 60:].max() == 0
    assert 0 < mask[16, 30] < 1 or 0 < mask[15, 30] < 1 or 0 < mask[17, 30] < 1  # its edge is soft
    until(lambda: easel.paint(30, 20)[3] > 100 and easel.paint(30, 50)[3] == 0, easel.page, "the paint")
    easel.act("Erase")
    easel.drag((30, 10), (30, 30))
    mask = easel.mask(lambda mask: mask is not None and mask[20, 30] == 0)
    assert mask[20, 18] == 1
    for row in (16, 20, 24):
        easel.drag((5, row), (75, row))
    easel.mask(none)
    expect(easel.root.locator(".painted")).to_have_text("No paint for '0'[1]: it grows in the whole picture.")


def test_each_term_has_a_layer_in_its_colour(easel: Easel, shot: Shot) -> None:
    easel.act("Paint")
    easel.drag((20, 20), (30, 20))
    easel.mask(full_at(25, 20))
    until(lambda: easel.paint(25, 20)[3] > 100, easel.page, "the first colour")
    first = easel.paint(25, 20)[:3]
    easel.root.get_by_role("group", name="Terms of the objective").get_by_role("button").nth(2).click()
    until(lambda: easel.widget.term == 1, easel.page, "the second term")
    easel.drag((50, 40), (60, 40))
    easel.mask(full_at(55, 40), term=1)
    assert easel.widget.masks[0] is not None and easel.widget.masks[0][40, 55] == 0
    until(lambda: easel.paint(55, 40)[3] > 100, easel.page, "the second colour")
    assert np.abs(np.subtract(easel.paint(55, 40)[:3], first)).max() > 60
    expect(easel.root.locator(".painted")).to_contain_text("The rest stays as it is.")
    shot("two-terms-painted", easel.page)


def test_a_drag_fills_with_a_gradient_and_a_click_with_all(easel: Easel) -> None:
    easel.act("Paint")
    easel.act("Fill")
    easel.drag((20, 30), (60, 30))
    mask = easel.mask(lambda mask: mask is not None and abs(mask[5, 40] - 0.5) < 0.03)
    assert mask[:, :19].min() == 1 and mask[:, 61:].max() == 0
    easel.drag((40, 20))
    assert easel.mask(lambda mask: mask is not None and mask[0, 79] == 1).min() == 1


def test_buttons_invert_feather_clear_and_undo(easel: Easel) -> None:
    easel.act("Paint")
    easel.act("Rectangle")
    easel.drag((20, 10), (60, 50))
    box = easel.mask(full_at(40, 30))
    assert box[10:50, 20:60].min() == 1 and box.sum() == 40 * 40
    easel.act("Invert")
    assert np.array_equal(easel.mask(lambda mask: mask is not None and mask[0, 0] == 1), 1 - box)
    easel.act("Feather")
    soft = easel.mask(lambda mask: mask is not None and 0 < mask[30, 22] < 1)
    assert abs(soft[30, 19] + soft[30, 20] - 1) < 0.02 and soft[30, 40] == 0
    easel.act("Clear")
    easel.mask(none)
    undo = easel.page.keyboard.press
    easel.canvas.focus()
    undo("Control+z")
    assert np.array_equal(easel.mask(lambda mask: mask is not None), soft)
    undo("Control+z")
    undo("Control+z")
    assert np.array_equal(easel.mask(full_at(40, 30)), box)
    easel.act("Redo (Ctrl+Shift+Z)")
    assert np.array_equal(easel.mask(lambda mask: mask is not None and mask[0, 0] == 1), 1 - box)
    for _ in range(2):
        easel.act("Undo (Ctrl+Z)")
    easel.mask(none)
    expect(easel.root.get_by_role("button", name="Undo (Ctrl+Z)")).to_have_attribute("aria-disabled", "true")


def test_the_keyboard_fills_a_rectangle(easel: Easel, shot: Shot) -> None:
    easel.canvas.focus()
    press = easel.page.keyboard.press
    press("m")
    expect(easel.root.locator(".stage .box")).to_have_count(0)  # it is not painted yet
    press("b")
    press("m")
    box = easel.root.locator(".stage .box")
    expect(box).to_be_visible()
    for key in ("ArrowLeft", "ArrowLeft", "ArrowUp", "Shift+ArrowRight", "Shift+ArrowDown"):
        press(key)
    shot("keyboard-rectangle", easel.page)
    press("Enter")
    mask = easel.mask(lambda mask: mask is not None)
    rows, columns = np.nonzero(mask)
    assert (columns.min(), columns.max() + 1) == (26, 48) and mask.max() == 1
    assert (rows.min(), rows.max() + 1) == (21, 38) or (rows.min(), rows.max() + 1) == (20, 37)
    press("Shift+ArrowLeft")
    press("Delete")
    left = easel.mask(lambda mask: mask is not None and mask[30, 30] == 0)
    assert 0 < left.sum() < mask.sum() / 2
    press("Control+z")
    assert np.array_equal(easel.mask(full_at(30, 30)), mask)
    press("Escape")
    expect(box).to_be_hidden()
    expect(easel.root.get_by_role("button", name="Paint", exact=True)).to_have_attribute("aria-pressed", "true")
    press("Escape")
    expect(easel.root.get_by_role("button", name="Paint", exact=True)).to_have_attribute("aria-pressed", "false")
    expect(easel.canvas).to_be_focused()


def test_the_keyboard_fills_a_gradient(easel: Easel) -> None:
    easel.canvas.focus()
    press = easel.page.keyboard.press
    for key in ("l", "ArrowLeft"):
        press(key)  # it is not painted yet
    press("b")
    press("ArrowRight")  # the brush has none
    easel.mask(none)
    press("l")
    expect(easel.root.get_by_role("button", name="Fill", exact=True)).to_have_attribute("aria-pressed", "true")
    press("ArrowRight")
    mask = easel.mask(lambda mask: mask is not None and mask[0, -1] > 0.9)
    assert np.allclose(mask, (np.arange(WIDTH) + 0.5) / WIDTH, atol=0.003)
    press("Enter")
    easel.mask(lambda mask: mask is not None and mask.min() == 1)
    press("Control+z")
    assert np.array_equal(easel.mask(lambda mask: mask is not None and mask.min() < 1), mask)


def test_keys_take_tools_and_sizes_and_the_help_has_them(easel: Easel) -> None:
    easel.canvas.focus()
    press, size = easel.page.keyboard.press, easel.root.get_by_role("slider", name="Brush size")
    press("e")
    expect(easel.root.get_by_role("button", name="Erase")).to_have_attribute("aria-pressed", "true")
    expect(size).to_have_value("10")
    press("]")
    expect(size).to_have_value("13")
    for _ in range(20):
        press("[")
    expect(size).to_have_value("1")
    for _ in range(40):
        press("]")
    expect(size).to_have_value(str(WIDTH // 2))
    press("h")
    told = easel.root.get_by_role("dialog", name="Help")
    for key in ("b e", "[ ]", "m", "Ctrl+Z"):
        expect(told.get_by_text(key, exact=True)).to_be_visible()


def test_paint_goes_where_the_pointer_is_in_a_magnified_picture(easel: Easel) -> None:
    easel.act("Paint")
    easel.canvas.focus()
    for _ in range(3):
        easel.page.keyboard.press("+")
    seen = easel.canvas.bounding_box()
    easel.drag((40, 30), (44, 30))
    mask = easel.mask(full_at(45, 30))
    rows, columns = np.nonzero(mask)
    assert abs(columns.mean() - 41.5) < 1 and abs(rows.mean() - 29.5) < 1
    assert easel.canvas.bounding_box() == seen  # painting moves nothing
    easel.page.keyboard.press("ArrowLeft")
    assert easel.canvas.bounding_box() != seen
    easel.page.keyboard.press("Escape")
    moved = easel.canvas.bounding_box()
    easel.drag((40, 30), (44, 34))
    assert easel.canvas.bounding_box() != moved
    assert np.array_equal(easel.mask(full_at(45, 30)), mask)


def test_a_pen_that_is_pressed_harder_paints_wider(easel: Easel) -> None:
    easel.act("Paint")
    pen = easel.page.context.new_cdp_session(easel.page)
    for y, force in ((15, 0.3), (45, 1.0)):
        held = {"button": "left", "buttons": 1, "clickCount": 1, "pointerType": "pen", "force": force}
        for kind, x in (("mousePressed", 30), ("mouseMoved", 40), ("mouseMoved", 50), ("mouseReleased", 50)):
            place = dict(zip("xy", easel.at(x, y), strict=True))
            pen.send("Input.dispatchMouseEvent", {"type": kind, **place, **held})
    mask = easel.mask(full_at(40, 45))
    assert 0 < (mask[:30, 40] > 0).sum() < 0.6 * (mask[30:, 40] > 0).sum()


@pytest.fixture
def touched(browser: Browser, canvas: DreamCanvas) -> Iterator[Easel]:
    context = browser.new_context(has_touch=True, viewport={"width": 420, "height": 700})
    yield Easel(context.new_page(), canvas)
    context.close()


def test_a_finger_paints_and_does_not_scroll_and_two_are_for_the_picture(touched: Easel, shot: Shot) -> None:
    finger = touched.page.context.new_cdp_session(touched.page)

    def touch(kind: str, *places: tuple[float, float]) -> None:
        points = [dict(zip("xy", touched.at(*place), strict=True)) | {"id": k} for k, place in enumerate(places)]
        finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touched.root.get_by_role("button", name="Paint", exact=True).tap()
    touched.canvas.scroll_into_view_if_needed()
    scrolled = touched.page.evaluate("scrollY")
    touch("touchStart", (40, 10))
    for y in range(15, 55, 5):
        touch("touchMove", (40, y))
    touch("touchEnd")
    mask = touched.mask(full_at(40, 50))
    assert mask[12:50, 40].min() == 1 and mask[:, 60:].max() == 0
    assert touched.page.evaluate("scrollY") == scrolled
    shot("touch", touched.page)
    touch("touchStart", (20, 30))
    touch("touchMove", (22, 30))
    touch("touchStart", (22, 30), (60, 30))
    for apart in range(1, 8):
        touch("touchMove", (22 - apart, 30), (60 + apart, 30))
    touch("touchEnd")
    expect(touched.root.locator(".stage")).to_have_class(re.compile("magnified"))
    assert np.array_equal(touched.mask(lambda found: found is not None and found[30, 22] == 0), mask)


def test_paint_acts_on_a_dream_that_runs(easel: Easel) -> None:
    easel.play.click()
    easel.state("running")
    easel.frames(2)
    easel.act("Paint")
    easel.drag((20, 20), (40, 20), release=False)
    session = easel.widget._session
    until(lambda: any("objective" in changed for _, changed in session.changes), easel.page, "the run takes the mask")
    easel.where("canvas.dataset.rev >= given", session.rev)  # under the held mouse
    easel.page.mouse.up()
    easel.play.click()
    easel.state("paused")
    assert session.last is not None and session.last.index > 1 and easel.widget.error == ""
    assert next(index for index, changed in session.changes if "objective" in changed) > 1
    assert easel.widget.expression.startswith("channel('0', 1).within(mask)")


def test_what_python_masks_is_seen_and_painted_on(easel: Easel) -> None:
    half = torch.zeros(HEIGHT, WIDTH)
    half[:, :40] = 1
    easel.act("Paint")
    easel.widget.set_mask(0, half)
    until(lambda: easel.paint(20, 30)[3] > 100 and easel.paint(60, 30)[3] == 0, easel.page, "the paint")
    easel.drag((60, 30), (62, 30))
    assert easel.mask(full_at(61, 30))[:, :40].min() == 1
    easel.page.keyboard.press("Control+z")
    assert np.array_equal(easel.mask(lambda mask: mask is not None and mask[30, 61] == 0), half.numpy())
    easel.widget.masks = None
    until(lambda: easel.paint(20, 30)[3] == 0, easel.page, "no paint")


def test_a_visualisation_is_not_painted_and_says_so(easel: Easel) -> None:
    easel.act("Paint")
    easel.drag((20, 20), (40, 20))
    easel.mask(full_at(30, 20))
    easel.root.get_by_role("button", name="Visualise").click()
    expect(easel.root.get_by_role("toolbar", name="Mask")).to_be_hidden()
    expect(easel.root.locator(".painted")).to_have_text("What is painted confines a dream, not a visualisation.")
    easel.canvas.focus()
    easel.page.keyboard.press("b")
    expect(easel.root.locator("canvas.paint")).to_have_count(0)
    easel.root.get_by_role("button", name="Dream", exact=True).click()
    expect(easel.root.locator(".painted")).to_contain_text("'0'[1] grows only where it is painted")


TWO = """
import torch
from nbvis import DreamCanvas
network = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 5), torch.nn.ReLU())
canvas = DreamCanvas(network, torch.rand(1, 3, 60, 80), layer="0")
canvas
"""
PAINT = "(paint) => paint.getContext('2d').getImageData(25, 20, 1, 1).data[3]"


def test_two_views_have_the_same_paint_also_one_that_is_opened_later(open_notebook: Open, shot: Shot) -> None:
    notebook = open_notebook(TWO, "canvas")
    notebook.run(0)

    def opened(index: int) -> Locator:
        root = notebook.cell(index).locator(".nbvis")
        expect(root.locator(".stage canvas")).to_have_attribute("data-frame", re.compile(r"\d+"))
        root.get_by_role("button", name="Paint", exact=True).click()
        return root

    def painted(root: Locator, by: str, *, x: float) -> None:
        root.get_by_role("button", name=by, exact=True).click()
        root.scroll_into_view_if_needed()
        box = root.locator(".stage").bounding_box()
        assert box
        for act in (notebook.page.mouse.move, lambda x, y: notebook.page.mouse.down(), notebook.page.mouse.move):
            act(box["x"] + x / 80 * box["width"], box["y"] + 20 / 60 * box["height"])
        notebook.page.mouse.up()

    first = opened(0)
    painted(first, "Brush", x=25)
    notebook.until("canvas.masks[0] is not None and canvas.masks[0][20, 25].item() == 1")
    notebook.run(1)
    second = opened(1)
    until(lambda: second.locator("canvas.paint").evaluate(PAINT) > 100, notebook.page, "paint in the second view")
    painted(second, "Erase", x=25)
    notebook.until("canvas.masks[0] is None or canvas.masks[0][20, 25].item() == 0")
    until(lambda: first.locator("canvas.paint").evaluate(PAINT) == 0, notebook.page, "no paint in the first view")
    shot("two-views-painted", notebook.page)
    # What the first view had painted is no longer its own to undo.
    expect(first.get_by_role("button", name="Undo (Ctrl+Z)")).to_have_attribute("aria-disabled", "true")
    cells = notebook.page.locator(".jp-Notebook .jp-Cell")
    before = cells.count()
    second.locator(".stage canvas").first.focus()
    notebook.page.keyboard.press("Control+z")
    notebook.until("canvas.masks[0] is not None and canvas.masks[0][20, 25].item() == 1")
    notebook.command("notebook:insert-cell-below")  # done after whatever the key did in the notebook
    expect(cells).to_have_count(before + 1)
