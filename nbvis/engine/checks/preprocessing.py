"""The preprocessing of a network, checked: what it really sees, and whether something else would fit it better."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from ..attribution.targets import is_distribution
from ..network.images import Images, checked_images
from ..network.network import Network, as_network
from ..network.pass_errors import explained
from ..network.random_state import unchanged_chance
from ..network.snapshots import steadily

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""ImageNet's, as torchvision's weights expect them."""

_NORMS = 5
"""Batch norms that are looked at, from the image on: deeper ones tell more about the subject than about its range."""

_RANGE, _ORDER = 1.3, 1.09
"""How many times better another range, and another order of the channels, has to fit before it is worth a warning.

With the right preprocessing, no photograph of `nbvis.demo` reaches 1.26 and 1.07 on the embedded network. A network's
certainty would not do: without batch norm it grows with the range, and with it, it is anybody's guess.
"""

Way = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Reading:
    """What a network makes of the images by one preprocessing.

    Attributes:
        name: of the preprocessing.
        low: the smallest value that enters the module.
        high: the largest.
        target: the class predicted for the first image; None if the output has no classes.
        label: its name, "class 3" if the network has no labels; "" if the output has no classes.
        probability: of that class, in [0, 1]; None if the output has no classes.
        misfit: how far the images are from what the network was trained on, from 0 up; None if nothing tells.
    """

    name: str
    low: float
    high: float
    target: int | None
    label: str
    probability: float | None
    misfit: float | None


@dataclass(frozen=True)
class PreprocessingCheck(Reading):
    """What a network makes of the images by its own preprocessing, and by others.

    Attributes:
        candidates: the reading by each other preprocessing that applies to these images.
        warning: a sentence if one of them fits much better, else "".
        notes: sentences about what could not be compared.
    """

    candidates: list[Reading]
    warning: str
    notes: list[str]


@torch.inference_mode(False)
@steadily
def preprocessing_check(network: Network | nn.Module, images: Images) -> PreprocessingCheck:
    """What range of values a network really sees, and whether another preprocessing fits it much better.

    Compared are none, ImageNet's mean and spread, [-1, 1] and [0, 255], each also with reversed channels; where the
    images leave [0, 1], also what they are once brought back. The misfit of each is read off the network's first batch
    norms, which remember their training: the Kullback-Leibler divergence between a channel's Gaussian on an image and
    in training, as its mean over the channels and its geometric mean over images and batch norms. Without batch norm
    nothing tells, and the notes say so.

    Args:
        network: a `Network` or a bare module.
        images: (batch, channels, height, width) as the network is given them, usually in [0, 1].

    Returns:
        A `PreprocessingCheck`.

    Raises:
        TypeError: if the images are not a floating tensor.
        ValueError: if they have another shape or hold NaN.
        RuntimeError: if the network does not run on them; its own error is attached.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        >>> network = Network(net, preprocess=lambda images: 2 * images - 1, device="cpu")
        >>> check = preprocessing_check(network, torch.linspace(0, 1, 3 * 64).view(1, 3, 8, 8))
        >>> check.low, check.high, [reading.name for reading in check.candidates][:2]
        (-1.0, 1.0, ['its own, channels reversed', 'none'])
    """
    network = as_network(network)
    images = checked_images(images, bounded=False).detach().to(network.device, network.precision)
    judge, notes = _Judge(network), []
    with torch.no_grad(), unchanged_chance():
        candidates = _candidates(network, images, notes)
        readings = {way: judge.read(entered, images, _name(*way)) for way, entered in candidates.items()}
    own, *others = readings.values()
    if own.target is None:
        notes.append(f"The network's output has shape {judge.shape}, so there are no classes to predict.")
    if own.misfit is None:
        notes.append("The network has no batch norm that was trained, so nothing tells which preprocessing fits it.")
    return PreprocessingCheck(**vars(own), candidates=others, warning=_warning(readings), notes=notes)


def _candidates(network: Network, images: Tensor, notes: list[str]) -> dict[tuple[str, bool], Tensor]:
    """What would enter the module, by (preprocessing, whether the channels are reversed); its own first, none twice."""
    ways: dict[str, tuple[Tensor, Way]] = {_OWN: (images, network.enter)}
    ranges, back = _ranges(images.shape[1]), _back(images)
    own = explained(network, images, lambda: network.enter(images))
    if own.shape != images.shape:
        notes.append(
            f"The network's preprocessing makes {tuple(own.shape)} of {tuple(images.shape)}, so no other range is "
            "compared."
        )
    elif back == "":
        ways |= {name: (images, way) for name, way in ranges.items()}
    else:
        ways["none"] = (images, ranges["none"])
        if back is None:
            notes.append("The images leave [0, 1] in a way that no common preprocessing does.")
        else:
            pixels = _BACK[back](images)
            ways |= {f"{back}, then {name}": (pixels, way) for name, way in {_OWN: network.enter, **ranges}.items()}
    found: dict[tuple[str, bool], Tensor] = {}
    for name, (start, way) in ways.items():
        for turned in (False, True) if images.shape[1] == 3 else (False,):
            given = start.flip(1) if turned else start
            entered = explained(network, images, lambda way=way, given=given: way(given)).to(own.dtype)
            if not any(entered.shape == other.shape and torch.allclose(entered, other) for other in found.values()):
                found[name, turned] = entered
    return found


