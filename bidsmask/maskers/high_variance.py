"""Confounds of high variance from images, under nilearn's name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bidsmask.cleaning.high_variance import confounds_of_high_variance
from bidsmask.errors import GridMismatch
from bidsmask.images.grid import flat_indices
from bidsmask.maskers.apply import mask_voxels
from bidsmask.maskers.prepared import Prepared
from bidsmask.maskers.series import ImageLike, as_series, volume_of


def high_variance_confounds(
    imgs: ImageLike | Sequence[ImageLike],
    n_confounds: int = 5,
    percentile: float = 2.0,
    detrend: bool = True,
    mask_img: ImageLike | None = None,
) -> NDArray[np.float64]:
    """Return what the voxels of highest variance have in common: nilearn's function of that name.

    Parameters
    ----------
    imgs : path, nibabel image, or list of 3D ones
        A series.
    n_confounds : int
        How many are wanted.
    percentile : float
        So many percent of the voxels are taken, 0 to 100; those with a NaN never are.
    detrend : bool
        Take out each voxel's line over time first.
    mask_img : path or nibabel image, optional
        Look only inside it; by default at every voxel of the images. NaN and Inf inside count
        as 0.

    Returns
    -------
    (n_volumes, n_confounds) float64 array
        Orthonormal, the strongest first, of either sign.

    Raises
    ------
    UsageError
        Numbers that make no sense, or more confounds than volumes.
    GridMismatch
        A mask on another grid.
    DataError
        An image that cannot be read or used.
    """
    series = as_series(imgs)
    inside = None
    if mask_img is not None:
        mask, values = volume_of(mask_img)
        if not mask.grid.is_same(series.grid):
            raise GridMismatch(mask.where, series.grid.difference(mask.grid))
        voxels = np.argwhere(mask_voxels((mask, values)))
        inside = flat_indices(voxels, series.grid.shape)

    def volumes() -> Iterator[NDArray[Any]]:
        for volume in Prepared(series, series.grid).stored_volumes():
            if inside is None:
                yield volume
            else:
                part = volume.take(inside)
                yield np.where(np.isfinite(part), part, 0)

    return confounds_of_high_variance(volumes, series.n_volumes, n_confounds, percentile, detrend)
