"""The warp follows a smooth deformation and leaves alike images alone."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from bidsmask.masks.warp import bend, warp

SHAPE = (40, 44, 40)


def texture() -> np.ndarray:
    """Return folds, mostly 0 or 1, with soft edges."""
    noise = np.random.default_rng(0).standard_normal(SHAPE)
    smooth = ndimage.gaussian_filter(noise, 2.5)
    return np.clip(0.5 + 2 * smooth / smooth.std(), 0, 1).astype(np.float32)


def bump() -> np.ndarray:
    """Return a displacement of 3 voxels along j in the middle, none at the border."""
    steps = np.indices(SHAPE) - np.array(SHAPE).reshape(3, 1, 1, 1) / 2
    displacement = np.zeros((3, *SHAPE), np.float32)
    displacement[1] = 3 * np.exp(-(steps**2).sum(axis=0) / (2 * 9**2))
    return displacement


def test_alike_images_are_not_moved():
    image = texture()
    assert np.abs(warp(image, image, np.zeros(SHAPE, bool))).max() < 0.05


def test_a_smooth_deformation_is_followed():
    moving, truth = texture(), bump()
    fixed = bend(moving, truth)
    found = warp(fixed, moving, np.zeros(SHAPE, bool))
    middle = truth[1] > 1.5
    before = np.abs(moving - fixed)[middle].mean()
    assert np.abs(bend(moving, found) - fixed)[middle].mean() < 0.35 * before
    assert np.abs(found - truth)[:, middle].mean() < 0.7


def test_what_was_not_seen_pulls_nowhere():
    moving = texture()
    fixed = bend(moving, bump())
    assert not warp(fixed, moving, np.ones(SHAPE, bool)).any()
