"""A network made ready for many passes: cut after the last layer needed, batch norm folded, weights in fast order."""

from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torch.overrides import TorchFunctionMode, _get_current_function_mode_stack
from torch.utils.hooks import RemovableHandle
from torch.utils.weak import WeakTensorKeyDictionary

from ..tracing.receptive_field import flat
from .activations import Activations, Layout
from .batching import Batching, batching
from .imprint import Contents, Imprint, values_of
from .layers import count_calls, explained, forward
from .network import Network, named
from .random_state import unchanged_chance

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
        entrance: the name of its first convolution, if it has one and calls it once.
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
        self._new = _State(network, self._module, [*self._own, *chain.from_iterable(self._pairs)])

    @classmethod
    def of(cls, network: Network, names: Sequence[str], images: Tensor, copied: Copied = "all") -> "Prepared":
        """The same as one made anew: one that was kept, as long as the network is what it was, or else a new one."""
        kept: Prepared | None = network.ready.take(_key(names, images, copied))
        return kept if kept and kept._new.holds(network) else cls(network, names, images, copied)

    def keep(self) -> None:
        """Leaves it to whoever needs the same next, if nothing has happened to it since it was made."""
        untouched = self.network is self._original and not self.batching.fresh and self._new.own_holds(self._module)
        if untouched:
            self._original.ready.put(_key(self.names, self._trial, self._copied), self)

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
                found = self._run(images, self.names, self._calls, self._layout)
            except Exception:
                if not self._strays:
                    raise
            else:
                if not self._strays:
                    return found
            self._pairs = [pair for pair in self._pairs if pair not in self._strays]
            self._module = self._built()

    def until(self, name: str, images: Tensor) -> Tensor:
        """The activation of a layer that is called once, and no further."""
        return self._run(images, (name,), {name: 1})[name]

    def watch(self, name: str, hook: Callable[..., None]) -> RemovableHandle:
        """Has a forward hook see what a layer gives, before any other hook does."""
        return self._module.get_submodule(name).register_forward_hook(hook, prepend=True)

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
        self._calls = count_calls(self.network, self._trial, self.names)
        self._layout = Layout()
        self._pairs: list[tuple[str, str]] = []
        self._own: list[str] = []
        self._strays: list[tuple[str, str]] = []
        self._format = torch.contiguous_format
        self._module = self._built()
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
        kept = self._module
        for fold, layout in _ways(bool(pairs), self.network.device):
            self._pairs, self._format = pairs if fold else [], layout
            self._own = [each.name for each in own]
            self._module = self._built()
            if _agrees(lambda: self(self._trial), plain, tolerance):
                return
        self._module, self._pairs, self._own, self._format = kept, [], [], torch.contiguous_format

    def _built(self) -> nn.Module:
        """A twin in the form that was found to be the fastest."""
        module = self.network.twin()
        _fold(module, self._pairs, self._format, self._strays)
        if self._format is torch.channels_last:
            _channels_last(module, self._own)
        return module

    def _run(
        self, images: Tensor, names: Sequence[str], calls: Mapping[str, int], layout: Layout | None = None
    ) -> Activations:
        self._strays.clear()
        entered = self.network.enter(images).contiguous(memory_format=self._format)
        found = forward(self._module, entered, names, calls, layout)
        self._strays += [given.pair for given in found.values() if isinstance(given, _Folded)]
        plain = {name: given.output if isinstance(given, _Folded) else given for name, given in found.items()}
        return Activations(plain, found.axes)


