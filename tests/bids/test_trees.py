"""Real trees: each gives the runs that a plain reading of its names says.

The expectation is read from the list of names by regular expressions, without the code that is
tested; fifteen trees were counted with find and grep as well.
"""

import re
from collections import Counter

import pytest

from bidsmask.bids.dataset import find_dataset, participants
from bidsmask.bids.layout import find_runs
from bidsmask.bids.selection import Selection
from tests.make_trees import MANIFESTS, lay_out, manifest_names

pytestmark = pytest.mark.skipif(
    not MANIFESTS.is_dir(), reason="the shared manifests of real trees are not beside the project"
)

# fMRIPrep 1.2 and later; 1.0 and 1.1.
PREPROCESSED = re.compile(
    r"_desc-preproc_bold\.nii(\.gz)?$|_bold(_space-[^_]+)?_preproc\.nii(\.gz)?$"
)
RAW = re.compile(r"^(?!.*_part-(phase|real|imag)_).*_bold\.nii(\.gz)?$")
PREPROCESSED_ANATOMY = re.compile(
    r"_desc-preproc_T[12]w\.nii(\.gz)?$|_T1w(_space-[^_]+)?_preproc\.nii(\.gz)?$"
)
RAW_ANATOMY = re.compile(r"^(?!.*_part-(phase|real|imag)_).*_T[12]w\.nii(\.gz)?$")
# Of a participant's tree, not more than these are indexed: two tell what twenty would.
PARTICIPANTS = 2
# The root of the dataset within the tree, where it is not the top.
ROOTS = {"demo_xcp_d": "derivatives/fmriprep/"}


def load(name):
    return lay_out().load(MANIFESTS / f"{name}.json")


@pytest.fixture
def indexed(tmp_path):
    """Lay a tree out and index it; return its dataset, and runs and findings by participant."""

    def indexed(name, limit=None, datatype="func"):
        lay_out().lay_out(load(name), tmp_path)
        root = tmp_path / ROOTS.get(name, "")
        dataset = find_dataset(root, None, tmp_path / "out", (datatype,))
        wanted = Selection(datatypes=(datatype,))
        return dataset, {
            label: find_runs(dataset, label, wanted) for label in participants(dataset)[:limit]
        }

    return indexed


def files_of(datatype, paths):
    """Return participant and path of each file in a func or anat folder of a participant."""
    found = []
    pattern = rf"(?:^|/)sub-([^/]+)/(?:(?:sub|ses)-[^/]+/)*{datatype}/[^./][^/]*$"
    for path in paths:
        match = re.search(pattern, path)
        if match:
            found.append((match[1], path))
    return found


def expected_series(tree):
    """Return the paths of the series to mask, by participant, as a plain reading says."""
    files = files_of("func", lay_out().paths(tree))
    chosen = [pair for pair in files if PREPROCESSED.search(pair[1])]
    if not chosen and tree["kind"] == "raw":
        chosen = [pair for pair in files if RAW.search(pair[1])]
    return chosen


def first_there(candidates, files):
    return next((path for path in candidates if path in files), None)


def expected_mask(series, files):
    """Return the mask that differs in nothing but its kind, else that of all echoes."""
    if not PREPROCESSED.search(series):
        return None
    candidates = []
    for kind in ("_desc-brain_mask", "_label-brain_mask"):
        for extension in (".nii.gz", ".nii"):
            own = re.sub(r"_desc-preproc_bold\.nii(\.gz)?$", kind + extension, series)
            candidates += [own, re.sub(r"_echo-\d+", "", own)]
    candidates += [re.sub(r"_preproc(\.nii(\.gz)?)$", r"_brainmask\1", series)]
    return first_there([path for path in candidates if path != series], files)


def expected_confounds(series, files):
    """Return the confounds table of the series' run, else that of all echoes."""
    if not PREPROCESSED.search(series):
        return None
    stem = re.sub(r"(_(space|res|cohort|den)-[^_/]+)+(?=_)", "", series)
    stem = re.sub(r"_desc-preproc_bold\.nii(\.gz)?$|_preproc\.nii(\.gz)?$", "", stem)
    kinds = ("_desc-confounds_timeseries.tsv", "_desc-confounds_regressors.tsv", "_confounds.tsv")
    stems = (stem, re.sub(r"_echo-\d+", "", stem))
    return first_there([stem + kind for kind in kinds for stem in stems], files)


