"""A reader walks through a network in JupyterLab: its layers, its channels, and what comes back from each."""

import base64
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from playwright.sync_api import Browser, Locator, Page, expect
from torch import nn

from nbvis import LayerExplorer, demo
from nbvis.engine import collect
from nbvis.sessions import encoded
from nbvis.widgets.explorer_painting import channel_picture
from nbvis.widgets.indexed import Indexed
from tests.browser.hosts import show
from tests.browser.lab import NO_MODEL, SCRIPT, Lab, Notebook, Panel, becomes, stands, until

KEYS = Path(__file__).parents[2] / "js/explorer_keys.js"
MAKE = """
from nbvis import LayerExplorer, demo
explorer = LayerExplorer(
    demo.network("cpu"), demo.photo("chelsea", size=112), layer="_blocks.5", channel=21, {options}
)
explorer
"""
GRAY = MAKE.format(options="colormap='gray'")
PNG = (
    "[__import__('base64').b64encode(__import__('nbvis.sessions').sessions.encoded(each.picture.image, True)).decode() "
    "for each in explorer._scene().panes() if each.key == {!r} and each.picture]"
)
# How far a canvas is from a PNG that is painted as large as it is, with the same smoothing.
FROM_PNG = """async (canvas, data) => {
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  const image = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
  const { width, height } = canvas, same = Object.assign(document.createElement("canvas"), { width, height });
  const context = same.getContext("2d");
  context.imageSmoothingEnabled = canvas.getContext("2d").imageSmoothingEnabled;
  context.imageSmoothingQuality = "high";
  context.drawImage(image, 0, 0, width, height);
  return apart(thumb(canvas), thumb(same));
}"""
# Red, green and blue at a place of a canvas, in shares of its sides.
PIXEL = """(canvas, [across, down]) => {
  const { width, height } = canvas, context = canvas.getContext("2d");
  return [...context.getImageData(Math.floor(across * width), Math.floor(down * height), 1, 1).data].slice(0, 3);
}"""
# A box over a picture, in shares of it: left, top, width, height.
BOX = """(part) => {
  const picture = part.closest(".stage").querySelector("canvas");
  const box = part.getBoundingClientRect(), all = picture.getBoundingClientRect();
  return [(box.left - all.left) / all.width, (box.top - all.top) / all.height, box.width / all.width,
    box.height / all.height];
}"""

Open = Callable[..., Notebook]
Shot = Callable[[str, Page | Locator], None]


class Explorer(Panel):
    """A LayerExplorer on the page; `canvas` is the picture of all channels."""

    def __init__(self, notebook: Notebook):
        super().__init__(notebook.page, notebook.page.locator(".nbvis"), "canvas[data-pane='layer']")
        self.notebook = notebook
        self.readout, self.layers = self.root.locator(".readout"), self.root.get_by_role("listbox", name="Layers")
        self.border = self.root.locator(".tile.chosen")
        self.settles()

    def pane(self, key: str) -> Locator:
        """One of the pictures."""
        return self.root.locator(f"canvas[data-pane='{key}']")

    def picture(self, key: str) -> Panel:
        """The panel with one of its pictures to look at."""
        return Panel(self.page, self.root, f"canvas[data-pane='{key}']")

    def settles(self) -> None:
        """Waits until all that is shown answers what was asked."""
        self.state("finished")
        expect(self.root).to_have_attribute("data-shown", "finished")
        expect(self.root.locator(".stale")).to_have_count(0)

    def is_right(self, *keys: str) -> None:
        """Waits until the canvases show what Python has painted."""

        def same(key: str) -> bool:
            painted = self.notebook.kernel(PNG.format(key))
            return bool(painted) and self.pane(key).evaluate(FROM_PNG, painted[0]) == 0

        for key in keys:
            until(lambda key=key: same(key), self.page, key)

    def button(self, name: str) -> Locator:
        """The button with this text."""
        return self.root.get_by_role("button", name=name, exact=True)

    def item(self, layer: str) -> Locator:
        """A layer's row in the list."""
        return self.layers.locator(f"[data-layer='{layer}']")

    def tile(self, channel: int) -> list[float]:
        """Where a channel is in the picture of all, in shares of it: left, top, width, height."""
        grid = "explorer._scene()._atlas[0].grid"
        (top, left), tile, (height, width) = self.notebook.kernel(
            f"({grid}.place({channel}), {grid}.tile, {grid}.size)"
        )
        return [left / width, top / height, tile[1] / width, tile[0] / height]

    def on_page(self, key: str, across: float, down: float) -> tuple[float, float]:
        """Where a place of a picture is on the page."""
        self.pane(key).scroll_into_view_if_needed()
        box = self.pane(key).bounding_box()
        assert box
        return box["x"] + across * box["width"], box["y"] + down * box["height"]

    def middle(self, channel: int) -> tuple[float, float]:
        """Where the middle of a channel's tile is on the page."""
        left, top, width, height = self.tile(channel)
        return self.on_page("layer", left + width / 2, top + height / 2)


