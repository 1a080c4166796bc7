"""What an output says about itself, alone and with other runs beside; and what is refused."""

import json
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from bidsmask.bids import description as module
from bidsmask.bids.description import (
    Origin,
    prepare_output,
    publish_atlas,
    publish_participants,
)
from bidsmask.bids.entities import Entities
from bidsmask.bids.publish import publish, publish_json, publish_product
from bidsmask.bids.tables import read_table, table_bytes
from bidsmask.errors import OutputRefused, UnusableTable, WritingFailed

AUTHORS = ["A. One", "B. Two"]


@pytest.fixture
def raw(tmp_path):
    root = tmp_path / "raw"
    description = {"Name": "Heads", "BIDSVersion": "1.8.0", "License": "CC0", "Authors": AUTHORS}
    publish_json(root / "dataset_description.json", {**description, "DatasetDOI": "10.1/x"})
    publish(
        root / "participants.tsv",
        b"participant_id\tage\tgroup\nsub-02\t31\tA\nsub-01\t0.50\tn/a\nsub-10\t7\tB\n",
    )
    publish_json(root / "participants.json", {"group": {"Levels": {"A": "x", "B": "y"}}})
    return root


@pytest.fixture
def fmriprep(raw):
    root = raw / "derivatives" / "fmriprep"
    made = {"GeneratedBy": [{"Name": "fMRIPrep", "Version": "23.1.0"}]}
    publish_json(root / "dataset_description.json", {"DatasetType": "derivative", **made})
    return root


@pytest.fixture
def origin(raw, fmriprep):
    return Origin({"raw": raw, "fmriprep": fmriprep})


@pytest.fixture
def output(raw):
    return raw / "derivatives" / "bidsmask"


def read_json(path):
    return json.loads(path.read_text(encoding="utf-8"))


# dataset_description.json, .bidsignore, README.md


def test_the_description_says_what_made_it_and_of_what(output, origin):
    prepare_output(output, origin)
    description = read_json(output / "dataset_description.json")
    assert description["DatasetType"] == "derivative"
    assert description["Name"] == "Brain masks and cleaned signals of Heads"
    assert description["License"] == "CC0"
    assert description["Authors"] == AUTHORS
    assert [maker["Name"] for maker in description["GeneratedBy"]] == ["bidsmask"]
    assert description["DatasetLinks"] == {"fmriprep": "../fmriprep", "raw": "../.."}
    assert description["SourceDatasets"] == [
        {"URL": "bids:fmriprep:", "Version": "23.1.0"},
        {"URL": "bids:raw:", "DOI": "10.1/x"},
    ]


def test_the_container_is_named_when_there_is_one(output, origin):
    container = {"Type": "apptainer", "URI": "docker://bidsmask:1"}
    prepare_output(output, Origin(origin.roots, container))
    maker = read_json(output / "dataset_description.json")["GeneratedBy"][0]
    assert maker["Container"] == container


def test_sources_that_say_nothing_leave_out_what_they_do_not_say(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "dataset_description.json").write_text("[not json")
    prepare_output(tmp_path / "out", Origin({"derivatives": tmp_path / "in"}))
    description = read_json(tmp_path / "out" / "dataset_description.json")
    assert description["Name"] == "bidsmask"
    assert "License" not in description
    assert "Authors" not in description


def test_links_of_earlier_runs_stay(output, origin, raw):
    prepare_output(output, origin)
    prepare_output(output, Origin({"raw": raw}))
    description = read_json(output / "dataset_description.json")
    assert description["DatasetLinks"] == {"fmriprep": "../fmriprep", "raw": "../.."}
    assert description["SourceDatasets"][0] == {"URL": "bids:fmriprep:", "Version": "23.1.0"}


def test_copies_of_a_dataset_give_the_same_bytes(output, origin, raw, tmp_path):
    copy = tmp_path / "elsewhere" / "copy"
    shutil.copytree(raw, copy)
    there = copy / "derivatives" / "bidsmask"
    prepare_output(output, origin)
    prepare_output(there, Origin({"raw": copy, "fmriprep": copy / "derivatives/fmriprep"}))
    for path in output.iterdir():
        assert path.read_bytes() == (there / path.name).read_bytes()


