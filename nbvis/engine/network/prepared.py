"""A network made ready for many passes: cut after the last layer needed, batch norm folded, weights in fast order."""

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any, Literal

import torch
from torch import Tensor, nn

from .batching import Batching, batching
from .call_counts import counted_calls
from .folding import Folded, Uses, fold, noting_convolutions
from .forward_hooks import forward
from .imprint import Imprint
from .layout import Activations, layout_of
from .network import Network
from .pass_errors import explained
from .prepared_origin import Origin, request
from .random_state import unchanged_chance
from .subpixel_gradient import take_subpixel_gradients

_TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-9}
"""Largest difference, relative to the largest activation, that only the order of the additions can explain."""

Copied = Literal["all", "small", "none"]
"""Which weights may be copied into a faster form."""


class Prepared:
    """A private copy of a network that gives the activations of some layers, faster than the network itself.

    It runs no further than the last of them. Batch norm goes into the convolution before it and, on the CPU, weights
    are laid out channels last, wherever a trial on the images shows that the activations stay the same; otherwise the
    plain copy is used. A batch norm goes back to its place if, on another picture, what the convolution gives goes
    elsewhere too.

    Args:
        network: the network.
        names: the layers, as for `activations`.
        images: what it will be run on, or pictures of the same kind: (batch, channels, height, width) in [0, 1].
        copied: which weights may be copied into a faster form: "all"; "small", without those that are larger than what
            their convolution gives for one image, which are most of a network's memory and of little use to a forward
            pass; or "none", which keeps every rounding of the network itself.

    Attributes:
        batching: how pictures are shown to it.
        whole: bytes of all that one image makes on the way, which is about what a backward pass keeps.
        widest: bytes of the largest of it.

    Raises:
        ValueError: if a layer does not exist or is not called.
        RuntimeError: if the network does not run on the images; its own error is attached.
    """

    def __init__(self, network: Network, names: Sequence[str], images: Tensor, copied: Copied = "all"):
        self.network = self._original = network
        self.names = tuple(names)
        self._copied: Copied = copied
        self._trial = images[:1].detach()
        self._shown_trial: tuple[Activations, list[str]] | None = None
        self._try()
        self._origin = Origin(network, self._module, [*self._own, *chain.from_iterable(self._pairs)])

    @classmethod
    def of(cls, network: Network, names: Sequence[str], images: Tensor, copied: Copied = "all") -> "Prepared":
        """The same as one made anew: one that was kept, as long as the network is what it was, or else a new one."""
        kept: Prepared | None = network.ready.take(request(names, images, copied))
        return kept if kept and kept._origin.holds(network) else cls(network, names, images, copied)

    def keep(self) -> None:
        """Leaves it to whoever needs the same next, if nothing has happened to it since it was made."""
        untouched = self.network is self._original and not self.batching.fresh and self._origin.own_holds(self._module)
        if untouched:
            self._original.ready.put(request(self.names, self._trial, self._copied), self)

    def probe(self) -> tuple[Activations, list[str]]:
        """The activations for one picture, and those layers from which no gradient flows back; run once."""
        if self._shown_trial is None:
            with torch.enable_grad(), unchanged_chance():
                found = self(self._trial.detach().requires_grad_())
            stuck = [name for name, activation in found.items() if not activation.requires_grad]
            plain = Activations({name: activation.detach() for name, activation in found.items()}, found.axes)
            self._shown_trial = plain, stuck
        return self._shown_trial

    def __call__(self, images: Tensor, seed: int = 0) -> Activations:
        """The activations by name, with their graph; the forward pass stops after the last one.

        Args:
            images: (batch, channels, height, width).
            seed: of what the network draws, if it draws random numbers.
        """
        return self.network.read(self.batching.answer(images, self._shown, seed))

    def _shown(self, images: Tensor) -> Activations:
        """What it gives for pictures that are shown to it together."""
        if self.batching.fresh:
            return forward(self.network.twin(), self.network.enter(images), self.names, self._calls, self._layout)
        while True:
            try:
                found = self._run(images)
            except Exception:
                if not self._strays:
                    raise
            else:
                if not self._strays:
                    return found
            self._pairs = [pair for pair in self._pairs if pair not in self._strays]
            self._module = self._built()

    def refresh(self, network: Network) -> bool:
        """Makes the copy again if it is another network now, or its weights or buffers have changed; whether it did.

        A trial is needed only if there are other parts than before, or weights of other shapes.
        """
        if network is self.network and self._made_from.holds():
            return False
        self.network = network
        if _structure(network.module) != self._structure:
            self._try()
            return True
        with torch.inference_mode(False), torch.no_grad(), unchanged_chance():
            self._made_from = Imprint(network.module)
            self._module = self._built()
        return True

    def _try(self) -> None:
        self.batching = Batching()
        with torch.inference_mode(False), torch.no_grad(), unchanged_chance():
            self._make()
        self.batching = batching(self.network, self._trial, self.names, self._calls)

    def _make(self) -> None:
        original = self.network.module
        self._made_from, self._structure = Imprint(original), _structure(original)
        self._plain()
        uses = Uses()
        with self.network.borrowed() as twin:
            self._calls = counted_calls(self.network, twin, self._trial, self.names)
            self._layout, self._module = layout_of(twin, self.names), twin
            with noting_convolutions(twin, uses) as convolutions:
                plain = explained(self.network, self._trial, lambda: self(self._trial))
        self.whole, self.widest = uses.whole, uses.widest
        # Half precision rounds differently once folded, and half the point of it is to be what the user trained.
        tolerance = _TOLERANCE.get(self.network.dtype, 0.0)
        own = [each for each in convolutions if self._copied == "all" or not each.heavy]
        pairs = [(each.name, each.norm) for each in own if each.norm is not None]
        ways = _ways(bool(pairs), self.network.device) if tolerance and self._copied != "none" else []
        for folds, layout in ways:
            self._pairs, self._format = pairs if folds else [], layout
            self._own = [each.name for each in own]
            self._module = self._built()
            if _agrees(lambda: self(self._trial), plain, tolerance):
                return
        self._plain()
        self._module = self._built()

    def _plain(self) -> None:
        """Weights as the network has them."""
        self._pairs: list[tuple[str, str]] = []
        self._own: list[str] = []
        self._strays: list[tuple[str, str]] = []
        self._format = torch.contiguous_format

    def _built(self) -> nn.Module:
        """A twin in the form that was found to be the fastest."""
        module = self.network.twin()
        fold(module, self._pairs, self._format, self._strays)
        if self._format is torch.channels_last:
            _channels_last(module, self._own)
        if self._copied != "none" and self.network.device.type == "cpu" and self.network.dtype == torch.float32:
            take_subpixel_gradients(module)
        return module

    def _run(self, images: Tensor) -> Activations:
        self._strays.clear()
        entered = self.network.enter(images).contiguous(memory_format=self._format)
        found = forward(self._module, entered, self.names, self._calls, self._layout)
        self._strays += [given.pair for given in found.values() if isinstance(given, Folded)]
        plain = {name: given.output if isinstance(given, Folded) else given for name, given in found.items()}
        return Activations(plain, found.axes)


