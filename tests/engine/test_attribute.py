"""Attributions against captum where captum is right, against closed forms and backward passes by hand elsewhere."""

import copy
import warnings
from typing import Any

import captum.attr as reference
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nbvis.engine import METHODS, Network, attribute, channel, custom, energy, unit

ONE_PASS = ["gradient", "input_x_gradient", "guided_backprop", "deconvnet"]


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.first, self.second = nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.relu, self.inner, self.last = nn.ReLU(inplace=True), nn.ReLU(inplace=True), nn.ReLU(inplace=True)
        self.head = nn.Linear(8, 6)

    def forward(self, x):
        x = self.relu(self.norm(self.stem(x)))
        x = self.last(self.second(self.inner(self.first(x))) + x)
        return self.head(x.mean((2, 3)))


class Reused(nn.Module):
    """One ReLU module in three places."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.third = nn.Conv2d(3, 6, 3), nn.Conv2d(6, 8, 3, stride=2), nn.Conv2d(8, 8, 3)
        self.relu, self.head = nn.ReLU(), nn.Linear(8, 6)

    def forward(self, x):
        for conv in (self.first, self.second, self.third):
            x = self.relu(conv(x))
        return self.head(x.mean((2, 3)))


class Dense(nn.Module):
    """Every layer sees all before it, and ReLUs come first, as in a DenseNet."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.norms = nn.ModuleList([nn.BatchNorm2d(4 + 4 * k) for k in range(3)])
        self.relus = nn.ModuleList([nn.ReLU(inplace=True) for _ in range(3)])
        self.convs = nn.ModuleList([nn.Conv2d(4 + 4 * k, 4, 3, padding=1) for k in range(3)])
        self.pool, self.head = nn.MaxPool2d(2), nn.Linear(16, 6)

    def forward(self, x):
        x = self.stem(x)
        for norm, relu, conv in zip(self.norms, self.relus, self.convs, strict=True):
            x = torch.cat([x, conv(relu(norm(x)))], 1)
        return self.head(self.pool(x).mean((2, 3)))


def plain(channels: int = 3) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, 6, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 8, 3),
        nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(3),
        nn.Flatten(),
        nn.Linear(72, 6),
    )


NETWORKS = {  # name: (maker, images' shape, layer for the CAMs)
    "plain": (plain, (2, 3, 16, 16), "4"),
    "residual": (Residual, (2, 3, 14, 14), "second"),
    "reused": (Reused, (2, 3, 18, 18), "third"),
    "dense": (Dense, (2, 3, 12, 12), "convs.2"),
    "grey": (lambda: plain(1), (3, 1, 16, 16), "4"),
    "non-square": (plain, (2, 3, 20, 30), "4"),
    "CIFAR": (Residual, (2, 3, 32, 32), "second"),
}


def seeded(make, seed: int = 0) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net: Any = make().double().eval()
        for part in net.modules():
            if type(part) is nn.BatchNorm2d:
                assert part.running_mean is not None and part.running_var is not None
                part.running_mean.normal_(std=0.3)
                part.running_var.uniform_(0.5, 2)
    return net


