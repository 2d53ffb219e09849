"""Regularisers, learning rates, presets: the published algorithm in NumPy and SciPy, in its own units, beside ours."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from torch import nn

import nbvis.engine
from nbvis.engine import (
    PRESETS,
    Alpha,
    Fourier,
    Maco,
    Network,
    Pixels,
    ascend,
    blur,
    custom,
    decay,
    last,
    logit,
    progress,
    progress01,
    small_benefit,
    small_contribution,
    small_norm,
    small_values,
    stretched,
    total_variation,
)

MEAN = np.array([104.0, 117.0, 123.0])[:, None, None]
"""Of the pictures that the published networks were trained on, from 0 to 255."""

PUBLISHED = {
    "yosinski 1": {"blur": 0.5, "every": 4, "norm": 50, "iterations": 500, "progress": 2.0, "most": 100.0},
    "yosinski 2": {"decay": 0.3, "norm": 20, "iterations": 750, "lr": 100.0},
    "yosinski 3": {"decay": 1e-4, "blur": 1.0, "every": 4, "iterations": 1000, "lr": 100.0},
    "yosinski 4": {"blur": 0.5, "every": 4, "contribution": 90, "iterations": 1000, "progress": 2.0, "most": 1e8},
}
"""Table 1 of the paper, with the units that its programs have."""


def published(x, gradient_of, iterations, given):
    """What the published program does to x, (channels, height, width) from the mean, in steps of 0 to 255."""
    for step in range(iterations):
        x = np.minimum(255.0, np.maximum(0.0, x + MEAN)) - MEAN
        score, gradient = gradient_of(x)
        yield x + MEAN, score
        lr = given.get("lr")
        if "progress" in given:
            lr = min(given["most"], given["progress"] / np.linalg.norm(gradient) ** 2)
        if "early" in given:
            lr = min(given["most"], min(given["early"], given["late"] * (1 - score)) / np.linalg.norm(gradient) ** 2)
        if step == iterations - 1:
            return
        x = x + lr * gradient
        x = x * (1 - given.get("decay", 0))
        if "blur" in given and step % given["every"] == 0:
            x = np.stack([gaussian_filter(plane, given["blur"]) for plane in x])
        if "norm" in given:
            size = np.linalg.norm(x, axis=0)
            x = x - x * (size < np.percentile(size, given["norm"]))
        if "contribution" in given:
            size = abs((gradient * -x).sum(0))
            x = x - x * (size < np.percentile(size, given["contribution"]))


def setting(height, width, scale=100.0):
    """A network of pixels around the mean, and its first class's gradient in units of 0 to 255.

    No two pixels have the same gradient, so that rounding never decides which of them is below a percentile.
    """
    with torch.random.fork_rng():
        torch.manual_seed(0)
        conv, head = nn.Conv2d(3, 6, 3, padding=1), nn.Linear(6 * height * width, 4)
        net = nn.Sequential(conv, nn.Tanh(), nn.Flatten(), head).double()
    with torch.no_grad():
        head.weight.mul_(scale)
    mean = torch.from_numpy(MEAN)
    network = Network(net, preprocess=lambda images: (images * 255 - mean) / 50, device="cpu")

    def gradient_of(x, score=lambda out: out[:, 1]):
        leaf = torch.from_numpy(x)[None].requires_grad_()
        value = score(net(leaf / 50))
        return value.item(), torch.autograd.grad(value.sum(), leaf)[0][0].numpy()

    return network, gradient_of


@pytest.mark.parametrize("scale", [5.0, 1000.0])  # of the scores: the rate is at its bound, and pixels are at theirs
@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_the_published_algorithm_in_its_own_units(name, scale):
    network, gradient_of = setting(10, 13, scale)
    center = (MEAN / 255).ravel().tolist()
    start = Pixels.noise(10, 13, batch=2, center=center, seed=3)
    preset, table = PRESETS[name], PUBLISHED[name]
    assert preset["steps"] == table["iterations"] - 1
    runs = [published(row.double().numpy() * 255 - MEAN, gradient_of, 41, table) for row in start.image()]
    pictures = [list(run) for run in runs]
    reached = 0
    for step in ascend(network, logit(1), start, **preset | {"steps": 40}):
        for row, states in enumerate(pictures):
            assert step.score[row].item() == pytest.approx(states[step.index][1], rel=1e-8)
            assert np.allclose(step.image[row].numpy() * 255, states[step.index + 1][0], atol=1e-7)
        reached = max(reached, (step.image - start.image()).abs().max().item())
    assert step.index == 39 and reached > 0.005


def test_all_steps_but_the_last_are_updates():
    """The published run's last picture is that of which the score is printed last: one update fewer than iterations."""
    network, gradient_of = setting(8, 8)
    start = Pixels.noise(8, 8, center=(MEAN / 255).ravel().tolist())
    x = start.image()[0].double().numpy() * 255 - MEAN
    *_, (picture, _) = published(x, gradient_of, 6, PUBLISHED["yosinski 3"])
    end = last(ascend(network, logit(1), start, **PRESETS["yosinski 3"] | {"steps": 5})).image
    assert np.allclose(end[0].numpy() * 255, picture, atol=1e-9)


