"""Image parameters: what an optimisation changes, with its way to images."""

import copy
from collections.abc import Sequence
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
        values: the tensor that an optimiser changes, the batch first.
        center: where the values are the pixels, what regularisers measure them from; None where they are not.
        usual_lr: the learning rate that suits the values where nobody chose one.
    """

    values: Tensor
    center: Tensor | None = None
    usual_lr = 0.03

    def image(self) -> Tensor:
        """The images that the values stand for, (batch, channels, height, width) in [0, 1]."""
        raise NotImplementedError

    def shown(self, generator: torch.Generator) -> Tensor:
        """What of the images is optimised at one step: the images, or with them what the generator draws."""
        return self.image()

    def price(self) -> Tensor | None:
        """Which share of its score each image has to give up for what it is, (batch,) in [0, 1]; None for nothing."""
        return None

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
        center: what regularisers measure the pixels from, in [0, 1]: one number, or one for each channel, such as the
            means of the pictures that the network was trained on.

    Raises:
        TypeError: if they are nothing of that.
        ValueError: if the images have another shape, leave [0, 1] or hold NaN, or the centre does not fit them.

    Example:
        >>> image = torch.rand(1, 3, 8, 8)
        >>> torch.equal(Pixels(image).image(), image)
        True
    """

    def __init__(self, images: Images, *, center: float | Sequence[float] = 0.5):
        self.values = checked_images(images).detach().clone()
        self.center = centered(center, self.values.shape[1])

    @classmethod
    @torch.inference_mode(False)
    def noise(
        cls,
        height: int,
        width: int,
        *,
        batch: int = 1,
        channels: int = 3,
        center: float | Sequence[float] = 0.5,
        sd: float = 10 / 255,
        seed: int = 0,
    ) -> "Pixels":
        """Normal noise around the centre, cut to [0, 1], as Yosinski et al. 2015 start from.

        Args:
            height: of the images, pixels.
            width: of the images, pixels.
            batch: number of images, each with its own noise.
            channels: of the images.
            center: one number in [0, 1], or one for each channel.
            sd: standard deviation of the noise; 0 for the centre alone.
            seed: of the noise.

        Raises:
            ValueError: if a size is not positive, the centre does not fit or `sd` is negative.

        Example:
            >>> Pixels.noise(8, 12, center=(0.485, 0.456, 0.406)).image().shape
            torch.Size([1, 3, 8, 12])
        """
        check_sizes(batch, channels, height, width)
        if not 0 <= sd < float("inf"):
            raise ValueError(f"sd is a number from 0 up, not {sd!r}")
        noise = torch.randn((batch, channels, height, width), generator=torch.Generator().manual_seed(seed))
        return cls((centered(center, channels) + sd * noise).clamp(0, 1).float(), center=center)

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
        check_sizes(batch, channels, height, width)
        self.size = (height, width)
        self.decay = decay
        shape = (batch, channels, height, width // 2 + 1, 2)
        self.values = sd * torch.randn(shape, generator=torch.Generator().manual_seed(seed))
        self._scale = 1 / frequencies(height, width).clamp(min=1 / max(height, width)) ** decay / 4

    def image(self) -> Tensor:
        """The images that the coefficients stand for."""
        spectrum = torch.view_as_complex(self.values) * self._scale.to(self.values)
        return correlated(torch.fft.irfft2(spectrum, s=self.size, norm="ortho")).sigmoid()


def frequencies(height: int, width: int) -> Tensor:
    """The frequency of each coefficient of a real transform, (height, width // 2 + 1), cycles per pixel."""
    rows, columns = torch.fft.fftfreq(height, dtype=torch.float64), torch.fft.rfftfreq(width, dtype=torch.float64)
    return (rows[:, None] ** 2 + columns[None] ** 2).sqrt()


def correlated(planes: Tensor) -> Tensor:
    """Independent planes (batch, channels, height, width) mixed into natural colours, if there are three."""
    if planes.shape[1] != 3:
        return planes
    return (planes.new_tensor(COLOR_MATRIX) @ planes.flatten(2)).view(planes.shape)


def check_sizes(batch: int, channels: int, height: int, width: int) -> None:
    """Raises `ValueError` for a picture without pixels."""
    if min(height, width, batch, channels) < 1:
        raise ValueError(
            f"sizes are at least 1, not (batch, channels, height, width) = {(batch, channels, height, width)}"
        )


def centered(center: float | Sequence[float], channels: int) -> Tensor:
    """The centre of pixels, (1 or channels, 1, 1).

    Raises:
        ValueError: if it is not one number in [0, 1], nor one for each channel.
    """
    found = torch.as_tensor(center, dtype=torch.float64, device="cpu")
    if found.dim() > 1 or found.numel() not in (1, channels):
        raise ValueError(f"center is one number, or one for each of {channels} channels, not {center!r}")
    if not ((found >= 0) & (found <= 1)).all():
        raise ValueError(f"center lies in [0, 1], not at {center!r}")
    return found.view(-1, 1, 1)
