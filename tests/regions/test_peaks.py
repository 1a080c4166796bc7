"""Seeds of regions."""

from __future__ import annotations

import numpy as np

from bidsmask.regions.peaks import DISTANCE, find_seeds
from tests.make_regions import GRID, SHAPE


def bumps(*places: tuple[int, int, int], heights: tuple[float, ...]) -> np.ndarray:
    values = np.zeros(SHAPE, np.float32)
    for place, height in zip(places, heights, strict=True):
        values[place] = height
    return values


def test_each_peak_that_is_far_from_higher_ones_is_a_seed():
    values = bumps((5, 5, 5), (5, 5, 5 + DISTANCE + 1), heights=(2, 1))
    assert np.argwhere(find_seeds(values, GRID, 0)).tolist() == [[5, 5, 5], [5, 5, 16]]


def test_a_peak_near_a_higher_one_is_none():
    values = bumps((5, 5, 5), (5, 5, 5 + DISTANCE), heights=(2, 1))
    assert np.argwhere(find_seeds(values, GRID, 0)).tolist() == [[5, 5, 5]]


def test_a_peak_of_a_tenth_of_the_highest_is_none():
    values = bumps((5, 5, 5), (5, 5, 20), heights=(2, 0.2))
    assert np.argwhere(find_seeds(values, GRID, 0)).tolist() == [[5, 5, 5]]


def test_a_plateau_is_one_seed():
    values = np.zeros(SHAPE, np.uint8)
    values[5:8, 5:8, 5:8] = 9
    seeds = find_seeds(values, GRID, 0)
    np.testing.assert_array_equal(seeds, values // 9)


def test_maps_below_zero_have_no_seed():
    values = -np.abs(np.random.default_rng(0).normal(size=SHAPE)) - 1
    assert not find_seeds(values, GRID, 6).any()