def explored(open_notebook: Open, cell: str = GRAY) -> Explorer:
    notebook = open_notebook(cell)
    notebook.run(0)
    return Explorer(notebook)


def near(box: list[float]) -> Any:
    return pytest.approx(box, abs=0.006)


def test_it_opens_with_pictures_that_are_right(open_notebook: Open, shot: Shot) -> None:
    panel = explored(open_notebook)
    kernel = panel.notebook.kernel
    panel.is_right("input", "layer", "channel", "back")
    low, high, rows = kernel(
        "(explorer.result.min().item(), explorer.result.max().item(), explorer.result[21].tolist())"
    )
    side = len(rows)
    for row, column in [(0, 0), (2, 5), (side - 1, 1), (3, side - 1)]:
        place = [(column + 0.5) / side, (row + 0.5) / side]
        grey = pytest.approx([255 * (rows[row][column] - low) / (high - low)] * 3, abs=2)
        becomes(lambda place=place: panel.pane("channel").evaluate(PIXEL, place), grey, panel.page, "a pixel")
    names = panel.layers.get_by_role("option").evaluate_all("(rows) => rows.map((row) => row.dataset.layer)")
    assert names == kernel("[each['name'] for each in explorer.layers]")
    expect(panel.item("_blocks.5")).to_have_attribute("aria-selected", "true")
    until(lambda: panel.item("_blocks.5").evaluate(
        "(row) => { const [a, b] = [row, row.parentElement].map((part) => part.getBoundingClientRect());"
        " return a.top >= b.top && a.bottom <= b.bottom; }"), panel.page, "the chosen layer is in sight")  # fmt: skip
    expect(panel.item("_blocks.5")).to_contain_text(re.compile(r"80 × 7².*sees \d+ px"))
    status = panel.root.locator("footer .status")
    until(lambda: status.text_content() == kernel("explorer.status"), panel.page, "the status")
    likely = panel.root.get_by_role("table", name="Likeliest classes").get_by_role("rowheader")
    labels = kernel("[each['label'] for each in explorer.top]")
    becomes(likely.all_text_contents, labels, panel.page, "the likeliest classes")
    becomes(lambda: panel.border.evaluate(BOX), near(panel.tile(21)), panel.page, "the border")
    shot("explorer", panel.page)


def test_a_click_on_a_tile_chooses_that_channel_at_once(open_notebook: Open) -> None:
    panel = explored(open_notebook)
    before, (x, y) = panel.picture("channel").thumb(), panel.middle(37)
    # In one go, so that the kernel cannot have answered.
    at_once = panel.canvas.evaluate(
        f"""(canvas, [clientX, clientY]) => {{
          canvas.dispatchEvent(new MouseEvent("click", {{ clientX, clientY, bubbles: true }}));
          return ({BOX})(canvas.parentElement.querySelector(".tile.chosen"));
        }}""",
        [x, y],
    )
    assert at_once == near(panel.tile(37))
    panel.notebook.gives("explorer.channel", 37)
    panel.picture("channel").differs(before)
    panel.page.mouse.click(*panel.middle(12))
    panel.notebook.gives("explorer.unit", ("_blocks.5", 12))
    expect(panel.root.locator("figure[data-key=channel] .title")).to_have_text(re.compile("^Channel 12"))
    panel.settles()
    panel.is_right("channel", "back")
    becomes(lambda: panel.border.evaluate(BOX), near(panel.tile(12)), panel.page, "the clicked tile has the border")
    panel.notebook.kernel("setattr(explorer, 'channel', 5)")
    becomes(lambda: panel.border.evaluate(BOX), near(panel.tile(5)), panel.page, "Python's choice has the border")


