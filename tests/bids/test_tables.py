"""Tables in and out: what is read is what stands there, what is written reads back."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from bidsmask.bids.tables import read_cells, read_table, table_bytes
from bidsmask.errors import UnusableTable

CONFOUNDS = Path(__file__).parents[2].parent / "shared/data/confounds"


@pytest.fixture
def read(tmp_path):
    """Read a table from the text or bytes that a file shall hold."""

    def read(content, name="table.tsv", **arguments):
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return read_table(path, **arguments)

    return read


# Reading


def test_na_becomes_nan_and_the_column_stays_numbers(read):
    table = read("a\tb\n1\tn/a\n2\t0.5\n")
    assert table["a"].dtype == np.int64
    assert table["b"].dtype == np.float64
    assert np.isnan(table["b"][0])
    assert table["b"][1] == 0.5


def test_a_column_that_is_all_na_is_numbers(read):
    assert read("a\tb\nn/a\t1\nn/a\t2\n")["a"].isna().all()


def test_words_that_pandas_takes_for_missing_are_text(read):
    table = read("name\nNA\nNone\nnull\nn/a\n")
    assert list(table["name"][:3]) == ["NA", "None", "null"]
    assert np.isnan(table["name"][3])


def test_a_column_may_be_named_na(read):
    assert list(read("NA\tnan\n1\t2\n").columns) == ["NA", "nan"]


def test_labels_with_leading_zeros_stay_text(read):
    assert list(read("run\tx\n01\t1\n10\t2\n")["run"]) == ["01", "10"]


def test_columns_that_are_asked_for_as_text_stay_text(read):
    table = read("name\tlevel\tx\n1\tn/a\t1\n2\tn/a\t2\n", text=("name", "level", "absent"))
    assert list(table["name"]) == ["1", "2"]
    assert [table[name].dtype for name in table] == [object, object, np.int64]
    assert table["level"].isna().all()


def test_numbers_with_underscores_are_text(read):
    assert list(read("a\tb\n1_0\t1\n")["a"]) == ["1_0"]


def test_true_and_false_are_truth_values(read):
    assert read("kept\nfalse\ntrue\n")["kept"].dtype == bool


def test_an_integer_beyond_int64_is_a_float(read):
    assert read("a\tb\n99999999999999999999\t1\n")["a"][0] == 1e20


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfa\tb\n1\t2\n",
        b"a\tb\r\n1\t2\r\n",
        b"a\tb\r1\t2\r",
        b"a\tb\n1\t2",
        b"a\tb\n1\t2\n\n\r\n",
        b'"a"\t"b"\n"1"\t2\n',
        b"a \t b\n 1\t2 \n",
    ],
    ids=["bom", "crlf", "cr", "no-last-newline", "blank-end", "quotes", "blanks"],
)
def test_spellings_of_one_table_read_alike(read, content):
    pd.testing.assert_frame_equal(read(content), pd.DataFrame({"a": [1], "b": [2]}))


def test_a_comma_parts_csv_and_a_given_separator_anything(read):
    assert list(read("a,b\n1,2\n", "t.csv").columns) == ["a", "b"]
    assert list(read("a;b\n1;2\n", "t.csv", sep=";").columns) == ["a", "b"]


def test_a_header_alone_is_a_table_without_rows(read):
    table = read("onset\tduration\n")
    assert list(table.columns) == ["onset", "duration"]
    assert len(table) == 0


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty"),
        (b"\n\r\n", "is empty"),
        (b"a\tb\ta\n1\t2\t3\n", "two columns named 'a': 1 and 3"),
        (b"a\t\n1\t2\n", "no name for column 2"),
        (b"a\tb\n1\t2\n3\n", "1 cells in line 3, but 2 columns: nothing for column 2 \\('b'\\)"),
        (b"a\tb\n1\t2\t7\n", "3 cells in line 2, but 2 columns: '7' stands in column 3"),
        (b"a\tb\n\n1\t2\n", "empty line 2"),
        (b"0.5\t-1e-3\n1\t2\n", "no header"),
        (b"a\tb\n\xe9\t2\n", "not UTF-8 text: byte 4 is 0xe9"),
        (b'a\tb\n"1\t2\n', "cannot be parted into cells"),
        (b"/annex/objects/MD5E-s1--a.tsv\n", "git-annex pointer"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_file_that_is_no_table_is_refused_by_what_is_wrong(read, content, sentence):
    with pytest.raises(UnusableTable, match=sentence):
        read(content)


def test_a_missing_file_and_a_dangling_link_are_refused(tmp_path):
    with pytest.raises(UnusableTable, match="No such file"):
        read_table(tmp_path / "none.tsv")
    (tmp_path / "link.tsv").symlink_to(tmp_path / "none.tsv")
    with pytest.raises(UnusableTable, match="datalad get"):
        read_table(tmp_path / "link.tsv")


def test_real_confounds_tables_read_as_pandas_reads_them():
    if not CONFOUNDS.exists():
        pytest.skip("the shared confounds tables are not here")
    paths = sorted(CONFOUNDS.rglob("*.tsv"))
    assert len(paths) > 40
    for path in paths:
        if "melodic_mixing" in path.name:  # the one without header
            with pytest.raises(UnusableTable, match="no header"):
                read_table(path)
            continue
        expected = pd.read_csv(path, sep="\t", na_values="n/a")
        table = read_table(path)
        assert list(table.columns) == list(expected.columns)
        for name in table.columns:
            if pd.api.types.is_numeric_dtype(expected[name]):
                # pandas reads the last digit a little off
                np.testing.assert_allclose(table[name], expected[name], rtol=1e-15)
            else:
                assert list(table[name].fillna("")) == list(expected[name].fillna(""))


# Writing small tables


def test_each_kind_of_value_has_its_text():
    table = pd.DataFrame(
        {
            "int": [1, -2],
            "float": [0.1, np.nan],
            "single": np.array([0.1, np.inf], np.float32),
            "bool": [True, False],
            "text": ["a\tb\nc", ""],
            "nullable": pd.array([7, None], dtype="Int64"),
            "mixed": pd.Series([np.float64(0.5), None], dtype=object),
            "small": np.array([3, 4], np.uint8),
        }
    )
    assert table_bytes(table).decode().splitlines()[1:] == [
        "1\t0.1\t0.1\ttrue\ta b c\t7\t0.5\t3",
        "-2\tn/a\tn/a\tfalse\tn/a\tn/a\tn/a\t4",
    ]


def test_a_table_without_rows_is_its_header():
    assert table_bytes(pd.DataFrame({"a": np.zeros(0), "b": []})) == b"a\tb\n"


@pytest.mark.parametrize("name", ["a\tb", "a\nb", "", " ", 3, None])
def test_a_column_name_that_cannot_stand_in_a_header_is_refused(name):
    with pytest.raises(ValueError, match="cannot be named"):
        table_bytes(pd.DataFrame([[1.0]], columns=[name]))


def test_a_name_that_starts_with_a_quote_reads_back(tmp_path):
    path = tmp_path / "table.tsv"
    path.write_bytes(table_bytes(pd.DataFrame([[1, 2]], columns=['"a" b', "c"])))
    assert list(read_table(path).columns) == ['"a" b', "c"]


def test_two_columns_of_one_name_are_refused():
    with pytest.raises(ValueError, match="two columns"):
        table_bytes(pd.DataFrame([[1, 2]], columns=["a", "a"]))


def test_a_value_without_text_is_refused():
    with pytest.raises(ValueError, match="no text in BIDS"):
        table_bytes(pd.DataFrame({"a": [[1, 2]]}))


@given(
    arrays.arrays(np.float64, st.integers(1, 20), elements=st.floats(allow_infinity=False)),
    st.data(),
)
@settings(max_examples=60)
def test_what_is_written_reads_back(tmp_path_factory, floats, data):
    text = st.text(st.characters(blacklist_categories=["Cs", "Cc", "Zs", "Zl", "Zp"]), min_size=1)
    words = data.draw(st.lists(text, min_size=len(floats), max_size=len(floats)))
    path = tmp_path_factory.mktemp("table") / "table.tsv"
    table = pd.DataFrame({"float": floats, "word": words})
    path.write_bytes(table_bytes(table))
    assert table_bytes(table) == path.read_bytes()
    np.testing.assert_array_equal(read_table(path)["float"].to_numpy(float), floats)
    _, rows = read_cells(path)
    assert [row[1] for row in rows] == words
