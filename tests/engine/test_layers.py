"""Listing layers and catching what they answer."""

import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from nbvis.engine import Network, activations, capture, layers


class Reused(nn.Module):
    """One ReLU called three times, a convolution called twice, and parts that never run or return something odd."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.pair = Pair()
        self.spare = nn.Conv2d(3, 3, 1)
        self.late = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU())

    def forward(self, images):
        x = self.relu(self.conv(images))
        x = self.relu(self.conv(x) - 0.1)
        x, _ = self.pair(x)
        return self.late(self.relu(x - 0.1))


class Pair(nn.Module):
    def forward(self, x):
        return x, x


@pytest.fixture
def reused():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Reused().double().eval()


def by_hand(net, images):
    """The values of a Reused network, without any in-place operation."""
    first = net.conv(images)
    second = net.conv(first.relu())
    third = (second - 0.1).relu()
    return {
        "conv:0": first,
        "relu:0": first.relu(),
        "conv": second,
        "conv:1": second,
        "relu:1": third,
        "relu:2": (third - 0.1).relu(),
        "relu": (third - 0.1).relu(),
        "late.0": net.late[0]((third - 0.1).relu()),
        "": net(images),
    }


def test_every_call_of_a_layer_has_its_address_and_the_bare_name_is_the_last(reused, pictures):
    images = pictures(2, 3, 6, 5)
    expected = by_hand(reused, images)
    for names in [list(expected), *([name] for name in expected)]:
        found = activations(reused, images, names)
        assert list(found) == names
        for name in names:
            assert torch.equal(found[name], expected[name]), name
            assert not found[name].requires_grad


def test_capture_addresses_calls_alike_keeps_the_graph_and_renews(reused, pictures):
    images = pictures(2, 3, 6, 5).requires_grad_()
    expected = by_hand(reused, images)
    with capture(reused, list(expected)) as seen:
        assert seen == {}
        reused(images * 0)
        reused(images)
    assert sorted(seen) == sorted(expected)
    for name, value in expected.items():
        assert torch.equal(seen[name], value), name
        (found,) = torch.autograd.grad(seen[name].sum(), images, retain_graph=True)
        (wanted,) = torch.autograd.grad(value.sum(), images, retain_graph=True)
        assert torch.allclose(found, wanted), name


def test_a_later_change_in_place_does_not_reach_an_activation(pictures):
    class Chain(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.keep, self.relu = nn.Conv2d(3, 4, 3), nn.Identity(), nn.ReLU(inplace=True)

        def forward(self, images):
            return F.relu_(self.relu(self.keep(self.conv(images))).sub_(1))

    net, images = Chain().double(), pictures(1, 3, 6, 6)
    found = activations(net, images, ["conv", "keep", "relu", ""])
    with torch.no_grad():
        plain = net.conv(images)
    assert plain.min() < 0
    assert torch.equal(found["conv"], plain) and torch.equal(found["keep"], plain)
    assert torch.equal(found["relu"], plain.relu())
    with capture(net, ["conv", "keep", "relu"]) as seen:
        net(images)
    assert all(torch.equal(seen[name], found[name]) for name in seen)


def test_two_layers_of_one_call_share_nothing(pictures):
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Identity(), nn.Dropout()).double()
    found = activations(net, pictures(1, 3, 6, 6), ["0", "1", "2"])
    assert len({value.data_ptr() for value in found.values()}) == 3


def test_the_pass_stops_after_the_last_layer_needed(convnet, calls, pictures):
    net = convnet()
    counts = calls(net)
    activations(net, pictures(2, 3, 8, 8), ["0", "3"])
    assert [counts[str(k)] for k in range(len(net))] == [1, 1, 1, 1, 0, 0, 0, 0, 0]


def test_the_pass_stops_in_a_network_that_is_no_sequential_too(reused, calls, pictures):
    counts = calls(reused)
    activations(reused, pictures(2, 3, 6, 6), ["relu:0"])
    assert counts["conv"] == 1 and counts["pair"] == counts["late.0"] == counts[""] == 0
    activations(reused, pictures(2, 3, 6, 6), ["conv"])
    assert counts["conv"] == 3 and counts["pair"] == counts["late.0"] == counts[""] == 0


def test_what_comes_after_the_last_layer_may_fail(reused, pictures):
    reused.late[0] = nn.Conv2d(17, 1, 1).double()
    found = activations(reused, pictures(1, 3, 6, 6), ["conv", "relu:2"])
    assert found["relu:2"].shape == (1, 3, 6, 6)


def test_layers_lists_what_one_pass_calls_in_its_order(reused, pictures):
    found = layers(reused, pictures(2, 3, 6, 5))
    assert [(layer.name, layer.kind, layer.shape, layer.calls) for layer in found] == [
        ("conv", "Conv2d", (1, 3, 6, 5), 2),
        ("relu", "ReLU", (1, 3, 6, 5), 3),
        ("late.0", "Conv2d", (1, 4, 6, 5), 1),
        ("late.1", "ReLU", (1, 4, 6, 5), 1),
        ("late", "Sequential", (1, 4, 6, 5), 1),
    ]


def test_every_listed_layer_can_be_caught(device, reused, convnet, pictures):
    images = pictures(1, 3, 9, 9)
    for net in (reused, convnet(), Network(convnet(), preprocess=lambda x: x - 0.5, device=device)):
        found = layers(net, images)
        seen = activations(net, images, [layer.name for layer in found])
        assert [tuple(value.shape) for value in seen.values()] == [layer.shape for layer in found]


def test_unknown_layers_are_answered_with_near_ones(reused, pictures):
    images = pictures(1, 3, 6, 6)
    with pytest.raises(ValueError, match=r"no layer 'late.o'; did you mean .*'late.0'"):
        activations(reused, images, ["conv", "late.o"])
    with pytest.raises(ValueError, match="no layer 'zzz'; there are 'conv', 'relu', 'pair', 'spare', 'late', "):
        activations(reused, images, ["zzz"])
    with pytest.raises(ValueError, match="no layer 'zzz:0'"), capture(reused, ["zzz:0"]):
        pass
    with pytest.raises(ValueError, match="no layer 'conv:last'"):
        activations(reused, images, ["conv:last"])
    with pytest.raises(TypeError, match=r"list of layer names, such as \['conv'\]"):
        activations(reused, images, "conv")
    with pytest.raises((TypeError, ValueError), match="0"):
        activations(reused, images, [0])  # pyright: ignore[reportArgumentType]


def test_layers_that_are_not_called_or_not_so_often_are_named(reused, pictures):
    images = pictures(1, 3, 6, 6)
    with pytest.raises(ValueError, match=r"layer 'spare' is never called.*there are 'conv', 'relu', "):
        activations(reused, images, ["conv", "spare"])
    with pytest.raises(ValueError, match=r"layer 'relu' is called 3 times.*no 'relu:3'"):
        activations(reused, images, ["relu:3"])
    with pytest.raises(ValueError, match=r"layer 'late' is called once.*no 'late:1'"):
        activations(reused, images, ["late:1"])
    with pytest.raises(ValueError, match=r"layer '1' is called once.*no '1:1'"):
        activations(nn.Sequential(nn.Conv2d(3, 2, 1), nn.ReLU()).double(), images, ["1:1"])


def test_a_layer_that_returns_no_single_tensor_is_named(reused, pictures):
    for call in (lambda: activations(reused, pictures(1, 3, 6, 6), ["pair"]), lambda: _captured(reused, pictures)):
        with pytest.raises(ValueError, match=r"layer 'pair' \(Pair\) returns tuple, not one tensor"):
            call()


def _captured(net, pictures):
    with capture(net, ["pair"]):
        net(pictures(1, 3, 6, 6))


@pytest.mark.parametrize("preprocess", [None, lambda x: x - torch.zeros(3, 1, 1)])
def test_a_network_that_does_not_run_says_so_with_its_own_error(device, reused, convnet, pictures, preprocess):
    wrong = pictures(2, 5, 6, 6)
    for net in (reused, convnet()):
        network = Network(net, preprocess=preprocess, input_size=(8, 8), device=device)
        first = next(name for name, _ in net.named_children())
        for call in (
            lambda network=network: layers(network, wrong),
            lambda network=network, first=first: activations(network, wrong, ["", first]),
            lambda network=network, first=first: activations(network, wrong, [first]),
        ):
            with pytest.raises(
                RuntimeError, match=r"does not run on images of shape \(\d, 5, 6, 6\).*\(8, 8\)"
            ) as caught:
                call()
            assert isinstance(caught.value.__cause__, RuntimeError)
            assert str(caught.value.__cause__) in str(caught.value)


def test_an_error_before_a_second_call_is_the_networks_own(pictures):
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, images):
            return self.conv(self.conv(images))

    with pytest.raises(RuntimeError, match="does not run on images of shape"):
        activations(Twice().double(), pictures(1, 3, 8, 8), ["conv:1"])


def compiled_(net: nn.Module) -> nn.Module:
    wrapped = torch.compile(net, backend="eager")
    assert isinstance(wrapped, nn.Module)
    return wrapped


def test_a_compiled_network_is_looked_at_as_written(convnet, house, pictures):
    net, images = convnet(), pictures(1, 3, 8, 8)
    expected = activations(net, images, ["3", ""])
    compiled = compiled_(net)
    inner = nn.Sequential(compiled_(convnet()[:4]), nn.ReLU())
    with house(net), house(inner):
        assert all(torch.equal(activations(compiled, images, ["3", ""])[name], expected[name]) for name in expected)
        assert [layer.name for layer in layers(compiled, images)] == [layer.name for layer in layers(net, images)]
        assert torch.equal(activations(inner, images, ["0.3"])["0.3"], expected["3"])
        assert [layer.name for layer in layers(inner, images)] == ["0.0", "0.1", "0.2", "0.3", "0", "1"]
    assert Network(compiled).name == "Sequential"


def test_a_scripted_network_gives_its_output_and_says_why_it_cannot_give_more(convnet, house, pictures):
    net, images = convnet(), pictures(1, 3, 8, 8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # newer versions of torch call it deprecated
        scripted = torch.jit.script(net)
    with house(net):
        assert torch.allclose(activations(scripted, images, [""])[""], net(images))
        with pytest.raises(ValueError, match=r"'3'.*TorchScript"):
            activations(scripted, images, ["3"])


def test_a_checkpointed_block_can_be_looked_into(pictures):
    from torch.utils.checkpoint import checkpoint

    class Saver(nn.Module):
        def __init__(self):
            super().__init__()
            self.block = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3))

        def forward(self, images):
            return checkpoint(self.block, images, use_reentrant=False)

    net, images = Saver().double(), pictures(1, 3, 8, 8)
    assert torch.equal(activations(net, images, ["block.1"])["block.1"], net.block[:2](images))


def test_random_layers_are_called_as_often_as_counted(pictures):
    """A network that draws random numbers leaves the caller's alone and can be looked into."""

    class Noisy(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 1)

        def forward(self, images):
            return self.conv(self.conv(images + torch.randn_like(images)))

    state = torch.get_rng_state()
    net = Noisy().double()
    torch.set_rng_state(state)
    first = activations(net, pictures(1, 3, 4, 4), ["conv"])["conv"]
    assert torch.equal(state, torch.get_rng_state())
    assert torch.equal(first, activations(net, pictures(1, 3, 4, 4), ["conv"])["conv"])


