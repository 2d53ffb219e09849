"""A run that is to take a time: how many steps are planned, and that they are what it takes."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from nbvis.engine import Fourier, activity, ascend, dream, keep_dreaming
from nbvis.sessions import BranchingSession, Session
from nbvis.sessions.budget import LEAST, Budget

LONG = 60.0
NETWORK = nn.Conv2d(1, 1, 1)
IMAGE = torch.rand(1, 1, 16, 16, generator=torch.Generator().manual_seed(0))
SETTINGS = {"octaves": 2, "octave_scale": 1.4, "jitter": 0}


class Clock:
    """A time that passes by what the steps of a run are said to cost, the first of each octave `warm` more."""

    def __init__(self, costs, warm=0.0):
        self.now, self.costs, self.warm = 0.0, costs, warm

    def __call__(self):
        return self.now

    def passes(self, run):
        """The run, each step of which takes its time."""
        changes, before = None, 0
        while True:
            try:
                step = run.send(changes)
            except StopIteration:
                return
            octave = getattr(step, "octave", 1)
            self.now += self.costs[octave - 1] + self.warm * (octave != before)
            before, changes = octave, (yield step)


def driven(seconds, costs, *, warm=0.0, first=30, scale=1.4, budget=None):
    """(what a dream with a budget took, the number of its steps, of its changed plans)."""
    clock, budget, plans = Clock(costs, warm), budget or Budget(), 0
    options = {"steps": first, "octaves": len(costs), "octave_scale": scale, "jitter": 0}
    run = clock.passes(dream(NETWORK, activity(""), IMAGE, **options))
    step = next(run)
    while True:
        steps = budget.steps(step, clock.now, options | {"seconds": seconds})
        if steps is not None:
            plans, options["steps"] = plans + 1, steps
        elif step.index + 1 == step.total:
            return clock.now, step.index + 1, plans
        step = run.send(None if steps is None else {"steps": steps})


@settings(max_examples=30, deadline=None)
@given(
    steps=st.floats(4, 20), octaves=st.integers(1, 4), growth=st.floats(1, 3), warm=st.floats(0, 3),
    first=st.integers(1, 60),
)  # fmt: skip
def test_a_run_takes_the_time_it_is_given(steps, octaves, growth, warm, first):
    costs = [growth**octave for octave in range(octaves)]
    seconds = steps * sum(costs) + warm * octaves
    took, *_ = driven(seconds, costs, warm=warm, first=first)
    # Of an octave as many steps may be too many as are taken before it is known what one costs there.
    assert seconds - costs[-1] <= took <= seconds + LEAST * sum(costs[1:]) + costs[-1] + warm * octaves


@pytest.mark.parametrize("seconds", [0.5, 3.0])
def test_without_enough_time_each_octave_has_its_least_steps(seconds):
    took, steps, _ = driven(seconds, [1.0, 2.0, 4.0])
    assert steps == 3 * LEAST and took == 14.0


def test_a_time_that_suits_the_plan_changes_it_hardly_ever():
    took, steps, plans = driven(30 * 7.0, [1.0, 2.0, 4.0], scale=2**0.5)
    assert (took, steps) == (210.0, 90) and plans <= 1


def test_a_long_run_is_not_planned_anew_at_each_step():
    took, steps, plans = driven(900.0, [1.0])
    assert steps == 900 and abs(took - 900) <= 1 and plans <= 3


def test_the_run_before_tells_what_the_octaves_cost():
    costs, budget = [1.0, 1.1, 1.2, 1.3], Budget()  # far from growing with the pixels
    spread = [driven(100.0, costs, budget=budget, scale=2.0)[2] for _ in range(2)]
    assert spread[1] <= spread[0]
    clock = Clock(costs)
    options = {"steps": 30, "octaves": 4, "octave_scale": 2.0, "jitter": 0}
    run = clock.passes(dream(NETWORK, activity(""), IMAGE, **options))
    planned = [budget.steps(next(run), clock.now, options | {"seconds": 100.0}) for _ in range(2)]
    assert planned[1] == 22  # 100 / 4.6, all octaves alike


def test_without_a_time_or_an_end_nothing_is_planned():
    step = next(dream(NETWORK, activity(""), IMAGE))
    rounds = next(keep_dreaming(NETWORK, activity(""), IMAGE))
    for each, options in ((step, {"steps": 10}), (step, {"steps": 10, "seconds": None}),
                          (rounds, {"steps": 10, "seconds": 5.0})):  # fmt: skip
        budget = Budget()
        assert [budget.steps(each, 1.0, options) for _ in range(3)] == [None] * 3


class Panel:
    """A session whose runs take a time that is said."""

    def __init__(self, kind=Session, **options):
        self.clock = Clock([1.0, 2.0])
        more = {"settings": self.asked} if kind is BranchingSession else {}
        self.session = kind(
            self.start, SETTINGS | {"steps": 30, "images": IMAGE, "lr": 0.1} | options, clock=self.clock,
            live=frozenset({"steps", "seconds", "lr"}), listener=self.hear, **more,
        )  # fmt: skip

    def asked(self):
        return {}

    def hear(self, frame):
        pass

    def start(self, options):
        names = (*SETTINGS, "steps", "lr")
        own = {name: options[name] for name in names} | {"after": options.get("after")}
        return self.clock.passes(dream(NETWORK, activity(""), options["images"], **own))

    def play(self):
        self.session.play()
        assert self.session.wait(LONG)
        assert self.session.state == "finished", self.session.error
        return self.session


def test_a_session_takes_its_time_and_says_how_many_steps_that_were():
    session = Panel(seconds=60.0).play()
    changes = [changed for _, changed in session.past.changes]
    assert changes and all(set(each) == {"steps"} for each in changes)
    assert abs(session._clock() - 60) <= 2 and session.last.index + 1 == session.last.total == 40
    assert session.differing == set()
    session.close()


def test_a_time_that_is_changed_on_the_way_holds_from_then_on():
    panel = Panel()
    for _ in range(3):
        panel.session.step()
        assert panel.session.wait(LONG)
    panel.session.change(seconds=30.0)
    panel.play()
    assert abs(panel.clock.now - 30) <= 2
    before = panel.clock.now
    panel.session.change(seconds=None, steps=4)
    panel.play()
    assert panel.clock.now - before == 4 * 3.0
    panel.session.close()


def test_what_was_planned_makes_the_picture_again():
    panel = Panel(seconds=20.0, lr=0.2)
    session = panel.play()
    origin, changes = session.origin, dict(session.past.changes)
    run = dream(NETWORK, activity(""), IMAGE, **{name: origin[name] for name in (*SETTINGS, "steps", "lr")})
    step = next(run)
    while step.index < session.last.index:
        step = run.send(changes.get(step.index + 1))
    assert torch.equal(step.image, session.image)
    session.close()


def test_points_are_made_by_whoever_changes_something_and_not_by_plans():
    panel = Panel(BranchingSession, seconds=40.0)
    session = panel.play()
    assert len(session.past.changes) >= 1 and [node.step for node in session.points] == [0, session.last.index + 1]
    end, whole = session.points.current, session.image
    session.points._room = 0
    session.points.tidy()
    session.change(lr=0.3)
    panel.play()
    session.back(end)
    assert session.wait(LONG)
    assert torch.equal(session.image, whole)
    session.close()


def test_an_ascent_takes_its_time_too():
    clock = Clock([1.0])
    options = {"steps": 4, "seconds": 25.0}
    budget, run = Budget(), clock.passes(ascend(NETWORK, activity(""), Fourier(16, 16, channels=1), steps=4))
    step = next(run)
    while True:
        steps = budget.steps(step, clock.now, options)
        if steps is None and step.index + 1 == step.total:
            break
        options |= {} if steps is None else {"steps": steps}
        step = run.send(None if steps is None else {"steps": steps})
    assert step.total == 25 and clock.now == 25.0
