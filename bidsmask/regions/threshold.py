"""The three thresholds of nilearn's RegionExtractor, which free maps of their faint parts."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from bidsmask.errors import GridMismatch, UsageError
from bidsmask.regions.maps import finite

ThresholdingStrategy = Literal["ratio_n_voxels", "img_value", "percentile"]
THRESHOLDING_STRATEGIES: tuple[ThresholdingStrategy, ...] = get_args(ThresholdingStrategy)

# nilearn's `check_threshold` adds it to a percentile.
ABOVE_PERCENTILE = 1e-5


def threshold_maps(
    maps: NDArray[Any],
    threshold: float = 1.0,
    strategy: ThresholdingStrategy = "ratio_n_voxels",
    *,
    two_sided: bool = False,
    mask: NDArray[np.bool_] | None = None,
) -> NDArray[Any]:
    """Set the faint voxels of maps to 0.

    The maps of nilearn's RegionExtractor, between its thresholding and its regions.

    Parameters
    ----------
    maps : (i, j, k, n_maps) array, real
        Not changed. NaN and infinities count as 0.
    threshold : float
        What it means, the strategy says.
    strategy : {"ratio_n_voxels", "img_value", "percentile"}
        ratio_n_voxels: keep, over all maps together, the strongest `threshold` times as many
        values as a map has voxels, by their absolute value (0 < threshold <= n_maps); the mask
        plays no part. img_value: keep values of at least `threshold`. percentile: keep values
        above that percentile, 0 to 100, over all maps.
    two_sided : bool
        For img_value and percentile: go by absolute values. Otherwise negative values do not
        count and are set to 0; a negative img_value keeps what is as low or lower, alone.
    mask : (i, j, k) bool array, optional
        For img_value and percentile: what lies outside does not count and is set to 0.

    Returns
    -------
    (i, j, k, n_maps) array of the maps' type

    Raises
    ------
    UsageError
        A threshold that is no number or not in the strategy's range; an unknown strategy.
    GridMismatch
        A mask of another shape.
    """
    _check(threshold, strategy, maps.shape[-1], two_sided)
    if mask is not None and mask.shape != maps.shape[:3]:
        raise GridMismatch("the mask", f"has shape {mask.shape}, not {maps.shape[:3]}")
    kept = finite(maps)
    if strategy == "ratio_n_voxels":
        heights = _heights(kept)
        share = 100.0 - (100.0 / maps.shape[-1]) * threshold
        kept[heights < _percentile(heights, share)] = 0
        return kept
    if mask is not None:
        kept[~mask] = 0
    cut_off = threshold
    if strategy == "percentile":
        counted = kept if mask is None else kept[mask]
        counted = _heights(counted) if two_sided else counted[counted >= 0]
        cut_off = _percentile(counted, threshold) + ABOVE_PERCENTILE if counted.size else 0.0
    if two_sided:
        kept[_heights(kept) < cut_off] = 0
    elif cut_off >= 0:
        kept[kept < cut_off] = 0
    else:
        kept[kept > cut_off] = 0
    return kept


def _check(threshold: float, strategy: str, n_maps: int, two_sided: bool) -> None:
    """Raise UsageError where the arguments make no sense together."""
    if strategy not in THRESHOLDING_STRATEGIES:
        problem = f"is {strategy!r}, but must be one of {', '.join(THRESHOLDING_STRATEGIES)}"
        raise UsageError("thresholding_strategy", problem)
    if not np.isfinite(threshold):
        raise UsageError("threshold", f"is {threshold}, which is no number")
    if strategy == "ratio_n_voxels" and not 0 < threshold <= n_maps:
        problem = f"is {threshold:g}, but must be above 0 and at most the number of maps, {n_maps}"
        raise UsageError("threshold", problem, "It says how many voxels to keep, per voxel.")
    if strategy == "percentile" and not 0 <= threshold <= 100:
        raise UsageError("threshold", f"is {threshold:g}, but a percentile is from 0 to 100")
    if two_sided and threshold < 0:
        raise UsageError("threshold", f"is {threshold:g}, but with two sides it is 0 or more")


def _heights(values: NDArray[Any]) -> NDArray[Any]:
    """Return absolute values; -128 has none in int8."""
    is_float = values.dtype.kind == "f"
    heights: NDArray[Any] = np.abs(values if is_float else values.astype(np.float64))
    return heights


def _percentile(values: NDArray[Any], share: float) -> float:
    """Return a percentile between two values as `scipy.stats.scoreatpercentile` rounds it."""
    place = share / 100.0 * (values.size - 1)
    below = int(place)
    if below == place:
        return float(np.partition(values, below, axis=None)[below])
    pair = np.partition(values, (below, below + 1), axis=None)[below : below + 2]
    weights = np.array([below + 1 - place, place - below])
    return float(np.add.reduce(pair * weights) / weights.sum())
