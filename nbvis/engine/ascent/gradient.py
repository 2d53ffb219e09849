"""Scores of an objective and their gradient at the images, once for each step."""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..network.images import Images, checked_images
from ..network.layers import OUTPUT
from ..network.network import Network, as_network
from ..network.prepared import Prepared
from ..network.random_state import Deal, Draws, dealing
from ..network.relu_rules import Rectifiers, redirected
from ..network.score_gradient import gradients
from ..network.snapshots import Steady
from ..steps import Steps
from .objectives import Objective, Objectives, Term


class Ascent:
    """Scores and gradients of an objective on a network, step after step, each by the newest weights.

    Args:
        network: the network.
        objective: one for all images, or a list with one for each.
        images: the start, (batch, channels, height, width) in [0, 1].
        trial: pictures the network is tried on instead, for instance the smallest it will see.

    Raises:
        ValueError: if a layer, a channel or a mask does not fit; the message says what would.
        RuntimeError: if the network does not run on the images, or no gradient can flow back from a layer.
    """

    def __init__(self, network: Network, objective: Objectives, images: Tensor, trial: Tensor | None = None):
        self.network = network
        self.device, self.dtype = network.device, network.precision
        self._images, self._trial = images, images if trial is None else trial
        self._moved = False
        self._steady = Steady(network)
        self._prepared = self._for(objective, None)

    def kept(self, run: Steps) -> Steps:
        """The run; once it is over or closed, the network as it was made ready is left to the next one."""
        try:
            yield from run
        except GeneratorExit:
            self._prepared.keep()
            raise
        self._prepared.keep()

    def set_objective(self, objective: Objectives) -> None:
        """Climbs another objective from now on; if it does not fit, the error leaves the old one in place."""
        held = self._prepared
        self._prepared = self._for(objective, held)
        if held is not self._prepared:
            held.keep()

    def _for(self, objective: Objectives, held: Prepared | None) -> Prepared:
        """Takes the objective, and gives the network ready for it: what is held, if that will do."""
        objectives = _one_for_each(objective, len(self._images))
        masks = {id(t.mask): t.mask for o in objectives for t in o.terms if t.mask is not None}
        for mask in masks.values():
            if mask.shape != self._images.shape[2:]:
                raise ValueError(
                    f"a mask must have the picture's {tuple(self._images.shape[2:])} pixels, not {tuple(mask.shape)}"
                )
        names = tuple(dict.fromkeys(name for o in objectives for name in o.layers))

        def prepare(network: Network) -> Prepared:
            prepared = held if held and held.names == names else Prepared.of(network, names, self._trial)
            _check(prepared, objectives)
            return prepared

        prepared = self._steady.run(prepare)
        self.objectives = objectives
        self._passes = _passes(objectives, self._images.shape[2:], self.device, self.dtype)
        return prepared

    def movable(self, size: Sequence[int]) -> Tensor | None:
        """Where the objectives' masks let the images change, (batch, 1, height, width) of True; None for everywhere."""
        if any(mask is None for mask, _ in self._passes):
            return None
        return torch.stack([_resized(mask, size) > 0 for mask, _ in self._passes if mask is not None]).any(0)

    def gradient(
        self,
        images: Tensor,
        view: Callable[[Tensor], Tensor],
        seed: int,
        shape: Callable[[Tensor], Tensor] = lambda gradient: gradient,
    ) -> tuple[Tensor, Tensor, tuple[str, ...]]:
        """The score of each image, the gradient at the images, and sentences about how it was found.

        Where an image's plain gradient is exactly zero, it gets the redirected ReLU gradient.

        Args:
            images: (batch, channels, height, width).
            view: what the network sees of them; it must draw the same each time it is called.
            seed: for a network that draws random numbers in its forward pass.
            shape: applied to each masked part's gradient before its mask.

        Returns:
            score (batch,), gradient like the images, and notes.

        Raises:
            RuntimeError: if not one image has ever had a gradient.
            FloatingPointError: if a score or a gradient is NaN or infinite.
        """
        score, gradient, notes = self._steady.run(lambda network: self._found(network, images, view, seed, shape))
        self._moved = True
        return score, gradient, (*notes, *self._steady.notes)

    def _found(
        self,
        network: Network,
        images: Tensor,
        view: Callable[[Tensor], Tensor],
        seed: int,
        shape: Callable[[Tensor], Tensor],
    ) -> tuple[Tensor, Tensor, tuple[str, ...]]:
        self._prepared.refresh(network)
        score, gradient = self._pass(images, view, seed, shape)
        size = gradient.abs().flatten(1).sum(1)
        if not torch.isfinite(size + score).all():
            raise FloatingPointError(
                f"the score is {score.tolist()} and its gradient is not finite: "
                "the network overflowed, or the learning rate is too high"
            )
        if size.all():
            return score, gradient, self._prepared.batching.notes
        with Rectifiers(redirected):
            _, other = self._pass(images, view, seed, shape)
        gradient = torch.where((size == 0).view(-1, 1, 1, 1), other, gradient)
        stuck = ~gradient.flatten(1).any(1)
        if stuck.all() and not self._moved:
            raise RuntimeError(self._cannot_move(score))
        note = "The plain gradient is zero here (a ReLU is shut), so the redirected one is used."
        if stuck.any():
            rows = ", ".join(str(i) for i in stuck.nonzero().flatten().tolist())
            note = f"No gradient reaches image {rows}: it stays as it is."
        return score, gradient, (*self._prepared.batching.notes, note)

    def _cannot_move(self, score: Tensor) -> str:
        what = ", ".join(str(one) for one in self.objectives[:3])
        return (
            f"no gradient reaches the picture from {what}: its score is {score[0].item():.4g} and stays so for every "
            "small change, also with redirected ReLU gradients. Another start or the layer before it may move."
        )

    @torch.enable_grad()
    def _pass(
        self, images: Tensor, view: Callable[[Tensor], Tensor], seed: int, shape: Callable[[Tensor], Tensor]
    ) -> tuple[Tensor, Tensor]:
        images = images.detach().requires_grad_()
        with dealing(Deal(seed)) as deal, Draws(deal):
            seen = view(images)
        activations = self._prepared(seen, seed)
        count = len(self.objectives)
        rows = [activations.of_image(i) if count > 1 else activations for i in range(count)]
        total, gradient = torch.zeros(len(images), device=self.device, dtype=self.dtype), torch.zeros_like(images)
        for k, (mask, parts) in enumerate(self._passes):
            none = total.new_zeros(1)
            scores = torch.cat([part.score(row) if part else none for part, row in zip(parts, rows, strict=True)])
            total = total + scores.detach()
            (found,) = gradients(scores, [images], self.network.dtype, retain_graph=k + 1 < len(self._passes))
            if found is None:
                continue
            found = shape(found)
            gradient = gradient + (found if mask is None else found * _resized(mask, images.shape[2:]))
        return total, gradient


