"""Receptive fields: published numbers, every kind of layer, and brute force through the gradient."""

import copy
import time

import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from nbvis.engine import Layer, Network, activations, capture, layers


def fields(net, *shape: int):
    return {layer.name: layer.receptive_field for layer in layers(net, torch.zeros(shape, dtype=torch.float64))}


class Plain(nn.Module):
    """A module around a function."""

    def __init__(self, function, *parts):
        super().__init__()
        self.parts, self.function = nn.ModuleList(parts), function

    def forward(self, images):
        return self.function(images, *self.parts)


def field(function, *parts, shape=(1, 1, 16, 20)):
    """The receptive field of what a function makes of the images."""
    net = nn.Sequential(Plain(function, *parts)).double().eval()
    return fields(net, *shape)["0"]


def test_alexnet():
    net = nn.Sequential(
        *(nn.Conv2d(1, 1, 11, 4), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(1, 1, 5, 1, 2), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(1, 1, 3, 1, 1), nn.Conv2d(1, 1, 3, 1, 1), nn.Conv2d(1, 1, 3, 1, 1)),
    ).double()
    found = fields(net, 1, 1, 227, 227)
    sizes = [found[name] for name in ("0", "2", "3", "5", "6", "7", "8")]
    assert sizes == [(side, side) for side in (11, 19, 51, 67, 99, 131, 163)]
    assert found["1"] == found["0"] and found["4"] == found["3"]


def test_resnet18(device):
    from torchvision.models import resnet18

    with torch.device("meta"):  # its weights do not matter
        net = resnet18()
    found = fields(net.to_empty(device=device).double(), 1, 3, 64, 64)
    assert [found[name] for name in ("conv1", "maxpool", "layer1", "layer2", "layer3", "layer4")] == [
        (side, side) for side in (7, 11, 43, 99, 211, 435)
    ]
    assert found["avgpool"] is None and found["fc"] is None


def conv(kernel, **options):
    return nn.Conv2d(1, 1, kernel, **options)


def written(buffer, values):
    buffer[:] = values
    return buffer


def added_by_a_view(values, more):
    values[:, :, :4].add_(more)
    return values


