"""Bad input ends in a sentence that names file and value, the right exit code, and no debris."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from bidsmask import errors
from bidsmask.cli import main
from bidsmask.errors import BidsmaskError, DataError, UnequalChoices, WritingFailed
from tests.make_app import run_app
from tests.make_images import nifti_content, random_stored, write_image
from tests.make_runs import (
    SHAPE,
    SmallRun,
    brain,
    contents,
    leftovers,
    write_atlas,
    write_dataset,
    write_run,
)
from tests.make_trees import DERIVATIVE, RAW

OURS = {**DERIVATIVE, "GeneratedBy": [{"Name": "bidsmask"}]}

Spoil = Callable[[SmallRun], object]


# How to spoil a run


def rewritten(change: Callable[[bytes], bytes]) -> Spoil:
    """Return what changes the bytes of the series."""
    return lambda run: run.bold.write_bytes(change(run.bold.read_bytes()))


def flip(content: bytes, position: float) -> bytes:
    """Flip a bit at a share of the content's length."""
    at = int(position * len(content))
    return content[:at] + bytes([content[at] ^ 0x10]) + content[at + 1 :]


def confounds(change: Callable[..., object]) -> Spoil:
    """Return what changes the table of confounds in place, or gives another one."""

    def spoil(run: SmallRun) -> None:
        table = run.table()
        changed = change(table)
        run.write_table(table if changed is None else changed)

    return spoil


def lose(*names: str) -> Spoil:
    """Return what removes files of the run."""
    return lambda run: [getattr(run, name).unlink() for name in names]


def linked_to(target: str) -> Spoil:
    """Return what puts a dangling link in the place of the series."""

    def spoil(run: SmallRun) -> None:
        run.bold.unlink()
        run.bold.symlink_to(target)

    return spoil


def claim(*shape: int, version: int = 1) -> bytes:
    """Return a file whose header claims a shape over four bytes of voxels."""
    dim = np.ones(8, int)
    dim[0], dim[1 : 1 + len(shape)] = len(shape), shape
    content = nifti_content(random_stored((2, 1, 1)), version=version, fields={"dim": dim})
    return gzip.compress(content)


def other_mask(values: np.ndarray, **options: object) -> Spoil:
    """Return what writes another mask."""
    return lambda run: write_image(run.mask, values, **options)


def all_moving(table) -> None:
    table["framewise_displacement"] = 9.0


@dataclass(frozen=True)
class Case:
    """One way to spoil a run: what its message must say and the exit code of it alone."""

    spoil: Spoil
    words: tuple[str, ...]
    options: tuple[str, ...] = ()
    exit_code: int = 65
    code: str = ""
    run: dict[str, object] = field(default_factory=dict)


PLAIN = ("--confounds", "none")
LITTLE = ("--confounds", "none", "--confounds-columns", "csf")
NARROW = ("--high-pass", "0.01", "--low-pass", "0.02")

