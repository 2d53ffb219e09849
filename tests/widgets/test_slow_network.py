"""A network whose passes take long: nothing holds the caller, and what it turns out to be reaches whoever waits."""

import threading
import time

import pytest
import torch
from torch import nn

from nbvis import DreamCanvas, DropoutInverter, LayerExplorer, SaliencyView
from nbvis.engine import custom
from tests.workers import none_left

LONG = 60.0
SOON = 10.0
ALL = [DreamCanvas, DropoutInverter, LayerExplorer, SaliencyView]

passes = threading.Event()
"""While it is not set, every forward pass waits."""


class Slow(nn.Module):
    def forward(self, x):
        assert threading.current_thread() is not threading.main_thread()
        assert passes.wait(LONG)
        return x


@pytest.fixture(autouse=True)
def patience():
    """As short as it is: here the passes wait for the test."""


@pytest.fixture
def network():
    passes.clear()
    torch.manual_seed(0)
    yield nn.Sequential(
        Slow(), nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Dropout(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4)
    )
    passes.set()


@pytest.fixture
def image():
    return torch.rand(1, 3, 32, 48, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def make(network, image):
    made = []

    def make(kind, *given, **options):
        began = time.monotonic()
        made.append(kind(network, *(given or (image,)), **options))
        assert time.monotonic() - began < SOON
        return made[-1]

    yield make
    passes.set()
    for widget in made:
        widget.close()


@pytest.mark.parametrize("kind", ALL)
def test_it_is_there_at_once_and_fills_in_later(make, kind):
    widget = make(kind)
    with widget._unhurried():
        assert widget.layers == [] and widget.state == "ready" and widget._doing.startswith("Looking at the network")
    assert not widget.wait(0.01)
    passes.set()
    assert widget.wait(LONG) and widget._doing == "" and widget.error == ""
    assert [row["name"] for row in widget.layers][:2] == ["0", "1"]


@pytest.mark.parametrize("kind", ALL)
def test_who_reads_what_is_not_known_yet_waits_for_it(make, kind):
    widget = make(kind)
    threading.Timer(0.05, passes.set).start()
    assert widget.layer in [row["name"] for row in widget.layers] and widget.layer in repr(widget) + widget.layer


@pytest.mark.parametrize("kind", ALL)
def test_a_view_gets_the_picture_and_what_is_done_before_the_layers(make, kind, heard):
    widget = make(kind)
    messages = heard(widget)
    widget._on_message(widget, {"type": "joined", "view": "a", "lab": True}, [])
    assert widget._session.wait(LONG)
    assert any(header["type"] == "frame" and buffers for header, buffers in messages)
    assert widget.get_state()["_doing"]


@pytest.mark.parametrize("kind", ALL)
def test_what_can_be_told_without_a_pass_is_refused_at_once(make, kind, network, image):
    with pytest.raises(ValueError, match="no layer 'nowhere'"):
        kind(network, image, layer="nowhere")
    with pytest.raises(TypeError, match=r"no option 'stepz'; did you mean 'st\w+'"):
        kind(network, image, stepz=3)
    with pytest.raises(ValueError, match="one image, not 2"):
        kind(network, torch.cat([image, image]))
    widget = make(kind)
    with pytest.raises(ValueError, match="no layer 'nowhere'"):
        widget.layer = "nowhere"


@pytest.mark.parametrize("kind", ALL)
def test_what_only_a_pass_tells_reaches_the_error_and_whoever_waits(kind):
    passes.clear()
    widget = kind(nn.Sequential(Slow(), nn.Dropout(), nn.Conv2d(4, 3, 3)), torch.rand(1, 3, 32, 48))
    widget.play()
    passes.set()
    assert widget.wait(LONG) and widget.state == "error" and not widget.running
    assert "does not run on images of shape (1, 3, 32, 48)" in widget.error
    widget.close()


@pytest.mark.parametrize("kind", [DreamCanvas, DropoutInverter])
def test_what_is_played_before_begins_after(make, kind):
    widget = make(kind, steps=2)
    began = time.monotonic()
    widget.play()
    assert time.monotonic() - began < SOON and widget.running and widget.state == "ready"
    passes.set()
    assert widget.wait(LONG) and widget.state == "finished" and widget._session.last is not None


@pytest.mark.parametrize("kind", [DreamCanvas, DropoutInverter])
def test_what_is_paused_before_does_not_begin(make, kind):
    widget = make(kind, steps=2)
    widget.play()
    widget.pause()
    assert not widget.running
    passes.set()
    assert widget.wait(LONG) and widget.state == "ready" and widget._session.last is None


@pytest.mark.parametrize("background", [False, True])
@pytest.mark.parametrize("kind", [DreamCanvas, DropoutInverter])
def test_what_is_played_before_and_left_by_its_last_view_begins_only_in_the_background(make, kind, background):
    widget = make(kind, steps=2, background=background)
    widget._on_message(widget, {"type": "joined", "view": "a", "lab": True}, [])
    widget.play()
    widget._on_message(widget, {"type": "left", "view": "a"}, [])
    assert widget.running == background
    passes.set()
    assert widget.wait(LONG) and widget.state == ("finished" if background else "ready")


def test_what_is_set_before_is_kept_if_it_fits(make):
    canvas, inverter, view = make(DreamCanvas), make(DropoutInverter), make(SaliencyView)
    canvas.layer, canvas.channel, inverter.layer, view.layer, view.target = "1", 3, "6", "1", 2
    passes.set()
    assert canvas.wait(LONG) and canvas.unit == ("1", 3) and canvas.expression == "channel('1', 3)"
    assert inverter.wait(LONG) and inverter.layer == "6"
    assert view.wait(LONG) and view.unit == ("1", None) and view.expression == "class 2" and view.error == ""


def test_what_is_set_before_and_does_not_fit_is_told(make):
    canvas, inverter, view = make(DreamCanvas), make(DropoutInverter), make(SaliencyView)
    canvas.layer, canvas.channel, inverter.layer, view.target = "1", 9, "1", 7
    passes.set()
    for widget, words in [
        (canvas, "no channel 9"),
        (inverter, "no dropout acts before layer '1'"),
        (view, "no class 7"),
    ]:
        assert widget.wait(LONG) and words in widget.error


@pytest.mark.parametrize("kind", ALL)
def test_a_picture_that_does_not_fit_is_put_back_and_told(make, kind, image):
    passes.set()
    widget = make(kind)
    assert widget.wait(LONG)
    passes.clear()
    began = time.monotonic()
    widget.image = torch.rand(1, 5, 8, 8)
    assert time.monotonic() - began < SOON
    passes.set()
    assert widget.wait(LONG) and "does not run on images of shape (1, 5, 8, 8)" in widget.error
    assert torch.equal(widget.image, image)


def test_an_objective_that_does_not_fit_is_put_back_and_told(make):
    passes.set()
    canvas, view = make(DreamCanvas), make(SaliencyView)
    assert canvas.wait(LONG) and view.wait(LONG)
    before = canvas.expression, view.expression
    passes.clear()
    canvas.objective = view.target = custom(lambda found: found.mean(), "1")
    passes.set()
    assert canvas.wait(LONG) and view.wait(LONG)
    assert "one score for each image" in view.error
    assert "one score for each image" in canvas.error and str(canvas.objective) == canvas.expression == before[0]
    assert view.target is None and view.expression == before[1]


@pytest.mark.parametrize("kind", ALL)
def test_who_forgets_it_meanwhile_leaves_no_worker(make, kind):
    widget = make(kind)
    threading.Timer(0.05, passes.set).start()
    widget.close()
    assert none_left()
