"""The passes of an attribution: scores of a target and their gradients, at the images or at a layer."""

import copy
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge
from torch.utils import checkpoint

from ..arguments import whole
from ..network.activations import Activations, layout_of
from ..network.batching import Batching, batching
from ..network.layers import OUTPUT, LayerError, address, counted_calls, explained, not_one_tensor, one_pass
from ..network.network import Network, named
from ..network.prepared import Prepared
from ..network.random_state import unchanged_chance
from ..network.relu_coverage import unruled
from ..network.relu_path import Followed
from ..network.relu_rules import Rule
from ..network.score_gradient import gradients
from ..network.twin import eager
from ..tracing.axes import Axes
from ..tracing.trace import Trace
from .affine_stem import Stem
from .targets import Target

_MOST_AT_ONCE = {"cpu": (3, 32), "mps": (16, 32), "cuda": (32, 64)}
"""Images in one chunk at most, with and without gradients; more gradients at once are hardly faster on the CPU."""

_ROOM = {"cpu": (2**30, 40 * 2**20), "mps": (2**30, 2**30), "cuda": (2**31, 2**31)}
"""Bytes of a chunk's activations, with and without gradients: what any such device has, so that the same call rounds
alike on every machine. On the CPU a forward pass of more is hardly faster for each image, and soon slower, since they
leave the cache (measured)."""

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


