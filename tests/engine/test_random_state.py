"""The caller's random numbers are left alone, also while another thread draws from the same generator."""

import importlib
import queue
import random
import threading
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

from nbvis.engine import Network, Pixels, activations, activity, ascend, attribute, last
from nbvis.engine.network.random_draws import DRAWING, Draws
from nbvis.engine.network.random_state import Deal, dealing

DRAWS = {
    "rand": lambda: torch.rand(2),
    "randn_like": lambda: torch.randn_like(torch.ones(2)),
    "rand_like": lambda: torch.rand_like(torch.ones(2)),
    "randint_like": lambda: torch.randint_like(torch.ones(2), 5),
    "randint_like from": lambda: torch.randint_like(torch.ones(2), 2, 5),
    "randperm": lambda: torch.randperm(4),
    "randint": lambda: torch.randint(5, (2,)),
    "randint from": lambda: torch.randint(2, 5, (2,)),
    "dropout": lambda: F.dropout(torch.ones(4), 0.5),
    "dropout2d": lambda: F.dropout2d(torch.ones(2, 4, 3, 3), 0.5),
    "alpha_dropout": lambda: F.alpha_dropout(torch.ones(4), 0.5, training=True),
    "native_dropout": lambda: torch.native_dropout(torch.ones(6), 0.3, True)[0],
    "normal_": lambda: torch.ones(4).normal_(),
    "normal": lambda: torch.normal(0.0, 1.0, (3,)),
    "normal of tensors": lambda: torch.normal(torch.zeros(3), torch.ones(3)),
    "bernoulli": lambda: torch.bernoulli(torch.full((3,), 0.5)),
    "bernoulli_ of tensors": lambda: torch.ones(5).bernoulli_(torch.full((5,), 0.5)),
    "multinomial": lambda: torch.multinomial(torch.ones(3), 2),
    "poisson": lambda: torch.poisson(torch.ones(4)),
    "binomial": lambda: torch.binomial(torch.full((3,), 5.0), torch.full((3,), 0.5)),
    "exponential_": lambda: torch.ones(3).exponential_(),
    "rrelu": lambda: F.rrelu(-torch.ones(4), training=True),
    "rrelu_": lambda: F.rrelu(-torch.ones(4), training=True, inplace=True),
    "gumbel_softmax": lambda: F.gumbel_softmax(torch.ones(2, 4)),
    "fractional pooling": lambda: F.fractional_max_pool2d(torch.arange(64.0).view(1, 1, 8, 8), 2, output_size=3),
    "initialisation": lambda: nn.Linear(2, 2).weight,
    "attention": lambda: F.scaled_dot_product_attention(*torch.ones(3, 1, 4, 4).unbind(), dropout_p=0.5),
    "LSTM": lambda: nn.LSTM(3, 3, 2, dropout=0.5)(torch.ones(4, 1, 3))[0],
    "low rank": lambda: torch.svd_lowrank(torch.arange(36.0).view(6, 6), 2)[0],
    "distribution": lambda: torch.distributions.Normal(0.0, 1.0).sample((2,)),
    "gamma distribution": lambda: torch.distributions.Gamma(torch.ones(2), torch.ones(2)).sample(),
    "an operation by name": lambda: torch.ops.aten.randn.default([3]),
}


def by_torch(draw: Any, seed: int | None) -> torch.Tensor:
    """What torch itself draws from a seed, or from where it is."""
    with torch.random.fork_rng():
        if seed is not None:
            torch.manual_seed(seed)
        return draw()


@pytest.mark.parametrize("name", DRAWS)
@pytest.mark.parametrize("seed", [None, 3])
@pytest.mark.parametrize("always", [False, True])
def test_every_draw_gives_what_torch_would_and_leaves_its_generator_alone(name, seed, always):
    expected, state = by_torch(DRAWS[name], seed), torch.get_rng_state()
    with dealing(Deal(seed)) as deal, Draws(deal, always):
        assert not deal.drew[0]
        found = DRAWS[name]()
        assert torch.equal(state, torch.get_rng_state())  # not even for a moment
    assert deal.drew[0] and torch.equal(found, expected)


def test_every_operation_that_draws_is_known_by_name():
    """Those with an underscore in front are called by others, or where dropout is on, on a GPU, by name of these."""
    packets = {name.split("::")[1].split(".")[0] for name in torch._C._dispatch_get_all_op_names() if "aten::" in name}
    drawing = {
        name
        for name in packets
        if not name.startswith("_")
        for overload in getattr(torch.ops.aten, name).overloads()
        if torch.Tag.nondeterministic_seeded in getattr(getattr(torch.ops.aten, name), overload).tags
    }
    inner = {"random", "uniform", "cauchy", "exponential", "geometric", "log_normal", "normal_functional"}  # no Python
    inner |= {"miopen_rnn", "rrelu_with_noise", "rrelu_with_noise_", "rrelu_with_noise_functional"}
    assert len(drawing) > 30 and drawing - inner <= DRAWING


