"""Regions against nilearn: the same voxels for components and labels, a Dice of .99 for walks."""

from __future__ import annotations

import warnings
from itertools import product
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse.linalg import spsolve

from bidsmask.images.grid import Grid
from bidsmask.regions.labels import connected_label_regions
from bidsmask.regions.maps import EXTRACT_TYPES, as_array, connected_regions
from bidsmask.regions.threshold import threshold_maps
from tests.make_images import SHARED
from tests.make_regions import GRID, OBLIQUE, SHAPE, as_image, blob_maps, dice, parcels, signed_maps

nilearn = pytest.importorskip("nilearn.regions")
segmentation = pytest.importorskip("nilearn._utils.segmentation")

LEAST_DICE = 0.99
ATLASES = SHARED / "atlases"
JHU = ATLASES / "probabilistic/MNI_JHU_tracts_prob.nii.gz"
needs_atlases = pytest.mark.skipif(not ATLASES.exists(), reason="the shared atlases are not here")


def both(
    maps: NDArray[Any], grid: Grid, least: float, kind: Any, fwhm: float, mask: Any = None
) -> tuple[tuple[NDArray[Any], list[int]], tuple[NDArray[Any], list[int]]]:
    """Return (array of regions, their sources) of ours and of nilearn's."""
    regions = connected_regions(
        maps, grid, min_region_size_mm3=least, extract_type=kind, fwhm_mm=fwhm, mask=mask
    )
    mask_img = None if mask is None else as_image(mask.astype(np.uint8), grid)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it announces a map without a seed, and fwhm 0
        image, sources = nilearn.connected_regions(
            as_image(maps, grid), least, kind, fwhm, mask_img
        )
    theirs = np.zeros((*grid.shape, 0)) if image is None else np.asarray(image.dataobj)
    return (as_array(regions, grid.shape), [one.source for one in regions]), (theirs, sources or [])


def assert_alike(ours: NDArray[Any], theirs: NDArray[Any]) -> None:
    """Hold each region of one array to its like in the other."""
    assert ours.shape == theirs.shape
    for number in range(ours.shape[-1]):
        first, second = ours[..., number], theirs[..., number]
        assert dice(first != 0, second != 0) >= LEAST_DICE
        shared = (first != 0) & (second != 0)
        np.testing.assert_array_equal(first[shared], second[shared])


@pytest.fixture
def to_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nilearn's solver go on: it ends at a residual of 1e-3, and small regions suffer."""
    cg = segmentation.cg
    monkeypatch.setattr(
        segmentation, "cg", lambda matrix, side, rtol, atol: cg(matrix, side, rtol=1e-8, atol=atol)
    )


HALF = np.indices(SHAPE)[0] < 17


@pytest.mark.parametrize(
    ("least", "grid", "mask", "dtype"),
    [*product([0, 100, 1350], [GRID, OBLIQUE], [None, HALF], ["float32", "float64", "int16"])],
)
def test_connected_components_have_nilearns_voxels(least, grid, mask, dtype):
    maps = (blob_maps(share=0.15) * 50).astype(dtype)
    ours, theirs = both(maps, grid, least, "connected_components", 6, mask)
    assert ours[1] == theirs[1]
    assert len(ours[1]) > 3
    np.testing.assert_array_equal(ours[0], theirs[0])


@pytest.mark.usefixtures("to_the_end")
@pytest.mark.parametrize(
    ("least", "fwhm", "mask"), [*product([100, 1350], [0, 4, 6], [None, HALF])]
)
def test_local_regions_are_nilearns(least, fwhm, mask):
    ours, theirs = both(blob_maps(2), GRID, least, "local_regions", fwhm, mask)
    assert ours[1] == theirs[1]
    assert len(ours[1]) > 3
    assert_alike(ours[0], theirs[0])


