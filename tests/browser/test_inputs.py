"""Another picture, chosen in the panel with the mouse, the keys, a file, the clipboard or the camera."""

import base64
import io
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect
from torch import nn

from nbvis import DreamCanvas, DropoutInverter, SaliencyView
from nbvis.widgets.base import Widget
from tests.browser.hosts import DARK, Ear, show
from tests.browser.lab import CHROMIUM, OUTSIDE, Notebook, Panel, becomes, until
from tests.browser.test_layout import fits

Open = Callable[..., Notebook]
New = Callable[..., Page]
Shot = Callable[[str, Page | Locator], None]

IMAGE = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
KINDS: dict[str, Callable[..., Widget]] = {
    "DreamCanvas": lambda *given, **options: DreamCanvas(*given, octaves=1, steps=2, **options),
    "SaliencyView": SaliencyView,
    "DropoutInverter": lambda *given, **options: DropoutInverter(*given, steps=2, **options),
}
every_widget = pytest.mark.parametrize("widget", KINDS, indirect=True)
only_saliency = pytest.mark.parametrize("widget", ["SaliencyView"], indirect=True)
FAKE = ["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, 2), nn.ReLU(), nn.Dropout(), nn.Conv2d(4, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )


@pytest.fixture
def widget(request: pytest.FixtureRequest) -> Iterator[Widget]:
    made = KINDS[request.param](network(), IMAGE)
    yield made
    made.close()


def encoded(array: np.ndarray, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, kind, **options)
    return buffer.getvalue()


def chooser(panel: Locator) -> Locator:
    """The button that says which picture is shown."""
    return panel.get_by_role("button", name="Picture: ")


def shows(panel: Locator, name: str) -> None:
    """Waits until the panel says that this picture is shown, and nothing is wrong."""
    expect(chooser(panel)).to_have_accessible_name(f"Picture: {name}")
    expect(panel.get_by_role("alert")).to_have_count(0)
    expect(panel).not_to_have_class(re.compile(r"\breads\b"))


# What a person does with a file and the mouse, or the clipboard, has no other way into a page.
CARRY = """(part, [event, name, text, type]) => {
  const carried = new DataTransfer(), bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  carried.items.add(new File([bytes], name, { type }));
  const options = { bubbles: true, cancelable: true, composed: true };
  const made = event === "paste" ? new ClipboardEvent(event, { ...options, clipboardData: carried })
    : new DragEvent(event, { ...options, dataTransfer: carried });
  return part.dispatchEvent(made);
}"""


def carry(part: Locator, event: str, data: bytes, name: str = "it.png", kind: str = "image/png") -> bool:
    """Has an event with a file happen; whether the page may go on with it as well."""
    return part.evaluate(CARRY, [event, name, base64.b64encode(data).decode(), kind])


@every_widget
def test_a_photograph_is_chosen_from_the_menu_with_the_keys_alone(widget: Widget, new_page: New, shot: Shot) -> None:
    page = new_page()
    panel = show(page, widget)
    shows(panel, "given in Python")
    chooser(panel).focus()
    page.keyboard.press("Enter")
    menu = panel.get_by_role("menu")
    expect(menu.get_by_role("menuitem").first).to_be_focused()
    expect(menu.get_by_role("menuitem")).to_have_count(2 + 14)
    page.keyboard.press("End")
    expect(menu.get_by_role("menuitem", name="rocket")).to_be_focused()
    page.keyboard.press("ArrowUp")
    shot(f"inputs-menu-{type(widget).__name__}", page)
    page.keyboard.press("Enter")
    shows(panel, "retina")
    expect(panel.locator(".net")).to_contain_text("1411 × 1411")
    expect(chooser(panel)).to_be_focused()


@only_saliency
def test_without_photographs_the_menu_says_nothing_of_them(widget: Widget, new_page: New) -> None:
    widget._photographs = []
    panel = show(new_page(), widget)
    chooser(panel).click()
    expect(panel.get_by_role("menuitem")).to_have_count(2)
    expect(panel.get_by_role("menu").get_by_text("Photographs")).to_have_count(0)


@every_widget
def test_a_file_is_opened(widget: Widget, new_page: New) -> None:
    page = new_page()
    panel = show(page, widget)
    for name, rows in (("one.png", 15), ("two.png", 16), ("two.png", 17)):
        chooser(panel).click()
        with page.expect_file_chooser() as chosen:
            panel.get_by_role("menuitem", name="Open a file…").click()
        chosen.value.set_files([{"name": name, "mimeType": "image/png", "buffer": encoded(IMAGE[:rows])}])
        becomes(lambda: widget.image.shape, (1, 3, rows, 60), page, "the shape of the picture")
        shows(panel, name)
    assert np.array_equal((255 * widget.image[0]).round().byte().permute(1, 2, 0).numpy(), IMAGE[:17])


@every_widget
@pytest.mark.parametrize("width", [1280, 264])
def test_a_picture_that_is_not_square_is_cropped_or_stretched(
    widget: Widget, width: int, new_page: New, shot: Shot
) -> None:
    page = new_page(width)
    panel = show(page, widget)
    group = panel.get_by_role("group", name="Framing")
    side = min(IMAGE.shape[:2])
    for name in ("Crop", "Stretch"):
        group.get_by_role("button", name=name).click()
        expect(panel.get_by_text(f"{side} × {side}").first).to_be_visible()
        expect(group.get_by_role("button", name=name)).to_have_attribute("aria-pressed", "true")
    shot(f"framing-{type(widget).__name__}-{width}", panel)
    becomes(lambda: panel.evaluate(OUTSIDE), [], page, "what sticks out")
    chooser(panel).click()
    with page.expect_file_chooser() as chosen:
        panel.get_by_role("menuitem", name="Open a file…").click()
    chosen.value.set_files([{"name": "it.png", "mimeType": "image/png", "buffer": encoded(IMAGE[:side, :side])}])
    shows(panel, "it.png")
    expect(group).to_be_hidden()


@every_widget
def test_a_file_is_dropped_on_the_panel(widget: Widget, new_page: New, shot: Shot) -> None:
    page = new_page()
    panel = show(page, widget)
    hint = panel.get_by_text("Drop the picture here")
    canvas = panel.locator("canvas").first
    assert not carry(canvas, "dragenter", b"")
    expect(hint).to_be_visible()
    shot(f"inputs-drop-{type(widget).__name__}", page)
    carry(panel.locator(".drop"), "dragleave", b"")
    expect(hint).to_be_hidden()
    carry(canvas, "dragover", b"")
    expect(hint).to_be_visible()
    assert not carry(panel.locator(".drop"), "drop", encoded(IMAGE[:30]), "dropped.png")  # the browser would open it
    expect(hint).to_be_hidden()
    shows(panel, "dropped.png")
    becomes(lambda: widget.image.shape[2], 30, page, "the height of the picture")


@every_widget
def test_a_picture_is_pasted_and_a_text_is_left_alone(widget: Widget, new_page: New) -> None:
    panel = show(new_page(), widget)
    assert not carry(panel, "paste", encoded(IMAGE[:30]))
    shows(panel, "pasted")
    assert panel.evaluate("(root) => root.dispatchEvent(new ClipboardEvent('paste', { cancelable: true }))")


@every_widget
def test_a_bad_file_says_so_where_it_is_seen_and_the_picture_stays(widget: Widget, new_page: New, shot: Shot) -> None:
    page = new_page(380, 700)
    panel = show(page, widget)
    expect(panel.locator("canvas").first).to_have_attribute("data-frame", re.compile(r"\d+"))
    carry(panel, "drop", b"This is no picture.", "notes.txt")
    said = panel.get_by_role("alert")
    expect(said).to_contain_text("'notes.txt' is no picture that can be read: JPEG, PNG")
    expect(said).to_be_in_viewport()
    shot(f"inputs-bad-{type(widget).__name__}", page)
    expect(chooser(panel)).to_have_accessible_name("Picture: given in Python")
    assert widget.image.shape == (1, 3, 40, 60)
    carry(panel, "drop", encoded(IMAGE[:30]), "good.png")
    shows(panel, "good.png")


@pytest.mark.parametrize("turned", [False, True])
@only_saliency
def test_a_picture_that_is_too_large_is_made_smaller_by_the_browser_and_says_so(
    widget: Widget, turned: bool, new_page: New
) -> None:
    panel = show(new_page(), widget)
    wide = np.zeros((1000, 5000, 3), np.uint8)
    wide[:, 2500:] = 255
    exif = Image.Exif()
    if turned:  # as a phone does that is held upright
        wide, exif[0x0112] = np.rot90(wide), 6
    carry(panel, "drop", encoded(wide, "JPEG", exif=exif), "wide.jpg")
    shows(panel, "wide.jpg")
    becomes(lambda: widget.image.shape, (1, 3, 819, 4096), panel.page, "the shape of the picture")
    assert widget.image[..., :2000].mean() < 0.02 and widget.image[..., -2000:].mean() > 0.98
    scaled = "The browser scaled the picture from 1,000 × 5,000 to 819 × 4,096 pixels before it was sent, as a JPEG."
    expect(panel.get_by_text(scaled)).to_be_visible()
    expect(panel.get_by_role("combobox", name="Work at")).to_be_visible()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, rows in (("a.png", 20), ("b.png", 25), ("d.png", 30)):
        Image.fromarray(IMAGE[:rows]).save(tmp_path / name)
    (tmp_path / "c.png").write_bytes(b"no picture")
    lines = ["a.png tabby cat", "b.png zebra", "c.png", "d.png espresso"]
    (tmp_path / "list.txt").write_text("\n".join(lines))
    return tmp_path


@every_widget
def test_a_list_is_walked_through_and_searched(widget: Widget, new_page: New, shot: Shot, folder: Path) -> None:
    page = new_page()
    panel = show(page, widget)
    back, on, field = (
        panel.get_by_role("button", name="Previous picture"),
        panel.get_by_role("button", name="Next picture"),
        panel.get_by_role("combobox", name="List"),
    )
    expect(on).to_be_hidden()
    widget.pictures = folder / "list.txt"
    on.click()
    shows(panel, "a.png")
    expect(field).to_have_value("a.png · tabby cat")
    expect(back).to_have_attribute("aria-disabled", "true")
    on.focus()
    page.keyboard.press("Enter")
    shows(panel, "b.png")
    page.keyboard.press("Enter")
    shows(panel, "d.png")  # the one between is none
    expect(panel.get_by_text("c.png' is no picture that can be read")).to_be_visible()
    expect(on).to_have_attribute("aria-disabled", "true")
    expect(on).to_be_focused()
    shot(f"inputs-list-{type(widget).__name__}", page)
    back.click()
    shows(panel, "b.png")
    field.click()
    field.fill("espresso")
    page.keyboard.press("Enter")
    shows(panel, "d.png")
    becomes(lambda: widget.image.shape[2], 30, page, "the height of the picture")
    widget.pictures = None
    expect(on).to_be_hidden()


@pytest.fixture
def camera_page(browser: Browser) -> Iterator[New]:
    """Opens pages of a browser that has a camera, which shows a moving test picture."""
    own = browser.browser_type.launch(executable_path=shutil.which("chromium"), args=[*CHROMIUM, *FAKE])

    def camera_page(address: str = "http://localhost/") -> Page:
        page = own.new_page(viewport={"width": 1280, "height": 1000}, reduced_motion="reduce")
        page.route(f"{address}**", lambda route: route.fulfill(body="", content_type="text/html"))
        page.goto(address)
        return page

    yield camera_page
    own.close()


@every_widget
def test_a_picture_is_taken_with_the_camera(widget: Widget, camera_page: New, shot: Shot) -> None:
    page = camera_page()
    panel = show(page, widget)
    chooser(panel).click()
    panel.get_by_role("menuitem", name="Use the camera…").click()
    video = panel.get_by_label("What the camera sees")
    shoot = panel.get_by_role("button", name="Take the picture")
    expect(shoot).to_be_focused()
    expect(panel.get_by_role("button", name="Live")).to_have_count(1 if isinstance(widget, SaliencyView) else 0)
    fits(panel, f"inputs-camera-{type(widget).__name__}", shot)
    tracks = video.evaluate_handle("(video) => video.srcObject.getTracks()")
    shoot.click()
    shows(panel, "from the camera")
    expect(video).to_be_hidden()
    states = "(tracks) => tracks.map((track) => track.readyState)"
    becomes(lambda: tracks.evaluate(states), ["ended"], page, "the camera")
    assert widget.image.shape[1] == 3 and min(widget.image.shape[2:]) >= 240
    assert float(widget.image.std()) > 0.05


@only_saliency
def test_a_live_camera_has_one_picture_under_way_until_it_is_frozen(
    widget: Widget, camera_page: New, shot: Shot
) -> None:
    page = camera_page()
    panel, ear = show(page, widget), Ear(page, widget)
    chooser(panel).click()
    panel.get_by_role("menuitem", name="Use the camera…").click()
    panel.get_by_role("button", name="Live").click()
    until(lambda: ear.answered >= 2, page, "two pictures")
    map_shown = panel.locator("figure[data-key=gradient]:not(.empty)")
    expect(map_shown).to_be_visible()
    map_shown.evaluate("""(figure) => {
      window.emptied = 0;
      new MutationObserver(() => { emptied += figure.matches(".empty"); }).observe(figure, { attributes: true });
    }""")
    before = ear.answered
    until(lambda: ear.answered >= before + 4, page, "four pictures more")
    assert ear.most == 1
    assert page.evaluate("emptied") == 0  # the map of the picture before stays until there is one
    shot("inputs-live", page)
    panel.get_by_role("button", name="Freeze").click()
    expect(panel.get_by_role("button", name="Live")).to_be_visible()
    ear.rests()
    shows(panel, "from the camera")
    frozen = widget.image
    expect(panel.locator("figure[data-key=gradient]:not(.stale, .empty)")).to_be_visible()
    assert widget.image is frozen
    panel.get_by_role("button", name="Close the camera").click()
    expect(panel.get_by_label("What the camera sees")).to_be_hidden()


@only_saliency
def test_a_camera_that_goes_or_is_refused_is_said(widget: Widget, camera_page: New) -> None:
    page = camera_page()
    panel = show(page, widget)

    def use() -> None:
        chooser(panel).click()
        panel.get_by_role("menuitem", name="Use the camera…").click()

    use()
    video = panel.get_by_label("What the camera sees")
    expect(video).to_be_visible()
    # As the browser does when it is unplugged.
    video.evaluate("(video) => video.srcObject.getTracks()[0].dispatchEvent(new Event('ended'))")
    expect(panel.get_by_role("alert")).to_contain_text("The camera is gone")
    expect(video).to_be_hidden()
    refuse = "(name) => { navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('', name); }; }"
    for name, said in (("NotAllowedError", "was not allowed to use the camera"), ("NotFoundError", "no camera")):
        page.evaluate(refuse, name)
        use()
        expect(panel.get_by_role("alert")).to_contain_text(said)
    page.evaluate("Object.defineProperty(navigator, 'mediaDevices', { value: undefined })")
    use()
    expect(panel.get_by_role("alert")).to_contain_text("over https, or on localhost")
    assert widget.image.shape == (1, 3, 40, 60)


LAB = """
import torch, numpy as np
from torch import nn
from nbvis import SaliencyView
torch.manual_seed(0)
network = nn.Sequential(nn.Conv2d(3, 4, 3, 4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
view = SaliencyView(network, np.zeros((40, 60, 3), np.uint8))
view
"""


def test_in_jupyterlab_a_photograph_of_a_phone_arrives_and_a_paste_stays_in_the_panel(
    open_notebook: Open, page: Page, shot: Shot
) -> None:
    notebook = open_notebook(LAB, "1 + 1")
    notebook.run(0)
    panel = Panel(page, page.locator(".nbvis"), "canvas[data-pane=input]").root
    noise = np.random.default_rng(0).integers(0, 256, (3000, 4000, 3), dtype=np.uint8)
    phone = encoded(noise, "JPEG", quality=88)
    assert len(phone) > 9_500_000  # Jupyter's server ends the connection at 10 MiB
    chooser(panel).click()
    with page.expect_file_chooser() as chosen:
        panel.get_by_role("menuitem", name="Open a file…").click()
    chosen.value.set_files([{"name": "phone.jpg", "mimeType": "image/jpeg", "buffer": phone}])
    shows(panel, "phone.jpg")
    notebook.gives("tuple(view.image.shape)", (1, 3, 3000, 4000))
    expect(panel.get_by_text("The browser compressed the file")).to_be_visible()
    cells = page.locator(".jp-Notebook .jp-Cell").count()
    panel.click(position={"x": 5, "y": 5})
    assert not carry(panel, "paste", encoded(IMAGE))
    shows(panel, "pasted")
    notebook.gives("tuple(view.image.shape)", (1, 3, 40, 60))
    notebook.command("notebook:insert-cell-below")  # done after whatever the paste did in the notebook
    expect(page.locator(".jp-Notebook .jp-Cell")).to_have_count(cells + 1)
    shot("inputs-jupyterlab", page)


@pytest.mark.parametrize("dark", [False, True])
@only_saliency
def test_what_one_looks_at(widget: Widget, dark: bool, new_page: New, shot: Shot, folder: Path) -> None:
    page = new_page(380)
    widget.pictures = folder
    panel = show(page, widget)
    if dark:
        page.evaluate(DARK["JupyterLab"])
    chooser(panel).click()
    items = panel.get_by_role("menuitem")
    expect(items.last).to_be_visible()
    boxes = """(items) => items.filter((item) => {
      const { left, right, height } = item.getBoundingClientRect();
      return height < 24 || left < 0 || right > 380;
    }).map((item) => item.outerHTML)"""
    becomes(lambda: items.evaluate_all(boxes), [], page, "what is too small or sticks out")
    shot(f"inputs-380-{'dark' if dark else 'light'}", page)
