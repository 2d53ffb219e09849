"""The prepared copy: faster than the network, equal to it, and never older than it."""

import copy
import gc
import weakref

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import nbvis.engine.network.network as network_module
from nbvis.engine import Network, Pixels, activations, activity, ascend, channel, custom, dream, last, logit
from nbvis.engine.network.prepared import Prepared
from nbvis.engine.network.twin import twin_of


def difference(network: nn.Module | Network, names, images) -> float:
    """Between the prepared copy and the network itself, relative to the largest activation."""
    return compared(network, names, images)[0]


def compared(network: nn.Module | Network, names, images) -> tuple[float, int]:
    """That, and how many batch norms the prepared copy has got rid of."""
    network = network if isinstance(network, Network) else Network(network, device=images.device)
    prepared, plain = Prepared(network, names, images), activations(network, images, names)
    found = prepared(images)
    assert list(found) == list(plain) == list(names)
    gone = norms(network.module) - norms(prepared._module)
    return max(((found[n] - plain[n]).abs().max() / plain[n].abs().max()).item() for n in names), gone


def norms(module: nn.Module) -> int:
    return sum(isinstance(part, nn.BatchNorm2d) for part in module.modules())


def lived_in(net: nn.Module) -> nn.Module:
    """With the statistics and weights of a trained network's order of magnitude."""
    for part in net.modules():
        if isinstance(part, nn.BatchNorm2d):
            assert part.running_mean is not None and part.running_var is not None
            nn.init.normal_(part.running_mean, std=0.3)
            nn.init.uniform_(part.running_var, 0.5, 2)
            if part.affine:
                nn.init.uniform_(part.weight, 0.5, 1.5)
                nn.init.normal_(part.bias, std=0.3)
    return net.eval()


@pytest.fixture(scope="module")
def resnet():
    from torchvision.models import resnet18

    with torch.random.fork_rng():
        torch.manual_seed(0)
        return lived_in(resnet18())


@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 1e-5), (torch.float64, 1e-13)])
@pytest.mark.parametrize(
    "names, norms", [(["layer1"], 5), (["layer2.0.bn1", "layer3.1.relu"], 15), (["fc"], 20), ([""], 20)], ids=str
)
def test_resnet18_stays_the_same(resnet, pictures, names, norms, dtype, tolerance):
    net, images = copy.deepcopy(resnet).to(dtype), pictures(1, 3, 40, 32).to(dtype)
    different, gone = compared(net, names, images)
    assert different < tolerance and gone == norms


def test_the_gradient_stays_the_same(device, resnet, pictures):
    net = copy.deepcopy(resnet).double()
    images = pictures(1, 3, 32, 40).requires_grad_()
    network = Network(net, device=device)
    (found,) = torch.autograd.grad(Prepared(network, ["layer3"], images)(images)["layer3"].square().sum(), images)
    values = []
    handle = net.layer3.register_forward_hook(lambda module, args, output: values.append(output))
    net(images)
    handle.remove()
    (plain,) = torch.autograd.grad(values[0].square().sum(), images)
    assert (found - plain).abs().max() < 1e-12 * plain.abs().max()


def test_it_stops_after_the_last_layer(device, convnet, calls, pictures):
    net, images = convnet(), pictures(1, 3, 8, 8)
    prepared = Prepared(Network(net, device=device), ["2"], images)
    counts = calls(prepared._module)
    prepared(images)
    assert [counts[str(k)] for k in range(len(net))] == [1, 1, 1, 0, 0, 0, 0, 0, 0]


class Net(nn.Module):
    """Two convolutions, each with its batch norm, in an order that a test gives."""

    def __init__(self, function, **parts):
        super().__init__()
        self.a, self.norm = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.b, self.other = nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4, affine=False)
        self.relu, self.function = nn.ReLU(inplace=True), function
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, images):
        return self.function(self, images)


