import subprocess
import sys
import threading
import weakref
from dataclasses import replace
from threading import Event

import pytest
import torch

from nbvis.engine import PictureStep
from nbvis.sessions import Gate, Session
from nbvis.sessions.progress import KEPT
from tests.workers import collected, none_left, workers

LIVE = frozenset({"lr", "objective"})
LONG = 20.0


class Watcher:
    """Listens to a session and keeps what it hears."""

    def __init__(self):
        self.frames = []
        self.answers = None
        self.react = lambda frame: None

    def hear(self, frame):
        self.frames.append(frame)
        self.react(frame)
        if self.answers and frame.pictures:
            self.answers.acknowledge("view", frame.header["frame"])

    @property
    def pictures(self):
        return [frame for frame in self.frames if frame.pictures]


class Run:
    """A run of `total` steps whose image is index / 100, one step each time the test allows it."""

    def __init__(self, total=5, free=True, fails_at=None):
        self.total, self.fails_at = total, fails_at
        self.turnstile = threading.Semaphore(10**6 if free else 0)
        self.taken = [Event() for _ in range(100)]
        self.starts, self.sent, self.closed = [], [], 0

    def start(self, options):
        self.starts.append(options)
        if options["lr"] < 0:
            raise ValueError("lr is a number from 0 up")
        return self.steps(options)

    def steps(self, options):
        try:
            for index in range(self.total):
                assert self.turnstile.acquire(timeout=LONG)
                if index == self.fails_at:
                    raise FloatingPointError("the score is not finite")
                value = options["lr"]
                score = torch.tensor([float(index)])
                step = PictureStep(index, self.total, (), score, lambda v=value: torch.full((1, 3, 4, 6), v))
                self.taken[index].set()
                changes = yield step
                self.sent.append(changes)
                options |= changes or {}
        finally:
            self.closed += 1

    def allow(self, steps=1):
        self.turnstile.release(steps)


@pytest.fixture
def watcher():
    return Watcher()


@pytest.fixture
def make(watcher):
    made = []

    def make(run, **options):
        session = Session(
            run.start,
            {"lr": 0.5, "octaves": 4, "images": torch.zeros(1, 3, 4, 6)},
            listener=watcher.hear,
            **({"live": LIVE} | options),
        )
        made.append(session)
        return session

    yield make
    for session in made:
        session.close()


def test_a_run_plays_to_its_end(make, watcher):
    session = make(Run(total=5))
    assert session.state == "ready" and session.last is None
    session.play()
    assert session.wait(LONG)
    assert session.state == "finished" and session.last is not None and session.last.index == 4
    assert [score for _, _, score in session.history] == [0, 1, 2, 3, 4]
    assert none_left()


def test_the_picture_at_rest_is_lossless_and_comes_before_wait_returns(make, watcher):
    session = make(Run())
    session.play()
    session.wait(LONG)
    header, (data,) = watcher.frames[-1]
    assert header["format"] == "png" and data.startswith(b"\x89PNG") and header["state"] == "finished"
    assert header["step"] == header["total"] == 5 and header["left"] == 0
    assert header["curve"] == [[index, float(index)] for index in range(5)]


def test_play_returns_at_once_and_pause_takes_effect_within_a_step(make):
    run = Run(total=50, free=False)
    session = make(run)
    session.play()
    assert session.state == "running" and not session.wait(0)
    run.allow(3)
    assert run.taken[2].wait(LONG)
    session.pause()
    run.allow()
    assert session.wait(LONG) and session.state == "paused"
    assert session.last.index in (2, 3)
    assert none_left()


def test_a_paused_run_goes_on_where_it_was(make):
    run = Run(total=5)
    session = make(run)
    session.step()
    session.wait(LONG)
    assert session.state == "paused" and session.last.index == 0
    session.play()
    session.wait(LONG)
    assert session.state == "finished" and len(run.starts) == 1 and len(session.history) == 5


def test_each_step_is_one(make):
    session = make(Run(total=9))
    for expected in range(3):
        session.step()
        session.wait(LONG)
        assert session.last.index == expected


def test_stop_ends_the_run_and_keeps_the_picture(make):
    run = Run(total=50, free=False)
    session = make(run)
    session.play()
    run.allow(2)
    assert run.taken[1].wait(LONG)
    session.stop()
    run.allow()
    assert session.wait(LONG) and session.state == "stopped"
    assert run.closed == 1 and torch.equal(session.image, torch.full((1, 3, 4, 6), 0.5))
    session.step()
    run.allow()
    session.wait(LONG)
    assert len(run.starts) == 2 and session.last.index == 0


