"""Pictures that a network shows to each other, states, and chance: no answer depends on what else is asked."""

import os
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nbvis.engine import (
    METHODS,
    Fourier,
    Network,
    Pixels,
    activity,
    ascend,
    attribute,
    channel,
    dream,
    faithfulness,
    invert_dropout,
    last,
    logit,
    randomization_check,
)
from nbvis.engine.network.batching import batching
from nbvis.engine.network.layout import Activations

SLOW: dict[str, dict[str, Any]] = {
    "integrated_gradients": {"steps": 5},
    "smoothgrad": {"samples": 5},
    "occlusion": {"window": 6, "stride": 6},
}


class Odd(nn.Module):
    """A small network with something odd in the middle."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 8, 3, stride=2)
        self.relu, self.drop, self.head = nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 5)
        self.build()

    def build(self) -> None:
        """Adds what the oddity needs."""

    def odd(self, values: Tensor) -> Tensor:
        """What it does to the first activation."""
        raise NotImplementedError

    def forward(self, images: Tensor) -> Tensor:
        values = self.relu(self.second(self.relu(self.odd(self.first(images)))))
        return self.head(self.drop(values.mean((2, 3))))


class NoStatistics(Odd):
    def build(self):
        self.norm = nn.BatchNorm2d(6, track_running_stats=False)

    def odd(self, values):
        return self.norm(values)


class TrainedFunction(Odd):
    mean: Tensor
    variance: Tensor

    def build(self):
        self.register_buffer("mean", torch.zeros(6))
        self.register_buffer("variance", torch.ones(6))

    def odd(self, values):
        return F.batch_norm(values, self.mean, self.variance, training=True)


class Centred(Odd):
    def odd(self, values):
        return values - 0.5 * values.mean(0)


class Shared(Odd):
    def odd(self, values):
        return values * 9 / len(values) ** 2


class OneAtATime(Odd):
    def odd(self, values):
        return values.reshape(1, *values.shape[1:])


class CounterInBuffer(Odd):
    count: Tensor

    def build(self):
        self.register_buffer("count", torch.zeros(()))

    def odd(self, values):
        self.count += 1
        return values * (1 + 0.1 * self.count)


class CounterInNumber(Odd):
    def build(self):
        self.count = 0

    def odd(self, values):
        self.count += 1
        return values * (1 + 0.1 * self.count)


class CounterInList(Odd):
    def build(self):
        self.seen = [0.0]

    def odd(self, values):
        self.seen.append(values.detach().mean().item())
        return values + self.seen[-2]


class LivingStatistics(Odd):
    """Its statistics move with each pass, and are what it normalises by."""

    mean: Tensor

    def build(self):
        self.register_buffer("mean", torch.zeros(6))

    def odd(self, values):
        self.mean.mul_(0.9).add_(0.1 * values.detach().mean((0, 2, 3)))
        return values - self.mean.clone()[:, None, None]


class AlwaysDropping(Odd):
    def odd(self, values):
        return F.dropout(values, 0.3)


class Noise(Odd):
    def odd(self, values):
        return values + 0.3 * torch.randn_like(values)


class NoiseAndStatistics(NoStatistics):
    def odd(self, values):
        return super().odd(values + 0.3 * torch.randn_like(values))


class NoiseAndCounter(CounterInNumber):
    def odd(self, values):
        return super().odd(values + 0.3 * torch.randn_like(values))


SEEING = (NoStatistics, TrainedFunction, Centred, Shared, OneAtATime)
STATES = (CounterInBuffer, CounterInNumber, CounterInList, LivingStatistics)
CHANCE = (AlwaysDropping, Noise)
ALL = (*SEEING, *STATES, *CHANCE, NoiseAndStatistics, NoiseAndCounter)


@pytest.fixture(params=[pytest.param(kind, id=kind.__name__) for kind in ALL])
def odd(request) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return request.param().eval()


@pytest.fixture
def photos(pictures):
    """Pictures as different as a dark one and a bright one."""
    shown = pictures(3, 3, 14, 16).float()
    return shown * torch.tensor([0.3, 1.0, 0.7]).view(3, 1, 1, 1)


@pytest.mark.parametrize("layer", [None, "second"])
@pytest.mark.parametrize("method", SLOW)
def test_a_map_of_many_passes_depends_on_no_chunk_and_no_neighbour(odd, photos, house, method, layer):
    layer = None if method == "occlusion" else layer
    with house(odd):
        found = [
            attribute(odd, photos, 2, method=method, layer=layer, chunk=chunk, **SLOW[method])
            for chunk in (1, 2, 3, 7, None)
        ]
        alone = [attribute(odd, photo, 2, method=method, layer=layer, **SLOW[method]) for photo in photos.split(1)]
    for other in found[1:]:
        assert torch.equal(found[0].map, other.map) and torch.equal(found[0].score, other.score)
    assert torch.equal(found[0].map, torch.cat([each.map for each in alone]))
    assert torch.equal(found[0].score, torch.cat([each.score for each in alone]))
    assert found[0].map.flatten(1).any(1).all() and found[0].notes[0] == alone[0].notes[0]


@pytest.mark.parametrize("method", [name for name in METHODS if name not in SLOW])
def test_a_map_of_one_pass_is_that_of_the_picture_alone(odd, photos, house, method):
    with house(odd):
        if isinstance(odd, LivingStatistics) and method in ("guided_backprop", "deconvnet", "guided_grad_cam"):
            # It takes a detached part of the picture away, for which a ReLU rule says nothing.
            with pytest.raises(ValueError, match=f"{method} has rules for"):
                attribute(odd, photos, method=method)
            return
        found = attribute(odd, photos, method=method)
        alone = [attribute(odd, photo, method=method) for photo in photos.split(1)]
    assert torch.equal(found.map, torch.cat([each.map for each in alone]))
    assert torch.equal(found.score, torch.cat([each.score for each in alone]))
    assert torch.equal(found.target, torch.cat([each.target for each in alone]))
    assert found.notes


def test_the_checks_depend_on_no_chunk_and_no_neighbour(odd, photos):
    maps = photos.mean(1, keepdim=True)
    found = [faithfulness(odd, photos, maps, target=1, cell=4, points=4, chunk=chunk) for chunk in (1, 2, 3, 7, None)]
    alone = [
        faithfulness(odd, photo, plane, target=1, cell=4, points=4)
        for photo, plane in zip(photos.split(1), maps.split(1), strict=True)
    ]
    for other in found[1:]:
        assert all(torch.equal(found[0].insertion[name], other.insertion[name]) for name in other.insertion)
        assert all(torch.equal(found[0].deletion[name], other.deletion[name]) for name in other.deletion)
    assert torch.equal(found[0].insertion["attribution"], torch.cat([each.insertion["attribution"] for each in alone]))
    assert set(found[0].notes) & set(attribute(odd, photos).notes)
    checks = [
        randomization_check(odd, photos, "smoothgrad", target=1, stages=2, samples=4, chunk=chunk)
        for chunk in (1, 3, None)
    ]
    for other in checks[1:]:
        assert all(torch.equal(a.map, b.map) for a, b in zip(checks[0].stages, other.stages, strict=True))


OBJECTIVES = [logit(2), channel("second", 1) + activity("first")]


@pytest.mark.parametrize("objective", OBJECTIVES, ids=str)
def test_a_picture_of_a_batch_climbs_as_it_would_alone(odd, photos, house, objective):
    with house(odd):
        together = last(ascend(odd, objective, Pixels(photos), steps=3, transforms=(), lr=0.01))
        alone = [
            last(ascend(odd, objective, Pixels(each), steps=3, transforms=(), lr=0.01)) for each in photos.split(1)
        ]
    assert torch.equal(together.image, torch.cat([each.image for each in alone]))
    assert torch.equal(together.score, torch.cat([each.score for each in alone]))
    assert together.notes == alone[0].notes != ()


def test_a_picture_of_a_batch_dreams_as_it_would_alone(odd, photos):
    options: dict[str, Any] = {"octaves": 2, "octave_scale": 1.2, "steps": 2, "jitter": 1}
    together = last(dream(odd, logit(2), photos, **options))
    alone = [last(dream(odd, logit(2), each, **options)) for each in photos.split(1)]
    assert torch.equal(together.image, torch.cat([each.image for each in alone])) and together.notes


def test_a_row_is_inverted_as_it_would_be_alone(odd, photos, house):
    with house(odd):
        together = last(invert_dropout(odd, "head", photos, steps=4, tolerance=0, optimizer="adam"))
        alone = [
            last(invert_dropout(odd, "head", each, steps=4, tolerance=0, optimizer="adam")) for each in photos.split(1)
        ]
    # With its dropout off, this one is an ordinary network, which rounds a batch otherwise.
    rounding: dict[str, Any] = (
        {"rtol": 1e-4, "atol": 1e-5} if isinstance(odd, AlwaysDropping) else {"rtol": 0, "atol": 0}
    )
    torch.testing.assert_close(together.loss, torch.cat([each.loss for each in alone]), **rounding)
    torch.testing.assert_close(together.image, torch.cat([each.image for each in alone]), **rounding)
    assert all(
        torch.equal(mask, torch.cat([each.masks[key] for each in alone])) for key, mask in together.masks.items()
    )


@pytest.mark.parametrize("kind", ALL)
def test_the_reason_is_said(kind, photos):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        notes = " ".join(attribute(kind().eval(), photos).notes)
    assert ("depends on the others in its batch" in notes) == (kind in (*SEEING[:-1], LivingStatistics))
    assert ("one picture at a time only" in notes) == (kind is OneAtATime)
    assert ("changes the next one's answer" in notes) == (kind in (*STATES, NoiseAndCounter))
    assert ("draws random numbers" in notes) == (kind in (*CHANCE, NoiseAndStatistics, NoiseAndCounter))


def test_random_numbers_are_the_same_in_every_pass(photos):
    """So a map of integrated gradients adds up to the difference of scores, as without chance."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = Noise().eval().double()
    found = attribute(net, photos.double(), 2, method="integrated_gradients", steps=200)
    blank = attribute(net, torch.zeros_like(photos).double(), 2)
    torch.testing.assert_close(found.map.flatten(1).sum(1), found.score - blank.score, rtol=0.02, atol=1e-3)


