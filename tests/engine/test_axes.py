"""Where channels, rows and columns are: layers with channels last, tokens, windows, and what is built on them."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from nbvis.engine import (
    Network,
    Pixels,
    activations,
    ascend,
    attribute,
    channel,
    check_objective,
    custom,
    dream,
    energy,
    last,
    layers,
    unit,
)
from nbvis.engine.network import layout as layout_module
from nbvis.engine.network.layout import planes
from nbvis.engine.tracing.trace import Trace


class Plain(nn.Module):
    """A module around a function."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, images):
        return self.function(images)


def seeded(build, *args, **options) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = build(*args, **options)
        for parameter in net.parameters():  # torchvision begins some heads with zeros
            if not parameter.any():
                nn.init.normal_(parameter, std=0.1)
    return net.double().eval().requires_grad_(False)


@pytest.fixture(scope="module")
def swin():
    from torchvision.models import SwinTransformer

    return seeded(SwinTransformer, [4, 4], 12, [2, 2], [2, 3], [3, 3], stochastic_depth_prob=0.0, num_classes=5)


@pytest.fixture(scope="module")
def vit():
    from torchvision.models import VisionTransformer

    return seeded(VisionTransformer, 32, 8, 2, 2, 16, 32, num_classes=5)


@pytest.fixture(scope="module")
def maxvit():
    from torchvision.models import MaxVit

    return seeded(MaxVit, (64, 64), 8, 4, [12, 16], [1, 1], 4, stochastic_depth_prob=0.0, num_classes=5)


def by_name(net, images):
    return {layer.name: layer for layer in layers(net, images)}


def answer(net: nn.Module, name: str, images: Tensor) -> Tensor:
    """What a layer returns, by a hook of torch's own."""
    found = []
    handle = net.get_submodule(name).register_forward_hook(lambda *args: found.append(args[2].clone()))
    net(images)
    handle.remove()
    return found[-1]


def test_swin_keeps_its_channels_last_and_the_layer_says_so(swin, pictures):
    found = by_name(swin, pictures(1, 3, 64, 48))
    blocks = found["features.1"]
    assert blocks.shape == (1, 16, 12, 12) and str(blocks.axes) == "(image, row, column, channel)"
    assert (blocks.axes.channel, blocks.axes.grid, blocks.planes_shape) == (3, (16, 12), (12, 16, 12))
    assert found["features.2"].planes_shape == (24, 8, 6) and found["features.3.1.attn"].planes_shape == (24, 8, 6)
    assert found["features.0.0"].axes.channel == 1 and found["permute"].axes.channel == 1
    assert found["head"].axes.grid is None and found["head"].planes_shape == (5,)


