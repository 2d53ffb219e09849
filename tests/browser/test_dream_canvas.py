"""A reader runs a DreamCanvas in JupyterLab: with mouse and keyboard, twice, in two places, and without a kernel."""

import io
import re
from collections.abc import Callable
from pathlib import Path

import av
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.conftest import WORKERS
from tests.browser.lab import NO_MODEL, Lab, Notebook, Panel, becomes, run_tutorial, until

MAKE = """
from nbvis import DreamCanvas, demo
canvas = DreamCanvas(demo.network("cpu"), demo.photo("chelsea", size=224), layer="_blocks.9", {options})
canvas
"""
SHORT = MAKE.format(options="octaves=2, steps=4")
LONG = MAKE.format(options="octaves=8, octave_scale=1.1, steps=200")  # longer than any test

Open = Callable[..., Notebook]
Shot = Callable[[str, Page | Locator], None]


def only_panel(notebook: Notebook) -> Panel:
    return Panel(notebook.page, notebook.page.locator(".nbvis"))


def test_the_tutorial_runs_from_top_to_bottom(open_notebook: Open, shot: Shot) -> None:
    notebook = run_tutorial(open_notebook, "dream_canvas")
    panel = Panel(notebook.page, notebook.page.locator(".nbvis").first)
    panel.root.scroll_into_view_if_needed()
    before = panel.thumb()
    panel.root.get_by_role("button", name="Restart").click()
    panel.differs(before)
    shot("tutorial", notebook.page)


def test_frames_change_while_it_runs_and_rest_when_it_ends(open_notebook: Open, shot: Shot) -> None:
    notebook = open_notebook(MAKE.format(options="octaves=2, steps=30"))
    notebook.run(0)
    panel = only_panel(notebook)
    panel.state("ready")
    shot("ready", notebook.page)
    photograph, first = panel.thumb(), panel.frame()
    panel.play.click()
    panel.where("canvas.dataset.frame >= given", first + 2)  # counted from before, for the run may be short
    panel.differs(photograph)
    panel.state("finished")
    panel.rests()
    shot("finished", notebook.page)
    expect(panel.status).to_have_text("octave 2 of 2 · step 60 of 60")
    expect(panel.root.locator(".curve")).to_have_attribute("points", re.compile(r"\S+ \S+"))
    notebook.gives("(canvas.state, tuple(canvas.result.shape), len(canvas._session.history))", (
        "finished", (1, 3, 224, 224), 60,
    ))  # fmt: skip


def test_the_run_follows_the_slider_without_a_restart(open_notebook: Open, shot: Shot) -> None:
    notebook = open_notebook(LONG)
    notebook.run(0)
    panel = only_panel(notebook)
    panel.play.click()
    panel.frames(3)
    before = notebook.kernel("canvas.lr")
    panel.drag("Learning rate", 0.8, release=False)
    panel.frames(2)  # the run goes on under the held mouse
    shot("slider-held", notebook.page)
    notebook.page.mouse.up()
    shown = float(panel.field("Learning rate").input_value())
    assert shown > 2 * before
    notebook.until(f"canvas.lr == {shown!r}")
    panel.where("canvas.dataset.rev >= given", notebook.kernel("canvas._session.rev"))
    notebook.gives("(canvas._session.origin['lr'], canvas._session.changes[-1][1])", (before, {"lr": shown}))
    assert f"'lr': {shown!r}" in notebook.kernel("canvas.recipe()")


def test_python_moves_the_slider(open_notebook: Open) -> None:
    notebook = open_notebook(LONG, "canvas.lr = 0.1\ncanvas.octaves = 3\ncanvas.channel = 5")
    notebook.run(0)
    panel = only_panel(notebook)
    notebook.run(1)
    expect(panel.field("Learning rate")).to_have_value("0.1")
    expect(panel.slider("Octaves")).to_have_attribute("aria-valuetext", "3")
    expect(panel.field("Channel")).to_have_value("5")
    expect(panel.root.get_by_role("combobox", name="Formula")).to_have_value("_blocks.9[5]")


