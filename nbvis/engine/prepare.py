"""A network made ready for many passes: cut after the last layer needed, batch norm folded, weights in fast order."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torch.overrides import TorchFunctionMode
from torch.utils.hooks import RemovableHandle
from torch.utils.weak import WeakTensorKeyDictionary

from .capture import count_calls, explained, forward
from .chance import unchanged_chance
from .layout import Activations, Layout
from .network import Network
from .receptive import flat
from .twin import fingerprint

_TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-9}
"""Largest difference, relative to the largest activation, that only the order of the additions can explain."""

Copied = Literal["all", "small", "none"]
"""Which weights may be copied into a faster form."""


class Prepared:
    """A private copy of a network that gives the activations of some layers, faster than the network itself.

    It runs no further than the last of them. Batch norm goes into the convolution before it and, on the CPU, weights
    are laid out channels last, wherever a trial on the images shows that the activations stay the same; otherwise the
    plain copy is used. The copy is remade when a weight of the original changes.

    Args:
        network: the network.
        names: the layers, as for `activations`.
        images: what it will be run on, or pictures of the same kind: (batch, channels, height, width) in [0, 1].
        copied: which weights may be copied into a faster form: "all"; "small", without those that are larger than what
            their convolution gives for one image, which are most of a network's memory and of little use to a forward
            pass; or "none", which keeps every rounding of the network itself.

    Attributes:
        draws_chance: whether the network draws random numbers.
        entrance: the name of its first convolution, if it has one and calls it once.
        whole: bytes of all that one image makes on the way, which is about what a backward pass keeps.
        widest: bytes of the largest of it.

    Raises:
        ValueError: if a layer does not exist or is not called.
        RuntimeError: if the network does not run on the images; its own error is attached.
    """

    def __init__(self, network: Network, names: Sequence[str], images: Tensor, copied: Copied = "all"):
        self.network = network
        self.names = tuple(names)
        self._copied = copied
        self._trial = images[:1].detach()
        with torch.inference_mode(False), torch.no_grad(), unchanged_chance() as drew:
            self._make()
        self.draws_chance = drew[0]

    def __call__(self, images: Tensor) -> Activations:
        """The activations by name, with their graph; the forward pass stops after the last one."""
        return self.network.read(forward(self._module, self._enter(images), self.names, self._calls, self._layout))

    def until(self, name: str, images: Tensor) -> Tensor:
        """The activation of a layer that is called once, and no further."""
        return forward(self._module, self._enter(images), (name,), {name: 1})[name]

    def watch(self, name: str, hook: Callable[..., None]) -> RemovableHandle:
        """Has a forward hook see what a layer gives, before any other hook does."""
        return self._module.get_submodule(name).register_forward_hook(hook, prepend=True)

    def refresh(self) -> None:
        """Makes the copy again if the original's weights or buffers have changed."""
        if fingerprint(self.network.module) != self._made_from:
            with torch.inference_mode(False), torch.no_grad(), unchanged_chance():
                self._make()

    def _make(self) -> None:
        original = self.network.module
        self._made_from = fingerprint(original)
        # What it was taken of stays alive until the next one, so that no address in it can come to mean something new.
        self._originals = [*original.modules(), *(t.detach() for t in (*original.parameters(), *original.buffers()))]
        self._calls = count_calls(self.network, self._trial, self.names)
        self._layout = Layout()
        self._module, self._format = self.network.twin(), torch.contiguous_format
        uses = _Uses()
        with _noting_convolutions(self._module, uses) as convolutions:
            plain = explained(self.network, self._trial, lambda: self(self._trial))
        self.whole, self.widest = uses.whole, uses.widest
        self.entrance = convolutions[0].name if convolutions and convolutions[0].calls == 1 else None
        # Half precision rounds differently once folded, and half the point of it is to be what the user trained.
        tolerance = _TOLERANCE.get(self.network.dtype)
        if tolerance is None or self._copied == "none":
            return
        own = [each for each in convolutions if self._copied == "all" or not each.heavy]
        pairs = [(each.name, each.norm) for each in own if each.norm is not None]
        kept = (self._module, self._format)
        for fold, layout in _ways(bool(pairs), self.network.device):
            self._module, self._format = self.network.twin(), layout
            if fold:
                _fold(self._module, pairs, layout)
            if layout is torch.channels_last:
                _channels_last(self._module, [each.name for each in own])
            if _agrees(lambda: self(self._trial), plain, tolerance):
                return
        self._module, self._format = kept

    def _enter(self, images: Tensor) -> Tensor:
        return self.network.enter(images).contiguous(memory_format=self._format)


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
        for name, value in plain.items()
        if value.numel()
    )