class _State:
    """What there was when a prepared network was made: all that its answers can depend on.

    Args:
        network: the network.
        own: the private copy.
        copied: names of the modules whose weights it has in another form.
    """

    def __init__(self, network: Network, own: nn.Module, copied: Sequence[str]):
        module, parts = network.module, named(network.module)
        self._module, self._preprocess, self._device = module, network.preprocess, network.device
        self._contents, self._own_contents = Contents(module), Contents(own)
        self._imprint, self._own_imprint = Imprint(module), Imprint(own)
        # A function that was bound to the copy holds what others may put something else for.
        bound = Contents(network.twin()).functions != self._contents.functions
        self._lasting = self._contents.known and self._own_contents.known and not bound
        # Weights that were copied into another form do not follow what is written through `.data`, as the others do.
        self._copied = [parts[name] for name in copied]
        self._values = values_of(self._copied) if self._lasting else b""

    def own_holds(self, own: nn.Module) -> bool:
        """Whether the private copy is the one that was made, and as it was."""
        return self._lasting and self._own_imprint.of(own) and self._own_contents.unchanged()

    def holds(self, network: Network) -> bool:
        """Whether a new one would be made from the same."""
        same = (network.module, network.preprocess, network.device) == (self._module, self._preprocess, self._device)
        unchanged = same and self._contents.unchanged() and self._imprint.holds()
        return unchanged and values_of(self._copied) == self._values


def _key(names: Sequence[str], images: Tensor, copied: Copied) -> Hashable:
    """What stands for all that is asked of a prepared network."""
    trial = images[:1].detach()
    # Within a mode that changes what functions do, it is another network.
    modes = tuple(type(mode) for mode in _get_current_function_mode_stack())
    return tuple(names), copied, tuple(trial.shape), trial.dtype, hash(trial.cpu().numpy().tobytes()), modes


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


class _Folded(Tensor):
    """Stands for what a convolution gives that a batch norm was folded into: nothing but that batch norm may use it.

    A trial does not tell: a branch in the forward pass may take another way on the next picture.

    Attributes:
        pair: the names of convolution and batch norm.
        strays: a list of the pairs for which something else has used it.
        output: what the two give together.
    """

    pair: tuple[str, str]
    strays: list[tuple[str, str]]
    output: Tensor

    @classmethod
    def __torch_function__(
        cls, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Runs the function; one that only asks for a shape or the like makes no tensor, and is no use."""
        with torch._C.DisableTorchFunctionSubclass():
            output = func(*args, **(kwargs or {}))
        if any(isinstance(each, Tensor) for each in flat([output])):
            for each in flat([*args, *(kwargs or {}).values()]):
                if isinstance(each, _Folded):
                    each.strays.append(each.pair)
        return output


class _FoldedNorm(nn.Module):
    """In place of a batch norm that was folded into the convolution before it; only its call is meant to be used."""

    def __init__(self, pair: tuple[str, str], norm: nn.Module, strays: list[tuple[str, str]]):
        super().__init__()
        self._pair, self._norm, self._strays = pair, lambda: norm, strays  # behind a function, so that it is no part
        self.eval()

    def __getattr__(self, name: str) -> Any:
        self._strays.append(self._pair)
        return getattr(self._norm(), name)

    def forward(self, given: Tensor) -> Tensor:
        if isinstance(given, _Folded) and given.pair == self._pair:
            return given.output
        self._strays.append(self._pair)
        return given


def _fold(
    module: nn.Module, pairs: Sequence[tuple[str, str]], layout: torch.memory_format, strays: list[tuple[str, str]]
) -> None:
    for pair in pairs:
        conv, norm = (module.get_submodule(name) for name in pair)
        assert isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
        assert norm.running_mean is not None and norm.running_var is not None
        weight, bias = fuse_conv_bn_weights(
            conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
        )
        weight = weight.contiguous(memory_format=layout)  # at once, so that there are never two copies of all weights
        conv.weight, conv.bias = nn.Parameter(weight, requires_grad=False), nn.Parameter(bias, requires_grad=False)

        def give(part: nn.Module, args: object, output: Tensor, pair: tuple[str, str] = pair) -> Tensor:
            given = Tensor._make_subclass(_Folded, output)
            given.pair, given.strays, given.output = pair, strays, output
            return given

        conv.register_forward_hook(give)
        module.set_submodule(pair[1], _FoldedNorm(pair, norm, strays))


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
