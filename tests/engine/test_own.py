"""Anyone's method, with the same care and the same checks as those of the house; captum's own are the users."""

import random

import captum.attr
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nbvis.engine import METHODS, Network, attribute, channel, faithfulness, randomization_check


def network(**options) -> Network:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = nn.Sequential(
            nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8 * 49, 5)
        )
    return Network(module.double(), device="cpu", **options)


@pytest.fixture
def images() -> Tensor:
    return torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(1)).double()


def deep_lift(module, inputs, target):
    """DeepLift from black."""
    return captum.attr.DeepLift(module).attribute(inputs, target=target)


def guided(module, inputs, target):
    return captum.attr.GuidedBackprop(module).attribute(inputs, target=target)


def plain(module, inputs, target):
    return torch.autograd.grad(module(inputs)[0, target], inputs)[0]


@pytest.mark.filterwarnings("ignore:Setting (forward, )?backward hooks:UserWarning")
@pytest.mark.filterwarnings("ignore:Input Tensor 0 did not already require gradients:UserWarning")
@pytest.mark.parametrize("function", [deep_lift, guided])
def test_captums_own_numbers_are_found(images, house, function):
    net = network(preprocess=lambda shown: 2 * shown - 1)
    expected = torch.cat(
        [
            function(network().module.eval(), 2 * image[None] - 1, target)
            for image, target in zip(images, (3, 1), strict=True)
        ]
    )
    with house(net.module):
        found = attribute(net, images, [3, 1], method=function)
    assert torch.equal(found.map, expected.detach()) and found.map.any()
    assert found.method == function.__name__ and found.layer is None
    torch.testing.assert_close(found.score, net(images).gather(1, torch.tensor([[3], [1]]))[:, 0])


def test_it_is_called_for_each_image_with_a_copy_in_eval_mode_and_the_class_predicted(images):
    net, calls = network(), []

    def look(module, inputs, target):
        calls.append((module, module.training, inputs.shape, inputs.requires_grad, target))
        with torch.no_grad():
            for weight in module.parameters():
                weight.zero_()  # its own copy, so whatever it does to it is its affair
        module[0] = nn.Identity()
        return inputs

    before = [weight.clone() for weight in net.module.parameters()]
    found = attribute(net, images, method=look)
    assert torch.equal(found.map, images)
    assert [call[1:] for call in calls] == [(False, (1, 3, 16, 16), True, int(k)) for k in net(images).argmax(1)]
    assert all(type(target) is int for *_, target in calls) and calls[0][0] is not calls[1][0]
    assert all(map(torch.equal, net.module.parameters(), before)) and isinstance(net.module[0], nn.Conv2d)


@pytest.mark.parametrize("draw", [lambda: torch.rand(()), lambda: np.random.rand(), lambda: random.random()])
def test_what_it_draws_is_the_same_each_time_and_put_back(images, house, draw):
    def noisy(module, inputs, target):
        return inputs * float(draw() if draw.__code__ else 0)

    net = network()
    with house(net.module):
        first = attribute(net, images, 0, method=noisy)
    assert torch.equal(first.map, attribute(net, images, 0, method=noisy).map)


def test_a_map_of_the_preprocessings_size_is_brought_to_the_images(images):
    net = network(preprocess=lambda shown: nn.functional.interpolate(shown, size=(16, 16)))
    large = torch.rand(1, 3, 40, 24, generator=torch.Generator().manual_seed(2)).double()
    found = attribute(net, large, 0, method=plain)
    assert found.map.shape == large.shape and "16 × 16" in found.notes[0] and "40 × 24" in found.notes[0]


def test_it_passes_the_same_checks(images):
    net = network()
    assert torch.equal(attribute(net, images, 1, method=plain).map, attribute(net, images, 1).map)
    measured = faithfulness(net, images, attribute(net, images, 1, method=plain), cell=4, points=4)
    theirs = faithfulness(net, images, attribute(net, images, 1).map, cell=4, points=4, target=1)
    assert torch.equal(measured.insertion["attribution"], theirs.insertion["attribution"])
    mine, known = (randomization_check(net, images, method, target=1, stages=2) for method in (plain, "gradient"))
    assert all(
        torch.equal(*maps) for maps in zip([s.map for s in mine.stages], [s.map for s in known.stages], strict=True)
    )
    assert mine.passed == known.passed and mine.verdict == known.verdict.replace("gradient", "plain")


def test_options_are_handed_on(images):
    def scaled(module, inputs, target, *, factor=1.0):
        return factor * inputs

    assert torch.equal(attribute(network(), images, 0, method=scaled, factor=3.0).map, 3 * images)
    with pytest.raises(TypeError, match=r"scaled cannot be called as scaled\(module, inputs, target, size=3\)"):
        attribute(network(), images, 0, method=scaled, size=3)


@pytest.mark.parametrize(
    ("function", "options", "error", "message"),
    [
        (
            lambda module, inputs, target: inputs.sum(),
            {},
            ValueError,
            r"gave a map of \(\), and one shaped like its in",
        ),
        (lambda module, inputs, target: None, {}, TypeError, "gave NoneType, and a map is a tensor"),
        (lambda module, inputs: inputs, {}, TypeError, "cannot be called as"),
        (plain, {"layer": "0"}, ValueError, "plain explains the pixels of the image, so its map cannot live at"),
        (plain, {"target": channel("0", 1)}, ValueError, "plain explains a class, not the objective"),
        (3, {}, TypeError, "a method is a name or a function .*, not 3"),
    ],
)
def test_what_cannot_be_is_refused(images, house, function, options, error, message):
    net = network()
    with house(net.module), pytest.raises(error, match=message):
        attribute(net, images, **{"target": 0, "method": function} | options)


def test_what_it_raises_is_its_own_error(images, house):
    def broken(module, inputs, target):
        raise ZeroDivisionError("mine")

    net = network()
    with house(net.module), pytest.raises(ZeroDivisionError, match="mine"):
        attribute(net, images, 0, method=broken)


def test_a_record_is_taken_too(images):
    net = network()
    assert torch.equal(attribute(net, images, 0, method=METHODS["gradient"]).map, attribute(net, images, 0).map)
