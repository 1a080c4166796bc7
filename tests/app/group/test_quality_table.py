"""The table of quality: every number of the sidecars, and who stands out."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from tests.make_app import table_of
from tests.make_group import (
    GROUP,
    change_sidecar,
    file_of,
    run_group,
    sidecar_of,
    write_outputs,
    write_run_outputs,
    write_table,
)

QC = "desc-group_qc"


def equal_outputs(root: Path, n: int = 12) -> Path:
    """Write outputs of participants who differ in nothing."""
    labels = [f"{number:02d}" for number in range(1, n + 1)]
    write_outputs(root, labels)
    for label in labels[1:]:
        for path in root.glob("sub-01/func/*"):
            shutil.copy(
                path, root / f"sub-{label}/func" / path.name.replace("sub-01", f"sub-{label}")
            )
    return root


def test_of_runs_that_are_alike_none_stands_out(tmp_path):
    root = equal_outputs(tmp_path / "out")
    assert run_group(root) == 0
    table = table_of(root / f"{QC}.tsv")
    assert len(table) == 12
    assert not table["outlier"].any()
    assert table["reasons"].isna().all()


def test_the_planted_outlier_is_named_with_the_reason_and_nobody_else(tmp_path):
    root = equal_outputs(tmp_path / "out", 20)
    rng = np.random.default_rng(0)
    for path in sorted(root.glob("sub-*/func/*_mask.json")):
        volume = 620.5 if "sub-07" in path.name else round(float(rng.uniform(1400, 1560)), 1)
        change_sidecar(path, VolumeMillilitres=volume)
    for path in sorted(root.glob("sub-*/func/*_timeseries.json")):
        displacement = 1.21 if "sub-11" in path.name else round(float(rng.uniform(0.1, 0.2)), 4)
        change_sidecar(path, MeanFramewiseDisplacement=displacement)
    assert run_group(root) == 0
    table = table_of(root / f"{QC}.tsv").set_index("participant_id")
    assert list(table.index[table["outlier"]]) == ["sub-07", "sub-11"]
    reasons = table["reasons"]
    median = f"{table['mask_volume_ml'].median():,.0f}"
    assert reasons["sub-07"] == f"mask volume 620.5 ml, median {median}"
    assert reasons["sub-11"].startswith("mean framewise displacement 1.21 mm, median 0.1")
    assert reasons.drop(["sub-07", "sub-11"]).isna().all()


def test_runs_are_held_against_those_of_their_task(tmp_path):
    root = equal_outputs(tmp_path / "out", 6)
    for label in range(1, 7):
        write_run_outputs(
            root, f"sub-{label:02d}_task-nback", n_volumes=200, voxels=np.ones((8, 9, 7))
        )
    for path in root.glob("sub-*/func/*task-nback*_timeseries.json"):
        change_sidecar(path, MeanFramewiseDisplacement=0.25)
    for path in root.glob("sub-*/func/*task-nback*_coverage_bold.tsv"):
        write_table(path, table_of(path).assign(coverage=1.0))
    assert run_group(root) == 0
    table = table_of(root / f"{QC}.tsv")
    assert sorted(table["task"].unique()) == ["nback", "rest"]
    assert not table["outlier"].any()


def test_of_fewer_than_five_runs_none_is_judged(tmp_path):
    root = write_outputs(tmp_path / "out", ["01", "02", "03", "04"])
    assert run_group(root) == 0
    table = table_of(root / f"{QC}.tsv")
    assert table["outlier"].isna().all()


def test_numbers_that_no_sidecar_of_today_holds_get_a_column_and_a_description(tmp_path):
    root = write_outputs(tmp_path / "out")
    mask = {"Dice": {"derivative": 0.91}, "FacesAtEdge": 3, "Flags": ["small"], "IsGood": True}
    change_sidecar(file_of(root, "01", "_mask.json"), **mask)
    change_sidecar(file_of(root, "02", "_timeseries.json"), GlobalSignalVariance=0.4)
    assert run_group(root) == 0
    table = table_of(root / f"{QC}.tsv").set_index("participant_id")
    assert table.loc["sub-01", ["mask_dice_derivative", "mask_faces_at_edge"]].tolist() == [0.91, 3]
    assert table.loc["sub-02", "global_signal_variance_blocks_simple"] == 0.4
    assert table["mask_dice_derivative"].isna().tolist() == [False, True, True]
    assert "mask_is_good" not in table
    sidecar = sidecar_of(root, QC)
    assert sidecar["mask_dice_derivative"] == {"Description": "Mask dice derivative."}


def test_choices_are_no_measure(tmp_path):
    root = write_outputs(tmp_path / "out")
    for path in root.glob("sub-*/func/*_timeseries.json"):
        change_sidecar(path, SmoothingFWHM=6.0)
    for path in root.glob("sub-*/func/*_mask.json"):
        change_sidecar(path, StrategyArguments={"lower": 0.2}, Bytes=None)
    assert run_group(root) == 0
    columns = table_of(root / f"{QC}.tsv").columns
    assert not [name for name in columns if "lower" in name or "fwhm" in name or "bytes" in name]


def test_without_a_majority_mask_there_is_no_dice(tmp_path):
    root = write_outputs(tmp_path / "out", space="")
    assert run_group(root) == 0
    assert "dice_with_majority" not in table_of(root / f"{QC}.tsv").columns


def test_a_mask_that_cannot_be_read_has_no_dice(tmp_path):
    root = write_outputs(tmp_path / "out", ["01", "02", "03", "04"])
    path = file_of(root, "02", "_mask.nii.gz")
    path.write_bytes(path.read_bytes()[:-20])
    assert run_group(root) == 1
    table = table_of(root / f"{QC}.tsv").set_index("participant_id")
    assert table["dice_with_majority"].isna().tolist() == [False, True, False, False]


def test_a_majority_mask_that_was_damaged_since_spoils_no_dice(tmp_path):
    root = write_outputs(tmp_path / "out")
    assert run_group(root) == 0
    before = (root / f"{QC}.tsv").read_bytes()
    path = root / f"{GROUP}_desc-majority_mask.nii.gz"
    path.write_bytes(bytes(path.stat().st_size))
    (root / f"{QC}.json").unlink()
    assert run_group(root) == 0
    assert (root / f"{QC}.tsv").read_bytes() == before
