"""One participant's runs: which series, with which companions, and what is said of the rest."""

import gc
import os
import pickle
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from bidsmask.bids.dataset import Dataset, find_dataset
from bidsmask.bids.layout import find_runs
from bidsmask.bids.selection import Selection, read_filter_file
from bidsmask.errors import MissingInput, UsageError
from tests.make_trees import DERIVATIVE, RAW, preprocessed, write_tree

MNI = "_space-MNI152NLin2009cAsym"


def derivative(tmp_path, files):
    """Write a derivative dataset alone."""
    root = write_tree(tmp_path / "fmriprep", {"dataset_description.json": DERIVATIVE})
    write_tree(root, files)
    return Dataset(None, (root,), tmp_path / "out")


def study(tmp_path, raw=(), fmriprep=()):
    """Write a raw dataset and, where names are given, derivatives inside it."""
    root = write_tree(tmp_path / "study", {"dataset_description.json": RAW})
    write_tree(root, raw)
    if fmriprep:
        inside = root / "derivatives/fmriprep"
        write_tree(inside, {"dataset_description.json": DERIVATIVE})
        write_tree(inside, fmriprep)
    return find_dataset(root, None, root / "out")


def names(runs):
    return [run.path.name for run in runs]


def notes(findings):
    """Return the kinds of the notes with their counts."""
    return {f.code: int(f.problem.split()[0]) for f in findings if f.severity == "note"}


def codes(findings):
    return Counter(finding.code for finding in findings)


# Which series


def test_every_space_of_a_preprocessed_run_is_a_run(tmp_path):
    files = preprocessed("sub-01/func/sub-01_task-a", "", "_space-T1w", f"{MNI}_res-2")
    runs, findings = find_runs(derivative(tmp_path, files), "01")
    assert [run.space for run in runs] == ["", "MNI152NLin2009cAsym", "T1w"]
    assert findings == []


def test_only_the_participant_that_was_asked_for_is_found(tmp_path):
    files = [
        name
        for label in ("1", "01", "011", "10")
        for name in preprocessed(f"sub-{label}/func/sub-{label}_task-a")
    ]
    dataset = derivative(tmp_path, files)
    for label in ("1", "01", "011", "10"):
        runs, _ = find_runs(dataset, label)
        assert names(runs) == [f"sub-{label}_task-a{MNI}_desc-preproc_bold.nii.gz"]


def test_a_raw_dataset_gives_each_echo_as_a_run(tmp_path):
    echoes = [f"sub-01/func/sub-01_task-a_echo-{echo}_bold.nii.gz" for echo in (1, 2, 3)]
    runs, findings = find_runs(study(tmp_path, echoes), "01")
    assert [run.entities["echo"] for run in runs] == ["1", "2", "3"]
    assert findings == []


def test_what_cannot_be_masked_is_counted_in_notes(tmp_path):
    stem = "sub-01/func/sub-01_task-a"
    raw = [
        f"{stem}_part-mag_bold.nii.gz",
        f"{stem}_part-phase_bold.nii.gz",
        f"{stem}_part-mag_sbref.nii.gz",
        f"{stem}_part-phase_sbref.nii.gz",
    ]
    runs, findings = find_runs(study(tmp_path, raw), "01")
    assert names(runs) == ["sub-01_task-a_part-mag_bold.nii.gz"]
    assert notes(findings) == {"part-phase": 1, "sbref": 2}
    assert {finding.participant for finding in findings} == {"01"}


def test_surfaces_and_other_versions_of_preprocessed_runs_are_noted(tmp_path):
    stem = "sub-01/func/sub-01_task-a"
    files = [
        *preprocessed(stem),
        f"{stem}_hemi-L_space-fsaverage5_bold.func.gii",
        f"{stem}_space-fsaverage5_hemi-R.func.gii",
        f"{stem}_space-fsLR_den-91k_bold.dtseries.nii",
        f"{stem}_space-fsLR_den-91k_bold.json",
        f"{stem}{MNI}_desc-smoothAROMAnonaggr_bold.nii.gz",
    ]
    runs, findings = find_runs(derivative(tmp_path, files), "01")
    assert len(runs) == 1
    assert notes(findings) == {"cifti": 1, "gifti": 2, "other-desc": 1}


