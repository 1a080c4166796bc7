"""A Grid: the shape and affine of an image. Two images on one Grid can be added."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.floating[Any]]
Box = tuple[slice, slice, slice]  # along i, j and k, with whole-number bounds


@dataclass(frozen=True, eq=False)
class Grid:
    """Where the voxels of a 3D image, or of each volume of a 4D one, are.

    Attributes
    ----------
    shape : (int, int, int)
        Voxels along i, j and k.
    affine : (4, 4) float64 array, read-only
        From voxel indices to mm; a copy of what was given.
    """

    shape: tuple[int, int, int]
    affine: NDArray[np.float64]

    def __post_init__(self) -> None:
        affine = np.array(self.affine, dtype=np.float64)
        affine.setflags(write=False)
        object.__setattr__(self, "affine", affine)
        i, j, k = (int(length) for length in self.shape)
        object.__setattr__(self, "shape", (i, j, k))

    @property
    def n_voxels(self) -> int:
        """Number of voxels of one volume."""
        i, j, k = self.shape
        return i * j * k

    @property
    def voxel_sizes_mm(self) -> NDArray[np.float64]:
        """Lengths in mm of a voxel's edges along i, j and k, (3,)."""
        sizes: NDArray[np.float64] = np.sqrt(np.sum(self.affine[:3, :3] ** 2, axis=0))
        return sizes

    @property
    def voxel_volume_mm3(self) -> float:
        """Volume in mm³ of one voxel, oblique ones too."""
        return float(abs(np.linalg.det(self.affine[:3, :3])))

    def is_same(self, other: Grid) -> bool:
        """Return whether shapes are equal and affines to a thousandth of a mm.

        nilearn's `check_same_fov` (an offset of -90 mm may differ by 1e-4 mm, not by 1e-3),
        and the same near 0, where a qform's rounding must not count for more than at -90.
        """
        close = np.allclose(self.affine, other.affine, rtol=1e-5, atol=9e-5)
        return self.shape == other.shape and close

    def difference(self, other: Grid) -> str:
        """Return half a sentence, for a message, on how the other grid differs from this one."""
        if self.shape != other.shape:
            return f"has shape {other.shape}, but shape {self.shape} is needed"
        largest = np.max(np.abs(self.affine - other.affine))
        return f"has the right shape, but an affine that differs by up to {largest:.4g}"

    def to_mm(self, ijk: NDArray[Any]) -> NDArray[np.float64]:
        """Return the coordinates in mm of voxel indices.

        Parameters
        ----------
        ijk : (n, 3) array, integer or float
            Indices along i, j and k, 0-based; voxel centres are whole numbers.

        Returns
        -------
        (n, 3) float64 array
            x, y and z in mm.
        """
        matrix, offset = self.affine[:3, :3], self.affine[:3, 3]
        mm: NDArray[np.float64] = np.asarray(ijk, dtype=np.float64) @ matrix.T + offset
        return mm


def flat_indices(ijk: NDArray[np.intp], shape: tuple[int, ...]) -> NDArray[np.intp]:
    """Return where voxels are in a flat volume of a shape in file order (i fastest), (n,).

    `volume.take(flat_indices(np.argwhere(voxels), shape))` has the columns of nilearn's
    `apply_mask`: argwhere lists voxels in C order (i slowest).
    """
    i, j, k = ijk.T
    flat: NDArray[np.intp] = i + shape[0] * (j + shape[1] * k)
    return flat


def box_around(ijk: NDArray[np.intp]) -> Box:
    """Return the smallest box that holds all voxels, (n, 3) indices of one or more."""
    low, high = ijk.min(axis=0), ijk.max(axis=0) + 1
    i, j, k = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return i, j, k


def box_of(voxels: NDArray[np.bool_]) -> Box:
    """Return the smallest box that holds all voxels of a volume with one or more."""
    along = [np.flatnonzero(voxels.any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1))]
    i, j, k = (slice(int(places[0]), int(places[-1]) + 1) for places in along)
    return i, j, k