def test_the_kernel_is_free_meanwhile(open_notebook: Open) -> None:
    notebook = open_notebook(LONG, "print(canvas.state, sum(range(10)))")
    notebook.run(0)
    panel = only_panel(notebook)
    panel.play.click()
    panel.frames(2)
    cell = notebook.run(1)
    expect(cell.locator(".jp-OutputArea-output")).to_have_text("running 45\n")
    panel.frames(2)
    # Nothing that the worker does may land in another cell.
    expect(cell.locator(".jp-OutputArea-child")).to_have_count(1)


@pytest.mark.parametrize("way", ["button", "python"])
def test_stop_takes_effect(open_notebook: Open, way: str) -> None:
    notebook = open_notebook(LONG, "canvas.stop()")
    notebook.run(0)
    panel = only_panel(notebook)
    panel.play.click()
    panel.frames(3)
    if way == "button":
        panel.play.click()
        panel.state("paused")
        expect(panel.play).to_have_text("Go on")
    else:
        notebook.run(1)
        panel.state("stopped")
        expect(panel.play).to_have_text("Play")
    panel.rests()
    notebook.gives(WORKERS, 0)
    steps, last = notebook.kernel("(len(canvas._session.history), canvas._session._gate.number)")
    becomes(panel.frame, last, notebook.page, "what is on screen is the last there is")
    panel.play.click()
    panel.state("running")
    panel.frames(1)
    if way == "button":
        notebook.until(f"len(canvas._session.history) > {steps}")


def test_one_step_at_a_time(open_notebook: Open) -> None:
    notebook = open_notebook(SHORT)
    notebook.run(0)
    panel = only_panel(notebook)
    for step in range(1, 4):
        panel.root.get_by_role("button", name="Step", exact=True).click()
        expect(panel.status).to_contain_text(f"step {step} of 8")
        panel.state("paused")
    notebook.gives("len(canvas._session.history)", 3)


def test_a_run_takes_a_time_in_the_place_of_steps(open_notebook: Open, shot: Shot) -> None:
    # So many that there is no time for them, and then so few that they are soon taken.
    notebook = open_notebook(MAKE.format(options="octaves=2, steps=60"), "canvas.steps = 4")
    notebook.run(0)
    panel = only_panel(notebook)
    by = panel.root.get_by_role("group", name="Length").filter(visible=True)
    expect(panel.slider("Seconds")).to_be_hidden()
    by.get_by_role("button", name="Seconds").click()
    expect(panel.slider("Steps per octave")).to_be_hidden()
    expect(panel.field("Seconds")).to_have_value("10")
    panel.field("Seconds").fill("2")
    panel.field("Seconds").press("Enter")
    notebook.until("canvas.seconds == 2")
    panel.play.click()
    panel.state("finished")
    panel.rests()
    shot("timed", notebook.page)
    assert notebook.kernel("any('steps' in changed for _, changed in canvas._session.past.changes)")
    notebook.gives("canvas._session.differing", set())
    notebook.run(1)
    by.get_by_role("button", name="Steps").click()
    # As with every change after the end, the picture is made anew.
    expect(panel.status).to_have_text("octave 2 of 2 · step 8 of 8")
    expect(panel.slider("Steps per octave")).to_be_visible()
    panel.root.get_by_role("button", name="Visualise").click()
    by.get_by_role("button", name="Seconds").click()
    expect(panel.field("Seconds")).to_have_value("10")
    expect(panel.slider("Steps")).to_be_hidden()
    shot("timed-visualise", notebook.page)


def test_a_cell_run_twice_leaves_one_worker(open_notebook: Open) -> None:
    notebook = open_notebook(LONG)
    notebook.run(0)
    only_panel(notebook).play.click()
    only_panel(notebook).frames(2)
    notebook.gives(WORKERS, 1)
    notebook.run(0)
    notebook.until(f"{WORKERS} == 0")
    panel = only_panel(notebook)
    panel.state("ready")
    panel.play.click()
    panel.frames(2)
    notebook.gives(WORKERS, 1)


