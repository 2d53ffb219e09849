import base64
import io
import re

import pytest
from IPython.display import DisplayHandle
from PIL import Image

from nbvis import DropoutInverter, SaliencyView
from nbvis.sessions import picture
from nbvis.widgets import front_end, outputs

LONG = 60.0


def test_a_view_is_sent_the_picture_it_can_paint(make, heard):
    canvas = make()
    messages = heard(canvas)
    canvas._on_message(canvas, {"type": "joined", "view": "a", "lab": True}, [])
    assert canvas.wait(LONG)
    (header, buffers), *_ = [message for message in messages if message[1]]
    assert header["type"] == "frame" and header["format"] == "png"
    assert Image.open(io.BytesIO(buffers[0])).tobytes() == picture(canvas.result).tobytes()


def test_step_restart_and_drawn_reach_the_session(make, heard):
    canvas = make()
    messages = heard(canvas)
    canvas._on_message(canvas, {"type": "joined", "view": "a", "lab": True}, [])
    canvas._on_message(canvas, {"type": "step"}, [])
    assert canvas.wait(LONG) and canvas.state == "paused"
    newest = messages[-1][0]["frame"]
    (view,) = canvas._session._gate._views.values()
    assert view.drawn < newest
    canvas._on_message(canvas, {"type": "drawn", "view": "a", "frame": newest}, [])
    (view,) = canvas._session._gate._views.values()
    assert view.drawn == newest and not canvas._session._gate.in_flight()
    canvas._on_message(canvas, {"type": "restart"}, [])
    assert canvas.wait(LONG) and canvas.state == "finished"


def test_the_last_view_that_leaves_pauses_the_run(make):
    canvas = make(steps=200)
    assert canvas.wait(LONG)
    canvas._on_message(canvas, {"type": "joined", "view": "a", "lab": True}, [])
    canvas.play()
    canvas._on_message(canvas, {"type": "left", "view": "a"}, [])
    assert canvas.wait(LONG) and canvas.state == "paused"


def test_a_run_in_the_background_outlives_its_views(make):
    canvas = make(background=True)
    canvas._on_message(canvas, {"type": "joined", "view": "a", "lab": True}, [])
    canvas.play()
    canvas._on_message(canvas, {"type": "left", "view": "a"}, [])
    assert canvas.wait(LONG) and canvas.state == "finished"


def test_views_get_recipe_and_files_or_the_reason_why_not(make, heard):
    canvas = make()
    messages = heard(canvas)
    canvas._on_message(canvas, {"type": "recipe", "id": "1"}, [])
    canvas._on_message(canvas, {"type": "save", "id": "2", "suffix": ".png"}, [])
    canvas._on_message(canvas, {"type": "save", "id": "3", "suffix": ".tiff"}, [])
    (recipe, _), (_, buffers), (refused, _) = messages
    assert recipe == {"type": "reply", "id": "1", "text": canvas.recipe()}
    assert buffers[0].startswith(b"\x89PNG")
    assert refused["id"] == "3" and ".png, .html, .mp4, .gif and .nbvis, not to .tiff" in refused["error"]


def test_saving_writes_a_picture_or_a_page_that_needs_nothing_else(make, tmp_path):
    canvas = make(layer="2")
    canvas.save(tmp_path / "dream.png")
    with Image.open(tmp_path / "dream.png") as saved:
        assert saved.size == (48, 32) and "nbvis" in saved.info
        pixels = saved.tobytes()
    canvas.save(str(tmp_path / "dream.html"))
    page = (tmp_path / "dream.html").read_text(encoding="utf-8")
    (png,) = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    with Image.open(io.BytesIO(base64.b64decode(png))) as shown:
        assert shown.tobytes() == pixels
    assert """<img alt="Dream of activity(&#x27;2&#x27;): before the first step\"""" in page
    assert "activity(&#x27;2&#x27;)" in page and "from nbvis.engine import" in page
    assert not re.search(r"https?://|<script", page)


