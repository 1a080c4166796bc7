"""Which table names an atlas's regions, and what the columns are called."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bidsmask.bids.atlases import (
    atlas_copy,
    conflicting_copies,
    find_atlas_table,
    read_names_of,
    region_columns,
)
from bidsmask.bids.entities import Entities
from bidsmask.bids.region_names import read_region_names
from bidsmask.errors import MissingInput

SHARED = Path(__file__).parents[2].parent / "shared/data"
ATLASES = SHARED / "atlases"
TEMPLATES = SHARED / "templateflow"

needs_atlases = pytest.mark.skipif(not ATLASES.exists(), reason="the shared atlases are not here")
needs_templates = pytest.mark.skipif(
    not TEMPLATES.exists(), reason="the shared templates are not here"
)


def labels_of(image):
    values = np.unique(np.asanyarray(nib.load(image).dataobj))
    return values[values != 0]


# Finding


def test_a_given_table_is_taken_and_must_be_there(tmp_path):
    (tmp_path / "names.csv").touch()
    assert find_atlas_table(tmp_path / "a.nii.gz", tmp_path / "names.csv") == tmp_path / "names.csv"
    with pytest.raises(MissingInput, match="is not there"):
        find_atlas_table(tmp_path / "a.nii.gz", tmp_path / "none.csv")


@pytest.mark.parametrize("table", ["a.tsv", "a.csv", "a.txt", "a.nii.txt", "a.nii.csv"])
@pytest.mark.parametrize("image", ["a.nii", "a.nii.gz"])
def test_a_table_of_the_images_name_is_found(tmp_path, image, table):
    (tmp_path / table).touch()
    (tmp_path / "b.tsv").touch()
    assert find_atlas_table(tmp_path / image) == tmp_path / table


def test_a_tsv_is_preferred(tmp_path):
    for name in ("a.txt", "a.csv", "a.tsv", "a.json"):
        (tmp_path / name).touch()
    assert find_atlas_table(tmp_path / "a.nii.gz") == tmp_path / "a.tsv"


def test_a_sidecar_alone_is_no_table(tmp_path):
    (tmp_path / "a.json").touch()
    assert find_atlas_table(tmp_path / "a.nii.gz") is None


def test_a_table_with_fewer_entities_is_found_the_nearest_first(tmp_path):
    image = tmp_path / "tpl-X_res-02_atlas-A_desc-100_dseg.nii.gz"
    for name in ("tpl-X_atlas-A_dseg", "tpl-X_atlas-B_desc-100_dseg", "tpl-X_atlas-A_probseg"):
        (tmp_path / f"{name}.tsv").touch()
    assert find_atlas_table(image).name == "tpl-X_atlas-A_dseg.tsv"
    (tmp_path / "tpl-X_atlas-A_desc-100_dseg.tsv").touch()
    assert find_atlas_table(image).name == "tpl-X_atlas-A_desc-100_dseg.tsv"


def test_a_table_of_other_entities_is_not(tmp_path):
    (tmp_path / "tpl-X_atlas-B_dseg.tsv").touch()
    assert find_atlas_table(tmp_path / "tpl-X_atlas-A_dseg.nii.gz") is None


# Columns


def test_labels_without_a_name_get_one_and_are_told():
    columns = region_columns([1, 2, 7], {2: "b", 9: "far"})
    assert columns.names == ("label-1", "b", "label-7")
    assert columns.missing == (1, 7)
    assert columns.doubled == ()


def test_double_names_carry_their_label_and_are_told():
    columns = region_columns([2, 3, 8], {8: "aPFC", 2: "aPFC", 3: "vmPFC"})
    assert columns.names == ("aPFC_2", "vmPFC", "aPFC_8")
    assert columns.doubled == ("aPFC",)


def test_a_name_that_is_unique_in_the_image_is_left_alone():
    assert region_columns([2], {2: "aPFC", 3: "aPFC"}).names == ("aPFC",)


def test_a_made_name_does_not_take_a_given_one():
    columns = region_columns([1, 2, 3], {1: "a", 2: "a", 3: "a_1"})
    assert columns.names == ("a_1_1", "a_2", "a_1")


@pytest.mark.parametrize(
    ("table", "is_shifted"),
    [
        ({0: "a", 1: "b", 2: "c"}, True),
        ({0: "background", 1: "a", 2: "b", 3: "c"}, False),
        ({1: "a", 2: "b"}, False),
        ({}, False),
    ],
)
def test_a_table_that_counts_from_zero_is_told_from_one_that_names_the_background(
    table, is_shifted
):
    assert region_columns([1, 2, 3], table).is_shifted is is_shifted


def test_labels_of_a_float_image_find_their_names():
    values = np.array([1.0, 2.5], np.float32)
    assert region_columns(values, {1: "a"}).names == ("a", "label-2.5")


@given(
    st.dictionaries(st.integers(0, 12), st.sampled_from(["a", "b", "a_1", "a_2", "label-3"])),
    st.sets(st.integers(1, 12), min_size=1),
)
def test_columns_are_always_unique_and_do_not_depend_on_the_tables_order(names, labels):
    columns = region_columns(sorted(labels), names)
    assert len(set(columns.names)) == len(labels)
    assert columns == region_columns(sorted(labels), dict(reversed(list(names.items()))))


# Atlases as they are found


@needs_atlases
@pytest.mark.parametrize(
    ("image", "table", "first", "missing"),
    [
        ("aal/aal", None, (1, "Precentral_L"), 0),
        ("aicha/AICHAmc", None, (1, "G_Frontal_Sup-1"), 0),
        ("aal/AAL2_Atlas_Map", "aal/AAL2_Atlas_Labels.csv", (1, "Precentral_L"), 0),
        ("desikan-killiany/atlas-desikankilliany", None, (1, "bankssts_L"), 0),
        ("dosenbach160/Dosenbach_Science_160ROIs_Radius5_Mask", "dosenbach160/dosenbach_2010.csv",
         (1, "vmPFC"), 0),
        ("yeo7/Yeo2011_7Networks_MNI152_FreeSurferConformed1mm_LiberalMask",
         "yeo7/Yeo2011_7Networks_ColorLUT.txt", (1, "7Networks_1"), 0),
    ],
)  # fmt: skip
def test_a_real_atlas_has_a_name_for_each_label(image, table, first, missing):
    image = ATLASES / f"{image}.nii.gz"
    table = find_atlas_table(image, ATLASES / table if table else None)
    names = read_region_names(table)
    columns = region_columns(labels_of(image), names)
    assert names[first[0]] == first[1]
    assert len(columns.missing) == missing
    assert len(set(columns.names)) == len(columns.names)
    assert not columns.is_shifted


@needs_templates
def test_templateflow_leaves_the_resolution_out_of_the_tables_name():
    image = next(TEMPLATES.rglob("*_res-02_*desc-200Parcels7Networks_dseg.nii.gz"))
    table = find_atlas_table(image)
    assert table.name.endswith("_atlas-Schaefer2018_desc-200Parcels7Networks_dseg.tsv")
    columns = region_columns(labels_of(image), read_region_names(table))
    assert columns.names[0] == "7Networks_LH_Vis_1"
    assert columns.missing == columns.doubled == ()


@needs_templates
def test_harvard_oxford_tables_of_templateflow_count_from_zero():
    image = next(TEMPLATES.rglob("*atlas-HOCPA_desc-th25_dseg.nii.gz"))
    table = find_atlas_table(image)
    unread = region_columns(labels_of(image), read_region_names(table))
    assert unread.is_shifted
    names, is_from_zero = read_names_of(image, table)
    columns = region_columns(labels_of(image), names)
    assert is_from_zero
    assert not columns.is_shifted
    # FSL's own: the frontal pole is 1, the occipital pole is 48.
    assert (columns.names[0], columns.names[47]) == ("Frontal Pole", "Occipital Pole")
    assert columns.unused == ()


@pytest.mark.parametrize(
    ("name", "text", "n_maps", "is_from_zero"),
    [
        ("tpl-X_atlas-HOSPA_dseg", "0\ta\n1\tb\n", 0, True),
        ("tpl-X_atlas-HOSPA_dseg", "0\tBackground\n1\ta\n", 0, False),
        ("tpl-X_atlas-HOSPA_dseg", "1\ta\n2\tb\n", 0, False),
        ("tpl-X_atlas-HOCPAth25_res-02_dseg", "0\ta\n1\tb\n", 0, True),
        ("HOSPA", "0\ta\n1\tb\n", 0, False),
        ("tpl-X_atlas-Other_dseg", "0\ta\n1\tb\n", 0, False),
        ("maps", "0\ta\n1\tb\n", 2, True),
        ("maps", "1\ta\n2\tb\n", 2, False),
        ("maps", "0\ta\n1\tb\n2\tc\n", 2, False),
    ],
)
def test_only_what_is_known_to_count_from_zero_is_shifted(
    tmp_path, name, text, n_maps, is_from_zero
):
    table = tmp_path / "t.tsv"
    table.write_text("index\tname\n" + text)
    names, shifted = read_names_of(tmp_path / f"{name}.nii.gz", table, n_maps)
    assert shifted is is_from_zero
    assert names == {index + is_from_zero: one for index, one in read_region_names(table).items()}


def test_names_of_no_label_are_told():
    assert region_columns([1, 2], {0: "Background", 1: "a", 2: "b", 9: "far"}).unused == (9,)


# What an output keeps


def test_a_copy_of_the_same_place_must_be_the_same_and_one_of_another_kind_is_at_odds(tmp_path):
    image = tmp_path / "x.nii.gz"
    here = Entities((("tpl", "A"), ("atlas", "X"), ("res", "2")))
    copies = {
        "same": atlas_copy(tmp_path, here, image),
        "unsaid": atlas_copy(tmp_path, Entities((("atlas", "X"),)), image),
        "finer": atlas_copy(tmp_path, here.with_(res="1"), image),
        "elsewhere": atlas_copy(tmp_path, here.with_(tpl="B"), image),
        "longer": atlas_copy(tmp_path, here.with_(atlas="XY"), image),
        "table": atlas_copy(tmp_path, here, tmp_path / "x.tsv"),
        "seeds": atlas_copy(tmp_path, here, tmp_path / "x.csv", "spheres"),
    }
    assert len(set(copies.values())) == len(copies)
    assert copies["same"].name == "tpl-A_atlas-X_res-2_dseg.nii.gz"
    for path in copies.values():
        path.parent.mkdir(exist_ok=True)
        path.touch()
    same, others = conflicting_copies(tmp_path, here, "labels")
    assert set(same) == {copies["same"], copies["unsaid"]}
    assert others == [copies["seeds"]]
