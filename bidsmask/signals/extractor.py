"""Extractors turn a volume into a row of the signals.

Every extractor names the voxels that it needs by their positions in the file, and makes a row
of its columns from the values there. Both are linear, so that a reference volume may be
subtracted first and rows may be cleaned in time afterwards.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy import sparse

from bidsmask.masks.mask import Mask

FloatArray = npt.NDArray[np.floating]


class Extractor(Protocol):
    """What turns a volume into a row.

    Attributes
    ----------
    ijk : (n_voxels, 3) int array
        The voxels that are needed.
    n_columns : int
        Length of a row.
    dtype : dtype
        Of the rows: float32 for voxels, float64 for sums over them.
    missing : (n_columns,) bool array
        Columns without a voxel, whose values mean nothing.
    """

    ijk: npt.NDArray[np.intp]
    n_columns: int
    dtype: np.dtype[np.floating]
    missing: npt.NDArray[np.bool_]

    def row(self, values: FloatArray) -> FloatArray:
        """Return the (n_columns,) row of the values at `ijk`."""
        ...


class VoxelExtractor:
    """One column per voxel of a mask, in its C order (i slowest)."""

    def __init__(self, mask: Mask) -> None:
        self.ijk = mask.ijk
        self.n_columns = mask.n_voxels
        self.dtype: np.dtype[np.floating] = np.dtype(np.float32)
        self.missing = np.zeros(mask.n_voxels, bool)

    def row(self, values: FloatArray) -> FloatArray:
        """Return the values themselves."""
        return values


class LabelExtractor:
    """One column per label: the mean over the voxels of the region that lie in the mask.

    Parameters
    ----------
    labels : (i, j, k) int array
        Label of each voxel, on the grid of the run.
    values : (n_regions,) int array
        The labels that are columns, ascending; one that has no voxel is a missing column.
    inside : (i, j, k) bool array
        Voxels that count.
    """

    def __init__(
        self,
        labels: npt.NDArray[np.integer],
        values: npt.NDArray[np.integer],
        inside: npt.NDArray[np.bool_],
    ) -> None:
        used = inside & np.isin(labels, values)
        self.ijk = np.argwhere(used)
        column = np.searchsorted(values, labels[used])
        sizes = np.bincount(column, minlength=len(values))
        self.n_columns = len(values)
        self.dtype: np.dtype[np.floating] = np.dtype(np.float64)
        self.missing = sizes == 0
        self.n_voxels = sizes
        members = (np.ones(len(column)), (column, np.arange(len(column))))
        self._sums = sparse.csr_array(members, shape=(len(values), len(column)))
        self._sizes = np.maximum(sizes, 1)

    def row(self, values: FloatArray) -> FloatArray:
        """Return the mean over each region, summed in float64; 0 for a missing column."""
        means: FloatArray = (self._sums @ np.asarray(values, np.float64)) / self._sizes
        return means
