"""Pages that show a widget as the places for notebooks do, each in a few lines, with this process as its kernel."""

import base64
import queue
import uuid
from collections.abc import Callable
from typing import Any

from anywidget import AnyWidget
from ipywidgets.widgets.widget import _instances
from playwright.sync_api import Locator, Page

from nbvis.widgets.base import Widget
from tests.browser.lab import becomes, until

# What anywidget's model does, and nothing more; its kernel is asked for news every 20 ms.
MODEL = """
class Model {
  constructor(state) { Object.assign(this, { state, changed: {}, heard: new Map() }); }
  get(name) { return this.state[name]; }
  set(name, value) {
    if (JSON.stringify(this.state[name]) === JSON.stringify(value)) return;
    this.state[name] = this.changed[name] = value;
    this.fire(`change:${name}`);
  }
  save_changes() {
    const state = this.changed;
    this.changed = {};
    if (Object.keys(state).length) toKernel({ method: "update", state });
  }
  send(content, callbacks, buffers = []) {
    const text = (buffer) => new Uint8Array(buffer).reduce((all, byte) => all + String.fromCharCode(byte), "");
    toKernel({ method: "custom", content, buffers: buffers.map((buffer) => btoa(text(buffer))) });
  }
  on(event, call) { this.heard.set(event, [...this.heard.get(event) ?? [], call]); }
  off(event, call) { this.heard.set(event, (this.heard.get(event) ?? []).filter((each) => each !== call)); }
  fire(event, ...given) { for (const call of this.heard.get(event) ?? []) call(...given); }
  hear({ method, state, content, buffers }) {
    if (method === "custom") {
      const views = buffers.map((text) => new DataView(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer));
      this.fire("msg:custom", content, views);
    } else if (method === "update") {
      const changed = Object.keys(state).filter((name) =>
        JSON.stringify(this.state[name]) !== JSON.stringify(state[name]));
      Object.assign(this.state, state);
      for (const name of changed) this.fire(`change:${name}`);
    }
  }
}
window.show = async ({ esm, css, state, shadow, view }) => {
  const place = document.querySelector("#view"), root = shadow ? place.attachShadow({ mode: "open" }) : place;
  const style = document.createElement("style"), inside = document.createElement("div");
  style.textContent = css;
  root.append(style, inside);
  const module = await import(URL.createObjectURL(new Blob([esm], { type: "text/javascript" })));
  const model = new Model(state), ended = new AbortController();
  module.default.render({ model, el: inside, signal: ended.signal });
  window.end = () => ended.abort();
  (async () => {
    while (!ended.signal.aborted) {
      for (const message of await fromKernel()) model.hear(message);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  })();
};
"""

STILL = '<img src="data:image/png;base64,STILL">'
# The three outputs that a widget displays, as each of the places lays them out: SAVED and STILL are theirs.
JUPYTER = """<!DOCTYPE html><html lang="en"><title>Notebook</title>
<style>body { margin: 0; background: var(--jp-layout-color1); } 
[data-jp-theme-light=true] { --jp-layout-color1: white; }
[data-jp-theme-light=false] { --jp-layout-color1: #111; } .jp-OutputArea-output { overflow: auto; }</style>
<body data-jp-theme-light="true"><main class="jp-Notebook" tabindex="0"><div class="jp-OutputArea">
<div class="jp-OutputArea-child"><div class="jp-RenderedHTMLCommon jp-OutputArea-output">SAVED</div></div>
<div class="jp-OutputArea-child"><div class="jp-OutputArea-output" id="view"></div></div>
<div class="jp-OutputArea-child"><div class="jp-RenderedImage jp-OutputArea-output">STILL</div></div>
</div></main>""".replace("STILL", STILL)
PLACES = {
    "JupyterLab": JUPYTER,
    "Notebook 7": JUPYTER.replace("<body", '<body data-notebook="notebooks"'),
    # No element or class of Jupyter's; the theme is told by the body.
    "VS Code": """<!DOCTYPE html><html lang="en"><title>VS Code</title><style>body { background: transparent; }</style>
<body class="vscode-light" data-vscode-theme-kind="vscode-light"><main id="container">
<div class="cell_container"><div class="output_container"><div class="output">SAVED</div></div>
<div class="output_container"><div class="output"><div id="view"></div></div></div>
<div class="output_container"><div class="output">STILL</div></div></div></main>""".replace("STILL", STILL),
    # The outputs of a cell have a page of their own, whose root tells the theme.
    "Colab": """<!DOCTYPE html><html lang="en" theme="light"><title>Colab</title><body><main id="output-area">
<div id="output-body"><div class="display_data output_subarea output_html">SAVED</div>
<div class="display_data output_subarea"><div id="view"></div></div>
<div class="display_data output_subarea output_png">STILL</div></div></main>""".replace("STILL", STILL),
    # It shows the widget alone, within a shadow root.
    "marimo": """<!DOCTYPE html><html lang="en"><title>marimo</title>
<style>body { background: color(srgb 1 1 1); } body.dark { background: color(srgb .09 .1 .1); }</style>
<body class="light"><main><div class="output"><marimo-anywidget id="view"></marimo-anywidget></div></main>""",
}
"""By name: the page around the outputs of one cell, in its light theme."""
DARK = {
    "JupyterLab": "document.body.dataset.jpThemeLight = 'false'",
    "Notebook 7": "document.body.dataset.jpThemeLight = 'false'",
    "VS Code": "document.body.className = document.body.dataset.vscodeThemeKind = 'vscode-dark'",
    "Colab": "document.documentElement.setAttribute('theme', 'dark')",
    "marimo": "document.body.className = 'dark'",
}
"""What each of them does when its reader asks for the dark theme."""

