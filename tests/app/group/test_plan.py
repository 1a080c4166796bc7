"""The group level as a whole: what it reads, what a second run does, and how it ends."""

from __future__ import annotations

import contextlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from bidsmask.app.group import masks as group_masks
from tests.make_app import image_of
from tests.make_group import (
    GROUP,
    MASK,
    file_of,
    lose_sidecar,
    masks_of,
    run_group,
    sidecar_of,
    write_mask,
    write_masks,
    write_outputs,
    write_run_outputs,
    write_sidecar,
)
from tests.make_runs import SHAPE, brain, contents

PRODUCTS = ("desc-intersection_mask", "desc-majority_mask", "desc-share_probseg")


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return write_masks(tmp_path / "out")


# What is read


def test_raw_data_are_not_looked_at(output, tmp_path):
    assert not (tmp_path / "no-bids").exists()
    assert run_group(output) == 0
    (output.parent / "no-bids").mkdir()
    (output.parent / "no-bids/dataset_description.json").write_text("broken")
    assert run_group(output) == 0


def test_labels_select(output):
    assert run_group(output, "--participant-label", "1", "sub-3") == 0
    sources = sidecar_of(output, f"{GROUP}_desc-majority_mask")["Sources"]
    assert [one[6:11] for one in sources] == ["sub-1", "sub-3"]


def test_one_participant_is_enough_with_a_warning(output, capsys):
    assert run_group(output, "--participant-label", "2") == 0
    assert "sub-2 is the only participant" in capsys.readouterr().err
    assert np.array_equal(
        image_of(output / f"{GROUP}_desc-intersection_mask.nii.gz"),
        image_of(file_of(output, "2", MASK)),
    )


def test_the_order_on_the_disk_changes_no_byte(tmp_path):
    labels = [str(number) for number in range(8, 13)]
    outputs = [
        write_outputs(tmp_path / name, some)
        for name, some in (("a", labels), ("b", labels[::-1]), ("c", sorted(labels)))
    ]
    written = []
    for output in outputs:
        assert run_group(output) == 0
        written.append({k: v for k, v in contents(output).items() if not k.startswith("sub-")})
    assert written[0] == written[1] == written[2]
    assert any("majority" in name for name in written[0])


# A second run


def states(output: Path) -> dict[str, int]:
    """Return when each group product was written."""
    return {path.name: path.stat().st_mtime_ns for path in output.glob("task-*")}


def redone(output: Path, before: dict[str, int]) -> set[str]:
    """Return the data files that are not the ones of before."""
    after = states(output)
    return {name for name in after if after[name] != before.get(name) and ".json" not in name}


def test_a_second_run_does_nothing_and_says_so(output, capsys):
    assert run_group(output) == 0
    before, files = states(output), contents(output)
    capsys.readouterr()
    assert run_group(output, "--n-procs", "2", "--skip-bids-validation") == 0
    assert "There was nothing to do." in capsys.readouterr().err
    assert states(output) == before
    assert contents(output) == files


def test_force_makes_the_same_anew(output):
    assert run_group(output) == 0
    before, files = states(output), contents(output)
    assert run_group(output, "--force") == 0
    assert redone(output, before) >= {f"{GROUP}_{ending}.nii.gz" for ending in PRODUCTS}
    assert contents(output) == files


def cut(output: Path) -> None:
    path = output / f"{GROUP}_desc-share_probseg.nii.gz"
    path.write_bytes(path.read_bytes()[:-1])


def lose_share(output: Path) -> None:
    lose_sidecar(output / f"{GROUP}_desc-share_probseg.nii.gz")


def change_mask(output: Path) -> None:
    path = file_of(output, "2", MASK)
    write_mask(path, brain(SHAPE))
    sidecar = path.with_name(path.name.replace(".nii.gz", ".json"))
    write_sidecar(sidecar, **json.loads(sidecar.read_text()) | {"Strategy": "derivative"})


def another_run(output: Path) -> None:
    write_run_outputs(output, "sub-5_task-rest", with_signals=False)


def one_less(output: Path) -> None:
    for path in (output / "sub-4/func").glob("*task-rest*"):
        path.unlink()


