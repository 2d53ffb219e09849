"""The guest's house: whatever the engine does with a network, it leaves nothing behind and takes nothing along."""

import threading
from contextlib import nullcontext
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from nbvis.engine import (
    Alpha,
    Fourier,
    Maco,
    Masked,
    Network,
    Pixels,
    activations,
    activity,
    ascend,
    attribute,
    blur,
    capture,
    channel,
    check_objective,
    collect,
    dream,
    dropped_layers,
    faithfulness,
    invert_dropout,
    jitter,
    keep_dreaming,
    last,
    layers,
    logit,
    preprocessing_check,
    randomization_check,
)


class Fuse:
    """How many passes are left before the bomb goes off; one for all copies."""

    left: int | None = None

    def __deepcopy__(self, memo):
        return self


class Bomb(nn.Module):
    """The identity, until its fuse has burnt down."""

    def __init__(self):
        super().__init__()
        self.fuse = Fuse()

    def forward(self, images):
        if self.fuse.left == 0:
            raise OSError("boom")
        if self.fuse.left is not None:
            self.fuse.left -= 1
        return images


class Guest(nn.Module):
    """A network in the middle of its training, with everything that a careless host could spoil."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.relu = nn.ReLU(inplace=True)
        self.drop = nn.Dropout(0.5)
        self.bomb = Bomb()
        self.second = nn.Conv2d(4, 4, 3, padding=1)
        self.head = nn.Linear(4, 5)
        self.scale = self.first.weight.mean() + 1  # not a leaf, not a buffer
        self.seen = torch.zeros(())  # changed by every forward pass
        self.lock = threading.Lock()  # cannot be copied

    def forward(self, images):
        self.seen += 1
        x = self.relu(self.norm(self.first(images)))
        x = self.drop(x) + 0.01 * torch.rand_like(x) + 0.01 * torch.rand(()).to(x)
        x = self.relu(self.second(self.bomb(x) * self.scale))
        return self.head(x.mean((2, 3)))


@pytest.fixture
def guest():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = Guest().double().train()
        net.drop.eval()  # mixed flags
        net.norm.bias.requires_grad_(False)
        net(torch.rand(2, 3, 8, 8).double()).sum().backward()  # gradients and statistics are there
    net.first.register_forward_hook(lambda *_: None)
    net.second.register_forward_pre_hook(lambda *_: None)
    net.head.register_full_backward_hook(lambda *_: None)
    return net


def _start(images):
    return Pixels(images)


CALLS = {
    "network": lambda net, images: Network(net, device=images.device)(images),
    "network grad": lambda net, images: Network(net, device=images.device)(images.clone().requires_grad_()).sum(),
    "twin": lambda net, images: Network(net, device=images.device).twin()(images.clone()),
    "layers": lambda net, images: layers(net, images),
    "activations": lambda net, images: activations(net, images, ["relu:0", "second", "relu", ""]),
    "check": lambda net, images: check_objective(net, logit(1), images),
    "ascend": lambda net, images: last(ascend(net, channel("second", 1), _start(images), steps=2)).image,
    "ascend fourier": lambda net, images: last(
        ascend(net, [logit(0), activity("norm")], Fourier(8, 8, batch=2), steps=2)
    ),
    "ascend with noise on the weights": lambda net, images: last(
        ascend(net, logit(1), _start(images), steps=2, weight_noise=0.2, regularisers=[blur(1)])
    ),
    "ascend with transparency": lambda net, images: last(
        ascend(net, logit(1), Masked(Alpha(Maco(8, 8, batch=2)), torch.eye(8), images), steps=2)
    ),
    "dream": lambda net, images: last(dream(net, activity("second"), images, octaves=2, steps=2)).image,
    "keep dreaming": lambda net, images: (
        last(keep_dreaming(net, activity("second"), images, rounds=2, zoom=1.1, turn=5.0, octaves=2, steps=2)).image
    ),
    "collect": lambda net, images: collect(net, [images, images[:1]], ["relu:0", "second", ""]),
    "collect all layers": lambda net, images: collect(net, [images], correlation="positions", positions=5),
    "dropped layers": lambda net, images: dropped_layers(net, images, insert="first"),
    "invert": lambda net, images: last(invert_dropout(net, "head", images, steps=2, tolerance=0)).corrupted_output,
    "invert in train mode": lambda net, images: last(invert_dropout(net, "second", images, steps=2, active="train")),
}

METHODS = {
    "gradient": {},
    "input_x_gradient": {},
    "guided_backprop": {},
    "deconvnet": {},
    "integrated_gradients": {"steps": 3, "chunk": 2},
    "smoothgrad": {"samples": 2},
    "grad_cam": {"layer": "second"},
    "guided_grad_cam": {"layer": "second"},
    "occlusion": {"window": 4},
}
CALLS |= {
    method: lambda net, images, method=method, options=options: attribute(net, images, 1, method=method, **options)
    for method, options in METHODS.items()
} | {
    "attribution at a layer": lambda net, images: attribute(
        net, images, 1, method="integrated_gradients", layer="norm", steps=2
    ),
    "faithfulness": lambda net, images: faithfulness(net, images, images, cell=4, points=2),
    "randomization check": lambda net, images: randomization_check(net, images, "gradient", stages=2),
    "preprocessing check": lambda net, images: preprocessing_check(net, images),
}


@pytest.mark.parametrize(
    "around", [nullcontext, torch.no_grad, torch.inference_mode], ids=["plain", "no_grad", "inference"]
)
@pytest.mark.parametrize("name", [name for name in CALLS if name != "twin"])
def test_a_call_leaves_the_network_and_the_caller_as_they_were(guest, house, pictures, name, around):
    images = pictures(2, 3, 8, 8)
    kept = images.clone()
    with around(), house(guest):
        CALLS[name](guest, images)
    assert torch.equal(images, kept) and not images.requires_grad


def test_running_a_twin_leaves_the_network_as_it_was(device, guest, house, pictures):
    twin = Network(guest, device=device).twin()
    with torch.random.fork_rng(), house(guest):
        state = torch.get_rng_state()
        twin.train()(pictures(2, 3, 8, 8))  # even in train mode, its statistics are its own
        torch.set_rng_state(state)


@pytest.mark.parametrize("fuse", [0, 1, 2, 3])
@pytest.mark.parametrize("name", [name for name in CALLS if name != "twin"])
def test_an_error_inside_leaves_the_network_and_the_caller_as_they_were(guest, house, pictures, name, fuse):
    images = pictures(2, 3, 8, 8)
    with house(guest):
        guest.bomb.fuse.left = fuse
        try:
            CALLS[name](guest, images)
        except (RuntimeError, OSError) as error:
            assert "boom" in str(error)


def test_an_error_always_surfaces(guest, pictures):
    guest.bomb.fuse.left = 0
    for name in CALLS:
        if name != "twin":
            with pytest.raises((RuntimeError, OSError), match="boom"):
                CALLS[name](guest, pictures(2, 3, 8, 8))


@pytest.mark.parametrize(
    "around", [nullcontext, torch.no_grad, torch.inference_mode], ids=["plain", "no_grad", "inference"]
)
@pytest.mark.parametrize("end", ["close", "drop", "throw", "never started"])
@pytest.mark.parametrize("kind", ["ascend", "dream"])
def test_a_run_left_in_the_middle_leaves_nothing(guest, house, pictures, kind, end, around):
    images = pictures(1, 3, 12, 12)
    with house(guest):
        with around():
            run = (
                ascend(guest, logit(1), Pixels(images), steps=5)
                if kind == "ascend"
                else dream(guest, activity("second"), images, octaves=2, steps=5)
            )
        if end != "never started":
            next(run)
            with around():
                next(run)
        if end == "close":
            run.close()
        elif end == "throw":
            with pytest.raises(KeyboardInterrupt):
                run.throw(KeyboardInterrupt())
        del run


@pytest.mark.parametrize("kind", ["ascend", "ascend fourier", "dream"])
def test_the_callers_grad_mode_may_change_between_steps(guest, house, pictures, kind):
    images = pictures(1, 3, 12, 12)

    def start():
        if kind == "dream":
            return dream(guest, activity("second"), images, octaves=2, steps=3, jitter=1)
        image = Pixels(images) if kind == "ascend" else Fourier(12, 12)
        return ascend(guest, logit(1), image, steps=6, transforms=[jitter(1)])

    plain = [step.image.clone() for step in start()]
    modes = [torch.inference_mode, nullcontext, torch.no_grad, torch.enable_grad, torch.inference_mode, torch.no_grad]
    found = []
    with house(guest):
        with torch.inference_mode():
            run = start()
        for mode in modes:
            with mode():
                found.append(
                    run.send({"objective": logit(1) if kind != "dream" else activity("second")}) if found else next(run)
                )
                assert torch.is_inference_mode_enabled() == (mode is torch.inference_mode)
                assert torch.is_grad_enabled() == (mode in (nullcontext, torch.enable_grad))
        run.close()
    assert len(plain) == len(found)
    if kind != "dream":  # the same objective again changes nothing
        assert torch.equal(plain[-1], found[-1].image)


def test_images_and_modules_made_in_inference_mode_can_be_optimised(pictures):
    with torch.inference_mode():
        net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()).double()
        images = pictures(1, 3, 10, 10)
    for run in (
        ascend(net, activity("2"), Pixels(images), steps=2),
        dream(net, activity("2"), images, octaves=2, steps=1),
    ):
        _, second = run
        assert second.score > 0 and not torch.equal(second.image, images)


@pytest.mark.parametrize("name", [*METHODS, "faithfulness", "randomization check", "attribution at a layer"])
def test_what_is_asked_in_inference_mode_is_answered_as_outside(guest, house, pictures, name):
    def answer() -> torch.Tensor:
        found = CALLS[name](guest, pictures(2, 3, 8, 8))
        return found.insertion["attribution"] if name == "faithfulness" else found.map

    outside = answer()
    with torch.inference_mode(), house(guest):
        inside = answer()
    assert not inside.is_inference() and torch.equal(inside, outside)


def test_images_that_require_gradients_get_none(convnet, pictures):
    images = pictures(1, 3, 10, 10).requires_grad_()
    for run in (
        ascend(convnet(), logit(1), Pixels(images), steps=2),
        dream(convnet(), logit(1), images, octaves=1, steps=2),
    ):
        assert not last(run).image.requires_grad
    assert images.grad is None


def test_a_network_that_changes_its_input_in_place_does_not_change_the_pictures(device, pictures):
    net = nn.Sequential(nn.Hardtanh(0.3, 0.6, inplace=True), nn.Conv2d(3, 4, 3)).double()
    images = pictures(1, 3, 10, 10)
    kept = images.clone()
    network = Network(net, preprocess=lambda x: x.sub_(0.1), device=device)
    for host in (net, network):
        layers(host, images)
        activations(host, images, ["1"])
        Network(net, device=device)(images)
        last(ascend(host, channel("1", 0), Pixels(images), transforms=(), steps=2))
        last(dream(host, channel("1", 0), images, octaves=1, jitter=0, steps=2))
    network(images)
    assert torch.equal(images, kept)


def test_capture_removes_its_hooks_whatever_happens(guest, house, pictures):
    with house(guest), pytest.raises(ZeroDivisionError), capture(guest, ["first", "relu:0"]):
        raise ZeroDivisionError
    with house(guest), pytest.raises(ValueError, match="no layer 'frist'"), capture(guest, ["first", "frist"]):
        raise AssertionError
    with house(guest), capture(guest, ["first"]):
        pass


def test_capture_sees_the_users_own_passes_only(convnet, pictures):
    net, images = convnet(), pictures(1, 3, 8, 8)
    with capture(net, ["0"]) as seen:
        net(images)
        kept = seen["0"]
        activations(net, images * 0, ["3"])
        layers(net, images * 0)
        last(ascend(net, logit(0), Pixels(images), steps=1))
        assert seen["0"] is kept


def test_hooks_that_cannot_be_copied_stay_on_the_users_module(convnet, house, pictures):
    class Recorder:
        def __init__(self):
            self.lock, self.count = threading.Lock(), 0

        def hook(self, *_):
            self.count += 1

    class Holder(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = convnet()

        def forward(self, images):
            return self.body(images)

    net = Holder()
    recorder = Recorder()
    net.body[3].register_forward_hook(recorder.hook)
    with house(net):
        activations(net, pictures(1, 3, 8, 8), ["body.3"])
        last(ascend(net, logit(0), Pixels(pictures(1, 3, 8, 8)), steps=1))
    net(pictures(1, 3, 8, 8))
    assert recorder.count >= 1


class Step(nn.Module):
    """A preprocessing with everything that a careless host could spoil."""

    def __init__(self):
        super().__init__()
        self.norm, self.drop, self.times = nn.BatchNorm2d(3), nn.Dropout(0.5), 0

    def forward(self, images):
        self.times += 1
        return self.drop(self.norm(images))


class Chain:
    """Like torchvision's Compose: no module itself."""

    def __init__(self, *steps):
        self.steps = steps

    def __call__(self, images):
        for step in self.steps:
            images = step(images)
        return images


