"""What is done in turns: resumed, failing in part, in any number of processes, as a dry run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest

from tests.make_app import needs_validator, run_app, table_of, validator_issues
from tests.make_combined import write_sessions
from tests.make_demo import atlas_of, demo_dataset
from tests.make_group import run_group
from tests.make_runs import SHAPE, SPACE, SmallRun, contents, write_dataset

UNION = ("--combine-masks", "union", "--combine-over", "session", "--signal-mask", 1)
COMBINED = f"sub-01/func/sub-01_task-rest_space-{SPACE}_desc-derivativeUnion_mask"


@pytest.fixture
def runs(tmp_path: Path) -> list[SmallRun]:
    return write_sessions(tmp_path / "in", tasks=("rest",))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that holds the dataset and what was made of it, to be copied."""
    folder = tmp_path_factory.mktemp("finished")
    write_sessions(folder / "in", tasks=("rest",))
    assert run_union(folder) == 0
    return folder


def run_union(tmp_path: Path, *options: object, output: str = "out", n_procs: int = 1) -> int:
    return run_app(tmp_path / "in", tmp_path / output, *UNION, "--n-procs", n_procs, *options)


def written_at(output: Path) -> dict[str, int]:
    """Return when each file was written, the logs apart."""
    return {name: (output / name).stat().st_mtime_ns for name in contents(output)}


def outcomes(output: Path) -> dict[str, str]:
    """Return what became of each Job of the last run of the program."""
    ledgers = sorted(output.glob("logs/*/ledger.jsonl"), key=lambda path: path.stat().st_mtime_ns)
    lines = map(json.loads, ledgers[-1].read_text().splitlines())
    return {line["job"]: line["status"] for line in lines}


def test_any_number_of_processes_writes_the_same_bytes(finished, runs, tmp_path):
    assert run_union(tmp_path, n_procs=2) == 0
    assert contents(tmp_path / "out") == contents(finished / "out")
    assert len(list((tmp_path / "out").rglob("*_timeseries.tsv"))) == 2


def test_a_second_run_does_nothing_and_force_does_all_again(finished, tmp_path):
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    before, first = written_at(tmp_path / "out"), contents(tmp_path / "out")
    assert run_union(tmp_path) == 0
    assert written_at(tmp_path / "out") == before
    assert set(outcomes(tmp_path / "out").values()) == {"up to date"}
    assert run_union(tmp_path, "--force") == 0
    assert contents(tmp_path / "out") == first
    again = written_at(tmp_path / "out")
    assert all(again[name] > before[name] for name in before if "_space-" in name)


@pytest.mark.parametrize(
    "lost",
    [
        f"{COMBINED}.nii.gz",
        f"{COMBINED}.json",
        f"sub-01/ses-1/func/sub-01_ses-1_task-rest_space-{SPACE}_desc-derivative_mask.nii.gz",
        f"sub-01/ses-2/func/sub-01_ses-2_task-rest_space-{SPACE}_desc-signal_mask.json",
        f"sub-01/ses-2/func/sub-01_ses-2_task-rest_space-{SPACE}_seg-voxels_desc-simple_"
        "timeseries.tsv",
    ],
)
def test_what_is_lost_is_made_again_and_nothing_else(finished, tmp_path, lost):
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    before, first = written_at(tmp_path / "out"), contents(tmp_path / "out")
    (tmp_path / "out" / lost).unlink()
    assert run_union(tmp_path) == 0
    assert contents(tmp_path / "out") == first
    again = written_at(tmp_path / "out")
    stem = lost.partition(".")[0]
    assert {name.partition(".")[0] for name in before if again[name] != before[name]} == {stem}


def test_another_mask_of_one_run_makes_all_signals_anew(finished, tmp_path):
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    before = written_at(tmp_path / "out")
    one, other = (tmp_path / "in").rglob("*desc-brain_mask.nii.gz")
    one.write_bytes(other.read_bytes())
    assert run_union(tmp_path) == 0
    again = written_at(tmp_path / "out")
    changed = {name for name in before if again[name] != before[name]}
    assert {name for name in before if name.endswith("_timeseries.tsv")} <= changed
    assert not any("desc-signal_mask" in name for name in changed)
    assert run_union(tmp_path, output="fresh") == 0
    assert contents(tmp_path / "fresh") == contents(tmp_path / "out")


def cut(run: SmallRun) -> None:
    """Damage a series: found when it is read."""
    run.bold.write_bytes(run.bold.read_bytes()[:-40])


def lose_mask(run: SmallRun) -> None:
    """Take the mask away: found before anything is computed."""
    run.mask.unlink()


