"""Steps per second of `nbvis.engine.ascend`, beside a bare loop and three other libraries; `make bench` prints them.

All do the same work: one 224 px image from Fourier noise, Adam, the mean of one live channel, on ResNet-18 with random
weights and on the embedded network, one thread. A figure is CPU time of the process, because wall time would count what
else the machine does (on another device it is wall time): the median over rounds in which all take turns. Set-up, with
the first step, is told apart.

- bare: the loop anyone would write. Weights frozen, the forward pass ended after the layer by an exception, nothing
  folded, PyTorch's ordinary memory layout. It calls nbvis' own `Fourier` and transforms, so that the two differ in
  nothing but the loop and the network.
- lucent, dreams (torch-lucent, torch-dreams) and horama: called as their guides say, with their own noise, optimizer
  and normalisation. They do not freeze the weights and run the whole network.

With transforms each library has its own: lucent's network then sees about 248 px, that of dreams 0.72 of the area on
average, that of horama six crops a step, those of nbvis and of the bare loop 224 px. Without, horama's still sees two
shifted pictures a step, since it fails with one.
"""

import contextlib
import copy
import importlib
import io
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
from nbvis.engine.network.forward_hooks import forward
from nbvis.engine.network.prepared import Prepared
from tests.bench.machine import CLOCK, DEVICE, machine, now, runs

SIZE = 224
LR = 0.05
ROUNDS = 5
STEPS = 2
"""Timed in each round; one more before them warms the caches up again."""

Run = Callable[[int, Callable[[Tensor], object]], object]
"""Makes some steps with another library and tells the score of each."""


@dataclass(frozen=True)
class Task:
    """A channel of a layer to climb; in a batch each picture climbs one channel more."""

    title: str
    network: Network
    layer: str
    channel: int
    size: int = SIZE
    batch: int = 1

    def score(self, activation: Tensor) -> Tensor:
        """The sum over the pictures of the mean of each one's channel."""
        return torch.stack([activation[k, self.channel + k].mean() for k in range(self.batch)]).sum()

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
    tasks = all_tasks()
    peers = that_run(tasks[0])
    for title, transforms in ("without transforms", ()), ("with own transforms", STANDARD):
        _print_speed(title, tasks, [_measured(task, peers, transforms) for task in tasks])
    print("\nThe network alone, forward and backward: speed of the prepared copy relative to the plain one.")
    rows = [[task.title, *(f"{_network_alone(task, batch):.2f}" for batch in (1, 8))] for task in tasks]
    print_table(["", "batch 1", "batch 8"], rows)
    print("\nLargest difference of the prepared network from the plain one, relative to the largest value. In single")
    print("precision a unit at the kink of its ReLU may fall on the other side, and its gradient is then another one.")
    rows = [
        [task.title, *(f"{d:.0e}" for d in (*_differences(task), *_differences(task.copied(torch.float64))))]
        for task in tasks
    ]
    print_table(["", "activation", "gradient", "activation, double", "gradient, double"], rows)
    print(f"\n{time.perf_counter() - started:.0f} s")


def all_tasks() -> list[Task]:
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
    for name, make in ("nbvis", nbvis_steps), ("bare", bare_steps):
        before = now()
        steps = make(task.copied(), transforms)
        next(steps)
        setup[name] = now() - before
        blocks[name] = lambda steps=steps: _timed(steps)
    for name, make in peers.items():
        run = make(task.copied(), bool(transforms))
        setup[name] = noted(run, 1)[1]
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
    times, _ = noted(run, STEPS + 2)
    return (times[-1] - times[1]) / STEPS


def noted(run: Run, steps: int) -> tuple[list[float], float]:
    before, times = now(), []
    run(steps, lambda score: times.append(now()))
    return times, now() - before


def nbvis_steps(task: Task, transforms: tuple[Transform, ...]) -> Iterator[Any]:
    objectives = [channel(task.layer, task.channel + k) for k in range(task.batch)]
    image = Fourier(task.size, task.size, batch=task.batch)
    return ascend(
        task.network, objectives, image, steps=10_000, lr=LR, optimizer="adam", transforms=transforms, residual=1
    )


