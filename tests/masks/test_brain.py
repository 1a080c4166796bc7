"""The brain of simulated heads is found, and what is no upright head is not believed."""

from __future__ import annotations

import numpy as np
import pytest

from bidsmask.errors import UnusableImage
from bidsmask.images.grid import Grid
from bidsmask.masks.brain import LEAST_CONFIDENCE, BrainMask, brain_mask
from tests.make_heads import dice, head_grid, head_image, head_prior, true_brain

SMALLER = 0.93


@pytest.fixture(scope="module")
def epi() -> BrainMask:
    return brain_mask(head_image("EPI", SMALLER), head_grid(), head_prior("EPI"), "EPI")


def test_the_brain_of_an_epi_is_found(epi):
    assert dice(epi.voxels, true_brain(SMALLER)) > 0.98
    assert epi.sure
    assert epi.confidence > LEAST_CONFIDENCE


def test_the_brain_of_a_t1w_is_found():
    found = brain_mask(head_image("T1w", SMALLER), head_grid(), head_prior("T1w"), "T1w")
    assert dice(found.voxels, true_brain(SMALLER)) > 0.95
    assert found.sure


def test_a_header_shifted_by_60_mm_changes_nothing(epi):
    moved = head_grid().affine.copy()
    moved[:3, 3] += 60, -60, 60
    values = head_image("EPI", SMALLER)
    before = values.copy()
    found = brain_mask(values, Grid(values.shape, moved), head_prior("EPI"), "EPI")
    assert dice(found.voxels, epi.voxels) > 0.99
    assert found.sure
    assert np.array_equal(values, before)


def test_a_file_with_its_axes_in_another_order_gives_the_same_mask(epi):
    values = np.flip(head_image("EPI", SMALLER), 0).transpose(1, 2, 0)
    to_old = np.array([[0, 0, -1, values.shape[2] - 1], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]])
    grid = Grid(values.shape, head_grid().affine @ to_old)
    found = brain_mask(values, grid, head_prior("EPI"), "EPI")
    same_order = np.flip(found.voxels.transpose(2, 0, 1), 0)
    assert dice(same_order, epi.voxels) > 0.99


def test_half_a_head_is_not_believed():
    values = head_image("EPI")
    values[: values.shape[0] // 2] = 0
    found = brain_mask(values, head_grid(), head_prior("EPI"), "EPI")
    assert not found.sure
    assert "the template hardly fits" in found.doubts[0]


def test_noise_is_not_believed():
    noise = np.random.default_rng(0).random(head_grid().shape)
    assert not brain_mask(noise, head_grid(), head_prior("EPI"), "EPI").sure


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (np.ones((50, 58, 50)), "is constant"),
        (np.ones((50, 58)), "3D"),
        (np.zeros((50, 58, 50), complex), "complex"),
        (np.full((50, 58, 50), np.nan), "no finite value"),
        (-np.random.default_rng(0).random((50, 58, 50)), "has no positive value"),
    ],
)
def test_what_shows_no_head_is_refused(values, says):
    with pytest.raises(UnusableImage, match=says):
        brain_mask(values, head_grid(), head_prior("EPI"), "EPI", where="run")


@pytest.mark.parametrize("voxel_mm", [0.5, 100.0])
def test_a_field_of_view_too_small_or_too_large_for_a_head_is_refused(voxel_mm):
    grid = Grid(head_grid().shape, np.diag([voxel_mm, voxel_mm, voxel_mm, 1]))
    with pytest.raises(UnusableImage, match="a head needs 40 to 600 mm along each axis"):
        brain_mask(head_image("EPI"), grid, head_prior("EPI"), "EPI")
