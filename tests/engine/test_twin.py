"""The twin that is kept between short runs: the same one while nothing changed, and never an old one."""

import copy
import threading
import warnings
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nbvis.engine import Network, attribute


class Settled(nn.Module):
    """Parts of all kinds: weights, buffers, settings, a list of settings, a tensor that is no buffer."""

    offset: Tensor

    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.relu = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True)
        self.body = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.LeakyReLU(0.1), nn.Dropout(0.5))
        self.head = nn.Linear(4, 5)
        self.register_buffer("offset", torch.full((), 0.3))
        self.own = torch.full((), 0.7)
        self.power, self.order = 1.0, ["body", "norm"]

    def forward(self, x):
        x = self.conv(x)
        for name in self.order:
            x = self.relu(getattr(self, name)(x))
        return self.head(self.own * (x + self.offset).pow(self.power).mean((2, 3)))


@pytest.fixture
def net():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = Settled().double()
        assert made.norm.running_mean is not None and made.norm.running_var is not None
        made.norm.running_mean.uniform_(-1, -0.5)
        made.norm.running_var.uniform_(0.5, 2)
        return made.eval()


def twice(tensor: Any) -> None:
    with torch.no_grad():
        tensor.mul_(2)


def twice_unseen(tensor: Any) -> None:
    """Without a new version of the tensor."""
    before = tensor._version
    tensor.data.mul_(2)
    assert tensor._version == before


def replaced(owner: Any, name: str, value: Any) -> None:
    setattr(owner, name, value)


def seeded(make: Any) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return make().double().eval()


class Doubled(nn.Conv2d):
    def forward(self, x):
        return 2 * super().forward(x)


CHANGES: dict[str, Any] = {
    "weight in place": lambda n: twice(n.conv.weight),
    "weight in place unseen": lambda n: twice_unseen(n.conv.weight),
    "weight's data": lambda n: setattr(n.conv.weight, "data", 2 * n.conv.weight.data),
    "weight replaced": lambda n: replaced(n.conv, "weight", nn.Parameter(2 * n.conv.weight)),
    "weight gone": lambda n: replaced(n.conv, "bias", None),
    "buffer in place": lambda n: twice(n.norm.running_var),
    "buffer in place unseen": lambda n: twice_unseen(n.norm.running_mean),
    "buffer's data": lambda n: setattr(n.offset, "data", 2 * n.offset.data),
    "buffer replaced": lambda n: replaced(n, "offset", torch.tensor(0.9).double()),
    "tensor in place": lambda n: twice(n.own),
    "tensor replaced": lambda n: replaced(n, "own", torch.tensor(0.2).double()),
    "state loaded": lambda n: n.load_state_dict(seeded(Settled).state_dict()),
    "state assigned": lambda n: n.load_state_dict(seeded(Settled).state_dict(), assign=True),
    "training step": lambda n: n.train()(torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(2)).double()),
    "part replaced": lambda n: replaced(n, "conv", seeded(lambda: nn.Conv2d(3, 4, 3))),
    "part replaced inside": lambda n: n.body.__setitem__(0, seeded(lambda: nn.Conv2d(4, 4, 3, padding=1))),
    "part added": lambda n: n.body.append(seeded(lambda: nn.Conv2d(4, 4, 1))),
    "part's class": lambda n: replaced(n.conv, "__class__", Doubled),
    "parts exchanged": lambda n: n._modules.update(norm=n.body, body=n.norm),
    "setting": lambda n: replaced(n, "power", 2.0),
    "setting of a part": lambda n: replaced(n.body[0], "stride", (2, 2)),
    "settings listed": lambda n: n.order.append("norm"),
    "forward replaced": lambda n: replaced(n.relu, "forward", lambda x: 2 * x.relu()),
    "hook": lambda n: n.conv.register_forward_hook(lambda part, args, output: output * 2),
    "hook before": lambda n: n.conv.register_forward_pre_hook(lambda part, args: (args[0] * 2,)),
    "double to single": lambda n: n.float(),
}


