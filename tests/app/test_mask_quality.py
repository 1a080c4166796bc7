"""The mask doctor's numbers of masks that are no run's own: combined, of a group, of a folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bidsmask.masks.flags import THRESHOLDS
from tests.make_app import image_of, needs_validator, run_app, table_of, validator_issues
from tests.make_group import run_group
from tests.make_heads import head_grid, head_image, true_brain
from tests.make_images import write_image
from tests.make_runs import SPACE, SmallRun, write_dataset

UNION = f"sub-01_space-{SPACE}_desc-derivativeUnion"


def show_heads(runs: list[SmallRun], masks: list[np.ndarray]) -> list[SmallRun]:
    """Let runs show the simulated head, each with a mask of its own."""
    series = np.repeat(head_image("EPI")[..., None], 4, axis=3).astype(np.int16)
    for run, mask in zip(runs, masks, strict=True):
        write_image(run.bold, series, affine=head_grid().affine, t_r=2.0)
        write_image(run.mask, mask.astype(np.uint8), affine=head_grid().affine)
    return runs


def left(voxels: np.ndarray) -> np.ndarray:
    """Return the left half of a mask."""
    kept = voxels.copy()
    kept[25:] = False
    return kept


def quality(output: Path, name: str) -> dict[str, Any]:
    [path] = output.rglob(f"{name}_qc.json")
    told: dict[str, Any] = json.loads(path.read_text())
    return told


def bad_codes(told: dict[str, Any]) -> set[str]:
    return {flag["Code"] for flag in told["Flags"] if flag["IsBad"]}


def combine(root: Path, output: Path, method: str, *options: object) -> int:
    words = ("--mask-only", "--mask-strategy", "derivative", "--combine-masks", method)
    return run_app(root, output, *words, *options)


# Of several runs


def test_a_combined_mask_is_measured_against_what_its_runs_look_like(tmp_path):
    runs = write_dataset(tmp_path / "in", tasks=("a", "b"))
    show_heads(runs, [left(true_brain()), true_brain() & ~left(true_brain())])
    output = tmp_path / "out"
    assert combine(tmp_path / "in", output, "union") == 0
    told = quality(output, UNION)
    assert told["Flags"] == []
    assert told["VolumeMillilitres"] == pytest.approx(true_brain().sum() * 0.064)
    assert told["SurfaceOnEdges"] > 0.95
    picture, inside = head_image("EPI").astype(np.int16), true_brain()
    assert told["MeanInside"] == pytest.approx(picture[inside].mean(), rel=1e-6)
    shares = [half.sum() / inside.sum() for half in (left(inside), inside & ~left(inside))]
    dices = [one["Dice"] for one in told["Agreement"].values()]
    assert dices == pytest.approx([2 * share / (1 + share) for share in shares])
    assert told["Thresholds"] == THRESHOLDS
    [path] = output.rglob(f"{UNION}_mask.json")
    assert json.loads(path.read_text())["Flags"] == []


def test_what_is_wrong_with_a_combined_mask_is_told_in_both_files_and_as_a_warning(tmp_path):
    runs = write_dataset(tmp_path / "in", tasks=("a", "b"))
    show_heads(runs, [true_brain(), left(true_brain())])
    output = tmp_path / "out"
    assert combine(tmp_path / "in", output, "intersection") == 0
    name = UNION.replace("Union", "Intersection")
    assert {"half-a-brain", "cut"} <= bad_codes(quality(output, name))
    [path] = output.rglob(f"{name}_mask.json")
    sentences = json.loads(path.read_text())["Flags"]
    assert sentences == [flag["Problem"] for flag in quality(output, name)["Flags"]]
    [findings] = output.glob("logs/*/findings.tsv")
    rows = table_of(findings)
    rows = rows[rows["code"] == "mask-half-a-brain"]
    assert any(f"{name}_mask" in where for where in rows["where"])


def test_numbers_of_a_combined_mask_are_made_again_when_gone_or_held_against_other_bounds(tmp_path):
    runs = write_dataset(tmp_path / "in", tasks=("a", "b"))
    show_heads(runs, [true_brain()] * 2)
    output = tmp_path / "out"
    combine(tmp_path / "in", output, "union")
    [path] = output.rglob(f"{UNION}_qc.json")
    before, at = path.read_bytes(), path.stat().st_mtime_ns
    assert combine(tmp_path / "in", output, "union") == 0
    assert path.stat().st_mtime_ns == at
    path.unlink()
    assert combine(tmp_path / "in", output, "union") == 0
    assert path.read_bytes() == before
    assert combine(tmp_path / "in", output, "union", "--brain-volume", 100, 900) == 0
    assert bad_codes(quality(output, UNION)) == {"volume"}


def test_a_share_of_masks_is_not_measured(tmp_path):
    show_heads(write_dataset(tmp_path / "in", tasks=("a", "b")), [true_brain()] * 2)
    assert combine(tmp_path / "in", tmp_path / "out", "probability") == 0
    assert not list((tmp_path / "out").rglob("*Share_qc.json"))


# Of a group


@pytest.fixture(scope="module")
def joined(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an output of three participants, one of whom has half a brain, with group masks."""
    root = tmp_path_factory.mktemp("group")
    runs = write_dataset(root / "in", ("01", "02", "03"))
    show_heads(runs, [true_brain(), true_brain(), left(true_brain())])
    options = ("--mask-only", "--mask-strategy", "derivative")
    assert run_app(root / "in", root / "out", *options) == 0
    assert run_group(root / "out") == 0
    return root / "out"


