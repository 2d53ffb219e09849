"""Each attribution method beside captum, grad-cam and torchcam: CPU time and peak memory; `make bench` runs it.

One 224 px photograph, the class predicted, ResNet-18 with random weights and the embedded network, one thread. Time is
the process's CPU time, since wall time would count what else the machine does; all take turns in a new order each
round, and a ratio is the median of the rounds' ratios, set-up included, because each call of nbvis sets up anew. Memory
is how far the resident set of a fresh child process rises above where it began, with an allocator that gives back at
once what is freed; it has run on a small picture before, since what is loaded then is no method's. All take 50 steps,
50 samples or 49 windows. The others run with their defaults and, where captum has a batch size, with one of 4 as well.
Names of methods as arguments run only those. "off by" is the largest difference from nbvis' map as a share of the
largest value, in single precision, where both compute the same numbers.

The embedded network's ReLU6 is unknown to captum's and grad-cam's guided methods, which there give the plain gradient;
"taught" is captum's with the one line that makes it know ReLU6.
"""

import gc
import random
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import captum.attr
import pytorch_grad_cam
import torch
import torch.nn.functional as F
import torchcam.methods
import torchvision
from captum._utils.common import _register_backward_hook
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import Tensor, nn

from nbvis import demo
from nbvis.engine import Network, attribute
from tests.bench.machine import CLOCK, DEVICE, machine, now, peak

ROUNDS = {"integrated_gradients": 5, "smoothgrad": 5, "occlusion": 5}
"""Of timing; all other methods take 25, since one call is short."""
STEPS = 50
WINDOW = 32


class Whole(nn.Module):
    """Preprocessing and module as one, which is what the other libraries take."""

    def __init__(self, network: Network):
        super().__init__()
        self.module, self.preprocess = network.module.to(DEVICE), network.preprocess

    def forward(self, images: Tensor) -> Tensor:
        """The module's output for images in [0, 1]."""
        return self.module(images if self.preprocess is None else self.preprocess(images))


@dataclass(frozen=True)
class Task:
    """A network, an image and what to explain."""

    title: str
    network: Network
    image: Tensor
    target: int
    layer: str


