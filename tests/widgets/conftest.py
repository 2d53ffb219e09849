import pytest
import torch
from torch import nn

from nbvis import DreamCanvas


@pytest.fixture
def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 6, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 4)
    )


@pytest.fixture
def image():
    return torch.rand(1, 3, 32, 48, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def make(network, image):
    """Makes canvases of few small steps, and closes them."""
    made = []

    def make(*given, **options):
        options = {"steps": 2, "octaves": 2, "jitter": 2} | options
        made.append(DreamCanvas(*(given or (network, image)), **options))
        return made[-1]

    yield make
    for canvas in made:
        canvas.close()


@pytest.fixture
def heard(monkeypatch):
    """What a widget sends to its views: call it with the widget to begin listening."""

    def heard(widget):
        messages = []
        monkeypatch.setattr(widget, "send", lambda content, buffers=None: messages.append((content, buffers)))
        return messages

    return heard
