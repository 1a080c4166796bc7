"""A folder of images that is no BIDS dataset: a mask of each, and what is said of the rest."""

from __future__ import annotations

import json
import os
import re
import shutil
import warnings
from pathlib import Path

import nibabel
import nidataset.volume
import numpy as np
import pytest

from bidsmask import generate_brain_mask_dataset
from bidsmask.cli import main
from tests.make_app import image_of, nidatasets_mask, run_app, run_on_terminal
from tests.make_heads import dice
from tests.make_images import BAD_IMAGES, SHARED, head_volumes, write_image
from tests.make_runs import contents, leftovers
from tests.make_trees import DERIVATIVE, RAW, write_tree

HEAD = head_volumes(n_volumes=1)[..., 0].astype(np.float32)
OTSU = ("--mask-only", "--mask-strategy", "otsu")
REFERENCES = SHARED / "references"
needs_references = pytest.mark.skipif(
    not REFERENCES.is_dir(), reason="the shared data are not beside the project"
)


def folder_of(root: Path, *names: str) -> Path:
    """Write a folder of heads, each another."""
    root.mkdir()
    for seed, name in enumerate(names):
        write_image(root / name, head_volumes(n_volumes=1, seed=seed)[..., 0].astype(np.float32))
    return root


def masks(output: Path) -> list[str]:
    """Return the masks in an output."""
    return sorted(path.name for path in output.glob("*_mask.nii.gz"))