def _double(images):
    return 2 * images


PREPROCESSING = {
    "a module": lambda step: step,
    "a sequence": lambda step: nn.Sequential(step, nn.Hardtanh()),
    "a chain": lambda step: Chain(_double, step),
    "a chain in a chain": lambda step: Chain(Chain(step)),
    "a method": lambda step: step.forward,
    "a partial": lambda step: partial(lambda images, *, through: through(images), through=step),
    "a closure": lambda step: lambda images: step(images),
    "a closure over a chain": lambda step: (lambda chain: lambda images: chain(images))(Chain(step, _double)),
}


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("kind", PREPROCESSING)
def test_a_preprocessing_in_train_mode_is_a_guest_too(device, convnet, house, pictures, kind, fails):
    step, images = Step().double().train(), pictures(2, 3, 9, 9)
    with torch.random.fork_rng():
        step(images)
    net = convnet()
    network = Network(net[0] if fails else net, preprocess=PREPROCESSING[kind](step), device=device)
    step.eval()
    expected = network.module(PREPROCESSING[kind](step)(images))
    step.train()
    times = step.times
    if fails:
        network.module = nn.Sequential(net[0], nn.Conv2d(99, 1, 1).double())
    for _ in range(2):
        with house(step), house(net):
            if fails:
                for call in (attribute, layers, preprocessing_check):
                    with pytest.raises(RuntimeError):
                        call(network, images)
            else:
                assert torch.equal(network(images), expected)
                assert torch.equal(attribute(network, images, 1).score, expected[:, 1])
                last(ascend(network, logit(1), Pixels(images), steps=2))
                preprocessing_check(network, images)
    assert step.times == times


