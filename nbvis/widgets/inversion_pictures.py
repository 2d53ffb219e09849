"""What a dropout inversion looks like: the pictures of its frames, and what the network says of them."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from nbvis.engine import InversionStep, Network, is_distribution
from nbvis.sessions import Session, encoded, picture

from .sheet import Cell, below, sheet
from .views import figure

SMALL = 160
"""Longer side in pixels of a picture of the strip."""
CLASSES = 5
"""How many classes the predictions list."""
KEPT, DROPPED, NOTHING = 255, 45, 150
"""Greys of the mask's picture: of a unit that was kept, of one that was dropped, and of no unit."""


class InversionPainter:
    """Makes the frames of a dropout inversion.

    Args:
        network: the network.

    Attributes:
        row: whose pictures are large.
        complete: whether the next frame has all pictures, not only those that changed.
        predictions: of the classes that matter: {label, clean, noisy, corrupted}, probabilities; empty without classes.
        dropped: how many of how many units the mask drops: {total, dropped, what, place}; empty before the first step.
        unchanged: whether the newest pictures are the original.
    """

    def __init__(self, network: Network):
        self.row, self.complete = 0, True
        self.predictions: list[dict[str, Any]] = []
        self.dropped: dict[str, Any] = {}
        self.unchanged = False
        self._network = network
        self._sent: tuple[object, int] | None = None

    def __call__(self, session: Session, format: str) -> tuple[dict[str, Any], tuple[bytes, ...]]:
        """What the frame's header says, and its pictures, as `Session` asks for them."""
        step, lossless = session.last, format == "png"
        fields: dict[str, Any] = {
            "tolerance": session.options["tolerance"],
            "curve": session.curve(lambda scores: -scores.amin(1)),
            "loss": [],
            "converged": [],
            "levels": [],
            "shown": 0,
        }
        found: list[tuple[str, Image.Image, bool]] = []
        if format and (self.complete or lossless):
            found.append(("original", picture(session.start), True))
        if isinstance(step, InversionStep):
            fields |= {"loss": step.loss.tolist(), "converged": step.converged.tolist(), "shown": self._shown(step)}
            fields["levels"] = levels(session.origin["p"], len(step.loss))
            if format:
                seen = Difference(step, session.start, self._shown(step))
                self.unchanged = bool((step.image == session.start.to(step.image)).all())
                found += self._pictures(step, seen, lossless)
                fields |= {"factor": seen.factor, "low": seen.low, "high": seen.high}
        elif format:
            self.predictions, self.dropped, self.unchanged, self._sent = [], {}, False, None
            fields |= {"factor": 1.0, "low": 0.0, "high": 0.0}
        if not format:
            return fields, ()
        self.complete = False
        places = {name: [k for k, each in enumerate(found) if each[0] == name] for name, _, _ in found}
        fields["pictures"] = {name: at if name == "strip" else at[0] for name, at in places.items()}
        return fields, tuple(encoded(image, lossless) for _, image, lossless in found)

    def cells(self, session: Session) -> list[Cell]:
        """Original, corrupted and difference, and every row after them, if there are several."""
        start, step = session.start, session.last
        if not isinstance(step, InversionStep):
            later = [Cell(None, name, "not yet: the inversion has not begun") for name in ("Corrupted", "Difference")]
            return [Cell(picture(start), "Original", ""), *later]
        row = self._shown(step)
        seen = Difference(step, start, row)
        drawn = levels(session.origin["p"], len(step.loss))
        swept = len(set(drawn)) > 1
        names = [f"p {p:g}" if swept else f"Sample {k + 1}" for k, p in enumerate(drawn)]
        which = f" · {names[row]}" if len(names) > 1 else ""
        found = [
            Cell(picture(start), "Original", likeliest(self.predictions, "clean")),
            Cell(picture(step.image[row : row + 1]), f"Corrupted{which}", likeliest(self.predictions, "corrupted")),
            Cell(seen.picture(), f"Difference × {seen.factor:g}", f"{figure(seen.low)} … {figure(seen.high)}"),
        ]
        if len(step.loss) > 1:
            for k, name in enumerate(names):
                found.append(Cell(picture(step.image[k : k + 1]), name, f"loss {figure(step.loss[k].item())}"))
        return found

    def still(self, session: Session) -> Image.Image:
        """All of them, three in a row."""
        cells, size = self.cells(session), session.start.shape[2:]
        return below([sheet(cells[k : k + 3], (size[0], size[1])) for k in range(0, len(cells), 3)])

    def mask(self, session: Session) -> Image.Image | None:
        """What the mask of the large picture drops; None before the first step."""
        step = session.last
        if not isinstance(step, InversionStep):
            return None
        return mask_picture(next(reversed(step.masks.values()))[self._shown(step)])

    def _pictures(self, step: InversionStep, seen: "Difference", lossless: bool) -> list[tuple[str, Image.Image, bool]]:
        """(name, picture, whether it is to be a PNG) of each that has to go out; `strip` once for each row."""
        row = self._shown(step)
        found = [
            ("corrupted", picture(step.image[row : row + 1]), lossless),
            ("difference", seen.picture(), lossless),
        ]
        place, masks = next(reversed(step.masks.items()))  # of the dropout nearest to the layer
        if self.complete or lossless or self._sent != (id(step.masks), row):
            self._sent = (id(step.masks), row)
            found.append(("mask", mask_picture(masks[row]), True))
        if len(step.loss) > 1:
            found += [("strip", _small(picture(step.image[k : k + 1])), lossless) for k in range(len(step.loss))]
        self.predictions = self._answers(step, row)
        self.dropped = {"place": place} | count(masks[row])
        return found

    def _shown(self, step: InversionStep) -> int:
        return min(self.row, len(step.loss) - 1)

    def _answers(self, step: InversionStep, row: int) -> list[dict[str, Any]]:
        if step.clean_output is None or step.noisy_output is None:
            return []
        with torch.no_grad():
            corrupted = self._network(step.image[row : row + 1])
        return answers((step.clean_output[row : row + 1], step.noisy_output[row : row + 1], corrupted), self._network)


