"""Trials of runs: which volumes are theirs, and the means of the signals over them."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest

import bidsmask
from bidsmask.app.checks import COLUMNS_OF_TRIALS
from bidsmask.cli import main
from bidsmask.demo.timecourse import T_R_S, task_response
from tests.make_app import (
    Written,
    image_of,
    needs_validator,
    run_app,
    table_of,
    validator_issues,
    write_run,
)
from tests.make_images import SHARED
from tests.make_runs import SPACE, SmallRun, contents, write_atlas, write_dataset

STUDYFORREST = SHARED / "studyforrest"
SCHAEFER = (
    SHARED / f"templateflow/tpl-{SPACE}"
    f"/tpl-{SPACE}_res-02_atlas-Schaefer2018_desc-200Parcels7Networks_dseg.nii.gz"
)
needs_real = pytest.mark.skipif(
    not (STUDYFORREST.exists() and SCHAEFER.exists()), reason="the real run is not there"
)

WINDOW = ("--trials", "--trial-window", "4", "8")
RAW = ("--confounds", "none", "--no-detrend", "--standardize", "none")


def findings(output: Path) -> dict[str, str]:
    """Return the findings of the last run of the program by their code."""
    last = max((output / "logs").glob("run-*"), key=lambda folder: folder.stat().st_mtime_ns)
    table = table_of(last / "findings.tsv")
    return dict(zip(table["code"], table["problem"], strict=True))


@pytest.fixture
def run(tmp_path) -> SmallRun:
    [run] = write_dataset(tmp_path / "in", with_events=True)
    return run


def write_events(run: SmallRun, text: str) -> None:
    """Write events, of which blanks part the cells."""
    run.events.write_text(text.strip().replace(" ", "\t") + "\n")


def out_of(run: SmallRun, *options: object) -> Written:
    """Run the app on it, and return what it wrote."""
    output = run.root.parent / "out"
    assert run_app(run.root, output, *options) == 0
    return Written(output, run.stem, run.space)


def trials_of(written: Written, desc: str) -> pd.DataFrame:
    return table_of(written.folder / f"{written.name}_desc-{desc}_trials.tsv")


# What is written


def test_rows_are_trials_of_every_product_and_cleaning(run, tmp_path):
    image = write_atlas(tmp_path / "atlas")
    seeds = tmp_path / "seeds.tsv"
    seeds.write_text("x\ty\tz\tname\n-2\t-8\t-18\tmiddle\n")
    out = out_of(
        run,
        *WINDOW,
        *("--voxels", "--atlas", image, "--region-statistic", "mean", "eigenvariate"),
        *("--seeds", seeds, "--radius", 8, "--confounds", "none", "simple"),
    )
    series = sorted(path.name for path in out.folder.glob("*timeseries.tsv"))
    assert len(series) == 2 * 5
    for name in series:
        signals = table_of(out.folder / name)
        of_trials = name.replace("_timeseries", "WIN4to8_trialseries")
        means = table_of(out.folder / of_trials)
        # Volumes are 2 s apart, trials begin at 4 and 20 s.
        expected = [signals.iloc[4:6].mean(), signals.iloc[12:14].mean()]
        np.testing.assert_allclose(means, expected, rtol=1e-5, atol=1e-6)
        assert list(means) == list(signals)
        told = json.loads((out.folder / of_trials).with_suffix(".json").read_text())
        assert told["TrialsFile"].endswith("WIN4to8_trials.tsv")
        assert told["TrialWindow"] == [4, 8]
        assert "SamplingFrequency" not in told
    for cleaning in ("none", "simple"):
        table = trials_of(out, f"{cleaning}WIN4to8")
        assert list(table["trial_type"]) == ["a", "b"]
        assert list(table["onset"]) == [4, 20]
        assert list(table["n_volumes"]) == [2, 2]
        assert {*table, *out.volumes(cleaning)} <= COLUMNS_OF_TRIALS


def test_censored_volumes_do_not_count_and_a_trial_of_them_alone_is_empty(run):
    table = run.table()
    table["framewise_displacement"] = 0.1
    table.loc[[4, 12, 13], "framewise_displacement"] = 2.0
    run.write_table(table)
    image = write_atlas(run.root.parent / "atlas")
    out = out_of(run, *WINDOW, "--atlas", image, "--fd-threshold", 0.5, "--keep-censored")
    means = table_of(
        out.path("atlas-blocks_stat-mean_desc-simpleFD05ALLROWSWIN4to8_trialseries.tsv")
    )
    signals = out.regions("simpleFD05ALLROWS", "blocks")
    np.testing.assert_allclose(means.iloc[0], signals.iloc[5], rtol=1e-6)
    assert means.iloc[1].isna().all()
    table = trials_of(out, "simpleFD05ALLROWSWIN4to8")
    assert list(table["n_censored"]) == [1, 2]
    assert "1 of 2 trials without a kept volume" in findings(out.output)["trials-without-volumes"]
    assert "1 of them since it censors" in findings(out.output)["trials-without-volumes"]


def test_two_windows_stand_side_by_side(run):
    out_of(run, *WINDOW)
    out = out_of(run, "--trials", "--trial-window", "-2", "0.5")
    out = out_of(run, "--trials", "--trial-delay", "5")
    assert sorted(path.name for path in out.folder.glob("*trials.tsv")) == [
        f"{run.stem}_desc-simple{span}_trials.tsv" for span in ("DELAY5", "WIN4to8", "WINm2to05")
    ]


def test_only_what_is_missing_is_made_again(run):
    products = ("--voxels", "--atlas", write_atlas(run.root.parent / "atlas"))
    out = out_of(run, *products)
    before = contents(out.output)
    out_of(run, *products, *WINDOW)
    after = contents(out.output)
    assert {name: after[name] for name in before} == before
    new = {name.rpartition("_")[2] for name in after.keys() - before.keys()}
    assert new == {"trials.tsv", "trials.json", "trialseries.tsv", "trialseries.json"}
    for series in out.folder.glob("*trialseries.tsv"):
        series.unlink()
        out_of(run, *products, *WINDOW)
        assert contents(out.output) == after
    write_events(run, "onset duration trial_type\n8 2 c")
    out_of(run, *products, *WINDOW)
    assert [len(table_of(path)) for path in out.folder.glob("*trialseries.tsv")] == [1, 1]


def test_means_follow_the_format_of_the_signals(run):
    out_of(run, *WINDOW)
    out = out_of(run, *WINDOW, "--format", "tsv.gz")
    [series] = out.folder.glob("*trialseries.tsv*")
    assert series.name.endswith(".tsv.gz")
    assert len(table_of(series)) == 2


def test_means_go_back_to_the_brain_trial_by_trial(run):
    out = out_of(run, *WINDOW)
    [path] = out.folder.glob("*trialseries.tsv")
    image = bidsmask.unmask_signals(path, rows=[1])
    mask = image_of(next(out.folder.glob("*_mask.nii.gz"))) > 0
    expected = table_of(path).iloc[1].astype(np.float32)
    np.testing.assert_array_equal(np.asarray(image.dataobj)[mask], expected)


def test_the_group_level_joins_signals_and_leaves_trials_alone(tmp_path):
    runs = write_dataset(tmp_path / "in", ("01", "02"), with_events=True)
    image = write_atlas(tmp_path / "atlas")
    out = tmp_path / "out"
    for options in ((), WINDOW):
        assert run_app(runs[0].root, out, "--atlas", image, *options) == 0
    alone = tmp_path / "alone"
    assert run_app(runs[0].root, alone, "--atlas", image) == 0
    for output in (out, alone):
        assert main(["nowhere", str(output), "group"]) == 0
    theirs = {name for name in contents(alone) if "/" not in name}
    assert {name for name in contents(out) if "/" not in name} == theirs


@needs_validator
def test_the_official_validator_knows_them_or_looks_away(run):
    out = out_of(run, *WINDOW, "--events-columns", "trial_number_of_theirs")
    issues = {issue["code"] for issue in validator_issues(out.output)}
    assert issues <= {"TOO_FEW_AUTHORS"}  # of no table's making


# Volumes


def test_volumes_tell_their_trial_once_it_is_delayed(run):
    write_events(run, "onset duration trial_type level\n4 6 a 3\n20 6 b n/a")
    out = out_of(run, "--trial-delay", 5, "--events-columns", "level")
    table = out.volumes("simple")
    of = {name: list(group["onset"]) for name, group in table.groupby("trial_type")}
    assert of == {"a": [10, 12, 14], "b": [26, 28, 30]}
    assert list(table["level"].dropna()) == [3, 3, 3]
    told = json.loads((out.folder / f"{run.stem}_desc-simple_volumes.json").read_text())
    assert told["TrialDelay"] == 5
    assert "level" in told


def test_volumes_are_when_the_sidecar_says(run):
    run.metadata(StartTime=1.0, SliceTimingCorrected=True)
    write_events(run, "onset duration trial_type\n5 2 a")
    table = out_of(run).volumes("simple")
    assert list(table["onset"][table["trial_type"] == "a"]) == [4]  # at 5 s for its events
    assert "start-time-unsaid" not in findings(run.root.parent / "out")


def test_a_start_time_that_is_not_said_is_noted(run):
    run.metadata(SliceTimingCorrected=True)
    out = out_of(run)
    assert "corrected for slice timing" in findings(out.output)["start-time-unsaid"]


# The proof: a block design of known responses

AMPLITUDES = np.array([2.0, 6.0, 3.0, 8.0, 5.0, 4.0, 7.0, 1.0])
BASELINE, NOISE_SD = 1000.0, 10.0


@pytest.fixture(scope="module")
def blocks(tmp_path_factory) -> Path:
    """A run of 8 blocks of 10 s, 40 s apart, to which half of the brain responds."""
    root = tmp_path_factory.mktemp("blocks") / "in"
    rng = np.random.default_rng(7)
    n_volumes = 180
    events = pd.DataFrame(
        {"onset": 20.0 + 40 * np.arange(8), "duration": 10.0, "trial_type": list("ABABABAB")}
    )
    response = np.zeros(n_volumes)
    for trial, amplitude in enumerate(AMPLITUDES):
        one = events.iloc[[trial]].assign(trial_type="one")
        response += amplitude * task_response(one, "one", n_volumes)
    mask = np.zeros((8, 8, 8), bool)
    mask[1:7, 1:7, 1:7] = True
    active = mask & (np.arange(8) >= 4)[:, None, None]
    series = BASELINE + rng.normal(0, NOISE_SD, (8, 8, 8, n_volumes))
    series[active] += response * BASELINE / 100
    series[~mask] = 0
    write_run(root, series.astype(np.float32), mask=mask, metadata={"RepetitionTime": T_R_S})
    events.to_csv(root / "sub-01/func/sub-01_task-rest_events.tsv", sep="\t", index=False)
    image = nibabel.load(root / "sub-01/func/sub-01_task-rest_desc-brain_mask.nii.gz")
    labels = active + 2 * (mask & ~active)
    nibabel.Nifti1Image(labels.astype(np.uint8), image.affine).to_filename(
        root.parent / "atlas-halves_dseg.nii.gz"
    )
    return root


def recovered(blocks: Path, *options: object) -> np.ndarray:
    """Return the mean over each block, trials x (half that responds, other half)."""
    output = blocks.parent / f"out{len(list(blocks.parent.iterdir()))}"
    atlas = blocks.parent / "atlas-halves_dseg.nii.gz"
    assert run_app(blocks, output, "--trials", *options, "--atlas", atlas) == 0
    [path] = (output / "sub-01/func").glob("*trialseries.tsv")
    return table_of(path).to_numpy()


def test_amplitudes_of_blocks_are_recovered_and_the_delay_matters(blocks):
    means = recovered(blocks, *RAW, "--trial-window", 4, 12)
    percent = 100 * (means - BASELINE) / BASELINE
    # What the response to a block of 10 s at 20 s reaches in its volumes at 24, 26, 28 and 30 s.
    one = pd.DataFrame({"onset": [20.0], "duration": [10.0], "trial_type": ["one"]})
    reached = task_response(one, "one", 30)[12:16].mean()
    n_values = 4 * 108
    error = 100 * NOISE_SD / BASELINE / np.sqrt(n_values) / reached
    np.testing.assert_allclose(percent[:, 0] / reached, AMPLITUDES, rtol=0, atol=5 * error)
    np.testing.assert_allclose(percent[:, 1], 0, atol=5 * error)
    assert error < 0.1  # percent of the baseline, against amplitudes of 1 to 8

    ends = recovered(blocks, *RAW, "--trial-delay", 5)[:, 0]
    begins = recovered(blocks, *RAW, "--trial-delay", 0)[:, 0]
    plateau = AMPLITUDES * BASELINE / 100
    assert ((ends - BASELINE) / plateau > 0.85)[1:].all()
    assert ((begins - BASELINE) / plateau < 0.55).all()


def test_amplitudes_keep_their_order_through_the_cleaning(blocks):
    means = recovered(blocks, "--confounds", "none", "--high-pass", 0.008, "--trial-delay", 5)
    assert np.corrcoef(means[:, 0], AMPLITUDES)[0, 1] > 0.98


# Odd events


ODD = {
    "past the end": ("onset duration\n4 2\n900 2", "events-past-end", "1 of 2 events that begin"),
    "in milliseconds": ("onset duration\n4000 2\n9000 2", "events-past-end", "2 of 2 events"),
    "no column duration": ("onset trial_type\n4 a", "events-without-duration", "as a moment"),
    "n/a durations": ("onset duration\n4 n/a\n8 2", "unknown-duration", "1 of 2 events"),
    "negative durations": ("onset duration\n4 -3", "negative-duration", "1 of 1 events"),
    "n/a onsets": ("onset duration\nn/a 2\n4 2", "events-without-onset", "1 of 2 events"),
    "infinite onsets": ("onset duration\ninf 2\n4 2", "events-without-onset", "1 of 2 events"),
    "a column that is not there": (
        "onset duration\n4 2",
        "missing-events-column",
        "no column level",
    ),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_events_are_told_and_stop_nothing(run, name):
    text, code, words = ODD[name]
    write_events(run, text)
    image = write_atlas(run.root.parent / "atlas")
    out = out_of(run, *WINDOW, "--atlas", image, "--events-columns", "level")
    found = findings(out.output)
    assert words in found[code]
    [volumes] = out.folder.glob("*volumes.tsv")
    assert len(table_of(volumes)) == 40
    [series] = out.folder.glob("*trialseries.tsv")
    assert len(table_of(series)) == len(text.splitlines()) - 1


UNUSABLE = {
    "no column onset": ("time duration\n4 2", "has no column onset"),
    "text as onset": ("onset duration\n4 2\nsoon 2", "column onset: 'soon' in line 3"),
    "text as duration": ("onset duration\n4 long", "column duration: 'long' in line 2"),
    "a truth value": ("onset duration\n4 n/a\n5 true", "column duration: 'true' in line 3"),
    "leading zeros": ("onset duration\n4 2\n08 2", "column onset: '08' in line 3"),
    "a ragged row": ("onset duration\n4", "1 cells in line 2"),
    "an empty file": ("", "is empty"),
    "two columns of one name": ("onset onset\n4 4", "two columns"),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_unusable_events_stop_the_runs_whose_trials_are_asked_for_alone(run, name, capsys):
    text, words = UNUSABLE[name]
    write_events(run, text)
    image = write_atlas(run.root.parent / "atlas")
    assert run_app(run.root, run.root.parent / "failed", *WINDOW, "--atlas", image) == 65
    assert words in " ".join(capsys.readouterr().err.split())
    assert not list((run.root.parent / "failed").glob("sub-01/func/*"))
    out = out_of(run, "--atlas", image)
    assert words in findings(out.output)["unusable-events"]
    assert len(out.volumes("simple")) == 40
    assert "trial_type" not in out.volumes("simple")


def test_events_without_a_row_give_tables_without_a_row(run):
    write_events(run, "onset duration trial_type")
    out = out_of(run, *WINDOW)
    [series] = out.folder.glob("*trialseries.tsv")
    assert len(table_of(series)) == 0
    assert out.volumes("simple")["trial_type"].isna().all()


def test_unsorted_events_are_sorted_and_numbers_as_types_stay_as_they_are(run):
    run.events.write_bytes(b"\xef\xbb\xbfonset\tduration\ttrial_type\r\n20\t6\t01\r\n4\t6\tn/a\r\n")
    out = out_of(run, *WINDOW)
    path = out.folder / f"{run.stem}_desc-simpleWIN4to8_trials.tsv"
    rows = [line.split("\t")[:3] for line in path.read_text().splitlines()]
    assert rows == [
        ["trial_number", "trial_type", "onset"],
        ["1", "n/a", "4.0"],
        ["2", "01", "20.0"],
    ]
    assert findings(out.output).keys() & {"unusable-events", "unknown-duration"} == set()


def test_of_two_tables_that_apply_alike_none_is_taken(run):
    run.events.rename(run.root / "sub-01_events.tsv")
    (run.root / "task-rest_events.tsv").write_text("onset\tduration\n1\t1\n")
    out = out_of(run, *WINDOW)
    assert "sub-01_events.tsv and task-rest_events.tsv" in findings(out.output)["two-events"]
    assert not list(out.folder.glob("*trials.tsv"))


def test_a_run_without_events_is_noted_where_trials_are_wanted(run):
    run.events.unlink()
    assert "no-events" in findings(out_of(run, *WINDOW).output)
    assert "no-events" not in findings(out_of(run).output)


WRONG = {
    "no time": (("--trials",), "needs to know when"),
    "no trials": (("--trial-window", "4", "8"), "does nothing without --trials"),
    "one time": (("--trials", "--trial-window", "4"), "is no window"),
    "backwards": (("--trials", "--trial-window", "8", "4"), "is no window"),
    "endless": (("--trials", "--trial-window", "4", "inf"), "is no window"),
    "no delay": (("--trial-delay", "nan"), "is no delay"),
    "a name of ours": (("--events-columns", "onset"), "is a name of the tables"),
    "no name": (("--events-columns", "a\tb"), "names no column"),
    "masks alone": (("--mask-only", "--trial-delay", "4"), "does nothing beside --mask-only"),
}


@pytest.mark.parametrize("name", WRONG)
def test_options_that_make_no_sense_are_refused(run, capsys, name):
    options, words = WRONG[name]
    assert run_app(run.root, run.root.parent / "out", *options) == 64
    assert words in capsys.readouterr().err


# The real run


@needs_real
def test_the_trials_of_the_real_run(tmp_path):
    options = ["--space", SPACE, "--atlas", SCHAEFER, "--confounds", "simple", "scrubbing"]
    options += ["--trials", "--trial-window", 4, 8, "--events-columns", "stimulus"]
    assert run_app(STUDYFORREST, tmp_path / "out", *options) == 0
    out = Written(tmp_path / "out", "sub-02_task-oneback_run-1", SPACE)
    events = table_of(STUDYFORREST / f"sub-02/func/{out.name}_events.tsv")
    for cleaning in ("simple", "scrubbing"):
        table = trials_of(out, f"{cleaning}WIN4to8")
        assert len(table) == len(events) == 192
        for name in ("onset", "duration", "trial_type", "stimulus"):
            assert list(table[name]) == list(events[name])
        assert (table["n_volumes"] == 2).all()
        volumes = out.volumes(cleaning)
        name = "atlas-Schaefer2018200Parcels7Networks_stat-mean"
        signals = table_of(out.path(f"{name}_desc-{cleaning}_timeseries.tsv"))
        means = table_of(out.path(f"{name}_desc-{cleaning}WIN4to8_trialseries.tsv"))
        for row, onset in enumerate(events["onset"]):
            after = volumes["onset"] - onset
            rows = volumes["row"][(after >= 4) & (after < 8) & volumes["kept"]].astype(int)
            np.testing.assert_allclose(means.iloc[row], signals.iloc[rows].mean(), atol=1e-6)
    assert validator_issues(out.output) == []


@needs_real
def test_visual_regions_respond_to_the_pictures_of_the_real_run_five_seconds_later(tmp_path):
    """Of 200 regions, 29 are visual: the ten with the largest means over all trials all are."""
    responses = {}
    for delay_s in (0, 5):
        options = ["--space", SPACE, "--atlas", SCHAEFER, "--trials", "--trial-delay", delay_s]
        assert run_app(STUDYFORREST, tmp_path / "out", *options) == 0
        out = Written(tmp_path / "out", "sub-02_task-oneback_run-1", SPACE)
        atlas = "atlas-Schaefer2018200Parcels7Networks_stat-mean"
        means = table_of(out.path(f"{atlas}_desc-simpleDELAY{delay_s}_trialseries.tsv"))
        responses[delay_s] = means.mean().nlargest(10)
    assert responses[5].index.str.contains("_Vis_").all()
    assert not responses[0].index.str.contains("_Vis_").all()
    assert responses[5].max() > 1.5 * responses[0].max()
