import pytest
import torch
from torch import nn

from tests.widgets.pictures.panels import LONG, OPTIONS, TENSOR


@pytest.fixture
def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Dropout(0.5), nn.Conv2d(4, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )


@pytest.fixture
def make(network):
    """Makes panels that have looked at the network, and closes them."""
    made = []

    def make(kind, image=TENSOR, net=network, **options):
        made.append(kind(net, image, **OPTIONS[kind] | options))
        assert made[-1].wait(LONG)
        return made[-1]

    yield make
    for widget in made:
        widget.close()
