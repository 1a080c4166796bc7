"""Group masks: nilearn's, and what cannot be joined is left out by name."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest
from nilearn.masking import intersect_masks

from tests.make_app import image_of, needs_validator, run_app, validator_issues
from tests.make_group import (
    GROUP,
    MASK,
    change_sidecar,
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
from tests.make_images import AFFINE
from tests.make_runs import SHAPE, SPACE, brain, write_atlas, write_dataset
from tests.make_trees import DERIVATIVE

PRODUCTS = ("desc-intersection_mask", "desc-majority_mask", "desc-share_probseg")


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return write_masks(tmp_path / "out")


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
        ours = image_of(output / f"{GROUP}_desc-{name}_mask.nii.gz")
        assert ours.dtype == np.uint8
        assert np.count_nonzero(ours != theirs) == 0
        assert 0 < theirs.sum() < theirs.size
    share = np.mean([one.get_fdata() for one in masks], axis=0)
    ours = image_of(output / f"{GROUP}_desc-share_probseg.nii.gz")
    assert ours.dtype == np.float32
    assert np.array_equal(ours, share.astype(np.float32))
    affine = nibabel.load(output / f"{GROUP}_desc-share_probseg.nii.gz").affine
    assert np.array_equal(affine, masks[0].affine)


@pytest.mark.parametrize(
    ("method", "ending", "threshold"),
    [
        ("union", "desc-union_mask", 0),
        ("intersection", "desc-intersection_mask", 1),
        ("majority", "desc-majority_mask", 0.5),
        ("probability", "desc-share_probseg", None),
    ],
)
def test_the_one_way_that_is_asked_for_is_all_that_is_made(output, method, ending, threshold):
    options = ("--combine-masks", method, "--combine-over", "participant")
    assert run_group(output, *options) == 0
    assert {name.partition(".")[0] for name in masks_of(output)} == {f"{GROUP}_{ending}"}
    masks = [nibabel.load(path) for path in sorted(output.glob("sub-*/func/*_mask.nii.gz"))]
    theirs = np.mean([one.get_fdata() for one in masks], axis=0).astype(np.float32)
    if threshold is not None:
        theirs = intersect_masks(masks, threshold=threshold).get_fdata()
        assert sidecar_of(output, f"{GROUP}_{ending}")["Threshold"] == threshold
    assert np.count_nonzero(image_of(output / f"{GROUP}_{ending}.nii.gz") != theirs) == 0


def test_masks_joined_in_other_ways_are_left_as_they_are_and_not_called_orphans(output):
    assert run_group(output) == 0
    before = masks_of(output)
    assert run_group(output, "--combine-masks", "union") == 0
    assert "orphaned" not in {one["code"] for one in findings_of(output)}
    after = masks_of(output)
    assert {name: after[name] for name in before} == before
    assert run_group(output) == 0
    assert "orphaned" not in {one["code"] for one in findings_of(output)}
    assert masks_of(output) == after


def test_each_sidecar_tells_what_it_was_made_of(output):
    assert run_group(output) == 0
    for ending in PRODUCTS:
        told = sidecar_of(output, f"{GROUP}_{ending}")
        assert told["Sources"] == [
            f"bids::sub-{n}/func/sub-{n}_{GROUP}_desc-derivative_mask.nii.gz" for n in "1234"
        ]
        assert (told["Runs"], told["Participants"]) == (4, 4)
        assert told["LeftOut"] == {}
        assert told["Strategies"] == {"derivative": 4}
        assert told["SpatialReference"] == SPACE
        files = [f"{ending}.nii.gz", f"{ending.replace('_mask', '_qc')}.json"]
        files = files[:1] if ending.endswith("probseg") else files
        assert told["Bytes"] == [(output / f"{GROUP}_{one}").stat().st_size for one in files]
    majority = sidecar_of(output, f"{GROUP}_desc-majority_mask")
    assert majority["Threshold"] == 0.5
    assert majority["Voxels"] == np.count_nonzero(
        image_of(output / f"{GROUP}_desc-majority_mask.nii.gz")
    )


def test_runs_and_participants_are_counted_apart(output):
    write_run_outputs(output, "sub-1_task-rest_run-2", with_signals=False)
    assert run_group(output) == 0
    told = sidecar_of(output, f"{GROUP}_desc-majority_mask")
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
    told = sidecar_of(output, "task-a_space-A_res-2_desc-majority_mask")
    assert told["Resolution"] == "res-2"


def test_what_all_runs_say_of_their_space_is_said_of_the_group(output):
    for path in output.glob("sub-*/func/*_mask.json"):
        change_sidecar(path, SpatialReference="file.nii.gz", Type="Brain")
    assert run_group(output) == 0
    told = sidecar_of(output, f"{GROUP}_desc-majority_mask")
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
    assert not image_of(output / f"{GROUP}_desc-intersection_mask.nii.gz").any()
    assert image_of(output / f"{GROUP}_desc-share_probseg.nii.gz").max() == 0.5


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


def test_masks_of_anatomical_images_are_joined_by_contrast(tmp_path):
    output = write_outputs(tmp_path / "out", ("1", "2"), with_signals=False)
    for label in "12":
        folder = output / f"sub-{label}/anat"
        folder.mkdir()
        for shift, contrast in ((1, ""), (-1, "_mod-T2w")):
            name = f"sub-{label}{contrast}_space-{SPACE}_desc-derivative_mask"
            write_mask(folder / f"{name}.nii.gz", np.roll(brain(SHAPE), shift, axis=1))
            write_sidecar(folder / f"{name}.json", StrategyReason="asked for")
    assert run_group(output) == 0
    series, t1w, t2w = (
        image_of(output / f"{group}_space-{SPACE}_desc-majority_mask.nii.gz")
        for group in ("task-rest", "mod-T1w", "mod-T2w")
    )
    assert np.array_equal(t1w, np.roll(brain(SHAPE), 1, axis=1))
    assert np.array_equal(t2w, np.roll(brain(SHAPE), -1, axis=1))
    assert not np.array_equal(series, t1w)
    rows = (output / "desc-group_qc.tsv").read_text().splitlines()
    assert len(rows) == 1 + 6


@pytest.mark.parametrize(
    ("option", "n_joined"), [(("--session-label", "1"), 2), (("--space", "T1w"), 2)]
)
def test_anatomical_masks_belong_to_every_session_that_their_names_do_not_tell(
    tmp_path, option, n_joined
):
    output = write_outputs(tmp_path / "out", ())
    for label in "12":
        write_run_outputs(output, f"sub-{label}_ses-1_task-rest", with_signals=False)
        folder = output / f"sub-{label}/anat"
        folder.mkdir()
        for space in ("", f"space-{SPACE}_"):
            name = f"sub-{label}_{space}desc-derivative_mask"
            write_mask(folder / f"{name}.nii.gz", brain(SHAPE))
            write_sidecar(folder / f"{name}.json", StrategyReason="asked for")
    assert run_group(output, *option) == 0
    rows = (output / "desc-group_qc.tsv").read_text().splitlines()[1:]
    own = [row for row in rows if "task-rest" not in row and SPACE not in row]
    assert len(own) == n_joined
    assert (output / f"mod-T1w_space-{SPACE}_desc-majority_mask.nii.gz").exists() == (
        option[0] == "--session-label"
    )


def test_group_masks_of_what_the_app_wrote(tmp_path):
    write_dataset(tmp_path / "in", ("01", "02", "03"))
    assert run_app(tmp_path / "in", tmp_path / "out", "--mask-strategy", "epi") == 0
    assert run_group(tmp_path / "out") == 0
    masks = [nibabel.load(path) for path in sorted(tmp_path.glob("out/sub-*/func/*_mask.nii.gz"))]
    theirs = intersect_masks(masks, threshold=0.5).get_fdata()
    assert np.array_equal(image_of(tmp_path / "out" / f"{GROUP}_desc-majority_mask.nii.gz"), theirs)
    told = sidecar_of(tmp_path / "out", f"{GROUP}_desc-majority_mask")
    assert told["Strategies"] == {"epi": 3}
    assert told["Type"] == "Brain"


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
    assert sidecar_of(output, f"{GROUP}_desc-majority_mask")["Strategies"] == {"epi": 4}
    before = masks_of(output)
    assert run_group(output, "--mask-strategy", "derivative") == 0
    after = masks_of(output)
    assert sidecar_of(output, f"{GROUP}_desc-majority_mask")["Strategies"] == {"derivative": 4}
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


def empty_file(path: Path) -> None:
    path.write_bytes(b"")


SPOILT = {
    "a flipped bit": (flip_a_bit, "damaged-file", "is damaged"),
    "three values": (three_values, "unusable-mask", "other values such as"),
    "no voxel": (empty_mask, "unusable-mask", "is an empty mask"),
    "another shape": (other_shape, "grid-mismatch", "has shape (9, 9, 7), but shape (8, 9, 7)"),
    "another affine": (shifted, "grid-mismatch", "an affine that differs by up to 1 as in 3"),
    "no image": (no_image, "damaged-file", "is not a gzip file"),
    "a lost sidecar": (lose_sidecar, "unfinished", "has no JSON file beside it"),
    "an empty file": (empty_file, "unfinished", "is empty (0 bytes)"),
}


@pytest.mark.parametrize("case", SPOILT)
def test_a_run_is_left_out_and_named_and_joined_when_mended(output, tmp_path, capsys, case):
    spoil, code, words = SPOILT[case]
    whole = shutil.copytree(output, tmp_path / "whole")
    spoil(file_of(output, "3", MASK))

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
            told = sidecar_of(output, f"{GROUP}_{ending}")
            assert told["Runs"] == 3
            assert "sub-3" not in "".join(told["Sources"])
            [(label, reason)] = told["LeftOut"].items()
            assert label == f"sub-3_{GROUP}"
            assert words in reason
    others = [nibabel.load(file_of(output, label, MASK)) for label in "124"]
    theirs = intersect_masks(others, threshold=0.5).get_fdata()
    assert np.array_equal(image_of(output / f"{GROUP}_desc-majority_mask.nii.gz"), theirs)

    shutil.rmtree(output / "sub-3")
    shutil.copytree(whole / "sub-3", output / "sub-3")
    assert run_group(output) == 0
    assert run_group(whole) == 0
    assert masks_of(output) == masks_of(whole)


def test_grids_of_which_none_is_usual_are_not_joined(output, capsys):
    for label in "12":
        shifted(file_of(output, label, MASK))
    assert run_group(output) == 1
    said = capsys.readouterr().err
    assert f"{GROUP} has masks on 2 grids, none of which most runs have" in said
    assert masks_of(output) == {}


def test_without_a_single_mask_that_can_be_read_there_is_none(output):
    for label in "1234":
        three_values(file_of(output, label, MASK))
    assert run_group(output) == 1
    [finding] = [one for one in findings_of(output) if one["where"] == GROUP]
    assert finding["problem"] == "has no mask that could be combined"
    assert masks_of(output) == {}


def test_without_a_single_header_that_can_be_read_there_is_none(output, capsys):
    for label in "1234":
        no_image(file_of(output, label, MASK))
    assert run_group(output) == 1
    assert f"{GROUP} has no mask that can be read" in capsys.readouterr().err


def test_different_choices_stop_their_product_alone(output, capsys):
    for label in "1234":
        write_run_outputs(output, f"sub-{label}_task-faces", with_signals=False)
    path = file_of(output, "2", MASK).parent / f"sub-2_{GROUP}_desc-derivative_mask.json"
    change_sidecar(path, StrategyArguments={"opening": 1})
    assert run_group(output) == 1
    said = capsys.readouterr().err
    assert "error: unequal-choices" in said
    assert f"StrategyArguments.opening is null for 3 runs, but 1 for sub-2_{GROUP}" in said
    assert {name.partition("_")[0] for name in masks_of(output)} == {"task-faces"}