def other(make: Any, net: Any, images: Tensor, **options) -> Tensor:
    """captum's map, on its own leaf, without its warnings about the hooks it sets."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return make(net).attribute(images.clone().requires_grad_(), **options).detach()


@pytest.fixture(params=NETWORKS)
def case(request, pictures):
    make, shape, layer = NETWORKS[request.param]
    return seeded(make), pictures(*shape), layer


@pytest.mark.parametrize("method", ONE_PASS)
def test_one_pass_equals_captum_to_the_last_bit(case, method, house):
    net, images, _ = case
    theirs = {
        "gradient": (reference.Saliency, {"abs": False}),
        "input_x_gradient": (reference.InputXGradient, {}),
        "guided_backprop": (reference.GuidedBackprop, {}),
        "deconvnet": (reference.Deconvolution, {}),
    }[method]
    with house(net):
        found = attribute(net, images, 3, method=method)
    assert torch.equal(found.map, other(theirs[0], net, images, target=3, **theirs[1]))
    assert torch.equal(found.score, net(images)[:, 3].detach())
    assert found.map.any() and found.notes == [] and list(found.target) == [3] * len(images)


@pytest.mark.parametrize("baseline", [0.0, 0.4, "tensor"])
def test_integrated_gradients_equal_captum_and_add_up(case, baseline, house):
    net, images, _ = case
    blank = images.flip(0) if baseline == "tensor" else baseline
    with house(net):
        found = attribute(net, images, 1, method="integrated_gradients", baseline=blank, steps=30)
    expected = other(reference.IntegratedGradients, net, images, target=1, baselines=blank, n_steps=30)
    torch.testing.assert_close(found.map, expected, rtol=1e-5, atol=1e-7)
    start = torch.full_like(images, blank) if isinstance(blank, float) else blank
    difference = (net(images) - net(start))[:, 1].detach()
    assert torch.allclose(found.map.sum((1, 2, 3)), difference, rtol=0.05, atol=1e-3)


def test_cams_equal_captum(case, house):
    net, images, layer = case
    part, size = net.get_submodule(layer), images.shape[2:]
    with house(net):
        cam = attribute(net, images, 2, method="grad_cam", layer=layer)
        guided = attribute(net, images, 2, method="guided_grad_cam", layer=layer)
    theirs = other(lambda net: reference.LayerGradCam(net, part), net, images, target=2)
    expected = F.interpolate(theirs, size=size, mode="bilinear")
    torch.testing.assert_close(cam.map, expected, rtol=1e-9, atol=1e-12)
    rectified = attribute(net, images, 2, method="grad_cam", layer=layer, relu=True).map
    torch.testing.assert_close(rectified, F.interpolate(theirs.relu(), size=size, mode="bilinear"))
    product = other(lambda net: reference.GuidedGradCam(net, part), net, images, target=2, interpolate_mode="bilinear")
    torch.testing.assert_close(guided.map, product, rtol=1e-9, atol=1e-12)
    assert cam.layer == guided.layer == layer and guided.map.shape == images.shape


def test_occlusion_equals_captum(case, house):
    net, images, _ = case
    shape = images.shape[1]
    with house(net):
        found = attribute(net, images, 0, method="occlusion", window=(5, 7), stride=(3, 4), baseline=0.3)
    expected = other(
        reference.Occlusion,
        net,
        images,
        target=0,
        sliding_window_shapes=(shape, 5, 7),
        strides=(shape, 3, 4),
        baselines=0.3,
    )
    torch.testing.assert_close(found.map, expected[:, :1].double(), rtol=1e-5, atol=1e-7)  # captum averages in single
    assert found.map.shape == (len(images), 1, *images.shape[2:])


def test_smoothgrad_is_the_mean_gradient_of_noisy_images(case):
    net, images, _ = case
    found = attribute(net, images, 4, method="smoothgrad", samples=4, noise=0.2, seed=7)
    total = torch.zeros_like(images)
    for sample in range(4):
        grain = torch.randn(images.shape[1:], generator=torch.Generator().manual_seed(7 * 1_000_003 + sample))
        total += other(reference.Saliency, net, images + 0.2 * grain, target=4, abs=False)
    torch.testing.assert_close(found.map, total / 4, rtol=1e-6, atol=1e-9)


def test_smoothgrad_without_noise_is_the_gradient(case):
    net, images, _ = case
    found = attribute(net, images, 4, method="smoothgrad", samples=3, noise=0)
    torch.testing.assert_close(found.map, attribute(net, images, 4).map, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_one_image_and_many_give_the_same_maps_whatever_the_chunk(method, pictures):
    net, images = seeded(Residual), pictures(32, 3, 10, 12)
    slow: dict[str, dict[str, Any]] = {
        "integrated_gradients": {"steps": 7},
        "smoothgrad": {"samples": 5},
        "occlusion": {"window": 4},
    }
    options: dict[str, Any] = slow.get(method, {})
    many = attribute(net, images, method=method, **options)
    for k in (0, 17, 31):
        one = attribute(net, images[k : k + 1], method=method, **options)
        torch.testing.assert_close(one.map[0], many.map[k], rtol=1e-6, atol=1e-9)
        assert one.target[0] == many.target[k]
    if method in slow:
        for chunk in (1, 7, 1000):
            again = attribute(net, images, method=method, chunk=chunk, **options)
            torch.testing.assert_close(again.map, many.map, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("method", ["integrated_gradients", "smoothgrad", "occlusion"])
def test_the_network_never_sees_more_than_a_chunk_and_the_caller_hears_of_each(device, method, pictures):
    seen, heard = [], []
    net = seeded(plain)
    network = Network(net, preprocess=lambda images: (seen.append(len(images)), images)[1], device=device)
    options: dict[str, Any] = {"window": 8} if method == "occlusion" else {}

    def hear(done, total):
        heard.append((done, total))

    attribute(network, pictures(2, 3, 16, 16), 0, method=method, chunk=3, progress=hear, **options)
    assert max(seen) == 3
    total = {"integrated_gradients": 100, "smoothgrad": 100, "occlusion": 18}[method]
    assert heard[-1] == (total, total) and [done for done, _ in heard] == sorted(done for done, _ in heard)

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        attribute(network, pictures(2, 3, 16, 16), 0, method=method, chunk=1, progress=stop)


# The closed form: h = (-3, 5, 1), so that plain, guided and deconvnet all differ.
FIRST, SECOND = torch.tensor([[1.0, -2.0], [3.0, 1.0], [-1.0, 1.0]]), torch.tensor([[1.0, -1.0, 2.0]])

RELUS = {
    "module": nn.ReLU(),
    "in place": nn.ReLU(inplace=True),
    "functional": F.relu,
    "functional in place": lambda x: F.relu(x, inplace=True),
    "torch": torch.relu,
    "method": lambda x: x.relu_(),
    "clamp": lambda x: x.clamp(min=0),
    "clamp_min": lambda x: x.clamp_min_(0),
    "ReLU6": nn.ReLU6(),
    "hardtanh": lambda x: F.hardtanh(x, 0, 6, inplace=True),
}


class Tiny(nn.Module):
    """Two pixels, three hidden units, one score."""

    def __init__(self, relu, first=FIRST, second=SECOND):
        super().__init__()
        self.relu, self.first, self.second = relu, nn.Parameter(first), nn.Parameter(second)

    def forward(self, x):
        return self.relu(x.flatten(1) @ self.first.T) @ self.second.T


@pytest.mark.parametrize("name", RELUS)
def test_the_rules_are_the_closed_form_however_a_relu_is_written(name):
    net, image = Tiny(RELUS[name]), torch.tensor([1.0, 2.0]).view(1, 1, 1, 2)
    maps = {method: attribute(net, image, 0, method=method).map.flatten().tolist() for method in ONE_PASS}
    assert maps["gradient"] == [-5, 1]
    assert maps["guided_backprop"] == [-2, 2]
    assert maps["deconvnet"] == [-1, 0]


def by_hand(net: nn.Sequential, image: Tensor, method: str, slope: float, upper: float) -> Tensor:
    """Backward through conv, rectifier, conv, rectifier, conv with each rule written out."""
    convs = [part for part in net if isinstance(part, nn.Conv2d)]
    values, x = [], image
    for conv in convs[:-1]:
        z = conv(x)
        values.append((x.shape, z))
        x = torch.where(z > 0, z, slope * z).clamp(max=upper)
    signal: Any = torch.autograd.functional.vjp(convs[-1], x, torch.ones_like(convs[-1](x)))[1]
    for conv, (shape, z) in zip(convs[-2::-1], values[::-1], strict=True):
        positive = torch.where(signal > 0, signal, torch.zeros_like(signal))
        local = torch.where((z > 0) & (z < upper), torch.ones_like(z), torch.full_like(z, slope))
        passed = {"gradient": signal * local, "guided_backprop": positive * local, "deconvnet": positive}[method]
        signal = F.conv_transpose2d(passed, conv.weight) if shape else passed
    return signal


@pytest.mark.parametrize("method", ["gradient", "guided_backprop", "deconvnet"])
@pytest.mark.parametrize(
    "rectifier, slope, upper",
    [
        (nn.ReLU(), 0.0, float("inf")),
        (nn.ReLU6(inplace=True), 0.0, 6.0),
        (nn.LeakyReLU(0.1), 0.1, float("inf")),
        (nn.LeakyReLU(0.25, inplace=True), 0.25, float("inf")),
    ],
)
def test_the_rules_are_those_written_out_by_hand(method, rectifier, slope, upper, pictures):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        convs = [nn.Conv2d(2, 5, 3), nn.Conv2d(5, 5, 3), nn.Conv2d(5, 1, 1)]
    net = nn.Sequential(convs[0], rectifier, convs[1], rectifier, convs[2]).double()
    with torch.no_grad():
        convs[0].weight *= 20  # some units above 6
    image = pictures(1, 2, 9, 7)
    found = attribute(net, image, custom(lambda out: out.flatten(1).sum(1), ""), method=method)
    torch.testing.assert_close(found.map, by_hand(net, image, method, slope, upper), rtol=1e-12, atol=1e-12)
    if slope and method == "deconvnet":
        assert "LeakyReLU" in found.notes[0]


@pytest.mark.parametrize("method", ["guided_backprop", "deconvnet"])
@pytest.mark.parametrize("rectifier", [nn.ReLU6(), nn.LeakyReLU(0.1), nn.Hardtanh(0, 6)])
def test_what_follows_a_rectifier_may_write_in_place_as_ever(rectifier, method, pictures):
    net = nn.Sequential(nn.Conv2d(2, 3, 3), rectifier, nn.ReLU(inplace=True), nn.Conv2d(3, 1, 3))
    beside = copy.deepcopy(net)
    beside[2] = nn.ReLU()
    image, score = pictures(1, 2, 9, 7), custom(lambda out: out.flatten(1).sum(1), "")
    found = attribute(net.double(), image, score, method=method)
    assert torch.equal(found.map, attribute(beside.double(), image, score, method=method).map) and found.map.any()


@pytest.mark.parametrize("name", ["functional", "torch", "clamp", "ReLU6"])
@pytest.mark.parametrize("method", ["guided_backprop", "deconvnet"])
def test_where_captum_gives_the_plain_gradient_without_a_word(name, method):
    net, image = Tiny(RELUS[name]), torch.tensor([1.0, 2.0]).view(1, 1, 1, 2)
    theirs = {"guided_backprop": reference.GuidedBackprop, "deconvnet": reference.Deconvolution}[method]
    assert other(theirs, net, image, target=0).flatten().tolist() == [-5, 1]
    assert attribute(net, image, 0, method=method).map.flatten().tolist() != [-5, 1]


class Gated(nn.Module):
    """Squeeze and excitation: the sigmoid is a gate, not an activation."""

    def __init__(self):
        super().__init__()
        self.conv, self.squeeze, self.head = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 1), nn.Linear(4, 6)

    def forward(self, x):
        x = F.relu(self.conv(x))
        x = x * self.squeeze(x.mean((2, 3), keepdim=True)).sigmoid()
        return self.head(x.mean((2, 3))).sigmoid()


class Preprocess(nn.Module):
    def __init__(self, network: Network):
        super().__init__()
        self.network = network

    def forward(self, x):
        return self.network.enter(x)


class Own(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx, gradient):
        return gradient * (ctx.saved_tensors[0] > 0)


def between(function) -> nn.Module:
    class Middle(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.relu, self.second = nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3)

        def forward(self, x):
            return function(self.second(self.relu(self.first(x)))).mean((2, 3))

    return seeded(Middle)


@pytest.mark.parametrize("method", ["guided_backprop", "deconvnet", "guided_grad_cam"])
@pytest.mark.parametrize(
    "function, named",
    [
        (F.silu, "SiLU"),
        (F.gelu, "GELU"),
        (F.elu, "ELU"),
        (F.selu, "SELU"),
        (F.celu, "CELU"),
        (F.mish, "Mish"),
        (F.hardswish, "Hardswish"),
        (F.softplus, "Softplus"),
        (F.hardtanh, "Hardtanh"),
        (lambda x: F.prelu(x, x.new_tensor([0.2])), "PReLU"),
        (lambda x: F.leaky_relu(x, -0.1), "LeakyReLU with a negative slope"),
        (lambda x: F.threshold(x, 0.1, 0), "Threshold"),
        (lambda x: x * x.sigmoid(), "gates itself"),
        (lambda x: x * F.relu6(x + 3) / 6, "gates itself"),
        (lambda x: 0.5 * x * (1 + torch.tanh(0.8 * (x + 0.04 * x**3))), "gates itself"),
        (lambda x: torch.maximum(x, torch.zeros_like(x)), "maximum with a constant"),
        (lambda x: torch.where(x > 0, x, torch.zeros_like(x)), "where with a constant"),
        (lambda x: x.clamp(min=torch.zeros((), dtype=x.dtype)), "tensor bounds"),
        (lambda x: x.tanh().flatten(2).unsqueeze(-1), "Tanh"),
        (Own.apply, "custom function Own"),
    ],
)
def test_what_has_no_rule_is_refused_by_name(function, named, method, pictures):
    net = between(function)
    with pytest.raises(ValueError, match=named) as refusal:
        attribute(net, pictures(1, 3, 9, 9), 1, method=method, layer="first" if "cam" in method else None)
    assert "use gradient, integrated_gradients or grad_cam" in str(refusal.value)
    assert attribute(net, pictures(1, 3, 9, 9), 1).map.any()
    unaffected = attribute(net, pictures(1, 3, 9, 9), channel("second", 1), method="guided_backprop")
    assert unaffected.map.any()  # it lies above the target


def test_gates_are_not_refused(pictures):
    assert attribute(seeded(Gated), pictures(1, 3, 9, 9), 1, method="guided_backprop").map.any()


def test_a_network_without_relu_is_refused(pictures):
    net = seeded(lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()))
    with pytest.raises(ValueError, match="this network has none"):
        attribute(net, pictures(1, 3, 9, 9), 1, method="deconvnet")


def test_a_target_below_every_relu_has_the_plain_gradient_and_says_so(pictures):
    net, image = seeded(plain), pictures(1, 3, 16, 16)
    found = attribute(net, image, channel("0", 2), method="guided_backprop")
    assert torch.equal(found.map, attribute(net, image, channel("0", 2)).map) and "plain gradient" in found.notes[0]


class Headed(nn.Module):
    """Two layers, one of them called twice, and a head that fails where pictures have another size."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.third = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 4, 3)
        self.head = nn.Linear(4 * 25, 5)

    def forward(self, x):
        x = F.relu(self.second(F.relu(self.second(F.relu(self.first(x))))))
        return self.head(F.relu(self.third(x)).flatten(1))


