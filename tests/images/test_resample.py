"""Nearest neighbours on another grid, held to a search of all voxels and to nilearn."""

from __future__ import annotations

import nibabel
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform
from nilearn.image import resample_img

from bidsmask.images.grid import Grid
from bidsmask.images.resample import resample_nearest
from tests.make_images import AFFINE

SHAPE = (6, 7, 5)
LABELS = np.random.default_rng(0).integers(1, 99, SHAPE).astype(np.int32)
SOURCE = Grid(SHAPE, AFFINE)


def plainly(voxels: npt.NDArray[np.int32], source: Grid, target: Grid) -> npt.NDArray[np.float64]:
    """Return the value at each target voxel, NaN where two source voxels are as near."""
    out = np.zeros(target.shape)
    inverse = np.linalg.inv(source.affine)
    for ijk in np.ndindex(*target.shape):
        where = nibabel.affines.apply_affine(inverse, target.to_mm(np.array([ijk])))[0]
        nearest = np.round(where)
        if np.any(np.abs(where - np.floor(where) - 0.5) < 1e-6):
            out[ijk] = np.nan
        elif np.all(nearest >= 0) and np.all(nearest < source.shape):
            out[ijk] = voxels[tuple(nearest.astype(int))]
    return out


def assert_alike(moved: npt.NDArray[np.int32], expected: npt.NDArray[np.float64]) -> None:
    is_clear = ~np.isnan(expected)
    np.testing.assert_array_equal(moved[is_clear], expected[is_clear])


@pytest.mark.parametrize("axes", ["RAS", "LAS", "PSL", "LSP", "SPR", "AIL", "IRP"])
def test_axes_in_another_order_lose_no_voxel(axes):
    turn = ornt_transform(io_orientation(AFFINE), axcodes2ornt(tuple(axes)))
    turned = nibabel.Nifti1Image(LABELS, AFFINE).as_reoriented(turn)
    moved = resample_nearest(LABELS, SOURCE, Grid(turned.shape, turned.affine))
    np.testing.assert_array_equal(moved, np.asarray(turned.dataobj))
    assert moved.dtype == LABELS.dtype


def test_nilearn_loses_planes_there():
    """The exception to parity with `resample_img`; gone when this fails."""
    turn = ornt_transform(io_orientation(AFFINE), axcodes2ornt(tuple("PSL")))
    turned = nibabel.Nifti1Image(LABELS, AFFINE).as_reoriented(turn)
    theirs = resample_img(
        nibabel.Nifti1Image(LABELS, AFFINE),
        turned.affine,
        turned.shape,
        interpolation="nearest",
        copy_header=True,
        force_resample=True,
    )
    assert np.count_nonzero(np.asarray(theirs.dataobj) != np.asarray(turned.dataobj)) > 0


def test_it_is_nilearns_within_the_grid():
    """Labels with a background around them, as atlases have, on a finer and shifted grid."""
    labels = np.zeros((10, 11, 9), np.int32)
    labels[2:-2, 2:-2, 2:-2] = LABELS
    source = Grid(labels.shape, AFFINE)
    affine = AFFINE @ np.diag([0.63, 0.71, 0.57, 1])
    affine[:3, 3] += [1.3, 0.4, 0.9]
    target = Grid((15, 15, 15), affine)
    theirs = resample_img(
        nibabel.Nifti1Image(labels, AFFINE),
        affine,
        target.shape,
        interpolation="nearest",
        copy_header=True,
        force_resample=True,
    )
    np.testing.assert_array_equal(
        resample_nearest(labels, source, target), np.asarray(theirs.dataobj)
    )


angles = st.floats(-3.2, 3.2)
sizes = st.floats(0.4, 3.0)


@settings(max_examples=60, deadline=None)
@given(angles, angles, st.tuples(sizes, sizes, sizes), st.tuples(*[st.floats(-9, 9)] * 3))
def test_every_grid_gets_the_nearest_voxel(about_x, about_z, scale, shift):
    a, b = np.cos(about_x), np.sin(about_x)
    c, d = np.cos(about_z), np.sin(about_z)
    affine = AFFINE.copy()
    turn = np.array([[1, 0, 0], [0, a, -b], [0, b, a]]) @ [[c, -d, 0], [d, c, 0], [0, 0, 1]]
    affine[:3, :3] = AFFINE[:3, :3] @ turn @ np.diag(scale)
    affine[:3, 3] += shift
    target = Grid((4, 5, 6), affine)
    assert_alike(resample_nearest(LABELS, SOURCE, target), plainly(LABELS, SOURCE, target))
