"""Noise on the weights: what is found should not hang on the value of any one of them."""

import copy

import torch

from ..network.imprint import weights_of
from ..network.network import Network
from ..network.twin import twin_of


@torch.inference_mode(False)
@torch.no_grad()
def noisy(network: Network, sd: float, seed: int) -> Network:
    """A private copy of a network, each weight of which is multiplied by a normal number around 1.

    Args:
        network: the network.
        sd: standard deviation of the numbers; 0 for the network itself.
        seed: of the numbers.
    """
    if not sd:
        return network
    generator = torch.Generator().manual_seed(seed)
    own = copy.copy(network)
    values = {
        id(weight): weight * (1 + sd * torch.randn(weight.shape, generator=generator)).to(weight)
        for weight in weights_of(network.module)
        if weight.is_floating_point()
    }
    own.module = twin_of(network.module, values)
    return own
