"""Identities: equal for copies, different for any other content, cheap for large images."""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
from pathlib import Path

import pytest

from bidsmask.errors import DamagedFile
from bidsmask.images.identity import identity
from tests.make_images import nifti_content, random_stored, write_image


def test_a_copy_with_another_time_is_the_same(tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.nii.gz", random_stored((3, 4, 5)))
    copy = tmp_path / "b.nii.gz"
    shutil.copyfile(path, copy)
    os.utime(copy, (1, 1))
    assert identity(copy) == identity(path)
    assert identity(path).startswith(f"gzip:{path.stat().st_size}-")


def test_one_other_voxel_is_another_image(tmp_path: Path) -> None:
    stored = random_stored((3, 4, 5))
    here = identity(write_image(tmp_path / "a.nii.gz", stored, "stored"))
    stored[1, 2, 3] += 1
    there = write_image(tmp_path / "b.nii.gz", stored, "stored")
    assert there.stat().st_size == (tmp_path / "a.nii.gz").stat().st_size
    assert identity(there) != here


def test_another_header_is_another_image(tmp_path: Path) -> None:
    here = write_image(tmp_path / "a.nii.gz", random_stored((3, 4, 5, 2)), t_r=2)
    there = write_image(tmp_path / "b.nii.gz", random_stored((3, 4, 5, 2)), t_r=3)
    assert identity(here) != identity(there)


@pytest.mark.parametrize("compression", ["bgzip", "members"])
def test_a_file_of_many_members_is_hashed_whole(tmp_path: Path, compression: str) -> None:
    path = write_image(tmp_path / "a.nii.gz", random_stored((3, 4, 5)), compression)
    assert identity(path) == f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


def test_a_change_in_the_first_of_two_members_is_seen(tmp_path: Path) -> None:
    content = nifti_content(random_stored((3, 4, 5)))
    names = ["a.nii.gz", "b.nii.gz"]
    for name, start in zip(names, (content[:400], content[:399] + b"?"), strict=True):
        parts = (start, content[400:])
        (tmp_path / name).write_bytes(b"".join(gzip.compress(p, 0, mtime=0) for p in parts))
    assert identity(tmp_path / "a.nii.gz") != identity(tmp_path / "b.nii.gz")


@pytest.mark.parametrize("name", ["a.nii", "a.tsv", "a.json", "a.tsv.gz"])
def test_any_other_file_is_hashed(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"content")
    assert identity(tmp_path / name) == f"sha256:{hashlib.sha256(b'content').hexdigest()}"


def test_a_missing_file_has_no_identity(tmp_path: Path) -> None:
    with pytest.raises(DamagedFile, match="does not exist"):
        identity(tmp_path / "a.nii.gz")
