"""Nearest neighbours on another grid, held to a search of all voxels and to nilearn."""

from __future__ import annotations

import nibabel
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform
from nilearn.image import resample_img

from bidsmask.images.grid import Grid
from bidsmask.images.resample import resample_axes, resample_nearest, resample_spline
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


def with_background(voxels: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """Return labels with a background around them, as atlases have."""
    return np.pad(voxels, 1)


@settings(max_examples=40)
@given(
    sizes=st.lists(st.floats(1.1, 5), min_size=3, max_size=3),
    angles=st.lists(st.floats(-0.5, 0.5), min_size=3, max_size=3),
    shift=st.lists(st.floats(-8, 8), min_size=3, max_size=3),
)
@example(sizes=[2.0, 2.0, 1.1], angles=[0.0, 0.0, 0.0], shift=[0.5, 0.5, 0.5])
def test_labels_with_a_background_around_them_come_out_as_nilearns(sizes, angles, shift):
    turn = nibabel.eulerangles.euler2mat(*angles) @ np.diag(sizes)
    affine = nibabel.affines.from_matvec(turn, AFFINE[:3, 3] + shift)
    labels, shape = with_background(LABELS), (10, 11, 7)
    theirs = resample_img(
        nibabel.Nifti1Image(labels, AFFINE),
        target_affine=affine,
        target_shape=shape,
        interpolation="nearest",
        copy_header=True,
        force_resample=True,
    )
    ours = resample_nearest(labels, Grid(labels.shape, AFFINE), Grid(shape, affine))
    places = np.moveaxis(np.indices(shape), 0, -1).reshape(-1, 3)
    to_source = np.linalg.inv(AFFINE) @ affine
    exact = nibabel.affines.apply_affine(to_source, places).reshape(*shape, 3)
    # Half-way between two voxels none is the nearest, and rounding decides.
    has_nearest = (np.abs(exact - np.floor(exact) - 0.5) > 1e-6).all(axis=-1)
    expected = np.asarray(theirs.dataobj)
    np.testing.assert_array_equal(ours[has_nearest], expected[has_nearest])


@pytest.mark.parametrize("dtype", ["int16", "float32", "uint8"])
def test_the_same_grid_changes_nothing(dtype):
    values = LABELS.astype(dtype)
    moved = resample_nearest(values, SOURCE, SOURCE)
    assert moved.dtype == dtype
    np.testing.assert_array_equal(moved, values)


def test_beyond_the_source_is_zero():
    away = AFFINE.copy()
    away[0, 3] += 1000
    assert not resample_nearest(LABELS, SOURCE, Grid((10, 11, 7), away)).any()


angles = st.floats(-3.2, 3.2)
sizes = st.floats(0.4, 3.0)


@settings(max_examples=60)
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


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("matrix", "offset"),
    [
        (np.diag([2, 3, 4]), (-10, -20, -30)),
        (np.diag([2, 3, 4]), (-10 + 1e-9, -20, -30)),
        (np.diag([2, 3, 4]), (-12, -20, -26)),
        (np.diag([1.5, 2.5, 2]), (-9, -19.5, -31)),
        (np.diag([-1.5, 2.5, 2]), (2, -19.5, -31)),
        (np.array([[0, 3, 0], [2, 0, 0], [0, 0.1, 4]]), (-10, -20, -30)),
    ],
    ids=str,
)
def test_splines_are_nilearns_to_the_last_bit(matrix, offset, dtype):
    values = np.random.default_rng(1).normal(50, 40, SHAPE).astype(dtype)
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = matrix, offset
    target = Grid((7, 6, 8) if offset != (-10 + 1e-9, -20, -30) else SHAPE, affine)
    before = values.copy()
    ours = resample_spline(values, SOURCE, target)
    image = nibabel.Nifti1Image(values, SOURCE.affine)
    theirs = resample_img(image, target_affine=affine, target_shape=target.shape)
    assert ours.dtype == dtype
    np.testing.assert_array_equal(ours, np.asarray(theirs.dataobj))
    np.testing.assert_array_equal(values, before)


def test_splines_are_zero_far_from_the_values():
    affine = AFFINE.copy()
    affine[0, 3] = 400
    assert not resample_spline(np.ones(SHAPE, np.float32), SOURCE, Grid(SHAPE, affine)).any()


@pytest.mark.parametrize("order", "CF")
@pytest.mark.parametrize("diagonal", [(2, 3, 4), (0.9, 1.4, 2.5), (-1.5, 2.5, 2)], ids=str)
@pytest.mark.parametrize("shift", [-7, -0.3, 0, 2, 400])
def test_along_axes_a_template_moves_as_by_splines_of_the_whole(order, diagonal, shift):
    values = np.zeros((21, 25, 23), np.float32, order=order)
    values[4:17, 6:20, 3:18] = np.random.default_rng(2).random((13, 14, 15))
    source = Grid(values.shape, AFFINE)
    affine = np.diag([*diagonal, 1.0])
    affine[:3, 3] = AFFINE[:3, 3] + shift + np.where(np.array(diagonal) < 0, 20, 0)
    target = Grid((20, 19, 18), affine)
    moved = resample_axes(values, source, target)
    expected = resample_spline(values, source, target)
    assert moved.dtype == np.float32
    assert expected.any() == (shift != 400)
    np.testing.assert_allclose(moved, expected, atol=1e-7)


def test_nothing_moves_to_nothing():
    target = Grid((4, 4, 4), np.diag([3.0, 3, 3, 1]))
    assert not resample_axes(np.zeros(SHAPE, np.float32), SOURCE, target).any()