ORDERS = {  # the network's function, and how many batch norms may go
    "as usual": (lambda n, x: n.other(n.b(n.relu(n.norm(n.a(x))))), 2),
    "convolution used beside": (lambda n, x: n.other(n.b((y := n.a(x)).sigmoid() + n.norm(y))), 1),
    "convolution used before": (lambda n, x: n.other(n.b(n.norm(y := n.a(x)) * (y > 0))), 1),
    "convolution used by its size": (lambda n, x: n.other(n.b(n.norm(y := n.a(x)).view(y.shape))), 2),
    "convolution used where it is shut": (lambda n, x: n.other(n.b(F.relu((y := n.a(x)) - 50) + n.norm(y))), 1),
    "changed on the way": (lambda n, x: n.norm(n.a(x).mul_(2)), 0),
    "batch norm used twice": (lambda n, x: n.norm(n.b(n.norm(n.a(x)))), 0),
    "convolution used twice": (lambda n, x: n.norm(n.b(n.other(n.b(n.a(x))))), 0),
    "weight used beside": (lambda n, x: n.norm(n.a(x)) + F.conv2d(x, n.a.weight, padding=1), 0),
    "batch norm's own numbers used": (lambda n, x: n.norm(n.a(x)) + n.norm.running_mean.sum(), 0),
    "functional batch norm": (
        lambda n, x: F.batch_norm(n.a(x), n.norm.running_mean, n.norm.running_var, n.norm.weight, n.norm.bias),
        0,
    ),
    "batch norm first": (lambda n, x: n.b(n.norm(n.a(x).relu())), 0),
}


@pytest.mark.parametrize("name", ORDERS)
def test_a_batch_norm_is_folded_only_where_nobody_notices(pictures, name):
    function, most = ORDERS[name]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = lived_in(Net(function).double())
    images = pictures(2, 3, 9, 8)
    different, gone = compared(net, [""], images)
    assert different < 1e-13 and gone == most
    assert difference(net, [""], 100 * images) < 1e-13  # also for a picture it was not tried on


def test_a_network_prepared_on_one_picture_holds_for_others(device, pictures):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = lived_in(Net(ORDERS["convolution used where it is shut"][0]).double())
    network = Network(net, device=device)
    prepared, images = Prepared(network, [""], pictures(1, 3, 9, 8)), 100 * pictures(1, 3, 9, 8, seed=1)
    assert torch.allclose(prepared(images)[""], net(images), rtol=1e-12)


BRANCHES = {  # the network's function, which takes another way where the picture is bright
    "batch norm skipped": lambda n, x: n.b(n.a(x)) if x.mean() > 0.9 else n.b(n.norm(n.a(x))),
    "another batch norm": lambda n, x: n.b(n.other(n.a(x)) if x.mean() > 0.9 else n.norm(n.a(x))),
    "batch norm of something else": lambda n, x: n.norm(n.b(n.a(x))) if x.mean() > 0.9 else n.b(n.norm(n.a(x))),
    "convolution used beside": lambda n, x: n.norm(y := n.a(x)) + (n.b(y) if x.mean() > 0.9 else 0),
    "convolution changed in place": lambda n, x: n.b(n.norm(n.a(x).mul_(2) if x.mean() > 0.9 else n.a(x))),
    "convolution answers": lambda n, x: n.a(x) if x.mean() > 0.9 else n.norm(n.a(x)),
    "batch norm's own numbers": lambda n, x: n.norm(n.a(x)) * (n.norm.running_var.sum() if x.mean() > 0.9 else 1),
    "in place after it": lambda n, x: n.relu(n.norm(n.a(x))) + (n.a(x) if x.mean() > 0.9 else 0),
}


@pytest.mark.parametrize("name", BRANCHES)
def test_a_later_way_around_a_folded_batch_norm_is_noticed(device, pictures, name):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = lived_in(Net(BRANCHES[name]).double())
    dark, bright = pictures(2, 3, 9, 8), pictures(2, 3, 9, 8, low=0.95, high=1.0)
    prepared = Prepared(Network(net, device=device), [""], dark)
    assert norms(net) - norms(prepared._module) == 1
    for images in (dark, bright, dark, bright):
        images = images.clone().requires_grad_()
        found, plain = prepared(images)[""], net(images)
        assert type(found) is torch.Tensor and torch.allclose(found, plain, rtol=1e-12)
        given, expected = (torch.autograd.grad(each.square().sum(), images)[0] for each in (found, plain))
        assert torch.allclose(given, expected, rtol=1e-9, atol=1e-12)


def test_only_the_batch_norm_that_is_passed_by_goes_back_to_its_place(device, pictures):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = lived_in(Net(lambda n, x: n.other(n.b(n.a(x) if x.mean() > 0.9 else n.norm(n.a(x))))).double())
    prepared = Prepared(Network(net, device=device), [""], pictures(1, 3, 9, 8))
    assert norms(prepared._module) == 0
    prepared(pictures(1, 3, 9, 8, low=0.95, high=1.0))
    assert norms(prepared._module) == 1 and isinstance(prepared._module.get_submodule("norm"), nn.BatchNorm2d)