def test_hidden_files_figures_and_other_folders_are_ignored(tmp_path):
    good = preprocessed("sub-01/func/sub-01_task-a")
    files = [
        *good,
        f"sub-01/func/.sub-01_task-a{MNI}_desc-preproc_bold.nii.gz.rqy4V5",
        f"sub-01/func/.sub-01_task-b{MNI}_desc-preproc_bold.nii.gz",
        "sub-01/func/.DS_Store",
        f"sub-01/figures/func/sub-01_task-b{MNI}_desc-preproc_bold.nii.gz",
        f"sub-01/.heudiconv/func/sub-01_task-b{MNI}_desc-preproc_bold.nii.gz",
        f"sub-01/sub-01_task-b{MNI}_desc-preproc_bold.nii.gz",
    ]
    runs, findings = find_runs(derivative(tmp_path, files), "01")
    assert len(runs) == 1
    assert findings == []


def test_a_left_over_part_of_a_name_is_an_error_of_that_file_alone(tmp_path):
    files = [
        *preprocessed("sub-01/func/sub-01_task-a"),
        *preprocessed("sub-01/func/sub-01_task-b_foo-bar"),
        *preprocessed("sub-01/func/sub-01_task-c_final"),
    ]
    runs, findings = find_runs(derivative(tmp_path, files), "01")
    assert [run.task for run in runs] == ["a"]
    assert [(f.severity, f.code) for f in findings] == [("error", "unknown-entity")] * 2
    assert "`foo-bar`" in str(findings[0])
    assert "`final`" in str(findings[1])


def test_a_series_in_two_derivatives_is_taken_from_the_first(tmp_path):
    roots = []
    for name in ("new", "old"):
        root = write_tree(tmp_path / name, {"dataset_description.json": DERIVATIVE})
        label = "1" if name == "new" else "01"
        roots.append(write_tree(root, preprocessed(f"sub-01/func/sub-01_task-a_run-{label}")))
    runs, findings = find_runs(Dataset(None, tuple(roots), tmp_path / "out"), "01")
    assert [run.path.is_relative_to(roots[0]) for run in runs] == [True]
    assert [(f.severity, f.code) for f in findings] == [("warning", "doubled-run")]
    assert str(roots[1]) in findings[0].where


def test_a_doubled_subject_folder_is_used_and_noted(tmp_path):
    files = preprocessed("sub-46/sub-46/ses-02/func/sub-46_ses-02_task-a")
    runs, findings = find_runs(derivative(tmp_path, files), "46")
    assert [run.mask is not None and run.confounds is not None for run in runs] == [True]
    assert notes(findings) == {"unusual-place": 1}


def test_a_participant_without_derivatives_is_a_warning(tmp_path):
    raw = [f"sub-0{i}/func/sub-0{i}_task-a_bold.nii.gz" for i in (1, 2)]
    dataset = study(tmp_path, raw, preprocessed("sub-01/func/sub-01_task-a"))
    assert codes(find_runs(dataset, "01")[1]) == {}
    runs, findings = find_runs(dataset, "02")
    assert runs == []
    assert [(f.severity, f.code) for f in findings] == [("warning", "no-derivatives")]


def test_a_participant_without_any_series_is_a_warning(tmp_path):
    dataset = study(tmp_path, ["sub-01/anat/sub-01_T1w.nii.gz"])
    runs, findings = find_runs(dataset, "01")
    assert (runs, codes(findings)) == ([], {"no-series": 1})


# What belongs to a run


def test_a_run_gets_its_companions(tmp_path):
    stem = "sub-01/ses-1/func/sub-01_ses-1_task-a_run-1"
    dataset = study(
        tmp_path,
        [f"{stem}_bold.nii.gz", f"{stem}_events.tsv"],
        preprocessed(stem, "", f"{MNI}_res-2"),
    )
    native, template = find_runs(dataset, "01")[0]
    name = "sub-01_ses-1_task-a_run-1"
    assert template.mask.name == f"{name}{MNI}_res-2_desc-brain_mask.nii.gz"
    assert template.boldref.name == f"{name}{MNI}_res-2_boldref.nii.gz"
    assert native.mask.name == f"{name}_desc-brain_mask.nii.gz"
    assert native.boldref.name == f"{name}_boldref.nii.gz"
    for run in (native, template):
        assert run.confounds.name == f"{name}_desc-confounds_timeseries.tsv"
        assert run.confounds_sidecar == run.confounds.with_suffix(".json")
        assert run.events == dataset.raw / f"{stem}_events.tsv"
    assert (template.session, template.task) == ("1", "a")
    assert template.label == f"{name}{MNI}_res-2"


