"""Ascent: the loop written out by hand, reproducible, steerable between steps, and clear about what it cannot do."""

import functools

import pytest
import torch
from torch import nn

from nbvis.engine import (
    OPTIMIZERS,
    Fourier,
    Network,
    Pixels,
    activity,
    ascend,
    channel,
    check_objective,
    custom,
    diversity,
    jitter,
    last,
    logit,
    rotate,
    unit,
)


def score_of(net, objective, images) -> float:
    """What the objective gives for images as they are."""
    return next(ascend(net, objective, Pixels(images), lr=0, transforms=())).score.sum().item()


@pytest.mark.parametrize("transforms", [(), [jitter(1)]], ids=["bare", "jitter"])
@pytest.mark.parametrize("kind", ["pixels", "fourier"])
@pytest.mark.parametrize(
    "objective",
    [
        channel("0", 2),
        channel("5", 1),
        unit("3", 4),
        logit(3),
        -logit(3),
        activity("4"),
        channel("5", 1) - 0.5 * channel("5", 2) + 3,
        logit(1) * channel("5", 1),
        custom(lambda a: -(a - 1).square().mean((1, 2, 3)), "3"),
    ],
    ids=str,
)
def test_three_steps_raise_each_objective(convnet, pictures, objective, kind, transforms):
    image = Pixels(pictures(1, 3, 10, 12)) if kind == "pixels" else Fourier(10, 12)
    net, start = convnet(), image.holding(image.values.double()).image()
    end = last(ascend(net, objective, image, steps=20 if transforms else 3, lr=0.02, transforms=transforms)).image
    assert score_of(net, objective, end) > score_of(net, objective, start)


def bare_loop(net, image, score, steps, lr, make):
    """What ascend is without transforms: torch's own optimizer on minus the score."""
    values = image.values.double().clone().requires_grad_()
    image = image.holding(values)
    optimizer, found = make([values], lr=lr), []
    for _ in range(steps):
        optimizer.zero_grad()
        value = score(net(image.image()))
        (-value.sum()).backward()
        optimizer.step()
        with torch.no_grad():
            image.project()
            found.append((value.detach(), image.image().clone()))
    return found


@pytest.mark.parametrize("optimizer", sorted({*OPTIMIZERS} - {"averaged"}))
@pytest.mark.parametrize("kind", ["pixels", "fourier"])
def test_without_transforms_it_is_the_bare_loop(convnet, pictures, kind, optimizer):
    net = convnet()
    image = Pixels(pictures(2, 3, 9, 8)) if kind == "pixels" else Fourier(9, 8, batch=2)
    expected = bare_loop(net, image, lambda out: out[:, 1], 6, 0.03, OPTIMIZERS[optimizer])
    run = ascend(net, logit(1), image, steps=6, lr=0.03, transforms=(), optimizer=optimizer)
    for step, (score, picture) in zip(run, expected, strict=True):
        assert torch.allclose(step.score, score, rtol=1e-9)
        assert torch.allclose(step.image, picture, atol=1e-9)
        assert 0 <= step.image.min() and step.image.max() <= 1


@pytest.mark.parametrize("kind", ["pixels", "fourier"])
def test_what_is_shown_is_the_mean_of_the_newest_steps(convnet, pictures, kind):
    image = Pixels(pictures(2, 3, 9, 8)) if kind == "pixels" else Fourier(9, 8, batch=2)
    runs = [list(ascend(convnet(), logit(1), image, steps=64, optimizer=each)) for each in ("averaged", "nadam")]
    weights = torch.ones(1, dtype=torch.float64)
    for at, (step, plain) in enumerate(zip(*runs, strict=True)):
        assert torch.equal(step.score, plain.score)  # the way is the same
        newest = max(0.1, 6 / (at + 6))
        weights = torch.cat([weights * (1 - newest), torch.tensor([newest], dtype=torch.float64)]) if at else weights
        way = torch.stack([each.parameter.values for each in runs[1][: at + 1]])
        mean = torch.einsum("t,t...->...", weights, way)
        assert torch.allclose(step.parameter.values, mean, atol=1e-12)
        assert torch.allclose(step.image, image.holding(mean).image(), atol=1e-12)
    assert weights.sum() == pytest.approx(1) and weights[-1] == pytest.approx(0.1)


