"""Where maskers clean otherwise than nilearn: each case of docs/maskers.md, beside nilearn's."""

from __future__ import annotations

from typing import Any

import nibabel
import nilearn.maskers
import numpy as np
from numpy.testing import assert_allclose, assert_array_equal

from bidsmask import NiftiMasker
from tests.make_maskers import T_R, quietly

EVERYWHERE = nibabel.Nifti1Image(np.ones((4, 4, 4), np.uint8), np.eye(4))
BAND = {"low_pass": 0.1, "high_pass": 0.01, "t_r": T_R}


def image(columns: np.ndarray) -> nibabel.Nifti1Image:
    """Return series, (n_volumes, 64), as an image."""
    return nibabel.Nifti1Image(columns.T.reshape(4, 4, 4, -1), np.eye(4))


def noise(n_volumes: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(100, 1, (n_volumes, 64))


def both(
    columns: np.ndarray, confounds: Any = None, sample_mask: Any = None, **options: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Return our signals and nilearn's."""
    given = {"confounds": confounds, "sample_mask": sample_mask}
    return tuple(
        quietly(kind(EVERYWHERE, dtype="float64", **options).fit_transform, image(columns), **given)
        for kind in (NiftiMasker, nilearn.maskers.NiftiMasker)
    )


def test_a_censored_spike_does_not_leak():
    calm = noise(200)
    spiked = calm.copy()
    spiked[[60, 139]] += 50
    kept = np.setdiff1d(np.arange(200), [60, 139])
    ours, theirs = both(spiked, sample_mask=kept, **BAND)
    assert_array_equal(ours, both(calm, sample_mask=kept, **BAND)[0])
    assert np.abs(theirs - both(calm, sample_mask=kept, **BAND)[1]).max() > 10


def test_censored_ends_do_not_shift_the_rows():
    calm = noise(100)
    kept = np.arange(2, 98)
    ours, theirs = both(calm, sample_mask=kept, **BAND)
    alone = NiftiMasker(EVERYWHERE, **BAND).fit_transform(image(calm[2:98]))
    assert_allclose(ours, alone, atol=1e-12)
    assert not np.allclose(theirs, alone, atol=0.1)


def test_lines_between_kept_volumes_are_to_be_had():
    calm = noise(100)
    kept = np.setdiff1d(np.arange(100), [0, 40, 41, 42])
    arguments = {"interpolation": "linear"}
    ours = NiftiMasker(EVERYWHERE, **BAND, clean_args=arguments).fit_transform(
        image(calm), sample_mask=kept
    )
    filled = calm.copy()
    filled[0] = calm[1]
    for step, volume in enumerate((40, 41, 42), 1):
        filled[volume] = calm[39] + step / 4 * (calm[43] - calm[39])
    expected = NiftiMasker(EVERYWHERE, **BAND).fit_transform(image(filled))[kept]
    assert_allclose(ours, expected, atol=1e-12)


def test_a_drift_goes_whatever_is_censored():
    drift = np.linspace(0, 10, 200)[:, None] * np.ones(64) + 100
    kept = np.r_[0:60, 140:200]
    ours, theirs = both(drift, sample_mask=kept, detrend=True)
    assert_array_equal(ours, 0)
    assert theirs.std() > 0.9


def test_a_ramp_among_the_confounds_leaves_the_cosines():
    columns, ramp = noise(200), -np.arange(200.0)[:, None]
    options = {"high_pass": 0.008, "t_r": T_R, "clean_args": {"filter": "cosine"}}
    ours, theirs = both(columns, confounds=ramp, **options)
    slow = np.cos(np.pi / 200 * np.outer(np.arange(1, 7), np.arange(200) + 0.5)) / 10
    assert np.abs(slow @ ours).max() < 1e-9
    assert np.abs(slow @ theirs).max() > 1


def test_percent_is_of_each_voxels_own_mean():
    columns = noise(50) * np.logspace(-4, 4, 64)
    ours, theirs = both(columns, standardize="psc", detrend=True)
    mean = columns.mean(0)
    times = np.arange(50) - 24.5
    flat = columns - mean - np.outer(times, times @ columns / (times @ times))
    assert_allclose(ours, 100 * flat / mean, atol=1e-9)
    assert_allclose(theirs, ours, atol=1e-9)


def test_percent_is_of_the_mean_of_what_was_there_before_cleaning():
    """A confound with a mean of its own takes most of the signals' mean along, but not all."""
    columns, n = noise(50), 50
    confound = 1 + 0.3 * np.random.default_rng(5).standard_normal((n, 1))
    ours, theirs = both(columns, confound, standardize="psc", standardize_confounds=False)
    left = columns - confound @ (confound.T @ columns) / (confound.T @ confound)
    expected = 100 * (left - left.mean(0)) / columns.mean(0)
    assert_allclose(ours, expected, atol=1e-9)
    assert np.abs(theirs / ours - 1).max() > 0.05


def test_a_sum_of_confounds_changes_nothing():
    random = np.random.default_rng(3)
    columns, two = noise(60), random.standard_normal((60, 2)) * [1, 1e3]
    three = np.column_stack([two, two @ [0.1, 0.7]])
    ours, _ = both(columns, confounds=three, standardize="zscore_sample")
    expected, theirs = both(columns, confounds=two, standardize="zscore_sample")
    assert_allclose(ours, expected, atol=1e-9)
    assert_allclose(expected, theirs, atol=1e-9)
