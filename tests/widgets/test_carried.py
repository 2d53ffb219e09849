"""A saved picture carries how it was made, and a canvas goes on from it."""

import json
import re

import pytest
import torch
from PIL import Image, PngImagePlugin

from nbvis import DreamCanvas
from nbvis.engine import channel, custom, logit
from nbvis.sessions import picture

LONG = 60.0


@pytest.fixture
def opened(network):
    found = []

    def opened(path, network=network, **options):
        found.append(DreamCanvas.open(path, network, **options))
        assert found[-1].wait(LONG)
        return found[-1]

    yield opened
    for canvas in found:
        canvas.close()


def saved(canvas, path):
    assert canvas.play() is None and canvas.wait(LONG)
    canvas.save(path)
    return path


def test_a_canvas_goes_on_from_a_saved_picture_with_all_that_made_it(make, network, image, opened, tmp_path):
    mask = torch.rand(32, 48)
    objective = 2 * channel("0", 1).within(mask) - 0.25 * logit(3)
    canvas = make(network, image, objective, lr=0.2, octaves=1, rotation=5, seed=4)
    again = opened(saved(canvas, tmp_path / "dream.png"))
    assert (again.lr, again.octaves, again.rotation, again.seed, again.steps) == (0.2, 1, 5, 4, 2)
    assert again.formula == canvas.formula and again.weights == [2.0, -0.25]
    assert torch.equal(again._fits.terms[0].mask, mask) and again._fits.terms[1].mask is None
    assert picture(again.result).tobytes() == picture(canvas.result).tobytes() and again.notes == ""
    assert again.play() is None and again.wait(LONG) and again.error == ""
    other = opened(tmp_path / "dream.png", lr=0.01)
    assert other.lr == 0.01


def test_a_visualisation_goes_on_as_one(make, network, image, opened, tmp_path):
    canvas = make(network, image, logit(1), mode="visualise", side=20, updates=2, parameter="pixels")
    again = opened(saved(canvas, tmp_path / "class.png"))
    assert (again.mode, again.side, again.updates, again.parameter) == ("visualise", 20, 2, "pixels")


def test_the_picture_carries_its_recipe_where_any_reader_finds_it(make, tmp_path):
    canvas = make()
    with Image.open(saved(canvas, tmp_path / "dream.png")) as found:
        assert json.loads(found.info["nbvis"])["recipe"] == canvas.recipe()
        assert found.convert("RGB").tobytes() == picture(canvas.result).tobytes()


def test_a_picture_asks_for_its_network_by_name(make, network, image, tmp_path):
    saved(make(network, image), tmp_path / "dream.png")
    expected = "dream.png was made with the network 'Sequential': give it, as DreamCanvas.open('dream.png', network)"
    with pytest.raises(ValueError, match=re.escape(expected)):
        DreamCanvas.open(tmp_path / "dream.png")


def test_a_term_of_ones_own_is_left_out_and_that_is_said(make, network, image, opened, tmp_path):
    canvas = make(network, image, custom(lambda found: found.mean((1, 2, 3)), "0") + channel("2", 1))
    again = opened(saved(canvas, tmp_path / "dream.png"))
    assert again.expression == "channel('2', 1)" and "One term of its objective is left out" in again.notes


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "carries no recipe: it is opened as any picture"),
        ("no JSON", "its recipe cannot be read"),
        (json.dumps({"version": 9}), "its recipe is of version 9, and this is nbvis's version 1"),
        (json.dumps({"version": 1}), "its recipe cannot be read"),
        (
            json.dumps({"version": 1, "network": "a", "settings": {}, "terms": [{"text": "import os"}]}),
            "cannot be read",
        ),
    ],
)
def test_what_carries_nothing_that_can_be_read_is_opened_as_any_picture(image, opened, tmp_path, text, said):
    info = PngImagePlugin.PngInfo()
    if text is not None:
        info.add_itxt("nbvis", text)
    picture(image).save(tmp_path / "other.png", pnginfo=info)
    canvas = opened(tmp_path / "other.png")
    assert said in canvas.notes and picture(canvas.result).tobytes() == picture(image).tobytes()


def test_what_is_no_picture_is_refused(network, tmp_path):
    (tmp_path / "text.png").write_text("nothing")
    with pytest.raises(ValueError, match=r"text\.png is no picture that can be read"):
        DreamCanvas.open(tmp_path / "text.png", network)
    with pytest.raises(FileNotFoundError):
        DreamCanvas.open(tmp_path / "none.png", network)


def test_a_visualisation_that_failed_says_that_it_is_grey(make, network, image):
    canvas = make(network, image, logit(1), mode="visualise", side=24, updates=2, rate=0.001)
    assert canvas.play() is None and canvas.wait(LONG) and "The picture is grey" in canvas.notes
    canvas.mode = "dream"
    assert canvas.play() is None and canvas.wait(LONG) and canvas.notes == ""
