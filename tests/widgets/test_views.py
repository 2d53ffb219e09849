"""The maths of the views, against scipy, numpy and the toolbox's formulas."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from nbvis.widgets.views import BINS, VIEWS, blank, drawn, figure, gaussian, histogram, limits, share, strength

EPS = 1e-10


def norm01(a):
    return (a - a.min()) / (a.max() - a.min() + EPS)


def norm01c(a, c):
    return 0.5 + (a - c) / (max(2 * (a - c).max(), -2 * (a - c).min()) + EPS)


@pytest.fixture
def found():
    return torch.randn(3, 20, 30, generator=torch.Generator().manual_seed(0))


def shown(found, view, size=(20, 30)):
    plane = drawn(found, view, size)
    return share(plane, limits(plane, view)).numpy()


@pytest.mark.parametrize(
    ("size", "sigma"), [((20, 30), 4.0), ((7, 5), 4.0), ((33, 16), 0.7), ((1, 9), 2.0), ((8, 8), 0.0)]
)
def test_the_gaussian_is_scipys(size, sigma):
    planes = torch.randn(2, *size, generator=torch.Generator().manual_seed(1))
    expected = [gaussian_filter(plane.double().numpy(), sigma, mode="mirror", truncate=4.0) for plane in planes]
    assert np.allclose(gaussian(planes, sigma), expected, atol=1e-6)


def test_raw_is_the_toolboxs(found):
    assert np.allclose(shown(found, "raw"), norm01c(found.numpy(), 0), atol=1e-6)


def test_grey_is_the_toolboxs(found):
    assert np.allclose(shown(found, "grey")[0], norm01c(found.numpy().mean(0), 0), atol=1e-6)


@pytest.mark.parametrize(
    ("view", "first"),
    [
        ("norm", lambda g: np.linalg.norm(g, axis=0)),
        ("norm_blur", lambda g: gaussian_filter(np.linalg.norm(g, axis=0), 4, mode="mirror")),
        ("sum_positive", lambda g: np.maximum(g.sum(0), 0)),
    ],
)
def test_the_stretched_views_are_the_toolboxs(found, view, first):
    smoothed = gaussian_filter(norm01(first(found.double().numpy())), 0.02 * 30, mode="mirror")
    assert np.allclose(shown(found, view)[0], norm01(smoothed), atol=1e-5)


def test_a_stretched_view_of_a_small_map_is_enlarged_smoothly(found):
    small = found[:, :5, :6]
    plane = drawn(small, "norm", (20, 30))
    enlarged = torch.nn.functional.interpolate(small.norm(dim=0)[None, None], size=(20, 30), mode="bilinear")[0, 0]
    assert np.allclose(plane[0], gaussian_filter(enlarged.numpy(), 0.6, mode="mirror"), atol=1e-5)


def test_our_views_keep_the_cells_of_a_small_map(found):
    small = found[:, :4, :6]
    expected = small.sum(0).repeat_interleave(5, 0).repeat_interleave(5, 1)
    assert torch.allclose(drawn(small, "signed", (20, 30))[0], expected)


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        ("signed", lambda g: g.sum(0)),
        ("absolute", lambda g: np.abs(g).max(0)),
        ("positive", lambda g: np.maximum(g.sum(0), 0)),
        ("negative", lambda g: np.maximum(-g.sum(0), 0)),
    ],
)
def test_our_views_are_sums_and_the_largest_size(found, view, expected):
    plane = drawn(found, view, (20, 30))
    assert np.allclose(plane[0], expected(found.numpy()), atol=1e-6)
    low, high = limits(plane, view)
    assert low == (-high if view == "signed" else 0)
    # Three pixels of 600 lie beyond the colours.
    assert (plane.abs() > high).sum() == 3


def test_limits_of_a_map_that_is_almost_everywhere_zero_are_its_largest_value():
    plane = torch.zeros(1, 20, 30)
    plane[0, 3, 4] = -2.0
    assert limits(plane, "signed") == (-2.0, 2.0)


def test_zero_is_exactly_the_middle_and_the_ends_are_the_ends():
    plane = torch.tensor([[[-0.3, 0.0, 0.1, 0.7]]])
    assert share(plane, (-0.3, 0.3)).flatten().tolist() == pytest.approx([0, 0.5, 2 / 3, 1])
    assert share(plane, (-0.3, 0.3))[0, 0, 1] == 0.5
    assert strength(plane, (-0.3, 0.3)).flatten().tolist() == pytest.approx([1, 0, 1 / 3, 1])
    assert strength(plane, (0.1, 0.5)).flatten().tolist() == pytest.approx([0, 0, 0, 1])
    assert share(plane, (0.2, 0.2)).tolist() == [[[0, 0, 0, 0]]]


def test_tiny_values_have_colours_too(found):
    assert np.allclose(shown(found * 1e-20, "signed"), shown(found, "signed"), atol=1e-6)


def test_the_histogram_is_numpys(found):
    counts, edges = histogram(found)
    expected, places = np.histogram(found.double().numpy(), BINS)
    assert counts == expected.tolist() and np.allclose(edges, places)


def test_the_histogram_of_one_value_is_numpys():
    counts, edges = histogram(torch.full((1, 4, 5), 2.0))
    expected, places = np.histogram(np.full(20, 2.0), BINS)
    assert counts == expected.tolist() and np.allclose(edges, places)


@pytest.mark.parametrize("view", VIEWS)
def test_a_zero_map_is_never_painted(view):
    assert blank(torch.zeros(3, 5, 6), view) == "The map is zero everywhere, so there is nothing to show."


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_map_with_nan_is_never_painted(found, view, value):
    found[1, 2, 3] = value
    assert "NaN or infinite" in blank(found, view)


@pytest.mark.parametrize("view", VIEWS)
def test_an_all_negative_cam_is_painted_only_where_its_sign_can_be_seen(view):
    cam = -torch.rand(1, 5, 6, generator=torch.Generator().manual_seed(0)) - 0.1
    said = blank(cam, view)
    if view in ("signed", "negative", "raw", "grey", "histogram"):
        assert said == ""
    else:
        assert "speaks" in said and "the map goes from −" in said


def test_nothing_against_the_target_is_said_in_words():
    assert "Nothing speaks against the target" in blank(torch.ones(1, 5, 6), "negative")


@pytest.mark.parametrize("view", ["norm", "norm_blur", "sum_positive"])
def test_a_constant_cannot_be_stretched(view):
    assert "everywhere, so nothing stands out" in blank(torch.full((1, 5, 6), 0.25), view)


def test_channels_that_cancel_out_are_no_empty_map():
    found = torch.tensor([1.0, -1.0])[:, None, None].expand(2, 5, 6)
    assert "cancel out" in blank(found, "grey")
    assert "Nothing speaks for" in blank(found, "positive") and blank(found, "absolute") == ""


@pytest.mark.parametrize(("channels", "works"), [(1, True), (2, False), (3, True), (320, False)])
def test_raw_needs_colours(channels, works):
    said = blank(torch.ones(channels, 5, 6), "raw")
    assert (said == "") == works and (works or f"this map has {channels}" in said)


def test_numbers_have_a_proper_minus():
    assert [figure(value) for value in (-0.00012345, 0.0, 12.3456)] == ["−0.000123", "0", "12.3"]
