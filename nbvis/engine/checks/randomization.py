"""Sanity check: whether a map depends on what the network has learnt."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..arguments import whole
from ..attribution.attribute import attribute
from ..attribution.grid import last_with_space
from ..attribution.method import Method, Place
from ..attribution.methods import method_of
from ..network.images import Images, checked_images
from ..network.layer_names import named
from ..network.network import Network, as_network
from ..network.random_state import unchanged_chance
from ..network.snapshots import steadily
from ..network.twin import eager

UNCHANGED = 0.7
"""Mean rank correlation from which a map counts as unchanged: on the embedded network and its photographs, guided
backpropagation and deconvnet stay above 0.8, the gradient and Grad-CAM below 0.6."""


@dataclass(frozen=True)
class Stage:
    """The map after the weights from the top down to one layer were randomised.

    Attributes:
        layer: the lowest layer randomised.
        fraction: of all layers with weights that are randomised, 0 to 1.
        map: the attribution's map of the randomised network.
        correlation: Spearman's rank correlation of its size with the original's, (batch,), 0 where a map is constant.
        similarity: structural similarity (SSIM) of the two, (batch,).
    """

    layer: str
    fraction: float
    map: Tensor
    correlation: Tensor
    similarity: Tensor


@dataclass(frozen=True)
class RandomizationCheck:
    """How a map changes as a network forgets.

    Attributes:
        map: the original's.
        stages: from the top layer alone to all layers.
        passed: whether the map changes once the upper half of the layers is random.
        method: what its method is called.
        notes: sentences to read with it.
    """

    map: Tensor
    stages: list[Stage]
    passed: bool
    method: str
    notes: list[str]

    @property
    def verdict(self) -> str:
        """A sentence on whether it passed."""
        return self.verdict_on(self.method)

    def verdict_on(self, name: str) -> str:
        """The same sentence, for a method that is called otherwise."""
        if not _can_be_judged(self.map):
            return f"Not to be judged: the map of {name} is zero or not finite."
        correlation = f"(rank correlation {_typical(self.stages):.2f})"
        if self.passed:
            return f"Passed: with the upper half of the layers random, the map of {name} is another one {correlation}."
        return (
            f"Failed: with the upper half of the layers random, {name} still draws the same map {correlation}. It "
            "shows the image more than what the network has learnt."
        )


@torch.inference_mode(False)
@steadily
def randomization_check(
    network: Network | nn.Module,
    images: Images,
    method: str | Method | Callable[..., Tensor],
    *,
    target: Any = None,
    layer: str | None = None,
    stages: int = 8,
    seed: int = 0,
    progress: Callable[[int, int], object] | None = None,
    **options: Any,
) -> RandomizationCheck:
    """Whether a method's map changes when the network's weights are randomised, from the top layer down.

    Each weight tensor is shuffled, on a copy, so that it keeps its values and loses what it learnt. Maps are compared
    by their size, added up over channels. A map that stays the same while the upper half of the network is random shows
    the image, not the network.

    Args:
        network: a trained `Network` or bare module.
        images: (batch, channels, height, width).
        method: as for `attribute`; a function of your own gets a randomised copy each time.
        target: as for `attribute`; None for the class that the network predicts before.
        layer: as for `attribute`.
        stages: how many, the first with the top layer alone and the last with all layers random.
        seed: of the shuffles.
        progress: called with (done, total) after each stage; what it raises ends the call.
        options: of the method.

    Raises:
        ValueError: as `attribute` does, or if the network has no weights.

    Source: Adebayo et al. 2018, "Sanity checks for saliency maps", arXiv 1810.03292, section 4.1; weights are shuffled.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 10))
        >>> check = randomization_check(net, torch.rand(1, 3, 8, 8), "gradient")
        >>> [stage.layer for stage in check.stages]
        ['3', '0']
    """
    network, method = as_network(network), method_of(method)
    images = checked_images(images, bounded=False).detach().to(network.device, network.precision)
    if layer is None and method.place is Place.GRID:
        layer = last_with_space(network, images)
    original = attribute(network, images, target, method=method, layer=layer, **options)
    images = images.expand(len(original.map), -1, -1, -1)
    places = _from_the_top(network, images)
    counts = torch.linspace(1, len(places), min(whole(stages, "stages", 1), len(places))).round().int().tolist()
    before, found = _sizes(original.map), []
    for count in counts:
        copy = _randomised(network, places[:count], seed)
        shown = attribute(copy, images, original.target, method=method, layer=layer, **options).map
        after = _sizes(shown)
        correlation, similarity = rank_correlation(before, after), structural_similarity(before, after)
        found.append(Stage(places[count - 1], count / len(places), shown, correlation, similarity))
        if progress is not None:
            progress(len(found), len(counts))
    passed = _can_be_judged(original.map) and _typical(found) < UNCHANGED
    return RandomizationCheck(original.map, found, passed, method.name, list(original.notes))


def rank_correlation(first: Tensor, second: Tensor) -> Tensor:
    """Spearman's correlation of each row of two batches, (batch,); 0 where one is constant."""
    ranks = [_ranks(each.flatten(1)) for each in (first, second)]
    ranks = [each - each.mean(1, keepdim=True) for each in ranks]
    size = ranks[0].norm(dim=1) * ranks[1].norm(dim=1)
    return torch.where(size > 0, (ranks[0] * ranks[1]).sum(1) / size.clamp(min=1e-30), 0.0)


