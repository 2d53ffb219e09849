import subprocess
import sys
import threading
import weakref

import pytest
import torch

from nbvis.sessions import Answers, Gate, Partial, Refusal, Task
from tests.workers import collected, none_left, workers

LONG = 20.0


class Watcher:
    """Listens to a session, keeps what it hears, and draws each frame if it is told to."""

    def __init__(self):
        self.headers, self.rests, self.states, self.answers = [], 0, 0, None

    def hear(self, header):
        if header is None:
            self.states += 1
            return
        self.headers.append(header)
        if self.answers:
            self.answers.acknowledge("view", header["frame"])

    def rest(self):
        self.rests += 1

    @property
    def pictures(self):
        return [header for header in self.headers if header["format"] == "png"]


class Work:
    """A task of `words` words, one each time the test allows it, whose answer is its key in capitals."""

    def __init__(self, key="map", words=3, free=True, fails=None):
        self.key, self.words, self.fails = key, words, fails
        self.turnstile = threading.Semaphore(10**6 if free else 0)
        self.begun, self.said, self.runs, self.heard = threading.Event(), threading.Semaphore(0), 0, []

    def run(self, tell, known):
        self.runs += 1
        self.begun.set()
        for word in range(self.words):
            assert self.turnstile.acquire(timeout=LONG)
            tell(word + 1, self.words)
            self.said.release()
        if self.fails:
            raise self.fails
        return self.key.upper()

    @property
    def task(self):
        return Task(self.key, f"The {self.key}", self.run)


@pytest.fixture
def watcher():
    return Watcher()


@pytest.fixture
def make(watcher):
    made = []

    def make(**options):
        made.append(Answers(listener=watcher.hear, rested=watcher.rest, **options))
        return made[-1]

    yield make
    for answers in made:
        answers.close()


def told(answers):
    """Waits until all that can be told is."""
    with answers._lock:
        assert answers._lock.wait_for(answers._all_told, LONG)


def ended(answers):
    """Waits until nobody is being told anything."""
    with answers._lock:
        assert answers._lock.wait_for(lambda: answers._teller is None, LONG)


def draw_all(answers, watcher):
    """The view draws until nothing more is sent."""
    drawn = 0
    told(answers)
    while watcher.headers[-1]["frame"] > drawn:
        drawn = watcher.headers[-1]["frame"]
        answers.acknowledge("view", drawn)
        told(answers)


def test_what_is_asked_is_answered_in_order_and_kept(make, watcher):
    first, second = Work("first", free=False), Work("second")
    answers = make()
    assert answers.state == "ready" and answers.get("first") is None
    answers.ask(maps=[first.task, second.task])
    assert first.begun.wait(LONG)
    told(answers)
    first.turnstile.release(first.words)
    assert answers.wait(LONG) and answers.state == "finished"
    assert (answers.get("first"), answers.get("second")) == ("FIRST", "SECOND")
    assert next(header["doing"] for header in watcher.headers if header["doing"]) == "The first"
    rests = watcher.rests
    answers.ask(maps=[second.task])
    assert answers.wait(LONG) and second.runs == 1 and none_left()
    assert watcher.rests == rests + 1


def test_the_last_word_comes_before_wait_returns(make, watcher):
    answers = make()
    answers.ask(maps=[Work().task])
    answers.wait(LONG)
    assert watcher.headers[-1]["state"] == "finished" and watcher.headers[-1]["doing"] == "" and watcher.rests == 1


def test_some_kinds_are_waited_for_while_others_go_on(make):
    first, rest = Work("map"), Work("more", free=False)
    answers = make()
    answers.ask(maps=[first.task], more=[rest.task])
    answers.wait_for("maps")
    assert answers.get("map") == "MAP" and answers.get("more") is None and not answers.wait(0)
    rest.turnstile.release(3)
    answers.wait_for("maps", "more")
    assert answers.get("more") == "MORE"
    answers.wait_for("nothing of the kind")


def test_asking_returns_at_once(make):
    work = Work(free=False)
    answers = make()
    answers.ask(maps=[work.task])
    assert answers.state == "running" and not answers.wait(0)
    work.turnstile.release(work.words)
    assert answers.wait(LONG) and answers.get("map") == "MAP"


def test_a_newer_question_of_a_kind_ends_the_older_at_its_next_word(make):
    old, new = Work("old", words=50, free=False), Work("new")
    answers = make()
    answers.ask(maps=[old.task])
    assert old.begun.wait(LONG)
    answers.ask(maps=[new.task])
    old.turnstile.release()
    assert answers.wait(LONG) and answers.get("new") == "NEW" and answers.get("old") is None
    assert not old.said.acquire(blocking=False)


