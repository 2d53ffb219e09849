"""What a LayerExplorer shows at one moment, and how that becomes panes, a status line, notes and facts."""

import functools
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image
from torch import Tensor

from nbvis.engine import METHODS, Attribution
from nbvis.sessions import Refusal, encoded, picture

from .backprop_views import BackPicture, back_picture
from .explored import strongest_place
from .explorer_painting import Tiles, channel_over, channel_picture, layer_atlas
from .exploring import Back, Maps, gradient_maps
from .notes import Note, plain
from .painting import Look, rgb
from .panes import Painter, Pane, Picture, Scene
from .passport_scene import PassportScene
from .sheet import Cell, sheet
from .shown_calls import Lane
from .tile_look import RED_GREEN, TileLook
from .views import figure


@dataclass(frozen=True)
class Chosen:
    """What is looked at, and how.

    Attributes:
        layer: its record, as `Explored` has it.
        channel: which.
        place: (row, column) of the unit that was chosen; None for the strongest.
        shows: "activations" or "gradients".
        channels: (first, last) of those on the page.
        look: of the channels.
        back: of what came back.
    """

    layer: Mapping[str, Any]
    channel: int
    place: tuple[int, int] | None
    shows: str
    channels: tuple[int, int]
    look: TileLook
    back: Look


