"""The table of what each cleaning leaves of motion, from outputs of many runs."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import pearsonr

from tests.make_app import table_of
from tests.make_group import (
    GROUP,
    REGIONS,
    change_sidecar,
    file_of,
    run_group,
    sidecar_of,
    write_outputs,
    write_run_outputs,
    write_table,
)
from tests.make_images import AFFINE
from tests.make_runs import SHAPE, contents

PEOPLE = ["01", "02", "03", "04", "05", "06"]
MOTION = f"{GROUP}_desc-motion_qc"
SIGNALS = "_stat-mean_desc-simple_timeseries"


def expected(root, people=PEOPLE) -> tuple[list, np.ndarray]:
    """Return scipy's correlation of each edge with displacement, and the edges' lengths."""
    one, other = np.triu_indices(4, k=1)
    edges, moved = [], []
    for label in people:
        signals = table_of(file_of(root, label, f"{SIGNALS}.tsv"))
        edges.append(np.corrcoef(signals.to_numpy(), rowvar=False)[one, other])
        moved.append(MOVED[PEOPLE.index(label)])
    # The regions of `write_outputs` are slabs along the first axis.
    i = np.indices(SHAPE)[0]
    labels = i * 4 // SHAPE[0]
    centres = np.array([i[labels == label].mean() for label in range(4)]) * AFFINE[0, 0]
    return [pearsonr(edge, moved) for edge in np.transpose(edges)], np.abs(
        centres[one] - centres[other]
    )


MOVED = [0.11, 0.52, 0.08, 0.33, 0.27, 0.19]


@pytest.fixture
def root(tmp_path):
    root = write_outputs(tmp_path / "out", PEOPLE)
    for label, moved in zip(PEOPLE, MOVED, strict=True):
        change_sidecar(file_of(root, label, f"{SIGNALS}.json"), MeanFramewiseDisplacement=moved)
    return root


def test_qc_fc_is_told_for_each_cleaning_and_measure(root):
    for label in PEOPLE:
        write_run_outputs(root, f"sub-{label}_task-rest", cleaning="36P")
    for label, moved in zip(PEOPLE, MOVED, strict=True):
        change_sidecar(file_of(root, label, f"{SIGNALS}.json"), MeanFramewiseDisplacement=moved)
    assert run_group(root, "--connectivity", "pearson", "partial") == 0
    table = table_of(root / f"{MOTION}.tsv")
    assert list(zip(table["cleaning"], table["measure"], strict=True)) == [
        ("36P", "pearson"),
        ("36P", "partial"),
        ("simple", "pearson"),
        ("simple", "partial"),
    ]
    row = table.iloc[2]
    theirs, lengths = expected(root)
    r = np.array([one.statistic for one in theirs])
    assert (row["atlas"], row["statistic"], row["runs"], row["edges"]) == ("blocks", "mean", 6, 6)
    assert row["qc_fc_median"] == pytest.approx(np.median(np.abs(r)), abs=1e-6)
    assert row["qc_fc_significant"] == pytest.approx(
        np.mean([one.pvalue < 0.05 for one in theirs]), abs=1e-6
    )
    assert row["qc_fc_with_length"] == pytest.approx(pearsonr(r, lengths).statistic, abs=1e-6)
    assert (row["degrees_of_freedom_remaining"], row["degrees_of_freedom_lost"]) == (15, 5)
    sidecar = sidecar_of(root, MOTION)
    assert set(table.columns) <= set(sidecar)
    assert sidecar["Runs"] == 6
    assert sidecar["LeftOut"] == {}


def test_it_is_made_when_asked_for_and_again_when_something_changed(root, capsys):
    assert run_group(root) == 0
    assert not (root / f"{MOTION}.tsv").exists()
    assert run_group(root, "--connectivity", "pearson") == 0
    before = (root / f"{MOTION}.tsv").read_bytes()
    capsys.readouterr()
    assert run_group(root, "--connectivity", "pearson") == 0
    assert "There was nothing to do." in capsys.readouterr().err
    assert run_group(root) == 0
    assert "orphaned" not in capsys.readouterr().err
    change_sidecar(file_of(root, "03", f"{SIGNALS}.json"), MeanFramewiseDisplacement=0.9)
    assert run_group(root, "--connectivity", "pearson") == 0
    assert (root / f"{MOTION}.tsv").read_bytes() != before


def test_a_run_that_cannot_be_read_or_has_other_regions_is_not_counted(root):
    path = file_of(root, "02", f"{SIGNALS}.tsv")
    path.write_text(path.read_text().replace("\n", "\nx\t", 1))
    other = file_of(root, "05", f"{SIGNALS}.tsv")
    signals = table_of(other).rename(columns={"block2": "insula"})
    other.write_text(signals.to_csv(sep="\t", index=False))
    assert run_group(root, "--connectivity", "pearson") == 1
    row = table_of(root / f"{MOTION}.tsv").iloc[0]
    theirs, _ = expected(root, ["01", "03", "04", "06"])
    assert row["runs"] == 4
    median = np.median(np.abs([one.statistic for one in theirs]))
    assert row["qc_fc_median"] == pytest.approx(median, abs=1e-6)
    used = [one for one in sidecar_of(root, MOTION)["Sources"] if "timeseries" in one]
    assert len(used) == 4


def test_without_an_image_of_the_atlas_there_is_no_length(root):
    for label in PEOPLE:
        for path in root.glob(f"sub-{label}/func/*_atlas-blocks_dseg.*"):
            path.unlink()
    run_group(root, "--connectivity", "pearson")
    row = table_of(root / f"{MOTION}.tsv").iloc[0]
    assert np.isnan(row["qc_fc_with_length"])
    assert np.isfinite(row["qc_fc_median"])


def test_fewer_than_five_runs_are_not_correlated_which_is_said(tmp_path, capsys):
    root = write_outputs(tmp_path / "out", PEOPLE[:4])
    assert run_group(root, "--connectivity", "pearson") == 0
    assert not (root / f"{MOTION}.tsv").exists()
    said = " ".join(capsys.readouterr().err.split())
    assert "too few runs to tell what is left of motion in signals atlas-" in said
    assert "4 with a mean framewise displacement, and 5 are needed" in said
    assert run_group(root) == 0
    assert "motion" not in capsys.readouterr().err


def test_a_table_of_more_runs_is_named_where_too_few_are_left(root, capsys):
    assert run_group(root, "--connectivity", "pearson") == 0
    assert "no-qc-fc" not in capsys.readouterr().err
    for label in PEOPLE[:2]:
        change_sidecar(file_of(root, label, f"{SIGNALS}.json"), MeanFramewiseDisplacement=None)
    assert run_group(root, "--connectivity", "pearson") == 0
    said = " ".join(capsys.readouterr().err.split())
    assert f"{MOTION}.json tells of a group product to which no run belongs any more" in said


def test_matrices_and_means_over_trials_are_nothing_that_the_group_reads(root):
    """So none of them can be joined when it is outdated."""
    assert run_group(root, "--connectivity", "pearson") == 0
    before = contents(root)
    for label in PEOPLE:
        signals = file_of(root, label, f"{SIGNALS}.tsv")
        for ending in ("relmat", "trialseries", "trials"):
            signals.with_name(signals.name.replace("timeseries", ending)).write_text("x\n")
    assert run_group(root, "--connectivity", "pearson") == 0
    assert {name: one for name, one in contents(root).items() if name in before} == before


def test_runs_without_a_displacement_are_not_counted(root):
    change_sidecar(file_of(root, "04", f"{SIGNALS}.json"), MeanFramewiseDisplacement=None)
    assert run_group(root, "--connectivity", "pearson") == 0
    assert table_of(root / f"{MOTION}.tsv").iloc[0]["runs"] == 5


def test_a_measure_that_some_run_has_not_is_of_the_others(root):
    short = pd.DataFrame(np.random.default_rng(0).normal(size=(4, 4)), columns=list(REGIONS))
    path = file_of(root, "01", f"{SIGNALS}.tsv")
    keep = path.with_suffix(".json").read_text()
    write_table(path, short.round(4))
    path.with_suffix(".json").write_text(keep)
    change_sidecar(path.with_suffix(".json"), DegreesOfFreedom={"volumes": 20, "remaining": 3.0})
    for volumes in root.glob("sub-01/func/*_volumes.*"):
        volumes.unlink()
    run_group(root, "--connectivity", "pearson", "partial-sample")
    assert list(table_of(root / f"{MOTION}.tsv")["runs"]) == [6, 5]
