"""A real JupyterLab with a real Chromium on it, and a notebook in it to click, type and look at."""

import ast
import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
import zmq
from jupyter_client.session import Session
from playwright.sync_api import Browser, ConsoleMessage, Error, Locator, Page, Playwright, Request, expect

TUTORIALS = Path(__file__).parents[2] / "notebooks"
PATIENCE = 60.0
"""Seconds after which what a test waits for counts as never coming; a busy machine takes a few."""
COLD = 90_000
"""Milliseconds for the first page and kernel of a machine that has just started: nothing of them is in its memory."""
CHROMIUM = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
SETTINGS = {
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False},
    # A save that nobody asked for would make the test of saving pass without one.
    "@jupyterlab/docmanager-extension:plugin": {"autosave": False},
}
# JupyterLab's own words where it had asked the kernel something when the notebook closed or the kernel ended.
ALLOWED = ("Could not restore the debugger state: Canceled future", "Canceled future for create_subshell_request")
NO_MODEL = "Error: widget model not found"
"""What ipywidgets says of every saved view whose kernel is gone; it may say so late."""

# A canvas or picture on 32 × 32 pixels, and how far two of these are apart: the mean difference of 0 to 255.
SCRIPT = """
window.thumb = (source) => {
  const small = Object.assign(document.createElement("canvas"), { width: 32, height: 32 });
  const context = small.getContext("2d", { willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  if (!source.width) return []; // no picture: it is neither like another one nor unlike it
  context.drawImage(source, 0, 0, 32, 32);
  return [...context.getImageData(0, 0, 32, 32).data].filter((_, at) => at % 4 < 3);
};
window.apart = (a, b) => a.reduce((sum, value, at) => sum + Math.abs(value - b[at]), 0) / a.length;
"""
# What sticks out of an element, as the beginnings of its HTML; what a strip of its own scrolls does not.
OUTSIDE = """(root) => {
  const edge = root.getBoundingClientRect();
  return [...root.querySelectorAll("*")].filter((part) => {
    const box = part.getBoundingClientRect();
    const scrolled = part.parentElement.closest(".strip");
    return box.width && !scrolled && (box.left < edge.left - 1 || box.right > edge.right + 1);
  }).map((part) => part.outerHTML.slice(0, 80));
}"""


SCROLLS = "(root) => [root, root.closest('.jp-OutputArea')].filter((e) => e && e.scrollWidth > e.clientWidth).length"


def launch(playwright: Playwright) -> Browser:
    """Debian's Chromium if there is one, otherwise Playwright's own."""
    return playwright.chromium.launch(executable_path=shutil.which("chromium"), args=CHROMIUM)


def until(holds: Callable[[], Any], page: Page, what: str) -> Any:
    """Asks again and again until the answer is true, and returns it."""
    end = time.monotonic() + PATIENCE
    while not (answer := holds()):
        assert time.monotonic() < end, f"{what}: not within {PATIENCE:g} s"
        page.wait_for_timeout(20)  # the page's own events go on meanwhile
    return answer


def becomes(found: Callable[[], Any], value: Any, page: Page, what: str) -> None:
    """Asks again and again until the answer is the value."""
    last: list[Any] = []

    def same() -> bool:
        last[:] = [found()]
        return last[0] == value

    try:
        until(same, page, what)
    except AssertionError as error:
        raise AssertionError(f"{error}: {last[0]!r} is not {value!r}") from None


def stands(found: Callable[[], Any], page: Page, what: str) -> Any:
    """Asks again and again until what is found stays as it is while the screen is drawn twice, and returns it."""
    last: list[Any] = [found()]

    def same() -> bool:
        page.evaluate("new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))")
        before, last[0] = last[0], found()
        return bool(last[0] == before)

    until(same, page, f"{what} at rest")
    return last[0]


def run_tutorial(open_notebook: Callable[..., "Notebook"], name: str) -> "Notebook":
    """A tutorial in JupyterLab, once all its cells have run, none of them with an error or a warning."""
    cells = nbformat.read(TUTORIALS / f"{name}.ipynb", as_version=4).cells
    notebook = open_notebook(*(cell.source for cell in cells if cell.cell_type == "code"))
    notebook.command("notebook:run-all-cells")
    waiting = notebook.page.locator(".jp-InputPrompt", has_text=re.compile(r"\[[ *]\]"))
    expect(waiting).to_have_count(0, timeout=300_000)
    expect(notebook.page.locator("[data-mime-type='application/vnd.jupyter.stderr'], .jp-mod-error")).to_have_count(0)
    return notebook


