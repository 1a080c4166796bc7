"""Clip levels worked out by hand, and what AFNI's description promises of them."""

from __future__ import annotations

import numpy as np
import pytest

from bidsmask.masks.cliplevel import clip_level, gradual_clip_levels


def two_levels(n_dark: int, n_bright: int) -> np.ndarray:
    """Return voxels of 1 and of 1000."""
    return np.repeat(np.float32([1, 1000]), [n_dark, n_bright])


def test_the_level_is_a_fraction_of_the_median_above_it() -> None:
    # Bins 10 (1 of 1000 over 10,000 bins) and 10,000, which is not counted; so 999 is brighter.
    values = np.repeat(np.float32([1, 999, 1000]), [500, 1000, 1])
    # The first bin after that of the median (9990) is 9991; half of it, 4995 of 10 a unit.
    assert clip_level(values, 0.5) == 499.5
    assert clip_level(values, 0.3) == pytest.approx(299.7)


def test_fewer_than_223_voxels_have_no_level() -> None:
    values = np.linspace(1, 2, 222, dtype=np.float32)
    assert clip_level(values, 0.5) == 0
    assert clip_level(np.append(values, np.float32(1.5)), 0.5) > 0
    assert clip_level(np.zeros(1000, np.float32), 0.5) == 0


def test_dark_voxels_do_not_count_once_bright_ones_are_found() -> None:
    few = np.concatenate([two_levels(1000, 2000), np.full(3000, 990, np.float32)])
    many = np.concatenate([two_levels(4000, 2000), np.full(3000, 990, np.float32)])
    assert clip_level(few, 0.5) == clip_level(many, 0.5)


@pytest.mark.parametrize("scale", [1e-3, 4, 1e6])
def test_the_level_scales_with_the_values(scale: float) -> None:
    values = np.random.default_rng(0).gamma(3, 100, 5000).astype(np.float32)
    level = clip_level((values * np.float32(scale)).astype(np.float32), 0.5)
    assert level == pytest.approx(scale * clip_level(values, 0.5), rel=2e-3)


def test_a_smaller_fraction_gives_a_lower_level() -> None:
    values = np.random.default_rng(1).gamma(3, 100, 5000).astype(np.float32)
    levels = [clip_level(values, fraction) for fraction in (0.1, 0.3, 0.5, 0.7)]
    assert levels == sorted(levels)


def test_gradual_levels_follow_a_bias_and_are_the_same_without_one() -> None:
    rng = np.random.default_rng(2)
    flat = rng.normal(1000, 20, (30, 32, 28)).astype(np.float32)
    levels = gradual_clip_levels(flat, 0.5)
    assert levels.dtype == np.float32
    assert levels.shape == flat.shape
    np.testing.assert_allclose(levels, clip_level(flat, 0.5), rtol=0.01)
    biased = gradual_clip_levels(
        flat * np.linspace(0.5, 1.5, 30, dtype=np.float32)[:, None, None], 0.5
    )
    assert (np.diff(biased[:, 5, 5]) >= 0).all()
    assert biased[-1, 5, 5] > 1.5 * biased[0, 5, 5]


def test_no_part_has_a_level_below_a_third_of_the_whole() -> None:
    values = np.full((24, 24, 24), 1000, np.float32)
    values[:12] = 1
    values += np.random.default_rng(0).random(values.shape, dtype=np.float32)
    least = np.float32(0.333 * clip_level(values, 0.5))
    assert gradual_clip_levels(values, 0.5).min() >= least * np.float32(1 - 1e-6)
