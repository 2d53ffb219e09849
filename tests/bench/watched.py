"""What it costs a run to be watched: `python -m tests.bench.watched` prints it, measured in JupyterLab in Chromium.

Two canvases of one notebook dream the same, one on the page and one that was never shown. They take turns of a few
seconds; the figures are medians over the rounds, and so is the share of its speed that the watched one loses in a
round. The embedded network dreams of a photograph; Chromium draws without a graphics card on the same cores.
"""

import statistics

import torch
from playwright.sync_api import sync_playwright

from tests.browser.lab import Notebook, Panel, launch, running_lab

ROUNDS, SECONDS = 5, 5.0
SIZES = (224, 512)
MAKE = """
from time import perf_counter
from nbvis import DreamCanvas, demo
def made():
    photo = demo.photo("chelsea", size={})
    return DreamCanvas(demo.network("cpu"), photo, layer="_blocks.9", octaves=1, steps=200, background=True)
alone, watched = made(), made()
watched
"""
STANDS = "(perf_counter(), {0}._session.last.index if {0}._session.last else -1)"


def speed(notebook: Notebook, which: str) -> float:
    """Steps a second of a canvas for a while, from some steps after it begins again."""
    stands = STANDS.format(which)
    before = notebook.kernel(stands)[1]
    notebook.kernel(f"{which}.restart()")
    if before >= 0:
        notebook.until(f"{stands}[1] < {before}")
    notebook.until(f"{stands}[1] > 3")
    start, first = notebook.kernel(stands)
    notebook.page.wait_for_timeout(1000 * SECONDS)
    end, last = notebook.kernel(stands)
    notebook.kernel(f"[{which}.pause(), {which}.wait()]")
    return (last - first) / (end - start)


def main() -> None:
    """Prints the table."""
    print(f"torch threads {torch.get_num_threads()}")
    print(f"{'steps a second':<28}{'alone':>8}{'watched':>9}{'lost':>7}")
    with running_lab() as lab, sync_playwright() as playwright:
        browser = launch(playwright)
        for size in SIZES:
            page = browser.new_page(viewport={"width": 1280, "height": 1000})
            notebook = Notebook(lab, page, lab.write(f"watched-{size}", MAKE.format(size)))
            notebook.run(0)
            Panel(page, page.locator(".nbvis"))  # it is on the page
            found = []
            for _ in range(ROUNDS):
                found.append((speed(notebook, "alone"), speed(notebook, "watched")))
            alone, watched = (statistics.median(each) for each in zip(*found, strict=True))
            lost = statistics.median(1 - seen / unseen for unseen, seen in found)
            print(f"{size:>4} px{'':<21}{alone:>8.2f}{watched:>9.2f}{lost:>7.0%}")
            notebook.disconnect()
            page.close()
            lab.end_kernels(but=None)
        browser.close()


if __name__ == "__main__":
    main()
