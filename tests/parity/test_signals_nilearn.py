"""Every extractor beside nilearn's maskers, on small runs of every kind and on a real one.

nilearn is given float64: of whole numbers it makes float32, and whole numbers of spheres.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, get_args

import nibabel
import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from nilearn.maskers import NiftiLabelsMasker, NiftiMapsMasker, NiftiMasker, NiftiSpheresMasker

from bidsmask.images.image import open_image
from bidsmask.masks.given import load_mask
from bidsmask.masks.mask import Mask
from bidsmask.signals.atlas import read_atlas
from bidsmask.signals.extract import extract
from bidsmask.signals.extractor import Extractor
from bidsmask.signals.maps import MapExtractor, read_maps
from bidsmask.signals.regions import Regions, Statistic, StatisticExtractor
from bidsmask.signals.spheres import Spheres
from bidsmask.signals.voxels import VoxelExtractor
from tests.make_images import REAL_BOLD, SHARED, head_volumes, write_image
from tests.make_regions import blob_maps

SHAPE = (18, 20, 16)
STATISTICS = get_args(Statistic)
# SCIENCE §7: region means as they are extracted.
RELATIVE = 1e-6


def signals(path: Path, extractor: Extractor, fwhm_mm: float | None = None) -> npt.NDArray[Any]:
    """Return our signals of a file, reference included."""
    [raw] = extract(open_image(path), [extractor], fwhm_mm)
    return np.asarray(raw.reference + raw.values.astype(np.float64))


def theirs(masker: Any, path: Path) -> npt.NDArray[np.float64]:
    """Return what a masker of nilearn gives for a file that it reads as float64."""
    image = nibabel.load(path)
    in_memory = nibabel.Nifti1Image(image.get_fdata(), image.affine)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # labels and maps that the mask takes away
        return np.asarray(masker.fit_transform(in_memory), np.float64)


def assert_equal(ours: npt.NDArray[Any], expected: npt.NDArray[Any]) -> None:
    """Hold signals to SCIENCE §7: to a millionth of the largest value of their column."""
    assert ours.shape == expected.shape
    size = np.abs(expected).max(axis=0)
    assert (np.abs(ours - expected) / size).max() < RELATIVE


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of several types with NaN and Inf where they can, a mask, labels, maps."""
    folder = tmp_path_factory.mktemp("signals")
    volumes = head_volumes(SHAPE, 12)
    write_image(folder / "int16.nii.gz", volumes.astype(np.int16))
    write_image(folder / "scaled.nii.gz", volumes.astype(np.int16), slope=0.37, intercept=-5)
    spoilt = volumes.astype(np.float32)
    spoilt[9, 10, 8, 2:5] = np.nan
    spoilt[4, 4, 4] = np.inf
    write_image(folder / "float32.nii.gz", spoilt)
    random = np.random.default_rng(1)
    inside = head_volumes(SHAPE, 1)[..., 0] > 700
    write_image(folder / "mask.nii.gz", inside.astype(np.uint8))
    i, j, k = np.indices(SHAPE)
    blocks = (i // 6) + 3 * (j // 7) + 9 * (k // 8)
    labels = np.array([0, -3, 7, 900, 41, -12, 5, 6, 8, 13, 14, 2, 77, 78, 1, 3, 12, 300])[blocks]
    labels[random.random(SHAPE) < 0.2] = 0  # holes
    write_image(folder / "labels.nii.gz", labels.astype(np.int16))
    write_image(folder / "maps.nii.gz", blob_maps(6, shape=SHAPE, share=0.4))
    return folder


def mask_of(folder: Path, name: str | None) -> Mask:
    grid = open_image(folder / "int16.nii.gz").grid
    if name is None:
        return Mask(np.ones(grid.shape, bool), grid, "file")
    return load_mask(folder / name, grid, "file")


kinds = pytest.mark.parametrize(
    ("run", "mask", "fwhm_mm"),
    [
        ("int16.nii.gz", None, None),
        ("scaled.nii.gz", "mask.nii.gz", None),
        ("float32.nii.gz", "mask.nii.gz", None),
        ("float32.nii.gz", None, 5.0),
        ("int16.nii.gz", "mask.nii.gz", 5.0),
    ],
)


@kinds
def test_voxels(folder, run, mask, fwhm_mm):
    name = mask or "labels.nii.gz"  # any mask will do
    masker = NiftiMasker(folder / name, smoothing_fwhm=fwhm_mm, standardize=None)
    voxels = nibabel.load(folder / name).get_fdata() != 0
    ours = signals(
        folder / run, VoxelExtractor(Mask(voxels, mask_of(folder, None).grid, "file")), fwhm_mm
    )
    assert_equal(ours, theirs(masker, folder / run))


@kinds
@pytest.mark.parametrize("statistic", STATISTICS)
def test_labels_with_holes_and_negative_ones(folder, run, mask, fwhm_mm, statistic):
    masker = NiftiLabelsMasker(
        folder / "labels.nii.gz",
        mask_img=mask and folder / mask,
        strategy=statistic,
        smoothing_fwhm=fwhm_mm,
        standardize=None,
    )
    atlas = read_atlas(folder / "labels.nii.gz")
    regions = Regions.of_labels(atlas.labels, atlas.values, mask_of(folder, mask).voxels)
    extractor = StatisticExtractor(regions, statistic)
    ours = signals(folder / run, extractor, fwhm_mm)[:, ~extractor.missing]
    assert_equal(ours, theirs(masker, folder / run))


@kinds
def test_maps(folder, run, mask, fwhm_mm):
    masker = NiftiMapsMasker(
        folder / "maps.nii.gz",
        mask_img=mask and folder / mask,
        smoothing_fwhm=fwhm_mm,
        standardize=None,
    )
    inside = mask_of(folder, mask)
    extractor = MapExtractor(read_maps(folder / "maps.nii.gz", inside), inside)
    assert_equal(signals(folder / run, extractor, fwhm_mm), theirs(masker, folder / run))


@kinds
@pytest.mark.parametrize("radius_mm", [None, 5.0, 9.3])
def test_spheres_that_overlap(folder, run, mask, fwhm_mm, radius_mm):
    ijk = np.array([[8, 9, 7], [8.4, 9.4, 7.1], [9, 12, 8], [6, 9, 10]])
    grid = open_image(folder / run).grid
    seeds = grid.to_mm(ijk)
    masker = NiftiSpheresMasker(
        [tuple(seed) for seed in seeds],
        radius=radius_mm,
        mask_img=mask and folder / mask,
        allow_overlap=True,
        smoothing_fwhm=fwhm_mm,
        standardize=None,
    )
    spheres = Spheres(seeds, np.full(4, radius_mm or 0.0))
    regions, _ = spheres.on(grid, mask_of(folder, mask).voxels)
    ours = signals(folder / run, StatisticExtractor(regions), fwhm_mm)
    assert_equal(ours, theirs(masker, folder / run))


def test_nilearn_cuts_the_means_of_spheres_in_whole_numbers_and_we_do_not(folder):
    """An exception to parity: its array of signals has the type of the image."""
    path = folder / "int16.nii.gz"
    grid = open_image(path).grid
    seeds = grid.to_mm(np.array([[8, 9, 7]]))
    masker = NiftiSpheresMasker([tuple(seeds[0])], radius=5, standardize=None)
    cut = np.asarray(masker.fit_transform(nibabel.load(path)), np.float64)
    regions, _ = Spheres(seeds, np.array([5.0])).on(grid, np.ones(SHAPE, bool))
    ours = signals(path, StatisticExtractor(regions))
    np.testing.assert_array_equal(cut, np.trunc(ours))
    assert np.abs(cut - ours).max() > 0.3


# A real run, and atlases as they are found


needs_real = pytest.mark.skipif(not REAL_BOLD.exists(), reason="needs the real run beside the code")
REAL_MASK = REAL_BOLD.with_name(REAL_BOLD.name.replace("desc-preproc_bold", "desc-brain_mask"))
ATLASES = SHARED / "atlases"


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Mask]:
    """The first volumes of the real run, and its mask."""
    image = nibabel.load(REAL_BOLD)
    path = tmp_path_factory.mktemp("real") / "bold.nii.gz"
    nibabel.save(image.slicer[..., :6], path)
    return path, load_mask(REAL_MASK, open_image(path).grid, "derivative")


