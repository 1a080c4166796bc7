import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bidsmask.cleaning.columns import ColumnChoice
from bidsmask.cleaning.compcor import Compcor
from bidsmask.cleaning.confounds import Regressors, select_regressors
from bidsmask.cleaning.strategies import STRATEGIES, ConfoundsStrategy
from bidsmask.cleaning.table import OtherTable
from bidsmask.cleaning.tedana import METRICS, MIXING
from bidsmask.errors import MissingColumn, MissingCompanion, UnusableTable, UsageError
from tests.make_cleaning import (
    COMPCOR_SIDECAR,
    REAL_TABLES,
    confounds_table,
    needs_real_tables,
    read_real_table,
)


def select(
    strategy: ConfoundsStrategy | str,
    table: pd.DataFrame | None = None,
    metadata: dict[str, object] | None = None,
    **options: str,
) -> Regressors:
    chosen = STRATEGIES[strategy] if isinstance(strategy, str) else strategy
    table = confounds_table() if table is None else table
    sidecar = COMPCOR_SIDECAR if metadata is None else metadata
    return select_regressors(chosen, table, sidecar, len(table), "t.tsv", **options)  # type: ignore[arg-type]


def asked(*columns: str) -> tuple[ColumnChoice, ...]:
    return (ColumnChoice(columns, "--confounds-columns"),)


@pytest.mark.parametrize(
    ("strategy", "n_columns"),
    [
        ("none", 0),
        ("simple", 24 + 2 + 2),
        ("scrubbing", 24 + 8 + 2),
        ("24P", 24),
        ("27P", 27),
        ("36P", 36),
        ("acompcor", 24 + 2 + 2),
        ("tcompcor", 24 + 2 + 3),
    ],
)
def test_strategy_has_its_number_of_columns(strategy: str, n_columns: int) -> None:
    chosen = select(strategy)
    assert chosen.values.shape == (40, n_columns)
    assert len(chosen.names) == n_columns


@pytest.mark.parametrize("strategy", ["24P", "27P", "36P"])
def test_parameter_strategies_leave_the_cosines_to_the_filter(strategy: str) -> None:
    assert not any("cosine" in name for name in select(strategy).names)


def test_columns_are_sorted_by_name_and_hold_the_tables_values() -> None:
    table = confounds_table()
    chosen = select("36P", table)
    assert list(chosen.names) == sorted(chosen.names)
    np.testing.assert_array_equal(chosen.values[1:], table[list(chosen.names)].to_numpy()[1:])


def test_order_of_columns_in_the_table_does_not_matter() -> None:
    table = confounds_table()
    turned = select("simple", table[table.columns[::-1]])
    np.testing.assert_array_equal(turned.values, select("simple", table).values)


def test_global_signal_joins_any_strategy() -> None:
    with_global = replace(STRATEGIES["simple"], global_signal="power2")
    extra = set(select(with_global).names) - set(select("simple").names)
    assert extra == {"global_signal", "global_signal_power2"}


def test_strategy_none_needs_no_table() -> None:
    chosen = select_regressors(STRATEGIES["none"], None, {}, 7, "run")
    assert chosen.values.shape == (7, 0)


def test_run_without_cosine_columns_is_cleaned_without_them() -> None:
    table = confounds_table().drop(columns=["cosine00", "cosine01"])
    assert len(select("simple", table).names) == 26


def test_missing_table_is_an_error_that_names_the_strategy() -> None:
    with pytest.raises(MissingCompanion, match="strategy simple"):
        select_regressors(STRATEGIES["simple"], None, {}, 7, "sub-01_bold.nii.gz")


def test_one_missing_csf_is_named() -> None:
    with pytest.raises(MissingColumn, match="lacks the column csf, which wm_csf basic needs"):
        select("simple", confounds_table().drop(columns="csf"))


# --- n/a ------------------------------------------------------------------------------------


def test_first_row_of_a_derivative_is_zero() -> None:
    chosen = select("24P")
    first = dict(zip(chosen.names, chosen.values[0], strict=True))
    assert first["trans_x_derivative1"] == first["rot_z_derivative1_power2"] == 0


