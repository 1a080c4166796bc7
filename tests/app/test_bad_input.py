"""Bad input ends in a sentence that names file and value, the right exit code, and no debris."""

from __future__ import annotations

import gzip
import json
import os
import resource
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from bidsmask.errors import BidsmaskError
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


def claims(*shape: int, version: int = 1) -> Spoil:
    """Return what writes a header that claims a shape over four bytes of voxels."""
    dim = np.ones(8, int)
    dim[0], dim[1 : 1 + len(shape)] = len(shape), shape
    content = nifti_content(random_stored((2, 1, 1)), version=version, fields={"dim": dim})
    return lambda run: run.bold.write_bytes(gzip.compress(content))


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
    "truncated": Case(rewritten(lambda b: b[: len(b) // 2]), ("bold", "cut off"), code="damaged-file"),
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
    "a claim of 2^40 voxels": Case(claims(8192, 8192, 16384), ("bold", "16384", "cannot hold")),
    "a claim of 2^62 voxels": Case(
        claims(2**20, 2**20, 2**20, 4, version=2), ("bold", "cannot hold")
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
        lambda run: run.metadata(RepetitionTime=0), ("bold", "RepetitionTime of 0"), code="bad-timing"
    ),
    "a repetition time in words": Case(
        lambda run: run.metadata(RepetitionTime="2 s"), ("bold", "RepetitionTime of '2 s'")
    ),
    "a repetition time that is no number": Case(
        lambda run: run.metadata(RepetitionTime=float("nan")), ("bold", "RepetitionTime of nan")
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
        lambda run: run.bold.rename(run.bold.with_name(run.bold.name.replace("_desc", "_foo-1_desc"))),
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
        lambda run: run.mask.write_bytes(flip(run.mask.read_bytes(), 0.9)), ("brain_mask", "damaged")
    ),
    "no mask where one is asked for": Case(
        lose("mask"),
        ("bold", "no brain mask"),
        ("--mask-strategy", "derivative"),
        code="missing-companion",
    ),
    "nothing to find a mask in": Case(
        lambda run: run.replace(np.zeros((*SHAPE, 40), np.int16)), ("bold",), ("--mask-strategy", "epi")
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
        confounds(lambda table: table.astype({"csf": object}).replace({"csf": {table.csf[7]: "x"}})),
        ("confounds", "'x'", "csf", "row 8"),
    ),
    "a word in a column that is shown": Case(
        confounds(lambda table: table.assign(std_dvars="high")), ("confounds", "'high'", "std_dvars")
    ),
    "infinity in a used column": Case(
        confounds(lambda table: table.loc.__setitem__((7, "csf"), np.inf)), ("confounds", "csf", "inf")
    ),
    "empty confounds": Case(lambda run: run.confounds.write_text(""), ("confounds", "empty")),
    "ragged confounds": Case(
        lambda run: run.confounds.write_text(run.confounds.read_text() + "1\t2\n"), ("confounds", "42")
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
        ("bold", "20 volumes", "more than"),
        (*PLAIN, "--high-pass", "0.05", "--padding", "odd"),
        run={"n_volumes": 20},
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
    assert "timeseries" not in look_finished(tmp_path / "out")
    assert not leftovers(tmp_path / "out")
    assert not list((tmp_path / "out").glob("logs/run-*/crash*"))
    assert contents(runs[0].root) == before
