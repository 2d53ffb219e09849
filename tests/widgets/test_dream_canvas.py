import copy
import re
import threading
import weakref
from typing import Any

import ipywidgets
import pytest
import torch
import traitlets as t
from torch import nn

from nbvis import DreamCanvas
from nbvis.engine import Network, activity, channel, custom
from nbvis.widgets import dreaming
from tests.workers import collected, none_left

LONG = 60.0


def played(canvas):
    canvas.play()
    assert canvas.wait(LONG)
    return canvas


def test_a_photograph_dreams_at_full_precision(make, image):
    canvas = played(make())
    assert canvas.state == "finished" and not canvas.running and canvas.error == ""
    assert canvas.result.shape == image.shape and canvas.result.dtype == torch.float32
    assert not torch.equal(canvas.result, image) and 0 <= canvas.result.min() and canvas.result.max() <= 1
    assert none_left()


def test_before_it_runs_it_shows_its_start(make, image):
    canvas = make()
    assert canvas.state == "ready" and torch.equal(canvas.result, image)


def test_without_a_photograph_it_starts_from_noise(network):
    canvas = DreamCanvas(Network(network, input_size=(20, 30)), octaves=1, steps=1)
    assert canvas.starts == ["noise"] and canvas.size == [20, 30] and canvas.result.shape == (1, 3, 20, 30)
    assert played(canvas).state == "finished"
    canvas.close()


