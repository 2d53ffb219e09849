"""Dropout as data augmentation: every picture of a data set as dropout at a layer sees it, in a folder of pictures."""

import csv
import hashlib
import io
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from ..arguments import whole
from ..network.images import as_images, checked_images
from ..network.network import Network, as_network
from ..steps import last
from .inversion import InversionStep, Layers, invert_dropout
from .masks import number_of

TABLE, SETTINGS = "table.csv", "settings.json"


class Pictures(Protocol):
    """What `augment` takes: pictures with their labels, by index, as torch's map-style data sets are."""

    def __len__(self) -> int:
        """How many."""
        ...

    def __getitem__(self, index: int, /) -> tuple[Any, Any]:
        """Image (channels, height, width) in [0, 1], or what else `as_images` takes, and label, a whole number."""
        ...


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


@torch.inference_mode(False)
def augment(
    network: Network | nn.Module,
    dataset: Pictures,
    layer: Layers,
    folder: str | Path,
    *,
    samples: int = 1,
    p: float | tuple[float, float] | None = None,
    batch: int = 32,
    seed: int = 0,
    progress: bool = False,
    **options: Any,
) -> list[Presentation]:
    """Writes what dropout at a layer does to every picture of a data set, as a folder of pictures with a table.

    The folder has a sub-folder of PNG files for each class, which torchvision's `ImageFolder` reads, and beside them
    `table.csv` and, for each picture, its masks. Called again it goes on where it was interrupted; what is there is
    not made again.

    Args:
        network: a `Network` or a bare module, usually one that was trained with dropout.
        dataset: anything with a length that gives (image, label) by index: image (channels, height, width) in [0, 1]
            with 1 or 3 channels, label a whole number; its `classes`, if it has any, name the sub-folders.
        layer: as for `invert_dropout`.
        folder: where to write; made if need be.
        samples: presentations of each picture, each with masks of its own.
        p: probability of dropping; (lowest, highest) draws one for each presentation, uniformly; None for every
            dropout's own.
        batch: pictures in one run.
        seed: of masks and probabilities; presentation k of a picture has the seed `seed + k`.
        progress: whether to show a progress bar.
        options: more options of `invert_dropout`, such as `tolerance`, `steps` and `active`.

    Returns:
        A `Presentation` for each picture in the folder, in the order of the data set.

    Raises:
        ValueError: if the folder was begun with other settings, a picture has not the size of the others, or an option
            of `invert_dropout` does not fit.

    Source: Bouthillier et al. 2015, "Dropout as data augmentation", arXiv 1506.08700, section 4.

    Example:
        >>> import tempfile
        >>> net = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.Dropout(), nn.Linear(8, 2))
        >>> dataset = [(torch.rand(1, 4, 4), k % 2) for k in range(4)]
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     table = augment(net, dataset, "3", folder, samples=2)
        >>> [row.label for row in table]
        [0, 0, 1, 1, 0, 0, 1, 1]
    """
    network, folder = as_network(network), Path(folder)
    samples, batch = whole(samples, "samples", 1), whole(batch, "batch", 1)
    if "bounds" in options or "masks" in options:
        raise ValueError(
            "bounds and masks are not for augment: pictures in files lie in [0, 1], and each has its masks"
        )
    levels = _checked_levels(p)
    # The number of samples may grow from one call to the next.
    settings = _settings(
        {"layer": layer, "p": p, "seed": seed, **options},
        {"network": _digest(network.module), "pictures": len(dataset)},
    )
    _refuse_others(folder / SETTINGS, settings)
    names = list(getattr(dataset, "classes", ()))
    done = {(row.original, row.sample): row for row in read_table(folder) if (folder / row.file).exists()}
    missing = [(k, s) for s in range(samples) for k in range(len(dataset)) if (k, s) not in done]
    for indices, sample in _runs(missing, batch, progress):
        images, labels = _pictures(dataset, indices)
        drawn = [_level(levels, seed, sample, index) for index in indices]
        chosen = None if levels is None else [level for level in drawn if level is not None]
        step = last(invert_dropout(network, layer, images, p=chosen, seed=seed + sample, **options))
        rows = [
            Presentation(
                f"{place}.png", index, sample, label, seed + sample, level, f"{place}.npz", loss, bool(converged)
            )
            for index, label, level, loss, converged in zip(
                indices, labels, drawn, step.loss.tolist(), step.converged.tolist(), strict=True
            )
            for place in [f"{_class_folder(label, names)}/{index:08d}-{sample}"]
        ]
        _write(folder, settings, rows, step)
        done.update({(row.original, row.sample): row for row in rows})
    return [done[key] for key in sorted(done) if key[1] < samples]


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


