"""A LayerExplorer that rests looks at what comes next: the layers around, and what the next channel sends back."""

import threading

import pytest
import torch

from nbvis.engine import attribute, energy, unit
from nbvis.sessions import answers
from nbvis.widgets import exploring, layer_explorer, questions
from tests.widgets.test_layer_explorer import LONG, make, maps, network, screen
from tests.workers import none_left

__all__ = ["make", "network", "screen"]
SECOND, LAST = "1", "6"


@pytest.fixture(autouse=True)
def asked(monkeypatch):
    """The layers that somebody had to wait for; nobody has to wait long for what comes next."""
    names, found = [], exploring._maps
    monkeypatch.setattr(exploring, "_maps", lambda *given: (names.append(given[2].names), found(*given))[1])
    monkeypatch.setattr(answers, "IDLE", 0.0)
    monkeypatch.setattr(layer_explorer, "QUICK", LONG)
    return names


def rests(explorer):
    """Waits until nothing more is looked at."""
    assert explorer.wait(LONG) and none_left()


def back_of(network, image, channel, seed):
    """What a channel of the layer sends back, as it is computed without a panel."""
    if seed == "map":
        return attribute(network, image, energy(SECOND, channel)).map
    found = maps(network, image, SECOND)[channel]
    return attribute(network, image, unit(SECOND, channel, *divmod(int(found.argmax()), found.shape[1]))).map


def test_all_layers_are_looked_at_once_it_rests(make, network, image, screen, asked):
    explorer = make(layer=SECOND, channel=0)
    screen(explorer).settled()
    rests(explorer)
    for row in explorer.layers:
        explorer.layer = row["name"]
        assert torch.equal(explorer.result.flatten(), maps(network, image, row["name"]).flatten())
    assert asked == [(SECOND,)]


def test_without_a_view_only_what_is_asked_is_looked_at(make, asked):
    explorer = make(layer=SECOND)
    rests(explorer)
    explorer.layer = LAST
    rests(explorer)
    assert asked == [(SECOND,), (LAST,)]


@pytest.mark.parametrize("seed", ["map", "place"])
def test_what_the_next_channel_sends_back_is_looked_at_once_it_rests(make, network, image, screen, monkeypatch, seed):
    sent, found = [], exploring._back
    monkeypatch.setattr(exploring, "_back", lambda *given: (sent.append(given[2].channel), found(*given))[1])
    explorer = make(layer=SECOND, channel=2, seed=seed)
    view = screen(explorer)
    view.settled()
    rests(explorer)
    assert sent == [2, 3]
    for channel, walked in ((3, [2, 3, 4]), (1, [2, 3, 4, 1]), (7, [2, 3, 4, 1, 7])):  # then the stride leads nowhere
        explorer.channel = channel
        asked = torch.equal(explorer.returned.map, back_of(network, image, channel, seed))
        view.settled()
        rests(explorer)
        assert asked and sent == walked


def test_of_a_network_that_takes_its_time_only_what_is_asked_is_looked_at(make, screen, asked, monkeypatch):
    monkeypatch.setattr(layer_explorer, "QUICK", 0.0)
    explorer = make(layer=SECOND)
    screen(explorer).settled()
    rests(explorer)
    explorer.layer = LAST
    assert explorer.wait(LONG) and asked == [(SECOND,), (LAST,)]


def test_the_nearest_layers_are_looked_at_as_far_as_there_is_room(make, screen, asked, monkeypatch):
    explorer = make(layer=SECOND)
    sizes = {row["name"]: 4 * torch.Size(row["shape"]).numel() for row in explorer.layers}
    monkeypatch.setattr(layer_explorer, "AHEAD", sizes["0"] + sizes["1"] + sizes["2"])
    screen(explorer).settled()
    rests(explorer)
    monkeypatch.setattr(answers, "IDLE", 10.0**6)
    for name in ("2", "0", "3"):
        explorer.layer = name
        assert explorer.wait(LONG)
    assert asked == [(SECOND,), ("3",)]


