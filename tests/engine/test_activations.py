"""What asking for activations costs once a network has been looked at, and that it changes nothing."""

from typing import ClassVar

import pytest
import torch
import torchvision
from torch import nn

from nbvis.engine import Network, activations, layers


class Told(nn.Module):
    """Two layers below a part of its own, and a note of each pass."""

    passes: ClassVar[list[int]] = []

    def __init__(self):
        super().__init__()
        self.first, self.second, self.last = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3), nn.Conv2d(4, 2, 3)

    def forward(self, x):
        self.passes.append(1)
        return self.last(self.second(self.second(self.first(x)).relu()).relu())


def test_once_the_layers_are_known_each_costs_one_pass():
    Told.passes.clear()
    network, image = Network(Told(), device="cpu"), torch.rand(1, 3, 16, 16)
    layers(network, image)
    assert len(Told.passes) == 1
    for name in ("first", "second", "second:0", "last", "first"):
        activations(network, image, [name])
    assert len(Told.passes) == 1 + 1 + 5  # one pass counts the calls of all layers
    with pytest.raises(ValueError, match="called 2 times"):
        activations(network, image, ["second:2"])


@pytest.mark.parametrize("name", ["squeezenet1_1", "convnext_tiny"])
def test_what_the_look_at_all_layers_told_of_a_layout_is_what_a_layer_alone_tells(name):
    module, image = getattr(torchvision.models, name)(weights=None).eval(), torch.rand(1, 3, 64, 64)
    known = Network(module, device="cpu")
    names = [layer.name for layer in layers(known, image)][::9]
    for each in names:
        told, alone = activations(known, image, [each]), activations(Network(module, device="cpu"), image, [each])
        assert told.axes == alone.axes, each
        assert torch.equal(told[each], alone[each]), each
