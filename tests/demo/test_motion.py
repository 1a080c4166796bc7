"""Motion and what is derived from it."""

import numpy as np

from bidsmask.demo.motion import expansion, framewise_displacement, simulate_motion


def test_displacement_is_the_sum_that_power_wrote_down():
    motion = simulate_motion(np.random.default_rng(1), 30, [4])
    by_hand = [
        sum(abs(motion[t, p] - motion[t - 1, p]) * (1 if p < 3 else 50) for p in range(6))
        for t in range(1, 30)
    ]
    displacement = framewise_displacement(motion)
    assert np.isnan(displacement[0])
    np.testing.assert_allclose(displacement[1:], by_hand)


def test_a_jerk_shows_when_the_head_leaves_and_when_it_returns():
    motion = simulate_motion(np.random.default_rng(2), 100, [40])
    assert np.flatnonzero(framewise_displacement(motion) > 0.5).tolist() == [40, 41]


def test_expansion_starts_without_differences_and_counts_rotations_in_mm():
    motion = np.zeros((3, 6))
    motion[1, 3] = 0.02
    terms = expansion(motion)
    assert terms.shape == (3, 24)
    assert np.isfinite(terms).all()
    assert terms[1, [3, 9, 15, 21]].tolist() == [1, 1, 1, 1]
    assert terms[2, [3, 9, 15, 21]].tolist() == [0, -1, 0, 1]
