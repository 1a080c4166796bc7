"""Masks that are given as a file: fMRIPrep's own, or the user's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bidsmask.errors import GridMismatch, UnusableMask
from bidsmask.images.grid import Grid
from bidsmask.images.image import open_image
from bidsmask.images.resample import resample_nearest
from bidsmask.images.stream import read_volume
from bidsmask.masks.mask import Mask

# A mask of 0 and 1 that went through a scaling slope comes back as 1.0000000591 in
# TemplateFlow's files, and as 0.9999 to 1.0001 from int16 at worst.
VALUE_TOLERANCE = 1e-4


def load_mask(path: str | Path, grid: Grid, strategy: str) -> Mask:
    """Return the mask that a file holds.

    Parameters
    ----------
    path : str or Path
        A 3D NIfTI file of two values, one of them 0; NaN counts as 0.
    grid : Grid
        That the mask must be on; nothing is resampled.
    strategy : {"derivative", "file"}
        Where the file came from: found beside the run, or named by the user.

    Returns
    -------
    Mask
        With the file as its source.

    Raises
    ------
    DamagedFile, UnusableImage
        As `open_image` and `read_volume`.
    GridMismatch
        Another shape or affine.
    UnusableMask
        No voxel inside, or more than one value beside 0.
    """
    image = open_image(path)
    if not grid.is_same(image.grid):
        raise GridMismatch(
            image.path, grid.difference(image.grid), "Give a mask on the grid of the image."
        )
    voxels = two_values(image.path, read_volume(image))
    return Mask(voxels, grid, strategy, {}, image.path)


def moved(mask: Mask, grid: Grid) -> Mask:
    """Return a mask on another grid: at each voxel what the nearest one of its own holds.

    Raises
    ------
    UnusableMask
        Nothing of it lies on that grid.
    """
    if grid.is_same(mask.grid):
        return mask
    return replace(mask, voxels=resample_nearest(mask.voxels, mask.grid, grid), grid=grid)


def two_values(where: str | Path, values: NDArray[Any]) -> NDArray[np.bool_]:
    """Return where the one value that is not 0 stands, within the tolerance.

    Raises
    ------
    UnusableMask
        There is none, or more than one.
    """
    # As nearly all masks are: an eighth of the time.
    ones: NDArray[np.bool_] = values == 1
    if ones.any() and not values[~ones].any():
        return ones
    values = np.where(np.isnan(values), 0, values)
    extreme = values.flat[np.argmax(np.abs(values))]
    if extreme == 0:
        raise UnusableMask(where, "is an empty mask")
    inside: NDArray[np.bool_]
    with np.errstate(invalid="ignore", over="ignore"):
        share = values / float(extreme)
        inside = np.abs(share - 1) <= VALUE_TOLERANCE
        other = ~inside & ~(np.abs(share) <= VALUE_TOLERANCE)
    if other.any():
        raise UnusableMask(
            where,
            f"is not a mask: it holds {extreme:g}, 0 and other values such as {values[other][0]:g}",
            "Give an image of 0 and 1; a probability map must be thresholded first.",
        )
    return inside
