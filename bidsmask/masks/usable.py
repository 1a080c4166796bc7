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
    if np.iscomplexobj(mean):
        raise UnusableImage(where, "is complex, but one real number per voxel is needed")
    if mean.shape != grid.shape:
        raise UnusableImage(
            where, f"gives an array of shape {mean.shape}, but 3D on {grid.shape} is needed"
        )
    finite = mean[np.isfinite(mean)]
    if finite.size == 0:
        raise UnusableImage(where, "holds no finite value")
    if finite.min() == finite.max():
        raise UnusableImage(where, f"is constant: {finite[0]:g} in every voxel")


def refuse_opening(opening: int, what: str) -> None:
    """Raise UsageError for a negative number of openings, which scipy takes for endless ones."""
    if opening < 0:
        raise UsageError(what, f"cannot open {opening} times")