def test_what_the_mouse_is_at_is_read(open_notebook: Open) -> None:
    panel = explored(open_notebook)
    kernel, move = panel.notebook.kernel, panel.page.mouse.move
    left, top, width, height = panel.tile(37)
    values = kernel("[[round(each, 9) for each in row] for row in explorer.result[37].tolist()]")
    side = len(values)
    move(*panel.on_page("layer", left + 4.5 / side * width, top + 2.5 / side * height))
    expect(panel.readout).to_have_text(re.compile(r"^channel 37 · row 2, column 4 · "))
    said = float((panel.readout.text_content() or "").split()[-1].replace("−", "-"))
    assert said == pytest.approx(values[2][4], rel=1e-3)
    tile = panel.root.locator(".tile:not(.chosen)")
    becomes(lambda: tile.evaluate(BOX), near([left, top, width, height]), panel.page, "the tile has a border")
    move(*panel.on_page("channel", 0.5 / side, 0.5 / side))
    expect(panel.readout).to_contain_text("channel 21 · row 0, column 0")
    expect(panel.root.locator(".tile:not(.chosen)")).to_be_hidden()
    for key, title in [("input", "Input"), ("back", "Gradient")]:
        move(*panel.on_page(key, 0.5, 0.25))
        expect(panel.readout.locator("b")).to_have_text(title)
        expect(panel.readout).to_contain_text("row 28, column 56")
        # The same place is marked in the others.
        expect(panel.root.locator(".mark:visible")).to_have_count(3)


def test_a_click_on_a_picture_chooses_the_place(open_notebook: Open, shot: Shot) -> None:
    panel = explored(open_notebook)
    kernel, here, box = panel.notebook.kernel, panel.root.locator(".here"), panel.root.locator(".box")
    strongest = kernel("divmod(explorer.result[21].argmax().item(), explorer.result.shape[2])")
    side = kernel("explorer.result.shape[1]")
    becomes(
        lambda: here.evaluate(BOX), near([strongest[1] / side, strongest[0] / side, 1 / side, 1 / side]), panel.page,
        "the strongest place",
    )  # fmt: skip
    panel.page.mouse.click(*panel.on_page("channel", 5.5 / side, 1.5 / side))
    panel.notebook.gives("explorer.place", [1, 5])
    becomes(lambda: here.evaluate(BOX), near([5 / side, 1 / side, 1 / side, 1 / side]), panel.page, "the place")

    def clipped(place: str) -> list[float]:
        top, left, bottom, right = (min(max(edge / 112, 0), 1) for edge in kernel(
            f"explorer._subject.boxes('_blocks.5', {place})[0]"))  # fmt: skip
        return [left, top, right - left, bottom - top]

    becomes(lambda: box.evaluate(BOX), near(clipped("(1, 5)")), panel.page, "what the place sees")
    panel.page.mouse.click(*panel.on_page("input", 0.5 / side, (side - 0.5) / side))
    panel.notebook.gives("explorer.place", [side - 1, 0])
    becomes(lambda: box.evaluate(BOX), near(clipped(f"({side - 1}, 0)")), panel.page, "what the corner sees")
    panel.settles()
    before = panel.picture("back").thumb()
    panel.button("One place").click()
    panel.picture("back").differs(before, by=0.2)
    panel.notebook.gives("explorer.seed", "place")
    shot("explorer-place", panel.page)


