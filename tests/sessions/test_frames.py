import io

import pytest
import torch
from PIL import Image

from nbvis.sessions import encoded, picture, shown_as


def decoded(data):
    return Image.open(io.BytesIO(data))


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (2, "L"), (3, "RGB"), (6, "RGB")])
def test_every_number_of_channels_has_a_picture(channels, mode):
    shown = picture(torch.rand(1, channels, 20, 30))
    assert (shown.mode, shown.size) == (mode, (30, 20))


def test_a_picture_is_upright_and_in_its_colours():
    image = torch.zeros(1, 3, 2, 3)
    image[0, 0, 0, 2] = 1.0
    assert picture(image).getpixel((2, 0)) == (255, 0, 0)


def test_six_channels_show_the_first_three():
    image = torch.rand(1, 6, 4, 5)
    assert picture(image).tobytes() == picture(image[:, :3]).tobytes()


def test_png_is_lossless():
    shown = picture(torch.rand(1, 3, 20, 30))
    file = decoded(encoded(shown, lossless=True))
    assert file.format == "PNG" and file.tobytes() == shown.tobytes()


def test_jpeg_is_close_and_small():
    ramp = torch.linspace(0, 1, 64).expand(1, 3, 64, 64)
    shown = picture(ramp)
    data = encoded(shown, lossless=False)
    file = decoded(data)
    assert file.format == "JPEG" and len(data) < 3000
    assert max(abs(a - b) for a, b in zip(file.tobytes(), shown.tobytes(), strict=True)) < 12


@pytest.mark.parametrize("channels", [1, 3])
def test_usual_channels_need_no_words(channels):
    assert shown_as(channels) == ""


@pytest.mark.parametrize("channels", [2, 6])
def test_unusual_channels_are_explained(channels):
    assert f"{channels} channels" in shown_as(channels)