def test_an_optimizer_of_ones_own(convnet, pictures):
    def make(values, lr):
        return torch.optim.SGD(values, lr=lr, momentum=0.9, nesterov=True)

    image = Pixels(pictures(1, 3, 8, 8))
    expected = bare_loop(convnet(), image, lambda out: out[:, 2], 4, 0.1, make)
    run = ascend(convnet(), logit(2), image, steps=4, lr=0.1, transforms=(), optimizer=make)
    assert torch.allclose(last(run).image, expected[-1][1], atol=1e-12)


RATES = {  # how an optimizer is made: what `lr` is given to `ascend`, and what it then steps by
    "bound beforehand": (functools.partial(torch.optim.SGD, lr=0.5), None, 0.5),
    "bound beforehand, and another asked for": (functools.partial(torch.optim.SGD, lr=0.5), 0.2, 0.2),
    "by a default": (lambda values, lr=0.5: torch.optim.SGD(values, lr=lr), None, 0.5),
    "by a closure": (lambda values, lr: torch.optim.SGD(values, lr=0.5), None, 0.5),
    "without a parameter": (lambda values: torch.optim.SGD(values, lr=0.5), None, 0.5),
    "by a tenth of what is asked": (lambda values, lr: torch.optim.SGD(values, lr=lr / 10), 0.5, 0.05),
    "in groups": (lambda values, **_: torch.optim.SGD([{"params": values, "lr": 0.5}], lr=0.1), None, 0.5),
    "by the class": (torch.optim.SGD, None, 0.03),
    "by name": ("sgd", None, 0.03),
    "by name, and one asked for": ("sgd", 0.2, 0.2),
}


@pytest.mark.parametrize("name", RATES)
def test_an_optimizer_keeps_the_learning_rate_it_was_made_with(convnet, pictures, name):
    make, lr, expected = RATES[name]
    image = Pixels(pictures(1, 3, 8, 8, low=0.4, high=0.6))
    steps = ascend(convnet(), logit(2), image, steps=3, transforms=(), optimizer=make, **{"lr": lr} if lr else {})
    plain = ascend(convnet(), logit(2), image, steps=3, transforms=(), optimizer="sgd", lr=expected)
    for _ in range(2):
        assert torch.equal(next(steps).image, next(plain).image)
    assert torch.equal(steps.send({"lr": 0.25}).image, plain.send({"lr": 0.25}).image)


def test_a_learning_rate_that_a_function_cannot_take_is_refused(convnet, pictures):
    def make(values):
        return torch.optim.SGD(values, lr=0.5)

    with pytest.raises(ValueError, match=r"takes no lr, so there is no use for lr=0\.1: leave it out"):
        ascend(convnet(), logit(2), Pixels(pictures(1, 3, 8, 8)), lr=0.1, optimizer=make)


@pytest.mark.parametrize("optimizer", list(OPTIMIZERS))
@pytest.mark.parametrize("kind", ["pixels", "fourier"])
def test_no_learning_rate_gives_the_picture_back(convnet, pictures, kind, optimizer):
    image = Pixels(pictures(2, 3, 8, 9)) if kind == "pixels" else Fourier(8, 9, batch=2)
    image = image.holding(image.values.double())
    run = ascend(convnet(), logit(1), image, steps=3, lr=0, optimizer=optimizer)
    assert torch.equal(last(run).image, image.image())


