"""The registry: one contract for every strategy that computes, and its arguments as words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bidsmask.errors import UnusableImage, UnusableMask, UsageError
from bidsmask.images.grid import Grid
from bidsmask.masks.strategies import STRATEGIES, compute_mask, parse_arguments
from tests.make_images import AFFINE, head_volumes

COMPUTED = [name for name, strategy in STRATEGIES.items() if strategy.compute is not None]
HEAD = head_volumes().mean(axis=-1)
GRID = Grid(HEAD.shape, AFFINE)

# ------------------------------------------------------- the contract of every strategy


@pytest.mark.parametrize("name", COMPUTED)
def test_a_mask_is_on_the_images_grid_and_says_what_made_it(name: str) -> None:
    where = Path("sub-01_bold.nii.gz")
    mask = compute_mask(name, HEAD, GRID, {}, where)
    assert mask.voxels.dtype == bool
    assert mask.grid.is_same(GRID)
    assert 0 < mask.n_voxels < GRID.n_voxels
    assert (mask.strategy, mask.source) == (name, where)
    assert mask.arguments == STRATEGIES[name].arguments


@pytest.mark.parametrize("name", COMPUTED)
def test_a_mask_comes_out_the_same_twice_and_changes_nothing(name: str) -> None:
    mean = HEAD.copy()
    first = compute_mask(name, mean, GRID, {}, "a")
    second = compute_mask(name, mean, GRID, {}, "a")
    np.testing.assert_array_equal(first.voxels, second.voxels)
    np.testing.assert_array_equal(mean, HEAD)


@pytest.mark.parametrize("name", COMPUTED)
def test_the_order_in_memory_changes_nothing(name: str) -> None:
    here = compute_mask(name, np.ascontiguousarray(HEAD), GRID, {}, "a")
    there = compute_mask(name, np.asfortranarray(HEAD), GRID, {}, "a")
    np.testing.assert_array_equal(here.voxels, there.voxels)


@pytest.mark.parametrize("name", COMPUTED)
@pytest.mark.parametrize("shape", [(18, 20), (18, 20, 16, 2), (18, 20, 15)])
def test_an_array_that_is_not_on_the_grid_is_refused(name: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(UnusableImage, match="sub-01_bold"):
        compute_mask(name, np.ones(shape), GRID, {}, "sub-01_bold.nii.gz")


@pytest.mark.parametrize("name", COMPUTED)
@pytest.mark.parametrize("value", [0.0, 5.0, np.nan])
def test_a_constant_image_is_refused(name: str, value: float) -> None:
    with pytest.raises(UnusableImage, match="sub-01_bold"):
        compute_mask(name, np.full(GRID.shape, value), GRID, {}, "sub-01_bold.nii.gz")


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_strategy_is_registered_under_its_own_name(name: str) -> None:
    assert STRATEGIES[name].name == name
    assert STRATEGIES[name].description


@pytest.mark.parametrize("name", STRATEGIES)
def test_defaults_make_sense_and_parse_back(name: str) -> None:
    words = [f"{key}={value}" for key, value in STRATEGIES[name].arguments.items()]
    assert parse_arguments(name, words) == STRATEGIES[name].arguments


# ------------------------------------------------------------------------ the registry


def test_masks_from_files_are_in_the_registry() -> None:
    assert {"derivative", "file"} == set(STRATEGIES) - set(COMPUTED)


@pytest.mark.parametrize("name", ["derivative", "file"])
def test_a_mask_from_a_file_is_not_computed(name: str) -> None:
    with pytest.raises(UsageError, match="read from a file"):
        compute_mask(name, HEAD, GRID, {}, "a")


def test_nothing_left_after_the_opening_is_an_empty_mask() -> None:
    with pytest.raises(UnusableMask, match="is an empty mask"):
        compute_mask("epi", HEAD, GRID, {"opening": 30}, Path("bold.nii.gz"))


def test_an_unknown_strategy_names_the_known_ones() -> None:
    with pytest.raises(UsageError) as caught:
        compute_mask("bet", HEAD, GRID, {}, "a")
    assert "derivative, epi, file" in caught.value.advice


def test_words_change_arguments() -> None:
    arguments = parse_arguments("epi", ["opening=1", "connected=false", "lower_cutoff=.1"])
    assert arguments["opening"] == 1
    assert arguments["connected"] is False
    assert arguments["lower_cutoff"] == 0.1
    assert arguments["upper_cutoff"] == 0.85


@pytest.mark.parametrize(
    ("strategy", "word", "message"),
    [
        ("epi", "openings=1", "'openings', which is no argument of the epi mask"),
        ("epi", "opening", "not NAME=VALUE"),
        ("epi", "opening=1.5", "a whole number is needed"),
        ("epi", "opening=-1", "cannot open -1 times"),
        ("epi", "connected=1", "true or false is needed"),
        ("epi", "lower_cutoff=low", "a number is needed"),
        ("epi", "lower_cutoff=.9", "cannot look for a threshold between"),
        ("file", "opening=1", "which is no argument of the file mask"),
        ("bet", "opening=1", "unknown"),
    ],
)
def test_a_wrong_word_is_refused_and_explained(strategy: str, word: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_arguments(strategy, [word])


def test_an_unknown_argument_lists_the_known_ones() -> None:
    with pytest.raises(UsageError) as caught:
        parse_arguments("epi", ["radius=3"])
    assert "lower_cutoff, upper_cutoff, connected, opening" in caught.value.advice


def test_an_argument_that_nobody_knows_is_not_ignored() -> None:
    with pytest.raises(UsageError, match="has no argument 'radius'"):
        compute_mask("epi", HEAD, GRID, {"radius": 3}, "a")
