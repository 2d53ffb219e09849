"""The statistics of the layers of a network over a data set: merged, saved and read again."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..arguments import near
from ..network.network import Network, as_network
from .files import read_arrays, write_arrays
from .identity import identity
from .layer_statistics import LayerStatistics, Options
from .stored import array_of, restored, tensors

_NAMED = 20
"""Unreadable images that are named; the rest are only counted."""


class Statistics(Mapping[str, LayerStatistics]):
    """What every channel of some layers does over a data set, by the layers' names; `collect` makes them.

    A layer that a pass calls several times has its calls as "name:0", "name:1", …; its bare name means the last.

    Attributes:
        network: the network's name.
        fingerprint: of its weights and its preprocessing; others have another one.
        options: what was collected.
        images: how many images were counted.
        unreadable: how many could not be read.
        counted: whether each image of the data set was counted or found unreadable, by index; None where batches did
            not say which images they hold, which then are numbered as they came.
    """

    def __init__(self, network: str, fingerprint: str, options: Options, layers: Mapping[str, LayerStatistics]):
        self.network, self.fingerprint, self.options = network, fingerprint, options
        self.images = self.unreadable = 0
        self.counted: Tensor | None = None
        self._layers = dict(layers)
        self._remarks: list[str] = []
        self._unread: dict[int, str] = {}

    def __contains__(self, name: object) -> bool:
        """Whether there are statistics of this layer."""
        return self._address(name) is not None  # a mapping's own way would look for near names, too

    def __getitem__(self, name: str) -> LayerStatistics:
        """The statistics of a layer.

        Raises:
            KeyError: if there are none; the message names those there are.
        """
        address = self._address(name)
        if address is None:
            raise KeyError(f"no statistics of a layer {name!r}{near(name, list(self._layers))}")
        return self._layers[address]

    def __iter__(self) -> Iterator[str]:
        """The layers' names, in the order in which they first answer."""
        return iter(self._layers)

    def __len__(self) -> int:
        """How many layers."""
        return len(self._layers)

    def _address(self, name: object) -> str | None:
        """The layer, or its last call; None if there is none."""
        if isinstance(name, str) and name in self._layers:
            return name
        calls = [each for each in self._layers if each.rpartition(":")[0] == name and each.rpartition(":")[2].isdigit()]
        return max(calls, key=lambda each: int(each.rpartition(":")[2]), default=None)

    def __repr__(self) -> str:
        """One line."""
        return f"Statistics({self.network}, {len(self)} layers, {self.images} images)"

    @property
    def nbytes(self) -> int:
        """Bytes of memory that it takes, and goes on taking however many images are added."""
        return sum(
            value.numel() * value.element_size()
            for layer in self._layers.values()
            for value in tensors(layer).values()
            if isinstance(value, Tensor)
        )

    @property
    def notes(self) -> list[str]:
        """Sentences to read with the figures."""
        found = list(self._remarks)
        if self.unreadable:
            named = sorted(self._unread.items())[:_NAMED]
            which = "; ".join(f"{index}: {why}" for index, why in named)
            more = f"; and {self.unreadable - len(named)} more" if self.unreadable > len(named) else ""
            lost = "1 image" if self.unreadable == 1 else f"{self.unreadable} images"
            found.append(f"Skipped {lost} that could not be read ({which}{more}).")
        return found + [note for layer in self._layers.values() for note in layer.notes]

    def merge(self, other: "Statistics") -> "Statistics":
        """The statistics of the images of both, as one pass over these and then the other's gives them.

        Images that batches gave an index keep it. Otherwise they are numbered in the order in which they came, and the
        other's go on after these.

        Raises:
            ValueError: if they are of another network, layers or options, or both counted the same image.
        """
        self._refuse(other)
        offset = 0 if self.counted is not None else self.images
        layers = {name: layer.merge(other._layers[name], offset) for name, layer in self._layers.items()}
        found = Statistics(self.network, self.fingerprint, self.options, layers)
        found.images, found.unreadable = self.images + other.images, self.unreadable + other.unreadable
        if self.counted is not None and other.counted is not None:
            found.counted = either(self.counted, other.counted)
        found._remarks = list(dict.fromkeys([*self._remarks, *other._remarks]))
        found._unread = dict(sorted((self._unread | other._unread).items())[:_NAMED])
        return found

    def add(self, layer: LayerStatistics) -> None:
        """Has one more layer."""
        self._layers[layer.name] = layer

    def remark(self, note: str) -> None:
        """Has one more sentence to be read with the figures, if it is a new one."""
        if note not in self._remarks:
            self._remarks.append(note)

    def note_counted(self, indices: Sequence[int], unread: Mapping[int, str]) -> None:
        """Has these images done, some of which could not be read."""
        done = torch.zeros(max(indices, default=-1) + 1, dtype=torch.bool)
        done[list(indices)] = True
        assert self.counted is not None
        self.counted = either(self.counted, done)
        self.unreadable += len(unread)
        self._unread = dict(sorted((self._unread | dict(unread)).items())[:_NAMED])

    def has(self, index: int) -> bool:
        """Whether the image with this index in the data set was counted or found unreadable."""
        return self.counted is not None and index < len(self.counted) and bool(self.counted[index])

    def copy(self) -> "Statistics":
        """The same, which stays as it is when these go on."""
        return copy.deepcopy(self)

    def check(self, network: Network | nn.Module) -> None:
        """Refuses another network.

        Raises:
            ValueError: if these are not of the network with the weights and the preprocessing that it has now.
        """
        network = as_network(network)
        own, _ = identity(network)
        if own != self.fingerprint:
            raise ValueError(
                f"these are the statistics of another network ({self.network}, {self.fingerprint}), or of other "
                f"weights or another preprocessing, than this {network.name} ({own}): collect them anew"
            )

    def save(self, path: str | Path) -> None:
        """Writes a file that `Statistics.load` reads: NumPy's arrays and JSON in a zip archive, no pickle.

        What was there before is replaced once all is written, and untouched if it cannot be.

        Raises:
            OSError: if it cannot be written.
        """
        arrays, layers = {}, []
        for number, (name, layer) in enumerate(self._layers.items()):
            arrays |= {f"{number}.{key}": array_of(value) for key, value in tensors(layer).items()}
            layers.append({"name": name, "kind": layer.kind, "shape": layer.shape, "cap": layer.cap})
        if self.counted is not None:
            arrays["counted"] = np.packbits(self.counted.numpy())
        header = {
            "network": self.network,
            "fingerprint": self.fingerprint,
            "options": asdict(self.options),
            "layers": layers,
            "images": self.images,
            "unreadable": self.unreadable,
            "data_set": None if self.counted is None else len(self.counted),
            "remarks": self._remarks,
            "unread": list(self._unread.items()),
        }
        write_arrays(Path(path), header, arrays)

    @classmethod
    def load(cls, path: str | Path, network: Network | nn.Module | None = None) -> "Statistics":
        """What `save` wrote.

        Args:
            path: of the file.
            network: whose statistics they have to be; None for anybody's.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if it is damaged, something else, or of another network.
        """
        header, arrays = read_arrays(Path(path))
        try:
            found = cls._restored(header, arrays)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            raise ValueError(f"{path} is damaged: {error!r}") from error
        if network is not None:
            found.check(network)
        return found

    @classmethod
    def _restored(cls, header: dict[str, Any], arrays: Mapping[str, np.ndarray]) -> "Statistics":
        given: dict[str, Any] = dict(header["options"])
        given["range"] = given["range"] and tuple(map(float, given["range"]))
        options = Options(**given)
        layers = {layer.name: layer for layer in restored(header["layers"], arrays, options)}
        found = cls(str(header["network"]), str(header["fingerprint"]), options, layers)
        found.images, found.unreadable = int(header["images"]), int(header["unreadable"])
        if header["data_set"] is not None:
            bits = np.unpackbits(arrays["counted"], count=int(header["data_set"]))
            found.counted = torch.from_numpy(bits.astype(bool))
        found._remarks = [str(each) for each in header["remarks"]]
        found._unread = {int(index): str(why) for index, why in header["unread"]}
        return found

    def _refuse(self, other: "Statistics") -> None:
        if not isinstance(other, Statistics):
            raise TypeError(f"statistics merge with statistics, not with {type(other).__name__}")
        if self.fingerprint != other.fingerprint:
            raise ValueError(
                f"these statistics do not merge: they are of other networks or weights, or of another "
                f"preprocessing, {self.network} ({self.fingerprint}) and {other.network} ({other.fingerprint})"
            )
        if self.options != other.options:
            raise ValueError(f"these statistics do not merge: one has {self.options} and the other {other.options}")
        if list(self) != list(other):
            raise ValueError(f"these statistics do not merge: one is of {list(self)} and one of {list(other)}")
        for name, layer in self._layers.items():
            one, two = layer.shape[0], other._layers[name].shape[0]
            if one != two:
                raise ValueError(
                    f"layer {name!r} has {one} channels in one and {two} in the other: use images of one size"
                )
        if (self.counted is None) != (other.counted is None):
            raise ValueError("only one of the two knows which images it has counted: give both a Batch with indices")
        if self.counted is not None and other.counted is not None:
            both = min(len(self.counted), len(other.counted))
            twice = (self.counted[:both] & other.counted[:both]).nonzero()[:, 0].tolist()
            if twice:
                raise ValueError(
                    f"both have counted image {twice[0]}" + f" and {len(twice) - 1} more" * (len(twice) > 1)
                )


def either(one: Tensor, other: Tensor) -> Tensor:
    """Which are in one or the other, of two lots of another length."""
    found = torch.zeros(max(len(one), len(other)), dtype=torch.bool)
    found[: len(one)] |= one
    found[: len(other)] |= other
    return found