class Lab:
    """A running JupyterLab server.

    Args:
        folder: for the notebooks and all that Jupyter writes; nothing of the user's own is read or changed.
        environment: variables for the server and its kernels.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str]):
        self.root, self._token = folder / "notebooks", secrets.token_hex(16)
        self._runtime = folder / "runtime"
        settings = folder / "settings"
        for made in (self.root, settings):
            made.mkdir(parents=True)
        (settings / "overrides.json").write_text(json.dumps(SETTINGS))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        options = {
            "ServerApp.ip": "127.0.0.1",
            "ServerApp.port": port,
            "ServerApp.port_retries": 0,
            "ServerApp.open_browser": False,
            "ServerApp.root_dir": self.root,
            "ServerApp.allow_root": True,
            "IdentityProvider.token": self._token,
            "LabApp.app_settings_dir": settings,
            "LabApp.user_settings_dir": folder / "user-settings",
            "LabApp.workspaces_dir": folder / "workspaces",
            "LabApp.check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
            "LabApp.news_url": None,
            "LabApp.extension_manager": "readonly",
            "LabApp.expose_app_in_browser": True,
        }
        own = {
            "JUPYTER_RUNTIME_DIR": str(self._runtime),
            "JUPYTER_CONFIG_DIR": str(folder / "config"),
            "JUPYTER_DATA_DIR": str(folder / "data"),
            "IPYTHONDIR": str(folder / "ipython"),
        }
        self._server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *(f"--{name}={value}" for name, value in options.items())],
            env={**os.environ, **own, **environment},
            stderr=subprocess.PIPE,
            text=True,
        )
        self._said: list[str] = []
        self._up = threading.Event()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        if not self._up.wait(60):
            self.close()
            raise TimeoutError("JupyterLab did not start within 60 s:\n" + "".join(self._said))

    def _listen(self) -> None:
        assert self._server.stderr is not None
        for line in self._server.stderr:
            self._said.append(line)
            if f"{self.url}/lab?token=" in line:
                self._up.set()

    def close(self) -> None:
        """Ends the server and its kernels."""
        self._server.terminate()
        try:
            self._server.wait(20)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait()
        self._listener.join()
        assert self._server.stderr is not None
        self._server.stderr.close()

    def write(self, name: str, *cells: str) -> str:
        """Makes a notebook of code cells; its path for `address`."""
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(notebook, self.root / f"{name}.ipynb")
        return f"{name}.ipynb"

    def address(self, path: str) -> str:
        """Where a notebook opens in a workspace of its own, with nothing else open."""
        return f"{self.url}/lab/workspaces/{secrets.token_hex(4)}/tree/{path}?token={self._token}"

    def ask(self, where: str, method: str = "GET", **content: Any) -> Any:
        """Calls the server's own interface."""
        data = json.dumps(content).encode() if content else None
        headers = {"Authorization": f"token {self._token}"}
        request = urllib.request.Request(f"{self.url}/api/{where}", data, headers, method=method)
        with urllib.request.urlopen(request, timeout=PATIENCE) as reply:
            text = reply.read()
        return json.loads(text) if text else None

    def kernel(self, path: str) -> "Kernel":
        """The kernel that a notebook runs on."""
        found = next(session for session in self.ask("sessions") if session["path"] == path)["kernel"]["id"]
        return Kernel(json.loads((self._runtime / f"kernel-{found}.json").read_text()))

    def start_kernel(self) -> str:
        """Starts a kernel for the notebooks that are opened on it; its id."""
        return self.ask("kernels", "POST", name="python3")["id"]

    def attach(self, path: str, kernel: str) -> None:
        """Makes a notebook open on a kernel that runs already."""
        self.ask("sessions", "POST", path=path, name=path, type="notebook", kernel={"id": kernel})

    def shut_down(self, path: str) -> None:
        """Ends the kernel of a notebook."""
        session = next(session for session in self.ask("sessions") if session["path"] == path)
        self.ask(f"sessions/{session['id']}", "DELETE")

    def end_kernels(self, but: str | None) -> None:
        """Ends all kernels except that of this id."""
        for kernel in self.ask("kernels"):
            if kernel["id"] != but:
                self.ask(f"kernels/{kernel['id']}", "DELETE")


