"""What the participant level wrote is found by its names; what is unfinished is said."""

from __future__ import annotations

import errno
import json
import os
import tracemalloc
from pathlib import Path

import pytest

from bidsmask.bids.entities import Entities
from bidsmask.bids.outputs import LARGEST_SIDECAR, kind_of, scan_outputs
from tests.make_app import run_app
from tests.make_group import change_sidecar, write_outputs, write_run_outputs
from tests.make_runs import write_atlas, write_dataset

NAMES = {
    "sub-1_task-a_space-X_desc-epi_mask": "mask",
    "sub-1_space-X_desc-brain_mask": "mask",
    "sub-1_task-a_space-X_seg-voxels_desc-epi_dseg": "column map",
    "sub-1_task-a_space-X_atlas-S_dseg": "atlas",
    "sub-1_task-a_space-X_atlas-S_stat-coverage_bold": "coverage",
    "sub-1_task-a_desc-simple_volumes": "volumes",
    "sub-1_task-a_space-X_seg-voxels_desc-simple_timeseries": "signals",
    "sub-1_task-a_space-X_atlas-S_stat-mean_desc-simple_timeseries": "signals",
    "sub-1_task-a_space-X_desc-preproc_bold": None,
    "sub-1_task-a_desc-confounds_timeseries": None,
    "sub-1_task-a_space-X_atlas-S_stat-mean_desc-simple_relmat": None,
    "sub-1_task-a_old_desc-epi_mask": None,
    "sub-1_task-a_mask": None,
    "sub-1_space-X_desc-epiUnion_mask": None,
    "sub-1_task-a_space-X_desc-epiMajority_mask": None,
    "sub-1_task-a_space-X_desc-gmTemplateIntersection_mask": None,
    "sub-1_task-a_space-X_desc-epiSignal_mask": None,
    "sub-1_task-a_space-X_desc-signal_mask": None,
    "sub-1_space-X_desc-epiShare_probseg": None,
    "notes": None,
}


@pytest.mark.parametrize("name", NAMES)
def test_a_product_is_known_by_its_name(name):
    assert kind_of(Entities.parse(name)) == NAMES[name]


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return write_outputs(tmp_path / "out", ("2", "10", "1"))


def the_only(output: Path):
    [found] = scan_outputs(output, ["1"])
    return found


def file_of(output: Path, ending: str) -> Path:
    [path] = output.glob(f"sub-1/func/*{ending}")
    return path


def test_all_that_the_participant_level_writes_is_found(tmp_path):
    write_dataset(tmp_path / "in", with_events=True)
    arguments = ("--voxels", "--atlas", write_atlas(tmp_path))
    assert run_app(tmp_path / "in", tmp_path / "out", *arguments) == 0
    [found] = scan_outputs(tmp_path / "out")
    assert found.unfinished == ()
    assert found.findings == ()
    kinds = sorted(product.kind for product in found.products)
    of_mask = ["mask", "mask quality"]
    assert kinds == ["atlas", "column map", "coverage", *of_mask, "signals", "signals", "volumes"]
    files = {path for one in found.products for path in (*one.data, one.sidecar)}
    written = {path for path in (tmp_path / "out").glob("sub-*/**/*") if path.is_file()}
    assert files == written
    for product in found.products:
        assert product.sizes == tuple(path.stat().st_size for path in product.data)
        assert product.metadata == json.loads(product.sidecar.read_text())
        assert product.datatype == "func"


def test_the_outputs_made_for_tests_are_those_of_the_app(tmp_path):
    """Names of files, keys of sidecars and columns of tables are the app's own."""
    write_dataset(tmp_path / "in")
    options = ("--atlas", write_atlas(tmp_path))
    assert run_app(tmp_path / "in", tmp_path / "app", *options) == 0
    write_outputs(tmp_path / "made", ("01",))
    app, made = (next(iter(scan_outputs(tmp_path / one))) for one in ("app", "made"))
    # The numbers of a mask are not made for tests that do not look at them.
    of_app = [one for one in app.products if one.kind != "mask quality"]
    assert [p.sidecar.name for p in made.products] == [p.sidecar.name for p in of_app]
    for ours, theirs in zip(made.products, of_app, strict=True):
        assert set(ours.metadata) <= set(theirs.metadata)
        for key in ("Cleaning", "DegreesOfFreedom"):
            assert set(ours.metadata.get(key, ())) == set(theirs.metadata.get(key, ()))
        if ours.data[-1].suffix == ".tsv":
            header, *_ = ours.data[-1].read_text().split("\n")
            assert header.split("\t") == theirs.data[-1].read_text().split("\n")[0].split("\t")[:6]


