"""The history of a DreamCanvas: points, undo, branches; what one goes back to is what it was, to the bit."""

import functools
import io

import pytest
import torch
from PIL import Image

from nbvis import DreamCanvas, engine
from nbvis.engine import activity, channel
from nbvis.widgets import history_words

LONG = 60.0


@pytest.fixture
def canvas(make):
    canvas = make(layer="0", steps=3, jitter=7, lr=0.2)
    assert canvas.wait(LONG)
    return canvas


def played(canvas):
    canvas.play()
    assert canvas.wait(LONG)
    return canvas.result


def stepped(canvas, steps=1):
    for _ in range(steps):
        canvas.step()
        assert canvas.wait(LONG)


def back(canvas, point):
    canvas.back(point)
    assert canvas.wait(LONG)


def undone(canvas, act="undo"):
    getattr(canvas, act)()
    assert canvas.wait(LONG)


def told(canvas):
    return [(point.label, point.step) for point in canvas.history]


def replayed(canvas, point, network, image):
    """The picture that a point's recipe makes."""
    made = {"network": network, "image": image}
    exec(point.recipe, made)
    return made["picture"]


def test_there_is_no_history_before_a_run_and_then_it_says_what_was_changed(canvas):
    assert canvas.history == []
    stepped(canvas)
    canvas.layer, canvas.jitter = "2", 2
    stepped(canvas)
    canvas.endless = True
    stepped(canvas)
    assert told(canvas) == [
        ("Start", 0), ("Went on", 1), ("Jitter 7 → 2, Layer 0 → 2", 2), ("Keep dreaming on", 3),
    ]  # fmt: skip
    assert [point.parent for point in canvas.history] == [None, 0, 1, 2]


def test_every_point_is_made_again_by_its_recipe(canvas, network, image):
    stepped(canvas, 2)
    canvas.objective = channel("2", 1) + activity("0")
    stepped(canvas)
    back(canvas, 1)
    canvas.lr = 0.4
    played(canvas)
    points = [point for point in canvas.history if point.step]
    assert len(points) == 4
    for point in points:
        assert torch.equal(replayed(canvas, point, network, image), point.image), point.label


