"""Images moved to another grid."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.linalg
from scipy import ndimage

from bidsmask.images.grid import FloatArray, Grid


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


def resample_spline(values: FloatArray, source: Grid, target: Grid) -> FloatArray:
    """Return values at the voxel centres of another grid, by cubic splines.

    The numbers of nilearn's `resample_img(interpolation="continuous")`.

    Parameters
    ----------
    values : (i, j, k) float32 or float64 array, finite
        On the source grid. Not changed.
    source, target : Grid
        Where the values are, and where they are wanted.

    Returns
    -------
    array of target's shape, dtype of `values`
        0 beyond the source's outermost voxel centres; nowhere beyond the range of the values
        and 0. The values themselves where both grids are the same.
    """
    if target.shape == source.shape and np.allclose(target.affine, source.affine):
        return values
    is_aligned = np.array_equal(target.affine, source.affine)
    to_source = np.eye(4) if is_aligned else scipy.linalg.inv(source.affine) @ target.affine
    matrix = to_source[:3, :3]
    is_diagonal = np.array_equal(np.diag(np.diag(matrix)), matrix)
    moved: FloatArray = ndimage.affine_transform(
        values,
        np.diag(matrix) if is_diagonal else matrix,  # scipy has a quicker way along axes
        offset=to_source[:3, 3],
        output_shape=target.shape,
        output=np.zeros(target.shape, values.dtype, order="F"),
        order=3,
        cval=0,
    )
    return np.clip(moved, min(values.min(), 0), max(values.max(), 0), out=moved)