@pytest.mark.parametrize("kind", ["pixels", "fourier"])
def test_the_same_seed_gives_the_same_bits(convnet, pictures, kind):
    def run(seed):
        image = Pixels(pictures(2, 3, 12, 12)) if kind == "pixels" else Fourier(12, 12, batch=2, seed=4)
        step = last(ascend(convnet(), logit(1), image, steps=4, seed=seed, transforms=[jitter(2), rotate(10)]))
        return step.score, step.image

    state = torch.get_rng_state()
    first = run(1)
    torch.rand(3)
    again, other = run(1), run(2)
    torch.set_rng_state(state)
    assert torch.equal(first[0], again[0]) and torch.equal(first[1], again[1])
    assert not torch.equal(first[1], other[1])


def test_a_network_that_draws_random_numbers_is_reproducible(pictures):
    class Noisy(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, images):
            return nn.functional.dropout(self.conv(images + torch.rand_like(images)), 0.5)

    with torch.random.fork_rng():
        net = Noisy().double()
    state = torch.get_rng_state()
    runs = [last(ascend(net, activity(""), Pixels(pictures(1, 3, 8, 8)), steps=3, seed=s)) for s in (1, 1, 2)]
    assert torch.equal(state, torch.get_rng_state())
    assert torch.equal(runs[0].image, runs[1].image) and not torch.equal(runs[0].image, runs[2].image)


@pytest.mark.parametrize("kind", ["pixels", "fourier"])
def test_the_parameter_passed_in_stays_as_it_is(convnet, pictures, kind):
    image = Pixels(pictures(1, 3, 8, 8)) if kind == "pixels" else Fourier(8, 8)
    values, kept = image.values, image.values.clone()
    last(ascend(convnet(), logit(1), image, steps=3))
    assert image.values is values and torch.equal(values, kept) and not values.requires_grad and values.grad is None


def test_a_step_stays_true_when_the_run_has_gone_on(convnet, pictures):
    def run():
        return ascend(convnet(), logit(1), Pixels(pictures(1, 3, 8, 8)), steps=5)

    at_once = [(step.image.clone(), step.score.clone()) for step in run()]
    kept = list(run())
    for (image, score), step in zip(at_once, kept, strict=True):
        assert torch.equal(step.image, image) and torch.equal(step.score, score)
        assert step.image is step.image and not step.image.requires_grad and not step.score.requires_grad
    assert [(step.index, step.total) for step in kept] == [(k, 5) for k in range(5)]


def test_a_list_of_objectives_is_a_run_for_each_image(convnet, pictures):
    objectives = [logit(0), channel("5", 2), 2 * activity("3") - unit("0", 1) + 1]
    images = pictures(3, 3, 9, 8)
    together = last(ascend(convnet(), objectives, Pixels(images), steps=4, transforms=()))
    for row, objective in enumerate(objectives):
        alone = last(ascend(convnet(), objective, Pixels(images[row : row + 1]), steps=4, transforms=()))
        assert torch.allclose(together.image[row], alone.image[0], atol=1e-12)
        assert torch.allclose(together.score[row], alone.score[0], rtol=1e-12)


def mask_of(height: int, width: int, soft: bool = False) -> torch.Tensor:
    mask = torch.zeros(height, width)
    mask[2:6, 3:8] = 0.5 if soft else 1.0
    return mask


