"""Dreams that go on, and the films that a DreamCanvas saves."""

import io
import threading

import av
import numpy as np
import pytest
import torch
from PIL import Image

from nbvis.engine import keep_dreaming, logit
from nbvis.sessions import film as films
from nbvis.sessions import picture

LONG = 60.0


def played(canvas):
    canvas.play()
    assert canvas.wait(LONG)
    return canvas


def reproduced(canvas, network, image):
    scope = {"network": network, "image": image}
    exec(canvas.recipe(), scope)
    return scope["picture"]


def stepped(canvas, steps):
    for _ in range(steps):
        canvas.step()
        assert canvas.wait(LONG)
    return canvas


def read(data):
    """The frames of a film as (height, width, 3)."""
    if data[:3] == b"GIF":
        film = Image.open(io.BytesIO(data))
        return [np.asarray((film.seek(k), film.convert("RGB"))[1]) for k in range(getattr(film, "n_frames", 1))]
    with av.open(io.BytesIO(data)) as film:
        return [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]


def test_an_endless_dream_goes_on_until_it_is_paused(make, network, image):
    canvas = stepped(make(endless=True, zoom=1.1, turn=-3), 9)
    assert repr(canvas).endswith("paused, round 3, step 9)")
    through = keep_dreaming(
        network, canvas._session.options["objective"], image, zoom=1.1, turn=-3, steps=2, octaves=2, jitter=2, lr=0.01
    )
    steps = [next(through) for _ in range(9)]
    assert torch.equal(canvas.result, steps[-1].image)
    assert torch.equal(reproduced(canvas, network, image), canvas.result)


def test_a_dream_that_becomes_endless_goes_on_and_ends_with_its_round_when_it_no_longer_is(make, network, image):
    canvas = stepped(make(), 3)
    canvas.endless, canvas.zoom = True, 1.05
    stepped(canvas, 3)
    assert canvas._session.last.round == 2 and canvas._session.last.total is None
    canvas.endless = False
    played(canvas)
    assert canvas.state == "finished" and canvas._session.last.index == 7
    assert torch.equal(reproduced(canvas, network, image), canvas.result)


def test_a_finished_dream_goes_on_from_what_is_there(make, network, image):
    canvas = played(make())
    over = canvas.result
    canvas.zoom = 1.1
    canvas.keep_dreaming()
    canvas.pause()
    assert canvas.endless and canvas.wait(LONG)
    stepped(canvas, 2)
    assert canvas._session.last.round >= 2 and canvas._session.last.total is None
    assert len(canvas._session.history) == canvas._session.last.index + 1  # those of the first round are there, too
    assert torch.equal(reproduced(canvas, network, image), canvas.result)
    canvas.endless = False
    assert played(canvas).state == "finished"
    assert torch.equal(reproduced(canvas, network, image), canvas.result)
    played(canvas)
    assert canvas._session.last.round == 1 and torch.equal(canvas.result, over)  # and play begins again


def test_a_view_that_switches_it_on_after_the_end_has_it_go_on(make):
    canvas = played(make())
    canvas.set_state({"endless": True})
    assert canvas.running
    canvas.set_state({"running": False})
    assert canvas.wait(LONG) and canvas.state == "paused"
    stepped(canvas, 1)
    assert canvas._session.last.round >= 2 and canvas._session.changes == [(4, {"rounds": None})]


def test_setting_it_in_python_starts_nothing_by_itself(make):
    canvas = played(make())
    canvas.endless = True
    assert canvas.wait(LONG) and canvas.state == "finished" and canvas._session.last.round == 1


def test_the_recipe_of_an_endless_dream_before_its_first_step_has_no_end(make, network, image):
    canvas = make(endless=True)
    source = canvas.recipe()
    assert "keep_dreaming(" in source and "rounds=None" in source
    scope = {"network": network, "image": image, "keep_dreaming": keep_dreaming}
    lines = source.replace("    picture = step.image", "    picture = step.image\n    if step.index == 4: break")
    exec(lines, scope)
    assert torch.equal(scope["picture"], stepped(canvas, 5).result)


def test_the_recipe_of_a_single_dream_is_one_of_dream(make):
    assert "run = dream(" in played(make()).recipe()


@pytest.mark.parametrize("name, value", [("zoom", 0.9), ("zoom", 1.3), ("turn", 11), ("turn", "left")])
def test_what_cannot_be_is_refused(make, name, value):
    canvas = make()
    with pytest.raises(ValueError, match=rf"\({name}\) is a number from"):
        setattr(canvas, name, value)


