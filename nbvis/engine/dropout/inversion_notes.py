"""What to know of an inversion: rows that end above the tolerance and why, and layers that no dropout reaches."""

from collections.abc import Sequence

import torch
from torch import Tensor

from .descent import Descent
from .noisy_passes import Noisy, Pass


def unreached(
    curve: list[Tensor],
    gradient: Tensor,
    values: Tensor,
    descent: Descent,
    tolerance: float,
    steps: int,
    names: Sequence[str] | None,
) -> tuple[str, ...]:
    """Why rows end above the tolerance, a sentence for each reason, and that pixels went where no screen follows."""
    loss = curve[-1]
    before = curve[-1 - max(1, len(curve) // 10)]
    flat = descent.stuck() | (loss > 0.99 * before if len(curve) > 20 else torch.zeros_like(loss, dtype=torch.bool))
    held = descent.held(values, gradient).flatten(1).float().mean(1)
    reasons: dict[str, list[int]] = {}
    for row in (loss > tolerance).nonzero().flatten().tolist():
        if not flat[row]:
            reason = f"and the {steps} steps are spent" if steps > 1 else "and the one step is spent"
        elif held[row] > 0.01:
            reason = "a plateau with pixels held at the bounds: bounds=None would let them go"
        else:
            reason = "a plateau: no small change of the picture brings it nearer"
        reasons.setdefault(reason, []).append(row)
    notes = []
    for reason, rows in reasons.items():
        losses = f"{loss[rows].min():.3g}" + (f" to {loss[rows].max():.3g}" if len(rows) > 1 else "")
        which = f"Row {rows[0]}" if len(rows) == 1 else f"{len(rows)} rows ({_listed(rows)})"
        if names is not None:
            called = [names[row] for row in rows]
            which = called[0][:1].upper() + called[0][1:] if len(rows) == 1 else f"{len(rows)} rows ({_listed(called)})"
        whose = "its" if len(rows) == 1 else "their"
        notes.append(f"{which} did not reach the tolerance of {tolerance:g}: {whose} loss is {losses}, {reason}.")
    if values.min() < 0 or values.max() > 1:
        notes.append(f"The picture leaves [0, 1]: its pixels go from {values.min():.3g} to {values.max():.3g}.")
    return tuple(notes)


def _listed(rows: Sequence[object], most: int = 8) -> str:
    return ", ".join(map(str, rows[:most])) + (", …" if len(rows) > most else "")


def unreached_layers(noisy: Noisy, images: Tensor, target: Pass) -> tuple[str, ...]:
    """Sentences on layers that dropout does not reach; an error if it reaches none of them."""
    reached, names = noisy.reached(images), noisy.names
    beyond = [name for name in names if not reached.get(name, bool(target.masks))]
    if len(beyond) < len(names):
        return tuple(f"No dropout comes before layer {name!r}: it is held where it is." for name in beyond)
    there = [name for name, bad in reached.items() if bad and name and ":" not in name]
    where = f"; it does before {', '.join(map(repr, there[:12]))}" if there else " nor before any other layer"
    way = "" if there else ": insert= puts dropout after a layer of your choice"
    what = f"no dropout acts before layer {' or '.join(map(repr, beyond))}{where}{way}"
    raise ValueError(". ".join((what, *noisy.notes)))
