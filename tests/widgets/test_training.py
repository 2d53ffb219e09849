"""Widgets on a network that the next cell trains."""

import threading
from contextlib import contextmanager

import pytest
import torch
from torch import nn

from nbvis import DreamCanvas, DropoutInverter, SaliencyView
from nbvis.engine import Network

LONG = 120.0


@contextmanager
def trained(net, make):
    """Trains at full speed on another thread, and lets its errors surface."""
    errors, stop, steps = [], threading.Event(), []

    def train():
        try:
            optimizer = make(net.parameters(), lr=1e-4)
            images = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(1))
            classes = torch.arange(4)
            while not stop.is_set():
                optimizer.zero_grad()
                nn.functional.cross_entropy(net.train()(images), classes).backward()
                optimizer.step()
                steps.append(1)
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=train, daemon=True)
    thread.start()
    try:
        yield steps
    finally:
        stop.set()
        thread.join()
    assert errors == []


@pytest.fixture
def net():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), nn.ReLU(inplace=True), nn.Conv2d(16, 16, 3), nn.BatchNorm2d(16),
        nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Dropout(0.5), nn.Linear(64, 32), nn.ReLU(),
        nn.Linear(32, 4),
    )  # fmt: skip


WIDGETS = {
    "dream": lambda network, image: DreamCanvas(network, image, steps=40, octaves=2, jitter=2),
    "saliency": SaliencyView,
    "inversion": lambda network, image: DropoutInverter(network, image, steps=60, tolerance=1e-8),
}


@pytest.mark.parametrize("make", [torch.optim.Adam, torch.optim.SGD], ids=["adam", "sgd"])
@pytest.mark.parametrize("name", WIDGETS)
def test_a_widget_runs_to_its_end_beside_an_optimizer(net, image, name, make):
    with trained(net, make) as steps:
        widget = WIDGETS[name](Network(net, device="cpu"), image)
        before = len(steps)
        if name == "saliency":
            for method in ("gradient", "guided_backprop", "smoothgrad", "occlusion"):
                widget.method = method
                assert widget.wait(LONG)
                assert widget.result.method == method and widget.result.map.isfinite().all()
        else:
            widget.play()
            assert widget.wait(LONG)
        assert widget.error == "" and widget.result is not None
        assert len(steps) > before + 5
        if name != "saliency":
            assert widget.state in ("finished", "stopped") and "trained meanwhile" in widget.notes
        widget.close()
