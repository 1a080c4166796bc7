"""Extractors turn volumes into rows of the signals.

Every extractor names the voxels that it needs, and makes its columns from the values there.
Those that are linear are given the change from a reference volume, which float32 holds with all
its digits; the others (a median, a variance) the values themselves.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating]


class Extractor(Protocol):
    """What turns volumes into rows.

    Attributes
    ----------
    ijk : (n_voxels, 3) int array
        The voxels that are needed, each once.
    n_columns : int
        Length of a row.
    dtype : dtype
        Of the rows: float32 for voxels, float64 for what is made of several.
    missing : (n_columns,) bool array
        Columns without a voxel, whose values mean nothing.
    is_linear : bool
        Whether the row of a sum is the sum of the rows.
    """

    ijk: npt.NDArray[np.intp]
    n_columns: int
    dtype: np.dtype[np.floating]
    missing: npt.NDArray[np.bool_]
    is_linear: bool

    def rows(self, values: FloatArray) -> FloatArray:
        """Return the rows of some volumes.

        Parameters
        ----------
        values : (n, n_voxels) float32 or float64 array
            Of n volumes, at `ijk`. Not changed.

        Returns
        -------
        (n, n_columns) array
            A row does not depend on the volumes beside it but for rounding.
        """
        ...
