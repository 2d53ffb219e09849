"""What an ActivationStats shows is what the engine measures, while it collects and afterwards."""

import csv
import io
import threading

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from nbvis import ActivationStats
from nbvis.engine import activations, collect, diagnose, layers, patch
from nbvis.engine.statistics.batches import Batch

LONG = 60.0


@pytest.fixture
def network():
    torch.manual_seed(0)
    first, second = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 30, 3)
    assert first.bias is not None and second.bias is not None
    with torch.no_grad():
        second.bias.add_(0.4)
        second.weight[5] = 0
        first.bias[2], second.bias[5] = -9, 7
    return nn.Sequential(first, nn.ReLU(), second, nn.ReLU6()).eval()


@pytest.fixture
def images():
    return torch.rand(23, 3, 12, 16, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def make(network, images):
    made = []

    def make(batches=None, **options):
        given = images.split(5) if batches is None and "statistics" not in options else batches
        made.append(ActivationStats(network, given, **options))
        return made[-1]

    yield make
    for widget in made:
        widget.close()


class Gated(list):
    """Batches that wait to be let through, when they are gone through for the first time after they were `shut`."""

    def __init__(self, batches):
        super().__init__(batches)
        self.gate, self.met = threading.Semaphore(0), threading.Semaphore(0)
        self.shut = False

    def __iter__(self):
        waits, self.shut = self.shut, False
        for batch in super().__iter__():
            if waits:
                self.met.release()
                assert self.gate.acquire(timeout=LONG)
            yield batch

    def let(self, count):
        """Lets so many through, and waits until the next one is to come."""
        for _ in range(count):
            assert self.met.acquire(timeout=LONG)
            self.gate.release()
        assert self.met.acquire(timeout=LONG)


def told(widget):
    return widget._scene().frame()


def tell(widget, **content):
    widget._on_message(widget, content, [])


def window(widget):
    """The channels along the rows and the columns of the matrix."""
    found = widget._scene().shown.window()
    assert found is not None
    return found


def bars(frame, buffers, at):
    """Of each channel the values that are 0 and those in each bin."""
    axis = frame["page" if at == "page" else "chosen"]["axes"][0]
    return np.frombuffer(buffers[axis["buffer"]]).reshape(-1, axis["bins"] + 1)


def test_nothing_is_collected_before_somebody_asks(make):
    stats = make(layer="1")
    assert stats.wait(LONG) and stats.state == "ready" and stats.images == 0
    frame, buffers = told(stats)
    assert [row["name"] for row in frame["overview"]] == ["0", "1", "2", "3"] and not buffers
    assert not any(row["known"] for row in frame["overview"])


def test_the_result_is_what_collect_gives(make, network, images):
    found = make().result
    expected = collect(network, images.split(5))
    for name in expected:
        assert torch.equal(found[name].histogram, expected[name].histogram)
        assert torch.equal(found[name].top_indices, expected[name].top_indices)
        torch.testing.assert_close(found[name].mean, expected[name].mean, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("kind", ["tensor", "pairs", "labelled", "loader", "generator", "indexed"])
def test_batches_and_data_sets_of_any_kind_are_collected(make, network, images, kind):
    given = {
        "tensor": images,
        "pairs": [(batch, torch.zeros(len(batch))) for batch in images.split(5)],
        "labelled": [(image, "label") for image in images],
        "loader": torch.utils.data.DataLoader(torch.utils.data.TensorDataset(images), batch_size=7),
        "generator": iter(images.split(5)),
        "indexed": [Batch(images[10:], range(10, 23)), Batch(images[:10], range(10))],
    }[kind]
    found, expected = make(given).result, collect(network, images.split(5))
    assert found.images == 23
    assert torch.equal(found["1"].histogram, expected["1"].histogram)
    assert torch.equal(found["3"].top_indices, expected["3"].top_indices)


def test_the_overview_counts_what_is_dead_and_saturated(make):
    stats = make(layer="3")
    found = stats.result
    for row in told(stats)[0]["overview"]:
        layer = found[row["name"]]
        assert (row["channels"], row["dead"]) == (layer.shape[0], int(layer.constant.sum())) and row["known"]
        assert row["saturated"] == int(((layer.saturated_fraction >= 0.5) & ~layer.constant).sum())
    assert found["1"].constant[2] and found["3"].constant[5]


def test_the_page_has_the_engines_bins_with_the_zeros_apart(make):
    stats = make(layer="1", sort="index")
    layer = stats.result["1"]
    frame, buffers = told(stats)
    shown = bars(frame, buffers, "page")
    zeros = (layer.zero_fraction * layer.count).round()
    assert np.array_equal(shown[:, 0], zeros.numpy()) and zeros[2] == layer.count[2]
    assert np.array_equal(shown.sum(1), layer.count.numpy())
    place = int((layer.edges <= 0).sum()) - 1
    expected = layer.histogram.clone()
    expected[:, place] -= zeros.long()
    assert np.array_equal(shown[:, 1:], expected.numpy())
    axis = frame["page"]["axes"][0]
    assert (axis["low"], axis["high"]) == (layer.edges[0].item(), layer.edges[-1].item())


@pytest.mark.parametrize(
    ("sort", "figure", "rising"),
    [("zeros", "zero_fraction", False), ("fewest_zeros", "zero_fraction", True), ("mean", "mean", False),
     ("lowest_mean", "mean", True), ("std", "std", False), ("narrowest", "std", True), ("maximum", "maximum", False),
     ("minimum", "minimum", True), ("saturated", "saturated_fraction", False), ("index", None, True)],
)  # fmt: skip
def test_channels_are_sorted_by_any_figure(make, sort, figure, rising):
    stats = make(layer="3", sort=sort)
    layer = stats.result["3"]
    values = torch.arange(30.0) if figure is None else getattr(layer, figure)
    expected = sorted(range(30), key=lambda each: (values[each] if rising else -values[each], each))
    first = [row["channel"] for row in told(stats)[0]["page"]["channels"]]
    stats.page = 1
    assert [*first, *(row["channel"] for row in told(stats)[0]["page"]["channels"])] == expected


def test_channels_are_searched_by_number_and_by_what_is_wrong(make):
    stats = make(layer="1", sort="index")
    assert stats.result
    for query, expected in {"3, 5-6": [3, 5, 6], "dead": [2], "alive 2": list(range(8)), "": list(range(8))}.items():
        stats.search = query
        frame, _ = told(stats)
        assert [row["channel"] for row in frame["page"]["channels"]] == expected and frame["page"]["of"] == len(
            expected
        )
    with pytest.raises(ValueError, match="search takes channels such as"):
        stats.search = "purple"
    assert stats.search == ""


def test_a_chosen_channel_shows_its_figures_patches_and_correlates(make, network, images):
    stats = make(layer="3", channel=4)
    layer = stats.result["3"]
    frame, buffers = told(stats)
    chosen = frame["chosen"]
    shown = bars(frame, buffers, "chosen")
    assert shown.shape[0] == 1 and shown.sum() == layer.count[4]
    r = layer.correlation[4].clone()
    r[4] = 0
    assert [each for each, _ in chosen["correlates"]] == r.nan_to_num(0).abs().argsort(descending=True)[:8].tolist()
    assert chosen["correlates"][0][1] == pytest.approx(r[chosen["correlates"][0][0]].item(), abs=1e-6)
    assert [each["image"] for each in chosen["patches"]] == layer.top_indices[4].tolist()
    assert [each["value"] for each in chosen["patches"]] == layer.top_values[4].tolist()
    (about,) = [each for each in layers(network, images) if each.name == "3"]
    answer = stats._scene().shown.patches.patches[0]
    place = tuple(layer.top_positions[4, 0].tolist())
    assert torch.equal(answer.seen, patch(images[answer.image][None], about, place, fill=0.5))
    (top, bottom), (left, right) = about.box(*place)
    assert answer.box == (top / 12, left / 16, bottom / 12, right / 16)
    assert activations(network, images[answer.image][None], ["3"])["3"][0, 4, *place] == pytest.approx(answer.value)


def test_the_matrix_is_the_engines_correlation_in_its_order(make, heard):
    stats = make(layer="3")
    r = stats.result["3"].correlation
    scene = stats._scene()
    rows, columns = window(stats)
    assert sorted(rows.tolist()) == list(range(30)) and torch.equal(rows, columns)
    still = stats.result["3"].constant[rows].tolist()
    assert still[-1] and still == sorted(still)  # what never varies stands at the end
    picture = np.asarray(scene.picture("matrix").image)
    strong, weak = r[rows][:, rows] > 0.5, r[rows][:, rows] < -0.2
    assert (picture[..., 0] > picture[..., 2])[strong].all() and (picture[..., 2] > picture[..., 0])[weak].all()
    messages = heard(stats)
    tell(stats, type="value", id="1", pane="matrix", row=3, column=7)
    tell(stats, type="picture", id="2", which="matrix")
    assert stats.wait(LONG)
    said, shown = messages
    one, other = int(rows[3]), int(rows[7])
    assert said[0]["text"] == f"channels {one} × {other} · r = {r[one, other]:.3f}".replace("-", "−")
    assert Image.open(io.BytesIO(shown[1][0])).size == (30, 30)
    stats.zoom = [4, 10, 6]
    tell(stats, type="value", id="3", pane="matrix", row=0, column=2)
    assert messages[-1][0]["text"].startswith(f"channels {int(rows[4])} × {int(rows[12])} ·")


def test_neighbours_in_the_matrix_belong_together(make, network, images):
    with torch.no_grad():
        network[2].weight[20] = 2 * network[2].weight[9]
        network[2].bias[20] = 2 * network[2].bias[9]
    stats = make(layer="2")
    assert stats.result["2"].correlation[9, 20] > 0.999
    order = window(stats)[0].tolist()
    assert abs(order.index(9) - order.index(20)) == 1


def test_weights_have_histograms_and_correlations_too(make, network):
    stats = make(layer="2", values="weights", sort="index", channel=3)
    assert stats.result
    frame, buffers = told(stats)
    filters = network[2].weight.detach().double().flatten(1)
    shown = bars(frame, buffers, "page")
    expected = np.histogram(filters[0].numpy(), bins=50, range=(filters.min().item(), filters.max().item()))[0]
    assert np.array_equal(shown[0, 1:], expected) and shown[5, 0] == filters.shape[1] and shown[5, 1:].sum() == 0
    varied = [each for each in range(30) if each != 5]
    r = stats._scene().shown.clustered.correlation
    torch.testing.assert_close(r[varied][:, varied].double(), torch.from_numpy(np.corrcoef(filters[varied].numpy())))
    assert r[5].isnan().all()
    stats.layer = "1"
    assert stats.wait(LONG) and "has no filters of its own: pick a convolution" in stats.notes


def test_what_is_wrong_is_said_once_all_is_collected(make, network, images):
    stats = make(torch.cat([images] * 4))
    expected = diagnose(stats.result)
    assert len(expected) and all(each.sentence in stats.notes for each in expected)
    assert {note["about"] for note in stats._notes if note["kind"] == "finding"} == {each.layer for each in expected}


def test_the_lowest_patches_are_cut_where_the_channel_answers_least(make, network, images):
    stats = make(layer="2", channel=4)
    assert stats.result.images == 23
    assert stats.patches == "highest"
    stats.patches = "lowest"
    assert stats.wait(LONG)
    layer = stats.result["2"]
    seen, found = layers(network, images)[2], stats._scene().shown.patches.patches
    assert [each.image for each in found] == layer.bottom_indices[4].tolist()
    assert [each.value for each in found] == layer.bottom_values[4].tolist()
    values = activations(network, images, ["2"])["2"][:, 4].flatten(1)
    torch.testing.assert_close(layer.bottom_values[4].float(), values.amin(1).sort().values[:9])
    for each, position in zip(found, layer.bottom_positions[4].tolist(), strict=True):
        whole = images[each.image : each.image + 1]
        assert torch.equal(each.seen, patch(whole, seen, tuple(position), fill=0.5)) and torch.equal(each.whole, whole)
    told_now = told(stats)[0]["chosen"]
    assert [each["image"] for each in told_now["patches"]] == layer.bottom_indices[4].tolist()
    assert "Minimal patches of channel 4" in stats._page()
    stats.patches = "highest"
    assert stats.wait(LONG)
    assert [each.image for each in stats._scene().shown.patches.patches] == layer.top_indices[4].tolist()
    with pytest.raises(ValueError, match="patches"):
        stats.patches = "middle"


def begun(make, images, **options):
    """A panel that has collected two batches of five and waits at a gate for the third, and the batches."""
    batches = Gated(images.split(5))
    stats = make(batches, layer="3", **options)
    stats.wait(LONG)
    batches.shut = True
    stats.play()
    batches.let(2)
    return stats, batches


def test_a_pause_keeps_what_is_collected_and_play_goes_on(make, network, images):
    stats, batches = begun(make, images, channel=4)
    stats.pause()
    found = told(stats)[0]["collected"]
    assert (found["working"], found["pausing"]) == (False, True)  # a batch is on its way
    batches.gate.release()
    assert stats.wait(LONG)
    assert (stats.state, stats.running, stats.images) == ("paused", False, 15)
    assert not told(stats)[0]["collected"]["pausing"]
    so_far = stats.result
    assert so_far.images == 15 and told(stats)[0]["chosen"]["patches"][0]["image"] == so_far["3"].top_indices[4, 0]
    stats.channel = 7  # what one looks at meanwhile is found, and nothing is collected
    assert stats.wait(LONG) and stats.images == 15 and len(told(stats)[0]["chosen"]["patches"]) == 9
    assert not batches.met.acquire(blocking=False)
    batches.gate.release(9)
    stats.running = True
    assert stats.wait(LONG) and stats.state == "finished"
    expected = collect(network, images.split(5))
    assert torch.equal(stats.result["3"].histogram, expected["3"].histogram) and so_far.images == 15


def test_play_while_it_collects_begins_nothing_anew(make, images):
    stats, batches = begun(make, images)
    held = stats._subject.collection
    stats.play()
    assert stats._lookout.wait(LONG)
    batches.gate.release(9)
    assert stats.wait(LONG) and stats._subject.collection is held
    assert (stats.state, held.over, stats.result.images) == ("finished", True, 23)


def test_what_is_asked_while_it_collects_is_answered_at_once_and_nothing_is_lost(make, images):
    stats, batches = begun(make, images)
    stats.channel = 4
    batches.gate.release()
    assert batches.met.acquire(timeout=LONG)  # it goes on, and has answered before
    assert len(told(stats)[0]["chosen"]["patches"]) == 9 and told(stats)[0]["collected"]["images"] == 15
    assert stats.running and not told(stats)[0]["collected"]["over"]
    batches.gate.release(9)
    assert stats.wait(LONG) and stats.result.images == 23


def test_statistics_that_were_collected_before_are_shown(make, network, images, tmp_path):
    found = collect(network, images.split(5))
    stats = make(statistics=found, layer="3", channel=4)
    assert stats.wait(LONG) and stats.state == "finished" and stats.result is found and stats.images == 23
    assert "Give the batches too" in told(stats)[0]["chosen"]["patch_note"]
    with_images = make(images, statistics=found, layer="3", channel=4)
    assert with_images.wait(LONG) and len(told(with_images)[0]["chosen"]["patches"]) == 9


def test_patches_of_other_images_are_refused(make, network, images):
    stats = make(images.flip(0), statistics=collect(network, images.split(5)), layer="3", channel=4)
    assert stats.wait(LONG)
    chosen = told(stats)[0]["chosen"]
    assert len(chosen["patches"]) < 9 and "images are not where they were" in chosen["patch_note"]


def test_an_earlier_call_of_a_layer_shows_whole_images_and_says_so(images):
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second, self.relu = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 4, 3, stride=2), nn.ReLU()

        def forward(self, x):
            return self.relu(self.second(self.relu(self.first(x))))

    torch.manual_seed(0)
    stats = ActivationStats(Twice().eval(), images, layer="relu:0", channel=6)
    stats.play()
    assert stats.wait(LONG) and not stats.error
    chosen = told(stats)[0]["chosen"]
    assert [each["box"] for each in chosen["patches"]] == [[0, 0, 1, 1]] * 9 and "shown whole" in chosen["patch_note"]
    stats.unit = "relu:1", 2
    assert stats.wait(LONG) and told(stats)[0]["chosen"]["patches"][0]["box"] != [0, 0, 1, 1]
    assert told(stats)[0]["chosen"]["patch_note"] == ""
    stats.close()


def test_two_statistics_are_compared(make, network, images):
    before = collect(network, images.split(5))
    with torch.no_grad():
        network[2].bias[11] += 3
    stats = make(layer="3", before=before, sort="change", channel=11)
    assert stats.result
    frame, buffers = told(stats)
    assert frame["page"]["channels"][0]["channel"] == 11 and len(frame["page"]["axes"]) == 2
    old = np.frombuffer(buffers[frame["chosen"]["axes"][1]["buffer"]])
    assert old.sum() == before["3"].count[11]
    now = stats.result["3"]
    moved = (now.mean - before["3"].mean)[11] / ((now.std[11] ** 2 + before["3"].std[11] ** 2) / 2).sqrt()
    assert dict(frame["chosen"]["facts"])["change"] == f"{moved:.3g}"
    stats.before = None
    assert stats.sort == "zeros" and len(told(stats)[0]["page"]["axes"]) == 1
    with pytest.raises(ValueError, match="give before="):
        stats.sort = "change"


def test_a_network_that_was_trained_is_said_and_collected_anew(make, network):
    stats = make(layer="1")
    first = stats.result
    with torch.no_grad():
        network[0].weight.mul_(2)
    stats._check_network()
    assert "The network has changed since these statistics were collected" in stats.notes
    stats.channel = 3
    assert stats.wait(LONG) and stats.result is first
    stats.play()
    assert stats.wait(LONG) and stats.result.fingerprint != first.fingerprint and "has changed" not in stats.notes


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"lyer": "1"}, "no option 'lyer'.*layer"),
        ({"layer": "9"}, "no layer '9'"),
        ({"sort": "sideways"}, "no sort 'sideways'"),
        ({"values": "biases"}, "no values 'biases'"),
        ({"page": -1}, "no page -1"),
        ({"zoom": [1, 2]}, r"not \[1, 2\]"),
        ({"bins": 0}, "bins"),
        ({"layers": ["x"]}, "x"),
        ({"statistics": 3}, "Statistics.load"),
        ({"before": "old"}, "Statistics.load"),
        ({"channel": 99}, "no channel 99"),
    ],
)
def test_what_cannot_be_is_refused_in_words(make, images, options, words):
    with pytest.raises((TypeError, ValueError), match=words):
        made = make(images, **options)
        made.wait(LONG)
        raise ValueError(made.error)


