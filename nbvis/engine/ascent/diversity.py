"""Diversity: images of a batch that are to differ from each other."""

import torch
import torch.nn.functional as F
from torch import Tensor

from ..network.layout import planes
from .objective import Activations, Objective, Term


def diversity(layer: str) -> Objective:
    """How unlike the other images of the batch each image is: minus the mean cosine similarity of the Gram matrices.

    An image's Gram matrix holds for each two channels the sum over positions of their product: which features occur
    together, wherever. The score is 0 where no other image shares a feature with it, and −1 where all are alike. Added
    to another objective it draws out the several things that a channel answers to, as in
    `channel(layer, 3) + 5 * diversity(layer)`. The gradient moves each image away from the others as they are.

    Args:
        layer: the layer's name.

    Raises:
        ValueError: where it is used, if there is but one image.

    Source: Olah, Mordvintsev and Schubert 2017, "Feature Visualization", section "Diversity".

    Example:
        >>> features = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
        >>> diversity("fc").score({"fc": features})
        tensor([-0.5000, -0.5000,  0.0000])
    """

    def score(acts: Activations) -> Tensor:
        activation = planes(acts, layer)
        count = len(activation)
        if count < 2 or activation.dim() < 2:
            raise ValueError(
                f"diversity({layer!r}) compares the images of a batch with each other, and there is only one: "
                "give several, as Fourier(height, width, batch=4) does"
            )
        vectors = activation.flatten(2) if activation.dim() > 2 else activation[..., None]
        grams = F.normalize((vectors @ vectors.mT).flatten(1), dim=1)
        # An image's own score must move that image alone: each may have its own objective, and its own mask.
        cosines = grams @ grams.detach().mT
        itself = torch.eye(count, dtype=torch.bool, device=cosines.device)
        return -cosines.masked_fill(itself, 0).sum(1) / (count - 1)

    return Objective((Term(score, (layer,), lambda names: f"diversity({layer!r})", whole=True),))