OBJECTIVES_WITHIN = {
    "one": lambda m: logit(1).within(m),
    "sum": lambda m: (logit(1) + channel("5", 2)).within(m),
    "two masks": lambda m: logit(1).within(m) + channel("5", 2).within(m / 2),
    "with a constant": lambda m: logit(1).within(m) + 1,
    "constant first": lambda m: 3 - (logit(1).within(m) + 1),
    "list": lambda m: [logit(1).within(m), channel("3", 0).within(m) + logit(2).within(m)],
    "list with more terms beside": lambda m: [logit(1).within(m), channel("3", 0) + logit(2).within(m)],
}


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
@pytest.mark.parametrize("kind", ["pixels", "fourier"])
@pytest.mark.parametrize("name", OBJECTIVES_WITHIN)
def test_pixels_that_no_mask_reaches_stay_to_the_bit(convnet, pictures, name, kind, optimizer):
    mask = mask_of(9, 11)
    image = Pixels(pictures(2, 3, 9, 11)) if kind == "pixels" else Fourier(9, 11, batch=2)
    start = image.holding(image.values.double()).image()
    objective = OBJECTIVES_WITHIN[name](mask)
    step = last(ascend(convnet(), objective, image, steps=3, lr=0.1, optimizer=optimizer))
    outside = (mask == 0).expand_as(start)
    if name == "list with more terms beside":
        outside = outside.clone()
        assert not torch.equal(step.image[1][outside[1]], start[1][outside[1]])
        outside[1] = False
    assert torch.equal(step.image[outside], start[outside])
    assert not torch.equal(step.image[~outside], start[~outside])


def test_a_mask_scales_the_gradient_and_masked_terms_add_up(convnet, pictures):
    net, images = convnet(), pictures(1, 3, 9, 11)
    one, two = mask_of(9, 11, soft=True), torch.linspace(0, 1, 99).view(9, 11)
    objective = logit(1).within(one) + 2 * channel("5", 2).within(two) + logit(3)
    step = next(ascend(net, objective, Pixels(images), lr=0.001, transforms=(), optimizer="sgd"))
    expected = images.clone()
    for score, mask in (
        (lambda x: net(x)[:, 1], one),
        (lambda x: 2 * net[:6](x)[:, 2].mean((1, 2)), two),
        (lambda x: net(x)[:, 3], torch.ones(9, 11)),
    ):
        leaf = images.clone().requires_grad_()
        expected += 0.001 * mask * torch.autograd.grad(score(leaf).sum(), leaf)[0]
    assert torch.allclose(step.image, expected, atol=1e-12)
    with torch.no_grad():
        value = net(images)[:, 1] + 2 * net[:6](images)[:, 2].mean((1, 2)) + net(images)[:, 3]
    assert torch.allclose(step.score, value)


@pytest.mark.parametrize("kind", ["pixels", "fourier"])
def test_the_learning_rate_changes_between_steps(convnet, pictures, kind):
    image = Pixels(pictures(1, 3, 8, 8)) if kind == "pixels" else Fourier(8, 8)
    run = ascend(convnet(), logit(1), image, steps=9)
    first = next(run)
    still = run.send({"lr": 0})
    assert torch.equal(still.image, first.image) and (still.index, still.total) == (1, 9)
    assert torch.equal(next(run).image, first.image)
    assert not torch.equal(run.send({"lr": 0.2}).image, first.image)


@pytest.mark.parametrize("steps", [2, 4, 9])
def test_the_number_of_steps_changes_between_steps(convnet, pictures, steps):
    image, net = Pixels(pictures(1, 3, 8, 8)), convnet()
    run = ascend(net, logit(1), image, steps=4)
    assert [next(run).total for _ in range(2)] == [4, 4]
    try:
        made = [run.send({"steps": steps}), *run]
    except StopIteration:
        made = []
    assert [(step.index, step.total) for step in made] == [(index, steps) for index in range(2, steps)]
    if made:
        assert torch.equal(made[-1].image, last(ascend(net, logit(1), image, steps=steps)).image)


def test_a_run_at_its_end_is_given_more_steps(convnet, pictures):
    image, net = Pixels(pictures(1, 3, 8, 8)), convnet()
    run = ascend(net, logit(1), image, steps=2)
    next(run), next(run)
    step = run.send({"steps": 3})
    assert torch.equal(step.image, last(ascend(net, logit(1), image, steps=3)).image)


