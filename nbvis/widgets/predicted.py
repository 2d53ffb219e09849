"""What a network finds in a picture, also with parts of it covered."""

from collections.abc import Hashable, Sequence
from typing import Any

import torch
from torch import Tensor

from nbvis.engine import (
    OUTPUT,
    Layer,
    Network,
    Objective,
    Target,
    is_distribution,
    last_with_space,
    layers,
    not_one_tensor,
    score,
    values_of,
)

from .given import Given
from .rows import has_places, layer_rows
from .subject import DatedSubject


class Predicted(DatedSubject):
    """A network and a picture, parts of which may be covered, with the classes that it is predicted to show.

    Attributes:
        layers: the layers with rows and columns alone.
        flat: the names of the others.
        cam_layer: where a class activation map is usually taken; empty if there is nowhere.
        labels: the name of each class, "class 7" where it has none; empty if the output has no classes.
        targets: those that had to fit when it was looked at, each as it was given and as it is kept; see `target`.
        about: also for what is covered.
    """

    given: Given

    def __init__(self, network: Network, given: Given | None, image: Tensor | None = None, number: int = 0):
        self.cam_layer = ""
        self.flat: list[str] = []
        self.labels: list[str] = []
        self._corners: list[tuple[int, int]] = []
        self._side = 0
        self._without_classes = ""
        self.targets: list[tuple[Any, Any]] = []
        self._plain: Tensor | None = None
        self._output: Tensor | None = None
        super().__init__(network, given, image, number)

    def _find(self, *wanted: Any) -> None:
        self._list(layers(self.network, self.image))
        self._plain = self._output = self._answer(self.image)
        known, count = self.network.labels or [], 0 if self._plain is None else self._plain.shape[1]
        self.labels = [known[index] if index < len(known) else f"class {index}" for index in range(count)]
        self.targets = [(target, self.target(target)) for target in wanted]

    def _list(self, found: list[Layer]) -> None:
        rows = layer_rows(found)
        self.layers = [row for row in rows if has_places(row)]
        self.flat = [row["name"] for row in rows if row not in self.layers]
        self.cam_layer = last_with_space(self.network, self.image) if self.layers else ""

    @property
    def shown(self) -> Tensor:
        """The image with what is covered, (1, channels, height, width)."""
        shown = self.image.clone() if self._corners else self.image
        for row, column in self._corners:
            shown[..., row : row + self._side, column : column + self._side] = 0
        return shown

    def _now(self) -> tuple[Hashable, ...]:
        return *super()._now(), (self._side, *self._corners) if self._corners else ()

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

    def likeliest(self, count: int = 5) -> list[dict[str, Any]]:
        """The classes with the highest probability: {index, label, probability} of each; none for NaN."""
        if self._output is None or not torch.isfinite(self._output).all():
            return []
        found = chances(self._output)
        order = sorted(range(len(found)), key=lambda index: -found[index])
        return [{"index": k, "label": self.labels[k], "probability": found[k]} for k in order[:count]]

    def certainty(self, target: int | Objective) -> str:
        """How sure the network is of a class, and what covering parts of the image made of it; empty for no class."""
        if not isinstance(target, int) or self._plain is None or self._output is None:
            return ""
        before, now = f"{chances(self._plain)[target]:.2f}", f"{chances(self._output)[target]:.2f}"
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
            raise TypeError(f"one target is explained at a time, not {given!r}")
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


def chances(output: Tensor) -> list[float]:
    """The probability of each class, of an output (1, classes) that may be them already."""
    return (output if is_distribution(output) else output.softmax(1))[0].tolist()
