"""The mask of a range of values has nidataset's voxels, all of them and no other."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from nidataset.volume import generate_brain_mask
from numpy.typing import NDArray

from bidsmask.errors import UnusableImage, UnusableMask, UsageError
from bidsmask.images.grid import Grid
from bidsmask.images.image import open_image
from bidsmask.images.stream import read_volume
from bidsmask.masks.otsu import otsu_mask
from tests.make_images import AFFINE, SHARED, head_volumes, write_image

HEAD = head_volumes((30, 28, 26), n_volumes=1)[..., 0]
GRID = Grid(HEAD.shape, AFFINE)
REFERENCES = sorted((SHARED / "references").glob("[lm]*[wI].nii.gz"))


def both(path: Path, folder: Path, **options: Any) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return our mask and nidataset's of one file."""
    image = open_image(path)
    ours = otsu_mask(read_volume(image), image.grid, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = generate_brain_mask(str(path), str(folder), **options)
    return ours, np.asarray(nibabel.load(theirs).dataobj).astype(bool)


@pytest.mark.parametrize("radius", [0, 1, 2, 3, 5])
@pytest.mark.parametrize("threshold", [None, (700, 1300), (1150.5, 1200), (-50, 300), (0, 9999)])
def test_every_option_gives_nidatasets_voxels(
    tmp_path: Path, threshold: tuple[float, float] | None, radius: int
) -> None:
    path = write_image(tmp_path / "head.nii.gz", HEAD.astype(np.float32))
    ours, theirs = both(
        path, tmp_path, closing_radius=radius, **({"threshold": threshold} if threshold else {})
    )
    assert ours.any()
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("slope", [np.nan, 0.37])
@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "float64"])
def test_every_type_gives_nidatasets_voxels(
    tmp_path: Path, dtype: str, seed: int, slope: float
) -> None:
    rng = np.random.default_rng(seed)
    noisy = HEAD + rng.gamma(2, 90, HEAD.shape) - 150
    stored = (noisy / 8).clip(0, 255).astype(dtype)
    path = write_image(tmp_path / "head.nii", stored, slope=slope, intercept=-5)
    ours, theirs = both(path, tmp_path)
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("values", [(0, 5), (-3, 5), (0, 5, 6)], ids=str)
def test_few_values_give_nidatasets_voxels(tmp_path: Path, values: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    stored = rng.choice(values, (12, 13, 11)).astype(np.int16)
    ours, theirs = both(write_image(tmp_path / "x.nii", stored), tmp_path, closing_radius=1)
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.skipif(not REFERENCES, reason="the shared data are not here")
@pytest.mark.parametrize("path", REFERENCES, ids=lambda path: path.name)
def test_a_real_head_gives_nidatasets_voxels(tmp_path: Path, path: Path) -> None:
    ours, theirs = both(path, tmp_path)
    np.testing.assert_array_equal(ours, theirs)


def test_the_range_holds_both_its_ends() -> None:
    mean = np.arange(27.0).reshape(3, 3, 3)
    mask = otsu_mask(mean, Grid(mean.shape, AFFINE), threshold=(12, 14), closing_radius=0)
    np.testing.assert_array_equal(mask, (mean >= 12) & (mean <= 14))


def test_a_hole_is_filled_and_a_small_part_left_out() -> None:
    mean = np.zeros((20, 20, 20))
    mean[3:12, 3:12, 3:12] = 10
    solid = mean > 0
    mean[6:9, 6:9, 6:9] = 0
    mean[17:19, 17:19, 17:19] = 10
    mask = otsu_mask(mean, Grid(mean.shape, AFFINE), closing_radius=0)
    np.testing.assert_array_equal(mask, solid)


def test_an_image_without_a_value_above_zero_is_refused() -> None:
    with pytest.raises(UnusableImage, match="has no value above 0"):
        otsu_mask(-np.abs(HEAD), GRID)


def test_a_range_without_a_voxel_says_what_there_is() -> None:
    with pytest.raises(UnusableMask, match="no value between 8000 and 9000, only"):
        otsu_mask(HEAD, GRID, threshold=(8000, 9000))


@pytest.mark.parametrize("options", [{"threshold": (5,)}, {"closing_radius": -1}], ids=str)
def test_arguments_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        otsu_mask(HEAD, GRID, **options)
