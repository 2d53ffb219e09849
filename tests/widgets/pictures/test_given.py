"""What an image may come in, and another image for a widget that lives, the same for all that have one."""

import re

import numpy as np
import pytest
import torch
from PIL import Image

from nbvis import DreamCanvas, DropoutInverter
from nbvis.engine import activity
from tests.widgets.pictures.panels import BYTES, KINDS, TENSOR, remade, shown

OTHER = np.random.default_rng(1).integers(0, 256, (20, 30, 3), dtype=np.uint8)


@KINDS
@pytest.mark.parametrize("way", ["array", "PIL", "path", "floats", "one"])
def test_whatever_an_image_comes_in_is_the_same_image(make, network, kind, way, tmp_path):
    Image.fromarray(BYTES).save(tmp_path / "picture.png")
    ways = {
        "array": BYTES,
        "PIL": Image.fromarray(BYTES),
        "path": tmp_path / "picture.png",
        "floats": BYTES.astype(np.float32) / 255,
        "one": TENSOR[0],
    }
    widget = make(kind, ways[way])
    assert torch.equal(widget.image, TENSOR)
    assert torch.equal(shown(widget), shown(make(kind, TENSOR)))
    assert torch.equal(remade(widget, network, ways[way]), shown(widget))


@KINDS
@pytest.mark.parametrize("size", ["same", "other"])
@pytest.mark.parametrize("before", ["ready", "finished"])
def test_another_image_takes_the_place_of_the_old_one(make, network, kind, size, before):
    widget = make(kind, TENSOR)
    if before == "finished":
        shown(widget)
    given = OTHER if size == "other" else 255 - BYTES
    widget.image = given
    fresh = make(kind, given)
    assert torch.equal(widget.image, fresh.image) and widget.subject == fresh.subject and widget.layers == fresh.layers
    if kind in (DreamCanvas, DropoutInverter):
        assert widget.state == "ready" and torch.equal(widget.result, fresh.image) and widget.size == fresh.size
        assert repr(widget) == repr(fresh)
    assert torch.equal(shown(widget), shown(fresh))
    assert torch.equal(remade(widget, network, given), shown(widget))


@pytest.mark.parametrize("kind", [DreamCanvas, DropoutInverter])
def test_a_run_that_goes_begins_again_from_another_image(make, kind):
    widget = make(kind, TENSOR, steps=200)
    widget.background = True
    widget.play()
    widget.image = OTHER
    assert torch.equal(shown(widget), shown(make(kind, OTHER, steps=200))) and widget.result.shape[2:] == (20, 30)


@KINDS
@pytest.mark.parametrize(
    "given, error, message",
    [
        (BYTES.transpose(2, 0, 1), ValueError, "give torch.from_numpy(image)[None]"),
        (torch.rand(2, 3, 20, 30), ValueError, "takes one image, not 2: give image[:1]"),
        (np.zeros((20, 30, 4), np.uint8), RuntimeError, "give as_images(image)[:, :3]"),
        ("nowhere.png", FileNotFoundError, "no file 'nowhere.png'"),
        (3, TypeError, "not int"),
    ],
)
def test_what_is_no_image_is_refused_and_the_old_one_stays(make, kind, given, error, message):
    with pytest.raises(error, match=re.escape(message)):
        make(kind, given)
    widget = make(kind, TENSOR)
    before = shown(widget)
    with pytest.raises((error, ValueError), match=re.escape(message)):
        widget.image = given
    assert torch.equal(widget.image, TENSOR) and torch.equal(shown(widget), before)
    assert widget.subject.endswith("24 × 36")


def test_a_dream_of_noise_can_be_given_a_photograph_and_lose_it_again(make):
    canvas = make(DreamCanvas, None)
    assert canvas.starts == ["noise"] and canvas.image is None
    canvas.image = BYTES
    assert (canvas.starts, canvas.start) == (["image", "noise"], "image") and torch.equal(canvas.result, TENSOR)
    canvas.image = None
    assert (canvas.starts, canvas.start) == (["noise"], "noise") and canvas.size == [224, 224]
    assert torch.equal(canvas.result, make(DreamCanvas, None).result)


def test_an_image_that_the_octaves_do_not_fit_is_refused_and_to_any_other_a_mask_is_fitted(make):
    canvas = make(DreamCanvas, TENSOR, objective=activity("1").within(torch.ones(24, 36)))
    canvas.image = OTHER
    assert "24 × 36 pixels and is resized to the picture's 20 × 30" in canvas.notes
    canvas.objective = activity("1").within(torch.ones(20, 30))
    canvas.octaves, canvas.octave_scale = 4, 2.0
    with pytest.raises(ValueError, match=r"4 octaves of scale 2.0 leave \(0, 0\) of 7 × 7 pixels"):
        canvas.image = OTHER[:7, :7]
    assert canvas.size == [20, 30]


@KINDS
@pytest.mark.parametrize(
    "name, message",
    [
        ("network", "has no 'network' to set; there are"),
        ("layr", "did you mean 'layer'"),
        ("results_", "to set"),
        ("Image", "did you mean 'image'"),
    ],
)
def test_an_attribute_that_nothing_would_come_of_is_refused(make, kind, name, message):
    widget = make(kind, TENSOR)
    with pytest.raises(AttributeError, match=f"{kind.__name__} .*{message}"):
        setattr(widget, name, 1)
    assert not hasattr(widget, name)
    with pytest.raises(AttributeError):
        widget.result = 1
    widget._own = 1


@pytest.mark.parametrize("kind", [DreamCanvas, DropoutInverter])
def test_a_setting_is_found_by_its_name_on_the_panel(make, kind):
    widget = make(kind, TENSOR)
    with pytest.raises(AttributeError, match=r"no 'learning_rate' to set; did you mean 'lr'"):
        widget.learning_rate = 1
    with pytest.raises(TypeError, match=r"no option 'learning_rate'; did you mean 'lr'"):
        make(kind, TENSOR, learning_rate=1)