def test_a_preprocessing_that_changes_between_two_calls_counts(device, convnet, pictures):
    step, images = Step().double().train(), pictures(2, 3, 9, 9)
    network = Network(convnet(), preprocess=step, device=device)
    before = network(images)
    with torch.no_grad():
        step.norm.bias += 1
    assert not torch.equal(network(images), before)
    step.norm.bias.data -= 1
    assert torch.allclose(network(images), before)
    step.norm.running_mean += 1
    assert not torch.allclose(network(images), before)


RECORDED = {  # passes with a graph that a hook of the user's sees
    "gradient": (lambda net, images: attribute(net, images, 1), 1),
    "integrated gradients": (
        lambda net, images: attribute(net, images, 1, method="integrated_gradients", steps=6, chunk=2),
        3,
    ),
    "occlusion": (lambda net, images: attribute(net, images, 1, method="occlusion", window=4), 0),
    "ascend": (lambda net, images: last(ascend(net, logit(1), Pixels(images), steps=5)), 6),
    "activations": (lambda net, images: activations(net, images, ["6"]), 0),
}


@pytest.mark.parametrize("draws", [False, True])
@pytest.mark.parametrize("name", RECORDED)
def test_a_hook_that_records_is_given_a_graph_as_often_as_documented(convnet, pictures, name, draws):
    net, images = convnet(), pictures(1, 3, 9, 9)
    if draws:
        net[5].forward = lambda x: F.dropout(x, 0.1)
    recorded = []
    net[3].register_forward_hook(lambda part, given, output: recorded.append(output))
    call, times = RECORDED[name]
    if draws and name == "integrated gradients":
        times = 6  # a network that draws is shown pictures one by one, whatever the chunk
    call(net, images)
    assert recorded and sum(output.requires_grad for output in recorded) == times
