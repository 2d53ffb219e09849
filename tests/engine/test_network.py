"""Networks: what they hold, their private twins, and torchvision's models through the real loading code."""

import threading
import warnings

import pytest
import torch
from torch import nn

from nbvis.engine import Network, activations


def test_a_network_holds_what_it_was_given_and_answers_like_its_module(device, convnet, pictures):
    module, images = convnet(), pictures(2, 3, 9, 7)
    network = Network(module, preprocess=lambda x: 2 * x - 1, labels=("a", "b"), input_size=(9, 7), device=device)
    assert network.module is module and network.labels == ["a", "b"] and network.input_size == (9, 7)
    assert network.device == device and network.dtype == torch.float64 and network.name == "Sequential"
    assert repr(network) == "Network(Sequential, 2 classes, 9 × 7)"
    assert torch.equal(network(images), module(2 * images - 1))


def test_images_are_cast_to_the_networks_dtype(device, convnet, pictures):
    images = pictures(1, 3, 8, 8)
    assert Network(convnet(dtype=torch.float32), device=device)(images).dtype == torch.float32
    assert Network(convnet(), device=device)(images.float()).dtype == torch.float64
    assert Network(nn.ReLU(), device=device)(images).dtype == torch.get_default_dtype()


def test_a_network_left_in_train_mode_answers_as_in_eval_mode(device, convnet, pictures):
    module, images = convnet(), pictures(4, 3, 8, 8)
    expected = module(images)
    assert torch.equal(Network(module.train(), device=device)(images), expected)


def test_gradients_reach_the_images_and_not_the_weights(device, convnet, pictures):
    module, images = convnet(), pictures(1, 3, 8, 8).requires_grad_()
    (found,) = torch.autograd.grad(Network(module, device=device)(images).sum(), images)
    (expected,) = torch.autograd.grad(module(images).sum(), images)
    assert torch.equal(found, expected)
    assert all(parameter.grad is None for parameter in module.parameters())


def test_what_is_no_module_is_refused(pictures):
    with pytest.raises(TypeError, match=r"wraps an nn.Module, not function"):
        Network(lambda x: x)  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match=r"expected a Network or an nn.Module, got str"):
        activations("resnet18", pictures(1, 3, 8, 8), ["0"])  # pyright: ignore[reportArgumentType]


class Wired(nn.Module):
    """Parts that refer to each other in circles, and things that cannot be copied in the midst of those that can."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.same = self.conv
        self.child = Child(self)
        self.box = {"lock": threading.Lock(), "parts": [self.conv, torch.ones(3)]}
        self.tied = nn.Conv2d(3, 4, 3)
        self.tied.weight = self.conv.weight
        self.drop = nn.Dropout(0.5)

    def forward(self, images):
        with self.box["lock"]:
            return self.drop(self.child(images)) + self.same(images) + self.tied(images) + self.box["parts"][0](images)


class Child(nn.Module):
    def __init__(self, parent):
        super().__init__()
        self.parents = [parent]

    def forward(self, images):
        return self.parents[0].conv(images)


def test_a_twin_has_the_networks_own_shape(device, pictures):
    net = Wired().double()
    twin = Network(net, device=device).twin()
    assert isinstance(twin, Wired) and twin is not net
    assert twin.same is twin.conv is twin.box["parts"][0] and twin.conv is not net.conv
    assert twin.child.parents[0] is twin
    assert twin.tied.weight is twin.conv.weight
    assert twin.box["lock"] is net.box["lock"] and twin.box["parts"][1] is not net.box["parts"][1]
    assert not any(part.training for part in twin.modules()) and all(part.training for part in net.modules())
    assert not any(parameter.requires_grad for parameter in twin.parameters())
    images = pictures(1, 3, 8, 8)
    assert torch.equal(twin(images), net.eval()(images))


def test_a_twin_shares_the_weights_and_owns_the_buffers(device, convnet):
    net = convnet()
    twin = Network(net, device=device).twin()
    for own, theirs in zip(twin.parameters(), net.parameters(), strict=True):
        assert own is not theirs and own.data_ptr() == theirs.data_ptr()
    for own, theirs in zip(twin.buffers(), net.buffers(), strict=True):
        assert own.data_ptr() != theirs.data_ptr() and torch.equal(own, theirs)


@pytest.mark.parametrize("old_style", [True, False])
@pytest.mark.parametrize("kind", ["weight_norm", "spectral_norm"])
def test_reparametrised_weights_work(convnet, house, pictures, kind, old_style):
    with torch.random.fork_rng():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # the old style is deprecated, and in use
            conv = getattr(nn.utils if old_style else nn.utils.parametrizations, kind)(nn.Conv2d(3, 4, 3).double())
    net = nn.Sequential(conv, nn.BatchNorm2d(4).double(), nn.ReLU()).eval()
    images = pictures(1, 3, 8, 8)
    net(images)
    with house(net):
        found = activations(net, images, ["2"])["2"]
    assert torch.allclose(found, net(images))


def test_a_graph_module_works(device, convnet, house, pictures):
    module = torch.fx.symbolic_trace(convnet())
    images = pictures(1, 3, 8, 8)
    with house(module):
        assert torch.equal(Network(module, device=device)(images), module(images))


@pytest.fixture
def saved_weights(tmp_path, monkeypatch):
    """Random weights where torch.hub keeps downloads, under the names it gives them, so that nothing is downloaded."""
    from torchvision import models

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))

    def save(name: str, weights: str) -> nn.Module:
        with torch.random.fork_rng():
            torch.manual_seed(1)
            module = models.get_model(name, weights=None)
        entry = models.get_model_weights(name)[weights]
        folder = tmp_path / "checkpoints"
        folder.mkdir(exist_ok=True)
        torch.save(module.state_dict(), folder / entry.url.rpartition("/")[2])
        return module.eval()

    return save


def test_torchvision_loads_weights_preprocessing_and_categories(device, saved_weights, monkeypatch):
    def no_internet(*_, **__):
        raise AssertionError("nothing is to be downloaded")

    monkeypatch.setattr(torch.hub, "download_url_to_file", no_internet)
    module = saved_weights("squeezenet1_1", "IMAGENET1K_V1")
    state = torch.get_rng_state()
    network = Network.torchvision("squeezenet1_1", device=device)
    assert torch.equal(state, torch.get_rng_state())
    assert repr(network) == "Network(squeezenet1_1, 1000 classes, 224 × 224)"
    assert network.labels is not None and network.labels[0] == "tench" and network.labels[999] == "toilet tissue"
    images = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    with torch.no_grad():
        expected = module((images - mean[:, None, None]) / std[:, None, None])
    assert torch.allclose(network(images), expected, atol=1e-6)


def test_torchvision_without_weights_has_no_labels(device):
    state = torch.get_rng_state()
    network = Network.torchvision("squeezenet1_1", weights=None, device=device)
    assert network.labels is None and network.preprocess is None and network.input_size is None
    assert torch.equal(state, torch.get_rng_state())


def test_unknown_torchvision_names_are_answered_with_near_ones():
    with pytest.raises(ValueError, match="no model 'resnet5'; did you mean 'resnet50' or"):
        Network.torchvision("resnet5")
    with pytest.raises(ValueError, match=r"no model '%'; there are 'alexnet', 'convnext_base', .* and [0-9]+ more"):
        Network.torchvision("%")
    with pytest.raises(ValueError, match="resnet50 has no weights 'IMAGENET1K_V3'; did you mean 'IMAGENET1K_V"):
        Network.torchvision("resnet50", weights="IMAGENET1K_V3")
