"""Several networks on one picture: each answers for itself, and their scores are those of one objective."""

import pytest
import torch
from torch import nn

from nbvis.engine import (
    Names,
    Network,
    Pixels,
    activations,
    affine,
    as_formula,
    ascend,
    attribute,
    caricature,
    channel,
    check_objective,
    diversity,
    dream,
    guide,
    jitter,
    last,
    logit,
    match,
    on,
)

TRANSFORMS = [jitter(2), affine(shift=2, zoom=(0.8, 1.2), degrees=20)]


@pytest.fixture
def two(convnet):
    """The run's own network, and another with a preprocessing of its own."""
    return convnet(), Network(convnet(seed=1, classes=7), preprocess=lambda images: 3 * images - 1)


def first_update(net, objective, images, transforms=TRANSFORMS):
    """The score of a first step of `ascend`, and the gradient that it follows."""
    run = ascend(net, objective, Pixels(images), lr=1e-3, optimizer="sgd", transforms=transforms, seed=3)
    step = next(run)
    return step.score, (step.image - images) / 1e-3


def apart(net, other, a, b, images):
    """What each network alone gives: two scores and two gradients."""
    return [each for pair in ((net, a), (other, b)) for each in first_update(*pair, images)]


def near(found, expected):
    return torch.allclose(found, expected, rtol=1e-6, atol=1e-9)


def test_a_sum_over_networks_has_the_sum_of_scores_and_gradients(two, pictures):
    net, other = two
    images = pictures(2, 3, 12, 10)
    a, b = channel("5", 1), logit(6) - 2 * channel("2", 3)
    one, down, two_, up = apart(net, other, a, b, images)
    score, moved = first_update(net, a - 0.5 * on(other, b) + 3, images)
    assert near(score, one - 0.5 * two_ + 3) and near(moved, down - 0.5 * up)
    score, moved = first_update(net, a * on(other, b), images)
    assert near(score, one * two_)
    scale = (two_.view(-1, 1, 1, 1), one.view(-1, 1, 1, 1))
    assert near(moved, scale[0] * down + scale[1] * up)


def test_masks_and_lists_hold_for_each_network(two, pictures):
    net, other = two
    images = pictures(2, 3, 12, 10)
    left = torch.zeros(12, 10)
    left[:, :4] = 1
    a, b = channel("5", 1), logit(6)
    one, down, two_, up = apart(net, other, a, b, images)
    score, moved = first_update(net, a.within(left) + on(other, b.within(1 - left)), images)
    assert near(score, one + two_) and near(moved, down * left + up * (1 - left))
    score, moved = first_update(net, [a, on(other, b)], images)
    assert near(score[0], one[0]) and near(score[1], two_[1])
    assert near(moved[0], down[0]) and near(moved[1], up[1])


@pytest.mark.parametrize("kind", ["diversity", "caricature", "guide", "match"])
def test_another_network_compares_too(two, pictures, kind):
    net, other = two
    images, photo = pictures(2, 3, 12, 10), pictures(1, 3, 12, 10, seed=1)
    objective = {
        "diversity": diversity("5"),
        "caricature": caricature("5", photo),
        "guide": guide("2", photo[..., :7]),
        "match": match("5", activations(other, images, ["5"])["5"] + 1),
    }[kind]
    expected = first_update(other, objective, images)
    for found in (
        first_update(net, on(other, objective), images),
        first_update(net, [on(other, objective), on(other, objective)], images),
    ):
        assert all(map(near, found, expected))


def test_a_network_that_nothing_asks_is_not_run(two, pictures, calls):
    net, other = two
    counts = calls(net)
    last(ascend(net, on(other, logit(1)), Pixels(pictures(1, 3, 12, 12)), steps=2))
    assert not any(counts.values())


def test_layers_of_one_network_share_a_pass(two, pictures, monkeypatch):
    from nbvis.engine.network.prepared import Prepared

    net, other = two
    ran = []
    plain = Prepared.__call__
    monkeypatch.setattr(Prepared, "__call__", lambda self, *args: ran.append(self.names) or plain(self, *args))
    elsewhere = on(other, logit(1) + channel("2", 0)) * on(other, channel("5", 2))
    run = ascend(net, channel("5", 1) + elsewhere, Pixels(pictures(1, 3, 12, 12)))
    ran.clear()
    next(run)
    assert ran == [("5",), ("", "2", "5")]


def test_both_guests_stay_as_they_are(two, pictures, house):
    net, other = two
    with house(net), house(other.module):
        last(ascend(net, logit(1) + on(other, logit(1)), Pixels(pictures(1, 3, 12, 12)), steps=3))
        last(dream(net, logit(1) + on(other, logit(1)), pictures(1, 3, 24, 24), octaves=2, steps=2))


