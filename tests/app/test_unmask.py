"""bidsmask-unmask: what the app wrote comes back to its voxels, and the wrong map is refused."""

from __future__ import annotations

import importlib
import json
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from nilearn.maskers import NiftiLabelsMasker, NiftiMapsMasker, NiftiSpheresMasker

import bidsmask
from bidsmask.cli import unmask
from bidsmask.errors import UnequalChoices
from tests.make_app import image_of, run_app, table_of
from tests.make_images import AFFINE, write_image
from tests.make_runs import SHAPE, SPACE, brain, contents, leftovers, write_atlas, write_dataset

ROOT = Path(__file__).parents[2]
STEM = f"sub-01/func/sub-01_task-rest_space-{SPACE}"
VOXELS = f"{STEM}_seg-voxels_desc-none_timeseries"
VOXEL_MAP = f"{STEM}_seg-voxels_desc-derivative_dseg"
BLOCKS = f"{STEM}_atlas-blocks"
SIGNALS = f"{BLOCKS}_stat-mean_desc-none_timeseries"
# Two of them share voxels, and one reaches out of the mask.
SEEDS = AFFINE[:3, :3] @ np.array([[4, 4, 3], [5, 4, 3], [2, 3, 4]]).T + AFFINE[:3, 3:]


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """Return an output of two runs with voxels, labels, overlapping spheres and maps."""
    folder = tmp_path_factory.mktemp("unmask")
    write_dataset(folder / "in", tasks=("rest", "n1"))
    maps = np.random.default_rng(3).random((*SHAPE, 3)).astype(np.float32)
    maps[maps < 0.5] = 0
    write_image(folder / "ramps.nii.gz", maps, affine=AFFINE)
    seeds = pd.DataFrame(dict(zip("xyz", SEEDS, strict=True)))
    seeds.to_csv(folder / "seeds.tsv", sep="\t", index=False)
    words = ["--voxels", "--atlas", write_atlas(folder), "--maps", folder / "ramps.nii.gz"]
    words += ["--seeds", folder / "seeds.tsv", "--radius", 7, "--allow-overlap"]
    words += ["--connectivity", "pearson", "--confounds", "none"]
    assert run_app(folder / "in", folder / "out", *words) == 0
    return folder / "out"


@pytest.fixture
def out(made, tmp_path) -> Path:
    """Return a copy of the output, to be spoilt."""
    return Path(shutil.copytree(made, tmp_path / "out"))


def run(*words: object) -> int:
    return unmask([str(word) for word in words])


def signals_of(out: Path, name: str) -> np.ndarray:
    return table_of(out / f"{name}.tsv").to_numpy(np.float32)


def image_at(path: Path) -> nib.Nifti1Image:
    return nib.load(path)


# Round trips


def test_voxel_signals_come_back_to_their_voxels_with_the_time_between_them(made, tmp_path):
    assert run(made / f"{VOXELS}.tsv", tmp_path / "a.nii.gz") == 0
    image = image_at(tmp_path / "a.nii.gz")
    values = signals_of(made, VOXELS)
    assert image.shape == (*SHAPE, 40)
    assert image.header.get_zooms()[3] == 2.0
    assert image.header["sform_code"] == 4
    np.testing.assert_array_equal(image.affine, AFFINE)
    data = np.asarray(image.dataobj)
    np.testing.assert_array_equal(data[brain()].T, values)
    assert not data[~brain()].any()
    theirs = bidsmask.unmask(values, made / f"{STEM}_desc-derivative_mask.nii.gz")
    np.testing.assert_array_equal(data, theirs.dataobj)


def test_each_voxel_of_a_region_has_its_value_as_in_nilearn(made, tmp_path):
    assert run(made / f"{SIGNALS}.tsv", tmp_path / "a.nii") == 0
    masker = NiftiLabelsMasker(made / f"{BLOCKS}_dseg.nii.gz", reports=False).fit()
    theirs = masker.inverse_transform(signals_of(made, SIGNALS))
    np.testing.assert_array_equal(image_of(tmp_path / "a.nii"), theirs.dataobj)