@pytest.mark.parametrize("method", [*ONE_PASS, "integrated_gradients", "smoothgrad", "grad_cam", "guided_grad_cam"])
@pytest.mark.parametrize("bare", [True, False])
def test_an_inner_target_runs_no_further_than_it_needs(device, method, bare, pictures, calls):
    net, beside = seeded(Headed), seeded(Headed)
    beside.head = nn.Flatten()  # type: ignore[assignment]
    network: Any = net if bare else Network(net, device=device)
    options: dict[str, Any] = {"steps": 2} if method == "integrated_gradients" else {}
    options |= {"samples": 2} if method == "smoothgrad" else {}
    layer = {"layer": "first"} if "cam" in method else {}
    for image in (pictures(1, 3, 9, 9), pictures(1, 3, 13, 11)):  # the head would fail on the second
        for name in ("second", "second:1", "second:0", "first") if not layer else ("second", "second:0"):
            counts = calls(net)
            found = attribute(network, image, channel(name, 1), method=method, **layer, **options)
            expected = 2 if name in ("second", "second:1") else 1 if name == "second:0" else 0
            passes = counts["first"]
            assert counts["third"] == counts["head"] == 0
            # The sampled methods also try the first layer alone.
            assert 0 < counts["second"] <= expected * passes if expected else counts["second"] == 0
            assert counts["second"] == expected * passes or method in ("integrated_gradients", "smoothgrad")
            score = channel(name, 1)
            assert torch.equal(found.map, attribute(beside, image, score, method=method, **layer, **options).map)


