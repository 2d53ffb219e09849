"""Films: what a run looked like, streamed to the disk and from there to a file."""

import io
import tracemalloc

import av
import numpy as np
import pytest
import torch
from PIL import Image

from nbvis.engine import DreamStep
from nbvis.sessions import FILMS, Film, picture
from nbvis.sessions import film as films
from nbvis.sessions.film_files import RATE


def grey(value, size=(24, 40)):
    return torch.full((1, 3, *size), value / 255)


def step(index, value, size=(24, 40), round=1):
    return DreamStep(index, None, (), torch.zeros(1), lambda: grey(value, size), 1, 1, round, None)


def values(film):
    return [np.asarray(frame)[0, 0, 0].item() for frame in film.frames()]


def made(suffix, frames):
    file = io.BytesIO()
    FILMS[suffix](file, frames)
    file.seek(0)
    return file


def read(suffix, file):
    """The frames of a film as (height, width, 3)."""
    if suffix == ".gif":
        film = Image.open(file)
        return [np.asarray((film.seek(k), film.convert("RGB"))[1]) for k in range(getattr(film, "n_frames", 1))]
    with av.open(file) as film:
        return [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]


def test_a_film_has_the_start_and_every_step():
    film = Film(grey(0))
    for k in range(5):
        film.record(step(k, 10 + k))
    assert values(film) == [0, 10, 11, 12, 13, 14]


def test_smaller_octaves_are_enlarged_to_the_pictures_size():
    film = Film(grey(0))
    film.record(step(0, 100, size=(12, 20)))
    assert [frame.size for frame in film.frames()] == [(40, 24)] * 2 and values(film) == [0, 100]


@pytest.mark.parametrize("count", [3, 10, 11, 12, 13, 20, 21, 22, 100, 201])
def test_of_many_steps_evenly_fewer_are_kept_and_the_newest_is_the_last(count):
    film = Film(grey(0), longest=10)
    for k in range(count):
        film.record(step(k, k + 1))
    found = values(film)
    assert found[0] == 0 and found[-1] == count and len(found) <= 10
    every = found[1]
    assert found[:-1] == list(range(0, count, every)) and (count < 9 or len(found) > 4)


def test_the_disk_holds_no_more_than_it_may():
    for frames in (6, 7):
        film = Film(grey(0), disk=24 * 40 * 3 * frames)
        for k in range(100):
            film.record(step(k, k))
        assert film._steps._opened().seek(0, 2) <= 24 * 40 * 3 * frames and 3 <= len(values(film)) <= frames


def test_a_loop_whose_rounds_last_a_second_has_a_frame_for_each_round():
    film, index = Film(grey(0)), 0
    for round in range(1, RATE + 2):
        for inner in range(2):
            film.record(step(index, 100 * inner + round, round=round))
            index += 1
        if round == 3:
            assert values(film) == [0, 1, 101, 2, 102, 3, 103]
    assert values(film) == [0, *range(101, 100 + RATE + 2)]


def test_a_film_that_is_being_made_stays_as_it_was_when_that_began():
    film = Film(grey(0), longest=10)
    for k in range(7):
        film.record(step(k, k + 1))
    frames = film.frames()
    found = [np.asarray(next(frames))[0, 0, 0]]
    for k in range(7, 60):
        film.record(step(k, k + 1))
    found += [np.asarray(frame)[0, 0, 0] for frame in frames]
    assert found == list(range(8))
    assert values(film)[-1] == 60 and len(values(film)) <= 11


def test_a_disk_that_is_full_ends_the_film_and_not_the_run(monkeypatch):
    film = Film(grey(0))

    def full(*given):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(films.Reel, "add", full)
    film.record(step(0, 1))
    film.record(step(1, 2))
    with pytest.raises(OSError, match=r"the film could not be recorded: .*No space left on device"):
        next(film.frames())


@pytest.mark.parametrize("suffix", FILMS)
@pytest.mark.parametrize("size", [(24, 40), (25, 41)])
def test_a_film_is_read_back_with_all_its_frames(suffix, size):
    frames = [picture(grey(20 * k, size)) for k in range(8)]
    found = read(suffix, made(suffix, frames))
    even = tuple(side + side % 2 for side in size) if suffix == ".mp4" else size
    assert [frame.shape for frame in found] == [(*even, 3)] * 8
    for k, frame in enumerate(found):
        assert abs(frame.astype(int) - 20 * k).max() <= 3


@pytest.mark.parametrize("suffix", FILMS)
def test_the_colours_of_a_film_are_those_of_its_pictures(suffix):
    ramp = torch.linspace(0, 1, 64).expand(48, 64)
    image = torch.stack([ramp, ramp.flip(1), torch.full((48, 64), 0.3)])[None]
    (found,) = read(suffix, made(suffix, [picture(image)]))
    assert abs(found.astype(int) - np.asarray(picture(image)).astype(int)).mean() < 4


def test_a_grey_picture_makes_a_film():
    for suffix in FILMS:
        (found,) = read(suffix, made(suffix, [picture(torch.full((1, 1, 16, 16), 0.5))]))
        assert abs(found.astype(int) - 128).max() <= 3


@pytest.mark.parametrize("suffix", FILMS)
def test_a_long_film_takes_no_more_memory_than_a_short_one(suffix, tmp_path):
    def peak(count):
        film = Film(grey(0, (96, 128)), longest=1000)
        tracemalloc.start()
        for k in range(count):
            film.record(step(k, k % 255, (96, 128)))
        with (tmp_path / f"{count}{suffix}").open("wb") as file:
            FILMS[suffix](file, film.frames())
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(5)  # so that nothing is imported while it is measured
    short, long = peak(20), peak(400)
    assert long - short < 96 * 128 * 3 * 20  # of 380 more frames
