"""A forward pass that reaches the original from outside: bound to the twin where it can be, else refused by name."""

import functools
import threading
import types
import weakref
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from nbvis.engine import (
    Fourier,
    Network,
    Pixels,
    activations,
    activity,
    ascend,
    attribute,
    dream,
    dropped_layers,
    faithfulness,
    invert_dropout,
    last,
    layers,
    logit,
    preprocessing_check,
    randomization_check,
)
from nbvis.engine.network.guard import TwinError


class Trained(nn.Module):
    """A network in train mode with batch norm, whose parts are put together by whoever builds it."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 6, 3, bias=False), nn.BatchNorm2d(6)
        self.relu, self.drop, self.head = nn.ReLU(), nn.Dropout(0.5), nn.Linear(6, 5)
        self.between: Any = None

    def forward(self, x):
        x = self.relu(self.norm(self.conv(x)))
        if self.between is not None:
            x = self.between(x)
        return self.head(self.drop(x).mean((2, 3)))


class Kept(nn.Module):
    """A function kept in a module."""

    def __init__(self, function: Any):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


class Unknown:
    """An object that cannot be copied."""

    def __init__(self, part: nn.Module):
        self.part, self.lock = part, threading.Lock()

    def __call__(self, x):
        return self.part(x)


def wrapped(net: Any) -> None:
    old = net.forward
    net.forward = lambda x: old(x)


def with_default(net: Any) -> None:
    def forward(x, old=net.forward, *, again=net.relu):
        return again(old(x))

    net.forward = forward


def as_partial(net: Any) -> None:
    net.forward = functools.partial(lambda old, x: old(x), net.forward)


def listed(net: Any) -> None:
    parts = {"all": [net.forward, (net.relu,)]}
    net.forward = lambda x: parts["all"][1][0](parts["all"][0](x))


def in_circles(net: Any) -> None:
    old = net.forward

    def forward(x, times=2):
        return old(x) if times == 0 else forward(x, times - 1)

    net.forward = forward


def two_deep(net: Any) -> None:
    norm = net.norm

    def inner(x):
        return norm(x)

    net.between = Kept(lambda x: inner(x))


def hooked(net: Any) -> None:
    net.relu.register_forward_hook(lambda part, given, output: net.norm(output))


def a_weight(net: Any) -> None:
    weight = net.head.weight
    net.between = Kept(lambda x: x * weight.mean())


def weakly(net: Any) -> None:
    net.between = Kept(weakref.ref(net.norm))
    net.between.forward = types.MethodType(lambda self, x: self.function()(x), net.between)


def by_global(net: Any) -> None:
    """As a notebook does, where all names are global."""
    names: dict[str, Any] = {"net": net, "old": net.forward}
    exec("def forward(x):\n    return (lambda: old(x))()\nnet.forward = forward\nhelper = forward", names)


BOUND = {
    each.__name__: each
    for each in (wrapped, with_default, as_partial, listed, in_circles, two_deep, hooked, a_weight, weakly, by_global)
}


def uncopied(net: Any) -> None:
    net.between = Unknown(net.norm)


def uncopied_without_tensors(net: Any) -> None:
    net.between = Unknown(net.drop)


def by_library(net: Any) -> None:
    """By a global that a function writes, which a copy of it would write elsewhere."""
    names: dict[str, Any] = {"net": net, "norm": net.norm, "count": 0}
    exec("def between(x):\n    global count\n    count += 1\n    return norm(x)\nnet.between = between", names)


def swallowed(net: Any) -> None:
    unknown = Unknown(net.norm)

    def between(x):
        try:
            return unknown(x)
        except BaseException:
            return x

    net.between = between


def by_statistics(net: Any) -> None:
    """Without calling a module."""
    names: dict[str, Any] = {"net": net, "F": F, "hits": 0, "mean": net.norm.running_mean, "var": net.norm.running_var}
    code = (
        "def between(x):\n    global hits\n    return F.batch_norm(x, mean, var, training=True)\nnet.between = between"
    )
    exec(code.replace("    return", "    hits = 1\n    return"), names)


REFUSED = {each.__name__: each for each in (uncopied, uncopied_without_tensors, by_library, swallowed, by_statistics)}


def made(change: Any) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = Trained().double().train()
        net(torch.rand(4, 3, 9, 9).double())
    change(net)
    return net


def _own(module: nn.Module, inputs: torch.Tensor, target: Any) -> torch.Tensor:
    inputs = inputs.detach().requires_grad_()
    return torch.autograd.grad(module(inputs)[:, 1].sum(), inputs)[0]


CALLS: dict[str, Any] = {
    "network": lambda net, images: Network(net)(images),
    "layers": lambda net, images: layers(net, images),
    "activations": lambda net, images: activations(net, images, ["drop"])["drop"],
    "gradient": lambda net, images: attribute(net, images, 1).map,
    "input_x_gradient": lambda net, images: attribute(net, images, 1, method="input_x_gradient").map,
    "guided_backprop": lambda net, images: attribute(net, images, 1, method="guided_backprop").map,
    "deconvnet": lambda net, images: attribute(net, images, 1, method="deconvnet").map,
    "integrated_gradients": lambda net, images: attribute(net, images, 1, method="integrated_gradients", steps=4).map,
    "smoothgrad": lambda net, images: attribute(net, images, 1, method="smoothgrad", samples=2).map,
    "grad_cam": lambda net, images: attribute(net, images, 1, method="grad_cam", layer="conv").map,
    "guided_grad_cam": lambda net, images: attribute(net, images, 1, method="guided_grad_cam", layer="conv").map,
    "occlusion": lambda net, images: attribute(net, images, 1, method="occlusion", window=4).map,
    "faithfulness": lambda net, images: faithfulness(net, images, images, cell=3, points=2).insertion["attribution"],
    "randomization_check": lambda net, images: randomization_check(net, images, "gradient", stages=2).map,
    "preprocessing_check": lambda net, images: preprocessing_check(net, images).probability,
    "ascend": lambda net, images: last(ascend(net, logit(1), Pixels(images), steps=2)).image,
    "ascend fourier": lambda net, images: last(ascend(net, activity("drop"), Fourier(9, 9), steps=2)).image,
    "dream": lambda net, images: last(dream(net, logit(1), images, octaves=1, steps=2, jitter=1)).image,
    "dropped_layers": lambda net, images: dropped_layers(net, images),
    "invert_dropout": lambda net, images: last(invert_dropout(net, "head", images, steps=2)).image,
}


def plain(name: str) -> Any:
    """The same network as it would be written without reaching outside."""
    if name in ("wrapped", "as_partial", "in_circles", "by_global"):
        return made(lambda net: None)
    if name in ("with_default", "listed"):
        return made(
            lambda net: setattr(net, "forward", types.MethodType(lambda s, x: s.relu(Trained.forward(s, x)), net))
        )
    if name == "a_weight":
        return made(lambda net: setattr(net, "between", types.MethodType(lambda s, x: x * s.head.weight.mean(), net)))
    return made(lambda net: setattr(net, "between", net.norm))


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("name", BOUND)
def test_what_can_be_bound_runs_on_the_twin(name, call, house, pictures):
    net, images = made(BOUND[name]), pictures(1, 3, 9, 9)
    if call in ("layers", "activations", "dropped_layers"):
        expected = None
    else:
        expected = CALLS[call](plain(name), images)
    with house(net):
        found = CALLS[call](net, images)
        again = CALLS[call](net, images)
    if isinstance(expected, torch.Tensor):
        assert torch.allclose(found, expected, rtol=1e-9, atol=1e-12)
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, rel=1e-9)
    assert torch.equal(found, again) if isinstance(found, torch.Tensor) else found == again


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_bound_is_refused_and_spoils_nothing(name, call, house, pictures):
    net, images = made(REFUSED[name]), pictures(1, 3, 9, 9)
    part = {"uncopied_without_tensors": "'drop'"}.get(name, "'norm'")
    with house(net), pytest.raises(TwinError, match=f"the forward pass of Trained runs {part} of the original network"):
        CALLS[call](net, images)


class Sometimes(Unknown):
    """Reaches a part from some call on, or for pictures with black in them."""

    def __init__(self, part: nn.Module, after: int | None = None):
        super().__init__(part)
        self.after, self.calls = after, 0

    def __call__(self, x):
        self.calls += 1
        reaches = x.amin() < 0.01 if self.after is None else self.calls > self.after
        return self.part(x) if reaches else x


MANY = ["ascend", "ascend fourier", "dream", "integrated_gradients", "occlusion", "faithfulness", "invert_dropout"]


@pytest.mark.parametrize("part", ["norm", "drop"])
@pytest.mark.parametrize("after", [1, 4, 7])
@pytest.mark.parametrize("call", MANY)
def test_a_branch_that_a_later_pass_takes_is_refused_too(call, after, part, house, pictures):
    net, images = made(lambda net: setattr(net, "between", Sometimes(getattr(net, part), after))), pictures(1, 3, 9, 9)
    with house(net), pytest.raises(TwinError, match=f"runs '{part}' of the original network"):
        for _ in range(10):
            CALLS[call](net, images)


@pytest.mark.parametrize("call", ["integrated_gradients", "occlusion"])
def test_a_branch_that_some_pictures_take_is_refused_too(call, house, pictures):
    net = made(lambda net: setattr(net, "conv", nn.Sequential(Kept(Sometimes(net.drop)), net.conv)))
    images = pictures(1, 3, 9, 9)
    Network(net)(images)
    with house(net), pytest.raises(TwinError, match="runs 'drop' of the original network"):
        CALLS[call](net, images)


class Called(Trained):
    """A network that does more when it is called than its forward pass."""

    before: Any = None

    def __call__(self, x):
        return super().__call__(x if self.before is None else self.before(x))


def called(before: Any) -> Any:
    net = made(lambda net: None)
    net.__class__ = Called
    net.before = before(net)
    return net


@pytest.mark.parametrize("call", CALLS)
def test_what_a_class_does_when_it_is_called_is_guarded_like_its_forward_pass(call, house, pictures):
    images = pictures(1, 3, 9, 9)
    net = called(lambda net: Unknown(nn.Sequential(net.conv, nn.Conv2d(6, 3, 1).double())))
    with house(net), pytest.raises(TwinError, match="the forward pass of Called runs 'conv' of the original network"):
        CALLS[call](net, images)
    net = called(lambda net: lambda x: x + 0.1 * torch.rand_like(x))
    with house(net):
        CALLS[call](net, images)


@pytest.mark.parametrize("wrap", [lambda twin: twin, nn.Sequential], ids=["twin", "part"])
def test_the_twin_of_such_a_class_may_be_looked_at_too(wrap, house, pictures):
    net, images = wrap(Network(called(lambda net: lambda x: x + 0.1 * torch.rand_like(x))).twin()), pictures(1, 3, 9, 9)
    with house(net):
        found = attribute(net, images, 1).map
        assert torch.equal(found, attribute(net, images, 1).map)


def test_a_class_that_keeps_a_list_of_its_subclasses_hears_of_none(pictures):
    kinds = []

    class Listed(Called):
        def __init_subclass__(cls):
            kinds.append(cls)

    net = called(lambda net: None)
    net.__class__ = Listed
    twin = Network(net).twin()
    assert isinstance(twin, Listed) and repr(twin) == repr(net)
    assert torch.equal(twin(pictures(1, 3, 9, 9)), Network(net)(pictures(1, 3, 9, 9))) and not kinds


def test_the_twins_of_functions_that_reach_nothing_are_these_functions(house):
    def act(x):
        return F.relu(x)

    net = made(lambda net: setattr(net, "between", act))
    hook = net.conv.register_forward_hook(lambda *_: None)
    twin = Network(net).twin()
    assert twin.between is act
    assert list(twin.get_submodule("conv")._forward_hooks.values()) == list(net.conv._forward_hooks.values())
    hook.remove()


def test_a_bound_function_that_changes_what_it_reaches_is_bound_anew(house, pictures):
    net, images = made(lambda net: None), pictures(1, 3, 9, 9)
    chosen = net.relu

    def between(x):
        return chosen(x)

    net.between = between
    network = Network(net)
    attribute(network, images, 1)
    chosen = net.norm
    with house(net):
        found = attribute(network, images, 1).map
    assert torch.allclose(found, attribute(plain("hooked"), images, 1).map, rtol=1e-9, atol=1e-12)


def test_another_thread_may_run_the_original_meanwhile(pictures):
    """It is not our pass."""
    net, images = made(lambda net: None), pictures(4, 3, 9, 9)
    ended, wrong = threading.Event(), []

    def train() -> None:
        while not ended.is_set():
            try:
                net(images)
            except BaseException as error:
                wrong.append(error)
                return

    thread = threading.Thread(target=train)
    thread.start()
    try:
        for _ in range(30):
            attribute(Network(net), images, 1)
    finally:
        ended.set()
        thread.join()
    assert not wrong


def test_a_twin_of_a_twin_is_guarded_against_the_first_original(house, pictures):
    net, images = made(uncopied), pictures(1, 3, 9, 9)
    twin = Network(net).twin()
    with house(net), pytest.raises(TwinError, match="'norm'"):
        attribute(twin, images, 1)
