"""A network: a module with the way pictures enter it and the names of what comes out."""

import copy
import difflib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from .chance import unchanged_chance


class Network:
    """A module together with its preprocessing, its labels and the device it runs on.

    The module itself is only ever read: every run works on a private twin, which is in eval mode and on `device`.

    Args:
        module: any `nn.Module`.
        preprocess: function from images in [0, 1], (batch, channels, height, width), to what the module expects;
            None if it takes them as they are.
        labels: the name of each class, in the order of the module's output.
        input_size: (height, width) in pixels at which the module was trained, if known.
        device: "auto" (cuda, else mps, else cpu) or anything `torch.device` takes.

    Raises:
        TypeError: if `module` is not an `nn.Module`.

    Example:
        >>> network = Network(nn.Conv2d(3, 4, 3), preprocess=lambda images: images - 0.5, device="cpu")
        >>> network(torch.full((1, 3, 8, 8), 0.5)).shape
        torch.Size([1, 4, 6, 6])
    """

    def __init__(
        self,
        module: nn.Module,
        *,
        preprocess: Callable[[Tensor], Tensor] | None = None,
        labels: Sequence[str] | None = None,
        input_size: tuple[int, int] | None = None,
        device: str | torch.device = "auto",
    ):
        if not isinstance(module, nn.Module):
            raise TypeError(f"a network wraps an nn.Module, not {type(module).__name__}: {module!r}")
        self.module = module
        self.preprocess = preprocess
        self.labels = None if labels is None else list(labels)
        self.input_size = None if input_size is None else (int(input_size[0]), int(input_size[1]))
        self.device = _best_device() if device == "auto" else torch.device(device)
        self.name = type(eager(module)).__name__
        self.observers: list[Callable[[nn.Module], AbstractContextManager[object]]] = []

    def __call__(self, images: Tensor) -> Tensor:
        """The module's output for images in [0, 1], in eval mode; gradients reach the images, never the weights."""
        with unchanged_chance(self.device), ExitStack() as watching:
            twin = self.twin()
            for observer in self.observers:
                watching.enter_context(observer(twin))
            return twin(self.enter(images))

    def __repr__(self) -> str:
        """One line: name, number of classes and input size, as far as they are known."""
        parts = [self.name]
        if self.labels:
            parts.append(f"{len(self.labels)} classes")
        if self.input_size:
            parts.append(f"{self.input_size[0]} × {self.input_size[1]}")
        return f"Network({', '.join(parts)})"

    @property
    def dtype(self) -> torch.dtype:
        """The floating type of the weights; torch's default for a module without any."""
        tensors = (t for m in self.module.modules() for t in _tensors(m))
        return next((t.dtype for t in tensors if t.is_floating_point()), torch.get_default_dtype())

    def enter(self, images: Tensor) -> Tensor:
        """Images in [0, 1] as the module takes them: its device, its dtype, its own preprocessing."""
        # A copy, because a module may begin with an operation in place.
        images = images.to(self.device, self.dtype, copy=True)
        return images if self.preprocess is None else self.preprocess(images)

    def twin(self) -> nn.Module:
        """A private copy in eval mode, frozen, on `device`; it shares the storage of weights already there."""
        twin = _twin(self.module)
        moved = any(tensor.device != self.device for part in twin.modules() for tensor in _tensors(part))
        return twin.to(self.device) if moved else twin

    @classmethod
    def torchvision(cls, name: str, weights: str | None = "DEFAULT", device: str | torch.device = "auto") -> "Network":
        """A torchvision model with its weights, normalisation and categories.

        The weights' own mean and spread become `preprocess` and their crop size `input_size`. Their resizing and
        cropping stays out of it, because a picture that is optimised keeps its pixels.

        Args:
            name: as in `torchvision.models.list_models()`, such as "resnet50".
            weights: name of the weights, such as "IMAGENET1K_V2"; "DEFAULT" for the best; None for random ones.
            device: as for `Network`.

        Raises:
            ValueError: if there is no such model or no such weights; the message names those there are.

        Example:
            >>> Network.torchvision("squeezenet1_1", weights=None, device="cpu")
            Network(squeezenet1_1)
        """
        from torchvision import models

        if name not in models.list_models():
            raise ValueError(f"torchvision has no model {name!r}{near(name, models.list_models())}")
        chosen = None
        if weights is not None:
            available = models.get_model_weights(name)
            if weights not in available.__members__:
                raise ValueError(f"{name} has no weights {weights!r}{near(weights, list(available.__members__))}")
            chosen = available[weights]
        # Aux heads and random initialisation of weights that are overwritten anyway would consume the caller's RNG.
        with torch.random.fork_rng(devices=[]):
            module = models.get_model(name, weights=chosen).eval()
        network = cls(module, device=device)
        network.name = name
        if chosen is not None:
            preset = chosen.transforms()
            if hasattr(preset, "mean"):  # detectors normalise inside the model
                network.preprocess = _normalize(preset.mean, preset.std)
            network.labels = list(chosen.meta["categories"])
            if hasattr(preset, "crop_size"):  # segmentation takes any size
                network.input_size = (preset.crop_size[0], preset.crop_size[0])
        return network


def as_network(network: Network | nn.Module) -> Network:
    """The network itself, or a bare module as one: no preprocessing, no labels, the module's own device."""
    if isinstance(network, Network):
        return network
    if not isinstance(network, nn.Module):
        raise TypeError(f"expected a Network or an nn.Module, got {type(network).__name__}: {network!r}")
    tensors = (t for m in network.modules() for t in _tensors(m))
    return Network(network, device=next((t.device for t in tensors), torch.device("cpu")))


