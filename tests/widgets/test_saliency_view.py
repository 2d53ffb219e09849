import base64
import copy
import gc
import re
import threading
import time
import weakref
from typing import Any

import ipywidgets
import numpy as np
import pytest
import torch
import traitlets as t
from PIL import Image
from torch import nn

from nbvis import SaliencyView
from nbvis.engine import METHODS, Network, attribute, channel, custom, faithfulness, randomization_check, unit
from nbvis.sessions import encoded
from nbvis.widgets import outputs
from nbvis.widgets.views import VIEWS, figure
from tests.pictures import opened
from tests.workers import none_left

LONG = 60.0
LABELLED = ["cat", "dog", "cup", "sea"]


@pytest.fixture
def network():
    torch.manual_seed(0)
    first, second = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 6, 3)
    rest = nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(24, 4)
    module = nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), *rest)
    return Network(module, labels=LABELLED, device="cpu")


@pytest.fixture
def make(network, image):
    """Makes views, and closes them."""
    made = []

    def make(*given, **options):
        made.append(SaliencyView(*(given or (network, image)), **options))
        return made[-1]

    yield make
    for view in made:
        view.close()


class Screen:
    """A view that draws whatever it is sent."""

    def __init__(self, widget, monkeypatch):
        self.widget, self.messages = widget, []
        monkeypatch.setattr(widget, "send", self.hear)
        self.tell(type="joined", view="a", lab=True)

    def hear(self, content, buffers=None):
        self.messages.append((content, buffers))

    def tell(self, **content):
        self.widget._on_message(self.widget, content, [])

    def settled(self):
        """The newest frame with pictures once everything is answered and drawn, and its pictures by pane."""
        assert self.widget.wait(LONG)
        drawn = -1
        while (newest := max(content["frame"] for content, _ in self.messages if content["type"] == "frame")) != drawn:
            drawn = newest
            self.tell(type="drawn", view="a", frame=drawn)
            assert self.widget.wait(LONG)
        content, buffers = [(c, b) for c, b in self.messages if c["type"] == "frame" and c["format"]][-1]
        pictures = [opened(buffer) for buffer in buffers or []]
        return content, {p["key"]: pictures[p["picture"]] for p in content["panes"] if p["picture"] >= 0}, pictures

    def ask(self, **content):
        self.tell(id="1", **content)
        return next((c, b) for c, b in reversed(self.messages) if c["type"] == "reply")


@pytest.fixture
def screen(monkeypatch):
    return lambda widget: Screen(widget, monkeypatch)


@pytest.fixture
def turnstile():
    """A network, `shut()` that gives a semaphore to let its passes through from then on, and an event: one waits."""
    gates, met = [], threading.Event()

    class Turnstile(nn.Module):
        def forward(self, x):
            if gates:
                met.set()
                assert gates[-1].acquire(timeout=LONG)
            return x

    def shut():
        gates.append(threading.Semaphore(0))
        return gates[-1]

    torch.manual_seed(0)
    net = nn.Sequential(Turnstile(), nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 30 * 46, 4))
    yield Network(net, device="cpu"), shut, met
    for gate in gates:
        gate.release(10**6)


@pytest.fixture
def slow(turnstile, image):
    """A view of such a network, with what holds it up."""
    net, shut, met = turnstile
    view = SaliencyView(net, image)
    view.wait(LONG)
    yield view, shut, met
    shut().release(10**6)
    view.close()


@pytest.mark.parametrize("method", METHODS)
def test_each_method_gives_the_engines_map_to_the_bit(make, network, image, method):
    view = make(method=method, samples=3, steps=4, window=12, stride=6)
    sliders = {
        "smoothgrad": {"samples": 3, "noise": 0.15},
        "integrated_gradients": {"steps": 4},
        "occlusion": {"window": 12, "stride": 6},
    }
    expected = attribute(network, image, method=method, **sliders.get(method, {}))
    assert torch.equal(view.result.map, expected.map) and view.result.layer == expected.layer
    assert view.state == "finished" and not view.running and view.error == "" and none_left()


def test_several_methods_are_shown_side_by_side(make, network, image):
    view = make(compare=["grad_cam", "occlusion"])
    assert list(view.results) == ["gradient", "grad_cam", "occlusion"]
    assert torch.equal(view.results["grad_cam"].map, attribute(network, image, method="grad_cam").map)
    view.compare = ["gradient", "grad_cam", "grad_cam"]
    assert view.compare == ["grad_cam"]
    view.method = "grad_cam"
    assert view.compare == [] and list(view.results) == ["grad_cam"]


@pytest.mark.parametrize("target", [2, "cup", torch.tensor(2)])
def test_a_class_by_index_or_label(make, network, image, target):
    view = make(network, image, target)
    assert view.target == 2 and view.expression == "cup" and view.get_state()["target"] == 2
    assert torch.equal(view.result.map, attribute(network, image, 2).map)


def test_without_a_target_the_predicted_class_is_explained(make, network, image):
    view, chances = make(), network(image).softmax(1)[0]
    assert view.target is None and view.expression == LABELLED[int(chances.argmax())]
    assert int(view.result.target) == chances.argmax()
    assert [(each["index"], each["label"]) for each in view.top] == [
        (int(i), LABELLED[i]) for i in chances.argsort(descending=True)
    ]
    assert [each["probability"] for each in view.top] == pytest.approx(chances.sort(descending=True)[0].tolist())