CASES = {
    "rectangular kernel": (lambda x, c: c(x), [conv((3, 5))], (3, 5)),
    "dilation": (lambda x, c: c(x), [conv(3, dilation=(2, 3))], (5, 7)),
    "same padding": (lambda x, c: c(x), [conv(5, padding="same")], (5, 5)),
    "reflected padding": (lambda x, c: c(x), [conv(5, padding=2, padding_mode="reflect")], (5, 5)),
    "residual union": (lambda x, a, b: b(a(x)) + x, [conv(3, padding=1), conv(3, padding=1)], (5, 5)),
    "inception union": (
        lambda x, a, b: torch.cat([a(x), b(x)], 1),
        [conv((1, 7), padding=(0, 3)), conv((7, 1), padding=(3, 0))],
        (7, 7),
    ),
    "in-place residual": (lambda x, a: a(x).add_(x), [conv(3, padding=1)], (3, 3)),
    "strided after pool": (lambda x, a, b: b(F.max_pool2d(a(x), 2)), [conv(3), conv(3, stride=2)], (8, 8)),
    "functional pooling": (lambda x: F.avg_pool2d(F.max_pool2d(x, kernel_size=3, stride=2), 2), [], (5, 5)),
    "pool by keyword": (lambda x: F.max_pool2d(input=x, kernel_size=3), [], (3, 3)),
    "pool with indices": (lambda x: F.max_pool2d(x, 3, return_indices=True)[0], [], (3, 3)),
    "convolution by keyword": (lambda x, c: F.conv2d(input=x, weight=c.weight, dilation=2), [conv(3)], (5, 5)),
    "functional padding": (lambda x, c: c(F.pad(x, (1, 1, 1, 1))), [conv(3)], (3, 3)),
    "padding by keyword": (lambda x, c: c(F.pad(input=x, pad=(1, 1))), [conv(3)], (3, 3)),
    "adaptive pooling": (lambda x: F.adaptive_avg_pool2d(x, (8, 5)), [], (2, 4)),
    "adaptive pooling of uneven parts": (lambda x: F.adaptive_avg_pool2d(x, (7, 6)), [], (4, 4)),
    "activations": (lambda x, c: F.gelu(F.silu(F.hardswish(F.leaky_relu(c(x)).relu_()))).sigmoid(), [conv(3)], (3, 3)),
    "norms of channels": (lambda x, c: F.local_response_norm(c(x), 2), [conv(3)], (3, 3)),
    "arithmetic": (lambda x, c: 1 - 2 * c(x).clamp(min=0) / 3, [conv(3)], (3, 3)),
    "channel slices": (lambda x, c: c(torch.cat([x, x], 1)[:, :1]), [conv(3)], (3, 3)),
    "channel shuffle": (
        lambda x, c: c(torch.cat([x, x], 1).view(1, 2, 1, 16, 20).transpose(1, 2).reshape(1, 2, 16, 20)[:, :1]),
        [conv(3)],
        (3, 3),
    ),
    "channels last": (
        lambda x, c: nn.Linear(1, 1).double()(c(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2),
        [conv(3)],
        (3, 3),
    ),
    "transposed convolution": (lambda x, c: c(x), [nn.ConvTranspose2d(1, 1, 4, stride=2)], (2, 2)),
    "up and down": (
        lambda x, a, b: b(a(x)),
        [nn.ConvTranspose2d(1, 1, 2, stride=2), conv(4, stride=2, padding=1)],
        (3, 3),
    ),
    "gaps between transposed windows": (lambda x, c: c(x), [nn.ConvTranspose2d(1, 1, 1, stride=2)], (1, 1)),
    "enlarged": (lambda x, c: c(F.interpolate(x, scale_factor=2)), [conv(3, padding=1)], (2, 2)),
    "enlarged smoothly": (lambda x: F.interpolate(x, size=(48, 30), mode="bilinear"), [], (2, 2)),
    "reduced by every other": (lambda x: F.interpolate(x, scale_factor=0.5), [], (1, 1)),
    "decoder with a skip": (
        lambda x, a, b: b(x) + F.interpolate(a(x), scale_factor=2),
        [conv(2, stride=2), conv(3, padding=1)],
        (3, 3),
    ),
    "global average": (lambda x, c: F.adaptive_avg_pool2d(c(x), 1), [conv(3)], None),
    "mean": (lambda x, c: c(x).mean((2, 3)), [conv(3)], None),
    "flattened": (lambda x, c: c(x).flatten(1), [conv(3)], None),
    "squeeze and excitation": (lambda x, c: c(x) * c(x).mean((2, 3), keepdim=True), [conv(3)], None),
    "instance norm": (lambda x, c: F.instance_norm(c(x)), [conv(3)], None),
    "attention": (lambda x: x.flatten(2).softmax(-1).view_as(x), [], None),
    "broadcast over positions": (lambda x, c: x + c(x), [conv((16, 20))], None),
    "transposed": (lambda x, c: c(x).transpose(2, 3), [conv((3, 5))], (3, 5)),
    "convolved again across": (lambda x, a, b: b(a(x).transpose(2, 3)), [conv((3, 5)), conv((1, 7))], (9, 5)),
    "reflected and shifted": (
        lambda x, c: F.pad(c(x), (3, 3, 3, 3), mode="reflect") + x,
        [conv(7)],
        (19, 19),
    ),
    "repeated border": (lambda x, c: c(x), [conv(5, padding=2, padding_mode="replicate")], (5, 5)),
    "circular border": (lambda x, c: c(x), [conv(3, padding=1, padding_mode="circular")], None),
    "batch statistics": (lambda x, c: F.batch_norm(c(x), None, None, training=True), [conv(3)], None),
    "running statistics": (lambda x, c, n: n(c(x)), [conv(3), nn.BatchNorm2d(1)], (3, 3)),
    "no statistics kept": (lambda x, c, n: n(c(x)), [conv(3), nn.BatchNorm2d(1, track_running_stats=False)], None),
    "group norm": (lambda x: F.group_norm(x, 1), [], None),
    "layer norm of columns": (lambda x: F.layer_norm(x.permute(0, 2, 3, 1), (20, 1)), [], None),
    "rows in another order": (lambda x: x[:, :, [1, 0, *range(2, 16)]], [], None),
    "rows chosen": (lambda x: x + x.index_select(2, torch.arange(15, -1, -1)), [], None),
    "channels in another order": (lambda x, c: c(torch.cat([x, x], 1)[:, [1, 0]][:, :1]), [conv(3)], (3, 3)),
    "upside down": (lambda x: x + x.flip(2), [], None),
    "rolled": (lambda x: x + x.roll(1, 3), [], None),
    "sorted": (lambda x: x.sort(2).values, [], None),
    "added up along": (lambda x: x.cumsum(2), [], None),
    "every other row": (lambda x, c: c(x[:, :, 1::2, ::3]), [conv((3, 5))], (5, 13)),
    "cropped": (lambda x, c: c(x)[:, :, 2:-2] + x[:, :, 3:-3, 1:-1], [conv(3)], (3, 3)),
    "cropped otherwise": (lambda x, c: c(x)[:, :, 2:-2] + x[:, :, 6:, 1:-1], [conv(3)], (5, 3)),
    "narrowed": (lambda x, c: c(x) + x.narrow(2, 2, 14).narrow(3, 1, 18), [conv(3)], (3, 3)),
    "narrowed otherwise": (lambda x, c: c(x) + x.narrow(2, 0, 14).narrow(3, 1, 18), [conv(3)], (3, 3)),
    "pixels shuffled": (lambda x, c: c(F.pixel_shuffle(torch.cat([x] * 4, 1), 2)), [conv(3)], (2, 2)),
    "pixels unshuffled": (lambda x, c: c(F.pixel_unshuffle(x, 2)[:, :1]), [conv(3)], (6, 6)),
    "tokens": (lambda x, c: c(x).flatten(2).transpose(1, 2), [conv(4, stride=4)], (4, 4)),
    "written in parts": (lambda x, c: written(torch.zeros_like(x), c(x)) + x, [conv(3, padding=1)], None),
    "written to by a view": (lambda x, c: added_by_a_view(c(x), x.sum()), [conv(3)], None),
    "out of sight": (lambda x, c: x + torch.from_numpy(c(x).detach().cpu().numpy()).to(x), [conv(3, padding=1)], None),
    "not from the images": (lambda x: torch.ones(1, 1, 4, 4, dtype=torch.float64), [], None),
}


@pytest.mark.parametrize("name", CASES)
def test_each_kind_of_layer(name):
    function, parts, expected = CASES[name]
    with torch.random.fork_rng():
        assert field(function, *parts) == expected


def test_the_last_call_counts_and_images_of_other_shapes_have_none():
    shared = nn.Conv2d(1, 1, 3, padding=1)
    assert fields(nn.Sequential(shared, shared).double(), 1, 1, 8, 8)["0"] == (5, 5)
    assert fields(nn.Sequential(nn.Linear(4, 2)).double(), 1, 4)["0"] is None
    assert fields(nn.Sequential(nn.Conv1d(1, 1, 3)).double(), 1, 1, 9)["0"] is None


class Shifted(nn.Module):
    """A part of the picture, again in the place of the whole, beside the picture itself."""

    def forward(self, images):
        return images[:, :, 1:, 2:] + images[:, :, :-1, :-2]


class Turned(nn.Module):
    """Rows become columns."""

    def forward(self, images):
        return images.transpose(2, 3)


class Beside(nn.Module):
    """What a part makes of the images, cut or bordered to their size, is added to them."""

    def __init__(self, part):
        super().__init__()
        self.part = part

    def forward(self, images):
        found = self.part(images)
        down, right = (a - b for a, b in zip(images.shape[2:], found.shape[2:], strict=True))
        return images + F.pad(found, (0, right, 0, down))


def pads(mode):
    kinds = {"reflect": nn.ReflectionPad2d, "replicate": nn.ReplicationPad2d, "circular": nn.CircularPad2d}
    return st.tuples(*[st.integers(0, 2)] * 4).map(kinds.get(mode, nn.ZeroPad2d))


def operations():
    convolutions = st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 2), st.integers(0, 1)).map(
        lambda o: nn.Conv2d(1, 1, o[:2], stride=o[2], padding=o[3])
    )
    modes = st.sampled_from(["zeros", "reflect", "replicate", "circular"])
    around = st.tuples(st.integers(0, 2), modes).map(
        lambda o: nn.Conv2d(1, 1, 2 * o[0] + 1, padding=o[0], padding_mode=o[1])
    )
    others = [
        *(nn.AvgPool2d(2), nn.AvgPool2d(3, 1, 1), Shifted(), Turned(), nn.Upsample(scale_factor=2)),
        *(nn.BatchNorm2d(1), nn.BatchNorm2d(1, track_running_stats=False), nn.InstanceNorm2d(1)),
        *(Plain(lambda x: x.flip(3)), Plain(lambda x: x.roll(1, 2)), Plain(lambda x: x[:, :, ::2, 1:])),
        *(Plain(lambda x: x.permute(0, 2, 3, 1)[..., [0, 0]].sum(-1)[:, None]), Plain(lambda x: x * x.mean(3, True))),
    ]
    single = st.one_of(convolutions, around, modes.flatmap(pads), st.sampled_from(others))
    return st.one_of(single, single.map(Beside))


