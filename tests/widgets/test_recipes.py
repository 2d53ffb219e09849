"""Every recipe runs where it is pasted and makes what the widget shows, to the bit, whatever was done before."""

import random
import re

import pytest
import torch
from torch import nn

from nbvis import DreamCanvas, DropoutInverter, SaliencyView
from nbvis.engine import (
    METHODS,
    Network,
    Objective,
    activity,
    caricature,
    channel,
    custom,
    decay,
    direction,
    guide,
    jitter,
    logit,
    match,
    on,
    rotate,
    unit,
    zoom,
)
from nbvis.engine.ascent.objective_source import Names
from nbvis.widgets.recipe import TAKEN

LONG = 60.0


class Net(nn.Module):
    """Layers called twice, dropout of two kinds, and an activation that no ReLU rule knows."""

    def __init__(self):
        super().__init__()
        self.first, self.relu, self.second = nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 5, 3)
        self.channels, self.units = nn.Dropout2d(0.4), nn.Dropout(0.5)
        self.pool, self.head = nn.AdaptiveAvgPool2d(3), nn.Linear(45, 4)

    def forward(self, x):
        x = self.channels(self.relu(self.first(x)))
        x = self.relu(self.second(x))
        return self.head(self.units(self.pool(x).flatten(1)))


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return Net()


@pytest.fixture(scope="module")
def image():
    return torch.rand(1, 3, 24, 28, generator=torch.Generator().manual_seed(0))


OTHER = Network(nn.Conv2d(3, 4, 5), preprocess=lambda images: images - 0.5, device="cpu")


def contrast(activation):
    return activation.flatten(1).std(1)


def masks(draw: random.Random) -> list[torch.Tensor]:
    left, right = torch.zeros(24, 28), torch.ones(24, 28)
    left[:, : draw.randint(4, 20)] = 1
    right[draw.randint(4, 20) :] = draw.choice([0.0, 0.25])
    return [left, right]


def objective(draw: random.Random, pair: list[torch.Tensor], depth: int = 2, compares: bool = False) -> Objective:
    """A random expression, with the masks of the pair, and if it compares with other pictures."""
    kinds = [
        lambda: activity(draw.choice(["first", "relu", "relu:0", "second"])),
        lambda: channel(draw.choice(["first", "second"]), draw.randint(0, 4)),
        lambda: unit("second", draw.randint(0, 4), *draw.choice([(), (3, 5)])),
        lambda: logit(draw.randint(0, 3)),
        lambda: custom(contrast, "second"),
        lambda: custom(lambda a: a.flatten(1).square().mean(1), "first"),
        lambda: direction("second", [draw.uniform(-1, 1) for _ in range(5)]),
    ]
    if compares:
        photo = torch.rand(1, 3, 24, 28, generator=torch.Generator().manual_seed(draw.randint(0, 1)))
        kinds += [
            lambda: caricature("second", photo, draw.choice([1.0, 0.5])),
            lambda: guide("first", photo[..., :20]),
            lambda: match("head", photo[:, 0, 0, :4]),
            lambda: on(OTHER, channel("", draw.randint(0, 3))),
        ]
    if not depth or draw.random() < 0.3:
        return draw.choice(kinds)()
    one, two = (objective(draw, pair, depth - 1, compares) for _ in range(2))
    made = [
        lambda: one + two,
        lambda: one - round(draw.uniform(0.1, 2), 3) * two,
        lambda: one + draw.uniform(-1, 1),
        lambda: one.within(pair[0]) + two.within(pair[1]),
        lambda: (one + two).within(draw.choice(pair)),
        lambda: draw.uniform(0.1, 3) * one / 3,
    ]
    if all(term.mask is None for term in one.terms + two.terms):
        made.append(lambda: one * two)
    return draw.choice(made)()


def named(objectives):
    """The masks, functions and other tensors of objectives, by the names that a recipe gives them."""
    names = Names(TAKEN)
    for each in objectives:
        each.source(names)
    return names.values


