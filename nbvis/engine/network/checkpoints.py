"""torch.utils.checkpoint, which runs a part of a network once more for the backward pass."""

import sys


def in_checkpoint() -> bool:
    """Whether this is called from a part that runs in a checkpoint."""
    frame = sys._getframe()
    while frame is not None:
        if frame.f_globals.get("__name__") == "torch.utils.checkpoint":
            return True
        frame = frame.f_back
    return False
