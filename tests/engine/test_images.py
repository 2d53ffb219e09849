"""Image parameters: exact against numpy, able to become any picture, and careful about what they take."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from nbvis.engine import Fourier, ImageParameter, Pixels
from nbvis.engine.ascent.image_parameters import COLOR_MATRIX


def by_hand(values: np.ndarray, height: int, width: int, decay: float) -> np.ndarray:
    """The same picture by numpy, frequency by frequency as in the formula."""
    scale = np.empty((height, width // 2 + 1))
    for row, fy in enumerate(np.fft.fftfreq(height)):
        for column, fx in enumerate(np.fft.rfftfreq(width)):
            scale[row, column] = 1 / max(np.hypot(fy, fx), 1 / max(height, width)) ** decay
    spectrum = (values[..., 0] + 1j * values[..., 1]) * scale
    plane = np.fft.irfft2(spectrum, s=(height, width), norm="ortho") / 4
    if plane.shape[1] == 3:
        matrix = np.array([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]])
        matrix = matrix / np.linalg.norm(matrix, axis=0).max()
        plane = (plane.transpose(0, 2, 3, 1) @ matrix.T).transpose(0, 3, 1, 2)
    return 1 / (1 + np.exp(-plane))


@settings(max_examples=30)
@given(
    st.integers(1, 17),
    st.integers(1, 17),
    st.integers(1, 3),
    st.sampled_from([1, 2, 3, 6]),
    st.floats(0, 2),
    st.floats(0.01, 3),
)
def test_fourier_against_numpy(height, width, batch, channels, decay, sd):
    image = Fourier(height, width, batch=batch, channels=channels, decay=decay, sd=sd, seed=3)
    image = image.holding(image.values.double())
    expected = by_hand(image.values.cpu().numpy(), height, width, decay)
    assert image.image().shape == (batch, channels, height, width)
    assert np.abs(image.image().cpu().numpy() - expected).max() < 1e-12


def test_the_colour_matrix_has_full_precision():
    matrix = np.array([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]])
    matrix = matrix / np.linalg.norm(matrix, axis=0).max()
    assert np.abs(np.array(COLOR_MATRIX) - matrix).max() < 1e-15


def test_the_start_is_faint_noise_of_the_seed():
    image = Fourier(40, 30, batch=2, seed=1)
    assert abs(image.values.std().item() - 0.01) < 1e-3 and image.values.shape == (2, 3, 40, 16, 2)
    assert torch.equal(image.values, Fourier(40, 30, batch=2, seed=1).values)
    assert not torch.equal(image.values, Fourier(40, 30, batch=2, seed=2).values)
    assert not torch.equal(image.image()[0], image.image()[1])
    assert (image.image() - 0.5).abs().max() < 0.2


def test_the_callers_random_state_is_left_alone():
    state = torch.get_rng_state()
    Fourier(8, 8, seed=5)
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("channels, height, width", [(1, 12, 9), (3, 9, 12), (3, 11, 7), (6, 8, 8)])
@pytest.mark.parametrize("kind", ["pixels", "fourier"])
def test_every_parameter_can_become_any_picture(pictures, kind, channels, height, width):
    target = pictures(2, channels, height, width, seed=4)
    start: ImageParameter = Pixels(torch.full_like(target, 0.5))
    if kind == "fourier":
        start = Fourier(height, width, batch=2, channels=channels)
    values = start.values.double().requires_grad_()
    parameter = start.holding(values)
    optimizer = torch.optim.Adam([values], lr=0.1 if kind == "fourier" else 0.05)
    for _ in range(200):
        optimizer.zero_grad()
        ((parameter.image() - target) ** 2).mean().backward()
        optimizer.step()
        with torch.no_grad():
            parameter.project()
    assert ((parameter.image() - target) ** 2).mean() < 1e-3


shapes = arrays.array_shapes(min_dims=4, max_dims=4, max_side=6)


@settings(max_examples=30)
@given(shapes.flatmap(lambda shape: arrays.arrays(np.float32, shape, elements=st.floats(0, 1, width=32))))
def test_pixels_round_trip_to_the_bit(array):
    images = torch.from_numpy(array.copy())
    parameter = Pixels(images)
    assert torch.equal(parameter.image(), images)
    parameter.project()
    assert torch.equal(parameter.image(), images)
    parameter.values.add_(1)
    assert torch.equal(images, torch.from_numpy(array))


def test_pixels_stay_in_range_and_let_gradients_through_at_its_ends():
    parameter = Pixels(torch.tensor([[[[0.0, 1.0, 0.5]]]]))
    parameter.values.requires_grad_()
    parameter.image().sum().backward()
    assert parameter.values.grad is not None and parameter.values.grad.tolist() == [[[[1, 1, 1]]]]
    with torch.no_grad():
        parameter.values += torch.tensor([-1.0, 1.0, 0.0])
        parameter.project()
    assert parameter.values.tolist() == [[[[0, 1, 0.5]]]]


def test_holding_leaves_the_parameter_as_it_is():
    parameter = Fourier(6, 6)
    values = parameter.values.clone()
    other = parameter.holding(parameter.values + 1)
    assert torch.equal(parameter.values, values) and not torch.equal(other.image(), parameter.image())


@pytest.mark.parametrize(
    "images, error, message",
    [
        (torch.rand(3, 4, 5), ValueError, r"not \(3, 4, 5\): add the batch with image\[None\]"),
        (torch.rand(4, 5), ValueError, r"must be \(batch, channels, height, width\), not \(4, 5\)"),
        (torch.rand(0, 3, 4, 5), ValueError, r"not \(0, 3, 4, 5\)"),
        (torch.full((1, 3, 4, 5), 1.5), ValueError, r"must lie in \[0, 1\], not in \[1.5, 1.5\]"),
        (torch.full((1, 3, 4, 5), -0.25), ValueError, r"not in \[-0.25, -0.25\]"),
        (torch.full((1, 3, 4, 5), float("nan")), ValueError, "NaN"),
        (torch.full((1, 3, 4, 5), 200, dtype=torch.uint8), TypeError, "uint8: divide by 255, as images / 255"),
        (torch.full((1, 3, 4, 5), 200.0), ValueError, r"not in \[200, 200\]: divide by 255, as images / 255"),
        (None, TypeError, "must be a tensor .*, not NoneType"),
    ],
)
def test_what_is_no_picture_is_refused(images, error, message):
    with pytest.raises(error, match=message):
        Pixels(images)


def test_empty_sizes_are_refused():
    for sizes in [(0, 4), (4, 0), (-1, 4)]:
        with pytest.raises(ValueError, match="at least 1"):
            Fourier(*sizes)
    with pytest.raises(ValueError, match=r"\(0, 3, 4, 4\)"):
        Fourier(4, 4, batch=0)
    with pytest.raises(ValueError, match=r"\(1, 0, 4, 4\)"):
        Fourier(4, 4, channels=0)
