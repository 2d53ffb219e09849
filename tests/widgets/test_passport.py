"""The passport of a channel: its numbers and pictures, when it is found out, and what it says where it is not."""

import io
import threading

import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

from nbvis import ActivationStats, LayerExplorer, link
from nbvis.engine import Fourier, Network, ascend, channel, collect, last, layers, patch
from nbvis.sessions import Partial, Refusal
from nbvis.widgets import optimised
from nbvis.widgets.channel_answers import OUTSIDE
from nbvis.widgets.data_set import DataSet
from nbvis.widgets.optimised import Dream, Growing, dream_task
from nbvis.widgets.panes import Painter
from nbvis.widgets.passport import Bearer, Maximal, maximal_task
from nbvis.widgets.passport_scene import PassportScene
from nbvis.widgets.statistics_painting import PATCH

LONG = 60.0


@pytest.fixture
def network():
    torch.manual_seed(0)
    first, second = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 6, 3, stride=2)
    module = nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(24, 4))
    return Network(module, labels=["cat", "dog", "cup", "sea"], device="cpu")


@pytest.fixture
def images():
    return torch.rand(12, 3, 24, 40, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def statistics(network, images):
    return collect(network, images.split(4))


@pytest.fixture
def make(network, image, statistics, images):
    made = []

    def make(*given, **options):
        made.append(LayerExplorer(*(given or (network, image, statistics, images)), **options))
        return made[-1]

    yield make
    for explorer in made:
        explorer.close()


@pytest.fixture
def looked_at(monkeypatch):
    """A panel that draws whatever it is sent: gives the newest frame with pictures once a widget rests."""

    def looked_at(widget):
        messages = []
        monkeypatch.setattr(widget, "send", lambda content, buffers=None: messages.append((content, buffers)))
        widget._on_message(widget, {"type": "joined", "view": "a", "lab": True}, [])

        def newest():
            drawn = -1
            assert widget.wait(LONG)
            while (frame := max(c["frame"] for c, _ in messages if c["type"] == "frame")) != drawn:
                drawn = frame
                widget._on_message(widget, {"type": "drawn", "view": "a", "frame": drawn}, [])
                assert widget.wait(LONG)
            return [(c, b) for c, b in messages if c["type"] == "frame" and c["format"]][-1]

        return newest

    return looked_at


@pytest.fixture
def endless(monkeypatch):
    """Optimised images that take for ever; call it with a channel to wait until its own grows."""
    monkeypatch.setattr(optimised, "STEPS", 10**9)
    grown, put = {}, Growing.put

    def noted(self, bearer, step):
        put(self, bearer, step)
        grown.setdefault(bearer.channel, threading.Event()).set()

    monkeypatch.setattr(Growing, "put", noted)
    return lambda index: grown.setdefault(index, threading.Event()).wait(LONG)


def answer(explorer, kind):
    return explorer._session.get(explorer._bearer().key(kind))


def test_the_patches_are_those_of_the_engine(make, network, statistics, images):
    explorer = make(layer="3", channel=4)
    layer, (known,) = statistics["3"], [each for each in layers(network, images[:1]) if each.name == "3"]
    assert len(explorer.patches) == 9
    for place, found in enumerate(explorer.patches):
        index, position = int(layer.top_indices[4, place]), layer.top_positions[4, place].tolist()
        assert found.image == index and found.value == layer.top_values[4, place].item()
        assert torch.equal(found.seen, patch(images[index : index + 1], known, position, fill=OUTSIDE))


class GuidedReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx, values):
        ctx.save_for_backward(values)
        return values.clamp(min=0)

    @staticmethod
    def backward(ctx, gradient):
        (values,) = ctx.saved_tensors
        return torch.where(values > 0, gradient.clamp(min=0), 0)


