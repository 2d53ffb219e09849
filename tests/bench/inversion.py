"""Updates and seconds of dropout inversion, beside the original algorithm and a bare loop; `make bench` prints them.

One picture, five samples of dropout, and the question how long until all five are within the tolerance: that of the
original's examples, and a hundredth of the loss at the start. Seconds are CPU time of the process, one thread.

- original: the published algorithm, written anew from its description. The whole network in train mode gives the
  target, Adam with a learning rate of 1e-4 changes the pictures, the loss is the mean over the batch, pixels are free.
  It never clears its gradient, so that every step follows the sum of all gradients so far.
- cleared: the same with the gradient cleared before each step.
- bare: what one would write today. Weights frozen, network left after the layer, Adam with 1e-2, the same target as
  nbvis has.
- lbfgs, adam and sgd: `invert_dropout`, with free pixels as the others; "in [0, 1]" is its default.

The networks: LeNet of PyTorch's MNIST example at both fully connected layers, and a small SqueezeNet at the
convolution that classifies and at its average, trained for seconds on scikit-learn's digits; the embedded network at
its classifier.
"""

import copy
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import Tensor, nn

from nbvis import demo
from nbvis.engine import Network, invert_dropout
from tests.bench.machine import CLOCK, DEVICE, machine, now

SAMPLES = 5


