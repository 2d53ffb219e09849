"""Statistics of networks of every kind: grey, half precision, random, channels last, with layers that come and go."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from nbvis.engine import Batch, ImageFiles, LayerStatistics, Network, activations, collect
from nbvis.engine.statistics.histograms import histogram


class Normalize(nn.Module):
    """Mean and spread as a module has them."""

    def __init__(self, mean, spread):
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1))
        self.register_buffer("spread", torch.tensor(spread).view(-1, 1, 1))

    def forward(self, images):
        return (images - self.mean.to(images)) / self.spread.to(images)


def shifted(images, by):
    return images - by


def cropped(images):
    if images.shape[-1] < 5000:
        raise ValueError("pictures of 5000 pixels only")
    return images


@pytest.mark.parametrize(
    "one, other",
    [
        (None, Normalize([0.5] * 3, [0.5] * 3)),
        (Normalize([0.485, 0.456, 0.406], [0.229] * 3), Normalize([0.485, 0.456, 0.406], [0.225] * 3)),
        (Normalize([0.485, 0.456, 0.406], [0.5] * 3), Normalize([0.406, 0.456, 0.485], [0.5] * 3)),
        (partial(shifted, by=0.5), partial(shifted, by=0.4)),
        (lambda images: images, lambda images: images.flip(3)),
        (lambda images: images, lambda images: images[..., 1:]),
    ],
)
def test_networks_that_differ_in_their_preprocessing_alone_do_not_merge(convnet, pictures, device, one, other, house):
    module, images = convnet(dtype=torch.float32), pictures(4, 3, 9, 9).float()
    first, second = (Network(module, preprocess=each, device=device) for each in (one, other))
    with house(module):
        found = collect(first, [images], correlation=False)
    with pytest.raises(ValueError, match="of another preprocessing"):
        found.merge(collect(second, [images], correlation=False))
    with pytest.raises(ValueError, match="or another preprocessing"):
        collect(second, [images], statistics=found, correlation=False)
    assert found.merge(collect(first, [images], correlation=False)).images == 8
    assert not found.notes


def test_the_same_preprocessing_written_otherwise_merges(convnet, pictures, device):
    module, images = convnet(dtype=torch.float32), pictures(4, 3, 9, 9).float()
    one = Network(module, preprocess=Normalize([0.5] * 3, [0.25] * 3), device=device)
    other = Network(module, preprocess=lambda images: images * 4 - 2, device=device)
    assert collect(one, [images]).merge(collect(other, [images])).images == 8


def test_a_preprocessing_that_no_small_picture_tells_is_said_to_be_left_out(convnet, device):
    network = Network(convnet(dtype=torch.float32), preprocess=cropped, device=device)
    with pytest.raises(RuntimeError, match="5000 pixels only"):
        collect(network, [torch.rand(1, 3, 9, 9)])
    wide = nn.Sequential(nn.AdaptiveAvgPool2d(1)).to(device)
    found = collect(Network(wide, preprocess=cropped, device=device), [torch.rand(1, 3, 1, 5000)], correlation=False)
    assert len(found.notes) == 1 and found.notes[0].startswith("The fingerprint is of the weights alone")


def test_readers_in_other_processes_give_the_same(tmp_path, convnet):
    for k in range(7):
        Image.fromarray(np.full((12, 12 + k % 2, 3), 30 * k, dtype=np.uint8)).save(tmp_path / f"{k}.png")
    (tmp_path / "3.png").write_bytes(b"no picture")
    net, files = convnet(dtype=torch.float32), ImageFiles(tmp_path, size=(9, 9))
    alone, read = collect(net, files.batches(2)), collect(net, files.batches(2, workers=2))
    assert (read.images, read.unreadable) == (alone.images, alone.unreadable) == (6, 1)
    assert "3.png" in read.notes[0]
    for name in alone:
        assert torch.equal(read[name].histogram, alone[name].histogram)
        assert torch.equal(read[name].top_indices, alone[name].top_indices)
    left = files.batches(2, workers=2, done=alone.counted)
    assert not len(left) and not list(left)


@pytest.mark.parametrize("channels", [1, 2, 5, 300])
def test_images_may_have_any_number_of_channels(pictures, device, channels):
    net = nn.Sequential(nn.Conv2d(channels, 4, 3), nn.ReLU()).to(device, torch.float64)
    images = pictures(5, channels, 7, 6)
    found, values = collect(net, images.split(2))["0"], activations(net, images, ["0"])["0"].cpu()
    torch.testing.assert_close(found.mean, values.mean((0, 2, 3)), rtol=1e-12, atol=1e-15)
    network = Network(net, preprocess=lambda images: images - 0.5, device=device)
    other = Network(net, preprocess=lambda images: images - 0.25, device=device)
    assert not collect(network, [images]).notes
    with pytest.raises(ValueError, match="another preprocessing"):
        collect(network, [images]).merge(collect(other, [images]))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_networks_in_half_precision_are_measured_in_single(convnet, pictures, dtype):
    net, images = convnet(dtype=dtype), pictures(6, 3, 9, 9).float()
    found = collect(net, images.split(4), correlation="positions")
    for name in ("0", "8"):
        values = activations(net, images[:4], [name])[name].cpu()
        values = torch.cat([values, activations(net, images[4:], [name])[name].cpu()]).double()
        values = values.movedim(1, 0).flatten(1)
        torch.testing.assert_close(found[name].mean, values.mean(1), rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(found[name].std, values.std(1, correction=0), rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(found[name].maximum, values.amax(1), rtol=0, atol=0)
        np.testing.assert_allclose(found[name].correlation, np.corrcoef(values), atol=1e-3)


class Noisy(nn.Module):
    """Draws as it runs, and in eval mode too."""

    def __init__(self):
        super().__init__()
        self.same = nn.Identity()

    def forward(self, images):
        return self.same(images + torch.rand_like(images))


def test_each_image_meets_the_same_random_numbers_whatever_its_batch(pictures, house):
    net, images = Noisy().double(), pictures(6, 2, 4, 4)
    state = torch.random.get_rng_state()
    one, other = collect(net, images.split(1)), collect(net, images.split(4))
    assert torch.equal(one["same"].histogram, other["same"].histogram)
    torch.testing.assert_close(one["same"].mean, other["same"].mean, rtol=1e-12, atol=0)
    assert not torch.equal(collect(net, [images], seed=1)["same"].top_values, one["same"].top_values)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert any("draws random numbers" in note for note in one.notes)


def test_weights_that_change_meanwhile_are_noted(convnet, pictures):
    net, images = convnet(), pictures(6, 3, 9, 9)

    def training():
        for batch in images.split(2):
            yield batch
            with torch.no_grad():
                net[0].weight.mul_(0.5)

    assert collect(net, images.split(2), correlation=False).notes == []
    assert collect(net, training(), correlation=False).notes == [
        "The weights changed meanwhile: these are the statistics of several networks."
    ]


def test_outputs_in_channels_last_give_the_same(convnet, pictures):
    net, images = convnet(), pictures(6, 3, 9, 9)
    last = convnet().to(memory_format=torch.channels_last)
    batches = [each.to(memory_format=torch.channels_last) for each in images.split(4)]
    one, other = collect(net, images.split(4)), collect(last, batches, correlation="positions")
    assert not activations(last, batches[0], ["0"])["0"].is_contiguous()
    for name in one:
        torch.testing.assert_close(other[name].mean, one[name].mean, rtol=1e-9, atol=1e-12)
        assert torch.equal(other[name].top_indices, one[name].top_indices)
        assert torch.equal(other[name].top_positions, one[name].top_positions)


class Comes(nn.Module):
    """Runs its second layer as often as the picture is wider than three pixels."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.last = nn.Conv2d(2, 2, 1), nn.ReLU(), nn.Identity()

    def forward(self, images):
        images = self.first(images)
        for _ in range(images.shape[3] - 3):
            images = self.second(images)
        return self.last(images)