class _Forward(NamedTuple):
    """What a forward pass leaves, the places of the map being those of all pictures at once, or one for each."""

    places: list[Tensor]
    scores: Tensor
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
        self._call: int | None = None

    def at(self, layer: str | None) -> "Passes":
        """The same for another place of the map."""
        other = copy.copy(self)
        other.layer, other._call = layer, None
        return other

    def backward(self, rule: Rule | None = None) -> Backward:
        """The gradient of the score at the place of the map, by a ReLU rule if one is given."""
        batching = self._batching() if len(self.images) > 1 else Batching()
        with torch.inference_mode(False), torch.enable_grad(), self.network.borrowed() as module:
            found = self._forward(module, batching, self.images, self.rows, rule=rule)
            gradient = self._gradient(found.scores, found.places)
            values = torch.cat(found.places).detach()
            return Backward(values, gradient, found.scores.detach(), found.axes, found.ruled)

    def values(self, images: Tensor) -> Tensor:
        """The images themselves, or the layer's answer to them."""
        if self.layer is None:
            return images
        batching = self._batching()
        with torch.inference_mode(False), torch.no_grad(), self.network.borrowed() as module:
            return torch.cat(self._forward(module, batching, images, self.rows).places).detach()

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
        with torch.inference_mode(False), torch.enable_grad():
            if self.layer is None:
                return self._mean_at_images(points, weights, chunk)
            total, batching = _Sums(len(self.images)), self._batching()
            with self.network.borrowed() as module:
                for rows, samples in self._chunks(len(weights), chunk):
                    shown = points(rows, samples)
                    given = (self.images[rows], shown) if inside else (shown, None)
                    found = self._forward(module, batching, given[0], rows, values=given[1])
                    gradient = self._gradient(found.scores, found.places)
                    total.add(rows, gradient, [weights[k] for k in samples.tolist()])
            return total.stacked()

    def _mean_at_images(self, points: Points, weights: Sequence[float], chunk: int | None) -> Tensor:
        """The sum by the prepared copy, at the end of its stem where it has one, and brought to the images once."""
        prepared = self._prepare()
        at_images, at_stem = _Sums(len(self.images)), _Sums(len(self.images))
        with Stem(prepared, self.images).watched() as stem:
            for rows, samples in self._chunks(len(weights), chunk):
                values = points(rows, samples).detach().requires_grad_()
                scores = self._prepared_scores(values, rows)
                edge, factors = stem.way_in(scores), [weights[k] for k in samples.tolist()]
                if edge is None:
                    at_images.add(rows, self._gradient(scores, [values]), factors)
                else:
                    at_stem.add(rows, self._gradient(scores, [edge]), factors)
        if at_stem.rows:
            at_images.add(self.rows, stem.at_images(at_stem.stacked(), self.images), [1.0] * len(self.rows))
        return at_images.stacked()

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
            chunk: pairs at once; None for as many as speed asks for and as fit into a room that each kind of device
                has, by the bytes that one image makes on its way.
        """
        if chunk is None:
            prepared, kind = self._prepare(), 0 if self.gradients else 1
            # A backward pass holds as much again as the forward pass leaves, a forward pass a few tensors at a time.
            needed = 2 * prepared.whole if self.gradients else 6 * prepared.widest
            most, room = (each.get(self.images.device.type, each["cpu"])[kind] for each in (_MOST_AT_ONCE, _ROOM))
            size = max(1, min(most, room // max(1, needed)))
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

    def _forward(
        self,
        module: nn.Module,
        batching: Batching,
        images: Tensor,
        rows: Tensor,
        *,
        rule: Rule | None = None,
        values: Tensor | None = None,
    ) -> _Forward:
        """A forward pass, cut off from what is before the place of the map."""
        shown = images.split(1) if batching.apart else (images,)
        given = [None] * len(shown) if values is None else values.chunk(len(shown))
        limits = None if OUTPUT in self.target.names else self._limits(module)
        places: list[Tensor] = []
        answers: list[Activations] = []
        axes, ruled = None, Counter[str]()
        for each, value in zip(shown, given, strict=True):
            twin = self.network.twin() if batching.fresh else module
            place, answer, way = self._shown(twin, each, rule, value, limits)
            places.append(place)
            answers.append(answer)
            axes = None if self.layer is None else answer.axes[self.layer]
            ruled += way.met if way else Counter()
        scores = self.target.scores(self.network.read(batching.joined(answers)), rows)
        return _Forward(places, scores, axes, ruled)

    def _shown(
        self,
        module: nn.Module,
        images: Tensor,
        rule: Rule | None,
        values: Tensor | None,
        limits: Mapping[str, int] | None,
    ) -> tuple[Tensor, Activations, Followed | None]:
        """What lies at the place of the map, the activations that the target is scored by, and what a rule met."""
        leaf = images.detach().requires_grad_(torch.is_grad_enabled()) if self.layer is None else images.detach()
        held: list[tuple[int, Tensor]] = []
        # A class is read off the output, which has no rows and columns to look for.
        plain = self.layer is None and self.target.objective is None
        layout = None if plain else layout_of(module, (self.layer or "", *self.target.names))

        def run() -> tuple[Tensor, Activations, Followed | None]:
            with unchanged_chance(seed=0):
                entered = self.network.enter(leaf)
                way = Followed(rule, entered) if rule else None

                def once(trace: Trace | None) -> Activations:
                    with self._place(module, values, trace) as answers:
                        found = one_pass(module, entered, self.target.names, limits, trace)
                    held[:] = answers
                    if held and trace is not None:
                        found.axes[str(self.layer)] = trace.axes(held[0][1])
                    return found

                with way or nullcontext():
                    found = once(None) if layout is None else layout.run(module, entered, once)
            if self.layer is None:
                return leaf, found, way
            if not held:
                raise LayerError(
                    self._without_gradient() if limits else f"layer {self.layer!r} is not called in the forward pass"
                )
            self._call = held[0][0]
            return held[0][1], found, way

        place, activations, way = explained(self.network, images, run)
        if way is not None:
            self._check_rules(way, activations, place)
        return place, activations, way

    def _place(
        self, module: nn.Module, values: Tensor | None, trace: Trace | None
    ) -> AbstractContextManager[list[tuple[int, Tensor]]]:
        """Holds the layer, if the map lives at one."""
        if self.layer is None:
            return nullcontext([])
        return _held(module, self.layer, values, self._call, self.network.precision, trace)

    def _limits(self, module: nn.Module) -> dict[str, int]:
        """How often the target's layers are called, after which the pass may stop."""
        names = self.target.names if self.layer is None else (*self.target.names, self.layer)
        calls = counted_calls(self.network, module, self.images, names)
        if self.layer is not None:
            self._call = calls[self.layer] - 1
        return {name: calls[name] for name in self.target.names}

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

    def _gradient(self, scores: Tensor, places: Sequence[Tensor] | Sequence[GradientEdge]) -> Tensor:
        try:
            found = [each for each in gradients(scores, places, self.network.dtype) if each is not None]
        except RuntimeError as error:
            if "use_reentrant" not in str(error):
                raise
            raise ValueError(
                "the network runs a part in torch.utils.checkpoint with use_reentrant=True, which gives no gradient at "
                "chosen places: say use_reentrant=False there, or switch checkpointing off"
            ) from error
        if len(found) < len(places):
            raise ValueError(self._without_gradient())
        return torch.cat(found)

    def _without_gradient(self) -> str:
        where = "the images" if self.layer is None else f"layer {self.layer!r}"
        what = self.target.objective or "the class score"
        return f"{what} has no gradient at {where}: it does not depend on it, or something in between is detached"

    def _check_rules(self, way: Followed, activations: Mapping[str, Tensor], place: Tensor) -> None:
        """Refuses a rule that would not be what its name says; notes where it changes nothing."""
        parts = named(eager(self.network.module)).items()
        scripted = [name for name, part in parts if isinstance(part, torch.jit.ScriptModule)]
        if scripted:
            raise ValueError(
                f"{self.method} cannot reach the ReLUs inside TorchScript ({scripted[0] or 'the network itself'}): "
                "give the module as written"
            )
        missed, ruled = unruled(activations.values(), place, way)
        if missed:
            raise ValueError(
                f"{self.method} has rules for ReLU, ReLU6, LeakyReLU and clamp(min=0) only, and here is "
                f"{', '.join(missed)}: use gradient, integrated_gradients or grad_cam"
            )
        if not way.met and OUTPUT in self.target.names:  # else the pass may have ended before the first one
            raise ValueError(
                f"{self.method} changes how gradients pass ReLUs, and this network has none: it would be the plain "
                "gradient, so use that"
            )
        if not ruled:
            self._note("No ReLU lies between the target and the map, so this is the plain gradient.")


