"""The caller's random numbers: whatever a network draws in its forward pass, they are left as they were."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode


class _Watch(TorchDispatchMode):
    """Within it, notes whether this thread draws from torch's global random state."""

    def __init__(self):
        super().__init__()
        self.drew = [False]

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if torch.Tag.nondeterministic_seeded in func.tags and kwargs.get("generator") is None:
            self.drew[0] = True
        return func(*args, **kwargs)


@contextmanager
def unchanged_chance(device: torch.device, seed: int | None = None) -> Iterator[list[bool]]:
    """Puts torch's global random state back if the block draws from it, and only then; yields [whether it drew].

    It watches the operations of this thread rather than the state itself, which another thread may be drawing from
    meanwhile and which would then be set back under its feet.

    Args:
        device: whose random state it is about, besides the CPU's.
        seed: if given, the block draws from this seed's state.
    """
    cuda = torch.cuda.device(device) if device.type == "cuda" else None
    before = torch.get_rng_state(), torch.cuda.get_rng_state(device) if cuda else None
    if seed is not None:
        # Not torch.manual_seed, which reaches generators whose state is not put back.
        torch.default_generator.manual_seed(seed)
        if cuda:
            with cuda:
                torch.cuda.manual_seed(seed)
    watch = _Watch()
    try:
        with watch:
            yield watch.drew
    finally:
        if watch.drew[0] or seed is not None:
            torch.set_rng_state(before[0])
            if before[1] is not None:
                torch.cuda.set_rng_state(before[1], device)