def run_recipe(widget, network, image, objectives=()):
    source = widget.recipe()
    first = source.partition("\n")[0]
    assert first.startswith("# Runs once `network`")
    bound = {"network": network, "image": image} | named(objectives)
    asked = set(re.findall(r"`(\w+)`", first))
    scope = {name: bound[name] for name in asked}  # nothing but what the first line asks for
    exec(compile(source, "recipe", "exec"), scope)
    return scope


@pytest.mark.parametrize("seed", range(30))
def test_the_recipe_of_any_dream(network, image, seed):
    draw = random.Random(seed)
    pair = masks(draw)

    def own() -> Objective:
        return objective(draw, pair, compares=True)

    options = {
        "octaves": draw.randint(1, 3),
        "octave_scale": round(draw.uniform(1.1, 1.6), 3),
        "steps": draw.randint(1, 5),
        "jitter": draw.randint(0, 5),
        "rotation": draw.choice([0, 7.5]),
        "lr": draw.uniform(0.005, 0.3),
        "seed": draw.randint(-3, 10**6),
        "start": draw.choice(["image", "noise"]),
        "endless": draw.random() < 0.3,
        "zoom": draw.choice([1, 1.07]),
        "turn": draw.choice([0, -4.5]),
    }
    given = draw.choice([image, image[0]])
    canvas = DreamCanvas(network, given, own() if draw.random() < 0.7 else None, **options)
    changes = [
        lambda: setattr(canvas, "lr", draw.uniform(0.01, 0.2)),
        lambda: setattr(canvas, "steps", draw.randint(1, 6)),
        lambda: setattr(canvas, "jitter", draw.randint(0, 6)),
        lambda: setattr(canvas, "rotation", draw.uniform(0, 20)),
        lambda: setattr(canvas, "objective", own()),
        lambda: setattr(canvas, "unit", (draw.choice(["relu:0", "second"]), draw.choice([None, 2]))),
        lambda: setattr(canvas, "octaves", draw.randint(1, 3)),
        lambda: setattr(canvas, "seed", draw.randint(0, 9)),
        lambda: setattr(canvas, "endless", not canvas.endless),
        lambda: setattr(canvas, "zoom", draw.uniform(1, 1.2)),
        lambda: setattr(canvas, "turn", draw.uniform(-10, 10)),
        lambda: setattr(canvas, "seconds", draw.choice([1, None])),
        lambda: None,
    ]
    for _ in range(draw.randint(0, 7)):
        draw.choice(changes)()
        draw.choice([canvas.step, canvas.step, canvas.step, lambda: None])()
        assert canvas.wait(LONG) and canvas.state != "error", canvas.error
    if draw.random() < 0.4:
        canvas.endless = False  # it ends with its round
        canvas.play()
        assert canvas.wait(LONG)
    if canvas._session.last is None:
        canvas.endless = False  # or the recipe would have no end either
    past = canvas._session.past
    used = [
        each["objective"] for each in (past.origin, *(changed for _, changed in past.changes)) if "objective" in each
    ]
    scope = run_recipe(canvas, network, given, used)
    if past.last is None:
        canvas.play()
        assert canvas.wait(LONG)
    canvas.close()
    assert canvas.state != "error" and torch.equal(scope["picture"], canvas.result)