def test_companions_of_other_resolutions_cohorts_and_runs_are_not_taken(tmp_path):
    stem = "sub-01/func/sub-01_task-a_run-1_space-X"
    others = ["", "_res-1", "_res-2_label-GM", "_cohort-1_res-2"]
    files = [
        f"{stem}_res-2_desc-preproc_bold.nii.gz",
        *(f"{stem}{other}_desc-brain_mask.nii.gz" for other in others),
        "sub-01/func/sub-01_task-a_run-2_space-X_res-2_desc-brain_mask.nii.gz",
        f"{stem}_res-1_boldref.nii.gz",
        "sub-01/func/sub-01_task-a_run-2_desc-confounds_timeseries.tsv",
        "sub-01/func/sub-01_task-a_run-1_recording-resp_desc-retroicor_regressors.tsv",
        "sub-01/dwi/sub-01_desc-confounds_timeseries.tsv",
    ]
    (run,) = find_runs(derivative(tmp_path, files), "01")[0]
    assert (run.mask, run.boldref, run.confounds, run.events) == (None,) * 4


def test_echoes_share_the_mask_and_confounds_of_their_combination(tmp_path):
    stem = "sub-01/func/sub-01_task-a"
    files = [
        *preprocessed(f"{stem}_part-mag", ""),
        *(f"{stem}_echo-{echo}_part-mag_desc-preproc_bold.nii.gz" for echo in (1, 2)),
    ]
    runs, findings = find_runs(derivative(tmp_path, files), "01")
    assert findings == []
    assert [run.entities.get("echo") for run in runs] == ["1", "2", None]
    assert len({run.mask for run in runs}) == len({run.confounds for run in runs}) == 1
    assert None not in {run.mask for run in runs} | {run.confounds for run in runs}


def test_an_echo_of_its_own_mask_has_that(tmp_path):
    stem = "sub-01/func/sub-01_task-a"
    files = [*preprocessed(f"{stem}_echo-1", ""), f"{stem}_desc-brain_mask.nii.gz"]
    (run,) = find_runs(derivative(tmp_path, files), "01")[0]
    assert run.mask.name == "sub-01_task-a_echo-1_desc-brain_mask.nii.gz"


def test_the_native_reference_is_the_one_that_anatomy_is_aligned_to(tmp_path):
    stem = "sub-01/func/sub-01_task-a"
    files = [f"{stem}_desc-{d}.nii.gz" for d in ("preproc_bold", "hmc_boldref", "coreg_boldref")]
    (run,) = find_runs(derivative(tmp_path, files), "01")[0]
    assert run.boldref.name == "sub-01_task-a_desc-coreg_boldref.nii.gz"


def test_the_newer_name_of_the_confounds_is_preferred(tmp_path):
    stem = "sub-01/func/sub-01_task-a"
    files = [*preprocessed(stem), f"{stem}_desc-confounds_regressors.tsv"]
    (run,) = find_runs(derivative(tmp_path, files), "01")[0]
    assert run.confounds.name == "sub-01_task-a_desc-confounds_timeseries.tsv"


@pytest.mark.parametrize(
    ("tables", "expected"),
    [
        (["task-a_events.tsv", "sub-01/func/sub-01_task-a_run-01_events.tsv"], "run-01"),
        (["task-a_events.tsv", "sub-01/sub-01_task-a_events.tsv"], "sub-01_task-a_events"),
        (["task-a_events.tsv", "sub-01/func/sub-01_task-a_run-02_events.tsv"], "task-a_events"),
        (["task-b_events.tsv", "sub-01/func/sub-01_task-a_acq-x_events.tsv"], None),
    ],
)
def test_the_most_specific_events_that_apply_are_taken(tmp_path, tables, expected):
    stem = "sub-01/func/sub-01_task-a_run"
    dataset = study(tmp_path, [f"{stem}-01_bold.nii.gz", *tables], preprocessed(f"{stem}-1"))
    (run,) = find_runs(dataset, "01")[0]
    assert (run.events is None) if expected is None else (expected in run.events.name)


