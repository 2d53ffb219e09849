"""How fast a DreamCanvas answers: `python -m tests.bench.latency` prints it, measured in JupyterLab in a real Chromium.

- a change: from the mouse or key event that makes it to the first drawn frame that reflects it, in milliseconds and in
  steps of the run that it steers, as they are while it is watched. Each *layer* alternates between two that are known;
  each *new layer* was never asked for before.
- drag: two seconds over 60 channels; how many of them appear, and how long after the last event the last one does.
- pause: from the click to the panel that says "paused", after which no step follows, and to the picture that stays.

The embedded network dreams of a photograph of 224 px, with as many threads as torch takes by itself; Chromium draws
without a graphics card on the same cores.
"""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from playwright.sync_api import expect, sync_playwright

from tests.browser.lab import Notebook, Panel, launch, running_lab

CHANGES, PAUSES, DRAGS = 40, 15, 5
CHANNELS, SECONDS = 60, 2.0
"""Of a drag."""
KNOWN = ("_blocks.8", "_blocks.9")
NEW = [f"_blocks.{block}{part}" for block in (3, 5, 6, 7, 10, 11, 12, 13) for part in ("", "._bn1", "._project_conv")]
MAKE = """
from nbvis import DreamCanvas, demo
canvas = DreamCanvas(demo.network("cpu"), demo.photo("chelsea", size=224), layer="_blocks.9", octaves=1, steps=200)
canvas
"""

# A change raises the frame's `rev` by one.
WATCH = """(root) => {
  const canvas = root.querySelector("canvas"), status = root.querySelector(".status");
  const play = root.querySelector("footer .primary");
  let paused = null;
  window.seen = { frames: [], asked: 0, paused: [], rests: [] };
  for (const kind of ["input", "keydown"]) {
    root.addEventListener(kind, (event) => { seen.asked = event.timeStamp; }, true);
  }
  play.addEventListener("click", (event) => { paused = root.querySelector("i.running") ? event.timeStamp : null; });
  new MutationObserver((changes) => {
    const at = performance.now(), { rev, format } = canvas.dataset;
    if (changes.some((change) => change.attributeName === "data-frame")) {
      seen.frames.push({ at, rev: Number(rev), step: Number(status.textContent.match(/step (\\d+)/)?.[1]) });
    }
    const says = paused && root.querySelector("i.paused");
    if (says && seen.paused.length === seen.rests.length) seen.paused.push(at - paused);
    if (paused && format === "png") { seen.rests.push(at - paused); paused = null; }
  }).observe(root, { attributes: true, childList: true, subtree: true });
}"""


class Frame(NamedTuple):
    """A frame as it was drawn: when, in milliseconds, which change it reflects, and the step that it shows."""

    at: float
    rev: int
    step: int


class Change(NamedTuple):
    """What a change took, in milliseconds, and what a step of the run takes after it."""

    delay: float
    step: float


