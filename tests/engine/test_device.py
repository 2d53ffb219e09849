"""The device of the tests: what they make lies there, and what the engine makes lies where the engine puts it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from nbvis.engine import Fourier, Network, activations

ROOT = Path(__file__).parents[2]


@pytest.fixture
def elsewhere(request):
    """The mode that `make gpu` runs in, for a device that every machine has."""
    (conftest,) = [p for p in request.config.pluginmanager.get_plugins() if hasattr(p, "MadeByTests")]
    with conftest.MadeByTests(torch.device("meta")):
        yield


def test_what_a_test_makes_lies_on_the_device(elsewhere):
    assert torch.rand(2).is_meta and nn.Conv2d(1, 1, 3).weight.is_meta
    assert torch.rand(2, generator=torch.Generator()).is_meta
    assert not torch.rand(2, device="cpu").is_meta


def test_what_the_engine_makes_does_not_so_that_what_it_forgets_to_move_is_noticed(elsewhere):
    assert not Fourier(4, 4).values.is_meta


def test_the_fixtures_and_networks_lie_on_the_device(device, convnet, pictures):
    net, images = convnet(), pictures(1, 3, 8, 8)
    assert next(net.parameters()).device.type == images.device.type == device.type
    assert Network(net).device.type == device.type
    assert activations(net, images, ["0"])["0"].device.type == device.type


def gpu(python: Path) -> subprocess.CompletedProcess[str]:
    """`make gpu` by a Python, on a machine that hides its CUDA devices."""
    hidden = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    command = ["make", "gpu", f"BIN={python.parent}", "-o", ".venv/test"]
    return subprocess.run(command, cwd=ROOT, env=hidden, capture_output=True, text=True, check=False)


def test_without_cuda_make_gpu_says_so_plainly(tmp_path):
    found = gpu(Path(sys.executable))
    assert found.returncode == 0, found.stderr
    assert "There is no CUDA device here, so nothing was run on one." in found.stdout
    assert gpu(tmp_path / "python").returncode != 0  # no Python is not the same as no device