def test_old_names_of_fmriprep_give_whole_runs(tmp_path):
    stem = "sub-01/func/sub-01_task-a_bold"
    files = [
        f"{stem}_preproc.nii.gz",
        f"{stem}_brainmask.nii.gz",
        f"{stem}_space-X_preproc.nii.gz",
        f"{stem}_space-X_brainmask.nii.gz",
        f"{stem}_space-X_variant-smoothAROMAnonaggr_preproc.nii.gz",
        f"{stem}_confounds.tsv",
        f"{stem}_space-fsaverage5.L.func.gii",
    ]
    runs, findings = find_runs(derivative(tmp_path, files), "01")
    assert [run.label for run in runs] == ["sub-01_task-a", "sub-01_task-a_space-X"]
    assert [run.mask.name for run in runs] == [
        "sub-01_task-a_bold_brainmask.nii.gz",
        "sub-01_task-a_bold_space-X_brainmask.nii.gz",
    ]
    assert {run.confounds.name for run in runs} == {"sub-01_task-a_bold_confounds.tsv"}
    assert notes(findings) == {"gifti": 1, "other-desc": 1}


# Metadata


def test_sidecars_at_the_root_apply_and_nearer_ones_hold(tmp_path):
    raw = {
        "task-a_bold.json": {"RepetitionTime": 2.0, "TaskName": "a", "EchoTime": 0.03},
        "task-b_bold.json": {"RepetitionTime": 9.0},
        "sub-01/sub-01_task-a_bold.json": {"RepetitionTime": 1.5},
        "sub-01/func/sub-01_task-a_bold.nii.gz": None,
        "sub-01/func/sub-01_task-a_bold.json": {"EchoTime": 0.04},
        "sub-01/func/sub-01_task-a_acq-x_bold.json": {"EchoTime": 9.0},
    }
    (run,) = find_runs(study(tmp_path, raw), "01")[0]
    assert run.metadata == {"RepetitionTime": 1.5, "TaskName": "a", "EchoTime": 0.04}


def test_metadata_of_cohorts_do_not_mix(tmp_path):
    stem = "sub-01/func/sub-01_task-a_space-MNIInfant_cohort"
    files = {
        f"{stem}-{cohort}_desc-preproc_bold{end}": content
        for cohort, t_r in ((1, 1.0), (2, 2.0))
        for end, content in ((".nii.gz", None), (".json", {"RepetitionTime": t_r}))
    }
    runs, _ = find_runs(derivative(tmp_path, files), "01")
    assert {run.entities["cohort"]: run.metadata for run in runs} == {
        "1": {"RepetitionTime": 1.0},
        "2": {"RepetitionTime": 2.0},
    }


def test_run_labels_that_are_no_numbers_have_their_own_metadata(tmp_path):
    files = {
        f"sub-01/func/sub-01_task-a_run-{run}_desc-preproc_bold{end}": content
        for run, t_r in (("pre", 1.0), ("post", 2.0))
        for end, content in ((".nii.gz", None), (".json", {"RepetitionTime": t_r}))
    }
    runs, _ = find_runs(derivative(tmp_path, files), "01")
    assert {run.entities["run"]: run.metadata["RepetitionTime"] for run in runs} == {
        "pre": 1.0,
        "post": 2.0,
    }


def test_words_of_folders_above_the_dataset_are_no_entities(tmp_path):
    files = {
        f"sub-01/ses-{ses}/func/sub-01_ses-{ses}_task-a_desc-preproc_bold{end}": content
        for ses, t_r in (("1", 1.0), ("2", 2.0))
        for end, content in ((".nii.gz", None), (".json", {"RepetitionTime": t_r}))
    }
    dataset = derivative(tmp_path / "sub-99" / "ses-9_run-7", files)
    runs, findings = find_runs(dataset, "01", Selection(filters={"bold": {"session": "2"}}))
    assert [run.metadata for run in runs] == [{"RepetitionTime": 2.0}]
    assert findings == []