@pytest.mark.parametrize("method", ["gradient", "guided_backprop", "grad_cam", "integrated_gradients", "occlusion"])
@pytest.mark.parametrize("name", CHANGES)
def test_every_change_of_the_module_counts(device, name, method, net, house, pictures):
    network, images = Network(net, device=device), pictures(1, 3, 9, 8)
    options = {"layer": "conv"} if method == "grad_cam" else {}
    before = attribute(network, images, 1, method=method, **options)
    with torch.random.fork_rng():
        CHANGES[name](net)
    with house(net):
        found = attribute(network, images, 1, method=method, **options)
    fresh = attribute(Network(net, device=device), images, 1, method=method, **options)
    assert torch.equal(found.map, fresh.map) and torch.equal(found.score, fresh.score)
    assert found.score.dtype != before.score.dtype or not torch.equal(found.score, before.score)


def test_what_the_hook_leaves_is_gone_with_it(device, net, pictures):
    network, images = Network(net, device=device), pictures(1, 3, 9, 8)
    before = attribute(network, images, 1).map
    handle = net.conv.register_forward_hook(lambda part, args, output: output * 2)
    assert not torch.equal(attribute(network, images, 1).map, before)
    handle.remove()
    assert torch.equal(attribute(network, images, 1).map, before)


def test_the_train_flag_changes_nothing(device, net, house, pictures):
    network, images = Network(net, device=device), pictures(2, 3, 9, 8)
    expected = attribute(network, images, 1).map
    for mode in (True, False):
        net.train(mode)
        with house(net):
            assert torch.equal(attribute(network, images, 1).map, expected)


def test_another_module_preprocessing_or_device_counts(device, net, pictures):
    network, images = Network(net, device=device), pictures(1, 3, 9, 8)
    attribute(network, images, 1)
    network.preprocess = lambda images: 1 - images
    assert torch.equal(attribute(network, images, 1).map, -attribute(net, 1 - images, 1).map)
    network.module = other = seeded(Settled)
    assert torch.equal(attribute(network, images, 1).map, -attribute(other, 1 - images, 1).map)
    with network.borrowed():
        pass
    network.device = torch.device("meta")
    with network.borrowed() as twin:
        assert next(twin.parameters()).is_meta


def test_the_same_twin_is_lent_while_nothing_changes(device, net, pictures):
    network, images = Network(net, device=device), pictures(1, 3, 9, 8)
    with network.borrowed() as first:
        assert not any(part.training for part in first.modules())
    for method in ("gradient", "guided_backprop", "grad_cam", "input_x_gradient"):
        attribute(network, images, 1, method=method, layer="conv" if method == "grad_cam" else None)
    with network.borrowed() as again:
        assert again is first is not net
        with network.borrowed() as meanwhile:
            assert meanwhile is not first
    twice(net.conv.weight)
    with network.borrowed() as again:
        assert next(again.parameters()).data_ptr() == net.conv.weight.data_ptr()


SPOILED: dict[str, Any] = {
    "hook": lambda twin: twin.conv.register_forward_hook(lambda *_: None),
    "setting": lambda twin: replaced(twin, "power", 3.0),
    "list": lambda twin: twin.order.pop(),
    "mode": lambda twin: twin.train(),
    "part": lambda twin: replaced(twin, "relu", nn.Identity()),
    "weight": lambda twin: replaced(twin.conv, "weight", nn.Parameter(twin.conv.weight + 1)),
    "buffer": lambda twin: twice(twin.offset),
    "buffer replaced": lambda twin: replaced(twin, "offset", torch.zeros(())),
    "tensor": lambda twin: twice(twin.own),
}


