import base64
import copy
import io
import re
import threading
import weakref
from typing import Any

import ipywidgets
import pytest
import torch
from PIL import Image
from torch import nn

from nbvis import DropoutInverter
from nbvis.engine import Network, invert_dropout, last
from nbvis.sessions import picture
from nbvis.widgets.inversion_pictures import dropped_line, mask_picture
from nbvis.widgets.inverting import LEVELS
from tests.workers import collected, none_left

LONG = 60.0


@pytest.fixture
def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3),
        nn.ReLU(),
        nn.Dropout2d(0.4),
        nn.Conv2d(8, 6, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(6 * 12 * 16, 4),
    )


@pytest.fixture
def plain():
    """A network without dropout."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4))


class Barrier(nn.Module):
    """Lets nothing through while it is shut, so that a test can act in the middle of a step."""

    opened, reached = threading.Event(), threading.Event()

    def forward(self, x):
        self.reached.set()
        assert self.opened.wait(LONG)
        return x

    @classmethod
    def shut(cls):
        cls.opened.clear()
        cls.reached.clear()


@pytest.fixture
def slow(network):
    """A network with a barrier."""
    Barrier.opened.set()
    yield nn.Sequential(Barrier(), network)
    Barrier.opened.set()


@pytest.fixture
def image():
    return torch.rand(1, 3, 16, 20, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def make(network, image):
    made = []

    def make(*given, **options):
        options = {"steps": 8, "tolerance": 1e-6} | options
        made.append(DropoutInverter(*(given or (network, image)), **options))
        return made[-1]

    yield make
    for inverter in made:
        inverter.close()


def played(inverter):
    inverter.play()
    return rested(inverter)


def rested(inverter):
    assert inverter.wait(LONG)
    return inverter


def stepped(inverter, **changes):
    inverter.step()
    rested(inverter)
    for name, value in changes.items():
        setattr(inverter, name, value)
    return inverter


def joined(inverter, heard):
    messages = heard(inverter)
    inverter._on_message(inverter, {"type": "joined", "view": "a", "lab": True}, [])
    assert inverter.wait(LONG)
    return messages


def decoded(data):
    return Image.open(io.BytesIO(data))


def test_it_gives_what_the_engine_gives(make, network, image):
    inverter = played(make(samples=2, seed=3))
    found = last(invert_dropout(network, "7", image, samples=2, seed=3, steps=8, tolerance=1e-6))
    assert inverter.state == "finished" and not inverter.running and inverter.error == "" and none_left()
    assert torch.equal(inverter.result, found.image) and torch.equal(inverter.last.loss, found.loss)
    assert inverter.masks.keys() == {"2", "6"} and torch.equal(inverter.masks["6"], found.masks["6"])


def test_before_the_first_step_it_shows_its_image(make, image):
    inverter = make()
    assert inverter.state == "ready" and torch.equal(inverter.result, image)
    assert inverter.last is None and inverter.masks == {} and inverter.predictions == [] and inverter.dropped == {}


def test_an_image_without_a_batch_is_one_image(make, network, image):
    assert torch.equal(make(network, image[0]).result, image)


@pytest.mark.parametrize("channels", [1, 2, 6])
def test_any_number_of_channels(make, channels):
    network = nn.Sequential(nn.Conv2d(channels, 4, 3), nn.Dropout(), nn.Conv2d(4, 2, 3))
    inverter = played(make(network, torch.rand(1, channels, 10, 12)))
    assert inverter.state == "finished" and inverter.result.shape == (1, channels, 10, 12)
    assert ("The image has" not in inverter.notes) == (channels == 1)


@pytest.mark.parametrize(
    ("image", "error", "message"),
    [
        (torch.rand(2, 3, 16, 20), ValueError, "a DropoutInverter takes one image, not 2"),
        (torch.rand(16, 20), ValueError, r"\(16, 20\)"),
        (torch.rand(1, 3, 16, 20) * 255, ValueError, r"lie in \[0, 1\]"),
        (torch.full((1, 3, 16, 20), torch.nan), ValueError, "NaN"),
        (torch.zeros(1, 3, 16, 20, dtype=torch.uint8), TypeError, "divide by 255"),
        (torch.rand(1, 4, 16, 20), RuntimeError, "4"),
        ("cat.png", FileNotFoundError, "there is no file .cat.png. in "),
    ],
)
def test_a_bad_image_is_refused_before_anything_runs(network, image, error, message):
    with pytest.raises(error, match=message):
        DropoutInverter(network, image)


def test_an_unknown_option_is_named_with_its_neighbours(network, image):
    with pytest.raises(TypeError, match=r"no option 'sampels'; did you mean 'samples'"):
        DropoutInverter(network, image, sampels=3)


def test_each_layer_says_whether_dropout_acts_before_it(make):
    inverter = make()
    assert [(row["name"], row["reason"]) for row in inverter.layers] == [
        ("0", "no dropout before it"),
        ("1", "no dropout before it"),
        *[(name, "") for name in "234567"],
    ]
    assert list(inverter.layers[3].values())[:3] == ["3", "Conv2d", [6, 12, 16]] and inverter.layer == "7"


def test_each_call_of_a_reused_layer_has_its_own_reason(make, image):
    relu = nn.ReLU()
    network = nn.Sequential(nn.Conv2d(3, 4, 3), relu, nn.Dropout(), nn.Conv2d(4, 4, 3), relu)
    inverter = make(network, image)
    reasons = {row["name"]: row["reason"] for row in inverter.layers}
    assert reasons["1:0"] and not reasons["1:1"] and not reasons["1"]
    inverter.layer = "1:1"
    assert played(inverter).state == "finished"
    with pytest.raises(ValueError, match="no dropout acts before layer '1:0'"):
        inverter.layer = "1:0"


def test_a_layer_before_all_dropout_is_refused_with_those_behind_one(make, network, image):
    message = "no dropout acts before layer '1'; it does before '2', '3', '4', '5', '6', '7'; insert=True puts some"
    with pytest.raises(ValueError, match=re.escape(message)):
        make(network, image, "1")
    inverter = make()
    inverter.set_state({"layer": "1"})
    assert inverter.layer == "7" and message in inverter.error


def test_dropout_can_be_inserted_at_such_a_layer(make, network, image):
    inverter = played(make(network, image, "1", insert=True, p=0.5))
    assert inverter.masks.keys() == {"1"} and inverter.masks["1"].shape == (1, 8, 14, 18)
    found = last(invert_dropout(network, "1", image, insert="1", p=0.5, steps=8, tolerance=1e-6))
    assert torch.equal(inverter.result, found.image) and len(network) == 8
    with pytest.raises(ValueError, match="no dropout acts before layer '1'"):
        inverter.insert = False
    assert inverter.insert


def test_inserted_dropout_has_a_probability(make, network, image):
    inverter = make(network, image, "1", insert=True)
    assert inverter.p == 0.3
    inverter.p = 0.6
    inverter.p = None
    assert inverter.p == 0.3


def test_a_view_inserts_dropout(make):
    inverter = make()
    inverter._on_message(inverter, {"type": "insert", "layer": "0"}, [])
    assert (inverter.layer, inverter.insert, inverter.p, inverter.error) == ("0", True, 0.3, "")
    inverter._on_message(inverter, {"type": "insert", "layer": "9"}, [])
    assert inverter.layer == "0" and "no layer '9'" in inverter.error
    inverter.set_state({"layer": "7", "insert": False})
    assert (inverter.layer, inverter.insert, inverter.error) == ("7", False, "")


def test_a_network_without_dropout_waits_for_a_layer_to_insert_it_at(make, plain, image):
    inverter = played(make(plain, image))
    assert inverter.layer == "" and all(row["reason"] for row in inverter.layers)
    assert inverter.state == "error" and "Sequential has no dropout: choose a layer and insert some" in inverter.error
    inverter._on_message(inverter, {"type": "insert", "layer": "2"}, [])
    assert played(inverter).state == "finished" and inverter.masks["2"].shape == (1, 8, 1, 1)


def test_there_any_layer_can_be_chosen_and_play_says_what_is_missing(make, plain, image):
    inverter = played(make(plain, image, "2"))
    assert inverter.state == "error" and re.search("no dropout acts before layer '2'.*insert=", inverter.error)
    inverter.insert = True
    assert played(inverter).state == "finished" and inverter.error == ""


def test_dropout_is_inserted_somewhere(make, plain, image):
    with pytest.raises(ValueError, match="dropout is inserted after a layer: set layer too"):
        make(plain, image, insert=True)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("layer", "convolution", "no layer 'convolution'; there are '0', '1'"),
        ("layer", "", "no layer ''"),
        ("p", 1, "Dropout p (p) is a number from 0 to 0.95, not 1"),
        ("samples", 7, "Samples (samples) is a whole number from 1 to 6, not 7"),
        ("sample", 2, "no sample 2: there are 2, 0 to 1"),
        ("tolerance", 0, "Tolerance (tolerance) is a number from 1e-08 to 10, not 0"),
        ("lr", None, "Learning rate (lr) is a number from 0.0001 to 1, not None"),
    ],
)
def test_a_value_that_cannot_be_is_refused_alike_by_python_and_panel(make, name, value, message):
    inverter = make(samples=2)
    before = getattr(inverter, name)
    with pytest.raises(ValueError, match=re.escape(message)):
        setattr(inverter, name, value)
    assert getattr(inverter, name) == before and inverter.error == ""
    inverter.set_state({name: value})
    assert getattr(inverter, name) == before and message in inverter.error


def test_without_p_each_dropout_has_its_own(make):
    inverter = played(make(p=None))
    assert inverter.masks["6"].mean() == pytest.approx(0.5, abs=0.05)
    inverter.p = 0.9
    assert rested(inverter).masks["6"].mean() == pytest.approx(0.1, abs=0.05)


def test_a_higher_p_drops_the_same_units_and_more(make):
    inverter = played(make(p=0.3))
    before = inverter.masks["6"]
    inverter.p = 0.6
    after = rested(inverter).masks["6"]
    assert (after <= before).all() and after.sum() < before.sum()


def test_a_finished_inversion_follows_what_it_is_about(make):
    inverter = played(make(p=0.3))
    small = inverter.result
    inverter.p = 0.6
    assert inverter.state == "running" and rested(inverter).state == "finished"
    assert not torch.equal(inverter.result, small)
    inverter.p = 0.3
    assert torch.equal(rested(inverter).result, small)


@pytest.mark.parametrize("change", [{"lr": 0.1}, {"tolerance": 0.1}])
def test_a_finished_inversion_stays_if_only_the_way_there_changes(make, change):
    inverter = played(make())
    found = inverter.result
    inverter.set_state(change)
    assert inverter.state == "finished" and torch.equal(rested(inverter).result, found)


def test_one_that_waits_goes_on_waiting(make):
    inverter = make()
    inverter.p = 0.4
    assert inverter.state == "ready"
    stepped(inverter, p=0.5)
    assert inverter.state == "paused" and rested(inverter).last.index == 0


def test_another_mask_is_the_next_seed(make):
    inverter = played(make())
    before = inverter.masks["6"]
    inverter._on_message(inverter, {"type": "resample"}, [])
    assert inverter.seed == 1 and rested(inverter).state == "finished"
    assert not torch.equal(inverter.masks["6"], before)
    inverter.seed = 0
    assert torch.equal(rested(inverter).masks["6"], before)


def test_learning_rate_and_tolerance_change_mid_run(make):
    inverter = stepped(make(steps=50), lr=0.05, tolerance=10.0)
    stepped(inverter)
    assert inverter.last.index == 1 and inverter.last.converged.all()
    assert inverter._session.changes == [(1, {"lr": 0.05, "tolerance": 10.0})]


@pytest.mark.parametrize(
    "change", [{"layer": "4"}, {"p": 0.2}, {"samples": 2}, {"seed": 4}, {"steps": 9}, {"bounded": False}]
)
def test_whatever_else_changes_begins_again(make, change):
    inverter = stepped(make(), **change)
    stepped(inverter)
    assert inverter.last.index == 0 and inverter.state == "paused"


def test_a_sweep_is_one_mask_that_grows(make, network, image):
    inverter = make(p=0.6)
    inverter.sweep = True
    assert rested(inverter).state == "finished" and inverter.sample == 5
    masks = inverter.masks["6"]
    assert inverter.result.shape == (9, 3, 16, 20) and (masks[1:] <= masks[:-1]).all()
    alone = last(invert_dropout(network, "7", image, p=0.3, steps=8, tolerance=1e-6))
    assert torch.equal(masks[2:3], alone.masks["6"])
    assert (inverter.last.noisy_output[2:3] - alone.noisy_output).abs().max() < 1e-6


@pytest.mark.parametrize("change", [{"p": 0.2}, {"samples": 2}, {"sweep": False}])
def test_a_sweep_ends_with_another_p_or_number_of_samples(make, change):
    inverter = make()
    inverter.sweep = True
    rested(inverter)
    inverter.set_state(change)
    assert not inverter.sweep and inverter.sample == min(2, inverter.samples - 1)
    assert len(rested(inverter).result) == inverter.samples


def test_it_can_be_made_sweeping_or_running(make):
    assert len(rested(make(sweep=True)).result) == 9
    assert rested(make(running=True)).state == "finished"


def test_a_sweep_stops(make, slow, image):
    inverter = make(slow, image)
    Barrier.shut()
    inverter.sweep = True
    assert Barrier.reached.wait(LONG)
    inverter.stop()
    Barrier.opened.set()
    assert rested(inverter).state == "stopped" and inverter.sweep and len(inverter.result) == 9


def frames(messages):
    return [(header, buffers) for header, buffers in messages if header["type"] == "frame"]


def test_before_the_first_step_a_view_gets_the_original(make, heard, image):
    (header, buffers), *_ = frames(joined(make(), heard))
    assert header["format"] == "png" and header["pictures"] == {"original": 0}
    assert decoded(buffers[0]).tobytes() == picture(image).tobytes()
    assert header["loss"] == header["converged"] == header["levels"] == header["curve"] == []


def test_a_frame_at_rest_has_every_picture_without_loss(make, heard, image):
    inverter = make(samples=3, p=0.4)
    messages = joined(inverter, heard)
    inverter.sample = 1
    played(inverter)
    header, buffers = frames(messages)[-1]
    at = header["pictures"]
    assert set(at) == {"original", "corrupted", "difference", "mask", "strip"} and len(at["strip"]) == 3
    assert all(buffer.startswith(b"\x89PNG") for buffer in buffers) and len(buffers) == 7
    assert header["shown"] == 1 and header["levels"] == [0.4] * 3 and header["tolerance"] == 1e-6
    assert header["loss"] == inverter.last.loss.tolist() and header["converged"] == inverter.last.converged.tolist()
    assert [index for index, _ in header["curve"]] == list(range(inverter.last.index + 1))
    assert header["curve"][-1][1] == max(header["loss"])
    shown = inverter.result[1:2]
    assert decoded(buffers[at["corrupted"]]).tobytes() == picture(shown).tobytes()
    difference = shown - image
    amplified = picture(0.5 + header["factor"] * difference)
    assert decoded(buffers[at["difference"]]).tobytes() == amplified.tobytes()
    assert (header["low"], header["high"]) == (difference.min().item(), difference.max().item())
    every = (inverter.result - image).abs()
    assert ((header["factor"] * every) < 0.5).float().mean() == pytest.approx(0.995, abs=0.005)


def test_while_it_runs_only_what_changed_goes_out(make):
    inverter = stepped(make(samples=2))
    paint, session = inverter._painter, inverter._session
    inverter._on_message(inverter, {"type": "joined", "view": "a", "lab": True}, [])
    assert inverter.wait(LONG)
    paint.complete = True
    every, _ = paint(session, "jpeg")
    header, buffers = paint(session, "jpeg")
    assert set(every["pictures"]) == {"original", "corrupted", "difference", "mask", "strip"}
    assert set(header["pictures"]) == {"corrupted", "difference", "strip"}
    assert all(buffer.startswith(b"\xff\xd8") for buffer in buffers)
    stepped(inverter, seed=5)
    stepped(inverter)
    header, buffers = paint(session, "jpeg")
    assert "mask" not in header["pictures"]  # the frame at rest had it
    inverter._painter.row = 1
    header, buffers = paint(session, "jpeg")
    assert buffers[header["pictures"]["mask"]].startswith(b"\x89PNG")


def test_another_sample_is_shown_at_once(make, heard):
    inverter = played(make(samples=2))
    messages = joined(inverter, heard)
    inverter.set_state({"sample": 1})
    assert inverter.wait(LONG)
    header, buffers = frames(messages)[-1]
    assert header["shown"] == 1 and header["format"] == "png"
    corrupted = decoded(buffers[header["pictures"]["corrupted"]])
    assert corrupted.tobytes() == picture(inverter.result[1:2]).tobytes()


def test_fewer_samples_show_one_that_is_left(make):
    inverter = played(make(samples=3))
    inverter.sample = 2
    inverter.samples = 2
    assert inverter.sample == 1


def test_predictions_are_those_of_the_sample_shown(make, network, image):
    labels = ["ant", "bee", "cat", "dog"]
    inverter = played(make(Network(network, labels=labels), image, samples=2))
    for row in (0, 1):
        inverter.sample = row
        assert inverter.wait(LONG)
        step = inverter.last
        outputs = {"clean": step.clean_output, "noisy": step.noisy_output, "corrupted": step.corrupted_output}
        for which, output in outputs.items():
            expected = output[row].softmax(0)
            for answer in inverter.predictions:
                assert answer[which] == pytest.approx(expected[labels.index(answer["label"])].item(), abs=1e-6)
    assert inverter.predictions[0]["label"] == labels[step.clean_output[0].argmax()]


def test_a_network_without_classes_has_no_predictions(make, image):
    network = nn.Sequential(nn.Dropout(), nn.Conv2d(3, 4, 3))
    inverter = played(make(network, image))
    assert inverter.state == "finished" and inverter.predictions == []


@pytest.mark.parametrize(
    ("dropout", "total", "what"),
    [(nn.Dropout(0.5), 3 * 16 * 20, "units"), (nn.Dropout2d(0.5), 3, "channels")],
)
def test_what_was_dropped_is_counted(make, image, dropout, total, what):
    inverter = played(make(nn.Sequential(dropout, nn.Conv2d(3, 4, 3)), image, seed=1))
    count = int((inverter.masks["0"] == 0).sum())
    assert inverter.dropped == {"place": "0", "total": total, "dropped": count, "what": what}


def test_the_mask_shown_is_that_of_the_dropout_nearest_to_the_layer(make):
    assert played(make()).dropped["place"] == "6"
    assert played(make(layer="4")).dropped == {"place": "2", "total": 8, "what": "channels"} | {
        "dropped": int((played(make(layer="4")).masks["2"] == 0).sum())
    }


def test_a_tolerance_that_was_met_from_the_start_is_said(make, image):
    inverter = played(make(tolerance=10.0))
    assert inverter.notes == "The picture is the original: its loss was within the tolerance from the start."
    inverter.p = 0
    assert rested(inverter).notes == "The picture is the original: dropout changed nothing."
    assert torch.equal(inverter.result, image)


def test_a_tolerance_that_is_not_reached_is_said_with_the_reason(make):
    inverter = played(make(steps=2, tolerance=1e-8))
    assert re.search("The picture did not reach the tolerance of 1e-08.*2 steps are spent", inverter.notes)


def test_a_loss_that_is_not_finite_stops_it_and_the_picture_stays(make, image):
    class Fragile(nn.Module):
        broken = False

        def forward(self, x):
            return x * torch.nan if self.broken else x

    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Dropout(), Fragile(), nn.Flatten())
    inverter = stepped(make(Network(network, device="cpu"), image, "3", steps=50, tolerance=1e-8))
    good = inverter.result
    Fragile.broken = True
    assert re.search(r"the loss of row 0 is nan at step \d+", played(inverter).error)
    assert torch.equal(inverter.result, good) and torch.isfinite(inverter.result).all()
    inverter.restart()
    assert rested(inverter).state == "error" and "NaN or infinite" in inverter.error
    assert torch.equal(inverter.result, good)
    Fragile.broken = False
    assert played(inverter).state == "finished" and inverter.error == ""


def test_a_network_of_the_users_stays_as_it_is(make, network, image):
    norm = nn.Sequential(nn.BatchNorm2d(3), network).train()
    before, chance = copy.deepcopy(norm.state_dict()), torch.random.get_rng_state()
    inverter = played(make(norm, image))
    inverter.sweep = True
    rested(inverter)
    assert all(part.training and not part._forward_hooks for part in norm.modules())
    assert all(torch.equal(value, before[name]) for name, value in norm.state_dict().items())
    assert torch.equal(torch.random.get_rng_state(), chance)


def test_running_is_a_switch_and_stop_ends_it(make, slow, image):
    inverter = make(slow, image)
    Barrier.shut()
    inverter.set_state({"running": True})
    assert Barrier.reached.wait(LONG)
    inverter.set_state({"running": False})
    Barrier.opened.set()
    assert rested(inverter).state == "paused" and not inverter.running
    inverter.stop()
    assert inverter.state == "stopped"


def test_link_follows_the_layer(make):
    inverter = make()
    inverter.unit = ("4", 3)
    assert inverter.unit == ("4", None) and inverter.layer == "4"


def reproduced(inverter, network, image):
    scope = {"network": network, "image": image}
    exec(inverter.recipe(), scope)
    return scope["picture"]


@pytest.mark.parametrize(
    "options",
    [{}, {"samples": 3, "p": 0.2, "seed": 7, "bounded": False}, {"layer": "1", "insert": True}, {"sweep": True}],
)
def test_the_recipe_of_a_finished_inversion_makes_the_same_pictures(make, network, image, options):
    inverter = played(make(**options))
    assert torch.equal(reproduced(inverter, network, image), inverter.result)


def test_the_recipe_knows_what_changed_and_where_it_rests(make, network, image):
    inverter = make(network, image[0], steps=50)
    for change in ({"lr": 0.05}, {"tolerance": 1e-7}, {"lr": 0.001, "tolerance": 1e-5}, {}):
        stepped(inverter, **change)
    assert torch.equal(reproduced(inverter, network, image[0]), inverter.result)


def test_the_recipe_before_the_first_step_is_what_play_would_do(make, network, image):
    inverter = make()
    planned = reproduced(inverter, network, image)
    assert torch.equal(planned, played(inverter).result)


def test_after_an_error_the_recipe_is_still_that_of_the_picture(make, plain, image):
    inverter = played(make(plain, image, "2", insert=True))
    inverter.insert = False
    assert rested(inverter).state == "error"
    assert torch.equal(reproduced(inverter, plain, image), inverter.result)


def test_notes_call_the_pictures_what_the_panel_calls_them(make):
    inverter = played(make(samples=2, steps=2))
    assert "2 rows (sample 1, sample 2) did not reach" in inverter.notes
    inverter.sweep = True
    assert "4 rows (p 0.6, p 0.7, p 0.8, p 0.9) did not reach" in rested(inverter).notes


def test_saving_writes_the_pictures_side_by_side_or_a_page(make, tmp_path):
    inverter = make(samples=2)
    inverter.save(tmp_path / "before.png")
    played(inverter).save(tmp_path / "inversion.png")
    with Image.open(tmp_path / "before.png") as before, Image.open(tmp_path / "inversion.png") as saved:
        assert saved.size == (before.width, 2 * before.height)
    inverter.save(tmp_path / "inversion.html")
    page = (tmp_path / "inversion.html").read_text(encoding="utf-8")
    pictures = [decoded(base64.b64decode(png)) for png in re.findall(r'src="data:image/png;base64,([^"]+)"', page)]
    assert pictures[1].tobytes() == picture(inverter.result[:1]).tobytes()
    assert pictures[-1].tobytes() == mask_picture(next(reversed(inverter.masks.values()))[0]).tobytes()
    alts = re.findall(r'<img alt="([^"]+)"', page)
    said = dropped_line(inverter.dropped)
    assert len(alts) == len(pictures) == 6 and alts[1].startswith("Corrupted · Sample 1: class ")
    assert said in alts[-1] and f"<p>{said} Dark: dropped. Light: kept.</p>" in page
    for each in inverter.predictions:
        shares = [f"{each[name]:.2f}</td>" for name in ("clean", "noisy", "corrupted")]
        row = page.partition(f'<th scope="row">{each["label"]}</th>')[2].partition("</tr>")[0]
        assert [share in row for share in shares] == [True] * 3 and row.count("<td>") == 3
    assert "Dropout inverted at 7" in page and "invert_dropout(network" in page and "<dd>0</dd>" in page
    assert not re.search(r"https?://|<script", page)
    with pytest.raises(ValueError, match=r"\.png and \.html, not to \.gif"):
        inverter.save(tmp_path / "inversion.gif")


def test_a_closed_or_forgotten_inverter_leaves_no_worker(slow, image):
    inverter = DropoutInverter(slow, image)
    inverter.play()
    inverter.close()
    assert none_left()
    inverter = DropoutInverter(slow, image)
    Barrier.shut()
    inverter.play()
    assert Barrier.reached.wait(LONG)
    gone = weakref.ref(inverter)
    Barrier.opened.set()
    # ipywidgets and the comm keep every widget until it is closed; without them nothing does.
    ipywidgets.widgets.widget._instances.pop(inverter.model_id)
    comm: Any = inverter.comm
    comm.on_msg(None)
    del inverter, comm
    assert collected(gone) and none_left()


def test_repr_is_the_same_everywhere(make):
    inverter = make()
    assert repr(inverter) == "DropoutInverter(Sequential · 16 × 20, '7', own p, ready)"
    inverter._on_message(inverter, {"type": "insert", "layer": "1"}, [])
    assert repr(inverter) == "DropoutInverter(Sequential · 16 × 20, '1' inserted, p 0.3, ready)"
    inverter.sweep = True
    assert repr(rested(inverter)) == "DropoutInverter(Sequential · 16 × 20, '1' inserted, p 0.1 to 0.9, finished)"
    assert inverter._session.origin["p"] is LEVELS
