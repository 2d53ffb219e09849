"""A reader asks a SaliencyView in JupyterLab: by mouse and keyboard, about any class, and whether to trust it."""

import base64
import re
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.conftest import WORKERS
from tests.browser.lab import NO_MODEL, Lab, Notebook, Panel, becomes, stands, until

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
MAKE = """
from nbvis import SaliencyView, demo
view = SaliencyView(demo.network("cpu"), demo.photo("coffee", size=224), {options})
view
"""
SMALL = MAKE.replace("224", "112")  # a quarter of the time, for what takes long
GRADIENT = MAKE.format(options="view='absolute'")
SLOW = MAKE.format(options="method='occlusion', window=8, stride=1")  # some 50 000 windows

Open = Callable[..., Notebook]
Shot = Callable[[str, Page | Locator], None]


class Saliency(Panel):
    """A SaliencyView on the page; `canvas` is the picture that is explained."""

    def __init__(self, page: Page, root: Locator):
        super().__init__(page, root, "canvas[data-pane='input']")
        self.readout, self.chips = root.locator(".readout"), root.get_by_role("group", name="Method")
        self.target = root.get_by_role("combobox", name="Target")

    def map(self, method: str) -> Panel:
        """The picture of a method's map, once it is of the newest question."""
        expect(self.root.locator(f"figure[data-key={method}]:not(.stale, .empty) canvas")).to_be_visible()
        return Panel(self.page, self.root, f"canvas[data-pane={method}]")

    def method(self, label: str) -> Locator:
        """The button of a method."""
        return self.chips.get_by_role("button", name=label, exact=True)

    def shows(self, *titles: str) -> None:
        """Waits until these pictures stand side by side and nothing is being computed."""
        expect(self.root.locator("figure .title")).to_have_text([re.compile(f"^{title}( ·.*)?$") for title in titles])
        self.state("finished")
        expect(self.root.locator(".stale, .panes .empty")).to_have_count(0)

    def button(self, name: str) -> Locator:
        """The button with this text."""
        return self.root.get_by_role("button", name=name, exact=True)

    def place(self, canvas: Locator, row: int, column: int) -> tuple[float, float]:
        """Where a pixel of a picture of 224 × 224 is on the page."""
        canvas.scroll_into_view_if_needed()
        box = canvas.bounding_box()
        assert box is not None
        return box["x"] + (column + 0.5) / 224 * box["width"], box["y"] + (row + 0.5) / 224 * box["height"]


def only_panel(notebook: Notebook) -> Saliency:
    return Saliency(notebook.page, notebook.page.locator(".nbvis"))


def test_the_tutorial_shows_its_panels(open_notebook: Open, shot: Shot) -> None:
    """Its other cells give what nbval compares; here those are run that show a panel."""
    cells = nbformat.read(NOTEBOOKS / "saliency_view.ipynb", as_version=4).cells
    code = [cell.source for cell in cells if cell.cell_type == "code"]
    shown = [source for source in code if re.search(r"^\w+\Z", source, re.MULTILINE)]
    assert len(shown) > 1
    notebook = open_notebook(*shown)
    notebook.command("notebook:run-all-cells")
    expect(notebook.page.locator(".jp-InputPrompt", has_text=re.compile(r"\[[ *]\]"))).to_have_count(0)
    expect(notebook.page.locator("[data-mime-type='application/vnd.jupyter.stderr'], .jp-mod-error")).to_have_count(0)
    for index in range(len(shown)):
        root = notebook.cell(index).locator(".nbvis")
        root.scroll_into_view_if_needed()
        panel = Saliency(notebook.page, root)
        panel.state("finished")
        expect(root.locator("figure:not(.empty) canvas")).not_to_have_count(1)
        shot(f"saliency-tutorial-{index}", notebook.page)


