"""Image parameters: each with a plain twin, and what they all have in common in an ascent."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from nbvis.engine import (
    Alpha,
    Fourier,
    Maco,
    Masked,
    Pixels,
    ascend,
    channel,
    custom,
    decay,
    last,
    logit,
    magnitude_spectrum,
)
from nbvis.engine.ascent.image_parameters import COLOR_MATRIX


def picture(*shape, seed=0):
    draws = torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64, device="cpu")
    return 0.2 + 0.6 * draws


def disc(height, width):
    """A soft mask with some of it 0, some 1 and some between."""
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    away = ((rows - height / 2) ** 2 + (columns - width / 2) ** 2).double().sqrt()
    return (1 + min(height, width) / 3 - away).div(3).clamp(0, 1)


KINDS = {
    "pixels": lambda h, w, c, b: Pixels(picture(b, c, h, w)),
    "fourier": lambda h, w, c, b: Fourier(h, w, channels=c, batch=b),
    "maco": lambda h, w, c, b: Maco(h, w, channels=c, batch=b),
    "maco of a spectrum": lambda h, w, c, b: Maco(h, w, magnitude_spectrum(picture(2, c, 9, 14)), channels=c, batch=b),
    "alpha": lambda h, w, c, b: Alpha(Fourier(h, w, channels=c, batch=b)),
    "alpha of pixels": lambda h, w, c, b: Alpha(Pixels(picture(b, c, h, w)), price=0.5),
    "masked": lambda h, w, c, b: Masked(Fourier(h, w, channels=c, batch=b), disc(h, w), picture(1, c, h, w, seed=1)),
    "masked alpha": lambda h, w, c, b: Masked(Alpha(Maco(h, w, channels=c, batch=b)), disc(h, w), picture(b, c, h, w)),
}


def made(kind, height, width, channels, batch):
    """One of a kind, on the device that the tests run on."""
    image = KINDS[kind](height, width, channels, batch)
    return image.holding(image.values.to(torch.zeros(0).device))


each_kind = pytest.mark.parametrize("kind", KINDS)


@each_kind
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("channels, height, width", [(1, 12, 12), (4, 9, 12), (3, 13, 8)])
def test_every_format_and_precision(convnet, kind, channels, height, width, dtype):
    net, image = convnet(channels=channels, dtype=dtype), made(kind, height, width, channels, 2)
    first, *_, end = ascend(net, logit(1), image, steps=4, lr=0.1)
    assert image.image().shape == end.image.shape == (2, channels, height, width)
    assert end.image.dtype == end.parameter.values.dtype == dtype and not torch.equal(end.image, first.image)
    assert torch.equal(end.parameter.image(), end.image)
    assert 0 <= end.image.min() and end.image.max() <= 1 and end.score.shape == (2,)


@each_kind
def test_it_climbs(convnet, kind):
    net, image = convnet(), made(kind, 12, 14, 3, 1)
    end = last(ascend(net, channel("5", 1), image, steps=60, lr=0.1, transforms=())).image
    with torch.no_grad():
        before, after = (net[:6](each.double())[:, 1].mean() for each in (image.image(), end))
    assert after > before


@each_kind
def test_the_parameter_passed_in_stays_and_the_last_one_goes_on(convnet, kind):
    image = made(kind, 12, 12, 3, 1)
    values, kept = image.values, image.values.clone()
    steps = list(ascend(convnet(), logit(1), image, steps=3, optimizer="sgd", transforms=()))
    assert image.values is values and torch.equal(values, kept) and not values.requires_grad and values.grad is None
    second = steps[1].parameter
    again = next(ascend(convnet(), logit(1), second, optimizer="sgd", transforms=(), lr=0))
    assert torch.equal(again.image, steps[1].image) and not torch.equal(again.image, steps[2].image)
    assert not second.values.requires_grad


@each_kind
def test_no_learning_rate_gives_the_picture_back_and_the_seed_decides(convnet, kind):
    def run(**options):
        return last(ascend(convnet(), logit(1), made(kind, 12, 12, 3, 2), steps=3, **options)).image

    image, state = made(kind, 12, 12, 3, 2), torch.get_rng_state()
    assert torch.equal(run(lr=0), image.holding(image.values.double()).image())
    assert torch.equal(run(seed=1), run(seed=1)) and not torch.equal(run(seed=1), run(seed=2))
    assert torch.equal(torch.get_rng_state(), state)


@each_kind
def test_an_objectives_mask_freezes_the_rest(convnet, kind):
    image, mask = made(kind, 12, 12, 3, 1), torch.zeros(12, 12)
    mask[4:8, 4:8] = 1
    start = image.holding(image.values.double()).image()
    end = last(ascend(convnet(), logit(1).within(mask), image, steps=3, lr=0.1)).image
    assert torch.equal(end[..., mask == 0], start[..., mask == 0]) and not torch.equal(end, start)


@each_kind
def test_it_can_be_made_and_optimised_in_inference_mode(convnet, kind):
    with torch.inference_mode():
        image = made(kind, 12, 12, 3, 1)
        end = last(ascend(convnet(), logit(1), image, steps=2)).image
    assert torch.equal(end, last(ascend(convnet(), logit(1), made(kind, 12, 12, 3, 1), steps=2)).image)


@each_kind
def test_without_a_learning_rate_it_has_the_one_that_suits_it(convnet, kind):
    def end(**options):
        return last(ascend(convnet(), logit(1), made(kind, 12, 12, 3, 1), steps=2, **options)).image

    lr = 0.1 if kind in ("maco", "maco of a spectrum", "masked alpha") else 0.03
    assert torch.equal(end(), end(lr=lr)) and not torch.equal(end(), end(lr=0.05))


# Magnitudes


def plain_spectrum(images):
    """The mean magnitude spectrum by the definition: sums of cosines and sines, in NumPy."""
    planes = images.numpy() - images.numpy().mean((2, 3), keepdims=True)
    if planes.shape[1] == 3:
        planes = np.einsum("rc,bchw->brhw", np.linalg.inv(np.array(COLOR_MATRIX)), planes)
    height, width = planes.shape[2:]

    def waves(size, count):
        return np.exp(-2j * np.pi * np.outer(np.arange(count), np.arange(size)) / size) / np.sqrt(size)

    found = np.einsum("kh,bchw,lw->bckl", waves(height, height), planes, waves(width, width // 2 + 1))
    return np.abs(found).mean(0)


@pytest.mark.parametrize("shape", [(3, 3, 8, 10), (2, 1, 7, 9), (1, 4, 1, 6), (2, 3, 5, 1)])
def test_the_magnitude_spectrum_is_that_of_the_definition(shape):
    images = picture(*shape)
    assert np.allclose(magnitude_spectrum(images).numpy(), plain_spectrum(images), atol=1e-12)


def test_it_is_magnitudes_that_are_averaged_not_their_squares():
    images = picture(1, 1, 8, 8)
    flat = torch.full_like(images, 0.5)
    alone, both = magnitude_spectrum(images), magnitude_spectrum(torch.cat([images, flat]))
    assert torch.allclose(both, alone / 2)
    assert torch.allclose(magnitude_spectrum(images / 2), alone / 2)


def planes_of(image):
    """The planes under a Maco's picture: sigmoid and colours undone."""
    planes = image.logit() / 4
    if planes.shape[1] == 3:
        planes = torch.einsum("rc,bchw->brhw", torch.linalg.inv(planes.new_tensor(COLOR_MATRIX)), planes)
    return planes