def test_first_row_of_a_derivative_is_the_second_on_nilearns_terms() -> None:
    chosen = select("24P", first_derivative="nilearn")
    column = chosen.values[:, chosen.names.index("trans_x_derivative1")]
    assert column[0] == column[1] != 0


def test_first_row_of_dvars_is_the_second_row() -> None:
    chosen = select(ConfoundsStrategy("mine", columns=asked("std_dvars", "framewise_displacement")))
    assert chosen.values[0, 0] == 0
    assert chosen.values[0, 1] == chosen.values[1, 1] != 0


def test_not_available_elsewhere_is_refused_with_column_and_row() -> None:
    table = confounds_table()
    table.loc[5:6, "csf"] = np.nan
    with pytest.raises(UnusableTable, match=r"n/a in column csf, row 6 \(2 in all\)"):
        select("simple", table)


def test_not_available_in_the_first_row_of_a_level_is_refused() -> None:
    table = confounds_table()
    table.loc[0, "trans_x"] = np.nan
    with pytest.raises(UnusableTable, match="column trans_x, row 1"):
        select("24P", table)


def test_not_available_in_a_column_that_nobody_uses_is_no_matter() -> None:
    table = confounds_table()
    table.loc[5, "csf"] = np.nan
    assert len(select("24P", table).names) == 24


# --- Columns by name ------------------------------------------------------------------------


def test_columns_are_chosen_by_name_and_pattern() -> None:
    chosen = select(ConfoundsStrategy("mine", columns=asked("csf", "rot_?", "csf")))
    assert chosen.names == ("csf", "rot_x", "rot_y", "rot_z")


def test_columns_join_a_strategy() -> None:
    chosen = select(replace(STRATEGIES["24P"], columns=asked("dvars", "trans_x")))
    assert len(chosen.names) == 25


def test_unknown_column_is_named_with_those_near_to_it() -> None:
    with pytest.raises(MissingColumn, match=r"white_mater.*Near to it: white_matter"):
        select(ConfoundsStrategy("mine", columns=asked("white_mater")))


def test_pattern_without_a_match_is_named() -> None:
    with pytest.raises(MissingColumn, match=r"no column that matches rol_\*"):
        select(ConfoundsStrategy("mine", columns=asked("rol_*")))


def test_columns_may_come_from_a_table_of_another_program() -> None:
    table = pd.DataFrame({"resp_cos_00": [1.0, 2.0], "hrv": [0.0, 1.0]})
    chosen = select(ConfoundsStrategy("mine", columns=asked("resp_*")), table)
    assert chosen.names == ("resp_cos_00",)


def test_strategy_on_a_table_of_another_program_says_so() -> None:
    table = pd.DataFrame({"resp_cos_00": [1.0, 2.0], "hrv": [0.0, 1.0]})
    with pytest.raises(UnusableTable, match="no fMRIPrep confounds table"):
        select("simple", table)


# --- CompCor --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n_compcor", "n_components"),
    [(0.5, 2), (0.2, 1), (0.55, 3), (1.0, 3), (2, 2), (9, 3), ("all", 3)],
)
def test_compcor_takes_as_many_components_as_asked(
    n_compcor: int | float | str, n_components: int
) -> None:
    strategy = replace(STRATEGIES["acompcor"], motion="none", n_compcor=n_compcor)  # type: ignore[arg-type]
    names = [name for name in select(strategy).names if "comp_cor" in name]
    assert names == [f"a_comp_cor_{i:02d}" for i in range(n_components)]


def test_compcor_takes_only_the_combined_mask() -> None:
    sidecar = COMPCOR_SIDECAR | {"a_comp_cor_00": {"Mask": "WM"}}
    assert "a_comp_cor_00" not in select("acompcor", metadata=sidecar).names


