"""Tensor functions that draw random numbers, and modes within which they draw from a deal, not from torch's own."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload, OpOverloadPacket
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from .checkpoints import in_checkpoint
from .random_state import TURN, Deal, Refusal, own_generator


class Draws(TorchFunctionMode):
    """Within it, tensor functions of this thread draw from the block's random numbers and not from torch's own.

    Args:
        deal: the random numbers.
        always: whether to watch each operation, not only the tensor functions known to draw: it costs a tenth of a
            pass, and only code that hides its tensor functions (TorchScript) needs it.
    """

    def __init__(self, deal: Deal, always: bool = False):
        super().__init__()
        self._dealing = _Dealing(deal, torch.is_grad_enabled())
        self._always = always

    def __enter__(self) -> Any:
        """Begins."""
        if self._always:
            self._dealing.__enter__()
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        """Ends."""
        super().__exit__(*error)
        if self._always:
            self._dealing.__exit__(*error)

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Runs the function."""
        kwargs = kwargs or {}
        # What draws from a generator of its own is not watched: PyTorch's first dispatch mode loads its whole compiler.
        if not self._always and may_draw(func) and kwargs.get("generator") is None:
            with self._dealing:
                return func(*args, **kwargs)
        return func(*args, **kwargs)


def may_draw(func: Any) -> bool:
    """Whether a tensor function is one of those that draw random numbers, or none that we know."""
    return getattr(func, "__name__", "") in DRAWING or isinstance(func, OpOverload | OpOverloadPacket)


DRAWING = frozenset(
    "rand rand_like randn randn_like randint randint_like randperm normal normal_ uniform_ random_ bernoulli "
    "bernoulli_ binomial poisson multinomial cauchy_ exponential_ geometric_ log_normal_ gumbel_softmax dropout "
    "dropout_ dropout1d dropout2d dropout3d alpha_dropout alpha_dropout_ feature_dropout feature_dropout_ "
    "feature_alpha_dropout feature_alpha_dropout_ native_dropout rrelu rrelu_ scaled_dot_product_attention "
    "multi_head_attention_forward lstm gru rnn_tanh rnn_relu fractional_max_pool2d "
    "fractional_max_pool2d_with_indices fractional_max_pool3d fractional_max_pool3d_with_indices trunc_normal_ "
    "xavier_uniform_ xavier_normal_ kaiming_uniform_ kaiming_normal_ orthogonal_ sparse_ svd_lowrank pca_lowrank "
    "lobpcg _standard_gamma _sample_dirichlet _fused_dropout".split()
)
"""The tensor functions that draw random numbers, by name."""


class _Dealing(TorchDispatchMode):
    """Within it, each operation that would draw from torch's own random numbers draws from the deal's."""

    def __init__(self, deal: Deal, graph: bool):
        super().__init__()
        self._deal, self._graph = deal, graph

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Runs the operation."""
        kwargs = dict(kwargs or {})
        if torch.Tag.nondeterministic_seeded not in func.tags:
            return func(*args, **kwargs)
        names = [argument.name for argument in func._schema.arguments]
        given = {argument.name: argument.default_value for argument in func._schema.arguments}
        given |= dict(zip(names, args, strict=False)) | kwargs
        device = _device(given)
        if given.get("generator") is not None or given.get("train", given.get("training")) is False:
            return func(*args, **kwargs)
        if device.type == "meta" or given.get("dropout_p", given.get("dropout")) == 0:
            return func(*args, **kwargs)
        dealt = _with_generator(func, names)
        if dealt is None and func.has_kernel_for_dispatch_key(torch._C.DispatchKey.CompositeImplicitAutograd):
            with self:
                return func.decompose(*args, **kwargs)
        self._deal.drew[0] = True
        if self._deal.borrows:
            return func(*args, **kwargs)
        if self._graph and in_checkpoint():
            raise Recomputed
        generator = self._deal.generator(device)
        if dealt is not None:
            args = args[: names.index("generator")] if "generator" in names else args
            return dealt(*args, **(kwargs | {"generator": generator}))
        if func is torch.ops.aten.native_dropout.default:
            return _native_dropout(*args, generator=generator)
        with TURN:  # nothing can be dealt to this one
            own = own_generator(device)
            before = own.get_state()
            own.set_state(generator.get_state())
            try:
                return func(*args, **kwargs)
            finally:
                generator.set_state(own.get_state())
                own.set_state(before)


class Recomputed(Refusal):
    """Random numbers drawn in a checkpoint, which draws them again in the backward pass, from torch's own generator."""


_dealt: dict[Any, Any] = {}


def _with_generator(func: Any, names: Collection[str]) -> Any:
    """The operation as it takes a generator, None if there is none."""
    if func not in _dealt:
        packet = func.overloadpacket
        found = [func] if "generator" in names else [getattr(packet, each) for each in packet.overloads()]
        takes = [(each, {argument.name for argument in each._schema.arguments}) for each in found]
        _dealt[func] = next((each for each, wanted in takes if wanted == {*names, "generator"}), None)
    return _dealt[func]


def _native_dropout(given: Tensor, p: float, train: bool | None, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    kept = torch.empty_like(given, dtype=torch.bool).bernoulli_(1 - p, generator=generator)
    return given * kept * (1 / (1 - p) if p < 1 else 0.0), kept


def _device(given: Mapping[str, Any]) -> torch.device:
    device = next((each.device for each in given.values() if isinstance(each, Tensor)), given.get("device"))
    device = torch.device(device or "cpu")
    if device.type == "cuda" and device.index is None:
        return torch.device("cuda", torch.cuda.current_device())
    return device
