"""nilearn's functions under their own names: its signatures, its voxels, paths or images in."""

from __future__ import annotations

import inspect
import tracemalloc
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import nilearn.masking
import numpy as np
import pytest
from numpy.typing import NDArray

import bidsmask
from bidsmask.errors import DataError, GridMismatch, MissingInput, UnusableMask, UsageError
from tests.make_images import AFFINE, REAL_BOLD, SHARED, head_volumes, write_image

SHAPE = (18, 20, 16)
NOISY = head_volumes()
HEAD = np.where(NOISY > 600, NOISY, 50)
EPI, BACKGROUND = "compute_epi_mask", "compute_background_mask"
OBLIQUE = np.array([[2.5, 0.2, 0], [-0.2, 2.5, 0], [0, 0, 3]])


def affine_of(matrix: NDArray[Any], *offset: float) -> NDArray[np.float64]:
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = matrix, offset
    return affine


TARGETS: dict[str, dict[str, Any]] = {
    "3 x 3": {"target_affine": np.diag([3, 3, 3])},
    "3 x 3, oblique": {"target_affine": OBLIQUE},
    "3 x 3, flipped": {"target_affine": np.diag([-3, 3, 4])},
    "4 x 4": {"target_affine": affine_of(np.diag([3, 3, 3]), -8, -18, -25)},
    "4 x 4, within": {"target_affine": affine_of(np.diag([2, 2, 2]), 0, 0, 0)},
    "with shape": {
        "target_affine": affine_of(OBLIQUE, -10, -20, -30),
        "target_shape": (12, 20, 17),
    },
    "its own": {"target_affine": AFFINE, "target_shape": SHAPE},
}


def voxels(image: Any) -> NDArray[np.bool_]:
    return np.asarray(image.dataobj) != 0


def both(name: str, *args: Any, **options: Any) -> tuple[Any, Any]:
    """Return our image and nilearn's."""
    ours = getattr(bidsmask, name)(*args, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = getattr(nilearn.masking, name)(*args, **options)
    return ours, theirs


def assert_same(ours: Any, theirs: Any) -> None:
    assert isinstance(ours, nibabel.Nifti1Image)
    assert ours.get_data_dtype() == np.uint8
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours.affine, theirs.affine, atol=1e-12)
    assert voxels(ours).any()
    np.testing.assert_array_equal(voxels(ours), voxels(theirs))


def image(stored: NDArray[Any], affine: NDArray[Any] = AFFINE) -> nibabel.Nifti1Image:
    return nibabel.Nifti1Image(stored, affine)


# Signatures


@pytest.mark.parametrize("name", nilearn.masking.__all__)
def test_arguments_are_nilearns_in_its_order_with_its_defaults(name: str) -> None:
    ours = inspect.signature(getattr(bidsmask, name)).parameters
    theirs = inspect.signature(getattr(nilearn.masking, name)).parameters
    own = {"template"}
    assert [one for one in ours if one not in own] == list(theirs)
    assert {n: ours[n].default for n in theirs} == {n: theirs[n].default for n in theirs}


# One image


@pytest.mark.parametrize("name", [EPI, BACKGROUND])
@pytest.mark.parametrize("kind", ["path", "str", "loaded", "in memory", "C order", "list", "slice"])
@pytest.mark.parametrize("dtype", ["int16", "float32", "float64"])
def test_every_way_to_give_an_image_gives_nilearns_voxels(
    tmp_path: Path, name: str, kind: str, dtype: str
) -> None:
    stored = np.asfortranarray(HEAD.astype(dtype))
    path = write_image(tmp_path / "bold.nii.gz", stored)
    given: Any = {
        "path": lambda: path,
        "str": lambda: str(path),
        "loaded": lambda: nibabel.load(path),
        "in memory": lambda: image(stored),
        "C order": lambda: image(np.ascontiguousarray(stored)),
        "list": lambda: [image(stored[..., n]) for n in range(5)],
        "slice": lambda: nibabel.load(path).slicer[..., 1:4],
    }[kind]()
    assert_same(*both(name, given))


@pytest.mark.parametrize("name", [EPI, BACKGROUND])
def test_a_list_of_series_is_one_series(tmp_path: Path, name: str) -> None:
    parts = [HEAD[..., :2].astype(np.float32), HEAD[..., 2:].astype(np.float32)]
    paths = [write_image(tmp_path / f"{n}.nii.gz", part) for n, part in enumerate(parts)]
    assert_same(*both(name, list(map(str, paths))))


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dtype", ["int16", "float32", "float64"])
def test_target_grids_are_nilearns(target: str, dtype: str) -> None:
    series = image(NOISY.astype(dtype))
    assert_same(*both(EPI, series, opening=1, **TARGETS[target]))
    assert_same(*both(BACKGROUND, series, **TARGETS[target]))


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "uint8", "uint16", "float32"])
def test_one_volume_is_moved_in_nilearns_type(dtype: str) -> None:
    volume = image((HEAD[..., 0] / 10).astype(dtype))
    for target in TARGETS.values():
        assert_same(*both(EPI, volume, opening=1, **target))


