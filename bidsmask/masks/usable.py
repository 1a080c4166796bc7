"""What every strategy refuses: images in which no threshold could part a brain from the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bidsmask.errors import UnusableImage, UsageError
from bidsmask.images.grid import Grid


def refuse_unusable(mean: NDArray[Any], grid: Grid, where: str | Path) -> None:
    """Raise UnusableImage where no threshold could part a brain from its background."""
    refuse_no_image(mean, grid, where)
    finite = mean[np.isfinite(mean)]
    if finite.size == 0:
        raise UnusableImage(where, "holds no finite value")
    if finite.min() == finite.max():
        raise UnusableImage(where, f"is constant: {finite[0]:g} in every voxel")


def refuse_no_image(values: NDArray[Any], grid: Grid, where: str | Path) -> None:
    """Raise UnusableImage for what is not one real number for each voxel of a grid."""
    if np.iscomplexobj(values):
        raise UnusableImage(where, "is complex, but one real number per voxel is needed")
    if values.shape != grid.shape:
        raise UnusableImage(
            where, f"gives an array of shape {values.shape}, but 3D on {grid.shape} is needed"
        )


def refuse_opening(opening: int, what: str) -> None:
    """Raise UsageError for a negative number of openings, which scipy takes for endless ones."""
    if opening < 0:
        raise UsageError(what, f"cannot open {opening} times")
