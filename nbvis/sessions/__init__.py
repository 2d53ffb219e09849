"""What lives between two messages: a run on its worker thread, the newest frame, the history of scores."""

from .frames import Frame, encoded, picture, shown_as
from .gate import Gate
from .progress import Progress
from .session import Session, described

__all__ = ["Frame", "Gate", "Progress", "Session", "described", "encoded", "picture", "shown_as"]
