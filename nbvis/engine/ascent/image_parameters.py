"""Image parameters: what an optimisation changes, with its way to images."""

import copy
from typing import Self

import torch
from torch import Tensor

from ..network.images import Images, checked_images

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
