"""The ReLU rules on networks that do more than ReLU: what is known passes, whatever else acts on the picture does not.

Each network has an ordinary ReLU, so that a rule would seem to work, and beside it one function under test.
"""

import warnings
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from nbvis.engine import Network, attribute, channel, custom

METHODS = ["guided_backprop", "deconvnet"]


class Middle(nn.Module):
    """Convolution, ReLU, convolution, the function, convolution, the mean of each channel."""

    def __init__(self, function, relu=F.relu):
        super().__init__()
        self.first, self.second, self.third = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, 1)
        self.squeeze, self.function, self.relu = nn.Linear(4, 4), function, relu

    def forward(self, x):
        x = self.second(self.relu(self.first(x)))
        x = self.function(self, x) if hasattr(self.function, "of_network") else self.function(x)
        return self.third(x).mean((2, 3))


def built(function, relu=F.relu) -> Middle:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Middle(function, relu).double().eval()


def of_network(function):
    function.of_network = True
    return function


def assigned(x):
    x = x * 1
    x[x < 0] = 0
    return x


def assigned_through_a_view(x):
    x = x * 1
    x.view(-1)[x.view(-1) < 0] = 0
    return x


def half_in_place(function):
    def run(x):
        x = x * 1
        function(x[:, :2])
        return x

    return run


def without_gradient(x):
    x = x * 1
    with torch.no_grad():
        x.clamp_(min=0)
    return x


def through_data(x):
    x = x * 1
    x.data.clamp_(min=0)
    return x


def data_replaced(x):
    x = x * 1
    x.data = x.data.clamp(min=0)
    return x


def masked_by_hand(x):
    mask = torch.zeros_like(x)
    mask[x > 0] = 1
    return x * mask


def masked_by_a_view(x):
    mask = torch.zeros_like(x)
    mask.view(-1)[(x > 0).view(-1)] = 1
    return x * mask


def largest_of_each_place(x):
    return torch.zeros_like(x).scatter(1, x.argmax(1, keepdim=True), 1.0) * x


class StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx, gradient):
        return gradient