def test_the_masks_of_a_folder_are_nidatasets_under_its_names(tmp_path):
    root = folder_of(tmp_path / "in", "b.nii", "sub-01.a_T1w.nii.gz", "c d.nii.gz", "d_mask.nii")
    assert run_app(root, tmp_path / "out", *OTSU) == 0
    ours = masks(tmp_path / "out")
    assert ours == [
        "b_mask.nii.gz",
        "c d_mask.nii.gz",
        "d_mask_mask.nii.gz",
        "sub-01.a_T1w_mask.nii.gz",
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = nidataset.volume.generate_brain_mask_dataset(str(root), str(tmp_path / "theirs"))
    assert ours == sorted(Path(path).name for path in theirs)
    for name in ours:
        mask, their_mask = (nibabel.load(tmp_path / place / name) for place in ("out", "theirs"))
        np.testing.assert_array_equal(mask.dataobj, their_mask.dataobj)
        np.testing.assert_allclose(mask.affine, their_mask.affine, atol=1e-6)
        assert mask.get_data_dtype() == np.uint8


def test_the_function_in_python_makes_the_same_masks(tmp_path):
    root = folder_of(tmp_path / "in", "a.nii", "b.nii.gz")
    options = ("--mask-args", "threshold=500,2000", "closing_radius=1")
    assert run_app(root, tmp_path / "out", *OTSU, *options) == 0
    generate_brain_mask_dataset(root, tmp_path / "python", (500, 2000), closing_radius=1)
    for name in masks(tmp_path / "out"):
        ours, python = (image_of(tmp_path / place / name) for place in ("out", "python"))
        np.testing.assert_array_equal(ours, python)
    assert masks(tmp_path / "python") == masks(tmp_path / "out")


def test_a_series_is_masked_by_its_mean(tmp_path):
    root = folder_of(tmp_path / "in")
    write_image(root / "bold.nii.gz", head_volumes(n_volumes=6).astype(np.int16))
    assert run_app(root, tmp_path / "out", *OTSU) == 0
    expected = nidatasets_mask(root / "bold.nii.gz", tmp_path / "theirs")
    np.testing.assert_array_equal(image_of(tmp_path / "out/bold_mask.nii.gz"), expected)


def test_only_masks_their_sidecars_and_logs_are_written_and_nothing_is_changed(tmp_path):
    root = folder_of(tmp_path / "in", "a.nii")
    before = contents(root)
    assert run_app(root, tmp_path / "out", *OTSU) == 0
    assert sorted(contents(tmp_path / "out")) == ["a_mask.json", "a_mask.nii.gz", "a_qc.json"]
    assert contents(root) == before
    sidecar = json.loads((tmp_path / "out/a_mask.json").read_text())
    assert (sidecar["Type"], sidecar["Sources"], sidecar["Strategy"]) == (
        "Brain",
        ["a.nii"],
        "otsu",
    )
    assert str(tmp_path) not in (tmp_path / "out/a_mask.json").read_text()


@pytest.mark.parametrize("kind", BAD_IMAGES)
def test_a_bad_image_does_not_stop_the_others(tmp_path, capsys, kind):
    root = folder_of(tmp_path / "in", "a.nii", "z.nii")
    content, sentence = BAD_IMAGES[kind]
    (root / "bad.nii").write_bytes(content)
    assert run_app(root, tmp_path / "out", *OTSU) == 1
    said = capsys.readouterr().err
    assert f"bad.nii {sentence}" in said
    assert "2 done, 0 up to date, 1 failed." in said
    assert masks(tmp_path / "out") == ["a_mask.nii.gz", "z_mask.nii.gz"]
    assert leftovers(tmp_path / "out") == []


def test_a_folder_of_bad_images_alone_has_the_exit_code_of_data(tmp_path):
    root = folder_of(tmp_path / "in")
    for kind, (content, _) in BAD_IMAGES.items():
        (root / f"{kind}.nii").write_bytes(content)
    assert run_app(root, tmp_path / "out", *OTSU) == 65


def test_links_are_followed_and_what_is_no_file_is_named(tmp_path, capsys):
    outside = folder_of(tmp_path / "outside", "a.nii.gz")
    root = folder_of(tmp_path / "in")
    (root / "linked.nii.gz").symlink_to(outside / "a.nii.gz")
    (root / "folder.nii").symlink_to(outside)
    (root / "annexed.nii").symlink_to(".git/annex/objects/x/MD5E-s7--0.nii")
    os.mkfifo(root / "pipe.nii")
    assert run_app(root, tmp_path / "out", *OTSU) == 1
    said = capsys.readouterr().err
    assert masks(tmp_path / "out") == ["linked_mask.nii.gz"]
    assert "datalad get" in said
    assert "pipe.nii is not a file" in said
    assert "1 done, 0 up to date, 2 failed." in said


def test_a_link_in_the_output_is_replaced_and_not_followed(tmp_path):
    root = folder_of(tmp_path / "in", "a.nii")
    (tmp_path / "out").mkdir()
    (tmp_path / "precious").write_text("x")
    (tmp_path / "out/a_mask.nii.gz").symlink_to(tmp_path / "precious")
    assert run_app(root, tmp_path / "out", *OTSU) == 0
    assert (tmp_path / "precious").read_text() == "x"
    assert image_of(tmp_path / "out/a_mask.nii.gz").any()


def test_two_images_never_meet_in_one_name(tmp_path, capsys):
    root = folder_of(tmp_path / "in", "a.nii", "a.nii.gz")
    assert run_app(root, tmp_path / "out", *OTSU) == 1
    assert "a.nii.gz would have the mask a_mask.nii.gz, as a.nii has" in capsys.readouterr().err
    expected = nidatasets_mask(root / "a.nii", tmp_path / "theirs")
    np.testing.assert_array_equal(image_of(tmp_path / "out/a_mask.nii.gz"), expected)


def test_hidden_images_and_folders_are_noted(tmp_path, capsys):
    root = folder_of(tmp_path / "in", "a.nii", "._a.nii", ".b.nii.gz")
    folder_of(root / "inner", "c.nii")
    assert run_app(root, tmp_path / "out", *OTSU) == 0
    said = capsys.readouterr().err
    assert "in holds 2 hidden images, which are left out" in said
    assert "in holds 1 folders, whose images are not masked" in said
    assert masks(tmp_path / "out") == ["a_mask.nii.gz"]


def test_the_same_command_again_does_what_failed_or_changed(tmp_path, capsys):
    root = folder_of(tmp_path / "in", "a.nii", "b.nii", "c.nii")
    (root / "c.nii").write_bytes(b"")
    assert run_app(root, tmp_path / "out", *OTSU) == 1
    write_image(root / "b.nii", HEAD + 5)
    write_image(root / "c.nii", HEAD)
    (tmp_path / "out/.bidsmask-0123456789abcdef.part").write_bytes(b"half")
    capsys.readouterr()
    assert run_app(root, tmp_path / "out", *OTSU) == 0
    assert "2 done, 1 up to date, 0 failed." in capsys.readouterr().err
    assert leftovers(tmp_path / "out") == []
    assert run_app(root, tmp_path / "out", *OTSU, "--mask-args", "closing_radius=1") == 0
    assert "3 done" in capsys.readouterr().err


def test_a_dry_run_says_what_would_be_done(tmp_path, capsys):
    root = folder_of(tmp_path / "in", "a.nii", "a.nii.gz", "b.nii")
    assert run_app(root, tmp_path / "out", *OTSU, "--dry-run") == 1
    said = capsys.readouterr().out
    assert re.findall(r"^ +(.*)$", said, re.MULTILINE) == [
        f"{name}_{ending}" for name in "ab" for ending in ("qc.json", "mask.nii.gz")
    ]
    assert "failed: a.nii.gz" in said
    assert not (tmp_path / "out").exists()


def test_a_terminal_shows_from_the_start_how_many_there_are(tmp_path):
    root = folder_of(tmp_path / "in", *[f"{number}.nii" for number in range(5)])
    exit_code, said = run_on_terminal(root, tmp_path / "out", *OTSU)
    assert exit_code == 0
    assert set(re.findall(r"\d/(\d)", said)) == {"5"}
    assert "5 done, 0 up to date, 0 failed." in said


# What is no folder of images


def test_without_mask_only_a_folder_is_no_dataset(tmp_path, capsys):
    assert run_app(folder_of(tmp_path / "in", "a.nii"), tmp_path / "out") == 16
    said = capsys.readouterr().err
    assert "dataset_description.json is missing" in said
    assert "--mask-only" in said


def test_a_folder_without_an_image_says_so(tmp_path, capsys):
    root = write_tree(tmp_path / "in", {"notes.txt": "", "inner/a.nii": ""})
    assert run_app(root, tmp_path / "out", *OTSU) == 16
    said = capsys.readouterr().err
    assert "holds neither dataset_description.json nor an image, .nii or .nii.gz" in said
    assert "in the folder itself" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "files",
    [
        ["a.nii", "sub-01/func/sub-01_task-a_bold.nii"],
        ["a.nii", "dataset_description.json"],
    ],
    ids=["participants", "a broken description"],
)
def test_what_is_not_a_folder_of_images_alone_is_held_to_be_bids(tmp_path, capsys, files):
    root = write_tree(tmp_path / "in", dict.fromkeys(files, ""))
    assert run_app(root, tmp_path / "out", *OTSU) == 16
    assert "dataset_description.json" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "options",
    [
        ("--participant-label", "01"),
        ("--session-label", "1"),
        ("--task-label", "a"),
        ("--run-label", "1"),
        ("--space", "T1w"),
        ("--datatype", "both"),
        ("--bids-filter-file", "{in}/a.nii"),
        ("--combine-masks", "union"),
        ("--signal-mask", "1"),
        ("-d", "{in}"),
    ],
)
def test_what_selects_from_a_dataset_is_refused(tmp_path, capsys, options):
    root = folder_of(tmp_path / "in", "a.nii")
    words = [word.replace("{in}", str(root)) for word in options]
    assert run_app(root, tmp_path / "out", *OTSU, *words) == 64
    said = capsys.readouterr().err
    name = {"-d": "--derivatives"}.get(options[0], options[0])
    assert f"{name} does nothing in a folder that is no BIDS dataset" in said


