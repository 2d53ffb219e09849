"""Diagnoses: each defect that is planted is found, with its numbers, and a healthy network has none."""

import pytest
import torch
from torch import nn

from nbvis.engine import THRESHOLDS, Diagnosis, Statistics, collect, diagnose


def stack(activation=nn.ReLU, width=16, depth=3, norm=True):
    """Convolutions, each with a norm and an activation function, and a classifier; seeded."""
    parts: list[nn.Module] = []
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for k in range(depth):
            conv = nn.Conv2d(width if k else 3, width, 3, padding=1)
            nn.init.kaiming_normal_(conv.weight)
            nn.init.zeros_(conv.bias)
            parts += [conv, *([nn.BatchNorm2d(width)] if norm else []), activation()]
        net = nn.Sequential(*parts, nn.MaxPool2d(2), nn.Flatten(), nn.Linear(width * 36, 10))
    return net.eval()


@pytest.fixture
def images(pictures):
    """96 pictures of their own contrast in each colour, in which channels go their own ways."""
    noise = pictures(96, 3, 12, 12, low=0, high=1)
    return (noise * pictures(96, 3, 1, 1, seed=1, low=0.2, high=1)).float()


def found(net, images, **options) -> Diagnosis:
    return diagnose(collect(net.to(images.device), images.split(24), **options))


def only(diagnosis: Diagnosis, rule: str):
    assert [each.rule for each in diagnosis] == [rule], str(diagnosis)
    (finding,) = diagnosis
    return finding


@pytest.mark.parametrize("activation", [nn.ReLU, nn.ReLU6, nn.Tanh, nn.GELU, nn.LeakyReLU])
@pytest.mark.parametrize("norm", [True, False])
@pytest.mark.parametrize("correlation", ["maxima", "positions"])
def test_a_healthy_network_has_none(images, activation, norm, correlation):
    diagnosis = found(stack(activation, norm=norm), images, correlation=correlation)
    assert not diagnosis.findings and str(diagnosis) == "Nothing was found."


def test_a_dead_channel_is_found_where_it_dies_and_followed_as_it_is_handed_on(images):
    net = stack()
    with torch.no_grad():
        net[7].bias[3] = net[7].bias[11] = -100  # the last norm before a ReLU, a pool and a flattening
    finding = only(found(net, images), "dead channels")
    assert (finding.layer, finding.channels, finding.measure, finding.threshold) == ("8", (3, 11), 1.0, 1.0)
    assert finding.later == ("9",)
    assert finding.sentence == "8: channels 3, 11 of 16 give 0 everywhere in all 96 images: dead."


def test_a_channel_that_only_gives_its_bias_is_dead(images):
    net = stack(norm=False)
    with torch.no_grad():
        net[2].weight[5] = 0
        net[2].bias[5] = 0.25
    diagnosis = found(net, images)
    assert {each.rule for each in diagnosis} == {"dead channels"}
    assert [(each.layer, each.channels) for each in diagnosis] == [("2", (5,))] and diagnosis[0].later == ("3",)
    assert "channel 5 of 16 gives 0.25 everywhere" in str(diagnosis)


def test_one_value_is_enough_to_be_alive(images):
    net = nn.Sequential(nn.Conv2d(3, 2, 1), nn.ReLU())
    with torch.no_grad():
        net[0].weight[:], net[0].bias[:] = 1, 0
        net[0].bias[1] = -images.sum(1).max() + 1e-4
    assert "dead channels" not in {each.rule for each in found(net, images)}


def test_an_inactive_layer(images):
    net = stack()
    with torch.no_grad():
        net[4].bias[:8] = -100
    diagnosis = found(net, images)
    dead, inactive = (
        next(each for each in diagnosis if each.rule == rule) for rule in ("dead channels", "inactive layer")
    )
    assert dead.layer == inactive.layer == "5" and dead.channels == tuple(range(8)) and inactive.channels == ()
    assert (inactive.measure, inactive.threshold) == (0.5, 0.5)
    assert inactive.sentence == "5: 8 of 16 channels are dead, 50% (inactive from 50%)."
    net[4].bias.data[0] = 0
    assert "inactive layer" not in {each.rule for each in found(net, images)}


@pytest.mark.parametrize(
    ("activation", "bound"), [(nn.ReLU6, "6"), (nn.Tanh, "-1 or 1"), (nn.Sigmoid, "0 or 1"), (nn.Hardtanh, "-1 or 1")]
)
def test_saturated_channels(images, activation, bound):
    net = stack(activation, depth=1)[:3]
    with torch.no_grad():
        net[1].bias[7] = 7 if activation is nn.ReLU6 else 0
        net[1].weight[7] = 4 if activation is nn.ReLU6 else 40
    finding = only(found(net, images), "saturated channels")
    assert (finding.layer, finding.channels) == ("2", (7,))
    assert finding.threshold == 0.5 < finding.measure < 1
    assert f"of the values lie at {bound} (saturated from 50%)" in finding.sentence


def test_a_channel_that_is_always_at_its_bound_is_both(images):
    net = stack(nn.ReLU6, depth=1)[:3]
    with torch.no_grad():
        net[1].bias[7] = 100
    diagnosis = found(net, images)
    assert {each.rule: (each.layer, each.channels, each.measure) for each in diagnosis} == {
        "dead channels": ("2", (7,), 1.0),
        "saturated channels": ("2", (7,), 1.0),
    }
    assert "gives 6 everywhere" in str(diagnosis)


