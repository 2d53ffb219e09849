"""What a step or a call needed is given back at once: nothing waits, with its pictures, for the garbage collector."""

import gc
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from nbvis.engine import Fourier, Network, activations, activity, ascend, attribute, channel, dream, last, layers


@pytest.fixture(scope="module")
def network() -> Network:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 6, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return Network(net.double().eval(), device="cpu")


@pytest.fixture(scope="module")
def image() -> Tensor:
    return torch.rand(1, 3, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def left(call: Callable[[], object]) -> list[Tensor]:
    """The tensors that a call leaves to the garbage collector."""
    call()  # what is only done once may leave something
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        call()
        gc.collect()
        return [each for each in gc.garbage if isinstance(each, Tensor)]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


def test_a_step_leaves_no_garbage(network: Network, image: Tensor) -> None:
    runs = [
        ascend(network, [channel("2", k) for k in range(3)], Fourier(16, 16, batch=3), steps=5),
        dream(network, activity("2"), image, octaves=1, steps=5),
    ]
    for run in runs:
        next(run)
        assert left(lambda run=run: next(run)) == []


def test_a_call_leaves_no_garbage(network: Network, image: Tensor) -> None:
    calls = [
        lambda: activations(network, image, ["1"]),
        lambda: attribute(network, image, 2, method="gradient"),
        lambda: layers(network, image),
        lambda: last(ascend(network, channel("2", 0), Fourier(16, 16), steps=2)),
    ]
    for call in calls:
        assert left(call) == []
