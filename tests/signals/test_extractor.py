"""One contract for all extractors, and what each of them is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bidsmask.images.grid import Grid
from bidsmask.masks.mask import Mask
from bidsmask.signals.extractor import Extractor, LabelExtractor, VoxelExtractor
from tests.make_images import AFFINE

SHAPE = (5, 6, 4)
RANDOM = np.random.default_rng(5)
INSIDE = RANDOM.random(SHAPE) < 0.6
LABELS = RANDOM.integers(0, 4, SHAPE) * 7
VALUES = np.array([-3, 7, 14, 21, 90], np.int32)  # two have no voxel


def voxel_extractor() -> Extractor:
    return VoxelExtractor(Mask(INSIDE, Grid(SHAPE, AFFINE), "file"))


def label_extractor() -> Extractor:
    return LabelExtractor(LABELS, VALUES, INSIDE)


every = pytest.mark.parametrize("make", [voxel_extractor, label_extractor])


def row_of(extractor: Extractor, volume: np.ndarray) -> np.ndarray:
    """Return the row of a volume, (i, j, k)."""
    return np.array(extractor.row(volume[tuple(extractor.ijk.T)]))


@every
def test_a_row_is_linear_in_the_volume(make):
    one, other = RANDOM.standard_normal((2, *SHAPE))
    together = row_of(make(), 2 * one - 3 * other)
    np.testing.assert_allclose(together, 2 * row_of(make(), one) - 3 * row_of(make(), other))


@every
def test_a_row_has_a_value_for_each_column(make):
    extractor = make()
    row = row_of(extractor, np.ones(SHAPE))
    assert row.shape == extractor.missing.shape == (extractor.n_columns,)
    np.testing.assert_array_equal(row, ~extractor.missing)


@every
def test_only_voxels_inside_are_needed_and_each_once(make):
    ijk = make().ijk
    assert INSIDE[tuple(ijk.T)].all()
    assert len(np.unique(ijk, axis=0)) == len(ijk)


@every
def test_making_a_row_changes_nothing(make):
    extractor = make()
    values = RANDOM.standard_normal(len(extractor.ijk))
    before = values.copy()
    extractor.row(values)
    np.testing.assert_array_equal(values, before)


def test_voxels_are_in_c_order_of_the_mask():
    volume = RANDOM.standard_normal(SHAPE)
    np.testing.assert_array_equal(row_of(voxel_extractor(), volume), volume[INSIDE])


def test_regions_are_means_of_their_voxels_inside():
    volume = RANDOM.standard_normal(SHAPE)
    extractor = LabelExtractor(LABELS, VALUES, INSIDE)
    expected = [volume[INSIDE & (value == LABELS)].mean() for value in (7, 14, 21)]
    np.testing.assert_allclose(row_of(extractor, volume), [0, *expected, 0])
    assert list(extractor.missing) == [True, False, False, False, True]
    assert list(extractor.n_voxels[1:4]) == [
        np.count_nonzero(INSIDE & (value == LABELS)) for value in (7, 14, 21)
    ]


def test_labels_that_are_no_columns_are_left_alone():
    extractor = LabelExtractor(LABELS, np.array([14]), INSIDE)
    assert set(LABELS[tuple(extractor.ijk.T)]) == {14}


def test_a_region_of_one_voxel_is_that_voxel():
    volume = RANDOM.standard_normal(SHAPE)
    labels = np.zeros(SHAPE, int)
    labels[1, 2, 3] = 5
    extractor = LabelExtractor(labels, np.array([5]), np.ones(SHAPE, bool))
    assert row_of(extractor, volume) == [volume[1, 2, 3]]


def test_no_region_inside_gives_columns_without_values():
    extractor = LabelExtractor(LABELS, VALUES, np.zeros(SHAPE, bool))
    assert extractor.missing.all()
    assert list(extractor.row(np.empty(0, np.float32))) == [0] * 5


@given(st.integers(0, 10_000), st.integers(1, 9))
def test_means_of_float32_are_summed_in_float64(seed, n_regions):
    random = np.random.default_rng(seed)
    labels = random.integers(0, n_regions + 1, (40, 40, 20))
    values = np.unique(labels[labels > 0])
    extractor = LabelExtractor(labels, values, np.ones(labels.shape, bool))
    volume = (1e6 + random.standard_normal(labels.shape)).astype(np.float32)
    expected = [volume[labels == value].astype(np.float64).mean() for value in values]
    np.testing.assert_allclose(row_of(extractor, volume), expected, rtol=1e-12)
