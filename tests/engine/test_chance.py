"""The caller's random numbers are left alone, also while another thread draws from the same generator."""

import threading

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from nbvis.engine import Pixels, activations, activity, ascend, last
from nbvis.engine.chance import unchanged_chance

CPU = torch.device("cpu")
DRAWS = {
    "rand": lambda: torch.rand(2),
    "randn_like": lambda: torch.randn_like(torch.ones(2)),
    "randperm": lambda: torch.randperm(4),
    "randint": lambda: torch.randint(5, (2,)),
    "dropout": lambda: F.dropout(torch.ones(4), 0.5),
    "alpha_dropout": lambda: F.alpha_dropout(torch.ones(4), 0.5, training=True),
    "normal_": lambda: torch.ones(4).normal_(),
    "bernoulli": lambda: torch.bernoulli(torch.full((3,), 0.5)),
    "multinomial": lambda: torch.multinomial(torch.ones(3), 2),
    "rrelu": lambda: F.rrelu(-torch.ones(4), training=True),
    "initialisation": lambda: nn.Linear(2, 2),
    "attention": lambda: F.scaled_dot_product_attention(*torch.ones(3, 1, 4, 4), dropout_p=0.5),
}


@pytest.mark.parametrize("name", DRAWS)
@pytest.mark.parametrize("seed", [None, 3])
def test_every_draw_is_noticed_and_undone(name, seed):
    state = torch.get_rng_state()
    with unchanged_chance(CPU, seed) as drew:
        assert not drew[0]
        DRAWS[name]()
    assert drew[0] and torch.equal(state, torch.get_rng_state())


def test_a_seed_decides_what_is_drawn_and_an_error_undoes_it_too():
    state = torch.get_rng_state()
    with unchanged_chance(CPU, 3):
        first = torch.rand(4)
    with pytest.raises(ZeroDivisionError), unchanged_chance(CPU, 3):
        assert torch.equal(first, torch.rand(4))
        raise ZeroDivisionError
    with unchanged_chance(CPU, 4):
        assert not torch.equal(first, torch.rand(4))
    assert torch.equal(state, torch.get_rng_state())


def test_a_generator_of_ones_own_is_no_draw(convnet, pictures):
    net, images = convnet(), pictures(1, 3, 8, 8).requires_grad_()
    with unchanged_chance(CPU) as drew:
        torch.rand(2, generator=torch.Generator())
        F.dropout(net(images), 0.5, training=False).sum().backward()
    assert not drew[0]


def test_what_another_thread_draws_meanwhile_is_not_undone(pictures):
    """The layer waits for another thread to draw, as a training loop does beside a running widget."""
    drawn = []

    class Waiting(nn.Conv2d):
        def forward(self, images):
            thread = threading.Thread(target=lambda: drawn.append(torch.rand(3)))
            thread.start()
            thread.join()
            return super().forward(images)

    with torch.random.fork_rng():
        net = nn.Sequential(Waiting(3, 4, 3)).double()
        torch.manual_seed(0)
        expected = torch.rand(3 * 40)
        torch.manual_seed(0)
        activations(net, pictures(1, 3, 8, 8), ["0"])
        last(ascend(net, activity("0"), Pixels(pictures(1, 3, 8, 8)), steps=3))
        found = torch.cat(drawn)
        assert len(found) > 9 and torch.equal(found, expected[: len(found)])
        assert torch.equal(torch.rand(1), expected[len(found) : len(found) + 1])
