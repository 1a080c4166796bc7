"""Rows that become volumes again, held to nilearn's `inverse_transform`."""

from __future__ import annotations

import warnings
from typing import Any

import nibabel
import numpy as np
import pytest
from nilearn.maskers import NiftiLabelsMasker, NiftiMapsMasker, NiftiMasker, NiftiSpheresMasker
from scipy import sparse

from bidsmask.errors import UsageError
from bidsmask.images.grid import Grid
from bidsmask.masks.mask import Mask
from bidsmask.signals.maps import Maps
from bidsmask.signals.regions import Regions
from bidsmask.signals.spheres import Spheres
from bidsmask.signals.way_back import WayBack
from tests.make_images import AFFINE, head_volumes
from tests.make_regions import blob_maps

SHAPE = (18, 20, 16)
GRID = Grid(SHAPE, AFFINE)
INSIDE = head_volumes(SHAPE, 1)[..., 0] > 700
MASK = Mask(INSIDE, GRID, "file")
LABELS = np.array([0, -3, 7, 900, 41])[np.random.default_rng(0).integers(0, 5, SHAPE)]
SEEDS_MM = GRID.to_mm(np.array([[8, 9, 7], [9, 9, 7], [12, 12, 9]]))


def image(values: np.ndarray) -> Any:
    return nibabel.Nifti1Image(values, AFFINE)


def ways(kind: str) -> tuple[WayBack, Any]:
    """Return our way back, and nilearn's masker, of one kind of columns inside the mask."""
    mask = image(INSIDE.astype(np.uint8))
    match kind:
        case "voxels":
            return WayBack.of_voxels(MASK), NiftiMasker(mask)
        case "labels":
            regions = Regions.of_labels(LABELS, np.unique(LABELS[LABELS != 0]), INSIDE)
            masker = NiftiLabelsMasker(image(LABELS.astype(np.int32)), mask_img=mask)
            return WayBack.of_regions(regions, SHAPE), masker
        case "spheres that overlap":
            spheres = Spheres(SEEDS_MM, np.full(3, 9.0))
            masker = NiftiSpheresMasker(SEEDS_MM.tolist(), 9.0, mask_img=mask, allow_overlap=True)
            return WayBack.of_regions(spheres.on(GRID, INSIDE)[0], SHAPE), masker
        case _:
            share = 0.03 if kind == "sparse maps" else 0.4
            maps = blob_maps(5, shape=SHAPE, share=share)
            own = Maps(sparse.csr_array(maps[INSIDE].T), np.ones(5))
            return WayBack.of_maps(own, MASK), NiftiMapsMasker(image(maps), mask_img=mask)


KINDS = ["voxels", "labels", "spheres that overlap", "sparse maps", "dense maps"]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", KINDS)
def test_volumes_are_those_of_nilearn(kind: str, dtype: type) -> None:
    way, masker = ways(kind)
    rows = np.random.default_rng(1).normal(100, 20, (19, way.n_columns)).astype(dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = masker.fit().inverse_transform(rows).get_fdata()
    made = way.array(rows)
    assert made.dtype == dtype
    np.testing.assert_allclose(made, expected, rtol=20 * np.finfo(dtype).eps)
    one_by_one = np.stack([volume.copy() for volume in way.volumes(rows)], axis=-1)
    np.testing.assert_array_equal(one_by_one, made)


@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_column_reaches_its_own_voxels_alone(kind: str) -> None:
    way, _ = ways(kind)
    unit = np.zeros((1, way.n_columns))
    unit[0, 1] = 1
    is_its_own = way.array(unit) != 0
    np.testing.assert_array_equal(np.isnan(way.array(np.where(unit, np.nan, 5.0))), is_its_own)


def test_labels_may_be_fractions() -> None:
    labels = LABELS / 2
    regions = Regions.of_labels(labels, np.array([-1.5, 0, 20.5]), INSIDE)
    [made] = WayBack.of_regions(regions, SHAPE).array(np.array([[7.0, 8.0, 9.0]])).T
    expected = np.select([labels == -1.5, labels == 0, labels == 20.5], [7.0, 8.0, 9.0]) * INSIDE
    np.testing.assert_array_equal(made.T, expected)


@pytest.mark.parametrize("rows", [np.zeros((4, 3)), np.zeros(5), np.zeros((1, 1, 5))])
def test_rows_of_another_length_are_refused(rows: np.ndarray) -> None:
    way, _ = ways("dense maps")
    with pytest.raises(UsageError, match=r"have shape .*, but 5 columns are needed"):
        way.array(rows)
    with pytest.raises(UsageError, match=r"have shape .*, but 5 columns are needed"):
        next(way.volumes(rows))
