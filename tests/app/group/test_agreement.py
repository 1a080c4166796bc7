"""Outputs of two configurations in one folder: each difference is found, whatever hides it."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest

from bidsmask.app.group.agreement import conflict_of
from bidsmask.app.group.cohort import read_cohort
from bidsmask.app.group.run_outputs import ProductName
from bidsmask.app.options import Options
from tests.make_app import run_app
from tests.make_group import change_sidecar, run_group, write_outputs
from tests.make_images import AFFINE, write_image
from tests.make_runs import SPACE, brain, write_atlas, write_dataset

KINDS = ("atlas", "coverage", "signals")


@pytest.fixture
def bids(tmp_path: Path) -> Path:
    write_dataset(tmp_path / "bids", ("01", "02", "03"))
    return tmp_path / "bids"


def swapped(folder: Path) -> Path:
    """Write the atlas again with its first two regions swapped, under the same names."""
    image = write_atlas(folder)
    labels = np.asarray(nibabel.load(image).dataobj).astype(np.uint8)
    return write_image(image, np.array([0, 2, 1, 3, 4], np.uint8)[labels], affine=AFFINE)


def conflicts(output: Path) -> dict[str, str]:
    """Return what is at odds, by kind of product."""
    [group] = read_cohort(Options(Path("none"), output, "group")).groups
    return {name.kind: str(error) for name, error in group.conflicts.items()}


# Atlases


def test_another_atlas_of_the_same_name_is_refused_and_nothing_changes(bids, tmp_path, capsys):
    output = tmp_path / "out"
    first = write_atlas(tmp_path / "one")
    other = swapped(tmp_path / "two")
    assert run_app(bids, output, "--atlas", first, "--participant-label", "01", "02") == 0
    capsys.readouterr()
    third = ("--participant-label", "03")
    assert run_app(bids, output, "--atlas", other, *third, "--dry-run") == 65
    assert run_app(bids, output, "--atlas", other, *third) == 65
    said = capsys.readouterr().err
    assert "is another atlas than the one of the same name" in said
    assert "--force" in said
    [kept] = output.glob("atlases/*_dseg.nii.gz")
    assert kept.read_bytes() == first.read_bytes()
    assert not list(output.glob("sub-03/func/*_dseg.*"))


def test_the_same_atlas_may_lie_elsewhere(bids, tmp_path):
    output = tmp_path / "out"
    for label, folder in (("01", "one"), ("02", "two"), ("03", "three")):
        atlas = write_atlas(tmp_path / folder)
        assert run_app(bids, output, "--atlas", atlas, "--participant-label", label) == 0
    assert conflicts(output) == {}
    assert run_group(output) == 0


def test_where_another_atlas_was_forced_the_runs_are_not_joined(bids, tmp_path, capsys):
    output = tmp_path / "out"
    assert run_app(bids, output, "--atlas", write_atlas(tmp_path / "atlas")) == 0
    atlas = swapped(tmp_path / "atlas")
    third = ("--participant-label", "03", "--force")
    assert run_app(bids, output, "--atlas", atlas, *third) == 0
    found = conflicts(output)
    assert set(found) == set(KINDS)
    for text in found.values():
        assert "AtlasIdentity is" in text
        assert f"for sub-03_task-rest_space-{SPACE}" in text
    assert run_group(output) == 1
    assert list(output.glob("task-*.h5")) == []
    assert "error: unequal-choices" in capsys.readouterr().err
    assert run_app(bids, output, "--atlas", atlas, "--force") == 0
    assert conflicts(output) == {}
    assert run_group(output) == 0


def test_other_names_of_the_regions_are_columns_of_their_own(bids, tmp_path, capsys):
    output = tmp_path / "out"
    assert run_app(bids, output, "--atlas", write_atlas(tmp_path / "atlas")) == 0
    rows = "1\tblock2\n2\tblock1\n3\tblock3\n4\tblock4\n"
    atlas = write_atlas(tmp_path / "atlas", rows=rows)
    assert run_app(bids, output, "--atlas", atlas, "--participant-label", "03") == 0
    assert run_group(output) == 1
    [path] = output.glob("task-*_signals.json")
    assert list(json.loads(path.read_text())["LeftOut"]) == [f"sub-03_task-rest_space-{SPACE}"]


# Masks


def mask_image(path: Path, shift: int) -> Path:
    return write_image(path, np.roll(brain(), shift, axis=0).astype(np.uint8))


def test_masks_of_two_files_are_not_joined(bids, tmp_path, capsys):
    output = tmp_path / "out"
    atlas = write_atlas(tmp_path / "atlas")
    for shift, labels in enumerate([("01", "02"), ("03",)]):
        mask = mask_image(tmp_path / "mask.nii.gz", shift)
        options = ("--atlas", atlas, "--mask-file", mask, "--participant-label", *labels)
        assert run_app(bids, output, *options) == 0
    found = conflicts(output)
    assert set(found) == {"mask", "coverage", "signals"}
    assert all("MaskIdentity is" in text for text in found.values())
    assert run_group(output) == 1
    assert "Run the participant level with one --mask-file or --template" in capsys.readouterr().err
    assert list(output.glob("task-*")) == []

    options = ("--atlas", atlas, "--mask-file", mask_image(tmp_path / "mask.nii.gz", 0))
    assert run_app(bids, output, *options) == 0
    assert run_group(output) == 0
    assert len(list(output.glob("task-*_signals.h5"))) == 1


def test_signals_within_masks_of_other_arguments_are_not_joined(bids, tmp_path):
    output = tmp_path / "out"
    atlas = write_atlas(tmp_path / "atlas")
    options = ("--atlas", atlas, "--mask-strategy", "epi")
    assert run_app(bids, output, *options, "--participant-label", "01", "02") == 0
    assert run_app(bids, output, *options, "--mask-args", "opening=1") == 0
    assert conflicts(output) == {}
    assert run_app(bids, output, *options, "--participant-label", "03") == 0
    found = conflicts(output)
    assert set(found) == {"mask", "coverage", "signals"}
    for kind, key in (("mask", "Strategy"), ("coverage", "Mask"), ("signals", "Mask")):
        assert f"{key}Arguments.opening is 1 for 2 runs, but 2 for sub-03" in found[kind]


def test_of_many_values_a_few_are_told(bids, tmp_path):
    output = write_outputs(tmp_path / "out", map(str, range(1, 9)))
    for number, path in enumerate(sorted(output.glob("sub-*/func/*_mask.json"))):
        change_sidecar(path, MaskIdentity=f"sha256:{number}")
    text = conflicts(output)["mask"]
    assert text.count("sha256:") == 4
    assert "; and 4 more values. Run" in text


def test_the_same_mask_may_lie_elsewhere(bids, tmp_path):
    output = tmp_path / "out"
    for label in ("01", "02", "03"):
        mask = mask_image(tmp_path / f"{label}.nii.gz", 0)
        options = ("--mask-only", "--mask-file", mask, "--participant-label", label)
        assert run_app(bids, output, *options) == 0
    assert conflicts(output) == {}


def test_the_masks_of_participants_are_no_choice(bids, tmp_path):
    output = tmp_path / "out"
    for number, path in enumerate(sorted(bids.glob("sub-*/func/*desc-brain_mask.nii.gz"))):
        mask_image(path, number % 2)
    assert run_app(bids, output, "--mask-only") == 0
    sidecars = [json.loads(path.read_text()) for path in output.glob("sub-*/func/*_mask.json")]
    assert len(sidecars) == 3
    assert not any("MaskIdentity" in told for told in sidecars)
    [group] = read_cohort(Options(Path("none"), output, "group")).groups
    assert conflict_of(group.label, ProductName("mask", desc="derivative"), group.runs) is None


# Masks that runs share


def union_of(bids: Path, output: Path, atlas: Path, *options: object) -> None:
    """Write signals within the union of the masks of each participant."""
    words = ("--mask-strategy", "epi", "--combine-masks", "union", *options)
    assert run_app(bids, output, "--atlas", atlas, *words) == 0


def test_signals_of_shared_masks_are_joined_also_where_their_strategy_is_chosen(bids, tmp_path):
    output = tmp_path / "out"
    union_of(bids, output, write_atlas(tmp_path / "atlas"))
    for options in ((), ("--mask-strategy", "epi")):
        assert run_group(output, *options) == 0
        [told] = output.glob("task-*_signals.json")
        assert json.loads(told.read_text())["Runs"] == 3


@pytest.mark.parametrize(
    ("others", "told"),
    [
        (("--combine-masks", "intersection"), "the mask is derivativeUnion for 2 runs, but"),
        (("--signal-mask", "1"), "the mask is derivativeUnion for 2 runs, but derivativeSignal"),
        ((), "the mask is derivativeUnion for 2 runs, but derivative for sub-03"),
        (("--combine-masks", "union", "--combine-over", "session"), "MaskCombination.Over is"),
        (("--combine-masks", "union", "--signal-mask", "1"), "MaskCombination.SignalShare is"),
    ],
)
def test_signals_of_masks_shared_otherwise_are_at_odds(bids, tmp_path, others, told):
    output, atlas = tmp_path / "out", write_atlas(tmp_path / "atlas")
    both, third = ("--participant-label", "01", "02"), ("--participant-label", "03")
    assert run_app(bids, output, "--atlas", atlas, "--combine-masks", "union", *both) == 0
    assert run_app(bids, output, "--atlas", atlas, *others, *third) == 0
    found = conflicts(output)
    assert set(found) == {"coverage", "signals"}
    assert told in found["signals"]