class OnlyBatches(Odd):
    def odd(self, values):
        return F.batch_norm(F.adaptive_avg_pool2d(values, 1), None, None, training=True) + values


def test_a_network_that_runs_on_batches_only_says_so(photos):
    net = OnlyBatches().eval()
    assert any("runs on batches only" in note for note in attribute(net, photos, 2).notes)
    with pytest.raises(RuntimeError, match="does not run on images of shape"):
        attribute(net, photos, 2, method="smoothgrad")


def ordinary() -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        parts = nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.GroupNorm(2, 6), nn.ReLU(), nn.Conv2d(6, 4, 3)
        net = nn.Sequential(*parts, nn.InstanceNorm2d(4), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 5))
    return net.eval()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("size", [(14, 16), (80, 90)])
def test_an_ordinary_network_is_shown_batches_and_says_nothing(device, pictures, dtype, size):
    seen = []
    network = Network(
        ordinary().to(dtype), preprocess=lambda images: (seen.append(len(images)), images)[1], device=device
    )
    found = attribute(network, pictures(3, 3, *size), 2, method="smoothgrad", samples=4, chunk=6)
    assert found.notes == [] and seen.count(6) == 2
    seen.clear()
    assert last(ascend(network, logit(1), Fourier(*size, batch=4), steps=3)).notes == () and seen.count(4) == 3


