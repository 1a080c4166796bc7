"""A Head: the values of a 3D image on its Grid, scaled, and resampled where it is needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bidsmask.images.grid import Grid

Float32Array = NDArray[np.float32]
Matrix = NDArray[np.float64]

IDENTITY: Matrix = np.eye(4)
_BRIGHTEST_PERCENTILE = 99.5
_LARGER_BY = 1e-3  # of a voxel: below, a change of size is a rounding error


@dataclass(frozen=True, eq=False)
class Head:
    """An image of a head, or a map of one, on its Grid.

    Attributes
    ----------
    values : (i, j, k) float32 array
    grid : Grid
    """

    values: Float32Array
    grid: Grid

    @property
    def edge_mm(self) -> float:
        """Edge of a cube as large as a voxel."""
        return float(self.grid.voxel_volume_mm3 ** (1 / 3))

    @classmethod
    def scaled(cls, values: NDArray[Any], grid: Grid) -> Head:
        """Return the image from 0 to 1: negatives and NaN 0, the brightest .5 % of the rest 1."""
        positive = np.nan_to_num(np.asarray(values, np.float32), nan=0, posinf=0, neginf=0)
        np.maximum(positive, 0, out=positive)
        lit = positive[positive > 0]
        brightest = (
            np.float32(np.percentile(lit, _BRIGHTEST_PERCENTILE)) if lit.size else np.float32(1)
        )
        scaled = np.asarray(np.minimum(positive, brightest) / brightest, np.float32)
        return cls(scaled, grid)

    def on(self, grid: Grid, through: Matrix = IDENTITY, beyond: float = 0) -> Float32Array:
        """Return the values on another grid, linearly interpolated.

        Parameters
        ----------
        grid : Grid
            Where they are wanted.
        through : (4, 4) array
            From that grid's mm to this one's.
        beyond : float
            The value outside of this grid.
        """
        to_ijk = np.linalg.inv(self.grid.affine) @ through @ grid.affine
        moved: Float32Array = ndimage.affine_transform(
            self.values, to_ijk, output_shape=grid.shape, order=1, mode="constant", cval=beyond
        )
        return moved

    def at(self, voxel_mm: float) -> Head:
        """Return the head in isotropic voxels along its own axes, smoothed where they grow."""
        sizes = self.grid.voxel_sizes_mm
        sigmas = 0.4 * np.sqrt(np.maximum((voxel_mm / sizes) ** 2 - 1, 0))
        source = self
        if (sigmas > _LARGER_BY**0.5).any():
            source = Head(ndimage.gaussian_filter(self.values, sigmas), self.grid)
        target = isotropic_grid(self.grid, voxel_mm)
        to_ijk = np.linalg.inv(self.grid.affine) @ target.affine
        moved = ndimage.affine_transform(
            source.values, to_ijk, output_shape=target.shape, order=1, mode="nearest"
        )
        return Head(moved, target)

    def coarser(self, voxel_mm: float) -> Head:
        """Return the head in voxels of a size where its own are clearly finer, else itself."""
        return self.at(voxel_mm) if self.grid.voxel_sizes_mm.min() < 0.7 * voxel_mm else self

    def as_seen_in(self, voxel_mm: float) -> Head:
        """Return the head as an image with larger voxels shows it, on its own grid."""
        if voxel_mm <= self.grid.voxel_sizes_mm.max():
            return self
        return Head(self.at(voxel_mm).on(self.grid), self.grid)

    def cut(self, box: tuple[slice, slice, slice]) -> Head:
        """Return the part within a box of voxels."""
        return Head(self.values[box], cut_grid(self.grid, box))


def isotropic_grid(grid: Grid, voxel_mm: float) -> Grid:
    """Return the grid of isotropic voxels along the same axes about the same middle."""
    sizes = grid.voxel_sizes_mm
    lengths = np.maximum(1, np.round(np.array(grid.shape) * sizes / voxel_mm)).astype(int)
    steps = np.diag([*(voxel_mm / sizes), 1.0])
    steps[:3, 3] = ((np.array(grid.shape) - 1) - (lengths - 1) * voxel_mm / sizes) / 2
    i, j, k = (int(length) for length in lengths)
    return Grid((i, j, k), grid.affine @ steps)


def cut_grid(grid: Grid, box: tuple[slice, slice, slice]) -> Grid:
    """Return the grid of a box of voxels."""
    shift = np.eye(4)
    shift[:3, 3] = [part.start for part in box]
    i, j, k = (part.stop - part.start for part in box)
    return Grid((i, j, k), grid.affine @ shift)


def box_with_margin(inside: NDArray[np.bool_], margin: int) -> tuple[slice, slice, slice]:
    """Return the box around some voxels with a margin, as far as the array goes."""
    parts = []
    for axis, length in enumerate(inside.shape):
        others = tuple(other for other in range(3) if other != axis)
        used = np.flatnonzero(inside.any(axis=others))
        low, high = int(used[0]) - margin, int(used[-1]) + 1 + margin
        parts.append(slice(max(0, low), min(length, high)))
    i, j, k = parts
    return i, j, k
