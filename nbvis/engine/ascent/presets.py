"""Presets: published recipes, as arguments of `ascend`."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..network.images import Images, checked_images
from .image_parameters import centered
from .learning_rates import progress
from .regularisers import blur, decay, small_contribution, small_norm

# They were published for pixels y from 0 to 255, and ours are x = y / 255. So a gradient in x is 255 times that in y,
# and a step r × gradient, divided by 255, is r / 255² × the gradient in x. What the score is to gain with a step has no
# unit of pixels, nor have shares, percentiles and widths of a blur.
_RATE = 1 / 255**2

# The published runs look at the picture once more after their last update, which counted as a step of theirs.
_PLAIN = {"optimizer": "sgd", "transforms": (), "residual": 1.0}

PRESETS: dict[str, dict[str, Any]] = {
    "yosinski 1": _PLAIN
    | {
        "steps": 499,
        "lr": progress(2.0, most=100 * _RATE),
        "regularisers": (blur(0.5, every=4), small_norm(50)),
    },
    "yosinski 2": _PLAIN
    | {
        "steps": 749,
        "lr": 100 * _RATE,
        "regularisers": (decay(0.3), small_norm(20)),
    },
    "yosinski 3": _PLAIN
    | {
        "steps": 999,
        "lr": 100 * _RATE,
        "regularisers": (decay(1e-4), blur(1.0, every=4)),
    },
    "yosinski 4": _PLAIN
    | {
        "steps": 999,
        "lr": progress(2.0, most=1e8 * _RATE),
        "regularisers": (blur(0.5, every=4), small_contribution(90)),
    },
}
"""Recipes by name: `ascend(network, objective, Pixels.noise(height, width), **PRESETS["yosinski 3"])`.

The four of Yosinski et al. 2015 (arXiv 1506.06579, table 1, in its order), found there among 300 random ones; most of
the paper's figures are by the third. They start from noise around the mean of the training pictures, which is the
`center` that `Pixels.noise` takes, and are meant for a class's score or a single unit. Rates and gains are for scores
as large as those of the paper's network, which gave a class up to about 70. What they find is faint, and the paper
shows it `stretched`."""


def stretched(images: Images, *, center: float | Sequence[float] = 0.5) -> Tensor:
    """Faint images at full contrast: 0.5 + (image − centre) / (2 × the largest |image − centre| of the image).

    Args:
        images: (batch, channels, height, width) in [0, 1], or anything else that `as_images` takes.
        center: what becomes mid-grey, one number or one for each channel, as for `Pixels`.

    Returns:
        Like the images, in [0, 1].

    Raises:
        TypeError: if they are nothing of that.
        ValueError: if the images have another shape, leave [0, 1] or hold NaN, or the centre does not fit them.

    Source: Yosinski et al. 2015, as the Deep Visualization Toolbox saves its pictures.

    Example:
        >>> stretched(torch.tensor([[[[0.5, 0.52, 0.49]]]]))
        tensor([[[[0.5000, 1.0000, 0.2500]]]])
    """
    images = checked_images(images).detach()
    away = images - centered(center, images.shape[1]).to(images)
    most = away.abs().flatten(1).amax(1).view(-1, 1, 1, 1)
    return 0.5 + away / torch.where(most > 0, 2 * most, 1)
