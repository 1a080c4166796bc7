"""Roots: what is raw, what is a derivative, who is in them, and how their files are called."""

import os
import pickle
from pathlib import Path

import pytest

from bidsmask.bids.dataset import Dataset, find_dataset, participants
from bidsmask.errors import MissingInput, NotBids, UsageError
from tests.make_trees import DERIVATIVE, RAW, preprocessed, write_tree

RUN = preprocessed("sub-01/func/sub-01_task-a")
OURS = {**DERIVATIVE, "GeneratedBy": [{"Name": "bidsmask"}]}


def tree(tmp_path, description=RAW, **derivatives):
    """Write a raw dataset with one run and derivatives: name -> description, None for none."""
    files = {"dataset_description.json": description, "sub-01/func/sub-01_task-a_bold.nii": None}
    for name, described in derivatives.items():
        files |= {f"derivatives/{name}/{file}": None for file in RUN}
        if described is not None:
            files[f"derivatives/{name}/dataset_description.json"] = described
    return write_tree(tmp_path / "study", files)


def found(root, derivatives=None):
    return find_dataset(root, derivatives, root / "derivatives" / "bidsmask")


# What is taken


def test_a_raw_dataset_alone(tmp_path):
    root = tree(tmp_path)
    dataset = found(root)
    assert (dataset.raw, dataset.derivatives, dataset.findings) == (root, (), ())


def test_derivatives_inside_are_found_in_the_order_of_their_names(tmp_path):
    root = tree(tmp_path, run10=DERIVATIVE, run2=DERIVATIVE)
    assert [path.name for path in found(root).derivatives] == ["run2", "run10"]


def test_a_derivative_without_preprocessed_series_is_no_input(tmp_path):
    root = tree(tmp_path, fmriprep=DERIVATIVE)
    write_tree(
        root / "derivatives/mriqc",
        {"dataset_description.json": DERIVATIVE, "sub-01/func/sub-01_task-a_bold.json": None},
    )
    assert [path.name for path in found(root).derivatives] == ["fmriprep"]


def test_a_derivative_dataset_alone(tmp_path):
    root = write_tree(tmp_path, {"dataset_description.json": DERIVATIVE, **dict.fromkeys(RUN)})
    dataset = found(root)
    assert (dataset.raw, dataset.derivatives) == (None, (root,))


@pytest.mark.parametrize("description", [{}, {"PipelineDescription": {"Name": "fmriprep"}}, RAW])
def test_preprocessed_series_make_a_derivative_whatever_its_description_says(tmp_path, description):
    root = write_tree(tmp_path, {"dataset_description.json": description, **dict.fromkeys(RUN)})
    assert found(root).derivatives == (root,)


def test_a_converter_that_describes_itself_makes_no_derivative(tmp_path):
    root = tree(tmp_path, description={"Name": "x", "GeneratedBy": [{"Name": "heudiconv"}]})
    assert found(root).raw == root


def test_the_folder_that_fmriprep_was_given_is_enough(tmp_path):
    root = write_tree(
        tmp_path,
        {"dataset_description.json": DERIVATIVE} | {f"fmriprep/{name}": None for name in RUN},
    )
    assert found(root).derivatives == (root / "fmriprep",)


def test_outputs_of_bidsmask_are_never_input(tmp_path):
    root = tree(tmp_path, bidsmask=DERIVATIVE, earlier=OURS, fmriprep=DERIVATIVE)
    assert [path.name for path in found(root).derivatives] == ["fmriprep"]
    with pytest.raises(UsageError, match="is an output of bidsmask"):
        found(root, [root / "derivatives/earlier"])
    with pytest.raises(UsageError, match="is an output of bidsmask"):
        found(root, [root / "derivatives/bidsmask"])


def test_a_root_without_description_is_used_and_said(tmp_path):
    root = tree(tmp_path, fmriprep=None)
    for dataset in (found(root), found(root, [root / "derivatives/fmriprep"])):
        assert [path.name for path in dataset.derivatives] == ["fmriprep"]
        assert [finding.code for finding in dataset.findings] == ["no-description"]
        assert dataset.findings[0].severity == "warning"


def test_given_derivatives_replace_those_inside_in_the_order_given(tmp_path):
    root = tree(tmp_path, a=DERIVATIVE, b=DERIVATIVE, c=DERIVATIVE)
    given = [root / "derivatives/c", root / "derivatives/a", root / "derivatives/../derivatives/c"]
    assert [path.name for path in found(root, given).derivatives] == ["c", "a"]


def test_derivatives_may_lie_in_the_folder_itself(tmp_path):
    root = tree(tmp_path)
    write_tree(root / "derivatives", RUN)
    assert found(root).derivatives == (root / "derivatives",)


