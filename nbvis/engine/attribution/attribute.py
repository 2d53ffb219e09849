"""Attributions: signed maps of what drove a target, each classic method by one call form."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..network.images import Images, checked_images
from ..network.layer_names import OUTPUT, named
from ..network.network import Network, as_network
from ..network.pair import Pair
from ..network.snapshots import steadily
from .grid import last_with_space
from .method import Method, Place
from .methods import method_of
from .passes import Passes
from .targets import Target, is_distribution

_SATURATED = 1e-3
"""Below this p (1 - p), which a softmax's gradient is in proportion to, a map is mostly rounding and other classes."""


@dataclass(frozen=True)
class Attribution:
    """What drove a target.

    Attributes:
        map: signed, (batch, channels, height, width) of the images or the layer, or (batch, 1, height, width).
        target: the class of each image, (batch,), or the objective.
        score: of the target for each image, (batch,).
        notes: sentences about what to keep in mind when reading the map.
        method: its name.
        layer: where the map lives, or which layer the class activation map is of; None for the images themselves.
        by_size: whether a pixel counts by the size of its value, whose sign is the direction of the change.
    """

    map: Tensor
    target: Any
    score: Tensor
    notes: list[str]
    method: str
    layer: str | None
    by_size: bool = False


@torch.inference_mode(False)
@steadily
def attribute(
    network: Network | nn.Module,
    images: Images,
    target: Any = None,
    *,
    method: str | Method | Callable[..., Tensor] = "gradient",
    layer: str | None = None,
    progress: Callable[[int, int], object] | None = None,
    **options: Any,
) -> Attribution:
    """How much each part of the images drove the score of a target.

    A class is scored by the network's output for it. The ReLU rules of `guided_backprop` and `deconvnet` act on the
    tensor functions, so it does not matter how a ReLU is written. Beside ReLUs they know what is linear in the picture,
    and pass by the ordinary gradient pools, normalisations, gates and a last softmax or sigmoid, as well as the
    preprocessing and the objective; a network in which anything else acts on the picture is refused by name.

    The network may be trained meanwhile in another thread: all passes have its weights of one moment. If they change
    under way, all begins again on a copy of them; that holds for everything that answers a question about a network.

    Args:
        network: a `Network` or a bare module.
        images: (batch, channels, height, width), usually in [0, 1].
        target: a class (index or label), a list of them, None for the class predicted, or any `Objective`. A list has
            one for each image; with a single image it gives one map for each of its targets.
        method: "gradient", "input_x_gradient", "guided_backprop", "deconvnet", "integrated_gradients" (options `steps`,
            `baseline`, `chunk`), "smoothgrad" (`samples`, `noise`, `seed`, `chunk`), "grad_cam" (`relu`),
            "guided_grad_cam" or "occlusion" (`window`, `stride`, `baseline`, `chunk`); a chunk is the number of images
            that the network sees at once, by default as many as speed asks for, the same on every machine; where
            pictures would change each other's answers, they pass one by one, and the notes say so. Or a function of
            your own, (module, inputs, target) → a map shaped like the inputs, called for each image with a private
            copy of the module in eval mode, the preprocessed image, (1, channels, height, width) on the network's
            device, and the index of the class; it may change the copy.
        layer: for the CAMs the layer whose channels are added up, by default the last with rows and columns; for
            gradients the layer whose activations are explained instead of the images.
        progress: called with (done, total) after each chunk; what it raises ends the call.
        options: of the method.

    Returns:
        An `Attribution`; what is wrong with the map, or missing in it, stands in its `notes`.

    Raises:
        TypeError: if the method has no such option, or the target is nothing of the above.
        ValueError: if there is no such method, layer, class or label, if a layer has no rows and columns for a CAM, or
            if a ReLU rule does not apply to this network; the message says what would do.
        RuntimeError: if the network does not run on the images; its own error is attached.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 10))
        >>> found = attribute(net, torch.rand(2, 3, 8, 8), method="integrated_gradients", steps=20)
        >>> found.map.shape, found.score.shape
        (torch.Size([2, 3, 8, 8]), torch.Size([2]))
    """
    network, method = as_network(network), method_of(method)
    method.check(layer, options)
    if method.place is Place.GRID and network.pair not in (None, Pair.WIDTH):
        raise ValueError(
            f"{method.label} enlarges the rows and columns of one layer to the images, and of a pair that layer sees "
            "one picture at a time, or both at once: use gradient, guided_backprop, integrated_gradients or occlusion"
        )
    images = checked_images(images, bounded=False).detach().to(network.device, network.precision)
    count = Target.count(target)
    if len(images) == 1 and count is not None and count > 1:
        images = images.expand(count, -1, -1, -1)
    if layer is None and method.place is Place.GRID:
        layer = last_with_space(network, images)
    asked = Target(network, target, len(images))
    passes = Passes(network, images, asked, layer, progress, method.name, method.gradients)
    found = method.function(passes, **options)
    score, shown = found.score.detach(), found.map.detach()
    broken = ~torch.isfinite(score)
    if broken.any():
        shown = torch.where(broken.view(-1, *[1] * (shown.dim() - 1)), torch.nan, shown)
    notes = [*_notes_on_input(passes, score), *passes.notes, *found.notes, *_notes_on_map(passes, shown, score)]
    return Attribution(shown, asked.value(), score, notes, method.name, layer, method.by_size)


