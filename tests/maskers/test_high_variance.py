"""high_variance_confounds against nilearn's function of that name."""

from __future__ import annotations

import nibabel
import nilearn.image
import numpy as np
import pytest

from bidsmask import high_variance_confounds
from bidsmask.errors import GridMismatch
from tests.make_maskers import mask, quietly, series


@pytest.mark.parametrize(
    "options",
    [{}, {"detrend": False}, {"mask_img": mask()}, {"percentile": 10, "n_confounds": 3}],
    ids=["default", "not detrended", "masked", "more voxels"],
)
@pytest.mark.parametrize("dtype", ["float64", "int16"])
def test_they_are_nilearns_but_for_their_signs(options, dtype):
    image = series(50, dtype)
    exact = nibabel.Nifti1Image(image.get_fdata(), image.affine)  # nilearn squares int16 as such
    found = high_variance_confounds(image, **options)
    expected = quietly(nilearn.image.high_variance_confounds, exact, **options)
    np.testing.assert_allclose(np.abs(found.T @ expected), np.eye(found.shape[1]), atol=1e-9)


def test_a_mask_on_another_grid_is_refused():
    with pytest.raises(GridMismatch):
        high_variance_confounds(series(20), mask_img=mask().slicer[1:])
