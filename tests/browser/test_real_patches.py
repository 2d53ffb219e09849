"""Real patches stand beside what is dreamt of them, follow what is chosen, and are nowhere where there are none."""

from collections.abc import Callable

import torch
from playwright.sync_api import Locator, Page, expect
from torch import nn

from nbvis import DreamCanvas
from nbvis.engine import collect
from tests.browser.hosts import show
from tests.browser.lab import Panel, becomes
from tests.browser.test_steering import opened

LONG = 60.0

New = Callable[..., Page]
Shot = Callable[[str, Page | Locator], None]


def test_they_follow_what_is_chosen(new_page: New, shot: Shot) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 5), nn.ReLU(), nn.Conv2d(8, 8, 5))
    batches = list(torch.rand(3, 4, 3, 48, 64, generator=torch.Generator().manual_seed(0)))
    options = {"octaves": 1, "steps": 4, "jitter": 2, "layer": "2", "channel": 1}
    canvas = DreamCanvas(network, batches[0][:1], None, collect(network, batches), batches, **options)
    page = new_page()
    panel = Panel(page, show(page, canvas), "canvas[data-frame]")
    real, row = panel.root.locator(".real"), panel.root.get_by_role("group", name="Real patches")
    expect(row).to_have_attribute("data-of", "2:1")
    expect(real.locator("h4")).to_have_text("Real patches that drive 2:1 most")
    expect(row.get_by_role("img")).to_have_count(9)
    best = canvas.patches[0]
    words = row.get_by_role("img").first
    expect(words).to_have_attribute("aria-label", f"Real patch 1 of 9: {best.value:.2g}, in image {best.image}")
    drawn = "(canvas) => [...canvas.getContext('2d').getImageData(canvas.width / 2, canvas.height / 2, 1, 1).data]"
    middle = (255 * best.seen[0, :, 4, 4]).round().tolist()  # of 9 pixels that the unit sees
    becomes(lambda: max(abs(a - b) for a, b in zip(words.evaluate(drawn), middle, strict=False)) <= 1, True, panel.page,
            "the middle of the best patch")  # fmt: skip
    panel.field("Channel").fill("5")
    panel.field("Channel").press("Enter")
    expect(row).to_have_attribute("data-of", "2:5")
    panel.fits()
    shot("real-patches", panel.root)
    panel.root.get_by_role("button", name="Whole layer").click()
    expect(real.locator(".hint")).to_have_text(
        "It is about a whole layer: pick one of its channels to see what drives it."
    )
    expect(row).to_be_hidden()
    panel.root.get_by_role("button", name="One channel").click()
    expect(row).to_be_visible()
    panel.root.get_by_role("button", name="Channels", exact=True).click()
    expect(real).to_be_hidden()
    canvas.close()


def test_without_statistics_there_is_no_place_for_them(new_page: New) -> None:
    canvas = DreamCanvas(nn.Sequential(nn.Conv2d(3, 8, 5)), torch.rand(3, 48, 64), layer="0")
    assert canvas.wait(LONG)
    panel = opened(canvas, new_page)
    expect(panel.root.locator(".real")).to_be_hidden()
    expect(panel.root.locator(".real canvas")).to_have_count(0)
    canvas.close()
