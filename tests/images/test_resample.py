"""Nearest voxels on another grid are nilearn's."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nilearn.image import resample_img

from bidsmask.images.grid import Grid
from bidsmask.images.resample import resample_nearest
from tests.make_images import AFFINE, random_stored

SOURCE = Grid((12, 9, 8), AFFINE)
TARGET_SHAPE = (10, 11, 7)


@settings(deadline=None, max_examples=40)
@given(
    sizes=st.lists(st.floats(1.1, 5), min_size=3, max_size=3),
    angles=st.lists(st.floats(-0.5, 0.5), min_size=3, max_size=3),
    shift=st.lists(st.floats(-8, 8), min_size=3, max_size=3),
)
def test_nearest_voxels_are_nilearns(
    sizes: list[float], angles: list[float], shift: list[float]
) -> None:
    turn = nib.eulerangles.euler2mat(*angles) @ np.diag(sizes)
    affine = nib.affines.from_matvec(turn, AFFINE[:3, 3] + shift)
    labels = random_stored(SOURCE.shape, "uint8")
    theirs = resample_img(
        nib.Nifti1Image(labels, AFFINE),
        target_affine=affine,
        target_shape=TARGET_SHAPE,
        interpolation="nearest",
    )
    ours = resample_nearest(labels, SOURCE, Grid(TARGET_SHAPE, affine))
    assert ours.dtype == labels.dtype
    np.testing.assert_array_equal(ours, np.asarray(theirs.dataobj))


@pytest.mark.parametrize("dtype", ["int16", "float32", "uint8"])
def test_the_same_grid_changes_nothing(dtype: str) -> None:
    values = random_stored(SOURCE.shape, dtype)
    np.testing.assert_array_equal(resample_nearest(values, SOURCE, SOURCE), values)


def test_beyond_the_source_is_zero() -> None:
    away = AFFINE.copy()
    away[0, 3] += 1000
    assert not resample_nearest(
        np.ones(SOURCE.shape, np.uint8), SOURCE, Grid(TARGET_SHAPE, away)
    ).any()