def _write(folder: Path, settings: dict[str, Any], rows: Sequence[Presentation], step: InversionStep) -> None:
    """The pictures and their masks first, then the table, so that what the table names is there."""
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    (folder / SETTINGS).write_text(json.dumps(settings, indent=1), encoding="utf-8")
    pixels = (step.image.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    for k, row in enumerate(rows):
        path = folder / row.file
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(pixels[k, :, :, 0] if pixels.shape[3] == 1 else pixels[k]).save(path)
        masks = {key: _part(mask, k, len(rows)).bool().cpu().numpy() for key, mask in step.masks.items()}
        np.savez_compressed(folder / row.mask, **masks)  # pyright: ignore[reportArgumentType]
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


def _runs(missing: Sequence[tuple[int, int]], batch: int, progress: bool) -> Iterator[tuple[list[int], int]]:
    """What is missing, in runs of one sample each."""
    from tqdm.auto import tqdm

    with tqdm(total=len(missing), unit="picture", disable=not progress) as bar:
        for sample in dict.fromkeys(sample for _, sample in missing):
            indices = [index for index, other in missing if other == sample]
            for start in range(0, len(indices), batch):
                run = indices[start : start + batch]
                yield run, sample
                bar.update(len(run))


def _pictures(dataset: Pictures, indices: Sequence[int]) -> tuple[Tensor, list[int]]:
    given, labels = zip(*(dataset[index] for index in indices), strict=True)
    images = [
        each if isinstance(each, Tensor) else as_images(each, name=f"image {k}")[0]
        for k, each in zip(indices, given, strict=True)
    ]
    for index, image in zip(indices, images, strict=True):
        if image.dim() != 3 or image.shape[0] not in (1, 3):
            raise ValueError(
                f"image {index} must be a tensor (1 or 3, height, width) in [0, 1], not {tuple(image.shape)}"
            )
        if image.shape != images[0].shape:
            raise ValueError(
                f"image {index} has shape {tuple(image.shape)} and image {indices[0]} {tuple(images[0].shape)}: "
                "bring all to one size, or use batch=1"
            )
    return checked_images(torch.stack(images), name=f"images {indices[0]} to {indices[-1]}"), [int(k) for k in labels]


def _checked_levels(p: float | tuple[float, float] | None) -> tuple[float, float] | None:
    if p is None:
        return None
    try:
        low, high = map(float, p if isinstance(p, tuple | list) else (p, p))
    except (TypeError, ValueError):
        low, high = 1.0, 0.0
    if not 0 <= low <= high <= 1:
        raise ValueError(f"p is None, a probability, or (lowest, highest) of them, not {p!r}")
    return low, high


def _level(levels: tuple[float, float] | None, seed: int, sample: int, index: int) -> float | None:
    if levels is None:
        return None
    generator = torch.Generator().manual_seed(number_of("p", seed, sample, index))
    low, high = levels
    return low + (high - low) * torch.rand((), generator=generator, dtype=torch.float64).item()


def _class_folder(label: int, names: Sequence[str]) -> str:
    # Zeros in front keep the order of the labels, by which `ImageFolder` numbers them.
    name = re.sub(r"\W+", "-", str(names[label])).strip("-") if 0 <= label < len(names) else ""
    return f"{label:04d}" + (f"-{name}" if name else "")


def _digest(module: nn.Module) -> str:
    """A short text that other weights do not have."""
    found = hashlib.blake2b(digest_size=8)
    for key, value in module.state_dict().items():
        if isinstance(value, Tensor):
            found.update(key.encode() + value.detach().float().cpu().numpy().tobytes())
    return found.hexdigest()


def _settings(chosen: dict[str, Any], origin: dict[str, Any]) -> dict[str, Any]:
    """The settings as they come back from a file."""
    return json.loads(json.dumps(chosen | origin, default=lambda given: getattr(given, "__qualname__", repr(given))))


def _refuse_others(path: Path, settings: dict[str, Any]) -> None:
    """An error if the folder was begun with other settings, for its pictures would not belong together."""
    old = json.loads(path.read_text(encoding="utf-8")) if path.exists() else settings
    for key in sorted(old.keys() | settings.keys()):
        if old.get(key) != settings.get(key):
            raise ValueError(
                f"{path.parent} was begun with {key}={old.get(key)!r}, not {settings.get(key)!r}: "
                "use another folder, or the same settings"
            )
