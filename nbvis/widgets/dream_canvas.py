"""DreamCanvas: a picture that dreams, and the controls that steer it while it does."""

import functools
from typing import Any

import traitlets as t
from torch import Tensor, nn

from nbvis.engine import (
    Fourier,
    Network,
    Objective,
    Steps,
    activity,
    channel,
    check_objective,
    dream,
    layers,
    octave_sizes,
)
from nbvis.engine.images import Images
from nbvis.engine.network import as_network
from nbvis.sessions import Session, described, picture, shown_as

from .given import Given, GivenImage, given_image
from .numbers import InvalidValueError, Number, one_of
from .page import page
from .recipe import dream_recipe
from .rows import layer_rows
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

    layer = t.Unicode(help="The layer to dream of; empty while an objective of your own is used.").tag(sync=True)
    channel = t.Int(None, allow_none=True, help="Its channel; None for the whole layer.").tag(sync=True)
    objective = t.Instance(Objective, allow_none=True, help="An objective of your own; None for layer and channel.")
    image = GivenImage(help="The photograph, (1, channels, height, width), or None; another begins again.")
    start = t.Unicode(help="What a run starts from: image or noise.").tag(sync=True)
    lr = Number(0.02, 0.001, 0.5, "Learning rate", log=True, help="Size of a step; larger ones are wilder.")
    steps = Number(10, 1, 200, "Steps per octave", whole=True, log=True, help="Updates at each scale.")
    jitter = Number(32, 0, 128, "Jitter", unit="px", whole=True, help="How far each step shifts the picture at random.")
    rotation = Number(0, 0, 90, "Rotation", unit="°", help="The range of angles from which each step draws one.")
    octaves = Number(4, 1, 8, "Octaves", whole=True, help="Scales to dream at, coarse to fine; a change begins again.")
    octave_scale = Number(1.4, 1.1, 2, "Octave scale", unit="×", help="From one octave to the next; begins again.")
    seed = t.Int(0, help="Of the random shifts, angles and noise.").tag(sync=True)
    expression = t.Unicode(help="The objective, as it is written in Python.").tag(sync=True)
    layers = t.List(help="The layers there are: [name, kind, (channels, …)].").tag(sync=True)
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
        self._look_at(*_seen(self._network, image))
        if objective is None and "layer" not in options:
            options["layer"] = _middle(self._found)
        self._options: dict[str, Any] = {}
        super().__init__(
            image=self._image,
            objective=objective,
            **self._of_image() | options,
        )
        self.set_trait("subject", f"{self._network.name} · {self._shape[2]} × {self._shape[3]}")
        self._renew()
        self._session = Session(
            functools.partial(_dream, self._network),
            self._options,
            live=LIVE,
            listener=self._on_frame,
            background=self.background,
            listens=self._hearing,
        )
        self.notes = self._current_notes()
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
        image = self._given.source if self._given and past.origin["images"] is self._image else noise
        return dream_recipe(image, past)

    @property
    def _image(self) -> Tensor | None:
        return self._given.image if self._given else None

    def _look_at(self, given: Given | None, found: list[list[Any]], shape: tuple[int, ...]) -> None:
        self._given, self._found, self._shape = given, found, shape
        self._counts = {name: shape[0] for name, _, shape in found}

    def _of_image(self) -> dict[str, Any]:
        """The traits that follow from the image."""
        starts = ["noise"] if self._given is None else ["image", "noise"]
        return {"layers": self._found, "starts": starts, "start": starts[0], "size": list(self._shape[2:])}

    @t.validate("image")
    def _validate_image(self, proposal: Any) -> Tensor | None:
        if proposal["value"] is not self._image:
            seen = given, _, shape = _seen(self._network, proposal["value"])
            octave_sizes(shape[2], shape[3], int(self.octaves), self.octave_scale)
            check_objective(self._network, self._objective(), given.image if given else _noise(shape, self.seed))
            self._look_at(*seen)
        return self._image

    @t.validate("layer")
    def _validate_layer(self, proposal: Any) -> str:
        name = proposal["value"]
        if name == "" and self.objective is not None:
            return name
        one_of("layer", name, list(self._counts))
        self._check(activity(name))
        return name

    @t.validate("channel")
    def _validate_channel(self, proposal: Any) -> int | None:
        index, count = proposal["value"], self._counts.get(self.layer, 0)
        if index is not None and not 0 <= index < count:
            what = f"layer {self.layer!r} has {count}, 0 to {count - 1}" if count else "pick a layer first"
            raise InvalidValueError(f"no channel {index}: {what}, or None for all of them")
        return index

    @t.validate("objective")
    def _validate_objective(self, proposal: Any) -> Objective | None:
        if proposal["value"] is not None:
            self._check(proposal["value"])
        elif not self.layer:
            raise InvalidValueError("without an objective of your own there must be a layer: set layer")
        return proposal["value"]

    def _check(self, objective: Objective) -> None:
        try:
            check_objective(self._network, objective, self._start_image())
        except (ValueError, TypeError, RuntimeError) as error:
            # Only a trait's own error makes a view's change be taken back.
            raise InvalidValueError(described(error)) from error

    @t.validate("start")
    def _validate_start(self, proposal: Any) -> str:
        return one_of("start", proposal["value"], self.starts)

    @t.validate("octaves", "octave_scale")
    def _validate_octaves(self, proposal: Any) -> float:
        scales: dict[str, Any] = {"octaves": self.octaves, "octave_scale": self.octave_scale}
        try:
            octave_sizes(self._shape[2], self._shape[3], **scales | {proposal["trait"].name: proposal["value"]})
        except ValueError as error:
            raise InvalidValueError(str(error)) from error
        return proposal["value"]

    @t.observe("image")
    def _on_image(self, change: Any) -> None:
        if hasattr(self, "_session"):
            with self._traits_lock, self.hold_trait_notifications():
                for name, value in self._of_image().items():
                    self.set_trait(name, value)
                self.set_trait("subject", f"{self._network.name} · {self._shape[2]} × {self._shape[3]}")
            self._renew()
            self._session.renew()

    @t.observe("objective")
    def _on_objective(self, change: Any) -> None:
        if self.objective is not None:
            self.layer, self.channel = "", None
        self._renew()

    @t.observe("layer")
    def _on_layer(self, change: Any) -> None:
        if self.layer:
            self.objective = None
        if self.channel is not None and self.channel >= self._counts.get(self.layer, 0):
            self.channel = None
        self._renew()

    @t.observe("channel", "start", "seed", "lr", "steps", "jitter", "rotation", "octaves", "octave_scale")
    def _on_option(self, change: Any) -> None:
        self._renew()

    def _renew(self) -> None:
        """Tells the session which options are not what they were."""
        if not self.layer and self.objective is None:
            return
        names = ("lr", "steps", "jitter", "rotation", "octaves", "octave_scale", "seed")
        options: dict[str, Any] = {name: getattr(self, name) for name in names}
        options |= {"objective": self._objective(), "images": self._start_image()}
        changed = {name: value for name, value in options.items() if self._options.get(name) is not value}
        self._options = options
        self.expression = str(options["objective"])
        if changed and hasattr(self, "_session"):
            self._session.change(**changed)

    def _objective(self) -> Objective:
        own: Any = self.objective
        return _objective(self.layer, self.channel) if own is None else own

    def _start_image(self) -> Tensor:
        return _noise(self._shape, self.seed) if self.start == "noise" or self._image is None else self._image

    def _current_notes(self) -> str:
        return "\n".join(filter(None, [shown_as(self._shape[1]), super()._current_notes()]))

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
    return dream(network, options.pop("objective"), options.pop("images"), **options)


