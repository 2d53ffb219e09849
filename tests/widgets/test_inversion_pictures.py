import numpy as np
import pytest
import torch

from nbvis.engine import Network
from nbvis.widgets.inversion_pictures import (
    DROPPED,
    KEPT,
    NOTHING,
    amplification,
    answers,
    count,
    likeliest,
    mask_picture,
)


def pixels(mask):
    return np.asarray(mask_picture(mask)).tolist()


def test_a_mask_of_units_is_a_block():
    assert pixels(torch.tensor([1.0, 0, 1, 1, 0])) == [[KEPT, DROPPED, KEPT], [KEPT, DROPPED, NOTHING]]


def test_a_mask_of_channels_is_a_block_too():
    assert pixels(torch.tensor([1.0, 0, 1, 1]).view(4, 1, 1)) == [[KEPT, DROPPED], [KEPT, KEPT]]


def test_a_mask_of_rows_and_columns_is_itself():
    assert pixels(torch.tensor([[1.0, 0, 1], [0, 0, 1]])) == [[KEPT, DROPPED, KEPT], [DROPPED, DROPPED, KEPT]]


def test_a_mask_of_channels_rows_and_columns_is_tiles_with_gaps():
    mask = torch.ones(3, 2, 2)
    mask[1, 0, 1] = mask[2, 1, 0] = 0
    assert pixels(mask) == [
        [KEPT, KEPT, NOTHING, KEPT, DROPPED],
        [KEPT, KEPT, NOTHING, KEPT, KEPT],
        [NOTHING] * 5,
        [KEPT, KEPT, NOTHING, NOTHING, NOTHING],
        [DROPPED, KEPT, NOTHING, NOTHING, NOTHING],
    ]


@pytest.mark.parametrize("shape", [(1280,), (40, 1, 1), (1, 1, 1), (49, 192), (40, 28, 28), (8, 2, 5, 5)])
def test_every_unit_of_a_mask_is_a_pixel(shape):
    mask = (torch.rand(shape, generator=torch.Generator().manual_seed(0)) > 0.4).float()
    shown = np.asarray(mask_picture(mask))
    assert (shown == DROPPED).sum() == (mask == 0).sum() and (shown == KEPT).sum() == mask.sum()


@pytest.mark.parametrize(
    ("shape", "what"),
    [((6,), "units"), ((6, 1, 1), "channels"), ((2, 3), "units"), ((6, 2, 2), "units"), ((1, 1, 1), "branches")],
)
def test_what_a_mask_drops_is_counted(shape, what):
    mask = torch.ones(shape)
    mask.flatten()[0] = 0
    assert count(mask) == {"total": mask.numel(), "dropped": 1, "what": what}


def test_the_amplification_leaves_out_the_largest_half_per_cent():
    difference = torch.full((1, 1, 100, 100), 0.01)
    difference[..., :30] *= -1
    assert amplification(difference) == 50
    difference[0, 0, 0, :40] = 0.9
    assert amplification(difference) == 50
    difference[0, 0, 1, :40] = 0.1
    assert amplification(difference) == 5


def test_the_amplification_of_nothing_is_none_and_that_of_a_single_pixel_is_its_own():
    difference = torch.zeros(1, 3, 64, 64)
    assert amplification(difference) == 1
    difference[0, 0, 3, 3] = -0.04
    assert amplification(difference) == pytest.approx(12.5, abs=0.5)


def test_a_huge_picture_is_sampled():
    assert amplification(torch.full((1, 3, 2500, 2500), 0.125)) == 4


@pytest.fixture
def network():
    return Network(torch.nn.Identity(), labels=["ant", "bee"])


def test_answers_are_probabilities_of_the_classes_that_matter(network):
    outputs = [torch.tensor([each]) for each in ([5.0, 1, 0, 0, 0, 0, 0], [0.0, 5, 0, 0, 0, 0, 0], [0.0] * 6 + [5.0])]
    found = answers(outputs, network)
    assert [answer["label"] for answer in found[:2]] == ["ant", "bee"] and len(found) == 5
    assert "class 6" in [answer["label"] for answer in found]
    assert found[0]["clean"] == pytest.approx(outputs[0].softmax(1)[0, 0].item())
    assert likeliest(found, "noisy") == f"bee {outputs[1].softmax(1)[0, 1]:.2f}"
    assert likeliest(found, "corrupted").startswith("class 6 ")


def test_probabilities_stay_as_they_are(network):
    given = torch.tensor([[0.75, 0.25]])
    assert answers([given] * 3, network) == [
        {"label": "ant", "clean": 0.75, "noisy": 0.75, "corrupted": 0.75},
        {"label": "bee", "clean": 0.25, "noisy": 0.25, "corrupted": 0.25},
    ]


@pytest.mark.parametrize("shape", [(1, 1), (1, 4, 3, 3)])
def test_what_has_no_classes_has_no_answers(network, shape):
    assert answers([torch.zeros(shape)] * 3, network) == [] and likeliest([], "clean") == ""
