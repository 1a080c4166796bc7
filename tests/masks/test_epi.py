"""The epi mask has nilearn's voxels, all of them and no other."""

from __future__ import annotations

import warnings
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nilearn.masking import compute_epi_mask
from numpy.typing import NDArray

from bidsmask.errors import UnusableImage, UsageError
from bidsmask.images.grid import Grid
from bidsmask.images.image import open_image
from bidsmask.images.stream import mean_volume
from bidsmask.masks.epi import epi_mask
from tests.make_images import AFFINE, REAL_BOLD, head_volumes, write_image

SHAPE = (18, 20, 16)
GRID = Grid(SHAPE, AFFINE)


def both(path: Path, **options: Any) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return our mask and nilearn's of one file."""
    image = open_image(path)
    ours = epi_mask(mean_volume(image), image.grid, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = compute_epi_mask(str(path), **options)
    return ours, np.asarray(theirs.dataobj).astype(bool)


@pytest.mark.parametrize(
    "options",
    [
        {"lower_cutoff": low, "upper_cutoff": high, "connected": connected, "opening": opening}
        for (low, high), connected, opening in product(
            [(0.2, 0.85), (0.0, 1.0), (0.5, 0.6), (0.01, 0.99)], [True, False], [0, 1, 2, 3]
        )
    ],
    ids=lambda options: "-".join(str(value) for value in options.values()),
)
@pytest.mark.parametrize("dtype", ["int16", "float32"])
def test_every_option_gives_nilearns_voxels(
    tmp_path: Path, dtype: str, options: dict[str, Any]
) -> None:
    path = write_image(tmp_path / "bold.nii.gz", head_volumes().astype(dtype))
    ours, theirs = both(path, **options)
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("slope", [np.nan, 0.37])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "int64", "float32", "float64"])
def test_every_type_gives_nilearns_voxels(
    tmp_path: Path, dtype: str, slope: float, seed: int
) -> None:
    volumes = (head_volumes(seed=seed) / 6).clip(0, 255).astype(dtype)
    path = write_image(tmp_path / "bold.nii.gz", volumes, slope=slope, intercept=3)
    ours, theirs = both(path)
    assert 0 < ours.sum() < ours.size
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "float64"])
def test_a_3d_image_gives_nilearns_voxels(tmp_path: Path, dtype: str) -> None:
    volume = (head_volumes(n_volumes=1)[..., 0] / 6).clip(0, 255).astype(dtype)
    ours, theirs = both(write_image(tmp_path / "boldref.nii.gz", volume))
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("ensure_finite", [True, False])
@pytest.mark.parametrize("exclude_zeros", [True, False])
@pytest.mark.parametrize("opening", [0, 2])
def test_zeros_and_non_finite_values_count_as_nilearn_counts_them(
    tmp_path: Path, ensure_finite: bool, exclude_zeros: bool, opening: int
) -> None:
    volumes = head_volumes().astype(np.float32)
    volumes[:4] = 0
    volumes[9, 9, 9], volumes[5, 5, 5, 1] = np.nan, np.inf
    path = write_image(tmp_path / "bold.nii.gz", volumes)
    ours, theirs = both(
        path, ensure_finite=ensure_finite, exclude_zeros=exclude_zeros, opening=opening
    )
    np.testing.assert_array_equal(ours, theirs)


def test_one_slice_gives_nilearns_voxels(tmp_path: Path) -> None:
    volumes = head_volumes((30, 32, 3))[:, :, 1:2].astype(np.int16)
    ours, theirs = both(write_image(tmp_path / "bold.nii.gz", volumes), opening=0)
    assert ours.any()
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.skipif(not REAL_BOLD.exists(), reason="the shared data are not here")
def test_a_real_run_gives_nilearns_voxels() -> None:
    ours, theirs = both(REAL_BOLD)
    assert ours.sum() > 30_000
    np.testing.assert_array_equal(ours, theirs)


def test_a_brain_at_the_edge_is_kept_when_asked_for() -> None:
    head = head_volumes((24, 26, 30), n_volumes=1)[..., 0]
    cut = head[:, :, :15]  # half of the head: its widest slice is the last
    grid = Grid(cut.shape, AFFINE)
    assert not epi_mask(cut, grid)[..., -1].any()
    assert epi_mask(cut, grid, keep_edges=True)[..., -1].any()


def test_bytes_do_not_overflow() -> None:
    volume = np.where(head_volumes(n_volumes=1)[..., 0] > 700, 250, 200).astype(np.uint8)
    mask = epi_mask(volume, GRID, opening=0, connected=False, lower_cutoff=0, upper_cutoff=1)
    np.testing.assert_array_equal(mask, volume == 250)


@pytest.mark.parametrize(
    ("mean", "message"),
    [
        (np.zeros(SHAPE), "is constant: 0 in every voxel"),
        (np.full(SHAPE, 7, np.int16), "is constant: 7 in every voxel"),
        (np.full(SHAPE, np.nan), "no finite value"),
        (np.full(SHAPE, np.inf), "no finite value"),
        (np.ones(SHAPE, complex), "is complex"),
        (np.ones(SHAPE[:2]), "but 3D on"),
        (np.ones((*SHAPE, 2)), "but 3D on"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_image_without_a_brain_is_refused_by_name(mean: NDArray[Any], message: str) -> None:
    with pytest.raises(UnusableImage, match=message):
        epi_mask(mean, GRID, where="sub-01_bold.nii")


def test_nothing_but_zeros_to_exclude_is_refused() -> None:
    volume = np.zeros(SHAPE)
    volume[9, 9, 9] = 1
    with pytest.raises(UnusableImage, match=r"too few voxels \(1\)"):
        epi_mask(volume, GRID, exclude_zeros=True, opening=0)


@pytest.mark.parametrize(
    "options",
    [
        {"lower_cutoff": 0.9},
        {"upper_cutoff": 1.2},
        {"lower_cutoff": -0.1},
        {"lower_cutoff": float("nan")},
        {"opening": -1},
    ],
    ids=str,
)
def test_arguments_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        epi_mask(head_volumes()[..., 0], GRID, **options)
