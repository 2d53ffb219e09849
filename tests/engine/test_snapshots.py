"""A network that another thread trains: every answer has the weights of one moment, and training never notices."""

import gc
import sys
import threading
import time
import weakref
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import nn

from nbvis.engine import (
    METHODS,
    Network,
    Pixels,
    activations,
    ascend,
    attribute,
    channel,
    custom,
    dream,
    dropped_layers,
    faithfulness,
    invert_dropout,
    layers,
    preprocessing_check,
    randomization_check,
)
from nbvis.engine.ascent.gradient import Ascent
from nbvis.engine.network.forward_hooks import tapped
from nbvis.engine.network.other_threads import _by_frames, other_threads
from nbvis.engine.network.snapshots import Steady

TRAININGS = ["adam", "sgd", "by hand"]
RATE = 1e-3


class Uniform(nn.Module):
    """Channel k of `seen` is weight k times the picture's mean colour; between two updates all weights are equal.

    The side branch has what makes training a network worth its name, and counts for nothing.
    """

    def __init__(self, channels: int = 24):
        super().__init__()
        self.first = nn.ModuleList(nn.Conv2d(3, 1, 1, bias=False) for _ in range(channels // 2))
        self.conv, self.norm = nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.last = nn.ModuleList(nn.Conv2d(3, 1, 1, bias=False) for _ in range(channels // 2))
        self.relu, self.drop, self.seen = nn.ReLU(), nn.Dropout(0.5), nn.Identity()
        for weight in self.parameters():
            nn.init.ones_(weight)

    def forward(self, images):
        first = [part(images) for part in self.first]
        side = self.relu(self.norm(self.conv(images))).mean(1, keepdim=True)
        found = torch.cat([*first, *[part(images) for part in self.last]], 1)
        return self.drop(self.seen(self.relu(found + 0 * side))).mean((2, 3))


@contextmanager
def training(net: nn.Module, how: str) -> Iterator["Trainer"]:
    """A thread that trains at full speed; whatever goes wrong there surfaces at the end."""
    trainer = Trainer(net, how)
    trainer.thread.start()
    try:
        trainer.wait_for(5)
        yield trainer
        trainer.wait_for(5)
    finally:
        trainer.stop.set()
        trainer.thread.join()
    assert trainer.errors == []


class Trainer:
    """Every update adds `RATE` to all weights, after an ordinary forward and backward pass."""

    def __init__(self, net: nn.Module, how: str):
        self.net, self.how, self.stop = net, how, threading.Event()
        self.times, self.levels, self.errors = [], [], []
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        try:
            weights = list(self.net.parameters())
            make = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}.get(self.how)
            optimizer = make(weights, lr=RATE, foreach=False) if make else None
            images = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(1)).double()
            while not self.stop.is_set():
                self.net.train()(images).square().mean().backward()
                for weight in weights:
                    weight.grad = -torch.ones_like(weight)
                if optimizer is None:
                    with torch.no_grad():
                        for weight in weights:
                            weight -= RATE * weight.grad
                else:
                    optimizer.step()
                self.levels.append(weights[-1].flatten()[0].item())
                self.times.append(time.perf_counter())
        except Exception as error:
            self.errors.append(error)

    def wait_for(self, more: int):
        """Until it has made some more updates."""
        end = len(self.times) + more
        while len(self.times) < end and self.thread.is_alive():
            self.stop.wait(0.001)

    def level(self, when: float) -> float:
        """What the weights were at a time."""
        return self.levels[max(0, bisect_right(self.times, when) - 1)]


@pytest.fixture
def net():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Uniform().double()


def torn(activation):
    """How far the channels are from each other; zero, to the bit, if all weights are of one moment."""
    return activation.amax(1) - activation.amin(1)


SEEN = custom(lambda a: a.mean((1, 2, 3)) + 1e6 * torn(a).mean((1, 2)), "seen")
"""The weights' common value, for a picture that is white all over 3; far more if they are not equal."""

WHITE = torch.full((1, 3, 48, 48), 1 / 3, dtype=torch.float64)


def level_of(found: float) -> float:
    assert 0.9 < found < 1e3, f"weights of different moments: {found}"
    return found


def test_the_check_catches_weights_of_two_moments(net):
    assert level_of(next(ascend(net, SEEN, Pixels(WHITE), lr=0, transforms=())).score.item()) == pytest.approx(1)
    with torch.no_grad():
        net.last[0].weight += RATE
    with pytest.raises(AssertionError, match="different moments"):
        level_of(next(ascend(net, SEEN, Pixels(WHITE), lr=0, transforms=())).score.item())


@pytest.mark.parametrize("how", TRAININGS)
def test_without_a_steady_network_the_check_fails(device, net, how):
    """What all the other tests rest on: a twin that shares the weights does see them of two moments."""
    twin = Network(net, device=device).twin()
    with training(net, how) as trainer, pytest.raises(AssertionError):
        while trainer.thread.is_alive():
            with tapped(twin, ["seen"]) as seen:
                twin(WHITE.clone())
            assert torn(seen["seen"]).max() == 0


@pytest.mark.parametrize("how", TRAININGS)
def test_no_snapshot_has_weights_of_two_moments(device, net, how):
    steady = Steady(Network(net, device=device))
    with training(net, how):
        found = []
        while len(set(found)) < 40:
            if steady._take(time.perf_counter() + 0.3, strict=True):
                (level,) = {
                    value for weight in steady.network.module.parameters() for value in weight.unique().tolist()
                }
                found.append(level)
    assert found == sorted(found)


@pytest.mark.parametrize("how", TRAININGS)
@pytest.mark.parametrize("kind", ["ascend", "dream"])
def test_every_step_has_the_weights_of_one_moment_and_of_the_last_second(net, kind, how):
    with training(net, how) as trainer:
        run = (
            ascend(net, SEEN, Pixels(WHITE), steps=10_000, lr=0, transforms=())
            if kind == "ascend"
            else dream(net, SEEN, WHITE, octaves=1, steps=10_000, lr=0, jitter=0)
        )
        levels, notes = [], ()
        while len(set(levels)) < 5:
            began = time.perf_counter()
            step = next(run)
            levels.append(level_of(step.score.item()))
            assert levels[-1] > trainer.level(began - 1) - 1e-9
            notes = step.notes
    assert levels == sorted(levels)
    assert any("trained meanwhile" in note for note in notes)


@pytest.mark.parametrize("how", TRAININGS)
@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_an_inversion_has_target_and_picture_of_one_moment(net, how, optimizer):
    images = WHITE * torch.linspace(0.2, 1, 48).double()
    levels, notes = [], set()
    with training(net, how) as trainer:
        while len(set(levels)) < 4:  # a run may find its end before the next snapshot
            began = time.perf_counter()
            for step in invert_dropout(net, "", images, tolerance=0, optimizer=optimizer, lr=1e-4):
                assert torn(step.clean_output[:, :, None, None]).max() == 0
                levels.append(step.clean_output[0, 0].item() / images.mean().item() / 3)
                assert levels[-1] > trainer.level(began - 1) - 1e-9
                assert step.noisy_output.isfinite().all() and step.corrupted_output is not None
                assert torn(step.corrupted_output[:, :, None, None]).max() == 0
                notes.update(step.notes)
                if len(set(levels)) == 4:
                    break
                began = time.perf_counter()
    assert any("trained meanwhile" in note for note in notes)


@pytest.mark.parametrize("how", TRAININGS)
def test_answers_have_the_weights_of_one_moment(net, how):
    options = {
        "integrated_gradients": {"steps": 12, "chunk": 1},
        "smoothgrad": {"samples": 12, "chunk": 1, "noise": 0.01},
    }
    with training(net, how) as trainer:
        for _ in range(2):
            began = time.perf_counter()
            seen = activations(net, WHITE, ["seen"])["seen"]
            assert torn(seen).max() == 0 and seen[0, 0, 0, 0] >= trainer.level(began) - 1e-9
            for method in METHODS:
                found = attribute(net, WHITE, 23, method=method, **options.get(method, {}))
                level = level_of(found.score.item())
                assert level >= trainer.level(began) - 1e-9
                if method in ("gradient", "integrated_gradients", "smoothgrad"):
                    assert found.map.sum().item() == pytest.approx(
                        level if "integrated" in method else 3 * level, rel=1e-9
                    )


@pytest.mark.parametrize("how", TRAININGS)
def test_whatever_is_asked_leaves_training_alone(net, how):
    """Also what reads the buffers, and what runs a network many times."""
    with training(net, how):
        assert [layer.name for layer in layers(net, WHITE)][-1] == "drop"
        assert dropped_layers(net, WHITE) == ["drop", ""]
        images = WHITE * torch.linspace(0.2, 1, 48).double()
        found = attribute(net, images, 0)
        assert faithfulness(net, images, found, cell=8, points=5).insertion["attribution"].isfinite().all()
        assert randomization_check(net, images, "gradient", target=0, stages=3).stages
        assert preprocessing_check(net, images).low > 0


def test_progress_never_goes_back(net):
    told = []
    with training(net, "sgd"):
        for _ in range(5):
            attribute(net, WHITE, 0, method="occlusion", chunk=1, progress=lambda *word: told.append(word))
            dones = [done for done, _ in told]
            assert dones == sorted(dones) and told[-1][0] == told[-1][1]
            told.clear()


def test_an_answer_that_would_be_thrown_away_ends_early(net):
    """A weight written at the third of many chunks: no more than one chunk goes on with the old ones."""
    count, told = [], []
    net.seen.register_forward_hook(lambda *_: count.append(1))

    def write(done, total):
        told.append(done)
        if done == 3 and len(told) == 3:
            with torch.no_grad():
                net.conv.weight.mul_(1)

    plain = len(attribute_counted(net, count))
    with_a_write = len(attribute_counted(net, count, progress=write))
    assert plain < with_a_write < plain + 15 and told[3:6] == [3, 3, 3] and told[-1] == told[-2] + 1


def attribute_counted(net, count, **options):
    count.clear()
    attribute(net, WHITE, 0, method="occlusion", chunk=1, **options)
    return list(count)


def test_without_training_nothing_is_copied_and_nothing_said(device, net):
    run = ascend(net, channel("seen", 0), Pixels(WHITE), steps=3)
    assert [step.notes for step in run] == [()] * 3
    steady = Steady(Network(net, device=device))
    weights = steady.run(lambda network: {weight.data_ptr() for weight in network.twin().parameters()})
    assert weights == {weight.data_ptr() for weight in net.parameters()}


def test_a_change_between_two_steps_needs_no_snapshot(net):
    for step in ascend(net, SEEN, Pixels(WHITE), steps=4, lr=0, transforms=()):
        assert step.score.item() == pytest.approx(1 + step.index) and step.notes == ()
        with torch.no_grad():
            for weight in net.parameters():
                weight += 1


def test_an_inversion_follows_a_change_between_two_steps(net):
    run = invert_dropout(net, "", WHITE * torch.linspace(0.2, 1, 48).double(), tolerance=0, lr=1e-4)
    first = next(run)
    with torch.no_grad():
        for weight in net.parameters():
            weight *= 2
    second = next(run)
    assert torch.allclose(second.clean_output, 2 * first.clean_output)
    assert torch.allclose(second.noisy_output, 2 * first.noisy_output)
    assert torch.equal(second.masks["drop"], first.masks["drop"])
    assert second.loss > 2 * first.loss  # of the new weights, whose squares count


def test_an_error_of_the_network_itself_is_told_once(net):
    calls = []

    def fail(*_):
        calls.append(1)
        raise OSError("boom")

    net.seen.register_forward_hook(fail)
    with pytest.raises(RuntimeError, match="boom"):
        activations(net, WHITE, ["drop"])
    assert len(calls) <= 2  # the trial pass and the one that was asked for


def test_a_snapshot_is_let_go_with_its_run(net):
    with training(net, "sgd"):
        run = ascend(net, SEEN, Pixels(WHITE), steps=1000, lr=0, transforms=())
        while not next(run).notes:
            pass
        (ascent,) = [each for each in gc.get_objects() if type(each) is Ascent and each.network.module is net]
        snapshot = weakref.ref(ascent._looking._steady[ascent.network].network.module)
        del ascent
    assert snapshot() is not None
    run.close()
    del run
    gc.collect()
    assert snapshot() is None


@pytest.mark.parametrize("enabled", [True, False])
def test_no_garbage_is_collected_while_other_threads_are_looked_at(net, enabled):
    """Up to Python 3.11 a finaliser that ran there would let a thread go on whose frames are being read."""
    inside, every = [], []

    def note(phase, info):
        frame, names = sys._getframe(), []
        while frame is not None:
            names.append(frame.f_code.co_name)
            frame = frame.f_back
        every.append(phase)
        inside.extend(name for name in names if name == _by_frames.__name__)

    thresholds = gc.get_threshold()
    with training(net, "sgd"):
        gc.callbacks.append(note)
        gc.set_threshold(1, 1, 1)
        try:
            if not enabled:
                gc.disable()
            for _ in range(20):
                assert other_threads().alive
                assert gc.isenabled() == enabled
        finally:
            gc.set_threshold(*thresholds)
            gc.callbacks.remove(note)
            gc.enable()
    assert not inside and (every or not enabled)
