"""The JavaScript and the Python speak of the same things by the same names."""

import re
import sys

import pytest
import torch
from ipywidgets import DOMWidget
from torch import nn

from nbvis import ActivationStats, DreamCanvas, DropoutInverter, SaliencyView
from nbvis.widgets.front_end import module_source

WIDGETS = {
    "activation_stats": lambda network, image: ActivationStats(network, image[None]),
    "dream_canvas": DreamCanvas,
    "dropout_inverter": DropoutInverter,
    "saliency_view": SaliencyView,
}
FRAMES = {
    "activation_stats": "StatisticsFrame",
    "dream_canvas": "Header",
    "dropout_inverter": "InversionFrame",
    "saliency_view": "SaliencyFrame",
}


@pytest.fixture(params=sorted(WIDGETS))
def name(request):
    return request.param


@pytest.fixture
def source(name):
    """The widget's whole front end, but for shared parts that it does not use."""
    whole = module_source(name)
    part = re.compile(r"^export function (\w+)\(.*?^}\n", re.MULTILINE | re.DOTALL)
    return part.sub(lambda found: found[0] if whole.count(f"{found[1]}(") > 1 else "", whole)


@pytest.fixture
def widget(name):
    torch.manual_seed(0)
    first, rest = nn.Conv2d(3, 8, 3), (nn.Flatten(), nn.Dropout(0.5), nn.Linear(8 * 14 * 22, 4))
    widget = WIDGETS[name](nn.Sequential(first, nn.ReLU(), *rest), torch.rand(3, 16, 24))
    yield widget
    widget.close()


def names_in(source, *patterns):
    """The quoted names in what the patterns find."""
    return {
        name for pattern in patterns for found in re.findall(pattern, source) for name in re.findall(r'"(\w+)"', found)
    }


def fields(source, typedef):
    """The names of a record that is described in JSDoc."""
    (found,) = re.findall(rf"@typedef \{{\{{([^}}]+)\}}\}} {typedef}\b", source)
    return set(re.findall(r"(\w+)\??:", found))


def sent(source):
    """The types of the messages that the front end sends."""
    return names_in(source, r'(?:(?:tell|ask)\(model, |request\()\{ type: "\w+"') - {"type"}


def own_classes(widget):
    return [cls for cls in type(widget).__mro__ if cls.__module__.startswith("nbvis")]


def test_every_trait_that_the_front_end_names_exists_and_is_synced(widget, source):
    bound = r'(?:select|toggle)\(\w+, "\w+"'
    named = names_in(source, r'model\.[gs]et\("\w+"', r"follow\((?:panel|view), \[[^\]]*\]", bound)
    written = re.findall(r"put\(model, \{ (.*?) \}\)", source)
    put = {name for each in written for name in re.findall(r"(?:^|, )(\w+)(?=[:,]|$)", each)}
    assert len(named) > 10 and put and named | put <= set(widget.keys)


def test_the_sliders_are_the_numbers(widget, source):
    listed = "".join(re.findall(r"const SLIDERS = \[([^\]]+)\]", source))
    of_methods = {name for method in getattr(widget, "methods", ()) for name in method["sliders"]}
    single = names_in(source, r'slider\(panel, "\w+"\)')
    assert set(re.findall(r'"(\w+)"', listed)) | of_methods | single == set(widget._controls)


def test_a_control_has_what_the_front_end_reads(widget, source):
    for control in widget._controls.values():
        assert set(control) == fields(source, "Control")


def test_a_frame_has_what_the_front_end_reads(name, widget, source, heard):
    widget.wait(60)
    messages = heard(widget)
    widget._on_message(widget, {"type": "joined", "view": "a", "lab": True}, [])
    assert widget.wait(60)
    frame = messages[0][0]
    assert set(frame) >= fields(source, FRAMES[name])
    for pane in frame.get("panes", []):
        assert set(pane) == fields(source, "Pane")


def test_every_message_of_the_front_end_is_answered(widget, source):
    assert {"joined", "left", "drawn", "recipe", "save"} <= sent(source)
    assert sent(source) <= set(widget._acts({}))


def test_messages_are_documented(widget, source):
    documents = "".join(sys.modules[cls.__module__].__doc__ or "" for cls in own_classes(widget))
    assert [name for name in {*sent(source), "frame", "reply"} if name not in documents] == []


def test_every_public_trait_says_what_it_is(widget):
    theirs = set(DOMWidget.class_trait_names())
    ours = {name: trait for name, trait in widget.traits(sync=True).items() if name[0] != "_" and name not in theirs}
    assert {"layer", "running", "state"} <= set(ours)
    assert [name for name, trait in ours.items() if not trait.help] == []


def test_data_never_becomes_markup(source):
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", source)
