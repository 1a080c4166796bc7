"""Images moved to another grid."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.linalg
from scipy import ndimage, sparse

from bidsmask.errors import UnusableImage, UsageError
from bidsmask.images.grid import Grid, box_of, flat_indices

# What a place may lie beyond a voxel's centre by rounding, in voxels.
ON_CENTRE = 1e-6


def resample_nearest(voxels: npt.NDArray[Any], source: Grid, target: Grid) -> npt.NDArray[Any]:
    """Return the value of the nearest voxel at each voxel of another grid.

    Parameters
    ----------
    voxels : (i, j, k) array
        On the source grid.
    source, target : Grid
        Where the voxels are, and where they are wanted.

    Returns
    -------
    array of target's shape, dtype of `voxels`
        0 where the centre of a target voxel lies in no source voxel. nilearn's
        `resample_img(interpolation="nearest")` ends half a voxel earlier, at the centres of
        the outermost voxels, and there a rounding error decides: on a grid with its axes in
        another order, whole planes come back empty.
    """
    to_source = np.linalg.inv(source.affine) @ target.affine
    moved: npt.NDArray[Any] = ndimage.affine_transform(
        voxels,
        to_source[:3, :3],
        offset=to_source[:3, 3],
        output_shape=target.shape,
        order=0,
        mode="grid-constant",
        cval=0,
    )
    return moved


def resample_nearest_within(
    voxels: npt.NDArray[Any], source: Grid, target: Grid
) -> npt.NDArray[Any]:
    """Return the value of the nearest voxel, 0 beyond the outermost voxel centres.

    The numbers of nilearn's `resample_img(interpolation="nearest")`, but for voxels that lie on
    an outermost centre and that a rounding error takes away there.
    """
    moved = resample_nearest(voxels, source, target)
    to_source = np.linalg.inv(source.affine) @ target.affine
    steps = np.ogrid[tuple(slice(0, length) for length in target.shape)]
    for row, length in zip(to_source[:3], source.shape, strict=True):
        places = sum(step * index for step, index in zip(row[:3], steps, strict=True)) + row[3]
        moved[(places < -ON_CENTRE) | (places > length - 1 + ON_CENTRE)] = 0
    return moved


def linear_weights(
    source: Grid, target: Grid, ijk: npt.NDArray[np.intp], *, within: bool = False
) -> sparse.csr_array:
    """Return the matrix that moves values linearly to some voxels of another grid.

    Parameters
    ----------
    source, target : Grid
        Where the values are, and where they are wanted.
    ijk : (n_voxels, 3) int array
        Voxels of the target.
    within : bool
        Cut values off at the outermost voxel centres of the source, as nilearn's
        `resample_img(interpolation="linear")`, but not what lies there but for rounding, by
        which it can lose a whole plane. Else they fall to 0 within a voxel beyond.

    Returns
    -------
    (n_voxels, source.n_voxels) sparse array
        Weights of the voxels of the source in file order (i fastest).
    """
    shape = (len(ijk), source.n_voxels)
    rows = np.arange(len(ijk))
    to_source = np.linalg.inv(source.affine) @ target.affine
    exact = ijk @ to_source[:3, :3].T + to_source[:3, 3]
    low = np.floor(exact)
    share = exact - low
    is_in = (exact > -ON_CENTRE) & (exact < np.array(source.shape) - 1 + ON_CENTRE)
    is_wanted = is_in.all(axis=1) if within else np.ones(len(ijk), bool)
    moving = sparse.csr_array(shape)
    for corner in product((0, 1), repeat=3):
        near = (low + corner).astype(np.intp)
        weights = np.where(corner, share, 1 - share).prod(axis=1)
        used = ((near >= 0) & (near < source.shape)).all(axis=1) & (weights > 0) & is_wanted
        places = flat_indices(near[used], source.shape)
        moving = moving + sparse.csr_array((weights[used], (rows[used], places)), shape)
    return moving


def target_grid(source: Grid, target_affine: Any, target_shape: Any) -> Grid:
    """Return the grid that nilearn's `resample_img` makes of its two arguments.

    Parameters
    ----------
    source : Grid
        Of the image that will be moved.
    target_affine : (3, 3) or (4, 4) array-like, or None
        Without an offset, the corner of what the image covers becomes the origin.
    target_shape : three lengths, or None
        Without it, all that lies beyond the origin, with a voxel more.

    Raises
    ------
    UsageError
        A shape without an offset, arrays of another shape, or an affine that has no inverse.
    UnusableImage
        The new grid would lie beside the image.
    """
    if target_affine is None and target_shape is None:
        return source
    wanted = np.asarray(np.zeros(0) if target_affine is None else target_affine, np.float64)
    if target_shape is not None and (len(target_shape) != 3 or wanted.shape != (4, 4)):
        raise UsageError("target_shape", "needs three lengths, and a target_affine of 4 x 4")
    if wanted.shape not in ((3, 3), (4, 4)) or np.linalg.det(wanted) == 0:
        raise UsageError("target_affine", "is no 3 x 3 or 4 x 4 matrix that has an inverse")
    affine = np.eye(4)
    affine[: len(wanted), : len(wanted)] = wanted
    corners = np.array([*product(*((0, length - 1) for length in source.shape))])
    to_target = np.linalg.inv(affine) @ source.affine
    places = corners @ to_target[:3, :3].T + to_target[:3, 3]
    low, high = places.min(axis=0), places.max(axis=0)
    if wanted.shape == (3, 3):
        affine[:3, 3] = affine[:3, :3] @ low
        high = high - low
    if (high < 0).any():
        raise UnusableImage("the grid of target_affine", "holds nothing of the image")
    i, j, k = np.ceil(high).astype(int) + 1 if target_shape is None else target_shape
    return Grid((i, j, k), affine)


def resample_mean(mean: npt.NDArray[Any], source: Grid, target: Grid) -> npt.NDArray[Any]:
    """Return a mean volume on another grid, in the types of nilearn's `resample_img`.

    Parameters
    ----------
    mean : (i, j, k) array, real
        On the source grid. Not changed.
    source, target : Grid
        The mean itself is returned where both are the same.

    Returns
    -------
    array of target's shape
        By `resample_spline`; integers become float32, those of 64 bits float64.
    """
    if _is_same(source, target):
        return mean
    if mean.dtype.kind == "i":
        kind = np.float64 if mean.dtype == np.int64 else np.float32
        return resample_spline(mean.astype(float), source, target).astype(kind)
    return resample_spline(mean, source, target)


def resample_spline(
    values: npt.NDArray[Any],
    source: Grid,
    target: Grid,
    limits: tuple[float, float] | None = None,
) -> npt.NDArray[Any]:
    """Return values at the voxel centres of another grid, by cubic splines.

    The numbers of nilearn's `resample_img(interpolation="continuous")`.

    Parameters
    ----------
    values : (i, j, k) array, float32, float64 or unsigned
        On the source grid. Not changed. What is not finite becomes NaN at the voxels that are
        nearest to it, and is filled from its neighbours for the splines of the others.
    source, target : Grid
        Where the values are, and where they are wanted.
    limits : two floats, optional
        Least and greatest value of the series that the volume is of; else of itself.

    Returns
    -------
    array of target's shape, dtype of `values`
        0 beyond the source's outermost voxel centres; nowhere beyond the limits and 0. Unsigned
        numbers are rounded. The values themselves where both grids are the same.
    """
    if _is_same(source, target):
        return values
    matrix, offset = _to_source(source, target)
    is_known = np.isfinite(values)
    moved: npt.NDArray[Any] = ndimage.affine_transform(
        values if is_known.all() else _extrapolate(values, is_known),
        matrix,
        offset=offset,
        output_shape=target.shape,
        output=np.zeros(target.shape, values.dtype, order="F"),
        order=3,
        cval=0,
    )
    if not is_known.all():
        lost = ndimage.affine_transform(
            ~is_known, matrix, offset=offset, output_shape=target.shape, order=0
        )
        moved[lost] = np.nan
    low, high = limits or (np.nanmin(values), np.nanmax(values))
    kind = values.dtype.type
    return np.clip(moved, kind(min(low, 0)), kind(max(high, 0)), out=moved)


def resample_axes(values: npt.NDArray[Any], source: Grid, target: Grid) -> npt.NDArray[Any]:
    """Return what `resample_spline` does, faster for an image that is 0 nearly everywhere.

    Along axes that both grids share, splines are one matrix for each axis, and what is 0 all
    around needs no product: a template at 2 mm takes a fifth of the time.

    Parameters
    ----------
    values : (i, j, k) array, float32, finite
        On the source grid. Not changed.
    source, target : Grid
        Where the values are, and where they are wanted.

    Returns
    -------
    array of target's shape, float32
        Computed in float64, in another order than there.
    """
    matrix, offset = _to_source(source, target)
    # The matrices of an oblique grid hold rounding errors off the diagonal.
    if _is_same(source, target) or matrix.ndim > 1 or not values.any():
        return resample_spline(values, source, target)
    box = box_of(values != 0)
    i, j, k = (
        _spline_weights(np.eye(source.shape[axis])[part], target.shape[axis], *step)
        for axis, (part, step) in enumerate(zip(box, zip(matrix, offset, strict=True), strict=True))
    )
    # Files have i fastest: as (k, j, i) no product has to copy.
    moved = np.tensordot(k, values[box].T.astype(np.float64), 1)
    moved = (j @ moved) @ i.T
    # nilearn's splines stay in the range of the values.
    return np.clip(moved, min(0, values.min()), max(0, values.max())).astype(values.dtype).T


def _spline_weights(
    units: npt.NDArray[np.float64], length: int, step: float, start: float
) -> npt.NDArray[np.float64]:
    """Return what scipy's cubic splines make of some voxels of a line, (length, n_units)."""
    moved = [
        ndimage.affine_transform(unit, [step], start, (length,), order=3, cval=0) for unit in units
    ]
    return np.stack(moved, axis=1)


