"""Whether an image lies where its header says: the checks of nidataset's quality control."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from bidsmask.images.image import open_image, read_header

# nidataset's: a slice with fewer voxels above 0 than one in ten thousand is empty.
_LEAST_LIT_SHARE = 1e-4


def forms_apart_mm(path: Path) -> float | None:
    """Return how far a header's sform and qform place the same voxel apart, at most.

    Returns
    -------
    float or None
        mm; None where not both are set, or the qform makes no sense. An affine that is not
        finite is refused before, by `open_image`.

    Raises
    ------
    DamagedFile, UnusableImage
        As `open_image`.
    """
    shape = open_image(path).grid.shape
    header = read_header(path)
    try:
        sform, sform_code = header.get_sform(coded=True)
        qform, qform_code = header.get_qform(coded=True)
    except (HeaderDataError, ValueError):
        return None
    if not (sform_code and qform_code):
        return None
    ends = np.array(np.meshgrid(*[(0, length - 1) for length in shape])).reshape(3, -1)
    apart = (sform - qform) @ np.vstack([ends, np.ones(ends.shape[1])])
    largest = float(np.linalg.norm(apart[:3], axis=0).max())
    return largest if np.isfinite(largest) else None


def empty_slices(values: NDArray[Any]) -> tuple[float, float, float]:
    """Return the share of the slices across i, j and k that have next to no voxel above 0."""
    lit = np.asarray(values > 0)
    i, j, k = (
        float((lit.mean(axis=across) < _LEAST_LIT_SHARE).mean())
        for across in ((1, 2), (0, 2), (0, 1))
    )
    return i, j, k
