"""Batch norms folded into the convolutions before them: which may be, and what happens if one may not after all."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakTensorKeyDictionary

from ..tracing.receptive_field import flat


class Uses(TorchFunctionMode):
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
class Convolution:
    """A convolution as the trial met it.

    Attributes:
        name: of the module.
        heavy: whether its weight is larger than what it gives.
        norm: the batch norm that may be folded into it: it gets what the convolution gives, nothing else does, and the
            weight has no other use.
    """

    name: str
    heavy: bool
    norm: str | None


@contextmanager
def noting_convolutions(module: nn.Module, uses: Uses) -> Iterator[list[Convolution]]:
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
    found: list[Convolution] = []
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
        found.append(Convolution(name, part.weight.numel() > size, norms[0] if only and norms else None))


class Folded(Tensor):
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
                if isinstance(each, Folded):
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
        if isinstance(given, Folded) and given.pair == self._pair:
            return given.output
        self._strays.append(self._pair)
        return given


def fold(
    module: nn.Module, pairs: Sequence[tuple[str, str]], layout: torch.memory_format, strays: list[tuple[str, str]]
) -> None:
    """Folds batch norms into the convolutions before them.

    Args:
        module: a private copy.
        pairs: the names of convolution and batch norm.
        layout: of the weights that come of it.
        strays: gets each pair whose convolution something else has used, in the passes that follow.
    """
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
            given = Tensor._make_subclass(Folded, output)
            given.pair, given.strays, given.output = pair, strays, output
            return given

        conv.register_forward_hook(give)
        module.set_submodule(pair[1], _FoldedNorm(pair, norm, strays))
