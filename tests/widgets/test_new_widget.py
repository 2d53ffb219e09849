"""A widget that asks questions is one file: only what it asks, what it shows of the answers, and its recipe."""

import base64
import functools
import io
import threading
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest
import torch
import traitlets as t
from PIL import Image
from torch import Tensor

from nbvis.engine import activations, as_network
from nbvis.sessions import Partial, Task, picture
from nbvis.widgets import outputs
from nbvis.widgets.later import LaterList, LaterText
from nbvis.widgets.notes import Note, plain
from nbvis.widgets.numbers import one_of
from nbvis.widgets.panes import Painter, Pane, Scene
from nbvis.widgets.questions import QuestionWidget
from nbvis.widgets.subject import DatedSubject
from tests.workers import none_left

LONG = 60.0


class Asked(NamedTuple):
    about: Hashable
    layer: str


class MeanActivations(QuestionWidget):
    """How much the channels of a layer answer to a data set."""

    layer = LaterText(help="The layer.").tag(sync=True)
    layers = LaterList(help="The layers there are.").tag(sync=True)
    means = t.List(help="The mean of each channel.").tag(sync=True)

    def __init__(self, network, batches, **options: Any):
        self._batches = batches
        super().__init__(DatedSubject(as_network(network), image=batches[0]), **options)

    @property
    def result(self) -> Tensor:
        self._wait_for_answers()
        return self._session.get(self._asked()[0])

    def recipe(self) -> str:
        return f"means = [activations(network, batch, ['{self.layer}']) for batch in batches]"

    @t.validate("layer")
    def _validate_layer(self, proposal: Any) -> str:
        return one_of("layer", proposal["value"], [row["name"] for row in self.layers])

    @t.observe("layer")
    def _on_layer(self, change: Any) -> None:
        self._ask()

    def _take_over(self, first: bool) -> None:
        self.layers = self._subject.layers
        self.layer = self.layer or self.layers[0]["name"]

    def _asked(self) -> list[Asked]:
        return [Asked(self._subject.about, self.layer)] if self._subject.looked else []

    def _tasks(self, wishes: set[str]) -> dict[str, list[Task]]:
        run = functools.partial(means_over, self._subject.network, self._batches, self.layer)
        return {"means": [Task(asked, f"Means of {asked.layer}", run) for asked in self._asked()]}

    def _scene(self) -> "MeansScene":
        asked = self._asked()
        found = self._session.get(asked[0]) if asked else None
        so_far = isinstance(found, Partial)
        return MeansScene(self._painter, self.layer, found.answer if so_far else found, so_far, self._outdated())

    def _value(self, pane: str, row: int, column: int) -> str:
        return f"channel {column}: {self.means[column]:.3f}"


@dataclass(frozen=True)
class MeansScene(Scene):
    painter: Painter
    layer: str
    found: Tensor | None
    so_far: bool
    outdated: bool
    size = (40, 160)

    @property
    def title(self) -> str:
        return f"Means of {self.layer}"

    def panes(self) -> list[Pane]:
        if self.found is None:
            return [Pane("means", "Means", "", self.layer, self.size)]
        bars = picture(self.found.sigmoid().reshape(1, 1, 1, -1))
        made = self.painter.plain(tuple(self.found.tolist()), bars.resize(self.size[::-1]))
        line = f"{len(self.found)} channels{', so far' if self.so_far else ''}"
        return [Pane("means", "Means", line, self.layer, self.size, made)]

    def notes(self) -> list[Note]:
        dead = [] if self.found is None else (self.found == 0).nonzero().flatten().tolist()
        return plain(f"Channels {dead} never answer." if dead else "")

    def traits(self) -> dict[str, Any]:
        return {"means": [] if self.found is None else self.found.tolist()}

    def facts(self) -> dict[str, object]:
        return {"Layer": self.layer}


def means_over(network, batches, layer, tell, known) -> Tensor:
    total = torch.zeros(())
    for number, batch in enumerate(batches):
        total = total + activations(network, batch, [layer])[layer].transpose(0, 1).flatten(1).mean(1)
        tell(number + 1, len(batches), total / (number + 1))
    return total / len(batches)


@pytest.fixture
def batches():
    return Gated(torch.rand(3, 4, 3, 16, 16, generator=torch.Generator().manual_seed(0)))


class Gated(list):
    """Batches that wait to be let through once they are `shut`."""

    shut = False

    def __init__(self, batches):
        super().__init__(batches)
        self.gate, self.met = threading.Semaphore(0), threading.Semaphore(0)

    def __iter__(self):
        for batch in super().__iter__():
            if self.shut:
                self.met.release()
                assert self.gate.acquire(timeout=LONG)
            yield batch


@pytest.fixture
def made(network, batches):
    widget = MeanActivations(network, batches)
    yield widget
    widget.close()


def expected(network, batches, layer):
    return torch.stack([activations(network, b, [layer])[layer].mean((0, 2, 3)) for b in batches]).mean(0)


def tell(widget, **content):
    widget._on_message(widget, content, [])