SEPARATE = {
    **COMPCOR_SIDECAR,
    **{f"a_comp_cor_0{i}": {"Mask": mask} for i, mask in ((3, "WM"), (4, "WM"), (5, "CSF"))},
    **{f"{letter}_comp_cor_0{i}": {} for letter in "twc" for i in range(3)},
    "dropped_0": {"Mask": "WM"},
}


@pytest.mark.parametrize(
    ("kind", "components"),
    [
        ("anat_combined", "a0"),
        ("anat_separated", "a3 a5 c0 w0"),
        ("temporal", "t0"),
        ("temporal_anat_combined", "a0 t0"),
        ("temporal_anat_separated", "a3 a5 c0 t0 w0"),
    ],
)
def test_compcor_takes_the_first_components_of_each_mask(kind: Compcor, components: str) -> None:
    table = confounds_table().assign(**dict.fromkeys(SEPARATE, 1.0))
    strategy = ConfoundsStrategy("mine", high_pass=True, compcor=kind, n_compcor=1)
    names = [name for name in select(strategy, table, SEPARATE).names if "comp_cor" in name]
    assert names == [f"{one[0]}_comp_cor_0{one[1]}" for one in components.split()]


def test_compcor_components_are_counted_by_number_not_by_text() -> None:
    sidecar: dict[str, object] = {f"a_comp_cor_{i}": {"Mask": "combined"} for i in (99, 100, 101)}
    table = confounds_table()
    for name in sidecar:
        table[name] = 1.0
    strategy = replace(STRATEGIES["acompcor"], n_compcor=1)
    names = select(strategy, table, sidecar).names
    assert [name for name in names if "comp_cor" in name] == ["a_comp_cor_99"]


def test_compcor_without_sidecar_is_an_error() -> None:
    with pytest.raises(MissingCompanion, match="sidecar"):
        select("acompcor", metadata={})


def test_share_of_variance_needs_the_shares() -> None:
    sidecar: dict[str, object] = {"a_comp_cor_00": {"Mask": "combined"}}
    with pytest.raises(UnusableTable, match="CumulativeVarianceExplained of a_comp_cor_00"):
        select("acompcor", metadata=sidecar)


def test_compcor_component_of_the_sidecar_missing_in_the_table_is_named() -> None:
    with pytest.raises(MissingColumn, match="a_comp_cor_01"):
        select("acompcor", confounds_table().drop(columns="a_comp_cor_01"))


def test_compcor_without_cosines_is_refused() -> None:
    with pytest.raises(UsageError, match="CompCor without the cosine columns"):
        ConfoundsStrategy("mine", compcor="anat_combined")


@pytest.mark.parametrize("n_compcor", [0, -1, 1.5, 0.0])
def test_impossible_number_of_components_is_refused(n_compcor: float) -> None:
    with pytest.raises(UsageError, match="n_compcor is"):
        ConfoundsStrategy("mine", n_compcor=n_compcor)


# --- ICA-AROMA and tedana -------------------------------------------------------------------


def test_aroma_takes_its_columns_where_the_series_is_not_denoised() -> None:
    table = confounds_table().assign(aroma_motion_01=1.0, aroma_motion_17=2.0)
    names = set(select(replace(STRATEGIES["aroma"], aroma="basic"), table).names)
    assert names == {"aroma_motion_01", "aroma_motion_17", "csf", "white_matter"} | {
        "cosine00",
        "cosine01",
    }


def test_aroma_needs_no_columns_of_its_own_for_the_denoised_series() -> None:
    assert set(select("aroma").names) == {"csf", "white_matter", "cosine00", "cosine01"}


def test_aroma_without_columns_says_who_writes_them() -> None:
    with pytest.raises(MissingColumn, match=r"no column of ICA-AROMA.*fMRIPost-AROMA"):
        select(replace(STRATEGIES["aroma"], aroma="basic"))


