"""The gradient of strided convolutions on the picture is the one that PyTorch finds, however it is found."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from nbvis.engine import Network
from nbvis.engine.network.prepared import Prepared
from nbvis.engine.network.residual_branches import hold_back
from nbvis.engine.network.subpixel_gradient import gradient_at_inputs, take_subpixel_gradients


@given(
    kernel=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    stride=st.integers(1, 5),
    padding=st.tuples(st.integers(0, 5), st.integers(0, 5)),
    size=st.tuples(st.integers(9, 20), st.integers(9, 20)),
    channels=st.tuples(st.integers(1, 4), st.integers(1, 5)),
    batch=st.sampled_from([(), (1,), (3,)]),
)
def test_it_is_that_of_the_convolution(kernel, stride, padding, size, channels, batch) -> None:
    chance = torch.Generator().manual_seed(0)
    images = torch.randn(*batch, channels[0], *size, generator=chance, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(channels[1], channels[0], *kernel, generator=chance, dtype=torch.float64)
    output = F.conv2d(images, weight, stride=stride, padding=padding)
    back = torch.randn(output.shape, generator=chance, dtype=torch.float64)
    (plain,) = torch.autograd.grad(output, images, back)
    torch.testing.assert_close(gradient_at_inputs(back, weight, stride, padding, size), plain)


def stem(**options) -> nn.Conv2d:
    given: dict = {"in_channels": 3, "out_channels": 8, "kernel_size": 7, "stride": 2, "padding": 3} | options
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Conv2d(**given).requires_grad_(False)


def image(channels: int = 3) -> torch.Tensor:
    return torch.rand(2, channels, 17, 22, generator=torch.Generator().manual_seed(0)).requires_grad_()


def quick(part: nn.Module) -> bool:
    return any("_conv_forward" in each.__dict__ for each in part.modules())


@pytest.mark.parametrize("norm", [False, True])
def test_a_prepared_network_uses_it_and_gives_what_the_network_gives(norm: bool) -> None:
    net = nn.Sequential(stem(), nn.BatchNorm2d(8).requires_grad_(False) if norm else nn.Identity(), nn.ReLU()).eval()
    prepared = Prepared(Network(net, device="cpu"), ["2"], image().detach())
    assert quick(prepared._module) and not quick(net)
    found, plain = image(), image()
    quickly, plainly = prepared(found)["2"], net(plain)
    torch.testing.assert_close(quickly, plainly)
    (quickly**2).sum().backward()
    (plainly**2).sum().backward()
    torch.testing.assert_close(found.grad, plain.grad)


@pytest.mark.parametrize("copied, dtype", [("none", torch.float32), ("all", torch.float64)])
def test_whoever_asks_for_every_rounding_of_the_network_gets_it(copied, dtype) -> None:
    net = nn.Sequential(stem(), nn.ReLU()).to(dtype).eval()
    assert not quick(Prepared(Network(net, device="cpu"), ["1"], image().detach(), copied)._module)


@pytest.mark.parametrize(
    "options",
    [
        {"stride": 1},
        {"stride": (2, 1)},
        {"in_channels": 6},
        {"in_channels": 4, "groups": 2},
        {"dilation": 2},
        {"padding_mode": "circular"},
        {"padding": "valid"},
    ],
    ids=str,
)
def test_other_convolutions_stay_as_they_are(options) -> None:
    part = stem(**options)
    take_subpixel_gradients(part)
    assert not quick(part)


class Own(nn.Conv2d):
    """A convolution that convolves in its own way."""

    def _conv_forward(self, input, weight, bias):
        return super()._conv_forward(input, weight.tanh(), bias)


def test_a_convolution_of_ones_own_stays_as_it_is() -> None:
    part = Own(3, 8, 7, 2)
    take_subpixel_gradients(part)
    assert not quick(part)


def test_weights_that_learn_inputs_without_gradient_and_autocast_take_pytorchs_own_way() -> None:
    part, given = stem(), image()
    take_subpixel_gradients(part)
    assert part(given).grad_fn.name() == "_ConvolutionBackward"
    assert part(given.detach()).grad_fn is None
    with torch.autocast("cpu", torch.bfloat16):
        assert part(given).grad_fn.name() == "ConvolutionBackward0"
    part.requires_grad_()
    assert part(given).grad_fn.name() == "ConvolutionBackward0"


def test_its_gradient_has_a_gradient() -> None:
    plain, part, given = stem().double(), stem().double(), image().detach().double().requires_grad_()
    take_subpixel_gradients(part)

    def twice(net: nn.Module) -> torch.Tensor:
        (once,) = torch.autograd.grad((net(given) ** 3).sum(), given, create_graph=True)
        return torch.autograd.grad(once.square().sum(), given)[0]

    torch.testing.assert_close(twice(part), twice(plain))


def test_branches_are_found_behind_it() -> None:
    part, given = stem(), image()
    take_subpixel_gradients(part)
    first = part(given)
    assert hold_back([first + first.relu()], given, 0.5) == 1
