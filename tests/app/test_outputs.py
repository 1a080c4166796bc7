"""What a run writes and says: once, the same everywhere, and only what has changed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bidsmask.app import masks, prepare
from bidsmask.app import run as run_module
from bidsmask.terminal import EXAMPLES
from tests.make_app import run_app, run_on_terminal
from tests.make_images import write_image
from tests.make_runs import brain, contents, leftovers, write_atlas, write_dataset, write_run

KINDS = ("mask", "map", "volumes", "voxels", "labels", "coverage", "regions")


def kind_of(name: str) -> str:
    """Return which product a file belongs to."""
    suffix = name.rpartition("_")[2].partition(".")[0]
    in_voxels = "seg-voxels" in name
    return {
        "dseg": "map" if in_voxels else "labels",
        "timeseries": "voxels" if in_voxels else "regions",
        "bold": "coverage",
    }.get(suffix, suffix)


def states(output: Path) -> dict[str, tuple[int, int]]:
    """Return what tells whether a file was written anew, for each file of a participant."""
    return {
        path.name: (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in output.glob("sub-*/**/*")
        if path.is_file()
    }


# Once


def test_a_second_run_does_nothing_and_says_so(tmp_path, capsys):
    write_dataset(tmp_path / "in", with_events=True)
    output = tmp_path / "out"
    arguments = (tmp_path / "in", output, "--voxels", "--atlas", write_atlas(tmp_path))
    assert run_app(*arguments) == 0
    before, said = contents(output), capsys.readouterr().err
    first = states(output)
    assert "1 done, 0 up to date, 0 failed." in said
    assert run_app(*arguments) == 0
    said = capsys.readouterr().err
    assert "up to date: sub-01_task-rest" in said
    assert "0 done, 1 up to date, 0 failed.\nThere was nothing to do.\n" in said
    assert states(output) == first
    assert contents(output) == before
    assert run_app(*arguments, "--force") == 0
    assert not {*states(output).values()} & {*first.values()}
    assert contents(output) == before


# What a change touches. Each gets the run, the atlas and the options; it may change any of them.


def edit_confounds(run, atlas):
    run.write_table(run.table().assign(csf=1.0))


def edit_events(run, atlas):
    run.events.write_text("onset\tduration\n8\t2\n")


def edit_series(run, atlas):
    rng = np.random.default_rng(5)
    run.replace((rng.normal(900, 20, (*brain().shape, 40))).astype(np.int16))


def edit_mask(run, atlas):
    write_image(run.mask, np.roll(brain(), 1, axis=0).astype(np.uint8))


def edit_names(run, atlas):
    table = atlas.with_name(atlas.name.replace(".nii.gz", ".tsv"))
    table.write_text(table.read_text().replace("block3", "three"))


def edit_labels(run, atlas):
    write_image(atlas, np.arange(8 * 9 * 7, dtype=np.uint8).reshape(8, 9, 7) % 5)


def edit_timing(run, atlas):
    run.metadata(RepetitionTime=2.001)


def edit_start(run, atlas):
    run.metadata(StartTime=0.5)


def lose_sidecar(run, atlas):
    next((run.root.parent / "out").glob("sub-*/func/*coverage_bold.json")).unlink()


def lose_data(run, atlas):
    next((run.root.parent / "out").glob("sub-*/func/*seg-voxels*timeseries.tsv")).unlink()


def cut_data(run, atlas):
    table = next((run.root.parent / "out").glob("sub-*/func/*seg-voxels*timeseries.tsv"))
    table.write_bytes(table.read_bytes()[:-100])


def break_sidecar(run, atlas):
    next((run.root.parent / "out").glob("sub-*/func/*_mask.json")).write_text('{"Finger')


SIGNALS = {"voxels", "regions"}
ALL_OF_MASK = {"mask", "qc", "map", "coverage", *SIGNALS}
TOUCHED = {
    "nothing": ((), None, set()),
    "confounds": ((), edit_confounds, {"volumes", *SIGNALS}),
    "events": ((), edit_events, {"volumes"}),
    "the series": ((), edit_series, {"mask", "qc", *SIGNALS}),
    "the mask": ((), edit_mask, ALL_OF_MASK),
    "names of regions": ((), edit_names, {"labels", "coverage", "regions"}),
    "labels of regions": (("--force",), edit_labels, {"labels", "volumes", *ALL_OF_MASK}),
    "the repetition time": ((), edit_timing, {"volumes", *SIGNALS}),
    "the start": ((), edit_start, {"volumes", *SIGNALS}),
    "a lost sidecar": ((), lose_sidecar, {"coverage"}),
    "lost data": ((), lose_data, {"voxels"}),
    "cut data": ((), cut_data, {"voxels"}),
    "a broken sidecar": ((), break_sidecar, {"mask"}),
    "the format": (("--format", "tsv.gz"), None, SIGNALS),
    "all rows": (("--keep-censored",), None, {"volumes", *SIGNALS}),
    "the mask's strategy": (("--mask-strategy", "epi"), None, ALL_OF_MASK),
    "the scale": (("--standardize", "psc"), None, {"volumes", *SIGNALS}),
    "more processes": (("--n-procs", "2", "--omp-nthreads", "2"), None, set()),
}


@pytest.mark.parametrize("change", TOUCHED)
def test_a_change_redoes_what_it_touches_and_ends_as_a_first_run(tmp_path, change):
    options, edit, expected = TOUCHED[change]
    [run] = write_dataset(tmp_path / "in", with_events=True)
    atlas = write_atlas(tmp_path)
    arguments = ("--voxels", "--atlas", atlas)
    output = tmp_path / "out"
    assert run_app(tmp_path / "in", output, *arguments) == 0
    before = states(output)
    if edit is not None:
        edit(run, atlas)
    assert run_app(tmp_path / "in", output, *arguments, *options) == 0
    written = {name for name, state in states(output).items() if before.get(name) != state}
    assert {kind_of(name) for name in written} == expected
    assert run_app(tmp_path / "in", tmp_path / "anew", *arguments, *options) == 0
    assert contents(tmp_path / "anew").items() <= contents(output).items()


def test_another_strategy_is_added_to_what_is_there(tmp_path):
    write_dataset(tmp_path / "in")
    assert run_app(tmp_path / "in", tmp_path / "out") == 0
    before = states(tmp_path / "out")
    assert run_app(tmp_path / "in", tmp_path / "out", "--confounds", "simple", "24P") == 0
    after = states(tmp_path / "out")
    assert before.items() <= after.items()
    assert {name for name in after if name not in before} == {
        f"sub-01_task-rest{space}_desc-24P_{suffix}"
        for space, suffix in (
            ("", "volumes.tsv"),
            ("", "volumes.json"),
            ("_space-MNI152NLin2009cAsym_seg-voxels", "timeseries.tsv"),
            ("_space-MNI152NLin2009cAsym_seg-voxels", "timeseries.json"),
        )
    }


def test_a_mask_that_was_damaged_since_is_made_anew(tmp_path):
    write_dataset(tmp_path / "in")
    assert run_app(tmp_path / "in", tmp_path / "out") == 0
    before = contents(tmp_path / "out")
    [mask] = (tmp_path / "out").glob("sub-01/func/*_mask.nii.gz")
    mask.write_bytes(mask.read_bytes()[:-9])
    assert run_app(tmp_path / "in", tmp_path / "out", "--confounds", "24P") == 0
    assert before.items() <= contents(tmp_path / "out").items()


# The same everywhere


def test_one_process_or_two_and_a_copy_elsewhere_give_the_same_bytes(tmp_path):
    here = tmp_path / "here"
    write_dataset(here / "in", ("01", "02", "10"), tasks=("rest", "n1"), with_events=True)
    write_atlas(here)
    elsewhere = tmp_path / "elsewhere" / "deeper"
    shutil.copytree(here, elsewhere, copy_function=shutil.copyfile)
    for path in elsewhere.rglob("*"):
        os.utime(path, (1e9, 1e9))
    options = ("--voxels", "--high-pass", "0.01", "--confounds", "none", "24P")
    for root, n_procs in ((here, 1), (elsewhere, 2)):
        atlas = next(root.glob("*_dseg.nii.gz"))
        out = root / "out"
        assert run_app(root / "in", out, *options, "--atlas", atlas, "--n-procs", n_procs) == 0
    found = contents(here / "out")
    assert len(found) > 100
    assert found == contents(elsewhere / "out")
    assert leftovers(tmp_path) == []
    for path in (here / "out").rglob("*"):
        if path.suffix in (".json", ".tsv", ".md") and "logs" not in path.parts:
            assert str(tmp_path) not in path.read_text()


def test_two_programs_at_once_make_what_one_makes(tmp_path):
    write_dataset(tmp_path / "in", ("01", "02", "03"), n_volumes=60)
    atlas = write_atlas(tmp_path)
    options = ("--voxels", "--atlas", str(atlas), "--confounds", "simple", "24P", "--n-procs", "1")
    command = [sys.executable, "-m", "bidsmask", tmp_path / "in", tmp_path / "out", "participant"]
    at_once = [subprocess.Popen([*command, *options], stderr=subprocess.DEVNULL) for _ in range(2)]
    # What one has at work is refused to the other, which makes the rest.
    assert {process.wait(60) for process in at_once} <= {0, 1, 73}
    assert run_app(tmp_path / "in", tmp_path / "alone", *options) == 0
    assert contents(tmp_path / "out") == contents(tmp_path / "alone")
    assert leftovers(tmp_path) == []


def test_nothing_is_written_into_the_input(tmp_path):
    [run] = write_dataset(tmp_path / "in")
    before = contents(run.root)
    assert run_app(run.root, tmp_path / "out") == 0
    assert contents(run.root) == before


# What is said


def test_a_dry_run_prints_the_plan_and_writes_nothing(tmp_path, capsys):
    write_dataset(tmp_path / "in", ("01", "02"))
    [bad] = [write_run(tmp_path / "in", "03")]
    bad.confounds.unlink()
    assert run_app(tmp_path / "in", tmp_path / "out", "--participant-label", "01") == 0
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    capsys.readouterr()
    assert run_app(tmp_path / "in", tmp_path / "out", "--dry-run") == 1
    out, err = capsys.readouterr()
    space = "space-MNI152NLin2009cAsym"
    assert out.splitlines() == [
        f"up to date: sub-01_task-rest_{space}",
        f"to do: sub-02_task-rest_{space} (5 of 5 products, about 90 MB)",
        f"    sub-02/func/sub-02_task-rest_{space}_desc-derivative_qc.json",
        f"    sub-02/func/sub-02_task-rest_{space}_desc-derivative_mask.nii.gz",
        f"    sub-02/func/sub-02_task-rest_{space}_seg-voxels_desc-derivative_dseg.nii.gz",
        f"    sub-02/func/sub-02_task-rest_{space}_seg-voxels_desc-derivative_dseg.tsv",
        "    sub-02/func/sub-02_task-rest_desc-simple_volumes.tsv",
        f"    sub-02/func/sub-02_task-rest_{space}_seg-voxels_desc-simple_timeseries.tsv",
        f"failed: sub-03_task-rest_{space}",
        "memory: about 137 MB in all, 1 of the runs at a time",
    ]
    assert "missing-companion" in err
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


@pytest.mark.parametrize("n_bad", [0, 1, 2])
def test_a_dry_run_ends_with_the_exit_code_of_the_run(tmp_path, n_bad):
    for run in write_dataset(tmp_path / "in", ("01", "02"))[:n_bad]:
        run.confounds.unlink()
    code = run_app(tmp_path / "in", tmp_path / "out", "--dry-run")
    assert not (tmp_path / "out").exists()
    assert code == run_app(tmp_path / "in", tmp_path / "out") == (0, 1, 65)[n_bad]


def test_what_is_left_out_is_said(tmp_path, capsys):
    [run] = write_dataset(tmp_path / "in")
    for name in (
        "part-phase_desc-preproc_bold.nii.gz",
        "sbref.nii.gz",
        "space-fsLR_den-91k_bold.dtseries.nii",
        "hemi-L_space-fsaverage_bold.func.gii",
    ):
        run.file(name).write_bytes(b"")
    assert run_app(tmp_path / "in", tmp_path / "out", "--dry-run") == 0
    out, err = capsys.readouterr()
    for kind in ("part-phase", "sbref", "cifti", "gifti"):
        assert f"note: {kind} (1 participant)\n" in err
        assert kind not in out


def test_standard_output_stays_empty_but_for_what_was_asked(tmp_path, capsys):
    write_dataset(tmp_path / "in")
    assert run_app(tmp_path / "in", tmp_path / "out") == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert err.isascii()
    assert "\x1b" not in err
    assert "\r" not in err
    assert err.startswith("done: sub-01_task-rest_space-MNI152NLin2009cAsym in ")
    assert f"\nResults: {tmp_path / 'out'}\nLog: {tmp_path / 'out' / 'logs'}/run-" in err


def test_quiet_says_nothing_but_errors(tmp_path, capsys):
    [run, _] = write_dataset(tmp_path / "in", ("01", "02"))
    run.confounds.unlink()
    assert run_app(tmp_path / "in", tmp_path / "out", "-q") == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[0] == "error: missing-companion (1 participant)"
    assert len(err.splitlines()) == 2


def test_verbose_shows_each_finding(tmp_path, capsys):
    write_dataset(tmp_path / "in")
    assert run_app(tmp_path / "in", tmp_path / "out", "-v") == 0
    assert "warning: sub-01_task-rest" in capsys.readouterr().err


def test_what_failed_is_named_with_its_reason_and_other_findings_of_a_kind_are_counted(
    tmp_path, capsys, monkeypatch
):
    monkeypatch.setitem(EXAMPLES, "error", 4)
    labels = ["01", "02", "03", "04", "05"]
    for run in write_dataset(tmp_path / "in", labels):
        run.confounds.unlink()
    assert run_app(tmp_path / "in", tmp_path / "out") == 65
    said = capsys.readouterr().err
    name = "sub-05_task-rest_space-MNI152NLin2009cAsym"
    reason = f"{name}_desc-preproc_bold.nii.gz has no confounds table"
    assert f"failed: {name}: {reason}" in said
    assert "choose --confounds none or --mask-only." in said
    assert "error: missing-companion, 5 times (5 participants)" in said
    assert said.count("    sub-") == 4
    [findings] = (tmp_path / "out").glob("logs/*/findings.tsv")
    assert f"… and 1 more in {findings}" in said
    table = next((tmp_path / "out").glob("logs/*/findings.tsv")).read_text().splitlines()
    assert len(table) == 6
    assert table[0] == "severity\tcode\twhere\tproblem\tadvice\tparticipant"


def test_a_terminal_gets_a_progress_bar(tmp_path):
    write_dataset(tmp_path / "in")
    exit_code, said = run_on_terminal(tmp_path / "in", tmp_path / "out")
    assert exit_code == 0
    assert "\x1b[" in said
    assert "1/1" in said
    assert "1 done, 0 up to date, 0 failed." in said
    assert said.rindex("\x1b[?25h") > said.rindex("\x1b[?25l")  # the cursor is back


def test_a_reader_that_goes_away_is_no_fault(tmp_path):
    write_dataset(tmp_path / "in", [f"{n:02}" for n in range(1, 6)])
    command = [sys.executable, "-m", "bidsmask", tmp_path / "in", tmp_path / "out", "participant"]
    with subprocess.Popen(
        [*command, "--dry-run"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()
    assert process.returncode == 0


def test_a_screen_that_nobody_can_write_on_stops_no_work(tmp_path):
    write_dataset(tmp_path / "in")
    command = [sys.executable, "-m", "bidsmask", tmp_path / "in", tmp_path / "out", "participant"]
    with Path("/dev/full").open("w") as full:
        subprocess.run(command, stderr=full, check=False)
    assert list((tmp_path / "out").glob("sub-*/func/*timeseries.json"))
    assert list((tmp_path / "out").glob("logs/*/findings.tsv"))


# Faults of ours


def broken(*_: object, **__: object) -> None:
    raise ZeroDivisionError("ours")


def crash_files(output: Path) -> list[str]:
    return [path.name for path in output.glob("logs/run-*/crash*")]


def test_a_fault_of_ours_in_a_job_is_one_failed_job(tmp_path, capsys, monkeypatch):
    write_dataset(tmp_path / "in")
    monkeypatch.setattr(masks, "compute_mask", broken)
    arguments = (tmp_path / "in", tmp_path / "out", "--mask-strategy", "epi")
    assert run_app(*arguments) == 70
    said = capsys.readouterr().err
    assert "stopped by a fault of bidsmask: ZeroDivisionError: ours" in said
    assert "Traceback" not in said
    label = "sub-01_task-rest_space-MNI152NLin2009cAsym"
    assert crash_files(tmp_path / "out") == [f"crash-{label}.txt"]
    [crash] = (tmp_path / "out").glob("logs/run-*/crash*")
    assert "Traceback" in crash.read_text()
    assert run_app(*arguments, "-v") == 70
    assert "Traceback" not in capsys.readouterr().err
    assert run_app(*arguments, "-vv") == 70
    assert "Traceback" in capsys.readouterr().err


def test_a_fault_of_ours_in_the_preflight_lets_the_others_go_on(tmp_path, capsys, monkeypatch):
    write_dataset(tmp_path / "in", ("01", "02"))
    original = prepare.repetition_time
    monkeypatch.setattr(
        prepare,
        "repetition_time",
        lambda job, *rest: broken() if job.run.participant == "01" else original(job, *rest),
    )
    assert run_app(tmp_path / "in", tmp_path / "out") == 1
    assert "1 done, 0 up to date, 1 failed." in capsys.readouterr().err
    assert len(crash_files(tmp_path / "out")) == 1


def test_a_fault_of_ours_in_the_search_costs_one_participant(tmp_path, capsys, monkeypatch):
    from bidsmask.app import plan

    write_dataset(tmp_path / "in", ("01", "02"))
    original = plan.find_runs
    monkeypatch.setattr(
        plan,
        "find_runs",
        lambda data, who, *rest: broken() if who == "01" else original(data, who, *rest),
    )
    assert run_app(tmp_path / "in", tmp_path / "out") == 1
    assert "1 done, 0 up to date, 1 failed." in capsys.readouterr().err
    assert crash_files(tmp_path / "out") == ["crash-sub-01.txt"]


def test_a_fault_of_ours_between_the_jobs_is_told_with_its_file(tmp_path, capsys, monkeypatch):
    write_dataset(tmp_path / "in")
    monkeypatch.setattr(run_module, "execute", lambda *_, **__: (broken() for _ in range(1)))
    assert run_app(tmp_path / "in", tmp_path / "out") == 70
    said = capsys.readouterr().err
    assert "bidsmask was stopped by a fault of its own: ZeroDivisionError: ours" in said
    assert "crash.txt" in said
    assert "Traceback" not in said
    assert crash_files(tmp_path / "out") == ["crash.txt"]


def test_a_fault_of_ours_at_the_door_is_told(tmp_path, capsys, monkeypatch):
    write_dataset(tmp_path / "in")
    monkeypatch.setattr(run_module, "find_dataset", broken)
    assert run_app(tmp_path / "in", tmp_path / "out") == 70
    said = capsys.readouterr().err
    assert "ZeroDivisionError: ours" in said
    assert "Traceback" not in said
    assert run_app(tmp_path / "in", tmp_path / "out", "-v") == 70
    assert "Traceback" not in capsys.readouterr().err
    assert run_app(tmp_path / "in", tmp_path / "out", "-vv") == 70
    assert "Traceback" in capsys.readouterr().err


def test_nothing_more_is_done_after_the_first_failure_if_asked(tmp_path, capsys):
    runs = write_dataset(tmp_path / "in", ("01", "02", "03"))
    runs[0].confounds.unlink()
    assert run_app(tmp_path / "in", tmp_path / "out", "--stop-on-first-crash") == 65
    assert "0 done, 0 up to date, 1 failed." in capsys.readouterr().err
    runs[0].bold.write_bytes(runs[0].bold.read_bytes()[:-4])
    arguments = ("--stop-on-first-crash", "--n-procs", "1", "--confounds", "none")
    assert run_app(tmp_path / "in", tmp_path / "out", *arguments) == 65
    assert "0 done, 0 up to date, 1 failed." in capsys.readouterr().err


# The record


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--mask-only",),
        ("--mask-only", "--mask-strategy", "epi", "--mask-args", "opening=1"),
        ("--mask-file", "{mask}"),
        ("--atlas", "{atlas}", "--high-pass", "0.01", "--confounds", "none", "24P", "--no-detrend"),
        ("--no-voxels", "--atlas", "{atlas}", "--task-label", "task-rest", "--format", "tsv.gz"),
    ],
)
def test_the_config_of_a_run_repeats_it(tmp_path, options, capsys):
    [run] = write_dataset(tmp_path / "in")
    places = {"mask": run.mask, "atlas": write_atlas(tmp_path)}
    assert run_app(tmp_path / "in", tmp_path / "out", *[o.format(**places) for o in options]) == 0
    before = contents(tmp_path / "out")
    config = next((tmp_path / "out").glob("logs/*/config.toml"))
    capsys.readouterr()
    assert run_app(tmp_path / "in", tmp_path / "out", "--config", config) == 0
    assert "There was nothing to do." in capsys.readouterr().err
    assert contents(tmp_path / "out") == before
    again = max(
        (tmp_path / "out").glob("logs/*/config.toml"), key=lambda one: one.stat().st_mtime_ns
    )
    assert again.read_text() == config.read_text()


def test_the_ledger_has_a_line_for_each_run(tmp_path):
    [_, bad] = write_dataset(tmp_path / "in", ("01", "02"))
    bad.confounds.unlink()
    assert run_app(tmp_path / "in", tmp_path / "out") == 1
    [ledger] = (tmp_path / "out").glob("logs/*/ledger.jsonl")
    lines = {line["job"][:6]: line for line in map(json.loads, ledger.read_text().splitlines())}
    assert lines["sub-01"]["status"] == "done"
    assert lines["sub-01"]["seconds"] > 0
    assert lines["sub-01"]["peak_mb"] > 20
    assert {f"{name}" for name in lines["sub-01"]["outputs"]} == {
        name for name in contents(tmp_path / "out") if name.startswith("sub-01")
    }
    assert lines["sub-02"]["status"] == "failed"
    assert lines["sub-02"]["exit_code"] == 65
    assert lines["sub-02"]["findings"][0]["code"] == "missing-companion"