class Kernel:
    """A second connection to a kernel, so that a test can look into it without a cell."""

    def __init__(self, connection: Mapping[str, Any]):
        self._session = Session(key=connection["key"].encode(), signature_scheme=connection["signature_scheme"])
        self._socket = zmq.Context.instance().socket(zmq.DEALER)
        self._socket.linger = 0
        self._socket.connect(f"tcp://{connection['ip']}:{connection['shell_port']}")

    def value(self, expression: str) -> Any:
        """What an expression gives: something that can be written down, such as a number, text or list."""
        content = {"code": "", "silent": True, "store_history": False, "user_expressions": {"it": expression}}
        self._session.send(self._socket, "execute_request", content)
        if not self._socket.poll(PATIENCE * 1000):
            raise TimeoutError(f"the kernel gave no answer to {expression} within {PATIENCE:g} s")
        _, parts = self._session.feed_identities(self._socket.recv_multipart())
        answer = self._session.deserialize(parts)["content"]["user_expressions"]["it"]
        if answer["status"] != "ok":
            raise RuntimeError(f"{expression}: {answer['ename']}: {answer['evalue']}")
        return ast.literal_eval(answer["data"]["text/plain"])

    def close(self) -> None:
        """Ends the connection, not the kernel."""
        self._socket.close()