class Difference:
    """How far a corrupted picture is from the original.

    Args:
        step: of the inversion.
        image: the original, (1, channels, height, width).
        row: which of the corrupted pictures.

    Attributes:
        factor: the amplification of all rows alike, so that they compare; see `amplification`.
        low: the least difference in this row.
        high: the greatest.
    """

    def __init__(self, step: InversionStep, image: Tensor, row: int):
        every = step.image - image.to(step.image)
        self._shown, self.factor = every[row : row + 1], amplification(every)
        self.low, self.high = self._shown.min().item(), self._shown.max().item()

    def picture(self) -> Image.Image:
        """The difference, amplified, on grey."""
        return picture(0.5 + self.factor * self._shown)


def levels(p: float | Sequence[float] | None, rows: int) -> list[float | None]:
    """The p of each row; None for the network's own."""
    return list(p) if isinstance(p, Sequence) else [p] * rows


def amplification(difference: Tensor) -> float:
    """The factor, in two digits, that takes all but the largest half per cent of differences to less than 0.5.

    It is 1 if there is none. A few pixels change much more than the others and would leave those invisible.
    """
    sizes = difference.abs().flatten()
    ordinary = sizes[:: max(1, len(sizes) // 10**6)].quantile(0.995).item() or sizes.max().item()
    return float(f"{0.5 / ordinary:.2g}") if ordinary else 1.0


def mask_picture(mask: Tensor) -> Image.Image:
    """What a mask drops, a pixel for each unit: rows and columns as they are, channels as tiles, units in a block.

    Args:
        mask: of one row, 0 and 1; (units,), (rows, columns) or (channels, rows, columns), ones at its end left out.
    """
    while mask.dim() > 1 and mask.shape[-1] == 1:
        mask = mask[..., 0]
    pixels = torch.where(mask.bool(), KEPT, DROPPED).cpu()
    if mask.dim() == 2:
        return _grey(pixels)
    cells = pixels.reshape(len(pixels), 1, 1) if mask.dim() < 2 else pixels.reshape(len(pixels), -1, pixels.shape[-1])
    gap = int(mask.dim() > 2)
    cells = torch.nn.functional.pad(cells, (0, gap, 0, gap), value=NOTHING)
    columns = math.ceil(math.sqrt(len(cells) * cells.shape[1] / cells.shape[2]))
    rows = math.ceil(len(cells) / columns)
    cells = torch.cat([cells, cells.new_full((rows * columns - len(cells), *cells.shape[1:]), NOTHING)])
    tiles = cells.unflatten(0, (rows, columns)).transpose(1, 2).flatten(2).flatten(0, 1)
    return _grey(tiles[: len(tiles) - gap, : tiles.shape[1] - gap])


def count(mask: Tensor) -> dict[str, Any]:
    """How many of how many a mask of one row drops, and what they are: {total, dropped, what}."""
    whole = mask.dim() > 1 and all(length == 1 for length in mask.shape[1:])
    what = "branches" if mask.numel() == 1 else "channels" if whole else "units"
    return {"total": mask.numel(), "dropped": int((mask == 0).sum()), "what": what}


def answers(outputs: Sequence[Tensor], network: Network) -> list[dict[str, Any]]:
    """The likeliest classes of three outputs, (1, classes) each: clean, noisy, corrupted; the clean one's order.

    Returns:
        {label, clean, noisy, corrupted} of each class, the numbers being probabilities; none if there are no classes.
    """
    if any(output.dim() != 2 or output.shape[1] < 2 for output in outputs):
        return []
    found = torch.cat([each if is_distribution(each) else each.softmax(1) for each in outputs]).float().cpu()
    likely = found.amax(0).topk(min(CLASSES, found.shape[1])).indices.tolist()
    labels = network.labels or []
    return [
        {"label": labels[k] if k < len(labels) else f"class {k}"}
        | dict(zip(("clean", "noisy", "corrupted"), found[:, k].tolist(), strict=True))
        for k in sorted(likely, key=lambda k: -found[0, k].item())
    ]


def dropped_line(dropped: Mapping[str, Any]) -> str:
    """How much a mask drops, as a sentence; empty for no mask."""
    if not dropped:
        return ""
    share = 100 * dropped["dropped"] / dropped["total"]
    percent = f"{share:.1f}" if 0 < share < 10 else f"{share:.0f}"
    return f"{percent} % of the {dropped['total']:,} {dropped['what']} were dropped at {dropped['place']}."


def likeliest(predictions: Sequence[Mapping[str, Any]], which: str) -> str:
    """The likeliest class and its probability, empty without classes."""
    best = max(predictions, key=lambda each: each[which], default=None)
    return f"{best['label']} {best[which]:.2f}" if best else ""


def _small(image: Image.Image) -> Image.Image:
    image.thumbnail((SMALL, SMALL))
    return image


def _grey(pixels: Tensor) -> Image.Image:
    height, width = pixels.shape
    return Image.frombytes("L", (width, height), pixels.byte().contiguous().numpy().tobytes())
