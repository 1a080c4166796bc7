"""Statistics of regions, held to scipy.ndimage; eigenvariates, to numpy's decomposition."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from bidsmask.signals.regions import Regions, Statistic, StatisticExtractor, eigenvariates

SHAPE = (7, 8, 6)


def random_labels(seed: int, n_labels: int = 6) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return labels from -4 in steps of 3, the values that are asked for, and what counts."""
    random = np.random.default_rng(seed)
    labels = random.integers(-1, n_labels, SHAPE) * 3 - 1
    values = np.array([-4, -1, 2, 5, 8, 300])
    return labels, values, random.random(SHAPE) < random.random()


def row_of(extractor: StatisticExtractor, volume: np.ndarray) -> np.ndarray:
    return np.array(extractor.rows(volume[tuple(extractor.ijk.T)][np.newaxis])[0])


@pytest.mark.parametrize("statistic", get_args(Statistic))
@given(seed=st.integers(0, 10_000), is_whole=st.booleans())
def test_statistics_are_those_of_scipy(statistic, seed, is_whole):
    labels, values, inside = random_labels(seed)
    volume = np.random.default_rng(seed).normal(500, 3, SHAPE)
    volume = volume.round() if is_whole else volume  # with many that are equal
    regions = Regions.of_labels(labels, values, inside)
    extractor = StatisticExtractor(regions, statistic)
    there = np.array([np.any(inside & (labels == value)) for value in values])
    np.testing.assert_array_equal(extractor.missing, ~there)
    if there.any():
        background = labels.min() - 1
        expected = getattr(ndimage, statistic)(
            volume, np.where(inside, labels, background), values[there]
        )
        row = row_of(extractor, volume)
        np.testing.assert_allclose(row[there], expected, rtol=1e-12, atol=1e-12)
    assert regions.sizes.sum() == np.count_nonzero(inside & np.isin(labels, values))


def test_labels_that_are_no_columns_are_left_alone():
    labels, _, _ = random_labels(0)
    regions = Regions.of_labels(labels, np.array([5]), np.ones(SHAPE, bool))
    assert set(labels[tuple(regions.ijk.T)]) == {5}


@given(st.integers(0, 10_000), st.integers(1, 9))
def test_means_of_float32_are_summed_in_float64(seed, n_regions):
    random = np.random.default_rng(seed)
    labels = random.integers(0, n_regions + 1, (40, 40, 20))
    values = np.unique(labels[labels > 0])
    regions = Regions.of_labels(labels, values, np.ones(labels.shape, bool))
    volume = (1e6 + random.standard_normal(labels.shape)).astype(np.float32)
    expected = [volume[labels == value].astype(np.float64).mean() for value in values]
    np.testing.assert_allclose(row_of(StatisticExtractor(regions), volume), expected, rtol=1e-12)


def test_overlaps_are_the_pairs_that_share_a_voxel():
    voxels = [
        np.array(one).reshape(-1, 3) for one in ([0, 0, 0, 1, 0, 0], [1, 0, 0], [], [2, 0, 0])
    ]
    regions = Regions.of_voxels(voxels, SHAPE)
    assert regions.overlaps() == [(0, 1)]
    assert list(regions.sizes) == [2, 1, 0, 1]


@pytest.mark.parametrize("statistic", get_args(Statistic))
def test_a_voxel_counts_in_each_region_that_it_belongs_to(statistic):
    random = np.random.default_rng(1)
    voxels = [np.argwhere(random.random(SHAPE) < share) for share in (0.5, 0.4, 0.01)]
    volume = random.normal(size=SHAPE)
    row = row_of(StatisticExtractor(Regions.of_voxels(voxels, SHAPE), statistic), volume)
    function = getattr(ndimage, statistic)
    expected = [function(volume[tuple(ijk.T)], np.ones(len(ijk)), 1) for ijk in voxels]
    np.testing.assert_allclose(row, expected, rtol=1e-12)


# Eigenvariates


def plain_eigenvariate(series: np.ndarray) -> np.ndarray:
    """Return it as its definition says."""
    centred = series - series.mean(axis=0)
    left, singular, _ = np.linalg.svd(centred, full_matrices=False)
    component = left[:, 0] * singular[0] / np.sqrt(series.shape[1])
    return component * (-1 if component @ centred.mean(axis=1) < 0 else 1)


@given(
    n_volumes=st.integers(2, 30),
    sizes=st.lists(st.integers(1, 50), min_size=1, max_size=4),
    seed=st.integers(0, 1000),
)
def test_eigenvariates_are_the_first_singular_vectors(n_volumes, sizes, seed):
    random = np.random.default_rng(seed)
    values = random.normal(1000, 5, (n_volumes, sum(sizes)))
    values += 20 * random.normal(size=(n_volumes, 1)) * random.random(sum(sizes))
    made = eigenvariates(values, np.array(sizes))
    starts = np.cumsum(sizes) - sizes
    expected = [
        plain_eigenvariate(values[:, start : start + size])
        for start, size in zip(starts, sizes, strict=True)
    ]
    np.testing.assert_allclose(made, np.transpose(expected), rtol=1e-6, atol=1e-6)


def test_the_signal_that_voxels_share_comes_out_with_its_size_and_sign():
    truth = np.sin(np.linspace(0, 9, 100))
    truth -= truth.mean()
    noise = np.random.default_rng(0).normal(0, 0.01, (100, 40))
    made = eigenvariates(500 + 3 * truth[:, np.newaxis] + noise, np.array([40]))
    np.testing.assert_allclose(made[:, 0], 3 * truth, atol=0.02)


def test_a_voxel_without_values_does_not_cost_the_region():
    values = np.random.default_rng(0).normal(size=(20, 7))
    expected = eigenvariates(values[:, 1:], np.array([6]))
    values[:, 0] = np.nan
    np.testing.assert_array_equal(eigenvariates(values, np.array([7])), expected)


def test_a_region_without_voxels_or_with_constant_ones_has_no_eigenvariate():
    assert np.isnan(eigenvariates(np.full((9, 2), 5.0), np.array([0, 2]))).all()