def bare_steps(task: Task, transforms: tuple[Transform, ...]) -> Iterator[Tensor]:
    module, image = task.network.module.requires_grad_(False), Fourier(task.size, task.size, batch=task.batch)
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
        score = task.score(found[0])
        (-score).backward()
        optimizer.step()
        yield score.detach()


class _DoneError(Exception):
    """Ends a forward pass."""


def lucent_run(task: Task, transforms: bool) -> Run:
    param, render = importlib.import_module("lucent.optvis.param"), importlib.import_module("lucent.optvis.render")
    layer = task.layer.replace(".", "_")

    def run(steps: int, tell: Callable[[Tensor], object]) -> object:
        def objective(hook: Callable[[str], Tensor]) -> Tensor:
            score = task.score(hook(layer))
            tell(score.detach())
            return -score

        return render.render_vis(
            task.network.module,
            objective,
            lambda: param.image(task.size, batch=task.batch),
            fixed_image_size=None if task.size == SIZE else task.size,
            transforms=None if transforms else [],
            thresholds=(steps,),
            progress=False,
            show_image=False,
        )

    return run


def dreams_run(task: Task, transforms: bool) -> Run:
    module = task.network.module
    library = importlib.import_module("torch_dreams")
    batched = importlib.import_module("torch_dreams.batched_image_param").BatchedAutoImageParam
    dreamer = library.Dreamer(module, quiet=True, device=DEVICE)
    if not transforms:
        dreamer.set_custom_transforms(nn.Identity())

    def run(steps: int, tell: Callable[[Tensor], object]) -> object:
        def objective(outputs: list[Tensor]) -> Tensor:
            score = task.score(outputs[0])
            tell(score.detach())
            return -score

        layers = [module.get_submodule(task.layer)]
        start = batched(task.batch, task.size, task.size, device=DEVICE) if task.batch > 1 else None
        size = {"width": task.size, "height": task.size}
        return dreamer.render(layers=layers, image_parameter=start, iters=steps, custom_func=objective, **size)

    return run


def _horama_run(task: Task, transforms: bool) -> Run:
    module, found = task.network.module, []
    fourier = importlib.import_module("horama").fourier
    module.get_submodule(task.layer).register_forward_hook(lambda part, args, output: found.append(output))

    def run(steps: int, tell: Callable[[Tensor], object]) -> object:
        def objective(images: Tensor) -> Tensor:
            module(images)
            activation = found.pop()
            score = activation[:, task.channel].mean()
            tell(score.detach())
            return score

        still = {} if transforms else {"noise": 0.0, "crops_per_iteration": 2, "box_size": (1.0, 1.0)}
        with contextlib.redirect_stderr(io.StringIO()):  # a progress bar
            return fourier(
                objective, total_steps=steps, image_size=task.size, model_input_size=task.size, device=DEVICE, **still
            )

    return run


def that_run(task: Task) -> dict[str, Callable[[Task, bool], Run]]:
    """The other libraries that still run; says of those that do not why."""
    makes = {"lucent": lucent_run, "dreams": dreams_run, "horama": _horama_run}

    def two_ways(make: Callable[[Task, bool], Run]) -> None:
        for transforms in (False, True):
            make(task.copied(), transforms)(1, lambda score: None)

    return {name: make for name, make in makes.items() if runs(name, lambda make=make: two_ways(make))}


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
    print_table(head, rows)


def print_table(head: list[str], rows: list[list[str]]) -> None:
    widths = [max(len(row[k]) for row in [head, *rows]) for k in range(len(head))]
    for row in [head, *rows]:
        cells = [c.ljust(w) if k == 0 else c.rjust(w) for k, (c, w) in enumerate(zip(row, widths, strict=True))]
        print("  ".join(cells).rstrip(), flush=True)


if __name__ == "__main__":
    main()