@pytest.mark.parametrize("place", ["in", "in/out", "in/derivatives/bidsmask"])
def test_an_output_in_the_folder_is_refused(tmp_path, place):
    root = folder_of(tmp_path / "in", "a.nii")
    assert run_app(root, tmp_path / place, *OTSU) == 73
    assert sorted(contents(root)) == ["a.nii"]


@pytest.mark.parametrize(
    "description", [RAW, DERIVATIVE, {**DERIVATIVE, "GeneratedBy": [{"Name": "bidsmask"}]}]
)
def test_a_dataset_as_output_is_refused(tmp_path, description):
    root = folder_of(tmp_path / "in", "a.nii")
    write_tree(tmp_path / "out", {"dataset_description.json": description})
    assert run_app(root, tmp_path / "out", *OTSU) == 73


def test_an_output_that_cannot_be_made_is_refused(tmp_path):
    root = folder_of(tmp_path / "in", "a.nii")
    (tmp_path / "file").touch()
    assert run_app(root, tmp_path / "file/out", *OTSU) == 73


def test_the_group_level_has_nothing_to_join(tmp_path):
    root = folder_of(tmp_path / "in", "a.nii")
    assert run_app(root, tmp_path / "out", *OTSU) == 0
    assert main([str(root), str(tmp_path / "out"), "group"]) == 16


