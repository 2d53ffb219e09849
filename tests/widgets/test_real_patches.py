"""The real patches beside a dream: those of the channel that is dreamt of, and none where there are none."""

import io
import re
import threading

import pytest
import torch
from PIL import Image
from torch import nn

from nbvis import DreamCanvas
from nbvis.engine import activity, channel, collect, custom, logit
from nbvis.widgets.data_set import DataSet

LONG = 60.0


class Labelled(nn.Module):
    """A small network with classes."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 6, 5), nn.ReLU())
        self.classes = nn.Linear(6, 4)

    def forward(self, images):
        return self.classes(self.features(images).amax((2, 3)))


@pytest.fixture
def network():
    torch.manual_seed(0)
    return Labelled()


@pytest.fixture
def batches():
    generator = torch.Generator().manual_seed(1)
    return [torch.rand(5, 3, 24, 32, generator=generator) for _ in range(4)]


@pytest.fixture
def make(network, batches):
    made = []

    def make(batches=batches, **options):
        given = {"layer": "features.0", "channel": 2} if "objective" not in options else {}
        canvas = DreamCanvas(
            network,
            batches[0][0],
            statistics=collect(network, batches),
            batches=batches,
            **given | {"octaves": 1} | options,
        )
        made.append(canvas)
        assert canvas.wait(LONG)
        return canvas

    yield make
    for canvas in made:
        canvas.close()


def strongest(network, batches, layer, index):
    """The answer of a channel in each image, and the images in their order, the slow way."""
    kept = {}
    hook = network.get_submodule(layer).register_forward_hook(lambda _, __, output: kept.update(it=output))
    try:
        network(torch.cat(batches))
    finally:
        hook.remove()
    answers = kept["it"][:, index].flatten(1).amax(1) if kept["it"].dim() == 4 else kept["it"][:, index]
    order = answers.argsort(descending=True, stable=True)
    return answers[order], order.tolist()


def test_they_are_those_that_drive_the_channel_most(make, network, batches):
    canvas = make()
    answers, order = strongest(network, batches, "features.0", 2)
    found = canvas.patches
    assert [each.image for each in found] == order[:9]
    assert torch.allclose(torch.tensor([each.value for each in found]), answers[:9])
    assert all(each.seen.shape == (1, 3, 5, 5) for each in found)
    row, column = found[0].position
    image = torch.cat(batches)[found[0].image]
    assert torch.equal(found[0].seen[0], image[:, row : row + 5, column : column + 5])
    assert canvas._real["of"] == "features.0:2" and not canvas._real["sought"]


def test_they_follow_the_channel_the_term_and_the_class(make, network, batches):
    canvas = make()
    canvas.channel = 4
    assert [each.image for each in canvas.patches] == strongest(network, batches, "features.0", 4)[1][:9]
    canvas.objective = channel("features.0", 1) + logit(3)
    canvas.wait(LONG)
    canvas.term = 1
    assert canvas._real["of"] == "classes:3"
    assert [each.image for each in canvas.patches] == strongest(network, batches, "classes", 3)[1][:9]
    canvas.term = 0
    assert [each.image for each in canvas.patches] == strongest(network, batches, "features.0", 1)[1][:9]


WHOLE = "It is about a whole layer: pick one of its channels to see what drives it."


def test_where_there_are_none_it_is_said_why(make, network, batches):
    canvas = make()
    for objective, why in [
        (activity("features.0"), WHOLE),
        (channel("features.1", 0) * 2, "The statistics do not have features.1."),
        (custom(lambda output: output.flatten(1).mean(1), "classes"), "The selected term is about no channel."),
    ]:
        canvas._statistics = collect(network, batches, ["features.0", "classes"])
        canvas.objective = objective
        assert canvas.wait(LONG) and canvas._real == {"of": "", "patches": [], "note": why, "sought": False}
        with pytest.raises(RuntimeError, match=f"there are no patches: {re.escape(why)}"):
            _ = canvas.patches


def test_a_whole_layer_says_so_from_the_start(make):
    canvas = make(objective=activity("features.0"))
    assert canvas._real["note"] == WHOLE


def test_an_endless_dream_is_not_waited_for(make):
    canvas = make(endless=True)
    canvas.play()
    assert len(canvas.patches) == 9 and canvas.running


def test_a_view_gets_them_as_one_picture(make):
    canvas, sent = make(), []
    assert len(canvas.patches) == 9
    canvas.send = lambda content, buffers=None: sent.append((content, buffers))
    canvas._on_message(canvas, {"type": "patches", "id": "7"}, [])
    (content, (data,)) = sent[-1]
    assert content == {"type": "reply", "id": "7"}
    whole = Image.open(io.BytesIO(data))
    left, top, width, height = canvas._real["patches"][-1]["seen"]
    assert whole.size == (left + width, top + height)


def test_without_statistics_there_is_nothing(network, batches):
    canvas = DreamCanvas(network, batches[0][0])
    assert canvas.wait(LONG) and canvas._real == {}
    with pytest.raises(RuntimeError, match="there are no patches: no statistics were given"):
        _ = canvas.patches
    canvas.close()


def test_statistics_that_do_not_fit_are_refused_before_any_work(network, batches):
    torch.manual_seed(5)
    other = collect(Labelled(), batches)
    with pytest.raises(ValueError, match="statistics"):
        DreamCanvas(network, batches[0][0], statistics=other, batches=batches)
    with pytest.raises(ValueError, match="real patches need both the statistics and the batches"):
        DreamCanvas(network, batches[0][0], batches=batches)
    with pytest.raises(TypeError, match="statistics is what collect gave"):
        DreamCanvas(network, batches[0][0], statistics={"0": 1}, batches=batches)


def test_what_can_be_read_only_once_says_so(network, batches):
    found = collect(network, batches)
    canvas = DreamCanvas(network, batches[0][0], statistics=found, batches=iter(batches), layer="features.0", channel=1)
    with pytest.raises(RuntimeError, match="could be read only once"):
        _ = canvas.patches
    assert canvas.error == ""
    canvas.close()


def test_a_search_that_nobody_wants_any_more_gives_up(make, network, batches, monkeypatch):
    canvas = make()
    assert canvas.patches
    began, goes, gave_up = threading.Event(), threading.Event(), threading.Event()
    find = DataSet.find

    def slow(self, indices, between=lambda: None):
        if not began.is_set():
            began.set()
            assert goes.wait(LONG)
            try:
                between()
            except BaseException:
                gave_up.set()
                raise
        return find(self, indices, between)

    monkeypatch.setattr(DataSet, "find", slow)
    canvas.channel = 3
    assert began.wait(LONG)
    canvas.channel = 5
    goes.set()
    assert [each.image for each in canvas.patches] == strongest(network, batches, "features.0", 5)[1][:9]
    assert gave_up.is_set()


def test_a_closed_canvas_leaves_no_worker(make):
    canvas = make()
    canvas.channel = 1
    canvas.close()
    assert "nbvis" not in [thread.name for thread in threading.enumerate()]


def test_the_saved_page_shows_them(make, tmp_path):
    canvas = make(steps=1)
    canvas.play()
    assert canvas.wait(LONG) and canvas.patches
    canvas.save(tmp_path / "dream.html")
    assert "Real patches that drive features.0:2 most" in (tmp_path / "dream.html").read_text()


def test_they_leave_the_recipe_and_the_picture_as_they_are(make, network, batches):
    options = {"layer": "features.0", "channel": 2, "octaves": 1, "steps": 2}
    beside, alone = make(**options), DreamCanvas(network, batches[0][0], **options)
    for canvas in (beside, alone):
        canvas.play()
        assert canvas.wait(LONG)
    assert torch.equal(beside.result, alone.result) and beside.recipe() == alone.recipe()
    alone.close()


def test_a_class_has_whole_pictures(network, batches):
    canvas = DreamCanvas(network, None, logit(1), collect(network, batches), batches)
    assert all(each.seen.shape == (1, 3, 24, 32) for each in canvas.patches)
    canvas.close()