@pytest.mark.parametrize("seed", range(16))
def test_the_recipe_of_any_visualisation(network, image, seed):
    draw = random.Random(seed)
    objectives = [
        channel("second", 2),
        logit(1),
        2 * unit("second", 1, 3, 5) - activity("first"),
        custom(contrast, "first"),
    ]
    options = {
        "side": draw.choice([24, 30]),
        "updates": draw.randint(1, 5),
        "seed": draw.randint(0, 10**6),
        "parameter": draw.choice(["fourier", "maco", "alpha", "pixels"]),
    }
    canvas = DreamCanvas(network, draw.choice([image, None]), draw.choice(objectives), mode="visualise", **options)
    changes = [
        lambda: setattr(canvas, "rate", draw.uniform(0.01, 0.2)),
        lambda: setattr(canvas, "updates", draw.randint(1, 6)),
        lambda: setattr(canvas, "weight_noise", draw.uniform(0, 0.3)),
        lambda: setattr(canvas, "transforms", draw.choice([(), (jitter(2),), (rotate(9), zoom(0.9, 1.1))])),
        lambda: setattr(canvas, "regularisers", (decay(1e-3),) if canvas.parameter == "pixels" else ()),
        lambda: setattr(canvas, "objective", draw.choice(objectives)),
        lambda: setattr(canvas, "preset", draw.choice(["", "", "yosinski 3"])),
        lambda: setattr(canvas, "seconds", draw.choice([1, None])),
    ]
    for _ in range(draw.randint(0, 6)):
        draw.choice(changes)()
        draw.choice([canvas.step, canvas.step, lambda: None])()
        assert canvas.wait(LONG) and canvas.state != "error", canvas.error
    if canvas._session.last is None:
        canvas.step()
        assert canvas.wait(LONG)
    past = canvas._session.past
    used = [
        each["objective"] for each in (past.origin, *(changed for _, changed in past.changes)) if "objective" in each
    ]
    scope = run_recipe(canvas, network, image, used)
    canvas.close()
    assert canvas.state != "error" and torch.equal(scope["picture"], canvas.result)


@pytest.mark.parametrize("seed", range(20))
def test_the_recipe_of_any_inversion(network, image, seed):
    draw = random.Random(seed)
    inserts = draw.random() < 0.3
    options = {
        "layer": draw.choice(["first", "relu:0"]) if inserts else draw.choice(["second", "head", "units", "relu"]),
        "insert": inserts,
        "p": draw.choice([None, draw.uniform(0.05, 0.9)]),
        "samples": draw.randint(1, 3),
        "seed": draw.randint(0, 10**6),
        "lr": draw.uniform(1e-3, 0.1),
        "tolerance": 10 ** draw.uniform(-7, -2),
        "steps": draw.randint(1, 12),
        "bounded": draw.random() < 0.5,
    }
    given = draw.choice([image, image[0]])
    inverter = DropoutInverter(network, given, **options)
    if draw.random() < 0.3:
        inverter.sweep = True
        assert inverter.wait(LONG)
    changes = [
        lambda: setattr(inverter, "lr", draw.uniform(1e-3, 0.2)),
        lambda: setattr(inverter, "tolerance", 10 ** draw.uniform(-7, -3)),
        lambda: setattr(inverter, "steps", draw.randint(1, 15)),
        lambda: setattr(inverter, "seed", draw.randint(0, 99)),
        lambda: setattr(inverter, "p", draw.uniform(0.1, 0.9)),
        lambda: None,
    ]
    for _ in range(draw.randint(0, 6)):
        draw.choice(changes)()
        assert inverter.wait(LONG)
        draw.choice([inverter.step, inverter.step, inverter.step, lambda: None])()
        assert inverter.wait(LONG) and inverter.state != "error", inverter.error
    if draw.random() < 0.4:
        inverter.play()
        assert inverter.wait(LONG)
    scope = run_recipe(inverter, network, given)
    if inverter.last is None:
        inverter.play()
        assert inverter.wait(LONG)
    inverter.close()
    assert inverter.state != "error" and torch.equal(scope["picture"], inverter.result)


