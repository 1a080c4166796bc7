import numpy as np
import pandas as pd
import pytest

from bidsmask.cleaning.table import normal_names, numbers, refuse_foreign, require, table_of_run
from bidsmask.errors import MissingColumn, UnusableTable
from tests.make_cleaning import confounds_table, needs_real_tables, read_real_table


def test_names_of_fmriprep_before_1_2_become_those_of_today() -> None:
    old = ["CSF", "vx-wisestdDVARS", "stdDVARS", "tCompCor01", "Cosine10", "RotZ", "X"]
    new = list(normal_names(pd.DataFrame(columns=old)).columns)
    assert new == [
        "csf",
        "voxel_wise_std_dvars",
        "std_dvars",
        "t_comp_cor_01",
        "cosine10",
        "rot_z",
        "trans_x",
    ]


def test_names_of_today_stay_as_they_are() -> None:
    table = confounds_table()
    assert list(normal_names(table).columns) == list(table.columns)


def test_the_table_that_was_given_keeps_its_names() -> None:
    table = pd.DataFrame({"RotX": [0.0]})
    normal_names(table)
    assert list(table.columns) == ["RotX"]


def test_rows_unlike_volumes_are_refused_with_both_numbers() -> None:
    with pytest.raises(UnusableTable, match="has 40 rows, but its BOLD run has 42 volumes"):
        table_of_run(confounds_table(40), 42, "confounds.tsv")


def test_a_name_that_stands_twice_is_refused() -> None:
    table = pd.DataFrame([[1.0, 2.0]], columns=["RotX", "rot_x"])
    with pytest.raises(UnusableTable, match="more than one column rot_x"):
        table_of_run(table, 1, "confounds.tsv")


def test_a_table_without_a_header_is_refused() -> None:
    table = pd.DataFrame([[1.0, 2.0]], columns=["0.123", "1.5e-3"])
    with pytest.raises(UnusableTable, match=r"no header: its first line starts with 0\.123"):
        table_of_run(table, 1, "mixing.tsv")


@needs_real_tables
@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("dwi_qsiprep/sub-24683_ses-1_dir-AP_desc-confounds_timeseries.tsv", "diffusion"),
        (
            "retroicor_ds002790/sub-0057_task-emomatching_acq-seq_recording-respcardiac"
            "_desc-retroicor_regressors.tsv",
            "no fMRIPrep confounds table",
        ),
    ],
)
def test_real_table_of_another_program_is_refused(name: str, what: str) -> None:
    with pytest.raises(UnusableTable, match=what):
        refuse_foreign(read_real_table(name)[0], name)


def test_missing_column_is_named_with_those_near_to_it() -> None:
    with pytest.raises(MissingColumn, match=r"column trans_w.*Near to it: .*trans_[xyz]"):
        require(confounds_table(), ["trans_x", "trans_w"], "my list", "confounds.tsv")


def test_missing_columns_are_all_named() -> None:
    with pytest.raises(MissingColumn, match="columns qqq, 123, which my list needs"):
        require(confounds_table(), ["qqq", "123"], "my list", "confounds.tsv")


def test_missing_derivatives_point_to_the_version_that_has_them() -> None:
    with pytest.raises(MissingColumn, match=r"since 1\.4"):
        require(pd.DataFrame({"csf": [1.0]}), ["csf_derivative1"], "wm_csf", "confounds.tsv")


def test_not_available_is_read_as_nan_whether_parsed_or_not() -> None:
    table = pd.DataFrame({"fd": ["n/a", "0.5", " "], "csf": [1, 2, 3]})
    np.testing.assert_array_equal(numbers(table, "fd", "t"), [np.nan, 0.5, np.nan])
    assert numbers(table, "csf", "t").dtype == np.float64


@pytest.mark.parametrize("value", ["yes", "inf"])
def test_value_that_is_no_number_is_refused_with_column_and_row(value: str) -> None:
    with pytest.raises(UnusableTable, match=f"has '{value}' in column fd, row 2"):
        numbers(pd.DataFrame({"fd": ["1.0", value]}), "fd", "confounds.tsv")
