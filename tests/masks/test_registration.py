"""Affine maps are recovered from points and from images."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from bidsmask.images.grid import Grid
from bidsmask.masks.head import Head
from bidsmask.masks.registration import (
    Alignment,
    align_any_way_up,
    fit_points,
    otsu_threshold,
    right_angled_turns,
)
from tests.make_heads import head_grid, head_image, head_prior

TURN = Rotation.from_euler("xyz", [8, -5, 12], degrees=True).as_matrix()
SHEAR = np.array([[1.1, 0.02, 0], [0, 0.9, 0.05], [0.01, 0, 1.05]])
MAPS = {"rigid": TURN, "similarity": 1.07 * TURN, "affine": SHEAR}


@pytest.mark.parametrize("kind", MAPS)
def test_a_map_without_error_is_recovered(kind):
    random = np.random.default_rng(0)
    points = 50 * random.standard_normal((40, 3))
    weights = random.random(40)
    truth = np.eye(4)
    truth[:3, :3], truth[:3, 3] = MAPS[kind], (3, -20, 7)
    places = points @ truth[:3, :3].T + truth[:3, 3]
    np.testing.assert_allclose(fit_points(points, places, weights, kind), truth, atol=1e-9)


def test_a_rigid_map_never_mirrors():
    points = np.random.default_rng(0).standard_normal((20, 3))
    mirrored = fit_points(points, points * [-1, 1, 1], np.ones(20), "rigid")
    assert np.linalg.det(mirrored[:3, :3]) == pytest.approx(1)


def test_there_are_24_right_angled_turns():
    turns = right_angled_turns()
    assert len({turn.astype(int).tobytes() for turn in turns}) == 24
    assert all(np.linalg.det(turn) == pytest.approx(1) for turn in turns)


def test_otsus_threshold_lies_between_two_far_groups():
    random = np.random.default_rng(0)
    values = np.concatenate([random.normal(0.2, 0.02, 500), random.normal(0.8, 0.02, 300)])
    threshold = otsu_threshold(values.astype(np.float32))
    assert ((values > threshold) == (np.arange(800) >= 500)).all()


def test_growth_and_turn_of_an_alignment():
    to_image = np.eye(4)
    to_image[:3, :3] = 1.1 * Rotation.from_euler("z", 90, degrees=True).as_matrix()
    one = Alignment(to_image, 0.5)
    assert one.growth == pytest.approx(1.331)
    assert one.turn_degrees == pytest.approx(90)


def test_a_head_that_lies_on_its_side_is_found():
    prior = head_prior("EPI")
    turn = np.eye(4)
    turn[:3, :3] = Rotation.from_euler("x", 90, degrees=True).as_matrix()
    lying = Grid(head_grid().shape, turn @ head_grid().affine)
    image = Head.scaled(head_image("EPI"), lying)
    found = align_any_way_up(prior.head, prior.brain, image, inverted=False, around_mm=10)
    assert found.correlation > 0.9
    assert found.growth == pytest.approx(1, abs=0.02)
