"""Spheres around seeds: which voxels of a grid belong to each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bidsmask.errors import UsageError
from bidsmask.images.grid import Grid
from bidsmask.signals.regions import IntArray, Regions


@dataclass(frozen=True, eq=False)
class Spheres:
    """Seeds, and how far each reaches.

    Attributes
    ----------
    centres_mm : (n_spheres, 3) float64 array
        x, y and z.
    radii_mm : (n_spheres,) float64 array
        0 for the voxel nearest to the seed alone.

    Raises
    ------
    UsageError
        A coordinate is no number, or a radius is none or negative.
    """

    centres_mm: npt.NDArray[np.float64]
    radii_mm: npt.NDArray[np.float64]

    def __post_init__(self) -> None:
        usable = (np.isfinite(self.radii_mm) & (self.radii_mm >= 0)).tolist()
        for number, (centre, radius) in enumerate(zip(self.centres_mm, self.radii_mm, strict=True)):
            if not (usable[number] and np.isfinite(centre).all()):
                x, y, z = centre
                raise UsageError(
                    f"seed {number + 1}",
                    f"at {x:g}, {y:g}, {z:g} mm has a radius of {radius:g} mm",
                    "Coordinates are numbers, and a radius is 0 or more.",
                )

    def on(self, grid: Grid, inside: npt.NDArray[np.bool_]) -> tuple[Regions, IntArray]:
        """Return the voxels of each sphere, and how many it has on an endless grid.

        A voxel belongs to a sphere when the distance of its centre is not greater than the
        radius, or when it is the nearest to the seed: nilearn's `NiftiSpheresMasker`, less the
        voxel that it adds by truncated coordinates.

        Parameters
        ----------
        grid : Grid
        inside : (i, j, k) bool array
            Voxels that count. A sphere with none of them is a region without a voxel.

        Returns
        -------
        regions : Regions
            In the order of the seeds.
        wholes : (n_spheres,) int array
            Voxels of each sphere, in the field of view and the mask or not.
        """
        voxels, wholes = [], []
        for centre, radius in zip(self.centres_mm, self.radii_mm, strict=True):
            ijk = _lattice(grid, centre, float(radius))
            seen = ((ijk >= 0) & (ijk < grid.shape)).all(axis=1)
            ijk_seen = ijk[seen]
            voxels.append(ijk_seen[inside[tuple(ijk_seen.T)]])
            wholes.append(len(ijk))
        return Regions.of_voxels(voxels, grid.shape), np.array(wholes, np.intp)


def _lattice(grid: Grid, centre_mm: npt.NDArray[np.float64], radius_mm: float) -> IntArray:
    """Return the voxels of a sphere on the grid as if it had no end, (n, 3), in C order."""
    to_voxels = np.linalg.inv(grid.affine)
    middle = to_voxels[:3, :3] @ centre_mm + to_voxels[:3, 3]
    nearest = np.round(middle).astype(np.intp)
    reach = radius_mm * np.sqrt((to_voxels[:3, :3] ** 2).sum(axis=1))
    low = np.minimum(np.floor(middle - reach).astype(np.intp), nearest)
    high = np.maximum(np.ceil(middle + reach).astype(np.intp), nearest)
    box = np.argwhere(np.ones(high - low + 1, bool)) + low
    squares = ((grid.to_mm(box) - centre_mm) ** 2).sum(axis=1)
    found: IntArray = box[(squares <= radius_mm**2) | (box == nearest).all(axis=1)]
    return found