def test_another_method_is_one_click_away(open_notebook: Open, shot: Shot) -> None:
    notebook = open_notebook(GRADIENT)
    notebook.run(0)
    panel = only_panel(notebook)
    panel.shows("Input", "Gradient")
    shot("saliency", notebook.page)
    gradient = panel.map("gradient").thumb()
    panel.method("Grad-CAM").click()
    panel.shows("Input", "Grad-CAM")
    panel.map("grad_cam").differs(gradient, by=5)
    expect(panel.method("Grad-CAM")).to_have_attribute("aria-pressed", "true")
    expect(panel.method("Gradient")).to_have_attribute("aria-pressed", "false")
    expect(panel.root.get_by_role("combobox", name="Layer")).to_have_value(notebook.kernel("view.layer"))
    notebook.gives("(view.method, list(view.results))", ("grad_cam", ["grad_cam"]))
    panel.method("Gradient").click()
    panel.shows("Input", "Gradient")
    panel.map("gradient").is_again(gradient)


def test_every_view_and_overlay_is_another_picture(open_notebook: Open, shot: Shot) -> None:
    notebook = open_notebook(GRADIENT)
    notebook.run(0)
    panel = only_panel(notebook)
    panel.shows("Input", "Gradient")
    view, shown = panel.root.get_by_label("View"), panel.map("gradient")
    for name in ["raw", "norm", "grey", "norm_blur", "signed", "sum_positive", "negative", "histogram", "positive"]:
        before = shown.thumb()
        view.select_option(name)
        shown.differs(before)
    view.select_option("histogram")
    expect(panel.root.get_by_label("Overlay")).to_be_hidden()
    expect(panel.root.locator(".scale:visible")).to_have_count(0)
    notebook.page.mouse.move(*panel.place(shown.canvas, 100, 112))
    expect(panel.readout).to_contain_text(re.compile(r" to .+ · [\d,]+ values"))
    shot("saliency-histogram", notebook.page)
    before = shown.thumb()
    view.select_option("norm")
    shown.differs(before)
    for name in ["active", "inactive", "blend"]:
        before = shown.thumb()
        panel.root.get_by_label("Overlay").select_option(name)
        shown.differs(before)
    before = shown.thumb()
    panel.drag("Opacity", 0.1)
    shown.differs(before)
    before = shown.thumb()
    panel.root.get_by_label("Colour map").select_option("viridis")
    notebook.until("(view.view, view.overlay, view.colormap) == ('norm', 'blend', 'viridis')")
    shown.differs(before, by=0.3)


def test_another_class_is_found_by_its_name(open_notebook: Open, shot: Shot) -> None:
    notebook = open_notebook(GRADIENT)
    notebook.run(0)
    panel = only_panel(notebook)
    panel.shows("Input", "Gradient")
    before = panel.map("gradient").thumb()
    expect(panel.target).to_have_value("espresso")
    panel.target.click()
    options = panel.root.get_by_role("option")
    expect(options.first).to_contain_text(re.compile(r"espresso\s*0\.9"))
    expect(options.locator(".likely")).to_have_count(5)
    panel.target.fill("trombone")
    expect(options.first).to_contain_text("trombone")
    shot("saliency-search", notebook.page)
    panel.target.press("Enter")
    notebook.until("view.expression == 'trombone'")
    notebook.until("view.target == view.labels.index('trombone')")
    panel.shows("Input", "Gradient")
    expect(panel.target).to_have_value("trombone")
    panel.map("gradient").differs(before, by=0.3)
    panel.target.press("ArrowDown")
    panel.target.fill("no such class")
    expect(panel.root.locator(".target .count")).to_have_text("No class answers “no such class”.")
    panel.target.press("Escape")
    expect(panel.target).to_have_value("trombone")


