"""Reset: every slider and choice is what the widget began with; what it looks at stays."""

import pytest
import torch
from torch import nn

from nbvis import ActivationStats, DreamCanvas, DropoutInverter, LayerExplorer, SaliencyView

LONG = 60.0
MAKE = {
    DreamCanvas: lambda net, image: DreamCanvas(net, image, layer="0", lr=0.05, octaves=1),
    SaliencyView: lambda net, image: SaliencyView(net, image, target=1, method="grad_cam", compare=["gradient"]),
    DropoutInverter: lambda net, image: DropoutInverter(net, image, layer="3", steps=2, sweep=True),
    ActivationStats: lambda net, image: ActivationStats(net, image, layer="1", sort="mean"),
    LayerExplorer: lambda net, image: LayerExplorer(net, image, layer="0", channel=2, back="deconvnet", gamma=0.5),
}
CHANGES = {
    DreamCanvas: {"start": "noise", "seed": 7, "lr": 0.2, "steps": 3, "octaves": 2, "octave_scale": 1.2, "jitter": 1},
    SaliencyView: {
        "method": "occlusion", "compare": ["grad_cam"], "view": "absolute", "overlay": "blend", "opacity": 0.2,
        "colormap": "magma", "locked": True, "click": "unit", "window": 9,
    },
    DropoutInverter: {"p": 0.2, "samples": 3, "sample": 1, "seed": 5, "bounded": False, "lr": 0.3, "tolerance": 1.0},
    ActivationStats: {"values": "weights", "sort": "zeros", "search": "dead", "log": True, "common_axis": True},
    LayerExplorer: {
        "shows": "gradients", "back": "gradient", "seed": "place", "frozen": True, "view": "raw", "overlay": "active",
        "colormap": "plasma", "scale": "channel", "boost": 0.5, "gamma": 1.0,
    },
}  # fmt: skip
LOOKED_AT = ("layer", "channel", "target", "image", "insert")
every_kind = pytest.mark.parametrize("kind", list(MAKE), ids=lambda kind: kind.__name__)


@pytest.fixture
def make():
    made = []

    def make(kind):
        torch.manual_seed(0)
        layers = nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Dropout(0.5), nn.Conv2d(4, 4, 3), nn.AdaptiveAvgPool2d(1)
        made.append(MAKE[kind](nn.Sequential(*layers, nn.Flatten()).eval(), torch.rand(1, 3, 24, 36)))
        assert made[-1].wait(LONG)
        return made[-1]

    yield make
    for widget in made:
        widget.close()


def values(widget, names):
    return {name: getattr(widget, name) for name in names if widget.has_trait(name)}


@every_kind
@pytest.mark.parametrize("by_a_view", [False, True])
def test_every_setting_is_what_it_began_as_and_the_rest_stays(make, kind, by_a_view):
    widget, changes = make(kind), CHANGES[kind]
    began = values(widget, changes)
    for name, value in changes.items():
        setattr(widget, name, value)
    assert all(value != began[name] for name, value in values(widget, changes).items())
    looked_at = values(widget, LOOKED_AT)
    if by_a_view:
        widget._handle_custom_msg({"type": "reset"}, [])
    else:
        widget.reset()
    if kind is LayerExplorer:  # as the toolbox: all the way back
        began |= {"back": "off"}
        looked_at |= {"layer": "0", "channel": 0}
    assert widget.error == "" and values(widget, changes) == began
    assert values(widget, LOOKED_AT) == looked_at
    widget.stop()


@every_kind
def test_all_that_is_set_on_a_panel_is_set_back(make, kind):
    """A new slider is set back by itself; a new choice has to be named."""
    widget = make(kind)
    assert set(CHANGES[kind]) <= set(widget._began)
    assert set(widget._controls) <= set(widget._began)


def test_the_first_layer_and_channel_of_the_explorer_are_chosen(make):
    widget = make(LayerExplorer)
    widget.layer, widget.channel, widget.place = "3", 3, [1, 2]
    widget.reset()
    assert (widget.layer, widget.channel, widget.place, widget.back) == ("0", 0, [], "off")


def test_what_cannot_be_any_more_is_said_and_nothing_changes(make):
    widget = make(DreamCanvas)
    widget.octaves = 3
    widget._began |= {"octaves": 8, "octave_scale": 2.0}  # as if a larger picture had been there before
    with pytest.raises(ValueError, match="octaves"):
        widget.reset()
    assert widget.octaves == 3
    widget.lr = 0.3
    widget._handle_custom_msg({"type": "reset"}, [])
    assert "octave_scale" in widget.error and widget.lr == 0.3


def test_settings_that_fit_each_other_are_set_back_together(make):
    widget = make(DreamCanvas)
    widget._began |= {"octaves": 2, "octave_scale": 1.9}
    widget.octave_scale = 1.1
    widget.octaves = 8  # with which a scale of 1.9 does not go
    widget._handle_custom_msg({"type": "reset"}, [])
    assert (widget.octaves, widget.octave_scale, widget.error) == (2, 1.9, "")


def test_the_start_is_one_that_the_picture_allows(make):
    widget = make(DreamCanvas)
    widget.image = None
    assert widget.wait(LONG)
    widget.reset()
    assert (widget.start, widget.error) == ("noise", "")
