"""The mask of what lies in a range of values, Otsu's or a given one: nidataset's voxels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bidsmask.errors import UnusableImage, UnusableMask, UsageError
from bidsmask.images.grid import FloatArray, Grid
from bidsmask.images.morphology import close_by_ball, fill_holes, largest_component
from bidsmask.masks.usable import refuse_unusable

N_BINS = 256
# nidataset's: from half of Otsu's threshold to twice of it.
LOWEST, HIGHEST = 0.5, 2.0


def otsu_mask(
    mean: NDArray[Any],
    grid: Grid,
    *,
    threshold: Sequence[float] = (),
    closing_radius: int = 3,
    where: str | Path = "the image",
) -> NDArray[np.bool_]:
    """Return the largest component of the voxels in a range of values, filled and closed.

    The numbers of nidataset's `generate_brain_mask`.

    Parameters
    ----------
    mean : (i, j, k) array, real
        Mean over volumes, or a 3D image. Not changed. NaN and Inf are background.
    grid : Grid
        Of the image.
    threshold : two numbers, or none
        Lowest and highest value inside. None: half and twice Otsu's threshold of the values
        above 0.
    closing_radius : int
        Of the ball that closes the mask, voxels.
    where : str or Path
        What messages are about.

    Returns
    -------
    (i, j, k) bool array

    Raises
    ------
    UnusableImage
        Not 3D on the grid, complex, constant, without a finite value, or without a value above
        0 where Otsu's threshold is wanted.
    UnusableMask
        No value is in the range.
    UsageError
        Not two numbers in order, a negative radius.
    """
    check_otsu_arguments({"threshold": threshold, "closing_radius": closing_radius})
    refuse_unusable(mean, grid, where)
    values = mean.astype(np.float64)
    low, high = threshold or otsu_range(values, where)
    inside = (values >= low) & (values <= high) & np.isfinite(values)
    if not inside.any():
        raise UnusableMask(
            where,
            f"has no value between {low:g} and {high:g}, only {np.nanmin(values):g} to "
            f"{np.nanmax(values):g}",
            "Give another range by threshold=LOW,HIGH.",
        )
    return largest_component(close_by_ball(fill_holes(inside), closing_radius))


def check_otsu_arguments(arguments: Mapping[str, Any]) -> None:
    """Raise UsageError where arguments of `otsu_mask` make no sense."""
    threshold = arguments["threshold"]
    if threshold and not (len(threshold) == 2 and threshold[0] <= threshold[1]):
        raise UsageError(
            "otsu mask",
            f"has the threshold {tuple(threshold)}, which is no lowest and highest value",
            "Give threshold=LOW,HIGH.",
        )
    if arguments["closing_radius"] < 0:
        raise UsageError("otsu mask", f"cannot close by {arguments['closing_radius']} voxels")


def otsu_range(values: FloatArray, where: str | Path) -> tuple[float, float]:
    """Return half and twice the threshold of Otsu 1979 over the values above 0.

    The numbers of scikit-image's `threshold_otsu`.
    """
    positive = values[(values > 0) & np.isfinite(values)]
    if positive.size == 0:
        raise UnusableImage(
            where, "has no value above 0", "Give the range of the brain by threshold=LOW,HIGH."
        )
    if positive.min() == positive.max():
        return LOWEST * float(positive[0]), HIGHEST * float(positive[0])
    in_bins, edges = np.histogram(positive, N_BINS)
    # scikit-image counts in float32; its ties and roundings are to be kept.
    counts = in_bins.astype(np.float32)
    centers = (edges[:-1] + edges[1:]) / 2
    below, above = np.cumsum(counts), np.cumsum(counts[::-1])[::-1]
    mean_below = np.cumsum(counts * centers) / below
    mean_above = (np.cumsum((counts * centers)[::-1]) / above[::-1])[::-1]
    between = below[:-1] * above[1:] * (mean_below[:-1] - mean_above[1:]) ** 2
    found = float(centers[np.argmax(between)])
    return LOWEST * found, HIGHEST * found
