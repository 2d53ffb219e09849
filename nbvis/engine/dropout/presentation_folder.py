"""The folder of pictures that `augment` writes, with masks, a table and the settings it was begun with."""

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

TABLE, SETTINGS = "table.csv", "settings.json"


@dataclass(frozen=True)
class Presentation:
    """One picture that `augment` wrote: a row of its table.

    Attributes:
        file: the picture, relative to the folder.
        original: its index in the data set.
        sample: which presentation of it this is, from 0.
        label: its class.
        seed: of its masks: `invert_dropout` with this seed and `p` finds the picture again.
        p: probability of dropping, None for every dropout's own.
        mask: NumPy file with its masks by the address of what dropped, relative to the folder.
        loss: before the picture was rounded to 8 bits.
        converged: whether that is within the tolerance.
    """

    file: str
    original: int
    sample: int
    label: int
    seed: int
    p: float | None
    mask: str
    loss: float
    converged: bool


def read_table(folder: str | Path) -> list[Presentation]:
    """The table of a folder that `augment` wrote, in the order of writing; empty if there is none yet."""
    path = Path(folder) / TABLE
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8")
    rows = csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1]))  # a last line cut off is not there
    return [
        Presentation(
            row["file"],
            int(row["original"]),
            int(row["sample"]),
            int(row["label"]),
            int(row["seed"]),
            float(row["p"]) if row["p"] else None,
            row["mask"],
            float(row["loss"]),
            row["converged"] == "True",
        )
        for row in rows
    ]


def write(
    folder: Path, settings: dict[str, Any], rows: Sequence[Presentation], images: Tensor, masks: Mapping[str, Tensor]
) -> None:
    """Adds pictures, (rows, channels, height, width), and their masks to the folder.

    These come first, then the table, so that what the table names is there.
    """
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    (folder / SETTINGS).write_text(json.dumps(settings, indent=1), encoding="utf-8")
    pixels = (images.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    for k, row in enumerate(rows):
        path = folder / row.file
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(pixels[k, :, :, 0] if pixels.shape[3] == 1 else pixels[k]).save(path)
        own = {key: _part(mask, k, len(rows)).bool().cpu().numpy() for key, mask in masks.items()}
        np.savez_compressed(folder / row.mask, **own)  # pyright: ignore[reportArgumentType]
    table = folder / TABLE
    text = table.read_text(encoding="utf-8") if table.exists() else ""
    whole_lines = text[: text.rfind("\n") + 1]
    if whole_lines != text:
        table.write_text(whole_lines, encoding="utf-8")
    with table.open("a", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, [each.name for each in fields(Presentation)], lineterminator="\n")
        if not whole_lines:
            writer.writeheader()
        writer.writerows(asdict(row) for row in rows)


def _part(mask: Tensor, row: int, rows: int) -> Tensor:
    size = len(mask) // rows
    return mask[row * size : (row + 1) * size]


def class_folder(label: int, names: Sequence[str]) -> str:
    """The name of the sub-folder for a class."""
    # Zeros in front keep the order of the labels, by which `ImageFolder` numbers them.
    name = re.sub(r"\W+", "-", str(names[label])).strip("-") if 0 <= label < len(names) else ""
    return f"{label:04d}" + (f"-{name}" if name else "")


def as_stored(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings as they come back from a file."""
    return json.loads(json.dumps(settings, default=lambda given: getattr(given, "__qualname__", repr(given))))


def refuse_others(folder: Path, settings: dict[str, Any]) -> None:
    """An error if the folder was begun with other settings, for its pictures would not belong together."""
    path = folder / SETTINGS
    old = json.loads(path.read_text(encoding="utf-8")) if path.exists() else settings
    for key in sorted(old.keys() | settings.keys()):
        if old.get(key) != settings.get(key):
            raise ValueError(
                f"{folder} was begun with {key}={old.get(key)!r}, not {settings.get(key)!r}: "
                "use another folder, or the same settings"
            )
