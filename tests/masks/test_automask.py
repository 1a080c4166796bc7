"""AFNI's automask: worked small cases of each step, and properties of the whole."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bidsmask.errors import UnusableImage, UsageError
from bidsmask.images.grid import Grid
from bidsmask.images.image import open_image
from bidsmask.images.stream import mean_volume
from bidsmask.masks.automask import (
    _count_neighbours,
    _fill_once,
    _fill_until_nothing_changes,
    _peel,
    automask,
)
from tests.make_images import AFFINE, SHARED, STUDYFORREST, head_volumes

REFERENCE = STUDYFORREST / "sub-02_task-oneback_run-1_desc-coreg_boldref.nii.gz"
EPI = SHARED / "references/ls2001_EPI.nii.gz"
SHAPE = (36, 40, 32)
HEAD = head_volumes(SHAPE, n_volumes=1)[..., 0] - 200
TRUTH = head_volumes(SHAPE, n_volumes=40).mean(axis=-1) > 700
GRID = Grid(SHAPE, AFFINE)


def dice(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    return float(2 * (one & other).sum() / (one.sum() + other.sum()))


def image_mask(path: Any, **options: Any) -> NDArray[np.bool_]:
    image = open_image(path)
    return automask(mean_volume(image, absolute=True), image.grid, **options)


# The steps


def plainly_counted(inside: NDArray[np.bool_], nn: int) -> NDArray[np.int64]:
    """Count neighbours one by one; a place out of the grid is moved to its edge."""
    steps = [s for s in product((-1, 0, 1), repeat=3) if 0 < np.abs(s).sum() <= nn]
    counts = np.zeros(inside.shape, int)
    for ijk in np.ndindex(inside.shape):
        places = [np.clip(np.add(ijk, step), 0, np.subtract(inside.shape, 1)) for step in steps]
        counts[ijk] = sum(inside[tuple(place)] for place in places)
    return counts


@pytest.mark.parametrize("nn", [1, 2, 3])
def test_neighbours_are_counted_beyond_the_edges(nn: int) -> None:
    inside = np.random.default_rng(nn).random((5, 4, 6)) < 0.5
    np.testing.assert_array_equal(_count_neighbours(inside, nn), plainly_counted(inside, nn))


def test_peeling_takes_a_thread_off_and_gives_a_block_back_but_for_its_corners() -> None:
    block = np.zeros((12, 12, 12), bool)
    block[3:9, 3:9, 3:9] = True
    thread = block.copy()
    thread[6, 6, 9:12] = True
    # All of the surface is peeled; what is left, 4 to 7, adjoins all of it but the corners.
    block[np.ix_([3, 8], [3, 8], [3, 8])] = False
    np.testing.assert_array_equal(_peel(thread, 1, 17), block)


def test_a_sheet_of_two_voxels_is_peeled_away() -> None:
    sheet = np.zeros((10, 10, 10), bool)
    sheet[4:6, 1:9, 1:9] = True
    assert not _peel(sheet, 1, 17).any()
    np.testing.assert_array_equal(_peel(sheet, 1, 6), sheet)


def test_a_voxel_between_two_on_a_line_is_filled() -> None:
    inside = np.zeros((9, 9, 9), bool)
    inside[3, 4, 4] = inside[6, 4, 4] = True
    assert not _fill_once(inside, 1)[4:6, 4, 4].any()  # a gap of two, one voxel looked at
    filled = _fill_once(inside, 2)
    assert filled[3:7, 4, 4].all()
    assert filled.sum() == 4


def test_voxels_near_an_edge_are_not_filled() -> None:
    inside = np.zeros((9, 9, 9), bool)
    inside[3, 1, 4] = inside[5, 1, 4] = True
    assert _fill_once(inside, 1)[4, 1, 4]
    inside[3, 0, 4] = inside[5, 0, 4] = True
    assert not _fill_once(inside, 1)[4, 0, 4]


@pytest.mark.parametrize("width", [1, 2, 5])
@pytest.mark.parametrize("shape", [(14, 15, 16), (3, 20, 4), (2, 30, 5)])
def test_filling_again_where_something_changed_is_filling_everywhere(
    shape: tuple[int, int, int], width: int
) -> None:
    inside = np.random.default_rng(width).random(shape) < 0.05
    everywhere, before = _fill_once(inside, width), inside
    while not np.array_equal(everywhere, before):
        everywhere, before = _fill_once(everywhere, width), everywhere
    np.testing.assert_array_equal(_fill_until_nothing_changes(inside, width), everywhere)


# The whole


def test_a_head_in_noise_is_found() -> None:
    assert dice(automask(HEAD, GRID), TRUTH) > 0.98


@pytest.mark.parametrize("factor", [1e-3, 7, 1e5, -1])
def test_units_and_sign_of_the_image_change_nothing(factor: float) -> None:
    mask = automask(HEAD * factor, GRID)
    assert dice(mask, automask(HEAD, GRID)) > 0.999


def test_a_mirrored_image_has_the_mirrored_mask() -> None:
    for axis in range(3):
        mirrored = np.flip(automask(np.flip(HEAD, axis), GRID), axis)
        assert dice(mirrored, automask(HEAD, GRID)) > 0.999


def test_a_bias_over_space_is_followed() -> None:
    biased = HEAD * np.linspace(0.1, 1.9, SHAPE[1])[None, :, None]
    gradual = dice(automask(biased, GRID), TRUTH)
    assert gradual > 0.95
    assert gradual > dice(automask(biased, GRID, gradual=False), TRUTH) + 0.02


def test_the_mask_is_one_part_without_a_hole() -> None:
    holed = HEAD.copy()
    holed[16:20, 18:22, 14:18] = 0  # a ventricle
    holed[:4, :4, :4] = 1000  # something in a corner
    mask = automask(holed, GRID)
    assert mask[16:20, 18:22, 14:18].all()
    assert not mask[:4, :4, :4].any()


def test_a_lower_fraction_gives_a_larger_mask() -> None:
    rng = np.random.default_rng(3)
    rough = HEAD * rng.uniform(0.3, 1, SHAPE)
    sizes = [automask(rough, GRID, clfrac=clfrac).sum() for clfrac in (0.2, 0.4, 0.6)]
    assert sizes == sorted(sizes, reverse=True)


def test_dilating_adds_and_eroding_takes_off() -> None:
    mask = automask(HEAD, GRID)
    larger, smaller = automask(HEAD, GRID, dilate=1), automask(HEAD, GRID, erode=1)
    assert not (mask & ~larger).any()
    assert not (smaller & ~mask).any()
    assert smaller.sum() < mask.sum() < larger.sum()
    by_faces = automask(HEAD, GRID, erode=1, nn=1)
    assert smaller.sum() < by_faces.sum() < mask.sum()
    assert automask(HEAD, GRID, dilate=1, nn=3).sum() >= larger.sum()


@pytest.mark.skipif(not EPI.exists(), reason="the shared data are not here")
def test_a_real_epi_agrees_with_its_mask() -> None:
    truth = mean_volume(open_image(EPI.with_name("ls2001_EPI_mask.nii.gz"))) > 0
    assert dice(image_mask(EPI), truth) > 0.96


@pytest.mark.skipif(not REFERENCE.exists(), reason="the shared data are not here")
def test_a_real_reference_agrees_with_fmriprep() -> None:
    name = REFERENCE.name.replace("desc-coreg_boldref", "desc-brain_mask")
    truth = mean_volume(open_image(REFERENCE.with_name(name))) > 0
    assert dice(image_mask(REFERENCE), truth) > 0.93


def test_an_image_of_one_slice_stops_at_its_level() -> None:
    grid = Grid((36, 40, 1), AFFINE)
    mask = automask(HEAD[:, :, 16:17], grid, gradual=False)
    assert dice(mask, TRUTH[:, :, 16:17]) > 0.98


def test_a_constant_image_is_refused() -> None:
    with pytest.raises(UnusableImage, match="is constant"):
        automask(np.full(SHAPE, 3.0), GRID)


@pytest.mark.parametrize(
    "options", [{"clfrac": 0}, {"peels": 0}, {"nbhrs": 5}, {"dilate": -1}, {"nn": 0}], ids=str
)
def test_arguments_out_of_their_bounds_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        automask(HEAD, GRID, **options)
