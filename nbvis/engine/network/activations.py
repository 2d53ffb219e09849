"""The activations of a network's layers: of one pass over images, and during your own forward passes."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from .call_counts import counted_calls
from .forward_hooks import forward, tapped
from .images import Images, as_images
from .layout import Activations, layout_of
from .network import Network, as_network
from .pass_errors import explained
from .random_state import unchanged_chance
from .snapshots import steadily
from .twin import eager
from .uncompiled import uncompiled


@steadily
def activations(network: Network | nn.Module, images: Images, names: Sequence[str]) -> dict[str, Tensor]:
    """What the named layers answer to the images; the forward pass runs no further than the last one needed.

    An activation is what the layer returned at that moment: a later in-place ReLU does not change it.

    Args:
        network: a `Network` or a bare module.
        images: (batch, channels, height, width).
        names: layer names; "name:0", "name:1", … address the calls of a layer that is called several times, the bare
            name its last call, and "" the network's output.

    Returns:
        The activation of each name, as its layer returns it: (batch, channels, height, width) or shorter, or in an
        order of its own, which `layers` tells; detached.

    Raises:
        ValueError: if a layer does not exist or is not called; the message names those that are.
        RuntimeError: if the network does not run on the images; its own error is attached.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU())
        >>> activations(net, torch.rand(2, 3, 9, 9), ["0"])["0"].shape
        torch.Size([2, 8, 7, 7])
    """
    network, images = as_network(network), as_images(images)
    if isinstance(names, str):
        raise TypeError(f"names is a list of layer names, such as [{names!r}], not one string")
    with torch.no_grad(), unchanged_chance(), network.borrowed() as twin:
        calls, layout = counted_calls(network, twin, images, names), layout_of(twin, tuple(names))
        found = explained(network, images, lambda: forward(twin, network.enter(images), names, calls, layout))
    return Activations({name: found[name].detach() for name in names}, found.axes)


@contextmanager
def capture(network: Network | nn.Module, names: Sequence[str]) -> Iterator[dict[str, Tensor]]:
    """The named layers' activations during your own forward passes, with their graph, as a dict that fills itself.

    Args:
        network: a `Network` or a bare module; hooks stay on it only inside the `with` block. Compiled modules run as
            they are written inside it, in every thread.
        names: layer names, addressed as for `activations`.

    Yields:
        A dict from name to activation, renewed by each forward pass.

    Raises:
        ValueError: if a layer does not exist.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU())
        >>> with capture(net, ["0"]) as seen:
        ...     _ = net(torch.rand(1, 3, 9, 9))
        >>> seen["0"].shape
        torch.Size([1, 8, 7, 7])
    """
    network = as_network(network)
    with uncompiled(), tapped(eager(network.module), names) as found:
        # `network(images)` runs a twin, which the hooks on the module itself know nothing of.
        network.observers.append(observer := lambda twin: tapped(twin, names, found=found))
        try:
            yield found
        finally:
            network.observers.remove(observer)
