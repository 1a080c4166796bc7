"""Probabilistic maps: what is read, and the least-squares fit beside scipy's."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
import scipy.linalg
from hypothesis import given, settings
from hypothesis import strategies as st
from nilearn.image import resample_img
from scipy import sparse

from bidsmask.errors import UnusableImage
from bidsmask.images.grid import Grid
from bidsmask.masks.mask import Mask
from bidsmask.signals.maps import MapExtractor, Maps, read_maps
from tests.make_images import AFFINE, write_image
from tests.make_regions import blob_maps

SHAPE = (14, 12, 10)
GRID = Grid(SHAPE, AFFINE)
INSIDE = np.random.default_rng(0).random(SHAPE) < 0.5
MASK = Mask(INSIDE, GRID, "file")


def maps_of(weights: np.ndarray) -> Maps:
    return Maps(sparse.csr_array(weights), np.ones(len(weights)))


def fit(weights: np.ndarray, volume: np.ndarray) -> np.ndarray:
    extractor = MapExtractor(maps_of(weights), MASK)
    return np.array(extractor.rows(volume[tuple(extractor.ijk.T)][np.newaxis])[0])


@settings(max_examples=50)
@given(st.integers(1, 12), st.floats(0.05, 1), st.integers(0, 1000), st.sampled_from([1.0, 1e-9]))
def test_the_fit_is_that_of_least_squares(n_maps, density, seed, scale):
    random = np.random.default_rng(seed)
    weights = random.random((n_maps, MASK.n_voxels)) * (random.random((n_maps, 1)) + 0.1)
    weights *= random.random(weights.shape) < density
    weights[0] *= scale
    volume = random.normal(1000, 30, SHAPE)
    expected, *_ = scipy.linalg.lstsq(weights.T, volume[INSIDE])
    np.testing.assert_allclose(fit(weights, volume), expected, rtol=1e-8)


@pytest.mark.parametrize("scale", [1.0, 0.01])
def test_collinear_maps_get_the_smallest_fit_and_are_named(scale):
    random = np.random.default_rng(3)
    weights = random.random((5, MASK.n_voxels)) * scale
    weights[3] = weights[0] + 2 * weights[1]
    volume = random.normal(100, 3, SHAPE)
    expected, *_ = scipy.linalg.lstsq(weights.T, volume[INSIDE])
    np.testing.assert_allclose(fit(weights, volume), expected, rtol=1e-8)
    extractor = MapExtractor(maps_of(weights), MASK)
    assert list(extractor.collinear) == [True, True, False, True, False]


def test_a_map_without_a_voxel_is_missing_and_changes_no_other():
    random = np.random.default_rng(4)
    weights = random.random((3, MASK.n_voxels))
    volume = random.normal(100, 3, SHAPE)
    alone = fit(weights[[0, 2]], volume)
    weights[1] = 0
    np.testing.assert_allclose(fit(weights, volume), [alone[0], 0, alone[1]], rtol=1e-12)
    assert list(MapExtractor(maps_of(weights), MASK).missing) == [False, True, False]
    assert MapExtractor(maps_of(weights * 0), MASK).missing.all()


@pytest.mark.parametrize("dtype", ["float32", "uint8", "int16"])
def test_maps_are_read_at_the_voxels_of_the_mask(tmp_path, dtype):
    stored = (blob_maps(3, shape=SHAPE) * 20).astype(dtype)
    slope = np.nan if dtype == "float32" else 0.01
    path = write_image(tmp_path / "maps.nii.gz", stored, slope=slope)
    values = nibabel.load(path).get_fdata()
    maps = read_maps(path, MASK)
    np.testing.assert_allclose(maps.weights.toarray(), values[INSIDE].T, rtol=1e-15)
    sizes = np.abs(values)  # some are negative
    share = sizes[INSIDE].sum(axis=0) / sizes.sum(axis=(0, 1, 2))
    np.testing.assert_allclose(maps.coverage, share)


def test_one_map_may_be_a_3d_image_and_nan_counts_as_0(tmp_path):
    stored = blob_maps(1, shape=SHAPE)[..., 0]
    stored[tuple(MASK.ijk[0])] = np.nan
    maps = read_maps(write_image(tmp_path / "map.nii", stored), MASK)
    assert maps.weights.toarray()[0, 0] == 0
    np.testing.assert_array_equal(maps.weights.toarray()[0, 1:], stored[INSIDE][1:])


def test_maps_of_another_grid_are_moved_linearly(tmp_path):
    """As nilearn's, but at the outermost voxel centres, where it cuts them off."""
    affine = np.array([[1.7, 0.1, 0, -9], [0, 2.2, 0.2, -18], [0.1, 0, 3.1, -29], [0, 0, 0, 1]])
    stored = blob_maps(4, shape=(18, 16, 14)).astype(np.float64)
    path = write_image(tmp_path / "maps.nii.gz", stored, affine=affine)
    moved = resample_img(
        nibabel.load(path), AFFINE, SHAPE, interpolation="linear", force_resample=True
    ).get_fdata()
    places = np.linalg.inv(affine) @ np.c_[GRID.to_mm(MASK.ijk), np.ones(MASK.n_voxels)].T
    well_inside = ((places.T[:, :3] > 0) & (places.T[:, :3] < np.array([17, 15, 13]))).all(axis=1)
    made = read_maps(path, MASK).weights.toarray()
    assert np.count_nonzero(well_inside) > 300
    np.testing.assert_allclose(
        made[:, well_inside], moved[INSIDE].T[:, well_inside], rtol=1e-9, atol=1e-12
    )
    assert np.count_nonzero(made[:, ~well_inside]) < np.count_nonzero(made)


def test_an_image_without_a_value_is_no_map(tmp_path: Path) -> None:
    path = write_image(tmp_path / "maps.nii.gz", np.zeros((*SHAPE, 2), np.uint8))
    with pytest.raises(UnusableImage, match="every value is 0"):
        read_maps(path, MASK)


def test_maps_beside_the_mask_are_missing_not_refused(tmp_path):
    stored = blob_maps(2, shape=SHAPE)
    stored[..., 1] = 0
    stored[..., 1][~INSIDE] = 1
    maps = read_maps(write_image(tmp_path / "maps.nii.gz", stored), MASK)
    assert list(MapExtractor(maps, MASK).missing) == [False, True]
    assert maps.coverage[1] == 0
