"""Insertion and deletion curves against a slow twin that covers one cell after the other."""

from itertools import pairwise
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nbvis.engine import Network, attribute, blanked, channel, faithfulness


def slow(net: nn.Module, image: Tensor, plane: Tensor, blank: Tensor, cell: int, points: int, target: int):
    """One image, loops, no batches: the fractions and the two curves."""
    height, width = plane.shape
    cells = []
    for top in range(0, height, cell):
        for left in range(0, width, cell):
            part = plane[top : top + cell, left : left + cell]
            cells.append((-part.mean().item(), len(cells), top, left))
    cells.sort()
    fractions, inserted, deleted = [], [], []
    for point in range(points + 1):
        count = round(len(cells) * point / points)
        into, out = blank.clone(), image.clone()
        for _, _, top, left in cells[:count]:
            area = (..., slice(top, top + cell), slice(left, left + cell))
            into[area], out[area] = image[area], blank[area]
        fractions.append(count / len(cells))
        inserted.append(net(into).softmax(1)[0, target].item())
        deleted.append(net(out).softmax(1)[0, target].item())
    return fractions, inserted, deleted


def area(fractions: list[float], curve: list[float]) -> float:
    steps = zip(pairwise(fractions), pairwise(curve), strict=True)
    return sum((b - a) * (left + right) / 2 for (a, b), (left, right) in steps)


@pytest.mark.parametrize("cell, points", [(4, 6), (5, 3), (1, 7)])
@pytest.mark.parametrize("blank", ["mean", "blur", 0.25])
def test_curves_and_areas_are_those_of_the_slow_twin(convnet, pictures, house, cell, points, blank):
    net, images = convnet(), pictures(2, 3, 12, 18)
    with house(net):
        explained = attribute(net, images, [1, 4], method="occlusion", window=3)
        found = faithfulness(net, images, explained, cell=cell, points=points, blank=blank)
    empty = blanked(images, blank)
    for k, target in enumerate((1, 4)):
        fractions, inserted, deleted = slow(
            net, images[k : k + 1], explained.map[k, 0], empty[k : k + 1], cell, points, target
        )
        assert found.fractions.tolist() == pytest.approx(fractions)
        assert found.insertion["attribution"][k].tolist() == pytest.approx(inserted, rel=1e-6)
        assert found.deletion["attribution"][k].tolist() == pytest.approx(deleted, rel=1e-6)
        assert found.insertion_area["attribution"][k].item() == pytest.approx(area(fractions, inserted), rel=1e-6)
        assert found.deletion_area["attribution"][k].item() == pytest.approx(area(fractions, deleted), rel=1e-6)


def test_the_references_are_there_and_are_what_they_are_called(convnet, pictures):
    net, images = convnet(), pictures(1, 3, 12, 18)
    images[..., 9:] += 0.15  # one vertical edge
    rows, columns = torch.meshgrid(torch.arange(12) - 5.5, torch.arange(18) - 8.5, indexing="ij")
    centre = -(rows**2 + columns**2)
    grey = F.pad(images.mean(1, keepdim=True), (1, 1, 1, 1), mode="replicate")[0, 0]
    across = grey[:, 2:] - grey[:, :-2]
    across = across[:-2] + 2 * across[1:-1] + across[2:]
    down = grey[2:] - grey[:-2]
    down = down[:, :-2] + 2 * down[:, 1:-1] + down[:, 2:]
    edge = (across**2 + down**2).sqrt()
    for cell in (3, 1):
        first = faithfulness(net, images, images, cell=cell, points=5)
        assert list(first.insertion) == list(first.deletion_area) == ["attribution", "random", "centre", "edge"]
        for name, plane in (("centre", centre), ("edge", edge)):
            again = faithfulness(net, images, plane[None, None], cell=cell, points=5)
            assert torch.allclose(again.insertion["attribution"], first.insertion[name])
    other = faithfulness(net, images, images, cell=3, points=5, seed=1)
    assert not torch.equal(other.insertion["random"], first.insertion["random"])
    same = faithfulness(net, images, images, cell=1, points=5)
    assert all(torch.equal(same.deletion[name], first.deletion[name]) for name in first.deletion)


def test_every_curve_goes_from_the_image_to_the_blank(convnet, pictures):
    net, images = convnet(), pictures(3, 3, 12, 12)
    found = faithfulness(net, images, attribute(net, images, 2), cell=4)
    whole = net(images).softmax(1)[:, 2].detach()
    empty = net(blanked(images, "blur")).softmax(1)[:, 2].detach()
    for name in found.insertion:
        up, down = found.insertion[name], found.deletion[name]
        assert torch.allclose(up[:, 0], empty) and torch.allclose(down[:, 0], whole)
        assert torch.allclose(up[:, -1], whole) and torch.allclose(down[:, -1], empty)