@pytest.mark.parametrize(
    ("batches", "words"),
    [([], "is empty"), (torch.rand(3, 8, 8), "not a single image"), ("folder", "not str"), (7, "not int")],
)
def test_what_is_no_data_set_is_refused(network, batches, words):
    with pytest.raises((TypeError, ValueError), match=words):
        ActivationStats(network, batches)
    with pytest.raises(ValueError, match="nothing to show"):
        ActivationStats(network)


def test_statistics_of_another_network_are_refused(make, network, images):
    found = collect(network, images.split(5))
    with torch.no_grad():
        network[0].weight.add_(1)
    with pytest.raises(ValueError, match="another network"):
        made = make(statistics=found)
        made._look.wait(LONG)
        raise ValueError(made.error)


def test_an_iterable_that_turns_out_empty_is_an_error(make):
    with pytest.raises(ValueError, match="empty"):
        made = make(iter(()))
        made._look.wait(LONG)
        raise ValueError(made.error)


def test_unreadable_images_are_counted_and_skipped(make, images):
    class Files:
        def __len__(self):
            return 23

        def __getitem__(self, index):
            if index == 4:
                raise OSError("truncated")
            return images[index]

    found = make(Files()).result
    assert found.images == 22 and found.unreadable == 1 and any("4: " in note for note in found.notes)