def test_stop_of_a_paused_run_closes_it(make):
    run = Run()
    session = make(run)
    session.step()
    session.wait(LONG)
    session.stop()
    assert session.state == "stopped" and run.closed == 1


def test_restart_begins_again(make):
    run = Run(total=5)
    session = make(run)
    session.step()
    session.wait(LONG)
    session.restart()
    session.wait(LONG)
    assert len(run.starts) == 2 and session.state == "finished" and len(session.history) == 5


def test_live_options_reach_the_run_without_a_restart(make):
    run = Run(total=9)
    session = make(run)
    session.step()
    session.wait(LONG)
    assert session.change(lr=0.25) == 1
    assert session.change(objective="another") == 2
    session.step()
    session.wait(LONG)
    assert run.sent == [{"lr": 0.25, "objective": "another"}] and len(run.starts) == 1
    assert torch.equal(session.image, torch.full((1, 3, 4, 6), 0.25))
    assert session.changes == [(1, {"lr": 0.25, "objective": "another"})] and session.origin["lr"] == 0.5


def test_a_change_during_a_run_is_taken_between_two_steps(make, watcher):
    run = Run(total=4, free=False)
    session = make(run)
    session.play()
    run.allow()
    assert run.taken[0].wait(LONG)
    session.change(lr=0.125)
    run.allow(3)
    session.wait(LONG)
    assert {"lr": 0.125} in run.sent and watcher.frames[-1].header["rev"] == 1


@pytest.mark.parametrize("late", ["after the last step", "while it ends"])
def test_a_change_that_comes_too_late_for_a_run_begins_it_again(make, watcher, late):
    class Late(Run):
        def steps(self, options):
            for step in super().steps(options):
                yield replace(step, total=9)  # and ends early, as a run may
            if late == "while it ends" and len(self.starts) == 1:
                session.change(lr=0.9)

    run = Late(total=3)
    session = make(run)
    if late == "after the last step":
        for _ in range(3):
            session.step()
            assert session.wait(LONG) and session.state == "paused"
        session.change(lr=0.9)
        session.step()
        assert session.wait(LONG) and session.state == "paused" and session.last.index == 0
    session.play()
    assert session.wait(LONG) and session.state == "finished"
    assert len(run.starts) == 2 and session.last.image[0, 0, 0, 0] == 0.9
    assert session.past.origin["lr"] == 0.9 and not session.changes and not session.differing
    assert watcher.frames[-1].header["rev"] == session.rev == 1


class Longer(Run):
    """A run of `total` steps that a change of `total` makes longer."""

    def start(self, options):
        return super().start(options | {"lr": 0.5})

    def steps(self, options):
        index = 0
        while index < self.total:
            score = torch.tensor([float(index)])
            changes = yield PictureStep(index, self.total, (), score, lambda v=index: torch.full((1, 3, 4, 6), v / 100))
            self.sent.append(changes)
            self.total = (changes or {}).get("total", self.total)
            index += 1


def test_a_run_that_is_over_can_be_given_more_to_do(make):
    run = Longer(total=3)
    session = make(run, live=frozenset({"lr", "objective", "total"}))
    session.play()
    assert session.wait(LONG) and session.state == "finished"
    session.go_on(total=5)
    assert session.rev == 1 and session.wait(LONG) and session.state == "finished" and session.last.index == 4
    assert len(run.starts) == 1 and session.changes == [(3, {"total": 5})] and len(session.history) == 5
    session.play()
    assert session.wait(LONG) and len(run.starts) == 2 and session.changes == []


def test_what_gives_more_to_do_while_a_run_ends_does_not_begin_it_again(make):
    run = Longer(total=3)
    session = make(run, live=frozenset({"lr", "objective", "total"}))
    asked = session._is_asked_anew

    def late(changes):
        session._is_asked_anew = asked
        session.go_on(total=5)
        return asked(changes)

    session._is_asked_anew = late
    session.play()
    assert session.wait(LONG) and session.state == "finished"
    assert len(run.starts) == 1 and session.last.index == 4


def test_the_history_of_a_long_run_is_thinned_and_ends_with_the_newest(make):
    session = make(Longer(total=3 * KEPT + 6))
    session.play()
    assert session.wait(LONG) and session.state == "finished"
    indexes = [index for index, _, _ in session.history]
    assert (
        indexes == [*range(0, 3 * KEPT + 6, 4), 3 * KEPT + 5]
        and len(session.curve(lambda scores: scores.mean(1))) <= 321
    )


