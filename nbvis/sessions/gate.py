"""When the next frame may go out: one in flight, and at a rate that the run hardly notices."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

SHARE = 0.09
"""The part of the run's time that a frame may take, so that it is a tenth at most with what is not foreseen."""
FASTEST, FIRST, SLOWEST = 1 / 30, 1 / 10, 1.0
"""Seconds between two frames: at least, to begin with, and at most."""
PATIENCE, SILENCE = 2.0, 15.0
"""Seconds without an answer after which a view is no longer waited for, and after which it counts as gone."""
UNHEARD = 0.5
"""Seconds between two frames while no answer would be heard: any browser keeps up with them."""
AFTERGLOW = 0.1
"""Seconds for which a browser may still be drawing a frame after it has said that it has drawn it."""
STALE = 20
"""Steps after which it is not known any more how long a step takes that no frame disturbs."""


@dataclass
class _View:
    drawn: int
    waiting_since: float


class Gate:
    """Knows the views, which of them have drawn the newest frame, and what a frame costs the run.

    A frame costs what the worker spends on making it, and what the steps that it disturbs take longer than the quiet
    ones: the browser often draws on the cores that the run computes on. Where frames come so close that no step is
    quiet, one is held back now and then until a quiet step has been seen.

    Args:
        clock: function that gives the time in seconds.
        listens: function that says whether an answer would be heard now; silence counts only while it would.

    Attributes:
        number: of the newest frame, from 1.
        interval: seconds between two frames.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter, listens: Callable[[], bool] = lambda: True):
        self.number, self.interval = 0, FIRST
        self._clock, self._listens = clock, listens
        self._deaf, self._deaf_until = False, float("-inf")
        self._views: dict[str, _View] = {}
        self._expects = False
        self._sent_at = self._drawn_at = float("-inf")
        self._cost, self._extra = FIRST * SHARE, 0.0
        self._quiet: deque[float] = deque(maxlen=5)
        self._disturbed = 0

    @property
    def watched(self) -> bool:
        """Whether there is a view."""
        return bool(self._views)

    def expect(self) -> None:
        """A view will appear, of which nothing may be heard for long; until then frames go out as to one."""
        self._expects = True

    def join(self, view: str) -> None:
        """A view appeared."""
        self._expects = False
        self._views[view] = _View(self.number, self._clock())

    def leave(self, view: str) -> bool:
        """A view is gone; True if it was the last."""
        return self._views.pop(view, None) is not None and not self._views

    def leave_silent(self) -> bool:
        """Whoever has not answered for long is gone; True if nobody is left."""
        self._deaf = not self._listens()
        if self._deaf:
            self._deaf_until = self._clock()
        gone = self._clock() - self._deaf_until > SILENCE
        silent = [name for name, view in self._views.items() if gone and self._waits(view, SILENCE)]
        return any([self.leave(name) for name in silent])

    def acknowledge(self, view: str, number: int) -> None:
        """A view has drawn a frame."""
        self._views[view] = _View(number, self._clock())
        self._drawn_at = self._clock()

    def in_flight(self) -> bool:
        """Whether a view that still answers has not yet drawn the newest frame."""
        return any(view.drawn < self.number and not self._waits(view, PATIENCE) for view in self._views.values())

    def opens(self, urgent: bool = False) -> bool:
        """Whether a frame may go out now.

        Args:
            urgent: the frame would be the first to show what somebody just changed, so it only waits for the frame in
                flight.
        """
        if not (self._views or self._expects) or self.in_flight():
            return False
        if all(self._waits(view, PATIENCE) for view in self._views.values()):
            interval = UNHEARD if self._deaf else PATIENCE
        elif urgent:
            interval = FASTEST
        else:
            interval = SLOWEST if self._needs_quiet() else self.interval
        return self._clock() - self._sent_at >= interval

    def sent(self) -> int:
        """A frame goes out; its number."""
        now = self._clock()
        for view in self._views.values():
            if view.drawn == self.number:
                view.waiting_since = now
        self.number, self._sent_at = self.number + 1, now
        return self.number

    def stepped(self, seconds: float) -> None:
        """A step of the run took so long, and is just over."""
        if not self.in_flight() and self._clock() - seconds >= self._drawn_at + AFTERGLOW:
            self._quiet.append(seconds)
            self._disturbed = 0
            return
        self._disturbed += 1
        if self._quiet:
            usual = median(self._quiet)
            # A step that takes more than twice its time met something else than a frame.
            self._extra += min(seconds - usual, usual)

    def charge(self, seconds: float) -> None:
        """The worker spent so long on the frame that just went out; the rate follows from what frames cost."""
        # On a busy machine single steps vary more than a frame costs, so many frames are averaged, with their sign.
        weight = max(0.1, 1 / (1 + self.number))
        self._cost = max(0.0, self._cost + weight * (seconds + self._extra - self._cost))
        self._extra = 0.0
        self.interval = min(max(self._cost / SHARE, FASTEST), SLOWEST)

    def forget_speed(self) -> None:
        """Forgets how long a quiet step takes, because the steps are of another size now."""
        self._quiet.clear()
        self._extra, self._disturbed = 0.0, 0

    def _needs_quiet(self) -> bool:
        return self._disturbed >= (STALE if self._quiet else 1)

    def _waits(self, view: _View, longer_than: float) -> bool:
        return view.drawn < self.number and self._clock() - view.waiting_since > longer_than
