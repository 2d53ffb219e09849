"""What several test files share."""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import torch

from nbvis import demo
from nbvis.engine import Network

torch.set_num_threads(1)  # tiny networks are slower on several, and the same seed gives the same bits on one


@pytest.fixture(scope="session")
def demo_network() -> Network:
    """The embedded network on the CPU; runs never change it, so one is enough."""
    return demo.network("cpu")


@pytest.fixture(scope="session")
def coffee() -> torch.Tensor:
    """The photograph that the embedded network is surest of, at the size it was trained for."""
    return demo.photo("coffee", size=224)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked wheel, built as a release is: from the source distribution, not from the checkout."""
    folder = tmp_path_factory.mktemp("wheel")

    def build(source: Path, kind: str, suffix: str) -> Path:
        command = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(folder)]
        subprocess.run(command, cwd=source, check=True, capture_output=True)
        return next(folder.glob(f"*{suffix}"))

    with tarfile.open(build(Path(__file__).parent.parent, "sdist", ".tar.gz")) as archive:
        archive.extractall(folder, filter="data")
    with zipfile.ZipFile(build(next(folder.glob("nbvis-*/")), "wheel", ".whl")) as archive:
        archive.extractall(folder / "unpacked")
    return folder / "unpacked"
