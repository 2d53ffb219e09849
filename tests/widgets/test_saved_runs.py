"""A run that is saved is gone on with by another canvas as if it had never ended, to the bit."""

import threading

import pytest
import torch
from torch import nn

from nbvis import DreamCanvas
from nbvis.engine import activity, channel, choice, custom, decay, jitter, logit, rotate
from nbvis.widgets import saved_run

LONG = 60.0
MODES = {
    "dream": {},
    "endless": {"endless": True, "zoom": 1.1, "turn": 3},
    "noise": {"start": "noise"},
    "visualise": {"mode": "visualise", "side": 32, "updates": 6},
    "natural": {"mode": "visualise", "side": 32, "updates": 6, "parameter": "maco", "weight_noise": 0.1},
    "transparent": {"mode": "visualise", "side": 32, "updates": 6, "parameter": "alpha"},
    "regularised": {
        "mode": "visualise", "side": 32, "updates": 6, "parameter": "pixels", "regularisers": (decay(1e-3),),
        "transforms": (jitter(2), choice(rotate(5), jitter(1))),
    },
    "recipe": {"mode": "visualise", "side": 32, "preset": "yosinski 3"},
    "grid": {"mode": "grid", "tiles": 4, "tile": 32, "updates": 6},
}  # fmt: skip


def stepped(canvas, steps=1):
    for _ in range(steps):
        canvas.step()
        assert canvas.wait(LONG) and canvas.state in ("paused", "finished"), canvas.error
    return canvas.result


@pytest.fixture
def open_run(network):
    opened = []

    def open_run(path, given=network, **options):
        opened.append(DreamCanvas.open(path, given, **options))
        assert opened[-1].wait(LONG)
        return opened[-1]

    yield open_run
    for canvas in opened:
        canvas.close()


@pytest.mark.parametrize("mode", MODES)
def test_it_goes_on_to_the_same_bits_with_the_same_settings_and_recipe(make, open_run, tmp_path, mode):
    canvas = make(**{"layer": "0", "steps": 3, "lr": 0.2} | MODES[mode])
    assert canvas.wait(LONG)
    stepped(canvas, 2)
    canvas.rate = canvas.lr = 0.1
    there = stepped(canvas)
    canvas.save(tmp_path / "run.nbvis")
    again = open_run(tmp_path / "run.nbvis")
    assert torch.equal(again.result, there) and again.state == "paused"
    assert again._session.differing == set() and len(again._session.history) == 3
    assert repr(again._settings_now()) == repr(canvas._settings_now())
    recipes = [each.recipe().splitlines()[1:] for each in (canvas, again)]
    assert recipes[0] == recipes[1]
    assert torch.equal(stepped(again, 2), stepped(canvas, 2))
    if mode not in ("endless", "recipe"):
        for each in (canvas, again):
            each.play()
            assert each.wait(LONG) and each.state == "finished"
        assert torch.equal(again.result, canvas.result)


@pytest.mark.parametrize("mode", ["dream", "visualise"])
def test_masks_and_terms_are_as_they_were(make, open_run, network, image, tmp_path, mode):
    canvas = make(network, image, channel("2", 1) - 0.5 * logit(2), steps=3, **MODES[mode])
    assert canvas.wait(LONG)
    canvas.set_mask(1, torch.rand(32, 48))
    stepped(canvas, 2)
    canvas.set_mask(0, (torch.rand(32, 48) > 0.5).float())
    stepped(canvas, 1)
    canvas.save(tmp_path / "run.nbvis")
    again = open_run(tmp_path / "run.nbvis")
    assert canvas.formula == again.formula and again._session.differing == set()
    for mine, theirs in zip(canvas.masks, again.masks, strict=True):
        assert torch.equal(mine, theirs)
    assert torch.equal(stepped(again, 3), stepped(canvas, 3))


def test_what_was_set_since_the_last_step_is_asked_for_again(make, open_run, tmp_path):
    canvas = make(layer="0", steps=3)
    assert canvas.wait(LONG)
    stepped(canvas, 2)
    canvas.lr, canvas.objective = 0.3, channel("2", 1)
    assert canvas.wait(LONG) and canvas._lookout.wait() is not False
    canvas.save(tmp_path / "run.nbvis")
    again = open_run(tmp_path / "run.nbvis")
    assert again.lr == 0.3 and again.formula == "'2'[1]" and again._session.differing == {"lr", "objective"}
    assert torch.equal(stepped(again), stepped(canvas))


