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
from typing import Any, NamedTuple

import traitlets as t
from torch import Tensor, nn

from nbvis.engine import Images, InversionStep, Network, address, as_network, named
from nbvis.sessions import Finding, Frame, Session, described, encoded, shown_as

from .given import Given, GivenImage, fitted, given_image
from .inversion_pictures import InversionPainter, dropped_line
from .inverting import LEVELS, LIVE, invert, rows_with_reasons
from .later import LaterList, LaterText
from .notes import Note, plain
from .numbers import InvalidValueError, Number, one_of
from .page import Table, page
from .recipe import inversion_recipe
from .rows import possible_layer
from .run import RunWidget

INSERTED_P = 0.3
"""With what probability inserted dropout drops, unless another is set."""


class _Looked(NamedTuple):
    """An image, and the layers that it goes through, with why dropout does not act there."""

    given: Given
    rows: list[list[Any]]


class DropoutInverter(RunWidget, front_end="dropout_inverter"):
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

    image = GivenImage(help="The original, (1, channels, height, width); another begins again.")
    layer = LaterText(help="Where the answers are compared; empty while no layer can be.").tag(sync=True)
    layers = LaterList(help="The layers there are: [name, kind, (channels, …), why dropout does not act there].")
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
    size = t.List(t.Int(), help="Height and width of the picture, pixels.").tag(sync=True)

    _painter: InversionPainter
    _given: Given
    _reached: list[str] | None

    def __init__(self, network: Network | nn.Module, image: Images, layer: str | None = None, **options: Any):
        self._network = as_network(network)
        self._given = given_image(image, "DropoutInverter", longest=options.pop("working_size", "auto"))
        self._reached = None
        self._painter = InversionPainter(self._network)
        super().__init__(image=self._given.original, layer=layer or "", **self._of_image() | options)
        self._name_subject()
        self._wanted = self._options()
        self._session = Session(
            functools.partial(invert, self._network),
            self._wanted | {"images": self._given.image},
            live=LIVE,
            listener=self._on_frame,
            paint=self._painter,
            background=self.background,
            listens=self._hearing,
        )
        self._tell_notes()
        self._begin_to_see()
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

    @property
    def unit(self) -> tuple[str, None]:
        """The layer, and None, since all its channels are compared; setting it takes the layer."""
        return self.layer, None

    @unit.setter
    def unit(self, unit: tuple[str, int | None]) -> None:
        self.layer = unit[0]

    def resample(self) -> None:
        """Draws other masks, by the next seed, and plays."""
        self.seed += 1
        self.play()

    def recipe(self) -> str:
        """Python source that makes the pictures shown, from the network and the image."""
        return inversion_recipe(self._given.source, self._session.past, self._session.state == "finished")

    def _name_subject(self) -> None:
        self._sizes = self._given.sizes()
        self.set_trait("subject", f"{self._network.name} · {self.size[0]} × {self.size[1]}")

    def _see(self) -> Finding:
        return self._find_out(functools.partial(_looked, self._network, self._given), self._on_seen)

    def _on_seen(self, looked: _Looked) -> None:
        """Takes over what was found out about the network and an image."""
        with self._traits_lock:
            before, (self._given, self.layers) = self._given, looked
            other = before is not self._given
            self._reached = [name for name, _, _, reason in looked.rows if not reason]
            if other:
                with self.hold_trait_notifications():
                    for name, value in self._of_image().items():
                        self.set_trait(name, value)
                    self._name_subject()
            else:
                if not self.layer and self._reached:
                    self.layer = self._reached[-1]
                else:
                    self._possible(self.layer)
                self._check_dropout(self.layer, self.insert)
        if other:
            self._painter.complete = True
            self._session.renew(images=self._given.image)
        self._seen()

    def _of_image(self) -> dict[str, Any]:
        """The traits that follow from the image."""
        size = list(self._given.image.shape[2:])
        return {"size": size, "working_size": self._given.longest}

    @t.validate("image")
    def _validate_image(self, proposal: Any) -> Tensor:
        if proposal["value"] is self._given.original:
            return self._given.original
        given = given_image(proposal["value"], "DropoutInverter")
        self._look_at(given)
        return given.original

    @t.validate("working_size")
    def _validate_working_size(self, proposal: Any) -> int | None:
        given = fitted(self._given, proposal["value"])
        if given.longest != self._given.longest:
            self._look_at(given)
        return given.longest

    def _look_at(self, given: Given) -> None:
        """Looks at another picture, or the same at another size."""
        look = self._find_out(functools.partial(_looked, self._network, given), self._on_seen)
        if look.error:
            raise InvalidValueError(described(look.error)) from look.error

    def _on_failure(self, look: Finding) -> None:
        with self._traits_lock:
            self.image, self.working_size = self._given.original, self._given.longest
        super()._on_failure(look)

    @t.validate("layer")
    def _validate_layer(self, proposal: Any) -> str:
        self._possible(proposal["value"])
        self._check_dropout(proposal["value"], self.insert)
        return proposal["value"]

    def _possible(self, layer: str) -> None:
        """Refuses a layer that there is not, as far as is known."""
        if self._reached is None:
            if layer:
                possible_layer(layer, self._network.module)
        elif layer or self._reached:
            one_of("layer", layer, [row[0] for row in self.layers])

    @t.validate("insert")
    def _validate_insert(self, proposal: Any) -> bool:
        self._check_dropout(self.layer, proposal["value"])
        return proposal["value"]

    def _check_dropout(self, layer: str, insert: bool) -> None:
        """Refuses a layer that dropout does not reach, unless it reaches none: then the panel offers to insert some."""
        if insert and not layer and self._reached is not None:
            raise InvalidValueError("dropout is inserted after a layer: set layer too")
        if not insert and self._reached and layer not in self._reached:
            where = ", ".join(map(repr, self._reached[:12])) + (" and others" if len(self._reached) > 12 else "")
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
        return {
            "layer": self.layer,
            "insert": address(self.layer, named(self._network.module))[0] if self.insert and self.layer else None,
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

    def _on_message(self, _: Any, content: dict[str, Any], buffers: Any) -> None:
        kind = content.get("type")
        if kind == "resample":
            self.resample()
        elif kind == "insert":
            self._insert_at(content["layer"])
        else:
            if kind == "joined":
                self._painter.complete = True
            super()._on_message(_, content, buffers)

    def _insert_at(self, layer: str) -> None:
        with self._traits_lock:
            try:
                with self.hold_trait_notifications():
                    self.layer, self.insert = layer, True
                self._refuse(None)
            except t.TraitError as error:
                self._refuse(error)

    def _current_notes(self) -> list[Note]:
        notes, step = plain(self._given.note, shown_as(self.image.shape[1])) + super()._current_notes(), self.last
        if step and step.converged.all() and (step.image == self._session.start.to(step.image)).all():
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


def _looked(network: Network, given: Given) -> _Looked:
    return _Looked(given, rows_with_reasons(network, given.image))
