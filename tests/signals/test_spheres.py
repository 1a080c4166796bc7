"""Spheres, held to the distance of every voxel of the grid."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bidsmask.errors import UsageError
from bidsmask.images.grid import Grid
from bidsmask.signals.spheres import Spheres

SHAPE = (12, 10, 9)
OBLIQUE = np.array([[2.0, 0.3, 0, -30], [-0.3, 2.5, 0.1, -40], [0, 0.2, -3.0, 20], [0, 0, 0, 1]])
ALL = np.ones(SHAPE, bool)


@settings(max_examples=60)
@given(
    seed=st.integers(0, 10_000),
    radius=st.sampled_from([0.0, 0.1, 2.0, 3.7, 8.0, 40.0]),
    affine=st.sampled_from([OBLIQUE, np.diag([2.0, 2, 2, 1]), np.diag([-0.8, 0.8, 0.8, 1])]),
)
def test_a_sphere_holds_what_is_near_enough_and_the_nearest_voxel(seed, radius, affine):
    random = np.random.default_rng(seed)
    inside = random.random(SHAPE) < 0.7
    grid = Grid(SHAPE, affine)
    seed_ijk = random.uniform(-1, SHAPE)
    [centre] = grid.to_mm(seed_ijk[np.newaxis])
    regions, [whole] = Spheres(centre[np.newaxis], np.array([radius])).on(grid, inside)
    around = np.argwhere(np.ones(np.add(SHAPE, 24), bool)) - 12 if radius < 9 else None
    near = np.linalg.norm(grid.to_mm(np.argwhere(ALL)) - centre, axis=1).reshape(SHAPE) <= radius
    nearest = np.round(seed_ijk).astype(int)
    if (nearest >= 0).all() and (nearest < SHAPE).all():
        near[tuple(nearest)] = True
    expected = np.argwhere(near & inside)
    np.testing.assert_array_equal(np.sort(_rank(regions.ijk)), np.sort(_rank(expected)))
    if around is not None:
        everywhere = np.linalg.norm(grid.to_mm(around) - centre, axis=1) <= radius
        assert whole == np.count_nonzero(everywhere | (around == nearest).all(axis=1))


def _rank(ijk: np.ndarray) -> np.ndarray:
    return np.ravel_multi_index(tuple(ijk.T), SHAPE)


def test_each_seed_may_have_a_radius_of_its_own():
    grid = Grid(SHAPE, np.diag([2.0, 2, 2, 1]))
    centres = np.array([[10.0, 10, 8], [10, 10, 8]])
    regions, wholes = Spheres(centres, np.array([2.0, 4.0])).on(grid, ALL)
    assert list(wholes) == list(regions.sizes) == [7, 33]


def test_a_sphere_outside_of_the_view_keeps_its_column_and_its_size():
    grid = Grid(SHAPE, np.diag([2.0, 2, 2, 1]))
    centres = np.array([[-50.0, 0, 0], [-2, 10, 8]])
    regions, wholes = Spheres(centres, np.array([2.0, 2.0])).on(grid, ALL)
    assert list(wholes) == [7, 7]
    assert list(regions.sizes) == [0, 1]


@pytest.mark.parametrize(
    ("centre", "radius"), [([0, 0, 0], -1), ([0, 0, 0], np.nan), ([np.inf, 0, 0], 3)]
)
def test_what_is_no_sphere_is_refused_by_its_number(centre, radius):
    centres = np.array([[1.0, 2, 3], centre])
    with pytest.raises(UsageError, match="seed 2 at"):
        Spheres(centres, np.array([5.0, radius]))
