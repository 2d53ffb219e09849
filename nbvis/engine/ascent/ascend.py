"""Gradient ascent on an image parameter, as a generator of steps."""

import copy
import functools
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from ..arguments import number, whole
from ..network.images import checked_images
from ..network.network import Network, as_network
from ..steps import Changes, PictureStep, changed, kept_step
from .gradient import Ascent
from .image_parameters import ImageParameter
from .learning_rates import LearningRate
from .objective import Objectives
from .optimizers import Averaged, Optimizer, made_optimizer, mean_values
from .picture_masks import framed
from .regularisers import Regulariser, regularised
from .transforms import STANDARD, Transform, apply
from .weight_noise import noisy


@dataclass(frozen=True)
class AscentStep(PictureStep):
    """One update of an image parameter.

    Attributes:
        parameter: the image parameter that the image is of, from which another ascent can go on; what an objective's
            masks hold back is held back in `image` alone.
    """

    parameter: ImageParameter


@dataclass(frozen=True)
class AscentPlace:
    """Where an ascent is after a step.

    Attributes:
        parameter: the image parameter after the update, be the image of it or of a mean.
        start: what the images are where masks hold them; None if none do.
        memory: what the optimizer remembers of the steps before.
        group: the optimizer's own settings.
    """

    parameter: ImageParameter
    start: Tensor | None
    memory: dict[str, Any]
    group: dict[str, Any]


AscentSteps = Generator[AscentStep, Changes | None, None]


@dataclass(frozen=True)
class _AscentSettings:
    objective: Objectives
    lr: float | LearningRate
    transforms: Sequence[Transform]
    regularisers: Sequence[Regulariser]
    weight_noise: float
    residual: float
    steps: int

    def __post_init__(self):
        """Raises `ValueError` or `TypeError` for a value that a run cannot have."""
        if not callable(self.lr):
            number(self.lr, "lr")
        number(self.weight_noise, "weight_noise")
        number(self.residual, "residual", most=1)
        whole(self.steps, "steps")
        object.__setattr__(self, "transforms", _functions(self.transforms, "transforms", "jitter(8)"))
        object.__setattr__(self, "regularisers", _functions(self.regularisers, "regularisers", "decay(1e-4)"))


