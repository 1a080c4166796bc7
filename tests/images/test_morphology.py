"""Openings and components as nilearn has them."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nilearn._utils.ndimage import largest_connected_component
from nilearn.masking import _post_process_mask
from scipy.ndimage import binary_dilation, binary_erosion, binary_fill_holes, gaussian_filter

from bidsmask.images.morphology import (
    close_by_ball,
    dilate,
    dilate_by_ball,
    erode,
    fill_holes,
    largest_component,
    open_and_connect,
)


def blobs(seed: int, level: float = 0.0) -> np.ndarray[tuple[int, int, int], np.dtype[np.bool_]]:
    noise = np.random.default_rng(seed).normal(size=(14, 15, 16))
    smooth = gaussian_filter(noise, 1.2)
    return smooth > level * smooth.std()


@given(st.integers(0, 10**6), st.sampled_from([-0.5, 0.0, 0.5, 2.0]))
@settings(max_examples=30)
def test_the_largest_component_is_nilearns(seed: int, level: float) -> None:
    voxels = blobs(seed, level)
    np.testing.assert_array_equal(largest_component(voxels), largest_connected_component(voxels))


def test_of_equal_components_the_first_in_c_order_is_kept() -> None:
    voxels = np.zeros((5, 5, 5), bool)
    voxels[4, 0, 0] = voxels[0, 4, 4] = True
    assert largest_component(voxels)[0, 4, 4]
    assert largest_component(voxels).sum() == 1


def test_nothing_has_no_component() -> None:
    assert not largest_component(np.zeros((3, 3, 3), bool)).any()


@given(st.integers(0, 10**6), st.integers(0, 3), st.booleans())
@settings(max_examples=30)
def test_opening_is_nilearns(seed: int, opening: int, connected: bool) -> None:
    voxels = blobs(seed, -0.8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs, _ = _post_process_mask(voxels, np.eye(4), opening, connected)
    ours = open_and_connect(voxels, opening=opening, connected=connected)
    np.testing.assert_array_equal(ours, theirs)


def test_a_block_at_the_edge_loses_layers_unless_edges_are_kept() -> None:
    voxels = np.zeros((20, 24, 24), bool)
    voxels[3:, 2:22, 2:22] = True
    theirs = open_and_connect(voxels, opening=2, connected=True)
    ours = open_and_connect(voxels, opening=2, connected=True, keep_edges=True)
    assert not theirs[-1].any()
    assert ours[-1].sum() >= voxels[10].sum() * 0.9


def test_a_mask_that_touches_no_edge_is_the_same_either_way() -> None:
    voxels = np.zeros((24, 24, 24), bool)
    voxels[7:17, 7:17, 7:17] = True
    keeping = open_and_connect(voxels, opening=2, connected=True, keep_edges=True)
    np.testing.assert_array_equal(keeping, open_and_connect(voxels, opening=2, connected=True))


@pytest.mark.parametrize("change", [erode, dilate])
def test_no_iteration_is_no_change(change: object) -> None:
    voxels = blobs(0)
    assert change(voxels, 0) is voxels  # type: ignore[operator]


@given(st.integers(0, 10**6), st.sampled_from([-0.5, 0.0, 0.5, 9.0, -9.0]))
@settings(max_examples=30)
def test_holes_are_those_of_scipy(seed: int, level: float) -> None:
    voxels = blobs(seed, level)
    np.testing.assert_array_equal(fill_holes(voxels), binary_fill_holes(voxels))


@given(st.integers(0, 10**6), st.integers(0, 4), st.sampled_from([0.0, 1.0, 2.0, 9.0, -9.0]))
@settings(max_examples=40)
def test_a_ball_dilates_and_closes_as_a_structure_does(
    seed: int, radius: int, level: float
) -> None:
    voxels = blobs(seed, level)
    axis = np.arange(-radius, radius + 1) ** 2
    ball = axis[:, None, None] + axis[:, None] + axis <= radius**2
    dilated = binary_dilation(voxels, ball)
    np.testing.assert_array_equal(dilate_by_ball(voxels, radius), dilated)
    closed = binary_erosion(dilated, ball, border_value=1)
    np.testing.assert_array_equal(close_by_ball(voxels, radius), closed)


def test_a_ball_larger_than_the_image_fills_it() -> None:
    voxels = np.zeros((3, 4, 5), bool)
    voxels[1, 1, 1] = True
    assert dilate_by_ball(voxels, 7).all()
