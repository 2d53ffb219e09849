"""DreamCanvas: a picture that dreams, and the controls that steer it while it does."""

import functools
import math
import time
from typing import Any, NamedTuple

import traitlets as t
from torch import Tensor, nn

from nbvis.engine import (
    Fourier,
    Images,
    Network,
    Objective,
    Steps,
    activity,
    as_network,
    channel,
    check_objective,
    differentiable,
    dream,
    layers,
    octave_sizes,
    smallest_size,
)
from nbvis.sessions import Finding, Session, described, picture, same, shown_as

from .base import GRACE
from .given import Given, GivenImage, fitted, given_image
from .later import LaterList, LaterText
from .notes import Note, plain
from .numbers import InvalidValueError, Number, numbers, one_of
from .page import page
from .recipe import dream_recipe
from .rows import layer_rows, possible_layer
from .run import RunWidget
from .sheet import Cell

LIVE = frozenset({"objective", "lr", "steps", "jitter", "rotation"})
"""What changes while a dream goes on; the rest begins it again."""


class DreamCanvas(RunWidget, front_end="dream_canvas"):
    """DeepDream, live: what a layer or a channel likes grows in a photograph or out of noise.

    Args:
        network: a `Network` or a bare module.
        image: (1, channels, height, width) or (channels, height, width) in [0, 1], or what else `as_images` takes; None
            to start from noise.
        objective: what to dream of; None for a layer in the middle of the network, or the layer and channel given.
        options: any of the traits.

    Raises:
        TypeError: for an unknown option, with the near matches.
        ValueError: for an image, layer, channel or number that cannot be; the message says what can.
        RuntimeError: if the network does not run on the image; its own error is attached.

    Example:
        >>> canvas = DreamCanvas(nn.Sequential(nn.Conv2d(3, 4, 3)), torch.rand(3, 32, 48), steps=2, octaves=1)
        >>> canvas.play()
        >>> canvas.wait(), canvas.result.shape
        (True, torch.Size([1, 3, 32, 48]))
    """

    layer = LaterText(help="The layer to dream of; empty while an objective of your own is used.").tag(sync=True)
    channel = t.Int(None, allow_none=True, help="Its channel; None for the whole layer.").tag(sync=True)
    objective = t.Instance(Objective, allow_none=True, help="An objective of your own; None for layer and channel.")
    image = GivenImage(help="The photograph, (1, channels, height, width), or None; another begins again.")
    start = t.Unicode(help="What a run starts from: image or noise.").tag(sync=True)
    lr = Number(0.01, 0.001, 0.5, "Learning rate", log=True, help="Size of a step; larger ones are wilder.")
    steps = Number(30, 1, 200, "Steps per octave", whole=True, log=True, help="Updates at each scale.")
    jitter = Number(32, 0, 128, "Jitter", unit="px", whole=True, help="How far each step shifts the picture at random.")
    rotation = Number(0, 0, 90, "Rotation", unit="°", help="The range of angles from which each step draws one.")
    octaves = Number(4, 1, 8, "Octaves", whole=True, help="Scales to dream at, coarse to fine; a change begins again.")
    octave_scale = Number(1.4, 1.1, 2, "Octave scale", unit="×", help="From one octave to the next; begins again.")
    seed = t.Int(0, help="Of the random shifts, angles and noise.").tag(sync=True)
    expression = LaterText(help="The objective, as it is written in Python.").tag(sync=True)
    layers = LaterList(help="The layers there are: [name, kind, (channels, …)].").tag(sync=True)
    starts = t.List(t.Unicode(), help="What a run can start from.").tag(sync=True)
    size = t.List(t.Int(), help="Height and width of the picture, pixels.").tag(sync=True)

    def __init__(
        self,
        network: Network | nn.Module,
        image: Images | None = None,
        objective: Objective | None = None,
        **options: Any,
    ):
        self._network = as_network(network)
        longest = options.pop("working_size", "auto")
        self._given = None if image is None else given_image(image, "DreamCanvas", longest=longest)
        self._shape = self._shape_of(self._given)
        self._counts: dict[str, int] | None = None
        self._own, self._instead = objective, ("", None)
        self._trial: Finding | None = None
        self._flows: set[str] | None = None
        self._smallest = 1
        self._options: dict[str, Any] = {}
        super().__init__(image=self._image, objective=objective, **self._of_image() | options)
        self._name_subject()
        self._renew()
        self._session = Session(
            functools.partial(_dream, self._network),
            self._options,
            live=LIVE,
            listener=self._on_frame,
            background=self.background,
            listens=self._hearing,
        )
        self._tell_notes()
        began = time.monotonic()
        self._begin_to_see()
        if self._trial is not None:
            self._trial.leave(max(0.0, began + GRACE - time.monotonic()))
            if self._trial.error:
                raise self._trial.error
        if self.running:
            self.play()

    def __repr__(self) -> str:
        """What it shows and how far it is, the same on every machine."""
        far = f", {self._far()}" if self._session.last else ""
        return f"DreamCanvas({self.subject}, {self.expression}, {self.state}{far})"

    @property
    def unit(self) -> tuple[str, int | None]:
        """The layer and channel; setting it sets both."""
        return self.layer, self.channel

    @unit.setter
    def unit(self, unit: tuple[str, int | None]) -> None:
        with self.hold_trait_notifications():
            self.layer, self.channel = unit

    def recipe(self) -> str:
        """Python source that makes the picture shown, from the network, the image and an objective of your own."""
        past, height, width = self._session.past, *self._shape[2:]
        noise = f"Fourier({height}, {width}, channels={self._shape[1]}, seed={past.origin['seed']}).image()"
        image = self._given.source if self._given and past.origin["images"] is self._given.image else noise
        return dream_recipe(image, past)

    @property
    def _image(self) -> Tensor | None:
        return self._given.original if self._given else None

    def _shape_of(self, given: Given | None) -> tuple[int, ...]:
        return tuple(given.image.shape) if given else _noise_shape(self._network)

    def _of_image(self) -> dict[str, Any]:
        """The traits that follow from the image."""
        starts = ["noise"] if self._given is None else ["image", "noise"]
        found: dict[str, Any] = {"starts": starts, "start": starts[0], "size": list(self._shape[2:])}
        if self._given:
            found["working_size"] = self._given.longest
        return found

    def _name_subject(self) -> None:
        self._sizes = self._given.sizes() if self._given else []
        self.set_trait("subject", f"{self._network.name} · {self._shape[2]} × {self._shape[3]}")

    def _see(self) -> Finding:
        image = self._noise_or(self._given, self._shape)
        return self._find_out(functools.partial(_seen, self._network, self._given, image, self._own), self._on_seen)

    def _on_seen(self, seen: "_Seen") -> None:
        """Takes over what was found out about the network and an image."""
        with self._traits_lock:
            other = seen.given is not self._given
            self._given, self._shape = seen.given, self._shape_of(seen.given)
            self._counts = {name: shape[0] for name, _, shape in seen.rows}
            self.layers = seen.rows
            if other:
                with self.hold_trait_notifications():
                    for name, value in self._of_image().items():
                        self.set_trait(name, value)
                    self._name_subject()
            if self._own is None:
                self.layer = self._possible(self.layer) if self.layer else _middle(seen.rows)
                self.channel = self._possible_channel(self.channel)
            self._renew()
        if other:
            self._session.renew()
        work = functools.partial(_tried, self._network, self._start_image())
        self._trial = self._lookout.ask(work, self._on_tried, aside=True)
        self._seen()

    def _on_tried(self, tried: "_Tried") -> None:
        """Takes over what small pictures told about the network."""
        with self._traits_lock:
            self._flows, self._smallest = tried.flows, tried.smallest
            self._bound_scales()
            if self.layer:
                self._possible(self.layer)

    def _bound_scales(self) -> None:
        """Has the sliders offer only what leaves the smallest octave large enough for the network."""
        room, controls = min(self._shape[2:]) / self._smallest, dict(self._controls)
        most = sum(self.octave_scale**n <= room for n in range(8))
        largest = room ** (1 / (self.octaves - 1)) if self.octaves > 1 else math.inf
        for name, high in {"octaves": most, "octave_scale": math.floor(100 * min(largest, 2)) / 100}.items():
            trait, value = numbers(self)[name], getattr(self, name)
            controls[name] = controls[name] | {"high": min(trait.high, max(high, trait.low, value))}
        self._controls = controls

    @t.validate("image")
    def _validate_image(self, proposal: Any) -> Tensor | None:
        value = proposal["value"]
        if value is self._image:
            return self._image
        given = None if value is None else given_image(value, "DreamCanvas")
        self._look_at(given)
        return given.original if given else None

    def _look_at(self, given: Given | None) -> None:
        """Looks at another picture, or the same at another size."""
        shape = self._shape_of(given)
        octave_sizes(shape[2], shape[3], int(self.octaves), self.octave_scale)
        image = self._noise_or(given, shape)
        work = functools.partial(_seen, self._network, given, image, self._objective())
        look = self._find_out(work, self._on_seen)
        if look.error:
            raise InvalidValueError(described(look.error)) from look.error

    @t.validate("working_size")
    def _validate_working_size(self, proposal: Any) -> int | None:
        longest = proposal["value"]
        if self._given is None:
            if longest is not None:
                raise InvalidValueError("there is no picture to work on at another size: set image first")
            return None
        if longest == self._given.longest:
            return longest
        given = fitted(self._given, longest)
        if given.longest != self._given.longest:
            self._look_at(given)
        return given.longest

    @t.validate("layer")
    def _validate_layer(self, proposal: Any) -> str:
        name = proposal["value"]
        if name == "" and (self.objective is not None or self._counts is None):
            return name
        return self._possible(name)

    def _possible(self, layer: str) -> str:
        """The layer, if one can dream of it, as far as is known."""
        if self._counts is None:
            return possible_layer(layer, self._network.module)
        one_of("layer", layer, list(self._counts))
        if self._flows is not None and not {layer, layer.rpartition(":")[0]} & self._flows:
            raise InvalidValueError(
                f"no gradient flows back from layer {layer!r}: the network detaches it, or an operation before it "
                "cannot be differentiated"
            )
        return layer

    @t.validate("channel")
    def _validate_channel(self, proposal: Any) -> int | None:
        return self._possible_channel(proposal["value"])

    def _possible_channel(self, index: int | None) -> int | None:
        layer = self.layer
        count = None if self._counts is None else self._counts.get(layer, 0)
        if index is not None and not (0 <= index and (count is None or index < count)):
            if count is None:
                raise InvalidValueError(f"no channel {index}: they are counted from 0, or None for all of them")
            what = f"layer {layer!r} has {count}, 0 to {count - 1}" if count else "pick a layer first"
            raise InvalidValueError(f"no channel {index}: {what}, or None for all of them")
        return index

    @t.validate("objective")
    def _validate_objective(self, proposal: Any) -> Objective | None:
        own = proposal["value"]
        if own is not None and own is not self._own:
            self._instead = self.layer, self.channel
            work = functools.partial(_checked, self._network, own, self._start_image())
            look = self._find_out(work, self._on_checked)
            if look.error:
                raise InvalidValueError(described(look.error)) from look.error
        elif own is None and not self.layer and self._counts is not None:
            raise InvalidValueError("without an objective of your own there must be a layer: set layer")
        return own

    def _on_checked(self, objective: Objective) -> None:
        with self._traits_lock:
            self._own = objective
            self._renew()

    def _on_failure(self, look: Finding) -> None:
        with self._traits_lock:
            self.image, self.working_size = self._image, self._given.longest if self._given else None
            if self.objective is not self._own:
                if self._own is None:
                    self.layer, self.channel = self._instead
                else:
                    self.objective = self._own
        super()._on_failure(look)

    @t.validate("start")
    def _validate_start(self, proposal: Any) -> str:
        return one_of("start", proposal["value"], self.starts)

    @t.validate("octaves", "octave_scale")
    def _validate_octaves(self, proposal: Any) -> float:
        name, value = proposal["trait"].name, proposal["value"]
        if self._from_a_view and value > (high := self._controls[name]["high"]):
            raise InvalidValueError(
                f"{proposal['trait'].label} ({name}) is at most {high:g} here: the smallest octave of "
                f"{self._shape[2]} × {self._shape[3]} pixels would be too small for the network"
            )
        scales: dict[str, Any] = {"octaves": self.octaves, "octave_scale": self.octave_scale}
        try:
            octave_sizes(self._shape[2], self._shape[3], **scales | {name: value})
        except ValueError as error:
            raise InvalidValueError(str(error)) from error
        return value

    @t.observe("objective")
    def _on_objective(self, change: Any) -> None:
        if self.objective is not None:
            self.layer, self.channel = "", None
        else:
            self._own = None
        self._renew()

    @t.observe("layer")
    def _on_layer(self, change: Any) -> None:
        if self.layer:
            self.objective = None
        if self._counts is not None and self.channel is not None and self.channel >= self._counts.get(self.layer, 0):
            self.channel = None
        self._renew()

    @t.observe("channel", "start", "seed", "lr", "steps", "jitter", "rotation", "octaves", "octave_scale")
    def _on_option(self, change: Any) -> None:
        if change["name"].startswith("octave"):
            self._bound_scales()
        self._renew()

    def _renew(self) -> None:
        """Tells the session which options are not what they were."""
        names = ("lr", "steps", "jitter", "rotation", "octaves", "octave_scale", "seed")
        options: dict[str, Any] = {name: getattr(self, name) for name in names}
        objective = self._objective()
        # Until an objective of one's own is known to fit, the run keeps the one it has.
        options |= {"objective": objective or self._options.get("objective"), "images": self._start_image()}
        changed = {name: value for name, value in options.items() if not same(self._options.get(name), value)}
        self._options = options
        self.expression = "" if objective is None else str(objective)
        if hasattr(self, "_session"):
            self._changed(changed, remake=True)

    def _objective(self) -> Objective | None:
        if self._own is not None:
            return self._own
        return _objective(self.layer, self.channel) if self.layer else None

    def _start_image(self) -> Tensor:
        return self._noise_or(None if self.start == "noise" else self._given, self._shape)

    def _noise_or(self, given: Given | None, shape: tuple[int, ...]) -> Tensor:
        return given.image if given else _noise(shape, self.seed)

    def _current_notes(self) -> list[Note]:
        own = plain(self._given.note if self._given else "", shown_as(self._shape[1]))
        return [*own, *super()._current_notes()]

    def _page(self) -> str:
        facts = {"Network": self.subject, "Objective": self.expression}
        facts |= {control["label"]: f"{getattr(self, name):g}" for name, control in self._controls.items()}
        facts |= {"Notes": self.notes} if self.notes else {}
        cell = Cell(picture(self.result), f"Dream of {self.expression}", self._far())
        return page(cell.title, [cell], facts, self.recipe())

    def _words(self) -> str:
        return f"Dream of {self.expression} in {self.subject}, {self._far()}."

    def _far(self) -> str:
        step = self._session.last
        return f"step {step.index + 1} of {step.total}" if step else "before the first step"


