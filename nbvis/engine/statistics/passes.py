"""A pass of a network, during which what its layers give is taken."""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ..network.forward_hooks import one_pass
from ..network.network import Network
from ..network.pass_errors import explained


def taking(
    network: Network,
    twin: nn.Module,
    images: Tensor,
    calls: Mapping[str, int],
    turns: Mapping[str, int],
    take: Callable[[str, Tensor], None],
) -> dict[str, int]:
    """Runs one pass and has the layers' outputs taken on the way; an error in that is not reported as the network's.

    Args:
        network: whose pass.
        twin: its private copy, which runs.
        images: (batch, channels, height, width) in [0, 1].
        calls: after how often each layer answered the pass may end.
        turns: at which of its calls a layer is taken.
        take: takes a layer's output, by name.

    Returns:
        How often each layer was called.

    Raises:
        RuntimeError: if the network does not run on the images; its own error is attached.
    """
    ran, failed = dict.fromkeys(calls, 0), list[Exception]()

    def see(name: str, output: Tensor) -> None:
        with torch._C.DisableTorchFunction():  # the guard has no business with what is ours
            ran[name] += 1
            if ran[name] == turns[name]:
                try:
                    take(name, output)
                except Exception as error:
                    failed.append(error)
                    raise

    entered = explained(network, images, lambda: network.enter(images))
    try:
        explained(network, images, lambda: one_pass(twin, entered, list(calls), calls, see=see))
    except Exception:
        if not failed:
            raise
    if failed:  # also where the network has swallowed it
        raise failed[0]
    return ran


@contextmanager
def listening(twin: nn.Module, names: Collection[str], said: Callable[[str], None]) -> Iterator[None]:
    """Has each of these layers said, by its name, that runs meanwhile and returns a tensor."""

    def hook(name: str) -> Callable[..., None]:
        def late(module: nn.Module, args: object, output: object) -> None:
            if isinstance(output, Tensor):
                said(name)

        return late

    parts = twin.named_modules() if names else ()
    handles = [part.register_forward_hook(hook(name)) for name, part in parts if name in names]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