def test_an_operation_that_takes_no_generator_draws_from_the_seed_too():
    with torch.library._scoped_library("nbvis_test", "DEF") as library:
        library.define("noise(Tensor x) -> Tensor", tags=(torch.Tag.nondeterministic_seeded,))
        library.impl("noise", lambda x: x + torch.rand(x.shape), "CPU")

        def noise() -> torch.Tensor:
            return torch.ops.nbvis_test.noise(torch.zeros(4))

        expected, state = by_torch(lambda: torch.cat([noise(), torch.rand(2)]), 3), torch.get_rng_state()
        with dealing(Deal(3)) as deal, Draws(deal):
            assert torch.equal(torch.cat([noise(), torch.rand(2)]), expected)
    assert torch.equal(state, torch.get_rng_state())


def test_a_seed_decides_what_is_drawn_and_an_error_changes_nothing():
    state = torch.get_rng_state()
    with dealing(Deal(3)) as deal, Draws(deal):
        first = torch.rand(4)
    with pytest.raises(ZeroDivisionError), dealing(Deal(3)) as deal, Draws(deal):
        assert torch.equal(first, torch.rand(4))
        raise ZeroDivisionError
    with dealing(Deal(4)) as deal, Draws(deal):
        assert not torch.equal(first, torch.rand(4))
    assert torch.equal(state, torch.get_rng_state())


def test_a_generator_of_ones_own_is_no_draw(convnet, pictures):
    net, images = convnet(), pictures(1, 3, 8, 8).requires_grad_()
    with dealing() as deal, Draws(deal, always=True):
        torch.rand(2, generator=torch.Generator())
        F.dropout(net(images), 0.5, training=False).sum().backward()
        F.scaled_dot_product_attention(*torch.ones(3, 1, 4, 4).unbind())
    assert not deal.drew[0]


class Noise(nn.Module):
    """Draws from everything there is."""

    def __init__(self, fails: bool = False):
        super().__init__()
        self.conv, self.fails = nn.Conv2d(3, 4, 3).double(), fails

    def forward(self, x):
        x = self.conv(x) * (1 + 0.1 * torch.rand_like(x[:, :1, 2:, 2:]))
        x = x * np.random.uniform(0.9, 1.1) * random.uniform(0.9, 1.1) * helped()
        if self.fails:
            raise OSError("boom")
        return F.dropout(x, 0.3).mean((2, 3))


def helped() -> float:
    """Reached by its name only."""
    return 1 + 0.1 * np.random.rand()


NOISY_CALLS: dict[str, Any] = {
    "network": lambda net, images: Network(net)(images),
    "activations": lambda net, images: activations(net, images, ["conv"])["conv"],
    "gradient": lambda net, images: attribute(net, images, 1).map,
    "grad_cam": lambda net, images: attribute(net, images, 1, method="grad_cam", layer="conv").map,
    "integrated gradients": lambda net, images: (
        attribute(net, images, 1, method="integrated_gradients", steps=3, chunk=1).map
    ),
    "occlusion": lambda net, images: attribute(net, images, 1, method="occlusion", window=4).map,
    "ascend": lambda net, images: last(ascend(net, activity(""), Pixels(images), steps=2)).image,
}


@pytest.mark.parametrize("name", NOISY_CALLS)
def test_a_network_that_draws_from_everything_gives_the_same_twice_and_leaves_it_alone(name, house, pictures):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net, images = Noise(), pictures(1, 3, 9, 9)
    with house(net):
        first = NOISY_CALLS[name](net, images)
    if name not in ("network", "activations"):  # these two draw from where the caller is
        torch.rand(1)
        np.random.rand()
        random.random()
    assert torch.equal(NOISY_CALLS[name](net, images), first)


@pytest.mark.parametrize("name", NOISY_CALLS)
def test_also_when_it_raises(name, house, pictures):
    with torch.random.fork_rng():
        net, images = Noise(fails=True), pictures(1, 3, 9, 9)
    with house(net):
        if name == "activations":
            NOISY_CALLS[name](net, images)  # goes no further than the layer
        else:
            with pytest.raises((RuntimeError, OSError), match="boom"):
                NOISY_CALLS[name](net, images)


class Seeding(nn.Module):
    """Seeds torch's own generator, so that its noise is always the same; or draws it again in the backward pass."""

    def __init__(self, kind: str):
        super().__init__()
        self.conv, self.kind = nn.Conv2d(3, 4, 3).double(), kind

    def forward(self, x):
        if self.kind == "checkpoint":
            return checkpoint(self.noisy, x, use_reentrant=False)
        if self.kind == "seed":
            torch.manual_seed(5)
            return self.noisy(x)
        with torch.random.fork_rng():
            torch.manual_seed(5)
            return self.noisy(x)

    def noisy(self, x):
        x = self.conv(x)
        return (x * torch.rand_like(x)).square().mean((2, 3))


@pytest.mark.parametrize("kind", ["seed", "fork"])
def test_a_network_that_seeds_by_itself_gets_what_it_asked_for(kind, house, pictures):
    with torch.random.fork_rng():
        net, images = Seeding(kind), pictures(1, 3, 9, 9)
        expected = net(images)
    with house(net):
        assert torch.equal(Network(net)(images), expected)
        assert torch.equal(attribute(net, images, 2).score, expected[:, 2])


