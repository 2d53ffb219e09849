"""Errors as sentences: what cannot be said of a network is told with what would make it do."""

from collections import OrderedDict, namedtuple
from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from nbvis.engine import (
    Fourier,
    Network,
    Pixels,
    activations,
    ascend,
    attribute,
    channel,
    custom,
    dream,
    faithfulness,
    invert_dropout,
    layers,
    logit,
    preprocessing_check,
    randomization_check,
)

GRADIENTS = ["gradient", "input_x_gradient", "guided_backprop", "deconvnet", "integrated_gradients", "smoothgrad"]
CAMS = ["grad_cam", "guided_grad_cam"]


class Small(nn.Module):
    """Convolution, ReLU, the function, the mean of each channel, a linear head, and what is done with its output."""

    def __init__(self, function=lambda x: x, output=lambda y: y):
        super().__init__()
        self.conv, self.second, self.head = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3), nn.Linear(4, 5)
        self.function, self.output = function, output

    def forward(self, x):
        return self.output(self.head(self.function(F.relu(self.conv(x))).mean((2, 3))))


class Swallows(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, gradient):
        return None


@pytest.fixture
def images():
    return torch.rand(1, 3, 9, 9, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("method", GRADIENTS + CAMS)
def test_what_is_detached_has_no_gradient(method, images):
    with pytest.raises(ValueError, match=r"the class score has no gradient at (the images|layer 'conv').*detached"):
        attribute(Small(torch.detach), images, 1, method=method)


@pytest.mark.parametrize("method", GRADIENTS + CAMS)
def test_a_gradient_of_none_is_none_or_refused_by_name(method, images):
    with pytest.raises(ValueError, match=r"has no gradient at|the custom function Swallows"):
        attribute(Small(Swallows.apply), images, 1, method=method)


@pytest.mark.parametrize("method", GRADIENTS)
def test_an_objective_without_a_gradient_is_named(method, images):
    objective = custom(lambda a: a.detach().mean((1, 2, 3)), "conv")
    with pytest.raises(ValueError, match=r"custom.* has no gradient at the images"):
        attribute(Small(), images, objective, method=method)


def lazy():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Sequential(nn.LazyBatchNorm2d(), nn.ReLU()), nn.Flatten())


def on_meta():
    inner = nn.Sequential(nn.BatchNorm2d(4, device="meta"), nn.ReLU())
    return nn.Sequential(nn.Conv2d(3, 4, 3), inner, nn.Flatten())


ASKING = {
    "attribute": lambda net, images: attribute(net, images, 1),
    "occlusion": lambda net, images: attribute(net, images, 1, method="occlusion"),
    "a network": lambda net, images: attribute(Network(net, device=images.device), images, 1),
    "its output": lambda net, images: Network(net, device=images.device)(images),
    "layers": layers,
    "activations": lambda net, images: activations(net, images, ["0"]),
    "ascend": lambda net, images: next(ascend(net, channel("0", 1), Fourier(9, 9))),
    "dream": lambda net, images: next(dream(net, channel("0", 1), images)),
    "invert_dropout": lambda net, images: next(invert_dropout(net, "0", images)),
    "preprocessing_check": preprocessing_check,
    "randomization_check": lambda net, images: randomization_check(net, images, "gradient", target=1),
}


@pytest.mark.parametrize("ask", ASKING.values(), ids=ASKING)
@pytest.mark.parametrize(
    "build, sentence",
    [
        (lazy, r"layer '1\.0' \(LazyBatchNorm2d\) has weights without a shape yet: run the module once on images"),
        (on_meta, r"layer '1\.0' \(BatchNorm2d\) has weights on the meta device, which holds no values.*to_empty"),
    ],
)
def test_weights_without_values_are_told(build, sentence, ask, images):
    with pytest.raises(ValueError, match=sentence):
        ask(build(), images)


