"""Every widget on a network in half precision: it draws, it is steered, and its values are in single precision."""

import pytest
import torch
from torch import nn

from nbvis import DreamCanvas, DropoutInverter, SaliencyView
from nbvis.engine import METHODS, attribute
from nbvis.sessions import picture

LONG = 60.0

pytestmark = pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=["half", "bfloat16"])


@pytest.fixture
def half(dtype):
    torch.manual_seed(0)
    head = nn.AdaptiveAvgPool2d(2), nn.Dropout(0.5), nn.Flatten(), nn.Linear(24, 4), nn.Softmax(1)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 6, 3), *head).to(dtype).eval()


@pytest.fixture
def closing():
    """Closes the widgets it is given once the test is over."""
    made = []
    yield lambda widget: made.append(widget) or widget
    for widget in made:
        widget.close()


@pytest.mark.parametrize("given", ["single", "the network's own", None])
def test_a_dream(half, image, dtype, closing, given):
    start = None if given is None else image if given == "single" else image.to(dtype)
    options = {} if start is not None else {"start": "noise"}
    canvas = closing(DreamCanvas(half, start, layer="3", channel=1, steps=2, octaves=2, jitter=2, **options))
    canvas.rotation = 10
    canvas.play()
    assert canvas.wait(LONG), canvas.error
    assert canvas.state == "finished" and canvas.result.dtype == torch.float32
    canvas.start = "noise"
    canvas.layer, canvas.channel = "7", None
    canvas.play()
    assert canvas.wait(LONG) and canvas.state == "finished", canvas.error
    assert canvas.error == "" and picture(canvas.result).size == canvas.result.shape[:1:-1]


def test_maps_and_their_checks(half, image, closing):
    view = closing(SaliencyView(half, image, steps=10, samples=10, window=8, stride=8))
    for method in METHODS:
        view.method = method
        assert view.wait(LONG) and view.error == "" and list(view.results) == [method]
        assert all(found.map.dtype == found.score.dtype == torch.float32 for found in view.results.values())
    view.method = "gradient"
    assert torch.equal(view.result.map, attribute(half, image).map)
    assert sum(each["probability"] for each in view.top) == pytest.approx(1, abs=0.005)
    view.compare = []
    view.measure()
    view.check()
    assert view.wait(LONG), view.error
    assert view.faithfulness["gradient"].insertion_area["attribution"].dtype == torch.float32
    assert view.randomization is not None
    view.occlude(10, 12)
    view.explain(20, 20)
    assert view.wait(LONG) and view.error == "" and view.result.map.any()


def test_inversions(half, image, closing):
    inverter = closing(DropoutInverter(half, image, layer="7", samples=2, steps=5))
    inverter.play()
    assert inverter.wait(LONG), inverter.error
    assert inverter.result.dtype == torch.float32 and inverter.last.loss.dtype == torch.float32
    assert inverter.predictions and inverter.error == ""
    inverter.sweep = True
    assert inverter.wait(LONG), inverter.error
    assert inverter.result.shape == (9, *image.shape[1:]) and inverter.error == ""
