"""What lives between two messages: a run or a search for answers on its worker thread, and what it has found so far."""

from .answers import Answers, Find
from .branching import BranchingSession
from .film import Film
from .film_files import FILMS
from .frames import Frame, encoded, picture, shown_as
from .gate import Gate
from .history import History, Node, differing
from .lookout import Finding, Lookout
from .progress import Progress
from .sameness import same
from .session import Past, Session, made
from .tasks import Known, Partial, Refusal, Task, Tell
from .tracebacks import traced
from .worker import Worker, described

__all__ = [
    "FILMS",
    "Answers",
    "BranchingSession",
    "Film",
    "Find",
    "Finding",
    "Frame",
    "Gate",
    "History",
    "Known",
    "Lookout",
    "Node",
    "Partial",
    "Past",
    "Progress",
    "Refusal",
    "Session",
    "Task",
    "Tell",
    "Worker",
    "described",
    "differing",
    "encoded",
    "made",
    "picture",
    "same",
    "shown_as",
    "traced",
]
