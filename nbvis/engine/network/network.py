"""A network: a module with the way pictures enter it and the names of what comes out."""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from .images import Images, as_images
from .imprint import tensors_of, versions_of, weights_of
from .kept_twin import KeptTwin
from .layer_names import named
from .layout import Activations, axes_of
from .pair import Pair, halves, side_by_side
from .preprocess import Entrance
from .random_state import unchanged_chance
from .shelf import Shelf
from .torchvision_models import torchvision_model
from .twin import eager, twin_of

_T = TypeVar("_T")


class Network:
    """A module together with its preprocessing, its labels and the device it runs on.

    The module itself is only ever read: every run works on a private twin, which is in eval mode and on `device`. Its
    hooks are part of it and run on the twin, since they may change what a layer gives: a hook that records is given a
    graph once for each pass that gradients are taken of, and once more when a run is made ready; trials and passes
    without gradients have none. What was made ready for the last two sets of layers, with the weights up to there in a
    faster form, is kept for the next run. A forward pass that reaches the module from outside (a closure, a global) is
    bound to the twin; where that cannot be done, it is refused before it runs. What it draws from torch's random
    numbers comes from a generator of our own. NumPy's and Python's have one stream for all: if the code of a forward
    pass draws from them they are put back after each pass, with what other threads drew from them meanwhile.

    It may be trained in another thread while a run goes: each step has all its weights of one moment of the last
    second. Once they change under a step, it is made again on a copy of them, and from then on the run takes another
    about twice a second; its `notes` say how many, and how long one took. PyTorch does not count what is written
    through `.data`: `with torch.no_grad(): weight.mul_(1)` tells the run of it.

    Args:
        module: any `nn.Module`.
        preprocess: function from images in [0, 1], (batch, channels, height, width), to what the module expects;
            None if it takes them as they are. For a module in half precision it gets single precision, and what it
            gives is cast.
        labels: the name of each class, in the order of the module's output.
        input_size: (height, width) in pixels at which the module was trained, if known.
        device: "auto" (cuda, else mps, else cpu) or anything `torch.device` takes.
        pair: how a siamese network takes the two pictures that it compares: "inputs" for forward(first, second),
            "channels" for one input with the channels of both, "width" for one in which they lie side by side; None
            for a network of single pictures. Its images hold both side by side, as `side_by_side` makes them, and the
            preprocessing is given each picture alone.

    Raises:
        TypeError: if `module` is not an `nn.Module`.
        ValueError: if there is no such way to take a pair.

    Example:
        >>> network = Network(nn.Conv2d(3, 4, 3), preprocess=lambda images: images - 0.5, device="cpu")
        >>> network(torch.full((1, 3, 8, 8), 0.5)).shape
        torch.Size([1, 4, 6, 6])
        >>> siamese = Network(nn.CosineSimilarity(), pair="inputs")
        >>> siamese(side_by_side(torch.ones(1, 3, 8, 8), torch.ones(1, 3, 8, 8))).shape
        torch.Size([1, 8, 8])
    """

    def __init__(
        self,
        module: nn.Module,
        *,
        preprocess: Callable[[Tensor], Tensor] | None = None,
        labels: Sequence[str] | None = None,
        input_size: tuple[int, int] | None = None,
        device: str | torch.device = "auto",
        pair: str | Pair | None = None,
    ):
        if not isinstance(module, nn.Module):
            raise TypeError(f"a network wraps an nn.Module, not {type(module).__name__}: {module!r}")
        self.module = module
        self.preprocess = preprocess
        self.labels = None if labels is None else list(labels)
        self.input_size = None if input_size is None else (int(input_size[0]), int(input_size[1]))
        self.device = _best_device() if device == "auto" else torch.device(device)
        self.pair = Pair.of(pair)
        self.name = type(eager(module)).__name__
        self.observers: list[Callable[[nn.Module], AbstractContextManager[object]]] = []
        self.ready = Shelf()
        self._private = Shelf()

    def __call__(self, images: Images) -> Tensor:
        """The module's output for images in [0, 1], in eval mode; gradients reach the images, never the weights."""
        _check_values(self.module)
        with unchanged_chance(), ExitStack() as watching:
            twin = self.twin()
            for observer in self.observers:
                watching.enter_context(observer(twin))
            return twin(self.enter(as_images(images)))

    def __repr__(self) -> str:
        """One line: name, number of classes and input size, as far as they are known."""
        parts = [self.name]
        if self.labels:
            parts.append(f"{len(self.labels)} classes")
        if self.input_size:
            parts.append(f"{self.input_size[0]} × {self.input_size[1]}")
        if self.pair:
            parts.append(f"pairs by {self.pair.value}")
        return f"Network({', '.join(parts)})"

    @property
    def dtype(self) -> torch.dtype:
        """The floating type of the weights; torch's default for a module without any."""
        tensors = (t for m in self.module.modules() for t in tensors_of(m))
        return next((t.dtype for t in tensors if t.is_floating_point()), torch.get_default_dtype())

    @property
    def precision(self) -> torch.dtype:
        """The floating type of pictures, maps and scores: double for a network in double precision, else single."""
        return torch.float64 if self.dtype == torch.float64 else torch.float32

    def enter(self, images: Tensor) -> Tensor:
        """Images in [0, 1] as the module takes them: its device, its own preprocessing, its dtype.

        A preprocessing that is a module, or holds some, is a guest too: private copies of them run, in eval mode. Of a
        pair each picture enters alone, and they lie side by side again.
        """
        # A copy, because a module may begin with an operation in place.
        images = images.to(self.device, self.precision, copy=True)
        if self.preprocess is None:
            entered = images
        elif self.pair:
            entered = side_by_side(*(self._preprocessed(picture) for picture in halves(images)))
        else:
            entered = self._preprocessed(images)
        # What the preprocessing has made of another type, it has for a reason.
        return entered.to(self.dtype) if getattr(entered, "dtype", None) == self.precision else entered

    def _preprocessed(self, images: Tensor) -> Tensor:
        assert self.preprocess is not None
        entrance: Entrance | None = self._private.take("entrance")
        if entrance is None or entrance.function is not self.preprocess:
            entrance = Entrance(self.preprocess)
        entered = entrance(images)
        self._private.put("entrance", entrance)
        return entered

    def read(self, found: Mapping[str, Tensor]) -> Activations:
        """Activations as scores are taken of them: in at least single precision, where a square does not overflow."""
        read = {n: value.to(self.precision) if value.is_floating_point() else value for n, value in found.items()}
        return Activations(read, axes_of(found))

    @torch.inference_mode(False)
    def twin(self) -> nn.Module:
        """A private copy in eval mode, frozen, on `device`; it shares the storage of weights already there."""
        twin = twin_of(self.module)
        moved = any(tensor.device != self.device for part in twin.modules() for tensor in tensors_of(part))
        if self.pair:
            self.pair.admit(twin)
        return twin.to(self.device) if moved else twin

    @contextmanager
    def borrowed(self) -> Iterator[nn.Module]:
        """A twin for one short run, up to its backward pass; the same one as before, as long as it is a true twin."""
        with self._lent() as kept:
            yield kept.twin

    def remembered(self, asked: Hashable, find: Callable[[nn.Module], _T]) -> _T:
        """What `find` gives for a twin; it is called once, while the module and the preprocessing are what they were.

        Weights do not count, so it has to be something that does not depend on their values.
        """
        with self._lent() as kept:
            preprocess, found = kept.known.get(asked, (None, None))
            if asked not in kept.known or preprocess is not self.preprocess:
                weights = weights_of(self.module)
                versions = versions_of(weights)
                found = find(kept.twin)
                # If somebody trains it meanwhile, what was found may come of that.
                if versions_of(weights) == versions:
                    kept.known[asked] = self.preprocess, found
            return found  # type: ignore[return-value]

    @contextmanager
    def _lent(self) -> Iterator[KeptTwin]:
        kept: KeptTwin | None = self._private.take("twin")
        if kept is None or kept.module is not self.module or kept.device != self.device or not kept.renewed():
            kept = KeptTwin(self.module, self.twin(), self.device)
        yield kept
        # Not after an error, which may have left anything on it.
        if kept.lasting:
            self._private.put("twin", kept)

    def __getstate__(self) -> dict[str, Any]:
        """All but what is kept for the next run, so that a copy makes its own."""
        return {**vars(self), "ready": Shelf(), "_private": Shelf()}

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
        found = torchvision_model(name, weights)
        network = cls(
            found.module,
            preprocess=found.preprocess,
            labels=found.labels,
            input_size=found.input_size,
            device=device,
        )
        network.name = name
        return network


