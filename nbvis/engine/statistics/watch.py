"""Watching a network as it trains: the statistics and the diagnosis of the passes that its own loop makes."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..arguments import whole
from ..network.forward_hooks import tapped
from ..network.layer_names import address, each_call, named
from ..network.layers import layers as layers_of
from ..network.network import Network, as_network
from ..network.twin import eager
from ..tracing.axes import Axes
from .caps import cap_of
from .diagnose import Diagnosis, diagnose
from .layer_statistics import LayerStatistics, Options
from .reading import by_position
from .statistics import Statistics

clock = time.perf_counter


@dataclass(frozen=True)
class Look:
    """What was seen in some passes.

    Attributes:
        index: how many looks there were before.
        passes: forward passes that the module has made since it is watched.
        statistics: of those that were looked at since the look before; they are those of a network that changes, so
            they carry no fingerprint.
        diagnosis: what is wrong by these.
    """

    index: int
    passes: int
    statistics: Statistics
    diagnosis: Diagnosis


class Watch:
    """A network that is being watched; `watch` makes one.

    Attributes:
        passes: forward passes so far.
        looked: how many of them were looked at.
        seconds: what looking has taken, in all.
        last: the newest `Look`; None until there is one.
    """

    def __init__(
        self,
        module: nn.Module,
        names: Iterable[str] | None,
        callback: Callable[[Look], object] | None,
        passes: int,
        images: int,
        share: float,
    ):
        self.passes, self.looked, self.seconds = 0, 0, 0.0
        self.last: Look | None = None
        self._module, self._callback, self._share = module, callback, share
        # By its id, because a twin made inside the block has copies of the hooks, bound to its own parts.
        self._whole = id(module)
        self._together, self._most = passes, images
        self._names = None if names is None else tuple(dict.fromkeys(names))
        for name in self._names or ():
            address(name, named(module))
        self._axes: dict[str, Axes] = {}
        self._looks, self._begun = 0, clock()
        self._now = self._fresh()
        self._some = 0
        self._taps: ExitStack | None = None

    def before(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        """Looks at the pass that begins, if looking has not taken more than its share of the time."""
        if id(module) != self._whole:
            return
        self.passes += 1
        if self._taps is not None or self.seconds > self._share * (clock() - self._begun):
            return
        with self._timed():
            if not self._axes:
                self._prepare(args)
            self._some = min(len(args[0]), self._most)
            self._taps = ExitStack()
            self._taps.enter_context(tapped(self._module, list(self._axes), see=self._see))

    def after(self, module: nn.Module, *_: object) -> None:
        """Ends the pass, whether it came to its end or failed."""
        if self._taps is None or id(module) != self._whole:
            return
        with self._timed():
            self._taps.close()
            self._taps = None
            self.looked += 1
            self._now.images += self._some
            if self.looked % self._together:
                return
            self.last = Look(self._looks, self.passes, self._now, diagnose(self._now))
            self._looks, self._now = self._looks + 1, self._fresh()
        if self._callback is not None:
            self._callback(self.last)

    def close(self) -> None:
        """Leaves the module alone."""
        if self._taps is not None:
            self._taps.close()
            self._taps = None

    def _fresh(self) -> Statistics:
        return Statistics(type(self._module).__name__, "", Options(), {})

    def _prepare(self, args: tuple[Any, ...]) -> None:
        """Finds the layers, and what their dimensions count, by a traced pass of a private copy."""
        if not args or not isinstance(args[0], Tensor) or args[0].dim() != 4:
            given = type(args[0]).__name__ if args else "nothing"
            given = f"a tensor {tuple(args[0].shape)}" if args and isinstance(args[0], Tensor) else given
            raise TypeError(
                "watch looks at modules whose first argument is a batch of images, (batch, channels, height, width), "
                f"and this one was given {given}"
            )
        found = {each.name: each for each in layers_of(self._module, args[0].detach())}
        leaves = [name for name in found if not any(other.startswith(f"{name}.") for other in found)]
        for name in self._names if self._names is not None else leaves:
            place = address(name, named(self._module))[0]
            if place not in found:
                raise ValueError(f"layer {name!r} does not answer in the forward pass: it is not called")
            names = each_call(place, found[place].calls) if name == place else [name]
            self._axes |= dict.fromkeys(names, found[place].axes)

    @torch.inference_mode(False)
    @torch.no_grad()
    def _see(self, name: str, output: Tensor) -> None:
        with self._timed():
            values, where = by_position(output.detach(), self._axes[name])
            if output.is_complex() or len(values) < self._some or not values.numel():
                return
            values = values[: self._some].to(torch.float64 if output.dtype == torch.float64 else torch.float32)
            known, options = self._now, self._now.options
            if name not in known:
                module = named(self._module)[address(name, named(self._module))[0]]
                shape = tuple(self._axes[name].planes(output.detach()).shape[1:]) or (1,)
                like = values.new_empty(0)
                known.add(LayerStatistics(name, type(module).__name__, shape, cap_of(module), options, like))
            indices = torch.arange(known.images, known.images + self._some, device=values.device)
            known[name].add(values, where, indices, options)

    @contextmanager
    def _timed(self) -> Iterator[None]:
        begun = clock()
        try:
            yield
        finally:
            self.seconds += clock() - begun


@contextmanager
def watch(
    network: Network | nn.Module,
    layers: Iterable[str] | None = None,
    *,
    callback: Callable[[Look], object] | None = None,
    passes: int = 8,
    images: int = 8,
    share: float = 0.03,
) -> Iterator[Watch]:
    """Diagnoses a network while your own loop trains it, from some of the passes that it makes anyway.

    Inside the `with` block a pass is looked at as long as looking has taken no more than its share of the time since
    the block began; of such a pass the first few images count. After every few of them comes a `Look`, with the
    statistics of those since the look before, and what `diagnose` says of them. Hooks are on the module's layers only
    during such a pass, and on the module itself until the block ends; nothing is left behind, also after an error.

    Args:
        network: a `Network` or a bare module, whose first argument is a batch of images.
        layers: names, addressed as for `activations`; None for all that have no layers in them.
        callback: called with each `Look`, between two passes of the loop; an error in it ends the loop.
        passes: how many make a look.
        images: how many images of each, from the first on. 64 in all are what the rules on channels that go together
            take.
        share: of the time, from 0 to 1, that looking may take; 0 looks at the first pass alone.

    Yields:
        The `Watch`, with the newest look as `last`.

    Raises:
        ValueError: if a layer does not exist or an option is out of range, or the module is compiled, where hooks see
            nothing.
        TypeError: in the first pass, if the module is not given images.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
        >>> _ = nn.init.constant_(net[0].bias, -9)
        >>> with watch(net, passes=1) as watching:
        ...     for _ in range(2):
        ...         _ = net(torch.rand(4, 3, 8, 8))
        >>> print(watching.last.diagnosis[0].sentence)
        1: channels 0, 1, 2, 3 of 4 give 0 everywhere in all 4 images: dead.
    """
    module = as_network(network).module
    if isinstance(layers, str):
        raise TypeError(f"layers is a list of layer names, such as [{layers!r}], not one string")
    compiled = [name or "it" for name, part in module.named_modules() if _compiled(part)]
    if compiled:
        raise ValueError(f"{compiled[0]!r} is compiled, and hooks see nothing in there: watch the module as written")
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
        raise ValueError(f"share is a part of the time, from 0 to 1, not {share!r}")
    passes, images = whole(passes, "passes", 1), whole(images, "images", 1)
    watching = Watch(module, layers, callback, passes, images, share)
    handles = [
        module.register_forward_pre_hook(watching.before),
        module.register_forward_hook(watching.after, always_call=True),
    ]
    try:
        yield watching
    finally:
        watching.close()
        for handle in handles:
            handle.remove()


def _compiled(part: nn.Module) -> bool:
    return eager(part) is not part or getattr(part, "_compiled_call_impl", None) is not None