class Unsteady(nn.Module):
    """Calls its layer once for dark pictures, twice for bright ones."""

    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 3, 3), nn.Linear(3, 5)

    def forward(self, x):
        y = self.conv(x)
        y = self.conv(y) if x.mean() > 0.5 else y
        return self.head(y.mean((2, 3)))


def test_a_layer_that_is_called_more_often_for_another_picture_is_counted_anew(device, pictures):
    network = Network(seeded(Unsteady), device=device)
    conv: Any = network.module.conv
    dark, bright = pictures(1, 3, 9, 9, high=0.3), pictures(1, 3, 9, 9, low=0.7)
    for _ in range(2):
        for image, times in ((dark, 1), (bright, 2)):
            leaf = image.clone().requires_grad_()
            answer = conv(leaf) if times == 1 else conv(conv(leaf))
            expected = torch.autograd.grad(answer[:, 1].mean(), leaf)[0]
            torch.testing.assert_close(attribute(network, image, channel("conv", 1)).map, expected)


def test_torchscript_is_refused_and_compiled_modules_are_unwrapped(pictures):
    net, image = seeded(plain), pictures(1, 3, 16, 16)
    expected = attribute(net, image, 1, method="guided_backprop").map
    compiled: Any = torch.compile(net)
    assert torch.equal(attribute(compiled, image, 1, method="guided_backprop").map, expected)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scripted: Any = torch.jit.trace(net, image)
    with pytest.raises(ValueError, match="TorchScript"):
        attribute(scripted, image, 1, method="guided_backprop")
    torch.testing.assert_close(attribute(scripted, image, 1).map, attribute(net, image, 1).map)