def test_nan_is_counted_and_named(make, network, images):
    with torch.no_grad():
        network[0].weight[1] = float("nan")
    stats = make(layer="3")
    assert stats.result and "NaN or infinite" in stats.notes


def test_it_saves_a_picture_a_page_and_a_table(make, network, images, tmp_path):
    stats = make(layer="3", channel=4)
    for suffix in (".png", ".html", ".csv"):
        stats.save(tmp_path / f"found{suffix}")
    assert Image.open(io.BytesIO((tmp_path / "found.png").read_bytes())).width > 1400
    page = (tmp_path / "found.html").read_text(encoding="utf-8")
    assert "Maximal patches of channel 4" in page and "<dt>3</dt><dd>30 channels, " in page
    rows = list(csv.DictReader(io.StringIO((tmp_path / "found.csv").read_text(encoding="utf-8"))))
    layer = stats.result["3"]
    assert len(rows) == 8 + 8 + 30 + 30
    row = next(row for row in rows if row["layer"] == "3" and row["channel"] == "4")
    assert float(row["mean"]) == layer.mean[4].item() and int(row["top_image"]) == layer.top_indices[4, 0]
    with pytest.raises(ValueError, match=r"\.png, \.html and \.csv, not to \.gif"):
        stats.save(tmp_path / "found.gif")