@needs_real
@pytest.mark.parametrize(
    ("atlas", "statistic"),
    [
        ("aal/AAL2_Atlas_Map.nii.gz", "median"),
        ("harvardoxford/HarvardOxfordMNI.nii.gz", "mean"),
        ("schaefer-fsl/Schaefer2018_400Parcels_17Networks_order_FSLMNI152_2.5mm.nii.gz", "maximum"),
        ("tian/Tian_Subcortex_S2_3T_2009cAsym.nii.gz", "variance"),
        ("power264/Power_Neuron_264ROIs_Radius5_Mask.nii.gz", "standard_deviation"),
    ],
)
def test_labels_of_real_atlases(real, atlas, statistic):
    """On the grid of the run both have the same voxels; where they come from another grid,
    `test_resample` says what differs."""
    path, mask = real
    read = read_atlas(ATLASES / atlas)
    labels = read.on(mask.grid)
    regions = Regions.of_labels(labels, read.values, mask.voxels)
    extractor = StatisticExtractor(regions, statistic)
    masker = NiftiLabelsMasker(
        nibabel.Nifti1Image(labels, mask.grid.affine),
        mask_img=REAL_MASK,
        strategy=statistic,
        standardize=None,
    )
    assert_equal(signals(path, extractor)[:, ~extractor.missing], theirs(masker, path))


@needs_real
def test_spheres_of_real_seeds(real):
    path, mask = real
    seeds = pd.read_csv(ATLASES / "power264/power_2011.csv")[["X", "Y", "Z"]].to_numpy(float)
    regions, wholes = Spheres(seeds, np.full(len(seeds), 5.0)).on(mask.grid, mask.voxels)
    seen = regions.sizes > 0
    assert np.count_nonzero(seen) > 250
    assert (regions.sizes <= wholes).all()
    masker = NiftiSpheresMasker(
        [tuple(seed) for seed in seeds[seen]],
        radius=5,
        mask_img=REAL_MASK,
        allow_overlap=True,
        standardize=None,
    )
    assert_equal(signals(path, StatisticExtractor(regions))[:, seen], theirs(masker, path))


@needs_real
def test_maps_of_a_real_atlas(real, tmp_path):
    """Three, for time's sake; nilearn would round percents in whole numbers where it moves them."""
    path, mask = real
    image = nibabel.load(ATLASES / "probabilistic/MNI_JHU_tracts_prob.nii.gz").slicer[..., :3]
    nibabel.save(image, tmp_path / "maps.nii")
    extractor = MapExtractor(read_maps(tmp_path / "maps.nii", mask), mask)
    in_memory = nibabel.Nifti1Image(image.get_fdata(dtype=np.float32), image.affine)
    masker = NiftiMapsMasker(in_memory, mask_img=REAL_MASK, standardize=None)
    assert_equal(signals(path, extractor), theirs(masker, path))