def test_a_second_run_touches_nothing(output, origin, monkeypatch):
    prepare_output(output, origin)
    image, table = output / "x.nii.gz", output / "x.tsv"
    publish(image, b"labels")
    publish(table, b"index\tname\n")
    publish_atlas(output, Entities((("atlas", "Schaefer"),)), image, table)
    assert (output / "atlases/atlas-Schaefer_dseg.nii.gz").read_bytes() == b"labels"
    assert (output / "atlases/atlas-Schaefer_dseg.tsv").read_bytes() == b"index\tname\n"
    monkeypatch.setattr(module, "publish", lambda path, _: pytest.fail(f"wrote {path.name}"))
    prepare_output(output, origin)
    publish_atlas(output, Entities((("atlas", "Schaefer"),)), image, table)


def test_lines_and_readme_of_the_users_own_stay(output, origin):
    publish(output / ".bidsignore", b"mine\n*.html\n")
    publish(output / "README.md", b"mine")
    prepare_output(output, origin)
    lines = (output / ".bidsignore").read_text().splitlines()
    assert lines[:2] == ["mine", "*.html"]
    assert len(lines) == len(set(lines)) == len(module.IGNORED) + 1
    assert (output / "README.md").read_bytes() == b"mine"


def test_leftovers_at_the_root_are_removed(output, origin):
    publish(output / ".bidsmask-0123456789abcdef.part", b"half")
    prepare_output(output, origin)
    assert not list(output.glob("*.part"))


# participants.tsv


def make_folders(output, *labels):
    for label in labels:
        (output / f"sub-{label}").mkdir(parents=True)


def test_participants_present_are_listed_with_the_sources_columns(output, origin):
    make_folders(output, "10", "01", "03")
    (output / "sub-file").touch()
    assert prepare_output(output, origin) == []
    assert (output / "participants.tsv").read_text() == (
        "participant_id\tage\tgroup\nsub-01\t0.50\tn/a\nsub-03\tn/a\tn/a\nsub-10\t7\tB\n"
    )
    definitions = read_json(output / "participants.json")
    assert list(definitions) == ["Description", "age", "group"]
    assert definitions["group"] == {"Levels": {"A": "x", "B": "y"}}
    assert definitions["age"] == {"Description": "As in participants.tsv of Heads."}


def test_the_table_grows_with_the_folders(output, origin):
    make_folders(output, "02")
    prepare_output(output, origin)
    make_folders(output, "01")
    publish_participants(output, origin)
    assert list(read_table(output / "participants.tsv")["participant_id"]) == ["sub-01", "sub-02"]


def test_labels_without_sub_and_double_rows_are_understood(output, origin, raw):
    publish(raw / "participants.tsv", b"participant_id\tage\n01\t5\nsub-01\t6\n")
    make_folders(output, "01")
    prepare_output(output, origin)
    assert (output / "participants.tsv").read_text() == "participant_id\tage\nsub-01\t5\n"


@pytest.mark.parametrize("content", [b"id\tage\n1\t2\n", b"participant_id\tage\nsub-01\n", b""])
def test_an_unusable_table_of_the_source_is_a_finding(output, origin, raw, content):
    publish(raw / "participants.tsv", content)
    make_folders(output, "01")
    (finding,) = prepare_output(output, origin)
    assert finding.severity == "warning"
    assert finding.code == UnusableTable("", "").code
    assert str(finding).startswith("participants.tsv ")
    assert (output / "participants.tsv").read_text() == "participant_id\nsub-01\n"


def test_no_table_in_the_source_is_fine(output, origin, raw):
    (raw / "participants.tsv").unlink()
    make_folders(output, "01")
    assert prepare_output(output, origin) == []
    assert (output / "participants.tsv").read_text() == "participant_id\nsub-01\n"


def test_who_comes_in_between_is_not_lost(output, origin, monkeypatch):
    prepare_output(output, origin)
    originals = module.publish

    def interfering(path, content):
        originals(path, content)
        (output / "sub-02").mkdir(exist_ok=True)

    monkeypatch.setattr(module, "publish", interfering)
    make_folders(output, "01")
    publish_participants(output, origin)
    table = read_table(output / "participants.tsv")
    assert list(table["participant_id"]) == ["sub-01", "sub-02"]


