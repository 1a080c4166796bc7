"""An Image: what the header of a NIfTI file says, checked before anything is believed.

A header is hostile until it was held against the file: nothing is allocated for what it
claims, and what bidsmask cannot use is refused by name.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Literal

import nibabel as nib
import numpy as np
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from bidsmask.errors import DamagedFile, UnusableImage
from bidsmask.images.grid import Grid
from bidsmask.images.source import (
    COPY_AGAIN,
    GZIP_MAGIC,
    fill,
    is_compressed,
    open_bytes,
    read_start,
    refuse_stand_in,
)

# The DEFLATE format cannot shrink anything further (RFC 1951: 258 bytes in two bits).
GZIP_LARGEST_RATIO = 1032

# Beyond these no scanner made the image, and a smoothing kernel would fill the memory.
LARGEST_MM = 1e6
SMALLEST_VOXEL_MM = 1e-4

LONGEST_HEADER = 540
BYTE_ORDERS: tuple[Literal["little", "big"], ...] = ("little", "big")

NIFTI_VERSIONS: tuple[Any, ...] = (nib.Nifti1Header, nib.Nifti2Header)
SCALAR_TYPES = {2, 4, 8, 16, 64, 256, 512, 768, 1024, 1280}
UNUSABLE_TYPES = {
    0: "of unknown data type",
    1: "an image of single bits",
    32: "complex",
    128: "an RGB image",
    1536: "of 128-bit floating point numbers",
    1792: "complex",
    2048: "complex",
    2304: "an RGBA image",
}
SECONDS_PER_UNIT = {0: 1.0, 8: 1.0, 16: 1e-3, 24: 1e-6}  # xyzt_units: unknown, s, ms, µs


@dataclass(frozen=True, eq=False)
class Image:
    """A NIfTI file whose header was read and found usable; no voxel was.

    Attributes
    ----------
    path : Path
        The `.nii` or `.nii.gz` file.
    grid : Grid
        Of its volumes.
    n_volumes : int
        1 for a 3D image.
    is_series : bool
        Whether the header has a fourth axis, be it of length 1.
    dtype : np.dtype
        As stored, byte order included.
    offset : int
        Bytes (of the decompressed file) before the first voxel.
    slope, intercept : float
        value = slope x stored + intercept; 1 and 0 where the header says none.
    t_r_s : float or None
        Repetition time in s, from whichever unit the header uses; None if it has none.
    """

    path: Path
    grid: Grid
    n_volumes: int
    is_series: bool
    dtype: np.dtype[Any]
    offset: int
    slope: float
    intercept: float
    t_r_s: float | None

    @property
    def is_scaled(self) -> bool:
        """Whether values differ from what is stored."""
        return (self.slope, self.intercept) != (1.0, 0.0)

    @property
    def volume_bytes(self) -> int:
        """Bytes of one volume as stored."""
        return self.grid.n_voxels * self.dtype.itemsize

    @property
    def total_bytes(self) -> int:
        """Bytes of the whole decompressed file."""
        return self.offset + self.n_volumes * self.volume_bytes

    def scale(self, stored: NDArray[Any]) -> NDArray[Any]:
        """Return the values of stored numbers, as nibabel does.

        Parameters
        ----------
        stored : array of any shape
            As `stream` gives them. Not changed.

        Returns
        -------
        array of the same shape
            float64 for a scaled image; `stored` itself for one that is not.
        """
        if not self.is_scaled:
            return stored
        values: NDArray[Any] = stored.astype(np.float64)
        if self.slope != 1.0:
            values *= self.slope
        if self.intercept != 0.0:
            values += self.intercept
        return values


def open_image(path: str | Path) -> Image:
    """Read and check the header of a NIfTI file; NIfTI-1 and NIfTI-2, plain or gzipped.

    Parameters
    ----------
    path : str or Path
        A `.nii` or `.nii.gz` file.

    Returns
    -------
    Image
        With a Grid that has a usable affine, one or more volumes and real numbers.

    Raises
    ------
    DamagedFile
        Missing, empty, cut off, not a NIfTI, a pointer of git-annex, or a header that claims
        what the file cannot hold.
    UnusableImage
        A sound file of another kind: complex, RGB, 2D, 5D, an axis of length zero, a
        singular affine, a pair of `.hdr` and `.img`.
    """
    path = Path(path)
    _refuse_other_formats(path)
    refuse_stand_in(path)
    header = read_header(path)
    shape = _shape(path, header)
    dtype = _dtype(path, header)
    slope, intercept = _scaling(path, header)
    image = Image(
        path=path,
        grid=Grid((shape[0], shape[1], shape[2]), _affine(path, header)),
        n_volumes=shape[3] if len(shape) > 3 else 1,
        is_series=len(shape) > 3,
        dtype=dtype,
        offset=_offset(path, header),
        slope=slope,
        intercept=intercept,
        t_r_s=_t_r_s(header) if len(shape) > 3 else None,
    )
    _refuse_impossible_size(image)
    return image


def _refuse_other_formats(path: Path) -> None:
    name = path.name.lower()
    if name.endswith((".hdr", ".img", ".hdr.gz", ".img.gz")):
        raise UnusableImage(
            path, "is half of a pair of .hdr and .img", "Convert the pair to one .nii.gz."
        )
    if not name.endswith((".nii", ".nii.gz")):
        raise UnusableImage(path, "is not named .nii or .nii.gz")


def read_header_bytes(path: Path) -> bytes:
    """Return the first 540 bytes of the decompressed file, the length of a NIfTI-2 header.

    Raises
    ------
    DamagedFile
        A name that does not fit the content, or a damaged beginning.
    """
    block = bytearray(LONGEST_HEADER)
    with open_bytes(path) as file:
        n_bytes = fill(file, memoryview(block))
    return bytes(block[:n_bytes])


def read_header(path: Path) -> Any:
    """Return nibabel's header object, unchecked but of a known version and byte order."""
    _refuse_misnamed(path)
    block = read_header_bytes(path)
    for order, kind in product(BYTE_ORDERS, NIFTI_VERSIONS):
        if int.from_bytes(block[:4], order) != kind.sizeof_hdr:
            continue
        if len(block) < kind.sizeof_hdr:
            raise DamagedFile(path, "is cut off within its header", COPY_AGAIN)
        header = kind(block[: kind.sizeof_hdr], endianness=order, check=False)
        magic = header["magic"].item()
        if magic == header.pair_magic.rstrip(b"\0"):
            raise UnusableImage(
                path, "is the header of a pair of .hdr and .img", "Convert the pair to one .nii.gz."
            )
        if magic != header.single_magic.rstrip(b"\0"):
            raise DamagedFile(path, f"is not a NIfTI file (its magic is {magic!r})")
        return header
    raise DamagedFile(path, "is not a NIfTI file")


