"""Templates are found by their names, and what is not there is asked for in the right words."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bidsmask.bids.templates import (
    TISSUES,
    Template,
    find_template_maps,
    find_template_set,
    templateflow_home,
)
from bidsmask.errors import MissingCompanion, UnusableImage, UsageError

ASYM = Template("MNI152NLin2009cAsym")
BRAIN, GM, WM = TISSUES["brain"], TISSUES["GM"], TISSUES["WM"]
HEAD = ["desc-fMRIPrep_boldref", "T1w", BRAIN]


def put(home: Path, name: str, content: bytes = b"voxels") -> Path:
    """Write a file where TemplateFlow has it."""
    entities = dict(part.split("-", 1) for part in name.split("_")[:-1])
    cohort = [f"cohort-{entities['cohort']}"] if "cohort" in entities else []
    path = home.joinpath(f"tpl-{entities['tpl']}", *cohort, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_all_resolutions_at_hand_are_found_and_nothing_else(tmp_path: Path) -> None:
    start = "tpl-MNI152NLin2009cAsym"
    wanted = [put(tmp_path, f"{start}_res-0{n}_desc-brain_mask.nii.gz") for n in (1, 2)]
    put(tmp_path, f"{start}_res-03_desc-brain_mask.nii.gz", b"")  # known, not fetched
    for other in ("desc-eye_mask", "hemi-L_desc-brain_mask", "desc-brain_T1w", "label-GM_probseg"):
        put(tmp_path, f"{start}_res-01_{other}.nii.gz")
    put(tmp_path, f"{start}_res-01_desc-brain_mask.json")
    put(tmp_path, "tpl-MNI152NLin6Asym_res-01_desc-brain_mask.nii.gz")
    assert find_template_maps(tmp_path, ASYM, BRAIN, "") == wanted


def test_tissues_and_cohorts_are_told_apart(tmp_path: Path) -> None:
    names = {
        (
            cohort,
            tissue,
        ): f"tpl-MNIPediatricAsym_cohort-{cohort}_res-1_label-{tissue}_probseg.nii.gz"
        for cohort in "12"
        for tissue in ("GM", "WM")
    }
    paths = {key: put(tmp_path, name) for key, name in names.items()}
    found = find_template_maps(tmp_path, Template("MNIPediatricAsym", "2"), WM, "")
    assert found == [paths["2", "WM"]]


def test_a_template_of_ones_own_beside_the_known_ones_will_do(tmp_path: Path) -> None:
    path = put(tmp_path, "tpl-MyLab_desc-brain_mask.nii")
    assert find_template_maps(tmp_path, Template("MyLab"), BRAIN, "2") == [path]
    with pytest.raises(UnusableImage, match="MyLab has no label-GM_probseg in TemplateFlow"):
        find_template_maps(tmp_path, Template("MyLab"), GM, "")


@pytest.mark.parametrize(
    ("template", "kind", "resolution", "file", "words"),
    [
        (ASYM, BRAIN, "", "res-01_desc-brain_mask", "resolution=1, desc='brain', suffix='mask'"),
        (ASYM, BRAIN, "2", "res-02_desc-brain_mask", "resolution=2, desc='brain', suffix='mask'"),
        (ASYM, GM, "02", "res-02_label-GM_probseg", "resolution=2, label='GM', suffix='probseg'"),
        (
            Template("MNIPediatricAsym", "3"),
            WM,
            "native",
            "cohort-3_res-1_label-WM_probseg",
            "cohort=3, resolution=1, label='WM', suffix='probseg'",
        ),
    ],
)
@pytest.mark.parametrize("has_stubs", [True, False])
def test_a_map_that_was_not_fetched_is_named_with_the_command_that_fetches_it(
    tmp_path: Path, template, kind, resolution: str, file: str, words: str, has_stubs: bool
) -> None:
    name = f"tpl-{template.name}_{file}.nii.gz"
    if has_stubs:
        put(tmp_path, name, b"")
    with pytest.raises(MissingCompanion) as caught:
        find_template_maps(tmp_path, template, kind, resolution)
    assert caught.value.where == name
    assert f"is not in TEMPLATEFLOW_HOME ({tmp_path})" in caught.value.problem
    command = f'python -c "from templateflow import api; api.get({template.name!r}, {words})"'
    assert command in caught.value.advice


def test_a_home_that_is_not_there_is_neither_needed_nor_made(tmp_path: Path) -> None:
    home = tmp_path / "nowhere"
    with pytest.raises(MissingCompanion, match="is not in TEMPLATEFLOW_HOME"):
        find_template_maps(home, ASYM, BRAIN, "")
    assert not home.exists()


def test_looking_writes_nothing_and_does_not_wake_the_client(tmp_path: Path) -> None:
    put(tmp_path, "tpl-MNI152NLin2009cAsym_res-01_desc-brain_mask.nii.gz")
    before = sorted(tmp_path.rglob("*"))
    find_template_maps(tmp_path, ASYM, BRAIN, "")
    with pytest.raises(MissingCompanion):
        find_template_maps(tmp_path, ASYM, GM, "")
    assert sorted(tmp_path.rglob("*")) == before
    assert "templateflow" not in sys.modules


def test_an_unknown_space_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UnusableImage, match="Mars is no template of TemplateFlow") as caught:
        find_template_maps(tmp_path, Template("Mars"), BRAIN, "")
    assert "MNI152NLin2009cAsym, MNI152NLin2009cSym, MNI152NLin6Asym" in caught.value.advice
    assert all(name.isalnum() for name in caught.value.advice[len("It has ") : -1].split(", "))


def test_a_template_without_such_a_map_says_so(tmp_path: Path) -> None:
    with pytest.raises(
        UnusableImage, match="MNI152NLin6Asym has no label-GM_probseg in TemplateFlow"
    ):
        find_template_maps(tmp_path, Template("MNI152NLin6Asym"), GM, "")
    with pytest.raises(UnusableImage, match="MNIInfant has no desc-brain_mask"):
        find_template_maps(tmp_path, Template("MNIInfant"), BRAIN, "")  # has cohorts


# ----------------------------------------------------------------- sets of one resolution


def test_a_set_is_of_the_resolution_asked_for(tmp_path: Path) -> None:
    paths = {
        (n, kind): put(tmp_path, f"tpl-MNI152NLin2009cAsym_res-0{n}_{kind}.nii.gz")
        for n in (1, 2)
        for kind in HEAD
    }
    put(tmp_path, "tpl-MNI152NLin2009cAsym_res-02_desc-brain_T1w.nii.gz")
    found = find_template_set(tmp_path, ASYM, HEAD, "2")
    assert found == [paths[2, kind] for kind in HEAD]


def test_what_was_fetched_does_not_decide_which_resolution_a_set_is_of(tmp_path: Path) -> None:
    for kind in ("T1w", BRAIN):
        put(tmp_path, f"tpl-MNI152NLin2009cAsym_res-01_{kind}.nii.gz")
    there = "tpl-MNI152NLin2009cAsym_res-02_T1w.nii.gz"
    put(tmp_path, there)
    with pytest.raises(MissingCompanion) as caught:
        find_template_set(tmp_path, ASYM, HEAD, "2")
    start = "tpl-MNI152NLin2009cAsym_res-02"
    missing = f"{start}_desc-fMRIPrep_boldref.nii.gz, {start}_desc-brain_mask.nii.gz"
    assert caught.value.where == missing
    assert "are not in TEMPLATEFLOW_HOME" in caught.value.problem
    calls = [
        "api.get('MNI152NLin2009cAsym', resolution=2, desc='fMRIPrep', suffix='boldref')",
        "api.get('MNI152NLin2009cAsym', resolution=2, desc='brain', suffix='mask')",
    ]
    assert f'python -c "from templateflow import api; {"; ".join(calls)}"' in caught.value.advice


def test_a_template_without_the_resolution_asked_for_gives_its_finest(tmp_path: Path) -> None:
    with pytest.raises(MissingCompanion, match="tpl-OASIS30ANTs_res-01_T1w"):
        find_template_set(tmp_path, Template("OASIS30ANTs"), ["T1w", BRAIN], "2")
    own = [put(tmp_path, f"tpl-MyLab_{kind}.nii") for kind in ("T1w", BRAIN)]
    assert find_template_set(tmp_path, Template("MyLab"), ["T1w", BRAIN], "2") == own


def test_kinds_that_are_in_no_common_resolution_are_no_set(tmp_path: Path) -> None:
    put(tmp_path, "tpl-MyLab_res-1_T1w.nii.gz")
    put(tmp_path, "tpl-MyLab_res-2_desc-brain_mask.nii.gz")
    with pytest.raises(UnusableImage, match="has T1w and desc-brain_mask in no common resolution"):
        find_template_set(tmp_path, Template("MyLab"), ["T1w", "T1w", BRAIN], "2")


def test_the_environment_says_where_the_files_are(tmp_path: Path) -> None:
    assert templateflow_home({"TEMPLATEFLOW_HOME": str(tmp_path)}) == tmp_path
    without = templateflow_home({"XDG_CACHE_HOME": str(tmp_path)})
    assert without.name == "templateflow"


@pytest.mark.parametrize(
    ("text", "template"),
    [
        ("MNI152NLin6Asym", Template("MNI152NLin6Asym")),
        ("MNIInfant:cohort-02", Template("MNIInfant", "2")),
    ],
)
def test_a_template_is_named_with_its_cohort(text: str, template: Template) -> None:
    assert Template.parse(text) == template


@pytest.mark.parametrize("text", ["", "a/b", "../x", "MNIInfant:", "MNIInfant:2", "A:cohort-"])
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no template"):
        Template.parse(text)
