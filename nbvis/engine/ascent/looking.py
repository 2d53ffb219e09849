"""Networks that look at the same images."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from ..network.layout import Activations
from ..network.network import Network
from ..network.pass_errors import explained
from ..network.prepared import Prepared
from ..network.snapshots import Steady
from .objective import Objective
from .seen import Seen

_T = TypeVar("_T")


class Looking:
    """A network, and those that objectives name by `on`, made ready to look at the same images.

    Args:
        network: the network that is meant where none is named.
        objectives: whose layers are looked at.
        trial: pictures that they are tried on.
        held: what has looked so far.

    Raises:
        ValueError: if some take pairs and others do not.
    """

    def __init__(self, network: Network, objectives: Sequence[Objective], trial: Tensor, held: "Looking | None" = None):
        self._main, self._trial = network, trial
        self._names: dict[Network, tuple[str, ...]] = {}
        for one in objectives:
            for each, names in ({network: one.layers} | one.elsewhere).items():
                self._names[each] = tuple(dict.fromkeys((*self._names.get(each, ()), *names)))
        if not self._names[network] and len(self._names) > 1:
            del self._names[network]
        for other in self._names:
            if other.pair != network.pair:
                ways = (f"pair={str(each.pair) if each.pair else None!r}" for each in (network, other))
                raise ValueError(f"networks that look at the same images take them alike, not {' and '.join(ways)}")
        known = held._steady if held else {}
        self._steady = {each: known.get(each) or Steady(each) for each in self._names}
        self._prepared: dict[Network, Prepared] = {}

    @property
    def half(self) -> bool:
        """Whether any is in half precision."""
        return any(each.dtype == torch.float16 for each in self._names)

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on how images are shown to them."""
        return tuple(dict.fromkeys(note for each in self._prepared.values() for note in each.batching.notes))

    @property
    def copies(self) -> tuple[str, ...]:
        """Sentences on copies of weights that are trained meanwhile."""
        return tuple(note for each in self._steady.values() for note in each.notes)

    def run(self, task: Callable[[Mapping[Network, Network]], _T]) -> _T:
        """What a task gives, with all weights of each network from one moment: by network what it is now."""
        return self._beside(task, [*self._steady], {})

    def _beside(
        self, task: Callable[[Mapping[Network, Network]], _T], rest: list[Network], now: dict[Network, Network]
    ) -> _T:
        if not rest:
            return task(now)
        first, *others = rest
        return self._steady[first].run(lambda found: self._beside(task, others, now | {first: found}))

    def prepare(self, now: Mapping[Network, Network], held: "Looking | None") -> None:
        """Makes them ready, or takes those that already are."""
        for each, names in self._names.items():
            known = held._prepared.get(each) if held else None
            fits = known is not None and known.names == names
            self._prepared[each] = known if known and fits else Prepared.of(now[each], names, self._trial)

    def refresh(self, now: Mapping[Network, Network]) -> bool:
        """Makes those ready again that have changed; whether any had."""
        return any([each.refresh(now[network]) for network, each in self._prepared.items()])

    def keep(self, but: "Looking | None" = None) -> None:
        """Leaves what is ready to whoever needs it next, but for what another goes on with."""
        used = [*but._prepared.values()] if but else []
        for each in self._prepared.values():
            if not any(each is other for other in used):
                each.keep()

    def shown(self, images: Tensor, seed: int = 0, others: bool = False) -> Seen:
        """The activations of images, or of other pictures, which a network may not run on."""

        def show(prepared: Prepared) -> Activations:
            return prepared(images, seed)

        found = {
            network: explained(each.network, images, lambda each=each: show(each)) if others else show(each)
            for network, each in self._prepared.items()
        }
        return self._seen(found, len(images))

    def at_once(self, images: Tensor) -> int:
        """How many of these images are shown at once at most: on the CPU more leave its cache, and take longer each."""
        most, room = (8, 2**29) if images.device.type == "cpu" else (len(images), 2**32)
        larger = images[0].numel() / self._trial[0].numel()
        # A backward pass holds as much again as the forward pass leaves.
        needed = 2 * larger * sum(each.whole for each in self._prepared.values())
        return max(1, min(most, int(room / max(1, needed))))

    def probe(self, count: int) -> tuple[Seen, list[str]]:
        """The activations for so many of one picture, and the layers from which no gradient flows back."""
        found = {network: each.probe() for network, each in self._prepared.items()}
        joined = {n: self._prepared[n].batching.joined([activations] * count) for n, (activations, _) in found.items()}
        return self._seen(joined, count), [name for _, stuck in found.values() for name in stuck]

    def _seen(self, found: dict[Network, Activations], count: int) -> Seen:
        own = found.pop(self._main, Activations())
        return Seen(own, found, torch.zeros(count, device=self._main.device, dtype=self._main.precision))