def test_what_is_still_wanted_goes_on(make):
    work, more = Work(free=False), Work("more")
    answers = make()
    answers.ask(maps=[work.task])
    assert work.begun.wait(LONG)
    answers.ask(maps=[work.task, more.task])
    work.turnstile.release(work.words)
    assert answers.wait(LONG) and work.runs == 1 and answers.get("more") == "MORE"


def test_kinds_do_not_replace_each_other(make):
    answers, one, other = make(), Work("one", free=False), Work("other")
    answers.ask(maps=[one.task])
    answers.ask(check=[other.task])
    assert [task.key for task in answers.wanted("maps")] == ["one"]
    one.turnstile.release(one.words)
    assert answers.wait(LONG) and (answers.get("one"), answers.get("other")) == ("ONE", "OTHER")


def test_cancel_ends_the_work_and_what_was_found_stays(make, watcher):
    found, slow = Work("found"), Work("slow", words=50, free=False)
    answers = make()
    answers.ask(maps=[found.task, slow.task])
    assert slow.begun.wait(LONG)
    answers.stop()
    slow.turnstile.release()
    assert answers.wait(LONG) and answers.state == "stopped"
    assert answers.get("found") == "FOUND" and answers.get("slow") is None and none_left()
    slow.turnstile.release(50)
    answers.ask(maps=[found.task, slow.task])
    assert answers.wait(LONG) and answers.get("slow") == "SLOW" and found.runs == 1


def test_a_refusal_is_an_answer(make):
    work = Work(fails=ValueError("SiLU has no rule"))
    answers = make()
    answers.ask(maps=[work.task])
    assert answers.wait(LONG) and answers.state == "finished" and answers.error == ""
    assert answers.get("map") == Refusal("SiLU has no rule")
    answers.ask(maps=[work.task])
    assert answers.wait(LONG) and work.runs == 1


def test_an_error_ends_the_work_and_what_was_found_stays(make):
    good, bad, never = Work("good"), Work("bad", fails=OSError("the disk is gone")), Work("never")
    answers = make()
    answers.ask(maps=[good.task, bad.task, never.task])
    assert answers.wait(LONG) and answers.state == "error" and answers.error == "OSError: the disk is gone"
    assert answers.get("good") == "GOOD" and never.runs == 0
    bad.fails = None
    answers.ask(maps=[good.task, bad.task])
    assert answers.wait(LONG) and (answers.state, answers.error, answers.get("bad")) == ("finished", "", "BAD")


def test_a_task_reads_the_answers_before_it(make):
    answers, refused = make(), Work("refused", fails=ValueError("no"))
    answers.ask(maps=[Work().task, refused.task], check=[Task("check", "", lambda tell, known: known("map") * 2)])
    assert answers.wait(LONG) and answers.get("check") == "MAPMAP"
    answers.ask(check=[Task("other", "", lambda tell, known: known("refused"))])
    assert answers.wait(LONG) and answers.get("other") == Refusal("no")
    answers.ask(check=[Task("third", "", lambda tell, known: known("unknown"))])
    assert answers.wait(LONG) and "asked for before" in answers.error


class Count:
    """A task that counts to three, tells how far it has come, and goes on from there; a word each time it may."""

    def __init__(self, key="count"):
        self.key, self.begun_at, self.begun = key, [], threading.Event()
        self.turnstile, self.said = threading.Semaphore(0), threading.Semaphore(0)

    def run(self, tell, known):
        try:
            begun = known(self.key)
        except LookupError:
            begun = 0
        self.begun_at.append(begun)
        self.begun.set()
        for number in range(begun + 1, 4):
            assert self.turnstile.acquire(timeout=LONG)
            tell(number, 3, number)
            self.said.release()
        return "three"

    @property
    def task(self):
        return Task(self.key, "Counting", self.run)


def test_an_answer_that_is_not_final_is_shown_until_the_next(make, watcher):
    now = [0.0]
    clock = lambda: now[0]  # noqa: E731
    answers, count = make(gate=Gate(clock), clock=clock), Count()
    answers.joined("view")
    answers.ask(maps=[count.task])
    assert count.begun.wait(LONG)
    for number in (1, 2):
        draw_all(answers, watcher)
        now[0] += 1.0
        pictures = len(watcher.pictures)
        count.turnstile.release()
        assert count.said.acquire(timeout=LONG)
        told(answers)
        assert len(watcher.pictures) == pictures + 1 and watcher.headers[-1]["state"] == "running"
        assert answers.get("count") == Partial(number)
    count.turnstile.release()
    assert answers.wait(LONG) and answers.get("count") == "three" and answers.state == "finished"


