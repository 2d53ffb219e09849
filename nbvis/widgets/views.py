"""What of a map is looked at: its views, from (channels, height, width) to one number a pixel, and their limits.

The last six are those of the Deep Visualization Toolbox (Yosinski et al. 2015, and its fork by Poznanski), with its
constants.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

BLUR = 4.0
"""Standard deviation in pixels of the Gaussian of `norm_blur`."""
SMOOTHING = 0.02
"""That of the Gaussian over a stretched view, in longer sides of the picture."""
WITHIN = 0.995
"""The part of the pixels that the colours of our own views tell apart: the few largest would dim all others."""
BINS = 50
"""Of the histogram."""

Limits = tuple[float, float]


class View(NamedTuple):
    """One way to look at a map.

    Attributes:
        label: on the panel.
        sentence: what it shows.
        caption: what its numbers are, where a map has several channels.
        plane: from the map (channels, height, width) to what is shown, (1, height, width), or three colours.
        scale: "signed", where zero stands in the middle, "from zero", or "stretched" from the least to the greatest.
    """

    label: str
    sentence: str
    caption: str
    plane: Callable[[Tensor], Tensor]
    scale: str


def _total(found: Tensor) -> Tensor:
    return found.sum(0, keepdim=True)


def _length(found: Tensor) -> Tensor:
    # PyTorch's own norm over a few channels takes sixty times as long.
    return found.double().square().sum(0, keepdim=True).sqrt().to(found.dtype)


VIEWS = {
    "signed": View(
        "Signed",
        "The sum over the channels; zero is the neutral colour.",
        "channel sum",
        _total,
        "signed",
    ),
    "absolute": View(
        "Absolute",
        "The largest size among the channels, whatever its sign.",
        "largest |channel|",
        lambda found: found.abs().amax(0, keepdim=True),
        "from zero",
    ),
    "positive": View(
        "Positive",
        "What speaks for the target: the sum over the channels where it is above zero.",
        "channel sum > 0",
        lambda found: _total(found).clamp(min=0),
        "from zero",
    ),
    "negative": View(
        "Negative",
        "What speaks against the target: the sum over the channels where it is below zero, as a size.",
        "channel sum < 0, as a size",
        lambda found: (-_total(found)).clamp(min=0),
        "from zero",
    ),
    "raw": View(
        "Raw",
        "The channels as red, green and blue; zero is grey.",
        "each channel",
        lambda found: found,
        "signed",
    ),
    "grey": View(
        "Grey",
        "The mean over the channels in greys; zero is the middle one.",
        "channel mean",
        lambda found: found.mean(0, keepdim=True),
        "signed",
    ),
    "norm": View(
        "Norm",
        "The length of the vector of channels, smoothed and stretched over all colours.",
        "length over channels",
        _length,
        "stretched",
    ),
    "norm_blur": View(
        "Norm, blurred",
        f"The same after a Gaussian of {BLUR:g} pixels.",
        "blurred length",
        lambda found: gaussian(_length(found), BLUR),
        "stretched",
    ),
    "sum_positive": View(
        "Sum > 0",
        "The positive part of the sum, smoothed and stretched over all colours.",
        "channel sum > 0",
        lambda found: _total(found).clamp(min=0),
        "stretched",
    ),
    "histogram": View(
        "Histogram",
        f"How often each value occurs, in {BINS} bins.",
        f"values in {BINS} bins",
        lambda found: found,
        "signed",
    ),
}
"""The views by name."""

OWN = ("signed", "absolute", "positive", "negative")
"""Those that are ours."""


def view_records() -> list[dict[str, Any]]:
    """{name, label, sentence, own} of each view."""
    return [{"name": k, "label": v.label, "sentence": v.sentence, "own": k in OWN} for k, v in VIEWS.items()]


def drawn(found: Tensor, view: str, size: tuple[int, int]) -> Tensor:
    """What a view paints of a map, enlarged to the picture's (height, width).

    A stretched view is enlarged smoothly and smoothed once more, as the toolbox does for its pane; the others keep the
    map's own cells.

    Args:
        found: (channels, height, width).
        view: any but "histogram".
        size: of the picture.
    """
    plane = VIEWS[view].plane(found)
    stretched = VIEWS[view].scale == "stretched"
    if plane.shape[1:] != size:
        plane = F.interpolate(plane[None], size=size, mode="bilinear" if stretched else "nearest-exact")[0]
    return gaussian(plane, SMOOTHING * max(size)) if stretched else plane


def limits(plane: Tensor, view: str) -> Limits:
    """The values between which a plane is coloured.

    The toolbox's views go to the last pixel; in ours the pixels beyond `WITHIN` of all have the colour of the end.
    """
    low, high = plane.min().item(), plane.max().item()
    if VIEWS[view].scale == "stretched":
        return low, high
    high = max(-low, high)
    if view in OWN:
        sizes = plane.abs().flatten()
        high = sizes.kthvalue(math.ceil(WITHIN * len(sizes)))[0].item() or high
    return (-high if VIEWS[view].scale == "signed" else 0.0), high


def share(plane: Tensor, between: Limits) -> Tensor:
    """Where the values lie between the limits, 0 to 1."""
    low, high = between
    if low == -high:
        return (0.5 + plane / (2 * high)).clamp(0, 1)  # exactly the middle for zero
    return ((plane - low) / (high - low)).clamp(0, 1) if high > low else torch.zeros_like(plane)


def strength(plane: Tensor, between: Limits) -> Tensor:
    """How much each pixel counts for an overlay, 0 to 1: its place between the limits, or its size if it has a sign."""
    return (plane.abs() / between[1]).clamp(0, 1) if between[0] == -between[1] else share(plane, between)


def blank(found: Tensor, view: str) -> str:
    """Why there is nothing to paint of a map, as a sentence; empty if there is something.

    Args:
        found: (channels, height, width).
        view: its name.
    """
    if not torch.isfinite(found).all():
        return "The map holds NaN or infinite values, so it cannot be shown."
    if not found.any():
        return "The map is zero everywhere, so there is nothing to show."
    if view == "raw" and len(found) not in (1, 3):
        return f"Raw shows three channels as colours, and this map has {len(found)}: look at the norm, or signed."
    if view == "histogram":
        return ""
    low, high = (value.item() for value in _total(found).aminmax())
    between = f"the map goes from {figure(low)} to {figure(high)}"
    if high <= 0 and view in ("positive", "sum_positive"):
        return f"Nothing speaks for the target: {between}."
    if low >= 0 and view == "negative":
        return f"Nothing speaks against the target: {between}."
    if high <= 0 and len(found) == 1 and view in ("absolute", "norm", "norm_blur"):
        return f"Everything here speaks against the target: {between}. Signed shows it, this view would hide the sign."
    plane = VIEWS[view].plane(found)
    if not plane.any():
        return "In this view the map is zero everywhere, since its channels cancel out: look at absolute."
    least, most = plane.min().item(), plane.max().item()
    if VIEWS[view].scale == "stretched" and most - least <= 1e-6 * most:  # what differs is rounding
        return f"In this view the map is {figure(most)} everywhere, so nothing stands out."
    return ""


def histogram(found: Tensor) -> tuple[list[int], list[float]]:
    """How often the values occur in each of the bins between the least and the greatest, and the bins' edges."""
    values = found.double().flatten()
    low, high = values.min().item(), values.max().item()
    if low == high:  # as numpy widens what has no width
        low, high = low - 0.5, high + 0.5
    counts = torch.histc(values, BINS, low, high)
    edges = torch.linspace(low, high, BINS + 1, dtype=torch.float64)
    return [int(count) for count in counts], edges.tolist()


