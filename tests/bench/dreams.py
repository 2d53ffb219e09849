"""Whole dreams: one run, a grid of channels, octaves, beside what others offer; `make bench` prints them.

Contenders, tasks and the way of timing are those of `ascent`; here set-up counts. All take turns, and a figure is the
median over rounds.

- One run: a channel at 224 px without transforms, so that all but horama show the picture itself, once a step. Steps
  per second, and the seconds until the score is 90 % of that which the bare loop has at its last step; "-" for never
  within as many steps.
- A grid: 64 channels of a layer at 128 px, as one batch in nbvis and one after the other elsewhere; so lucent is kept
  from enlarging its pictures. Memory is what a fresh process needs for steps on such a batch beyond one at 32 px.
- Octaves: `dream` beside the loop anyone would write, as no other library that runs has them any more.

On another device than the CPU also networks in bfloat16, and the bare loop on what `torch.compile` makes of the
network; nbvis itself runs a compiled network as it was written.
"""

import statistics
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from nbvis import demo
from nbvis.engine import Fourier, activity, ascend, channel, dream
from tests.bench.ascent import LR, Run, Task, all_tasks, bare_steps, nbvis_steps, print_table, that_run
from tests.bench.machine import CLOCK, DEVICE, ON_CPU, machine, now, peak

STEPS = 48
GRID, SIDE = 64, 128
ROUNDS = 3
Peers = Mapping[str, Callable[[Task, bool], Run]]
Noted = list[tuple[float, float]]
"""Seconds since the start and the score, for each step."""


def main() -> None:
    """Prints the tables."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    torch.manual_seed(0)
    started = time.perf_counter()
    print(f"{machine()}; {CLOCK}")
    tasks = all_tasks()
    peers = that_run(tasks[0])
    late = [task for task in tasks if " late" in task.title]
    middle = [replace(task, channel=0, size=SIDE) for task in tasks if " middle" in task.title]
    # Before anything else runs here, so that a child finds no freed memory to use again.
    memory = [_memory(task, peers) for task in middle]
    for task in late:
        _print_run(task, peers)
    for task, needed in zip(middle, memory, strict=True):
        _print_grid(task, peers, needed)
    _print_octaves(late)
    print(f"\n{time.perf_counter() - started:.0f} s")


def _print_run(task: Task, peers: Peers) -> None:
    runs: dict[str, Callable[[], Noted]] = {
        "nbvis": lambda: _noted(lambda: (step.score for step in nbvis_steps(task.copied(), ()))),
        "nbvis, its defaults": lambda: _noted(lambda: _planned(task.copied())),
        "bare": lambda: _noted(lambda: bare_steps(task.copied(), ())),
    }
    for name, make in peers.items():
        runs[name] = lambda make=make: _noted_inside(make(task.copied(), False))
    if not ON_CPU:
        half = torch.bfloat16
        runs["nbvis, bfloat16"] = lambda: _noted(lambda: (s.score for s in nbvis_steps(task.copied(half), ())))
        runs["bare, bfloat16"] = lambda: _noted(lambda: bare_steps(task.copied(half), ()))
        runs["bare, compiled"] = lambda: _noted(lambda: _compiled(task.copied()))
    found: dict[str, list[Noted]] = {name: [] for name in runs}
    for _ in range(ROUNDS):
        for name, run in runs.items():
            found[name].append(run())
    target = 0.9 * found["bare"][0][-1][1]
    rows = []
    for name, rounds in found.items():
        speed = statistics.median((len(r) - 1) / (r[-1][0] - r[0][0]) for r in rounds)
        reached = [next((seconds for seconds, score in r if score >= target), None) for r in rounds]
        until = "-" if None in reached else f"{statistics.median(filter(None, reached)):.2f} s"
        rows.append([name, f"{speed:.1f}", until, f"{rounds[0][-1][1]:.2f}"])
    print()
    print_table([f"{task.title}, {STEPS} steps", "steps/s", f"to {target:.2f}", "at the end"], rows)


def _noted(start: Callable[[], Iterator[Tensor]]) -> Noted:
    began, found = now(), []
    for _, score in zip(range(STEPS), start(), strict=False):
        found.append((now() - began, score.item()))
    return found


def _noted_inside(run: Run) -> Noted:
    began, found = now(), []
    run(STEPS, lambda score: found.append((now() - began, score.item())))
    return found


def _planned(task: Task) -> Iterator[Tensor]:
    run = ascend(
        task.network, channel(task.layer, task.channel), Fourier(task.size, task.size), steps=STEPS, transforms=()
    )
    return (step.score for step in run)


def _compiled(task: Task) -> Iterator[Tensor]:
    module, image = task.network.module.requires_grad_(False), Fourier(task.size, task.size)
    image = image.holding(image.values.to(DEVICE))
    values, found = image.values.requires_grad_(), []
    optimizer = torch.optim.Adam([values], lr=LR)
    module.get_submodule(task.layer).register_forward_hook(lambda part, args, output: found.append(output))
    fast: Any = torch.compile(module)
    while True:
        optimizer.zero_grad()
        fast(task.network.enter(image.image()))
        score = task.score(found.pop())
        (-score).backward()
        optimizer.step()
        yield score.detach()


def _memory(task: Task, peers: Peers) -> dict[str, float]:
    found = {}
    for name, make in _batched(peers).items():
        small, large = replace(task, size=32, batch=1), replace(task, batch=GRID)
        found[name] = peak(lambda make=make, small=small: make(small), lambda make=make, large=large: make(large))
    return found


def _batched(peers: Peers) -> dict[str, Callable[[Task], object]]:
    """Two steps on the task's batch; not by horama, which makes one picture at a time."""

    def stepped(task: Task, make: Callable[[Task, tuple[()]], Iterator[Any]]) -> object:
        steps = make(task.copied(), ())
        return [next(steps) for _ in range(2)]

    found: dict[str, Callable[[Task], object]] = {
        "nbvis": lambda task: stepped(task, nbvis_steps),
        "bare": lambda task: stepped(task, bare_steps),
    }
    for name, make in peers.items():
        if name != "horama":
            found[name] = lambda task, make=make: make(task.copied(), False)(2, lambda score: None)
    return found


