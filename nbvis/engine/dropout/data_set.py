"""Dropout as data augmentation: every picture of a data set as dropout at a layer sees it, written into a folder."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ..arguments import whole
from ..network.images import as_images, checked_images
from ..network.imprint import digest
from ..network.network import Network, as_network
from ..steps import last
from .inversion import InversionStep, invert_dropout
from .inversion_arguments import Layers
from .masks import number_of
from .presentation_folder import Presentation, as_stored, class_folder, read_table, refuse_others, write


class Pictures(Protocol):
    """What `augment` takes: pictures with their labels, by index, as torch's map-style data sets are."""

    def __len__(self) -> int:
        """How many."""
        ...

    def __getitem__(self, index: int, /) -> tuple[Any, Any]:
        """Image (channels, height, width) in [0, 1], or what else `as_images` takes, and label, a whole number."""
        ...


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
    origin = {"network": digest(network.module), "pictures": len(dataset)}
    settings = as_stored({"layer": layer, "p": p, "seed": seed, **options, **origin})
    refuse_others(folder, settings)
    names = list(getattr(dataset, "classes", ()))
    done = {(row.original, row.sample): row for row in read_table(folder) if (folder / row.file).exists()}
    missing = [(k, s) for s in range(samples) for k in range(len(dataset)) if (k, s) not in done]
    for indices, sample in _runs(missing, batch, progress):
        images, labels = _pictures(dataset, indices)
        drawn = [_level(levels, seed, sample, index) for index in indices]
        chosen = None if levels is None else [level for level in drawn if level is not None]
        step = last(invert_dropout(network, layer, images, p=chosen, seed=seed + sample, **options))
        rows = _rows(step, indices, sample, labels, drawn, seed + sample, names)
        write(folder, settings, rows, step.image, step.masks)
        done.update({(row.original, row.sample): row for row in rows})
    return [done[key] for key in sorted(done) if key[1] < samples]


def _rows(
    step: InversionStep,
    indices: Sequence[int],
    sample: int,
    labels: Sequence[int],
    drawn: Sequence[float | None],
    seed: int,
    names: Sequence[str],
) -> list[Presentation]:
    """The rows of the table for the pictures of one run."""
    rows = []
    losses, converged = step.loss.tolist(), step.converged.tolist()
    for index, label, p, loss, done in zip(indices, labels, drawn, losses, converged, strict=True):
        place = f"{class_folder(label, names)}/{index:08d}-{sample}"
        rows.append(Presentation(f"{place}.png", index, sample, label, seed, p, f"{place}.npz", loss, bool(done)))
    return rows


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