def _is_same(source: Grid, target: Grid) -> bool:
    """Return whether nilearn takes two grids for one."""
    return target.shape == source.shape and np.allclose(target.affine, source.affine)


def _to_source(
    source: Grid, target: Grid
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the way from voxels of the target to voxels of the source: matrix and offset.

    Where both have the same axes, the matrix is its diagonal: scipy has a quicker way for it.
    """
    is_aligned = np.array_equal(target.affine, source.affine)
    to_source = np.eye(4) if is_aligned else scipy.linalg.inv(source.affine) @ target.affine
    matrix, offset = to_source[:3, :3], to_source[:3, 3]
    is_diagonal = np.array_equal(np.diag(np.diag(matrix)), matrix)
    return (np.diag(matrix) if is_diagonal else matrix), offset


def _extrapolate(
    values: npt.NDArray[Any], is_known: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float64]:
    """Return values with two layers of mean neighbours around the known ones, 0 further out."""
    filled = np.where(is_known, values, 0).astype(np.float64)
    for _ in range(2):
        grown = ndimage.binary_dilation(is_known)
        shell = grown & ~is_known
        around = np.pad(np.where(is_known, filled, np.nan), 1, constant_values=np.nan)
        neighbours = [
            np.roll(around, -step, axis)[1:-1, 1:-1, 1:-1][shell]
            for axis in range(3)
            for step in (1, -1)
        ]
        n_known = np.sum(np.isfinite(neighbours), axis=0)
        filled[shell] = np.nansum(neighbours, axis=0) / n_known
        is_known = grown
    return filled