def gaussian(planes: Tensor, sigma: float) -> Tensor:
    """Planes (…, height, width) after a Gaussian that ends at four standard deviations, the border mirrored."""
    for dim in (-2, -1):
        weights = _weights(planes.shape[dim], sigma).to(planes)
        planes = (planes.movedim(dim, -1) @ weights.T).movedim(-1, dim)
    return planes


def figure(value: float, digits: int = 3) -> str:
    """A number in so many significant digits, with a proper minus."""
    return f"{value:.{digits}g}".replace("-", "−")


def _weights(length: int, sigma: float) -> Tensor:
    """What each of a line's pixels (columns) gives to each of the blurred line's (rows)."""
    reach = int(4 * sigma + 0.5)
    steps = torch.arange(-reach, reach + 1)
    kernel = torch.exp(-(steps.double() ** 2) / (2 * sigma**2)) if sigma else torch.ones(1, dtype=torch.float64)
    place = torch.arange(length)[:, None] + steps
    # Mirrored at the middle of the border pixels, again and again where the line is shorter than the Gaussian.
    period = max(1, 2 * (length - 1))
    place = place % period
    place = torch.where(place < length, place, period - place)
    weights = torch.zeros(length, length, dtype=torch.float64)
    return weights.scatter_add_(1, place, (kernel / kernel.sum()).expand(length, -1))
