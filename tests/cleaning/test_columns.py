"""Columns by name, pattern and expression."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bidsmask.cleaning.columns import ColumnChoice, Expression, differences
from bidsmask.cleaning.confounds import select_regressors
from bidsmask.cleaning.strategies import ConfoundsStrategy
from bidsmask.cleaning.table import OtherTable
from bidsmask.errors import MissingColumn, UnusableTable, UsageError
from tests.make_cleaning import REAL_TABLES, confounds_table, needs_real_tables, read_real_table

ASKED = "--confounds-columns"


def values(*columns: str, table: pd.DataFrame | None = None) -> dict[str, np.ndarray]:
    table = confounds_table() if table is None else table
    strategy = ConfoundsStrategy("mine", columns=(ColumnChoice(columns, ASKED),))
    chosen = select_regressors(strategy, table, {}, len(table), "t.tsv")
    return dict(zip(chosen.names, chosen.values.T, strict=True))


@pytest.mark.parametrize(
    ("columns", "names"),
    [
        (["csf"], "csf"),
        (["rot_?"], "rot_x rot_y rot_z"),
        (["trans_[xy]"], "trans_x trans_y"),
        (["/(trans|rot)_x/"], "rot_x trans_x"),
        (["/a_comp_cor_0[01]/", "csf"], "a_comp_cor_00 a_comp_cor_01 csf"),
        (["derivative(csf)"], "csf_derivative1"),
        (["square(derivative(csf))"], "csf_derivative1_power2"),
        (["derivative(square( csf ))"], "csf_power2_derivative1"),
        (["square(/rot_[xz]/)"], "rot_x_power2 rot_z_power2"),
    ],
)
def test_expression_names_its_columns_as_fmriprep_does(columns: list[str], names: str) -> None:
    assert list(values(*columns)) == names.split()


@pytest.mark.parametrize("ending", ["derivative1", "power2", "derivative1_power2"])
def test_made_columns_are_those_of_the_table(ending: str) -> None:
    made = {"derivative1": "derivative({})", "power2": "square({})"}
    made["derivative1_power2"] = "square(derivative({}))"
    table = confounds_table()
    ours = values(made[ending].format("csf"), table=table)[f"csf_{ending}"]
    assert ours[0] == (table["csf"][0] ** 2 if ending == "power2" else 0)
    np.testing.assert_allclose(ours[1:], table[f"csf_{ending}"][1:], rtol=1e-12)


@needs_real_tables
def test_made_columns_are_fmripreps_own() -> None:
    name = next(path for path in REAL_TABLES.glob("v25.0.0_ds007088/*.tsv")).relative_to(
        REAL_TABLES
    )
    table, _ = read_real_table(str(name))
    for parameter in ("trans_x", "rot_z", "csf", "global_signal"):
        ours = values(f"derivative({parameter})", f"square({parameter})", table=table)
        for column, made in ours.items():
            np.testing.assert_allclose(made[1:], table[column][1:], rtol=1e-6, atol=1e-9)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1))
def test_differences_add_up_to_what_there_was(series: list[float]) -> None:
    given_values = np.array(series)
    np.testing.assert_allclose(
        given_values[0] + np.cumsum(differences(given_values)), given_values, atol=1e-6
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "derivate(csf)",
            r"of functions there are derivative\(…\) and square\(…\). Did you mean d",
        ),
        ("exp(csf)", "of functions there are"),
        ("square()", "names no column"),
        ("", "names no column"),
        ("/a_comp_(/", "is no regular expression"),
    ],
)
def test_expression_that_is_none_is_refused_before_any_table(text: str, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        ColumnChoice((text,), ASKED)


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("white_mater", "white_matter"),
        ("derivative(white_mater)", "white_matter"),
        ("white_mater*", "white_matter"),
        (r"/white_mater_\d+/", "white_matter"),
    ],
)
def test_what_matches_nothing_is_named_with_what_is_near(text: str, near: str) -> None:
    with pytest.raises(MissingColumn, match=rf"which {ASKED} needs. Near to it: .*{near}"):
        values(text)


@pytest.mark.parametrize("text", ["zz*", "zz"])
def test_where_nothing_is_near_what_there_is_is_told(text: str) -> None:
    with pytest.raises(MissingColumn, match=r"None is near to it; there are trans_x, .* more\."):
        values(text)


def test_one_column_of_two_tables_is_refused() -> None:
    choices = (ColumnChoice(("csf",), ASKED), ColumnChoice(("csf",), "tables in a.toml", "desc-x"))
    others = {":desc-x": OtherTable(Path("b_desc-x.tsv"), confounds_table())}
    strategy = ConfoundsStrategy("mine", columns=choices)
    with pytest.raises(UnusableTable, match="has a column csf, and so has another table"):
        select_regressors(strategy, confounds_table(), {}, 40, "t.tsv", others)


def test_regular_expression_must_match_the_whole_name() -> None:
    assert Expression.parse("/csf/", ASKED).names_in(confounds_table()) == ["csf"]
