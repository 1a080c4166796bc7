"""Masks from files: two values on the right grid, or a refusal by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from nilearn.masking import load_mask_img
from numpy.typing import NDArray

from bidsmask.errors import DamagedFile, GridMismatch, UnusableImage, UnusableMask
from bidsmask.images.grid import Grid
from bidsmask.masks.given import load_mask
from tests.make_images import AFFINE, SHARED, write_image

GRID = Grid((4, 5, 6), AFFINE)
INSIDE = np.random.default_rng(0).random(GRID.shape) > 0.6


def stored(dtype: str = "uint8", value: float = 1) -> NDArray[Any]:
    return (INSIDE * value).astype(dtype)


@pytest.mark.parametrize(
    ("dtype", "value"),
    [("uint8", 1), ("uint8", 255), ("int16", -1), ("float32", 0.25), ("float64", 1), (">i4", 7)],
)
@pytest.mark.parametrize("strategy", ["derivative", "file"])
def test_two_values_are_a_mask(tmp_path: Path, dtype: str, value: float, strategy: str) -> None:
    path = write_image(tmp_path / "mask.nii.gz", stored(dtype, value))
    mask = load_mask(path, GRID, strategy)
    np.testing.assert_array_equal(mask.voxels, INSIDE)
    assert (mask.strategy, mask.source) == (strategy, path)


def test_a_slope_that_does_not_give_1_exactly_is_tolerated(tmp_path: Path) -> None:
    path = write_image(tmp_path / "m.nii.gz", stored(value=255), slope=np.float32(1 / 255))
    np.testing.assert_array_equal(load_mask(path, GRID, "file").voxels, INSIDE)


def test_an_intercept_that_does_not_give_0_exactly_is_tolerated(tmp_path: Path) -> None:
    path = write_image(
        tmp_path / "m.nii.gz", stored("int16", 32767), slope=1 / 32767, intercept=1e-7
    )
    np.testing.assert_array_equal(load_mask(path, GRID, "file").voxels, INSIDE)


def test_nan_counts_as_outside(tmp_path: Path) -> None:
    values = np.where(INSIDE, 1, np.nan).astype(np.float32)
    path = write_image(tmp_path / "m.nii.gz", values)
    np.testing.assert_array_equal(load_mask(path, GRID, "file").voxels, INSIDE)


def test_a_mask_of_the_whole_field_of_view_is_one(tmp_path: Path) -> None:
    path = write_image(tmp_path / "m.nii.gz", np.full(GRID.shape, 3, np.uint8))
    assert load_mask(path, GRID, "file").n_voxels == 120


def test_a_series_of_one_volume_is_a_mask(tmp_path: Path) -> None:
    path = write_image(tmp_path / "m.nii.gz", stored()[..., None])
    np.testing.assert_array_equal(load_mask(path, GRID, "file").voxels, INSIDE)


@pytest.mark.parametrize("other", [0.5, 2, -1, 0.99, 0.01, np.inf])
def test_a_third_value_is_refused_and_named(tmp_path: Path, other: float) -> None:
    values = stored("float32")
    values[0, 0, 0] = other
    path = write_image(tmp_path / "m.nii.gz", values)
    with pytest.raises(UnusableMask, match="is not a mask"):
        load_mask(path, GRID, "file")


@pytest.mark.parametrize("value", [0, np.nan])
def test_an_empty_mask_is_refused(tmp_path: Path, value: float) -> None:
    path = write_image(tmp_path / "m.nii.gz", np.full(GRID.shape, value, np.float32))
    with pytest.raises(UnusableMask, match=r"m\.nii\.gz is an empty mask"):
        load_mask(path, GRID, "file")


def test_another_shape_is_refused(tmp_path: Path) -> None:
    path = write_image(tmp_path / "m.nii.gz", np.ones((4, 5, 7), np.uint8))
    with pytest.raises(GridMismatch, match=r"has shape \(4, 5, 7\), but shape \(4, 5, 6\)"):
        load_mask(path, GRID, "file")


def test_another_place_is_refused(tmp_path: Path) -> None:
    moved = AFFINE.copy()
    moved[0, 3] += 2
    path = write_image(tmp_path / "m.nii.gz", stored(), affine=moved)
    with pytest.raises(GridMismatch, match="differs by up to 2"):
        load_mask(path, GRID, "file")


def test_a_series_is_refused(tmp_path: Path) -> None:
    path = write_image(tmp_path / "m.nii.gz", np.ones((*GRID.shape, 2), np.uint8))
    with pytest.raises(UnusableImage, match="has 2 volumes"):
        load_mask(path, GRID, "file")


def test_a_damaged_mask_is_refused(tmp_path: Path) -> None:
    path = write_image(tmp_path / "m.nii.gz", stored())
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(DamagedFile):
        load_mask(path, GRID, "file")


REAL_MASKS = sorted(SHARED.rglob("*brain_mask.nii.gz"))


@pytest.mark.skipif(not REAL_MASKS, reason="the shared data are not here")
@pytest.mark.parametrize("path", REAL_MASKS, ids=lambda path: path.name)
def test_real_masks_are_read_as_nilearn_reads_them(path: Path) -> None:
    image = nib.load(path)
    mask = load_mask(path, Grid(image.shape[:3], image.affine), "derivative")
    theirs, _ = load_mask_img(image)
    np.testing.assert_array_equal(mask.voxels, theirs)
