"""Layers and what they give: listing them, and catching their activations during a forward pass."""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ..arguments import near
from ..tracing.axes import Axes
from ..tracing.trace import Trace
from .activations import Activations, Layout
from .guard import TwinError
from .images import Images, as_images
from .network import Network, as_network, named
from .random_state import unchanged_chance
from .snapshots import steadily
from .twin import eager
from .uncompiled import uncompiled

_T = TypeVar("_T")

OUTPUT = ""
"""The name of the network's own output among the layers, as in `named_modules()`."""


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
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    calls: int
    receptive_field: tuple[int, int] | None
    axes: Axes

    @property
    def planes_shape(self) -> tuple[int, ...]:
        """(channels, rows, columns), or (channels, …) where there is no grid: what `channel` and `unit` count in."""
        return tuple(self.axes.planes(torch.empty(self.shape, device="meta")).shape[1:])


class LayerError(ValueError):
    """A layer that does not exist, is not called, or does not return what an activation has to be."""


class _Done(BaseException):
    """Ends a forward pass once everything asked for is there; no `except Exception` on the way may catch it."""


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
                calls = found[name].calls + 1 if name in found else 1
                kind, field = type(module).__name__, trace.receptive_field(output)
                found[name] = Layer(name, kind, tuple(output.shape), calls, field, trace.axes(output, args))

        return record

    twin = network.twin()
    for name, module in twin.named_modules():
        if name != OUTPUT:
            module.register_forward_hook(hook(name))
    traced_pass(network, twin, images, trace)
    return list(found.values())


def traced_pass(network: Network, twin: nn.Module, images: Tensor, trace: Trace) -> None:
    """Runs a network's private copy on the first image, with whatever hooks it has, and has a trace follow it."""
    with torch.no_grad(), unchanged_chance():
        entered = explained(network, images, lambda: network.enter(images[:1]))
        with trace.from_input(entered, twin):
            explained(network, images, lambda: twin(entered))


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
    with torch.no_grad(), unchanged_chance():
        calls = count_calls(network, images, names)
        twin = network.twin()
        found = explained(network, images, lambda: forward(twin, network.enter(images), names, calls, Layout()))
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


def one_pass(
    module: nn.Module, inputs: Tensor, names: Sequence[str], calls: Mapping[str, int] | None, trace: Trace | None
) -> Activations:
    """The activations of those of the layers that are called; as `forward`, or to the end if `calls` is None."""
    with tapped(module, names, calls, trace=trace) as found:
        try:
            module(inputs)
        except _Done:
            pass
    return found


def forward(
    module: nn.Module, inputs: Tensor, names: Sequence[str], calls: Mapping[str, int], layout: Layout | None = None
) -> Activations:
    """The activations of the names, with their graph; stops as soon as each has been called `calls[name]` times."""

    def once(trace: Trace | None) -> Activations:
        return one_pass(module, inputs, names, calls, trace)

    found = once(None) if layout is None else layout.run(module, inputs, once)
    missing = [name for name in names if name not in found]
    if missing:
        raise LayerError(_not_called(missing[0], module, inputs))
    return Activations({name: found[name] for name in names}, found.axes)


def count_calls(network: Network, images: Tensor, names: Sequence[str]) -> dict[str, int]:
    """How often one forward pass calls each named layer, needed to know when a pass may stop.

    Below nothing but `nn.Sequential` a layer is called once. Otherwise one image goes through a twin without the
    user's hooks, so that nobody's own count goes up; an error after the layers have answered is not ours to report.
    """
    modules = named(eager(network.module))
    places = {name: address(name, modules) for name in names}
    if all(call is None and _runs_once(place, modules) for place, call in places.values()):
        return dict.fromkeys(names, 1)
    twin = network.twin()
    for module in twin.modules():
        module._forward_hooks.clear()
        module._forward_pre_hooks.clear()
    counts = dict.fromkeys(names, 0)
    parts = named(twin)

    def hook(name: str) -> Callable[..., None]:
        def count(*_: object) -> None:
            counts[name] += 1

        return count

    for name, (place, _) in places.items():
        if place in parts:
            parts[place].register_forward_hook(hook(name))
    entered = explained(network, images, lambda: network.enter(images[:1]))
    try:
        twin(entered)
    except Exception as error:
        if any(counts[name] <= (call or 0) for name, (_, call) in places.items()):
            raise error if isinstance(error, TwinError) else does_not_run(network, images, error) from error
    for name, (place, call) in places.items():
        if counts[name] <= (call or 0):
            times = "is never called in the forward pass"
            if counts[name]:
                times = "is called once" if counts[name] == 1 else f"is called {counts[name]} times"
            elif place not in parts:
                times = "runs inside TorchScript, where nothing can be caught"
            raise LayerError(f"layer {place!r} {times}, so there is no {name!r}{_those_that_run(parts, twin, entered)}")
        counts[name] = call + 1 if call is not None else counts[name]
    return counts


