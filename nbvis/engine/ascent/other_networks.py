"""Objectives on another network than the run's own: several networks on one picture."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from ..network.layout import Activations
from ..network.network import Network, as_network
from .objective import Objective, Term
from .seen import Seen


def on(network: Network | nn.Module, objective: Objective) -> Objective:
    """The same objective, taken of another network than that of the run, which looks at the same images.

    So several networks work on one picture: `ascend(first, logit(3) + on(second, logit(3)), image)`. The images go
    through the same random transforms, then through each network's own preprocessing, at its own precision and on its
    own device. It is weighted, added, multiplied and masked like any other. Terms of the same `Network` share a pass,
    so that a bare module is best made one once.

    Args:
        network: a `Network` or a bare module.
        objective: of layers of that network.

    Raises:
        TypeError: if the network or the objective is none.
        ValueError: if a part of the objective names its network already.

    Example:
        >>> first, second = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 8, 5)
        >>> run = ascend(first, channel("", 1) + 0.5 * on(second, channel("", 7)), Fourier(32, 32), steps=2)
        >>> last(run).image.shape
        torch.Size([1, 3, 32, 32])
    """
    network = as_network(network)
    if not isinstance(objective, Objective):
        raise TypeError(f"on(network, objective) takes an objective, such as channel(layer, 0), not {objective!r}")
    if objective.elsewhere:
        raise ValueError(f"{objective} names its network already, so it cannot be on another")
    return Objective(tuple(_moved(term, network) if term.layers else term for term in objective.terms))


def _moved(term: Term, network: Network) -> Term:
    def own(acts: Activations) -> Activations:
        if not isinstance(acts, Seen):
            raise ValueError("on(network, …) needs what that network answers, which `ascend` and `dream` ask it")
        return acts.elsewhere[network]

    def score(acts: Any, *found: Activations) -> Tensor:
        return term.function(own(acts), *map(own, found)).to(acts.like)

    def moved(remark: Callable[[Any], str]) -> Callable[[Any], str]:
        return lambda acts: remark(own(acts))

    return replace(
        term,
        function=score,
        layers=(),
        elsewhere=tuple((network, name) for name in term.layers),
        text=lambda names: f"on({names.network(network)}, {term.text(names)})",
        remarks=tuple(map(moved, term.remarks)),
    )
