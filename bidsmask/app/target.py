"""The grid that masks are made on, where that is not the one of their images."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bidsmask.app.options import Options
from bidsmask.errors import UnusableImage, UsageError
from bidsmask.images.grid import Grid
from bidsmask.images.resample import target_grid

# A head at .1 mm has more than 10^10 voxels, which nobody means.
MOST_VOXELS: Final = 10**9


def grid_of(grid: Grid, options: Options) -> Grid:
    """Return the grid of an image's mask: that of the image, unless another is asked for.

    Raises
    ------
    UsageError
        As `target_of`.
    UnusableImage
        It would lie beside the image, or have too many voxels.
    """
    found = target_grid(grid, *target_of(options))
    if found is not grid and found.n_voxels > MOST_VOXELS:
        problem = f"makes {found.n_voxels:,} voxels of an image of {grid.n_voxels:,}"
        raise UnusableImage("the grid of target_affine", problem, "It tells mm a voxel.")
    return found


def target_of(options: Options) -> tuple[NDArray[np.float64] | None, tuple[int, ...] | None]:
    """Return nilearn's `target_affine` and `target_shape`; None where nothing is asked for.

    Raises
    ------
    UsageError
        Other numbers than 9 or 16 that make an affine, other than three lengths, or lengths
        beside an affine that does not say where the grid begins.
    """
    numbers, lengths = options.target_affine, options.target_shape
    affine = None
    if numbers:
        if len(numbers) not in (9, 16):
            problem = f"has {len(numbers)} numbers"
            raise UsageError("--target-affine", problem, "Give 9, or 16, row by row.")
        affine = np.reshape(numbers, (-1, 3 if len(numbers) == 9 else 4))
        is_affine = len(affine) == 3 or bool((affine[3] == (0, 0, 0, 1)).all())
        if not (np.isfinite(affine).all() and is_affine and np.linalg.det(affine)):
            advice = "Its rows lead to x, y and z; the last of 16 numbers are 0 0 0 1."
            raise UsageError("--target-affine", "is no affine that has an inverse", advice)
    if lengths and (len(lengths) != 3 or min(lengths) < 1 or len(numbers) != 16):
        problem = "is no grid without an affine of 16 numbers, or other than three lengths"
        raise UsageError("--target-shape", problem, "Give both, or --target-affine alone.")
    return affine, lengths or None


def target_keys(options: Options) -> dict[str, Any]:
    """Return what is said of the grid that was asked for; nothing where none was."""
    told = {"TargetAffine": options.target_affine, "TargetShape": options.target_shape}
    return {key: list(value) for key, value in told.items() if value}