@pytest.mark.parametrize("name", manifest_names())
def test_a_tree_gives_the_runs_that_its_names_say(name, indexed, tmp_path):
    tree = load(name)
    files = set(lay_out().paths(tree))
    series = expected_series(tree)
    dataset, found = indexed(name, PARTICIPANTS)

    relative = {
        str(run.path.relative_to(tmp_path)): run for runs, _ in found.values() for run in runs
    }
    assert sorted(relative) == sorted(path for label, path in series if label in found)
    assert {label for label, _ in series} <= set(participants(dataset))
    for path, run in relative.items():
        for companion, expected in (
            (run.mask, expected_mask(path, files)),
            (run.confounds, expected_confounds(path, files)),
        ):
            assert (companion and str(companion.relative_to(tmp_path))) == expected
        own = tree.get("content", {}).get(re.sub(r"\.nii(\.gz)?$", ".json", path))
        if isinstance(own, dict):
            assert own.items() <= run.metadata.items()
    errors = [f for _, findings in found.values() for f in findings if f.severity == "error"]
    assert errors == []


@pytest.mark.parametrize("name", manifest_names())
def test_a_tree_gives_the_anatomical_images_that_its_names_say(name, indexed, tmp_path):
    tree = load(name)
    every = set(lay_out().paths(tree))
    files = files_of("anat", [path for path in every if path.startswith(ROOTS.get(name, ""))])
    expected = [pair for pair in files if PREPROCESSED_ANATOMY.search(pair[1])]
    if not expected and tree["kind"].startswith("raw"):
        expected = [pair for pair in files if RAW_ANATOMY.search(pair[1])]
    _, found = indexed(name, PARTICIPANTS, "anat")

    runs = {str(run.path.relative_to(tmp_path)): run for some, _ in found.values() for run in some}
    assert sorted(runs) == sorted(path for label, path in expected if label in found)
    for path, run in runs.items():
        mask = first_there(
            [
                re.sub(r"_desc-preproc_T[12]w(\.nii(\.gz)?)$", r"_desc-brain_mask\1", path),
                re.sub(r"_preproc(\.nii(\.gz)?)$", r"_brainmask\1", path),
            ],
            every - {path},
        )
        assert (run.mask and str(run.mask.relative_to(tmp_path))) == mask
        assert (run.boldref, run.confounds, run.events) == (None, None, None)
    errors = [f for _, findings in found.values() for f in findings if f.severity == "error"]
    assert errors == []


# Counted with find and grep: tree -> participant, runs by space, runs with a mask, notes.
COUNTED = {
    "ds001734_narps_fmriprep-1.1.4": ("001", {"MNI152NLin2009cAsym": 4}, 4, {"gifti": 8}),
    "ci_fmriprep-1.1.8_ds005": (
        "01",
        {"MNI152NLin2009cAsym": 2, "T1w": 2},
        4,
        {"cifti": 2, "gifti": 4, "other-desc": 2},
    ),
    "ds004496_nod_fmriprep-20.2": ("01", {"T1w": 32}, 0, {}),
    "ds005874_fmriprep-23.1.4_doubled": (
        "46",
        {"MNI152NLin2009cAsym": 5},
        5,
        {"unusual-place": 5},
    ),
    "ds006185_fmriprep-25.2.4": (
        "20188",
        {"": 12, "MNI152NLin6Asym": 2, "T1w": 2},
        16,
        {"cifti": 2},
    ),
    "ds007088_fmriprep-25.0.0": ("19861", {}, 0, {}),
    "ond_ds003752_fmriprep-23.2.0_minimal": ("01", {}, 0, {}),
    "ds003192_euskalibur_raw": ("001", {"": 10}, 0, {"sbref": 10}),
    "ds000258_cambridge_me_raw": ("04570", {"": 4}, 0, {}),
    "ex_ds210": ("01", {"": 15}, 0, {}),
    "ex_ds000246": ("0001", {}, 0, {}),
    "ex_asl001": ("Sub103", {}, 0, {}),
    "highspeed_fmriprep-20.1": (
        "01",
        {"MNI152NLin2009cAsym": 10, "T1w": 10},
        20,
        {"gifti": 40},
    ),
    "maskingtest_fmriprep-20.2": ("23638", {"": 20, "MNI152NLin6Asym": 4, "T1w": 4}, 28, {}),
    "ci_nibabies_bcp_full": ("01", {"": 1, "MNIInfant+1": 1}, 2, {}),
}