def test_participants_come_in_natural_order(output):
    assert [one.participant for one in scan_outputs(output)] == ["1", "2", "10"]


def test_only_participants_that_are_wanted_are_looked_at(output):
    assert [one.participant for one in scan_outputs(output, ["10"])] == ["10"]


def test_sessions_are_looked_into(tmp_path):
    output = write_outputs(tmp_path / "out", ())
    for session in ("10", "2"):
        write_run_outputs(output, f"sub-1_ses-{session}_task-rest")
    sessions = [product.entities["ses"] for product in the_only(output).products]
    assert sessions == sorted(sessions, key=int)
    assert set(sessions) == {"2", "10"}


def test_files_that_nobody_knows_are_left_alone(output):
    before = the_only(output).products
    for name in ("sub-1_task-rest_desc-mine_relmat.tsv", ".hidden", "sub-1.html", "mask.nii.gz"):
        (output / "sub-1/func" / name).write_text("x")
    (output / "sub-1/figures").mkdir()
    found = the_only(output)
    assert [one.path for one in found.products] == [one.path for one in before]
    assert (found.unfinished, found.findings) == ((), ())


def lose(output, ending):
    file_of(output, ending).unlink()


def empty(output, ending):
    file_of(output, ending).write_bytes(b"")


def say(output, ending, content):
    file_of(output, ending).write_bytes(content)


def pipe(output, ending):
    path = file_of(output, ending)
    path.unlink()
    os.mkfifo(path)


def loop(output, ending):
    path = file_of(output, ending)
    path.unlink()
    path.symlink_to(path)


def cut(output, ending):
    path = file_of(output, ending)
    change_sidecar(path.with_suffix(".json"), Bytes=[path.stat().st_size])
    path.write_bytes(path.read_bytes()[:-7])


MASK, MASK_JSON = "_mask.nii.gz", "_mask.json"
HUGE = b'{"Fingerprint": "' + b"a" * LARGEST_SIDECAR + b'"}'
NESTED = b'{"Fingerprint": "1", "a": ' + b"[" * 500 + b"]" * 500 + b"}"
SPOILT = {
    "data without sidecar": (lose, (MASK_JSON,), "mask.nii.gz has no JSON file beside it"),
    "sidecar without data": (lose, (MASK,), "mask.json has no data beside it, but .nii.gz"),
    "a table missing": (lose, ("dseg.tsv",), "dseg.json has .nii.gz beside it, but .nii.gz and"),
    "empty data": (empty, (MASK,), "mask.nii.gz is empty"),
    "cut data": (cut, ("_timeseries.tsv",), "bytes) was cut or changed since it was written"),
    "empty sidecar": (empty, (MASK_JSON,), "mask.json is not readable as JSON"),
    "a cut sidecar": (say, (MASK_JSON, b'{"Finger'), "mask.json is not readable as JSON"),
    "a list": (say, (MASK_JSON, b"[]"), "mask.json is no sidecar of bidsmask"),
    "no Fingerprint": (say, (MASK_JSON, b"{}"), "mask.json is no sidecar of bidsmask"),
    "a number": (say, (MASK_JSON, b'{"Fingerprint": 3}'), "mask.json is no sidecar of bidsmask"),
    "no text": (say, (MASK_JSON, b"\xff\xfe\x00"), "mask.json is not readable as JSON"),
    "nested too deep": (say, (MASK_JSON, b"[" * 100_000), "mask.json is not readable as JSON"),
    "nested": (say, (MASK_JSON, NESTED), "mask.json is not readable as JSON (nested deeper"),
    "a huge sidecar": (say, (MASK_JSON, HUGE), f"but a sidecar at most {LARGEST_SIDECAR}"),
    "a pipe for a sidecar": (pipe, (MASK_JSON,), "mask.json is not a file"),
    "a pipe for data": (pipe, (MASK,), "mask.nii.gz is not a file"),
    "a link to itself": (loop, (MASK,), "mask.nii.gz cannot be read"),
}


