"""Augmentation: a folder that torchvision reads, a table that finds every picture again, and work that goes on."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torchvision.datasets import ImageFolder
from torchvision.transforms.functional import to_tensor

from nbvis.engine import augment, invert_dropout, last, read_table


class Digits(torch.utils.data.Dataset):
    """Seven small pictures of three classes, in no order."""

    classes = ("zero", "a/b one", "two")

    def __init__(self, channels=3, size=(6, 5)):
        generator = torch.Generator().manual_seed(0)
        self.images = torch.rand(7, channels, *size, generator=generator)
        self.labels = [2, 0, 1, 2, 0, 0, 1]
        self.asked: list[int] = []

    def __len__(self):
        return 7

    def __getitem__(self, index):
        self.asked.append(index)
        return self.images[index], self.labels[index]


@pytest.fixture
def net():
    def build(channels=3, size=30):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return nn.Sequential(
                nn.Flatten(), nn.Linear(channels * size, 20), nn.ReLU(), nn.Dropout(0.2), nn.Linear(20, 4)
            ).double()

    return build


def stored(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_it_reads_back_as_an_image_folder(net, tmp_path, house):
    dataset, network = Digits(), net()
    with house(network):
        table = augment(network, dataset, "4", tmp_path, samples=2, batch=3, tolerance=1e-5, steps=30)
    folder = ImageFolder(tmp_path)
    assert folder.classes == ["0000-zero", "0001-a-b-one", "0002-two"]
    assert len(folder) == len(table) == 14
    by_file = {str(Path(path).relative_to(tmp_path)): label for path, label in folder.samples}
    assert by_file == {row.file: row.label for row in table}
    assert [(row.original, row.sample, row.label) for row in table] == [
        (k, s, dataset.labels[k]) for k in range(7) for s in range(2)
    ]
    assert all(row.converged == (row.loss <= 1e-5) and row.p is None for row in table)
    assert sum(row.converged for row in table) > 7
    assert sorted(map(repr, read_table(tmp_path))) == sorted(map(repr, table))
    assert {row.seed for row in table} == {0, 1}


@pytest.mark.parametrize("channels", [1, 3])
def test_a_row_of_the_table_finds_its_picture_again(net, tmp_path, channels):
    dataset, network = Digits(channels), net(channels)
    table = augment(network, dataset, "4", tmp_path, samples=3, p=(0.1, 0.6), seed=5, steps=20)
    assert len({row.p for row in table}) == 21 and all(0.1 <= row.p <= 0.6 for row in table)
    for row in table[::4]:
        image = dataset[row.original][0][None]
        step = last(invert_dropout(network, "4", image, p=row.p, seed=row.seed, steps=20))
        picture = to_tensor(Image.open(tmp_path / row.file))
        assert picture.shape == image[0].shape
        assert (picture - step.image[0]).abs().max() <= 0.5 / 255 + 1e-4
        masks = {key: torch.from_numpy(mask) for key, mask in np.load(tmp_path / row.mask).items()}
        assert torch.equal(masks["3"].float(), step.masks["3"])
        replayed = last(invert_dropout(network, "4", image, p=row.p, masks=masks, steps=20))
        assert torch.equal(replayed.image, step.image)


def place(row) -> tuple[int, int]:
    return row.original, row.sample


def same(first, second) -> bool:
    """But for what a batch of another size rounds otherwise."""
    return all(a == replace(b, loss=a.loss) and abs(a.loss - b.loss) < 1e-9 for a, b in zip(first, second, strict=True))


def test_an_interrupted_run_goes_on_and_ends_as_one_that_was_not(net, tmp_path):
    class Interrupted(Digits):
        def __getitem__(self, index):
            if index == 5:
                raise KeyboardInterrupt
            return super().__getitem__(index)

    options = {"samples": 2, "batch": 2, "seed": 3, "p": (0.0, 0.5), "steps": 20}
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    expected = augment(net(), Digits(), "4", whole, **options)
    with pytest.raises(KeyboardInterrupt):
        augment(net(), Interrupted(), "4", parts, **options)
    assert len(read_table(parts)) == 4
    table = parts / "table.csv"
    table.write_text(table.read_text()[:-9])  # killed while it wrote
    dataset = Digits()
    assert same(augment(net(), dataset, "4", parts, **options), expected)
    assert dataset.asked == [3, 4, 5, 6, 0, 1, 2, 3, 4, 5, 6]
    first, second = stored(whole), stored(parts)
    for name in first:
        if not name.endswith((".npz", "table.csv")):
            assert first[name] == second[name], name
    assert same(sorted(read_table(whole), key=place), sorted(read_table(parts), key=place))


def test_what_is_there_is_not_made_again_but_what_is_gone_is(net, tmp_path):
    table = augment(net(), Digits(), "4", tmp_path)
    again = Digits()
    assert augment(net(), again, "4", tmp_path) == table and again.asked == []
    (tmp_path / table[3].file).unlink()
    assert same(augment(net(), again, "4", tmp_path), table) and again.asked == [3]
    assert len(augment(net(), again, "4", tmp_path, samples=2)) == 14
    assert again.asked == [3, *range(7)]


@pytest.mark.parametrize(
    "change, message",
    [
        ({"seed": 1}, r"was begun with seed=0, not 1: use another folder, or the same settings"),
        ({"tolerance": 0.1}, r"was begun with tolerance=None, not 0.1"),
        ({"p": 0.3}, "was begun with p=None, not 0.3"),
        ({"layer": "3"}, "was begun with layer='4', not '3'"),
    ],
)
def test_a_folder_of_other_settings_is_not_added_to(net, tmp_path, change, message):
    augment(net(), Digits(), "4", tmp_path)
    before = stored(tmp_path)
    options = {"layer": "4"} | change
    with pytest.raises(ValueError, match=message):
        augment(net(), Digits(), options.pop("layer"), tmp_path, **options)
    other = net()
    with torch.no_grad():
        other[4].bias += 1
    with pytest.raises(ValueError, match="was begun with network="):
        augment(other, Digits(), "4", tmp_path)
    assert stored(tmp_path) == before


@pytest.mark.parametrize(
    "options, message",
    [
        ({"bounds": None}, "bounds and masks are not for augment"),
        ({"masks": {}}, "bounds and masks are not for augment"),
        ({"samples": 0}, "samples is a whole number from 1 up, not 0"),
        ({"batch": 0}, "batch is a whole number from 1 up, not 0"),
        ({"p": (0.5, 0.2)}, r"p is None, a probability, or \(lowest, highest\) of them, not \(0.5, 0.2\)"),
        ({"p": 1.2}, "p is None, a probability"),
        ({"p": "some"}, "p is None, a probability"),
        ({"optimizer": "adm"}, "did you mean 'adam'"),
    ],
)
def test_impossible_options(net, tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        augment(net(), Digits(), "4", tmp_path / "new", **options)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    "images, message",
    [
        (torch.rand(2, 6, 6, 5), r"image 0 must be a tensor \(1 or 3, height, width\) in \[0, 1\], not \(6, 6, 5\)"),
        ([torch.rand(3, 6, 5), torch.rand(3, 5, 6)], r"image 1 has shape \(3, 5, 6\) and image 0 \(3, 6, 5\)"),
        (
            [np.zeros((3, 6, 5)), np.zeros((3, 6, 5))],
            r"image 0 must have the channels last, .* \(3, 6, 5\)",
        ),
        (2 + torch.rand(2, 3, 6, 5), r"images 0 to 1 must lie in \[0, 1\]"),
    ],
)
def test_pictures_that_do_not_fit(net, tmp_path, images, message):
    with pytest.raises(ValueError, match=message):
        augment(net(), [(image, 0) for image in images], "4", tmp_path)


def test_a_row_that_did_not_converge_is_told_apart(net, tmp_path):
    table = augment(net(), Digits(), "4", tmp_path, steps=1, tolerance=1e-12)
    assert not any(row.converged for row in table) and min(row.loss for row in table) > 1e-12
    assert json.loads((tmp_path / "settings.json").read_text())["steps"] == 1


def test_progress_is_shown_only_when_asked(net, tmp_path, capsys):
    augment(net(), Digits(), "4", tmp_path / "quiet")
    assert capsys.readouterr() == ("", "")
    augment(net(), Digits(), "4", tmp_path / "loud", progress=True)
    assert "7/7" in capsys.readouterr().err