def test_a_layer_is_found_by_click_and_by_name(open_notebook: Open) -> None:
    panel = explored(open_notebook)
    panel.item("_blocks.6").click()
    panel.notebook.gives("explorer.unit", ("_blocks.6", 21))
    expect(panel.item("_blocks.6")).to_have_attribute("aria-selected", "true")
    panel.settles()
    panel.is_right("layer", "channel", "back")
    field = panel.root.get_by_role("textbox", name="Search layers")
    field.fill("conv_head")
    expect(panel.layers.get_by_role("option").first).to_have_attribute("data-layer", "_conv_head")
    field.press("Enter")
    panel.notebook.gives("explorer.layer", "_conv_head")
    field.fill("nothing is called so")
    expect(panel.root.get_by_text("No layer answers")).to_be_visible()
    field.fill("")
    # More channels than fit on a page.
    where = panel.root.locator(".pager output")
    expect(where).to_have_text("channels 0 – 1,023 of 1,280")
    panel.button("Next page").click()
    expect(where).to_have_text("channels 1,024 – 1,279 of 1,280")
    panel.notebook.gives("explorer.page", 1)
    expect(panel.button("Next page")).to_be_disabled()
    panel.settles()
    panel.is_right("layer")
    expect(panel.border).to_be_hidden()
    panel.page.mouse.click(*panel.middle(1100))
    panel.notebook.gives("explorer.channel", 1100)
    panel.pane("layer").press("ArrowUp")
    columns = panel.notebook.kernel("explorer._scene()._atlas[0].grid.columns")
    panel.notebook.gives("explorer.channel", 1100 - columns)