@pytest.mark.parametrize("given", ["images", "batches", "statistics"])
def test_the_recipe_makes_what_is_shown(make, network, images, given):
    found = collect(network, images.split(5), bins=20)
    batches = {"images": images, "batches": images.split(5), "statistics": None}[given]
    options = {"statistics": found} if given == "statistics" else {"bins": 20}
    stats = make(batches, layer="3", channel=4, **options)
    names = {"network": network, "batches": images if given == "images" else images.split(5), "statistics": found}
    names["print"] = lambda *said: None
    exec(stats.recipe(), names)
    assert torch.equal(names["layer"].histogram, stats.result["3"].histogram)


def test_of_a_layer_of_4096_channels_one_page_is_sent_and_the_rest_follows(images):
    torch.manual_seed(0)
    wide = nn.Sequential(nn.Flatten(), nn.Linear(3 * 12 * 16, 4096), nn.ReLU(), nn.Linear(4096, 4))
    found = collect(wide, images.split(5))
    stats = ActivationStats(wide, images, statistics=found, layer="3")
    assert stats.wait(LONG)
    stats.layer = "2"
    frame, buffers = told(stats)
    assert frame["page"]["of"] == 4096 and sum(map(len, buffers)) < 20_000
    assert stats.wait(LONG) and told(stats)[0]["matrix"]["rows"] == 4096
    stats.close()


def test_the_unit_is_the_layer_and_the_channel(make):
    stats = make(layer="1")
    assert stats.wait(LONG)
    stats.unit = ("3", 20)
    assert (stats.layer, stats.channel, stats.unit) == ("3", 20, ("3", 20))
    stats.layer = "1"
    assert stats.channel is None
    assert repr(stats) == "ActivationStats(Sequential)"


def test_the_users_network_is_left_as_it_was(make, network):
    network.train()
    network[0].weight.grad = torch.ones_like(network[0].weight)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    generator = torch.get_rng_state()
    stats = make(layer="3", channel=4)
    assert stats.result and network.training and torch.equal(network[0].weight.grad, torch.ones(8, 3, 3, 3))
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert torch.equal(generator, torch.get_rng_state())
    assert not any(module._forward_hooks for module in network.modules())
