"""A picture that is not square, worked on whole, as the square in its middle, or stretched to a square."""

import io

import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

from nbvis import DreamCanvas, LayerExplorer
from nbvis.engine import Network, halves
from tests.widgets.pictures.panels import BYTES, KINDS, LONG, TENSOR, remade, shown

CROPPED = TENSOR[..., 6:30]
STRETCHED = F.interpolate(TENSOR, size=(24, 24), mode="bilinear", antialias=True)


@KINDS
@pytest.mark.parametrize(
    ("framing", "expected", "said"),
    [
        ("crop", CROPPED, "Cropped to the 24 × 24 pixels in the middle."),
        ("stretch", STRETCHED, "Stretched to 24 × 24 pixels."),
    ],
)
def test_it_is_worked_on_as_the_panel_says(make, network, kind, framing, expected, said):
    widget = make(kind)
    assert widget.framing == "whole" and widget._oblong and said not in widget.notes
    widget.set_state({"framing": framing})
    assert widget.wait(LONG) and widget.framing == framing and said in widget.notes
    torch.testing.assert_close(widget._subject.image, expected)
    assert torch.equal(widget.image, TENSOR) and widget.subject.endswith("24 × 24")
    assert torch.equal(shown(widget), shown(make(kind, framing=framing)))
    assert torch.equal(remade(widget, network, TENSOR), shown(widget))
    widget.framing = "whole"
    assert widget.wait(LONG) and torch.equal(widget._subject.image, TENSOR) and said not in widget.notes


@KINDS
def test_the_next_picture_has_the_same_framing_and_a_square_one_is_as_it_was(make, ask, kind):
    widget = make(kind, framing="crop")
    widget.image = TENSOR.mT.contiguous()
    assert widget.wait(LONG) and torch.equal(widget._subject.image, CROPPED.mT)
    photograph = Image.fromarray(BYTES)
    photograph.save(buffer := io.BytesIO(), "PNG")
    assert ask(widget, "opened", buffer.getvalue(), name="it.png") == ""
    assert torch.equal(widget._subject.image, CROPPED)
    widget.image = CROPPED
    assert widget.wait(LONG) and not widget._oblong and widget.framing == "crop"
    assert torch.equal(widget._subject.image, CROPPED) and "Cropped" not in widget.notes


def test_the_size_that_is_worked_on_is_that_of_the_square(make, network):
    widget = make(LayerExplorer, framing="crop", working_size=20)
    smaller = F.interpolate(CROPPED, size=(20, 20), mode="bilinear", antialias=True)
    torch.testing.assert_close(widget._subject.image, smaller)
    assert "Worked on at 20 × 20 of 24 × 24 pixels" in widget.notes
    widget.framing = "stretch"
    assert widget.wait(LONG) and widget.working_size == 20 and widget.subject.endswith("20 × 20")
    assert torch.equal(remade(widget, network, TENSOR), shown(widget))
    widget.working_size = None
    assert widget.wait(LONG) and widget.subject.endswith("24 × 24")


@pytest.mark.parametrize("framing", ["crop", "stretch"])
def test_of_a_pair_each_picture_is_framed_alone(make, framing):
    class Apart(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, first, second):
            return (self.conv(first) - self.conv(second)).mean((2, 3))

    torch.manual_seed(0)
    network = Network(Apart(), pair="inputs", device="cpu")
    pair = TENSOR, 1 - TENSOR
    widget = make(LayerExplorer, pair, network, layer="conv", framing=framing)
    alone = CROPPED if framing == "crop" else STRETCHED
    for half, expected in zip(halves(widget._subject.image), (alone, 1 - alone), strict=True):
        torch.testing.assert_close(half, expected)
    assert ("Each cropped" if framing == "crop" else "Each stretched") in widget.notes
    assert torch.equal(remade(widget, network, pair), shown(widget))


@KINDS
def test_no_other_framing_is_taken_and_one_that_the_network_does_not_run_on_is_put_back(make, kind, network):
    widget = make(kind)
    with pytest.raises(ValueError, match="no framing 'cropped'; did you mean 'crop'"):
        widget.framing = "cropped"

    class Wide(nn.Sequential):
        def forward(self, x):
            if x.shape[3] < 30:
                raise RuntimeError("too narrow for this network")
            return super().forward(x)

    widget = make(kind, net=Wide(*network))
    widget.set_state({"framing": "crop"})
    assert widget.wait(LONG) and widget.framing == "whole" and "too narrow" in widget.error
    assert torch.equal(widget._subject.image, TENSOR)


def test_without_a_picture_it_is_for_the_one_to_come(make):
    canvas = make(DreamCanvas, None, framing="crop")
    canvas.image = TENSOR
    assert canvas.wait(LONG) and canvas.framing == "crop" and torch.equal(canvas._subject.image, CROPPED)