@pytest.mark.parametrize("name", ["features.0", "features.1.0.attn", "features.1", "features.3.1.mlp.0", "norm"])
def test_objectives_mean_channels_rows_and_columns_where_these_are(swin, pictures, name):
    images = pictures(2, 3, 64, 48)
    found, own = activations(swin, images, [name]), answer(swin, name, images)
    assert torch.equal(found[name], own)  # as the layer returns it
    assert torch.equal(channel(name, 3).score(found), own[..., 3].flatten(1).mean(1))
    assert torch.equal(energy(name, 3).score(found), own[..., 3].square().flatten(1).sum(1) / 2)
    assert torch.equal(unit(name, 3, 1, 0).score(found), own[:, 1, 0, 3])
    assert torch.equal(unit(name, 3).score(found), own[:, own.shape[1] // 2, own.shape[2] // 2, 3])
    assert torch.equal(
        (channel(name, 3) * unit(name, 1, 0, 0)).score(found), channel(name, 3).score(found) * own[:, 0, 0, 1]
    )


def test_what_is_out_of_range_is_told_in_channels_rows_and_columns(swin, pictures):
    images = pictures(1, 3, 64, 48)
    check_objective(swin, channel("features.1", 11), images)
    with pytest.raises(ValueError, match=r"no channel 12: layer 'features.1' has 12, 0 to 11"):
        check_objective(swin, channel("features.1", 12), images)
    check_objective(swin, unit("features.1", 0, 15, 11), images)
    with pytest.raises(ValueError, match=r"has 16 × 12 positions, so there is none at \(15, 12\)"):
        check_objective(swin, unit("features.1", 0, 15, 12), images)


def test_an_own_function_is_given_what_the_layer_returns(swin, pictures):
    images = pictures(1, 3, 64, 48)
    shapes = []
    objective = custom(lambda values: (shapes.append(tuple(values.shape)), values.flatten(1).mean(1))[1], "features.1")
    found = attribute(swin, images, objective)
    assert set(shapes) == {(1, 16, 12, 12)} and found.map.shape == images.shape


def test_what_is_optimised_is_that_channel(swin, pictures):
    images = pictures(1, 3, 64, 64)
    begin = answer(swin, "features.1", images)[..., 3].mean()
    step = last(ascend(swin, channel("features.1", 3), Pixels(images), steps=5, transforms=()))
    assert answer(swin, "features.1", step.image)[..., 3].mean() > begin + 0.1
    both = [channel("features.1", 3), unit("features.3", 2, 1, 0)]
    one = next(ascend(swin, both, Pixels(pictures(2, 3, 64, 64)), transforms=()))
    start = pictures(2, 3, 64, 64)
    expected = [answer(swin, "features.1", start)[0, ..., 3].mean(), answer(swin, "features.3", start)[1, 1, 0, 2]]
    assert torch.allclose(one.score, torch.stack(expected), atol=1e-9)
    dreamt = last(dream(swin, channel("features.3", 3), images, octaves=2, steps=1, jitter=0))
    assert dreamt.image.shape == images.shape


def test_one_trace_serves_a_whole_run(swin, pictures, monkeypatch):
    traced = []
    monkeypatch.setattr(layout_module, "Trace", lambda: traced.append(1) or Trace())
    last(ascend(swin, channel("features.1", 3), Pixels(pictures(1, 3, 64, 64)), steps=4))
    assert len(traced) == 1
    attribute(swin, pictures(1, 3, 64, 64), channel("features.1", 3), method="smoothgrad", samples=4)
    assert len(traced) == 2
    attribute(swin, pictures(1, 3, 64, 64), 1, method="gradient")
    assert len(traced) == 2  # a class has no rows and columns to look for
    network = Network(swin)
    for _ in range(3):
        attribute(network, pictures(1, 3, 64, 64), 1, method="grad_cam", layer="features.1")
    assert len(traced) == 3


def cam(values: Tensor, gradient: Tensor, size) -> Tensor:
    """Grad-CAM by its definition, of (batch, rows, columns, channels)."""
    weights = gradient.mean((1, 2), keepdim=True)
    return F.interpolate((values * weights).sum(-1)[:, None], size=size, mode="bilinear", align_corners=False)


def gradient_at(net: nn.Module, name: str, images: Tensor, index: int) -> tuple[Tensor, Tensor]:
    """A layer's values and the gradient of a class there, by torch alone."""
    held = []

    def hook(part, args, output):
        held.append(output.detach().requires_grad_())
        return held[-1].clone()

    handle = net.get_submodule(name).register_forward_hook(hook)
    score = net(images)[:, index].sum()
    handle.remove()
    return held[-1].detach(), torch.autograd.grad(score, held[-1])[0]


def test_grad_cam_of_a_layer_with_channels_last(swin, pictures):
    images = pictures(2, 3, 64, 48)
    for name in ("features.1", "features.3.0.attn"):
        values, gradient = gradient_at(swin, name, images, 1)
        found = attribute(swin, images, 1, method="grad_cam", layer=name)
        assert torch.allclose(found.map, cam(values, gradient, (64, 48)), atol=1e-12)
    assert attribute(swin, images, 1, method="grad_cam").layer == "permute"


def test_a_gradient_at_a_layer_is_in_the_layers_own_order(swin, pictures):
    images = pictures(1, 3, 64, 48)
    found = attribute(swin, images, 1, layer="features.1")
    assert torch.allclose(found.map, gradient_at(swin, "features.1", images, 1)[1], atol=1e-12)
    integrated = attribute(
        swin, images, channel("features.3", 2), method="integrated_gradients", layer="features.1", steps=3
    )
    assert integrated.map.shape == (1, 16, 12, 12)


def test_tokens_are_a_grid_and_the_class_token_is_none_of_it(vit, pictures):
    images = pictures(2, 3, 32, 32)
    name = "encoder.layers.encoder_layer_0"
    layer = by_name(vit, images)[name]
    assert layer.shape == (1, 17, 16) and str(layer.axes) == "(image, 1 + row × column, channel)"
    assert (layer.axes.channel, layer.axes.grid, layer.axes.besides, layer.planes_shape) == (2, (4, 4), 1, (16, 4, 4))
    own = answer(vit, name, images)
    found = activations(vit, images, [name])
    # PyTorch's fused attention, which rounds otherwise, is not taken where tensor functions are watched.
    assert torch.allclose(found[name], own, rtol=1e-12, atol=1e-12)
    own = found[name]
    assert torch.equal(unit(name, 3, 1, 2).score(found), own[:, 1 + 1 * 4 + 2, 3])
    assert torch.allclose(channel(name, 3).score(found), own[:, 1:, 3].mean(1), atol=1e-15)
    with pytest.raises(ValueError, match=r"no channel 16: .* has 16, 0 to 15"):
        check_objective(vit, channel(name, 16), images[:1])


def test_grad_cam_of_tokens_leaves_the_class_token_out_and_says_so(vit, pictures):
    images = pictures(2, 3, 32, 32)
    name = "encoder.layers.encoder_layer_0"
    values, gradient = (each[:, 1:].unflatten(1, (4, 4)) for each in gradient_at(vit, name, images, 1))
    found = attribute(vit, images, 1, method="grad_cam", layer=name)
    assert torch.allclose(found.map, cam(values, gradient, (32, 32)), atol=1e-12) and found.map.any()
    assert any("4 × 4 tokens" in note and "1 besides" in note and "class token" in note for note in found.notes)


def test_where_a_class_token_answers_the_layer_is_the_last_whose_tokens_reach_it(vit, pictures, house):
    with house(vit):
        found = attribute(vit, pictures(1, 3, 32, 32), 1, method="grad_cam")
    assert found.layer == "encoder.layers.encoder_layer_1.ln_1" and found.map.any()
    assert not any("zero everywhere" in note for note in found.notes)


def test_windows_and_grids_of_windows_are_put_together_again(maxvit, pictures):
    images = pictures(2, 3, 64, 64)
    found = by_name(maxvit, images[:1])
    part = "blocks.0.layers.0.layers"
    for kind in ("window_attention", "grid_attention"):
        names = [
            f"{part}.{kind}.{name}" for name in ("partition_op", "departition_swap", "mlp_layer", "departition_op")
        ]
        assert all(found[name].planes_shape == (12, 16, 16) for name in names)
        assert found[names[0]].shape == (1, 16, 16, 12)
        seen = activations(maxvit, images, [*names, f"{part}.{kind}.mlp_layer.0", f"{part}.MBconv"])
        entering = (
            seen[f"{part}.MBconv"] if kind == "window_attention" else answer(maxvit, f"{part}.window_attention", images)
        )
        assert torch.equal(planes(seen, names[0]), entering)
        assert torch.equal(planes(seen, names[1]), answer(maxvit, names[3], images))
    found = attribute(maxvit, images, 1, method="grad_cam", layer=f"{part}.window_attention.mlp_layer")
    assert found.map.shape == (2, 1, 64, 64)
    assert attribute(maxvit, images, 1, method="grad_cam").layer == "blocks.1"


def test_where_the_trace_shows_no_grid_a_layer_stays_a_vector_and_says_so(pictures):
    net = nn.Sequential(nn.Conv2d(3, 6, 3), nn.Flatten(), nn.Linear(216, 24), nn.Unflatten(1, (4, 6))).double()
    images = pictures(1, 3, 8, 8)
    found = by_name(net, images)
    assert [found[name].planes_shape for name in "0123"] == [(6, 6, 6), (216,), (24,), (4, 6)]
    with pytest.raises(ValueError, match="without rows and columns"):
        check_objective(net, unit("3", 1), images)
    with pytest.raises(ValueError, match=r"layer '3' has shape \(1, 4, 6\), without rows and columns to map"):
        attribute(net, images, channel("3", 1), method="grad_cam", layer="3")


USUAL = {
    "a decoder's first map": lambda x: x.flatten(1)[:, :48].unflatten(1, (3, 4, 4)),
    "shuffled channels": lambda x: x.view(-1, 2, 3, *x.shape[2:]).transpose(1, 2).reshape(x.shape),
    "a gate": lambda x: x * x.mean((2, 3), keepdim=True).sigmoid(),
    "a map of two channels": lambda x: torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], 1),
    "there and back": lambda x: F.layer_norm(x.permute(0, 2, 3, 1), (6,)).permute(0, 3, 1, 2),
    "pooled": lambda x: F.adaptive_avg_pool2d(x, 1),
    "written by itself": lambda x: torch.from_numpy(x.detach().cpu().numpy() * 2).to(x),
}


