"""Grey pictures: how to tell a visualisation that failed, since what an ascent finds is colourful."""

import torch
from torch import Tensor

from ..network.images import Images, checked_images

_BRIGHTNESS = (0.299, 0.587, 0.114)
"""What red, green and blue add to the brightness of a pixel (ITU-R BT.601), as in Pillow's grey pictures."""

_LEAST = 4 / 255
"""Grey score below which a picture is grey. So little colour is hard to see, and in pictures that ascents make it lies
between two kinds: the noise that they start from has 0.003 to 0.014, what they found 0.03 to 0.2."""


def grey_scores(images: Images) -> Tensor:
    """How far each image is from being grey: the root of the mean squared difference of its pixels to their brightness.

    It is the difference of red, green and blue to 0.299 red + 0.587 green + 0.114 blue. Unlike their sum, it
    does not grow with the number of pixels.

    Args:
        images: (batch, 3, height, width) in [0, 1], or anything else that `as_images` takes.

    Returns:
        (batch,), from 0, which is grey, to 1.

    Raises:
        TypeError: if they are nothing of that.
        ValueError: if the images have another shape, leave [0, 1] or hold NaN.

    Source: Chobanyan 2020, feature_vis, `find_bad_channels.py`, whose bytes overflow.

    Example:
        >>> grey_scores(torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1))
        tensor([0.4727])
    """
    images = checked_images(images).detach()
    if images.shape[1] != 3:
        raise ValueError(f"only what is red, green and blue can be grey; these images have {images.shape[1]} channels")
    brightness = torch.einsum("c,bchw->bhw", images.new_tensor(_BRIGHTNESS), images)
    return (images - brightness[:, None]).square().mean((1, 2, 3)).sqrt()


def is_grey(images: Images) -> Tensor:
    """Which images are grey, as visualisations are that failed: their grey score is below 4 / 255.

    A run fails so where the gradient says nothing, a learning rate is far too small or a regulariser too strong: the
    picture stays what it started from. A black-and-white photograph is grey too, and so is a picture that is only
    faint, as those of `PRESETS` are; a `Pixels` that starts from colourful noise is not.

    Args:
        images: as for `grey_scores`.

    Returns:
        (batch,) of True and False.

    Raises:
        TypeError: likewise.
        ValueError: likewise.

    Example:
        >>> is_grey(torch.cat([Fourier(32, 32).image(), torch.rand(1, 3, 32, 32)]))
        tensor([ True, False])
    """
    return grey_scores(images) < _LEAST


def grey_among(scores: Tensor, *, gap: float = 0.1) -> Tensor:
    """Which of many images are grey beside the others: those below the first gap between their grey scores.

    The scores are put in order; the gap is the first step from one to the next that is larger than `gap` times the
    largest of all. It takes some dozens of images, some of them good, to mean something.

    Args:
        scores: what `grey_scores` gives for all of them, (images,).
        gap: as a part of the largest score, from 0 to 1.

    Returns:
        (images,) of True and False; all False where there is no such gap.

    Raises:
        ValueError: if the scores are not one number an image, or the gap is out of range.

    Source: Chobanyan 2020, feature_vis, `find_bad_channels.py`, the change point.

    Example:
        >>> grey_among(torch.tensor([0.09, 0.01, 0.1, 0.012]))
        tensor([False,  True, False,  True])
    """
    if scores.dim() != 1 or not torch.isfinite(scores).all():
        raise ValueError(f"scores are one finite number an image, (images,), not of shape {tuple(scores.shape)}")
    if not 0 <= gap <= 1:
        raise ValueError(f"gap is a number from 0 to 1, not {gap!r}")
    ordered = scores.sort().values
    wide = (ordered.diff() > gap * ordered[-1:]).nonzero().flatten()
    return scores <= ordered[wide[0]] if len(wide) else torch.zeros_like(scores, dtype=torch.bool)
