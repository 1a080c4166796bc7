"""A Prior is that of its files, and files that are no head with its brain are refused by name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bidsmask.errors import GridMismatch, UnusableImage, UnusableMask
from bidsmask.masks.head_files import HeadFiles, common_grid, read_prior
from tests.make_heads import head_grid, head_image, head_prior, true_brain
from tests.make_images import write_image

AFFINE = head_grid().affine


@pytest.fixture
def files(tmp_path: Path) -> HeadFiles:
    head, t1w = (head_image(contrast, noise=0) for contrast in ("EPI", "T1w"))
    brain = 255 * true_brain().astype(np.uint8)
    return HeadFiles(
        write_image(tmp_path / "boldref.nii.gz", head, affine=AFFINE),
        write_image(tmp_path / "T1w.nii.gz", t1w, affine=AFFINE),
        # TemplateFlow's own has such a slope, which makes 1 a little more.
        write_image(tmp_path / "mask.nii.gz", brain, affine=AFFINE, slope=1 / 255),
        "EPI",
    )


def test_a_prior_is_made_of_what_the_files_hold(files: HeadFiles) -> None:
    prior, expected = read_prior(files), head_prior("EPI")
    assert common_grid(files).is_same(head_grid())
    assert prior.contrast == "EPI"
    np.testing.assert_array_equal(prior.head.values, expected.head.values)
    np.testing.assert_array_equal(prior.loose, expected.loose)
    np.testing.assert_array_equal(prior.tight, expected.tight)


def test_a_head_that_is_t1w_is_one_file_fewer(files: HeadFiles) -> None:
    assert files.paths == (files.head, files.t1w, files.mask)
    assert replace(files, head=files.t1w, contrast="T1w").paths == (files.t1w, files.mask)


def test_files_on_several_grids_are_refused(files: HeadFiles) -> None:
    write_image(files.mask, true_brain()[1:].astype(np.uint8), affine=AFFINE)
    with pytest.raises(GridMismatch, match=r"mask\.nii\.gz has shape .* for boldref\.nii\.gz"):
        read_prior(files)


def test_a_head_of_negative_values_is_refused(files: HeadFiles) -> None:
    write_image(files.head, -1 - head_image("EPI", noise=0), affine=AFFINE)
    with pytest.raises(UnusableImage, match=r"boldref\.nii\.gz is no head: it has no value above"):
        read_prior(files)


def test_the_brain_of_a_macaque_is_refused(files: HeadFiles) -> None:
    small = np.zeros(head_grid().shape, np.uint8)
    small[20:32, 20:32, 20:30] = 1
    write_image(files.mask, small, affine=AFFINE)
    with pytest.raises(UnusableMask, match=r"mask\.nii\.gz is a brain of 92\.2 ml, but one of a"):
        read_prior(files)


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_a_head_without_contrast_is_refused(files: HeadFiles, value: float) -> None:
    write_image(files.t1w, np.full(head_grid().shape, value, np.float32), affine=AFFINE)
    with pytest.raises(UnusableImage, match=r"T1w\.nii\.gz (is constant|holds no finite)"):
        read_prior(files)


def test_what_is_no_mask_is_refused(files: HeadFiles) -> None:
    stored = np.arange(true_brain().size, dtype=np.int32).reshape(true_brain().shape)
    write_image(files.mask, stored, affine=AFFINE)
    with pytest.raises(UnusableMask, match=r"mask\.nii\.gz is not a mask"):
        read_prior(files)