def test_the_objective_changes_between_steps(convnet, pictures):
    run = ascend(convnet(), logit(1), Pixels(pictures(1, 3, 8, 8)), steps=40, transforms=(), lr=0.02)
    logit_at_start = next(run).score
    for _ in range(10):
        before = next(run).score
    step = run.send({"objective": -logit(1)})
    assert (-step.score - before).abs() < 0.5 * (before - logit_at_start).abs()
    assert -last(run).score < before


def test_a_view_that_shows_nothing_of_the_mask_is_no_error_and_says_so(convnet, pictures):
    mask = torch.zeros(16, 16)
    mask[:, :4] = 1

    def right(images, generator):
        return images[..., 8:]

    def left(images, generator):
        return images[..., :8]

    image = Pixels(pictures(1, 3, 16, 16))
    run = ascend(convnet(), logit(1).within(mask), image, steps=3, transforms=[right])
    step = next(run)
    assert torch.equal(step.image, image.image()) and len(step.notes) == 1
    assert step.notes[0].startswith("Nothing that the masks let change is in what the network was shown")
    step = run.send({"transforms": [left]})
    assert not torch.equal(step.image, image.image()) and step.notes == ()


def test_a_mask_that_comes_later_freezes_what_is_there_then(convnet, pictures):
    mask = mask_of(8, 10)
    for image in (Pixels(pictures(1, 3, 8, 10)), Fourier(8, 10)):
        run = ascend(convnet(), logit(1), image, steps=6, lr=0.1)
        reached = next(run).image
        run.send({"objective": logit(2).within(mask)})
        step = last(run)
        outside = (mask == 0).expand_as(reached)
        assert torch.equal(step.image[outside], reached[outside])
        assert not torch.equal(step.image, reached)


def test_the_transforms_change_between_steps(convnet, pictures):
    shown = []

    def spy(images, generator):
        shown.append(images.detach().clone())
        return images

    run = ascend(convnet(), logit(1), Pixels(pictures(1, 3, 8, 8)), steps=3, transforms=())
    first = next(run)
    run.send({"transforms": [spy]})
    assert len(shown) == 1 and torch.equal(shown[0], first.image)


@pytest.mark.parametrize(
    "changes, message",
    [
        (
            {"learning_rate": 1},
            "'learning_rate' does not change during a run; there are 'objective', 'lr', 'transforms'",
        ),
        ({"seed": 3}, "'seed' does not change during a run"),
        ({"steps": 2.5}, "steps is a whole number from 0 up, not 2.5"),
        ({"lrr": 3}, "did you mean 'lr'"),
        ({"lr": -1}, "lr is a number from 0 up, not -1"),
        ({"lr": float("nan")}, "lr is a number from 0 up, not nan"),
        ({"lr": "fast"}, "lr is a number from 0 up, not 'fast'"),
        ({"lr": None}, "lr is a number from 0 up, not None"),
        ({"lr": True}, "lr is a number from 0 up, not True"),
        ({"objective": channel("5", 99)}, "no channel 99: layer '5' has 8, 0 to 7"),
        ({"objective": [logit(1), logit(2)]}, "2 objectives for 1 images"),
    ],
)
def test_an_impossible_change_is_an_error_that_ends_the_run(convnet, pictures, changes, message):
    run = ascend(convnet(), logit(1), Pixels(pictures(1, 3, 8, 8)), steps=9)
    next(run)
    with pytest.raises(ValueError, match=message):
        run.send(changes)
    with pytest.raises(StopIteration):
        next(run)


