"""Layers with rows and columns: where a class activation map can be taken."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ..network.layer_names import OUTPUT, LayerError, named
from ..network.layers import traced_pass
from ..network.network import Network
from ..network.random_state import unchanged_chance
from ..tracing.axes import Axes
from ..tracing.receptive_field import flat
from ..tracing.trace import Trace


def last_with_space(network: Network, images: Tensor) -> str:
    """The name of the last layer with rows and columns that the output depends on, where a CAM is usually taken.

    Where a token stands for the whole picture, the others of the last layers no longer count; those are passed over.

    Raises:
        ValueError: if no layer has any.
    """
    found: dict[str, Axes] = {}
    twin, trace = network.twin(), Trace()

    def hook(name: str) -> Callable[..., None]:
        def note(part: nn.Module, args: tuple[object, ...], output: object) -> None:
            if isinstance(output, Tensor) and has_space(axes := trace.axes(output, args)):
                found.pop(name, None)
                found[name] = axes

        return note

    for name, part in named(twin).items():
        if name != OUTPUT:
            part.register_forward_hook(hook(name))
    traced_pass(network, twin, images, trace)
    if not found:
        raise LayerError("no layer of this network has rows and columns, so there is no class activation map")
    names = list(found)
    return _last_that_counts(network, images, found) if found[names[-1]].besides else names[-1]


def _last_that_counts(network: Network, images: Tensor, axes: dict[str, Axes]) -> str:
    """The name of the last of these layers on whose grid the output depends."""
    twin = network.twin()
    outputs: dict[str, Tensor] = {}
    for name, part in named(twin).items():
        if name in axes:
            part.register_forward_hook(lambda part, args, output, name=name: outputs.update({name: output}))
    with torch.inference_mode(False), torch.enable_grad(), unchanged_chance():
        entered = network.enter(images[:1].detach().requires_grad_())
        scores = [t.sum() for t in flat([twin(entered)]) if isinstance(t, Tensor) and t.requires_grad]
        places = [name for name in axes if outputs[name].requires_grad]
        found = torch.autograd.grad(scores, [outputs[name] for name in places], allow_unused=True) if scores else ()
    for name, gradient in [*zip(places, found, strict=False)][::-1]:
        if gradient is not None and axes[name].planes(gradient).any():
            return name
    return list(axes)[-1]


def has_space(axes: Axes) -> bool:
    """Whether an activation with these axes has a grid of more than one position."""
    return axes.grid is not None and max(axes.grid) > 1
