"""Whatever an image usually comes in is taken as one, to the bit; what cannot be is refused with the way out."""

import os
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from nbvis.engine import (
    Network,
    Pixels,
    activations,
    activity,
    as_images,
    attribute,
    augment,
    check_objective,
    dream,
    faithfulness,
    invert_dropout,
    last,
    layers,
    preprocessing_check,
    randomization_check,
)

BYTES = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)
TENSOR = torch.from_numpy(BYTES.astype(np.float32) / 255).permute(2, 0, 1)[None].contiguous()


@pytest.mark.parametrize(
    "given",
    [
        TENSOR,
        BYTES,
        BYTES[None],
        BYTES.astype(np.float32) / 255,
        (BYTES.astype(np.float32) / 255).astype(">f4"),
        np.asfortranarray(BYTES),
        np.ascontiguousarray(BYTES[::-1, ::-1])[::-1, ::-1],
        Image.fromarray(BYTES),
    ],
    ids=["tensor", "bytes", "batch", "floats", "big-endian", "fortran", "reversed", "PIL"],
)
def test_the_same_picture_is_the_same_tensor_whatever_it_comes_in(given):
    found = as_images(given)
    assert torch.equal(found, TENSOR) and found.dtype == torch.float32 and found.is_contiguous()


@pytest.mark.parametrize("kind", [str, Path, os.fsencode])
def test_a_path_is_the_picture_in_its_file(tmp_path, kind):
    Image.fromarray(BYTES).save(tmp_path / "picture.png")
    path = kind(tmp_path / "picture.png")
    if isinstance(path, bytes):
        with pytest.raises(TypeError, match="not bytes"):
            as_images(path)
    else:
        assert torch.equal(as_images(path), TENSOR)


