"""Where the benches run, `NBVIS_DEVICE` or the CPU, and what they measure with there."""

import os
import time

import torch

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
