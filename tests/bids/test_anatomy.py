"""Anatomical images as runs: which, with which mask, and what labels and filters make of them."""

from __future__ import annotations

import json

import pytest

from bidsmask.bids.dataset import Dataset, find_dataset
from bidsmask.bids.layout import find_runs
from bidsmask.bids.selection import Selection
from tests.make_trees import DERIVATIVE, RAW, preprocessed, write_tree

ANAT, BOTH = ("anat",), ("anat", "func")
STEM = "sub-01/anat/sub-01"
BOLD = "sub-01/func/sub-01_task-a_bold.nii.gz"


def raw(tmp_path, *files):
    """Write a raw dataset."""
    root = write_tree(tmp_path / "study", {"dataset_description.json": RAW})
    write_tree(root, files)
    return Dataset(root, (), tmp_path / "out")


def derivative(tmp_path, *files):
    """Write a derivative dataset alone."""
    root = write_tree(tmp_path / "smriprep", {"dataset_description.json": DERIVATIVE})
    write_tree(root, files)
    return Dataset(None, (root,), tmp_path / "out")


def anatomy(stem, *spaces, suffix="T1w"):
    """Return the names that fMRIPrep gives to an anatomical image: `stem` is STEM."""
    return [
        f"{stem}{space}_desc-{end}.nii.gz"
        for space in spaces
        for end in (f"preproc_{suffix}", "brain_mask")
    ]


def found(dataset, datatypes=ANAT, **selection):
    """Return the names of the images of the runs, and the findings by kind."""
    runs, findings = find_runs(dataset, "01", Selection(datatypes=datatypes, **selection))
    return [run.path.name for run in runs], {f.code: str(f) for f in findings}


def test_raw_anatomical_images_are_runs_with_all_that_their_names_say(tmp_path):
    dataset = raw(
        tmp_path,
        "sub-01/ses-1/anat/sub-01_ses-1_acq-x_ce-y_rec-z_run-02_echo-1_part-mag_T1w.nii.gz",
        "sub-01/ses-1/anat/sub-01_ses-1_T2w.nii",
        BOLD,
    )
    (second, first), findings = find_runs(dataset, "01", Selection(datatypes=ANAT))
    assert first.product_entities.name() == (
        "sub-01_ses-1_acq-x_ce-y_rec-z_run-02_echo-1_part-mag_T1w.nii.gz"
    )
    assert (first.label, first.datatype, first.session) == (
        "sub-01_ses-1_acq-x_ce-y_rec-z_run-02_echo-1_part-mag_T1w",
        "anat",
        "1",
    )
    assert (second.label, second.datatype, second.mask) == ("sub-01_ses-1_T2w", "anat", None)
    assert second.product_entities.name() == "sub-01_ses-1_mod-T2w_T2w.nii"
    assert findings == []


def test_each_datatype_is_looked_for_only_where_it_is_wanted(tmp_path):
    dataset = raw(tmp_path, f"{STEM}_T1w.nii.gz", BOLD)
    assert found(dataset, ("func",))[0] == ["sub-01_task-a_bold.nii.gz"]
    assert found(dataset, ANAT)[0] == ["sub-01_T1w.nii.gz"]
    assert found(dataset, BOTH)[0] == ["sub-01_T1w.nii.gz", "sub-01_task-a_bold.nii.gz"]


def test_what_is_no_t1w_or_t2w_is_noted(tmp_path):
    dataset = raw(
        tmp_path,
        f"{STEM}_T1w.nii.gz",
        f"{STEM}_part-phase_T1w.nii.gz",
        f"{STEM}_FLAIR.nii.gz",
        f"{STEM}_inv-1_MP2RAGE.nii.gz",
        f"{STEM}_mod-T1w_defacemask.nii.gz",
        "sub-01/anat/.sub-01_acq-hidden_T1w.nii.gz",
        "sub-01/anat/._sub-01_T1w.nii.gz",
        "sub-01/func/sub-01_T2w.nii.gz",
    )
    names, findings = found(dataset)
    assert names == ["sub-01_T1w.nii.gz"]
    assert sorted(findings) == ["other-anatomy", "part-phase"]
    assert "3 anatomical images" in findings["other-anatomy"]


@pytest.mark.parametrize(
    "twins",
    [("_T1w.nii", "_T1w.nii.gz"), ("_run-01_T1w.nii", "_run-1_T1w.nii"), ("_desc-a_T1w.nii",) * 2],
    ids=["compressed and not", "one number twice", "desc"],
)
def test_two_images_whose_masks_would_have_one_name_never_meet(tmp_path, twins):
    first, second = twins
    dataset = raw(tmp_path, STEM + first, STEM + second.replace("desc-a", "desc-b"))
    names, findings = found(dataset)
    assert names == [f"sub-01{first}"]
    assert list(findings) == ["doubled-run"]


