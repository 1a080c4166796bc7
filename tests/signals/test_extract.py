"""One pass over the volumes, held to nibabel, numpy and nilearn's smoothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nilearn.image import smooth_img

from bidsmask.errors import DamagedFile
from bidsmask.images.grid import Grid
from bidsmask.images.image import Image, open_image
from bidsmask.masks.mask import Mask
from bidsmask.signals.extract import RawSignals, extract
from bidsmask.signals.regions import Regions, Statistic, StatisticExtractor
from bidsmask.signals.voxels import VoxelExtractor
from tests.make_images import AFFINE, head_volumes, random_stored, write_image

SHAPE = (9, 10, 8)
INSIDE = np.random.default_rng(1).random(SHAPE) < 0.3
INSIDE[:2] = False
GRID = Grid(SHAPE, AFFINE)
MASK = Mask(INSIDE, GRID, "file")
LABELS = np.random.default_rng(2).integers(0, 4, SHAPE)


def regions(statistic: Statistic = "mean") -> StatisticExtractor:
    return StatisticExtractor(Regions.of_labels(LABELS, np.array([1, 2, 3]), INSIDE), statistic)


def image_of(folder: Path, stored: np.ndarray, **how: Any) -> Image:
    return open_image(write_image(folder / "run.nii.gz", stored, **how))


def whole(raw: RawSignals) -> np.ndarray:
    """Return the signals with their reference."""
    return raw.reference + raw.values.astype(np.float64)


def values_of(image: Image) -> np.ndarray:
    """Return scaled float64 values by nibabel, 0 for what is not finite."""
    values = nibabel.load(image.path).get_fdata(dtype=np.float64)
    return np.where(np.isfinite(values), values, 0)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    dtype=st.sampled_from(["int8", "uint8", "int16", "uint16", "int32", "float32", "float64"]),
    slope=st.sampled_from([np.nan, 1.0, 0.01, -2.5, 150.0]),
    intercept=st.sampled_from([0.0, -7.25, 1e4]),
    order=st.sampled_from("<>"),
    seed=st.integers(0, 99),
)
def test_signals_are_the_scaled_values(tmp_path, dtype, slope, intercept, order, seed):
    stored = random_stored((*SHAPE, 5), dtype, seed)
    image = image_of(tmp_path, stored, slope=slope, intercept=intercept, order=order)
    values = values_of(image)
    voxels, means, medians = extract(image, [VoxelExtractor(MASK), regions(), regions("median")])
    size = np.abs(values).max()
    np.testing.assert_allclose(whole(voxels), values[INSIDE].T, rtol=0, atol=3e-7 * size)
    expected = [values[INSIDE & (one == LABELS)].mean(axis=0) for one in (1, 2, 3)]
    np.testing.assert_allclose(whole(means), np.transpose(expected), rtol=0, atol=3e-7 * size)
    middles = [np.median(values[INSIDE & (one == LABELS)], axis=0) for one in (1, 2, 3)]
    np.testing.assert_allclose(whole(medians), np.transpose(middles), rtol=0, atol=3e-7 * size)
    assert not voxels.values[0].any()


@pytest.mark.parametrize("dtype", ["int16", "float32"])
def test_a_mean_far_above_the_variation_costs_no_digits(tmp_path, dtype):
    """float32 alone keeps 1e-3 of a change of 1 beside a mean of 15,000."""
    noise = np.random.default_rng(0).standard_normal((*SHAPE, 6))
    stored = (15_000 + 30 * noise).round().astype(dtype)
    image = image_of(tmp_path, stored, slope=0.1)
    (voxels,) = extract(image, [VoxelExtractor(MASK)])
    values = values_of(image)[INSIDE].T
    np.testing.assert_allclose(voxels.values, values - values[0], rtol=2e-7, atol=1e-6)


@pytest.mark.parametrize("fwhm_mm", [None, 5.0])
def test_each_extractor_gets_the_same_alone_and_beside_others(tmp_path, fwhm_mm):
    image = image_of(tmp_path, head_volumes(SHAPE, 6).astype(np.float32))
    extractors = [VoxelExtractor(MASK), regions(), regions("variance")]
    together = extract(image, extractors, fwhm_mm, MASK.box)
    alone = [extract(image, [one], fwhm_mm, MASK.box)[0] for one in extractors]
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_array_equal(one.values, other.values)
        np.testing.assert_array_equal(one.reference, other.reference)


@pytest.mark.parametrize("dtype", ["int16", "float32", "float64"])
@pytest.mark.parametrize("slope", [np.nan, 0.5])
def test_smoothing_is_nilearns(tmp_path, dtype, slope):
    image = image_of(tmp_path, head_volumes(SHAPE, 4).astype(dtype), slope=slope, intercept=3)
    voxels, means = extract(image, [VoxelExtractor(MASK), regions()], 6.0)
    theirs = smooth_img(nibabel.Nifti1Image(values_of(image), AFFINE), 6.0).get_fdata()
    np.testing.assert_allclose(whole(voxels), theirs[INSIDE].T, rtol=1e-6)
    expected = [theirs[INSIDE & (one == LABELS)].mean(axis=0) for one in (1, 2, 3)]
    np.testing.assert_allclose(whole(means), np.transpose(expected), rtol=1e-6)


@pytest.mark.parametrize("fwhm_mm", [None, 5.0])
@pytest.mark.parametrize("intercept", [0.0, 100.0])
def test_what_is_not_finite_counts_as_zero_before_smoothing(tmp_path, fwhm_mm, intercept):
    stored = head_volumes(SHAPE, 4).astype(np.float32)
    holes = [np.argwhere(INSIDE)[0], np.argwhere(INSIDE)[5], np.argwhere(~INSIDE)[9]]
    for hole, bad in zip(holes, (np.nan, np.inf, -np.inf), strict=True):
        stored[(*hole, slice(1, 3))] = bad
    slope = 2.0 if intercept else np.nan
    image = image_of(tmp_path, stored, slope=slope, intercept=intercept)
    (voxels,) = extract(image, [VoxelExtractor(MASK)], fwhm_mm)
    values = values_of(image)
    if fwhm_mm is not None:
        values = smooth_img(nibabel.Nifti1Image(values, AFFINE), fwhm_mm).get_fdata()
    np.testing.assert_allclose(whole(voxels), values[INSIDE].T, rtol=1e-6, atol=1e-3)
    assert voxels.n_nonfinite == 4


@pytest.mark.parametrize("fwhm_mm", [None, 5.0])
def test_bad_values_are_counted_where_they_are_used(tmp_path, fwhm_mm):
    stored = head_volumes(SHAPE, 4).astype(np.float32)
    stored[tuple(np.argwhere(INSIDE & (LABELS == 0))[0])] = np.nan
    image = image_of(tmp_path, stored)
    voxels, means = extract(image, [VoxelExtractor(MASK), regions()], fwhm_mm)
    assert (voxels.n_nonfinite, means.n_nonfinite) == (4, 0)


def test_regions_outside_the_image_keep_their_columns(tmp_path):
    image = image_of(tmp_path, head_volumes(SHAPE, 3).astype(np.int16))
    extractor = StatisticExtractor(Regions.of_labels(LABELS, np.array([1, 50]), INSIDE))
    (means,) = extract(image, [extractor])
    assert means.values.shape == (3, 2)
    assert list(extractor.missing) == [False, True]


def test_damage_is_told_before_any_signal_is_given(tmp_path):
    image = image_of(tmp_path, random_stored((*SHAPE, 5)))
    content = bytearray(image.path.read_bytes())
    content[-6] ^= 1
    image.path.write_bytes(content)
    with pytest.raises(DamagedFile):
        extract(image, [VoxelExtractor(MASK)])