def test_ascend_goes_on_where_a_branch_passes_a_batch_norm_by(pictures):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = lived_in(Net(BRANCHES["batch norm skipped"]).double())
    run = ascend(net, channel("b", 1), Pixels(pictures(1, 3, 9, 8, low=0.85, high=0.9)), steps=40, transforms=())
    means, step = [], None
    for step in run:
        means.append(step.image.mean().item())
        with torch.no_grad():
            after = net(step.image)[:, 1].mean((1, 2))
    assert step is not None
    again = ascend(net, channel("b", 1), Pixels(step.image), steps=1, lr=0, transforms=())
    assert torch.allclose(next(again).score, after, rtol=1e-9)


@pytest.mark.parametrize("copied, norms_gone, most", [("all", 20, 2.0), ("small", 1, 0.01), ("none", 0, 0.0)])
def test_only_the_weights_that_may_be_are_copied(device, resnet, pictures, copied, norms_gone, most):
    network, images = Network(resnet, device=device), pictures(2, 3, 64, 48).float()
    prepared = Prepared(network, [""], images, copied)
    original = {weight.data_ptr() for weight in resnet.parameters()}
    own = sum(w.numel() for w in prepared._module.parameters() if w.data_ptr() not in original)
    assert own <= most * sum(weight.numel() for weight in resnet.parameters())
    assert norms(resnet) - norms(prepared._module) == norms_gone
    with torch.no_grad():
        found, plain = prepared(images)[""], resnet(images)
    assert torch.equal(found, plain) if copied == "none" else (found - plain).abs().max() < 1e-5 * plain.abs().max()


def test_the_trial_lets_go_of_what_the_network_lets_go_of(device, pictures):
    alive: list[weakref.ref] = []

    def count(module, args, output):
        assert sum(ref() is not None for ref in alive) <= 1
        alive.append(weakref.ref(output))

    net = nn.Sequential(*[nn.Conv2d(3, 3, 1) for _ in range(5)]).eval()
    for part in net:
        part.register_forward_hook(count)
    Prepared(Network(net, device=device), [""], pictures(1, 3, 8, 8).float())
    assert len(alive) >= 5


@pytest.mark.parametrize("names", [["a"], ["a", "norm"], ["norm"], ["b", "a:0", ""], ["relu", "a"]], ids=str)
def test_a_convolution_that_is_looked_at_itself_keeps_its_values(pictures, names):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = lived_in(Net(ORDERS["as usual"][0]).double())
    different, gone = compared(net, names, pictures(2, 3, 9, 8))
    assert different < 1e-13 and gone == (names == ["norm"])


def test_a_container_that_ends_in_a_convolution_keeps_its_values(pictures):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = lived_in(nn.Sequential(nn.Sequential(nn.Conv2d(3, 4, 3)), nn.BatchNorm2d(4), nn.ReLU()).double())
    different, gone = compared(net, ["0", "2"], pictures(1, 3, 8, 8))
    assert different < 1e-13 and gone == 0
    assert compared(net, ["2"], pictures(1, 3, 8, 8))[1] == 1


def test_a_network_that_reshapes_by_strides_works(pictures):
    class LeNet(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.norm, self.fc = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4 * 36, 5)

        def forward(self, images):
            x = self.norm(self.conv(images)).relu()
            return self.fc(x.view(len(x), -1))

    with torch.random.fork_rng():
        net = lived_in(LeNet().double())
    images = pictures(2, 3, 8, 8)
    different, gone = compared(net, ["fc"], images)
    assert different < 1e-13 and gone == 1
    assert last(ascend(net, logit(1), Pixels(images), steps=2)).score.shape == (2,)


@pytest.mark.parametrize("kind", ["transposed", "grouped", "dilated", "depthwise", "no statistics", "half", "bfloat16"])
def test_other_convolutions(pictures, kind):
    parts = {
        "transposed": nn.ConvTranspose2d(4, 4, 3),
        "grouped": nn.Conv2d(4, 4, 3, groups=2),
        "dilated": nn.Conv2d(4, 4, 3, dilation=2, padding_mode="reflect", padding=1),
        "depthwise": nn.Conv2d(4, 4, 3, groups=4, bias=False),
    }
    with torch.random.fork_rng():
        torch.manual_seed(0)
        norm = nn.BatchNorm2d(4, track_running_stats=kind != "no statistics")
        net = nn.Sequential(nn.Conv2d(3, 4, 1), parts.get(kind, nn.Conv2d(4, 4, 3)), norm, nn.ReLU()).eval()
        if kind != "no statistics":
            lived_in(net)
    dtype = {"half": torch.float16, "bfloat16": torch.bfloat16}.get(kind, torch.float64)
    images = pictures(1 if kind == "no statistics" else 2, 3, 9, 9).to(dtype)
    assert difference(net.to(dtype), ["3"], images) < (1e-13 if dtype == torch.float64 else 1e-6)