def main() -> None:
    """Prints the tables."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    torch.manual_seed(0)
    started = time.perf_counter()
    tasks = _tasks()
    print(f"{machine()}, captum {captum.__version__}, 224 px, batch 1, single precision, {CLOCK}")
    chosen = sys.argv[1:] or list(_contenders(tasks[0]))
    # Before anything runs here, so that a child finds no freed memory to use again.
    peaks = {task.title: {name: _peaks(task, name) for name in chosen} for task in tasks}
    for task in tasks:
        print(f"\n{task.title}\n{'':22}{'ms':>8}  {'MiB':>6}  ours is faster by, and needs of their memory")
        for name in chosen:
            runs = _contenders(task)[name]
            times, memory = _times(runs, ROUNDS.get(name, 25)), peaks[task.title][name]
            print(f"{name:22}{1e3 * statistics.median(times['nbvis']):8.0f}  {memory['nbvis']:6.0f}", end="  ")
            ours = runs["nbvis"]()
            others = {who: run for who, run in runs.items() if who != "nbvis"}
            told = (
                f"{who} {_faster(times, who):.2f} ×, {_share(memory, who)}{_off(name, ours, run)}"
                for who, run in others.items()
            )
            print("; ".join(told), flush=True)
    print(f"\n{time.perf_counter() - started:.0f} s")


def _faster(times: dict[str, list[float]], who: str) -> float:
    return statistics.median(theirs / ours for theirs, ours in zip(times[who], times["nbvis"], strict=True))


def _share(memory: dict[str, float], who: str) -> str:
    return f"{100 * memory['nbvis'] / max(memory[who], 0.1):.1f} %"


def _off(name: str, ours: Any, run: Callable[[], Any]) -> str:
    theirs = run()
    if name == "smoothgrad" or not isinstance(theirs, Tensor):  # noise of their own, or pictures made of the map
        return ""
    if name == "grad_cam":
        theirs = F.interpolate(theirs, size=ours.map.shape[2:], mode="bilinear", align_corners=False)
    theirs = theirs.detach()[:, : ours.map.shape[1]]
    return f", off by {((ours.map - theirs).abs().max() / ours.map.abs().max()).item():.0e}"


def _tasks() -> list[Task]:
    mean, spread = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]], device=DEVICE)
    resnet = Network(
        torchvision.models.resnet18(weights=None).eval(),
        preprocess=lambda images: (images - mean.view(3, 1, 1)) / spread.view(3, 1, 1),
        device=DEVICE,
    )
    image = demo.photo("coffee", size=224).to(DEVICE)
    return [
        Task("ResNet-18", resnet, image, 5, "layer4"),
        Task("embedded network", demo.network(DEVICE), image, 967, "_blocks.15"),
    ]


def _contenders(task: Task) -> dict[str, dict[str, Callable[[], object]]]:
    whole, target = Whole(task.network).eval(), task.target
    part = task.network.module.get_submodule(task.layer)

    def ours(method: str, **options: Any) -> Callable[[], object]:
        return lambda: attribute(task.network, task.image, target, method=method, **options)

    def theirs(make: Callable[[], object], **options: object) -> Callable[[], object]:
        return lambda: make().attribute(task.image.clone(), target=target, **options)  # type: ignore[attr-defined]

    def sized(make: Callable[[], object], key: str, **options: object) -> dict[str, Callable[[], object]]:
        runs = {"captum": theirs(make, **options)}
        return runs | {"captum, batch 4": theirs(make, **{key: 4}, **options)}

    def guided(kind: type) -> dict[str, Callable[[], object]]:
        runs = {"captum": theirs(lambda: kind(whole))}
        if any(isinstance(each, nn.ReLU6) for each in whole.modules()):
            runs = {"captum, taught": theirs(lambda: _taught(kind)(whole)), "captum (plain gradient)": runs["captum"]}
        return runs

    windows = {"sliding_window_shapes": (3, WINDOW, WINDOW), "strides": (3, WINDOW, WINDOW)}
    steps, noise = {"n_steps": STEPS}, {"nt_samples": STEPS, "stdevs": 0.15, "abs": False}
    return {
        "gradient": {
            "nbvis": ours("gradient"),
            "captum": theirs(lambda: captum.attr.Saliency(whole), abs=False),
        },
        "input_x_gradient": {
            "nbvis": ours("input_x_gradient"),
            "captum": theirs(lambda: captum.attr.InputXGradient(whole)),
        },
        "guided_backprop": {
            "nbvis": ours("guided_backprop"),
            **guided(captum.attr.GuidedBackprop),
            "grad-cam": lambda: pytorch_grad_cam.GuidedBackpropReLUModel(whole, DEVICE)(task.image, target),
        },
        "deconvnet": {
            "nbvis": ours("deconvnet"),
            **guided(captum.attr.Deconvolution),
        },
        "integrated_gradients": {
            "nbvis": ours("integrated_gradients", steps=STEPS),
            **sized(lambda: captum.attr.IntegratedGradients(whole), "internal_batch_size", **steps),
        },
        "smoothgrad": {
            "nbvis": ours("smoothgrad", samples=STEPS),
            **sized(lambda: captum.attr.NoiseTunnel(captum.attr.Saliency(whole)), "nt_samples_batch_size", **noise),
        },
        "grad_cam": {
            "nbvis": ours("grad_cam", layer=task.layer, relu=True),
            "captum": theirs(lambda: captum.attr.LayerGradCam(whole, part), relu_attributions=True),
            "grad-cam": lambda: _grad_cam(whole, part, task),
            "torchcam": lambda: _torchcam(whole, part, task),
        },
        "guided_grad_cam": {
            "nbvis": ours("guided_grad_cam", layer=task.layer),
            "captum": theirs(lambda: _guided_grad_cam(whole, part), interpolate_mode="bilinear"),
        },
        "occlusion": {
            "nbvis": ours("occlusion", window=WINDOW, stride=WINDOW),
            **sized(lambda: captum.attr.Occlusion(whole), "perturbations_per_eval", **windows),
        },
    }


def _taught(kind: type) -> type:
    class Taught(kind):
        def _register_hooks(self, module: nn.Module) -> None:
            if isinstance(module, nn.ReLU | nn.ReLU6):
                self.backward_hooks.extend(_register_backward_hook(module, self._backward_hook, self))

    return Taught


def _guided_grad_cam(whole: nn.Module, part: nn.Module) -> captum.attr.GuidedGradCam:
    method = captum.attr.GuidedGradCam(whole, part)
    method.guided_backprop = _taught(captum.attr.GuidedBackprop)(whole)
    return method


def _grad_cam(whole: nn.Module, part: nn.Module, task: Task) -> object:
    with pytorch_grad_cam.GradCAM(whole, [part]) as cam:
        targets: Any = [ClassifierOutputTarget(task.target)]
        return cam(task.image, targets)


def _torchcam(whole: nn.Module, part: nn.Module, task: Task) -> object:
    with torchcam.methods.GradCAM(whole, part) as cam:
        return cam(task.target, whole(task.image.clone().requires_grad_()))


def _times(runs: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {who: [] for who in runs}
    order = random.Random(0)
    for _ in range(rounds):
        for who in order.sample(list(runs), len(runs)):
            gc.collect()
            began = now()
            runs[who]()
            times[who].append(now() - began)
    return times


def _peaks(task: Task, name: str) -> dict[str, float]:
    small = _contenders(replace(task, image=task.image[..., :64, :64]))[name]
    return {
        who: min(peak(small[who], run) for _ in range(1 if name in ROUNDS else 5))  # what varies only adds to it
        for who, run in _contenders(task)[name].items()
    }


if __name__ == "__main__":
    main()
