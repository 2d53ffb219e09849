"""Watching a training loop: it finds what `diagnose` finds, keeps to its share of the time, and leaves nothing."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from nbvis.engine import Network, collect, diagnose, watch
from nbvis.engine.statistics import watch as watching_module
from nbvis.engine.statistics.rules import effective_rank


@pytest.fixture
def net(device):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        parts = [nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.Conv2d(8, 8, 3), nn.ReLU()]
        return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4)).to(device)


@pytest.fixture
def images(pictures):
    return pictures(16, 3, 10, 10).float()


class Clock:
    """Time that passes by as much each time it is asked, which is what a thing takes that asks before and after."""

    def __init__(self):
        self.now, self.tick = 0.0, 1.0

    def __call__(self):
        self.now += self.tick
        return self.now


def train(net, images, steps, watching=None):
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    labels = torch.arange(len(images), device=images.device) % 4
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = F.cross_entropy(net(images), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def test_training_is_the_same_to_the_last_bit(net, images, house):
    other = copy.deepcopy(net)
    plain = train(other, images, 6)
    with torch.random.fork_rng():
        state = torch.get_rng_state()
        with watch(net, passes=2, share=1) as watching:
            watched = train(net, images, 6)
        assert torch.equal(torch.get_rng_state(), state)
    assert watched == plain and watching.looked == 6 and watching.passes == 6
    for one, two in zip(net.state_dict().values(), other.state_dict().values(), strict=True):
        assert torch.equal(one, two)


@pytest.mark.parametrize("end", ["quietly", "error in the loop", "error in the module", "error in the callback"])
def test_nothing_is_left_behind(net, images, house, end):
    def fail(*_):
        raise OSError("boom")

    net.eval()
    handle = net[3].register_forward_hook(fail) if end == "error in the module" else None
    with house(net):
        try:
            with watch(net, passes=1, share=1, callback=fail if end == "error in the callback" else None):
                net(images)
                if end == "error in the loop":
                    fail()
        except (OSError, RuntimeError) as error:
            assert "boom" in str(error) and end != "quietly"
        else:
            assert end == "quietly"
    if handle is not None:
        handle.remove()


def test_after_a_pass_that_failed_the_next_one_is_looked_at(net, images):
    with watch(net.eval(), passes=1, share=1) as watching:
        with pytest.raises(RuntimeError):
            net[0].weight.data, kept = net[0].weight.data[:, :1], net[0].weight.data
            net(images)
        net[0].weight.data = kept
        net(images)
    assert watching.last is not None and watching.last.statistics["4"].count[0] > 0


def test_a_look_is_what_collecting_the_same_images_gives(net, images):
    looks = []
    with watch(net.eval(), callback=looks.append, passes=3, images=16, share=1) as watching, torch.no_grad():
        for part in images.split(16) * 7:
            net(part)
    assert [look.index for look in looks] == [0, 1] and [look.passes for look in looks] == [3, 6]
    assert looks[-1] is watching.last
    expected = collect(net, [images] * 3, list(looks[0].statistics))
    assert list(looks[0].statistics) == ["0", "1", "2", "3", "4", "5", "6", "7"]
    for name, layer in expected.items():
        found = looks[1].statistics[name]
        assert torch.equal(found.count, layer.count) and torch.equal(found.zero_fraction, layer.zero_fraction)
        assert torch.allclose(found.mean, layer.mean) and torch.allclose(found.std, layer.std)
        assert torch.allclose(found.correlation, layer.correlation, atol=1e-6, equal_nan=True)
    assert {(each.rule, each.layer, each.channels) for each in looks[1].diagnosis} == {
        (each.rule, each.layer, each.channels) for each in diagnose(expected)
    }


def test_a_channel_that_dies_during_training_is_told_by_the_next_look(net, images):
    told = []
    with watch(net, callback=told.append, passes=2, share=1):
        train(net, images, 4)
        with torch.no_grad():
            net[3].bias[5] = -100
        train(net, images, 4)
    dead = [{(each.layer, each.channels) for each in look.diagnosis if each.rule == "dead channels"} for look in told]
    assert [("4", (5,)) in found for found in dead] == [False, False, True, True]


@pytest.mark.parametrize("share", [0.05, 0.1])
def test_looking_takes_its_share_of_the_time_and_no_more(net, images, monkeypatch, share):
    """With a clock that moves as looking asks for it, and by 40 in each step of the loop."""
    monkeypatch.setattr(watching_module, "clock", clock := Clock())
    begun = clock.now
    with watch(net.eval(), share=share, passes=2) as watching, torch.no_grad():
        for _ in range(150):
            net(images[:2, :, :4, :4])
            clock.now += 40
    one = watching.seconds / watching.looked
    assert watching.looked > 1 and watching.passes == 150
    assert watching.seconds <= share * (clock.now - begun) + 2 * one
    assert watching.seconds >= 0.5 * share * (clock.now - begun)


def test_a_pass_that_is_not_looked_at_has_no_hooks_on_its_layers(net, images):
    with watch(net.eval(), share=0) as watching:
        net(images)
        hooks = []
        inner = net[2].register_forward_hook(lambda *_: hooks.append([len(part._forward_hooks) for part in net]))
        net(images)
        inner.remove()
    assert watching.looked == 1 and hooks == [[0, 0, 1, 0, 0, 0, 0, 0]]


def test_layers_are_chosen_and_calls_are_told_apart(images):
    relu = nn.ReLU()
    net = nn.Sequential(nn.Conv2d(3, 4, 3), relu, nn.Sequential(nn.Conv2d(4, 4, 3), relu)).to(images.device)
    with watch(net, passes=1, share=1) as watching:
        net(images)
    assert list(watching.last.statistics) == ["0", "1:0", "2.0", "1:1"]
    with watch(net, ["2.0"], passes=1, share=1, images=5) as watching:
        net(images)
    assert list(watching.last.statistics) == ["2.0"] and watching.last.statistics.images == 5


def test_tokens_are_told_apart_from_channels(images):
    net = nn.Sequential(nn.Conv2d(3, 6, 2, 2), nn.Flatten(2), Turned(), nn.Linear(6, 5)).to(images.device)
    with watch(net, passes=1, share=1) as watching:
        net(images)
    assert watching.last.statistics["3"].count.tolist() == [8 * 25] * 5


class Turned(nn.Module):
    def forward(self, images):
        return images.transpose(1, 2)


def test_what_cannot_be_watched_is_told(net, images):
    def start(*given, **options):
        with watch(*given, **options):
            net(images)

    with pytest.raises(ValueError, match=r"no layer '9'; there are '0', '1'"):
        start(net, ["9"])
    with pytest.raises(TypeError, match=r"layers is a list of layer names, such as \['0'\], not one string"):
        start(net, "0")
    with pytest.raises(ValueError, match="share is a part of the time, from 0 to 1, not 5"):
        start(net, share=5)
    with pytest.raises(ValueError, match="passes is a whole number from 1 up, not 0"):
        start(net, passes=0)
    with pytest.raises(ValueError, match="compiled, and hooks see nothing in there"):
        start(torch.compile(net))
    with pytest.raises(TypeError, match=r"first argument is a batch of images.*given a tensor \(2, 3\)"), watch(net):
        net(torch.rand(2, 3))
    with pytest.raises(TypeError, match=r"expected a Network or an nn\.Module, got int"):
        start(3)


def test_a_network_is_watched_through_its_module(net, images, device):
    with watch(Network(net, preprocess=lambda x: x - 0.5, device=device), passes=1, share=1) as watching:
        net(images)
    assert watching.last.statistics["0"].shape == (8, 10, 10)


def test_the_effective_rank_of_few_observations_is_found_in_a_small_matrix():
    chance = torch.Generator("cpu").manual_seed(0)
    values = torch.randn(20, 90, generator=chance, dtype=torch.float64, device="cpu")
    r = torch.corrcoef(values.T)
    assert effective_rank(r, 20) == pytest.approx(effective_rank(r), rel=1e-9)
    assert 15 < effective_rank(r) < 19
