"""Masks that are painted on a dream: from a view and from Python, while it runs and before, and what cannot be one."""

import gc
import re
import threading

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from nbvis.engine import activity, channel

LONG = 60.0
HEIGHT, WIDTH = 32, 48


def played(canvas):
    canvas.play()
    assert canvas.wait(LONG)
    return canvas


def stepped(canvas):
    canvas.step()
    assert canvas.wait(LONG)
    return canvas.result


@pytest.fixture
def view(heard):
    """Sends a message as a view does, and gives the reply: its sentence or text, and its bytes."""

    def view(widget, kind, *buffers, **more):
        messages = heard(widget)
        content = {"type": kind, "id": "1", "term": 0, "height": HEIGHT, "width": WIDTH} | more
        widget._handle_custom_msg(content, [memoryview(each) for each in buffers])
        (found,) = [(content, buffers) for content, buffers in messages if content["type"] == "reply"]
        reply, answered = found
        return reply.get("error", reply.get("text", "")), answered[0] if answered else b""

    return view


def paint(left=10, right=30):
    """Paint between two columns, soft at its edges."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[:, left:right], mask[:, left], mask[:, right - 1] = 255, 100, 1
    return mask


def touched(one, other):
    """Where two pictures differ in any bit."""
    return (one != other).any(1)[0].numpy()


@pytest.mark.parametrize("octaves", [1, 2])
def test_what_no_paint_touches_stays_equal_to_the_bit(make, view, image, octaves):
    canvas = make(octaves=octaves, steps=4)
    view(canvas, "mask", paint().tobytes(), view="a")
    played(canvas)
    changed = touched(canvas.result, image)
    assert not changed[paint() == 0].any() and changed[paint() == 255].mean() > 0.9


def test_paint_that_comes_mid_run_acts_at_the_next_step(make, view):
    canvas = make(octaves=1, steps=20)
    everywhere = stepped(canvas)
    view(canvas, "mask", paint().tobytes(), view="a")
    confined = stepped(canvas)
    changed = touched(everywhere, confined)
    assert not changed[paint() == 0].any() and changed[paint() == 255].mean() > 0.9
    assert canvas._session.last.index == 1 and [index for index, _ in canvas._session.changes] == [1]
    view(canvas, "mask", view="a")
    assert touched(confined, stepped(canvas))[paint() == 0].mean() > 0.9


@pytest.mark.parametrize("buffers", [(), (bytes(HEIGHT * WIDTH),)])
def test_without_paint_the_whole_picture_may_change(make, view, buffers):
    canvas = make()
    free = canvas.expression
    view(canvas, "mask", paint().tobytes(), view="a")
    assert canvas.masks[0] is not None and canvas._terms[0]["masked"] and canvas.expression == f"{free}.within(mask)"
    view(canvas, "mask", *buffers, view="a")
    assert canvas.masks == [None] and not canvas._terms[0]["masked"] and canvas.expression == free


def test_a_mask_comes_back_as_it_was_painted_or_given(make, view):
    canvas = make()
    view(canvas, "mask", paint().tobytes(), view="a")
    (mask,) = canvas.masks
    assert torch.equal(mask, torch.from_numpy(paint()).float() / 255)
    assert view(canvas, "paint") == ("", paint().tobytes())
    given = torch.rand(HEIGHT, WIDTH)
    canvas.masks = [given]
    assert torch.equal(canvas.masks[0], given)
    canvas.masks = canvas.masks
    assert torch.equal(canvas.masks[0], given) and canvas.notes == ""
    canvas.masks = None
    assert canvas.masks == [None] and view(canvas, "paint") == ("", b"")


def test_other_views_are_told_what_to_ask_for_and_the_one_that_paints_that_it_was_itself(make, view):
    canvas = make()
    canvas.objective = channel("0", 1) + activity("2")
    (first, second), before = canvas._paint, canvas._strokes
    assert first["by"] == second["by"] == ""
    assert view(canvas, "mask", paint().tobytes(), view="a", term=1) == (str(before + 1), b"")
    assert canvas._paint == [first, {"version": before + 1, "by": "a"}]
    view(canvas, "mask", paint(0, 9).tobytes(), view="b", term=1)
    assert canvas._paint == [first, {"version": before + 2, "by": "b"}]
    canvas.set_mask(1, None)
    assert canvas._paint == [first, {"version": before + 3, "by": ""}]
    canvas.weights = [1.0, 0.5]
    assert canvas._strokes == before + 3
    canvas.remove(0)
    assert len(canvas._paint) == 1


def picture_of(array):
    return Image.fromarray(array)


def file_of(array, folder):
    Image.fromarray(array).save(folder / "mask.png")
    return folder / "mask.png"


@pytest.mark.parametrize(
    "given",
    [
        lambda bytes_, _: torch.from_numpy(bytes_).float() / 255,
        lambda bytes_, _: torch.from_numpy(bytes_).double() / 255,
        lambda bytes_, _: bytes_ / 255,
        lambda bytes_, _: bytes_,
        lambda bytes_, _: bytes_ > 0,
        lambda bytes_, _: torch.from_numpy(bytes_ > 0),
        lambda bytes_, _: picture_of(bytes_),
        lambda bytes_, _: picture_of(bytes_).convert("RGB"),
        file_of,
        lambda bytes_, folder: str(file_of(bytes_, folder)),
    ],
)
def test_a_mask_is_whatever_a_grey_picture_can_be(make, tmp_path, given):
    canvas = make()
    bytes_ = np.where(paint() == 255, np.uint8(255), np.uint8(0))
    canvas.set_mask(0, given(bytes_, tmp_path))
    (mask,) = canvas.masks
    assert mask.shape == (HEIGHT, WIDTH) and torch.equal(mask.float(), torch.from_numpy(bytes_).float() / 255)


HALF = torch.full((HEIGHT, WIDTH), 0.5)


@pytest.mark.parametrize(
    ("term", "mask", "error", "message"),
    [
        (0, torch.zeros(HEIGHT, WIDTH), ValueError, "the mask of term 0: this mask is 0 everywhere"),
        (0, HALF * 4, ValueError, "a mask lies in [0, 1]; this one goes from 2 to 2"),
        (0, -HALF, ValueError, "goes from -0.5 to -0.5"),
        (0, HALF * torch.nan, ValueError, "goes from nan"),
        (0, torch.rand(2, HEIGHT, WIDTH), ValueError, "a mask is (height, width), not (2, 32, 48)"),
        (0, np.zeros((HEIGHT, WIDTH, 3)), ValueError, "the mask of term 0 is (height, width), not (32, 48, 3)"),
        (0, np.full((HEIGHT, WIDTH), 255), TypeError, "give the mask of term 0 / 255"),
        (0, 3, TypeError, "the mask of term 0 is a tensor or array (height, width) in [0, 1], a PIL image or a path"),
        (0, "nowhere.png", FileNotFoundError, "there is no file 'nowhere.png'"),
        (1, HALF, ValueError, "no term 1: there are 1, counted from 0"),
        (True, HALF, ValueError, "no term True"),
    ],
)
def test_what_cannot_be_a_mask_is_refused_and_nothing_changes(make, term, mask, error, message):
    canvas = make()
    canvas.set_mask(0, HALF)
    before, told = canvas.expression, canvas._paint
    with pytest.raises(error, match=re.escape(message)):
        canvas.set_mask(term, mask)
    assert torch.equal(canvas.masks[0], HALF) and (canvas.expression, canvas._paint) == (before, told)


@pytest.mark.parametrize("masks", [[], [None, None], HALF, "mask.png"])
def test_there_is_one_mask_for_each_term(make, masks):
    canvas = make()
    with pytest.raises(ValueError, match="for each term of the objective, 1 here, not"):
        canvas.masks = masks


def test_a_view_that_sends_what_cannot_be_gets_a_sentence(make, view):
    canvas = make()
    assert view(canvas, "mask", bytes(7), view="a")[0].endswith("a mask of 32 × 48 pixels has as many bytes, not 7")
    assert "no term 4" in view(canvas, "mask", paint().tobytes(), view="a", term=4)[0]
    assert canvas.masks == [None]


def test_a_mask_of_another_size_is_resized_and_that_is_said(make, image):
    canvas = make()
    small = torch.zeros(8, 12)
    small[:, :6] = 1
    canvas.set_mask(0, small)
    (mask,) = canvas.masks
    assert (
        mask.shape == (HEIGHT, WIDTH) and torch.equal(mask[:, :20], torch.ones(HEIGHT, 20)) and not mask[:, 30:].any()
    )
    assert canvas.notes == "The mask has 8 × 12 pixels and is resized to the picture's 32 × 48."
    assert not touched(played(canvas).result, image)[mask == 0].any()
    canvas.set_mask(0, mask)
    assert "resized" not in canvas.notes


def test_paint_stays_on_a_picture_of_another_size_and_comes_back_unblurred(make, view, image):
    canvas = make(octaves=1)
    view(canvas, "mask", paint().tobytes(), view="a")
    other = torch.rand(1, 3, 64, 40)
    canvas.image = other
    assert canvas.wait(LONG)
    assert canvas.masks[0].shape == (64, 40) and "has 32 × 48 pixels and is resized" in canvas.notes
    changed = touched(played(canvas).result, other)
    assert changed.any() and not changed[canvas.masks[0].numpy() == 0].any()
    canvas.image = image
    assert canvas.wait(LONG) and canvas.notes == ""
    assert torch.equal(canvas.masks[0], torch.from_numpy(paint()).float() / 255)


def test_large_pictures_may_be_painted_coarser(make, view):
    canvas = make()
    view(canvas, "mask", paint()[::2, ::2].tobytes(), view="a", height=16, width=24)
    assert canvas.masks[0].shape == (HEIGHT, WIDTH) and canvas.notes == ""


def test_a_mask_that_the_objective_came_with_is_seen_and_painted_over(make, view, network, image):
    left = torch.zeros(HEIGHT, WIDTH)
    left[:, :24] = 1
    canvas = make(network, image, activity("2").within(left), octaves=1)
    assert torch.equal(canvas.masks[0], left)
    assert view(canvas, "paint") == ("", (left.numpy() * 255).astype(np.uint8).tobytes())
    view(canvas, "mask", paint(30, 40).tobytes(), view="a")
    changed = touched(played(canvas).result, image)
    assert changed[:, 31:39].all() and not changed[:, :30].any()


def test_each_term_grows_in_its_own_paint(make, view, network, image):
    canvas = make(network, image, channel("0", 1) + channel("2", 3), octaves=1)
    view(canvas, "mask", paint(0, 10).tobytes(), view="a")
    assert touched(played(canvas).result, image)[:, 20:].any()  # of the other, which has none
    view(canvas, "mask", paint(30, 40).tobytes(), view="a", term=1)
    assert canvas.wait(LONG)
    assert canvas.expression == "channel('0', 1).within(mask) + channel('2', 3).within(mask_2)"
    changed = touched(played(canvas).result, image)
    assert changed[:, 1:9].all() and changed[:, 31:39].all() and not changed[:, 10:30].any()
    alone = make(network, image, channel("0", 1).within(canvas.masks[0]), octaves=1)
    assert torch.equal(played(alone).result[..., :10], canvas.result[..., :10])


def test_paint_is_no_part_of_a_visualisation_and_comes_back_with_the_dream(make, view):
    canvas = make(octaves=1, side=24, updates=2)
    view(canvas, "mask", paint().tobytes(), view="a")
    canvas.mode = "visualise"
    assert played(canvas).error == "" and "within" not in canvas.recipe()
    canvas.mode = "dream"
    assert torch.equal(canvas.masks[0], torch.from_numpy(paint()).float() / 255)


def test_paint_stays_when_another_layer_is_dreamt_of(make, view, image):
    canvas = make(layer="1")
    view(canvas, "mask", paint().tobytes(), view="a")
    canvas.set_state({"layer": "2"})
    assert canvas.expression == "activity('2').within(mask)"
    assert not touched(played(canvas).result, image)[paint() == 0].any()


class Gate(nn.Module):
    def __init__(self):
        super().__init__()
        self.open = threading.Event()

    def forward(self, x):
        assert self.open.wait(LONG)
        return x


def assign(canvas, mask):
    canvas.masks = [mask]


@pytest.mark.parametrize("way", [assign, lambda canvas, mask: canvas.set_mask(0, mask)])
def test_python_waits_for_a_slow_network_and_a_view_is_told_that_it_is_looked_at(
    make, view, network, image, way, hurried
):
    gate = Gate()
    canvas = make(nn.Sequential(gate, *network), image)
    assert "still being looked at" in view(canvas, "mask", paint().tobytes(), view="a")[0]
    threading.Timer(0.05, gate.open.set).start()
    way(canvas, torch.from_numpy(paint()).float() / 255)
    assert canvas.wait(LONG) and canvas.expression.endswith(".within(mask)")
    assert not touched(played(canvas).result, image)[paint() == 0].any()


def test_the_same_mask_is_no_change_of_the_run(make, view):
    canvas = make(octaves=1, steps=20)
    view(canvas, "mask", paint().tobytes(), view="a")
    stepped(canvas)
    canvas.lr = 0.3
    stepped(canvas)
    assert canvas._session.changes == [(1, {"lr": 0.3})] and canvas.notes == ""


def painted_run(canvas, view, count):
    """A run that takes another mask with each step."""
    stepped(canvas)
    for right in range(12, 12 + count):
        view(canvas, "mask", paint(10, right).tobytes(), view="a")
        stepped(canvas)
    return canvas


@pytest.mark.parametrize("count", [1, 2, 9])
def test_the_recipe_paints_the_same_masks_at_the_same_steps(make, view, network, image, count):
    canvas = painted_run(make(octaves=1, steps=30), view, count)
    source, masks = canvas.recipe(), canvas.recipe_masks
    assert len(masks) == count and torch.equal(list(masks.values())[-1], canvas.masks[0])
    assert "of its objectives, which it has in .recipe_masks." in source.partition("\n")[0]
    scope = {"network": network, "image": image, **masks}
    exec(source, scope)
    assert torch.equal(scope["picture"], canvas.result)
    for twice in [] if count == 1 else [{name: masks["mask"] for name in masks}]:
        with pytest.raises(AssertionError, match=r"two masks|9 masks"):
            exec(source, {"network": network, "image": image, **twice})


def alive():
    gc.collect()
    return sum(type(each) is torch.Tensor and each.shape == (HEIGHT, WIDTH) for each in gc.get_objects())


def test_a_run_keeps_the_masks_that_it_took_packed(make, view):
    canvas, before = make(octaves=1, steps=60), alive()
    painted_run(canvas, view, 30)
    assert len(canvas._session.changes) == 30 and alive() - before < 12
