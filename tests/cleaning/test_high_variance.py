"""Confounds of high variance: nilearn's, and what they are made of."""

from __future__ import annotations

import numpy as np
import pytest

from bidsmask.cleaning.high_variance import confounds_of_high_variance
from bidsmask.errors import UsageError

RANDOM = np.random.default_rng(0)


def series(n_volumes: int = 40, n_voxels: int = 500) -> np.ndarray:
    """Return noise; the last tenth of the voxels share two strong signals, all drift."""
    common = RANDOM.standard_normal((n_volumes, 2)) @ RANDOM.normal(0, 9, (2, n_voxels))
    noise = RANDOM.standard_normal((n_volumes, n_voxels)) + 1000
    drift = np.linspace(0, 30, n_volumes)[:, None]
    return noise + drift + np.where(np.arange(n_voxels) >= 0.9 * n_voxels, common, 0)


def confounds(values: np.ndarray, **options: float) -> np.ndarray:
    return confounds_of_high_variance(lambda: iter(values), len(values), **options)


def test_they_span_what_the_most_varying_voxels_share():
    values = series()
    found = confounds(values, n_confounds=2, percentile=10)
    times = np.column_stack([np.ones(40), np.arange(40)])
    flat = values - times @ np.linalg.lstsq(times, values, rcond=None)[0]
    strongest = np.argsort((flat**2).mean(0))[-50:]
    vectors = np.linalg.svd(flat[:, strongest], full_matrices=False)[0][:, :2]
    np.testing.assert_allclose(np.abs(vectors.T @ found), np.eye(2), atol=1e-10)


def test_a_voxel_with_a_nan_is_never_taken():
    values = series()
    values[3, 0] = np.nan
    with_one = confounds(values, percentile=100)
    assert np.isfinite(with_one).all()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"n_confounds": 41}, "n_confounds is 41, but there are 40 volumes"),
        ({"percentile": 101}, "percentile is 101"),
        ({"percentile": 0}, "leaves no voxel"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(options, words):
    with pytest.raises(UsageError, match=words):
        confounds(series(), **options)
