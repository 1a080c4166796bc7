"""What is gathered of an output, what cannot be joined, and what is said of it."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from bidsmask.app.group.cohort import MASKS, Cohort, read_cohort
from bidsmask.app.group.run_outputs import ProductName
from bidsmask.app.options import Options
from bidsmask.errors import Finding, NothingSelected, UnequalChoices
from tests.make_group import change_sidecar, write_outputs, write_run_outputs
from tests.make_runs import SPACE

GROUP = f"task-rest_space-{SPACE}"
SIGNALS = ProductName("signals", "blocks", "mean", "simple")


def cohort_of(output: Path, **options: Any) -> Cohort:
    return read_cohort(Options(Path("none"), output, "group", **options))


def sidecar(output: Path, label: str, ending: str) -> Path:
    [path] = output.glob(f"sub-{label}/**/*{ending}.json")
    return path


def said(cohort: Cohort, code: str) -> list[Finding]:
    return [finding for finding in cohort.findings if finding.code == code]


def runs_in(cohort: Cohort) -> dict[str, list[str]]:
    return {group.label: [run.participant for run in group.runs] for group in cohort.groups}


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return write_outputs(tmp_path / "out", ("1", "2", "3"))


# Runs and groups


def test_equal_runs_leave_nothing_to_say(output):
    cohort = cohort_of(output)
    assert runs_in(cohort) == {GROUP: ["1", "2", "3"]}
    assert cohort.findings == ()
    assert cohort.unfinished == {}
    [group] = cohort.groups
    assert [run.label for run, _ in group.of(SIGNALS)] == [f"sub-{n}_{GROUP}" for n in "123"]
    assert group.names("signals") == [SIGNALS]
    assert group.without(SIGNALS) == group.without(MASKS) == {}


def test_a_run_knows_its_products(output):
    run = cohort_of(output).runs[0]
    stem = output / f"sub-1/func/sub-1_task-rest_space-{SPACE}"
    assert run.mask is not None
    assert run.mask.path == Path(f"{stem}_desc-derivative_mask.nii.gz")
    assert run.coverage["blocks"].path == Path(f"{stem}_atlas-blocks_stat-coverage_bold.tsv")
    signals = Path(f"{stem}_atlas-blocks_stat-mean_desc-simple_timeseries.tsv")
    assert run.signals["blocks", "mean", "simple"].path == signals
    volumes = output / "sub-1/func/sub-1_task-rest_desc-simple_volumes.tsv"
    assert run.volumes["simple"].path == volumes


def test_tasks_spaces_cohorts_and_resolutions_are_groups_of_their_own(tmp_path):
    output = write_outputs(tmp_path / "out", ())
    spaces = ("space-A_res-1", "space-A_res-2", "space-B_cohort-1", "space-B_cohort-2", "")
    for space in spaces:
        for stem in ("sub-1_ses-1_task-a_run-1", "sub-1_ses-2_task-a_run-2", "sub-1_task-b"):
            write_run_outputs(output, stem, space=space)
    groups = runs_in(cohort_of(output))
    expected = {
        f"task-{task}" + (f"_{space}" if space else "") for task in "ab" for space in spaces
    }
    assert set(groups) == expected
    assert {len(groups[label]) for label in groups if "task-a" in label} == {2}


def test_the_table_of_volumes_belongs_to_the_run_in_every_space(tmp_path):
    output = write_outputs(tmp_path / "out", ())
    for space in ("space-A", "space-B", ""):
        write_run_outputs(output, "sub-1_task-a", space=space)
    tables = {run.volumes["simple"].path for run in cohort_of(output).runs}
    assert len(cohort_of(output).runs) == 3
    assert tables == {output / "sub-1/func/sub-1_task-a_desc-simple_volumes.tsv"}


def test_the_order_on_the_disk_changes_nothing(tmp_path):
    labels = ["10", "9", "2", "01", "b", "a"]
    one = write_outputs(tmp_path / "one", labels)
    other = write_outputs(tmp_path / "other", labels[::-1])
    told = [
        [(run.label, run.mask.identity, sorted(run.signals)) for run in cohort_of(path).runs]
        for path in (one, other)
    ]
    assert told[0] == told[1]
    assert [label for label, *_ in told[0]] == [
        f"sub-{label}_{GROUP}" for label in ("01", "2", "9", "10", "a", "b")
    ]


DOUBLED = {
    "a resolution": (("sub-4_task-rest", "res-2"), ("sub-4_task-rest", "res-02")),
    "a run": (("sub-4_task-rest_run-1", "res-2"), ("sub-4_task-rest_run-01", "res-2")),
}


@pytest.mark.parametrize("names", DOUBLED.values(), ids=DOUBLED)
def test_two_names_that_mean_one_run_are_an_error_and_neither_is_joined(tmp_path, names):
    output = write_outputs(tmp_path / "out", ("1", "2"), space="space-A_res-2")
    for stem, resolution in names:
        write_run_outputs(output, stem, space=f"space-A_{resolution}")
    cohort = cohort_of(output)
    [finding] = cohort.unfinished["4"]
    assert (finding.severity, finding.code) == ("error", "doubled-run")
    assert all(f"{stem}_space-A_{resolution}" in str(finding) for stem, resolution in names)
    assert runs_in(cohort) == {"task-rest_space-A_res-2": ["1", "2"]}


def test_where_every_run_is_named_twice_there_is_nothing_to_join(tmp_path):
    output = write_outputs(tmp_path / "out", ())
    for resolution in ("2", "02"):
        write_run_outputs(output, "sub-1_task-rest", space=f"space-A_res-{resolution}")
    with pytest.raises(NothingSelected, match=r"res-02 means the same run as .*res-2"):
        cohort_of(output)


# Labels

SELECTIONS = {
    "participants": ({"participant_label": ("2", "1")}, ["1", "2"], ["a", "b"], ["X", "Y"]),
    "a task": ({"task_label": ("a",)}, ["1", "2", "3"], ["a"], ["X", "Y"]),
    "a session": ({"session_label": ("1",)}, ["1", "2", "3"], ["a", "b"], ["X", "Y"]),
    "a run": ({"run_label": ("01",)}, ["1", "2", "3"], ["a", "b"], ["X", "Y"]),
    "a space": ({"space": ("X",)}, ["1", "2", "3"], ["a", "b"], ["X"]),
    "a resolution": ({"space": ("Y:res-2",)}, ["1", "2", "3"], ["a", "b"], ["Y"]),
}


@pytest.fixture(scope="module")
def varied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = write_outputs(tmp_path_factory.mktemp("varied") / "out", ())
    for label in "123":
        for task in "ab":
            for space in ("space-X", "space-Y_res-2"):
                write_run_outputs(output, f"sub-{label}_ses-1_task-{task}_run-1", space=space)
    return output


@pytest.mark.parametrize("case", SELECTIONS)
def test_labels_select(varied, case):
    options, participants, tasks, spaces = SELECTIONS[case]
    runs = cohort_of(varied, **options).runs
    assert sorted({run.participant for run in runs}) == participants
    assert sorted({run.entities["task"] for run in runs}) == tasks
    assert sorted({run.entities["space"] for run in runs}) == spaces
    assert len(runs) == len(participants) * len(tasks) * len(spaces)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"participant_label": ("4",)}, "participant 4 is not in the dataset, which has 3"),
        ({"task_label": ("c",)}, "task-c selects no run"),
        ({"session_label": ("9",)}, "ses-9 selects no run"),
        ({"space": ("Z",)}, "space-Z selects no run. There is X, Y"),
        ({"space": ("X:res-2",)}, "space-X:res-2 selects no run"),
        ({"run_label": ("1",), "space": ("X:res-native", "func")}, ""),
    ],
)
def test_labels_that_select_nothing_are_named(varied, options, words):
    if not words:
        assert said(cohort_of(varied, **options), "label-selects-nothing")
        return
    with pytest.raises(NothingSelected) as caught:
        cohort_of(varied, **options)
    assert words in str(caught.value)


def test_labels_that_select_nothing_together_are_refused(varied, tmp_path):
    write_run_outputs(shutil.copytree(varied, tmp_path / "out"), "sub-1_task-c", space="space-X")
    with pytest.raises(NothingSelected, match="holds no run that the labels select"):
        cohort_of(tmp_path / "out", task_label=("c",), space=("Y",))


def test_participants_without_products_are_refused(tmp_path):
    output = write_outputs(tmp_path / "out", ())
    (output / "sub-1/func").mkdir(parents=True)
    with pytest.raises(NothingSelected, match=r"holds no run\. Run the participant level first"):
        cohort_of(output)


# What some have and others lack


def test_a_run_that_others_have_is_missed(tmp_path):
    output = write_outputs(tmp_path / "out", ("1", "2", "3"), tasks=("rest", "faces"))
    for path in (output / "sub-2/func").glob("*task-faces*"):
        path.unlink()
    [finding] = said(cohort_of(output), "run-missing")
    assert finding.severity == "warning"
    assert finding.participant == "2"
    expected = f"sub-2 lacks 1 runs that others have: task-faces_space-{SPACE}."
    assert str(finding).startswith(expected)


def test_a_run_that_few_have_is_told_once(output):
    write_run_outputs(output, "sub-3_task-rest_run-2")
    [finding] = said(cohort_of(output), "run-of-few")
    assert finding.severity == "note"
    assert str(finding) == f"task-rest_run-2_space-{SPACE} is there for 1 of 3 participants: sub-3."


def test_a_product_that_others_have_is_missed(output):
    for path in (output / "sub-2/func").glob("*_timeseries.*"):
        path.unlink()
    cohort = cohort_of(output)
    [finding] = said(cohort, "product-missing")
    assert (finding.severity, finding.participant) == ("warning", "2")
    assert "has no signals atlas-blocks mean simple, which other runs" in str(finding)
    [group] = cohort.groups
    assert [run.participant for run, _ in group.of(SIGNALS)] == ["1", "3"]
    assert group.without(SIGNALS) == {f"sub-2_{GROUP}": "has no such signals"}


def test_a_product_that_few_have_is_told_once(output):
    for path in list((output / "sub-3/func").glob("*_desc-simple_volumes.*")):
        shutil.copy(path, path.with_name(path.name.replace("simple", "36P")))
    [finding] = said(cohort_of(output), "product-of-few")
    assert str(finding) == f"{GROUP} has volumes 36P for 1 of 3 runs: sub-3_{GROUP}."


def test_an_unfinished_product_is_an_error_and_not_missed_as_well(output):
    sidecar(output, "2", "_mask").unlink()
    cohort = cohort_of(output)
    assert list(cohort.unfinished) == ["2"]
    [finding] = cohort.unfinished["2"]
    assert finding.severity == "error"
    assert said(cohort, "product-missing") == []
    [group] = cohort.groups
    assert [run.participant for run, _ in group.of(MASKS)] == ["1", "3"]
    [reason] = group.without(MASKS).values()
    assert "has no JSON file beside it" in reason


def test_a_participant_whose_folder_cannot_be_read_is_unfinished(output, monkeypatch):
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("sub-2/func"):
            raise PermissionError(errno.EACCES, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    cohort = cohort_of(output)
    assert {run.participant for run in cohort.runs} == {"1", "3"}
    [finding] = cohort.unfinished["2"]
    assert "cannot be read" in str(finding)


def test_what_the_labels_leave_out_may_be_unfinished(output):
    write_run_outputs(output, "sub-1_task-other")
    sidecar(output, "1", "task-other_desc-simple_volumes").unlink()
    assert cohort_of(output, task_label=("rest",)).unfinished == {}
    assert list(cohort_of(output, space=(SPACE,)).unfinished) == ["1"]


def test_one_participant_is_no_group(output):
    [finding] = said(cohort_of(output, participant_label=("2",)), "one-participant")
    assert "sub-2 is the only participant" in str(finding)
    assert said(cohort_of(output), "one-participant") == []


# What was made differently


def cleaning(**changes: Any) -> dict[str, Any]:
    from tests.make_group import CLEANING

    return {"Cleaning": {**CLEANING, **changes}}


CONFLICTS = {
    "smoothing": ("_timeseries", {"SmoothingFWHM": 6.0}, "SmoothingFWHM is null for 2 runs"),
    "units": ("_timeseries", {"Units": "percent"}, 'Units is "zscore" for 2 runs, but "percent"'),
    "statistic": ("_timeseries", {"Statistic": "median"}, "Statistic"),
    "rows": ("_timeseries", {"Rows": "all volumes"}, "Rows"),
    "strategy": ("_timeseries", cleaning(Strategy="36P"), "Cleaning.Strategy"),
    "detrending": ("_timeseries", cleaning(Detrend=False), "Cleaning.Detrend is true"),
    "a filter": (
        "_timeseries",
        cleaning(Filter={"Kind": "butterworth", "LowPass": 0.1}),
        'Cleaning.Filter is null for 2 runs, but {"Kind": "butterworth", "LowPass": 0.1} for',
    ),
    "a threshold": (
        "_timeseries",
        cleaning(Censoring={"FramewiseDisplacement": 0.5}),
        "Cleaning.Censoring.DummyScans",
    ),
    "no cleaning at all": ("_timeseries", {"Cleaning": None}, "Cleaning"),
    "another kind of value": ("_timeseries", {"Cleaning": [[]]}, "Cleaning"),
    "thresholds of volumes": ("_volumes", {"Thresholds": {"MinSegment": 5}}, "Thresholds"),
    "the delay of trials": ("_volumes", {"TrialDelay": 5.0}, "TrialDelay"),
    "the mask's arguments": ("_mask", {"StrategyArguments": {"opening": 1}}, "StrategyArguments"),
}


@pytest.mark.parametrize("case", CONFLICTS)
def test_different_choices_are_named_and_not_joined(output, case):
    ending, changes, words = CONFLICTS[case]
    change_sidecar(sidecar(output, "2", ending), **changes)
    [group] = cohort_of(output).groups
    [(name, error)] = group.conflicts.items()
    assert name.kind == {"_timeseries": "signals", "_volumes": "volumes", "_mask": "mask"}[ending]
    assert words in str(error)
    assert f"for sub-2_{GROUP}" in str(error)
    assert GROUP in str(error.where)
    with pytest.raises(UnequalChoices):
        group.of(name)
    others = [one for one in (SIGNALS, MASKS) if one != name]
    assert all(len(group.of(one)) == 3 for one in others)


ALIKE = {
    "regressors": cleaning(Regressors=["cosine00"]),
    "dropped regressors": cleaning(DroppedRegressors=["csf"]),
    "timing": {"RepetitionTime": 1.5, "StartTime": 0.75},
    "degrees of freedom": {"DegreesOfFreedom": {"remaining": 3}},
    "motion": {"MeanFramewiseDisplacement": 0.9},
}


@pytest.mark.parametrize("case", ALIKE)
def test_what_the_data_decide_may_differ(output, case):
    change_sidecar(sidecar(output, "2", "_timeseries"), **ALIKE[case])
    cohort = cohort_of(output)
    assert cohort.groups[0].conflicts == {}
    assert cohort.findings == ()


def test_versions_that_differ_are_a_warning(output):
    change_sidecar(sidecar(output, "3", "_timeseries"), SoftwareVersions={"bidsmask": "0.9"})
    cohort = cohort_of(output)
    [finding] = said(cohort, "several-versions")
    assert finding.severity == "warning"
    assert f"0.9 sub-3_{GROUP}" in str(finding)
    assert cohort.groups[0].conflicts == {}


@pytest.mark.parametrize("strange", [{"Sources": 3}, {"MaskFile": []}, {"SoftwareVersions": "1"}])
def test_a_sidecar_with_strange_values_does_no_harm(output, strange):
    for label in "123":
        change_sidecar(sidecar(output, label, "_timeseries"), **strange)
    assert cohort_of(output).groups[0].conflicts == {}


# Masks of several strategies


def add_mask(output: Path, label: str, reason: str, strategy: str = "epi") -> None:
    """Give a participant another mask beside the one he has."""
    for path in list((output / f"sub-{label}/func").glob("*desc-derivative_mask.*")):
        shutil.copy(path, path.with_name(path.name.replace("derivative", strategy)))
    told = {"Strategy": strategy, "StrategyReason": reason}
    change_sidecar(sidecar(output, label, f"desc-{strategy}_mask"), **told)


def swap_mask(output: Path, label: str, reason: str) -> None:
    """Give a participant another mask in place of the one he has."""
    add_mask(output, label, reason)
    for path in list((output / f"sub-{label}/func").glob("*desc-derivative_mask.*")):
        path.unlink()
    path = sidecar(output, label, "_timeseries")
    told = json.loads(path.read_text())["MaskFile"].replace("derivative", "epi")
    change_sidecar(path, MaskFile=told)


def auto(output: Path) -> None:
    for label in "123":
        for path in (output / f"sub-{label}/func").glob("*_mask.json"):
            change_sidecar(path, StrategyReason="auto: as it had to be")


def test_two_masks_of_a_run_want_a_choice(output):
    add_mask(output, "2", "asked for")
    [group] = cohort_of(output).groups
    error = group.conflicts[MASKS]
    assert "derivative and epi, which cannot be joined" in str(error)
    assert f"sub-2_{GROUP}" in str(error)
    assert "--mask-strategy" in error.advice
    with pytest.raises(UnequalChoices):
        group.of(MASKS)


def test_the_choice_selects_the_mask(output):
    for label in "123":
        add_mask(output, label, "asked for")
    for strategy in ("epi", "derivative"):
        [group] = cohort_of(output, mask_strategy=strategy).groups
        assert {mask.entities["desc"] for _, mask in group.of(MASKS)} == {strategy}
        assert len(group.of(MASKS)) == 3


def test_what_was_made_with_another_mask_than_the_chosen_is_set_aside(output):
    add_mask(output, "2", "asked for")
    cohort = cohort_of(output, mask_strategy="epi")
    [group] = cohort.groups
    assert [run.participant for run, _ in group.of(MASKS)] == ["2"]
    assert group.of(SIGNALS) == []
    findings = said(cohort, "another-mask")
    assert {finding.participant for finding in findings} == {"1", "2", "3"}
    assert "was made with the mask derivative, not with epi" in str(findings[0])
    assert "was made with the mask derivative" in group.without(SIGNALS)[f"sub-1_{GROUP}"]


def test_masks_that_auto_chose_may_be_mixed_with_a_warning(output):
    swap_mask(output, "2", "")
    auto(output)
    cohort = cohort_of(output)
    [finding] = said(cohort, "mixed-masks")
    assert finding.severity == "warning"
    assert f"epi of sub-2_{GROUP}" in str(finding)
    [group] = cohort.groups
    assert len(group.of(MASKS)) == len(group.of(SIGNALS)) == 3


def test_masks_that_somebody_asked_for_are_not_mixed(output):
    swap_mask(output, "2", "asked for")
    cohort = cohort_of(output)
    [group] = cohort.groups
    assert set(group.conflicts) == {MASKS, SIGNALS}
    assert "the strategy is derivative for 2 runs, but epi for" in str(group.conflicts[MASKS])
    assert "the mask is derivative for 2 runs, but epi for" in str(group.conflicts[SIGNALS])
    assert said(cohort, "mixed-masks") == []
