"""How often one forward pass calls each layer, which tells when a pass may stop."""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
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
    if _all_once(places, modules):
        return dict.fromkeys(names, 1)
    tally = _tally(network, images, {place for place, _ in places.values()})
    for name, (place, call) in places.items():
        if tally.counts.get(place, 0) <= (call or 0):
            raise tally.without(network, images, name, place)
    return _needed(places, tally.counts)


_Places = Mapping[str, tuple[str, int | None]]
"""The layer that each name stands for, and which of its calls; None for the last."""


@dataclass(frozen=True)
class _Tally:
    """How often one pass called parts of a network.

    Attributes:
        counts: by the part's name; up to the error, if there was one.
        error: what ended the pass.
        parts: of the twin that ran, by name.
        twin: what ran.
        entered: what it was given.
    """

    counts: dict[str, int]
    error: Exception | None
    parts: Mapping[str, nn.Module]
    twin: nn.Module
    entered: Tensor

    def without(self, network: Network, images: Tensor, name: str, place: str) -> Exception:
        """What to raise where a layer, or a call of it, is missing."""
        if isinstance(self.error, TwinError):
            return self.error
        if self.error:
            error = does_not_run(network, images, self.error)
            error.__cause__ = self.error
            return error
        return LayerError(
            f"layer {place!r} {_times(self.counts.get(place, 0), place in self.parts)}, so there is no {name!r}"
            f"{those_that_run(self.parts, self.twin, self.entered)}"
        )


def _tally(network: Network, images: Tensor, places: Iterable[str] | None) -> _Tally:
    """Counts the calls of these parts, or of all, in a pass of one image through a twin without the user's hooks."""
    twin = network.twin()
    for module in twin.modules():
        module._forward_hooks.clear()
        module._forward_pre_hooks.clear()
    if network.pair:
        network.pair.admit(twin)
    parts = named(twin)
    counts = dict.fromkeys(parts if places is None else [place for place in places if place in parts], 0)

    def hook(place: str) -> Callable[..., None]:
        def count(*_: object) -> None:
            counts[place] += 1

        return count

    for place in counts:
        parts[place].register_forward_hook(hook(place))
    entered = explained(network, images, lambda: network.enter(images[:1]))
    try:
        twin(entered)
    except Exception as error:
        return _Tally(counts, error, parts, twin, entered)
    return _Tally(counts, None, parts, twin, entered)


def _needed(places: _Places, counts: Mapping[str, int]) -> dict[str, int]:
    """How many calls of its layer each name waits for."""
    return {name: counts[place] if call is None else call + 1 for name, (place, call) in places.items()}


def _times(count: int, seen: bool) -> str:
    if count:
        return "is called once" if count == 1 else f"is called {count} times"
    return "is never called in the forward pass" if seen else "runs inside TorchScript, where nothing can be caught"


def _all_once(places: _Places, modules: Mapping[str, nn.Module]) -> bool:
    return all(call is None and _runs_once(place, modules) for place, call in places.values())


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
    """As `count_calls`; all layers are counted in one pass, once for a twin where nothing computed can change it."""
    modules = named(eager(network.module))
    places = {name: address(name, modules) for name in names}
    if _all_once(places, modules):
        return dict.fromkeys(names, 1)
    known, key = _counted.setdefault(twin, {}), (images.shape[1:], network.preprocess)
    counts = known.get(key)
    if counts is None:
        with torch.no_grad(), unchanged_chance(seed=0), _Reads() as reads:
            tally = _tally(network, images, None)
        counts = tally.counts
        if not (reads.any or tally.error):
            known[key] = counts
    if any(counts.get(place, 0) <= (call or 0) for place, call in places.values()):
        with torch.no_grad(), unchanged_chance(seed=0):
            return count_calls(network, images, names)  # which says what is missing
    return _needed(places, counts)
