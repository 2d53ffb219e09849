"""A step that is written to a file and read again: what goes on from it is the run that never stopped, to the bit."""

import io

import pytest
import torch
from torch import nn

from nbvis.engine import (
    Alpha,
    Fourier,
    Maco,
    Pixels,
    activity,
    ascend,
    channel,
    dream,
    invert_dropout,
    keep_dreaming,
    restored,
    stored,
)

DREAM = {"octaves": 3, "octave_scale": 1.4, "steps": 3, "lr": 0.05, "jitter": 3}
STARTS = {
    "fourier": lambda: Fourier(28, 40),
    "maco": lambda: Maco(28, 40),
    "alpha": lambda: Alpha(Fourier(28, 40)),
    "pixels": lambda: Pixels.noise(28, 40),
}


@pytest.fixture
def network(device):
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 4, 3), nn.ReLU()).to(device)


@pytest.fixture
def image():
    return torch.rand(1, 3, 28, 40, generator=torch.Generator().manual_seed(1))


def through_a_file(step, *given, **options):
    """The step as another process would read it, which executes nothing that a file says."""
    file = io.BytesIO()
    torch.save(stored(step), file)
    file.seek(0)
    return restored(torch.load(file, weights_only=True), *given, **options)


def half():
    mask = torch.zeros(28, 40)
    mask[:, :17] = 1
    return mask


def same(ones, others):
    assert len(ones) == len(others) > 0
    for one, other in zip(ones, others, strict=True):
        assert torch.equal(one.image, other.image) and torch.equal(one.score, other.score)
        assert (one.index, one.total, one.notes) == (other.index, other.total, other.notes)


@pytest.mark.parametrize("at", [0, 5, 8, 11])
def test_a_dream_goes_on(network, image, device, at):
    options = DREAM | {"rounds": 2, "zoom": 1.1}
    objective = activity("0").within(half())
    whole = [step.keep() for step in keep_dreaming(network, objective, image, **options)]
    after = through_a_file(whole[at], device=device)
    same(whole[at:], list(keep_dreaming(network, objective, image, after=after, **options)))


def test_a_single_dream_goes_on_too(network, image, device):
    whole = [step.keep() for step in dream(network, activity("2"), image, **DREAM)]
    after = through_a_file(whole[4], device=device)
    same(whole[4:], list(dream(network, activity("2"), image, after=after, **DREAM)))


@pytest.mark.parametrize("optimizer", ["averaged", "adam", "nadam", "sgd"])
@pytest.mark.parametrize("start", STARTS)
def test_an_ascent_goes_on(network, device, start, optimizer):
    options = {"steps": 8, "optimizer": optimizer, "weight_noise": 0.2}
    objective = channel("2", 1).within(half())
    whole = [step.keep() for step in ascend(network, objective, STARTS[start](), **options)]
    after = through_a_file(whole[3], STARTS[start](), device=device)
    same(whole[3:], list(ascend(network, objective, STARTS[start](), after=after, **options)))


def test_what_is_written_is_a_copy(network, image):
    step = next(dream(network, activity("0"), image, **DREAM)).keep()
    state = stored(step)
    state["place"]["detail"].add_(1)
    assert not torch.equal(state["place"]["detail"], step.make_place().detail.cpu())


def test_what_cannot_be_written_or_read_is_refused(network, image):
    net = nn.Sequential(nn.Dropout(), nn.Flatten(), nn.Linear(3 * 28 * 40, 2))
    with pytest.raises(TypeError, match="not InversionStep"):
        stored(next(invert_dropout(net, "0", image)))
    run = ascend(network, activity("0"), Fourier(28, 40), steps=3)
    step = next(run)
    next(run)
    with pytest.raises(ValueError, match="the run has gone on from step 0"):
        stored(step)
    state = stored(next(ascend(network, activity("0"), Fourier(28, 40))).keep())
    for given, size in ((None, "none"), (Fourier(28, 28), r"\(1, 3, 28, 15, 2\)")):
        with pytest.raises(ValueError, match=f"image parameter that it started from, of values .* not {size}"):
            restored(state, given)
    for nothing in ({}, {"kind": "dream"}, {"kind": "dream", "step": {}, "place": {}, "image": None}):
        with pytest.raises(ValueError, match="this is no step that was written down"):
            restored(nothing)
