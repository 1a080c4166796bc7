"""Grids: sizes, coordinates, and when two are the same."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nilearn.image.image import check_same_fov

from bidsmask.images.grid import Grid, box_around, flat_indices
from tests.make_images import AFFINE


def test_sizes_of_voxels_are_those_of_the_axes() -> None:
    grid = Grid((3, 4, 5), AFFINE)
    assert grid.n_voxels == 60
    np.testing.assert_allclose(grid.voxel_sizes_mm, [2, 3, 4])
    assert grid.voxel_volume_mm3 == pytest.approx(24)


def test_an_oblique_grid_keeps_its_volume() -> None:
    angle = 0.3
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    grid = Grid((3, 4, 5), turn @ AFFINE)
    np.testing.assert_allclose(grid.voxel_sizes_mm, [2, 3, 4])
    assert grid.voxel_volume_mm3 == pytest.approx(24)


def test_the_affine_is_a_copy_that_nobody_can_change() -> None:
    affine = AFFINE.copy()
    grid = Grid((3, 4, 5), affine)
    affine[0, 0] = 99
    assert grid.affine[0, 0] == 2
    with pytest.raises(ValueError, match="read-only"):
        grid.affine[0, 0] = 99


@pytest.mark.parametrize("shift", [0.0, 1e-4, 1e-3, 1.0])
def test_sameness_is_that_of_nilearn(shift: float) -> None:
    here = np.diag([2.0, 2, 2, 1])
    here[:3, 3] = -90
    there = here.copy()
    there[0, 3] += shift
    data = np.zeros((3, 4, 5), np.uint8)
    theirs = check_same_fov(nib.Nifti1Image(data, here), nib.Nifti1Image(data, there))
    assert Grid((3, 4, 5), here).is_same(Grid((3, 4, 5), there)) == theirs


def test_the_difference_names_both_shapes() -> None:
    here, there = Grid((3, 4, 5), AFFINE), Grid((3, 4, 6), AFFINE)
    assert here.difference(there) == "has shape (3, 4, 6), but shape (3, 4, 5) is needed"


def test_the_difference_of_affines_is_a_number() -> None:
    moved = AFFINE.copy()
    moved[1, 3] += 3
    assert "differs by up to 3" in Grid((3, 4, 5), AFFINE).difference(Grid((3, 4, 5), moved))


@given(st.lists(st.tuples(*[st.integers(-50, 200)] * 3), min_size=1, max_size=5))
def test_coordinates_are_nibabels(indices: list[tuple[int, int, int]]) -> None:
    mm = Grid((3, 4, 5), AFFINE).to_mm(np.array(indices))
    np.testing.assert_allclose(mm, nib.affines.apply_affine(AFFINE, indices))


def test_flat_indices_are_those_of_the_file() -> None:
    flat = np.arange(60).reshape((3, 4, 5), order="F")
    inside = flat % 7 < 3
    np.testing.assert_array_equal(flat_indices(np.argwhere(inside), (3, 4, 5)), flat[inside])


def test_the_box_around_voxels_holds_all_and_no_more() -> None:
    ijk = np.array([[3, 2, 5], [4, 8, 1]])
    assert box_around(ijk) == (slice(3, 5), slice(2, 9), slice(1, 6))
