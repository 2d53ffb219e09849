import pytest
import torch
from torch import nn

from nbvis import ActivationStats, DreamCanvas, DropoutInverter, LayerExplorer, SaliencyView, link

LONG = 60.0


@pytest.fixture
def network():
    torch.manual_seed(0)
    first, second, rest = (
        nn.Conv2d(3, 8, 3),
        nn.Conv2d(8, 6, 3),
        (nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(24, 4)),
    )
    return nn.Sequential(first, nn.Dropout(), nn.ReLU(), second, nn.ReLU(), *rest)


@pytest.fixture
def made(network, image):
    made = {
        "explorer": LayerExplorer(network, image, layer="2", channel=3),
        "canvas": DreamCanvas(network, image, steps=2, octaves=1),
        "view": SaliencyView(network, image),
        "inverter": DropoutInverter(network, image, steps=2),
        "stats": ActivationStats(network, image),
    }
    assert all(each.wait(LONG) for each in made.values())
    yield made
    for each in made.values():
        each.close()


def test_all_follow_the_first_and_then_any(made):
    explorer, canvas, view, inverter, stats = made.values()
    linked = link(explorer, canvas, view, inverter, stats)
    assert linked.wait(LONG)
    assert {each.unit for each in (explorer, canvas, view, stats)} == {("2", 3)} and inverter.layer == "2"
    assert view.expression == "channel('2', 3)" and canvas.expression == "channel('2', 3)"
    for leader, unit in [(stats, ("3", 5)), (canvas, ("0", 7)), (explorer, ("4", 2)), (view, ("3", 1))]:
        leader.unit = unit
        assert linked.wait(LONG)
        assert [each.unit for each in (explorer, canvas, view, stats)] == [unit] * 4
        assert not any(each.error for each in (explorer, canvas, view, stats))
    explorer.set_state({"channel": 4})  # as a click on its panel does
    assert linked.wait(LONG) and (canvas.unit, stats.unit) == (("3", 4), ("3", 4))


def test_a_picture_is_shared(made, image):
    explorer, canvas, view, inverter, stats = made.values()
    linked = link(explorer, canvas, view, inverter, stats)
    linked.wait(LONG)
    other = 1 - image
    view.image = other
    assert linked.wait(LONG)
    for each in (explorer, canvas, inverter):
        assert torch.equal(each.image, other) and each.error == ""


def test_who_cannot_follow_says_so_and_the_others_do(made, image):
    explorer, canvas, view, _, stats = made.values()
    linked = link(explorer, canvas, view, stats)
    linked.wait(LONG)
    before = view.unit
    explorer.unit = "7", 2  # a vector, of which a map has no place to live
    assert linked.wait(LONG) and stats.unit == ("7", 2) and view.unit == before
    assert "'7' has no rows and columns" in view.error and stats.error == "" == explorer.error
    explorer.unit = "2", 1
    assert linked.wait(LONG) and view.unit == ("2", 1) and view.error == ""


def test_unlinked_they_go_their_own_ways(made):
    explorer, canvas, *_ = made.values()
    linked = link(explorer, canvas)
    linked.wait(LONG)
    linked.unlink()
    explorer.unit = "0", 1
    assert linked.wait(LONG) and canvas.unit == ("2", 3)


def test_networks_that_differ_can_be_compared(made, image):
    torch.manual_seed(1)
    other = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Dropout(), nn.ReLU())
    beside = LayerExplorer(other, image)
    linked = link(made["explorer"], beside)
    assert linked.wait(LONG) and beside.unit == ("2", 3)
    made["explorer"].layer = "4"
    assert linked.wait(LONG) and beside.unit == ("2", 3) and "no layer '4'" in beside.error
    beside.close()


def test_two_that_are_steered_at_once_end_with_one_unit(made):
    explorer, _, _, _, stats = made.values()
    linked = link(explorer, stats)
    for number in range(6):
        explorer.set_state({"channel": number})
        stats.set_state({"channel": 5 - number})
    assert linked.wait(LONG) and linked.wait(LONG)
    assert explorer.unit == stats.unit


def test_what_cannot_be_linked_is_refused(made):
    with pytest.raises(ValueError, match="a link needs two widgets or more, not 1"):
        link(made["explorer"])
    with pytest.raises(TypeError, match="linked are widgets of nbvis, not int: 3"):
        link(made["explorer"], 3)
