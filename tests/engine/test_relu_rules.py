"""Backward rules for rectifiers, against backward passes written by hand, in every way a rectifier can be called."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nbvis.engine import Pixels, activity, ascend, channel, custom, dream, last, logit, unit
from nbvis.engine.network.relu_rules import Rectifiers, redirected

RELU = {
    "module": lambda x: nn.ReLU()(x),
    "module in place": lambda x: nn.ReLU(inplace=True)(x * 1),
    "functional": lambda x: F.relu(x),
    "functional in place": lambda x: F.relu(x * 1, inplace=True),
    "functional by keyword": lambda x: F.relu(input=x),
    "functional relu_": lambda x: F.relu_(x * 1),
    "torch": lambda x: torch.relu(x),
    "torch relu_": lambda x: torch.relu_(x * 1),
    "method": lambda x: x.relu(),
    "method relu_": lambda x: (x * 1).relu_(),
    "clamp": lambda x: x.clamp(min=0),
    "clamp by position": lambda x: torch.clamp(x, 0),
    "clamp_": lambda x: (x * 1).clamp_(min=0),
    "clamp_min": lambda x: x.clamp_min(0.0),
    "clamp_min_": lambda x: (x * 1).clamp_min_(0),
    "clip": lambda x: x.clip(min=0),
}
RELU6 = {
    "module": lambda x: nn.ReLU6()(x),
    "module in place": lambda x: nn.ReLU6(inplace=True)(x * 1),
    "functional": lambda x: F.relu6(x),
    "functional in place": lambda x: F.relu6(x * 1, True),
    "hardtanh": lambda x: F.hardtanh(x, 0, 6),
    "hardtanh in place": lambda x: F.hardtanh(x * 1, 0.0, 6.0, inplace=True),
    "hardtanh module": lambda x: nn.Hardtanh(0, 6)(x),
    "hardtanh_": lambda x: F.hardtanh_(x * 1, 0, 6),
    "clamp": lambda x: x.clamp(0, 6),
    "clamp_": lambda x: (x * 1).clamp_(min=0, max=6),
}
ROWS = torch.tensor(
    [
        [-1.0, 2.0, 7.0, -3.0],  # one entry lets the gradient through: plain
        [-1.0, -2.0, 8.0, 9.0],  # none would
        [-5.0, -0.1, -2.0, -3.0],  # all shut
    ],
    dtype=torch.float64,
)
GRADIENT = torch.tensor([[1.0, -2.0, 3.0, -4.0], [1.0, -2.0, 3.0, -4.0], [-1.0, -1.0, -1.0, -1.0]], dtype=torch.float64)


def by_hand(x: Tensor, gradient: Tensor, upper: float) -> Tensor:
    found = torch.zeros_like(gradient)
    for row in range(len(x)):
        for column in range(x.shape[1]):
            if 0 < x[row, column] < upper:
                found[row, column] = gradient[row, column]
        if not found[row].any():
            for column in range(x.shape[1]):
                g = gradient[row, column]
                leads_back = g < 0 if x[row, column] >= upper else g > 0
                found[row, column] = g if leads_back or 0 < x[row, column] < upper else 0
    return found


@pytest.mark.parametrize(
    "function, upper",
    [pytest.param(f, float("inf"), id=f"relu {name}") for name, f in RELU.items()]
    + [pytest.param(f, 6.0, id=f"relu6 {name}") for name, f in RELU6.items()],
)
def test_every_call_of_a_rectifier_is_redirected(function, upper):
    x = ROWS.clone().requires_grad_()
    with Rectifiers(redirected):
        output = function(x)
    assert torch.equal(output, ROWS.clamp(0, upper))
    (found,) = torch.autograd.grad(output, x, GRADIENT)
    expected = by_hand(ROWS, GRADIENT, upper)
    assert torch.equal(found, expected)
    assert upper < 7 or torch.equal(expected[0], torch.tensor([0.0, -2.0, 3.0, 0.0], dtype=torch.float64))
    assert not expected[2].any()  # a gradient that points further down does not help either
    (plain,) = torch.autograd.grad(function(x), x, GRADIENT)
    assert not plain[1].any() or upper > 6


def test_a_gradient_that_is_not_blocked_is_plain(pictures):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU6(), nn.Conv2d(8, 1, 3)).double()
    images = pictures(2, 3, 9, 9).requires_grad_()
    (plain,) = torch.autograd.grad(net(images).sum(), images)
    with Rectifiers(redirected):
        (found,) = torch.autograd.grad(net(images).sum(), images)
    assert torch.equal(found, plain)


def test_one_blocked_image_does_not_change_another():
    x = ROWS.clone().requires_grad_()
    with Rectifiers(redirected):
        output = x.relu()
    together = torch.autograd.grad(output, x, GRADIENT)[0]
    for row in range(len(ROWS)):
        x = ROWS[row : row + 1].clone().requires_grad_()
        with Rectifiers(redirected):
            output = x.relu()
        assert torch.equal(torch.autograd.grad(output, x, GRADIENT[row : row + 1])[0][0], together[row])


def test_a_rectifier_used_twice_is_redirected_twice():
    relu = nn.ReLU(inplace=True)
    x = torch.tensor([[-1.0, -2.0]], dtype=torch.float64, requires_grad=True)
    with Rectifiers(redirected):
        output = relu(relu(x * 1) - 1)
    (found,) = torch.autograd.grad(output, x, torch.tensor([[2.0, 3.0]], dtype=torch.float64))
    assert found.tolist() == [[2, 3]]


@pytest.mark.parametrize("shape", [(), (3,), (2, 0), (2, 3, 4, 5, 6)])
def test_any_number_of_dimensions(shape):
    x = torch.full(shape, -1.0, dtype=torch.float64, requires_grad=True)
    with Rectifiers(redirected):
        output = x.relu()
    (found,) = torch.autograd.grad(output, x, torch.ones_like(x))
    assert torch.equal(found, torch.ones_like(x))


def test_what_is_no_rectifier_is_left_alone():
    x = torch.tensor([[-9.0, 1.0]], dtype=torch.float64, requires_grad=True)
    with Rectifiers(redirected):
        others = [F.hardtanh(x), x.clamp(min=-1), x.clamp(max=0), F.elu(x), F.gelu(x), x.clamp(torch.zeros(2).double())]
        assert torch.tensor([-1, 2]).clamp(min=0).dtype == torch.int64  # indices, for instance
        assert torch.tensor([True]).clamp(0, 1).tolist() == [1]
    plain = [F.hardtanh(x), x.clamp(min=-1), x.clamp(max=0), F.elu(x), F.gelu(x), x.clamp(torch.zeros(2).double())]
    for found, expected in zip(others, plain, strict=True):
        assert torch.equal(found, expected)
        (a,), (b,) = (torch.autograd.grad(v.sum(), x) for v in (found, expected))
        assert torch.equal(a, b)


def shut(activation: nn.Module, bias: float = -3.0) -> Any:
    """Two units; the second one's rectifier is shut on every picture like the start."""
    net: Any = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), activation, nn.Conv2d(2, 2, 1)).double()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.zero_()
        net[0].weight[:, :, 1, 1] = 4.0
        net[0].bias[1] = bias
        net[2].weight[0, 0] = net[2].weight[1, 1] = 1.0
    return net