def _dream(network: Network, options: dict[str, Any]) -> Steps:
    images, octaves = options.pop("images"), options["octaves"]
    try:
        return dream(network, options.pop("objective"), images, **options)
    except RuntimeError as error:
        if octaves == 1:
            raise
        height, width = octave_sizes(images.shape[2], images.shape[3], octaves, options["octave_scale"])[0]
        small = (
            f"The smallest of {octaves} octaves has {height} × {width} pixels: fewer octaves or a smaller octave scale"
        )
        raise RuntimeError(f"{error}. {small} keep it larger.") from error


@functools.lru_cache(4096)
def _objective(layer: str, index: int | None) -> Objective:
    return activity(layer) if index is None else channel(layer, index)


@functools.lru_cache(4)
def _noise(shape: tuple[int, ...], seed: int) -> Tensor:
    return Fourier(shape[2], shape[3], channels=shape[1], seed=seed).image()


def _noise_shape(network: Network) -> tuple[int, ...]:
    first = next((m for m in network.module.modules() if isinstance(m, nn.Conv2d)), None)
    return (1, first.in_channels if first else 3, *(network.input_size or (224, 224)))


class _Seen(NamedTuple):
    """A network and an image.

    Attributes:
        given: the image; None for noise.
        rows: the layers that it goes through.
    """

    given: Given | None
    rows: list[list[Any]]