def test_timing_comes_from_the_raw_run_where_the_derivative_tells_none(tmp_path):
    raw = {
        "task-a_bold.json": {"RepetitionTime": 2.5, "EchoTime": 0.03, "TaskName": "a"},
        "sub-01/func/sub-01_task-a_run-01_bold.nii.gz": None,
    }
    stem = "sub-01/func/sub-01_task-a_run-1"
    fmriprep = dict.fromkeys(preprocessed(stem))
    fmriprep[f"{stem}{MNI}_desc-preproc_bold.json"] = {"TaskName": "mine"}
    (run,) = find_runs(study(tmp_path, raw, fmriprep), "01")[0]
    assert run.metadata == {"RepetitionTime": 2.5, "TaskName": "mine"}


def test_timing_of_the_raw_run_applies_though_its_image_is_gone(tmp_path):
    raw = {"task-a_bold.json": {"RepetitionTime": 2.5}}
    (run,) = find_runs(study(tmp_path, raw, preprocessed("sub-01/func/sub-01_task-a")), "01")[0]
    assert run.metadata == {"RepetitionTime": 2.5}


def test_volume_timing_of_the_derivative_bars_a_repetition_time_of_the_raw_run(tmp_path):
    stem = "sub-01/func/sub-01_task-a"
    fmriprep = dict.fromkeys(preprocessed(stem))
    fmriprep[f"{stem}{MNI}_desc-preproc_bold.json"] = {"VolumeTiming": [0, 3], "TaskName": "a"}
    raw = {"task-a_bold.json": {"RepetitionTime": 2.5}}
    (run,) = find_runs(study(tmp_path, raw, fmriprep), "01")[0]
    assert "RepetitionTime" not in run.metadata


@pytest.mark.parametrize(("times", "expected"), [((2.0, 2.0), 2.0), ((2.0, 3.0), None)])
def test_echoes_must_agree_on_the_timing_of_their_combination(tmp_path, times, expected):
    raw = {}
    for echo, t_r in enumerate(times, start=1):
        raw[f"sub-01/func/sub-01_task-a_echo-{echo}_bold.nii.gz"] = None
        raw[f"sub-01/func/sub-01_task-a_echo-{echo}_bold.json"] = {"RepetitionTime": t_r}
    (run,) = find_runs(study(tmp_path, raw, preprocessed("sub-01/func/sub-01_task-a")), "01")[0]
    assert run.metadata.get("RepetitionTime") == expected


@pytest.mark.parametrize("content", ["", "{", "[1]", "/annex/objects/MD5E-s12--aa.json"])
def test_a_broken_sidecar_is_an_error_of_its_runs_alone(tmp_path, content):
    files = dict.fromkeys(
        [name for task in "ab" for name in preprocessed(f"sub-01/func/sub-01_task-{task}")]
    )
    files[f"sub-01/func/sub-01_task-a{MNI}_desc-preproc_bold.json"] = content
    runs, findings = find_runs(derivative(tmp_path, files), "01")
    assert [run.task for run in runs] == ["b"]
    assert [(f.severity, f.code, f.participant) for f in findings] == [
        ("error", "unusable-table", "01")
    ]


def test_a_sidecar_that_is_a_dangling_link_is_an_error(tmp_path):
    stem = f"sub-01/func/sub-01_task-a{MNI}_desc-preproc_bold"
    dataset = derivative(tmp_path, [f"{stem}.nii.gz"])
    (dataset.derivatives[0] / f"{stem}.json").symlink_to("../.git/annex/objects/none")
    runs, findings = find_runs(dataset, "01")
    assert runs == []
    assert "datalad get" in str(findings[0])


# What is selected


def selected(dataset, **arguments):
    return names(find_runs(dataset, "01", Selection(**arguments))[0])


def test_labels_select_sessions_tasks_and_runs(tmp_path):
    files = [
        name
        for ses in ("pre", "post")
        for task in ("a", "b")
        for run in ("01", "10")
        for name in preprocessed(f"sub-01/ses-{ses}/func/sub-01_ses-{ses}_task-{task}_run-{run}")
    ]
    dataset = derivative(tmp_path, files)
    assert len(selected(dataset)) == 8
    assert len(selected(dataset, sessions=("pre",))) == 4
    assert len(selected(dataset, sessions=("ses-pre",), tasks=("task-a",))) == 2
    assert all("run-01" in name for name in selected(dataset, runs=("1",)))
    assert len(selected(dataset, runs=("1",))) == 4
    assert selected(dataset, tasks=("c",)) == []