def _refuse_misnamed(path: Path) -> None:
    is_gzip = read_start(path, 2) == GZIP_MAGIC
    if is_gzip and not is_compressed(path):
        raise DamagedFile(path, "is gzipped, but not named .nii.gz", "Rename it.")
    if not is_gzip and is_compressed(path):
        raise DamagedFile(path, "is not a gzip file, although named .gz", COPY_AGAIN)


def _shape(path: Path, header: Any) -> tuple[int, ...]:
    """Return three or four lengths; trailing axes of length 1 beyond the fourth are left out."""
    dim = [int(length) for length in header["dim"]]
    n_axes = dim[0]
    if not 1 <= n_axes <= 7:
        raise DamagedFile(path, f"has a damaged header (it counts {n_axes} axes)", COPY_AGAIN)
    shape = tuple(dim[1 : n_axes + 1])
    if any(length < 0 for length in shape):
        raise DamagedFile(path, f"has a damaged header (shape {shape})", COPY_AGAIN)
    if any(length == 0 for length in shape):
        raise UnusableImage(path, f"has an axis of length zero (shape {shape})")
    if n_axes < 3:
        raise UnusableImage(path, f"is {n_axes}D (shape {shape}), but a 3D or 4D image is needed")
    if any(length > 1 for length in shape[4:]):
        raise UnusableImage(path, f"is {n_axes}D (shape {shape}), but a 3D or 4D image is needed")
    return shape[:4]


