"""An atlas: an image of labels, and the names of its regions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bidsmask.errors import UnusableImage
from bidsmask.images.grid import Grid
from bidsmask.images.image import open_image
from bidsmask.images.labels import whole_numbers
from bidsmask.images.resample import resample_nearest
from bidsmask.images.stream import read_volume
from bidsmask.masks.mask import Mask


@dataclass(frozen=True, eq=False)
class Atlas:
    """Labels on a grid of their own.

    Attributes
    ----------
    path : Path
        The image.
    labels : (i, j, k) int32 array
        0 is background.
    grid : Grid
        Of the image.
    values : (n_regions,) int32 array
        The labels that are regions, ascending, without the background.
    n_nan : int
        Voxels without a number, which are background.
    """

    path: Path
    labels: npt.NDArray[np.int32]
    grid: Grid
    values: npt.NDArray[np.int32]
    n_nan: int = 0

    def of(self, values: npt.ArrayLike) -> Atlas:
        """Return the same atlas with other labels as its regions, ascending, be they there or not.

        Voxels of labels that are none of these become background.
        """
        regions = np.asarray(values, np.int32)
        labels = np.where(np.isin(self.labels, regions), self.labels, 0)
        return replace(self, labels=labels, values=regions)

    def on(self, grid: Grid) -> npt.NDArray[np.int32]:
        """Return the (i, j, k) int32 labels on another grid, by the nearest voxel."""
        if self.grid.is_same(grid):
            return self.labels
        return resample_nearest(self.labels, self.grid, grid)

    def coverage(self, mask: Mask) -> npt.NDArray[np.float64]:
        """Return for each region the share of its voxels that lie inside a mask.

        Counted over the voxels of the atlas itself, so that what lies outside the field of
        view of the mask's grid counts as not covered.

        Returns
        -------
        (n_regions,) float64 array, between 0 and 1
            NaN for a region that the image does not have.
        """
        ijk = np.argwhere(self.labels != 0)
        region = np.searchsorted(self.values, self.labels[tuple(ijk.T)])
        to_voxels = np.linalg.inv(mask.grid.affine)
        nearest = np.floor(self.grid.to_mm(ijk) @ to_voxels[:3, :3].T + to_voxels[:3, 3] + 0.5)
        is_inside = ((nearest >= 0) & (nearest < mask.grid.shape)).all(axis=1)
        covered = np.zeros(len(ijk), bool)
        covered[is_inside] = mask.voxels[tuple(nearest[is_inside].astype(np.intp).T)]
        sizes = np.bincount(region, minlength=len(self.values))
        shares = np.full(len(sizes), np.nan)
        inside = np.bincount(region, covered, minlength=len(sizes))
        np.divide(inside, sizes, out=shares, where=sizes > 0)
        return shares


def read_atlas(path: Path) -> Atlas:
    """Read an image of labels.

    Parameters
    ----------
    path : Path
        A 3D NIfTI image; values may be stored as floats where they are whole numbers. NaN is
        background.

    Raises
    ------
    UnusableImage
        A value is no whole number, or no label is there.
    """
    image = open_image(path)
    stored = read_volume(image)
    labels = whole_numbers(stored, path, 2**31).astype(np.int32)
    values = np.unique(labels[labels != 0])
    if not len(values):
        raise UnusableImage(path, "holds no label: every voxel is 0", "Is it the right image?")
    n_nan = int(np.count_nonzero(np.isnan(stored)))
    return Atlas(path, labels, image.grid, values, n_nan)
