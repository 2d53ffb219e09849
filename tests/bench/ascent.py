"""Steps per second of `nbvis.engine.ascend`, beside a bare loop and two other libraries; `make bench` prints them.

All do the same work: one 224 px image from Fourier noise, Adam, the mean of one live channel, on ResNet-18 with random
weights and on the embedded network, one thread. A figure is CPU time of the process, because wall time would count what
else the machine does (on another device it is wall time): the median over rounds in which all take turns. Set-up, with
the first step, is told apart.

- bare: the loop anyone would write. Weights frozen, the forward pass ended after the layer by an exception, nothing
  folded, PyTorch's ordinary memory layout. It calls nbvis' own `Fourier` and transforms, so that the two differ in
  nothing but the loop and the network.
- lucent and dreams (torch-lucent, torch-dreams): called as their guides say, with their own noise, optimizer and
  normalisation. They do not freeze the weights and run the whole network.

With transforms each library has its own: lucent's network then sees about 248 px, that of dreams 0.72 of the area on
average, those of nbvis and of the bare loop 224 px.
"""

import copy
import importlib
import statistics
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
import torchvision
from torch import Tensor, nn

from nbvis import demo
from nbvis.engine import STANDARD, Fourier, Network, Transform, activations, ascend, channel
from nbvis.engine.ascent.transforms import apply
from nbvis.engine.network.layers import forward
from nbvis.engine.network.prepared import Prepared
from tests.bench.machine import CLOCK, DEVICE, machine, now

SIZE = 224
LR = 0.05
ROUNDS = 5
STEPS = 2
"""Timed in each round; one more before them warms the caches up again."""

Run = Callable[[int, list[float]], object]
"""Makes some steps with another library and notes the CPU time whenever it asks for the score."""


@dataclass(frozen=True)
class Task:
    """A channel of a layer to climb."""

    title: str
    network: Network
    layer: str
    channel: int

    def copied(self, dtype: torch.dtype = torch.float32) -> "Task":
        """The same with a module of its own, since the other libraries leave hooks and gradients behind."""
        module = copy.deepcopy(self.network.module).to(DEVICE, dtype)
        return replace(self, network=Network(module, preprocess=self.network.preprocess, device=DEVICE))


@dataclass(frozen=True)
class Figures:
    """CPU seconds by contender."""

    step: dict[str, float]
    setup: dict[str, float]


