"""What answers do ahead of a question, beside one and after one: none of it may be in anybody's way."""

import threading
import weakref

import pytest

from nbvis.sessions import Answers, Gate, answers
from tests.sessions.test_answers import LONG, Watcher, Work, draw_all, make, told, watcher
from tests.workers import collected, none_left

__all__ = ["make", "watcher"]
FAR = 10.0**6


@pytest.fixture
def idle(monkeypatch):
    """Says how long nothing may be wanted before what comes next is found out."""

    def idle(seconds):
        monkeypatch.setattr(answers, "IDLE", seconds)

    idle(0.0)
    return idle


def rested(made):
    """An answered question."""
    made.ask(maps=[Work().task])
    assert made.wait(LONG) and made.state == "finished"
    return made


def test_what_was_foreseen_is_there_before_it_is_asked(make, watcher, idle):
    made, work = rested(make()), Work("next")
    frames = len(watcher.headers)
    made.foresee(lambda: {"next": "FORESEEN"})
    assert made.wait(0) and none_left()
    assert made.get("next") == "FORESEEN" and made.state == "finished" and len(watcher.headers) == frames
    made.ask(maps=[work.task])
    assert made.wait(LONG) and work.runs == 0


def test_what_was_found_is_not_replaced_by_what_was_foreseen(make, idle):
    made = rested(make())
    made.foresee(lambda: {"map": "another", "more": "MORE"})
    assert none_left() and (made.get("map"), made.get("more")) == ("MAP", "MORE")


def test_nothing_is_foreseen_while_something_is_wanted(make, idle):
    idle(FAR)
    made, asked, began = rested(make()), Work("asked", free=False), threading.Event()
    made.foresee(lambda: began.set() or {})
    made.ask(maps=[asked.task])
    assert asked.begun.wait(LONG)
    made.foresee(lambda: began.set() or {})
    asked.turnstile.release(asked.words)
    assert made.wait(LONG) and none_left() and not began.is_set()


def test_what_is_asked_while_it_foresees_comes_next(make, idle):
    made, began, goes_on = rested(make()), threading.Event(), threading.Event()

    def find():
        began.set()
        assert goes_on.wait(LONG)
        return {"next": "FORESEEN"}

    made.foresee(find)
    assert began.wait(LONG)
    work, other = Work("next"), Work("other")
    made.ask(maps=[work.task, other.task])
    assert made.state == "running" and not made.wait(0)
    goes_on.set()
    assert made.wait(LONG) and made.get("next") == "FORESEEN" and made.get("other") == "OTHER" and work.runs == 0


def test_an_error_in_what_was_foreseen_is_nobodys(make, watcher, idle):
    made = rested(make())
    frames = len(watcher.headers)

    def find():
        raise RuntimeError("out of memory")

    made.foresee(find)
    assert none_left() and (made.state, made.error) == ("finished", "") and len(watcher.headers) == frames


def test_closing_does_not_wait_for_what_might_be_wanted(make, idle):
    idle(FAR)
    made = rested(make())
    made.foresee(dict)
    made.close()
    assert none_left()
    made.foresee(dict)
    assert none_left()


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
    assert watcher.headers[-1]["state"] == "running" and not made.wait(0) and more.runs == 0
    pictures = len(watcher.pictures)
    made.ask(maps=[known.task], more=[more.task])
    assert made.wait(LONG)
    draw_all(made, watcher)
    assert len(watcher.pictures) == pictures + 1  # nothing is shown twice
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


def test_forgotten_answers_leave_no_thread_that_looks_ahead(idle):
    watcher, goes_on = Watcher(), threading.Event()
    made = rested(Answers(listener=watcher.hear, rested=watcher.rest))
    made.foresee(lambda: goes_on.wait(LONG) and {})
    gone = weakref.ref(made)
    del made
    assert collected(gone)
    goes_on.set()
    assert none_left()
