"""Dropout inversion: the picture that gives a network without dropout the activation it had with dropout."""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial

import torch
from torch import Tensor, nn

from ..arguments import whole
from ..network.images import Images
from ..network.network import Network, as_network
from ..network.snapshots import Steady
from ..steps import Changes, PictureStep, changed
from .descent import Bounds, Descent, descent_by
from .inversion_arguments import (
    InversionSettings,
    Layers,
    checked_bounds,
    checked_levels,
    checked_names,
    checked_weights,
    images_within,
)
from .inversion_notes import unreached, unreached_layers
from .masks import checked_masks, row_numbers
from .mismatch import Match, Posed, refuse_infinite
from .noisy_passes import Active, Noisy


@dataclass(frozen=True, kw_only=True)
class InversionStep(PictureStep):
    """One update of an inversion, as a record; its `image` is what `loss` was found at, and `score` is minus `loss`.

    Attributes:
        loss: of each row, (rows,).
        converged: whether it is within the tolerance, (rows,); such a row does not change any more.
        masks: 0 and 1 as float, what each dropout dropped and kept: {its layer: (rows, …)}.
        clean_output: of the network for the input without dropout, (rows, …); None if it is not one tensor.
        noisy_output: of the network for the input with dropout up to the layer.
    """

    loss: Tensor
    converged: Tensor
    masks: dict[str, Tensor] = field(repr=False)
    clean_output: Tensor | None = field(repr=False)
    noisy_output: Tensor | None = field(repr=False)
    make_output: Callable[[Tensor], Tensor | None] = field(repr=False, compare=False)

    @cached_property
    def corrupted_output(self) -> Tensor | None:
        """Of the network for `image` without dropout, (rows, …); made when first asked for."""
        return self.make_output(self.image)


InversionSteps = Generator[InversionStep, Changes | None, None]


@torch.inference_mode(False)
def invert_dropout(
    network: Network | nn.Module,
    layer: Layers,
    images: Images,
    *,
    samples: int = 1,
    p: float | Sequence[float] | Tensor | None = None,
    masks: Mapping[str, Tensor] | None = None,
    steps: int = 10_000,
    tolerance: float = 1e-3,
    lr: float = 1e-2,
    optimizer: str = "lbfgs",
    bounds: Bounds = (0, 1),
    active: Active = None,
    insert: str | None = None,
    seed: int = 0,
    names: Sequence[str] | None = None,
) -> InversionSteps:
    """Changes images until the network without dropout answers as it did with dropout, as a generator of steps.

    One pass with dropout fixes the target t of a layer; then x goes down the mean of (a(x) − t)² over the layer's
    elements, where a is the layer's activation without dropout, from the input itself. With several layers the means
    are added, each with its weight. Everything but dropout stays in eval mode. A row, one sample of one picture, has
    its own masks, its own loss and its own end: it stops, to the bit, once its loss is within the tolerance. Between
    two steps, `steps.send({"lr": 0.1})` changes `lr` or `tolerance` and returns the next step.

    The network may be trained meanwhile (see `Network`). The target, with the same masks, is then found anew as well,
    and so are loss and gradient of all rows; "lbfgs" begins anew. A step's outputs are of its weights.

    Args:
        network: a `Network` or a bare module.
        layer: a layer's name, several, or {name: weight}.
        images: where it starts, (batch, channels, height, width), within `bounds`.
        samples: rows for each picture; rows are in the order of the pictures.
        p: probability of dropping, in place of every dropout's own; one, or one for each row.
        masks: what to keep (1) and drop (0) instead of drawing it, as an earlier step's `masks`; one row does for all.
        steps: number of updates at most.
        tolerance: the loss at which a row is done.
        lr: learning rate; for "lbfgs" the length of the first step, root mean square in units of pixel value.
        optimizer: "lbfgs", for each row by itself, "adam", or "sgd", which is plain gradient descent.
        bounds: the pixels' (lowest, highest), kept by projection, or None.
        active: what else is in train mode in the noisy pass: a function (name, module) → bool, or "train" for all.
            Batch norm then uses the statistics of one picture's samples; the network's own stay as they are.
        insert: a layer after which the noisy pass has dropout (of 0.5, or `p`), for a network without.
        seed: of the masks. They depend on it and on the picture, not on the batch; a higher `p` drops more of the same.
        names: what the notes call the rows; None for row 0, row 1, …

    Yields:
        An `InversionStep` for each update, until every row is within the tolerance or, with "lbfgs", gets no nearer;
        one without update if there is nothing to do. Where a row does not reach it, the last one says in `notes` why.

    Raises:
        ValueError: at the call, if a layer, a mask, an image or an option does not fit, or no dropout comes before the
            layer; the message says what would.
        RuntimeError: at the call, if the network does not run on the images or a layer has no gradient.
        FloatingPointError: if a loss or gradient is no longer finite; the message says at which step.

    Source: Bouthillier et al. 2015, "Dropout as data augmentation", arXiv 1506.08700, section 3.

    Example:
        >>> net = nn.Sequential(nn.Dropout(0.5), nn.Flatten(), nn.Linear(16, 16))
        >>> step = last(invert_dropout(net, "2", torch.rand(1, 1, 4, 4), tolerance=1e-6, bounds=None))
        >>> bool(step.converged), step.masks["0"].shape
        (True, torch.Size([1, 1, 4, 4]))
    """
    network, settings = as_network(network), InversionSettings(lr, tolerance)
    weights, bounds = checked_weights(layer), checked_bounds(bounds)
    images = images_within(images, bounds).detach().to(network.device, network.precision, copy=True)
    samples, steps, masks = whole(samples, "samples", least=1), whole(steps, "steps"), checked_masks(masks)
    start = images.repeat_interleave(samples, 0)
    numbers = row_numbers(images, samples, seed)
    levels = checked_levels(p, len(start), samples if active == "train" else 1)
    names = checked_names(names, len(start))
    descent = descent_by(optimizer, start, lr, bounds)

    def pose(network: Network) -> Posed:
        noisy = Noisy(network, list(weights), images[:1], active, insert)
        clean, target = noisy.clean(start, numbers), noisy.noisy(start, numbers, levels, masks, samples)
        return Posed(noisy, clean, target, (*noisy.notes, *unreached_layers(noisy, images, target)))

    steady, match = Steady(network), Match(pose, weights, start)
    found = steady.run(lambda network: match.start(network, start))
    assert found is not None
    return _invert(steady, match, descent, (start, *found), settings, steps, partial(_output, pose, numbers), names)


