"""Connected parts of labels."""

from __future__ import annotations

import numpy as np
import pytest

from bidsmask.errors import GridMismatch, UnusableImage, UsageError
from bidsmask.regions.labels import connected_label_regions
from tests.make_regions import GRID, SHAPE, parcels


def scattered() -> np.ndarray:
    """Return label 5 in two parts that touch at an edge, and label 2 in one of 8 voxels."""
    labels = np.zeros(SHAPE, np.int32)
    labels[2:4, 2:4, 2:4] = 5
    labels[4:7, 4:7, 2:4] = 5
    labels[20:22, 20:22, 20:22] = 2
    return labels


@pytest.mark.parametrize(("connect_diag", "expected"), [(True, [2, 5]), (False, [2, 5, 5])])
def test_parts_that_touch_at_an_edge_are_one_or_two(connect_diag, expected):
    regions, sources = connected_label_regions(scattered(), GRID, connect_diag=connect_diag)
    assert sources.tolist() == expected
    assert np.unique(regions).tolist() == list(range(len(expected) + 1))


@pytest.mark.parametrize(("least_mm3", "expected"), [(0, [2, 5, 5]), (64, [5]), (1e6, [])])
def test_parts_of_the_least_size_or_smaller_are_left_out(least_mm3, expected):
    regions, sources = connected_label_regions(
        scattered(), GRID, min_size_mm3=least_mm3, connect_diag=False
    )
    assert sources.tolist() == expected
    assert regions.max() == len(expected)


def test_each_region_lies_in_its_label():
    labels = parcels()
    regions, sources = connected_label_regions(labels, GRID)
    np.testing.assert_array_equal(np.append(0, sources)[regions], labels)


def test_high_labels_cost_no_more_than_low_ones():
    labels = scattered() * 400_000_000
    _, sources = connected_label_regions(labels, GRID)
    assert sources.tolist() == [800_000_000, 2_000_000_000]


def test_an_image_of_background_has_no_region():
    regions, sources = connected_label_regions(np.zeros(SHAPE, np.int32), GRID)
    assert (regions.max(), len(sources)) == (0, 0)


def test_what_makes_no_sense_is_refused():
    with pytest.raises(UnusableImage, match="negative label -5"):
        connected_label_regions(-scattered(), GRID)
    with pytest.raises(UsageError, match="min_size is -1"):
        connected_label_regions(scattered(), GRID, min_size_mm3=-1)
    with pytest.raises(GridMismatch, match="the labels have shape"):
        connected_label_regions(scattered()[1:], GRID)
