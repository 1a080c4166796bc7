"""Small series and confounds for the tests of maskers, and nilearn without its warnings."""

from __future__ import annotations

import warnings
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray

from tests.make_images import AFFINE, head_volumes

SHAPE = (10, 11, 9)
T_R = 2.0


def series(
    n_volumes: int = 60, dtype: str = "float32", seed: int = 0, order: Any = "F"
) -> nibabel.Nifti1Image:
    """Return a head whose voxels drift and vary, as an image in memory."""
    random = np.random.default_rng(seed)
    values = head_volumes(SHAPE, n_volumes, seed) * 10
    drift = np.linspace(-1, 1, n_volumes) * random.normal(0, 200, (*SHAPE, 1))
    return nibabel.Nifti1Image(np.array(values + drift, dtype, order=order), AFFINE)


def mask(seed: int = 0) -> nibabel.Nifti1Image:
    """Return a mask of half of the voxels, here and there."""
    inside = np.random.default_rng([1, seed]).random(SHAPE) > 0.5
    return nibabel.Nifti1Image(inside.astype(np.uint8), AFFINE)


def confounds(n_volumes: int = 60, n_columns: int = 3, seed: int = 0) -> NDArray[np.float64]:
    """Return columns of random walks with means of their own."""
    random = np.random.default_rng([2, seed])
    walks = np.cumsum(random.standard_normal((n_volumes, n_columns)), axis=0)
    return np.asarray(walks + random.normal(0, 10, n_columns))


def quietly(function: Any, *args: Any, **options: Any) -> Any:
    """Return what a function of nilearn gives; what it warns of is not the test's."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*args, **options)
