"""Images moved to another grid."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from bidsmask.images.grid import Grid


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
