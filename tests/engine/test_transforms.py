"""Transforms: identities to the bit, geometry in pixels, draws for each image, gradients."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import nbvis.engine
from nbvis.engine import (
    STANDARD,
    Fourier,
    activity,
    affine,
    ascend,
    choice,
    crop,
    cutout,
    jitter,
    last,
    pad,
    random_crop,
    resize,
    rotate,
    translate,
    zoom,
)
from nbvis.engine.ascent.transforms import apply


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(
    "transform",
    [
        jitter(0),
        zoom(1, 1),
        rotate(0),
        affine(),
        translate(0, 0),
        pad(0),
        crop(0),
        resize(1, 1),
        random_crop(9, 14),
        random_crop(20, 20),
        choice(affine()),
        cutout(0),
        cutout(0.05),
    ],
    ids=repr,
)
def test_idle_settings_are_the_identity_to_the_bit(pictures, transform):
    images = pictures(2, 3, 9, 14)
    assert torch.equal(transform(images, generator()), images)


@pytest.mark.parametrize(
    "transform",
    [
        jitter(3),
        zoom(0.8, 1.3),
        rotate(25),
        affine(shift=3, zoom=(0.8, 1.3), degrees=25),
        *STANDARD,
        translate(0.2, 0.4),
        choice(rotate(25), jitter(3)),
        cutout(0.5),
    ],
    ids=repr,
)
def test_shape_dtype_range_and_gradient_are_kept(pictures, transform):
    images = pictures(3, 3, 20, 31).requires_grad_()
    out = transform(images, generator())
    assert out.shape == images.shape and out.dtype == images.dtype
    assert images.min() - 1e-9 <= out.min() and out.max() <= images.max() + 1e-9  # reflection, no grey border
    (gradient,) = torch.autograd.grad(out.sum(), images)
    assert torch.isfinite(gradient).all() and gradient.flatten(1).any(1).all()


@pytest.mark.parametrize(
    "transform",
    [
        jitter(3),
        zoom(0.8, 1.3),
        rotate(25),
        affine(shift=3, zoom=(0.8, 1.3), degrees=25),
        translate(0.2, 0.4),
        random_crop(5, 7),
        choice(rotate(25), jitter(3), jitter(5)),
        cutout(0.4),
    ],
    ids=repr,
)
def test_the_seed_decides_and_every_image_has_its_own_draw(pictures, transform):
    images = pictures(1, 1, 16, 23).expand(3, 1, 16, 23)
    state = torch.get_rng_state()
    out = transform(images, generator(1))
    assert torch.equal(state, torch.get_rng_state())
    assert torch.equal(out, transform(images, generator(1)))
    assert not torch.equal(out, transform(images, generator(2)))
    assert not torch.equal(out[0], out[1]) and not torch.equal(out[1], out[2])


def test_the_standard_transforms_as_a_list(pictures):
    images = pictures(2, 3, 40, 56)
    out = apply(STANDARD, images, generator(3))
    assert out.shape == images.shape and torch.equal(out, apply(STANDARD, images, generator(3)))
    assert not torch.equal(out, apply(STANDARD, images, generator(4)))
    assert torch.equal(apply((), images, generator()), images)


@settings(max_examples=30)
@given(st.integers(1, 12), st.integers(1, 12), st.floats(0, 1), st.integers(0, 1000))
def test_a_cutout_is_a_grey_square_that_lies_inside(height, width, share, seed):
    images = torch.ones(2, 3, height, width, dtype=torch.float64).requires_grad_()
    out, side = cutout(share)(images, generator(seed)), round(share * min(height, width))
    (gradient,) = torch.autograd.grad(out.sum(), images)
    for shown, grown in zip(out, gradient, strict=True):
        rows, columns = (shown[0] == 0.5).nonzero().unbind(1)
        assert len(rows) == side**2 and torch.equal(shown, 1 - 0.5 * (grown == 0))
        if side:
            assert (rows.max() - rows.min(), columns.max() - columns.min()) == (side - 1, side - 1)


def test_a_cutout_is_anywhere():
    found = cutout(0.5)(torch.ones(400, 1, 4, 6), generator())[:, 0] == 0.5
    assert found.flatten(1).unique(dim=0).shape[0] == 3 * 5


def reflected(index: int, size: int) -> int:
    """The index a mirror at both ends shows: … 2 1 0 1 2 …, without the end twice."""
    index = abs(index) % max(1, 2 * size - 2)
    return min(index, 2 * size - 2 - index)


@settings(max_examples=30)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 15), st.integers(0, 1000))
def test_jitter_shifts_by_whole_pixels_and_reflects(height, width, pixels, seed):
    images = torch.arange(height * width, dtype=torch.float64).view(1, 1, height, width)
    (out,) = jitter(pixels)(images, generator(seed))[0]
    most = min(pixels, height - 1, width - 1)
    found = [
        (down, right)
        for down in range(-most, most + 1)
        for right in range(-most, most + 1)
        if all(
            out[r, c] == images[0, 0, reflected(r + down, height), reflected(c + right, width)]
            for r in range(height)
            for c in range(width)
        )
    ]
    assert found


def test_jitter_reaches_every_shift_alike():
    images = torch.zeros(4000, 1, 7, 7)
    images[:, :, 3, 3] = 1
    out = jitter(2)(images, generator())
    counts = out.sum((0, 1))[1:6, 1:6]
    assert counts.sum() == 4000 and 110 < counts.min() and counts.max() < 215  # 160 each


def spread(image: Tensor) -> Tensor:
    """(rows, columns) variance of a bright figure about its centre, in square pixels."""
    rows, columns = (torch.arange(s, dtype=image.dtype) for s in image.shape)
    mass = image.sum()
    r, c = (image.sum(1) * rows).sum() / mass, (image.sum(0) * columns).sum() / mass
    return torch.stack([(image.sum(1) * (rows - r) ** 2).sum(), (image.sum(0) * (columns - c) ** 2).sum()]) / mass


def middle(images: Tensor, side: int = 37) -> Tensor:
    """Without what reflection brings in from the sides."""
    top, left = (images.shape[-2] - side) // 2, (images.shape[-1] - side) // 2
    return images[..., top : top + side, left : left + side]


def disc(height: int, width: int, radius: float) -> Tensor:
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    distance = ((rows - (height - 1) / 2) ** 2 + (columns - (width - 1) / 2) ** 2).double().sqrt()
    return (radius + 0.5 - distance).clamp(0, 1)[None, None]


@pytest.mark.parametrize("height, width", [(41, 81), (80, 41), (61, 61)])
def test_a_turned_disc_stays_a_disc_on_any_format(height, width):
    image = disc(height, width, 12)
    turned = rotate(180)(image.expand(8, -1, -1, -1), generator())
    for row in middle(turned):
        assert torch.allclose(spread(row[0]), spread(middle(image)[0, 0]), rtol=0.01)
        assert abs(row.sum() - image.sum()) < 0.01 * image.sum()


@pytest.mark.parametrize("factor", [0.5, 1.5])
def test_zoom_enlarges_both_sides_alike(factor):
    image = disc(60, 90, 10)
    out = zoom(factor, factor)(image, generator())[0, 0]
    assert torch.allclose(spread(middle(out)), factor**2 * spread(image[0, 0]), rtol=0.03)


def tilt(image: Tensor) -> float:
    """The angle of a bright bar about the centre, degrees."""
    rows, columns = (torch.arange(s).double() - (s - 1) / 2 for s in image.shape)
    across = (image * rows[:, None] * columns[None]).sum()
    down, along = (image * rows[:, None] ** 2).sum(), (image * columns[None] ** 2).sum()
    return math.degrees(0.5 * math.atan2(2 * across, along - down))


def test_rotation_draws_every_angle_up_to_the_one_given():
    image = torch.zeros(1, 1, 61, 81, dtype=torch.float64)
    image[:, :, 28:33, 20:61] = 1
    angles = [tilt(turned) for turned in rotate(40)(image.expand(200, -1, -1, -1), generator())[:, 0]]
    assert -40.5 < min(angles) < -35 and 35 < max(angles) < 40.5
    assert abs(sum(angle > 0 for angle in angles) - 100) < 30 and abs(sum(abs(a) > 20 for a in angles) - 100) < 30


def test_factors_are_drawn_as_often_above_one_as_below():
    image = disc(61, 61, 6)
    sizes = (
        middle(affine(zoom=(0.5, 2), degrees=90)(image.expand(200, -1, -1, -1), generator()))[:, 0].sum((1, 2))
        / image.sum()
    )
    assert 0.2 < sizes.min() < 0.3 and 3.5 < sizes.max() < 4.2
    assert abs((sizes > 1).sum() - 100) < 30


def test_zoom_refuses_impossible_factors():
    for least, most in [(0, 1), (-1, 1), (1.1, 0.9), (float("nan"), 1)]:
        with pytest.raises(ValueError, match="0 < least <= most"):
            zoom(least, most)


@pytest.mark.parametrize("down, right", [(0.25, 0), (0, 0.4), (0.4, 0.25)])
def test_translate_goes_by_parts_of_each_side(down, right):
    image = torch.zeros(1, 1, 41, 81, dtype=torch.float64)
    image[:, :, 18:23, 38:43] = 1
    rows, columns = torch.arange(41).double() - 20, torch.arange(81).double() - 40
    out = translate(down, right)(image.expand(300, -1, -1, -1), generator())[:, 0]
    mass = out.sum((1, 2))
    for moved, part, size in [((out.sum(2) * rows).sum(1), down, 41), ((out.sum(1) * columns).sum(1), right, 81)]:
        moved = moved / mass
        assert moved.abs().max() <= part * size + 1e-9
        assert not part or (moved.min() < -0.9 * part * size and moved.max() > 0.9 * part * size)
        assert not part or abs((moved > 0).sum() - 150) < 40


@settings(max_examples=40)
@given(st.integers(1, 7), st.integers(1, 7), st.integers(0, 20))
def test_pad_reflects_or_fills_and_crop_takes_it_off_again(height, width, pixels):
    images = torch.arange(2 * height * width, dtype=torch.float64).view(2, 1, height, width)
    padded = pad(pixels)(images, generator())
    mirrored = np.pad(images.numpy(), [(0, 0), (0, 0), (pixels, pixels), (pixels, pixels)], mode="reflect")
    assert np.array_equal(padded.numpy(), mirrored)
    filled = pad(pixels, 0.5)(images, generator())
    assert filled.shape == padded.shape and (filled == 0.5).sum() == filled.numel() - images.numel()
    for each in (padded, filled):
        assert torch.equal(crop(pixels)(each, generator()), images)


def test_a_random_crop_is_a_window_from_anywhere_in_the_image():
    image = torch.arange(5 * 6, dtype=torch.float64).view(1, 1, 5, 6)
    windows = random_crop(3, 4)(image.expand(900, -1, -1, -1), generator())
    assert windows.shape == (900, 1, 3, 4)
    corners = windows[:, 0, 0, 0].long()
    rows, columns = corners // 6, corners % 6
    for window, r, c in zip(windows, rows.tolist(), columns.tolist(), strict=True):
        assert torch.equal(window, image[0, :, r : r + 3, c : c + 4])
    counts = torch.bincount(rows * 3 + columns, minlength=9)
    assert 70 < counts.min() and counts.max() < 130  # 100 each


def test_resize_keeps_the_format_and_draws_factors_alike_above_and_below_one():
    image = disc(60, 90, 20)
    sizes = [resize(0.5, 2)(image, generator(seed)).shape[2:] for seed in range(200)]
    assert all(abs(w / h - 1.5) < 0.05 and 30 <= h <= 120 for h, w in sizes)
    assert min(sizes)[0] < 33 and max(sizes)[0] > 110 and abs(sum(h > 60 for h, _ in sizes) - 100) < 30
    small = resize(0.5, 0.5)(image, generator())
    assert torch.allclose(spread(small[0, 0]), spread(image[0, 0]) / 4, rtol=0.02)


def test_choice_gives_each_image_to_one_of_them_alike():
    def add(number):
        return lambda images, generator: images + number

    out = choice(add(1), add(2), add(3))(torch.zeros(900, 1, 2, 2), generator())
    counts = torch.bincount(out[:, 0, 0, 0].long(), minlength=4)
    assert counts[0] == 0 and 250 < counts[1:].min() and counts.max() < 350
    assert torch.equal(out, out[:, :, :1, :1].expand_as(out))


def test_an_ascent_takes_pictures_of_another_size_where_the_network_does(convnet):
    """The list of feature_vis: padded, shifted, enlarged by one of five factors, turned, shifted again, cropped."""
    factors = choice(*(zoom(factor, factor) for factor in (1, 0.975, 1.025, 0.95, 1.05)))
    turns = [pad(16), affine(shift=16), factors, rotate(5), affine(shift=8), crop(16)]
    for transforms in (turns, [resize(0.5, 1.2), random_crop(9, 9)], [pad(3, 0.5), jitter(2)]):
        end = last(ascend(convnet(), activity("5"), Fourier(20, 24, batch=2), steps=3, transforms=transforms))
        assert end.image.shape == (2, 3, 20, 24) and torch.isfinite(end.score).all()


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: translate(1.5, 0), "parts of height and width from 0 to 1, not 1.5 and 0"),
        (lambda: pad(-1), "pad's pixels is a whole number from 0 up, not -1"),
        (lambda: crop(0.5), "crop's pixels is a whole number from 0 up, not 0.5"),
        (lambda: crop(4)(torch.zeros(1, 1, 8, 20), generator()), r"crop\(4\) leaves nothing of 8 × 20 pixels"),
        (lambda: random_crop(0, 3), "the height of a crop is a whole number from 1 up, not 0"),
        (lambda: random_crop(3, 2.5), "the width of a crop is a whole number from 1 up, not 2.5"),
        (lambda: resize(0, 1), "resize takes 0 < least <= most, not 0 and 1"),
        (lambda: resize(2, 1), "resize takes 0 < least <= most, not 2 and 1"),
        (lambda: choice(), "choice needs at least one transform"),
    ],
)
def test_impossible_transforms_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


SPELT = [
    jitter(3), affine(), *STANDARD, zoom(0.8, 1.3), rotate(25), translate(0.2, 0.4), pad(3), pad(3, 0.5), crop(3),
    random_crop(5, 7), resize(0.5, 2), choice(rotate(25), jitter(3)), cutout(0.5),
]  # fmt: skip


@pytest.mark.parametrize("transform", SPELT, ids=repr)
def test_what_is_printed_makes_the_same_again(transform):
    again = eval(repr(transform), vars(nbvis.engine))
    assert [again == each for each in SPELT] == [transform is each for each in SPELT]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: jitter(2.5), "pixels is a whole number from 0 up, not 2.5"),
        (lambda: jitter(-1), "pixels is a whole number from 0 up, not -1"),
        (lambda: rotate([-9, 9]), r"degrees is a number from 0 up, not \[-9, 9\]"),
        (lambda: affine(shift=-3), "shift is a number from 0 up, not -3"),
        (lambda: cutout(1.5), "share is a number from 0 to 1, not 1.5"),
        (lambda: zoom(1.2, 0.8), "zoom takes 0 < least <= most, not 1.2 and 0.8"),
    ],
)
def test_what_no_transform_can_do_is_refused_where_it_is_made(make, message):
    with pytest.raises((TypeError, ValueError), match=message):
        make()
