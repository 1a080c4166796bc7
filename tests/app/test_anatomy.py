"""Masks of anatomical images, raw or preprocessed, alone and beside signals of series."""

from __future__ import annotations

import json
import re
from pathlib import Path

import nibabel
import numpy as np
import pytest

from bidsmask.cli import main
from bidsmask.demo.head import Scene
from bidsmask.demo.plan import PARTICIPANTS, T1W_GRID
from tests.make_app import (
    image_of,
    needs_validator,
    nidatasets_mask,
    run_app,
    validator_issues,
)
from tests.make_demo import demo_dataset
from tests.make_images import BAD_IMAGES, SHARED, head_volumes, write_image
from tests.make_runs import brain, write_dataset
from tests.make_trees import MANIFESTS, RAW, lay_out, write_tree

HEAD = head_volumes(n_volumes=1)[..., 0].astype(np.float32)
SERIES = head_volumes(n_volumes=6, seed=1).astype(np.int16)
STUDYFORREST = SHARED / "studyforrest"
needs_studyforrest = pytest.mark.skipif(
    not STUDYFORREST.is_dir(), reason="the shared data are not beside the project"
)

needs_trees = pytest.mark.skipif(
    not MANIFESTS.is_dir(), reason="the shared manifests of real trees are not beside the project"
)

IMAGE = re.compile(r"^(?!.*_part-(phase|real|imag)_).*_(T[12]w|bold)\.nii(\.gz)?$")
PREPROCESSED = re.compile(r"_desc-preproc_T[12]w\.nii|_T1w.*_preproc\.nii")

# Of each: name of the image -> name of its mask.
RAW_IMAGES = {
    "sub-01/ses-1/anat/sub-01_ses-1_acq-x_run-01_T1w.nii.gz": (
        "sub-01/ses-1/anat/sub-01_ses-1_acq-x_run-01_desc-otsu_mask.nii.gz"
    ),
    "sub-01/ses-1/anat/sub-01_ses-1_acq-x_run-01_T2w.nii": (
        "sub-01/ses-1/anat/sub-01_ses-1_acq-x_run-01_mod-T2w_desc-otsu_mask.nii.gz"
    ),
    "sub-02/anat/sub-02_T1w.nii.gz": "sub-02/anat/sub-02_desc-otsu_mask.nii.gz",
}
RAW_SERIES = {
    "sub-02/func/sub-02_task-a_echo-1_bold.nii.gz": (
        "sub-02/func/sub-02_task-a_echo-1_desc-otsu_mask.nii.gz"
    ),
}


def raw_dataset(root: Path) -> Path:
    """Write a raw dataset with images of both datatypes."""
    write_tree(root, {"dataset_description.json": {**RAW, "Authors": ["A. One", "B. Two"]}})
    for name in (*RAW_IMAGES, *RAW_SERIES):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        write_image(root / name, SERIES if "bold" in name else HEAD)
    return root


def ball(radius: float) -> np.ndarray:
    """Return the brain in the images of the shared trees."""
    axes = np.meshgrid(*[np.arange(8) - 3.5] * 3, indexing="ij")
    return np.sqrt(sum(axis**2 for axis in axes)) < radius


def with_anatomy(root: Path) -> Path:
    """Write derivatives of one run and of one T1w in the same space; return the T1w."""
    (run,) = write_dataset(root)
    path = root / "sub-01/anat/sub-01_space-MNI152NLin2009cAsym_res-2_desc-preproc_T1w.nii.gz"
    path.parent.mkdir()
    write_image(path, brain().astype(np.float32) * 100)
    mask = path.with_name(path.name.replace("preproc_T1w", "brain_mask"))
    mask.write_bytes(run.mask.read_bytes())
    return path


def masks(output: Path) -> list[str]:
    """Return the masks in an output."""
    found = output.glob("sub-*/**/*_mask.nii.gz")
    return sorted(path.relative_to(output).as_posix() for path in found)