@pytest.mark.parametrize("how", ["clear the output", "delete the cell", "close the notebook"])
def test_a_run_that_nobody_sees_rests(open_notebook: Open, lab: Lab, how: str) -> None:
    notebook = open_notebook(LONG, "")
    notebook.run(0)
    only_panel(notebook).play.click()
    only_panel(notebook).frames(2)
    notebook.cell(0).locator(".jp-InputPrompt").click()
    if how == "clear the output":
        notebook.command("notebook:clear-cell-output")
    elif how == "delete the cell":
        notebook.command("notebook:delete-cell")
    else:
        notebook.close()
    notebook.until(f"(canvas.state, {WORKERS}) == ('paused', 0)")
    if how == "close the notebook":
        notebook.open()


def test_two_views_are_one_model(open_notebook: Open, shot: Shot) -> None:
    notebook = open_notebook(LONG, "canvas")
    notebook.run(0)
    notebook.run(1)
    first, second = (Panel(notebook.page, notebook.cell(index).locator(".nbvis")) for index in range(2))
    first.play.click()
    for panel in (first, second):
        panel.state("running")
        panel.frames(2)
    second.drag("Jitter", 0.1)
    expect(first.field("Jitter")).to_have_value(second.field("Jitter").input_value())
    first.play.click()
    for panel in (first, second):
        panel.state("paused")
        panel.rests()
    until(lambda: first.frame() == second.frame(), notebook.page, "one frame in both views")
    second.where("apart(thumb(canvas), given) < 1", first.thumb())
    shot("two-views", notebook.page)
    second.play.click()
    notebook.cell(0).locator(".jp-InputPrompt").click()
    notebook.command("notebook:clear-cell-output")
    expect(notebook.page.locator(".nbvis")).to_have_count(1)
    second.frames(3)
    notebook.gives("(canvas.state, len(canvas._session._gate._views))", ("running", 1))


def test_a_saved_notebook_shows_the_last_picture_without_its_kernel(open_notebook: Open, lab: Lab, shot: Shot) -> None:
    notebook = open_notebook(SHORT, kernel=None)
    notebook.run(0)
    panel = only_panel(notebook)
    panel.play.click()
    panel.state("finished")
    panel.rests()
    before = panel.thumb()
    last = notebook.keeps("canvas._picture()")
    notebook.close()

    notebook.open()  # the kernel still lives
    panel = only_panel(notebook)
    panel.state("finished")
    panel.where("apart(thumb(canvas), given) < 1", before)
    notebook.close()
    lab.shut_down(notebook.path)
    notebook.forget_kernel()

    notebook.allowed += (NO_MODEL,)
    notebook.open()  # on a new kernel that knows nothing of it
    page = notebook.page
    expect(page.get_by_text("Run this cell to bring it back to life.")).to_be_visible()
    picture = page.locator(".jp-RenderedImage img")
    expect(picture).to_be_visible()
    expect(picture).to_have_attribute("src", f"data:image/png;base64,{last}")
    expect(page.locator(".nbvis button, .nbvis input, .nbvis canvas").filter(visible=True)).to_have_count(0)
    shot("saved", notebook.page)
    notebook.run(0)
    only_panel(notebook).state("ready")
    expect(page.get_by_text("Run this cell to bring it back to life.")).to_be_hidden()
    expect(picture).to_be_hidden()


def test_crisp_and_of_both_themes(open_notebook: Open, browser: Browser, shot: Shot) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 1000}, device_scale_factor=2)
    notebook = open_notebook(SHORT, page=page)
    notebook.run(0)
    panel = only_panel(notebook)
    panel.play.click()
    panel.state("finished")
    panel.rests()
    panel.crisp_in_both_themes(notebook, shot, "")


