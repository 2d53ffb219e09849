"""Masks of the terms of an objective: what is taken as one, and how a run's many are kept."""

import os
import threading
import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nbvis.engine import Objective, as_images, checked_mask, resized

UNPACKED = 3
"""Packed objectives whose masks are kept unpacked too."""


def given_mask(given: Any, name: str) -> Tensor:
    """What was given as a mask, (height, width) in [0, 1].

    Args:
        given: a tensor or array (height, width) of numbers in [0, 1] or of truth values, or what `as_images` takes,
            of which the mean of the colours is taken.
        name: what an error calls it.

    Raises:
        TypeError: if it is nothing of that.
        ValueError: if it has another shape or range, or is 0 everywhere.
        FileNotFoundError: if it is a path where there is no file.
    """
    if isinstance(given, Tensor | np.ndarray) and given.dtype in (torch.bool, np.dtype(bool)):
        given = torch.as_tensor(given).float()
    if isinstance(given, np.ndarray) and given.ndim != 2:
        raise ValueError(f"{name} is (height, width), not {given.shape}")
    if not isinstance(given, Tensor | np.ndarray | str | os.PathLike) and not hasattr(given, "convert"):
        kind = type(given).__name__
        raise TypeError(f"{name} is a tensor or array (height, width) in [0, 1], a PIL image or a path, not {kind}")
    image = given if isinstance(given, Tensor) else as_images(given, name=name)[0].mean(0)
    try:
        return checked_mask(image.cpu())
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def painted_mask(buffer: Any, height: int, width: int) -> Tensor | None:
    """What was painted, (height, width) in [0, 1]; None if that is nothing.

    Args:
        buffer: height · width bytes.
        height: in pixels.
        width: in pixels.

    Raises:
        ValueError: if there are not so many bytes.
    """
    data = np.frombuffer(buffer, np.uint8)
    if data.size != height * width:
        raise ValueError(f"a mask of {height} × {width} pixels has as many bytes, not {data.size}")
    return _numbers(torch.from_numpy(data.reshape(height, width).copy())) if data.any() else None


def bytes_of(mask: Tensor) -> bytes:
    """A mask as bytes, row by row; what is not 0 stays so."""
    # A byte that was painted becomes itself again, though its 255th part is no exact number.
    found = (mask.double() * 255 - 1e-3).ceil().clamp(1, 255)
    return torch.where(mask > 0, found, 0.0).byte().numpy().tobytes()


def stretched_to(mask: Tensor, size: Sequence[int]) -> Tensor:
    """A mask at another size, (height, width)."""
    return resized(mask[None, None], size)[0, 0].clamp(0, 1)


def masks_of(objective: Objective) -> list[Tensor | None]:
    """The mask of each term, None for the whole picture."""
    return [term.mask for term in objective.terms]


def with_masks(objective: Objective, masks: Sequence[Tensor | None]) -> Objective:
    """The same terms with other masks; one whose mask stays has all that it had."""
    return Objective(
        tuple(
            term if term.mask is mask else replace(term, mask=mask, masks=() if mask is None else (mask,))
            for term, mask in zip(objective.terms, masks, strict=True)
        )
    )


class PackedObjective(Objective):
    """An objective that keeps painted masks packed.

    A run remembers every objective that it took, and each stroke of a brush makes one every tenth of a second.

    Args:
        objective: the same, unpacked.
        recent: of all that one widget packs.
    """

    def __init__(self, objective: Objective, recent: "Recent"):
        unpacking = {id(mask): _packed(mask) for term in objective.terms for mask in (term.mask, *term.masks)}
        self._packed = [
            (replace(term, mask=None, masks=()), unpacking[id(term.mask)], [unpacking[id(mask)] for mask in term.masks])
            for term in objective.terms
        ]
        self._recent = recent

    @property
    def terms(self):  # pyright: ignore[reportIncompatibleVariableOverride]  # made anew when they are asked for
        """The terms with their masks."""
        return self._recent.terms(self)

    def made(self) -> tuple[Any, ...]:
        """Unpacks the masks; those that were one are one."""
        found: dict[int, Tensor | None] = {}

        def mask(unpack: Callable[[], Tensor | None]) -> Any:
            return found[id(unpack)] if id(unpack) in found else found.setdefault(id(unpack), unpack())

        return tuple(replace(term, mask=mask(own), masks=tuple(map(mask, all_))) for term, own, all_ in self._packed)


class Recent:
    """The terms of the packed objectives that were used last, and the newest of them."""

    def __init__(self):
        self._lock = threading.Lock()
        self._kept: list[tuple[PackedObjective, tuple[Any, ...]]] = []
        self._newest: tuple[Objective, Objective] | None = None

    def packed(self, objective: Objective) -> Objective:
        """An objective packed, the same one for the same one; as it is without a mask."""
        if all(term.mask is None for term in objective.terms):
            return objective
        if self._newest is None or self._newest[0] is not objective:
            self._newest = objective, PackedObjective(objective, self)
        return self._newest[1]

    def remember(self, objective: Objective, packed: Objective) -> None:
        """Has one stand for an objective that was packed before."""
        self._newest = objective, packed

    def terms(self, objective: PackedObjective) -> tuple[Any, ...]:
        """Those of an objective, the same ones as long as it is among those used last."""
        with self._lock:
            found = next((terms for one, terms in self._kept if one is objective), None)
            found = objective.made() if found is None else found
            self._kept = [(objective, found), *(each for each in self._kept if each[0] is not objective)][:UNPACKED]
            return found


def _numbers(data: Tensor) -> Tensor:
    return data.float() / 255


def _packed(mask: Tensor | None) -> Callable[[], Tensor | None]:
    """What gives a mask again, to the bit; it keeps as little as that takes."""
    if mask is None or mask.dtype != torch.float32:
        return lambda: mask
    data = mask.mul(255).round().byte()
    if not torch.equal(_numbers(data), mask):
        return lambda: mask
    shape, kept = data.shape, zlib.compress(data.numpy().tobytes(), 1)
    return lambda: _numbers(torch.frombuffer(bytearray(zlib.decompress(kept)), dtype=torch.uint8).reshape(shape))
