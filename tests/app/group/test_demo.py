"""Tables of the demo, from its images on: the participant level's own numbers, nothing lost."""

from __future__ import annotations

import json
import re
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pandas as pd
import pytest
from bids.layout import BIDSLayout

from bidsmask.demo.plan import SPACE as DEMO_SPACE
from bidsmask.demo.timecourse import T_R_S
from tests.make_app import needs_validator, run_app, table_of, validator_issues
from tests.make_demo import atlas_of, demo_dataset, demo_runs
from tests.make_group import (
    frame,
    run_group,
    sidecar_of,
)

QC = "desc-group_qc"


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
    for path in demo_output.glob(f"task-*_desc-{cleaning}_signals.h5"):
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


def test_no_sidecar_of_the_group_tells_of_a_run(demo_output):
    # By the inheritance of BIDS, a JSON file at the root tells of all files below whose names have
    # its suffix and entities.
    layout = BIDSLayout(demo_output, validate=False)
    files = [path for path in demo_output.glob("sub-*/**/*.*") if path.suffix != ".json"]
    assert len(files) > 40
    for path in files:
        own = path.with_name(path.name.partition(".")[0] + ".json")
        told = {key for key, one in json.loads(own.read_text()).items() if one is not None}
        assert layout.get_metadata(path).keys() == told


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
        beside = table_of(demo_output / f"{group}_atlas-demo_stat-coverage_desc-group_bold.tsv")
        np.testing.assert_array_equal(beside.set_index("run_label").loc[label][1:], coverage)
        [mask] = demo_output.glob(f"sub-*/**/{label}_desc-*_mask.nii.gz")
        ours = np.asarray(nibabel.load(mask).dataobj) > 0
        majority = demo_output / f"{group}_desc-majority_mask.nii.gz"
        theirs = np.asarray(nibabel.load(majority).dataobj) > 0
        dice = 2 * (ours & theirs).sum() / (ours.sum() + theirs.sum())
        assert row["dice_with_majority"] == pytest.approx(dice, abs=1e-6)


def test_every_column_of_quality_is_described(demo_output):
    columns = table_of(demo_output / f"{QC}.tsv").columns
    sidecar = sidecar_of(demo_output, QC)
    assert [name for name in columns if not sidecar.get(name, {}).get("Description")] == []


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