def test_weights_that_were_written_unseen_are_seen_before_the_next_answer(make, network, image, screen, asked):
    explorer = make(layer=SECOND)
    screen(explorer).settled()
    rests(explorer)
    network.module[0].weight.data.mul_(-2.0)
    explorer.layer = "2"
    assert torch.equal(explorer.result, maps(network, image, "2")) and asked == [(SECOND,), ("2",)]


def test_what_is_found_while_weights_are_written_unseen_is_not_kept(make, network, image, screen, asked, monkeypatch):
    explorer, ahead = make(layer=SECOND), exploring.nearby_maps
    weight = network.module[0].weight
    before = weight.detach().clone()

    def meanwhile(*given):
        weight.data.mul_(-2.0)
        return ahead(*given)

    monkeypatch.setattr(exploring, "nearby_maps", meanwhile)
    screen(explorer).settled()
    rests(explorer)
    monkeypatch.setattr(exploring, "nearby_maps", ahead)
    weight.data.copy_(before)
    explorer.layer = "2"
    assert torch.equal(explorer.result, maps(network, image, "2")) and ("2",) in asked


def test_a_network_that_cannot_be_asked_any_more_says_so(make, network, screen, monkeypatch):
    explorer = make(layer=SECOND)
    view = screen(explorer)
    view.settled()

    def fails():
        raise RuntimeError("the device is gone")

    monkeypatch.setattr(explorer._subject, "predict", fails)
    view.tell(type="play")
    rests(explorer)
    assert explorer.state == "error" and "the device is gone" in explorer.error


def test_a_view_is_told_once_of_all_that_changed(make, screen, monkeypatch):
    explorer = make(layer=SECOND, channel=0)
    screen(explorer).settled()
    rests(explorer)
    sent = []
    monkeypatch.setattr(explorer, "_send", lambda message, buffers=None: sent.append({*message.get("state", ())}))
    explorer._told()
    assert sent == []
    with explorer._at_once():
        explorer.set_trait("origin", "another")
        with explorer._at_once():
            explorer.set_trait("status", "said")
        assert sent == []
    assert sent == [{"origin", "status"}]


def test_two_changes_while_the_network_is_being_compared_leave_nothing_held(make, network, image, monkeypatch):
    explorer, go, begun, look = make(layer=SECOND), threading.Event(), threading.Event(), questions._if_as_it_was
    rests(explorer)
    monkeypatch.setattr(questions, "_if_as_it_was", lambda *given: (begun.set(), go.wait(LONG), look(*given))[2])
    explorer.set_state({"channel": 1})
    assert begun.wait(LONG)
    explorer.set_state({"layer": LAST})
    go.set()
    rests(explorer)
    assert torch.equal(explorer.result.flatten(), maps(network, image, LAST).flatten())


def test_what_is_known_is_shown_before_the_weights_are_read_through(make, screen, monkeypatch):
    explorer, events = make(layer=SECOND, channel=0), []
    view = screen(explorer)
    view.settled()
    rests(explorer)
    predict = explorer._subject.predict

    def drawn(content, buffers=None):
        events.append("shown")
        view.tell(type="drawn", view="a", frame=content["frame"])

    monkeypatch.setattr(answers, "COURTESY", LONG)
    monkeypatch.setattr(explorer._subject, "predict", lambda: (events.append("read"), predict())[1])
    monkeypatch.setattr(explorer, "send", drawn)
    explorer.set_state({"layer": LAST})
    rests(explorer)
    assert events[:2] == ["shown", "read"]


def test_of_two_changes_close_to_each_other_the_second_is_shown_too(make, screen, monkeypatch):
    explorer = make(layer=SECOND, channel=0, passport=False, back="off")
    view = screen(explorer)
    view.settled()
    rests(explorer)
    wait, following = explorer._session.wait_to_tell, [2]

    def told():
        wait()
        while following:
            explorer.set_state({"channel": following.pop()})

    monkeypatch.setattr(explorer._session, "wait_to_tell", told)
    explorer.set_state({"channel": 1})
    _, panes, _ = view.settled()
    assert not following and panes["channel"]["title"] == "Channel 2"