@pytest.mark.usefixtures("to_the_end")
@pytest.mark.parametrize(
    ("grid", "scale", "dtype"),
    [(OBLIQUE, 1, "float32"), (GRID, 1, "float64"), (GRID, 0.1, "float32")],
)
def test_local_regions_are_nilearns_on_any_grid_and_in_any_type(grid, scale, dtype):
    maps = (blob_maps(2) * scale).astype(dtype)
    ours, theirs = both(maps, grid, 100, "local_regions", 6)
    assert ours[1] == theirs[1]
    assert_alike(ours[0], theirs[0])


@pytest.mark.parametrize(("seed", "scale"), [(0, 1), (0, 50), (1, 10), (1, 50)])
def test_local_regions_of_integers_are_those_of_nilearns_equations(monkeypatch, seed, scale):
    # Steps of whole numbers leave weights of 1e-10, and nilearn's own solver far from its end.
    monkeypatch.setattr(
        segmentation, "cg", lambda matrix, side, rtol, atol: (spsolve(matrix, side), 0)
    )
    maps = (blob_maps(1, seed=seed) * scale).astype(np.int16)
    ours, theirs = both(maps, GRID, 100, "local_regions", 6)
    assert ours[1] == theirs[1]
    assert len(ours[1]) > 3
    assert_alike(ours[0], theirs[0])


@pytest.mark.parametrize("seed", range(4))
def test_with_its_own_end_nearly_all_voxels_are_in_the_same_region(seed):
    ours, theirs = both(blob_maps(seed=seed), GRID, 100, "local_regions", 6)
    assert ours[1] == theirs[1]
    each = [dice(ours[0][..., n] != 0, theirs[0][..., n] != 0) for n in range(ours[0].shape[-1])]
    assert np.median(each) >= 0.998
    same = np.count_nonzero((ours[0] != 0) & (theirs[0] != 0))
    assert same / np.count_nonzero(theirs[0]) >= 0.995


@pytest.mark.parametrize("kind", EXTRACT_TYPES)
@pytest.mark.parametrize(
    "maps",
    [np.zeros((*SHAPE, 2), np.float32), -np.abs(signed_maps()) - 1, blob_maps(share=0.001)],
    ids=["empty", "below zero", "too small"],
)
def test_maps_without_a_region_have_none_there_either(kind, maps):
    (_, ours), (_, theirs) = both(maps, GRID, 60_000 * 8, kind, 6)
    assert ours == theirs == []


def test_seeds_alone_are_regions_where_nilearn_has_them():
    maps = np.zeros((*SHAPE, 2), np.float32)
    maps[3:9, 3:9, 3:9, 0] = 1
    maps[..., 1] = blob_maps(1)[..., 0]
    maps[:12, :12, :12, 1] = 0
    maps[3:9, 3:9, 3:9, 1] = 50  # a plateau of peaks beside what is to be divided
    ours, theirs = both(maps, GRID, 0, "local_regions", 0)
    assert ours[1] == theirs[1]
    assert_alike(ours[0], theirs[0])


