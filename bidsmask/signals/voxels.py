"""Voxels as columns: those of a mask, or those of regions."""

from __future__ import annotations

import numpy as np

from bidsmask.masks.mask import Mask
from bidsmask.signals.extractor import FloatArray
from bidsmask.signals.regions import Regions


class VoxelExtractor:
    """One column per voxel of a mask, in its C order (i slowest)."""

    is_linear = True

    def __init__(self, mask: Mask, dtype: type[np.float32] | type[np.float64] = np.float32) -> None:
        self.ijk = mask.ijk
        self.n_columns = mask.n_voxels
        self.dtype: np.dtype[np.floating] = np.dtype(dtype)
        self.missing = np.zeros(mask.n_voxels, bool)

    def rows(self, values: FloatArray) -> FloatArray:
        """Return the values themselves."""
        return values


class MemberExtractor:
    """One column per voxel of each region, region by region.

    `eigenvariates` makes the columns of the regions from them, once they are cleaned. Until
    then they take as much memory as voxel signals: 4 bytes a volume and voxel.
    """

    is_linear = True

    def __init__(self, regions: Regions) -> None:
        self.ijk = regions.ijk
        self.n_columns = len(regions.members)
        self.dtype: np.dtype[np.floating] = np.dtype(np.float32)
        self.missing = np.zeros(self.n_columns, bool)
        self._members = regions.members

    def rows(self, values: FloatArray) -> FloatArray:
        """Return the values of each region's voxels."""
        rows: FloatArray = values.take(self._members, axis=1)
        return rows
