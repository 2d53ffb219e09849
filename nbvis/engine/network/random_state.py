"""The caller's random numbers: whatever a network draws in its forward pass, they are left as they were.

What draws from torch's random numbers is dealt them from a generator of our own, so that nobody who draws meanwhile in
another thread notices.
"""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor


class Refusal(BaseException):
    """Ends a forward pass that may not go on; no `except Exception` on the way may catch it."""


@contextmanager
def unchanged_chance(seed: int | None = None) -> Iterator[list[bool]]:
    """Deals what draws inside the block, in passes of this thread, random numbers of their own.

    Args:
        seed: what they are drawn from; None for those that torch's global generator would give.

    Yields:
        [whether anything drew].
    """
    with dealing(Deal(seed)) as deal:
        yield deal.drew


@contextmanager
def dealing(deal: "Deal | None" = None) -> Iterator["Deal"]:
    """Has passes of this thread draw from the deal; without one, from that of the block around or a new one."""
    if not hasattr(_here, "deals"):
        _here.deals = []
    deals: list[Deal] = _here.deals
    deals.append(deal or (deals[-1] if deals else Deal()))
    try:
        yield deals[-1]
    finally:
        deals.pop()


_here = threading.local()


class Deal:
    """Random numbers for one block: a generator for each device, made when it is first needed.

    Attributes:
        seed: what they begin with; None for the state of torch's own.
        drew: [whether anything drew].
        borrows: whether torch's own generators are ours for the moment.
    """

    def __init__(self, seed: int | None = None):
        self.seed, self.drew, self.borrows = seed, [False], False
        self._generators: dict[torch.device, torch.Generator] = {}

    def generator(self, device: torch.device) -> torch.Generator:
        """The generator for a device."""
        if device not in self._generators:
            made = self._generators[device] = torch.Generator(device)
            if self.seed is None:
                made.set_state(own_generator(device).get_state())
            else:
                made.manual_seed(self.seed)
        return self._generators[device]

    def states(self) -> dict[torch.device, Tensor]:
        """Where it is."""
        return {device: generator.get_state() for device, generator in self._generators.items()}

    def rewind(self, states: Mapping[torch.device, Tensor]) -> None:
        """Goes back to where it was."""
        self._generators = {device: self._generators[device] for device in states}
        for device, state in states.items():
            self._generators[device].set_state(state)


TURN = threading.RLock()
"""For whoever moves a random stream of the whole process."""


def own_generator(device: torch.device) -> torch.Generator:
    """Torch's own generator for a device."""
    if device.type == "cuda":
        torch.cuda.init()
        return torch.cuda.default_generators[device.index]
    return torch.mps._get_default_mps_generator() if device.type == "mps" else torch.default_generator
