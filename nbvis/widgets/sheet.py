"""Several pictures on one sheet, each with its title, its numbers and the bar of its colours."""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageFont

from .views import Limits, figure

_GAP, _TEXT, _BAR = 12, 34, 30
"""Pixels between the pictures, for a title and a line below them, and for a bar with its numbers."""
_INK, _PALE, _EMPTY, _EDGE = "#111827", "#5b6775", "#f3f4f6", "#d1d5db"


class Cell(NamedTuple):
    """One picture of a sheet.

    Attributes:
        picture: None where there is none.
        title: below it.
        line: below the title, or the sentence that stands in place of the picture.
        between: the values at the ends of its colours; None where it has no scale.
        colors: as "#rrggbb", evenly spaced.
    """

    picture: Image.Image | None
    title: str
    line: str
    between: Limits | None = None
    colors: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """What it shows, as a sentence without its stop."""
        said = f": {self.line.rstrip('.')}" if self.line else ""
        ends = "; its colours go from {} to {}".format(*map(figure, self.between)) if self.between else ""
        return f"{self.title}{said}{ends}"


def sheet(cells: Sequence[Cell], size: tuple[int, int]) -> Image.Image:
    """Pictures side by side on white; what there is to say of each stands below it.

    Args:
        cells: the pictures.
        size: (height, width) of the pictures.
    """
    height, width = size
    scale = max(1, -(-200 // width))
    height, width = height * scale, width * scale
    below = _TEXT + (_BAR if any(cell.between for cell in cells) else 0)
    whole = Image.new("RGB", (_GAP + len(cells) * (width + _GAP), height + 2 * _GAP + below), "white")
    pen = ImageDraw.Draw(whole)
    for place, cell in enumerate(cells):
        left, top, line = _GAP + place * (width + _GAP), _GAP + height, cell.line
        if cell.picture is None:
            pen.rectangle((left, _GAP, left + width - 1, top - 1), _EMPTY)
            pen.multiline_text((left + 10, _GAP + 10), _wrapped(line, width - 20), _PALE, _font(12))
            line = ""
        else:
            shown = cell.picture.resize((width, height), Image.Resampling.BOX).convert("RGBA")
            whole.paste(shown, (left, _GAP), shown)
        pen.text((left, top + 4), _shortened(cell.title, width, 12), _INK, _font(12))
        pen.text((left, top + 20), _shortened(line, width, 11), _PALE, _font(11))
        if cell.between and cell.colors:
            whole.paste(_gradient(cell.colors, width, 8), (left, top + _TEXT + 4))
            pen.rectangle((left, top + _TEXT + 4, left + width - 1, top + _TEXT + 11), outline=_EDGE)
            for value, share, anchor in _ends(cell.between):
                pen.text((left + share * (width - 1), top + _TEXT + 15), figure(value), _PALE, _font(11), anchor=anchor)
    return whole


def below(sheets: Sequence[Image.Image]) -> Image.Image:
    """Sheets one below the other."""
    whole = Image.new("RGB", (sheets[0].width, sum(each.height for each in sheets)), "white")
    top = 0
    for each in sheets:
        whole.paste(each, (0, top))
        top += each.height
    return whole


def _ends(between: Limits) -> list[tuple[float, float, str]]:
    """(value, place from 0 to 1, anchor) of the numbers at a bar; zero too, where there is room for it."""
    low, high = between
    found = [(low, 0.0, "la"), (high, 1.0, "ra")]
    zero = -low / (high - low) if high > low else 0.0
    return [*found, (0.0, zero, "ma")] if 0.2 < zero < 0.8 else found


def _gradient(colors: Sequence[str], width: int, height: int) -> Image.Image:
    stops = np.array([ImageColor.getrgb(color) for color in colors], dtype=float)
    places = np.linspace(0, len(stops) - 1, width)
    line = np.stack([np.interp(places, range(len(stops)), stops[:, channel]) for channel in range(3)], -1)
    return Image.fromarray(np.broadcast_to(line.round().astype(np.uint8), (height, width, 3)).copy())


@functools.lru_cache(4)
def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf", size)


def _shortened(line: str, width: int, size: int) -> str:
    """The line, or as much of it as fits."""
    if _font(size).getlength(line) <= width:
        return line
    while line and _font(size).getlength(line + "…") > width:
        line = line[:-1]
    return line.rstrip() + "…"


def _wrapped(sentence: str, width: int) -> str:
    lines = [""]
    for word in sentence.split():
        longer = f"{lines[-1]} {word}".strip()
        lines = [*lines[:-1], longer] if _font(12).getlength(longer) <= width else [*lines, word]
    return "\n".join(lines)