@torch.inference_mode(False)
def ascend(
    network: Network | nn.Module,
    objective: Objectives,
    image: ImageParameter,
    *,
    steps: int = 256,
    lr: float | LearningRate | None = None,
    transforms: Sequence[Transform] = STANDARD,
    regularisers: Sequence[Regulariser] = (),
    weight_noise: float = 0.0,
    residual: float = 0.5,
    optimizer: str | Optimizer = "averaged",
    seed: int = 0,
    after: PictureStep | None = None,
) -> AscentSteps:
    """Changes images until they score high: gradient ascent on an image parameter, as a generator of steps.

    Each step transforms the images at random, runs the network as far as the objective needs, lets the optimizer
    follow the gradient of the score, and regularises the pixels. What one gets to see is the mean of the newest steps,
    since other networks recognise it sooner than any of them. Where the plain gradient is exactly zero, the
    redirected ReLU gradient is used. The image parameter passed in stays as it is. Between two steps,
    `steps.send({"lr": 0.01})` changes `objective`, `lr`, `transforms`, `regularisers`, `weight_noise`, `residual` or
    `steps` and returns the next step. The network may be trained meanwhile (see `Network`). Published recipes are in
    `PRESETS`.

    Args:
        network: a `Network` or a bare module.
        objective: one for all images, or a list with one for each.
        image: where it starts: a `Pixels`, `Fourier` or `Maco`, or one of them `Masked` or with an `Alpha`.
        steps: number of updates.
        lr: learning rate of the optimizer; 0 leaves the image as it is. Or a function of score and gradient, such as
            `progress(2, most=0.1)`, for an optimizer of plain gradient steps, "sgd". None for what the function
            given as `optimizer` has of its own, or else for what suits the image: 0.1 for a `Maco`, 0.03 for others.
        transforms: applied in turn to what the network sees; () for none.
        regularisers: applied in turn to the pixels after each update, such as `decay(1e-4)`; only to those of `Pixels`.
        weight_noise: standard deviation of the normal numbers around 1 that a private copy of the weights is multiplied
            by, drawn anew for each step; 0 for none, and 0.2 is usual.
        residual: the share of the gradient that flows back through the residual branches of a network with skip
            connections, in [0, 1]; all of it flows past them. 1 is the plain gradient; with less, other networks
            recognise sooner what is drawn. Without skip connections all shares are alike.
        optimizer: "averaged", which is "nadam" and gives the image of its newest steps' mean, "nadam", "adam", "adamw",
            "sgd", or a function ([tensor], lr=…) → torch optimizer that minimises; what a function makes keeps the
            learning rates it was made with until one is sent.
        seed: of the transforms and all else that is drawn.
        after: a step of such a run to go on from, `step.keep()`, with what all else was then: it comes once more, and
            then those that followed, or with changed options would have.

    Yields:
        An `AscentStep` for each update; `step.image` is (batch, channels, height, width) in [0, 1].

    Raises:
        ValueError: at the call, if a layer, channel, mask, image or option does not fit; the message says what would.
        RuntimeError: at the call, if the network does not run on the images or a layer has no gradient; at the first
            step, if no gradient reaches any image.
        FloatingPointError: at the step where a score or gradient is no longer finite.

    Source: Erhan et al. 2009, "Visualizing higher-layer features of a deep network"; transforms and parametrisation of
    Olah, Mordvintsev and Schubert 2017, "Feature Visualization"; noise on the weights of Bykov et al. 2022,
    "NoiseGrad", arXiv 2106.10185; the gradient past residual branches of Wu et al. 2020, "Skip Connections Matter",
    arXiv 2002.05990; the mean of the steps of Polyak and Juditsky 1992, "Acceleration of stochastic approximation by
    averaging".

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
        >>> step = last(ascend(net, channel("1", 2), Fourier(32, 32), steps=3))
        >>> step.index, step.image.shape
        (2, torch.Size([1, 3, 32, 32]))
    """
    network = as_network(network)
    if not isinstance(image, ImageParameter):
        raise TypeError(f"ascend starts from an image parameter, such as Pixels(images), not {type(image).__name__}")
    image = image.holding(image.values.detach().to(network.device, network.precision, copy=True))
    start = checked_images(image.image(), name="the image parameter's images")
    kept = kept_step(after, AscentStep)
    place: AscentPlace | None = kept and kept.make_place()
    image = image if place is None else place.parameter.holding(place.parameter.values.clone())
    lr = lr if lr is None or callable(lr) else number(lr, "lr")
    made = made_optimizer(optimizer, image.values.requires_grad_(), 1.0 if callable(lr) else lr, image.usual_lr)
    lr = image.usual_lr if lr is None else lr
    settings = _AscentSettings(objective, lr, transforms, regularisers, weight_noise, residual, steps)
    _check(settings, image, made)
    ascent = Ascent(network, objective, start, moved=after is not None)
    if kept and place:
        start = kept.make_image() if place.start is None else place.start
        _recall(made, image.values, place)
    return ascent.kept(_ascend(ascent, image, *_held_back(ascent, start), settings, made, seed, kept))


# The decorator works step by step: a caller in inference mode would otherwise leave tensors without autograd behind.
@torch.inference_mode(False)
def _ascend(
    ascent: Ascent,
    image: ImageParameter,
    start: Tensor | None,
    movable: Tensor | None,
    settings: _AscentSettings,
    optimizer: torch.optim.Optimizer,
    seed: int,
    after: AscentStep | None,
) -> AscentSteps:
    step, index = after, after.index if after else 0
    while step is not None or index < settings.steps:
        if step is None:
            score, notes = _update(ascent, image, start, movable, settings, optimizer, seed * 1_000_003 + index, index)
            step = AscentStep(index, settings.steps, notes, score, *_snapshot(image, optimizer, start, movable))
        place = functools.partial(_place, step, start, optimizer, image.values)
        newest, step, index = replace(step, total=settings.steps, make_place=place), None, index + 1
        changes = yield newest
        if changes:
            settings = changed(settings, changes)
            _check(settings, image, optimizer)
            if "lr" in changes:
                for group in optimizer.param_groups:
                    group["lr"] = 1.0 if callable(settings.lr) else settings.lr
            if "objective" in changes:
                ascent.set_objective(settings.objective)
                start, movable = _held_back(ascent, newest.make_image())


def _held_back(ascent: Ascent, images: Tensor) -> tuple[Tensor | None, Tensor | None]:
    """These images, if masks hold back something of them, and where they may move; None and None if not."""
    movable = ascent.movable(images.shape[2:])
    return None if movable is None else images, movable


def _uphill(values: Tensor, images: Tensor, gradient: Tensor, score: Tensor, price: Tensor | None) -> Tensor:
    """The gradient at the values, from that at the images: of the score, less what the images have to give up of it."""
    if price is None:
        return torch.autograd.grad(images, values, gradient)[0]
    kept = (1 - price.detach()).view(-1, 1, 1, 1)
    return torch.autograd.grad([images, price], values, [kept * gradient, -score.abs()])[0]