def test_answers_that_are_not_final_are_shown_no_faster_than_a_view_draws(make, watcher):
    clock = lambda: 0.0  # noqa: E731
    answers, count = make(gate=Gate(clock), clock=clock), Count()
    answers.joined("view")
    draw_all(answers, watcher)
    answers.ask(maps=[count.task])
    told(answers)
    sent = len(watcher.pictures)
    count.turnstile.release(3)
    assert answers.wait(LONG) and len(watcher.pictures) == sent
    assert watcher.states == 1 and watcher.headers[-1]["state"] == "running"  # its pictures come with the state
    answers.acknowledge("view", watcher.headers[-1]["frame"])
    told(answers)
    assert len(watcher.pictures) == sent + 1 and watcher.headers[-1]["state"] == "finished"


def test_a_task_that_was_stopped_goes_on_from_what_it_told(make):
    answers, count = make(), Count()
    answers.ask(maps=[count.task])
    count.turnstile.release()
    assert count.said.acquire(timeout=LONG)
    answers.stop()
    count.turnstile.release()
    assert answers.wait(LONG) and answers.state == "stopped" and isinstance(answers.get("count"), Partial)
    count.turnstile.release(3)
    answers.ask(maps=[count.task])
    assert answers.wait(LONG) and answers.get("count") == "three" and count.begun_at == [0, 2]


def test_no_other_task_takes_an_answer_that_is_not_final(make):
    answers, count = make(), Count()
    answers.ask(maps=[count.task])
    count.turnstile.release()
    assert count.said.acquire(timeout=LONG)
    answers.stop()
    count.turnstile.release(3)
    assert answers.wait(LONG)
    answers.ask(maps=[Task("check", "", lambda tell, known: known("count"))])
    assert answers.wait(LONG) and answers.state == "error" and "asked for before" in answers.error


def test_progress_says_how_much_is_left(make, watcher):
    now = [0.0]
    clock = lambda: now[0]  # noqa: E731
    answers, work = make(gate=Gate(clock), clock=clock), Work(words=4, free=False)
    watcher.answers = answers
    answers.joined("view")
    answers.ask(maps=[work.task])
    assert work.begun.wait(LONG)
    for word in range(1, 4):
        told(answers)
        now[0] += 2.0
        work.turnstile.release()
        assert work.said.acquire(timeout=LONG)
        told(answers)
        header = watcher.headers[-1]
        assert [header[name] for name in ("doing", "done", "total", "left")] == ["The map", word, 4, 2.0 * (4 - word)]
        assert header["format"] == ""
    work.turnstile.release()
    assert answers.wait(LONG)


def test_one_frame_is_in_flight_and_then_the_newest_goes(make, watcher):
    answers = make()
    answers.joined("view")
    answers.ask(maps=[Work().task])
    assert answers.wait(LONG)
    draw_all(answers, watcher)
    sent = len(watcher.pictures)
    for _ in range(5):
        answers.changed()
        told(answers)
    assert len(watcher.pictures) == sent + 1
    for _ in range(2):
        answers.acknowledge("view", watcher.headers[-1]["frame"])
        told(answers)
        assert len(watcher.pictures) == sent + 2


def test_nobody_is_held_up_by_what_is_told(make, watcher):
    """Not who asks, looks, draws or stops, and not the work either."""
    hearing, listening = threading.Event(), threading.Event()

    class Slow:
        def hear(self, header):
            assert threading.current_thread() is not here
            hearing.set()
            assert listening.wait(LONG)

        def rest(self):
            self.hear({})

    here, slow, work = threading.current_thread(), Slow(), Work()
    answers = Answers(listener=slow.hear, rested=slow.rest)
    answers.joined("view")
    assert hearing.wait(LONG)
    answers.ask(maps=[work.task])
    answers.changed()
    answers.acknowledge("view", 1)
    for _ in range(work.words):
        assert work.said.acquire(timeout=LONG)
    answers.stop()
    assert not answers.wait(0.01)
    listening.set()
    assert answers.wait(LONG)
    answers.close()
    assert none_left()


def test_a_view_that_does_not_answer_does_not_hold_the_others_up(make, watcher):
    answers = make()
    answers.joined("dead")
    answers.changed()
    told(answers)
    watcher.answers = answers
    answers.joined("view")
    told(answers)
    sent = len(watcher.pictures)
    answers.changed()
    # The dead view has not drawn, so the picture waits for as long as the gate has patience.
    teller = answers._teller
    assert teller
    teller.join(LONG)
    assert len(watcher.pictures) > sent and not teller.is_alive()


def test_without_a_view_no_pictures_are_made(make, watcher):
    answers = make()
    answers.ask(maps=[Work().task])
    answers.wait(LONG)
    answers.changed()
    assert answers.wait(LONG) and watcher.headers and watcher.pictures == []
    answers.joined("view")
    assert answers.wait(LONG) and watcher.headers[-1]["format"] == "png"


