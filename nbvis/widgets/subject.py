"""What a SaliencyView looks at: a network, an image, and what of the image is covered."""

from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from nbvis.engine import (
    OUTPUT,
    Network,
    Objective,
    Target,
    fingerprint,
    is_distribution,
    last_with_space,
    layers,
    not_one_tensor,
    score,
    values_of,
)

from .given import Given
from .rows import layer_rows


class About(NamedTuple):
    """What stands for all that an answer depends on beside the question: other values, other answers."""

    network: Hashable
    image: int
    covered: Hashable


class Subject:
    """A network and an image, with what follows from showing it the image once `look` has done so.

    Args:
        network: the network.
        given: the image.
        number: of the image.

    Attributes:
        given: the image, and at what size it is worked on.
        image: (1, channels, height, width).
        source: Python that makes it from `image`, what was given.
        number: of the image.
        looked: whether the network has been shown it; all that follows is empty before.
        layers: the layers with rows and columns, [name, kind, (channels, height, width)].
        flat: the names of the others.
        cam_layer: where a class activation map is usually taken; empty if there is nowhere.
        labels: the name of each class, "class 7" where it has none; empty if the output has no classes.
        about: what stands for weights, image and what is covered when the network was last asked; while it is trained,
            what is shown is about a moment that is over.
    """

    def __init__(self, network: Network, given: Given, number: int = 0):
        self.network, self.number = network, number
        self.given, self.image, self.source = given, given.image, given.source
        self.looked, self.cam_layer = False, ""
        self.layers: list[list[Any]] = []
        self.flat: list[str] = []
        self.labels: list[str] = []
        self._corners: list[tuple[int, int]] = []
        self._side = 0
        self._content, self._without_classes = b"", ""
        self._plain: Tensor | None = None
        self._output: Tensor | None = None
        self.about = self._now()

    def look(self) -> None:
        """Shows the network the image.

        Raises:
            RuntimeError: if the network does not run on it; its own error is attached.
        """
        self._content = values_of(self.network.module.modules())
        rows = layer_rows(layers(self.network, self.image))
        output = self._answer(self.image)
        self.layers = [row for row in rows if len(row[2]) == 3 and row[2][1] * row[2][2] > 1]
        self.flat = [row[0] for row in rows if row not in self.layers]
        self.cam_layer = last_with_space(self.network, self.image) if self.layers else ""
        known, count = self.network.labels or [], 0 if output is None else output.shape[1]
        self.labels = [known[index] if index < len(known) else f"class {index}" for index in range(count)]
        self._plain = self._output = output
        self.about, self.looked = self._now(), True

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the image, pixels."""
        return self.image.shape[2], self.image.shape[3]

    @property
    def has_classes(self) -> bool:
        """Whether the network's output is one number for each class."""
        return self._plain is not None

    @property
    def shown(self) -> Tensor:
        """The image with what is covered, (1, channels, height, width)."""
        shown = self.image.clone() if self._corners else self.image
        for row, column in self._corners:
            shown[..., row : row + self._side, column : column + self._side] = 0
        return shown

    @property
    def changed(self) -> bool:
        """Whether `predict` would ask again."""
        return self._now() != self.about

    def _now(self) -> About:
        state = hash((fingerprint(self.network.module), self._content)), id(self.network.preprocess)
        return About(state, self.number, (self._side, *self._corners) if self._corners else ())

    def predict(self, corners: Sequence[Sequence[int]] = (), side: int = 0) -> None:
        """Covers squares of this side and no others with zeros, and asks the network again, if anything has changed.

        Args:
            corners: the top left ones, (row, column).
            side: pixels.
        """
        self._corners, self._side = [(row, column) for row, column in corners], side
        self._content = values_of(self.network.module.modules())
        now = self._now()
        if now != self.about:
            if now[:2] != self.about[:2]:
                self._plain = self._answer(self.image)
            self._output = self._answer(self.shown) if self._corners else self._plain
            self.about = now

    def explained(self, target: Any) -> int | Objective:
        """The target, with the class that is predicted for None."""
        if target is None:
            assert self._output is not None  # a target of its own is needed where there are no classes
            return int(self._output[0].argmax())
        return target

    def likeliest(self, count: int = 5) -> list[list[Any]]:
        """The classes with the highest probability: [index, label, probability]; none for NaN."""
        if self._output is None or not torch.isfinite(self._output).all():
            return []
        found = _chances(self._output)
        order = sorted(range(len(found)), key=lambda index: -found[index])
        return [[index, self.labels[index], found[index]] for index in order[:count]]

    def certainty(self, target: int | Objective) -> str:
        """How sure the network is of a class, and what covering parts of the image made of it; empty for no class."""
        if not isinstance(target, int) or self._plain is None or self._output is None:
            return ""
        before, now = f"{_chances(self._plain)[target]:.2f}", f"{_chances(self._output)[target]:.2f}"
        return f"{self.labels[target]} {f'{before} → {now}' if self._corners else now}"

    def target(self, given: Any) -> Any:
        """A target as it is kept: the index of a class, None for the predicted one, or an objective.

        Raises:
            TypeError: if it is none of these.
            ValueError: if there is no such class, or the objective does not fit; the message says what would do.
        """
        if isinstance(given, Objective):
            score(self.network, self.image, given)
            return given
        if Target.count(given) is not None:
            raise TypeError(f"a SaliencyView explains one target, not {given!r}")
        asked = Target(self.network, given, 1)
        if self._plain is None:
            raise ValueError(self._without_classes)
        asked.scores({OUTPUT: self._plain}, torch.zeros(1, dtype=torch.long, device=self._plain.device))
        return None if given is None or asked.classes is None else int(asked.classes[0])

    def _answer(self, image: Tensor) -> Tensor | None:
        with torch.no_grad():
            output = self.network(image)
        self._without_classes = (
            "the network's output has no classes: explain an objective instead, such as channel or unit"
            if isinstance(output, Tensor)
            else not_one_tensor(OUTPUT, self.network.module, output)
        )
        return output if isinstance(output, Tensor) and output.dim() == 2 else None


def _chances(output: Tensor) -> list[float]:
    return (output if is_distribution(output) else output.softmax(1))[0].tolist()
