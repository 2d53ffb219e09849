"""Dreams that go on: against a plain twin that calls `dream` for each round and moves the picture pixel by pixel."""

import itertools
import math

import pytest
import torch
from torch import nn

from nbvis.engine import activity, channel, dream, keep_dreaming, last

OPTIONS = {"octaves": 2, "octave_scale": 1.4, "steps": 2, "lr": 0.05, "jitter": 3, "rotation": 8.0}


def first(run, count):
    return list(itertools.islice(run, count))


def reflected(place, side):
    """A place on a line of `side` pixels, reflected at both ends as often as it must."""
    place = (place + 0.5) % (2 * side)
    return min(max(min(place, 2 * side - place) - 0.5, 0), side - 1)


def moved(images, zoom, turn):
    """Enlarged and turned anticlockwise about the middle, one pixel after the other."""
    height, width = images.shape[2:]
    cos, sin = math.cos(math.radians(turn)) / zoom, math.sin(math.radians(turn)) / zoom
    made = torch.empty_like(images)
    for row, column in itertools.product(range(height), range(width)):
        down, right = row - (height - 1) / 2, column - (width - 1) / 2
        y = reflected(right * sin + down * cos + (height - 1) / 2, height)
        x = reflected(right * cos - down * sin + (width - 1) / 2, width)
        top, left = min(int(y), height - 2), min(int(x), width - 2)
        part, share = images[:, :, top : top + 2, left : left + 2], (y - top, x - left)
        weights = [[(1 - share[0]) * (1 - share[1]), (1 - share[0]) * share[1]], [share[0] * (1 - share[1]), 0]]
        weights[1][1] = share[0] * share[1]
        made[:, :, row, column] = (part * torch.tensor(weights, dtype=images.dtype)).sum((2, 3))
    return made


def test_the_first_round_is_a_dream_to_the_bit(convnet, pictures):
    images, mask = pictures(1, 3, 24, 33), torch.zeros(24, 33)
    mask[:, 10:] = 0.6
    objective = activity("3").within(mask)
    plain = list(dream(convnet(), objective, images, **OPTIONS, seed=3))
    run = list(keep_dreaming(convnet(), objective, images, rounds=1, **OPTIONS, seed=3))
    assert len(run) == len(plain) == 4
    for step, twin in zip(run, plain, strict=True):
        assert torch.equal(step.image, twin.image) and torch.equal(step.score, twin.score)
        assert (step.index, step.total, step.octave, step.octaves, step.round, step.rounds) == (
            twin.index, twin.total, twin.octave, twin.octaves, 1, 1,
        )  # fmt: skip


@pytest.mark.parametrize("zoom, turn", [(1.0, 0.0), (1.1, 0.0), (1.0, 10.0), (1.3, -25.0)])
def test_each_round_is_a_dream_of_what_the_round_before_left(convnet, pictures, zoom, turn):
    options = OPTIONS | {"jitter": 0, "rotation": 0.0}  # so that nothing hangs on the draws
    images = pictures(1, 3, 16, 21)
    run = list(keep_dreaming(convnet(), activity("3"), images, rounds=3, zoom=zoom, turn=turn, **options))
    for round in range(3):
        plain = list(dream(convnet(), activity("3"), images, **options))
        for step, twin in zip(run[4 * round : 4 * round + 4], plain, strict=True):
            assert (step.image - twin.image).abs().max() < 1e-6 and step.round == round + 1
        images = moved(plain[-1].image, zoom, turn)


def test_what_is_turned_out_of_the_picture_is_reflected_and_nothing_is_dark():
    bright = torch.full((1, 3, 20, 31), 0.9, dtype=torch.float64)
    net = nn.Conv2d(3, 2, 3).double()
    step = last(keep_dreaming(net, channel("", 0), bright, rounds=3, turn=30, lr=0, octaves=2))
    assert torch.allclose(step.image, bright, atol=1e-9)


def test_a_positive_turn_is_anticlockwise(pictures):
    images = torch.zeros(1, 3, 21, 21, dtype=torch.float64)
    images[:, :, 10, 18] = 1  # to the right of the middle
    net = nn.Conv2d(3, 2, 3).double()
    step = last(keep_dreaming(net, channel("", 0), images, rounds=2, turn=90, lr=0, octaves=1, steps=1))
    expected = torch.zeros_like(images)
    expected[:, :, 2, 10] = 1  # above it
    assert torch.allclose(step.image, expected, atol=1e-9)