@settings(max_examples=40)
@given(st.integers(1, 12), st.integers(1, 12), st.sampled_from([1, 3]), st.integers(0, 999))
def test_whatever_the_phases_are_the_magnitudes_stay(height, width, channels, seed):
    spectrum = magnitude_spectrum(picture(3, channels, height, width, seed=seed))
    maco = Maco(height, width, spectrum, channels=channels, batch=2)
    values = 5 * torch.randn(maco.values.shape, generator=torch.Generator().manual_seed(seed), device="cpu").double()
    for each in (maco.holding(maco.values.double()), maco.holding(values)):
        found = torch.fft.rfft2(planes_of(each.image()), norm="ortho").abs()
        assert torch.allclose(found, spectrum.expand_as(found), atol=1e-9)


def test_each_phase_has_a_gradient_from_the_start(convnet):
    """But those that stand for themselves alone: the mean, and what alternates from pixel to pixel."""
    maco = Maco(8, 10)
    values = maco.values.double().requires_grad_()
    convnet()(maco.holding(values).image())[0, 1].backward()
    still = values.grad.abs().lt(1e-12)[0]
    assert still.sum() == 3 * 4 and still[:, ::4][:, :, ::5].all()


def test_phases_are_drawn_from_all_angles_alike():
    spectrum = torch.fft.rfft2(planes_of(Maco(64, 64, batch=4, channels=1, seed=2).image().double()), norm="ortho")
    for column in (0, 1, 32):  # the first and the last are their own mirrors
        parts = spectrum[:, 0, 1:32, column]
        angles = torch.angle(parts).flatten()
        assert (torch.exp(1j * angles).mean().abs() < 0.25) and (torch.exp(2j * angles).mean().abs() < 0.25)


