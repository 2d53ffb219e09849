"""Objectives that compare: with a vector, an activation, the other images of the batch, or other pictures."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from nbvis.engine import (
    Fourier,
    Names,
    Network,
    Pixels,
    activations,
    activity,
    affine,
    ascend,
    attribute,
    caricature,
    channel,
    check_objective,
    direction,
    diversity,
    dream,
    guide,
    jitter,
    last,
    logit,
    match,
    planes,
    side_by_side,
)

SHAPES = st.tuples(st.integers(1, 4), st.integers(1, 6), st.integers(1, 5), st.integers(1, 5))


def drawn(shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# What each scores, against a slow plain twin.


@given(SHAPES, st.booleans(), st.integers(0, 99))
def test_direction_is_the_mean_inner_product(shape, flat, seed):
    activation, vector = drawn(shape[:2] if flat else shape, seed), drawn(shape[1:2], seed + 1)
    slow = []
    for image in activation.reshape(*shape[:2], -1):
        places = [sum(a * v for a, v in zip(place, vector, strict=True)) for place in image.T]
        slow.append(sum(places) / len(places))
    found = direction("a", vector).score({"a": activation})
    assert torch.allclose(found, torch.stack(slow), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("index", range(4))
def test_the_direction_of_a_channel_is_that_channel(index):
    seen, unit = {"a": drawn((3, 4, 5, 6))}, torch.eye(4)[index]
    for vector in (unit, unit.tolist(), unit.cpu().numpy(), unit.int()):
        assert torch.allclose(direction("a", vector).score(seen), channel("a", index).score(seen), rtol=1e-12)


def test_a_direction_may_have_a_sum_that_its_own_precision_does_not_hold():
    vector = torch.full((2,), 60_000.0, dtype=torch.float16)
    assert direction("a", vector).score({"a": torch.ones(1, 2)}).item() == 120_000


@given(SHAPES, st.booleans(), st.integers(0, 99))
def test_match_is_minus_the_mean_squared_difference(shape, each, seed):
    found, wanted = drawn(shape, seed), drawn((shape[0] if each else 1, *shape[1:]), seed + 1)
    slow = [
        -np.mean([(a - b) ** 2 for a, b in zip(one.flatten().tolist(), two.flatten().tolist(), strict=True)])
        for one, two in zip(found, wanted.expand(shape), strict=True)
    ]
    score = match("a", wanted).score({"a": found})
    assert torch.allclose(score, torch.tensor(slow, dtype=torch.float64), rtol=1e-9)
    assert torch.equal(match("a", found).score({"a": found}), torch.zeros(shape[0], dtype=torch.float64))


def slow_diversity(activation):
    """For each image minus the mean over the others of the cosine between Gram matrices, entry by entry."""
    flat = activation.flatten(2) if activation.dim() > 2 else activation[..., None]
    grams = []
    for image in flat:
        count = len(image)
        rows = [torch.stack([(image[a] * image[b]).sum() for b in range(count)]) for a in range(count)]
        grams.append(torch.stack(rows))
    scores = []
    for i, one in enumerate(grams):
        others = [other for j, other in enumerate(grams) if j != i]
        cosines = [(one * other).sum() / (one.square().sum() * other.square().sum()).sqrt() for other in others]
        scores.append(-sum(cosines) / len(cosines))
    return torch.stack(scores)


@given(SHAPES.filter(lambda shape: shape[0] > 1), st.booleans(), st.integers(0, 99))
def test_diversity_is_minus_the_mean_cosine_of_gram_matrices(shape, flat, seed):
    activation = drawn(shape[:2] if flat else shape, seed)
    score = diversity("a").score({"a": activation})
    assert torch.allclose(score, slow_diversity(activation), rtol=1e-9, atol=1e-12)
    assert -1 - 1e-9 <= score.min() and score.max() <= 1e-9  # two positive semi-definite matrices


def test_the_gradient_of_diversity_moves_an_image_by_its_own_score_alone():
    activation = drawn((3, 4, 5)).requires_grad_()
    (found,) = torch.autograd.grad(diversity("a").score({"a": activation}).sum(), activation)
    for i in range(3):
        (slow,) = torch.autograd.grad(slow_diversity(activation)[i], activation)
        assert torch.allclose(found[i], slow[i], rtol=1e-9)


def test_a_layer_that_is_silent_gives_no_nan():
    for objective in (diversity("a"), direction("a", [1.0, 2.0]), match("a", torch.ones(1, 2, 3, 3))):
        silent = torch.zeros(2, 2, 3, 3, requires_grad=True)
        score = objective.score({"a": silent})
        score.sum().backward()
        assert silent.grad is not None and torch.isfinite(silent.grad).all() and torch.isfinite(score).all()


def slow_caricature(x, y, power):
    dot = (x * y).sum()
    cosine = dot / (x.square().sum() * y.square().sum()).sqrt()
    return dot * max(torch.tensor(0.1, dtype=x.dtype), cosine) ** power


def compared(objective, seen, others):
    """The score of activations beside those of the other pictures."""
    (reference,) = objective.references
    return objective.score({"a": seen}, {reference: {"a": others}})


@given(SHAPES, st.sampled_from([0, 0.5, 1, 1.5, 2, 3.7]), st.integers(0, 99))
def test_caricature_is_the_inner_product_times_a_power_of_the_cosine(shape, power, seed):
    x, y = drawn(shape, seed), drawn(shape, seed + 1)
    found = compared(caricature("a", torch.rand(1, 3, 4, 4), power), x, y)
    slow = torch.stack([slow_caricature(one, two, power) for one, two in zip(x, y, strict=True)])
    assert torch.allclose(found, slow, rtol=1e-9)


@pytest.mark.parametrize("power", [0, 0.5, 1.0, 2.5])
@pytest.mark.parametrize("sign", [-1, 0, 1])
def test_a_negative_or_zero_inner_product_gives_no_nan(power, sign):
    x, y = (sign * torch.ones(2, 3, 2, 2, dtype=torch.float64)).requires_grad_(), torch.ones(2, 3, 2, 2).double()
    score = compared(caricature("a", torch.rand(1, 3, 4, 4), power), x, y)
    score.sum().backward()
    assert x.grad is not None and torch.isfinite(score).all() and torch.isfinite(x.grad).all()
    assert (x.grad > 0).all()  # up is towards the picture, wherever it starts
    assert torch.equal(score.detach().sign(), torch.full((2,), sign, dtype=torch.float64))


def slow_guide(x, y):
    """The mean over positions of the largest inner product with any position, and its gradient by the notebook."""
    dots = torch.einsum("cp,cq->pq", x.flatten(1), y.flatten(1))
    best = y.flatten(1)[:, dots.argmax(1)] / dots.shape[0]
    return dots.amax(1).mean(), best.reshape(x.shape)


@pytest.mark.parametrize("chunks", [1, 7, 2**24])
def test_a_guide_gives_each_position_its_best_match(chunks, monkeypatch):
    monkeypatch.setattr("nbvis.engine.ascent.picture_objectives._MOST", chunks)
    x, y = drawn((3, 4, 5, 6)).requires_grad_(), drawn((1, 4, 3, 8), 1)
    score = compared(guide("a", torch.rand(1, 3, 4, 4)), x, y)
    (gradient,) = torch.autograd.grad(score.sum(), x)
    for i in range(3):
        slow, best = slow_guide(x[i], y[0])
        assert torch.allclose(score[i], slow, rtol=1e-12) and torch.allclose(gradient[i], best, rtol=1e-12)
    own = drawn((3, 4, 2, 2), 2)
    score = compared(guide("a", torch.rand(3, 3, 4, 4)), x, own)
    assert torch.allclose(score, torch.stack([slow_guide(x[i], own[i])[0] for i in range(3)]), rtol=1e-12)


# In a run: the same as the loop written out by hand.

TRANSFORMS = [jitter(2), affine(shift=2, zoom=(0.8, 1.2), degrees=20)]


def twin_step(net, images, score, transforms, seed, index):
    """Score and gradient at the images of the first step, with the draws of `ascend`."""

    def view(batch):
        generator = torch.Generator().manual_seed(seed * 1_000_003 + index)
        for transform in transforms:
            batch = transform(batch, generator)
        return batch

    leaf = images.clone().requires_grad_()
    value = score(net[:6](view(leaf)), view)
    return value.detach(), torch.autograd.grad(value.sum(), leaf)[0]


def first_update(net, objective, images, transforms=TRANSFORMS, seed=3):
    """Score and gradient of a first step of `ascend`, by plain gradient descent at learning rate 1."""
    run = ascend(net, objective, Pixels(images), steps=1, lr=1e-3, optimizer="sgd", transforms=transforms, seed=seed)
    step = next(run)
    return step, (step.image - images) / 1e-3


def test_a_caricature_sees_its_picture_through_the_same_view_as_the_image(convnet, pictures):
    net, images, photo = convnet(), pictures(3, 3, 12, 10), pictures(1, 3, 12, 10, seed=1)

    def score(found, view):
        with torch.no_grad():
            wanted = net[:6](view(photo.expand(3, -1, -1, -1)))
        return torch.stack([slow_caricature(x, y, 2.0) for x, y in zip(found, wanted, strict=True)])

    value, gradient = twin_step(net, images, score, TRANSFORMS, 3, 0)
    step, moved = first_update(net, caricature("5", photo, 2.0), images)
    assert torch.allclose(step.score, value, rtol=1e-9) and torch.allclose(moved, gradient, rtol=1e-6, atol=1e-9)
    several = caricature("5", torch.cat([photo] * 3), 2.0)
    assert torch.allclose(first_update(net, several, images)[1], moved, rtol=1e-6, atol=1e-9)


def test_in_a_list_each_image_is_compared_with_its_own_picture(convnet, pictures):
    net, images, photos = convnet(), pictures(3, 3, 12, 10), pictures(3, 3, 12, 10, seed=1)
    other = pictures(1, 3, 9, 14, seed=2)
    objectives = [
        caricature("5", photos[:1]) + caricature("2", photos[1:2]),
        channel("5", 1) + diversity("5") * caricature("5", photos[2:]),
        guide("2", other) + match("5", activations(net, images, ["5"])["5"] + 1),
    ]
    step, moved = first_update(net, objectives, images)
    for i, objective in enumerate(objectives):
        for_all, moved_all = first_update(net, objective, images)
        assert torch.allclose(step.score[i], for_all.score[i], rtol=1e-9)
        assert torch.allclose(moved[i], moved_all[i], rtol=1e-6, atol=1e-9) and moved[i].any()


def test_with_a_mask_of_its_own_each_part_moves_only_what_it_may(convnet, pictures):
    net, images, photo = convnet(), pictures(2, 3, 12, 10), pictures(1, 3, 12, 10, seed=1)
    left = torch.zeros(12, 10)
    left[:, :4] = 1
    objective = diversity("5").within(left) + caricature("5", photo).within(1 - left)
    _, moved = first_update(net, objective, images)
    _, apart = first_update(net, diversity("5"), images)
    _, alike = first_update(net, caricature("5", photo), images)
    assert torch.allclose(moved[..., :4], apart[..., :4], rtol=1e-6, atol=1e-9)
    assert torch.allclose(moved[..., 4:], alike[..., 4:], rtol=1e-6, atol=1e-9)


def test_a_guide_is_seen_as_it_is(convnet, pictures):
    net, images, photo = convnet(), pictures(2, 3, 12, 10), pictures(1, 3, 20, 7, seed=1)
    with torch.no_grad():
        features = net[:6](photo)[0]

    def score(found, view):
        return torch.stack([slow_guide(x, features)[0] for x in found])

    value, gradient = twin_step(net, images, score, TRANSFORMS, 3, 0)
    step, moved = first_update(net, guide("5", photo), images)
    assert torch.allclose(step.score, value, rtol=1e-9) and torch.allclose(moved, gradient, rtol=1e-6, atol=1e-9)


def test_a_guide_is_seen_again_once_the_network_has_learnt(convnet, pictures):
    net, images, photo = convnet(), pictures(1, 3, 12, 10), pictures(1, 3, 20, 7, seed=1)
    run = ascend(net, guide("5", photo), Pixels(images), lr=0, transforms=())
    before = next(run).score
    with torch.no_grad():
        net[3].weight.mul_(2)
    after = next(run).score
    assert torch.allclose(after, first_update(net, guide("5", photo), images, ())[0].score, rtol=1e-9)
    assert not torch.allclose(after, before)


def test_equal_pictures_are_shown_once_for_all_layers(convnet, pictures):
    from nbvis.engine.ascent.reference import References

    photo, images = pictures(1, 3, 8, 8), pictures(2, 3, 8, 8)
    objective = caricature("5", photo) + caricature("2", photo.clone()) + caricature("2", 1 - photo)
    shown = []

    def show(batch):
        shown.append(len(batch))
        return {}

    (beside,) = References([objective], images, None).seen((8, 8), lambda each: each, show)
    assert shown == [2, 2] and list(beside) == list(objective.references)


@pytest.mark.parametrize("kind", ["direction", "match", "diversity", "caricature", "guide"])
@pytest.mark.parametrize("way", ["ascend", "dream"])
def test_three_steps_raise_each(convnet, pictures, house, kind, way):
    net, images, photo = convnet(), pictures(2, 3, 24, 20), pictures(1, 3, 24, 20, seed=1)
    with torch.no_grad():
        wanted = net[:6](photo)
    objective = {
        "direction": direction("5", [1.0, -1, 0, 2, 0, 1, -3, 0.5]),
        "match": match("5", wanted),
        "diversity": diversity("5"),
        "caricature": caricature("5", photo),
        "guide": guide("5", photo[..., :9]),
    }[kind]

    def score(now):
        return next(ascend(net, objective, Pixels(now), lr=0, transforms=())).score.sum()

    with house(net):
        if way == "ascend":
            end = last(ascend(net, objective, Pixels(images), steps=6, lr=0.02, transforms=())).image
        else:
            end = last(dream(net, objective, images, octaves=2, steps=5, lr=0.02, jitter=0)).image
    assert score(end) > score(images)


@pytest.mark.parametrize("make", [lambda p: caricature("5", p), lambda p: caricature("5", p) + guide("2", p)])
def test_in_a_dream_the_picture_follows_the_size_of_the_octave(convnet, pictures, make):
    net, images, photo = convnet(), pictures(1, 3, 30, 20), pictures(1, 3, 30, 20, seed=1)
    steps = list(dream(net, make(photo), images, octaves=3, steps=1, lr=0.01, jitter=3, rotation=10))
    assert [tuple(step.image.shape[2:]) for step in steps] == [(15, 10), (21, 14), (30, 20)]
    assert all(step.notes == () for step in steps)
    small = F.interpolate(photo, (15, 10), mode="bilinear", antialias=True)
    half = F.interpolate(images, (21, 14), mode="bilinear", antialias=True)
    start = F.interpolate(half, (15, 10), mode="bilinear", antialias=True)
    found, wanted = net[:6](start), net[:6](small)
    bare = next(dream(net, caricature("5", photo), images, octaves=3, steps=1, lr=0.01, jitter=0))
    assert torch.allclose(bare.score, slow_caricature(found[0], wanted[0], 1)[None], rtol=1e-9)


def test_what_is_done_to_pictures_and_activations_of_another_size_is_said(convnet, pictures):
    net, images, photo = convnet(), pictures(1, 3, 30, 20), pictures(1, 3, 20, 20, seed=1)
    step = next(dream(net, caricature("5", photo), images, octaves=2, steps=1))
    said = "The pictures that the images are compared with are 20 × 20 pixels: they are stretched to fit."
    assert step.notes == (said,)
    wanted = activations(net, images, ["5"])["5"]
    first, second = dream(net, match("5", wanted), images, octaves=2, steps=1, jitter=0, lr=0)
    assert first.notes == ("The activation to match is (8, 15, 10), and is resized to layer '5': (8, 11, 7).",)
    assert second.notes == () and second.score.abs().item() < 1e-9
    small = F.interpolate(wanted, (11, 7), mode="bilinear", antialias=True)
    found = net[:6](F.interpolate(images, (21, 14), mode="bilinear", antialias=True))
    assert torch.allclose(first.score, -(found - small).square().mean()[None], rtol=1e-9)


def test_a_layer_that_keeps_its_channels_last_is_read_alike(device):
    class Last(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.turn = nn.Conv2d(3, 4, 3), nn.Identity()

        def forward(self, x):
            return self.turn(self.conv(x).permute(0, 2, 3, 1)).mean((1, 2))

    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = Last().to(device).double()
    images, photo = torch.rand(2, 3, 8, 9).double(), torch.rand(1, 3, 6, 7).double()
    for make in (diversity, lambda name: guide(name, photo), lambda name: direction(name, [1.0, 2, 3, -4])):
        scores = [next(ascend(net, make(name), Pixels(images), lr=0, transforms=())).score for name in ("conv", "turn")]
        assert torch.allclose(*scores, rtol=1e-9)
    with pytest.raises(ValueError, match=r"to match is \(1, 4, 5, 4\), and layer 'turn' answers \(1, 6, 7, 4\)"):
        ascend(net, match("turn", torch.ones(1, 4, 5, 4)), Pixels(images))


def test_pairs_are_compared_with_pairs(device):
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.out = nn.Conv2d(3, 4, 3), nn.Identity()

        def forward(self, one, other):
            return self.out(self.conv(one) - self.conv(other)).mean((2, 3))

    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = Network(Two().to(device).double(), pair="inputs")
    images, photos = torch.rand(1, 3, 8, 16).double(), torch.rand(1, 3, 16, 32).double()
    halves = [F.interpolate(half, (8, 8), mode="bilinear", antialias=True) for half in photos.chunk(2, -1)]
    found, wanted = (activations(net, each, ["out"])["out"][0] for each in (images, side_by_side(*halves)))
    step = next(ascend(net, caricature("out", photos), Pixels(images), lr=0, transforms=()))
    assert torch.allclose(step.score, slow_caricature(found, wanted, 1)[None], rtol=1e-9)


def test_diversity_drives_images_apart(convnet):
    start = Fourier(24, 24, batch=3, sd=0.01)
    start = start.holding(start.values.double())

    def end(objective):
        image = last(ascend(convnet(), objective, start, steps=20, transforms=())).image
        return next(ascend(convnet(), diversity("5"), Pixels(image), lr=0, transforms=())).score

    alone, apart = end(channel("5", 1)), end(channel("5", 1) + 100 * diversity("5"))
    assert (1 + apart > 2 * (1 + alone)).all()


# The source.


def test_the_source_names_vectors_activations_and_pictures(convnet, pictures):
    photo, vector = pictures(1, 3, 8, 8), torch.ones(8).double()
    objective = direction("5", vector) - 2 * caricature("2", photo, 1.5) + guide("2", 1 - photo) * diversity("5")
    objective = (objective + match("5", photo)).within(torch.ones(8, 8) / 2) + direction("5", vector.clone())
    names = Names(taken=["vector"])
    source = objective.source(names)
    assert source == (
        "(direction('5', vector_2) - 2 * caricature('2', reference, 1.5) + guide('2', reference_2) * diversity('5')"
        " + match('5', reference)).within(mask) + direction('5', vector_2)"
    )
    assert {kind: [*found] for kind, found in names.given.items()} == {
        "mask": ["mask"],
        "vector": ["vector_2"],
        "reference": ["reference", "reference_2"],
    }
    assert names.values["reference"] is not photo and torch.equal(names.values["reference"], photo)


def test_the_source_gives_the_same_bits(convnet, pictures):
    net, images, photo = convnet(), pictures(2, 3, 12, 12), pictures(1, 3, 12, 12, seed=1)
    wanted = activations(net, images, ["5"])["5"]
    objective = 0.3 * direction("5", drawn((8,))) - caricature("2", photo, 0.5) * diversity("5") / 7
    objective = objective + (guide("5", photo) + match("5", wanted)).within(torch.rand(12, 12))
    names = Names()
    scope = dict(direction=direction, caricature=caricature, diversity=diversity, guide=guide, match=match)
    again = eval(objective.source(names), scope | names.values)
    one, other = (last(ascend(net, each, Pixels(images), steps=3)) for each in (objective, again))
    assert torch.equal(one.image, other.image) and torch.equal(one.score, other.score)


def test_what_an_objective_holds_is_a_copy(pictures):
    vector, photo = torch.ones(3), pictures(1, 3, 8, 8)
    objective, kept = direction("a", vector) + caricature("a", photo), photo.clone()
    vector.zero_()
    photo.zero_()
    names = Names()
    objective.source(names)
    assert torch.equal(names.values["vector"], torch.ones(3)) and torch.equal(names.values["reference"], kept)


# What is refused, and when: before any work.


@pytest.mark.parametrize(
    "make, error, message",
    [
        (lambda: direction("5", [[1.0]]), ValueError, r"a vector \(channels,\), not of shape \(1, 1\)"),
        (lambda: direction("5", []), ValueError, r"not of shape \(0,\)"),
        (lambda: direction("5", [0.0, 0]), ValueError, "not 0 everywhere"),
        (lambda: direction("5", [math.nan, 0]), ValueError, "finite"),
        (lambda: direction("5", [math.inf]), ValueError, "finite"),
        (lambda: direction("5", "left"), TypeError, "a vector of numbers, not str"),
        (lambda: direction("5", None), TypeError, "a vector of numbers, not NoneType"),
        (lambda: match("5", [1.0]), TypeError, "floating-point tensor, not list"),
        (lambda: match("5", torch.ones(1, 2, dtype=torch.int64)), TypeError, "not torch.int64"),
        (lambda: match("5", torch.ones(3)), ValueError, r"this one is \(3,\)"),
        (lambda: match("5", torch.full((1, 2), math.nan)), ValueError, "NaN"),
        (lambda: caricature("5", torch.rand(1, 3, 4, 4), -1), ValueError, "power is a number from 0 up, not -1"),
        (lambda: caricature("5", torch.rand(1, 3, 4, 4), True), ValueError, "not True"),
        (lambda: caricature("5", torch.rand(1, 3, 4, 4), math.inf), ValueError, "not inf"),
        (lambda: caricature("5", torch.rand(3, 4, 4)), ValueError, r"image\[None\]"),
        (lambda: guide("5", 2 * torch.ones(1, 3, 4, 4)), ValueError, r"lie in \[0, 1\]"),
        (lambda: guide("5", None), TypeError, "NoneType"),
    ],
)
def test_what_cannot_be_compared_with_is_refused_where_it_is_given(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    "objective, message",
    [
        (
            direction("5", [1.0, 2]),
            "of 2 numbers does not fit layer '5', which has 8 channels: give 8 numbers",
        ),
        (match("5", torch.ones(3, 8, 6, 6)), "3 activations to match for 2 images: give one, or one for each image"),
        (match("5", torch.ones(1, 4, 6, 6)), r"to match is \(1, 4, 6, 6\), and layer '5' answers \(1, 8, 6, 6\)"),
        (match("7", torch.ones(2, 9)), r"to match is \(2, 9\), and layer '7' answers \(2, 8\)"),
        (caricature("5", torch.rand(3, 3, 8, 8)), "has 3 pictures for 2 images: give one, or one for each"),
        (guide("5", torch.rand(3, 3, 8, 8)), "has 3 pictures for 2 images: give one, or one for each"),
        (guide("5", torch.rand(1, 1, 8, 8)), r"guide\('5', reference\) have 1 channels, and the images 3"),
        (guide("nowhere", torch.rand(1, 3, 8, 8)), "no layer 'nowhere'"),
    ],
    ids=str,
)
def test_what_does_not_fit_the_network_or_the_images_is_refused_before_any_work(convnet, pictures, objective, message):
    net, images = convnet(), pictures(2, 3, 12, 12)
    for refuse in (
        lambda: check_objective(net, objective, images),
        lambda: ascend(net, objective, Pixels(images)),
        lambda: dream(net, objective, images, octaves=1),
    ):
        with pytest.raises(ValueError, match=message):
            refuse()


def test_one_image_alone_has_no_diversity(convnet, pictures):
    for objective in (diversity("5"), channel("5", 1) - 2 * diversity("5"), [diversity("5")]):
        with pytest.raises(ValueError, match=r"there is only one: give several, as Fourier\(height, width, batch=4\)"):
            ascend(convnet(), objective, Pixels(pictures(1, 3, 12, 12)))


def test_a_guide_on_which_the_network_does_not_run_is_named(pictures):
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(400, 2)).double()
    with pytest.raises(RuntimeError, match=r"does not run on images of shape \(1, 3, 9, 30\)"):
        ascend(net, guide("2", pictures(1, 3, 9, 30)), Pixels(pictures(1, 3, 12, 12)))


def test_other_pictures_are_asked_for_where_only_activations_are_given():
    with pytest.raises(ValueError, match=r"guide\('a', reference\) compares the images with other pictures"):
        guide("a", torch.rand(1, 3, 4, 4)).score({"a": torch.ones(1, 2, 3, 3)})


@pytest.mark.parametrize("make", [diversity, lambda name: caricature(name, torch.rand(1, 3, 4, 4))])
def test_an_attribution_refuses_what_compares_pictures(convnet, pictures, make):
    with pytest.raises(ValueError, match="compares pictures, and an attribution explains an image by itself"):
        attribute(convnet(), pictures(2, 3, 12, 12), logit(1) + make("5"))


def test_an_attribution_explains_a_direction_and_a_match(convnet, pictures):
    net, images = convnet(), pictures(2, 3, 12, 12)
    vector = torch.eye(8)[2]
    one, other = (attribute(net, images, target).map for target in (direction("5", vector), channel("5", 2)))
    assert torch.allclose(one, other, rtol=1e-9)
    assert attribute(net, images, match("5", torch.ones(1, 8, 6, 6))).map.any()


def test_the_objective_may_change_to_one_with_pictures_and_back(convnet, pictures):
    net, images, photo = convnet(), pictures(2, 3, 12, 12), pictures(1, 3, 12, 12, seed=1)
    run = ascend(net, activity("5"), Pixels(images), lr=0, transforms=())
    plain = next(run).score
    with_pictures = run.send({"objective": caricature("5", photo)}).score
    assert torch.allclose(with_pictures, first_update(net, caricature("5", photo), images, ())[0].score)
    assert torch.equal(run.send({"objective": activity("5")}).score, plain)
    with pytest.raises(ValueError, match="3 pictures for 2 images"):
        run.send({"objective": caricature("5", photo.expand(3, -1, -1, -1))})


def test_planes_of_tokens_are_compared_too(pictures):
    class Tokens(nn.Module):
        def __init__(self):
            super().__init__()
            self.patch, self.block = nn.Conv2d(3, 4, 4, 4), nn.Linear(4, 6)

        def forward(self, x):
            return self.block(self.patch(x).flatten(2).mT).mean(1)

    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = Tokens().double()
    images = pictures(2, 3, 12, 16)
    found = activations(net, images, ["block"])
    step = next(ascend(net, diversity("block"), Pixels(images), lr=0, transforms=()))
    assert torch.allclose(step.score, slow_diversity(planes(found, "block")), rtol=1e-9)