def seen_by(values: Tensor, images: Tensor) -> tuple[int, int]:
    """The largest (height, width) that a unit at a corner, a border or the centre sees, by its gradient."""
    height, width = values.shape[2:]
    rows, columns = (0, height // 2, height - 1), (0, width // 2, width - 1)
    units = {*zip(rows, columns, strict=True), (0, width - 1), (height - 1, 0), (0, width // 2), (height // 2, 0)}
    found = (0, 0)
    for row, column in units:
        (gradient,) = torch.autograd.grad(values[0, :, row, column].sum(), images, retain_graph=True)
        places = gradient[0].abs().sum(0).nonzero()
        if len(places):
            size = places.amax(0) - places.amin(0) + 1
            found = max(found[0], int(size[0])), max(found[1], int(size[1]))
    return found


@settings(max_examples=150)
@given(st.lists(operations(), min_size=1, max_size=4))
def test_no_unit_at_the_corners_or_elsewhere_sees_more(parts):
    net = nn.Sequential(*(positive(copy.deepcopy(part)) for part in parts)).eval()
    side = 29
    with torch.random.fork_rng():
        torch.manual_seed(0)
        images = torch.rand(1, 1, side, side, dtype=torch.float64).add_(0.5).requires_grad_()
    try:
        values = net(images)
    except RuntimeError:
        assume(False)  # smaller than a border or a window
    found = layers(net, images.detach())[-1]
    if found.receptive_field is not None:
        seen = seen_by(found.axes.planes(values), images)
        assert all(s <= f for s, f in zip(seen, found.receptive_field, strict=True))


def boxes_by_gradient(values: Tensor, images: Tensor) -> list[list[tuple[int, int]]]:
    """The first pixel and the one after the last that each row, and that each column, of an activation sees."""
    found: list[list[tuple[int, int]]] = []
    for dim in (2, 3):
        seen = []
        for part in values.unbind(dim) if values.dim() == 4 else [values]:
            (gradient,) = torch.autograd.grad(part.sum(), images, retain_graph=True)
            places = gradient[0].abs().sum(0).sum(1 if dim == 2 else 0).nonzero()
            seen.append((int(places.min()), int(places.max()) + 1) if len(places) else (0, 0))
        found.append(seen)
    return found


def boxes_as_told(layer: Layer) -> list[list[tuple[int, int]]]:
    """The same by `Layer.box`."""
    height, width = layer.axes.grid or (1, 1)
    down = [layer.box(row, width // 2) for row in range(height)]
    across = [layer.box(height // 2, column) for column in range(width)]
    return [[box[0] for box in down if box is not None], [box[1] for box in across if box is not None]]


def excited(images, squeezed, scaled):
    return scaled(images) * squeezed(images).mean((2, 3), keepdim=True).relu()


EXACT = {
    "a window that does not reach the end": (lambda x, a, b: b(a(x)), [conv(3, stride=2), conv(3, padding=1)]),
    "a residual connection": (
        lambda x, a, b, s: b(a(x)) + s(x),
        [conv(3, stride=2, padding=1), conv(3, padding=1), conv(1, stride=2)],
    ),
    "branches": CASES["inception union"][:2],
    "dilation of different sides": (lambda x, c: c(x), [conv((2, 4), dilation=(3, 2), padding=(1, 3))]),
    "a pool beyond the end": (lambda x, c: c(F.avg_pool2d(x, 3, 2, ceil_mode=True)), [conv(2)]),
    "a padded pool beyond the end": (lambda x, c: F.avg_pool2d(c(x), 4, 3, 1, ceil_mode=True), [conv(2, stride=2)]),
    "a transposed convolution": (lambda x, c: c(x), [nn.ConvTranspose2d(1, 1, 5, 3, 2, output_padding=1)]),
    "a global mean": (lambda x, c: F.adaptive_avg_pool2d(c(x), 1), [conv((2, 3), stride=(5, 3))]),
    "a mean of rows": (lambda x, c: c(x).mean(2, keepdim=True), [conv((2, 3), stride=(5, 3))]),
    "a mean without its dimensions": (lambda x, c: c(x).mean((2, 3)), [conv((2, 3), stride=(5, 3))]),
    "squeeze and excitation": (excited, [conv(4, stride=6), conv(3, padding=1)]),
    "uneven adaptive pooling": (lambda x, c: F.adaptive_avg_pool2d(c(x), (5, 3)), [conv(3)]),
    "pooling of columns alone": (lambda x, c: F.adaptive_avg_pool2d(c(x), (5, 1)), [conv(3)]),
    "flattened": (lambda x, c, f: f(c(x).flatten(1)), [conv((3, 2), stride=(4, 3)), nn.Linear(28, 3)]),
    "smooth enlarging": (lambda x, c: F.interpolate(c(x), size=(20, 31), mode="bilinear"), [conv(2)]),
    "pixels shuffled": CASES["pixels shuffled"][:2],
    "reflected": (lambda x, a, b: b(a(x)), [conv(5, stride=3), conv(5, padding=2, padding_mode="reflect")]),
    "repeated": (lambda x, a, b: b(a(x)), [conv(5, stride=3), conv(5, padding=2, padding_mode="replicate")]),
    "circular": (lambda x, a, b: b(a(x)), [conv(5, stride=3), conv(5, padding=2, padding_mode="circular")]),
    "cut and bordered again": (lambda x, c: c(x[:, :, 3:-2, 2:]), [conv(3, padding=1)]),
    "every other row": CASES["every other row"][:2],
    "turned": CASES["convolved again across"][:2],
    "instance norm": (lambda x, c: F.instance_norm(c(x)), [conv((2, 3), stride=(5, 3))]),
    "group norm": (lambda x, c: F.group_norm(c(x), 1), [conv((2, 3), stride=(5, 3))]),
    "batch statistics": (lambda x, c: F.batch_norm(c(x), None, None, training=True), [conv((2, 3), stride=(5, 3))]),
    "tokens": (lambda x, c, f: f(c(x).flatten(2).transpose(1, 2)), [conv(4, stride=4), nn.Linear(1, 1)]),
    "the mean of tokens": (lambda x, c: c(x).flatten(2).transpose(1, 2).mean(1), [conv(5, stride=4)]),
}
"""Layers whose units see less at some end of the image, or all there is; 16 rows and 20 columns."""


@pytest.mark.parametrize("name", EXACT)
def test_the_box_of_each_unit_is_that_of_its_gradient(name):
    function, parts = EXACT[name]
    net = nn.Sequential(positive(copy.deepcopy(Plain(function, *parts)))).eval()
    images = torch.rand(1, 1, 16, 20, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    images = images.add_(0.5).requires_grad_()
    layer = layers(net, images.detach())[-1]
    assert boxes_as_told(layer) == boxes_by_gradient(layer.axes.planes(net(images)), images)


@settings(max_examples=100)
@given(st.lists(operations(), min_size=1, max_size=4))
def test_boxes_of_stacks_are_those_of_their_gradients(parts):
    net = nn.Sequential(*(positive(copy.deepcopy(part)) for part in parts)).eval()
    images = torch.linspace(0.5, 1.5, 23 * 29, dtype=torch.float64).view(1, 1, 23, 29).requires_grad_()
    try:
        values = net(images)
    except RuntimeError:
        assume(False)  # smaller than a border or a window
    layer = layers(net, images.detach())[-1]
    if layer.seen is not None:
        assert boxes_as_told(layer) == boxes_by_gradient(layer.axes.planes(values), images)


def test_what_is_not_understood_has_no_box():
    net = nn.Sequential(Plain(lambda x: x.sort(2).values), nn.Conv2d(1, 1, 3)).double()
    assert [layer.box() for layer in layers(net, torch.zeros(1, 1, 8, 8).double())] == [None, None]


def test_stride_and_start_of_fields():
    net = nn.Sequential(conv(7, stride=2, padding=3), nn.MaxPool2d(3, 2, 1), nn.Upsample(scale_factor=4), nn.Flatten())
    first, pool, larger, flat = layers(net, torch.zeros(1, 1, 32, 32))
    assert (first.stride, first.start, first.image_size) == ((2, 2), (-3, -3), (32, 32))
    assert (pool.stride, pool.start) == ((4, 4), (-5, -5))
    assert (larger.stride, larger.start) == ((1, 1), (-5, -5))
    assert (flat.stride, flat.start, flat.receptive_field) == (None, None, None)
    (enlarged,) = layers(nn.Sequential(nn.Upsample(scale_factor=2)), torch.zeros(1, 1, 4, 4))
    assert enlarged.stride == (0.5, 0.5)


def test_fields_of_resnet50_take_less_than_a_second(device):
    """In time of this process alone, beside the pass itself, which the machine's own speed decides."""
    from torchvision.models import resnet50

    with torch.random.fork_rng():
        net = resnet50().eval().to(device)
    images = torch.zeros(1, 3, 224, 224)

    def seconds(run) -> float:
        begun = time.process_time()
        run()
        return time.process_time() - begun

    layers(net, images)
    with torch.no_grad():
        extra = min(seconds(lambda: layers(net, images)) - seconds(lambda: net(images)) for _ in range(3))
    assert extra < 0.5


@pytest.mark.parametrize(
    "name",
    "alexnet resnet18 googlenet densenet121 mobilenet_v3_small shufflenet_v2_x0_5 efficientnet_b0 "
    "convnext_tiny swin_t".split(),
)
def test_corners_of_real_networks(name):
    import torchvision

    options = {"init_weights": False, "aux_logits": False} if name == "googlenet" else {}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = torchvision.models.get_model(name, weights=None, **options).double().eval().requires_grad_(False)
        images = torch.rand(1, 3, 64, 64, dtype=torch.float64)
    for parameter in net.parameters():
        if parameter.dim() > 1:  # positive, so that nothing cancels, and of the usual size
            parameter.abs_().div_(parameter.flatten(1).sum(1).view(-1, *[1] * (parameter.dim() - 1)))
    bounded = [layer for layer in layers(net, images) if layer.receptive_field is not None and layer.calls == 1]
    chosen = bounded[:: max(1, len(bounded) // 4)]
    assert chosen and chosen[-1].receptive_field != (1, 1)
    with capture(net, [layer.name for layer in chosen]) as answers:
        net(images.requires_grad_())
    for layer in chosen:
        seen = seen_by(layer.axes.planes(answers[layer.name]), images)
        assert layer.receptive_field is not None
        assert all(0 < s <= f for s, f in zip(seen, layer.receptive_field, strict=True)), layer.name
        assert seen == layer.receptive_field or max(layer.receptive_field) > 32  # nor more than they do see


def windows(most_stride: int = 3):
    return st.fixed_dictionaries(
        {
            "kernel_size": st.tuples(st.integers(1, 4), st.integers(1, 4)),
            "stride": st.integers(1, most_stride),
            "dilation": st.integers(1, 2),
            "padding": st.integers(0, 1),
        }
    )


def positive(part: nn.Module) -> nn.Module:
    """With positive weights no gradient cancels, so its support is the receptive field."""
    for parameter in part.parameters():
        nn.init.uniform_(parameter, 0.5, 1)
    return part.double()


def support(net: nn.Module, side: int) -> tuple[int, int]:
    """(height, width) of what the centre unit sees, by its gradient."""
    images = torch.full((1, 1, side, side), 0.5, dtype=torch.float64, requires_grad=True)
    output: Tensor = net(images)
    output[0, 0, output.shape[2] // 2, output.shape[3] // 2].backward()
    assert images.grad is not None
    rows, columns = images.grad[0, 0].nonzero().unbind(1)
    assert 0 < rows.min() and rows.max() < side - 1  # the picture is large enough not to cut it
    assert 0 < columns.min() and columns.max() < side - 1
    return int(rows.max() - rows.min()) + 1, int(columns.max() - columns.min()) + 1


def widest(net: nn.Module, side: int, units: int) -> tuple[int, int]:
    """The largest (height, width) that a unit around the centre sees; they differ where something was enlarged."""
    images = torch.full((1, 1, side, side), 0.5, dtype=torch.float64, requires_grad=True)
    middle = net(images)[0, 0]
    middle = middle[middle.shape[0] // 2 :, middle.shape[1] // 2 :]
    heights, widths = [0], [0]
    for k in range(min(units, *middle.shape)):
        for part, axis, sizes in ((middle[k, :units], 0, heights), (middle[:units, k], 1, widths)):
            (found,) = torch.autograd.grad(part.sum(), images, retain_graph=True)
            places = found[0, 0].nonzero()[:, axis]
            if len(places):
                sizes.append(int(places.max() - places.min()) + 1)
    return max(heights), max(widths)


@settings(max_examples=15)
@given(st.lists(windows(most_stride=2), min_size=1, max_size=3), st.booleans())
def test_windows_against_brute_force(stack, pooled):
    parts: list[nn.Module] = [positive(nn.Conv2d(1, 1, **options)) for options in stack]
    if pooled:
        parts.insert(1, nn.AvgPool2d(3, 2, 1))
    net = nn.Sequential(*parts)
    found = layers(net, torch.zeros(1, 1, 121, 121))[-1].receptive_field
    assert found == support(net, 121)


@settings(max_examples=15)
@given(windows(), st.integers(1, 4), st.integers(1, 3), windows(), st.booleans())
def test_enlarging_against_brute_force(first, kernel, stride, last, twice):
    up = [nn.ConvTranspose2d(1, 1, kernel, stride=stride, padding=min(1, kernel - 1)) for _ in range(1 + twice)]
    parts = [nn.Conv2d(1, 1, **first), *up, nn.Conv2d(1, 1, **last)]
    net = nn.Sequential(*(positive(part) for part in parts))
    found = layers(net, torch.zeros(1, 1, 61, 61))[-1].receptive_field
    seen = widest(net, 61, units=12)
    assert found == seen or (found is not None and 0 in found and 0 in seen)  # with gaps a unit may see nothing


@settings(max_examples=15)
@given(windows(), st.integers(20, 60), st.sampled_from(["nearest", "bilinear"]), windows())
def test_resizing_against_brute_force(first, size, mode, last):
    resize = Plain(lambda x: F.interpolate(x, size=(size, size), mode=mode))
    net = nn.Sequential(positive(nn.Conv2d(1, 1, **first)), resize, positive(nn.Conv2d(1, 1, **last)))
    found = layers(net, torch.zeros(1, 1, 61, 61))[-1].receptive_field
    assert found is not None
    seen = widest(net, 61, units=7)
    # Where sizes are no multiples, few units may see as much as the widest of all.
    assert all(s <= f <= s + 2 * first["stride"] * (61 // size + 1) for s, f in zip(seen, found, strict=True))


def test_layers_and_activations_agree_under_a_preprocessing_that_resizes(device):
    net = Network(nn.Sequential(nn.Conv2d(1, 1, 3)), preprocess=lambda x: F.avg_pool2d(x, 2), device=device)
    images = torch.zeros(1, 1, 12, 12)
    assert layers(net, images)[0].shape == tuple(activations(net, images, ["0"])["0"].shape)
