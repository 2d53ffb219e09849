"""Statistics over a data set: the same as NumPy finds in all activations at once, whatever the batches."""

import numpy as np
import pytest
import torch
from torch import nn

from nbvis.engine import Statistics, activations, collect


@pytest.fixture
def several(device):
    """A convolution, a ReLU, and a linear layer, in double precision."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(4 * 20, 5))
    return net.to(device, torch.float64)


def values_of(net, images, name):
    """All values of a layer, as NumPy's (images, channels, positions)."""
    found = activations(net, images, [name])[name].cpu().numpy()
    return found.reshape(*found.shape[:2], -1)


NAMES = ["0", "1", "3"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("batch", [1, 4, 13])
def test_moments_are_those_of_all_values(several, pictures, name, batch):
    images = pictures(13, 3, 7, 6)
    found, values = collect(several, images.split(batch))[name], values_of(several, images, name)
    np.testing.assert_array_equal(found.count, 13 * values.shape[2])
    np.testing.assert_allclose(found.mean, values.mean((0, 2)), rtol=1e-12)
    np.testing.assert_allclose(found.std, values.std((0, 2)), rtol=1e-12)
    np.testing.assert_allclose(found.minimum, values.min((0, 2)), rtol=1e-12)
    np.testing.assert_allclose(found.maximum, values.max((0, 2)), rtol=1e-12)
    np.testing.assert_array_equal(found.zero_fraction, (values == 0).mean((0, 2)))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("range", [(-1.0, 1.0), (0.0, 0.3), (-0.05, 7.0)])
def test_the_histogram_of_a_range_is_numpys(several, pictures, name, range):
    images = pictures(13, 3, 7, 6)
    found, values = collect(several, images.split(4), range=range, bins=20)[name], values_of(several, images, name)
    for channel, counts in enumerate(found.histogram):
        expected, edges = np.histogram(values[:, channel], 20, range)
        np.testing.assert_array_equal(counts, expected)
        np.testing.assert_array_equal(found.edges, edges)


@pytest.mark.parametrize("name", NAMES)
def test_the_histogram_without_a_range_loses_nothing(several, pictures, name):
    images = pictures(13, 3, 7, 6)
    found, values = collect(several, images.split(4))[name], values_of(several, images, name)
    for channel, counts in enumerate(found.histogram):
        np.testing.assert_array_equal(counts, np.histogram(values[:, channel], found.edges)[0])
        assert counts.sum() == values[:, channel].size


@pytest.mark.parametrize("name", NAMES)
def test_top_images_are_those_of_brute_force(several, pictures, name):
    images = pictures(13, 3, 7, 6)
    found, values = collect(several, images.split(4), top=5)[name], values_of(several, images, name)
    width = 4 if name != "3" else 1
    for channel in range(values.shape[1]):
        highest = values[:, channel].max(1)
        order = np.lexsort((np.arange(13), -highest))[:5]
        np.testing.assert_allclose(found.top_values[channel], highest[order], rtol=1e-12)
        np.testing.assert_array_equal(found.top_indices[channel], order)
        place = values[order, channel].argmax(1)
        np.testing.assert_array_equal(found.top_positions[channel], np.stack([place // width, place % width], 1))


@pytest.mark.parametrize("name", NAMES)
def test_merged_halves_are_the_whole(several, pictures, name):
    images = pictures(13, 3, 7, 6)
    whole = collect(several, images.split(13))[name]
    merged = collect(several, images[:6].split(4)).merge(collect(several, images[6:].split(3)))[name]
    for attribute in ("count", "zero_fraction", "histogram", "edges"):
        assert torch.equal(getattr(merged, attribute), getattr(whole, attribute)), attribute
    assert torch.equal(merged.top_indices, whole.top_indices) and torch.equal(merged.top_positions, whole.top_positions)
    for attribute in ("mean", "std", "minimum", "maximum", "top_values", "correlation"):
        torch.testing.assert_close(
            getattr(merged, attribute), getattr(whole, attribute), rtol=1e-12, atol=1e-14, equal_nan=True
        )


def test_what_is_saved_is_read_again(several, pictures, tmp_path):
    found = collect(several, pictures(13, 3, 7, 6).split(4))
    found.save(tmp_path / "found")
    again = Statistics.load(tmp_path / "found", several)
    assert list(again) == list(found) and again.images == 13 and again.options == found.options
    for name in found:
        for attribute in ("count", "mean", "std", "histogram", "edges", "top_indices", "bottom_positions"):
            assert torch.equal(getattr(again[name], attribute), getattr(found[name], attribute))


def test_collecting_leaves_the_network_as_it_was(several, pictures, house):
    with house(several):
        collect(several, pictures(5, 3, 7, 6).split(2))
