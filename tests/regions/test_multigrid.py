"""Multigrid solves what a direct solver does, to the tolerance that was asked for."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from scipy.sparse.linalg import spsolve

from bidsmask.errors import UnusableImage
from bidsmask.regions import multigrid
from bidsmask.regions.multigrid import COARSEST, Multigrid, solve


def held_laplacian(n: int, contrast: float, seed: int = 0) -> sparse.csr_array:
    """Return the Laplacian of a cube of n³ voxels with random weights, some voxels held."""
    rng = np.random.default_rng(seed)
    number = np.arange(n**3).reshape(n, n, n)
    pairs = [(number[:-1], number[1:]), (number[:, :-1], number[:, 1:])]
    pairs.append((number[:, :, :-1], number[:, :, 1:]))
    first, second = (np.concatenate([p[side].ravel() for p in pairs]) for side in (0, 1))
    weight = 10.0 ** (-contrast * rng.random(len(first)))
    degree = np.bincount(first, weight, n**3) + np.bincount(second, weight, n**3)
    degree[rng.choice(n**3, 5, replace=False)] += 1
    rows = np.concatenate([first, second, np.arange(n**3)])
    columns = np.concatenate([second, first, np.arange(n**3)])
    entries = np.concatenate([-weight, -weight, degree])
    return sparse.coo_array((entries, (rows, columns))).tocsr()


@pytest.mark.parametrize("contrast", [0, 3, 10])
def test_solutions_are_those_of_a_direct_solver(contrast):
    matrix = held_laplacian(14, contrast)
    truth = np.random.default_rng(1).random((14**3, 3))
    found = solve(Multigrid(matrix), matrix @ truth, 1e-8)
    np.testing.assert_allclose(found, truth, atol=1e-5)


def test_a_small_matrix_is_solved_by_its_inverse():
    matrix = held_laplacian(4, 1)
    assert matrix.shape[0] <= COARSEST
    side = np.random.default_rng(1).random((4**3, 2))
    found = solve(Multigrid(matrix), side, 1e-10)
    np.testing.assert_allclose(found, spsolve(matrix.tocsc(), side), rtol=1e-8)


def test_a_cycle_is_symmetric():
    matrix = held_laplacian(9, 2)
    cycle = Multigrid(matrix).cycle(np.eye(9**3))
    np.testing.assert_allclose(cycle, cycle.T, atol=1e-9)
    assert np.linalg.eigvalsh((cycle + cycle.T) / 2).min() > 0


def test_a_side_of_zeros_beside_others_stays_zero():
    matrix = held_laplacian(9, 2)
    sides = np.random.default_rng(1).random((9**3, 3))
    sides[:, 1] = 0
    found = solve(Multigrid(matrix), sides, 1e-6)
    assert not found[:, 1].any()
    np.testing.assert_allclose(matrix @ found[:, 2], sides[:, 2], atol=1e-4)


def test_equal_matrices_give_equal_bits():
    sides = np.random.default_rng(1).random((12**3, 2))
    matrix = held_laplacian(12, 5)
    first, second = (solve(Multigrid(matrix), sides, 1e-3) for _ in range(2))
    assert first.tobytes() == second.tobytes()


def test_nodes_that_hold_to_nobody_are_solved_by_their_diagonal():
    matrix = sparse.diags_array(np.linspace(1, 2, 1000)).tocsr()
    sides = np.ones((1000, 1))
    found = solve(Multigrid(matrix), sides, 1e-9)
    np.testing.assert_allclose(found[:, 0], 1 / np.linspace(1, 2, 1000), atol=1e-8)


def test_a_solution_that_is_not_reached_is_refused_with_its_error(monkeypatch):
    matrix = held_laplacian(14, 10)
    sides = np.random.default_rng(1).random((14**3, 2))
    monkeypatch.setattr(multigrid, "MOST_CYCLES", 2)
    with pytest.raises(
        UnusableImage, match=r"not divided after 2 cycles.* more than 1e-12"
    ) as told:
        solve(Multigrid(matrix), sides, 1e-12)
    assert "connected_components" in told.value.advice
