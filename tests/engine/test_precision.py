"""Networks in half precision: pictures, maps and scores are in single precision, and much as the single network's."""

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nbvis.engine import (
    METHODS,
    Fourier,
    Network,
    Pixels,
    activations,
    activity,
    ascend,
    attribute,
    channel,
    check_objective,
    custom,
    dream,
    dropped_layers,
    energy,
    faithfulness,
    invert_dropout,
    last,
    layers,
    logit,
    preprocessing_check,
    randomization_check,
    unit,
)

HALVES = (torch.float16, torch.bfloat16)
MEAN = torch.tensor([0.45, 0.5, 0.4]).view(3, 1, 1)

pytestmark = pytest.mark.parametrize("dtype", HALVES, ids=["half", "bfloat16"])


@pytest.fixture
def pair(convnet, dtype):
    """The same network in single and in half precision, with a preprocessing in single precision."""
    net = convnet(dtype=torch.float32)
    net.insert(6, nn.Dropout2d(0.4))
    return [
        Network(each, preprocess=lambda images: (images - MEAN) / 0.25, device=next(each.parameters()).device)
        for each in (net, copy.deepcopy(net).to(dtype))
    ]


def alike(one: Tensor, other: Tensor) -> float:
    """The correlation of two tensors."""
    assert one.dtype == other.dtype == torch.float32
    found = torch.corrcoef(torch.stack([one.flatten(), other.flatten()]))[0, 1].item()
    return found


OBJECTIVES = {
    "logit": logit(2),
    "channel": channel("3", 1),
    "unit": unit("3", 4),
    "activity": activity("5"),
    "energy": energy("0", 2),
    "difference": logit(1) - 0.5 * channel("0", 0) + 3,
    "product": logit(1) * activity("5"),
    "masked": logit(1).within(torch.linspace(0, 1, 24 * 28).view(24, 28)) + channel("3", 2),
}


@pytest.mark.parametrize("objective", OBJECTIVES.values(), ids=list(OBJECTIVES))
@pytest.mark.parametrize("kind", ["pixels", "fourier"])
def test_ascent_climbs_as_in_single_precision(pair, pictures, objective, kind):
    runs = []
    for network in pair:
        check_objective(network, objective, pictures(1, 3, 24, 28).float())
        image = Pixels(pictures(1, 3, 24, 28).to(network.dtype)) if kind == "pixels" else Fourier(24, 28)
        steps = list(
            ascend(network, objective, image, steps=4, lr=0.01, optimizer="sgd" if kind == "pixels" else "adam")
        )
        assert all(step.image.dtype == step.score.dtype == torch.float32 for step in steps)
        runs.append(steps)
    moved = [steps[-1].image - steps[0].image for steps in runs]
    assert alike(*moved) > 0.9
    assert runs[1][-1].notes == ()


@pytest.mark.parametrize("kind", ["pixels", "fourier"])
def test_the_score_goes_up(pair, pictures, kind):
    image = Pixels(pictures(2, 3, 24, 28)) if kind == "pixels" else Fourier(24, 28, batch=2)
    steps = list(ascend(pair[1], logit(2), image, steps=6, lr=0.01, transforms=(), optimizer="adam"))
    assert (steps[-1].score > steps[0].score).all()


def test_what_changes_by_less_than_half_precision_can_tell_is_not_lost(pair, pictures):
    """Updates of 1e-5 are below what a pixel of 0.5 can change by in half precision, and add up."""
    start = pictures(1, 3, 24, 28).float()
    steps = ascend(pair[1], logit(2), Pixels(start), steps=20, lr=1e-5, optimizer="adam", transforms=())
    moved = last(steps).image - start
    assert moved.abs().median() > 5e-5


@pytest.mark.parametrize(
    "options", [{}, {"rotation": 10.0}, {"smoothing": 0.5}], ids=["plain", "rotation", "smoothing"]
)
def test_dreams_are_much_the_same(pair, pictures, options):
    images = pictures(1, 3, 40, 50)
    objective = activity("5").within(torch.linspace(0, 1, 2000).view(40, 50)) + channel("3", 1)
    ends, scores = [], []
    for network in pair:
        steps = list(dream(network, objective, images.to(network.dtype), octaves=2, steps=3, jitter=4, **options))
        assert all(step.image.dtype == step.score.dtype == torch.float32 for step in steps)
        ends.append(steps[-1].image - images.float())
        scores.append([step.score.item() for step in steps])
    assert alike(*ends) > 0.8
    assert scores[1][5] > scores[1][3]


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam", "sgd"])
def test_dropout_is_inverted(pair, pictures, optimizer):
    images = pictures(2, 3, 12, 12)
    ends = []
    for network in pair:
        lr = {"lbfgs": 0.01, "adam": 0.01, "sgd": 5.0}[optimizer]
        # The masks of the first, since they are drawn from the picture, which the dtype rounds.
        masks = ends[0].masks if ends else None
        run = invert_dropout(network, "7", images, steps=12, masks=masks, tolerance=0, lr=lr, optimizer=optimizer)
        steps = list(run)
        assert all(step.image.dtype == step.loss.dtype == torch.float32 for step in steps)
        assert (steps[-1].loss < 0.9 * steps[0].loss).all()
        assert steps[-1].corrupted_output is not None
        ends.append(steps[-1])
    assert alike(*(end.image - images.float() for end in ends)) > 0.8
    assert dropped_layers(pair[1], images) == dropped_layers(pair[0], images)


