"""Regions of which little is seen, and what is said of labels and names that do not fit."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import numpy.typing as npt
import pytest

from bidsmask.app.atlas_notes import percent_below
from bidsmask.cli import main
from tests import make_app
from tests.make_app import Written, image_of, table_of
from tests.make_images import AFFINE, write_image
from tests.make_regions import blob_maps
from tests.make_runs import SHAPE, SPACE, brain, contents, write_dataset

RUN = "sub-01_task-rest"
BLOCKS = "index\tname\n1\ta\n2\tb\n3\tc\n4\td\n"


def run_app(bids: Path, output: Path, *words: object) -> int:
    """Run the app with the mask that is there: whether it is any good does not matter here."""
    return make_app.run_app(bids, output, *words, "--mask-strategy", "derivative")


def slabs(n_slabs: int = 4) -> npt.NDArray[np.float32]:
    """Return labels from 1 in slabs along i, of which the brain covers others shares."""
    number = 1 + np.arange(SHAPE[0]) * n_slabs // SHAPE[0]
    return np.broadcast_to(number[:, None, None], SHAPE).astype(np.float32)


def shares(labels: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Return the share of each label that the brain covers."""
    values = np.unique(labels[labels != 0])
    return np.array([brain()[labels == value].mean() for value in values])


def write_labels(folder: Path, labels: npt.NDArray[np.float32], table: str = "") -> Path:
    """Write an atlas with or without a table beside it."""
    folder.mkdir(exist_ok=True)
    if table:
        (folder / "slabs.tsv").write_text(table)
    return write_image(folder / "slabs.nii.gz", labels, affine=AFFINE)


def said(capsys: pytest.CaptureFixture[str]) -> str:
    """Return what was printed for the user, on one line."""
    return " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("statistic", ["mean", "median", "eigenvariate"])
def test_regions_under_the_least_coverage_are_not_available(tmp_path, capsys, statistic):
    write_dataset(tmp_path / "in")
    atlas = write_labels(tmp_path / "atlas", slabs(), BLOCKS)
    expected = shares(slabs())
    least = float(np.sort(expected)[:3].mean())
    under = expected < least
    assert 0 < under.sum() < 4
    words = ["--atlas", atlas, "--region-statistic", statistic]
    assert run_app(tmp_path / "in", tmp_path / "all", *words) == 0
    assert run_app(tmp_path / "in", tmp_path / "out", *words, "--min-coverage", least) == 0
    assert f"covers less than {least:g} of {under.sum()} of 4 regions of slabs" in said(capsys)
    ending = f"atlas-slabs_stat-{statistic}_desc-simple_timeseries"
    every, ours = (
        table_of(Written(tmp_path / out, RUN, SPACE).path(f"{ending}.tsv"))
        for out in ("all", "out")
    )
    assert list(ours) == list("abcd")
    assert ours.isna().all().to_numpy().tolist() == under.tolist()
    np.testing.assert_array_equal(ours.loc[:, ~under], every.loc[:, ~under])
    written = Written(tmp_path / "out", RUN, SPACE)
    told = written.sidecar(f"{ending}.json")
    assert told["MinCoverage"] == least
    assert told["ColumnsUnderMinCoverage"] == under.sum()
    assert told["RegionsUnderMinCoverage"] == [
        n for n, out in zip("abcd", under, strict=True) if out
    ]
    coverage = table_of(written.path("atlas-slabs_stat-coverage_bold.tsv"))
    np.testing.assert_allclose(coverage["coverage"], expected, atol=1e-6)
    assert (coverage["voxels"] > 0).all()


def test_a_map_under_the_least_coverage_stays_in_the_fit_of_the_others(tmp_path):
    """Each is n/a by itself, but the numbers of the others are those without the option."""
    write_dataset(tmp_path / "in")
    maps = blob_maps(3, shape=SHAPE)
    path = write_image(tmp_path / "blobs.nii.gz", maps)
    covered = [np.abs(one[brain()]).sum() / np.abs(one).sum() for one in np.moveaxis(maps, 3, 0)]
    least = float(np.sort(covered)[:2].mean())
    assert run_app(tmp_path / "in", tmp_path / "all", "--maps", path) == 0
    words = ["--maps", path, "--min-coverage", least]
    assert run_app(tmp_path / "in", tmp_path / "out", *words) == 0
    ending = "atlas-blobs_stat-leastsquares_desc-simple_timeseries.tsv"
    every, ours = (
        table_of(Written(tmp_path / out, RUN, SPACE).path(ending)) for out in ("all", "out")
    )
    under = np.array(covered) < least
    assert ours.isna().all().to_numpy().tolist() == under.tolist()
    np.testing.assert_array_equal(ours.loc[:, ~under], every.loc[:, ~under])