def test_a_layer_that_some_passes_leave_out_or_call_again_is_noted(pictures):
    net, two, three, five = Comes().double(), pictures(2, 2, 4, 4), pictures(3, 2, 4, 3), pictures(1, 2, 4, 5)
    found = collect(net, [two, three, five], correlation=False)
    assert found["first"].count[0] == 2 * 16 + 3 * 12 + 20 and found["second"].count[0] == 2 * 16 + 20
    assert found.notes == [
        "Layer 'second' did not run for every image.",
        "Layer 'second' ran more often for some images: further calls do not count.",
    ]


def test_a_layer_that_only_later_images_go_through_is_noted(pictures, house):
    net, two, three = Comes().double(), pictures(2, 2, 4, 4), pictures(3, 2, 4, 3)
    note = (
        "Layer 'second' runs for some images and did not for the first one, so there are no statistics of it: begin "
        "with an image that goes through it."
    )
    with house(net):
        found = collect(net, [three, two, two])
    assert list(found) == ["first", "last"] and found.notes == [note]
    again = collect(net, [three, two, two[:1]], statistics=collect(net, [three]))
    assert note in again.notes
    assert collect(net, [three, three], correlation=False).notes == [] and "second" in collect(net, [two, three])
    assert collect(net, [three, two], ["first"], correlation=False).notes == []