ACTIVATIONS: dict[str, Any] = {
    "times a comparison": (lambda x: x * (x > 0), "gt"),
    "times a method's comparison": (lambda x: x.mul(x.gt(0)), "gt"),
    "times a comparison in place": (lambda x: (x * 1).mul_(x > 0), "gt"),
    "times a float mask": (lambda x: x * (x > 0).float(), "gt"),
    "times a mask of other form": (lambda x: (x.flatten() * x.flatten().ge(0)).view_as(x), "ge"),
    "times a step": (lambda x: x * torch.heaviside(x.detach(), x.new_zeros(1)), "detach"),
    "times half of one and the sign": (lambda x: x * (x.detach().sign() + 1) / 2, "detach"),
    "masked_fill": (lambda x: x.masked_fill(x < 0, 0), "masked_fill"),
    "masked_fill_": (lambda x: (x * 1).masked_fill_(x < 0, 0), "masked_fill"),
    "torch.masked_fill": (lambda x: torch.masked_fill(x, x.le(0), 0.0), "masked_fill"),
    "indexed assignment": (assigned, "indexed assignment"),
    "indexed assignment through a view": (assigned_through_a_view, "indexed assignment"),
    "a mask by indexed assignment": (masked_by_hand, "mul"),
    "a mask by assignment through a view": (masked_by_a_view, "mul"),
    "index_put": (lambda x: x.index_put((x < 0,), x.new_zeros(())), "index_put"),
    "where": (lambda x: torch.where(x > 0, x, torch.zeros_like(x)), "where"),
    "where as a method": (lambda x: x.where(x > 0, 0.0), "where"),
    "where of a leaky slope": (lambda x: torch.where(x > 0, x, 0.1 * x), "where"),
    "where without a gradient": (lambda x: x + (torch.where(x > 0, x, torch.zeros_like(x)) - x).detach(), "detach"),
    "maximum": (lambda x: torch.maximum(x, torch.zeros_like(x)), "maximum with a constant"),
    "max of two": (lambda x: torch.max(x, x.new_zeros(1)), "maximum with a constant"),
    "maximum of itself, scaled": (lambda x: torch.maximum(x, 0.1 * x), "maximum of a value and itself"),
    "minus the minimum": (lambda x: x - torch.minimum(x, torch.zeros_like(x)), "minimum with a constant"),
    "fmax": (lambda x: torch.fmax(x, x.new_zeros(())), "fmax with a constant"),
    "fmax as a method": (lambda x: x.fmax(x.new_zeros(())), "fmax with a constant"),
    "amax of a stack": (lambda x: torch.stack([x, torch.zeros_like(x)]).amax(0), "amax with a constant"),
    "max of a stack": (lambda x: torch.stack([x, 0.1 * x]).max(0).values, "max of a value and itself"),
    "half of one and its modulus": (lambda x: (x + x.abs()) / 2, "Abs"),
    "half of one and its modulus, by torch": (lambda x: (x + torch.abs(x)) * 0.5, "Abs"),
    "root of the square": (lambda x: (x + (x * x).sqrt()) / 2, "both depend on the picture"),
    "square": (lambda x: x**2, "Pow"),
    "exponential": (lambda x: x.exp(), "Exp"),
    "SiLU": (F.silu, "SiLU"),
    "SiLU in place": (lambda x: F.silu(x * 1, inplace=True), "SiLU"),
    "SiLU by hand": (lambda x: x * x.sigmoid(), "gates itself"),
    "SiLU of another form": (lambda x: (x.flatten(1) * x.flatten(1).sigmoid()).view_as(x), "gates itself"),
    "SiLU in place by hand": (lambda x: (x * 1).mul_(torch.sigmoid(x)), "gates itself"),
    "hard swish by hand": (lambda x: x * F.relu6(x + 3) / 6, "gates itself"),
    "GLU": (lambda x: F.glu(x.repeat(1, 2, 1, 1), 1), "GLU"),
    "GLU by hand": (lambda x: x[:, :2].sigmoid().repeat(1, 2, 1, 1) * x, "gates itself"),
    "a ReLU in place on a slice by no known function": (half_in_place(lambda v: v.abs_()), "abs_ on a part"),
    "SiLU in place on a slice": (half_in_place(lambda v: v.mul_(v.sigmoid())), "both depend on the picture"),
    "sigmoid in the middle": (torch.sigmoid, "Sigmoid"),
    "sigmoid_": (lambda x: (x * 1).sigmoid_(), "Sigmoid"),
    "softmax in the middle": (lambda x: x.softmax(1), "Softmax"),
    "tanh": (torch.tanh, "Tanh"),
    "clamp elsewhere": (lambda x: x.clamp(min=0.5), "clamp with bounds other than 0"),
    "clamp from above": (lambda x: x.clamp(max=1), "clamp with bounds other than 0"),
    "clamp_ to both sides": (lambda x: (x * 1).clamp_(-1, 1), "clamp with bounds other than 0"),
    "without a gradient": (without_gradient, "clamp"),
    "through data": (through_data, "data"),
    "data replaced": (data_replaced, "data"),
    "by numpy": (lambda x: x * torch.from_numpy(np.float64(x.detach().cpu().numpy() > 0)).to(x), "numpy"),
    "by numbers": (lambda x: x * torch.tensor((x > 0).tolist()), "tolist"),
    "the winner takes all": (largest_of_each_place, "argmax"),
    "indices of the largest": (lambda x: x.gather(1, x.argsort(1)), "argsort"),
    "a product of two maps": (lambda x: x * x.flip(1), "both depend on the picture"),
    "its inverse": (lambda x: 1 / (x + 9), "Reciprocal"),
    "a quotient": (lambda x: x / (x.flip(1) + 9), "division"),
    "rounded": (lambda x: x + (x.round() - x).detach(), "detach"),
    "a leaf of its own": (lambda x: x * 0 + x.detach().relu().requires_grad_(), "requires_grad_|detach"),
    "a function of one's own": (StraightThrough.apply, "custom function StraightThrough"),
    "attention": (
        lambda x: F.scaled_dot_product_attention(*3 * [x.flatten(2).mT]).mT.reshape(x.shape),
        "attention|both depend",
    ),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("function, named", ACTIVATIONS.values(), ids=ACTIVATIONS)
def test_an_activation_without_a_rule_is_refused_by_name(function, named, method, pictures):
    net = built(function)
    with pytest.raises(ValueError, match=named) as refusal:
        attribute(net, pictures(1, 3, 9, 9), 1, method=method)
    assert "use gradient, integrated_gradients or grad_cam" in str(refusal.value)
    with pytest.raises(ValueError, match=named):
        attribute(net, pictures(1, 3, 9, 9), custom(lambda out: out[:, 0], ""), method=method, layer="first")
    below = attribute(net, pictures(1, 3, 9, 9), channel("second", 1), method=method)
    assert below.map.any()  # there it lies above the target


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("as_relu", [name for name in ACTIVATIONS if name != "attention"][:30:6])
def test_nothing_is_left_from_a_call_that_was_understood(device, as_relu, method, pictures):
    net: Any = built(lambda x: x)
    network = Network(net, device=device)
    image = pictures(1, 3, 9, 9)
    expected = attribute(network, image, 1, method=method).map
    net.function = ACTIVATIONS[as_relu][0]
    with pytest.raises(ValueError, match=ACTIVATIONS[as_relu][1]):
        attribute(network, image, 1, method=method)
    net.function = lambda x: x
    assert torch.equal(attribute(network, image, 1, method=method).map, expected)


class Branching(nn.Module):
    """Goes by an ordinary ReLU for dark pictures, by a ReLU by hand for bright ones."""

    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 5)

    def forward(self, x):
        y = self.conv(x)
        y = y.relu() * (y > 0) if x.mean() > 0.5 else y.relu()
        return self.head(y.mean((2, 3)))


