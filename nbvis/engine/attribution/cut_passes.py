"""Forward passes whose graph begins at the place of a map, the images or a layer, so that gradients end there."""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..network.batching import Batching
from ..network.call_counts import counted_calls
from ..network.forward_hooks import one_pass
from ..network.layer_names import OUTPUT, LayerError
from ..network.layout import Activations, layout_of
from ..network.network import Network
from ..network.pass_errors import explained
from ..network.random_state import unchanged_chance
from ..network.relu_path import Followed
from ..network.relu_rules import Rule
from ..network.score_gradient import gradients
from ..tracing.axes import Axes
from ..tracing.trace import Trace
from .held_layer import held
from .rule_coverage import check_rule
from .targets import Target


class CutPass(NamedTuple):
    """What a forward pass leaves.

    Attributes:
        places: what lies at the place of the map, of all pictures at once or one for each.
        scores: of each picture.
        axes: which dimensions are channels, rows and columns, at a layer.
        ruled: how often each tensor function took the ReLU rule.
        notes: sentences on that rule.
    """

    places: list[Tensor]
    scores: Tensor
    axes: Axes | None
    ruled: Counter[str]
    notes: list[str]


class CutPasses:
    """Forward passes cut off from what is before the place of a map.

    Args:
        network: the network.
        images: those that are explained.
        target: what is explained.
        layer: where the map lives; None for the images themselves.
        method: the method's name, for sentences.
    """

    def __init__(self, network: Network, images: Tensor, target: Target, layer: str | None, method: str):
        self._network, self._images, self._target, self._layer = network, images, target, layer
        self._method = method
        self._call: int | None = None

    def run(
        self,
        module: nn.Module,
        batching: Batching,
        images: Tensor,
        rows: Tensor,
        *,
        rule: Rule | None = None,
        values: Tensor | None = None,
    ) -> CutPass:
        """One forward pass.

        Args:
            module: a twin of the network.
            batching: how pictures are shown to it.
            images: what it is shown.
            rows: which of the images that are explained each of them stands for.
            rule: for its ReLUs, if one is given.
            values: to be put at the layer instead of what it gives.
        """
        shown = images.split(1) if batching.apart else (images,)
        given = [None] * len(shown) if values is None else values.chunk(len(shown))
        limits = None if OUTPUT in self._target.names else self._limits(module)
        places: list[Tensor] = []
        answers: list[Activations] = []
        ruled, notes = Counter[str](), []
        for each, value in zip(shown, given, strict=True):
            twin = self._network.twin() if batching.fresh else module
            place, answer, way = self._shown(twin, each, rule, value, limits)
            places.append(place)
            answers.append(answer)
            if way is not None:
                ruled += way.met
                notes += check_rule(self._method, self._network, way, answer, place)
        scores = self._target.scores(self._network.read(batching.joined(answers)), rows)
        axes = None if self._layer is None else answers[-1].axes[self._layer]
        return CutPass(places, scores, axes, ruled, notes)

    def gradient(self, scores: Tensor, places: Sequence[Tensor]) -> Tensor:
        """The gradient of scores at leaves of the graph, as one batch.

        Raises:
            ValueError: if there is none; the message says why.
        """
        try:
            found = [each for each in gradients(scores, places, self._network.dtype) if each is not None]
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

    def _shown(
        self,
        module: nn.Module,
        images: Tensor,
        rule: Rule | None,
        values: Tensor | None,
        limits: Mapping[str, int] | None,
    ) -> tuple[Tensor, Activations, Followed | None]:
        """What lies at the place of the map, the activations that the target is scored by, and what a rule met."""
        leaf = images.detach().requires_grad_(self._layer is None and torch.is_grad_enabled())

        def run() -> tuple[Activations, list[tuple[int, Tensor]], Followed | None]:
            with unchanged_chance(seed=0):
                entered = self._network.enter(leaf)
                way = Followed(rule, entered) if rule else None
                with way or nullcontext():
                    return *self._answer(module, entered, values, limits), way

        activations, answers, way = explained(self._network, self._images, run)
        if self._layer is None:
            return leaf, activations, way
        if not answers:
            raise LayerError(
                self._without_gradient() if limits else f"layer {self._layer!r} is not called in the forward pass"
            )
        self._call, place = answers[0]
        return place, activations, way

    def _answer(
        self, module: nn.Module, entered: Tensor, values: Tensor | None, limits: Mapping[str, int] | None
    ) -> tuple[Activations, list[tuple[int, Tensor]]]:
        """The activations that the target is scored by, and (call, what it gave) of the layer, if it was met."""
        met: list[tuple[int, Tensor]] = []

        def once(trace: Trace | None) -> Activations:
            with self._place(module, values, trace) as answers:
                found = one_pass(module, entered, self._target.names, limits, trace)
            met[:] = answers
            if met and trace is not None:
                found.axes[str(self._layer)] = trace.axes(met[0][1])
            return found

        if self._layer is None and self._target.objective is None:
            # A class is read off the output, which has no rows and columns to look for.
            return once(None), met
        return layout_of(module, (self._layer or "", *self._target.names)).run(module, entered, once), met

    def _place(
        self, module: nn.Module, values: Tensor | None, trace: Trace | None
    ) -> AbstractContextManager[list[tuple[int, Tensor]]]:
        """Holds the layer, if the map lives at one."""
        if self._layer is None:
            return nullcontext([])
        return held(module, self._layer, values, self._call, self._network.precision, trace)

    def _limits(self, module: nn.Module) -> dict[str, int]:
        """How often the target's layers are called, after which the pass may stop."""
        names = self._target.names if self._layer is None else (*self._target.names, self._layer)
        calls = counted_calls(self._network, module, self._images, names)
        if self._layer is not None:
            self._call = calls[self._layer] - 1
        return {name: calls[name] for name in self._target.names}

    def _without_gradient(self) -> str:
        where = "the images" if self._layer is None else f"layer {self._layer!r}"
        what = self._target.objective or "the class score"
        return f"{what} has no gradient at {where}: it does not depend on it, or something in between is detached"