TOUCHED = {
    "a cut image": (cut, {"desc-share_probseg"}),
    "a lost sidecar": (lose_share, {"desc-share_probseg"}),
    "another mask": (change_mask, set(PRODUCTS)),
    "another run": (another_run, set(PRODUCTS)),
    "a run less": (one_less, set(PRODUCTS)),
}


@pytest.mark.parametrize("case", TOUCHED)
def test_a_change_redoes_what_it_touches_and_ends_as_a_first_run(output, tmp_path, case):
    change, endings = TOUCHED[case]
    for label in "1234":
        write_run_outputs(output, f"sub-{label}_task-other", with_signals=False)
    fresh = shutil.copytree(output, tmp_path / "fresh")
    assert run_group(output) == 0
    before = states(output)
    for path in (output, fresh):
        with contextlib.suppress(FileNotFoundError):
            change(path)
    assert run_group(output) == 0
    assert {name for name in redone(output, before) if GROUP in name} == {
        f"{GROUP}_{ending}.nii.gz" for ending in endings
    }
    assert not any("task-other" in name and "_mask" in name for name in redone(output, before))
    assert run_group(fresh) == 0
    assert masks_of(output) == masks_of(fresh)


def test_a_dry_run_says_what_would_be_made_and_changes_nothing(output, capsys):
    before = contents(output)
    assert run_group(output, "--dry-run") == 0
    shown = capsys.readouterr().out
    assert f"to do: {GROUP}_mask (3 of 3 products)" in shown
    assert f"    {GROUP}_desc-majority_mask.nii.gz" in shown
    assert contents(output) == before
    assert not (output / "logs").exists()
    assert run_group(output) == 0
    capsys.readouterr()
    assert run_group(output, "--dry-run") == 0
    assert f"up to date: {GROUP}_mask" in capsys.readouterr().out


def test_a_dry_run_ends_with_the_exit_code_of_the_run(output):
    lose_sidecar(file_of(output, "3", MASK))
    assert run_group(output, "--dry-run") == 1


def test_the_config_of_a_run_repeats_it(output, tmp_path):
    assert run_group(output, "--participant-label", "1", "2") == 0
    [config] = output.glob("logs/*/config.toml")
    text = shutil.copy(config, tmp_path / "config.toml")
    before = masks_of(output)
    assert run_group(output) == 0
    assert masks_of(output) != before
    assert run_group(output, "--config", text) == 0
    assert masks_of(output) == before


def test_the_config_of_the_participant_level_serves_the_group_level(output, tmp_path, capsys):
    config = tmp_path / "options.toml"
    config.write_text(
        'atlas = ["/nowhere/atlas.nii.gz"]\nconfounds = ["simple", "scrubbing"]\nhigh_pass = 0.01\n'
        'mask_only = true\nmask_strategy = "derivative"\nparticipant_label = ["1", "2"]\n'
    )
    assert run_group(output, "--config", config) == 0
    assert sidecar_of(output, f"{GROUP}_desc-majority_mask")["Runs"] == 2
    assert run_group(output, "--config", config, "--high-pass", "0.01") == 64
    assert "--high-pass does nothing at the group level" in capsys.readouterr().err
    config.write_text('combine_masks = "union"\ncombine_over = "session"\n')
    before = masks_of(output).keys()
    assert run_group(output, "--config", config) == 0
    assert masks_of(output).keys() == before
    config.write_text('combine_masks = "union"\n')
    assert run_group(output, "--config", config) == 0
    assert sidecar_of(output, f"{GROUP}_desc-union_mask")["Runs"] == 4
    config.write_text("high_pas = 0.01\n")
    assert run_group(output, "--config", config) == 64


def test_the_first_failure_can_stop_the_rest(output):
    lose_sidecar(file_of(output, "3", MASK))
    assert run_group(output, "--stop-on-first-crash") == 65
    assert masks_of(output) == {}


def test_a_fault_of_ours_is_told_and_leaves_a_crash_file(output, capsys, monkeypatch):
    def fault(*_):
        raise RuntimeError("an axle broke")

    monkeypatch.setattr(group_masks, "count_votes", fault)
    assert run_group(output) == 1
    said = capsys.readouterr().err
    assert "an axle broke" in said
    [crash] = output.glob(f"logs/*/crash-{GROUP}_mask.txt")
    assert "an axle broke" in crash.read_text()
    assert masks_of(output) == {}
