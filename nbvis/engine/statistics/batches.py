"""Batches of a data set, and which of its images they hold."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..network.images import as_images


@dataclass(frozen=True)
class Batch:
    """Images that say which they are.

    Whoever shows the images of a data set out of order, or only a share of them, says so with these: an image that is
    shown twice is then counted once, and a run that was interrupted goes on with those that are missing.

    Attributes:
        images: (batch, channels, height, width) in [0, 1]; may be none, (0, …).
        indices: of each in the data set.
        unreadable: why an image could not be read, by its index.
    """

    images: Tensor
    indices: Sequence[int]
    unreadable: Mapping[int, str] = field(default_factory=dict)

    def __post_init__(self):
        """Checks the indices."""
        if len(self.indices) != len(self.images):
            raise ValueError(f"a Batch of {len(self.images)} images needs as many indices, not {len(self.indices)}")
        for index in (*self.indices, *self.unreadable):
            if isinstance(index, bool) or not hasattr(index, "__index__") or index < 0:
                raise ValueError(f"an index in the data set is a whole number from 0 up, not {index!r}")

    @classmethod
    def grouped(cls, found: Mapping[int, Tensor | str]) -> Iterator["Batch"]:
        """Batches of one size each.

        Args:
            found: by the index in the data set an image, (1, channels, height, width), or why it could not be read.
        """
        unread = {index: each for index, each in found.items() if isinstance(each, str)}
        sizes: dict[tuple[int, ...], dict[int, Tensor]] = {}
        for index, each in found.items():
            if isinstance(each, Tensor):
                sizes.setdefault(tuple(each.shape), {})[index] = each
        for own in sizes.values():
            yield cls(torch.cat(list(own.values())), list(own), unread)
            unread = {}
        if unread:
            yield cls(torch.empty(0, 3, 1, 1), [], unread)


def read(batches: Iterable[Any]) -> Iterator[Batch | Tensor]:
    """Each batch as a `Batch`, or as a tensor of images where it does not say which they are.

    Raises:
        TypeError, ValueError: for what is no batch.
    """
    for number, given in enumerate(batches):
        name = f"batch {number}"
        images = as_images(_without_labels(given), name=name)
        if isinstance(given, Batch) and not len(images):
            yield given
            continue
        if not images.is_floating_point():
            raise TypeError(f"{name} must be float in [0, 1], not {images.dtype}: divide by 255")
        if images.dim() != 4:
            hint = ": batches is an iterable of batches; images.split(32) makes some" if images.dim() == 3 else ""
            raise ValueError(f"{name} must be (batch, channels, height, width), not {tuple(images.shape)}{hint}")
        yield Batch(images, given.indices, given.unreadable) if isinstance(given, Batch) else images


def _without_labels(given: Any) -> Any:
    if isinstance(given, Batch):
        return given.images
    pair = isinstance(given, tuple | list) and given and isinstance(given[0], Tensor | np.ndarray)
    return given[0] if pair else given
