"""The masks of dropout: drawn from a number that each row has, or replayed, and kept by the address of what dropped."""

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ..arguments import near
from ..network.layer_names import LayerError


class MaskError(LayerError):
    """A mask that does not fit what drops."""


@dataclass
class Noise:
    """What dropout does in one pass.

    Attributes:
        number: of the row, that its masks are drawn from.
        p: overrides every probability, if given.
        masks: to be replayed; what is not among them is drawn.
        part: which of how many equal parts of those masks this pass has.
        drawn: (place, mask) of each dropout met so far.
        used: the keys of `masks` that were replayed.
        acting: whether dropout still acts.
    """

    number: int
    p: float | None = None
    masks: Mapping[str, Tensor] = field(default_factory=dict)
    part: tuple[int, int] = (0, 1)
    drawn: list[tuple[str, Tensor]] = field(default_factory=list)
    used: set[str] = field(default_factory=set)
    acting: bool = True

    def mask(
        self, place: str, shape: Sequence[int], draw: Callable[[torch.Generator], Tensor], binary: bool = True
    ) -> Tensor:
        """The next mask of a place, drawn or replayed, and kept; not `binary` if it is other noise."""
        call = sum(other == place for other, _ in self.drawn)
        key = next((key for key in (f"{place}:{call}", place) if key in self.masks), None)
        if key is None:
            # Each place draws from its own number, so that a mask does not depend on what else drops.
            found = draw(torch.Generator().manual_seed(number_of(self.number, place, call)))
        else:
            self.used.add(key)
            found = self._part(key, shape)
            if binary and not ((found == 0) | (found == 1)).all():
                other = found[(found != 0) & (found != 1)][0].item()
                raise MaskError(f"masks[{key!r}] must hold 0 and 1 alone, not {other:.4g}")
        self.drawn.append((place, found))
        return found

    def _part(self, key: str, shape: Sequence[int]) -> Tensor:
        mask, (part, parts) = self.masks[key], self.part
        if mask.shape[1:] == tuple(shape[1:]) and mask.shape[:1] == (shape[0] * parts,):
            return mask[part * shape[0] : (part + 1) * shape[0]].cpu()
        if mask.shape == tuple(shape):
            return mask.cpu()
        wanted = (shape[0] * parts, *shape[1:])
        raise MaskError(f"masks[{key!r}] has shape {tuple(mask.shape)}, but what drops there has {wanted}")


class Poison(Noise):
    """Noise that turns everything dropout touches into NaN, so that one pass shows how far it reaches."""


def keyed(drawn: Sequence[tuple[str, Tensor]]) -> dict[str, Tensor]:
    """Masks by the address of what drew them: the name of a module, with the count where it drew several times."""
    times, counts, found = Counter(place for place, _ in drawn), Counter[str](), {}
    for place, mask in drawn:
        found[f"{place}:{counts[place]}" if times[place] > 1 else place] = mask
        counts[place] += 1
    return found


def checked_masks(masks: Mapping[str, Tensor] | None) -> dict[str, Tensor]:
    """The masks as floats, if they are tensors.

    Raises:
        TypeError: otherwise.
    """
    if masks is None:
        return {}
    if not isinstance(masks, Mapping) or not all(isinstance(mask, Tensor) for mask in masks.values()):
        raise TypeError(f"masks is a dict from what drops to a tensor, as the last step has it, not {masks!r}")
    return {key: mask.detach() if mask.is_floating_point() else mask.float() for key, mask in masks.items()}


def refuse_unused(masks: Mapping[str, Tensor], noise: Sequence[Noise]) -> None:
    """Raises if there was nothing for one of the masks."""
    unused = sorted(masks.keys() - set().union(*(each.used for each in noise)))
    if unused:
        there = list(keyed(noise[0].drawn))
        raise MaskError(f"there is a mask for {unused[0]!r}, where nothing is dropped{near(unused[0], there)}")


def number_of(*parts: Any) -> int:
    """A seed made of anything with a `repr`; others of the same kind get others."""
    return int.from_bytes(hashlib.blake2b(repr(parts).encode(), digest_size=8).digest(), "big") >> 1


def row_numbers(images: Tensor, samples: int, seed: int) -> list[int]:
    """A number for each row to draw from, of the picture itself and not of its place in the batch.

    The samples of a picture are counted through the batch, so that the same picture given twice has other masks.
    """
    copies, found = Counter[str](), []
    for image in images.detach().float().cpu():
        print_ = hashlib.blake2b(image.contiguous().numpy().tobytes()).hexdigest()
        found += [number_of(seed, print_, copies[print_] + sample) for sample in range(samples)]
        copies[print_] += samples
    return found