def test_the_still_is_renewed_when_what_is_shown_stays_for_a_while(make, watcher):
    answers = make()
    answers.changed()
    assert answers.wait(LONG) and watcher.rests == 1
    answers.joined("view")
    draw_all(answers, watcher)
    before = watcher.rests
    answers.changed()
    answers.changed()
    assert answers.wait(LONG) and watcher.rests == before
    draw_all(answers, watcher)
    assert watcher.rests == before + 1


def test_the_work_pauses_with_the_last_view_and_goes_on_with_the_next(make):
    work = Work(words=50, free=False)
    answers = make()
    answers.joined("view")
    answers.ask(maps=[work.task])
    assert work.begun.wait(LONG)
    answers.left("view")
    work.turnstile.release(100)
    assert answers.wait(LONG) and answers.state == "paused" and answers.get("map") is None
    work.turnstile = threading.Semaphore(0)
    answers.joined("view")
    assert answers.state == "running"
    work.turnstile.release(100)
    assert answers.wait(LONG) and answers.get("map") == "MAP"


def test_the_work_goes_on_in_the_background(make):
    work = Work(free=False)
    answers = make(background=True)
    answers.joined("view")
    answers.ask(maps=[work.task])
    answers.left("view")
    work.turnstile.release(work.words)
    assert answers.wait(LONG) and answers.state == "finished" and answers.get("map") == "MAP"


def test_a_view_that_falls_silent_is_gone(make):
    now = [0.0]
    clock = lambda: now[0]  # noqa: E731
    work, answers = Work(words=50, free=False), make(gate=Gate(clock), clock=clock)
    answers.joined("view")
    answers.ask(maps=[work.task])
    assert work.begun.wait(LONG)
    told(answers)  # a frame that the view has not drawn
    now[0] = 1000.0
    work.turnstile.release()
    assert answers.wait(LONG) and answers.state == "paused"


def test_the_answers_that_were_not_used_for_longest_are_forgotten_by_their_bytes(make, monkeypatch):
    monkeypatch.setattr("nbvis.sessions.kept.KEPT", 24)
    answers = make()

    def ask(**sizes: int) -> None:
        answers.ask(maps=[Task(key, key, lambda tell, known, n=n: {"map": torch.ones(n)}) for key, n in sizes.items()])
        assert answers.wait(LONG)

    def kept() -> list[str]:
        return [key for key in "abcde" if answers.get(key)]

    ask(a=2)
    ask(b=2)
    assert answers.get("a") and kept() == ["a", "b"]
    answers.get("a")
    ask(c=3)
    assert kept() == ["a", "c"]
    ask(d=4, e=5)  # what is wanted stays, however large
    assert kept() == ["d", "e"]


def test_a_listener_that_fails_is_an_error_not_a_lost_thread():
    class Deaf:
        def hear(self, header):
            raise OSError("the line is dead")

        def rest(self):
            pass

    deaf = Deaf()
    answers = Answers(listener=deaf.hear, rested=deaf.rest)
    answers.ask(maps=[Work().task])
    assert answers.wait(LONG) and answers.error == "OSError: the line is dead" and none_left()


def test_closing_ends_the_thread(make):
    work = Work(words=50, free=False)
    answers = make()
    answers.ask(maps=[work.task])
    assert work.begun.wait(LONG)
    work.turnstile.release(50)
    answers.close()
    assert not workers()
    answers.ask(maps=[Work("more").task])
    assert answers.wait(LONG) and answers.get("more") is None


def test_forgotten_answers_leave_no_worker():
    watcher, work = Watcher(), Work(words=50, free=False)
    answers = Answers(listener=watcher.hear, rested=watcher.rest)
    answers.ask(maps=[work.task])
    assert work.begun.wait(LONG)
    ended(answers)
    worker, gone = answers._thread, weakref.ref(answers)
    assert worker
    del answers
    assert collected(gone)
    work.turnstile.release(50)
    worker.join(LONG)
    assert not worker.is_alive() and not work.said.acquire(blocking=False)


def test_the_listener_is_held_weakly(make):
    watcher = Watcher()
    answers = Answers(listener=watcher.hear, rested=watcher.rest)
    gone = weakref.ref(watcher)
    del watcher
    assert gone() is None
    answers.ask(maps=[Work().task])
    assert answers.wait(LONG) and answers.get("map") == "MAP"


def test_a_process_ends_cleanly_while_it_works():
    code = """
import torch
from torch import nn
from nbvis.engine import attribute
from nbvis.sessions import Answers, Task
class Listener:
    def hear(self, header): pass
    def rest(self): pass
listener = torch.listener = Listener()
network, images = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(3600, 5)), torch.rand(1, 3, 32, 32)
run = lambda tell, known: attribute(network, images, 0, method="smoothgrad", samples=10**6, progress=tell)
answers = torch.kept = Answers(listener=listener.hear, rested=listener.rest)
answers.ask(maps=[Task("map", "", run)])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stderr) == (0, "")
