"""Distances, balls and bridges against their formulas."""

from __future__ import annotations

import numpy as np

from bidsmask.masks.surface import close, cut_bridges, grow, signed_distance


def ball(radius: float, centre: tuple[int, int, int] = (15, 15, 15)) -> np.ndarray:
    """Return a ball in 31 x 31 x 31 voxels."""
    steps = np.indices((31, 31, 31)) - np.array(centre).reshape(3, 1, 1, 1)
    return (steps**2).sum(axis=0) <= radius**2


def test_the_distance_from_a_plane_between_voxels():
    inside = np.zeros((8, 3, 3), bool)
    inside[:5] = True
    expected = (np.arange(8) - 4.5) * 1.5
    np.testing.assert_allclose(signed_distance(inside, 1.5)[:, 1, 1], expected, rtol=1e-6)


def test_a_point_grows_to_a_ball_and_shrinks_back():
    grown = grow(ball(0), 5 * 1.5, 1.5)
    assert np.array_equal(grown, ball(5))
    assert grow(grown, -5 * 1.5, 1.5).sum() == 1


def test_closing_fills_holes_and_gaps_but_moves_no_convex_surface():
    solid = ball(9)
    holed = solid.copy()
    holed[15, 15, 13:18] = False  # a hole
    holed[15, 15, 20:] = False  # a furrow
    closed = close(holed, 3, 1)
    assert closed[15, 15, 13:22].all()
    assert not (closed & ~solid).any()


def test_a_thin_bridge_is_cut_and_what_hangs_on_it_goes():
    body, lump = ball(8, (10, 15, 15)), ball(3, (27, 15, 15))
    joined = body | lump
    joined[10:27, 15, 15] = True
    cut = cut_bridges(joined, 2, 1)
    assert not (cut & lump).any()
    assert (cut & body).sum() > 0.97 * body.sum()


def test_without_a_core_nothing_is_cut():
    assert np.array_equal(cut_bridges(ball(1), 3, 1), ball(1))
