"""References: pictures that an objective compares the images with, shown to the network beside them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from ..network.images import Images, checked_images
from ..network.pair import Pair
from .seen import Seen

if TYPE_CHECKING:
    from .objective import Objective

View = Callable[[Tensor], Tensor]
"""What the network sees of a batch."""


@dataclass(frozen=True, eq=False)
class Reference:
    """Pictures that an objective compares the images with.

    Attributes:
        images: one for all images, or one for each, (1 or batch, channels, height, width) in [0, 1].
        viewed: whether they take the images' size and are seen through the same random transforms; otherwise they are
            seen as they are, once.
    """

    images: Tensor
    viewed: bool

    @classmethod
    def of(cls, images: Images, viewed: bool) -> Reference:
        """Those pictures, as they are now.

        Raises:
            TypeError, ValueError: if they cannot be pictures; the message says what can.
        """
        return cls(checked_images(images).detach().clone(), viewed)


Beside = Mapping[Reference, Seen]
"""The activations of references: a row for each image if they are `viewed`, or else for each of their pictures."""


class References:
    """The references of objectives, shown to the network as the images are.

    Args:
        objectives: one for all images, or one for each.
        images: what the images at the start are like, (batch, channels, height, width).
        pair: how the network takes pairs, None if it does not.

    Attributes:
        notes: sentences on what is done to the pictures.

    Raises:
        ValueError: if there are neither one nor as many pictures as images, or they have other channels.
    """

    def __init__(self, objectives: Sequence[Objective], images: Tensor, pair: Pair | None):
        for one in objectives:
            _check(one, images)
        self._like, self._pair = images, pair
        self._shown = [_Shown(one, images) for one in objectives]
        self._still: dict[Reference, Seen] = {}
        self._at: tuple[tuple[int, ...], list[Tensor]] = ((), [])
        notes = (_stretched(each, images) for shown in self._shown for each in shown.pictures)
        self.notes = tuple(dict.fromkeys(note for note in notes if note))

    def forget(self) -> None:
        """Has all be shown again, since the network has changed."""
        self._still.clear()

    def seen(self, size: Sequence[int], view: View, show: Callable[[Tensor], Seen]) -> list[Beside]:
        """For each objective the activations of its references.

        Args:
            size: of the images now, (height, width).
            view: what the network sees of images; it must draw the same each time it is called.
            show: the activations of pictures.
        """
        if self._at[0] != tuple(size):
            self._at = (tuple(size), self._batches(size))
        with torch.no_grad():
            found = [show(view(pictures)) for pictures in self._at[1]]
            for reference in (each for shown in self._shown for each in shown.still):
                if reference not in self._still:
                    self._still[reference] = show(reference.images.to(self._like))
        return [
            {each: found[k] for each, k in shown.places.items()} | {each: self._still[each] for each in shown.still}
            for shown in self._shown
        ]

    def _batches(self, size: Sequence[int]) -> list[Tensor]:
        """The pictures in batches with a row for each image, so that each is seen as its image is."""
        rows = self._shown if len(self._shown) > 1 else self._shown * len(self._like)
        nothing = self._like.new_zeros(1, self._like.shape[1], *size)

        def of_image(place: int, index: int) -> Tensor:
            pictures = rows[index].pictures
            if place >= len(pictures):
                return nothing
            own = pictures[place][index : index + 1] if len(pictures[place]) > 1 else pictures[place]
            return self._sized(own, size)

        most = max(len(row.pictures) for row in rows)
        return [torch.cat([of_image(place, i) for i in range(len(rows))]) for place in range(most)]

    def _sized(self, pictures: Tensor, size: Sequence[int]) -> Tensor:
        if tuple(pictures.shape[2:]) == tuple(size):
            return pictures
        if self._pair:
            return self._pair.alone(pictures, lambda each: _resized(each, (size[0], size[1] // 2)))
        return _resized(pictures, size)


class _Shown:
    """What one objective compares its images with: distinct `pictures`, and the place of each reference among them."""

    def __init__(self, objective: Objective, images: Tensor):
        self.pictures: list[Tensor] = []
        self.places: dict[Reference, int] = {}
        self.still = [each for each in objective.references if not each.viewed]
        for reference in objective.references:
            if reference.viewed:
                wanted = reference.images.to(images)
                known = (k for k, other in enumerate(self.pictures) if torch.equal(other, wanted))
                self.places[reference] = place = next(known, len(self.pictures))
                self.pictures += [wanted] if place == len(self.pictures) else []


def _check(objective: Objective, images: Tensor) -> None:
    for reference in objective.references:
        shape = tuple(reference.images.shape)
        if shape[0] not in (1, len(images)):
            raise ValueError(f"{objective} has {shape[0]} pictures for {len(images)} images: give one, or one for each")
        if shape[1] != images.shape[1]:
            raise ValueError(f"the pictures of {objective} have {shape[1]} channels, and the images {images.shape[1]}")


def _resized(images: Tensor, size: Sequence[int]) -> Tensor:
    return F.interpolate(images, tuple(size), mode="bilinear", align_corners=False, antialias=True).clamp(0, 1)


def _stretched(pictures: Tensor, images: Tensor) -> str:
    """The sentence for pictures of another shape; empty if that is the images' own."""
    (height, width), (rows, columns) = pictures.shape[2:], images.shape[2:]
    if 0.98 < height * columns / (width * rows) < 1.02:
        return ""
    return f"The pictures that the images are compared with are {height} × {width} pixels: they are stretched to fit."
