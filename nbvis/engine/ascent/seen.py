"""What several networks answer to the same images."""

from collections.abc import Mapping

from torch import Tensor

from ..network.layout import Activations
from ..network.network import Network


class Seen(Activations):
    """A network's activations, and beside them those of other networks.

    Attributes:
        elsewhere: the activations of other networks.
        like: a number for each image, (batch,), where scores are to lie and of their kind.
    """

    def __init__(self, own: Activations, elsewhere: Mapping[Network, Activations], like: Tensor):
        super().__init__(own, own.axes)
        self.elsewhere, self.like = dict(elsewhere), like

    def tensors(self) -> list[Tensor]:
        """All of them, those of other networks included."""
        return [each for found in (self, *self.elsewhere.values()) for each in found.values()]

    def of_image(self, index: int) -> "Seen":
        """Those of one image of the batch."""
        others = {network: found.of_image(index) for network, found in self.elsewhere.items()}
        return Seen(super().of_image(index), others, self.like[index : index + 1])
