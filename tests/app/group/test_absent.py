"""Who is missing from a group is named, with the reason that the participant level gave."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bidsmask.app.group.absent import absent
from bidsmask.app.group.cohort import read_cohort
from bidsmask.app.options import Options
from tests.make_app import run_app
from tests.make_group import run_group, write_outputs
from tests.make_runs import write_dataset


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return write_outputs(tmp_path / "out", ("1", "2", "3"))


def write_ledger(
    output: Path,
    number: int,
    jobs: dict[str, str | None],
    level: str = "participant",
    asked: Any = (),
) -> Path:
    """Write the record of a run of the program: each job, with the problem if it failed."""
    folder = output / "logs" / f"run-20260101T00000{number}Z-00000000"
    folder.mkdir(parents=True)
    config = f'analysis_level = "{level}"\nparticipant_label = {json.dumps(list(asked))}\n'
    (folder / "config.toml").write_text(config)
    lines = []
    for job, problem in jobs.items():
        finding = {"severity": "error", "where": f"/data/{job}_bold.nii.gz", "problem": problem}
        told = {"job": job, "status": "failed" if problem else "done"}
        lines.append(json.dumps({**told, "findings": [finding] if problem else []}) + "\n")
    (folder / "ledger.jsonl").write_text("".join(lines))
    return folder


def warnings(output: Path, known: tuple[str, ...] = (), **options: Any) -> dict[str, str]:
    chosen = Options(Path("none"), output, "group", **options)
    return {one.where: str(one) for one in absent(read_cohort(chosen), known, chosen)}


def test_a_participant_all_of_whose_runs_failed_is_missing_and_that_is_said(tmp_path, capsys):
    runs = write_dataset(tmp_path / "in", ("01", "02"))
    runs[1].bold.write_bytes(runs[1].bold.read_bytes()[:3000])
    assert run_app(tmp_path / "in", tmp_path / "out") == 1
    shutil.rmtree(tmp_path / "out/sub-02", ignore_errors=True)
    capsys.readouterr()
    assert run_group(tmp_path / "out") == 0
    told = capsys.readouterr().err
    assert "sub-02 is missing, it has no outputs: " in told
    assert "cut off before its end" in told


def test_a_participant_who_is_listed_and_has_no_outputs_is_missing(output, capsys):
    shutil.rmtree(output / "sub-2")
    assert run_group(output) == 0
    assert "sub-2 is missing, it has no outputs" in capsys.readouterr().err


def test_a_participant_who_was_asked_for_and_never_finished_is_missing(output):
    write_ledger(output, 1, {}, asked=["4"])
    assert (
        "sub-4 is missing, it has no outputs: the participant level did not finish it"
        in (warnings(output)["sub-4"])
    )


def test_a_job_that_failed_and_was_done_since_is_not_told(output):
    write_ledger(output, 1, {"sub-2_task-rest": "is cut", "sub-3_task-rest": "is cut"})
    write_ledger(output, 2, {"sub-2_task-rest": None, "sub-3_task-other": None})
    assert list(warnings(output)) == ["sub-3"]
    assert (
        "1 job failed at the participant level (sub-3_task-rest_bold.nii.gz is cut)"
        in (warnings(output)["sub-3"])
    )


def test_of_runs_that_share_a_mask_each_is_told_until_it_is_done(output):
    space = "sub-2_space-X_desc-epi"
    failed = {f"{space}{one}": "has two grids" for one in ("Union", "Signal", "Share")}
    failed |= {"sub-2_task-a_space-X": "has no signals", "sub-3_task-a_space-X_mask": "is cut"}
    write_ledger(output, 1, {"sub-2_task-a_space-X_mask": None, **failed})
    assert {where: "1 job failed" in said for where, said in warnings(output).items()} == {
        "sub-2": True,
        "sub-3": True,
    }
    write_ledger(output, 2, {"sub-2_task-a_space-X": None, "sub-3_task-a_space-X": None})
    assert warnings(output) == {}


def test_what_failed_under_another_name_is_mended_by_a_later_run(output):
    write_ledger(output, 1, {"sub-2": "is a riddle", "sub-3_task-rest_bold.nii.gz": "is none"})
    assert list(warnings(output)) == ["sub-2", "sub-3"]
    write_ledger(output, 2, {"sub-2_task-rest": None, "sub-3_task-rest": None})
    assert warnings(output) == {}


def test_the_group_levels_own_ledger_tells_nothing(output):
    write_ledger(output, 1, {"sub-2": "has no JSON file"}, level="group", asked=["7"])
    assert warnings(output) == {}


def test_labels_select_who_is_missed(output):
    write_ledger(output, 1, {"sub-2_task-rest": "is cut", "sub-4_task-rest": "is cut"})
    assert list(warnings(output, ("5",))) == ["sub-2", "sub-4", "sub-5"]
    assert warnings(output, ("5",), participant_label=("1", "3")) == {}
    write_ledger(output, 2, {"sub-1_task-other_space-X": "is cut"})
    assert list(warnings(output, task_label=("rest",))) == ["sub-2", "sub-4"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b"{}\n[]\n3\nnull\n",
        b'{"job": 3, "status": "failed", "findings": 3}\n',
        b'{"job": "sub-2", "status": "failed", "findings": [3]}\n',
        b'{"job": "sub-\\ud800", "status": "failed", "findings": []}\n',
        b'{"job": "sub-2_task-rest", "status": "fai',
        b"x" * (3 << 20),
    ],
    ids=len,
)
def test_a_strange_ledger_stops_nothing_and_hides_no_other(output, content):
    (write_ledger(output, 1, {}) / "ledger.jsonl").write_bytes(content)
    (write_ledger(output, 2, {}) / "config.toml").write_bytes(content)
    write_ledger(output, 3, {"sub-3_task-rest": "is \x1b[31mcut\ud800" * 1000})
    [told] = warnings(output).values()
    assert told.startswith("sub-3 ")
    assert told.isprintable()
    assert len(told) < 500


def test_loops_and_pipes_in_the_place_of_ledgers_stop_nothing(output):
    for number, make in enumerate((lambda p: p.symlink_to(p), os.mkfifo, Path.mkdir), 1):
        path = write_ledger(output, number, {}) / "ledger.jsonl"
        path.unlink()
        make(path)
    assert warnings(output) == {}


UNPRIVILEGED = (
    ("setpriv", "--bounding-set=-dac_override,-dac_read_search,-fowner")
    if os.geteuid() == 0
    else ()
)


@pytest.mark.skipif(bool(UNPRIVILEGED) and not shutil.which("setpriv"), reason="root reads all")
@pytest.mark.parametrize("mode", [0o000, 0o400, 0o100])
def test_a_participant_whose_folder_may_not_be_read_is_named_and_the_others_joined(output, mode):
    folder = output / "sub-2"
    folder.chmod(mode)
    try:
        program = [*UNPRIVILEGED, sys.executable, "-m", "bidsmask", "none", output, "group"]
        done = subprocess.run(program, capture_output=True, text=True, timeout=120)
    finally:
        folder.chmod(0o755)
    assert done.returncode == 1
    assert re.search(r"^failed: sub-2: (func )?cannot be read", done.stderr, re.MULTILINE)
    assert "cannot be read (Permission denied)" in done.stderr
    [mask] = output.glob("*_desc-majority_mask.json")
    assert json.loads(mask.read_text())["Participants"] == 2
