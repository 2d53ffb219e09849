"""Faithfulness: whether the score follows a map, measured by covering and uncovering the image in its order."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..arguments import whole
from ..attribution.attribute import Attribution
from ..attribution.passes import Passes
from ..attribution.targets import Target
from ..network.images import Images, checked_images
from ..network.network import Network, as_network
from ..network.snapshots import steadily

REFERENCES = ("random", "centre", "edge")
"""The maps that any attribution has to beat: chance, nearness to the middle, and the image's own edges."""


@dataclass(frozen=True)
class Faithfulness:
    """Insertion and deletion curves of a map and of the reference maps.

    Attributes:
        fractions: of the image inserted or deleted, (points + 1,), 0 to 1.
        insertion: by map ("attribution", "random", "centre", "edge"), the score at each fraction, (batch, points + 1).
        deletion: the same for deletion.
        insertion_area: by map, the mean height of the curve, (batch,); higher is better.
        deletion_area: the same for deletion; lower is better.
        notes: sentences to read with it.
    """

    fractions: Tensor
    insertion: dict[str, Tensor]
    deletion: dict[str, Tensor]
    insertion_area: dict[str, Tensor]
    deletion_area: dict[str, Tensor]
    notes: list[str]


@torch.inference_mode(False)
@steadily
def faithfulness(
    network: Network | nn.Module,
    images: Images,
    attribution: Attribution | Tensor,
    *,
    target: Any = None,
    cell: int = 16,
    points: int = 20,
    blank: str | float | Tensor = "blur",
    absolute: bool | None = None,
    seed: int = 0,
    references: Faithfulness | None = None,
    chunk: int | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> Faithfulness:
    """How the target's score rises as the image is uncovered in the order of a map, and falls as it is covered.

    The image is cut into square cells, ranked by the map's mean in each. Insertion starts from the blank and puts the
    image back, highest cells first; deletion starts from the image. A class is scored by its probability. Random,
    centre and edge maps run along, because a curve says nothing alone.

    Args:
        network: a `Network` or a bare module.
        images: those that were explained, (batch, channels, height, width).
        attribution: an `Attribution`, or a map (batch, channels or 1, height, width).
        target: as for `attribute`; None for the attribution's own, or for a bare map the class predicted.
        cell: side of a cell in pixels; 1 ranks single pixels.
        points: steps of each curve.
        blank: "blur" (a Gaussian of a tenth of the shorter side), "mean" (each image's mean colour), a number or a
            tensor.
        absolute: whether to rank by the map's size rather than its value; None to follow the method, `by_size` of
            the attribution: by value for a bare map.
        seed: of the random map.
        references: what was measured for another map of the same images, target and options, which then need not be
            measured again.
        chunk: images that the network sees at once; None to choose.
        progress: called with (done, total) after each chunk; what it raises ends the call.

    Raises:
        ValueError: if the map does not have the images' size or holds NaN, or an option or the references do not fit.

    Source: Petsiuk, Das and Saenko 2018, "RISE", arXiv 1806.07421, section 4.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(8 * 36, 10))
        >>> found = faithfulness(net, torch.rand(1, 3, 8, 8), torch.rand(1, 1, 8, 8), cell=2)
        >>> sorted(found.insertion_area), found.fractions.shape
        (['attribution', 'centre', 'edge', 'random'], torch.Size([21]))
    """
    network = as_network(network)
    images = checked_images(images, bounded=False).detach().to(network.device, network.precision)
    cell, points = whole(cell, "cell", 1), whole(points, "points", 1)
    plane, own_target = _plane(attribution, images, absolute)
    asked = Target(network, own_target if target is None else target, len(images))
    passes = Passes(network, images, asked, progress=progress, gradients=False)
    maps = {"attribution": plane}
    if references is None:
        maps |= _references(images, cell, seed)
    elif references.insertion["random"].shape != (len(images), points + 1):
        raise ValueError(
            f"references of {tuple(references.insertion['random'].shape)} scores do not fit "
            f"{len(images)} images and {points + 1} points"
        )
    fractions, curves = _curves(passes, torch.stack([*maps.values()]), cell, points, blanked(images, blank), chunk)
    deletion, insertion = ({name: curves[:, k, :, way] for k, name in enumerate(maps)} for way in range(2))
    if references is not None:
        insertion = {**references.insertion, **insertion}
        deletion = {**references.deletion, **deletion}
    areas = [{name: torch.trapezoid(c, fractions) for name, c in each.items()} for each in (insertion, deletion)]
    return Faithfulness(fractions, insertion, deletion, areas[0], areas[1], [*passes.notes, *_notes(plane, *areas)])


def _curves(
    passes: Passes, planes: Tensor, cell: int, points: int, empty: Tensor, chunk: int | None
) -> tuple[Tensor, Tensor]:
    """The scores as the images are covered and uncovered in the order of each map.

    Args:
        passes: the network and the images.
        planes: the maps, (maps, batch, 1, height, width).
        cell: side of a cell in pixels.
        points: steps of each curve.
        empty: the images with everything taken out of them.
        chunk: images that the network sees at once; None to choose.

    Returns:
        Fractions (points + 1,), and scores (batch, maps, points + 1, 2): of deletion, then of insertion.
    """
    images = passes.images
    ranks = torch.stack([_ranks(each, cell, (images.shape[2], images.shape[3])) for each in planes])
    number = int(ranks.max()) + 1
    counts = torch.linspace(0, number, points + 1).round()

    def shown(rows: Tensor, samples: Tensor) -> Tensor:
        which, point, inserted = samples // (2 * points + 2), samples // 2 % (points + 1), samples % 2 == 1
        taken = ranks[which, rows] < counts.to(images.device)[point].view(-1, 1, 1, 1)
        return torch.where(taken == inserted.view(-1, 1, 1, 1), images[rows], empty[rows])

    # Settled on the whole batch first, since a chunk shows only some of the images, and blanks at that.
    passes.scores(images)
    curves = images.new_zeros(len(images), len(planes) * (points + 1) * 2)
    for row, sample, value in passes.sampled(shown, curves.shape[1], chunk, passes.target.chances):
        curves[row, sample] = value
    return (counts / number).to(images), curves.view(len(images), len(planes), points + 1, 2)


def blanked(images: Tensor, blank: str | float | Tensor) -> Tensor:
    """The images with everything taken out of them.

    Args:
        images: (batch, channels, height, width).
        blank: as for `faithfulness`.

    Raises:
        ValueError: if there is no such blank.
    """
    if isinstance(blank, str):
        if blank == "mean":
            return images.mean((2, 3), keepdim=True).expand_as(images)
        if blank == "blur":
            return _blurred(images, min(images.shape[2:]) / 10)
        raise ValueError(f"a blank is 'blur', 'mean', a number or a tensor, not {blank!r}")
    try:
        return torch.as_tensor(blank).detach().to(images).expand_as(images)
    except RuntimeError:
        raise ValueError(f"the blank does not fit images of shape {tuple(images.shape)}") from None


def _plane(attribution: Attribution | Tensor, images: Tensor, absolute: bool | None) -> tuple[Tensor, Any]:
    """The map as one number a pixel, (batch, 1, height, width), and its target."""
    found, target = attribution, None
    if isinstance(attribution, Attribution):
        found, target = attribution.map, attribution.target
        absolute = attribution.by_size if absolute is None else absolute
    assert isinstance(found, Tensor)
    found = found.detach().to(images)
    if found.dim() != 4 or found.shape[0] != len(images) or found.shape[2:] != images.shape[2:]:
        raise ValueError(f"a map of shape {tuple(found.shape)} does not fit images of shape {tuple(images.shape)}")
    if not torch.isfinite(found).all():
        raise ValueError("the map holds NaN or infinite values, so there is no order to follow")
    return (found.abs() if absolute else found).sum(1, keepdim=True), target


def _references(images: Tensor, cell: int, seed: int) -> dict[str, Tensor]:
    batch, _, height, width = images.shape
    # One draw for each cell: means of single pixels' draws would be as random, but hardly differ.
    drawn = torch.rand(-(-height // cell), -(-width // cell), generator=torch.Generator().manual_seed(seed))
    random = drawn.repeat_interleave(cell, 0).repeat_interleave(cell, 1)[:height, :width]
    rows, columns = torch.arange(height) - (height - 1) / 2, torch.arange(width) - (width - 1) / 2
    centre = -(rows[:, None] ** 2 + columns[None] ** 2)
    grey = F.pad(images.mean(1, keepdim=True), (1, 1, 1, 1), mode="replicate")
    sobel = images.new_tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]])
    edge = F.conv2d(grey, torch.stack([sobel, sobel.T])[:, None]).norm(dim=1, keepdim=True)
    same = {"random": random, "centre": centre}
    return {**{name: each.to(images).expand(batch, 1, -1, -1) for name, each in same.items()}, "edge": edge}


