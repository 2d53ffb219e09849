"""Dreams: octave by octave against a slow plain twin that builds the Laplacian pyramid and rolls back by hand."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from nbvis.engine import Network, activity, channel, check_objective, dream, last, logit, octave_sizes


def resized(images, size):
    if images.shape[2:] == torch.Size(size):
        return images
    return F.interpolate(images, size=size, mode="bilinear", align_corners=False, antialias=size[0] < images.shape[2])


def blurred(images, sd, side=9):
    """A two-dimensional Gaussian of side x side pixels, one channel after the other."""
    offsets = torch.arange(side, dtype=images.dtype) - side // 2
    kernel = torch.exp(-(offsets[:, None] ** 2 + offsets[None] ** 2) / (2 * sd**2))
    kernel = kernel / kernel.sum()
    padded = F.pad(images, [side // 2] * 4, mode="reflect")
    rows = [F.conv2d(padded[:, c : c + 1], kernel[None, None]) for c in range(images.shape[1])]
    return torch.cat(rows, 1)


def shifts(seed, index, jitter):
    """The draws of a step: a roll for both directions."""
    generator = torch.Generator().manual_seed(seed * 1_000_003 + index)
    return torch.randint(0, 2 * jitter + 1, (2,), generator=generator).sub(jitter).tolist()


def slow_dream(images, parts, *, octaves, scale, steps, lr, jitter, smoothing=None, seed=0):
    """parts: (score of images, mask (height, width) or None); yields the picture after each update."""
    sizes = [tuple(int(s * scale**-n) for s in images.shape[2:]) for n in range(octaves - 1, -1, -1)]
    low, details = images, []
    for size in reversed(sizes[:-1]):
        smaller = resized(low, size)
        details.insert(0, low - resized(smaller, low.shape[2:]))
        low = smaller
    x, index, found = low, 0, []
    for octave, size in enumerate(sizes):
        if octave:
            x = resized(x, size) + details[octave - 1]
        for inner in range(steps):
            down, right = shifts(seed, index, jitter)
            change = torch.zeros_like(x)
            for score, mask in parts:
                leaf = x.roll((down, right), (2, 3)).requires_grad_()
                (gradient,) = torch.autograd.grad(score(leaf).sum(), leaf)
                gradient = gradient.roll((-down, -right), (2, 3))
                if smoothing is not None:
                    sd = 2 * (inner + 1) / steps + smoothing
                    gradient = blurred(gradient, sd / 2) + blurred(gradient, sd) + blurred(gradient, 2 * sd)
                gradient = gradient / gradient.std()
                if mask is not None:
                    small = mask[None, None].double()
                    if mask.shape != torch.Size(size):
                        small = F.interpolate(small, size=size, mode="bilinear", align_corners=False, antialias=True)
                    gradient = gradient * small
                change = change + gradient
            x = (x + lr * change).clamp(0, 1)
            index += 1
            found.append((x, score(x)))
    return found


OPTIONS = {"octaves": 3, "scale": 1.4, "steps": 3, "lr": 0.02, "jitter": 4}


def engine_options(options):
    return {"octave_scale" if key == "scale" else key: value for key, value in options.items()}


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"octaves": 1},
        {"octaves": 2, "scale": 2.5},
        {"jitter": 0},
        {"jitter": 40},
        {"seed": 7},
        {"steps": 1},
        {"lr": 0.3},
        {"smoothing": 0.5},
        {"smoothing": 2.0, "jitter": 0},
    ],
    ids=str,
)
def test_it_equals_the_slow_twin(convnet, pictures, change):
    net, options = convnet(), OPTIONS | change
    images = pictures(1, 3, 31, 40, low=0.0, high=1.0)
    expected = slow_dream(images, [(lambda x: net[:4](x).square().mean((1, 2, 3)), None)], **options)
    run = list(dream(net, activity("3"), images, **engine_options(options)))
    assert len(run) == len(expected)
    for step, (image, _) in zip(run, expected, strict=True):
        assert step.image.shape == image.shape and (step.image - image).abs().max() < 1e-6
        assert 0 <= step.image.min() and step.image.max() <= 1


def test_masked_objectives_add_up(convnet, pictures):
    net, images = convnet(), pictures(1, 3, 24, 33)
    left, soft = torch.zeros(24, 33), torch.linspace(0, 1, 24 * 33).view(24, 33)
    left[:, :16] = 1
    parts = [
        (lambda x: net[:4](x).square().mean((1, 2, 3)), left),
        (lambda x: 3 * net[:1](x)[:, 2].mean((1, 2)), soft),
        (lambda x: -net(x)[:, 1], None),
    ]
    objective = activity("3").within(left) + 3 * channel("0", 2).within(soft) - logit(1)
    expected = slow_dream(images, parts, **OPTIONS)
    run = list(dream(net, objective, images, **engine_options(OPTIONS)))
    assert (run[-1].image - expected[-1][0]).abs().max() < 1e-6
    total = sum(score(images.roll(tuple(shifts(0, 0, 4)), (2, 3))) for score, _ in parts)
    first = next(dream(net, objective, images, **engine_options(OPTIONS | {"octaves": 1})))
    assert torch.allclose(first.score, torch.as_tensor(total))


@pytest.mark.parametrize("mask", [None, "half"])
@pytest.mark.parametrize(
    "options", [{}, {"rotation": 30.0}, {"smoothing": 1.0}, {"octave_scale": 1.1, "octaves": 5}], ids=str
)
def test_no_learning_rate_gives_the_picture_back_to_the_bit(convnet, pictures, options, mask):
    images = pictures(2, 3, 26, 35, low=0.0, high=1.0)
    objective = activity("3") if mask is None else activity("3").within(torch.arange(26.0)[:, None].expand(26, 35) / 26)
    step = last(dream(convnet(), objective, images, lr=0, steps=2, **options))
    assert torch.equal(step.image, images)


@pytest.mark.parametrize("octaves", [1, 2, 4])
def test_pixels_that_no_mask_reaches_stay_to_the_bit(convnet, pictures, octaves):
    images, mask = pictures(2, 3, 30, 41, low=0.0, high=1.0), torch.zeros(30, 41)
    mask[7:19, 11:30] = 0.7
    other = torch.zeros(30, 41)
    other[20:25, 3:9] = 1
    objective = activity("3").within(mask) + channel("0", 1).within(other)
    step = last(dream(convnet(), objective, images, octaves=octaves, steps=2, lr=0.1, rotation=20, smoothing=0.5))
    outside = ((mask + other) == 0).expand_as(images)
    assert torch.equal(step.image[outside], images[outside])
    assert (step.image != images)[~outside].float().mean() > 0.9


def test_each_image_and_objective_of_a_batch_is_its_own_run(convnet, pictures):
    images, options = pictures(2, 3, 20, 28), {"octaves": 2, "steps": 2}
    mask = torch.zeros(20, 28)
    mask[:, 14:] = 1
    objectives = [activity("3").within(mask) + logit(2).within(1 - mask), -logit(1).within(mask)]
    together = last(dream(convnet(), objectives, images, **options))
    for row, objective in enumerate(objectives):
        alone = last(dream(convnet(), objective, images[row : row + 1], **options))
        assert torch.allclose(together.image[row], alone.image[0], atol=1e-9)
        assert torch.allclose(together.score[row], alone.score[0], rtol=1e-9)
    outside = (mask == 0).expand_as(images[1])
    assert torch.equal(together.image[1][outside], images[1][outside])


def test_the_same_seed_gives_the_same_bits(convnet, pictures):
    images, state = pictures(1, 3, 20, 28), torch.get_rng_state()

    def dreamed(seed: int):
        return last(dream(convnet(), activity("3"), images, octaves=2, steps=2, rotation=10, seed=seed)).image

    first, again, other = dreamed(3), dreamed(3), dreamed(4)
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert torch.equal(state, torch.get_rng_state())


def test_rotation_turns_what_the_network_sees_and_back(device, convnet, pictures):
    images = pictures(1, 3, 24, 40)
    seen = []

    def note(x):
        seen.append(x.detach())
        return x

    network = Network(convnet(), preprocess=note, device=device)
    plain = last(dream(network, activity("3"), images, octaves=1, steps=2, jitter=0))
    none = last(dream(network, activity("3"), images, octaves=1, steps=2, jitter=0, rotation=0.0))
    assert torch.equal(plain.image, none.image) and all(torch.equal(x, images) for x in seen[:1])
    seen.clear()
    step = next(dream(network, activity("3"), images, octaves=1, steps=1, jitter=0, rotation=90, lr=0.01))
    assert any(not torch.equal(x, images) for x in seen) and torch.isfinite(step.image).all()
    assert (step.image - images).abs().max() < 0.2


def test_the_gradient_comes_back_through_the_exact_adjoint(convnet, pictures):
    """<warp x, y> = <x, adjoint y>: what autograd does; turning by the opposite angle would not."""
    net, images = convnet(), pictures(1, 3, 24, 40)
    from nbvis.engine.ascent.transforms import warped

    generator = torch.Generator().manual_seed(0)
    torch.randint(0, 1, (2,), generator=generator)
    turn = (torch.rand((), generator=generator, dtype=torch.float64).item() - 0.5) * 60
    leaf = images.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(net[:4](warped(leaf, [1.0], [turn])).square().mean(), leaf)
    step = next(dream(net, activity("3"), images, octaves=1, steps=1, jitter=0, rotation=60, lr=0.01))
    assert torch.allclose(step.image, (images + 0.01 * gradient / gradient.std()).clamp(0, 1), atol=1e-12)


def test_three_steps_raise_the_score(convnet, pictures):
    for objective in (activity("3"), channel("5", 1), -logit(2), activity("0") * channel("5", 1)):
        run = [step.score for step in dream(convnet(), objective, pictures(1, 3, 20, 20), octaves=1, steps=4, jitter=0)]
        assert run[-1] > run[0]


def test_octave_sizes():
    assert octave_sizes(200, 300, 4, 1.4) == [(72, 109), (102, 153), (142, 214), (200, 300)]
    assert octave_sizes(7, 9, 1, 1.0) == [(7, 9)]


@given(st.integers(1, 600), st.integers(1, 600), st.integers(1, 6), st.floats(1.01, 3))
def test_octave_sizes_of_any_kind(height, width, octaves, scale):
    if int(min(height, width) * scale ** -(octaves - 1)) < 1:
        with pytest.raises(ValueError, match=f"of {height} × {width} pixels"):
            octave_sizes(height, width, octaves, scale)
        return
    sizes = octave_sizes(height, width, octaves, scale)
    assert sizes[-1] == (height, width) and len(sizes) == octaves
    for n, (rows, columns) in enumerate(reversed(sizes)):
        assert (rows, columns) == (math.floor(height * scale**-n), math.floor(width * scale**-n))


@settings(max_examples=10)
@given(st.integers(8, 30), st.integers(8, 30), st.integers(1, 3), st.floats(1.05, 1.6), st.integers(0, 50))
def test_any_format_runs_and_keeps_its_size(convnet_once, height, width, octaves, scale, jitter):
    images = torch.full((1, 3, height, width), 0.5, dtype=torch.float64)
    images[:, :, ::2] = 0.4
    run = list(dream(convnet_once, activity("3"), images, octaves=octaves, octave_scale=scale, steps=1, jitter=jitter))
    assert [tuple(step.image.shape[2:]) for step in run] == octave_sizes(height, width, octaves, scale)


@pytest.fixture(scope="module")
def convnet_once():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return torch.nn.Sequential(
            *(torch.nn.Conv2d(3, 4, 3, padding=1), *(torch.nn.ReLU(), torch.nn.Identity()), torch.nn.Conv2d(4, 4, 3))
        ).double()


@pytest.mark.parametrize("channels", [1, 6])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_grey_and_many_channels_and_both_precisions(convnet, pictures, channels, dtype):
    step = last(dream(convnet(channels, dtype=dtype), activity("3"), pictures(1, channels, 16, 21), octaves=2, steps=2))
    assert step.image.shape == (1, channels, 16, 21) and step.image.dtype == dtype


def test_steps_are_numbered_over_the_whole_run(convnet, pictures):
    run = list(dream(convnet(), activity("3"), pictures(1, 3, 20, 20), octaves=3, steps=2))
    assert [(s.index, s.total, s.octave, s.octaves) for s in run] == [(k, 6, 1 + k // 2, 3) for k in range(6)]
    assert list(dream(convnet(), activity("3"), pictures(1, 3, 20, 20), steps=0)) == []


def test_a_step_stays_true_when_the_run_has_gone_on(convnet, pictures):
    def run():
        return dream(convnet(), activity("3"), pictures(1, 3, 20, 20), octaves=2, steps=2)

    at_once = [step.image.clone() for step in run()]
    assert all(torch.equal(step.image, image) for step, image in zip(list(run()), at_once, strict=True))


def test_options_change_between_steps(convnet, pictures):
    images = pictures(1, 3, 20, 20)
    run = dream(convnet(), activity("3"), images, octaves=1, steps=30, jitter=0)
    first = next(run)
    assert torch.equal(run.send({"lr": 0, "jitter": 5, "rotation": 20.0, "smoothing": 1.0}).image, first.image)
    step = run.send({"lr": 0.02, "steps": 5})
    assert (step.index, step.total) == (2, 5) and not torch.equal(step.image, first.image)
    assert [s.index for s in run] == [3, 4]


def test_fewer_steps_end_the_octave_and_more_lengthen_it(convnet, pictures):
    run = dream(convnet(), activity("3"), pictures(1, 3, 20, 20), octaves=2, steps=4)
    next(run)
    next(run)
    step = run.send({"steps": 2})
    assert (step.octave, step.index, step.total) == (2, 2, 4)
    step = run.send({"steps": 3})
    assert (step.octave, step.index, step.total) == (2, 3, 5)
    assert last(run).index == 4


def test_what_was_dreamed_before_a_new_objective_stays_in_the_picture(convnet, pictures):
    images = pictures(1, 3, 32, 40)
    mask = torch.zeros(32, 40)
    mask[:, 20:] = 1
    run = dream(convnet(), activity("3").within(mask), images, octaves=3, steps=2, lr=0.1)
    next(run)
    reached = next(run)
    assert run.send({"objective": channel("0", 1), "lr": 0}).octave == 2
    end = last(run)
    assert end.octave == 3
    change, dreamed = end.image - images, reached.image - resized(resized(images, (22, 28)), (16, 20))
    assert torch.equal(end.image[..., :20], images[..., :20])  # where the first mask was 0
    assert F.cosine_similarity(resized(change, (16, 20)).flatten(), dreamed.flatten(), dim=0) > 0.9
    assert change.abs().mean() > 0.5 * dreamed.abs().mean()


def test_a_new_mask_freezes_what_is_there_then(convnet, pictures):
    images, mask = pictures(1, 3, 24, 24), torch.zeros(24, 24)
    mask[:12] = 1
    run = dream(convnet(), activity("3"), images, octaves=1, steps=6, lr=0.05)
    reached = next(run).image
    run.send({"objective": activity("3").within(mask)})
    end = last(run).image
    assert torch.equal(end[:, :, 12:], reached[:, :, 12:]) and not torch.equal(end[:, :, :12], reached[:, :, :12])


def test_a_gradient_that_is_the_same_everywhere_moves_the_picture_by_the_learning_rate(pictures):
    net = torch.nn.Conv2d(1, 1, 1, bias=False).double()
    with torch.no_grad():
        net.weight.fill_(0.3)
    images = pictures(1, 1, 9, 9)
    step = next(dream(net, channel("", 0), images, octaves=1, steps=1, lr=0.01))
    assert torch.allclose(step.image, images + 0.01, atol=1e-9)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"octaves": 0}, "octaves is a whole number from 1 up, not 0"),
        ({"octaves": 2.0}, "octaves is a whole number"),
        ({"octave_scale": 1.0}, "octave_scale is a ratio above 1, not 1.0"),
        ({"octave_scale": float("nan")}, "octave_scale is a ratio above 1, not nan"),
        ({"octave_scale": "big"}, "octave_scale is a ratio above 1, not 'big'"),
        ({"octaves": 30}, r"30 octaves of scale 1.4 leave \(0, 0\) of 16 × 16 pixels"),
        ({"steps": -1}, "steps is a whole number"),
        ({"jitter": -1}, "jitter, in pixels, is a whole number"),
        ({"jitter": 2.5}, "jitter, in pixels, is a whole number from 0 up, not 2.5"),
        ({"rotation": -5}, "rotation is in degrees from 0 to 360, not -5"),
        ({"rotation": "5"}, "rotation is in degrees"),
        ({"smoothing": 0}, "smoothing is None or a number above 0, not 0"),
        ({"smoothing": "much"}, "smoothing is None or a number above 0, not 'much'"),
        ({"lr": -1}, "lr is a number from 0 up"),
    ],
    ids=str,
)
def test_impossible_options_are_refused_before_any_work(convnet, pictures, options, message):
    with pytest.raises(ValueError, match=message):
        dream(convnet(), activity("3"), pictures(1, 3, 16, 16), **options)
    changeable = {key: value for key, value in options.items() if not key.startswith("octave")}
    if changeable:
        run = dream(convnet(), activity("3"), pictures(1, 3, 16, 16), octaves=1)
        next(run)
        with pytest.raises(ValueError, match=message):
            run.send(changeable)


def test_errors_come_before_any_work(convnet, pictures):
    images = pictures(1, 3, 16, 16)
    for call in (lambda o, x: dream(convnet(), o, x, octaves=2), lambda o, x: check_objective(convnet(), o, x)):
        with pytest.raises(ValueError, match="no layer '33'; did you mean '3'"):
            call(activity("33"), images)
        with pytest.raises(ValueError, match="no channel 8"):
            call(channel("3", 8), images)
        with pytest.raises(ValueError, match=r"\(16, 16\) pixels, not \(16, 15\)"):
            call(activity("3").within(torch.ones(16, 15)), images)
        with pytest.raises(ValueError, match=r"add the batch"):
            call(activity("3"), images[0])
        with pytest.raises(ValueError, match="NaN"):
            call(activity("3"), images * float("nan"))
        with pytest.raises(RuntimeError, match=r"does not run on images of shape \(1, 1, "):
            call(activity("3"), images[:, :1])
    run = dream(convnet(), activity("3"), images, octaves=1)
    next(run)
    with pytest.raises(ValueError, match="'octaves' does not change during a run"):
        run.send({"octaves": 2})


def test_a_network_of_fixed_size_says_at_which_octave_it_does_not_run(pictures):
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 3), torch.nn.Flatten(), torch.nn.Linear(2 * 14 * 14, 3)).double()
    with pytest.raises(RuntimeError, match=r"does not run on images of shape \(1, 3, 11, 11\)"):
        dream(net, logit(1), pictures(1, 3, 16, 16), octaves=2)
    assert last(dream(net, logit(1), pictures(1, 3, 16, 16), octaves=1, steps=2)).index == 1