def test_other_options_begin_the_run_again(make):
    run = Run(total=5)
    session = make(run)
    session.step()
    session.wait(LONG)
    session.change(octaves=2)
    session.step()
    session.wait(LONG)
    assert len(run.starts) == 2 and run.starts[-1]["octaves"] == 2 and session.origin["octaves"] == 2
    assert len(session.history) == 1 and session.changes == []


def test_a_new_start_picture_is_shown_before_anything_ran(make, watcher):
    session = make(Run())
    session.change(images=torch.ones(1, 3, 4, 6))
    assert session.wait(LONG) and watcher.pictures and torch.equal(session.image, torch.ones(1, 3, 4, 6))


def test_each_frame_says_which_change_it_reflects(make, watcher):
    session = make(Run(total=9))
    for expected in range(3):
        session.step()
        session.wait(LONG)
        assert watcher.frames[-1].header["rev"] == expected
        session.change(lr=expected / 10)


def test_an_error_keeps_the_last_good_picture_and_the_history(make, watcher):
    session = make(Run(total=5, fails_at=2))
    session.play()
    session.wait(LONG)
    assert session.state == "error" and session.error == "Step 3: the score is not finite"
    assert session.last.index == 1 and len(session.history) == 2
    assert watcher.frames[-1].pictures and watcher.frames[-1].header["state"] == "error"


def test_a_start_that_fails_is_an_error_and_the_next_may_succeed(make):
    session = make(Run(total=2))
    session.change(lr=-1)
    session.play()
    session.wait(LONG)
    assert session.state == "error" and "from 0 up" in session.error
    session.change(lr=0.1)
    session.play()
    session.wait(LONG)
    assert session.state == "finished" and session.error == ""


def test_nothing_is_encoded_while_nobody_looks(make, watcher):
    session = make(Run(total=30))
    session.play()
    session.wait(LONG)
    assert [frame.header["format"] for frame in watcher.pictures] == ["png"]


def test_a_view_that_joins_gets_the_picture(make, watcher):
    session = make(Run())
    session.joined("view")
    assert session.wait(LONG)
    assert watcher.frames[-1].header["format"] == "png" and watcher.frames[-1].header["state"] == "ready"


def test_no_second_frame_before_the_first_is_drawn(make, watcher):
    run = Run(total=30)
    session = make(run)
    session.joined("view")
    session.wait(LONG)
    before = len(watcher.pictures)
    session.play()
    session.wait(LONG)
    assert [frame.header["format"] for frame in watcher.pictures[before:]] == ["png"]


class Ticks:
    """A clock that moves by a fixed time whenever somebody looks."""

    def __init__(self, by=0.02):
        self.now, self._by = 0.0, by

    def __call__(self):
        self.now += self._by
        return self.now


def test_drawn_frames_are_followed_by_the_newest(make, watcher):
    clock = Ticks()
    session = make(Run(total=60), gate=Gate(clock), clock=clock)
    watcher.answers = session
    session.joined("view")
    session.play()
    session.wait(LONG)
    shown = [frame.header["step"] for frame in watcher.pictures]
    assert 3 < len(shown) < 40 and shown == sorted(shown) and shown[-1] == 60
    assert "jpeg" in {frame.header["format"] for frame in watcher.pictures}


def test_no_frame_goes_out_before_one_that_shows_what_was_just_asked_for(make, watcher):
    class Asks:
        """Lets every step pass, and asks for something in the middle of the third and of the fourth."""

        steps = 0

        def acquire(self, timeout):
            self.steps += 1
            if self.steps in (3, 4):
                session.change(lr=self.steps / 10)
            return True

    run, clock = Run(total=7), Ticks(1.0)  # slow enough that each step may have a frame
    run.turnstile = Asks()
    session = make(run, gate=Gate(clock), clock=clock)
    watcher.answers = session
    session.joined("view")
    session.wait(LONG)
    before = len(watcher.pictures)
    session.play()
    session.wait(LONG)
    shown = [(frame.header["step"], frame.header["rev"]) for frame in watcher.pictures[before:]]
    assert [each for each in shown if each[0] < 7] == [(1, 0), (2, 0), (4, 1), (5, 2), (6, 2)]


@pytest.mark.parametrize(("background", "state"), [(False, "paused"), (True, "finished")])
def test_without_a_view_it_pauses_or_goes_on_as_asked(make, background, state):
    run = Run(total=5, free=False)
    session = make(run, background=background)
    session.joined("view")
    session.play()
    run.allow()
    assert run.taken[0].wait(LONG)
    session.left("view")
    run.allow(9)
    assert session.wait(LONG) and session.state == state