def test_what_comes_back_to_a_patch_is_that_of_a_slow_plain_twin_cropped_alike(make, network, images):
    explorer = make(layer="3", channel=4)
    found = explorer.patches
    guided = answer(explorer, "maximal").guided
    assert len(guided) == len(found) == 9
    first, second = network.module[0], network.module[2]
    for each, came in zip(found, guided, strict=True):
        whole = images[each.image][None].requires_grad_()
        row, column = each.position
        hidden = GuidedReLU.apply(F.conv2d(whole, first.weight, first.bias, padding=1))
        (gradient,) = torch.autograd.grad(
            GuidedReLU.apply(F.conv2d(hidden, second.weight, second.bias, stride=2))[0, 4, row, column], whole
        )
        # A unit at (row, column) sees five pixels from twice that less one, two convolutions of three pixels back.
        padded = F.pad(gradient, (1, 1, 1, 1))
        crop = padded[..., 2 * row : 2 * row + 5, 2 * column : 2 * column + 5]
        sizes = crop.abs().flatten().sort()[0]
        end = sizes[-(-len(sizes) * 995 // 1000) - 1]
        assert torch.allclose(came, (0.5 + crop / (2 * end)).clamp(0, 1), atol=1e-6)


def test_the_optimised_image_is_that_of_the_engine(make, network):
    explorer = make(layer="2", channel=1)
    start = Fourier(32, 48, channels=3)
    expected = last(ascend(network, channel("2", 1), start, steps=optimised.STEPS))
    assert torch.equal(explorer.dreamt, expected.image)
    assert answer(explorer, "dream").score == expected.score[0].item()


def test_it_is_small_unless_the_network_takes_no_small_pictures(make, network):
    large = torch.rand(1, 3, 160, 200)
    assert make(network, large, layer="1", channel=1).dreamt.shape == (1, 3, 102, 128)
    fixed = nn.Sequential(nn.Conv2d(3, 2, 8, stride=8), nn.Flatten(), nn.Linear(2 * 20 * 25, 3))
    assert make(fixed, large, layer="2", channel=1).dreamt.shape == (1, 3, 160, 200)


def test_the_histogram_the_figures_and_the_correlates_are_those_of_the_statistics(make, statistics):
    explorer, layer = make(layer="3", channel=4), statistics["3"]
    _ = explorer.patches
    habits = answer(explorer, "habits")
    assert habits.bars.counts.sum() + habits.bars.zeros.sum() == layer.histogram[4].sum()
    assert dict(habits.figures)["mean"] == f"{layer.mean[4].item():.3g}"
    others = [each for each in layer.correlation[4].abs().nan_to_num(-1).argsort(descending=True).tolist() if each != 4]
    expected = [each for each in others if not layer.correlation[4, each].isnan()]
    assert [each for each, _ in habits.correlates] == expected
    assert habits.correlates[0][1] == layer.correlation[4, expected[0]].item()


def test_all_of_it_is_in_the_frame(make, looked_at):
    explorer = make(layer="3", channel=4)
    content, buffers = looked_at(explorer)()
    said = content["passport"]
    assert said["of"] == "3:4" and said["missing"] == ["", ""] and said["note"] == ""
    (dream, seen, guided) = (Image.open(io.BytesIO(buffers[said[k]])) for k in ("pictures", "pictures", "guided"))
    assert Image.open(io.BytesIO(buffers[said["dream"]["picture"]])).size == (48, 32)
    assert seen.size == guided.size == (9 * PATCH, PATCH) and dream.tobytes() == seen.tobytes() != guided.tobytes()
    assert [each["seen"] for each in said["patches"]] == [[PATCH * k, 0, PATCH, PATCH] for k in range(9)]
    assert len(said["bars"]["counts"]) == 50 and said["correlates"] and not said["dead"]
    explorer.channel = 2
    assert explorer.wait(LONG)
    assert explorer._scene().frame()[0]["passport"]["of"] == "3:2"


def test_an_image_that_grows_is_told_without_the_other_pictures():
    bearer, grown = Bearer("state", "3", 4), Dream(torch.rand(1, 3, 8, 12), 1.5, 3, 64)
    scene = PassportScene(Painter(), bearer, None, None, None, grown, ("", ""))
    fields, (made,) = scene.growing_frame()
    assert fields == {"dream": {"of": "3:4", "picture": 0, "line": "3 of 64 · score 1.5", "note": ""}}
    assert Image.open(io.BytesIO(made)).format == "JPEG" and Image.open(io.BytesIO(made)).size == (12, 8)
    over = PassportScene(Painter(), bearer, None, None, grown._replace(done=64), grown, ("", ""))
    assert over.growing_frame() == ({}, []) and over.frame(2)[0]["dream"]["line"] == "score 1.5"


def test_it_is_found_out_only_while_somebody_looks(make, looked_at):
    explorer = make(layer="3", channel=4)
    _ = explorer.result
    assert explorer.wait(LONG) and answer(explorer, "dream") is None and explorer._scene().passport.empty
    newest = looked_at(explorer)
    newest()
    assert isinstance(answer(explorer, "dream"), Dream) and isinstance(answer(explorer, "maximal"), Maximal)
    explorer.passport = False
    explorer.channel = 5
    assert newest()[0]["passport"] is None and answer(explorer, "dream") is None
    explorer.passport = True
    assert newest()[0]["passport"]["of"] == "3:5"


def test_another_channel_ends_it_at_once_and_what_is_asked_for_does_not_wait_for_it(make, looked_at, endless):
    explorer = make(layer="3", channel=4)
    looked_at(explorer)
    assert endless(4)
    explorer.channel = 5
    assert endless(5)
    assert explorer.result.shape == (6, 15, 23) and explorer.returned.map.shape == (1, 3, 32, 48)
    assert answer(explorer, "dream") is None and explorer.state == "running"


def test_what_was_found_once_is_kept(make, looked_at, endless, monkeypatch):
    monkeypatch.setattr(optimised, "STEPS", 3)
    explorer = make(layer="3", channel=4)
    newest = looked_at(explorer)
    newest()
    first = answer(explorer, "dream")
    for index in (5, 4):
        explorer.channel = index
        newest()
    assert answer(explorer, "dream") is first
    explorer.image = 1 - explorer.image  # it is not about the picture
    newest()
    assert answer(explorer, "dream") is first


def test_an_interrupted_dream_leaves_the_network_as_it_was(network):
    network.module.train()
    state, chance = {k: v.clone() for k, v in network.module.state_dict().items()}, torch.get_rng_state()

    class Unwanted(BaseException):
        pass

    def tell(done, total, so_far=None):
        if done == 3:
            raise Unwanted

    growing = Growing()
    with pytest.raises(Unwanted):
        dream_task(Bearer(0, "3", 4), network, (1, 3, 32, 48), growing).run(tell, lambda key: None)
    assert growing.get(Bearer(0, "3", 4)).done == 3 and growing.get(Bearer(0, "3", 5)) is None
    assert network.module.training and all(each.grad is None for each in network.module.parameters())
    assert all(torch.equal(each, state[name]) for name, each in network.module.state_dict().items())
    assert torch.equal(chance, torch.get_rng_state())
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in network.module.modules())


def test_the_patches_are_told_before_what_comes_back_to_them(network, statistics, images):
    told = []
    task = maximal_task(Bearer(0, "3", 4), network, statistics, DataSet(images))
    found = task.run(lambda *said: told.append(said), lambda key: None)
    assert [each for each in told if len(each) == 3] == [(9, 18, found._replace(guided=()))]
    assert [each[0] for each in told[-9:]] == list(range(10, 19))


def test_a_search_for_images_among_batches_can_be_ended():
    seen = []

    def between():
        seen.append(1)
        if len(seen) == 2:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        DataSet(list(torch.rand(6, 2, 3, 4, 4))).find([11], between)


def test_without_statistics_it_says_what_to_give(make, network, image, statistics, images):
    explorer = make(network, image, layer="3", channel=4)
    assert explorer.dreamt.shape == (1, 3, 32, 48)
    said, code = explorer._scene().frame()[0]["passport"]["missing"]
    assert said == "Its real patches, histogram and correlates come from statistics of a data set:"
    with pytest.raises(RuntimeError, match=r"no patches\. Its real patches"):
        _ = explorer.patches
    names = {"LayerExplorer": make, "network": network, "image": image, "collect": collect, "batches": images.split(4)}
    assert len(eval(code, names).patches) == 9
    explorer = make(network, image, statistics, layer="3", channel=4)
    said, code = explorer._passport_scene().missing
    assert "give the batches that the statistics are of" in said
    assert len(eval(code, names | {"statistics": statistics}).patches) == 9
    some = collect(network, images.split(4), layers=["1"])
    said, code = make(network, image, some, images, layer="3")._passport_scene().missing
    assert said == "The statistics given have no layer '3':" and "3" in eval(code, names)
    none = collect(network, images.split(4), top=0)
    said, code = make(network, image, none, images, layer="3")._passport_scene().missing
    assert said == "The statistics given keep no patches:" and eval(code, names)["3"].top_indices.shape == (6, 9)


def test_batches_without_statistics_and_statistics_of_others_are_refused(make, network, image, statistics, images):
    with pytest.raises(ValueError, match=r"only with statistics of them: LayerExplorer\(network, image, collect\("):
        make(network, image, None, images)
    with pytest.raises(ValueError, match="of another network"):
        make(nn.Sequential(nn.Conv2d(3, 8, 3)), image, statistics, images)
    with pytest.raises(TypeError, match="statistics is what collect gave"):
        make(network, image, images)
    explorer = make(layer="3", channel=4)
    with torch.no_grad():
        network.module[0].weight.mul_(2)
    with pytest.raises(RuntimeError, match="of another network"):
        _ = explorer.patches
    assert isinstance(answer(explorer, "habits"), Refusal) and explorer.dreamt is not None
    assert "of another network" in explorer._scene().frame()[0]["passport"]["note"]


def test_a_network_without_relus_has_patches_and_says_why_nothing_comes_back(make, image, images):
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.SiLU(), nn.Conv2d(4, 4, 3))
    explorer = make(net, image, collect(net, images.split(4)), images, layer="2", channel=1)
    assert len(explorer.patches) == 9
    found = answer(explorer, "maximal")
    assert found.guided == () and found.notes[0].startswith("Nothing is sent back to the patches: ")
    assert "ReLU" in found.notes[0] and explorer.wait(LONG) and explorer.state == "finished"