def _seen(network: Network, given: Given | None, image: Tensor, objective: Objective | None) -> _Seen:
    rows = layer_rows(layers(network, image))
    if objective is not None:
        _checked(network, objective, image)
    return _Seen(given, rows)


class _Tried(NamedTuple):
    """What passes of small pictures told about a network.

    Attributes:
        smallest: the shorter side of pictures it runs on, pixels.
        flows: the layers from which a gradient flows back; None if that could not be tried.
    """

    smallest: int
    flows: set[str] | None


def _tried(network: Network, image: Tensor) -> _Tried:
    smallest = smallest_size(network, image)
    try:
        return _Tried(smallest, differentiable(network, image[..., : 2 * smallest, : 2 * smallest]))
    except Exception:  # the run will say it in its own words
        return _Tried(smallest, None)


def _checked(network: Network, objective: Objective, image: Tensor) -> Objective:
    check_objective(network, objective, image)
    return objective


def _middle(found: list[list[Any]]) -> str:
    """A layer a little past the middle, where textures become parts of things; whole blocks before what is in them."""
    names = {name for name, _, _ in found}
    blocks = [row for row in found if not any(row[0].startswith(f"{name}.") for name in names)]
    maps = [name for name, _, shape in blocks if len(shape) == 3] or [name for name, _, _ in blocks]
    if not maps:
        raise ValueError("the network has no layer with channels: give an objective, such as activity('')")
    return maps[len(maps) * 4 // 7]
