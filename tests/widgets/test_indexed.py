"""Pictures as a table of colours and their numbers, against the colours written out."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbvis.widgets.indexed import Indexed
from tests.pictures import opened

sizes, seeds = st.integers(1, 9), st.integers(0, 2**32 - 1)


@given(st.integers(1, 600), sizes, sizes, seeds, st.booleans())
def test_what_is_sent_and_what_is_saved_have_the_colours_of_the_table(count, height, width, seed, clear):
    drawn = np.random.default_rng(seed)
    table = np.column_stack([drawn.integers(0, 256, (count, 3)), np.full(count, 255)])
    if clear:
        table[-1] = 0
    numbers = drawn.integers(0, count, (height, width))
    made = Indexed(numbers, table[:, :3], count - 1 if clear else None)
    sent, saved = opened(made.packed), made.image.convert("RGBA")
    assert made.size == (width, height) == sent.size == saved.size
    assert np.array_equal(np.asarray(sent), table[numbers])
    assert np.array_equal(np.asarray(saved), table[numbers])


@pytest.mark.parametrize(("count", "each"), [(2, 1), (256, 1), (257, 2), (1025, 2)])
def test_a_pixel_takes_as_many_bytes_as_its_number_needs(count, each):
    made = Indexed(np.zeros((3, 5), int), np.zeros((count, 3), int))
    assert len(made.packed) == 16 + 4 * count + each * 15


@pytest.mark.parametrize(("count", "mode"), [(256, "P"), (257, "RGB")])
def test_what_nobody_sees_through_has_no_opacity(count, mode):
    image = Indexed(np.zeros((3, 5), int), np.zeros((count, 3), int)).image
    assert image.mode == mode and "transparency" not in image.info
