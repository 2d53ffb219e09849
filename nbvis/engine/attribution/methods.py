"""The methods there are, each with its record; a new one is a module and a line here."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from ..arguments import near
from . import (
    deconvnet,
    grad_cam,
    gradient,
    guided_backprop,
    guided_grad_cam,
    input_x_gradient,
    integrated_gradients,
    occlusion,
    smoothgrad,
)
from .method import Method
from .own import own_method

METHODS: dict[str, Method] = {
    each.METHOD.name: each.METHOD
    for each in (
        gradient,
        input_x_gradient,
        guided_backprop,
        deconvnet,
        integrated_gradients,
        smoothgrad,
        grad_cam,
        guided_grad_cam,
        occlusion,
    )
}
"""The methods of `attribute` by name, in the order in which a panel shows them."""


def method_of(given: str | Method | Callable[..., Tensor]) -> Method:
    """The record of a method that is given by name, as a record, or as a function (module, inputs, target) → map.

    Raises:
        TypeError: if it is none of these.
        ValueError: if there is no method of this name.
    """
    if isinstance(given, Method):
        return given
    if isinstance(given, str):
        if given not in METHODS:
            raise ValueError(f"no method {given!r}{near(given, list(METHODS))}")
        return METHODS[given]
    if not callable(given):
        some: Any = given
        raise TypeError(f"a method is a name or a function (module, inputs, target) → map, not {some!r}")
    return own_method(given)