def test_progress_towards_1_is_the_published_policy():
    network, gradient_of = setting(9, 8, scale=2.0)

    def probability(out):
        return out.softmax(1)[:, 1]

    start = Pixels.noise(9, 8, center=(MEAN / 255).ravel().tolist())
    given = {"early": 0.02, "late": 0.04, "most": 1e6, "decay": 0.01}
    x = start.image()[0].double().numpy() * 255 - MEAN
    states = list(published(x, lambda x: gradient_of(x, probability), 31, given))
    lr = progress01(0.02, 0.04, most=1e6 / 255**2)
    run = ascend(
        network, custom(probability, ""), start, steps=30, lr=lr, optimizer="sgd", transforms=(),
        regularisers=[decay(0.01)],
    )  # fmt: skip
    for step in run:
        assert step.score.item() == pytest.approx(states[step.index][1], rel=1e-8)
        assert np.allclose(step.image[0].numpy() * 255, states[step.index + 1][0], atol=1e-7)
    desired = [min(0.02, 0.04 * (1 - score)) for _, score in states]
    assert min(desired) < 0.02 == max(desired)  # both ends of the policy were met


def arrays(*names):
    """Seeded pixels and gradients of some size, as a strategy."""
    size = st.integers(1, 12)
    return st.tuples(st.integers(1, 3), st.sampled_from([1, 3, 4]), size, size, st.integers(0, 10_000))


def drawn(shape):
    *sizes, seed = shape
    draws = np.random.default_rng(seed)
    pixels, gradient = draws.normal(size=sizes), draws.normal(size=sizes)
    return pixels, gradient


def each_alone(function, pixels, gradient):
    return np.stack([function(x, g) for x, g in zip(pixels, gradient, strict=True)])


def ours(regulariser, pixels, gradient, step=0):
    return regulariser(torch.from_numpy(pixels), torch.from_numpy(gradient), step).numpy()


@settings(max_examples=60)
@given(arrays(), st.floats(0.3, 9), st.integers(1, 5), st.integers(0, 20))
def test_blur_is_scipys(shape, sd, every, step):
    pixels, gradient = drawn(shape)
    expected = np.stack([[gaussian_filter(plane, sd) for plane in image] for image in pixels])
    expected = expected if step % every == 0 else pixels
    assert np.allclose(ours(blur(sd, every=every), pixels, gradient, step), expected, atol=1e-12)


SIZES = {
    small_values: lambda x, g: abs(x),
    small_norm: lambda x, g: np.sqrt((x**2).sum(0, keepdims=True)),
    small_benefit: lambda x, g: (g * -x).sum(0, keepdims=True),
    small_contribution: lambda x, g: abs((g * -x).sum(0, keepdims=True)),
}


@pytest.mark.parametrize("make", SIZES, ids=lambda make: make.__name__)
@settings(max_examples=60)
@given(arrays(), st.one_of(st.sampled_from([0, 50, 100]), st.floats(0, 100)))
def test_what_is_below_numpys_percentile_goes_to_the_centre(make, shape, percentile):
    pixels, gradient = drawn(shape)

    def sparse(x, g):
        size = SIZES[make](x, g)
        return x - x * (size < np.percentile(size, percentile))

    assert np.array_equal(ours(make(percentile), pixels, gradient), each_alone(sparse, pixels, gradient))


