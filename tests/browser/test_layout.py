"""At any width nothing of a panel sticks out, overlaps, is cut, or is too small to hit, whatever is open or shown."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from PIL import Image
from playwright.sync_api import Locator, Page, expect
from torch import Tensor, nn

from nbvis import ActivationStats, DreamCanvas, DropoutInverter, LayerExplorer, SaliencyView, demo
from nbvis.engine import Network, collect
from nbvis.widgets.base import Widget
from tests.browser.hosts import DARK, show
from tests.browser.lab import becomes, stands, until

Shot = Callable[[str, Page | Locator], None]

WIDTHS = (1280, 900, 600, 380, 264)
# What is wrong with the boxes of a panel, in words. A part is visible where a pointer or an eye can find it.
WRONG = """(root) => {
  const seen = (part) => part.checkVisibility({ visibilityProperty: true, opacityProperty: true })
    && part.getBoundingClientRect().width > 1;
  const text = (part) => [...part.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
  const named = (part) => `${part.localName}.${part.className} “${part.textContent.trim().slice(0, 40)}”`;
  const parts = [...root.querySelectorAll("*")].filter((part) => seen(part) && !part.closest(".unseen, svg"));
  const edge = root.getBoundingClientRect(), wrong = [];
  for (const part of parts) {
    const box = part.getBoundingClientRect();
    if (box.left < edge.left - 0.5 || box.right > edge.right + 0.5) wrong.push(`sticks out: ${named(part)}`);
    const holds = text(part) || part.matches("select, input[type=number], input[type=text]");
    // A field may hold more than it shows, if it says so and its title has all of it.
    const short = part.matches("input") && part.title === part.value;
    const told = short && getComputedStyle(part).textOverflow === "ellipsis";
    const cut = part.scrollWidth > part.clientWidth + 1 && part.clientWidth && !told;
    if (cut && holds) wrong.push(`cut: ${named(part)}`);
  }
  const controls = parts.filter((part) => part.matches("button, input, select, canvas[tabindex], [role=option]"));
  for (const part of controls) {
    const { width, height } = part.getBoundingClientRect();
    if (width < 24 || height < 24) wrong.push(`small: ${named(part)} ${width} × ${height}`);
  }
  // Texts and controls, each alone: none may lie on another one.
  const apart = ".popup, .options, .layers, .stage, .scale, .asleep-note, .strip button";
  const leaves = parts.filter((part) => !part.closest(apart)
    && (part.matches("button, input, select") || text(part)));
  const boxes = leaves.filter((part) => !leaves.some((other) => other !== part && other.contains(part))).map((part) => {
    const range = document.createRange();
    range.selectNodeContents(part);
    return [part, part.matches("button, input, select") ? part.getBoundingClientRect() : range.getBoundingClientRect()];
  });
  boxes.forEach(([part, a], at) => boxes.slice(at + 1).forEach(([other, b]) => {
    const across = Math.min(a.right, b.right) - Math.max(a.left, b.left);
    const down = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
    const beside = part.parentElement.matches(".combobox");
    if (across > 1 && down > 1 && !beside) wrong.push(`overlap: ${named(part)} and ${named(other)}`);
  }));
  return wrong;
}"""
SCROLLS = "(root) => [root, document.documentElement].filter((e) => e.scrollWidth > e.clientWidth).length"
SIDEWAYS = "(box) => Math.max(0, box.scrollWidth - box.clientWidth)"


BLOCKS = [f"_blocks.{number}" for number in range(16)]
LONG = "feature_pyramid_with_lateral_connections.stage_2_bottleneck_with_squeeze_and_excitation"


class LongName(nn.Module):
    """A network with the longest names that one meets."""

    def __init__(self) -> None:
        super().__init__()
        self.feature_pyramid_with_lateral_connections = nn.ModuleDict(
            {f"stage_{n}_bottleneck_with_squeeze_and_excitation": nn.Conv2d(3, 3, 3, padding=1) for n in (1, 2)}
        )
        self.dropout = nn.Dropout(0.5)
        self.classifier = nn.Linear(3, 4)

    def forward(self, x):
        for layer in self.feature_pyramid_with_lateral_connections.values():
            x = layer(x).relu()
        return self.classifier(self.dropout(x).mean((2, 3)))


def summed_up(network: Network | nn.Module, image: Tensor) -> Widget:
    """Statistics of a few layers, if there are hundreds."""
    layers = BLOCKS if isinstance(network, Network) else None
    return ActivationStats(network, image.expand(3, -1, -1, -1), layers=layers, channel=1)


def explored(network: Network | nn.Module, image: Tensor) -> Widget:
    """A LayerExplorer with all of a passport."""
    layer = "_blocks.8" if isinstance(network, Network) else LONG
    batches = [image[..., :64, :64].expand(3, -1, -1, -1)]
    return LayerExplorer(network, image, collect(network, batches, layers=[layer]), batches, layer=layer)


LongName.__name__ = "A_network_whose_name_has_eighty_letters_which_is_more_than_a_headline_can_hold_x"
WIDGETS: dict[str, Callable[..., Widget]] = {
    "DreamCanvas": lambda network, image: DreamCanvas(network, image, octaves=2, steps=3),
    "SaliencyView": lambda network, image: SaliencyView(network, image),
    "DropoutInverter": lambda network, image: DropoutInverter(network, image, steps=3),
    "ActivationStats": summed_up,
    "LayerExplorer": explored,
}
PICTURES = [name for name in WIDGETS if name != "ActivationStats"]
"""Those with one picture, at whose size they work."""


@pytest.fixture
def widget(request: pytest.FixtureRequest) -> Iterator[Widget]:
    """A widget on the embedded network, by its name."""
    made = WIDGETS[request.param](demo.network("cpu"), demo.photo("coffee", size=128))
    yield made
    made.close()


def rests(panel: Locator) -> Locator:
    """The panel, once what it has to compute is done."""
    if panel.locator("footer .primary").count():
        panel.get_by_role("button", name=re.compile("Play|Collect")).click()
    expect(panel.locator(".chip i.finished")).to_be_visible()
    expect(panel).to_have_attribute("data-shown", "finished")  # the words come before the pictures
    expect(panel.locator("[data-key='']")).to_have_count(0)  # pictures that are on their way
    if panel.locator(".answers .patches button").count():
        expect(panel.locator(".whole figcaption")).to_have_text(re.compile("^image "))
    if panel.locator(".passport .patches").count():
        expect(panel.locator(".passport .patches")).to_have_attribute("data-of", re.compile("true$"))
        expect(panel.locator(".chip i.finished")).to_be_visible()
    return panel


def fits(panel: Locator, what: str, shot: Shot) -> None:
    """Looks at a panel at every width."""
    page = panel.page
    for width in WIDTHS:
        widen(page, width)
        shot(f"{what}-{width}", panel)
        is_right(panel, f"{what} at {width} px")


def widen(page: Page, width: int) -> None:
    """Makes the window so wide, and waits until it is."""
    page.set_viewport_size({"width": width, "height": 1000})
    page.wait_for_function("(width) => innerWidth === width", arg=width)


def is_right(panel: Locator, what: str) -> None:
    """Waits until nothing is wrong with the boxes of a panel."""
    becomes(lambda: panel.evaluate(WRONG), [], panel.page, what)
    becomes(lambda: panel.evaluate(SCROLLS), 0, panel.page, f"what scrolls, {what}")


@pytest.mark.parametrize("widget", WIDGETS, indirect=True)
def test_a_panel_fits_every_width(widget: Widget, new_page: Callable[..., Page], shot: Shot) -> None:
    panel = show(new_page(), widget)
    fits(rests(panel), f"layout-{type(widget).__name__}", shot)


@pytest.mark.parametrize("widget", WIDGETS, indirect=True)
def test_a_panel_looks_the_same_beside_the_others(widget: Widget, new_page: Callable[..., Page]) -> None:
    page = new_page()
    panel = rests(show(page, widget))
    boxes = """(root) => [...root.querySelectorAll("*")].map((part) => {
      const { x, y, width, height } = part.getBoundingClientRect();
      return `${part.localName}.${part.className} ${x} ${y} ${width} ${height}`;
    })"""
    before = stands(lambda: panel.evaluate(boxes), page, "the panel")
    for kind in (
        DreamCanvas,
        SaliencyView,
        DropoutInverter,
        ActivationStats,
        LayerExplorer,
    ):  # each panel that is opened later brings its own
        style = "(css) => document.body.append(Object.assign(document.createElement('style'), { textContent: css }))"
        page.evaluate(style, str(kind._css))
    becomes(lambda: panel.evaluate(boxes), before, page, "its boxes")


@pytest.mark.parametrize("name", WIDGETS)
def test_long_names_fit_every_width(name: str, new_page: Callable[..., Page], shot: Shot) -> None:
    torch.manual_seed(0)
    widget = WIDGETS[name](LongName().eval(), torch.rand(1, 3, 40, 60))
    panel = rests(show(new_page(), widget))
    expect(panel.locator(".net")).to_contain_text(LongName.__name__)
    fits(panel, f"layout-long-{name}", shot)
    widget.close()


@pytest.mark.parametrize("part", ["Optimised", "Patches", "Histogram", "Correlates"])
def test_a_part_of_the_passport_fits_every_width(part: str, new_page: Callable[..., Page], shot: Shot) -> None:
    widget = WIDGETS["LayerExplorer"](demo.network("cpu"), demo.photo("coffee", size=128))
    panel = rests(show(new_page(), widget))
    panel.get_by_role("button", name=part).click()
    fits(panel, f"layout-passport-{part}", shot)
    widget.close()


@pytest.mark.parametrize("width", WIDTHS)
def test_folding_the_passport_moves_nothing_above_it(width: int, new_page: Callable[..., Page]) -> None:
    widget = WIDGETS["LayerExplorer"](demo.network("cpu"), demo.photo("coffee", size=128))
    page = new_page(width)
    panel = rests(show(page, widget))
    tops = """(root) => [...root.querySelectorAll(".overview, .large, .seen, .sent")].map(
      (part) => part.getBoundingClientRect().y - root.getBoundingClientRect().y)"""
    before = stands(lambda: panel.evaluate(tops), page, "the panel")
    assert len(before) == 4
    panel.locator(".passport summary").click()
    expect(panel.locator(".papers")).to_be_hidden()
    stands(lambda: panel.locator(".passport").evaluate("(part) => part.clientHeight"), page, "the passport")
    becomes(lambda: panel.evaluate(tops), before, page, "what is above it")
    widget.close()


def test_a_passport_without_statistics_fits_every_width(new_page: Callable[..., Page], shot: Shot) -> None:
    widget = LayerExplorer(demo.network("cpu"), demo.photo("coffee", size=128))
    panel = show(new_page(), widget)
    expect(panel.locator(".dream .sub")).to_have_text(re.compile("^score"))
    expect(panel.locator(".chip i.finished")).to_be_visible()
    fits(panel, "layout-passport-none", shot)
    widget.close()


@pytest.mark.parametrize("name", PICTURES)
def test_the_sizes_to_work_at_fit_every_width(name: str, new_page: Callable[..., Page], shot: Shot) -> None:
    made = WIDGETS[name](LongName().eval(), torch.rand(3, 1200, 1800, generator=torch.Generator().manual_seed(0)))
    panel = show(new_page(), made)
    size = panel.get_by_role("combobox", name="Work at")
    expect(size.locator("option:checked")).to_have_text("512 × 768 · now")
    expect(size.locator("option").last).to_have_text("1,200 × 1,800 · 5.5 times the time and memory")
    size.select_option(label="171 × 256 · 0.11 times the time and memory")
    expect(size.locator("option:checked")).to_have_text("171 × 256 · now")
    becomes(lambda: made.working_size, 256, panel.page, "the working size")
    expect(panel.get_by_text("Worked on at 171 × 256 of 1,200 × 1,800 pixels")).to_be_visible()
    fits(panel, f"sizes-{name}", shot)
    made.close()


@pytest.mark.parametrize(
    ("widget", "opened"),
    [(name, opened) for name in WIDGETS for opened in ("Save", "Help")]
    + [(name, "Picture") for name in PICTURES]
    + [(name, "list") for name in PICTURES if name != "LayerExplorer"],  # whose list of layers is always open
    indirect=["widget"],
)
def test_what_opens_fits_every_width(widget: Widget, opened: str, new_page: Callable[..., Page], shot: Shot) -> None:
    page = new_page()
    panel = rests(show(page, widget))
    for width in WIDTHS:
        widen(page, width)
        part = (
            panel.locator(".combobox input:not(.formula):visible").first
            if opened == "list"
            else panel.get_by_role("button", name=re.compile(f"^{opened}"))
        )
        part.click()
        box = panel.locator(".popup, .options").filter(visible=True)
        expect(box).to_be_visible()
        shot(f"layout-{type(widget).__name__}-{opened}-{width}", page)
        becomes(lambda: panel.evaluate(WRONG), [], page, f"{opened} at {width} px")
        becomes(lambda box=box: box.evaluate(SIDEWAYS), 0, page, f"how far {opened} scrolls sideways")
        page.keyboard.press("Escape")
        expect(box).to_have_count(0)


def test_one_channel_fits_every_width(new_page: Callable[..., Page], shot: Shot) -> None:
    widget = WIDGETS["DreamCanvas"](demo.network("cpu"), demo.photo("coffee", size=128))
    panel = show(new_page(), widget)
    panel.get_by_role("button", name="One channel").click()
    expect(panel.get_by_role("slider", name="Channel")).to_be_visible()
    fits(panel, "layout-channel", shot)
    widget.close()


@pytest.mark.parametrize("name", PICTURES)
def test_a_list_of_pictures_fits_every_width(
    name: str, new_page: Callable[..., Page], shot: Shot, tmp_path: Path
) -> None:
    long = "a-photograph-whose-name-has-eighty-letters-which-is-more-than-a-button-can-hold-x"
    Image.new("RGB", (40, 40), "red").save(tmp_path / f"{long}.png")
    lines = [f"{long}.png, a label that is a long one too, with commas", "nowhere.png"]
    (tmp_path / "list.txt").write_text("\n".join(lines))
    widget = WIDGETS[name](demo.network("cpu"), demo.photo("coffee", size=64))
    widget.pictures = tmp_path / "list.txt"
    panel = rests(show(new_page(), widget))
    panel.get_by_role("button", name="Next picture").click()
    expect(panel.get_by_role("button", name=f"Picture: {long}.png")).to_be_visible()
    panel.get_by_role("button", name="Next picture").click()
    expect(panel.get_by_role("alert")).to_contain_text("there is no file")
    fits(rests(panel), f"layout-pictures-{name}", shot)
    widget.close()


@pytest.mark.parametrize("maps", [2, 3, 4])
def test_the_controls_stay_beside_many_maps(maps: int, new_page: Callable[..., Page], shot: Shot) -> None:
    compare = ["grad_cam", "guided_grad_cam", "integrated_gradients"][: maps - 1]
    widget = SaliencyView(demo.network("cpu"), demo.photo("coffee", size=128), compare=compare, view="absolute")
    page = new_page()
    panel = rests(show(page, widget))
    expect(panel.locator("figure:not(.empty)")).to_have_count(maps + 1)
    for width in (1280, 900):
        widen(page, width)
        beside = """(root) => {
          const box = (part) => root.querySelector(part).getBoundingClientRect();
          const seen = box(".panes"), inspector = box(".inspector");
          return inspector.left >= seen.right && inspector.top < seen.top + 40;
        }"""
        until(lambda beside=beside: panel.evaluate(beside), page, "the controls stand beside the maps")
    fits(panel, f"layout-maps-{maps}", shot)
    widget.close()


def steep() -> nn.Module:
    """A small network that every method takes, so steep that integrated gradients is not complete and says so."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=4), nn.ReLU6(), nn.Conv2d(8, 8, 3, stride=2), nn.ReLU6(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10),
    )  # fmt: skip
    with torch.no_grad():
        for weight in net.parameters():
            weight *= 100
    return net.eval()


