"""Pictures on their way to a screen: 8-bit and encoded."""

import io
import zlib
from typing import Any, NamedTuple

from PIL import Image
from torch import Tensor

JPEG_QUALITY = 85


class Frame(NamedTuple):
    """What one message carries: where the run stands, and the pictures it has then, encoded (none if it has none)."""

    header: dict[str, Any]
    pictures: tuple[bytes, ...] = ()


def picture(image: Tensor) -> Image.Image:
    """The first image of a batch as an 8-bit picture, each pixel rounded to the nearest of 256 values.

    Args:
        image: (batch, channels, height, width) in [0, 1]; one channel is shown as grey, two as the grey of their mean,
            more as the first three in red, green and blue.

    Example:
        >>> import torch
        >>> picture(torch.tensor([[[[0.0, 0.5, 1.0]]]])).tobytes().hex()
        '0080ff'
    """
    planes = image.detach()[0]
    planes = planes[:3] if len(planes) > 2 else planes.mean(0, keepdim=True)
    pixels = (planes * 255).round().clamp(0, 255).byte().movedim(0, -1).contiguous().cpu()
    height, width, channels = pixels.shape
    return Image.frombytes("RGB" if channels == 3 else "L", (width, height), pixels.numpy().tobytes())


def shown_as(channels: int) -> str:
    """A sentence on how an image with this many channels is shown, empty where nobody would ask."""
    if channels in (1, 3):
        return ""
    how = "the grey of their mean" if channels == 2 else "the first three, in red, green and blue"
    return f"The image has {channels} channels; the picture shows {how}."


def encoded(image: Image.Image, lossless: bool) -> bytes:
    """The picture as PNG, or as JPEG of quality 85 with colour at full resolution.

    A dream is colourful detail: halving the colour's resolution, as JPEG usually does, saves a third of the bytes and
    of the millisecond that 300 × 450 pixels take, and errs half as much again (17 against 11 of 255). A PNG
    is packed by looking for runs alone: of photographs and atlases that is as small, in less than half the time.
    """
    stream = io.BytesIO()
    if lossless:
        image.save(stream, "PNG", compress_level=1, compress_type=zlib.Z_RLE)
    else:
        image.save(stream, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return stream.getvalue()
