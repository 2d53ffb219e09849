"""The image that a widget is given, whatever it comes in."""

from typing import NamedTuple

import traitlets as t
from torch import Tensor

from nbvis.engine.images import Images, checked_images


class Given(NamedTuple):
    """One image.

    Attributes:
        image: (1, channels, height, width).
        source: Python that makes it from `image`, what was given.
    """

    image: Tensor
    source: str


class GivenImage(t.Any):
    """An image that can be set to whatever one comes in; None too is for the widget to take or to refuse."""

    allow_none = False


def given_image(given: Images, widget: str, *, bounded: bool = True) -> Given:
    """The image as a batch of one.

    Args:
        given: what `as_images` takes, or a tensor (channels, height, width).
        widget: the name of the one that takes it, for errors.
        bounded: whether it has to lie in [0, 1].

    Raises:
        TypeError: if it is nothing of that.
        ValueError: if it has another shape, holds several images, or does not lie in [0, 1].
        FileNotFoundError: if it is a path where there is no file.
    """
    source = "image" if isinstance(given, Tensor) else "as_images(image)"
    if isinstance(given, Tensor) and given.dim() == 3:
        given, source = given[None], "image[None]"
    image = checked_images(given, name="image", bounded=bounded).detach()
    if len(image) != 1:
        raise ValueError(f"a {widget} takes one image, not {len(image)}: give image[:1]")
    return Given(image, source)