def test_it_is_played_at_once_and_with_other_settings(make, open_run, tmp_path):
    canvas = make(layer="0", steps=3)
    assert canvas.wait(LONG)
    stepped(canvas, 2)
    canvas.save(tmp_path / "run.nbvis")
    again = open_run(tmp_path / "run.nbvis", lr=0.4, running=True)
    assert again.state == "finished" and again.lr == 0.4
    assert [changed for _, changed in again._session.past.changes] == [{"lr": 0.4}]
    assert again.history[0].step == 2


class Slow(nn.Module):
    """A network whose first passes take longer than a call waits."""

    def __init__(self, network, gate):
        super().__init__()
        self.network, self.gate = network, gate

    def forward(self, images):
        self.gate()
        return self.network(images)


def test_play_comes_after_it_on_a_slow_network(make, network, tmp_path, hurried, image):
    may = threading.Event()
    may.set()
    slow = Slow(network, lambda: may.wait(LONG))
    canvas = make(slow, image, layer="network.0", steps=3)
    assert canvas.wait(LONG) and canvas._look.wait() is not False
    stepped(canvas, 2)
    canvas.save(tmp_path / "run.nbvis")
    canvas.play()
    assert canvas.wait(LONG)
    may.clear()
    again = DreamCanvas.open(tmp_path / "run.nbvis", slow)
    again.play()
    assert again.running and again._session.last is None
    may.set()
    assert again._look.wait() is not False and again.wait(LONG)
    assert again.state == "finished" and torch.equal(again.result, canvas.result)
    assert again._session.past.changes == []
    again.close()


def test_a_run_that_cannot_be_saved_says_why(make, network, image, tmp_path):
    canvas = make(network, image, 2 * activity("0") + custom(lambda found: found.mean((1, 2, 3)), "2"), steps=3)
    assert canvas.wait(LONG)
    with pytest.raises(ValueError, match="there is no run to save yet: play"):
        canvas.save(tmp_path / "run.nbvis")
    stepped(canvas)
    with pytest.raises(ValueError, match=r"term 1 of .* is a picture or function of your own, which no file can hold"):
        canvas.save(tmp_path / "run.nbvis")
    canvas.remove(1)
    canvas.mode, canvas.side, canvas.transforms = "visualise", 32, (lambda images, generator: images,)
    stepped(canvas)
    with pytest.raises(ValueError, match="is a function of your own, which no file can hold: save the picture, as"):
        canvas.save(tmp_path / "run.nbvis")
    assert not (tmp_path / "run.nbvis").exists()


def test_what_is_no_saved_run_is_refused(network, tmp_path):
    path = tmp_path / "run.nbvis"
    with pytest.raises(FileNotFoundError):
        DreamCanvas.open(path, network)
    for data in (b"", b"no run", torch.rand(3).numpy().tobytes()):
        path.write_bytes(data)
        with pytest.raises(ValueError, match=r"run\.nbvis is no run that a canvas saved"):
            DreamCanvas.open(path, network)
    torch.save({"version": 7, "network": "Net"}, path)
    with pytest.raises(ValueError, match=r"holds a run of version 7, and this is nbvis's version 1"):
        DreamCanvas.open(path, network)
    torch.save({"version": 1, "network": "Net"}, path)
    with pytest.raises(ValueError, match=r"made with the network 'Net': give it, as DreamCanvas\.open"):
        DreamCanvas.open(path)


@pytest.mark.parametrize("source", [
    "jitter(3)", "choice(jitter(2), rotate(5))", "affine(shift=48, zoom=(0.8, 1.25), degrees=15)",
])  # fmt: skip
def test_a_function_is_read_from_what_it_prints(source):
    assert repr(saved_run._function(source)) == source


@pytest.mark.parametrize("source", [
    "print('hello')", "__import__('os').system('true')", "last([])", "jitter(print)", "jitter(-1)", "jitter", "1 + 1",
    "jitter(", "[].append(1)", "Network(1)", "PRESETS(1)",
])  # fmt: skip
def test_nothing_else_that_a_file_says_is_called(source):
    assert saved_run._function(source) is None or not callable(saved_run._function(source))