@pytest.mark.parametrize("name", SPOILED)
def test_a_twin_that_was_spoiled_is_not_lent_again_as_it_is(device, name, net, pictures):
    network, images = Network(net, device=device), pictures(1, 3, 9, 8)
    expected = attribute(network, images, 1).map
    with network.borrowed() as twin:
        SPOILED[name](twin)
    assert torch.equal(attribute(network, images, 1).map, expected)


def test_after_an_error_a_new_one_is_made(device, net):
    network = Network(net, device=device)
    with network.borrowed() as first:
        pass
    with pytest.raises(KeyboardInterrupt), network.borrowed() as same:
        assert same is first
        raise KeyboardInterrupt
    with network.borrowed() as second:
        assert second is not first


class Counting(nn.Module):
    """Its answer depends on how often it was asked; it counts in a number, in a tensor, or in a list of them."""

    def __init__(self, where: str):
        super().__init__()
        self.where, self.number, self.tensor, self.box = where, 0, torch.zeros(()), [torch.zeros(())]

    def forward(self, x):
        self.number += 1
        self.tensor += 1
        self.box[0] += 1
        times = {"number": self.number, "tensor": self.tensor, "box": self.box[0]}[self.where]
        return x.mean((2, 3)) * times


@pytest.mark.parametrize("where", ["number", "tensor", "box"])
def test_a_network_that_counts_begins_anew_each_time(device, where, house, pictures):
    network, images = Network(Counting(where), device=device), pictures(1, 3, 9, 8)
    with house(network.module):
        first, *others = (attribute(network, images, 1) for _ in range(3))
    assert first.map.any() and all(torch.equal(each.map, first.map) for each in others)


def test_a_network_that_cannot_be_watched_gets_a_new_twin_each_time(device, pictures):
    compiled: Any = torch.compile(nn.Sequential(nn.Conv2d(3, 4, 3)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scripted = torch.jit.trace(nn.ReLU(), pictures(1, 3, 9, 8))
    for module in (Counting("box"), nn.Sequential(scripted), compiled):
        network = Network(module, device=device)
        with network.borrowed() as first:
            pass
        with network.borrowed() as second:
            assert second is not first


def test_a_copy_of_a_network_makes_its_own(device, net, pictures):
    network, images = Network(net, device=device), pictures(1, 3, 9, 8)
    found = attribute(network, images, 1).map
    other = copy.deepcopy(network)
    twice(net.conv.weight)
    assert torch.equal(attribute(other, images, 1).map, found)
    assert not torch.equal(attribute(network, images, 1).map, found)


def test_several_threads_share_a_network(device, net, pictures):
    network, images = Network(net, device=device), [pictures(1, 3, 9, 8, seed=k) for k in range(4)]
    expected = [attribute(net, image, 1, method="guided_backprop").map for image in images]
    wrong: list[int] = []

    def work(k: int) -> None:
        for _ in range(20):
            if not torch.equal(attribute(network, images[k], 1, method="guided_backprop").map, expected[k]):
                wrong.append(k)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize("around", [torch.no_grad, torch.inference_mode])
def test_the_callers_grad_mode_plays_no_part(device, around, net, pictures):
    network, images = Network(net, device=device), pictures(1, 3, 9, 8)
    with around():
        first = attribute(network, images, 1).map
        net.norm.running_var.mul_(2)
    second = attribute(network, images, 1).map
    with around():
        assert torch.equal(attribute(network, images, 1).map, second)
    assert not torch.equal(first, second)


def test_a_training_loop_that_writes_statistics_by_hand_counts(device, net, pictures):
    network, images = Network(net, device=device), pictures(4, 3, 9, 8)
    before = attribute(network, images, 1).map
    F.batch_norm(net.conv(images).detach(), net.norm.running_mean, net.norm.running_var, training=True, momentum=0.9)
    assert torch.equal(attribute(network, images, 1).map, attribute(net, images, 1).map)
    assert not torch.equal(attribute(network, images, 1).map, before)
