"""Images a second, of several processes that share a data set, and the sum that follows for ImageNet on GPUs."""

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from PIL import Image
from torch import nn
from torch.multiprocessing.spawn import spawn

from nbvis.engine import ImageFiles, Statistics, collect

IMAGENET = 1_281_167
BATCH = 16


def files(folder: Path, count: int) -> None:
    """Pictures of the size that ImageNet's mostly have, as JPEG."""
    generator = np.random.default_rng(0)
    for k in range(count):
        coarse = Image.fromarray(generator.integers(0, 256, (25, 33, 3), dtype=np.uint8))
        coarse.resize((500, 375), Image.Resampling.BICUBIC).save(folder / f"{k:05}.jpg", quality=90)


def rates(network: Callable[[], tuple[nn.Module, list[str]]], processes: int, each: int) -> dict[str, float]:
    """Images a second that so many processes load, put through the bare pass, and collect the statistics of, together.

    Each has one thread and as many images; a rate is of the slowest's time on the wall. What is collected is loaded
    and passed too, one after the other, and merged at the end.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "images").mkdir()
        files(folder / "images", each * processes)
        spawn(_process, (processes, name, network), processes)
        return json.loads((folder / "rates.json").read_text())


def _process(rank: int, processes: int, name: str, network: Callable[[], tuple[nn.Module, list[str]]]) -> None:
    torch.set_num_threads(1)
    folder = Path(name)
    dist.init_process_group("gloo", f"file://{folder / 'meeting'}", rank=rank, world_size=processes)
    module, names = network()
    data, shard = ImageFiles(folder / "images", size=(224, 224)), (rank, processes)
    loaded = [batch.images for batch in data.batches(BATCH, shard=shard)]

    def passes() -> None:
        with torch.no_grad():
            for images in loaded:
                module(images)

    def collected() -> None:
        found = collect(module, data.batches(BATCH, shard=shard), names, correlation=False)
        everybodys: list[Statistics | None] = [None] * processes
        dist.gather_object(found, everybodys if rank == 0 else None)
        if rank == 0:
            whole = found
            for other in everybodys[1:]:
                assert other is not None
                whole = whole.merge(other)
            assert whole.images == len(data)

    found = {
        "loading": _seconds(lambda: list(data.batches(BATCH, shard=shard))),
        "bare": _seconds(passes),
        "collect": _seconds(collected),
    }
    if rank == 0:
        (folder / "rates.json").write_text(json.dumps({way: len(data) / took for way, took in found.items()}))
    dist.destroy_process_group()


def _seconds(run: Callable[[], object]) -> float:
    dist.barrier()
    start = time.perf_counter()
    run()
    dist.barrier()
    return time.perf_counter() - start


def imagenet(ratio: float, passes: float, loads: float, workers: int, gpus: int) -> tuple[float, str]:
    """Hours for ImageNet, and the sum.

    Args:
        ratio: time with statistics over that of the bare pass.
        passes: images a second of the bare pass on one GPU.
        loads: images a second that one worker loads.
        workers: for each GPU; they read ahead, so the slower of the two sets the pace.
        gpus: which share the data set.
    """
    pace = min(passes / ratio, loads * workers) * gpus
    slower = "the pass" if passes / ratio < loads * workers else "loading"
    hours = IMAGENET / pace / 3600
    return hours, (
        f"{gpus} GPU{'s' * (gpus > 1)}: min({passes:.0f} / {ratio:.2f}, {workers} × {loads:.0f}) × {gpus} = {pace:.0f} "
        f"images a second, {slower} sets the pace; {IMAGENET:,} / {pace:.0f} = {hours * 60:.0f} minutes"
    )
