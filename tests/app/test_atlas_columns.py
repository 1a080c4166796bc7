"""Labels by every statistic, maps and spheres from one run of the app, beside nilearn's maskers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from nilearn.maskers import NiftiLabelsMasker, NiftiMapsMasker, NiftiSpheresMasker

from bidsmask.app.words import REGION_STATISTICS
from bidsmask.cli import main
from tests.make_app import Written, needs_validator, run_app, table_of, validator_issues, zscored
from tests.make_images import AFFINE, write_image
from tests.make_regions import blob_maps
from tests.make_runs import SHAPE, SPACE, SmallRun, contents, write_atlas, write_dataset

RUN = "sub-01_task-rest"
RADIUS_MM = 5.0
CENTRES = np.array([[4, 4, 3], [2, 4, 3], [5, 6, 4], [40, 4, 3]]) @ AFFINE[:3, :3] + AFFINE[:3, 3]
SEEDS = "".join(
    f"{index}\tseed {index}\t{x:g}\t{y:g}\t{z:g}\n"
    for index, (x, y, z) in zip((40, 10, 30, 20), CENTRES, strict=True)
)


def write_seeds(folder: Path, rows: str = SEEDS, header: str = "index\tname\tX\tY\tZ") -> Path:
    """Write seeds of which the first two overlap and the last is out of view."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"space-{SPACE}_atlas-seeds_dseg.tsv"
    path.write_text(f"{header}\n{rows}")
    return path


