"""Label images: what is read, what is refused, coverage."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform

from bidsmask.errors import DamagedFile, UnusableImage
from bidsmask.images.grid import Grid
from bidsmask.masks.mask import Mask
from bidsmask.signals.atlas import Atlas, read_atlas
from tests.make_images import AFFINE, SHARED, write_image

SHAPE = (6, 7, 5)
LABELS = np.random.default_rng(0).integers(0, 5, SHAPE).astype(np.int16) * 10


def atlas_of(labels: np.ndarray, affine: np.ndarray = AFFINE) -> Atlas:
    values = np.unique(labels[labels != 0])
    return Atlas(Path("atlas.nii.gz"), labels, Grid(labels.shape, affine), values)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "int64", "float32", "float64"])
def test_labels_are_whole_numbers_however_stored(tmp_path, dtype):
    atlas = read_atlas(write_image(tmp_path / "atlas.nii.gz", LABELS.astype(dtype)))
    np.testing.assert_array_equal(atlas.labels, LABELS)
    assert atlas.labels.dtype == atlas.values.dtype == np.int32
    assert list(atlas.values) == [10, 20, 30, 40]
    assert atlas.grid.is_same(Grid(SHAPE, AFFINE))


def test_a_slope_that_misses_whole_numbers_by_little_is_rounded(tmp_path):
    path = write_image(tmp_path / "atlas.nii.gz", LABELS, slope=1.0000000591)
    np.testing.assert_array_equal(read_atlas(path).labels, LABELS)


def test_nan_is_background(tmp_path):
    stored = np.where(LABELS == 20, np.nan, LABELS).astype(np.float32)
    assert list(read_atlas(write_image(tmp_path / "atlas.nii", stored)).values) == [10, 30, 40]


def test_negative_labels_are_regions(tmp_path):
    atlas = read_atlas(write_image(tmp_path / "atlas.nii", -LABELS))
    assert list(atlas.values) == [-40, -30, -20, -10]


def test_regions_that_are_not_there_have_no_coverage_and_other_labels_no_region():
    atlas = atlas_of(LABELS).of([20, 25, 40])
    assert list(atlas.values) == [20, 25, 40]
    assert set(np.unique(atlas.labels)) == {0, 20, 40}
    mask = Mask(np.ones(SHAPE, bool), atlas.grid, "file")
    np.testing.assert_array_equal(atlas.coverage(mask), [1, np.nan, 1])


def test_a_fourth_axis_of_one_volume_is_an_atlas_too(tmp_path):
    atlas = read_atlas(write_image(tmp_path / "atlas.nii.gz", LABELS[..., None]))
    np.testing.assert_array_equal(atlas.labels, LABELS)


@pytest.mark.parametrize(
    ("stored", "told"),
    [
        (LABELS + 0.5, "0.5"),
        (LABELS / 7, "which is no label"),
        (np.where(LABELS == 10, np.inf, LABELS), "no label"),
        (np.where(LABELS == 10, 2.0**40, LABELS), "1.09951e+12"),
        (LABELS * 0.0, "every voxel is 0"),
        (LABELS * np.nan, "every voxel is 0"),
    ],
)
def test_what_is_no_atlas_is_refused(tmp_path, stored, told):
    path = write_image(tmp_path / "atlas.nii.gz", stored.astype(np.float64))
    with pytest.raises(UnusableImage, match=told.replace("+", r"\+")):
        read_atlas(path)


def test_a_damaged_atlas_is_refused(tmp_path):
    path = write_image(tmp_path / "atlas.nii.gz", LABELS)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DamagedFile):
        read_atlas(path)


def test_on_its_own_grid_an_atlas_is_itself():
    atlas = atlas_of(LABELS)
    assert atlas.on(Grid(SHAPE, AFFINE.copy())) is atlas.labels


def test_on_a_finer_grid_each_voxel_becomes_eight():
    affine = AFFINE @ np.diag([0.5, 0.5, 0.5, 1])
    affine[:3, 3] = AFFINE[:3] @ [-0.25, -0.25, -0.25, 1]
    finer = atlas_of(LABELS).on(Grid((12, 14, 10), affine))
    np.testing.assert_array_equal(finer, np.kron(LABELS, np.ones((2, 2, 2), int)))


@settings(max_examples=30)
@given(st.integers(0, 1000), st.floats(0, 1))
def test_coverage_counts_the_voxels_inside(seed, share):
    voxels = np.random.default_rng(seed).random(SHAPE) < share
    voxels[0, 0, 0] = True
    atlas = atlas_of(LABELS)
    expected = [voxels[value == LABELS].mean() for value in atlas.values]
    coverage = atlas.coverage(Mask(voxels, Grid(SHAPE, AFFINE), "file"))
    np.testing.assert_allclose(coverage, expected)


def test_coverage_of_a_finer_atlas_is_that_of_the_voxels_it_lies_in():
    affine = AFFINE @ np.diag([0.5, 0.5, 0.5, 1])
    affine[:3, 3] = AFFINE[:3] @ [-0.25, -0.25, -0.25, 1]
    finer = atlas_of(np.kron(LABELS, np.ones((2, 2, 2), np.int16)), affine)
    voxels = np.random.default_rng(3).random(SHAPE) < 0.5
    mask = Mask(voxels, Grid(SHAPE, AFFINE), "file")
    np.testing.assert_allclose(finer.coverage(mask), atlas_of(LABELS).coverage(mask))


def test_what_lies_outside_the_field_of_view_is_not_covered():
    view = Grid((3, 7, 5), AFFINE)
    atlas = atlas_of(LABELS)
    coverage = atlas.coverage(Mask(np.ones(view.shape, bool), view, "file"))
    expected = [np.argwhere(value == LABELS)[:, 0] < 3 for value in atlas.values]
    np.testing.assert_allclose(coverage, [inside.mean() for inside in expected])


def test_coverage_is_one_in_a_mask_of_other_axes_that_holds_all():
    turn = axcodes2ornt(("P", "S", "L"))
    turned = nibabel.Nifti1Image(LABELS, AFFINE).as_reoriented(
        ornt_transform(io_orientation(AFFINE), turn)
    )
    grid = Grid(turned.shape, turned.affine)
    coverage = atlas_of(LABELS).coverage(Mask(np.ones(grid.shape, bool), grid, "file"))
    np.testing.assert_array_equal(coverage, 1)


@pytest.mark.skipif(not SHARED.exists(), reason="the shared atlases are not there")
def test_real_atlases_are_read():
    paths = sorted(SHARED.glob("atlases/**/*.nii.gz")) + sorted(
        SHARED.glob("templateflow/tpl-*/*_dseg.nii.gz")
    )
    read = 0
    for path in paths:
        if nibabel.load(path).ndim != 3:
            continue
        try:
            atlas = read_atlas(path)
        except UnusableImage:
            # Maps of probabilities are no labels.
            values = np.asarray(nibabel.load(path).dataobj)
            assert np.any(np.abs(values - np.round(values)) > 1e-3)
            continue
        expected = np.unique(np.round(np.nan_to_num(np.asarray(nibabel.load(path).dataobj))))
        np.testing.assert_array_equal(atlas.values, expected[expected != 0])
        read += 1
    assert read >= 10
