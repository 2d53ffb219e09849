"""Dropout: every kind drops what PyTorch's own would, by masks of each row's own, and nothing else changes."""

from collections import OrderedDict
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import nn

from nbvis.engine import Network, dropped_layers, invert_dropout
from nbvis.engine.dropout.dropouts import Dropouts
from nbvis.engine.dropout.masks import Noise

KINDS = {  # by the shape of what it drops
    "dropout": (F.dropout, (4, 6, 3, 2), (4, 6, 3, 2)),
    "dropout1d": (F.dropout1d, (4, 6, 5), (4, 6, 1)),
    "dropout1d without a batch": (F.dropout1d, (6, 5), (6, 1)),
    "dropout2d": (F.dropout2d, (4, 6, 3, 2), (4, 6, 1, 1)),
    "dropout3d": (F.dropout3d, (4, 6, 3, 2, 2), (4, 6, 1, 1, 1)),
    "dropout3d without a batch": (F.dropout3d, (6, 3, 2, 2), (6, 1, 1, 1)),
    "alpha": (F.alpha_dropout, (4, 6, 3), (4, 6, 3)),
    "feature alpha": (F.feature_alpha_dropout, (4, 6, 3), (4, 6, 1)),
    "torch.dropout": (torch.dropout, (4, 6), (4, 6)),
    "torch.feature_dropout": (torch.feature_dropout, (4, 6, 3), (4, 6, 1)),
    "torch.alpha_dropout": (torch.alpha_dropout, (4, 6), (4, 6)),
}


def under(noise: Noise | None, function, *args, **kwargs):
    """What the function gives in a pass with this noise."""
    dropouts, box = Dropouts(), nn.Module()
    box.forward = lambda: function(*args, **kwargs)  # type: ignore[method-assign]
    dropouts.prepare(box)
    dropouts.noise = noise
    with dropouts:
        return box()


@pytest.mark.parametrize("p", [0.0, 0.3, 0.8])
@pytest.mark.parametrize("kind", KINDS)
def test_replaying_what_pytorch_dropped_gives_what_pytorch_gave(kind, p):
    function, shape, mask_shape = KINDS[kind]
    given = torch.rand(shape, dtype=torch.float64) + 0.5
    with torch.random.fork_rng():
        torch.manual_seed(3)
        expected = function(given, p, True)
    # A unit that was kept is larger than where it began or, with alpha, differs from the value that all dropped have.
    fill = expected.min() if "alpha" in kind and p else torch.zeros(())
    dropped = (expected - fill).abs() < 1e-12
    for dim, (size, whole) in enumerate(zip(mask_shape, shape, strict=True)):
        dropped = dropped if size == whole else dropped.all(dim, keepdim=True)
    noise = Noise(0, masks={"": (~dropped).double()})
    found = under(noise, function, given, p, True)
    assert torch.allclose(found, expected, rtol=1e-12, atol=1e-12)
    assert noise.drawn[0][1].shape == mask_shape and noise.used == {""}


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_the_flag_of_a_function_does_not_matter(kind, training):
    function, shape, mask_shape = KINDS[kind]
    given = torch.rand(shape) + 0.5
    assert under(None, function, given, 0.5, training) is given
    noise = Noise(1)
    found = under(noise, function, given, 0.5, training)
    kept = noise.drawn[0][1]
    assert kept.shape == mask_shape and set(kept.unique().tolist()) == {0.0, 1.0}
    if "alpha" not in kind:
        assert torch.equal(found, given * (kept * 2))
    assert not torch.equal(found, given)


@pytest.mark.parametrize(
    "function", [F.dropout, lambda x, **k: torch.dropout_(x, 0.5, True), lambda x, **k: nn.Dropout(0.5, True)(x)]
)
def test_in_place_stays_in_place(function):
    given = torch.rand(3, 8) + 0.5
    kept = given.clone()
    noise = Noise(2)
    found = under(noise, function, given, inplace=True)
    assert found is given and torch.equal(given, kept * noise.drawn[0][1] * 2)


def test_the_fused_function_gives_its_mask_too():
    found = under(Noise(2), torch.native_dropout, torch.ones(3, 8), 0.5, True)
    assert torch.equal(found[0], found[1] * 2.0) and found[1].dtype is torch.bool and not found[1].all()