CASES = {
    # The series
    "truncated": Case(
        rewritten(lambda b: b[: len(b) // 2]), ("bold", "cut off"), code="damaged-file"
    ),
    "truncated in its last 8 bytes": Case(rewritten(lambda b: b[:-5]), ("bold", "cut off")),
    "truncated by all of its last 8 bytes": Case(rewritten(lambda b: b[:-8]), ("bold", "cut off")),
    "truncated within the header": Case(rewritten(lambda b: b[:60]), ("bold", "cut off")),
    "a flipped bit": Case(rewritten(lambda b: flip(b, 0.5)), ("bold", "damaged")),
    "a flipped bit in the checksum": Case(
        rewritten(lambda b: b[:-8] + flip(b[-8:-4], 0) + b[-4:]), ("bold", "damaged")
    ),
    "bytes after the end": Case(rewritten(lambda b: b + b"more"), ("bold", "damaged")),
    "zero length": Case(rewritten(lambda b: b""), ("bold", "is empty (0 bytes)")),
    "not a NIfTI": Case(
        rewritten(lambda b: gzip.compress(b"PK\x03\x04" * 400)), ("bold", "not a NIfTI")
    ),
    "not gzipped": Case(rewritten(gzip.decompress), ("bold", "not a gzip file")),
    "a git-annex pointer": Case(
        rewritten(lambda b: b"/annex/objects/MD5E-s7--0.nii.gz\n"), ("bold", "git-annex", "datalad")
    ),
    "a link to the annex": Case(
        linked_to("../.git/annex/objects/a/b/MD5E-s7--0.nii.gz"), ("bold", "git-annex", "datalad")
    ),
    "a dangling link": Case(linked_to("nowhere.nii.gz"), ("bold", "nowhere.nii.gz")),
    "a claim of 2^40 voxels": Case(
        rewritten(lambda _: claim(8192, 8192, 16384)), ("bold", "16384", "cannot hold")
    ),
    "a claim of 2^62 voxels": Case(
        rewritten(lambda _: claim(2**20, 2**20, 2**20, 4, version=2)), ("bold", "cannot hold")
    ),
    "3D": Case(
        lambda run: run.replace(random_stored(SHAPE)),
        ("bold", "3D", "--mask-only"),
        code="unusable-image",
    ),
    "one volume": Case(
        lambda run: run.replace(random_stored((*SHAPE, 1))),
        ("bold", "single volume", "--mask-only"),
        code="too-few-volumes",
    ),
    "complex": Case(
        lambda run: run.replace(random_stored((*SHAPE, 3), "float32").astype("complex64")),
        ("bold", "complex"),
    ),
    # Its sidecar
    "no repetition time": Case(
        lambda run: (
            run.metadata(RepetitionTime=None),
            run.replace(random_stored((*SHAPE, 40)), t_r=0.0),
        ),
        ("bold", "no repetition time", "--t-r"),
        code="bad-timing",
    ),
    "a repetition time of zero": Case(
        lambda run: run.metadata(RepetitionTime=0),
        ("bold", "RepetitionTime of 0"),
        code="bad-timing",
    ),
    "a repetition time in words": Case(
        lambda run: run.metadata(RepetitionTime="2 s"), ("bold", "RepetitionTime of '2 s'")
    ),
    "a repetition time that is no number": Case(
        lambda run: run.metadata(RepetitionTime=float("nan")), ("bold", "RepetitionTime of nan")
    ),
    "a repetition time in milliseconds": Case(
        lambda run: run.metadata(RepetitionTime=2000), ("bold", "RepetitionTime of 2000", "seconds")
    ),
    "a repetition time of many digits": Case(
        lambda run: run.metadata(RepetitionTime=10**400), ("bold", "RepetitionTime of 1000")
    ),
    "a sidecar that is deep": Case(
        lambda run: run.bold_sidecar.write_text("[" * 100_000),
        ("bold.json", "not readable as JSON"),
    ),
    "a repetition time unlike the header's": Case(
        lambda run: run.metadata(RepetitionTime=3.0), ("bold", "3 s in its sidecar", "2 s")
    ),
    "a repetition time unlike --t-r": Case(
        lambda run: None, ("bold", "2 s in its sidecar", "--t-r says 3 s"), ("--t-r", "3")
    ),
    "uneven volumes": Case(
        lambda run: run.metadata(RepetitionTime=None, VolumeTiming=[0, 1, 3]),
        ("bold", "VolumeTiming"),
    ),
    "a sidecar that is no JSON": Case(
        lambda run: run.bold_sidecar.write_text("{"),
        ("bold.json", "not readable as JSON"),
        code="unusable-table",
    ),
    "a sidecar that is a list": Case(
        lambda run: run.bold_sidecar.write_text("[]"), ("bold.json", "not a JSON object")
    ),
    "an unknown entity in its name": Case(
        lambda run: run.bold.rename(
            run.bold.with_name(run.bold.name.replace("_desc", "_foo-1_desc"))
        ),
        ("foo-1", "BIDS does not know"),
    ),
    "a cut-off above Nyquist": Case(
        lambda run: None, ("bold", "2 s", "0.25 Hz", "0.3 Hz"), ("--low-pass", "0.3")
    ),
    # The mask
    "a mask of another shape": Case(
        other_mask(np.ones((5, 5, 5), np.uint8)),
        ("brain_mask", "(5, 5, 5)", "(8, 9, 7)"),
        code="grid-mismatch",
    ),
    "a mask with another affine": Case(
        other_mask(brain().astype(np.uint8), affine=np.diag([3.0, 3, 4, 1])),
        ("brain_mask", "affine"),
    ),
    "an empty mask": Case(
        other_mask(np.zeros(SHAPE, np.uint8)), ("brain_mask", "empty"), code="unusable-mask"
    ),
    "a mask of many values": Case(
        other_mask(random_stored(SHAPE, "uint8")), ("brain_mask", "not a mask")
    ),
    "a mask of many volumes": Case(
        other_mask(np.ones((*SHAPE, 2), np.uint8)), ("brain_mask", "2 volumes")
    ),
    "a damaged mask": Case(
        lambda run: run.mask.write_bytes(flip(run.mask.read_bytes(), 0.9)),
        ("brain_mask", "damaged"),
    ),
    "no mask where one is asked for": Case(
        lose("mask"),
        ("bold", "no brain mask"),
        ("--mask-strategy", "derivative"),
        code="missing-companion",
    ),
    "nothing to find a mask in": Case(
        lambda run: run.replace(np.zeros((*SHAPE, 40), np.int16)),
        ("bold",),
        ("--mask-strategy", "epi"),
    ),
    # The confounds
    "confounds of another length": Case(
        confounds(lambda table: table[:-2]),
        ("confounds", "38 rows", "40 volumes"),
        code="unusable-table",
    ),
    "confounds of another length that nobody uses": Case(
        confounds(lambda table: table[:-2]), ("confounds", "38 rows", "40 volumes"), PLAIN
    ),
    "no confounds": Case(
        lose("confounds"), ("bold", "no confounds table", "simple"), code="missing-companion"
    ),
    "confounds without a column": Case(
        confounds(lambda table: table.drop(columns="rot_z_power2")),
        ("confounds", "rot_z_power2"),
        code="missing-column",
    ),
    "confounds without a column that was named": Case(
        lambda run: None, ("confounds", "cfs", "csf"), (*PLAIN, "--confounds-columns", "cfs")
    ),
    "confounds without the column that censors": Case(
        confounds(lambda table: table.drop(columns="framewise_displacement")),
        ("confounds", "framewise_displacement"),
        ("--fd-threshold", "0.5"),
    ),
    "n/a within a used column": Case(
        confounds(lambda table: table.loc.__setitem__((7, "csf"), np.nan)),
        ("confounds", "n/a", "csf", "row 8"),
    ),
    "a word in a used column": Case(
        confounds(
            lambda table: table.astype({"csf": object}).replace({"csf": {table.csf[7]: "x"}})
        ),
        ("confounds", "'x'", "csf", "row 8"),
    ),
    "a word in a column that is shown": Case(
        confounds(lambda table: table.assign(std_dvars="high")),
        ("confounds", "'high'", "std_dvars"),
    ),
    "infinity in a used column": Case(
        confounds(lambda table: table.loc.__setitem__((7, "csf"), np.inf)),
        ("confounds", "csf", "inf"),
    ),
    "empty confounds": Case(lambda run: run.confounds.write_text(""), ("confounds", "empty")),
    "ragged confounds": Case(
        lambda run: run.confounds.write_text(run.confounds.read_text() + "1\t2\n"),
        ("confounds", "42"),
    ),
    "binary confounds": Case(
        lambda run: run.confounds.write_bytes(b"\xff\xfe\x00"), ("confounds", "UTF-8")
    ),
    "a foreign table for confounds": Case(
        lambda run: run.confounds.write_text("a\tb\n" + "1\t2\n" * 40), ("confounds", "no fMRIPrep")
    ),
    "a broken sidecar of the confounds": Case(
        lambda run: run.confounds_sidecar.write_text("{"),
        ("confounds", "JSON"),
        ("--confounds", "acompcor"),
    ),
    # What is left
    "all volumes censored": Case(
        confounds(all_moving),
        ("confounds", "0 of 40 volumes"),
        ("--fd-threshold", "0.5"),
        code="too-few-volumes",
    ),
    "fewer volumes than wanted": Case(
        lambda run: None, ("40 of 40", "fewer than 50"), ("--min-volumes", "50")
    ),
    "less time than wanted": Case(
        lambda run: None, ("80 s", "less than 300 s"), ("--min-seconds", "300")
    ),
    "too few volumes for the filter": Case(
        lambda run: None,
        ("bold", "16 volumes", "needs more than"),
        (*PLAIN, "--high-pass", "0.05", "--padding", "odd"),
        run={"n_volumes": 16},
    ),
    "no degrees of freedom left": Case(
        lambda run: None, ("bold", "degrees of freedom"), NARROW, code="no-degrees-of-freedom"
    ),
}


def made(tmp_path: Path, case: Case, participants: tuple[str, ...]) -> list[SmallRun]:
    runs = write_dataset(tmp_path / "in", participants, **case.run)
    case.spoil(runs[0])
    return runs


def look_finished(output: Path) -> list[str]:
    """Return the kinds of products whose sidecar is there."""
    return [path.stem.rpartition("_")[2] for path in output.glob("sub-*/func/*.json")]


@pytest.mark.parametrize("name", CASES)
def test_a_spoilt_run_alone(tmp_path, capsys, name):
    case = CASES[name]
    runs = made(tmp_path, case, ("01",))
    before = contents(runs[0].root)
    assert run_app(tmp_path / "in", tmp_path / "out", *case.options) == case.exit_code
    said = capsys.readouterr().err
    for word in case.words:
        assert word in said
    assert case.code in said
    assert "sub-01" in said
    assert "Traceback" not in said
    assert all(line.endswith((".", "?")) for line in said.splitlines() if line.startswith("    "))
    assert ".. " not in said
    assert "timeseries" not in look_finished(tmp_path / "out")
    assert not leftovers(tmp_path / "out")
    assert not list((tmp_path / "out").glob("logs/run-*/crash*"))
    assert contents(runs[0].root) == before


def test_spoilt_runs_beside_a_sound_one_cost_it_nothing(tmp_path, capsys):
    cases = [case for case in CASES.values() if not (case.options or case.run)]
    labels = [f"{number:02}" for number in range(1, len(cases) + 1)]
    runs = write_dataset(tmp_path / "in", labels)
    for case, run in zip(cases, runs, strict=True):
        case.spoil(run)
    write_run(tmp_path / "in", "99")
    assert run_app(tmp_path / "in", tmp_path / "out", "--n-procs", "2") == 1
    said = capsys.readouterr().err
    assert f"1 done, 0 up to date, {len(cases)} failed." in said
    assert "damaged-file" in said
    found = sorted((tmp_path / "out").glob("sub-*/func/*timeseries.json"))
    assert [path.name[:6] for path in found] == ["sub-99"]
    assert not leftovers(tmp_path / "out")
    assert run_app(tmp_path / "in", tmp_path / "alone", "--participant-label", "99") == 0
    assert contents(tmp_path / "out" / "sub-99") == contents(tmp_path / "alone" / "sub-99")
    rows = next((tmp_path / "out").glob("logs/*/ledger.jsonl")).read_text().splitlines()
    assert [json.loads(row)["status"] for row in rows].count("failed") == len(cases)


def test_a_header_that_claims_a_tebivoxel_allocates_nothing(tmp_path):
    [run] = write_dataset(tmp_path / "in")
    assert run_app(tmp_path / "in", tmp_path / "out") == 0
    tracemalloc.start()
    for path in (run.bold, run.mask):
        sound = path.read_bytes()
        for shape in ((8192, 8192, 16384), (4096, 4096, 4096, 16)):
            path.write_bytes(claim(*shape))
            assert run_app(tmp_path / "in", tmp_path / "out") == 65
        path.write_bytes(sound)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10e6


def test_odd_values_that_nobody_needs_are_left_out(tmp_path):
    [run] = write_dataset(tmp_path / "in")
    odd = {"License": float("nan"), "Authors": [1, "A"], "DatasetDOI": [], "Name": "\ud800"}
    (run.root / "dataset_description.json").write_text(json.dumps({**DERIVATIVE, **odd}))
    run.metadata(SpatialReference=float("nan"), StartTime="soon", Resolution=[1])
    assert run_app(tmp_path / "in", tmp_path / "out") == 0
    said = json.loads((tmp_path / "out" / "dataset_description.json").read_text())
    assert said["Name"] == "Brain masks and cleaned signals of ?"
    assert said["Authors"] == ["A"]
    assert "License" not in said
    [signals] = (tmp_path / "out").glob("sub-01/func/*timeseries.json")
    assert json.loads(signals.read_text())["StartTime"] == 0
    assert json.loads(signals.read_text())["SpatialReference"] == run.space


# The dataset and the command line


def without_description(root: Path) -> None:
    (root / "dataset_description.json").unlink()


def with_broken_description(root: Path) -> None:
    (root / "dataset_description.json").write_text("{")


def without_participants(root: Path) -> None:
    (root / "sub-01").rename(root / "other")


def anatomical_only(root: Path) -> None:
    (root / "sub-01" / "func").rename(root / "sub-01" / "anat")


def nothing(root: Path) -> None:
    """Leave the dataset as it is."""


@dataclass(frozen=True)
class Refusal:
    """What stops the whole program: `{…}` in the options are paths of the test."""

    exit_code: int
    words: tuple[str, ...]
    options: tuple[str, ...] = ()
    spoil: Callable[[Path], object] = nothing
    bids_dir: str = "{in}"
    output_dir: str = "{out}"
    level: str = "participant"


MNI = "space-MNI152NLin2009cAsym"

REFUSALS = {
    # 16
    "no description": Refusal(
        16, ("dataset_description.json", "missing"), spoil=without_description
    ),
    "a broken description": Refusal(
        16, ("dataset_description.json", "JSON"), spoil=with_broken_description
    ),
    "derivatives that are none": Refusal(16, ("empty", "-d"), ("-d", "{empty}")),
    # 17
    "an unknown level": Refusal(17, ("'subject'", "participant"), level="subject"),
    # 18
    "no participant": Refusal(18, ("no participant", "sub-"), spoil=without_participants),
    "no functional run": Refusal(18, ("no run of --datatype func",), spoil=anatomical_only),
    "an unknown participant": Refusal(
        18, ("participant 011", "Near to it: 01"), ("--participant-label", "01", "sub-011")
    ),
    "an unknown task": Refusal(18, ("task-rset", "rest"), ("--task-label", "rset")),
    "an unknown session": Refusal(18, ("ses-pre", "none"), ("--session-label", "pre")),
    "an unknown run": Refusal(18, ("run-7", "none"), ("--run-label", "7")),
    "an unknown space": Refusal(
        18, ("MNI152NLin6Asym", "MNI152NLin2009cAsym"), ("--space", "MNI152NLin6Asym")
    ),
    "filters that select nothing": Refusal(
        18, ("no run of --datatype func",), ("--bids-filter-file", "{filters}")
    ),
    # 64
    "an option of the participant level at the group level": Refusal(
        64, ("--mask-only", "group level"), ("--mask-only",), level="group"
    ),
    "an unknown option": Refusal(64, ("--atlass",), ("--atlass", "x")),
    "a word for a number": Refusal(64, ("--high-pass", "low"), ("--high-pass", "low")),
    "an unknown choice": Refusal(64, ("--confounds", "25P", "24P"), ("--confounds", "25P")),
    "bounds the wrong way round": Refusal(
        64, ("--high-pass 0.1", "--low-pass 0.01"), ("--high-pass", "0.1", "--low-pass", "0.01")
    ),
    "a negative width": Refusal(64, ("--smoothing-fwhm", "-4"), ("--smoothing-fwhm", "-4")),
    "a repetition time in milliseconds": Refusal(64, ("--t-r 2000", "seconds"), ("--t-r", "2000")),
    "a width that is no number": Refusal(64, ("--smoothing-fwhm",), ("--smoothing-fwhm", "nan")),
    "a pattern that is not UTF-8": Refusal(
        64,
        ("--confounds-columns", r"m\xfcde", "UTF-8 text"),
        ("--confounds-columns", "{latin_word}"),
    ),
    "loud and quiet": Refusal(64, ("--quiet", "--verbose"), ("-q", "-v")),
    "a mask strategy without its file": Refusal(
        64, ("--mask-strategy file", "--mask-file"), ("--mask-strategy", "file")
    ),
    "a mask file beside another strategy": Refusal(
        64, ("--mask-file", "epi"), ("--mask-file", "{mask}", "--mask-strategy", "epi")
    ),
    "an argument that the strategy has not": Refusal(
        64, ("openings", "opening"), ("--mask-strategy", "epi", "--mask-args", "openings=2")
    ),
    "an argument of the wrong kind": Refusal(
        64, ("opening", "wide"), ("--mask-strategy", "epi", "--mask-args", "opening=wide")
    ),
    "signals beside masks alone": Refusal(
        64, ("--smoothing-fwhm", "--mask-only"), ("--mask-only", "--smoothing-fwhm", "6")
    ),
    "nothing to write": Refusal(64, ("--no-voxels", "--atlas"), ("--no-voxels",)),
    "a filter without cut-off": Refusal(64, ("--filter", "cut-off"), ("--filter", "butterworth")),
    "a cut-off without filter": Refusal(
        64, ("--filter none",), ("--filter", "none", "--low-pass", "0.1")
    ),
    "components that nobody takes": Refusal(64, ("--n-compcor", "acompcor"), ("--n-compcor", "5")),
    "no number of components": Refusal(
        64, ("--n-compcor -1",), ("--confounds", "acompcor", "--n-compcor=-1")
    ),
    "a fraction for components": Refusal(
        64, ("--n-compcor 1/2",), ("--confounds", "acompcor", "--n-compcor", "1/2")
    ),
    "no number of dummy scans": Refusal(64, ("--dummy-scans few",), ("--dummy-scans", "few")),
    "segments without censoring": Refusal(64, ("--min-segment",), ("--min-segment", "5")),
    "an atlas twice": Refusal(64, ("atlas-blocks",), ("--atlas", "{atlas}", "{copy}")),
    "an unknown field in the config": Refusal(
        64, ("config.toml", "hig_pass", "high_pass"), ("--config", "{config}")
    ),
    "a config that is no TOML": Refusal(64, ("filters.json", "TOML"), ("--config", "{filters}")),
    "filters that are no JSON": Refusal(
        64, ("config.toml", "JSON"), ("--bids-filter-file", "{config}")
    ),
    "output of ours for input": Refusal(64, ("out", "output"), ("-d", "{out}")),
    # 66
    "no dataset": Refusal(66, ("nowhere", "does not exist"), bids_dir="{nowhere}"),
    "a file for a dataset": Refusal(66, ("filters.json", "not a folder"), bids_dir="{filters}"),
    "no derivatives": Refusal(66, ("nowhere", "does not exist"), ("-d", "{nowhere}")),
    "no mask file": Refusal(66, ("nowhere",), ("--mask-file", "{nowhere}")),
    "a mask file that is no image": Refusal(66, ("filters.json",), ("--mask-file", "{filters}")),
    "no atlas": Refusal(66, ("nowhere",), ("--atlas", "{nowhere}")),
    "an atlas of a long name": Refusal(66, ("is not there",), ("--atlas", 300 * "a" + ".nii")),
    "no table of the atlas": Refusal(66, ("nowhere",), ("--atlas", "{atlas}={nowhere}")),
    "an atlas that is no image": Refusal(66, ("filters.json",), ("--atlas", "{filters}")),
    "a table that doubles an index": Refusal(
        66, ("doubled.tsv", "index 2 twice", "line 3"), ("--atlas", "{atlas}={doubled}")
    ),
    "no config": Refusal(66, ("nowhere",), ("--config", "{nowhere}")),
    **{
        f"{what} whose path is not UTF-8": Refusal(66, (r"m\xfcde", "UTF-8 text"), **given)
        for what, given in {
            "a dataset": {"bids_dir": "{latin}/in"},
            "derivatives": {"options": ("-d", "{latin}/in")},
            "an atlas": {"options": ("--atlas", "{latin}/blocks.nii.gz")},
        }.items()
    },
    "no filter file": Refusal(66, ("nowhere",), ("--bids-filter-file", "{nowhere}")),
    # 73
    "output that is the input": Refusal(73, ("in", "input dataset"), output_dir="{in}"),
    "output inside the input": Refusal(73, ("deep", "inside"), output_dir="{in}/sub-01/deep"),
    "output that is a file": Refusal(73, ("filters.json", "not a folder"), output_dir="{filters}"),
    "output below a file": Refusal(73, ("not a folder",), output_dir="{filters}/out"),
    "output of another program": Refusal(73, ("fMRIPrep",), output_dir="{other}"),
    "output with raw data": Refusal(73, ("raw dataset",), output_dir="{raw}"),
    "output whose path is not UTF-8": Refusal(73, (r"m\xfcde",), output_dir="{latin}/out"),
    "output where nobody can write": Refusal(73, ("cannot be",), output_dir="{closed}/out"),
}


@pytest.fixture
def places(tmp_path):
    """Write a dataset and what options may name."""
    [run] = write_dataset(tmp_path / "in")
    atlas = write_atlas(tmp_path / "atlas")
    found = {name: tmp_path / name for name in ("in", "out", "nowhere", "empty", "other", "raw")}
    for name in ("empty", "other", "raw"):
        found[name].mkdir()
    for name, kind in (("other", DERIVATIVE), ("raw", RAW), ("out", OURS)):
        found[name].mkdir(exist_ok=True)
        (found[name] / "dataset_description.json").write_text(json.dumps(kind))
    texts = {
        "config.toml": "hig_pass = 0.1",
        "filters.json": '{"bold": {"acquisition": "x"}}',
        "doubled.tsv": "index\tname\n2\ta\n2\tb\n",
    }
    for name, text in texts.items():
        found[name.partition(".")[0]] = tmp_path / name
        (tmp_path / name).write_text(text)
    found |= {"mask": run.mask, "atlas": atlas, "closed": closed_folder(tmp_path)}
    found["latin_word"] = os.fsdecode(b"m\xfcde")
    found["latin"] = tmp_path / found["latin_word"]
    shutil.copytree(tmp_path / "in", found["latin"] / "in")
    write_atlas(found["latin"], name="blocks")
    found["copy"] = write_atlas(tmp_path / "copy")
    return found


def closed_folder(tmp_path: Path) -> Path:
    """Return a folder in which nobody can make another, not even root."""
    if os.geteuid() == 0:
        return Path("/proc/self")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o555)
    return closed


@pytest.mark.parametrize("name", REFUSALS)
def test_what_stops_everything(tmp_path, capsys, places, name):
    case = REFUSALS[name]
    case.spoil(places["in"])
    before = contents(tmp_path)
    arguments = [case.bids_dir, case.output_dir, case.level, *case.options]
    assert main([one.format(**places) for one in arguments]) == case.exit_code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("bidsmask: error: ")
    assert err.count("\n") == 1
    assert err.endswith((".\n", "?\n"))
    assert ".. " not in err
    for word in case.words:
        assert word in err
    assert contents(tmp_path) == before


def test_an_atlas_of_another_space_fails_the_run(tmp_path, capsys):
    write_dataset(tmp_path / "in")
    atlas = write_atlas(tmp_path, name="tpl-MNI152NLin6Asym_atlas-blocks_dseg")
    assert run_app(tmp_path / "in", tmp_path / "out", "--atlas", atlas) == 65
    said = capsys.readouterr().err
    for word in ("grid-mismatch", "MNI152NLin6Asym", "MNI152NLin2009cAsym", "--space"):
        assert word in said
    assert look_finished(tmp_path / "out") == []


def test_a_damaged_atlas_leaves_no_signals(tmp_path, capsys):
    write_dataset(tmp_path / "in")
    atlas = write_image(tmp_path / "blocks.nii.gz", random_stored((40, 40, 40), "uint8"))
    atlas.write_bytes(flip(atlas.read_bytes(), 0.9))
    assert run_app(tmp_path / "in", tmp_path / "out", "--atlas", atlas) == 65
    assert "blocks.nii.gz is damaged" in capsys.readouterr().err
    assert sorted(look_finished(tmp_path / "out")) == ["mask", "qc", "volumes"]


# The tree of errors


def kinds_of(error: type[BidsmaskError]) -> list[type[BidsmaskError]]:
    """Return the errors below one in the tree."""
    below = error.__subclasses__()
    return [*below, *(kind for one in below for kind in kinds_of(one))]


def leaves() -> list[type[BidsmaskError]]:
    """Return the errors that are raised: all but the branch that gathers those of the data."""
    return [kind for kind in kinds_of(BidsmaskError) if kind is not DataError]


@pytest.mark.parametrize("leaf", leaves())
def test_every_error_is_provoked_here(leaf):
    """But for full disks, which tests/faults provokes, and runs unlike each other: test_cohort."""
    by_data = {case.code for case in CASES.values()}
    by_command = {case.exit_code for case in REFUSALS.values()}
    name = "".join(f"-{c.lower()}" if c.isupper() else c for c in leaf.__name__).lstrip("-")
    is_of_data = issubclass(leaf, DataError)
    assert leaf in (WritingFailed, UnequalChoices) or (
        name in by_data if is_of_data else leaf.exit_code in by_command
    )


@pytest.mark.parametrize("leaf", leaves())
def test_every_error_stands_in_the_tree_that_is_drawn(leaf):
    [line] = [line for line in (errors.__doc__ or "").splitlines() if f" {leaf.__name__} " in line]
    assert issubclass(leaf, DataError) or f" {leaf.exit_code} " in line


def test_the_help_lists_every_exit_code(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out.partition("exit codes:")[2]
    codes = {int(line.split()[0]) for line in shown.splitlines() if line[2:3].isdigit()}
    assert codes == {0, 1, 70, 75, 130, 143} | {leaf.exit_code for leaf in leaves()}
