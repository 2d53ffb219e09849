"""Inversion: closed forms, the loop written out by hand, rows that know nothing of each other, and why one stays."""

import math
from contextlib import nullcontext

import pytest
import torch
import torch.nn.functional as F
from scipy.optimize import lsq_linear
from torch import nn

from nbvis.engine import DESCENTS, Network, invert_dropout, last

FAST = {"lbfgs": 1e-2, "adam": 1e-2, "sgd": 1.0}
"""A learning rate that gets each optimizer there in these small problems."""


def linear(rows: int, columns: int, seed: int = 0) -> nn.Linear:
    """Well conditioned: its singular values lie between 1 and 2."""
    generator = torch.Generator().manual_seed(seed)
    left, _, right = torch.linalg.svd(torch.randn(rows, columns, generator=generator, dtype=torch.float64), False)
    layer = nn.Linear(columns, rows).double()
    with torch.no_grad(), torch.random.fork_rng():
        layer.weight.copy_(left @ torch.diag(torch.linspace(1, 2, min(rows, columns), dtype=torch.float64)) @ right)
        layer.bias.copy_(torch.randn(rows, generator=generator, dtype=torch.float64))
    return layer


@pytest.fixture
def dropnet():
    """A convolutional network with dropout in two places, in float64."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return nn.Sequential(
            nn.Conv2d(3, 6, 3, padding=1),
            nn.BatchNorm2d(6),
            nn.ReLU(),
            nn.Dropout2d(0.3),
            nn.Conv2d(6, 8, 3, stride=2),
            nn.ReLU(inplace=True),
            nn.Flatten(),
            nn.Dropout(0.5),
            nn.Linear(8 * 9, 5),
        ).double()


@pytest.mark.parametrize("optimizer", DESCENTS)
def test_dropout_then_an_invertible_layer(pictures, optimizer):
    """The one minimum is where the input itself is dropped: x* = m · x / (1 − p)."""
    net = nn.Sequential(nn.Dropout(0.3), nn.Flatten(), linear(12, 12))
    images = pictures(2, 3, 2, 2)
    step = last(
        invert_dropout(
            net, "2", images, samples=3, tolerance=1e-13, bounds=None, optimizer=optimizer, lr=FAST[optimizer]
        )
    )
    expected = step.masks["0"] * images.repeat_interleave(3, 0) / 0.7
    assert step.converged.all() and torch.allclose(step.image, expected, atol=1e-6)
    assert torch.allclose(step.corrupted_output, step.noisy_output, atol=1e-6)


def test_gradient_descent_goes_the_shortest_way(pictures):
    """On a layer with fewer units than pixels it ends at x + W⁺ (t − W x), which displaces the input least."""
    wide = linear(5, 48)
    net = nn.Sequential(nn.Flatten(), nn.Sequential(wide, nn.Dropout(0.5)))
    images = pictures(2, 3, 4, 4)
    step = last(
        invert_dropout(net, "1", images, p=0.4, tolerance=1e-24, bounds=None, optimizer="sgd", lr=0.5, steps=3000)
    )
    before = wide(images.flatten(1))
    moved = (step.noisy_output - before) @ torch.linalg.pinv(wide.weight).T
    assert torch.allclose(step.image, images + moved.view_as(images).detach(), atol=1e-10)
    for other in "lbfgs", "adam":
        end = last(invert_dropout(net, "1", images, p=0.4, tolerance=1e-16, bounds=None, optimizer=other))
        assert end.converged.all()
        assert (end.image - images).norm() >= moved.norm() * (1 - 1e-6)


@pytest.mark.parametrize("optimizer", DESCENTS)
def test_nothing_dropped_gives_the_input_back_after_no_step(dropnet, pictures, optimizer):
    images = pictures(2, 3, 8, 8)
    (step,) = invert_dropout(dropnet, "8", images, p=0, samples=2, optimizer=optimizer, tolerance=0)
    assert torch.equal(step.image, images.repeat_interleave(2, 0)) and step.index == 0
    assert step.loss.eq(0).all() and step.converged.all() and step.notes == ()
    assert torch.equal(step.noisy_output, step.clean_output) and torch.equal(step.corrupted_output, step.clean_output)


def test_bounds_give_the_best_picture_inside_them():
    """A tall linear layer and a box have one minimum, which scipy knows."""
    tall = linear(20, 12)
    net = nn.Sequential(nn.Dropout(0.8), nn.Flatten(), tall)
    images = torch.rand(2, 3, 2, 2, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    step = last(invert_dropout(net, "2", images, tolerance=1e-9, steps=300))
    weight, bias = tall.weight.detach().cpu().numpy(), tall.bias.detach()
    for row in range(2):
        # The target lies in the range of the layer, so that the box alone keeps the loss above zero.
        found = lsq_linear(weight, (step.noisy_output[row] - bias).cpu().numpy(), bounds=(0, 1), tol=1e-14)
        assert torch.allclose(step.image[row].flatten(), torch.from_numpy(found.x).to(bias), atol=1e-5)
    assert step.image.min() >= 0 and step.image.max() <= 1
    assert len(step.notes) == 1 and "pixels held at the bounds: bounds=None would let them go" in step.notes[0]


def by_hand(net, images, target, make, lr, steps, bounds):
    """The loop that anyone would write, for one picture."""
    values = images.clone().requires_grad_()
    optimizer, found = make([values], lr=lr), []
    for _ in range(steps):
        optimizer.zero_grad()
        (net(values) - target).square().mean().backward()
        optimizer.step()
        with torch.no_grad():
            values.clamp_(*bounds) if bounds else None
            found.append((values.clone(), (net(values) - target).square().mean()))
    return found


@pytest.mark.parametrize("bounds", [None, (0, 1), (0.1, 0.9)])
@pytest.mark.parametrize("optimizer", [name for name, make in DESCENTS.items() if make])
def test_it_is_the_bare_loop_for_each_row(dropnet, pictures, optimizer, bounds):
    images, make = pictures(2, 3, 8, 8), DESCENTS[optimizer]
    run = list(invert_dropout(dropnet, "8", images, optimizer=optimizer, lr=0.03, steps=8, tolerance=0, bounds=bounds))
    assert [step.index for step in run] == list(range(8)) and all(step.total == 8 for step in run)
    for row in range(2):
        expected = by_hand(dropnet.eval(), images[row : row + 1], run[0].noisy_output[row], make, 0.03, 8, bounds)
        for step, (picture, loss) in zip(run, expected, strict=True):
            assert torch.allclose(step.image[row], picture[0], atol=1e-9)
            assert torch.allclose(step.loss[row], loss) and torch.equal(step.score, -step.loss)


@pytest.mark.parametrize("optimizer", DESCENTS)
def test_the_loss_is_that_of_the_image_shown(dropnet, pictures, optimizer):
    dropnet.eval()
    run = invert_dropout(dropnet, "5", pictures(1, 3, 8, 8), samples=3, optimizer=optimizer, steps=6, tolerance=0)
    with torch.no_grad():
        for step in run:
            x = pictures(1, 3, 8, 8) if step.index < 0 else step.image
            difference = dropnet[:6](x) - dropnet[4:6](dropnet[:3](pictures(1, 3, 8, 8)) * step.masks["3"] / 0.7)
            assert torch.allclose(step.loss, difference.square().flatten(1).mean(1))
            assert torch.allclose(step.corrupted_output, dropnet(step.image))
            assert step.corrupted_output is step.corrupted_output and step.image is step.image


def test_lbfgs_never_goes_up_and_beats_adam(dropnet, pictures):
    images = pictures(2, 3, 8, 8)
    run = list(invert_dropout(dropnet, "8", images, samples=2, tolerance=1e-6))
    losses = torch.stack([step.loss for step in run])
    assert (losses[1:] <= losses[:-1]).all() and run[-1].converged.all()
    assert run[-1].index < last(invert_dropout(dropnet, "8", images, samples=2, tolerance=1e-6, optimizer="adam")).index


@pytest.mark.parametrize("optimizer", DESCENTS)
def test_a_row_that_has_converged_stays_to_the_bit(dropnet, pictures, optimizer):
    tolerance = 1e-6 if optimizer == "lbfgs" else 1e-3
    run = invert_dropout(
        dropnet, "8", pictures(2, 3, 8, 8), samples=3, tolerance=tolerance, optimizer=optimizer, lr=FAST[optimizer] / 5
    )
    done: dict[int, tuple] = {}
    for step in run:
        for row in range(6):
            if row in done:
                assert step.converged[row] and torch.equal(step.image[row], done[row][0])
                assert step.loss[row] == done[row][1]
            elif step.converged[row]:
                assert step.loss[row] <= tolerance
                done[row] = step.image[row].clone(), step.loss[row].clone(), step.index
            else:
                assert step.loss[row] > tolerance
    assert len(done) == 6 and len({index for *_, index in done.values()}) > 1


@pytest.mark.parametrize("optimizer", DESCENTS)
def test_a_row_is_the_same_in_any_batch(dropnet, pictures, optimizer):
    images = pictures(3, 3, 8, 8)
    options = {"optimizer": optimizer, "lr": FAST[optimizer], "tolerance": 1e-5, "steps": 40}
    together = last(invert_dropout(dropnet, "8", images, samples=2, **options))
    for k in range(3):
        alone = last(invert_dropout(dropnet, "8", images[k : k + 1], samples=2, **options))
        assert torch.allclose(alone.image, together.image[2 * k : 2 * k + 2], atol=1e-9)
        assert torch.equal(alone.converged, together.converged[2 * k : 2 * k + 2])


def test_the_same_seed_gives_the_same_bits(dropnet, pictures):
    ends = [last(invert_dropout(dropnet, "8", pictures(1, 3, 8, 8), steps=5, seed=s)) for s in (3, 3, 4)]
    assert torch.equal(ends[0].image, ends[1].image) and torch.equal(ends[0].loss, ends[1].loss)
    assert not torch.equal(ends[0].image, ends[2].image)


def test_several_layers_add_up_with_their_weights(dropnet, pictures):
    images = pictures(1, 3, 8, 8)
    weights = {"5": 0.25, "8": 2.0}
    both = last(invert_dropout(dropnet, weights, images, steps=3, tolerance=0, samples=2))
    m, rows = both.masks, images.expand(2, -1, -1, -1)
    dropnet.eval()
    with torch.no_grad():
        middle = dropnet[4:6](dropnet[:3](rows) * m["3"] / 0.7)
        targets = {"5": middle, "8": dropnet[8](middle.flatten(1) * m["7"] / 0.5)}
        answers = {"5": dropnet[:6](both.image), "8": dropnet(both.image)}
    expected = sum(w * (answers[k] - targets[k]).square().flatten(1).mean(1) for k, w in weights.items())
    assert torch.allclose(both.loss, expected)
    listed = last(invert_dropout(dropnet, ["5", "8"], images, steps=3))
    named = last(invert_dropout(dropnet, {"5": 1, "8": 1.0}, images, steps=3))
    assert torch.equal(listed.image, named.image)


def test_a_layer_that_dropout_does_not_reach_is_held(dropnet, pictures):
    images = pictures(1, 3, 8, 8)
    step = last(invert_dropout(dropnet, {"2": 1e4, "8": 1e-3}, images, steps=20))
    assert step.notes[0] == "No dropout comes before layer '2': it is held where it is."
    free = last(invert_dropout(dropnet, "8", images, steps=20))
    assert (step.image - images).norm() < 0.1 * (free.image - images).norm()


def test_dropout_is_inserted_for_a_network_without(convnet, house, pictures):
    net, images = convnet(), pictures(1, 3, 8, 8)
    with house(net):
        step = last(invert_dropout(net, "8", images, insert="7", samples=2, p=0.2, bounds=None, tolerance=1e-6))
        own = last(invert_dropout(net, "2", images, insert="2", p=0.1, steps=1))
    with torch.no_grad():
        features = net[:8](images)
        assert torch.allclose(step.noisy_output, net[8](features * step.masks["7"] / 0.8))
        assert torch.allclose(own.noisy_output, net[3:](net[:3](images) * own.masks["2"] / 0.9))
    assert step.converged.all()
    assert torch.allclose(net(step.image), step.noisy_output, atol=1e-2)


def test_dropout_that_is_always_on_is_off_where_the_picture_is_sought(pictures):
    class Careless(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.head = nn.Conv2d(3, 4, 3), nn.Linear(144, 6)

        def forward(self, images):
            return self.head(F.dropout(self.conv(images).flatten(1), 0.5))  # as in many a script: training=True

    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = Careless().double().eval()
    images = pictures(1, 3, 8, 8)
    state = torch.get_rng_state()
    step = last(invert_dropout(net, "head", images, samples=2, tolerance=1e-8))
    assert torch.equal(state, torch.get_rng_state())
    with torch.no_grad():
        assert torch.allclose(step.clean_output, net.head(net.conv(images).flatten(1)).expand(2, -1))
        assert torch.allclose(net.head(net.conv(step.image).flatten(1)), step.noisy_output, atol=1e-3)
    assert step.converged.all()


def test_a_network_that_draws_random_numbers_of_its_own_is_reproducible(pictures):
    class Noisy(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.drop = nn.Conv2d(3, 4, 3), nn.Dropout()

        def forward(self, images):
            return self.drop(self.conv(images + 0.1 * torch.rand_like(images)))

    with torch.random.fork_rng():
        net = Noisy().double()
    state = torch.get_rng_state()
    ends = [last(invert_dropout(net, "drop", pictures(1, 3, 8, 8), steps=4)) for _ in range(2)]
    assert torch.equal(ends[0].image, ends[1].image) and torch.equal(state, torch.get_rng_state())
    (still,) = invert_dropout(net, "drop", pictures(1, 3, 8, 8), p=0)
    assert torch.equal(still.image, pictures(1, 3, 8, 8))


@pytest.mark.parametrize("optimizer", DESCENTS)
def test_no_learning_rate_gives_the_picture_back(dropnet, pictures, optimizer):
    images = pictures(1, 3, 8, 8)
    step = last(invert_dropout(dropnet, "8", images, lr=0, steps=3, optimizer=optimizer))
    assert torch.equal(step.image, images) and not step.converged.any()


@pytest.mark.parametrize("optimizer", DESCENTS)
def test_the_learning_rate_changes_between_steps(dropnet, pictures, optimizer):
    run = invert_dropout(dropnet, "8", pictures(1, 3, 8, 8), steps=9, optimizer=optimizer, tolerance=0)
    next(run)
    second = next(run)
    still = run.send({"lr": 0})
    assert torch.equal(still.image, second.image) and still.index == 2
    if optimizer != "lbfgs":  # which finds no way down any more and ends
        assert not torch.equal(run.send({"lr": 0.2}).image, still.image)


def test_a_new_learning_rate_is_the_length_of_the_next_step_of_lbfgs(dropnet, pictures):
    run = invert_dropout(dropnet, "8", pictures(1, 3, 8, 8), steps=9, lr=1e-3, tolerance=0, bounds=None)
    first, start = next(run), pictures(1, 3, 8, 8)
    assert math.isclose((first.image - start).square().mean().sqrt(), 1e-3, rel_tol=1e-6)
    second = next(run)
    third = run.send({"lr": 1e-4})
    assert math.isclose((third.image - second.image).square().mean().sqrt(), 1e-4, rel_tol=1e-6)


def test_the_tolerance_changes_between_steps(dropnet, pictures):
    run = invert_dropout(dropnet, "8", pictures(1, 3, 8, 8), samples=4, steps=500, tolerance=1e-3, lr=0.003)
    step = next(run)
    while not 0 < step.converged.sum() < 4:
        step = next(run)
    frozen = step.converged.nonzero()[0, 0]
    lower = run.send({"tolerance": 1e-6})
    assert not lower.converged[frozen] and not torch.equal(lower.image[frozen], step.image[frozen])
    higher = run.send({"tolerance": 1e9})
    assert higher.converged.all() and torch.equal(higher.image, lower.image)
    with pytest.raises(StopIteration):
        next(run)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"steps": 3}, "'steps' does not change during a run; there are 'lr', 'tolerance'"),
        ({"tolerence": 3}, "did you mean 'tolerance'"),
        ({"lr": -1}, "lr is a number from 0 up, not -1"),
        ({"tolerance": float("nan")}, "tolerance is a loss from 0 up, not nan"),
    ],
)
def test_an_impossible_change_is_an_error_that_ends_the_run(dropnet, pictures, changes, message):
    run = invert_dropout(dropnet, "8", pictures(1, 3, 8, 8), tolerance=0)
    next(run)
    with pytest.raises(ValueError, match=message):
        run.send(changes)
    with pytest.raises(StopIteration):
        next(run)


def test_a_step_stays_true_when_the_run_has_gone_on(dropnet, pictures):
    def run():
        return invert_dropout(dropnet, "8", pictures(1, 3, 8, 8), samples=2, steps=5, tolerance=1e-5)

    at_once = [(step.image.clone(), step.loss.clone(), step.corrupted_output.clone()) for step in run()]
    for (image, loss, output), step in zip(at_once, list(run()), strict=True):
        assert torch.equal(step.image, image) and torch.equal(step.loss, loss)
        assert torch.equal(step.corrupted_output, output)
        assert not step.image.requires_grad and not step.loss.requires_grad


def test_no_steps_show_what_dropout_does(dropnet, pictures):
    (step,) = invert_dropout(dropnet, "8", pictures(1, 3, 8, 8), steps=0, samples=2)
    assert torch.equal(step.image, pictures(1, 3, 8, 8).expand(2, -1, -1, -1)) and step.notes == ()
    assert not torch.equal(step.noisy_output, step.clean_output) and not step.converged.any()
    expected = (step.noisy_output - step.clean_output).square().mean(1)
    assert torch.allclose(step.loss, expected)


@pytest.mark.parametrize("optimizer", DESCENTS)
def test_a_tolerance_that_is_not_reached_says_why(dropnet, pictures, optimizer):
    images = pictures(1, 3, 8, 8)
    short = last(invert_dropout(dropnet, "8", images, samples=2, steps=1, tolerance=0, optimizer=optimizer, lr=1e-5))
    low, high = short.loss.sort().values.tolist()
    assert short.notes == (
        f"2 rows (0, 1) did not reach the tolerance of 0: their loss is {low:.3g} to {high:.3g}, "
        "and the one step is spent.",
    )
    # Two units with one input cannot differ, but their dropped selves do.
    net = nn.Sequential(nn.Conv2d(3, 2, 8, bias=False), nn.Dropout()).double()
    with torch.no_grad():
        net[0].weight[:] = net[0].weight[:1]
    masks = {"1": torch.tensor([1.0, 0.0]).view(1, 2, 1, 1)}
    step = last(
        invert_dropout(net, "1", images, masks=masks, steps=300, bounds=None, optimizer=optimizer, lr=FAST[optimizer])
    )
    assert f"Row 0 did not reach the tolerance of 0.001: its loss is {step.loss.item():.3g}, " in step.notes[0]
    assert "a plateau: no small change of the picture brings it nearer" in step.notes[0]


def test_a_picture_that_leaves_the_screens_range_says_so(pictures):
    net = nn.Sequential(nn.Dropout(0.5), nn.Flatten(), linear(12, 12))
    images = pictures(1, 3, 2, 2)
    step = last(invert_dropout(net, "2", images, bounds=None, tolerance=1e-12))
    assert step.notes == (
        f"The picture leaves [0, 1]: its pixels go from {step.image.min():.3g} to {step.image.max():.3g}.",
    )
    assert last(invert_dropout(net, "2", 3 * images, bounds=(-10, 10), tolerance=1e-12)).converged.all()


def test_an_explosion_is_an_error_that_names_the_step(pictures):
    net = nn.Sequential(nn.Flatten(), nn.Linear(12, 12), nn.Dropout()).double()
    run = invert_dropout(net, "2", pictures(1, 3, 2, 2), optimizer="sgd", lr=1e6, bounds=None, tolerance=0)
    shown = []
    with pytest.raises(FloatingPointError, match=r"the loss of row 0 is (inf|nan) at step \d+ and its gradient"):
        shown.extend(run)
    assert len(shown) > 2 and torch.isfinite(shown[0].image).all()


def test_a_network_that_overflows_says_so_at_the_call(pictures):
    net = nn.Sequential(nn.Dropout(), nn.Conv2d(3, 2, 3), nn.Hardtanh(-1e300, 1e300)).double()
    with torch.no_grad():
        net[1].weight.mul_(1e200)
    with pytest.raises(FloatingPointError, match=r"row 0 is inf before the first step .*: the network overflows"):
        invert_dropout(net, "2", pictures(1, 3, 8, 8))
    with torch.no_grad():
        net[1].weight.mul_(torch.nan)
    with pytest.raises(FloatingPointError, match="with dropout on, layer '1' gives NaN or infinite values"):
        invert_dropout(net, "1", pictures(1, 3, 8, 8))


def test_lbfgs_steps_back_from_where_the_network_overflows(pictures):
    class Cliff(nn.Module):
        def forward(self, images):
            return images / (images.abs() < 0.9)

    images = pictures(1, 3, 2, 2, low=0.1, high=0.4)
    net = nn.Sequential(Cliff(), nn.Dropout(0.5), nn.Flatten(), linear(12, 12))
    run = invert_dropout(net, "3", images, lr=2.0, bounds=None, tolerance=1e-10)
    first = next(run)
    assert torch.equal(first.image, images) and torch.isfinite(first.loss).all()
    assert last(run).converged.all()


@pytest.mark.parametrize(
    "around", [nullcontext, torch.no_grad, torch.inference_mode], ids=["plain", "no_grad", "inference"]
)
@pytest.mark.parametrize("active", [None, "train"])
def test_a_network_in_train_mode_stays_in_it(dropnet, house, pictures, active, around):
    net = dropnet.train()
    net[1].eval()
    images = pictures(2, 3, 8, 8).requires_grad_()
    with house(net), around():
        step = last(invert_dropout(net, "8", images, samples=2, steps=3, active=active))
        assert step.corrupted_output.shape == (4, 5)
    assert images.grad is None and not step.image.requires_grad


@pytest.mark.parametrize("end", ["close", "drop", "throw", "never started"])
def test_a_run_left_in_the_middle_leaves_nothing(dropnet, house, pictures, end):
    with house(dropnet):
        run = invert_dropout(dropnet, "8", pictures(1, 3, 8, 8), tolerance=0)
        if end != "never started":
            next(run)
            next(run)
        if end == "close":
            run.close()
        elif end == "throw":
            with pytest.raises(KeyboardInterrupt):
                run.throw(KeyboardInterrupt())
        del run


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("channels, height, width", [(1, 8, 8), (6, 7, 12), (3, 13, 5)])
def test_every_format_and_precision(device, convnet, pictures, channels, height, width, dtype):
    network = Network(convnet(channels=channels, dtype=dtype), preprocess=lambda x: (x - 0.4) / 0.3, device=device)
    images = pictures(2, channels, height, width)
    step = last(invert_dropout(network, "8", images, insert="5", samples=2, steps=200, tolerance=1e-4))
    assert step.image.shape == (4, channels, height, width) and step.image.dtype == step.loss.dtype == dtype
    assert step.loss.shape == step.converged.shape == (4,) and step.converged.dtype is torch.bool
    assert step.converged.all() and 0 <= step.image.min() and step.image.max() <= 1


def test_a_later_operation_in_place_does_not_change_the_target(dropnet, pictures):
    """Layer 4 is followed by a ReLU in place; its own answer may be below zero."""
    step = last(invert_dropout(dropnet, "4", pictures(1, 3, 8, 8), tolerance=1e-8))
    with torch.no_grad():
        target = dropnet[4](dropnet.eval()[:3](pictures(1, 3, 8, 8)) * step.masks["3"] / 0.7)
        assert target.min() < 0 and step.converged.all()
        assert torch.allclose(dropnet[:5](step.image), target, atol=1e-2)


def test_a_network_that_returns_no_tensor_has_no_output(pictures):
    class Pair(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.drop = nn.Conv2d(3, 2, 3), nn.Dropout()

        def forward(self, images):
            return {"features": self.drop(self.conv(images)), "count": 2}

    step = last(invert_dropout(Pair().double(), "drop", pictures(1, 3, 8, 8), steps=2))
    assert step.clean_output is step.noisy_output is step.corrupted_output is None


@pytest.mark.parametrize(
    "layer, options, error, message",
    [
        ("0", {}, ValueError, "no dropout acts before layer '0'; it does before '3', '4', '5', '6', '7', '8'$"),
        (["0", "2"], {}, ValueError, "no dropout acts before layer '0' or '2'"),
        ("9x", {}, ValueError, "no layer '9x'; there are '0'"),
        ([], {}, ValueError, r"layer is a name, several, or \{name: weight\}"),
        ({"8": -1.0}, {}, ValueError, r"\{name: weight\} with weights above 0, not \{'8': -1.0\}"),
        ("8", {"samples": 0}, ValueError, "samples is a whole number from 1 up, not 0"),
        ("8", {"steps": -1}, ValueError, "steps is a whole number from 0 up, not -1"),
        ("8", {"tolerance": -1}, ValueError, "tolerance is a loss from 0 up, not -1"),
        ("8", {"lr": -1}, ValueError, "lr is a number from 0 up, not -1"),
        ("8", {"optimizer": "adm"}, ValueError, "no optimizer 'adm'; did you mean 'adam'"),
        ("8", {"p": 1.5}, ValueError, "p is a probability from 0 to 1, or one for each of the 2 rows, not 1.5"),
        ("8", {"p": [0.1] * 3}, ValueError, "one for each of the 2 rows"),
        ("8", {"p": "half"}, ValueError, "p is a probability from 0 to 1"),
        ("8", {"p": [0.1, 0.2, 0.1, 0.2], "samples": 2, "active": "train"}, ValueError, "share one p"),
        ("8", {"bounds": (1, 0)}, ValueError, r"bounds is \(lowest, highest\) or None, not \(1, 0\)"),
        ("8", {"bounds": 1}, ValueError, r"bounds is \(lowest, highest\) or None, not 1"),
        ("8", {"bounds": (0.3, 0.7)}, ValueError, r"images must lie in bounds=\(0.3, 0.7\), not in \[0.2"),
        ("8", {"insert": "conv"}, ValueError, "no layer 'conv' to insert dropout after; there are '0'"),
    ],
)
def test_errors_come_at_the_call(dropnet, house, pictures, layer, options, error, message):
    with house(dropnet), pytest.raises(error, match=message):
        invert_dropout(dropnet, layer, pictures(2, 3, 8, 8), **options)


def test_images_that_do_not_fit(dropnet, pictures):
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\], not in"):
        invert_dropout(dropnet, "8", 2 * pictures(1, 3, 8, 8))
    with pytest.raises(ValueError, match="add the batch with image"):
        invert_dropout(dropnet, "8", pictures(3, 8, 8))
    with pytest.raises(RuntimeError, match=r"does not run on images of shape \(1, 1, 8, 8\)"):
        invert_dropout(dropnet, "8", pictures(1, 1, 8, 8))


def test_a_layer_without_gradient_says_so(pictures):
    class Detached(nn.Module):
        def forward(self, images):
            return images.detach() * 2

    net = nn.Sequential(nn.Dropout(), Detached(), nn.Conv2d(3, 2, 3)).double()
    with pytest.raises(RuntimeError, match="no gradient flows back from layer '2'"):
        invert_dropout(net, "2", pictures(1, 3, 8, 8))


def test_last_shows_how_far_it_is(dropnet, pictures, capsys):
    last(invert_dropout(dropnet, "8", pictures(1, 3, 8, 8), steps=3, tolerance=0), progress=True)
    assert "3/3" in capsys.readouterr().err
