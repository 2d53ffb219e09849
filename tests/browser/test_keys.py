"""Keys pressed in a panel are the panel's; those with Ctrl or Meta are the host's, and the focus is never lost."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.lab import Notebook, Panel, until

DREAM = """
from nbvis import DreamCanvas, demo
canvas = DreamCanvas(demo.network("cpu"), demo.photo("chelsea", size=224), layer="_blocks.9", octaves=2, steps=4)
canvas
"""
SALIENCY = """
from nbvis import SaliencyView, demo
view = SaliencyView(demo.network("cpu"), demo.photo("coffee", size=224), compare=["grad_cam"])
view
"""
EXPLORER = """
from nbvis import LayerExplorer, demo
explorer = LayerExplorer(demo.network("cpu"), demo.photo("coffee", size=112), layer="_blocks.5", channel=21)
explorer
"""
FRAGILE = """
import torch
from nbvis import DreamCanvas
from nbvis.engine import activity
class Fragile(torch.nn.Module):
    table = {"weights": 1.0}
    def __init__(self):
        super().__init__()
        self.part = torch.nn.Conv2d(3, 4, 3)
    def forward(self, x):
        return self.one(self.part(x))
    def one(self, x):
        return self.two(x)
    def two(self, x):
        return self.three(x)
    def three(self, x):
        return x * self.table["weights"]
