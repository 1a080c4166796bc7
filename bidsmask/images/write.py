"""Images as bytes: the same array gives the same bytes, today and tomorrow."""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from typing import Any, BinaryIO, Literal

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from bidsmask.images.grid import Grid

NIFTI1: Any = nib.Nifti1Header

# NIfTI-1's codes for what the affine leads to.
Space = Literal["scanner", "aligned", "talairach", "mni"]
SPACE_CODES: dict[Space, int] = {"scanner": 1, "aligned": 2, "talairach": 3, "mni": 4}


def space_of(name: str) -> Space:
    """Return in the words of NIfTI what a space of BIDS is; empty for the scanner's own."""
    return "mni" if name.startswith("MNI") else "aligned" if name else "scanner"


WRITTEN_TYPES = ("uint8", "int16", "int32", "float32")


def nifti_bytes(
    array: NDArray[Any],
    grid: Grid,
    *,
    space: Space = "aligned",
    t_r_s: float | None = None,
    slope: float = 1.0,
) -> bytes:
    """Return a `.nii.gz` file, NIfTI-1, of an array.

    Parameters
    ----------
    array : (i, j, k) or (i, j, k, n_volumes) array
        bool (written as uint8), uint8, int16, int32 or float32.
    grid : Grid
        Of the array's first three axes.
    space : {"scanner", "aligned", "talairach", "mni"}
        What the affine leads to; the code of both sform and qform.
    t_r_s : float, optional
        Repetition time of a 4D array.
    slope : float
        What a reader multiplies the numbers by.

    Returns
    -------
    bytes
        Equal for equal arguments: the gzip header holds neither time nor name.

    Raises
    ------
    ValueError
        Another type or shape: a fault of the caller's.
    """
    if array.dtype == bool:
        array = array.astype(np.uint8)
    if array.dtype.name not in WRITTEN_TYPES:
        raise ValueError(f"images are written as {', '.join(WRITTEN_TYPES)}, not {array.dtype}")
    if array.shape[:3] != grid.shape:
        raise ValueError(f"an array of shape {array.shape} is not on a grid of {grid.shape}")
    header = _header(array.dtype, array.shape, grid, space, t_r_s, slope)
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    content = header + little.tobytes(order="F")
    # zlib, not isal, whose bytes depend on the processor.
    return gzip.compress(content, compresslevel=6, mtime=0)


def write_volumes(
    handle: BinaryIO,
    volumes: Iterable[NDArray[np.float32]],
    n_volumes: int,
    grid: Grid,
    *,
    space: Space = "aligned",
    t_r_s: float | None = None,
) -> None:
    """Write a `.nii` file, NIfTI-1, volume by volume: the image is never whole in memory.

    Parameters
    ----------
    handle : BinaryIO
    volumes : iterable of (i, j, k) float32 array
        On the grid; as many as are said.
    n_volumes : int
        With one, the image is 3D.
    grid, space, t_r_s
        As in `nifti_bytes`.
    """
    dtype = np.dtype(np.float32)
    shape = (*grid.shape, n_volumes) if n_volumes > 1 else grid.shape
    handle.write(_header(dtype, shape, grid, space, t_r_s, 1.0))
    for volume in volumes:
        # In file order the transpose is contiguous, and is written as it stands.
        handle.write(np.ascontiguousarray(volume.T, dtype.newbyteorder("<")).data)


def _header(
    dtype: np.dtype[Any],
    shape: tuple[int, ...],
    grid: Grid,
    space: Space,
    t_r_s: float | None,
    slope: float,
) -> bytes:
    """Return all that stands before the values."""
    header: Any = NIFTI1()
    header.set_data_dtype(dtype)
    header.set_data_shape(shape)
    header.set_zooms([*grid.voxel_sizes_mm, *([t_r_s or 0.0] if len(shape) > 3 else [])])
    header.set_xyzt_units("mm", "sec" if len(shape) > 3 else None)
    header.set_sform(grid.affine, SPACE_CODES[space])
    # A qform cannot hold shears; readers prefer the sform.
    header.set_qform(grid.affine, SPACE_CODES[space], strip_shears=True)
    header.set_slope_inter(slope, 0)
    header["vox_offset"] = header.single_vox_offset
    header["magic"] = header.single_magic
    content: bytes = header.as_byteswapped("<").binaryblock + bytes(4)
    return content
