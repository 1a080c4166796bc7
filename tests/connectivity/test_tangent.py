"""Deviations in the tangent space, held to nilearn and to their own definition."""

from __future__ import annotations

import numpy as np
import pytest
from nilearn.connectome import ConnectivityMeasure

import bidsmask
from bidsmask.connectivity.tangent import geometric_mean, tangent_matrices
from bidsmask.errors import UsageError


def runs_of(n_runs: int, n: int, n_columns: int, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng([seed, n_runs, n_columns])
    shared = rng.normal(size=(n_columns, n_columns))
    mixing = [shared + rng.normal(0, 0.5, shared.shape) for _ in range(n_runs)]
    return [rng.normal(size=(n + 3 * one, n_columns)) @ mixing[one] for one in range(n_runs)]


@pytest.mark.parametrize("shape", [(2, 60, 8), (6, 120, 20), (5, 40, 60), (3, 30, 1)])
def test_the_numbers_are_nilearns(shape):
    runs = runs_of(*shape)
    theirs = ConnectivityMeasure(kind="tangent")
    deviations = theirs.fit_transform(runs)
    ours, mean = bidsmask.tangent_matrices(runs)
    np.testing.assert_allclose(ours, deviations, rtol=0, atol=1e-6)
    scale = np.abs(theirs.mean_).max()
    np.testing.assert_allclose(mean / scale, theirs.mean_ / scale, rtol=0, atol=1e-6)


def test_deviations_from_the_mean_have_a_mean_of_0():
    deviations, _ = tangent_matrices(runs_of(6, 200, 10))
    assert np.abs(deviations).max() > 0.1
    np.testing.assert_allclose(deviations.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_array_equal(deviations, deviations.transpose(0, 2, 1))


def test_the_geometric_mean_of_commuting_matrices_is_that_of_their_eigenvalues():
    values = np.array([[1.0, 4.0, 9.0], [4.0, 1.0, 1.0]])
    mean = geometric_mean(np.array([np.diag(one) for one in values]))
    np.testing.assert_allclose(mean, np.diag([2.0, 2.0, 3.0]), atol=1e-6)


def test_a_column_without_values_in_one_run_is_missing_in_all():
    runs = runs_of(3, 80, 6)
    whole, mean = tangent_matrices([run[:, [0, 2, 3, 5]] for run in runs])
    runs[1][4, 1], runs[2][:, 4] = np.nan, 7.0
    ours, our_mean = tangent_matrices(runs)
    kept = np.ix_([0, 2, 3, 5], [0, 2, 3, 5])
    np.testing.assert_array_equal(our_mean[kept], mean)
    for one, other in zip(ours, whole, strict=True):
        np.testing.assert_array_equal(one[kept], other)
        assert np.isnan(one[[1, 4]]).all()


def test_censored_rows_are_left_out():
    runs = runs_of(2, 50, 4)
    longer = [np.insert(runs[0], [0, 7], np.nan, axis=0), runs[1]]
    np.testing.assert_array_equal(tangent_matrices(longer)[0], tangent_matrices(runs)[0])


def test_a_mean_that_does_not_settle_is_told():
    rng = np.random.default_rng(1)
    turns = [np.linalg.qr(rng.normal(size=(4, 4)))[0] for _ in range(3)]
    far = [turn @ np.diag(10.0 ** rng.uniform(-3, 3, 4)) @ turn.T for turn in turns]
    with pytest.warns(UserWarning, match="has not settled after 30 steps"):
        geometric_mean(np.array(far))


def test_what_is_no_group_is_refused():
    runs = runs_of(3, 30, 4)
    with pytest.raises(UsageError, match="the runs are 1 with 4 columns"):
        tangent_matrices(runs[:1])
    with pytest.raises(UsageError, match="the runs are 0 with no columns"):
        tangent_matrices([])
    with pytest.raises(UsageError, match="the runs are 3 with 3 or 4 columns"):
        tangent_matrices([*runs[:2], runs[2][:, :3]])
    with pytest.raises(UsageError, match="hold one with fewer than two rows"):
        tangent_matrices([runs[0], runs[1][:1]])
    # Two rows leave nothing to shrink by.
    with pytest.raises(UsageError, match="hold one whose covariance is singular"):
        tangent_matrices([runs[0], runs[1][:2]])
