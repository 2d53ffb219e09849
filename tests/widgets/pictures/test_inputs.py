"""Another picture, chosen in the panel: whatever it comes as, it is read on the worker, or refused in words."""

import io
import struct
import threading
import zlib

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from nbvis import DreamCanvas, SaliencyView, demo
from nbvis.engine import as_images
from nbvis.widgets import reading
from nbvis.widgets.given import WORKING
from tests.widgets.pictures.panels import BYTES, KINDS, LONG, TENSOR, remade, shown

OTHER = 255 - BYTES[:20, :30]


def encoded(array, kind="PNG", **options):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, kind, **options)
    return buffer.getvalue()


@KINDS
def test_the_bytes_of_a_file_are_the_picture(make, ask, network, kind):
    widget = make(kind)
    assert ask(widget, "opened", encoded(OTHER), name="cat.png") == ""
    assert torch.equal(widget.image, as_images(OTHER)) and widget.picture == "cat.png"
    assert widget.subject.endswith("20 × 30")
    assert torch.equal(shown(widget), shown(make(kind, OTHER)))
    first = widget.recipe().partition("\n")[0]
    assert first.endswith("`image` is its .image: the picture of the file 'cat.png', which was opened in the panel.")
    assert torch.equal(remade(widget, network, widget.image), shown(widget))


@pytest.mark.parametrize(
    ("way", "name", "said"),
    [("pasted", "pasted", "was pasted into the panel"), ("camera", "from the camera", "was taken with the camera")],
)
def test_what_is_pasted_or_photographed_says_where_it_came_from(make, ask, way, name, said):
    widget = make(SaliencyView)
    assert widget.picture == "given in Python"
    assert ask(widget, way, encoded(OTHER, "JPEG")) == ""
    assert widget.picture == name and said in widget.recipe().partition("\n")[0]
    widget.image = TENSOR
    assert widget.wait(LONG) and widget.picture == "given in Python"
    assert widget.recipe().startswith("# Runs once `network` and `image` are what the SaliencyView was given.")


@KINDS
def test_a_photograph_that_ships(make, ask, network, kind):
    widget = make(kind)
    assert "chelsea" in widget._photographs
    assert ask(widget, "photograph", name="chelsea") == ""
    assert torch.equal(widget.image, demo.photo("chelsea")) and widget.picture == "chelsea"
    assert widget.recipe().startswith("# Runs once `network` is what the ")
    if kind is SaliencyView:
        assert torch.equal(remade(widget, network, widget.image), shown(widget))


def test_without_the_extra_there_are_no_photographs(make, ask, monkeypatch):
    monkeypatch.setattr(reading.importlib.util, "find_spec", lambda name: None)
    assert make(SaliencyView)._photographs == []


def test_the_recipe_of_a_photograph_at_another_size(make, ask, network):
    widget = make(SaliencyView)
    assert ask(widget, "photograph", name="coffee") == ""
    widget.working_size = 64
    assert widget.wait(LONG) and torch.equal(remade(widget, network, widget.image), shown(widget))