def test_another_least_coverage_makes_the_signals_anew_and_nothing_else(tmp_path):
    write_dataset(tmp_path / "in")
    words = ["--atlas", write_labels(tmp_path / "atlas", slabs()), "--min-coverage"]
    out = tmp_path / "out"
    assert run_app(tmp_path / "in", out, *words, 0.2) == 0
    before = contents(out)
    assert run_app(tmp_path / "in", out, *words, 0.2) == 0
    assert contents(out) == before
    assert run_app(tmp_path / "in", out, *words, 0.5) == 0
    changed = {name for name, digest in contents(out).items() if before[name] != digest}
    stem = f"sub-01/func/{RUN}_space-{SPACE}_atlas-slabs_stat-mean_desc-simple_timeseries"
    assert changed == {f"{stem}.tsv", f"{stem}.json"}


def test_signals_of_two_least_coverages_are_not_joined(tmp_path, capsys):
    write_dataset(tmp_path / "in", ("01", "02"))
    words = ["--atlas", write_labels(tmp_path / "atlas", slabs()), "--participant-label"]
    assert run_app(tmp_path / "in", tmp_path / "out", *words, "01") == 0
    assert run_app(tmp_path / "in", tmp_path / "out", *words, "02", "--min-coverage", 0.5) == 0
    capsys.readouterr()
    assert main([str(tmp_path / "in"), str(tmp_path / "out"), "group"]) == 1
    assert "MinCoverage" in said(capsys)


def test_joined_runs_say_which_regions_each_lacks(tmp_path):
    write_dataset(tmp_path / "in", tasks=("rest_run-1", "rest_run-2"))
    atlas = write_labels(tmp_path / "atlas", slabs(), BLOCKS)
    words = ["--atlas", atlas, "--min-coverage", 0.15, "--concatenate-runs"]
    assert run_app(tmp_path / "in", tmp_path / "out", *words) == 0
    under = shares(slabs()) < 0.15
    assert 0 < under.sum() < 4
    [path] = (tmp_path / "out").rglob("*task-rest_space-*timeseries.tsv")
    assert table_of(path).isna().all().to_numpy().tolist() == under.tolist()
    told = json.loads(path.with_suffix(".json").read_text())
    assert told["MinCoverage"] == 0.15
    names = [name for name, out in zip("abcd", under, strict=True) if out]
    assert [run["RegionsUnderMinCoverage"] for run in told["Runs"]] == [names, names]


@pytest.mark.parametrize("kind", ["--atlas", "--maps", "--seeds"])
def test_regions_that_all_lie_elsewhere_fail_the_run_with_both_spaces(tmp_path, capsys, kind):
    write_dataset(tmp_path / "in")
    away = np.eye(4)
    away[:3, 3] = 500
    seeds = tmp_path / "far.tsv"
    seeds.write_text("x\ty\tz\tradius\n500\t0\t0\t5\n0\t500\t0\t5\n")
    given = {
        "--atlas": lambda: write_image(tmp_path / "away.nii.gz", slabs(2), affine=away),
        "--maps": lambda: write_image(
            tmp_path / f"tpl-{SPACE}_atlas-away_probseg.nii.gz",
            blob_maps(2, shape=SHAPE),
            affine=away,
        ),
        "--seeds": lambda: seeds,
    }[kind]()
    assert run_app(tmp_path / "in", tmp_path / "out", kind, given) == 65
    space = "is in the space" if kind == "--maps" else "does not say its space"
    message = said(capsys)
    where = "inside the mask" if kind == "--maps" else "in the field of view"
    assert f"{given.name} has no voxel of its 2 regions {where} of {RUN}" in message
    assert f"it {space}" in message
    assert f"and the run is in {SPACE}" in message
    assert not list((tmp_path / "out").rglob("*_timeseries.*"))


def test_a_seed_beside_the_mask_is_a_missing_column_and_fails_nothing(tmp_path):
    write_dataset(tmp_path / "in")
    [mask] = (tmp_path / "in").rglob("*_desc-brain_mask.nii.gz")
    image = nib.load(mask)
    x, y, z = image.affine[:3, 3]
    assert not image.dataobj[0, 0, 0]
    seeds = tmp_path / "corner.tsv"
    seeds.write_text(f"x\ty\tz\tradius\n{x}\t{y}\t{z}\t1\n")
    assert run_app(tmp_path / "in", tmp_path / "out", "--seeds", seeds) == 0
    [table] = (tmp_path / "out").rglob("*_timeseries.tsv")
    assert set(table.read_text().splitlines()[1:]) == {"n/a"}


def test_a_share_is_told_with_the_decimals_that_show_it_below_the_bound():
    shares = [0.0, 0.29, 0.896, 0.89996]
    assert [percent_below(one, 0.9) for one in shares] == ["0%", "29%", "89.6%", "89.996%"]
    assert percent_below(0.4999, 0.5) == "49.99%"


# Labels


def test_labels_with_gaps_below_zero_and_without_a_number_are_told(tmp_path, capsys):
    write_dataset(tmp_path / "in")
    labels = np.array([0, 2, -3, 7, 9], np.float32)[slabs().astype(int)]
    labels[0, 0, 0] = np.nan
    atlas = write_labels(tmp_path / "atlas", labels)
    assert run_app(tmp_path / "in", tmp_path / "out", "--atlas", atlas) == 0
    message = said(capsys)
    assert "holds labels below 0, which are regions like others: -3" in message
    assert "holds 1 voxel of NaN, taken as background" in message
    assert "holds 3 labels from 2 to 9, and leaves out 5 numbers between them" in message
    written = Written(tmp_path / "out", RUN, SPACE)
    assert list(written.regions("simple", "slabs")) == [f"label-{n}" for n in (-3, 2, 7, 9)]


