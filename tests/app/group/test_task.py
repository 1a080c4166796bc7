"""Group products: stale when anything that decides them changes, and gone when they cannot be."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.make_group import change_sidecar, run_group, write_mask, write_outputs, write_run_outputs
from tests.make_runs import SHAPE, SPACE, brain, contents

GROUP = f"task-rest_space-{SPACE}"


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """Return an output of three participants, the first of which has masks of two strategies."""
    output = write_outputs(tmp_path / "out", "123", strategy="derivative")
    for label in "123":
        voxels = np.roll(brain(SHAPE), 2, axis=1)
        stem = f"sub-{label}_task-rest"
        write_run_outputs(output, stem, strategy="epi", voxels=voxels, with_signals=False)
    return output


def group_files(output: Path) -> dict[str, str]:
    """Return a digest of each file of the group level."""
    digests = contents(output)
    return {name: digests[name] for name in digests if name.startswith(("task-", "desc-group"))}


def func(output: Path, label: str = "1") -> Path:
    return output / f"sub-{label}/func"


# What makes it stale


def half_written(output: Path) -> None:
    folder = output / "sub-4/func"
    folder.mkdir(parents=True)
    write_mask(folder / f"sub-4_{GROUP}_desc-derivative_mask.nii.gz", brain(SHAPE))


def another_participant(output: Path) -> None:
    write_run_outputs(output, "sub-4_task-rest")


def other_number(ending: str, **changes: object) -> Callable[[Path], None]:
    def change(output: Path) -> None:
        [path] = func(output).glob(f"*{ending}.json")
        change_sidecar(path, **changes)

    return change


def other_participants(output: Path) -> None:
    text = "participant_id\tage\nsub-1\t30\nsub-2\t31\nsub-3\t32\n"
    (output / "participants.tsv").write_text(text)


def without(*endings: str) -> Callable[[Path], None]:
    def change(output: Path) -> None:
        for ending in endings:
            for path in list(func(output).glob(f"*{ending}.*")):
                path.unlink()

    return change


def longer_coverage(output: Path) -> None:
    [path] = func(output).glob("*stat-coverage_bold.tsv")
    rows = path.read_text().splitlines()
    rows[1] = rows[1].rpartition("\t")[0] + "\t0.1234567"
    path.write_text("\n".join(rows) + "\n")


def gzipped_signals(output: Path) -> None:
    [path] = func(output).glob("*_timeseries.tsv")
    path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()


NOTHING: tuple[str, ...] = ()
CHANGES: dict[str, tuple[Callable[[Path], None], tuple[str, ...]]] = {
    "another choice of mask": (lambda output: None, ("--mask-strategy", "epi")),
    "no choice of mask": (lambda output: None, NOTHING),
    "a half-written participant": (half_written, ("--mask-strategy", "derivative")),
    "one more participant": (another_participant, ("--mask-strategy", "derivative")),
    "other participants.tsv": (other_participants, ("--mask-strategy", "derivative")),
    "a number in the signals' sidecar": (
        other_number("_timeseries", MeanFramewiseDisplacement=0.7, RepetitionTime=2.5),
        ("--mask-strategy", "derivative"),
    ),
    "a number in the mask's sidecar": (
        other_number("desc-derivative_mask", VolumeMillilitres=9.5),
        ("--mask-strategy", "derivative"),
    ),
    "a word in the mask's sidecar": (
        other_number("desc-derivative_mask", SpatialReference="elsewhere"),
        ("--mask-strategy", "derivative"),
    ),
    "no volumes": (without("_volumes"), ("--mask-strategy", "derivative")),
    "no atlas": (without("blocks_dseg"), ("--mask-strategy", "derivative")),
    "no coverage": (without("coverage_bold"), ("--mask-strategy", "derivative")),
    "no mask": (without("_mask"), ("--mask-strategy", "derivative")),
    "a longer table of coverage": (longer_coverage, ("--mask-strategy", "derivative")),
    "gzipped signals": (gzipped_signals, ("--mask-strategy", "derivative")),
    "fewer participants": (
        lambda output: shutil.rmtree(output / "sub-3"),
        ("--mask-strategy", "derivative"),
    ),
    "a selection": (
        lambda output: None,
        ("--mask-strategy", "derivative", "--participant-label", "1", "2"),
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_changes_a_product_makes_it_stale(output, change):
    spoil, options = CHANGES[change]
    assert run_group(output, "--mask-strategy", "derivative") == 0
    before = group_files(output)
    spoil(output)
    run_group(output, *options)
    after = group_files(output)
    assert after != before
    run_group(output, *options, "--force")
    assert after == group_files(output)


@pytest.mark.parametrize(
    "strategies", [("derivative", "epi"), ("epi", "derivative"), ("", "epi"), ("", "derivative")]
)
def test_quality_follows_the_mask_that_is_chosen(tmp_path, strategies):
    output = write_outputs(tmp_path / "out", "12", with_signals=False)
    for label in "12":
        write_run_outputs(output, f"sub-{label}_task-rest", strategy="epi", with_signals=False)
    for one in strategies:
        run_group(output, *(["--mask-strategy", one] if one else []))
    rows = (output / "desc-group_qc.tsv").read_text().splitlines()
    column = rows[0].split("\t").index("mask_strategy")
    assert {row.split("\t")[column] for row in rows[1:]} == {strategies[-1]}


# What must not look finished any more


def at_odds(output: Path) -> None:
    for path in func(output, "2").glob("*.json"):
        change_sidecar(path, SmoothingFWHM=6.0, StrategyArguments={"opening": 1}, AtlasIdentity="x")


def of_task(output: Path, task: str) -> list[str]:
    return sorted(path.name for path in output.glob(f"task-{task}_*"))


def test_products_that_cannot_be_joined_any_more_are_withdrawn(tmp_path, capsys):
    output = write_outputs(tmp_path / "out", "123", tasks=("rest", "faces"))
    assert run_group(output) == 0
    faces = of_task(output, "faces")
    assert len(of_task(output, "rest")) == len(faces) == 12
    notes = output / f"{GROUP}_desc-mine_mask.json"
    notes.write_text('{"Fingerprint": "mine"}')
    for path in func(output, "2").glob("*task-rest*.json"):
        change_sidecar(path, SmoothingFWHM=6.0, StrategyArguments={"a": 1}, AtlasIdentity="x")
    before = contents(output)
    assert run_group(output, "--dry-run") == 1
    assert run_group(output, "--participant-label", "2", "3") == 1
    assert {name for name in before if name.startswith("task-rest")} <= contents(output).keys()
    capsys.readouterr()
    assert run_group(output) == 1
    said = capsys.readouterr().err
    assert "warning: withdrawn" in said
    assert of_task(output, "rest") == [notes.name]
    assert of_task(output, "faces") == faces
    write_outputs(output, "123")
    assert run_group(output) == 0
    assert len(of_task(output, "rest")) == 13


def test_products_that_can_no_longer_be_read_are_withdrawn(tmp_path):
    output = write_outputs(tmp_path / "out", "123", with_signals=False)
    assert run_group(output) == 0
    assert len(of_task(output, "rest")) == 8
    for path in output.glob("sub-*/func/*_mask.nii.gz"):
        path.write_bytes(b"no image")
    assert run_group(output) == 1
    assert of_task(output, "rest") == []


def test_what_is_not_ours_is_never_removed(tmp_path):
    output = write_outputs(tmp_path / "out", "123", with_signals=False)
    names = [f"{GROUP}_desc-{one}" for one in ("majority_mask", "share_probseg")]
    (output / f"{names[0]}.json").write_text('{"Description": "by hand"}')
    (output / f"{names[0]}.nii.gz").write_bytes(b"mine")
    (tmp_path / "linked.json").write_text(
        '{"Fingerprint": "", "Sources": [], "LeftOut": {}, "Runs": 1}'
    )
    (output / f"{names[1]}.json").symlink_to(tmp_path / "linked.json")
    at_odds(output)
    before = contents(output)
    assert run_group(output) == 1
    after = contents(output)
    assert all(after[name] == before[name] for name in before)


def test_products_of_which_there_are_no_runs_any_more_are_named_and_stay(tmp_path, capsys):
    output = write_outputs(tmp_path / "out", "123", tasks=("rest", "faces"))
    assert run_group(output) == 0
    faces = of_task(output, "faces")
    for path in output.glob("sub-*/func/*task-faces*"):
        path.unlink()
    before = contents(output)
    capsys.readouterr()
    assert run_group(output, "--dry-run") == 0
    assert "to which no run belongs any more" in "".join(capsys.readouterr())
    assert contents(output) == before
    assert run_group(output) == 0
    told = "".join(path.read_text() for path in output.glob("logs/*/findings.tsv"))
    # The numbers of a mask are named with it.
    sidecars = [name for name in faces if name.endswith(".json") and "_qc." not in name]
    assert len(sidecars) == 5
    assert all(f"{name}\ttells of a group product" in told for name in sidecars)
    assert of_task(output, "faces") == faces
    capsys.readouterr()
    assert run_group(output, "--task-label", "rest") == 0
    assert "to which no run belongs any more" not in "".join(capsys.readouterr())
