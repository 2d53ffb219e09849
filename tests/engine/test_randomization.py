"""The randomisation check: what it measures, and that it catches the methods known to fail it."""

from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from skimage.metrics import structural_similarity as reference_similarity
from torch import nn

from nbvis.engine import Network, attribute, randomization_check
from nbvis.engine.checks.randomization import rank_correlation, structural_similarity


def test_rank_correlation_is_spearmans_with_ties(pictures):
    first, second = pictures(3, 8, 9), pictures(3, 8, 9, seed=1)
    first[0] = (first[0] * 5).round()  # ties
    second[1] = first[1] ** 3  # the same order
    second[2] = 0.5  # none
    found = rank_correlation(first, second)
    assert found[0].item() == pytest.approx(spearmanr(first[0].ravel(), second[0].ravel())[0], abs=1e-12)
    assert found[1:].tolist() == [pytest.approx(1), 0]


def test_similarity_is_ssim(pictures):
    first, second = pictures(2, 30, 40, low=0, high=1), pictures(2, 30, 40, seed=1, low=0, high=1)
    second[1] = first[1] * 0.7 + second[1] * 0.1
    for k, found in enumerate(structural_similarity(first, second).tolist()):
        full: Any = reference_similarity(
            first[k].cpu().numpy(),
            second[k].cpu().numpy(),
            data_range=1,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            full=True,
        )[1]
        assert found == pytest.approx(np.mean(full[5:-5, 5:-5]), rel=1e-9)
    assert structural_similarity(first, first).tolist() == pytest.approx([1, 1])
    assert structural_similarity(first[:, :4, :3], first[:, :4, :3]).tolist() == pytest.approx([1, 1])


def test_stages_go_from_the_top_down_and_each_map_is_that_of_a_shuffled_copy(convnet, pictures, house):
    net, images, heard = convnet(), pictures(2, 3, 10, 14), []
    with house(net):
        check = randomization_check(
            net, images, "gradient", target=1, seed=3, progress=lambda *done: heard.append(done)
        )
    assert [stage.layer for stage in check.stages] == ["8", "4", "3", "1", "0"] and heard[-1] == (5, 5)
    assert [stage.fraction for stage in check.stages] == [0.2, 0.4, 0.6, 0.8, 1.0]
    assert torch.equal(check.map, attribute(net, images, 1).map)
    by_hand = convnet()
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name in ("8", "4"):
            for weight in by_hand[int(name)].parameters():
                weight.copy_(weight.flatten()[torch.randperm(weight.numel(), generator=generator)].view_as(weight))
    stage = check.stages[1]
    assert torch.equal(stage.map, attribute(by_hand, images, 1).map)
    sizes = [found.abs().sum(1) for found in (check.map, stage.map)]
    for k in range(2):
        expected = spearmanr(sizes[0][k].ravel(), sizes[1][k].ravel())[0]
        assert stage.correlation[k].item() == pytest.approx(expected, abs=1e-9)
    again = randomization_check(net, images, "gradient", target=1, seed=3)
    assert all(torch.equal(a.map, b.map) for a, b in zip(check.stages, again.stages, strict=True))


def test_the_number_of_stages_and_the_options_of_the_method(convnet, pictures):
    net, images = convnet(), pictures(1, 3, 10, 14)
    check = randomization_check(net, images, "grad_cam", layer="5", stages=2, relu=True)
    assert [stage.layer for stage in check.stages] == ["8", "0"]
    assert torch.equal(check.map, attribute(net, images, method="grad_cam", layer="5", relu=True).map)
    with pytest.raises(TypeError, match="gradient has no option 'relu'"):
        randomization_check(net, images, "gradient", relu=True)
    with pytest.raises(ValueError, match="stages is a whole number"):
        randomization_check(net, images, "gradient", stages=0)
    with pytest.raises(ValueError, match="no layer with weights"):
        randomization_check(nn.Flatten(), images, "gradient", target=0)


def test_a_map_of_nothing_is_not_judged(convnet, pictures):
    net = convnet()
    with torch.no_grad():
        net[3].bias.fill_(-1e4)
    check = randomization_check(net, pictures(1, 3, 10, 14), "gradient", target=0)
    assert not check.passed and "Not to be judged" in check.verdict and "zero everywhere" in check.notes[0]


def test_scripted_weights_are_refused(convnet, pictures):
    with pytest.warns(match="deprecated"):
        scripted: Any = torch.jit.trace(convnet(), pictures(1, 3, 10, 14))
    with pytest.raises(ValueError, match="TorchScript"):
        randomization_check(scripted, pictures(1, 3, 10, 14), "gradient", target=0)


@pytest.mark.parametrize("photo", ["chelsea", "coffee"])
@pytest.mark.parametrize(
    "method, passes", [("gradient", True), ("grad_cam", True), ("guided_backprop", False), ("deconvnet", False)]
)
def test_on_a_trained_network_it_catches_those_that_fail(demo_network: Network, photo, method, passes):
    from nbvis import demo

    check = randomization_check(demo_network, demo.photo(photo, size=128), method, stages=7)
    assert check.passed is passes
    assert check.verdict.startswith("Passed" if passes else "Failed") and method in check.verdict
    upper = [stage.correlation.item() for stage in check.stages if stage.fraction <= 0.5]
    typical = sum(upper) / len(upper)
    assert typical < 0.6 if passes else typical > 0.8