@pytest.mark.parametrize("two_sided", [False, True])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(
    ("strategy", "threshold"),
    [("ratio_n_voxels", t) for t in (0.1, 0.5, 1.0, 2.9, 3)]
    + [("img_value", t) for t in (0.0, 3.0, 6.0)]
    + [("percentile", t) for t in (0, 30, 80, 95)],
)
def test_thresholds_are_those_of_the_region_extractor(strategy, threshold, masked, two_sided):
    maps = signed_maps()
    mask = HALF if masked else None
    kept = threshold_maps(maps, threshold, strategy, two_sided=two_sided, mask=mask)
    found = connected_regions(kept, GRID, extract_type="connected_components", mask=mask)
    extractor = nilearn.RegionExtractor(
        as_image(maps),
        mask_img=as_image(mask.astype(np.uint8)) if masked else None,
        threshold=threshold,
        thresholding_strategy=strategy,
        two_sided=two_sided,
        extractor="connected_components",
        reports=False,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        extractor.fit()
    assert [one.source for one in found] == list(extractor.index_)
    np.testing.assert_array_equal(as_array(found, SHAPE), extractor.regions_img_.dataobj)


def test_a_negative_value_is_nilearns_other_side():
    kept = threshold_maps(signed_maps(), -5.0, "img_value")
    theirs = nilearn.region_extractor.threshold_img(as_image(signed_maps()), -5.0, two_sided=False)
    np.testing.assert_array_equal(kept, theirs.dataobj)


@pytest.mark.parametrize(
    ("least", "connect_diag", "order", "dtype"),
    [*product([None, 0, 100, 1000], [True, False], "CF", ["int32", "float64", "uint8"])],
)
def test_parts_of_labels_are_nilearns(least, connect_diag, order, dtype):
    labels = np.asarray(parcels(), order=order)
    regions, sources = connected_label_regions(
        labels, GRID, min_size_mm3=least, connect_diag=connect_diag
    )
    values = np.unique(labels[labels > 0])
    image, names = nilearn.connected_label_regions(
        as_image(labels.astype(dtype)), least, connect_diag, [str(value) for value in values]
    )
    np.testing.assert_array_equal(regions, image.dataobj)
    assert [str(source) for source in sources] == names


@needs_atlases
@pytest.mark.parametrize("connect_diag", [True, False])
@pytest.mark.parametrize(
    "name",
    [
        "harvardoxford/HarvardOxford-cort-maxprob-thr25-2mm.nii.gz",
        "tian/Tian_Subcortex_S2_3T_2009cAsym.nii.gz",
    ],
)
def test_parts_of_real_atlases_are_nilearns(name, connect_diag):
    image = nib.load(ATLASES / name)
    labels = np.asarray(image.dataobj).astype(np.int32)
    regions, _ = connected_label_regions(
        labels, Grid(labels.shape, image.affine), min_size_mm3=100, connect_diag=connect_diag
    )
    theirs = nilearn.connected_label_regions(image, 100, connect_diag)
    np.testing.assert_array_equal(regions, theirs.dataobj)


def real_maps() -> tuple[NDArray[Any], Grid]:
    """Return four tracts in percent, at 2 mm."""
    image = nib.load(JHU)
    maps = np.asarray(image.dataobj)[::2, ::2, ::2, [2, 3, 4, 8]]
    return maps, Grid(maps.shape[:3], image.affine @ np.diag([2, 2, 2, 1]))


@needs_atlases
def test_components_of_a_real_probability_atlas_are_nilearns():
    maps, grid = real_maps()
    ours, theirs = both(maps, grid, 50, "connected_components", 6)
    assert ours[1] == theirs[1]
    np.testing.assert_array_equal(ours[0], theirs[0])


@needs_atlases
def test_local_regions_of_a_real_probability_atlas_are_nilearns():
    maps, grid = real_maps()
    ours, theirs = both(maps[..., :1], grid, 1350, "local_regions", 6)
    assert ours[1] == theirs[1]
    assert_alike(ours[0], theirs[0])


@needs_atlases
def test_where_nilearns_solver_stops_far_short_ours_does_not(monkeypatch):
    # Steps in a map of percents make weights of 1e-10: a residual of 1e-3 says nothing there,
    # and voxels that the solver never reached go to the first seed.
    maps, grid = real_maps()
    maps = maps[..., 3:].astype(np.float32)
    ours, short = both(maps, grid, 50, "local_regions", 6)
    monkeypatch.setattr(
        segmentation, "cg", lambda matrix, side, rtol, atol: (spsolve(matrix, side), 0)
    )
    _, theirs = both(maps, grid, 50, "local_regions", 6)
    assert_alike(ours[0], theirs[0])
    largest = [np.count_nonzero(one, axis=(0, 1, 2)).max() for one in (theirs[0], short[0])]
    assert largest[1] > 1.2 * largest[0]
