"""Labels, maps and seeds on the grid of `make_maskers`, and our maskers beside nilearn's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

import nibabel
import numpy as np
from nilearn import maskers as peer
from nilearn.regions import RegionExtractor as PeerExtractor
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from bidsmask import NiftiLabelsMasker, NiftiMapsMasker, NiftiSpheresMasker, RegionExtractor
from bidsmask.images.grid import Grid
from bidsmask.signals.regions import Statistic
from tests.make_images import AFFINE
from tests.make_maskers import SHAPE, mask

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


def inside_of(name: str | None) -> Any:
    """Return a mask by its name: none, half of the voxels, or a block on the other grid."""
    if name is None:
        return None
    if name == "given":
        return mask()
    block = np.zeros(COARSE_SHAPE, np.uint8)
    block[1:7, 1:9, 1:6] = 1
    return image(block, COARSE)


MASKS = [None, "given", "other grid"]
LABEL_OPTIONS: dict[str, list[Any]] = {
    "coarse": [False, False, True],
    "mask": MASKS,
    "strategy": list(get_args(Statistic)),
    "resampling_target": ["data", "labels"],
    "keep_masked_labels": [False, True],
}
MAP_OPTIONS: dict[str, list[Any]] = {
    "coarse": [False, False, True],
    "mask": MASKS,
    "resampling_target": ["data", "maps", "mask"],
    "keep_masked_maps": [False, True],
}
REGION_OPTIONS: dict[str, list[Any]] = {
    "mask": MASKS,
    "thresholding_strategy": ["ratio_n_voxels", "img_value", "percentile"],
    "two_sided": [False, True],
    "resampling_target": ["data", "maps"],
}
SPHERE_OPTIONS: dict[str, list[Any]] = {
    "mask": [None, "given"],
    "radius": [None, 2.9, 6.5, 12.0],
}


def of_labels(case: Mapping[str, Any]) -> dict[str, Any]:
    """Return what makes a masker of labels of a case."""
    given = {name: case[name] for name in ("strategy", "resampling_target", "keep_masked_labels")}
    labels = labels_image(coarse=case["coarse"])
    return {"labels_img": labels, "mask_img": inside_of(case["mask"]), **given}


def of_maps(case: Mapping[str, Any]) -> dict[str, Any]:
    """Return what makes a masker of maps of a case."""
    target = case["resampling_target"]
    return {
        "maps_img": maps_image(coarse=case["coarse"]),
        "mask_img": inside_of(case["mask"]),
        "resampling_target": "data" if target == "mask" and case["mask"] is None else target,
        "keep_masked_maps": case["keep_masked_maps"],
    }


def of_regions(case: Mapping[str, Any]) -> dict[str, Any]:
    """Return what makes an extractor of regions of a case.

    On the grid of the images: nilearn takes the regions of maps that it moved apart once more.
    """
    thresholds = {"ratio_n_voxels": 1.0, "img_value": 0.3, "percentile": 80.0}
    named = ("thresholding_strategy", "two_sided", "resampling_target")
    return {
        "maps_img": maps_image(dtype="float64"),
        "mask_img": inside_of(case["mask"]),
        "min_region_size": 300,
        "extractor": "connected_components",
        "threshold": thresholds[case["thresholding_strategy"]],
        **{name: case[name] for name in named},
    }


def of_spheres(case: Mapping[str, Any]) -> dict[str, Any]:
    """Return what makes a masker of spheres of a case, around voxels of the mask."""
    seeds = GRID.to_mm(np.argwhere(mask().get_fdata())[[100, 250, 251, 400]]).tolist()
    options = {"radius": case["radius"], "allow_overlap": True}
    return {"seeds": seeds, "mask_img": inside_of(case["mask"]), **options}


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
