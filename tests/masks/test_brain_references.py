"""The brain of real heads: right, the same however the image is stored, and never sure of a
head that is turned, halved or none."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from benchmarks.masks import Reference, read, read_prior, read_references, score
from bidsmask.images.grid import Grid
from bidsmask.masks.brain import BrainMask, brain_mask
from bidsmask.masks.brain_prior import Prior
from bidsmask.masks.head import Head
from tests.make_heads import dice

DATA = Path(__file__).parents[3] / "shared" / "data"
REFERENCES = read_references(DATA) if (DATA / "references").exists() else []
TRUSTED = [one for one in REFERENCES if one.trust == "trusted"]
LOWEST = {"T1w": 0.96, "EPI": 0.955, "T2w": 0.955}
HEADS = {
    "T1w": "fstraining-07_T1w",
    "T2w": "MNI152NLin2009cAsym_res-02_T2w",
    "EPI": "sub-02_desc-coreg_boldref",
}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not REFERENCES, reason="needs real heads in ../shared/data"),
]

Change = Callable[[np.ndarray, Grid], tuple[np.ndarray, Grid]]


@pytest.mark.parametrize("reference", TRUSTED, ids=lambda one: one.name)
def test_the_mask_of_a_real_head_agrees_with_a_trusted_one(reference):
    assert score(DATA, reference, "brain").dice >= LOWEST[reference.contrast]


@cache
def reference(contrast: str) -> Reference:
    return next(one for one in REFERENCES if one.name == HEADS[contrast])


@cache
def head(contrast: str) -> tuple[np.ndarray, Grid]:
    return read(reference(contrast).image)


@cache
def prior(contrast: str) -> Prior:
    return read_prior(DATA, reference(contrast).template, contrast)


def mask(contrast: str, values: np.ndarray, grid: Grid) -> BrainMask:
    return brain_mask(values, grid, prior(contrast), contrast)


@cache
def unchanged(contrast: str) -> Head:
    values, grid = head(contrast)
    return Head(mask(contrast, values, grid).voxels.astype(np.float32), grid)


def turned(degrees: float, axis: int, about: np.ndarray) -> np.ndarray:
    """Return the (4, 4) map that turns about a point."""
    first, second = [(1, 2), (2, 0), (0, 1)][axis]
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn, to, back = np.eye(4), np.eye(4), np.eye(4)
    turn[first, first] = turn[second, second] = cosine
    turn[first, second], turn[second, first] = -sine, sine
    to[:3, 3], back[:3, 3] = about, -about
    return to @ turn @ back


def middle(values: np.ndarray, grid: Grid) -> np.ndarray:
    return grid.to_mm(np.argwhere(values > np.percentile(values, 60))).mean(axis=0)


def in_mm(grid: Grid, axis: int) -> np.ndarray:
    """Return one coordinate in mm of every voxel, (i, j, k)."""
    return grid.to_mm(np.indices(grid.shape).reshape(3, -1).T)[:, axis].reshape(grid.shape)


def header(matrix: Callable[[np.ndarray], np.ndarray]) -> Change:
    """Return a change of the header alone."""
    return lambda values, grid: (
        values,
        Grid(grid.shape, matrix(middle(values, grid)) @ grid.affine),
    )


def resampled(voxel_mm: float) -> Change:
    def change(values: np.ndarray, grid: Grid) -> tuple[np.ndarray, Grid]:
        other = Head(values.astype(np.float32), grid).at(voxel_mm)
        return other.values, other.grid

    return change


def cut(axis: int, share: float, *, above: bool) -> Change:
    """Return a change that empties what lies beyond a share of the head's extent."""

    def change(values: np.ndarray, grid: Grid) -> tuple[np.ndarray, Grid]:
        mm = in_mm(grid, axis)
        low, high = np.percentile(mm[values > np.percentile(values, 60)], [0.5, 99.5])
        limit = low + share * (high - low)
        return np.where((mm > limit) == above, 0, values), grid

    return change


def shaded(values: np.ndarray, grid: Grid) -> tuple[np.ndarray, Grid]:
    x, y = (in_mm(grid, axis) - middle(values, grid)[axis] for axis in (0, 1))
    return values * np.exp(0.35 * y / 80 + 0.25 * x / 80), grid


def noisy(values: np.ndarray, grid: Grid) -> tuple[np.ndarray, Grid]:
    noise = np.random.default_rng(0).standard_normal(values.shape)
    return np.abs(values + 0.05 * np.percentile(values, 98) * noise), grid


def stored_flipped(values: np.ndarray, grid: Grid) -> tuple[np.ndarray, Grid]:
    flip = np.diag([-1.0, 1, 1, 1])
    flip[0, 3] = values.shape[0] - 1
    return values[::-1], Grid(grid.shape, grid.affine @ flip)


def shift(about: np.ndarray) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, 3] = 60, -60, 60
    return matrix


CHANGES: dict[str, Change] = {
    "mirrored": header(lambda about: np.diag([-1.0, 1, 1, 1])),
    "stored flipped": stored_flipped,
    "oblique": header(lambda about: turned(12, 0, about) @ turned(10, 2, about)),
    "shifted by 60 mm": header(shift),
    "4 mm": resampled(4),
    "1 mm": resampled(1),
    "without its neck": cut(2, 0.15, above=False),
    "cut at the top": cut(2, 0.88, above=True),
    "shaded": shaded,
    "noisy": noisy,
}
IN_PLACE = {"stored flipped", "4 mm", "1 mm", "without its neck", "cut at the top"}


@pytest.mark.parametrize("contrast", HEADS)
@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_image_of_a_head_gives_the_same_mask(change, contrast):
    values, grid = CHANGES[change](*head(contrast))
    before = unchanged(contrast)
    expected = before.on(grid) > 0.5 if change in IN_PLACE else before.values > 0.5
    shown = values > 0 if "cut" in change or "without" in change else np.ones(grid.shape, bool)
    found = mask(contrast, values, grid)
    assert dice(found.voxels & shown, expected & shown) >= 0.97
    assert found.sure


FAULTS: dict[str, Change] = {
    "upside down": header(lambda about: turned(180, 0, about)),
    "on its side": header(lambda about: turned(90, 1, about)),
    "yawed by 90 degrees": header(lambda about: turned(90, 2, about)),
    "back to front": header(lambda about: turned(180, 2, about)),
    "right half": cut(0, 0.5, above=False),
    "back half": cut(1, 0.5, above=True),
    "lower half": cut(2, 0.5, above=True),
    "noise": lambda values, grid: (np.random.default_rng(0).random(values.shape), grid),
}


@pytest.mark.parametrize("contrast", HEADS)
@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_no_upright_whole_head_is_not_believed(fault, contrast):
    assert not mask(contrast, *FAULTS[fault](*head(contrast))).sure
