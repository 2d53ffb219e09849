"""Batches put through a private copy of a network, and what its layers give into their statistics."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from ..network.batching import Batching, batching
from ..network.call_counts import count_calls
from ..network.forward_hooks import forward
from ..network.imprint import versions_of, weights_of
from ..network.layer_names import OUTPUT, LayerError, address, each_call, named
from ..network.layers import layers as layers_of
from ..network.layout import Activations, Layout
from ..network.network import Network
from ..network.pass_errors import explained
from ..network.random_state import unchanged_chance
from ..tracing.axes import Axes
from .batches import Batch
from .caps import cap_of
from .extremes import Entrants, settle
from .histograms import fixed_edges
from .identity import identity
from .layer_statistics import LayerStatistics, Options
from .passes import listening, taking
from .reading import by_position
from .statistics import Statistics


class Collector:
    """Collects batch by batch.

    Args:
        network: the network.
        names: the layers; None for all.
        options: what to collect.
        before: statistics to go on with.

    Raises:
        ValueError: if there is no such layer, the range holds too few numbers, or the statistics before are of another
            network or other options.
    """

    def __init__(self, network: Network, names: Iterable[str] | None, options: Options, before: Statistics | None):
        if isinstance(names, str):
            raise TypeError(f"layers is a list of layer names, such as [{names!r}], not one string")
        self.network, self.options = network, options
        self.names = None if names is None else tuple(dict.fromkeys(names))
        modules = named(network.module)
        for name in self.names or ():
            address(name, modules)
        if self.names == ():
            raise ValueError("layers is a list of layer names, and this one is empty; None takes all layers")
        if options.range is not None:
            fixed_edges(options.bins, options.range, network.precision)
        if before is None:
            fingerprint, note = identity(network)
            self.statistics = Statistics(network.name, fingerprint, options, {})
            if note:
                self.statistics.remark(note)
        else:
            self.statistics = before.copy()
            self._check_before(before)
        self._weights = weights_of(network.module)
        self._versions = versions_of(self._weights)
        self._calls: dict[str, int] = {}
        self._batching = Batching()
        self._all, self._idle = names is None, set[str]()
        self._layout: dict[tuple[int, ...], dict[str, Axes]] = {}

    def _check_before(self, before: Statistics) -> None:
        before.check(self.network)
        if before.options != self.options:
            raise ValueError(f"the statistics to go on with have {before.options}, not {self.options}")
        if self.names is not None and self.names != tuple(before):
            raise ValueError(f"the statistics to go on with are of {list(before)}, not of {list(self.names)}")
        self.names = tuple(before) or self.names
        for layer in self.statistics.values():
            layer.to(_home(self.network))

    def finished(self) -> Statistics:
        """The statistics, once there are no more batches.

        Raises:
            ValueError: if there was no image that could be read.
        """
        if not self.statistics.images:
            unread = f": {' '.join(self.statistics.notes)}" if self.statistics.unreadable else ""
            raise ValueError(f"the data set is empty, batches gave no image{unread}")
        return self.statistics

    @torch.inference_mode(False)
    def add(self, batch: Batch | Tensor) -> None:
        """Counts the images of a batch; those that were counted before, by index, are left out.

        Raises:
            ValueError, RuntimeError: as `collect`.
        """
        found = self.statistics
        images, indices = self._new(batch)
        if len(images):
            self.prepare(images)
            with torch.no_grad():
                self._see(images, indices)
            found.images += len(images)
            self._remark(images)

    def _new(self, batch: Batch | Tensor) -> tuple[Tensor, Tensor]:
        """The images that were not counted yet, with their indices; they and the unreadable ones are now."""
        found = self.statistics
        if isinstance(batch, Tensor):
            if found.counted is not None:
                raise ValueError("some batches say which images they hold and some do not: give each as a Batch")
            return batch, torch.arange(found.images, found.images + len(batch))
        if found.counted is None:
            if found.images:
                raise ValueError("some batches say which images they hold and some do not: give each as a Batch")
            found.counted = torch.zeros(0, dtype=torch.bool)
        known: set[int] = set()
        fresh = [k for k, i in enumerate(batch.indices) if not (found.has(i) or i in known or known.add(i))]
        unread = {i: why for i, why in batch.unreadable.items() if not (found.has(i) or i in known)}
        indices = torch.tensor([batch.indices[k] for k in fresh], dtype=torch.int64)
        found.note_counted([*indices.tolist(), *unread], unread)
        if len(fresh) < len(batch.indices):
            found.remark("Images that were shown before, by their index, were not counted again.")
        return batch.images[fresh], indices

    @torch.inference_mode(False)
    @torch.no_grad()
    def prepare(self, images: Tensor) -> None:
        """Finds the layers, on the first batch, and what their dimensions count, on images of a new size."""
        network, size = self.network, tuple(images.shape[1:])
        if not self._calls:
            chosen, names = self.names is not None, self.names or ()
            if self._all:
                found = layers_of(network, images)
                every = {name for name, _ in network.twin().named_modules()}
                self._idle = every - {OUTPUT, *(layer.name for layer in found)}
                calls = tuple(name for layer in found for name in each_call(layer.name, layer.calls))
                names = names or calls or (OUTPUT,)
            self._calls = count_calls(network, images, names)
            self._batching = batching(network, images, names, self._calls)
            for note in self._batching.notes:
                self.statistics.remark(note)
            self._trial(images, chosen)
        elif size not in self._layout and not all(axes.any_size for axes in next(iter(self._layout.values())).values()):
            self._trial(images, True)

    def _trial(self, images: Tensor, chosen: bool) -> None:
        """Has one image shown what the layers give; those of no use are an error if they were chosen."""
        network, known = self.network, self.statistics

        def run() -> Activations:
            return forward(network.twin(), network.enter(images[:1]), list(self._calls), self._calls, Layout())

        with unchanged_chance(self.options.seed):
            found = explained(network, images, run)
        modules = named(network.module)
        for name in list(self._calls):
            values, _ = by_position(found[name], found.axes[name])
            wrong = _useless(name, found[name], values)
            if wrong and chosen:
                raise LayerError(wrong)
            if wrong:
                known.remark(f"{wrong}: left out.")
                del self._calls[name]
            elif name not in known:
                module = modules[address(name, modules)[0]]
                shape = tuple(found.axes[name].planes(found[name]).shape[1:]) or (1,)
                like = torch.empty(0, dtype=network.precision, device=_home(network))
                layer = LayerStatistics(name, type(module).__name__, shape, cap_of(module), self.options, like)
                known.add(layer)
        places = {name: address(name, modules) for name in self._calls}
        # Of a bare name the last call counts, and one with a number is told of that call alone.
        self._turns = {name: self._calls[name] if call is None else 1 for name, (_, call) in places.items()}
        self._layout[tuple(images.shape[1:])] = found.axes
        self._twin = network.twin()

    def _see(self, images: Tensor, indices: Tensor) -> None:
        axes = self._layout.get(tuple(images.shape[1:])) or next(iter(self._layout.values()))
        home = _home(self.network)
        size = 1 if self._batching.apart else len(images)
        for part, some in zip(images.split(size), indices.to(home).split(size), strict=True):
            entrants: list[Entrants] = []

            def take(name: str, output: Tensor, some: Tensor = some, entrants: list[Entrants] = entrants) -> None:
                self._take(name, output, axes[name], some, entrants)

            with unchanged_chance(self.options.seed):
                twin = self.network.twin() if self._batching.fresh else self._twin
                with listening(twin, self._idle, self._late):
                    self._remark_calls(taking(self.network, twin, part, self._calls, self._turns, take))
            settle(entrants)

    def _late(self, name: str) -> None:
        self.statistics.remark(
            f"Layer {name!r} runs for some images and did not for the first one, so there are no statistics of it: "
            "begin with an image that goes through it."
        )

    def _remark_calls(self, ran: Mapping[str, int]) -> None:
        for name, times in ran.items():
            if times < self._turns[name]:
                self.statistics.remark(f"Layer {name!r} did not run for every image.")
            elif times > self._turns[name]:
                self.statistics.remark(f"Layer {name!r} ran more often for some images: further calls do not count.")

    def _take(self, name: str, output: Tensor, axes: Axes, indices: Tensor, entrants: list[Entrants]) -> None:
        values, where = by_position(output.detach(), axes)
        layer = self.statistics[name]
        if len(values) != len(indices):
            raise LayerError(_apart(name, output))
        if values.shape[1] != layer.shape[0]:
            raise LayerError(
                f"layer {name!r} had {layer.shape[0]} channels and has {values.shape[1]} for images of another size: "
                "bring all to one size, or leave this layer out"
            )
        values = values.to(indices.device, self.network.precision)
        layer.add(values, where, indices, self.options, entrants)

    def _remark(self, images: Tensor) -> None:
        low, high = images.amin().item(), images.amax().item()
        if not (low >= 0 and high <= 1):
            self.statistics.remark("Some images leave [0, 1], or hold NaN: are they preprocessed already?")
        if versions_of(self._weights) != self._versions:
            self.statistics.remark("The weights changed meanwhile: these are the statistics of several networks.")


def _useless(name: str, output: Tensor, values: Tensor) -> str:
    """A sentence on a layer of whose output for one image there are no statistics; empty if there are."""
    if output.is_complex():
        return f"layer {name!r} gives complex numbers"
    return _apart(name, output) if len(values) != 1 or not values.numel() else ""


def _apart(name: str, output: Tensor) -> str:
    return f"layer {name!r} gives {tuple(output.shape)}, in which the images are not told apart"


def _home(network: Network) -> torch.device:
    """Where statistics are accumulated: where the network is, if there is double precision."""
    return network.device if network.device.type in ("cpu", "cuda") else torch.device("cpu")