def test_the_keyboard_walks_from_channel_to_channel_and_up_to_the_layers(open_notebook: Open, shot: Shot) -> None:
    panel = explored(open_notebook)
    press, gives = panel.page.keyboard.press, panel.notebook.gives
    columns = panel.notebook.kernel("explorer._scene()._atlas[0].grid.columns")
    panel.canvas.focus()
    expected = 21
    for key, by in [
        ("ArrowRight", 1), ("ArrowDown", columns), ("ArrowLeft", -1), ("ArrowUp", -columns), ("l", 1), ("k", columns),
        ("j", -1), ("i", -columns), ("L", 3), ("J", -3), ("K", 3 * columns), ("I", -3 * columns),
    ]:  # fmt: skip
        press(key)
        expected += by
        gives("explorer.channel", expected)
    expect(panel.readout).to_have_text(re.compile(f"^Channel {expected}"))
    for _ in range(expected // columns):
        press("ArrowUp")
    expect(panel.canvas).to_be_focused()
    press("ArrowUp")
    expect(panel.layers).to_be_focused()
    gives("explorer.channel", expected % columns)
    names = panel.notebook.kernel("[each['name'] for each in explorer.layers]")
    at = names.index("_blocks.5")
    press("ArrowDown")
    gives("explorer.layer", names[at + 1])
    press("i")
    gives("explorer.layer", names[at])
    shot("explorer-list", panel.page)
    press("ArrowRight")
    expect(panel.canvas).to_be_focused()
    for key, to in [("o", at + 1), ("O", at + 4), ("u", at + 3), ("U", at)]:
        press(key)
        gives("explorer.layer", names[to])
    expect(panel.canvas).to_be_focused()


def test_keys_set_what_they_set_in_the_toolbox(open_notebook: Open) -> None:
    panel = explored(open_notebook, MAKE.format(options=""))
    press, gives = panel.page.keyboard.press, panel.notebook.gives
    panel.canvas.focus()
    maps = panel.notebook.kernel("['auto', *explorer.colormaps]")
    for key, trait, value in [
        ("a", "shows", "gradients"), ("a", "shows", "activations"), ("b", "back", "deconvnet"),
        ("B", "back", "gradient"), ("n", "view", "norm_blur"), ("N", "view", "norm"), ("y", "overlay", "active"),
        ("Y", "overlay", "none"), ("m", "colormap", maps[1]), ("M", "colormap", "auto"), ("t", "gamma", 0.7),
        ("T", "boost", 0.3), ("d", "frozen", True),
    ]:  # fmt: skip
        panel.canvas.focus()
        press(key)
        gives(f"explorer.{trait}", value)
    table = panel.root.get_by_role("table", name="Likeliest classes")
    press("8")
    expect(table).to_be_hidden()
    press("8")
    expect(table).to_be_visible()
    large = panel.root.locator(".main figure")
    for key in ("channel", "back", "layer"):
        press("z")
        expect(large).to_have_attribute("data-key", key)
        expect(panel.canvas).to_be_focused()
    press("z")
    press("Escape")
    expect(large).to_have_attribute("data-key", "layer")
    first = panel.notebook.kernel("explorer.layers[0]['name']")
    gives("(explorer.layer, explorer.channel, explorer.back)", (first, 0, "off"))
    gives("(explorer.boost, explorer.gamma, explorer.frozen)", (0, 1, False))
    field = panel.root.get_by_role("textbox", name="Search layers")
    field.focus()
    press("b")
    expect(field).to_have_value("b")
    panel.slider("Gamma").focus()
    press("ArrowLeft")
    panel.notebook.until("explorer.gamma < 1")
    gives("(explorer.channel, explorer.back)", (0, "off"))


def test_ways_back_and_views_change_the_picture(open_notebook: Open, shot: Shot) -> None:
    panel = explored(open_notebook)
    back = panel.picture("back")
    group = panel.root.get_by_role("group", name="Sent back")
    for label in ("Deconvnet", "Guided backprop"):
        before = back.thumb()
        group.get_by_role("button", name=label).click()
        back.differs(before, by=0.3)
        panel.settles()
        expect(panel.root.locator("figure[data-key=back] .title")).to_contain_text(label)
        panel.is_right("back")
    view = panel.root.get_by_role("combobox", name="View")
    for name in ("grey", "norm", "norm_blur", "sum_positive", "histogram"):
        before = back.thumb()
        view.select_option(name)
        back.differs(before, by=0.3)
    panel.is_right("back")
    view.select_option("norm")
    before = panel.picture("channel").thumb()
    panel.root.get_by_role("combobox", name="Overlay").select_option("active")
    panel.picture("channel").differs(before)
    before = panel.picture("layer").thumb()
    panel.button("Gradients").click()
    panel.picture("layer").differs(before)
    panel.settles()
    panel.is_right("layer", "channel")
    shot("explorer-gradients", panel.page)
    group.get_by_role("button", name="Off").click()
    expect(panel.root.get_by_text("Nothing is sent back", exact=True)).to_be_visible()
    expect(panel.root.locator("figure[data-key=back].empty")).to_have_count(1)
    expect(panel.root.locator("figure[data-key=layer] .instead")).to_contain_text("choose a way back")


def test_a_frozen_origin_stays_while_the_channel_changes(open_notebook: Open) -> None:
    panel = explored(open_notebook)
    panel.root.get_by_role("switch", name="Freeze origin").check()
    panel.notebook.gives("explorer.origin", "_blocks.5:21")
    panel.settles()
    before = panel.picture("back").thumb()
    panel.page.mouse.click(*panel.middle(40))
    expect(panel.root.locator("figure[data-key=channel] .title")).to_have_text(re.compile("^Channel 40"))
    panel.settles()
    panel.picture("back").is_again(before)
    expect(panel.root.locator("figure[data-key=back] .title")).to_contain_text("_blocks.5:21")
    panel.root.get_by_role("switch", name="Freeze origin").uncheck()
    expect(panel.root.locator("figure[data-key=back] .title")).to_contain_text("_blocks.5:40")
    panel.picture("back").differs(before, by=0.2)


def test_another_picture_is_large_at_a_click(open_notebook: Open, shot: Shot) -> None:
    panel = explored(open_notebook)

    def width(key: str) -> float:
        box = panel.pane(key).bounding_box()
        return box["width"] if box else 0

    wide, small = width("layer"), width("channel")
    panel.root.get_by_role("group", name="Large").get_by_role("button", name="Channel", exact=True).click()
    until(lambda: width("channel") > 1.8 * small and width("layer") < wide / 1.8, panel.page, "the channel is large")
    panel.page.mouse.click(*panel.middle(33))
    panel.notebook.gives("explorer.channel", 33)
    panel.settles()
    panel.is_right("layer", "channel")
    shot("explorer-large", panel.page)
    panel.button("All channels").click()
    until(lambda: width("layer") > 0.9 * wide, panel.page, "all channels are large again")


def test_the_help_lists_every_key(open_notebook: Open) -> None:
    panel = explored(open_notebook)
    panel.canvas.focus()
    panel.page.keyboard.press("h")
    text = panel.root.get_by_role("dialog", name="Help")
    expect(text).to_be_focused()
    told = text.locator("kbd").all_text_contents()
    shown = re.findall(r'shown: "([^"]+)"', KEYS.read_text(encoding="utf-8"))
    assert len(shown) > 15
    assert told[: len(shown)] == shown
    assert "h ?" in told
    panel.page.keyboard.press("ArrowDown")  # scrolls
    panel.notebook.gives("explorer.channel", 21)
    panel.page.keyboard.press("h")
    expect(text).to_be_hidden()
    panel.page.keyboard.press("Shift+?")
    expect(text).to_be_visible()
    panel.page.keyboard.press("Escape")
    expect(text).to_be_hidden()
    panel.notebook.gives("explorer.layer", "_blocks.5")  # that Escape was the help's


def test_without_its_kernel_it_shows_the_last_pictures(open_notebook: Open, lab: Lab, shot: Shot) -> None:
    notebook = open_notebook(GRAY, kernel=None)
    notebook.run(0)
    panel = Explorer(notebook)
    panel.page.mouse.click(*panel.middle(37))
    expect(panel.root.locator("figure[data-key=channel] .title")).to_have_text(re.compile("^Channel 37"))
    panel.settles()
    before = panel.thumb()
    last = notebook.keeps("explorer._picture()")
    notebook.page.evaluate("jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    panel.canvas.focus()
    notebook.page.keyboard.press("l")
    expect(panel.root.get_by_text("No kernel answers.")).to_be_visible()
    expect(panel.root.locator(".body")).to_have_attribute("inert", "")
    panel.is_again(before)
    shot("explorer-asleep", notebook.page)
    notebook.close()
    lab.shut_down(notebook.path)
    notebook.forget_kernel()
    notebook.allowed += (NO_MODEL,)
    notebook.open()  # on a new kernel that knows nothing of it
    expect(notebook.page.get_by_text("Run this cell to bring it back to life.")).to_be_visible()
    picture = notebook.page.locator(".jp-RenderedImage img")
    expect(picture).to_have_attribute("src", f"data:image/png;base64,{last}")
    controls = notebook.page.locator(".nbvis :is(button, input, select, canvas)")
    expect(controls.filter(visible=True)).to_have_count(0)


def test_crisp_and_of_both_themes(open_notebook: Open, browser: Browser, shot: Shot) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 1350}, device_scale_factor=2)
    notebook = open_notebook(MAKE.format(options="back='guided_backprop', view='norm'"), page=page)
    notebook.run(0)
    Explorer(notebook).crisp_in_both_themes(notebook, shot, "explorer-")


