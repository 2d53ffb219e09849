"""Masks that are painted on the picture, one for each term of the objective.

Messages from a view, beside those of `objectives`; both ask for a reply:

| type | with | asks for |
|---|---|---|
| mask | id, view, term, height, width, and a buffer with as many bytes | the term within it; no buffer or all 0: free |
| paint | id, term, height, width | the term's mask as so many bytes; an empty text if it has none |

`_paint` says which paint each term has and who painted it, so that a view asks only for what others painted.
"""

from collections.abc import Callable, Sequence
from typing import Any

import traitlets as t
from torch import Tensor

from nbvis.engine import Objective

from .masks import Recent, bytes_of, given_mask, masks_of, painted_mask, stretched_to, with_masks
from .notes import Note, plain
from .numbers import InvalidValueError
from .objectives import ObjectiveWidget
from .terms import unmasked


class PaintedWidget(ObjectiveWidget):
    """A panel on an objective whose terms masks can confine to parts of the picture."""

    _paint = t.List(help="Which paint each term has: {version, by}; by which view, empty for none.").tag(sync=True)

    def _start_with(self, objective: Objective | None) -> None:
        super()._start_with(objective)
        self._recent, self._told_masks = Recent(), []
        self._originals: list[tuple[Tensor, Tensor]] = []
        self._strokes, self._painter, self._said_of_masks = 0, "", ""

    @property
    def masks(self) -> list[Tensor | None]:
        """The mask of each term, (height, width) in [0, 1], None for the whole picture; set a list of what one can be.

        A mask is an array, tensor or PIL image, or a path; one of another size is resized, and the notes say so.

        Raises:
            TypeError: for what is no mask.
            ValueError: for a mask that is 0 everywhere or leaves [0, 1], or for more or fewer than there are terms.
        """
        return masks_of(self.objective) if self.objective else []

    @masks.setter
    def masks(self, masks: Sequence[Any] | None) -> None:
        now = self._masked_objective()
        count = len(now.terms)
        given = [None] * count if masks is None else masks
        if not isinstance(given, list | tuple) or len(given) != count:
            what = f"{len(given)}" if isinstance(given, list | tuple) else type(given).__name__
            raise InvalidValueError(
                f"masks is a list with one mask, or None, for each term of the objective, {count} here, not {what}"
            )
        self._take_masks(now, {term: None if one is None else _given(one, term) for term, one in enumerate(given)})

    def set_mask(self, term: int, mask: Any) -> None:
        """Confines a term to a part of the picture; None frees it. See `masks`."""
        now = self._masked_objective()
        term = _possible(term, now)
        self._take_masks(now, {term: None if mask is None else _given(mask, term)})

    def _masked_objective(self) -> Objective:
        """The objective; a call from Python waits until there is one."""
        if self._look is not None and not self._told_by_a_view:
            self._look.wait()
        now = self.objective
        if now is None:
            raise InvalidValueError("the network is still being looked at: there is nothing to mask yet")
        return now

    def _take_masks(self, now: Objective, masks: dict[int, Tensor | None], by: str = "") -> None:
        """Has the run go on with other masks.

        Args:
            now: the objective as it is.
            masks: by the terms that get others, of any size.
            by: the view that painted them, empty for none.
        """
        size, all_, said = tuple(self._subject.size), masks_of(now), []
        originals = list(self._originals)
        for term, mask in masks.items():
            all_[term] = mask
            if mask is not None and mask.shape != size:
                originals.append((stretched_to(mask, size), mask))
                all_[term] = originals[-1][0]
                said += [] if by else [_resized(term if len(all_) > 1 else None, mask, size)]
        # Whoever waits here for a look at the network would hold the lock that the look needs.
        with self._traits_lock, self._unhurried():
            self._painter, self._said_of_masks = by, "\n".join(said)
            self._originals = [(made, mask) for made, mask in originals if any(made is each for each in all_)]
            try:
                self._take(with_masks(now, all_))
            finally:
                self._painter = ""
            self._renew_notes()

    def _must_fit(self) -> list[Objective]:
        return [unmasked(objective) for objective in super()._must_fit()]

    def _take_over(self, first: bool) -> None:
        super()._take_over(first)
        now, size = self._fits, tuple(self._subject.size)
        masks = {term: mask for term, mask in enumerate(masks_of(now) if now else []) if mask is not None}
        if now and any(mask.shape != size for mask in masks.values()):
            own = {id(made): mask for made, mask in self._originals}
            self._take_masks(now, {term: own.get(id(mask), mask) for term, mask in masks.items()})

    def _follow(self) -> None:
        super()._follow()
        masks = masks_of(self.objective) if self.objective else []
        if len(masks) == len(self._told_masks) and all(map(_is, masks, self._told_masks)):
            return
        self._strokes += 1
        now = {"version": self._strokes, "by": self._painter}
        told = zip(self._told_masks, self._paint, strict=True)
        before = dict(enumerate(told))
        self._paint = [
            before[term][1] if term in before and before[term][0] is mask else now for term, mask in enumerate(masks)
        ]
        self._told_masks = masks

    def _current_notes(self) -> list[Note]:
        return [*super()._current_notes(), *plain(*self._said_of_masks.splitlines())]

    def _acts(self, content: dict[str, Any]) -> dict[str, Callable[[], Any]]:
        return super()._acts(content) | {
            "mask": lambda: self._reply(content, lambda: self._on_paint(**_asked(content, "view", "buffers"))),
            "paint": lambda: self._reply(content, lambda: self._paint_of(**_asked(content))),
        }

    def _on_paint(self, term: int, height: int, width: int, view: str, buffers: Any) -> str:
        """Takes what a view has painted."""
        now = self._masked_objective()
        mask = painted_mask(buffers[0], height, width) if buffers else None
        self._take_masks(now, {_possible(term, now): mask}, view)
        return str(self._strokes)

    def _paint_of(self, term: int, height: int, width: int) -> str | bytes:
        now = self._masked_objective()
        mask = now.terms[_possible(term, now)].mask
        return "" if mask is None else bytes_of(stretched_to(mask, (height, width)))


def _asked(content: dict[str, Any], *more: str) -> dict[str, Any]:
    return {name: content[name] for name in ("term", "height", "width", *more)}


def _possible(term: Any, objective: Objective) -> int:
    count = len(objective.terms)
    if not isinstance(term, int) or isinstance(term, bool) or not 0 <= term < count:
        raise InvalidValueError(f"no term {term!r}: there are {count}, counted from 0")
    return term


def _given(mask: Any, term: int) -> Tensor:
    return given_mask(mask, f"the mask of term {term}")


def _resized(term: int | None, mask: Tensor, size: Sequence[int]) -> str:
    which = "" if term is None else f" of term {term}"
    (height, width), (rows, columns) = mask.shape, size
    return f"The mask{which} has {height} × {width} pixels and is resized to the picture's {rows} × {columns}."


def _is(one: Any, other: Any) -> bool:
    return one is other