@pytest.mark.parametrize(
    ("datatype", "expected"),
    [("anat", RAW_IMAGES), ("func", RAW_SERIES), ("both", {**RAW_IMAGES, **RAW_SERIES})],
)
def test_every_image_of_a_raw_dataset_gets_its_mask(tmp_path, datatype, expected):
    root = raw_dataset(tmp_path / "raw")
    options = ("--mask-only", "--datatype", datatype, "--mask-strategy", "otsu")
    assert run_app(root, tmp_path / "out", *options) == 0
    assert masks(tmp_path / "out") == sorted(expected.values())
    for image, mask in expected.items():
        written = nibabel.load(tmp_path / "out" / mask)
        np.testing.assert_array_equal(written.affine, nibabel.load(root / image).affine)
        expected_voxels = nidatasets_mask(root / image, tmp_path / "theirs")
        np.testing.assert_array_equal(written.dataobj, expected_voxels)
        sidecar = json.loads((tmp_path / "out" / mask.replace(".nii.gz", ".json")).read_text())
        assert sidecar["Type"] == "Brain"
        assert sidecar["Sources"] == [f"bids:raw:{image}"]
        assert sidecar["SpatialReference"] == f"bids:raw:{image}"
        assert sidecar["Strategy"] == "otsu"


def test_the_same_command_again_makes_nothing_anew(tmp_path, capsys):
    root = raw_dataset(tmp_path / "raw")
    options = ("--mask-strategy", "otsu", "--datatype", "anat")
    assert run_app(root, tmp_path / "out", *options) == 0
    write_image(root / "sub-02/anat/sub-02_T1w.nii.gz", HEAD + 1)
    assert run_app(root, tmp_path / "out", *options) == 0
    said = capsys.readouterr().err
    assert "1 done, 2 up to date, 0 failed." in said
    assert "done: sub-02_T1w in" in said


def test_beside_signals_anatomy_gets_its_mask_alone(tmp_path):
    anatomy = with_anatomy(tmp_path / "fmriprep")
    options = ("--datatype", "both", "--confounds", "none")
    assert run_app(tmp_path / "fmriprep", tmp_path / "out", *options) == 0
    written = {path.name for path in (tmp_path / "out/sub-01/anat").iterdir()}
    stem = "sub-01_space-MNI152NLin2009cAsym_res-2_desc-derivative_mask"
    quality = f"{stem.removesuffix('mask')}qc.json"
    assert written == {f"{stem}.nii.gz", f"{stem}.json", quality}
    np.testing.assert_array_equal(image_of(tmp_path / f"out/sub-01/anat/{stem}.nii.gz"), brain())
    sidecar = json.loads((tmp_path / f"out/sub-01/anat/{stem}.json").read_text())
    assert sidecar["Sources"] == [
        f"bids:fmriprep:sub-01/anat/{anatomy.name.replace('preproc_T1w', 'brain_mask')}"
    ]
    assert sidecar["SpatialReference"] == "MNI152NLin2009cAsym"
    assert sidecar["Resolution"]
    assert list((tmp_path / "out/sub-01/func").glob("*_seg-voxels_*_timeseries.tsv"))