def test_a_run_that_was_never_shown_goes_on(make):
    session = make(Run())
    session.left("nobody")
    session.play()
    session.wait(LONG)
    assert session.state == "finished"


def test_close_joins_the_thread(make):
    run = Run(total=90)
    session = make(run)
    session.play()
    session.close()
    assert not workers() and run.closed == len(run.starts)
    with pytest.raises(RuntimeError, match="closed"):
        session.play()


def test_a_forgotten_session_leaves_no_worker():
    run, watcher = Run(total=90, free=False), Watcher()
    session = Session(run.start, {"lr": 0.5, "images": torch.zeros(1, 3, 4, 6)}, live=LIVE, listener=watcher.hear)
    session.play()
    run.allow()
    assert run.taken[0].wait(LONG)
    gone = weakref.ref(session)
    del session
    run.allow(99)
    assert collected(gone) and none_left() and run.closed == 1


def test_the_listener_is_not_kept_alive(make):
    run, watcher = Run(), Watcher()
    session = Session(run.start, {"lr": 0.5, "images": torch.zeros(1, 3, 4, 6)}, live=LIVE, listener=watcher.hear)
    gone = weakref.ref(watcher)
    del watcher
    assert gone() is None
    session.play()
    assert session.wait(LONG) and session.state == "finished"


def test_a_listener_that_fails_is_an_error_not_a_lost_thread(make):
    class Deaf:
        def hear(self, frame):
            if frame.pictures:
                raise OSError("the line is dead")

    run, deaf = Run(), Deaf()
    session = Session(run.start, {"lr": 0.5, "images": torch.zeros(1, 3, 4, 6)}, live=LIVE, listener=deaf.hear)
    session.play()
    assert session.wait(LONG) and "OSError: the line is dead" in session.error and none_left()


def paint_twice(session, format):
    """Two pictures a frame, and a word on each."""
    index = session.last.index if session.last else None
    return {"index": index, "lr": session.options["lr"]}, (b"one", b"two") if format else ()


def test_a_frame_is_what_is_painted(make, watcher):
    session = make(Run(), paint=paint_twice)
    session.play()
    session.wait(LONG)
    begun, ended = watcher.frames[0], watcher.frames[-1]
    assert begun.pictures == () and begun.header["index"] is None and begun.header["state"] == "running"
    assert ended.pictures == (b"one", b"two") and ended.header["index"] == 4 and ended.header["lr"] == 0.5


def test_what_rests_is_painted_anew_at_once(make, watcher):
    session = make(Run(), paint=paint_twice)
    session.step()
    session.wait(LONG)
    before = len(watcher.pictures)
    session.repaint()
    assert session.wait(LONG) and len(watcher.pictures) == before + 1
    assert watcher.frames[-1].header["format"] == "png" and session.last.index == 0


def test_what_is_to_be_painted_anew_while_it_comes_to_rest_is(make, watcher):
    def paint(session, format):
        if format == "png" and not asked:
            asked.append(session.repaint() or session.state)
        return {}, (b"picture",) if format else ()

    asked = []
    session = make(Run(), paint=paint)
    session.play()
    assert session.wait(LONG) and session.state == "finished"
    assert asked == ["finished"] and [frame.header["format"] for frame in watcher.pictures] == ["png", "png"]


@pytest.mark.parametrize(("ask", "state"), [("pause", "paused"), ("stop", "stopped"), ("left", "paused")])
def test_who_plays_and_pauses_while_it_is_painted_finds_it_at_rest(make, ask, state):
    def paint(session, format):
        if format == "png" and not asked:
            asked.append(format)
            session.play()
            getattr(session, ask)(*(["view"] if ask == "left" else []))
        return {}, (b"picture",) if format else ()

    asked = []
    session = make(Run(), paint=paint)
    session.joined("view")
    assert session.wait(LONG) and asked
    assert session.state == state and not session.pausing and session.last is None
    session.play()
    assert session.wait(LONG) and session.state == "finished"


def test_who_waits_while_somebody_plays_waits_for_the_run(make, watcher):
    def hear(frame):
        if frame.header["state"] == "running" and not told.is_set():
            told.set()
            waited.append(session.wait(0.05))

    told, waited = Event(), []
    session = make(Run())
    watcher.react = hear  # called before there is a worker
    session.play()
    assert waited == [False] and session.wait(LONG) and session.state == "finished"