def test_a_narrow_cell_stacks_and_scrolls_nowhere(open_notebook: Open, shot: Shot) -> None:
    panel = explored(open_notebook)
    whole = panel.page.viewport_size
    assert whole
    for window in (660, 460):
        panel.page.set_viewport_size({"width": window, "height": 2600})
        panel.where("canvas.closest('.nbvis').clientWidth < given", window - 80)
        for upper, lower in [(".overview", ".large"), (".large", ".side"), (".side", ".inspector")]:
            panel.above(upper, lower)
        panel.fits()
        shot(f"explorer-narrow-{window}", panel.root)
    panel.page.set_viewport_size(whole)


def test_layers_say_how_many_of_their_channels_are_dead(new_page: Callable[..., Page], shot: Shot) -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()).eval()
    with torch.no_grad():
        net[0].bias[1] = -100.0
    images = torch.rand(8, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    made = LayerExplorer(net, images[:1], statistics=collect(net, [images]))
    panel = show(new_page(), made)
    expect(panel.locator(".chip i.finished")).to_be_visible()
    count = [each["dead"] for each in made.layers]
    assert count[1] >= 1  # what the engine calls dead is its own business
    item = panel.get_by_role("option").nth(1)
    expect(item).to_contain_text(f"ReLU, {count[1]} dead")
    gone, whole = item.locator(".gone").bounding_box(), item.locator(".health").bounding_box()
    assert gone and whole
    assert gone["width"] / whole["width"] == pytest.approx(count[1] / 4, abs=0.02)
    shot("explorer-dead", panel)
    made.close()


def test_a_finger_chooses_a_channel_and_a_place(browser: Browser, shot: Shot) -> None:
    made = LayerExplorer(demo.network("cpu"), demo.photo("chelsea", size=112), layer="_blocks.5", channel=21)
    page = browser.new_page(viewport={"width": 400, "height": 900}, has_touch=True)
    panel = show(page, made)
    expect(panel.locator(".chip i.finished")).to_be_visible()
    expect(panel).to_have_attribute("data-shown", "finished")
    grid = made._scene()._atlas[0]
    assert grid
    (top, left), (height, width) = grid.grid.place(37), grid.grid.size
    for key, across, down in [("layer", (left + 3) / width, (top + 3) / height), ("channel", 0.5 / 7, 1.5 / 7)]:
        canvas = panel.locator(f"canvas[data-pane={key}]")
        canvas.scroll_into_view_if_needed()
        box = stands(canvas.bounding_box, page, "the picture")
        page.touchscreen.tap(box["x"] + across * box["width"], box["y"] + down * box["height"])
        expect(panel.locator("figure[data-key=channel]:not(.stale) .title")).to_have_text(re.compile("^Channel 37"))
    until(lambda: (made.channel, made.place) == (37, [1, 0]), page, "what was tapped is chosen")
    expect(panel.locator(".readout")).to_contain_text("channel 37 · row 1, column 0")
    page.close()
    made.close()


def test_a_picture_that_is_on_the_screen_is_not_decoded_again(new_page: Callable[..., Page]) -> None:
    made = LayerExplorer(demo.network("cpu"), demo.photo("chelsea", size=112), layer="_blocks.5", channel=21)
    page = new_page()
    panel = show(page, made)
    for key in ("input", "layer", "channel", "back"):
        expect(panel.locator(f"figure[data-key={key}]:not(.stale, .empty)")).to_have_count(1)
    expect(panel.locator(".chip i.finished")).to_be_visible()
    expect(panel).to_have_attribute("data-shown", "finished")
    page.evaluate("""() => {
      const make = createImageBitmap, put = OffscreenCanvasRenderingContext2D.prototype.putImageData;
      window.decoded = [];
      window.createImageBitmap = (source, ...box) => {
        if (source instanceof Blob) decoded.push(source.size);
        return make(source, ...box);
      };
      OffscreenCanvasRenderingContext2D.prototype.putImageData = function (data, ...at) {
        decoded.push(`${data.width} × ${data.height}`);
        return put.call(this, data, ...at);
      };
    }""")
    panel.locator("canvas[data-pane=layer]").press("ArrowRight")
    for key, title in {"channel": "Channel 22", "back": "_blocks.5:22"}.items():
        expect(panel.locator(f"figure[data-key={key}]:not(.stale)")).to_contain_text(title)
    sources = {pane.key: pane.picture for pane in made._scene().panes() if pane.picture}
    sizes = {
        key: " × ".join(map(str, each.source.size)) if isinstance(each.source, Indexed) else len(each.sent)
        for key, each in sources.items()
    }
    decoded = page.evaluate("decoded")
    assert {sizes["channel"], sizes["back"]} <= set(decoded)
    assert not {sizes["input"], sizes["layer"]} & set(decoded)
    for key in ("input", "layer"):
        expect(panel.locator(f"figure[data-key={key}]:not(.stale, .empty)")).to_have_count(1)
    made.close()


@pytest.mark.parametrize("scale", ["layer", "channel"])
def test_a_channel_is_seen_before_the_kernel_answers_and_as_it_will_be(
    new_page: Callable[..., Page], scale: str
) -> None:
    made = LayerExplorer(
        demo.network("cpu"), demo.photo("chelsea", size=112), layer="_blocks.5", channel=21, scale=scale
    )
    page = new_page()
    panel = show(page, made)
    expect(panel.locator(".chip i.finished")).to_be_visible()
    expect(panel).to_have_attribute("data-shown", "finished")
    figure, here = panel.locator("figure[data-key=channel]"), panel.locator("figure[data-key=channel] .here")
    expect(here).to_be_visible()
    made.comm.cut = True
    panel.locator("canvas[data-pane=layer]").press("ArrowRight")
    expect(figure.locator(".title")).to_have_text(re.compile("^Channel 22"))
    expect(figure.locator(".sub")).to_be_empty()
    expect(here).to_be_hidden()  # where it answers most is not known yet
    painted = encoded(channel_picture(made.result, 22, made._scene()._look).image, lossless=True)
    page.add_script_tag(content=SCRIPT)
    apart = figure.locator("canvas").evaluate(FROM_PNG, base64.b64encode(painted).decode())
    assert apart == 0
    made.close()


def test_a_channel_that_is_seen_ahead_stays_when_a_frame_from_before_is_painted(new_page: Callable[..., Page]) -> None:
    made = LayerExplorer(demo.network("cpu"), demo.photo("chelsea", size=112), layer="_blocks.5", channel=21)
    page = new_page()
    panel = show(page, made)
    expect(panel.locator(".chip i.finished")).to_be_visible()
    expect(panel).to_have_attribute("data-shown", "finished")
    page.evaluate("""() => {
      const make = createImageBitmap, may = new Promise((go) => { window.go = go; });
      window.createImageBitmap = async (source, ...box) => {
        if (source instanceof Blob) { window.opening = true; await may; }
        return make(source, ...box);
      };
    }""")
    made.view = "raw"
    page.wait_for_function("window.opening")
    made.comm.cut = True
    figure, back = panel.locator("figure[data-key=channel]"), panel.locator("canvas[data-pane=back]")
    before = back.get_attribute("data-frame")
    panel.locator("canvas[data-pane=layer]").press("ArrowRight")
    expect(figure.locator(".title")).to_have_text(re.compile("^Channel 22"))
    page.evaluate("go()")
    expect(back).not_to_have_attribute("data-frame", before or "")
    expect(figure.locator(".title")).to_have_text(re.compile("^Channel 22"))
    expect(figure.locator(".instead")).to_be_hidden()
    made.comm.cut = False
    made.close()


@pytest.mark.parametrize("option", [{"overlay": "active"}, {"shows": "gradients"}], ids=str)
def test_a_channel_that_is_no_tile_of_what_is_shown_waits_for_the_kernel(
    new_page: Callable[..., Page], option: dict[str, str]
) -> None:
    net, image = demo.network("cpu"), demo.photo("chelsea", size=112)
    made = LayerExplorer(net, image, layer="_blocks.5", channel=21, back="gradient", **option)
    page = new_page()
    panel = show(page, made)
    expect(panel.locator(".chip i.finished")).to_be_visible()
    expect(panel).to_have_attribute("data-shown", "finished")
    made.comm.cut = True
    canvas = panel.locator("canvas[data-pane=layer]")
    canvas.press("ArrowRight")
    expect(canvas).to_have_attribute("aria-label", re.compile("channel 22 is chosen"))
    page.evaluate("new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))")
    expect(panel.locator("figure[data-key=channel] .title")).to_have_text(re.compile("^Channel 21"))
    made.comm.cut = False
    made.close()
