"""Scores of an objective and their gradient at the images, once for each step."""

import functools
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

from ..network.images import Images, checked_images
from ..network.layer_names import OUTPUT
from ..network.network import Network, as_network
from ..network.pass_errors import without_gradient
from ..network.random_draws import Draws
from ..network.random_state import Deal, dealing, unchanged_chance
from ..network.relu_rules import Rectifiers, redirected
from ..network.residual_branches import hold_back
from ..steps import Changes, PictureStep
from .backward_passes import backward_passes, there_and_back
from .looking import Looking
from .objective import Objective, Objectives
from .picture_masks import resized
from .reference import Beside, References, View

_S = TypeVar("_S", bound=PictureStep)


class Ascent:
    """Scores and gradients of an objective on a network, step after step, each by the newest weights.

    Args:
        network: the network.
        objective: one for all images, or a list with one for each.
        images: the start, (batch, channels, height, width) in [0, 1].
        trial: pictures the network is tried on instead, for instance the smallest it will see.
        moved: whether it goes on with a run that has made a step already.

    Raises:
        ValueError: if a layer, a channel or a mask does not fit; the message says what would.
        RuntimeError: if the network does not run on the images, or no gradient can flow back from a layer.
    """

    def __init__(
        self,
        network: Network,
        objective: Objectives,
        images: Tensor,
        trial: Tensor | None = None,
        moved: bool = False,
    ):
        self.network = network
        self.device, self.dtype = network.device, network.precision
        # What they are like without their memory: a grid's images change with each step, and the first ones go.
        self._images = images.new_zeros(()).expand(images.shape)
        self._trial = (images if trial is None else trial)[:1].clone()
        self._moved = moved
        self._looking = self._for(objective, None)

    def kept(self, run: Generator[_S, Changes | None, None]) -> Generator[_S, Changes | None, None]:
        """The run; once it is over or closed, the network as it was made ready is left to the next one."""
        try:
            yield from run
        except GeneratorExit:
            self._looking.keep()
            raise
        self._looking.keep()

    def set_objective(self, objective: Objectives) -> None:
        """Climbs another objective from now on; if it does not fit, the error leaves the old one in place."""
        held = self._looking
        self._looking = self._for(objective, held)
        held.keep(but=self._looking)

    def _for(self, objective: Objectives, held: Looking | None) -> Looking:
        """Takes the objective, and gives the networks ready for it: what is held, as far as that will do."""
        objectives = _one_for_each(objective, len(self._images))
        masks = {id(t.mask): t.mask for o in objectives for t in o.terms if t.mask is not None}
        for mask in masks.values():
            if mask.shape != self._images.shape[2:]:
                raise ValueError(
                    f"a mask must have the picture's {tuple(self._images.shape[2:])} pixels, not {tuple(mask.shape)}"
                )
        references = References(objectives, self._images, self.network.pair)
        looking = Looking(self.network, objectives, self._trial, held)

        def prepare(now: Mapping[Network, Network]) -> None:
            looking.prepare(now, held)
            references.forget()
            _check(looking, objectives, references, self._trial, len(self._images))

        looking.run(prepare)
        self.objectives, self._references = objectives, references
        self._passes = backward_passes(objectives, self._images.shape[2:], self.device, self.dtype)
        return looking

    def movable(self, size: Sequence[int]) -> Tensor | None:
        """Where the objectives' masks let the images change, (batch, 1, height, width) of True; None for everywhere."""
        if any(mask is None for mask, _ in self._passes):
            return None
        return torch.stack([resized(mask, size) > 0 for mask, _ in self._passes if mask is not None]).any(0)

    def gradient(
        self,
        images: Tensor,
        view: View,
        seed: int,
        shape: Callable[[Tensor], Tensor] = lambda gradient: gradient,
        altered: Callable[[Network], Network] = lambda network: network,
        residual: float = 1.0,
    ) -> tuple[Tensor, Tensor, tuple[str, ...]]:
        """The score of each image, the gradient at the images, and sentences about how it was found.

        Where an image's plain gradient is exactly zero, it gets the redirected ReLU gradient.

        Args:
            images: (batch, channels, height, width).
            view: what the network sees of them; it must draw the same each time it is called.
            seed: for a network that draws random numbers in its forward pass.
            shape: applied to each masked part's gradient before its mask.
            altered: what each network is to be at this step.
            residual: the share of the gradient that flows back through residual branches.

        Returns:
            score (batch,), gradient like the images, and notes.

        Raises:
            RuntimeError: if not one image has ever had a gradient, masks or no masks.
            FloatingPointError: if a score or a gradient is NaN or infinite.
        """

        def found(now: Mapping[Network, Network]) -> tuple[Tensor, Tensor, tuple[str, ...]]:
            altered_now = {each: altered(own) for each, own in now.items()}
            return self._found(altered_now, images, view, seed, shape, residual)

        score, gradient, notes = self._looking.run(found)
        self._moved = True
        return score, gradient, (*notes, *self._looking.copies)

    def _found(
        self,
        now: Mapping[Network, Network],
        images: Tensor,
        view: View,
        seed: int,
        shape: Callable[[Tensor], Tensor],
        residual: float,
    ) -> tuple[Tensor, Tensor, tuple[str, ...]]:
        if self._looking.refresh(now):
            self._references.forget()
        seen = functools.partial(_seen, view=view, seed=seed)
        show = functools.partial(self._looking.shown, seed=seed, others=True)
        beside = self._references.seen(images.shape[2:], seen, show)
        score, gradient, _, said = self._pass(images, view, seed, shape, beside, residual)
        size = torch.linalg.vector_norm(gradient, 1, dim=(1, 2, 3))
        if not torch.isfinite(size + score).all():
            raise FloatingPointError(
                f"the score is {score.tolist()} and its gradient is not finite: "
                "the network overflowed, or the learning rate is too high"
            )
        notes = (*self._looking.notes, *self._references.notes, *said)
        if size.all():
            return score, gradient, notes
        with Rectifiers(redirected):
            _, other, masked, _ = self._pass(images, view, seed, shape, beside, residual, only=size == 0)
        gradient = torch.where((size == 0).view(-1, 1, 1, 1), other, gradient)
        stuck = ~gradient.flatten(1).any(1)
        if stuck.all() and not self._moved and not masked.any():
            # What the view shows at one step may have nothing of it: whether it can move, all of the picture tells.
            with Rectifiers(redirected):
                _, whole, _, _ = self._pass(images, lambda all_: all_, seed, shape, beside, residual)
            if not whole.any():
                raise RuntimeError(self._cannot_move(score))
        note = "The plain gradient is zero here (a ReLU is shut), so the redirected one is used."
        if stuck.any() and masked[stuck].all():
            note = (
                "Nothing that the masks let change is in what the network was shown at this step, or moves the score."
            )
        elif stuck.any():
            rows = ", ".join(str(i) for i in stuck.nonzero().flatten().tolist())
            note = f"No gradient reaches image {rows} at this step."
        return score, gradient, (*notes, note)

    def _cannot_move(self, score: Tensor) -> str:
        what = ", ".join(str(one) for one in self.objectives[:3])
        return (
            f"no gradient reaches the picture from {what}: its score is {score[0].item():.4g} and stays so for every "
            "small change, also with redirected ReLU gradients. Another start or the layer before it may move."
        )

    @torch.enable_grad()
    def _pass(
        self,
        images: Tensor,
        view: View,
        seed: int,
        shape: Callable[[Tensor], Tensor],
        beside: Sequence[Beside],
        residual: float,
        only: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor, tuple[str, ...]]:
        """The scores, their gradient, whether masks hold back what else there is of it, and sentences.

        Where `only` some images are wanted, (batch,) of bool, those that need not be shown have zeros.
        """
        images = images.detach().requires_grad_()
        seen = _seen(images, view, seed)
        scores, backward, notes = self._few_by_few(seen, seed, beside, residual, only)
        gradient, masked = None, torch.zeros(len(images), device=self.device, dtype=torch.bool)
        for k, (mask, _) in enumerate(self._passes if seen.requires_grad else ()):
            again = k + 1 < len(self._passes)
            (found,) = torch.autograd.grad(seen, images, backward[k], retain_graph=again)
            found = shape(found)
            if mask is not None:
                masked |= found.flatten(1).any(1)
                found = found * resized(mask, images.shape[2:])
            gradient = found if gradient is None else gradient + found
        return scores, torch.zeros_like(images) if gradient is None else gradient, masked, notes

    def _few_by_few(
        self, seen: Tensor, seed: int, beside: Sequence[Beside], residual: float, only: Tensor | None
    ) -> tuple[Tensor, list[Tensor], tuple[str, ...]]:
        """The scores, the gradient at what is seen for each backward pass, and sentences; some images at a time."""
        dtype, few = torch.float16 if self._looking.half else self.network.dtype, self._at_once(seen)
        make = torch.empty_like if only is None else torch.zeros_like
        scores, backward = seen.new_zeros(len(seen)), [make(seen) for _ in self._passes]
        notes: dict[str, None] = {}
        wanted = [*range(len(seen))]
        if only is not None and few < len(seen):  # one that is scored beside the others is shown beside them
            wanted = only.nonzero().flatten().tolist()
        for first in range(0, len(wanted), few):
            rows = wanted[first : first + few]
            own = seen[rows].detach().requires_grad_()
            activations = self._looking.shown(own, seed)
            if residual < 1:
                hold_back(activations.tensors(), own, residual)
            scores[rows], found = there_and_back(self._passes, rows, own, activations, beside, dtype)
            for whole, part in zip(backward, found, strict=True):
                whole[rows] = part
            objectives = self.objectives if len(self.objectives) == 1 else [self.objectives[i] for i in rows]
            notes |= dict.fromkeys(note for one in objectives for note in one.notes(activations))
        return scores, backward, tuple(notes)

    def _at_once(self, seen: Tensor) -> int:
        """How many images go through the network together: all, where one may be scored with another in view."""
        terms = [term for one in self.objectives for term in one.terms]
        if len(self.objectives) < len(seen) or any(term.whole or term.references for term in terms):
            return len(seen)
        return self._looking.at_once(seen)


