"""DropoutInverter: the picture that a network without dropout takes for what it saw with dropout.

Messages from a view, beside those of `base` and `run`:

| type | with | asks for |
|---|---|---|
| resample | | other masks |
| insert | layer | dropout inserted at that layer |

A frame has, beside where the run stands, `tolerance`, `curve` ([index, largest loss of the rows]), and of each row the
`loss`, whether it `converged`, and its p (`levels`, null for the network's own); `shown` is the row whose pictures are
large. With `pictures`, the buffers by name (original, corrupted, difference, mask, and strip for all rows), it has the
`factor` of the difference and its range, `low` to `high`. A picture that is missing is as it was.
"""

import functools
from collections.abc import Callable
from typing import Any

import traitlets as t
from torch import Tensor, nn

from nbvis.engine import Images, InversionStep, Network, address, as_network, named
from nbvis.sessions import Frame, encoded

from .given import taken
from .inversion_pictures import InversionPainter, dropped_line
from .inverting import LEVELS, LIVE, DroppedSubject, invert
from .later import LaterList, LaterText
from .notes import Note
from .numbers import InvalidValueError, Number
from .page import Table, page
from .recipe import inversion_recipe
from .run import RunWidget
from .units import UnitWidget

INSERTED_P = 0.3
"""With what probability inserted dropout drops, unless another is set."""


