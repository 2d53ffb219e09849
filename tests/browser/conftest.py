"""One JupyterLab and one Chromium for all browser tests, and one page and kernel until a test fails."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from tests.browser.lab import PATIENCE, Lab, Notebook, launch, running_lab

ARTEFACTS = Path(__file__).parents[2] / "artefacts" / "browser"
WORKERS = "[t.name for t in __import__('threading').enumerate()].count('nbvis')"

expect.set_options(timeout=1000 * PATIENCE)


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    # One thread leaves a core to Chromium, as on the smallest machine that the tests run on.
    with running_lab(OMP_NUM_THREADS="1") as lab:
        yield lab


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = launch(playwright)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def shared() -> dict[str, str | Page]:
    """The page, and the id of the kernel that has torch loaded, that tests take over from each other."""
    return {}


@pytest.fixture
def page(browser: Browser, shared: dict) -> Page:
    if "page" not in shared:
        shared["page"] = browser.new_page(viewport={"width": 1280, "height": 1000})
    return shared["page"]


@pytest.fixture
def kernel(lab: Lab, shared: dict) -> str:
    if "kernel" not in shared:
        shared["kernel"] = lab.start_kernel()
    return shared["kernel"]


@pytest.fixture
def open_notebook(
    lab: Lab, page: Page, kernel: str, shared: dict, request: pytest.FixtureRequest
) -> Iterator[Callable[..., Notebook]]:
    """Opens a notebook of the given cells; at the end nothing may have complained, and no worker may be left."""
    opened: list[Notebook] = []
    failed_before = request.session.testsfailed

    def open_notebook(*cells: str, page: Page = page, kernel: str | None = kernel) -> Notebook:
        path = lab.write(f"{request.node.name}-{len(opened)}", *cells)
        opened.append(Notebook(lab, page, path, kernel))
        return opened[-1]

    yield open_notebook
    healthy = request.session.testsfailed == failed_before
    for notebook in opened:
        notebook.page.screenshot(path=ARTEFACTS / f"end-of-{request.node.name}.png")
        if healthy:
            notebook.close()
            notebook.kernel("(__import__('ipywidgets').Widget.close_all(), get_ipython().reset())")
            notebook.gives(WORKERS, 0)
        else:
            # Whatever it left behind is not to fail the next test too.
            notebook.page.close()
            shared.clear()
        notebook.disconnect()
    lab.end_kernels(but=shared.get("kernel"))
    assert [fault for notebook in opened for fault in notebook.faults] == []


@pytest.fixture
def new_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Opens pages that close with the test; none may have complained."""
    pages: list[Page] = []
    faults: list[str] = []

    def new_page(width: int = 1280, height: int = 1000) -> Page:
        page = browser.new_page(viewport={"width": width, "height": height}, reduced_motion="reduce")
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
        pages.append(page)
        return page

    yield new_page
    for page in pages:
        page.close()
    assert faults == []


@pytest.fixture
def shot() -> Callable[[str, Page | Locator], None]:
    """Keeps a picture of a page, or of a part of one, to look at."""

    def shot(what: str, shown: Page | Locator) -> None:
        shown.screenshot(path=ARTEFACTS / f"{what}.png")

    return shot
