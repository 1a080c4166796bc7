"""Small NIfTI files of every kind, written without the package that is tested."""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

SHARED = Path(__file__).parents[1].parent / "shared/data"
STUDYFORREST = SHARED / "studyforrest/derivatives/fmriprep/sub-02/func"
REAL_BOLD = STUDYFORREST / (
    "sub-02_task-oneback_run-1_space-MNI152NLin2009cAsym_desc-preproc_bold.nii.gz"
)
AFFINE = np.array([[2.0, 0, 0, -10], [0, 3, 0, -20], [0, 0, 4, -30], [0, 0, 0, 1]])


def nifti_content(
    stored: NDArray[Any],
    *,
    affine: NDArray[Any] = AFFINE,
    slope: float = np.nan,
    intercept: float = 0,
    order: str = "<",
    t_r: float = 2.0,
    time_unit: str = "sec",
    version: int = 1,
    offset: int | None = None,
    fields: Mapping[str, Any] | None = None,
) -> bytes:
    """Return an uncompressed NIfTI file of numbers as stored; `fields` are set last."""
    header: Any = {1: nib.Nifti1Header, 2: nib.Nifti2Header}[version](endianness=order)
    header.set_data_dtype(stored.dtype.newbyteorder(order))
    header.set_data_shape(stored.shape)
    zooms = [*np.sqrt((np.asarray(affine)[:3, :3] ** 2).sum(0)), t_r]
    header.set_zooms((zooms + [1.0] * 3)[: stored.ndim])
    header.set_xyzt_units("mm", time_unit)
    header.set_sform(affine, 1)
    header.set_qform(affine, 1)
    header["scl_slope"], header["scl_inter"] = slope, intercept
    header["magic"] = header.single_magic
    header["vox_offset"] = offset or header.single_vox_offset
    for name, value in (fields or {}).items():
        header[name] = value
    start = header.binaryblock.ljust(offset or header.single_vox_offset, b"\0")
    return start + stored.astype(stored.dtype.newbyteorder(order)).tobytes(order="F")


def bgzip(content: bytes, block: int = 65280) -> bytes:
    """Compress as htslib's bgzip does: a member per block, and an empty one at the end."""
    members = []
    for start in [*range(0, len(content), block), len(content)]:
        part = content[start : start + block]
        squeezed = zlib.compress(part, 6, wbits=-15)
        extra = struct.pack("<2sHH", b"BC", 2, len(squeezed) + 25)
        head = b"\x1f\x8b\x08\x04" + bytes(4) + b"\x00\xff" + struct.pack("<H", 6) + extra
        members.append(head + squeezed + struct.pack("<II", zlib.crc32(part), len(part)))
    return b"".join(members)


def members(content: bytes) -> bytes:
    """Compress as `cat a.gz b.gz c.gz` would give it, cut at odd places."""
    cuts = [0, 100, len(content) // 2 + 1, len(content)]
    return b"".join(gzip.compress(content[a:b], 6, mtime=0) for a, b in pairwise(cuts))


def named(content: bytes) -> bytes:
    """Compress as gzip(1) does: with the file's name and time in the header."""
    plain = gzip.compress(content, 6, mtime=1_700_000_000)
    return plain[:3] + b"\x08" + plain[4:10] + b"sub-01_bold.nii\0" + plain[10:]


def padded(content: bytes) -> bytes:
    """Compress, and fill up with zeros as tapes do; gzip(1) accepts them."""
    return gzip.compress(content, 6, mtime=0) + bytes(512)


COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    "single": lambda content: gzip.compress(content, 6, mtime=0),
    "stored": lambda content: gzip.compress(content, 0, mtime=0),
    "named": named,
    "bgzip": bgzip,
    "members": members,
    "padded": padded,
}


def write_image(
    path: Path, stored: NDArray[Any], compression: str = "single", **options: Any
) -> Path:
    """Write numbers as stored to a `.nii` or `.nii.gz` file; options as `nifti_content`."""
    content = nifti_content(stored, **options)
    zipped = path.name.endswith(".gz")
    path.write_bytes(COMPRESSIONS[compression](content) if zipped else content)
    return path


def random_stored(shape: tuple[int, ...], dtype: str = "int16", seed: int = 0) -> NDArray[Any]:
    """Return random numbers over a good part of an integer type's range, or normal floats."""
    rng = np.random.default_rng(seed)
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return rng.normal(1000, 100, shape).astype(kind)
    info = np.iinfo(kind)
    top = min(info.max, 2**40)
    return rng.integers(max(info.min, -top), top, shape, dtype=kind)


def head_volumes(
    shape: tuple[int, int, int] = (18, 20, 16), n_volumes: int = 5, seed: int = 0
) -> NDArray[np.float64]:
    """Return volumes of a bright ellipsoid in noise, (i, j, k, n_volumes)."""
    rng = np.random.default_rng(seed)
    axes = np.meshgrid(*[np.linspace(-1, 1, length) for length in shape], indexing="ij")
    head = 1000.0 * (sum(axis**2 for axis in axes) < 0.6)
    return head[..., None] + 200 + rng.normal(0, 60, (*shape, n_volumes))


# What is no image for a mask, and what is said of it.
BAD_IMAGES = {
    "2D": (nifti_content(np.zeros((4, 5))), "is 2D"),
    "5D": (nifti_content(np.zeros((4, 5, 6, 2, 3), np.int16)), "is 5D"),
    "RGB": (
        nifti_content(np.zeros((4, 5, 6), [(c, np.uint8) for c in "RGB"])),
        "is an RGB image",
    ),
    "complex": (nifti_content(np.zeros((4, 5, 6), np.complex64)), "is complex"),
    "empty": (b"", "is empty"),
    "constant": (nifti_content(np.full((4, 5, 6), 7.0)), "is constant"),
    "NaN": (nifti_content(np.full((4, 5, 6), np.nan)), "holds no finite value"),
    "no NIfTI": (b"no image" * 100, "is not a NIfTI file"),
}
