"""Collecting the statistics of a network's layers over a data set, in one pass."""

from collections.abc import Callable, Generator, Iterable, Sized
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from torch import nn

from ..arguments import whole
from ..network.images import Images, as_images
from ..network.network import Network, as_network
from ..steps import Step
from .batches import read
from .collector import Collector
from .layer_statistics import Options
from .statistics import Statistics

CORRELATIONS = {True: "maxima", False: None, None: None, **{each: each for each in ("maxima", "means", "positions")}}


@dataclass(frozen=True)
class CollectStep(Step):
    """One batch.

    Attributes:
        images: how many images were counted so far, those of a checkpoint included.
        unreadable: how many could not be read.
        nbytes: memory that the statistics take, which is known from the first step on.
    """

    images: int
    unreadable: int
    nbytes: int
    make_statistics: Callable[[], Statistics] = field(repr=False, compare=False)

    @cached_property
    def statistics(self) -> Statistics:
        """The statistics so far, as a copy; made when first asked for, so ask before the next step."""
        return self.make_statistics()


def collect(
    network: Network | nn.Module,
    batches: Iterable[Any],
    layers: Iterable[str] | None = None,
    *,
    bins: int = 50,
    range: tuple[float, float] | None = None,
    top: int = 9,
    correlation: bool | str | None = True,
    positions: int | None = None,
    seed: int = 0,
    statistics: Statistics | None = None,
    progress: bool = False,
) -> Statistics:
    """What every channel of a network's layers does over a data set, in one pass.

    All values count, those at every position of every image: how many there are, their mean and standard deviation,
    minimum and maximum, the share that is exactly zero or at the layer's cap, and a histogram; further the images in
    which a channel goes highest and lowest, and how channels correlate. NaN and infinite values are counted and left
    out. Two halves of a data set that are collected apart and merged give the same as the whole.

    Args:
        network: a `Network` or a bare module.
        batches: any iterable of image batches, (batch, channels, height, width) in [0, 1], of (images, labels), or of
            `Batch`, which says which images of the data set it holds. The images of a batch have one size, those of
            another batch may have another, if the network takes it: then each image counts with as many positions as
            it has.
        layers: names, addressed as for `activations`; None for all layers that `layers` finds, each of their calls.
        bins: of the histograms.
        range: (low, high) of the histograms, with bins as `np.histogram` has them, and what lies outside not counted;
            None for one that grows and loses nothing, whose bins are a power of two wide.
        top: how many images to keep for each channel.
        correlation: "maxima" (or True) for how the channels' maxima over each image go together, "means", or
            "positions", where each position of each image is an observation; False for none.
        positions: take moments, zeros and histograms from so many positions of each image, drawn by its index, which
            is faster; None for all. Extremes are always those of all positions.
        seed: of what the network draws, if it draws random numbers, and of the positions.
        statistics: of images that were collected before, which these go on; they stay as they are. Images that they
            have counted by index are not counted again.
        progress: whether to show a progress bar.

    Returns:
        A `Statistics`: of each layer by its name the attributes of `LayerStatistics`.

    Raises:
        ValueError: if there is no image, a layer does not exist or does not run, its number of channels changes from
            one size of image to another, or an option does not fit.
        RuntimeError: if the network does not run on the images; its own error is attached.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 5))
        >>> found = collect(net, torch.rand(10, 3, 8, 8).split(4))
        >>> found, found["1"].count[0].item(), found["1"].histogram.shape
        (Statistics(Sequential, 4 layers, 10 images), 360, torch.Size([4, 50]))
    """
    from tqdm.auto import tqdm

    options = checked_options(bins, range, top, correlation, positions, seed)
    collector = Collector(as_network(network), layers, options, statistics)
    total = len(batches) if isinstance(batches, Sized) else None
    for batch in tqdm(read(batches), total=total, unit="batch", disable=not progress):
        collector.add(batch)
    return collector.finished()


def collecting(
    network: Network | nn.Module,
    batches: Iterable[Any],
    layers: Iterable[str] | None = None,
    *,
    bins: int = 50,
    range: tuple[float, float] | None = None,
    top: int = 9,
    correlation: bool | str | None = True,
    positions: int | None = None,
    seed: int = 0,
    statistics: Statistics | None = None,
) -> Generator[CollectStep, None, None]:
    """`collect` batch by batch: yields a `CollectStep` after each, with the statistics so far when asked for.

    What is wrong with the arguments is said at the call; the rest as for `collect`. To go on after an interruption give
    the last `step.statistics` that was kept and the batches that are missing, or all of them if they are `Batch`.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
        >>> batches = torch.rand(10, 3, 8, 8).split(4)
        >>> [step.images for step in collecting(net, batches)]
        [4, 8, 10]
    """
    options = checked_options(bins, range, top, correlation, positions, seed)
    collector = Collector(as_network(network), layers, options, statistics)
    return _steps(collector, batches, len(batches) if isinstance(batches, Sized) else None)


def _steps(collector: Collector, batches: Iterable[Any], total: int | None) -> Generator[CollectStep, None, None]:
    for index, batch in enumerate(read(batches)):
        collector.add(batch)
        found = collector.statistics
        planned = max(total or 0, index + 1)
        yield CollectStep(index, planned, tuple(found.notes), found.images, found.unreadable, found.nbytes, found.copy)
    collector.finished()


def memory_needed(
    network: Network | nn.Module,
    images: Images,
    layers: Iterable[str] | None = None,
    *,
    bins: int = 50,
    top: int = 9,
    correlation: bool | str | None = True,
) -> int:
    """The bytes that `collect` will take for its statistics, however many images there are.

    A batch's own activations come on top, of one layer at a time.

    Args:
        network: a `Network` or a bare module.
        images: of the kind that it will be shown; the first is enough.
        layers: as for `collect`.
        bins: as for `collect`.
        top: as for `collect`.
        correlation: as for `collect`; with it a layer of C channels takes 8 C² bytes.

    Raises:
        ValueError, RuntimeError: as `collect`.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 64, 3), nn.ReLU())
        >>> images = torch.rand(1, 3, 8, 8)
        >>> memory_needed(net, images) - memory_needed(net, images, correlation=False) > 2 * 8 * 64**2
        True
    """
    collector = Collector(as_network(network), layers, checked_options(bins, None, top, correlation, None, 0), None)
    collector.prepare(as_images(images))
    return collector.statistics.nbytes


def checked_options(
    bins: int,
    range: tuple[float, float] | None,
    top: int,
    correlation: bool | str | None,
    positions: int | None,
    seed: int,
) -> Options:
    """The options.

    Raises:
        ValueError: if one does not fit.
    """
    if range is not None:
        try:
            low, high = map(float, range)
        except (TypeError, ValueError):
            low, high = 1.0, 0.0
        if not float("-inf") < low < high < float("inf"):
            raise ValueError(f"range is None or (low, high) with low < high, not {range!r}")
        range = low, high
    least = 1 if range else 2  # a bin ends at 0, wherever the others are
    if correlation not in CORRELATIONS:
        raise ValueError(f"correlation is True, False, 'maxima', 'means' or 'positions', not {correlation!r}")
    return Options(
        whole(bins, "bins", least),
        range,
        whole(top, "top"),
        CORRELATIONS[correlation],
        None if positions is None else whole(positions, "positions", 1),
        whole(seed, "seed"),
    )
