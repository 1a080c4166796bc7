"""The mask doctor from the command line: its JSON file, the flags in the sidecar, the warnings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.make_app import Written, needs_validator, run_app, validator_issues
from tests.make_heads import head_grid, head_image, true_brain
from tests.make_images import write_image
from tests.make_runs import SPACE, SmallRun, write_dataset

QUALITY = "desc-{}_qc.json"


def half(voxels: np.ndarray) -> np.ndarray:
    """Return the left half of a mask."""
    kept = voxels.copy()
    kept[25:] = False
    return kept


@pytest.fixture
def run(tmp_path: Path) -> SmallRun:
    """A run that shows the simulated head, with its true mask."""
    [run] = write_dataset(tmp_path / "in", n_volumes=4)
    series = np.repeat(head_image("EPI")[..., None], 4, axis=3)
    write_image(run.bold, series.astype(np.int16), affine=head_grid().affine, t_r=2.0)
    give_mask(run, true_brain())
    return run


def give_mask(run: SmallRun, voxels: np.ndarray) -> None:
    write_image(run.mask, voxels.astype(np.uint8), affine=head_grid().affine)


def masks_only(run: SmallRun, output: Path, *options: object) -> int:
    return run_app(run.root, output, "--mask-only", *options)


def written(output: Path) -> Written:
    return Written(output, "sub-01_task-rest", SPACE)


def findings(output: Path) -> list[str]:
    """Return the lines of all tables of findings."""
    tables = sorted(output.glob("logs/run-*/findings.tsv"))
    return [line for table in tables for line in table.read_text().splitlines()[1:]]


def quality(output: Path, strategy: str = "derivative") -> dict[str, Any]:
    return written(output).sidecar(QUALITY.format(strategy))


def test_a_good_mask_has_numbers_and_no_flag(run, tmp_path):
    assert masks_only(run, tmp_path / "out") == 0
    assert written(tmp_path / "out").sidecar("desc-derivative_mask.json")["Flags"] == []
    numbers = quality(tmp_path / "out")
    assert numbers["Flags"] == []
    assert numbers["VolumeMillilitres"] == pytest.approx(true_brain().sum() * 0.064)
    assert numbers["VolumeBoundsMillilitres"] == [700, 2200]
    assert numbers["SurfaceOnEdges"] > 0.95
    assert numbers["SformQformMillimetres"] is None or numbers["SformQformMillimetres"] < 1e-3
    assert not [line for line in findings(tmp_path / "out") if "mask-" in line]


def test_a_bad_mask_is_told_in_sidecar_numbers_and_warnings(run, tmp_path):
    give_mask(run, half(true_brain()))
    assert masks_only(run, tmp_path / "out", "--mask-strategy", "derivative") == 0
    codes = {flag["Code"] for flag in quality(tmp_path / "out")["Flags"] if flag["IsBad"]}
    assert {"half-a-brain", "cut"} <= codes
    sentences = written(tmp_path / "out").sidecar("desc-derivative_mask.json")["Flags"]
    assert any("no counterpart on the other side" in one for one in sentences)
    assert any("mask-half-a-brain" in line for line in findings(tmp_path / "out"))


def test_a_mask_of_another_strategy_is_compared_with_that_of_the_preprocessing(run, tmp_path):
    assert masks_only(run, tmp_path / "out", "--mask-strategy", "epi") == 0
    found = quality(tmp_path / "out", "epi")["Agreement"]["derivative"]
    computed = written(tmp_path / "out").mask("epi")
    overlap = (computed & true_brain()).sum()
    assert found["Dice"] == pytest.approx(2 * overlap / (computed.sum() + true_brain().sum()))


def test_numbers_are_made_again_when_gone_and_not_otherwise(run, tmp_path):
    output = tmp_path / "out"
    masks_only(run, output)
    path = written(output).path(QUALITY.format("derivative"))
    before = {one: one.stat().st_mtime_ns for one in output.rglob("sub-*") if one.is_file()}
    assert masks_only(run, output) == 0
    assert {one: one.stat().st_mtime_ns for one in before} == before
    content = path.read_bytes()
    path.unlink()
    assert masks_only(run, output) == 0
    assert path.read_bytes() == content


def test_bounds_of_the_volume_can_be_set(run, tmp_path):
    masks_only(run, tmp_path / "out")
    assert masks_only(run, tmp_path / "out", "--brain-volume", 100, 900) == 0
    (flag,) = quality(tmp_path / "out")["Flags"]
    assert (flag["Code"], flag["Threshold"]) == ("volume", 900)
    (sentence,) = written(tmp_path / "out").sidecar("desc-derivative_mask.json")["Flags"]
    assert sentence == flag["Problem"]


@pytest.mark.parametrize("bounds", [(900,), (900, 100), (-1, 100), (1, 2, 3)])
def test_bounds_that_are_none_are_refused(run, tmp_path, bounds, capsys):
    assert masks_only(run, tmp_path / "out", "--brain-volume", *bounds) == 64
    assert "is no range" in capsys.readouterr().err


def test_a_small_mask_of_the_users_is_taken_for_a_region(run, tmp_path):
    region = np.zeros(head_grid().shape, bool)
    region[20:24, 20:24, 20:24] = True
    write_image(tmp_path / "roi.nii.gz", region.astype(np.uint8), affine=head_grid().affine)
    options = ("--mask-strategy", "file", "--mask-file", tmp_path / "roi.nii.gz")
    assert masks_only(run, tmp_path / "out", *options) == 0
    assert quality(tmp_path / "out", "file")["Flags"] == []


@needs_validator
def test_the_validator_passes_the_numbers(run, tmp_path):
    masks_only(run, tmp_path / "out")
    issues = validator_issues(tmp_path / "out")
    assert {issue["code"] for issue in issues} <= {"TOO_FEW_AUTHORS"}  # of no mask's making


def test_auto_takes_the_first_mask_that_passes_and_says_why(run, tmp_path, monkeypatch):
    monkeypatch.setenv("TEMPLATEFLOW_HOME", str(tmp_path / "nothing"))
    output = tmp_path / "out"
    masks_only(run, output)
    give_mask(run, half(true_brain()))
    assert masks_only(run, output) == 0
    told = written(output).sidecar("desc-epi_mask.json")
    assert told["Strategy"] == "epi"
    assert "derivative is refused, half-a-brain and cut" in told["StrategyReason"]
    assert any("mask-refused" in line for line in findings(output))
    path = written(output).path("desc-epi_mask.nii.gz")
    before = path.stat().st_mtime_ns
    assert masks_only(run, output) == 0
    assert path.stat().st_mtime_ns == before
    give_mask(run, true_brain())
    assert masks_only(run, output) == 0
    assert written(output).sidecar("desc-derivative_mask.json")["Flags"] == []


def test_auto_takes_the_first_mask_after_all_where_none_passes(run, tmp_path, monkeypatch):
    monkeypatch.setenv("TEMPLATEFLOW_HOME", str(tmp_path / "nothing"))
    output = tmp_path / "out"
    assert masks_only(run, output, "--brain-volume", 3000, 4000) == 0
    told = written(output).sidecar("desc-derivative_mask.json")
    assert "automask is refused, volume" in told["StrategyReason"]
    assert told["StrategyReason"].endswith("none passes")
    assert any("ml, less than a brain" in one for one in told["Flags"])
    assert not list(output.rglob("*desc-epi*"))
    before = written(output).path("desc-derivative_mask.json").stat().st_mtime_ns
    assert masks_only(run, output, "--brain-volume", 3000, 4000) == 0
    assert written(output).path("desc-derivative_mask.json").stat().st_mtime_ns == before


def test_what_is_combined_are_the_masks_that_auto_took_in_the_end(run, tmp_path, monkeypatch):
    monkeypatch.setenv("TEMPLATEFLOW_HOME", str(tmp_path / "nothing"))
    give_mask(run, half(true_brain()))
    output, union = tmp_path / "out", ("--combine-masks", "union")
    assert masks_only(run, output, *union) == 0
    [path] = output.rglob("*_desc-epiUnion_mask.nii.gz")
    before = path.stat().st_mtime_ns
    assert masks_only(run, output, *union) == 0
    assert path.stat().st_mtime_ns == before
    assert masks_only(run, output, *union, "--force") == 0
    assert path.stat().st_mtime_ns > before
    assert not list(output.rglob("*_desc-derivative*_mask.nii.gz"))
