"""Settings: what may change between two steps of an ascent or a dream."""

from dataclasses import dataclass

from ..arguments import checked_lr
from .objectives import Objectives


@dataclass(frozen=True)
class Settings:
    """What may change between two steps; each function's own settings say what there is."""

    objective: Objectives
    lr: float

    def __post_init__(self):
        """Raises `ValueError` for a value that a run cannot have."""
        checked_lr(self.lr)
