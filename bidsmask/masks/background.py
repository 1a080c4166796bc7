"""The mask of an image whose background is one value, voxel for voxel nilearn's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bidsmask.errors import UsageError
from bidsmask.images.grid import Grid
from bidsmask.images.morphology import open_and_connect
from bidsmask.masks.usable import refuse_opening, refuse_unusable


def background_mask(
    mean: NDArray[Any],
    grid: Grid,
    *,
    border_size: int = 2,
    connected: bool = False,
    opening: int = 0,
    ensure_finite: bool = True,
    where: str | Path = "the image",
) -> NDArray[np.bool_]:
    """Return the voxels that differ from the median of the image's border.

    The numbers of nilearn's `compute_background_mask`. With a background of noise, nearly
    every voxel differs from its median: this is for images whose background is one value.

    Parameters
    ----------
    mean : (i, j, k) array, real
        Mean over volumes, or a 3D image. Not changed.
    grid : Grid
        Of the image.
    border_size : int
        Voxels from each side that are the border. Where it holds a NaN, NaN is the background.
    connected : bool
        Keep only the largest component.
    opening : int
        Erosions before, and twice as many dilations after.
    ensure_finite : bool
        NaN and Inf are background wherever they are; in nilearn they are not.
    where : str or Path
        What messages are about.

    Returns
    -------
    (i, j, k) bool array
        May be empty.

    Raises
    ------
    UnusableImage
        Not 3D on the grid, complex, constant, or without a finite value.
    UsageError
        No border, a negative opening.
    """
    check_background_arguments({"border_size": border_size, "opening": opening})
    refuse_unusable(mean, grid, where)
    border = _border(mean, border_size)
    is_nan_background = np.isnan(border).any()
    inside: NDArray[np.bool_] = ~np.isnan(mean) if is_nan_background else mean != np.median(border)
    if ensure_finite:
        inside &= np.isfinite(mean)
    return open_and_connect(inside, opening=opening, connected=connected)


def check_background_arguments(arguments: Mapping[str, Any]) -> None:
    """Raise UsageError where arguments of `background_mask` make no sense."""
    if arguments["border_size"] < 1:
        raise UsageError(
            "background mask",
            f"cannot look at a border of {arguments['border_size']} voxels",
            "Give border_size=1 or more.",
        )
    refuse_opening(arguments["opening"], "background mask")


def _border(values: NDArray[Any], size: int) -> NDArray[Any]:
    """Return the values of the six sides; those of edges twice, of corners three times."""
    sides = [np.moveaxis(values, axis, 0) for axis in range(3)]
    slabs = [slab.ravel() for side in sides for slab in (side[:size], side[-size:])]
    return np.concatenate(slabs)