def test_a_file_is_turned_as_the_camera_noted(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera lay on its side
    Image.fromarray(BYTES).save(tmp_path / "picture.png", exif=exif)
    assert torch.equal(as_images(tmp_path / "picture.png"), TENSOR.rot90(-1, (2, 3)))


def test_a_batch_of_arrays_keeps_its_order():
    batch = np.stack([BYTES, 255 - BYTES])
    assert torch.equal(as_images(batch)[0], TENSOR[0]) and torch.equal(as_images(batch)[1:], as_images(batch[1]))


@pytest.mark.parametrize("mode", ["1", "L"])
def test_a_grey_picture_has_one_channel(mode):
    grey = Image.fromarray(BYTES).convert(mode)
    expected = torch.from_numpy(np.asarray(grey.convert("L"), dtype=np.float32) / 255)[None, None]
    assert torch.equal(as_images(grey), expected)
    assert torch.equal(as_images(np.asarray(grey.convert("L"))), expected)


@pytest.mark.parametrize("mode", ["P", "CMYK", "YCbCr", "HSV", "RGBX", "RGBA"])
def test_a_picture_in_other_colours_is_brought_to_red_green_and_blue(mode):
    other = Image.fromarray(BYTES).convert(mode)
    expected = (
        torch.from_numpy(np.asarray(other.convert("RGB"), dtype=np.float32) / 255).permute(2, 0, 1)[None].contiguous()
    )
    assert torch.equal(as_images(other), expected)


@pytest.mark.parametrize("mode, channels", [("RGBA", 3), ("LA", 1), ("PA", 3), ("RGBa", 3), ("P", 3)])
def test_what_is_transparent_lies_over_white(mode, channels):
    picture = Image.new("RGBA", (4, 2), (0, 0, 0, 255))
    picture.paste((0, 0, 0, 0), (0, 0, 2, 2))
    if mode == "P":
        picture = Image.new("P", (4, 2), 1)
        picture.paste(0, (0, 0, 2, 2))
        picture.putpalette([0, 0, 0, 0, 0, 0])
        picture.info["transparency"] = 0
    elif mode == "PA":
        alpha = picture.getchannel("A")
        picture = picture.convert("RGB").convert("P").convert("PA")
        picture.putalpha(alpha)
    elif mode != "RGBA":
        picture = picture.convert(mode)
    found = as_images(picture)
    assert found.shape == (1, channels, 2, 4)
    assert found[..., :2].eq(1).all() and found[..., 2:].eq(0).all()


def test_an_array_may_have_any_number_of_channels():
    assert as_images(np.zeros((12, 16, 6), np.float64)).shape == (1, 6, 12, 16)
    assert as_images(np.zeros((12, 16, 6), np.float64)).dtype == torch.float64
    assert as_images(np.zeros((2, 12, 16, 4), np.uint8)).shape == (2, 4, 12, 16)


def test_a_tensor_does_not_follow_the_array_it_was_made_of():
    array = np.zeros((4, 4, 3), np.float32)
    found = as_images(array)
    array += 1
    assert not found.any()


@pytest.mark.parametrize(
    "given, error, message",
    [
        (BYTES.transpose(2, 0, 1), ValueError, "(3, 12, 16) of uint8: if they come before height and width, give "
         "torch.from_numpy(image)[None]; if these are grey pictures, image[..., None]"),
        (BYTES.transpose(2, 0, 1)[None], ValueError, "give torch.from_numpy(image); "),
        (BYTES[0, 0], ValueError, "an array (3,) of uint8"),
        (BYTES[:0], ValueError, "an array (0, 16, 3) of uint8"),
        (BYTES.astype(np.float32), ValueError, "in [0, 1], and is an array (12, 16, 3) of float32 in [0, 255]: "
         "divide by 255, as image / 255"),
        (BYTES / 127.5 - 1, ValueError, "of float64 in [-1, 1]: bring it back with (image + 1) / 2"),
        (BYTES / 51 - 2, ValueError, "in [-2, 3]: undo what normalised it, as image * std + mean"),
        (BYTES / 250, ValueError, "in [0, 1.02]: cut what is beyond with image.clip(0, 1)"),
        (BYTES.astype(np.int64), TypeError, "of int64 in [0, 255]: give image / 255"),
        (BYTES.astype(np.uint16) * 257, TypeError, "of uint16 in [0, 65535]: give image / 65535"),
        (BYTES > 9, TypeError, "of bool in [False, True]: give image.astype('float32')"),
        (BYTES.astype(np.complex64), TypeError, "of complex64: give image.astype('float32')"),
        (np.full((4, 4, 3), np.nan), ValueError, "image holds NaN or infinite values: it is an array (4, 4, 3)"),
        (Image.fromarray(np.zeros((4, 4), np.uint16)), TypeError, "of uint16 in [0, 0]: give np.asarray(image) / 255"),
        (Image.fromarray(BYTES).convert("F"), ValueError, "divide by 255, as np.asarray(image) / 255"),
        (Image.new("LAB", (4, 4)), ValueError, "mode 'LAB'"),
        ([BYTES, BYTES], TypeError, "not list: torch.cat([as_images(each) for each in image])"),
        (b"\x89PNG", TypeError, "not bytes: PIL.Image.open(io.BytesIO(image))"),
        (3, TypeError, "not int: np.asarray(image)"),
        ("https://example.com/cat.png", ValueError, "is an address, and nothing is fetched"),
        ("nowhere.png", FileNotFoundError, "image: there is no file 'nowhere.png' in "),
        (__file__, ValueError, "test_as_images.py' is no image file that Pillow reads"),
    ],
)  # fmt: skip
def test_what_is_no_picture_is_refused_with_the_way_out(given, error, message):
    with pytest.raises(error, match=re.escape(message)):
        as_images(given, name="image")


@pytest.mark.parametrize("given", [BYTES.astype(np.float32), BYTES / 127.5 - 1, BYTES / 254, BYTES.astype(np.int32)])
def test_the_line_that_an_error_gives_converts_what_was_given(given):
    with pytest.raises((ValueError, TypeError)) as refused:
        as_images(given, name="image")
    line = re.split(r"as |with |give ", str(refused.value).rpartition(": ")[2])[-1]
    assert torch.allclose(as_images(eval(line, {"image": given})).float(), TENSOR, atol=0.005)


@pytest.mark.parametrize("make", [lambda array: array, Image.fromarray], ids=["array", "PIL"])
def test_every_function_takes_them(device, make, tmp_path):
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Dropout(0.5), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)
    )
    given = make(BYTES)
    assert torch.equal(Network(network, device=device)(given), Network(network, device=device)(TENSOR))
    assert layers(network, given) == layers(network, TENSOR)
    assert torch.equal(activations(network, given, ["0"])["0"], activations(network, TENSOR, ["0"])["0"])
    assert torch.equal(Pixels(given).image(), TENSOR)
    check_objective(network, activity("0"), given)
    found = attribute(network, given)
    assert torch.equal(found.map, attribute(network, TENSOR).map)
    measured = [faithfulness(network, each, found, cell=4).insertion["attribution"] for each in (given, TENSOR)]
    assert torch.equal(*measured)
    checked = [randomization_check(network, each, "gradient").map for each in (given, TENSOR)]
    assert torch.equal(*checked)
    assert preprocessing_check(network, given).high == preprocessing_check(network, TENSOR).high
    dreams = [last(dream(network, activity("0"), each, octaves=1, steps=1)).image for each in (given, TENSOR)]
    assert torch.equal(*dreams)
    inverted = [last(invert_dropout(network, "5", each, steps=2)).image for each in (given, TENSOR)]
    assert torch.equal(*inverted)
    assert augment(network, [(given, 0)], "5", tmp_path, steps=2)[0].label == 0


def test_what_is_only_looked_at_may_leave_the_range_as_a_tensor():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    assert "outside [0, 1]" in attribute(network, 2 * TENSOR, 0).notes[0]


@pytest.mark.parametrize("channels", [1, 4])
def test_a_network_of_colours_says_what_makes_other_images_fit(channels):
    network = nn.Sequential(nn.Conv2d(3, 4, 3))
    image = np.zeros((8, 8, channels), np.uint8)
    with pytest.raises(RuntimeError, match=rf"takes three channels, and these have {channels}: give ") as refused:
        layers(network, image)
    line = str(refused.value).rpartition("give ")[2]
    assert layers(network, eval(line, {"image": image, "as_images": as_images}))