@pytest.mark.parametrize("spoil", [cut, lose_mask])
def test_a_run_without_a_mask_is_left_out_until_it_is_mended(runs, tmp_path, spoil, capsys):
    bad, good = runs
    whole = {path: path.read_bytes() for path in (bad.bold, bad.mask)}
    spoil(bad)
    assert run_union(tmp_path, "--mask-strategy", "derivative") == 1
    told = json.loads((tmp_path / f"out/{COMBINED}.json").read_text())
    label = f"{bad.stem}_space-{SPACE}"
    assert (told["Runs"], told["LeftOut"]) == (1, {label: "its mask could not be made"})
    assert f"is made without {label}, of which there is no mask" in capsys.readouterr().err
    failed = {job for job, status in outcomes(tmp_path / "out").items() if status == "failed"}
    assert failed == {f"{label}_mask"}
    signals = {path.name.partition("_space")[0] for path in (tmp_path / "out").rglob("*series.tsv")}
    assert signals == {good.stem}
    # The same again: it fails again, and the others are up to date.
    assert run_union(tmp_path, "--mask-strategy", "derivative") == 1
    assert list(outcomes(tmp_path / "out").values()).count("up to date") == 1 + 1 + 1
    for path, content in whole.items():
        path.write_bytes(content)
    assert run_union(tmp_path, "--mask-strategy", "derivative") == 0
    assert run_union(tmp_path, "--mask-strategy", "derivative", output="fresh") == 0
    assert contents(tmp_path / "fresh") == contents(tmp_path / "out")


def test_a_run_whose_signals_cannot_be_made_still_gives_its_mask(runs, tmp_path):
    runs[0].confounds.write_text("csf\n1\n")
    assert run_union(tmp_path) == 1
    told = json.loads((tmp_path / f"out/{COMBINED}.json").read_text())
    assert (told["Runs"], told["LeftOut"]) == (2, {})
    assert len(list((tmp_path / "out").rglob("*_timeseries.tsv"))) == 1


def test_where_all_masks_fail_there_is_nothing_to_combine(runs, tmp_path):
    for run in runs:
        run.mask.unlink()
    assert run_union(tmp_path, "--mask-strategy", "derivative") == 65
    assert set(outcomes(tmp_path / "out").values()) == {"failed"}
    assert not list((tmp_path / "out").rglob("*.nii.gz"))


def test_stopping_at_the_first_failure_combines_nothing(runs, tmp_path):
    cut(runs[0])
    assert run_union(tmp_path, "--stop-on-first-crash") == 65
    assert not (tmp_path / f"out/{COMBINED}.nii.gz").exists()
    assert not list((tmp_path / "out").rglob("*_timeseries.tsv"))


def test_a_mask_damaged_since_is_named_with_what_mends_it(finished, tmp_path, capsys):
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    [mask] = (tmp_path / "out").rglob("*ses-1_task-rest*desc-derivative_mask.nii.gz")
    content = bytearray(mask.read_bytes())
    content[-6] ^= 255
    mask.write_bytes(content)
    (tmp_path / f"out/{COMBINED}.json").unlink()
    assert run_union(tmp_path) == 1
    assert "Remove it. Run the participant level again." in capsys.readouterr().err
    mask.unlink()
    assert run_union(tmp_path) == 0


def test_a_dry_run_writes_nothing_and_names_all_that_is_to_be_made(runs, tmp_path, capsys):
    runs[0].mask.unlink()
    options = ("--mask-strategy", "derivative")
    assert run_union(tmp_path, *options, "--dry-run") == 1
    assert not (tmp_path / "out").exists()
    named = {line.strip() for line in capsys.readouterr().out.splitlines() if ".nii.gz" in line}
    assert run_union(tmp_path, *options) == 1
    written = {name for name in contents(tmp_path / "out") if name.endswith(".nii.gz")}
    assert named == written


def test_a_dry_run_knows_grids_that_differ(tmp_path, capsys):
    _, other = write_dataset(tmp_path / "in", tasks=("a", "b"))
    other.mask.unlink()
    other.replace(np.asarray(nibabel.load(other.bold).dataobj)[1:])
    options = ("--combine-masks", "union", "--dry-run")
    assert run_app(tmp_path / "in", tmp_path / "out", *options) == 1
    shown = capsys.readouterr()
    assert shown.out.count("failed: ") == 3  # the combination, and both runs by it
    small = (SHAPE[0] - 1, *SHAPE[1:])
    assert f"has shape {small}, but shape {SHAPE} is needed as" in shown.err


# The whole way


@needs_validator
def test_the_demo_through_both_levels(tmp_path_factory, tmp_path):
    demo = demo_dataset(tmp_path_factory)
    options = ("--mask-strategy", "epi", "--combine-masks", "intersection")
    options += ("--combine-over", "session", "--signal-mask", 1, "--voxels")
    options += ("--space", SPACE, "--participant-label", "01")
    assert run_app(demo, tmp_path / "out", *options, "--atlas", atlas_of(demo)) == 0
    two_sessions = [
        len(table_of(path).columns)
        for path in (tmp_path / "out/sub-01").rglob("*seg-voxels_desc-simple_timeseries.tsv")
    ]
    assert len(two_sessions) == 2
    assert len(set(two_sessions)) == 1
    group = ("--mask-strategy", "epi", "--combine-masks", "union")
    assert run_group(tmp_path / "out", *group) == 0
    names = {path.name for path in (tmp_path / "out").glob("task-*")}
    assert f"task-faces_space-{SPACE}_desc-union_mask.nii.gz" in names
    assert f"task-faces_space-{SPACE}_atlas-demo_stat-mean_desc-simple_signals.h5" in names
    assert not any("majority" in name or "probseg" in name for name in names)
    assert validator_issues(tmp_path / "out") == []