def test_equal_sizes_are_not_below_their_percentile():
    pixels = np.array([1.0, -1, 1, 2]).reshape(1, 1, 2, 2)
    assert np.array_equal(ours(small_values(60), pixels, pixels), pixels)


@settings(max_examples=40)
@given(arrays(), st.floats(0, 1))
def test_decay_is_a_share(shape, rate):
    pixels, gradient = drawn(shape)
    assert np.array_equal(ours(decay(rate), pixels, gradient), pixels * (1 - rate))


def variation(image, power):
    """Total variation, pixel by pixel."""
    total = 0.0
    for plane in image:
        for r, c in np.ndindex(plane.shape):
            down = plane[r + 1, c] - plane[r, c] if r + 1 < plane.shape[0] else 0.0
            right = plane[r, c + 1] - plane[r, c] if c + 1 < plane.shape[1] else 0.0
            total += (down**2 + right**2) ** (power / 2)
    return total


@pytest.mark.parametrize("power", [1.0, 1.5, 2.0])
def test_total_variation_steps_down_its_own_gradient(power):
    (image,), _ = drawn((1, 2, 4, 5, 7))
    slope, nudge = np.zeros_like(image), 1e-6
    for place in np.ndindex(image.shape):
        moved = np.zeros_like(image)
        moved[place] = nudge
        slope[place] = (variation(image + moved, power) - variation(image - moved, power)) / (2 * nudge)
    found = ours(total_variation(0.1, power=power), image[None], image[None])[0]
    assert np.allclose(found, image - 0.1 * slope, atol=1e-7)


def test_total_variation_takes_a_checkerboard_away_and_leaves_what_is_even():
    rows, columns = np.indices((16, 16))
    board = np.where((rows + columns) % 2, 1.0, -1.0)[None, None]
    inside = ours(total_variation(1 / 16), board, board)[0, 0, 1:-1, 1:-1]
    assert np.allclose(inside, 0, atol=1e-12)
    for power in (1.0, 2.0):
        even = ours(total_variation(1 / 8, power=power), np.ones((1, 1, 5, 6)), np.ones((1, 1, 5, 6)))
        assert np.array_equal(even, np.ones((1, 1, 5, 6)))


@pytest.mark.parametrize("power", [1.0, 2.0])
def test_total_variation_smooths_what_an_ascent_finds(convnet, pictures, power):
    def end(*regularisers):
        image = last(ascend(convnet(), logit(1), Pixels(pictures(1, 3, 12, 12)), steps=20, regularisers=regularisers))
        return variation(image.image[0].cpu().numpy(), 1.0)

    assert end(total_variation(0.05, power=power)) < 0.5 * end()


def test_regularisers_are_applied_in_their_order_with_the_gradient_before_the_update(convnet, pictures):
    images, seen = pictures(1, 3, 8, 8), []

    def spy(pixels, gradient, step):
        seen.append((pixels.clone(), gradient.clone(), step))
        return pixels / 2

    run = ascend(
        convnet(), logit(1), Pixels(images, center=(0.1, 0.2, 0.3)), steps=2, lr=0.01, transforms=(), optimizer="sgd",
        regularisers=[spy, spy],
    )  # fmt: skip
    first, second = run
    leaf = images.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(convnet()(leaf)[0, 1], leaf)
    center = torch.tensor([0.1, 0.2, 0.3]).double().view(3, 1, 1)
    assert [step for *_, step in seen] == [0, 0, 1, 1]
    assert torch.allclose(seen[0][0], images + 0.01 * gradient - center) and torch.allclose(seen[0][1], gradient)
    assert torch.allclose(seen[1][0], seen[0][0] / 2) and torch.allclose(seen[1][1], gradient)
    assert torch.allclose(first.image, center + seen[1][0] / 2)
    assert torch.allclose(seen[2][0] + center, first.image + 0.01 * seen[2][1])
    assert second.index == 1


def test_a_rate_that_goes_by_the_gradient_leaves_regularisers_the_gradient_itself(convnet, pictures):
    images, seen = pictures(2, 3, 8, 8), []

    def spy(pixels, gradient, step):
        seen.append(gradient.clone())
        return pixels

    last(
        ascend(
            convnet(), logit(1), Pixels(images), steps=1, lr=progress(1e-3, most=1e9), transforms=(), optimizer="sgd",
            regularisers=[spy],
        )
    )  # fmt: skip
    leaf = images.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(convnet()(leaf)[:, 1].sum(), leaf)
    assert torch.allclose(seen[0], gradient)


