"""Signals of all runs in one file: to the bit, and what cannot be stacked is named."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from bidsmask.app.group import stacks as group_stacks
from bidsmask.bids.signals_table import read_signals
from tests.make_app import table_of
from tests.make_group import (
    GROUP,
    REGIONS,
    change_sidecar,
    file_of,
    frame,
    run_group,
    sidecar_of,
    write_outputs,
    write_run_outputs,
    write_table,
)
from tests.make_runs import contents

STACK = f"{GROUP}_atlas-blocks_stat-mean_desc-simple_signals"
COVERAGE = f"{GROUP}_atlas-blocks_stat-coverage_desc-group_bold"
QC = "desc-group_qc"


def stacked(root: Path) -> list[str]:
    """Return the names of the runs in the stack."""
    with h5py.File(root / f"{STACK}.h5") as file:
        return list(file["signals"])


def test_a_group_made_again_is_the_same_bytes(tmp_path):
    root = write_outputs(tmp_path / "out")
    assert run_group(root) == 0
    before = contents(root)
    assert run_group(root, "--force") == 0
    assert contents(root) == before


def test_a_stack_that_was_cut_is_made_anew(tmp_path, capsys):
    root = write_outputs(tmp_path / "out")
    assert run_group(root) == 0
    before = contents(root)
    path = root / f"{STACK}.h5"
    path.write_bytes(path.read_bytes()[:-100])
    capsys.readouterr()
    assert run_group(root) == 0
    assert f"done: {STACK.removesuffix('_signals')}" in capsys.readouterr().err
    assert contents(root) == before


def test_a_participant_with_other_columns_is_left_out_by_name_each_time(tmp_path, capsys):
    root = write_outputs(tmp_path / "out")
    write_run_outputs(root, "sub-04_task-rest", regions=("block1", "block2", "block4", "block3"))
    for _ in range(2):
        assert run_group(root) == 1
        told = capsys.readouterr().err
        assert "has other columns than the 3 runs that are joined" in told
        assert "column 3 is 'block4' (3), not 'block3' (3)" in told
        assert stacked(root) == ["sub-01", "sub-02", "sub-03"]
        assert list(sidecar_of(root, STACK)["LeftOut"]) == [f"sub-04_{GROUP}"]
        assert "sub-04" not in (root / f"{COVERAGE}.tsv").read_text()
        assert "sub-04" in (root / f"{QC}.tsv").read_text()


def test_a_participant_whose_regions_have_other_labels_is_left_out(tmp_path, capsys):
    root = write_outputs(tmp_path / "out")
    path = file_of(root, "02", "_atlas-blocks_dseg.tsv")
    table = table_of(path)
    table["index"] += 10
    write_table(path, table)
    assert run_group(root) == 1
    assert "column 1 is 'block1' (11), not 'block1' (1)" in capsys.readouterr().err
    assert stacked(root) == ["sub-01", "sub-03"]


def test_signals_that_are_not_of_the_atlas_beside_them_are_left_out(tmp_path, capsys):
    root = write_outputs(tmp_path / "out")
    path = file_of(root, "02", "_desc-simple_timeseries.tsv")
    path.write_text(path.read_text().replace("block2", "other", 1))
    assert run_group(root) == 1
    assert "blocks_dseg.tsv: column 2" in capsys.readouterr().err
    assert stacked(root) == ["sub-01", "sub-03"]


def test_columns_of_which_none_are_those_of_most_runs_are_not_stacked(tmp_path, capsys):
    root = write_outputs(tmp_path / "out", ["01", "02"])
    for label in ("03", "04"):
        write_run_outputs(root, f"sub-{label}_task-rest", regions=("a", "b", "c", "d", "e"))
    assert run_group(root) == 1
    assert "has 2 sets of columns, none of which most runs have" in capsys.readouterr().err
    assert not (root / f"{STACK}.h5").exists()
    assert not (root / f"{COVERAGE}.tsv").exists()


def test_where_a_run_lacks_the_atlas_its_labels_are_those_of_the_others(tmp_path):
    root = write_outputs(tmp_path / "out")
    for path in root.glob("sub-01/func/*_atlas-blocks_dseg.*"):
        path.unlink()
    assert run_group(root) == 0
    assert stacked(root) == ["sub-01", "sub-02", "sub-03"]
    with h5py.File(root / f"{STACK}.h5") as file:
        assert frame(file["columns"])["index"].tolist() == [1, 2, 3, 4]


def test_without_any_atlas_the_columns_have_names_alone(tmp_path):
    root = write_outputs(tmp_path / "out")
    for path in root.glob("sub-*/func/*_atlas-blocks_dseg.*"):
        path.unlink()
    assert run_group(root) == 0
    with h5py.File(root / f"{STACK}.h5") as file:
        assert list(file["columns"]) == ["name"]
        assert frame(file["columns"])["name"].tolist() == list(REGIONS)


def test_a_participant_without_signals_is_said_to_lack_them(tmp_path, capsys):
    root = write_outputs(tmp_path / "out")
    write_run_outputs(root, "sub-04_task-rest", with_signals=False)
    assert run_group(root) == 0
    assert f"sub-04_{GROUP} has no" in capsys.readouterr().err
    assert stacked(root) == ["sub-01", "sub-02", "sub-03"]
    assert "sub-04" in str(sidecar_of(root, STACK)["LeftOut"])
    row = table_of(root / f"{QC}.tsv").set_index("participant_id").loc["sub-04"]
    assert row["mask_voxels"] > 0
    assert np.isnan(row["volumes_simple"])


def test_two_cleanings_are_two_stacks(tmp_path):
    root = write_outputs(tmp_path / "out")
    for label in ("01", "02", "03"):
        write_run_outputs(root, f"sub-{label}_task-rest", cleaning="scrubbing", n_volumes=30)
    assert run_group(root) == 0
    with (
        h5py.File(root / f"{STACK}.h5") as simple,
        h5py.File(root / f"{STACK.replace('simple', 'scrubbing')}.h5") as scrubbing,
    ):
        assert simple["signals/sub-01"].shape == (19, 4)
        assert scrubbing["signals/sub-01"].shape == (29, 4)
    assert {"volumes_simple", "volumes_scrubbing"} <= set(table_of(root / f"{QC}.tsv").columns)


def test_gzipped_signals_make_the_same_datasets(tmp_path):
    plain = write_outputs(tmp_path / "plain")
    zipped = write_outputs(tmp_path / "zipped")
    for path in zipped.glob("sub-*/func/*_timeseries.tsv"):
        path.with_suffix(".tsv.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    assert run_group(plain) == run_group(zipped) == 0
    assert (plain / f"{STACK}.h5").read_bytes() == (zipped / f"{STACK}.h5").read_bytes()


def test_runs_whose_signals_are_damaged_are_all_found_and_the_others_stacked(tmp_path, capsys):
    root = write_outputs(tmp_path / "out", ["01", "02", "03", "04", "05"])
    for path in root.glob("sub-*/func/*_timeseries.tsv"):
        zipped = gzip.compress(path.read_bytes())
        is_cut = path.name.startswith(("sub-02", "sub-04"))
        path.with_suffix(".tsv.gz").write_bytes(zipped[:-4] if is_cut else zipped)
        path.unlink()
    assert run_group(root) == 1
    told = capsys.readouterr().err
    for label in ("02", "04"):
        name = f"sub-{label}_{STACK.replace('_signals', '_timeseries')}.tsv.gz"
        assert f"{name} is cut" in told
    assert stacked(root) == ["sub-01", "sub-03", "sub-05"]
    with h5py.File(root / f"{STACK}.h5") as file:
        assert frame(file["participants"])["participant_id"].tolist() == [
            "sub-01",
            "sub-03",
            "sub-05",
        ]


def test_where_no_signals_can_be_read_there_is_no_stack(tmp_path, capsys):
    root = write_outputs(tmp_path / "out", ["01", "02"])
    for path in root.glob("sub-*/func/*_timeseries.tsv"):
        path.write_text("\t".join(REGIONS) + "\n1\t2\t3\tmany\n")
    assert run_group(root) == 1
    told = capsys.readouterr().err
    assert "has 'many' in line 2, column 'block4'" in told
    assert "has no run that can be read" in told
    assert not (root / f"{STACK}.h5").exists()
    assert not (root / f"{STACK}.json").exists()


def test_a_run_without_volumes_is_stacked_without_them_and_that_is_said(tmp_path, capsys):
    root = write_outputs(tmp_path / "out")
    for path in root.glob("sub-02/func/*_volumes.*"):
        path.unlink()
    assert run_group(root) == 0
    told = capsys.readouterr().err
    assert "has no table of volumes, and is stacked without it" in told
    assert "left out" not in told
    assert stacked(root) == ["sub-01", "sub-02", "sub-03"]
    with h5py.File(root / f"{STACK}.h5") as file:
        assert list(file["volumes"]) == ["sub-01", "sub-03"]


def test_signals_of_other_volumes_than_the_table_are_left_out(tmp_path, capsys):
    root = write_outputs(tmp_path / "out")
    path = file_of(root, "03", "_desc-simple_volumes.tsv")
    path.write_text(path.read_text().replace("true", "false", 1))
    assert run_group(root) == 1
    assert "has 19 rows, but sub-03_task-rest_desc-simple_volumes.tsv tells of 18" in (
        capsys.readouterr().err
    )
    assert stacked(root) == ["sub-01", "sub-02"]


def test_with_censored_rows_kept_there_is_a_row_for_each_volume(tmp_path):
    root = write_outputs(tmp_path / "out")
    for path in root.glob("sub-*/func/*_timeseries.tsv"):
        header, *rows = path.read_text().splitlines()
        lines = [header, "\t".join(["n/a"] * 4), *rows]
        path.write_text("\n".join(lines) + "\n")
        change_sidecar(path.with_suffix(".json"), Rows="all volumes")
    assert run_group(root) == 0
    with h5py.File(root / f"{STACK}.h5") as file:
        values = file["signals/sub-01"][:]
    assert values.shape == (20, 4)
    assert np.isnan(values[0]).all()
    assert np.isfinite(values[1:]).all()


def test_signals_of_one_name_made_with_different_choices_are_not_stacked(tmp_path, capsys):
    root = write_outputs(tmp_path / "out")
    change_sidecar(file_of(root, "02", "_timeseries.json"), SmoothingFWHM=6)
    assert run_group(root) == 1
    assert "SmoothingFWHM is null for 2 runs, but 6 for sub-02" in capsys.readouterr().err
    assert not (root / f"{STACK}.h5").exists()
    assert (root / f"{COVERAGE}.tsv").exists()


def test_signals_of_voxels_are_not_stacked(tmp_path):
    root = write_outputs(tmp_path / "out")
    for path in root.glob("sub-*/func/*_timeseries.*"):
        name = path.name.replace("atlas-blocks_stat-mean", "seg-voxels")
        shutil.copy(path, path.with_name(name))
    assert run_group(root) == 0
    assert [path.name for path in root.glob("*.h5")] == [f"{STACK}.h5"]
    assert "columns_voxels_simple" in table_of(root / f"{QC}.tsv").columns


def test_signals_that_change_while_they_are_stacked_are_left_out(tmp_path, capsys, monkeypatch):
    root = write_outputs(tmp_path / "out")

    def changed(path):
        names, values = read_signals(path)
        return (names[::-1] if "sub-02" in path.name else names), values

    monkeypatch.setattr(group_stacks, "read_signals", changed)
    assert run_group(root) == 1
    assert "was changed meanwhile" in capsys.readouterr().err
    assert stacked(root) == ["sub-01", "sub-03"]


def test_sessions_and_runs_stand_in_the_names_of_the_datasets(tmp_path):
    root = write_outputs(tmp_path / "out", [])
    for label in ("01", "02"):
        for run in ("1", "2"):
            write_run_outputs(root, f"sub-{label}_ses-a_task-rest_run-{run}")
    assert run_group(root) == 0
    assert stacked(root) == [f"sub-{p}_ses-a_run-{r}" for p in ("01", "02") for r in ("1", "2")]


def test_runs_in_their_own_space_are_stacked_by_task(tmp_path):
    root = write_outputs(tmp_path / "out", space="", tasks=("rest", "nback"))
    assert run_group(root) == 0
    for task in ("rest", "nback"):
        path = root / f"task-{task}_atlas-blocks_stat-mean_desc-simple_signals.h5"
        with h5py.File(path) as file:
            assert len(file["signals"]) == 3
            assert file.attrs["task"] == task


def test_participants_are_joined_and_a_change_of_them_is_seen(tmp_path, capsys):
    root = write_outputs(tmp_path / "out")
    path = root / "participants.tsv"
    path.write_text("participant_id\tage\tgroup\nsub-03\t30\tb\nsub-01\tn/a\ta\n")
    assert run_group(root) == 0
    assert "has no row for sub-02" in capsys.readouterr().err
    with h5py.File(root / f"{STACK}.h5") as file:
        table = frame(file["participants"])
    assert table["participant_id"].tolist() == ["sub-01", "sub-02", "sub-03"]
    np.testing.assert_array_equal(table["age"], [np.nan, np.nan, 30])
    assert table["group"].tolist() == ["a", "", "b"]
    path.write_text(path.read_text().replace("30", "31"))
    assert run_group(root) == 0
    with h5py.File(root / f"{STACK}.h5") as file:
        assert file["participants/age"][2] == 31


@pytest.mark.parametrize("content", [None, "", "age\n3\n", "participant_id\tage\nsub-01\n"])
def test_without_usable_participants_the_stack_tells_who_alone(tmp_path, capsys, content):
    root = write_outputs(tmp_path / "out")
    path = root / "participants.tsv"
    path.unlink() if content is None else path.write_text(content)
    assert run_group(root) == 0
    assert "it is not joined" in capsys.readouterr().err
    with h5py.File(root / f"{STACK}.h5") as file:
        assert list(file["participants"]) == ["participant_id"]


def test_two_rows_of_a_participant_are_told_and_each_warning_once(tmp_path, capsys):
    root = write_outputs(tmp_path / "out", tasks=("rest", "faces"))
    rows = "participant_id\tage\nsub-01\t30\nsub-02\t31\nsub-01\t40\n"
    (root / "participants.tsv").write_text(rows)
    assert run_group(root) == 0
    told = capsys.readouterr().err
    assert told.count("has several rows for sub-01, of which the first is joined") == 1
    assert told.count("has no row for sub-03") == 1
    [log] = root.glob("logs/*/findings.tsv")
    assert log.read_text().count("participants.tsv") == 2
    with h5py.File(root / f"{STACK}.h5") as file:
        assert file["participants/age"][0] == 30


def test_strange_words_in_sidecars_do_no_harm(tmp_path):
    root = write_outputs(tmp_path / "out")
    path = file_of(root, "01", "_desc-simple_timeseries.json")
    change_sidecar(
        path,
        RepetitionTime="two",
        MeanFramewiseDisplacement=10**400,
        DegreesOfFreedom=[1],
        StartTime=True,
        Odd={"a": {"b": {"c": {"d": {"e": {"f": {"g": 1}}}}}}},
    )
    change_sidecar(file_of(root, "02", "_mask.json"), Strategy=5, VolumeMl=1, **{"\t": 2, "é": 3})
    assert run_group(root) == 0
    assert table_of(root / f"{QC}.tsv").columns.is_unique
    with h5py.File(root / f"{STACK}.h5") as file:
        assert dict(file["signals/sub-01"].attrs) == {"participant_id": "sub-01"}