def test_the_right_map_beats_the_references():
    """A network that looks at one corner only, and a map that says so."""
    net: Any = nn.Sequential(nn.Conv2d(1, 2, 16), nn.Flatten()).double()
    with torch.no_grad():
        net[0].weight.zero_()
        net[0].weight[1, 0, :4, :4] = 1
    image = torch.rand(1, 1, 16, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    right = torch.zeros(1, 1, 16, 16)
    right[..., :4, :4] = 1
    found = faithfulness(net, image, right, target=1, cell=4, blank=0.0)
    for name in ("random", "centre", "edge"):
        assert found.insertion_area["attribution"] > found.insertion_area[name]
        assert found.deletion_area["attribution"] < found.deletion_area[name]
    assert found.notes == []
    wrong = faithfulness(net, image, -right, target=1, cell=4, blank=0.0)
    assert len(wrong.notes) == 2 and "does no better than the" in wrong.notes[0]
    assert "no order" in faithfulness(net, image, 0 * right, target=1, cell=4, blank=0.0).notes[0]


def test_gradients_are_ranked_by_size_and_the_rest_by_value(convnet, pictures):
    net, images = convnet(), pictures(1, 3, 12, 12)
    slope, product = attribute(net, images, 1), attribute(net, images, 1, method="input_x_gradient")
    options: dict[str, Any] = {"target": 1, "cell": 3, "points": 4}
    for found, absolute in ((slope, True), (product, False)):
        expected = faithfulness(net, images, found.map.abs() if absolute else found.map, **options)
        chosen = faithfulness(net, images, found, cell=3, points=4)
        assert torch.equal(chosen.insertion["attribution"], expected.insertion["attribution"])
        turned = faithfulness(net, images, found, cell=3, points=4, absolute=not absolute)
        assert not torch.equal(turned.insertion["attribution"], expected.insertion["attribution"])


def test_an_objective_is_scored_as_it_is_and_probabilities_are_not_squashed_twice(convnet, pictures):
    net, images = convnet(), pictures(2, 3, 12, 12)
    found = faithfulness(net, images, attribute(net, images, channel("3", 2)), cell=6, points=2)
    assert torch.allclose(found.deletion["edge"][:, 0], net[:4](images)[:, 2].mean((1, 2)).detach())
    soft = nn.Sequential(net, nn.Softmax(1)).eval()
    ours, theirs = (faithfulness(n, images, images, target=1, cell=6, points=2) for n in (net, soft))
    assert torch.allclose(ours.insertion["attribution"], theirs.insertion["attribution"])


def test_the_result_does_not_depend_on_the_chunk_and_progress_is_told(device, convnet, pictures):
    net, images = convnet(), pictures(3, 3, 12, 12)
    network, heard = Network(net, device=device), []
    whole = faithfulness(network, images, images, cell=4, points=3)
    for chunk in (1, 5):
        parts = faithfulness(
            network, images, images, cell=4, points=3, chunk=chunk, progress=lambda *done: heard.append(done)
        )
        for name in whole.insertion:
            assert torch.allclose(parts.insertion[name], whole.insertion[name])
    assert heard[-1] == (3 * 4 * 4 * 2, 3 * 4 * 4 * 2)


def test_references_measured_once_serve_other_maps(convnet, pictures):
    net, images, heard = convnet(), pictures(2, 3, 12, 12), []
    first = faithfulness(net, images, images, target=1, cell=4, points=3)
    alone = faithfulness(net, images, -images, target=1, cell=4, points=3)
    shared = faithfulness(
        net, images, -images, target=1, cell=4, points=3, references=first, progress=lambda *done: heard.append(done)
    )
    assert heard[-1] == (2 * 4 * 2, 2 * 4 * 2)
    assert list(shared.insertion) == list(alone.insertion) == list(shared.deletion_area)
    for name, curve in alone.insertion.items():
        torch.testing.assert_close(shared.insertion[name], curve)
        torch.testing.assert_close(shared.deletion[name], alone.deletion[name])
        torch.testing.assert_close(shared.insertion_area[name], alone.insertion_area[name])
    assert shared.notes == alone.notes != []
    with pytest.raises(ValueError, match=r"references of \(2, 4\) scores do not fit 2 images and 6 points"):
        faithfulness(net, images, images, target=1, cell=4, points=5, references=first)


def test_what_does_not_fit(convnet, pictures):
    net, images = convnet(), pictures(2, 3, 12, 12)
    with pytest.raises(ValueError, match=r"a map of shape \(2, 6, 12, 11\) does not fit images of shape"):
        faithfulness(net, images, torch.zeros(2, 6, 12, 11))
    with pytest.raises(ValueError, match="a map of shape"):
        faithfulness(net, images, attribute(net, images, layer="3"))
    with pytest.raises(ValueError, match="holds NaN"):
        faithfulness(net, images, images * float("nan"))
    with pytest.raises(ValueError, match="a blank is 'blur', 'mean'"):
        faithfulness(net, images, images, blank="black")
    with pytest.raises(ValueError, match="the blank does not fit"):
        faithfulness(net, images, images, blank=torch.zeros(5))
    with pytest.raises(ValueError, match="cell is a whole number from 1 up"):
        faithfulness(net, images, images, cell=0)
    with pytest.raises(ValueError, match="no class 9: the network has 5 classes"):
        faithfulness(net, images, images, target=9)