def test_regularisers_and_learning_rates_change_between_steps(convnet, pictures):
    run = ascend(convnet(), logit(1), Pixels(pictures(1, 3, 8, 8)), steps=9, transforms=(), optimizer="sgd", lr=0.02)
    first = next(run)
    run.send({"lr": 0, "regularisers": [decay(0.25)]})
    assert torch.allclose(next(run).image - 0.5, (first.image - 0.5) * 0.75**2)
    before = next(run)
    after = run.send({"lr": progress(1e-3, most=1e9), "regularisers": ()})
    leaf = before.image.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(convnet()(leaf)[0, 1], leaf)
    assert torch.allclose(after.image, before.image + 1e-3 / gradient.square().sum() * gradient)
    plain = run.send({"lr": 0.5})
    leaf = after.image.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(convnet()(leaf)[0, 1], leaf)
    assert torch.allclose(plain.image, after.image + 0.5 * gradient)


def test_pixels_that_no_mask_reaches_are_not_regularised_either(convnet, pictures):
    images, mask = pictures(1, 3, 8, 10), torch.zeros(8, 10)
    mask[2:6, 3:7] = 1
    run = ascend(convnet(), logit(1).within(mask), Pixels(images), steps=3, regularisers=[decay(0.5), blur(1)])
    end = last(run).image
    assert torch.equal(end[..., mask == 0], images[..., mask == 0]) and not torch.equal(end, images)


@pytest.mark.parametrize(
    "image", [Fourier(8, 8), Maco(8, 8), Alpha(Pixels(torch.rand(1, 3, 8, 8)))], ids=lambda image: type(image).__name__
)
def test_what_has_no_pixels_is_not_regularised(convnet, image):
    match = rf"a {type(image).__name__} optimises are none: start from Pixels\(image.image\(\)\).*decay\(0.1\)"
    with pytest.raises(ValueError, match=match):
        ascend(convnet(), logit(1), image, regularisers=[decay(0.1)])
    run = ascend(convnet(), logit(1), image)
    next(run)
    with pytest.raises(ValueError, match=match):
        run.send({"regularisers": [decay(0.1)]})


def test_a_rate_that_goes_by_the_gradient_needs_an_optimizer_that_does(convnet, pictures):
    start, lr = Pixels(pictures(1, 3, 8, 8)), progress(2, most=1)
    for optimizer in ("averaged", "adam", "nadam", torch.optim.RMSprop):
        with pytest.raises(ValueError, match=r'lr=progress\(2, most=1\) goes by .* divides by: give optimizer="sgd"'):
            ascend(convnet(), logit(1), start, lr=lr, optimizer=optimizer)
    run = ascend(convnet(), logit(1), start)
    next(run)
    with pytest.raises(ValueError, match="goes by the length of the gradient, which Averaged divides by"):
        run.send({"lr": lr})


