"""Noise on the weights: that of the definition, on a private copy, another at each step."""

import copy

import pytest
import torch
from torch import nn

from nbvis.engine import Network, Pixels, ascend, last, logit
from nbvis.engine.ascent.weight_noise import noisy


def scores(net, images, **options):
    """What the steps of a run that changes nothing of the pictures score."""
    run = ascend(net, logit(1), Pixels(images), lr=0, transforms=(), **options)
    return torch.stack([step.score for step in run])


def with_noise(net, sd, seed):
    """The network by the definition: each weight, in the module's own order, times 1 + sd × a normal number."""
    own, generator = copy.deepcopy(net), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in own.parameters():
            weight.mul_(1 + sd * torch.randn(weight.shape, generator=generator).to(weight))
    return own


def test_each_step_scores_as_a_network_with_its_own_noise(convnet, pictures):
    net, images = convnet(), pictures(2, 3, 9, 8)
    found = scores(net, images, steps=3, weight_noise=0.2, seed=5)
    for step, score in enumerate(found):
        with torch.no_grad():
            expected = with_noise(net, 0.2, 5 * 1_000_003 + step)(images)[:, 1]
        assert torch.allclose(score, expected)
    assert found.std(0).min() > 0.01


def test_the_gradient_is_that_of_the_noisy_network(convnet, pictures):
    net, images = convnet(), pictures(1, 3, 9, 8)
    (step,) = ascend(
        net, logit(1), Pixels(images), steps=1, lr=0.1, transforms=(), optimizer="sgd", weight_noise=0.3, seed=2
    )
    leaf = images.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(with_noise(net, 0.3, 2 * 1_000_003)(leaf)[0, 1], leaf)
    assert torch.allclose(step.image, images + 0.1 * gradient)


def test_without_noise_it_is_the_network_to_the_bit_also_after_some(convnet, pictures):
    net, images = convnet(), pictures(1, 3, 9, 8)
    plain = scores(net, images, steps=1)[0]
    assert torch.equal(scores(net, images, steps=1, weight_noise=0)[0], plain)
    run = ascend(net, logit(1), Pixels(images), lr=0, transforms=(), weight_noise=0.2)
    assert not torch.allclose(next(run).score, plain)
    assert torch.equal(run.send({"weight_noise": 0}).score, plain)
    assert not torch.allclose(run.send({"weight_noise": 0.1}).score, plain)
    assert torch.equal(scores(net, images, steps=1)[0], plain)  # nor is the noise kept for the next run


def test_the_network_is_as_it_was_and_the_seed_decides(convnet, house, pictures):
    net, images = convnet(), pictures(1, 3, 9, 8)
    with house(net):
        one, same, other = (scores(net, images, steps=3, weight_noise=0.2, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(one, same) and not torch.equal(one, other)


def test_the_noise_is_normal_around_one(device):
    network = Network(nn.Linear(300, 400, dtype=torch.float64), device=device)
    weight = noisy(network, 0.2, 3).module.weight / network.module.weight
    assert (weight.mean() - 1).abs() < 0.002 and (weight.std() - 0.2).abs() < 0.002
    assert ((weight - 1).abs() < 0.2).double().mean().sub(0.6827).abs() < 0.01


def test_weights_that_parts_share_have_the_same_noise(device):
    net = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    net[1].weight = net[0].weight
    own = noisy(Network(net, device=device), 0.2, 0).module
    assert own[0].weight is own[1].weight and not torch.equal(own[0].weight, net[0].weight)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_it_climbs(convnet, pictures, dtype):
    net, images = convnet().to(dtype), pictures(1, 3, 12, 12).float()
    start = next(ascend(net, logit(1), Pixels(images), lr=0, transforms=())).score
    end = last(ascend(net, logit(1), Pixels(images), steps=30, transforms=(), weight_noise=0.1)).image
    assert next(ascend(net, logit(1), Pixels(end), lr=0, transforms=())).score > start


@pytest.mark.parametrize("noise", [-1, float("nan"), "much", True])
def test_what_is_no_standard_deviation_is_refused(convnet, pictures, noise):
    with pytest.raises(ValueError, match="weight_noise is a number from 0 up"):
        ascend(convnet(), logit(1), Pixels(pictures(1, 3, 8, 8)), weight_noise=noise)
