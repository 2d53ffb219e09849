"""A share of the gradient flows back through residual branches, however their sums are written."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import densenet121, resnet18

from nbvis.engine import Network, Pixels, ascend, channel, custom, last, logit
from nbvis.engine.network.residual_branches import hold_back

SUMS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "x + f": lambda x, f: x + f,
    "f + x": lambda x, f: f + x,
    "f += x": lambda x, f: f.__iadd__(x),
    "f.add_(x)": lambda x, f: f.add_(x),
    "x.add(f)": lambda x, f: x.add(f),
    "torch.add(x, f)": torch.add,
    "torch.add(x, f, alpha=2)": lambda x, f: torch.add(x, f, alpha=2),
}


class Block(nn.Module):
    """x + f(x), or with a gradient of f that is scaled by hand."""

    def __init__(self, add: Callable[[Tensor, Tensor], Tensor] = torch.add, share: float = 1, width: int = 4):
        super().__init__()
        self.add, self.share = add, share
        self.branch = nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.Tanh(), nn.Conv2d(width, width, 1))

    def forward(self, x):
        found = self.branch(x)
        return self.add(x, self.share * found + (1 - self.share) * found.detach() if self.share < 1 else found)


def network(add=torch.add, share=1.0) -> nn.Sequential:
    torch.manual_seed(3)
    blocks = [Block(add, share), nn.Tanh(), Block(add, share)]
    return nn.Sequential(nn.Conv2d(3, 4, 1), *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)).double()


def gradient(module: nn.Module, images: Tensor, share: float | None = None) -> tuple[Tensor, Tensor, int]:
    images = images.clone().requires_grad_()
    output = module(images)
    met = 0 if share is None else hold_back([output], images, share)
    (found,) = torch.autograd.grad(output.sin().sum(), images)
    return output, found, met


@pytest.mark.parametrize("share", [0, 0.3, 0.5])
@pytest.mark.parametrize("how", SUMS)
def test_a_share_of_the_gradient_goes_through_each_branch(pictures, how, share):
    images = pictures(2, 3, 6, 6)
    output, found, met = gradient(network(SUMS[how]), images, share)
    plain, expected, _ = gradient(network(SUMS[how], share), images)
    assert met == 2 and torch.equal(output, gradient(network(SUMS[how]), images)[0])
    assert torch.allclose(found, expected, rtol=1e-12, atol=0) and torch.allclose(output, plain)
    assert not torch.allclose(found, gradient(network(SUMS[how]), images)[1])


def test_a_branch_that_begins_at_the_picture_itself(pictures):
    torch.manual_seed(0)
    one, images = Block(width=3).double(), pictures(1, 3, 5, 5)
    other = Block(share=0.5, width=3).double()
    other.load_state_dict(one.state_dict())
    assert torch.allclose(gradient(one, images, 0.5)[1], gradient(other, images)[1], rtol=1e-12, atol=0)


def test_what_else_is_made_of_a_branch_has_its_whole_gradient(pictures):
    """Only the way through the sum is scaled, not what another use of the branch sends back."""
    images = pictures(1, 3, 4, 4).requires_grad_()
    branch = images.square()
    output = images + branch
    total = output.sum() + 3 * branch.sum()
    assert hold_back([output, branch], images, 0.5) == 1
    (found,) = torch.autograd.grad(total, images)
    assert torch.allclose(found, 1 + 0.5 * 2 * images + 3 * 2 * images)


def test_sums_of_what_was_not_computed_from_each_other_stay_as_they_are(pictures):
    """Two convolutions of one map, a map and itself, a map and a constant, or a number."""
    torch.manual_seed(0)
    one, other, constant = nn.Conv2d(3, 3, 1).double(), nn.Conv2d(3, 3, 1).double(), pictures(1, 3, 4, 4)
    for form in (lambda x: one(x) + other(x), lambda x: x + x, lambda x: one(x) + constant, lambda x: 1 + one(x)):
        _, found, met = gradient(form, pictures(1, 3, 4, 4), 0.1)
        assert met == 0 and torch.equal(found, gradient(form, pictures(1, 3, 4, 4))[1])


def test_blocks_that_change_the_size_have_no_skip_and_no_share():
    """Three of the eight blocks of a ResNet-18 have a convolution in the place of the skip; a DenseNet adds nothing."""
    images = torch.rand(1, 3, 64, 64)
    assert gradient(resnet18(weights=None).eval(), images, 0.5)[2] == 5
    assert gradient(densenet121(weights=None).eval(), images, 0.5)[2] == 0


def climbed(module: nn.Module, images: Tensor, **options) -> Tensor:
    plain = {"steps": 4, "lr": 0.5, "transforms": (), "optimizer": "sgd"}
    return last(ascend(Network(module, preprocess=None), logit(1), Pixels(images), **plain, **options)).image


@pytest.mark.parametrize("share", [0, 0.5, 1])
def test_an_ascent_follows_the_gradient_past_residual_branches(pictures, share):
    images = pictures(2, 3, 6, 6)
    expected, module = images.clone(), network(share=share)
    for _ in range(4):
        expected.requires_grad_()
        (uphill,) = torch.autograd.grad(module(expected)[:, 1].sum(), expected)
        expected = (expected + 0.5 * uphill).detach().clamp(0, 1)
    assert torch.allclose(climbed(network(), images, residual=share), expected, rtol=0, atol=1e-12)
    assert not torch.equal(images, expected)


def test_half_is_the_default_and_does_nothing_without_skip_connections(pictures, convnet):
    images = pictures(1, 3, 8, 8)
    assert torch.equal(climbed(network(), images), climbed(network(), images, residual=0.5))
    assert not torch.equal(climbed(network(), images), climbed(network(), images, residual=1))
    assert torch.equal(climbed(convnet(), images), climbed(convnet(), images, residual=1))


def test_the_share_changes_while_the_run_goes_on(pictures):
    images = pictures(1, 3, 6, 6)
    run = ascend(Network(network(), preprocess=None), channel("4", 0), Pixels(images), steps=2, residual=1)
    next(run)
    other = ascend(Network(network(), preprocess=None), channel("4", 0), Pixels(images), steps=2, residual=1)
    next(other)
    assert not torch.equal(run.send({"residual": 0.2}).image, next(other).image)


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan"), "half", None, True])
def test_a_share_is_from_0_to_1(pictures, convnet, share):
    with pytest.raises(ValueError, match="residual is a number from 0 to 1, not"):
        ascend(convnet(), logit(1), Pixels(pictures(1, 3, 8, 8)), residual=share)


def test_sums_of_transforms_and_objectives_are_no_branches(pictures, convnet):
    """x + f(x) in what changes the picture, and in what is made of the activations."""
    objective = custom(lambda found: (found + found.square()).mean((1, 2, 3)), "2")
    options = {"transforms": (lambda images, generator: images + 0.1 * images.square(),), "steps": 3, "lr": 0.5}
    halves, plain = (
        last(ascend(convnet(), objective, Pixels(pictures(1, 3, 8, 8)), residual=share, **options)).image
        for share in (0.5, 1)
    )
    assert torch.equal(halves, plain)
