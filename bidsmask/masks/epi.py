"""The mask of an EPI image by Nichols' heuristic, voxel for voxel nilearn's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from bidsmask.errors import UnusableImage, UsageError
from bidsmask.images.grid import FloatArray, Grid
from bidsmask.images.morphology import open_and_connect
from bidsmask.images.smooth import SIGMA_PER_FWHM
from bidsmask.masks.usable import refuse_opening, refuse_unusable


def epi_mask(
    mean: NDArray[Any],
    grid: Grid,
    *,
    lower_cutoff: float = 0.2,
    upper_cutoff: float = 0.85,
    connected: bool = True,
    opening: int = 2,
    exclude_zeros: bool = False,
    ensure_finite: bool = True,
    keep_edges: bool = False,
    where: str | Path = "the image",
) -> NDArray[np.bool_]:
    """Return the voxels at or above the widest gap between sorted values.

    The numbers of nilearn's `compute_epi_mask` (Nichols' heuristic for the threshold).

    Parameters
    ----------
    mean : (i, j, k) array, real
        Mean over volumes, or a 3D image. Not changed.
    grid : Grid
        Of the image.
    lower_cutoff, upper_cutoff : float
        Shares of the sorted voxels between which the gap is looked for.
    connected : bool
        Keep only the largest component.
    opening : int
        Erosions before, and twice as many dilations after; with any, the image is smoothed
        by a FWHM of one voxel first.
    exclude_zeros : bool
        Leave values that are exactly 0 after the smoothing out of the sorted ones.
    ensure_finite : bool
        NaN and Inf count as 0.
    keep_edges : bool
        Keep the openings from eating a brain that touches the field of view; not in nilearn.
    where : str or Path
        What messages are about.

    Returns
    -------
    (i, j, k) bool array
        Empty when the openings leave nothing.

    Raises
    ------
    UnusableImage
        Not 3D on the grid, complex, constant, or without a finite value.
    UsageError
        Cut-offs out of order, a negative opening.
    """
    check_epi_arguments(
        {"lower_cutoff": lower_cutoff, "upper_cutoff": upper_cutoff, "opening": opening}
    )
    refuse_unusable(mean, grid, where)
    values = _smooth(mean) if opening else _as_float(mean).copy()
    if ensure_finite:
        values[~np.isfinite(values)] = 0
    threshold = _widest_gap(values, lower_cutoff, upper_cutoff, exclude_zeros, where)
    return open_and_connect(
        values >= threshold, opening=opening, connected=connected, keep_edges=keep_edges
    )


def check_epi_arguments(arguments: Mapping[str, Any]) -> None:
    """Raise UsageError where arguments of `epi_mask` make no sense together."""
    lower, upper = arguments["lower_cutoff"], arguments["upper_cutoff"]
    if not 0 <= lower < upper <= 1:
        raise UsageError(
            "epi mask",
            f"cannot look for a threshold between lower_cutoff {lower} and upper_cutoff {upper}",
            "Give 0 <= lower_cutoff < upper_cutoff <= 1.",
        )
    refuse_opening(arguments["opening"], "epi mask")


def _as_float(values: NDArray[Any]) -> FloatArray:
    """Return float32 and float64 as they are, integers as float64."""
    return values if values.dtype.kind == "f" else values.astype(np.float64)


def _smooth(mean: NDArray[Any]) -> FloatArray:
    """Smooth as `compute_mean(smooth=1)`: small integers in float32, NaN stay NaN, Inf become 0."""
    if mean.dtype.kind == "f" or mean.dtype in (np.int64, np.uint64):
        values: FloatArray = _as_float(mean).copy()
    else:
        values = mean.astype(np.float32)
    is_nan = np.isnan(values)
    values[~np.isfinite(values)] = 0
    # nilearn smooths by a FWHM of one voxel whatever its size in mm.
    for axis in range(3):
        gaussian_filter1d(values, SIGMA_PER_FWHM, axis=axis, output=values)
    values[is_nan] = np.nan
    return values


def _widest_gap(
    values: FloatArray,
    lower_cutoff: float,
    upper_cutoff: float,
    exclude_zeros: bool,
    where: str | Path,
) -> np.floating[Any]:
    """Return the middle of the first of the widest gaps between sorted values."""
    ordered = np.sort(values, axis=None)
    if exclude_zeros:
        ordered = ordered[ordered != 0]
    low = int(np.floor(lower_cutoff * len(ordered)))
    high = min(int(np.floor(upper_cutoff * len(ordered))), len(ordered) - 1)
    if high <= low:
        raise UnusableImage(where, f"has too few voxels ({len(ordered)}) to look for a threshold")
    with np.errstate(invalid="ignore"):  # Inf - Inf, where the caller wants it left in
        gap = low + int(np.argmax(np.diff(ordered[low : high + 1])))
    threshold: np.floating[Any] = 0.5 * (ordered[gap] + ordered[gap + 1])
    return threshold
