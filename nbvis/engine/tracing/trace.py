"""Following an image through the tensor functions of one forward pass: what dimensions count, and what units see."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakIdKeyDictionary

from . import dimension_rules, indexing
from .axes import Axes, usual_axes
from .dimension_rules import UNKNOWN, Call, Place, Rule
from .receptive_field import Field, Sight, flat
from .seen import Seen
from .windows import WINDOWS


class Trace(TorchFunctionMode):
    """Remembers the place of every tensor that comes from the images.

    A tensor that nobody saw being made, and that is no weight, may come from them too.

    Args:
        fields: whether to follow what is seen as well as what dimensions count, which takes as long again.
    """

    def __init__(self, *, fields: bool = False):
        super().__init__()
        self._fields = fields
        # A place, or None for what does not depend on the images.
        self._places: Any = WeakIdKeyDictionary()
        self.image: tuple[int, int] | None = None

    @contextmanager
    def from_input(self, images: Tensor | Sequence[Tensor], module: nn.Module) -> Iterator[None]:
        """Follows what the module computes from the images, (batch, channels, height, width), inside the block.

        Args:
            images: its input, or its inputs, which are of one size.
            module: what runs.
        """
        for part in module.modules():
            held = [*part._parameters.values(), *part._buffers.values(), *vars(part).values()]
            for each in flat(held):
                if isinstance(each, Tensor):
                    self._places[each] = None
        for number, each in enumerate([images] if isinstance(images, Tensor) else images):
            self._places[each] = self._start(each, number)
        with self:
            yield

    def _start(self, images: Tensor, number: int) -> Place:
        if images.dim() != 4:
            return UNKNOWN
        self.image = (images.shape[2], images.shape[3])
        place = Place(usual_axes(images.shape))
        if not self._fields:
            return place
        return replace(place, field=Field(Sight(), Sight()), seen=Seen.of_image(*self.image, number))

    def field(self, activation: Tensor) -> Field | None:
        """What its rows and columns see of any image; None if unbounded, not known, or no grid."""
        place = self._places.get(activation)
        return place.field if place is not None and self.axes(activation).grid else None

    def seen(self, activation: Tensor) -> Seen | None:
        """What its rows and columns see of the image that is followed; None if that is not known."""
        place = self._places.get(activation)
        return place.seen and place.seen.fitting(self.axes(activation)) if place is not None else None

    def axes(self, activation: Tensor, given: Sequence[object] = ()) -> Axes:
        """What the dimensions of an activation count; what was not seen being made is like what it was made of.

        Args:
            activation: what a layer returned.
            given: what the layer was given.
        """
        same = [each for each in given if isinstance(each, Tensor) and each.shape == activation.shape]
        found = (axes for each in (activation, *same) if (axes := _axes(self._places.get(each))) is not None)
        axes = next(found, None)
        return usual_axes(activation.shape) if axes is None else axes.settled(activation.shape)

    def take(self, tensor: Tensor, original: Tensor, given: Sequence[object]) -> None:
        """Follows a tensor that stands in for another, which a layer returned; the rest as for `axes`."""
        self._places[tensor] = Place(self.axes(original, given))

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Runs the function and notes the place of what it returns."""
        kwargs = dict(kwargs or {})
        output = func(*args, **kwargs)
        with torch._C.DisableTorchFunction():  # other modes have no business with the book-keeping
            self._note(func, args, kwargs, output)
        return output

    def _note(self, func: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any], output: Any) -> None:
        found = [t for t in _several(output) if isinstance(t, Tensor)]
        name = _name(func)
        if not found and name != "setitem":
            return
        if "input" in kwargs:  # what comes first by position has different names in different functions
            args = (kwargs.pop("input"), *args)
        given = [t for t in flat([*args, *kwargs.values()]) if isinstance(t, Tensor)]
        sources = [(t, place) for t in given if (place := self._place(t)) is not None]
        if name == "setitem":
            if any(t is not args[0] for t, _ in sources):
                self._write(args[0], Place(_axes(self._places.get(args[0]))))
            return
        written = "out" in kwargs or _in_place(func)
        for each in found:
            place = None
            if sources and not name.startswith("new_") and not name.endswith("_like"):
                place = RULES.get(name, dimension_rules.opaque)(
                    Call(name, func, args, kwargs, sources, each, self.image or (0, 0))
                )
            if written:
                self._write(each, place)
            else:
                self._places[each] = place

    def _place(self, tensor: Tensor) -> Place | None:
        return self._places.get(tensor, None if isinstance(tensor, nn.Parameter) else UNKNOWN)

    def _write(self, tensor: Tensor, place: Place | None) -> None:
        """Notes what was written into a tensor, which others may share."""
        if self._place(tensor) == place:
            return
        for other, before in [*self._places.items()]:
            if other is not tensor and _storage(other) == _storage(tensor):
                self._places[other] = Place(_axes(before))
        self._places[tensor] = place


def _several(output: Any) -> Iterator[Any]:
    return flat([output]) if isinstance(output, Tensor | tuple | list) else iter(())


def _axes(place: Place | None) -> Axes | None:
    return place.axes if place is not None else None


def _name(func: Callable[..., Any]) -> str:
    name = getattr(func, "__name__", "").strip("_")
    return getattr(getattr(func, "__self__", None), "__name__", name) if name == "get" else name


def _in_place(func: Callable[..., Any]) -> bool:
    name = getattr(func, "__name__", "")
    return name.endswith("_") and not name.endswith("__")


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr() if tensor.layout is torch.strided else id(tensor)


RULES: dict[str, Rule] = {
    **WINDOWS,
    **dict.fromkeys(
        "add sub rsub mul div iadd isub imul idiv itruediv radd rmul truediv rtruediv neg abs pow square sqrt exp log "
        "clamp clip clamp_min minimum maximum relu relu6 hardtanh leaky_relu prelu rrelu elu selu celu silu gelu mish "
        "sigmoid tanh hardswish hardsigmoid softplus softsign threshold logsigmoid dropout dropout2d alpha_dropout "
        "feature_dropout feature_alpha_dropout clone contiguous to float double half bfloat16 type cpu cuda detach "
        "requires_grad data where lerp masked_fill copy local_response_norm channel_shuffle".split(),
        dimension_rules.pointwise,
    ),
    **dict.fromkeys(
        "permute transpose swapaxes swapdims movedim moveaxis t T mT adjoint".split(), dimension_rules.permuted
    ),
    **dict.fromkeys("view reshape flatten unflatten ravel view_as reshape_as".split(), dimension_rules.regrouped),
    **dict.fromkeys("expand expand_as repeat tile".split(), indexing.stretched),
    **dict.fromkeys("mean sum amax amin max min prod var std argmax argmin logsumexp".split(), dimension_rules.reduced),
    **dict.fromkeys("softmax log_softmax softmin cumsum".split(), dimension_rules.along(1)),
    **dict.fromkeys("select unbind".split(), indexing.selected),
    **dict.fromkeys("chunk split tensor_split index_select".split(), indexing.divided),
    **dict.fromkeys("layer_norm rms_norm".split(), dimension_rules.normalized),
    **dict.fromkeys("matmul bmm".split(), dimension_rules.product),
    **dict.fromkeys("cat concat concatenate".split(), dimension_rules.joined),
    "normalize": dimension_rules.along(2, 1),
    "unsqueeze": dimension_rules.unsqueezed,
    "squeeze": dimension_rules.squeezed,
    "getitem": indexing.item,
    "narrow": indexing.narrowed,
    "linear": dimension_rules.linear,
    "stack": dimension_rules.stacked,
}
