"""Pictures as a table of colours and their numbers, against the colours written out."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbvis.widgets.indexed import Indexed
from tests.pictures import opened


@given(st.integers(1, 600), st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_what_is_sent_and_what_is_saved_have_the_colours_of_the_table(count, height, width, seed):
    drawn = np.random.default_rng(seed)
    colors, numbers = drawn.integers(0, 256, (count, 3)), drawn.integers(0, count + 1, (height, width))
    made = Indexed(numbers, colors)
    table = np.vstack([np.column_stack([colors, np.full(count, 255)]), np.zeros((1, 4), int)])
    assert made.size == (width, height) == made.image.size == opened(made.packed).size
    assert np.array_equal(np.asarray(opened(made.packed)), table[numbers])
    assert np.array_equal(np.asarray(made.image.convert("RGBA"))[..., 3], table[numbers][..., 3])
    seen = numbers != count
    assert np.array_equal(np.asarray(made.image.convert("RGBA"))[seen], table[numbers][seen])


@pytest.mark.parametrize(("count", "each"), [(2, 1), (255, 1), (256, 2), (509, 2)])
def test_a_pixel_takes_as_many_bytes_as_its_number_needs(count, each):
    made = Indexed(np.zeros((3, 5), int), np.zeros((count, 3), int))
    assert len(made.packed) == 16 + 4 * (count + 1) + each * 15
