"""Regions under nilearn's names and signatures: paths or images in, images out."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bidsmask.errors import UsageError, WrongType
from bidsmask.images.grid import Grid
from bidsmask.images.labels import whole_numbers
from bidsmask.images.resample import resample_nearest
from bidsmask.maskers.apply import mask_voxels
from bidsmask.maskers.series import ImageLike, Series, as_series, volume_of
from bidsmask.regions import labels as label_parts
from bidsmask.regions import maps as map_parts
from bidsmask.regions.threshold import ThresholdingStrategy, threshold_maps


def connected_regions(
    maps_img: ImageLike | Sequence[ImageLike],
    min_region_size: float = 1350,
    extract_type: map_parts.ExtractType = "local_regions",
    smoothing_fwhm: float | None = 6,
    mask_img: ImageLike | None = None,
) -> tuple[Any, list[int]] | tuple[None, None]:
    """Take maps apart into regions: nilearn's `connected_regions`.

    Parameters
    ----------
    maps_img : path, nibabel image, or list of 3D ones
        One map (3D) or several (4D). NaN and Inf count as 0.
    min_region_size : float
        mm³; regions of this size or smaller are left out.
    extract_type : {"local_regions", "connected_components"}
        local_regions: each peak of the smoothed map has a region, by a random walker.
        connected_components: what is not 0 and connected by faces.
    smoothing_fwhm : float, optional
        mm, before peaks are looked for; None or 0 for none.
    mask_img : path or nibabel image, optional
        What lies outside counts as 0. On another grid, the nearest voxel counts.

    Returns
    -------
    regions_extracted_img : nibabel.Nifti1Image or None
        4D, float32: a region a volume, with the values of its map. None where there is no
        region, which a warning tells.
    index_of_each_map : list of int or None
        The map of each region, from 0.

    Raises
    ------
    UsageError
        An argument without a meaning.
    UnusableMask
        A mask that is empty or has three values.
    DataError
        An image that cannot be read or used.
    """
    series, maps = _maps_of(maps_img)
    mask = None if mask_img is None else _mask_on(mask_img, series.grid)
    return _regions(series, maps, mask, min_region_size, extract_type, smoothing_fwhm)


def extract_regions(
    maps_img: ImageLike | Sequence[ImageLike],
    mask_img: ImageLike | None = None,
    min_region_size: float = 1350,
    threshold: float | None = 1.0,
    thresholding_strategy: ThresholdingStrategy = "ratio_n_voxels",
    two_sided: bool = False,
    extractor: map_parts.ExtractType = "local_regions",
    smoothing_fwhm: float | None = 6,
) -> tuple[Any, list[int]] | tuple[None, None]:
    """Free maps of their faint parts, then take them apart: the regions of `RegionExtractor`.

    The parameters have the names, defaults and order of nilearn's estimator, and what comes back
    is its `regions_img_` and `index_`.

    Parameters
    ----------
    maps_img : path, nibabel image, or list of 3D ones
        One map (3D) or several (4D). NaN and Inf count as 0.
    mask_img : path or nibabel image, optional
        As for `connected_regions`; an image or percentile threshold looks only inside it.
    min_region_size : float
        mm³; regions of this size or smaller are left out.
    threshold : float, optional
        What it means, the strategy says; None for no threshold.
    thresholding_strategy : {"ratio_n_voxels", "img_value", "percentile"}
        ratio_n_voxels: keep, over all maps, the strongest `threshold` times as many values as a
        map has voxels, by absolute value. img_value: keep values of at least `threshold`.
        percentile: keep values above that percentile, 0 to 100, over all maps.
    two_sided : bool
        For img_value and percentile: go by absolute values.
    extractor, smoothing_fwhm
        `extract_type` and `smoothing_fwhm` of `connected_regions`.

    Returns
    -------
    regions_extracted_img, index_of_each_map
        As `connected_regions` returns them.

    Raises
    ------
    UsageError, UnusableMask, DataError
        As `connected_regions`; a threshold that is not in the strategy's range.
    """
    series, maps = _maps_of(maps_img)
    mask = None if mask_img is None else _mask_on(mask_img, series.grid)
    if threshold is not None:
        maps = threshold_maps(
            maps, threshold, thresholding_strategy, two_sided=two_sided, mask=mask
        )
    return _regions(series, maps, mask, min_region_size, extractor, smoothing_fwhm)


def _maps_of(maps_img: ImageLike | Sequence[ImageLike]) -> tuple[Series, NDArray[Any]]:
    """Return maps and their values, (i, j, k, n_maps)."""
    series = as_series(maps_img)
    return series, np.stack([volume.copy() for volume in series.volumes()], axis=-1)


def _regions(
    series: Series,
    maps: NDArray[Any],
    mask: NDArray[np.bool_] | None,
    min_region_size: float,
    extract_type: map_parts.ExtractType,
    smoothing_fwhm: float | None,
) -> tuple[Any, list[int]] | tuple[None, None]:
    """Return the image of regions and the map of each, or None twice and a warning."""
    regions = map_parts.connected_regions(
        maps,
        series.grid,
        min_region_size_mm3=min_region_size,
        extract_type=extract_type,
        fwhm_mm=0 if smoothing_fwhm is None else smoothing_fwhm,
        mask=mask,
    )
    if not regions:
        message = (
            "No supra threshold regions. No region above min_region_size: lower it, or the "
            "threshold of the maps."
        )
        warnings.warn(message, UserWarning, stacklevel=3)
        return None, None
    array = map_parts.as_array(regions, series.grid.shape)
    return series.image_of(array, series.grid), [region.source for region in regions]


def connected_label_regions(
    labels_img: ImageLike,
    min_size: float | None = None,
    connect_diag: bool = True,
    labels: Any = None,
) -> Any:
    """Give each connected part of each label a number: nilearn's `connected_label_regions`.

    Parameters
    ----------
    labels_img : path or nibabel image
        3D, of whole numbers; 0, NaN and Inf are background.
    min_size : float, optional
        mm³; parts of this size or smaller are left out. None keeps all.
    connect_diag : bool
        Whether voxels that share an edge or a corner are connected.
    labels : list of str, optional
        Names of the labels, in ascending order of these, without background.

    Returns
    -------
    new_labels_img : nibabel.Nifti1Image
        int32, from 1, label by label.
    new_labels : list of str
        The name of each region; only where `labels` are given.

    Raises
    ------
    UsageError
        Another number of names than of labels, or a size without a meaning; WrongType for what
        is none.
    UnusableImage
        A negative value, or one that is no whole number.
    """
    if not isinstance(min_size, int | float | np.number | None):
        raise WrongType("min_size", f"is {min_size!r}", "Give mm³, or None.")
    if not isinstance(connect_diag, bool | np.bool_):
        raise WrongType("connect_diag", f"is {connect_diag!r}", "Give True or False.")
    series, values = volume_of(labels_img)
    finite = values if values.dtype.kind in "iu" else np.where(np.isfinite(values), values, 0)
    whole = whole_numbers(finite, series.where, 2**53)
    regions, sources = label_parts.connected_label_regions(
        whole, series.grid, min_size_mm3=min_size, connect_diag=connect_diag
    )
    image = series.image_of(regions, series.grid)
    if labels is None:
        return image
    names = [labels] if isinstance(labels, str) or not np.iterable(labels) else list(labels)
    there = np.unique(whole[whole != 0])
    if len(names) != len(there):
        raise UsageError("labels", f"are {len(names)} names, but the image has {len(there)} labels")
    return image, [names[rank] for rank in np.searchsorted(there, sources)]


def _mask_on(mask_img: ImageLike, grid: Grid) -> NDArray[np.bool_]:
    """Return the voxels of a mask on the grid of the maps."""
    series, values = volume_of(mask_img)
    inside = mask_voxels((series, values))
    if series.grid.is_same(grid):
        return inside
    return resample_nearest(inside.astype(np.uint8), series.grid, grid).astype(bool)
