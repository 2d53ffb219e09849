"""What `collect` costs beside the bare forward pass, and beside the naive way; `make bench` prints it.

All convolutions and all calls of all ReLUs of ResNet-18 with random weights, images of 224 × 224 pixels in batches.

- bare: the forward pass alone, module(images).
- naive: hooks that keep every activation, and NumPy's functions on all of them at the end, which is what one would
  write for a few images; it is timed on fewer, since it stores everything, and its memory told for as many as the rest.
- nbvis: `collect`, without correlation; with that of maxima, and of all positions; with histograms over a given range;
  and with moments, zeros and histograms from some positions of each image.

Ratios are of CPU time on one thread, taken in turns, batch by batch, so that a busy machine is as busy for both: of a
batch the median and the quartiles, and of all with what comes before the first one. Memory is what a process of its own
held at most beyond what one that makes the bare pass alone held; that of `collect` does not grow with the images, so a
few batches show it.

Images a second are of time on the wall, at 1, 2 and 3 processes with a thread each, so they need a quiet machine with
as many processors. The sum for ImageNet and ResNet-50 on GPUs is reckoned from what the command line says of them.
"""

import argparse
import resource
import statistics
import subprocess
import sys
import warnings
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.models import resnet18

from nbvis.engine import Network, collecting
from tests.bench.machine import CLOCK, DEVICE, machine, now
from tests.bench.throughput import imagenet, rates

BATCH, NAIVE, POSITIONS = 32, 64, 64
WAYS = {
    "exact": {"correlation": False},
    "with the correlation of maxima": {"correlation": "maxima"},
    "with the correlation of all positions": {"correlation": "positions"},
    "over a given range": {"correlation": False, "range": (-3, 3)},
    f"from {POSITIONS} positions": {"correlation": False, "positions": POSITIONS},
}


