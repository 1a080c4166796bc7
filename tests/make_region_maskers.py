"""Labels, maps and seeds on the grid of `make_maskers`, and our maskers beside nilearn's."""

from __future__ import annotations

from typing import Any

import nibabel
import numpy as np
from nilearn import maskers as peer
from nilearn.regions import RegionExtractor as PeerExtractor
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from bidsmask import NiftiLabelsMasker, NiftiMapsMasker, NiftiSpheresMasker, RegionExtractor
from bidsmask.images.grid import Grid
from tests.make_images import AFFINE
from tests.make_maskers import SHAPE

GRID = Grid(SHAPE, AFFINE)
# Larger voxels, half a voxel off, over the same head and beyond.
COARSE = AFFINE @ np.diag([1.5, 1.25, 1.5, 1.0])
COARSE[:3, 3] += [-1.0, 1.5, -2.0]
COARSE_SHAPE = (8, 10, 7)
SEEDS_MM: list[list[float]] = GRID.to_mm(np.array([[3, 4, 4], [6, 4.4, 4], [5, 8, 5]])).tolist()
LABELS = (-3, 2, 7, 900, 41)


def image(values: NDArray[Any], affine: NDArray[Any] = AFFINE) -> Any:
    """Return an image in memory."""
    return nibabel.Nifti1Image(values, affine)


def labels_image(dtype: str = "int32", *, coarse: bool = False) -> Any:
    """Return blocks of labels with holes and a negative one, on one of two grids."""
    shape, affine = (COARSE_SHAPE, COARSE) if coarse else (SHAPE, AFFINE)
    i, j, k = np.indices(shape)
    blocks = np.array((0, *LABELS))[(i // 3 + 2 * (j // 4) + 4 * (k // 4)) % 6]
    blocks[np.random.default_rng(3).random(shape) < 0.1] = 0
    return image(blocks.astype(dtype), affine)


def maps_image(n_maps: int = 5, *, coarse: bool = False, dtype: str = "float32") -> Any:
    """Return smooth maps that overlap, 0 over most of the volume, on one of two grids."""
    shape, affine = (COARSE_SHAPE, COARSE) if coarse else (SHAPE, AFFINE)
    random = np.random.default_rng(4)
    maps = np.stack([gaussian_filter(random.normal(size=shape), 1.5) for _ in range(n_maps)], -1)
    maps[maps < np.quantile(maps, 0.6, axis=(0, 1, 2))] = 0
    return image((maps / maps.max()).astype(dtype), affine)


# Ours, nilearn's, and the parameter that says what the columns are.
PAIRS: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "labels": (NiftiLabelsMasker, peer.NiftiLabelsMasker, {"labels_img": labels_image()}),
    "maps": (NiftiMapsMasker, peer.NiftiMapsMasker, {"maps_img": maps_image()}),
    "spheres": (NiftiSpheresMasker, peer.NiftiSpheresMasker, {"seeds": SEEDS_MM, "radius": 2.9}),
    "extractor": (
        RegionExtractor,
        PeerExtractor,
        {"maps_img": maps_image(), "min_region_size": 300, "extractor": "connected_components"},
    ),
}