def test_t1w_and_t2w_are_no_twins(tmp_path):
    dataset = raw(tmp_path, f"{STEM}_T1w.nii.gz", f"{STEM}_T2w.nii.gz")
    runs, findings = find_runs(dataset, "01", Selection(datatypes=ANAT))
    assert len({run.product_entities.name(suffix="mask") for run in runs}) == 2
    assert findings == []


def test_preprocessed_images_have_the_mask_of_their_space(tmp_path):
    spaces = ("", "_space-X", "_space-X_res-2")
    dataset = derivative(
        tmp_path,
        *anatomy(STEM, *spaces),
        f"{STEM}_desc-preproc_T2w.nii.gz",
        f"{STEM}_space-Y_desc-preproc_T1w.nii.gz",
        f"{STEM}_desc-brain_T1w.nii.gz",
        f"{STEM}_label-GM_probseg.nii.gz",
        f"{STEM}_dseg.nii.gz",
        # Of a series, though nothing else in the name differs.
        "sub-01/func/sub-01_space-Y_desc-brain_mask.nii.gz",
    )
    runs, findings = find_runs(dataset, "01", Selection(datatypes=ANAT))
    masks = {run.path.name: run.mask and run.mask.name for run in runs}
    assert masks == {
        **{
            f"sub-01{s}_desc-preproc_T1w.nii.gz": f"sub-01{s}_desc-brain_mask.nii.gz"
            for s in spaces
        },
        "sub-01_desc-preproc_T2w.nii.gz": "sub-01_desc-brain_mask.nii.gz",
        "sub-01_space-Y_desc-preproc_T1w.nii.gz": None,
    }
    assert [(f.code, f.problem[0]) for f in findings] == [("other-desc", "1")]


def test_old_names_of_fmriprep_are_understood(tmp_path):
    dataset = derivative(
        tmp_path,
        f"{STEM}_T1w_space-X_preproc.nii.gz",
        f"{STEM}_T1w_space-X_brainmask.nii.gz",
        f"{STEM}_T1w_space-X_class-GM_probtissue.nii.gz",
    )
    ((run,), findings) = find_runs(dataset, "01", Selection(datatypes=ANAT))
    assert run.mask is not None
    assert run.mask.name == "sub-01_T1w_space-X_brainmask.nii.gz"
    assert run.product_entities.name(suffix="mask", extension="") == "sub-01_space-X_mask"
    assert findings == []


def test_sidecars_of_the_series_say_nothing_of_anatomy(tmp_path):
    dataset = raw(tmp_path, f"{STEM}_T1w.nii.gz", BOLD)
    assert dataset.raw is not None
    sidecars = {
        "T1w.json": {"EchoTime": 1, "FlipAngle": 8},
        "bold.json": {"EchoTime": 2},
        f"{STEM}_T1w.json": {"EchoTime": 3},
        "sub-01/func/sub-01_T1w.json": {"EchoTime": 4},
    }
    write_tree(dataset.raw, {name: json.dumps(said) for name, said in sidecars.items()})
    ((run,), _) = find_runs(dataset, "01", Selection(datatypes=ANAT))
    assert run.metadata == {"EchoTime": 3, "FlipAngle": 8}


# What is selected


def test_labels_concern_anatomy_where_its_name_has_them(tmp_path):
    dataset = raw(
        tmp_path,
        "sub-01/anat/sub-01_T1w.nii.gz",
        "sub-01/ses-1/anat/sub-01_ses-1_run-1_T1w.nii.gz",
        "sub-01/ses-2/anat/sub-01_ses-2_run-2_T1w.nii.gz",
        "sub-01/ses-1/func/sub-01_ses-1_task-a_run-1_bold.nii.gz",
        "sub-01/ses-1/func/sub-01_ses-1_task-b_run-1_bold.nii.gz",
    )
    of_all, first, second = [
        f"sub-01_{labels}T1w.nii.gz" for labels in ("", "ses-1_run-1_", "ses-2_run-2_")
    ]
    series = "sub-01_ses-1_task-a_run-1_bold.nii.gz"
    assert found(dataset, BOTH, tasks=("a",))[0] == [of_all, first, series, second]
    assert found(dataset, BOTH, tasks=("a",), sessions=("1",))[0] == [of_all, first, series]
    assert found(dataset, BOTH, tasks=("a",), runs=("02",))[0] == [of_all, second]