class ChannelsLast(nn.Module):
    """Swin's order: (batch, rows, columns, channels)."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 8, 3), nn.LayerNorm(8)

    def forward(self, images):
        return self.norm(self.conv(images).permute(0, 2, 3, 1))


def test_channels_are_counted_where_the_layer_keeps_them(make, image):
    canvas = make(ChannelsLast(), image, layer="norm", channel=7)
    assert {"name": "norm", "kind": "LayerNorm", "shape": [8, 30, 46]} in canvas.layers
    with pytest.raises(t.TraitError, match=r"no channel 8: layer 'norm' has 8, 0 to 7"):
        canvas.channel = 8
    assert played(canvas).state == "finished" and canvas.expression == "channel('norm', 7)"


def test_a_photograph_can_be_left_for_noise(make, image):
    canvas = make()
    canvas.start = "noise"
    assert not torch.equal(canvas.result, image)
    canvas.start = "image"
    assert torch.equal(canvas.result, image)


def test_an_image_without_a_batch_is_one_image(make, network, image):
    assert torch.equal(make(network, image[0]).result, image)


@pytest.mark.parametrize("channels", [1, 2, 6])
def test_any_number_of_channels(make, channels):
    image = torch.rand(1, channels, 24, 36)
    canvas = played(make(nn.Sequential(nn.Conv2d(channels, 4, 3)), image))
    assert canvas.state == "finished" and canvas.result.shape == image.shape
    assert (canvas.notes == "") == (channels == 1)


def test_noise_has_the_channels_that_the_network_takes():
    canvas = DreamCanvas(Network(nn.Sequential(nn.Conv2d(1, 4, 3)), input_size=(20, 20)))
    assert canvas.result.shape == (1, 1, 20, 20)
    canvas.close()


@pytest.mark.parametrize(
    ("image", "error", "message"),
    [
        (torch.rand(2, 3, 16, 16), ValueError, "one image, not 2"),
        (torch.rand(16, 16), ValueError, r"\(16, 16\)"),
        (torch.rand(1, 3, 16, 16) * 255, ValueError, r"lie in \[0, 1\]"),
        (torch.full((1, 3, 16, 16), torch.nan), ValueError, "NaN"),
        (torch.zeros(1, 3, 16, 16, dtype=torch.uint8), TypeError, "divide by 255"),
        (torch.rand(1, 4, 16, 16), RuntimeError, "4"),
        ("cat.png", FileNotFoundError, "there is no file .cat.png. in "),
    ],
)
def test_a_bad_image_is_refused_before_anything_runs(network, image, error, message):
    with pytest.raises(error, match=message):
        DreamCanvas(network, image)


def test_an_unknown_option_is_named_with_its_neighbours(network, image):
    with pytest.raises(TypeError, match=r"no option 'jiter'; did you mean 'jitter'"):
        DreamCanvas(network, image, jiter=3)


def test_the_layers_come_from_one_real_forward_pass(make):
    assert [tuple(row.values()) for row in make().layers] == [
        ("0", "Conv2d", [8, 30, 46]),
        ("1", "ReLU", [8, 30, 46]),
        ("2", "Conv2d", [6, 28, 44]),
        ("3", "AdaptiveAvgPool2d", [6, 1, 1]),
        ("4", "Flatten", [6]),
        ("5", "Linear", [4]),
    ]


def test_each_call_of_a_reused_layer_can_be_picked(make, image):
    relu = nn.ReLU()
    canvas = make(nn.Sequential(nn.Conv2d(3, 4, 3), relu, nn.Conv2d(4, 4, 3), relu), image)
    assert [row["name"] for row in canvas.layers] == ["0", "1", "1:0", "1:1", "2"]
    canvas.layer = "1:0"
    assert played(canvas).state == "finished"


def test_a_network_that_cannot_be_listed_needs_an_objective(make, image):
    with pytest.raises(ValueError, match="give an objective"):
        make(nn.Conv2d(3, 4, 3), image)
    assert played(make(nn.Conv2d(3, 4, 3), image, activity(""))).state == "finished"


def test_layer_and_channel_make_the_objective(make):
    canvas = make(layer="1")
    assert (canvas.expression, canvas.unit) == ("activity('1')", ("1", None))
    canvas.channel = 5
    assert (canvas.expression, canvas.unit) == ("channel('1', 5)", ("1", 5))
    canvas.unit = ("2", 0)
    assert canvas.expression == "channel('2', 0)"


def test_a_channel_that_the_next_layer_lacks_gives_way_to_the_whole_layer(make):
    canvas = make(layer="1", channel=7)
    canvas.layer = "2"
    assert canvas.unit == ("2", None)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("layer", "convolution", "no layer 'convolution'; there are '0', '1'"),
        ("layer", "", "no layer ''"),
        ("channel", 6, "no channel 6: layer '2' has 6, 0 to 5"),
        ("channel", -1, "no channel -1"),
        ("lr", 7, "Learning rate (lr) is a number from 0.001 to 0.5, not 7"),
        ("lr", "fast", "not 'fast'"),
        ("lr", float("nan"), "not nan"),
        ("steps", 2.5, "Steps per octave (steps) is a whole number from 1 to 200, not 2.5"),
        ("octaves", True, "not True"),
        ("start", "photo", "no start 'photo'; there are 'image', 'noise'"),
    ],
)
def test_a_value_that_cannot_be_is_refused_alike_by_python_and_panel(make, name, value, message):
    canvas = make(layer="2")
    before = getattr(canvas, name)
    with pytest.raises(ValueError, match=re.escape(message)):
        setattr(canvas, name, value)
    assert getattr(canvas, name) == before and canvas.error == ""
    canvas.set_state({name: value})
    assert getattr(canvas, name) == before and message in canvas.error


def test_a_refused_value_is_taken_back_from_the_view(make, monkeypatch):
    canvas, sent = make(), []
    monkeypatch.setattr(canvas, "_send", lambda message, buffers=None: sent.append(message))
    canvas.set_state({"lr": 7})
    assert sent[-1]["method"] == "update" and sent[-1]["state"] == {"lr": 0.01, "error": canvas.error}
    canvas.set_state({"lr": 0.1})
    assert canvas.error == "" and canvas.lr == 0.1


def test_what_follows_from_a_change_goes_to_the_view_in_one_message(make, monkeypatch):
    canvas, sent = make(), []
    canvas.wait(LONG)
    monkeypatch.setattr(canvas, "_send", lambda message, buffers=None: sent.append(message))
    canvas.set_state({"layer": "0", "channel": 1})
    (answer,) = [message["state"] for message in sent if message["method"] == "update"]
    assert answer["formula"] == "'0'[1]" and {"expression", "_terms"} <= answer.keys()


def test_too_many_octaves_for_the_picture_are_refused(make):
    canvas = make()
    canvas.octave_scale = 2.0
    with pytest.raises(ValueError, match=r"8 octaves of scale 2\.0"):
        canvas.octaves = 8
    assert canvas.octaves == 2


def test_numbers_of_numpy_and_torch_are_numbers(make):
    canvas = make()
    canvas.steps, canvas.lr = torch.tensor(3), torch.tensor(0.25)
    assert (canvas.steps, canvas.lr) == (3, 0.25) and type(canvas.steps) is int


def test_a_layer_that_is_picked_takes_the_place_of_the_selected_term(make, network, image):
    canvas = make(network, image, channel("0", 1) + 0.5 * activity("2"))
    assert canvas.expression == "channel('0', 1) + 0.5 * activity('2')" and canvas.unit == ("0", 1)
    assert played(canvas).state == "finished"
    canvas.set_state({"layer": "1", "channel": None})
    assert canvas.expression == str(canvas.objective) == "activity('1') + 0.5 * activity('2')"
    canvas.term = 1
    assert canvas.unit == ("2", None)
    canvas.channel = 3
    assert canvas.expression == "activity('1') + 0.5 * channel('2', 3)"


@pytest.mark.parametrize(
    ("objective", "message"),
    [
        (channel("0", 8), "no channel 8"),
        (activity("nowhere"), "nowhere"),
        (activity("0").within(torch.ones(5, 5)), r"\(5, 5\)"),
        (custom(lambda a: a.mean(), "0"), "one score for each image"),
    ],
)
def test_a_bad_objective_is_refused_and_the_run_goes_on(make, objective, message):
    canvas = make(steps=50)
    canvas.step()
    canvas.wait(LONG)
    before = canvas.expression
    with pytest.raises(ValueError, match=message):
        canvas.objective = objective
    assert canvas.expression == before and canvas.state == "paused"
    canvas.step()
    canvas.wait(LONG)
    assert canvas.state == "paused" and canvas._session.last.index == 1


def test_a_layer_without_gradient_is_refused(make, image):
    class Rounded(nn.Module):
        def forward(self, x):
            return x.detach()

    canvas = make(nn.Sequential(nn.Conv2d(3, 4, 3), Rounded()), image, layer="0")
    canvas.set_state({"layer": "1"})
    assert canvas.layer == "0" and "no gradient" in canvas.error


def test_what_changes_mid_run_does_not_begin_it_again(make):
    canvas = make(steps=20)
    canvas.step()
    canvas.wait(LONG)
    canvas.lr, canvas.jitter, canvas.rotation, canvas.steps, canvas.layer = 0.1, 0, 5, 30, "1"
    canvas.step()
    canvas.wait(LONG)
    assert canvas._session.last.index == 1 and canvas._session.last.total == 60
    canvas.octaves = 1
    canvas.step()
    canvas.wait(LONG)
    assert canvas._session.last.index == 0


def test_a_dream_from_noise_goes_on_whatever_other_canvases_dream_from(make, network):
    canvas, other = make(network, seed=3, steps=3, octaves=1), make(network, steps=1, octaves=1)
    canvas.step()
    assert canvas.wait(60)
    for seed in range(10, 16):
        other.seed = seed
    canvas.lr = 0.03
    canvas.step()
    assert canvas.wait(60)
    assert canvas._session.last.index == 1 and canvas._session.changes == [(1, {"lr": 0.03})]
    canvas.seed = 4
    canvas.seed = 3
    assert canvas._session.differing == set() and canvas.notes == ""


def test_an_objective_that_takes_long_to_check_leaves_the_run_its_own_until_then(make, monkeypatch, hurried):
    canvas, may = make(octaves=1, steps=3), threading.Event()
    before = canvas.expression
    check = dreaming.check_objective
    monkeypatch.setattr(dreaming, "check_objective", lambda *given: may.wait(LONG) and check(*given))
    canvas.step()
    assert canvas.wait(LONG)
    canvas.objective = channel("2", 1) * 2.0
    canvas._session.step()
    assert canvas._session.wait(LONG) and canvas._session.state == "paused", canvas._session.error
    assert str(canvas._session.options["objective"]) == before
    may.set()
    assert canvas.wait(LONG) and canvas.expression == str(canvas.objective)
    canvas.step()
    assert canvas.wait(LONG) and canvas._session.options["objective"] is canvas.objective


def test_a_mask_confines_the_dream(make, network, image):
    mask = torch.zeros(32, 48)
    mask[:, 24:] = 1
    canvas = played(make(network, image, activity("2").within(mask), octaves=1))
    changed = (canvas.result != image).any(1)[0]
    assert changed[:, 24:].any() and not changed[:, :24].any()


def test_running_is_a_switch(make):
    canvas = make()
    canvas.running = True
    assert canvas.wait(LONG) and canvas.state == "finished" and not canvas.running
    canvas.steps = 200
    canvas.set_state({"running": True})
    canvas.set_state({"running": False})
    assert canvas.wait(LONG) and canvas.state == "paused" and not canvas.running


def test_it_can_be_made_running(make):
    canvas = make(running=True)
    assert canvas.wait(LONG) and canvas.state == "finished"


def test_stop_and_restart(make):
    canvas = make(steps=200)
    canvas.play()
    canvas.stop()
    assert canvas.wait(LONG) and canvas.state == "stopped" and not canvas.running
    canvas.steps = 1
    canvas.restart()
    assert canvas.wait(LONG) and canvas.state == "finished"


def test_an_error_in_the_run_is_a_line_and_the_next_run_works(make, image):
    class Fragile(nn.Module):
        broken = False

        def forward(self, x):
            return x * torch.nan if self.broken else x

    network = nn.Sequential(nn.Conv2d(3, 4, 3), Fragile())
    canvas = make(Network(network, device="cpu"), image, layer="1")
    canvas.step()
    canvas.wait(LONG)
    good = canvas.result
    Fragile.broken = True
    canvas.play()
    canvas.wait(LONG)
    assert canvas.state == "error" and "finite" in canvas.error and torch.equal(canvas.result, good)
    Fragile.broken = False
    assert played(canvas).state == "finished" and canvas.error == ""


def reproduced(canvas, network, image, **names):
    scope = {"network": network, "image": image, **names}
    exec(canvas.recipe(), scope)
    return scope["picture"]


def test_the_recipe_of_a_finished_run_makes_the_same_picture(make, network, image):
    canvas = played(make())
    assert torch.equal(reproduced(canvas, network, image), canvas.result)


def test_the_recipe_knows_what_changed_and_where_it_rests(make, network, image):
    canvas = make(network, image[0], steps=3)
    for change in ({"lr": 0.3}, {"layer": "1", "jitter": 0}, {"channel": 2}, {}):
        canvas.step()
        canvas.wait(LONG)
        canvas.set_state(change)
    assert torch.equal(reproduced(canvas, network, image[0]), canvas.result)


def test_the_recipe_of_noise_needs_no_image(make, network):
    canvas = played(make(start="noise", seed=3))
    assert torch.equal(reproduced(canvas, network, None), canvas.result)


def test_the_recipe_before_the_first_step_is_what_play_would_do(make, network, image):
    canvas = make()
    planned = reproduced(canvas, network, image)
    assert torch.equal(planned, played(canvas).result)


def test_a_network_of_the_users_stays_as_it_is(make, network, image):
    before = copy.deepcopy(network.state_dict())
    network.train()
    played(make())
    assert network.training and not any(len(m._forward_hooks) for m in network.modules())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_a_closed_or_forgotten_canvas_leaves_no_worker(network, image):
    canvas = DreamCanvas(network, image, steps=200)
    canvas.play()
    canvas.close()
    assert none_left()
    canvas = DreamCanvas(network, image, steps=200)
    canvas.play()
    gone = weakref.ref(canvas)
    # ipywidgets and the comm keep every widget until it is closed; without them nothing does.
    ipywidgets.widgets.widget._instances.pop(canvas.model_id)
    comm: Any = canvas.comm
    comm.on_msg(None)
    del canvas, comm
    assert collected(gone) and none_left()


def test_repr_is_the_same_everywhere(make):
    canvas = make(layer="2")
    assert repr(canvas) == "DreamCanvas(Sequential · 32 × 48, activity('2'), ready)"
    assert repr(played(canvas)) == "DreamCanvas(Sequential · 32 × 48, activity('2'), finished, step 4 of 4)"
