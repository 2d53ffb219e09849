"""Channels that go together stand together, whatever there is to know of them."""

import torch

from nbvis.widgets.clustering import clustered, strongest


def test_groups_stand_together_and_what_never_varies_at_the_end():
    r = torch.eye(6)
    for one, other in ((0, 3), (1, 5), (2, 4)):
        r[one, other] = r[other, one] = 0.9
    r[4] = r[:, 4] = float("nan")
    order = clustered(r).order.tolist()
    assert sorted(order) == list(range(6)) and order[-1] == 4
    assert abs(order.index(0) - order.index(3)) == 1 and abs(order.index(1) - order.index(5)) == 1


def test_a_pair_whose_correlation_is_not_a_number_is_one_that_does_not_go_together():
    """Of channels that vary by no more than rounding errors."""
    torch.manual_seed(0)
    r = torch.rand(60, 60)
    r = ((r + r.T) / 2).fill_diagonal_(1)
    r[10:, :40] = r[:40, 10:] = float("nan")
    r.fill_diagonal_(1)
    assert sorted(clustered(r).order.tolist()) == list(range(60))


def test_one_channel_and_none_have_an_order_too():
    assert clustered(torch.eye(1)).order.tolist() == [0]
    assert clustered(torch.full((2, 2), float("nan"))).order.tolist() == [0, 1]


def test_the_strongest_come_first_whatever_their_sign():
    r = torch.tensor([[1, 0.2, -0.9, float("nan")]] * 4)
    assert [each for each, _ in strongest(r, 0)] == [2, 1]
    assert strongest(torch.full((2, 2), float("nan")), 0) == []