def test_an_objective_is_explained(make, network, image):
    objective = channel("0", 3) - unit("2", 1)
    view = make(network, image, objective)
    assert view.expression == "channel('0', 3) - unit('2', 1)" and view.get_state()["target"] is None
    assert torch.equal(view.result.map, attribute(network, image, objective).map)
    view.set_state({"target": 1})
    assert view.target == 1 and view.expression == "dog"


def test_a_network_without_classes_needs_an_objective(make, image):
    net = nn.Conv2d(3, 4, 3)
    with pytest.raises(ValueError, match="explain an objective instead"):
        make(nn.Sequential(net), image)
    view = make(nn.Sequential(net), image, channel("0", 1))
    assert view.labels == [] and view.top == [] and view.result.map.abs().max() > 0
    view.set_state({"target": None})
    assert "explain an objective" in view.error and str(view.target) == "channel('0', 1)"


def test_classes_without_names_are_numbered(make, image):
    view = make(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 30 * 46, 2)), image, 1)
    assert view.labels == ["class 0", "class 1"] and view.expression == "class 1"


@pytest.mark.parametrize(
    ("image", "error", "message"),
    [
        (torch.rand(2, 3, 16, 16), ValueError, "one image, not 2: give image"),
        (torch.rand(16, 16), ValueError, r"\(16, 16\)"),
        (torch.full((1, 3, 16, 16), torch.nan), ValueError, "NaN"),
        (torch.zeros(1, 3, 16, 16, dtype=torch.uint8), TypeError, "divide by 255"),
        (torch.rand(1, 4, 16, 16), RuntimeError, "4"),
        ("cat.png", FileNotFoundError, "there is no file .cat.png. in "),
    ],
)
def test_a_bad_image_is_refused(make, network, image, error, message):
    with pytest.raises(error, match=message):
        make(network, image)


def test_an_image_beyond_the_usual_range_is_explained_and_said_so(make, network, image):
    view = make(network, image * 255)
    assert view.result.map.shape == image.shape and "outside [0, 1]" in view.notes


def test_an_unknown_option_is_named_with_its_neighbours(make, network, image):
    with pytest.raises(TypeError, match=r"no option 'methode'; did you mean 'method'"):
        make(network, image, methode="gradient")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("method", "gradcam", "no method 'gradcam'; did you mean 'grad_cam'"),
        ("compare", ["saliency"], "no method 'saliency'; there are"),
        ("compare", list(METHODS)[1:5], "at most 3 methods stand beside the first, not 4"),
        ("target", 4, "no class 4: the network has 4 classes, 0 to 3; the nearest is 3, 'sea'"),
        ("target", "cap", "no class 'cap' among 4; did you mean 'cup'"),
        ("target", [1, 2], "one target"),
        ("target", channel("0", 8), "no channel 8"),
        ("target", custom(lambda a: a.mean(), "0"), "one score for each image"),
        ("layer", "5", "layer '5' has no rows and columns to map"),
        ("layer", "conv", "no layer 'conv'; there are '0'"),
        ("place", "6", "place '6' has no rows and columns"),
        ("channel", 6, "no channel 6: layer '2' has 6, 0 to 5, or None for the strongest"),
        ("view", "unsigned", "no view 'unsigned'; did you mean 'signed'"),
        ("overlay", "on", "no overlay 'on'"),
        ("colormap", "magna", "no colormap 'magna'; did you mean 'magma'"),
        ("click", "dream", "no click 'dream'"),
        ("opacity", 2, "Opacity (opacity) is a number from 0 to 1, not 2"),
        ("samples", 0, "Samples (samples) is a whole number from 1 to 300, not 0"),
        ("covered", [[40, 2]], "32 × 48 pixels, so there is none at (40, 2)"),
        ("covered", ["here"], "[row, column] in pixels, not 'here'"),
    ],
)
def test_a_value_that_cannot_be_is_refused_alike_by_python_and_panel(make, name, value, message):
    view = make(layer="2")
    before = getattr(view, name)
    with pytest.raises((ValueError, TypeError), match=re.escape(message)):
        setattr(view, name, value)
    assert getattr(view, name) == before and view.error == ""
    view.set_state({name: value})
    assert getattr(view, name) == before and message in view.error


def test_a_refusal_stays_until_something_else_is_accepted(make, screen):
    view = make()
    seen = screen(view)
    seen.settled()
    view.set_state({"method": "gradcam"})
    seen.settled()
    assert "gradcam" in view.error
    view.set_state({"method": "grad_cam"})
    assert view.error == ""


def test_what_was_computed_before_is_there_at_once(make, network, monkeypatch):
    view = make()
    first = view.result
    view.target = 1
    assert view.result is not first
    calls = []
    monkeypatch.setattr("nbvis.widgets.explaining.attribute", lambda *given, **options: calls.append(options))
    view.target = None
    assert view.result is first and calls == []


