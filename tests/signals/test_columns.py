"""What each column of voxel signals is."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from nibabel.affines import apply_affine

from bidsmask.images.grid import Grid
from bidsmask.masks.mask import Mask
from bidsmask.signals.columns import column_map, voxel_columns, voxel_names
from tests.make_images import AFFINE

masks = st.builds(
    lambda shape, seed: np.random.default_rng(seed).random(shape) < 0.4,
    st.tuples(*[st.integers(1, 7)] * 3),
    st.integers(0, 1000),
).filter(lambda voxels: voxels.any())


def mask_of(voxels: np.ndarray) -> Mask:
    return Mask(voxels, Grid(voxels.shape, AFFINE), "file")


def test_names_are_numbered_from_one_with_seven_digits():
    assert voxel_names(3) == ["v0000001", "v0000002", "v0000003"]


@given(masks)
def test_image_and_table_say_the_same(voxels):
    mask = mask_of(voxels)
    image, table = column_map(mask), voxel_columns(mask)
    assert image.dtype == np.int32
    np.testing.assert_array_equal(image != 0, voxels)
    assert list(table["index"]) == list(range(1, voxels.sum() + 1))
    assert list(table["name"]) == voxel_names(mask.n_voxels)
    np.testing.assert_array_equal(image[tuple(table[["i", "j", "k"]].to_numpy().T)], table["index"])


@given(masks)
def test_columns_are_in_the_order_of_numpys_boolean_indexing(voxels):
    image = column_map(mask_of(voxels))
    np.testing.assert_array_equal(image[voxels], np.arange(1, voxels.sum() + 1))


@given(masks)
def test_places_are_millimetres_by_the_affine(voxels):
    table = voxel_columns(mask_of(voxels))
    mm = apply_affine(AFFINE, np.argwhere(voxels))
    np.testing.assert_allclose(table[["x", "y", "z"]], mm, atol=5e-4)
