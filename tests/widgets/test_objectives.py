"""The objective of a canvas: typed, put together from terms, and weighed while it runs."""

import io
import json
import re
import threading

import pytest
import torch
import traitlets as t
from PIL import Image
from torch import nn

from nbvis import DreamCanvas
from nbvis.engine import Network, activity, channel, custom, dream, guide, last, logit
from nbvis.widgets import dreaming

LONG = 60.0
LABELS = ["crane", "tabby, tabby cat", "tiger cat", "crane"]


def reply(canvas, heard, **question):
    """What a view gets for a question."""
    messages = heard(canvas)
    canvas._handle_custom_msg(question | {"id": "it"}, [])
    (answer,) = [content for content, _ in messages if content["type"] == "reply"]
    return json.loads(answer["text"])


def png(color):
    file = io.BytesIO()
    Image.new("RGB", (20, 10), color).save(file, "png")
    return file.getvalue()


def test_a_formula_says_what_to_dream_of(make, network, image):
    canvas = make(Network(network, labels=LABELS), image)
    canvas.formula = "'0'[1] + 0.5*logit[tabby] - activity('2')"
    assert canvas.expression == str(canvas.objective) == "channel('0', 1) + 0.5 * logit(1) - activity('2')"
    assert canvas.formula == "'0'[1] + 0.5 * logit[1] - activity('2')" and canvas.weights == [1, 0.5, -1]
    assert [row["text"] for row in canvas._terms] == ["'0'[1]", "logit[1]", "activity('2')"]
    assert canvas.unit == ("0", 1) and canvas.play() is None and canvas.wait(LONG)
    again = channel("0", 1) + 0.5 * logit(1) - activity("2")
    assert torch.equal(canvas.result, last(dream(network, again, image, steps=2, octaves=2, jitter=2, lr=0.01)).image)


def test_a_class_is_shown_by_its_label_as_soon_as_the_classes_are_known(make, network, image):
    canvas = make(Network(network, labels=LABELS[:3]), image, logit(1))
    assert canvas._trial is not None and canvas._trial.wait(LONG)
    assert canvas.labels == [*LABELS[:3], "class 3"] and canvas._terms[0]["label"] == LABELS[1]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("'0'[1] + '9'[1]", "no layer '9'"),
        ("'0'[8]", "no channel 8: 0 has 8, 0 to 7"),
        ("'0'[1] +", "here the formula ends"),
        ("logit[9]", "no class 9: there are 4, 0 to 3"),
        ("__import__('os')", "no function '__import__'"),
        ("", "here the formula ends"),
        ("2", "a number alone has nothing to climb"),
    ],
)
def test_a_formula_that_says_nothing_is_refused_alike_by_python_and_panel(make, text, reason):
    canvas = make()
    assert canvas._trial is not None and canvas._trial.wait(LONG)
    before = canvas.formula, canvas.expression
    with pytest.raises(ValueError, match=re.escape(reason)):
        canvas.formula = text
    assert (canvas.formula, canvas.expression) == before
    canvas.set_state({"formula": text})
    assert reason in canvas.error and (canvas.formula, canvas.expression) == before


def test_what_does_not_fit_the_network_is_refused_though_it_can_be_written(make, image):
    class Rounded(nn.Module):
        def forward(self, x):
            return x.detach()

    canvas = make(nn.Sequential(nn.Conv2d(3, 4, 3), Rounded()), image, layer="0")
    with pytest.raises(ValueError, match="no gradient"):
        canvas.formula = "'1'[0]"
    assert canvas.unit == ("0", None) and canvas.formula == "activity('0')"


def test_weights_act_on_the_run_that_goes(make, network, image):
    canvas = make(network, image, channel("0", 1) + channel("2", 3), steps=6, octaves=1)
    canvas.step()
    assert canvas.wait(LONG)
    canvas.set_state({"weights": [0.0, 2.5]})
    assert canvas.expression == "0 * channel('0', 1) + 2.5 * channel('2', 3)"
    assert canvas.play() is None and canvas.wait(LONG)
    assert [index for index, _ in canvas._session.changes] == [1] and canvas._session.last.index == 5
    run = dream(network, channel("0", 1) + channel("2", 3), image, steps=6, octaves=1, jitter=2, lr=0.01)
    next(run)
    run.send({"objective": 0 * channel("0", 1) + 2.5 * channel("2", 3)})
    assert torch.equal(canvas.result, last(run).image)


@pytest.mark.parametrize("weights", [[1.0], [1.0, float("nan")], [1.0, 2.0, 3.0]])
def test_weights_are_one_finite_number_for_each_term(make, network, image, weights):
    canvas = make(network, image, channel("0", 1) + channel("2", 3))
    with pytest.raises(t.TraitError, match="weights are 2 numbers, one for each term"):
        canvas.weights = weights
    assert canvas.weights == [1.0, 1.0]


