"""What has come of a dream is said in words, from what the networks answer to it."""

import re

import pytest
import torch
from torch import nn

from nbvis.engine import Network, activations, activity, channel, logit

LONG = 60.0
LABELS = ["crane", "tabby", "tiger cat", "flamingo"]


@pytest.fixture
def judge():
    torch.manual_seed(5)
    module = nn.Sequential(nn.Conv2d(3, 5, 7), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 4))
    return Network(module, labels=LABELS, device="cpu")


def said(canvas):
    """The verdict on the run's end."""
    assert canvas.play() is None and canvas.wait(LONG)
    look = canvas._lookout.ask(lambda: None, canvas._tell_nothing, aside=True)
    assert look.wait(LONG)
    return canvas.verdict


@pytest.fixture(autouse=True)
def nothing(monkeypatch):
    monkeypatch.setattr("nbvis.DreamCanvas._tell_nothing", lambda self, found: None, raising=False)


def test_of_a_channel_it_says_how_much_more_it_answers_and_which_place_it_has(make, network, image):
    canvas = make(network, image, channel("0", 3), octaves=1, steps=8, lr=0.1)
    words = said(canvas)
    before, after = (activations(network, each, ["0"])["0"][0].mean((1, 2)) for each in (image, canvas.result))
    place, was = (int((each > each[3]).sum()) + 1 for each in (after, before))
    found = re.fullmatch(
        r"Channel 3 of 0 answers with (\S+) on average, .*; it is the (\d+)\w\w of 8 channels.*\.", words
    )
    assert found and int(found[2]) == place and (f"before the {was}" in words) == (place != was)
    assert float(found[1].replace("−", "-")) == pytest.approx(after[3].item(), rel=0.01)


def test_of_a_masked_channel_it_is_said_where_it_is_painted(make, network, image):
    mask = torch.zeros(32, 48)
    mask[:, 24:] = 1
    canvas = make(network, image, channel("0", 3).within(mask), octaves=1, steps=8, lr=0.1)
    words = said(canvas)
    answers = activations(network, canvas.result, ["0"])["0"][0, 3]
    weights = torch.stack([torch.stack([  # the slow way: the share of each cell that is painted
        mask[row * 32 // 30 : -(-(row + 1) * 32 // 30), column * 48 // 46 : -(-(column + 1) * 48 // 46)].mean()
        for column in range(46)]) for row in range(30)])  # fmt: skip
    mean = ((answers * weights).sum() / weights.sum()).item()
    found = re.match(r"Channel 3 of 0 answers with (\S+) on average where it is painted", words)
    assert found and float(found[1].replace("−", "-")) == pytest.approx(mean, rel=0.01)


def test_of_a_channel_without_places_it_is_said_too(make, network, image):
    canvas = make(network, image, channel("5", 2), octaves=1)
    words = said(canvas)
    found = re.match(r"Channel 2 of 5 answers with (\S+) on average", words)
    assert found and float(found[1].replace("−", "-")) == pytest.approx(network(canvas.result)[0, 2].item(), rel=0.01)


def test_of_a_class_it_says_how_likely_it_has_become(make, network, image):
    canvas = make(Network(network, labels=LABELS), image, logit(1), octaves=1, steps=8, lr=0.1)
    words = said(canvas)
    first, now = (network(each).softmax(1)[0, 1].item() for each in (image, canvas.result))
    assert words == f"tabby: {first:.2f} → {now:.2f}." and now > first


def test_another_network_says_what_it_sees(make, network, image, judge):
    canvas = make(Network(network, labels=LABELS), image, logit(1), octaves=1, judge=judge)
    words = said(canvas)
    first, now = (judge(each).softmax(1)[0] for each in (image, canvas.result))
    seen = [f"{LABELS[int(each.argmax())]} {each.max():.2f}" for each in (first, now)]
    assert f"Seen by another network: {seen[0]} → {seen[1]}" in words
    place = int((now > now[1]).sum()) + 1
    assert ("tabby is" in words) == (place != 1)


def test_a_judge_that_is_given_later_is_asked_about_the_picture_that_rests(make, network, image, judge):
    canvas = make(network, image, activity("0"), octaves=1)
    assert said(canvas) == ""
    canvas.judge = judge
    look = canvas._lookout.ask(lambda: None, canvas._tell_nothing, aside=True)
    assert look.wait(LONG) and canvas.verdict.startswith("Seen by another network: ")


def test_a_run_that_begins_takes_the_verdict_on_the_last_picture_away(make, network, image, heard):
    canvas = make(network, image, channel("0", 3), octaves=1)
    assert said(canvas)
    told = []
    canvas.observe(lambda change: told.append(change["new"]), "verdict")
    canvas.lr = 0.2
    assert said(canvas) and told[0] == "" and told[-1] == canvas.verdict


def test_what_is_no_network_is_no_judge(make):
    with pytest.raises(TypeError, match="int"):
        make().judge = 3