def test_a_branch_that_the_last_picture_did_not_take_is_looked_at(device, pictures):
    network = Network(Branching().double(), device=device)
    for _ in range(2):
        assert attribute(network, pictures(1, 3, 9, 9, high=0.3), 1, method="guided_backprop").map.any()
        with pytest.raises(ValueError, match="gt"):
            attribute(network, pictures(1, 3, 9, 9, low=0.7), 1, method="guided_backprop")


def scripted_relu(x):
    return torch.relu(x)


def scripted_mask(x):
    return x * (x > 0)


def scripted_swish(x):
    return x * torch.sigmoid(x)


@pytest.mark.parametrize("function", [scripted_relu, scripted_mask, scripted_swish])
def test_a_scripted_activation_is_refused_cold_and_warm(function, pictures):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        net = built(torch.jit.script(function))
    for _ in range(5):  # from the third run on it has another graph
        with pytest.raises(ValueError, match=r"TorchScript|compiled|gates itself"):
            attribute(net, pictures(1, 3, 9, 9), 1, method="guided_backprop")


def scripted_step(x):
    return (x > 0).to(x.dtype)


@pytest.mark.parametrize("cut", [False, True])
def test_a_scripted_mask_is_refused_cold_and_warm(cut, pictures):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        step: Any = torch.jit.script(scripted_step)
    network = Network(built(lambda x: x * step(x.detach() if cut else x)), device="cpu")
    for _ in range(5):
        with pytest.raises(ValueError, match=r"mul \(by a result of"):
            attribute(network, pictures(1, 3, 9, 9), 1, method="guided_backprop")