def write_maps(folder: Path) -> Path:
    """Write three maps, of which the last lies outside of every brain."""
    folder.mkdir(parents=True, exist_ok=True)
    maps = blob_maps(3, shape=SHAPE)
    maps[..., 2] = 0
    maps[0, 0, 0, 2] = 1
    (folder / f"space-{SPACE}_atlas-blobs_probseg.tsv").write_text(
        "component\tdifumo_names\n2\tsecond\n1\tfirst\n3\tthird\n"
    )
    return write_image(folder / f"space-{SPACE}_atlas-blobs_probseg.nii.gz", maps)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two participants and atlases of every kind."""
    folder = tmp_path_factory.mktemp("regions")
    write_dataset(folder / "in", ("01", "02"))
    write_atlas(folder / "atlas")
    write_maps(folder / "maps")
    write_seeds(folder / "seeds")
    return folder


def words(inputs: Path) -> list[str]:
    """Return the options of the run that the tests look at."""
    return [
        *("--atlas", str(next((inputs / "atlas").glob("*.nii.gz")))),
        *("--maps", str(next((inputs / "maps").glob("*.nii.gz")))),
        *("--seeds", str(next((inputs / "seeds").glob("*.tsv")))),
        *("--radius", str(RADIUS_MM), "--allow-overlap"),
        *("--region-statistic", *REGION_STATISTICS),
        *("--confounds", "none", "24P", "--dummy-scans", "0", "--n-procs", "1"),
    ]


@pytest.fixture(scope="module")
def written(inputs: Path) -> Written:
    assert run_app(inputs / "in", inputs / "out", *words(inputs)) == 0
    assert main([str(inputs / "in"), str(inputs / "out"), "group", "--quiet"]) == 0
    return Written(inputs / "out", RUN, SPACE)


def signals(written: Written, atlas: str, statistic: str, cleaning: str = "none") -> pd.DataFrame:
    stat = statistic.replace("_", "")
    path = written.path(f"atlas-{atlas}_stat-{stat}_desc-{cleaning}DUMMY0_timeseries.tsv")
    return table_of(path)


def theirs(inputs: Path, masker: Any, **options: Any) -> npt.NDArray[np.float64]:
    """Return what a masker of nilearn makes of the first run in float64, z-scored."""
    run = SmallRun(inputs / "in", "01", RUN, SPACE)
    image = nibabel.load(run.bold)
    in_memory = nibabel.Nifti1Image(image.get_fdata(), image.affine)
    settings = {"mask_img": run.mask, "detrend": True, "standardize": "zscore_sample"}
    made = masker(**settings, reports=False, **options)
    return np.asarray(made.fit_transform(in_memory), np.float64)


@pytest.mark.parametrize("statistic", [one for one in REGION_STATISTICS if one != "eigenvariate"])
def test_statistics_of_labels_are_nilearns(inputs, written, statistic):
    atlas = next((inputs / "atlas").glob("*.nii.gz"))
    expected = theirs(inputs, NiftiLabelsMasker, labels_img=atlas, strategy=statistic)
    ours = signals(written, "blocks", statistic)
    assert list(ours) == ["block1", "block2", "block3", "block4"]
    np.testing.assert_allclose(ours, expected, atol=1e-5)


@pytest.mark.parametrize("cleaning", ["none", "24P"])
def test_an_eigenvariate_is_that_of_the_cleaned_voxels(inputs, written, cleaning):
    run = SmallRun(inputs / "in", "01", RUN, SPACE)
    options = ["--voxels", "--standardize", "none", "--dummy-scans", "0", "--confounds", cleaning]
    out = inputs / f"voxels-{cleaning}"
    assert run_app(run.root, out, "--participant-label", "01", *options) == 0
    voxels = Written(out, RUN, SPACE).voxels(f"{cleaning}DUMMY0RAW")
    labels = nibabel.load(next((inputs / "atlas").glob("*.nii.gz"))).get_fdata()
    inside = nibabel.load(run.mask).get_fdata() != 0
    ours = signals(written, "blocks", "eigenvariate", cleaning)
    for column, label in zip(ours, (1, 2, 3, 4), strict=True):
        series = voxels[:, labels[inside] == label]
        left, _, _ = np.linalg.svd(series - series.mean(axis=0), full_matrices=False)
        sign = np.sign(left[:, 0] @ series.mean(axis=1))
        np.testing.assert_allclose(ours[column], zscored(sign * left[:, :1])[:, 0], atol=1e-4)


def test_maps_are_nilearns_and_one_outside_the_mask_is_not_available(inputs, written):
    maps = nibabel.load(next((inputs / "maps").glob("*.nii.gz"))).slicer[..., :2]
    expected = theirs(inputs, NiftiMapsMasker, maps_img=maps)
    ours = signals(written, "blobs", "leastsquares")
    assert list(ours) == ["first", "second", "third"]
    np.testing.assert_allclose(ours[["first", "second"]], expected, atol=1e-5)
    assert ours["third"].isna().all()


def test_spheres_are_nilearns_in_the_order_of_their_index(inputs, written):
    seeds = [tuple(CENTRES[one]) for one in (1, 2, 0)]
    options = {"seeds": seeds, "radius": RADIUS_MM, "allow_overlap": True}
    expected = theirs(inputs, NiftiSpheresMasker, **options)
    ours = signals(written, "seeds", "mean")
    assert list(ours) == ["seed 10", "seed 20", "seed 30", "seed 40"]
    np.testing.assert_allclose(ours[["seed 10", "seed 30", "seed 40"]], expected, atol=1e-5)
    assert ours["seed 20"].isna().all()
    assert signals(written, "seeds", "eigenvariate")["seed 20"].isna().all()


def test_tables_and_sidecars_tell_what_a_column_is(inputs, written):
    table = table_of(written.path("atlas-seeds_stat-coverage_bold.tsv"))
    assert list(table) == ["index", "name", "x", "y", "z", "radius", "voxels", "coverage"]
    assert list(table["index"]) == [10, 20, 30, 40]
    np.testing.assert_allclose(table[["x", "y", "z"]], CENTRES[[1, 3, 2, 0]])
    assert table["coverage"][1] == 0
    labels = nibabel.load(written.path("atlas-seeds_dseg.nii.gz")).get_fdata()
    assert set(np.unique(labels)) == {0, 10, 30, 40}
    nearest = np.rint((CENTRES[0] - AFFINE[:3, 3]) / np.diag(AFFINE)[:3]).astype(int)
    assert labels[tuple(nearest)] == 40
    maps = table_of(written.path("atlas-blobs_stat-coverage_bold.tsv"))
    assert list(maps["name"]) == ["first", "second", "third"]
    assert maps["coverage"][2] == 0
    for atlas, statistic, columns in (
        ("blocks", "standard_deviation", "atlas-blocks_dseg.nii.gz"),
        ("seeds", "eigenvariate", "atlas-seeds_dseg.nii.gz"),
        ("blobs", "leastsquares", "atlas-blobs_stat-coverage_bold.tsv"),
    ):
        stat = statistic.replace("_", "")
        said = written.sidecar(f"atlas-{atlas}_stat-{stat}_desc-noneDUMMY0_timeseries.json")
        assert said["Statistic"] == statistic
        assert said["ColumnMap"].endswith(columns)
        assert "AtlasIdentity" in said
    copies = {path.name for path in (written.output / "atlases").iterdir()}
    assert {
        f"tpl-{SPACE}_atlas-seeds_seeds.tsv",
        f"tpl-{SPACE}_atlas-blobs_probseg.nii.gz",
    } <= copies


def test_the_group_level_joins_every_statistic(written):
    stacks = [path.name for path in written.output.glob("*_desc-noneDUMMY0_signals.h5")]
    assert len(stacks) == 2 * len(REGION_STATISTICS) + 1


@needs_validator
def test_the_validator_has_nothing_against_it(written):
    issues = validator_issues(written.output)
    assert [one for one in issues if one["code"] != "TOO_FEW_AUTHORS"] == []  # as the input


def test_the_same_again_does_nothing_and_another_radius_does(inputs, tmp_path):
    out = tmp_path / "out"
    seeds = next((inputs / "seeds").glob("*.tsv"))
    options = ["--seeds", seeds, "--allow-overlap", "--participant-label", "01", "--radius"]
    assert run_app(inputs / "in", out, *options, 5) == 0
    before = contents(out)
    assert run_app(inputs / "in", out, *options, 5) == 0
    assert contents(out) == before
    assert run_app(inputs / "in", out, *options, 7) == 0
    changed = {name for name, digest in contents(out).items() if before.get(name) != digest}
    stem = f"sub-01/func/{RUN}_space-{SPACE}_atlas-seeds"
    assert {name for name in changed if name.endswith((".tsv", ".gz"))} == {
        f"{stem}_dseg.nii.gz",
        f"{stem}_dseg.tsv",
        f"{stem}_stat-coverage_bold.tsv",
        f"{stem}_stat-mean_desc-simple_timeseries.tsv",
    }


def test_percents_of_eigenvariates_have_their_level(inputs, tmp_path):
    """A region whose voxels all change alike has their percents as its eigenvariate."""
    atlas = next((inputs / "atlas").glob("*.nii.gz"))
    both = ["--region-statistic", "mean", "eigenvariate", "--standardize", "psc", "--atlas", atlas]
    options = [*both, "--participant-label", "01", "--confounds", "none", "--dummy-scans", "0"]
    assert run_app(inputs / "in", tmp_path / "out", *options) == 0
    written = Written(tmp_path / "out", RUN, SPACE)
    means, firsts = (
        table_of(written.path(f"atlas-blocks_stat-{one}_desc-noneDUMMY0PSC_timeseries.tsv"))
        for one in ("mean", "eigenvariate")
    )
    slope = [np.polyfit(means[name], firsts[name], 1)[0] for name in means]
    np.testing.assert_allclose(slope, 1, atol=0.1)


# Bad input


@pytest.mark.parametrize(
    ("rows", "header", "options", "told"),
    [
        (SEEDS, "index\tname\tX\tY\tZ", ["--radius", 5], ["share voxels", "seed 10 and seed 40"]),
        (SEEDS, "index\tname\tX\tY\tZ", [], ["no column 'radius'", "Give --radius"]),
        ("1\t2\t3\t4\n", "x\ty\tz\tradius", ["--radius", 5], ["column 'radius'", "--radius 5"]),
        ("1\t2\t3\t-4\n", "x\ty\tz\tradius", [], ["radius of -4", "line 2"]),
        ("1\t2\n", "x\ty", ["--radius", 5], ["no column 'z'"]),
        ("1\t2\tn/a\n", "x\ty\tz", ["--radius", 5], ["'n/a'", "line 2", "'z'"]),
        ("1\t2\t3\t1\n1\t2\t3\t1\n", "x\ty\tz\tid", ["--radius", 5], ["index 1 again", "line 3"]),
        ("1\t2\t3\t0\n", "x\ty\tz\tid", ["--radius", 5], ["index 0", "line 2"]),
        ("", "x\ty\tz", ["--radius", 5], ["holds no seed"]),
    ],
)
def test_seeds_that_make_no_sense_are_refused_by_name(
    inputs, tmp_path, capsys, rows, header, options, told
):
    seeds = write_seeds(tmp_path / "seeds", rows, header)
    code = run_app(inputs / "in", tmp_path / "out", "--seeds", seeds, *options)
    said = capsys.readouterr().err
    assert code in (65, 66)
    assert all(word in said for word in (seeds.name, *told)), said
    assert not list((tmp_path / "out").glob("sub-*/func/*timeseries*"))


def test_collinear_maps_are_told(inputs, tmp_path, capsys):
    maps = blob_maps(3, shape=SHAPE)
    maps[..., 2] = maps[..., 0] + maps[..., 1]
    path = write_image(tmp_path / "double.nii.gz", maps)
    assert run_app(inputs / "in", tmp_path / "out", "--maps", path) == 0
    assert "3 maps that add up to one another" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("kind", ["--maps", "--seeds"])
def test_one_name_is_not_given_to_two_kinds_of_atlas(inputs, tmp_path, capsys, kind):
    atlas = next((inputs / "atlas").glob("*.nii.gz"))
    other = tmp_path / f"blocks{'.nii.gz' if kind == '--maps' else '.tsv'}"
    if kind == "--maps":
        write_image(other, blob_maps(2, shape=SHAPE))
    else:
        other.write_text("x\ty\tz\tradius\n-2\t-8\t-18\t5\n")
    words = [kind, other, "--participant-label", "01"]
    assert run_app(inputs / "in", tmp_path / "a", *words, "--atlas", atlas) == 64
    assert run_app(inputs / "in", tmp_path / "a", *words) == 0
    assert run_app(inputs / "in", tmp_path / "a", "--atlas", atlas) == 65
    assert "another atlas than the one of the same name" in capsys.readouterr().err
