"""The group level as a whole: group masks, what is left out and said, what a second run does."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from nilearn.masking import intersect_masks

from bidsmask.app.arguments import parse
from bidsmask.app.group import masks as group_masks
from tests.make_app import image_of, needs_validator, run_app, validator_issues
from tests.make_group import (
    change_sidecar,
    run_group,
    write_mask,
    write_outputs,
    write_run_outputs,
    write_sidecar,
)
from tests.make_images import AFFINE
from tests.make_runs import SHAPE, SPACE, brain, contents, leftovers, write_atlas, write_dataset
from tests.make_trees import DERIVATIVE

GROUP = f"task-rest_space-{SPACE}"
PRODUCTS = ("desc-intersection_mask", "desc-majority_mask", "desc-share_probseg")


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """Return an output of four participants with masks alone, each another."""
    output = write_outputs(tmp_path / "out", ())
    for number, label in enumerate("1234"):
        voxels = np.roll(brain(SHAPE), number % 3, axis=0)
        write_run_outputs(output, f"sub-{label}_task-rest", voxels=voxels, with_signals=False)
    return output


def masks_of(output: Path) -> dict[str, str]:
    """Return a digest of each file of the group masks."""
    digests = contents(output)
    return {
        name: digests[name]
        for name in digests
        if name.startswith("task-") and ("_mask." in name or "_probseg." in name)
    }


def group_image(output: Path, ending: str, group: str = GROUP) -> np.ndarray:
    return image_of(output / f"{group}_{ending}.nii.gz")


def group_sidecar(output: Path, ending: str, group: str = GROUP) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((output / f"{group}_{ending}.json").read_text())
    return told


def mask_file(output: Path, label: str) -> Path:
    [path] = output.glob(f"sub-{label}/func/*task-rest*_mask.nii.gz")
    return path


def findings_of(output: Path) -> list[dict[str, str]]:
    """Return the findings of the last run of the program."""
    tables = output.glob("logs/*/findings.tsv")
    last = max(tables, key=lambda path: path.stat().st_mtime_ns)
    header, *rows = [line.split("\t") for line in last.read_text().splitlines()]
    return [dict(zip(header, row, strict=True)) for row in rows]


# What is written


def test_the_masks_are_nilearns(output):
    assert run_group(output) == 0
    masks = [nibabel.load(path) for path in sorted(output.glob("sub-*/func/*_mask.nii.gz"))]
    assert len(masks) == 4
    for name, threshold in (("majority", 0.5), ("intersection", 1)):
        theirs = intersect_masks(masks, threshold=threshold).get_fdata()
        ours = group_image(output, f"desc-{name}_mask")
        assert ours.dtype == np.uint8
        assert np.count_nonzero(ours != theirs) == 0
        assert 0 < theirs.sum() < theirs.size
    share = np.mean([one.get_fdata() for one in masks], axis=0)
    ours = group_image(output, "desc-share_probseg")
    assert ours.dtype == np.float32
    assert np.array_equal(ours, share.astype(np.float32))
    affine = nibabel.load(output / f"{GROUP}_desc-share_probseg.nii.gz").affine
    assert np.array_equal(affine, masks[0].affine)


def test_each_sidecar_tells_what_it_was_made_of(output):
    assert run_group(output) == 0
    for ending in PRODUCTS:
        told = group_sidecar(output, ending)
        assert told["Sources"] == [
            f"bids::sub-{n}/func/sub-{n}_{GROUP}_desc-derivative_mask.nii.gz" for n in "1234"
        ]
        assert (told["Runs"], told["Participants"]) == (4, 4)
        assert told["LeftOut"] == {}
        assert told["Strategies"] == {"derivative": 4}
        assert told["SpatialReference"] == SPACE
        assert told["Bytes"] == [(output / f"{GROUP}_{ending}.nii.gz").stat().st_size]
    majority = group_sidecar(output, "desc-majority_mask")
    assert majority["Threshold"] == 0.5
    assert majority["Voxels"] == np.count_nonzero(group_image(output, "desc-majority_mask"))


def test_runs_and_participants_are_counted_apart(output):
    write_run_outputs(output, "sub-1_task-rest_run-2", with_signals=False)
    assert run_group(output) == 0
    told = group_sidecar(output, "desc-majority_mask")
    assert (told["Runs"], told["Participants"]) == (5, 4)


def test_each_task_space_cohort_and_resolution_has_its_masks(tmp_path):
    output = write_outputs(tmp_path / "out", ())
    spaces = ("space-A_res-2", "space-A_res-native", "space-B_cohort-1", "space-B_cohort-2")
    for space in spaces:
        for stem in ("sub-1_task-a", "sub-2_task-a", "sub-1_task-b", "sub-2_task-b"):
            write_run_outputs(output, stem, space=space, with_signals=False)
    assert run_group(output) == 0
    written = {path.name for path in output.glob("task-*_desc-majority_mask.json")}
    assert written == {
        f"task-{task}_{space}_desc-majority_mask.json" for task in "ab" for space in spaces
    }
    told = group_sidecar(output, "desc-majority_mask", "task-a_space-A_res-2")
    assert told["Resolution"] == "res-2"


def test_what_all_runs_say_of_their_space_is_said_of_the_group(output):
    for path in output.glob("sub-*/func/*_mask.json"):
        change_sidecar(path, SpatialReference="file.nii.gz", Type="Brain")
    assert run_group(output) == 0
    told = group_sidecar(output, "desc-majority_mask")
    assert (told["SpatialReference"], told["Type"]) == ("file.nii.gz", "Brain")


@pytest.mark.parametrize("space", ["", "space-T1w"])
def test_spaces_of_one_participant_have_no_group_mask(tmp_path, capsys, space):
    output = write_outputs(tmp_path / "out", ("1", "2"), space=space, with_signals=False)
    assert run_group(output) == 0
    assert masks_of(output) == {}
    assert "note: no-group-mask" in capsys.readouterr().err


def test_masks_without_a_common_voxel_are_said_to_have_none(tmp_path, capsys):
    output = write_outputs(tmp_path / "out", ())
    for label, index in (("1", 0), ("2", 5)):
        voxels = np.zeros(SHAPE, bool)
        voxels[index] = True
        write_run_outputs(output, f"sub-{label}_task-rest", voxels=voxels, with_signals=False)
    assert run_group(output) == 0
    assert "warning: empty-mask" in capsys.readouterr().err
    assert not group_image(output, "desc-intersection_mask").any()
    assert group_image(output, "desc-share_probseg").max() == 0.5


@needs_validator
def test_the_official_validator_has_nothing_to_say(tmp_path):
    write_dataset(tmp_path / "in", ("01", "02"), tasks=("rest", "faces"))
    description = {**DERIVATIVE, "License": "CC0", "Authors": ["A B", "C D"]}
    (tmp_path / "in/dataset_description.json").write_text(json.dumps(description))
    options = ("--atlas", write_atlas(tmp_path), "--voxels")
    assert run_app(tmp_path / "in", tmp_path / "out", *options) == 0
    assert run_group(tmp_path / "out") == 0
    assert len(masks_of(tmp_path / "out")) == 12
    assert validator_issues(tmp_path / "out") == []


def test_group_masks_of_what_the_app_wrote(tmp_path):
    write_dataset(tmp_path / "in", ("01", "02", "03"))
    assert run_app(tmp_path / "in", tmp_path / "out", "--mask-strategy", "epi") == 0
    assert run_group(tmp_path / "out") == 0
    masks = [nibabel.load(path) for path in sorted(tmp_path.glob("out/sub-*/func/*_mask.nii.gz"))]
    theirs = intersect_masks(masks, threshold=0.5).get_fdata()
    assert np.array_equal(group_image(tmp_path / "out", "desc-majority_mask"), theirs)
    told = group_sidecar(tmp_path / "out", "desc-majority_mask")
    assert told["Strategies"] == {"epi": 3}
    assert told["Type"] == "Brain"


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


# What is read


def test_raw_data_are_not_looked_at(output, tmp_path):
    assert not (tmp_path / "no-bids").exists()
    assert run_group(output) == 0
    (output.parent / "no-bids").mkdir()
    (output.parent / "no-bids/dataset_description.json").write_text("broken")
    assert run_group(output) == 0


def test_labels_select(output):
    assert run_group(output, "--participant-label", "1", "sub-3") == 0
    sources = group_sidecar(output, "desc-majority_mask")["Sources"]
    assert [one[6:11] for one in sources] == ["sub-1", "sub-3"]


def test_one_participant_is_enough_with_a_warning(output, capsys):
    assert run_group(output, "--participant-label", "2") == 0
    assert "sub-2 is the only participant" in capsys.readouterr().err
    assert np.array_equal(
        group_image(output, "desc-intersection_mask"), image_of(mask_file(output, "2"))
    )


def test_the_mask_can_be_chosen(output, capsys):
    for label in "1234":
        for path in list((output / f"sub-{label}/func").glob("*_mask.*")):
            shutil.copy(path, path.with_name(path.name.replace("derivative", "epi")))
    assert run_group(output) == 1
    said = capsys.readouterr().err
    assert "error: unequal-choices" in said
    assert "Choose one with --mask-strategy." in said
    assert masks_of(output) == {}
    assert run_group(output, "--mask-strategy", "epi") == 0
    assert group_sidecar(output, "desc-majority_mask")["Strategies"] == {"epi": 4}
    before = masks_of(output)
    assert run_group(output, "--mask-strategy", "derivative") == 0
    after = masks_of(output)
    assert group_sidecar(output, "desc-majority_mask")["Strategies"] == {"derivative": 4}
    changed = {name for name in before if before[name] != after[name]}
    assert {name for name in before if name.endswith(".json")} <= changed


# Runs that are left out


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-5] ^= 16  # in the checksum
    path.write_bytes(content)


def three_values(path: Path) -> None:
    voxels = brain(SHAPE).astype(np.uint8)
    voxels[4, 4, 3] = 7
    write_mask(path, voxels)


def empty_mask(path: Path) -> None:
    write_mask(path, np.zeros(SHAPE))


def other_shape(path: Path) -> None:
    write_mask(path, brain((9, 9, 7)))


def shifted(path: Path) -> None:
    affine = AFFINE.copy()
    affine[0, 3] += 1
    write_mask(path, brain(SHAPE), affine)


def no_image(path: Path) -> None:
    path.write_bytes(b"nothing like an image" * 30)


def unfinished(path: Path) -> None:
    path.with_name(path.name.replace(".nii.gz", ".json")).unlink()


def empty_file(path: Path) -> None:
    path.write_bytes(b"")


SPOILT = {
    "a flipped bit": (flip_a_bit, "damaged-file", "is damaged"),
    "three values": (three_values, "unusable-mask", "other values such as"),
    "no voxel": (empty_mask, "unusable-mask", "is an empty mask"),
    "another shape": (other_shape, "grid-mismatch", "has shape (9, 9, 7), but shape (8, 9, 7)"),
    "another affine": (shifted, "grid-mismatch", "an affine that differs by up to 1 as in 3"),
    "no image": (no_image, "damaged-file", "is not a gzip file"),
    "a lost sidecar": (unfinished, "unfinished", "has no JSON file beside it"),
    "an empty file": (empty_file, "unfinished", "is empty (0 bytes)"),
}


@pytest.mark.parametrize("case", SPOILT)
def test_a_run_is_left_out_and_named_and_joined_when_mended(output, tmp_path, capsys, case):
    spoil, code, words = SPOILT[case]
    whole = shutil.copytree(output, tmp_path / "whole")
    spoil(mask_file(output, "3"))

    for _ in range(2):  # nothing is forgotten the second time
        assert run_group(output) == 1
        assert "The same command does again just what failed." in capsys.readouterr().err
        [finding] = [one for one in findings_of(output) if one["severity"] == "error"]
        assert (finding["code"], finding["participant"]) == (code, "3")
        assert words in finding["problem"]
        assert finding["advice"] in (
            "Remove it. Run the participant level again.",
            "Run the participant level again.",
            "Select runs of one grid by their labels.",
        )
        for ending in PRODUCTS:
            told = group_sidecar(output, ending)
            assert told["Runs"] == 3
            assert "sub-3" not in "".join(told["Sources"])
            [(label, reason)] = told["LeftOut"].items()
            assert label == f"sub-3_{GROUP}"
            assert words in reason
    others = [nibabel.load(mask_file(output, label)) for label in "124"]
    theirs = intersect_masks(others, threshold=0.5).get_fdata()
    assert np.array_equal(group_image(output, "desc-majority_mask"), theirs)

    shutil.rmtree(output / "sub-3")
    shutil.copytree(whole / "sub-3", output / "sub-3")
    assert run_group(output) == 0
    assert run_group(whole) == 0
    assert masks_of(output) == masks_of(whole)


def test_grids_of_which_none_is_usual_are_not_joined(output, capsys):
    for label in "12":
        shifted(mask_file(output, label))
    assert run_group(output) == 1
    said = capsys.readouterr().err
    assert f"{GROUP} has masks on 2 grids, none of which most runs have" in said
    assert masks_of(output) == {}


def test_without_a_single_mask_that_can_be_read_there_is_none(output):
    for label in "1234":
        three_values(mask_file(output, label))
    assert run_group(output) == 1
    [finding] = [one for one in findings_of(output) if one["where"] == GROUP]
    assert finding["problem"] == "has no mask that could be combined"
    assert masks_of(output) == {}


def test_without_a_single_header_that_can_be_read_there_is_none(output, capsys):
    for label in "1234":
        no_image(mask_file(output, label))
    assert run_group(output) == 1
    assert f"{GROUP} has no mask that can be read" in capsys.readouterr().err


def test_different_choices_stop_their_product_alone(output, capsys):
    for label in "1234":
        write_run_outputs(output, f"sub-{label}_task-faces", with_signals=False)
    path = mask_file(output, "2").parent / f"sub-2_{GROUP}_desc-derivative_mask.json"
    change_sidecar(path, StrategyArguments={"opening": 1})
    assert run_group(output) == 1
    said = capsys.readouterr().err
    assert "error: unequal-choices" in said
    assert f"StrategyArguments.opening is null for 3 runs, but 1 for sub-2_{GROUP}" in said
    assert {name.partition("_")[0] for name in masks_of(output)} == {"task-faces"}


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


def lose_sidecar(output: Path) -> None:
    (output / f"{GROUP}_desc-share_probseg.json").unlink()


def change_mask(output: Path) -> None:
    path = mask_file(output, "2")
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
    "a lost sidecar": (lose_sidecar, {"desc-share_probseg"}),
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
    unfinished(mask_file(output, "3"))
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
    assert group_sidecar(output, "desc-majority_mask")["Runs"] == 2
    assert run_group(output, "--config", config, "--high-pass", "0.01") == 64
    assert "--high-pass does nothing at the group level" in capsys.readouterr().err
    config.write_text("high_pas = 0.01\n")
    assert run_group(output, "--config", config) == 64


def test_the_first_failure_can_stop_the_rest(output):
    unfinished(mask_file(output, "3"))
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


# What is refused


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
}


@pytest.mark.parametrize("option", IDLE)
def test_an_option_that_does_nothing_is_refused(output, capsys, option):
    assert run_group(output, option, *IDLE[option]) == 64
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
