"""Images of the demo as bytes of `.nii.gz`, as scanners and fMRIPrep store them."""

from __future__ import annotations

import gzip
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from nibabel.nifti1 import Nifti1Header

from bidsmask.demo.head import Scene
from bidsmask.images.grid import Grid

Storage = Literal["int16", "scaled int16", "float32"]

STEP = 10.0
"""What is stored are multiples of this: the noise itself, so that the demo stays small."""

UNITS: dict[Storage, float] = {"int16": STEP, "scaled int16": 1.0, "float32": 1.0}
"""What a value read from the file is worth in the units of the simulation."""

_SCANNER, _TEMPLATE = 1, 4
_AT = 352
"""Where the voxels start: after the header and its four bytes that announce no extension."""


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
        return _nifti(steps.astype("<f4") * np.float32(STEP), scene.grid, scene.native, t_r_s)
    slope = STEP / UNITS[storage]
    return _nifti(steps.astype("<i2"), scene.grid, scene.native, t_r_s, slope)


def image_bytes(values: npt.NDArray[Any], grid: Grid, dtype: str, *, native: bool = False) -> bytes:
    """Return a 3D image, (n_voxels,) in file order, as a compressed NIfTI file of a dtype."""
    if np.dtype(dtype).kind in "iu":
        values = np.rint(values)
    stored = values.astype(np.dtype(dtype).newbyteorder("<"))
    return _nifti(stored[None], grid, native)


def _nifti(
    stored: npt.NDArray[Any],
    grid: Grid,
    native: bool,
    t_r_s: float | None = None,
    slope: float = 1.0,
) -> bytes:
    """Header and voxels; no name and no time in the gzip header, so that bytes repeat."""
    # nibabel has no types of its own
    header: Any = Nifti1Header(endianness="<")  # type: ignore[no-untyped-call]
    header.set_data_dtype(stored.dtype)
    code = _SCANNER if native else _TEMPLATE
    header.set_data_shape(grid.shape if t_r_s is None else (*grid.shape, len(stored)))
    header.set_qform(grid.affine, code)
    header.set_sform(grid.affine, code)
    header.set_xyzt_units("mm", "sec")
    if t_r_s is not None:
        header["pixdim"][4] = t_r_s
    header.set_slope_inter(slope, 0)
    header["vox_offset"] = _AT
    header["magic"] = b"n+1"
    return gzip.compress(header.binaryblock + b"\0\0\0\0" + stored.tobytes(), 6, mtime=0)
