"""Images: what is taken as some, whatever it comes in."""

import math
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, Union

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from PIL import Image

Images: TypeAlias = Union[Tensor, np.ndarray, "Image.Image", str, os.PathLike[str]]
"""What `as_images` takes."""

_MODES = {"1": "L", "L": "L", "P": "RGB", "RGB": "RGB", "RGBX": "RGB", "CMYK": "RGB", "YCbCr": "RGB", "HSV": "RGB"}
"""The bytes that a PIL image without transparency is read as; other modes hold numbers of another range."""


def as_images(images: Images, *, name: str = "images") -> Tensor:
    """Images as a tensor; wherever images are taken, all this is.

    Args:
        images: a tensor, which stays as it is; a PIL image; the path of an image file, which is turned as the camera
            noted; or a numpy array (height, width), (height, width, channels) or (batch, height, width, channels) of
            bytes, or of floats in [0, 1]. A grey picture has one channel. What is transparent in a picture is laid
            over white; in an array it is the fourth channel.
        name: what an error calls them.

    Returns:
        (batch, channels, height, width), one image being a batch of one; what is made of bytes is float32 in [0, 1].

    Raises:
        TypeError: for anything else, or an array of other numbers; the message has the line that converts it.
        ValueError: for an array of another shape or range, or a file that holds no image; likewise.
        FileNotFoundError: if there is no such file.

    Example:
        >>> as_images(np.zeros((32, 48, 3), dtype="uint8")).shape
        torch.Size([1, 3, 32, 48])
    """
    if isinstance(images, Tensor):
        return images
    if isinstance(images, str | os.PathLike):
        return _from_file(images, name)
    if isinstance(images, np.ndarray):
        return _from_array(images, name)
    if "PIL.Image" in sys.modules and isinstance(images, sys.modules["PIL.Image"].Image):
        return _from_pil(images, name)
    kind = type(images).__name__
    ways = {
        "list": f"torch.cat([as_images(each) for each in {name}])",
        "tuple": f"torch.cat([as_images(each) for each in {name}])",
        "bytes": f"PIL.Image.open(io.BytesIO({name}))",
    }
    raise TypeError(
        f"{name} must be a tensor (batch, channels, height, width) in [0, 1], a PIL image, a numpy array or a path, "
        f"not {kind}: {ways.get(kind, f'np.asarray({name}) makes an array of what can be one')}"
    )


def checked_images(images: Images, *, name: str = "images", bounded: bool = True) -> Tensor:
    """The images, if they are something that can be optimised, or at least looked at: then not `bounded` by [0, 1].

    Raises:
        TypeError: if they are nothing that `as_images` takes, or not floating.
        ValueError: if they are not (batch, channels, height, width) in [0, 1]; the message says what they are.
    """
    images = as_images(images, name=name)
    if images.is_inference():  # no gradient would reach it
        with torch.inference_mode(False):
            images = images.clone()
    if not images.is_floating_point():
        raise TypeError(f"{name} must be float in [0, 1], not {images.dtype}: divide by 255, as {name} / 255")
    if images.dim() != 4 or not images.numel():
        hint = ": add the batch with image[None]" if images.dim() == 3 else ""
        raise ValueError(f"{name} must be (batch, channels, height, width), not {tuple(images.shape)}{hint}")
    low, high = (bound.item() for bound in images.aminmax())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError(f"{name} hold NaN or infinite values")
    if bounded and (low < 0 or high > 1):
        raise ValueError(f"{name} must lie in [0, 1], not in [{low:.4g}, {high:.4g}]: {_way_back(low, high, name)}")
    return images


def _from_file(path: str | os.PathLike[str], name: str) -> Tensor:
    from PIL import Image, ImageOps, UnidentifiedImageError

    if isinstance(path, str) and "://" in path:
        raise ValueError(f"{name} {path!r} is an address, and nothing is fetched: give the path of a file")
    if not Path(path).is_file():
        raise FileNotFoundError(f"{name}: there is no file {str(path)!r} in {Path.cwd()}")
    try:
        with Image.open(path) as image:
            return _from_pil(ImageOps.exif_transpose(image), name)
    except (UnidentifiedImageError, OSError) as error:
        raise ValueError(f"{name}: {str(path)!r} is no image file that Pillow reads: {error}") from error


def _from_pil(image: "Image.Image", name: str) -> Tensor:
    from PIL import Image

    mode = image.mode
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        image = image.convert("L" if mode in ("L", "LA", "La", "1") else "RGB")
    elif mode in _MODES:
        image = image.convert(_MODES[mode])
    elif mode == "LAB":
        raise ValueError(f"{name} is a PIL image of mode 'LAB', which Pillow cannot bring to red, green and blue")
    return _from_array(np.asarray(image), f"np.asarray({name})")


def _from_array(array: np.ndarray, name: str) -> Tensor:
    """An array whose last axis is that of the channels."""
    kind = f"an array {array.shape} of {array.dtype}"
    whole, floating = np.issubdtype(array.dtype, np.integer), np.issubdtype(array.dtype, np.floating)
    if not array.size or array.ndim not in (2, 3, 4):
        raise ValueError(f"{name} must be (height, width), (height, width, channels) or a batch of those, not {kind}")
    rows, channels = array.shape[-3:-2], array.shape[-1]
    if rows and channels > 4 and rows[0] < channels:
        batch = "" if array.ndim == 4 else "[None]"
        raise ValueError(
            f"{name} must have the channels last, and is {kind}: if they come before height and width, give "
            f"torch.from_numpy({name}){batch}; if these are grey pictures, {name}[..., None]"
        )
    if array.dtype != np.uint8 and not (floating and array.dtype.itemsize <= 8):
        way = f"{name}.astype('float32')"
        if whole:
            most = 65535 if array.dtype.itemsize == 2 and array.max() > 255 else 255
            way = f"{name} / {most}"
        raise TypeError(f"{name} must hold bytes, or floats in [0, 1], and is {kind}{_range(array)}: give {way}")
    if floating:
        low, high = float(array.min()), float(array.max())
        if not (math.isfinite(low) and math.isfinite(high)):
            raise ValueError(f"{name} holds NaN or infinite values: it is {kind}")
        if low < 0 or high > 1:
            raise ValueError(
                f"{name} must lie in [0, 1], and is {kind} in [{low:.4g}, {high:.4g}]: {_way_back(low, high, name)}"
            )
    else:
        array = array.astype(np.float32) / 255
    # A copy in the machine's own order of bytes, since torch takes no other and an array may change or be read-only.
    planes = torch.from_numpy(np.array(array, dtype=array.dtype.newbyteorder("="), order="C"))
    planes = planes if rows else planes[..., None]
    return (planes if array.ndim == 4 else planes[None]).movedim(-1, 1).contiguous()


def _range(array: np.ndarray) -> str:
    return f" in [{array.min()}, {array.max()}]" if array.dtype.kind in "iub" else ""


def _way_back(low: float, high: float, name: str) -> str:
    """How values from `low` to `high` usually come to [0, 1]."""
    if low >= 0 and high > 1.1:
        most = 255 if high <= 255 else 65535 if high <= 65535 else f"{high:.4g}"
        return f"divide by {most}, as {name} / {most}"
    if -0.1 <= low and high <= 1.1:
        return f"cut what is beyond with {name}.clip(0, 1)"
    if -1 <= low and high <= 1:
        return f"bring it back with ({name} + 1) / 2"
    return f"undo what normalised it, as {name} * std + mean"