def test_a_narrow_cell_stacks_and_scrolls_nowhere(open_notebook: Open, shot: Shot) -> None:
    notebook = open_notebook(SHORT)
    notebook.run(0)
    panel, page, whole = only_panel(notebook), notebook.page, notebook.page.viewport_size
    assert whole
    panel.root.get_by_role("button", name="One channel").click()
    panel.play.click()
    panel.state("finished")
    for window in (540, 440):
        page.set_viewport_size({"width": window, "height": 1300})
        panel.where("canvas.closest('.nbvis').clientWidth < given", window - 80)
        panel.above(".stage", ".inspector")
        panel.fits()
        shot(f"narrow-{window}", panel.root)
    page.set_viewport_size(whole)


def test_every_control_has_a_name(open_notebook: Open) -> None:
    notebook = open_notebook(SHORT)
    notebook.run(0)
    panel = only_panel(notebook)
    panel.root.get_by_role("button", name="One channel").click()
    expect(panel.field("Channel")).to_be_visible()
    controls = panel.root.locator("button, input, canvas, footer svg[role=img]").filter(visible=True)
    until(lambda: controls.count() > 20, notebook.page, "the controls")
    for control in controls.all():
        expect(control).to_have_accessible_name(re.compile(r"\S"))
    names = [control.get_attribute("aria-label") or "" for control in panel.root.get_by_role("spinbutton").all()]
    assert len(set(names)) == len(names) >= 7


def test_the_keyboard_is_enough(open_notebook: Open, shot: Shot) -> None:
    notebook = open_notebook(LONG)
    notebook.run(0)
    panel = only_panel(notebook)
    press, type_text = notebook.page.keyboard.press, notebook.page.keyboard.type
    focused = "(control) => control === document.activeElement"

    def tab_to(control: Locator) -> None:
        for _ in range(60):
            if control.evaluate(focused):
                return
            press("Tab")
        raise AssertionError(f"60 times Tab do not reach {control}")

    press("Escape")
    press("ArrowUp")  # to the cell that just ran
    picker = panel.root.get_by_role("combobox", name="Layer")
    tab_to(picker)
    press("ArrowDown")
    expect(panel.root.get_by_role("listbox", name="Layers")).to_be_visible()
    type_text("_blocks.1")
    expect(panel.root.get_by_role("option", selected=True)).to_contain_text("_blocks.1")
    shot("layers", notebook.page)
    press("ArrowDown")
    press("ArrowUp")
    press("Enter")
    expect(panel.root.get_by_role("listbox", name="Layers")).to_be_hidden()
    expect(panel.root.get_by_role("combobox", name="Formula")).to_have_value("activity(_blocks.1)")
    press("ArrowDown")
    press("Escape")
    expect(panel.root.get_by_role("listbox", name="Layers")).to_be_hidden()

    slider = panel.slider("Learning rate")
    tab_to(slider)
    for _ in range(3):
        press("ArrowRight")
    shown = float(panel.field("Learning rate").input_value())
    assert shown > 0.01
    notebook.until(f"canvas.lr == {shown!r}")
    notebook.until("canvas.layer == '_blocks.1'")

    tab_to(panel.play)
    press("Enter")
    panel.state("running")
    panel.frames(2)
    shot("focus", notebook.page)
    press("Space")
    panel.state("paused")
    press(".")
    panel.rests()
    press("Shift+Tab")
    press("r")
    panel.state("running")
    help_button = panel.root.get_by_role("button", name="Help")
    help_button.focus()
    press("Enter")
    expect(panel.root.get_by_text("play or pause")).to_be_visible()
    shot("help", notebook.page)
    press("Escape")
    expect(panel.root.get_by_text("play or pause")).to_be_hidden()
    expect(help_button).to_be_focused()


FAILS = """
import torch
from nbvis import DreamCanvas
class Net(torch.nn.Module):
    calls_left = 1000
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 8, 3)
    def forward(self, x):
        Net.calls_left -= 1
        if Net.calls_left < 0:
            raise RuntimeError("the weights have gone away")
        return self.conv(x)
canvas = DreamCanvas(Net(), torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(0)), steps=200)
Net.calls_left = 50
canvas
"""


