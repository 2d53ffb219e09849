"""A run with a history: points are remembered, one goes back to them, and what follows is the same to the bit."""

import threading
import time

import pytest
import torch
from torch import nn

from nbvis.engine import activity, channel, dream
from nbvis.sessions import BranchingSession
from nbvis.sessions import history as history_module

LONG = 60.0
IMAGE = torch.rand(1, 3, 24, 32, generator=torch.Generator().manual_seed(0))
OPTIONS = {"lr": 0.05, "jitter": 2, "steps": 4, "octaves": 2}


class Panel:
    """What is set where a session is driven; its turnstile can hold steps back."""

    def __init__(self, **options):
        torch.manual_seed(0)
        self.network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3))
        self.turnstile = threading.Semaphore(10**6)
        self.values = OPTIONS | {"objective": activity("0")} | options
        self.session = BranchingSession(
            self.start, self.values | {"images": IMAGE}, live=frozenset({"lr", "jitter", "steps", "objective"}),
            listener=self.hear, settings=self.settings,
        )  # fmt: skip

    def settings(self):
        return dict(self.values)

    def start(self, options):
        own = {name: options[name] for name in OPTIONS} | {"after": options.get("after")}
        return self.held(dream(self.network, options["objective"], options["images"], **own))

    def held(self, run):
        changes = None
        while True:
            assert self.turnstile.acquire(timeout=LONG)
            try:
                changes = yield run.send(changes)
            except StopIteration:
                return

    def hear(self, frame):
        pass

    def change(self, **options):
        self.values |= options
        self.session.change(**options)

    def play(self, steps=None):
        for _ in range(steps or 1):
            (self.session.step if steps else self.session.play)()
            assert self.session.wait(LONG)
        return self.session.image

    def back(self, node):
        self.session.back(node)
        self.values = dict(node.settings)
        assert self.session.wait(LONG)


@pytest.fixture
def make():
    made = []

    def make(**options):
        made.append(Panel(**options))
        return made[-1]

    yield make
    for panel in made:
        panel.session.close()


def until(holds):
    end = time.monotonic() + LONG
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


def steps(panel):
    return [(node.id, node.parent.id if node.parent else None, node.step) for node in panel.session.points]


def test_the_start_each_rest_and_the_end_are_points(make):
    panel = make()
    assert steps(panel) == []
    panel.play(3)
    panel.play()
    assert steps(panel) == [(0, None, 0), (1, 0, 1), (2, 1, 2), (3, 2, 3), (4, 3, 8)]
    assert panel.session.points.current.id == 4 and panel.session.state == "finished"
    assert all(node.thumbnail[:2] == b"\xff\xd8" for node in panel.session.points)


@pytest.mark.parametrize("step", [1, 3, 4, 6])
def test_what_is_gone_on_with_from_a_point_is_the_run_that_never_stopped(make, step):
    panel = make()
    panel.play(step)
    point = panel.session.points.current
    whole = panel.play()
    panel.back(point)
    assert (panel.session.state, panel.session.last.index + 1) == ("paused", step)
    assert torch.equal(panel.session.image, point.kept.image)
    assert torch.equal(panel.play(), whole) and panel.session.state == "finished"
    assert len(panel.session.points) == step + 2  # the same end is the same point


def test_what_is_changed_at_a_point_makes_a_branch_and_nothing_is_lost(make):
    panel = make()
    panel.play(3)
    point = panel.session.points.current
    whole = panel.play()
    end = panel.session.points.current
    panel.back(point)
    panel.change(objective=channel("2", 1))
    branch = panel.play()
    assert not torch.equal(branch, whole)
    tip = panel.session.points.current
    assert end.parent is point and tip.parent is point and tip is not end
    panel.back(end)
    assert torch.equal(panel.session.image, whole)
    panel.back(tip)
    assert torch.equal(panel.session.image, branch)
    assert [index for index, _ in panel.session.past.changes] == [3]


