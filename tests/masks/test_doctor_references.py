"""The mask doctor on real heads: no trusted mask is bad, and every made-up fault is named."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from benchmarks.masks import Reference, read, read_references
from bidsmask.images.grid import Grid
from bidsmask.masks.doctor import examine
from bidsmask.masks.flags import find_flags
from bidsmask.masks.mask import Mask
from tests.make_masks import FAULTS

DATA = Path(__file__).parents[3] / "shared" / "data"
REFERENCES = read_references(DATA) if (DATA / "references").exists() else []
TRUSTED = [one for one in REFERENCES if one.trust == "trusted"]

# One is defaced, the other noisy: there no edge between the brain and a scalp is seen.
UNSEEN = {
    ("16 mm of the forehead kept", "visualqc-id001_T1w"),
    ("16 mm of the forehead kept", "fstraining-01_T1w"),
}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not REFERENCES, reason="needs real heads in ../shared/data"),
]


@cache
def head(reference: Reference) -> tuple[np.ndarray, Mask]:
    values, grid = read(reference.image)
    return values, Mask(read(reference.mask)[0] > 0.5, grid, "file")


def coarse(values: np.ndarray, mask: Mask) -> tuple[np.ndarray, Mask]:
    """Return every second voxel where that leaves 3 mm or less, for the time it saves."""
    if mask.grid.voxel_sizes_mm.max() > 1.5:
        return values, mask
    every = (slice(None, None, 2),) * 3
    voxels = mask.voxels[every]
    grid = Grid(voxels.shape, mask.grid.affine @ np.diag([2.0, 2, 2, 1]))
    return values[every], Mask(voxels, grid, "file")


def bad_codes(values: np.ndarray, mask: Mask) -> set[str]:
    return {flag.code for flag in find_flags(examine(mask, values)) if flag.is_bad}


def name(one: object) -> str | None:
    return one.name if isinstance(one, Reference) else None


@pytest.mark.parametrize("reference", TRUSTED, ids=name)
def test_no_trusted_mask_is_bad(reference):
    assert bad_codes(*head(reference)) == set()


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
@pytest.mark.parametrize("reference", TRUSTED, ids=name)
def test_each_fault_is_named(reference, fault, request):
    if (fault.name, reference.name) in UNSEEN:
        request.applymarker(pytest.mark.xfail(strict=True, reason="no edge is seen"))
    values, mask = coarse(*head(reference))
    assert fault.code in bad_codes(values, fault.make(mask))
