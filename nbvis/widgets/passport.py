"""The passport of a channel: how it answers and with whom, and what drives it most in a data set.

Nothing in it depends on the picture that is looked at, so what is found once stays true for the next one.
"""

import functools
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from nbvis.engine import Network, Statistics, attribute, channel, unit
from nbvis.sessions import Known, Task, Tell, described

from .channel_answers import Patch, found_patches
from .channels import dead
from .clustering import strongest
from .data_set import DataSet
from .statistics_painting import PATCH, Bars, bars
from .statistics_records import channel_figures
from .views import VIEWS, limits, share

RULE = "guided_backprop"
"""How a one goes back from the place of each patch; the toolbox's fork does the same."""
COLLECT = "LayerExplorer(network, image, collect(network, batches), batches)"
"""What gives a whole passport; `collect` is the engine's."""


class Bearer(NamedTuple):
    """The channel that a passport is of.

    Attributes:
        state: stands for the weights and the preprocessing of its network.
        layer: its layer's name.
        channel: its number.
    """

    state: Hashable
    layer: str
    channel: int

    @property
    def name(self) -> str:
        """The layer and the channel."""
        return f"{self.layer}:{self.channel}"

    def key(self, kind: str) -> Hashable:
        """That of the answer of a kind: "habits", "dream" or "maximal"."""
        return kind, self


class Habits(NamedTuple):
    """How a channel answers over a data set.

    Attributes:
        bars: its histogram.
        figures: (name, text) each.
        dead: whether it gives the same value everywhere.
        correlates: those that it goes together with most, (channel, r) each.
        alone: why there are none; empty if there are.
    """

    bars: Bars
    figures: tuple[tuple[str, str], ...]
    dead: bool
    correlates: tuple[tuple[int, float], ...]
    alone: str


class Maximal(NamedTuple):
    """What drives a channel most in a data set.

    Attributes:
        patches: what it saw where it answered most, highest answer first; no larger than they are shown.
        guided: what came back to each of them by guided backpropagation, (1, channels, height, width) in [0, 1] with
            zero in the middle; fewer while they are being found out.
        notes: what has to be said of them.
    """

    patches: tuple[Patch, ...]
    guided: tuple[Tensor, ...] = ()
    notes: tuple[str, ...] = ()


def habits_task(bearer: Bearer, network: Network, statistics: Statistics) -> Task:
    """How a channel answers over the data set that the statistics are of."""
    return Task(bearer.key("habits"), "Statistics", functools.partial(_habits, bearer, network, statistics))


def maximal_task(bearer: Bearer, network: Network, statistics: Statistics, data: DataSet) -> Task:
    """What drives a channel most in a data set."""
    run = functools.partial(_maximal, bearer, network, statistics, data)
    return Task(bearer.key("maximal"), f"Patches of {bearer.name}", run)


def _habits(bearer: Bearer, network: Network, statistics: Statistics, tell: Tell, known: Known) -> Habits:
    statistics.check(network)
    layer = statistics[bearer.layer]
    found, alone = [], ""
    try:
        found = strongest(layer.correlation, bearer.channel)
        alone = "" if found else "From image to image it does not vary, so it goes together with no other channel."
    except ValueError as error:
        alone = described(error)
    still = bool(dead(layer)[bearer.channel])
    said = channel_figures(layer, bearer.channel)
    return Habits(bars(layer, [bearer.channel]), tuple(said), still, tuple(found), alone)


def _maximal(
    bearer: Bearer, network: Network, statistics: Statistics, data: DataSet, tell: Tell, known: Known
) -> Maximal:
    statistics.check(network)
    layer = statistics[bearer.layer]
    found = found_patches(network, data, layer, bearer.channel, False, lambda done, total: tell(done, 2 * total))
    count, guided = len(found.patches), []
    shown = tuple(each._replace(seen=reduced(each.seen), whole=reduced(each.whole)) for each in found.patches)
    kept = Maximal(shown, notes=found.notes)
    tell(count, 2 * count, kept)
    for place, each in enumerate(found.patches):
        try:
            guided.append(reduced(guided_picture(network, layer.name, bearer.channel, each, len(layer.shape) == 3)))
        except ValueError as error:
            note = f"Nothing is sent back to the patches: {described(error)}"
            return kept._replace(notes=tuple(dict.fromkeys([*kept.notes, note])))
        tell(count + place + 1, 2 * count)
    return kept._replace(guided=tuple(guided))


def guided_picture(network: Network, layer: str, index: int, found: Patch, grid: bool) -> Tensor:
    """What comes back to a patch from the place where the channel answers most, with zero at 0.5.

    The colours end at the size that 99.5 % of the values do not pass: the few largest would dim all others.

    Args:
        network: the network.
        layer: the channel's.
        index: the channel.
        found: the patch.
        grid: whether the layer has rows and columns.

    Returns:
        the same crop as the patch, (1, channels, height, width) in [0, 1].

    Raises:
        ValueError: if guided backpropagation does not apply to the network, or the place lies beside the grid.
    """
    if grid and min(found.position) < 0:
        raise ValueError("the strongest answer is that of a token beside the grid, which has no place")
    objective = unit(layer, index, *found.position) if grid else channel(layer, index)
    came = found.cut(tried(lambda: attribute(network, found.whole, objective, method=RULE).map), 0.0)[0].float().cpu()
    if not torch.isfinite(came).all():
        raise ValueError("its gradient is NaN or infinite")
    plane = came if len(came) in (1, 3) else VIEWS["grey"].plane(came)
    return share(plane, limits(plane, "signed"))[None] if plane.any() else torch.full_like(plane[None], 0.5)


def tried(work: Callable[[], Any]) -> Any:
    """What the engine gives; an error of it is about this channel alone, and no reason to end all work.

    Raises:
        ValueError: with its words.
    """
    try:
        return work()
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, FloatingPointError) as error:
        raise ValueError(described(error)) from error


def reduced(image: Tensor) -> Tensor:
    """An image no larger than patches are shown, so that the passports of many channels can be kept."""
    part = PATCH / max(image.shape[2:])
    if part >= 1:
        return image
    size = [max(1, round(part * length)) for length in image.shape[2:]]
    return F.interpolate(image.float(), size=size, mode="bilinear", antialias=True)
