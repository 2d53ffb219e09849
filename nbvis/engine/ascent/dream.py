"""DeepDream: normalised gradient steps on a photograph, from a coarse scale to a fine one."""

import math
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..arguments import number, whole
from ..network.images import Images, checked_images
from ..network.network import Network, as_network
from ..steps import Changes, PictureStep, Steps, changed, kept_step
from .gradient import Ascent
from .objective import Objectives
from .picture_masks import framed
from .transforms import warped

SMOOTHING_KERNEL = 9
"""Side of the Gaussian kernels that smooth a gradient, pixels."""


@dataclass(frozen=True)
class DreamStep(PictureStep):
    """One update of a dream.

    Attributes:
        octave: the octave it belongs to, from 1.
        octaves: how many there are.
        round: the dream it belongs to, from 1, where each begins with the picture of the one before.
        rounds: how many there are, None where there is no end.
    """

    octave: int
    octaves: int
    round: int = 1
    rounds: int | None = 1


@dataclass(frozen=True)
class DreamPlace:
    """Where a dream is after a step.

    Attributes:
        bases: the images at each octave's size.
        detail: what was dreamed so far, of the octave's size.
        octave: from 1.
        inner: updates made in it.
        round: of several dreams, from 1.
    """

    bases: tuple[Tensor, ...]
    detail: Tensor
    octave: int
    inner: int
    round: int = 1


@dataclass(frozen=True)
class DreamSettings:
    """What of a dream may change while it goes; as `dream` takes it."""

    objective: Objectives
    lr: float
    steps: int
    jitter: int
    rotation: float
    smoothing: float | None

    def __post_init__(self):
        """Raises `ValueError` for a value that a run cannot have."""
        number(self.lr, "lr")
        whole(self.steps, "steps")
        whole(self.jitter, "jitter, in pixels,")
        if not (isinstance(self.rotation, int | float) and 0 <= self.rotation <= 360):
            raise ValueError(f"rotation is in degrees from 0 to 360, not {self.rotation!r}")
        if self.smoothing is not None and not (
            isinstance(self.smoothing, int | float) and 0 < self.smoothing < math.inf
        ):
            raise ValueError(f"smoothing is None or a number above 0, not {self.smoothing!r}")


@torch.inference_mode(False)
def dream(
    network: Network | nn.Module,
    objective: Objectives,
    images: Images,
    *,
    octaves: int = 4,
    octave_scale: float = 1.4,
    steps: int = 10,
    lr: float = 0.015,
    jitter: int = 32,
    rotation: float = 0.0,
    smoothing: float | None = None,
    seed: int = 0,
    after: PictureStep | None = None,
) -> Steps:
    """Enhances in photographs what an objective likes, coarse scales first, as a generator of steps.

    The images are reduced to each octave's size; what was dreamed at one octave is enlarged and added to the next. A
    step rolls and turns the images at random, takes the gradient of the score, divides it by its standard deviation
    and adds `lr` times that; pixels are kept in [0, 1]. Each mask of the objective confines its own normalised
    gradient and they are added; pixels that no mask reaches stay as they are, to the bit. Between two steps,
    `steps.send({"lr": 0.01})` changes `objective`, `lr`, `steps`, `jitter`, `rotation` or `smoothing` and returns the
    next step. The network may be trained meanwhile (see `Network`).

    Args:
        network: a `Network` or a bare module.
        objective: one for all images, or a list with one for each.
        images: where it starts, (batch, channels, height, width) in [0, 1].
        octaves: number of scales, the last being the images' own size.
        octave_scale: ratio of one octave's size to that of the octave before, above 1.
        steps: updates in each octave.
        lr: size of a step, in standard deviations of the gradient to units of pixel value; 0 returns the images.
        jitter: largest roll in each direction, pixels.
        rotation: full width of the range of random angles, degrees.
        smoothing: None, or what is added to the growing width of the Gaussians that smooth the gradient, pixels.
        seed: of roll and rotation.
        after: a step of such a dream to go on from, `step.keep()`, with what all else was then: it comes once more,
            and then those that followed, or with changed options would have.

    Yields:
        A `DreamStep` for each update; `step.image` has the size of its octave.

    Raises:
        ValueError: at the call, if a layer, channel, mask, image or option does not fit; the message says what would.
        RuntimeError: at the call, if the network does not run at the smallest octave; at the first step, if no
            gradient reaches any image.
        FloatingPointError: at the step where a score or gradient is no longer finite.

    Source: Mordvintsev, Olah and Tyka 2015, "Inceptionism"; masks, rotation and smoothing as in Torch-Dreams 1.1.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
        >>> steps = dream(net, activity("1"), torch.rand(1, 3, 40, 60), octaves=2, steps=1)
        >>> [tuple(step.image.shape) for step in steps]
        [(1, 3, 28, 42), (1, 3, 40, 60)]
    """
    network = dreamable(network)
    images = checked_images(images).detach().to(network.device, network.precision, copy=True)
    sizes = octave_sizes(images.shape[2], images.shape[3], octaves, octave_scale)
    settings = DreamSettings(objective, lr, steps, jitter, rotation, smoothing)
    bases = bases_of(images, sizes)
    kept = kept_dream(after, sizes)
    ascent = Ascent(network, objective, images, trial=bases[0], moved=after is not None)
    return ascent.kept(octave_by_octave(ascent, bases, settings, seed, after=kept))