def _structure(module: nn.Module) -> list[Any]:
    """What is the same before and after training: the kinds of all parts, and the shapes of their tensors."""
    return [
        (type(part), [(name, tensor.shape, tensor.dtype) for name, tensor in tensors.items() if tensor is not None])
        for part in module.modules()
        for tensors in (part._parameters, part._buffers)
    ]


def _ways(pairs: bool, device: torch.device) -> list[tuple[bool, torch.memory_format]]:
    """What to try, fastest first; channels last pays off on the CPU only, at full precision."""
    layouts = [torch.channels_last, torch.contiguous_format] if device.type == "cpu" else [torch.contiguous_format]
    folds = [True, False] if pairs else [False]
    return [(fold, layout) for fold in folds for layout in layouts if fold or layout is torch.channels_last]


def _agrees(run: Callable[[], dict[str, Tensor]], plain: dict[str, Tensor], tolerance: float) -> bool:
    try:
        found = run()
    except Exception:  # the network reshapes by strides, which only the usual layout allows
        return False
    return all(
        bool((found[name] - value).abs().max() <= tolerance * value.abs().max())
        if value.dtype != torch.bool
        else torch.equal(found[name], value)
        for name, value in plain.items()
        if value.numel()
    )


def _channels_last(module: nn.Module, names: Sequence[str]) -> None:
    """Lays out the weights of these convolutions; another whose weight would have to be copied takes the usual order.

    Given a picture in the one order and a weight in the other, PyTorch would copy the weight at each call.
    """
    for name, part in module.named_modules():
        if isinstance(part, nn.Conv2d) and "weight" in part._parameters:
            if name in names:
                weight = part.weight.contiguous(memory_format=torch.channels_last)
                part.weight = nn.Parameter(weight, requires_grad=False)
            elif not part.weight.is_contiguous(memory_format=torch.channels_last):
                part.register_forward_pre_hook(lambda part, args: tuple(each.contiguous() for each in args))