MODES = {
    "dream": {},
    "endless": {"endless": True, "zoom": 1.1, "turn": 3},
    "noise": {"start": "noise"},
    "visualise": {"mode": "visualise", "side": 32, "updates": 6},
    "natural": {"mode": "visualise", "side": 32, "updates": 6, "parameter": "maco", "weight_noise": 0.1},
    "recipe": {"mode": "visualise", "side": 32, "preset": "yosinski 3"},
    "grid": {"mode": "grid", "tiles": 4, "tile": 32, "updates": 6},
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("room", [2**28, 0])
def test_a_run_that_goes_on_from_a_point_is_the_one_that_never_stopped(make, mode, room):
    canvas = make(**{"layer": "0", "steps": 3, "lr": 0.2} | MODES[mode])
    assert canvas.wait(LONG)
    stepped(canvas, 2)
    canvas.rate = canvas.lr = 0.1
    stepped(canvas, 1)
    there = canvas.result
    stepped(canvas, 2)
    whole = canvas.result
    canvas._session.points._room = room
    canvas._session.points.tidy()
    canvas.rate = canvas.lr = 0.3
    stepped(canvas)
    back(canvas, 3)
    assert torch.equal(canvas.result, there) and canvas.lr == 0.1
    assert canvas.notes == "" or "other settings" not in canvas.notes
    stepped(canvas, 2)
    assert torch.equal(canvas.result, whole)


def test_going_back_puts_every_control_back(canvas):
    stepped(canvas)
    before = {name: getattr(canvas, name) for name in ("formula", "weights", "octaves", "lr", "mode", "seed", "term")}
    canvas.add(channel("2", 3))
    canvas.weights = [1.0, 0.5]
    canvas.octaves, canvas.lr, canvas.seed, canvas.mode = 1, 0.3, 7, "visualise"
    stepped(canvas)
    back(canvas, 1)
    assert {name: getattr(canvas, name) for name in before} == before
    assert canvas._session.differing == set() and canvas.state == "paused"


def test_masks_come_back_too(canvas):
    stepped(canvas)
    mask = torch.zeros(32, 48)
    mask[:, :20] = 1
    canvas.set_mask(0, mask)
    stepped(canvas)
    whole = (stepped(canvas), canvas.result)[1]
    point = canvas.history[2]
    assert point.label == "Mask painted"
    back(canvas, 1)
    assert canvas.masks == [None]
    back(canvas, point)
    assert torch.equal(canvas.masks[0], mask) and canvas._session.differing == set()
    stepped(canvas)
    assert torch.equal(canvas.result, whole)


def test_undo_and_redo(canvas):
    stepped(canvas, 2)
    canvas.jitter = 2
    undone(canvas)
    assert canvas.jitter == 7 and told(canvas)[-1] == ("Jitter 7 → 2", 2)
    undone(canvas, "redo")
    assert canvas.jitter == 2
    undone(canvas, "redo")
    for _ in range(5):
        undone(canvas)
    assert canvas.state == "ready" and canvas._point == 0 and canvas.jitter == 7


def test_what_a_view_asks_comes_after_the_values_that_it_sent_before(canvas):
    stepped(canvas)
    canvas.set_state({"jitter": 2, "_history_wish": {"act": "undo", "point": -1, "number": 0.5}})
    assert canvas.wait(LONG) and canvas.jitter == 7
    canvas.set_state({"_history_wish": {"act": "back", "point": 0, "number": 0.6}})
    assert canvas.wait(LONG) and canvas.state == "ready"
    canvas.set_state({"_history_wish": {"act": "back", "point": 70, "number": 0.7}})
    assert "no point 70 in the history: there are 0, 1, 2" in canvas.error


def test_two_points_are_compared_by_what_was_set(canvas):
    stepped(canvas)
    canvas.jitter, canvas.lr = 2, 0.5
    stepped(canvas)
    assert canvas.compare(1, 2) == {"jitter": (7, 2), "lr": (0.2, 0.5)}
    with pytest.raises(ValueError, match="no point 9"):
        canvas.compare(1, 9)


def test_a_view_gets_small_pictures_and_whole_ones(canvas, heard):
    stepped(canvas)
    messages = heard(canvas)
    for kind in ("thumbnail", "point"):
        canvas._handle_custom_msg({"type": kind, "id": kind, "point": 1}, [])
    assert canvas.wait(LONG)
    found = {content["id"]: buffers[0] for content, buffers in messages if content["type"] == "reply"}
    assert Image.open(io.BytesIO(found["thumbnail"])).size == (34, 22)
    assert found["point"] == canvas._picture()


def test_another_picture_begins_another_history(canvas, image):
    stepped(canvas, 2)
    canvas.image = image.flip(3)
    assert canvas.wait(LONG) and canvas.history == [] and canvas._points == []
    stepped(canvas)
    assert [point.parent for point in canvas.history] == [None, canvas.history[0].id]


def test_the_words_of_the_records_are_those_of_the_points(canvas):
    stepped(canvas)
    canvas.channel = 3
    stepped(canvas)
    assert [(row["label"], row["place"], row["parent"]) for row in canvas._points] == [
        ("Start", "before the first step", None), ("Went on", "step 1", 0), ("Channel all → 3", "step 2", 1),
    ]  # fmt: skip
    assert canvas._point == 2 and not any(row["again"] for row in canvas._points)


def test_many_changes_are_counted(canvas):
    stepped(canvas)
    canvas.lr, canvas.jitter, canvas.rotation, canvas.seed = 0.1, 2, 5, 3
    stepped(canvas)
    assert told(canvas)[-1][0].endswith("and 2 more") and history_words.MOST == 2


def test_the_engine_goes_on_from_a_point(canvas, network, image):
    stepped(canvas, 2)
    kept = canvas._session.points.current.kept
    run = functools.partial(engine.dream, network, activity("0"), image)
    step = engine.last(run(after=kept, steps=3, octaves=2, jitter=7, lr=0.2))
    assert torch.equal(step.image, played(canvas)) and isinstance(canvas, DreamCanvas)