@pytest.mark.parametrize("wrap", ["weight_norm", "spectral_norm"])
def test_reparametrised_convolutions(pictures, wrap):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        conv = getattr(nn.utils.parametrizations, wrap)(nn.Conv2d(3, 4, 3))
        net = lived_in(nn.Sequential(conv, nn.BatchNorm2d(4), nn.ReLU()).double())
    weight = conv.weight.clone()
    assert difference(net, ["2"], pictures(2, 3, 9, 9)) < 1e-13
    assert torch.equal(conv.weight, weight)


def change_bias_in_place(net):
    with torch.no_grad():
        net[0].weight.mul_(2)


def train_a_step(net):
    optimizer = torch.optim.SGD(net.parameters(), lr=0.5)
    net(torch.ones(2, 3, 8, 8).double()).square().sum().backward()
    optimizer.step()
    optimizer.zero_grad()


def new_statistics(net):
    net.train()(torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0)).double())
    net.eval()


def load(net):
    net.load_state_dict({k: v * 1.5 for k, v in net.state_dict().items()})


def load_by_assignment(net):
    net.load_state_dict({k: v * 1.5 for k, v in net.state_dict().items()}, assign=True)


def replace_parameter(net):
    net[0].weight = nn.Parameter(net[0].weight * 2)


def replace_data(net):
    net[0].weight.data = net[0].weight.data * 2


def replace_buffer(net):
    net[1].running_mean = net[1].running_mean + 1


def replace_part(net):
    with torch.random.fork_rng():
        torch.manual_seed(5)
        net[0] = nn.Conv2d(3, 6, 3, padding=1).double()


def replace_part_without_weights(net):
    net[2] = nn.Sigmoid()


CHANGES = [
    change_bias_in_place,
    train_a_step,
    new_statistics,
    load,
    load_by_assignment,
    replace_parameter,
    replace_data,
    replace_buffer,
    replace_part,
    replace_part_without_weights,
]


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_the_network_is_seen_at_the_next_step(convnet, pictures, change):
    net, images = convnet(), pictures(1, 3, 8, 8)
    run = ascend(net, channel("2", 1), Pixels(images), steps=3, lr=0, transforms=())
    first = next(run)
    assert torch.allclose(first.score, net[:3](images)[:, 1].mean((1, 2)))
    with torch.random.fork_rng():
        change(net)
    with torch.no_grad():
        now = net[:3](images)[:, 1].mean((1, 2))
    assert not torch.allclose(now, first.score)
    assert torch.allclose(next(run).score, now, rtol=1e-12)


def test_many_replacements_are_all_seen(convnet, pictures):
    """Memory that is freed comes back at the same address: an address alone does not tell old from new."""
    net, images = convnet(), pictures(1, 3, 8, 8)
    for step in ascend(net, channel("2", 1), Pixels(images), steps=12, lr=0, transforms=()):
        with torch.no_grad():
            now = net[:3](images)[:, 1].mean((1, 2))
        assert torch.allclose(step.score, now, rtol=1e-12)
        net[0].weight = nn.Parameter(
            torch.randn(6, 3, 3, 3, generator=torch.Generator().manual_seed(step.index)).double()
        )


def test_data_changed_between_runs_is_seen(device, convnet, pictures):
    net, images = convnet(), pictures(1, 3, 8, 8)
    network = Network(net, device=device)
    for _ in range(2):
        step = next(ascend(network, activity("5"), Pixels(images), transforms=()))
        assert torch.allclose(step.score, net[:6](images).square().mean((1, 2, 3)), rtol=1e-12)
        net[0].weight.data.mul_(2)
        net[1].running_var.data.mul_(3)


def test_an_unchanged_network_is_prepared_once(convnet, pictures, monkeypatch):
    made = []
    make = Prepared._make
    monkeypatch.setattr(Prepared, "_make", lambda self: (made.append(1), make(self)))
    last(ascend(convnet(), logit(1), Pixels(pictures(1, 3, 8, 8)), steps=5))
    assert len(made) == 1


def made(monkeypatch) -> list[int]:
    """Grows by one whenever a network is made ready anew."""
    found, make = [], Prepared._make
    monkeypatch.setattr(Prepared, "_make", lambda self: found.append(1) or make(self))
    return found


def run(network, objective, image, **options):
    return [step.image for step in dream(network, objective, image, octaves=2, steps=2, jitter=2, **options)]