@pytest.mark.parametrize("activation", [nn.ReLU(), nn.ReLU(inplace=True), nn.ReLU6(), nn.Hardtanh(0, 6)])
@pytest.mark.parametrize("layer", ["1", "2"])
def test_a_dead_start_gets_moving(pictures, activation, layer):
    net, image = shut(activation), pictures(1, 1, 7, 9, low=0.3, high=0.5)
    for objective in (channel(layer, 1), unit(layer, 1)):
        first = next(iter(ascend(net, objective, Pixels(image), steps=30, transforms=(), lr=0.05)))
        assert first.score == 0 and "redirected" in first.notes[0]
        end = last(ascend(net, objective, Pixels(image), steps=30, transforms=(), lr=0.05))
        assert end.score > 0.1 and end.notes == ()
        assert last(dream(net, objective, image, octaves=1, steps=20, lr=0.05, jitter=0)).score > 0.01


def test_a_saturated_start_gets_moving_too(pictures):
    net, image = shut(nn.ReLU6(), bias=30.0), pictures(1, 1, 7, 9, low=0.6)
    with torch.no_grad():
        net[0].weight[1] *= 10
    step = next(iter(ascend(net, -channel("1", 1), Pixels(image), steps=3, transforms=())))
    assert step.score == -6 and step.notes and (step.image < image).all()