def test_nothing_is_said_of_what_other_tasks_would_leave_out(tmp_path):
    files = [
        *preprocessed("sub-01/func/sub-01_task-a"),
        "sub-01/func/sub-01_task-b_space-fsLR_den-91k_bold.dtseries.nii",
    ]
    assert find_runs(derivative(tmp_path, files), "01", Selection(tasks=("a",)))[1] == []
    assert find_runs(derivative(tmp_path, files), "01", Selection(tasks=("c",)))[1] == []


@pytest.mark.parametrize(
    ("space", "expected"),
    [
        ("native", {""}),
        ("func", {""}),
        ("boldref", {""}),
        ("anat", {"_space-T1w"}),
        ("T1w", {"_space-T1w"}),
        ("X", {"_space-X", "_space-X_res-2", "_space-X_res-02"}),
        ("X:res-2", {"_space-X_res-2", "_space-X_res-02"}),
        ("X:res-native", {"_space-X"}),
        ("Y:cohort-2", {"_space-Y_cohort-2_res-1"}),
        ("Y:cohort-2:res-1", {"_space-Y_cohort-2_res-1"}),
        ("Y+1", {"_space-Y+1"}),
        ("Y:res-2", set()),
    ],
)
def test_a_space_is_selected_with_its_resolution_and_cohort(tmp_path, space, expected):
    spaces = ["", "_space-T1w", "_space-X", "_space-X_res-2", "_space-Y_cohort-2_res-1"]
    dataset = derivative(tmp_path, preprocessed("sub-01/func/sub-01_task-a", *spaces, "_space-Y+1"))
    # `res-2` and `res-02` mean the same, so that only a run in one of them is no twin.
    stem = "sub-01/func/sub-01_task-b"
    write_tree(dataset.derivatives[0], preprocessed(stem, "_space-X_res-02"))
    runs, findings = find_runs(dataset, "01", Selection(spaces=(space,)))
    ends = {name.removeprefix("sub-01_task-")[1:] for name in names(runs)}
    assert ends == {f"{end}_desc-preproc_bold.nii.gz" for end in expected}
    assert notes(findings) == {"other-space": 7 - len(runs)}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, ["", "x", "y"]),
        ({"acquisition": "x"}, ["x"]),
        ({"acquisition": None}, [""]),
        ({"acquisition": "*"}, ["x", "y"]),
        ({"acquisition": ["x", "y"]}, ["x", "y"]),
        ({"acquisition": [None, "y"]}, ["", "y"]),
        ({"acquisition": "x|y", "regex_search": True}, ["x", "y"]),
        ({"acquisition": "z"}, []),
        ({"run": 1, "suffix": "bold", "desc": "preproc", "datatype": "func"}, ["", "x", "y"]),
        ({"run": [1, 2], "extension": ".nii.gz", "space": "*"}, ["", "x", "y"]),
        ({"run": 2}, []),
        ({"suffix": "sbref"}, []),
    ],
)
def test_filters_mean_what_they_mean_to_pybids(tmp_path, query, expected):
    stems = [f"sub-01/func/sub-01_task-a{acq}_run-01" for acq in ("", "_acq-x", "_acq-y")]
    dataset = derivative(tmp_path, [name for stem in stems for name in preprocessed(stem)])
    runs, _ = find_runs(dataset, "01", Selection(filters={"bold": query}))
    assert sorted(run.entities.get("acq") or "" for run in runs) == expected


def test_a_filter_applies_to_old_names_too(tmp_path):
    files = [f"sub-01/func/sub-01_task-{t}_bold_space-X_preproc.nii.gz" for t in "ab"]
    runs = selected(derivative(tmp_path, files), filters={"bold": {"suffix": "bold", "task": "b"}})
    assert runs == ["sub-01_task-b_bold_space-X_preproc.nii.gz"]


def test_a_filter_file_is_read_by_kind(tmp_path):
    path = tmp_path / "filter.json"
    path.write_text(
        '{"bold": {"acquisition": null}, "t1w": {"acquisition": "x"}, "fmap": {"whatever": 1}}'
    )
    assert read_filter_file(path) == {"bold": {"acquisition": None}, "t1w": {"acquisition": "x"}}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("{", "is not JSON"),
        ("[]", "not an object"),
        ('{"bold": {"acq": "x"}}', "`acq`"),
        ('{"t2w": {"acq": "x"}}', "`acq`"),
    ],
)
def test_a_filter_file_that_says_something_else_is_refused(tmp_path, content, problem):
    path = tmp_path / "filter.json"
    path.write_text(content)
    with pytest.raises(UsageError, match=problem):
        read_filter_file(path)
    with pytest.raises(MissingInput):
        read_filter_file(tmp_path / "nowhere.json")


