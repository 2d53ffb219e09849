"""Where the benches run, `NBVIS_DEVICE` or the CPU, and what they measure with there."""

import ctypes
import gc
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

_MMAP_THRESHOLD = -3
"""As in malloc.h: larger blocks get pages of their own, which go back when they are freed."""

DEVICE = torch.device(os.environ.get("NBVIS_DEVICE", "cpu"))
ON_CPU = DEVICE.type == "cpu"
CLOCK = "CPU time" if ON_CPU else "wall time"
if ON_CPU:
    os.environ["CUDA_VISIBLE_DEVICES"] = ""  # some peers would put their images there, whatever the model is on


def now() -> float:
    """Seconds: of this process on the CPU; on another device those on the wall, once all that it was given is done."""
    if ON_CPU:
        return time.process_time()
    torch.cuda.synchronize(DEVICE)
    return time.perf_counter()


def machine() -> str:
    """The machine, in words."""
    if ON_CPU:
        return f"torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}, 1 thread"
    return f"torch {torch.__version__}, {torch.cuda.get_device_name(DEVICE)}"


def peak(before: Callable[[], object], run: Callable[[], object]) -> float:
    """MiB by which a forked child grows at most; on another device, by which its memory fills at most."""
    if not ON_CPU:
        before()
        gc.collect()
        torch.cuda.reset_peak_memory_stats(DEVICE)
        start = torch.cuda.memory_allocated(DEVICE)
        run()
        return (torch.cuda.max_memory_allocated(DEVICE) - start) / 2**20
    receive, send = os.pipe()
    child = os.fork()
    if not child:
        libc = ctypes.CDLL(None)
        # What glibc keeps for later depends on the order in which things were freed, and varies by a tenth.
        libc.mallopt(_MMAP_THRESHOLD, 1 << 16)
        before()
        gc.collect()
        libc.malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")  # the highest mark starts again at the present size
        start = _status("VmRSS")
        run()
        os.write(send, str((_status("VmHWM") - start) / 1024).encode())
        os._exit(0)
    os.close(send)
    with os.fdopen(receive) as answer:
        found = answer.read()
    os.waitpid(child, 0)
    return float(found)


def runs(name: str, run: Callable[[], object]) -> bool:
    """Whether something runs here; if not, says why. On the CPU a forked child tries, and its memory goes with it."""
    sys.stdout.flush()  # else the child would have to print again what waits there
    child = os.fork() if ON_CPU else 0
    if child:
        return not os.waitpid(child, 0)[1]
    try:
        run()
        worked = True
    except Exception as error:
        print(f"{name} does not run here: {type(error).__name__}: {error}", flush=True)
        worked = False
    if ON_CPU:
        os._exit(not worked)
    return worked


def _status(key: str) -> int:
    """KiB, as Linux tells them of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(key)))
