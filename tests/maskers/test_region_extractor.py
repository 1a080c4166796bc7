"""The masker of the regions of maps beside nilearn's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from nilearn.regions import RegionExtractor as Peer

from bidsmask import RegionExtractor, extract_regions
from bidsmask.errors import BidsmaskError, UnusableImage, UsageError
from tests.make_maskers import mask, quietly, series
from tests.make_region_maskers import maps_image

RUN = series(12, "float64")
OPTIONS: dict[str, Any] = {"min_region_size": 300, "extractor": "connected_components"}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"threshold": 0.4},
        {"threshold": 0.3, "thresholding_strategy": "img_value", "mask_img": mask()},
        {"threshold": 70, "thresholding_strategy": "percentile", "two_sided": True},
        {"smoothing_fwhm": None},
    ],
    ids=str,
)
def test_regions_and_signals_are_nilearns(options: dict[str, Any]) -> None:
    pair = [one(maps_image(), **{**OPTIONS, **options}) for one in (RegionExtractor, Peer)]
    ours, theirs = (quietly(one.fit_transform, RUN) for one in pair)
    assert pair[0].index_ == list(pair[1].index_)
    np.testing.assert_allclose(
        pair[0].regions_img_.get_fdata(), pair[1].regions_img_.get_fdata(), atol=1e-6
    )
    assert np.abs(ours - theirs).max() < 1e-6 * np.abs(theirs).max()


def test_peaks_divide_a_map_as_extract_regions_does() -> None:
    masker = RegionExtractor(maps_image(), min_region_size=100, smoothing_fwhm=4).fit()
    regions, index = extract_regions(maps_image(), min_region_size=100, smoothing_fwhm=4)
    assert masker.index_ == index
    np.testing.assert_array_equal(masker.regions_img_.get_fdata(), regions.get_fdata())
    assert masker.n_elements_ == len(index) >= 5


def test_a_second_fit_gives_the_same() -> None:
    options = {"threshold": 30, "thresholding_strategy": "percentile", **OPTIONS}
    masker = RegionExtractor(maps_image(), **options)
    first = masker.fit_transform(RUN)
    np.testing.assert_array_equal(masker.fit_transform(RUN), first)
    assert masker.threshold == 30
    peer = Peer(maps_image(), **options).fit()
    with pytest.raises((TypeError, ValueError)):  # nilearn 0.14.1
        peer.fit()


REFUSED: dict[str, tuple[type[BidsmaskError], str, dict[str, Any]]] = {
    "no threshold": (UsageError, "The given input to threshold is not valid", {"threshold": None}),
    "a threshold in words": (UsageError, "threshold is '30%'", {"threshold": "30%"}),
    "nothing left": (UnusableImage, "holds no region", {"min_region_size": 1e9}),
}


@pytest.mark.filterwarnings("ignore:No supra threshold regions")
@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_used_is_refused(name: str) -> None:
    kind, words, options = REFUSED[name]
    with pytest.raises(kind, match=words):
        RegionExtractor(maps_image(), **{**OPTIONS, **options}).fit()
