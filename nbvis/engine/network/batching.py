"""Batches: whether pictures can go through a network together, each answered as it would be alone."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.overrides import _get_current_function_mode_stack

from .call_counts import count_calls
from .forward_hooks import forward, tapped
from .guard import TwinError
from .layer_names import OUTPUT
from .layout import Activations
from .network import Network
from .random_state import unchanged_chance

_SMALL = 64
"""Side in pixels above which the trial is made on a part of the picture, if the network runs on one."""


@dataclass(frozen=True)
class Batching:
    """How pictures have to be shown to a network so that the answer to one depends on no other.

    Attributes:
        apart: one by one.
        fresh: each to a new copy of the network, since a pass changes the answer to the next.
        notes: sentences that say why.
        dimensions: of layers, the dimension along which the pictures of a batch lie, where it is not the first.
    """

    apart: bool = False
    fresh: bool = False
    notes: tuple[str, ...] = ()
    dimensions: Mapping[str, int] = field(default_factory=dict)

    def answer(self, images: Tensor, run: Callable[[Tensor], Activations], seed: int = 0) -> Activations:
        """The activations of a batch, from a function that gives those of the images it is shown together.

        Args:
            images: (batch, channels, height, width).
            run: runs the network, or a new copy of it if it has to be fresh.
            seed: what random numbers begin with for each picture.
        """
        found = []
        for each in images.split(1) if self.apart else (images,):
            with unchanged_chance(seed):
                found.append(run(each))
        return self.joined(found)

    def joined(self, found: Sequence[Activations]) -> Activations:
        """The activations of pictures that were shown one by one, as those of a batch."""
        if len(found) == 1:
            return found[0]
        every = {
            # A single number, which the network takes for a whole batch, is the picture's own here.
            name: torch.cat([torch.atleast_1d(each[name]) for each in found], self.dimensions.get(name, 0))
            for name in found[0]
        }
        return Activations(every, found[0].axes)


def batching(
    network: Network, images: Tensor, names: Sequence[str], calls: Mapping[str, int] | None = None
) -> Batching:
    """How pictures have to be shown to a network: found out in a trial, once as long as the network is what it was.

    Args:
        network: the network.
        images: of the kind that it will be shown, (batch, channels, height, width); the first one is enough.
        names: the layers whose activations are wanted.
        calls: how often a forward pass calls each, if that is known.
    """

    def find(twin: nn.Module) -> Batching:
        with torch.inference_mode(False), torch.no_grad():
            counted = count_calls(network, images, names) if calls is None and OUTPUT not in names else calls
            return _found(network, twin, images[:1].detach(), names, counted)

    # Within a mode that changes what functions do, it is another network.
    modes = [type(mode) for mode in _get_current_function_mode_stack()]
    return network.remembered(("batching", *names, *modes), find)


def _found(
    network: Network, twin: nn.Module, image: Tensor, names: Sequence[str], calls: Mapping[str, int] | None
) -> Batching:
    height, width = image.shape[2:]
    if min(height, width) > _SMALL:
        try:
            return _Trial(network, image[..., : height // 2, : width // 2], names, calls).result(twin)
        except TwinError:
            raise
        except Exception:  # it takes one size only, or more is the matter than its size
            pass
    trial = _Trial(network, image, names, calls)
    try:
        return trial.result(network.twin())  # since the first may have seen a part of the picture
    except _AloneError:
        # If it does not run on several either, that is for the pass itself to report.
        return Batching(
            notes=(f"{network.name} runs on batches only, so what it says of a picture may hang on others.",)
        )
    except _TogetherError:
        return Batching(apart=True, notes=(f"{network.name} runs on one picture at a time only.",))


class _AloneError(Exception):
    """The network does not run on a single picture."""


class _TogetherError(Exception):
    """The network does not run on two pictures."""


class _Trial:
    """Shows a network a picture alone, again, and beside others that differ as much as pictures can."""

    def __init__(self, network: Network, image: Tensor, names: Sequence[str], calls: Mapping[str, int] | None):
        self._network, self._names, self._calls = network, names, calls
        noise = 0.3 * torch.rand(image.shape, generator=torch.Generator().manual_seed(0)).to(image)
        self._image, self._others = image, (noise, 1 - noise) if image.mean() > 0.5 else (1 - noise, noise)
        self._drew = False
        self._dimensions: dict[str, int] = {}

    def result(self, twin: nn.Module) -> Batching:
        """What comes of it, for a twin that has answered nobody else.

        Raises:
            _AloneError, _TogetherError: if it does not run on one picture, or on two.
        """
        alone = self._alone(twin)
        beside = self._together(twin, 0, first=False)
        if not self._drew and not _differ(alone, self._part(alone, beside, first=False), units=8):
            return Batching(dimensions=self._dimensions)
        return self._diagnosis(alone)

    def _diagnosis(self, alone: Activations) -> Batching:
        """Why it is not the same alone and beside another: chance, a state, the other, or rounding."""
        twin = self._network.twin()
        again, after = self._alone(twin), self._alone(twin)
        fresh = _differ(again, after, units=1)
        pairs = [self._part(alone, self._together(self._network.twin(), k)) for k in range(2)]
        last = self._part(alone, self._together(self._network.twin(), 0, first=False), first=False)
        # Passes of one shape round alike; of two shapes they need not, even less so with TensorFloat-32 in between.
        sees = _differ(*pairs, units=1) or any(_differ(alone, each, units=40_000) for each in (pairs[0], last))
        notes = []
        if _differ(alone, again, units=1):
            notes.append("The network answers the same picture otherwise each time, by something outside itself.")
        if self._drew:
            notes.append("The network draws random numbers: every picture is shown with the same ones, one by one.")
        if fresh:
            notes.append(
                "A forward pass changes the next one's answer: each begins from the state the network has now."
            )
        if sees and not self._drew:
            notes.append(
                "The network's answer to a picture depends on the others in its batch, as statistics of the batch do: "
                "pictures are shown one by one."
            )
        return Batching(self._drew or fresh or sees, fresh, tuple(notes), self._dimensions)

    def _alone(self, twin: nn.Module) -> Activations:
        try:
            return self._answer(twin, self._image)
        except TwinError:
            raise
        except Exception as error:
            raise _AloneError from error

    def _together(self, twin: nn.Module, other: int, first: bool = True) -> Activations:
        """The answer to the picture and another, the picture coming first or last."""
        batch = [self._image, self._others[other]]
        try:
            return self._answer(twin, torch.cat(batch if first else batch[::-1]))
        except TwinError:
            raise
        except Exception as error:
            raise _TogetherError from error

    def _answer(self, twin: nn.Module, images: Tensor) -> Activations:
        with unchanged_chance(0) as drew:
            entered = self._network.enter(images)
            if self._calls is None:
                with tapped(twin, self._names) as found:
                    twin(entered)
            else:
                found = forward(twin, entered, self._names, self._calls)
        self._drew |= drew[0]
        return found

    def _part(self, alone: Activations, pair: Activations, first: bool = True) -> Activations:
        """What of the answer to a pair is the picture's own."""
        found = Activations()
        for name, value in pair.items():
            size = alone[name].shape if name in alone else ()
            longer = [k for k, (one, two) in enumerate(zip(size, value.shape, strict=False)) if one != two]
            if longer and value.shape[longer[0]] > size[longer[0]]:
                axis = longer[0]
                value = value.narrow(axis, 0 if first else value.shape[axis] - size[axis], size[axis])
                if axis:
                    self._dimensions[name] = axis
            found[name] = value
        return found


def _differ(one: Activations, other: Activations, units: float) -> bool:
    """Whether two answers are further apart than so many units in the last place, or a tenth, of the largest value."""
    for name, value in one.items():
        compared = other.get(name)
        if compared is None or compared.shape != value.shape:
            return True
        apart = (value != compared) & ~(value.isnan() & compared.isnan())
        if apart.any():
            if not (value.is_floating_point() and value.isfinite().all() and compared.isfinite().all()):
                return True
            share = min(units * torch.finfo(value.dtype).eps, 0.1)
            if (value - compared).abs().max() > share * value.abs().max():
                return True
    return False
