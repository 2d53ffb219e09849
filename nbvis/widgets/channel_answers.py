"""What is found out about the channels of a layer beside their statistics: patches, weights, and what is wrong."""

import functools
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import Tensor

from nbvis.engine import (
    Layer,
    LayerStatistics,
    Network,
    activations,
    address,
    diagnose,
    layers,
    named,
    patch,
    planes,
)
from nbvis.sessions import Known, Task, Tell

from .channel_weights import weights_of
from .clustering import Clustered, clustered
from .collection import Collection, Surveyed
from .data_set import DataSet

OUTSIDE = 0.5
"""What stands in a patch where it reaches beyond its image: a grey that no network takes for a dark picture."""


@dataclass(frozen=True)
class View:
    """How channels are shown; the widget's traits of the same names."""

    layer: str
    channel: int | None
    values: str
    sort: str
    search: str
    page: int
    log: bool
    patches: str
    zoom: tuple[int, ...]


class Patch(NamedTuple):
    """What a channel saw where it answered most in an image, or least.

    Attributes:
        value: its answer.
        image: the number of the image in the data set.
        position: row and column in the layer's grid; -1 where it has none.
        seen: the patch, (1, channels, height, width).
        whole: the image it is from, likewise.
        box: where the patch lies in it, (top, left, bottom, right) as shares.
        layer: whose unit it is; None where what its units see is not known.
    """

    value: float
    image: int
    position: tuple[int, int]
    seen: Tensor
    whole: Tensor
    box: tuple[float, float, float, float]
    layer: Layer | None = None

    def cut(self, images: Tensor, fill: float) -> Tensor:
        """The same part of other pictures of the image's size, with what lies outside of them filled."""
        if self.layer is None or min(self.position) < 0 or self.layer.field is None:
            return images
        return patch(images, self.layer, self.position, fill=fill)


class Patches(NamedTuple):
    """The patches of a channel, its highest or its lowest answer first, and what has to be said of them."""

    patches: tuple[Patch, ...]
    notes: tuple[str, ...] = ()


def keys(view: View, network: Hashable, about: Hashable) -> dict[str, Hashable]:
    """The keys of what there is to find out about what is shown, by what it is.

    Args:
        view: what is shown.
        network: other values for another state of the network.
        about: other values for other statistics, too.
    """
    return {
        "patches": ("patches", about, view.layer, view.channel, view.patches),
        "correlation": ("correlation", about, view.layer),
        "weights": ("weights", network, view.layer),
        "diagnosis": ("diagnosis", about),
    }


def questions(subject: Surveyed, view: View, about: Hashable) -> list[Task]:
    """What is found out about what is shown; see `keys`."""
    held, layer, key = subject.collection, view.layer, keys(view, subject.about, about)
    assert held is not None
    wanted: list[Task] = []
    given = subject.statistics
    top = given.options.top if given else subject.options.get("top", 9)
    if view.channel is not None and top:
        wanted.append(patches_task(key["patches"], subject.network, subject.data, held, view))
    if view.values == "weights":
        wanted.append(weights_task(key["weights"], subject.network, layer, subject.channels(layer) or 0))
    else:
        wanted.append(correlation_task(key["correlation"], held, layer))
    return [*wanted, diagnosis_task(key["diagnosis"], held)]


def answers(get: Callable[[Hashable], Any], subject: Surveyed, view: View, about: Hashable) -> dict[str, Any]:
    """What has been found out about what is shown, None where there is nothing yet; see `keys`."""
    return {kind: get(key) for kind, key in keys(view, subject.about, about).items()}


def patches_task(key: Hashable, network: Network, data: DataSet | None, collection: Collection, view: View) -> Task:
    """The highest or the lowest patches of the chosen channel."""
    channel = view.channel
    assert channel is not None

    def run(tell: Tell, known: Known) -> Patches:
        assert collection.found is not None
        if data is None:
            return Patches(
                (), ("Give the batches too, ActivationStats(network, batches, statistics), to see patches.",)
            )
        return found_patches(network, data, collection.found[view.layer], channel, view.patches == "lowest", tell)

    return Task(key, f"Patches of channel {channel}", run)


