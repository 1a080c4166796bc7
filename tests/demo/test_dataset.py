"""The demo is valid, repeatable, and its truth is the truth of its images."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest
from nilearn.interfaces.fmriprep import load_confounds

from bidsmask.demo import dataset
from bidsmask.demo.__main__ import main
from bidsmask.demo.dataset import write_demo
from bidsmask.demo.head import REGIONS
from bidsmask.demo.motion import PARAMETERS, framewise_displacement
from bidsmask.demo.plan import PARTICIPANTS, SPACE
from bidsmask.demo.timecourse import task_response
from bidsmask.errors import OutputRefused
from tests.make_app import image_of
from tests.make_demo import DemoRun, atlas_of, demo_runs

VALIDATOR = shutil.which("bids-validator-deno", path=str(Path(sys.executable).parent))
RUNS = [run.name for run in demo_runs(Path())]


@pytest.fixture(params=RUNS)
def run(request, demo) -> DemoRun:
    return demo_runs(demo)[RUNS.index(request.param)]


@pytest.fixture
def tiny(monkeypatch):
    """A demo of one participant with one short run, for tests that write it themselves."""
    short = replace(PARTICIPANTS[1].runs[0], n_volumes=20, spikes=(1, 10, 19))
    monkeypatch.setattr(dataset, "PARTICIPANTS", (replace(PARTICIPANTS[1], runs=(short,)),))


def contents(directory: Path) -> dict[str, bytes]:
    files = (path for path in sorted(directory.rglob("*")) if path.is_file())
    return {str(path.relative_to(directory)): path.read_bytes() for path in files}


# --- the dataset


@pytest.mark.skipif(VALIDATOR is None, reason="bids-validator-deno is not installed")
@pytest.mark.parametrize("part", [".", "derivatives/fmriprep", "derivatives/truth"])
def test_official_validator_finds_no_error(demo, part):
    command = [VALIDATOR, str(demo / part), "--format", "json"]
    found = json.loads(subprocess.run(command, capture_output=True, check=False).stdout)
    issues = found["issues"]["issues"]
    assert found["summary"]["totalFiles"] >= 2
    assert [issue for issue in issues if issue["severity"] == "error"] == []


def test_demo_is_small(demo):
    assert sum(len(content) for content in contents(demo).values()) < 15e6


def test_demo_has_sessions_runs_tasks_and_a_native_space(demo):
    func = sorted(demo.glob("derivatives/fmriprep/sub-*/**/*_desc-preproc_bold.nii.gz"))
    assert len({path.relative_to(demo).parts[2] for path in func}) == 3
    for part, number in {
        "_ses-1_": 1,
        "_ses-2_": 1,
        "_run-2_": 1,
        "task-rest": 3,
        "space-": 6,
    }.items():
        assert sum(part in path.name for path in func) == number
    assert len(list(demo.glob("sub-*/**/*_events.tsv"))) == 4
    assert len(list(demo.glob("sub-*/**/*_T1w.nii.gz"))) == 3


def test_same_seed_gives_the_same_bytes_and_another_one_other_images(tiny, tmp_path):
    write_demo(tmp_path / "one", 5)
    write_demo(tmp_path / "two", 5)
    write_demo(tmp_path / "other", 6)
    one, two, other = (contents(tmp_path / name) for name in ("one", "two", "other"))
    assert one == two
    assert one.keys() == other.keys()
    changed = {name for name in one if one[name] != other[name]}
    assert any(name.endswith("_desc-preproc_bold.nii.gz") for name in changed)


def test_earlier_demo_is_overwritten_and_other_derivatives_stay(tiny, tmp_path):
    write_demo(tmp_path / "demo")
    before = contents(tmp_path / "demo")
    ours = tmp_path / "demo" / "derivatives" / "bidsmask" / "kept.txt"
    ours.parent.mkdir()
    ours.write_text("mine")
    next((tmp_path / "demo").glob("sub-02/func/*_bold.nii.gz")).write_bytes(b"damaged")
    write_demo(tmp_path / "demo")
    assert ours.read_text() == "mine"
    ours.unlink()
    assert contents(tmp_path / "demo") == before


@pytest.mark.parametrize(
    "description",
    [None, b"{", b"[1]", b'{"GeneratedBy": "me"}', b'{"GeneratedBy": [{"Name": "fMRIPrep"}]}'],
)
def test_folder_of_somebody_else_is_refused_untouched(tmp_path, description):
    (tmp_path / "precious.txt").write_text("precious")
    if description is not None:
        (tmp_path / "dataset_description.json").write_bytes(description)
    before = contents(tmp_path)
    with pytest.raises(OutputRefused, match="no earlier demo"):
        write_demo(tmp_path)
    assert contents(tmp_path) == before


def test_file_in_the_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "demo").write_text("a file")
    with pytest.raises(OutputRefused, match="cannot be used as a folder"):
        write_demo(tmp_path / "demo")


def test_command_line_writes_and_names_the_next_command(tiny, tmp_path, capsys):
    assert main([str(tmp_path / "demo"), "--seed", "3"]) == 0
    assert "participant" in capsys.readouterr().out
    assert (tmp_path / "demo" / "README").exists()


def test_command_line_refuses_with_the_exit_code_for_outputs(tmp_path, capsys):
    (tmp_path / "precious.txt").write_text("precious")
    assert main([str(tmp_path)]) == 73
    assert "no earlier demo" in capsys.readouterr().err


def test_command_line_refuses_a_seed_below_zero(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main([str(tmp_path), "--seed=-1"])
    assert "whole number" in capsys.readouterr().err


# --- the truth


def test_truth_of_a_run_has_its_volumes_and_regions(run):
    assert nibabel.load(run.bold).shape[3] == len(run.signals) == len(run.confounds)
    assert list(run.signals) == [region.name for region in REGIONS]


def test_true_mask_is_that_of_fmriprep(run):
    mask = run.fmriprep("desc-brain_mask.nii.gz", SPACE)
    np.testing.assert_array_equal(image_of(mask) > 0, run.mask)


def test_displacement_in_the_table_is_that_of_its_parameters(run):
    table = run.confounds
    expected = framewise_displacement(table[list(PARAMETERS)].to_numpy())
    np.testing.assert_allclose(table["framewise_displacement"], expected, rtol=1e-12)


def test_displacement_is_large_at_the_spikes_and_after_them_only(run):
    spikes = run.spoiled.loc[run.spoiled["reason"] == "spike", "volume"]
    near = {*spikes, *(spikes + 1)} - {len(run.confounds)}
    large = np.flatnonzero(run.confounds["framewise_displacement"] > 0.5)
    assert set(large.tolist()) == near
    assert (run.confounds.loc[spikes, "std_dvars"] > 1.5).all()


def test_one_run_is_spoiled_at_both_ends(demo):
    spoiled = demo_runs(demo)[RUNS.index("sub-02_task-faces_run-1")].spoiled["volume"].tolist()
    assert spoiled == [0, 1, 61, 159]


def test_nilearn_reads_the_confounds(run):
    confounds, _ = load_confounds(
        str(run.bold),
        strategy=("motion", "wm_csf", "global_signal", "high_pass", "compcor"),
        motion="full",
        wm_csf="full",
        global_signal="full",
        n_compcor=4,
    )
    n_cosines = sum("cosine" in column for column in run.confounds)
    assert confounds.shape[1] == 36 + n_cosines + 4


def test_global_signal_is_the_mean_in_the_mask(run):
    means = image_of(run.bold)[run.mask].mean(axis=0)
    np.testing.assert_allclose(means, run.confounds["global_signal"], rtol=1e-3)


def test_regions_follow_their_true_signals_once_everything_known_is_regressed(run, demo):
    labels = image_of(atlas_of(demo)) * run.mask
    values = image_of(run.bold)
    indices = np.arange(1, len(REGIONS) + 1)
    means = np.stack([values[labels == index].mean(axis=0) for index in indices], axis=1)
    spoiled = run.spoiled["volume"]
    known = np.delete(nuisance(run), spoiled, axis=0)
    raw, truth = (
        np.delete(means, spoiled, axis=0),
        np.delete(run.signals.to_numpy(), spoiled, axis=0),
    )
    residue, wanted = residuals(raw, known), residuals(truth, known)
    assert np.median(correlations(residue, wanted)) > 0.9
    assert np.median(correlations(residue, truth)) > np.median(correlations(raw, truth)) + 0.1


def test_only_regions_with_a_response_follow_the_task(demo):
    run = demo_runs(demo)[0]
    events = pd.read_csv(run.raw("events.tsv"), sep="\t")
    response = task_response(events, "face", len(run.signals))
    response += task_response(events, "house", len(run.signals))
    follows = correlations(run.signals.to_numpy(), response[:, None])
    responding = np.array([region.faces + region.houses > 0 for region in REGIONS])
    assert follows[responding].min() > follows[~responding].max()


def nuisance(run: DemoRun) -> np.ndarray:
    """Motion, tissues without the global signal, cosines, and a constant."""
    table = run.confounds.fillna(0)
    chosen = [
        name
        for name in table
        if name.startswith(("trans_", "rot_", "cosine")) or name in ("csf", "white_matter")
    ]
    return np.column_stack([np.ones(len(table)), table[chosen]])


def residuals(values: np.ndarray, regressors: np.ndarray) -> np.ndarray:
    """What the least-squares fit of the regressors leaves."""
    scaled = regressors / np.linalg.norm(regressors, axis=0)
    return values - scaled @ np.linalg.lstsq(scaled, values, rcond=None)[0]


def correlations(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Pearson's r, column by column."""
    one, other = one - one.mean(axis=0), other - other.mean(axis=0)
    scale = np.linalg.norm(one, axis=0) * np.linalg.norm(other, axis=0)
    return (one * other).sum(axis=0) / scale
