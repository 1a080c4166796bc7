"""One contract for all extractors."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import numpy as np
import pytest
from scipy import sparse

from bidsmask.images.grid import Grid
from bidsmask.masks.mask import Mask
from bidsmask.signals.extractor import Extractor
from bidsmask.signals.maps import MapExtractor, Maps
from bidsmask.signals.regions import Regions, Statistic, StatisticExtractor
from bidsmask.signals.spheres import Spheres
from bidsmask.signals.voxels import MemberExtractor, VoxelExtractor
from tests.make_images import AFFINE

SHAPE = (5, 6, 4)
RANDOM = np.random.default_rng(5)
INSIDE = RANDOM.random(SHAPE) < 0.6
LABELS = RANDOM.integers(0, 4, SHAPE) * 7
VALUES = np.array([-3, 7, 14, 21, 90], np.int32)  # two have no voxel
MASK = Mask(INSIDE, Grid(SHAPE, AFFINE), "file")
REGIONS = Regions.of_labels(LABELS, VALUES, INSIDE)


def map_extractor() -> Extractor:
    weights = np.random.default_rng(2).random((4, MASK.n_voxels))
    weights[1] = 0
    weights[:, ::3] = 0
    return MapExtractor(Maps(sparse.csr_array(weights), np.ones(4)), MASK)


def sphere_extractor(statistic: Statistic = "mean") -> Extractor:
    """Two that overlap, one that lies far away."""
    centres = np.array([[-5.0, -10, -25], [-3, -9, -25], [500, 0, 0]])
    regions, _ = Spheres(centres, np.full(3, 6.0)).on(MASK.grid, INSIDE)
    return StatisticExtractor(regions, statistic)


EVERY: dict[str, Callable[[], Extractor]] = {
    "voxels": lambda: VoxelExtractor(MASK),
    "members": lambda: MemberExtractor(REGIONS),
    "maps": map_extractor,
    **{
        f"{statistic} of {what}": (lambda make=make, statistic=statistic: make(statistic))
        for statistic in get_args(Statistic)
        for what, make in {
            "labels": lambda statistic: StatisticExtractor(REGIONS, statistic),
            "spheres": sphere_extractor,
        }.items()
    },
}
every = pytest.mark.parametrize("make", EVERY.values(), ids=EVERY)


def row_of(extractor: Extractor, volume: np.ndarray) -> np.ndarray:
    """Return the row of a volume, (i, j, k)."""
    return np.array(extractor.rows(volume[tuple(extractor.ijk.T)][np.newaxis])[0])


@every
def test_a_row_is_linear_in_the_volume_where_it_says_so(make):
    one, other = RANDOM.standard_normal((2, *SHAPE))
    together = row_of(make(), 2 * one - 3 * other)
    apart = 2 * row_of(make(), one) - 3 * row_of(make(), other)
    assert np.allclose(together, apart, rtol=1e-9, atol=1e-12) == make().is_linear


@every
def test_a_row_has_a_value_for_each_column_and_0_for_a_missing_one(make):
    extractor = make()
    row = row_of(extractor, RANDOM.standard_normal(SHAPE))
    assert row.shape == extractor.missing.shape == (extractor.n_columns,)
    np.testing.assert_array_equal(row != 0, ~extractor.missing)


@every
def test_only_voxels_inside_are_needed_and_each_once(make):
    ijk = make().ijk
    assert INSIDE[tuple(ijk.T)].all()
    assert len(np.unique(ijk, axis=0)) == len(ijk)


@every
def test_making_a_row_changes_nothing(make):
    extractor = make()
    values = RANDOM.standard_normal((3, len(extractor.ijk)))
    before = values.copy()
    extractor.rows(values)
    np.testing.assert_array_equal(values, before)


@every
def test_a_row_does_not_depend_on_the_others(make):
    extractor = make()
    values = RANDOM.standard_normal((5, len(extractor.ijk)))
    alone = [extractor.rows(one[np.newaxis])[0] for one in values]
    np.testing.assert_allclose(extractor.rows(values), alone, rtol=1e-12, atol=1e-14)


def test_voxels_are_in_c_order_of_the_mask():
    volume = RANDOM.standard_normal(SHAPE)
    np.testing.assert_array_equal(row_of(VoxelExtractor(MASK), volume), volume[INSIDE])
