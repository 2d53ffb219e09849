"""Statistics of what is not plain: offsets, caps, tokens, broken values, and input that does not fit."""

import math
import re

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from nbvis.engine import Batch, ImageFiles, activations, collect, collecting, memory_needed


class Function(nn.Module):
    """Any function as a layer."""

    def __init__(self, function):
        super().__init__()
        self.function, self.precision = function, nn.Parameter(torch.ones(()))

    def forward(self, images):
        return self.function(images)


def test_mean_and_spread_are_stable_far_from_zero(pictures):
    images = pictures(8, 3, 9, 9)
    for dtype, tolerance in ((torch.float64, 1e-10), (torch.float32, 1e-4)):
        net = nn.Sequential(Function(lambda x: x + 1e6)).to(dtype)
        values = (images.to(dtype) + 1e6).double().movedim(1, 0).flatten(1).cpu()
        found = collect(net, images.to(dtype).split(3), ["0"], correlation="positions")["0"]
        torch.testing.assert_close(found.mean, values.mean(1), rtol=1e-12, atol=0)
        torch.testing.assert_close(found.std, values.std(1, correction=0), rtol=tolerance, atol=0)
        np.testing.assert_allclose(found.correlation, np.corrcoef(values), atol=tolerance)


@pytest.mark.parametrize("size", [1e-160, 1e-280, 1e160, 1e300])
@pytest.mark.parametrize("positions", [None, 20])
def test_a_spread_whose_square_no_number_holds_is_right(pictures, size, positions):
    images = pictures(8, 3, 9, 9)
    found = collect(nn.Sequential(Function(lambda x: x * size)).double(), images.split(3), ["0"], positions=positions)
    same = collect(nn.Sequential(Function(lambda x: x)).double(), images.split(3), ["0"], positions=positions)
    torch.testing.assert_close(found["0"].std / size, same["0"].std, rtol=1e-12, atol=0)
    torch.testing.assert_close(found["0"].mean / size, same["0"].mean, rtol=1e-12, atol=0)


@pytest.mark.parametrize("kind", ["maxima", "means", "positions"])
@pytest.mark.parametrize("name", ["0", "3", "8"])
def test_correlation_is_numpys(convnet, pictures, kind, name):
    net, images = convnet(), pictures(9, 3, 9, 9)
    values = activations(net, images, [name])[name].cpu()
    values = values.reshape(*values.shape[:2], -1)
    rows = {"maxima": values.amax(2), "means": values.mean(2), "positions": values.movedim(1, 2).flatten(0, 1)}[kind]
    found = collect(net, images.split(4), [name], correlation=kind)[name]
    np.testing.assert_allclose(found.correlation, np.corrcoef(rows.T), rtol=1e-9, atol=1e-12)


def test_the_cap_and_zeros_are_counted_exactly(pictures):
    net = nn.Sequential(Function(lambda x: 20 * x - 8), nn.ReLU6(), nn.ReLU()).double()
    images = pictures(7, 3, 9, 9)
    found = collect(net, images.split(3))
    values = (20 * images - 8).clamp(0, 6).movedim(1, 0).flatten(1).cpu()
    assert torch.equal(found["1"].saturated_fraction, (values == 6).double().mean(1))
    assert torch.equal(found["1"].zero_fraction, (values == 0).double().mean(1))
    assert found["1"].saturated_fraction.min() > 0 and found["2"].saturated_fraction.isnan().all()


