"""What a saved picture carries with it: how it was made, so that it can be gone on from."""

import base64
import binascii
import json
import zlib
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image, PngImagePlugin, UnidentifiedImageError

from nbvis.engine import Objective

from .terms import text_row, told

VERSION = 1
_KEY = "nbvis"


class Carried(NamedTuple):
    """What was found in a picture.

    Attributes:
        network: the name of the network it was made with; empty if it does not say.
        settings: traits by name.
        terms: {text, weight, mask} of each term of the objective.
        note: what cannot be gone on from, as a sentence; empty if all of it can.
    """

    network: str
    settings: dict[str, Any]
    terms: list[dict[str, Any]]
    note: str

    @property
    def objective(self) -> Objective | None:
        """The objective of those terms that can be said; None if none can."""
        parts = [_objective(term) for term in self.terms if term["text"]]
        return Objective(tuple(term for part in parts for term in part.terms)) if parts else None


def carrying(png: bytes, network: str, settings: Mapping[str, Any], objective: Objective, recipe: str) -> bytes:
    """A PNG with all that it takes to go on from it.

    Args:
        png: the picture.
        network: the name of its network.
        settings: traits by name, of JSON's kinds.
        objective: what scored high.
        recipe: Python source that makes the picture.
    """
    terms = [
        {
            "text": text_row(objective, at),
            "weight": term.weight,
            "mask": None if term.mask is None else _packed(term.mask),
        }
        for at, term in enumerate(objective.terms)
    ]
    said = {"version": VERSION, "network": network, "settings": dict(settings), "terms": terms, "recipe": recipe}
    info, file = PngImagePlugin.PngInfo(), BytesIO()
    info.add_itxt(_KEY, json.dumps(said), zip=True)
    with Image.open(BytesIO(png)) as image:
        image.save(file, "PNG", compress_level=4, pnginfo=info)
    return file.getvalue()


def carried(path: Path) -> Carried:
    """What a picture carries; of one that carries nothing, or what cannot be read, its `note` says so.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no picture.
    """
    try:
        with Image.open(path) as image:
            image.load()
            text = image.info.get(_KEY) if isinstance(image, PngImagePlugin.PngImageFile) else None
    except UnidentifiedImageError as error:
        raise ValueError(f"{path.name} is no picture that can be read") from error
    if not isinstance(text, str):
        return Carried("", {}, [], f"{path.name} carries no recipe: it is opened as any picture.")
    try:
        said = json.loads(text)
        version = said["version"]
        if version != VERSION:
            reason = f"its recipe is of version {version!r}, and this is nbvis's version {VERSION}"
            return Carried("", {}, [], f"{path.name} is opened as any picture: {reason}.")
        found = Carried(said["network"], said["settings"], said["terms"], "")
        assert found.objective or found.terms
    except (KeyError, TypeError, ValueError, AssertionError, zlib.error, binascii.Error):
        return Carried("", {}, [], f"{path.name} is opened as any picture: its recipe cannot be read.")
    lost = sum(not term["text"] for term in found.terms)
    one = "One term of its objective is" if lost == 1 else f"{lost} terms of its objective are"
    note = f"{one} left out: a picture or function of one's own is not carried in a file." if lost else ""
    return found._replace(note=note)


def _objective(term: Mapping[str, Any]) -> Objective:
    return told(term["text"], term["weight"], None if term["mask"] is None else _unpacked(term["mask"]))


def _packed(mask: torch.Tensor) -> dict[str, Any]:
    data = zlib.compress(mask.detach().float().cpu().contiguous().numpy().tobytes())
    return {"size": list(mask.shape), "data": base64.b64encode(data).decode()}


def _unpacked(packed: Mapping[str, Any]) -> torch.Tensor:
    size: Sequence[int] = packed["size"]
    values = np.frombuffer(zlib.decompress(base64.b64decode(packed["data"], validate=True)), np.float32)
    return torch.from_numpy(values.reshape(size).copy())
