"""A network run row by row with dropout on or off, beside its usual eval mode in everything else."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..arguments import near
from ..network.batching import batching
from ..network.call_counts import count_calls
from ..network.forward_hooks import tapped
from ..network.layer_names import OUTPUT, LayerError, address, named
from ..network.network import Network, as_network
from ..network.pass_errors import explained
from ..network.random_state import unchanged_chance
from ..network.snapshots import steadily
from ..network.twin import eager
from .dropouts import Dropouts, unheeded
from .masks import Noise, Poison, keyed, refuse_unused

Active = Callable[[str, nn.Module], bool] | str | None


@dataclass(frozen=True)
class Pass:
    """What one pass gave.

    Attributes:
        activations: of each layer, (rows, …).
        output: of the network, (rows, …); None if it is not one tensor.
        masks: what each dropout drew, by its address.
    """

    activations: dict[str, Tensor]
    output: Tensor | None
    masks: dict[str, Tensor]


class Noisy:
    """Single passes of a network, with dropout or without.

    A row goes through alone, so that nothing it draws depends on its neighbours; but if everything that has a train
    mode acts, the samples of a picture go together, because batch norm then needs them.

    Args:
        network: the network.
        names: the layers to note; dropout acts until they have all answered.
        images: one or more of the kind that will be given.
        active: None, "train", or a function (name, module) → whether the module is in train mode too.
        insert: name of a module after which dropout is inserted.

    Attributes:
        notes: sentences on dropout that stays off.

    Raises:
        ValueError: if a layer does not exist or is not called.
        RuntimeError: if the network does not run on the images; its own error is attached.
    """

    def __init__(
        self, network: Network, names: Sequence[str], images: Tensor, active: Active = None, insert: str | None = None
    ):
        self.network, self.names, self.together = network, tuple(names), active == "train"
        modules = named(eager(network.module))
        self._active = _chosen(modules, active)
        if insert is not None and insert not in modules:
            raise LayerError(f"no layer {insert!r} to insert dropout after{near(insert, [n for n in modules if n])}")
        self._insert = insert
        with torch.no_grad(), unchanged_chance():
            self._calls = count_calls(network, images, [*self.names, *([insert] if insert else [])])
        self._fresh = batching(network, images, self.names, {name: self._calls[name] for name in self.names}).fresh
        self.dropouts = Dropouts()
        self._quiet, self._loud = network.twin(), self._twin()
        out_of_reach = unheeded(eager(network.module))
        self.notes = [note for name, note in out_of_reach.items() if name not in self._active]

    def _twin(self) -> nn.Module:
        twin = self.network.twin()
        parts = named(twin)
        acting = {parts[name] for name in self._active}
        for part in acting:
            part.training = True
        self.dropouts.prepare(twin, acting, None if self._insert is None else parts[self._insert])
        counts: Counter[str] = Counter()

        def answered(name: str) -> Callable[..., None]:
            def count(*_: object) -> None:
                counts[name] += 1
                if self.dropouts.noise and all(counts[each] >= self._calls[each] for each in self.names):
                    self.dropouts.noise.acting = isinstance(self.dropouts.noise, Poison)

            return count

        twin.register_forward_pre_hook(lambda *_: counts.clear())
        for name in self.names:
            parts[address(name, parts)[0]].register_forward_hook(answered(name))
        return twin

    def clean(self, images: Tensor, numbers: Sequence[int] | None = None) -> Pass:
        """The pass without dropout, for images (rows, channels, height, width).

        Other random numbers that the network may draw follow `numbers`, as in `noisy`, so that they cancel out.
        """
        return self._joined(images.split(1), None, numbers or [0] * len(images))

    def noisy(
        self,
        images: Tensor,
        numbers: Sequence[int],
        p: Sequence[float | None],
        masks: Mapping[str, Tensor],
        samples: int,
    ) -> Pass:
        """The pass with dropout.

        Args:
            images: (rows, channels, height, width).
            numbers: what each row draws from.
            p: overrides the probabilities of each row, None for no change.
            masks: to be replayed, by address.
            samples: rows of each picture.

        Raises:
            ValueError: if a mask has the wrong shape or there is nothing for it to do.
        """
        size = samples if self.together else 1
        starts = range(0, len(images), size)
        noise = [Noise(numbers[start], p[start], masks, (start // size, len(starts))) for start in starts]
        found = self._joined(images.split(size), noise, numbers[::size])
        refuse_unused(masks, noise)
        return found

    def reached(self, images: Tensor) -> dict[str, bool]:
        """Whether dropout reaches it, for the address of each activation, in the order of the forward pass.

        Those are missing that a network does not get to when it is given NaN.
        """
        twin, poisoned, calls = self._twin(), dict[str, bool](), Counter[str]()

        def note(name: str) -> Callable[..., None]:
            def look(part: nn.Module, given: object, output: object) -> None:
                if isinstance(output, Tensor):
                    poisoned[f"{name}:{calls[name]}"] = poisoned[name] = bool(output.isnan().any())
                    calls[name] += 1

            return look

        for name, part in named(twin).items():
            part.register_forward_hook(note(name))
        self.dropouts.noise = Poison(0)
        with torch.no_grad(), unchanged_chance(), self.dropouts:
            try:
                twin(self.network.enter(images[:1]))
            except Exception:  # it may well refuse NaN
                pass
        self.dropouts.noise = None
        return poisoned

    @torch.no_grad()
    def _joined(self, chunks: Sequence[Tensor], noise: Sequence[Noise] | None, numbers: Sequence[int]) -> Pass:
        found: list[dict[str, Tensor]] = []
        outputs: list[object] = []
        twin = self._quiet if noise is None else self._loud
        for k, (chunk, number) in enumerate(zip(chunks, numbers, strict=True)):
            if self._fresh:
                twin = self.network.twin() if noise is None else self._twin()
            self.dropouts.noise = None if noise is None else noise[k]
            with unchanged_chance(number), self.dropouts, tapped(twin, self.names) as answers:
                outputs.append(explained(self.network, chunk, lambda c=chunk, run=twin: run(self.network.enter(c))))
            found.append(self.network.read({name: answers[name].detach() for name in self.names}))
        self.dropouts.noise = None
        drawn = [keyed(each.drawn) for each in noise or ()]
        return Pass(
            {name: torch.cat([each[name] for each in found]) for name in self.names},
            _cat(outputs),
            {key: torch.cat([each[key] for each in drawn]).to(self.network.device) for key in (drawn or [{}])[0]},
        )


@steadily
def dropped_layers(
    network: Network | nn.Module, images: Tensor, *, active: Active = None, insert: str | None = None
) -> list[str]:
    """The layers whose activation dropout reaches: those that `invert_dropout` can invert.

    In one trial pass everything that drops gives NaN instead; what then answers NaN is reached.

    Args:
        network: a `Network` or a bare module.
        images: (batch, channels, height, width); the first one is enough.
        active: as for `invert_dropout`.
        insert: as for `invert_dropout`.

    Returns:
        Their names, in the order of the forward pass; "" is the network's output.

    Raises:
        ValueError: if there is no layer `insert`.
        RuntimeError: if the network does not run on the images; its own error is attached.

    Example:
        >>> net = nn.Sequential(nn.Flatten(), nn.Linear(12, 8), nn.Dropout(), nn.Linear(8, 2))
        >>> dropped_layers(net, torch.rand(1, 3, 2, 2))
        ['2', '3', '']
    """
    noisy = Noisy(as_network(network), [OUTPUT], images[:1], active, insert)
    noisy.clean(images[:1].to(noisy.network.device, noisy.network.precision))
    return [name for name, bad in noisy.reached(images).items() if bad and ":" not in name]


def _chosen(modules: Mapping[str, nn.Module], active: Active) -> frozenset[str]:
    if active is None:
        return frozenset()
    if active == "train":
        return frozenset(modules)
    if not callable(active):
        raise ValueError(f'active is None, "train" or a function (name, module) → bool, not {active!r}')
    chosen = frozenset(name for name, part in modules.items() if active(name, part))
    if not chosen:
        raise ValueError(f"active names no module of the network{near('', [name for name in modules if name])}")
    return chosen


def _cat(outputs: Sequence[object]) -> Tensor | None:
    tensors = [each for each in outputs if isinstance(each, Tensor)]
    return torch.cat(tensors) if len(tensors) == len(outputs) else None