def test_sliders_and_layers_make_another_map(make, network, image):
    view = make(method="smoothgrad", samples=2)
    two = view.result
    view.samples = 3
    assert torch.equal(view.result.map, attribute(network, image, method="smoothgrad", samples=3).map)
    assert not torch.equal(view.result.map, two.map)
    view.method, view.layer = "grad_cam", "0"
    assert torch.equal(view.result.map, attribute(network, image, method="grad_cam", layer="0").map)
    view.method, view.place = "gradient", "2"
    assert torch.equal(view.result.map, attribute(network, image, layer="2").map) and view.result.layer == "2"


def test_new_weights_make_new_maps(make, network, image):
    view = make()
    before = view.result
    network.module[6].weight.data.mul_(-1)
    assert not torch.equal(view.result.map, before.map)
    assert torch.equal(view.result.map, attribute(network, image).map)
    assert view.expression == LABELLED[int(network(image).argmax())]


def test_another_image(make, network, image):
    view = make(compare=["grad_cam"])
    view.occlude(4, 4)
    view.wait(LONG)
    other = torch.rand(3, 20, 30)
    view.image = other
    assert view.image.shape == (1, 3, 20, 30) and view.covered == []
    assert view.subject == "Sequential · 20 × 30"
    assert torch.equal(view.result.map, attribute(network, other[None]).map)
    with pytest.raises(ValueError, match="one image, not 2"):
        view.image = torch.rand(2, 3, 8, 8)
    assert view.result.map.shape == (1, 3, 20, 30)


def test_a_method_that_does_not_apply_says_so_and_the_others_work(make, screen, image):
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.SiLU(), nn.Flatten(), nn.Linear(4 * 30 * 46, 3))
    view = make(net, image, method="guided_backprop", compare=["gradient"])
    seen = screen(view)
    content, pictures, _ = seen.settled()
    _, guided, gradient = content["panes"]
    assert "SiLU" in guided["note"] and guided["picture"] == -1 and guided["bar"] is None
    assert gradient["note"] == "" and "gradient" in pictures
    assert "Guided backprop: guided_backprop has rules for ReLU" in view.notes and view.error == ""
    assert list(view.results) == ["gradient"]
    with pytest.raises(RuntimeError, match=r"no map by guided_backprop: .*SiLU"):
        _ = view.result


def test_a_place_that_one_method_cannot_follow_keeps_the_maps_of_the_others(make, screen, image):
    class Odd(nn.Module):
        """Runs on no picture of one colour, so that integrated gradients, which begin with a black one, do not."""

        def forward(self, x):
            if torch.equal(x, x[..., :1, :1].expand_as(x)):
                raise RuntimeError("nothing to see")
            return x

    net = nn.Sequential(nn.Conv2d(3, 4, 3), Odd(), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 30 * 46, 3))
    view = make(net, image, method="gradient", compare=["integrated_gradients", "occlusion", "grad_cam"], place="2")
    seen = screen(view)
    view.place = "0"
    content, pictures, _ = seen.settled()
    _, gradient, integrated, occlusion, cam = content["panes"]
    assert view.state == "finished" and view.error == ""
    assert list(view.results) == ["gradient", "occlusion", "grad_cam"]  # occlusion stays at the picture, its only place
    assert {"gradient", "occlusion", "grad_cam"} <= set(pictures)
    assert gradient["note"] == cam["note"] == occlusion["note"] == "" and occlusion["layer"] == ""
    assert "does not run" in integrated["note"]
    assert torch.equal(view.results["gradient"].map, attribute(net, image, layer="0").map)


def test_a_network_that_fails_is_an_error_also_where_the_map_lives_in_a_layer(make, image):
    class Net(nn.Sequential):
        broken = False

        def forward(self, x):
            if Net.broken:
                raise RuntimeError("the weights have gone away")
            return super().forward(x)

    net = Net(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 30 * 46, 3))
    view = make(net, image, place="0")
    assert view.wait(LONG) and view.state == "finished"
    Net.broken = True
    view.target = 1
    assert view.wait(LONG) and view.state == "error" and "the weights have gone away" in view.error
    Net.broken = False
    view.play()
    assert view.wait(LONG) and view.state == "finished" and view.error == ""


@pytest.mark.parametrize(("wraps", "way"), [(lambda y: {"out": y}, "['out']"), (lambda y: (y, y), "[0]")])
def test_an_output_in_a_wrapping_is_told_how_to_be_unwrapped(make, image, wraps, way):
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    net.register_forward_hook(lambda module, args, output: wraps(output))
    with pytest.raises(ValueError, match=r"self\[0\]\(images\)" + re.escape(way)):
        make(net, image)


def test_a_network_without_rows_and_columns_has_no_cam(make, screen):
    view = make(nn.Sequential(nn.Flatten(), nn.Linear(12, 3)), torch.rand(3, 2, 2), method="grad_cam")
    content, pictures, _ = screen(view).settled()
    assert "rows and columns" in content["panes"][1]["note"] and list(pictures) == ["input"]
    with pytest.raises(ValueError, match="no layer of this network has rows and columns"):
        view.explain(0, 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda net: net[0].weight.data.zero_(), "zero everywhere"),
        (lambda net: net[0].weight.data.fill_(torch.nan), "NaN"),
    ],
)
def test_a_map_of_nothing_is_never_painted(make, screen, network, image, change, message):
    change(network.module)
    view = make()
    content, pictures, _ = screen(view).settled()
    assert message in content["panes"][1]["note"] and list(pictures) == ["input"]
    assert message in view.notes and view.state == "finished"


