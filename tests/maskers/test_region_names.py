"""Names of regions: by order, by index, too few, too many, doubled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bidsmask.errors import UnusableTable, WrongType
from bidsmask.maskers.region_names import region_table

VALUES = np.array([-2, 0, 3, 8])


def names(labels: Any = None, lut: Any = None, background: float = 0) -> list[str]:
    return list(region_table(VALUES, background, labels, lut)["name"])


def test_without_names_regions_are_called_by_their_values() -> None:
    assert names() == ["-2", "Background", "3", "8"]
    assert names(background=7) == ["-2", "0", "3", "8"]


@pytest.mark.parametrize("first", [[], ["Background"], ["background"]])
def test_names_stand_in_the_order_of_the_labels(first: list[str]) -> None:
    assert names([*first, "a", "b", "c"]) == ["a", "Background", "b", "c"]


def test_too_few_names_leave_regions_unknown() -> None:
    with pytest.warns(UserWarning, match=r"Too many indices for the names\. 1 names for 3"):
        assert names(["a"]) == ["a", "Background", "unknown", "unknown"]


def test_too_many_names_are_dropped() -> None:
    with pytest.warns(UserWarning, match=r"Too many names for the indices\..* 5 names for 3"):
        assert names(list("abcde")) == ["a", "Background", "b", "c"]


@pytest.mark.parametrize("suffix", [None, ".csv", ".tsv"])
def test_a_table_names_by_index_whatever_its_order(tmp_path: Path, suffix: str | None) -> None:
    lut: Any = pd.DataFrame(
        {
            "name": ["c", "x", "nothing", "a", "b"],
            "index": [8, 11, 0, -2, 3],
            "color": list("12345"),
        }
    )
    if suffix:
        path = tmp_path / f"names{suffix}"
        lut.to_csv(path, sep="\t" if suffix == ".tsv" else ",", index=False)
        lut = path
    table = region_table(VALUES, 0, None, lut)
    assert list(table["name"]) == ["a", "Background", "b", "c"]
    assert list(table["index"]) == VALUES.tolist()
    assert list(table["color"].astype(str)) == ["4", "3", "5", "1"]


def test_regions_that_a_table_lacks_are_unknown() -> None:
    with pytest.warns(UserWarning, match="does not name index -2, 8"):
        found = names(lut=pd.DataFrame({"index": [3], "name": ["b"]}))
    assert found == ["unknown", "Background", "b", "unknown"]


def test_an_index_named_twice_is_refused() -> None:
    lut = pd.DataFrame({"index": [3, -2, 8, 3], "name": list("abcd")})
    with pytest.raises(UnusableTable, match="lut names index 3 twice"):
        names(lut=lut)


def test_a_table_without_the_columns_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnusableTable, match="has the columns id, name"):
        names(lut=pd.DataFrame({"id": [3], "name": ["b"]}))
    with pytest.raises(UnusableTable, match="cannot be read as a table"):
        names(lut=tmp_path / "absent.csv")


def test_names_are_a_list_of_text() -> None:
    with pytest.raises(WrongType, match="'labels' must be a list, but is a str"):
        names("abc")
    with pytest.raises(WrongType, match="'labels' must hold text alone, but holds 1"):
        names([1, 2, 3])