@pytest.mark.parametrize("name", sorted(COUNTED))
def test_runs_and_notes_of_special_trees_are_those_counted_apart(name, indexed):
    label, spaces, masks, noted = COUNTED[name]
    runs, findings = indexed(name)[1][label]
    assert Counter(run.space for run in runs) == spaces
    assert sum(run.mask is not None for run in runs) == masks
    assert {f.code: int(f.problem.split()[0]) for f in findings if f.severity == "note"} == noted


@pytest.mark.parametrize(
    ("name", "codes"),
    [
        ("ds001499_bold5000_fmriprep-1.1", ["no-description"]),
        ("ds003452_dmcc_fmriprep-1.3.2", ["no-description"]),
        ("ds004496_nod_fmriprep-20.2", ["no-description"]),
        ("ds003745_fmriprep-21.0.2", []),
    ],
)
def test_a_derivative_folder_without_description_is_reported(name, codes, indexed):
    dataset, _ = indexed(name)
    assert [finding.code for finding in dataset.findings] == codes
    assert len(dataset.derivatives) == 1


def test_only_the_derivatives_with_preprocessed_series_are_taken(indexed):
    dataset, found = indexed("ds005239_fmriprep-23.2.0")
    assert [root.name for root in dataset.derivatives] == ["fmriprep"]
    assert len(found["01"][0]) == 21


def test_a_dataset_inside_a_derivative_is_not_entered(indexed):
    dataset, found = indexed("ds005699_fmriprep-24.1.1_nested")
    assert [root.name for root in dataset.derivatives] == ["fmriprep"]
    assert {label: len(runs) for label, (runs, _) in found.items()} == dict.fromkeys(found, 2)


def test_hidden_half_copies_are_no_runs(indexed):
    assert indexed("ds001734_narps_fmriprep-1.1.4_leftovers")[1] == {}


def test_the_timing_at_the_root_of_the_raw_dataset_reaches_its_derivatives(indexed):
    _, found = indexed("ds001734_narps_fmriprep-1.1.4")
    times = {run.metadata.get("RepetitionTime") for runs, _ in found.values() for run in runs}
    assert times == {1}


def test_volume_timing_stands_in_for_the_repetition_time(indexed):
    runs, _ = indexed("ex_volume_timing")[1]["01"]
    assert sum("VolumeTiming" in run.metadata for run in runs) == 3


def test_no_run_has_the_physiology_regressors_for_confounds(indexed):
    _, found = indexed("ds002790_aomic_fmriprep-1.4.1")
    tables = {run.confounds.name for runs, _ in found.values() for run in runs}
    assert all(name.endswith("_desc-confounds_regressors.tsv") for name in tables)
    assert len(tables) == 7


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "name",
    [
        "ds000258_cambridge_me_raw",
        "ds003192_euskalibur_raw",
        "ex_7t_trt",
        "ex_ds001",
        "ex_ds114",
        "ex_ds210",
        "ex_volume_timing",
        "ond_ds000114_fmriprep",
    ],
)
def test_metadata_are_those_that_pybids_finds(name, indexed):
    bids_layout = pytest.importorskip("bids.layout")
    dataset, found = indexed(name)
    (root,) = dataset.roots
    layout = bids_layout.BIDSLayout(root, validate=False, is_derivative=dataset.raw is None)
    for runs, _ in found.values():
        for run in runs:
            assert run.metadata == dict(layout.get_metadata(str(run.path)))


@pytest.mark.parametrize(
    ("name", "label", "with_events"),
    [
        ("ds001499_bold5000_fmriprep-1.1", "CSI1", 20),
        ("ds002790_aomic_fmriprep-1.4.1", "0001", 4),  # not the resting state
        ("ds003495_fmriprep-20.2.1", "01", 2),
        ("ds003745_fmriprep-21.0.2", "104", 9),  # raw `run-01`, preprocessed `run-1`
        ("ex_eyetracking_fmri", "01", 2),  # at the root
    ],
)
def test_events_of_the_raw_dataset_reach_the_runs(name, label, with_events, indexed):
    runs, _ = indexed(name)[1][label]
    assert sum(run.events is not None for run in runs) == with_events
