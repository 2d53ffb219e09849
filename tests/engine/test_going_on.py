"""A run that is gone on with from a step that was kept: against the run that never stopped, to the bit."""

import itertools

import pytest
import torch
from torch import nn

from nbvis.engine import (
    PRESETS,
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
)

DREAM = {"octaves": 3, "octave_scale": 1.4, "steps": 3, "lr": 0.05, "jitter": 3, "rotation": 8.0}


@pytest.fixture
def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 4, 3), nn.ReLU())


@pytest.fixture
def image():
    return torch.rand(1, 3, 28, 40, generator=torch.Generator().manual_seed(1))


def left():
    mask = torch.zeros(28, 40)
    mask[:, :17] = 1
    return mask


CHANGES = {
    2: {"lr": 0.2, "jitter": 1},
    4: {"objective": channel("2", 1).within(left()) + activity("0").within(1 - left())},
    6: {"objective": channel("2", 3), "steps": 4},
}


def driven(run, step, count, changes):
    """The steps up to that of a number, with what is changed on the way."""
    steps = [step]
    while step.index < count - 1:
        step = run.send(changes.get(step.index + 1))
        steps.append(step)
    return steps


def taken(options, changes, index):
    """The options once a step of this number is taken."""
    for at in sorted(changes):
        options = options | changes[at] if at <= index else options
    return options


@pytest.mark.parametrize("at", [0, 3, 5, 11])
@pytest.mark.parametrize("objective", [activity("0"), channel("2", 1).within(left())])
def test_a_dream_that_is_gone_on_with_is_the_one_that_never_stopped(network, image, objective, at):
    options = DREAM | {"objective": objective}
    run = keep_dreaming(network, images=image, rounds=2, zoom=1.1, turn=3, **options)
    whole = driven(run, next(run), 16, CHANGES)
    run = keep_dreaming(network, images=image, rounds=2, zoom=1.1, turn=3, **options)
    kept = driven(run, next(run), at + 1, CHANGES)[-1].keep()
    run.close()
    options = taken(options, CHANGES, at)
    run = keep_dreaming(network, images=image, rounds=2, zoom=1.1, turn=3, after=kept, **options)
    again = driven(run, next(run), 16, CHANGES)
    assert [step.index for step in again] == list(range(at, 16))
    for one, other in zip(whole[at:], again, strict=True):
        assert torch.equal(one.image, other.image) and torch.equal(one.score, other.score)
        assert (one.octave, one.round, one.total, one.notes) == (other.octave, other.round, other.total, other.notes)


def test_a_single_dream_goes_on_too(network, image):
    whole = list(dream(network, activity("2"), image, **DREAM))
    again = list(dream(network, activity("2"), image, after=whole[4], **DREAM))
    assert [step.index for step in again] == [4, 5, 6, 7, 8]
    assert all(torch.equal(one.image, other.image) for one, other in zip(whole[4:], again, strict=True))


STARTS = {
    "fourier": lambda: Fourier(28, 40),
    "maco": lambda: Maco(28, 40),
    "alpha": lambda: Alpha(Fourier(28, 40)),
    "pixels": lambda: Pixels.noise(28, 40),
}


@pytest.mark.parametrize("optimizer", ["averaged", "adam", "nadam", "sgd"])
@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("at", [0, 5])
def test_an_ascent_that_is_gone_on_with_is_the_one_that_never_stopped(network, start, optimizer, at):
    changes = {2: {"lr": 0.2}, 4: {"objective": channel("2", 1).within(left())}, 6: {"weight_noise": 0.1}}
    options = {"objective": activity("0"), "steps": 8, "optimizer": optimizer, "weight_noise": 0.2}
    run = ascend(network, image=STARTS[start](), **options)
    whole = driven(run, next(run), 8, changes)
    run = ascend(network, image=STARTS[start](), **options)
    kept = driven(run, next(run), at + 1, changes)[-1].keep()
    next(run)  # what was kept does not change with the run that it was of
    run = ascend(network, image=STARTS[start](), after=kept, **taken(options, changes, at))
    again = driven(run, next(run), 8, changes)
    assert [step.index for step in again] == list(range(at, 8))
    for one, other in zip(whole[at:], again, strict=True):
        assert torch.equal(one.image, other.image) and torch.equal(one.score, other.score)


def test_a_run_without_a_mean_goes_on_with_one(network):
    plain = {"steps": 8, "optimizer": "nadam"}
    whole = [step.keep() for step in ascend(network, activity("0"), Fourier(28, 40), **plain)]
    _, first, second, *_ = ascend(network, activity("0"), Fourier(28, 40), steps=8, after=whole[3])
    assert torch.equal(first.image, whole[4].image)  # its mean begins here
    values = [each.parameter.values for each in whole[4:6]]
    newest = 6 / (6 + 5)
    assert torch.allclose(second.parameter.values, torch.lerp(*values, newest))


@pytest.mark.parametrize("preset", PRESETS)
def test_a_published_recipe_goes_on_too(network, preset):
    options = PRESETS[preset] | {"steps": 12}
    run = ascend(network, channel("2", 1), Pixels.noise(28, 40), **options)
    whole = [step.keep() if step.index == 6 else step for step in run]
    again = ascend(network, channel("2", 1), Pixels.noise(28, 40), after=whole[6], **options)
    pairs = list(zip(whole[6:], again, strict=True))
    assert len(pairs) == 6 and all(torch.equal(one.image, other.image) for one, other in pairs)


def test_the_step_comes_once_more_without_a_pass_and_can_be_gone_on_from_again(network, image):
    step = next(itertools.islice(ascend(network, activity("0"), Fourier(28, 40), steps=8), 3, None)).keep()
    one = ascend(network, activity("0"), Fourier(28, 40), steps=8, after=step)
    again = next(one)
    assert again.index == 3 and torch.equal(again.image, step.image)
    other = ascend(network, activity("0"), Fourier(28, 40), steps=8, after=again.keep())
    next(other)
    assert torch.equal(next(one).image, next(other).image)


def test_a_step_that_the_run_has_left_behind_is_refused(network):
    run = ascend(network, activity("0"), Fourier(28, 40), steps=3)
    step = next(run)
    next(run)
    with pytest.raises(ValueError, match="the run has gone on from step 0"):
        step.keep()


def test_a_step_of_another_run_is_refused(network, image):
    step = next(ascend(network, activity("0"), Fourier(28, 40))).keep()
    with pytest.raises(TypeError, match="after is a step of such a run"):
        dream(network, activity("0"), image, after=step)
    with pytest.raises(TypeError, match=r"step.keep\(\), not int"):
        ascend(network, activity("0"), Fourier(28, 40), after=7)
    dreamt = next(dream(network, activity("0"), image, octaves=2))
    with pytest.raises(ValueError, match="octaves of"):
        dream(network, activity("0"), image, octaves=3, after=dreamt)
    net = nn.Sequential(nn.Dropout(), nn.Flatten(), nn.Linear(3 * 28 * 40, 2))
    with pytest.raises(TypeError, match="such a run cannot be gone on with"):
        next(invert_dropout(net, "0", image)).keep()