def _ranks(plane: Tensor, cell: int, size: tuple[int, int]) -> Tensor:
    """For each pixel the rank of its cell, 0 for the highest mean, (batch, 1, height, width)."""
    means = F.avg_pool2d(plane, cell, ceil_mode=True) if cell > 1 else plane
    order = means.flatten(1).argsort(dim=1, descending=True, stable=True)
    ranks = order.argsort(dim=1).view_as(means)
    return ranks.repeat_interleave(cell, 2).repeat_interleave(cell, 3)[..., : size[0], : size[1]]


def _blurred(images: Tensor, sigma: float) -> Tensor:
    for dim in (2, 3):
        length = images.shape[dim]
        places = torch.arange(length, device=images.device, dtype=images.dtype)
        # Weights that add up to one inside the image need no border, however wide the Gaussian.
        weights = torch.exp(-((places[:, None] - places[None]) ** 2) / (2 * sigma**2))
        weights = weights / weights.sum(1, keepdim=True)
        images = torch.einsum("bchw,vw->bchv" if dim == 3 else "bchw,vh->bcvw", images, weights)
    return images


def _notes(plane: Tensor, insertion: dict[str, Tensor], deletion: dict[str, Tensor]) -> list[str]:
    notes = []
    if not plane.flatten(1).any(1).all():
        notes.append("A map that is zero everywhere has no order: its cells are taken row by row.")
    for name, areas, sign in (("insertion", insertion, 1), ("deletion", deletion, -1)):
        means = {which: area.mean().item() for which, area in areas.items()}
        own = means.pop("attribution")
        best = max(means, key=lambda which: sign * means[which])
        if sign * own <= sign * means[best]:
            notes.append(f"By {name} the map ({own:.3f}) does no better than the {best} map ({means[best]:.3f}).")
    return notes