def test_a_dream_of_two_networks_raises_both(two, pictures):
    net, other = two
    images = pictures(1, 3, 24, 20)
    end = last(dream(net, channel("5", 1) + on(other, channel("5", 2)), images, octaves=2, steps=5, jitter=0)).image
    for network, objective in ((net, channel("5", 1)), (other, channel("5", 2))):
        before, after = (next(ascend(network, objective, Pixels(x), lr=0, transforms=())).score for x in (images, end))
        assert after > before


def test_a_network_of_another_precision_is_asked_at_its_own(convnet, pictures):
    net, other = convnet(), convnet(seed=1, dtype=torch.float32)
    images = pictures(2, 3, 12, 10)
    step = next(ascend(net, logit(1) + on(other, logit(2)), Pixels(images), lr=0, transforms=()))
    assert step.score.dtype == torch.float64
    assert torch.allclose(step.score, net(images)[:, 1] + other(images.float())[:, 2], rtol=1e-5)
    back = next(ascend(other, logit(2) + on(net, logit(1)), Pixels(images), lr=0, transforms=()))
    assert back.score.dtype == torch.float32 and torch.allclose(back.score.double(), step.score, rtol=1e-5)


def test_either_network_may_be_trained_meanwhile(two, pictures):
    net, other = two
    images, objective = pictures(1, 3, 12, 12), logit(1) + on(other, logit(1))
    run = ascend(net, objective, Pixels(images), lr=0, transforms=())
    before = next(run).score
    for module in (net, other.module):
        with torch.no_grad():
            module[3].weight.mul_(1.5)
        now = next(run).score
        assert near(now, first_update(net, objective, images, ())[0]) and not torch.allclose(now, before)
        before = now


def test_noise_lies_on_the_weights_of_each(two, pictures):
    net, other = two
    images = pictures(1, 3, 12, 12)

    def score(network, objective):
        options = {"lr": 0, "transforms": (), "weight_noise": 0.2, "seed": 4}
        return next(ascend(network, objective, Pixels(images), **options)).score

    assert near(score(net, logit(1) + on(other, logit(2))), score(net, logit(1)) + score(other, logit(2)))
    assert not near(score(net, on(other, logit(2))), other(images)[:, 2])


def test_the_objective_may_change_to_another_network_and_back(two, pictures):
    net, other = two
    images = pictures(1, 3, 12, 12)
    run = ascend(net, logit(1), Pixels(images), lr=0, transforms=())
    plain = next(run).score
    assert near(run.send({"objective": on(other, logit(6))}).score, other(images)[:, 6])
    assert torch.equal(run.send({"objective": logit(1)}).score, plain)


def test_the_source_names_each_network(two, pictures):
    net, other = two
    objective = logit(1) - 0.5 * on(other, channel("5", 2) * logit(3) + 1) + on(net, logit(2))
    names = Names(taken=["network"])
    source = objective.source(names)
    assert source == "logit(1) - 0.5 * on(network_2, channel('5', 2) * logit(3)) - 0.5 + on(network_3, logit(2))"
    assert names.given["network"]["network_2"] is other and as_formula(objective) is None
    again = eval(source, {"on": on, "channel": channel, "logit": logit} | names.values)
    one, two_ = (last(ascend(net, each, Pixels(pictures(1, 3, 12, 12)), steps=3)) for each in (objective, again))
    assert torch.equal(one.image, two_.image)


def test_what_cannot_be_is_refused_before_any_work(two, pictures):
    net, other = two
    images = pictures(2, 3, 12, 12)
    with pytest.raises(ValueError, match="names its network already"):
        on(net, logit(1) + on(other, logit(1)))
    with pytest.raises(TypeError, match=r"takes an objective.*not 'logit'"):
        on(net, "logit")
    with pytest.raises(TypeError, match=r"expected a Network or an nn.Module, got str"):
        on("resnet", logit(1))
    with pytest.raises(ValueError, match=r"no layer 'nowhere'"):
        check_objective(net, logit(1) + on(other, channel("nowhere", 1)), images)
    with pytest.raises(ValueError, match=r"no class 7: the network has 7"):
        ascend(net, logit(1) + on(other, logit(7)), Pixels(images))
    with pytest.raises(ValueError, match=r"is of several networks, and an attribution explains one"):
        attribute(net, images, on(other, logit(1)))
    with pytest.raises(ValueError, match=r"needs what that network answers, which `ascend` and `dream` ask it"):
        on(other, logit(1)).score({"": torch.ones(1, 3)})


def test_a_network_of_pairs_and_one_of_pictures_do_not_go_together(convnet, pictures):
    pairs = Network(nn.CosineSimilarity(), pair="inputs")
    with pytest.raises(ValueError, match=r"take them alike, not pair=None and pair='inputs'"):
        ascend(convnet(), logit(1) + on(pairs, logit(0)), Pixels(pictures(1, 3, 12, 12)))