def test_a_dream_takes_numbers_alone(convnet, pictures):
    with pytest.raises(ValueError, match=r"lr is a number from 0 up, not progress\(2, most=1\)"):
        nbvis.engine.dream(convnet(), logit(1), pictures(1, 3, 32, 32), lr=progress(2, most=1))


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: decay(1.5), "rate is a number from 0 to 1, not 1.5"),
        (lambda: decay(True), "rate is a number from 0 to 1, not True"),
        (lambda: blur(0), "sd is in pixels and above 0, not 0: without a blur, leave it out"),
        (lambda: blur(float("nan")), "sd is in pixels and above 0, not nan"),
        (lambda: blur(1, every=0), "every is a whole number from 1 up, not 0"),
        (lambda: small_norm(101), "percentile is a number from 0 to 100, not 101"),
        (lambda: small_values("50"), "percentile is a number from 0 to 100, not '50'"),
        (lambda: small_benefit(-1), "percentile is a number from 0 to 100, not -1"),
        (lambda: small_contribution(float("nan")), "percentile is a number from 0 to 100, not nan"),
        (lambda: total_variation(0.2), "weight is a number from 0 to 0.125, not 0.2"),
        (lambda: total_variation(0.1, power=3), "power is a number from 1 to 2, not 3"),
        (lambda: progress(0, most=1), "desired is a number above 0, not 0"),
        (lambda: progress01(0.1, 0.1, most=-1), "most is a number above 0, not -1"),
        (lambda: Pixels.noise(0, 4), "sizes are at least 1"),
        (lambda: Pixels.noise(4, 4, sd=-1), "sd is a number from 0 up, not -1"),
        (lambda: Pixels.noise(4, 4, center=1.5), r"center lies in \[0, 1\], not at 1.5"),
        (lambda: Pixels(torch.rand(1, 3, 4, 4), center=(0.5, 0.5)), r"or one for each of 3 channels, not \(0.5, 0.5\)"),
    ],
)
def test_impossible_numbers_are_refused_with_what_is_possible(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("what, given", [("regularisers", decay(0.1)), ("transforms", 3), ("regularisers", ["decay"])])
def test_what_is_no_list_of_functions_is_refused(convnet, pictures, what, given):
    with pytest.raises(TypeError, match=f"{what} is a list of functions, such as"):
        ascend(convnet(), logit(1), Pixels(pictures(1, 3, 8, 8)), **{what: given})


def test_faint_pictures_are_stretched_about_their_centre_each_alone():
    center = np.array([0.4, 0.5, 0.6])[:, None, None]
    images = (
        center + 0.02 * np.random.default_rng(0).uniform(-1, 1, (2, 3, 8, 9)) * np.array([1, 0.1])[:, None, None, None]
    )
    found = stretched(torch.from_numpy(images), center=(0.4, 0.5, 0.6)).numpy()
    for image, bright in zip(images, found, strict=True):
        away = image - center
        assert np.allclose(bright, 0.5 + away / (2 * abs(away).max())) and abs(bright - 0.5).max() == 0.5
    even = torch.full((1, 3, 4, 4), 0.25)
    assert stretched(even, center=0.25).eq(0.5).all()


@pytest.mark.parametrize(
    "function, got",
    [
        (lambda pixels, gradient, step: pixels.mean(), r"\(\)"),
        (lambda pixels, gradient, step: pixels[:, :1], r"\(1, 1, 8, 8\)"),
        (lambda pixels, gradient, step: None, "NoneType"),
    ],
)
def test_a_regulariser_that_gives_something_else_than_the_pixels_is_refused(convnet, pictures, function, got):
    run = ascend(convnet(), logit(1), Pixels(pictures(1, 3, 8, 8)), regularisers=[function])
    with pytest.raises(ValueError, match=rf"must give pixels of shape \(1, 3, 8, 8\), not {got}"):
        next(run)


SPELT = [
    decay(0.1), blur(0.5, every=4), small_values(5), small_norm(50), small_benefit(1), small_contribution(90.5),
    total_variation(0.01, power=1.5), progress(2, most=0.5), progress01(0.1, 0.2, most=3),
]  # fmt: skip


def test_what_is_printed_makes_the_same_again():
    for one, other in itertools.product(SPELT, SPELT):
        again = eval(repr(one), vars(nbvis.engine))
        assert (again == other) == (one is other) and (hash(again) == hash(other)) == (one is other)


def test_noise_is_normal_around_the_centre():
    center = (0.3, 0.5, 0.7)
    noise = Pixels.noise(200, 300, batch=2, center=center, seed=1)
    images = noise.image()
    assert torch.allclose(images.mean((2, 3)), torch.tensor(center), atol=1e-3)
    assert torch.allclose(images.std((2, 3)), torch.full((2, 3), 10 / 255), rtol=0.02)
    assert torch.equal(images, Pixels.noise(200, 300, batch=2, center=center, seed=1).image())
    assert not torch.equal(images[0], images[1])
    assert Pixels.noise(4, 4, channels=1, center=0.25, sd=0).image().eq(0.25).all()
    assert 0 == Pixels.noise(50, 50, sd=1).image().min() < Pixels.noise(50, 50, sd=1).image().max() == 1


def test_no_gradient_gives_a_rate_all_the_same():
    for lr in (progress(2, most=3), progress01(0.1, 0.1, most=3)):
        assert lr(torch.zeros(2), torch.zeros(2, 3)).tolist() == [3, 3]
    assert progress01(0.1, 0.1, most=3)(torch.ones(1), torch.zeros(1, 3)).tolist() == [0]