@torch.inference_mode(False)
def score(network: Network | nn.Module, images: Images, target: Any = None) -> Tensor:
    """The score of a target for each image: what an attribution would explain.

    Args:
        network: a `Network` or a bare module.
        images: (batch, channels, height, width).
        target: as for `attribute`.

    Returns:
        (batch,).

    Raises:
        TypeError, ValueError, RuntimeError: as `attribute` does.

    Example:
        >>> score(nn.Sequential(nn.Flatten(), nn.Linear(12, 5)), torch.rand(2, 3, 2, 2), 4).shape
        torch.Size([2])
    """
    network = as_network(network)
    images = checked_images(images, bounded=False).detach().to(network.device, network.precision)
    return Passes(network, images, Target(network, target, len(images)), gradients=False).scores(images)


def _notes_on_input(passes: Passes, score: Tensor) -> list[str]:
    low, high = (bound.item() for bound in passes.images.aminmax())
    notes = []
    if low < 0 or high > 1:
        expects = " The network's preprocessing expects [0, 1] and comes on top."
        again = "" if passes.network.preprocess is None else expects
        notes.append(f"The images go from {low:.4g} to {high:.4g}, outside [0, 1].{again}")
    objective = passes.target.objective
    if objective is not None and any(term.mask is not None for term in objective.terms):
        notes.append("The target's mask confines how a picture changes, not the score, so it plays no part here.")
    if passes.target.output is not None and is_distribution(passes.target.output):
        slope = (score * (1 - score)).min().item()
        if slope < _SATURATED:
            notes.append(
                "The network ends in a softmax that is saturated: the target's probability is "
                f"{score.max().item():.6g}, so its gradient nearly vanishes. Explain the layer before it instead."
            )
    return notes


def _notes_on_map(passes: Passes, found: Tensor, score: Tensor) -> list[str]:
    rows = found.flatten(1)
    notes = []
    broken = ~torch.isfinite(score)
    if broken.any():
        place = _first_not_finite(passes.network, passes.images[broken])
        notes.append(f"{_images(broken)}: the network gives NaN or infinite values{place}, so there is no map.")
    largest = rows.abs().amax(1)
    torn = ~torch.isfinite(largest) & ~broken
    if torn.any():
        notes.append(f"{_images(torn)}: the score is finite, but its gradient is NaN or infinite, so there is no map.")
    zero = largest == 0
    if zero.any():
        notes.append(
            f"{_images(zero)}: the map is zero everywhere. Nothing of the target's score comes back to it: every ReLU "
            "on the way is shut, or the score does not change with the image."
        )
    return notes


def _images(which: Tensor) -> str:
    numbers = which.nonzero().flatten().tolist()
    return f"Image {', '.join(map(str, numbers))}" if len(which) > 1 else "The image"


def _first_not_finite(network: Network, images: Tensor) -> str:
    """Where NaN enters, as " from layer … on"."""
    found: list[str] = []

    def hook(name: str) -> Callable[..., None]:
        def look(part: nn.Module, args: object, output: object) -> None:
            if not found and isinstance(output, Tensor) and not torch.isfinite(output).all():
                found.append(name)

        return look

    twin = network.twin()
    for name, part in named(twin).items():
        if name != OUTPUT:
            part.register_forward_hook(hook(name))
    with torch.no_grad():
        entered = network.enter(images)
        if not torch.isfinite(entered).all():
            return " already in its preprocessing"
        twin(entered)
    return f" from layer {found[0]!r} on" if found else ""