@pytest.mark.parametrize("name", [EPI, BACKGROUND])
@pytest.mark.parametrize("target", [None, "4 x 4", "with shape"])
@pytest.mark.parametrize("place", ["rim", "spot", "infinite"])
def test_values_that_are_not_finite_count_as_in_nilearn(
    name: str, target: str | None, place: str
) -> None:
    series = NOISY.astype(np.float32)
    if place == "rim":
        series[:4], series[..., -3:, :] = np.nan, np.nan
    else:
        series[8:10, 9, 7] = np.nan if place == "spot" else np.inf
    options = {"opening": 1} if name == EPI else {}
    assert_same(*both(name, image(series), **options, **TARGETS.get(target or "", {})))


@pytest.mark.skipif(not REAL_BOLD.exists(), reason="the shared data are not here")
def test_a_real_run_on_another_grid_is_nilearns() -> None:
    path = REAL_BOLD.with_name(REAL_BOLD.name.replace("desc-preproc_bold", "boldref"))
    for options in ({}, {"target_affine": np.diag([4, 4, 4])}):
        assert_same(*both(EPI, str(path), **options))


def test_an_image_on_its_own_grid_is_not_resampled() -> None:
    """nilearn's splines turn a background of zeros into noise there."""
    stored = np.where(HEAD[..., 0] > 600, HEAD[..., 0], 0)
    ours, theirs = both(BACKGROUND, image(stored), target_affine=AFFINE)
    np.testing.assert_array_equal(voxels(ours), stored > 0)
    assert voxels(theirs).sum() > 2 * voxels(ours).sum()


def test_a_series_of_a_file_is_streamed(tmp_path: Path) -> None:
    stored = np.tile(HEAD[..., :1].astype(np.float32), (1, 1, 1, 400))
    path = write_image(tmp_path / "bold.nii.gz", stored)
    for given in (path, nibabel.load(path)):
        tracemalloc.start()
        try:
            bidsmask.compute_epi_mask(given)
            assert tracemalloc.get_traced_memory()[1] < stored.nbytes / 8
        finally:
            tracemalloc.stop()


def test_the_space_of_the_image_is_kept() -> None:
    series = image(HEAD.astype(np.float32))
    series.set_sform(AFFINE, 4)
    assert int(bidsmask.compute_epi_mask(series).header["sform_code"]) == 4


def test_an_empty_mask_is_warned_of_and_is_nilearns() -> None:
    with pytest.warns(UserWarning, match="is empty"):
        ours = bidsmask.compute_epi_mask(image(NOISY.astype(np.float32)), opening=30)
    assert not voxels(ours).any()


# Many images


