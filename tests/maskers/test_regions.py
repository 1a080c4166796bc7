"""Regions in Python, as nilearn's users call for them."""

from __future__ import annotations

import warnings

import nibabel as nib
import numpy as np
import pytest
from nilearn import regions as nilearn

import bidsmask
from bidsmask.errors import UnusableImage, UnusableMask, UsageError
from tests.make_regions import GRID, SHAPE, as_image, blob_maps, parcels, signed_maps

HALF = (np.indices(SHAPE)[0] < 17).astype(np.uint8)


@pytest.mark.parametrize("maps", [blob_maps(), blob_maps(1)[..., 0]], ids=["4D", "3D"])
@pytest.mark.parametrize("mask", [None, HALF], ids=["whole", "masked"])
@pytest.mark.parametrize("form", ["image", "path", "text"])
def test_components_are_nilearns_from_images_and_paths(tmp_path, maps, mask, form):
    image = as_image(maps)
    nib.save(image, tmp_path / "maps.nii.gz")
    given = {"image": image, "path": tmp_path / "maps.nii.gz"}.get(
        form, str(tmp_path / "maps.nii.gz")
    )
    mask_img = None if mask is None else as_image(mask)
    ours, sources = bidsmask.connected_regions(given, 200, "connected_components", 6, mask_img)
    theirs, indices = nilearn.connected_regions(image, 200, "connected_components", 6, mask_img)
    assert sources == indices
    assert ours.get_data_dtype() == theirs.get_data_dtype()
    np.testing.assert_array_equal(ours.affine, theirs.affine)
    np.testing.assert_array_equal(ours.dataobj, theirs.dataobj)


def test_local_regions_without_smoothing_take_none_for_a_width():
    ours, _ = bidsmask.connected_regions(as_image(blob_maps(1)), smoothing_fwhm=None)
    other, _ = bidsmask.connected_regions(as_image(blob_maps(1)), smoothing_fwhm=0)
    np.testing.assert_array_equal(ours.dataobj, other.dataobj)


def test_a_mask_on_another_grid_is_brought_to_the_maps():
    mask = nib.Nifti1Image(HALF[::2, ::2, ::2], GRID.affine @ np.diag([2, 2, 2, 1]))
    image, _ = bidsmask.connected_regions(
        as_image(blob_maps()), 0, "connected_components", mask_img=mask
    )
    assert np.argwhere(np.asarray(image.dataobj))[:, 0].max() <= 17


def test_maps_without_a_region_give_none_and_a_warning():
    with pytest.warns(UserWarning, match="No region"):
        assert bidsmask.connected_regions(as_image(blob_maps()), 1e9) == (None, None)


@pytest.mark.parametrize("mask", [None, HALF], ids=["whole", "masked"])
@pytest.mark.parametrize(
    "choices",
    [
        {},
        {"threshold": 0.3},
        {"threshold": 3.0, "thresholding_strategy": "img_value", "two_sided": True},
        {"threshold": 80, "thresholding_strategy": "percentile", "min_region_size": 100},
    ],
    ids=str,
)
def test_extracted_regions_are_those_of_the_region_extractor(choices, mask):
    maps = as_image(signed_maps())
    mask_img = None if mask is None else as_image(mask)
    ours, sources = bidsmask.extract_regions(
        maps, mask_img, extractor="connected_components", **choices
    )
    extractor = nilearn.RegionExtractor(
        maps, mask_img, extractor="connected_components", reports=False, **choices
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        extractor.fit()
    assert sources == list(extractor.index_)
    np.testing.assert_array_equal(ours.dataobj, extractor.regions_img_.dataobj)


def test_without_a_threshold_the_maps_stay_as_they_are():
    ours, sources = bidsmask.extract_regions(as_image(blob_maps(1)), threshold=None)
    other, indices = bidsmask.connected_regions(as_image(blob_maps(1)))
    assert sources == indices
    np.testing.assert_array_equal(ours.dataobj, other.dataobj)


@pytest.mark.parametrize("dtype", ["int16", "float32"])
@pytest.mark.parametrize("min_size", [None, 200])
def test_parts_of_labels_and_their_names_are_nilearns(dtype, min_size):
    image = as_image(parcels().astype(dtype))
    names = [f"region {value}" for value in np.unique(parcels())[1:]]
    ours, our_names = bidsmask.connected_label_regions(image, min_size, False, names)
    theirs, their_names = nilearn.connected_label_regions(image, min_size, False, names)
    assert our_names == their_names
    assert ours.get_data_dtype() == np.int32
    np.testing.assert_array_equal(ours.dataobj, theirs.dataobj)


def test_without_names_only_the_image_comes_back():
    assert bidsmask.connected_label_regions(as_image(parcels())).shape == SHAPE


def test_nan_is_background():
    labels = parcels().astype(np.float32)
    labels[labels == 3] = np.nan
    expected = bidsmask.connected_label_regions(as_image(np.where(np.isnan(labels), 0, labels)))
    found = bidsmask.connected_label_regions(as_image(labels))
    np.testing.assert_array_equal(found.dataobj, expected.dataobj)


def test_what_is_no_image_of_labels_is_refused():
    with pytest.raises(UnusableImage, match=r"0\.5, which is no label"):
        bidsmask.connected_label_regions(as_image(parcels() + np.float32(0.5)))
    with pytest.raises(UnusableImage, match="negative label"):
        bidsmask.connected_label_regions(as_image(-parcels()))
    with pytest.raises(UnusableImage, match="3D image is needed"):
        bidsmask.connected_label_regions(as_image(blob_maps()))
    with pytest.raises(UsageError, match="1 names"):
        bidsmask.connected_label_regions(as_image(parcels()), labels="one")


def test_what_is_no_map_or_mask_is_refused(tmp_path):
    with pytest.raises(UnusableMask, match="empty"):
        bidsmask.connected_regions(as_image(blob_maps()), mask_img=as_image(HALF * 0))
    collinear = [[2.0, 0, 2, 0], [0, 2, 0, 0], [2, 0, 2, 0], [0, 0, 0, 1]]
    singular = nib.Nifti1Image(blob_maps(), np.array(collinear))
    with pytest.raises(UnusableImage, match="unusable affine"):
        bidsmask.connected_regions(singular)
    with pytest.raises(UnusableImage, match="complex"):
        bidsmask.connected_regions(as_image(blob_maps().astype(np.complex64)))
