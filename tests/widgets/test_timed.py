"""A DreamCanvas whose runs take a time: in every way to draw, told by its recipe, and by steps again afterwards."""

import pytest
import torch

from nbvis import DreamCanvas

LONG = 60.0
MODES = {
    "dream": {},
    "noise": {"start": "noise"},
    "visualise": {"mode": "visualise", "side": 24},
    "grid": {"mode": "grid", "tiles": 4, "tile": 32},
}


class Ticks:
    """A time that passes by what is done alone, so that a busy machine changes nothing."""

    now = 0.0

    def __call__(self):
        self.now += 0.002
        return self.now


@pytest.fixture
def make(make):
    def ticking(*given, **options):
        canvas = make(*given, **options)
        canvas._session._clock = Ticks()
        return canvas

    return ticking


def played(canvas):
    canvas.play()
    assert canvas.wait(LONG) and canvas.state == "finished", canvas.error
    return canvas.result


@pytest.mark.parametrize("mode", MODES)
def test_it_takes_the_steps_that_there_is_time_for_and_the_recipe_has_their_number(make, network, image, mode):
    canvas = make(layer="0", seconds=1, **MODES[mode])
    assert canvas.wait(LONG)
    result, past = played(canvas), canvas._session.past
    assert any("steps" in changed for _, changed in past.changes) and "seconds" not in canvas.recipe()
    assert past.last.index + 1 == past.last.total and canvas.notes == ""
    made = {"network": network, "image": image}
    exec(canvas.recipe(), made)
    assert torch.equal(made["picture"], result)


@pytest.mark.parametrize("mode", ["dream", "visualise"])
def test_by_steps_again_there_are_as_many_as_are_set(make, mode):
    canvas = make(layer="0", seconds=1, steps=5, updates=10, **MODES[mode])
    assert canvas.wait(LONG)
    played(canvas)
    canvas.seconds = None
    played(canvas)
    assert canvas._session.last.total == 10 and canvas._session.past.changes == []


def test_what_has_its_own_steps_goes_by_them(make):
    canvas = make(layer="0", seconds=1, steps=2, side=24)
    assert canvas.wait(LONG)
    canvas.endless = True
    canvas.step()
    assert canvas.wait(LONG) and canvas._session.options["seconds"] is None
    canvas.endless, canvas.mode, canvas.preset = False, "visualise", "yosinski 3"
    canvas.step()
    assert canvas.wait(LONG) and canvas._session.options["seconds"] is None
    canvas.preset = ""
    canvas.step()
    assert canvas.wait(LONG) and canvas._session.options["seconds"] == 1


def test_a_time_that_is_too_short_is_said(make, monkeypatch):
    canvas = make(layer="0", seconds=1, octaves=2)
    assert canvas.wait(LONG)
    monkeypatch.setattr(type(canvas._session), "elapsed", 4.2)
    played(canvas)
    assert "steps took 4.2 s instead of 1 s: each of 2 octaves takes at least two." in canvas.notes


@pytest.mark.parametrize("seconds", [0.5, 4000, -1, "long", float("nan")])
def test_a_time_that_cannot_be_is_refused(make, seconds):
    canvas = make(layer="0")
    with pytest.raises(ValueError, match=r"Seconds \(seconds\) is a number from 1 to 3600, not"):
        canvas.seconds = seconds
    assert canvas.seconds is None


def test_a_saved_picture_goes_on_with_its_time(make, network, tmp_path):
    canvas = make(layer="0", seconds=1)
    assert canvas.wait(LONG)
    played(canvas)
    canvas.save(tmp_path / "dream.png")
    opened = DreamCanvas.open(tmp_path / "dream.png", network)
    assert opened.seconds == 1
    opened.close()


def test_a_point_of_the_history_keeps_its_time(make):
    canvas = make(layer="0", steps=2)
    assert canvas.wait(LONG)
    played(canvas)
    canvas.seconds = 1
    played(canvas)
    whole, [*_, end] = canvas.result, canvas.history
    assert "Seconds none → 1" in [point.label for point in canvas.history][-1]
    canvas.back(1)
    assert canvas.wait(LONG) and canvas.seconds is None
    assert canvas._session.differing == set()
    canvas.back(end)
    assert canvas.wait(LONG) and canvas.seconds == 1 and torch.equal(canvas.result, whole)
    assert canvas._session.differing == set() and canvas.notes == ""
