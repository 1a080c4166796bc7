"""The connected parts of each label of an atlas."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bidsmask.errors import GridMismatch, UnusableImage, UsageError
from bidsmask.images.grid import Grid

EDGES_AND_CORNERS = np.ones((3, 3, 3), bool)


def connected_label_regions(
    labels: NDArray[np.integer[Any]],
    grid: Grid,
    *,
    min_size_mm3: float | None = None,
    connect_diag: bool = True,
    where: str | Path = "the image",
) -> tuple[NDArray[np.int32], NDArray[np.integer[Any]]]:
    """Give each connected part of each label a number of its own.

    The regions of nilearn's `connected_label_regions`.

    Parameters
    ----------
    labels : (i, j, k) integer array
        0 is background. Not changed.
    grid : Grid
        Of the labels.
    min_size_mm3 : float, optional
        Parts of this size or smaller are left out; None keeps all.
    connect_diag : bool
        Whether voxels that share an edge or a corner are connected (26 neighbours), or only
        those that share a face (6).
    where : str or Path
        What messages are about.

    Returns
    -------
    regions : (i, j, k) int32 array
        From 1, label by label (ascending), and in a label by the first voxel in C order.
    sources : (n_regions,) integer array
        The label that each region is a part of.

    Raises
    ------
    UnusableImage
        A negative label.
    UsageError
        A size that is negative or no number.
    GridMismatch
        Labels of another shape than the grid's.
    """
    if labels.shape != grid.shape:
        raise GridMismatch("the labels", f"have shape {labels.shape}, not {grid.shape}")
    if labels.size and labels.min() < 0:
        raise UnusableImage(where, f"holds the negative label {labels.min()}")
    if min_size_mm3 is not None and not (np.isfinite(min_size_mm3) and min_size_mm3 >= 0):
        raise UsageError("min_size", f"is {min_size_mm3}, but must be 0 or more")
    least = 0.0 if min_size_mm3 is None else min_size_mm3 / grid.voxel_volume_mm3
    structure = EDGES_AND_CORNERS if connect_diag else None
    is_label = labels != 0
    values, ranks = np.unique(labels[is_label], return_inverse=True)
    # Whole numbers from 1, since find_objects makes a list as long as the highest.
    ranked = np.zeros(grid.shape, np.int32)
    ranked[is_label] = ranks + 1
    regions = np.zeros(grid.shape, np.int32)
    sources: list[NDArray[np.integer[Any]]] = []
    n_regions = 0
    for rank, box in enumerate(ndimage.find_objects(ranked), start=1):
        parts, _ = ndimage.label(ranked[box] == rank, structure=structure)
        sizes = np.bincount(parts.reshape(-1))
        is_kept = sizes > least
        is_kept[0] = False
        numbers = np.where(is_kept, n_regions + np.cumsum(is_kept), 0)
        inside = parts > 0
        regions[box][inside] = numbers[parts[inside]]
        n_kept = int(np.count_nonzero(is_kept))
        sources.append(np.repeat(values[rank - 1], n_kept))
        n_regions += n_kept
    return regions, np.concatenate(sources) if sources else values
