"""Arrays in a file, with a header: NumPy's format and JSON in a zip archive, replaced only once all is written."""

import json
import os
import tempfile
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

FORMAT, VERSION = "nbvis statistics", 2
_UNFINISHED = ".part"


def write_arrays(path: Path, header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Writes them; a file of this name stays as it is until the new one is complete.

    Raises:
        OSError: if it cannot be written; a file of this name is untouched.
    """
    text = json.dumps({"format": FORMAT, "version": VERSION, **header})
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=_UNFINISHED)
    try:
        with os.fdopen(handle, "wb") as stream:
            np.savez(stream, header=np.asarray(text), **arrays)  # pyright: ignore[reportArgumentType]
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def remove_unfinished(folder: Path) -> None:
    """Removes what killed processes have half written there; nobody may be writing."""
    for path in folder.glob(f".*.npz.*{_UNFINISHED}"):
        path.unlink()


def read_arrays(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The header and the arrays.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is damaged, something else, or of a later version.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()
        if broken is not None:
            raise ValueError(f"its part {broken} does not have the check sum that it was written with")
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        header = json.loads(str(arrays.pop("header")))
        if header["format"] != FORMAT:
            raise ValueError(f"it is {header['format']}")
        version = header["version"]
    except (zipfile.BadZipFile, zlib.error, ValueError, KeyError, TypeError, EOFError, NotImplementedError) as error:
        raise ValueError(f"{path} is damaged or no statistics file: {error}") from error
    if version != VERSION:
        raise ValueError(f"{path} has version {version} of the format, and this nbvis reads version {VERSION}")
    return header, arrays