def test_a_layer_without_rows_and_columns_has_whole_images(make, images):
    explorer = make(layer="6", channel=2)
    assert all(torch.equal(each.seen, images[each.image][None]) for each in explorer.patches)
    assert len(answer(explorer, "maximal").guided) == 9


def test_a_layer_that_no_gradient_reaches_says_so_and_all_else_is_there(make, image, looked_at):
    class Cut(nn.Module):
        def forward(self, x):
            return x.detach() * 2

    explorer = make(nn.Sequential(nn.Conv2d(3, 4, 3), Cut()), image, layer="1", channel=1, back="off")
    content, _ = looked_at(explorer)()
    assert content["passport"]["dream"]["picture"] == -1 and content["passport"]["dream"]["note"] != ""
    assert explorer.state == "finished" and explorer.result.shape == (4, 30, 46)
    with pytest.raises(RuntimeError, match="there is nothing to give: "):
        _ = explorer.dreamt


def test_it_follows_a_selection_made_elsewhere(make, network, images, looked_at):
    explorer = make(layer="3", channel=4)
    newest, stats = looked_at(explorer), ActivationStats(network, images)
    newest()
    linked = link(explorer, stats)
    stats.unit = "1", 7
    assert linked.wait(LONG)
    said = newest()[0]["passport"]
    assert said["of"] == "1:7" and len(said["patches"]) == 9
    stats.close()


def test_it_is_saved_and_the_recipe_makes_its_image(make, network, image, tmp_path):
    explorer = make(layer="3", channel=4)
    explorer.save(tmp_path / "passport.html")
    text = (tmp_path / "passport.html").read_text(encoding="utf-8")
    for title in ("Optimised image of 3:4", "Maximal patches of 3:4", "What comes back to them", "Activations of 3:4"):
        assert title in text
    explorer.save(tmp_path / "passport.png")
    with Image.open(tmp_path / "passport.png") as whole:
        explorer.passport = False
        explorer.save(tmp_path / "folded.png")
        with Image.open(tmp_path / "folded.png") as folded:
            assert whole.height > folded.height + 100 and "optimised" not in explorer.recipe()
    explorer.passport = True
    made = {"network": network, "image": image}
    exec(explorer.recipe(), made)
    assert torch.equal(made["optimised"], explorer.dreamt)


def test_what_is_kept_of_a_channel_is_small(make):
    explorer = make(layer="3", channel=4)
    _ = explorer.patches
    kept = answer(explorer, "maximal")
    assert not isinstance(kept, Partial)
    assert all(max(each.seen.shape[2:]) <= PATCH and max(each.whole.shape[2:]) <= PATCH for each in kept.patches)
