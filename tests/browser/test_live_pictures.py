"""Pictures that come one after the other, from a video or the camera: none is asked for before the last is shown."""

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from nbvis import DreamCanvas, LayerExplorer
from nbvis.widgets.base import Widget
from tests.browser.films import greys, webm, y4m
from tests.browser.hosts import DARK, Ear, heard, show
from tests.browser.lab import CHROMIUM, becomes, until
from tests.browser.test_inputs import FAKE, IMAGE, carry, chooser, network, shows

New = Callable[..., Page]
Shot = Callable[[str, Page | Locator], None]

FILM = webm(greys(30))
"""Three seconds of it."""


@pytest.fixture
def explorer() -> Iterator[Widget]:
    made = LayerExplorer(network(), IMAGE)
    yield made
    made.close()


def opened(page: Page, widget: Widget, film: bytes = FILM, name: str = "film.webm") -> Locator:
    panel = show(page, widget)
    carry(panel, "drop", film, name, "video/webm")
    expect(panel.get_by_role("group", name="Video")).to_be_visible()
    # However slow the machine is, a test is done with it before it ends.
    panel.get_by_label("The video", exact=True).evaluate("(video) => { video.playbackRate = 0.1; }")
    return panel


def grey(widget: Widget) -> float:
    return 255 * float(widget.image.mean())