def as_network(network: Network | nn.Module) -> Network:
    """The network itself, or a bare module as one: no preprocessing, no labels, the module's own device.

    Raises:
        TypeError: if it is neither.
        ValueError: if weights have no values yet; the message says which, and how they get them.
    """
    if isinstance(network, Network):
        _check_values(network.module)
        return network
    if not isinstance(network, nn.Module):
        raise TypeError(f"expected a Network or an nn.Module, got {type(network).__name__}: {network!r}")
    _check_values(network)
    tensors = (t for m in network.modules() for t in tensors_of(m))
    return Network(network, device=next((t.device for t in tensors), torch.device("cpu")))


def _check_values(module: nn.Module) -> None:
    for part in module.modules():
        for tensor in tensors_of(part):
            lazy = type(tensor) in (UninitializedParameter, UninitializedBuffer)
            if tensor.is_meta or lazy:
                name = next(name for name, each in named(module).items() if each is part)
                where = f"layer {name!r} ({type(part).__name__})" if name else type(part).__name__
                if lazy:
                    raise ValueError(
                        f"{where} has weights without a shape yet: run the module once on images, as in module(images)"
                    )
                raise ValueError(
                    f"{where} has weights on the meta device, which holds no values: give it some first, as in "
                    "module.to_empty(device='cpu') and then module.load_state_dict(...)"
                )


def _best_device() -> torch.device:
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