@pytest.mark.parametrize("width", WIDTHS)
def test_a_change_of_method_moves_nothing(width: int, new_page: Callable[..., Page]) -> None:
    widget = SaliencyView(steep(), demo.photo("coffee", size=128))
    page = new_page(width)
    panel = rests(show(page, widget))
    high = "(root) => root.clientHeight"
    height = stands(lambda: panel.evaluate(high), page, "the panel")
    page.evaluate("""() => {
      const root = document.querySelector(".nbvis"), heights = window.heights = new Set();
      new ResizeObserver(() => heights.add(root.clientHeight)).observe(root);
    }""")
    # The longest note, of a map that is not complete, makes room for itself once.
    panel.get_by_role("button", name="Integrated gradients").click()
    expect(panel.locator(".sentences .note")).to_be_visible()
    expect(panel.locator("figure[data-key=integrated_gradients]:not(.stale, .empty)")).to_be_visible()
    with_note = stands(lambda: panel.evaluate(high), page, "the panel with its note")
    for method in [*widget.methods, *widget.methods]:
        panel.get_by_role("group", name="Method").get_by_role("button", name=method["label"], exact=True).click()
        expect(panel.locator(f"figure[data-key={method['name']}]:not(.stale, .empty)")).to_be_visible()
    stands(lambda: panel.evaluate(high), page, "the panel")
    assert set(page.evaluate("[...heights]")) == {height, with_note}
    widget.close()