class _Sums:
    """A weighted sum for each image, of what comes a few rows at a time.

    Attributes:
        rows: the sums by image.
    """

    def __init__(self, count: int):
        self._count = count
        self.rows: list[Tensor] = []

    def add(self, rows: Tensor, found: Tensor, weights: Sequence[float]) -> None:
        """Adds each of `found`, times its weight, to the sum of its row."""
        if not self.rows:
            self.rows += [torch.zeros_like(found[0]) for _ in range(self._count)]
        for row, each, weight in zip(rows.tolist(), found, weights, strict=True):
            self.rows[row].add_(each, alpha=weight)

    def stacked(self) -> Tensor:
        """The sums as one batch."""
        return torch.stack(self.rows)


@contextmanager
def _held(
    module: nn.Module, name: str, values: Tensor | None, call: int | None, precision: torch.dtype, trace: Trace | None
) -> Iterator[list[tuple[int, Tensor]]]:
    """Cuts the graph at a layer: yields a list of (call, what it gave), and puts `values` there instead if given.

    A bare name means the last call, which only a first run can tell; later runs say it as `call`.
    """
    place, addressed = address(name, named(module))
    wanted = addressed if addressed is not None else call
    held: list[tuple[int, Tensor]] = []
    calls = 0

    def hook(part: nn.Module, args: tuple[object, ...], output: object) -> Tensor | None:
        nonlocal calls
        calls += 1
        if wanted is not None and calls != wanted + 1:
            return None
        if not isinstance(output, Tensor):
            raise LayerError(not_one_tensor(place, part, output))
        if _is_checkpointed():
            raise LayerError(
                f"layer {place!r} runs inside torch.utils.checkpoint, which runs it once more for the backward pass, "
                "so that no gradient can be taken there: take a layer outside of it, or switch checkpointing off"
            )
        leaf = (output if values is None else values).detach().to(precision).requires_grad_(torch.is_grad_enabled())
        if trace is not None:
            trace.take(leaf, output, args)
        held[:] = [(calls - 1, leaf)]
        return leaf.to(output.dtype, copy=True)  # an in-place function that follows may not write into a leaf

    handle = named(module)[place].register_forward_hook(hook)
    try:
        yield held
    finally:
        handle.remove()


def _is_checkpointed() -> bool:
    frame = sys._getframe()
    while frame is not None:
        if frame.f_code.co_filename == checkpoint.__file__:
            return True
        frame = frame.f_back
    return False