def tedana(classes: str, n_volumes: int = 4, digits: int = 2) -> dict[str, OtherTable]:
    """Return tables of components: `r` rejected, `a` accepted, `i` ignored."""
    words = {"r": "rejected", "a": "accepted", "i": "ignored"}
    names = [f"ICA_{i:0{digits}d}" for i in range(len(classes))]
    mixing = pd.DataFrame({f"ICA_{i:02d}": np.arange(n_volumes) == i for i in range(len(classes))})
    metrics = pd.DataFrame({"Component": names, "classification": [words[c] for c in classes]})
    return {
        MIXING: OtherTable(Path("x_desc-ICA_mixing.tsv"), mixing.astype(float)),
        METRICS: OtherTable(Path("x_desc-tedana_metrics.tsv"), metrics),
    }


@pytest.mark.parametrize("digits", [1, 2])
def test_tedana_takes_what_it_rejected_and_needs_no_other_table(digits: int) -> None:
    tables = tedana("arir", digits=digits)
    chosen = select_regressors(STRATEGIES["tedana"], None, {}, 4, "run", tables)
    assert chosen.names == ("rejected_ICA_01", "rejected_ICA_03")
    np.testing.assert_array_equal(chosen.values, np.eye(4)[:, [1, 3]])


def test_tedana_that_rejected_nothing_takes_nothing() -> None:
    chosen = select_regressors(STRATEGIES["tedana"], None, {}, 4, "run", tedana("aai"))
    assert chosen.values.shape == (4, 0)


def test_tedana_of_another_run_is_refused() -> None:
    with pytest.raises(UnusableTable, match=r"x_desc-ICA_mixing.tsv has 4 rows, .* 5 volumes"):
        select_regressors(STRATEGIES["tedana"], None, {}, 5, "run", tedana("ar"))


def test_metrics_without_a_classification_are_named() -> None:
    tables = tedana("ar")
    del tables[METRICS].table["classification"]
    with pytest.raises(MissingColumn, match=r"metrics\.tsv lacks the column classification"):
        select_regressors(STRATEGIES["tedana"], None, {}, 4, "run", tables)


def test_mixing_matrix_without_components_is_refused() -> None:
    tables = tedana("ar")
    tables[MIXING].table.columns = ["one", "two"]
    with pytest.raises(UnusableTable, match="holds no component ICA_…: its columns are one, two"):
        select_regressors(STRATEGIES["tedana"], None, {}, 4, "run", tables)


# --- Tables from before fMRIPrep 1.2, which nilearn refuses ---------------------------------

CAMEL_CASE = [
    "v0.x-1.0_ciftify/sub-50005_task-rest_bold_confounds.tsv",
    "v1.1.4_ds001734/sub-030_task-MGT_run-03_bold_confounds.tsv",
    "v1.1_ds001499/sub-CSI3_ses-14_task-localizer_bold_confounds.tsv",
    "v1.1_neu502b/sub-01_task-visualcontrol_desc-confounds_regressors.tsv",
]


@needs_real_tables
@pytest.mark.parametrize("name", CAMEL_CASE)
def test_camel_case_table_gives_its_columns_under_todays_names(name: str) -> None:
    with (REAL_TABLES / name).open() as handle:
        rows = list(csv.DictReader(handle, delimiter="\t"))
    old = {
        "trans_x": "X",
        "trans_y": "Y",
        "trans_z": "Z",
        "rot_x": "RotX",
        "rot_y": "RotY",
        "rot_z": "RotZ",
        "global_signal": "GlobalSignal",
    }
    old |= {key.lower(): key for key in rows[0] if key.startswith("Cosine")}
    strategy = ConfoundsStrategy("mine", motion="basic", global_signal="basic", high_pass=True)
    chosen = select(strategy, read_real_table(name)[0])
    assert sorted(old) == list(chosen.names)
    expected = [[float(row[old[key]]) for key in chosen.names] for row in rows]
    np.testing.assert_array_equal(chosen.values, expected)


@needs_real_tables
@pytest.mark.parametrize("name", CAMEL_CASE)
def test_camel_case_table_has_no_derivatives(name: str) -> None:
    with pytest.raises(MissingColumn, match="trans_x_derivative1"):
        select("24P", read_real_table(name)[0])
