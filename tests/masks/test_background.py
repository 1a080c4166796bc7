"""The background mask has nilearn's voxels, all of them and no other."""

from __future__ import annotations

import warnings
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nilearn.masking import compute_background_mask
from numpy.typing import NDArray

from bidsmask.errors import UnusableImage, UsageError
from bidsmask.images.grid import Grid
from bidsmask.images.image import open_image
from bidsmask.images.stream import mean_volume
from bidsmask.masks.background import background_mask
from tests.make_images import AFFINE, REAL_BOLD, SHARED, head_volumes, write_image

HEAD = np.where(head_volumes() > 600, head_volumes(), 50)
GRID = Grid(HEAD.shape[:3], AFFINE)
REFERENCES = sorted((SHARED / "references").glob("ls2001_*[wI].nii.gz"))


def both(path: Path, **options: Any) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return our mask and nilearn's of one file."""
    image = open_image(path)
    ours = background_mask(mean_volume(image), image.grid, ensure_finite=False, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = compute_background_mask(str(path), **options)
    return ours, np.asarray(theirs.dataobj).astype(bool)


@pytest.mark.parametrize(
    "options",
    [
        {"border_size": size, "connected": connected, "opening": opening}
        for size, connected, opening in product([1, 2, 5, 30], [True, False], [0, 1, 2])
    ],
    ids=lambda options: "-".join(str(value) for value in options.values()),
)
@pytest.mark.parametrize("dtype", ["int16", "float32"])
def test_every_option_gives_nilearns_voxels(
    tmp_path: Path, dtype: str, options: dict[str, Any]
) -> None:
    path = write_image(tmp_path / "bold.nii.gz", HEAD.astype(dtype))
    ours, theirs = both(path, **options)
    assert ours.any()
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("slope", [np.nan, 0.37])
@pytest.mark.parametrize("n_volumes", [1, 4])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "float32", "float64"])
def test_every_type_gives_nilearns_voxels(
    tmp_path: Path, dtype: str, n_volumes: int, slope: float
) -> None:
    volumes = (HEAD / 8).clip(0, 255).astype(dtype)[..., :n_volumes]
    stored = volumes[..., 0] if n_volumes == 1 else volumes
    ours, theirs = both(write_image(tmp_path / "x.nii.gz", stored, slope=slope, intercept=3))
    assert 0 < ours.sum() < ours.size
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("place", ["border", "inside"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_non_finite_values_count_as_nilearn_counts_them(
    tmp_path: Path, place: str, value: float
) -> None:
    volumes = HEAD.astype(np.float32)
    volumes[(0 if place == "border" else 9), 9, 9] = value
    ours, theirs = both(write_image(tmp_path / "bold.nii.gz", volumes))
    np.testing.assert_array_equal(ours, theirs)


def test_a_background_of_nan_is_found() -> None:
    mean = np.where(HEAD[..., 0] > 50, HEAD[..., 0], np.nan)
    np.testing.assert_array_equal(background_mask(mean, GRID), np.isfinite(mean))


def test_a_voxel_without_a_number_is_no_brain() -> None:
    mean = HEAD[..., 0].copy()
    mean[9, 9, 8] = np.nan
    assert not background_mask(mean, GRID)[9, 9, 8]
    assert background_mask(mean, GRID, ensure_finite=False)[9, 9, 8]


@pytest.mark.skipif(not REAL_BOLD.exists(), reason="the shared data are not here")
def test_a_real_run_gives_nilearns_voxels() -> None:
    ours, theirs = both(REAL_BOLD)
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.skipif(not REFERENCES, reason="the shared data are not here")
@pytest.mark.parametrize("path", REFERENCES, ids=lambda path: path.name)
def test_a_real_head_gives_nilearns_voxels(path: Path) -> None:
    for options in ({}, {"connected": True, "opening": 2}):
        ours, theirs = both(path, **options)
        np.testing.assert_array_equal(ours, theirs)


def test_a_constant_image_is_refused() -> None:
    with pytest.raises(UnusableImage, match="is constant: 7 in every voxel"):
        background_mask(np.full(GRID.shape, 7), GRID)


@pytest.mark.parametrize("options", [{"border_size": 0}, {"opening": -1}], ids=str)
def test_arguments_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        background_mask(HEAD[..., 0], GRID, **options)
