"""Which network statistics are of: its weights, and how pictures are made ready for it."""

import hashlib

import torch
from torch import Tensor

from ..network.imprint import digest, weights_of
from ..network.network import Network
from ..network.random_state import unchanged_chance

_SIDE = 32
"""Of the picture that a preprocessing is told by, where it takes one so small."""


_UNTOLD = (
    "The fingerprint is of the weights alone, since the preprocessing runs on no small picture that would tell it from "
    "others: see to it that statistics which are merged have the same one."
)


def identity(network: Network) -> tuple[str, str]:
    """A short text that no network has with other weights or another preprocessing, and a note if it tells less.

    A preprocessing is known by what it makes of a picture with four flat colours, to four decimals, since devices
    round otherwise.
    """
    if network.preprocess is None:
        return digest(network.module), ""
    entered = _entered(network)
    if entered is None:
        return digest(network.module), _UNTOLD
    found = hashlib.blake2b(digest(network.module).encode(), digest_size=8)
    # Adding 0 makes the two zeros one.
    found.update(repr(tuple(entered.shape)).encode() + (entered.double().round(decimals=4) + 0.0).numpy().tobytes())
    return found.hexdigest(), ""


@torch.inference_mode(False)
@torch.no_grad()
def _entered(network: Network) -> Tensor | None:
    deep = next((weight.shape[1] for weight in weights_of(network.module) if weight.dim() == 4), 3)
    sizes = dict.fromkeys([(_SIDE, _SIDE), network.input_size or (256, 256)])
    for channels in dict.fromkeys([3, deep, 1]):
        for height, width in sizes:
            try:
                with unchanged_chance(0):
                    entered = network.enter(_colours(channels, height, width))
                return entered.detach().cpu()
            except Exception:  # whatever is the matter, the pictures that it is made for tell better
                continue
    return None


def _colours(channels: int, height: int, width: int) -> Tensor:
    quarters = torch.arange(4 * channels, dtype=torch.float64).mul(0.6180339887498949).frac().view(1, channels, 2, 2)
    wide = quarters.repeat_interleave((width + 1) // 2, 3)[..., :width]
    return wide.repeat_interleave((height + 1) // 2, 2)[:, :, :height]
