"""What a command line names: a network, a data set, and layers by patterns."""

import sys
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .engine import ImageFiles, ImageItems, Network, as_images, as_network, each_call, layers
from .engine.arguments import near


class _Items(ImageItems):
    """The images of a data set that is indexed."""

    def __init__(self, items: Any):
        self.items = items

    def __len__(self) -> int:
        """How many."""
        return len(self.items)

    def __getitem__(self, index: int) -> Tensor | str:
        """An image, (channels, height, width), or a sentence on why it cannot be read."""
        try:
            item = self.items[index]
            image = item[0] if isinstance(item, tuple | list) else item
            image = as_images(image, name=f"image {index}")
        except (OSError, ValueError, TypeError) as error:
            return f"{index}: {error}"
        return image if image.dim() == 3 else image[0]


def network_of(text: str, device: str) -> Network:
    """The network that torchvision:NAME or module:function names.

    Raises:
        ValueError, TypeError, ImportError: if there is none.
    """
    kind, _, name = text.partition(":")
    if kind == "torchvision":
        return Network.torchvision(name, device=device)
    made = _called(text, "--network", "torchvision:NAME")
    if isinstance(made, nn.Module):
        return Network(made, device=device)
    network = as_network(made)
    if device != "auto":
        network.device = torch.device(device)
    return network


def images_of(text: str, size: Sequence[int] | None) -> ImageItems:
    """The data set that a folder, a list of files or module:function names; files are scaled and cropped to the size.

    Raises:
        ValueError, TypeError, ImportError, OSError: if there is none, or it has no length and index.
    """
    if Path(text).exists() or ":" not in text:
        return ImageFiles(text, None if size is None else (size[0], size[1]))
    made = _called(text, "--images", "a folder, a list of files")
    if isinstance(made, ImageItems):
        return made
    if not (hasattr(made, "__len__") and hasattr(made, "__getitem__")):
        kind = type(made).__name__
        raise TypeError(f"--images {text} gives a {kind}; what is shared and gone on with has a length and is indexed")
    if not len(made):
        raise ValueError(f"--images {text} gives an empty data set")
    return _Items(made)


def _called(text: str, option: str, others: str) -> Any:
    """What module:function returns."""
    place, colon, name = text.partition(":")
    if not (colon and place and name):
        raise ValueError(f"{option} is {others}, or module:function, not {text!r}")
    if "" not in sys.path:
        sys.path.insert(0, "")  # as `python -m` has it
    function: Callable[[], Any] | None = getattr(import_module(place), name, None)
    if not callable(function):
        raise ValueError(f"{option}: module {place!r} has no function {name!r}{near(name, dir(sys.modules[place]))}")
    return function()


def chosen(network: Network, image: Tensor, patterns: Sequence[str]) -> list[str] | None:
    """The layers that match a pattern, in the order in which they first answer; None for all."""
    if not patterns:
        return None
    found = layers(network, image)
    names = [each.name for each in found]
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise ValueError(f"no layer matches {pattern!r}{near(pattern, names)}")
    own = [each for each in found if any(fnmatchcase(each.name, pattern) for pattern in patterns)]
    return [name for each in own for name in each_call(each.name, each.calls)]