# Hostile folders


def test_linked_files_are_read_and_linked_folders_entered_once(tmp_path):
    elsewhere = write_tree(tmp_path / "elsewhere", preprocessed("func/sub-01_ses-2_task-a"))
    dataset = derivative(tmp_path, preprocessed("sub-01/ses-1/func/sub-01_ses-1_task-a"))
    folder = dataset.derivatives[0] / "sub-01"
    (folder / "ses-2").symlink_to(elsewhere)
    for place in (folder, folder / "ses-1", folder / "ses-1/func", elsewhere):
        (place / "up").symlink_to("..")
        (place / "up.d").symlink_to("..")
        (place / "round").symlink_to(folder)
        (place / "self").symlink_to("self")
    bold = folder / f"ses-1/func/sub-01_ses-1_task-b{MNI}_desc-preproc_bold.nii.gz"
    bold.symlink_to("nowhere")
    runs, _ = find_runs(dataset, "01")
    assert [(run.session, run.task) for run in runs] == [("1", "a"), ("1", "b"), ("2", "a")]


def test_names_that_are_no_text_are_passed_over(tmp_path):
    dataset = derivative(tmp_path, preprocessed("sub-01/func/sub-01_task-a"))
    folder = os.fsencode(dataset.derivatives[0] / "sub-01/func")
    Path(os.fsdecode(folder + b"/sub-01_task-\xff_desc-preproc_bold.nii.gz")).touch()
    assert len(find_runs(dataset, "01")[0]) == 1


def test_a_folder_that_cannot_be_read_is_an_error(tmp_path, monkeypatch):
    files = [
        name
        for ses in "12"
        for name in preprocessed(f"sub-01/ses-{ses}/func/sub-01_ses-{ses}_task-a")
    ]
    dataset = derivative(tmp_path, files)
    # Not by its permissions, for tests may run as root, who reads everything.
    monkeypatch.setattr(os, "access", lambda path, mode: not str(path).endswith("ses-2"))
    runs, findings = find_runs(dataset, "01")
    assert [run.session for run in runs] == ["1"]
    assert [(f.severity, f.code) for f in findings] == [("error", "unreadable-folder")]


# What it costs


def test_no_other_participants_folder_is_looked_into(tmp_path, monkeypatch):
    files = [n for i in range(20) for n in preprocessed(f"sub-{i}/func/sub-{i}_task-a")]
    dataset = derivative(tmp_path, files)
    scanned = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: scanned.append(str(path)) or scandir(path))
    find_runs(dataset, "1")
    root = str(dataset.derivatives[0])
    assert scanned.count(root) <= 1
    assert {path for path in scanned if path.startswith(f"{root}/sub-")} == {
        f"{root}/sub-1",
        f"{root}/sub-1/func",
    }


def test_no_layout_of_pybids_outlives_its_participant(tmp_path):
    dataset = derivative(tmp_path, preprocessed("sub-01/func/sub-01_task-a"))
    find_runs(dataset, "01")
    gc.collect()
    assert [thing for thing in gc.get_objects() if type(thing).__name__ == "BIDSLayout"] == []


def test_pybids_is_imported_only_when_a_participant_is_indexed():
    program = "import bidsmask.bids.layout, sys; print({'bids', 'numpy'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "set()\n"


def test_nothing_is_written_into_the_dataset(tmp_path):
    dataset = study(
        tmp_path, ["sub-01/func/sub-01_task-a_bold.nii"], preprocessed("sub-01/func/sub-01_task-a")
    )
    before = sorted(dataset.raw.rglob("*"))
    find_runs(dataset, "01")
    assert sorted(dataset.raw.rglob("*")) == before


def test_a_run_travels_to_a_worker(tmp_path):
    (run,) = find_runs(derivative(tmp_path, preprocessed("sub-01/func/sub-01_task-a")), "01")[0]
    again = pickle.loads(pickle.dumps(run))
    assert again == run
    assert hash(again) == hash(run)
