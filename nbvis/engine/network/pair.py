"""Pairs: two pictures that a siamese network compares, held side by side as one."""

from collections.abc import Callable
from enum import StrEnum

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..arguments import near
from .images import Images, as_images


class Pair(StrEnum):
    """How a network takes the two pictures of a pair; a member is the hook that hands them over.

    It is a member of an enumeration, because a twin that holds one can be compared with itself later.
    """

    INPUTS = "inputs"
    """forward(first, second)."""
    CHANNELS = "channels"
    """One input, in which the second one's channels come after the first one's."""
    WIDTH = "width"
    """One input, in which they lie side by side."""

    @classmethod
    def of(cls, name: "str | Pair | None") -> "Pair | None":
        """The way of that name.

        Raises:
            ValueError: if there is none.
        """
        names = [each.value for each in cls]
        if name is not None and name not in names:
            raise ValueError(f"pair says how a network takes two pictures, or is None, not {name!r}{near('', names)}")
        return None if name is None else cls(name)

    def admit(self, twin: nn.Module) -> None:
        """Has a private copy of the network take pictures that lie side by side, before any hook of its own."""
        if self is not Pair.WIDTH and not any(hook is self for hook in twin._forward_pre_hooks.values()):
            twin.register_forward_pre_hook(self, prepend=True)

    def pictures(self, entered: Tensor) -> tuple[Tensor, ...]:
        """What each unit sees a place of: the two pictures, or the one that holds both."""
        return (entered,) if self is Pair.WIDTH else halves(entered)

    def alone(self, images: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
        """The pairs after a change that is made to each of their pictures."""
        first, second = change(torch.cat(halves(images))).chunk(2)
        return torch.cat([first, second], -1)

    def __call__(self, module: nn.Module, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """What the module itself is given."""
        first, second = given if len(given) == 2 else halves(*given)
        return (torch.cat([first, second], 1),) if self is Pair.CHANNELS else (first, second)


def side_by_side(first: Images, second: Images, *, scaled: bool = False) -> Tensor:
    """A pair of pictures as the one picture in which a siamese network's `images` hold it: the first one on the left.

    Args:
        first: what `as_images` takes.
        second: likewise, of as many channels.
        scaled: whether the second one is scaled to the size of the first; else it has to be of that size.

    Returns:
        (batch, channels, height, 2 × width).

    Raises:
        ValueError: if they differ in shape; the message says what would do.

    Example:
        >>> side_by_side(torch.zeros(1, 3, 8, 6), torch.ones(1, 3, 8, 6)).shape
        torch.Size([1, 3, 8, 12])
    """
    one, other = as_images(first, name="first"), as_images(second, name="second")
    one, other = (each[None] if each.dim() == 3 else each for each in (one, other))
    if scaled and one.shape[2:] != other.shape[2:]:
        size = (one.shape[2], one.shape[3])
        other = F.interpolate(other, size, mode="bilinear", antialias=True).clamp(other.min(), other.max())  # it rounds
    if one.shape != other.shape or one.dim() != 4:
        alike = one.dim() == other.dim() == 4 and one.shape[:2] == other.shape[:2]
        way = ": side_by_side(first, second, scaled=True) scales the second to the size of the first" if alike else ""
        raise ValueError(
            f"the two pictures of a pair have one shape, not {tuple(one.shape)} and {tuple(other.shape)}{way}"
        )
    return torch.cat([one, other.to(one)], -1)


def halves(images: Tensor) -> tuple[Tensor, Tensor]:
    """The two pictures of each pair, (batch, channels, height, width) each.

    Raises:
        ValueError: if the images cannot be pairs.
    """
    if images.dim() != 4 or images.shape[3] % 2:
        raise ValueError(
            "a pair lies side by side, (batch, channels, height, 2 × width), as side_by_side(first, second) makes it, "
            f"and these are {tuple(images.shape)}"
        )
    width = images.shape[3] // 2
    last = images.shape[1] > 1 and images.is_contiguous(memory_format=torch.channels_last)
    order = torch.channels_last if last else torch.contiguous_format
    # Cut out by `narrow`, whose parts may be written in place, and whose places a trace follows.
    first, second = (images.narrow(3, start, width).contiguous(memory_format=order) for start in (0, width))
    return first, second
