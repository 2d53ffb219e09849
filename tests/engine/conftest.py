"""What the engine's tests share: the guest's house, and networks small enough to check by hand."""

import os
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import settings
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._device import _device_constructors

import nbvis.engine

# The same examples each time, and no clock: the machine that runs the tests may be busy with something else.
settings.register_profile("steady", derandomize=True, deadline=None, database=None)
settings.load_profile("steady")

HOOKS = (
    "_forward_hooks",
    "_forward_pre_hooks",
    "_backward_hooks",
    "_backward_pre_hooks",
    "_forward_hooks_with_kwargs",
    "_forward_pre_hooks_with_kwargs",
    "_forward_hooks_always_called",
    "_state_dict_hooks",
    "_load_state_dict_pre_hooks",
)


def _inventory(module: nn.Module) -> dict[str, Any]:
    """Everything of a module that a guest must leave as it was; tensors as copies."""
    found: dict[str, Any] = {}
    for name, part in module.named_modules(remove_duplicate=False):
        found[f"{name} is"] = id(part)
        found[f"{name} training"] = part.training
        found[f"{name} names"] = sorted(vars(part))
        for kind in HOOKS:
            found[f"{name} {kind}"] = {k: id(v) for k, v in getattr(part, kind, {}).items()}
        tensors = {
            **part._parameters,
            **part._buffers,
            **{k: v for k, v in vars(part).items() if isinstance(v, Tensor)},
        }
        for key, tensor in tensors.items():
            if tensor is not None:
                grad = None if not tensor.is_leaf or tensor.grad is None else tensor.grad.clone()
                found[f"{name} {key}"] = (id(tensor), tensor.data_ptr(), tensor.requires_grad, tensor.is_leaf)
                found[f"{name} {key} value"] = tensor.detach().clone()
                found[f"{name} {key} grad"] = grad
    return found


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    return bool(a == b)


def _surroundings() -> dict[str, Any]:
    return {
        "torch's random state": torch.get_rng_state(),
        "the device's random state": torch.cuda.get_rng_state(DEVICE) if DEVICE.type == "cuda" else None,
        "numpy's random state": str(np.random.get_state()),
        "python's random state": random.getstate(),
        "grad mode": torch.is_grad_enabled(),
        "inference mode": torch.is_inference_mode_enabled(),
        "default dtype": torch.get_default_dtype(),
        "function modes": torch._C._len_torch_function_stack(),
    }


def _chosen() -> torch.device:
    """`NBVIS_DEVICE`, or the CPU: also where the device has no double precision, which most comparisons are made in."""
    device = torch.device(os.environ.get("NBVIS_DEVICE", "cpu"))
    return torch.device("cpu") if device.type == "mps" else device


DEVICE = _chosen()


class MadeByTests(TorchFunctionMode):
    """Within it, tensors that a test makes lie on a device; those of the engine lie where the engine puts them.

    So a tensor that the engine makes and forgets to move meets one elsewhere, and the test fails.
    """

    def __init__(self, device: torch.device):
        super().__init__()
        self.device = device

    def __torch_function__(self, func, types, args=(), kwargs=None):
        """Runs the function."""
        kwargs = dict(kwargs or {})
        if func not in _device_constructors() or kwargs.get("device") is not None or not _a_test_asks():
            return func(*args, **kwargs)
        if kwargs.get("generator") is not None:
            return func(*args, **kwargs).to(self.device)
        return func(*args, **kwargs | {"device": self.device})


def _a_test_asks() -> bool:
    frame = sys._getframe(2)
    while frame is not None and not frame.f_code.co_filename.startswith((TESTS, ENGINE)):
        frame = frame.f_back
    return frame is not None and frame.f_code.co_filename.startswith(TESTS)


TESTS, ENGINE = (str(Path(file).resolve().parent) + os.sep for file in (__file__, nbvis.engine.__file__))


def pytest_configure() -> None:
    """Has the tests' tensors, and networks of device "auto", lie on the device."""
    nbvis.engine.network.network._best_device = lambda: DEVICE
    if DEVICE.type != "cpu":
        torch.backends.cudnn.allow_tf32, torch.backends.cudnn.deterministic = False, True
        MadeByTests(DEVICE).__enter__()  # for all there is: modules of tests make tensors as they are imported


@pytest.fixture(scope="session")
def device() -> torch.device:
    """Where the tests run: the CPU, or what NBVIS_DEVICE says (see `make gpu`)."""
    return DEVICE


@pytest.fixture
def house():
    """A context manager: whatever happens inside it, module and surroundings are the same afterwards."""

    @contextmanager
    def unchanged(module: nn.Module) -> Iterator[None]:
        before, around = _inventory(module), _surroundings()
        yield
        after = _inventory(module)
        assert list(before) == list(after)
        changed = [key for key in before if not _same(before[key], after[key])]
        assert not changed
        now = _surroundings()
        assert not [key for key in around if not _same(around[key], now[key])]

    return unchanged


@pytest.fixture
def calls():
    """Attaches a counter to every layer of a module: {name: calls}, by forward hooks of the user's own."""

    def attach(module: nn.Module) -> dict[str, int]:
        counts = {name: 0 for name, _ in module.named_modules()}

        def count(name):
            def hook(*_):
                counts[name] += 1

            return hook

        for name, part in module.named_modules():
            part.register_forward_hook(count(name))
        return counts

    return attach


@pytest.fixture
def convnet(device):
    """A seeded network of the usual parts in float64: conv, batch norm with lived-in statistics, ReLU, pool, head."""

    def build(channels: int = 3, classes: int = 5, dtype: torch.dtype = torch.float64, seed: int = 0) -> nn.Sequential:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            net = nn.Sequential(
                nn.Conv2d(channels, 6, 3, padding=1, bias=False),
                nn.BatchNorm2d(6),
                nn.ReLU(inplace=True),
                nn.Conv2d(6, 8, 3, stride=2, padding=1),
                nn.BatchNorm2d(8),
                nn.ReLU(),
                nn.AdaptiveAvgPool2d(1),
                nn.Flatten(),
                nn.Linear(8, classes),
            )
            for part in net:
                if isinstance(part, nn.BatchNorm2d):
                    assert part.running_mean is not None and part.running_var is not None
                    part.running_mean.normal_(std=0.3)
                    part.running_var.uniform_(0.5, 2)
                    nn.init.uniform_(part.weight, 0.5, 1.5)
                    nn.init.normal_(part.bias, std=0.3)
        return net.to(device, dtype).eval()

    return build


@pytest.fixture
def pictures(device):
    """Seeded images in the middle of [0, 1], float64."""

    def make(*shape: int, seed: int = 0, low: float = 0.2, high: float = 0.8) -> Tensor:
        draws = torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64, device="cpu")
        return (low + (high - low) * draws).to(device)

    return make