@pytest.mark.parametrize("name", ["resnet18", "vit_b_16", "swin_t", "convnext_tiny", "efficientnet_b0"])
def test_real_networks_answer_each_picture_by_itself(device, pictures, name):
    from torchvision import models

    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = Network(models.get_model(name, weights=None).eval(), device=device)
    images = pictures(1, 3, 224, 224).float()
    found = batching(network, images, [""])
    assert not found.apart and not found.fresh and found.notes == ()


def test_layers_may_have_their_batch_in_another_dimension(device, photos):
    class Sequence(nn.Module):
        """Its inner layer has the batch second, as a transformer that is not `batch_first`."""

        def __init__(self):
            super().__init__()
            self.inner, self.norm = nn.Linear(3, 4), nn.BatchNorm2d(3, track_running_stats=False)

        def forward(self, images):
            return self.inner(self.norm(images).flatten(2).permute(2, 0, 1)).mean(0)

    found = batching(Network(Sequence(), device=device), photos, ["inner", ""])
    assert found.apart and found.dimensions == {"inner": 1}
    parts = [Activations({"inner": torch.zeros(7, 1, 4), "": torch.zeros(1, 4)}) for _ in range(3)]
    assert found.joined(parts)["inner"].shape == (7, 3, 4) and found.joined(parts)[""].shape == (3, 4)


def test_the_trial_is_made_once_as_long_as_the_network_is_what_it_was(device, photos):
    seen = []
    net = ordinary()
    network = Network(net, preprocess=lambda images: (seen.append(len(images)), images)[1], device=device)

    def passes():
        seen.clear()
        attribute(network, photos, 2)
        return len(seen)

    assert passes() == 3 and passes() == 1
    with torch.no_grad():
        net[0].get_parameter("weight").mul_(2)
    assert passes() == 1
    net[1]._buffers.update(running_mean=None, running_var=None)
    assert passes() > 3 and "depends on the others" in attribute(network, photos, 2).notes[0]
    network.preprocess = lambda images: (seen.append(len(images)), images - images.mean())[1]
    assert passes() > 3


def test_the_default_chunk_does_not_depend_on_free_memory(device, photos, monkeypatch):
    seen = []
    network = Network(ordinary(), preprocess=lambda images: (seen.append(len(images)), images)[1], device=device)

    def shown():
        seen.clear()
        for method in SLOW:
            attribute(network, photos, 2, method=method, **SLOW[method])
        return list(seen)

    shown()
    before = shown()
    monkeypatch.setattr(os, "sysconf", lambda name: 1)
    assert shown() == before and max(before) > 1
