"""Attribution by covering parts of the image."""

import math
from typing import Any

from torch import Tensor

from ..arguments import whole
from .gradients import baseline_like
from .passes import Question


def occlusion(
    question: Question,
    *,
    window: int | tuple[int, int] = 16,
    stride: int | tuple[int, int] | None = None,
    baseline: float | Tensor = 0.0,
    chunk: int | None = None,
) -> Tensor:
    """How far the score falls where a window of the image is replaced by the baseline, the mean over all windows.

    Windows start every `stride` pixels (half a window if None); one that crosses the border is cut there.
    Source: Zeiler and Fergus 2013, arXiv 1311.2901, section 4.2.
    """
    images, blank = question.images, baseline_like(question.images, baseline)
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
    question.score = question.scores(images)
    for row, sample, score in question.readings(covered, len(corners), chunk):
        r, c = corners[sample]
        total[row, :, r : r + high, c : c + wide] += question.score[row] - score
    return total / times


def _starts(length: int, window: int, stride: int) -> list[int]:
    return [stride * k for k in range(math.ceil(max(0, length - window) / stride) + 1)]


def _pair(size: Any, what: str) -> tuple[int, int]:
    first, second = size if isinstance(size, tuple | list) and len(size) == 2 else (size, size)
    return whole(first, f"{what} height", 1), whole(second, f"{what} width", 1)


def occluded(images: Tensor, row: int, column: int, window: int, baseline: float | Tensor = 0.0) -> Tensor:
    """The images with a square of `window` pixels around (row, column) replaced by the baseline."""
    blank, half = baseline_like(images, baseline), window // 2
    shown = images.clone()
    rows, columns = slice(max(0, row - half), row - half + window), slice(max(0, column - half), column - half + window)
    shown[..., rows, columns] = blank[..., rows, columns]
    return shown