def test_a_failing_network_leaves_the_last_good_picture(open_notebook: Open, shot: Shot) -> None:
    notebook = open_notebook(FAILS, "Net.calls_left = 10**9")
    notebook.run(0)
    panel = only_panel(notebook)
    start = panel.thumb()
    panel.play.click()
    panel.state("error")
    alert = panel.root.get_by_role("alert")
    expect(alert).to_contain_text("the weights have gone away")
    panel.rests()
    panel.differs(start, by=0.2)
    notebook.until("'the weights have gone away' in canvas.error")
    shot("error", notebook.page)
    notebook.run(1)
    panel.play.click()
    panel.state("running")
    expect(alert).to_have_count(0)
    panel.frames(2)


def test_what_cannot_be_is_refused_in_words(open_notebook: Open, shot: Shot) -> None:
    notebook = open_notebook(SHORT, "canvas.layer = '_blocks.99'", "canvas.lr = 7")
    notebook.run(0)
    panel = only_panel(notebook)
    picture = panel.thumb()
    for cell, words in [(1, "no layer '_blocks.99'"), (2, "Learning rate (lr) is a number from 0.001 to 0.5, not 7")]:
        notebook.run(cell)
        expect(notebook.cell(cell).locator(".jp-OutputArea-output")).to_contain_text(words)
    field = panel.field("Learning rate")
    field.fill("7")
    field.press("Enter")
    expect(panel.root.get_by_role("alert")).to_contain_text("Learning rate (lr) is a number from 0.001 to 0.5, not 7")
    expect(field).to_have_value("0.01")
    shot("refused", notebook.page)
    panel.is_again(picture)
    field.fill("0.05")
    field.press("Enter")
    expect(panel.root.get_by_role("alert")).to_have_count(0)
    notebook.until("canvas.lr == 0.05")


def test_a_finished_dream_goes_on_round_after_round_and_its_film_is_saved(open_notebook: Open, shot: Shot) -> None:
    notebook = open_notebook(MAKE.format(options="octaves=2, steps=2"))
    notebook.run(0)
    panel, page = only_panel(notebook), notebook.page
    panel.play.click()
    panel.state("finished")
    expect(panel.slider("Zoom")).to_be_hidden()
    panel.root.get_by_role("switch", name="Keep dreaming").check()
    expect(panel.slider("Zoom")).to_be_visible()
    expect(panel.status).to_have_text(re.compile(r"^round ([6-9]|\d\d+) · octave \d of 2 · step \d+$"))
    shot("loop", page)
    panel.play.click()
    panel.state("paused")
    panel.rests()
    steps = notebook.kernel("canvas._session.last.index + 1")
    for name, suffix in [("Film (MP4)", ".mp4"), ("Film (GIF)", ".gif")]:
        panel.root.get_by_role("button", name="Save", exact=True).click()
        with page.expect_download() as download:
            panel.root.get_by_role("menuitem", name=name).click()
        assert download.value.suggested_filename == f"dream{suffix}"
        film = Path(download.value.path()).read_bytes()
        assert film[4:8] == b"ftyp" if suffix == ".mp4" else film.startswith(b"GIF89a")
        with av.open(io.BytesIO(film)) as read:
            assert (read.streams.video[0].width, read.streams.video[0].height) == (224, 224)
            assert 20 < sum(1 for _ in read.decode(video=0)) <= steps + 1
    panel.root.get_by_role("button", name="Save", exact=True).click()
    with page.expect_download() as download:
        panel.root.get_by_role("menuitem", name="Run, to go on with later").click()
    assert download.value.suggested_filename == "dream.nbvis"
    run = str(download.value.path().rename(download.value.path().with_suffix(".nbvis")))
    opened = f"DreamCanvas.open({run!r}, demo.network('cpu'))"
    notebook.gives(
        f"(lambda it: (it.wait(), it._session.last.index + 1, it.endless, it.close()))({opened})",
        (True, steps, True, None),
    )
    panel.root.get_by_role("switch", name="Keep dreaming").uncheck()
    panel.play.click()
    panel.state("finished")