def test_any_objective_and_the_live_seed_of_the_toolbox(pictures):
    net, image = seeded(Residual), pictures(2, 3, 14, 14)
    leaf = image.clone().requires_grad_()
    answer = net.first(net.relu(net.norm(net.stem(leaf))))
    wanted = {
        channel("first", 3): answer[:, 3].mean((1, 2)),
        unit("first", 2, 4, 5): answer[:, 2, 4, 5],
        energy("first", 1): 0.5 * answer[:, 1].square().sum((1, 2)),
        2 * channel("first", 0) - unit("first", 1): 2 * answer[:, 0].mean((1, 2)) - answer[:, 1, 7, 7],
    }
    for objective, score in wanted.items():
        expected = torch.autograd.grad(score.sum(), leaf, retain_graph=True)[0]
        found = attribute(net, image, objective)
        assert torch.allclose(found.map, expected, rtol=1e-9, atol=1e-12)
        assert torch.allclose(found.score, score.detach()) and found.target is objective


def test_the_origin_stays_while_the_map_moves_from_layer_to_layer(pictures):
    net, image = seeded(Residual), pictures(2, 3, 14, 14)
    origin = energy("second", 1)
    x = net.relu(net.norm(net.stem(image))).detach()
    first = net.first(x).detach().requires_grad_()
    score = 0.5 * net.second(first.relu())[:, 1].square().sum((1, 2))
    expected = torch.autograd.grad(score.sum(), first)[0]
    found = attribute(net, image, origin, layer="first")
    assert torch.allclose(found.map, expected) and found.layer == "first"
    at_origin = attribute(net, image, origin, layer="second")
    others = [k for k in range(8) if k != 1]
    assert torch.equal(at_origin.map[:, 1], net.second(first.relu())[:, 1].detach())
    assert not at_origin.map[:, others].any()


