"""Pictures that a person chooses in a panel, read on a worker: a photograph that ships, bytes, a file."""

import importlib.util
import io
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from nbvis.engine import ImageFiles, Pair, as_images, halves, side_by_side

from .given import Given, sized
from .numbers import one_of

MOST = 64_000_000
"""Pixels above which a picture is not read: a small file may say that it has any number of them."""
NAME = 120
"""Letters of a file's name that are kept."""

WAYS = {
    "opened": "the picture of the file {name!r}, which was opened in the panel",
    "pasted": "a picture that was pasted into the panel",
    "camera": "a picture that was taken with the camera",
    "video": "a picture of a video that was played in the panel, {name!r}",
}
"""How bytes come from a browser, and what the picture is called in a recipe."""
NAMES = {"pasted": "pasted", "camera": "from the camera"}
"""What is shown as the name of what has no name of its own."""
PAIRED = " + "
"""Stands between the names of two pictures."""


class Wanted(NamedTuple):
    """What a widget takes.

    Attributes:
        channels: that the network is shown: grey and colour are turned into each other where they have to be.
        bounded: as in `Given`.
        before: the pair that is shown, if the network compares pairs, (1, channels, height, width).
        replaces: which of its two pictures another one takes the place of, "first" or "second".
    """

    channels: int
    bounded: bool
    before: Tensor | None = None
    replaces: str = "first"


def photographs() -> list[str]:
    """The names of the photographs that ship; none without the extra `nbvis[demo]`."""
    if importlib.util.find_spec("skimage") is None:
        return []
    from nbvis.demo import PHOTOS

    return list(PHOTOS)


def read(asked: Mapping[str, Any], files: ImageFiles | None, wanted: Wanted) -> Given:
    """The picture that a view asks for.

    Args:
        asked: the message; see `inputs`.
        files: the list to walk through, if there is one.
        wanted: what the widget takes.

    Raises:
        ValueError: if it cannot be read; the message says why.
    """
    way = asked["way"]
    if way == "photograph":
        return photograph(asked["name"], wanted)
    if way == "list":
        if files is None:
            raise ValueError("there is no list to walk through: set pictures first")
        return of_files(files, asked["place"], asked["turn"], wanted)
    return of_bytes(asked["buffers"][0], one_of("way", way, list(WAYS)), asked["name"], asked["said"], wanted)


def photograph(name: str, wanted: Wanted) -> Given:
    """A photograph that ships.

    Args:
        name: one of `photographs()`.
        wanted: what the widget takes.

    Raises:
        ValueError: if there is none of that name.
    """
    from nbvis.demo import photo

    return _made(photo(name), f"demo.photo({name!r})", wanted, name=name, what=f"the photograph {name!r}")


def of_bytes(data: bytes | memoryview, way: str, name: str, said: str, wanted: Wanted) -> Given:
    """A picture whose bytes came from a browser.

    Args:
        data: the content of an image file.
        way: one of `WAYS`.
        name: of the file, as the browser tells it.
        said: a sentence on what the browser has done to it; empty for nothing.
        wanted: what the widget takes.

    Raises:
        ValueError: if it is no picture that can be read; the message says why.
    """
    name = NAMES.get(way) or " ".join(name.split())[-NAME:]
    image = decoded(data, repr(name) if way == "opened" else "the picture")
    given = _made(image, "image", wanted, name=name, what=WAYS[way].format(name=name))
    return given._replace(said=" ".join(filter(None, [said, given.said])))


def of_files(files: ImageFiles, start: int, way: int, wanted: Wanted) -> Given:
    """A picture of a list; those that cannot be read are passed over, and named in what is `said` of it.

    Args:
        files: the list.
        start: the place of the one that is asked for.
        way: 1 or -1 to go on that way from one that cannot be read, 0 to go nowhere.
        wanted: what the widget takes.

    Raises:
        ValueError: if there is none that can be read; the message says why.
    """
    end = {1: len(files), -1: -1, 0: start + 1}[way]
    failed: list[str] = []
    for place in range(start, end, way or 1):
        paths = files.files[place]
        try:
            images = [of_path(path) for path in paths]
        except (ValueError, OSError) as error:
            failed.append(str(error))
            continue
        given = _listed(images, paths, wanted)
        count = "1 file" if len(failed) == 1 else f"{len(failed):,} files"
        said = [f"Passed over {count}: {_some(failed)}." if failed else "", given.said]
        return given._replace(files=paths, said=" ".join(filter(None, said)))
    raise ValueError(_some(failed) or f"there is no picture number {start}")


