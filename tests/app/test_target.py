"""Masks on another grid than their images': nilearn's voxels, and masks alone."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
from nilearn.image import mean_img
from nilearn.masking import compute_background_mask, compute_epi_mask

from bidsmask.images.grid import Grid
from bidsmask.images.resample import resample_nearest
from tests.make_app import image_of, run_app
from tests.make_heads import head_grid, head_image, true_brain
from tests.make_images import write_image
from tests.make_runs import SmallRun, write_dataset

COARSE = np.diag([6.0, 6, 6, 1])
COARSE[:3, 3] = -90, -120, -80
SHAPE = (30, 36, 28)
WORDS = ("--target-affine", *COARSE.ravel(), "--target-shape", *SHAPE)


@pytest.fixture
def run(tmp_path: Path) -> SmallRun:
    """A run that shows the simulated head, with its true mask."""
    [run] = write_dataset(tmp_path / "in", n_volumes=4)
    series = np.stack([head_image("EPI") * scale for scale in (0.9, 1, 1.1, 1.2)], axis=3)
    write_image(run.bold, series.astype(np.float32), affine=head_grid().affine, t_r=2.0)
    write_image(run.mask, true_brain().astype(np.uint8), affine=head_grid().affine)
    return run


def mask_of(run: SmallRun, output: Path, *options: object) -> nibabel.Nifti1Image:
    assert run_app(run.root, output, "--mask-only", *options) == 0
    [path] = output.rglob("*_mask.nii.gz")
    return nibabel.load(path)


@pytest.mark.parametrize(
    ("strategy", "theirs"), [("epi", compute_epi_mask), ("background", compute_background_mask)]
)
@pytest.mark.parametrize("is_placed", [True, False])
def test_the_masks_of_nilearn_on_another_grid_are_nilearns(
    run, tmp_path, strategy, theirs, is_placed
):
    target = {"target_affine": COARSE, "target_shape": SHAPE}
    words = WORDS
    if not is_placed:
        target = {"target_affine": COARSE[:3, :3]}
        words = ("--target-affine", *COARSE[:3, :3].ravel())
    ours = mask_of(run, tmp_path / "out", "--mask-strategy", strategy, *words)
    expected = theirs(mean_img(nibabel.load(run.bold), copy_header=True), **target)
    assert np.array_equal(ours.affine, expected.affine)
    assert np.array_equal(np.asarray(ours.dataobj), np.asarray(expected.dataobj))
    assert np.asarray(ours.dataobj).any()


def test_a_mask_that_is_given_takes_the_nearest_voxel_and_is_measured_there(run, tmp_path):
    # An ellipsoid has a flat top in voxels of 6 mm, as no brain has: auto would refuse it.
    ours = mask_of(run, tmp_path / "out", "--mask-strategy", "derivative", *WORDS)
    expected = resample_nearest(true_brain(), head_grid(), Grid(SHAPE, COARSE))
    assert np.array_equal(np.asarray(ours.dataobj) != 0, expected)
    [path] = (tmp_path / "out").rglob("*_qc.json")
    told = json.loads(path.read_text())
    assert told["VolumeMillilitres"] == pytest.approx(expected.sum() * 0.216)
    assert told["SurfaceOnEdges"] > 0.8
    [path] = (tmp_path / "out").rglob("*_mask.json")
    sidecar = json.loads(path.read_text())
    assert (sidecar["TargetAffine"], sidecar["TargetShape"]) == (list(COARSE.ravel()), list(SHAPE))


@pytest.mark.parametrize("strategy", ["otsu", "automask"])
def test_every_strategy_makes_its_mask_there_once(run, tmp_path, strategy):
    ours = mask_of(run, tmp_path / "out", "--mask-strategy", strategy, *WORDS)
    assert ours.shape == SHAPE
    [path] = (tmp_path / "out").rglob("*_mask.nii.gz")
    before = path.stat().st_mtime_ns
    mask_of(run, tmp_path / "out", "--mask-strategy", strategy, *WORDS)
    assert path.stat().st_mtime_ns == before
    assert mask_of(run, tmp_path / "out", "--mask-strategy", strategy).shape == head_grid().shape


def test_masks_on_another_grid_are_combined_there(run, tmp_path):
    words = ("--mask-strategy", "derivative", "--combine-masks", "union", *WORDS)
    assert run_app(run.root, tmp_path / "out", "--mask-only", *words) == 0
    [path] = (tmp_path / "out").rglob("*Union_mask.nii.gz")
    expected = resample_nearest(true_brain(), head_grid(), Grid(SHAPE, COARSE))
    assert np.array_equal(image_of(path) != 0, expected)


def test_a_dry_run_knows_the_memory_of_it(run, tmp_path, capsys):
    output = tmp_path / "out"
    mask_of(run, output, "--mask-strategy", "epi", *WORDS)
    next(output.rglob("*_qc.json")).unlink()
    options = ("--mask-only", "--mask-strategy", "epi", *WORDS, "--dry-run")
    assert run_app(run.root, output, *options) == 0
    assert "1 of 2 products, about" in capsys.readouterr().out


IDENTITY, WHOLE = np.eye(3).ravel(), np.eye(4).ravel()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--target-affine", *IDENTITY), "moves masks alone. Give --mask-only"),
        (("--mask-only", "--target-affine", "3"), "has 1 numbers. Give 9, or 16"),
        (("--mask-only", "--target-affine", *np.zeros(9)), "no affine that has an inverse"),
        (("--mask-only", "--target-affine", *WHOLE[:-1], 2), "no affine that has an inverse"),
        (("--mask-only", "--target-shape", 3, 3, 3), "without an affine of 16"),
        (("--mask-only", "--target-affine", *WHOLE, "--target-shape", 3, 3), "than three lengths"),
        (
            ("--mask-only", "--target-affine", *IDENTITY, "--signal-mask", 1),
            "--signal-mask does nothing beside --target-affine",
        ),
    ],
)
def test_a_grid_that_is_none_or_not_for_masks_is_refused(run, tmp_path, capsys, words, said):
    assert run_app(run.root, tmp_path / "out", *words) == 64
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_grid_beside_the_image_or_of_too_many_voxels_fails_the_run(run, tmp_path, capsys):
    away = COARSE.copy()
    away[:3, 3] = 1e6
    words = ("--mask-only", "--target-affine", *away.ravel())
    assert run_app(run.root, tmp_path / "out", *words) == 65
    assert "holds nothing of the image" in capsys.readouterr().err
    tiny = ("--mask-only", "--target-affine", *(0.01 * IDENTITY))
    assert run_app(run.root, tmp_path / "out", *tiny) == 65
    assert "It tells mm a voxel" in capsys.readouterr().err