@pytest.mark.parametrize(
    "objective, options, error, message",
    [
        (channel("6x", 0), {}, ValueError, "no layer '6x'; did you mean '6'"),
        (channel("5", 8), {}, ValueError, "no channel 8: layer '5' has 8, 0 to 7"),
        (logit(5), {}, ValueError, "no class 5: the network has 5, 0 to 4"),
        (unit("5", 0, 9, 9), {}, ValueError, r"4 × 4 positions"),
        (
            logit(1).within(torch.ones(4, 4)),
            {},
            ValueError,
            r"mask must have the picture's \(8, 8\) pixels, not \(4, 4\)",
        ),
        ("logit(1)", {}, TypeError, "an objective is made by"),
        ([logit(1)] * 3, {}, ValueError, "3 objectives for 2 images"),
        ([], {}, ValueError, "0 objectives for 2 images"),
        (custom(lambda a: a.mean(), "5"), {}, ValueError, "one score for each image"),
        (logit(1), {"lr": -0.1}, ValueError, "lr is a number from 0 up, not -0.1"),
        (logit(1), {"steps": -1}, ValueError, "steps is a whole number from 0 up, not -1"),
        (logit(1), {"steps": 2.5}, ValueError, "steps is a whole number from 0 up, not 2.5"),
        (logit(1), {"optimizer": "adm"}, ValueError, "no optimizer 'adm'; did you mean 'adam'"),
        (logit(1), {"optimizer": 3}, TypeError, "optimizer is a name or a function"),
    ],
)
def test_errors_come_before_any_work(convnet, pictures, objective, options, error, message):
    with pytest.raises(error, match=message):
        ascend(convnet(), objective, Pixels(pictures(2, 3, 8, 8)), **options)
    if not options:
        with pytest.raises(error, match=message):
            check_objective(convnet(), objective, pictures(2, 3, 8, 8))


def test_what_is_no_image_parameter_is_refused(convnet, pictures):
    with pytest.raises(TypeError, match=r"such as Pixels\(images\), not Tensor"):
        ascend(convnet(), logit(1), pictures(1, 3, 8, 8))  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\]"):
        check_objective(convnet(), logit(1), 2 * torch.ones(1, 3, 8, 8))


def test_a_network_that_does_not_run_on_the_images_says_so(device, convnet, pictures):
    for net in (convnet(channels=1), Network(convnet(), preprocess=lambda x: x[:, :2], device=device)):
        with pytest.raises(RuntimeError, match=r"does not run on images of shape \(1, 3, 8, 8\)") as caught:
            ascend(net, logit(1), Pixels(pictures(1, 3, 8, 8)))
        assert isinstance(caught.value.__cause__, RuntimeError)


def test_an_explosion_is_an_error_in_words(pictures):
    net = nn.Sequential(nn.Conv2d(3, 2, 3), nn.Hardtanh(-1e300, 1e300)).double()
    objective = custom(lambda a: (a * 1e200).square().mean((1, 2, 3)) * 1e200, "1")
    with pytest.raises(FloatingPointError, match="not finite"):
        next(ascend(net, objective, Pixels(pictures(1, 3, 8, 8)), transforms=()))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("channels, height, width", [(1, 8, 8), (6, 7, 12), (3, 13, 5)])
@pytest.mark.parametrize("kind", ["pixels", "fourier"])
def test_every_format_and_precision(convnet, pictures, kind, channels, height, width, dtype):
    net = convnet(channels=channels, dtype=dtype)
    image = (
        Pixels(pictures(2, channels, height, width))
        if kind == "pixels"
        else Fourier(height, width, batch=2, channels=channels)
    )
    first, *_, end = ascend(net, logit(1), image, steps=6, lr=0.02)
    assert end.image.shape == (2, channels, height, width) and end.image.dtype == end.score.dtype == dtype
    assert end.score.shape == (2,) and not torch.equal(end.image, first.image)


def test_no_steps_and_the_last_of_none(convnet, pictures):
    image = Pixels(pictures(1, 3, 8, 8))
    assert list(ascend(convnet(), logit(1), image, steps=0)) == []
    with pytest.raises(ValueError, match="no last step"):
        last(ascend(convnet(), logit(1), image, steps=0))