def convolved(net, x):
    return F.conv2d(x, net.third.weight, padding=0)


def squeezed(net, x):
    gate = net.squeeze(F.relu(net.squeeze(x.mean((2, 3)))))
    return x * gate.sigmoid().view(*x.shape[:2], 1, 1).expand_as(x)


def squeezed_hard(net, x):
    return x.mul_(F.relu6(net.squeeze(F.adaptive_avg_pool2d(x, 1).flatten(1)) + 3)[..., None, None] / 6)


def selected(net, x):
    both = torch.stack([x, net.third(x)], 1)
    weights = net.squeeze(both.sum(1).mean((2, 3))).view(-1, 2, 2).softmax(1).repeat_interleave(2, 2)
    return (both * weights[..., None, None]).sum(1)


def assembled(x):
    whole = x.new_zeros(len(x), 4, *x.shape[2:])
    whole[:, :3] = x[:, :3]
    whole[:, 3] += x[:, 3]
    return whole


def window_masked(x):
    rows = torch.arange(x.shape[2])
    return x.masked_fill((rows[:, None] > rows)[None, None], 0) * (rows >= 0)


def unpooled(x):
    pooled, places = F.max_pool2d(x[..., :4, :4], 2, return_indices=True)
    return F.max_unpool2d(pooled, places, [2, 2])


