"""How fast a LayerExplorer answers: `python -m tests.bench.explorer` prints it, measured in JupyterLab in Chromium.

From the key or the click to the pane that shows what it asks for, in milliseconds, beside what the network itself takes
for it: a channel is cut out of the picture of its layer, what comes back from it takes a forward and a backward pass,
the maps of a layer a forward pass to it. Each picture is looked at for a moment, in which the panel computes what may
be asked next. The embedded network looks at a photograph of 224 px, with its passport open over statistics of two
layers, and folded away.
"""

import statistics
from collections.abc import Callable, Iterator, Sequence

import torch
from playwright.sync_api import sync_playwright

from tests.bench.latency import ends
from tests.browser.lab import Notebook, Panel, launch, running_lab

CHANGES = 30
PAUSE = 300
"""Milliseconds for which each picture is looked at."""
LAYERS = ("_blocks.5", "_blocks.6")
MAKE = f"""
from torch.utils.data import DataLoader
from nbvis import LayerExplorer, demo
from nbvis.engine import activations, attribute, collect, energy
network, image, crops = demo.network("cpu"), demo.photo("chelsea", size=224), demo.crops(14)
known = collect(network, DataLoader(crops, batch_size=7), layers={LAYERS})
explorer = LayerExplorer(network, image, known, crops, layer="{LAYERS[0]}", channel=0)
explorer
"""
TIMED = "min(__import__('timeit').repeat(lambda: {}, number=1, repeat=9)) * 1000"
FORWARD = "activations(network, image, ['{}'])"
BACK = "attribute(network, image, energy('_blocks.5', 3))"
WATCH = """(root) => {
  window.asked = 0;
  window.shown = [];
  for (const kind of ["keydown", "pointerdown"]) {
    root.addEventListener(kind, (event) => { asked = event.timeStamp; }, true);
  }
  new MutationObserver(() => {
    for (const pane of root.querySelectorAll("figure[data-key]:not(.stale, .empty)")) {
      const text = `${pane.dataset.key} ${pane.querySelector("figcaption").textContent}`;
      if (!shown.some((each) => each.text === text)) shown.push({ text, at: performance.now() });
    }
  }).observe(root, { attributes: true, childList: true, subtree: true, characterData: true });
}"""
PAINTED = """(wanted) => {
  const found = wanted.map((parts) => shown.find(({ text }) => parts.every((part) => text.includes(part))));
  return found.every(Boolean) && found.map(({ at }) => at - asked);
}"""


class Watched:
    """The panel, and when it showed what.

    Args:
        notebook: that it is in.
    """

    def __init__(self, notebook: Notebook):
        self.notebook, self.page = notebook, notebook.page
        self.panel = Panel(self.page, self.page.locator(".nbvis"), "canvas[data-pane='layer']")
        self.panel.state("finished")
        self.panel.root.evaluate(WATCH)

    def answers(self, act: Callable[[], None], *wanted: Sequence[str]) -> list[float]:
        """Milliseconds from what is done to each of the panes whose captions hold these words."""
        self.page.evaluate("() => { shown.length = 0; }")
        act()
        return self.page.wait_for_function(PAINTED, arg=wanted).json_value()

    def channels(self, layer: str) -> Iterator[list[float]]:
        """The channel, and what comes back from it, for one key after the other."""
        self.panel.canvas.focus()
        for _ in range(CHANGES):
            channel = self.notebook.kernel("explorer.channel") + 1
            back = ("back ", f"{layer}:{channel}")
            yield self.answers(lambda: self.page.keyboard.press("ArrowRight"), (f"channel Channel {channel}",), back)
            self.page.wait_for_timeout(PAUSE)

    def layers(self, names: Sequence[str]) -> Iterator[float]:
        """The picture of a layer, for one click after the other."""
        for name in names:
            item = self.panel.root.locator(f"[data-layer='{name}']")
            item.scroll_into_view_if_needed()
            yield from self.answers(item.click, (f"layer Activations · {name}",))
            self.page.wait_for_timeout(PAUSE)


def row(what: str, delays: Sequence[float], own: float) -> str:
    """Median and 95th percentile, what the network takes, and the median on top of it."""
    median, high = ends(delays)
    return f"{what:<42}{median:>8.0f}{high:>8.0f}{own:>10.0f}{median - own:>10.0f}{len(delays):>6}"


def main() -> None:
    """Prints the table."""
    lines = []
    with running_lab() as lab, sync_playwright() as playwright:
        browser = launch(playwright)
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        notebook = Notebook(lab, page, lab.write("explorer", MAKE))
        notebook.run(0)
        notebook.kernel("explorer.wait(60)")
        watched = Watched(notebook)
        both = notebook.kernel(TIMED.format(BACK))
        names = notebook.kernel("[row['name'] for row in explorer.layers if row['shape'][0] <= 1152]")[4::2]
        for passport in (True, False):
            with_it = "with its passport" if passport else "passport folded away"
            notebook.kernel(f"[setattr(explorer, 'passport', {passport}), explorer.wait(60)]")
            shown = list(watched.channels(LAYERS[0]))
            lines.append(row(f"key to channel, {with_it}", [each[0] for each in shown], 0.0))
            lines.append(row(f"key to what comes back, {with_it}", [each[1] for each in shown], both))
            layers, names = names[:CHANGES], names[CHANGES:]
            forward = statistics.median(notebook.kernel(TIMED.format(FORWARD.format(name))) for name in layers)
            lines.append(row(f"click to layer, {with_it}", list(watched.layers(layers)), forward))
            notebook.kernel(f"setattr(explorer, 'layer', '{LAYERS[0]}')")
        notebook.disconnect()
        browser.close()
    print(f"torch threads {torch.get_num_threads()}")
    print(f"{'milliseconds':<42}{'median':>8}{'95 %':>8}{'network':>10}{'on top':>10}{'n':>6}")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