class Notebook:
    """A notebook open in JupyterLab.

    Args:
        lab: the server.
        page: to open it on; where JupyterLab is open on it already, the notebook opens there.
        path: of the notebook.
        kernel: id of a running kernel to open it on; None for one of its own.

    Attributes:
        faults: errors that the page or its console gave, and requests that left this machine.
        allowed: parts of messages that are no faults.
    """

    def __init__(self, lab: Lab, page: Page, path: str, kernel: str | None = None):
        self.lab, self.page, self.path, self.faults, self.allowed = lab, page, path, [], ALLOWED
        self._kernel: Kernel | None = None
        self._listeners: dict[Any, Callable[[Any], None]] = {
            "console": self._on_console,
            "pageerror": self._on_error,
            "request": self._on_request,
        }
        for event, listener in self._listeners.items():
            page.on(event, listener)
        page.set_default_timeout(1000 * PATIENCE)
        if kernel is not None:
            lab.attach(path, kernel)
        self.open()

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self._fault(f"console: {message.text} ({message.location.get('url')})")

    def _on_error(self, error: Error) -> None:
        self._fault(f"page: {error.stack or error}")

    def _on_request(self, request: Request) -> None:
        if not request.url.startswith((self.lab.url, "data:", "blob:")):
            self._fault(f"asked the internet: {request.url}")

    def _fault(self, said: str) -> None:
        if not any(words in said for words in self.allowed):
            self.faults.append(said)

    def open(self) -> None:
        """Opens the notebook as it is on disk, and waits until its kernel is idle."""
        if self.page.url.startswith(self.lab.url):
            self.command("docmanager:open", path=self.path)
        else:
            self.page.add_init_script(SCRIPT)
            self.page.goto(self.lab.address(self.path))
            ready = "() => window.jupyterapp?.shell.currentWidget?.context?.isReady"
            self.page.wait_for_function(ready, timeout=COLD)
            self.command("application:toggle-left-area")
        self.page.wait_for_function(
            """(path) => {
              const panel = window.jupyterapp?.shell.currentWidget;
              return panel?.context?.path === path && panel.context.isReady
                && panel.sessionContext.session?.kernel?.status === "idle";
            }""",
            arg=self.path,
            timeout=COLD,
        )

    def command(self, name: str, **arguments: Any) -> None:
        """Runs one of JupyterLab's commands and waits for it."""
        self.page.evaluate(
            "([name, given]) => jupyterapp.commands.execute(name, given).then(() => {})", [name, arguments]
        )

    def cell(self, index: int) -> Locator:
        """One of the cells, counted from 0."""
        return self.page.locator(".jp-Notebook .jp-Cell").nth(index)

    def begin(self, index: int) -> Locator:
        """Begins to run a cell as a reader does, with the mouse and Shift-Enter, and returns it."""
        # A cell saved as [1] is [1] again on a new kernel.
        self.page.evaluate(f"{self._model(index)}.executionCount = null")
        self.cell(index).locator(".jp-InputArea-editor").click()
        self.page.keyboard.press("Shift+Enter")
        return self.cell(index)

    def done(self, index: int) -> Locator:
        """Waits until a cell that runs is done, and returns it."""
        count = f"() => {self._model(index)}.executionCount !== null"
        self.page.wait_for_function(count, timeout=COLD)  # it may be the first to import torch
        return self.cell(index)

    def run(self, index: int) -> Locator:
        """Runs a cell as a reader does, waits until it is done, and returns it."""
        self.begin(index)
        return self.done(index)

    def _model(self, index: int) -> str:
        return f"jupyterapp.shell.currentWidget.content.widgets[{index}].model"

    def kernel(self, expression: str) -> Any:
        """What an expression gives in the notebook's kernel."""
        if self._kernel is None:
            self._kernel = self.lab.kernel(self.path)
        return self._kernel.value(expression)

    def until(self, expression: str) -> Any:
        """Waits until an expression is true in the kernel."""
        return until(lambda: self.kernel(expression), self.page, expression)

    def gives(self, expression: str, value: Any) -> None:
        """Waits until an expression has a value in the kernel."""
        becomes(lambda: self.kernel(expression), value, self.page, expression)

    def keeps(self, expression: str) -> str:
        """Waits until the picture beside a view, which is saved, is that of an expression in the kernel; as base64."""
        saved = "(data) => JSON.stringify(jupyterapp.shell.currentWidget.content.model.toJSON()).includes(data)"

        def kept() -> str:
            data = self.kernel(f"__import__('base64').b64encode({expression}).decode()")
            return data if self.page.evaluate(saved, data) else ""

        return until(kept, self.page, f"{expression} beside the view")

    def save(self) -> None:
        """Writes the notebook with what it shows to the disk."""
        self.command("docmanager:save")

    def close(self) -> None:
        """Closes the notebook, saved, and leaves its kernel running."""
        self.save()
        self.command("application:close")
        # A picture that came to rest after that save makes JupyterLab ask.
        ask, gone = self.page.locator(".jp-Dialog"), self.page.locator("body:not(:has(.jp-Notebook))")
        expect(ask.or_(gone)).to_have_count(1)
        if ask.count():
            ask.get_by_role("button", name="Save").click()
        expect(gone).to_have_count(1)

    def disconnect(self) -> None:
        """Listens no longer to the page, nor to the kernel."""
        for event, listener in self._listeners.items():
            self.page.remove_listener(event, listener)
        self.forget_kernel()

    def forget_kernel(self) -> None:
        """The next question goes to the kernel that the notebook has then."""
        if self._kernel is not None:
            self._kernel.close()
            self._kernel = None


