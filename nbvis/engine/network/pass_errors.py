"""Errors of a forward pass that fails or gives no tensor, with a sentence that says what would make it do."""

from collections.abc import Callable, Mapping
from typing import TypeVar

from torch import Tensor, nn

from ..arguments import near
from .guard import TwinError
from .layer_names import OUTPUT, LayerError, named
from .network import Network

_T = TypeVar("_T")


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
        f"{_as_pair(network, error)}"
    )


def _as_pair(network: Network, error: Exception) -> str:
    """What makes a network run that asks for a second picture; empty where that is not what is wrong."""
    if network.pair or not isinstance(error, TypeError) or "required positional argument" not in str(error):
        return ""
    return ". If it compares two pictures, give Network(module, pair='inputs')"


def _in_colours(network: Network, images: Tensor) -> str:
    """What makes grey or transparent images fit a network of colours; empty where that is not what is wrong."""
    first = next((part for part in network.module.modules() if isinstance(part, nn.Conv2d)), None)
    ways = {1: "as_images(image).expand(-1, 3, -1, -1)", 4: "as_images(image)[:, :3]"}
    if first is None or first.in_channels != 3 or images.dim() != 4 or images.shape[1] not in ways:
        return ""
    return f". It takes three channels, and these have {images.shape[1]}: give {ways[images.shape[1]]}"


def one_tensor(place: str, part: nn.Module, output: object) -> Tensor:
    """What a layer returned, if that is one tensor.

    Raises:
        LayerError: otherwise.
    """
    if not isinstance(output, Tensor):
        raise LayerError(not_one_tensor(place, part, output))
    return output


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


def not_called(name: str, module: nn.Module, inputs: Tensor) -> LayerError:
    """The error for a layer that exists and takes no part in the forward pass."""
    return LayerError(
        f"layer {name!r} is not called in the forward pass{those_that_run(named(module), module, inputs)}"
    )


def without_gradient(name: str) -> RuntimeError:
    """The error for a layer from which no gradient flows back to the images."""
    return RuntimeError(
        f"no gradient flows back from layer {name!r}: the network detaches it, "
        "or an operation before it cannot be differentiated"
    )


def those_that_run(parts: Mapping[str, nn.Module], module: nn.Module, inputs: Tensor) -> str:
    """The end of an error: the layers that a forward pass does call."""
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