def test_what_a_frame_says_of_an_endless_dream(make, heard):
    canvas = make(endless=True)
    canvas._session.joined("view")
    messages = heard(canvas)
    stepped(canvas, 6)
    header = [content for content, _ in messages if content["type"] == "frame"][-1]
    assert (header["step"], header["total"], header["round"], header["rounds"]) == (6, None, 2, None)
    assert header["left"] is None and header["octave_starts"] == [4]


@pytest.mark.parametrize("suffix", [".mp4", ".gif"])
def test_a_film_has_every_step_at_the_pictures_size_and_ends_with_the_picture(make, network, tmp_path, suffix):
    ramp = torch.linspace(0, 1, 48).expand(32, 48)
    canvas = played(make(network, torch.stack([ramp, ramp.flip(1), ramp]), steps=5, lr=0.05))
    canvas.save(tmp_path / f"dream{suffix}")
    found = read((tmp_path / f"dream{suffix}").read_bytes())
    assert [frame.shape for frame in found] == [(32, 48, 3)] * 11
    shown = np.asarray(picture(canvas.result)).astype(int)
    errors = [abs(frame.astype(int) - shown).mean() for frame in found]
    assert errors[-1] == min(errors) < 6 < errors[0]
    assert len(read(canvas._saved(suffix))) == 11


def test_a_film_goes_on_with_the_run_and_begins_again_with_it(make):
    canvas = stepped(make(steps=3), 2)
    assert len(read(canvas._saved(".gif"))) == 3
    played(canvas)
    assert len(read(canvas._saved(".gif"))) == 7
    stepped(canvas, 1)
    assert len(read(canvas._saved(".gif"))) == 2
    canvas.image = torch.rand(3, 32, 48, generator=torch.Generator().manual_seed(1))
    assert canvas.wait(LONG)
    with pytest.raises(ValueError, match="there is no film before the first step: play"):
        canvas._saved(".mp4")


def test_there_is_no_film_before_the_first_step_and_no_empty_file(make, tmp_path):
    with pytest.raises(ValueError, match="there is no film before the first step: play"):
        make().save(tmp_path / "dream.mp4")
    assert not list(tmp_path.iterdir())


def test_a_film_that_could_not_be_recorded_says_so_and_the_run_goes_on(make, monkeypatch, tmp_path):
    def full(*given):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(films.Reel, "add", full)
    canvas = played(make())
    assert canvas.state == "finished" and canvas.error == ""
    with pytest.raises(OSError, match=r"the film could not be recorded: .*No space left"):
        canvas.save(tmp_path / "dream.gif")
    assert not list(tmp_path.iterdir())


def test_a_view_gets_a_film_without_holding_the_kernels_thread(make, heard):
    canvas, sent = played(make()), threading.Event()
    messages = heard(canvas)
    told, threads = canvas.send, []
    canvas.send = lambda *given: (told(*given), threads.append(threading.current_thread()), sent.set())
    canvas._handle_custom_msg({"type": "save", "id": "7", "suffix": ".mp4"}, [])
    assert sent.wait(LONG) and threads[0] is not threading.current_thread()
    ((reply, (data,)),) = messages
    assert reply == {"type": "reply", "id": "7"} and data[4:8] == b"ftyp" and len(read(data)) == 5
    threads[0].join()


def test_a_view_is_told_why_there_is_no_film(make, heard):
    canvas, sent = make(), threading.Event()
    messages = heard(canvas)
    told = canvas.send
    canvas.send = lambda *given: (told(*given), sent.set())
    canvas._handle_custom_msg({"type": "save", "id": "7", "suffix": ".gif"}, [])
    assert sent.wait(LONG) and "there is no film before the first step" in messages[0][0]["error"]


def test_a_visualisation_leaves_a_film_too_and_is_no_dream_that_goes_on(make, network, image):
    canvas = played(make(network, image, logit(2), mode="visualise", side=26, updates=4))
    found = read(canvas._saved(".gif"))
    assert [frame.shape for frame in found] == [(26, 26, 3)] * 5
    with pytest.raises(ValueError, match="a visualisation is not a dream that goes on: set mode to 'dream'"):
        canvas.keep_dreaming()
    canvas.zoom, canvas.endless = 1.1, True
    canvas.step()
    assert canvas.wait(LONG) and canvas.error == "" and canvas._session.last.total == 4
    canvas.mode = "dream"
    stepped(canvas, 5)
    assert canvas._session.last.round == 2 and torch.equal(reproduced(canvas, network, image), canvas.result)


def test_what_is_set_of_a_visualisation_reaches_its_run(make, network, image):
    canvas = make(network, image, logit(2), mode="visualise", side=24, updates=4)
    canvas.updates, canvas.weight_noise = 2, 0.1
    played(canvas)
    assert canvas._session.last.total == 2 and canvas._session.origin["weight_noise"] == 0.1