class Seeded(nn.Module):
    """Calls something of a global stream in its forward pass."""

    def __init__(self, seed: Any):
        super().__init__()
        self.seed = seed

    def forward(self, x):
        self.seed()
        return x.mean((2, 3))


SEEDS: dict[str, Any] = {
    "torch": lambda: torch.manual_seed(5),
    "torch.random": lambda: torch.random.manual_seed(5),
    "torch's state": lambda: torch.set_rng_state(torch.Generator().manual_seed(5).get_state()),
    "numpy": lambda: np.random.seed(5),
    "numpy's old names": lambda: np.random.ranf(),
    "numpy's state": lambda: np.random.set_state(np.random.RandomState(5).get_state()),
    "python": lambda: random.seed(5),
}


@pytest.mark.parametrize("compiler", [False, True])
@pytest.mark.parametrize("name", SEEDS)
def test_whatever_a_network_seeds_is_put_back(name, compiler, house, pictures):
    """PyTorch's compiler, once it is loaded, puts a function of its own in the place of `torch.manual_seed`."""
    if compiler:
        importlib.import_module("torch._dynamo")
    net, images = Seeded(SEEDS[name]), pictures(1, 3, 9, 9)
    with house(net):
        Network(net)(images)
        attribute(net, images, 1)


def test_noise_in_a_checkpoint_is_the_same_in_the_backward_pass(house, pictures):
    with torch.random.fork_rng():
        net, images = Seeding("checkpoint"), pictures(1, 3, 9, 9)
    with house(net):
        found = attribute(net, images, 2).map
    leaf = images.clone().requires_grad_()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        x = net.conv(leaf)
        (x * torch.rand_like(x)).square().mean((2, 3))[0, 2].backward()
    assert torch.allclose(found, leaf.grad)


def test_noise_that_is_rarely_drawn_is_dealt_too(house, pictures):
    class Rarely(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3).double()

        def forward(self, x):
            return self.conv(x if x.mean() < 0.5 else x + torch.rand_like(x)).mean((2, 3))

    with torch.random.fork_rng():
        net = Rarely()
    images = pictures(1, 3, 9, 9, low=0.45, high=0.5)
    with house(net):
        for step in ascend(net, activity(""), Pixels(images), steps=40, lr=0.05):
            assert torch.isfinite(step.score)
        assert step.image.mean() > 0.5


def test_what_another_thread_draws_meanwhile_is_not_undone(house, pictures):
    """The layer waits for another thread to draw, as a training loop does beside a running widget."""
    asked, drawn = queue.SimpleQueue(), queue.SimpleQueue()

    def draw() -> None:
        while asked.get():
            drawn.put((torch.rand(1).item(), np.random.rand(), random.random()))

    class Waiting(nn.Conv2d):
        def forward(self, images):
            asked.put(True)
            found.append(drawn.get())
            return super().forward(images) * (1 + 0.1 * torch.rand(()))

    found: list[tuple[float, float, float]] = []
    with torch.random.fork_rng():
        net, images = nn.Sequential(Waiting(3, 4, 3)).double(), pictures(1, 3, 8, 8)
    with house(net), torch.random.fork_rng(), kept_streams():
        seed_all()
        expected = [(torch.rand(1).item(), np.random.rand(), random.random()) for _ in range(100)]
        seed_all()
        thread = threading.Thread(target=draw)
        thread.start()
        activations(net, images, ["0"])
        attribute(net, images, activity("0"))
        last(ascend(net, activity("0"), Pixels(images), steps=3))
        asked.put(False)
        thread.join()
        assert len(found) > 5 and found == expected[: len(found)]
        assert (torch.rand(1).item(), np.random.rand(), random.random()) == expected[len(found)]


def seed_all():
    torch.manual_seed(0)
    np.random.seed(0)
    random.seed(0)


@contextmanager
def kept_streams():
    numpy, python = np.random.get_state(), random.getstate()
    yield
    np.random.set_state(numpy)
    random.setstate(python)


def test_the_stream_of_the_main_thread_is_the_same_while_a_network_that_draws_runs_in_another(pictures):
    with torch.random.fork_rng():
        net, images = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), Always(), nn.Conv2d(8, 8, 3)).double(), None
        images = pictures(1, 3, 16, 16)
        steps, ended = [], threading.Event()

        def run() -> None:
            for step in ascend(net, activity("3"), Pixels(images), steps=10_000):
                steps.append(step.index)
                if ended.is_set():
                    return

        torch.manual_seed(0)
        expected = [torch.rand(2) for _ in range(20_000)]
        worker = threading.Thread(target=run)
        worker.start()
        try:
            torch.manual_seed(0)
            found = [torch.rand(2) for _ in range(20_000)]
            while len(steps) < 20:
                torch.rand(1)
        finally:
            ended.set()
            worker.join()
    assert all(map(torch.equal, found, expected))


class Always(nn.Module):
    """Dropout that is never off."""

    def forward(self, x):
        return F.dropout(x, 0.5) + 0.01 * torch.randn_like(x)
