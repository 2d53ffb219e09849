"""Steps that are written down, so that a run can be gone on with in another process."""

import dataclasses
from typing import Any

import torch
from torch import Tensor

from ..steps import PictureStep
from .ascend import AscentPlace, AscentStep
from .dream import DreamPlace, DreamStep
from .image_parameters import ImageParameter
from .optimizers import mean_values


def stored(step: PictureStep) -> dict[str, Any]:
    """A kept step as tensors, numbers and words, which `torch.save` writes and `torch.load` reads.

    Args:
        step: of `dream`, `keep_dreaming` or `ascend`, as its `keep()` gives it.

    Returns:
        What `restored` takes; all tensors are on the CPU.

    Raises:
        TypeError: if it is a step of another kind of run.
        ValueError: if it was not kept and the run has gone on.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
        >>> run = dream(net, activity("1"), torch.rand(1, 3, 24, 32), octaves=2, steps=3)
        >>> state = stored(next(run).keep())
        >>> state["kind"], state["step"]["index"]
        ('dream', 0)
    """
    if isinstance(step, DreamStep):
        kind, place = "dream", vars(step.make_place())
    elif isinstance(step, AscentStep):
        kind, place = "ascent", vars(step.make_place())
        place = place | {"parameter": place["parameter"].values}
    else:
        raise TypeError(f"a step of dream, keep_dreaming or ascend can be written down, not {type(step).__name__}")
    own = {field.name: getattr(step, field.name) for field in dataclasses.fields(step) if field.name in _TOLD}
    return _moved({"kind": kind, "step": own, "image": step.image, "place": place}, torch.device("cpu"))


def restored(
    state: dict[str, Any], image: ImageParameter | None = None, device: torch.device | str = "cpu"
) -> PictureStep:
    """The step that was written down, to go on from as `after`.

    Args:
        state: what `stored` gave.
        image: for a step of `ascend`, the image parameter that the run started from, or one like it.
        device: where the run is to go on.

    Raises:
        ValueError: if it is no such state, or the image parameter is missing or of another size.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
        >>> first, second = ascend(net, channel("1", 2), Fourier(16, 16), steps=2)
        >>> state = stored(next(ascend(net, channel("1", 2), Fourier(16, 16), steps=2)).keep())
        >>> after = restored(state, Fourier(16, 16))
        >>> _, again = ascend(net, channel("1", 2), Fourier(16, 16), steps=2, after=after)
        >>> torch.equal(again.image, second.image)
        True
    """
    try:
        here = _moved(dict(state), torch.device(device))
        kind, shown, place = here["kind"], here["image"], here["place"]
        own = here["step"] | {"notes": tuple(here["step"]["notes"])}
        if kind == "dream":
            held = DreamPlace(**place | {"bases": tuple(place["bases"])})
            return DreamStep(**own, make_image=lambda: shown, make_place=lambda: held)
        values = place["parameter"]
    except (KeyError, TypeError) as error:
        raise ValueError("this is no step that was written down: give what stored(step.keep()) gave") from error
    if kind != "ascent" or image is None or image.values.shape != values.shape:
        size = "none" if image is None else tuple(image.values.shape)
        raise ValueError(
            f"a step of ascend goes on with the image parameter that it started from, of values {tuple(values.shape)}, "
            f"not {size}: give it as image"
        )
    going = AscentPlace(**place | {"parameter": image.holding(values)})
    parameter = image.holding(mean_values(values, going.memory))
    return AscentStep(**own, make_image=lambda: shown, parameter=parameter, make_place=lambda: going)


_TOLD = ("index", "total", "notes", "score", "octave", "octaves", "round", "rounds")


def _moved(value: Any, device: torch.device) -> Any:
    """The same with all tensors on a device, each a copy of its own."""
    if isinstance(value, Tensor):
        return value.detach().to(device, copy=True)
    if isinstance(value, dict):
        return {name: _moved(each, device) for name, each in value.items()}
    if isinstance(value, tuple | list):
        return type(value)(_moved(each, device) for each in value)
    return value
