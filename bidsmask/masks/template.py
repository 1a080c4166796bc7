"""Masks from a template's brain mask or tissue map, for images in the template's space."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bidsmask.errors import UnusableImage, UnusableMask
from bidsmask.images.grid import FloatArray, Grid
from bidsmask.images.image import open_image
from bidsmask.images.morphology import open_and_connect
from bidsmask.images.resample import resample_axes
from bidsmask.images.stream import read_volume
from bidsmask.masks.mask import Mask
from bidsmask.masks.usable import refuse_opening


def template_mask(
    template: FloatArray,
    template_grid: Grid,
    grid: Grid,
    *,
    threshold: float = 0.5,
    connected: bool = True,
    opening: int = 0,
) -> NDArray[np.bool_]:
    """Return where a template, moved to a grid by the affines alone, is at or above a threshold.

    The numbers of nilearn's `compute_brain_mask` (which opens twice unless told otherwise).

    Parameters
    ----------
    template : (i, j, k) float32 array, finite
        0 to 1. Not changed.
    template_grid, grid : Grid
        Of the template, and of the image that the mask is for: in one space.
    threshold : float
        Of the template's maximum.
    connected : bool
        Keep only the largest component.
    opening : int
        Erosions before, and twice as many dilations after. Two of them leave a third of the
        grey matter of MNI152.

    Returns
    -------
    (i, j, k) bool array
        May be empty.
    """
    refuse_opening(opening, "template mask")
    moved = resample_axes(template, template_grid, grid)
    return open_and_connect(moved >= threshold, opening=opening, connected=connected)


def check_template_arguments(arguments: Mapping[str, Any]) -> None:
    """Raise UsageError where arguments of `template_mask` make no sense."""
    refuse_opening(arguments["opening"], "template mask")


def read_template(path: Path) -> tuple[FloatArray, Grid]:
    """Return a template as shares of its maximum, float32, and its grid.

    Raises
    ------
    DamagedFile, UnusableImage
        As `open_image`, `read_volume` and `as_template`.
    """
    image = open_image(path)
    return as_template(read_volume(image), path), image.grid


def as_template(values: NDArray[Any], where: str | Path) -> FloatArray:
    """Return values as shares of their maximum, float32; NaN and Inf count as 0.

    Raises
    ------
    UnusableImage
        No value is above 0.
    """
    template: FloatArray = values.astype(np.float32)
    if values.dtype.kind == "f":
        template[~np.isfinite(template)] = 0
    highest = template.max()
    if highest <= 0:
        raise UnusableImage(where, "is no template: it has no value above 0")
    template /= highest
    return template


def load_template_mask(path: Path, grid: Grid, strategy: str, arguments: Mapping[str, Any]) -> Mask:
    """Return the mask on a grid that a template's file gives.

    Parameters
    ----------
    path : Path
        The brain mask or tissue map of a template.
    grid : Grid
        Of the image that the mask is for, in the template's space.
    strategy : str
        A name of the registry.
    arguments : mapping
        All of `template_mask`.

    Raises
    ------
    DamagedFile, UnusableImage
        As `read_template`.
    UnusableMask
        No voxel of the grid is inside.
    """
    template, template_grid = read_template(path)
    voxels = template_mask(template, template_grid, grid, **arguments)
    if not voxels.any():
        raise UnusableMask(
            path,
            f"has no voxel at {arguments['threshold']:g} or above in the field of view",
            "Is the image in the space of the template? Lower threshold and opening.",
        )
    return Mask(voxels, grid, strategy, arguments, path)
