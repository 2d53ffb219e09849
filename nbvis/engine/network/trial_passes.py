"""What small trial passes tell of a network before it is asked for anything large."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .layer_names import OUTPUT, named
from .network import Network, as_network
from .random_state import unchanged_chance

SMALLEST = 4
"""Pixels of the shorter side that a trial begins with; it doubles from there."""


def smallest_size(network: Network | nn.Module, images: Tensor) -> int:
    """The shorter side of images that a network runs on, in pixels, to within a factor of two from above.

    Args:
        network: a `Network` or a bare module.
        images: (batch, channels, height, width), which it runs on; reduced copies of the first are tried.

    Example:
        >>> smallest_size(nn.Conv2d(3, 4, 7), torch.rand(1, 3, 40, 60))
        8
    """
    network, side = as_network(network), SMALLEST
    height, width = images.shape[2:]
    while side < min(height, width):
        try:
            with torch.no_grad():
                network(_reduced(images, side))
        except Exception:
            side *= 2
        else:
            return side
    return min(height, width)


def differentiable(network: Network | nn.Module, images: Tensor) -> set[str]:
    """The names of the layers from whose answers, in all their calls, a gradient flows back to the images.

    Args:
        network: a `Network` or a bare module.
        images: (batch, channels, height, width), which it runs on; the first is enough.

    Example:
        >>> sorted(differentiable(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), torch.rand(1, 3, 8, 8)))
        ['0', '1']
    """
    network = as_network(network)
    flows: dict[str, bool] = {}
    twin = network.twin()
    for name, part in named(twin).items():
        if name != OUTPUT:

            def note(part: nn.Module, args: object, output: object, name: str = name) -> None:
                if isinstance(output, Tensor):
                    flows[name] = flows.get(name, True) and output.requires_grad

            part.register_forward_hook(note)
    image = images[:1].detach().to(network.device, network.precision, copy=True).requires_grad_()
    with torch.enable_grad(), unchanged_chance():
        twin(network.enter(image))
    return {name for name, each in flows.items() if each}


def _reduced(images: Tensor, side: int) -> Tensor:
    height, width = images.shape[2:]
    scale = side / min(height, width)
    size = max(side, int(height * scale)), max(side, int(width * scale))
    return F.interpolate(images[:1].float(), size=size, mode="bilinear", align_corners=False, antialias=True)