def dreamable(network: Network | nn.Module) -> Network:
    """The network, if it can be dreamt with.

    Raises:
        ValueError: if it compares pairs, whose octaves and shifts would mix the two pictures.
    """
    network = as_network(network)
    if network.pair:
        raise ValueError(
            f"{network.name} compares pairs of pictures, and a dream is made of a single one, whose octaves and shifts "
            "would mix the two: ascend(network, objective, Fourier(height, 2 * width)) optimises pairs"
        )
    return network


def octave_sizes(height: int, width: int, octaves: int, octave_scale: float) -> list[tuple[int, int]]:
    """The (height, width) of each octave, smallest first: int(size · scale ** -n), n counting down to 0.

    Raises:
        ValueError: if there is no octave, the scale is not above 1, or the smallest would have no pixels.

    Example:
        >>> octave_sizes(200, 300, 4, 1.4)
        [(72, 109), (102, 153), (142, 214), (200, 300)]
    """
    whole(octaves, "octaves", least=1)
    if octaves > 1 and not (isinstance(octave_scale, int | float) and 1 < octave_scale < math.inf):
        raise ValueError(f"octave_scale is a ratio above 1, not {octave_scale!r}")
    sizes = [(int(height * octave_scale**-n), int(width * octave_scale**-n)) for n in range(octaves - 1, -1, -1)]
    if min(sizes[0]) < 1:
        raise ValueError(f"{octaves} octaves of scale {octave_scale} leave {sizes[0]} of {height} × {width} pixels")
    return sizes


def kept_dream(after: PictureStep | None, sizes: Sequence[tuple[int, int]]) -> DreamStep | None:
    """The step that a dream with octaves of these sizes is to go on from, None for none.

    Raises:
        TypeError: if it is no step of a dream.
        ValueError: if that dream had octaves of other sizes.
    """
    step = kept_step(after, DreamStep)
    found = sizes if step is None else [tuple(base.shape[2:]) for base in step.make_place().bases]
    if list(found) != list(sizes):
        raise ValueError(f"after is a step of a dream with octaves of {found} pixels, not {list(sizes)}")
    return step


@torch.inference_mode(False)
def octave_by_octave(
    ascent: Ascent,
    bases: Sequence[Tensor],
    settings: DreamSettings,
    seed: int,
    index: int = 0,
    after: DreamStep | None = None,
) -> Generator[DreamStep, Changes | None, None]:
    """The steps of a dream.

    Args:
        ascent: gives the gradients.
        bases: the images at each octave's size, smallest first.
        settings: to begin with.
        seed: of roll and rotation, which each step draws by its own number.
        index: that number for the first step.
        after: the step to go on from; None for the start.
    """
    step, place = None, DreamPlace(tuple(bases), torch.zeros_like(bases[0]), 1, 0)
    if after is not None:
        place, index = after.make_place(), after.index + 1
        step = replace(after, total=_total(after.index, place, settings))
    while place.octave <= len(bases):
        size = place.bases[place.octave - 1].shape[2:]
        place = replace(place, detail=_resized_to(place.detail, size))
        movable = ascent.movable(size)
        while step or place.inner < settings.steps:
            if step is None:
                step, place = _updated(ascent, place, settings, movable, seed, index)
                index += 1
            changes, before, step = (yield step), step, None
            if changes:
                settings = changed(settings, changes)
                if "objective" in changes:
                    place = _carried(place, before.make_image(), ascent)
                    ascent.set_objective(settings.objective)
                    movable = ascent.movable(size)
        place = replace(place, octave=place.octave + 1, inner=0)