class Watched:
    """The panel, and what was drawn on it.

    Args:
        notebook: that it is in.
    """

    def __init__(self, notebook: Notebook):
        self.notebook, self.page = notebook, notebook.page
        self.panel = Panel(self.page, self.page.locator(".nbvis"))
        self.panel.root.evaluate(WATCH)

    def restart(self) -> None:
        """The run begins again, without the mouse, which may hold a slider."""
        drawn = len(self._frames())
        self.notebook.kernel("canvas.restart()")
        self.panel.where("seen.frames.slice(given - 1).some(({ step }, at, all) => step < all[at - 1]?.step)", drawn)
        self.panel.frames(2)

    def go_on(self) -> None:
        """Has a run begin again that might end under what comes."""
        if self._frames()[-1].step > 100:
            self.restart()

    def place(self, label: str, share: float) -> tuple[float, float]:
        """Where on the page a slider's thumb is, at a share of its way."""
        slider = self.panel.slider(label)
        slider.scroll_into_view_if_needed()
        box = slider.bounding_box()
        assert box is not None
        return box["x"] + 7 + share * (box["width"] - 14), box["y"] + box["height"] / 2

    def change(self, act: Callable[[], None]) -> Change:
        """What a change takes."""
        self.go_on()
        before = self._frames()[-1].rev
        act()
        self.page.wait_for_function("(rev) => seen.frames.filter((frame) => frame.rev > rev).length > 2", arg=before)
        first, *later = [frame for frame in self._frames() if frame.rev > before]
        step = (later[-1].at - first.at) / (later[-1].step - first.step)
        return Change(first.at - self.page.evaluate("() => seen.asked"), step)

    def slide(self, label: str) -> Iterator[Change]:
        """What each change of a slider takes that goes to and fro."""
        self.page.mouse.move(*self.place(label, 0.2))
        self.page.mouse.down()
        self.change(lambda: self.page.mouse.move(*self.place(label, 0.25)))
        for index in range(CHANGES):
            yield self.change(lambda index=index: self.page.mouse.move(*self.place(label, 0.3 + 0.4 * (index % 2))))
        self.page.mouse.up()

    def pick(self, names: Sequence[str]) -> Iterator[Change]:
        """What it takes to pick each of these layers from the list."""
        picker = self.panel.root.get_by_role("combobox", name="Layer")
        for name in names:
            picker.fill(name)
            option = self.panel.root.locator("[role=option][aria-selected=true] code")
            expect(option).to_have_text(name)
            yield self.change(lambda: picker.press("Enter"))

    def drag(self) -> tuple[float, int, float]:
        """The seconds of a drag, how many of its channels appear, and how long after the last event the last does."""
        label, begin = "Channel", self._frames()[-1].rev
        most = int(self.panel.slider(label).get_attribute("max") or 0)
        (left, middle), (right, _) = (self.place(label, 0.1 + channels / most) for channels in (0, CHANNELS))
        self.page.mouse.move(left, middle)
        self.page.mouse.down()
        start = time.monotonic()
        for index in range(1, CHANNELS + 1):
            self.page.mouse.move(left + (right - left) * index / CHANNELS, middle)
            self.page.wait_for_timeout(max(0.0, 1000 * (start + SECONDS * index / CHANNELS - time.monotonic())))
        took, asked = time.monotonic() - start, self.page.evaluate("() => seen.asked")
        self.page.mouse.up()
        self.notebook.gives("canvas.channel", int(self.panel.slider(label).input_value()))
        last = self.notebook.kernel("canvas._session.rev")
        self.panel.where("seen.frames.at(-1).rev >= given", last)
        frames = self._frames()
        shown = {frame.rev for frame in frames if begin < frame.rev}
        return took, len(shown), next(frame.at for frame in frames if frame.rev >= last) - asked

    def pause(self) -> None:
        """Pauses, waits for the picture that stays, and goes on."""
        self.go_on()
        count = self.page.evaluate("() => seen.rests.length")
        self.panel.play.click()
        self.page.wait_for_function("(count) => seen.rests.length > count", arg=count)
        self.panel.play.click()
        self.panel.state("running")
        self.panel.frames(1)

    def _frames(self) -> list[Frame]:
        return [Frame(**frame) for frame in self.page.evaluate("() => seen.frames")]


def ends(values: Sequence[float]) -> tuple[float, float]:
    """Median and 95th percentile."""
    return statistics.median(values), statistics.quantiles(values, n=20)[-1]


def changes_row(what: str, found: Sequence[Change]) -> str:
    """A line of the table: milliseconds, those of a step, steps, and what the goal would be."""
    (median, high), (steps, most) = ends([each.delay for each in found]), ends([c.delay / c.step for c in found])
    step = statistics.median(each.step for each in found)
    goal = f"{1.5 * step + 50:>8.0f}{2 * step + 100:>8.0f}"
    return f"{what:<28}{median:>8.0f}{high:>8.0f}{step:>8.0f}{steps:>8.2f}{most:>8.2f}{goal}{len(found):>6}"


def row(what: str, delays: Sequence[float]) -> str:
    """Median and 95th percentile in milliseconds."""
    median, high = ends(delays)
    return f"{what:<28}{median:>8.0f}{high:>8.0f}{len(delays):>6}"


def main() -> None:
    """Prints the tables."""
    with running_lab() as lab, sync_playwright() as playwright:
        browser = launch(playwright)
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        notebook = Notebook(lab, page, lab.write("latency", MAKE))
        notebook.run(0)
        found = _measured(Watched(notebook))
        notebook.disconnect()
        browser.close()
    print(f"torch threads {torch.get_num_threads()}")
    columns = ("median", "95 %", "a step", "steps", "95 %", "goal", "95 %")
    print(f"{'milliseconds':<28}{''.join(f'{each:>8}' for each in columns)}{'n':>6}")
    for what in ("learning rate", "channel", "layer", "new layer"):
        print(changes_row(f"{what} to frame", found[what]))
    for seconds, shown, delay in found["drags"]:  # a busy machine takes longer to drag
        print(f"drag over {CHANNELS} channels in {seconds:.1f} s: {shown} appeared, the last after {delay:.0f} ms")
    print(row("pause to paused", found["paused"]))
    print(row("pause to the lasting picture", found["rests"]))


def _measured(watched: Watched) -> dict[str, Any]:
    panel, found = watched.panel, {}
    panel.play.click()
    panel.frames(5)
    found["learning rate"] = list(watched.slide("Learning rate"))
    panel.root.get_by_role("button", name="One channel").click()
    watched.restart()
    found["channel"] = list(watched.slide("Channel"))
    found["drags"] = []
    for _ in range(DRAGS):
        watched.restart()
        found["drags"].append(watched.drag())
    found["layer"] = list(watched.pick([KNOWN[index % 2] for index in range(CHANGES)]))[2:]
    found["new layer"] = list(watched.pick(NEW))
    watched.restart()
    for _ in range(PAUSES):
        watched.pause()
    return found | {key: watched.page.evaluate(f"() => seen.{key}") for key in ("paused", "rests")}


if __name__ == "__main__":
    main()