def sees(page: Page, widget: Widget, frame: int) -> None:
    """Waits until the picture is this one of the film."""
    until(lambda: abs(grey(widget) - (40 + 160 * frame // 29)) < 4, page, f"picture {frame} of the film")


def wound(slider: Locator, seconds: float) -> None:
    """As a person draws the slider to a time."""
    slider.fill(str(round(100 * seconds)))


@pytest.mark.parametrize("dark", [False, True])
def test_a_video_is_played_frozen_and_wound_and_the_network_follows(
    explorer: Widget, dark: bool, new_page: New, shot: Shot
) -> None:
    page = new_page(380 if dark else 1280)
    ear = Ear(page, explorer)
    panel = opened(page, explorer)
    if dark:
        page.evaluate(DARK["JupyterLab"])
    shows(panel, "film.webm, 0:00.0")
    sees(page, explorer, 0)
    assert explorer.image.shape == (1, 3, 48, 64)
    slider, play = (
        panel.get_by_role("slider", name="Time in the video"),
        panel.get_by_role("button", name="Play the video"),
    )
    expect(play).to_be_focused()
    wound(slider, 2.05)
    shows(panel, "film.webm, 0:02.0")
    sees(page, explorer, 20)
    ear.rests()
    assert ear.asked == 2
    expect(slider).to_have_attribute("aria-valuetext", "0:02.0 of 0:03.0")
    shot(f"video-{'dark' if dark else 'light'}", page)
    wound(slider, 0)
    shows(panel, "film.webm, 0:00.0")
    layer = panel.locator("figure[data-key=layer]:not(.empty)")
    expect(layer).to_be_visible()
    play.click()
    until(lambda: ear.answered >= 5, page, "pictures of the video")
    panel.get_by_role("button", name="Freeze").click()
    expect(play).to_be_focused()
    video = panel.get_by_label("The video", exact=True)
    until(lambda: video.evaluate("(video) => video.paused"), page, "the video stands still")
    ear.rests()
    assert ear.most == 1
    frozen = explorer.image
    expect(panel.locator("figure[data-key=layer]:not(.stale, .empty)")).to_be_visible()
    heard(page, explorer)
    assert explorer.image is frozen and explorer.picture.startswith("film.webm, 0:0")
    panel.get_by_role("button", name="Close the video").click()
    expect(video).to_be_hidden()
    assert not video.get_attribute("src")


def test_a_video_ends_and_begins_again(explorer: Widget, new_page: New) -> None:
    page = new_page()
    panel = opened(page, explorer, webm(greys(5), length=False), "recorded.webm")  # it does not say how long it is
    slider = panel.get_by_role("slider", name="Time in the video")
    expect(slider).to_have_attribute("aria-valuetext", re.compile(r"0:00.0 of 0:00.[45]"))
    play = panel.get_by_role("button", name="Play the video")
    play.click()
    expect(panel.get_by_role("button", name="Freeze")).to_be_visible()
    expect(play).to_be_visible()
    becomes(lambda: explorer.state, "finished", page, "state")
    play.click()
    expect(panel.get_by_role("button", name="Freeze")).to_be_visible()
    expect(play).to_be_visible()


def test_where_the_widget_does_not_follow_one_picture_of_the_video_is_taken(new_page: New) -> None:
    canvas = DreamCanvas(network(), IMAGE, octaves=1, steps=2)
    page = new_page()
    ear = Ear(page, canvas)
    panel = opened(page, canvas)
    shows(panel, "given in Python")
    panel.get_by_role("button", name="Play the video").click()
    panel.get_by_role("button", name="Pause the video").click()
    wound(panel.get_by_role("slider", name="Time in the video"), 1.05)
    expect(panel.get_by_text("0:01.0 / 0:03.0")).to_be_visible()
    heard(page, canvas)
    assert ear.asked == 0
    panel.get_by_role("button", name="Take the picture").click()
    shows(panel, "film.webm, 0:01.0")
    sees(page, canvas, 10)
    expect(panel.get_by_role("group", name="Video")).to_be_visible()
    canvas.close()


def test_a_video_that_cannot_be_played_is_said_and_the_picture_stays(explorer: Widget, new_page: New) -> None:
    panel = show(new_page(), explorer)
    carry(panel, "drop", FILM[:40] + b"damaged", "broken.webm", "video/webm")
    expect(panel.get_by_role("alert")).to_have_text(
        "broken.webm is no video that this browser plays: MP4 and WebM usually are."
    )
    expect(panel.get_by_role("group", name="Video")).to_be_hidden()
    assert explorer.picture == "given in Python"
    carry(panel, "drop", FILM, "whole.webm", "video/webm")
    shows(panel, "whole.webm, 0:00.0")


@pytest.fixture
def lens(browser: Browser, tmp_path: Path) -> Iterator[New]:
    """Opens pages of a browser whose camera shows a film that the test made: from dark to light, again and again."""
    (tmp_path / "camera.y4m").write_bytes(y4m(greys(20, (240, 320))))
    seen = f"--use-file-for-fake-video-capture={tmp_path / 'camera.y4m'}"
    own = browser.browser_type.launch(executable_path=shutil.which("chromium"), args=[*CHROMIUM, *FAKE, seen])

    def lens() -> Page:
        page = own.new_page(viewport={"width": 1280, "height": 1000}, reduced_motion="reduce")
        page.route("http://localhost/**", lambda route: route.fulfill(body="", content_type="text/html"))
        page.goto("http://localhost/")
        return page

    yield lens
    own.close()


def test_the_explorer_follows_the_camera_until_it_is_frozen(explorer: Widget, lens: New, shot: Shot) -> None:
    page = lens()
    ear, panel = Ear(page, explorer), show(page, explorer)
    expect(panel.locator("figure[data-key=layer]:not(.empty)")).to_be_visible()
    chooser(panel).click()
    panel.get_by_role("menuitem", name="Use the camera…").click()
    panel.get_by_role("button", name="Live").click()
    seen: set[int] = set()

    def several() -> bool:
        seen.add(round(grey(explorer)))
        return ear.answered >= 6 and len(seen) >= 3

    until(several, page, "pictures of the camera")
    assert explorer.image.shape == (1, 3, 240, 320) and all(20 < each < 225 for each in seen - {round(IMAGE.mean())})
    shot("explorer-live", page)
    panel.get_by_role("button", name="Freeze").click()
    ear.rests()
    assert ear.most == 1
    shows(panel, "from the camera")
    frozen = explorer.image
    expect(panel.locator("figure[data-key=layer]:not(.stale, .empty)")).to_be_visible()
    heard(page, explorer)
    assert explorer.image is frozen
    panel.get_by_label("What the camera sees").evaluate(
        "(video) => video.srcObject.getTracks()[0].dispatchEvent(new Event('ended'))"
    )  # it is unplugged
    expect(panel.get_by_role("alert")).to_contain_text("The camera is gone")
    heard(page, explorer)
    assert explorer.image is frozen
    carry(panel, "drop", FILM, "film.webm", "video/webm")
    shows(panel, "film.webm, 0:00.0")
