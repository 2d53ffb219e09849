"""Targets: what an attribution explains, and its score."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ..arguments import near
from ..ascent.objective import Objective
from ..ascent.objectives import check_classes
from ..network.layer_names import OUTPUT
from ..network.network import Network


class Target:
    """A class of each image, or an objective, with the score that is explained.

    Args:
        network: the network, whose labels may name the classes.
        target: a class as index or label, a list of them with one for each image, None for the class that the network
            predicts, or an objective.
        batch: number of images.

    Attributes:
        names: the layers whose activations the score needs.
        classes: the class of each image, (batch,), once it is known; None for an objective.
        objective: the objective, None for classes.
        output: the network's output that the score was first taken from; None for an objective.

    Raises:
        TypeError: if the target is something else.
        ValueError: if a label is unknown, or the list is not as long as the batch.
    """

    def __init__(self, network: Network, target: Any, batch: int):
        self.objective = target if isinstance(target, Objective) else None
        if self.objective is not None and self.objective.elsewhere:
            raise ValueError(f"{target} is of several networks, and an attribution explains one")
        self.names = (OUTPUT,) if self.objective is None else self.objective.layers
        self.output: Tensor | None = None
        self.classes: Tensor | None = None
        self._labels = network.labels
        if self.objective is None and target is not None:
            self.classes = torch.tensor(self._indexes(target, batch), device=network.device)
        elif not self.names:
            raise ValueError(f"the objective {target} depends on no layer")
        if self.objective is not None and any(term.whole or term.references for term in self.objective.terms):
            raise ValueError(f"{target} compares pictures, and an attribution explains an image by itself")

    @staticmethod
    def count(target: Any) -> int | None:
        """How many targets a list holds; None for a single one."""
        if isinstance(target, Tensor):
            return len(target) if target.dim() else None
        return len(target) if isinstance(target, Sequence) and not isinstance(target, str) else None

    def scores(self, activations: Mapping[str, Tensor], rows: Tensor) -> Tensor:
        """The score of each row, (rows,), where row k shows the image number rows[k].

        Raises:
            ValueError: if a class is out of range, or the network's output has no classes.
        """
        if self.objective is not None:
            scores = self.objective.score(activations)
            if scores.shape != rows.shape:
                raise ValueError(f"{self.objective} must give one score for each image, not {tuple(scores.shape)}")
            return scores
        output = activations[OUTPUT]
        check_classes(output)
        if self.output is None:
            self.output = output.detach()
            self._settle(output)
        assert self.classes is not None
        return output.gather(1, self.classes[rows, None])[:, 0]

    def chances(self, activations: Mapping[str, Tensor], rows: Tensor) -> Tensor:
        """The probability of each row's class, or an objective's score as it is, (rows,)."""
        if self.objective is not None:
            return self.scores(activations, rows)
        output = activations[OUTPUT]
        return self.scores({OUTPUT: output if is_distribution(output) else output.softmax(-1)}, rows)

    def value(self) -> "Tensor | Objective":
        """The classes explained, or the objective."""
        return self.objective if self.objective is not None else self.classes  # type: ignore[return-value]

    def _settle(self, output: Tensor) -> None:
        if self.classes is None:
            self.classes = output.detach().argmax(1)
        for index in self.classes.tolist():
            if not 0 <= index < output.shape[1]:
                nearest = 0 if index < 0 else output.shape[1] - 1
                label = f", {self._labels[nearest]!r}" if self._labels and nearest < len(self._labels) else ""
                raise ValueError(
                    f"no class {index}: the network has {output.shape[1]} classes, 0 to {output.shape[1] - 1}; "
                    f"the nearest is {nearest}{label}"
                )

    def _indexes(self, target: Any, batch: int) -> list[int]:
        if self.count(target) is None:
            return [self._index(target)] * batch
        if len(target) != batch:
            raise ValueError(f"{len(target)} targets for {batch} images: give one, or one for each image")
        return [self._index(one) for one in target]

    def _index(self, target: Any) -> int:
        if isinstance(target, str):
            return self._labelled(target)
        whole = not isinstance(target, bool) and hasattr(target, "__index__")
        if not whole or (isinstance(target, Tensor) and target.is_floating_point()):
            raise TypeError(
                "a target is a class (index or label), a list with one for each image, None for the predicted class, "
                f"or an objective, not {target!r}"
            )
        return target.__index__()

    def _labelled(self, label: str) -> int:
        if not self._labels:
            raise ValueError(f"no class {label!r}: the network has no labels, so give the class by its index")
        found = [index for index, name in enumerate(self._labels) if name == label]
        if not found:
            raise ValueError(f"no class {label!r} among {len(self._labels)}{near(label, self._labels)}")
        if len(found) > 1:
            raise ValueError(f"{label!r} names the classes {' and '.join(map(str, found))}: give the index")
        return found[0]


def is_distribution(output: Tensor) -> bool:
    """Whether every row holds probabilities, as after a softmax, whose sum is off by 2e-3 at most in bfloat16."""
    return bool((output >= 0).all()) and bool(((output.sum(-1) - 1).abs() < 4e-3).all())