canvas = DreamCanvas(Fragile(), torch.rand(3, 64, 64), activity(""), octaves=1, steps=2)
canvas
"""

Open = Callable[..., Notebook]


def dream(open_notebook: Open) -> tuple[Notebook, Panel]:
    """A DreamCanvas between two other cells."""
    notebook = open_notebook("before = 1", DREAM, "after = 1")
    notebook.run(1)
    return notebook, Panel(notebook.page, notebook.page.locator(".nbvis"))


def parts(panel: Panel) -> dict[str, Locator]:
    """What can have the focus, one of each kind."""
    return {
        "slider": panel.slider("Learning rate"),
        "number": panel.field("Learning rate"),
        "picture": panel.canvas,
        "button": panel.root.get_by_role("button", name="Step", exact=True),
        "menu": panel.root.get_by_role("button", name="Save", exact=True),
        "list": panel.root.get_by_role("combobox", name="Layer"),
        "panel": panel.root,
    }


@pytest.mark.parametrize("part", ["slider", "number", "picture", "button", "menu", "list", "panel"])
def test_plain_keys_never_reach_the_notebook(open_notebook: Open, part: str) -> None:
    notebook, panel = dream(open_notebook)
    focused = parts(panel)[part]
    for key in ("x", "d", "d", "m", "y", "a", "b", "z", "0", "0", "Delete", "Shift+M", "Shift+Enter"):
        focused.focus()
        expect(focused).to_be_focused()
        notebook.page.keyboard.press(key)
    # Had a key come through, its command would be done by now: commands run in the order of their keys.
    notebook.command("notebook:insert-cell-below")
    cells = notebook.page.locator(".jp-Notebook .jp-Cell")
    expect(cells).to_have_count(4)
    expect(notebook.page.locator(".jp-CodeCell")).to_have_count(4)
    expect(notebook.page.locator(".jp-Dialog")).to_have_count(0)
    expect(panel.root).to_be_visible()


@pytest.mark.parametrize("part", ["picture", "list", "search", "choice", "switch", "panel"])
def test_the_toolboxs_keys_never_reach_the_notebook(open_notebook: Open, part: str) -> None:
    notebook = open_notebook("before = 1", EXPLORER, "after = 1")
    notebook.run(1)
    panel = Panel(notebook.page, notebook.page.locator(".nbvis"), "canvas[data-pane=layer]")
    panel.state("finished")
    focused = {
        "picture": panel.canvas,
        "list": panel.root.get_by_role("listbox", name="Layers"),
        "search": panel.root.get_by_role("textbox", name="Search layers"),
        "choice": panel.root.get_by_role("button", name="Activations"),
        "switch": panel.root.get_by_role("switch", name="Freeze origin"),
        "panel": panel.root,
    }[part]
    # As commands of the notebook some of them would add, cut or change cells, or ask.
    for key in ("a", "b", "d", "d", "m", "y", "z", "k", "j", "o", "x", "0", "0", "l", "Shift+M", "Shift+J", "Delete"):
        focused.focus()
        expect(focused).to_be_focused()
        notebook.page.keyboard.press(key)
    notebook.command("notebook:insert-cell-below")
    expect(notebook.page.locator(".jp-Notebook .jp-Cell")).to_have_count(4)
    expect(notebook.page.locator(".jp-CodeCell")).to_have_count(4)
    expect(notebook.page.locator(".jp-Dialog")).to_have_count(0)
    expect(panel.root).to_be_visible()
    if part == "search":
        expect(focused).to_have_value("abddmyzkjox00lMJ")
    else:
        notebook.gives("(explorer.frozen, explorer.overlay, explorer.colormap)", (False, "active", "auto"))


@pytest.mark.parametrize("part", ["slider", "number", "picture", "button", "menu", "list", "panel"])
def test_keys_with_control_are_the_notebooks(open_notebook: Open, part: str) -> None:
    notebook, panel = dream(open_notebook)
    file = notebook.lab.root / notebook.path
    saved = file.stat().st_mtime_ns
    parts(panel)[part].focus()
    notebook.page.keyboard.press("Control+s")
    until(lambda: file.stat().st_mtime_ns > saved, notebook.page, "the notebook is saved")


def test_a_click_anywhere_on_a_panel_gives_it_the_keys(open_notebook: Open) -> None:
    notebook, panel = dream(open_notebook)
    panel.root.get_by_role("heading", name="Scales").click()
    notebook.page.keyboard.press("x")
    notebook.page.keyboard.press(".")
    expect(panel.status).to_contain_text("step 1 of 8")
    expect(notebook.page.locator(".jp-Notebook .jp-Cell")).to_have_count(3)


def test_the_arrows_move_in_a_menu(open_notebook: Open) -> None:
    notebook, panel = dream(open_notebook)
    press = notebook.page.keyboard.press
    button, items = panel.root.get_by_role("button", name="Save", exact=True), panel.root.get_by_role("menuitem")
    button.focus()
    for key, focused in [
        ("ArrowDown", items.first), ("ArrowDown", items.nth(1)), ("ArrowUp", items.first), ("ArrowUp", items.last),
        ("ArrowDown", items.first), ("End", items.last), ("Home", items.first), ("End", items.last),
    ]:  # fmt: skip
        press(key)
        expect(focused).to_be_focused()
    press("Escape")
    expect(button).to_be_focused()
    expect(items).to_have_count(0)
    press("ArrowUp")
    expect(items.last).to_be_focused()
    press("Tab")
    expect(items).to_have_count(0)
    press("Shift+Tab")
    press("Enter")
    expect(items.first).to_be_focused()
    with notebook.page.expect_download() as download:
        press("Enter")
    assert download.value.suggested_filename == "dream.png"
    expect(items).to_have_count(0)
    expect(button).to_be_focused()


def test_the_help_can_be_read_with_the_keyboard(open_notebook: Open) -> None:
    notebook, panel = dream(open_notebook)
    notebook.page.set_viewport_size({"width": 1280, "height": 420})
    press = notebook.page.keyboard.press
    button = panel.root.get_by_role("button", name="Help")
    button.focus()
    press("Enter")
    text = panel.root.get_by_role("dialog", name="Help")
    expect(text).to_be_focused()
    higher = "(box) => box.scrollHeight > box.clientHeight"
    until(lambda: text.evaluate(higher), notebook.page, "more help than fits")
    press("End")
    until(lambda: text.evaluate("(box) => box.scrollTop > 0"), notebook.page, "the help scrolls")
    press("Escape")
    expect(text).to_be_hidden()
    expect(button).to_be_focused()
    notebook.page.set_viewport_size({"width": 1280, "height": 1000})


def test_the_focus_stays_on_a_picture_whose_map_changes(open_notebook: Open) -> None:
    notebook = open_notebook(SALIENCY, "view.method = 'occlusion'", "view.compare = []")
    notebook.run(0)
    panel = Panel(notebook.page, notebook.page.locator(".nbvis"), "canvas[data-pane=input]")
    maps = panel.root.locator(".panes canvas")
    expect(maps.nth(2)).to_be_visible()
    maps.nth(1).focus()
    notebook.page.keyboard.press("ArrowRight")
    notebook.kernel("setattr(view, 'method', 'input_x_gradient')")
    expect(panel.root.locator(".panes figcaption").nth(1)).to_contain_text("Input × gradient")
    expect(maps.nth(1)).to_be_focused()
    # The last picture goes: the focus stays in the panel.
    maps.nth(2).focus()
    notebook.kernel("setattr(view, 'compare', [])")
    expect(maps.filter(visible=True)).to_have_count(2)
    until(lambda: panel.root.evaluate("(root) => root.contains(document.activeElement)"), notebook.page, "has focus")


def test_the_focus_stays_in_the_panel_when_its_button_goes(open_notebook: Open) -> None:
    notebook = open_notebook(SALIENCY.replace('compare=["grad_cam"]', "method='occlusion', window=8, stride=1"))
    notebook.run(0)
    panel = Panel(notebook.page, notebook.page.locator(".nbvis"), "canvas[data-pane=input]")
    cancel = panel.root.get_by_role("button", name="Cancel")
    expect(cancel).to_be_visible()
    cancel.focus()
    notebook.page.keyboard.press("Enter")
    expect(cancel).to_be_hidden()
    expect(panel.root).to_have_attribute("class", re.compile("saliency-view"))
    until(lambda: panel.root.evaluate("(root) => root.contains(document.activeElement)"), notebook.page, "has focus")


def test_the_traceback_is_opened_and_read_with_the_keyboard(open_notebook: Open) -> None:
    notebook = open_notebook(FRAGILE, "del Fragile.table['weights']", "Fragile.table['weights'] = 1.0")
    notebook.run(0)
    panel = Panel(notebook.page, notebook.page.locator(".nbvis"))
    panel.state("ready")
    notebook.run(1)
    panel.play.click()
    panel.state("error")
    notebook.run(2)  # a key that played would now end the error
    press = notebook.page.keyboard.press
    summary, text = panel.root.locator(".traceback summary"), panel.root.locator(".traceback pre")
    summary.focus()
    press("Space")
    expect(text).to_be_visible()
    press("Tab")
    expect(text).to_be_focused()
    higher = "(box) => box.scrollHeight > box.clientHeight"
    until(lambda: text.evaluate(higher), notebook.page, "more of the traceback than fits")
    press("End")
    until(lambda: text.evaluate("(box) => box.scrollTop > 0"), notebook.page, "the traceback scrolls")
    press("Shift+Tab")
    press("Space")
    expect(text).to_be_hidden()
    expect(summary).to_be_focused()
    panel.state("error")
    notebook.gives("(canvas.state, canvas.running)", ("error", False))
