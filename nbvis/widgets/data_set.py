"""The images that statistics are collected over: batch by batch to collect, and by their index to look at."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from torch import Tensor

from nbvis.engine import Batch, ImageItems, as_images
from nbvis.sessions import described

BATCH = 32
"""Images of a data set that are loaded at a time."""


class DataSet:
    """Images, whatever holds them.

    Args:
        given: a data set with `len` and items, images or (image, label); an iterable of batches; or one tensor of
            images, (images, channels, height, width).

    Raises:
        TypeError: if it is nothing of that.
        ValueError: if it is empty.
    """

    def __init__(self, given: Any):
        shape = getattr(given, "shape", ())
        single = len(shape) == 3
        if isinstance(given, str | dict) or single or not (hasattr(given, "__iter__") or hasattr(given, "__getitem__")):
            what = f"a single image, {tuple(shape)}" if single else f"{type(given).__name__} {given!r}"[:80]
            raise TypeError(
                "batches is an iterable of image batches, (batch, channels, height, width) in [0, 1], or a data set of "
                f"images such as demo.crops(70), not {what}"
            )
        self._given = given
        self._once = hasattr(given, "__next__")
        self._begun: list[Any] = []
        try:
            self._length = len(given)
        except TypeError:
            self._length = None
        if self._length == 0:
            raise ValueError("the data set is empty: batches has no image")

    @property
    def images(self) -> int | None:
        """How many images there are; None where that is not known before they are read."""
        return self._length if self._by_index else None

    @property
    def total(self) -> int | None:
        """How many batches there are; None where that is not known before they are read."""
        return self._length if self._length is None or not self._by_index else -(-self._length // BATCH)

    def first(self) -> Tensor:
        """An image, (1, channels, height, width).

        Raises:
            ValueError: if there is none that can be read.
        """
        for batch in self.batches(keep=True):
            if len(batch.images):
                return batch.images[:1]
        raise ValueError("the data set is empty: batches gave no image that could be read")

    def batches(self, keep: bool = False) -> Iterator[Batch]:
        """The images in batches of one size, each with its index.

        Args:
            keep: whether what is read of batches that come only once is read again by the next who asks.

        Raises:
            ValueError: if they come only once and have been read.
        """
        number = 0
        for given in self._loaded() if self._by_index else self._read(keep):
            if isinstance(given, Batch):
                yield given
                continue
            images = as_images(given[0] if isinstance(given, list | tuple) else given, name="a batch")
            if images.dim() != 4:
                raise ValueError(f"a batch must be (batch, channels, height, width), not {tuple(images.shape)}")
            yield Batch(images, range(number, number + len(images)))
            number += len(images)

    def find(self, indices: Sequence[int], between: Callable[[], object] = lambda: None) -> dict[int, Tensor]:
        """Images by their index, (1, channels, height, width) each; those that are not there are left out.

        Args:
            indices: of the images.
            between: called between two batches; what it raises ends the search.

        Raises:
            ValueError: if the batches came only once.
        """
        if self._by_index:
            return {index: _image(self._given[index]) for index in indices if index < (self._length or 0)}
        if self._once:
            raise ValueError(
                "The batches could be read only once, so their images are gone: give a list of batches, a DataLoader "
                "or a data set to see patches."
            )
        found: dict[int, Tensor] = {}
        for batch in self.batches():
            between()
            for place in (place for place, index in enumerate(batch.indices) if index in indices):
                found[batch.indices[place]] = batch.images[place : place + 1]
            if len(found) == len(set(indices)):
                break
        return found

    @property
    def _by_index(self) -> bool:
        """Whether its items are single images."""
        if self._length is None or not hasattr(self._given, "__getitem__"):
            return False
        if not hasattr(self, "_single"):
            first = self._given[0]
            self._single = not isinstance(first, Batch) and _image(first, name="the first item").shape[0] == 1
            self._single &= isinstance(self._given, Tensor) or not _is_batch(first)
        return self._single

    def _loaded(self) -> Iterator[Batch]:
        assert self._length is not None
        for start in range(0, self._length, BATCH):
            found: dict[int, Tensor | str] = {}
            for index in range(start, min(start + BATCH, self._length)):
                try:
                    item = self._given[index]
                    unread = isinstance(self._given, ImageItems) and isinstance(item, str)
                    found[index] = item if unread else _image(item)
                except (OSError, SyntaxError) as error:  # Pillow raises both for damaged files
                    found[index] = described(error)
            yield from Batch.grouped(found)

    def _read(self, keep: bool) -> Iterable[Any]:
        if not self._once:
            return self._given
        if self._begun and not keep:
            begun, self._begun = self._begun, []
            return itertools.chain(begun, self._given)
        return self._kept(keep)

    def _kept(self, first: bool) -> Iterator[Any]:
        found = False
        for each in self._given:
            found = True
            self._begun.append(each)
            yield each
        if not (found or first):
            raise ValueError("batches can be read only once and have been read: give a list or a data set instead")


def _is_batch(item: Any) -> bool:
    shape = getattr(item[0] if isinstance(item, list | tuple) and item else item, "shape", ())
    return len(shape) == 4


def _image(item: Any, name: str = "an item of the data set") -> Tensor:
    """An item of a data set as a batch of one image."""
    images = as_images(item[0] if isinstance(item, list | tuple) else item, name=name)
    return images[None] if images.dim() == 3 else images