@pytest.mark.parametrize(
    ("value", "told"), [(1.5, "holds the value 1.5, which is no label"), (np.inf, "value inf")]
)
def test_labels_that_are_no_whole_numbers_are_refused_by_the_first(tmp_path, capsys, value, told):
    write_dataset(tmp_path / "in")
    labels = slabs()
    labels[3, 3, 3] = value
    atlas = write_labels(tmp_path / "atlas", labels)
    assert run_app(tmp_path / "in", tmp_path / "out", "--atlas", atlas) == 65
    assert told in said(capsys)
    assert not list((tmp_path / "out").glob("sub-*/func/*timeseries*"))


def test_maps_given_as_labels_are_refused_with_the_right_option(tmp_path, capsys):
    write_dataset(tmp_path / "in")
    path = write_image(tmp_path / "blobs.nii.gz", blob_maps(2, shape=SHAPE))
    assert run_app(tmp_path / "in", tmp_path / "out", "--atlas", path) == 65
    assert "has 2 volumes, but labels are one. Give maps by --maps" in said(capsys)


# Names


@pytest.mark.parametrize(
    ("rows", "names", "told"),
    [
        ("2 b, 1 a", "a b label-3 label-4", "names no region for 2 labels: 3, 4"),
        (
            "1 a, 2 b, 3 c, 4 d, 9 f, 8 o",
            "a b c d",
            "names 2 regions that slabs.nii.gz has not: o (8)",
        ),
        ("1 a, 2 b, 3 c", "a b c label-4", "names no region for 1 label: 4."),
        ("1 a, 2 a, 3 c, 4 d", "a_1 a_2 c d", "gives one name to several regions: a"),
        ("4.0 d, 2.0 b, 3.0 c, 1.0 a", "a b c d", ""),
    ],
    ids=["short", "long", "shorter", "doubles", "floats"],
)
def test_a_table_that_does_not_fit_is_told_and_columns_have_their_own_names(
    tmp_path, capsys, rows, names, told
):
    write_dataset(tmp_path / "in")
    table = "index\tname\n" + "".join(row.replace(" ", "\t") + "\n" for row in rows.split(", "))
    atlas = write_labels(tmp_path / "atlas", slabs(), table)
    assert run_app(tmp_path / "in", tmp_path / "out", "--atlas", atlas) == 0
    assert told in said(capsys)
    assert list(Written(tmp_path / "out", RUN, SPACE).regions("simple", "slabs")) == names.split()


def test_seeds_of_one_name_are_told_and_have_their_numbers(tmp_path, capsys):
    write_dataset(tmp_path / "in")
    x, y, z = AFFINE[:3, :3] @ np.array(SHAPE) / 2 + AFFINE[:3, 3]
    places = "".join(f"{x + 4 * n:g}\t{y:g}\t{z:g}\t{name}\n" for n, name in enumerate("aba"))
    (tmp_path / "three.tsv").write_text(f"x\ty\tz\tname\n{places}")
    words = ["--seeds", tmp_path / "three.tsv", "--radius", 1]
    assert run_app(tmp_path / "in", tmp_path / "out", *words) == 0
    assert "three.tsv gives one name to several regions: a. Their columns" in said(capsys)
    names = list(Written(tmp_path / "out", RUN, SPACE).regions("simple", "three"))
    assert names == ["a_1", "b", "a_3"]


def test_columns_follow_the_labels_whatever_the_box_and_the_axes_of_the_atlas(tmp_path):
    """The same labels on a part of the grid, axes swapped and turned, give the same signals."""
    write_dataset(tmp_path / "in")
    labels = slabs()
    labels[:, :, [0, -1]] = 0
    whole = write_labels(tmp_path / "whole", labels)
    turned = np.flip(labels[:, :, 1:-1].transpose(2, 0, 1), axis=1)
    affine = np.eye(4)
    affine[:3, :3] = AFFINE[:3, [2, 0, 1]] * [1, -1, 1]
    affine[:3, 3] = AFFINE[:3, :3] @ [SHAPE[0] - 1, 0, 1] + AFFINE[:3, 3]
    other = tmp_path / "turned" / "slabs.nii.gz"
    other.parent.mkdir()
    write_image(other, np.ascontiguousarray(turned).astype(np.int16), affine=affine)
    for out, atlas in (("a", whole), ("b", other)):
        assert run_app(tmp_path / "in", tmp_path / out, "--atlas", atlas) == 0
    first, second = (Written(tmp_path / out, RUN, SPACE) for out in ("a", "b"))
    np.testing.assert_array_equal(
        *(image_of(one.path("atlas-slabs_dseg.nii.gz")) for one in (first, second))
    )
    np.testing.assert_array_equal(
        first.regions("simple", "slabs"), second.regions("simple", "slabs")
    )
