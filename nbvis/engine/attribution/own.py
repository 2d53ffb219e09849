"""Anyone's method: a function of a module, its inputs and a class, run as the methods of the house are."""

import inspect
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..network.code_names import uses_of_function
from ..network.network import Network
from ..network.random_draws import Draws
from ..network.random_state import Deal, dealing
from ..network.random_streams import borrowed
from ..network.twin import twin_of
from .method import Found, Method, Place
from .passes import Passes

Function = Callable[..., Tensor]
"""(module, inputs, target) → map, shaped like the inputs."""


def own_method(function: Function, name: str | None = None) -> Method:
    """A record for a method of one's own.

    Args:
        function: called for each image with a module, its inputs and the index of a class; it gives a map shaped like
            the inputs. The module is a private copy in eval mode, weights and all, that it may change as it likes. The
            inputs are (1, channels, height, width), preprocessed, on the network's device, and a leaf that requires
            gradients. What it draws from random numbers begins anew for each image, and is put back.
        name: what it is called; None for its `__name__`.

    Raises:
        TypeError: if it cannot be called so.
    """
    called: str = name or getattr(function, "__name__", type(function).__name__)
    _bound(function, called, {})

    def run(passes: Passes, **options: Any) -> Found:
        _bound(function, called, options)
        if passes.target.objective is not None:
            raise ValueError(f"{called} explains a class, not the objective {passes.target.objective}: give an index")
        score = passes.scores(passes.images)
        assert passes.target.classes is not None
        maps, notes = [], list[str]()
        for image, target in zip(passes.images, passes.target.classes.tolist(), strict=True):
            found, entered = _one(function, called, passes.network, image[None], target, options)
            if found.shape[2:] != image.shape[1:]:
                notes = [
                    f"The map of {entered.shape[2]} × {entered.shape[3]} values, those the network is given, is shown "
                    f"at the image's {image.shape[1]} × {image.shape[2]} pixels."
                ]
                found = F.interpolate(found, size=image.shape[1:], mode="bilinear", align_corners=False)
            maps.append(found)
            passes.tell(len(maps), len(passes.images))
        return Found(torch.cat(maps), score, notes)

    said = (inspect.getdoc(function) or "").strip().splitlines()
    return _Own(
        run, called, said[0] if said else "A method of your own.", name=called, place=Place.IMAGES, gradients=False
    )


class _Own(Method):
    def check(self, layer: str | None, options: dict[str, Any]) -> None:
        """Refuses a layer; options are for the function to take."""
        super().check(layer, {})


def _bound(function: Function, name: str, options: dict[str, Any]) -> None:
    try:
        inspect.signature(function).bind(None, None, 0, **options)
    except TypeError as error:
        given = "".join(f", {key}={value!r}" for key, value in options.items())
        raise TypeError(f"{name} cannot be called as {name}(module, inputs, target{given}): {error}") from None
    except ValueError:  # what is written in C tells no signature
        pass


def _one(
    function: Function, name: str, network: Network, image: Tensor, target: int, options: dict[str, Any]
) -> tuple[Tensor, Tensor]:
    """The map of one image, and what entered the network for it."""
    with torch.inference_mode(False), torch.enable_grad():
        module: nn.Module = twin_of(network.module, {}).to(network.device)
        if network.pair:
            network.pair.admit(module)
        entered = network.enter(image).detach()
        uses = uses_of_function(function)
        with dealing(Deal(0)) as deal, borrowed(uses.streams, deal), Draws(deal, uses.hidden):
            found = function(module, entered.clone().requires_grad_(), target, **options)
    if not isinstance(found, Tensor):
        raise TypeError(f"{name} gave {type(found).__name__}, and a map is a tensor shaped like its inputs")
    if found.shape != entered.shape:
        raise ValueError(
            f"{name} gave a map of {tuple(found.shape)}, and one shaped like its inputs is {tuple(entered.shape)}"
        )
    return found.detach().to(image), entered
