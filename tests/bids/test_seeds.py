"""Tables of seeds as they are found, and what is refused of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from bidsmask.bids.seeds import read_seeds
from bidsmask.errors import UnusableTable
from tests.make_images import SHARED

ATLASES = SHARED / "atlases"
needs_atlases = pytest.mark.skipif(not ATLASES.exists(), reason="needs the atlases beside the code")


def table(folder: Path, text: str, name: str = "seeds.tsv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_seeds_come_by_ascending_index_whatever_the_rows(tmp_path):
    seeds = read_seeds(
        table(tmp_path, "z\tX\ty\tRadius\tid\tname\n3\t1\t2\t5\t7\tb\n6\t4\t5\t8\t-2\tn/a\n")
    )
    assert seeds.indices == (-2, 7)
    assert seeds.centres_mm == ((4.0, 5.0, 6.0), (1.0, 2.0, 3.0))
    assert seeds.radii_mm == (8.0, 5.0)
    assert seeds.names == {7: "b"}


def test_without_an_index_rows_are_counted_from_1(tmp_path):
    seeds = read_seeds(table(tmp_path, "x,y,z\n1,2,3\n-4.5,5,6\n", "seeds.csv"))
    assert seeds.indices == (1, 2)
    assert (seeds.names, seeds.radii_mm) == ({}, None)
    assert seeds.centres_mm[1] == (-4.5, 5.0, 6.0)


@needs_atlases
def test_seeds_as_they_are_found_are_read():
    power = read_seeds(ATLASES / "power264/power_2011.csv")
    assert (len(power.indices), power.centres_mm[0]) == (264, (-25.0, -98.0, -12.0))
    dosenbach = read_seeds(ATLASES / "dosenbach160/dosenbach_2010.csv")
    assert (len(dosenbach.indices), dosenbach.names[1]) == (160, "vmPFC")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("x\ty\n1\t2\n", "no column 'z', only x, y"),
        ("x\ty\tz\n", "holds no seed"),
        ("x\ty\tz\n1\t2\tinf\n", "'inf' in line 2, column 'z'. Coordinates and radii are numbers"),
        ("x\ty\tz\tradius\n1\t2\t3\tn/a\n", "'n/a' in line 2, column 'radius'"),
        (
            "x\ty\tz\tradius\n1\t2\t3\t-1\n",
            "radius of -1 in line 2. Coordinates and radii are numbers in mm, a radius 0",
        ),
        ("x\ty\tz\tindex\n1\t2\t3\tone\n", "'one' in line 2, column 'index'. An index is"),
        ("x\ty\tz\tindex\n1\t2\t3\t1.5\n", "index 1.5 in line 2"),
        ("x\ty\tz\tindex\n1\t2\t3\t2\n1\t2\t3\t2\n", "index 2 again in line 3"),
        ("x\ty\tz\n1\t2\n", "line 2"),
        ("", "is empty"),
    ],
)
def test_what_is_no_table_of_seeds_is_refused(tmp_path, text, told):
    with pytest.raises(UnusableTable, match=told):
        read_seeds(table(tmp_path, text))