def test_terms_are_added_and_left_out(make, network, image):
    canvas = make(Network(network, labels=LABELS), image, layer="0", channel=7)
    canvas._handle_custom_msg({"type": "add", "what": "unit"}, [])
    assert canvas.wait(LONG) and canvas.expression == "channel('0', 7) + channel('0', 0)"
    assert canvas.term == 1 and canvas.unit == ("0", 0)
    canvas._handle_custom_msg({"type": "add", "what": "class", "index": 2}, [])
    assert canvas.wait(LONG) and canvas.formula == "'0'[7] + '0'[0] + logit[2]"
    assert canvas.term == 2 and canvas.unit == ("", None)
    canvas._handle_custom_msg({"type": "remove", "term": 0}, [])
    assert canvas.formula == "'0'[0] + logit[2]" and canvas.term == 1
    canvas.remove(1)
    assert canvas.unit == ("0", 0) and canvas.weights == [1.0]
    with pytest.raises(ValueError, match="without a term there is nothing to climb"):
        canvas.remove(0)
    with pytest.raises(ValueError, match="no term 5: there are 1"):
        canvas.remove(5)
    with pytest.raises(ValueError, match="no channel 8"):
        canvas.add(channel("0", 8))
    assert canvas.formula == "'0'[0]"


def test_a_second_picture_guides_a_term_and_stays_when_the_formula_is_typed_anew(make, network, image):
    canvas = make(network, image, layer="2", channel=0)
    canvas._handle_custom_msg({"type": "guide", "name": "red.png"}, [png("red")])
    assert canvas.wait(LONG) and [row["text"] for row in canvas._terms] == ["'2'[0]", "guide('2', reference)"]
    assert canvas.formula == "'2'[0]" and canvas.error == ""
    canvas.formula = "'0'[1] + '0'[2]"
    assert canvas.expression == "channel('0', 1) + channel('0', 2) + guide('2', reference)"
    canvas.formula = ""
    assert canvas.expression == "guide('2', reference)" and canvas.formula == ""
    assert canvas.play() is None and canvas.wait(LONG)
    red = torch.tensor([1.0, 0, 0]).view(1, 3, 1, 1).expand(1, 3, 10, 20)
    twin = last(dream(network, guide("2", red), image, steps=2, octaves=2, jitter=2, lr=0.01))
    assert torch.equal(canvas.result, twin.image)
    canvas._handle_custom_msg({"type": "guide", "name": "no.png"}, [b"nothing"])
    assert canvas.wait(LONG) and "no.png" in canvas.error and canvas.expression == "guide('2', reference)"


def test_a_term_of_your_own_has_a_row_though_no_formula_says_it(make, network, image):
    def mean(found):
        return found.mean((1, 2, 3))

    canvas = make(network, image, 2 * custom(mean, "0") + channel("2", 1))
    assert canvas.formula == "'2'[1]" and canvas.weights == [2.0, 1.0]
    assert [row["text"] for row in canvas._terms] == ["custom(mean, '0')", "'2'[1]"] and canvas.unit == ("", None)


def test_a_mask_stays_with_its_term_whatever_becomes_of_the_others(make, network, image):
    mask = torch.zeros(32, 48)
    mask[:, 24:] = 1
    canvas = make(network, image, channel("0", 1).within(mask) + channel("2", 3), octaves=1)
    assert [row["masked"] for row in canvas._terms] == [True, False]
    canvas.formula = "3*'0'[1]"
    assert canvas.expression == "3 * channel('0', 1).within(mask)"
    canvas.weights = [2.0]
    canvas.channel = 5
    assert canvas.expression == "2 * channel('0', 5).within(mask)"
    assert canvas.play() is None and canvas.wait(LONG)
    changed = (canvas.result != image).any(1)[0]
    assert changed[:, 24:].any() and not changed[:, :24].any()


def test_while_one_types_the_panel_says_what_could_stand_there_and_what_is_wrong(make, network, image, heard):
    canvas = make(Network(network, labels=LABELS), image)
    said = reply(canvas, heard, type="formula", text="logit[ta", cursor=8)
    assert said["candidates"] == ["tabby, tabby cat", "tiger cat"] and (said["start"], said["end"]) == (6, 8)
    assert said["error"]["start"] == 6
    said = reply(canvas, heard, type="formula", text="'0'[1] + nowhere[2]", cursor=3)
    reason = said["error"].pop("reason")
    assert said["error"] == {"start": 9, "length": 7} and reason.startswith("no layer 'nowhere'")
    assert reply(canvas, heard, type="formula", text="'0'[1]", cursor=6)["error"] is None


