"""QC-FC: edges against displacement over runs, held to scipy and to simulated motion."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import pearsonr

from bidsmask.connectivity.motion import QcFc


def sums_of(edges: np.ndarray, moved: np.ndarray) -> QcFc:
    sums = QcFc()
    for row, displacement in zip(edges, moved, strict=True):
        sums.add(row, float(displacement))
    return sums


def test_the_numbers_are_scipys_edge_by_edge():
    rng = np.random.default_rng(0)
    moved = rng.gamma(2, 0.1, 12)
    edges = np.tanh(rng.normal(size=(12, 50)) + rng.normal(size=50) * moved[:, np.newaxis] * 5)
    theirs = [pearsonr(edge, moved) for edge in edges.T]
    lengths = rng.uniform(5, 120, 50)
    sums = sums_of(edges, moved)
    r = np.array([one.statistic for one in theirs])
    np.testing.assert_allclose(sums.correlations(), r, atol=1e-10)
    left = sums.result(lengths)
    assert left.n_runs == 12
    assert left.n_edges == 50
    assert left.median == pytest.approx(np.median(np.abs(r)))
    assert left.significant == np.mean([one.pvalue < 0.05 for one in theirs])
    assert left.with_length == pytest.approx(pearsonr(r, lengths).statistic)


def test_without_motion_in_it_one_edge_of_twenty_is_significant_by_chance():
    rng = np.random.default_rng(1)
    left = sums_of(rng.normal(size=(40, 20_000)), rng.gamma(2, 0.1, 40)).result()
    assert left.significant == pytest.approx(0.05, abs=0.005)
    assert np.isnan(left.with_length)


def test_motion_that_joins_what_is_near_shows_in_both_numbers():
    rng = np.random.default_rng(2)
    moved, lengths = rng.gamma(2, 0.1, 30), rng.uniform(5, 120, 2000)
    edges = rng.normal(0, 0.1, (30, 2000)) + moved[:, np.newaxis] * (60 - lengths) / 60
    left = sums_of(edges, moved).result(lengths)
    assert left.significant > 0.5
    assert left.with_length < -0.8


def test_edges_that_lack_a_value_or_never_differ_are_left_out():
    rng = np.random.default_rng(3)
    edges = rng.normal(size=(6, 4))
    edges[2, 1], edges[:, 2] = np.nan, 0.3
    left = sums_of(edges, rng.gamma(2, 0.1, 6)).result(np.array([10.0, 20, 30, np.nan]))
    assert left.n_edges == 2
    assert np.isfinite(left.median)
    assert np.isnan(left.with_length)


@pytest.mark.parametrize("n_runs", [0, 2])
def test_of_two_runs_nothing_can_be_said(n_runs):
    left = sums_of(np.eye(n_runs, 5), np.arange(n_runs)).result(np.arange(5.0))
    assert (left.n_runs, left.n_edges) == (n_runs, 0)
    assert np.isnan([left.median, left.significant, left.with_length]).all()


def test_runs_that_moved_alike_tell_nothing():
    assert (
        sums_of(np.random.default_rng(0).normal(size=(6, 3)), np.full(6, 0.2)).result().n_edges == 0
    )