@pytest.mark.parametrize("name", USUAL)
def test_layers_of_the_usual_order_are_taken_as_they_are(name, pictures):
    with torch.random.fork_rng():
        net = nn.Sequential(nn.Conv2d(3, 6, 3), Plain(USUAL[name])).double()
    images = pictures(1, 3, 8, 8)
    layer = by_name(net, images)["1"]
    own = activations(net, images, ["1"])["1"]
    assert layer.axes.channel == 1 and layer.axes.planes(own) is own


def test_a_transposed_layers_rows_are_those_of_the_image(pictures):
    net = nn.Sequential(nn.Conv2d(3, 4, 3), Plain(lambda x: x.transpose(2, 3))).double()
    images = pictures(1, 3, 8, 10)
    layer = by_name(net, images)["1"]
    assert layer.shape == (1, 4, 8, 6) and layer.planes_shape == (4, 6, 8)
    found = activations(net, images, ["0", "1"])
    assert torch.equal(unit("1", 2, 1, 5).score(found), unit("0", 2, 1, 5).score(found))


def rearrangements():
    return st.lists(st.tuples(st.sampled_from("permute merge split swap token".split()), st.randoms()), max_size=6)


@settings(max_examples=200)
@given(rearrangements())
def test_whatever_was_cut_turned_and_merged_is_put_together_again(moves):
    """The planes of a rearranged tensor are the tensor, wherever there is one dimension of channels alone."""
    images = torch.arange(2 * 3 * 4 * 6, dtype=torch.float64).view(2, 3, 4, 6)

    def rearrange(x):
        for kind, random in moves:
            if kind == "permute":
                x = x.permute(random.sample(range(x.dim()), x.dim()))
            elif kind == "swap":
                x = x.transpose(random.randrange(x.dim()), random.randrange(x.dim()))
            elif kind == "merge" and x.dim() > 1:
                d = random.randrange(x.dim() - 1)
                x = x.flatten(d, d + 1)
            elif kind == "split":
                d = random.randrange(x.dim())
                sizes = [n for n in (2, 3, 4) if x.shape[d] % n == 0]
                x = x.unflatten(d, (random.choice(sizes), -1)) if sizes else x
            elif kind == "token":
                x = x.unsqueeze(random.randrange(x.dim() + 1))
        return x

    trace = Trace()
    with trace.from_input(images, nn.Identity()):
        found = rearrange(images)
    axes = trace.axes(found)
    assert math.prod(axes.planes(found).shape) == images.numel()
    if axes.grid is not None and not axes.usual:
        assert axes.grid == (4, 6) and torch.equal(axes.planes(found), images)