@pytest.mark.parametrize("connected", [True, False])
@pytest.mark.parametrize("threshold", [0, 0.34, 0.5, 1])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("compute_multi_epi_mask", {"opening": 1}),
        ("compute_multi_epi_mask", {"target_affine": np.diag([3, 3, 3]), "n_jobs": 2}),
        ("compute_multi_background_mask", {}),
        ("compute_multi_background_mask", {"opening": False, "border_size": 1}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_masks_of_many_are_nilearns(
    name: str, options: dict[str, Any], threshold: float, connected: bool
) -> None:
    images = [image(np.roll(HEAD, n, axis=0).astype(np.float32)) for n in range(3)]
    assert_same(*both(name, images, threshold=threshold, connected=connected, **options))


@pytest.mark.parametrize("threshold", [0, 1 / 3, 0.5, 2 / 3, 1])
@pytest.mark.parametrize("connected", [True, False])
def test_masks_are_intersected_as_by_nilearn(
    tmp_path: Path, threshold: float, connected: bool
) -> None:
    rng = np.random.default_rng(0)
    masks = [3 * (HEAD[..., 0] > 600) * (rng.random(SHAPE) < 0.8) for _ in range(3)]
    images = [image(one.astype(np.uint8)) for one in masks]
    assert_same(*both("intersect_masks", images, threshold=threshold, connected=connected))
    paths = [write_image(tmp_path / f"{n}.nii", i.dataobj) for n, i in enumerate(images)]
    ours = bidsmask.intersect_masks(paths, threshold, connected)
    theirs = nilearn.masking.intersect_masks(images, threshold, connected)
    assert_same(ours, theirs)


def test_an_empty_mask_among_others_is_counted() -> None:
    full = image(np.ones(SHAPE, np.uint8))
    empty = image(np.zeros(SHAPE, np.uint8))
    assert_same(*both("intersect_masks", [full, empty], threshold=0))
    assert not voxels(bidsmask.intersect_masks([full, empty], 1)).any()


# Templates


@pytest.mark.parametrize("mask_type", ["whole-brain", "gm", "wm"])
def test_the_brain_mask_is_that_of_nilearns_template(mask_type: str) -> None:
    target = image(np.zeros((46, 55, 46), np.uint8), affine_of(np.diag([4, 4, 4]), -90, -126, -72))
    assert_same(*both("compute_brain_mask", target, mask_type=mask_type, opening=1))
    assert_same(*both("compute_multi_brain_mask", [target, target], mask_type=mask_type, opening=1))


@pytest.mark.skipif(not SHARED.exists(), reason="the shared data are not here")
def test_another_template_can_be_given() -> None:
    folder = SHARED / "templateflow/tpl-MNI152NLin2009cAsym"
    path = folder / "tpl-MNI152NLin2009cAsym_res-02_desc-brain_mask.nii.gz"
    ours = bidsmask.compute_brain_mask(path, opening=0, template=path)
    np.testing.assert_array_equal(voxels(ours), nibabel.load(path).get_fdata() > 0.5)


def test_without_nilearn_its_template_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bidsmask.maskers.masking.find_spec", lambda name: None)
    with pytest.raises(MissingInput, match="give an image by template="):
        bidsmask.compute_brain_mask(image(HEAD[..., 0]))


# What is refused


def complex_image(*_: object) -> Any:
    return image(HEAD[..., 0].astype(np.complex64))


def rgb_image(*_: object) -> Any:
    return image(np.zeros(SHAPE, [("R", "u1"), ("G", "u1"), ("B", "u1")]))


@pytest.mark.parametrize("name", [EPI, BACKGROUND])
@pytest.mark.parametrize(
    "given",
    [
        image(np.zeros(SHAPE)),
        image(np.full(SHAPE, 7.0)),
        image(np.full(SHAPE, np.nan)),
        image(np.zeros((18, 20))),
        image(np.zeros((4, 5, 6, 2, 2))),
        complex_image(),
        rgb_image(),
        image(HEAD[..., 0], affine_of(np.array([[1, 1, 0], [1, 1, 0], [0, 0, 1]]), 0, 0, 0)),
    ],
    ids=["empty", "constant", "NaN", "2D", "5D", "complex", "RGB", "singular"],
)
def test_an_image_of_another_kind_is_refused(tmp_path: Path, name: str, given: Any) -> None:
    with pytest.raises(DataError):
        getattr(bidsmask, name)(given)


def test_a_negative_image_is_no_exception() -> None:
    assert_same(*both(EPI, image(-NOISY.astype(np.float32)), connected=False))


@pytest.mark.parametrize(
    "call",
    [
        lambda: bidsmask.compute_epi_mask(None),
        lambda: bidsmask.compute_epi_mask(HEAD),
        lambda: bidsmask.compute_epi_mask([]),
        lambda: bidsmask.compute_multi_epi_mask([]),
        lambda: bidsmask.compute_multi_epi_mask("bold.nii.gz"),
        lambda: bidsmask.intersect_masks([]),
        lambda: bidsmask.intersect_masks([image(np.ones(SHAPE))], threshold=1.5),
        lambda: bidsmask.compute_brain_mask(image(HEAD), mask_type="csf"),
        lambda: bidsmask.compute_epi_mask(image(HEAD), target_shape=(3, 3, 3)),
        lambda: bidsmask.compute_epi_mask(image(HEAD), target_affine=np.zeros((4, 4))),
        lambda: bidsmask.compute_epi_mask(image(HEAD), target_affine=np.eye(3), target_shape=SHAPE),
        lambda: bidsmask.compute_epi_mask(image(HEAD), opening=-1),
    ],
)
def test_arguments_that_make_no_sense_are_refused(call: Callable[[], Any]) -> None:
    with pytest.raises(UsageError):
        call()


def test_a_grid_beside_the_image_is_refused() -> None:
    with pytest.raises(DataError, match="holds nothing of the image"):
        bidsmask.compute_epi_mask(image(HEAD), target_affine=affine_of(np.eye(3), 500, 0, 0))


def test_a_mask_of_three_values_is_refused() -> None:
    stored = np.zeros(SHAPE, np.uint8)
    stored[2], stored[3] = 1, 2
    with pytest.raises(UnusableMask, match="is not a mask"):
        bidsmask.intersect_masks([image(stored)])


def test_a_mask_with_rounding_is_a_mask() -> None:
    stored = np.zeros(SHAPE)
    stored[2:5], stored[5] = 1, 1 + 6e-8
    assert voxels(bidsmask.intersect_masks([image(stored)])).sum() == (stored > 0).sum()
    with pytest.raises(ValueError, match="not made of 2 values"):
        nilearn.masking.intersect_masks([image(stored)])


def test_masks_of_unequal_grids_are_refused() -> None:
    ones = np.ones(SHAPE, np.uint8)
    for other in (image(ones[1:]), image(ones, AFFINE + 0.01)):
        with pytest.raises(GridMismatch):
            bidsmask.intersect_masks([image(ones), other])
        with pytest.raises(GridMismatch):
            bidsmask.compute_multi_brain_mask([image(ones), other])
