"""The regions of maps: each map falls apart into what is connected, or into what has a peak."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bidsmask.errors import GridMismatch, UsageError
from bidsmask.images.blank import blank
from bidsmask.images.grid import Grid
from bidsmask.regions.peaks import find_seeds
from bidsmask.regions.walker import random_walker

ExtractType = Literal["connected_components", "local_regions"]
EXTRACT_TYPES: tuple[ExtractType, ...] = get_args(ExtractType)


@dataclass(frozen=True, eq=False)
class Region:
    """One region of one map.

    Attributes
    ----------
    source : int
        Number of the map it comes from, from 0.
    indices : (n_voxels,) int64 array
        Where its voxels are in the flat volume, C order.
    values : (n_voxels,) array
        Of the map there.
    """

    source: int
    indices: NDArray[np.int64]
    values: NDArray[Any]

    @property
    def n_voxels(self) -> int:
        """Number of voxels inside."""
        return len(self.indices)


def connected_regions(
    maps: NDArray[Any],
    grid: Grid,
    *,
    min_region_size_mm3: float = 1350,
    extract_type: ExtractType = "local_regions",
    fwhm_mm: float = 6,
    mask: NDArray[np.bool_] | None = None,
) -> list[Region]:
    """Take maps apart into regions.

    The regions of nilearn's `connected_regions`.

    Parameters
    ----------
    maps : (i, j, k, n_maps) array, real
        Not changed. NaN and infinities count as 0.
    grid : Grid
        Of the maps.
    min_region_size_mm3 : float
        Regions of this size or smaller are left out.
    extract_type : {"local_regions", "connected_components"}
        connected_components: what is not 0 and connected (6 neighbours), positive and negative
        alike. local_regions: each peak of the smoothed map is a seed, and a random walker
        divides the map among the seeds.
    fwhm_mm : float
        Smoothing before peaks are looked for; 0 for none. For local_regions alone.
    mask : (i, j, k) bool array, optional
        What lies outside counts as 0.

    Returns
    -------
    list of Region
        Map by map, and in a map by the first voxel in C order (of the component, or of the
        seed).

    Raises
    ------
    UsageError
        A size or smoothing that is negative or no number; an unknown extract_type.
    GridMismatch
        Maps or mask are not on the grid.
    UnusableImage
        A map with values out of all proportion.
    """
    _check(extract_type, min_region_size_mm3, fwhm_mm)
    for what, array in (("the maps", maps[..., 0]), ("the mask's voxels", mask)):
        if array is not None and array.shape != grid.shape:
            raise GridMismatch(what, f"have shape {array.shape}, not {grid.shape}")
    least = min_region_size_mm3 / grid.voxel_volume_mm3
    regions: list[Region] = []
    for source in range(maps.shape[-1]):
        values = finite(maps[..., source])
        if mask is not None:
            values[~mask] = 0
        if extract_type == "local_regions":
            labels = random_walker(values, find_seeds(values, grid, fwhm_mm))
        else:
            labels = ndimage.label(values != 0)[0].astype(np.int32, copy=False)
        regions += _regions(source, values, labels, least)
    return regions


def finite(values: NDArray[Any]) -> NDArray[Any]:
    """Return a copy in which NaN and infinities are 0."""
    clean: NDArray[Any] = np.array(values, order="C")
    if clean.dtype.kind == "f":
        clean[~np.isfinite(clean)] = 0
    return clean


def volumes(regions: Iterable[Region], shape: tuple[int, int, int]) -> Iterator[NDArray[Any]]:
    """Yield each region as a float32 volume, 0 outside; the array is used again for the next."""
    volume = np.zeros(shape, np.float32)
    flat = volume.reshape(-1)
    for region in regions:
        flat[region.indices] = region.values
        yield volume
        flat[region.indices] = 0


def as_array(regions: Sequence[Region], shape: tuple[int, int, int]) -> NDArray[np.float32]:
    """Return regions as one (i, j, k, n_regions) float32 array, in file order (i fastest)."""
    array = blank((*shape, len(regions)), np.dtype(np.float32))
    for number, region in enumerate(regions):
        array[..., number][np.unravel_index(region.indices, shape)] = region.values
    return array


def _check(extract_type: str, min_region_size_mm3: float, fwhm_mm: float) -> None:
    """Raise UsageError where the arguments make no sense."""
    if extract_type not in EXTRACT_TYPES:
        problem = f"cannot be extracted by {extract_type!r}"
        raise UsageError("regions", problem, f"extract_type is one of {', '.join(EXTRACT_TYPES)}.")
    sizes = {"min_region_size": min_region_size_mm3, "smoothing_fwhm": fwhm_mm}
    for name, size in sizes.items():
        if not (np.isfinite(size) and size >= 0):
            raise UsageError(name, f"is {size}, but must be 0 or more")


def _regions(
    source: int, values: NDArray[Any], labels: NDArray[np.int32], least: float
) -> list[Region]:
    """Return the regions of one map that have more voxels than `least`, by label."""
    sizes = np.bincount(labels.reshape(-1))
    kept = [label for label in range(1, len(sizes)) if sizes[label] > least]
    inside = np.flatnonzero(labels)
    # Stable, so that the voxels of a region stay in C order.
    order = inside[np.argsort(labels.reshape(-1)[inside], kind="stable")]
    ends = np.cumsum(sizes[1:])
    flat = values.reshape(-1)
    found = []
    for label in kept:
        indices = order[ends[label - 1] - sizes[label] : ends[label - 1]]
        found.append(Region(source, indices, flat[indices]))
    return found
