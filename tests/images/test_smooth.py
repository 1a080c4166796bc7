"""Smoothing by three banded matrices gives scipy's numbers, in any box."""

from __future__ import annotations

from typing import Any

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nilearn.image import smooth_img
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from bidsmask.images.grid import Grid
from bidsmask.images.smooth import Box, Smoother
from tests.make_images import AFFINE, random_stored


def plainly_smoothed(
    volume: NDArray[Any], grid: Grid, fwhm_mm: tuple[float, float, float]
) -> NDArray[np.float64]:
    """Smooth the whole volume by scipy, axis by axis, in float64."""
    smoothed: NDArray[np.float64] = volume.astype(np.float64)
    for axis, (fwhm, size) in enumerate(zip(fwhm_mm, grid.voxel_sizes_mm, strict=True)):
        sigma = fwhm / (np.sqrt(8 * np.log(2)) * size)
        if sigma > 0:
            smoothed = gaussian_filter1d(smoothed, sigma, axis=axis, mode="reflect", truncate=4)
    return smoothed


@st.composite
def slices(draw: st.DrawFn, length: int) -> slice:
    start = draw(st.integers(0, length - 1))
    return slice(start, draw(st.integers(start + 1, length)))


@st.composite
def problems(draw: st.DrawFn) -> tuple[Grid, tuple[float, float, float], Box]:
    i, j, k = (draw(st.integers(1, 45)) for _ in range(3))
    sizes = [draw(st.sampled_from([0.8, 1.0, 2.0, 3.3])) for _ in range(3)]
    fwhm = tuple(draw(st.sampled_from([0.0, 0.5, 3.0, 6.0, 12.0])) for _ in range(3))
    box = draw(slices(i)), draw(slices(j)), draw(slices(k))
    return Grid((i, j, k), np.diag([*sizes, 1.0])), (fwhm[0], fwhm[1], fwhm[2]), box


@settings(max_examples=60)
@given(problems())
def test_every_box_equals_scipys_numbers(
    problem: tuple[Grid, tuple[float, float, float], Box],
) -> None:
    grid, fwhm_mm, box = problem
    volume = random_stored(grid.shape, "float32")
    truth = plainly_smoothed(volume, grid, fwhm_mm)[box].ravel(order="F")
    flat = volume.ravel(order="F")
    np.testing.assert_allclose(Smoother.over(grid, fwhm_mm, box).apply(flat), truth, rtol=2e-6)
    exact = Smoother.over(grid, fwhm_mm, box, np.float64).apply(flat)
    np.testing.assert_allclose(exact, truth, rtol=1e-13)


def test_the_whole_grid_is_nilearns() -> None:
    volume = random_stored((20, 21, 22), "float32")
    theirs = smooth_img(nib.Nifti1Image(volume, AFFINE), 6).get_fdata()
    ours = Smoother.over(Grid(volume.shape, AFFINE), 6).apply(volume.ravel(order="F"))
    np.testing.assert_allclose(ours, theirs.ravel(order="F"), rtol=1e-6)


def test_an_oblique_grid_is_smoothed_along_its_axes() -> None:
    oblique = nib.affines.from_matvec(nib.eulerangles.euler2mat(0.3, 0.2, 0.1), [1, 2, 3]) @ AFFINE
    volume = random_stored((20, 21, 22), "float32")
    theirs = smooth_img(nib.Nifti1Image(volume, oblique), 6).get_fdata()
    ours = Smoother.over(Grid(volume.shape, oblique), 6).apply(volume.ravel(order="F"))
    np.testing.assert_allclose(ours, theirs.ravel(order="F"), rtol=1e-6)


@pytest.fixture
def smoother() -> Smoother:
    return Smoother.over(Grid((30, 31, 32), AFFINE), 5, (slice(9, 20), slice(12, 25), slice(8, 9)))


def test_the_input_box_is_all_that_is_needed(smoother: Smoother) -> None:
    volume = random_stored((30, 31, 32), "float32")
    only = np.full_like(volume, np.nan)
    only[smoother.input_box] = volume[smoother.input_box]
    whole = smoother.apply(volume.ravel(order="F"))
    np.testing.assert_array_equal(smoother.apply(only.ravel(order="F")), whole)
    np.testing.assert_array_equal(smoother.apply(volume[smoother.input_box]), whole)


def test_the_input_box_ends_at_the_field_of_view() -> None:
    smoother = Smoother.over(
        Grid((10, 10, 10), AFFINE), 6, (slice(0, 2), slice(9, 10), slice(0, 4))
    )
    assert all(0 <= part.start < part.stop <= 10 for part in smoother.input_box)


@pytest.mark.parametrize("dtype", ["int16", "uint8", "float64", "int32"])
def test_any_real_type_may_come_in(smoother: Smoother, dtype: str) -> None:
    volume = random_stored((30, 31, 32), dtype)
    truth = smoother.apply(volume.astype(np.float32).ravel(order="F"))
    np.testing.assert_array_equal(smoother.apply(volume.ravel(order="F")), truth)


def test_the_result_can_be_written_into_a_given_array(smoother: Smoother) -> None:
    volume = random_stored((30, 31, 32), "float32").ravel(order="F")
    rows = np.zeros((2, smoother.n_voxels), np.float32)
    assert smoother.apply(volume, rows[1]).base is rows
    np.testing.assert_array_equal(rows[1], smoother.apply(volume))
    assert not rows[0].any()


def test_one_volume_does_not_change_the_next(smoother: Smoother) -> None:
    first = random_stored((30, 31, 32), "float32", seed=1).ravel(order="F")
    second = random_stored((30, 31, 32), "float32", seed=2).ravel(order="F")
    before = smoother.apply(first)
    smoother.apply(second)
    np.testing.assert_array_equal(smoother.apply(first), before)


def test_zero_width_changes_nothing() -> None:
    volume = random_stored((5, 6, 7), "float32").ravel(order="F")
    np.testing.assert_array_equal(Smoother.over(Grid((5, 6, 7), AFFINE), 0).apply(volume), volume)
