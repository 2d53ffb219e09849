"""What a ReLU rule did not reach: read from the graph that a forward pass leaves behind, by a list of what is known."""

from collections import Counter
from collections.abc import Iterable
from functools import cached_property
from typing import Any

from torch import Tensor

from .backward_graph import LEAF, WHOLE, BackwardGraph
from .backward_nodes import (
    ASSIGNING,
    BETWEEN_GATE_AND_PRODUCT,
    CHOICES,
    DIVIDING,
    GATES,
    LARGER,
    LINEAR,
    MEANS,
    MULTIPLYING,
    NORMALISATIONS,
    NOT_IN_LAST,
    OF_STATISTICS,
    POWERS,
    PRODUCTS,
    SHAPES,
    STATISTICS,
    SWITCHES,
    TITLES,
)
from .relu_path import Followed

_RULED = "_Rectifier"
_PLAINLY_KNOWN = LINEAR | SWITCHES | {LEAF, _RULED, WHOLE}

_OF_TWO = "a product of two factors that both depend on the picture"
_UNSEEN = "TorchScript or other code that cannot be followed"


def unruled(layers: Iterable[Tensor], place: Tensor, way: Followed) -> tuple[list[str], bool]:
    """What lies on the way and is neither known nor has a ReLU rule, and whether anything on the way has one.

    Args:
        layers: what the score is made of.
        place: the leaf of the graph whose gradient is asked for.
        way: what was noted in the forward pass.

    Returns:
        Names such as "SiLU" or "SiLU (3 times)", and whether there is a rectifier.
    """
    graph = BackwardGraph([each.grad_fn for each in layers if each.grad_fn is not None], place, way)
    coverage = _Coverage(graph, way)
    found = Counter(reason for node, name in graph.names.items() if (reason := coverage.reason(node, name)))
    return [name if times == 1 else f"{name} ({times} times)" for name, times in found.items()], coverage.ruled()


class _Coverage:
    """What a rule does at each node of a graph, by what is known of its kind and of the nodes around it."""

    def __init__(self, graph: BackwardGraph, way: Followed):
        self._graph, self._way = graph, way
        self._names, self._inputs = graph.names, graph.inputs

    def ruled(self) -> bool:
        """Whether there is a rectifier with a rule."""
        assigned = self._way.assigned
        return _RULED in self._names.values() or any(assigned.get(node) == _RULED for node in self._names)

    def reason(self, node: Any, name: str) -> str:
        """Why the rule would not be what its name says here; empty if it would."""
        if node is self._way.start:
            return ""
        found = "" if name in _PLAINLY_KNOWN else self._by_name(node, name)
        if not found and node in self._way.unseen:
            found = _UNSEEN
        return found or self._way.hidden.get(node, "")

    @cached_property
    def _passed(self) -> tuple[set[Any], set[Any], set[Any]]:
        """Gates, the nodes that take from them as from gates, and what else is known by its surroundings."""
        gates, takers, known = set(), set(), set()
        for root in self._graph.roots:
            *between, last = self._graph.stripped(root, SHAPES)
            gates.add(last)
            takers.update(between)
        for node, name in self._names.items():
            factors = self._graph.factors(node)
            if len(factors) < 2 and name not in DIVIDING:
                continue
            for factor in factors:
                *between, gate = self._graph.stripped(factor, SHAPES | BETWEEN_GATE_AND_PRODUCT)
                others = [self._graph.origins[each][0] for each in factors if each is not factor]
                if self._is_gate(gate) and self._graph.origins[gate][0] not in others:
                    gates.add(gate)
                    takers.update(between, [node])
                    known.add(node)
                *between, statistic = self._graph.stripped(factor, SHAPES | OF_STATISTICS | {"Add", "Mul"})
                divides = factor is self._inputs[node][-1] and name in DIVIDING
                divides = divides or any(self._names[each] in ("Rsqrt", "Reciprocal") for each in between)
                if self._names[statistic] in STATISTICS and divides:
                    known.update(between, [statistic, node])
        return gates, takers, known

    def _by_name(self, node: Any, name: str) -> str:
        if name in PRODUCTS:
            return self._of_product(node, name)
        if name == "CopySlices":
            return self._of_assignment(node)
        if name in LARGER:
            return self._of_larger(self._inputs[node], LARGER[name])
        if name in CHOICES:
            return self._of_choice(node, name)
        if name == "Where":
            return "where with a constant" if node in self._way.hidden and None in self._inputs[node] else ""
        if name in NORMALISATIONS:
            return _OF_TWO if len(self._graph.alive(node)) > 1 else ""
        if name in POWERS and self._is_pool(node):
            return ""
        gates, takers, known = self._passed
        if name in GATES:
            return "" if node in gates and self._graph.uses.get(node, set()) <= takers else name
        if node in known:
            return ""
        if hasattr(node, "_forward_cls"):
            return "" if name == "BackwardHookFunction" else f"the custom function {name}"
        if name == "Clamp":
            return f"clamp with {'tensor bounds' if len(node.next_functions) > 1 else 'bounds other than 0'}"
        if name.startswith("ScaledDotProduct"):
            return "attention"
        return TITLES.get(name) or name

    def _is_gate(self, node: Any) -> bool:
        bounded = self._names[node] == _RULED and node.high is not None
        return bounded or self._names[node] in GATES

    def _is_pool(self, power: Any) -> bool:
        behind = self._graph.stripped(power, SHAPES | {*POWERS})[-1]
        uses = self._graph.uses.get(power)
        return self._names[behind] in MEANS or (bool(uses) and all(self._names[each] in MEANS for each in uses))

    def _of_product(self, node: Any, name: str) -> str:
        inputs, factors = self._inputs[node], self._graph.factors(node)
        if len(factors) == 1 and (name not in NOT_IN_LAST or factors[0] is not inputs[PRODUCTS[name][-1]]):
            return ""
        if node in self._passed[2] or (name == "Lerp" and (len(inputs) < 3 or inputs[2] is None)):
            return ""
        if name in NOT_IN_LAST and inputs[PRODUCTS[name][-1]] is not None:
            return NOT_IN_LAST[name]
        origins = [self._graph.origins[each] for each in factors]
        if origins[0][0] is origins[1][0] and any(bends for _, bends in origins):
            return "a product that gates itself (SiLU, GELU or Hardswish by hand)"
        return _OF_TWO

    def _of_choice(self, node: Any, name: str) -> str:
        """A choice among positions is known, one between a value and a constant or itself is a rectifier by hand."""
        joined = self._graph.stripped(node, SHAPES | {name})[-1]
        return self._of_larger(self._inputs[joined], name.lower()) if self._names[joined] in ("Stack", "Cat") else ""

    def _of_larger(self, inputs: list[Any], name: str) -> str:
        if None in inputs:
            return f"{name} with a constant"
        origins = [self._graph.origins[each][0] for each in inputs]
        return f"{name} of a value and itself" if len({*origins}) < len(origins) else ""

    def _of_assignment(self, node: Any) -> str:
        name = self._way.assigned.get(node, "")
        plain = name.strip("_")
        if name != _RULED and plain not in ASSIGNING:
            return f"{name or 'an unknown function'} on a part of a tensor"
        return _OF_TWO if plain in MULTIPLYING and len(self._graph.alive(node)) > 1 else ""