def test_spheres_that_share_voxels_have_their_mean_there_as_in_nilearn(made, tmp_path):
    name = f"{STEM}_atlas-seeds_stat-mean_desc-none_timeseries"
    assert run(made / f"{name}.tsv", tmp_path / "a.nii.gz") == 0
    mask = made / f"{STEM}_desc-derivative_mask.nii.gz"
    seeds = table_of(made / f"{STEM}_atlas-seeds_dseg.tsv")[["x", "y", "z"]].to_numpy()
    masker = NiftiSpheresMasker(
        [tuple(map(float, seed)) for seed in seeds], 7, mask, allow_overlap=True, reports=False
    )
    theirs = masker.fit().inverse_transform(signals_of(made, name))
    ours = image_of(tmp_path / "a.nii.gz")
    np.testing.assert_allclose(ours, theirs.dataobj, rtol=1e-5, atol=1e-6)
    shared = [np.isclose(ours[..., 0], one) for one in signals_of(made, name)[0]]
    assert ((ours[..., 0] != 0) & ~np.any(shared, axis=0)).any()


def test_maps_add_up_inside_the_mask_as_in_nilearn(made, tmp_path):
    name = f"{STEM}_atlas-ramps_stat-leastsquares_desc-none_timeseries"
    assert run(made / f"{name}.tsv", tmp_path / "a.nii.gz") == 0
    mask = made / f"{STEM}_desc-derivative_mask.nii.gz"
    masker = NiftiMapsMasker(made / "atlases/atlas-ramps_probseg.nii.gz", mask, reports=False)
    theirs = masker.fit().inverse_transform(signals_of(made, name))
    ours = image_of(tmp_path / "a.nii.gz")
    np.testing.assert_allclose(ours, theirs.dataobj, rtol=1e-5, atol=1e-5)
    assert not ours[~brain()].any()


def test_the_signals_of_joined_runs_come_back(tmp_path):
    write_dataset(tmp_path / "in", tasks=("rest_run-1", "rest_run-2"))
    words = ("--voxels", "--atlas", write_atlas(tmp_path), "--concatenate-runs")
    assert run_app(tmp_path / "in", tmp_path / "out", *words, "--confounds", "none") == 0
    for ending in ("seg-voxels", "atlas-blocks_stat-mean"):
        name = f"{STEM}_{ending}_desc-noneJoined_timeseries"
        assert run(tmp_path / "out" / f"{name}.tsv", tmp_path / f"{ending}.nii.gz") == 0
        data = image_of(tmp_path / f"{ending}.nii.gz")
        assert data.shape == (*SHAPE, 80)
        assert np.isin(data[brain()][:, 70], signals_of(tmp_path / "out", name)[70]).all()
    sidecar = json.loads((tmp_path / "out" / f"{name}.json").read_text())
    assert {"ColumnMapFingerprint", "MaskFile"} <= set(sidecar)


def test_a_single_map_comes_back(tmp_path):
    write_dataset(tmp_path / "in")
    weights = np.random.default_rng(5).random(SHAPE).astype(np.float32)
    write_image(tmp_path / "one.nii.gz", weights, affine=AFFINE)
    words = ("--maps", tmp_path / "one.nii.gz", "--confounds", "none")
    assert run_app(tmp_path / "in", tmp_path / "out", *words) == 0
    [table] = (tmp_path / "out").glob("sub-01/func/*_timeseries.tsv")
    assert run(table, tmp_path / "a.nii.gz", "--row", 0) == 0
    expected = np.where(brain(), weights * table_of(table).iloc[0, 0], 0)
    np.testing.assert_allclose(image_of(tmp_path / "a.nii.gz"), expected, rtol=1e-6)


@pytest.mark.parametrize("rows", [[3], [0, 39, 3]])
def test_chosen_rows_are_a_volume_or_some(made, tmp_path, rows):
    assert run(made / f"{VOXELS}.tsv", tmp_path / "a.nii.gz", "--row", *rows) == 0
    data = image_of(tmp_path / "a.nii.gz")
    assert data.shape == (SHAPE if len(rows) == 1 else (*SHAPE, len(rows)))
    np.testing.assert_array_equal(
        data[brain()].T.squeeze(), signals_of(made, VOXELS)[rows].squeeze()
    )


