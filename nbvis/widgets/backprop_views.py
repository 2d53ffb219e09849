"""The back pane: the gradient of a channel in the views of the Deep Visualization Toolbox."""

from typing import NamedTuple

import numpy as np
from PIL import Image
from torch import Tensor

from .painting import Look, Painted, paint
from .tile_look import BROKEN, not_finite_note
from .views import VIEWS, histogram


class BackPicture(NamedTuple):
    """A gradient as a picture.

    Attributes:
        painted: the picture, or why there is none.
        view: the one that is shown.
        not_finite: how many values are NaN or infinite.
        notes: what whoever looks should read.
    """

    painted: Painted
    view: str
    not_finite: int
    notes: tuple[str, ...]


def back_picture(found: Tensor, image: Tensor, look: Look) -> BackPicture:
    """A gradient in one of the views, over the image if the look says so.

    The formulas are those of `views` and `painting`. What a view cannot show is said: colours of other than three
    channels give way to grey, and a pixel with a value that is NaN or infinite is magenta.

    Args:
        found: the gradient, (channels, height, width); a smaller one is enlarged.
        image: what it is the gradient at, (3, height, width) in [0, 1].
        look: how.

    Raises:
        ValueError: if the gradient or the image has another shape, or there is no such view.

    Example:
        >>> from nbvis.widgets.painting import Look
        >>> gradient = torch.tensor([[[-1.0, 0, 2]]]).expand(4, -1, -1)
        >>> shown = back_picture(gradient, torch.zeros(3, 1, 3), Look("raw"))
        >>> shown.view, shown.painted.image.convert("L").tobytes().hex()
        ('grey', '4080ff')
    """
    if found.ndim != 3 or image.ndim != 3 or len(image) != 3:
        shapes = f"{tuple(found.shape)} and {tuple(image.shape)}"
        raise ValueError(f"a gradient is (channels, height, width) and the image (3, height, width), not {shapes}")
    if look.view not in VIEWS:
        raise ValueError(f"there is no view {look.view!r}; there are {', '.join(VIEWS)}")
    notes = []
    if look.view == "raw" and len(found) not in (1, 3):
        look = look._replace(view="grey")
        notes.append(f"Raw shows three channels as colours, and here there are {len(found)}: this is their mean, grey.")
    values = found.detach().double().cpu()  # the length of a vector with 1e30 in it is beyond 32 bits
    broken = ~values.isfinite()
    count = int(broken.sum())
    if not 0 < count < broken.numel():
        painted = paint(values, image, look)
    elif look.view == "histogram":
        painted = paint(values[~broken][None, None], image, look)
        notes.append(f"{count:,} of {broken.numel():,} values are NaN or infinite: they are in no bin.")
    else:
        painted = _marked(paint(values.masked_fill(broken, 0), image, look), broken.any(0))
        notes.append(not_finite_note(count, broken.numel()))
    notes.append(look.note)
    return BackPicture(painted, look.view, count, tuple(note for note in notes if note))


def back_histogram(found: Tensor) -> tuple[list[int], list[float]]:
    """How many of a gradient's finite values fall into each of 50 bins, and the 51 edges; both empty without any.

    Example:
        >>> counts, edges = back_histogram(torch.tensor([0.0, 1, 1, float("nan")]))
        >>> counts[0], counts[-1], len(counts), edges[-1]
        (1, 2, 50, 1.0)
    """
    kept = found[found.isfinite()]
    return histogram(kept) if kept.numel() else ([], [])


def _marked(painted: Painted, broken: Tensor) -> Painted:
    """The picture with the pixels in magenta that are broken, (height, width)."""
    if painted.image is None:
        return painted
    image = painted.image.copy()
    mask = Image.fromarray(255 * broken.numpy().astype(np.uint8)).resize(image.size, Image.Resampling.NEAREST)
    image.paste(BROKEN, mask=mask)
    return painted._replace(source=image)
