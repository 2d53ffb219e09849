"""Images: what is taken as some, and image parameters, which an optimisation changes, with their way to images."""

import copy
import math
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeAlias, Union

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from PIL import Image

Images: TypeAlias = Union[Tensor, np.ndarray, "Image.Image", str, os.PathLike[str]]
"""What `as_images` takes."""

_MODES = {"1": "L", "L": "L", "P": "RGB", "RGB": "RGB", "RGBX": "RGB", "CMYK": "RGB", "YCbCr": "RGB", "HSV": "RGB"}
"""The bytes that a PIL image without transparency is read as; other modes hold numbers of another range."""

COLOR_MATRIX = (
    (0.5628285773640647, 0.19482527677986852, 0.0432945059510819),
    (0.5844758303396056, 0.0, -0.10823626487770474),
    (0.5844758303396056, -0.19482527677986852, 0.06494175892662284),
)
"""ImageNet's colour correlation: the square root of the covariance of its pixels' (red, green, blue), over the largest
column norm, so that each column of the identity becomes a natural colour direction of at most unit length."""


class ImageParameter:
    """A tensor to optimise and its way to images.

    Attributes:
        values: the tensor that an optimiser changes.
    """

    values: Tensor

    def image(self) -> Tensor:
        """The images that the values stand for, (batch, channels, height, width) in [0, 1]."""
        raise NotImplementedError

    def project(self) -> None:
        """Brings the values back, in place, to those that stand for an image; called after each update."""

    def holding(self, values: Tensor) -> Self:
        """The same way to images from other values."""
        other = copy.copy(self)
        other.values = values
        return other


class Pixels(ImageParameter):
    """The pixels themselves, kept in [0, 1] after each update.

    Args:
        images: (batch, channels, height, width) in [0, 1], or anything else that `as_images` takes.

    Raises:
        TypeError: if they are nothing of that.
        ValueError: if the images have another shape, leave [0, 1] or hold NaN.

    Example:
        >>> image = torch.rand(1, 3, 8, 8)
        >>> torch.equal(Pixels(image).image(), image)
        True
    """

    def __init__(self, images: Images):
        self.values = checked_images(images).detach().clone()

    def image(self) -> Tensor:
        """The pixels."""
        # `project` keeps the range: a clamp here would take the gradient from pixels at 0 and 1, and they would stick.
        return self.values.clone()

    def project(self) -> None:
        """Clamps the pixels to [0, 1]."""
        self.values.clamp_(0, 1)


class Fourier(ImageParameter):
    """Noise with a natural image's spectrum and colours, as its Fourier coefficients.

    The coefficients are scaled by 1 / max(frequency, 1 / longest side) ** decay, brought to the plane by an
    orthonormal inverse transform, divided by 4, mixed into correlated colours (three channels only) and squashed by a
    sigmoid. One step on a coefficient changes the whole picture, coarse structure most.

    Args:
        height: of the images, pixels.
        width: of the images, pixels.
        batch: number of images, each with its own start.
        channels: of the images; colours are correlated if there are three.
        decay: how much weaker fine structure is than coarse; natural images have about 1, and 1.5 climbs faster.
        sd: standard deviation of the coefficients at the start.
        seed: of the start.

    Raises:
        ValueError: if a size is not positive.

    Source: Olah, Mordvintsev and Schubert 2017, "Feature Visualization", section "Preconditioning and
    parameterization".

    Example:
        >>> Fourier(32, 48, batch=2).image().shape
        torch.Size([2, 3, 32, 48])
    """

    @torch.inference_mode(False)
    def __init__(
        self,
        height: int,
        width: int,
        *,
        batch: int = 1,
        channels: int = 3,
        decay: float = 1.5,
        sd: float = 0.01,
        seed: int = 0,
    ):
        if min(height, width, batch, channels) < 1:
            raise ValueError(
                f"sizes are at least 1, not (batch, channels, height, width) = {(batch, channels, height, width)}"
            )
        self.size = (height, width)
        self.decay = decay
        shape = (batch, channels, height, width // 2 + 1, 2)
        self.values = sd * torch.randn(shape, generator=torch.Generator().manual_seed(seed))
        rows, columns = torch.fft.fftfreq(height, dtype=torch.float64), torch.fft.rfftfreq(width, dtype=torch.float64)
        frequency = (rows[:, None] ** 2 + columns[None] ** 2).sqrt()
        self._scale = 1 / frequency.clamp(min=1 / max(height, width)) ** decay / 4
        self._colors = torch.tensor(COLOR_MATRIX, dtype=torch.float64) if channels == 3 else None

    def image(self) -> Tensor:
        """The images that the coefficients stand for."""
        spectrum = torch.view_as_complex(self.values) * self._scale.to(self.values)
        plane = torch.fft.irfft2(spectrum, s=self.size, norm="ortho")
        if self._colors is not None:
            plane = torch.einsum("rc,bchw->brhw", self._colors.to(plane), plane)
        return plane.sigmoid()


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
