"""DreamCanvas: a picture that dreams or is drawn out of noise, and the controls that steer it while it does."""

import functools
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import traitlets as t
from torch import Tensor, nn

from nbvis.engine import (
    PRESETS,
    STANDARD,
    Fourier,
    Images,
    Maco,
    Names,
    Network,
    Objective,
    Statistics,
    Steps,
    as_network,
    dreamable,
    octave_sizes,
)
from nbvis.sessions import Past, encoded, same

from . import grid, visualising
from .carried import carried, carrying
from .dreaming import LIVE, OPTIONS, Tried, dream_run, dream_subject, tried
from .given import Given, GivenImage, taken
from .history import HistoryWidget
from .judging import JudgedWidget
from .looping import LoopWidget
from .numbers import InvalidValueError, Number, OneOf, numbers, one_of
from .objectives import typed
from .page import page
from .real_patches import RealPatchesWidget
from .recipe import TAKEN, dream_recipe, visualise_recipe
from .saved_run import SUFFIX, opened
from .seeing import GRACE
from .sheet import Cell
from .subject import Subject
from .terms import unmasked
from .timed import FIRST, TimedWidget
from .visualising import PARAMETERS, Drawn, visualise_run

MODES = {
    "dream": OPTIONS,
    "visualise": ("weight_noise", "preset", "transforms", "regularisers", "seed"),
    "grid": ("weight_noise", "transforms", "seed"),
}
"""The ways to draw, each with the options that are its own."""


class _Open:
    """Of the class: opens a saved picture. Of a widget: opens the connection to the views, as every widget does."""

    def __get__(self, widget: "DreamCanvas | None", kind: "type[DreamCanvas]") -> Callable[..., Any]:
        return kind._opened if widget is None else super(DreamCanvas, widget).open