def test_a_group_mask_has_the_numbers_of_its_shape_and_says_what_it_lacks(joined):
    told = quality(joined, "task-rest_space-*_desc-majority")
    assert told["Flags"] == []
    assert told["VolumeMillilitres"] == pytest.approx(true_brain().sum() * 0.064)
    assert (told["Components"], told["Contrast"], told["FlatSurface"]) == (1, None, None)
    assert "needs an image" in told["NotMeasured"]


def test_what_is_wrong_with_a_group_mask_is_told(joined):
    name = f"task-rest_space-{SPACE}_desc-intersection"
    assert bad_codes(quality(joined, name)) == {"half-a-brain"}
    sidecar = json.loads((joined / f"{name}_mask.json").read_text())
    assert "no counterpart on the other side" in sidecar["Flags"][0]
    tables = [path.read_text() for path in joined.glob("logs/*/findings.tsv")]
    assert any("mask-half-a-brain" in text and "(intersection)" in text for text in tables)


def test_the_table_of_quality_shows_what_masks_are_judged_by(joined):
    table = table_of(joined / "desc-group_qc.tsv").set_index("participant_id")
    assert table.loc["sub-01", "mask_flags"] == "none"
    assert "half-a-brain" in table.loc["sub-03", "mask_flags"].split("; ")
    theirs = quality(joined / "sub-03", "*")
    for column, key in (
        ("mask_contrast", "Contrast"),
        ("mask_asymmetry", "Asymmetry"),
        ("mask_surface_on_edges", "SurfaceOnEdges"),
        ("mask_components", "Components"),
    ):
        assert table.loc["sub-03", column] == theirs[key]
    described = json.loads((joined / "desc-group_qc.json").read_text())
    assert "in words" in described["mask_flags"]["Description"]


def test_a_run_without_numbers_has_no_flags_in_the_table(joined, tmp_path):
    shutil.copytree(joined, tmp_path / "out")
    next((tmp_path / "out/sub-02").rglob("*_qc.json")).unlink()
    assert run_group(tmp_path / "out") == 0
    table = table_of(tmp_path / "out/desc-group_qc.tsv").set_index("participant_id")
    assert table["mask_flags"].isna().tolist() == [False, True, False]


def test_the_bounds_of_a_group_mask_can_be_set(joined, tmp_path):
    shutil.copytree(joined, tmp_path / "out")
    assert run_group(tmp_path / "out", "--brain-volume", 100, 900) == 0
    told = quality(tmp_path / "out", f"task-rest_space-{SPACE}_desc-majority")
    assert bad_codes(told) == {"volume"}
    assert run_group(tmp_path / "out", "--brain-volume", 900, 100) == 64


@needs_validator
def test_the_validator_passes_the_numbers_of_combined_and_group_masks(tmp_path):
    show_heads(write_dataset(tmp_path / "in", tasks=("a", "b")), [true_brain()] * 2)
    assert combine(tmp_path / "in", tmp_path / "out", "union") == 0
    assert run_group(tmp_path / "out") == 0
    issues = validator_issues(tmp_path / "out")
    assert {issue["code"] for issue in issues} <= {"TOO_FEW_AUTHORS"}  # of no mask's making


# Of a folder


def test_images_of_no_dataset_have_all_numbers_under_their_names(tmp_path):
    (tmp_path / "in").mkdir()
    write_image(
        tmp_path / "in/a.nii", head_image("EPI").astype(np.int16), affine=head_grid().affine
    )
    options = ("--mask-only", "--mask-strategy", "automask")
    assert run_app(tmp_path / "in", tmp_path / "out", *options) == 0
    told = json.loads((tmp_path / "out/a_qc.json").read_text())
    inside = image_of(tmp_path / "out/a_mask.nii.gz") != 0
    assert told["VolumeMillilitres"] == pytest.approx(inside.sum() * 0.064)
    assert told["SurfaceOnEdges"] > 0.5
    mask = json.loads((tmp_path / "out/a_mask.json").read_text())
    assert mask["Flags"] == [flag["Problem"] for flag in told["Flags"]]
