"""What the group level refuses: outputs that are none, and options that do nothing."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bidsmask.app.arguments import parse
from tests.make_group import (
    change_sidecar,
    masks_of,
    run_group,
    write_masks,
    write_outputs,
)
from tests.make_runs import contents, leftovers


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return write_masks(tmp_path / "out")


def test_group_before_participant_is_refused(tmp_path, capsys):
    assert run_group(tmp_path / "out") == 66
    assert "out does not exist. Run the participant level into it first." in capsys.readouterr().err
    (tmp_path / "out").mkdir()
    assert run_group(tmp_path / "out") == 16
    said = capsys.readouterr().err
    assert "dataset_description.json is missing. Run the participant level" in said
    write_outputs(tmp_path / "out", ())
    assert run_group(tmp_path / "out") == 18
    assert "holds no participant" in capsys.readouterr().err
    assert not (tmp_path / "out/logs").exists()


def test_a_file_is_no_output(tmp_path):
    (tmp_path / "out").write_text("x")
    assert run_group(tmp_path / "out") == 66


def test_a_broken_description_is_refused(output, capsys):
    (output / "dataset_description.json").write_text("{")
    assert run_group(output) == 16
    assert "is not readable as a JSON object" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"GeneratedBy": [{"Name": "fMRIPrep"}]}, "holds another dataset by fMRIPrep"),
        ({"GeneratedBy": None}, "holds another dataset"),
        ({"DatasetType": "raw"}, "holds a raw dataset"),
    ],
)
def test_the_output_of_another_app_is_refused(output, capsys, changes, words):
    change_sidecar(output / "dataset_description.json", **changes)
    before = contents(output)
    assert run_group(output) == 73
    assert words in capsys.readouterr().err
    assert contents(output) == before


def test_the_output_of_another_version_is_a_warning(output, capsys):
    generated = [{"Name": "bidsmask", "Version": "0.0.9"}]
    change_sidecar(output / "dataset_description.json", GeneratedBy=generated)
    before = (output / "dataset_description.json").read_bytes()
    assert run_group(output) == 0
    said = capsys.readouterr().err
    assert "warning: another-version" in said
    assert "was written by bidsmask 0.0.9; this is" in said
    assert (output / "dataset_description.json").read_bytes() == before


@contextlib.contextmanager
def mounted_read_only(folder: Path) -> Iterator[None]:
    """Mount a folder upon itself so that nothing in it can be changed."""
    for options in (["--bind", str(folder), str(folder)], ["-o", "remount,bind,ro", str(folder)]):
        with contextlib.suppress(FileNotFoundError):
            done = subprocess.run(["mount", *options], capture_output=True, check=False)
            if done.returncode == 0:
                continue
        pytest.skip("no right to mount a folder")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_an_output_that_is_mounted_read_only_is_refused(output, capsys):
    with mounted_read_only(output):
        assert run_group(output) == 73
    assert "cannot be written" in capsys.readouterr().err
    assert masks_of(output) == {}


IDLE = {
    "--mask-only": (),
    "--atlas": ("x.nii.gz",),
    "--voxels": (),
    "--smoothing-fwhm": ("6",),
    "--confounds": ("36P",),
    "--bids-filter-file": ("x.json",),
    "--derivatives": ("x",),
    "--mask-args": ("opening=1",),
    "--mask-file": ("x.nii.gz",),
    "--t-r": ("2",),
    "--signal-mask": ("1",),
    "--combine-over session": ("--combine-masks", "union"),
}


@pytest.mark.parametrize("option", IDLE)
def test_an_option_that_does_nothing_is_refused(output, capsys, option):
    assert run_group(output, *option.split(), *IDLE[option]) == 64
    assert f"{option} does nothing at the group level" in capsys.readouterr().err


@pytest.mark.parametrize("strategy", ["derivative", "epi", "file"])
def test_each_mask_can_be_asked_for(strategy):
    options = parse(["in", "out", "group", "--mask-strategy", strategy])
    assert options.mask_strategy == strategy


def test_leftovers_at_the_root_are_cleared_away(output):
    (output / ".bidsmask-0123456789abcdef.part").write_text("half")
    assert run_group(output) == 0
    assert leftovers(output) == []


def test_an_older_bidsignore_is_brought_up_to_date(output):
    (output / ".bidsignore").write_text("mine\n")
    assert run_group(output) == 0
    lines = (output / ".bidsignore").read_text().splitlines()
    assert lines[0] == "mine"
    assert "/task-*_mask.*" in lines
