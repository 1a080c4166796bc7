"""The volumes of a Series as signals are taken from them: as they are or moved."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bidsmask.errors import UsageError
from bidsmask.images.grid import Grid
from bidsmask.images.resample import resample_spline
from bidsmask.maskers.series import Series

Change = Callable[[NDArray[Any]], NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Prepared:
    """Volumes that `signals.extract` takes signals from.

    Attributes
    ----------
    series : Series
    grid : Grid
        Of the volumes after all changes.
    change : callable, optional
        Takes a volume (i, j, k) and gives another.
    slope, intercept : float
        1 and 0: the volumes of a Series are scaled.
    """

    series: Series
    grid: Grid
    change: Change | None = None
    slope: float = 1.0
    intercept: float = 0.0

    @property
    def n_volumes(self) -> int:
        """Number of volumes."""
        return self.series.n_volumes

    def scale(self, stored: NDArray[Any]) -> NDArray[Any]:
        """Return the numbers themselves."""
        return stored

    def stored_volumes(self) -> Iterator[NDArray[Any]]:
        """Yield each volume, (n_voxels,) in file order."""
        for volume in self.series.volumes():
            changed = volume if self.change is None else self.change(volume)
            yield changed.ravel(order="F")


def smoothing_widths(smoothing_fwhm: Any) -> tuple[float, ...] | None:
    """Return the widths (mm) of a Gaussian along i, j and k; None for no smoothing.

    Parameters
    ----------
    smoothing_fwhm : None, a number or three
        mm, as maskers take it; 0 is none, with a warning.

    Raises
    ------
    UsageError
        Something else.
    """
    if smoothing_fwhm is None:
        return None
    if isinstance(smoothing_fwhm, int | float) and smoothing_fwhm == 0:
        warnings.warn("smoothing_fwhm is 0: nothing is smoothed.", UserWarning, stacklevel=5)
        return None
    widths = np.atleast_1d(smoothing_fwhm)
    is_usable = widths.dtype.kind in "iuf" and widths.shape in ((1,), (3,))
    if not is_usable or not ((widths >= 0) & np.isfinite(widths)).all():
        raise UsageError(
            "smoothing_fwhm", f"is {smoothing_fwhm!r}", "Give a width in mm, or three of them."
        )
    return tuple(float(one) for one in np.broadcast_to(widths, (3,)))


def moved_to(series: Series, grid: Grid) -> Prepared:
    """Return the volumes on another grid, by cubic splines: nilearn's `resample_img`.

    The series is read twice: splines may overshoot, and what they give is held within the
    range of the whole series.
    """
    is_signed = series.dtype.kind == "i"
    kind = np.float64 if series.dtype == np.int64 else np.float32  # nilearn's types
    low, high = 0.0, 0.0
    for volume in series.volumes():
        finite = volume if volume.dtype.kind in "iu" else volume[np.isfinite(volume)]
        if finite.size:
            low, high = min(low, float(finite.min())), max(high, float(finite.max()))

    def move(volume: NDArray[Any]) -> NDArray[Any]:
        values = volume.astype(kind) if is_signed else volume
        return resample_spline(values, series.grid, grid, (low, high))

    return Prepared(series, grid, move)
