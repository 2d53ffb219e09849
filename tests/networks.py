"""What a LayerExplorer shows of which networks: `python -m tests.networks` prints the README's table."""

import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torchvision import models

from nbvis import LayerExplorer, demo
from nbvis.engine import Network

RULES = ("gradient", "deconvnet", "guided_backprop")
HEAD = ("Network", "Layers", "With a grid", "What a unit sees", "Classes", "Gradient", "Deconvnet", "Guided backprop")


class ZFNet(nn.Sequential):
    """That of Zeiler and Fergus 2013, without its local contrast normalisation."""

    def __init__(self):
        pool = nn.MaxPool2d(3, 2, ceil_mode=True)
        super().__init__(
            nn.Conv2d(3, 96, 7, 2, 1), nn.ReLU(), pool, nn.Conv2d(96, 256, 5, 2), nn.ReLU(), pool,
            nn.Conv2d(256, 384, 3, padding=1), nn.ReLU(), nn.Conv2d(384, 384, 3, padding=1), nn.ReLU(),
            nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(), pool, nn.AdaptiveAvgPool2d(6), nn.Flatten(),
            nn.Linear(9216, 64), nn.ReLU(), nn.Linear(64, 10),
        )  # fmt: skip


class UNet(nn.Module):
    """A small one, whose way up takes what its way down has left."""

    def __init__(self):
        super().__init__()
        self.down, self.deep = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 16, 3, padding=1)
        self.up, self.out = nn.ConvTranspose2d(16, 8, 2, 2), nn.Conv2d(16, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        """A score of two classes for each pixel."""
        first = self.down(x).relu()
        deep = self.deep(nn.functional.max_pool2d(first, 2)).relu()
        return self.out(torch.cat([first, self.up(deep)], 1))


class Siamese(nn.Module):
    """Two pictures, whose features are found by the same weights and then compared."""

    def __init__(self):
        super().__init__()
        self.first, self.relu, self.second = nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 16, 3, 2)
        self.features, self.head = nn.Linear(16, 8), nn.Linear(8, 2)

    def branch(self, x: Tensor) -> Tensor:
        """The features of one picture."""
        return self.features(self.second(self.relu(self.first(x))).relu().mean((2, 3)))

    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        """A score for "the same" and one for "another"."""
        return self.head((self.branch(one) - self.branch(other)).relu())


def lenet() -> nn.Module:
    """LeNet-5, for grey pictures of 32 × 32 pixels."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip


def random(name: str, **options: object) -> Callable[[], nn.Module]:
    """An architecture of torchvision with random weights."""
    return lambda: models.get_model(name, weights=None, **options)


NETWORKS: dict[str, tuple[Callable[[], nn.Module | Network], tuple[int, int, int]]] = {
    "LeNet-5": (lenet, (1, 32, 32)),
    "AlexNet": (random("alexnet"), (3, 96, 96)),
    "ZFNet": (ZFNet, (3, 96, 96)),
    "VGG-11": (random("vgg11"), (3, 64, 64)),
    "GoogLeNet": (random("googlenet", init_weights=False), (3, 96, 96)),
    "Inception v3": (random("inception_v3", init_weights=False), (3, 96, 96)),
    "ResNet-18": (random("resnet18"), (3, 96, 96)),
    "DenseNet-121": (random("densenet121"), (3, 64, 64)),
    "MobileNet v3": (random("mobilenet_v3_small"), (3, 96, 96)),
    "EfficientNet-Lite0, the embedded": (demo.network, (3, 96, 96)),
    "ConvNeXt-T": (random("convnext_tiny"), (3, 64, 64)),
    "ViT-B/16": (random("vit_b_16", image_size=64), (3, 64, 64)),
    "Swin-T": (random("swin_t"), (3, 64, 64)),
    "U-Net": (UNet, (3, 48, 64)),
    "Siamese, two inputs": (lambda: Network(Siamese(), pair="inputs"), (3, 48, 96)),
    "LR-ASPP, segmentation": (random("lraspp_mobilenet_v3_large", weights_backbone=None), (3, 96, 96)),
    "SSDlite, detection": (random("ssdlite320_mobilenet_v3_large", weights_backbone=None), (3, 96, 96)),
}
"""How each is made, and the picture that it is shown, (channels, height, width)."""


def row(name: str) -> list[str]:
    """What is shown of a network, as a row of the table."""
    make, shape = NETWORKS[name]
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torchvision, on how it makes them
        torch.manual_seed(0)
        network = make()
        image = torch.rand(1, *shape)
    explorer = LayerExplorer(network, image, back="off")
    try:
        explorer.wait()
        rows = explorer.layers
        _ = explorer.result
        grid = [each for each in rows if len(each["shape"]) == 3 and each["shape"][1] * each["shape"][2] > 1]
        known = sum(each["field"] is not None for each in grid)
        said = ["yes" if explorer.top else "no", *(_returned(explorer, rule) for rule in RULES)]
        return [name, str(len(rows)), str(len(grid)), f"{known} of them", *said]
    finally:
        explorer.close()


def _returned(explorer: LayerExplorer, rule: str) -> str:
    explorer.back = rule
    try:
        found = explorer.returned
    except RuntimeError:
        return "says why not"
    return "yes" if found is not None and bool(found.map.isfinite().all()) else "no"


def table(rows: list[list[str]]) -> str:
    """The rows in Markdown."""
    lines = [HEAD, ["---"] * len(HEAD), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    print(table([row(name) for name in NETWORKS]))
