"""Whether a method's ReLU rule is what its name says on the way from the map to the target."""

from collections.abc import Mapping

import torch
from torch import Tensor

from ..network.layer_names import OUTPUT, named
from ..network.network import Network
from ..network.relu_coverage import unruled
from ..network.relu_path import Followed
from ..network.twin import eager


def check_rule(
    method: str, network: Network, way: Followed, activations: Mapping[str, Tensor], place: Tensor
) -> list[str]:
    """A sentence if the rule changes nothing here.

    Args:
        method: the method's name.
        network: the network.
        way: what was noted in a forward pass under the rule.
        activations: what the target is scored by, with their graph.
        place: the leaf where the map lives.

    Raises:
        ValueError: if the rule would not be what its name says; the message says what is not ruled.
    """
    parts = named(eager(network.module)).items()
    scripted = [name for name, part in parts if isinstance(part, torch.jit.ScriptModule)]
    if scripted:
        raise ValueError(
            f"{method} cannot reach the ReLUs inside TorchScript ({scripted[0] or 'the network itself'}): "
            "give the module as written"
        )
    missed, ruled = unruled(activations.values(), place, way)
    if missed:
        raise ValueError(
            f"{method} has rules for ReLU, ReLU6, LeakyReLU and clamp(min=0) only, and here is "
            f"{', '.join(missed)}: use gradient, integrated_gradients or grad_cam"
        )
    if not way.met and OUTPUT in activations:  # else the pass may have ended before the first one
        raise ValueError(
            f"{method} changes how gradients pass ReLUs, and this network has none: it would be the plain "
            "gradient, so use that"
        )
    return [] if ruled else ["No ReLU lies between the target and the map, so this is the plain gradient."]