def cut(data):
    return data[: len(data) // 2]


def bomb():
    """A PNG of a hundred bytes that says that it has 100,000 × 100,000 pixels."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def large_bomb(side):
    data = bytearray(bomb())
    data[16:24] = struct.pack(">II", side, side)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    return bytes(data)


PLAIN = np.random.default_rng(1).integers(0, 256, (60, 60, 3), dtype=np.uint8)
BAD = {
    "text": (b"This is no picture.", "'it.png' is no picture that can be read: JPEG, PNG, WebP, GIF, BMP and TIFF can"),
    "nothing": (b"", "'it.png' is no picture that can be read"),
    "half a JPEG": (cut(encoded(PLAIN, "JPEG")), "'it.png' is damaged or cut off"),
    "half a PNG": (cut(encoded(PLAIN)), "'it.png' is damaged or cut off"),
    "half a WebP": (cut(encoded(PLAIN, "WEBP")), "'it.png' is"),
    "half a GIF": (cut(encoded(PLAIN, "GIF")), "'it.png' is damaged or cut off"),
    "a bomb": (bomb(), "'it.png' says that it has more pixels than the 64,000,000 that are taken"),
    "a bomb that Pillow only warns of": (large_bomb(10_000), "'it.png' says that it has more pixels"),
    "a bomb that Pillow takes": (large_bomb(9_000), "'it.png' says that it has more pixels"),
    "a size that is not there": (large_bomb(500), "'it.png' is damaged or cut off"),
}


@pytest.mark.parametrize("bad", BAD)
def test_what_cannot_be_read_is_refused_in_a_sentence_and_the_last_picture_stays(make, ask, bad):
    widget = make(SaliencyView)
    before, (data, message) = shown(widget), BAD[bad]
    assert message in ask(widget, "opened", data, name="it.png")
    assert torch.equal(widget.image, TENSOR) and widget.picture == "given in Python"
    assert torch.equal(shown(widget), before)
    assert ask(widget, "opened", encoded(OTHER), name="good.png") == "" and widget.picture == "good.png"


@KINDS
def test_a_picture_that_the_network_does_not_run_on_is_refused(make, ask, kind):
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Dropout(), nn.Conv2d(4, 4, 3), nn.Flatten(), nn.Linear(2560, 4)
    )
    widget = make(kind, net=net)
    before = shown(widget)
    assert "shapes cannot be multiplied" in ask(widget, "opened", encoded(OTHER), name="other.png")
    assert torch.equal(widget.image, TENSOR) and widget.picture == "given in Python"
    assert torch.equal(shown(widget), before)
    assert ask(widget, "opened", encoded(255 - BYTES), name="fits.png") == "" and widget.picture == "fits.png"


@pytest.mark.parametrize(
    "message", [{"way": "stolen"}, {"way": "photograph", "name": "Chelsea"}, {"way": "list", "place": 0, "turn": 1}]
)
def test_a_question_that_makes_no_sense_is_answered_too(make, ask, message):
    widget = make(SaliencyView)
    name = message.pop("name", "")
    assert ask(widget, message.pop("way"), b"", name=name, **message)
    assert torch.equal(widget.image, TENSOR)


@KINDS
def test_it_is_read_on_the_worker(make, ask, kind, monkeypatch):
    widget, readers, opened = make(kind), [], Image.open

    def noted(*args, **options):
        readers.append(threading.current_thread().name)
        return opened(*args, **options)

    monkeypatch.setattr(Image, "open", noted)
    assert ask(widget, "opened", encoded(OTHER), name="cat.png") == ""
    assert readers == ["nbvis"]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photograph_is_turned_as_the_camera_noted(make, ask, tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(BYTES).save(tmp_path / "turned.png", exif=exif)
    widget = make(SaliencyView)
    assert ask(widget, "opened", (tmp_path / "turned.png").read_bytes(), name="turned.png") == ""
    assert torch.equal(widget.image, as_images(tmp_path / "turned.png"))
    assert widget.image.shape[2:] == ((36, 24) if orientation > 4 else (24, 36))


def test_a_large_picture_is_worked_on_at_a_smaller_size(make, ask):
    widget = make(SaliencyView)
    large = np.zeros((1500, 2000, 3), np.uint8)
    said = "The browser scaled the picture from 3,000 × 4,000 to 1,500 × 2,000 pixels."
    assert ask(widget, "opened", encoded(large), name="large.png", said=said) == ""
    assert widget.working_size == WORKING and widget.image.shape == (1, 3, 1500, 2000)
    assert widget.notes.startswith(said) and "Worked on at 576 × 768 of 1,500 × 2,000 pixels" in widget.notes
    assert ask(widget, "opened", encoded(OTHER), name="small.png") == ""
    assert widget.working_size is None and said not in widget.notes


@pytest.mark.parametrize("channels", [1, 3])
def test_grey_and_colour_become_what_the_network_is_shown(make, ask, tmp_path, channels):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(channels, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    other = OTHER if channels == 1 else OTHER[..., 0]
    Image.fromarray(other).save(tmp_path / "a.png")
    widget = make(SaliencyView, torch.rand(1, channels, 24, 36), net, pictures=tmp_path)
    assert ask(widget, "opened", encoded(other), name="a.png") == ""
    plain = as_images(other)
    expected = plain.mean(1, keepdim=True) if channels == 1 else plain.expand(-1, 3, -1, -1)
    assert torch.equal(widget.image, expected) and torch.equal(remade(widget, net, widget.image), shown(widget))
    assert ask(widget, "list", place=0, turn=0) == ""
    assert torch.equal(widget.image, expected) and torch.equal(remade(widget, net, widget.image), shown(widget))


@pytest.fixture
def folder(tmp_path):
    """Five files: two pictures, one that is none, one that is missing from the list, and another picture."""
    (tmp_path / "cats").mkdir()
    for place, name in enumerate(("cats/a.png", "cats/b image.png", "z.png")):
        Image.fromarray(np.roll(OTHER, place, 1)).save(tmp_path / name)
    (tmp_path / "cats/c.png").write_bytes(b"no picture")
    (tmp_path / "list.txt").write_text(
        "cats/a.png tabby cat\ncats/b image.png\ncats/c.png,x\nnowhere.png,y\nz.png\tzebra\n"
    )
    return tmp_path


@KINDS
def test_a_folder_is_walked_through(make, ask, network, folder, kind):
    widget = make(kind, pictures=folder)
    assert widget._pictures == [["cats/a.png", ""], ["cats/b image.png", ""], ["cats/c.png", ""], ["z.png", ""]]
    assert widget._position == -1 and torch.equal(widget.image, TENSOR)
    assert ask(widget, "list", place=1, turn=1) == ""
    assert (widget._position, widget.picture, widget.notes.count("Passed over")) == (1, "b image.png", 0)
    assert torch.equal(widget.image, as_images(folder / "cats/b image.png"))
    assert widget.recipe().startswith("# Runs once `network` is what the ")
    assert torch.equal(remade(widget, network, widget.image), shown(widget))
    assert ask(widget, "list", place=2, turn=1) == ""
    assert (widget._position, widget.picture) == (3, "z.png")
    assert "Passed over 1 file: " in widget.notes and "c.png' is no picture that can be read" in widget.notes
    assert ask(widget, "list", place=2, turn=-1) == "" and widget._position == 1
    assert widget._left_out == 1  # the list


def test_files_that_are_no_pictures_are_counted_and_the_first_are_named(make, ask, tmp_path):
    for number in range(7):
        (tmp_path / f"{number}.png").write_bytes(b"none")
    Image.fromarray(OTHER).save(tmp_path / "9.png")
    widget = make(SaliencyView, pictures=tmp_path)
    assert ask(widget, "list", place=0, turn=1) == "" and widget.picture == "9.png"
    assert "Passed over 7 files: " in widget.notes and widget.notes.endswith("and 2 more.")
    widget.pictures = [tmp_path / "9.png"]
    assert widget._left_out == 0


def test_a_list_has_labels_and_missing_files_are_named(make, ask, folder):
    widget = make(SaliencyView, pictures=folder / "list.txt")
    assert [label for _, label in widget._pictures] == ["tabby cat", "", "x", "y", "zebra"]
    assert "c.png' is no picture" in ask(widget, "list", place=2, turn=0)
    assert "there is no file " in ask(widget, "list", place=3, turn=0) and widget._position == -1
    assert ask(widget, "list", place=2, turn=1) == "" and widget._position == 4
    assert "c.png' is no picture" in widget.notes and "nowhere.png'" in widget.notes
    widget.pictures = [folder / "cats/c.png", folder / "nowhere.png"]
    assert (widget._position, widget._pictures) == (-1, [["cats/c.png", ""], ["nowhere.png", ""]])
    assert "c.png' is no picture" in ask(widget, "list", place=0, turn=1)
    assert widget.picture == "z.png"
    widget.pictures = None
    assert widget._pictures == []


def test_a_picture_of_the_list_that_is_set_in_python_is_found_in_it(make, folder):
    widget = make(SaliencyView, pictures=[folder / "z.png", folder / "cats/a.png"])
    widget.image = folder / "cats/a.png"
    assert widget.wait(LONG) and (widget._position, widget.picture) == (1, "a.png")
    widget.image = TENSOR
    assert widget.wait(LONG) and widget._position == -1


@pytest.mark.parametrize(
    ("pictures", "error", "message"),
    [
        (3, TypeError, "a folder, a text file with a path in each line, or a list of paths, not int"),
        ("nowhere", FileNotFoundError, "no folder and no list of pictures 'nowhere'"),
        (["nowhere.png", "nor_here.png"], FileNotFoundError, "none of the 2 pictures is there, such as 'nowhere.png'"),
        ([], ValueError, "there are no pictures in"),
    ],
)
def test_what_is_no_list_of_pictures_is_refused(make, folder, pictures, error, message):
    widget = make(SaliencyView, pictures=folder)
    with pytest.raises(error, match=message):
        widget.pictures = pictures
    assert widget.pictures == folder and len(widget._pictures) == 4


def original(widget, heard):
    """What a view gets that asks for the original: the reply, and its buffers."""
    messages = heard(widget)
    widget._handle_custom_msg({"type": "original", "id": "3"}, [])
    assert widget.wait(LONG)
    ((reply, buffers),) = [each for each in messages if each[0]["type"] == "reply"]
    assert reply["id"] == "3"
    return reply, buffers


@KINDS
def test_a_view_gets_the_original_as_the_network_is_shown_it(make, heard, kind):
    reply, (png,) = original(make(kind), heard)
    assert "error" not in reply
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(png))), BYTES)


def test_without_a_picture_there_is_no_original(make, heard):
    reply, _ = original(make(DreamCanvas, None), heard)
    assert reply["error"] == "no picture was given"


def test_a_view_is_told_that_its_original_is_old(make):
    widget = make(DreamCanvas)
    before = widget._pictures_taken
    widget.image = 1 - TENSOR
    assert widget.wait(LONG) and widget._pictures_taken != before
