"""Folders of images: what counts as an image, and what is said of the rest."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bidsmask.errors import MissingInput
from bidsmask.images.folder import look_into, stem_of


def folder(root: Path, *names: str) -> Path:
    """Make a folder of empty files."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def names(images: tuple[Path, ...]) -> list[str]:
    return [path.name for path in images]


def test_images_are_what_is_named_so_in_the_order_of_names(tmp_path):
    folder(tmp_path, "c.nii", "b.c_T1w.nii.gz", "a.NII.GZ", "nii", "a.nii.txt", "x.img", "x.json")
    found = look_into(tmp_path)
    assert names(found.images) == ["a.NII.GZ", "b.c_T1w.nii.gz", "c.nii"]
    assert [stem_of(path) for path in found.images] == ["a", "b.c_T1w", "c"]
    assert (len(found), found.refused, found.n_hidden, found.n_folders) == (3, (), 0, 0)


def test_folders_and_hidden_images_are_counted_and_left_alone(tmp_path):
    folder(tmp_path, "a.nii", "._a.nii", ".b.nii.gz", ".DS_Store", "in/c.nii", "d.nii/e.nii")
    folder(tmp_path, ".git/f.nii")
    found = look_into(tmp_path)
    assert names(found.images) == ["a.nii"]
    assert (found.n_hidden, found.n_folders) == (2, 2)


def test_a_stem_is_taken_once_whatever_is_in_the_files(tmp_path):
    found = look_into(folder(tmp_path, "a.nii", "a.nii.gz", "a.NII", "a_mask.nii.gz", "A.nii"))
    assert names(found.images) == ["A.nii", "a.NII", "a_mask.nii.gz"]
    assert [str(error) for error in found.refused] == [
        f"{name} would have the mask a_mask.nii.gz, as a.NII has. Rename one of them."
        for name in ("a.nii", "a.nii.gz")
    ]


@pytest.mark.parametrize("name", [b"a\nb.nii", b"m\xfcde.nii", b"\x1b[31m.nii"])
def test_a_name_that_cannot_be_printed_is_refused(tmp_path, name):
    (Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))).touch()
    (error,) = look_into(tmp_path).refused
    assert "is not printable text" in str(error)
    assert str(error).isprintable()


def test_links_count_wherever_they_lead(tmp_path):
    outside = folder(tmp_path / "outside", "a.nii") / "a.nii"
    root = folder(tmp_path / "in", "z.nii")
    (root / "file.nii").symlink_to(outside)
    (root / "folder.nii").symlink_to(outside.parent)
    (root / "nowhere.nii").symlink_to("annex/objects/x")
    (root / "loop.nii").symlink_to("loop.nii")
    os.mkfifo(root / "pipe.nii")
    found = look_into(root)
    assert names(found.images) == ["file.nii", "loop.nii", "nowhere.nii", "pipe.nii", "z.nii"]
    assert found.n_folders == 1


@pytest.mark.parametrize("place", ["nowhere", "file.nii"])
def test_what_is_no_folder_is_missing_input(tmp_path, place):
    folder(tmp_path, "file.nii")
    with pytest.raises(MissingInput, match="is no folder"):
        look_into(tmp_path / place)
