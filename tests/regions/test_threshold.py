"""Thresholds of maps against their definitions; tests/parity holds them to nilearn's numbers."""

from __future__ import annotations

import numpy as np
import pytest

from bidsmask.errors import GridMismatch, UsageError
from bidsmask.regions.threshold import threshold_maps
from tests.make_regions import SHAPE, signed_maps


@pytest.mark.parametrize("ratio", [0.25, 0.5, 1.0, 2.0])
def test_the_ratio_keeps_that_many_values_for_each_voxel(ratio):
    kept = threshold_maps(signed_maps(), ratio)
    assert abs(np.count_nonzero(kept) - ratio * np.prod(SHAPE)) <= 1


def test_the_ratio_keeps_the_strongest_of_both_signs():
    maps = signed_maps()
    kept = threshold_maps(maps, 0.5)
    assert (kept < 0).any()
    assert np.abs(kept[kept != 0]).min() > np.abs(maps[kept == 0]).max()


def test_a_ratio_of_the_number_of_maps_keeps_everything():
    np.testing.assert_array_equal(threshold_maps(signed_maps(), 3), signed_maps())


@pytest.mark.parametrize(
    ("cut_off", "two_sided", "rule"),
    [
        (4.0, False, lambda maps: maps >= 4),
        (4.0, True, lambda maps: np.abs(maps) >= 4),
        (-4.0, False, lambda maps: maps <= -4),
        (1e9, False, lambda maps: np.zeros(maps.shape, bool)),
    ],
)
def test_a_value_keeps_what_reaches_it(cut_off, two_sided, rule):
    maps = signed_maps()
    kept = threshold_maps(maps, cut_off, "img_value", two_sided=two_sided)
    np.testing.assert_array_equal(kept, np.where(rule(maps), maps, 0))


def test_a_percentile_keeps_the_share_above_it():
    maps = np.abs(signed_maps())
    kept = threshold_maps(maps, 80, "percentile")
    assert np.count_nonzero(kept) / maps.size == pytest.approx(0.2, abs=0.001)


def test_the_mask_decides_what_a_percentile_is_of():
    maps = np.abs(signed_maps())
    mask = np.zeros(SHAPE, bool)
    mask[10:20] = True
    kept = threshold_maps(maps, 80, "percentile", mask=mask)
    assert not kept[~mask].any()
    assert np.count_nonzero(kept) / maps[mask].size == pytest.approx(0.2, abs=0.001)


def test_maps_without_a_value_that_counts_end_empty():
    assert not threshold_maps(-np.abs(signed_maps()) - 1, 50, "percentile").any()


def test_the_lowest_integer_has_a_height():
    maps = np.zeros((4, 4, 4, 1), np.int8)
    maps[0, 0, 0] = -128
    assert threshold_maps(maps, 0.01)[0, 0, 0] == -128


def test_maps_are_not_changed_and_keep_their_type():
    maps = (signed_maps() * 10).astype(np.int16)
    before = maps.copy()
    assert threshold_maps(maps, 1).dtype == np.int16
    np.testing.assert_array_equal(maps, before)


@pytest.mark.parametrize(
    ("threshold", "strategy", "two_sided", "words"),
    [
        (0, "ratio_n_voxels", False, "number of maps, 3"),
        (3.1, "ratio_n_voxels", False, "number of maps, 3"),
        (101, "percentile", False, "from 0 to 100"),
        (-1, "percentile", False, "from 0 to 100"),
        (np.nan, "img_value", False, "no number"),
        (-1, "img_value", True, "with two sides"),
        (1, "otsu", False, "ratio_n_voxels, img_value, percentile"),
    ],
)
def test_thresholds_without_a_meaning_are_refused(threshold, strategy, two_sided, words):
    with pytest.raises(UsageError, match=words):
        threshold_maps(signed_maps(), threshold, strategy, two_sided=two_sided)


def test_a_mask_of_another_shape_is_refused():
    with pytest.raises(GridMismatch, match="the mask has shape"):
        threshold_maps(signed_maps(), 1, "img_value", mask=np.ones((2, 2, 2), bool))