# JupyterLab hears a key after its parts, Notebook 7 before them; both pass it over if its target bears this attribute.
KEYS = """(first) => {
  window.keys = [];
  const hear = ({ key, target }) => { if (!target.hasAttribute("data-lm-suppress-shortcuts")) keys.push(key); };
  document.addEventListener("keydown", hear, first);
}"""
HOSTS = set(AnyWidget().get_state()) | {"_esm", "_css"}
"""The part of a widget's state that is the place's own business."""


class Pipe:
    """A comm whose other end is a page; once it is `cut`, neither hears the other."""

    def __init__(self) -> None:
        self.comm_id = uuid.uuid4().hex
        self._sent: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._hear: Callable[[dict[str, Any]], None] = lambda message: None
        self.cut, self.questions = False, 0

    def on_msg(self, call: Callable[[dict[str, Any]], None]) -> None:
        """What to do with a message from the page."""
        self._hear = call

    def send(self, data: Any = None, metadata: Any = None, buffers: Any = None) -> None:
        """Keeps a message until the page asks for it."""
        texts = [base64.b64encode(buffer).decode() for buffer in buffers or []]
        self._sent.put(data | {"buffers": texts})

    def close(self, *args: Any, **options: Any) -> None:
        """Lets go of the widget; the page, which goes with its test, keeps this pipe."""
        self._hear = lambda message: None

    def news(self) -> list[dict[str, Any]]:
        """What was sent since the last question."""
        self.questions += 1
        return [] if self.cut else [self._sent.get() for _ in range(self._sent.qsize())]

    def deliver(self, message: dict[str, Any]) -> None:
        """Takes a message from the page."""
        if not self.cut:
            buffers = [memoryview(base64.b64decode(text)) for text in message.pop("buffers", [])]
            self._hear({"content": {"data": message}, "buffers": buffers})


def show(page: Page, widget: Widget, place: str = "JupyterLab", *, answers: bool = True) -> Locator:
    """Shows a widget on a page that behaves like a place for notebooks.

    Args:
        page: a new one.
        widget: its kernel is this process.
        place: which; see `PLACES`.
        answers: whether there is a kernel.

    Returns:
        the panel.
    """
    pipe = Pipe()
    pipe.cut = not answers
    state = {name: value for name, value in widget.get_state().items() if name not in HOSTS}
    # What knows it by its old comm would keep it, with its network and statistics, until the process ends.
    _instances.pop(widget.model_id)
    widget.comm.close()
    widget.comm = pipe
    page.expose_function("toKernel", pipe.deliver)
    page.expose_function("fromKernel", pipe.news)
    with widget._unhurried():  # as it is displayed
        saved, still = widget._sentence(), widget._still()["image/png"]
    page.set_content(PLACES[place].replace("SAVED", saved).replace("STILL", still))
    page.add_script_tag(content=MODEL)
    given = {"esm": str(widget._esm), "css": str(widget._css), "state": state, "shadow": place == "marimo"}
    page.evaluate("(given) => show(given)", given)
    return page.locator(".nbvis")


def heard(page: Page, widget: Widget) -> None:
    """Waits until page and widget have heard all that the other has sent so far."""
    pipe = widget.comm
    assert isinstance(pipe, Pipe)
    enough = pipe.questions + 2  # the page asks once more when it has taken what it got
    until(lambda: pipe.questions >= enough, page, "each other's messages")


class Ear:
    """Counts the pictures that a page takes, those that the widget is asked for, and those that it has answered."""

    def __init__(self, page: Page, widget: Widget):
        self.asked = self.answered = self.most = 0
        self._page = page
        hear, send = widget._handle_custom_msg, widget.send

        def heard(content: dict, buffers: list) -> None:
            if content["type"] == "choose":
                self.asked += 1
                self.most = max(self.most, self.asked - self.answered)
            hear(content, buffers)

        def sent(content: dict, buffers: list | None = None) -> None:
            self.answered += content["type"] == "reply"
            send(content, buffers)

        widget._handle_custom_msg, widget.send = heard, sent  # type: ignore[method-assign]
        page.evaluate("""() => {
          const take = HTMLCanvasElement.prototype.toBlob;
          window.taken = 0;
          HTMLCanvasElement.prototype.toBlob = function (...given) { taken += 1; return take.apply(this, given); };
        }""")

    def rests(self) -> None:
        """Waits until each picture that was taken is answered."""
        taken = self._page.evaluate("taken")
        becomes(lambda: (self.asked, self.answered), (taken, taken), self._page, "pictures asked for and answered")
