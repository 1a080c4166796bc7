"""Masks of several runs made one: voxel for voxel nilearn's, and the mask of all their signals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from nilearn.masking import intersect_masks

from tests.make_app import image_of, needs_validator, run_app, table_of, validator_issues
from tests.make_combined import NAMES, SESSIONS, mask_images, with_dead, write_sessions
from tests.make_images import AFFINE, write_image
from tests.make_runs import SHAPE, SPACE, SmallRun, brain, write_atlas, write_dataset, write_run

THRESHOLDS = {"intersection": 1, "union": 0, "majority": 0.5}
SIGNALS = f"space-{SPACE}_seg-voxels_desc-simple_timeseries"
ONLY = ("--mask-only", "--n-procs", 1)


@pytest.fixture
def runs(tmp_path: Path) -> list[SmallRun]:
    return write_sessions(tmp_path / "in")


def output_of(run: SmallRun, output: Path, ending: str) -> Path:
    """Return the path of a product of a run: its name and this."""
    session = f"ses-{run.session}" if run.session else ""
    return output / f"sub-{run.participant}" / session / "func" / f"{run.stem}_{ending}"


def told_of(image: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(Path(str(image).replace(".nii.gz", ".json")).read_text())
    return told


def groups_of(runs: list[SmallRun], over: str, name: str) -> dict[str, list[SmallRun]]:
    """Return the runs that are combined by the name of the file that they make."""
    if over == "session":
        return {f"sub-01/func/sub-01_space-{SPACE}_{name}": runs}
    return {
        f"sub-01/ses-{one}/func/sub-01_ses-{one}_space-{SPACE}_{name}": [
            run for run in runs if run.session == one
        ]
        for one in SESSIONS
    }


def findings(output: Path) -> dict[str, list[str]]:
    """Return what the last run of the program found, by code."""
    tables = sorted(output.glob("logs/*/findings.tsv"), key=lambda path: path.stat().st_mtime_ns)
    table = table_of(tables[-1])
    return {code: list(rows["problem"]) for code, rows in table.groupby("code")}


# What is made


@pytest.mark.parametrize("over", ["run", "session"])
@pytest.mark.parametrize("method", NAMES)
def test_each_way_of_combining_is_nilearns_over_these_runs(runs, tmp_path, method, over):
    output = tmp_path / "out"
    options = ("--combine-masks", method, "--combine-over", over)
    assert run_app(tmp_path / "in", output, *ONLY, *options) == 0
    groups = groups_of(runs, over, f"{NAMES[method]}.nii.gz")
    written = {str(path.relative_to(output)) for path in output.rglob("*derivative[A-Z]*.nii.gz")}
    assert written == set(groups)
    for name, some in groups.items():
        ours, masks = image_of(output / name), mask_images(some)
        if method == "probability":
            theirs = np.mean([one.get_fdata() for one in masks], axis=0).astype(np.float32)
            assert ours.dtype == np.float32
        else:
            theirs = intersect_masks(masks, threshold=THRESHOLDS[method]).get_fdata()
            assert ours.dtype == np.uint8
        assert 0 < np.count_nonzero(theirs) < theirs.size
        assert np.count_nonzero(ours != theirs) == 0
        assert np.array_equal(nibabel.load(output / name).affine, masks[0].affine)


def test_the_sidecar_tells_what_was_combined(runs, tmp_path):
    output = tmp_path / "out"
    options = ("--combine-masks", "majority", "--combine-over", "session", "--session-label", "1")
    assert run_app(tmp_path / "in", output, *ONLY, *options) == 0
    path = output / f"sub-01/ses-1/func/sub-01_ses-1_space-{SPACE}_{NAMES['majority']}.nii.gz"
    told = told_of(path)
    assert told["Sources"] == [
        "bids::" + str(output_of(run, output, "").relative_to(output))
        + f"space-{SPACE}_desc-derivative_mask.nii.gz"
        for run in runs[:2]
    ]  # fmt: skip
    n_voxels = np.count_nonzero(image_of(path))
    expected = {
        "Description": "Combined mask, majority: the largest component of the voxels that more "
        "than half of the runs have in their mask.",
        "Type": "Brain",
        "SpatialReference": SPACE,
        "Strategies": {"derivative": 2},
        "MaskCombination": {"Method": "majority", "Over": "session", "SignalShare": None},
        "Threshold": 0.5,
        "Connected": True,
        "Runs": 2,
        "LeftOut": {},
        "Voxels": n_voxels,
        "VolumeMillilitres": round(n_voxels * abs(np.linalg.det(AFFINE)) / 1000, 3),
    }
    assert {key: told[key] for key in expected} == expected


def test_signals_of_all_runs_are_those_of_the_combined_mask(runs, tmp_path):
    options = ("--combine-masks", "union", "--combine-over", "session", "--n-procs", 1)
    atlas = write_atlas(tmp_path / "atlas")
    both = ("--voxels", "--atlas", atlas)
    assert run_app(tmp_path / "in", tmp_path / "out", *options, *both) == 0
    union = tmp_path / f"out/sub-01/func/sub-01_space-{SPACE}_{NAMES['union']}.nii.gz"
    given = ("--mask-file", union, "--n-procs", 1)
    assert run_app(tmp_path / "in", tmp_path / "given", *given, *both) == 0
    regions = f"space-{SPACE}_atlas-blocks_stat-mean_desc-simple_timeseries"
    for run in runs:
        for ending in (SIGNALS, regions, f"space-{SPACE}_atlas-blocks_stat-coverage_bold"):
            ours = output_of(run, tmp_path / "out", f"{ending}.tsv")
            theirs = output_of(run, tmp_path / "given", f"{ending}.tsv")
            assert ours.read_bytes() == theirs.read_bytes()
        told = json.loads(output_of(run, tmp_path / "out", f"{SIGNALS}.json").read_text())
        assert told["MaskFile"] == f"bids::sub-01/func/{union.name}"
        columns = output_of(run, tmp_path / "out", f"space-{SPACE}_seg-voxels_")
        columns = columns.with_name(f"{columns.name}desc-derivativeUnion_dseg.nii.gz")
        assert np.array_equal(image_of(columns) > 0, image_of(union) != 0)


@needs_validator
def test_the_official_validator_has_nothing_against_the_names(runs, tmp_path):
    for method in NAMES:
        options = ("--combine-masks", method, "--signal-mask", 1)
        options = options[:2] if method == "probability" else options
        assert run_app(tmp_path / "in", tmp_path / "out", *ONLY, *options) == 0
    assert run_app(tmp_path / "in", tmp_path / "out", *ONLY, "--signal-mask", 1) == 0
    issues = validator_issues(tmp_path / "out")
    assert {issue["code"] for issue in issues} <= {"TOO_FEW_AUTHORS"}  # of no mask's making


def test_a_single_run_is_itself_and_a_note(tmp_path):
    [run] = write_dataset(tmp_path / "in")
    assert run_app(tmp_path / "in", tmp_path / "out", *ONLY, "--combine-masks", "intersection") == 0
    ours = output_of(run, tmp_path / "out", f"space-{SPACE}_{NAMES['intersection']}.nii.gz")
    assert np.array_equal(image_of(ours), image_of(run.mask))
    assert findings(tmp_path / "out")["combination-of-one"] == ["is of a single run"]


def test_each_space_and_participant_has_a_mask_of_its_own(tmp_path):
    write_dataset(tmp_path / "in", ("01", "02"), tasks=("a", "b"))
    for label in ("01", "02"):
        for task in ("a", "b"):
            write_run(tmp_path / "in", label, task, space="MNI152NLin6Asym")
    assert run_app(tmp_path / "in", tmp_path / "out", *ONLY, "--combine-masks", "union") == 0
    assert {path.name for path in (tmp_path / "out").rglob("*Union_mask.nii.gz")} == {
        f"sub-{label}_space-{space}_desc-derivativeUnion_mask.nii.gz"
        for label in ("01", "02")
        for space in (SPACE, "MNI152NLin6Asym")
    }


def test_what_auto_chose_differently_is_named_auto(tmp_path):
    _, other = write_dataset(tmp_path / "in", tasks=("a", "b"))
    other.mask.unlink()
    assert run_app(tmp_path / "in", tmp_path / "out", *ONLY, "--combine-masks", "union") == 0
    [path] = (tmp_path / "out").rglob("*Union_mask.nii.gz")
    assert path.name == f"sub-01_space-{SPACE}_desc-autoUnion_mask.nii.gz"
    assert told_of(path)["Strategies"] == {"derivative": 1, "epi": 1}
    assert run_app(tmp_path / "in", tmp_path / "out", "--combine-masks", "union", "--dry-run") == 0
    assert run_app(tmp_path / "in", tmp_path / "out", "--combine-masks", "union") == 0
    assert len(list((tmp_path / "out").rglob("*_desc-autoUnion_dseg.nii.gz"))) == 2


def test_regions_of_interest_are_not_cut_down_to_one_piece(tmp_path):
    write_dataset(tmp_path / "in", tasks=("a", "b"))
    both_sides = np.zeros(SHAPE, np.uint8)
    both_sides[[1, -2], 3:6, 3:5] = 1
    mask = write_image(tmp_path / "amygdalae.nii.gz", both_sides)
    options = ("--mask-file", mask, "--combine-masks", "intersection")
    assert run_app(tmp_path / "in", tmp_path / "out", *ONLY, *options) == 0
    [path] = (tmp_path / "out").rglob("*fileIntersection_mask.nii.gz")
    assert np.array_equal(image_of(path), both_sides)
    assert told_of(path)["Connected"] is False
    assert told_of(path)["MaskIdentity"]


# Where signals vary


def dead_voxels(number: int) -> np.ndarray:
    """Return a slab within the brain that grows with the number, 1 to 3."""
    dead = np.zeros(SHAPE, bool)
    dead[3, 4, : 2 + number] = True
    return dead & brain(SHAPE)


def test_a_single_run_loses_the_columns_that_are_dead(tmp_path):
    [run] = write_dataset(tmp_path / "in")
    with_dead(run, dead_voxels(2))
    assert run_app(tmp_path / "in", tmp_path / "plain", "--n-procs", 1) == 0
    assert table_of(output_of(run, tmp_path / "plain", f"{SIGNALS}.tsv")).isna().all().sum() > 1
    assert run_app(tmp_path / "in", tmp_path / "out", "--signal-mask", 1, "--n-procs", 1) == 0
    mask = output_of(run, tmp_path / "out", f"space-{SPACE}_desc-derivativeSignal_mask.nii.gz")
    varies = np.var(np.asarray(nibabel.load(run.bold).dataobj, float), axis=3) > 0
    assert np.array_equal(image_of(mask) != 0, (image_of(run.mask) != 0) & varies)
    assert not table_of(output_of(run, tmp_path / "out", f"{SIGNALS}.tsv")).isna().any(axis=None)
    signal = output_of(run, tmp_path / "out", f"space-{SPACE}_desc-signal_mask.nii.gz")
    assert np.array_equal(image_of(signal) != 0, varies)


@pytest.mark.parametrize(("share", "n_needed"), [(0.01, 1), (0.66, 2), (0.67, 3), (1, 3)])
def test_a_voxel_must_vary_in_this_share_of_the_runs(tmp_path, share, n_needed):
    runs = write_dataset(tmp_path / "in", tasks=("a", "b", "c"))
    for number, run in enumerate(runs):
        with_dead(run, dead_voxels(1 + number))
    options = ("--combine-masks", "union", "--signal-mask", share)
    assert run_app(tmp_path / "in", tmp_path / "out", *ONLY, *options) == 0
    [path] = (tmp_path / "out").rglob("*Union_mask.nii.gz")
    series = [np.asarray(nibabel.load(run.bold).dataobj, float) for run in runs]
    varying = np.sum([np.ptp(one, axis=3) > 0 for one in series], axis=0)
    assert np.array_equal(image_of(path) != 0, brain(SHAPE) & (varying >= n_needed))
    assert told_of(path)["MaskCombination"]["SignalShare"] == share


def test_a_series_that_nowhere_varies_fails_alone(tmp_path):
    good, constant = write_dataset(tmp_path / "in", tasks=("a", "b"))
    with_dead(constant, np.ones(SHAPE, bool))
    options = ("--combine-masks", "union", "--signal-mask", 1, "--n-procs", 1)
    assert run_app(tmp_path / "in", tmp_path / "out", *options) == 1
    problem = "is constant over time: no voxel has a signal"
    assert problem in findings(tmp_path / "out")["unusable-image"]
    assert output_of(good, tmp_path / "out", f"{SIGNALS}.tsv").exists()
    assert not output_of(constant, tmp_path / "out", f"{SIGNALS}.tsv").exists()


# What cannot be combined


def test_runs_on_two_grids_are_refused_by_their_names(tmp_path):
    first, other = write_dataset(tmp_path / "in", ("01",), tasks=("a", "b"))
    write_run(tmp_path / "in", "02", "a")
    moved = AFFINE + np.eye(4)[:, [3]] @ [[0, 0, 0, 0]]
    moved[0, 3] += 4
    other.replace(np.asarray(nibabel.load(other.bold).dataobj), affine=moved)
    write_image(other.mask, brain(SHAPE).astype(np.uint8), affine=moved)
    assert run_app(tmp_path / "in", tmp_path / "out", "--combine-masks", "union") == 1
    said = findings(tmp_path / "out")
    [problem] = said["grid-mismatch"]
    assert first.bold.name in problem
    assert "an affine that differs by up to 4" in problem
    assert len(said["unusable-mask"]) == 2  # each of the two says that it has no signals
    assert {path.name for path in (tmp_path / "out").rglob("*Union_mask.nii.gz")} == {
        f"sub-02_task-a_space-{SPACE}_desc-derivativeUnion_mask.nii.gz"
    }
    assert not list((tmp_path / "out/sub-01").rglob("*_timeseries.tsv"))


def test_masks_that_share_no_voxel_leave_no_signals(tmp_path):
    runs = write_dataset(tmp_path / "in", tasks=("a", "b"))
    for half, run in enumerate(runs):
        left = np.indices(SHAPE)[0] < SHAPE[0] // 2
        write_image(run.mask, (brain(SHAPE) & (left == bool(half))).astype(np.uint8))
    assert run_app(tmp_path / "in", tmp_path / "out", "--combine-masks", "intersection") == 1
    problems = findings(tmp_path / "out")["unusable-mask"]
    assert len(problems) == 3
    assert any("is empty: no voxel is in enough of the 2 masks" in one for one in problems)
    assert not list((tmp_path / "out").rglob("*_timeseries.tsv"))


def test_runs_in_spaces_of_their_own_are_joined_with_a_warning_but_not_over_sessions(tmp_path):
    write_sessions(tmp_path / "in", space="")
    assert run_app(tmp_path / "in", tmp_path / "out", *ONLY, "--combine-masks", "union") == 0
    assert len(findings(tmp_path / "out")["combined-own-spaces"]) == 2
    options = ("--combine-masks", "union", "--combine-over", "session")
    assert run_app(tmp_path / "in", tmp_path / "out", *ONLY, *options) == 1
    problems = findings(tmp_path / "out")["grid-mismatch"]
    assert problems == ["joins 2 sessions in spaces of their own"]


def test_3d_images_have_no_signal_mask(tmp_path):
    [run] = write_dataset(tmp_path / "in")
    run.replace(np.asarray(nibabel.load(run.bold).dataobj)[..., 0])
    assert run_app(tmp_path / "in", tmp_path / "out", *ONLY, "--signal-mask", 1) == 65
    [problem] = findings(tmp_path / "out")["unusable-image"]
    assert problem == "is one 3D image, but --signal-mask needs a series"


# Beside anatomy


def test_anatomy_in_a_space_of_its_own_keeps_its_mask(tmp_path):
    runs = write_dataset(tmp_path / "in", tasks=("a", "b"))
    folder = tmp_path / "in/sub-01/anat"
    folder.mkdir()
    head = np.asarray(nibabel.load(runs[0].bold).dataobj)[..., 0]
    for space in ("", f"space-{SPACE}_"):
        write_image(folder / f"sub-01_{space}desc-preproc_T1w.nii.gz", head)
        write_image(folder / f"sub-01_{space}desc-brain_mask.nii.gz", brain(SHAPE).astype(np.uint8))
    options = ("--datatype", "both", "--combine-masks", "union", "--signal-mask", 1)
    assert run_app(tmp_path / "in", tmp_path / "out", *options) == 0
    assert {path.name for path in (tmp_path / "out").rglob("*_mask.nii.gz")} == {
        "sub-01_desc-derivative_mask.nii.gz",
        f"sub-01_space-{SPACE}_desc-derivative_mask.nii.gz",
        f"sub-01_space-{SPACE}_desc-derivativeUnion_mask.nii.gz",
        *(f"{run.stem}_space-{SPACE}_desc-{one}_mask.nii.gz" for run in runs
          for one in ("derivative", "signal")),
    }  # fmt: skip
    assert len(list((tmp_path / "out/sub-01").rglob("*derivativeUnion_mask.nii.gz"))) == 2
    assert len(list((tmp_path / "out").rglob("*_timeseries.tsv"))) == 2
    problems = findings(tmp_path / "out")["not-combined"]
    assert problems == ["is in a space of its own, so that its mask is combined with none"]
