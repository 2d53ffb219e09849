"""The back pane against the toolbox's formulas, written plainly with numpy and scipy."""

import matplotlib
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter, map_coordinates

from nbvis.widgets.backprop_views import back_histogram, back_picture
from nbvis.widgets.painting import Look
from nbvis.widgets.tile_look import BROKEN
from nbvis.widgets.views import VIEWS

EPS = 1e-10
STRETCHED = ("norm", "norm_blur", "sum_positive")


def norm01(a):
    return (a - a.min()) / (a.max() - a.min() + EPS)


def norm01c(a, c):
    return 0.5 + (a - c) / (max(2 * (a - c).max(), -2 * (a - c).min()) + EPS)


def blurred(a, sigma):
    return gaussian_filter(a, sigma, mode="mirror", truncate=4.0)  # as the toolbox's cv2 mirrors


def enlarged(a, size):
    places = [(np.arange(n) + 0.5) * m / n - 0.5 for n, m in zip(size, a.shape, strict=True)]
    return map_coordinates(a, np.meshgrid(*places, indexing="ij"), order=1, mode="nearest")


def toolbox(g, view, size):
    """A view in [0, 1], (height, width) or with three colours."""
    if view == "raw":
        return norm01c(np.moveaxis(g, 0, -1), 0)
    if view == "grey":
        return norm01c(g.mean(0), 0)
    norm = np.linalg.norm(g, axis=0)
    plane = {"norm": norm, "norm_blur": blurred(norm, 4), "sum_positive": np.maximum(g.sum(0), 0)}[view]
    return norm01(blurred(enlarged(norm01(plane), size), 0.02 * max(size)))


