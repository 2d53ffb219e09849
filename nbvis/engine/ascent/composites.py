"""Image parameters around another: with transparency, or confined to a part of a picture."""

import torch
from torch import Tensor

from ..arguments import number
from ..network.images import Images, checked_images
from .image_parameters import Fourier, ImageParameter
from .maco import Maco
from .picture_masks import checked_mask


class Alpha(ImageParameter):
    """Transparency beside the colours of another image parameter: what the objective does not need fades away.

    At each step the colours lie over a random background, drawn anew for each image and as rich in contrast as a
    photograph (that of a `Maco`): opacity × colour + (1 − opacity) × background. So the network cannot make use of
    what is behind, and has to be given opaque colours where it matters. Opacity has its price: what is optimised is
    score × (1 − price × mean opacity), where a score below 0 counts by its size. A `Step`'s score is the plain one.

    The opacity is that of a one-channel `Fourier`, about a half at the start. `image` shows the colours over white, as
    a viewer of PNG files does.

    Args:
        image: the colours.
        price: from 0, for which nothing need fade, to 1.
        seed: of the opacity at the start.

    Raises:
        TypeError: if `image` is no image parameter.
        ValueError: if the price is not in [0, 1].

    Source: Mordvintsev et al. 2018, "Differentiable Image Parameterizations", section "Transparency".

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
        >>> step = last(ascend(net, channel("1", 2), Alpha(Fourier(32, 32)), steps=2))
        >>> step.image.shape, step.parameter.rgba().shape
        (torch.Size([1, 3, 32, 32]), torch.Size([1, 4, 32, 32]))
    """

    @torch.inference_mode(False)
    def __init__(self, image: ImageParameter, *, price: float = 1.0, seed: int = 0):
        batch, channels, height, width = _images(image, "Alpha").shape
        number(price, "price", most=1)
        self._colors, self._price, self.usual_lr = image, price, image.usual_lr
        self._opacity = Fourier(height, width, batch=batch, channels=1, seed=seed)
        self._background = Maco(height, width, batch=batch, channels=channels)
        opacity = self._opacity.values.to(image.values)
        self.values = torch.cat([image.values.detach().flatten(1), opacity.flatten(1)], 1)

    def colors(self) -> Tensor:
        """The colours alone, (batch, channels, height, width) in [0, 1], also where they are transparent."""
        return self._part(self._colors).image()

    def alpha(self) -> Tensor:
        """The opacity, (batch, 1, height, width) from 0, where nothing is to be seen, to 1."""
        return self._part(self._opacity).image()

    def rgba(self) -> Tensor:
        """The colours with the opacity as their last channel, (batch, channels + 1, height, width), as a PNG has it."""
        return torch.cat([self.colors(), self.alpha()], 1)

    def image(self) -> Tensor:
        """The colours over white."""
        opacity = self.alpha()
        return opacity * self.colors() + (1 - opacity)

    def shown(self, generator: torch.Generator) -> Tensor:
        """The colours over a random background."""
        background = self._background.drawn(generator, self.values).image()
        opacity = self.alpha()
        return opacity * self.colors() + (1 - opacity) * background

    def price(self) -> Tensor:
        """The mean opacity times the price."""
        return self._price * self.alpha().mean((1, 2, 3))

    def project(self) -> None:
        """Brings the colours back to those that there are."""
        self._view(self._colors).project()

    def _view(self, of: ImageParameter) -> ImageParameter:
        """The colours or the opacity as a part of the values."""
        count = self._colors.values[0].numel()
        part = self.values[:, :count] if of is self._colors else self.values[:, count:]
        return of.holding(part.unflatten(1, of.values.shape[1:]))

    def _part(self, of: ImageParameter) -> ImageParameter:
        view = self._view(of)
        return view.holding(view.values.contiguous())


class Masked(ImageParameter):
    """Another image parameter where a mask lets it be seen, a fixed background elsewhere.

    The image is mask × image + (1 − mask) × background; where the mask is 0 it is the background to the bit. The
    network, and so the objective, sees the whole.

    This is for one thing to grow in a picture, of any image parameter: a `Fourier` in a photograph, with soft edges.
    `Objective.within` leaves the start as it is outside its mask and scales the gradient inside; it is for objectives
    that share a picture, each in its place. To go on elsewhere, take `step.image` for the background of a new mask.

    Args:
        image: what is seen through the mask.
        mask: (height, width) in [0, 1].
        background: (1, channels, height, width) in [0, 1], or one for each image, or anything else that `as_images`
            takes.

    Raises:
        TypeError: if one of them is nothing of that.
        ValueError: if their sizes differ, or the mask leaves [0, 1], holds NaN or is 0 everywhere.

    Example:
        >>> mask = torch.zeros(16, 16)
        >>> mask[4:12, 4:12] = 1
        >>> background = torch.rand(1, 3, 16, 16)
        >>> image = Masked(Fourier(16, 16), mask, background).image()
        >>> torch.equal(image[..., mask == 0], background[..., mask == 0])
        True
    """

    @torch.inference_mode(False)
    def __init__(self, image: ImageParameter, mask: Tensor, background: Images):
        shape = _images(image, "Masked").shape
        mask, background = checked_mask(mask), checked_images(background, name="background").detach().clone()
        if mask.shape != shape[2:]:
            raise ValueError(f"a mask must have the picture's {tuple(shape[2:])} pixels, not {tuple(mask.shape)}")
        if background.shape[1:] != shape[1:] or len(background) not in (1, shape[0]):
            raise ValueError(
                f"the background is {tuple(background.shape)}, and the images are {tuple(shape)}: give one of "
                f"{(1, *shape[1:])}, or one for each image"
            )
        self._image, self._mask, self._background = image, mask, background
        self.values, self.center, self.usual_lr = image.values, image.center, image.usual_lr

    def image(self) -> Tensor:
        """The image in its background."""
        return self._framed(self._inner().image())

    def shown(self, generator: torch.Generator) -> Tensor:
        """What is optimised of the image, in its background."""
        return self._framed(self._inner().shown(generator))

    def price(self) -> Tensor | None:
        """That of the image."""
        return self._inner().price()

    def project(self) -> None:
        """Brings the image's values back to those that there are."""
        self._inner().project()

    def _inner(self) -> ImageParameter:
        return self._image.holding(self.values)

    def _framed(self, images: Tensor) -> Tensor:
        mask, background = self._mask.to(images), self._background.to(images)
        return mask * images + (1 - mask) * background


def _images(image: ImageParameter, of: str) -> Tensor:
    if not isinstance(image, ImageParameter):
        raise TypeError(f"{of} is put around an image parameter, such as Fourier(224, 224), not {type(image).__name__}")
    with torch.no_grad():
        return image.image()