def test_without_a_spectrum_it_is_one_over_frequency_with_the_contrast_of_photographs():
    planes = planes_of(Maco(60, 80, seed=1).image().double())
    found = torch.fft.rfft2(planes, norm="ortho").abs()[0]
    rows, columns = torch.fft.fftfreq(60, dtype=torch.float64), torch.fft.rfftfreq(80, dtype=torch.float64)
    level = found * (rows[:, None] ** 2 + columns**2).sqrt()
    level = level.flatten(1)[:, 1:]
    assert torch.allclose(level, level[:, :1].expand_as(level), rtol=1e-3)
    assert torch.allclose(planes.std((2, 3)), torch.tensor(0.2).double(), rtol=1e-3)


@pytest.mark.parametrize("height, width", [(16, 24), (31, 20), (48, 51), (7, 9), (1, 4), (3, 1)])
def test_a_spectrum_means_the_same_at_another_size(height, width):
    rows, columns = torch.fft.fftfreq(20, dtype=torch.float64), torch.fft.rfftfreq(30, dtype=torch.float64)
    given = 0.02 / (rows[:, None] ** 2 + columns**2).sqrt()
    given[0, 0] = 0
    maco = Maco(height, width, given[None], channels=1)
    found = torch.fft.rfft2(planes_of(maco.holding(maco.values.double()).image()), norm="ortho")
    rows, columns = torch.fft.fftfreq(height, dtype=torch.float64), torch.fft.rfftfreq(width, dtype=torch.float64)
    expected = 0.02 / (rows[:, None] ** 2 + columns**2).sqrt()
    expected[0, 0] = 0
    assert torch.allclose(found.abs()[0, 0], expected, rtol=1e-6, atol=1e-6)


def test_what_is_strong_in_one_direction_stays_so_at_another_size():
    rows = torch.sin(torch.arange(40).double() * 0.9)[:, None]
    stripes = (0.5 + 0.4 * rows).expand(1, 1, 40, 40).contiguous()
    spectrum = magnitude_spectrum(stripes + 0 * picture(1, 1, 40, 40))
    found = torch.fft.rfft2(planes_of(Maco(61, 75, spectrum, channels=1).image().double()), norm="ortho").abs()[0, 0]
    row, column = divmod(int(found.argmax()), found.shape[1])
    assert column == 0 and abs(min(row, 61 - row) / 61 - 0.9 / (2 * np.pi)) < 1 / 40