def _dtype(path: Path, header: Any) -> np.dtype[Any]:
    code = int(header["datatype"])
    if code in UNUSABLE_TYPES:
        raise UnusableImage(
            path, f"is {UNUSABLE_TYPES[code]}, but one real number per voxel is needed"
        )
    if code not in SCALAR_TYPES:
        raise DamagedFile(path, f"has a damaged header (data type {code})", COPY_AGAIN)
    dtype: np.dtype[Any] = header.get_data_dtype()
    return dtype


def _offset(path: Path, header: Any) -> int:
    """Return where the voxels begin, at least behind the header and its four flag bytes."""
    offset = float(header["vox_offset"])
    smallest = header.single_vox_offset
    if not (offset >= smallest and offset.is_integer()):
        raise DamagedFile(
            path,
            f"has a damaged header (voxels at byte {offset:g}, but never before {smallest})",
            COPY_AGAIN,
        )
    return int(offset)


def _scaling(path: Path, header: Any) -> tuple[float, float]:
    try:
        slope, intercept = header.get_slope_inter()
    except HeaderDataError as error:
        raise DamagedFile(path, f"has a damaged header ({error})", COPY_AGAIN) from error
    return (1.0, 0.0) if slope is None else (slope, intercept)


def _affine(path: Path, header: Any) -> NDArray[np.float64]:
    """Return the sform, else the qform, else the affine from voxel sizes, as nibabel does.

    Negative voxel sizes count by their absolute value, as in nibabel; the other unlikely
    values, which nibabel replaces by 1 mm, end in an error where the affine needs them.
    """
    header["pixdim"][1:4] = np.abs(header["pixdim"][1:4])
    if header["pixdim"][0] not in (-1, 1):
        header["pixdim"][0] = 1
    try:
        with np.errstate(all="ignore"):
            affine: NDArray[np.float64] = np.asarray(header.get_best_affine(), dtype=np.float64)
    except (HeaderDataError, ValueError) as error:
        raise UnusableImage(path, f"has an unusable affine ({error})") from error
    if not np.all(np.abs(affine) < LARGEST_MM):  # false for NaN, too
        raise UnusableImage(path, "has an affine with values that are not finite or beyond 1 km")
    sizes = np.sqrt(np.sum(affine[:3, :3] ** 2, axis=0))
    singular = abs(np.linalg.det(affine[:3, :3])) <= 1e-6 * float(np.prod(sizes))
    if singular or np.any(sizes < SMALLEST_VOXEL_MM):
        raise UnusableImage(
            path,
            f"has a singular affine (voxel sizes {', '.join(f'{size:g}' for size in sizes)} mm)",
            "Set its sform or its voxel sizes.",
        )
    return affine


def _t_r_s(header: Any) -> float | None:
    """Return pixdim[4] in seconds; None when absent, zero, not finite or not a time."""
    unit = SECONDS_PER_UNIT.get(int(header["xyzt_units"]) & 0x38)
    # The shortest decimal that gives the float32 back: 0.8, not 0.800000011920929.
    t_r = float(str(header["pixdim"][4]))
    if unit is None or not math.isfinite(t_r) or t_r <= 0:
        return None
    return float(f"{t_r * unit:.9g}")


def _refuse_impossible_size(image: Image) -> None:
    """Hold the header's claim against the size of the file, before anything is allocated."""
    size = image.path.stat().st_size
    shape = (*image.grid.shape, image.n_volumes)
    claim = f"its header claims shape {shape} of {image.dtype}, {image.total_bytes} bytes in all"
    if is_compressed(image.path):
        if image.total_bytes > size * GZIP_LARGEST_RATIO:
            problem = f"is too small: {claim}, which {size} bytes of gzip cannot hold"
            raise DamagedFile(image.path, problem, COPY_AGAIN)
    elif image.total_bytes > size:
        raise DamagedFile(image.path, f"is cut off: {claim}, but it has {size}", COPY_AGAIN)
    elif image.total_bytes < size:
        raise DamagedFile(image.path, f"is too long: {claim}, but it has {size}", COPY_AGAIN)