def test_the_value_under_the_mouse_is_that_of_the_map(open_notebook: Open, shot: Shot) -> None:
    notebook = open_notebook(MAKE.format(options="method='input_x_gradient'"))
    notebook.run(0)
    panel = only_panel(notebook)
    panel.shows("Input", "Input × gradient")
    canvas = panel.map("input_x_gradient").canvas
    notebook.page.mouse.move(*panel.place(canvas, 10, 10))
    # Faster than answers come: what stays is the answer to the last place.
    notebook.page.mouse.move(*panel.place(canvas, 100, 140), steps=40)
    expect(panel.readout).to_contain_text("row 100, column 140")
    said = panel.readout.inner_text().replace("−", "-")
    total = float(re.findall(r"-?\d[\d.e-]*", said.split("·")[1])[-1])
    exact = notebook.kernel("view.result.map[0, :, 100, 140].sum().item()")
    assert total == pytest.approx(exact, rel=5e-4)  # four digits
    expect(panel.root.locator(".mark:visible")).to_have_count(2)  # the same place in both pictures
    shot("saliency-value", notebook.page)
    notebook.page.mouse.move(*panel.place(panel.canvas, 7, 9))
    expect(panel.readout).to_contain_text(re.compile(r"Input\s*row 7, column 9 · red \d"))
    notebook.page.mouse.move(0, 0)
    expect(panel.readout).to_have_text("Point at a picture to read its values.")


def test_methods_are_compared_on_one_scale(open_notebook: Open, shot: Shot) -> None:
    notebook = open_notebook(GRADIENT)
    notebook.run(0)
    panel = only_panel(notebook)
    panel.button("Compare").click()
    panel.method("Guided backprop").click()
    panel.method("Grad-CAM").click()
    panel.shows("Input", "Gradient", "Guided backprop", "Grad-CAM")
    notebook.gives("(view.method, view.compare)", ("gradient", ["guided_backprop", "grad_cam"]))
    ends = panel.root.locator("figure:not([data-key=input]) .scale .high")
    until(lambda: len(set(ends.all_inner_texts())) == 3, notebook.page, "three scales")
    panel.root.get_by_role("switch", name="Lock limits").click()
    notebook.until("view.locked")
    until(lambda: len(set(ends.all_inner_texts())) == 1, notebook.page, "one scale")
    locked = ends.first.inner_text()
    shot("saliency-compare", panel.root)
    panel.method("Guided backprop").click()  # once more takes it away
    panel.shows("Input", "Gradient", "Grad-CAM")
    panel.method("Deconvnet").click()
    panel.shows("Input", "Gradient", "Grad-CAM", "Deconvnet")
    becomes(lambda: set(ends.all_inner_texts()), {locked}, notebook.page, "the locked scale")
    panel.method("Occlusion").click()
    expect(panel.root.locator("figure[data-key]")).to_have_count(5)
    panel.method("SmoothGrad").click()
    expect(panel.root.get_by_role("alert")).to_contain_text("Four maps fit side by side")
    panel.button("Compare").click()
    panel.shows("Input", "Gradient")
    notebook.gives("view.compare", [])


def test_what_takes_long_can_be_cancelled(open_notebook: Open, shot: Shot) -> None:
    notebook = open_notebook(SLOW, "view.stop()", "print('free')")
    notebook.run(0)
    panel, press = only_panel(notebook), notebook.page.keyboard.press
    bar = panel.root.get_by_role("progressbar")
    expect(bar).to_be_visible()
    panel.where("Number(canvas.closest('.nbvis').querySelector('[role=progressbar]').ariaValueNow) > given", 0)
    expect(panel.root.locator(".working")).to_contain_text(re.compile(r"Occlusion \d+ of \d+ · .+ to go"))
    shot("saliency-working", notebook.page)
    expect(notebook.run(2).locator(".jp-OutputArea-output")).to_have_text("free\n")
    for cancel in (panel.button("Cancel").click, lambda: press("Escape"), lambda: notebook.run(1)):
        panel.state("running")
        cancel()
        panel.state("stopped")
        expect(panel.chip).to_have_text("cancelled")
        expect(bar).to_be_hidden()
        notebook.until(f"{WORKERS} == 0")
        panel.button("Compute").focus()
        press("Enter")
        panel.canvas.focus()
    panel.state("running")
    expect(panel.button("Compute")).to_be_hidden()
    panel.method("Gradient").click()  # what is not wanted any more makes way
    panel.shows("Input", "Gradient")