def test_the_row_of_a_matrix_is_the_map_of_what_goes_with_a_region(made, tmp_path):
    name = f"{BLOCKS}_stat-pearsoncorrelation_desc-none_relmat"
    assert run(made / f"{name}.tsv", tmp_path / "a.nii.gz", "--row", "block2") == 0
    matrix = table_of(made / f"{name}.tsv").set_index("Node")
    labels = image_of(made / f"{BLOCKS}_dseg.nii.gz").astype(int)
    expected = matrix.loc["block2"].to_numpy(np.float32)[labels - 1]
    np.testing.assert_array_equal(image_of(tmp_path / "a.nii.gz"), expected)


def test_in_python_the_same_comes_as_an_image(made, tmp_path):
    assert run(made / f"{SIGNALS}.tsv", tmp_path / "a.nii.gz") == 0
    ours = bidsmask.unmask_signals(made / f"{SIGNALS}.tsv")
    written = image_at(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(ours.dataobj, written.dataobj)
    assert ours.header.get_zooms() == written.header.get_zooms()
    assert bidsmask.unmask_signals(made / f"{SIGNALS}.tsv", rows=[5]).shape == SHAPE


def test_gzipped_tables_and_all_rows_come_back_too(tmp_path):
    write_dataset(tmp_path / "in")
    words = ("--format", "tsv.gz", "--keep-censored", "--dummy-scans", 3, "--confounds", "none")
    assert run_app(tmp_path / "in", tmp_path / "out", *words) == 0
    [table] = (tmp_path / "out").glob("sub-01/func/*_timeseries.tsv.gz")
    assert run(table, tmp_path / "a.nii.gz") == 0
    data = image_of(tmp_path / "a.nii.gz")
    assert np.isnan(data[brain()][:, :3]).all()
    assert not np.isnan(data[brain()][:, 3:]).any()
    assert not data[~brain()].any()


def test_censored_volumes_that_have_no_row_are_told(tmp_path, capsys):
    write_dataset(tmp_path / "in")
    assert run_app(tmp_path / "in", tmp_path / "out", "--dummy-scans", 3) == 0
    [table] = (tmp_path / "out").glob("sub-01/func/*_timeseries.tsv")
    assert run(table, tmp_path / "a.nii.gz") == 0
    assert "kept volumes of the run; 3 censored ones are not there" in capsys.readouterr().err
    assert image_of(tmp_path / "a.nii.gz").shape == (*SHAPE, 37)


def test_the_rows_of_trials_are_images_without_a_time_between_them(tmp_path):
    write_dataset(tmp_path / "in", with_events=True)
    words = ("--trials", "--trial-window", 2, 8, "--confounds", "none")
    assert run_app(tmp_path / "in", tmp_path / "out", *words) == 0
    [table] = (tmp_path / "out").glob("sub-01/func/*_trialseries.tsv")
    assert run(table, tmp_path / "a.nii.gz") == 0
    image = image_at(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(
        np.asarray(image.dataobj)[brain()].T, table_of(table).astype(np.float32)
    )
    assert (image.shape[3], image.header.get_zooms()[3]) == (2, 0)


# Which map


def test_without_a_json_file_the_map_is_found_by_its_name(out, tmp_path):
    for name in (VOXELS, SIGNALS):
        assert run(out / f"{name}.tsv", tmp_path / "before.nii.gz", "--force") == 0
        (out / f"{name}.json").unlink()
        assert run(out / f"{name}.tsv", tmp_path / "a.nii.gz", "--force") == 0
        before, after = (image_of(tmp_path / one) for one in ("before.nii.gz", "a.nii.gz"))
        np.testing.assert_array_equal(before, after)
        assert image_at(tmp_path / "a.nii.gz").header.get_zooms()[3] == 0


def test_a_table_that_was_copied_has_its_map_beside_it(made, tmp_path):
    for name in (f"{SIGNALS}.tsv", f"{SIGNALS}.json"):
        shutil.copy(made / name, tmp_path)
    table = tmp_path / Path(f"{SIGNALS}.tsv").name
    assert run(table, tmp_path / "a.nii.gz") == 66
    for end in (".nii.gz", ".tsv", ".json"):
        shutil.copy(made / f"{BLOCKS}_dseg{end}", tmp_path)
    assert run(table, tmp_path / "a.nii.gz") == 0


def test_a_table_of_any_name_takes_the_map_that_is_given(made, tmp_path):
    values = pd.DataFrame({"block3": [3.5], "block1": [1.5], "block4": ["n/a"], "block2": [2.5]})
    values.to_csv(tmp_path / "t.tsv", sep="\t", index=False)
    assert run(tmp_path / "t.tsv", tmp_path / "a.nii.gz") == 66
    dseg = made / f"{BLOCKS}_dseg.nii.gz"
    assert run(tmp_path / "t.tsv", tmp_path / "a.nii.gz", "--map", dseg) == 0
    expected = np.array([1.5, 2.5, 3.5, np.nan], np.float32)[image_of(dseg).astype(int) - 1]
    np.testing.assert_array_equal(image_of(tmp_path / "a.nii.gz"), expected)


def test_maps_that_are_given_need_no_mask(tmp_path):
    maps = np.random.default_rng(1).random((*SHAPE, 2)).astype(np.float32)
    write_image(tmp_path / "maps.nii.gz", maps, affine=AFFINE)
    (tmp_path / "t.tsv").write_text("label-1\tlabel-2\n2\t-1\n0.5\t3\n")
    words = (tmp_path / "t.tsv", tmp_path / "a.nii.gz", "--map", tmp_path / "maps.nii.gz")
    assert run(*words) == 0
    expected = maps.astype(float) @ np.array([[2, 0.5], [-1, 3]])
    np.testing.assert_allclose(image_of(tmp_path / "a.nii.gz"), expected, rtol=1e-6)


@pytest.mark.parametrize("name", [VOXELS, SIGNALS])
def test_the_map_of_another_run_is_refused_by_its_fingerprint(made, tmp_path, capsys, name):
    other = {VOXELS: VOXEL_MAP, SIGNALS: f"{BLOCKS}_dseg"}[name].replace("rest", "n1")
    sidecar = json.loads((made / f"{other}.json").read_text())
    # The two runs have equal masks; one of another mask has another Fingerprint.
    changed = tmp_path / Path(other).name
    for end in (".nii.gz", ".tsv"):
        shutil.copy(made / f"{other}{end}", f"{changed}{end}")
    changed.with_name(f"{changed.name}.json").write_text(
        json.dumps({**sidecar, "Fingerprint": "0" * 32})
    )
    code = run(made / f"{name}.tsv", tmp_path / "a.nii.gz", "--map", f"{changed}.nii.gz")
    assert code == 65
    said = capsys.readouterr().err
    assert f"{changed.name}.nii.gz is not the map of {Path(name).name}.tsv" in said
    assert not (tmp_path / "a.nii.gz").exists()


def test_voxels_come_back_to_a_mask_that_is_given_if_it_is_theirs(out, tmp_path, capsys):
    table, mask = out / f"{VOXELS}.tsv", out / f"{STEM}_desc-derivative_mask.nii.gz"
    expected = np.asarray(bidsmask.unmask_signals(table).dataobj)
    np.testing.assert_array_equal(bidsmask.unmask_signals(table, mask).dataobj, expected)
    bare = shutil.copy(out / f"{VOXEL_MAP}.nii.gz", tmp_path / "map.nii.gz")
    np.testing.assert_array_equal(bidsmask.unmask_signals(table, bare).dataobj, expected)
    fewer = brain()
    fewer[4, 4, 3] = False
    write_image(tmp_path / "fewer.nii.gz", fewer.astype(np.uint8), affine=AFFINE)
    n_voxels = int(brain().sum())
    assert run(table, tmp_path / "a.nii.gz", "--map", tmp_path / "fewer.nii.gz") == 65
    said = capsys.readouterr().err
    assert f"has {n_voxels} columns, but fewer.nii.gz has {n_voxels - 1} regions" in said
    other = out / f"{STEM}_desc-epi_mask.nii.gz"
    shutil.copy(mask, other)
    other.with_name(f"{other.name.removesuffix('.nii.gz')}.json").write_text(
        json.dumps({"Fingerprint": "0" * 32})
    )
    assert run(table, tmp_path / "a.nii.gz", "--map", other) == 65
    assert "desc-epi_mask.nii.gz is not the map of" in capsys.readouterr().err


def moved(made: Path, folder: Path) -> Path:
    """Copy a table of regions, but neither map nor mask, out of its dataset."""
    for end in (".tsv", ".json"):
        shutil.copy(made / f"{SIGNALS}{end}", folder)
    return folder / Path(f"{SIGNALS}.tsv").name


def mirrored(made: Path, path: Path, factor: int = 1) -> Path:
    """Write the map of the regions with left and right exchanged, and its table beside it."""
    image = image_at(made / f"{BLOCKS}_dseg.nii.gz")
    labels = np.asarray(image.dataobj)[::-1]
    affine = image.affine @ np.diag([1 / factor] * 3 + [1])
    fine = np.kron(labels, np.ones((factor,) * 3, labels.dtype))
    shutil.copy(made / f"{BLOCKS}_dseg.tsv", path.with_name(f"{path.name.partition('.')[0]}.tsv"))
    return write_image(path, fine, affine=affine)


def test_a_map_whose_regions_lie_elsewhere_is_refused_though_it_has_no_json_file(
    made, tmp_path, capsys
):
    flipped = mirrored(made, tmp_path / "flipped_dseg.nii.gz")
    there = image_of(made / f"{BLOCKS}_dseg.nii.gz")
    n_others = np.count_nonzero(there != there[::-1])
    assert run(made / f"{SIGNALS}.tsv", tmp_path / "a.nii.gz", "--map", flipped) == 65
    said = capsys.readouterr().err
    assert "flipped_dseg.nii.gz is not the map of" in said
    assert f"{n_others} voxels are of another column than in {Path(BLOCKS).name}_dseg" in said
    assert not (tmp_path / "a.nii.gz").exists()
    with pytest.raises(UnequalChoices):
        bidsmask.unmask_signals(made / f"{SIGNALS}.tsv", flipped)


def test_a_map_that_cannot_be_verified_is_taken_with_a_warning(made, tmp_path, capsys):
    """Neither its own map is there to be compared, nor the mask, which labels do not need."""
    table = moved(made, tmp_path)
    flipped = mirrored(made, tmp_path / "flipped_dseg.nii.gz")
    assert run(table, tmp_path / "a.nii.gz", "--map", flipped) == 0
    warning = "warning: flipped_dseg.nii.gz cannot be verified to be the map of"
    assert warning in capsys.readouterr().err
    [atlas] = (made / "atlases").glob("*atlas-blocks_dseg.nii.gz")
    for known in (made / f"{BLOCKS}_dseg.nii.gz", atlas):
        assert run(table, tmp_path / "a.nii.gz", "--force", "--map", known) == 0
        assert "verified" not in capsys.readouterr().err
    fine = mirrored(made, tmp_path / "fine_dseg.nii.gz", factor=2)
    assert run(made / f"{SIGNALS}.tsv", tmp_path / "fine.nii.gz", "--map", fine) == 0
    assert "fine_dseg.nii.gz cannot be verified to be the map" in capsys.readouterr().err


def test_labels_that_are_numbered_anew_are_the_same_map(made, tmp_path, capsys):
    labels = image_of(made / f"{BLOCKS}_dseg.nii.gz")
    write_image(tmp_path / "other_dseg.nii.gz", 10 - labels, affine=AFFINE)
    names = "".join(f"{10 - n}\tblock{n}\n" for n in (1, 2, 3, 4))
    (tmp_path / "other_dseg.tsv").write_text(f"index\tname\n{names}")
    table, given = made / f"{SIGNALS}.tsv", tmp_path / "other_dseg.nii.gz"
    ours = bidsmask.unmask_signals(table, given)
    np.testing.assert_array_equal(ours.dataobj, bidsmask.unmask_signals(table).dataobj)
    assert run(table, tmp_path / "a.nii.gz", "--map", given) == 0
    assert "verified" not in capsys.readouterr().err


def test_spheres_need_their_mask(made, tmp_path, capsys):
    name = f"{STEM}_atlas-seeds_stat-mean_desc-none_timeseries"
    for end in (".tsv", ".json"):
        shutil.copy(made / f"{name}{end}", tmp_path)
    given = made / f"{STEM}_atlas-seeds_dseg.nii.gz"
    table = tmp_path / f"{Path(name).name}.tsv"
    assert run(table, tmp_path / "a.nii.gz", "--map", given) == 66
    assert "mask.nii.gz is not there, but" in capsys.readouterr().err


def test_regions_need_the_names_of_a_map_that_is_given(made, tmp_path, capsys):
    bare = shutil.copy(made / f"{BLOCKS}_dseg.nii.gz", tmp_path / "map.nii.gz")
    words = (made / f"{SIGNALS}.tsv", tmp_path / "a.nii.gz", "--map")
    assert run(*words, bare) == 66
    assert "has no table of the names of its regions beside it" in capsys.readouterr().err
    assert run(*words, f"{bare}={made / BLOCKS}_dseg.tsv") == 0


def test_other_maps_than_those_that_were_fitted_are_refused(out, tmp_path, capsys):
    name = f"{STEM}_atlas-ramps_stat-leastsquares_desc-none_timeseries"
    write_image(out / "atlases/atlas-ramps_probseg.nii.gz", np.ones((*SHAPE, 3), np.float32))
    assert run(out / f"{name}.tsv", tmp_path / "a.nii.gz") == 65
    assert "atlas-ramps_probseg.nii.gz is not the map of" in capsys.readouterr().err


def test_a_file_outside_of_the_dataset_is_no_map(out, tmp_path, capsys):
    sidecar = out / f"{SIGNALS}.json"
    said = json.loads(sidecar.read_text())
    outside = ("bids::../../secret_dseg.nii.gz", "/etc/passwd", "bids:raw:sub-01/a.nii.gz")
    for uri in (*outside, "bids::\0", "bids::" + 300 * "a"):
        sidecar.write_text(json.dumps({**said, "ColumnMap": uri}))
        assert run(out / f"{SIGNALS}.tsv", tmp_path / "a.nii.gz") == 65
        assert f"names {uri[:200]!r} as its ColumnMap" in capsys.readouterr().err


# Tables that a hand has been at


def edited(out: Path, change) -> Path:
    """Change the table of regions as text, and return its path."""
    path = out / f"{SIGNALS}.tsv"
    path.write_text(change(path.read_text()))
    return path


EDITS = {
    "a column lost": (
        lambda text: "\n".join(line.rpartition("\t")[0] for line in text.splitlines()) + "\n",
        "has 3 columns, but sub-01_task-rest_space-MNI152NLin2009cAsym_atlas-blocks_dseg.nii.gz "
        'has 4 regions: "block4" has no column',
    ),
    "a column renamed": (
        lambda text: text.replace("block2", "insula", 1),
        'has 4 regions: "insula" is no region of it; "block2" has no column',
    ),
    "text in a cell": (
        lambda text: text.replace("\n", "\noops\t1\t2\t3\n", 1),
        "has 'oops' in line 2, column 'block1'",
    ),
    "a cell too few": (lambda text: text + "1\t2\n", "has 2 cells in line 42, but 4 columns"),
    "the header lost": (lambda text: text.partition("\n")[2], "has no header"),
    "all rows lost": (lambda text: text.partition("\n")[0] + "\n", "holds no row of signals"),
}


@pytest.mark.parametrize("edit", EDITS)
def test_a_table_that_does_not_fit_is_refused(out, tmp_path, capsys, edit):
    change, problem = EDITS[edit]
    assert run(edited(out, change), tmp_path / "a.nii.gz") == 65
    assert problem in capsys.readouterr().err
    assert not (tmp_path / "a.nii.gz").exists()


def test_a_voxel_that_was_lost_is_named(out, tmp_path, capsys):
    table = table_of(out / f"{VOXELS}.tsv").drop(columns="v0000017")
    table.to_csv(out / f"{VOXELS}.tsv", sep="\t", index=False)
    assert run(out / f"{VOXELS}.tsv", tmp_path / "a.nii.gz") == 65
    assert '"v0000017" has no column' in capsys.readouterr().err


def test_what_can_be_taken_is_taken_and_said(out, tmp_path, capsys):
    path = edited(out, lambda text: text.replace("\n", "\n1\tn/a\t3\t4\n", 1))
    assert run(path, tmp_path / "a.nii.gz") == 0
    said = capsys.readouterr().err
    assert f"warning: {path.name} was changed since bidsmask wrote it\n" in said
    assert "warning: 1 of 4 columns hold n/a, which is NaN there\n" in said
    labels = image_of(out / f"{BLOCKS}_dseg.nii.gz")
    np.testing.assert_array_equal(np.isnan(image_of(tmp_path / "a.nii.gz")[..., 0]), labels == 2)


def test_columns_in_another_order_find_their_regions(out, tmp_path):
    before = bidsmask.unmask_signals(out / f"{SIGNALS}.tsv")
    table = table_of(out / f"{SIGNALS}.tsv")
    table[table.columns[::-1]].to_csv(out / f"{SIGNALS}.tsv", sep="\t", index=False)
    after = bidsmask.unmask_signals(out / f"{SIGNALS}.tsv")
    np.testing.assert_array_equal(after.dataobj, before.dataobj)


# The output


def test_nothing_that_is_there_is_replaced_without_being_told_to(out, tmp_path, capsys):
    target = tmp_path / "a.nii.gz"
    target.write_text("mine")
    assert run(out / f"{SIGNALS}.tsv", target) == 73
    assert target.read_text() == "mine"
    assert run(out / f"{SIGNALS}.tsv", target, "--force") == 0
    assert image_of(target).shape == (*SHAPE, 40)
    before = contents(out)
    link = tmp_path / "link.nii.gz"
    link.symlink_to(out / f"{BLOCKS}_dseg.nii.gz")
    for one in (out / f"{BLOCKS}_dseg.nii.gz", link):
        capsys.readouterr()
        assert run(out / f"{SIGNALS}.tsv", one, "--force") == 73
        assert "is an input" in capsys.readouterr().err
    assert contents(out) == before
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize(
    ("words", "code", "problem"),
    [
        (["t.tsv", "a.img"], 64, "is no name of an image"),
        (["t.txt", "a.nii"], 64, "is no table of signals"),
        (["none.tsv", "a.nii"], 66, "is not there"),
        (["t.tsv", "a.nii", "--map", "none.nii.gz"], 66, "none.nii.gz is not there"),
        (["t.tsv", "a.nii"], 66, "does not say which image tells where its columns lie"),
    ],
)
def test_what_is_wrong_on_the_command_line_is_said(
    tmp_path, monkeypatch, capsys, words, code, problem
):
    monkeypatch.chdir(tmp_path)
    Path("t.tsv").write_text("a\tb\n1\t2\n")
    Path("t.txt").write_text("a\tb\n1\t2\n")
    assert run(*words) == code
    assert problem in capsys.readouterr().err


def test_a_row_that_is_not_there_is_refused(made, tmp_path, capsys):
    for row in ("40", "-1", "block1"):
        assert run(made / f"{SIGNALS}.tsv", tmp_path / "a.nii.gz", f"--row={row}") == 64
        assert "Give rows 0 to 39." in capsys.readouterr().err


def test_the_command_is_the_third_door():
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    module, name = scripts["bidsmask-unmask"].split(":")
    assert getattr(importlib.import_module(module), name)


def test_a_wrong_command_line_is_refused_without_loading_science():
    code = (
        "import sys\n"
        "from bidsmask.cli import unmask\n"
        "assert unmask(['a.tsv', 'out']) == 64\n"
        "assert not {'numpy', 'scipy', 'pandas', 'nibabel'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stderr=subprocess.DEVNULL)