def test_everything_dropped_is_zero_and_not_nan():
    assert under(Noise(0), F.dropout, torch.ones(2, 3), 1.0).eq(0).all()
    assert under(Noise(0, p=1.0), F.alpha_dropout, torch.ones(2, 3), 0.5).eq(0).all()
    assert F.alpha_dropout(torch.ones(2, 3), 1.0, True).eq(0).all()  # as PyTorch has it


def test_masks_are_fair_and_a_higher_p_drops_more_of_the_same():
    kept = []
    for p in (0.0, 0.2, 0.5, 0.9):
        noise = Noise(5, p=p)
        under(noise, F.dropout, torch.ones(100, 100), 0.5)
        kept.append(noise.drawn[0][1])
        assert abs(kept[-1].mean().item() - (1 - p)) < 0.02
    for few, many in pairwise(kept):
        assert not ((many == 1) & (few == 0)).any()


class Every(nn.Module):
    """All kinds at once, with batch norm between."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.branch = torchvision.ops.StochasticDepth(0.5, "row")
        self.drop, self.flat = nn.Dropout2d(0.4), nn.Flatten()
        self.twice = nn.Dropout(0.2)
        self.head = nn.Linear(4 * 16, 5)

    def forward(self, images):
        x = self.norm(self.conv(images))
        x = x + self.branch(x.relu())
        x = self.twice(self.twice(self.drop(x)))
        x = F.dropout(self.flat(x), 0.3, self.training)
        return self.head(x)


@pytest.fixture
def every():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Every().double().eval()


def masks_of(net, images, layer="head", **options):
    return next(invert_dropout(net, layer, images, steps=0, **options))


def test_masks_have_the_addresses_of_what_drops(every, pictures):
    step = masks_of(every, pictures(2, 3, 4, 4), samples=3)
    assert {key: tuple(mask.shape) for key, mask in step.masks.items()} == {
        "branch": (6, 1, 1, 1),
        "drop": (6, 4, 1, 1),
        "twice:0": (6, 4, 4, 4),
        "twice:1": (6, 4, 4, 4),
        "": (6, 64),
    }


def test_the_noisy_pass_is_the_network_with_the_masks_written_out(every, pictures):
    images = pictures(2, 3, 4, 4)
    step = masks_of(every, images, samples=2)
    m, rows = step.masks, images.repeat_interleave(2, 0)
    with torch.no_grad():
        x = every.norm(every.conv(rows))
        x = x + x.relu() * m["branch"] / 0.5
        x = x * m["drop"] / 0.6 * m["twice:0"] / 0.8 * m["twice:1"] / 0.8
        expected = every.head(x.flatten(1) * m[""] / 0.7)
        assert torch.allclose(step.noisy_output, expected)
        assert torch.allclose(step.clean_output, every(rows))


def test_p_overrides_every_probability_for_all_rows_or_each(every, pictures):
    images = pictures(1, 3, 4, 4)
    step = masks_of(every, images, samples=4, p=[0.0, 0.0, 1.0, 0.7])
    for mask in step.masks.values():
        assert mask[:2].eq(1).all() and mask[2].eq(0).all()
    assert 0.55 < 1 - step.masks[""][3].mean() < 0.85
    assert torch.equal(step.noisy_output[:2], step.clean_output[:2])
    everything = masks_of(every, images, p=1.0)
    assert torch.allclose(everything.noisy_output, every.head.bias.detach())


def test_a_row_draws_the_same_in_any_batch(every, pictures):
    images = pictures(3, 3, 4, 4)
    together = masks_of(every, images, samples=2).masks
    for k in range(3):
        alone = masks_of(every, images[k : k + 1], samples=2).masks
        for key, mask in alone.items():
            assert torch.equal(mask, together[key][2 * k : 2 * k + 2])
    assert not torch.equal(together[""][0], together[""][1]) and not torch.equal(together[""][0], together[""][2])


def test_the_same_picture_again_is_another_sample(every, pictures):
    image = pictures(1, 3, 4, 4)
    repeated, sampled = masks_of(every, image.expand(3, -1, -1, -1)).masks, masks_of(every, image, samples=3).masks
    assert all(torch.equal(repeated[key], sampled[key]) for key in sampled)
    assert len({tuple(row.tolist()) for row in sampled[""]}) == 3


def test_a_mask_does_not_depend_on_what_else_drops(every, pictures):
    images = pictures(1, 3, 4, 4)
    some, more = masks_of(every, images, "twice:0").masks, masks_of(every, images, insert="norm").masks
    assert list(some) == ["branch", "drop", "twice"]  # what comes after the layer does not act
    assert torch.equal(some["drop"], more["drop"]) and "norm" in more


def test_seed_and_dtype(every, pictures):
    images = pictures(1, 3, 4, 4)
    first, other = masks_of(every, images, seed=1).masks, masks_of(every, images, seed=2).masks
    single = masks_of(every.float(), images, seed=1).masks
    assert not torch.equal(first[""], other[""])
    assert all(torch.equal(single[key], first[key]) for key in first)


def test_masks_are_replayed(every, pictures):
    images = pictures(2, 3, 4, 4)
    step = masks_of(every, images, samples=2)
    again = masks_of(every, images, samples=2, seed=9, masks=step.masks)
    assert torch.equal(again.noisy_output, step.noisy_output)
    assert all(torch.equal(again.masks[key], step.masks[key]) for key in step.masks)
    one = {key: mask[:1].bool() for key, mask in step.masks.items()}
    for mask in masks_of(every, images, samples=2, masks=one).masks.values():
        assert torch.equal(mask, mask[:1].expand_as(mask))
    part = masks_of(every, images, samples=2, seed=9, masks={"drop": step.masks["drop"]})
    assert torch.equal(part.masks["drop"], step.masks["drop"]) and not torch.equal(part.masks[""], step.masks[""])


@pytest.mark.parametrize(
    "masks, error, message",
    [
        (
            {"dorp": torch.ones(1, 4, 1, 1)},
            ValueError,
            "a mask for 'dorp', where nothing is dropped; did you mean 'drop'",
        ),
        ({"drop": torch.ones(3, 4, 1, 1)}, ValueError, r"masks\['drop'\] has shape \(3, 4, 1, 1\), .* \(2, 4, 1, 1\)"),
        ({"drop": torch.full((2, 4, 1, 1), 0.5)}, ValueError, r"masks\['drop'\] must hold 0 and 1 alone, not 0.5"),
        ({"drop": [1, 0]}, TypeError, "a dict from what drops to a tensor"),
        (torch.ones(3), TypeError, "a dict from what drops to a tensor"),
    ],
)
def test_masks_that_do_not_fit(every, pictures, masks, error, message):
    with pytest.raises(error, match=message):
        invert_dropout(every, "head", pictures(2, 3, 4, 4), masks=masks)


def test_train_mode_is_torchs_own_and_batch_norm_keeps_its_statistics(every, house, pictures):
    """The pass of `module.train()`, with batch norm over the samples of each picture."""
    images = pictures(2, 3, 4, 4)
    with house(every):
        step = masks_of(every, images, samples=3, active="train", p=0.0)
    expected = []
    for image in images:
        x = every.conv(image.expand(3, -1, -1, -1))
        x = F.batch_norm(x, None, None, every.norm.weight, every.norm.bias, training=True)
        expected.append(every.head((x + x.relu()).flatten(1)))
    assert torch.allclose(step.noisy_output, torch.cat(expected))
    assert torch.allclose(step.clean_output, every(images.repeat_interleave(3, 0)))
    assert not torch.allclose(step.noisy_output, step.clean_output)
    masks = masks_of(every, images, samples=3, active="train").masks
    again = masks_of(every, images, samples=3, active="train", masks=masks, seed=8)
    assert all(torch.equal(again.masks[key], masks[key]) for key in masks)


class Shaky(nn.Module):
    """Noise of its own making, in train mode alone."""

    def forward(self, images):
        return images * (torch.rand_like(images) + 0.5) + torch.randn(()).to(images) if self.training else images


@pytest.fixture
def shaky():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), Shaky(), nn.Flatten(), nn.Linear(16, 3)).double()


def test_whatever_else_is_named_acts_and_is_replayed(shaky, house, pictures):
    images = pictures(2, 3, 4, 4)
    with pytest.raises(ValueError, match=r"no dropout acts before layer '4' nor before any other layer: insert="):
        invert_dropout(shaky, "4", images)
    with house(shaky):
        step = masks_of(shaky, images, "4", samples=2, active=lambda name, part: isinstance(part, Shaky))
    assert {key: tuple(noise.shape) for key, noise in step.masks.items()} == {"2:0": (4, 1, 4, 2, 2), "2:1": (4,)}
    eval_ = shaky.eval()
    x = eval_[1](eval_[0](images.repeat_interleave(2, 0)))
    x = x * (step.masks["2:0"].squeeze(1) + 0.5) + step.masks["2:1"].view(-1, 1, 1, 1)
    assert torch.allclose(step.noisy_output, eval_[4](x.flatten(1)))
    again = masks_of(shaky, images, "4", samples=2, active=lambda name, part: name == "2", masks=step.masks, seed=3)
    assert torch.equal(again.noisy_output, step.noisy_output)
    alone = masks_of(shaky, images[1:], "4", samples=2, active=lambda name, part: name == "2")
    assert torch.equal(alone.masks["2:0"], step.masks["2:0"][2:])


def test_the_embedded_networks_dropped_connections(demo_network, coffee):
    """Its blocks drop their branch by a function of their own, which no one knows by name."""
    image = coffee[:, :, :64, :64]
    assert dropped_layers(demo_network, image) == ["_dropout", "_fc", ""]

    def blocks(name, part):
        return type(part).__name__ == "MBConvBlock"

    reached = dropped_layers(demo_network, image, active=blocks)
    assert {"_blocks.2", "_conv_head"} <= set(reached) and not {"_blocks.1", "_bn0"} & set(reached)
    step = masks_of(demo_network, image, "_blocks.15", samples=2, active=blocks)
    assert len(step.masks) > 5 and all(mask.shape == (2, 1, 1, 1, 1) for mask in step.masks.values())


def test_a_module_goes_by_each_of_its_names(pictures):
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), Shaky())
            self.second = self.first

        def forward(self, images):
            return self.second(images)

    net, images = Twice().double(), pictures(1, 3, 4, 4)
    assert "second.0" in dropped_layers(net, images, insert="second.0")
    step = masks_of(net, images, "second", active=lambda name, part: name == "second.1")
    assert list(step.masks) == ["first.1:0", "first.1:1"]


def test_dropout_in_the_preprocessing_counts_too(device, pictures):
    network = Network(nn.Conv2d(3, 2, 3).double(), preprocess=lambda images: F.dropout(images, 0.5), device=device)
    images = pictures(1, 3, 4, 4)
    step = masks_of(network, images, "", samples=2)
    assert torch.allclose(step.noisy_output, network.module(images * step.masks[""] / 0.5))


def test_dropout_cannot_follow_what_is_no_tensor(pictures):
    class Pair(nn.Module):
        def forward(self, images):
            return images, images

    class First(nn.Module):
        def __init__(self):
            super().__init__()
            self.pair, self.conv = Pair(), nn.Conv2d(3, 2, 3)

        def forward(self, images):
            return self.conv(self.pair(images)[0])

    with pytest.raises(ValueError, match="no dropout after layer 'pair': it returns tuple, not one tensor"):
        invert_dropout(First().double(), "conv", pictures(1, 3, 4, 4), insert="pair")


@pytest.mark.parametrize(
    "active, message",
    [
        ("eval", r'active is None, "train" or a function'),
        (3, r'active is None, "train" or a function'),
        (lambda name, part: False, "active names no module of the network; there are 'conv'"),
    ],
)
def test_an_impossible_choice(every, pictures, active, message):
    with pytest.raises(ValueError, match=message):
        masks_of(every, pictures(1, 3, 4, 4), active=active)


def test_reached_layers_are_those_behind_dropout(device, every, pictures):
    images = pictures(1, 3, 4, 4)
    assert dropped_layers(every, images) == ["branch", "drop", "twice", "flat", "head", ""]
    assert dropped_layers(every, images, insert="conv")[:2] == ["conv", "norm"]
    assert dropped_layers(Network(nn.Conv2d(3, 2, 3), device=device), images) == []


class Aside(nn.Module):
    """Dropout in a branch that comes first and does not lead to the other."""

    def __init__(self):
        super().__init__()
        self.aside, self.main, self.relu = nn.Dropout(), nn.Conv2d(3, 2, 3), nn.ReLU()

    def forward(self, images):
        first = self.relu(images)
        aside = self.relu(self.aside(first))
        return self.main(first).mean((2, 3)) + aside.mean((1, 2, 3))[:, None]


def test_only_what_dropout_leads_to_is_behind_it(pictures):
    net, images = Aside().double(), pictures(1, 3, 5, 5)
    assert set(dropped_layers(net, images)) == {"aside", "relu", ""}
    with pytest.raises(ValueError, match=r"no dropout acts before layer 'main'; it does before 'relu', 'aside'$"):
        invert_dropout(net, "main", images)
    with pytest.raises(ValueError, match="no dropout acts before layer 'relu:0'"):
        invert_dropout(net, "relu:0", images)
    assert "aside" in masks_of(net, images, "relu:1").masks


def test_a_network_that_refuses_nan_is_probed_up_to_there(pictures):
    class Strict(nn.Module):
        def forward(self, images):
            if images.isnan().any():
                raise FloatingPointError("NaN")
            return images

    net = nn.Sequential(nn.Dropout(), nn.Conv2d(3, 2, 1), Strict(), nn.ReLU()).double()
    assert dropped_layers(net, pictures(1, 3, 4, 4)) == ["0", "1"]
    assert list(masks_of(net, pictures(1, 3, 4, 4), "3").masks) == ["0"]


def test_dropout_inside_attention_says_that_it_stays_off(pictures):
    class Attends(nn.Module):
        def __init__(self):
            super().__init__()
            self.drop, self.attention = nn.Dropout(0.1), nn.MultiheadAttention(3, 1, dropout=0.4, batch_first=True)

        def forward(self, images):
            x = self.drop(images.flatten(2).transpose(1, 2))
            return self.attention(x, x, x)[0]

    net, images = Attends().double(), pictures(1, 3, 4, 4)
    (note,) = masks_of(net, images, "").notes
    assert note == "The dropout of 0.4 inside 'attention' (MultiheadAttention) stays off: active= can switch it on."
    plain = masks_of(net, images, "", p=0.0)
    on = masks_of(net, images, "", p=0.0, active=lambda name, part: name == "attention")
    assert on.notes == () and torch.equal(plain.noisy_output, plain.clean_output)
    assert not torch.equal(on.noisy_output, on.clean_output)


@pytest.mark.filterwarnings("ignore:.*torch.jit.*is deprecated")
def test_dropout_inside_torchscript_says_that_it_is_out_of_reach(pictures):
    inner = torch.jit.script(nn.Sequential(nn.Conv2d(3, 2, 1), nn.Dropout(0.5)).double())
    images = pictures(1, 3, 4, 4)
    with pytest.raises(ValueError, match=r"no dropout acts before layer 'relu' .* 'inner.1' runs inside TorchScript"):
        invert_dropout(nn.Sequential(OrderedDict(inner=inner, relu=nn.ReLU())), "relu", images)
    (note,) = masks_of(nn.Sequential(OrderedDict(inner=inner, drop=nn.Dropout())), images, "drop").notes
    assert note == "The dropout 'inner.1' runs inside TorchScript and stays off."


def test_a_compiled_network_is_the_network(every, pictures):
    compiled, images = torch.compile(every), pictures(1, 3, 4, 4)
    assert dropped_layers(compiled, images) == dropped_layers(every, images)
    for key, mask in masks_of(compiled, images).masks.items():
        assert torch.equal(mask, masks_of(every, images).masks[key])


@pytest.mark.parametrize("name", ["convnext_tiny", "efficientnet_b0", "swin_t"])
def test_torchvisions_stochastic_depth(device, name):
    with torch.random.fork_rng():
        network = Network.torchvision(name, weights=None, device=device)
        images = torch.rand(1, 3, 64, 64)
    last_block = {"convnext_tiny": "features.7.2", "efficientnet_b0": "features.7.0", "swin_t": "features.7.1"}[name]
    masks = masks_of(network, images, last_block, samples=2, p=0.5).masks
    branches = [key for key in masks if "stochastic_depth" in key]
    assert len(branches) > 8 and all(masks[key].shape[0] == 2 for key in branches)