def test_true_minima_and_ties_go_to_the_image_that_comes_first(pictures):
    images = pictures(6, 2, 4, 5).mul(3).round().div(3)
    net = nn.Sequential(Function(lambda x: x)).double()
    order = [4, 1, 5, 0, 3, 2]
    found = collect(net, [Batch(images[order[:4]], order[:4]), Batch(images[order[4:]], order[4:])], top=4)["0"]
    values = images.flatten(2).cpu().numpy()
    for channel in range(2):
        lowest = values[:, channel].min(1)
        expected = np.lexsort((np.arange(6), lowest))[:4]
        np.testing.assert_array_equal(found.bottom_indices[channel], expected)
        np.testing.assert_array_equal(found.bottom_values[channel], lowest[expected])
        place = values[expected, channel].argmin(1)
        np.testing.assert_array_equal(found.bottom_positions[channel], np.stack([place // 5, place % 5], 1))
        np.testing.assert_array_equal(
            found.top_indices[channel], np.lexsort((np.arange(6), -values[:, channel].max(1)))[:4]
        )


@pytest.mark.parametrize("batch", [40, 7])
def test_of_many_equal_values_in_one_batch_the_images_that_come_first_stay(pictures, batch):
    images = pictures(40, 2, 4, 5).mul(8).round().div(8)
    found = collect(nn.Sequential(Function(lambda x: x)).double(), images.split(batch), top=3)["0"]
    values = images.flatten(2).cpu().numpy()
    for channel in range(2):
        for sign, indices, positions in (
            (-1, found.top_indices, found.top_positions),
            (1, found.bottom_indices, found.bottom_positions),
        ):
            expected = np.lexsort((np.arange(40), (sign * values[:, channel]).min(1)))[:3]
            np.testing.assert_array_equal(indices[channel], expected)
            place = (sign * values[expected, channel]).argmin(1)
            np.testing.assert_array_equal(positions[channel], np.stack([place // 5, place % 5], 1))


class Tokens(nn.Module):
    """A patch embedding with a class token, and a layer that answers with tokens."""

    def __init__(self):
        super().__init__()
        self.embed, self.norm = nn.Conv2d(3, 6, 4, stride=4), nn.LayerNorm(6)
        self.token = nn.Parameter(torch.full((1, 1, 6), 5.0))

    def forward(self, images):
        tokens = self.embed(images).flatten(2).transpose(1, 2)
        return self.norm(torch.cat([self.token.expand(len(tokens), -1, -1), tokens], 1)).mean(1)


def test_every_token_counts_and_the_class_token_has_a_place_of_its_own(pictures):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = Tokens().double()
    images = pictures(7, 3, 12, 8)
    values = activations(net, images, ["norm"])["norm"].cpu()
    found = collect(net, images.split(3))["norm"]
    assert found.count.tolist() == [7 * 7] * 6 and found.shape == (6, 3, 2)
    torch.testing.assert_close(found.mean, values.mean((0, 1)), rtol=1e-12, atol=1e-15)
    for channel in range(6):
        place = values[found.top_indices[channel, :7], :, channel].argmax(1)
        expected = torch.stack(
            [torch.where(place > 0, (place - 1) // 2, -1), torch.where(place > 0, (place - 1) % 2, 0)], 1
        )
        assert torch.equal(found.top_positions[channel, :7], expected)
        assert found.top_positions[channel, 7:].eq(-1).all() and found.top_values[channel, 7:].isnan().all()


def test_values_that_are_not_finite_are_counted_and_named_and_the_rest_goes_on(pictures):
    def broken(images):
        images = images.clone()
        images[:, 1, 0, 0] = float("nan")
        images[:, 1, 2, 2] = float("-inf")
        return images

    images = pictures(5, 3, 4, 4)
    net = nn.Sequential(Function(broken)).double()
    found = collect(net, images.split(2), correlation="positions")
    layer, values = found["0"], images.cpu().movedim(1, 0).flatten(2)
    rest = [k for k in range(16) if k not in (0, 10)]
    assert layer.not_finite.tolist() == [0, 10, 0] and layer.count.tolist() == [80, 70, 80]
    torch.testing.assert_close(layer.mean[1], values[1][:, rest].mean(), rtol=1e-12, atol=0)
    torch.testing.assert_close(layer.std[1], values[1][:, rest].std(correction=0), rtol=1e-12, atol=0)
    assert layer.maximum[1] == values[1][:, rest].max() and layer.histogram.sum(1).tolist() == [80, 70, 80]
    np.testing.assert_allclose(layer.correlation, np.corrcoef(values[:, :, rest].flatten(1)), atol=1e-12)
    assert found.notes == ["0: 10 values are NaN or infinite and left out, in channel 1."]


def test_channels_that_never_vary_and_single_channels_are_flagged(pictures):
    net = nn.Sequential(Function(lambda x: x * torch.tensor([1.0, 0.0, 2.0]).to(x).view(-1, 1, 1))).double()
    found = collect(net, [pictures(5, 3, 4, 4)])
    assert found["0"].correlation.isnan().tolist() == [[False, True, False], [True] * 3, [False, True, False]]
    assert found["0"].constant.tolist() == [False, True, False]
    assert found.notes == ["0: 1 channel never varies: a correlation with that is not a number."]
    single = collect(nn.Sequential(nn.Conv2d(3, 1, 1)).double(), [pictures(5, 3, 4, 4)])
    assert single["0"].correlation.tolist() == [[1.0]]
    assert single.notes == ["0: one channel correlates with nothing but itself."]


def test_some_positions_of_each_image_do_for_moments_and_histograms(convnet, pictures):
    net, images = convnet(), pictures(40, 3, 12, 12)
    whole, some = collect(net, images.split(8), ["0"])["0"], collect(net, images.split(7), ["0"], positions=30)["0"]
    assert (some.count == 40 * 30).all() and (some.histogram.sum(1) == 40 * 30).all()
    assert ((some.mean - whole.mean).abs() < 5 * whole.std / math.sqrt(40 * 30)).all()
    assert torch.equal(some.top_indices, whole.top_indices)
    torch.testing.assert_close(some.maximum, whole.maximum, rtol=1e-12, atol=0)
    again = collect(net, [Batch(images[20:], range(20, 40)), Batch(images[:20], range(20))], ["0"], positions=30)["0"]
    assert torch.equal(again.histogram, some.histogram)


def test_images_of_another_size_count_with_their_own_positions(convnet, pictures):
    net = convnet()
    found = collect(net, [pictures(2, 3, 9, 9), pictures(3, 3, 8, 12)])
    assert found["0"].count[0] == 2 * 81 + 3 * 96 and found["8"].count[0] == 5
    flat = nn.Sequential(nn.Conv2d(3, 2, 1), nn.Flatten()).double()
    with pytest.raises(
        ValueError, match=r"layer '1' had 162 channels and has 192 for images of another size: bring all"
    ):
        collect(flat, [pictures(2, 3, 9, 9), pictures(3, 3, 8, 12)])


@pytest.mark.parametrize(
    "given, message",
    [
        ({"batches": []}, "the data set is empty"),
        ({"batches": torch.rand(3, 3, 8, 8)}, r"images.split\(32\) makes some"),
        ({"batches": [torch.zeros(1, 3, 8, 8, dtype=torch.int64)]}, "must be float"),
        ({"layers": ["7"]}, "no layer '7'"),
        ({"layers": "0"}, "is a list of layer names"),
        ({"layers": []}, "this one is empty"),
        ({"bins": 1}, "bins is a whole number from 2 up, not 1"),
        ({"range": (1, 0)}, r"range is None or \(low, high\) with low < high, not \(1, 0\)"),
        ({"top": -1}, "top is a whole number from 0 up"),
        ({"correlation": "some"}, "correlation is True, False, 'maxima', 'means' or 'positions', not 'some'"),
        ({"positions": 0}, "positions is a whole number from 1 up"),
    ],
)
def test_what_does_not_fit_is_refused(given, message):
    net = nn.Sequential(nn.Conv2d(3, 2, 3))
    with pytest.raises((ValueError, TypeError), match=message):
        collect(net, **({"batches": [torch.rand(1, 3, 8, 8)]} | given))


@pytest.mark.parametrize("range", [(1, 1 + 1e-7), (1e6, 1e6 + 0.5), (0, 1e-44), (-4.0, -4.0 + 1e-6)])
def test_a_range_too_narrow_for_its_bins_is_refused_before_any_work_with_one_that_does(range):
    def none():
        raise AssertionError("work began")
        yield

    net = nn.Sequential(nn.Conv2d(3, 2, 3))
    with pytest.raises(ValueError, match=r"is too narrow for 50 bins of float32 values") as refused:
        collecting(net, none(), range=range)
    assert str(tuple(map(float, range))) in str(refused.value)
    low, high = map(float, re.findall(r"\((\S+), (\S+)\) is wide enough", str(refused.value))[0])
    assert low == range[0] and collect(net, [torch.rand(1, 3, 8, 8)], range=(low, high))["0"].histogram.shape[1] == 50
    assert len(collect(net.double(), [torch.rand(1, 3, 8, 8).double()], range=(1, 1 + 1e-7))["0"].edges) == 51


def test_a_range_beyond_the_numbers_there_are_is_refused():
    with pytest.raises(ValueError, match=r"range \(0.0, 1e\+300\) is wider than float32 values are: .* at most 3.4"):
        collect(nn.Sequential(nn.Conv2d(3, 2, 3)), [torch.rand(1, 3, 8, 8)], range=(0, 1e300))


def test_a_layer_that_never_runs_is_refused_by_name(pictures):
    class Idle(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.idle = nn.Conv2d(3, 2, 1), nn.Conv2d(3, 2, 1)

        def forward(self, images):
            return self.used(images)

    net, images = Idle().double(), pictures(2, 3, 4, 4)
    with pytest.raises(ValueError, match="layer 'idle' is never called in the forward pass"):
        collect(net, [images], ["idle"])
    assert list(collect(net, [images])) == ["used"]


def test_the_memory_told_before_is_what_it_takes(convnet, pictures):
    net, images = convnet(), pictures(6, 3, 9, 9)
    assert collect(net, images.split(2)).nbytes == memory_needed(net, images[:1]) == collect(net, [images]).nbytes


def test_pictures_in_files_are_read_and_those_that_cannot_be_are_skipped(tmp_path, convnet):
    for k in range(5):
        pixels = np.full((10 + k % 2, 12, 3), 40 * k, dtype=np.uint8)
        (tmp_path / f"{k % 2}").mkdir(exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / f"{k % 2}" / f"{k}.png")
    (tmp_path / "0" / "3b.jpg").write_bytes(b"no picture")
    files = ImageFiles(tmp_path, size=(9, 9))
    assert [path.name for path in files.paths] == ["0.png", "2.png", "3b.jpg", "4.png", "1.png", "3.png"]
    net = convnet(dtype=torch.float32)
    found = collect(net, files.batches(2))
    assert (found.images, found.unreadable) == (5, 1) and "2: " in found.notes[0] and "3b.jpg" in found.notes[0]
    parts = [collect(net, files.batches(1, shard=(k, 3))) for k in range(3)]
    merged = parts[2].merge(parts[0]).merge(parts[1])
    assert (merged.images, merged.unreadable, merged.counted.sum()) == (5, 1, 6)
    assert torch.equal(merged["0"].histogram, found["0"].histogram)
    assert not list(files.batches(2, done=merged.counted))
    with pytest.raises(ValueError, match="the data set is empty, batches gave no image: Skipped 1 image"):
        collect(net, ImageFiles([files.paths[2]]).batches())
    own = ImageFiles(tmp_path)
    assert sorted(len(batch.images) for batch in own.batches(6)) == [2, 3]


def test_a_white_picture_stays_in_range_at_another_size(tmp_path):
    for side in range(60, 70):
        Image.new("RGB", (side, side + 1), "white").save(tmp_path / f"{side}.png")
    files = ImageFiles(tmp_path, size=(24, 24))
    assert all(files[index].max() <= 1 for index in range(len(files)))