class DreamCanvas(HistoryWidget, LoopWidget, TimedWidget, JudgedWidget, RealPatchesWidget, front_end="dream_canvas"):
    """DeepDream and feature visualisation, live: what an objective likes grows in a photograph or out of noise.

    Args:
        network: a `Network` or a bare module.
        image: (1, channels, height, width) or (channels, height, width) in [0, 1], or what else `as_images` takes; None
            to start from noise.
        objective: what to dream of; None for a layer in the middle of the network, or the layer and channel given.
        statistics: of this network, as `collect` gives them, for the real patches beside the dream.
        batches: those that the statistics are of, image batches or a data set as for an `ActivationStats`.
        options: any of the traits.

    Raises:
        TypeError: for an unknown option, with the near matches.
        ValueError: for an image, layer, channel or number that cannot be, or statistics of another network; the message
            says what can.
        RuntimeError: if the network does not run on the image; its own error is attached.

    Example:
        >>> canvas = DreamCanvas(nn.Sequential(nn.Conv2d(3, 4, 3)), torch.rand(3, 32, 48), steps=2, octaves=1)
        >>> canvas.formula = "'0'[1] - 0.5 * '0'[3]"
        >>> canvas.play()
        >>> canvas.wait(), canvas.result.shape
        (True, torch.Size([1, 3, 32, 48]))
    """

    _seen_as = staticmethod(grid.seen_as)
    _settings = "start", "seed", "endless", "preset", "parameter"
    _also_kept = "mode", "first", "transforms", "regularisers", "term"
    mode = OneOf("dream", MODES, help="dream: in a photograph; visualise: out of noise; grid: many channels.")
    image = GivenImage(help="The photograph, (1, channels, height, width), or None; another begins again.")
    start = t.Unicode(help="What a dream starts from: image or noise.").tag(sync=True)
    lr = Number(0.01, 0.001, 0.5, "Learning rate", log=True, help="Size of a step; larger ones are wilder.")
    steps = Number(30, 1, 200, "Steps per octave", whole=True, log=True, help="Updates at each scale.")
    jitter = Number(32, 0, 128, "Jitter", unit="px", whole=True, help="How far each step shifts the picture at random.")
    rotation = Number(0, 0, 90, "Rotation", unit="°", help="The range of angles from which each step draws one.")
    octaves = Number(4, 1, 8, "Octaves", whole=True, help="Scales to dream at, coarse to fine; a change begins again.")
    octave_scale = Number(1.4, 1.1, 2, "Octave scale", unit="×", help="From one octave to the next; begins again.")
    parameter = OneOf("fourier", PARAMETERS, help="What a visualisation is made of; another begins again.")
    side = Number(224, 16, 1024, "Size", unit="px", whole=True, help="Of the visualisation; another begins again.")
    tiles = Number(24, 2, 64, "Channels", whole=True, help="So many of the layer are drawn at once, as one batch.")
    tile = Number(96, 32, 256, "Size", unit="px", whole=True, help="Of each of them; another begins again.")
    first = t.Int(0, help="A channel of the page that the grid shows.").tag(sync=True)
    updates = Number(128, 1, 2048, "Steps", whole=True, log=True, help="Updates of the visualisation.")
    rate = Number(0.03, 0.001, 1, "Learning rate", log=True, help="Size of a step of the visualisation.")
    weight_noise = Number(
        0, 0, 0.5, "Weight noise", help="Of the network, drawn anew at each step: what stays is sure."
    )
    preset = OneOf("", ("", *PRESETS), help="A published recipe in the place of the settings; empty for none.")
    transforms = t.Tuple(
        default_value=STANDARD, help="What each step of a visualisation does to what the network sees."
    )
    regularisers = t.Tuple(help="What each step does to the pixels, where the visualisation is made of them.")
    seed = t.Int(0, help="Of the random shifts, angles and noise.").tag(sync=True)
    starts = t.List(t.Unicode(), help="What a dream can start from.").tag(sync=True)
    _tiles = t.Dict(help="Of the grid: {channels, columns, count}.").tag(sync=True)
    _parameters = t.Dict(PARAMETERS).tag(sync=True)
    _presets = t.List(["", *PRESETS]).tag(sync=True)

    def __init__(
        self,
        network: Network | nn.Module,
        image: Images | Given | None = None,
        objective: Objective | None = None,
        statistics: Statistics | None = None,
        batches: Any = None,
        **options: Any,
    ):
        given = image if image is None or isinstance(image, Given) else taken(image, "DreamCanvas", options)
        network = dreamable(network)
        if objective is None and (text := options.pop("formula", "")):
            objective = typed(None, text, None, network.labels)
        self._start_with(objective)
        self._start_beside(network, statistics, batches)
        self._options: dict[str, Any] = {}
        side = min(1024, max(network.input_size or (224,)))
        super().__init__(dream_subject(network, given), **{"side": side, "objective": objective} | options)
        self._renew()
        began = time.monotonic()
        self._begin(
            functools.partial(_run, network),
            {"steps": FIRST} | self._options,
            live=LIVE | visualising.LIVE,
            paint=grid.paint_sheet,
        )
        if self._trial is not None:
            self._trial.leave(max(0.0, began + GRACE - time.monotonic()))
            if self._trial.error:
                raise self._trial.error
        if self.running:
            self.play()

    open: Any = _Open()

    @classmethod
    def _opened(cls, path: str | Path, network: Network | nn.Module | None = None, **options: Any) -> "DreamCanvas":
        """A canvas that goes on from a saved run or picture, with the objective and the settings that it was made with.

        Args:
            path: what `save` wrote. From a run, .nbvis, it goes on to the same bits as if it had never ended; with a
                picture another one begins; one from elsewhere opens too, and the notes say what it does not carry.
            network: the network it was made with.
            options: traits that are to be others.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if it is neither, the network is not given, or the objective does not fit it.
        """
        path = Path(path)
        if path.suffix == SUFFIX:
            run = opened(path, None if network is None else as_network(network))
            settings = {name: value for name, value in run.settings.items() if name not in ("objective", "term")}
            canvas = cls(network, run.given, run.settings["objective"], **settings)  # type: ignore[arg-type]
            canvas._resume(run, options)
            return canvas
        found = carried(path)
        if network is None:
            made = f"made with the network {found.network!r}" if found.network else "to be dreamt on with a network"
            raise ValueError(f"{path.name} was {made}: give it, as DreamCanvas.open({path.name!r}, network)")
        given = taken(path, cls.__name__, options)
        return cls(network, given._replace(said=found.note), found.objective, **found.settings | options)

    def __repr__(self) -> str:
        """What it shows and how far it is, the same on every machine."""
        far = f", {self._far()}" if self._session.last else ""
        return f"DreamCanvas({self.subject}, {self.expression}, {self.state}{far})"

    def recipe(self) -> str:
        """Python source that makes the picture shown, from the network, the image and an objective of your own."""
        return self._recipe(Names(TAKEN))

    @property
    def recipe_masks(self) -> dict[str, Tensor]:
        """The masks that `recipe()` names, by their names: also those that were painted over while the run went."""
        names = Names(TAKEN)
        self._recipe(names)
        return names.masks

    def _recipe(self, names: Names) -> str:
        return self._recipe_of(self._session.past, names)

    def _recipe_of(self, past: Past, names: Names) -> str:
        given = self._subject.given
        images = past.origin["images"]
        if past.origin["mode"] != "dream":
            return visualise_recipe(images.source, past, visualising.ascent_options(past.origin), names)
        if isinstance(images, Drawn):
            return dream_recipe(f"{images.source}.image()", past, names)
        assert given is not None  # the picture that it began with
        return dream_recipe(given.source, past, names, given.whence)

    def keep_dreaming(self) -> None:
        """Goes on from what is there, also after the end of a dream, until `endless` is off again.

        Raises:
            ValueError: for a visualisation, which has no next round.
        """
        if self.mode != "dream":
            raise InvalidValueError("a visualisation is not a dream that goes on: set mode to 'dream'")
        super().keep_dreaming()

    def _of_picture(self) -> dict[str, Any]:
        starts = ["image", "noise"] if self._subject.given else ["noise"]
        follows = super()._of_picture() | {"starts": starts, "start": starts[0]}
        return follows | {"size": list(self._start_shape()[2:])}

    def _another(self, given: Given | None) -> Subject:
        return dream_subject(self._subject.network, given)

    def _given(self, value: Any) -> Given | None:
        return None if value is None else super()._given(value)

    def _change_picture(self, given: Given | None) -> None:
        height, width = self._another(given).size
        octave_sizes(height, width, int(self.octaves), self.octave_scale)
        super()._change_picture(given)

    def _take_over(self, first: bool) -> None:
        super()._take_over(first)
        self._on_shape(None)
        work = functools.partial(tried, self._subject.network, self._dream_start())
        self._trial = self._lookout.ask(work, self._on_tried, aside=True)

    def _on_tried(self, tried: Tried) -> None:
        super()._on_tried(tried)
        with self._traits_lock:
            self._bound_scales()

    @property
    def _room(self) -> float:
        """How many times smaller than the picture an octave can be."""
        return min(self._subject.size) / (self._tried.smallest if self._tried else 1)

    def _bound_scales(self) -> None:
        """Has the sliders offer only what leaves the smallest octave large enough for the network."""
        room, controls = self._room, dict(self._controls)
        most = sum(self.octave_scale**n <= room for n in range(8))
        largest = room ** (1 / (self.octaves - 1)) if self.octaves > 1 else math.inf
        for name, high in {"octaves": most, "octave_scale": math.floor(100 * min(largest, 2)) / 100}.items():
            trait, value = numbers(self)[name], getattr(self, name)
            controls[name] = controls[name] | {"high": min(trait.high, max(high, trait.low, value))}
        self._controls = controls

    @t.validate("start")
    def _validate_start(self, proposal: Any) -> str:
        return one_of("start", proposal["value"], self.starts)

    @t.validate("octaves", "octave_scale")
    def _validate_octaves(self, proposal: Any) -> float:
        name, value, (height, width) = proposal["trait"].name, proposal["value"], self._subject.size
        scales: dict[str, Any] = {"octaves": self.octaves, "octave_scale": self.octave_scale, name: value}
        fits = scales["octave_scale"] ** (scales["octaves"] - 1) <= self._room
        if self._from_a_view and value > (high := self._controls[name]["high"]) and not fits:
            raise InvalidValueError(
                f"{proposal['trait'].label} ({name}) is at most {high:g} here: the smallest octave of "
                f"{height} × {width} pixels would be too small for the network"
            )
        try:
            octave_sizes(height, width, **scales)
        except ValueError as error:
            raise InvalidValueError(str(error)) from error
        return value

    @t.observe("mode", "side", "tiles", "tile", "first", "layer")
    def _on_shape(self, change: Any) -> None:
        shown = self._shown_channels()
        self._tiles = {"channels": list(shown), "columns": grid.columns(len(shown)), "count": self._channel_count()}
        self.size = list(grid.sheet_size(len(shown), self.tile) if self.mode == "grid" else self._start_shape()[2:])
        self._renew()

    def _channel_count(self) -> int:
        return self._subject.channels(self._some_layer()) or 1 if self._subject.looked else 1

    def _shown_channels(self) -> range:
        """The channels of the grid."""
        return grid.page(self._channel_count(), self.first, int(self.tiles))

    @t.observe("parameter")
    def _on_parameter(self, change: Any) -> None:
        if self.rate == _usual_rate(change["old"]):
            self.rate = _usual_rate(self.parameter)
        self._renew()

    @t.observe("start", "rate", "updates", "seconds", "endless", "zoom", "turn", *OPTIONS, *MODES["visualise"])
    def _on_option(self, change: Any) -> None:
        if change["name"].startswith("octave"):
            self._bound_scales()
        self._renew()

    def _renew(self) -> None:
        """Tells the session which options are not what they were."""
        options = self._options_now()
        changed = {
            name: value
            for name, value in options.items()
            if name not in self._options or not same(self._options[name], value)
        }
        self._options |= options
        if "steps" not in options:  # they are planned, so any that are asked for again are others
            self._options.pop("steps", None)
        if hasattr(self, "_session"):
            self._changed(changed, remake=True)

    def _options_now(self) -> dict[str, Any]:
        """What a run that began now would be given."""
        options: dict[str, Any] = {name: getattr(self, name) for name in self._own_options()}
        if self.mode == "dream":
            options |= self._loop()
        elif not self._by_preset:
            options |= {"lr": self.rate, "steps": self.updates}
        # Until an objective is known to fit, the run keeps the one it has.
        objective: Any = self._fits and self._recent.packed(self._fits)
        if self._fits is not None and self.mode != "dream":
            objective = unmasked(self._fits)
            if self.mode == "grid":
                objective = grid.objectives(self._some_layer(), self._shown_channels())
        return self._within_time(options) | {"objective": objective, "images": self._start_image(), "mode": self.mode}

    def _own_options(self) -> tuple[str, ...]:
        """The options that the run has now: a published recipe leaves nothing to choose."""
        return ("preset", "seed") if self._by_preset else MODES[self.mode]

    @property
    def _by_preset(self) -> bool:
        return self.mode == "visualise" and bool(self.preset)

    def _by_steps(self) -> bool:
        return self._by_preset or (self.mode == "dream" and self.endless)

    def _start_image(self) -> Tensor | Drawn:
        if self.mode != "dream":
            return Drawn("pixels" if self._by_preset else self.parameter, self._start_shape(), self.seed)
        return self._dream_start()

    def _dream_start(self) -> Tensor | Drawn:
        if self.start == "image":
            return self._subject.image
        return Drawn("fourier", tuple(self._subject.image.shape), self.seed)

    def _start_shape(self) -> tuple[int, ...]:
        """(batch, channels, height, width) of what is drawn."""
        shape = tuple(self._subject.image.shape)
        if self.mode == "grid":
            return (len(self._shown_channels()), shape[1], int(self.tile), int(self.tile))
        return (*shape[:2], int(self.side), int(self.side)) if self.mode == "visualise" else shape

    def _page(self) -> str:
        facts = {"Network": self.subject, "Objective": self.expression}
        facts |= {control["label"]: f"{getattr(self, name):g}" for name, control in self._shown_controls().items()}
        facts |= {"Notes": self.notes} if self.notes else {}
        cell = Cell(grid.seen_as(self.result), self._title(), self._far())
        return page(cell.title, [cell, *self._patch_cells()], facts, self.recipe())

    def _shown_controls(self) -> dict[str, dict[str, Any]]:
        """The sliders of this way to draw."""
        drawn, loop = ("updates", "rate", "weight_noise"), ("zoom", "turn") if self.endless else ()
        own = {"dream": OPTIONS + loop, "visualise": ("side", *drawn), "grid": ("tiles", "tile", *drawn)}[self.mode]
        shown = {*own} if self._seconds is None else {*own, "seconds"} - {"steps", "updates"}
        return {name: control for name, control in self._controls.items() if name in shown}

    def _saved(self, suffix: str) -> bytes:
        saved = super()._saved(suffix)
        if suffix != ".png" or self._fits is None:
            return saved
        names = [*self._shown_controls(), "mode", "endless", "seed", "parameter", "preset"]
        settings = {name: getattr(self, name) for name in names}
        return carrying(saved, self._subject.network.name, settings, self._fits, self.recipe())

    def _picture(self) -> bytes:
        return encoded(grid.seen_as(self.result), lossless=True)

    def _words(self) -> str:
        return f"{self._title()} in {self.subject}, {self._far()}."

    def _title(self) -> str:
        if self.mode == "grid":
            shown = self._shown_channels()
            return f"Channels {shown[0]} to {shown[-1]} of {self._some_layer()}"
        return f"{'Dream' if self.mode == 'dream' else 'Visualisation'} of {self.expression}"


def _run(network: Network, options: dict[str, Any]) -> Steps:
    return (dream_run if options["mode"] == "dream" else visualise_run)(network, options)


def _usual_rate(parameter: str) -> float:
    return Maco.usual_lr if parameter == "maco" else Fourier.usual_lr