def test_what_runs_is_painted_anew_with_the_next_step(make, watcher):
    run = Run(total=50, free=False)
    session = make(run)
    session.play()
    run.allow()
    assert run.taken[0].wait(LONG)
    session.repaint()
    assert watcher.pictures == []
    session.stop()
    run.allow()
    assert session.wait(LONG)


def test_the_curve_is_what_the_scores_of_a_batch_are_reduced_to(make):
    class Pair(Run):
        def steps(self, options):
            for index in range(3):
                scores = torch.tensor([float(index), -float(index)])
                yield PictureStep(index, 3, (), scores, lambda: torch.zeros(2, 3, 4, 6))

    session = make(Pair())
    assert session.curve(lambda scores: scores.amin(1)) == []
    session.play()
    session.wait(LONG)
    assert session.curve(lambda scores: scores.amin(1)) == [[0, 0.0], [1, -1.0], [2, -2.0]]


def test_after_a_failed_beginning_the_origin_is_that_of_the_picture(make):
    session = make(Run())
    session.play()
    session.wait(LONG)
    session.change(lr=-1.0)
    session.restart()
    assert session.wait(LONG) and session.state == "error"
    assert session.origin["lr"] == 0.5 and session.options["lr"] == -1.0


def test_before_the_first_step_the_origin_is_what_was_asked_for_last(make):
    session = make(Run())
    session.change(lr=0.25)
    assert session.origin["lr"] == 0.25
    session.play()
    session.wait(LONG)
    session.change(lr=0.125)
    assert session.origin["lr"] == 0.25


OTHER = torch.ones(1, 3, 8, 9)


@pytest.mark.parametrize("before", ["ready", "paused", "stopped", "finished", "error"])
def test_a_renewed_run_at_rest_shows_its_start(make, watcher, before):
    run = Run(total=3, fails_at=1 if before == "error" else None)
    session = make(run)
    if before != "ready":
        session.step() if before in ("paused", "stopped") else session.play()
        session.wait(LONG)
        if before == "stopped":
            session.stop()
    assert session.state == before
    session.joined("view")
    rev = session.renew(images=OTHER)
    assert session.image is OTHER and session.wait(LONG)
    assert session.state == "ready" and session.error == "" and session.last is None and session.history == []
    assert torch.equal(session.image, OTHER) and session.origin["images"] is OTHER
    newest = watcher.pictures[-1].header
    assert newest["rev"] == rev and newest["step"] == 0 and newest["state"] == "ready" and none_left()
    assert run.closed == (before != "ready")
    run.fails_at = None
    session.play()
    assert session.wait(LONG) and session.state == "finished" and run.starts[-1]["images"] is OTHER


def test_a_renewed_run_that_goes_begins_again_and_one_asked_to_rest_does_not(make):
    run = Run(total=5, free=False)
    session = make(run)
    session.play()
    run.allow()
    assert run.taken[0].wait(LONG)
    session.renew(images=OTHER)
    run.allow(6)
    assert session.wait(LONG) and session.state == "finished"
    assert [start["images"] is OTHER for start in run.starts] == [False, True]
    session.restart()
    session.renew(images=2 * OTHER)
    session.pause()
    run.allow(2)
    assert session.wait(LONG) and session.state == "ready" and torch.equal(session.image, 2 * OTHER)
    session.play()
    run.allow(5)
    assert session.wait(LONG) and torch.equal(run.starts[-1]["images"], 2 * OTHER) and session.state == "finished"


def test_a_run_renewed_while_its_last_picture_goes_out_is_renewed_all_the_same(make, watcher):
    session = make(Run(total=2))
    watcher.react = lambda frame: frame.header["state"] == "finished" and session.renew(images=OTHER)
    session.play()
    assert session.wait(LONG) and session.state == "ready" and torch.equal(session.image, OTHER)


@pytest.mark.parametrize("ending", ["session.step(); session.wait()", "session.play()"])
def test_a_process_ends_cleanly_whatever_runs(ending):
    code = f"""
import torch
from torch import nn
from nbvis.engine import activity, dream
from nbvis.sessions import Session
class Listener:
    def hear(self, frame): pass
listener = Listener()
network, images = nn.Sequential(nn.Conv2d(3, 4, 3)), torch.rand(1, 3, 32, 32)
start = lambda options: dream(network, activity("0"), options["images"], steps=10_000)
session = torch.kept = Session(start, {{"images": images}}, live=frozenset(), listener=listener.hear)
{ending}
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stderr) == (0, "")
