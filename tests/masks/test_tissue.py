"""What intensities say, against formulas and simulated tissue."""

from __future__ import annotations

import numpy as np
import pytest

from bidsmask.masks.tissue import (
    even_out,
    learned_evidence,
    local_mean,
    matter_evidence,
    signal_evidence,
    three_classes,
)

SHAPE = (24, 26, 22)


def slope() -> np.ndarray:
    """Return a coil's sensitivity that doubles from front to back."""
    return np.broadcast_to(np.linspace(1, 2, SHAPE[1])[:, np.newaxis], SHAPE).astype(np.float32)


def test_three_groups_are_told_apart():
    random = np.random.default_rng(0)
    truth = random.choice(3, 3000, p=[0.2, 0.4, 0.4])
    values = np.array([0.2, 0.6, 0.9])[truth] + 0.03 * random.standard_normal(3000)
    means, classes = three_classes(values.astype(np.float32))
    assert np.array_equal(classes, truth)
    np.testing.assert_allclose(means, [0.2, 0.6, 0.9], atol=0.01)


def test_the_local_mean_of_one_value_is_that_value():
    used = np.zeros(SHAPE, bool)
    used[5:15, 5:15, 5:15] = True
    values = np.full(SHAPE, 0.7, np.float32)
    np.testing.assert_allclose(local_mean(values, used, 3.0)[used], 0.7, rtol=1e-3)


def test_a_smooth_field_is_divided_out():
    core = np.ones(SHAPE, bool)
    even = even_out(0.4 * slope(), core, 20.0)
    assert even.std() / even.mean() < 0.3 * slope().std() / slope().mean()


def test_signal_counts_from_two_fifths_of_the_brains_own():
    even = np.array([0, 0.2, 0.4, 0.8, 1], np.float32)
    np.testing.assert_allclose(signal_evidence(even), [-1, -0.5, 0, 1, 1], atol=1e-6)


def test_what_was_learned_is_the_logarithm_of_the_ratio_within_its_bounds():
    even = np.repeat(np.array([0.1, 0.5, 0.9], np.float32), 1000).reshape(10, 10, 30)
    flat = even.ravel()
    within, without = np.zeros(3000, bool), np.zeros(3000, bool)
    within[1000:1400] = within[2000:2100] = True  # 4 : 1 of middle and bright
    without[1400:1500] = without[2100:2500] = True  # 1 : 4
    layers = within.reshape(even.shape), without.reshape(even.shape)
    evidence = learned_evidence(even, *layers).ravel()
    assert evidence[flat == np.float32(0.5)] == pytest.approx(np.log(4), abs=0.1)
    assert evidence[flat == np.float32(0.9)] == pytest.approx(-np.log(4), abs=0.1)
    assert evidence[flat == np.float32(0.1)] == pytest.approx(0)


def test_grey_and_white_are_matter_and_fluid_is_none():
    random = np.random.default_rng(0)
    tissue = random.choice(3, SHAPE, p=[0.15, 0.45, 0.4])
    values = np.array([0.15, 0.55, 0.85], np.float32)[tissue]
    evidence = matter_evidence(values, np.ones(SHAPE, bool), 3.0)
    assert (evidence[tissue > 0] > 0.9).all()
    assert (evidence[tissue == 0] < 0.2).all()
