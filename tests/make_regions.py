"""Maps with several peaks, and the images that peers take."""

from __future__ import annotations

from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from bidsmask.images.grid import Grid
from bidsmask.regions.maps import Region

SHAPE = (30, 34, 28)
GRID = Grid(SHAPE, np.diag([2.0, 2.0, 2.0, 1.0]))
OBLIQUE = Grid(
    SHAPE, np.array([[2.0, 0.3, 0, -30], [-0.3, 2.5, 0, -40], [0, 0, 3.0, -20], [0, 0, 0, 1]])
)


def blob_maps(
    n_maps: int = 3, seed: int = 0, shape: tuple[int, int, int] = SHAPE, share: float = 0.3
) -> NDArray[np.float32]:
    """Return smooth noise, 0 but for the highest share of each map, (i, j, k, n_maps)."""
    rng = np.random.default_rng(seed)
    maps = np.stack([gaussian_filter(rng.normal(size=shape), 3) for _ in range(n_maps)], axis=-1)
    maps /= maps.std()
    cuts = np.quantile(maps, 1 - share, axis=(0, 1, 2))
    return np.where(maps > cuts, maps, 0).astype(np.float32)


def signed_maps(n_maps: int = 3, seed: int = 0) -> NDArray[np.float32]:
    """Return smooth noise of both signs, without a zero."""
    rng = np.random.default_rng(seed)
    maps = [gaussian_filter(rng.normal(size=SHAPE), 3) for _ in range(n_maps)]
    return (np.stack(maps, axis=-1) * 100).astype(np.float32)


def parcels(seed: int = 0, n_labels: int = 12) -> NDArray[np.int32]:
    """Return labels from 3 in steps of 7, each in several parts, with 0 between."""
    rng = np.random.default_rng(seed)
    smooth = gaussian_filter(rng.normal(size=SHAPE), 1.5)
    ranks = np.digitize(smooth, np.quantile(smooth, np.linspace(0.2, 1, n_labels)[:-1]))
    return np.where(ranks > 0, 7 * ranks - 4, 0).astype(np.int32)


def as_image(values: NDArray[Any], grid: Grid = GRID) -> Any:
    """Return a nibabel image."""
    return nib.Nifti1Image(values, grid.affine)


def label_volume(regions: list[Region], source: int, shape: tuple[int, ...]) -> NDArray[np.int32]:
    """Return the regions of one map as labels: number in the list, from 1."""
    volume = np.zeros(int(np.prod(shape)), np.int32)
    for number, region in enumerate(regions, start=1):
        if region.source == source:
            volume[region.indices] = number
    return volume.reshape(shape)


def dice(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """Return twice the overlap over the sum of sizes."""
    return 2 * np.count_nonzero(first & second) / (first.sum() + second.sum())
