"""What lives between two messages: a run or a search for answers on its worker thread, and what it has found so far."""

from .answers import Answers
from .film import Film
from .film_files import FILMS
from .frames import Frame, encoded, picture, shown_as
from .gate import Gate
from .lookout import Finding, Lookout
from .progress import Progress
from .session import Past, Session, made, same
from .tasks import Known, Partial, Refusal, Task, Tell
from .tracebacks import traced
from .worker import Worker, described

__all__ = [
    "FILMS",
    "Answers",
    "Film",
    "Finding",
    "Frame",
    "Gate",
    "Known",
    "Lookout",
    "Partial",
    "Past",
    "Progress",
    "Refusal",
    "Session",
    "Task",
    "Tell",
    "Worker",
    "described",
    "encoded",
    "made",
    "picture",
    "same",
    "shown_as",
    "traced",
]