@torch.inference_mode(False)
def check_objective(network: Network | nn.Module, objective: Objectives, images: Images) -> None:
    """Raises what `ascend` and `dream` would raise for this objective on these images, and starts nothing."""
    network = as_network(network)
    images = checked_images(images).detach().to(network.device, network.precision, copy=True)
    Ascent(network, objective, images)._prepared.keep()


def _one_for_each(objective: Objectives, batch: int) -> tuple[Objective, ...]:
    objectives = (objective,) if isinstance(objective, Objective) else tuple(objective)
    for one in objectives:
        if not isinstance(one, Objective):
            raise TypeError(f"an objective is made by channel, unit, logit, activity or custom, not {one!r}")
    if not isinstance(objective, Objective) and len(objectives) != batch:
        raise ValueError(f"{len(objectives)} objectives for {batch} images: give one, or one for each image")
    return objectives


def _passes(
    objectives: Sequence[Objective], size: Sequence[int], device: torch.device, dtype: torch.dtype
) -> list[tuple[Tensor | None, list[Objective | None]]]:
    """The objectives' terms in groups that share one backward pass: (mask (rows, 1, h, w) or None, one part a row).

    Terms with the same mask need one pass; a row with fewer masks than another sits the last ones out.
    """
    rows = []
    for one in objectives:
        groups: dict[int, list[Term]] = {}
        # A constant has no gradient to confine; without its company it would count as reaching the whole picture.
        company = next(term.mask for term in one.terms if term.layers)
        for term in one.terms:
            groups.setdefault(id(term.mask if term.layers else company), []).append(term)
        rows.append(list(groups.values()))
    passes = []
    for k in range(max(len(groups) for groups in rows)):
        parts = [Objective(tuple(groups[k])) if k < len(groups) else None for groups in rows]
        masks = [torch.zeros(*size) if part is None else _mask(part, size) for part in parts]
        mask = torch.stack([each.to(device, dtype) for each in masks])[:, None]
        passes.append((None if mask.eq(1).all() else mask, parts))
    return passes


def _mask(part: Objective, size: Sequence[int]) -> Tensor:
    mask = next(term.mask for term in part.terms if term.layers)
    return torch.ones(*size) if mask is None else mask


def _check(prepared: Prepared, objectives: Sequence[Objective]) -> None:
    """Scores one image, so that a channel out of range or a layer without gradient is an error before any work."""
    activations, stuck = prepared.probe()
    if stuck and stuck != [OUTPUT]:  # what is wrong with the output, its scores tell better
        raise _without_gradient(stuck[0])
    for one in objectives:
        with torch.no_grad():
            score = one.score(activations)
        if score.shape != (1,):
            raise ValueError(f"{one} must give one score for each image, not shape {tuple(score.shape)}")
    if stuck:
        raise _without_gradient(stuck[0])


def _without_gradient(layer: str) -> RuntimeError:
    return RuntimeError(
        f"no gradient flows back from layer {layer!r}: the network detaches it, "
        "or an operation before it cannot be differentiated"
    )


def _resized(mask: Tensor, size: Sequence[int]) -> Tensor:
    if tuple(mask.shape[2:]) == tuple(size):
        return mask
    return F.interpolate(mask, size=tuple(size), mode="bilinear", align_corners=False, antialias=True)


def framed(images: Tensor, start: Tensor, movable: Tensor | None) -> Tensor:
    """The images where they may change, the start where they may not."""
    return images if movable is None else torch.where(movable, images, start)