def test_many_runs_side_by_side_end_with_all_participants(output, origin):
    labels = [f"{number:02d}" for number in range(12)]

    def run(label):
        prepare_output(output, origin)
        (output / f"sub-{label}").mkdir()
        publish_participants(output, origin)

    threads = [threading.Thread(target=run, args=(label,)) for label in labels]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    table = read_table(output / "participants.tsv")
    assert list(table["participant_id"]) == [f"sub-{label}" for label in labels]
    assert not list(output.glob("*.part"))


def test_a_folder_that_cannot_be_made_is_refused(origin, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    with pytest.raises(OutputRefused, match="cannot be written"):
        prepare_output(tmp_path / "file" / "out", origin)

    def fail(path, content):
        raise WritingFailed(path, "cannot be written into x: you are not allowed to")

    monkeypatch.setattr(module, "publish", fail)
    with pytest.raises(OutputRefused, match="not allowed"):
        prepare_output(tmp_path / "out", origin)


# The official validator


VALIDATOR = Path(sys.executable).with_name("bids-validator-deno")


def image_bytes(dtype):
    image = nib.Nifti1Image(np.ones((4, 5, 6), dtype), np.diag([2, 2, 2, 1]))
    image.header.set_xyzt_units("mm")
    image.set_sform(image.affine, "mni")
    image.set_qform(image.affine, "mni")
    return image.to_bytes()


def lay_out_run(output, before, spaces, res, spatial):
    """Publish every kind of file that one run has, with the least that its sidecars must say."""

    def product(name, suffix, contents, **metadata):
        data = {output / f"{before}_{name}_{suffix}{end}": c for end, c in contents.items()}
        publish_product(data, output / f"{before}_{name}_{suffix}.json", metadata)

    def named(*entities):
        return "_".join(filter(None, entities))

    image = {"Description": "x", **spatial}
    mask = {".nii": image_bytes(np.uint8)}
    product(
        named(spaces, res, "desc-epi"), "mask", mask, Type="Brain", Sources=["bids::x"], **image
    )
    columns = {column: {"Description": column} for column in "ijkxyz"}
    voxels = pd.DataFrame({"index": [1], "name": ["v1"], **{key: [0.5] for key in columns}})
    regions = pd.DataFrame({"index": [1], "name": ["a"]})
    signals = {".tsv": table_bytes(pd.DataFrame({"a": [0.5, 1.0]}))}
    for segmentation, table, defined in (("seg-voxels", voxels, columns), ("atlas-X", regions, {})):
        maps = {".nii": image_bytes(np.int32), ".tsv": table_bytes(table)}
        product(named(spaces, segmentation, res), "dseg", maps, **image, **defined)
        product(named(spaces, segmentation, res, "desc-simple"), "timeseries", signals)
    product(named(spaces, "atlas-X", res, "stat-coverage"), "bold", signals)
    product(named("desc-simple"), "volumes", signals)
    product(named(spaces, res, "desc-epi"), "qc", {})


@pytest.mark.skipif(not VALIDATOR.exists(), reason="bids-validator-deno is not installed")
def test_the_official_validator_has_nothing_to_say(output, origin, tmp_path):
    prepare_output(output, origin)
    publish(tmp_path / "x.nii", image_bytes(np.int32))
    publish_atlas(output, Entities((("atlas", "X"),)), tmp_path / "x.nii", None)
    standard = {"SpatialReference": "bids:raw:x", "Resolution": "2 mm"}
    for before in ("sub-01/ses-1/func/sub-01_ses-1_task-rest_run-1", "sub-02/func/sub-02_task-n"):
        lay_out_run(output, before, "space-MNI152NLin2009cAsym", "res-2", standard)
        lay_out_run(output, before, "space-T1w", "", {"SpatialReference": "bids:fmriprep:x"})
        lay_out_run(output, before, "space-MNIInfant_cohort-1", "", standard)
        lay_out_run(output, before, "", "", {"SpatialReference": "orig"})
    publish_participants(output, origin)
    publish(output / "sub-01" / "figures" / "a.svg", b"<svg/>")
    publish(output / "sub-01.html", b"<html/>")
    publish(output / "logs" / "run-20200101T000000-0123abcd" / "config.toml", b"")
    publish(output / "logs" / "CITATION.md", b"x\n")
    said = subprocess.run(
        [VALIDATOR, "--json", output], capture_output=True, check=False, cwd=tmp_path
    )
    issues = json.loads(said.stdout)["issues"]["issues"]
    assert issues == []
