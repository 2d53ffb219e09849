"""How fast a DreamCanvas answers: `python -m tests.bench.latency` prints it, measured in JupyterLab in a real Chromium.

- slider: from the mouse event that moves the learning rate to the first drawn frame that reflects it.
- pause: from the click to the panel that says "paused", after which no step follows, and to the picture that stays.

The embedded network dreams of a photograph of 115 to 224 px, with as many threads as torch takes by itself; Chromium
draws without a graphics card on the same cores.
"""

import statistics
from collections.abc import Sequence

import torch
from playwright.sync_api import sync_playwright

from tests.browser.lab import Notebook, Panel, launch, running_lab

CHANGES, PAUSES = 40, 15
MAKE = """
from nbvis import DreamCanvas, demo
canvas = DreamCanvas(
    demo.network("cpu"), demo.photo("chelsea", size=224), layer="_blocks.9", octaves=8, octave_scale=1.1, steps=200
)
canvas
"""

# A change raises the frame's `rev` by one.
WATCH = """(root) => {
  const canvas = root.querySelector("canvas"), slider = root.querySelector("section:nth-of-type(2) [type=range]");
  const play = root.querySelector("button.primary"), chip = root.querySelector(".chip");
  let moved = null, paused = null;
  window.delays = { slider: [], paused: [], rests: [] };
  const field = root.querySelector("[aria-label='Learning rate, value']");
  let value = field.value;
  slider.addEventListener("input", (event) => {
    if (field.value === value) return;
    value = field.value;
    moved = { at: event.timeStamp, rev: Number(canvas.dataset.rev) + 1 };
  });
  play.addEventListener("click", (event) => { paused = root.querySelector("i.running") ? event.timeStamp : null; });
  new MutationObserver(() => {
    const now = performance.now();
    if (moved && Number(canvas.dataset.rev) >= moved.rev) { delays.slider.push(now - moved.at); moved = null; }
    const says = paused && root.querySelector("i.paused");
    if (says && delays.paused.length === delays.rests.length) delays.paused.push(now - paused);
    if (paused && canvas.dataset.format === "png") { delays.rests.push(now - paused); paused = null; }
  }).observe(root, { attributes: true, childList: true, subtree: true });
}"""


def row(what: str, delays: Sequence[float]) -> str:
    """Median and 95th percentile in milliseconds."""
    return f"{what:<28}{statistics.median(delays):>8.0f}{statistics.quantiles(delays, n=20)[-1]:>8.0f}{len(delays):>6}"


def main() -> None:
    """Prints the table."""
    with running_lab() as lab, sync_playwright() as playwright:
        browser = launch(playwright)
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        notebook = Notebook(lab, page, lab.write("latency", MAKE))
        notebook.run(0)
        panel = Panel(page, page.locator(".nbvis"))
        panel.root.evaluate(WATCH)
        panel.play.click()
        panel.frames(5)
        panel.slider("Learning rate").scroll_into_view_if_needed()
        box = panel.slider("Learning rate").bounding_box()
        assert box is not None
        middle = box["y"] + box["height"] / 2
        page.mouse.move(box["x"] + box["width"] * 0.2, middle)
        page.mouse.down()
        for change in range(CHANGES + 1):
            page.wait_for_function("(count) => delays.slider.length >= count", arg=change + 1)
            page.mouse.move(box["x"] + box["width"] * (0.3 + 0.4 * (change % 2)), middle)
        page.mouse.up()
        rate = panel.chip.text_content()
        for pause in range(PAUSES):
            panel.play.click()
            page.wait_for_function("(count) => delays.rests.length >= count", arg=pause + 1)
            panel.play.click()
            panel.state("running")
            panel.frames(1)
        delays = page.evaluate("() => delays")
        notebook.disconnect()
        browser.close()
    print(f"{'milliseconds':<28}{'median':>8}{'95 %':>8}{'n':>6}    {rate}, torch threads {torch.get_num_threads()}")
    print(row("slider to frame", delays["slider"]))
    print(row("pause to paused", delays["paused"]))
    print(row("pause to the lasting picture", delays["rests"]))


if __name__ == "__main__":
    main()
