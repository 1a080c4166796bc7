"""Values inside a mask and back, with nilearn's numbers."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import nibabel
import nilearn.masking
import numpy as np
import pytest
from numpy.typing import NDArray

from bidsmask import apply_mask, unmask
from bidsmask.errors import GridMismatch, UnusableMask, UsageError
from tests.make_images import AFFINE, head_volumes, write_image

HEAD = head_volumes()
MASK = nibabel.Nifti1Image((HEAD[..., 0] > 700).astype(np.uint8), AFFINE)


def theirs(*args: Any, **options: Any) -> NDArray[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.asarray(nilearn.masking.apply_mask(*args, **options))


def image(stored: NDArray[Any]) -> nibabel.Nifti1Image:
    return nibabel.Nifti1Image(stored, AFFINE)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"dtype": "float64"},
        {"smoothing_fwhm": 5},
        {"ensure_finite": False},
    ],
    ids=str,
)
@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "float64", ">f4"])
def test_signals_are_nilearns(tmp_path: Path, dtype: str, options: dict[str, Any]) -> None:
    stored = (HEAD / 8).clip(0, 255).astype(dtype)
    path = write_image(tmp_path / "bold.nii.gz", stored, order=">" if dtype == ">f4" else "<")
    for given in (path, str(path), nibabel.load(path), image(stored.astype(stored.dtype.type))):
        ours = apply_mask(given, MASK, **options)
        expected = theirs(str(path), MASK, **options)
        assert ours.dtype == expected.dtype.newbyteorder("=")
        assert ours.flags.c_contiguous
        np.testing.assert_array_equal(ours, expected)


def test_scaled_numbers_are_float64(tmp_path: Path) -> None:
    stored = (HEAD / 8).astype(np.int16)
    path = write_image(tmp_path / "bold.nii.gz", stored, slope=0.37, intercept=3)
    ours = apply_mask(path, MASK)
    assert ours.dtype == np.float64
    np.testing.assert_array_equal(ours, theirs(str(path), MASK))


def test_values_that_are_not_finite_are_zero_unless_wanted() -> None:
    stored = HEAD.astype(np.float32)
    stored[9, 9, 9], stored[9, 9, 8] = np.nan, np.inf
    for ensure_finite in (True, False):
        ours = apply_mask(image(stored), MASK, ensure_finite=ensure_finite)
        np.testing.assert_array_equal(
            ours, theirs(image(stored.copy()), MASK, ensure_finite=ensure_finite)
        )


def test_one_volume_is_one_row_and_a_list_is_many() -> None:
    volumes = [image(HEAD[..., n]) for n in range(3)]
    assert apply_mask(volumes[0], MASK).ndim == 1
    np.testing.assert_array_equal(apply_mask(volumes[0], MASK), theirs(volumes[0], MASK))
    np.testing.assert_array_equal(apply_mask(volumes, MASK), theirs(volumes, MASK))


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "uint8"])
def test_unmask_is_nilearns(dtype: str, order: Any) -> None:
    n_voxels = int(np.asarray(MASK.dataobj).sum())
    signals = np.random.default_rng(0).normal(50, 9, (4, n_voxels)).astype(dtype)
    for given in (signals, signals[0], list(signals)):
        ours = unmask(given, MASK, order)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = nilearn.masking.unmask(given, MASK, order)
        pairs = (
            [(ours, expected)] if not isinstance(ours, list) else zip(ours, expected, strict=True)
        )
        for one, other in pairs:
            assert one.get_data_dtype() == other.get_data_dtype()
            np.testing.assert_array_equal(np.asarray(one.dataobj), np.asarray(other.dataobj))
            np.testing.assert_array_equal(one.affine, AFFINE)


def test_what_was_taken_out_comes_back() -> None:
    back = apply_mask(unmask(apply_mask(image(HEAD), MASK), MASK), MASK)
    np.testing.assert_array_equal(back, apply_mask(image(HEAD), MASK))


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(UsageError, match="the mask"):
        unmask(np.ones((4, 7)), MASK)
    with pytest.raises(UsageError, match="X has shape"):
        unmask(np.ones((2, 2, 7)), MASK)
    with pytest.raises(GridMismatch):
        apply_mask(image(HEAD[1:]), MASK)
    with pytest.raises(UnusableMask, match="empty mask"):
        apply_mask(image(HEAD), image(np.zeros(HEAD.shape[:3])))
    with pytest.raises(UnusableMask, match="is not a mask"):
        apply_mask(image(HEAD), image(HEAD[..., 0]))
    with pytest.raises(UsageError, match="is no width"):
        apply_mask(image(HEAD), MASK, smoothing_fwhm=-2)
