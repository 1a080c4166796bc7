"""What intensity alone says about each voxel: +1 brain, 0 undecided, -1 not brain.

The coil's sensitivity is divided out by what the brain itself shows of it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bidsmask.masks.head import Float32Array

BoolArray = NDArray[np.bool_]

SENSITIVITY_MM = 20.0  # sigma; coils vary over centimetres
_BIAS_ROUNDS = 4
_CLASS_ROUNDS = 15
_N_BINS = 40
_LEAST_DENSITY = 2e-3
_STRONGEST = 2.0


def matter_evidence(values: Float32Array, core: BoolArray, voxel_mm: float) -> Float32Array:
    """Judge a T1w image: grey and white matter are brain, fluid is not, nor what is brighter.

    Parameters
    ----------
    values : (i, j, k) float32 array
        Scaled.
    core : (i, j, k) bool array
        Voxels that are brain for sure; three classes are found among them.
    voxel_mm : float

    Returns
    -------
    (i, j, k) float32 array
        0 at the mean of fluid, +1 from half way to grey matter up to white matter, falling
        to -1 above it.
    """
    sensitivity = np.full_like(values, np.percentile(values[core], 80))
    for _ in range(_BIAS_ROUNDS):
        means, classes = three_classes((values / sensitivity)[core])
        expected = np.ones_like(values)
        expected[core] = np.array([1, means[1], means[2]], np.float32)[classes]
        matter = np.zeros_like(core)
        matter[core] = classes > 0
        sensitivity = local_mean(values / expected, matter, voxel_mm)
    even = values / sensitivity
    (fluid, grey, white), _ = three_classes(even[core])
    too_bright = white + 1.5 * (white - grey)
    above = np.clip(1 - (even - too_bright) / (white - grey), -1, 1)
    below = np.clip(2 * (even - fluid) / (grey - fluid), -1, 1)
    return np.asarray(np.where(even > too_bright, above, below), np.float32)


def even_out(values: Float32Array, core: BoolArray, voxel_mm: float) -> Float32Array:
    """Return values as shares of the brain's own signal nearby: about 1 in the brain."""
    lit = core & (values > 0.4 * np.median(values[core]))
    return np.asarray(values / local_mean(values, lit, voxel_mm), np.float32)


def signal_evidence(even: Float32Array) -> Float32Array:
    """Judge by signal alone: -1 for none, 0 at .4 of the brain's own, +1 from .8 on."""
    return np.asarray(np.clip((even - 0.4) / 0.4, -1, 1), np.float32)


def learned_evidence(even: Float32Array, within: BoolArray, without: BoolArray) -> Float32Array:
    """Judge each value by how often it stands on either side of the surface.

    Parameters
    ----------
    even : (i, j, k) float32 array
        From `even_out`.
    within, without : (i, j, k) bool arrays
        Layers on both sides, with some voxels each.

    Returns
    -------
    (i, j, k) float32 array
        Logarithm of the ratio of the two densities, from -2 to 2.
    """
    brightest = 1.5 * np.percentile(even[within], 99.5)
    bins = np.minimum((even / brightest * _N_BINS).astype(np.intp), _N_BINS - 1)
    densities = []
    for layer in (within, without):
        counts = np.bincount(bins[layer], minlength=_N_BINS).astype(np.float64)
        smooth = ndimage.gaussian_filter1d(counts, 1, mode="constant")
        densities.append(smooth / smooth.sum() + _LEAST_DENSITY)
    ratio = np.log(densities[0] / densities[1])
    evidence = np.asarray(np.clip(ratio, -_STRONGEST, _STRONGEST), np.float32)
    return np.asarray(evidence[bins])


def three_classes(
    values: NDArray[np.float32],
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Part values into dark, middle and bright by k-means: their means and each one's class."""
    means = np.percentile(values, [5, 45, 85]).astype(np.float64)
    for _ in range(_CLASS_ROUNDS):
        classes = np.searchsorted((means[1:] + means[:-1]) / 2, values)
        counts = np.bincount(classes, minlength=3)
        sums = np.bincount(classes, values, minlength=3)
        means = np.where(counts > 0, sums / np.maximum(counts, 1), means)
    return means, classes


def local_mean(values: Float32Array, used: BoolArray, voxel_mm: float) -> Float32Array:
    """Return the mean over the voxels used nearby, made at half the resolution."""
    halves = [
        ndimage.gaussian_filter(
            part[::2, ::2, ::2].astype(np.float32), SENSITIVITY_MM / voxel_mm / 2
        )
        for part in (values * used, used)
    ]
    mean = halves[0] / np.maximum(halves[1], np.float32(1e-3))
    fine = ndimage.affine_transform(
        mean, np.full(3, 0.5), output_shape=values.shape, order=1, mode="nearest"
    )
    return np.asarray(np.maximum(fine, np.float32(0.1 * np.median(values[used]))))
