"""Transforms: identities to the bit, geometry in pixels, draws for each image, gradients."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from nbvis.engine import STANDARD, jitter, rotate, zoom
from nbvis.engine.ascent.transforms import affine, apply


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("transform", [jitter(0), zoom(1, 1), rotate(0), affine()])
def test_idle_settings_are_the_identity_to_the_bit(pictures, transform):
    images = pictures(2, 3, 9, 14)
    assert torch.equal(transform(images, generator()), images)


@pytest.mark.parametrize(
    "transform", [jitter(3), zoom(0.8, 1.3), rotate(25), affine(shift=3, zoom=(0.8, 1.3), degrees=25), *STANDARD]
)
def test_shape_dtype_range_and_gradient_are_kept(pictures, transform):
    images = pictures(3, 3, 20, 31).requires_grad_()
    out = transform(images, generator())
    assert out.shape == images.shape and out.dtype == images.dtype
    assert images.min() - 1e-9 <= out.min() and out.max() <= images.max() + 1e-9  # reflection, no grey border
    (gradient,) = torch.autograd.grad(out.sum(), images)
    assert torch.isfinite(gradient).all() and gradient.flatten(1).any(1).all()


@pytest.mark.parametrize(
    "transform", [jitter(3), zoom(0.8, 1.3), rotate(25), affine(shift=3, zoom=(0.8, 1.3), degrees=25)]
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