def test_maps_at_a_layer_equal_captum(pictures):
    net, images = seeded(plain), pictures(2, 3, 20, 30)
    layer = net[0]
    product = other(lambda net: reference.LayerGradientXActivation(net, layer), net, images, target=2)
    assert torch.equal(attribute(net, images, 2, method="input_x_gradient", layer="0").map, product)
    line = other(lambda net: reference.LayerIntegratedGradients(net, layer), net, images, target=2, n_steps=20)
    found = attribute(net, images, 2, method="integrated_gradients", layer="0", steps=20).map
    torch.testing.assert_close(found, line, rtol=1e-5, atol=1e-8)
    assert found.shape == (2, 6, 20, 30)


@pytest.mark.parametrize("name, at", [("relu:0", 0), ("relu:1", 1), ("relu:2", 2), ("relu", 2)])
def test_a_layer_called_often_is_addressed_by_its_call(name, at, pictures):
    net, image = seeded(Reused), pictures(1, 3, 18, 18)
    convs, x = [net.first, net.second, net.third], image
    for conv in convs[: at + 1]:
        x = conv(x).relu()
    leaf = y = x.detach().requires_grad_()
    for conv in convs[at + 1 :]:
        y = conv(y).relu()
    expected = torch.autograd.grad(net.head(y.mean((2, 3)))[:, 3].sum(), leaf)[0]
    options: dict[str, Any]
    for options in ({}, {"method": "smoothgrad", "noise": 0, "samples": 2}):
        torch.testing.assert_close(attribute(net, image, 3, layer=name, **options).map, expected)
    line = attribute(net, image, 3, layer=name, method="integrated_gradients").map.sum()
    assert torch.allclose(line, (net(image) - net(image * 0))[0, 3], rtol=0.05)


