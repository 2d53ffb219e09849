"""What answers do ahead of a question, beside one and after one: none of it may be in anybody's way."""

import threading
import weakref

import pytest

from nbvis.sessions import Answers, Gate, answers
from tests.sessions.test_answers import LONG, Watcher, Work, draw_all, ended, make, told, watcher
from tests.workers import collected, none_left

__all__ = ["make", "watcher"]
FAR = 10.0**6


class Seer:
    """Foresees what the test says, and counts how often it is asked."""

    def __init__(self):
        self.finds, self.asked = [], 0

    def foresees(self):
        self.asked += 1
        return self.finds


@pytest.fixture
def seer():
    return Seer()


@pytest.fixture
def idle(monkeypatch):
    """Says how long there may be nothing to do before what comes next is found out."""

    def idle(seconds):
        monkeypatch.setattr(answers, "IDLE", seconds)

    idle(0.0)
    return idle


def rested(made):
    """An answered question."""
    made.ask(maps=[Work().task])
    assert made.wait(LONG) and made.state == "finished"
    return made


def watched(made, watcher):
    """A view has drawn all."""
    made.joined("view")
    draw_all(made, watcher)
    return made


def test_what_was_foreseen_is_there_before_it_is_asked(make, watcher, seer, idle):
    made, work = watched(make(foresees=seer.foresees), watcher), Work("next")
    seer.finds = [lambda: {"next": "FORESEEN"}, lambda: {"more": "MORE"}]
    rested(made)
    draw_all(made, watcher)
    frames = len(watcher.headers)
    assert none_left() and made.get("next") == "FORESEEN" and made.get("more") == "MORE"
    assert made.state == "finished" and len(watcher.headers) == frames and seer.asked == 1
    made.ask(maps=[work.task])
    assert made.wait(LONG) and work.runs == 0


def test_what_was_found_is_not_replaced_by_what_was_foreseen(make, watcher, seer, idle):
    made = watched(make(foresees=seer.foresees), watcher)
    seer.finds = [lambda: {"map": "another", "more": "MORE"}]
    rested(made)
    assert none_left() and (made.get("map"), made.get("more")) == ("MAP", "MORE")


def test_without_a_view_nothing_is_foreseen(make, seer, idle):
    rested(make(foresees=seer.foresees))
    assert none_left() and seer.asked == 0


def test_a_view_that_comes_later_has_it_look_ahead(make, watcher, seer, idle):
    made = rested(make(foresees=seer.foresees))
    assert none_left() and seer.asked == 0
    watched(made, watcher)
    assert none_left() and seer.asked == 1
    made.joined("another")
    assert none_left() and seer.asked == 1


def test_each_question_has_it_look_ahead_also_if_its_answer_was_foreseen(make, watcher, seer, idle):
    made = watched(make(foresees=seer.foresees), watcher)
    for times in (1, 2, 3):
        rested(made)
        assert none_left() and seer.asked == times


def test_nothing_is_foreseen_while_there_is_something_to_do(make, watcher, seer, idle):
    idle(FAR)
    made, slow = watched(make(foresees=seer.foresees), watcher), Work("slow", free=False)
    rested(made)
    made.ask(maps=[slow.task])
    assert slow.begun.wait(LONG)
    idle(0.0)
    made.ask(True, maps=[slow.task, Work("held").task])
    slow.turnstile.release(slow.words)
    made.wait_for("nothing of the kind")
    told(made)
    assert seer.asked == 0
    made.stop()
    assert made.wait(LONG) and none_left() and seer.asked == 0


def test_what_comes_next_is_foreseen_before_a_patient_task(make, watcher, seer, idle):
    made, dream, found = watched(make(foresees=seer.foresees), watcher), Work("dream"), threading.Event()
    seer.finds = [lambda: {"next": "FORESEEN"}, lambda: found.set() or {}]
    made.ask(dreams=[dream.task._replace(after=FAR)])
    assert found.wait(LONG) and made.get("next") == "FORESEEN" and made.state == "running" and dream.runs == 0
    made.ask(dreams=[dream.task])
    assert made.wait(LONG) and made.get("dream") == "DREAM"


def test_what_is_asked_while_it_foresees_comes_next(make, watcher, seer, idle):
    made, began, goes_on = watched(make(foresees=seer.foresees), watcher), threading.Event(), threading.Event()

    def find():
        began.set()
        assert goes_on.wait(LONG)
        return {"next": "FORESEEN"}

    seer.finds = [find, lambda: {"too late": "GIVEN UP"}]
    rested(made)
    assert began.wait(LONG)
    seer.finds = []
    work, other = Work("next"), Work("other")
    made.ask(maps=[work.task, other.task])
    assert made.state == "running" and not made.wait(0)
    goes_on.set()
    assert made.wait(LONG) and made.get("next") == "FORESEEN" and made.get("other") == "OTHER" and work.runs == 0
    assert none_left() and made.get("too late") is None


