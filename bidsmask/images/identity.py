"""What a file is, without reading all of it and without looking at its times.

A product keeps the identities of what it was made from, so that a later run sees what
changed. A copy of a dataset has new modification times and the same identities.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from bidsmask.images.image import open_image, read_header_bytes
from bidsmask.images.source import naming_errors, refuse_stand_in


def identity(path: str | Path) -> str:
    """Return a short text that is equal for equal contents.

    Of a `.nii.gz`, the file's size, its NIfTI header and the CRC-32 and length that gzip keeps
    in the last 8 bytes: nothing is decompressed but the header. These 8 bytes speak for the
    last gzip member alone. Where their length is not the one that the header promises (bgzip,
    concatenated members, damage), the whole file is hashed, as is every other kind of file.

    Parameters
    ----------
    path : str or Path
        Any file.

    Returns
    -------
    str
        `gzip:SIZE-CRC32-LENGTH-HEADER` with the first 16 digits of the header's SHA-256, or
        `sha256:DIGEST`.

    Raises
    ------
    DamagedFile
        A missing, empty or unreadable file, or a `.nii.gz` that is not one.
    UnusableImage
        A `.nii.gz` that `open_image` refuses.
    """
    path = Path(path)
    refuse_stand_in(path)
    if path.name.lower().endswith(".nii.gz"):
        image = open_image(path)
        size = path.stat().st_size
        with path.open("rb") as file:
            file.seek(max(0, size - 8))
            crc, length = (int.from_bytes(file.read(4), "little") for _ in range(2))
        if length == image.total_bytes % (1 << 32):
            header = hashlib.sha256(read_header_bytes(path)).hexdigest()[:16]
            return f"gzip:{size}-{crc:08x}-{length}-{header}"
    return f"sha256:{_sha256(path)}"


def _sha256(path: Path) -> str:
    with naming_errors(path), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
