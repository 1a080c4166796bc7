"""Which table names an atlas's regions, and what the columns are called."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bidsmask.bids.atlases import find_atlas_table, read_region_names, region_columns
from bidsmask.errors import MissingInput, UnusableTable

SHARED = Path(__file__).parents[2].parent / "shared/data"
ATLASES = SHARED / "atlases"
TEMPLATES = SHARED / "templateflow"

needs_atlases = pytest.mark.skipif(not ATLASES.exists(), reason="the shared atlases are not here")
needs_templates = pytest.mark.skipif(
    not TEMPLATES.exists(), reason="the shared templates are not here"
)


@pytest.fixture
def names(tmp_path):
    """Read region names from the text that a file shall hold."""

    def names(text, name="atlas.tsv"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8", newline="")
        return read_region_names(path)

    return names


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


# Reading


@pytest.mark.parametrize(
    ("text", "file"),
    [
        ("index\tname\n2\tb c\n1\ta\n", "t.tsv"),
        ("name\tcolor\tindex\nb c\t#fff\t2\na\t#fff\t1\n", "t.tsv"),
        ("Index,Name\r\n2,b c\r\n1,a\r\n", "t.csv"),
        ("id,label,structure\n2,b c,x\n1,a,x\n", "t.csv"),
        ("label,region\n2.0,b c\n1.0,a\n", "t.csv"),
        ("2,b c,2001\n1,a,2002\n", "t.csv"),
        ('index\tname\n2\t"b\tc"\n1\ta\n', "t.tsv"),
        ('index\tname\n2\t"b\nc"\n1\ta\n', "t.tsv"),
    ],
    ids=["bids", "order", "crlf", "id-label", "label-region", "headerless", "tab", "line-end"],
)
def test_names_go_by_index_value_whatever_the_form(names, text, file):
    found = names(text, file)
    assert found == {2: "b c", 1: "a"}
    assert all(isinstance(index, int) for index in found)


def test_text_files_are_index_name_and_what_follows(names):
    text = "# colours\n  0  NONE  0 0 0 0\r\n  1  Vis_1  120 18 134 0\r\n\r\n"
    assert names(text, "t.txt") == {0: "NONE", 1: "Vis_1"}


def test_an_index_need_not_be_whole(names):
    assert names("index\tname\n1.5\ta\n")[1.5] == "a"


def test_a_row_without_name_is_left_out(names):
    assert names("index\tname\n1\tn/a\n2\t\n3\tc\n") == {3: "c"}


def test_a_hemisphere_parts_double_names_and_leaves_others(names):
    text = "id,label,hemisphere\n1,cuneus,L\n2,cuneus,R\n3,brainstem,B\n4,x,n/a\n5,x,n/a\n"
    assert list(names(text, "t.csv").values()) == ["cuneus_L", "cuneus_R", "brainstem", "x", "x"]


@pytest.mark.parametrize(
    ("text", "file", "sentence"),
    [
        ("index\tname\n1\ta\n2\tb\n1.0\tc\n", "t.tsv", "index 1 twice: in line 2 and in line 4"),
        ("index\tname\n1\ta\nx\tb\n", "t.tsv", "no number as index in line 3, but 'x'"),
        ("index\tname\nn/a\ta\n", "t.tsv", "no number as index in line 2"),
        ("index\tname\ninf\ta\n", "t.tsv", "no number as index"),
        ("index\tname\n1\n", "t.tsv", "only 1 cells in line 2"),
        ("roi,x,y,z\n1,2,3,4\n", "t.csv", "no column for the name of a region, only roi, x, y, z"),
        ("name,x\na,1\n", "t.csv", "no column for the index of a region"),
        ("label,x\na,1\n", "t.csv", "no column for the name of a region"),
        ("aHIP-rh\npHIP-rh\n", "t.txt", "no index and name in line 1: 'aHIP-rh'"),
        ("26.0\t-14.0\t-20.0\n26.0\t-32.0\t-8.0\n", "t.txt", "index 26 twice"),
        ("\n", "t.txt", "is empty"),
        ("", "t.csv", "is empty"),
        ("{}", "t.json", "no table of region names: .json"),
        ("", "t.nii.lut", "no table of region names: .lut"),
    ],
)
def test_a_table_that_does_not_name_regions_is_refused(names, text, file, sentence):
    with pytest.raises(UnusableTable, match=sentence):
        names(text, file)


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


@needs_atlases
@pytest.mark.parametrize(
    "table",
    [
        "schaefer-fsl/schaefer400x17NodeNames.txt",
        "tian/Tian_Subcortex_S2_3T_label.txt",
        "harvardoxford/HarvardOxfordNodeNames.txt",
        "brodmann/brodmann.json",
        "brodmann/brodmann.nii.lut",
        "power264/power_2011.csv",
        "power264/power264CoorMNI.sclib",
    ],
)
def test_a_real_table_without_index_and_name_is_refused(table):
    with pytest.raises(UnusableTable):
        read_region_names(ATLASES / table)


@needs_templates
def test_templateflow_leaves_the_resolution_out_of_the_tables_name():
    image = next(TEMPLATES.rglob("*_res-02_*desc-200Parcels7Networks_dseg.nii.gz"))
    table = find_atlas_table(image)
    assert table.name.endswith("_atlas-Schaefer2018_desc-200Parcels7Networks_dseg.tsv")
    columns = region_columns(labels_of(image), read_region_names(table))
    assert columns.names[0] == "7Networks_LH_Vis_1"
    assert columns.missing == columns.doubled == ()


@needs_templates
def test_a_real_table_that_counts_from_zero_is_noticed():
    image = next(TEMPLATES.rglob("*atlas-HOCPA_desc-th25_dseg.nii.gz"))
    columns = region_columns(labels_of(image), read_region_names(find_atlas_table(image)))
    assert 48 in columns.missing
    assert columns.is_shifted