class Panel:
    """A widget on the page.

    Args:
        page: that it is on.
        root: its outermost element.
        canvas: which of its pictures is looked at, as a CSS selector.
    """

    def __init__(self, page: Page, root: Locator, canvas: str = "canvas:not(.paint)"):
        self.page, self.root, self.canvas = page, root, root.locator(canvas)
        self.chip, self.status = root.locator(".chip"), root.locator(".status")
        self.play = root.locator("footer button").first
        expect(self.canvas).to_have_attribute("data-frame", re.compile(r"\d+"))

    def slider(self, label: str) -> Locator:
        """The slider with this label."""
        return self.root.get_by_role("slider", name=label, exact=True)

    def field(self, label: str) -> Locator:
        """The number beside the slider with this label."""
        return self.root.get_by_role("spinbutton", name=f"{label}, value", exact=True)

    def state(self, name: str) -> None:
        """Waits until the panel says that it is in a state."""
        expect(self.root.locator(f".chip i.{name}")).to_be_visible()

    def frame(self) -> int:
        """The number of the frame on screen."""
        return int(self.canvas.get_attribute("data-frame") or 0)

    def rests(self) -> None:
        """Waits until the picture that stays, of the state that the panel says, is on screen."""
        expect(self.canvas).to_have_attribute("data-format", "png")
        told = "canvas.closest('.nbvis').querySelector(`.chip i.${canvas.closest('.nbvis').dataset.shown}`)"
        self.where(f"canvas.dataset.format === 'png' && {told}")

    def crisp_in_both_themes(self, notebook: Notebook, shot: Callable[[str, Locator], None], prefix: str) -> None:
        """Checks, on a screen of two pixels a point, that its picture has each of them and that it follows the theme.

        Args:
            notebook: that it is in, with the light theme.
            shot: takes the pictures "light" and "dark".
            prefix: of their names.
        """
        ratio = "Math.abs(canvas.{0} / canvas.client{1} - 2) < 0.01"
        self.where(f"{ratio.format('width', 'Width')} && {ratio.format('height', 'Height')}")
        shot(f"{prefix}light", self.root)
        background = "(root) => getComputedStyle(root).backgroundColor"
        light = self.root.evaluate(background)
        notebook.command("apputils:change-theme", theme="JupyterLab Dark")
        expect(self.root).to_have_class(re.compile(r"\bdark\b"))
        until(lambda: self.root.evaluate(background) != light, self.page, "another background")
        expect(self.page.locator("#jupyterlab-splash")).to_have_count(0)
        shot(f"{prefix}dark", self.root)
        notebook.command("apputils:change-theme", theme="JupyterLab Light")
        expect(self.root).not_to_have_class(re.compile(r"\bdark\b"))

    def frames(self, count: int) -> None:
        """Waits for so many more frames."""
        self.where("canvas.dataset.frame >= given", self.frame() + count)

    def where(self, condition: str, given: Any = None) -> None:
        """Waits until a condition on `canvas` and `given` holds."""
        handle = self.canvas.element_handle()
        self.page.wait_for_function(f"([canvas, given]) => {condition}", arg=[handle, given])

    def fits(self) -> None:
        """Waits until nothing sticks out of the panel, and neither it nor its output scrolls sideways."""
        becomes(lambda: self.root.evaluate(OUTSIDE), [], self.page, "what sticks out")
        becomes(lambda: self.root.evaluate(SCROLLS), 0, self.page, "what scrolls sideways")

    def above(self, upper: str, lower: str) -> None:
        """Waits until one part of the panel stands above another, given as CSS selectors."""

        def stands() -> bool:
            high, low = (self.root.locator(part).bounding_box() for part in (upper, lower))
            return bool(high and low and high["y"] + high["height"] <= low["y"])

        until(stands, self.page, f"{upper} above {lower}")

    def thumb(self) -> list[int]:
        """What is on the canvas, small."""
        self.where("thumb(canvas).length")
        return self.canvas.evaluate("(canvas) => thumb(canvas)")

    def is_again(self, before: list[int], within: float = 0.0) -> None:
        """Waits until what is on the canvas is this picture."""
        self.where("apart(thumb(canvas), given[0]) <= given[1]", [before, within])

    def differs(self, before: list[int], by: float = 1.0) -> None:
        """Waits until what is on the canvas is visibly another picture."""
        self.where("apart(thumb(canvas), given[0]) > given[1]", [before, by])

    def drag(self, label: str, to: float, *, release: bool = True) -> None:
        """Takes a slider's thumb with the mouse and pulls it to a place from 0 to 1."""
        slider = self.slider(label)
        slider.scroll_into_view_if_needed()
        box = slider.bounding_box()
        assert box is not None
        low, high = (float(slider.get_attribute(name) or 0) for name in ("min", "max"))
        at = (float(slider.input_value()) - low) / (high - low)
        middle, thumb = box["y"] + box["height"] / 2, 14
        place = [box["x"] + thumb / 2 + share * (box["width"] - thumb) for share in (at, to)]
        self.page.mouse.move(place[0], middle)
        self.page.mouse.down()
        self.page.mouse.move(place[1], middle, steps=8)
        if release:
            self.page.mouse.up()


@contextmanager
def running_lab(**environment: str) -> Iterator[Lab]:
    """A JupyterLab that ends with the block, and its folder with it."""
    with tempfile.TemporaryDirectory(prefix="nbvis-", ignore_cleanup_errors=True) as folder:
        lab = Lab(Path(folder), environment)
        try:
            yield lab
        finally:
            lab.close()