def test_how_far_the_score_follows_the_maps(open_notebook: Open, shot: Shot) -> None:
    notebook = open_notebook(SMALL.format(options="method='grad_cam', compare=['gradient']"))
    notebook.run(0)
    panel = only_panel(notebook)
    panel.shows("Input", "Grad-CAM", "Gradient")
    expect(panel.root.get_by_role("table")).to_be_hidden()
    panel.button("Measure").click()
    rows = panel.root.locator(".bars tbody tr")
    expect(rows).to_have_count(5)
    expect(rows.locator("th")).to_have_text(["Grad-CAM", "Gradient", "random", "centre", "edges"])
    insertion = notebook.kernel("view.faithfulness['grad_cam'].insertion_area['attribution'].item()")
    expect(rows.first.locator(".number").first).to_have_text(f"{insertion:.3f}")
    panel.state("finished")
    note = panel.root.locator(".checks .note").first

    def said() -> bool:
        notes = [line for line in notebook.kernel("view.notes").split("\n") if line.startswith("Faithfulness of ")]
        told = " ".join(line.removeprefix("Faithfulness of ") for line in notes)
        return bool(told) and " ".join((note.text_content() or "").split()) == told  # a teapot of 112 pixels

    until(said, notebook.page, "the note")
    expect(panel.root.locator(".inspector .note")).to_have_count(0)
    shot("saliency-measured", panel.root)
    panel.method("Gradient").click()  # its bar is not taken for that of what comes instead
    panel.button("Compare").click()
    panel.method("Deconvnet").click()
    panel.shows("Input", "Deconvnet")
    expect(rows).to_have_count(0)


def test_the_sanity_check_speaks_plainly(open_notebook: Open, shot: Shot) -> None:
    notebook = open_notebook(SMALL.format(options="method='guided_backprop', view='absolute'"))
    notebook.run(0)
    panel = only_panel(notebook)
    panel.shows("Input", "Guided backprop")
    panel.button("Run the check").click()
    expect(panel.root.locator(".checks .note.bad")).to_contain_text("Failed")
    film = panel.root.locator(".film figure")
    expect(film).to_have_count(9)
    expect(film.first).to_have_text("as trained")
    expect(film.last).to_contain_text(notebook.kernel("view.sanity['stages'][-1]['layer']").replace(".", ".\u200b"))
    for each in film.locator("canvas").all():
        until(lambda each=each: each.evaluate("(canvas) => thumb(canvas).some(Boolean)"), notebook.page, "a film")
    shot("saliency-failed", panel.root)
    panel.method("Grad-CAM").click()
    panel.shows("Input", "Grad-CAM")
    expect(film.first).to_be_hidden()
    panel.button("Run the check").click()
    expect(panel.root.locator(".checks .note.good")).to_contain_text("Passed")
    expect(panel.button("Run again")).to_be_visible()
    shot("saliency-passed", panel.root)


