"""Grey pictures: by the definition, on pictures of runs that failed and of runs that did not."""

import numpy as np
import pytest
import torch
from PIL import Image

from nbvis.engine import PRESETS, Fourier, Pixels, ascend, decay, grey_among, grey_scores, is_grey, last, logit

CLASSES = [logit(130), logit(933)]


@pytest.fixture(scope="module")
def found(demo_network):
    return last(ascend(demo_network, CLASSES, Fourier(80, 80, batch=2), steps=24)).image


FAILED = {
    "no step": lambda net: Fourier(224, 224, batch=2).image(),
    "a learning rate far too small": lambda net: (
        last(ascend(net, CLASSES, Fourier(80, 80, batch=2), steps=12, lr=1e-5)).image
    ),
    "a regulariser too strong": lambda net: (
        last(ascend(net, CLASSES, Pixels.noise(80, 80, batch=2), steps=12, lr=0.01, regularisers=[decay(0.9)])).image
    ),
    "a recipe for larger scores": lambda net: (
        last(ascend(net, CLASSES, Pixels.noise(80, 80, batch=2), **PRESETS["yosinski 2"] | {"steps": 12})).image
    ),
}


def test_what_an_ascent_found_is_not_grey(found, coffee):
    assert not is_grey(found).any() and not is_grey(coffee).any()


@pytest.mark.parametrize("name", FAILED)
def test_what_an_ascent_did_not_find_is_grey(demo_network, name):
    images = FAILED[name](demo_network)
    assert is_grey(images).shape == (2,) and is_grey(images).all()


def test_the_score_is_the_distance_from_pillows_grey(coffee):
    """feature_vis's own sum, in numbers that do not overflow; Pillow rounds its grey to a byte."""
    pixels = (coffee[0] * 255).round().byte().permute(1, 2, 0).numpy()
    grey = np.asarray(Image.fromarray(pixels).convert("L"), dtype=float)
    expected = np.sqrt(((pixels.astype(float) - grey[..., None]) ** 2).sum())
    assert grey_scores(coffee).item() * 255 * np.sqrt(pixels.size) == pytest.approx(expected, rel=0.005)


def test_far_from_grey_is_far_however_bright():
    """As bytes, 190² is 4."""
    red = torch.tensor([1.0, 0.25, 0.25]).view(1, 3, 1, 1).expand(2, 3, 9, 7)
    bright = 0.25 + 0.75 * 0.299
    expected = np.sqrt(((1 - bright) ** 2 + 2 * (bright - 0.25) ** 2) / 3)
    assert torch.allclose(grey_scores(red), torch.tensor(expected).float().expand(2))
    assert torch.equal(grey_scores(red), grey_scores(red[..., :3, :4])) and not is_grey(red).any()


def test_without_colour_it_is_grey_whatever_the_contrast():
    steps = (torch.arange(64) % 2).float().view(1, 1, 8, 8).expand(1, 3, 8, 8)
    assert grey_scores(steps).item() < 1e-6 and is_grey(steps).item()


def test_grey_beside_the_others_is_what_lies_below_the_first_gap(found):
    starts = Fourier(80, 80, batch=3).image()
    images = torch.cat([found[:1], starts, found[1:]])
    assert grey_among(grey_scores(images)).tolist() == [False, True, True, True, False]


@pytest.mark.parametrize(
    "scores, expected",
    [
        ([0.5, 0.52, 0.54], [False, False, False]),
        ([0.1, 0.9, 0.5], [True, False, False]),
        ([0.3], [False]),
        ([0.0, 0.0], [False, False]),
        ([0.1, 0.1, 1.0], [True, True, False]),
        ([], []),
    ],
)
def test_the_gap_is_the_first_that_is_wide(scores, expected):
    assert grey_among(torch.tensor(scores)).tolist() == expected


def test_what_cannot_be_grey_is_refused():
    with pytest.raises(ValueError, match="these images have 1 channels"):
        is_grey(torch.rand(1, 1, 8, 8))
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\]"):
        is_grey(255 * torch.rand(1, 3, 8, 8))
    with pytest.raises(ValueError, match="gap is a number from 0 to 1, not 2"):
        grey_among(torch.rand(3), gap=2)
    with pytest.raises(ValueError, match=r"not of shape \(2, 3\)"):
        grey_among(torch.rand(2, 3))
