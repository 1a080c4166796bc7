"""The registry: one contract for every strategy that computes, and its arguments as words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from bidsmask.errors import UnusableImage, UnusableMask, UsageError
from bidsmask.images.grid import Grid
from bidsmask.masks.mask import Mask
from bidsmask.masks.strategies import STRATEGIES, compute_mask, parse_arguments, read_mask
from tests.make_heads import head_grid, head_image, head_prior, true_brain
from tests.make_images import AFFINE, head_volumes, write_image

COMPUTED = [name for name, strategy in STRATEGIES.items() if strategy.compute is not None]
Usual = Callable[[str], Mask]
READ = [name for name in STRATEGIES if name not in COMPUTED]
NOISY = head_volumes().mean(axis=-1)
HEAD = np.where(NOISY > 600, NOISY, 0)
GRID = Grid(HEAD.shape, AFFINE)


@dataclass(frozen=True)
class Easy:
    """An image in which a strategy should find the brain, whose surroundings are 0."""

    mean: np.ndarray
    grid: Grid
    truth: np.ndarray


@cache
def easy(name: str) -> Easy:
    """Return the easy image of a strategy: a block, or a head where a head is looked for."""
    if STRATEGIES[name].takes_prior:
        head = head_image("EPI", 0.93)
        return Easy(np.where(head > 60, head, 0), head_grid(), true_brain(0.93))
    return Easy(HEAD, GRID, HEAD > 0)


def compute(name: str, mean: np.ndarray, where: str | Path = "sub-01_bold.nii.gz") -> Mask:
    """Compute a mask from an image on the grid of the easy one."""
    prior = head_prior("EPI") if STRATEGIES[name].takes_prior else None
    return compute_mask(name, mean, easy(name).grid, {}, where, prior)


def make(name: str, folder: Path, mean: np.ndarray | None = None) -> Mask:
    """Make a mask by any strategy: of the image, or from a file that holds a mask or template."""
    if name in COMPUTED:
        return compute(name, easy(name).mean if mean is None else mean, folder / "bold.nii.gz")
    path = write_image(folder / "mask.nii.gz", (HEAD > 0).astype(np.uint8))
    return read_mask(name, path, GRID, STRATEGIES[name].arguments)


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Usual:
    """Return the mask of a strategy's easy image, made once."""
    return cache(lambda name: make(name, tmp_path_factory.mktemp(name, numbered=False)))


# ------------------------------------------------------- the contract of every strategy


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_mask_is_on_the_images_grid_and_says_what_made_it(name: str, usual: Usual) -> None:
    mask = usual(name)
    assert mask.voxels.dtype == bool
    assert mask.grid.is_same(easy(name).grid)
    assert 0 < mask.n_voxels < mask.grid.n_voxels
    assert mask.strategy == name
    assert mask.source is not None
    assert mask.source.parent.name == name
    assert mask.arguments == STRATEGIES[name].arguments


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_mask_finds_the_head_of_an_easy_image(name: str, usual: Usual) -> None:
    found, truth = usual(name).voxels, easy(name).truth
    assert 2 * (found & truth).sum() / (found.sum() + truth.sum()) > 0.9


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_mask_comes_out_the_same_twice_and_changes_nothing(
    name: str, tmp_path: Path, usual: Usual
) -> None:
    mean = easy(name).mean.copy()
    np.testing.assert_array_equal(make(name, tmp_path, mean).voxels, usual(name).voxels)
    np.testing.assert_array_equal(mean, easy(name).mean)


@pytest.mark.parametrize("name", COMPUTED)
def test_the_order_in_memory_changes_nothing(name: str, usual: Usual) -> None:
    in_fortrans_order = compute(name, np.asfortranarray(easy(name).mean))
    np.testing.assert_array_equal(in_fortrans_order.voxels, usual(name).voxels)


@cache
def of_whole_numbers(name: str, dtype: str) -> np.ndarray:
    """Return the mask of the easy image in few whole numbers of a type."""
    return compute(name, np.round(easy(name).mean / 10).astype(dtype)).voxels


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        (name, dtype)
        for name in COMPUTED
        # Where one mask takes seconds, one type has to do.
        for dtype in ("uint8", "int16", "int64", "float32")[: 1 if name == "brain" else 4]
    ],
)
def test_the_type_of_whole_numbers_changes_nothing(name: str, dtype: str) -> None:
    here, there = of_whole_numbers(name, "float64"), of_whole_numbers(name, dtype)
    np.testing.assert_array_equal(here, there)


@pytest.mark.parametrize("name", COMPUTED)
def test_nan_and_inf_are_background(name: str, usual: Usual) -> None:
    mean = easy(name).mean.copy()
    assert mean[3, 3, 3] == mean[14, 3, 3] == 0
    mean[3, 3, 3], mean[14, 3, 3] = np.nan, np.inf
    np.testing.assert_array_equal(compute(name, mean).voxels, usual(name).voxels)