def _ranges(channels: int) -> dict[str, Way]:
    ranges: dict[str, Way] = {"none": lambda x: x}
    if channels == 3:
        ranges["ImageNet's mean and spread"] = lambda x: (x - _three(x, _MEAN)) / _three(x, _STD)
    return ranges | {"[-1, 1]": lambda x: 2 * x - 1, "[0, 255]": lambda x: 255 * x}


_OWN = "its own"
_BACK: dict[str, Way] = {
    "divided by 255": lambda x: x / 255,
    "brought back from [-1, 1]": lambda x: (x + 1) / 2,
    "brought back from ImageNet's mean and spread": lambda x: x * _three(x, _STD) + _three(x, _MEAN),
}


def _three(images: Tensor, values: Sequence[float]) -> Tensor:
    return images.new_tensor(values).view(3, 1, 1)


def _back(images: Tensor) -> str | None:
    """How the images come back to [0, 1]: "" if they are there, None if nothing brings them back."""
    for name, way in {"": lambda x: x, **_BACK}.items():
        if images.shape[1] == 3 or "ImageNet" not in name:
            pixels = way(images)
            if pixels.min() > -1e-3 and pixels.max() < 1 + 1e-3:
                return name
    return None


def _name(preprocessing: str, turned: bool) -> str:
    return f"{preprocessing}, channels reversed" if turned else preprocessing


class _Judge:
    """A private twin whose first batch norms say how far what they are given is from what they were trained on."""

    def __init__(self, network: Network):
        self.network = network
        self.shape: tuple[int, ...] = ()
        self._twin = network.twin()
        self._gaps: list[Tensor] = []
        for part in self._twin.modules():
            mean, variance = part._buffers.get("running_mean"), part._buffers.get("running_var")
            # Zeros and ones are what they hold before any training.
            if mean is not None and variance is not None and (mean.any() or (variance != 1).any()):
                part.register_forward_pre_hook(partial(self._compare, mean, variance))

    def read(self, entered: Tensor, images: Tensor, name: str) -> Reading:
        self._gaps.clear()
        low, high = entered.min().item(), entered.max().item()
        output = explained(self.network, images, lambda: self._twin(entered.clone()))
        output = output.to(self.network.precision) if isinstance(output, Tensor) else output
        misfit = torch.stack(self._gaps).log().mean().exp().item() if self._gaps else None
        self.shape = tuple(output.shape) if isinstance(output, Tensor) else ()
        if len(self.shape) != 2 or self.shape[1] < 2:
            return Reading(name, low, high, None, "", None, misfit)
        chances = output if is_distribution(output) else output.softmax(1)
        probability, target = chances[0].max(0)
        labels, index = self.network.labels or [], int(target)
        label = labels[index] if index < len(labels) else f"class {index}"
        return Reading(name, low, high, index, label, probability.item(), misfit)

    def _compare(self, mean: Tensor, variance: Tensor, part: nn.Module, args: tuple[Tensor, ...]) -> None:
        values = args[0]
        if len(self._gaps) < _NORMS and values.dim() > 2:
            rows, mean, variance = values.flatten(2).float(), mean.float(), variance.float() + 1e-5
            share = (rows.var(2, correction=0) / variance).clamp(min=1e-8)
            gap = (share - 1 - share.log() + (rows.mean(2) - mean).square() / variance) / 2
            self._gaps.append(gap.mean(1).clamp(min=1e-8))


def _warning(readings: dict[tuple[str, bool], Reading]) -> str:
    def handicapped(way: tuple[str, bool]) -> float:
        misfit, (name, turned) = readings[way].misfit, way
        if misfit is None or misfit != misfit:
            return float("inf")
        return misfit * (1 if name == _OWN else _RANGE) * (_ORDER if turned else 1)

    own, least = readings[_OWN, False], min(map(handicapped, readings))
    if own.misfit is None or own.misfit <= least or least == float("inf"):
        return ""
    # Where several are as good, the first, which is the simplest.
    best = next(reading for way, reading in readings.items() if reading is not own and handicapped(way) <= 1.02 * least)
    assert best.misfit is not None
    return (
        f"Another preprocessing fits this network much better: {best.name}; what it sees is then "
        f"{own.misfit / best.misfit:.1f} times nearer to what its batch norms met in training{_then(own, best)}."
    )


def _then(own: Reading, best: Reading) -> str:
    """What it predicts then; empty without classes."""
    if own.probability is None or best.probability is None:
        return ""
    then, now = f"{best.probability:.2f}", f"{own.probability:.2f}"
    if own.target == best.target:
        return f", and it still predicts {own.label!r}" + ("" if then == now else f" ({then}, not {now})")
    return f", and it predicts {best.label!r} ({then}), not {own.label!r} ({now})"
