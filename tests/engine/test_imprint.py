"""Whether a module is still what it was, as far as its values tell."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from nbvis.engine import values_of

ROW = 1 << 16


class Holder(nn.Module):
    """Weights of these sizes."""

    def __init__(self, *sizes: int, dtype: torch.dtype = torch.float32):
        super().__init__()
        made = torch.Generator().manual_seed(0)
        parts = [torch.randn(size, generator=made, dtype=torch.float64).to(dtype) for size in sizes]
        self.parts = nn.ParameterList([nn.Parameter(each) for each in parts])


def values(module: nn.Module) -> bytes:
    return values_of(module.modules())


@given(st.lists(st.integers(1, 40), min_size=1, max_size=5), st.data())
def test_a_change_of_any_one_value_through_data_is_noticed(sizes, data):
    module = Holder(*sizes)
    before = values(module)
    assert values(module) == before
    part = data.draw(st.integers(0, len(sizes) - 1))
    place = data.draw(st.integers(0, sizes[part] - 1))
    module.parts[part].data[place] += 1e-3
    assert values(module) != before


def test_one_bias_among_many_weights_is_noticed():
    module = Holder(1, *[ROW - 1] * 8)
    before = values(module)
    module.parts[0].data += 1e-4
    assert values(module) != before


@pytest.mark.parametrize("size", [ROW - 1, ROW, ROW + 1, 3 * ROW, 3 * ROW + 5])
def test_the_ends_of_large_tensors_count_and_so_does_their_order(size):
    module = Holder(size)
    before = values(module)
    for place in (0, size // 2, size - 1):
        module.parts[0].data[place] += 1
        assert values(module) != before, place
        module.parts[0].data[place] -= 1
    module.parts[0].data.copy_(module.parts[0].data.flip(0))
    assert values(module) != before


@pytest.mark.parametrize("broken", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("size", [8, ROW + 8])
def test_what_is_not_finite_hides_no_change_beside_it(size, broken):
    module = Holder(size, 5)
    module.parts[0].data[3] = broken
    before = values(module)
    assert values(module) == before
    module.parts[0].data[size - 1] += 1
    assert values(module) != before


def test_values_too_large_for_a_sum_are_no_error():
    module = Holder(ROW + 8)
    module.parts[0].data.fill_(3e38)
    assert values(module) == values(module)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64, torch.complex64, torch.int64])
def test_any_type_of_buffer_counts(dtype):
    module = nn.Module()
    module.register_buffer("held", torch.arange(6).to(dtype))
    before = values(module)
    module.held.data[2] = 9
    assert values(module) != before


def test_a_module_without_tensors_has_no_values():
    assert values(nn.ReLU()) == b""
