"""A head keeps its place in mm, whatever its voxels."""

from __future__ import annotations

import numpy as np
import pytest

from bidsmask.images.grid import Grid
from bidsmask.masks.head import Head, box_with_margin, isotropic_grid

AFFINE = np.array([[0, -1.5, 0, 40], [1.5, 0, 0, -30], [0, 0, 2.0, -20], [0, 0, 0, 1]])
GRID = Grid((30, 28, 24), AFFINE)


def ramp(grid: Grid) -> np.ndarray:
    """Return x + 2y - z in mm."""
    mm = grid.to_mm(np.indices(grid.shape).reshape(3, -1).T)
    return (mm @ [1, 2, -1]).reshape(grid.shape).astype(np.float32)


def test_scaling_leaves_0_to_1():
    values = np.array([-5, np.nan, np.inf, 0, *np.linspace(1, 2, 996)]).reshape(10, 10, 10)
    scaled = Head.scaled(values, Grid((10, 10, 10), np.eye(4))).values
    assert scaled.dtype == np.float32
    assert (scaled.ravel()[:4] == 0).all()
    assert scaled.max() == 1
    assert scaled.ravel()[4] == pytest.approx(1 / np.percentile(np.linspace(1, 2, 996), 99.5))


@pytest.mark.parametrize("voxel_mm", [1.0, 3.0])
def test_another_voxel_size_keeps_a_ramp(voxel_mm):
    other = Head(ramp(GRID), GRID).at(voxel_mm)
    np.testing.assert_allclose(other.grid.voxel_sizes_mm, voxel_mm)
    within = (slice(4, -4),) * 3
    np.testing.assert_allclose(other.values[within], ramp(other.grid)[within], atol=1e-3)


def test_larger_voxels_blur_a_head_in_its_place():
    head = Head(ramp(GRID), GRID)
    assert head.as_seen_in(2.0) is head
    within = (slice(6, -6),) * 3
    blurred = head.as_seen_in(4.0).values
    np.testing.assert_allclose(blurred[within], head.values[within], atol=1e-2)
    spike = np.zeros(GRID.shape, np.float32)
    spike[15, 14, 12] = 1
    seen = Head(spike, GRID).as_seen_in(4.0).values
    assert seen.max() < 0.3
    middle = np.indices(GRID.shape).reshape(3, -1) @ seen.ravel() / seen.sum()
    np.testing.assert_allclose(middle, [15, 14, 12], atol=0.5)


def test_another_grid_through_a_map():
    through = np.eye(4)
    through[:3, 3] = 3, -2, 1
    target = isotropic_grid(GRID, 2.0)
    moved = Head(ramp(GRID), GRID).on(target, through, beyond=np.nan)
    expected = ramp(target) + np.float32(3 - 4 - 1)
    known = np.isfinite(moved)
    assert known.mean() > 0.7
    np.testing.assert_allclose(moved[known], expected[known], atol=1e-3)


def test_a_box_ends_with_the_array():
    inside = np.zeros((9, 9, 9), bool)
    inside[1, 4, 4] = True
    assert box_with_margin(inside, 2) == (slice(0, 4), slice(2, 7), slice(2, 7))