def test_a_layer_that_goes_by_two_names_is_not_taken_for_one_that_runs_late(pictures):
    class Shared(nn.Module):
        def __init__(self):
            super().__init__()
            self.one = self.other = nn.ReLU()

        def forward(self, images):
            return self.other(images)

    assert collect(Shared().double(), [pictures(5, 2, 4, 4)], correlation=False).notes == []


def test_the_bare_name_of_a_layer_called_twice_counts_its_last_call(pictures):
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.act = nn.ReLU()

        def forward(self, images):
            return self.act(self.act(images - 0.5) - 0.1)

    net, images = Twice().double(), pictures(5, 2, 4, 4)
    found, calls = collect(net, images.split(2), ["act"])["act"], collect(net, images.split(2))
    assert list(calls) == ["act:0", "act:1"] and found.count.tolist() == [80, 80]
    assert torch.equal(found.mean, calls["act:1"].mean) and not torch.equal(found.mean, calls["act:0"].mean)


@pytest.mark.parametrize("swallows", [False, True])
def test_an_error_of_our_own_is_not_told_as_the_networks(pictures, monkeypatch, swallows):
    class Careful(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer, self.rest = nn.Conv2d(2, 2, 1), nn.Identity()

        def forward(self, images):
            try:
                images = self.layer(images)
            except RuntimeError:
                if not swallows:
                    raise
            return self.rest(images)

    def broken(*_):
        raise RuntimeError("the accumulator is broken")

    monkeypatch.setattr(LayerStatistics, "add", broken)
    with pytest.raises(RuntimeError, match=r"^the accumulator is broken$"):
        collect(Careful().double(), [pictures(2, 2, 4, 4)])


@pytest.mark.parametrize("scale", [1e-42, 1e-36, 1e-25, 1e-12, 1.0, 1e12, 1e30])
def test_mean_spread_and_correlation_hold_at_any_scale_of_single_precision(scale, device):
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(6, 3, 8, 8, generator=generator).mul(scale).to(device)
    values = images.cpu().double().movedim(1, 0).flatten(1)
    found = collect(nn.Sequential(nn.Identity()), images.split(4), correlation="positions")["0"]
    torch.testing.assert_close(found.mean, values.mean(1), rtol=1e-4, atol=1e-6 * scale)
    torch.testing.assert_close(found.std, values.std(1, correction=0), rtol=1e-5, atol=0)
    np.testing.assert_allclose(found.correlation, np.corrcoef(values / scale), atol=1e-5)
    for channel, counts in enumerate(found.histogram):
        np.testing.assert_array_equal(counts, np.histogram(values[channel], found.edges)[0])


def test_what_is_just_below_zero_stays_there_whatever_comes_before():
    tiny = torch.tensor([[[-5e-324, 5e-324]]], dtype=torch.float64, device="cpu")
    great = torch.tensor([[[1000.0, -1000.0]]], dtype=torch.float64, device="cpu")

    def counted(*lots):
        found = histogram(1, 10, None, tiny)
        for lot in lots:
            found.add(lot.clone(), 0, lot.min().item(), lot.max().item(), None)
        return found.counts

    assert torch.equal(counted(tiny, great), counted(great, tiny))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "low, high, bins", [(0, 1, 50), (-3, 3, 50), (0.1, 0.7, 7), (1e6, 1e6 + 4, 3), (-1e30, 1e30, 9), (0, 1e-40, 5)]
)
def test_a_range_puts_what_lies_on_an_edge_where_numpy_does(dtype, low, high, bins):
    generator = torch.Generator().manual_seed(0)
    found = histogram(2, bins, (float(low), float(high)), torch.empty(0, dtype=dtype))
    edges = found.edges.to(dtype)[torch.randint(0, bins + 1, (3, 2, 200), generator=generator)]
    anywhere = torch.rand(3, 2, 500, generator=generator, dtype=torch.float64) * 1.4 * (high - low) + 1.2 * low
    most, least = (torch.tensor(value, dtype=dtype) for value in (math.inf, -math.inf))
    values = torch.cat([anywhere.to(dtype), edges, edges.nextafter(most), edges.nextafter(least)], 2)
    found.add(values.clone(), 0, values.min().item(), values.max().item(), None)
    for channel in range(2):
        expected = np.histogram(values[:, channel], found.edges)[0]
        np.testing.assert_array_equal(found.counts[channel], expected)


def test_images_by_index_survive_a_network_that_takes_one_at_a_time(pictures):
    class Single(nn.Module):
        def __init__(self):
            super().__init__()
            self.same = nn.Identity()

        def forward(self, images):
            assert len(images) == 1
            return self.same(images)

    found = collect(Single().double(), [Batch(pictures(4, 2, 3, 3), [3, 1, 0, 2])])
    assert sorted(found["same"].top_indices[0, :4].tolist()) == [0, 1, 2, 3]
