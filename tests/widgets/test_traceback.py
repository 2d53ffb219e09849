"""The network's own traceback, on demand: in Python as a cause or an attribute, for the panel as a trait."""

import pytest
import torch
from torch import nn

from nbvis import DreamCanvas, DropoutInverter, SaliencyView
from nbvis.engine import activity, attribute, dream, layers
from nbvis.sessions import traced

LONG = 60.0


class Fragile(nn.Module):
    """A forward pass that looks for what is not there once it is broken."""

    def __init__(self):
        super().__init__()
        self.part, self.drop, self.table = nn.Conv2d(3, 4, 3), nn.Dropout(0.5), {"weights": 1.0}

    def forward(self, x):
        return self.drop(self.part(x)).mean((2, 3)) * self.table["weights"]


@pytest.fixture
def network():
    return Fragile()


IMAGE = torch.rand(1, 3, 12, 12)


@pytest.mark.parametrize("kind", [DreamCanvas, DropoutInverter, SaliencyView])
def test_a_forward_that_fails_later_leaves_its_traceback(network, kind):
    given = {DreamCanvas: [activity("")], DropoutInverter: [], SaliencyView: []}[kind]
    widget = kind(network, IMAGE, *given)
    widget.wait(LONG)
    del network.table["weights"]
    if kind is SaliencyView:
        widget.method = "integrated_gradients"
    else:
        widget.restart()
    assert widget.wait(LONG) and widget.state == "error" and "KeyError" in widget.error
    lines = widget.traceback.splitlines()
    assert lines[0] == "Traceback (most recent call last):" and lines[-1] == "KeyError: 'weights'"
    assert 'self.table["weights"]' in widget.traceback and "in forward" in widget.traceback
    assert "nbvis/engine" not in widget.traceback and "nbvis/sessions" not in widget.traceback
    network.table["weights"] = 1.0
    if kind is SaliencyView:
        widget.method = "gradient"
    else:
        widget.restart()
    assert widget.wait(LONG) and widget.state == "finished" and widget.error == "" == widget.traceback
    widget.close()


def test_an_error_that_is_ours_has_no_traceback(network):
    canvas = DreamCanvas(network, IMAGE, layer="part", steps=1)
    canvas.set_state({"channel": 9})
    assert "no channel 9" in canvas.error and canvas.traceback == ""
    canvas.set_state({"seed": "seven"})
    assert canvas.error and canvas.traceback == ""
    canvas.set_state({"seed": 7})
    assert canvas.error == ""
    canvas.close()


@pytest.mark.parametrize("call", [layers, attribute, lambda net, image: dream(net, activity(""), image)])
def test_in_python_the_networks_error_is_the_cause(network, call):
    del network.table["weights"]
    with pytest.raises(RuntimeError, match=r"Its own error: KeyError\('weights'\)") as raised:
        call(network, IMAGE)
    assert isinstance(raised.value.__cause__, KeyError)
    assert traced(raised.value).endswith("KeyError: 'weights'")


def test_a_traceback_begins_where_other_code_does():
    def outer():
        {}["weights"]

    with pytest.raises(KeyError) as raised:
        outer()
    text = traced(raised.value)
    assert text.splitlines()[0] == "Traceback (most recent call last):" and "in outer" in text
    assert traced(ValueError("never raised")) == ""
