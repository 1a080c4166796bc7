"""Masks joined to one: voxel for voxel nilearn's, in the memory of one mask."""

from __future__ import annotations

import tracemalloc

import nibabel
import numpy as np
import pytest
from nilearn.masking import intersect_masks

from bidsmask.errors import GridMismatch, UnusableMask, UsageError
from bidsmask.masks.combine import INTERSECTION, MAJORITY, count_votes
from tests.make_runs import brain

THRESHOLDS = (0, 0.2, 1 / 3, 0.34, 0.5, 0.51, 2 / 3, 0.67, 0.75, 0.999, 1)


def random_masks(n_masks: int, seed: int = 0) -> list[np.ndarray]:
    """Return blobs that overlap in part, in several pieces."""
    rng = np.random.default_rng(seed)
    solid = brain((11, 12, 10))
    return [
        np.roll(solid, rng.integers(-3, 4), 1) & (rng.random(solid.shape) < 0.8)
        for _ in range(n_masks)
    ]


def nested(*sizes: int) -> list[np.ndarray]:
    """Return masks of 4 x 4 x k voxels, one within the other."""
    k = np.indices((4, 4, 4))[2]
    return [k < size / 16 for size in sizes]


@pytest.mark.parametrize("connected", [True, False])
@pytest.mark.parametrize("threshold", THRESHOLDS)
@pytest.mark.parametrize("n_masks", [1, 2, 3, 4, 7, 10])
def test_no_voxel_differs_from_nilearn(n_masks, threshold, connected):
    masks = random_masks(n_masks, seed=n_masks)
    images = [nibabel.Nifti1Image(one.astype(np.uint8), np.eye(4)) for one in masks]
    theirs = intersect_masks(images, threshold=threshold, connected=connected).get_fdata() != 0
    ours = count_votes(masks).intersect(threshold, connected=connected)
    assert np.count_nonzero(ours != theirs) == 0


@pytest.mark.parametrize("masks", [[np.zeros((3, 4, 5), bool)] * 2, [np.ones((3, 4, 5), bool)] * 3])
@pytest.mark.parametrize("threshold", [0, 0.5, 1])
def test_empty_and_full_masks_are_nilearns_too(masks, threshold):
    images = [nibabel.Nifti1Image(one.astype(np.uint8), np.eye(4)) for one in masks]
    theirs = intersect_masks(images, threshold=threshold).get_fdata() != 0
    assert np.array_equal(count_votes(masks).intersect(threshold), theirs)


@pytest.mark.parametrize(
    ("threshold", "n_voxels"),
    [(0, 64), (0.2, 64), (1 / 3, 32), (0.34, 32), (0.5, 32), (2 / 3, 16), (0.67, 16), (1, 16)],
)
def test_three_nested_masks(threshold, n_voxels):
    assert count_votes(nested(16, 32, 64)).intersect(threshold).sum() == n_voxels


def test_of_two_masks_the_majority_is_both():
    votes = count_votes(nested(16, 48))
    assert np.array_equal(votes.intersect(MAJORITY), votes.intersect(INTERSECTION))


def test_the_share_is_the_mean_of_the_masks():
    masks = random_masks(7)
    share = count_votes(masks).share
    assert share.dtype == np.float32
    assert np.array_equal(share, np.mean(masks, axis=0).astype(np.float32))


def test_the_order_of_masks_changes_nothing():
    masks = random_masks(6)
    one, other = count_votes(masks), count_votes(masks[::-1])
    assert one.share.tobytes() == other.share.tobytes()
    assert np.array_equal(one.intersect(0.5), other.intersect(0.5))


def test_no_mask_is_changed():
    masks = random_masks(3)
    before = [one.copy() for one in masks]
    votes = count_votes(masks)
    votes.intersect(0.5)
    assert all(map(np.array_equal, masks, before))
    assert votes.n_masks == 3


def test_many_masks_take_the_memory_of_one():
    shape = (60, 60, 60)

    def masks():
        for number in range(50):
            yield np.full(shape, number % 2 == 0)

    tracemalloc.start()
    try:
        votes = count_votes(masks())
        assert tracemalloc.get_traced_memory()[1] < 8 * np.prod(shape)  # 50 would take 50
    finally:
        tracemalloc.stop()
    assert (votes.share == 0.5).all()


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan")])
def test_a_threshold_that_is_no_share_is_refused(threshold):
    with pytest.raises(UsageError, match="is no share of masks"):
        count_votes(random_masks(2)).intersect(threshold)


def test_masks_of_two_shapes_are_not_joined():
    with pytest.raises(GridMismatch, match=r"\(4, 4, 4\) first, \(2, 2, 2\) as mask 3"):
        count_votes([*nested(16, 32), np.ones((2, 2, 2), bool)])


def test_no_mask_cannot_be_joined():
    with pytest.raises(UnusableMask, match="the combination of masks has no mask that could"):
        count_votes([])
