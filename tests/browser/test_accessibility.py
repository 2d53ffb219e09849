"""The panels for those who do not see them, or use no mouse: by axe-core, and beyond it."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from nbvis import ActivationStats, DreamCanvas, DropoutInverter, SaliencyView, demo
from nbvis.widgets.base import Widget
from nbvis.widgets.pictures import PictureWidget
from tests.browser.hosts import DARK, KEYS, show
from tests.browser.lab import becomes, until
from tests.browser.test_layout import BLOCKS, explored

AXE = Path(__file__).parents[2] / ".venv/typescript/node_modules/axe-core/axe.min.js"
RUN = """async () => {
  const { violations, passes } = await axe.run(".nbvis");
  const wrong = violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html.slice(0, 120)}`));
  return [wrong, passes.length];
}"""


MAKE: dict[str, Callable[[], Widget]] = {
    "DreamCanvas": lambda: DreamCanvas(demo.network("cpu"), demo.photo("chelsea", size=128), octaves=2, steps=20),
    "SaliencyView": lambda: SaliencyView(demo.network("cpu"), demo.photo("coffee", size=128), compare=["grad_cam"]),
    "DropoutInverter": lambda: DropoutInverter(demo.network("cpu"), demo.photo("coffee", size=128), steps=20),
    "ActivationStats": lambda: ActivationStats(demo.network("cpu"), demo.crops(3, 64), layers=BLOCKS, channel=1),
    "LayerExplorer": lambda: explored(demo.network("cpu"), demo.photo("coffee", size=128)),
}

New = Callable[..., Page]
every_widget = pytest.mark.parametrize("widget", MAKE, indirect=True)


@pytest.fixture
def widget(request: pytest.FixtureRequest) -> Iterator[Widget]:
    made = MAKE[request.param]()
    yield made
    made.close()


def finished(panel: Locator) -> Locator:
    """The panel, once what it has to compute is done."""
    if panel.locator("footer .primary").count():
        panel.get_by_role("button", name=re.compile("Play|Collect")).click()
    expect(panel.locator(".chip i.finished")).to_be_visible()
    expect(panel).to_have_attribute("data-shown", "finished")
    if panel.locator(".passport .patches").count():
        expect(panel.locator(".passport .patches")).to_have_attribute("data-of", re.compile("true$"))
        expect(panel.locator(".chip i.finished")).to_be_visible()
    return panel


def clean(page: Page) -> None:
    """Lets axe-core look at the panel."""
    wrong, right = page.evaluate(RUN)
    assert wrong == []
    assert right > 15


def darken(page: Page, panel: Locator) -> None:
    """Has the panel be dark."""
    page.evaluate(DARK["JupyterLab"])
    until(lambda: "dark" in (panel.get_attribute("class") or ""), page, "the panel is dark")


@every_widget
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing(widget: Widget, theme: str, new_page: New) -> None:
    page = new_page()
    panel = finished(show(page, widget))
    page.add_script_tag(path=AXE)
    if theme == "dark":
        darken(page, panel)
    clean(page)
    for button in ("Save", "Help", *(["Picture"] if isinstance(widget, PictureWidget) else [])):
        panel.get_by_role("button", name=re.compile(f"^{button}")).click()
        popup = panel.locator(".popup").filter(visible=True)
        expect(popup).to_be_visible()
        clean(page)
        page.keyboard.press("Escape")
        expect(popup).to_have_count(0)
    if panel.locator(".combobox").count():
        panel.get_by_role("combobox").and_(page.locator(":not(.formula)")).first.click()
        expect(panel.locator("ul[role=listbox]").filter(visible=True)).to_have_count(1)
        clean(page)


@pytest.mark.parametrize(("shows", "back"), [("gradients", "gradient"), ("activations", "off"), ("gradients", "off")])
def test_axe_finds_nothing_whatever_an_explorer_sends_back(shows: str, back: str, new_page: New) -> None:
    made = explored(demo.network("cpu"), demo.photo("coffee", size=128))
    made.set_trait("shows", shows)
    made.set_trait("back", back)
    page = new_page()
    panel = finished(show(page, made))
    page.add_script_tag(path=AXE)
    clean(page)
    darken(page, panel)
    clean(page)
    made.close()


@every_widget
def test_no_plain_key_leaves_a_panel(widget: Widget, new_page: New) -> None:
    page = new_page()
    panel = finished(show(page, widget))
    page.evaluate(KEYS, False)
    controls = panel.locator("button, input, select, summary, canvas, [tabindex='0']").filter(visible=True)
    for control in [panel, *controls.all()]:
        if control.is_enabled():
            control.focus()
            for key in ("x", "Control+s"):
                page.keyboard.press(key)
    becomes(lambda: set(page.evaluate("keys")), {"Control", "s"}, page, "the keys that came out")


@every_widget
def test_a_panel_has_a_role_and_a_name_and_no_landmarks(widget: Widget, new_page: New) -> None:
    panel = show(new_page(), widget)
    expect(panel).to_have_attribute("role", "group")
    expect(panel).to_have_accessible_name(f"{type(widget).__name__}, {widget.subject}")
    for role in ("banner", "contentinfo", "main", "navigation", "region", "complementary", "search", "form"):
        expect(panel.get_by_role(role)).to_have_count(0)


ENDLESS = {"DreamCanvas": {"endless": True}, "DropoutInverter": {"steps": 10_000, "tolerance": 1e-8}}
"""What makes a run longer than any test."""


@pytest.mark.parametrize("widget", list(ENDLESS), indirect=True)
def test_what_happens_is_said_now_and_then(widget: Widget, new_page: New) -> None:
    page, name = new_page(), type(widget).__name__
    page.add_init_script("performance.now = () => window.ahead ?? 0;")
    page.goto("about:blank")
    panel = show(page, widget)
    said = panel.locator(".unseen")
    expect(said).to_have_attribute("role", "status")
    expect(said).to_have_text(f"{name}: ready, ready to play")
    said.evaluate("""(said) => {
      window.heard = [];
      new MutationObserver(() => heard.push(said.textContent)).observe(said, { childList: true });
    }""")
    for trait, value in ENDLESS[name].items():
        setattr(widget, trait, value)
    panel.get_by_role("button", name="Play").click()
    canvas = panel.locator("canvas").first
    page.wait_for_function("([canvas]) => canvas.dataset.frame > 5", arg=[canvas.element_handle()])
    assert len(page.evaluate("heard")) == 1  # not every frame
    page.evaluate("window.ahead = 10_000")
    page.wait_for_function("heard.length === 2")
    panel.get_by_role("button", name="Pause").click()
    expect(panel.locator(".chip i.paused")).to_be_visible()
    starts, goes_on, rests = page.evaluate("heard")
    assert starts.startswith(f"{name}: running, ")
    assert goes_on.startswith(f"{name}: running, ")
    assert "step" in goes_on
    assert rests.startswith(f"{name}: paused, ")


@pytest.mark.parametrize("widget", ["SaliencyView"], indirect=True)
def test_that_maps_are_ready_is_said(widget: Widget, new_page: New) -> None:
    panel = finished(show(new_page(), widget))
    expect(panel.locator(".unseen")).to_have_text("SaliencyView: ready")


@every_widget
def test_every_control_can_be_reached_and_named(widget: Widget, new_page: New) -> None:
    page = new_page()
    panel = finished(show(page, widget))
    controls = panel.locator("button, input, select, canvas[tabindex]").filter(visible=True)
    for control in controls.all():
        assert control.evaluate("(part) => part.tabIndex") == 0
        expect(control).to_have_accessible_name(re.compile(r"\S"))
