"""The random walker against a direct solution of the whole system, and what it does at its ends."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage
from scipy.sparse.linalg import spsolve

from bidsmask.errors import UnusableImage
from bidsmask.regions import walker
from bidsmask.regions.peaks import find_seeds
from bidsmask.regions.walker import random_walker
from tests.make_regions import GRID, blob_maps, dice


def plain_walker(values: NDArray[np.float64], seeds: NDArray[np.int32]) -> NDArray[np.int64]:
    """Solve one dense system for all voxels of the map, which must be in one component."""
    places = np.argwhere(values != 0)
    distance = np.abs(places[:, None] - places[None]).sum(axis=2)
    inner = values[values != 0]
    difference = inner[:, None] - inner[None]
    weight = np.exp(-130 / (10 * values.std()) * difference**2) + 1e-10
    laplacian = -np.where(distance == 1, weight, 0)
    np.fill_diagonal(laplacian, -laplacian.sum(axis=1))
    given = seeds[values != 0]
    free, held = np.flatnonzero(given == 0), np.flatnonzero(given)
    labels = np.unique(given[held])
    known = (given[held][:, None] == labels).astype(float)
    probability = np.linalg.solve(
        laplacian[np.ix_(free, free)], -laplacian[np.ix_(free, held)] @ known
    )
    result = np.zeros(values.shape, int)
    found = given.copy()
    found[free] = labels[probability.argmax(axis=1)]
    result[values != 0] = found
    return result


@pytest.mark.parametrize("scale", [0.01, 1.0, 100.0])
@pytest.mark.parametrize("seed", range(4))
def test_regions_are_those_of_the_direct_solution(scale, seed):
    rng = np.random.default_rng(seed)
    values = (1 + ndimage.gaussian_filter(rng.normal(size=(11, 10, 9)), 1.5)) * scale
    values[:, 0] = 0
    seeds = np.zeros(values.shape, np.int32)
    for number, place in enumerate(rng.integers(1, 9, (6, 3)), start=1):
        seeds[tuple(place)] = number
    expected = plain_walker(values, seeds)
    found = random_walker(values, seeds)
    for label in np.unique(expected[expected > 0]):
        assert dice(found == label, expected == label) > 0.995


@pytest.mark.parametrize("scale", [10, 50, 200])
def test_steps_that_part_a_map_into_islands_are_solved_too(monkeypatch, scale):
    values = np.round(blob_maps(1, seed=1)[..., 0] * scale)
    seeds = find_seeds(values, GRID, 6)
    found = random_walker(values, seeds)

    def solved_directly(problem):
        sides = problem.sides.toarray()
        return np.column_stack([spsolve(problem.matrix.tocsc(), s) for s in sides.T]).argmax(axis=1)

    monkeypatch.setattr(walker, "_most_probable", solved_directly)
    expected = random_walker(values, seeds)
    assert len(np.unique(expected)) > 8
    assert np.mean(found[values > 0] == expected[values > 0]) > 0.999


def test_many_seeds_are_solved_in_blocks_with_the_same_result(monkeypatch):
    values = blob_maps(1, share=0.6)[..., 0]
    seeds = np.zeros(values.shape, np.int32)
    places = np.argwhere(values)[::300]
    seeds[tuple(places.T)] = np.arange(1, len(places) + 1)
    together = random_walker(values, seeds)
    monkeypatch.setattr(walker, "MOST_COLUMNS", 3)
    apart = random_walker(values, seeds)
    assert np.mean(together == apart) > 0.999


def test_a_wall_of_another_value_keeps_the_walker_out():
    values = np.ones((20, 6, 6))
    values[7] = 9
    seeds = np.zeros(values.shape, np.int32)
    seeds[8, 3, 3], seeds[0, 3, 3] = 1, 2
    found = random_walker(values, seeds)
    assert (found[8:] == 1).all()
    assert (found[:7] == 2).all()


def test_a_component_belongs_to_its_only_seed_and_one_without_to_none():
    values = np.zeros((9, 5, 5))
    values[:3], values[4:6], values[7:] = 1, 2, 3
    seeds = np.zeros(values.shape, np.int32)
    seeds[0, 0, 0], seeds[4, 2, 2] = 1, 2
    found = random_walker(values, seeds)
    assert (found[:3] == 1).all()
    assert (found[4:6] == 2).all()
    assert not found[7:].any()
    assert not found[3].any()


def test_seeds_outside_the_map_do_not_count():
    values = np.zeros((6, 5, 5))
    values[:3] = 1
    seeds = np.zeros(values.shape, np.int32)
    seeds[5, 2, 2] = 1
    assert not random_walker(values, seeds).any()


def test_seeds_alone_come_back_where_nothing_is_to_be_divided():
    values = np.zeros((6, 5, 5))
    values[:2] = 1
    seeds = (values > 0).astype(np.int32) * 4
    np.testing.assert_array_equal(random_walker(values, seeds), seeds)


def test_a_component_of_nothing_but_seeds_is_left_out_where_others_are_divided():
    values = np.zeros((6, 5, 5))
    values[:2], values[4:] = 1, 2
    seeds = np.zeros(values.shape, np.int32)
    seeds[4:], seeds[0, 0, 0] = 2, 1
    found = random_walker(values, seeds)
    assert not found[4:].any()
    assert (found[:2] == 1).all()


@pytest.mark.parametrize("height", [1e-320, 1e200])
def test_values_out_of_all_proportion_are_refused(height):
    values = np.zeros((5, 5, 5))
    values[1:4] = height
    seeds = np.zeros(values.shape, np.int32)
    seeds[2, 2, 2] = 1
    with pytest.raises(UnusableImage, match="out of all proportion"):
        random_walker(values, seeds)