def test_a_formula_given_before_the_network_is_seen_is_checked_with_it(network, image):
    canvas = DreamCanvas(network, image, formula="'0'[1] - '2'[2]", steps=1, octaves=1)
    assert canvas.wait(LONG) and canvas.expression == "channel('0', 1) - channel('2', 2)" and canvas.error == ""
    canvas.close()


def test_the_picture_of_a_visualisation_is_drawn_out_of_noise(make, network, image):
    canvas = make(network, image, logit(2), mode="visualise", side=24, updates=3)
    assert canvas.size == [24, 24] and canvas.result.shape == (1, 3, 24, 24) and canvas.state == "ready"
    assert canvas.play() is None and canvas.wait(LONG) and canvas.state == "finished" and canvas.error == ""
    assert canvas._session.last.total == 3 and activity("0") is not canvas.objective


def test_a_formula_that_is_typed_while_the_network_is_seen_holds_from_the_first_word_on(
    make, network, image, monkeypatch, hurried
):
    may, check = threading.Event(), dreaming.check_objective
    monkeypatch.setattr(dreaming, "check_objective", lambda *given: may.wait(LONG) and check(*given))

    class Slow(nn.Module):
        def forward(self, x):
            assert may.wait(LONG)
            return x

    canvas = make(nn.Sequential(Slow(), nn.Conv2d(3, 8, 3), nn.ReLU()), image, octaves=1)
    canvas.formula = "'1'[3]"
    told = []
    canvas.observe(lambda change: told.append(change["new"]), "expression")
    may.set()
    assert canvas.wait(LONG) and canvas.expression == "channel('1', 3)" and canvas._fits is canvas.objective
    assert told[-1] == "channel('1', 3)" and canvas.error == ""


@pytest.fixture
def held(monkeypatch, hurried):
    """Holds back what finds out whether an objective fits, until it is set."""
    may, check = threading.Event(), dreaming.check_objective
    monkeypatch.setattr(dreaming, "check_objective", lambda *given: may.wait(LONG) and check(*given))
    yield may
    may.set()


def test_a_run_that_is_begun_while_a_formula_is_looked_at_is_of_that_formula(make, network, image, held):
    canvas = make(network, image, octaves=1, steps=2)
    canvas.formula = "'2'[3] + '0'[1]"
    canvas.play()
    assert canvas.running and canvas._session.last is None
    held.set()
    assert canvas.wait(LONG) and canvas.state == "finished" and not canvas.running
    assert str(canvas._session.origin["objective"]) == "channel('2', 3) + channel('0', 1)"
    assert canvas._session.changes == [] and "changes" not in canvas.recipe()


def test_what_has_to_wait_for_a_formula_can_be_paused(make, network, image, held):
    canvas = make(network, image, octaves=1, steps=2)
    canvas.formula = "'2'[3]"
    canvas.play()
    canvas.pause()
    held.set()
    assert canvas.wait(LONG) and canvas._session.last is None and not canvas.running


def test_an_objective_that_does_not_fit_begins_nothing(make, network, image, held):
    canvas = make(network, image, octaves=1, steps=2)
    before = canvas.expression
    canvas.objective = channel("2", 3) + channel("0", 99)
    canvas.play()
    held.set()
    assert canvas.wait(LONG) and not canvas.running and canvas._session.last is None
    assert canvas.expression == before and "99" in canvas.error


def test_weights_that_follow_a_formula_wait_for_it(make, network, image, held):
    canvas = make(network, image, octaves=1)
    canvas.formula = "'2'[3] + '0'[1]"
    threading.Timer(0.2, held.set).start()
    canvas.weights = [0.5, 2.0]
    assert canvas.expression == "0.5 * channel('2', 3) + 2 * channel('0', 1)"


def test_a_formula_is_there_as_soon_as_the_network_is(network, image, held):
    canvas = DreamCanvas(network, image, formula="'0'[1] - '2'[2]", steps=1, octaves=1)
    assert canvas.weights == [1.0, -1.0] and canvas.formula == "'0'[1] - '2'[2]"
    with pytest.raises(ValueError, match=r"'0'\[1"):
        DreamCanvas(network, image, formula="'0'[1")
    canvas.close()


def test_a_layer_that_is_picked_while_a_formula_is_looked_at_stays_picked(make, held):
    canvas = make()
    canvas.set_state({"formula": "'0'[1] + '2'[3]"})
    assert canvas.expression == "channel('0', 1) + channel('2', 3)"
    canvas.objective = activity("1")
    canvas.layer = "2"
    held.set()
    assert canvas.wait(LONG) and canvas.expression == "activity('2')" == str(canvas._fits)