@dataclass(frozen=True)
class ExplorerScene(Scene):
    """The picture, the channels of a layer, one of them, and what comes back from it.

    Attributes:
        painter: keeps the pictures.
        about: what stands for the state of the network and the picture.
        image: (1, channels, height, width).
        chosen: what is looked at; None before the network has been.
        maps: the layer's activations, (channels, rows, columns), or why there are none; None while there are none.
        asked: what was asked about the way back to the image, and to the layer; None if nothing is sent.
        found: the answers; the second one is asked for only where it is shown.
        sees: from a unit's place to the pixels that it sees, [top, left, bottom, right] each.
        lanes: from where to where across the image the layer's maps lie, shares of its width.
        input_line: what is said below the image.
        waiting: what stands in place of a picture that is not there; empty while it is on its way.
        outdated: whether the network has changed since.
        passport: of the channel; None where it is folded away.
    """

    painter: Painter
    about: Hashable
    image: Tensor
    chosen: Chosen | None
    maps: Tensor | Refusal | None
    asked: tuple[Back, Back] | None
    found: tuple[Attribution | Refusal | None, Attribution | Refusal | None]
    sees: Callable[[tuple[int, int] | None], list[list[int]]]
    lanes: Sequence[Lane]
    input_line: str
    waiting: str
    outdated: bool
    passport: PassportScene | None = None
    made = "this was computed"

    @property
    def title(self) -> str:
        """The channel that is chosen."""
        return f"{self._name}:{self.chosen.channel}" if self.chosen else "The network's layers"

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the image, pixels."""
        return self.image.shape[2], self.image.shape[3]

    @property
    def place(self) -> tuple[int, int] | None:
        """(row, column) of the unit in its channel; None while there is none."""
        if self.chosen is None or not isinstance(self.maps, Tensor):
            return None
        return self.chosen.place or strongest_place(self.maps[self.chosen.channel])

    def panes(self) -> list[Pane]:
        """The image, the layer, the channel, and what comes back."""
        image = self.painter.plain(self.about, picture(self.image))
        found = [Pane("input", "Input", self.input_line, "", self.size, image)]
        if self.chosen:
            found += [self._layer_pane(), self._channel_pane()]
            if self.asked:
                found.append(self._back_pane())
        return found

    def frame(self) -> tuple[dict[str, Any], list[bytes]]:
        """Also where each channel is in the picture of the layer, and the unit in its channel and the image."""
        fields, buffers = super().frame()
        tiles, place = self._atlas[0], self.place
        grid = tiles.grid.header() if tiles else None
        fields |= {"fields": self.sees(place) if place else [], "lanes": [*map(list, self.lanes)]}
        fields |= {"grid": grid, "place": list(place) if place else None, "passport": None}
        if self.passport:
            fields["passport"], more = self.passport.frame(len(buffers))
            buffers += more
        return fields, buffers

    def growing(self) -> tuple[dict[str, Any], list[bytes]]:
        """The optimised image of the channel, while it is being made."""
        return self.passport.growing_frame() if self.passport else ({}, [])

    def traits(self) -> dict[str, Any]:
        """What is shown in a line, and where the signal begins."""
        start = f"{self.asked[0].layer}:{self.asked[0].channel}" if self.asked else ""
        return {"status": " · ".join(text for _, text in self._parts), "origin": start}

    def value(self, pane: str, row: int, column: int) -> str:
        """The value at a pixel of the picture of the layer or of the channel, in words."""
        maps, (tiles, _) = self._shown, self._atlas if pane == "layer" else self._single
        if not isinstance(maps, Tensor) or tiles is None or self.chosen is None:
            return "nothing yet"
        if pane == "channel":
            height, width = tiles.size
            across = (column + 0.5) / width
            if self.chosen.back.overlay != "none":
                across = _within_lane(across, self.lanes)
            if across is None:
                return "the other picture"
            return _value(maps, self.chosen.channel, row * maps.shape[1] // height, int(across * maps.shape[2]))
        grid = tiles.grid
        channel = grid.channel_at(row, column)
        if channel is None:
            return "no channel"
        top, left = grid.place(channel)
        inside = min(row - top, grid.tile[0] - 1), min(column - left, grid.tile[1] - 1)
        return _value(maps, channel, *(each * grid.pooled // grid.enlarged for each in inside))

    def cells(self) -> list[Cell]:
        """The panes as they are saved, each in its own proportions."""
        return [cell for row in self._cells for cell in row]

    def sheet(self) -> bytes:
        """The panes side by side, and the passport below them."""
        rows = [sheet(row, self.size) for row in self._cells]
        whole = Image.new("RGB", (max(row.width for row in rows), sum(row.height for row in rows)), "white")
        top = 0
        for row in rows:
            whole.paste(row, (0, top))
            top += row.height
        return encoded(whole, lossless=True)

    @property
    def _cells(self) -> list[list[Cell]]:
        rows = [super().cells(), self.passport.cells() if self.passport and not self.passport.empty else []]
        fitted = [
            [cell._replace(picture=_within(cell.picture, self.size)) if cell.picture else cell for cell in row]
            for row in rows
        ]
        return [row for row in fitted if row]

    def notes(self) -> list[Note]:
        """What whoever looks should read."""
        tiles, back = [each for each in (self._atlas[0], self._single[0]) if each], self._back_picture[0]
        said = [*(note for each in tiles for note in each.notes), *(back.notes if back else ())]
        if self.chosen and (rows := self.chosen.layer["rows"]) > 1:
            said.append(f"{self._name} gives {rows:,} rows for one input: what is shown of it is the first.")
        found = [
            Note(note, about)
            for about, each in zip(("", "Gradients"), self.found, strict=True)
            for note in _notes(each)
        ]
        return [*plain(*said), *found]

    def facts(self) -> dict[str, object]:
        """The status line's parts, one by one."""
        return dict(self._parts)

    @property
    def _name(self) -> str:
        assert self.chosen
        return self.chosen.layer["name"]

    @property
    def _parts(self) -> list[tuple[str, str]]:
        if self.chosen is None:
            return []
        row, look, back = self.chosen.layer, self.chosen.look, self.asked
        field = row["field"]
        parts = [
            ("Shows", self.chosen.shows),
            ("Channel", f"{row['name']}:{self.chosen.channel}"),
            ("Layer", f"{row['kind']}, {_shape_text(row)}"),
            ("Each unit sees", f"{field[0]} × {field[1]} px" if field else "all of the image, or more than is known"),
        ]
        if back:
            start = f"{back[0].layer}:{back[0].channel}"
            parts.append(("Sent back", f"{METHODS[back[0].rule].label} from {start}"))
        if look.boost or look.gamma != 1:
            parts.append(("Lifted", f"boost {look.boost:g}, gamma {look.gamma:g}"))
        return parts

    @functools.cached_property
    def _shown(self) -> Tensor | str | None:
        """The maps of the layer pane, or why there are none; None while they are on their way."""
        if self.chosen is None or self.chosen.shows == "activations":
            return self.maps.reason if isinstance(self.maps, Refusal) else self.maps
        if self.asked is None:
            return "Nothing is sent back, so there are no gradients: choose a way back."
        found = self.found[1]
        if isinstance(found, Refusal):
            return found.reason
        return None if found is None else gradient_maps(found)

    @functools.cached_property
    def _look(self) -> TileLook:
        """The colours, chosen by whether there is a sign where that is left open."""
        assert self.chosen
        look = self.chosen.look
        if look.colormap != "auto":
            return look
        if self.chosen.shows == "gradients":
            return look._replace(colormap=RED_GREEN)
        maps = self._shown
        signed = isinstance(maps, Tensor) and bool((maps < 0).any())
        return look._replace(colormap="RdBu_r" if signed else "gray")

    @property
    def _key(self) -> Hashable:
        assert self.chosen
        shown = Maps(self.about, self._name) if self.chosen.shows == "activations" else self.asked and self.asked[1]
        return shown, self.chosen.look

    @functools.cached_property
    def _atlas(self) -> tuple[Tiles | None, Picture | None]:
        maps, chosen = self._shown, self.chosen
        if not isinstance(maps, Tensor) or chosen is None:
            return None, None
        first, last = chosen.channels
        make = functools.partial(layer_atlas, maps, self._look, 1.0, first, min(last, len(maps)))
        return self.painter.painted(("atlas", self._key, chosen.channels), make)

    @functools.cached_property
    def _single(self) -> tuple[Tiles | None, Picture | None]:
        maps, chosen = self._shown, self.chosen
        if not isinstance(maps, Tensor) or chosen is None:
            return None, None
        overlay = chosen.back.overlay
        if overlay == "none":
            make = functools.partial(channel_picture, maps, chosen.channel, self._look)
        else:
            look, image = self._look, rgb(self.image)
            make = functools.partial(channel_over, maps, chosen.channel, look, image, overlay, self.lanes)
        return self.painter.painted(("channel", self._key, chosen.channel, overlay), make)

    @functools.cached_property
    def _back_picture(self) -> tuple[BackPicture | None, Picture | None]:
        found, chosen = self.found[0], self.chosen
        if not isinstance(found, Attribution) or chosen is None or self.asked is None:
            return None, None

        def make() -> _Back:
            return _Back(back_picture(found.map[0].float().cpu(), rgb(self.image), chosen.back))

        painted, made = self.painter.painted(("back", self.asked[0], chosen.back), make)
        return painted.found, made

    def _layer_pane(self) -> Pane:
        assert self.chosen
        tiles, made = self._atlas
        row = self.chosen.layer
        shape, pictures = row["shape"], row["pictures"]
        sub = f"{shape[0]:,} channels" + (f" of {' × '.join(map(str, shape[1:]))}" if shape[1:] else "")
        sub += ", both pictures side by side" if pictures > 1 else ""
        return self._pane("layer", self.chosen.shows.capitalize(), sub, tiles, made)

    def _channel_pane(self) -> Pane:
        assert self.chosen
        tiles, made = self._single
        maps, sub = self._shown, ""
        if isinstance(maps, Tensor):
            own = maps[self.chosen.channel]
            sub = f"{figure(own.min().item())} to {figure(own.max().item())}"
        return self._pane("channel", f"Channel {self.chosen.channel}", sub, tiles, made)

    def _pane(self, key: str, title: str, sub: str, tiles: Tiles | None, made: Picture | None) -> Pane:
        if tiles is None or made is None:
            why = self._shown if isinstance(self._shown, str) else self.waiting
            return Pane(key, title, "", self._name, self.size, note=why)
        return Pane(key, title, sub, self._name, tiles.size, made, tiles.between, tiles.colors, stale=self.outdated)

    def _back_pane(self) -> Pane:
        assert self.asked and self.chosen
        found, made = self._back_picture
        asked, title = self.asked[0], METHODS[self.asked[0].rule].label
        if found is None:
            note = self.found[0].reason if isinstance(self.found[0], Refusal) else self.waiting
            return Pane("back", title, "", f"{asked.layer}:{asked.channel}", self.size, note=note)
        painted = found.painted
        size = (painted.image.height, painted.image.width) if painted.image else self.size
        where = f"{asked.layer}:{asked.channel}"
        return Pane(
            "back", title, painted.caption, where, size, made, painted.between, painted.colors, painted.note,
            self.outdated,
        )  # fmt: skip


