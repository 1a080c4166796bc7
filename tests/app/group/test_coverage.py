"""Coverage of the regions side by side, and which are less than half covered."""

from __future__ import annotations

import numpy as np
import pytest

from tests.make_app import table_of
from tests.make_group import (
    GROUP,
    REGIONS,
    change_sidecar,
    file_of,
    run_group,
    sidecar_of,
    write_outputs,
    write_table,
)

COVERAGE = f"{GROUP}_atlas-blocks_stat-coverage_desc-group_bold"
QC = "desc-group_qc"


def test_regions_less_than_half_covered_are_listed_with_the_number_of_runs(tmp_path, capsys):
    root = write_outputs(tmp_path / "out", ["01", "02", "03", "04"])
    shares = {"01": [1, 0.2, 0.5, 0.9], "02": [1, 0.3, 0.499999, 1], "03": [1, 0.9, 1, 1]}
    shares["04"] = [1, np.nan, 1, 0]
    for label, values in shares.items():
        path = file_of(root, label, "_stat-coverage_bold.tsv")
        write_table(path, table_of(path).assign(coverage=values))
    assert run_group(root) == 0
    assert sidecar_of(root, COVERAGE)["RegionsUnderHalf"] == {
        "block2": {"Runs": 2, "Least": 0.2},
        "block3": {"Runs": 1, "Least": 0.499999},
        "block4": {"Runs": 1, "Least": 0.0},
    }
    assert "has 3 of 4 regions less than half covered in some run" in capsys.readouterr().err
    table = table_of(root / f"{COVERAGE}.tsv")
    assert list(table.columns) == ["participant_id", "run_label", *REGIONS]
    np.testing.assert_array_equal(table[list(REGIONS)], np.array(list(shares.values())))


def test_coverage_of_different_masks_is_not_joined(tmp_path, capsys):
    root = write_outputs(tmp_path / "out")
    for label, strategy in (("01", "epi"), ("02", "derivative"), ("03", "derivative")):
        sources = [f"bids::sub-{label}/func/sub-{label}_task-rest_desc-{strategy}_mask.nii.gz"]
        change_sidecar(file_of(root, label, "_stat-coverage_bold.json"), Sources=sources)
    assert run_group(root) == 1
    assert "the mask is derivative for 2 runs, but epi for sub-01" in capsys.readouterr().err
    assert not (root / f"{COVERAGE}.tsv").exists()


def test_regions_whose_coverage_is_unknown_are_not_counted(tmp_path):
    root = write_outputs(tmp_path / "out")
    for label, values in (("01", [np.nan] * 4), ("02", [0.2, np.nan, 1, 1])):
        path = file_of(root, label, "_stat-coverage_bold.tsv")
        write_table(path, table_of(path).assign(coverage=values))
    assert run_group(root) == 0
    table = table_of(root / f"{QC}.tsv").set_index("participant_id")
    assert table["regions_under_half_blocks"].isna().tolist() == [True, False, False]
    assert table.loc["sub-02", "regions_under_half_blocks"] == 1
    assert table.loc["sub-02", "coverage_mean_blocks"] == round(2.2 / 3, 6)


def test_a_region_may_be_named_as_another_column(tmp_path):
    root = write_outputs(tmp_path / "out", regions=("run_label", "participant_id", "x"))
    assert run_group(root) == 0
    table = table_of(root / f"{COVERAGE}.tsv")
    assert list(table.columns[2:]) == ["run_label_", "participant_id_", "x"]


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("coverage", "cover", "has no column of numbers `coverage`"),
        ("index", "label", "does not have 'index' for each region"),
        ("block2", "n/a", "does not have 'name' for each region"),
        ("2\tblock2", "x\tblock2", "has an index that is no number"),
        ("\t50\t0.", "\t50\t7.", "has a coverage that is no share from 0 to 1"),
        ("\t50\t0.", "\t50\tx.", "has no column of numbers `coverage`"),
    ],
)
def test_a_table_of_coverage_that_cannot_be_is_left_out(tmp_path, capsys, old, new, sentence):
    root = write_outputs(tmp_path / "out")
    path = file_of(root, "02", "_stat-coverage_bold.tsv")
    path.write_text(path.read_text().replace(old, new, 1))
    assert run_group(root) == 1
    assert sentence in capsys.readouterr().err
    assert table_of(root / f"{COVERAGE}.tsv")["participant_id"].tolist() == ["sub-01", "sub-03"]
    row = table_of(root / f"{QC}.tsv").set_index("participant_id").loc["sub-02"]
    assert np.isnan(row["coverage_mean_blocks"])
    assert row["volumes_simple"] == 20
