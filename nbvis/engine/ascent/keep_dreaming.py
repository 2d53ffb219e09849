"""Dreams that go on from what they made, again and again: feedback loops that deepen, zoom and turn."""

import contextlib
import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from ..arguments import number, whole
from ..network.images import Images, checked_images
from ..network.network import Network
from ..steps import PictureStep, Steps, changed
from .dream import (
    DreamPlace,
    DreamSettings,
    DreamStep,
    bases_of,
    dreamable,
    kept_dream,
    octave_by_octave,
    octave_sizes,
)
from .gradient import Ascent
from .objective import Objectives
from .transforms import warped

MOVED_PAST_MASKS = (
    "The masks stay where they are while each round enlarges or turns the whole picture: "
    "what lies outside them is moved too, but nothing is dreamed there."
)


@dataclass(frozen=True)
class _LoopSettings(DreamSettings):
    rounds: int | None
    zoom: float
    turn: float

    def __post_init__(self):
        """Raises `ValueError` for a value that a run cannot have."""
        super().__post_init__()
        whole(self.steps, "steps", least=1)
        if self.rounds is not None:
            whole(self.rounds, "rounds, if it is not None,", least=1)
        number(self.zoom, "zoom", 1, 2)
        number(self.turn, "turn, in degrees,", -180, 180)


@torch.inference_mode(False)
def keep_dreaming(
    network: Network | nn.Module,
    objective: Objectives,
    images: Images,
    *,
    rounds: int | None = None,
    zoom: float = 1.0,
    turn: float = 0.0,
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
    """Dreams on from what is there, for ever if nobody ends it, as a generator of steps.

    Each round is a dream as `dream` makes it; the first equals it to the bit. The next one begins with the picture of
    the round before, enlarged by `zoom` and turned by `turn` about its middle in one bilinear sampling; nothing gets
    smaller, so nothing aliases. Where a turn shows more than there is, the corners are the picture reflected at its
    edges; from zoom = cos |turn| + sin |turn| · longer side / shorter side up they show none of that. Between two
    steps, `steps.send({"zoom": 1.05})` changes whatever `dream` lets change, at once, and `rounds`, `zoom` or `turn`
    when the round ends; a run whose rounds become fewer than it has begun ends with the round. Each step is numbered
    over all rounds and draws its own roll and angle by that number, so that no round repeats the one before, and the
    same seed gives the same pictures. Masks stay where they are; pixels that no mask reaches stay as they are, to the
    bit, while zoom is 1 and turn is 0, and are moved with the rest otherwise, as the notes then say.

    Args:
        network: a `Network` or a bare module.
        objective: one for all images, or a list with one for each.
        images: where it starts, (batch, channels, height, width) in [0, 1].
        rounds: number of dreams; None for no end, then `step.total` and `step.rounds` are None.
        zoom: enlargement between two rounds, from 1 to 2.
        turn: angle between two rounds, degrees from -180 to 180, anticlockwise.
        octaves: number of scales in each round, the last being the images' own size.
        octave_scale: ratio of one octave's size to that of the octave before, above 1.
        steps: updates in each octave, from 1 up.
        lr: size of a step, in standard deviations of the gradient to units of pixel value.
        jitter: largest roll in each direction, pixels.
        rotation: full width of the range of random angles, degrees.
        smoothing: None, or what is added to the growing width of the Gaussians that smooth the gradient, pixels.
        seed: of roll and rotation.
        after: a step of such a run to go on from, as for `dream`.

    Yields:
        A `DreamStep` for each update; `step.round` says which round it belongs to.

    Raises:
        ValueError: at the call, if a layer, channel, mask, image or option does not fit; the message says what would.
        RuntimeError: at the call, if the network does not run at the smallest octave; at the first step, if no
            gradient reaches any image.
        FloatingPointError: at the step where a score or gradient is no longer finite.

    Source: Mordvintsev, Olah and Tyka 2015, "Inceptionism", its iterations on the network's own output.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
        >>> run = keep_dreaming(net, activity("1"), torch.rand(1, 3, 40, 60), zoom=1.05, octaves=1, steps=2)
        >>> [(step.round, step.index) for step, _ in zip(run, range(5))]
        [(1, 0), (1, 1), (2, 2), (2, 3), (3, 4)]
    """
    network = dreamable(network)
    images = checked_images(images).detach().to(network.device, network.precision, copy=True)
    sizes = octave_sizes(images.shape[2], images.shape[3], octaves, octave_scale)
    settings = _LoopSettings(objective, lr, steps, jitter, rotation, smoothing, rounds, zoom, turn)
    kept = kept_dream(after, sizes)
    ascent = Ascent(network, objective, images, trial=bases_of(images, sizes)[0], moved=after is not None)
    return ascent.kept(_rounds(ascent, images, sizes, settings, seed, kept))


@torch.inference_mode(False)
def _rounds(
    ascent: Ascent,
    images: Tensor,
    sizes: Sequence[tuple[int, int]],
    settings: _LoopSettings,
    seed: int,
    after: DreamStep | None,
) -> Steps:
    round, index, step = after.make_place().round - 1 if after else 0, 0, None
    while settings.rounds is None or round < settings.rounds or after:
        if step is not None:
            images = _fed_back(step.image, settings.zoom, settings.turn)
        round, changes = round + 1, None
        run, after = octave_by_octave(ascent, bases_of(images, sizes), settings, seed, index, after), None
        with contextlib.suppress(StopIteration):  # the end of the round
            while True:
                step = run.send(changes)
                index = step.index + 1
                changes = yield _counted(step, round, settings, masked=ascent.movable(sizes[-1]) is not None)
                settings = changed(settings, changes)


def _counted(step: DreamStep, round: int, settings: _LoopSettings, masked: bool) -> DreamStep:
    """The step of a round as one of all rounds."""
    rounds = None if settings.rounds is None else max(round, settings.rounds)
    total = None
    if rounds is not None and step.total is not None:
        total = step.total + (rounds - round) * step.octaves * settings.steps
    moved = masked and rounds != 1 and (settings.zoom != 1 or settings.turn != 0)
    notes = tuple(dict.fromkeys((*step.notes, MOVED_PAST_MASKS))) if moved else step.notes
    place = functools.partial(_in_round, step, round)
    return replace(step, total=total, notes=notes, round=round, rounds=rounds, make_place=place)


def _in_round(step: DreamStep, round: int) -> DreamPlace:
    return replace(step.make_place(), round=round)


def _fed_back(images: Tensor, zoom: float, turn: float) -> Tensor:
    """What the next round begins with.

    Bilinear sampling softens, and each dream makes it crisp again. Bicubic sampling sharpens, and what it overshoots
    by grows from round to round: 300 turns of 2° made a photograph six times as rough, with nothing dreamed at all.
    """
    return warped(images, [zoom] * len(images), [turn] * len(images))
