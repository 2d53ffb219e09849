"""Random streams of the whole process, torch's, NumPy's and Python's: borrowed for a block and put back after it."""

import random
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

import numpy as np
import torch

from .random_state import TURN, Deal, own_generator


@contextmanager
def borrowed(streams: Collection[str], deal: Deal) -> Iterator[None]:
    """Lets the block draw from random streams of the whole process, and puts them back.

    Nothing tells who draws from these: what another thread draws meanwhile is undone with the rest. Those who use this
    take turns.

    Args:
        streams: any of "torch", "numpy" and "random".
        deal: where they begin.
    """
    if not streams:
        yield
        return
    with TURN:
        undo = [_BORROW[stream](deal) for stream in sorted(streams)]
        try:
            yield
        finally:
            for each in undo:
                each()


def _borrow_numpy(deal: Deal) -> Callable[[], object]:
    before = np.random.get_state()
    if deal.seed is not None:
        np.random.seed(deal.seed % 2**32)
    return lambda: np.random.set_state(before)


def _borrow_random(deal: Deal) -> Callable[[], object]:
    before = random.getstate()
    if deal.seed is not None:
        random.seed(deal.seed)
    return lambda: random.setstate(before)


def _borrow_torch(deal: Deal) -> Callable[[], object]:
    cuda = [torch.device("cuda", k) for k in range(torch.cuda.device_count())] if torch.cuda.is_initialized() else []
    devices = [torch.device("cpu"), *cuda]
    before = [own_generator(device).get_state() for device in devices]
    outer, deal.borrows = deal.borrows, True
    for device in devices:
        if not outer:
            own_generator(device).set_state(deal.generator(device).get_state())

    def undo() -> None:
        deal.borrows = outer
        for device, state in zip(devices, before, strict=True):
            own = own_generator(device)
            if not outer:
                deal.generator(device).set_state(own.get_state())
            own.set_state(state)

    return undo


_BORROW = {"numpy": _borrow_numpy, "random": _borrow_random, "torch": _borrow_torch}
