"""Measures between columns, held to nilearn's ConnectivityMeasure, numpy and their formulas."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest
from nilearn.connectome import ConnectivityMeasure
from numpy.typing import NDArray
from sklearn.covariance import EmpiricalCovariance, LedoitWolf

import bidsmask
from bidsmask.app.matrices import LABELS
from bidsmask.app.words import CONNECTIVITY, CORRELATIONS
from bidsmask.connectivity.covariance import ledoit_wolf
from bidsmask.connectivity.measures import MEASURES, connect, connectivity_matrix
from bidsmask.errors import UsageError

THEIRS: dict[str, tuple[str, Callable[[], Any]]] = {
    "pearson": ("correlation", EmpiricalCovariance),
    "correlation-ledoit-wolf": ("correlation", LedoitWolf),
    "covariance": ("covariance", EmpiricalCovariance),
    "ledoit-wolf": ("covariance", LedoitWolf),
    "partial": ("partial correlation", LedoitWolf),
    "precision": ("precision", LedoitWolf),
    "partial-sample": ("partial correlation", EmpiricalCovariance),
    "precision-sample": ("precision", EmpiricalCovariance),
}
FEW = [name for name, measure in MEASURES.items() if measure.is_shrunk or not measure.is_inverse]


def signals_of(n: int, n_columns: int, scale: str = "one", seed: int = 0) -> NDArray[np.float64]:
    """Return columns that share some sources, n volumes of them."""
    rng = np.random.default_rng([seed, n, n_columns])
    mixed = rng.normal(size=(n, 3)) @ rng.normal(size=(3, n_columns))
    values: NDArray[np.float64] = mixed + rng.normal(size=(n, n_columns))
    if scale == "own":  # of each column its own, with a mean far from 0
        values = values * rng.uniform(0.01, 30, n_columns) + rng.normal(0, 1000, n_columns)
    return values


def nilearns(signals: NDArray[Any], measure: str) -> NDArray[np.float64]:
    kind, estimator = THEIRS[measure]
    made = ConnectivityMeasure(kind=kind, cov_estimator=estimator()).fit_transform([signals])
    return np.asarray(made[0])


@pytest.mark.parametrize(
    ("measure", "shape", "scale"),
    [
        *product(MEASURES, [(60, 8), (200, 50), (30, 1)], ["one", "own"]),
        *product(FEW, [(40, 100), (5, 30)], ["one", "own"]),
    ],
)
def test_the_numbers_are_those_of_nilearns_connectivity_measure(measure, shape, scale):
    signals = signals_of(*shape, scale)
    ours = connectivity_matrix(signals, measure)
    theirs = nilearns(signals, measure)
    largest = np.abs(theirs).max()
    np.testing.assert_allclose(ours / largest, theirs / largest, rtol=0, atol=1e-9)
    np.testing.assert_array_equal(ours, ours.T)


def test_by_default_nilearn_shrinks_and_so_do_the_measures_that_say_so():
    signals = signals_of(60, 8)
    for kind, measure in {
        "covariance": "ledoit-wolf",
        "correlation": "correlation-ledoit-wolf",
        "partial correlation": "partial",
        "precision": "precision",
    }.items():
        [theirs] = ConnectivityMeasure(kind=kind).fit_transform([signals])
        np.testing.assert_allclose(connectivity_matrix(signals, measure), theirs, atol=1e-12)


def test_pearson_and_covariance_are_numpys():
    signals = signals_of(60, 8, "own")
    pearson = connectivity_matrix(signals)
    np.testing.assert_allclose(pearson, np.corrcoef(signals, rowvar=False), atol=1e-14)
    covariance = np.cov(signals, rowvar=False, bias=True)
    np.testing.assert_allclose(connectivity_matrix(signals, "covariance"), covariance, rtol=1e-12)


def test_every_shrunk_correlation_is_pearsons_times_what_is_left():
    found = connect(signals_of(60, 8), "correlation-ledoit-wolf")
    expected = (1 - found.shrinkage) * connectivity_matrix(signals_of(60, 8))
    np.fill_diagonal(expected, 1)
    np.testing.assert_allclose(found.values, expected, atol=1e-12)
    assert 0 < found.shrinkage < 1


@pytest.mark.parametrize("shape", [(2, 5), (10, 40), (300, 6), (7, 1)])
def test_the_shrinkage_is_scikit_learns(shape):
    signals = signals_of(*shape)
    theirs = LedoitWolf().fit(signals)
    covariance, shrinkage = ledoit_wolf(signals)
    np.testing.assert_allclose(covariance, theirs.covariance_, atol=1e-12)
    assert shrinkage == pytest.approx(theirs.shrinkage_, abs=1e-12)


def test_a_partial_correlation_is_that_of_what_the_others_leave():
    signals = signals_of(80, 6)
    others = np.column_stack([np.ones(80), signals[:, 2:]])
    left = signals[:, :2] - others @ np.linalg.lstsq(others, signals[:, :2], rcond=None)[0]
    expected = np.corrcoef(left, rowvar=False)[0, 1]
    assert connectivity_matrix(signals, "partial-sample")[0, 1] == pytest.approx(expected)


def test_fishers_z_is_atanh_without_a_diagonal():
    signals = signals_of(60, 4)
    signals[:, 3] = -signals[:, 0]
    z = connectivity_matrix(signals, fisher_z=True)
    expected = np.corrcoef(signals, rowvar=False)
    one, other = np.triu_indices(3, k=1)
    np.testing.assert_allclose(z[one, other], np.arctanh(expected[one, other]), atol=1e-12)
    assert np.isnan(np.diag(z)).all()
    assert np.isnan(z[0, 3])


# What is not defined


@pytest.mark.parametrize("measure", MEASURES)
def test_columns_without_values_are_missing_and_change_no_other(measure):
    signals = signals_of(60, 6)
    whole = connectivity_matrix(signals[:, [0, 2, 4]], measure)
    signals[7, 1], signals[:, 3], signals[2, 5] = np.nan, np.nan, np.inf
    found = connect(signals, measure)
    np.testing.assert_array_equal(found.defined, [True, False, True, False, True, False])
    np.testing.assert_array_equal(found.values[np.ix_([0, 2, 4], [0, 2, 4])], whole)
    assert np.isnan(found.values[[1, 3, 5]]).all()
    assert np.isnan(found.values[:, [1, 3, 5]]).all()


def test_a_constant_column_has_a_covariance_and_no_correlation():
    signals = signals_of(60, 3)
    signals[:, 1] = 0.1
    assert np.isnan(connectivity_matrix(signals)[1]).all()
    assert np.isnan(connectivity_matrix(signals, "partial")[1]).all()
    np.testing.assert_allclose(connectivity_matrix(signals, "covariance")[1], 0, atol=1e-15)


@pytest.mark.parametrize("measure", MEASURES)
def test_rows_of_censored_volumes_are_left_out(measure):
    signals = signals_of(60, 4)
    longer = np.insert(signals, [0, 10, 10, 60], np.nan, axis=0)
    ours = connectivity_matrix(longer, measure)
    np.testing.assert_array_equal(ours, connectivity_matrix(signals, measure))
    assert connect(longer, measure).n_rows == 60


@pytest.mark.parametrize("measure", ["partial-sample", "precision-sample"])
def test_a_covariance_without_an_inverse_is_not_inverted(measure):
    few = connect(signals_of(20, 20), measure)
    assert few.problem == "19 degrees of freedom are left, and 20 are needed"
    assert not np.isnan(connectivity_matrix(signals_of(21, 20), measure)).any()
    signals = signals_of(60, 5)
    signals[:, 4] = np.float32(signals[:, 0] + signals[:, 1])
    dependent = connect(np.float32(signals), measure)
    assert dependent.problem == "the covariance is singular: columns depend on one another"
    for found in (few, dependent):
        assert np.isnan(found.values).all()
        assert not found.defined.any()


def test_what_the_cleaning_has_left_counts_not_the_rows():
    signals = signals_of(60, 5)
    assert np.isnan(connectivity_matrix(signals, degrees_of_freedom=1.9)).all()
    assert not np.isnan(connectivity_matrix(signals, degrees_of_freedom=2)).any()
    assert not np.isnan(connectivity_matrix(signals, "covariance", degrees_of_freedom=1.9)).any()
    partial = connectivity_matrix(signals, "partial-sample", degrees_of_freedom=4.9)
    assert np.isnan(partial).all()
    assert not np.isnan(connectivity_matrix(signals, "partial", degrees_of_freedom=4.9)).any()


@pytest.mark.parametrize("n", [0, 1, 2])
def test_a_run_of_no_length_has_no_correlation(n):
    assert np.isnan(connectivity_matrix(signals_of(n, 4))).all()


def test_two_columns_that_are_one_another_are_correlated_by_just_one():
    signals = signals_of(40, 2)[:, [0, 0, 1]]
    assert connectivity_matrix(signals * 0.1)[0, 1] <= 1


# What is given


def test_a_table_is_taken_and_nothing_is_changed():
    table = pd.DataFrame(signals_of(30, 3), columns=["a", "b", "c"])
    before = table.copy()
    matrix = bidsmask.connectivity_matrix(table, "partial", fisher_z=True)
    np.testing.assert_array_equal(
        matrix, connectivity_matrix(table.to_numpy(), "partial", fisher_z=True)
    )
    pd.testing.assert_frame_equal(table, before)


def test_what_is_no_measure_and_no_signals_is_refused():
    with pytest.raises(UsageError, match="the measure 'tangent' is none of pearson, "):
        connectivity_matrix(signals_of(9, 3), "tangent")
    with pytest.raises(UsageError, match="'covariance' is no correlation"):
        connectivity_matrix(signals_of(9, 3), "covariance", fisher_z=True)
    for signals in (np.ones(9), np.array([["n/a", "1"]]), np.ones((4, 2), complex)):
        with pytest.raises(UsageError, match="Give volumes x columns of real numbers"):
            connectivity_matrix(signals)


def test_the_command_line_offers_just_these_measures():
    assert tuple(MEASURES) == CONNECTIVITY == tuple(LABELS)
    assert [name for name, one in MEASURES.items() if one.is_correlation] == list(CORRELATIONS)
    assert all(label.isalnum() for label in LABELS.values())
    assert len(set(LABELS.values())) == len(LABELS)
