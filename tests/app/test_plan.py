"""What is checked first, and what of the command line selects nothing."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest

from bidsmask.app.arguments import parse
from bidsmask.app.choices import cleaning_choices
from bidsmask.app.plan import plan
from bidsmask.bids.dataset import find_dataset
from tests.make_app import run_app
from tests.make_runs import SPACE, write_atlas, write_dataset


def steps_of(root: Path, *options: str) -> list:
    options_ = parse([str(root), str(root.parent / "out"), "participant", *options])
    return plan(find_dataset(root, None, options_.output_dir), ["01", "02"], options_)


def test_all_runs_of_a_participant_are_checked_before_the_first_is_handed_out(tmp_path):
    runs = write_dataset(tmp_path / "bids", ["01", "02"], tasks=["a", "b"])
    steps = steps_of(tmp_path / "bids")
    first = next(step for step in steps if step.job is not None)
    assert first.job.run.task == "a"
    # Spoiled after the check, the second run is still the one that was checked.
    runs[1].write_table(runs[1].table()[:-3])
    second = next(steps)
    assert second.job.run.task == "b"
    assert second.outcome is None


@pytest.mark.parametrize(
    ("option", "known", "unknown"),
    [
        ("--task-label", "rest", "rset"),
        ("--space", "MNI152NLin2009cAsym", "TYPO"),
        ("--task-label", "rest", "01"),
    ],
)
def test_a_label_that_selects_nothing_beside_one_that_does_is_named(
    tmp_path, capsys, option, known, unknown
):
    write_dataset(tmp_path / "bids")
    assert run_app(tmp_path / "bids", tmp_path / "out", option, known, unknown, "--mask-only") == 0
    said = capsys.readouterr().err
    assert f"{unknown} selects no run" in said
    assert f"There is {known}" in said


def test_no_word_of_labels_that_select_something(tmp_path, capsys):
    write_dataset(tmp_path / "bids", tasks=["rest", "faces"])
    options = ("--task-label", "rest", "faces", "--dry-run")
    assert run_app(tmp_path / "bids", tmp_path / "out", *options) == 0
    assert "selects no" not in capsys.readouterr().err


def test_t_r_unlike_the_header_is_taken_and_said(tmp_path, capsys):
    (run,) = write_dataset(tmp_path / "bids")
    run.metadata(RepetitionTime=None)
    options = ("--t-r", "3", "--confounds", "none", "--voxels")
    assert run_app(tmp_path / "bids", tmp_path / "out", *options) == 0
    assert "has 2 s in its header; 3 s of --t-r is taken" in capsys.readouterr().err


@pytest.mark.parametrize(("with_mask", "why"), [(True, "has a mask"), (False, "has no mask")])
def test_the_sidecar_of_the_mask_says_why_it_is_this_one(tmp_path, with_mask, why):
    write_dataset(tmp_path / "bids", with_mask=with_mask)
    assert run_app(tmp_path / "bids", tmp_path / "out", "--mask-only") == 0
    (sidecar,) = (tmp_path / "out").glob("sub-01/func/*_mask.json")
    assert why in json.loads(sidecar.read_text())["StrategyReason"]


def test_another_reason_for_the_same_mask_redoes_no_signals(tmp_path, capsys):
    write_dataset(tmp_path / "bids")
    options = ("--confounds", "none", "--voxels")
    assert run_app(tmp_path / "bids", tmp_path / "out", *options) == 0
    capsys.readouterr()
    asked = (*options, "--mask-strategy", "derivative", "--dry-run")
    assert run_app(tmp_path / "bids", tmp_path / "out", *asked) == 0
    said = capsys.readouterr().out
    assert "_mask.nii.gz" in said
    assert "timeseries" not in said


def test_images_in_a_template_say_so_in_their_header(tmp_path):
    write_dataset(tmp_path / "bids")
    write_dataset(tmp_path / "native", space="")
    for name, code in (("bids", 4), ("native", 1)):
        assert run_app(tmp_path / name, tmp_path / f"out-{name}", "--mask-only") == 0
        (mask,) = (tmp_path / f"out-{name}").glob("sub-01/func/*_mask.nii.gz")
        assert int(nibabel.load(mask).header["sform_code"]) == code


def test_atlases_are_kept_as_they_were_used(tmp_path):
    write_dataset(tmp_path / "bids")
    image = write_atlas(tmp_path / "atlas")
    options = ("--atlas", image, "--confounds", "none")
    assert run_app(tmp_path / "bids", tmp_path / "out", *options) == 0
    kept = tmp_path / f"out/atlases/tpl-{SPACE}_atlas-blocks_dseg.nii.gz"
    assert kept.read_bytes() == image.read_bytes()
    assert kept.with_name(f"tpl-{SPACE}_atlas-blocks_dseg.tsv").exists()


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["--confounds", "scrubbing", "--fd-threshold", "0.5"], "scrubbing"),
        (["--confounds", "scrubbing", "--fd-threshold", "0.2"], "scrubbingFD02"),
        (["--confounds", "simple", "--global-signal", "none"], "simple"),
        (["--confounds", "36P", "--global-signal", "none"], "36PGSRnone"),
    ],
)
def test_a_cleaning_is_named_by_what_differs_from_its_strategy(words, name):
    (choice,) = cleaning_choices(parse(["in", "out", "participant", *words]))
    assert choice.name == name


def test_a_participant_with_a_plus_is_in_the_table_of_participants(tmp_path):
    write_dataset(tmp_path / "bids", ["a+1"])
    assert run_app(tmp_path / "bids", tmp_path / "out", "--mask-only") == 0
    table = np.loadtxt(tmp_path / "out/participants.tsv", dtype=str, delimiter="\t")
    assert list(table) == ["participant_id", "sub-a+1"]


def test_a_config_file_repeats_the_run_from_another_folder_and_takes_another_cut_off(
    tmp_path, monkeypatch
):
    write_dataset(tmp_path / "bids")
    write_atlas(tmp_path / "atlas")
    monkeypatch.chdir(tmp_path)
    atlas = next(Path("atlas").glob("*.nii.gz"))
    assert run_app(Path("bids"), Path("out"), "--atlas", atlas, "--confounds", "none") == 0
    (config,) = tmp_path.glob("out/logs/run-*/config.toml")
    monkeypatch.chdir("/")
    again = ("--config", config, "--high-pass", "0.01")
    assert run_app(tmp_path / "bids", tmp_path / "out2", *again) == 0
    assert list((tmp_path / "out2").glob("sub-01/func/*noneHP001_timeseries.tsv"))
