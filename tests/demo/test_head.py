"""The analytic head is where and as large as its numbers say."""

import numpy as np
import pytest

from bidsmask.demo.head import (
    AIR,
    BRAIN_MM,
    CENTRE_MM,
    CSF,
    GREY,
    REGIONS,
    SCALP,
    SKULL,
    TEMPLATE_HEAD,
    WHITE,
    Head,
    Scene,
    region_labels,
)
from bidsmask.demo.plan import BOLD_GRID, PARTICIPANTS, TEMPLATE_GRID

SCENE = Scene.of(TEMPLATE_HEAD, TEMPLATE_GRID, native=False)


@pytest.mark.parametrize(
    ("x_mm", "tissue"),
    [(13, CSF), (35, WHITE), (60, GREY), (70, SKULL), (75, SCALP), (82, AIR)],
)
def test_tissues_follow_each_other_from_the_ventricle_to_the_air(x_mm, tissue):
    point = CENTRE_MM + np.array([x_mm, 0, 0])
    assert TEMPLATE_HEAD.tissue(point[None])[0] == tissue


def test_shares_of_a_voxel_add_up_to_one():
    np.testing.assert_allclose(SCENE.shares.sum(axis=1), 1)


@pytest.mark.parametrize("participant", PARTICIPANTS, ids=lambda p: p.label)
@pytest.mark.parametrize(("grid", "native"), [(TEMPLATE_GRID, False), (BOLD_GRID, True)])
def test_true_mask_has_the_volume_of_the_ellipsoid(participant, grid, native):
    scene = Scene.of(participant.head, grid, native=native)
    expected = 4 / 3 * np.pi * np.prod(BRAIN_MM * participant.size)
    assert scene.brain.sum() * grid.voxel_volume_mm3 == pytest.approx(expected, rel=0.03)


def test_head_fits_into_the_field_of_view():
    tissue = SCENE.shares[:, AIR].reshape(TEMPLATE_GRID.shape, order="F") < 0.5
    for axis in range(3):
        faces = tissue.any(axis=tuple(other for other in range(3) if other != axis))
        assert not faces[0]
        assert not faces[-1]


def test_native_head_is_the_same_head_elsewhere():
    shift = np.eye(4)
    shift[:3, 3] = TEMPLATE_GRID.voxel_sizes_mm * [1, 0, 0]
    moved = Scene.of(Head(1.0, shift), TEMPLATE_GRID, native=True)
    here = SCENE.brain.reshape(TEMPLATE_GRID.shape, order="F")
    there = moved.brain.reshape(TEMPLATE_GRID.shape, order="F")
    np.testing.assert_array_equal(there[:-1], here[1:])


def test_every_region_has_voxels_on_its_own_side():
    for index, region in enumerate(REGIONS, start=1):
        x_mm = SCENE.points_mm[SCENE.labels == index, 0]
        assert len(x_mm) >= 50
        assert (x_mm < 0).all() if region.name.startswith("Left") else (x_mm > 0).all()


def test_regions_lie_in_the_grey_matter():
    labelled = region_labels(SCENE.points_mm) > 0
    assert (TEMPLATE_HEAD.tissue(SCENE.points_mm[labelled]) == GREY).all()


def test_patterns_hold_one_indicator_for_each_region():
    indicators = SCENE.patterns[:, -len(REGIONS) :]
    np.testing.assert_array_equal(indicators @ np.arange(1, len(REGIONS) + 1), SCENE.labels)