def test_only_the_dead_images_of_a_batch_are_redirected(pictures):
    net = shut(nn.ReLU())
    images = pictures(2, 1, 5, 5, low=0.3, high=0.5)
    images[1] += 0.45
    alone = [last(ascend(net, channel("2", 1), Pixels(images[i : i + 1]), steps=3, transforms=())) for i in range(2)]
    both = last(ascend(net, channel("2", 1), Pixels(images), steps=3, transforms=()))
    for i in range(2):
        assert torch.equal(both.image[i], alone[i].image[0])


def test_what_cannot_move_is_said_in_words(pictures):
    image = pictures(1, 1, 7, 9)
    conv = nn.Conv2d(1, 2, 3)
    nn.init.zeros_(conv.weight)
    net = nn.Sequential(conv, nn.ReLU()).double()
    for run in (
        ascend(net, channel("1", 0), Pixels(image), transforms=()),
        dream(net, activity("1"), image, octaves=1),
    ):
        with pytest.raises(
            RuntimeError, match=r"no gradient reaches the picture from (channel|activity)\('1'.*score is"
        ):
            next(run)


def test_a_row_that_cannot_move_is_named_and_the_others_go_on(pictures):
    net, images = shut(nn.ReLU(), bias=-1.0), pictures(2, 1, 5, 5)
    run = ascend(net, [channel("2", 0), 0 * channel("2", 1)], Pixels(images), steps=2, transforms=())
    for step in run:
        assert step.notes == ("No gradient reaches image 1 at this step.",)
        assert torch.equal(step.image[1], images[1]) and not torch.equal(step.image[0], images[0])


@pytest.mark.parametrize("hidden", [torch.full_like, lambda images, value: images * 0 + value])
def test_what_a_transform_hides_at_the_first_step_moves_at_the_next(convnet, pictures, hidden):
    def hides(images, generator):
        return images if generator.initial_seed() else hidden(images, 0.5)  # the seed is the step's number

    start = pictures(1, 3, 8, 8)
    first, second = ascend(convnet(), logit(1), Pixels(start), steps=2, transforms=[hides])
    assert first.notes[-1] == "No gradient reaches image 0 at this step." and second.notes == ()
    assert torch.equal(first.image, start) and not torch.equal(second.image, start)


class Odd(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.conv, self.function, self.tail = nn.Conv2d(1, 2, 3), function, nn.Identity()

    def forward(self, images):
        return self.tail(self.function(self.conv(images)))


@pytest.mark.parametrize(
    "function", [lambda x: x.argmax(1).double()[:, None], lambda x: x.detach(), lambda x: x.argmax(1)[:, None]]
)
def test_a_layer_without_gradient_is_an_error_before_any_work(pictures, function):
    net = Odd(function).double()
    for start in (
        lambda: ascend(net, channel("tail", 0), Pixels(pictures(1, 1, 8, 8))),
        lambda: dream(net, channel("tail", 0), pictures(1, 1, 8, 8), octaves=1),
    ):
        with pytest.raises(RuntimeError, match="no gradient flows back from layer 'tail'"):
            start()


def test_a_rectifier_in_an_objective_of_ones_own_works(pictures):
    net, image = shut(nn.Identity(), bias=-3), pictures(1, 1, 7, 9, low=0.3, high=0.5)
    objective = custom(lambda a: F.relu(a[:, 1].mean((1, 2)) + 1), "2")
    assert last(ascend(net, objective, Pixels(image), steps=30, transforms=())).score > 0