def test_an_all_negative_cam_is_shown_where_its_sign_can_be_seen(make, screen, image):
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 30 * 46, 2))
    nn.init.constant_(net[3].weight, -0.01)
    nn.init.uniform_(net[0].weight, 0.1, 0.2)
    view = make(net, image, method="grad_cam")
    seen = screen(view)
    content, pictures, _ = seen.settled()
    assert "negative everywhere" in view.notes and "grad_cam" in pictures
    view.view = "positive"
    content, pictures, _ = seen.settled()
    assert "Nothing speaks for the target" in content["panes"][1]["note"] and list(pictures) == ["input"]


@pytest.mark.parametrize("name", VIEWS)
def test_each_view_is_painted_with_its_numbers(make, screen, name):
    view = make(view=name)
    content, pictures, _ = screen(view).settled()
    pane = content["panes"][1]
    assert pane["title"] == "Gradient" and pane["sub"].startswith(VIEWS[name].caption)
    assert pictures["gradient"].size == (pane["width"], pane["height"])
    if name == "histogram":
        assert pane["bar"] is None and pane["colors"] == []
    else:
        assert pictures["gradient"].size == (48, 32) and len(pane["bar"]) == 2 and len(pane["colors"]) == 17


def test_what_shows_the_map_alone_asks_for_nothing(make, screen, monkeypatch):
    view = make()
    seen = screen(view)
    _, before, _ = seen.settled()
    monkeypatch.setattr("nbvis.widgets.explaining.attribute", None)
    for name, value in {"overlay": "blend", "opacity": 0.3, "colormap": "bwr", "view": "absolute"}.items():
        setattr(view, name, value)
        _, after, _ = seen.settled()
        assert after["gradient"].tobytes() != before["gradient"].tobytes(), name
        before = after
    assert view.state == "finished" and view.error == ""


def test_an_overlay_that_does_not_apply_says_so(make):
    view = make(view="raw", overlay="active")
    view.wait(LONG)
    assert view.notes == "The view Raw is shown without the overlay 'active'."


def test_locked_limits_hold_across_methods_targets_and_images(make, screen, image):
    view = make(compare=["grad_cam"])
    seen = screen(view)
    own = [pane["bar"] for pane in seen.settled()[0]["panes"][1:]]
    assert own[0] != own[1]
    view.locked = True
    locked = [max(bar[1] for bar in own)] * 2
    for change in ({}, {"target": 3}, {"method": "input_x_gradient"}, {"image": image / 2}):
        for name, value in change.items():
            setattr(view, name, value)
        panes = seen.settled()[0]["panes"][1:]
        assert [pane["bar"][1] for pane in panes] == pytest.approx(locked)
        assert all("limits locked" in pane["sub"] for pane in panes)
    view.locked = False
    assert "limits locked" not in seen.settled()[0]["panes"][1]["sub"]


def test_what_lies_beyond_locked_limits_is_said(make, network):
    view = make(locked=True)
    view.wait(LONG)
    network.module[6].weight.data.mul_(100)
    assert "they are locked at" in (view.result and view.notes)


def test_occluding_covers_a_square_and_asks_the_network_again(make, screen, network, image):
    view = make(window=10)
    seen = screen(view)
    seen.settled()
    view.click = "occlude"
    seen.tell(type="click", row=12, column=2)
    assert view.covered == [[7, 0]]
    covered = image.clone()
    covered[..., 7:17, 0:10] = 0
    content, pictures, _ = seen.settled()
    assert torch.equal(view.result.map, attribute(network, covered).map)
    assert pictures["input"].getpixel((3, 9)) == (0, 0, 0)
    assert view.top[0]["probability"] == pytest.approx(network(covered).softmax(1).max().item())
    target = view.expression
    before, after = (network(each).softmax(1)[0, LABELLED.index(target)].item() for each in (image, covered))
    assert content["panes"][0]["sub"] == f"{target} {before:.2f} → {after:.2f}"
    seen.tell(type="click", row=31, column=47)
    assert view.covered == [[7, 0], [22, 38]]
    seen.tell(type="click", row=16, column=9)
    assert view.covered == [[22, 38]]
    seen.tell(type="uncover")
    assert view.covered == [] and torch.equal(view.result.map, attribute(network, image).map)


def test_a_click_outside_or_to_look_does_nothing(make, screen):
    view = make()
    seen = screen(view)
    seen.tell(type="click", row=1, column=1)
    assert view.covered == [] and view.error == ""
    view.click = "occlude"
    seen.tell(type="click", row=99, column=1)
    assert view.covered == [] and "there is none at (99, 1)" in view.error


