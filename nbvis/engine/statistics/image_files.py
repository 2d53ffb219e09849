"""Pictures in files, as batches that say which they are and which could not be read."""

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ..arguments import whole
from ..network.images import as_images
from ..network.pair import side_by_side
from .batches import Batch

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")


class ImageItems(Dataset[Tensor | str]):
    """Images that are taken by their index; one that cannot be read is a sentence on why."""

    def __len__(self) -> int:
        """How many there are."""
        raise NotImplementedError

    def __getitem__(self, index: int) -> Tensor | str:
        """An image, (channels, height, width) in [0, 1], or a sentence on why it cannot be read."""
        raise NotImplementedError

    def batches(
        self,
        batch: int = 32,
        *,
        shard: tuple[int, int] = (0, 1),
        done: Tensor | None = None,
        workers: int = 0,
    ) -> "FileBatches":
        """The pictures in batches, each of one size.

        Args:
            batch: pictures in one.
            shard: (k, n) for every n-th picture from the k-th on, which n processes share the data set by.
            done: which need not be read, (pictures or fewer,) booleans, such as the `counted` of `Statistics`.
            workers: processes that read ahead.
        """
        rank, ranks = shard
        if not 0 <= rank < ranks:
            raise ValueError(f"shard is (k, n) with k from 0 to n - 1, not {shard!r}")
        own = range(rank, len(self), ranks)
        groups = [own[start : start + batch] for start in range(0, len(own), whole(batch, "batch", 1))]
        # Batches are made up first, so that those that are left are the same as in a run that was not interrupted.
        left = [[index for index in group if not _marked(done, index)] for group in groups]
        return FileBatches(self, [group for group in left if group], workers)


class ImageFiles(ImageItems):
    """The pictures of a folder, or of a list of files, in an order that is the same on every machine.

    Args:
        source: a folder, whose pictures and those of the folders in it are taken in the order of their paths; or a text
            file with a path, from where it lies, and a label, if there is one, in each line, apart by a comma, a tab or
            spaces; or the paths themselves.
        size: (height, width) in pixels: each picture is scaled to cover that, and what juts out is cut off on both
            sides; None to take it as it is.
        pairs: whether each image is a pair for a siamese network, as `side_by_side` makes them: each line then has two
            paths before its label, and of paths themselves there are two each. The second picture is scaled to the
            size of the first.

    Attributes:
        paths: of the files, of each pair the first; the index of an image in the data set is its place here.
        files: the paths of each image, one or two.
        labels: of each, or None.
        left_out: how many files of the folder are no pictures, by their names.

    Raises:
        FileNotFoundError: if there is no such folder or file.
        ValueError: if it holds no pictures, or no pairs.
    """

    def __init__(
        self,
        source: str | Path | Sequence[str | Path | Sequence[str | Path]],
        size: tuple[int, int] | None = None,
        *,
        pairs: bool = False,
    ):
        self.size = None if size is None else (whole(size[0], "a height", 1), whole(size[1], "a width", 1))
        self.left_out = 0
        if not isinstance(source, str | Path):
            found = [(_several(each), None) for each in source]
        elif Path(source).is_dir():
            found, self.left_out = _in_folder(Path(source))
        else:
            found = _in_list(Path(source), 2 if pairs else 1)
        if not found:
            raise ValueError(f"there are no pictures in {source}: their names end in {', '.join(SUFFIXES)}")
        for files, _ in found:
            if len(files) != (2 if pairs else 1):
                raise ValueError(f"{'a pair is two paths' if pairs else 'a picture is one path'}, not {files}")
        self.files, self.labels = [files for files, _ in found], [label for _, label in found]
        self.paths = [files[0] for files in self.files]

    def __len__(self) -> int:
        """How many files."""
        return len(self.paths)

    def __getitem__(self, index: int) -> Tensor | str:
        """A picture or a pair, (3, height, width) in [0, 1], or a sentence on why it cannot be read."""
        found = []
        for path in self.files[index]:
            try:
                image = as_images(path, name="the picture").expand(-1, 3, -1, -1)
            except (OSError, ValueError, TypeError, SyntaxError, ArithmeticError, MemoryError, RuntimeError) as error:
                return f"{path}: {error}"
            found.append(image if self.size is None else _covering(image, self.size))
        return (found[0] if len(found) == 1 else side_by_side(*found, scaled=True))[0]


class FileBatches:
    """The batches of some files; as many as it says, and more where pictures differ in size.

    Args:
        files: the data set.
        groups: the indices in each batch.
        workers: processes that read ahead.
    """

    def __init__(self, files: ImageItems, groups: Sequence[Sequence[int]], workers: int):
        self.files, self.groups, self.workers = files, groups, whole(workers, "workers")

    def __len__(self) -> int:
        """How many groups of pictures are read together."""
        return len(self.groups)

    def __iter__(self) -> Iterator[Batch]:
        """Reads them."""
        loader = DataLoader(
            self.files,
            batch_sampler=self.groups,  # type: ignore[arg-type]
            num_workers=self.workers,
            collate_fn=_as_they_are,
            generator=torch.Generator(),  # or it would draw from the caller's
        )
        for group, found in zip(self.groups, loader, strict=True):
            yield from Batch.grouped(
                {k: each if isinstance(each, str) else each[None] for k, each in zip(group, found, strict=True)}
            )


def _as_they_are(found: list[Any]) -> list[Any]:
    return found


def _marked(marks: Tensor | None, index: int) -> bool:
    return marks is not None and index < len(marks) and bool(marks[index])


_Listed = tuple[tuple[Path, ...], str | None]
"""The paths of an image, and its label."""


def _several(given: str | Path | Sequence[str | Path]) -> tuple[Path, ...]:
    return (Path(given),) if isinstance(given, str | Path) else tuple(map(Path, given))


def _in_folder(folder: Path) -> tuple[list[_Listed], int]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    found = [path for path in files if path.suffix.lower() in SUFFIXES]
    found.sort(key=lambda path: path.relative_to(folder).parts)
    return [((path,), None) for path in found], len(files) - len(found)


def _in_list(file: Path, count: int) -> list[_Listed]:
    if not file.is_file():
        raise FileNotFoundError(f"there is no folder and no list of pictures {str(file)!r} in {Path.cwd()}")
    lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]
    return [_line(file, number, line, count) for number, line in enumerate(lines, 1) if line]


def _line(file: Path, number: int, line: str, count: int) -> _Listed:
    folder = file.parent
    if count == 1 and (folder / line).is_file():  # a path with spaces, and no label
        return (folder / line,), None
    # Paths with spaces are held apart by something else.
    apart = r"[,\t]\s*" if count > 1 and re.search(r"[,\t]", line) else r"[,\t]\s*|\s+"
    parts = re.split(apart, line, maxsplit=count)
    if len(parts) < count:
        raise ValueError(f"line {number} of {str(file)!r} has one path, and a pair takes two: {line!r}")
    return tuple(folder / part for part in parts[:count]), parts[count] if len(parts) > count else None


def _covering(image: Tensor, size: tuple[int, int]) -> Tensor:
    height, width = image.shape[2:]
    scale = max(size[0] / height, size[1] / width)
    near = max(size[0], round(height * scale)), max(size[1], round(width * scale))
    resize: Callable[..., Tensor] = torch.nn.functional.interpolate
    if near != (height, width):
        image = resize(image, near, mode="bilinear", antialias=True, align_corners=False).clamp(0, 1)  # it rounds
    top, left = (near[0] - size[0]) // 2, (near[1] - size[1]) // 2
    return image[..., top : top + size[0], left : left + size[1]]
