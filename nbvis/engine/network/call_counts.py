"""How often one forward pass calls each layer, which tells when a pass may stop."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from .guard import TwinError
from .layer_names import LayerError, address, named
from .network import Network
from .pass_errors import does_not_run, explained, those_that_run
from .random_state import unchanged_chance
from .twin import eager


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
    if network.pair:
        network.pair.admit(twin)
    counts, parts = dict.fromkeys(names, 0), named(twin)

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
            raise LayerError(
                f"layer {place!r} {_times(counts[name], place in parts)}, so there is no {name!r}"
                f"{those_that_run(parts, twin, entered)}"
            )
        counts[name] = call + 1 if call is not None else counts[name]
    return counts


def _times(count: int, seen: bool) -> str:
    if count:
        return "is called once" if count == 1 else f"is called {count} times"
    return "is never called in the forward pass" if seen else "runs inside TorchScript, where nothing can be caught"


def _runs_once(place: str, modules: Mapping[str, nn.Module]) -> bool:
    parts = place.split(".") if place else []
    above = [".".join(parts[:k]) for k in range(len(parts))]
    plain = all(type(modules[name]) is nn.Sequential for name in above)
    return plain and sum(module is modules[place] for module in modules.values()) == 1


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
