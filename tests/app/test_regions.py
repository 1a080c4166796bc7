"""bidsmask-regions: what it writes, held to nilearn, and what it refuses."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import tomllib
import warnings
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from nilearn import regions as nilearn

from bidsmask.app.region_options import KINDS, THRESHOLDING_STRATEGIES
from bidsmask.cli import regions
from bidsmask.regions.maps import EXTRACT_TYPES
from bidsmask.regions.threshold import THRESHOLDING_STRATEGIES as KNOWN_STRATEGIES
from tests.make_regions import GRID, SHAPE, as_image, blob_maps, parcels, signed_maps

ROOT = Path(__file__).parents[2]
HALF = (np.indices(SHAPE)[0] < 17).astype(np.uint8)
MAPS = "tpl-MNI152NLin2009cAsym_res-02_atlas-blobs_probseg.nii.gz"
MADE = "tpl-MNI152NLin2009cAsym_atlas-blobs_res-02_desc-connectedcomponents_probseg"


def save(folder, name, values):
    nib.save(values if hasattr(values, "affine") else as_image(values), folder / name)
    return str(folder / name)


def run(*arguments):
    return regions([str(one) for one in arguments])


def read(folder, name):
    image = nib.load(folder / f"{name}.nii.gz")
    table = pd.read_csv(folder / f"{name}.tsv", sep="\t")
    return image, table, json.loads((folder / f"{name}.json").read_text())


@pytest.mark.parametrize(
    ("strategy", "threshold", "words"),
    [
        ("ratio_n_voxels", 0.5, []),
        ("img_value", 3.0, ["--two-sided"]),
        ("percentile", 80.0, ["--mask-file", "mask.nii.gz"]),
    ],
)
def test_regions_of_maps_are_the_region_extractors(tmp_path, strategy, threshold, words):
    maps = save(tmp_path, MAPS, signed_maps())
    mask = save(tmp_path, "mask.nii.gz", HALF)
    words = [mask if word == "mask.nii.gz" else word for word in words]
    choices = ["--kind", KINDS[1], "--threshold", threshold, "--thresholding-strategy", strategy]
    assert run(maps, tmp_path / "out", *choices, *words) == 0
    extractor = nilearn.RegionExtractor(
        maps,
        mask_img=mask if mask in words else None,
        threshold=threshold,
        thresholding_strategy=strategy,
        two_sided="--two-sided" in words,
        extractor="connected_components",
        reports=False,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        extractor.fit()
    image, table, sidecar = read(tmp_path / "out", MADE)
    np.testing.assert_array_equal(image.dataobj, extractor.regions_img_.dataobj)
    np.testing.assert_array_equal(image.affine, GRID.affine)
    assert table["source"].tolist() == [index + 1 for index in extractor.index_]
    assert sidecar["Threshold"] == threshold
    assert sidecar["ThresholdingStrategy"] == strategy
    assert sidecar["SpatialReference"] == "MNI152NLin2009cAsym"
    assert sidecar["NumberOfRegions"] == len(table)


def test_the_table_tells_size_centre_and_peak_of_each_region(tmp_path):
    maps = save(tmp_path, "blobs.nii.gz", blob_maps())
    assert run(maps, tmp_path, "--min-region-size", "300") == 0
    image, table, _ = read(tmp_path, "atlas-blobs_desc-localregions_probseg")
    assert image.shape[3] == len(table) > 5
    for row in table.itertuples():
        values = np.asarray(image.dataobj[..., row.index - 1])
        places = np.argwhere(values)
        assert row.n_voxels * 8 == row.volume_mm3 == len(places) * 8 > 300
        np.testing.assert_allclose([row.x, row.y, row.z], 2 * places.mean(axis=0), atol=1e-3)
        peak = [row.peak_x, row.peak_y, row.peak_z]
        np.testing.assert_array_equal(peak, 2 * places[values[tuple(places.T)].argmax()])


@pytest.mark.parametrize("first", [0, 1])
def test_maps_have_the_names_of_a_table_that_counts_from_0_or_1(tmp_path, first):
    save(tmp_path, "blobs.nii.gz", blob_maps(2))
    rows = [f"{first + n}\t{name}" for n, name in enumerate(("front", "back"))]
    (tmp_path / "blobs.tsv").write_text("\n".join(["index\tname", *rows]) + "\n")
    assert run(tmp_path / "blobs.nii.gz", tmp_path / "out") == 0
    _, table, _ = read(tmp_path / "out", "atlas-blobs_desc-localregions_probseg")
    assert dict(zip(table["source"], table["source_name"], strict=True)) == {1: "front", 2: "back"}
    assert table["name"].is_unique
    assert table["name"][0] == "front_1"


@pytest.mark.parametrize("diagonal", [True, False])
def test_parts_of_labels_are_nilearns_and_named_by_the_table(tmp_path, diagonal):
    labels = save(tmp_path, "parts.nii.gz", parcels())
    values = np.unique(parcels())[1:]
    names = [f"area {value}" for value in values]
    rows = [f"{value}\t{name}" for value, name in zip(values, names, strict=True)]
    (tmp_path / "names.tsv").write_text("\n".join(["index\tname", *reversed(rows)]) + "\n")
    word = "--connect-diag" if diagonal else "--no-connect-diag"
    assert run(f"{labels}={tmp_path}/names.tsv", tmp_path, "--min-region-size", 100, word) == 0
    image, table, sidecar = read(tmp_path, "atlas-parts_desc-connectedlabels_dseg")
    theirs, their_names = nilearn.connected_label_regions(labels, 100, diagonal, names)
    np.testing.assert_array_equal(image.dataobj, theirs.dataobj)
    assert table["source_name"].tolist() == their_names
    assert table["name"].is_unique
    assert table["n_voxels"].tolist() == np.bincount(np.ravel(theirs.dataobj))[1:].tolist()
    assert sidecar["ConnectDiag"] is diagonal
    assert sidecar["NamesFile"] == "names.tsv"


def test_a_name_that_the_table_lacks_is_told(tmp_path, capsys):
    save(tmp_path, "parts.nii.gz", parcels())
    (tmp_path / "parts.tsv").write_text("index\tname\n3\tfirst\n")
    assert run(tmp_path / "parts.nii.gz", tmp_path / "out") == 0
    assert "has no name for 10: 10, 17, 24" in capsys.readouterr().err


def test_labels_and_maps_of_which_no_region_is_left_are_named(tmp_path, capsys):
    labels = np.zeros(SHAPE, np.int16)
    labels[2:8], labels[20], labels[0, 0, 0] = 3, 7, 9
    path = save(tmp_path, "labels.nii.gz", labels)
    (tmp_path / "labels.tsv").write_text("index\tname\n3\tlarge\n9\tdot\n")
    assert run(path, tmp_path / "out", "--mask-file", save(tmp_path, "half.nii", HALF)) == 0
    assert f"no region is left of 1 labels of {path}: 7" in capsys.readouterr().err
    sidecar = read(tmp_path / "out", "atlas-labels_desc-connectedlabels_dseg")[2]
    assert sidecar["SourcesWithoutRegion"] == [7]
    assert run(path, tmp_path / "large", "--min-region-size", 100) == 0
    assert f"no region is left of 1 labels of {path}: 9 (dot)" in capsys.readouterr().err
    sidecar = read(tmp_path / "large", "atlas-labels_desc-connectedlabels_dseg")[2]
    assert sidecar["SourcesWithoutRegion"] == [9]

    maps = blob_maps(3)
    maps[..., 1] = 0
    path = save(tmp_path, "maps.nii.gz", maps)
    assert run(path, tmp_path / "out") == 0
    assert f"no region is left of 1 maps of {path}: 2" in capsys.readouterr().err
    name = "atlas-maps_desc-localregions_probseg"
    assert read(tmp_path / "out", name)[2]["SourcesWithoutRegion"] == [2]


def test_one_3d_map_and_a_mask_of_labels(tmp_path):
    one = save(tmp_path, "one.nii.gz", blob_maps(1)[..., 0])
    mask = save(tmp_path, "mask.nii.gz", HALF)
    assert run(one, tmp_path, "--maps", "--mask-file", mask) == 0
    image, _, _ = read(tmp_path, "atlas-one_desc-localregions_probseg")
    assert np.argwhere(image.dataobj)[:, 0].max() == 16
    parts = save(tmp_path, "parts.nii.gz", parcels())
    assert run(parts, tmp_path, "--mask-file", mask) == 0
    image, table, _ = read(tmp_path, "atlas-parts_desc-connectedlabels_dseg")
    assert np.argwhere(image.dataobj)[:, 0].max() == 16
    assert table["index"].tolist() == list(range(1, len(table) + 1))


def test_equal_commands_write_equal_bytes(tmp_path):
    maps = save(tmp_path, "blobs.nii.gz", blob_maps())
    for folder in ("a", "b"):
        assert run(maps, tmp_path / folder) == 0
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


HOLES = np.where(parcels() == 3, np.nan, parcels().astype(np.float32)).astype(np.float32)


def test_labels_with_holes_of_nan_have_background_there(tmp_path):
    assert run(save(tmp_path, "parts.nii.gz", HOLES), tmp_path) == 0
    _, table, _ = read(tmp_path, "atlas-parts_desc-connectedlabels_dseg")
    assert 3 not in table["source"].tolist()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (parcels() + np.float32(0.5), "holds the value 0.5, which is no label"),
        (-parcels(), "holds the negative label -"),
        (np.zeros(SHAPE, np.int16), "holds no label"),
        (np.zeros((*SHAPE, 2), np.float32), "has no region"),
        (np.zeros((30, 34), np.int16), "3D or 4D image is needed"),
        (np.zeros((5, 5, 5, 2, 2), np.float32), "is 5D"),
        (blob_maps().astype(np.complex64), "is complex"),
    ],
    ids=["fractions", "negative", "empty labels", "empty maps", "2D", "5D", "complex"],
)
def test_images_that_cannot_be_taken_apart_are_refused(tmp_path, capsys, values, words):
    assert run(save(tmp_path, "a.nii.gz", values), tmp_path / "out") == 65
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (HALF * 0, "is an empty mask"),
        (HALF + 2 * HALF[::-1], "is not a mask"),
        (HALF[1:], "shape (30, 34, 28) is needed"),
        (np.pad(np.ones((1, 1, 1), np.uint8), [(0, n - 1) for n in SHAPE]), "has no region"),
    ],
    ids=["empty", "three values", "other grid", "no overlap"],
)
def test_masks_that_do_not_fit_are_refused(tmp_path, capsys, mask, words):
    maps = save(tmp_path, "blobs.nii.gz", blob_maps(share=0.01))
    assert run(maps, tmp_path / "out", "--mask-file", save(tmp_path, "mask.nii.gz", mask)) == 65
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["maps", "--threshold", "3.5"], "number of maps, 3"),
        (["maps", "--threshold", "101", "--thresholding-strategy", "percentile"], "0 to 100"),
        (["maps", "--threshold", "x"], "invalid float"),
        (["maps", "--min-region-size", "-1"], "min_region_size is -1"),
        (["labels", "--min-region-size", "nan"], "min_size is nan"),
        (["maps", "--two-sided"], "Give --threshold"),
        (["maps", "--threshold", "1", "--two-sided"], "says nothing beside ratio_n_voxels"),
        (["maps", "--kind", KINDS[1], "--smoothing-fwhm", "3"], "is for peaks"),
        (["maps", "--no-connect-diag"], "--connect-diag is for labels"),
        (["labels", "--threshold", "1"], "--threshold is for maps"),
        (["labels", "--kind", KINDS[0]], "Then say --maps"),
        (["labels", "--kin", KINDS[0]], "See bidsmask-regions --help"),
    ],
)
def test_choices_without_a_meaning_are_refused(tmp_path, capsys, arguments, words):
    save(tmp_path, "maps.nii.gz", blob_maps())
    save(tmp_path, "labels.nii.gz", parcels())
    image, *rest = arguments
    assert run(tmp_path / f"{image}.nii.gz", tmp_path / "out", *rest) == 64
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_two_outputs_of_one_name_are_refused_before_anything_is_written(tmp_path, capsys):
    (tmp_path / "sub").mkdir()
    first, second = (
        save(tmp_path, "a.nii.gz", parcels()),
        save(tmp_path / "sub", "a.nii", parcels()),
    )
    assert run(first, second, tmp_path / "out") == 64
    assert "would be written as atlas-a" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_what_is_there_is_replaced_by_force_alone(tmp_path, capsys):
    labels = save(tmp_path, "a.nii.gz", parcels())
    assert run(labels, tmp_path / "out") == 0
    made = tmp_path / "out" / "atlas-a_desc-connectedlabels_dseg.nii.gz"
    made.write_bytes(b"mine")
    capsys.readouterr()
    assert run(labels, tmp_path / "out") == 73
    assert "is there already" in capsys.readouterr().err
    assert made.read_bytes() == b"mine"
    assert run(labels, tmp_path / "out", "--force") == 0
    assert nib.load(made).shape == SHAPE


def test_an_input_is_not_replaced_even_by_force(tmp_path, capsys):
    labels = save(tmp_path, "atlas-a_desc-connectedlabels_dseg.nii.gz", parcels())
    output = tmp_path / "atlas-aconnectedlabels_desc-connectedlabels_dseg.nii.gz"
    output.symlink_to(labels)
    before = Path(labels).read_bytes()
    assert run(labels, tmp_path, "--force") == 73
    assert "is an input" in capsys.readouterr().err
    assert Path(labels).read_bytes() == before


@pytest.mark.parametrize("what", ["image", "table", "mask"])
def test_what_is_missing_is_named(tmp_path, capsys, what):
    labels = save(tmp_path, "a.nii.gz", parcels())
    gone = tmp_path / "gone.nii.gz"
    image = {"image": gone, "table": f"{labels}={gone}"}.get(what, labels)
    words = ["--mask-file", gone] if what == "mask" else []
    assert run(image, tmp_path / "out", *words) == 66
    assert "gone.nii.gz is not there" in capsys.readouterr().err


def test_a_fault_of_ours_has_its_own_code_and_shows_where_if_asked(tmp_path, capsys, monkeypatch):
    def broken(options):
        raise ZeroDivisionError("a fault")

    monkeypatch.setattr("bidsmask.app.regions.write_regions", broken)
    assert run("a.nii.gz", tmp_path) == 70
    assert "Traceback" not in capsys.readouterr().err
    assert run("a.nii.gz", tmp_path, "-vv") == 70
    assert "Traceback" in capsys.readouterr().err


def test_the_parser_offers_what_the_science_knows():
    assert set(KINDS) == set(EXTRACT_TYPES)
    assert THRESHOLDING_STRATEGIES == KNOWN_STRATEGIES


def test_the_command_is_the_second_door():
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    module, name = scripts["bidsmask-regions"].split(":")
    assert getattr(importlib.import_module(module), name)


def test_a_wrong_command_line_is_refused_without_loading_science():
    code = (
        "import sys\n"
        "from bidsmask.cli import regions\n"
        "assert regions(['a.nii.gz', 'out', '--two-sided']) == 64\n"
        "assert not {'numpy', 'scipy', 'pandas', 'nibabel'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stderr=subprocess.DEVNULL)