@dataclass(frozen=True)
class _Back:
    """A painting whose picture the painter finds."""

    found: BackPicture

    @property
    def source(self) -> Image.Image | None:
        return self.found.painted.image


def _within(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """A picture in the middle of a clear one of (height, width), with its pixels crisp."""
    height, width = size
    share = min(width / image.width, height / image.height)
    whole = Image.new("RGBA", (width, height))
    shown = image.convert("RGBA").resize(
        (max(1, round(image.width * share)), max(1, round(image.height * share))), Image.Resampling.NEAREST
    )
    whole.paste(shown, ((width - shown.width) // 2, (height - shown.height) // 2))
    return whole


def _within_lane(across: float, lanes: Sequence[Lane]) -> float | None:
    """Where in the map a place of the picture is, both as shares of the width; None where the map does not lie."""
    inside = ((across - start) / (stop - start) for start, stop in lanes if start <= across < stop)
    return next(inside, None)


def _shape_text(row: Mapping[str, Any]) -> str:
    shape, count = row["shape"], row["pictures"]
    if count == 1:
        return " × ".join(map(str, shape))
    each = [shape[0], *([shape[1], shape[2] // count] if shape[1:] != [1, count] else [])]
    return f"{' × '.join(map(str, each))} of each picture, side by side"


def _notes(found: Attribution | Refusal | None) -> list[str]:
    return list(found.notes) if isinstance(found, Attribution) else []


def _value(maps: Tensor, channel: int, row: int, column: int) -> str:
    row, column = min(row, maps.shape[1] - 1), min(column, maps.shape[2] - 1)
    return f"channel {channel} · row {row}, column {column} · {figure(maps[channel, row, column].item(), 4)}"