def test_without_a_number_of_rounds_there_is_no_end(convnet, pictures):
    run = first(keep_dreaming(convnet(), activity("3"), pictures(1, 3, 16, 20), zoom=1.02, **OPTIONS), 11)
    assert [(s.index, s.round, s.octave) for s in run] == [(k, 1 + k // 4, 1 + k % 4 // 2) for k in range(11)]
    assert all((s.total, s.rounds) == (None, None) for s in run)


def test_some_rounds_are_counted_as_one_run(convnet, pictures):
    run = list(keep_dreaming(convnet(), activity("3"), pictures(1, 3, 16, 20), rounds=3, **OPTIONS))
    assert [(s.index, s.total, s.rounds) for s in run] == [(k, 12, 3) for k in range(12)]


def test_no_round_repeats_the_draws_of_another_and_a_seed_repeats_them_all(convnet, pictures):
    images = pictures(1, 3, 16, 20)

    def shifts(seed):
        """What each round does to the same picture: with no learning rate it never changes."""
        run = keep_dreaming(convnet(), activity("3"), images, rounds=6, octaves=1, steps=1, lr=0, jitter=8, seed=seed)
        return [step.score.item() for step in run]

    assert len(set(shifts(0))) > 1 and shifts(0) == shifts(0) != shifts(1)
    whole = [last(keep_dreaming(convnet(), activity("3"), images, rounds=2, zoom=1.1, **OPTIONS)) for _ in range(2)]
    assert torch.equal(whole[0].image, whole[1].image)


def test_zoom_and_turn_change_when_the_round_ends_and_all_else_at_once(convnet, pictures):
    images, options = pictures(1, 3, 16, 20), OPTIONS | {"octaves": 1}
    run = keep_dreaming(convnet(), activity("3"), images, **options)
    plain = keep_dreaming(convnet(), activity("3"), images, zoom=1.1, turn=5.0, **options)
    assert torch.equal(next(run).image, next(plain).image)
    assert torch.equal(run.send({"zoom": 1.1, "turn": 5.0}).image, next(plain).image)
    assert torch.equal(next(run).image, next(plain).image)  # the second round
    still = run.send({"lr": 0})
    assert still.octave == 1 and not torch.equal(still.image, next(run).image)  # the third round begins enlarged
    assert run.send({"objective": channel("5", 1), "lr": 0.1}).round == 3


def test_rounds_can_be_ended_and_begun_while_it_runs(convnet, pictures):
    run = keep_dreaming(convnet(), activity("3"), pictures(1, 3, 16, 20), **OPTIONS)
    assert first(run, 5)[-1].round == 2
    ending = run.send({"rounds": 1})  # has begun two, and so ends with the second
    assert (ending.total, ending.rounds) == (8, 2)
    assert first(run, 2)[-1].index == 7
    on = run.send({"rounds": None})
    assert (on.index, on.round, on.total) == (8, 3, None)
    run.send({"rounds": 3})
    assert [step.index for step in run] == [10, 11]


def test_going_on_after_the_last_step_is_as_if_there_had_been_no_end(convnet, pictures):
    images, options = pictures(1, 3, 16, 20), OPTIONS | {"zoom": 1.1}
    run = keep_dreaming(convnet(), activity("3"), images, rounds=1, **options)
    *_, _ = first(run, 4)
    on = run.send({"rounds": None, "objective": channel("5", 1)})
    through = keep_dreaming(convnet(), activity("3"), images, **options)
    first(through, 4)
    assert torch.equal(on.image, through.send({"objective": channel("5", 1)}).image)


def test_outside_the_masks_a_loop_that_does_not_move_changes_no_bit(convnet, pictures):
    images, mask = pictures(2, 3, 24, 31), torch.zeros(24, 31)
    mask[5:15, 8:20] = 1
    objective = activity("3").within(mask)
    step = last(keep_dreaming(convnet(), objective, images, rounds=3, **OPTIONS))
    outside = (mask == 0).expand_as(images)
    assert torch.equal(step.image[outside], images[outside]) and not torch.equal(step.image, images)
    assert not any("masks" in note for note in step.notes)


def test_a_loop_that_moves_past_its_masks_says_so(convnet, pictures):
    images, mask = pictures(1, 3, 24, 31), torch.zeros(24, 31)
    mask[:, 15:] = 1
    options = OPTIONS | {"rounds": 2, "zoom": 1.2}
    step = last(keep_dreaming(convnet(), activity("3").within(mask), images, **options))
    assert any("masks stay where they are" in note for note in step.notes)
    left = moved(images, 1.2, 0)[..., :14]
    assert (step.image[..., :14] - left)[..., :8].abs().max() < 1e-9  # moved there, nothing dreamed
    single = last(keep_dreaming(convnet(), activity("3").within(mask), images, **options | {"rounds": 1}))
    assert not any("masks" in note for note in single.notes)  # nothing is moved there
    free = last(keep_dreaming(convnet(), activity("3"), images, **options))
    assert not any("masks" in note for note in free.notes)


def test_each_image_of_a_batch_is_its_own_loop(convnet, pictures):
    images, options = pictures(2, 3, 16, 20), OPTIONS | {"rounds": 2, "zoom": 1.1, "turn": 3.0}
    both = last(keep_dreaming(convnet(), [activity("3"), channel("5", 1)], images, **options)).image
    for row, objective in enumerate((activity("3"), channel("5", 1))):
        alone = last(keep_dreaming(convnet(), objective, images[row : row + 1], **options)).image
        assert torch.allclose(both[row], alone[0], atol=1e-9)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"rounds": 0}, "rounds, if it is not None, is a whole number from 1 up, not 0"),
        ({"rounds": 2.5}, "rounds, if it is not None, is a whole number"),
        ({"zoom": 0.9}, "zoom is a number from 1 to 2, not 0.9"),
        ({"zoom": float("nan")}, "zoom is a number from 1 to 2, not nan"),
        ({"turn": 270}, "turn, in degrees, is a number from -180 to 180, not 270"),
        ({"turn": "left"}, "turn, in degrees, is a number"),
        ({"steps": 0}, "steps is a whole number from 1 up, not 0"),
        ({"jitter": -1}, "jitter, in pixels, is a whole number"),
    ],
    ids=str,
)
def test_impossible_options_are_refused_before_any_work(convnet, pictures, options, message):
    with pytest.raises(ValueError, match=message):
        keep_dreaming(convnet(), activity("3"), pictures(1, 3, 16, 16), **options)
    run = keep_dreaming(convnet(), activity("3"), pictures(1, 3, 16, 16), octaves=1)
    next(run)
    with pytest.raises(ValueError, match=message):
        run.send(options)
