"""Confounds from the voxels that vary most (Behzadi et al. 2007, NeuroImage: tCompCor)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.linalg

from bidsmask.cleaning.reference import detrend as without_line
from bidsmask.errors import UsageError

FloatArray = npt.NDArray[np.float64]


def confounds_of_high_variance(
    volumes: Callable[[], Iterable[npt.NDArray[Any]]],
    n_volumes: int,
    n_confounds: int = 5,
    percentile: float = 2.0,
    detrend: bool = True,
) -> FloatArray:
    """Return what the series of highest variance have in common.

    nilearn's `high_variance_confounds`, with the voxels of two passes instead of all in memory.

    Parameters
    ----------
    volumes : callable
        Gives the volumes, (n_voxels,) each, from the first on, each time it is called.
    n_volumes : int
    n_confounds : int
        How many are wanted.
    percentile : float
        So many percent of the voxels are taken, 0 to 100; those with a NaN never are.
    detrend : bool
        Take out each voxel's line over time; else variance is the mean square.

    Returns
    -------
    (n_volumes, n_confounds) float64 array
        Left singular vectors of the series: orthonormal, the strongest first, of either sign.

    Raises
    ------
    UsageError
        Numbers that make no sense, or more confounds than volumes or voxels.
    """
    if n_confounds != int(n_confounds) or not 0 < n_confounds <= n_volumes:
        raise UsageError("n_confounds", f"is {n_confounds}, but there are {n_volumes} volumes")
    if not 0 <= percentile <= 100:
        raise UsageError("percentile", f"is {percentile}, but 0 to 100 is possible")
    variance = _mean_squares(volumes(), n_volumes, detrend=detrend)
    least = np.nanpercentile(variance, 100 - percentile) if np.isfinite(variance).any() else np.nan
    chosen = np.flatnonzero(variance > least)
    if not len(chosen):
        raise UsageError("percentile", f"{percentile:g} leaves no voxel", "Give a higher one.")
    series = np.array([volume[chosen] for volume in volumes()], np.float64)
    if detrend:
        series = without_line(series, np.ones(n_volumes, bool))
    first = n_volumes - int(n_confounds)
    _, vectors = scipy.linalg.eigh(series @ series.T, subset_by_index=(first, n_volumes - 1))
    return np.ascontiguousarray(vectors[:, ::-1])


def _mean_squares(
    volumes: Iterable[npt.NDArray[Any]], n_volumes: int, *, detrend: bool
) -> FloatArray:
    """Return each voxel's mean square, about its line over time if asked."""
    times = np.arange(n_volumes) - (n_volumes - 1) / 2
    first: FloatArray | None = None
    for time, volume in zip(times, volumes, strict=True):
        values = volume.astype(np.float64)
        if first is None:
            # Of what is left after it the sums lose no digits to a large mean.
            first = values.copy() if detrend else np.zeros_like(values)
            total, squares, along = (np.zeros_like(values) for _ in range(3))
        with np.errstate(invalid="ignore", over="ignore"):
            values -= first
            total += values
            squares += values**2
            along += time * values
    with np.errstate(invalid="ignore", over="ignore"):
        if detrend:
            squares -= total**2 / n_volumes
            squares -= along**2 / max(float(times @ times), 1.0)
        return np.asarray(squares / n_volumes)