@pytest.mark.parametrize("correlation", ["maxima", "positions"])
def test_duplicate_channels_make_groups(images, correlation):
    net = stack(depth=1)
    with torch.no_grad():
        for part in (net[0], net[1]):
            part.weight[9], part.bias[9] = part.weight[2], part.bias[2]
            part.weight[4], part.bias[4] = 1.5 * part.weight[2], part.bias[2]
            part.weight[12], part.bias[12] = part.weight[6], part.bias[6]
    diagnosis = found(net, images, correlation=correlation)
    assert {each.rule for each in diagnosis} == {"duplicate channels"}
    for finding in diagnosis[:2]:
        assert finding.groups == ((2, 4, 9), (6, 12)) and finding.channels == (2, 4, 6, 9, 12)
        assert finding.measure == pytest.approx(1.0) and finding.threshold == 0.98
    assert "5 of 16 channels repeat each other (2, 4, 9; 6, 12): |r| up to 1.0000" in diagnosis[0].sentence


def test_opposite_channels_are_duplicates_too(images):
    net = nn.Sequential(nn.Conv2d(3, 2, 3), nn.Identity())
    with torch.no_grad():
        net[0].weight[1] = -net[0].weight[0]
    finding = only(found(net, images, correlation="positions"), "duplicate channels")
    assert finding.channels == (0, 1) and finding.measure == pytest.approx(1.0) and finding.later == ("1",)


def test_two_channels_that_rise_in_one_image_alone_are_no_duplicates(pictures):
    """Their maxima correlate perfectly, and nothing follows from it."""
    net = nn.Sequential(nn.Conv2d(1, 2, 1), nn.ReLU())
    with torch.no_grad():
        net[0].weight[:], net[0].bias[:] = torch.tensor([1.0, 0.5]).view(2, 1, 1, 1), torch.tensor([-0.5, -0.25])
        net[0].weight[1], net[0].bias[1] = 2, -1.2
    images = 0.4 * pictures(80, 1, 4, 4).float()
    images[17] = 1
    statistics = collect(net.to(images.device), images.split(10))
    assert statistics["1"].correlation[0, 1] > 0.98
    assert [each.layer for each in diagnose(statistics)] == ["0"]


@pytest.mark.parametrize("rank", [1, 2])
def test_a_low_effective_rank(images, rank):
    net = stack(width=64, depth=1, norm=False)
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(1)
        ways = torch.randn(64, rank)
        ways[:, 0] = 1
        ways[:, 1:] *= 0.4
        net[0].weight[:] = torch.einsum("or,rchw->ochw", ways, torch.randn(rank, 3, 3, 3))
    diagnosis = found(net, images, correlation="positions")
    low = next(each for each in diagnosis if each.rule == "low effective rank")
    assert low.layer == "0" and low.threshold == 2.0 and 1 <= low.measure < 2
    assert low.sentence == f"0: 64 channels vary in {low.measure:.1f} independent ways (low up to 2.0)."


@pytest.mark.parametrize(("factor", "rule"), [(0.05, "vanishing scale"), (20.0, "exploding scale")])
def test_a_bad_initialisation_is_found_where_the_scale_leaves_its_bounds(images, factor, rule):
    net = stack(depth=6, norm=False)
    with torch.no_grad():
        for part in net:
            if isinstance(part, nn.Conv2d):
                part.weight *= factor
    finding = only(found(net, images), rule)
    spreads = {
        name: float(collect(net, [images], [name])[name].std.square().mean().sqrt()) for name in ("0", "2", "4", "6")
    }
    ratios = {name: spread / spreads["0"] for name, spread in spreads.items()}
    beyond = [name for name in spreads if (ratios[name] >= 1e3 if factor > 1 else ratios[name] <= 1e-3)]
    assert finding.layer == beyond[0] and finding.measure == pytest.approx(ratios[beyond[0]])
    assert (
        finding.threshold == THRESHOLDS[rule] and f"times as much as those of 0 ({rule.split()[0]}" in finding.sentence
    )


def test_what_cannot_be_told_is_said(images):
    net = stack(depth=1)
    diagnosis = found(net, images[:12], correlation=False)
    assert not diagnosis.findings
    assert [note.split(":")[0] for note in diagnosis.notes] == [
        "No correlation was collected, so no duplicates and no rank",
        "Too few values to tell dead channels, which takes 100",
    ]
    assert (
        found(net, images[:12]).notes[0]
        == "12 observations, and duplicates and rank take 64: 0, 1, 2, 3, 4 and 1 more."
    )
    with pytest.raises(TypeError, match="diagnose takes what collect gave, a Statistics, not dict"):
        diagnose({})


def test_a_diagnosis_is_the_same_from_a_file(images, tmp_path):
    net = stack(depth=1)
    with torch.no_grad():
        net[1].bias[3] = -100
    statistics = collect(net, images.split(12))
    statistics.save(tmp_path / "statistics.npz")
    assert diagnose(Statistics.load(tmp_path / "statistics.npz")) == diagnose(statistics)
