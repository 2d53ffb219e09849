"""Networks that compare two pictures, against the same networks called by hand."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nbvis.engine import (
    Fourier,
    ImageFiles,
    Network,
    activations,
    ascend,
    attribute,
    channel,
    collect,
    dream,
    energy,
    halves,
    last,
    layers,
    randomization_check,
    side_by_side,
    unit,
)


class Siamese(nn.Module):
    """Two inputs, shared weights, and layers that see both."""

    def __init__(self):
        super().__init__()
        self.conv, self.relu = nn.Conv2d(3, 4, 3, padding=1), nn.ReLU()
        self.deep, self.fc = nn.Conv2d(4, 5, 3, stride=2), nn.Linear(5, 3)
        self.merge, self.head = nn.Conv2d(5, 3, 3), nn.Linear(6, 2)

    def branch(self, images: Tensor) -> Tensor:
        return self.deep(self.relu(self.conv(images)))

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        one, other = self.branch(first), self.branch(second)
        apart = self.fc(one.mean((2, 3))) - self.fc(other.mean((2, 3)))
        return self.head(torch.cat([self.merge(one - other).mean((2, 3)), apart], 1))


class Towers(nn.Module):
    """Two inputs, each with weights of its own."""

    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 5, padding=1)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        return (self.left(first) * self.right(second)).mean((2, 3))


def centred(images: Tensor) -> Tensor:
    """A preprocessing that sees whether it is given one picture or both."""
    return images - images.mean((2, 3), keepdim=True)


@pytest.fixture
def pictures():
    return torch.rand(2, 2, 3, 12, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64).unbind(0)


@pytest.fixture
def module():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Siamese().double().eval()


@pytest.fixture
def network(module):
    return Network(module, preprocess=centred, pair="inputs", device="cpu")


def test_the_network_is_given_both_pictures_each_preprocessed_alone(network, module, pictures):
    images = side_by_side(*pictures)
    assert images.shape == (2, 3, 12, 32) and all(map(torch.equal, halves(images), pictures))
    assert torch.equal(network(images), module(*map(centred, pictures)))
    assert repr(network) == "Network(Siamese, pairs by inputs)" and network.pair == "inputs"
    assert not module._forward_pre_hooks


def test_activations_of_each_call_equal_those_by_hand(network, module, pictures):
    first, second = map(centred, pictures)
    names = ["conv:0", "conv:1", "conv", "deep:0", "deep:1", "fc:1", "merge", ""]
    found = activations(network, side_by_side(*pictures), names)
    deep = module.branch(first), module.branch(second)
    by_hand = [
        module.conv(first), module.conv(second), module.conv(second), *deep, module.fc(deep[1].mean((2, 3))),
        module.merge(deep[0] - deep[1]), module(first, second),
    ]  # fmt: skip
    assert all(torch.equal(found[name], value) for name, value in zip(names, by_hand, strict=True))


class Ruled(torch.autograd.Function):
    """A ReLU whose backward pass takes a rule of what was given and what comes back."""

    @staticmethod
    def forward(context, values, rule):
        context.save_for_backward(values)
        context.rule = rule
        return values.relu()

    @staticmethod
    def backward(context, *gradients):
        (values,) = context.saved_tensors
        return context.rule(values, gradients[0]), None


RULES = {
    "gradient": lambda values, back: back * (values > 0),
    "deconvnet": lambda values, back: back.relu(),
    "guided_backprop": lambda values, back: back.relu() * (values > 0),
}
TARGETS = {
    "first": (energy("deep:0", 1), lambda deep: deep[0][:, 1].square().sum() / 2),
    "both": (
        energy("deep:0", 1) + energy("deep:1", 1),
        lambda deep: (deep[0][:, 1].square().sum() + deep[1][:, 1].square().sum()) / 2,
    ),
    "one place": (unit("deep:1", 2, 3, 4), lambda deep: deep[1][:, 2, 3, 4].sum()),
}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("method", RULES)
def test_what_comes_back_to_each_picture_equals_autograd_by_hand(network, module, pictures, method, target):
    own = [picture.clone().requires_grad_() for picture in pictures]
    objective, score = TARGETS[target]
    deep = [module.deep(Ruled.apply(module.conv(centred(picture)), RULES[method])) for picture in own]
    expected = torch.autograd.grad(score(deep), own, allow_unused=True, materialize_grads=True)
    found = attribute(network, side_by_side(*pictures), objective, method=method)
    assert torch.allclose(found.map, torch.cat(expected, -1), rtol=1e-12, atol=1e-14)
    assert target == "both" or not any(half.any() for half in halves(found.map)[target == "first" :][:1])


def test_a_class_and_a_layer_are_explained_by_hand_too(network, module, pictures):
    own = [picture.clone().requires_grad_() for picture in pictures]
    expected = torch.autograd.grad(module(*map(centred, own))[:, 1].sum(), own)
    found = attribute(network, side_by_side(*pictures), 1)
    assert torch.allclose(found.map, torch.cat(expected, -1), rtol=1e-12, atol=1e-14)
    conv = [module.conv(centred(picture)).detach().requires_grad_() for picture in pictures]
    deep = [module.deep(each.relu()) for each in conv]
    expected = torch.autograd.grad(deep[0][:, 1].square().sum() / 2, conv[0])[0]
    found = attribute(network, side_by_side(*pictures), energy("deep:0", 1), layer="conv:0")
    assert torch.allclose(found.map, expected, rtol=1e-12, atol=1e-14)


def told(network, images):
    return {
        layer.name: ([*map(sorted, [call.seen.pictures for call in (*layer.earlier, layer)])], layer.receptive_field)
        for layer in layers(network, images)
    }


def test_each_call_tells_which_picture_it_saw_and_fields_are_those_of_one_picture(network, pictures):
    images = side_by_side(*pictures)
    assert told(network, images) == {
        "conv": ([[0], [1]], (3, 3)), "relu": ([[0], [1]], (3, 3)), "deep": ([[0], [1]], (5, 5)),
        "fc": ([[0], [1]], None), "merge": ([[0, 1]], (9, 9)), "head": ([[0, 1]], None),
    }  # fmt: skip
    shared = next(layer for layer in layers(network, images) if layer.name == "deep")
    assert shared.earlier[0].box(1, 2) == shared.box(1, 2) == ((1, 6), (3, 8)) and shared.image_size == (12, 16)
    found = told(Network(Towers().double(), pair="inputs"), images)
    assert found == {"left": ([[0]], (3, 3)), "right": ([[1]], (5, 5))}


@pytest.mark.parametrize("method", RULES)
def test_a_pair_packed_by_channel_equals_the_network_by_hand(pictures, method):
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(6, 4, 3), nn.ReLU(), nn.Conv2d(4, 5, 3)).double()
    network, images = Network(module, preprocess=centred, pair="channels"), side_by_side(*pictures)
    own = [picture.clone().requires_grad_() for picture in pictures]
    packed = torch.cat([*map(centred, own)], 1)
    assert torch.equal(network(images), module(packed))
    deep = module[2](Ruled.apply(module[0](packed), RULES[method]))
    expected = torch.autograd.grad(deep[:, 3].square().sum() / 2, own)
    found = attribute(network, images, energy("2", 3), method=method)
    assert torch.allclose(found.map, torch.cat(expected, -1), rtol=1e-12, atol=1e-14)
    assert told(network, images)["2"] == ([[0, 1]], (5, 5))
    assert layers(network, images)[0].box(1, 1) == ((1, 4), (1, 4))


def test_a_pair_packed_by_width_is_one_picture_to_the_network(pictures):
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()).double()
    network, images = Network(module, preprocess=centred, pair="width"), side_by_side(*pictures)
    entered = torch.cat([*map(centred, pictures)], -1)
    assert torch.equal(network(images), module(entered))
    assert layers(network, images)[0].box(0, 29) == ((0, 3), (29, 32))
    assert attribute(network, images, 1, method="grad_cam").map.shape == (2, 1, 12, 32)


def test_a_twin_of_a_pair_is_kept_for_the_next_pass(network, pictures):
    images = side_by_side(*pictures)
    attribute(network, images, 0)
    with network.borrowed() as kept:
        pass
    attribute(network, images, 1)
    with network.borrowed() as again:
        assert again is kept


def test_the_pictures_of_a_pair_are_changed_at_random_each_alone(network):
    seen = []

    def noted(images, generator):
        seen.append(images.shape)
        return images.flip(3)  # would change their sides if it were given the pair

    objective = channel("conv:0", 1)
    plain = last(ascend(network, objective, Fourier(12, 32), steps=2, transforms=()))
    turned = last(ascend(network, objective, Fourier(12, 32), steps=2, transforms=(noted,)))
    assert seen == [(2, 3, 12, 16)] * 2
    start = last(ascend(network, objective, Fourier(12, 32), steps=1, lr=0)).image
    assert all(not torch.equal(step.image, start) for step in (plain, turned))
    back = lambda step: attribute(network, step.image, objective).map  # noqa: E731
    assert all(halves(back(step))[0].any() and not halves(back(step))[1].any() for step in (plain, turned))


def test_checks_and_statistics_take_pairs(network, pictures):
    images = side_by_side(*pictures)
    assert randomization_check(network, images[:1], "gradient", target=1, stages=2).stages
    found = collect(network, [images])
    assert [*found][:2] == ["conv:0", "conv:1"]
    by_hand = activations(network, images, ["conv:1"])["conv:1"]
    assert torch.allclose(found["conv:1"].mean.double(), by_hand.mean((0, 2, 3)), atol=1e-6)


def own(module, inputs, target):
    module(inputs)[0, target].backward()
    return inputs.grad


def test_a_method_of_your_own_is_given_the_pair_side_by_side(network, pictures):
    images = side_by_side(*pictures)[:1]
    entered = side_by_side(*map(centred, halves(images))).requires_grad_()
    (expected,) = torch.autograd.grad(network.module(*halves(entered))[0, 1], entered)
    assert torch.allclose(attribute(network, images, 1, method=own).map, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda n, x: n(x[..., :31]), r"a pair lies side by side, .*, and these are \(2, 3, 12, 31\)"),
        (lambda n, x: Network(n.module, pair="input"), "pair says how a network takes two pictures, .*'inputs'"),
        (lambda n, x: layers(n.module, x), r"does not run on images of shape .* give Network\(module, pair='inputs'\)"),
        (lambda n, x: attribute(n, x, 0, method="grad_cam"), "Grad-CAM enlarges the rows and columns of one layer"),
        (lambda n, x: dream(n, channel("conv", 0), x), "Siamese compares pairs of pictures, and a dream is made of a"),
        (lambda n, x: side_by_side(x, x[..., 1:]), r"one shape, not .* scaled=True\) scales the second"),
        (lambda n, x: side_by_side(x, x[:, :1]), r"one shape, not \(2, 3, 12, 32\) and \(2, 1, 12, 32\)$"),
    ],
)
def test_what_is_no_pair_or_takes_none_says_so(network, pictures, ask, message):
    with pytest.raises((ValueError, RuntimeError), match=message):
        ask(network, side_by_side(*pictures))


def test_a_pair_of_two_sizes_can_be_scaled(pictures):
    first, second = pictures[0], pictures[1][..., :9]
    found = halves(side_by_side(first, second, scaled=True))
    assert torch.equal(found[0], first)
    assert torch.allclose(found[1], F.interpolate(second, (12, 16), mode="bilinear", antialias=True), atol=1e-12)


@pytest.fixture
def folder(tmp_path):
    from PIL import Image

    (tmp_path / "in a").mkdir()
    for name, size in (("in a/left one.png", (16, 12)), ("b.png", (8, 6)), ("c.png", (16, 12))):
        Image.new("RGB", size, (10 * len(name), 0, 200)).save(tmp_path / name)
    return tmp_path


def test_a_list_of_pairs_has_two_paths_and_a_label_in_each_line(folder):
    (folder / "list.txt").write_text("b.png c.png same thing\nin a/left one.png,b.png,other\n\nc.png\tgone.png\n")
    files = ImageFiles(folder / "list.txt", pairs=True)
    assert [[path.name for path in each] for each in files.files] == [
        ["b.png", "c.png"], ["left one.png", "b.png"], ["c.png", "gone.png"],
    ]  # fmt: skip
    assert files.labels == ["same thing", "other", None]
    first, second = files[0], files[1]
    assert isinstance(first, Tensor) and isinstance(second, Tensor)
    assert first.shape == (3, 6, 16) and second.shape == (3, 12, 32)  # the second has the size of the first
    assert [round(255 * float(each)) for each in second[0, 0, [0, 31]]] == [10 * len("in a/left one.png"), 50]
    assert "gone.png" in str(files[2])
    assert ImageFiles([("b.png", folder / "c.png")], pairs=True).files[0][1] == folder / "c.png"


@pytest.mark.parametrize(
    ("lines", "message"),
    [("b.png c.png\nb.png\n", "line 2 of .* has one path, and a pair takes two: 'b.png'"), ("", "no pictures in")],
)
def test_a_line_without_a_pair_is_named(folder, lines, message):
    (folder / "list.txt").write_text(lines)
    with pytest.raises(ValueError, match=message):
        ImageFiles(folder / "list.txt", pairs=True)


@pytest.mark.parametrize(("source", "pairs"), [([("b.png", "c.png")], False), (["b.png"], True)])
def test_two_paths_are_a_pair_only_where_pairs_are_asked_for(source, pairs):
    with pytest.raises(ValueError, match="path"):
        ImageFiles(source, pairs=pairs)


def test_files_of_a_folder_that_are_no_pictures_by_their_names_are_counted(folder):
    (folder / "notes.txt").write_text("none")
    (folder / "in a" / "more.md").write_text("none")
    files = ImageFiles(folder)
    assert len(files) == 3 and files.left_out == 2