def _update(
    ascent: Ascent,
    image: ImageParameter,
    start: Tensor | None,
    movable: Tensor | None,
    settings: _AscentSettings,
    optimizer: torch.optim.Optimizer,
    seed: int,
    index: int,
) -> tuple[Tensor, tuple[str, ...]]:
    """One update; the score before it, and notes."""
    uphill, score, notes = _gradient(ascent, image, start, movable, settings, seed)
    _follow(image, uphill, score, settings, optimizer, index)
    return score, notes


def _gradient(
    ascent: Ascent,
    image: ImageParameter,
    start: Tensor | None,
    movable: Tensor | None,
    settings: _AscentSettings,
    seed: int,
) -> tuple[Tensor, Tensor, tuple[str, ...]]:
    """The gradient at what the images are made of, the score, and notes."""
    generator, pair = torch.Generator(), ascent.network.pair

    def view(images: Tensor) -> Tensor:
        changed_at_random = functools.partial(apply, settings.transforms, generator=generator.manual_seed(seed))
        return pair.alone(images, changed_at_random) if pair else changed_at_random(images)

    with torch.enable_grad():
        images, price = framed(image.shown(generator.manual_seed(seed)), start, movable), image.price()
        noise = functools.partial(noisy, sd=settings.weight_noise, seed=seed)
        score, gradient, notes = ascent.gradient(images, view, seed, altered=noise, residual=settings.residual)
    return _uphill(image.values, images, gradient, score, price), score, notes


def _snapshot(
    image: ImageParameter, optimizer: torch.optim.Optimizer, start: Tensor | None, movable: Tensor | None
) -> tuple[Callable[[], Tensor], ImageParameter]:
    """What makes the images of now, and the image parameter of now."""
    snapshot = image.holding(mean_values(image.values, optimizer.state[image.values]).detach().clone())
    return lambda: framed(snapshot.image(), start, movable), snapshot


def _place(step: AscentStep, start: Tensor | None, optimizer: torch.optim.Optimizer, values: Tensor) -> AscentPlace:
    """Where the run is after its newest step: what the optimizer remembers is copied only for whoever asks."""
    memory = optimizer.state[values]
    if not torch.equal(mean_values(values, memory), step.parameter.values):
        raise ValueError(f"the run has gone on from step {step.index}: keep a step before you ask for the next one")
    group = {name: value for name, value in optimizer.param_groups[0].items() if name != "params"}
    reached = step.parameter.holding(values.detach().clone())
    return AscentPlace(reached, start, copy.deepcopy(dict(memory)), copy.deepcopy(group))


def _recall(optimizer: torch.optim.Optimizer, values: Tensor, place: AscentPlace) -> None:
    """Has an optimizer remember what it did."""
    optimizer.state[values] = copy.deepcopy(place.memory)
    optimizer.param_groups[0].update(copy.deepcopy(place.group))


@torch.no_grad()
def _follow(
    image: ImageParameter,
    gradient: Tensor,
    score: Tensor,
    settings: _AscentSettings,
    optimizer: torch.optim.Optimizer,
    index: int,
) -> None:
    """One update of what the images are made of, up the gradient at it."""
    scaled = gradient
    if callable(settings.lr):
        scaled = gradient * settings.lr(score, gradient).view(-1, *[1] * (gradient.dim() - 1))
    # The only minus sign: optimizers minimise, scores are to grow.
    image.values.grad = -scaled
    optimizer.step()
    image.values.grad = None
    if settings.regularisers and image.center is not None:
        center = image.center.to(image.values)
        image.values.copy_(center + regularised(settings.regularisers, image.values - center, gradient, index))
    image.project()
    if isinstance(optimizer, Averaged):
        optimizer.remember(image.values)


def _check(settings: _AscentSettings, image: ImageParameter, optimizer: torch.optim.Optimizer) -> None:
    """Raises `ValueError` for settings that do not go with what is optimised, or by what."""
    if settings.regularisers and image.center is None:
        kind = type(image).__name__
        raise ValueError(
            f"regularisers act on pixels, and what a {kind} optimises are none: start from Pixels(image.image()), "
            f"or leave out {list(settings.regularisers)}"
        )
    if callable(settings.lr) and not isinstance(optimizer, torch.optim.SGD):
        raise ValueError(
            f"lr={settings.lr!r} goes by the length of the gradient, which {type(optimizer).__name__} divides by: give "
            'optimizer="sgd", or a number'
        )


def _functions(given: Any, what: str, such: str) -> tuple[Callable[..., Tensor], ...]:
    found = tuple(given) if isinstance(given, Iterable) else None
    if found is None or not all(map(callable, found)):
        raise TypeError(f"{what} is a list of functions, such as [{such}], not {given!r}")
    return found