def test_targets_by_index_label_list_and_prediction(device, pictures):
    net, images = seeded(plain), pictures(3, 3, 16, 16)
    labels = ["ant", "bee", "cat", "dog", "elk", "fox"]
    network = Network(net, labels=labels, device=device)
    predicted = net(images).argmax(1)
    assert list(attribute(network, images).target) == predicted.tolist()
    listed = attribute(network, images, [1, "fox", 3])
    for k, index in enumerate((1, 5, 3)):
        assert torch.allclose(listed.map[k], attribute(net, images[k : k + 1], index).map[0], rtol=1e-9, atol=1e-14)
    assert list(listed.target) == [1, 5, 3]
    assert torch.equal(attribute(net, images, torch.tensor([1, 5, 3])).map, listed.map)
    several = attribute(network, images[:1], [0, 1, 2])
    assert several.map.shape == (3, 3, 16, 16) and several.score.tolist() == net(images[:1])[0, :3].tolist()


@pytest.mark.parametrize(
    "target, error, words",
    [
        (6, ValueError, r"no class 6: the network has 6 classes, 0 to 5; the nearest is 5, 'fox'"),
        (-1, ValueError, r"no class -1: the network has 6 classes, 0 to 5; the nearest is 0, 'ant'"),
        ("foxx", ValueError, "did you mean 'fox'"),
        ([1, 2], ValueError, "2 targets for 3 images"),
        (1.5, TypeError, "a target is a class"),
        (True, TypeError, "a target is a class"),
        (channel("nowhere", 0), ValueError, "no layer 'nowhere'"),
        (channel("3", 99), ValueError, "no channel 99"),
    ],
)
def test_targets_that_do_not_fit(device, target, error, words, pictures):
    network = Network(seeded(plain), labels=["ant", "bee", "cat", "dog", "elk", "fox"], device=device)
    with pytest.raises(error, match=words):
        attribute(network, pictures(3, 3, 16, 16), target)


def test_what_does_not_exist_is_named(pictures):
    net, image = seeded(plain), pictures(1, 3, 16, 16)
    with pytest.raises(ValueError, match="no method 'grad-cam'; did you mean 'grad_cam'"):
        attribute(net, image, method="grad-cam")
    with pytest.raises(TypeError, match="gradient has no option 'steps'; it takes none"):
        attribute(net, image, steps=3)
    with pytest.raises(TypeError, match="smoothgrad has no option 'sd'; it takes samples, noise, chunk, seed"):
        attribute(net, image, method="smoothgrad", sd=3)
    with pytest.raises(ValueError, match="no layer 'conv'"):
        attribute(net, image, layer="conv")
    with pytest.raises(ValueError, match="cannot live at layer"):
        attribute(net, image, method="occlusion", layer="0")
    with pytest.raises(ValueError, match=r"without rows and columns to map; there are '5', '4'"):
        attribute(net, image, method="grad_cam", layer="6")
    with pytest.raises(ValueError, match="no gradient at layer '3'"):
        attribute(net, image, channel("0", 1), layer="3")
    with pytest.raises(ValueError, match="chunk is a whole number from 1 up"):
        attribute(net, image, method="smoothgrad", chunk=0)
    with pytest.raises(ValueError, match="baseline is a number or a tensor"):
        attribute(net, image, method="integrated_gradients", baseline=torch.zeros(4, 4))
    with pytest.raises(ValueError, match="untouched"):
        attribute(net, image, method="occlusion", window=2, stride=3)
    with pytest.raises(ValueError, match="NaN"):
        attribute(net, image * float("nan"))
    with pytest.raises(RuntimeError, match="does not run on images of shape"):
        attribute(net, image[:, :2])


def test_the_default_layer_of_a_cam_is_the_last_with_space(pictures):
    assert attribute(seeded(plain), pictures(1, 3, 16, 16), method="grad_cam").layer == "5"
    assert attribute(seeded(Reused), pictures(1, 3, 18, 18), method="grad_cam").layer == "relu"
    flat = nn.Sequential(nn.Flatten(), nn.Linear(12, 2)).double()
    with pytest.raises(ValueError, match="no layer of this network has rows and columns"):
        attribute(flat, pictures(1, 3, 2, 2), method="grad_cam")


def noted(net, image, **options: Any) -> str:
    return " ".join(attribute(net, image, **options).notes)