@pytest.mark.parametrize("layer", [None, "3"])
@pytest.mark.parametrize("method", METHODS)
def test_maps_are_much_the_same(pair, pictures, method, layer):
    layer = None if method == "occlusion" else layer
    options: dict[str, Any] = {
        "occlusion": {"window": 8},
        "integrated_gradients": {"steps": 8},
        "smoothgrad": {"samples": 8},
    }
    maps = []
    for network in pair:
        found = attribute(
            network, pictures(2, 3, 24, 28).to(network.dtype), 2, method=method, layer=layer, **options.get(method, {})
        )
        assert found.map.dtype == found.score.dtype == torch.float32 and found.map.any()
        maps.append(found.map)
    assert alike(*maps) > 0.9


def test_the_checks_run(pair, pictures):
    images = pictures(2, 3, 24, 28)
    maps, areas, checks = [], [], []
    for network in pair:
        maps.append(attribute(network, images, 2))
        areas.append(faithfulness(network, images, maps[0], cell=4, points=5).insertion_area["attribution"])
        checks.append(randomization_check(network, images, "gradient", target=2))
    assert areas[0].dtype == areas[1].dtype == torch.float32
    torch.testing.assert_close(areas[1], areas[0], rtol=0.05, atol=0.01)
    assert alike(checks[0].map, checks[1].map) > 0.9
    assert [stage.layer for stage in checks[0].stages] == [stage.layer for stage in checks[1].stages]
    readings = [preprocessing_check(network, images) for network in pair]
    assert readings[0].target == readings[1].target
    assert [each.name for each in readings[0].candidates] == [each.name for each in readings[1].candidates]


def test_what_a_layer_returned_is_given_as_it_was(pair, pictures, dtype):
    images = pictures(1, 3, 24, 28)
    assert activations(pair[1], images, ["3"])["3"].dtype == dtype
    assert [layer.shape for layer in layers(pair[0], images)] == [layer.shape for layer in layers(pair[1], images)]


def test_a_preprocessing_may_do_what_half_precision_cannot(pair, pictures):
    """Enlarging with antialias has no kernel for half precision on the CPU."""
    for network in pair:
        network.preprocess = lambda images: F.interpolate(images, size=(20, 22), mode="bilinear", antialias=True)
    maps = [attribute(network, pictures(1, 3, 24, 28), 2).map for network in pair]
    assert alike(*maps) > 0.9


def test_a_preprocessing_that_casts_itself_is_left_its_way(device, pair, pictures, dtype):
    seen = []

    def enter(images):
        seen.append(images.dtype)
        return images.double()

    network = Network(nn.Conv2d(3, 2, 3).to(dtype), preprocess=enter, device=device)
    assert network.enter(pictures(1, 3, 8, 8)).dtype == torch.float64 and seen == [torch.float32]


def test_a_square_that_half_precision_cannot_hold_is_a_score(device, pair, pictures):
    loud = nn.Conv2d(3, 4, 3)
    with torch.no_grad():
        loud.weight.fill_(30.0)
    network = Network(loud.to(pair[1].dtype), device=device)
    step = last(ascend(network, activity(""), Pixels(pictures(1, 3, 12, 12)), steps=2))
    assert step.score.item() > 66_000


def test_a_gradient_that_half_precision_cannot_hold_is_kept(pair, pictures):
    """The mean over a large layer has gradients of 1e-6, of which half precision leaves little."""
    faint = custom(lambda activation: activation.flatten(1).mean(1) / 100, "3")
    images = pictures(1, 3, 40, 48)
    maps = [attribute(network, images, faint).map for network in pair]
    assert alike(*maps) > 0.95
    runs = [list(ascend(network, faint, Pixels(images), steps=2, lr=1e3, optimizer="sgd")) for network in pair]
    assert alike(*(steps[1].image - steps[0].image for steps in runs)) > 0.95


def test_a_gradient_too_large_to_be_multiplied_is_found_all_the_same(pair, pictures):
    strong = custom(lambda activation: 1000 * activation.flatten(1).sum(1), "3")
    images = pictures(2, 3, 24, 28)
    maps = [attribute(network, images, strong).map for network in pair]
    assert alike(*maps) > 0.95