@pytest.mark.parametrize("name", ["dream.avi", "dream"])
def test_saving_to_anything_else_says_what_works(make, tmp_path, name):
    with pytest.raises(ValueError, match=r"saves to \.png, \.html, \.mp4, \.gif and \.nbvis, not to "):
        make().save(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_the_mime_bundle_carries_view_picture_and_text(make):
    canvas = make()
    canvas.play()
    canvas.wait(LONG)
    data, _ = canvas._repr_mimebundle_()
    assert data["application/vnd.jupyter.widget-view+json"]["model_id"] == canvas.model_id
    assert data["text/plain"] == repr(canvas)
    shown = Image.open(io.BytesIO(base64.b64decode(data["image/png"])))
    assert shown.tobytes() == picture(canvas.result).tobytes()


@pytest.fixture
def displayed(monkeypatch):
    shown = []

    def display(data, **options):
        shown.append((data, options))
        return DisplayHandle()

    monkeypatch.setattr(outputs, "display", display)
    return shown


def test_a_cell_shows_the_view_and_keeps_a_still_picture(make, displayed):
    canvas = make()
    canvas._ipython_display_()
    note, view, still = [data for data, _ in displayed]
    assert "Run this cell" in note["text/html"] and note["text/plain"] == repr(canvas)
    assert list(view) == ["application/vnd.jupyter.widget-view+json"]
    assert list(still) == ["image/png"] and displayed[-1][1]["display_id"] == canvas.model_id
    alt = f"Dream of {canvas.expression} in Sequential · 32 × 48, before the first step."
    assert displayed[-1][1]["metadata"] == {"image/png": {"alt": alt}} == canvas._repr_mimebundle_()[1]
    canvas.play()
    canvas.wait(LONG)
    updated, options = displayed[-1]
    assert options["update"] and options["display_id"] == canvas.model_id
    assert options["metadata"]["image/png"]["alt"].endswith(", step 4 of 4.")
    shown = Image.open(io.BytesIO(base64.b64decode(updated["image/png"])))
    assert shown.tobytes() == picture(canvas.result).tobytes()


def test_where_the_still_cannot_be_hidden_it_is_taken_away(make, displayed):
    canvas = make()
    canvas._ipython_display_()
    canvas._on_message(canvas, {"type": "joined", "view": "a", "lab": False}, [])
    assert canvas.wait(LONG) and displayed[-1][0] == {}


def test_what_is_never_displayed_displays_nothing(make, displayed):
    canvas = make()
    canvas.play()
    canvas.wait(LONG)
    assert displayed == []


def test_the_front_end_is_one_module_without_imports(make):
    source = make()._esm
    assert not re.search(r"^\s*import\b", source, re.MULTILINE) and source.count("export default") == 1


def test_every_widget_brings_the_same_style_sheet_whose_shared_part_comes_first(make):
    assert make()._css == SaliencyView._css == DropoutInverter._css
    assert make()._css.startswith(front_end.front_end("shared.css"))
    for name in ("saliency_view.css", "dropout_inverter.css"):
        assert front_end.front_end(name) in make()._css


def test_the_front_end_is_found_in_a_checkout_and_in_a_wheel(tmp_path, monkeypatch):
    for place in ("nbvis/js", "js"):
        root = tmp_path / place.replace("/", "-")
        (root / "nbvis" / "widgets").mkdir(parents=True)
        (root / place).mkdir(parents=True, exist_ok=True)
        (root / place / "shared.css").write_text(place)
        monkeypatch.setattr(front_end, "__file__", str(root / "nbvis" / "widgets" / "front_end.py"))
        assert front_end.front_end("shared.css") == place


def test_a_module_comes_after_those_it_imports_and_each_comes_once(monkeypatch):
    files = {"a.js": "const a = 1;\n", "b.js": 'import { a } from "./a.js";\nconst b = a;\n'}
    files["c.js"] = 'import { a } from "./a.js";\nimport {\n  b,\n} from "./b.js";\nconst c = a + b;\n'
    monkeypatch.setattr(front_end, "front_end", files.__getitem__)
    assert front_end.module_source("c") == "const a = 1;\nconst b = a;\nconst c = a + b;\n"


@pytest.mark.parametrize(
    "line", ['import d3 from "d3";', 'const a = 1;\nimport { b } from "./b.js";', 'import "./b.js";']
)
def test_an_import_that_cannot_be_put_before_is_refused(monkeypatch, line):
    monkeypatch.setattr(front_end, "front_end", lambda name: f"{line}\n")
    with pytest.raises(ImportError, match=r"js/dream_canvas\.js may only begin with lines such as import"):
        front_end.module_source("dream_canvas")
