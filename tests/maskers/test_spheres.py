"""The masker of spheres beside nilearn's, and spheres that are nowhere or share voxels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from nilearn.maskers import NiftiSpheresMasker as Peer

from bidsmask import NiftiSpheresMasker
from bidsmask.errors import BidsmaskError, UsageError
from tests.make_maskers import SHAPE, mask, quietly, series
from tests.make_region_maskers import GRID, SEEDS_MM, image

RUN = series(12, "float64")


def both(run: Any, **options: Any) -> list[np.ndarray]:
    """Return our signals and nilearn's."""
    pair = [one(SEEDS_MM, **options) for one in (NiftiSpheresMasker, Peer)]
    return [quietly(one.fit_transform, run) for one in pair]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("mask_img", [None, mask()], ids=["no mask", "mask"])
@pytest.mark.parametrize("radius", [None, 3.0, 6.5])
def test_means_are_nilearns(radius: float | None, mask_img: Any, dtype: str) -> None:
    seeds = [GRID.to_mm(np.argwhere(mask().get_fdata())[[300]])[0].tolist()]
    options = {"radius": radius, "mask_img": mask_img}
    run = series(6, dtype)
    ours, theirs = (
        quietly(one(seeds, **options).fit_transform, run) for one in (NiftiSpheresMasker, Peer)
    )
    assert ours.dtype == theirs.dtype
    np.testing.assert_allclose(ours, theirs, rtol=2e-6 if dtype == "float32" else 1e-12)


def test_overlapping_spheres_are_refused_or_taken() -> None:
    with pytest.raises(UsageError, match=r"Overlap detected between spheres: .* and "):
        NiftiSpheresMasker(SEEDS_MM, 12.0).fit_transform(RUN)
    ours, theirs = both(RUN, radius=12.0, allow_overlap=True)
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def test_means_of_whole_numbers_are_not_cut_to_whole_numbers() -> None:
    run = series(6, "int16")
    ours, theirs = both(run, radius=2.9)
    exact, _ = both(image(run.get_fdata()), radius=2.9)
    np.testing.assert_allclose(ours, exact, rtol=1e-6)
    assert np.abs(theirs - exact).max() > 0.5  # nilearn 0.14.1


def test_a_sphere_is_the_distance_and_the_nearest_voxel_alone() -> None:
    # Voxels of 0.8 mm, of which nilearn takes those whose coordinates are those of the seed when
    # both are cut to whole mm.
    affine = np.diag([0.8, 0.8, 0.8, 1])
    values = np.random.default_rng(0).normal(size=(9, 9, 9, 2))
    seed = [3.9, 3.9, 3.9]
    centres = 0.8 * np.argwhere(np.ones(values.shape[:3], bool))
    distance = np.linalg.norm(centres - seed, axis=1).reshape(values.shape[:3])
    signals = NiftiSpheresMasker([seed], 0.2).fit_transform(image(values, affine))
    expected = values[(distance <= 0.2) | (distance == distance.min())].mean(axis=0)
    np.testing.assert_allclose(signals[:, 0], expected)
    theirs = Peer([seed], radius=0.2, standardize=None).fit_transform(image(values, affine))
    assert np.abs(theirs[:, 0] - expected).max() > 0.1  # nilearn 0.14.1


def test_infinite_voxels_count_as_0() -> None:
    values = RUN.get_fdata().copy()
    values[tuple(np.array([3, 4, 4])), :] = np.inf
    finite = np.where(np.isfinite(values), values, 0)
    with pytest.warns(UserWarning, match="Non-finite values detected"):
        ours = NiftiSpheresMasker(SEEDS_MM, 2.9).fit_transform(image(values))
    expected = NiftiSpheresMasker(SEEDS_MM, 2.9).fit_transform(image(finite))
    np.testing.assert_array_equal(ours, expected)


@pytest.mark.parametrize("radius", [5.0, 12.0])
def test_the_way_back_is_nilearns(radius: float) -> None:
    rows = np.random.default_rng(0).normal(size=(4, 3))
    options: dict[str, Any] = {"radius": radius, "allow_overlap": True, "mask_img": mask()}
    ours, theirs = (
        one(SEEDS_MM, **options).fit().inverse_transform(rows).get_fdata()
        for one in (NiftiSpheresMasker, Peer)
    )
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def test_the_way_back_needs_a_mask() -> None:
    masker = NiftiSpheresMasker(SEEDS_MM, 5.0).fit()
    with pytest.raises(UsageError, match="Please provide mask_img"):
        masker.inverse_transform(np.zeros((2, 3)))


REFUSED: dict[str, tuple[type[BidsmaskError], str, dict[str, Any]]] = {
    "no seeds": (UsageError, "Seeds must be a list of triplets", {"seeds": None}),
    "an empty list": (UsageError, "seeds are none", {"seeds": []}),
    "numbers": (UsageError, "hold what is no list of numbers", {"seeds": [1, 2, 3]}),
    "pairs": (UsageError, "seed 2 has 2 coordinates", {"seeds": [[1, 2, 3], [1, 2]]}),
    "no number": (UsageError, "seed 1 at nan, 2, 3 mm", {"seeds": [[np.nan, 2, 3]]}),
    "a negative radius": (UsageError, "has a radius of -1 mm", {"radius": -1}),
    "a seed outside the image": (
        UsageError,
        r"These spheres are empty: \[\[500.0, 0.0, 0.0\]\]",
        {"seeds": [SEEDS_MM[0], [500, 0, 0]]},
    ),
    "a sphere outside the mask": (
        UsageError,
        "lie outside of the image or the mask",
        {"mask_img": image(np.pad(np.ones((1, 1, 1), np.uint8), [(0, n - 1) for n in SHAPE]))},
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_used_is_refused(name: str) -> None:
    kind, words, options = REFUSED[name]
    with pytest.raises(kind, match=words):
        NiftiSpheresMasker(**{"seeds": SEEDS_MM, "radius": 4.0, **options}).fit_transform(RUN)