KNOWN: dict[str, Any] = {
    "nothing": lambda x: x,
    "convolution": of_network(convolved),
    "transposed convolution": of_network(lambda net, x: F.conv_transpose2d(x, net.third.weight)),
    "linear": of_network(lambda net, x: net.squeeze(x.movedim(1, -1)).movedim(-1, 1)),
    "matmul": of_network(lambda net, x: (net.squeeze.weight @ x.flatten(2)).view_as(x)),
    "einsum": of_network(lambda net, x: torch.einsum("bchw,dc->bdhw", x, net.squeeze.weight)),
    "addition": lambda x: x + x.flip(2),
    "addition in place": lambda x: (x * 1).add_(x).__iadd__(1),
    "sub": lambda x: 1 - x.sub(x.mean()),
    "product with constants": lambda x: -2 * x.mul(3) / 4,
    "in place product with constants": lambda x: (x * 1).mul_(torch.full_like(x, 2)).div_(3),
    "lerp": lambda x: x.lerp(x.flip(1), 0.3),
    "mean": lambda x: x.mean((2, 3), keepdim=True) + x,
    "reshapes": lambda x: x.flatten(1).unflatten(1, x.shape[1:]).permute(0, 1, 3, 2).mT.contiguous().reshape(x.shape),
    "indexing": lambda x: x[:, [1, 0, 3, 2]][..., 1:, :-1],
    "index_select": lambda x: x.index_select(1, torch.tensor([2, 1, 0, 0])),
    "chunks": lambda x: torch.cat(x.chunk(2, 1)[::-1], 1),
    "unbind": lambda x: torch.stack(x.unbind(1), 1),
    "shuffle": lambda x: F.channel_shuffle(x, 2),
    "padding": lambda x: F.pad(F.pad(F.pad(x, (1, 1)), (1, 1, 1, 1), mode="reflect"), (1, 1, 1, 1), mode="circular"),
    "interpolation": lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"),
    "nearest": lambda x: F.interpolate(x, size=(7, 9)),
    "average pool": lambda x: F.avg_pool2d(x, 2),
    "adaptive pool": lambda x: F.adaptive_avg_pool2d(x, 2),
    "max pool": lambda x: F.max_pool2d(x, 2),
    "adaptive max pool": lambda x: F.adaptive_max_pool2d(x, 2),
    "max over places": lambda x: x + x.amax((2, 3), keepdim=True),
    "maxout": of_network(lambda net, x: torch.maximum(net.third(x), net.third(x.flip(1)))),
    "power pool": lambda x: x + x.pow(2).mean((2, 3), keepdim=True).pow(0.5) + F.avg_pool2d(x**2, 3, 1, 1),
    "unpooling": unpooled,
    "assembling": assembled,
    "window mask": window_masked,
    "where with a constant mask": lambda x: torch.where(torch.eye(5, dtype=torch.bool), x, x.new_zeros(())),
    "dropout": lambda x: F.dropout(x),
    "noise": lambda x: x + torch.randn_like(x),
    "other dtype": lambda x: x.float().double(),
    "constants by its shape": lambda x: x * torch.ones(1, 4, 1, 1).expand_as(x).to(x) + x.new_tensor([1.0]),
    "broadcast constants": lambda x: torch.mul(*torch.broadcast_tensors(x, torch.ones(4, 1, 1))),
    "batch norm": lambda x: F.batch_norm(x, torch.zeros(4).double(), torch.ones(4).double()),
    "batch norm of the batch": lambda x: F.batch_norm(x, None, None, training=True),
    "instance norm": F.instance_norm,
    "group norm": lambda x: F.group_norm(x, 2),
    "layer norm": lambda x: F.layer_norm(x, x.shape[1:]),
    "local response norm": lambda x: F.local_response_norm(x, 3),
    "normalize": F.normalize,
    "standardised": lambda x: (x - x.mean((1, 2, 3), keepdim=True)) / (x.std((1, 2, 3), keepdim=True) + 1e-3),
    "divided by a root": lambda x: x * torch.rsqrt(x.var(1, keepdim=True) + 1e-3),
    "divided by its length": lambda x: x / x.norm(dim=1, keepdim=True).clamp_min(1e-6),
    "squeeze and excitation": of_network(squeezed),
    "squeeze and excitation in place": of_network(squeezed_hard),
    "selected kernels": of_network(selected),
    "attention to places": of_network(lambda net, x: x * (1 + net.third(x).mean(1, keepdim=True).sigmoid())),
    "a ReLU in place on a slice": half_in_place(lambda v: v.relu_()),
    "in place on a slice": half_in_place(lambda v: v.mul_(2).add_(1)),
    "a checkpoint": lambda x: checkpoint(F.relu, x, use_reentrant=False),
    "what is thrown away": lambda x: (x, (x * (x > 0)).sigmoid().detach().sum().item(), x.abs())[0],
    "a branch": lambda x: x * 2 if x.mean() > 0 else x,
}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", KNOWN)
@pytest.mark.parametrize("method", METHODS)
def test_what_is_known_passes(name, method, pictures):
    net, image = built(KNOWN[name]), pictures(1, 3, 9, 9)
    found = attribute(net, image, 3, method=method)
    assert found.map.any() and not found.notes
    with torch.random.fork_rng():  # the same by a rule that changes nothing but the one ReLU
        torch.manual_seed(0)
        by_hand = ruled_by_hand(net, image, method)
    if name not in HAS_MORE_RELUS:
        torch.testing.assert_close(found.map, by_hand, rtol=1e-9, atol=1e-12)


HAS_MORE_RELUS = {"squeeze and excitation", "squeeze and excitation in place", "a ReLU in place on a slice"}
HAS_MORE_RELUS |= {"a checkpoint", "dropout", "noise"}  # or chance


def ruled_by_hand(net, image: Tensor, method: str) -> Tensor:
    """The ordinary gradient, but for the ReLU whose gradient is changed by a hook."""
    plain = net.relu

    def relu(x):
        x = x * 1
        output = plain(x)
        before = [torch.zeros(())]
        output.register_hook(lambda gradient: before.__setitem__(0, gradient) or gradient.clamp(min=0))
        if method == "deconvnet":
            x.register_hook(lambda gradient: before[0].clamp(min=0))
        return output

    net.relu, leaf = relu, image.clone().requires_grad_()
    try:
        return torch.autograd.grad(net(leaf)[:, 3].sum(), leaf)[0]
    finally:
        net.relu = plain


