"""The preprocessing check: what it sees, what it warns of, and that it keeps quiet where all is well."""

import re
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nbvis import demo
from nbvis.engine import Network, preprocessing_check

MEAN, STD = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1), torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)

RANGES: dict[str, Any] = {
    "none": lambda x: x,
    "ImageNet's mean and spread": lambda x: (x - MEAN) / STD,
    "[-1, 1]": lambda x: 2 * x - 1,
    "[0, 255]": lambda x: 255 * x,
}


def scenes(count: int, channels: int = 3) -> Tensor:
    """Noise with a brightness and a contrast of its own in each channel, so that no two channels can be exchanged."""
    noise = torch.rand(count, channels, 16, 16, generator=torch.Generator().manual_seed(count))
    level = torch.linspace(0.1, 0.6, channels).view(-1, 1, 1)
    return level + torch.linspace(0.4, 0.1, channels).view(-1, 1, 1) * noise


def trained(preprocess, channels: int = 3) -> nn.Sequential:
    """A network whose batch norms have seen scenes by one preprocessing."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        convs = [nn.Conv2d(channels, 8, 3), nn.Conv2d(8, 8, 3)]
        between = [nn.BatchNorm2d(8, momentum=None) for _ in convs]
        head = nn.Linear(8, 4)
    net = nn.Sequential(
        convs[0], between[0], nn.ReLU(), convs[1], between[1], nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), head
    )
    with torch.no_grad():
        net.train()(preprocess(scenes(32, channels)))
    return net.eval()


@pytest.mark.parametrize("right", RANGES)
@pytest.mark.parametrize("given", RANGES)
def test_another_range_that_fits_better_is_named_and_the_right_one_is_not(device, right, given, house):
    network = Network(trained(RANGES[right]), preprocess=RANGES[given], device=device)
    images = scenes(3)
    with house(network.module):
        found = preprocessing_check(network, images)
    entered = RANGES[given](images)
    assert (found.low, found.high) == (pytest.approx(entered.min().item()), pytest.approx(entered.max().item()))
    if right == given:
        assert found.warning == ""
    else:
        assert f"fits this network much better: {right}; " in found.warning
        assert found.misfit is not None and min(c.misfit or 0 for c in found.candidates) < found.misfit
    assert found.notes == []
    names = [reading.name for reading in found.candidates]
    plain = [name for name in RANGES if name != given]
    assert names == ["its own, channels reversed", *(f"{n}{o}" for n in plain for o in ("", ", channels reversed"))]


def test_the_misfit_is_the_divergence_from_the_statistics_of_training():
    net, images = trained(RANGES["none"]), scenes(1)
    found = preprocessing_check(net, images)
    logs: list[Tensor] = []
    values: Tensor = images
    for part in net:
        if isinstance(part, nn.BatchNorm2d):
            assert part.running_mean is not None and part.running_var is not None
            seen = torch.distributions.Normal(values.mean((0, 2, 3)), values.std((0, 2, 3), correction=0))
            kept = torch.distributions.Normal(part.running_mean, (part.running_var + part.eps).sqrt())
            logs.append(torch.distributions.kl_divergence(seen, kept).mean().log())
        values = part(values)
    assert found.misfit == pytest.approx(torch.stack(logs).mean().exp().item(), rel=1e-4)
    chances = net(images).softmax(1)[0]
    assert found.target == chances.argmax() and found.label == f"class {found.target}"
    assert found.probability == pytest.approx(chances.max().item())


def test_reversed_channels_are_found_together_with_a_range(device):
    net = trained(RANGES["[-1, 1]"])
    right, wrong = Network(net, preprocess=RANGES["[-1, 1]"], device=device), Network(net, device=device)
    reversed_images = scenes(2).flip(1)
    assert "better: its own, channels reversed; " in preprocessing_check(right, reversed_images).warning
    assert "better: [-1, 1], channels reversed; " in preprocessing_check(wrong, reversed_images).warning


@pytest.mark.parametrize(
    "given, better",
    [
        (RANGES["[-1, 1]"], "none"),
        (lambda x: 255 * x, "divided by 255, then its own"),
        (RANGES["ImageNet's mean and spread"], "brought back from ImageNet's mean and spread, then its own"),
    ],
)
def test_images_that_come_normalised_or_in_bytes_are_found(device, given, better):
    network = Network(trained(RANGES["[-1, 1]"]), preprocess=RANGES["[-1, 1]"], device=device)
    found = preprocessing_check(network, given(scenes(2)))
    assert f"fits this network much better: {better}; " in found.warning


def test_normalised_images_for_a_bare_module_are_right():
    net = trained(RANGES["ImageNet's mean and spread"])
    assert preprocessing_check(net, RANGES["ImageNet's mean and spread"](scenes(2))).warning == ""
    odd = preprocessing_check(net, 1e4 * scenes(2) - 700)
    assert odd.notes == ["The images leave [0, 1] in a way that no common preprocessing does."]


@pytest.mark.parametrize("channels", [1, 6])
def test_only_what_applies_is_tried_on_grey_and_on_many_channels(device, channels):
    network = Network(trained(RANGES["[-1, 1]"], channels), device=device)
    found = preprocessing_check(network, scenes(2, channels))
    assert [reading.name for reading in found.candidates] == ["[-1, 1]", "[0, 255]"]
    assert "better: [-1, 1]; " in found.warning


def test_channels_that_are_equal_are_not_reversed():
    found = preprocessing_check(trained(RANGES["none"]), scenes(1, 1).expand(-1, 3, -1, -1))
    assert not [reading.name for reading in found.candidates if "none" in reading.name or "its own" in reading.name]


def test_a_preprocessing_that_resizes_leaves_only_the_order_of_the_channels(device):
    half = Network(trained(RANGES["none"]), preprocess=lambda x: x[..., ::2, ::2], device=device)
    found = preprocessing_check(half, scenes(1))
    assert [reading.name for reading in found.candidates] == ["its own, channels reversed"]
    assert "makes (1, 3, 8, 8) of (1, 3, 16, 16), so no other range is compared" in found.notes[0]


def test_what_is_predicted_either_way_is_said_once(device):
    net = trained(RANGES["[-1, 1]"])
    sure = nn.Sequential(net, nn.Softmax(1), Weighted())
    warning = preprocessing_check(Network(sure, labels=["cat", "dog"], device=device), scenes(1)).warning
    assert warning.endswith("met in training, and it still predicts 'cat'.")
    less = nn.Sequential(net, Weighted(0.1))
    warning = preprocessing_check(Network(less, labels=["cat", "dog"], device=device), scenes(1)).warning
    assert re.search(r", and it still predicts 'cat' \(0\.\d\d, not 0\.\d\d\)\.$", warning)


class Weighted(nn.Module):
    """Whatever comes in, it is a cat, more or less so with what comes in."""

    def __init__(self, share=0.0):
        super().__init__()
        self.share = share

    def forward(self, x):
        cat = 0.9 - self.share * x[:, :1]
        return torch.cat([cat, 1 - cat], 1)


def test_a_network_without_classes_says_so_and_is_judged_all_the_same():
    net = trained(RANGES["[-1, 1]"])[:6]
    found = preprocessing_check(net, scenes(1))
    assert (found.target, found.label, found.probability) == (None, "", None)
    assert found.notes == ["The network's output has shape (1, 8, 12, 12), so there are no classes to predict."]
    assert "better: [-1, 1]; " in found.warning and "predicts" not in found.warning


@pytest.mark.parametrize("norm", [nn.Identity(), nn.BatchNorm2d(4)], ids=["no batch norm", "untrained"])
def test_without_a_trained_batch_norm_nothing_tells_and_that_is_said(norm):
    net = nn.Sequential(nn.Conv2d(3, 4, 3), norm, nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    found = preprocessing_check(net, scenes(1))
    assert "no batch norm that was trained, so nothing tells which preprocessing fits it" in found.notes[0]
    assert found.misfit is None and found.warning == "" and found.label.startswith("class ")
    assert len(found.candidates) == 7 and all(reading.probability for reading in found.candidates)


def test_labels_name_the_prediction_and_the_network_is_left_alone(device, house):
    module = trained(RANGES["none"]).train()
    network = Network(module, labels=["ant", "bee", "cat", "dog"], device=device)
    with house(module):
        found = preprocessing_check(network, scenes(1))
    assert found.target is not None and found.label == network.labels[found.target]  # type: ignore[index]


def test_bad_images_are_refused():
    net = trained(RANGES["none"])
    with pytest.raises(TypeError, match="must be float in"):
        preprocessing_check(net, torch.zeros(1, 3, 8, 8, dtype=torch.uint8))
    with pytest.raises(RuntimeError, match="does not run on images of shape"):
        preprocessing_check(net, torch.zeros(1, 4, 8, 8))


@pytest.mark.parametrize("name", ["clock", "moon", "brick", "rocket", "hubble"])  # those that come nearest to a warning
def test_the_embedded_network_fits_its_own_preprocessing(name, demo_network):
    found = preprocessing_check(demo_network, demo.photo(name, size=224))
    assert found.warning == "" and found.notes == [] and -1 <= found.low < found.high <= 1


@pytest.mark.parametrize("name, right", [("coffee", "[-1, 1]"), ("chelsea", "ImageNet's")])
def test_what_goes_wrong_with_the_embedded_network_is_caught(device, name, right, demo_network):
    image, bare = demo.photo(name, size=224), Network(demo_network.module, labels=demo_network.labels, device=device)
    assert f"better: {right}" in preprocessing_check(bare, image).warning
    assert "better: its own, channels reversed; " in preprocessing_check(demo_network, image.flip(1)).warning
    assert preprocessing_check(demo_network, demo_network.enter(image)).warning
