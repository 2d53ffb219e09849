"""The gradient of networks with skip connections, led past their residual branches."""

from collections.abc import Iterable, Sequence
from functools import partial
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
    branches, end = 0, get_gradient_edge(inputs).node
    for node in _behind([each.grad_fn for each in outputs], end) - {end}:
        summands = [each for each, _ in node.next_functions] if node.name() == "AddBackward0" else []
        if None in summands or len({*summands}) != 2:
            continue
        for branch, skip in (0, 1), (1, 0):
            if summands[skip] in _behind([summands[branch]], summands[skip]):
                node.register_hook(partial(_scaled, branch=branch, share=share))
                branches += 1
    return branches


def _behind(nodes: Iterable[Any], end: Any) -> set[Any]:
    """These nodes and all behind them, no further than the end, which is among them if they lead to it."""
    # Nodes are numbered as they are made, so none older needs a look; a leaf's has the largest number there is.
    oldest = end._sequence_nr() if end.next_functions else 0
    found, waiting = set(), [*nodes]
    while waiting:
        node = waiting.pop()
        if node is not None and node not in found and node._sequence_nr() >= oldest:
            found.add(node)
            waiting += [] if node is end else [each for each, _ in node.next_functions]
    return found


def _scaled(gradients: Sequence[Tensor], _: Any, branch: int, share: float) -> tuple[Tensor, ...]:
    return tuple(each * share if k == branch else each for k, each in enumerate(gradients))