def test_capture_sees_passes_through_the_network_and_through_its_module(device, convnet, pictures):
    net, images = convnet(), pictures(1, 3, 8, 8)
    network = Network(net, preprocess=lambda images: images - 0.5, device=device)
    with capture(network, ["0"]) as seen:
        network(images)
        assert torch.equal(seen["0"], net[0](images - 0.5))
        net(images)
        assert torch.equal(seen["0"], net[0](images))
    before = seen["0"]
    network(images)
    assert seen["0"] is before and not net[0]._forward_hooks


COMPILED = {
    "wrapped": lambda net: (compiled_(net), "0"),
    "a part": lambda net: (nn.Sequential(compiled_(net)), "0.0"),
}


@pytest.mark.parametrize("kind", [*COMPILED, "in place", "from outside"])
def test_capture_sees_a_compiled_module_that_has_run(convnet, pictures, kind):
    from torch._dynamo import eval_frame

    net, images = convnet(), pictures(1, 3, 8, 8)
    caught, name, run = net, "0", compiled_(net) if kind == "from outside" else net
    if kind == "in place":
        net.compile(backend="eager")
    elif kind in COMPILED:
        caught, name = COMPILED[kind](net)
        run = caught
    for _ in range(2):
        run(images)
    before = eval_frame._stance
    with capture(caught, [name]) as seen:
        run(images)
        with capture(caught, [name]) as inner:
            run(images)
        run(images)
    assert torch.equal(seen[name], net[0](images)) and torch.equal(inner[name], net[0](images))
    assert eval_frame._stance == before
    del seen[name]
    run(images)
    assert not seen