def test_a_folder_of_derivatives_may_be_given(tmp_path):
    root = tree(tmp_path, a=DERIVATIVE, b=DERIVATIVE)
    assert [p.name for p in found(root, [root / "derivatives"]).derivatives] == ["a", "b"]


# What is refused


def test_a_path_that_is_not_there_is_missing_input(tmp_path):
    root = tree(tmp_path)
    with pytest.raises(MissingInput, match="does not exist"):
        found(tmp_path / "nowhere")
    with pytest.raises(MissingInput, match="does not exist"):
        found(root, [root / "derivatives/nowhere"])
    with pytest.raises(MissingInput, match="is not a folder"):
        found(root / "dataset_description.json")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_cannot_be_read_is_missing_input(tmp_path):
    root = tree(tmp_path)
    root.chmod(0)
    try:
        with pytest.raises(MissingInput, match="cannot be read"):
            found(root)
    finally:
        root.chmod(0o755)


@pytest.mark.parametrize("content", ["", "{", "[]", "/annex/objects/MD5E-s12--aa.json"])
def test_a_broken_description_is_not_bids(tmp_path, content):
    root = write_tree(tmp_path, {"dataset_description.json": content})
    with pytest.raises(NotBids, match="not readable as a JSON object"):
        found(root)


def test_a_missing_description_is_not_bids(tmp_path):
    with pytest.raises(NotBids, match="is missing"):
        found(tmp_path)


def test_a_description_that_is_a_dangling_link_is_to_be_fetched(tmp_path):
    (tmp_path / "dataset_description.json").symlink_to("nowhere")
    with pytest.raises(NotBids, match="datalad get"):
        found(tmp_path)


def test_a_given_folder_without_description_and_series_is_not_bids(tmp_path):
    root = tree(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotBids, match="no usable dataset_description"):
        found(root, [tmp_path / "empty"])


# Who is in it


def test_participants_are_the_union_of_all_roots_as_people_count(tmp_path):
    root = tree(tmp_path, fmriprep=DERIVATIVE)
    for folder in ("sub-10", "sub-2", "sub-b", "derivatives/fmriprep/sub-3", ".sub-9", "sub-x y"):
        (root / folder).mkdir()
    (root / "sub-4.html").touch()
    (root / "sub-5").symlink_to(root / "sub-2")
    (root / "sub-6").symlink_to(root / "nowhere")
    assert participants(found(root)) == ["01", "2", "3", "5", "10", "b"]


def test_only_the_roots_own_names_are_read(tmp_path, monkeypatch):
    dataset = found(tree(tmp_path, fmriprep=DERIVATIVE))
    scanned = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: scanned.append(Path(path)) or scandir(path))
    participants(dataset)
    assert scanned == list(dataset.roots)


# What its files are called


def test_uris_name_the_root_that_holds_the_file(tmp_path):
    root = tree(tmp_path, fmriprep=DERIVATIVE)
    dataset = found(root)
    preproc = root / "derivatives/fmriprep/sub-01/func/x_bold.nii.gz"
    assert dataset.uri(root / "sub-01/func/x_bold.nii") == "bids:raw:sub-01/func/x_bold.nii"
    assert dataset.uri(preproc) == "bids:fmriprep:sub-01/func/x_bold.nii.gz"
    assert dataset.uri(dataset.output / "sub-01/x_mask.nii.gz") == "bids::sub-01/x_mask.nii.gz"
    assert dataset.uri(tmp_path / "mask.nii.gz") == "mask.nii.gz"


def test_links_lead_from_the_output_to_the_roots(tmp_path):
    root = tree(tmp_path, fmriprep=DERIVATIVE)
    dataset = found(root)
    assert dataset.links() == {"raw": "../..", "fmriprep": "../fmriprep"}
    for link in dataset.links().values():
        assert (dataset.output / link).resolve() in {path.resolve() for path in dataset.roots}


def test_roots_of_one_program_get_different_names(tmp_path):
    root = tree(tmp_path, a=DERIVATIVE, b=DERIVATIVE, c=None, raw=None)
    assert set(found(root).links()) == {"raw", "fmriprep", "fmriprep2", "c", "raw2"}


def test_a_dataset_can_be_made_by_hand_and_sent_to_a_worker(tmp_path):
    dataset = Dataset(None, (tmp_path / "fMRIPrep-23.1",), tmp_path / "out")
    assert dataset.links() == {"fmriprep231": "../fMRIPrep-23.1"}
    assert pickle.loads(pickle.dumps(dataset)) == dataset
