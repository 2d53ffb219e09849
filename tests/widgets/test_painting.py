"""Colours, overlays and the histogram's picture."""

import matplotlib
import numpy as np
import pytest
import torch

from nbvis.widgets.painting import COLORMAPS, DIVERGING, Look, bars, own_limits, paint, rgb
from nbvis.widgets.views import BINS, VIEWS


@pytest.fixture
def found():
    return torch.randn(3, 20, 30, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def image():
    return torch.rand(3, 20, 30, generator=torch.Generator().manual_seed(1))


def pixels(painted):
    return np.asarray(painted.image).astype(float) / 255


def plane_of(values):
    return torch.tensor(values, dtype=torch.float32).view(1, 1, -1)


@pytest.mark.parametrize("colormap", DIVERGING)
def test_zero_has_the_neutral_colour(colormap):
    if colormap not in COLORMAPS:
        assert colormap not in matplotlib.colormaps  # an older matplotlib
        return
    neutral = np.round(255 * np.array(matplotlib.colormaps[colormap].resampled(3)(0.5)[:3]))
    for values, view in (([-1.0, 0.0, 2.0], "signed"), ([0.0, 1.0, 2.0], "absolute"), ([0.0, -1.0, -2.0], "negative")):
        painted = paint(plane_of(values), torch.zeros(3, 1, 3), Look(view, colormap=colormap))
        assert np.array_equal(np.asarray(painted.image)[0, values.index(0.0)], neutral), view


def test_signs_have_the_two_ends_of_the_colours():
    painted = paint(plane_of([-1.0, 0.0, 1.0]), torch.zeros(3, 1, 3), Look("signed", colormap="bwr"))
    assert np.asarray(painted.image)[0].tolist() == [[0, 0, 255], [255, 255, 255], [255, 0, 0]]
    assert painted.between == (-1.0, 1.0)
    assert (painted.colors[0], painted.colors[8], painted.colors[-1]) == ("#0000ff", "#ffffff", "#ff0000")


def test_what_speaks_against_has_the_lower_half_of_a_diverging_map():
    painted = paint(plane_of([-1.0, 0.0, 1.0]), torch.zeros(3, 1, 3), Look("negative", colormap="bwr"))
    assert np.asarray(painted.image)[0].tolist() == [[0, 0, 255], [255, 255, 255], [255, 255, 255]]
    assert painted.colors[0] == "#ffffff" and painted.colors[-1] == "#0000ff"


@pytest.mark.parametrize("colormap", COLORMAPS)
def test_colours_are_matplotlibs(colormap):
    values = np.linspace(-1, 1, 1025)
    painted = paint(plane_of(values), torch.zeros(3, 1, 1025), Look("signed", colormap=colormap), (-1.0, 1.0))
    expected = matplotlib.colormaps[colormap]((values + 1) / 2)[:, :3]
    assert np.abs(pixels(painted)[0] - expected).max() < 0.02  # matplotlib has 256 levels of its own


def test_without_a_choice_only_signs_get_diverging_colours():
    assert {view: Look(view).colors for view in VIEWS if Look(view).colors != "magma"} == {
        "signed": "RdBu_r", "raw": "gray", "grey": "gray", "histogram": "RdBu_r",
    }  # fmt: skip


def test_blend_mixes_by_opacity(found, image):
    alone = pixels(paint(found, image, Look("signed")))
    mixed = pixels(paint(found, image, Look("signed", "blend", 0.3)))
    assert np.allclose(mixed, 0.7 * image.movedim(0, -1).numpy() + 0.3 * alone, atol=1 / 254)


@pytest.mark.parametrize("view", ["norm", "norm_blur", "sum_positive", "signed", "absolute", "grey"])
def test_overlays_are_the_toolboxs(found, image, view):
    from nbvis.widgets.views import drawn, limits, strength

    alone, shown = pixels(paint(found, image, Look(view))), image.movedim(0, -1).numpy()
    plane = drawn(found, view, (20, 30))
    m = strength(plane, limits(plane, view))[0, :, :, None].numpy().astype(float) ** 0.8
    active, inactive = (pixels(paint(found, image, Look(view, overlay))) for overlay in ("active", "inactive"))
    assert np.allclose(active, m * shown + (1 - m) * alone, atol=1 / 254)
    assert np.allclose(inactive, (1 - m) * shown + m * alone, atol=1 / 254)


def test_raw_keeps_its_colours(found, image):
    painted = pixels(paint(found, image, Look("raw", colormap="magma")))
    expected = 0.5 + found.numpy() / (2 * found.abs().max().item())
    assert np.allclose(painted, np.moveaxis(expected, 0, -1), atol=1 / 254)


@pytest.mark.parametrize(
    ("look", "mixes"),
    [
        (Look("raw", "blend"), True),
        (Look("raw", "active"), False),
        (Look("histogram", "blend"), False),
        (Look("signed", "inactive"), True),
    ],
)
def test_an_overlay_that_cannot_be_changes_nothing(found, image, look, mixes):
    assert look.mixes == mixes
    same = (
        paint(found, image, look).image.tobytes() == paint(found, image, look._replace(overlay="none")).image.tobytes()
    )
    assert same != mixes


def test_locked_limits_are_used_and_named(found, image):
    own, locked = paint(found, image, Look()), paint(found, image, Look(), (-100.0, 100.0))
    assert own_limits(found, "signed", (20, 30)) == own.between != locked.between == (-100.0, 100.0)
    assert locked.caption == f"{own.caption}, limits locked"
    assert np.abs(pixels(locked) - pixels(locked)[0, 0]).max() < 0.1


def test_what_cannot_be_painted_is_a_sentence(image):
    painted = paint(torch.zeros(3, 20, 30), image, Look())
    assert painted.image is None and painted.between is None and painted.colors == ()
    assert "zero everywhere" in painted.note
    assert own_limits(torch.zeros(3, 20, 30), "signed", (20, 30)) is None


@pytest.mark.parametrize("view", VIEWS)
def test_captions_name_the_numbers_and_their_range(found, image, view):
    several, one = paint(found, image, Look(view)).caption, paint(found[:1].abs(), image, Look(view))
    assert several.startswith(VIEWS[view].caption) and " … " in several
    assert one.caption.startswith(VIEWS[view].caption) == (view == "histogram") or one.note


def test_the_histogram_has_a_bar_for_each_bin_with_values():
    found = torch.tensor([-1.0, -1.0, 0.3, 1.0]).view(1, 2, 2)
    picture = np.asarray(bars(found, 30, 20))
    assert picture.shape == (200, 300, 4)
    bottom = picture[-1, :, 3].reshape(BINS, 6).any(1)
    assert [int(place) for place in bottom.nonzero()[0]] == [0, 25, 32, 49]  # 25: the line at zero
    tall, low = picture[:, 1, 3].astype(bool).sum(), picture[:, 295, 3].astype(bool).sum()
    assert tall == pytest.approx(2 * low, abs=2) and picture[-1, 1, 2] > picture[-1, 1, 0] and tall > 150
    assert picture[-1, 295, 0] > picture[-1, 295, 2]


def test_an_image_of_any_number_of_channels_lies_below():
    for channels in (1, 2, 3, 6):
        assert rgb(torch.rand(1, channels, 4, 5)).shape == (3, 4, 5)
    assert rgb(torch.tensor([-1.0, 0.5, 2.0]).view(1, 3, 1, 1)).flatten().tolist() == [0, 0.5, 1]
