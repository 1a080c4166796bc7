"""The peaks of a smoothed map, which are the seeds of its regions."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bidsmask.images.grid import FloatArray, Grid
from bidsmask.images.smooth import SIGMA_PER_FWHM

# nilearn's `peak_local_max`: a peak is the highest within 10 voxels on each side along i, j and
# k, and above a tenth of the highest of all.
DISTANCE = 10
SHARE = 0.1


def find_seeds(values: NDArray[Any], grid: Grid, fwhm_mm: float) -> NDArray[np.int32]:
    """Return the peaks of a map after smoothing.

    The seeds of nilearn's `connected_regions`: neighbouring voxels (6) of one height are one
    peak.

    Parameters
    ----------
    values : (i, j, k) array, real and finite
        Not changed.
    grid : Grid
        Of the map.
    fwhm_mm : float
        Full width at half maximum of the smoothing in mm; 0 for none.

    Returns
    -------
    (i, j, k) int32 array
        Number of the peak from 1, in C order; 0 elsewhere. All 0 where no value is positive,
        or all are equal.
    """
    smooth = _smooth(values, grid, fwhm_mm)
    if (smooth == smooth.flat[0]).all():
        return np.zeros(values.shape, np.int32)
    around = ndimage.maximum_filter(smooth, size=2 * DISTANCE + 1, mode="constant")
    is_peak = (smooth == around) & (smooth > max(smooth.max() * SHARE, 0))
    peaks, _ = ndimage.label(is_peak)
    return peaks.astype(np.int32, copy=False)


def _smooth(values: NDArray[Any], grid: Grid, fwhm_mm: float) -> FloatArray:
    """Smooth in the type that nilearn takes: which of two equal peaks is higher is rounding."""
    if values.dtype.kind == "f":
        smooth: FloatArray = values.copy()
    else:
        is_long = values.dtype in (np.int64, np.uint64)
        smooth = values.astype(np.float64 if is_long else np.float32)
    for axis, sigma in enumerate(fwhm_mm * SIGMA_PER_FWHM / grid.voxel_sizes_mm):
        if sigma > 0:
            ndimage.gaussian_filter1d(smooth, sigma, axis=axis, output=smooth)
    return smooth
