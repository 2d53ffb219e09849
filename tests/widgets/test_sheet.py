"""The sheet: pictures side by side, with what there is to say of each."""

import numpy as np
from PIL import Image

from nbvis.widgets.sheet import Cell, below, sheet


def test_the_sheet_shows_pictures_side_by_side_and_sentences_where_there_is_none():
    red = Image.new("RGB", (300, 210), "red")
    whole = sheet(
        [Cell(red, "Input", "espresso 0.95"), Cell(None, "Grad-CAM", "It is blank because it is.")], (210, 300)
    )
    assert whole.size == (2 * 300 + 36, 210 + 58)
    assert whole.getpixel((12, 12)) == whole.getpixel((311, 221)) == (255, 0, 0)
    assert whole.getpixel((620, 215)) == (243, 244, 246)
    dark = np.asarray(whole.crop((324, 12, 624, 222)).convert("L"))
    assert (dark < 150).any()


def test_small_pictures_are_enlarged_by_whole_pixels():
    small = Image.fromarray(np.array([[[255, 0, 0], [0, 0, 255]]], dtype=np.uint8))
    whole = sheet([Cell(small, "Input", "")], (1, 2))
    assert [whole.getpixel((x, 12)) for x in (12, 111, 112, 211)] == [(255, 0, 0)] * 2 + [(0, 0, 255)] * 2


def test_a_long_caption_is_cut_at_the_picture():
    wide = sheet([Cell(Image.new("RGB", (200, 50)), "Title", "word " * 80)], (50, 200))
    assert (np.asarray(wide)[:, 214:] == 255).all()


def test_a_picture_with_colours_has_their_bar_and_its_ends():
    red = Image.new("RGB", (200, 100), "red")
    colors = ("#0000ff", "#ffffff", "#ff0000")
    plain, barred = (sheet([Cell(red, "Map", "", *bar)], (100, 200)) for bar in ((), ((-2.0, 2.0), colors)))
    assert barred.height == plain.height + 30
    line = np.asarray(barred)[12 + 100 + 34 + 8, 12:212].astype(int)
    assert line[2].tolist()[2] == 255 > line[2, 0] and line[-3, 0] == 255 > line[-3, 2]
    assert (np.abs(line[100] - 255) < 3).all() and (np.diff(line[5:-5, 0]) >= 0).all()
    numbers = np.asarray(barred.convert("L"))[12 + 100 + 34 + 14 :, 12:212] < 160
    assert numbers[:, :20].any() and numbers[:, 90:110].any() and numbers[:, -20:].any()
    from_zero = np.asarray(sheet([Cell(red, "Map", "", (0.0, 2.0), colors)], (100, 200)).convert("L"))
    assert not (from_zero[12 + 100 + 34 + 14 :, 60:160] < 160).any()


def test_a_cell_in_words_names_its_line_and_its_ends():
    assert Cell(None, "Input", "sea 0.95").words == "Input: sea 0.95"
    assert Cell(None, "Map", "sum −1 … 2", (-1.5, 1.5)).words == "Map: sum −1 … 2; its colours go from −1.5 to 1.5"
    assert Cell(None, "Occlusion", "There is none.").words == "Occlusion: There is none"


def test_sheets_one_below_the_other():
    whole = below([Image.new("RGB", (20, 10), "red"), Image.new("RGB", (12, 5), "blue")])
    assert whole.size == (20, 15)
    assert [whole.getpixel(at) for at in ((19, 9), (0, 10), (19, 14))] == [(255, 0, 0), (0, 0, 255), (255, 255, 255)]