def random(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def pixels(shown):
    return np.asarray(shown.painted.image.convert("RGB")).astype(float) / 255


@pytest.fixture
def image():
    return torch.rand(3, 40, 60, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("exponent", [-30, -12, 0, 30])
@pytest.mark.parametrize("view", ["raw", "grey", *STRETCHED])
def test_each_view_is_the_toolboxs_at_any_size_of_the_values(image, view, exponent):
    found = random(3, 40, 60) * 10.0**exponent
    expected = toolbox(found.double().numpy() / 10.0**exponent, view, (40, 60))
    expected = expected if view == "raw" else np.stack([expected] * 3, -1)
    shown = back_picture(found, image, Look(view, colormap="gray"))
    assert np.abs(pixels(shown) - expected).max() <= 1 / 255
    assert (shown.view, shown.not_finite, shown.notes) == (view, 0, ())


@pytest.mark.parametrize("size", [(40, 60), (10, 12)])
@pytest.mark.parametrize("colormap", ["gray", "jet", "plasma"])
@pytest.mark.parametrize("view", STRETCHED)
def test_overlays_are_the_toolboxs(image, view, colormap, size):
    found, shown = random(3, *size), image.movedim(0, -1).numpy()
    m = toolbox(found.double().numpy(), view, (40, 60))
    table = matplotlib.colormaps[colormap].resampled(1025)
    colors, weight = table(m)[..., :3], m[..., None] ** 0.8
    step = np.abs(np.diff(table(np.arange(1025)), axis=0)).max()  # plasma has 256 colours of its own
    expected = {
        "none": colors,
        "active": weight * shown + (1 - weight) * colors,
        "inactive": (1 - weight) * shown + weight * colors,
    }
    for overlay, mixed in expected.items():
        found_pixels = pixels(back_picture(found, image, Look(view, overlay, colormap=colormap)))
        assert np.abs(found_pixels - mixed).max() <= 0.6 / 255 + step, overlay


@pytest.mark.parametrize("channels", [2, 4, 6])
def test_raw_of_other_than_three_channels_is_grey_and_says_so(image, channels):
    found = random(channels, 40, 60)
    shown = back_picture(found, image, Look("raw", "active"))
    assert shown.view == "grey" and f"here there are {channels}: this is their mean, grey." in shown.notes[0]
    assert np.array_equal(pixels(shown), pixels(back_picture(found, image, Look("grey", "active"))))


def test_raw_of_one_channel_is_raw(image):
    assert back_picture(random(1, 40, 60), image, Look("raw")).view == "raw"


@pytest.mark.parametrize("view", ["raw", "grey", "norm", "sum_positive", "signed"])
def test_a_pixel_that_is_not_finite_is_magenta_and_the_others_are_as_if_it_were_zero(image, view):
    found = random(3, 20, 30)
    zeroed = found.clone()
    found[1, 4, 5], found[0, 9, 9], found[2, 9, 9] = float("nan"), float("inf"), -float("inf")
    zeroed[1, 4, 5] = zeroed[0, 9, 9] = zeroed[2, 9, 9] = 0
    shown, expected = back_picture(found, image, Look(view)), pixels(back_picture(zeroed, image, Look(view)))
    for row, column in ((4, 5), (9, 9)):
        expected[2 * row : 2 * row + 2, 2 * column : 2 * column + 2] = np.array(BROKEN) / 255
    assert np.array_equal(pixels(shown), expected)
    assert shown.not_finite == 3 and shown.notes == ("3 of 1,800 values are NaN or infinite: they are magenta.",)


def test_a_gradient_with_nothing_finite_is_a_sentence(image):
    shown = back_picture(torch.full((3, 40, 60), float("nan")), image, Look("norm"))
    assert shown.painted.image is None and "NaN" in shown.painted.note and shown.not_finite == 3 * 40 * 60


def test_the_histogram_is_numpys_and_leaves_out_what_is_not_finite(image):
    found = random(3, 20, 30)
    found[0, 0, :7] = float("nan")
    finite = found[found.isfinite()]
    counts, edges = np.histogram(finite.double().numpy(), 50)
    assert back_histogram(found)[0] == counts.tolist() and np.allclose(back_histogram(found)[1], edges)
    shown = back_picture(found, image, Look("histogram"))
    assert shown.notes == ("7 of 1,800 values are NaN or infinite: they are in no bin.",)
    alone = back_picture(finite[None, None], image, Look("histogram"))
    assert np.array_equal(np.asarray(shown.painted.image), np.asarray(alone.painted.image))
    assert back_histogram(torch.full((3,), float("nan"))) == ([], [])


def test_an_overlay_that_cannot_be_is_named(image):
    shown = back_picture(random(3, 40, 60), image, Look("raw", "active"))
    assert shown.notes == ("The view Raw is shown without the overlay 'active'.",)


@settings(deadline=None)
@given(
    st.sampled_from(list(VIEWS)),
    st.sampled_from(["both signs", "negative", "constant", "zero", "not a number"]),
    st.integers(1, 5), st.integers(1, 9), st.integers(1, 9), st.integers(-30, 30), st.integers(0, 999),
)  # fmt: skip
def test_there_is_a_picture_of_the_images_size_or_a_sentence(view, kind, channels, height, width, exponent, seed):
    found = random(channels, height, width, seed=seed) * 10.0**exponent
    found = {
        "negative": -found.abs(),
        "constant": torch.full_like(found, 10.0**exponent),
        "zero": found * 0,
        "not a number": found.masked_fill(found > 0, float("nan")),
    }.get(kind, found)
    shown = back_picture(found, torch.rand(3, 12, 16), Look(view, "active"))
    assert (shown.painted.image is None) == bool(shown.painted.note)
    if shown.painted.image is not None and view != "histogram":
        assert shown.painted.image.size == (16, 12)


@pytest.mark.parametrize(
    ("found", "image", "look", "error"),
    [
        ((1, 3, 4, 4), (3, 4, 4), Look("norm"), r"not \(1, 3, 4, 4\) and \(3, 4, 4\)"),
        ((3, 4, 4), (1, 4, 4), Look("norm"), r"not \(3, 4, 4\) and \(1, 4, 4\)"),
        ((3, 4, 4), (3, 4, 4), Look("length"), "no view 'length'; there are signed"),
    ],
)
def test_an_error_says_what_was_given(found, image, look, error):
    with pytest.raises(ValueError, match=error):
        back_picture(torch.ones(found), torch.ones(image), look)