def test_a_point_that_there_is_no_room_for_is_run_to_again(make, monkeypatch):
    panel = make()
    panel.play(2)
    panel.change(lr=0.2)
    panel.play(3)
    point = panel.session.points.current
    there, whole = panel.session.image, panel.play()
    panel.session.points._room = 0
    panel.session.points.tidy()
    assert point.kept is None and panel.session.points.current.kept is not None
    panel.back(point)
    assert panel.session.state == "paused" and torch.equal(panel.session.image, there)
    assert panel.session.points.current is point and point.kept is not None
    assert torch.equal(panel.play(), whole)


def test_the_points_that_are_left_are_those_made_last(make, monkeypatch):
    monkeypatch.setattr(history_module, "MOST", 3)
    panel = make()
    panel.session.points._most = 3
    panel.play(5)
    assert [node.step for node in panel.session.points] == [3, 4, 5]
    assert [node.parent and node.parent.step for node in panel.session.points] == [None, 3, 4]


def test_the_start_can_be_gone_back_to(make):
    panel = make()
    whole = panel.play()
    panel.back(panel.session.points.get(0))
    assert panel.session.state == "ready" and torch.equal(panel.session.image, IMAGE)
    assert torch.equal(panel.play(), whole)


def test_whoever_goes_back_while_it_runs_finds_where_it_was(make):
    panel = make()
    panel.play(1)
    first = panel.session.points.current
    panel.turnstile = threading.Semaphore(0)
    panel.session.play()
    panel.turnstile.release(2)
    until(lambda: panel.session.last.index == 2)
    panel.session.back(first)
    panel.turnstile.release(1)  # the one that was being taken
    assert panel.session.wait(LONG)
    gone = list(panel.session.points)[-1]
    assert gone.parent is first and gone.step == gone.kept.index + 1 >= 3
    assert panel.session.points.current is first and panel.session.last is first.kept


def test_undo_and_redo_walk_the_branch(make):
    panel = make()
    panel.play(2)
    before = panel.session.before()
    assert before.step == 1
    panel.back(before)
    after = panel.session.after()
    assert after.step == 2
    panel.back(after)
    assert panel.session.after() is None
    panel.back(panel.session.points.get(0))
    assert panel.session.before() is None


def test_undo_takes_a_change_back_that_no_step_was_taken_with(make):
    panel = make()
    panel.play(2)
    here = panel.session.points.current
    panel.change(jitter=0)
    before = panel.session.before()
    assert before is here
    panel.back(before)
    assert panel.values["jitter"] == 2 and panel.session.differing == set()
    changed = panel.session.after()
    assert changed.settings["jitter"] == 0 and changed.step == 2 and changed.kept is here.kept


def test_a_drag_is_one_change_however_long_its_steps_take(make):
    panel = make(steps=40)
    panel.play(2)
    panel.turnstile = threading.Semaphore(0)
    panel.session._clock = clock = lambda: clock.now
    clock.now = 0.0
    panel.session.play()
    for at, lr in enumerate((0.1, 0.2, 0.3)):
        panel.change(lr=lr)
        panel.turnstile.release(1)
        until(lambda at=at: panel.session.last.index >= 2 + at)
        clock.now += 0.9
    panel.change(lr=0.4)  # which nothing was done with yet
    before = panel.session.before()
    panel.session.back(before)
    panel.values = dict(before.settings)
    panel.turnstile.release(1)
    assert panel.session.wait(LONG)
    assert before.settings["lr"] == 0.05 and before.step in (2, 3)
    after = panel.session.after()
    assert after.settings["lr"] == 0.4 and after.step >= 4


def test_another_picture_begins_another_history(make):
    panel = make()
    panel.play(2)
    panel.session.renew(images=IMAGE.flip(3))
    assert panel.session.wait(LONG) and len(panel.session.points) == 0
    panel.play(1)
    assert steps(panel)[0][1:] == (None, 0)


def test_no_point_is_remembered_by_a_step(make):
    panel = make()
    panel.play()
    assert [node.step for node in panel.session.points] == [0, 8]


def test_an_unknown_point_is_named(make):
    panel = make()
    panel.play(1)
    with pytest.raises(ValueError, match="no point 7 in the history: there are 0, 1"):
        panel.session.points.get(7)
