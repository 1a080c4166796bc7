"""A smooth warp that bends a template's brain onto an image's, by local correlation.

The gradient of the squared local correlation (Cachier and Pennec 2000; Avants et al. 2008),
smoothed as an update and as a whole, so that it follows heads and not folds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bidsmask.masks.head import Float32Array

BoolArray = NDArray[np.bool_]

# Less smoothing found displacements of 20 mm, and lost Dice.
_UPDATE_SIGMA = 2.0
_WHOLE_SIGMA = 1.0
_WINDOW = 5
_LEAST_VARIANCE = np.float32(5e-3)
_FIRST_STEP, _LAST_STEP = 0.5, 0.1  # voxels, of 99 % of them
_ENOUGH_GAIN = 3e-5  # of the mean squared correlation in one step
_N_THREADS = 2


@dataclass(frozen=True)
class Level:
    """One resolution of the warp: voxels averaged by `shrink`, and at most so many steps."""

    shrink: int
    n_steps: int


LEVELS = (Level(2, 40), Level(1, 25))


def warp(fixed: Float32Array, moving: Float32Array, unseen: BoolArray) -> Float32Array:
    """Find where the moving image must be read to look like the fixed one.

    Parameters
    ----------
    fixed, moving : (i, j, k) float32 arrays
        On one grid of about 2 mm, affinely aligned.
    unseen : (i, j, k) bool array
        Voxels that the fixed image does not cover; they pull nowhere.

    Returns
    -------
    (3, i, j, k) float32 array
        Displacements in voxels: `bend(moving, displacement)` is like `fixed`.
    """
    with ThreadPoolExecutor(_N_THREADS) as threads:
        displacement = np.zeros((3, *_shrunk_shape(fixed.shape, LEVELS[0].shrink)), np.float32)
        last = LEVELS[0].shrink
        for level in LEVELS:
            shape = _shrunk_shape(fixed.shape, level.shrink)
            displacement = _enlarge(displacement, last / level.shrink, shape)
            one = _shrink(fixed, level.shrink), _shrink(moving, level.shrink)
            blind = _shrink(unseen.astype(np.float32), level.shrink) > 0.3
            displacement = _climb(*one, blind, displacement, level.n_steps, threads)
            last = level.shrink
    return displacement


def bend(values: Float32Array, displacement: Float32Array, mode: str = "nearest") -> Float32Array:
    """Return the values read at each voxel plus its displacement (voxels), linearly."""
    axes = np.ogrid[tuple(slice(0, length) for length in values.shape)]
    places = [
        axis.astype(np.float32) + shift for axis, shift in zip(axes, displacement, strict=True)
    ]
    bent: Float32Array = ndimage.map_coordinates(values, places, order=1, mode="nearest")
    return bent


def _climb(
    fixed: Float32Array,
    moving: Float32Array,
    blind: BoolArray,
    displacement: Float32Array,
    n_steps: int,
    threads: ThreadPoolExecutor,
) -> Float32Array:
    """Return the displacement after climbing the squared local correlation."""

    def each(
        change: Callable[[Float32Array], Float32Array], arrays: Iterable[Float32Array]
    ) -> Float32Array:
        return np.stack(list(threads.map(change, arrays)))

    fixed_mean, fixed_square = each(_local_mean, [fixed, fixed * fixed])
    fixed_variance = np.maximum(fixed_square - fixed_mean**2, 0) + _LEAST_VARIANCE
    best, best_update, height, step = displacement, np.zeros_like(displacement), -1.0, _FIRST_STEP
    for _ in range(n_steps):
        bent = bend(moving, displacement)
        mean, square, product = each(_local_mean, [bent, bent * bent, fixed * bent])
        variance = np.maximum(square - mean**2, 0) + _LEAST_VARIANCE
        covariance = product - fixed_mean * mean
        reached = float((covariance**2 / (fixed_variance * variance)).mean())
        if reached > height:
            gain, height, best = reached - height, reached, displacement
            residual = (fixed - fixed_mean) - covariance / variance * (bent - mean)
            pull = 2 * covariance / (fixed_variance * variance) * residual
            pull[blind] = 0
            best_update = _limit(each(_smooth_update, [pull * part for part in np.gradient(bent)]))
            step = step if gain > _ENOUGH_GAIN else step / 2
        else:
            step = step / 2
        if step < _LAST_STEP:
            break
        update = best_update * np.float32(step)
        composed = each(partial(bend, displacement=update), best)
        displacement = each(_smooth_whole, composed + update)
    return best


def _local_mean(values: Float32Array) -> Float32Array:
    mean: Float32Array = ndimage.uniform_filter(values, _WINDOW, mode="nearest")
    return mean


def _smooth_update(values: Float32Array) -> Float32Array:
    smooth: Float32Array = ndimage.gaussian_filter(values, _UPDATE_SIGMA, truncate=3.0)
    return smooth


def _smooth_whole(values: Float32Array) -> Float32Array:
    smooth: Float32Array = ndimage.gaussian_filter(values, _WHOLE_SIGMA, truncate=3.0)
    return smooth


def _limit(update: Float32Array) -> Float32Array:
    """Return the update scaled so that 99 % move one voxel at most, and none over two."""
    lengths = np.sqrt((update**2).sum(axis=0))
    scale = np.float32(1 / max(float(np.percentile(lengths[::2, ::2, ::2], 99)), 1e-9))
    return np.asarray(update * scale / np.maximum(lengths * scale / 2, np.float32(1)))


def _shrunk_shape(shape: tuple[int, ...], factor: int) -> tuple[int, ...]:
    return tuple(-(-length // factor) for length in shape)


def _shrink(values: Float32Array, factor: int) -> Float32Array:
    """Return means of cubes of voxels, the last ones filled up with their edge."""
    i, j, k = _shrunk_shape(values.shape, factor)
    margins = [(0, -length % factor) for length in values.shape]
    whole = np.pad(values, margins, mode="edge")
    cubes = whole.reshape(i, factor, j, factor, k, factor)
    return np.asarray(cubes.mean(axis=(1, 3, 5)), np.float32)


def _enlarge(displacement: Float32Array, factor: float, shape: tuple[int, ...]) -> Float32Array:
    """Return a displacement on a finer grid of the same voxels split, in finer voxels."""
    if factor == 1:
        return displacement
    offset = np.full(3, (1 / factor - 1) / 2)
    parts = [
        ndimage.affine_transform(
            part, np.full(3, 1 / factor), offset=offset, output_shape=shape, order=1, mode="nearest"
        )
        for part in displacement
    ]
    return np.stack(parts) * np.float32(factor)