def test_what_is_shown_is_saved(open_notebook: Open, tmp_path: Path) -> None:
    notebook = open_notebook(MAKE.format(options="compare=['grad_cam']"))
    notebook.run(0)
    panel, page = only_panel(notebook), notebook.page
    panel.shows("Input", "Gradient", "Grad-CAM")
    saved = {}
    for what, suffix in [("Picture (PNG)", ".png"), ("Page (HTML)", ".html")]:
        panel.button("Save").click()
        with page.expect_download() as download:
            panel.root.get_by_role("menuitem", name=what).click()
        assert download.value.suggested_filename == f"saliency{suffix}"
        download.value.save_as(tmp_path / f"saliency{suffix}")
        saved[suffix] = (tmp_path / f"saliency{suffix}").read_bytes()
    assert saved[".png"] == base64.b64decode(notebook.kernel("__import__('base64').b64encode(view._picture())"))
    text = saved[".html"].decode()
    assert text.count("<figure>") == text.count("data:image/png;base64,") == 3  # one for each picture on the panel
    assert "Grad-CAM" in text and "<script" not in text
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    panel.button("Copy as code").click()
    expect(panel.button("Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == notebook.kernel("view.recipe()")


def test_a_click_covers_a_square_and_the_next_one_uncovers_it(open_notebook: Open, shot: Shot) -> None:
    notebook = open_notebook(MAKE.format(options="window=48"))
    notebook.run(0)
    panel = only_panel(notebook)
    panel.shows("Input", "Gradient")
    image, before = panel.thumb(), panel.map("gradient").thumb()
    expect(panel.button("Uncover")).to_be_hidden()
    panel.button("Occlude here").click()
    notebook.until("view.click == 'occlude'")
    notebook.page.mouse.move(*panel.place(panel.canvas, 100, 80))
    covers = panel.root.locator("figure[data-key=input] .mark.covers")
    expect(covers).to_be_visible()
    corner = """(mark) => {
      const [box, whole] = [mark, mark.closest(".stage")].map((part) => part.getBoundingClientRect());
      return [(box.top - whole.top) / whole.height * 224, (box.left - whole.left) / whole.width * 224];
    }"""
    marked = stands(lambda: covers.evaluate(corner), notebook.page, "the mark")
    notebook.page.mouse.down()
    notebook.page.mouse.up()
    notebook.until("view.covered == [[76, 56]]")
    expect(panel.root.locator(".covered")).to_contain_text("1 square is covered.")
    assert marked == pytest.approx([76, 56], abs=0.5)  # what was marked is what was covered
    panel.shows("Input", "Gradient")
    panel.differs(image)
    panel.map("gradient").differs(before, by=0.2)
    shot("saliency-covered", notebook.page)
    canvas = panel.map("gradient").canvas
    notebook.page.mouse.click(*panel.place(canvas, 200, 200))  # in a map as well
    notebook.until("len(view.covered) == 2")
    notebook.page.mouse.click(*panel.place(canvas, 200, 200))
    notebook.until("view.covered == [[76, 56]]")
    panel.button("Uncover").click()
    notebook.until("view.covered == []")
    panel.shows("Input", "Gradient")
    panel.where("apart(thumb(canvas), given) === 0", image)
    panel.map("gradient").where("apart(thumb(canvas), given) === 0", before)


def test_a_click_explains_the_unit_there(open_notebook: Open, shot: Shot) -> None:
    notebook = open_notebook(GRADIENT)
    notebook.run(0)
    panel = only_panel(notebook)
    panel.shows("Input", "Gradient")
    before = panel.map("gradient").thumb()
    panel.button("Explain the unit").click()
    layer = panel.root.get_by_role("combobox", name="Layer")
    layer.fill("_blocks.3")
    layer.press("Enter")
    notebook.until("(view.click, view.layer) == ('unit', '_blocks.3')")
    notebook.page.mouse.click(*panel.place(panel.canvas, 60, 120))
    expect(panel.target).to_have_value(re.compile(r"^unit\('_blocks\.3', \d+, \d+, \d+\)$"))
    panel.shows("Input", "Gradient")
    panel.map("gradient").differs(before, by=0.3)
    shot("saliency-unit", notebook.page)
    panel.button("One channel").click()
    expect(panel.target).to_have_value(re.compile(r"^unit\('_blocks\.3', 0, \d+, \d+\)$"))
    panel.target.click()
    panel.target.press("Enter")
    expect(panel.target).to_have_value("espresso")
    panel.shows("Input", "Gradient")
    panel.map("gradient").where("apart(thumb(canvas), given) === 0", before)


def test_two_views_are_one_model(open_notebook: Open, shot: Shot) -> None:
    notebook = open_notebook(GRADIENT, "view")
    notebook.run(0)
    notebook.run(1)
    first, second = (Saliency(notebook.page, notebook.cell(index).locator(".nbvis")) for index in range(2))
    for panel in (first, second):
        panel.shows("Input", "Gradient")
    first.method("Grad-CAM").click()
    second.root.get_by_label("Overlay").select_option("blend")
    for panel in (first, second):
        panel.shows("Input", "Grad-CAM")
        expect(panel.field("Opacity")).to_be_visible()
    notebook.until("(view.method, view.overlay) == ('grad_cam', 'blend')")
    second.map("grad_cam").where("apart(thumb(canvas), given) < 1", first.map("grad_cam").thumb())
    shot("saliency-two-views", notebook.page)
    notebook.cell(0).locator(".jp-InputPrompt").click()
    notebook.command("notebook:clear-cell-output")
    expect(notebook.page.locator(".nbvis")).to_have_count(1)
    second.method("Gradient").click()
    second.shows("Input", "Gradient")
    notebook.gives("len(view._session._gate._views)", 1)


def test_without_its_kernel_it_shows_the_last_maps_and_no_dead_controls(
    open_notebook: Open, lab: Lab, shot: Shot
) -> None:
    notebook = open_notebook(GRADIENT, kernel=None)
    notebook.run(0)
    panel = only_panel(notebook)
    panel.method("Grad-CAM").click()
    panel.shows("Input", "Grad-CAM")
    before = panel.map("grad_cam").thumb()
    last = notebook.keeps("view._picture()")

    def shows_saved() -> None:
        expect(notebook.page.get_by_text("Run this cell to bring it back to life.")).to_be_visible()
        picture = notebook.page.locator(".jp-RenderedImage img")
        expect(picture).to_be_visible()
        expect(picture).to_have_attribute("src", f"data:image/png;base64,{last}")
        controls = notebook.page.locator(".nbvis :is(button, input, select, canvas)")
        expect(controls.filter(visible=True)).to_have_count(0)

    notebook.close()

    notebook.open()  # the kernel still lives
    panel = only_panel(notebook)
    panel.shows("Input", "Grad-CAM")
    panel.map("grad_cam").where("apart(thumb(canvas), given) < 1", before)
    # Restarted behind the panel's back, the kernel knows nothing of it; the panel says so and stays as it is.
    notebook.page.evaluate("jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    box = stands(panel.root.bounding_box, notebook.page, "the panel")
    panel.button("Measure").dispatch_event("click")
    expect(panel.root.get_by_text("No kernel answers.")).to_be_visible()
    expect(panel.root.locator(".body")).to_have_attribute("inert", "")
    becomes(panel.root.bounding_box, box, notebook.page, "its place")
    panel.map("grad_cam").where("apart(thumb(canvas), given) < 1", before)
    shot("saliency-asleep", notebook.page)
    notebook.close()
    lab.shut_down(notebook.path)
    notebook.forget_kernel()

    notebook.allowed += (NO_MODEL,)
    notebook.open()  # on a new kernel that knows nothing of it
    shows_saved()
    shot("saliency-saved", notebook.page)


def test_crisp_and_of_both_themes(open_notebook: Open, browser: Browser, shot: Shot) -> None:
    page = browser.new_page(viewport={"width": 1060, "height": 1250}, device_scale_factor=2)
    notebook = open_notebook(MAKE.format(options="compare=['grad_cam']"), page=page)
    notebook.run(0)
    panel = only_panel(notebook)
    panel.shows("Input", "Gradient", "Grad-CAM")
    panel.crisp_in_both_themes(notebook, shot, "saliency-")


TINY = """
import torch
from nbvis import SaliencyView
torch.manual_seed(0)
parts = {
    "features_of_the_first_block": torch.nn.Conv2d(3, 8, 3, 4), "rectified": torch.nn.ReLU(),
    "flattened": torch.nn.Flatten(), "the_fully_connected_classifier": torch.nn.Linear(8 * 16 * 16, 10),
}
net = torch.nn.Sequential()
for name, part in parts.items():
    net.add_module(name, part)
view = SaliencyView(net, torch.rand(3, 64, 64), compare=["grad_cam", "guided_grad_cam"])
view
"""


def test_a_narrow_cell_stacks_and_scrolls_nowhere(open_notebook: Open, shot: Shot) -> None:
    notebook = open_notebook(TINY)
    notebook.run(0)
    panel, page, whole = only_panel(notebook), notebook.page, notebook.page.viewport_size
    assert whole
    panel.button("Explain the unit").click()
    panel.button("Measure").click()
    panel.button("Run the check").click()
    expect(panel.button("Run again")).to_be_visible()
    panel.shows("Input", "Gradient", "Grad-CAM", "Guided Grad-CAM")
    for window in (580, 440):
        page.set_viewport_size({"width": window, "height": 2400})
        panel.where("canvas.closest('.nbvis').clientWidth < given", window - 80)
        panel.above(".seen", ".inspector")
        panel.fits()
        shot(f"saliency-narrow-{window}", panel.root)
    page.set_viewport_size(whole)


def test_every_control_has_a_name_and_the_keyboard_is_enough(open_notebook: Open, shot: Shot) -> None:
    notebook = open_notebook(MAKE.format(options="overlay='blend', window=32"))
    notebook.run(0)
    panel, press = only_panel(notebook), notebook.page.keyboard.press
    panel.shows("Input", "Gradient")
    controls = panel.root.locator("button, input, select, canvas").filter(visible=True)
    until(lambda: controls.count() > 20, notebook.page, "the controls")
    for control in controls.all():
        expect(control).to_have_accessible_name(re.compile(r"\S"))

    panel.method("Gradient").focus()
    press("Tab")
    expect(panel.method("Input × gradient")).to_be_focused()
    press("Enter")
    panel.shows("Input", "Input × gradient")
    press("7")
    panel.shows("Input", "Grad-CAM")
    press("c")
    press("1")
    panel.shows("Input", "Grad-CAM", "Gradient")
    panel.target.focus()
    press("7")  # in a text it is a letter
    expect(panel.target).to_have_value("7")
    press("Escape")
    notebook.gives("(view.method, view.compare)", ("grad_cam", ["gradient"]))

    panel.button("Occlude here").focus()
    press("Space")
    notebook.until("view.click == 'occlude'")
    panel.canvas.focus()
    press("ArrowRight")
    expect(panel.readout).to_contain_text("row 112, column 113")
    press("Shift+ArrowUp")
    expect(panel.readout).to_contain_text("row 102, column 113")
    shot("saliency-focus", notebook.page)
    press("Enter")
    notebook.until("view.covered == [[86, 97]]")
    help_button = panel.button("Help")
    help_button.focus()
    press("Enter")
    expect(panel.root.get_by_text("on a picture: a click")).to_be_visible()
    shot("saliency-help", notebook.page)
    press("Escape")
    expect(help_button).to_be_focused()


SMOOTH = """
import torch
from nbvis import SaliencyView
torch.manual_seed(0)
class Net(torch.nn.Sequential):
    broken = False
    def forward(self, x):
        if Net.broken:
            raise RuntimeError("the weights have gone away")
        return super().forward(x)
layers = torch.nn.Conv2d(3, 8, 3), torch.nn.SiLU(), torch.nn.Flatten(), torch.nn.Linear(8 * 62 * 62, 10)
view = SaliencyView(Net(*layers), torch.rand(3, 64, 64))
view
"""


def test_what_does_not_apply_is_said_and_never_painted(open_notebook: Open, shot: Shot) -> None:
    notebook = open_notebook(
        SMOOTH, "view.method = 'gradcam'", "Net.broken = True\nview.target = 3", "Net.broken = False"
    )
    notebook.run(0)
    panel = only_panel(notebook)
    panel.shows("Input", "Gradient")
    before = panel.map("gradient").thumb()
    panel.method("Guided backprop").click()
    instead = panel.root.locator("figure[data-key=guided_backprop] .instead")
    expect(instead).to_contain_text("SiLU")
    expect(panel.root.locator("figure[data-key=guided_backprop].empty canvas")).to_have_css("opacity", "0")
    doctor = panel.root.locator(".preprocessing")
    expect(doctor).to_contain_text("nothing tells")  # so it may not be ticked off
    expect(doctor).to_have_class("preprocessing unknown")
    shot("saliency-refused", notebook.page)
    panel.method("Gradient").click()
    panel.shows("Input", "Gradient")
    notebook.run(1)
    expect(notebook.cell(1).locator(".jp-OutputArea-output")).to_contain_text("no method 'gradcam'")
    field = panel.root.get_by_role("combobox", name="Map lives in")
    field.fill("0")
    field.press("Enter")
    panel.map("gradient").differs(before)
    panel.shows("Input", "Gradient")
    notebook.run(2)
    expect(panel.root.get_by_role("alert")).to_contain_text("the weights have gone away")
    panel.state("error")
    notebook.run(3)
    panel.button("Try again").click()
    panel.shows("Input", "Gradient")
    expect(panel.root.get_by_role("alert")).to_have_count(0)