@pytest.mark.parametrize("seed", range(30))
def test_the_recipe_of_any_maps(network, image, seed):
    draw = random.Random(seed)
    names = draw.sample(list(METHODS), draw.randint(1, 4))
    target = draw.choice([None, draw.randint(0, 3), objective(draw, masks(draw))])
    given = draw.choice([image, image[0], 2 * image])
    options = {"steps": draw.randint(2, 6), "samples": draw.randint(1, 4), "noise": draw.uniform(0, 0.5)}
    options |= {"window": draw.randint(1, 12), "stride": draw.randint(3, 9)}
    view = SaliencyView(network, given, target, method=names[0], compare=names[1:], **options)
    changes = [
        lambda: view.occlude(draw.randint(0, 23), draw.randint(0, 27)),
        lambda: setattr(view, "layer", draw.choice(["first", "relu:0", "second"])),
        lambda: setattr(view, "place", draw.choice(["", "first", "second"])),
        lambda: setattr(view, "noise", draw.uniform(0, 0.5)),
        lambda: setattr(view, "target", draw.choice([None, 1])),
        lambda: view.explain(draw.randint(0, 23), draw.randint(0, 27)),
        lambda: setattr(view, "window", draw.randint(1, 16)),
    ]
    for _ in range(draw.randint(0, 4)):
        draw.choice(changes)()
    results, explained = view.results, view._asked()[0].target
    scope = run_recipe(view, network, given, [explained] if isinstance(explained, Objective) else [])
    view.close()
    made = scope.get("attributions", {})
    if "attribution" in scope:
        made = {scope["attribution"].method: scope["attribution"]}
    assert made.keys() == results.keys()
    for name, found in results.items():
        assert torch.equal(made[name].map, found.map) and torch.equal(made[name].score, found.score)


def test_maps_that_there_are_none_of_are_left_out_and_named(image):
    class Leaky(nn.Module):
        def forward(self, x):
            return torch.where(x > 0, x, 0.1 * x)

    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), Leaky(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    view = SaliencyView(net, image, 1, method="guided_backprop", compare=["gradient", "grad_cam"], place="0")
    assert "guided_backprop" not in view.results
    scope = run_recipe(view, net, image)
    assert "# No map by guided_backprop: " in view.recipe()
    assert scope["attributions"].keys() == {"gradient", "grad_cam"}
    view.compare = []
    scope = run_recipe(view, net, image)
    view.close()
    assert "attribution" not in scope and "attributions" not in scope


def test_one_mask_given_for_two_raises(network, image):
    left, right = torch.zeros(24, 28), torch.zeros(24, 28)
    left[:, :14], right[:, 14:] = 1, 1
    canvas = DreamCanvas(network, image, activity("first").within(left) + logit(2).within(right), octaves=1, steps=2)
    canvas.play()
    canvas.wait(LONG)
    source = canvas.recipe()
    canvas.close()
    first = source.partition("\n")[0]
    assert first == (
        "# Runs once `network` and `image` are what the DreamCanvas was given, "
        "and `mask` and `mask_2` are the masks of its objective, which it has in .recipe_masks."
    )
    with pytest.raises(NameError, match="mask_2"):
        exec(source, {"network": network, "image": image, "mask": left})
    with pytest.raises(AssertionError, match="mask and mask_2 are two masks"):
        exec(source, {"network": network, "image": image, "mask": left, "mask_2": left})
    scope = {"network": network, "image": image, "mask": left, "mask_2": right.numpy()}
    exec(source, scope)
    assert torch.equal(scope["picture"], canvas.result)


def test_before_the_first_step_the_recipe_has_what_was_set_since(network, image):
    canvas = DreamCanvas(network, image, layer="first", octaves=1, steps=2)
    canvas.lr, canvas.layer, canvas.start = 0.3, "second", "noise"
    planned = run_recipe(canvas, network, image)["picture"]
    assert canvas.recipe().startswith("# Runs once `network` is what the DreamCanvas was given.\n")
    canvas.play()
    canvas.wait(LONG)
    canvas.close()
    assert torch.equal(planned, canvas.result)


def test_a_label_of_two_lines_stays_in_its_comment(network, image):
    view = SaliencyView(Network(network, labels=["a\nb", "c", "d", "e"], device="cpu"), image, 0)
    found = view.results["gradient"]
    assert torch.equal(run_recipe(view, view._subject.network, image)["attribution"].map, found.map)
    view.close()
