"""What a point of the history is called: what was changed since the one before."""

from collections.abc import Mapping
from typing import Any

from nbvis.engine import DreamStep, Objective
from nbvis.sessions import Node, differing

from .terms import is_plain, text_of, unit_of, weights

MOST = 2
"""So many changes are told, of more their number."""

WORDS = {
    "start": "Start", "seed": "Seed", "endless": "Keep dreaming", "preset": "Recipe", "parameter": "Made of",
    "mode": "Draw", "first": "Page", "transforms": "Transforms", "regularisers": "Regularisers",
}  # fmt: skip


def label(node: Node, controls: Mapping[str, str]) -> str:
    """What was changed since the point before, in words.

    Args:
        node: the point.
        controls: what the sliders are called, by name.
    """
    before = node.parent
    if before is None:
        return "Start" if not node.step else "Oldest point"
    told = [
        _changed(name, before.settings[name], node.settings[name], controls)
        for name in node.settings
        if name in differing(node, before) and name != "term"
    ]
    told = [each for each in told if each]
    if not told:
        return "Went on" if node.step > before.step else "Began again" if node.step < before.step else "The same"
    rest = len(told) - MOST
    return ", ".join(told[:MOST]) + (f" and {rest} more" if rest > 0 else "")


def place(node: Node) -> str:
    """Where in its run a point is, in words."""
    if not node.step:
        return "before the first step"
    kept = node.kept
    round = f"round {kept.round}, " if isinstance(kept, DreamStep) and kept.rounds != 1 else ""
    return f"{round}step {node.step}"


def _changed(name: str, before: Any, now: Any, controls: Mapping[str, str]) -> str:
    if name == "objective":
        return _climbed(before, now)
    word = controls.get(name) or WORDS.get(name, name)
    if isinstance(now, bool):
        return f"{word} {'on' if now else 'off'}"
    return f"{word} {_short(before)} → {_short(now)}"


def _short(value: Any) -> str:
    if isinstance(value, int | float):
        return f"{value:g}"
    return f"{len(value)}" if isinstance(value, tuple) else str(value or "none")


def _climbed(before: Objective | None, now: Objective | None) -> str:
    """How an objective was changed."""
    if before is None or now is None:
        return ""
    if is_plain(before) and is_plain(now):
        (old, old_channel), (new, channel) = (unit_of(each, 0) or (text_of(each), None) for each in (before, now))
        if old != new:
            return f"Layer {old} → {new}" + ("" if channel is None else f" channel {channel}")
        return f"Channel {_named(old_channel)} → {_named(channel)}"
    if text_of(before) == text_of(now):
        return "Mask painted"
    if len(before.terms) == len(now.terms) and weights(before) != weights(now):
        changed = [(a, b) for a, b in zip(weights(before), weights(now), strict=True) if a != b]
        if len(changed) == 1:
            return f"Weight {changed[0][0]:g} → {changed[0][1]:g}"
    return f"Formula {text_of(now) or now}"


def _named(channel: int | None) -> str:
    return "all" if channel is None else str(channel)