class _Uses(TorchFunctionMode):
    """Within it, counts the tensor functions that make something out of the tensors it watches, and what all make.

    Attributes:
        whole: bytes of all that is made.
        widest: bytes of the largest tensor of it.
    """

    def __init__(self):
        super().__init__()
        self._watched = WeakTensorKeyDictionary()  # weak, so that the trial needs no more memory than any pass
        self.whole = self.widest = 0

    def watch(self, tensor: Tensor) -> list[object]:
        """A list that grows by one with each function that uses the tensor."""
        uses: list[object] = []
        self._watched[tensor] = uses
        return uses

    def of(self, tensor: Tensor) -> list[object] | None:
        """The list of a tensor that is watched."""
        return self._watched.get(tensor)

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Runs the function and counts; one that only asks for a shape or the like makes no tensor."""
        output = func(*args, **(kwargs or {}))
        made = [each for each in flat([output]) if isinstance(each, Tensor)]
        if made:
            given = {id(each): each for each in flat([*args, *(kwargs or {}).values()])}
            tensors = [each for each in given.values() if isinstance(each, Tensor)]
            for each in tensors:
                if (uses := self.of(each)) is not None:
                    uses.append(func)
            places = {_place(each) for each in tensors}
            sizes = [each.numel() * each.element_size() for each in made if _place(each) not in places]
            self.whole, self.widest = self.whole + sum(sizes), max(self.widest, *sizes, 0)
        return output


def _place(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr() if tensor.layout is torch.strided else id(tensor)


@dataclass(frozen=True)
class _Convolution:
    """A convolution as the trial met it.

    Attributes:
        name: of the module.
        calls: of the module.
        heavy: whether its weight is larger than what it gives.
        norm: the batch norm that may be folded into it: it gets what the convolution gives, nothing else does, and the
            weight has no other use.
    """

    name: str
    calls: int
    heavy: bool
    norm: str | None


@contextmanager
def _noting_convolutions(module: nn.Module, uses: _Uses) -> Iterator[list[_Convolution]]:
    """A list of the convolutions in the order in which they answer, full once the block is over.

    A trial alone would not tell what may be folded: a branch that also uses a convolution's output may be shut on its
    picture and open on the next.
    """
    convolved: list[tuple[str, nn.Conv2d, int, list[object]]] = []
    normed: list[tuple[str, list[object] | None]] = []
    handles = []
    for name, part in module.named_modules():
        if isinstance(part, nn.Conv2d) and "weight" in part._parameters:
            uses.watch(part.weight)

            def convolve(part: nn.Conv2d, args: object, output: Tensor, name: str = name) -> None:
                convolved.append((name, part, output.numel(), uses.watch(output)))

            handles.append(part.register_forward_hook(convolve, prepend=True))
        elif isinstance(part, nn.BatchNorm2d) and part.running_mean is not None:

            def norm(part: nn.Module, args: tuple[Tensor, ...], name: str = name) -> None:
                normed.extend((name, uses.of(given)) for given in args[:1])

            handles.append(part.register_forward_pre_hook(norm))
    found: list[_Convolution] = []
    try:
        with uses:
            yield found
    finally:
        for handle in handles:
            handle.remove()
    calls = Counter([name for name, *_ in convolved] + [name for name, _ in normed])
    for name, part, size, output_uses in convolved:
        only = calls[name] == len(output_uses) == len(uses.of(part.weight) or []) == 1
        norms = [norm for norm, given in normed if given is output_uses and calls[norm] == 1]
        found.append(_Convolution(name, calls[name], part.weight.numel() > size, norms[0] if only and norms else None))


def _fold(module: nn.Module, pairs: Sequence[tuple[str, str]], layout: torch.memory_format) -> None:
    for conv_name, norm_name in pairs:
        conv, norm = module.get_submodule(conv_name), module.get_submodule(norm_name)
        assert isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
        assert norm.running_mean is not None and norm.running_var is not None
        weight, bias = fuse_conv_bn_weights(
            conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
        )
        weight = weight.contiguous(memory_format=layout)  # at once, so that there are never two copies of all weights
        conv.weight, conv.bias = nn.Parameter(weight, requires_grad=False), nn.Parameter(bias, requires_grad=False)
        module.set_submodule(norm_name, nn.Identity().eval())


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
