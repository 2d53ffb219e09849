"""The layers of a network: those that one real forward pass goes through, with what each unit sees of the image."""

from collections.abc import Callable
from dataclasses import dataclass
from dataclasses import field as dataclass_field

import torch
from torch import Tensor, nn

from ..tracing.axes import Axes
from ..tracing.receptive_field import Field
from ..tracing.seen import Seen
from ..tracing.trace import Trace
from .images import Images, as_images
from .layer_names import OUTPUT, each_call
from .layout import is_shy, layout_of
from .network import Network, as_network
from .pass_errors import explained
from .random_state import unchanged_chance
from .snapshots import steadily


@dataclass(frozen=True)
class Layer:
    """A sub-module that took part in a forward pass.

    Attributes:
        name: as in `named_modules()`.
        kind: its class.
        shape: of its (last) output as it returns it, (batch, channels, height, width) or shorter, or in its own order.
        calls: how often one forward pass calls it.
        receptive_field: (height, width) in pixels of the image that one unit can see; None if that is unbounded, or a
            function on the way is not understood.
        axes: which dimensions of the output are channels, rows and columns, such as (image, row, column, channel);
            `axes.planes(activation)` is (batch, channels, rows, columns) for each layer with a grid.
        image_size: (height, width) of the image as it entered the module; fields are told in its pixels.
        field: what its rows and columns see of any image; None as for `receptive_field`.
        seen: what they see of this image; None if a function on the way is not understood. Of a pair it is in pixels
            of one picture, unless the network takes them side by side, and `seen.pictures` says of which.
        earlier: the calls before the last one, as layers of their own.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    calls: int
    receptive_field: tuple[int, int] | None
    axes: Axes
    image_size: tuple[int, int] | None = None
    field: Field | None = dataclass_field(default=None, repr=False)
    seen: Seen | None = dataclass_field(default=None, repr=False, compare=False)
    earlier: tuple["Layer", ...] = dataclass_field(default=(), repr=False, compare=False)

    @property
    def stride(self) -> tuple[float, float] | None:
        """(rows, columns) in pixels from one unit's field to the next one's; None as for `receptive_field`."""
        return self.field and (self.field.rows.stride, self.field.columns.stride)

    @property
    def start(self) -> tuple[float, float] | None:
        """(row, column) of the pixel that the first unit's field begins with, negative in the border around images."""
        return self.field and (self.field.rows.at(0)[0], self.field.columns.at(0)[0])

    def box(self, row: int = 0, column: int = 0) -> tuple[tuple[int, int], tuple[int, int]] | None:
        """Which pixels of the image one unit sees.

        Args:
            row: of the unit; 0 for a layer without a grid.
            column: likewise.

        Returns:
            ((top, bottom), (left, right)), the second of each one after the last pixel, exact also at the image's
            ends, under borders and after a global mean; ((0, 0), (0, 0)) if it sees none; None if that is not known.

        Example:
            >>> net = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.AdaptiveAvgPool2d(1))
            >>> first, mean = layers(net, torch.rand(1, 3, 9, 12))
            >>> first.box(0, 1), mean.box()
            (((0, 2), (1, 4)), ((0, 9), (0, 12)))
        """
        return self.seen and self.seen.box(row, column)

    @property
    def planes_shape(self) -> tuple[int, ...]:
        """(channels, rows, columns), or (channels, …) where there is no grid: what `channel` and `unit` count in."""
        return tuple(self.axes.planes(torch.empty(self.shape, device="meta")).shape[1:])


@steadily
def layers(network: Network | nn.Module, images: Images) -> list[Layer]:
    """The layers that one real forward pass goes through, in the order in which they first answer.

    Args:
        network: a `Network` or a bare module.
        images: (batch, channels, height, width); the first one is enough.

    Returns:
        A `Layer` for each sub-module that was called and returned a tensor.

    Raises:
        RuntimeError: if the network does not run on the images; its own error is attached.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU())
        >>> [(layer.name, layer.shape, layer.receptive_field) for layer in layers(net, torch.rand(1, 3, 9, 9))]
        [('0', (1, 8, 7, 7), (3, 3)), ('1', (1, 8, 7, 7), (3, 3))]
    """
    network, images = as_network(network), as_images(images)
    found: dict[str, Layer] = {}
    trace = Trace(fields=True)

    def hook(name: str) -> Callable[..., None]:
        def record(module: nn.Module, args: tuple[object, ...], output: object) -> None:
            if isinstance(output, Tensor):
                before = found.get(name)
                earlier = (*before.earlier, before) if before else ()
                kind, shape, field = type(module).__name__, tuple(output.shape), trace.field(output)
                axes, seen = trace.axes(output, args), trace.seen(output)
                size = field and field.size
                calls = len(earlier) + 1
                found[name] = Layer(name, kind, shape, calls, size, axes, trace.image, field, seen, earlier)

        return record

    twin = network.twin()
    for name, module in twin.named_modules():
        if name != OUTPUT:
            module.register_forward_hook(hook(name))
    size = tuple(traced_pass(network, twin, images, trace).shape[2:])
    if not (network.pair or is_shy(twin)):
        _remember(network, size, list(found.values()))
    return list(found.values())


def _remember(network: Network, size: tuple[int, ...], found: list[Layer]) -> None:
    """Spares whoever asks for the activations of a layer the trace that its layout comes from."""
    with network.borrowed() as twin:
        for layer in found:
            for name, call in zip(each_call(layer.name, layer.calls), (*layer.earlier, layer), strict=True):
                for each in {name, layer.name} if call is layer else {name}:
                    layout_of(twin, (each,)).learn(size, {each: call.axes})


def traced_pass(network: Network, twin: nn.Module, images: Tensor, trace: Trace) -> Tensor:
    """Runs a network's private copy on the first image, with whatever hooks it has, and has a trace follow it.

    Returns:
        what the copy was given.
    """
    with torch.no_grad(), unchanged_chance():
        entered = explained(network, images, lambda: network.enter(images[:1]))
        # A unit sees a place of one picture, or the same place of both.
        pictures = network.pair.pictures(entered) if network.pair else (entered,)
        with trace.from_input(pictures, twin):
            explained(network, images, lambda: twin(*pictures))
    return entered
