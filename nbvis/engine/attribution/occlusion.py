"""Attribution by covering parts of the image."""

import math
from typing import Any

from torch import Tensor

from ..arguments import whole
from .method import Found, Method, Option, Place, baseline_like
from .passes import Passes


def occlusion(
    passes: Passes,
    *,
    window: int | tuple[int, int] = 16,
    stride: int | tuple[int, int] | None = None,
    baseline: float | Tensor = 0.0,
    chunk: int | None = None,
) -> Found:
    """How far the score falls where a window of the image is replaced by the baseline.

    At each pixel the mean of S(x) − S(x with w covered) over all windows w that hold it. Windows start every `stride`
    pixels; one that crosses the border is cut there.
    Source: Zeiler and Fergus 2013, "Visualizing and understanding convolutional networks", arXiv 1311.2901,
    section 4.2.

    Args:
        passes: the network, the images and the target.
        window: side in pixels, or (height, width).
        stride: likewise; None for half a window.
        baseline: what stands in the window, a number or a tensor that fits the images.
        chunk: images that the network sees at once; None to choose.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(8 * 36, 10))
        >>> attribute(net, torch.rand(1, 3, 8, 8), 2, method="occlusion", window=4).map.shape
        torch.Size([1, 1, 8, 8])
    """
    images, blank = passes.images, baseline_like(passes.images, baseline)
    high, wide = _pair(window, "window")
    down, right = (max(1, high // 2), max(1, wide // 2)) if stride is None else _pair(stride, "stride")
    if high < down or wide < right:
        raise ValueError(f"a stride of {(down, right)} would leave pixels between windows of {(high, wide)} untouched")
    height, width = images.shape[2:]
    corners = [(r, c) for r in _starts(height, high, down) for c in _starts(width, wide, right)]

    def covered(rows: Tensor, samples: Tensor) -> Tensor:
        shown = images[rows].clone()
        for k, (row, sample) in enumerate(zip(rows.tolist(), samples.tolist(), strict=True)):
            r, c = corners[sample]
            shown[k, :, r : r + high, c : c + wide] = blank[row, :, r : r + high, c : c + wide]
        return shown

    total = images.new_zeros(len(images), 1, height, width)
    times = images.new_zeros(height, width)
    for r, c in corners:
        times[r : r + high, c : c + wide] += 1
    whole_score = passes.scores(images)
    for row, sample, score in passes.sampled(covered, len(corners), chunk):
        r, c = corners[sample]
        total[row, :, r : r + high, c : c + wide] += whole_score[row] - score
    return Found(total / times, whole_score)


def _starts(length: int, window: int, stride: int) -> list[int]:
    return [stride * k for k in range(math.ceil(max(0, length - window) / stride) + 1)]


def _pair(size: Any, what: str) -> tuple[int, int]:
    first, second = size if isinstance(size, tuple | list) and len(size) == 2 else (size, size)
    return whole(first, f"{what} height", 1), whole(second, f"{what} width", 1)


WINDOW = Option("window", "Window", 16, 1, 256, "Side of the square that covers.", unit="px", whole=True, log=True)
STRIDE = Option("stride", "Stride", 8, 1, 256, "From one window to the next.", unit="px", whole=True, log=True)

METHOD = Method(
    occlusion,
    "Occlusion",
    "How far the score falls where a window of the image is replaced by the baseline, the mean over all windows.",
    place=Place.IMAGES,
    gradients=False,
    sliders=(WINDOW, STRIDE),
)
