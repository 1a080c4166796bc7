"""compute_automask and compute_head_brain_mask: the masks of the strategies of these names."""

from __future__ import annotations

import warnings
from pathlib import Path

import nibabel
import numpy as np
import pytest

import bidsmask
from bidsmask.errors import BidsmaskError, GridMismatch, UnusableMask, UsageError
from bidsmask.images.grid import Grid
from bidsmask.images.resample import resample_spline
from bidsmask.masks.automask import automask
from bidsmask.masks.brain import brain_mask
from tests.make_heads import dice, head_grid, head_image, head_prior, true_brain
from tests.make_images import write_image


def image_of(values: np.ndarray) -> nibabel.Nifti1Image:
    return nibabel.Nifti1Image(values, head_grid().affine)


HEAD = head_image("EPI").astype(np.float32)


def test_the_automask_is_that_of_the_strategy_over_the_mean_magnitude(tmp_path: Path) -> None:
    series = np.stack([HEAD, -HEAD, 1.5 * HEAD], axis=3)
    expected = automask(HEAD * np.float32(3.5 / 3), head_grid(), clfrac=0.4, erode=1)
    path = write_image(tmp_path / "bold.nii.gz", series, affine=head_grid().affine)
    for given in (path, image_of(series), [image_of(series[..., n]) for n in range(3)]):
        found = bidsmask.compute_automask(given, clfrac=0.4, erode=1)
        assert np.array_equal(np.asarray(found.dataobj) != 0, expected)
        assert found.get_data_dtype() == np.uint8


def test_an_automask_on_another_grid_is_that_of_the_image_moved_there() -> None:
    affine = head_grid().affine @ np.diag([1.5, 1.5, 1.5, 1])
    found = bidsmask.compute_automask(
        image_of(HEAD), target_affine=affine, target_shape=(33, 38, 33)
    )
    grid = Grid((33, 38, 33), affine)
    expected = automask(resample_spline(HEAD, head_grid(), grid), grid)
    assert np.array_equal(np.asarray(found.dataobj) != 0, expected)
    assert np.array_equal(found.affine, affine)


@pytest.mark.parametrize("contrast", [pytest.param("T1w", marks=pytest.mark.slow), "EPI"])
def test_the_brain_of_a_head_is_that_of_the_strategy(contrast: str) -> None:
    head = head_image(contrast, scale=0.95).astype(np.float32)
    template = head_image(contrast, noise=0)
    t1w = {} if contrast == "T1w" else {"template_t1w": image_of(head_image("T1w", noise=0))}
    mask = image_of(true_brain().astype(np.uint8))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the simulated head is smaller than an adult's
        found = bidsmask.compute_head_brain_mask(
            image_of(head), image_of(template), mask, contrast, **t1w
        )
    voxels = np.asarray(found.dataobj) != 0
    expected = brain_mask(head, head_grid(), head_prior(contrast), contrast)
    assert np.array_equal(voxels, expected.voxels)
    assert dice(voxels, true_brain(0.95)) > 0.9


@pytest.mark.slow
def test_a_doubtful_brain_is_warned_of() -> None:
    child = image_of(head_image("T1w", scale=0.75).astype(np.float32))
    template, mask = image_of(head_image("T1w", noise=0)), image_of(true_brain().astype(np.uint8))
    with pytest.warns(UserWarning, match="may be wrong: .* is no adult's"):
        bidsmask.compute_head_brain_mask(child, template, mask)


BRAIN = image_of(true_brain().astype(np.uint8))
SMALL = image_of(np.pad(np.ones((2, 2, 2), np.uint8), [(9, 39), (9, 47), (9, 39)]))
OTHER = nibabel.Nifti1Image(true_brain().astype(np.uint8), np.diag([4.0, 4, 4, 1]))


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ((BRAIN, "PD"), UsageError, "contrast 'PD' is unknown. It is T1w, T2w, EPI"),
        ((BRAIN, "EPI"), UsageError, "template_t1w is missing"),
        ((OTHER,), GridMismatch, "affine"),
        ((SMALL,), UnusableMask, "but one of a human head is needed"),
    ],
    ids=["contrast", "no T1w", "another grid", "no brain"],
)
def test_a_template_that_will_not_do_is_refused(
    arguments: tuple[object, ...], error: type[BidsmaskError], words: str
) -> None:
    with pytest.raises(error, match=words):
        bidsmask.compute_head_brain_mask(image_of(HEAD), image_of(HEAD), *arguments)
