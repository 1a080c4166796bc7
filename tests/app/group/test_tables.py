"""Stacks, coverage and quality of a group: the participant level's own numbers, nothing lost."""

from __future__ import annotations

import gzip
import json
import re
import shutil
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pandas as pd
import pytest

from bidsmask.app.group import stacks as group_stacks
from bidsmask.bids.signals_table import read_signals
from bidsmask.demo.plan import SPACE as DEMO_SPACE
from bidsmask.demo.timecourse import T_R_S
from tests.make_app import needs_validator, run_app, table_of, validator_issues
from tests.make_demo import atlas_of, demo_dataset, demo_runs
from tests.make_group import (
    REGIONS,
    change_sidecar,
    run_group,
    write_outputs,
    write_run_outputs,
    write_table,
)
from tests.make_runs import SPACE, contents

GROUP = f"task-rest_space-{SPACE}"
STACK = f"{GROUP}_atlas-blocks_stat-mean_desc-simple_timeseries"
COVERAGE = f"{GROUP}_atlas-blocks_stat-coverage_bold"
QC = "desc-group_qc"


def frame(group):
    """Read a table of a stack."""
    return pd.DataFrame(
        {
            name: column.asstr()[:] if column.dtype.kind == "S" else column[:]
            for name, column in group.items()
        }
    )


def said(root: Path, name: str) -> dict:
    return json.loads((root / f"{name}.json").read_text())


def file_of(root: Path, label: str, ending: str) -> Path:
    """Return a file of a participant's run by the end of its name."""
    [path] = root.glob(f"sub-{label}/func/*{ending}")
    return path


def stacked(root: Path) -> list[str]:
    """Return the names of the runs in the stack."""
    with h5py.File(root / f"{STACK}.h5") as file:
        return list(file["signals"])


# The demo, from its images on