def _seen(images: Tensor, view: View, seed: int) -> Tensor:
    """What a view shows, with random numbers of its own."""
    with dealing(Deal(seed)) as deal, Draws(deal):
        return view(images)


@torch.inference_mode(False)
def check_objective(network: Network | nn.Module, objective: Objectives, images: Images) -> None:
    """Raises what `ascend` and `dream` would raise for this objective on these images, and starts nothing."""
    network = as_network(network)
    images = checked_images(images).detach().to(network.device, network.precision, copy=True)
    Ascent(network, objective, images)._looking.keep()


def _one_for_each(objective: Objectives, batch: int) -> tuple[Objective, ...]:
    objectives = (objective,) if isinstance(objective, Objective) else tuple(objective)
    for one in objectives:
        if not isinstance(one, Objective):
            raise TypeError(f"an objective is made by channel, unit, logit, activity or custom, not {one!r}")
    if not isinstance(objective, Objective) and len(objectives) != batch:
        raise ValueError(f"{len(objectives)} objectives for {batch} images: give one, or one for each image")
    return objectives


def _check(
    looking: Looking, objectives: Sequence[Objective], references: References, trial: Tensor, batch: int
) -> None:
    """Scores one image, so that a channel out of range or a layer without gradient is an error before any work.

    Objectives that look at more than an image itself score as many of it as there are.
    """
    count = batch if any(t.whole or t.references for one in objectives for t in one.terms) else 1
    with torch.no_grad(), unchanged_chance():
        activations, stuck = looking.probe(count)
        if stuck and stuck != [OUTPUT]:  # what is wrong with the output, its scores tell better
            raise without_gradient(stuck[0])
        show = functools.partial(looking.shown, others=True)
        beside = references.seen(trial.shape[2:], lambda images: images, show)
        for k, one in enumerate(objectives):
            score = one.score(activations, beside[k])
            if score.shape != (count,):
                raise ValueError(f"{one} must give one score for each image, not shape {tuple(score.shape)}")
    if stuck:
        raise without_gradient(stuck[0])
