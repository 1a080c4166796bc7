"""Masks: the order of their voxels, their box, and what is no mask."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nilearn.masking import apply_mask

from bidsmask.errors import GridMismatch, UnusableMask
from bidsmask.images.grid import Grid, flat_indices
from bidsmask.masks.mask import Mask
from tests.make_images import AFFINE, random_stored

GRID = Grid((4, 5, 6), AFFINE)


def random_mask(seed: int = 0) -> Mask:
    return Mask(np.random.default_rng(seed).random(GRID.shape) > 0.6, GRID, "epi")


@given(st.integers(0, 10**6))
def test_columns_are_those_of_nilearn(seed: int) -> None:
    mask = random_mask(seed)
    volume = random_stored(GRID.shape, "float32", seed)
    theirs = apply_mask(
        nib.Nifti1Image(volume, AFFINE), nib.Nifti1Image(mask.voxels.astype(np.uint8), AFFINE)
    )
    np.testing.assert_array_equal(
        volume.ravel(order="F").take(flat_indices(mask.ijk, GRID.shape)), theirs
    )


def test_indices_name_the_same_voxels_in_the_same_order() -> None:
    mask = random_mask()
    i, j, k = mask.ijk.T
    assert mask.voxels[i, j, k].all()
    volume = random_stored(GRID.shape)
    np.testing.assert_array_equal(
        volume[i, j, k], volume.ravel(order="F").take(flat_indices(mask.ijk, GRID.shape))
    )


def test_the_box_is_the_smallest() -> None:
    voxels = np.zeros(GRID.shape, bool)
    voxels[1, 2, 3] = voxels[2, 4, 3] = True
    assert Mask(voxels, GRID, "epi").box == (slice(1, 3), slice(2, 5), slice(3, 4))


def test_the_volume_is_in_millilitres() -> None:
    voxels = np.ones(GRID.shape, bool)
    assert Mask(voxels, GRID, "epi").volume_ml == pytest.approx(120 * 24 / 1000)


def test_the_voxels_are_a_copy_that_nobody_can_change() -> None:
    voxels = np.ones(GRID.shape, bool)
    mask = Mask(voxels, GRID, "epi")
    voxels[:] = False
    assert mask.n_voxels == 120
    with pytest.raises(ValueError, match="read-only"):
        mask.voxels[0, 0, 0] = False


def test_an_empty_mask_is_refused_with_its_file() -> None:
    with pytest.raises(UnusableMask, match=r"sub-01_mask\.nii\.gz is an empty mask"):
        Mask(np.zeros(GRID.shape, bool), GRID, "file", {}, Path("in/sub-01_mask.nii.gz"))


def test_an_empty_computed_mask_names_the_strategy() -> None:
    with pytest.raises(UnusableMask, match="mask epi is an empty mask"):
        Mask(np.zeros(GRID.shape, bool), GRID, "epi")


def test_voxels_of_another_shape_are_refused() -> None:
    with pytest.raises(GridMismatch):
        Mask(np.ones((4, 5, 7), bool), GRID, "epi")