class _Reads(TorchFunctionMode):
    """Within it, notes whether anything is read out of tensors, which may decide what is called."""

    def __init__(self):
        super().__init__()
        self.any = False

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        self.any = self.any or getattr(func, "__name__", "") in _READING
        return func(*args, **(kwargs or {}))


_READING = frozenset(
    "__bool__ __int__ __float__ __complex__ __index__ __array__ __contains__ item tolist numpy is_nonzero equal "
    "allclose nonzero argwhere masked_select unique unique_consecutive".split()
)
_counted: WeakKeyDictionary[nn.Module, dict[Hashable, dict[str, int]]] = WeakKeyDictionary()


def counted_calls(network: Network, twin: nn.Module, images: Tensor, names: Sequence[str]) -> dict[str, int]:
    """As `count_calls`, but found out only once for a twin, where nothing that is computed can change it."""
    known = _counted.setdefault(twin, {})
    key = (*names, images.shape[1:], network.preprocess)
    if key not in known:
        with torch.no_grad(), unchanged_chance(seed=0), _Reads() as reads:
            found = count_calls(network, images, names)
        if reads.any:
            return found
        known[key] = found
    return known[key]


def explained(network: Network, images: Tensor, run: Callable[[], _T]) -> _T:
    """What `run` gives, or the network's own error with a sentence that says which pictures it was given."""
    try:
        return run()
    except (LayerError, TwinError):
        raise
    except Exception as error:
        raise does_not_run(network, images, error) from error


def does_not_run(network: Network, images: Tensor, error: Exception) -> RuntimeError:
    """The error for a network that fails on pictures of this shape."""
    expected = f"; it was trained on {network.input_size} pixels" if network.input_size else ""
    return RuntimeError(
        f"{network.name} does not run on images of shape {tuple(images.shape)}{expected}. Its own error: "
        f"{error if isinstance(error, RuntimeError) else repr(error)}{_in_colours(network, images)}"
    )


def _in_colours(network: Network, images: Tensor) -> str:
    """What makes grey or transparent images fit a network of colours; empty where that is not what is wrong."""
    first = next((part for part in network.module.modules() if isinstance(part, nn.Conv2d)), None)
    ways = {1: "as_images(image).expand(-1, 3, -1, -1)", 4: "as_images(image)[:, :3]"}
    if first is None or first.in_channels != 3 or images.dim() != 4 or images.shape[1] not in ways:
        return ""
    return f". It takes three channels, and these have {images.shape[1]}: give {ways[images.shape[1]]}"