Place = tuple[Tensor, Tensor, Tensor]
"""Where a descent is: values (rows, …), loss (rows,) and gradient."""


# The decorator works step by step: a caller in inference mode would otherwise leave tensors without autograd behind.
@torch.inference_mode(False)
def _invert(
    steady: Steady,
    match: Match,
    descent: Descent,
    place: Place,
    settings: InversionSettings,
    steps: int,
    make_output: Callable[[Noisy, Tensor], Tensor | None],
    names: Sequence[str] | None,
) -> InversionSteps:
    curve = [place[1]]
    for index in range(max(1, steps)):
        if steps:
            place = steady.run(partial(_updated, match, descent, place, settings, index))
        values, loss, gradient = place
        curve.append(loss)
        converged = loss <= settings.tolerance
        ended = index + 1 >= steps or bool((converged | descent.stuck()).all())
        said = unreached(curve, gradient, values, descent, settings.tolerance, steps, names) if ended and steps else ()
        step = InversionStep(
            index,
            steps,
            (*match.notes, *steady.notes, *said),
            -loss,
            lambda values=values: values.clone(),
            loss=loss,
            converged=converged,
            masks=match.target.masks,
            clean_output=match.clean.output,
            noisy_output=match.target.output,
            make_output=partial(make_output, match.noisy),
        )
        changes = yield step
        if ended:
            return
        settings = changed(settings, changes)


def _updated(
    match: Match, descent: Descent, place: Place, settings: InversionSettings, index: int, network: Network
) -> Place:
    """The place after one update; target, loss and gradient are found anew first if the network has changed."""
    values, loss, gradient = place
    if (found := match.start(network, values)) is not None:
        loss, gradient = found
        descent.forget()
    open_rows = ((loss > settings.tolerance) & ~descent.stuck()).nonzero().flatten()
    if not len(open_rows):
        return values, loss, gradient
    trial = descent.propose(values, loss, gradient, settings.lr)
    height, slope = loss.clone(), gradient.clone()
    height[open_rows], slope[open_rows] = match(trial, open_rows)
    asked = torch.zeros_like(loss, dtype=torch.bool).index_fill(0, open_rows, True)
    goes = descent.accept(trial, height, slope, asked)
    # A careful descent takes an infinite trial back, until it has nowhere left to go.
    final = asked & descent.stuck() if descent.careful else asked
    refuse_infinite(height, slope, final.nonzero().flatten(), index + 1, settings.lr)
    shaped = goes.view(-1, 1, 1, 1)
    values, gradient = torch.where(shaped, trial, values), torch.where(shaped, slope, gradient)
    return values, torch.where(goes, height, loss), gradient


def _output(pose: Callable[[Network], Posed], numbers: Sequence[int], noisy: Noisy, images: Tensor) -> Tensor | None:
    def output(network: Network) -> Tensor | None:
        now = noisy if network is noisy.network else pose(network).noisy
        return now.clean(images, numbers).output

    return Steady(noisy.network).run(output)