def test_it_says_only_what_is_its_own():
    shared = {"_ask", "_told", "_on_header", "_on_message", "_on_seen", "play", "stop", "save", "_page", "_acts"}
    assert not shared & set(vars(MeanActivations)) and shared <= set(dir(MeanActivations))


def test_its_answers_are_found_and_kept(made, network, batches):
    torch.testing.assert_close(made.result, expected(network, batches, "0"))
    first = made.result
    made.layer = "2"
    torch.testing.assert_close(made.result, expected(network, batches, "2"))
    made.layer = "0"
    assert made.result is first and made.state == "finished" and made.means == pytest.approx(first.tolist())
    made.set_state({"layer": "9"})
    assert made.layer == "0" and "no layer '9'" in made.error


def test_its_frames_have_pictures_its_notes_sentences_and_its_replies_words(made, network, heard):
    with torch.no_grad():
        network[2].weight[1], network[2].bias[1] = 0, 0
    made.layer = "2"
    assert made.result[1] == 0 and made.notes == "Channels [1] never answer."
    messages = heard(made)
    tell(made, type="joined", view="a", lab=True)
    assert made.wait(LONG)
    header, (png,) = next(each for each in messages if each[0].get("format") == "png")
    assert (header["state"], header["outdated"], header["panes"][0]["picture"]) == ("finished", False, 0)
    assert Image.open(io.BytesIO(png)).size == (160, 40)
    tell(made, type="value", id="1", pane="means", row=0, column=1)
    tell(made, type="recipe", id="2")
    tell(made, type="save", id="3", suffix=".gif")
    said = {content["id"]: content for content, _ in messages if content["type"] == "reply"}
    assert said["1"]["text"] == "channel 1: 0.000" and said["2"]["text"] == made.recipe()
    assert said["3"]["error"].startswith("MeanActivations saves to .png and .html")


def test_a_network_that_was_trained_is_said_and_asked_again(made, network, batches):
    before = made.result
    with torch.no_grad():
        network[0].weight.mul_(2)
    made._check_network()
    assert made.notes == "The network has changed since this was computed: Compute again."
    tell(made, type="play")
    assert made.wait(LONG) and made.notes == "" and not torch.equal(made.result, before)
    torch.testing.assert_close(made.result, expected(network, batches, "0"))


def test_what_is_shown_is_read_once_a_frame(made, heard, monkeypatch):
    made.wait(LONG)
    read, scene = [], made._scene
    monkeypatch.setattr(made, "_scene", lambda: read.append(1) or scene())
    messages = heard(made)
    tell(made, type="joined", view="a", lab=True)
    assert made.wait(LONG)
    tell(made, type="drawn", view="a", frame=messages[-1][0]["frame"])
    made._session.changed()
    assert made.wait(LONG)
    assert [content["format"] for content, _ in messages] == ["png", "png"] and len(read) == 2


def test_it_is_saved_and_leaves_a_still_picture(made, tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr(outputs, "display", lambda data, **options: shown.append((data, options)))
    made._ipython_display_()
    made.save(tmp_path / "means.html")
    text = (tmp_path / "means.html").read_text(encoding="utf-8")
    assert "<h1>Means of 0</h1>" in text and "<dt>Layer</dt><dd>0</dd>" in text and "8 channels" in text
    made.save(tmp_path / "means.png")
    assert base64.b64decode(shown[-1][0]["image/png"]) == (tmp_path / "means.png").read_bytes()
    assert shown[-1][1]["metadata"]["image/png"]["alt"].startswith("Means of 0. Means · 0: 8 channels")


def test_it_can_be_stopped_and_leaves_no_worker(made, network, batches):
    made.wait(LONG)
    batches.shut = True
    made.layer = "2"
    assert batches.met.acquire(timeout=LONG)
    tell(made, type="cancel")
    batches.gate.release(10**6)
    assert made.wait(LONG) and made.state == "stopped"
    made.play()
    torch.testing.assert_close(made.result, expected(network, batches, "2"))
    made.close()
    assert none_left()


def test_what_is_found_so_far_is_shown_until_all_is(made, network, batches, heard, told):
    made.wait(LONG)
    messages = heard(made)
    tell(made, type="joined", view="a", lab=True)
    batches.shut = True

    def draw():
        told(made)
        frames = [content for content, _ in messages if content["type"] == "frame"]
        tell(made, type="drawn", view="a", frame=frames[-1]["frame"])
        told(made)
        return [frame for frame in frames if frame["format"]][-1]["panes"][0]

    made.layer = "2"
    for _ in range(2):
        assert batches.met.acquire(timeout=LONG)
        batches.gate.release()
    assert batches.met.acquire(timeout=LONG)  # two of three batches are told
    made._session.changed()
    draw()
    assert draw()["sub"] == "6 channels, so far" and len(made.means) == 6 and made.state == "running"
    batches.gate.release(10**6)
    torch.testing.assert_close(made.result, expected(network, batches, "2"))
    draw()
    assert draw()["sub"] == "6 channels"