class DropoutInverter(RunWidget, UnitWidget, front_end="dropout_inverter"):
    """Dropout as a picture: the image changes until the network without dropout answers as it did with it.

    Args:
        network: a `Network` or a bare module.
        image: (1, channels, height, width) or (channels, height, width) in [0, 1], or what else `as_images` takes.
        layer: where the two answers are compared; None for the last layer that dropout reaches.
        options: any of the traits.

    Raises:
        TypeError: for an unknown option, with the near matches.
        ValueError: for an image, layer or number that cannot be, or a layer that no dropout comes before though it does
            before others; the message says what can.
        RuntimeError: if the network does not run on the image; its own error is attached.

    Example:
        >>> net = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(48, 48))
        >>> inverter = DropoutInverter(net, torch.rand(3, 4, 4), bounded=False)
        >>> inverter.play()
        >>> inverter.wait(), inverter.result.shape
        (True, torch.Size([1, 3, 4, 4]))
    """

    _settings = "sweep", "sample", "bounded", "seed"

    layer = LaterText(help="Where the answers are compared; empty while no layer can be.").tag(sync=True)
    layers = LaterList(help="The layers there are: {name, kind, shape, reason why dropout does not act there}.")
    layers.tag(sync=True)
    insert = t.Bool(False, help="Whether the noisy pass has dropout right after the layer too.").tag(sync=True)
    p = Number(None, 0, 0.95, "Dropout p", optional=True, help="Of dropping a unit; None is the network's own.")
    samples = Number(1, 1, 6, "Samples", whole=True, help="Masks that are drawn, each with a picture of its own.")
    sample = t.Int(0, help="The one whose pictures are large, from 0.").tag(sync=True)
    sweep = t.Bool(False, help="Whether there is one mask, growing with p from 0.1 to 0.9; True plays.").tag(sync=True)
    seed = t.Int(0, help="Of the masks; they do not depend on p, so a higher one drops the same units and more.")
    seed.tag(sync=True)
    lr = Number(0.01, 1e-4, 1, "Learning rate", log=True, help="Length of the first step, in units of pixel value.")
    tolerance = Number(0.05, 1e-8, 10, "Tolerance", log=True, help="The loss at which a picture is done.")
    steps = Number(1000, 1, 10_000, "Steps", whole=True, log=True, help="Updates at most; a change begins again.")
    bounded = t.Bool(True, help="Whether pixels are kept in [0, 1].").tag(sync=True)
    predictions = t.List(help="The classes that matter: {label, clean, noisy, corrupted}, of the sample shown.")
    predictions.tag(sync=True)
    dropped = t.Dict(help="How many of how many units its mask drops: {total, dropped, what, place}.").tag(sync=True)

    _painter: InversionPainter
    _subject: DroppedSubject

    def __init__(self, network: Network | nn.Module, image: Images, layer: str | None = None, **options: Any):
        known = as_network(network)
        subject = DroppedSubject(known, taken(image, "DropoutInverter", options, pair=known.pair))
        self._painter = InversionPainter(subject.network)
        super().__init__(subject, layer=layer or "", **options)
        self._wanted = self._options()
        start = functools.partial(invert, subject.network)
        self._begin(start, self._wanted | {"images": subject.image}, live=LIVE, paint=self._painter)
        if self.running or self.sweep:
            self.play()

    def __repr__(self) -> str:
        """What it compares and how far it is, the same on every machine."""
        p = "p 0.1 to 0.9" if self.sweep else "own p" if self.p is None else f"p {self.p:g}"
        inserted = " inserted" if self.insert else ""
        return f"DropoutInverter({self.subject}, {self.layer!r}{inserted}, {p}, {self.state})"

    @property
    def result(self) -> Tensor:
        """The newest pictures at full precision, (samples, channels, height, width); first, the image."""
        return self._session.image

    @property
    def last(self) -> InversionStep | None:
        """The newest step, with its losses, masks and outputs; None before the first."""
        step = self._session.last
        return step if isinstance(step, InversionStep) else None

    @property
    def masks(self) -> dict[str, Tensor]:
        """What was kept (1) and dropped (0): {the dropout's layer: (samples, …)}; empty before the first step."""
        return self.last.masks if self.last else {}

    def _take_unit(self, layer: str, channel: int | None) -> None:
        self.layer = layer

    def resample(self) -> None:
        """Draws other masks, by the next seed, and plays."""
        self.seed += 1
        self.play()

    def recipe(self) -> str:
        """Python source that makes the pictures shown, from the network and the image."""
        given = self._subject.given
        assert given is not None
        return inversion_recipe(given.source, self._session.past, self._session.state == "finished", given.whence)

    def _take_over(self, first: bool) -> None:
        super()._take_over(first)
        self.layers = self._subject.layers
        if not first:
            self._painter.complete = True
            return
        if not self.layer and self._subject.reached:
            self.layer = self._subject.reached[-1]
        self._check_layer(self.layer)
        self._check_dropout(self.layer, self.insert)

    def _check_layer(self, layer: str) -> None:
        if layer or self._subject.reached:
            self._subject.layer(layer)

    @t.validate("layer")
    def _validate_layer(self, proposal: Any) -> str:
        self._check_layer(proposal["value"])
        self._check_dropout(proposal["value"], self.insert)
        return proposal["value"]

    @t.validate("insert")
    def _validate_insert(self, proposal: Any) -> bool:
        self._check_dropout(self.layer, proposal["value"])
        return proposal["value"]

    def _check_dropout(self, layer: str, insert: bool) -> None:
        """Refuses a layer that dropout does not reach, unless it reaches none: then the panel offers to insert some."""
        reached = self._subject.reached
        if insert and not layer and self._subject.looked:
            raise InvalidValueError("dropout is inserted after a layer: set layer too")
        if not insert and reached and layer not in reached:
            where = ", ".join(map(repr, reached[:12])) + (" and others" if len(reached) > 12 else "")
            raise InvalidValueError(
                f"no dropout acts before layer {layer!r}; it does before {where}; "
                "insert=True puts some right after the layer, in the noisy pass only"
            )

    @t.validate("sample")
    def _validate_sample(self, proposal: Any) -> int:
        rows = len(LEVELS) if self.sweep else self.samples
        if not 0 <= proposal["value"] < rows:
            raise InvalidValueError(f"no sample {proposal['value']}: there are {rows}, 0 to {rows - 1}")
        return proposal["value"]

    @t.observe("insert", "p")
    def _on_insert(self, change: Any) -> None:
        if self.insert and self.p is None:
            self.p = INSERTED_P

    @t.observe("p", "samples")
    def _on_level(self, change: Any) -> None:
        if hasattr(self, "_session"):
            self.sweep = False

    @t.observe("sweep", "samples")
    def _on_rows(self, change: Any) -> None:
        p = INSERTED_P if self.p is None else self.p
        nearest = min(range(len(LEVELS)), key=lambda k: abs(LEVELS[k] - p))
        self.sample = nearest if self.sweep else min(self.sample, self.samples - 1)

    @t.observe("sample")
    def _on_sample(self, change: Any) -> None:
        self._painter.row = self.sample
        if hasattr(self, "_session"):
            self._session.repaint()

    @t.observe("layer", "insert", "p", "samples", "sweep", "seed", "lr", "tolerance", "steps", "bounded")
    def _on_option(self, change: Any) -> None:
        if not hasattr(self, "_session"):
            return
        wanted, before = self._options(), self._wanted
        changed = {name: value for name, value in wanted.items() if before[name] != value}
        self._wanted = wanted
        self._changed(changed, remake=bool(changed.keys() - LIVE))
        # What a finished run was about has changed, so it is made for the new question: a slider drags it along.
        if (self._session.state == "finished" and changed.keys() - LIVE) or (change["name"] == "sweep" and self.sweep):
            self.play()

    def _options(self) -> dict[str, Any]:
        """What an inversion is asked for now."""
        names = named(self._subject.network.module)
        return {
            "layer": self.layer,
            "insert": address(self.layer, names)[0] if self.insert and self.layer else None,
            "p": LEVELS if self.sweep else self.p,
            "samples": len(LEVELS) if self.sweep else self.samples,
            "seed": self.seed,
            "lr": self.lr,
            "tolerance": self.tolerance,
            "steps": self.steps,
            "bounds": (0, 1) if self.bounded else None,
        }

    def _on_frame(self, frame: Frame) -> None:
        if frame.pictures:
            with self._traits_lock:
                self.predictions = self._painter.predictions
                self.dropped = self._painter.dropped
        super()._on_frame(frame)

    def _on_joined(self, view: str, lab: bool) -> None:
        self._painter.complete = True
        super()._on_joined(view, lab)

    def _acts(self, content: dict[str, Any]) -> dict[str, Callable[[], Any]]:
        own = {"resample": self.resample, "insert": lambda: self._insert_at(content["layer"])}
        return super()._acts(content) | own

    def _insert_at(self, layer: str) -> None:
        with self._traits_lock:
            with self.hold_trait_notifications():
                self.layer, self.insert = layer, True
            self._refuse(None)

    def _current_notes(self) -> list[Note]:
        notes, step = super()._current_notes(), self.last
        if step and self._painter.unchanged and step.converged.all():
            why = "its loss was within the tolerance from the start" if step.loss.any() else "dropout changed nothing"
            notes.append(Note(f"The picture is the original: {why}."))
        return notes

    def _picture(self) -> bytes:
        return encoded(self._painter.still(self._session), lossless=True)

    def _page(self) -> str:
        facts = {"Network": self.subject, "Layer": self.layer, "Seed": self.seed}
        facts |= {control["label"]: getattr(self, name) for name, control in self._controls.items()}
        own = "the network's own" if self.p is None else self.p
        facts["Dropout p"] = f"{LEVELS[0]} to {LEVELS[-1]}, one mask" if self.sweep else own
        facts |= {"Notes": self.notes} if self.notes else {}
        mask = self._painter.mask(self._session)
        passes = ("Clean", "Noisy", "Corrupted")
        rows = [(each["label"], [each[name.lower()] for name in passes]) for each in self.predictions]
        return page(
            f"Dropout inverted at {self.layer}",
            self._painter.cells(self._session),
            facts,
            self.recipe(),
            Table("Predictions", passes, rows),
            mask and (mask, dropped_line(self.dropped)),
        )

    def _words(self) -> str:
        shown = "; ".join(cell.words for cell in self._painter.cells(self._session))
        return f"Dropout inverted at {self.layer} of {self.subject}. {shown}. {dropped_line(self.dropped)}".rstrip()