def eager(module: nn.Module) -> nn.Module:
    """The module as written: what `torch.compile` wrapped, if it was compiled, since hooks do not run inside."""
    return getattr(module, "_orig_mod", module)


def named(module: nn.Module) -> dict[str, nn.Module]:
    """Every sub-module by its name as in `named_modules()`, without the marks that `torch.compile` leaves."""
    modules = module.named_modules(remove_duplicate=False)
    return {name.replace("_orig_mod.", "").removesuffix("_orig_mod").removesuffix("."): m for name, m in modules}


def near(given: object, names: Sequence[str], most: int = 12) -> str:
    """The end of an error: the names closest to what was given, or those there are."""
    close = difflib.get_close_matches(str(given), names, n=3, cutoff=0.6)
    if close:
        return "; did you mean " + " or ".join(repr(name) for name in close) + "?"
    shown = ", ".join(repr(name) for name in names[:most])
    return f"; there are {shown}" + (f" and {len(names) - most} more" if len(names) > most else "")


def fingerprint(module: nn.Module) -> tuple[int, ...]:
    """Changes whenever a part, a weight or a buffer is replaced, or a tensor is written in place."""
    found: list[int] = []
    parts, seen = [module], {id(module)}
    for part in parts:  # by hand, because `modules()` takes three times as long and this happens at every step
        found.append(id(part))
        for tensor in _tensors(part):
            found += (tensor.data_ptr(), 0 if tensor.is_inference() else tensor._version)
        for child in part._modules.values():
            if child is not None and id(child) not in seen:
                seen.add(id(child))
                parts.append(child)
    return tuple(found)


def _tensors(module: nn.Module) -> list[Tensor]:
    return [t for t in (*module._parameters.values(), *module._buffers.values()) if t is not None]


def _best_device() -> torch.device:
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def _normalize(mean: Sequence[float], std: Sequence[float]) -> Callable[[Tensor], Tensor]:
    def normalize(images: Tensor) -> Tensor:
        centre = images.new_tensor(mean).view(-1, 1, 1)
        return (images - centre) / images.new_tensor(std).view(-1, 1, 1)

    return normalize


def _twin(module: nn.Module) -> nn.Module:
    """A structural copy that shares the weights' storage, frozen and in eval mode; all other tensors are its own.

    Every part has its empty twin before any is filled, so that parts may refer to each other in circles.
    """
    memo: dict[int, Any] = {}
    parts = [part for part in module.modules() if not isinstance(part, torch.jit.ScriptModule)]
    scripts = [part for part in module.modules() if isinstance(part, torch.jit.ScriptModule)]
    inner = {id(below) for part in scripts for below in part.modules() if below is not part}
    memo.update({id(part): _Scripted(part) for part in scripts if id(part) not in inner})
    for part in parts:
        for parameter in part._parameters.values():
            if parameter is not None:
                memo[id(parameter)] = nn.Parameter(_alias(parameter), requires_grad=False)
        for value in (*part._buffers.values(), *vars(part).values()):
            if isinstance(value, Tensor):
                memo.setdefault(id(value), value.detach().clone())
        if eager(part) is part:
            memo[id(part)] = object.__new__(type(part))
    for part in parts:
        if eager(part) is not part:
            memo[id(part)] = memo[id(eager(part))]
    for part in parts:
        if eager(part) is part:
            own = {k: v if type(v) in _PLAIN else _copied(v, memo) for k, v in vars(part).items()}
            vars(memo[id(part)]).update(own, training=False, _compiled_call_impl=None)
    return memo[id(module)]


class _Scripted(nn.Module):
    """The twin of a TorchScript module: one part, which takes hooks as its inner parts cannot."""

    def __init__(self, part: torch.jit.ScriptModule):
        super().__init__()
        with torch.no_grad():  # otherwise the copies of the weights are not leaves
            self._inside = [copy.deepcopy(part).eval()]
        for parameter in self._inside[0].parameters():
            parameter.requires_grad_(False)
        self.eval()

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self._inside[0](*args, **kwargs)

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        self._inside[0]._apply(fn)
        return self


_PLAIN = frozenset((bool, int, float, str, type(None)))


def _alias(parameter: Tensor) -> Tensor:
    return parameter.detach().clone() if parameter.is_inference() else parameter.detach()


def _copied(value: Any, memo: dict[int, Any]) -> Any:
    """A deep copy in which what cannot be copied (a lock, an open file) is shared, and only that."""
    # Most of a module is plain settings and dicts of hooks or of what has its twin already; deepcopy is slow to see it.
    kind = type(value)
    if kind in (dict, OrderedDict, set) and not value:
        return kind()
    if kind in _PLAIN or (kind is tuple and all(type(each) in _PLAIN for each in value)):
        return value
    if kind is dict and all(each is None or id(each) in memo for each in value.values()):
        return {key: None if each is None else memo[id(each)] for key, each in value.items()}
    size = len(memo)
    try:
        return copy.deepcopy(value, memo)
    except Exception:
        while len(memo) > size:  # half-made copies
            memo.popitem()
        if not isinstance(value, dict):
            return value
        own = copy.copy(value)
        own.update({key: _copied(each, memo) for key, each in value.items()})
        return own
