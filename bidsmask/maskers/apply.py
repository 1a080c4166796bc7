"""Values inside a mask, and back into an image: nilearn's `apply_mask` and `unmask`."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import DTypeLike, NDArray
from scipy.ndimage import gaussian_filter1d

from bidsmask.errors import GridMismatch, UnusableMask, UsageError, WrongType
from bidsmask.images.grid import FloatArray, Grid
from bidsmask.maskers.series import ImageLike, Series, as_series, volume_of
from bidsmask.masks.given import two_values


def apply_mask(
    imgs: ImageLike | Sequence[ImageLike],
    mask_img: ImageLike,
    dtype: DTypeLike = "f",
    smoothing_fwhm: float | None = None,
    ensure_finite: bool = True,
) -> NDArray[Any]:
    """Return the values inside a mask.

    Parameters
    ----------
    imgs : path, nibabel image, or list of those
        On the mask's grid.
    mask_img : path or nibabel image
        3D, of 0 and one other value.
    dtype : dtype
        Of the result; "f": the image's where it is a float type, else float32.
    smoothing_fwhm : float, optional
        Width of the Gaussian that each volume is smoothed with, mm; then NaN and Inf count
        as 0.
    ensure_finite : bool
        NaN and Inf count as 0.

    Returns
    -------
    (n_volumes, n_voxels) array; (n_voxels,) for a single 3D image
        Columns in C order of the mask (i slowest).

    Raises
    ------
    UsageError
        A width that is none.
    GridMismatch
        Another grid than the mask's.
    UnusableMask
        A mask that is empty or has three values.
    DataError
        An image that cannot be read or used.
    """
    if smoothing_fwhm is not None and not 0 <= smoothing_fwhm < np.inf:
        raise UsageError(f"smoothing_fwhm {smoothing_fwhm}", "is no width", "Give mm, or None.")
    mask, values = volume_of(mask_img)
    inside = mask_voxels((mask, values))
    series = as_series(imgs)
    if not mask.grid.is_same(series.grid):
        raise GridMismatch(
            series.where, mask.grid.difference(series.grid), "Resample one of the two."
        )
    is_float = series.dtype.kind == "f"
    kind = np.dtype((series.dtype if is_float else np.float32) if dtype == "f" else dtype)
    signals = np.empty((series.n_volumes, int(inside.sum())), kind)
    for row, volume in zip(signals, series.volumes(), strict=True):
        prepared = volume.astype(kind)
        if ensure_finite or smoothing_fwhm is not None:
            prepared[~np.isfinite(prepared)] = 0
        row[:] = _smooth(prepared, series.grid, smoothing_fwhm)[inside]
    return signals if series.is_series else signals[0]


def unmask(X: Any, mask_img: ImageLike, order: Literal["C", "F"] = "F") -> Any:
    """Return an image of values that stand inside a mask, with 0 outside.

    Parameters
    ----------
    X : (n_volumes, n_voxels) or (n_voxels,) array, or a list of such arrays
    mask_img : path or nibabel image
        3D, of 0 and one other value.
    order : {"C", "F"}
        Of the image's array in memory.

    Returns
    -------
    nibabel.Nifti1Image, or a list of them
        4D or 3D, in the type of `X`.

    Raises
    ------
    WrongType
        `X` has another number of axes, or of voxels than the mask.
    UnusableMask
        A mask that is empty or has three values.
    """
    if isinstance(X, list) and not np.isscalar(X[0] if X else 0):
        return [unmask(one, mask_img, order) for one in X]
    mask, values = volume_of(mask_img)
    inside = mask_voxels((mask, values))
    signals = np.asanyarray(X)
    n_voxels = int(inside.sum())
    if signals.ndim not in (1, 2) or signals.shape[-1] != n_voxels:
        raise WrongType(
            "X",
            f"has shape {signals.shape}, but the mask {n_voxels} voxels",
            "Give volumes x voxels.",
        )
    filled = np.zeros((*inside.shape, *signals.shape[:-1]), signals.dtype, order=order)
    filled[inside] = signals.T
    return mask.image_of(filled, mask.grid)


def mask_voxels(
    mask: tuple[Series, NDArray[Any]], *, allow_empty: bool = False
) -> NDArray[np.bool_]:
    """Return where the one value of a mask that was read stands; NaN and Inf count as 0.

    Raises
    ------
    UnusableMask
        An empty one, unless that is allowed, or one of three values.
    """
    series, values = mask
    finite = np.where(np.isfinite(values), values, 0)
    if allow_empty and not finite.any():
        return np.zeros(finite.shape, bool)
    return two_values(series.where, finite)


def nonzero_voxels(series: Series) -> NDArray[np.bool_]:
    """Return where no volume of a mask's image is 0, NaN or infinite, as nilearn's maskers do.

    Raises
    ------
    UnusableMask
        Nowhere.
    """
    inside = np.ones(series.grid.shape, bool)
    is_finite = True
    for volume in series.volumes():
        finite = np.isfinite(volume)
        is_finite &= bool(finite.all())
        inside &= finite & (volume != 0)
    if not is_finite:
        warnings.warn(
            "Non-finite values detected. They count as outside the mask.",
            UserWarning,
            stacklevel=5,
        )
    if not inside.any():
        where = series.where if isinstance(series.where, Path) else "The mask"
        raise UnusableMask(where, "is invalid as it is empty: it masks all data")
    return inside


def as_signals(X: Any, n_columns: int, bool_as: DTypeLike) -> NDArray[Any]:
    """Return what is to be taken back to images, (n_volumes, n_columns) or (n_columns,).

    Parameters
    ----------
    X : array or table
        A table of one row is that of a 3D image, as in nilearn.
    n_columns : int
    bool_as : dtype
        What truth values become, with a warning.

    Raises
    ------
    UsageError
        Another number of axes or columns.
    """
    is_table = hasattr(X, "to_numpy")
    signals = np.atleast_1d(X.to_numpy() if is_table else np.asarray(X))
    if is_table and len(signals) == 1:
        signals = signals.ravel()
    if signals.ndim > 2 or signals.shape[-1] != n_columns:
        raise UsageError(
            "Input to 'inverse_transform'",
            f"has wrong shape. It is {signals.shape}, but {n_columns} columns are needed",
        )
    if signals.dtype == bool:
        kind = np.dtype(bool_as)
        warnings.warn(f"Casting boolean input to {kind}", UserWarning, stacklevel=3)
        signals = signals.astype(kind)
    return signals


def _smooth(values: FloatArray, grid: Grid, fwhm_mm: float | None) -> FloatArray:
    """Smooth a volume in its own memory and type, as nilearn's `smooth_array`."""
    if fwhm_mm is None:
        return values
    # nilearn's order of factors, for its last bit.
    for axis, width in enumerate(np.sqrt(8 * np.log(2)) * grid.voxel_sizes_mm):
        if fwhm_mm > 0:
            gaussian_filter1d(values, fwhm_mm / width, axis=axis, output=values)
    return values