@pytest.mark.parametrize("name", ["DreamCanvas", "DropoutInverter"])
@pytest.mark.parametrize("size", [(1280, 720), (640, 360), (450, 360)])
def test_picture_and_play_are_seen_together(name: str, size: tuple[int, int], new_page: Callable[..., Page]) -> None:
    widget = WIDGETS[name](demo.network("cpu"), demo.photo("coffee", size=128))
    panel = show(new_page(*size), widget)
    expect(panel).to_have_attribute("data-shown", "ready")
    together = """(root) => {
      const box = (part) => root.querySelector(part).getBoundingClientRect();
      return box("footer .primary").bottom - box("canvas").top;
    }"""
    # JupyterLab leaves some 110 px less than the window has.
    until(lambda: panel.evaluate(together) <= size[1] - 110, panel.page, "picture and Play are seen together")
    widget.close()


@pytest.mark.parametrize("widget", WIDGETS, indirect=True)
def test_every_label_has_its_sentence(widget: Widget, new_page: Callable[..., Page]) -> None:
    panel = rests(show(new_page(), widget))
    labels = panel.locator(".row > :first-child, .tools button, .methods button, .choice").filter(visible=True)
    until(lambda: labels.count() > 8, panel.page, "the labels")
    for label in labels.all():
        assert len(label.get_attribute("title") or "") > 3, label.evaluate("(part) => part.outerHTML.slice(0, 120)")
    panel.get_by_role("button", name="Help").click()
    told = panel.get_by_role("dialog", name="Help").locator("dt").all_text_contents()
    for label in panel.locator(".row > :first-child").filter(visible=True).all():
        name = label.evaluate("(part) => part.firstChild.textContent")
        assert name in told or name == "Channel", name


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("widget", ["SaliencyView"], indirect=True)
def test_lists_and_buttons_look_like_what_they_are(
    widget: Widget, dark: bool, new_page: Callable[..., Page], shot: Shot
) -> None:
    page = new_page()
    panel = rests(show(page, widget))
    if dark:
        page.evaluate(DARK["JupyterLab"])
        expect(panel).to_have_class(re.compile(r"\bdark\b"))
    arrow = "(part) => getComputedStyle(part).backgroundImage"
    select = panel.get_by_role("combobox", name="View")
    for name in ("Target", "Map lives in"):
        assert panel.get_by_role("combobox", name=name).evaluate(arrow) == select.evaluate(arrow)
    look = "(part) => ['color', 'borderStyle', 'opacity'].map((name) => getComputedStyle(part)[name])"
    compare, other = (panel.get_by_role("button", name=name, exact=True) for name in ("Compare", "Save"))
    assert compare.evaluate(look) == other.evaluate(look)
    shot(f"layout-lists-{'dark' if dark else 'light'}", panel)


def test_what_is_computed_fits_every_width(new_page: Callable[..., Page], shot: Shot) -> None:
    widget = explored(LongName().eval(), torch.rand(1, 3, 40, 60))
    panel = rests(show(new_page(), widget))
    panel.locator(".working").evaluate(
        """(line, name) => {
      line.classList.remove("kept");
      line.querySelector(".words").textContent = `Optimised image of ${name}:0 44 of 64 · 1 s to go`;
    }""",
        LONG,
    )
    fits(panel, "layout-working", shot)
    widget.close()