@contextmanager
def tapped(
    module: nn.Module,
    names: Sequence[str],
    calls: Mapping[str, int] | None = None,
    found: Activations | None = None,
    trace: Trace | None = None,
) -> Iterator[Activations]:
    """Hooks that fill a dict, with axes if there is a trace; given `calls`, the last one needed ends the pass."""
    modules = named(module)
    places = {name: address(name, modules) for name in names}
    found = Activations() if found is None else found
    # By their ids, because a twin made inside the block has copies of these hooks, bound to its own parts.
    whole, tapped_parts = id(module), {place: id(modules[place]) for place, _ in places.values()}
    counts = dict.fromkeys(names, 0)

    def restart(part: nn.Module, *_: object) -> None:
        if id(part) == whole:
            found.clear()
            counts.update(dict.fromkeys(names, 0))

    def hook(name: str, place: str, call: int | None) -> Callable[..., None]:
        def keep(part: nn.Module, args: tuple[object, ...], output: object) -> None:
            if id(part) != tapped_parts[place]:
                return
            counts[name] += 1
            wanted = call is None or counts[name] == call + 1
            if wanted and not isinstance(output, Tensor):
                raise LayerError(not_one_tensor(place, part, output))
            done = calls is not None and all(counts[n] >= calls[n] for n in names)
            if wanted:
                # The clone is what a later in-place operation cannot reach; at the end of the pass none follows.
                found[name] = output if done else output.clone()  # type: ignore[union-attr]
                if trace is not None:
                    found.axes[name] = trace.axes(output, args)  # type: ignore[arg-type]
            if done:
                raise _Done

        return keep

    handles = [module.register_forward_pre_hook(restart)]
    handles += [modules[place].register_forward_hook(hook(name, place, call)) for name, (place, call) in places.items()]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def not_one_tensor(place: str, part: nn.Module, output: object) -> str:
    """The sentence for a layer, or a whole network, that returns something else, with what would make it do."""
    kind = type(output).__name__
    if place != OUTPUT:
        return f"layer {place!r} ({type(part).__name__}) returns {kind}, not one tensor"
    keys = list(output) if isinstance(output, Mapping) else []
    found = f"{kind} with the keys {', '.join(map(repr, keys))}" if keys else kind
    way = _way_to_tensor(output)
    if way is None:
        return f"the network returns {found}, not one tensor: wrap it in a module that does"
    return (
        f"the network returns {found}, not one tensor: wrap it, as in\n"
        f"    class Wrapped(nn.Sequential): forward = lambda self, images: self[0](images){way}\n"
        "    module = Wrapped(module)"
    )


def _way_to_tensor(output: object) -> str | None:
    """What comes after an output in Python to take the first tensor out of it, one with classes if there is any."""
    ways: list[tuple[str, object]] = []
    if isinstance(output, Mapping):
        ways = [(f"[{key!r}]", value) for key, value in output.items()]
    elif isinstance(output, tuple | list):
        ways = [(f"[{index}]", value) for index, value in enumerate(output)]
    elif hasattr(output, "__dict__"):
        ways = [(f".{name}", value) for name, value in vars(output).items()]
    tensors = [(way, value) for way, value in ways if isinstance(value, Tensor)]
    with_classes = [way for way, value in tensors if value.dim() == 2]
    return next(iter(with_classes or [way for way, _ in tensors]), None)


def address(name: str, modules: Mapping[str, nn.Module]) -> tuple[str, int | None]:
    """A layer's address as its module's name and the call meant, None for the last."""
    if not isinstance(name, str):
        raise TypeError(f"a layer is addressed by its name, not by {name!r}")
    if name in modules:
        return name, None
    place, colon, call = name.rpartition(":")
    if colon and place in modules and call.isdigit():
        return place, int(call)
    raise LayerError(f"no layer {name!r}{near(name, [n for n in modules if n])}")


def _runs_once(place: str, modules: Mapping[str, nn.Module]) -> bool:
    parts = place.split(".") if place else []
    above = [".".join(parts[:k]) for k in range(len(parts))]
    plain = all(type(modules[name]) is nn.Sequential for name in above)
    return plain and sum(module is modules[place] for module in modules.values()) == 1


def _not_called(name: str, module: nn.Module, inputs: Tensor) -> str:
    return f"layer {name!r} is not called in the forward pass{_those_that_run(named(module), module, inputs)}"


def _those_that_run(parts: Mapping[str, nn.Module], module: nn.Module, inputs: Tensor) -> str:
    ran: list[str] = []
    handles = [
        part.register_forward_hook(lambda *_, name=name: ran.append(name)) for name, part in parts.items() if name
    ]
    try:
        module(inputs)
    except Exception:
        pass
    finally:
        for handle in handles:
            handle.remove()
    return near("", list(dict.fromkeys(ran)))