def hooked(kind):
    def attach(net, seen):
        def record(module, args, *output):
            given = output[0] if output else args[0]
            seen.extend([given.detach().clamp(min=0).cpu().numpy(), (given > 0).sum().item(), given.abs().mean()])

        def backward(module, *gradients):
            seen.append(gradients)

        getattr(net.second, kind)(backward if "backward" in kind else record)
        getattr(net, kind)(backward if "backward" in kind else record)

    return attach


def on_tensors(net, seen):
    net.second.register_forward_hook(lambda module, args, output: (output.register_hook(seen.append), None)[1])


def passed_on(net, seen):
    net.second.register_forward_hook(lambda module, args, output: (seen.append(output.detach()), output)[1])


def statistics(net, seen):
    total = torch.zeros((), dtype=torch.float64)

    def add(module, args, output):
        total.add_(output.detach().sum())
        with torch.no_grad():
            total.mul_(0.9).add_(output.mean())
        seen.append(total)

    net.second.register_forward_hook(add)


HOOKS = {
    kind: hooked(kind)
    for kind in (
        "register_forward_hook",
        "register_forward_pre_hook",
        "register_full_backward_hook",
        "register_full_backward_pre_hook",
    )
} | {"tensor hook": on_tensors, "passes its output on": passed_on, "statistics": statistics}


@pytest.mark.filterwarnings("ignore:Full backward hook is firing")
@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("method", METHODS)
def test_a_hook_of_ones_own_is_no_reason_to_refuse(hook, method, pictures):
    image, net, seen = pictures(1, 3, 9, 9), built(lambda x: x), []
    expected = attribute(built(lambda x: x), image, 1, method=method).map
    HOOKS[hook](net, seen)
    assert torch.equal(attribute(net, image, 1, method=method).map, expected)
    assert seen


def test_a_last_step_that_bends_is_no_activation(pictures):
    for last in (torch.sigmoid, torch.tanh, F.softmax, F.log_softmax, F.hardsigmoid):
        options = {"dim": 1} if last in (F.softmax, F.log_softmax) else {}
        with torch.random.fork_rng():
            torch.manual_seed(0)
            net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5))
        net.register_forward_hook(lambda module, args, output, last=last, options=options: last(output, **options))
        assert attribute(net, pictures(1, 3, 9, 9).float(), 1, method="guided_backprop").map.any()


def test_a_gate_that_is_an_activation_elsewhere_is_refused(pictures):
    @of_network
    def both(net, x):
        gate = net.third(x).sigmoid()
        return x * gate + net.third(gate)

    with pytest.raises(ValueError, match="Sigmoid"):
        attribute(built(both), pictures(1, 3, 9, 9), 1, method="guided_backprop")


def test_preprocessing_is_left_to_the_ordinary_gradient(device, pictures):
    network = Network(built(lambda x: x), preprocess=lambda images: images.clamp(0.3, 0.7) ** 2.2, device=device)
    found = attribute(network, image := pictures(1, 3, 9, 9), 1, method="guided_backprop").map
    entered = (image.clamp(0.3, 0.7) ** 2.2).detach()
    inner = attribute(network.module, entered, 1, method="guided_backprop").map
    torch.testing.assert_close(found, inner * 2.2 * image**1.2 * ((image > 0.3) & (image < 0.7)))


def test_an_objective_may_bend(pictures):
    score = custom(lambda out: F.silu(out).sum(1), "")
    assert attribute(built(lambda x: x), pictures(1, 3, 9, 9), score, method="guided_backprop").map.any()


def test_compiled_parts_are_refused(pictures):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        net = built(torch.compile(F.relu, backend="aot_eager"))
        with pytest.raises(ValueError, match=r"compiled code|custom function|cannot be followed"):
            attribute(net, pictures(1, 3, 9, 9), 1, method="guided_backprop")
