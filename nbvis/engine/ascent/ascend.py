"""Gradient ascent on an image parameter, as a generator of steps."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..arguments import checked_lr, near, whole
from ..network.images import checked_images
from ..network.network import Network, as_network
from ..steps import PictureStep, Steps, changed
from .gradient import Ascent, framed
from .image_parameters import ImageParameter
from .objectives import Objectives
from .settings import Settings
from .transforms import STANDARD, Transform, apply

Optimizer = Callable[..., torch.optim.Optimizer]

_LR = 0.03
"""The learning rate where nobody chose one."""

OPTIMIZERS: dict[str, Optimizer] = {
    "adam": torch.optim.Adam,
    "nadam": torch.optim.NAdam,
    "adamw": torch.optim.AdamW,
    "sgd": torch.optim.SGD,
}


@dataclass(frozen=True)
class _AscentSettings(Settings):
    transforms: Sequence[Transform]


@torch.inference_mode(False)
def ascend(
    network: Network | nn.Module,
    objective: Objectives,
    image: ImageParameter,
    *,
    steps: int = 256,
    lr: float | None = None,
    transforms: Sequence[Transform] = STANDARD,
    optimizer: str | Optimizer = "nadam",
    seed: int = 0,
) -> Steps:
    """Changes images until they score high: gradient ascent on an image parameter, as a generator of steps.

    Each step transforms the images at random, runs the network as far as the objective needs, and lets the optimizer
    follow the gradient of the score. Where the plain gradient is exactly zero, the redirected ReLU gradient is used.
    The image parameter passed in stays as it is. Between two steps, `steps.send({"lr": 0.01})` changes `objective`,
    `lr` or `transforms` and returns the next step.

    The network may be trained meanwhile in another thread: each step has all its weights of one moment of the last
    second. Once they change under a step, it is made again on a copy of them, and from then on the run takes another
    about twice a second; `notes` say how many, and how long one took. PyTorch does not count what is written through
    `.data`: `with torch.no_grad(): weight.mul_(1)` tells the run of it.

    Args:
        network: a `Network` or a bare module.
        objective: one for all images, or a list with one for each.
        image: where it starts, a `Pixels` or a `Fourier`.
        steps: number of updates.
        lr: learning rate of the optimizer; 0 leaves the image as it is. None for 0.03, or for what the function given
            as `optimizer` has of its own.
        transforms: applied in turn to what the network sees; () for none.
        optimizer: "adam", "nadam", "adamw", "sgd", or a function ([tensor], lr=…) → torch optimizer that minimises;
            what a function makes keeps the learning rates it was made with until one is sent.
        seed: of the transforms.

    Yields:
        A `PictureStep` for each update; `step.image` is (batch, channels, height, width) in [0, 1].

    Raises:
        ValueError: at the call, if a layer, channel, mask, image or option does not fit; the message says what would.
        RuntimeError: at the call, if the network does not run on the images or a layer has no gradient; at the first
            step, if no gradient reaches any image.
        FloatingPointError: at the step where a score or gradient is no longer finite.

    Source: Erhan et al. 2009, "Visualizing higher-layer features of a deep network"; transforms and parametrisation of
    Olah, Mordvintsev and Schubert 2017, "Feature Visualization".

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
    made = _made(optimizer, image.values.requires_grad_(), lr if lr is None else checked_lr(lr))
    settings = _AscentSettings(objective, _LR if lr is None else lr, tuple(transforms))
    steps, ascent = whole(steps, "steps"), Ascent(network, objective, start)
    return ascent.kept(_ascend(ascent, image, start, settings, steps, made, seed))


# The decorator works step by step: a caller in inference mode would otherwise leave tensors without autograd behind.
@torch.inference_mode(False)
def _ascend(
    ascent: Ascent,
    image: ImageParameter,
    start: Tensor,
    settings: _AscentSettings,
    steps: int,
    optimizer: torch.optim.Optimizer,
    seed: int,
) -> Steps:
    values = image.values
    generator = torch.Generator()
    movable = ascent.movable(start.shape[2:])
    for index in range(steps):
        step_seed = seed * 1_000_003 + index

        def view(images: Tensor, now: _AscentSettings = settings, step_seed: int = step_seed) -> Tensor:
            return apply(now.transforms, images, generator.manual_seed(step_seed))

        with torch.enable_grad():
            images = framed(image.image(), start, movable)
            score, gradient, notes = ascent.gradient(images, view, step_seed)
            # The only minus sign: optimizers minimise, scores are to grow.
            (values.grad,) = torch.autograd.grad(images, values, -gradient)
        optimizer.step()
        with torch.no_grad():
            image.project()
            snapshot = image.holding(values.detach().clone())
        step = PictureStep(
            index,
            steps,
            notes,
            score,
            lambda snapshot=snapshot, movable=movable, start=start: framed(snapshot.image(), start, movable),
        )
        changes = yield step
        if changes:
            settings = changed(settings, changes)
            if "lr" in changes:
                for group in optimizer.param_groups:
                    group["lr"] = settings.lr
            if "objective" in changes:
                start = step.make_image()
                ascent.set_objective(settings.objective)
                movable = ascent.movable(start.shape[2:])


def _made(optimizer: str | Optimizer, values: Tensor, lr: float | None) -> torch.optim.Optimizer:
    """The optimizer of these values, by its name or as a function makes it."""
    if isinstance(optimizer, str):
        if optimizer not in OPTIMIZERS:
            raise ValueError(f"no optimizer {optimizer!r}{near(optimizer, list(OPTIMIZERS))}")
        optimizer = OPTIMIZERS[optimizer]
    if not callable(optimizer):
        raise TypeError(f"optimizer is a name or a function ([tensor], lr=…) → optimizer, not {optimizer!r}")
    own, taken = _own_lr(optimizer)
    if lr is not None and not taken:
        raise ValueError(f"the optimizer's function takes no lr, so there is no use for lr={lr:g}: leave it out")
    if lr is None and own:
        return optimizer([values])
    return optimizer([values], lr=_LR if lr is None else lr)


def _own_lr(make: Optimizer) -> tuple[bool, bool]:
    """Whether a function chooses a learning rate itself, and whether it takes one."""
    if isinstance(make, type):  # whose default is nobody's choice
        return False, True
    given = inspect.signature(make).parameters
    if "lr" in given:
        return given["lr"].default is not inspect.Parameter.empty, True
    taken = any(each.kind is each.VAR_KEYWORD for each in given.values())
    return not taken, taken
