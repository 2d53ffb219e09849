"""The passes of an attribution: scores of a target and their gradients, at the images or at a layer."""

import copy
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ..arguments import whole
from ..network.batching import Batching, batching
from ..network.network import Network
from ..network.pass_errors import explained
from ..network.prepared import Prepared
from ..network.relu_rules import Rule
from ..tracing.axes import Axes
from .chunks import Sums, chunk_size
from .cut_passes import CutPasses
from .targets import Target

Points = Callable[[Tensor, Tensor], Tensor]
"""(rows, samples) → for each k, what the network is shown of image rows[k] in sample number samples[k]."""

Score = Callable[[Mapping[str, Tensor], Tensor], Tensor]
"""(activations, rows) → one number for each row."""


class Backward(NamedTuple):
    """What a forward pass and one back from the score give at the place of the map.

    Attributes:
        values: there: the images, or the layer's activation.
        gradient: of the score, in the same shape.
        score: of each image, (batch,).
        axes: which dimensions are channels, rows and columns, at a layer.
        ruled: how often each tensor function took the ReLU rule.
    """

    values: Tensor
    gradient: Tensor
    score: Tensor
    axes: Axes | None
    ruled: Counter[str]


class Passes:
    """What a method of attribution asks of the network, which its private twins answer.

    Args:
        network: the network.
        images: (batch, channels, height, width), on the network's device and of its precision.
        target: what is explained.
        layer: where the map lives; None for the images themselves.
        progress: called with (done, total) as a slow method moves on.
        method: the method's name, for sentences.
        gradients: whether gradients will be asked for, or scores only.

    Attributes:
        notes: sentences for the reader, found on the way.
        rows: 0, 1, …, batch - 1.
    """

    def __init__(
        self,
        network: Network,
        images: Tensor,
        target: Target,
        layer: str | None = None,
        progress: Callable[[int, int], object] | None = None,
        method: str = "",
        gradients: bool = True,
    ):
        self.network, self.images, self.target, self.layer = network, images, target, layer
        self.method, self.gradients = method, gradients
        self.notes: list[str] = []
        self.rows = torch.arange(len(images), device=network.device)
        self._progress = progress
        self._prepared: Prepared | None = None
        self._cut = CutPasses(network, images, target, layer, method)

    def at(self, layer: str | None) -> "Passes":
        """The same for another place of the map."""
        other = copy.copy(self)
        other.layer, other._cut = layer, CutPasses(self.network, self.images, self.target, layer, self.method)
        return other

    def backward(self, rule: Rule | None = None) -> Backward:
        """The gradient of the score at the place of the map, by a ReLU rule if one is given."""
        batching = self._batching() if len(self.images) > 1 else Batching()
        with torch.inference_mode(False), torch.enable_grad(), self.network.borrowed() as module:
            found = self._cut.run(module, batching, self.images, self.rows, rule=rule)
            self._note(*found.notes)
            gradient = self._cut.gradient(found.scores, found.places)
            values = torch.cat(found.places).detach()
            return Backward(values, gradient, found.scores.detach(), found.axes, found.ruled)

    def values(self, images: Tensor) -> Tensor:
        """The images themselves, or the layer's answer to them."""
        if self.layer is None:
            return images
        batching = self._batching()
        with torch.inference_mode(False), torch.no_grad(), self.network.borrowed() as module:
            return torch.cat(self._cut.run(module, batching, images, self.rows).places).detach()

    def scores(self, images: Tensor) -> Tensor:
        """The score of each image of the batch, (batch,)."""
        with torch.inference_mode(False), torch.no_grad():
            return self._prepared_scores(images, self.rows)

    def mean_gradient(self, points: Points, weights: Sequence[float], chunk: int | None, inside: bool) -> Tensor:
        """The weighted sum of gradients over samples of each image, a chunk of (image, sample) pairs at a time.

        Args:
            points: gives what the network is shown.
            weights: one for each sample.
            chunk: pairs at once; None to choose.
            inside: whether the points are values at the layer, not images.
        """
        total = Sums(len(self.images))
        batching = Batching() if self.layer is None else self._batching()
        with torch.inference_mode(False), torch.enable_grad():
            for rows, samples in self._chunks(len(weights), chunk):
                shown = points(rows, samples)
                if self.layer is None:
                    place = shown.detach().requires_grad_()
                    gradient = self._cut.gradient(self._prepared_scores(place, rows), [place])
                else:
                    gradient = self._gradient_at_layer(batching, rows, shown, inside)
                total.add(rows, gradient, [weights[k] for k in samples.tolist()])
        return total.stacked()

    def _gradient_at_layer(self, batching: Batching, rows: Tensor, shown: Tensor, inside: bool) -> Tensor:
        given = (self.images[rows], shown) if inside else (shown, None)
        with self.network.borrowed() as module:
            found = self._cut.run(module, batching, given[0], rows, values=given[1])
            return self._cut.gradient(found.scores, found.places)

    # The decorators work step by step: modes that a generator enters would hold for whoever asks it, too.
    @torch.inference_mode(False)
    @torch.no_grad()
    def sampled(
        self, points: Points, samples: int, chunk: int | None, read: Score | None = None
    ) -> Iterator[tuple[int, int, Tensor]]:
        """The score of each sample of each image, or another number, as (row, sample, value)."""
        for rows, numbers in self._chunks(samples, chunk):
            values = self._prepared_scores(points(rows, numbers), rows, read)
            yield from zip(rows.tolist(), numbers.tolist(), values, strict=True)

    def _chunks(self, samples: int, chunk: int | None) -> Iterator[tuple[Tensor, Tensor]]:
        """All pairs (row, sample) in chunks, the progress being told after each.

        Args:
            samples: of each image.
            chunk: pairs at once; None to choose.
        """
        if chunk is None:
            size = chunk_size(self._prepare(), self.images.device, self.gradients)
        else:
            size = whole(chunk, "chunk", 1)
        count = len(self.images) * samples
        for start in range(0, count, size):
            pairs = torch.arange(start, min(start + size, count), device=self.images.device)
            yield pairs % len(self.images), pairs // len(self.images)
            self.tell(min(start + size, count), count)

    def tell(self, done: int, total: int) -> None:
        """Tells whoever waits how far it is; what they raise ends the call."""
        if self._progress is not None:
            self._progress(done, total)

    def _batching(self) -> Batching:
        """How pictures are shown to the network, which the reader is told."""
        found = batching(self.network, self.images, self.target.names)
        self._note(*found.notes)
        return found

    def _note(self, *notes: str) -> None:
        self.notes += [note for note in notes if note not in self.notes]

    def _prepared_scores(self, images: Tensor, rows: Tensor, read: Score | None = None) -> Tensor:
        prepared = self._prepare()
        activations = explained(self.network, images, lambda: prepared(images))
        return (read or self.target.scores)(activations, rows)

    def _prepare(self) -> Prepared:
        if self._prepared is None:
            # In single precision a folded batch norm rounds differently, which a score hardly feels; but a unit that
            # is nearly zero may fall on the other side of its ReLU, and the gradient jumps.
            copied = "none" if self.gradients else "small"
            self._prepared = Prepared(self.network, self.target.names, self.images, copied)
            self._note(*self._prepared.batching.notes)
        return self._prepared
