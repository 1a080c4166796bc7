"""A Mask: voxels of a Grid, with the strategy and arguments that made it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bidsmask.errors import GridMismatch, UnusableMask
from bidsmask.images.grid import Box, Grid, box_around


@dataclass(frozen=True, eq=False)
class Mask:
    """Which voxels of a Grid belong to the brain, or to whatever is looked at.

    Attributes
    ----------
    voxels : (i, j, k) bool array, read-only
        A copy of what was given.
    grid : Grid
        Of the image that the mask is for.
    strategy : str
        A name of `bidsmask.masks.strategies.STRATEGIES`.
    arguments : mapping
        The strategy's arguments by name.
    source : Path or None
        The file it came from, or was computed from.
    confidence : float or None
        0 to 1; None where the strategy cannot tell how sure it is.
    doubts : tuple of str
        Sentences on why it may be wrong; none where nothing speaks against it.

    Raises
    ------
    UnusableMask
        Without a single voxel.
    GridMismatch
        When the shape of `voxels` is not the grid's.
    """

    voxels: NDArray[np.bool_]
    grid: Grid
    strategy: str
    arguments: Mapping[str, object] = field(default_factory=dict)
    source: Path | None = None
    confidence: float | None = None
    doubts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        where = self.source or f"mask {self.strategy}"
        voxels = np.array(self.voxels, dtype=bool, order="C")
        if voxels.shape != self.grid.shape:
            raise GridMismatch(where, f"has shape {voxels.shape}, not {self.grid.shape}")
        if not voxels.any():
            raise UnusableMask(where, "is an empty mask", "Choose another strategy or arguments.")
        voxels.setflags(write=False)
        object.__setattr__(self, "voxels", voxels)
        object.__setattr__(self, "arguments", dict(self.arguments))

    @cached_property
    def n_voxels(self) -> int:
        """Number of voxels inside."""
        return int(np.count_nonzero(self.voxels))

    @property
    def volume_ml(self) -> float:
        """Volume inside, in ml."""
        return self.n_voxels * self.grid.voxel_volume_mm3 / 1000

    @cached_property
    def box(self) -> Box:
        """The smallest box around all voxels."""
        return box_around(self.ijk)

    @cached_property
    def ijk(self) -> NDArray[np.intp]:
        """Indices of the voxels inside, (n_voxels, 3), in C order (i slowest)."""
        return np.argwhere(self.voxels)
