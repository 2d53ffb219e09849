"""The embedded network and photographs."""

import pickle
import sys
import urllib.request

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from nbvis import demo


def test_network_recognises_the_photographs(demo_network, coffee):
    """Preprocessing, weights and the order of the labels fit each other."""

    def best(images):
        probability, index = demo_network(images).softmax(1)[0].max(0)
        return demo_network.labels[int(index)], float(probability)

    assert best(coffee) == ("espresso", pytest.approx(0.94, abs=0.02))
    assert best(demo.photo("camera", size=224))[0] == "tripod"
    assert best(demo.photo("chelsea", size=224))[0] == "Egyptian cat"


def test_network_is_ready_to_look_into(demo_network):
    module = demo_network.module
    assert not any(part.training for part in module.modules())
    assert sum(parameter.numel() for parameter in module.parameters()) == 4_652_008
    assert demo_network.input_size == (224, 224)
    assert len(demo_network.labels) == 1000
    assert repr(demo_network) == "Network(EfficientNet-Lite0, 1000 classes, 224 × 224)"


def test_network_is_made_afresh_and_in_silence(capfd):
    state = torch.get_rng_state()
    first, second = demo.network("cpu"), demo.network("cpu")
    assert first.module is not second.module
    assert torch.equal(torch.get_rng_state(), state)
    assert capfd.readouterr() == ("", "")


def test_nothing_asks_the_internet(monkeypatch):
    def refuse(*arguments, **options):
        raise AssertionError(f"a download was tried: {arguments}")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    demo.network("cpu")
    for name in demo.PHOTOS:
        demo.photo(name)


@pytest.mark.parametrize("name", demo.PHOTOS)
def test_photo(name):
    image = demo.photo(name)
    assert image.ndim == 4 and image.shape[:2] == (1, 3)
    assert image.dtype == torch.float32 and image.is_contiguous()
    assert image.min() >= 0 and 0.6 < image.max() <= 1 and image.std() > 0.03


def test_photo_keeps_its_pixels():
    image = demo.photo("coffee")
    assert image.shape == (1, 3, 400, 600)
    assert torch.equal((image * 255).round() / 255, image)
    assert torch.equal(demo.photo("cat"), demo.photo("chelsea"))


def test_size_takes_the_centred_square():
    """At the photograph's own height nothing is resized, so that the square can be compared pixel by pixel."""
    assert torch.equal(demo.photo("coffee", size=400), demo.photo("coffee")[..., 100:500])
    assert demo.photo("hubble", size=64).shape == (1, 3, 64, 64)
    with pytest.raises(ValueError, match="size is a number of pixels from 1, not 0"):
        demo.photo("coffee", size=0)


def test_unknown_photo_names_those_there_are():
    with pytest.raises(ValueError, match=r"no photograph 'cofee'; did you mean 'coffee'\?") as error:
        demo.photo("cofee")
    assert all(name in str(error.value) for name in demo.PHOTOS)
    with pytest.raises(ValueError, match=r"no photograph 'zzz'\. The photographs are astronaut,"):
        demo.photo("zzz")


def test_crops_take_turns_through_the_photographs():
    crops = demo.crops(2 * len(demo.PHOTOS) + 1, size=40)
    assert len(crops) == 29 and [name for _, name in crops] == [*demo.PHOTOS, *demo.PHOTOS, demo.PHOTOS[0]]
    for crop, _ in crops:
        assert crop.shape == (3, 40, 40) and crop.dtype == torch.float32 and crop.is_contiguous()
        assert 0 <= crop.min() < crop.max() <= 1


@pytest.mark.parametrize(("size", "least"), [(8, 16), (40, 20), (160, 64)])
def test_crops_come_in_all_scales_from_all_places(monkeypatch, size, least):
    """On a picture whose red tells the column and whose green tells the row, a crop tells what it was cut from."""
    rows, columns = np.mgrid[0:64, 0:128]
    told = np.stack([2 * columns, 4 * rows, 0 * rows], 2).astype(np.uint8)
    monkeypatch.setattr(demo, "_stored", lambda file: Image.fromarray(told))
    crops = torch.stack([crop for crop, _ in demo.crops(200, size=size)]) * 255
    tops, bottoms = (crops[:, 1, row].mean(1) / 4 for row in (0, -1))
    lefts, rights = (crops[:, 0, :, column].mean(1) / 2 for column in (0, -1))
    assert ((bottoms - tops) - (rights - lefts)).abs().max() < 2, "they are squares"
    sides = (bottoms - tops) * size / (size - 1)
    assert sides.min() >= least - 2 and sides.max() <= 66
    if least < 64:
        assert torch.histc((sides / least).log() / np.log(64 / least), 4, 0, 1).min() >= 30, "doublings are as likely"
        assert tops.min() < 8 and bottoms.max() > 56
    assert lefts.min() < 8 and rights.max() > 120


def test_a_crop_is_taken_by_an_index_of_the_statistics_too():
    crops = demo.crops(9, size=32)
    assert torch.equal(crops[torch.tensor([3, 7])[1]][0], crops[7][0])


def test_crops_are_made_from_number_size_and_seed_alone(capfd):
    state = torch.get_rng_state()
    many, few = demo.crops(1000, size=32), demo.crops(20, size=32)
    assert all(torch.equal(many[number][0], few[number][0]) for number in (19, 3, 0))
    assert torch.equal(few[-1][0], few[19][0])
    assert not torch.equal(few[3][0], demo.crops(20, size=32, seed=1)[3][0])
    assert not torch.equal(few[3][0], few[3 + len(demo.PHOTOS)][0]), "each turn another crop"
    assert torch.equal(torch.get_rng_state(), state) and capfd.readouterr() == ("", "")


def test_crops_go_through_a_data_loader_and_to_its_workers():
    crops = demo.crops(10, size=16)
    batches = [(images, list(names)) for images, names in DataLoader(crops, batch_size=4)]
    assert [images.shape for images, _ in batches] == [(4, 3, 16, 16), (4, 3, 16, 16), (2, 3, 16, 16)]
    assert torch.equal(torch.cat([images for images, _ in batches]), torch.stack([crop for crop, _ in crops]))
    assert [name for _, names in batches for name in names] == [*demo.PHOTOS[:10]]
    sent = pickle.dumps(crops)
    assert len(sent) < 200 and torch.equal(pickle.loads(sent)[7][0], crops[7][0])


@pytest.mark.parametrize(
    ("name", "options"),
    [("count", {"count": 0}), ("count", {"count": 2.5}), ("size", {"size": 0}), ("seed", {"seed": -1})],
)
def test_numbers_that_make_no_crops_are_told(name, options):
    with pytest.raises(ValueError, match=rf"^{name}.* is a whole number from [01] up, not {options[name]}"):
        demo.crops(**{"count": 3} | options)


def test_a_crop_that_is_not_there_is_told():
    with pytest.raises(IndexError, match="there are 3 crops, so there is no number 3"):
        demo.crops(3)[3]


@pytest.mark.parametrize(
    ("package", "call"),
    [
        ("skimage", lambda: demo.photo("coffee")),
        ("skimage", lambda: demo.crops(1)),
        ("efficientnet_lite_pytorch", lambda: demo.network("cpu")),
    ],
)
def test_missing_extra_says_what_to_install(monkeypatch, package, call):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ModuleNotFoundError, match=rf"needs {package}, .*pip install 'nbvis\[demo\]'"):
        call()