def test_last_shows_progress_only_when_asked(convnet, pictures, capsys):
    def run():
        return ascend(convnet(), logit(1), Pixels(pictures(1, 3, 8, 8)), steps=3)

    quiet = last(run())
    assert capsys.readouterr() == ("", "")
    shown = last(run(), progress=True)
    assert torch.equal(quiet.image, shown.image) and quiet.index == shown.index == 2
    text = capsys.readouterr()
    assert text.out == "" and "3/3" in text.err and "score=" in text.err


def test_a_checked_objective_starts_nothing(convnet, house, pictures, calls):
    net = convnet()
    with house(net):
        assert check_objective(net, logit(1).within(mask_of(8, 8)), pictures(1, 3, 8, 8)) is None


def test_of_many_images_with_objectives_of_their_own_few_are_shown_at_once():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 20, 3)).double()
    sizes = []
    network = Network(module, preprocess=lambda images: sizes.append(len(images)) or images - 0.5, device="cpu")
    masks = [torch.eye(16).gt(0) | torch.eye(16).flip(1).gt(0), torch.ones(16, 16)]
    objectives = [channel("2", k) + activity("0").within(masks[k % 2].double()) for k in range(20)]
    noise = torch.rand(20, 3, 16, 16, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    options = {"steps": 3, "transforms": (), "lr": 0.1}
    together = list(ascend(network, objectives, Pixels(noise), **options))
    assert max(sizes) == 8
    for k, objective in enumerate(objectives):
        for step, own in zip(together, ascend(network, objective, Pixels(noise[k : k + 1]), **options), strict=True):
            assert torch.allclose(step.image[k], own.image[0], rtol=0, atol=1e-12)
            assert torch.allclose(step.score[k], own.score[0], rtol=1e-12)


def test_only_those_that_are_shown_with_an_image_without_gradient_are_shown_again():
    torch.manual_seed(0)
    module, sizes = nn.Sequential(nn.Conv2d(3, 20, 3), nn.ReLU()).double(), []
    with torch.no_grad():
        module[0].bias.copy_(torch.full((20,), 9.0).index_fill(0, torch.tensor([13]), -9.0))
    network = Network(module, preprocess=lambda images: sizes.append(len(images)) or images, device="cpu")
    objectives = [channel("1", k) for k in range(20)]
    start = Fourier(16, 16, batch=20)
    run = ascend(network, objectives, start, transforms=(), lr=0.1)
    sizes.clear()
    first = next(run)
    assert sizes == [8, 8, 4, 1]
    assert "The plain gradient is zero here (a ReLU is shut), so the redirected one is used." in first.notes
    (alone,) = ascend(network, objectives[13], start.holding(start.values[13:14]), transforms=(), lr=0.1, steps=1)
    assert not torch.equal(first.image[13], start.image()[13])
    assert torch.allclose(first.image[13], alone.image[0], rtol=0, atol=1e-12)


def test_images_that_are_scored_beside_each_other_are_shown_together():
    sizes = []
    module = nn.Conv2d(3, 4, 3)
    network = Network(module, preprocess=lambda images: sizes.append(len(images)) or images, device="cpu")
    both = [channel("", k % 4) + diversity("") for k in range(12)]
    next(ascend(network, both, Pixels.noise(12, 12, batch=12), transforms=()))
    assert sizes[-1] == 12


def test_an_image_without_gradient_that_is_scored_beside_others_is_shown_beside_them():
    torch.manual_seed(0)
    module, sizes = nn.Sequential(nn.Conv2d(3, 12, 3), nn.ReLU()).double(), []
    with torch.no_grad():
        module[0].bias.copy_(torch.full((12,), 9.0).index_fill(0, torch.tensor([5]), -9.0))
    network = Network(module, preprocess=lambda images: sizes.append(len(images)) or images, device="cpu")
    each = [channel("1", k) + 0.0 * diversity("0") for k in range(12)]
    run = ascend(network, each, Pixels.noise(12, 12, batch=12), transforms=())
    sizes.clear()
    assert next(run).score.shape == (12,)
    assert sizes == [12, 12]