def test_a_lazy_network_works_once_it_has_run(images):
    network = Network(net := nn.Sequential(nn.LazyConv2d(4, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(5)))
    with pytest.raises(ValueError, match="run the module once"):
        attribute(network, images, 1)
    net(images)
    assert attribute(network, images, 1).map.any()


@dataclass
class Answer:
    loss: None
    logits: Tensor


Pair = namedtuple("Pair", "features logits")

WRAPPINGS = {
    "dict": lambda y: {"aux": y[..., None], "out": y},
    "ordered": lambda y: OrderedDict(out=y),
    "segmentation": lambda y: {"out": y[..., None, None]},
    "tuple": lambda y: (y[:, :, None], y),
    "list": lambda y: [y],
    "named": lambda y: Pair(None, y),
    "record": lambda y: Answer(None, y),
}


@pytest.mark.parametrize("wrap", WRAPPINGS.values(), ids=WRAPPINGS)
def test_an_output_that_is_no_tensor_comes_with_the_lines_that_wrap_it(wrap, images):
    module = Small(output=wrap)
    for ask in (
        lambda: attribute(module, images, 1, method="guided_backprop"),
        lambda: attribute(module, images, 1, method="grad_cam"),
        lambda: attribute(module, images, 1, method="occlusion"),
        lambda: activations(module, images, [""]),
        lambda: next(ascend(module, logit(1), Fourier(9, 9))),
    ):
        with pytest.raises(ValueError, match="not one tensor: wrap it") as refusal:
            ask()
    names = {"nn": nn, "module": module}
    exec("\n".join(line.strip() for line in str(refusal.value).splitlines()[1:]), names)
    output = names["module"](images)
    assert torch.equal(output.flatten(), Small.forward(plain(module), images).flatten())
    if output.dim() == 2:
        assert attribute(names["module"], images, 1).map.any()


def plain(module):
    net = Small()
    net.load_state_dict(module.state_dict())
    return net


@pytest.mark.parametrize("wrap", [lambda y: None, lambda y: {}, lambda y: {"loss": 1.0}])
def test_an_output_without_a_tensor_is_told(wrap, images):
    with pytest.raises(ValueError, match=r"the network returns (NoneType|dict).*wrap it in a module that does"):
        attribute(Small(output=wrap), images, 1)


class Checkpointed(Small):
    def __init__(self, reentrant):
        super().__init__(lambda x: checkpoint(lambda y: F.relu(self.second(y)), x, use_reentrant=reentrant))
        self.reentrant = reentrant

    def forward(self, x):
        y = checkpoint(lambda y: F.relu(self.second(y)), F.relu(self.conv(x)), use_reentrant=self.reentrant)
        return self.head(y.mean((2, 3)))


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("reentrant", [True, False])
@pytest.mark.parametrize("method", GRADIENTS + CAMS)
def test_a_layer_inside_a_checkpoint_is_told(method, reentrant, images):
    net = Checkpointed(reentrant)
    options = {"steps": 2} if method == "integrated_gradients" else {}
    with pytest.raises(ValueError, match=r"layer 'second' runs inside torch\.utils\.checkpoint.*outside of it"):
        attribute(net, images, 1, method=method, layer="second", **options)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("method", ["gradient", "integrated_gradients", "guided_backprop", "deconvnet"])
def test_a_checkpoint_elsewhere_is_followed_or_told(method, images):
    net = Checkpointed(False)
    beside = Small(lambda x: F.relu(beside.second(x)))
    beside.load_state_dict(net.state_dict())
    assert torch.equal(attribute(net, images, 1, method=method).map, attribute(beside, images, 1, method=method).map)
    with pytest.raises(ValueError, match=r"use_reentrant=False|the custom function CheckpointFunction"):
        attribute(Checkpointed(True), images, 1, method=method)


class Mean(nn.Module):
    def __init__(self, part=None):
        super().__init__()
        self.part = part

    def forward(self, x):
        return x.mean((2, 3))


@pytest.mark.parametrize(
    "ask",
    [
        lambda images: attribute(Mean(), images, 1, layer="q"),
        lambda images: activations(Mean(), images, ["q"]),
        lambda images: activations(Mean(nn.Conv2d(3, 4, 3)), images, ["part"]),
        lambda images: attribute(
            nn.Sequential(nn.Flatten(), nn.Linear(243, 5)), images, 1, layer="1", method="grad_cam"
        ),
    ],
)
def test_a_list_of_nothing_says_so(ask, images):
    with pytest.raises(ValueError, match=r"there are none$"):
        ask(images)


SHAPELESS = {
    "a single number": (lambda y: y.mean(), r"shape \((2,)?\), not \(batch, classes\)"),
    "one number each": (lambda y: y.mean(1), r"shape \([12],\), not \(batch, classes\)"),
    "no class": (lambda y: y[:, :0], r"shape \([12], 0\), not \(batch, classes\)"),
    "yes or no": (lambda y: y > 0, "torch.bool, not floating-point numbers"),
    "whole numbers": (lambda y: (100 * y).long(), "torch.int64, not floating-point numbers"),
    "complex numbers": (torch.fft.fft, "torch.complex64, not floating-point numbers"),
}
ASKED = {
    **{
        method: lambda net, images, m=method: attribute(net, images, 1, method=m, **OPTIONS.get(m, {}))
        for method in [*GRADIENTS, *CAMS, "occlusion"]
    },
    "the predicted class": lambda net, images: attribute(net, images),
    "faithfulness": lambda net, images: faithfulness(net, images, images, cell=3, points=2),
    "randomization_check": lambda net, images: randomization_check(net, images, "gradient", stages=2),
    "ascend": lambda net, images: next(ascend(net, logit(1), Pixels(images))),
    "dream": lambda net, images: next(dream(net, logit(1), images, octaves=1)),
}
OPTIONS = {"grad_cam": {"layer": "conv"}, "guided_grad_cam": {"layer": "conv"}, "occlusion": {"window": 4}}


@pytest.mark.parametrize("call", ASKED)
@pytest.mark.parametrize("kind", SHAPELESS)
def test_an_output_that_has_no_classes_is_told_by_what_it_is(kind, call, images):
    output, sentence = SHAPELESS[kind]
    with pytest.raises(ValueError, match=f"the network's output (has|is) {sentence}"):
        ASKED[call](Small(output=output), torch.cat([images, 1 - images]))