def of_path(path: Path) -> Tensor:
    """The picture of a file, (1, channels, height, width) in [0, 1].

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no picture that can be read; the message says why.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {os.fspath(path)!r}")
    return decoded(path.read_bytes(), repr(os.fspath(path)))


def decoded(data: bytes | memoryview, name: str) -> Tensor:
    """The picture that bytes are, turned as the camera noted, (1, channels, height, width) in [0, 1].

    Args:
        data: the content of an image file.
        name: what an error calls it.

    Raises:
        ValueError: if they are none that can be read; the message says why.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        # Pillow only warns of a picture that is no more than twice as large as it takes to be one.
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data))
        width, height = image.size
        if width * height > MOST:
            raise Image.DecompressionBombError
        image.load()
        return as_images(ImageOps.exif_transpose(image), name=name)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ValueError(f"{name} says that it has more pixels than the {MOST:,} that are taken") from error
    except UnidentifiedImageError as error:
        raise ValueError(f"{name} is no picture that can be read: JPEG, PNG, WebP, GIF, BMP and TIFF can be") from error
    except Exception as error:  # whoever made the bytes decides what a decoder stumbles over
        raise ValueError(f"{name} is damaged or cut off, or of an unusual kind: {error}") from error


def listed(source: Any, pair: Pair | None = None) -> ImageFiles:
    """The pictures of a folder or a list; see `ImageFiles`.

    Args:
        source: the folder or the list.
        pair: how the network takes pairs: a list then holds those, and a folder single pictures still.

    Raises:
        TypeError: if it is neither.
        FileNotFoundError: if there is no such folder, or none of the files is there.
        ValueError: if it has no pictures, or a line of a list no pair.
    """
    if not isinstance(source, str | Path | Sequence) or isinstance(source, bytes):
        kind = type(source).__name__
        raise TypeError(f"pictures are a folder, a text file with a path in each line, or a list of paths, not {kind}")
    in_lines = isinstance(source, str | Path) and not Path(source).is_dir()
    twos = not isinstance(source, str | Path) and any(isinstance(each, tuple | list) for each in source)
    files = ImageFiles(source, pairs=pair is not None and (in_lines or twos))
    if not any(path.is_file() for path in files.paths):
        raise FileNotFoundError(f"none of the {len(files)} pictures is there, such as {os.fspath(files.paths[0])!r}")
    return files


def names_of(files: ImageFiles) -> list[list[str]]:
    """Name and label of each file; the name is its path from the folder that all lie in, of a pair both."""
    try:
        common = os.path.commonpath([path.absolute().parent for paths in files.files for path in paths])
        names = [PAIRED.join(path.absolute().relative_to(common).as_posix() for path in paths) for paths in files.files]
    except ValueError:  # on several drives
        names = [PAIRED.join(map(str, paths)) for paths in files.files]
    return [[name, label or ""] for name, label in zip(names, files.labels, strict=True)]


def _listed(images: Sequence[Tensor], paths: Sequence[Path], wanted: Wanted) -> Given:
    """A picture of a list, or a pair."""
    sources = [f"as_images({os.fspath(path)!r})" for path in paths]
    if len(images) == 1:
        name = paths[0].name
        return _made(images[0], sources[0], wanted, name=name, what=f"the picture of the file {name!r}")
    fitting = [_coloured(image, source, wanted) for image, source in zip(images, sources, strict=True)]
    (first, one), (second, other) = fitting
    pair, source = side_by_side(first, second, scaled=True), f"side_by_side({one}, {other}, scaled=True)"
    given = Given(pair, source, pair, source, None, wanted.bounded, PAIRED.join(path.name for path in paths), pair=True)
    return sized(given._replace(said=_scaled_words(second, first)))


def _made(image: Tensor, source: str, wanted: Wanted, *, name: str, what: str) -> Given:
    """A picture as the widget takes it; where that takes pairs, in place of one of those before."""
    image, source = _coloured(image, source, wanted)
    # What came from a browser is there as the widget's image alone, which is grey or in colour already.
    source = "image" if source.startswith("image") else source
    if wanted.before is None:
        whence = what if source == "image" else ""
        return sized(Given(image, source, image, source, None, wanted.bounded, name, whence=whence))
    first, second = halves(wanted.before.to(image))
    stays = second if wanted.replaces == "first" else first
    pair = side_by_side(stays, image, scaled=True)
    if wanted.replaces == "first":
        pair = side_by_side(*halves(pair)[::-1])
    whence = f"a pair, {what} having taken the place of the {wanted.replaces} picture"
    given = Given(pair, "image", pair, "image", None, wanted.bounded, name, whence=whence, pair=True)
    return sized(given._replace(said=_scaled_words(image, stays)))


def _scaled_words(image: Tensor, beside: Tensor) -> str:
    before, after = (f"{each.shape[2]:,} × {each.shape[3]:,}" for each in (image, beside))
    return "" if before == after else f"Scaled from {before} to {after} pixels, the size of the picture beside it."


def _coloured(image: Tensor, source: str, wanted: Wanted) -> tuple[Tensor, str]:
    """Grey or in colour, as the network is shown it, with its source."""
    if wanted.channels == 3 and image.shape[1] == 1:
        image, source = image.expand(-1, 3, -1, -1).contiguous(), f"{source}.expand(-1, 3, -1, -1)"
    elif wanted.channels == 1 and image.shape[1] == 3:
        image, source = image.mean(1, keepdim=True), f"{source}.mean(1, keepdim=True)"
    return image, source


def _some(sentences: Sequence[str]) -> str:
    rest = len(sentences) - 5
    return "; ".join([*sentences[:5], *([f"and {rest} more"] if rest > 0 else [])])
