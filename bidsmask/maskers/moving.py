"""Masks, labels and maps that lie on another grid than the images: moved, or refused."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bidsmask.errors import GridMismatch, UsageError
from bidsmask.images.grid import Grid
from bidsmask.images.resample import resample_nearest_within, resample_spline
from bidsmask.maskers.series import ImageLike, Series, as_series, volume_of


def one_of(name: str, value: Any, choices: Sequence[Any]) -> None:
    """Raise UsageError where a parameter is none of its choices."""
    if not any(value is one or (isinstance(one, str) and value == one) for one in choices):
        shown = ", ".join(map(repr, choices))
        raise UsageError(f"'{name}'", f"must be one of {shown}, but is {value!r}")


def finite(values: NDArray[Any], what: str) -> NDArray[Any]:
    """Return values with 0 for what is NaN or infinite, and a warning; else as they are."""
    if values.dtype.kind != "f" or np.isfinite(values).all():
        return values
    message = f"Non-finite values detected. In the {what} they count as 0."
    warnings.warn(message, UserWarning, stacklevel=4)
    return np.where(np.isfinite(values), values, values.dtype.type(0))


def image_on(mask_img: ImageLike | None, grid: Grid) -> Any:
    """Return a mask on a grid, by the nearest voxel; None where there is none."""
    if mask_img is None:
        return None
    series, values = volume_of(mask_img)
    if series.grid.is_same(grid):
        return mask_img
    return series.image_of(resample_nearest_within(values, series.grid, grid), grid)


def inside_of(mask_img: ImageLike | None, grid: Grid) -> NDArray[np.bool_]:
    """Return the voxels of a grid that a mask leaves, (i, j, k); all without one."""
    if mask_img is None:
        return np.ones(grid.shape, bool)
    return np.asarray(volume_of(image_on(mask_img, grid))[1] != 0)


def refuse_other_grids(grid: Grid, **others: Series | ImageLike | None) -> None:
    """Raise GridMismatch where something does not lie on a grid, and nothing may be moved."""
    for name, other in others.items():
        if other is None:
            continue
        series = other if isinstance(other, Series) else as_series(other)
        if not grid.is_same(series.grid):
            problem = f"{grid.difference(series.grid)}, and resampling_target is None"
            raise GridMismatch(name, problem, "Resample it, or give a resampling_target.")


def warn_of_moving(what: str) -> None:
    """Warn that something is moved again for each call of `transform`."""
    message = f"Resampling {what} at transform time: give `fit` images on the same grid to save it."
    warnings.warn(message, UserWarning, stacklevel=6)


def dtype_of_values(series: Series, *, is_smoothed: bool, is_moved: bool) -> np.dtype[Any]:
    """Return the type in which nilearn holds volumes when it takes signals from them."""
    # Unsigned numbers are moved as such.
    is_changed = is_smoothed or (is_moved and series.dtype.kind == "i")
    if series.dtype.kind == "f" or not is_changed:
        return series.dtype
    return np.dtype(np.float64 if series.dtype.itemsize == 8 else np.float32)


def background_on(
    background: NDArray[Any] | None, of: Series | None, grid: Grid
) -> NDArray[Any] | None:
    """Return the mean of images on a grid, for a picture; None where there is none."""
    if background is None or of is None or of.grid.is_same(grid):
        return background
    return resample_spline(background.astype(np.float32), of.grid, grid)