@pytest.mark.parametrize("case", SPOILT)
def test_what_cannot_be_used_is_said_and_the_rest_is_found(output, case):
    spoil, arguments, said = SPOILT[case]
    before = the_only(output).products
    spoil(output, *arguments)
    found = the_only(output)
    [unfinished] = found.unfinished
    assert said in str(unfinished.finding)
    assert "Run the participant level again." in str(unfinished.finding)
    assert unfinished.finding.severity == "error"
    assert unfinished.finding.code == "unfinished"
    assert unfinished.finding.participant == "1"
    lost = [one.path for one in before if one.kind == unfinished.kind]
    assert [one.path for one in found.products] == [
        one.path for one in before if one.path not in lost
    ]


def test_signals_in_two_formats_are_not_told_apart(output):
    table = file_of(output, "_timeseries.tsv")
    table.with_name(f"{table.name}.gz").write_bytes(b"x")
    [unfinished] = the_only(output).unfinished
    assert "has .tsv and .tsv.gz beside it, but .tsv or .tsv.gz is needed" in str(
        unfinished.finding
    )


def test_files_in_the_making_are_a_warning(output):
    (output / "sub-1/func/.bidsmask-0123456789abcdef.part").write_text("half")
    found = the_only(output)
    assert found.unfinished == ()
    [warning] = found.findings
    assert (warning.severity, warning.code) == ("warning", "in-the-making")
    assert "sub-1 holds 1 files in the making" in str(warning)


@pytest.mark.parametrize("name", ["sub-3_task-rest", "sub-1_ses-1_task-rest"])
def test_a_file_of_somebody_else_is_left_out(output, name):
    for path in list((output / "sub-1/func").glob("*_mask.*")):
        path.rename(path.with_name(path.name.replace("sub-1_task-rest", name)))
    found = the_only(output)
    assert "mask" not in [one.kind for one in found.products]
    [warning] = found.findings
    assert warning.code == "misplaced"


def test_a_folder_that_is_a_link_in_a_circle_ends(output):
    (output / "sub-1/ses-1").symlink_to(output / "sub-1")
    found = the_only(output)
    assert {warning.code for warning in found.findings} == {"misplaced"}


def test_a_folder_that_cannot_be_read_is_an_error(output, monkeypatch):
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("func"):
            raise PermissionError(errno.EACCES, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    found = the_only(output)
    assert found.products == ()
    [finding] = found.findings
    assert finding.severity == "error"
    assert str(finding) == "func cannot be read (Permission denied). Check its permissions."


def test_the_same_product_is_the_same(output):
    before = [one.identity for one in the_only(output).products]
    assert [one.identity for one in the_only(output).products] == before
    change_sidecar(file_of(output, MASK_JSON), Fingerprint="1" * 32)
    table = file_of(output, "_timeseries.tsv")
    table.write_bytes(table.read_bytes()[:-7])
    after = [one.identity for one in the_only(output).products]
    differ = [one for one, other in zip(after, before, strict=True) if one != other]
    assert sorted(name.split("_")[-1] for name, *_ in differ) == ["mask.nii.gz", "timeseries.tsv"]


def test_one_participant_is_held_at_a_time(tmp_path):
    output = write_outputs(tmp_path / "out", ("1",), cleaning="a")
    padding = {"Padding": ["x" * 1000] * 100}
    change_sidecar(file_of(output, MASK_JSON), **padding)
    for number in range(2, 60):
        (output / f"sub-{number}/func").mkdir(parents=True)
        for ending in (MASK, MASK_JSON):
            source = file_of(output, ending)
            name = source.name.replace("sub-1_", f"sub-{number}_")
            (output / f"sub-{number}/func" / name).write_bytes(source.read_bytes())
    tracemalloc.start()
    try:
        assert sum(len(one.products) for one in scan_outputs(output)) > 60
        assert tracemalloc.get_traced_memory()[1] < 1_500_000  # 59 sidecars are 6 MB
    finally:
        tracemalloc.stop()
