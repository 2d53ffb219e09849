"""A control always shows what it does, also after the end and while a run comes to rest."""

import threading

import pytest
import torch
from torch import nn

from nbvis import DreamCanvas, DropoutInverter, SaliencyView

LONG = 60.0
OTHER = "made with other settings than the panel shows"
TRAINED = "The network has changed since"


@pytest.fixture
def image():
    return torch.rand(1, 3, 48, 64, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Dropout(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4)
    )


@pytest.fixture
def make(network, image):
    made = []

    def make(kind=DreamCanvas, **options):
        options = ({"steps": 2, "octaves": 2, "jitter": 2} if kind is DreamCanvas else {}) | options
        made.append(kind(network, image, **options))
        assert made[-1].wait(LONG)
        return made[-1]

    yield make
    for widget in made:
        widget.close()


def played(widget):
    widget.play()
    assert widget.wait(LONG)
    return widget


def test_a_dream_goes_on_long_enough_to_be_steered(network, image):
    canvas = DreamCanvas(network, image)
    assert canvas.octaves * canvas.steps >= 100  # some six seconds for a photograph on two cores
    canvas.close()


@pytest.mark.parametrize(
    ("name", "value"), [("layer", "0"), ("lr", 0.1), ("octaves", 1), ("start", "noise"), ("steps", 3), ("channel", 2)]
)
def test_a_change_in_the_panel_after_the_end_makes_the_picture_anew(make, name, value):
    canvas = played(make(layer="1"))
    before = canvas.result
    canvas.set_state({name: value})
    assert canvas.wait(LONG) and canvas.state == "finished" and not torch.equal(canvas.result, before)
    assert not canvas._session.differing and OTHER not in canvas.notes
    made = canvas.result
    canvas.restart()
    assert canvas.wait(LONG) and torch.equal(canvas.result, made)


def test_a_change_in_python_waits_for_play_and_the_panel_says_so(make):
    canvas = played(make(layer="1"))
    before = canvas.result
    canvas.layer, canvas.lr = "0", 0.1
    assert canvas.state == "finished" and torch.equal(canvas.result, before)
    assert f"{OTHER}: Play takes these." in canvas.notes
    canvas.layer, canvas.lr = "1", 0.01
    assert canvas.notes == ""
    canvas.layer = "0"
    assert played(canvas).notes == "" and canvas._session.origin["objective"].layers == ("0",)


@pytest.mark.parametrize("kind", [DreamCanvas, DropoutInverter])
def test_a_change_at_a_pause_says_that_it_is_not_shown_yet(make, kind):
    widget = make(kind, steps=50)
    widget.step()
    assert widget.wait(LONG)
    widget.set_state({"lr": 0.4})
    assert widget.state == "paused" and f"{OTHER}: Go on takes these." in widget.notes
    widget.step()
    assert widget.wait(LONG) and OTHER not in widget.notes


@pytest.mark.parametrize("before", [True, False])
def test_a_change_in_the_panel_after_an_error_tries_again(make, image, before):
    class Small(nn.Module):
        def forward(self, x):
            if min(x.shape[2:]) < 40:
                raise RuntimeError("too small for this network")
            return x

    canvas = DreamCanvas(nn.Sequential(Small(), nn.Conv2d(3, 4, 3)), image, layer="1", steps=1, octaves=1)
    if before:
        played(canvas)
    canvas.octaves = 4
    played(canvas)
    assert canvas.state == "error" and "too small for this network" in canvas.error
    assert "The smallest of 4 octaves has 17 × 23 pixels: fewer octaves or a smaller octave scale" in canvas.error
    canvas.set_state({"octaves": 1})
    assert canvas.wait(LONG) and canvas.state == "finished" and canvas.error == ""
    canvas.close()


def test_the_sliders_offer_only_octaves_that_the_network_takes(make):
    canvas = make(octaves=4, octave_scale=1.4)
    canvas._trial.wait(LONG)
    for name in ("octaves", "octave_scale"):
        high = canvas._controls[name]["high"]
        canvas.set_state({name: high})
        assert getattr(canvas, name) == high
        assert played(canvas).state == "finished"
    canvas.set_state({"octaves": 2})
    canvas.set_state({"octave_scale": 2.0})
    canvas.set_state({"octaves": 8})
    assert canvas.octaves != 8 and "too small for the network" in canvas.error
    assert canvas._controls["octaves"]["high"] < 8
    canvas.set_state({"octaves": 1})
    assert canvas._controls["octave_scale"]["high"] == 2 and canvas.error == ""


def test_pause_shows_at_once_that_it_will_rest(image):
    step, went = threading.Semaphore(0), threading.Event()

    class Turnstile(nn.Module):
        shut = False

        def forward(self, x):
            if Turnstile.shut:
                went.set()
                assert step.acquire(timeout=LONG)
            return x

    canvas = DreamCanvas(nn.Sequential(Turnstile(), nn.Conv2d(3, 4, 3)), image, layer="1", steps=50)
    assert canvas.wait(LONG) and canvas._trial.wait(LONG)
    Turnstile.shut = True
    canvas.play()
    assert went.wait(LONG)
    canvas.set_state({"running": False})
    assert (canvas.state, canvas.running) == ("running", False)
    canvas.set_state({"running": True})
    assert canvas.running and not canvas._session.pausing
    canvas.pause()
    assert (canvas.state, canvas.running) == ("running", False)
    step.release(10**6)
    assert canvas.wait(LONG) and canvas.state == "paused"
    canvas.close()


@pytest.mark.parametrize("kind", [DreamCanvas, DropoutInverter, SaliencyView])
def test_what_a_network_showed_before_it_was_trained_says_so(make, network, kind):
    widget = make(kind)
    if kind is not SaliencyView:
        played(widget)
    widget._check_network()
    assert TRAINED not in widget.notes
    with torch.no_grad():
        network[0].weight.mul_(2)
    widget._check_network()
    assert TRAINED in widget.notes
    if kind is SaliencyView:
        assert [pane.stale for pane in widget._scene().panes()] == [False, True]
        widget.play()
    else:
        widget.restart()
    assert widget.wait(LONG) and TRAINED not in widget.notes
