"""Confounds measured in images whose confounds are known."""

import numpy as np
import pytest

from bidsmask.demo.confounds import a_comp_cor, cosine_basis, dvars


def test_cosines_are_orthonormal_and_without_mean():
    cosines = cosine_basis(160)
    assert cosines.shape == (160, 4)
    np.testing.assert_allclose(cosines.T @ cosines, np.eye(4), atol=1e-12)
    np.testing.assert_allclose(cosines.sum(axis=0), 0, atol=1e-12)


def test_short_runs_have_no_cosine():
    assert cosine_basis(50).shape == (50, 0)


def test_dvars_of_white_noise_is_one_when_standardized():
    noise = np.random.default_rng(0).normal(scale=3, size=(400, 500))
    plain, standardized = dvars(noise)
    assert np.isnan(plain[0])
    assert np.isnan(standardized[0])
    assert plain[1:].mean() == pytest.approx(3 * np.sqrt(2), rel=0.01)
    assert standardized[1:].mean() == pytest.approx(1, rel=0.01)


def test_first_component_finds_a_planted_signal_and_no_cosine():
    rng = np.random.default_rng(0)
    cosines = cosine_basis(160)
    planted = rng.normal(size=160)
    noise = rng.normal(size=(160, 40)) + np.outer(planted, np.ones(40))
    noise += 5 * cosines[:, :1] * 160
    components, metadata = a_comp_cor(noise, cosines)
    assert abs(np.corrcoef(components[:, 0], planted)[0, 1]) > 0.95
    np.testing.assert_allclose(cosines.T @ components, 0, atol=1e-10)
    explained = [entry["VarianceExplained"] for entry in metadata.values()]
    assert explained == sorted(explained, reverse=True)
    assert metadata["a_comp_cor_03"]["CumulativeVarianceExplained"] == pytest.approx(sum(explained))
