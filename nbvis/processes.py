"""Processes that share one piece of work, as `torchrun` starts them: who they are, and what they tell each other."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor

from nbvis.engine import Statistics

_PATIENCE = timedelta(days=1)
"""How long a process that is done waits for the others; `torchrun` ends all of them once one has died."""


@dataclass(frozen=True)
class Processes:
    """The processes of one run.

    Attributes:
        rank: which of them this one is, from 0.
        count: how many there are.
        device: where this one computes; "auto" if it was not told and there is one process.
    """

    rank: int
    count: int
    device: str

    def either(self, marks: Tensor) -> Tensor:
        """Which are marked in any process, of marks (length,) of the same length."""
        if self.count == 1:
            return marks
        found = marks.to(self._wire, torch.uint8)
        dist.all_reduce(found, dist.ReduceOp.MAX)
        return found.cpu().bool()

    def wait(self) -> None:
        """Returns once all have come here."""
        self.either(torch.zeros(1, dtype=torch.bool))

    def merged(self, statistics: Statistics) -> Statistics | None:
        """The statistics of all, in process 0; None in the others. They are sent one after another."""
        if self.rank:
            self._send(statistics)
            return None
        for rank in range(1, self.count):
            statistics = statistics.merge(self._received(rank))
        return statistics

    @property
    def _wire(self) -> torch.device:
        return torch.device(self.device if dist.get_backend() == "nccl" else "cpu")

    def _send(self, statistics: Statistics) -> None:
        with tempfile.TemporaryDirectory() as folder:
            statistics.save(Path(folder) / "statistics")
            content = bytearray((Path(folder) / "statistics").read_bytes())
        dist.send(torch.tensor([len(content)], device=self._wire), 0)
        dist.send(torch.frombuffer(content, dtype=torch.uint8).to(self._wire), 0)

    def _received(self, rank: int) -> Statistics:
        length = torch.zeros(1, dtype=torch.int64, device=self._wire)
        dist.recv(length, rank)
        content = torch.empty(int(length), dtype=torch.uint8, device=self._wire)
        dist.recv(content, rank)
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "statistics").write_bytes(content.cpu().numpy().tobytes())
            return Statistics.load(Path(folder) / "statistics")


@contextmanager
def joined(device: str) -> Iterator[Processes]:
    """Joins the processes that `torchrun` has started, or is the only one; they have parted when the block ends.

    Args:
        device: "auto", or what `torch.device` takes; "auto" and "cuda" are a GPU for each process of a machine, which
            then talk through NCCL, otherwise through Gloo.
    """
    if "WORLD_SIZE" not in os.environ or "RANK" not in os.environ:
        yield Processes(0, 1, device)
        return
    if device in ("auto", "cuda"):
        device = f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if torch.cuda.is_available() else "cpu"
    here = torch.device(device)
    if here.type == "cuda":
        torch.cuda.set_device(here)
    dist.init_process_group(
        "nccl" if here.type == "cuda" else "gloo", timeout=_PATIENCE, device_id=here if here.type == "cuda" else None
    )
    try:
        yield Processes(dist.get_rank(), dist.get_world_size(), device)
    finally:
        dist.destroy_process_group()
