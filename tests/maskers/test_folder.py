"""nidataset's functions on files and folders: its files, its voxels, and none lost to another."""

from __future__ import annotations

import inspect
import logging
import warnings
from pathlib import Path

import nibabel
import nidataset.volume
import numpy as np
import pytest

from bidsmask import generate_brain_mask, generate_brain_mask_dataset
from bidsmask.errors import (
    DataError,
    MissingInput,
    OutputRefused,
    UnusableImage,
    UsageError,
    WritingFailed,
)
from tests.make_images import head_volumes, write_image

HEAD = head_volumes(n_volumes=1)[..., 0].astype(np.float32)


def voxels(path: str | Path) -> np.ndarray:
    return np.asarray(nibabel.load(path).dataobj)


@pytest.mark.parametrize("ours", [generate_brain_mask, generate_brain_mask_dataset])
def test_arguments_are_nidatasets(ours) -> None:
    parameters = inspect.signature(ours).parameters
    theirs = inspect.signature(getattr(nidataset.volume, ours.__name__)).parameters
    assert list(parameters) == list(theirs)
    assert {n: p.default for n, p in parameters.items()} == {
        n: p.default for n, p in theirs.items()
    }


@pytest.mark.parametrize("name", ["head.nii.gz", "head.nii", "sub-01.a_T1w.nii.gz"])
@pytest.mark.parametrize("threshold", [None, (600, 1500)])
def test_the_file_is_nidatasets(tmp_path: Path, name: str, threshold) -> None:
    path = write_image(tmp_path / name, HEAD)
    ours = generate_brain_mask(path, tmp_path / "ours", threshold, closing_radius=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = nidataset.volume.generate_brain_mask(
            str(path), str(tmp_path / "theirs"), threshold, closing_radius=1
        )
    assert Path(ours).name == Path(theirs).name
    assert isinstance(ours, str)
    assert voxels(ours).dtype == voxels(theirs).dtype == np.uint8
    np.testing.assert_array_equal(voxels(ours), voxels(theirs))
    np.testing.assert_allclose(nibabel.load(ours).affine, nibabel.load(theirs).affine, atol=1e-6)


def test_a_folder_is_worked_through_and_what_fails_is_named(tmp_path: Path) -> None:
    for name in ("b.nii.gz", "a.nii", "c.nii.gz"):
        write_image(tmp_path / name, HEAD)
    write_image(tmp_path / "a.nii.gz", HEAD)
    write_image(tmp_path / "four.nii.gz", HEAD[..., None].repeat(2, axis=3))
    (tmp_path / "broken.nii.gz").write_bytes(b"\x1f\x8bnothing")
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "inner.nii").mkdir()
    with pytest.warns(UserWarning, match="3 of 6 images gave no mask") as caught:
        written = generate_brain_mask_dataset(tmp_path, tmp_path / "out")
    said = str(caught[0].message)
    assert "a.nii.gz would have the mask a_mask.nii.gz, as a.nii has" in said
    assert "broken.nii.gz" in said
    assert "four.nii.gz is 4D with 2 volumes" in said
    names = ["a_mask.nii.gz", "b_mask.nii.gz", "c_mask.nii.gz"]
    assert [Path(path).name for path in written] == names
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names


def test_the_masks_of_a_folder_are_nidatasets(tmp_path: Path) -> None:
    for seed in range(2):
        volume = head_volumes(n_volumes=1, seed=seed)[..., 0]
        write_image(tmp_path / f"{seed}.nii.gz", volume.astype(np.int16))
    ours = generate_brain_mask_dataset(str(tmp_path), str(tmp_path / "ours"), closing_radius=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = nidataset.volume.generate_brain_mask_dataset(
            str(tmp_path), str(tmp_path / "theirs"), closing_radius=1
        )
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(voxels(one), voxels(other))


def test_debug_says_what_was_made(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_image(tmp_path / "head.nii", HEAD)
    with caplog.at_level(logging.INFO, logger="bidsmask"):
        generate_brain_mask(path, tmp_path)
        assert not caplog.messages
        generate_brain_mask(path, tmp_path, debug=True)
    assert "head_mask.nii.gz" in caplog.text


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match="is not there"):
        generate_brain_mask(tmp_path / "head.nii", tmp_path)
    with pytest.raises(MissingInput, match="is no folder"):
        generate_brain_mask_dataset(tmp_path / "nowhere", tmp_path)
    with pytest.raises(MissingInput, match="holds no file named"):
        generate_brain_mask_dataset(tmp_path, tmp_path)


@pytest.mark.parametrize(
    "stored",
    [np.zeros((4, 5, 6)), np.full((4, 5, 6), np.nan), -np.ones((4, 5, 6)), np.ones((4, 5, 6, 2))],
    ids=["empty", "NaN", "negative", "4D"],
)
def test_an_image_of_another_kind_is_refused(tmp_path: Path, stored: np.ndarray) -> None:
    with pytest.raises(DataError):
        generate_brain_mask(write_image(tmp_path / "x.nii", stored), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_arguments_that_make_no_sense_stop_a_folder_at_once(tmp_path: Path) -> None:
    write_image(tmp_path / "head.nii", HEAD)
    with pytest.raises(UsageError):
        generate_brain_mask_dataset(tmp_path, tmp_path / "out", threshold=(5, 1))


def test_an_output_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    path = write_image(tmp_path / "head.nii", HEAD)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputRefused):
        generate_brain_mask(path, tmp_path / "file" / "out")


def test_nothing_is_left_of_a_mask_that_could_not_be_written(tmp_path: Path) -> None:
    path = write_image(tmp_path / "head.nii", HEAD)
    (tmp_path / "out/head_mask.nii.gz/in the way").mkdir(parents=True)
    with pytest.raises(WritingFailed):
        generate_brain_mask(path, tmp_path / "out")
    assert [one.name for one in (tmp_path / "out").iterdir()] == ["head_mask.nii.gz"]


def test_a_wrong_name_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "head.mgz"
    path.write_bytes(b"x")
    with pytest.raises(UnusableImage, match="is not named"):
        generate_brain_mask(path, tmp_path)
