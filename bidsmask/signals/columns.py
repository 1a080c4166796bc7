"""What each column of the signals is: a voxel and where it lies, or a region and its name."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bidsmask.masks.mask import Mask


def voxel_names(n_voxels: int) -> list[str]:
    """Return `v0000001`, `v0000002` … for the voxels of a mask in its C order."""
    return ["v%07d" % number for number in range(1, n_voxels + 1)]  # noqa: UP031  a third of an f-string's time


def voxel_columns(mask: Mask) -> pd.DataFrame:
    """Return the table of the columns of voxel signals.

    Parameters
    ----------
    mask : Mask
        Its voxels in C order (i slowest) are the columns.

    Returns
    -------
    DataFrame with one row per voxel
        `index` (1-based, the value of the voxel in the column map), `name`, `i`, `j`, `k`
        (0-based) and `x`, `y`, `z` (mm).
    """
    ijk = mask.ijk
    xyz = mask.grid.to_mm(ijk)
    columns: dict[str, object] = {
        "index": np.arange(1, len(ijk) + 1),
        # As objects: to infer that they are text takes longer than all else here.
        "name": pd.Series(voxel_names(len(ijk)), dtype=object),
    }
    columns |= {axis: ijk[:, number] for number, axis in enumerate("ijk")}
    # A micrometre is finer than any scanner, and hides rounding of the affine's product.
    columns |= {axis: np.round(xyz[:, number], 3) for number, axis in enumerate("xyz")}
    return pd.DataFrame(columns)


def column_map(mask: Mask) -> np.ndarray[tuple[int, ...], np.dtype[np.int32]]:
    """Return the (i, j, k) int32 image whose value v at a voxel says: column v, from 1."""
    image = np.zeros(mask.grid.shape, np.int32)
    image[mask.voxels] = np.arange(1, mask.n_voxels + 1, dtype=np.int32)
    return image
