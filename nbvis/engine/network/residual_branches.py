"""The gradient of networks with skip connections, led past their residual branches."""

from collections.abc import Iterable
from typing import Any

from torch import Tensor
from torch.autograd.graph import get_gradient_edge


def hold_back(outputs: Iterable[Tensor], inputs: Tensor, share: float) -> int:
    """Lets a share alone of the gradient flow back through each residual branch, and all of it past the branch.

    Where x + f(x) has been formed on the way from the inputs to the outputs, the gradient that f will receive is
    multiplied by the share. The sums are found in the graph: of two summands, one has been computed from the other.

    Args:
        outputs: what a network gave.
        inputs: what it was given, where the way back ends.
        share: in [0, 1]; 1 leaves the gradient as it is.

    Returns:
        How many branches there are.

    Source: Wu et al. 2020, "Skip Connections Matter", arXiv 2002.05990, equation 3, where the share is γ.
    """
    branches = 0
    for node in _nodes(outputs, inputs):
        summands = [each for each, _ in node.next_functions] if node.name() == "AddBackward0" else []
        if len(summands) != 2 or None in summands:
            continue
        one, other = summands
        if _leads_to(other, one):
            node.register_hook(lambda given, _: (given[0], given[1] * share))
        elif _leads_to(one, other):
            node.register_hook(lambda given, _: (given[0] * share, given[1]))
        else:
            continue
        branches += 1
    return branches


def _nodes(outputs: Iterable[Tensor], inputs: Tensor) -> set[Any]:
    """The nodes of the graph between the two."""
    end = get_gradient_edge(inputs).node
    found = [each.grad_fn for each in outputs if each.grad_fn is not None]
    known = {end, *found}
    while found:
        for node, _ in found.pop().next_functions:
            if node is not None and node not in known:
                known.add(node)
                found.append(node)
    return known - {end}


def _leads_to(later: Any, earlier: Any) -> bool:
    """Whether the way back from one node comes to another one."""
    # Nodes are numbered as they are made, so none older needs a look; a leaf's has the largest number there is.
    oldest = earlier._sequence_nr() if earlier.next_functions else 0
    known, found = {later}, [later]
    while found:
        for node, _ in found.pop().next_functions:
            if node is earlier:
                return True
            if node is not None and node not in known and node._sequence_nr() > oldest:
                known.add(node)
                found.append(node)
    return False
