"""What tables call each index, in the forms in which they are found, and what is refused."""

import pytest

from bidsmask.bids.region_names import read_region_names
from bidsmask.errors import UnusableTable
from tests.make_images import SHARED

ATLASES = SHARED / "atlases"
needs_atlases = pytest.mark.skipif(not ATLASES.exists(), reason="the shared atlases are not here")


@pytest.fixture
def names(tmp_path):
    """Read region names from the text that a file shall hold."""

    def names(text, name="atlas.tsv"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8", newline="")
        return read_region_names(path)

    return names


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


@pytest.mark.parametrize(
    ("text", "file"),
    [
        ("# colours\n  2  b_c  0 0 0 0\r\n  1  a  120 18 134 0\r\n\r\n", "t.txt"),
        ("2 b_c 2001\r\n1 a 2002\r\n", "t.nii.txt"),
        ("2 .1 .2 .3 b_c\n1 0 1 1 a\n", "t.lut"),
        ('2 255 0 0 1 1 1 "b_c"\n1 0 1 0 1 1 1 "a"\n', "t.label"),
        ("2,b_c,2001\n1,a,2002\n", "t.txt"),
        ("     2\tb_c\n     1\ta\n", "t.txt"),
        ("index name\n2 b_c\n1 a\n", "t.txt"),
        ("name;id\nb_c;2\na;1\n", "t.csv"),
        ('{"2": "b_c", "1.0": "a"}', "t.json"),
        ('{"2": {"name": "b_c"}, "1": {"Name": "a"}}', "t.json"),
        ('[{"id": 2, "label": "b_c"}, {"id": 1, "label": "a"}]', "t.json"),
        ('{"index": {"Levels": {"2": "b_c", "1": "a"}}}', "t.json"),
        ('{"R": [0, 0], "I": [2, 1], "labels": ["b_c", "a"]}', "t.json"),
    ],
    ids=["freesurfer", "mricron", "fsleyes", "itksnap", "commas", "cat", "header", "semicolons",
         "object", "objects", "list", "levels", "niivue"],
)  # fmt: skip
def test_tables_of_many_programs_are_read(names, text, file):
    assert names(text, file) == {2: "b_c", 1: "a"}


def test_a_region_may_be_called_as_a_column_is(names):
    assert names("1 label\n2 name\n", "t.txt") == {1: "label", 2: "name"}
    assert names("1,region\n2,roi\n", "t.txt") == {1: "region", 2: "roi"}


def test_a_number_that_names_need_stays_theirs(names):
    assert names("1 Area 44\n2 Area 45\n", "t.txt") == {1: "Area 44", 2: "Area 45"}
    assert names("1 Area A 7\n2 Area B 7\n", "t.txt") == {1: "Area A", 2: "Area B"}


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("Label", {0: "a", 3: "b"}), ("Probabilistic", {1: "a", 4: "b"}), ("", {0: "a", 3: "b"})],
)
def test_the_index_of_fsls_probabilistic_atlases_counts_from_zero(names, kind, expected):
    header = f"<header><type>{kind}</type></header>"
    labels = '<label index="0" x="1">a</label><label index="3">b</label>'
    text = (
        f'<?xml version="1.0" encoding="ISO-8859-1"?><atlas>{header}<data>{labels}</data></atlas>'
    )
    assert names(text, "t.xml") == expected


def test_values_and_spms_indices_in_xml_are_labels(names):
    text = "<atlas><!-- c --><header><type>Probabilistic</type></header><data>{}</data></atlas>"
    assert names(text.format('<label index="0" value="7">a</label>'), "t.xml") == {7: "a"}
    spm = "<label><index>4</index><name>3rd Ventricle</name></label>"
    assert names(text.format(spm), "t.xml") == {4: "3rd Ventricle"}


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
        ("26.0\t-14.0\t-20.0\n26.0\t-32.0\t-8.0\n", "t.txt", "numbers alone in line 1"),
        ("\n", "t.txt", "is empty"),
        ("", "t.csv", "is empty"),
        ("a\nb\n", "t.txt", "`cat -n` writes the indices"),
        ("1 2 a\n2 3 4\n", "t.txt", "numbers alone in line 2"),
        ("\0\1\2", "t.nii.lut", "a binary table of colours"),
        ("", "t.sclib", "no table of region names: .sclib"),
        ("", "table", "no table of region names: no suffix"),
        ("{}", "t.json", "no index beside each name"),
        ('{"labels": ["a", "b"]}', "t.json", "no index beside each name"),
        ('{"index": [1], "name": ["a", "b"]}', "t.json", "no index beside each name"),
        ('{"1": 5}', "t.json", "no index beside each name"),
        ('[{"index": 1, "name": "a"}, 5]', "t.json", "no index beside each name"),
        ('{"1": "a", "1.0": "b"}', "t.json", "index 1 twice: in entry 1 and in entry 2"),
        ('[{"index": "x", "name": "a"}]', "t.json", "no number as index in entry 1"),
        ("{", "t.json", "not readable as JSON"),
        ("[" * 100_000, "t.json", "not readable as JSON"),
        ('{"a":' * 900 + "1" + "}" * 900, "t.json", "not readable as JSON|no index beside"),
        ("<atlas></atlas>", "t.xml", "holds no label"),
        ("<atlas>", "t.xml", "not readable as XML"),
        ("<atlas><label>a</label></atlas>", "t.xml", "no number as index in label 1, but ''"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><a/>', "t.xml", "declares what no table needs"),
    ],
)
def test_a_table_that_does_not_name_regions_is_refused(names, text, file, sentence):
    with pytest.raises(UnusableTable, match=sentence):
        names(text, file)


@needs_atlases
@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ("schaefer-fsl/schaefer400x17NodeNames.txt", "no index and name in line 1"),
        ("glasser/glasser360NodeNames.txt", "no index and name in line 1"),
        ("power264/power264NodeNames.txt", "no index and name in line 1"),
        ("tian/Tian_Subcortex_S2_3T_label.txt", "no index and name in line 1"),
        ("tian/Tian_Subcortex_S2_3T_COG.txt", "numbers alone in line 1"),
        ("harvardoxford/HarvardOxfordNodeNames.txt", "no index and name in line 1"),
        ("brodmann/brodmann.json", "no index beside each name"),
        ("brodmann/brodmann.nii.lut", "binary table"),
        ("power264/power_2011.csv", "no column for the name of a region"),
        ("power264/power264CoorMNI.sclib", "no table of region names: .sclib"),
    ],
)
def test_a_real_table_without_index_and_name_is_refused_for_that(table, reason):
    with pytest.raises(UnusableTable, match=reason):
        read_region_names(ATLASES / table)
