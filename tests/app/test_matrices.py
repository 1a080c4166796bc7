"""Matrices between regions: what a run writes, of which signals, and what it says of them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from nilearn.connectome import ConnectivityMeasure

from bidsmask.app import participant
from bidsmask.app.arguments import parse
from bidsmask.connectivity.measures import MEASURES
from bidsmask.errors import UsageError
from tests.make_app import needs_validator, run_app, table_of, validator_issues
from tests.make_demo import atlas_of, demo_dataset
from tests.make_images import AFFINE, write_image
from tests.make_runs import SHAPE, SPACE, brain, contents, write_atlas, write_dataset

STEM = f"sub-01/func/sub-01_task-rest_space-{SPACE}_atlas-blocks"
BEP017 = {
    "RelationshipMeasure",
    "MeasureDescription",
    "Weighted",
    "Directed",
    "ValidDiagonal",
    "NonNegative",
    "StorageFormat",
    "NodeFiles",
    "Code",
}


@pytest.fixture
def words(tmp_path) -> list[str]:
    """Return the command line of one run with an atlas of four blocks."""
    write_dataset(tmp_path / "in")
    return ["--atlas", str(write_atlas(tmp_path)), "--confounds", "none"]


def matrix_of(output: Path, stat: str, desc: str = "none") -> pd.DataFrame:
    return table_of(output / f"{STEM}_stat-{stat}_desc-{desc}_relmat.tsv").set_index("Node")


def sidecar_of(output: Path, stat: str, desc: str = "none") -> dict:
    return json.loads((output / f"{STEM}_stat-{stat}_desc-{desc}_relmat.json").read_text())


def signals_of(output: Path, stat: str = "mean", desc: str = "none") -> pd.DataFrame:
    return table_of(output / f"{STEM}_stat-{stat}_desc-{desc}_timeseries.tsv")


def in_the_log(output: Path) -> str:
    return "".join(path.read_text() for path in output.glob("logs/*/findings.tsv"))


def test_each_measure_of_the_written_signals_is_written_and_nilearns(tmp_path, words):
    out = tmp_path / "out"
    assert run_app(tmp_path / "in", out, *words, "--connectivity", *MEASURES) == 0
    signals = signals_of(out)
    kinds = {
        "ledoitwolfcorrelation": "correlation",
        "ledoitwolfcovariance": "covariance",
        "partialcorrelation": "partial correlation",
        "precision": "precision",
    }
    for stat, kind in kinds.items():
        [theirs] = ConnectivityMeasure(kind=kind).fit_transform([signals.to_numpy()])
        np.testing.assert_allclose(matrix_of(out, stat), theirs, atol=1e-6)
    pearson = matrix_of(out, "pearsoncorrelation")
    np.testing.assert_allclose(pearson, np.corrcoef(signals, rowvar=False), atol=1e-6)
    assert list(pearson.index) == list(pearson.columns) == list(signals.columns)
    assert len(list((out / "sub-01/func").glob("*_relmat.tsv"))) == len(MEASURES)


def test_the_sidecar_has_the_keys_of_bep017_and_says_what_was_connected(tmp_path, words):
    out = tmp_path / "out"
    assert run_app(tmp_path / "in", out, *words, "--connectivity", "pearson", "partial") == 0
    pearson = sidecar_of(out, "pearsoncorrelation")
    partial = sidecar_of(out, "partialcorrelation")
    assert set(pearson) >= BEP017
    assert pearson["RelationshipMeasure"] == "Pearson correlation"
    assert partial["RelationshipMeasure"] == "Ledoit-Wolf partial correlation"
    assert pearson["NodeFiles"] == [f"bids::{STEM}_dseg{end}" for end in (".nii.gz", ".tsv")]
    assert pearson["Sources"] == [f"bids::{STEM}_stat-mean_desc-none_timeseries.tsv"]
    assert (pearson["Shrinkage"], pearson["Flags"], pearson["UndefinedNodes"]) == (None, [], [])
    assert 0 < partial["Shrinkage"] < 1
    assert (pearson["Volumes"], pearson["Nodes"]) == (40, 4)
    signals = json.loads((out / f"{STEM}_stat-mean_desc-none_timeseries.json").read_text())
    assert pearson["DegreesOfFreedom"] == signals["DegreesOfFreedom"]
    assert pearson["ColumnMapFingerprint"] == signals["ColumnMapFingerprint"]
    dseg = json.loads((out / f"{STEM}_dseg.json").read_text())
    assert signals["ColumnMapFingerprint"] == dseg["Fingerprint"]


@needs_validator
def test_the_validator_passes_matrices_of_labels_maps_and_spheres(tmp_path, tmp_path_factory):
    demo = demo_dataset(tmp_path_factory)
    maps = write_image(tmp_path / "ramps.nii.gz", np.random.default_rng(0).random((*SHAPE, 3)))
    (tmp_path / "pair.tsv").write_text("x\ty\tz\tname\n0\t0\t0\tone\n10\t0\t0\ttwo\n")
    words = ["--atlas", atlas_of(demo), "--maps", maps, "--seeds", tmp_path / "pair.tsv"]
    words += ["--radius", 4, "--space", "MNI152NLin2009cAsym", "--participant-label", "01"]
    words += ["--connectivity", "pearson", "partial", "--confounds", "scrubbing"]
    assert run_app(demo, tmp_path / "out", *words, "--high-pass", 0.01, "--low-pass", 0.1) == 0
    assert validator_issues(tmp_path / "out") == []
    found = sorted((tmp_path / "out").glob("sub-01/**/*_relmat.tsv"))
    assert len({path.name.split("_atlas-")[1] for path in found}) == 6
    for path in found:
        matrix = table_of(path).set_index("Node")
        assert np.isfinite(matrix.to_numpy()).any()


def test_statistics_and_fishers_z_stand_in_the_name(tmp_path, words):
    out, first = tmp_path / "out", ["--connectivity", "pearson"]
    more = [*first, "--region-statistic", "mean", "standard_deviation"]
    assert run_app(tmp_path / "in", out, *words, *first) == 0
    before = contents(out)
    assert run_app(tmp_path / "in", out, *words, *more) == 0
    assert run_app(tmp_path / "in", out, *words, *first, "--fisher-z") == 0
    assert before.items() <= contents(out).items()
    other = matrix_of(out, "standarddeviationpearsoncorrelation")
    deviations = signals_of(out, "standarddeviation")
    np.testing.assert_allclose(other, np.corrcoef(deviations, rowvar=False), atol=1e-6)
    z = matrix_of(out, "pearsoncorrelationfisherz").to_numpy()
    assert np.isnan(np.diag(z)).all()
    one, two = np.triu_indices(4, k=1)
    pearson = np.corrcoef(signals_of(out), rowvar=False)
    np.testing.assert_allclose(z[one, two], np.arctanh(pearson[one, two]), atol=1e-6)


def test_format_and_censored_rows_make_no_other_matrix(tmp_path, words):
    words += ["--connectivity", "partial", "--dummy-scans", "3"]
    desc = "noneDUMMY3"
    assert run_app(tmp_path / "in", tmp_path / "out", *words, "--format", "tsv.gz") == 0
    assert run_app(tmp_path / "in", tmp_path / "all", *words, "--keep-censored") == 0
    one = matrix_of(tmp_path / "out", "partialcorrelation", desc)
    other = matrix_of(tmp_path / "all", "partialcorrelation", desc + "ALLROWS")
    pd.testing.assert_frame_equal(one, other)
    kept = sidecar_of(tmp_path / "out", "partialcorrelation", desc)["DegreesOfFreedom"]
    assert kept["censored"] == 3
    volumes = sidecar_of(tmp_path / "all", "partialcorrelation", desc + "ALLROWS")["Volumes"]
    assert volumes == 37


def test_a_lost_matrix_is_made_of_the_signals_alone(tmp_path, words, monkeypatch):
    out = tmp_path / "out"
    words += ["--connectivity", "pearson"]
    assert run_app(tmp_path / "in", out, *words, "--n-procs", 1) == 0
    before = contents(out)
    next(out.glob("sub-01/func/*_relmat.tsv")).unlink()

    def nothing_is_read(*arguments: object) -> None:
        raise AssertionError("the series is read")

    monkeypatch.setattr(participant, "extract", nothing_is_read)
    assert run_app(tmp_path / "in", out, *words, "--n-procs", 1) == 0
    assert contents(out) == before


def test_other_names_of_regions_are_those_of_the_matrix(tmp_path, words):
    words += ["--connectivity", "pearson"]
    assert run_app(tmp_path / "in", tmp_path / "out", *words) == 0
    table = tmp_path / f"space-{SPACE}_atlas-blocks_dseg.tsv"
    table.write_text(table.read_text().replace("block3", "Node"))
    assert run_app(tmp_path / "in", tmp_path / "out", *words) == 0
    written = table_of(tmp_path / "out" / f"{STEM}_stat-pearsoncorrelation_desc-none_relmat.tsv")
    assert list(written.columns) == ["Node_", "block1", "block2", "Node", "block4"]
    assert list(written["Node_"]) == ["block1", "block2", "Node", "block4"]


# What is not defined


def test_a_region_outside_the_mask_has_no_values_and_stays(tmp_path):
    write_dataset(tmp_path / "in")
    labels = np.where(brain(), 1 + (np.indices(SHAPE)[0] > 3), 0)
    labels[0, 0, 0] = 3
    atlas = write_image(tmp_path / "blocks.nii.gz", labels.astype(np.uint8), affine=AFFINE)
    words = ("--atlas", atlas, "--connectivity", "pearson", "partial-sample", "--confounds", "none")
    assert run_app(tmp_path / "in", tmp_path / "out", *words) == 0
    for stat in ("pearsoncorrelation", "samplepartialcorrelation"):
        matrix = matrix_of(tmp_path / "out", stat)
        assert matrix["label-3"].isna().all()
        assert matrix.loc["label-3"].isna().all()
        assert matrix.iloc[:2, :2].notna().to_numpy().all()
        assert sidecar_of(tmp_path / "out", stat)["UndefinedNodes"] == ["label-3"]


def test_fewer_degrees_of_freedom_than_regions_are_noted(tmp_path, capsys):
    write_dataset(tmp_path / "in")
    labels = np.zeros(SHAPE, np.uint8)
    labels[brain()] = np.arange(brain().sum()) // 2 + 1
    n_regions = int(labels.max())
    assert n_regions > 40
    atlas = write_image(tmp_path / "blocks.nii.gz", labels, affine=AFFINE)
    measures = ("pearson", "ledoit-wolf", "partial", "partial-sample")
    out, words = tmp_path / "out", ("--atlas", atlas, "--confounds", "24P", "-v")
    assert run_app(tmp_path / "in", out, *words, "--connectivity", *measures) == 0
    freedom = sidecar_of(out, "pearsoncorrelation", "24P")["DegreesOfFreedom"]["remaining"]
    counts = f"40 volumes with {freedom:g} degrees of freedom for {n_regions} regions: "
    pearson = f"{counts}each value stands for itself, but the matrix is singular."
    assert sidecar_of(out, "pearsoncorrelation", "24P")["Flags"] == [pearson]
    partial = sidecar_of(out, "partialcorrelation", "24P")
    shrinkage = partial["Shrinkage"]
    by = f"{counts}the inverse exists by the shrinkage of {shrinkage:.3f} alone."
    assert partial["Flags"] == [by]
    assert np.isfinite(matrix_of(out, "partialcorrelation", "24P").to_numpy()).all()
    assert matrix_of(out, "samplepartialcorrelation", "24P").isna().to_numpy().all()
    reason = f"{freedom:g} degrees of freedom are left, and {n_regions} are needed"
    sample = sidecar_of(out, "samplepartialcorrelation", "24P")
    assert sample["Flags"] == [f"Not defined: {reason}."]
    assert len(sample["UndefinedNodes"]) == n_regions
    log = in_the_log(out)
    assert log.count("note\tfewer-volumes-than-regions") == 3
    assert log.count("warning\tundefined-matrix") == 1
    assert reason in log


# What is refused


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--connectivity", "pearson"], "has nothing to connect: between voxels a matrix would"),
        (["--fisher-z", "--atlas", "a.nii"], "does nothing without --connectivity"),
        (
            ["--fisher-z", "--connectivity", "precision", "pearson", "--atlas", "a.nii"],
            "is of correlations, and precision is none",
        ),
        (["--connectivity", "tangent", "--atlas", "a.nii"], "invalid choice: 'tangent'"),
    ],
)
def test_what_cannot_be_connected_is_refused(words, problem):
    with pytest.raises(UsageError, match=problem):
        parse(["in", "out", "participant", *words])