def test_a_map_of_nothing_is_said_in_words(pictures):
    image, shut = pictures(2, 3, 16, 16), seeded(plain)
    with torch.no_grad():
        shut[3].bias.fill_(-1e3)
    assert "Image 0, 1: the map is zero everywhere" in noted(shut, image)
    negative = seeded(plain)
    with torch.no_grad():
        negative[7].weight.copy_(-negative[7].weight.abs())
    found = attribute(negative, image, method="grad_cam", layer="4")
    assert found.map.max() <= 0 and "negative everywhere" in found.notes[0]
    blank = attribute(negative, image, method="grad_cam", layer="4", relu=True)
    assert not blank.map.any() and "negative everywhere" in blank.notes[0] and "zero everywhere" in blank.notes[1]


def test_nan_in_the_network_is_located(pictures):
    net, image = seeded(plain), pictures(1, 3, 16, 16)
    with torch.no_grad():
        net[3].weight[0, 0, 0, 0] = float("nan")
    for method in METHODS:
        found = attribute(net, image, 1, method=method)
        assert found.map.isnan().all()
        assert any("NaN or infinite values from layer '3' on, so there is no map" in note for note in found.notes)


def test_a_saturated_softmax_is_said_in_words(pictures):
    net, image = seeded(plain), pictures(1, 3, 16, 16)
    soft: Any = nn.Sequential(net, nn.Softmax(1)).eval()
    assert "saturated" not in noted(soft, image)
    with torch.no_grad():
        net[7].weight *= 1e3
    assert "softmax that is saturated: the target's probability is 1" in noted(soft, image)


def test_images_outside_the_range_are_looked_at_with_a_note(device, pictures):
    net, image = seeded(plain), pictures(1, 3, 16, 16)
    note = noted(Network(net, preprocess=lambda images: images * 2, device=device), image * 4 - 1)
    assert "outside [0, 1]. The network's preprocessing expects [0, 1] and comes on top." in note
    assert noted(net, image) == ""
    assert "mask" in noted(net, image, target=channel("0", 1).within(torch.ones(16, 16)))


def test_too_few_steps_are_said_in_words(pictures):
    net, image = seeded(plain), pictures(1, 3, 16, 16)
    with torch.no_grad():
        net[0].bias.fill_(-0.3)
    assert "more steps" in noted(net, image, method="integrated_gradients", steps=1)
    assert noted(net, image, method="integrated_gradients", steps=200) == ""


@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 1e-5), (torch.float64, 1e-7)])
def test_maps_of_many_passes_equal_captum_on_a_real_network(device, demo_network, coffee, dtype, tolerance):
    """In single precision too, where units near zero follow the rounding: so the network may not be rewritten.

    One at a time, since another processor may round a batch in another way.
    """
    image = coffee[..., 48:176, 48:176].to(dtype)
    module = copy.deepcopy(demo_network.module).to(dtype)
    network = Network(module, preprocess=demo_network.preprocess, device=device)
    whole = nn.Sequential(Preprocess(network), network.twin())
    theirs = other(reference.IntegratedGradients, whole, image, target=967, n_steps=10, internal_batch_size=1)
    found = attribute(network, image, 967, method="integrated_gradients", steps=10, chunk=1).map
    assert (found - theirs).abs().max() <= tolerance * theirs.abs().max()
    seeds = [torch.Generator().manual_seed(7 * 1_000_003 + sample) for sample in range(5)]
    noisy = [image + 0.15 * torch.randn(image.shape[1:], generator=seed).to(image) for seed in seeds]
    theirs = torch.stack([other(reference.Saliency, whole, each, target=967, abs=False) for each in noisy]).mean(0)
    found = attribute(network, image, 967, method="smoothgrad", samples=5, seed=7, chunk=1).map
    assert (found - theirs).abs().max() <= tolerance * theirs.abs().max()
    # Here it may: a score changes as little as its rounding does.
    theirs = other(
        reference.Occlusion, whole, image, target=967, sliding_window_shapes=(3, 32, 32), strides=(3, 32, 32)
    )
    found = attribute(network, image, 967, method="occlusion", window=32, stride=32).map
    assert (found - theirs[:, :1]).abs().max() <= 1e-4 * theirs.abs().max()


def test_the_embedded_network_is_guided_in_all_its_relu6(demo_network, coffee):
    plain_map = attribute(demo_network, coffee).map
    guided = attribute(demo_network, coffee, method="guided_backprop").map
    theirs = other(reference.GuidedBackprop, demo_network.twin(), demo_network.enter(coffee), target=967)
    assert torch.allclose(theirs * 255 / 128, plain_map, rtol=1e-4, atol=1e-6) and not torch.allclose(guided, plain_map)
