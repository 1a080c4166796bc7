"""Confounds of the command line in whole runs: components of other programs, and which series."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from nibabel import Nifti1Image
from nilearn.image import high_variance_confounds, smooth_img

from bidsmask.app import participant
from bidsmask.cleaning.motion import MOTION, displacement
from bidsmask.cli import main
from tests.make_app import Written, image_of, regressed, run_app
from tests.make_images import write_image
from tests.make_runs import SHAPE, SPACE, SmallRun, in_brain, write_atlas, write_dataset, write_run
from tests.make_trees import DERIVATIVE

STEM = "sub-01_task-rest"


def written(output: Path, stem: str = STEM) -> Written:
    return Written(output, stem, SPACE)


def only_run(tmp_path: Path) -> SmallRun:
    [run] = write_dataset(tmp_path / "in")
    return run


def other_dataset(root: Path, name: str = "tedana") -> Path:
    """Write a derivative dataset without images, and return the folder of the run."""
    root.mkdir(parents=True)
    description = {**DERIVATIVE, "GeneratedBy": [{"Name": name}]}
    (root / "dataset_description.json").write_text(json.dumps(description))
    folder = root / "sub-01/func"
    folder.mkdir(parents=True)
    return folder


def write_table(path: Path, **columns: object) -> Path:
    pd.DataFrame(columns).to_csv(path, sep="\t", index=False)
    return path


# ICA-AROMA


def write_denoised(run: SmallRun, shape: tuple[int, ...] = SHAPE, space: str = SPACE) -> np.ndarray:
    """Write the series that ICA-AROMA denoised, and return its values."""
    stored = np.random.default_rng(5).normal(900, 9, (*shape, 40)).astype(np.int16)
    write_image(run.file("desc-smoothAROMAnonaggr_bold.nii.gz", space), stored)
    return stored


def test_aroma_takes_the_denoised_series_and_other_strategies_the_run_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = only_run(tmp_path)
    stored = write_denoised(run)
    read = []

    def counted(image, *others, **options):  # type: ignore[no-untyped-def]
        read.append(image.path.name)
        return extract(image, *others, **options)

    extract = participant.extract
    monkeypatch.setattr(participant, "extract", counted)
    arguments = (tmp_path / "in", tmp_path / "out", "--confounds", "24P", "aroma", "none")
    assert run_app(*arguments, "--voxels", "--atlas", write_atlas(tmp_path)) == 0
    names = ["csf", "white_matter", "cosine00", "cosine01"]
    expected = regressed(in_brain(stored), run.table()[names].to_numpy())
    ours = written(tmp_path / "out")
    np.testing.assert_allclose(ours.voxels("aroma"), expected, atol=1e-5)
    sidecar = ours.sidecar("seg-voxels_desc-aroma_timeseries.json")
    assert "desc-smoothAROMAnonaggr_bold.nii.gz" in sidecar["Sources"][0]
    assert sidecar["Cleaning"]["Aroma"] == "denoised series"
    assert sidecar["Cleaning"]["Regressors"] == sorted(names)
    plain = ours.sidecar("seg-voxels_desc-24P_timeseries.json")
    assert "desc-preproc_bold.nii.gz" in plain["Sources"][0]
    assert "Aroma" not in plain["Cleaning"]
    # Each file is read once, whatever is made of it.
    assert sorted(read) == [
        f"{STEM}_space-{SPACE}_desc-{one}_bold.nii.gz" for one in ("preproc", "smoothAROMAnonaggr")
    ]
    read.clear()
    assert run_app(*arguments, "--voxels", "--atlas", write_atlas(tmp_path)) == 0
    assert read == []


def test_another_denoised_series_makes_its_signals_anew(tmp_path: Path) -> None:
    run = only_run(tmp_path)
    write_denoised(run)
    arguments = (tmp_path / "in", tmp_path / "out", "--confounds", "aroma")
    assert run_app(*arguments) == 0
    before = written(tmp_path / "out").voxels("aroma")
    stored = np.random.default_rng(6).normal(900, 9, (*SHAPE, 40)).astype(np.int16)
    write_image(run.file("desc-smoothAROMAnonaggr_bold.nii.gz", SPACE), stored)
    assert run_app(*arguments) == 0
    assert np.abs(written(tmp_path / "out").voxels("aroma") - before).max() > 0.5


def test_aroma_takes_its_columns_where_there_is_no_denoised_series(tmp_path: Path) -> None:
    run = only_run(tmp_path)
    table = run.table()
    random = np.random.default_rng(1)
    table["aroma_motion_01"], table["aroma_motion_12"] = random.normal(size=(2, 40))
    run.write_table(table)
    assert run_app(tmp_path / "in", tmp_path / "out", "--confounds", "aroma") == 0
    told = written(tmp_path / "out").sidecar("seg-voxels_desc-aroma_timeseries.json")["Cleaning"]
    assert told["Aroma"] == "columns"
    assert {"aroma_motion_01", "aroma_motion_12"} <= set(told["Regressors"])


def test_aroma_takes_its_columns_from_fmripost_aroma(tmp_path: Path) -> None:
    only_run(tmp_path)
    folder = other_dataset(tmp_path / "post", "fMRIPost-AROMA")
    random = np.random.default_rng(2)
    names = ("aroma_motion_01", "aroma_orth_motion_01")
    columns = dict(zip(names, random.normal(size=(2, 40)).round(6), strict=True))
    path = write_table(folder / f"{STEM}_desc-aroma_timeseries.tsv", **columns)
    derivatives = ("-d", tmp_path / "in", tmp_path / "post")
    arguments = (tmp_path / "in", tmp_path / "out", *derivatives, "--confounds", "aroma")
    assert run_app(*arguments) == 0
    ours = written(tmp_path / "out")
    sidecar = ours.sidecar("seg-voxels_desc-aroma_timeseries.json")
    assert f"bids:fmripostaroma:sub-01/func/{path.name}" in sidecar["Sources"]
    assert "aroma_motion_01" in sidecar["Cleaning"]["Regressors"]
    assert "aroma_orth_motion_01" not in sidecar["Cleaning"]["Regressors"]
    # Other numbers in that table make the signals anew.
    before = ours.voxels("aroma")
    write_table(path, **dict(zip(names, random.normal(size=(2, 40)), strict=True)))
    assert run_app(*arguments) == 0
    assert np.abs(ours.voxels("aroma") - before).max() > 0.01


def test_aroma_without_anything_of_it_is_an_error_of_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    only_run(tmp_path)
    assert run_app(tmp_path / "in", tmp_path / "out", "--confounds", "aroma") == 65
    said = " ".join(capsys.readouterr().err.split())
    assert "has no column of ICA-AROMA (aroma_motion_…)" in said
    assert "since then fMRIPost-AROMA does" in said


def test_denoised_series_on_another_grid_is_not_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = only_run(tmp_path)
    write_denoised(run, (9, 9, 7))
    run.write_table(run.table().assign(aroma_motion_01=np.arange(40) % 7))
    assert run_app(tmp_path / "in", tmp_path / "out", "--confounds", "aroma", "-v") == 0
    assert "has another grid or number of volumes" in " ".join(capsys.readouterr().err.split())
    told = written(tmp_path / "out").sidecar("seg-voxels_desc-aroma_timeseries.json")["Cleaning"]
    assert told["Aroma"] == "columns"


def test_the_group_level_does_not_join_the_two_ways_of_aroma(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = write_dataset(tmp_path / "in", ("01", "02"))
    write_denoised(first)
    second.write_table(second.table().assign(aroma_motion_01=np.arange(40) % 7))
    words = ("--confounds", "aroma", "--atlas", write_atlas(tmp_path))
    assert run_app(tmp_path / "in", tmp_path / "out", *words) == 0
    capsys.readouterr()
    assert main([str(tmp_path / "in"), str(tmp_path / "out"), "group"]) == 1
    assert "Cleaning.Aroma" in " ".join(capsys.readouterr().err.split())
    assert not list((tmp_path / "out").glob("*_signals.h5"))


# tedana


def write_tedana(folder: Path) -> np.ndarray:
    """Write what tedana found in the run, and return the rejected components."""
    mixing = np.random.default_rng(3).normal(size=(40, 3)).round(6)
    columns = {f"ICA_{i:02d}": mixing[:, i] for i in range(3)}
    write_table(folder / f"{STEM}_desc-ICA_mixing.tsv", **columns)
    classes = ["rejected", "accepted", "rejected"]
    names = ["ICA_00", "ICA_01", "ICA_02"]
    path = folder / f"{STEM}_desc-tedana_metrics.tsv"
    write_table(path, Component=names, kappa=[9.0, 50, 8], classification=classes)
    return mixing[:, [0, 2]]


def test_tedanas_rejected_components_are_regressed_out(tmp_path: Path) -> None:
    run = only_run(tmp_path)
    rejected = write_tedana(other_dataset(tmp_path / "tedana"))
    derivatives = ("-d", tmp_path / "in", tmp_path / "tedana")
    arguments = (tmp_path / "in", tmp_path / "out", *derivatives, "--confounds", "tedana")
    assert run_app(*arguments) == 0
    ours = written(tmp_path / "out")
    sidecar = ours.sidecar("seg-voxels_desc-tedana_timeseries.json")
    assert sidecar["Cleaning"]["Regressors"] == ["rejected_ICA_00", "rejected_ICA_02"]
    assert [one.rpartition("_desc-")[2] for one in sidecar["Sources"]] == [
        "preproc_bold.nii.gz",
        "confounds_timeseries.tsv",
        "ICA_mixing.tsv",
        "tedana_metrics.tsv",
    ]
    stored = image_of(run.bold)
    np.testing.assert_allclose(
        ours.voxels("tedana"), regressed(in_brain(stored), rejected), atol=1e-5
    )


def test_tedana_without_its_tables_is_an_error_of_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    only_run(tmp_path)
    assert run_app(tmp_path / "in", tmp_path / "out", "--confounds", "tedana") == 65
    said = " ".join(capsys.readouterr().err.split())
    assert "has no table …_desc-ICA_mixing.tsv, which tedana needs. Give the derivatives" in said


def test_tables_of_tedana_in_two_datasets_are_refused_by_their_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    only_run(tmp_path)
    for name in ("one", "two"):
        write_tedana(other_dataset(tmp_path / name, name))
    roots = ("-d", tmp_path / "in", tmp_path / "one", tmp_path / "two")
    assert run_app(tmp_path / "in", tmp_path / "out", *roots, "--confounds", "tedana") == 65
    assert "in several datasets: one and two" in " ".join(capsys.readouterr().err.split())


# CompCor


@pytest.mark.parametrize(
    ("options", "n_components"), [([], 3), (["--n-compcor", "2"], 2), (["--n-compcor", ".1"], 2)]
)
def test_tcompcor_takes_the_temporal_components(
    tmp_path: Path, options: list[str], n_components: int
) -> None:
    write_dataset(tmp_path / "in")
    assert run_app(tmp_path / "in", tmp_path / "out", "--confounds", "tcompcor", *options) == 0
    [path] = (tmp_path / "out").glob("sub-01/func/*_timeseries.json")
    names = json.loads(path.read_text())["Cleaning"]["Regressors"]
    assert [one for one in names if "comp_cor" in one] == [
        f"t_comp_cor_0{i}" for i in range(n_components)
    ]


def test_runs_keep_their_own_way_of_aroma(tmp_path: Path) -> None:
    first, _ = write_dataset(tmp_path / "in", tasks=("rest", "nback"))
    write_denoised(first)
    second = write_run(tmp_path / "in", task="nback")
    second.write_table(second.table().assign(aroma_motion_01=np.arange(40) % 7))
    assert run_app(tmp_path / "in", tmp_path / "out", "--confounds", "aroma") == 0
    ways = [
        written(tmp_path / "out", stem).sidecar("seg-voxels_desc-aroma_timeseries.json")
        for stem in (STEM, "sub-01_task-nback")
    ]
    assert [one["Cleaning"]["Aroma"] for one in ways] == ["denoised series", "columns"]


# What censors


def test_filtered_displacement_censors_and_stands_in_the_table_of_volumes(tmp_path: Path) -> None:
    [run] = write_dataset(tmp_path / "in", t_r_s=0.8, n_volumes=120)
    breath = 0.6 * np.sin(2 * np.pi * 0.3 * 0.8 * np.arange(120))
    table = run.table().assign(**dict.fromkeys(MOTION, 0.0)).assign(trans_y=breath)
    table.loc[60:, "trans_z"] = 2.0
    table["framewise_displacement"] = displacement(table[list(MOTION)].to_numpy()).round(6)
    run.write_table(table)
    words = ("--confounds", "none", "--fd-threshold", "0.5")
    assert run_app(tmp_path / "in", tmp_path / "out", *words) == 0
    filtered = (*words, "--motion-filter", "notch", "--motion-filter-hz", "0.2", "0.4")
    assert run_app(tmp_path / "in", tmp_path / "out", *filtered) == 0
    ours = written(tmp_path / "out")
    assert (~ours.kept("noneFD05")).sum() > 60
    volumes = ours.volumes("noneFD05MNOTCH02to04")
    assert 1 <= (~volumes["kept"]).sum() <= 7
    assert not volumes["kept"][60]
    columns = list(volumes.columns)
    assert columns.index("filtered_framewise_displacement") == columns.index("reason") + 2
    above = volumes["filtered_framewise_displacement"] > 0.5
    assert (above == ~volumes["kept"]).all()
    np.testing.assert_allclose(
        volumes["framewise_displacement"][1:], table["framewise_displacement"][1:]
    )
    told = ours.sidecar("seg-voxels_desc-noneFD05MNOTCH02to04_timeseries.json")["Cleaning"]
    assert told["Censoring"]["MotionFilter"] == {"Kind": "notch", "CutOffs": [0.2, 0.4]}
    path = ours.folder / f"{STEM}_desc-noneFD05MNOTCH02to04_volumes.json"
    sidecar = json.loads(path.read_text())
    assert "filtered parameters" in sidecar["reason"]["Levels"]["fd"]
    assert sidecar["Thresholds"] == told["Censoring"]
    assert "filtered_framewise_displacement" not in ours.volumes("noneFD05")


def test_own_columns_of_outliers_censor_in_a_run(tmp_path: Path) -> None:
    run = only_run(tmp_path)
    flags = {
        f"motion_outlier0{i}": (np.arange(40) == at).astype(int) for i, at in ((0, 9), (1, 30))
    }
    run.write_table(run.table().assign(**flags))
    assert run_app(tmp_path / "in", tmp_path / "out", "--use-outlier-columns") == 0
    volumes = written(tmp_path / "out").volumes("simpleOUTLIERS")
    assert volumes.index[~volumes["kept"]].tolist() == [9, 30]
    assert set(volumes["reason"].dropna()) == {"outlier"}


def test_breathing_faster_than_the_run_can_hold_is_an_error_of_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    only_run(tmp_path)
    words = ("--confounds", "scrubbing", "--motion-filter", "lowpass", "--motion-filter-hz", "0.3")
    assert run_app(tmp_path / "in", tmp_path / "out", *words) == 65
    assert "no frequencies from 0.25 Hz on" in " ".join(capsys.readouterr().err.split())


# Confounds of high variance


@pytest.mark.parametrize("words", [[], ["--smoothing-fwhm", "6"]])
def test_confounds_of_high_variance_are_nilearns_of_the_whole_image(
    tmp_path: Path, words: list[str]
) -> None:
    run = only_run(tmp_path)
    # Of whole numbers they are made in float32, to four digits.
    theirs = high_variance_confounds(Nifti1Image(image_of(run.bold).astype(float), np.eye(4)))
    atlas = write_atlas(tmp_path)
    options = ("--confounds", "none", "--high-variance-confounds", "--voxels", "--atlas", atlas)
    assert run_app(tmp_path / "in", tmp_path / "out", *options, *words) == 0
    name = "noneFWHM6HV" if words else "noneHV"
    ours = written(tmp_path / "out")
    image = image_of(run.bold) if not words else smooth_img(str(run.bold), 6).get_fdata()
    expected = regressed(in_brain(image), theirs)
    # nilearn smooths whole numbers in float32.
    np.testing.assert_allclose(ours.voxels(name), expected, atol=1e-4 if words else 1e-5)
    sidecar = ours.sidecar(f"seg-voxels_desc-{name}_timeseries.json")
    names = [f"high_variance_0{i}" for i in range(5)]
    assert sidecar["Cleaning"]["Regressors"] == names
    assert sidecar["DegreesOfFreedom"]["remaining"] == 40 - 2 - 5
    of_atlas = ours.sidecar(f"atlas-blocks_stat-mean_desc-{name}_timeseries.json")
    assert of_atlas["Cleaning"] == sidecar["Cleaning"]


def test_a_file_may_ask_for_confounds_of_high_variance_and_others_go_without(
    tmp_path: Path,
) -> None:
    write_dataset(tmp_path / "in")
    path = tmp_path / "hv.toml"
    path.write_text('strategy = "24P"\nhigh_variance_confounds = true\n')
    options = ("--confounds", path, "24P", "--atlas", write_atlas(tmp_path))
    assert run_app(tmp_path / "in", tmp_path / "out", *options, "--connectivity", "pearson") == 0
    told = [
        json.loads(path.read_text())
        for path in sorted((tmp_path / "out").glob("sub-01/func/*_timeseries.json"))
    ]
    assert [len(one["Cleaning"]["Regressors"]) for one in told] == [24, 29]
    before = [one["DegreesOfFreedom"]["remaining"] for one in told]
    assert before[0] - before[1] == pytest.approx(5, abs=1e-6)
    matrices = sorted((tmp_path / "out").glob("sub-01/func/*_relmat.tsv"))
    assert len(matrices) == 2
    # Only the matrix is gone: it is made again as it was.
    content = matrices[1].read_bytes()
    matrices[1].unlink()
    assert run_app(tmp_path / "in", tmp_path / "out", *options, "--connectivity", "pearson") == 0
    assert matrices[1].read_bytes() == content


def test_confounds_of_high_variance_that_leave_nothing_are_an_error_of_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_dataset(tmp_path / "in", n_volumes=30)
    options = ("--confounds", "24P", "--high-variance-confounds")
    assert run_app(tmp_path / "in", tmp_path / "out", *options) == 65
    said = " ".join(capsys.readouterr().err.split())
    assert "has no degrees of freedom left after cleaning" in said
