"""The embedded network and photographs."""

import sys
import urllib.request

import pytest
import torch

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


@pytest.mark.parametrize(("package", "call"), [("skimage", demo.photo), ("efficientnet_lite_pytorch", demo.network)])
def test_missing_extra_says_what_to_install(monkeypatch, package, call):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ModuleNotFoundError, match=rf"needs {package}, .*pip install 'nbvis\[demo\]'"):
        call("coffee" if call is demo.photo else "cpu")