def _updated(
    ascent: Ascent, place: DreamPlace, settings: DreamSettings, movable: Tensor | None, seed: int, index: int
) -> tuple[DreamStep, DreamPlace]:
    """One update."""
    base, detail = place.bases[place.octave - 1], place.detail
    step_seed = seed * 1_000_003 + index
    # Enlarged detail may leave [0, 1] until the first update of its octave; as it is, it gives the gradient.
    score, gradient, notes = ascent.gradient(
        framed(base + detail, base, movable),
        _view(settings, torch.Generator(), step_seed),
        step_seed,
        _shape(settings, place.inner),
    )
    detail = (detail + settings.lr * gradient).clamp(-base, 1 - base)
    place = replace(place, detail=detail, inner=place.inner + 1)
    step = DreamStep(
        index,
        _total(index, place, settings),
        notes,
        score,
        lambda: _painted(base, detail, movable),
        place.octave,
        len(place.bases),
        make_place=lambda: place,
    )
    return step, place


def _total(index: int, place: DreamPlace, settings: DreamSettings) -> int:
    """How many steps there are by the end of the dream, if it is there after the step of a number."""
    return index + 1 + settings.steps - place.inner + (len(place.bases) - place.octave) * settings.steps


def _carried(place: DreamPlace, painted: Tensor, ascent: Ascent) -> DreamPlace:
    """The same place with what was dreamed so far in the pictures: also in all finer ones, where the masks let it.

    It belongs to the picture then, also where the next masks let nothing change.
    """
    detail, bases = painted - place.bases[place.octave - 1], list(place.bases)
    bases[place.octave - 1] = painted
    for later in range(place.octave, len(bases)):
        finer = bases[later].shape[2:]
        bases[later] = _painted(bases[later], _resized_to(detail, finer), ascent.movable(finer))
    return replace(place, bases=tuple(bases), detail=torch.zeros_like(detail))


def bases_of(images: Tensor, sizes: Sequence[tuple[int, int]]) -> list[Tensor]:
    """The images at each octave's size, each reduced from the next larger one."""
    bases = [images]
    for size in reversed(sizes[:-1]):
        bases.insert(0, _resized_to(bases[0], size).clamp(0, 1))
    return bases


def _resized_to(images: Tensor, size: Sequence[int]) -> Tensor:
    if tuple(images.shape[2:]) == tuple(size):
        return images
    smaller = size[0] < images.shape[2]
    return F.interpolate(images, size=tuple(size), mode="bilinear", align_corners=False, antialias=smaller)


def _painted(base: Tensor, detail: Tensor, movable: Tensor | None) -> Tensor:
    return framed((base + detail).clamp(0, 1), base, movable)


def _view(settings: DreamSettings, generator: torch.Generator, seed: int) -> Callable[[Tensor], Tensor]:
    """Rolls and turns all images alike; autograd then brings the gradient back by the exact adjoint."""

    def view(images: Tensor) -> Tensor:
        generator.manual_seed(seed)
        span = 2 * settings.jitter + 1
        down, right = torch.randint(0, span, (2,), generator=generator).sub(settings.jitter).tolist()
        turn = (torch.rand((), generator=generator, dtype=torch.float64).item() - 0.5) * settings.rotation
        rolled = images.roll((down, right), (2, 3)) if down or right else images
        return warped(rolled, [1.0] * len(images), [turn] * len(images))

    return view


def _shape(settings: DreamSettings, inner: int) -> Callable[[Tensor], Tensor]:
    """Smooths a gradient, if asked, and divides it by its standard deviation in each image."""

    def shape(gradient: Tensor) -> Tensor:
        if settings.smoothing is not None:
            sd = 2 * (inner + 1) / settings.steps + settings.smoothing
            gradient = torch.stack([_blurred(gradient, s) for s in (sd / 2, sd, 2 * sd)]).sum(0)
        spread = gradient.flatten(1).std(1).view(-1, 1, 1, 1)
        largest = gradient.abs().flatten(1).amax(1).view(-1, 1, 1, 1)
        # Where it is the same everywhere, its deviation is rounding alone and dividing by it would be an explosion.
        spread = torch.where(spread > 1e-6 * largest, spread, largest)
        return gradient / torch.where(spread > 0, spread, 1)

    return shape


def _blurred(images: Tensor, sd: float) -> Tensor:
    side = min(SMOOTHING_KERNEL, *(2 * s - 1 for s in images.shape[2:]))
    side -= 1 - side % 2
    offsets = torch.arange(side, device=images.device, dtype=images.dtype) - side // 2
    kernel = torch.exp(-0.5 * (offsets / sd) ** 2)
    kernel = kernel / kernel.sum()
    channels = images.shape[1]
    padded = F.pad(images, [side // 2] * 4, mode="reflect")
    down = F.conv2d(padded, kernel.view(1, 1, -1, 1).expand(channels, 1, -1, 1), groups=channels)
    return F.conv2d(down, kernel.view(1, 1, 1, -1).expand(channels, 1, 1, -1), groups=channels)
