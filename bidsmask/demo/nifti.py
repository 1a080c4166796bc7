"""Images of the demo as bytes of `.nii.gz`, as scanners and fMRIPrep store them."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from bidsmask.demo.head import Scene
from bidsmask.images.grid import Grid
from bidsmask.images.write import Space, nifti_bytes

Storage = Literal["int16", "scaled int16", "float32"]

STEP = 10.0
"""What is stored are multiples of this: the noise itself, so that the demo stays small."""

UNITS: dict[Storage, float] = {"int16": STEP, "scaled int16": 1.0, "float32": 1.0}
"""What a value read from the file is worth in the units of the simulation."""


def series_bytes(
    scene: Scene, series: npt.NDArray[np.float32], t_r_s: float, storage: Storage
) -> bytes:
    """Return a 4D series as a compressed NIfTI file.

    Parameters
    ----------
    scene : Scene
        Whose grid and space the header tells.
    series : (n_volumes, n_voxels) array
        Voxels in file order.
    t_r_s : float
        Seconds; goes into the header.
    storage : {"int16", "scaled int16", "float32"}
        Integers in units of STEP, either as they are or with a slope that turns them back; or
        floats.
    """
    steps = np.rint(series / STEP)
    if storage == "float32":
        stored, slope = steps * np.float32(STEP), 1.0
    else:
        stored, slope = steps.astype(np.int16), STEP / UNITS[storage]
    # Volumes one after the other, i fastest: the order of the file.
    array = stored.reshape(len(stored), *scene.grid.shape[::-1]).T
    return nifti_bytes(array, scene.grid, space=_space(scene.native), t_r_s=t_r_s, slope=slope)


def image_bytes(values: npt.NDArray[Any], grid: Grid, dtype: str, *, native: bool = False) -> bytes:
    """Return a 3D image, (n_voxels,) in file order, as a compressed NIfTI file of a dtype."""
    if np.dtype(dtype).kind in "iu":
        values = np.rint(values)
    array = values.astype(dtype).reshape(grid.shape, order="F")
    return nifti_bytes(array, grid, space=_space(native))


def _space(native: bool) -> Space:
    return "scanner" if native else "mni"