@pytest.mark.parametrize("name", COMPUTED)
def test_a_complex_image_is_refused(name: str) -> None:
    with pytest.raises(UnusableImage, match=r"bold\.nii\.gz is complex"):
        compute(name, easy(name).mean.astype(complex))


@pytest.mark.parametrize("name", READ)
def test_a_mask_of_a_file_without_a_voxel_is_refused(name: str, tmp_path: Path) -> None:
    path = write_image(tmp_path / "mask.nii.gz", np.zeros(GRID.shape, np.uint8))
    with pytest.raises((UnusableImage, UnusableMask), match=r"mask\.nii\.gz is"):
        read_mask(name, path, GRID, STRATEGIES[name].arguments)


@pytest.mark.parametrize("name", COMPUTED)
@pytest.mark.parametrize("shape", [(18, 20), (18, 20, 16, 2), (18, 20, 15)])
def test_an_array_that_is_not_on_the_grid_is_refused(name: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(UnusableImage, match="sub-01_bold"):
        compute(name, np.ones(shape))


@pytest.mark.parametrize("name", COMPUTED)
@pytest.mark.parametrize("value", [0.0, 5.0, np.nan])
def test_a_constant_image_is_refused(name: str, value: float) -> None:
    with pytest.raises(UnusableImage, match="sub-01_bold"):
        compute(name, np.full(easy(name).grid.shape, value))


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
    from_templates = {name for name, strategy in STRATEGIES.items() if strategy.tissue}
    assert from_templates == {"whole-brain-template", "gm-template", "wm-template"}
    assert {"derivative", "file"} | from_templates == set(READ)


@pytest.mark.parametrize("name", READ)
def test_a_mask_from_a_file_is_not_computed(name: str) -> None:
    with pytest.raises(UsageError, match="read from a file"):
        compute_mask(name, HEAD, GRID, {}, "a")


def test_a_prior_is_taken_by_whom_needs_it() -> None:
    with pytest.raises(UsageError, match="mask strategy brain needs a prior"):
        compute_mask("brain", HEAD, GRID, {}, "a")
    with pytest.raises(UsageError, match="mask strategy epi takes no prior"):
        compute_mask("epi", HEAD, GRID, {}, "a", head_prior("EPI"))


def test_only_a_strategy_that_can_tell_says_how_sure_it_is(usual: Usual) -> None:
    told = {name for name in STRATEGIES if usual(name).confidence is not None}
    assert told == {"brain"}
    assert usual("brain").doubts == ()


def test_nothing_left_after_the_opening_is_an_empty_mask() -> None:
    with pytest.raises(UnusableMask, match="is an empty mask"):
        compute_mask("epi", NOISY, GRID, {"opening": 30}, Path("bold.nii.gz"))


def test_an_unknown_strategy_names_the_known_ones() -> None:
    with pytest.raises(UsageError) as caught:
        compute_mask("bet", HEAD, GRID, {}, "a")
    assert "derivative, background, epi" in caught.value.advice


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
        ("background", "border_size=0", "cannot look at a border of 0 voxels"),
        ("background", "opening=-1", "cannot open -1 times"),
        ("otsu", "threshold=5", r"\(5.0,\), which is no lowest and highest"),
        ("otsu", "threshold=9,5", "which is no lowest and highest"),
        ("otsu", "threshold=low,high", "a list of numbers with commas"),
        ("otsu", "closing_radius=-1", "cannot close by -1 voxels"),
        ("automask", "clfrac=1.5", "has clfrac=1.5. Give 0.1 to 0.9"),
        ("automask", "peels=0", "has peels=0. Give 1 to"),
        ("automask", "nbhrs=27", "has nbhrs=27. Give 6 to 26"),
        ("automask", "nn=4", "has nn=4. Give 1 to 3"),
        ("brain", "contrast=PD", "has contrast=PD. Give T1w, T2w, EPI"),
        ("gm-template", "opening=-1", "cannot open -1 times"),
        ("gm-template", "mask_type=wm", "which is no argument of the gm-template mask"),
        ("file", "opening=1", "which is no argument of the file mask"),
        ("bet", "opening=1", "unknown"),
    ],
)
def test_a_wrong_word_is_refused_and_explained(strategy: str, word: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_arguments(strategy, [word])


@pytest.mark.parametrize("text", ["100,900", "(100, 900)"])
def test_a_range_is_two_numbers(text: str) -> None:
    assert parse_arguments("otsu", [f"threshold={text}"])["threshold"] == (100, 900)


def test_an_unknown_argument_lists_the_known_ones() -> None:
    with pytest.raises(UsageError) as caught:
        parse_arguments("epi", ["radius=3"])
    assert "lower_cutoff, upper_cutoff, connected, opening" in caught.value.advice


def test_an_argument_that_nobody_knows_is_not_ignored() -> None:
    with pytest.raises(UsageError, match="has no argument 'radius'"):
        compute_mask("epi", HEAD, GRID, {"radius": 3}, "a")