def test_without_a_template_auto_takes_automask_and_warns(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("TEMPLATEFLOW_HOME", str(tmp_path / "empty"))
    root = raw_dataset(tmp_path / "raw")
    assert run_app(root, tmp_path / "out", "--datatype", "both", "--mask-only") == 0
    said = capsys.readouterr().err
    assert "warning: no-head-template" in said
    assert "the mask is made by automask, not by brain" in said
    assert "note: no-head-template" in said
    expected = {**RAW_IMAGES, **RAW_SERIES}.values()
    strategies = {"anat": "automask", "func": "epi"}
    assert masks(tmp_path / "out") == sorted(
        name.replace("otsu", strategies[Path(name).parent.name]) for name in expected
    )


def test_a_mask_on_another_grid_than_its_image_is_refused(tmp_path, capsys):
    anatomy = with_anatomy(tmp_path / "fmriprep")
    write_image(anatomy, HEAD)
    options = ("--datatype", "both", "--confounds", "none")
    assert run_app(tmp_path / "fmriprep", tmp_path / "out", *options) == 1
    assert "grid-mismatch" in capsys.readouterr().err


def test_a_label_of_a_task_that_is_not_there_is_named_beside_anatomy(tmp_path, capsys):
    with_anatomy(tmp_path / "fmriprep")
    options = ("--datatype", "both", "--mask-only", "--task-label", "rset")
    assert run_app(tmp_path / "fmriprep", tmp_path / "out", *options) == 0
    assert "task-rset selects no run" in capsys.readouterr().err


def test_a_participant_without_anatomy_is_named(tmp_path, capsys):
    root = raw_dataset(tmp_path / "raw")
    (root / "sub-03/func").mkdir(parents=True)
    assert run_app(root, tmp_path / "out", "--datatype", "anat") == 0
    assert "sub-03 has no T1w or T2w image" in capsys.readouterr().err
    assert run_app(root, tmp_path / "o", "--datatype", "anat", "--participant-label", "03") == 18


@pytest.mark.parametrize(
    "options",
    [
        ("--atlas", "x.nii.gz"),
        ("--confounds", "24P"),
        ("--smoothing-fwhm", "6"),
        ("--voxels",),
        ("--task-label", "rest"),
    ],
)
def test_an_option_that_does_nothing_for_anatomy_is_refused(tmp_path, capsys, options):
    root = raw_dataset(tmp_path / "raw")
    assert run_app(root, tmp_path / "out", "--datatype", "anat", *options) == 64
    assert f"{options[0]} does nothing beside --datatype anat" in capsys.readouterr().err


def test_a_config_of_anatomy_repeats_the_run(tmp_path):
    root = raw_dataset(tmp_path / "raw")
    assert run_app(root, tmp_path / "out", "--datatype", "anat") == 0
    (config,) = (tmp_path / "out").glob("logs/*/config.toml")
    assert run_app(root, tmp_path / "again", "--config", config) == 0
    assert masks(tmp_path / "again") == masks(tmp_path / "out")


@pytest.mark.parametrize("kind", BAD_IMAGES)
def test_a_bad_image_is_named_and_the_others_are_masked(tmp_path, capsys, kind):
    root = raw_dataset(tmp_path / "raw")
    content, sentence = BAD_IMAGES[kind]
    (root / "sub-01/ses-1/anat/sub-01_ses-1_acq-x_run-01_T2w.nii").write_bytes(content)
    assert run_app(root, tmp_path / "out", "--datatype", "anat", "--mask-strategy", "otsu") == 1
    said = capsys.readouterr().err
    assert "2 done, 0 up to date, 1 failed." in said
    assert f"T2w.nii {sentence}" in said
    expected = [mask for mask in RAW_IMAGES.values() if "T2w" not in mask]
    assert masks(tmp_path / "out") == sorted(expected)


def test_where_all_images_are_bad_the_exit_code_says_so(tmp_path):
    root = raw_dataset(tmp_path / "raw")
    for name in RAW_IMAGES:
        (root / name).write_bytes(b"")
    assert run_app(root, tmp_path / "out", "--datatype", "anat") == 65


def test_the_group_level_takes_masks_of_anatomy(tmp_path, capsys):
    raw_dataset(tmp_path / "raw")
    options = ("--datatype", "both", "--mask-only", "--mask-strategy", "otsu")
    assert run_app(tmp_path / "raw", tmp_path / "out", *options) == 0
    assert main([str(tmp_path / "raw"), str(tmp_path / "out"), "group"]) == 0
    said = capsys.readouterr().err
    for group in ("mod-T1w", "mod-T2w", "task-a"):
        assert f" {group} has no group mask, since the runs' own space" in said


@needs_validator
def test_the_official_validator_has_nothing_to_say(tmp_path):
    raw_dataset(tmp_path / "raw")
    options = ("--datatype", "both", "--mask-only", "--mask-strategy", "otsu")
    assert run_app(tmp_path / "raw", tmp_path / "out", *options) == 0
    assert validator_issues(tmp_path / "out") == []


def test_the_masks_of_the_heads_of_the_demo_are_true(tmp_path, tmp_path_factory):
    demo = demo_dataset(tmp_path_factory)
    options = ("--datatype", "both", "--mask-only", "--mask-strategy", "automask")
    assert run_app(demo, tmp_path / "out", *options) == 0
    # The demo's derivatives are of its series alone, so that the raw heads are masked.
    found = [name for name in masks(tmp_path / "out") if "/anat/" in name]
    assert len(found) == len(PARTICIPANTS) < len(masks(tmp_path / "out"))
    for participant, name in zip(PARTICIPANTS, found, strict=True):
        mask = image_of(tmp_path / "out" / name).astype(bool).ravel(order="F")
        truth = Scene.of(participant.head, T1W_GRID, native=True).brain
        assert 2 * (mask & truth).sum() / (mask.sum() + truth.sum()) > 0.99


@needs_studyforrest
def test_the_masks_of_a_real_raw_head_and_series_are_nidatasets(tmp_path):
    root = tmp_path / "raw"
    root.mkdir()
    for name in ("dataset_description.json", "sub-02"):
        (root / name).symlink_to(STUDYFORREST / name)
    options = ("--datatype", "both", "--mask-only", "--mask-strategy", "otsu")
    assert run_app(root, tmp_path / "out", *options) == 0
    for image, mask in {
        "anat/sub-02_T1w.nii.gz": "anat/sub-02_desc-otsu_mask.nii.gz",
        "func/sub-02_task-oneback_run-1_bold.nii.gz": (
            "func/sub-02_task-oneback_run-1_desc-otsu_mask.nii.gz"
        ),
    }.items():
        expected = nidatasets_mask(STUDYFORREST / "sub-02" / image, tmp_path / "theirs")
        np.testing.assert_array_equal(image_of(tmp_path / "out/sub-02" / mask), expected)


@needs_studyforrest
def test_a_real_preprocessed_head_has_the_mask_of_its_derivatives(tmp_path):
    assert run_app(STUDYFORREST, tmp_path / "out", "--datatype", "anat") == 0
    stem = "sub-02/anat/sub-02_space-MNI152NLin2009cAsym_res-2"
    np.testing.assert_array_equal(
        image_of(tmp_path / f"out/{stem}_desc-derivative_mask.nii.gz"),
        image_of(STUDYFORREST / f"derivatives/fmriprep/{stem}_desc-brain_mask.nii.gz"),
    )
    sidecar = json.loads((tmp_path / f"out/{stem}_desc-derivative_mask.json").read_text())
    assert sidecar["Resolution"] == "the template's grid, 2 mm"


@needs_trees
@pytest.mark.parametrize("name", ["ds003192_euskalibur_raw", "ex_mri_chunk", "ds006131_pafin_raw"])
def test_real_raw_trees_get_a_mask_for_each_image_that_their_names_say(tmp_path, name):
    tree = lay_out().load(MANIFESTS / f"{name}.json")
    files = lay_out().lay_out(tree, tmp_path / "raw", nifti=True)
    stems = [re.sub(r"\.nii(\.gz)?$", "", path) for path in files if IMAGE.search(path)]
    expected = [
        re.sub(r"_(T1w|bold)$", "_desc-otsu_mask", re.sub("_T2w$", "_mod-T2w_desc-otsu_mask", stem))
        for stem in stems
    ]
    arguments = ("--mask-args", "threshold=500,2000", "closing_radius=0")
    options = ("--datatype", "both", "--mask-strategy", "otsu", *arguments)
    assert run_app(tmp_path / "raw", tmp_path / "out", *options, "--mask-only") == 0
    assert masks(tmp_path / "out") == sorted(f"{stem}.nii.gz" for stem in expected)
    for mask in masks(tmp_path / "out"):
        np.testing.assert_array_equal(image_of(tmp_path / "out" / mask), ball(3.3))


@needs_trees
@pytest.mark.parametrize(
    "name",
    ["ds005699_fmriprep-24.1.1_nested", "ci_fmriprep-1.0.0_ds005", "ds003745_fmriprep-21.0.2"],
)
def test_real_derivatives_get_their_masks_in_every_space(tmp_path, name):
    tree = lay_out().load(MANIFESTS / f"{name}.json")
    files = lay_out().lay_out(tree, tmp_path / "in", nifti=True)
    images = [path for path in files if PREPROCESSED.search(path)]
    assert run_app(tmp_path / "in", tmp_path / "out", "--datatype", "anat") == 0
    found = masks(tmp_path / "out")
    assert len(found) == len(images)
    for mask in found:
        assert "_desc-derivative_mask" in mask
        np.testing.assert_array_equal(image_of(tmp_path / "out" / mask), ball(3.3))