def test_why_a_mask_of_no_dataset_was_chosen_speaks_of_no_preprocessing(tmp_path, monkeypatch):
    monkeypatch.setenv("TEMPLATEFLOW_HOME", str(tmp_path / "nothing"))
    root = folder_of(tmp_path / "in", "a_bold.nii")
    assert run_app(root, tmp_path / "out", "--mask-only") == 0
    reason = json.loads((tmp_path / "out/a_bold_mask.json").read_text())["StrategyReason"]
    assert reason.startswith("auto: the image is of no BIDS dataset")
    assert "preprocessing" not in reason


@needs_references
@pytest.mark.slow
def test_auto_takes_the_contrast_from_the_name(tmp_path, monkeypatch):
    monkeypatch.setenv("TEMPLATEFLOW_HOME", str(SHARED / "templateflow"))
    root = folder_of(tmp_path / "in")
    (root / "mrtrix-sub01_T1w.nii.gz").symlink_to(REFERENCES / "mrtrix-sub01_T1w.nii.gz")
    assert run_app(root, tmp_path / "out", "--mask-only") == 0
    mask = image_of(tmp_path / "out/mrtrix-sub01_T1w_mask.nii.gz").astype(bool)
    trusted = image_of(REFERENCES / "mrtrix-sub01_T1w_mask.nii.gz").astype(bool)
    assert dice(mask, trusted) > 0.96
    sidecar = json.loads((tmp_path / "out/mrtrix-sub01_T1w_mask.json").read_text())
    assert (sidecar["Strategy"], sidecar["StrategyArguments"]["contrast"]) == ("brain", "T1w")


@needs_references
def test_the_masks_of_a_folder_of_real_heads_are_nidatasets(tmp_path):
    root = folder_of(tmp_path / "in")
    for name in ("ls2001_EPI.nii.gz", "mrtrix-sub01_T1w.nii.gz", "mrtrix-sub01_T1w_mask.nii.gz"):
        shutil.copyfile(REFERENCES / name, root / name)
    assert run_app(root, tmp_path / "out", *OTSU) == 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = nidataset.volume.generate_brain_mask_dataset(str(root), str(tmp_path / "theirs"))
    assert len(theirs) == 3
    for path in theirs:
        np.testing.assert_array_equal(image_of(tmp_path / "out" / Path(path).name), image_of(path))
