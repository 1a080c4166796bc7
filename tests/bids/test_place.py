"""Where an output may stand, and where it is refused."""

import os

import pytest

from bidsmask.bids.place import check_output
from bidsmask.bids.publish import publish, publish_json
from bidsmask.errors import OutputRefused
from tests.make_trees import DERIVATIVE, RAW


@pytest.fixture
def raw(tmp_path):
    publish_json(tmp_path / "raw" / "dataset_description.json", RAW)
    return tmp_path / "raw"


@pytest.fixture
def fmriprep(raw):
    root = raw / "derivatives" / "fmriprep"
    publish_json(root / "dataset_description.json", DERIVATIVE)
    return root


def test_derivatives_of_raw_and_places_outside_are_allowed(raw, fmriprep, tmp_path):
    output = raw / "derivatives" / "bidsmask"
    check_output(output, raw, [fmriprep])
    check_output(tmp_path / "out" / "deeper", raw, [fmriprep])
    check_output(tmp_path / "raw2", raw)
    assert not output.exists()


@pytest.mark.parametrize(
    ("place", "sentence"),
    [
        ("", "is the input dataset"),
        ("derivatives", "lies inside the input dataset"),
        ("sub-01", "lies inside the input dataset"),
        ("sourcedata/x", "lies inside the input dataset"),
        ("derivatives/fmriprep", "is the input dataset"),
        ("derivatives/fmriprep/derivatives/x", "lies inside the input dataset"),
        ("derivatives/../sub-01", "lies inside the input dataset"),
    ],
)
def test_an_output_that_would_harm_an_input_is_refused(raw, fmriprep, place, sentence):
    with pytest.raises(OutputRefused, match=sentence):
        check_output(raw / place, raw, [fmriprep])


def test_a_link_does_not_hide_where_an_output_lies(raw, tmp_path):
    (tmp_path / "link").symlink_to(raw / "sub-01")
    with pytest.raises(OutputRefused, match="lies inside"):
        check_output(tmp_path / "link", raw)


def test_derivatives_alone_take_no_output_inside(fmriprep):
    with pytest.raises(OutputRefused, match="lies inside"):
        check_output(fmriprep / "derivatives" / "bidsmask", None, [fmriprep])


def test_a_file_in_the_way_is_refused(raw, tmp_path):
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "file" / "out"):
        with pytest.raises(OutputRefused, match="file is not a folder"):
            check_output(place, raw)


def test_a_place_without_permission_is_refused(raw, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path)
    with pytest.raises(OutputRefused, match="no permission"):
        check_output(tmp_path / "out", raw)


@pytest.mark.parametrize(
    ("description", "sentence"),
    [
        ({"GeneratedBy": [{"Name": "fMRIPrep"}, {"Name": "bidsmask"}]}, "dataset by fMRIPrep"),
        ({"PipelineDescription": {"Name": "fMRIPrep"}}, "dataset by fMRIPrep"),
        ({"GeneratedBy": [{}]}, "another dataset"),
        ({"Name": "x"}, "another dataset"),
        ({"DatasetType": "raw", "GeneratedBy": [{"Name": "bidsmask"}]}, "raw dataset"),
    ],
)
def test_a_folder_of_another_dataset_is_refused(raw, tmp_path, description, sentence):
    publish_json(tmp_path / "out" / "dataset_description.json", description)
    with pytest.raises(OutputRefused, match=sentence):
        check_output(tmp_path / "out", raw)


def test_a_folder_of_ours_and_one_with_other_files_are_taken(raw, tmp_path):
    ours = raw / "derivatives/bidsmask"
    publish_json(ours / "dataset_description.json", {"GeneratedBy": [{"Name": "bidsmask"}]})
    check_output(ours, raw)
    publish(tmp_path / "out" / "notes.txt", b"")
    check_output(tmp_path / "out", raw)
