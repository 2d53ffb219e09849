"""A reader sees in JupyterLab what dropout does to a picture: by mouse and keyboard, over all p, without a kernel."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.conftest import WORKERS
from tests.browser.lab import NO_MODEL, Lab, Notebook, Panel, becomes, run_tutorial, until

MAKE = """
from nbvis import DropoutInverter, demo
network = demo.network("cpu")
inverter = DropoutInverter(network, demo.photo("coffee", size={size}), {options})
inverter
"""


def make(options: str, size: int = 128) -> str:
    """A cell that shows a widget; the loss goes down faster for the size that the network is made for, 224."""
    return MAKE.format(options=options, size=size)


SHORT = make("p=0.5, steps=6")
LONG = make("p=0.9, tolerance=1e-8, steps=10_000", size=224)  # longer than any test

Open = Callable[..., Notebook]
Shot = Callable[[str, Page | Locator], None]


class Inverter(Panel):
    """A DropoutInverter on the page; `canvas` is the corrupted picture."""

    def __init__(self, page: Page, root: Locator):
        super().__init__(page, root, "canvas[data-picture=corrupted]")
        self.strip = root.locator(".strip button:visible")
        self.layer = root.get_by_role("combobox", name="Layer")

    def picture(self, name: str) -> Panel:
        """Another of its pictures: original, difference or mask."""
        return Panel(self.page, self.root, f"canvas[data-picture={name}]")

    def button(self, name: str) -> Locator:
        """The button with this text."""
        return self.root.get_by_role("button", name=name, exact=True)

    def caption(self, index: int) -> Locator:
        """What stands below one of the three pictures, counted from 0."""
        return self.root.locator(".pictures figcaption").nth(index)

    def plays_to_the_end(self) -> None:
        """Plays, and waits for the picture that stays."""
        self.play.click()
        self.state("finished")
        self.rests()


def only_panel(notebook: Notebook) -> Inverter:
    return Inverter(notebook.page, notebook.page.locator(".nbvis"))


def test_the_tutorial_runs_from_top_to_bottom(open_notebook: Open, shot: Shot) -> None:
    notebook = run_tutorial(open_notebook, "dropout_inverter")
    panel = Inverter(notebook.page, notebook.page.locator(".nbvis").first)
    panel.root.scroll_into_view_if_needed()
    panel.state("finished")
    panel.button("Restart").click()
    panel.state("running")
    panel.frames(1)
    expect(panel.caption(2)).not_to_contain_text("0.00 … 0.00")
    shot("inverter-tutorial", notebook.page)


def test_the_picture_changes_until_it_gives_the_noisy_answer(open_notebook: Open, shot: Shot) -> None:
    notebook = open_notebook(make("p=0.5, tolerance=0.2", size=224))
    notebook.run(0)
    panel = only_panel(notebook)
    panel.state("ready")
    expect(panel.root.get_by_text("not yet").filter(visible=True)).to_have_count(2)
    expect(panel.root.locator(".intro")).to_be_visible()
    shot("inverter-ready", panel.root)
    photograph, first = panel.picture("original").thumb(), panel.frame()
    panel.play.click()
    panel.where("canvas.dataset.frame >= given", first + 2)  # counted from before, for the run may be short
    panel.differs(photograph, by=0.2)
    panel.state("finished")
    panel.rests()
    shot("inverter", panel.root)
    expect(panel.root.locator(".intro, .instead").filter(visible=True)).to_have_count(0)
    expect(panel.status).to_have_text(re.compile(r"step \d+ of 1000 · tolerance reached"))
    expect(panel.root.locator(".curve")).to_have_attribute("points", re.compile(r"\S+ \S+"))
    expect(panel.root.locator(".level")).to_have_attribute("d", re.compile(r"M0.0,\S+H240"))
    panel.picture("original").is_again(photograph)

    notebook.until("inverter.wait(0)")
    state, shape, loss, factor, answers, dropped = notebook.kernel(
        "(inverter.state, tuple(inverter.result.shape), inverter.last.loss.item(), "
        "0.5 / (inverter.result - inverter.image).abs().flatten().quantile(0.995).item(), "
        "inverter.predictions, inverter.dropped)"
    )
    assert (state, shape) == ("finished", (1, 3, 224, 224)) and loss <= 0.2
    expect(panel.caption(2)).to_contain_text("Difference × ")
    until(
        lambda: float(panel.caption(2).inner_text().split()[2]) == pytest.approx(factor, rel=0.1),
        notebook.page,
        "the factor of the difference",
    )
    rows = panel.root.locator(".answers tbody tr")
    expect(rows).to_have_count(len(answers))
    for row, answer in zip(rows.all(), answers, strict=True):
        expect(row.locator("th")).to_have_text(answer["label"])
        numbers = [f"{answer[which]:.2f}" for which in ("clean", "noisy", "corrupted")]
        expect(row.locator(".number")).to_have_text(numbers)
        bars = row.locator(".track i")
        becomes(
            lambda bars=bars: bars.evaluate_all("(all) => all.map((bar) => parseFloat(bar.style.width) / 100)"),
            pytest.approx([float(number) for number in numbers], abs=0.006), notebook.page, "the bars",
        )  # fmt: skip
    percent = round(100 * dropped["dropped"] / dropped["total"])
    expect(panel.root.get_by_text(f"{percent} % of the 1,280 units were dropped at _dropout.")).to_be_visible()
    dark = """(canvas) => {
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      return data.filter((value, at) => at % 4 === 0 && value < 100).length / (data.length / 4);
    }"""
    mask, share = panel.picture("mask").canvas, dropped["dropped"] / dropped["total"]
    becomes(lambda: mask.evaluate(dark), pytest.approx(share, abs=0.02), notebook.page, "the share that is dark")


def test_the_run_follows_learning_rate_and_tolerance_without_a_restart(open_notebook: Open) -> None:
    notebook = open_notebook(LONG)
    notebook.run(0)
    panel = only_panel(notebook)
    panel.play.click()
    panel.frames(2)
    panel.drag("Learning rate", 0.8, release=False)
    panel.frames(1)  # the run goes on under the held mouse
    notebook.page.mouse.up()
    shown = float(panel.field("Learning rate").input_value())
    notebook.until(f"inverter.lr == {shown!r}")
    panel.where("canvas.dataset.rev >= given", notebook.kernel("inverter._session.rev"))
    notebook.gives("inverter._session.changes[-1][1].get('lr')", shown)
    origin, changes, steps = notebook.kernel(
        "(inverter._session.origin['lr'], inverter._session.changes, len(inverter._session.history))"
    )
    assert origin < changes[-1][1]["lr"] == shown
    assert len(changes) < steps and notebook.kernel("inverter._session.history[0][0]") == 0

    # The curve's newest point comes down the log axis when the tolerance, at its foot, comes up.
    newest = "Number(canvas.closest('.nbvis').querySelector('.curve').getAttribute('points').split(/[ ,]/).at(-1))"
    panel.where(f"{newest} < given", 4)
    field = panel.field("Tolerance")
    field.fill("3")
    field.press("Enter")
    panel.where(f"{newest} > given", 5)
    field.fill("10")  # any loss will do; at once, for a change after the end would begin the run again
    field.press("Enter")
    panel.state("finished")
    expect(panel.status).to_have_text(re.compile(r"step \d+ of 10000 · tolerance reached"))
    notebook.until(f"len(inverter._session.history) >= {steps}")


@pytest.mark.parametrize("way", ["button", "python"])
def test_stop_takes_effect(open_notebook: Open, way: str) -> None:
    notebook = open_notebook(LONG, "inverter.stop()")
    notebook.run(0)
    panel = only_panel(notebook)
    panel.play.click()
    panel.frames(2)
    if way == "button":
        panel.play.click()
        panel.state("paused")
        expect(panel.play).to_have_text("Go on")
    else:
        notebook.run(1)
        panel.state("stopped")
        expect(panel.play).to_have_text("Play")
    panel.rests()
    notebook.until(f"{WORKERS} == 0")
    steps = notebook.kernel("len(inverter._session.history)")
    panel.play.click()
    panel.state("running")
    panel.frames(1)
    if way == "button":
        notebook.until(f"len(inverter._session.history) > {steps}")


def test_a_new_mask_and_the_same_one_with_another_p(open_notebook: Open, shot: Shot) -> None:
    notebook = open_notebook(make("p=0.3, steps=3"), "kept = inverter.masks['_dropout']")
    notebook.run(0)
    panel = only_panel(notebook)
    panel.plays_to_the_end()
    mask, frame = panel.picture("mask").thumb(), panel.frame()
    panel.button("New mask").click()
    expect(panel.root.get_by_text("seed 1")).to_be_visible()
    panel.picture("mask").differs(mask, by=10)
    panel.where("canvas.dataset.frame > given && canvas.dataset.format === 'png'", frame)
    panel.state("finished")
    notebook.run(1)

    panel.drag("Dropout p", 0.8)  # a finished run is made again for what changed
    p = float(panel.field("Dropout p").input_value())
    assert p > 0.6
    notebook.until(f"(inverter.p, inverter.state) == ({p!r}, 'finished')")
    notebook.until(f"abs(1 - {p!r} - inverter.masks['_dropout'].mean().item()) < 0.05")
    notebook.gives("inverter.seed", 1)
    same_and_more = "bool((inverter.masks['_dropout'] <= kept).all())"
    notebook.until(same_and_more)
    expect(panel.root.get_by_text(re.compile(rf"^{round(100 * p) // 10}\d % of the 1,280 units"))).to_be_visible()
    shot("inverter-same-mask", notebook.page)
    panel.root.locator(".inspector h4").first.click()
    panel.play.focus()
    notebook.page.keyboard.press("n")
    notebook.until("(inverter.seed, inverter.state) == (2, 'finished')")
    notebook.until(f"not {same_and_more}")


def test_the_networks_own_p(open_notebook: Open) -> None:
    notebook = open_notebook(make("steps=2"))
    notebook.run(0)
    panel = only_panel(notebook)
    expect(panel.button("Network's own")).to_have_attribute("aria-pressed", "true")
    expect(panel.slider("Dropout p")).to_be_hidden()
    panel.plays_to_the_end()
    notebook.until("abs(inverter.masks['_dropout'].mean().item() - 1 + network.module._dropout.p) < 0.05")
    panel.button("Set p").click()
    expect(panel.slider("Dropout p")).to_be_visible()
    notebook.until("inverter.p == 0.3")
    panel.button("Network's own").click()
    notebook.until("inverter.p is None")


def test_a_sweep_lays_all_p_side_by_side(open_notebook: Open, shot: Shot) -> None:
    notebook = open_notebook(make("p=0.5, steps=3"))
    notebook.run(0)
    panel = only_panel(notebook)
    sweep = panel.button("Sweep p")
    sweep.click()
    expect(panel.strip).to_have_count(9)
    panel.state("finished")
    panel.rests()
    expect(sweep).to_have_attribute("aria-pressed", "true")
    for index, row in enumerate(panel.strip.all()):
        expect(row).to_have_text(re.compile(rf"^p 0\.{index + 1}\s*\d"))
    shot("inverter-sweep", notebook.page)
    masks = "inverter.masks['_dropout']"
    notebook.until(f"bool(({masks}[1:] <= {masks}[:-1]).all())")
    notebook.gives("inverter.sample", 4)

    middle, mask = panel.thumb(), panel.picture("mask").thumb()
    panel.drag("Sweep of p", 1.0)
    notebook.until("inverter.sample == 8")
    panel.differs(middle, by=0.2)
    panel.picture("mask").differs(mask, by=5)
    expect(panel.strip.nth(8)).to_have_attribute("aria-pressed", "true")
    expect(panel.root.locator("output[for]")).to_have_text("0.9")
    panel.strip.nth(4).click()
    panel.where("apart(thumb(canvas), given) < 0.1", middle)
    sweep.click()
    expect(panel.root.locator(".strip")).to_be_hidden()
    notebook.until("(inverter.sweep, inverter.state, len(inverter.result)) == (False, 'finished', 1)")


def test_samples_are_a_strip(open_notebook: Open, shot: Shot) -> None:
    notebook = open_notebook(make("p=0.5, steps=4, samples=3"))
    notebook.run(0)
    panel = only_panel(notebook)
    expect(panel.root.locator(".strip")).to_be_hidden()
    panel.plays_to_the_end()
    expect(panel.strip).to_have_count(3)
    expect(panel.status).to_have_text("step 4 of 4 · 0 of 3 done")
    losses = [f"{loss:.2f}" for loss in notebook.kernel("inverter.last.loss.tolist()")]
    expect(panel.strip.locator(".loss")).to_have_text(losses)
    expect(panel.root.locator(".score")).to_have_text(f"loss {losses[0]}")
    shot("inverter-samples", notebook.page)
    first, mask = panel.thumb(), panel.picture("mask").thumb()
    panel.strip.nth(1).click()
    panel.picture("mask").differs(mask, by=5)
    panel.differs(first, by=0.05)
    expect(panel.root.locator(".score")).to_have_text(f"loss {losses[1]}")
    notebook.page.keyboard.press("ArrowRight")
    expect(panel.strip.nth(2)).to_have_attribute("aria-pressed", "true")
    expect(panel.strip.nth(2)).to_be_focused()
    notebook.until("inverter.sample == 2")
    notebook.page.keyboard.press("ArrowLeft")
    notebook.page.keyboard.press("ArrowLeft")
    panel.where("apart(thumb(canvas), given) < 0.01", first)


def test_dropout_is_inserted_where_there_is_none(open_notebook: Open, shot: Shot) -> None:
    notebook = open_notebook(make("steps=2"))
    notebook.run(0)
    panel = only_panel(notebook)
    panel.layer.click()
    panel.layer.fill("_blocks.4")
    option = panel.root.get_by_role("option", selected=True)
    expect(option).to_contain_text("_blocks.4")
    expect(option).to_contain_text("no dropout before it")
    shot("inverter-layers", notebook.page)
    panel.layer.press("Enter")
    expect(panel.layer).to_have_value("_fc")
    offer = panel.root.locator(".offer")
    expect(offer).to_contain_text("_blocks.4: no dropout before it.")
    shot("inverter-offer", notebook.page)
    notebook.gives("(inverter.layer, inverter.insert)", ("_fc", False))
    offer.get_by_role("button").click()
    expect(offer).to_be_hidden()
    expect(panel.layer).to_have_value("_blocks.4")
    expect(panel.root.get_by_text("the network is not edited")).to_be_visible()
    expect(panel.field("Dropout p")).to_have_value("0.3")
    panel.plays_to_the_end()
    notebook.gives("(inverter.layer, inverter.insert, list(inverter.masks))", (
        "_blocks.4", True, ["_blocks.4"],
    ))  # fmt: skip
    notebook.gives("sum(len(m._forward_hooks) for m in network.module.modules())", 0)
    shot("inverter-inserted", notebook.page)
    panel.layer.fill("_blocks.5")  # what was inserted goes along
    panel.layer.press("Enter")
    notebook.until("(inverter.layer, inverter.insert) == ('_blocks.5', True)")
    panel.layer.fill("_fc")
    panel.layer.press("Enter")
    notebook.until("(inverter.layer, inverter.insert) == ('_fc', False)")


PLAIN = """
import torch
from nbvis import DropoutInverter
torch.manual_seed(0)
net = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.Conv2d(8, 4, 3))
inverter = DropoutInverter(net, torch.rand(3, 48, 48), {options})
inverter
"""


def test_a_network_without_any_dropout(open_notebook: Open, shot: Shot) -> None:
    notebook = open_notebook(PLAIN.format(options="steps=20"), PLAIN.format(options="'2', steps=1"))
    notebook.run(0)
    panel = only_panel(notebook)
    offer = panel.root.locator(".offer")
    expect(offer).to_contain_text("This network has no dropout.")
    expect(offer.get_by_role("button")).to_be_hidden()
    panel.play.click()
    panel.state("error")
    expect(panel.root.get_by_role("alert")).to_contain_text("no dropout")
    shot("inverter-none", notebook.page)
    panel.layer.click()
    panel.root.get_by_role("option").first.click()
    offer.get_by_role("button").click()
    expect(panel.layer).to_have_value("0")
    panel.state("finished")  # what failed before was tried again
    expect(panel.root.get_by_role("alert")).to_have_count(0)
    expect(panel.root.get_by_role("heading", name="Predictions")).to_be_hidden()  # it has no classes
    notebook.run(1)
    panel = Inverter(notebook.page, notebook.cell(1).locator(".nbvis"))
    panel.root.locator(".offer", has_text="2: no dropout before it.").get_by_role("button").click()
    notebook.until("(inverter.layer, inverter.insert) == ('2', True)")


def test_the_original_is_one_press_away(open_notebook: Open, shot: Shot) -> None:
    notebook = open_notebook(SHORT)
    notebook.run(0)
    panel = only_panel(notebook)
    panel.plays_to_the_end()
    over, corrupted, original = panel.root.locator(".stage.original"), panel.thumb(), panel.picture("original").thumb()
    assert corrupted != original
    expect(over).to_have_count(0)
    panel.canvas.hover()
    notebook.page.mouse.down()
    expect(over).to_have_count(1)
    panel.is_again(original)
    notebook.page.mouse.up()
    expect(over).to_have_count(0)
    panel.is_again(corrupted)
    panel.canvas.focus()
    notebook.page.keyboard.down("Enter")
    expect(over).to_have_count(1)
    notebook.page.keyboard.up("Enter")
    expect(over).to_have_count(0)


def test_picture_page_and_code_are_saved(open_notebook: Open, tmp_path: Path) -> None:
    notebook = open_notebook(SHORT)
    notebook.run(0)
    panel, page = only_panel(notebook), notebook.page
    panel.plays_to_the_end()
    for name, suffix in [("Picture (PNG)", ".png"), ("Page (HTML)", ".html")]:
        panel.button("Save").click()
        with page.expect_download() as download:
            panel.root.get_by_role("menuitem", name=name).click()
        assert download.value.suggested_filename == f"inversion{suffix}"
        download.value.save_as(tmp_path / f"inversion{suffix}")
        notebook.kernel(f"inverter.save({str(tmp_path / f'python{suffix}')!r})")
        assert (tmp_path / f"inversion{suffix}").read_bytes() == (tmp_path / f"python{suffix}").read_bytes()
    assert "invert_dropout(network, &#x27;_fc&#x27;, image" in (tmp_path / "inversion.html").read_text()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    panel.button("Copy as code").click()
    expect(panel.button("Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == notebook.kernel("inverter.recipe()")


def test_two_views_are_one_model(open_notebook: Open, shot: Shot) -> None:
    notebook = open_notebook(LONG, "inverter")
    notebook.run(0)
    notebook.run(1)
    first, second = (Inverter(notebook.page, notebook.cell(index).locator(".nbvis")) for index in range(2))
    second.picture("original").where("apart(thumb(canvas), given) < 1", first.picture("original").thumb())
    first.play.click()
    for panel in (first, second):
        panel.state("running")
        panel.frames(1)
    second.drag("Tolerance", 0.3)
    expect(first.field("Tolerance")).to_have_value(second.field("Tolerance").input_value())
    second.play.click()
    for panel in (first, second):
        panel.state("paused")
        panel.rests()
    until(lambda: first.frame() == second.frame(), notebook.page, "one frame in both views")
    for name in ("original", "difference", "mask"):
        second.picture(name).where("apart(thumb(canvas), given) < 1", first.picture(name).thumb())
    shot("inverter-two-views", notebook.page)


def test_a_saved_notebook_shows_the_last_picture_without_its_kernel(open_notebook: Open, lab: Lab, shot: Shot) -> None:
    notebook = open_notebook(SHORT, kernel=None)
    notebook.run(0)
    panel = only_panel(notebook)
    panel.plays_to_the_end()
    before = {name: panel.picture(name).thumb() for name in ("original", "corrupted", "difference", "mask")}
    last = notebook.keeps("inverter._picture()")
    notebook.close()

    notebook.open()  # the kernel still lives
    panel = only_panel(notebook)
    panel.state("finished")
    for name, thumb in before.items():
        panel.picture(name).where("apart(thumb(canvas), given) < 1", thumb)
    expect(panel.root.locator(".answers tbody tr").first).to_be_visible()
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
    shot("inverter-saved", page)
    notebook.run(0)
    only_panel(notebook).state("ready")
    expect(page.get_by_text("Run this cell to bring it back to life.")).to_be_hidden()
    expect(picture).to_be_hidden()


def test_crisp_and_of_both_themes(open_notebook: Open, browser: Browser, shot: Shot) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 1100}, device_scale_factor=2)
    notebook = open_notebook(SHORT, page=page)
    notebook.run(0)
    panel = only_panel(notebook)
    panel.plays_to_the_end()
    panel.crisp_in_both_themes(notebook, shot, "inverter-")


def test_a_narrow_cell_stacks_and_scrolls_nowhere(open_notebook: Open, shot: Shot) -> None:
    notebook = open_notebook(make("p=0.5, steps=2, samples=6"))
    notebook.run(0)
    panel, page, whole = only_panel(notebook), notebook.page, notebook.page.viewport_size
    assert whole
    panel.plays_to_the_end()
    for window in (640, 500, 440):
        page.set_viewport_size({"width": window, "height": 1400})
        panel.where("canvas.closest('.nbvis').clientWidth < given", window - 80)
        panel.above(".inspector", ".told")
        panel.fits()
        shot(f"inverter-narrow-{window}", panel.root)
    page.set_viewport_size(whole)


def test_every_control_has_a_name(open_notebook: Open) -> None:
    notebook = open_notebook(make("p=0.5, steps=2, samples=2"))
    notebook.run(0)
    panel = only_panel(notebook)
    panel.plays_to_the_end()
    controls = panel.root.locator("button, input, canvas[role=img], footer svg[role=img]").filter(visible=True)
    until(lambda: controls.count() > 25, notebook.page, "the controls")
    for control in controls.all():
        expect(control).to_have_accessible_name(re.compile(r"\S"))


def test_what_cannot_be_is_refused_in_words(open_notebook: Open) -> None:
    notebook = open_notebook(SHORT, "inverter.layer = '_blocks.4'")
    notebook.run(0)
    panel = only_panel(notebook)
    notebook.run(1)
    expect(notebook.cell(1).locator(".jp-OutputArea-output")).to_contain_text(
        "no dropout acts before layer '_blocks.4'; it does before '_dropout', '_fc'"
    )
    field = panel.field("Dropout p")
    field.fill("1.5")
    field.press("Enter")
    expect(panel.root.get_by_role("alert")).to_contain_text("Dropout p (p) is a number from 0 to 0.95, not 1.5")
    expect(field).to_have_value("0.5")
    field.fill("0.4")
    field.press("Enter")
    expect(panel.root.get_by_role("alert")).to_have_count(0)
    notebook.until("inverter.p == 0.4")