def test_the_finest_stripes_are_as_strong_either_way_at_another_size():
    """They go up as much as down: half a cycle a row is the same frequency as minus half a cycle."""
    rows, columns = torch.meshgrid(torch.arange(40), torch.arange(40), indexing="ij")
    waves = 0.5 + 0.4 * (1 - 2 * (rows % 2)) * torch.cos(2 * np.pi * columns / 8)
    spectrum = magnitude_spectrum(waves.double()[None, None])
    maco = Maco(61, 40, spectrum, channels=1)
    found = torch.fft.rfft2(planes_of(maco.holding(maco.values.double()).image()), norm="ortho").abs()[0, 0]
    assert torch.allclose(found[30], found[31]) and found[30, 5] > 100 * found[20, 5]


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: Maco(0, 8), "sizes are at least 1"),
        (lambda: Maco(8, 8, torch.ones(1, 8, 5)), r"for 3 channels is \(3, height, width // 2 \+ 1\).*not \(1, 8, 5\)"),
        (lambda: Maco(8, 8, torch.ones(8, 5)), r"not \(8, 5\)"),
        (lambda: Maco(8, 8, -torch.ones(3, 8, 5)), "magnitudes, which are finite and not negative"),
        (lambda: Maco(8, 8, torch.full((3, 8, 5), float("nan"))), "magnitudes, which are finite and not negative"),
        (lambda: magnitude_spectrum(2 * torch.ones(1, 3, 8, 8)), r"must lie in \[0, 1\]"),
        (lambda: Alpha(Fourier(8, 8), price=2), "price is a number from 0 to 1, not 2"),
        (lambda: Masked(Fourier(8, 8), torch.ones(4, 4), picture(1, 3, 8, 8)), r"\(8, 8\) pixels, not \(4, 4\)"),
        (lambda: Masked(Fourier(8, 8), torch.zeros(8, 8), picture(1, 3, 8, 8)), "this mask is 0 everywhere"),
        (
            lambda: Masked(Fourier(8, 8, batch=3), torch.ones(8, 8), picture(2, 3, 8, 8)),
            r"the background is \(2, 3, 8, 8\), and the images are \(3, 3, 8, 8\): give one of \(1, 3, 8, 8\)",
        ),
    ],
)
def test_what_does_not_fit_is_refused_with_what_would(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("make", [Alpha, lambda image: Masked(image, torch.ones(8, 8), picture(1, 3, 8, 8))])
def test_only_image_parameters_are_wrapped(make):
    with pytest.raises(TypeError, match=r"is put around an image parameter, such as Fourier\(224, 224\), not Tensor"):
        make(picture(1, 3, 8, 8))


# Transparency


def generator(seed):
    return torch.Generator().manual_seed(seed)


def test_the_colours_lie_over_white_or_over_what_is_drawn():
    image = Alpha(Pixels(picture(2, 3, 9, 8)))
    image = image.holding(image.values + 0.3 * torch.randn(image.values.shape, generator=generator(0)).double())
    colors, opacity = image.rgba()[:, :3], image.rgba()[:, 3:]
    assert torch.equal(colors, image.colors()) and torch.equal(opacity, image.alpha())
    assert 0 < opacity.min() and opacity.max() < 1 and opacity.std() > 0.05
    assert torch.allclose(image.image(), opacity * colors + (1 - opacity) * torch.ones(3)[:, None, None])
    one, same, other = (image.shown(generator(seed)) for seed in (1, 1, 2))
    behind = (one - opacity * colors) / (1 - opacity)
    assert torch.equal(one, same) and not torch.equal(one, other)
    assert 0 <= behind.min() and behind.max() <= 1 and behind.std() > 0.1
    assert not torch.allclose(behind[0], behind[1], atol=0.1)


@pytest.mark.parametrize("price", [0, 0.5, 1])
@pytest.mark.parametrize("sign", [1, -1])
def test_opacity_costs_a_share_of_the_score(convnet, price, sign):
    image, net = Alpha(Fourier(10, 12, batch=2), price=price), convnet()
    (step,) = ascend(net, sign * logit(1), image, steps=1, lr=0.1, transforms=(), optimizer="sgd", seed=3)
    values = image.values.double().requires_grad_()
    held = image.holding(values)
    score = sign * net(held.shown(generator(3 * 1_000_003)))[:, 1]
    cost = price * held.alpha().mean((1, 2, 3))
    worth = score * (1 - cost.detach()) - score.detach().abs() * cost
    (gradient,) = torch.autograd.grad(worth.sum(), values)
    assert torch.allclose(step.score, score.detach())
    assert torch.allclose(step.parameter.values, values.detach() + 0.1 * gradient, atol=1e-12)


def test_what_the_objective_does_not_need_fades_and_what_it_needs_is_opaque():
    net = nn.Sequential(nn.Conv2d(3, 3, 1, bias=False)).double()
    with torch.no_grad():
        net[0].weight.copy_(torch.eye(3).view(3, 3, 1, 1))
    left = custom(lambda seen: (seen[:, 0] - seen[:, 2])[:, :, :10].mean((1, 2)), "0")
    end = last(ascend(net, left, Alpha(Fourier(16, 32)), steps=150, lr=0.05, transforms=())).parameter
    opacity = end.alpha()[0, 0]
    assert opacity[:, :8].mean() > 0.7 and opacity[:, 16:].mean() < 0.2
    assert (end.colors()[0, 0] - end.colors()[0, 2])[:, :8].mean() > 0.3


@pytest.mark.parametrize("price", [0, 0.5])
def test_what_is_transparent_stays_so_behind_a_mask(price):
    mask, behind = disc(12, 12), picture(1, 3, 12, 12)
    image = Alpha(Fourier(12, 12, batch=2), price=price)
    masked = Masked(image, mask, behind)
    assert torch.equal(masked.price(), image.price())
    shown = mask * image.shown(generator(4)).double() + (1 - mask) * behind
    assert torch.allclose(masked.shown(generator(4)).double(), shown, atol=1e-6)
    assert not torch.allclose(masked.shown(generator(4)), masked.image(), atol=0.1)


# Masks


def test_what_a_mask_hides_is_the_background_to_the_bit_and_what_it_dims_is_mixed_once(convnet):
    mask, background = disc(16, 20), picture(1, 3, 16, 20, seed=5)
    assert (mask == 0).any() and (mask == 1).any() and ((mask > 0) & (mask < 1)).any()
    inner = Fourier(16, 20, batch=2)
    end = last(ascend(convnet(), logit(1), Masked(inner, mask, background), steps=5, lr=0.1))
    colors = inner.holding(end.parameter.values).image()
    assert torch.equal(end.image[..., mask == 0], background.expand(2, -1, -1, -1)[..., mask == 0])
    assert torch.equal(end.image[..., mask == 1], colors[..., mask == 1])
    assert torch.allclose(end.image, mask * colors + (1 - mask) * background)
    assert not torch.allclose(colors, inner.image().double(), atol=1e-3)


def test_a_mask_scales_the_gradient_once(convnet):
    mask, images, net = disc(10, 12), picture(1, 3, 10, 12), convnet()
    start = Masked(Pixels(images), mask, picture(1, 3, 10, 12, seed=7))
    (step,) = ascend(net, logit(1), start, steps=1, lr=0.1, transforms=(), optimizer="sgd")
    seen = start.image().requires_grad_()
    (gradient,) = torch.autograd.grad(net(seen)[0, 1], seen)
    assert torch.allclose(step.parameter.values, images + 0.1 * mask * gradient, atol=1e-12)


def test_pixels_behind_a_mask_are_regularised_and_kept_in_range(convnet):
    images, mask = picture(1, 3, 10, 12), disc(10, 12)
    start = Masked(Pixels(images, center=0.25), mask, picture(1, 3, 10, 12, seed=7))
    options = {"steps": 2, "lr": 0, "regularisers": [decay(0.5)], "optimizer": "sgd"}
    end = last(ascend(convnet(), logit(1), start, **options)).parameter
    assert torch.allclose(end.values, 0.25 + (images - 0.25) / 4)
    far = last(ascend(convnet(), logit(1), start, steps=2, lr=5.0)).parameter.values
    assert 0 == far.min() and far.max() == 1


def test_a_mask_moves_on_over_what_is_there(convnet):
    first = Masked(Fourier(12, 12), disc(12, 12), picture(1, 3, 12, 12))
    reached = last(ascend(convnet(), logit(1), first, steps=2)).image
    mask = torch.zeros(12, 12)
    mask[:3] = 1
    end = last(ascend(convnet(), logit(2), Masked(Fourier(12, 12), mask, reached), steps=2)).image
    assert torch.equal(end[:, :, 3:], reached[:, :, 3:])