def _print_grid(task: Task, peers: Peers, memory: Mapping[str, float]) -> None:
    batch = nbvis_steps(replace(task, batch=GRID).copied(), ())
    blocks: dict[str, Callable[[], float]] = {"nbvis": lambda: _each(batch, 2) / GRID}
    alone = bare_steps(task.copied(), ())
    blocks["bare"] = lambda: _each(alone, 16)
    for name, make in peers.items():
        run = make(task.copied(), False)
        blocks[name] = lambda run=run: _each_inside(run)
    times: dict[str, list[float]] = {name: [] for name in blocks}
    for _ in range(ROUNDS):
        for name, block in blocks.items():
            times[name].append(block())
    ours = statistics.median(times["nbvis"])
    rows = []
    for name, values in times.items():
        each, needs = statistics.median(values), memory.get(name)
        share = "-" if needs is None else f"{memory['nbvis'] / needs:.2f}"
        size = "-" if needs is None else f"{needs:.0f} MiB"
        rows.append([name, f"{1e3 * each:.1f} ms", f"{each / ours:.2f}", size, share])
    print()
    print_table(
        [f"{task.title}: {GRID} channels, {SIDE} px", "a picture's step", "× nbvis", "as a batch", "nbvis needs of it"],
        rows,
    )


def _each(steps: Iterator[Any], count: int) -> float:
    next(steps)
    began = now()
    for _ in range(count):
        next(steps)
    return (now() - began) / count


def _each_inside(run: Run) -> float:
    times: list[float] = []
    run(18, lambda score: times.append(now()))
    return (times[-1] - times[1]) / 16


def _print_octaves(tasks: list[Task]) -> None:
    rows = []
    for task in tasks:
        for size in (512, 1024):
            photo = demo.photo("coffee", size=size).to(DEVICE)
            times: dict[str, list[float]] = {"nbvis": [], "bare": []}
            for _ in range(ROUNDS):
                for name, make in ("nbvis", _octaves), ("bare", _bare_octaves):
                    began = now()
                    make(task.copied(), photo)
                    times[name].append(now() - began)
            ours, bare = (statistics.median(times[name]) for name in ("nbvis", "bare"))
            rows.append([f"{task.title}, {size} px", f"{ours:.2f} s", f"{bare:.2f} s", f"{bare / ours:.2f}"])
    print()
    print_table(["a dream in 4 octaves of 2 steps", "nbvis", "bare", "× bare"], rows)


def _octaves(task: Task, photo: Tensor) -> Tensor:
    *_, step = dream(task.network, activity(task.layer), photo, octaves=4, steps=2)
    return step.image


def _bare_octaves(task: Task, photo: Tensor) -> Tensor:
    module, found = task.network.module.requires_grad_(False), []
    module.get_submodule(task.layer).register_forward_hook(lambda part, args, output: found.append(output))
    height, width = photo.shape[2:]
    detail = torch.zeros(1)
    image = photo
    for n in range(3, -1, -1):
        size = int(height * 1.4**-n), int(width * 1.4**-n)
        base = F.interpolate(photo, size, mode="bilinear", antialias=True)
        detail = torch.zeros_like(base) if n == 3 else F.interpolate(detail, size, mode="bilinear")
        for _ in range(2):
            down, right = torch.randint(-32, 33, (2,)).tolist()
            image = (base + detail).roll((down, right), (2, 3)).requires_grad_()
            module(task.network.enter(image))
            (gradient,) = torch.autograd.grad(found.pop().square().mean(), image)
            gradient = gradient.roll((-down, -right), (2, 3))
            detail = (base + detail + 0.015 * gradient / gradient.std()).clamp(0, 1) - base
        image = base + detail
    return image


if __name__ == "__main__":
    main()
