"""The masker of maps beside nilearn's, and what it does with maps that overlap or say the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from nilearn.maskers import NiftiMapsMasker as Peer

from bidsmask import NiftiMapsMasker
from bidsmask.errors import BidsmaskError, GridMismatch, UnusableImage, UnusableMask, UsageError
from tests.make_images import write_image
from tests.make_maskers import SHAPE, mask, quietly, series
from tests.make_region_maskers import COARSE, image, maps_image

RUN = series(12, "float64")


def both(run: Any, fit_to: Any = None, **options: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return our signals and nilearn's."""
    pair = [quietly(one(**options).fit, fit_to) for one in (NiftiMapsMasker, Peer)]
    ours, theirs = (quietly(one.transform, run) for one in pair)
    return ours, theirs


def assert_close(ours: np.ndarray, theirs: np.ndarray, share: float = 1e-6) -> None:
    """Hold signals to a millionth of the largest of their column."""
    assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
    assert np.abs(ours - theirs).max() < share * np.abs(theirs).max()


@pytest.mark.parametrize("maps_dtype", ["float32", "float64"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int16", "int32"])
def test_signals_and_their_type_are_nilearns(dtype: str, maps_dtype: str) -> None:
    maps = maps_image(dtype=maps_dtype)
    assert_close(*both(series(6, dtype), maps_img=maps, mask_img=mask()))


@pytest.mark.parametrize("fit_to", [None, RUN], ids=["unfitted", "fitted to the images"])
@pytest.mark.parametrize(
    ("target", "mask_img"),
    [("data", None), ("maps", None), ("data", mask()), ("mask", mask()), ("maps", mask())],
    ids=["data", "maps", "data, mask", "mask, mask", "maps, mask"],
)
def test_grids_are_joined_as_in_nilearn(target: str, mask_img: Any, fit_to: Any) -> None:
    options = {"maps_img": maps_image(coarse=True), "mask_img": mask_img}
    assert_close(*both(RUN, fit_to, resampling_target=target, **options))


def test_maps_from_a_file_are_those_in_memory(tmp_path: Any) -> None:
    maps = maps_image()
    path = write_image(tmp_path / "maps.nii.gz", np.asarray(maps.dataobj))
    from_file = NiftiMapsMasker(path).fit_transform(RUN)
    np.testing.assert_array_equal(from_file, NiftiMapsMasker(maps).fit_transform(RUN))


def test_one_map_may_be_a_3d_image() -> None:
    maps = maps_image(1)
    signals = NiftiMapsMasker(image(maps.get_fdata()[..., 0])).fit_transform(RUN)
    np.testing.assert_array_equal(signals, NiftiMapsMasker(maps).fit_transform(RUN))


def test_of_collinear_maps_the_smallest_fit_is_taken() -> None:
    maps = maps_image().get_fdata()
    maps[..., 4] = maps[..., 0] + 2 * maps[..., 1]
    ours, theirs = both(RUN, maps_img=image(maps))
    assert_close(ours, theirs, 1e-9)
    np.testing.assert_allclose(ours[:, 4], ours[:, 0] + 2 * ours[:, 1], rtol=1e-6)


def lost_map() -> dict[str, Any]:
    """Return maps of which the mask takes the third away."""
    maps = maps_image()
    inside = maps.get_fdata()[..., 2] == 0
    return {"maps_img": maps, "mask_img": image(inside.astype(np.uint8))}


def test_a_map_that_the_mask_takes_away_is_gone_and_the_way_back_knows() -> None:
    masker = NiftiMapsMasker(**lost_map())
    with pytest.warns(UserWarning, match=r"the following maps were removed: \[2\]"):
        signals = masker.fit_transform(RUN)
    peer = Peer(**lost_map())
    theirs = quietly(peer.fit_transform, RUN)
    assert_close(signals, theirs)
    assert masker.n_elements_ == 4
    back = masker.inverse_transform(signals).get_fdata()
    maps = maps_image().get_fdata()[..., [0, 1, 3, 4]]
    inside = lost_map()["mask_img"].get_fdata()[..., np.newaxis] != 0
    np.testing.assert_allclose(back, (maps @ theirs.T) * inside, rtol=1e-6, atol=1e-9)


def test_it_is_kept_as_zeros_where_that_is_asked_for() -> None:
    ours, theirs = both(RUN, keep_masked_maps=True, **lost_map())
    assert_close(ours, theirs)
    assert not ours[:, 2].any()


@pytest.mark.parametrize("coarse", [False, True])
def test_maps_img_is_that_of_nilearn(coarse: bool) -> None:
    options = {"maps_img": maps_image(coarse=coarse)}
    ours, theirs = (one(**options).fit(RUN).maps_img_ for one in (NiftiMapsMasker, Peer))
    np.testing.assert_allclose(ours.affine, theirs.affine)
    np.testing.assert_allclose(ours.get_fdata(), theirs.get_fdata(), atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_way_back_is_nilearns(dtype: type) -> None:
    rows = np.random.default_rng(0).normal(size=(4, 5)).astype(dtype)
    ours, theirs = (
        one(maps_image(), mask_img=mask()).fit(RUN).inverse_transform(rows)
        for one in (NiftiMapsMasker, Peer)
    )
    assert ours.get_data_dtype() == theirs.get_data_dtype()
    np.testing.assert_allclose(ours.get_fdata(), theirs.get_fdata(), atol=1e-6)


FAR = COARSE.copy()
FAR[:3, 3] += 500
REFUSED: dict[str, tuple[type[BidsmaskError], str, dict[str, Any]]] = {
    "no maps": (UsageError, "is a NoneType", {"maps_img": None}),
    "maps of nothing": (
        UnusableImage,
        "holds no map: every value is 0",
        {"maps_img": image(np.zeros((*SHAPE, 2)))},
    ),
    "maps that share voxels": (
        UsageError,
        "share .* voxels: Overlap detected",
        {"allow_overlap": False},
    ),
    "a target": (UsageError, "'resampling_target' must be one of", {"resampling_target": "data "}),
    "a target that is not there": (
        UsageError,
        "has been set to 'mask' but no mask",
        {"resampling_target": "mask"},
    ),
    "maps elsewhere": (
        UnusableImage,
        "No map left after resampling",
        {"maps_img": image(maps_image().get_fdata(), FAR)},
    ),
    "a mask beside all maps": (
        UnusableMask,
        "No map left after applying mask",
        {
            "maps_img": maps_image(1),
            "mask_img": image((maps_image(1).get_fdata()[..., 0] == 0).astype(np.uint8)),
        },
    ),
    "other grids and nothing to be moved": (
        GridMismatch,
        "imgs has shape .* and resampling_target is None",
        {"maps_img": maps_image(coarse=True), "resampling_target": None},
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_used_is_refused(name: str) -> None:
    kind, words, options = REFUSED[name]
    with pytest.raises(kind, match=words):
        NiftiMapsMasker(**{"maps_img": maps_image(), **options}).fit(RUN)
