"""Image parameters: what an optimisation changes, each with its way to images in [0, 1]."""

import copy
import math
from typing import Self

import torch
from torch import Tensor

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
        images: (batch, channels, height, width) in [0, 1].

    Raises:
        ValueError: if the images have another shape, leave [0, 1] or hold NaN.

    Example:
        >>> image = torch.rand(1, 3, 8, 8)
        >>> torch.equal(Pixels(image).image(), image)
        True
    """

    def __init__(self, images: Tensor):
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


def checked_images(images: Tensor, *, name: str = "images", bounded: bool = True) -> Tensor:
    """The images, if they are something that can be optimised, or at least looked at: then not `bounded` by [0, 1].

    Raises:
        TypeError: if they are not a floating tensor.
        ValueError: if they are not (batch, channels, height, width) in [0, 1]; the message says what they are.
    """
    if not isinstance(images, Tensor):
        raise TypeError(
            f"{name} must be a tensor (batch, channels, height, width) in [0, 1], not {type(images).__name__}"
        )
    if not images.is_floating_point():
        raise TypeError(f"{name} must be float in [0, 1], not {images.dtype}: divide by 255")
    if images.dim() != 4 or not images.numel():
        hint = ": add the batch with image[None]" if images.dim() == 3 else ""
        raise ValueError(f"{name} must be (batch, channels, height, width), not {tuple(images.shape)}{hint}")
    low, high = (bound.item() for bound in images.aminmax())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError(f"{name} hold NaN or infinite values")
    if bounded and (low < 0 or high > 1):
        raise ValueError(f"{name} must lie in [0, 1], not in [{low:.4g}, {high:.4g}]")
    return images