def structural_similarity(first: Tensor, second: Tensor) -> Tensor:
    """SSIM of two batches (batch, height, width) in [0, 1], (batch,).

    A Gaussian window of standard deviation 1.5 and 11 pixels, K1 = 0.01, K2 = 0.03, the mean over places where the
    window fits. Source: Wang et al. 2004, "Image quality assessment".
    """
    radius = min(5, (min(first.shape[1:]) - 1) // 2)
    places = torch.arange(-radius, radius + 1, device=first.device, dtype=first.dtype)
    line = torch.exp(-(places**2) / (2 * 1.5**2))
    line = line / line.sum()
    window = (line[:, None] * line[None])[None, None]
    x, y = first[:, None], second[:, None]
    mean_x, mean_y, xx, yy, xy = (F.conv2d(each, window) for each in (x, y, x * x, y * y, x * y))
    var_x, var_y, cov = xx - mean_x**2, yy - mean_y**2, xy - mean_x * mean_y
    c1, c2 = 0.01**2, 0.03**2
    ratio = (2 * mean_x * mean_y + c1) * (2 * cov + c2) / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))
    return ratio.mean((1, 2, 3))


def _from_the_top(network: Network, images: Tensor) -> list[str]:
    """The layers with weights of their own, the one called last first."""
    for name, part in named(eager(network.module)).items():
        if isinstance(part, torch.jit.ScriptModule):
            raise ValueError(f"the weights inside TorchScript ({name or 'the network itself'}) cannot be randomised")
    twin = network.twin()
    order: list[str] = []
    for name, part in named(twin).items():
        if any(weight is not None for weight in part._parameters.values()):
            part.register_forward_pre_hook(_once(name, order))
    with torch.no_grad(), unchanged_chance():
        twin(network.enter(images[:1]))
    if not order:
        raise ValueError(f"{network.name} has no layer with weights, so there is nothing to randomise")
    return order[::-1]


def _once(name: str, order: list[str]) -> Callable[..., None]:
    def note(part: nn.Module, args: object) -> None:
        if name not in order:
            order.append(name)

    return note


def _randomised(network: Network, places: list[str], seed: int) -> Network:
    """A copy whose weights at these places are shuffled; the original's storage is not written."""
    twin = network.twin()
    parts = named(twin)
    generator = torch.Generator().manual_seed(seed)
    for place in places:
        weights = parts[place]._parameters
        for key, weight in weights.items():
            if weight is not None:
                order = torch.randperm(weight.numel(), generator=generator).to(weight.device)
                weights[key] = nn.Parameter(weight.flatten()[order].view(weight.shape), requires_grad=False)
    return Network(twin, preprocess=network.preprocess, labels=network.labels, device=network.device, pair=network.pair)


def _sizes(found: Tensor) -> Tensor:
    """How much each place matters, as a picture in [0, 1], (batch, height, width)."""
    size = found.abs()
    size = size.sum(1) if size.dim() == 4 else size.flatten(1)[:, None]
    return size / size.amax((1, 2), keepdim=True).clamp(min=1e-30)


def _ranks(values: Tensor) -> Tensor:
    """Ranks from 0 in each row, equal values sharing the mean of theirs."""
    rows = []
    for row in values:
        _, inverse, counts = row.unique(return_inverse=True, return_counts=True)
        last = counts.cumsum(0).to(torch.float32 if row.device.type == "mps" else torch.float64)
        rows.append((last - (counts + 1) / 2)[inverse])
    return torch.stack(rows)


def _can_be_judged(original: Tensor) -> bool:
    return bool(original.any()) and bool(torch.isfinite(original).all())


def _typical(stages: list[Stage]) -> float:
    """The mean rank correlation while at most the upper half of the layers is random."""
    upper = [stage for stage in stages if stage.fraction <= 0.5] or stages[:1]
    return torch.stack([stage.correlation.mean() for stage in upper]).mean().item()
