"""The level that parts bright voxels from dark ones: AFNI's 3dClipLevel, whole and gradual."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bidsmask.images.grid import FloatArray

N_BINS = 10_000
FEWEST_VOXELS = 222
MOST_ROUNDS = 66
# float32, as there, and so are its products: another last bit could move a cut by a bin.
BRIGHT_SHARE = np.float32(0.65)
# An octant's level is at least this share of the whole image's, and octants overlap by this
# share of an axis.
LEAST_SHARE, OVERLAP = np.float32(0.333), 0.01


def clip_level(values: FloatArray, fraction: float) -> float:
    """Return a fraction of the median of the voxels above that very level.

    Parameters
    ----------
    values : array of any shape, float32
        Voxels of 0 and less do not count.
    fraction : float
        0 to 1.

    Returns
    -------
    float
        0 where fewer than 223 voxels are above 0. The number of AFNI's `THD_cliplevel`.
    """
    largest = float(values.max(initial=0))
    if largest < 1e-100:
        return 0.0
    scale = N_BINS / largest
    bins = (scale * values[values > 0].astype(np.float64) + 0.499).astype(np.intp)
    bins = bins[bins <= N_BINS]
    if bins.size <= FEWEST_VOXELS:
        return 0.0
    counts = np.bincount(bins, minlength=N_BINS + 1)[:N_BINS]
    cut = _first_cut(counts, bins)
    before = np.concatenate([[0], np.cumsum(counts)])  # voxels in the bins below each
    for _ in range(MOST_ROUNDS):
        half = (int(before[-1]) - int(before[cut])) // 2
        middle = max(cut, int(np.searchsorted(before, before[cut] + half)))
        cut, previous = int(np.float32(fraction) * np.float32(middle)), cut
        if cut == previous:
            break
    return float(np.float32(cut / scale))


def _first_cut(counts: NDArray[np.intp], bins: NDArray[np.intp]) -> int:
    """Return the bin above which the brightest 65 % are, but no lower than half the rms."""
    wanted = int(BRIGHT_SHARE * np.float32(bins.size))
    rms = np.sqrt(np.sum(bins.astype(np.float64) ** 2) / bins.size)
    lowest = round(0.5 * float(rms))
    cut, n_above = N_BINS - 1, 0
    while cut >= lowest and n_above < wanted:
        n_above += int(counts[cut])
        cut -= 1
    return max(cut, 0)


def gradual_clip_levels(values: FloatArray, fraction: float) -> FloatArray:
    """Return a clip level for each voxel, interpolated between those of eight octants.

    Parameters
    ----------
    values : (i, j, k) float32 array
        None below 0, one above.
    fraction : float
        As for `clip_level`.

    Returns
    -------
    (i, j, k) float32 array
    """
    least = LEAST_SHARE * np.float32(clip_level(values, fraction))
    center = [round(float(place)) for place in ndimage.center_of_mass(values)]
    halves, weights = [], []
    for length, middle in zip(values.shape, center, strict=True):
        overlap = max(1, round(OVERLAP * length))
        halves.append((slice(0, middle + overlap + 1), slice(max(0, middle - overlap), length)))
        weights.append(_weights(length, middle))
    levels = np.zeros(values.shape, np.float32)
    for octant in product((0, 1), repeat=3):
        sides = octant[::-1]  # i fastest, as there: float32 sums depend on their order
        part = tuple(half[side] for half, side in zip(halves, sides, strict=True))
        level = np.float32(max(clip_level(values[part], fraction), float(least)))
        i, j, k = (both[side] for both, side in zip(weights, sides, strict=True))
        levels += level * i[:, None, None] * j[:, None] * k
    return levels


def _weights(length: int, middle: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return what the lower and the upper half of an axis count for at each of its voxels."""
    low, high = 0.5 * middle, 0.5 * (middle + length - 1)
    per_voxel = np.float32(1 / (high - low) if high > low else 0)
    places = np.arange(length, dtype=np.float32) - np.float32(low)
    upper = np.clip(places * per_voxel, np.float32(0), np.float32(1))
    return np.float32(1) - upper, upper
