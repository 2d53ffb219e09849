"""An image parameter whose magnitudes are those of natural images: only the phases are optimised."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ..network.images import Images, checked_images
from .image_parameters import COLOR_MATRIX, ImageParameter, check_sizes, correlated, frequencies

_CONTRAST = 0.2
"""Standard deviation of a plane without a given spectrum: about that of photographs' brightness."""


def magnitude_spectrum(images: Images) -> Tensor:
    """How strong each frequency is in images, for `Maco`: the mean of the magnitudes of their Fourier coefficients.

    The transform is orthonormal. Each image's own mean is taken off first, and three channels are brought to
    independent colours, since the colours of a picture vary together. It is magnitudes that are averaged, not their
    squares.

    Args:
        images: (batch, channels, height, width) in [0, 1], or anything else that `as_images` takes; the more, the less
            is left of any one of them.

    Returns:
        (channels, height, width // 2 + 1), from 0 up; 0 for the frequency 0.

    Raises:
        TypeError: if they are nothing of that.
        ValueError: if the images have another shape, leave [0, 1] or hold NaN.

    Example:
        >>> magnitude_spectrum(torch.rand(4, 3, 16, 24)).shape
        torch.Size([3, 16, 13])
    """
    planes = checked_images(images).detach().double()
    planes = planes - planes.mean((2, 3), keepdim=True)
    if planes.shape[1] == 3:
        apart = torch.linalg.inv(planes.new_tensor(COLOR_MATRIX))
        planes = torch.einsum("rc,bchw->brhw", apart, planes)
    magnitudes = torch.fft.rfft2(planes, norm="ortho").abs()
    magnitudes[..., 0, 0] = 0  # what rounding leaves of the mean
    return magnitudes.mean(0)


class Maco(ImageParameter):
    """Noise whose Fourier coefficients have the magnitudes of natural images: what is optimised is their phases.

    So no frequency can be made strong, which is what pictures that look like noise are made of. The plane with these
    magnitudes and mean 0 is mixed into correlated colours (three channels only) and brought to [0, 1] as
    sigmoid(4 × plane), whose slope in the middle is 1.

    Args:
        height: of the images, pixels.
        width: of the images, pixels.
        spectrum: what `magnitude_spectrum` gives for images of any size; None for 1 / frequency, which natural images
            have about, in each of the independent colours.
        batch: number of images, each with phases of its own.
        channels: of the images; colours are correlated if there are three.
        seed: of the phases, which are drawn from all angles alike.

    Raises:
        ValueError: if a size is not positive, or the spectrum has another shape or holds what is no magnitude.

    Source: Fel et al. 2023, "Unlocking Feature Visualization for Deeper Networks with MAgnitude Constrained
    Optimization", arXiv 2306.06805, section 3.

    Example:
        >>> photographs = torch.rand(4, 3, 20, 20)
        >>> Maco(32, 48, magnitude_spectrum(photographs)).image().shape
        torch.Size([1, 3, 32, 48])
    """

    # Of 0.05, 0.1 and 0.2, the one that gave three classes of the embedded network the highest score in 64 steps.
    usual_lr = 0.1

    @torch.inference_mode(False)
    def __init__(
        self,
        height: int,
        width: int,
        spectrum: Tensor | None = None,
        *,
        batch: int = 1,
        channels: int = 3,
        seed: int = 0,
    ):
        check_sizes(batch, channels, height, width)
        self.size = (height, width)
        self._magnitudes = _natural(height, width) if spectrum is None else _sized(spectrum, channels, height, width)
        # A column that is its own mirror holds pairs of coefficients that are each other's conjugates.
        self._mirrored = torch.zeros(width // 2 + 1, dtype=torch.bool)
        self._mirrored[[0, -1] if width % 2 == 0 else [0]] = True
        self._shape = (batch, channels, height, width // 2 + 1)
        self.values = self._drawn(torch.Generator().manual_seed(seed))

    def drawn(self, generator: torch.Generator, like: Tensor) -> "Maco":
        """The same magnitudes with other phases, on the device and of the type of a tensor."""
        return self.holding(self._drawn(generator).to(like))

    def _drawn(self, generator: torch.Generator) -> Tensor:
        return (2 * torch.rand(self._shape, generator=generator) - 1) * math.pi

    def image(self) -> Tensor:
        """The images that the phases stand for."""
        phases = self.values
        opposite = phases.flip(2).roll(1, 2)
        # Half the difference of two phases drawn alike would be drawn more often near 0.
        phases = torch.where(self._mirrored.to(phases.device), phases - opposite, phases)
        spectrum = torch.polar(self._magnitudes.to(phases).expand_as(phases), phases)
        return (4 * correlated(torch.fft.irfft2(spectrum, s=self.size, norm="ortho"))).sigmoid()


def _natural(height: int, width: int) -> Tensor:
    """1 / frequency, with the contrast of photographs."""
    found = frequencies(height, width)
    found[0, 0] = math.inf
    magnitudes = (1 / found).expand(1, -1, -1)
    # All columns but those that are their own mirror stand for two coefficients.
    whole = torch.fft.irfft2(magnitudes, s=(height, width), norm="ortho").square().mean()
    return magnitudes * (_CONTRAST / whole.sqrt()) if whole else magnitudes


def _sized(spectrum: Tensor, channels: int, height: int, width: int) -> Tensor:
    """A spectrum for images of another size: its magnitudes at the same frequencies, cycles per pixel."""
    spectrum = spectrum.detach().to("cpu", torch.float64)
    if spectrum.dim() != 3 or spectrum.shape[0] != channels or not spectrum.numel():
        raise ValueError(
            f"a spectrum for {channels} channels is ({channels}, height, width // 2 + 1), as magnitude_spectrum gives "
            f"it, not {tuple(spectrum.shape)}"
        )
    if not torch.isfinite(spectrum).all() or spectrum.min() < 0:
        raise ValueError("a spectrum holds magnitudes, which are finite and not negative")
    if spectrum.shape[1:] == (height, width // 2 + 1):
        return spectrum
    return _resized(spectrum, height, width)


def _resized(spectrum: Tensor, height: int, width: int) -> Tensor:
    rows, columns = spectrum.shape[1:]
    even = max(1, 2 * columns - 2)
    # Magnitude × frequency is nearly the same everywhere in natural images, so it is what can be interpolated.
    level = spectrum * frequencies(rows, even)
    level[:, 0, 0] = torch.stack([level[:, 1 % rows, 0], level[:, 0, 1 % columns]]).mean(0)
    level = torch.fft.fftshift(level, dim=1)
    if rows % 2 == 0:
        level = torch.cat([level, level[:, :1]], 1)  # half a cycle up is half a cycle down
    down = torch.fft.fftfreq(height, dtype=torch.float64) * rows + rows // 2
    right = torch.fft.rfftfreq(width, dtype=torch.float64) * even
    grid = torch.stack(torch.meshgrid(_unit(down, level.shape[1]), _unit(right, columns), indexing="ij")[::-1], 2)
    found = F.grid_sample(level[None], grid[None], mode="bilinear", padding_mode="border", align_corners=True)[0]
    frequency = frequencies(height, width)
    frequency[0, 0] = math.inf
    return found / frequency


def _unit(places: Tensor, count: int) -> Tensor:
    """Places from 0 to count - 1 as ones from -1 to 1."""
    return 2 * places / max(1, count - 1) - 1
