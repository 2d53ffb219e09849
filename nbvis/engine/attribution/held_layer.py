"""A layer held in a forward pass: the graph is cut there, and other values can be put in its place."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ..network.checkpoints import in_checkpoint
from ..network.layer_names import LayerError, address, named
from ..network.pass_errors import one_tensor
from ..tracing.trace import Trace


@contextmanager
def held(
    module: nn.Module, name: str, values: Tensor | None, call: int | None, precision: torch.dtype, trace: Trace | None
) -> Iterator[list[tuple[int, Tensor]]]:
    """Cuts the graph at a layer: yields a list of (call, what it gave), and puts `values` there instead if given.

    A bare name means the last call, which only a first run can tell; later runs say it as `call`.
    """
    place, addressed = address(name, named(module))
    wanted = addressed if addressed is not None else call
    met: list[tuple[int, Tensor]] = []
    calls = 0

    def hook(part: nn.Module, args: tuple[object, ...], output: object) -> Tensor | None:
        nonlocal calls
        calls += 1
        if wanted is not None and calls != wanted + 1:
            return None
        output = one_tensor(place, part, output)
        if in_checkpoint():
            raise LayerError(
                f"layer {place!r} runs inside torch.utils.checkpoint, which runs it once more for the backward pass, "
                "so that no gradient can be taken there: take a layer outside of it, or switch checkpointing off"
            )
        leaf = (output if values is None else values).detach().to(precision).requires_grad_(torch.is_grad_enabled())
        if trace is not None:
            trace.take(leaf, output, args)
        met[:] = [(calls - 1, leaf)]
        return leaf.to(output.dtype, copy=True)  # an in-place function that follows may not write into a leaf

    handle = named(module)[place].register_forward_hook(hook)
    try:
        yield met
    finally:
        handle.remove()