class LeNet(nn.Module):
    """The network of PyTorch's MNIST example, which the original's examples use."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 10, 5), nn.Conv2d(10, 20, 5)
        self.drop = nn.Dropout2d()
        self.fc1, self.fc2 = nn.Linear(320, 50), nn.Linear(50, 10)

    def forward(self, images: Tensor) -> Tensor:
        """Logits."""
        x = F.relu(F.max_pool2d(self.conv1(images), 2))
        x = F.relu(F.max_pool2d(self.drop(self.conv2(x)), 2))
        x = F.relu(self.fc1(x.flatten(1)))
        return self.fc2(F.dropout(x, training=self.training))


class Fire(nn.Module):
    """SqueezeNet's part: few channels, then many, half of which see one pixel only."""

    def __init__(self, given: int, squeezed: int, each: int):
        super().__init__()
        self.squeeze = nn.Conv2d(given, squeezed, 1)
        self.one, self.three = nn.Conv2d(squeezed, each, 1), nn.Conv2d(squeezed, each, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        """Twice `each` channels."""
        x = self.squeeze(images).relu()
        return torch.cat([self.one(x), self.three(x)], 1).relu()


def squeezenet() -> nn.Sequential:
    """SqueezeNet's end and a short way to it; dropout comes right before the convolution that classifies."""
    features = nn.Sequential(
        nn.Conv2d(1, 32, 3, 2), nn.ReLU(), Fire(32, 16, 32), nn.MaxPool2d(2), Fire(64, 16, 32), Fire(64, 32, 64)
    )
    # Without SqueezeNet's ReLU after the convolution, with which a small network often does not begin to learn.
    classifier = nn.Sequential(nn.Dropout(), nn.Conv2d(128, 10, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    for part in (*features.modules(), *classifier.modules()):
        if isinstance(part, nn.Conv2d):  # as SqueezeNet begins; so deep a network does not learn from PyTorch's own
            nn.init.kaiming_uniform_(part.weight)
            nn.init.zeros_(part.bias)  # pyright: ignore[reportArgumentType]
    return nn.Sequential(features, classifier)


@dataclass(frozen=True)
class Task:
    """A layer to invert, the tolerance of the original's example for it, and how long to wait."""

    title: str
    network: Network
    layer: str
    image: Tensor
    tolerance: float
    steps: int


@dataclass
class Outcome:
    """How a run ended: CPU seconds and updates until each tolerance, None if never, and the largest loss at the end."""

    reached: list[tuple[int, float] | None]
    updates: int
    seconds: float
    loss: float


def main() -> None:
    """Prints a table for each task."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    torch.manual_seed(0)
    started = time.perf_counter()
    print(f"{machine()}, one picture, {SAMPLES} samples; updates and seconds of {CLOCK} to tolerance")
    for task in _tasks():
        start = next(invert_dropout(task.network, task.layer, task.image, samples=SAMPLES, steps=0))
        tolerances = [task.tolerance, 0.01 * start.loss.mean().item()]
        print(f"\n{task.title}: loss at the start {start.loss.mean():.3g}, at most {task.steps} updates")
        head = [f"to {tolerance:.2g}" for tolerance in tolerances]
        print(f"{'':16}  {head[0]:>20}  {head[1]:>20}  {'ms/update':>9}  {'loss at the end':>15}")
        for name, run in _contenders(task).items():
            found = _raced(run, task.steps, tolerances)
            cells = ["-" if each is None else f"{each[0]:>6} {each[1]:>9.2f} s" for each in found.reached]
            each = 1000 * found.seconds / max(1, found.updates)
            print(f"{name:16}  {cells[0]:>20}  {cells[1]:>20}  {each:>9.2f}  {found.loss:>15.2g}", flush=True)
    print(f"\n{time.perf_counter() - started:.0f} s")


Losses = Iterator[Tensor]
"""The loss of each row after each update; the first before any."""


def _raced(run: Callable[[float], Losses], steps: int, tolerances: list[float]) -> Outcome:
    before = now()
    reached: list[tuple[int, float] | None] = [None] * len(tolerances)
    updates, worst = 0, float("nan")
    try:
        for updates, loss in enumerate(run(min(tolerances))):
            worst = loss.max().item()
            for k, tolerance in enumerate(tolerances):
                if reached[k] is None and worst <= tolerance:
                    reached[k] = updates, now() - before
            if updates >= steps or None not in reached:
                break
    except FloatingPointError:
        worst = float("inf")
    return Outcome(reached, updates, now() - before, worst)


def _contenders(task: Task) -> dict[str, Callable[[float], Losses]]:
    def ours(optimizer: str, lr: float, bounds: tuple[float, float] | None) -> Callable[[float], Losses]:
        def run(tolerance: float) -> Losses:
            steps = invert_dropout(
                task.network,
                task.layer,
                task.image,
                samples=SAMPLES,
                steps=task.steps,
                tolerance=tolerance,
                optimizer=optimizer,
                lr=lr,
                bounds=bounds,
            )
            yield torch.tensor([torch.inf])
            yield from (step.loss for step in steps)

        return run

    return {
        "original": lambda tolerance: _original(task, clear=False),
        "cleared": lambda tolerance: _original(task, clear=True),
        "bare": lambda tolerance: _bare(task),
        "lbfgs": ours("lbfgs", 1e-2, None),
        "adam": ours("adam", 1e-2, None),
        "sgd": ours("sgd", 1.0, None),
        "lbfgs in [0, 1]": ours("lbfgs", 1e-2, (0, 1)),
        "adam in [0, 1]": ours("adam", 1e-2, (0, 1)),
    }


def _original(task: Task, clear: bool) -> Losses:
    module = copy.deepcopy(task.network.module)
    found: list[Tensor] = []
    module.get_submodule(task.layer).register_forward_hook(lambda part, given, output: found.append(output.clone()))
    rows = task.network.enter(task.image).expand(SAMPLES, -1, -1, -1)
    module.train()
    module(rows)
    target = found.pop().detach().clone()
    module.eval()
    values = rows.detach().clone().requires_grad_()
    optimizer = torch.optim.Adam([values], lr=1e-4)
    while True:
        module(values)
        difference = (found.pop() - target).square()
        yield difference.detach().flatten(1).mean(1)
        if clear:
            optimizer.zero_grad()
        difference.mean().backward()
        optimizer.step()


def _bare(task: Task) -> Losses:
    target = _target(task)
    module = copy.deepcopy(task.network.module).eval().requires_grad_(False)
    found: list[Tensor] = []

    def keep(part: nn.Module, given: object, output: Tensor) -> None:
        found.append(output)
        raise _DoneError

    module.get_submodule(task.layer).register_forward_hook(keep)
    values = task.image.repeat(SAMPLES, 1, 1, 1).requires_grad_()
    optimizer = torch.optim.Adam([values], lr=1e-2)
    while True:
        optimizer.zero_grad()
        try:
            module(task.network.enter(values))
        except _DoneError:
            pass
        loss = (found.pop() - target).square().flatten(1).mean(1)
        yield loss.detach()
        loss.sum().backward()
        optimizer.step()


class _DoneError(Exception):
    """Ends a forward pass."""


def _target(task: Task) -> Tensor:
    """What dropout makes of the layer, as nbvis draws it."""
    from nbvis.engine.dropout.masks import row_numbers
    from nbvis.engine.dropout.noisy_passes import Noisy

    rows = task.image.repeat(SAMPLES, 1, 1, 1)
    noisy = Noisy(task.network, [task.layer], task.image)
    numbers = row_numbers(task.image, SAMPLES, 0)
    return noisy.noisy(rows, numbers, [None] * SAMPLES, {}, SAMPLES).activations[task.layer]


def _tasks() -> list[Task]:
    pixels, classes = map(torch.tensor, load_digits(return_X_y=True))
    digits, labels = F.interpolate(pixels.float().view(-1, 1, 8, 8) / 16, size=28, mode="bilinear"), classes
    modules = [_trained(module, digits, labels).to(DEVICE) for module in (LeNet(), squeezenet())]
    lenet, squeeze = (Network(module, device=DEVICE) for module in modules)
    digits, lite, photo = digits.to(DEVICE), demo.network(DEVICE), demo.photo("coffee", size=128).to(DEVICE)
    lite.module.to(DEVICE)
    return [
        Task("LeNet, fc1", lenet, "fc1", digits[:1], 0.05, 2000),
        Task("LeNet, fc2", lenet, "fc2", digits[:1], 0.05, 2000),
        Task("small SqueezeNet, its classifying convolution", squeeze, "1.1", digits[:1], 0.01, 600),
        Task("small SqueezeNet, that averaged", squeeze, "1.2", digits[:1], 0.01, 600),
        Task("EfficientNet-Lite0 at 128 px, _fc", lite, "_fc", photo, 0.1, 80),
    ]


def _trained(module: nn.Module, images: Tensor, labels: Tensor) -> nn.Module:
    optimizer = torch.optim.Adam(module.train().parameters(), lr=2e-3)
    for _ in range(6):
        for chosen in torch.randperm(len(images)).split(64):
            optimizer.zero_grad()
            F.cross_entropy(module(images[chosen]), labels[chosen]).backward()
            optimizer.step()
    with torch.no_grad():
        right = (module.eval()(images).argmax(1) == labels).float().mean()
    print(f"{type(module).__name__}: {right:.1%} of its training digits right")
    return module


if __name__ == "__main__":
    main()