def test_a_click_explains_the_unit_there(make, screen, network, image):
    view = make(layer="2", click="unit")
    seen = screen(view)
    seen.tell(type="click", row=16, column=24)
    view.wait(LONG)
    layer = network.module[:3](image)[0]
    place = 16 * 28 // 32, 24 * 44 // 48
    strongest = int(layer[:, place[0], place[1]].argmax())
    assert view.expression == f"unit('2', {strongest}, {place[0]}, {place[1]})"
    assert view.result.score.item() == pytest.approx(layer[:, place[0], place[1]].max().item(), abs=1e-5)
    view.channel = 1
    assert view.expression == f"unit('2', 1, {place[0]}, {place[1]})"
    view.set_state({"layer": "0", "channel": None})
    view.wait(LONG)
    assert view.expression.startswith("unit('0', ")
    view.target = 1
    view.channel = 2
    assert view.expression == "dog"


class ChannelsLast(nn.Module):
    """Swin's order: (batch, rows, columns, channels)."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv2d(3, 8, 3), nn.LayerNorm(8), nn.Linear(8, 4)

    def forward(self, images):
        return self.head(self.norm(self.conv(images).permute(0, 2, 3, 1)).relu().mean((1, 2)))


def test_a_click_explains_the_unit_of_a_layer_with_channels_last(make, screen, image):
    torch.manual_seed(0)
    module = ChannelsLast()
    view = make(module, image, layer="norm", click="unit")
    assert {"name": "norm", "kind": "LayerNorm", "shape": [8, 30, 46]} in view.layers
    assert "head" not in [row["name"] for row in view.layers]
    screen(view).tell(type="click", row=16, column=24)
    place = 16 * 30 // 32, 24 * 46 // 48
    strongest = int(module.norm(module.conv(image).permute(0, 2, 3, 1))[0, place[0], place[1]].argmax())
    assert view.expression == f"unit('norm', {strongest}, {place[0]}, {place[1]})"
    view.channel = 7
    with pytest.raises(t.TraitError, match=r"no channel 8: layer 'norm' has 8, 0 to 7"):
        view.channel = 8


def test_a_unit_can_be_followed(make, network, image):
    view = make()
    view.unit = ("2", 4)
    assert (view.expression, view.unit) == ("channel('2', 4)", ("2", 4))
    view.unit = ("0", None)
    assert (view.expression, view.unit) == ("activity('0')", ("0", None))
    with pytest.raises(ValueError, match="no rows and columns"):
        view.unit = ("6", 1)


def test_values_are_told_in_four_digits(make, screen, network, image):
    view = make(compare=["grad_cam"])
    seen = screen(view)
    seen.settled()
    found = view.result.map[0, :, 5, 7]
    said, _ = seen.ask(type="value", pane="gradient", row=5, column=7)
    assert said["text"].startswith("row 5, column 7 · channel sum ")
    signed = [float(each) for each in re.findall(r"-?\d[\d.]*(?:e-?\d+)?", said["text"].replace("−", "-"))][2:]
    assert signed == pytest.approx([found.sum().item(), *found.tolist()], rel=1e-3)
    assert max(len(each.strip("-0.").replace(".", "")) for each in re.findall(r"-?[\d.]+", said["text"])) <= 4
    assert [name in said["text"] for name in ("red", "green", "blue")] == [True] * 3
    said, _ = seen.ask(type="value", pane="input", row=5, column=7)
    assert f"red {image[0, 0, 5, 7].item():.4g}" in said["text"]
    said, _ = seen.ask(type="value", pane="grad_cam", row=5, column=7)
    value = view.results["grad_cam"].map[0, 0, 5, 7].item()
    assert said["text"] == f"row 5, column 7 · {value:.4g}".replace("-", "−")
    view.place = "2"
    seen.settled()
    said, _ = seen.ask(type="value", pane="gradient", row=31, column=47)
    assert said["text"].startswith("cell 27, 43 · channel sum ") and "most in channel" in said["text"]
    said, _ = seen.ask(type="value", pane="occlusion", row=1, column=1)
    assert said["text"] == "no map"


def test_the_histogram_tells_its_bins(make, screen):
    view = make(view="histogram")
    seen = screen(view)
    seen.settled()
    said, _ = seen.ask(type="value", pane="gradient", row=0, column=0)
    assert re.fullmatch(r"\S+ to \S+ · [\d,]+ values", said["text"])


def test_faithfulness_is_measured_when_asked(make, screen, network, image):
    view = make(compare=["occlusion"])
    seen = screen(view)
    seen.settled()
    assert view.bars == [] and view.faithfulness == {}
    seen.tell(type="measure")
    assert view.wait(LONG)
    expected = faithfulness(network, image, view.result)
    assert [(bar["label"], bar["reference"]) for bar in view.bars] == [
        ("Gradient", False), ("Occlusion", False), ("random", True), ("centre", True), ("edges", True),
    ]  # fmt: skip
    own, centre = view.bars[0], view.bars[3]
    assert own["insertion"] == pytest.approx(expected.insertion_area["attribution"].item())
    assert centre["deletion"] == pytest.approx(expected.deletion_area["centre"].item())
    assert list(view.faithfulness) == ["gradient", "occlusion"]
    assert all(f"Faithfulness of Gradient: {note}" in view.notes for note in expected.notes)
    view.target = 1
    assert view.wait(LONG) and view.bars == []
    view.target = None
    assert view.wait(LONG) and len(view.bars) == 5


def test_the_reference_maps_are_measured_once(make, monkeypatch):
    given = []

    def measured(*args, references, **options):
        given.append(references)
        return faithfulness(*args, references=references, **options)

    monkeypatch.setattr("nbvis.widgets.explaining.faithfulness", measured)
    view = make(place="2", compare=["grad_cam", "guided_grad_cam"])
    view.measure()
    assert view.wait(LONG) and list(view.faithfulness) == ["grad_cam", "guided_grad_cam"]
    assert given == [None, None, view.faithfulness["grad_cam"]]  # a map at a layer is refused, and has none to give


def test_a_map_at_a_layer_cannot_be_measured_and_that_is_said(make):
    view = make(place="2")
    view.measure()
    assert view.wait(LONG) and view.bars == [] and "Faithfulness of Gradient: a map of shape" in view.notes


def test_the_sanity_check_has_a_verdict_and_a_film(make, screen, network, image):
    view = make(method="guided_backprop")
    seen = screen(view)
    seen.settled()
    assert view.sanity == {} and view.randomization is None
    seen.tell(type="check")
    content, _, pictures = seen.settled()
    expected = randomization_check(network, image, "guided_backprop")
    assert view.sanity["passed"] == expected.passed and view.sanity["method"] == "guided_backprop"
    assert view.sanity["verdict"] == expected.verdict.replace("guided_backprop", "Guided backprop")
    assert [stage["layer"] for stage in view.sanity["stages"]] == ["6", "2", "0"]
    assert [stage["correlation"] for stage in view.sanity["stages"]] == pytest.approx(
        [stage.correlation.item() for stage in expected.stages]
    )
    assert len(content["film"]) == 4 and all(pictures[index].size == (48, 32) for index in content["film"])
    view.method = "gradient"
    assert view.wait(LONG) and view.sanity == {}


def test_the_preprocessing_is_told_and_warned_about(make, demo_network, coffee):
    view = make(demo_network, coffee)
    assert view.wait(LONG) and view.preprocessing.startswith("The network sees values from −0.99")
    assert "espresso" in view.preprocessing and view.preprocessing_fit == "good"
    bare = Network(demo_network.module, labels=demo_network.labels, device="cpu")
    view = make(bare, coffee)
    assert view.wait(LONG) and view.preprocessing_fit == "poor" and "Another preprocessing" in view.preprocessing
    view = make()
    assert view.wait(LONG) and view.preprocessing_fit == "unknown" and "nothing tells" in view.preprocessing


def test_it_computes_in_the_background_and_can_be_stopped(slow):
    view, shut, _ = slow
    gate = shut()
    before = view.result
    view.method = "occlusion"
    gate.release(2)
    assert view.state == "running" and view.running and not view.wait(0)
    view.set_state({"running": False})
    gate.release(10**6)
    assert view.wait(LONG) and view.state == "stopped" and not view.running
    with pytest.raises(RuntimeError, match=r"no map by occlusion: it was stopped, and play\(\) computes it"):
        _ = view.result
    view.set_state({"running": True})
    assert view.wait(LONG) and view.state == "finished" and view.result.method == "occlusion"
    view.method = "gradient"
    assert view.result is before


def test_progress_is_told_and_cancel_is_heard(slow, screen, told):
    view, shut, met = slow
    seen = screen(view)
    seen.settled()
    gate = shut()
    view.method = "occlusion"
    assert met.wait(LONG)
    told(view)
    newest = next(content for content, _ in reversed(seen.messages) if content["type"] == "frame")
    seen.tell(type="drawn", view="a", frame=newest["frame"])
    told(view)
    header = [content for content, _ in seen.messages if content["type"] == "frame"][-1]
    assert header["state"] == "running" and header["doing"] == "Occlusion" and set(header) >= {"done", "total", "left"}
    seen.tell(type="cancel")
    gate.release(10**6)
    content, _, _ = seen.settled()
    assert content["state"] == "stopped" and content["panes"][1]["note"].startswith("Not computed yet")
    seen.tell(type="play")
    content, pictures, _ = seen.settled()
    assert content["state"] == "finished" and "occlusion" in pictures


def test_the_map_before_stays_while_the_next_is_computed(slow, screen):
    view, shut, met = slow
    seen = screen(view)
    seen.settled()
    gate = shut()
    # The prediction is there already; the map waits at the turnstile.
    view.set_state({"target": (view.top[0]["index"] + 1) % 4})
    assert met.wait(LONG)

    def drawn():
        frames = [content for content, _ in list(seen.messages) if content["type"] == "frame"]
        seen.tell(type="drawn", view="a", frame=frames[-1]["frame"])
        return [frame for frame in frames if frame["format"]][-1]["panes"][1]

    pane, end = drawn(), time.monotonic() + LONG
    while not pane["stale"] and time.monotonic() < end:
        pane = drawn()
    assert pane["stale"] and pane["picture"] == 1
    gate.release(10**6)
    content, _, _ = seen.settled()
    assert not content["panes"][1]["stale"]


def test_an_error_is_a_line_and_what_was_there_stays(make, screen, image):
    class Fragile(nn.Module):
        broken = False

        def forward(self, x):
            if self.broken and torch.is_grad_enabled():
                raise OSError("the weights have gone away")
            return x

    net = nn.Sequential(nn.Conv2d(3, 4, 3), Fragile(), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 30 * 46, 3))
    view = make(net, image, 0)
    seen = screen(view)
    seen.settled()
    Fragile.broken = True
    view.target = 1
    content, pictures, _ = seen.settled()
    assert view.state == "error" and "the weights have gone away" in view.error
    assert content["panes"][1]["stale"] and "gradient" in pictures
    Fragile.broken = False
    view.play()
    content, _, _ = seen.settled()
    assert (view.state, view.error) == ("finished", "") and not content["panes"][1]["stale"]


def reproduced(view, network, image, **names):
    scope = {"network": network, "image": image, **names}
    exec(view.recipe(), scope)
    return scope


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"method": "integrated_gradients", "steps": 7},
        {"method": "grad_cam", "layer": "0"},
        {"method": "gradient", "place": "2"},
        {"method": "smoothgrad", "samples": 3, "noise": 0.3},
        {"method": "occlusion", "window": 9, "stride": 5, "covered": [[3, 4], [20, 30]]},
    ],
)
def test_the_recipe_makes_the_same_map(make, network, image, options):
    view = make(**options)
    found = reproduced(view, network, image)["attribution"]
    assert torch.equal(found.map, view.result.map) and torch.equal(found.score, view.result.score)


def test_the_recipe_of_several_methods(make, network, image):
    view = make(network, image[0], "sea", compare=["grad_cam", "guided_backprop"])
    assert "# sea" in view.recipe()
    found = reproduced(view, network, image[0])["attributions"]
    assert list(found) == list(view.results)
    assert all(torch.equal(each.map, view.results[name].map) for name, each in found.items())


def twice(module, inputs, target):
    """Twice the gradient."""
    return 2 * torch.autograd.grad(module(inputs)[0, target], inputs)[0]


def test_a_method_of_ones_own_stands_among_the_others_with_its_checks(make, screen, network, image, tmp_path):
    def broken(module, inputs, target):
        raise ValueError("not this time")

    view = make(network, image, "sea", own={"Twice": twice, "Broken": broken}, compare=["Twice", "Broken"])
    assert [method["label"] for method in view.methods][-2:] == ["Twice", "Broken"]
    assert view.methods[-2]["sentence"] == "Twice the gradient."
    view.measure()
    content, pictures, _ = screen(view).settled()
    assert [pane["title"] for pane in content["panes"]] == ["Input", "Gradient", "Twice", "Broken"]
    assert content["panes"][3]["note"] == "not this time" and "Twice" in pictures
    torch.testing.assert_close(view.results["Twice"].map, 2 * view.results["gradient"].map)
    assert [bar["label"] for bar in view.bars][:2] == ["Gradient", "Twice"]
    view.compare, view.method = [], "Twice"
    view.check()
    assert view.wait(LONG) and view.sanity["label"] == "Twice" and "Twice" in view.sanity["verdict"]
    assert "`twice` is its method 'Twice'" in view.recipe() and "method=twice" in view.recipe()
    found = reproduced(view, network, image, twice=twice)["attribution"]
    assert torch.equal(found.map, view.result.map)
    view.save(tmp_path / "own.html")
    assert "Twice" in (tmp_path / "own.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("own", "error", "message"),
    [
        ({"gradient": twice}, ValueError, "there is a method 'gradient' already"),
        ({"Grad-CAM": twice}, ValueError, "there is a method 'Grad-CAM' already"),
        ({"Mine": 3}, TypeError, r"own\['Mine'\] is a function"),
        ({"Mine": lambda module: module}, TypeError, r"Mine cannot be called as Mine\(module, inputs, target\)"),
    ],
)
def test_what_is_no_method_is_refused(network, image, own, error, message):
    with pytest.raises(error, match=message):
        SaliencyView(network, image, own=own)


def test_the_recipe_of_an_objective(make, network, image):
    view = make(network, image, channel("0", 1) + unit("2", 3, 1, 2))
    assert torch.equal(reproduced(view, network, image)["attribution"].map, view.result.map)


def test_saving_writes_what_is_shown_or_a_page_that_needs_nothing_else(make, tmp_path):
    view = make(compare=["grad_cam"])
    view.measure()
    view.check()
    view.save(tmp_path / "maps.png")
    with Image.open(tmp_path / "maps.png") as saved:
        assert saved.height > 200 and saved.width > 3 * 200
        whole = saved.convert("RGB")
    assert whole.getpixel((whole.width - 2, 2)) == (255, 255, 255)
    view.save(str(tmp_path / "maps.html"))
    page = (tmp_path / "maps.html").read_text(encoding="utf-8")
    pictures = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    shown = [encoded(pane.picture.image, lossless=True) for pane in view._scene().panes()]
    assert [base64.b64decode(png) for png in pictures] == shown
    for pane, alt in zip(view._scene().panes()[1:], re.findall(r'<img alt="([^"]+)"', page)[1:], strict=True):
        low, high = map(figure, pane.between)
        assert pane.title in alt and alt.endswith(f"{pane.sub}; its colours go from {low} to {high}")
        assert f"<span>{low}</span><span>{high}</span>" in page
        assert f"linear-gradient(90deg, {', '.join(pane.colors)})" in page
    bar = np.asarray(whole)[12 + 160 + 34 + 8, 264:504].astype(int)  # below the first map
    assert bar[3, 2] > bar[3, 0] and bar[-4, 0] > bar[-4, 2] and (bar[120] > 200).all()
    assert "attribute(network, image, target" in page and "insertion" in page and view.sanity["verdict"][:6] in page
    assert not re.search(r"https?://|<script", page)
    with pytest.raises(ValueError, match=r"SaliencyView saves to \.png and \.html, not to \.gif"):
        view.save(tmp_path / "maps.gif")


def test_a_cell_keeps_a_still_picture_of_the_maps(make, monkeypatch):
    shown = []
    monkeypatch.setattr(outputs, "display", lambda data, **options: shown.append((data, options)))
    view = make()
    view._ipython_display_()
    assert [list(data) for data, _ in shown][-1] == ["image/png"]
    view.wait(LONG)
    view.colormap = "bwr"
    assert view.wait(LONG)
    data, options = shown[-1]
    assert options["update"] and options["display_id"] == view.model_id
    assert base64.b64decode(data["image/png"]) == view._picture()
    assert options["metadata"]["image/png"]["alt"].startswith(f"What speaks for {view.expression}. Input: ")


def test_several_cells_of_one_view_are_sent_the_same(make, screen):
    view = make()
    seen = screen(view)
    first, _, _ = seen.settled()
    seen.tell(type="joined", view="b", lab=True)
    newest, _ = seen.messages[-1]
    assert newest["format"] == "png" and newest["panes"] == first["panes"]


def test_the_last_view_that_leaves_ends_the_work(slow, screen):
    view, shut, _ = slow
    seen = screen(view)
    gate = shut()
    view.method = "occlusion"
    seen.tell(type="left", view="a")
    gate.release(10**6)
    assert view.wait(LONG) and view.state == "paused"
    seen.tell(type="joined", view="a", lab=True)
    assert view.wait(LONG) and view.state == "finished" and view.result.method == "occlusion"


def test_any_number_of_channels(make, screen):
    for channels in (1, 2, 6):
        net = nn.Sequential(nn.Conv2d(channels, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 22 * 34, 3))
        view = make(net, torch.rand(channels, 24, 36), overlay="blend")
        _, pictures, _ = screen(view).settled()
        assert sorted(pictures) == ["gradient", "input"] and (view.notes == "") == (channels == 1)
        assert view.result.map.shape == (1, channels, 24, 36)


def test_the_network_of_the_users_stays_as_it_is(make, network, image):
    before = copy.deepcopy(network.module.state_dict())
    network.module.train()
    view = make(compare=["guided_backprop", "grad_cam"])
    view.check()
    view.measure()
    assert view.wait(LONG) and network.module.training
    assert not any(len(m._forward_hooks) for m in network.module.modules())
    assert all(torch.equal(value, before[name]) for name, value in network.module.state_dict().items())


def test_a_closed_view_leaves_no_worker(make):
    view = make(method="occlusion", window=4, stride=1)
    view.close()
    assert none_left()


def test_a_forgotten_view_leaves_no_worker(turnstile, image, quiet):
    net, shut, met = turnstile
    view = SaliencyView(net, image)
    view.wait(LONG)
    gate = shut()
    view.method = "occlusion"
    assert met.wait(LONG)
    quiet(view)
    worker, gone = view._session._thread, threading.Event()
    assert worker
    reference = weakref.ref(view, lambda _: gone.set())
    # ipywidgets and the comm keep every widget until it is closed; without them nothing does.
    ipywidgets.widgets.widget._instances.pop(view.model_id)
    comm: Any = view.comm
    comm.on_msg(None)
    del view, comm
    # Whoever collects it waits for the worker's next word.
    collector = threading.Thread(target=gc.collect)
    collector.start()
    assert gone.wait(LONG) and reference() is None
    gate.release(10**6)
    collector.join(LONG)
    worker.join(LONG)
    assert not worker.is_alive()


def test_the_methods_views_and_colours_are_listed(make):
    view = make()
    assert [method["name"] for method in view.methods] == list(METHODS)
    kinds = {method["name"]: (method["place"], method["sliders"]) for method in view.methods}
    assert kinds["grad_cam"] == ("grid", []) and kinds["smoothgrad"] == ("anywhere", ["samples", "noise"])
    assert kinds["occlusion"] == ("images", ["window", "stride"])
    assert all(method["sentence"].endswith(".") and "\n" not in method["sentence"] for method in view.methods)
    assert [row["name"] for row in view.views] == list(VIEWS) and "magma" in view.colormaps
    assert [row["name"] for row in view.layers] == ["0", "1", "2", "3", "4"] and view.layer == "4"


def test_repr_is_the_same_everywhere(make):
    view = make(target="cup", compare=["grad_cam"])
    assert repr(view) == "SaliencyView(Sequential · 32 × 48, cup: Gradient, Grad-CAM)"
    view.wait(LONG)
    assert repr(view) == "SaliencyView(Sequential · 32 × 48, cup: Gradient, Grad-CAM)"