def network() -> tuple[nn.Module, list[str]]:
    """ResNet-18 and its convolutions and ReLUs, a call each."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = resnet18().eval().requires_grad_(False).to(DEVICE)
    names = []
    for name, part in module.named_modules():
        if isinstance(part, nn.Conv2d):
            names.append(name)
        elif isinstance(part, nn.ReLU):
            names += [f"{name}:0", f"{name}:1"] if "." in name else [name]
    return module, names


def batches(count: int):
    """Random pictures with large and small structure, which are made as they are asked for."""
    generator = torch.Generator().manual_seed(0)
    for _ in range(0, count, BATCH):
        coarse = torch.rand(BATCH, 3, 14, 14, generator=generator)
        yield nn.functional.interpolate(coarse, 224, mode="bicubic").clamp(0, 1).to(DEVICE)


def ratio(module: nn.Module, names: list[str], options: dict, count: int) -> tuple[list[float], float]:
    """Seconds of each batch over those of the bare pass on it: quartiles, and of the whole."""
    shown: list[Tensor] = []
    start = now()
    steps = collecting(Network(module, device=DEVICE), iter(shown.pop, None), names, **options)
    begun = now() - start

    def passed(images: Tensor) -> None:
        with torch.no_grad():
            module(images)

    def collected(images: Tensor) -> None:
        shown.append(images)
        next(steps)

    seconds: dict[Callable[[Tensor], None], list[float]] = {collected: [], passed: []}
    for index, images in enumerate(batches(count)):
        for way in reversed(seconds) if index % 2 else seconds:  # neither always comes second
            start = now()
            way(images)
            seconds[way].append(now() - start)
    each = [a / b for a, b in zip(seconds[collected][1:], seconds[passed][1:], strict=True)]
    # What comes before (fingerprint, layers, axes, whether pictures may go together) is in the sum.
    whole = (begun + sum(seconds[collected])) / sum(seconds[passed])
    return statistics.quantiles(each, n=4) if len(each) > 1 else each * 3, whole


def stored(module: nn.Module, names: list[str], count: int) -> None:
    """The naive way."""
    found: dict[str, list[np.ndarray]] = {}
    calls: dict[str, int] = {}
    parts = dict(module.named_modules())

    def keep(name: str) -> Callable[..., None]:
        def hook(part: nn.Module, given: object, output: Tensor) -> None:
            call = calls[name] = calls.get(name, -1) + 1
            found.setdefault(f"{name}:{call}", []).append(output.detach().cpu().numpy().copy())

        return hook

    for name in dict.fromkeys(name.partition(":")[0] for name in names):
        parts[name].register_forward_hook(keep(name))
    for images in batches(count):
        calls.clear()
        with torch.no_grad():
            module(images)
    for values in map(np.concatenate, found.values()):
        values.mean((0, 2, 3)), values.std((0, 2, 3)), values.min((0, 2, 3)), values.max((0, 2, 3))
        (values == 0).mean((0, 2, 3))
        np.argsort(-values.max((2, 3)), 0)[:9]
        for channel in range(values.shape[1]):
            np.histogram(values[:, channel], 50)


def naive(module: nn.Module, names: list[str]) -> float:
    """Its time over that of the bare pass."""
    start = now()
    with torch.no_grad():
        for images in batches(NAIVE):
            module(images)
    middle = now()
    stored(module, names, NAIVE)
    return (now() - middle) / (middle - start)


def peak(way: str) -> int:
    """Bytes that a process of its own holds at most."""
    command = [sys.executable, "-m", __spec__.name, "--alone", way]
    found = subprocess.run(command, check=True, capture_output=True, text=True)
    return int(found.stdout.split()[-1])


def alone(way: str) -> None:
    """Runs one way, for its memory."""
    module, names = network()
    if way == "bare":
        for images in batches(NAIVE):
            with torch.no_grad():
                module(images)
    elif way == "naive":
        stored(module, names, NAIVE)
    else:
        for _ in collecting(Network(module, device=DEVICE), batches(3 * BATCH), names, **WAYS[way]):
            pass
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


def costs(count: int) -> float:
    """Prints the ratios and the memory; returns the ratio of the whole, exact."""
    module, names = network()
    print(f"{machine()}, ratios of {CLOCK}; {len(names)} layers, {count} images in batches of {BATCH}")
    print(f"{'':40}{'a batch':>10}{'quartiles':>14}{'all':>8}{'memory beyond the bare pass':>30}", flush=True)
    base, found = peak("bare"), {}
    for way, options in WAYS.items():
        (low, median, high), found[way] = ratio(module, names, options, count)
        spread, memory = f"{low:.2f} – {high:.2f}", (peak(way) - base) / 1e6
        print(f"{way:40}{median:>9.2f}x{spread:>14}{found[way]:>7.2f}x{memory:>27.0f} MB", flush=True)
    beyond = peak("naive") - base
    times = f"{naive(module, names):>7.2f}x"
    print(f"{f'naive, {NAIVE} images':40}{'':>24}{times}{beyond / 1e6:>27.0f} MB")
    print(f"{f'naive, {count} images, reckoned':40}{'':>32}{beyond / 1e6 * count / NAIVE:>27.0f} MB", flush=True)
    return found["exact"]


def main(given: argparse.Namespace) -> None:
    """Prints all."""
    exact = costs(given.images)
    print(f"\nimages a second, ResNet-18 on the CPU, a thread and {given.each} images each, all together")
    print(f"{'processes':40}{'loading':>10}{'bare pass':>12}{'collect':>10}", flush=True)
    loads = 0.0
    for processes in (1, 2, 3):
        found = rates(network, processes, given.each)
        loads = loads or found["loading"]
        print(f"{processes:<40}{found['loading']:>10.1f}{found['bare']:>12.1f}{found['collect']:>10.1f}", flush=True)
    told = given.loads is not None
    print("\nImageNet and ResNet-50, reckoned and not measured. Assumed: images a second of the bare pass on one GPU, ")
    print(f"{given.passes:.0f}; the ratio of ResNet-18 on the CPU, {exact:.2f}; {given.workers} workers for each GPU.")
    print(f"Images a second that a worker loads: {'assumed' if told else 'measured above'}.")
    for gpus in (1, 8):
        print(imagenet(exact, given.passes, given.loads if told else loads, given.workers, gpus)[1])


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=512, help=f"a multiple of {BATCH}, from {2 * BATCH} up")
    parser.add_argument("--each", type=int, default=48, help="images of each process, for images a second")
    parser.add_argument("--passes", type=float, default=1000, help="images a second of the bare pass on one GPU")
    parser.add_argument("--loads", type=float, help="images a second that a worker loads; measured by default")
    parser.add_argument("--workers", type=int, default=8, help="for each GPU")
    parser.add_argument("--alone", help="a way to run once, for its memory")
    given = parser.parse_args()
    if given.images % BATCH or given.images < 2 * BATCH:
        parser.error(f"--images is a multiple of {BATCH}, from {2 * BATCH} up, not {given.images}")
    return given


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    given = arguments()
    alone(given.alone) if given.alone else main(given)
