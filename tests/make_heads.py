"""Simulated heads with a known brain, and the prior that is made from the simulated template."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from bidsmask.demo.head import EPI_LEVELS, T1W_LEVELS, TEMPLATE_HEAD, Head, Scene
from bidsmask.images.grid import Grid
from bidsmask.masks.brain_prior import Contrast, Prior, build_prior

VOXEL_MM = 4.0
LEVELS = {"T1w": T1W_LEVELS, "EPI": EPI_LEVELS}


def head_grid() -> Grid:
    """Return a grid of 4 mm around the simulated template's head."""
    affine = np.diag([VOXEL_MM, VOXEL_MM, VOXEL_MM, 1])
    affine[:3, 3] = -98, -130, -88
    return Grid((50, 58, 50), affine)


@cache
def scene(scale: float = 1.0) -> Scene:
    """Return a head of a size, sampled on the grid."""
    return Scene.of(Head(scale, TEMPLATE_HEAD.native_to_template), head_grid(), native=False)


def head_image(contrast: Contrast, scale: float = 1.0, noise: float = 10.0) -> NDArray[np.float64]:
    """Return an image with seeded noise, (i, j, k)."""
    values = scene(scale).image(LEVELS[contrast])
    values = values + noise * np.random.default_rng(0).standard_normal(values.shape)
    return np.abs(values).reshape(head_grid().shape, order="F")


def true_brain(scale: float = 1.0) -> NDArray[np.bool_]:
    """Return the brain that the image shows, (i, j, k)."""
    return scene(scale).brain.reshape(head_grid().shape, order="F")


@cache
def head_prior(contrast: Contrast) -> Prior:
    """Return the prior of the simulated template."""
    t1w, head = head_image("T1w", noise=0), head_image(contrast, noise=0)
    return build_prior(head, t1w, true_brain(), head_grid(), contrast)


def dice(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Return twice the overlap over the sum of the volumes."""
    return float(2 * np.count_nonzero(one & other) / (one.sum() + other.sum()))
