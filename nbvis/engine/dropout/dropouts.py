"""Dropout, as a module or a function, made to follow masks of our own in a private copy of a network."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ..network.layer_names import LayerError
from .masks import Noise, Poison

KINDS = ("dropout", "dropout1d", "dropout2d", "dropout3d", "feature_dropout", "alpha_dropout", "feature_alpha_dropout")
"""The tensor functions that are dropout, as `torch.nn.functional` and `torch` name them."""

BRANCHES = {"StochasticDepth": "p", "DropPath": "drop_prob"}
"""Modules that drop a whole row of their input, by the name of their class, and where they keep the probability."""

_DRAWS = ("bernoulli", "normal", "rand", "rand_like", "randn", "randn_like", "uniform")
_SELU = 1.7580993408473766
"""The value at which SELU saturates, scale · α: what `alpha_dropout` puts where it drops."""


class Dropouts(TorchFunctionMode):
    """Within it, dropout does what `noise` says, whether it is a module or a function and whatever its own flag says.

    Without noise it does nothing, not even where it is always on.

    Attributes:
        noise: of the pass, None for no dropout.
        always_on: whether, without noise, a dropout was met that would have acted.
    """

    def __init__(self):
        super().__init__()
        self.noise: Noise | None = None
        self.always_on = False
        self._inside: list[str] = []
        self._drawing: set[str] = set()

    def prepare(self, twin: nn.Module, drawing: Collection[nn.Module] = (), insert: nn.Module | None = None) -> None:
        """Makes a private copy of a network follow the noise.

        Args:
            twin: the copy.
            drawing: its modules whose other random numbers are noise too.
            insert: one of its modules, after which every output is dropped.
        """
        for name, part in twin.named_modules():
            if part in drawing:
                self._drawing.add(name)
            if type(part).__name__ in BRANCHES:
                vars(part)["forward"] = lambda images, part=part: self.drop(
                    "branch", images, getattr(part, BRANCHES[type(part).__name__]) or 0.0
                )
            part.register_forward_pre_hook(lambda *_, name=name: self._inside.append(name), prepend=True)
            if part is insert:
                part.register_forward_hook(self._dropped_after)
            part.register_forward_hook(lambda *_: self._leave(), always_call=True)

    def _dropped_after(self, part: nn.Module, given: object, output: object) -> Tensor:
        if not isinstance(output, Tensor):
            kind = type(output).__name__
            raise LayerError(f"no dropout after layer {self._place!r}: it returns {kind}, not one tensor")
        return self.drop("dropout", output, 0.5)

    def _leave(self) -> None:
        self._inside.pop()

    @property
    def _place(self) -> str:
        return self._inside[-1] if self._inside else ""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Runs the function, or what the noise makes of it."""
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if name == "native_dropout":
            output = self._called("dropout", args, kwargs)
            kept = self.noise.drawn[-1][1] if self.noise and self.noise.acting else torch.ones(output.shape)
            return output, kept.to(output.device) > 0
        if name.rstrip("_") in KINDS:
            output = self._called(name.rstrip("_"), args, kwargs)
            in_place = name.endswith("_") or kwargs.get("inplace", args[3] if len(args) > 3 else False)
            given = args[0] if args else kwargs["input"]
            return given.copy_(output) if in_place and output is not given else output
        output = func(*args, **kwargs)
        if name.rstrip("_") in _DRAWS and kwargs.get("generator") is None and self._drawing.intersection(self._inside):
            return self._redrawn(output)
        return output

    def _called(self, kind: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Tensor:
        given = args[0] if args else kwargs["input"]
        p = args[1] if len(args) > 1 else kwargs.get("p", 0.5)
        default = "alpha" not in kind
        on = bool(args[2] if len(args) > 2 else kwargs.get("training", kwargs.get("train", default)))
        self.always_on |= on and self.noise is None
        return self.drop(kind, given, p)

    def drop(self, kind: str, given: Tensor, p: float) -> Tensor:
        """What dropout makes of a tensor: kept · given / (1 − p), or the alpha variant's affine map of it."""
        noise = self.noise
        if noise is None or not noise.acting:
            return given
        if isinstance(noise, Poison):
            return torch.full_like(given, torch.nan)
        p = p if noise.p is None else noise.p
        shape = _mask_shape(kind, given.shape)
        # The numbers drawn do not depend on p, so that a higher p drops the same units and more.
        kept = noise.mask(self._place, shape, lambda generator: (torch.rand(shape, generator=generator) >= p).float())
        kept = kept.to(given)
        if "alpha" not in kind:
            return given * (kept / (1 - p) if p < 1 else kept)
        scale = ((_SELU**2 * p + 1) * (1 - p)) ** -0.5 if p < 1 else 0.0
        return given * (kept * scale) + ((kept - 1) * (_SELU * scale) + _SELU * scale * p)

    def _redrawn(self, output: Tensor) -> Tensor:
        """Random numbers of a module that acts: noted, or those noted before in their place."""
        noise = self.noise
        if noise is None or not noise.acting:
            return output
        if isinstance(noise, Poison):
            return output.fill_(torch.nan)
        numbers = output.detach().cpu().clone()[None]
        return output.copy_(noise.mask(self._place, numbers.shape, lambda generator: numbers, binary=False)[0])


def unheeded(module: nn.Module) -> dict[str, str]:
    """By name, the parts whose dropout is out of reach, since it runs inside a fused function, with a sentence."""
    found = {}
    for name, part in module.named_modules():
        if isinstance(part, torch.jit.ScriptModule):
            if "Dropout" in part.original_name:
                found[name] = f"The dropout {name!r} runs inside TorchScript and stays off."
        elif isinstance(part, nn.MultiheadAttention | nn.RNNBase) and part.dropout:
            kind = type(part).__name__
            found[name] = (
                f"The dropout of {part.dropout:g} inside {name!r} ({kind}) stays off: active= can switch it on."
            )
    return found


def _mask_shape(kind: str, shape: Sequence[int]) -> tuple[int, ...]:
    """One number for each element, each channel or the whole row, as PyTorch counts them."""
    dim = len(shape)
    if kind in ("dropout", "alpha_dropout"):
        return tuple(shape)
    if kind == "branch" or (kind, dim) in (("dropout1d", 2), ("dropout3d", 4)):  # these two: no batch
        return (shape[0], *[1] * (dim - 1))
    return (*shape[:2], *[1] * (dim - 2))
