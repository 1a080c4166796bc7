"""What every masker is to scikit-learn, and what all share with nilearn's."""

from __future__ import annotations

import inspect
import pickle
from typing import Any

import nibabel
import numpy as np
import pandas as pd
import pytest
import sklearn
from nilearn.maskers import NiftiMasker as PeerMasker
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from bidsmask import NiftiMasker
from bidsmask.errors import UsageError, WrongType
from tests.make_maskers import confounds, mask, quietly, series
from tests.make_region_maskers import PAIRS

RUN = series(30, "float64")
ALL = {**PAIRS, "voxels": (NiftiMasker, PeerMasker, {"mask_img": mask()})}
# Of voxels, where images and a mask are both given.
pytestmark = pytest.mark.filterwarnings("ignore:.*Generation of a mask:RuntimeWarning")
every = pytest.mark.parametrize("name", ALL)


def made(name: str, **options: Any) -> Any:
    """Return one of our maskers."""
    ours, _, own = ALL[name]
    return ours(**{**own, **options})


@every
def test_parameters_are_nilearns_by_name_order_and_default(name: str) -> None:
    ours, theirs, _ = ALL[name]

    def taken(kind: Any) -> list[tuple[str, Any]]:
        parameters = inspect.signature(kind).parameters.values()
        return [(one.name, one.default) for one in parameters if one.kind is not one.VAR_KEYWORD]

    assert taken(ours) == taken(theirs)


@every
@pytest.mark.parametrize(
    "method",
    ["fit", "transform", "fit_transform", "transform_single_imgs", "inverse_transform"],
)
def test_methods_take_what_nilearns_take(name: str, method: str) -> None:
    ours, theirs = (inspect.signature(getattr(one, method)).parameters for one in ALL[name][:2])
    assert list(ours)[: len(theirs)] == list(theirs)


@every
def test_a_fitted_masker_is_cloned_unfitted_and_pickled_fitted(name: str) -> None:
    masker = made(name).fit(RUN)
    signals = masker.transform(RUN)
    with pytest.raises(NotFittedError):
        clone(masker).transform(RUN)
    again = pickle.loads(pickle.dumps(masker))
    np.testing.assert_array_equal(again.transform(RUN), signals)


@every
def test_fit_and_transform_change_no_parameter_and_no_image(name: str) -> None:
    run = series(6, "float64")
    before = np.array(run.dataobj)
    masker = made(name)
    parameters = dict(masker.get_params())
    masker.fit(run).transform(run)
    assert all(masker.get_params()[one] is value for one, value in parameters.items())
    np.testing.assert_array_equal(run.dataobj, before)


@every
def test_an_unfitted_masker_says_so(name: str) -> None:
    for call in ("transform", "transform_single_imgs", "inverse_transform"):
        with pytest.raises(NotFittedError):
            getattr(made(name), call)(RUN)
    with pytest.raises(NotFittedError):
        made(name).get_feature_names_out()


@every
def test_columns_have_names_in_pipelines_and_tables(name: str) -> None:
    masker = made(name).set_output(transform="pandas")
    table = masker.fit_transform(RUN)
    assert isinstance(table, pd.DataFrame)
    assert list(table.columns) == list(masker.get_feature_names_out())
    scaled = make_pipeline(made(name), StandardScaler()).fit_transform(RUN)
    np.testing.assert_allclose(
        scaled, made(name, standardize="zscore").fit_transform(RUN), atol=1e-5
    )


@every
def test_confounds_are_routed_through_a_pipeline(name: str) -> None:
    given = {"confounds": confounds(30), "sample_mask": np.arange(2, 29)}
    with sklearn.config_context(enable_metadata_routing=True):
        masker = made(name).set_transform_request(confounds=True, sample_mask=True)
        routed = make_pipeline(masker, StandardScaler()).fit_transform(RUN, **given)
    alone = made(name).fit_transform(RUN, **given)
    np.testing.assert_allclose(routed, StandardScaler().fit_transform(alone))


@every
def test_nilearn_takes_it_for_a_masker_of_images(name: str) -> None:
    tags = made(name).__sklearn_tags__()
    assert (tags.estimator_type, tags.input_tags.niimg_like) == ("masker", True)


@every
def test_one_volume_gives_one_row_or_a_vector(name: str) -> None:
    masker = made(name).fit(RUN)
    values = RUN.get_fdata()
    volume = nibabel.Nifti1Image(values[..., 3], RUN.affine)
    row = masker.transform(RUN)[3]
    np.testing.assert_allclose(masker.transform(volume), row, rtol=1e-12)
    np.testing.assert_allclose(masker.transform([volume, volume])[1], row, rtol=1e-12)
    if name != "spheres":  # whose way back needs a mask
        assert masker.inverse_transform(row).shape == volume.shape


@every
def test_what_was_done_is_found_again_with_its_columns(tmp_path: Any, name: str) -> None:
    first = made(name, memory=str(tmp_path), memory_level=1).fit(RUN)
    signals = first.transform(RUN)
    again = made(name, memory=str(tmp_path), memory_level=1).fit()
    np.testing.assert_array_equal(quietly(again.transform, RUN), signals)
    assert again.n_elements_ == signals.shape[1]
    assert list(again.get_feature_names_out()) == list(first.get_feature_names_out())


@every
def test_a_report_is_made_before_and_after_fit(name: str) -> None:
    assert "has not been fitted" in str(made(name).generate_report())
    page = str(made(name).fit(RUN).generate_report())
    assert "data:image/png" in page
    assert "src=" not in page.replace('src="data:image/png', "")
    assert "data:image/png" not in str(made(name, reports=False).fit(RUN).generate_report())


@every
def test_a_wrong_number_of_columns_does_not_go_back(name: str) -> None:
    masker = made(name).fit(RUN)
    with pytest.raises(UsageError, match="has wrong shape"):
        masker.inverse_transform(np.zeros((2, masker.n_elements_ + 1)))


@every
def test_other_keywords_are_refused_and_older_ones_taken(name: str) -> None:
    with pytest.raises(WrongType, match="unexpected keyword argument 'smoothing'"):
        made(name, smoothing=3)
    assert made(name, clean__filter="cosine").clean_args == {"filter": "cosine"}
