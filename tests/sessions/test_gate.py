import pytest

from nbvis.sessions import Gate
from nbvis.sessions.gate import AFTERGLOW, FASTEST, FIRST, PATIENCE, SHARE, SILENCE, SLOWEST, STALE, UNHEARD


class Clock:
    """A clock that moves when it is told to."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now

    def passes(self, seconds):
        self.now += seconds


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def gate(clock):
    gate = Gate(clock)
    gate.join("a")
    return gate


def deliver(gate, clock, making=0.0, view="a"):
    """Sends a frame, which is drawn at once."""
    clock.passes(max(0.0, SLOWEST))
    assert gate.opens()
    gate.acknowledge(view, gate.sent())
    gate.charge(making)


def test_nothing_goes_out_without_a_view(clock):
    gate = Gate(clock)
    assert not gate.watched and not gate.opens() and not gate.opens(urgent=True)


def test_one_frame_in_flight(gate, clock):
    assert gate.opens()
    number = gate.sent()
    clock.passes(1.0)
    assert gate.in_flight() and not gate.opens() and not gate.opens(urgent=True)
    gate.acknowledge("a", number)
    assert not gate.in_flight() and gate.opens()


def test_ten_frames_a_second_to_begin_with(gate, clock):
    gate.acknowledge("a", gate.sent())
    clock.passes(0.9 * FIRST)
    assert not gate.opens()
    clock.passes(0.2 * FIRST)
    assert gate.opens()


def test_a_change_is_shown_without_waiting_for_its_turn(gate, clock):
    gate.acknowledge("a", gate.sent())
    clock.passes(1.1 * FASTEST)
    assert not gate.opens() and gate.opens(urgent=True)


def test_cheap_frames_come_thirty_times_a_second_at_most(gate, clock):
    for _ in range(40):
        deliver(gate, clock, making=1e-4)
    assert gate.interval == FASTEST


def test_making_takes_a_tenth_of_the_time(gate, clock):
    for _ in range(40):
        deliver(gate, clock, making=0.02)
    assert gate.interval == pytest.approx(0.02 / SHARE, rel=0.01)


def step(gate, clock, seconds):
    """A step of the run that takes so long."""
    clock.passes(seconds)
    gate.stepped(seconds)


def quiet(gate, clock, seconds=0.010):
    """Steps that no frame disturbs."""
    clock.passes(AFTERGLOW)
    for _ in range(20):
        step(gate, clock, seconds)


def test_slower_steps_during_delivery_are_charged(gate, clock):
    quiet(gate, clock)
    for _ in range(40):
        clock.passes(SLOWEST)
        gate.sent()
        for _ in range(5):
            step(gate, clock, 0.014)
        gate.acknowledge("a", gate.number)
        gate.charge(0.001)
    assert gate.interval == pytest.approx((0.001 + 5 * 0.004) / SHARE, rel=0.02)


def test_steps_while_a_browser_still_draws_are_charged(gate, clock):
    quiet(gate, clock)
    for _ in range(40):
        clock.passes(SLOWEST)
        gate.acknowledge("a", gate.sent())
        for _ in range(5):
            step(gate, clock, 0.014)
        gate.charge(0.001)
    assert gate.interval == pytest.approx((0.001 + 5 * 0.004) / SHARE, rel=0.02)


def test_a_frame_is_held_back_until_a_quiet_step_has_been_seen(gate, clock):
    gate.acknowledge("a", gate.sent())
    step(gate, clock, 0.9 * AFTERGLOW)
    step(gate, clock, 0.5 * AFTERGLOW)  # begins too early to be quiet
    assert not gate.opens() and gate.opens(urgent=True)
    step(gate, clock, 0.5 * AFTERGLOW)
    assert gate.opens()


def test_no_frame_is_held_back_for_long(gate, clock):
    gate.acknowledge("a", gate.sent())
    step(gate, clock, 1.1 * SLOWEST)
    assert gate.opens()


def test_a_quiet_step_is_looked_for_again_and_again(gate, clock):
    quiet(gate, clock)
    held = []
    for _ in range(3 * STALE):
        if gate.opens():
            gate.acknowledge("a", gate.sent())
        step(gate, clock, 0.8 * AFTERGLOW)
        held.append(clock.now - gate._sent_at > gate.interval and not gate.opens())
    assert sum(held) == 2


@pytest.mark.parametrize(("quick", "frame", "making"), [(0.045, 0.08, 0.008), (0.2, 0.08, 0.012), (0.01, 0.03, 0.002)])
def test_a_run_loses_a_tenth_at_most(gate, clock, quick, frame, making):
    """While a browser draws, and for as long again after it has said so, steps take half as long again."""
    answer_at, slow_until = float("inf"), float("-inf")
    for index in range(2200):
        if index == 200:  # by then it has found out
            begun = clock.now
        seconds = quick + 0.5 * min(max(slow_until - clock.now, 0.0), quick)
        over = clock.now + seconds
        if answer_at <= over:
            clock.now = answer_at
            gate.acknowledge("a", gate.number)
            answer_at = float("inf")
        clock.now = over
        gate.stepped(seconds)
        if gate.opens():
            gate.sent()
            clock.passes(making)
            gate.charge(making)
            answer_at, slow_until = clock.now + frame, clock.now + 2 * frame
    assert 1 - 2000 * quick / (clock.now - begun) <= 0.1


def test_steps_of_another_size_are_not_compared(gate, clock):
    quiet(gate, clock)
    gate.forget_speed()
    gate.sent()
    step(gate, clock, 0.100)
    gate.charge(0.0)
    assert gate.interval <= FIRST


def test_never_slower_than_once_a_second(gate, clock):
    for _ in range(40):
        deliver(gate, clock, making=5.0)
    assert gate.interval == SLOWEST


def test_both_views_are_waited_for(gate, clock):
    gate.join("b")
    number = gate.sent()
    clock.passes(1.0)
    gate.acknowledge("a", number)
    assert not gate.opens()
    gate.acknowledge("b", number)
    assert gate.opens()


def test_a_view_that_does_not_answer_is_not_waited_for(gate, clock):
    gate.join("b")
    number = gate.sent()
    gate.acknowledge("a", number)
    clock.passes(1.1 * PATIENCE)
    assert gate.opens()
    gate.acknowledge("a", gate.sent())
    clock.passes(1.1 * FIRST)
    assert gate.opens()


def test_a_frozen_page_gets_a_trickle_not_a_queue(gate, clock):
    gate.sent()
    clock.passes(1.1 * PATIENCE)
    gate.sent()
    clock.passes(0.9 * PATIENCE)
    assert not gate.opens()
    clock.passes(0.2 * PATIENCE)
    assert gate.opens()


def test_who_is_silent_for_long_is_gone(gate, clock):
    gate.sent()
    clock.passes(0.9 * SILENCE)
    assert not gate.leave_silent() and gate.watched
    clock.passes(0.2 * SILENCE)
    assert gate.leave_silent() and not gate.watched


def test_silence_counts_only_while_an_answer_would_be_heard(clock):
    listens = True
    gate = Gate(clock, lambda: listens)
    gate.join("a")
    gate.sent()
    listens = False
    clock.passes(2 * SILENCE)
    assert not gate.leave_silent() and gate.watched
    listens = True
    clock.passes(0.9 * SILENCE)
    assert not gate.leave_silent() and gate.watched
    clock.passes(0.2 * SILENCE)
    assert gate.leave_silent() and not gate.watched


def test_frames_go_on_while_no_answer_would_be_heard(clock):
    gate = Gate(clock, lambda: False)
    gate.join("a")
    gate.sent()
    clock.passes(1.1 * PATIENCE)
    gate.leave_silent()
    for _ in range(10):
        assert gate.opens()
        gate.sent()
        clock.passes(0.9 * UNHEARD)
        assert not gate.opens()
        clock.passes(0.2 * UNHEARD)


def test_a_view_that_is_expected_gets_frames_and_is_not_missed(clock):
    gate = Gate(clock)
    gate.expect()
    assert gate.opens() and not gate.watched
    gate.sent()
    clock.passes(2 * SILENCE)
    assert not gate.leave_silent() and gate.opens()
    gate.join("a")
    assert gate.leave("a") and not gate.opens()


def test_a_view_is_not_blamed_for_a_rest(gate, clock):
    gate.acknowledge("a", gate.sent())
    clock.passes(10 * SILENCE)
    gate.sent()
    assert not gate.leave_silent() and gate.in_flight()


def test_the_last_view_that_leaves_is_told(gate):
    gate.join("b")
    assert not gate.leave("a") and gate.leave("b") and not gate.leave("b")