@pytest.fixture(scope="module")
def demo_output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo with two cleanings, and its group level."""
    demo = demo_dataset(tmp_path_factory)
    output = tmp_path_factory.mktemp("group") / "out"
    options = (
        "--atlas",
        atlas_of(demo),
        "--space",
        DEMO_SPACE,
        "--confounds",
        "simple",
        "scrubbing",
    )
    assert run_app(demo, output, *options) == 0
    assert run_group(output) == 0
    return output


@pytest.mark.parametrize("cleaning", ["simple", "scrubbing"])
def test_a_stack_holds_the_tables_of_the_demo_bit_for_bit(demo_output, tmp_path_factory, cleaning):
    seen = 0
    for path in demo_output.glob(f"task-*_desc-{cleaning}_timeseries.h5"):
        task = path.name.split("_")[0]
        with h5py.File(path) as file:
            assert file.attrs["space"] == DEMO_SPACE
            regions = frame(file["columns"])
            for name, dataset in file["signals"].items():
                seen += 1
                person, *others = name.split("_")
                session = [one for one in others if one.startswith("ses-")]
                folder = demo_output.joinpath(person, *session, "func")
                run = "_".join(one for one in others if one.startswith("run-"))
                stem = "_".join(filter(None, [person, *session, task, run]))
                table = table_of(
                    folder / f"{stem}_space-{DEMO_SPACE}_atlas-demo_stat-mean_desc-{cleaning}"
                    "_timeseries.tsv"
                )
                assert list(regions["name"]) == list(table.columns)
                expected = table.to_numpy(np.float32)
                assert np.array_equal(dataset[:], expected, equal_nan=True)
                volumes = table_of(folder / f"{stem}_desc-{cleaning}_volumes.tsv")
                found = frame(file["volumes"][name])
                assert list(found.columns) == list(volumes.columns)
                assert list(found["kept"]) == list(volumes["kept"])
                assert list(found["reason"]) == list(volumes["reason"].astype(object).fillna(""))
                np.testing.assert_array_equal(found["onset"], volumes["onset"])
                np.testing.assert_array_equal(
                    found["framewise_displacement"], volumes["framewise_displacement"]
                )
                assert dataset.attrs["participant_id"] == person
                assert dataset.attrs["RepetitionTime"] == T_R_S
            people = {dataset.attrs["participant_id"] for dataset in file["signals"].values()}
            found = frame(file["participants"]).set_index("participant_id")
            assert set(found.index) == people
            known = table_of(demo_output / "participants.tsv").set_index("participant_id")
            assert list(found.columns) == list(known.columns)
            for column in known:
                assert list(found[column]) == list(known.loc[found.index, column])
    assert seen == len(demo_runs(demo_dataset(tmp_path_factory)))


@needs_validator
def test_the_official_validator_has_nothing_to_say_of_a_group(demo_output):
    assert validator_issues(demo_output) == []


def test_every_number_of_the_demos_sidecars_is_in_the_table_of_quality(demo_output):
    table = table_of(demo_output / f"{QC}.tsv").set_index("run_label")
    for path in demo_output.glob(f"sub-*/**/*_space-{DEMO_SPACE}_desc-*_mask.json"):
        sidecar = json.loads(path.read_text())
        row = table.loc[path.name.rpartition("_desc-")[0]]
        assert row["mask_voxels"] == sidecar["Voxels"]
        assert row["mask_volume_ml"] == sidecar["VolumeMillilitres"]
        assert row["mask_strategy"] == sidecar["Strategy"]
    n_signals = 0
    for path in demo_output.glob("sub-*/**/*_timeseries.json"):
        n_signals += 1
        sidecar = json.loads(path.read_text())
        label, _, rest = path.name.partition("_atlas-demo_stat-mean_desc-")
        cleaning = rest.partition("_")[0]
        row = table.loc[label]
        freedom = sidecar["DegreesOfFreedom"]
        assert row[f"volumes_{cleaning}"] == freedom["volumes"]
        assert row[f"censored_{cleaning}"] == freedom["censored"]
        for key in ("intercept_and_trend", "filter", "regressors", "remaining"):
            assert row[f"degrees_of_freedom_{key}_{cleaning}"] == freedom[key]
        assert row["repetition_time"] == sidecar["RepetitionTime"]
        assert row["sampling_frequency"] == sidecar["SamplingFrequency"]
        assert row["start_time"] == sidecar["StartTime"]
        assert row["mean_framewise_displacement"] == sidecar["MeanFramewiseDisplacement"]
        assert row[f"columns_demo_{cleaning}"] == sidecar["Columns"]
        assert row[f"columns_without_signal_demo_{cleaning}"] == sidecar["ColumnsWithoutSignal"]
        assert row[f"non_finite_values_demo_{cleaning}"] == sidecar["NonFiniteValues"]
    assert n_signals == 2 * len(table)


def test_coverage_and_dice_of_the_demo_are_what_images_and_tables_say(demo_output):
    table = table_of(demo_output / f"{QC}.tsv").set_index("run_label")
    for label, row in table.iterrows():
        [path] = demo_output.glob(f"sub-*/**/{label}_atlas-demo_stat-coverage_bold.tsv")
        coverage = table_of(path)["coverage"]
        assert row["coverage_mean_demo"] == pytest.approx(coverage.mean(), abs=1e-6)
        assert row["coverage_minimum_demo"] == coverage.min()
        assert row["regions_under_half_demo"] == (coverage < 0.5).sum()
        group = f"task-{row['task']}_space-{DEMO_SPACE}"
        beside = table_of(demo_output / f"{group}_atlas-demo_stat-coverage_bold.tsv")
        np.testing.assert_array_equal(beside.set_index("run_label").loc[label][1:], coverage)
        [mask] = demo_output.glob(f"sub-*/**/{label}_desc-*_mask.nii.gz")
        ours = np.asarray(nibabel.load(mask).dataobj) > 0
        majority = demo_output / f"{group}_desc-majority_mask.nii.gz"
        theirs = np.asarray(nibabel.load(majority).dataobj) > 0
        dice = 2 * (ours & theirs).sum() / (ours.sum() + theirs.sum())
        assert row["dice_with_majority"] == pytest.approx(dice, abs=1e-6)


def test_every_column_of_quality_is_described(demo_output):
    columns = table_of(demo_output / f"{QC}.tsv").columns
    sidecar = said(demo_output, QC)
    assert [name for name in columns if not sidecar.get(name, {}).get("Description")] == []


# Stacks of outputs that were spoilt


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
    assert f"done: {STACK.removesuffix('_timeseries')}" in capsys.readouterr().err
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
        assert list(said(root, STACK)["LeftOut"]) == [f"sub-04_{GROUP}"]
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
    assert "sub-04" in str(said(root, STACK)["LeftOut"])
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
        assert f"sub-{label}_{STACK.replace('task-rest_', 'task-rest_', 1)}.tsv.gz is cut" in told
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
        path = root / f"task-{task}_atlas-blocks_stat-mean_desc-simple_timeseries.h5"
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


# Coverage


def test_regions_less_than_half_covered_are_listed_with_the_number_of_runs(tmp_path, capsys):
    root = write_outputs(tmp_path / "out", ["01", "02", "03", "04"])
    shares = {"01": [1, 0.2, 0.5, 0.9], "02": [1, 0.3, 0.499999, 1], "03": [1, 0.9, 1, 1]}
    shares["04"] = [1, np.nan, 1, 0]
    for label, values in shares.items():
        path = file_of(root, label, "_stat-coverage_bold.tsv")
        write_table(path, table_of(path).assign(coverage=values))
    assert run_group(root) == 0
    assert said(root, COVERAGE)["RegionsUnderHalf"] == {
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


# Quality


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
    sidecar = said(root, QC)
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


# The documentation


GUIDE = Path(__file__).parents[3] / "docs/group.md"
EXAMPLES = re.findall(r"^```python\n(.*?)^```", GUIDE.read_text(), re.DOTALL | re.MULTILINE)


def test_the_documented_ways_of_reading_work(demo_output, monkeypatch, capsys):
    monkeypatch.chdir(demo_output)
    first, second = EXAMPLES
    read: dict = {}
    exec(compile(first, GUIDE, "exec"), read)
    assert "sub-01_ses-1 27 years, 160 volumes kept" in capsys.readouterr().out
    table = demo_output.joinpath(
        "sub-02/func/sub-02_task-faces_run-2"
        f"_space-{DEMO_SPACE}_atlas-demo_stat-mean_desc-simple_timeseries.tsv"
    )
    pd.testing.assert_frame_equal(
        read["signals"]["sub-02_run-2"].reset_index(drop=True).rename_axis(columns=None),
        table_of(table).astype(np.float32),
        check_column_type=False,
    )
    exec(compile(second, GUIDE, "exec"), {})
    assert "run_label" in capsys.readouterr().out