def test_an_error_in_what_was_foreseen_is_nobodys(make, watcher, seer, idle):
    made = watched(make(foresees=seer.foresees), watcher)

    def find():
        raise RuntimeError("out of memory")

    seer.finds = [find]
    rested(made)
    draw_all(made, watcher)
    frames = len(watcher.headers)
    assert none_left() and (made.state, made.error, seer.asked) == ("finished", "", 1)
    assert len(watcher.headers) == frames


def test_closing_does_not_wait_for_what_might_be_wanted(make, watcher, seer, idle):
    idle(FAR)
    made = rested(watched(make(foresees=seer.foresees), watcher))
    made.close()
    assert none_left() and seer.asked == 0


def test_a_patient_task_begins_when_nothing_else_has_been_asked_for_a_while(make):
    made, work = make(), Work("dream")
    made.ask(dreams=[work.task._replace(after=0.01)])
    assert made.wait(LONG) and made.get("dream") == "DREAM"


def test_what_is_asked_does_not_wait_behind_a_patient_task(make, watcher):
    made, dream, first, second = make(), Work("dream"), Work("first"), Work("second")
    patient = dream.task._replace(after=FAR)
    made.ask(maps=[first.task], dreams=[patient])
    made.wait_for("maps")
    made.ask(maps=[second.task])
    made.wait_for("maps")
    assert made.state == "running" and (made.get("first"), made.get("second")) == ("FIRST", "SECOND")
    told(made)
    assert watcher.headers and dream.runs == 0
    made.ask(dreams=[dream.task])
    assert made.wait(LONG) and made.get("dream") == "DREAM"


@pytest.mark.parametrize("end", [Answers.stop, Answers.close])
def test_a_patient_task_that_has_not_begun_ends_at_once(make, end):
    made, dream = make(), Work("dream")
    made.ask(dreams=[dream.task._replace(after=FAR)])
    told(made)
    end(made)
    assert made.wait(LONG) and none_left() and dream.runs == 0


def test_what_is_held_begins_when_something_is_asked_again(make, watcher):
    made, known, more = rested(make()), Work("map"), Work("more")
    made.joined("view")
    draw_all(made, watcher)
    made.ask(True, maps=[known.task], more=[more.task])
    draw_all(made, watcher)
    assert (watcher.headers[-1]["state"], watcher.headers[-1]["doing"]) == ("running", "The more")
    assert not made.wait(0) and more.runs == 0
    pictures = len(watcher.pictures)
    made.ask(True, maps=[known.task], more=[more.task])
    draw_all(made, watcher)
    assert len(watcher.pictures) == pictures + 1  # the same answers may be shown in another way
    made.ask(False, False, maps=[known.task], more=[more.task])
    assert made.wait(LONG)
    draw_all(made, watcher)
    assert len(watcher.pictures) == pictures + 2  # nothing is shown twice
    assert made.get("more") == "MORE" and known.runs == 0


@pytest.mark.parametrize("end", [Answers.stop, Answers.close, lambda made: made.fail(OSError("gone"))])
def test_what_is_held_can_be_ended(make, end):
    made, work = make(), Work()
    made.ask(True, maps=[work.task])
    told(made)
    end(made)
    assert made.wait(LONG) and none_left() and work.runs == 0


@pytest.mark.parametrize("known", [True, False])
def test_the_work_waits_until_a_view_has_drawn_what_is_known(make, watcher, monkeypatch, known):
    monkeypatch.setattr(answers, "COURTESY", FAR)
    clock = lambda: 0.0  # noqa: E731
    made, shown, slow = make(gate=Gate(clock), clock=clock), Work("shown"), Work("slow")
    if known:
        made.ask(maps=[shown.task])
        assert made.wait(LONG)
        made.ask(maps=[Work("other").task])
        assert made.wait(LONG)
    made.joined("view")
    draw_all(made, watcher)
    made.ask(maps=[shown.task], more=[slow.task])
    told(made)
    if known:
        assert not slow.begun.is_set()
        made.acknowledge("view", watcher.headers[-1]["frame"])
    assert slow.begun.wait(LONG)
    draw_all(made, watcher)
    assert made.wait(LONG) and made.get("slow") == "SLOW"


def test_what_was_asked_before_is_not_waited_for_again(make, watcher, monkeypatch):
    monkeypatch.setattr(answers, "COURTESY", FAR)
    clock = lambda: 0.0  # noqa: E731
    made, shown = make(gate=Gate(clock), clock=clock), Work("shown")
    made.ask(maps=[shown.task])
    assert made.wait(LONG)
    made.joined("view")
    told(made)
    slow = Work("slow")
    made.ask(maps=[shown.task], more=[slow.task])
    assert slow.begun.wait(LONG)


def test_forgotten_answers_leave_no_thread_that_looks_ahead(seer, idle):
    watcher, began, goes_on = Watcher(), threading.Event(), threading.Event()
    seer.finds = [lambda: began.set() or {"next": goes_on.wait(LONG)}]
    made = watched(Answers(listener=watcher.hear, rested=watcher.rest, foresees=seer.foresees), watcher)
    rested(made)
    assert began.wait(LONG)
    ended(made)
    gone = weakref.ref(made)
    del made
    assert collected(gone)
    goes_on.set()
    assert none_left()
