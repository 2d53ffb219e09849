"""The stem: gradients taken at the first convolution's output, wherever that is the same, and nowhere else."""

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nbvis.engine import Network, attribute
from nbvis.engine.attribution.affine_stem import Stem
from nbvis.engine.network.prepared import Prepared


class Net(nn.Module):
    """Two convolutions in an order that a test gives."""

    def __init__(self, function: Any):
        super().__init__()
        self.a, self.norm, self.b = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3, padding=1)
        self.beside, self.linear = nn.Conv2d(3, 4, 1), nn.Linear(3, 4)
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self, x).mean((2, 3))


def usual(n: Net, x: Tensor) -> Tensor:
    return n.b(n.norm(n.a(x)).relu_())


def detached(x: Tensor) -> Tensor:
    return (x - x.mean((1, 2, 3), keepdim=True).detach()) / x.std((1, 2, 3), keepdim=True).detach()


MEAN = torch.tensor([0.4, 0.5, 0.6]).double().view(3, 1, 1)

AFFINE: dict[str, tuple[Any, Any]] = {  # the network's function and its preprocessing
    "as usual": (usual, None),
    "normalised": (usual, lambda x: (x - MEAN) / MEAN),
    "in bytes": (usual, lambda x: (x * 255 - 127) / 128),
    "reversed": (usual, lambda x: 1 - x.flip(1)),
    "by index": (usual, lambda x: x[:, [2, 0, 1]]),
    "padded": (usual, lambda x: F.pad(x, (1, 0, 2, 0))),
    "mirrored": (usual, lambda x: F.pad(x, (1, 1, 2, 2), mode="reflect")),
    "enlarged": (usual, lambda x: F.interpolate(x, scale_factor=2.0, mode="bilinear")),
    "added to itself": (usual, lambda x: x + 0.5 * x.flip(3)),
    "in place": (lambda n, x: n.b(n.a(x).relu_()), None),
    "smooth": (lambda n, x: n.b(n.a(x).sin()), None),
}

OTHER: dict[str, tuple[Any, Any]] = {
    "squared": (usual, lambda x: x**2),
    "product": (usual, lambda x: x * x.flip(3)),
    "clamped": (usual, lambda x: (2 * x - 0.7).clamp(min=0)),
    "gamma": (usual, lambda x: (x + 1).pow(0.45)),
    "normalised by itself": (usual, lambda x: x / x.mean((1, 2, 3), keepdim=True)),
    "normalised by itself, detached": (usual, detached),
    "image beside": (lambda n, x: usual(n, x) + n.beside(x), None),
    "image beside where it is seldom": (lambda n, x: usual(n, x) + F.relu(x.mean(1, keepdim=True) - 0.79), None),
    "a second convolution of it": (lambda n, x: n.b((n.a(x) + n.beside(x)).relu()), None),
    "twice": (lambda n, x: n.b((n.a(x) + n.a(x.flip(3))).relu()), None),
    "by chance": (lambda n, x: usual(n, x * (torch.rand_like(x) > 0.5)), None),
    "gated by itself": (lambda n, x: n.b(n.a(x) * x.mean((1, 2, 3), keepdim=True)), None),
    "no convolution": (lambda n, x: n.linear(x.movedim(1, 3)).movedim(3, 1).relu() ** 2, None),
}


def network_of(case: tuple[Any, Any]) -> Network:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = Net(case[0]).double().eval()
    assert net.norm.running_mean is not None and net.norm.running_var is not None
    net.norm.running_mean.add_(torch.tensor([0.1, -0.2, 0.3, 0.0]))
    net.norm.running_var.mul_(0.4)
    return Network(net, preprocess=case[1], device=net.norm.running_mean.device)


def way_in(network: Network, images: Tensor) -> bool:
    prepared = Prepared(network, [""], images)
    with Stem(prepared, images).watched() as stem:
        return stem.way_in(prepared(images.clone().requires_grad_())[""][:, 1]) is not None


@pytest.mark.parametrize("name", [*AFFINE, *OTHER])
@pytest.mark.parametrize("method", ["smoothgrad", "integrated_gradients"])
def test_the_maps_are_those_taken_at_the_images(name, method, house, pictures):
    network, images = network_of((AFFINE | OTHER)[name]), pictures(2, 3, 8, 6)
    options: dict[str, Any] = {"samples": 5} if method == "smoothgrad" else {"steps": 5}
    with house(network.module):
        found = attribute(network, images, 1, method=method, chunk=3, **options).map
    points = torch.stack([images + 0.15 * torch.randn(images.shape[1:], generator=grain(k)) for k in range(5)])
    weights = torch.full((5,), 0.2)
    if method == "integrated_gradients":
        nodes, halves = np.polynomial.legendre.leggauss(5)
        points = torch.stack([(1 + node) / 2 * images for node in nodes])
        weights = torch.tensor(halves) / 2
    total = torch.zeros_like(images)
    if name == "by chance":  # what it draws follows the call, not the picture
        assert found.any() and torch.equal(found, attribute(network, images, 1, method=method, chunk=3, **options).map)
        return
    for point, weight in zip(points, weights, strict=True):
        total += weight * attribute(network, point, 1).map
    expected = total * images if method == "integrated_gradients" else total
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-9)


def grain(number: int) -> torch.Generator:
    return torch.Generator().manual_seed(number)


@pytest.mark.parametrize("name", AFFINE)
def test_an_affine_stem_is_found(name, pictures):
    assert way_in(network_of(AFFINE[name]), pictures(2, 3, 8, 6))


@pytest.mark.parametrize("name", OTHER)
def test_any_other_is_left_alone(name, pictures):
    assert not way_in(network_of(OTHER[name]), pictures(2, 3, 8, 6))


def test_a_way_past_the_stem_that_opens_later_is_seen(pictures):
    """The network takes another way where the image is bright, which no trial on a dark one shows."""

    def either(n: Net, x: Tensor) -> Tensor:
        bright = x.amax((1, 2, 3), keepdim=True) > 0.9
        return usual(n, x) + n.beside(x) * bright if bright.any() else usual(n, x)

    network, images = network_of((either, None)), pictures(1, 3, 8, 6)
    prepared = Prepared(network, [""], images)
    with Stem(prepared, images).watched() as stem:
        for bright in (False, True, False):
            shown = (images + 0.5 * bright).requires_grad_()
            assert (stem.way_in(prepared(shown)[""][:, 1]) is None) is bright


def test_the_backward_pass_ends_at_the_stem(pictures):
    """It is run through once for all images, however many steps there are."""
    passed: list[int] = []

    network, images = network_of(AFFINE["as usual"]), pictures(3, 3, 8, 6)
    plain = attribute(network, images, 1, method="smoothgrad").map
    counted: Any = network_of(AFFINE["as usual"])
    counted.module.a.register_forward_pre_hook(lambda part, args: (_note(args[0], passed),))
    found = attribute(counted, images, 1, method="smoothgrad").map
    assert passed == [3] and torch.equal(found, plain)


def _note(images: Tensor, passed: list[int]) -> Tensor:
    if images.requires_grad:
        images.register_hook(lambda gradient: passed.append(len(gradient)))
    return images
