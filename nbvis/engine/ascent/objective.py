"""An objective: a sum of terms, each a function from activations to one score for each image, with arithmetic."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from ..network.network import Network
from .objective_source import Names, Text, product_of, sum_of
from .picture_masks import checked_mask, product
from .reference import Beside, Reference
from .seen import Seen

Activations = Mapping[str, Tensor]


@dataclass(frozen=True)
class Term:
    """One weighted part of an objective, with the mask its gradient is confined to: the product of `masks`.

    Attributes:
        function: takes the images' activations, then those of each reference.
        references: other pictures whose activations it needs.
        whole: whether it takes the whole batch at once, because an image's score hangs on which one it is.
        elsewhere: layers of other networks, (network, name).
        remarks: each gives a sentence on how it applies to such activations, empty for none.
    """

    function: Callable[..., Tensor]
    layers: tuple[str, ...]
    text: Text
    weight: float = 1.0
    mask: Tensor | None = None
    masks: tuple[Tensor, ...] = ()
    references: tuple[Reference, ...] = ()
    whole: bool = False
    elsewhere: tuple[tuple[Network, str], ...] = ()
    remarks: tuple[Callable[[Activations], str], ...] = ()

    @property
    def constant(self) -> bool:
        """Whether it is a number, whatever the image."""
        return not (self.layers or self.elsewhere)

    def score(self, activations: Activations, beside: Beside) -> Tensor:
        """The weighted score of each image."""
        if any(reference not in beside for reference in self.references):
            raise ValueError(
                f"{self.text(Names())} compares the images with other pictures, whose activations are needed too: "
                "`ascend` and `dream` show them to the network"
            )
        return self.weight * self.function(activations, *(beside[reference] for reference in self.references))


class Objective:
    """A sum of terms; add, subtract, negate and multiply it, and confine it to a part of the picture.

    `a + b`, `a - b`, `-a`, `2 * a` and `a / 2` mean what they say, `a * b` is the product of the two scores, and
    `str(objective)` is the expression itself.

    Example:
        >>> objective = channel("conv", 1) - 0.5 * channel("conv", 0)
        >>> objective.score({"conv": torch.tensor([[2.0, 3.0]])})
        tensor([2.])
        >>> print(objective)
        channel('conv', 1) - 0.5 * channel('conv', 0)
    """

    def __init__(self, terms: tuple[Term, ...]):
        self.terms = terms

    @property
    def layers(self) -> tuple[str, ...]:
        """The names of the layers it needs, each once."""
        return tuple(dict.fromkeys(name for term in self.terms for name in term.layers))

    @property
    def elsewhere(self) -> dict[Network, tuple[str, ...]]:
        """The names of the layers it needs of other networks."""
        found: dict[Network, tuple[str, ...]] = {}
        for network, name in dict.fromkeys(place for term in self.terms for place in term.elsewhere):
            found[network] = (*found.get(network, ()), name)
        return found

    @property
    def references(self) -> tuple[Reference, ...]:
        """The other pictures that it compares the images with."""
        return tuple(dict.fromkeys(reference for term in self.terms for reference in term.references))

    def score(self, activations: Activations, beside: Beside = MappingProxyType({})) -> Tensor:
        """The score of each image, (batch,), from the activations of `layers`; masks play no part in it.

        Args:
            activations: as the function of that name gives them, which knows their axes; in any other dict they are
                (batch, channels, …).
            beside: those of each of the `references`.
        """
        return torch.stack([term.score(activations, beside) for term in self.terms]).sum(0)

    def notes(self, activations: Activations) -> tuple[str, ...]:
        """Sentences on how it applies to such activations, where that is not as one might think."""
        said = (remark(activations) for term in self.terms for remark in term.remarks)
        return tuple(dict.fromkeys(sentence for sentence in said if sentence))

    def within(self, mask: Tensor) -> "Objective":
        """The same objective, whose gradient reaches the picture only through a mask.

        Args:
            mask: (height, width) of the picture, in [0, 1]; where it is 0 the picture does not change at all.

        Raises:
            ValueError: if the mask is not two-dimensional, leaves [0, 1], holds NaN, or is 0 everywhere.
        """
        mask = checked_mask(mask)
        # Terms that shared a mask go on sharing one, since what shares a mask shares a gradient.
        masks = {id(t.mask): mask if t.mask is None else checked_mask(product(t.mask, mask)) for t in self.terms}
        return Objective(tuple(replace(t, mask=masks[id(t.mask)], masks=(*t.masks, mask)) for t in self.terms))

    def __add__(self, other: "Objective | float") -> "Objective":
        """The sum; a number is added to every image's score."""
        return Objective(self.terms + _as_objective(other).terms)

    def __mul__(self, other: "Objective | float") -> "Objective":
        """A multiple, or the product of two scores."""
        if not isinstance(other, Objective):
            factor = _number(other)
            return Objective(tuple(replace(t, weight=t.weight * factor) for t in self.terms))
        if any(t.mask is not None for t in self.terms + other.terms):
            raise ValueError("a product has one gradient: write (a * b).within(mask), not a.within(mask) * b")
        both = Objective(self.terms + other.terms)

        def score(acts: Activations, *found: Any) -> Tensor:
            beside = dict(zip(both.references, found, strict=True))
            return self.score(acts, beside) * other.score(acts, beside)

        text = product_of(self.terms, other.terms)
        whole = any(term.whole for term in both.terms)
        remarks = tuple(remark for term in both.terms for remark in term.remarks)
        elsewhere = tuple(place for term in both.terms for place in term.elsewhere)
        more = {"references": both.references, "whole": whole, "elsewhere": elsewhere, "remarks": remarks}
        return Objective((Term(score, both.layers, text, **more),))

    def __sub__(self, other: "Objective | float") -> "Objective":
        """The difference."""
        return self + -_as_objective(other)

    def __rsub__(self, other: float) -> "Objective":
        """A number minus the objective."""
        return -self + other

    def __neg__(self) -> "Objective":
        """The opposite: its highest score is this one's lowest."""
        return self * -1.0

    def __truediv__(self, other: float) -> "Objective":
        """A fraction."""
        return self * (1.0 / _number(other))

    __radd__ = __add__
    __rmul__ = __mul__

    def __str__(self) -> str:
        """The expression, valid Python once its masks and functions have the names in it."""
        return self.source(Names())

    __repr__ = __str__

    def source(self, names: Names) -> str:
        """The expression as Python that gives the same gradients to the bit; `names` learns what it needs.

        Args:
            names: of masks, functions and other tensors.

        Example:
            >>> half, names = torch.ones(2, 3) / 2, Names()
            >>> (logit(1).within(half) + logit(2).within(1 - half / 2)).source(names), list(names.masks)
            ('logit(1).within(mask) + logit(2).within(mask_2)', ['mask', 'mask_2'])
        """
        return sum_of(self.terms, names)


Objectives = Objective | Sequence[Objective]
"""One objective for all images, or one for each."""


def _as_objective(value: Any) -> Objective:
    if isinstance(value, Objective):
        return value
    number = _number(value)

    def score(acts: Activations) -> Tensor:
        some = acts.like if isinstance(acts, Seen) else next(iter(acts.values()))
        return some.new_ones(len(some))

    # A constant has no layer, so that it never makes the network run further.
    return Objective((Term(score, (), lambda names: "1", number),))


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError(f"objectives combine with objectives and finite numbers, not {value!r}")
    return float(value)