@pytest.fixture
def kept(monkeypatch, pictures):
    """A network with a run behind it, its picture, and what grows when it is made ready anew."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 4, 3))
    network, image = Network(net.eval(), device="cpu"), pictures(1, 3, 24, 24).float()
    count = made(monkeypatch)
    run(network, channel("2", 0), image)
    assert count == [1]
    count.clear()
    return network, image, count


def test_the_next_run_at_the_same_layer_starts_from_what_the_last_one_made_ready(kept):
    network, image, count = kept
    for index in (0, 1):
        objective = channel("2", index)
        again = run(network, objective, image)
        assert count == []
        fresh = Network(network.module, device="cpu")
        assert all(map(torch.equal, again, run(fresh, objective, image)))
        assert count.pop() == 1


def test_another_layer_or_picture_is_made_ready_and_the_last_ones_stay(kept):
    network, image, count = kept
    run(network, channel("3", 0), image)
    assert count == [1]
    run(network, channel("2", 0), image)
    run(network, channel("3", 1), image)
    assert count == [1]
    run(network, channel("2", 0), 1 - image)
    assert count == [1, 1]


def test_a_layer_that_was_never_asked_for_takes_one_copy_and_six_passes(resnet, monkeypatch, pictures):
    """Alone and beside another, as it is, in the faster form, and with its gradient, before the first step."""
    network, image = Network(resnet, device="cpu"), pictures(1, 3, 96, 96).float()
    steps = dream(network, channel("layer1", 0), image, octaves=1, steps=8, jitter=0)
    next(steps)
    copies, passes = [], []
    monkeypatch.setattr(network_module, "twin_of", lambda *given: copies.append(1) or twin_of(*given))
    monkeypatch.setattr(network, "enter", lambda images: passes.append(1) or Network.enter(network, images))
    steps.send({"objective": channel("layer2", 0)})
    assert (len(copies), len(passes)) == (1, 6)


def test_a_run_that_is_closed_or_steered_to_another_layer_leaves_it_too(kept):
    network, image, count = kept
    steps = dream(network, channel("2", 0), image, octaves=2, steps=2, jitter=2)
    next(steps)
    steps.send({"objective": channel("2", 1)})
    assert count == []
    steps.send({"objective": channel("3", 1)})
    assert count == [1]
    run(network, channel("2", 0), image)
    steps.close()
    run(network, channel("3", 0), image)
    assert count == [1]


@pytest.mark.parametrize(
    "change",
    [
        lambda net: net[0].weight.data.mul_(-1.5),
        lambda net: net[0].weight.data.copy_(net[0].weight.data.flip(0)),
        lambda net: nn.init.uniform_(net[0].weight),
        lambda net: setattr(net[1], "running_mean", torch.ones(8)),
        lambda net: setattr(net[1], "eps", 5.0),
        lambda net: net[2].register_forward_hook(lambda part, args, output: output.flip(-1).cos()),
        lambda net: setattr(net[2], "forward", lambda x: 3 * x.sin()),
        lambda net: net.__setitem__(2, nn.Tanh()),
    ],
)
def test_whatever_changes_in_between_is_seen(kept, change):
    network, image, _ = kept
    before = run(network, channel("2", 0), image)
    change(network.module)
    after = run(network, channel("2", 0), image)
    assert all(map(torch.equal, after, run(Network(network.module, device="cpu"), channel("2", 0), image)))
    assert not torch.equal(after[-1], before[-1])


def test_another_preprocessing_is_seen(kept):
    network, image, _ = kept
    network.preprocess = lambda images: images**2
    fresh = Network(network.module, preprocess=network.preprocess, device="cpu")
    assert all(map(torch.equal, run(network, channel("2", 0), image), run(fresh, channel("2", 0), image)))


def test_a_run_that_fails_leaves_nothing(kept):
    network, image, count = kept
    with pytest.raises(FloatingPointError):
        run(network, custom(lambda a: (a / 0).mean((1, 2, 3)), "2"), image)
    run(network, channel("2", 0), image)
    assert count == [1]


def test_what_a_collected_run_leaves_is_not_taken_up_again(convnet, pictures):
    network, image = Network(convnet()), Pixels(pictures(1, 3, 12, 12))

    def drop():
        run = ascend(network, channel("5", 1), image)
        next(run)
        kept = [run]
        kept.append(kept)  # so that the garbage collector ends the run, when it has let go of weak references already

    drop()
    gc.collect()
    assert next(ascend(network, channel("5", 1), image)).score.shape == (1,)
