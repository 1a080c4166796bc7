"""Runs of a task one below the other: rows, volumes, what is refused, and what is made anew."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bidsmask.cli import main
from tests.make_app import needs_validator, run_app, table_of, validator_issues
from tests.make_images import write_image
from tests.make_runs import SPACE, SmallRun, brain, contents, write_atlas, write_dataset, write_run

JOINED = f"sub-01_task-rest_space-{SPACE}_atlas-blocks_stat-mean_desc-simpleJoined_timeseries"
VOLUMES = f"sub-01_task-rest_space-{SPACE}_desc-simpleJoined_volumes"


@pytest.fixture
def runs(tmp_path: Path) -> list[SmallRun]:
    """Return two runs of a task, in the other of which a volume moves, and one of another task."""
    root = tmp_path / "in"
    [other] = write_dataset(root, tasks=("nback",), with_events=True)
    found = [
        write_run(root, task=f"rest_run-{label}", n_volumes=n, with_events=True)
        for label, n in (("1", 40), ("2", 50))
    ]
    return [*found, other]


def arguments(tmp_path: Path, *words: object) -> tuple[object, ...]:
    atlas = write_atlas(tmp_path)
    return tmp_path / "in", tmp_path / "out", "--concatenate-runs", "--atlas", atlas, *words


def func(tmp_path: Path) -> Path:
    return tmp_path / "out/sub-01/func"


def own(tmp_path: Path, run: str, kind: str = "timeseries") -> pd.DataFrame:
    space = f"_space-{SPACE}_atlas-blocks_stat-mean" if kind == "timeseries" else ""
    return table_of(func(tmp_path) / f"sub-01_task-rest_run-{run}{space}_desc-simple_{kind}.tsv")


def test_rows_of_all_runs_stand_one_below_the_other(tmp_path: Path, runs: list[SmallRun]) -> None:
    flag = (np.arange(50) == 3).astype(int)
    runs[1].write_table(runs[1].table().assign(non_steady_state_outlier00=flag))
    assert run_app(*arguments(tmp_path)) == 0
    joined = table_of(func(tmp_path) / f"{JOINED}.tsv")
    parts = [own(tmp_path, "1"), own(tmp_path, "2")]
    pd.testing.assert_frame_equal(joined, pd.concat(parts, ignore_index=True))
    assert len(joined) == 40 + 49
    # Each run is standardised by itself.
    for part in (joined[:40], joined[40:]):
        np.testing.assert_allclose(part.mean(), 0, atol=1e-6)
        np.testing.assert_allclose(part.std(), 1, atol=1e-6)
    volumes = table_of(func(tmp_path) / f"{VOLUMES}.tsv")
    assert list(volumes.columns)[:4] == ["run", "volume", "row", "onset"]
    assert volumes["run"].tolist() == [1] * 40 + [2] * 50
    assert volumes["row"].dropna().tolist() == list(range(89))
    assert volumes.index[~volumes["kept"]].tolist() == [43]
    own_volumes = own(tmp_path, "2", "volumes").drop(columns="row")
    of_second = volumes[40:].drop(columns=["run", "row"]).reset_index(drop=True)
    pd.testing.assert_frame_equal(of_second, own_volumes)
    assert "trial_type" in volumes


def test_sidecars_tell_the_run_of_each_row(tmp_path: Path, runs: list[SmallRun]) -> None:
    assert run_app(*arguments(tmp_path)) == 0
    told = json.loads((func(tmp_path) / f"{JOINED}.json").read_text())
    rows = [(one["Run"], one["FirstRow"], one["Rows"]) for one in told["Runs"]]
    assert rows == [("1", 0, 40), ("2", 40, 50)]
    assert [one.rpartition("run-")[2][:2] for one in told["Sources"]] == ["1_", "2_"]
    own_told = json.loads(
        (func(tmp_path) / JOINED.replace("rest_", "rest_run-2_").replace("Joined", ""))
        .with_suffix(".json")
        .read_text()
    )
    assert told["Runs"][1]["DegreesOfFreedom"] == own_told["DegreesOfFreedom"]
    assert told["Runs"][1]["Regressors"] == own_told["Cleaning"]["Regressors"]
    assert told["Cleaning"]["Strategy"] == "simple"
    assert told["VolumesFile"].endswith(f"{VOLUMES}.tsv")
    assert told["LeftOut"] == {}
    assert json.loads((func(tmp_path) / f"{VOLUMES}.json").read_text())["run"]


def test_a_second_run_of_the_program_does_nothing(
    tmp_path: Path, runs: list[SmallRun], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_app(*arguments(tmp_path)) == 0
    before = contents(tmp_path / "out")
    capsys.readouterr()
    assert run_app(*arguments(tmp_path)) == 0
    assert "0 done, 5 up to date, 0 failed" in capsys.readouterr().err
    assert contents(tmp_path / "out") == before
    # A run that changed is joined anew, and one that is gone is left out.
    runs[0].write_table(runs[0].table() * 1.5)
    assert run_app(*arguments(tmp_path)) == 0
    after = contents(tmp_path / "out")
    assert after[f"sub-01/func/{JOINED}.json"] != before[f"sub-01/func/{JOINED}.json"]
    other = f"sub-01/func/{JOINED}.tsv".replace("rest", "nback")
    assert after[other] == before[other]


def test_a_run_that_fails_is_left_out_by_name_until_it_is_mended(
    tmp_path: Path, runs: list[SmallRun], capsys: pytest.CaptureFixture[str]
) -> None:
    table = runs[0].table()
    runs[0].write_table(table.drop(columns="csf"))
    assert run_app(*arguments(tmp_path)) == 1
    assert "is made without sub-01_task-rest_run-1" in " ".join(capsys.readouterr().err.split())
    told = json.loads((func(tmp_path) / f"{JOINED}.json").read_text())
    assert list(told["LeftOut"]) == [f"sub-01_task-rest_run-1_space-{SPACE}"]
    assert [one["Run"] for one in told["Runs"]] == ["2"]
    runs[0].write_table(table)
    assert run_app(*arguments(tmp_path)) == 0
    assert len(table_of(func(tmp_path) / f"{JOINED}.tsv")) == 90


def test_voxels_are_joined_where_runs_share_their_mask(
    tmp_path: Path, runs: list[SmallRun]
) -> None:
    words = ("--voxels", "--combine-masks", "intersection", "--format", "tsv.gz")
    assert run_app(*arguments(tmp_path, *words)) == 0
    name = JOINED.replace("atlas-blocks_stat-mean", "seg-voxels")
    joined = table_of(func(tmp_path) / f"{name}.tsv.gz")
    paths = [func(tmp_path) / name.replace("rest_", f"rest_run-{i}_") for i in (1, 2)]
    parts = [table_of(Path(str(one).replace("Joined", "") + ".tsv.gz")) for one in paths]
    pd.testing.assert_frame_equal(joined, pd.concat(parts, ignore_index=True))
    assert joined.shape == (90, int(brain().sum()))


def test_voxels_of_other_masks_are_refused(
    tmp_path: Path, runs: list[SmallRun], capsys: pytest.CaptureFixture[str]
) -> None:
    smaller = brain()
    smaller[4] = False
    write_image(runs[1].mask, smaller.astype(np.uint8))
    words = ("--voxels", "--mask-strategy", "derivative")
    assert run_app(*arguments(tmp_path, *words)) == 1
    said = " ".join(capsys.readouterr().err.split())
    assert "has another mask than sub-01_task-rest_run-1" in said
    assert "Give --combine-masks or --mask-file" in said
    assert not (func(tmp_path) / f"{JOINED}.tsv").exists()


def test_runs_of_other_repetition_times_are_refused(
    tmp_path: Path, runs: list[SmallRun], capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(tmp_path / "in", task="rest_run-3", t_r_s=1.5)
    assert run_app(*arguments(tmp_path)) == 1
    assert "has a repetition time of 1.5 s" in " ".join(capsys.readouterr().err.split())


def test_rows_of_censored_volumes_count_where_they_are_kept(
    tmp_path: Path, runs: list[SmallRun]
) -> None:
    flag = (np.arange(40) < 2).astype(int)
    runs[0].write_table(runs[0].table().assign(non_steady_state_outlier00=flag))
    assert run_app(*arguments(tmp_path, "--keep-censored")) == 0
    name = VOLUMES.replace("simpleJoined", "simpleALLROWSJoined")
    volumes = table_of(func(tmp_path) / f"{name}.tsv")
    assert volumes["row"].dropna().tolist() == list(range(2, 90))
    joined = table_of(func(tmp_path) / (JOINED.replace("simple", "simpleALLROWS") + ".tsv"))
    assert len(joined) == 90
    assert joined[:2].isna().all(axis=None)


def test_each_strategy_and_task_is_joined_by_itself(tmp_path: Path, runs: list[SmallRun]) -> None:
    assert run_app(*arguments(tmp_path, "--confounds", "simple", "24P")) == 0
    names = {path.name for path in func(tmp_path).glob("*Joined_timeseries.tsv")}
    first = f"{JOINED}.tsv"
    of_both = {first, first.replace("simple", "24P")}
    assert names == of_both | {name.replace("rest", "nback") for name in of_both}


def test_the_group_level_does_not_take_joined_runs_for_runs(
    tmp_path: Path, runs: list[SmallRun]
) -> None:
    assert run_app(*arguments(tmp_path)) == 0
    assert main([str(tmp_path / "in"), str(tmp_path / "out"), "group"]) == 0
    table = table_of(tmp_path / "out/desc-group_qc.tsv")
    assert len(table) == 3


def test_a_dry_run_tells_what_would_be_joined(
    tmp_path: Path, runs: list[SmallRun], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_app(*arguments(tmp_path, "--dry-run")) == 0
    assert f"{JOINED}.tsv" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()


@needs_validator
def test_the_output_stays_valid(tmp_path: Path, runs: list[SmallRun]) -> None:
    assert run_app(*arguments(tmp_path)) == 0
    issues = validator_issues(tmp_path / "out")
    assert {issue["code"] for issue in issues} <= {"TOO_FEW_AUTHORS"}  # as its source
