"""Regions of maps: what counts as one, what is left out, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from bidsmask.errors import GridMismatch, UsageError
from bidsmask.images.grid import Grid
from bidsmask.regions.maps import EXTRACT_TYPES, as_array, connected_regions, volumes
from tests.make_regions import GRID, SHAPE, blob_maps


def two_boxes() -> np.ndarray:
    """Return a map of a box of 8 x 8 x 8 and one of 2 x 2 x 2 voxels."""
    maps = np.zeros((*SHAPE, 1), np.float32)
    maps[2:10, 2:10, 2:10] = 2
    maps[20:22, 20:22, 20:22] = -3
    return maps


@pytest.mark.parametrize(("least_mm3", "n_regions"), [(0, 2), (63, 2), (64, 1), (4096, 0)])
def test_only_regions_above_the_least_size_are_kept(least_mm3, n_regions):
    options = {"extract_type": "connected_components", "min_region_size_mm3": least_mm3}
    assert len(connected_regions(two_boxes(), GRID, **options)) == n_regions


def test_a_region_holds_the_values_of_its_map():
    first, second = connected_regions(
        two_boxes(), GRID, extract_type="connected_components", min_region_size_mm3=0
    )
    assert (first.n_voxels, second.n_voxels) == (512, 8)
    assert (first.values == 2).all()
    assert (second.values == -3).all()
    np.testing.assert_array_equal(
        np.unravel_index(second.indices, SHAPE), np.argwhere(two_boxes()[..., 0] == -3).T
    )


def test_two_peaks_of_one_component_are_two_local_regions():
    i = np.arange(30)[:, None, None]
    height = np.maximum(np.exp(-((i - 7) ** 2) / 20), np.exp(-((i - 22) ** 2) / 20))
    maps = np.broadcast_to(height, SHAPE).astype(np.float32)[..., None]
    first, second = connected_regions(maps, GRID, fwhm_mm=2)
    assert np.unravel_index(first.indices, SHAPE)[0].max() == 14
    assert np.unravel_index(second.indices, SHAPE)[0].min() == 15


@pytest.mark.parametrize(("kind", "factor"), [("connected_components", -3), ("local_regions", 1)])
def test_each_of_two_collinear_maps_has_its_regions(kind, factor):
    maps = blob_maps(1)
    maps = np.concatenate([maps, factor * maps], axis=-1)
    regions = connected_regions(maps, GRID, extract_type=kind)
    half = len(regions) // 2
    assert half > 0
    for one, other in zip(regions[:half], regions[half:], strict=True):
        assert (one.source, other.source) == (0, 1)
        np.testing.assert_array_equal(one.indices, other.indices)
        np.testing.assert_array_equal(factor * one.values, other.values)


@pytest.mark.parametrize("kind", EXTRACT_TYPES)
@pytest.mark.parametrize("fill", [0.0, 7.0, np.nan])
def test_empty_constant_and_absent_maps_have_the_regions_they_should(kind, fill):
    maps = np.full((*SHAPE, 2), fill, np.float32)
    found = connected_regions(maps, GRID, extract_type=kind, fwhm_mm=0)
    is_one_component = fill == 7 and kind == "connected_components"
    assert len(found) == (2 if is_one_component else 0)


@pytest.mark.parametrize("kind", EXTRACT_TYPES)
def test_what_is_not_finite_counts_as_zero(kind):
    maps = blob_maps(1)
    holes = maps.copy()
    places = np.argwhere(maps[..., 0] > 0)[::50]
    maps[tuple(places.T)] = 0
    holes[tuple(places.T)] = np.where(np.arange(len(places)) % 2, np.nan, np.inf)[:, None]
    expected = connected_regions(maps, GRID, extract_type=kind)
    found = connected_regions(holes, GRID, extract_type=kind)
    assert [one.indices.tolist() for one in found] == [one.indices.tolist() for one in expected]


def test_nothing_outside_the_mask_belongs_to_a_region():
    mask = np.zeros(SHAPE, bool)
    mask[:15] = True
    for region in connected_regions(blob_maps(), GRID, mask=mask):
        assert np.unravel_index(region.indices, SHAPE)[0].max() < 15


def test_maps_are_not_changed():
    maps = blob_maps()
    before = maps.copy()
    connected_regions(maps, GRID, mask=np.zeros(SHAPE, bool))
    np.testing.assert_array_equal(maps, before)


def test_regions_come_back_as_volumes_and_as_one_array():
    maps = blob_maps()
    regions = connected_regions(maps, GRID)
    array = as_array(regions, SHAPE)
    assert array.flags.f_contiguous
    for number, volume in enumerate(volumes(regions, SHAPE)):
        np.testing.assert_array_equal(array[..., number], volume)
        source = maps[..., regions[number].source]
        np.testing.assert_array_equal(volume[volume != 0], source[volume != 0])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"extract_type": "watershed"}, "connected_components, local_regions"),
        ({"min_region_size_mm3": -1}, "min_region_size is -1"),
        ({"min_region_size_mm3": np.nan}, "min_region_size is nan"),
        ({"fwhm_mm": -2}, "smoothing_fwhm is -2"),
        ({"fwhm_mm": np.inf}, "smoothing_fwhm is inf"),
    ],
)
def test_arguments_without_a_meaning_are_refused(options, words):
    with pytest.raises(UsageError, match=words):
        connected_regions(blob_maps(), GRID, **options)


def test_maps_and_masks_on_another_grid_are_refused():
    other = Grid((30, 34, 29), GRID.affine)
    with pytest.raises(GridMismatch, match="maps have shape"):
        connected_regions(blob_maps(), other)
    with pytest.raises(GridMismatch, match="mask's voxels have shape"):
        connected_regions(blob_maps(), GRID, mask=np.ones((3, 3, 3), bool))