@functools.lru_cache(64)
def _objective(layer: str, index: int | None) -> Objective:
    return activity(layer) if index is None else channel(layer, index)


@functools.lru_cache(4)
def _noise(shape: tuple[int, ...], seed: int) -> Tensor:
    return Fourier(shape[2], shape[3], channels=shape[1], seed=seed).image()


def _noise_shape(network: Network) -> tuple[int, ...]:
    first = next((m for m in network.module.modules() if isinstance(m, nn.Conv2d)), None)
    return (1, first.in_channels if first else 3, *(network.input_size or (224, 224)))


def _seen(network: Network, image: Images | None) -> tuple[Given | None, list[list[Any]], tuple[int, ...]]:
    """The image, the rows of the layers that it goes through, and its shape or that of noise."""
    given = None if image is None else given_image(image, "DreamCanvas")
    shape = tuple(given.image.shape) if given else _noise_shape(network)
    return given, layer_rows(layers(network, given.image if given else _noise(shape, 0))), shape


def _middle(found: list[list[Any]]) -> str:
    """A layer a little past the middle, where textures become parts of things; whole blocks before what is in them."""
    names = {name for name, _, _ in found}
    blocks = [row for row in found if not any(row[0].startswith(f"{name}.") for name in names)]
    maps = [name for name, _, shape in blocks if len(shape) == 3] or [name for name, _, _ in blocks]
    if not maps:
        raise ValueError("the network has no layer with channels: give an objective, such as activity('')")
    return maps[len(maps) * 4 // 7]
