"""Statistics that merge: in any grouping and order, across processes and interruptions."""

import json
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from nbvis.engine import Batch, LayerStatistics, Statistics, collect, collecting, last
from nbvis.engine.statistics.layer_statistics import Options

EXACT = ("count", "not_finite", "zero_fraction", "minimum", "maximum", "histogram", "edges", "constant")
TOP = ("top_values", "top_indices", "top_positions", "bottom_values", "bottom_indices", "bottom_positions")
CLOSE = ("mean", "std", "correlation")


class Numbers(nn.Module):
    """Gives the pictures themselves, so that a value in a picture is an activation."""

    def __init__(self):
        super().__init__()
        self.same = nn.Identity()

    def forward(self, images):
        return self.same(images)


def same(one, two, top=True):
    assert list(one) == list(two) and one.images == two.images
    for name in one:
        for attribute in EXACT + TOP * top:
            first, second = getattr(one[name], attribute), getattr(two[name], attribute)
            np.testing.assert_array_equal(first, second, err_msg=f"{name} {attribute}")
        for attribute in CLOSE:
            first, second = getattr(one[name], attribute), getattr(two[name], attribute)
            np.testing.assert_allclose(first, second, rtol=1e-12, atol=1e-12, err_msg=f"{name} {attribute}")


def places(positions):
    return torch.stack([positions // 3, positions % 3], -1)


REAL = st.one_of(st.floats(-1e6, 1e6), st.floats(-1e-30, 1e-30), st.floats(-1e-300, 1e-300))
VALUE = st.one_of(st.sampled_from([0.0, 0.0, 1.0, 6.0, -1e6, 1e6, float("nan"), float("inf")]), REAL)


@settings(max_examples=60)
@given(st.lists(st.lists(VALUE, min_size=6, max_size=6), min_size=1, max_size=9), st.data())
def test_parts_merge_to_the_whole_in_any_grouping_and_order(images, data):
    values = torch.tensor(images, dtype=torch.float64, device="cpu").view(-1, 2, 3)
    options = Options(bins=data.draw(st.integers(2, 9)), top=3)

    def part(some):
        found = LayerStatistics("same", "Identity", (2, 1, 3), (None, 6.0), options, values[:0])
        found.add(values[some], places, torch.tensor(some, device="cpu"), options)
        return found

    whole = part(list(range(len(values))))
    order = data.draw(st.permutations(range(len(values))))
    cuts = sorted({0, len(order), *data.draw(st.lists(st.integers(0, len(order)), max_size=4))})
    parts = [part(order[a:b]) for a, b in pairwise(cuts)]
    while len(parts) > 1:
        k = data.draw(st.integers(0, len(parts) - 2))
        parts[k : k + 2] = [parts[k].merge(parts[k + 1])]
    for attribute in (*EXACT, *TOP, "saturated_fraction"):
        np.testing.assert_array_equal(getattr(parts[0], attribute), getattr(whole, attribute), err_msg=attribute)
    scale = values[values.isfinite()].abs().max().item() if values.isfinite().any() else 1.0
    for attribute in ("mean", "std"):
        np.testing.assert_allclose(
            getattr(parts[0], attribute), getattr(whole, attribute), rtol=1e-12, atol=1e-9 * scale
        )
    for channel in range(2):
        expected = np.histogram(values[:, channel][values[:, channel].isfinite()], whole.edges)[0]
        np.testing.assert_array_equal(whole.histogram[channel], expected)


@pytest.mark.parametrize("cut", [0, 1, 2])
@pytest.mark.parametrize("numbered", [False, True])
def test_a_run_goes_on_from_its_checkpoint(convnet, pictures, tmp_path, cut, numbered):
    net, images = convnet(), pictures(13, 3, 9, 9)
    batches = [Batch(x, list(k)) for x, k in zip(images.split(4), np.split(np.arange(13), [4, 8, 12]), strict=True)]
    batches = batches if numbered else list(images.split(4))
    whole = collect(net, batches)
    for step in collecting(net, batches):
        if step.index == cut:
            step.statistics.save(tmp_path / "checkpoint")
            break
    again = Statistics.load(tmp_path / "checkpoint", net)
    rest = batches if numbered else batches[cut + 1 :]
    same(collect(net, rest, statistics=again), whole)
    assert again.images == 4 * (cut + 1)


def test_an_image_shown_twice_counts_once(convnet, pictures):
    net, images = convnet(), pictures(4, 3, 9, 9)
    once = collect(net, [Batch(images, [0, 1, 2, 3])])
    twice = collect(net, [Batch(images, [0, 1, 2, 3]), Batch(images[[1, 1]], [1, 1])])
    same(once, twice)
    assert any("not counted again" in note for note in twice.notes)
    assert not any("not counted again" in note for note in once.notes)


def test_what_does_not_belong_together_is_refused(convnet, pictures, tmp_path):
    net, images = convnet(), pictures(4, 3, 9, 9)
    found = collect(net, [Batch(images, [0, 1, 2, 3])])
    with pytest.raises(ValueError, match="both have counted image 2 and 1 more"):
        found.merge(collect(net, [Batch(images, [2, 3, 4, 5])]))
    with pytest.raises(ValueError, match=r"one has Options.*and the other"):
        found.merge(collect(net, [Batch(images, [4, 5, 6, 7])], bins=9))
    with pytest.raises(ValueError, match="only one of the two knows which images"):
        found.merge(collect(net, [images]))
    with pytest.raises(ValueError, match=r"one is of .* and one of"):
        found.merge(collect(net, [Batch(images, [4, 5, 6, 7])], ["0"]))
    other = convnet(seed=1)
    with pytest.raises(ValueError, match="of other networks or weights"):
        found.merge(collect(other, [Batch(images, [4, 5, 6, 7])]))
    with pytest.raises(ValueError, match="statistics of another network"):
        collect(other, [images], statistics=found)
    found.save(tmp_path / "found")
    with pytest.raises(ValueError, match=r"statistics of another network .*or of other weights"):
        Statistics.load(tmp_path / "found", other)
    assert Statistics.load(tmp_path / "found", net).images == 4


def test_the_numbers_of_unnumbered_images_go_on(pictures):
    net, images = Numbers().double(), pictures(7, 2, 3, 3)
    first, second = collect(net, [images[:3]]), collect(net, [images[3:]])
    same(first.merge(second), collect(net, [images]))
    assert set(second.merge(first)["same"].top_indices[0].tolist()) == {*range(7), -1}


def test_a_damaged_or_foreign_file_is_told(convnet, pictures, tmp_path):
    path = tmp_path / "found"
    collect(convnet(), [pictures(2, 3, 9, 9)]).save(path)
    content = path.read_bytes()
    for damaged in (content[:-99], content[:2000] + b"\xff" + content[2001:], b"", b"no statistics"):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"is damaged or no statistics file"):
            Statistics.load(path)
    np.savez(path.with_suffix(".npz"), header=np.asarray(json.dumps({"format": "another"})))
    with pytest.raises(ValueError, match="it is another"):
        Statistics.load(path.with_suffix(".npz"))
    np.savez(path.with_suffix(".npz"), header=np.asarray(json.dumps({"format": "nbvis statistics", "version": 99})))
    with pytest.raises(ValueError, match="has version 99 of the format, and this nbvis reads version 2"):
        Statistics.load(path.with_suffix(".npz"))
    np.savez(path.with_suffix(".npz"), header=np.asarray({"a": 1}, dtype=object))
    with pytest.raises(ValueError, match="is damaged or no statistics file"):
        Statistics.load(path.with_suffix(".npz"))


def test_a_full_disk_loses_nothing_that_was_there(convnet, pictures, tmp_path, monkeypatch):
    path, found = tmp_path / "found", collect(convnet(), [pictures(2, 3, 9, 9)])
    found.save(path)
    before = path.read_bytes()

    def full(stream, **arrays):
        stream.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="No space left"):
        found.save(path)
    assert path.read_bytes() == before and [each.name for each in tmp_path.iterdir()] == ["found"]


def test_a_step_stays_true_when_the_run_has_gone_on(convnet, pictures):
    net, batches = convnet(), pictures(8, 3, 9, 9).split(4)
    steps = collecting(net, batches)
    kept = next(steps).statistics
    step = last(steps)
    same(kept, collect(net, batches[:1]))
    same(step.statistics, collect(net, batches))
    assert (step.index, step.total, step.images, step.nbytes) == (1, 2, 8, kept.nbytes)
