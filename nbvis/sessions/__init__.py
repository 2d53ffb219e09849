"""What lives between two messages: a run or a search for answers on its worker thread, and what it has found so far."""

from .answers import Answers
from .frames import Frame, encoded, picture, shown_as
from .gate import Gate
from .lookout import Finding, Lookout
from .progress import Progress
from .session import Past, Session, same
from .tasks import Known, Refusal, Task, Tell
from .tracebacks import traced
from .worker import Worker, described

__all__ = [
    "Answers",
    "Finding",
    "Frame",
    "Gate",
    "Known",
    "Lookout",
    "Past",
    "Progress",
    "Refusal",
    "Session",
    "Task",
    "Tell",
    "Worker",
    "described",
    "encoded",
    "picture",
    "same",
    "shown_as",
    "traced",
]
