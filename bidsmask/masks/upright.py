"""A mask and its image on one upright lattice: x to the right, y to the front, z up.

Whatever the voxels of the image, what is judged by anatomy is judged here, at 3 mm.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

from bidsmask.images.grid import Box, Grid
from bidsmask.masks.head import Float32Array, Head, box_with_margin, cut_grid
from bidsmask.masks.mask import Mask

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]

_STEP_MM = 3.0
_AROUND_MM = 80.0  # of the mask; as far as a mask that is upside down is looked for
_LONGEST = 200  # points along an axis, so that no header fills the memory


@dataclass(frozen=True, eq=False)
class Upright:
    """A mask and its image on a lattice along the scanner's axes.

    Attributes
    ----------
    inside : (x, y, z) bool array
        The mask.
    image : (x, y, z) float32 array
        From 0 to 1, without negatives and NaN.
    seen : (x, y, z) bool array
        What lies in the field of view.
    step_mm : float
        From one point to the next.
    axes : (3, 3) float64 array
        A row for each of x, y and z: the axis of the image's voxels that is nearest to it.
    middle_mm : (3,) float64 array
        Of the whole field of view, from the lattice's corner.
    """

    inside: BoolArray
    image: Float32Array
    seen: BoolArray
    step_mm: float
    axes: FloatArray
    middle_mm: FloatArray

    @classmethod
    def of(cls, mask: Mask, values: NDArray[Any]) -> Upright:
        """Resample a mask and its image.

        Parameters
        ----------
        mask : Mask
        values : (i, j, k) array, real
            On the mask's grid; NaN, Inf and negatives count as 0.
        """
        margins = np.ceil(_AROUND_MM / mask.grid.voxel_sizes_mm).astype(int)
        box = _wider(mask.box, margins, mask.grid.shape)
        grid = cut_grid(mask.grid, box)
        lattice, step_mm = _lattice(grid)
        inside = _moved(mask.voxels[box].astype(np.float32), grid, lattice, step_mm)
        image = _moved(Head.scaled(values[box], grid).values, grid, lattice, step_mm)
        seen = _seen(grid, lattice)
        middle = mask.grid.to_mm((np.array([mask.grid.shape]) - 1) / 2)[0]
        axes = _axes(mask.grid)
        return cls(
            (inside > 0.5) & seen, image, seen, step_mm, axes, middle - lattice.affine[:3, 3]
        )

    def surface(self) -> Surface:
        """Return the mask's surface: one point for each of its outermost lattice points."""
        box = box_with_margin(self.inside, 4)
        inside = np.pad(self.inside[box], 2)
        soft = ndimage.gaussian_filter(inside.astype(np.float32), 1.5)
        rim = inside & ~ndimage.binary_erosion(inside)
        normals = -np.stack([np.gradient(soft, axis=axis)[rim] for axis in range(3)], axis=1)
        lengths = np.linalg.norm(normals, axis=1, keepdims=True)
        normals = (normals / np.maximum(lengths, 1e-6)).astype(np.float64)
        start = np.array([part.start for part in box]) - 2
        points = np.argwhere(rim) + start + 0.5 * normals
        return Surface(points * self.step_mm, normals)


@dataclass(frozen=True, eq=False)
class Surface:
    """Points on a mask's surface.

    Attributes
    ----------
    points : (n, 3) float64 array
        mm from the lattice's corner.
    normals : (n, 3) float64 array
        Outwards, of length 1; 0 where a mask is too thin to have an outside.
    """

    points: FloatArray
    normals: FloatArray

    def moved(self, shift_mm: FloatArray) -> Surface:
        """Return the surface elsewhere."""
        return Surface(self.points + shift_mm, self.normals)

    def turned(self, turn: Rotation, about_mm: FloatArray, shift_mm: FloatArray) -> Surface:
        """Return the surface turned about a place, and then moved."""
        points = turn.apply(self.points - about_mm) + about_mm + shift_mm
        return Surface(points, turn.apply(self.normals))

    def mirrored(self, axis: FloatArray, about_mm: float) -> Surface:
        """Return the surface as a mirror shows it that stands across an axis."""
        points = self.points - 2 * np.outer(self.points @ axis - about_mm, axis)
        return Surface(points, self.normals - 2 * np.outer(self.normals @ axis, axis))


def _wider(box: Box, margins: NDArray[np.intp], shape: tuple[int, int, int]) -> Box:
    """Return a box with a margin of its own along each axis, as far as the array goes."""
    i, j, k = (
        slice(max(0, part.start - int(margin)), min(length, part.stop + int(margin)))
        for part, margin, length in zip(box, margins, shape, strict=True)
    )
    return i, j, k


def _lattice(grid: Grid) -> tuple[Grid, float]:
    """Return the upright lattice around a field of view, and its step in mm."""
    ends = [(-0.5, length - 0.5) for length in grid.shape]
    corners = grid.to_mm(np.array(list(product(*ends))))
    low, extents = corners.min(axis=0), np.ptp(corners, axis=0)
    step_mm = max(_STEP_MM, float(extents.max()) / _LONGEST)
    lengths = np.maximum(1, np.ceil(extents / step_mm)).astype(int)
    affine = np.diag([step_mm, step_mm, step_mm, 1.0])
    affine[:3, 3] = low + (extents - (lengths - 1) * step_mm) / 2
    x, y, z = (int(length) for length in lengths)
    return Grid((x, y, z), affine), step_mm


def _moved(values: Float32Array, grid: Grid, lattice: Grid, step_mm: float) -> Float32Array:
    """Return values on the lattice, smoothed where its points are farther apart than voxels."""
    sigmas = 0.4 * np.sqrt(np.maximum((step_mm / grid.voxel_sizes_mm) ** 2 - 1, 0))
    smooth = ndimage.gaussian_filter(values, sigmas, truncate=3, mode="nearest")
    to_ijk = np.linalg.inv(grid.affine) @ lattice.affine
    moved: Float32Array = ndimage.affine_transform(
        smooth, to_ijk, output_shape=lattice.shape, order=1, mode="nearest"
    )
    return moved


def _seen(grid: Grid, lattice: Grid) -> BoolArray:
    """Return which points of the lattice lie in the field of view."""
    to_ijk = np.linalg.inv(grid.affine) @ lattice.affine
    steps = np.ogrid[tuple(slice(length) for length in lattice.shape)]
    seen = np.ones(lattice.shape, bool)
    for row, length in zip(to_ijk[:3], grid.shape, strict=True):
        index = sum(part * along for part, along in zip(row[:3], steps, strict=True)) + row[3]
        seen &= (index >= -0.5) & (index <= length - 0.5)
    return seen


def _axes(grid: Grid) -> FloatArray:
    """Return the unit vectors of the voxels' axes that are nearest to x, y and z."""
    units = grid.affine[:3, :3] / grid.voxel_sizes_mm
    nearest = units[:, np.abs(units).argmax(axis=1)].T
    signs = np.where(np.diag(nearest) < 0, -1.0, 1.0)
    return np.asarray(nearest * signs[:, None], np.float64)