def main() -> None:
    """Prints the tables."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    torch.manual_seed(0)
    started = time.perf_counter()
    print(f"{machine()}, {SIZE} px, batch 1; steps per second of {CLOCK}")
    tasks = _tasks()
    peers = _that_run(tasks[0])
    for title, transforms in ("without transforms", ()), ("with own transforms", STANDARD):
        _print_speed(title, tasks, [_measured(task, peers, transforms) for task in tasks])
    print("\nThe network alone, forward and backward: speed of the prepared copy relative to the plain one.")
    rows = [[task.title, *(f"{_network_alone(task, batch):.2f}" for batch in (1, 8))] for task in tasks]
    _print_table(["", "batch 1", "batch 8"], rows)
    print("\nLargest difference of the prepared network from the plain one, relative to the largest value. In single")
    print("precision a unit at the kink of its ReLU may fall on the other side, and its gradient is then another one.")
    rows = [
        [task.title, *(f"{d:.0e}" for d in (*_differences(task), *_differences(task.copied(torch.float64))))]
        for task in tasks
    ]
    _print_table(["", "activation", "gradient", "activation, double", "gradient, double"], rows)
    print(f"\n{time.perf_counter() - started:.0f} s")


def _tasks() -> list[Task]:
    mean, spread = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]], device=DEVICE)
    resnet = Network(
        torchvision.models.resnet18(weights=None).eval(),
        preprocess=lambda images: (images - mean.view(3, 1, 1)) / spread.view(3, 1, 1),
        device=DEVICE,
    )
    tasks = []
    for name, network, layers in (
        ("ResNet-18", resnet, {"early": "layer1.0", "middle": "layer3.0", "late": "layer4.1"}),
        ("Lite0", demo.network(DEVICE), {"early": "_blocks.2", "middle": "_blocks.8", "late": "_blocks.15"}),
    ):
        found = activations(network, Fourier(SIZE, SIZE).image(), list(layers.values()))
        for depth, layer in layers.items():
            # A dead channel would cost nbvis a second, redirected pass and give the others no gradient at all.
            liveliest = int(found[layer].mean((0, 2, 3)).argmax())
            tasks.append(Task(f"{name} {depth}, {layer}", network, layer, liveliest))
    return tasks


def _measured(
    task: Task, peers: Mapping[str, Callable[[Task, bool], Run]], transforms: tuple[Transform, ...]
) -> Figures:
    setup: dict[str, float] = {}
    blocks: dict[str, Callable[[], float]] = {}
    for name, make in ("nbvis", _nbvis), ("bare", _bare):
        before = now()
        steps = make(task.copied(), transforms)
        next(steps)
        setup[name] = now() - before
        blocks[name] = lambda steps=steps: _timed(steps)
    for name, make in peers.items():
        run = make(task.copied(), bool(transforms))
        setup[name] = _noted(run, 1)[1]
        blocks[name] = lambda run=run: _timed_inside(run)
    times: dict[str, list[float]] = {name: [] for name in blocks}
    for _ in range(ROUNDS):
        for name, block in blocks.items():
            times[name].append(block())
    return Figures({name: statistics.median(values) for name, values in times.items()}, setup)


def _timed(steps: Iterator[Any]) -> float:
    next(steps)
    before = now()
    for _ in range(STEPS):
        next(steps)
    return (now() - before) / STEPS


def _timed_inside(run: Run) -> float:
    times, _ = _noted(run, STEPS + 2)
    return (times[-1] - times[1]) / STEPS


def _noted(run: Run, steps: int) -> tuple[list[float], float]:
    before, times = now(), []
    run(steps, times)
    return times, now() - before


def _nbvis(task: Task, transforms: tuple[Transform, ...]) -> Iterator[Any]:
    objective, image = channel(task.layer, task.channel), Fourier(SIZE, SIZE)
    return ascend(task.network, objective, image, steps=10_000, lr=LR, optimizer="adam", transforms=transforms)


def _bare(task: Task, transforms: tuple[Transform, ...]) -> Iterator[None]:
    module, image = task.network.module.requires_grad_(False), Fourier(SIZE, SIZE)
    image = image.holding(image.values.to(DEVICE))
    values = image.values.requires_grad_()
    optimizer = torch.optim.Adam([values], lr=LR)
    generator, found = torch.Generator(), []

    def keep(part: nn.Module, args: Any, output: Tensor) -> None:
        found[:] = [output]
        raise _DoneError

    module.get_submodule(task.layer).register_forward_hook(keep)
    while True:
        optimizer.zero_grad()
        try:
            module(task.network.enter(apply(transforms, image.image(), generator)))
        except _DoneError:
            pass
        (-found[0][:, task.channel].mean()).backward()
        optimizer.step()
        yield


class _DoneError(Exception):
    """Ends a forward pass."""


def _lucent(task: Task, transforms: bool) -> Run:
    param, render = importlib.import_module("lucent.optvis.param"), importlib.import_module("lucent.optvis.render")
    layer = task.layer.replace(".", "_")

    def run(steps: int, times: list[float]) -> object:
        def objective(hook: Callable[[str], Tensor]) -> Tensor:
            times.append(now())
            return -hook(layer)[:, task.channel].mean()

        return render.render_vis(
            task.network.module,
            objective,
            lambda: param.image(SIZE),
            transforms=None if transforms else [],
            thresholds=(steps,),
            progress=False,
            show_image=False,
        )

    return run


def _dreams(task: Task, transforms: bool) -> Run:
    module = task.network.module
    dreamer = importlib.import_module("torch_dreams").Dreamer(module, quiet=True, device=DEVICE)
    if not transforms:
        dreamer.set_custom_transforms(nn.Identity())

    def run(steps: int, times: list[float]) -> object:
        def objective(outputs: list[Tensor]) -> Tensor:
            times.append(now())
            return -outputs[0][:, task.channel].mean()

        layers = [module.get_submodule(task.layer)]
        return dreamer.render(layers=layers, width=SIZE, height=SIZE, iters=steps, custom_func=objective)

    return run


def _that_run(task: Task) -> dict[str, Callable[[Task, bool], Run]]:
    """The other libraries that still run; says of those that do not why."""
    found = {}
    for name, make in ("lucent", _lucent), ("dreams", _dreams):
        try:
            for transforms in (False, True):
                make(task.copied(), transforms)(1, [])
            found[name] = make
        except Exception as error:
            print(f"torch-{name} does not run here: {type(error).__name__}: {error}")
    return found


def _plain(task: Task) -> Callable[[Tensor], dict[str, Tensor]]:
    twin = task.network.twin()
    return lambda images: forward(twin, task.network.enter(images), [task.layer], {task.layer: 1})


def _network_alone(task: Task, batch: int) -> float:
    images = Fourier(SIZE, SIZE, batch=batch).image().to(DEVICE)
    runs = Prepared(task.network, [task.layer], images), _plain(task)

    times: tuple[list[float], list[float]] = [], []
    for _ in range(ROUNDS):
        for run, noted in zip(runs, times, strict=True):
            leaf = images.clone().requires_grad_()
            before = now()
            torch.autograd.grad(run(leaf)[task.layer][:, task.channel].mean(), leaf)
            noted.append(now() - before)
    return statistics.median(times[1]) / statistics.median(times[0])


def _differences(task: Task) -> list[float]:
    """Of the activation and of the gradient at the image."""
    image = Fourier(SIZE, SIZE, sd=1.0).image().to(DEVICE, task.network.dtype)
    found: list[list[Tensor]] = []

    for run in Prepared(task.network, [task.layer], image), _plain(task):
        leaf = image.clone().requires_grad_()
        activation = run(leaf)[task.layer]
        (gradient,) = torch.autograd.grad(activation[:, task.channel].mean(), leaf)
        found.append([activation.detach(), gradient])
    return [((a - b).abs().max() / b.abs().max()).item() for a, b in zip(*found, strict=True)]


def _print_speed(title: str, tasks: list[Task], figures: list[Figures]) -> None:
    names = list(figures[0].step)
    others = names[1:]
    head = [title, *names, *(f"× {name}" for name in others), *(f"set-up {name}" for name in ("nbvis", "bare"))]
    rows = [
        [
            task.title,
            *(f"{1 / f.step[name]:.1f}" for name in names),
            *(f"{f.step[name] / f.step['nbvis']:.2f}" for name in others),
            *(f"{f.setup[name]:.2f} s" for name in ("nbvis", "bare")),
        ]
        for task, f in zip(tasks, figures, strict=True)
    ]
    print()
    _print_table(head, rows)


def _print_table(head: list[str], rows: list[list[str]]) -> None:
    widths = [max(len(row[k]) for row in [head, *rows]) for k in range(len(head))]
    for row in [head, *rows]:
        cells = [c.ljust(w) if k == 0 else c.rjust(w) for k, (c, w) in enumerate(zip(row, widths, strict=True))]
        print("  ".join(cells).rstrip())


if __name__ == "__main__":
    main()
