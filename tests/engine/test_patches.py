"""Patches: what a unit sees, cut out of the image, and nothing else."""

import pytest
import torch
from torch import nn

from nbvis.engine import Network, layers, patch


@pytest.fixture
def net():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            *(nn.Conv2d(3, 4, (3, 5), stride=2, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1)),
            *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)),
        ).double()


def test_a_unit_answers_to_its_patch_as_to_the_image(net, pictures):
    """Away from the borders, where a smaller image has borders of its own."""
    images = pictures(2, 3, 19, 24)
    unpadded = nn.Sequential(nn.Conv2d(3, 4, (3, 5), stride=2), nn.ReLU(), nn.AvgPool2d(2, 1)).double()
    layer = layers(unpadded, images)[-1]
    answers = unpadded(images)
    for row in range(answers.shape[2]):
        for column in range(answers.shape[3]):
            seen = patch(images, layer, (row, column))
            assert seen.shape == (2, 3, 5, 7) and layer.receptive_field == (5, 7)
            assert torch.allclose(unpadded(seen)[..., 0, 0], answers[..., row, column])


def test_a_patch_beyond_the_image_is_filled_and_stays_in_its_place(net, pictures):
    images = pictures(1, 3, 19, 24)
    layer = layers(net, images)[2]
    (height, width), (down, right), (top, left) = layer.receptive_field, layer.stride, layer.start
    assert (height, width, down, right, top, left) == (7, 9, 2, 2, -3, -3)
    around = torch.nn.functional.pad(images, (20, 20, 20, 20), value=0.25)
    rows, columns = layer.axes.grid
    for row, column in [(0, 0), (0, columns - 1), (rows - 1, 0), (rows - 1, columns - 1), (4, 5)]:
        found = patch(images, layer, (row, column), fill=0.25)
        first, second = 20 + top + down * row, 20 + left + right * column
        assert torch.equal(found, around[..., first : first + height, second : second + width])


def test_outside_is_black_or_the_colour_that_is_given(net, pictures):
    images = pictures(2, 3, 19, 24)
    layer = layers(net, images)[0]
    assert (patch(images, layer, (0, 0))[..., 0, :] == 0).all()
    mean = [0.485, 0.456, 0.406]
    filled = patch(images, layer, (0, 0), fill=mean)
    assert torch.allclose(filled[..., 0, 0], torch.tensor(mean, dtype=torch.float64).expand(2, 3))
    assert torch.equal(filled[..., 1:, 1:], images[..., :2, :4])
    with pytest.raises(ValueError, match=r"fill is a number, or one for each of 3 channels, not \[0, 1\]"):
        patch(images, layer, (0, 0), fill=[0, 1])


def test_a_unit_without_bounds_sees_the_whole_image(net, pictures):
    images = pictures(2, 3, 19, 24)
    pooled, _, classes = layers(net, images)[-3:]
    for found in (patch(images, pooled, (0, 0)), patch(images, classes), patch(images, classes, (0, 0))):
        assert torch.equal(found, images) and found is not images


def test_a_token_beside_the_grid_sees_the_whole_image(pictures):
    class Tokens(nn.Module):
        def __init__(self):
            super().__init__()
            self.cut, self.own, self.rest = nn.Conv2d(3, 4, 4, 4), nn.Parameter(torch.zeros(1, 1, 4)), nn.Identity()

        def forward(self, images):
            return self.rest(torch.cat([self.own, self.cut(images).flatten(2).transpose(1, 2)], 1))

    images = pictures(1, 3, 8, 8)
    layer = layers(nn.Sequential(Tokens()).double(), images)[1]
    assert layer.axes.grid == (2, 2) and layer.axes.besides == 1
    assert torch.equal(patch(images, layer, (-1, 0)), images)
    assert torch.equal(patch(images, layer, (1, 0)), images[..., 4:, :4])
    with pytest.raises(ValueError, match="whole number from 0 up, not -1"):
        patch(images, layer, (-1, 1))


def test_a_unit_that_sees_only_the_border(pictures):
    """Two borders around each other: the outermost windows touch no pixel at all."""
    net = nn.Sequential(nn.ZeroPad2d(6), nn.Conv2d(3, 1, 3)).double()
    images = pictures(1, 3, 8, 8)
    layer = layers(net, images)[-1]
    assert layer.box(0, 0) == ((0, 0), (0, 0))
    assert torch.equal(patch(images, layer, (0, 0), fill=0.5), torch.full((1, 3, 3, 3), 0.5).double())
    corner = patch(images, layer, (4, 4))
    assert torch.equal(corner[..., 2, 2], images[..., 0, 0]) and corner.count_nonzero() == 3


def test_what_cannot_be_cut_is_told(net, pictures):
    images = pictures(1, 3, 19, 24)
    layer, classes = layers(net, images)[2], layers(net, images)[-1]
    for position in ((10, 0), (0, 12), (0, -1)):
        with pytest.raises(ValueError, match=r"no unit at|whole number from 0"):
            patch(images, layer, position)
    with pytest.raises(ValueError, match=r"no unit at \(10, 0\) in layer '2', a grid of 10 × 11"):
        patch(images, layer, (10, 0))
    with pytest.raises(ValueError, match=r"layer '2' has a grid of 10 × 11: say which unit, as \(row, column\)"):
        patch(images, layer)
    with pytest.raises(ValueError, match=r"no unit at \(0, 1\) in layer '5', a grid of 1 × 1"):
        patch(images, classes, (0, 1))
    with pytest.raises(ValueError, match="told of images of 19 × 24, and these are of 20 × 24: give it these"):
        patch(pictures(1, 3, 20, 24), layer, (0, 0))
    with pytest.raises(ValueError, match=r"\(batch, channels, height, width\), not \(3, 19, 24\)"):
        patch(images[0], layer, (0, 0))
    gaps = nn.Sequential(nn.ConvTranspose2d(3, 1, 1, stride=2)).double()
    with pytest.raises(ValueError, match=r"the unit at \(0, 1\) of layer '0' sees nothing of the image"):
        patch(images, layers(gaps, images)[0], (0, 1))


def test_preprocessing_that_resizes_is_told_of(pictures, device):
    net = Network(
        nn.Sequential(nn.Conv2d(3, 1, 3)).double(), preprocess=lambda x: nn.functional.avg_pool2d(x, 2), device=device
    )
    images = pictures(1, 3, 12, 12)
    layer = layers(net, images)[0]
    with pytest.raises(ValueError, match="of 6 × 6, and these are of 12 × 12"):
        patch(images, layer, (0, 0))
    assert patch(net.enter(images), layer, (1, 1)).shape == (1, 3, 3, 3)
