"""The graph that a forward pass leaves behind: its nodes from a layer back to a place, and what goes into each."""

from collections.abc import Iterable, Mapping
from functools import cache, cached_property
from typing import Any

from torch import Tensor

from .backward_nodes import BENDING, POINTWISE, PRODUCTS
from .relu_path import Followed

LEAF, WHOLE = "AccumulateGrad", "a function known by its own name"
"""Names of nodes: a leaf's, and that of what a function gave which is known as a whole."""


class BackwardGraph:
    """The nodes between the layers and the place, as far as they depend on it.

    What only some networks have, such as products of two maps, is looked into when one is met: the walk itself is a
    part of each call's time.

    Args:
        roots: the nodes of the layers.
        place: the leaf where the graph begins.
        way: what was noted in the forward pass; what is hidden behind other leaves is added to it.

    Attributes:
        names: of those nodes, by their backward function.
        inputs: the nodes that go into each, None for constants.
    """

    def __init__(self, roots: list[Any], place: Tensor, way: Followed):
        self.roots, self._way = roots, way
        self.inputs = _behind(roots, way)
        self.names: dict[Any, str] = {node: _name(node.name()) for node in self.inputs}
        self.names |= {node: WHOLE for node in way.whole if node in self.names}
        others = [node for node, name in self.names.items() if name == LEAF and node.variable is not place]
        if others:
            self._leave_out(others)

    @cached_property
    def uses(self) -> dict[Any, set[Any]]:
        """What takes from each node."""
        uses: dict[Any, set[Any]] = {}
        for node, inputs in self.inputs.items():
            for each in inputs:
                uses.setdefault(each, set()).add(node)
        return uses

    @cached_property
    def origins(self) -> dict[Any, tuple[Any, bool]]:
        """The node of which each one is a function value by value, and whether more than arithmetic lies between."""
        origins: dict[Any, tuple[Any, bool]] = {}
        for node in _ordered(self.roots, self.inputs):
            name, found = self.names[node], (node, False)
            if node is not self._way.start and (name in POINTWISE or name in BENDING):
                before = [origins[each] for each in self.alive(node)]
                if before and all(origin is before[0][0] for origin, _ in before):
                    found = before[0][0], name in BENDING or any(bends for _, bends in before)
            origins[node] = found
        return origins

    def alive(self, node: Any) -> list[Any]:
        """What goes into a node and depends on the place."""
        return [each for each in self.inputs[node] if each is not None]

    def factors(self, node: Any) -> list[Any]:
        """The factors of a product that depend on the place; none for other nodes."""
        inputs = self.inputs[node]
        return [inputs[k] for k in PRODUCTS.get(self.names[node], ()) if k < len(inputs) and inputs[k] is not None]

    def stripped(self, node: Any, names: frozenset[str] | set[str]) -> list[Any]:
        """The nodes of these names from this one back to the first of another name, that one included."""
        found = [node]
        while node is not self._way.start and self.names[node] in names and len(self.alive(node)) == 1:
            (node,) = self.alive(node)
            found.append(node)
        return found

    def _leave_out(self, leaves: list[Any]) -> None:
        """Forgets what depends on other leaves alone, unless these were cut off from the picture."""
        way, inputs = self._way, self.inputs
        for leaf in leaves:
            if cut := way.origin(leaf.variable):
                way.hidden[leaf] = f"requires_grad_ (on a result of {cut}, which no gradient passes)"
        begins = [node for node in inputs if node is way.start or node in way.hidden]
        begins += [node for node, name in self.names.items() if name == LEAF and node not in leaves]
        depend = _reached(begins, self.uses)
        del self.uses
        self.inputs = {node: [each if each in depend else None for each in inputs[node]] for node in depend}
        self.names = {node: self.names[node] for node in depend}


def _behind(roots: list[Any], way: Followed) -> dict[Any, list[Any]]:
    """What goes into each node behind the roots, no further than the start of the way; None for constants."""
    found: dict[Any, list[Any]] = {}
    waiting = [*roots]
    while waiting:
        node = waiting.pop()
        if node not in found:
            inputs = [] if node is way.start else way.whole.get(node)
            found[node] = inputs = [each for each, _ in node.next_functions] if inputs is None else inputs
            waiting += [each for each in inputs if each is not None]
    return found


def _reached(begins: list[Any], following: Mapping[Any, Iterable[Any]]) -> set[Any]:
    found: set[Any] = set()
    waiting = [*begins]
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            waiting += following.get(node, ())
    return found


def _ordered(roots: list[Any], inputs: Mapping[Any, list[Any]]) -> list[Any]:
    """The nodes, each after all that go into it."""
    waiting, met, order = [(root, False) for root in roots], set(), []
    while waiting:
        node, complete = waiting.pop()
        if complete:
            order.append(node)
        elif node in inputs and node not in met:
            met.add(node)
            waiting.append((node, True))
            waiting += [(before, False) for before in inputs[node] if before is not None]
    return order


@cache
def _name(name: str) -> str:
    return name.rpartition("::")[2].rstrip("0123456789").removesuffix("Backward")
