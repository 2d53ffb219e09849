"""A large picture is worked on at a smaller size, which is named with its cost, and can be changed."""

import pytest
import torch
from torch import nn

from nbvis import DreamCanvas, DropoutInverter, SaliencyView
from nbvis.widgets.given import LARGE, WORKING, given_image

LONG = 120.0
ALL = [DreamCanvas, DropoutInverter, SaliencyView]
OPTIONS = {DreamCanvas: {"steps": 2, "octaves": 2}, DropoutInverter: {"steps": 2}, SaliencyView: {}}


@pytest.fixture
def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, 4), nn.ReLU(), nn.Dropout(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 4)
    )


@pytest.fixture
def make(network):
    made = []

    def make(kind, image, **options):
        made.append(kind(network, image, **OPTIONS[kind], **options))
        assert made[-1].wait(LONG)
        return made[-1]

    yield make
    for widget in made:
        widget.close()


@pytest.fixture
def large():
    return torch.rand(1, 3, 1200, 1800, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def small():
    return torch.rand(1, 3, 60, 90, generator=torch.Generator().manual_seed(0))


def result(widget):
    if isinstance(widget, SaliencyView):
        return widget.result.map
    widget.play()
    assert widget.wait(LONG) and widget.state == "finished"
    return widget.result


@pytest.mark.parametrize("kind", ALL)
def test_a_large_picture_is_worked_on_at_a_smaller_size_and_says_so(make, kind, large):
    widget = make(kind, large)
    assert widget.working_size == WORKING and result(widget).shape == (1, 3, 512, 768)
    assert widget.image is large or torch.equal(widget.image, large)
    assert "Worked on at 512 × 768 of 1,200 × 1,800 pixels" in widget.notes and "5.5 times the time" in widget.notes
    assert {"longest": 768, "text": "512 × 768 · now"} in widget._sizes
    assert widget._sizes[-1] == {"longest": None, "text": "1,200 × 1,800 · 5.5 times the time and memory"}


@pytest.mark.parametrize("kind", ALL)
def test_a_small_picture_is_worked_on_as_it_is(make, kind, small):
    widget = make(kind, small)
    assert widget.working_size is None and widget._sizes == [] and "Worked on" not in widget.notes
    assert result(widget).shape == small.shape


@pytest.mark.parametrize("kind", ALL)
def test_the_size_can_be_set_from_python_and_from_a_view(make, kind, small):
    widget = make(kind, small, working_size=45)
    assert result(widget).shape == (1, 3, 30, 45)
    widget.working_size = None
    assert widget.wait(LONG) and result(widget).shape == (1, 3, 60, 90)
    widget.set_state({"working_size": 30})
    assert widget.wait(LONG) and result(widget).shape == (1, 3, 20, 30) and widget.working_size == 30
    assert torch.equal(widget.image, small)
    assert make(kind, small, working_size=5000).working_size is None


def test_all_of_a_large_picture_can_be_asked_for(large):
    given = given_image(large, "DreamCanvas", longest=None)
    assert given.image is given.original and given.longest is None and len(given.sizes()) > 3


def test_the_largest_picture_that_is_taken_as_it_is():
    side = int(LARGE**0.5)
    assert given_image(torch.zeros(1, 3, side, side), "DreamCanvas").longest is None
    assert given_image(torch.zeros(1, 3, side + 2, side + 2), "DreamCanvas").longest == WORKING


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("batch", [False, True])
def test_the_recipe_makes_the_same_bits(make, kind, network, small, batch):
    image = small if batch else small[0]
    widget = make(kind, image, working_size=45)
    found, scope = result(widget), {"network": network, "image": image}
    exec(widget.recipe(), scope)
    made = scope["attribution"].map if kind is SaliencyView else scope["picture"]
    assert torch.equal(made, found)


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("size", [3, 40.5, "half", True])
def test_what_is_no_size_is_refused(make, kind, small, size):
    widget = make(kind, small)
    with pytest.raises(ValueError, match="working_size is a whole number of pixels from 16, or None"):
        widget.working_size = size
    assert widget.working_size is None
