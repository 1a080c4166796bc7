"""Atlases by name, of a BIDS-Atlas folder and of the participant's own, in the space of the run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt
import pytest

from bidsmask.cli import main
from tests import make_app
from tests.make_app import Written, image_of, needs_validator, table_of, validator_issues
from tests.make_images import AFFINE, SHARED, write_image
from tests.make_regions import blob_maps
from tests.make_runs import SHAPE, SPACE, SmallRun, brain, contents, write_dataset, write_run

RUN = "sub-01_task-rest"
OTHER = "MNI152NLin6Asym"
BLOCKS = "index\tname\n2\tback\n1\tfront\n"
FETCH = "python -c \"from templateflow import api; api.get('"


def halves(shape: tuple[int, ...] = SHAPE) -> npt.NDArray[np.uint8]:
    """Return labels 1 and 2 in the two halves of a grid along j."""
    return np.broadcast_to(1 + (np.arange(shape[1]) >= shape[1] // 2)[:, None], shape).astype("u1")


def put(folder: Path, name: str, content: Any = None) -> Path:
    """Write an image where its name ends so, with the grid of the runs, or a text."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, str):
        path.write_text(content)
        return path
    return write_image(path, halves() if content is None else content)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty TEMPLATEFLOW_HOME."""
    monkeypatch.setenv("TEMPLATEFLOW_HOME", str(tmp_path / "templateflow"))
    return tmp_path / "templateflow"


def dataset(tmp_path: Path, **run: Any) -> Path:
    """Write a dataset of one run and return its root."""
    write_dataset(tmp_path / "in", **run)
    return tmp_path / "in"


def run_app(bids: Path, output: Path, *words: object) -> int:
    """Run the app with the mask that is there: whether it is any good does not matter here."""
    return make_app.run_app(bids, output, *words, "--mask-strategy", "derivative")


def said(capsys: pytest.CaptureFixture[str]) -> str:
    """Return what was printed for the user, on one line."""
    return " ".join(capsys.readouterr().err.split())


# TemplateFlow


def test_an_atlas_of_templateflow_is_found_by_its_name(tmp_path, home):
    start = f"tpl-{SPACE}/tpl-{SPACE}"
    image = put(home, f"{start}_res-02_atlas-Schaefer2018_desc-100Parcels7Networks_dseg.nii.gz")
    table = "atlas-Schaefer2018_desc-100Parcels7Networks_dseg.tsv"
    put(home, f"{start}_{table}", BLOCKS)
    bids = dataset(tmp_path)
    by_name = tmp_path / "name"
    words = ["--atlas", "Schaefer2018:desc-100Parcels7Networks"]
    assert run_app(bids, by_name, *words) == 0
    assert run_app(bids, tmp_path / "path", "--atlas", image) == 0
    written = Written(by_name, RUN, SPACE)
    ours = written.regions("simple", "Schaefer2018100Parcels7Networks")
    assert list(ours) == ["front", "back"]
    theirs = Written(tmp_path / "path", RUN, SPACE)
    np.testing.assert_array_equal(ours, theirs.regions("simple", "Schaefer2018100Parcels7Networks"))
    copies = {path.name for path in (by_name / "atlases").iterdir()}
    name = f"tpl-{SPACE}_atlas-Schaefer2018100Parcels7Networks_res-02_dseg"
    assert copies == {f"{name}.nii.gz", f"{name}.tsv", "dataset_description.json"}
    before = contents(by_name)
    assert run_app(bids, by_name, *words) == 0
    assert contents(by_name) == before


def test_of_several_resolutions_the_runs_own_grid_is_taken_else_the_nearest(tmp_path, home):
    start = f"tpl-{SPACE}/tpl-{SPACE}"
    for label, factor in ((1, 0.5), (2, 1), (3, 3)):
        path = home / f"{start}_res-{label}_atlas-MyAtlas_dseg.nii.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        shape = [round(length / factor) for length in SHAPE]
        affine = AFFINE @ np.diag([factor, factor, factor, 1])
        write_image(path, np.full(shape, label, np.uint8), affine=affine)
    bids = dataset(tmp_path)

    def label_of(output: str, word: str) -> int:
        assert run_app(bids, tmp_path / output, "--atlas", word) == 0
        path = Written(tmp_path / output, RUN, SPACE).path("atlas-MyAtlas_dseg.nii.gz")
        return int(image_of(path).max())

    assert label_of("a", "MyAtlas") == 2
    assert label_of("b", "MyAtlas:res-03") == 3
    (home / f"{start}_res-2_atlas-MyAtlas_dseg.nii.gz").unlink()
    assert label_of("c", "MyAtlas") == 1


def test_runs_in_two_spaces_have_each_the_atlas_of_theirs(tmp_path, home):
    for space in (SPACE, OTHER):
        stem = f"tpl-{space}/tpl-{space}_res-02_atlas-HOSPA_desc-th25_dseg"
        put(home, f"{stem}.nii.gz", halves() if space == SPACE else 3 - halves())
    put(home, f"tpl-{OTHER}/tpl-{OTHER}_atlas-HOSPA_dseg.tsv", "index\tname\n0\ta\n1\tb\n")
    bids = dataset(tmp_path)
    write_run(bids, space=OTHER)
    for space in (SPACE, OTHER):
        # A run by itself is made in this process, which knows the changed environment.
        words = ["--atlas", "HOSPA:desc-th25", "--space", space]
        assert run_app(bids, tmp_path / "out", *words) == 0
    first, second = (Written(tmp_path / "out", RUN, space) for space in (SPACE, OTHER))
    # The table of the one template serves the other; it counts from 0, as TemplateFlow's does.
    for written in (first, second):
        assert list(written.regions("simple", "HOSPAth25")) == ["a", "b"]
    one, other = (image_of(w.path("atlas-HOSPAth25_dseg.nii.gz")) for w in (first, second))
    np.testing.assert_array_equal(one, 3 - other)


def test_maps_of_templateflow_are_found_by_their_name(tmp_path, home):
    stem = f"tpl-{SPACE}/tpl-{SPACE}"
    put(
        home,
        f"{stem}_res-02_atlas-DiFuMo_desc-64dimensions_probseg.nii.gz",
        blob_maps(2, shape=SHAPE),
    )
    table = "component\tdifumo_names\n1\tfirst\n2\tsecond\n"
    put(home, f"{stem}_atlas-DiFuMo_desc-64dimensions_probseg.tsv", table)
    words = ["--maps", "DiFuMo:desc-64dimensions"]
    assert run_app(dataset(tmp_path), tmp_path / "out", *words) == 0
    path = "atlas-DiFuMo64dimensions_stat-leastsquares_desc-simple_timeseries.tsv"
    assert list(table_of(Written(tmp_path / "out", RUN, SPACE).path(path))) == ["first", "second"]


@pytest.mark.skipif(not (SHARED / "templateflow").exists(), reason="needs TemplateFlow's files")
@pytest.mark.parametrize(
    ("word", "space", "n_regions", "first", "last"),
    [
        (
            "Schaefer2018:desc-200Parcels7Networks",
            SPACE,
            200,
            "7Networks_LH_Vis_1",
            "7Networks_RH_Default_PCC_3",
        ),
        ("HOCPA:desc-th25", OTHER, 48, "Frontal Pole", "Occipital Pole"),
    ],
)
def test_files_of_templateflow_itself_give_the_names_that_their_authors_gave(
    tmp_path, monkeypatch, word, space, n_regions, first, last
):
    monkeypatch.setenv("TEMPLATEFLOW_HOME", str(SHARED / "templateflow"))
    [run] = write_dataset(tmp_path / "in", space=space)
    # Voxels so large that the small grid holds a head.
    steps = np.array([180, 220, 180]) / SHAPE
    affine = nib.affines.from_matvec(np.diag(steps), steps * (1 - np.array(SHAPE)) / 2)
    run.replace(image_of(run.bold).astype(np.int16), affine=affine)
    write_image(run.mask, image_of(run.mask).astype(np.uint8), affine=affine)
    assert run_app(tmp_path / "in", tmp_path / "out", "--atlas", word) == 0
    [table] = (tmp_path / "out").rglob("sub-*_dseg.tsv")
    names = table_of(table)["name"]
    assert (len(names), names.iloc[0], names.iloc[-1]) == (n_regions, first, last)
    [signals] = (tmp_path / "out").rglob("*_timeseries.tsv")
    assert list(table_of(signals)) == list(names)


def test_a_cohort_is_the_runs(tmp_path, home):
    for cohort in "12":
        stem = f"tpl-MNIInfant/cohort-{cohort}/tpl-MNIInfant_cohort-{cohort}_res-1_atlas-AAL_dseg"
        put(home, f"{stem}.nii.gz", halves() + np.uint8(10 * int(cohort)))
    bids = dataset(tmp_path, space="MNIInfant_cohort-2")
    assert run_app(bids, tmp_path / "out", "--atlas", "AAL") == 0
    labels = Written(tmp_path / "out", RUN, "MNIInfant_cohort-2").path("atlas-AAL_dseg.nii.gz")
    assert set(np.unique(image_of(labels))) == {21, 22}


@pytest.mark.parametrize(
    ("words", "space", "told"),
    [
        (
            ["--atlas", "Schaefer2018:desc-400Parcels7Networks"],
            SPACE,
            [
                f"tpl-{SPACE}_res-01_atlas-Schaefer2018_desc-400Parcels7Networks_dseg.nii.gz",
                f"tpl-{SPACE}_atlas-Schaefer2018_desc-400Parcels7Networks_dseg.tsv",
                "are not in TEMPLATEFLOW_HOME",
                f"{FETCH}{SPACE}', resolution=1, atlas='Schaefer2018', desc='400Parcels7Networks'",
            ],
        ),
        (
            ["--atlas", "Schaefer2018:desc-400Parcels7Networks:res-2"],
            SPACE,
            [f"tpl-{SPACE}_res-02_atlas-Schaefer2018_desc-400Parcels7Networks_dseg.nii.gz"],
        ),
        (["--atlas", "Schaefer2018"], SPACE, ["is several in", "desc-100Parcels17Networks"]),
        (["--atlas", "Schaefer2018:desc-100Parcels7Networks:res-9"], SPACE, ["no res-9", "res-01"]),
        (["--atlas", "HCP"], SPACE, ["is in TemplateFlow's MNI152NLin6Asym", f"not in {SPACE}"]),
        (["--atlas", "DiFuMo"], SPACE, ["is probseg in TemplateFlow", "--maps"]),
        (["--atlas", "Nowhere"], SPACE, ["atlas-Nowhere_dseg is nothing", "HOCPA, HOCPAL"]),
        (["--atlas", "HOCPA:desc-th25"], "T1w", ["but sub-01_task-rest_space-T1w", "is in T1w"]),
        (["--atlas", "HOCPA:desc-th25"], "", ["is in its own"]),
    ],
)  # fmt: skip
def test_an_atlas_that_is_not_to_be_had_is_told_before_anything_is_computed(
    tmp_path, home, capsys, words, space, told
):
    bids = dataset(tmp_path, space=space)
    assert run_app(bids, tmp_path / "out", *words) == 65
    message = said(capsys)
    assert all(one in message for one in told), message
    assert not list((tmp_path / "out").glob("sub-*/func/*.tsv"))


def test_two_atlases_of_one_name_are_refused_by_both(tmp_path, home, capsys):
    name = f"tpl-{SPACE}_res-02_atlas-MyAtlas_dseg.nii.gz"
    put(home, f"tpl-{SPACE}/{name}")
    other = put(tmp_path / "other", name, 3 - halves())
    words = ["--atlas", "MyAtlas", other]
    assert run_app(dataset(tmp_path), tmp_path / "out", *words) == 65
    assert "would be written as atlas-MyAtlas" in said(capsys)


@pytest.mark.parametrize("again", ["MyAtlas", "MyAtlas:res-2"])
def test_an_atlas_that_is_named_twice_is_refused_before_any_run_is_looked_at(
    tmp_path, home, capsys, again
):
    put(home, f"tpl-{SPACE}/tpl-{SPACE}_res-02_atlas-MyAtlas_dseg.nii.gz")
    words = ["--atlas", "MyAtlas", again]
    assert run_app(dataset(tmp_path), tmp_path / "out", *words) == 64
    assert f"--atlas {again} names the atlas that --atlas MyAtlas names" in said(capsys)
    assert not (tmp_path / "out").exists()


def test_a_file_that_is_given_twice_need_not_be_renamed(tmp_path, home, capsys):
    image = put(tmp_path, "mine.nii.gz")
    words = ["--atlas", image, image]
    assert run_app(dataset(tmp_path), tmp_path / "out", *words) == 64
    assert "would be written as atlas-mine" in (message := said(capsys))
    assert "Give it once." in message


# BIDS-Atlas


def write_bids_atlas(folder: Path) -> Path:
    """Write a BIDS-Atlas dataset of two atlases in two spaces and return its root."""
    put(folder, "dataset_description.json", json.dumps({"Name": "x", "DatasetType": "atlas"}))
    for space in (SPACE, OTHER):
        stem = f"tpl-{space}/anat/tpl-{space}_atlas-A"
        put(folder, f"{stem}_res-2_dseg.nii.gz", halves() if space == SPACE else 3 - halves())
        put(folder, f"{stem}_res-2_desc-b_dseg.nii.gz")
        put(folder, f"{stem}_stat-x_res-2_probseg.nii.gz", blob_maps(2, shape=SHAPE))
    put(folder, "atlas-A_dseg.tsv", BLOCKS)
    put(folder, "sub-01/anat/sub-01_atlas-A_dseg.nii.gz")
    return folder


def test_a_bids_atlas_folder_gives_the_image_in_the_space_of_the_run(tmp_path):
    folder = write_bids_atlas(tmp_path / "atlas")
    bids = dataset(tmp_path)
    write_run(bids, space=OTHER)
    assert run_app(bids, tmp_path / "out", "--atlas", f"{folder}:atlas-A", f"{folder}:desc-b") == 0
    first, second = (Written(tmp_path / "out", RUN, space) for space in (SPACE, OTHER))
    assert list(first.regions("simple", "A")) == ["front", "back"]
    one, other = (image_of(written.path("atlas-A_dseg.nii.gz")) for written in (first, second))
    np.testing.assert_array_equal(one, 3 - other)
    assert first.path("atlas-Ab_dseg.nii.gz").exists()


def test_the_older_names_of_bids_atlas_are_found_too(tmp_path):
    folder = tmp_path / "atlas"
    put(folder, "dataset_description.json", "{}")
    put(folder, f"atlas-4S156/atlas-4S156_space-{SPACE}_res-01_dseg.nii.gz")
    put(folder, "atlas-4S156/atlas-4S156_dseg.tsv", BLOCKS)
    assert run_app(dataset(tmp_path), tmp_path / "out", "--atlas", folder) == 0
    written = Written(tmp_path / "out", RUN, SPACE)
    assert list(written.regions("simple", "4S156")) == ["front", "back"]


def test_what_an_output_keeps_can_be_given_again(tmp_path, home):
    put(home, f"tpl-{SPACE}/tpl-{SPACE}_res-02_atlas-MyAtlas_dseg.nii.gz")
    put(home, f"tpl-{SPACE}/tpl-{SPACE}_atlas-MyAtlas_dseg.tsv", BLOCKS)
    bids, first, second = dataset(tmp_path), tmp_path / "first", tmp_path / "second"
    assert run_app(bids, first, "--atlas", "MyAtlas") == 0
    assert run_app(bids, second, "--atlas", first / "atlases") == 0
    ending = f"sub-01/func/{RUN}_space-{SPACE}_atlas-MyAtlas_stat-mean_desc-simple_timeseries.tsv"
    assert (first / ending).read_bytes() == (second / ending).read_bytes()


@pytest.mark.parametrize(
    ("word", "space", "code", "told"),
    [
        ("{folder}:atlas-A", "MNIPediatricAsym", 65, [SPACE, OTHER, "is in MNIPediatricAsym"]),
        ("{folder}:atlas-B", SPACE, 66, ["no dseg image of atlas-B", "atlas-A_desc-b_dseg"]),
        ("{folder}", SPACE, 66, ["several atlases: atlas-A, atlas-A_desc-b", "atlas:atlas-A"]),
        ("{folder}/tpl-" + SPACE, SPACE, 66, ["no BIDS-Atlas dataset"]),
    ],
)
def test_a_bids_atlas_folder_without_what_is_wanted_is_refused(
    tmp_path, capsys, word, space, code, told
):
    folder = write_bids_atlas(tmp_path / "atlas")
    bids = dataset(tmp_path, space=space)
    assert run_app(bids, tmp_path / "out", "--atlas", word.format(folder=folder)) == code
    message = said(capsys)
    assert all(one in message for one in told), message


# The participant's own


def write_own(run: SmallRun, labels: npt.NDArray[Any], desc: str = "aparcaseg") -> Path:
    """Write labels beside a run as fMRIPrep does."""
    return write_image(run.file(f"desc-{desc}_dseg.nii.gz", run.space), labels)


def test_own_labels_have_the_columns_of_the_table_for_every_participant(tmp_path, capsys):
    runs = write_dataset(tmp_path / "in", ("01", "02"))
    write_own(runs[0], np.where(halves() == 1, 1001, 17).astype(np.int16))
    write_own(runs[1], np.where(halves() == 1, 1001, 5).astype(np.int16))
    table = "index\tname\tcolor\n0\tUnknown\t#000000\n1001\tctx\t#ff\n17\thippocampus\t#ff\n"
    (tmp_path / "in/desc-aparcaseg_dseg.tsv").write_text(table)
    out = tmp_path / "out"
    statistics = ["--region-statistic", "mean", "eigenvariate"]
    assert run_app(tmp_path / "in", out, "--atlas", "aparcaseg", *statistics) == 0
    message = said(capsys)
    assert "names no region for 1 label of" in message
    for number, run in enumerate(runs):
        written = Written(out, run.stem, SPACE)
        signals = written.regions("simple", "aparcaseg")
        assert list(signals) == ["hippocampus", "ctx"]
        assert signals["ctx"].notna().all()
        assert signals["hippocampus"].isna().all() == (number == 1)
        coverage = table_of(written.path("atlas-aparcaseg_stat-coverage_bold.tsv"))
        inside = image_of(run.mask) != 0
        expected = [np.mean(inside[halves() == 2]), np.mean(inside[halves() == 1])]
        expected[0] = expected[0] if number == 0 else np.nan
        np.testing.assert_allclose(coverage["coverage"], expected, atol=1e-6)
        first = table_of(
            written.path("atlas-aparcaseg_stat-eigenvariate_desc-simple_timeseries.tsv")
        )
        assert first["hippocampus"].isna().all() == (number == 1)
    said_of = Written(out, RUN, SPACE).sidecar("atlas-aparcaseg_dseg.json")
    assert f"{RUN}_space-{SPACE}_desc-aparcaseg_dseg.nii.gz" in said_of["Sources"][0]
    assert {path.name for path in (out / "atlases").iterdir()} == {
        "atlas-aparcaseg_dseg.tsv",
        "dataset_description.json",
    }
    assert run_app(tmp_path / "in", out, "--atlas", "aparcaseg", *statistics) == 0
    assert "2 up to date" in said(capsys)


def test_own_labels_of_all_participants_are_joined_by_the_group(tmp_path):
    runs = write_dataset(tmp_path / "in", ("01", "02"))
    for shift, run in enumerate(runs):
        write_own(
            run, np.where(np.roll(halves(), shift, axis=1) == 1, 3, 4).astype(np.uint8), "aseg"
        )
    (tmp_path / "in/desc-aseg_dseg.tsv").write_text("index\tname\n3\ta\n4\tb\n9\tc\n")
    out = tmp_path / "out"
    assert run_app(tmp_path / "in", out, "--atlas", "aseg") == 0
    assert main([str(tmp_path / "in"), str(out), "group", "--quiet"]) == 0
    [table] = out.glob("*atlas-aseg_stat-coverage_desc-group_bold.tsv")
    shares = table_of(table)
    assert list(shares)[2:] == ["a", "b", "c"]
    assert shares["c"].isna().all()
    assert shares[["a", "b"]].notna().all().all()


def test_own_labels_in_the_space_of_the_t1w_are_those_of_the_t1w(tmp_path):
    [run] = write_dataset(tmp_path / "in", space="T1w")
    fine = np.kron(halves(), np.ones((2, 2, 2), np.uint8))
    affine = AFFINE.copy()
    affine[:3, :3] /= 2
    affine[:3, 3] -= AFFINE[:3, :3].sum(axis=1) / 4
    anat = tmp_path / "in/sub-01/anat"
    anat.mkdir()
    write_image(anat / "sub-01_desc-aseg_dseg.nii.gz", fine, affine=affine)
    (tmp_path / "in/desc-aseg_dseg.tsv").write_text("index\tname\n1\ta\n2\tb\n")
    assert run_app(tmp_path / "in", tmp_path / "out", "--atlas", "aseg") == 0
    written = Written(tmp_path / "out", run.stem, "T1w")
    np.testing.assert_array_equal(image_of(written.path("atlas-aseg_dseg.nii.gz")), halves())


@pytest.mark.parametrize(
    ("has_image", "told"),
    [
        (False, ["has no desc-aparcaseg_dseg in its space"]),
        (True, ["has no table of names", "desc-aparcaseg_dseg.tsv"]),
    ],
)
def test_own_labels_that_are_not_there_are_told(tmp_path, capsys, has_image, told):
    [run] = write_dataset(tmp_path / "in")
    if has_image:
        write_own(run, halves())
    assert run_app(tmp_path / "in", tmp_path / "out", "--atlas", "aparcaseg") == 65
    message = said(capsys)
    assert all(one in message for one in told), message


@needs_validator
def test_the_validator_has_nothing_against_own_labels(tmp_path):
    [run] = write_dataset(tmp_path / "in")
    write_own(run, halves())
    (tmp_path / "in/desc-aparcaseg_dseg.tsv").write_text(BLOCKS)
    assert run_app(tmp_path / "in", tmp_path / "out", "--atlas", "aparcaseg") == 0
    issues = validator_issues(tmp_path / "out")
    assert [one for one in issues if one["code"] != "TOO_FEW_AUTHORS"] == []  # as the input


def test_the_brain_fills_a_part_of_each_half():
    """What the tests of coverage stand on."""
    assert 0 < np.mean(brain()[halves() == 1]) < 1
