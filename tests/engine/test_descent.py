"""The curvature that L-BFGS remembers, against the dense matrix it stands for, and its way to a known minimum."""

import pytest
import torch

from nbvis.engine.dropout.descent import LBFGS, PATIENCE
from nbvis.engine.dropout.lbfgs import MEMORY, Curvature


def bowl(size: int, seed: int) -> torch.Tensor:
    """A positive definite matrix with eigenvalues from 1 to 10."""
    draws = torch.randn(size, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    basis, _ = torch.linalg.qr(draws)
    return basis @ torch.diag(torch.linspace(1, 10, size, dtype=torch.float64)) @ basis.T


def dense(steps, changes, scale):
    """The BFGS matrix, update by update."""
    matrix = scale * torch.eye(steps.shape[1], dtype=torch.float64)
    for s, y in zip(steps, changes, strict=True):
        towards = matrix @ s
        matrix = matrix - torch.outer(towards, towards) / (s @ towards) + torch.outer(y, y) / (s @ y)
    return matrix


@pytest.mark.parametrize("held", [0.2, 0.8])
def test_it_is_the_bfgs_matrix_of_each_rows_newest_pairs(held):
    size, counts, generator = 14, (0, 1, 3, MEMORY, MEMORY + 4), torch.Generator().manual_seed(1)
    pairs = [torch.randn(count, size, generator=generator, dtype=torch.float64) for count in counts]
    curvature, everywhere = Curvature(torch.zeros(len(counts), size).double()), torch.arange(len(counts))
    for k in range(max(counts)):
        rows = torch.tensor([row for row, count in enumerate(counts) if k < count])
        steps = torch.stack([pairs[row][k] for row in rows])
        curvature.remember(
            rows, steps, torch.stack([s @ bowl(size, int(row)) for s, row in zip(steps, rows, strict=True)])
        )
    assert curvature.known().tolist() == [min(count, MEMORY) for count in counts]
    vector = torch.randn(len(counts), size, generator=generator, dtype=torch.float64)
    free = torch.rand(len(counts), size, generator=generator) > held
    for rows in everywhere, everywhere[1:4]:
        scale = curvature.scale(rows, torch.full((len(rows),), 7.0).double())
        here, chosen = vector[rows], free[rows]
        times = curvature.times(rows, here * ~chosen, scale)
        solved, part = curvature.solved(rows, here, scale), curvature.solved(rows, here, scale, chosen)
        for k, row in enumerate(rows.tolist()):
            steps, changes = pairs[row][-MEMORY:], pairs[row][-MEMORY:] @ bowl(size, row)
            newest = (
                changes[-1].square().sum() / (steps[-1] @ changes[-1]) if counts[row] else torch.tensor(7.0).double()
            )
            assert torch.allclose(scale[k], newest)
            matrix = dense(steps, changes, newest)
            assert torch.allclose(times[k], matrix @ (here[k] * ~chosen[k]))
            assert torch.allclose(solved[k], torch.linalg.solve(matrix, here[k]))
            inverse = torch.zeros(size, dtype=torch.float64)
            inverse[chosen[k]] = torch.linalg.solve(matrix[chosen[k]][:, chosen[k]], here[k][chosen[k]])
            assert torch.allclose(part[k], inverse)
    curvature.forget(everywhere[2:])
    assert curvature.known().tolist() == [0, 1, 0, 0, 0]
    ones = torch.ones(1).double()
    assert torch.equal(curvature.solved(everywhere[3:4], vector[3:4], 2 * ones), vector[3:4] / 2)


def test_pairs_that_bend_downwards_are_left_out():
    curvature, row, one = Curvature(torch.zeros(1, 4).double()), torch.tensor([0]), torch.eye(4, dtype=torch.float64)
    for direction, bend in (one[:1], 2), (one[1:2], -3), (one[1:2], 0):
        curvature.remember(row, direction, bend * direction)
    assert curvature.known() == 1 and curvature.scale(row, torch.ones(1).double()) == 2


@pytest.mark.parametrize("bounds", [None, (0.0, 1.0)])
def test_lbfgs_finds_the_minimum_of_each_bowl(bounds):
    """In a box the minimum is where the gradient is zero, or holds the element at its bound."""
    matrices = torch.stack([bowl(12, seed) for seed in range(3)])
    centres = torch.randn(3, 12, generator=torch.Generator().manual_seed(2), dtype=torch.float64)

    def evaluated(values):
        apart = values - centres
        gradient = (matrices @ apart[:, :, None])[:, :, 0]
        return (apart * gradient).sum(1) / 2, gradient

    values = torch.full((3, 12), 0.5, dtype=torch.float64)
    descent, (loss, gradient) = LBFGS(values, bounds), evaluated(values)
    for _ in range(60):
        trial = descent.propose(values, loss, gradient, 0.01)
        assert bounds is None or (trial.min() >= 0 and trial.max() <= 1)
        height, slope = evaluated(trial)
        goes = descent.accept(trial, height, slope, torch.ones(3, dtype=torch.bool))
        assert (height[goes] <= loss[goes]).all()
        values, gradient = torch.where(goes[:, None], trial, values), torch.where(goes[:, None], slope, gradient)
        loss = torch.where(goes, height, loss)
    rest = torch.where(descent.held(values, gradient), 0, gradient)
    assert rest.abs().max() < 1e-6
    assert bounds is not None or torch.allclose(values, centres)
    assert bounds is None or descent.held(values, gradient).any(1).all()


def test_lbfgs_does_not_wait_for_what_hardly_changes():
    values, gradient = torch.zeros(3, 2).double(), torch.full((3, 2), 1e-9).double()
    loss, faster = torch.ones(3).double(), torch.tensor([1 - 1e-6, 0.99, 0.5]).double()
    descent, asked = LBFGS(values, None), torch.tensor([True, True, False])
    for trial in range(2 * PATIENCE):
        assert not descent.stuck().any(), trial
        values = descent.propose(values, loss, gradient, 0.01)
        assert torch.equal(descent.accept(values, loss * faster, gradient, asked), asked)
        loss = torch.where(asked, loss * faster, loss)
    assert descent.stuck().tolist() == [True, False, False]
    descent.propose(values, loss, gradient, 0.02)
    assert not descent.stuck().any()