@pytest.mark.parametrize(
    ("space", "expected"),
    [
        ("func", ["", "T2w"]),
        ("T1w", ["", "T2w", "_space-T1w"]),
        ("anat", ["", "T2w", "_space-T1w"]),
        ("X", ["_space-X_res-2"]),
        ("X:res-native", []),
    ],
)
def test_spaces_select_anatomy_too(tmp_path, space, expected):
    dataset = derivative(
        tmp_path,
        *anatomy(STEM, "", "_space-X_res-2"),
        f"{STEM}_desc-preproc_T2w.nii.gz",
        f"{STEM}_space-T1w_desc-preproc_T2w.nii.gz",
    )
    names, findings = found(dataset, spaces=(space,))
    ends = {"T2w": "_desc-preproc_T2w", "_space-T1w": "_space-T1w_desc-preproc_T2w"}
    wanted = [f"sub-01{ends.get(one, one + '_desc-preproc_T1w')}.nii.gz" for one in expected]
    assert sorted(names) == sorted(wanted)
    assert findings["other-space"].startswith(f"sub-01 {4 - len(expected)} images")


def test_each_kind_has_a_filter_of_its_own(tmp_path):
    dataset = raw(
        tmp_path,
        *[f"{STEM}_acq-{acq}_{suffix}.nii.gz" for acq in "xy" for suffix in ("T1w", "T2w")],
        *[f"sub-01/func/sub-01_task-a_acq-{acq}_bold.nii.gz" for acq in "xy"],
    )
    filters = {
        "t1w": {"acquisition": "x", "suffix": "T1w", "datatype": "anat"},
        "bold": {"acquisition": "y"},
    }
    assert found(dataset, BOTH, filters=filters)[0] == [
        "sub-01_acq-x_T1w.nii.gz",
        "sub-01_acq-x_T2w.nii.gz",
        "sub-01_acq-y_T2w.nii.gz",
        "sub-01_task-a_acq-y_bold.nii.gz",
    ]
    assert found(dataset, BOTH, filters={"t2w": {"run": 3}})[0] == [
        "sub-01_acq-x_T1w.nii.gz",
        "sub-01_acq-y_T1w.nii.gz",
        "sub-01_task-a_acq-x_bold.nii.gz",
        "sub-01_task-a_acq-y_bold.nii.gz",
    ]


# Which roots


def test_derivatives_of_anatomy_alone_are_input_where_anatomy_is_wanted(tmp_path):
    root = write_tree(
        tmp_path / "study",
        [BOLD, f"{STEM}_T1w.nii.gz", *[f"derivatives/smriprep/{f}" for f in anatomy(STEM, "")]],
    )
    write_tree(root, {"dataset_description.json": RAW})
    smriprep = root / "derivatives/smriprep"
    for datatypes, expected in ((("func",), ()), (ANAT, (smriprep,)), (BOTH, (smriprep,))):
        dataset = find_dataset(root, None, tmp_path / "out", datatypes)
        assert dataset.derivatives == expected
    filters = {"bold": {"task": "a"}, "t1w": {"space": None}}
    assert found(dataset, BOTH, filters=filters) == (
        ["sub-01_desc-preproc_T1w.nii.gz", "sub-01_task-a_bold.nii.gz"],
        {},
    )
    given = find_dataset(root, [smriprep], tmp_path / "out", BOTH)
    names, findings = found(given, BOTH)
    assert names == ["sub-01_desc-preproc_T1w.nii.gz"]
    assert "has a raw BOLD series, but no preprocessed one" in findings["no-derivatives"]


def test_derivatives_of_series_alone_leave_the_raw_anatomy(tmp_path):
    inside = preprocessed("derivatives/fmriprep/sub-01/func/sub-01_task-a")
    root = write_tree(tmp_path / "study", [f"{STEM}_T1w.nii.gz", *inside])
    write_tree(root, {"dataset_description.json": RAW})
    dataset = find_dataset(root, None, tmp_path / "out", ANAT)
    assert dataset.derivatives == ()
    assert found(dataset)[0] == ["sub-01_T1w.nii.gz"]
    dataset = find_dataset(root, None, tmp_path / "out", BOTH)
    series = "sub-01_task-a_space-MNI152NLin2009cAsym_desc-preproc_bold.nii.gz"
    assert found(dataset, BOTH)[0] == ["sub-01_T1w.nii.gz", series]


def test_where_others_have_preprocessed_anatomy_a_raw_one_is_named_and_not_taken(tmp_path):
    others = "derivatives/smriprep/sub-02/anat/sub-02_desc-preproc_T1w.nii.gz"
    root = write_tree(tmp_path / "study", [f"{STEM}_T1w.nii.gz", others])
    write_tree(root, {"dataset_description.json": RAW})
    names, findings = found(find_dataset(root, None, tmp_path / "out", ANAT))
    assert names == []
    assert "has a raw T1w or T2w image" in findings["no-derivatives"]