def found_patches(
    network: Network, data: DataSet, layer: LayerStatistics, channel: int, lowest: bool, tell: Tell
) -> Patches:
    """The parts of the images at which a channel answers most, or least.

    Raises:
        ValueError: if the images are gone.
    """
    top = layer.top_values, layer.top_indices, layer.top_positions
    bottom = layer.bottom_values, layer.bottom_indices, layer.bottom_positions
    values, every, positions = (each[channel].tolist() for each in (bottom if lowest else top))
    indices = [index for index in every if index >= 0]
    images = data.find(indices, lambda: tell(0, len(indices)))
    found, other = [], 0
    of_size: dict[tuple[int, ...], Layer | None] = {}
    for place, index in enumerate(indices):
        tell(place, len(indices))
        if index not in images:
            other += 1
            continue
        image, value = images[index], values[place]
        plane = planes(activations(network, image, [layer.name]), layer.name)[0, channel]
        answer = (plane.min() if lowest else plane.max()).item()
        if not abs(answer - value) <= 1e-2 * abs(value) + 1e-4:
            other += 1
            continue
        if image.shape not in of_size:
            of_size[image.shape] = _last_call(network, image, layer.name) if network.pair is None else None
        row, column = positions[place]
        found.append(_cut(image, of_size[image.shape], (row, column), value, index))
    gone = (
        f"{other} of {len(indices)} images are not where they were when the statistics were collected, as in batches "
        "that come in another order each time: their patches are left out."
    )
    early = (
        f"{layer.name} is an earlier call of a layer, and what its units see is known of the last call alone: the "
        "images are shown whole."
    )
    unknown = bool(of_size) and None in of_size.values()
    if network.pair:
        early = "Pairs are shown whole: a unit sees a place of one of their pictures, or of both."
    return Patches(tuple(found), (gone,) * bool(other) + (early,) * unknown)


def _last_call(network: Network, image: Tensor, name: str) -> Layer | None:
    """The layer as `layers` tells it; None for another call than its last, whose fields are others."""
    bare, call = address(name, named(network.module))
    (layer,) = [each for each in layers(network, image) if each.name == bare]
    return layer if call in (None, layer.calls - 1) else None


def _cut(image: Tensor, layer: Layer | None, position: tuple[int, int], value: float, index: int) -> Patch:
    found = Patch(value, index, position, image, image, (0.0, 0.0, 1.0, 1.0), layer)
    if layer is None or min(position) < 0 or layer.field is None:
        return found
    found = found._replace(seen=found.cut(image, OUTSIDE))
    if (spans := layer.box(*position)) is None:
        return found
    (top, bottom), (left, right) = spans
    height, width = image.shape[2:]
    return found._replace(box=(top / height, left / width, bottom / height, right / width))


def correlation_task(key: Hashable, collection: Collection, layer: str) -> Task:
    """How the channels of a layer go together, clustered."""

    def run(tell: Tell, known: Known) -> Clustered:
        assert collection.found is not None
        return clustered(collection.found[layer].correlation)

    return Task(key, f"Correlation of {layer}", run)


def diagnosis_task(key: Hashable, collection: Collection) -> Task:
    """What is wrong with the network."""

    def run(tell: Tell, known: Known):
        assert collection.found is not None
        return diagnose(collection.found)

    return Task(key, "Diagnosis", run)


def weights_task(key: Hashable, network: Network, layer: str, channels: int) -> Task:
    """The weights of a layer."""
    modules = named(network.module)
    module = modules[address(layer, modules)[0]]
    return Task(key, f"Weights of {layer}", functools.partial(weights_of, module, layer, channels))
