"""400 regions of a real run: connected as nilearn does, and back in the brain to the bit."""

from __future__ import annotations

import numpy as np
import pytest
from nilearn.connectome import ConnectivityMeasure
from nilearn.maskers import NiftiLabelsMasker

import bidsmask
from tests.make_app import Written, image_of, run_app, table_of
from tests.make_images import REAL_BOLD, SHARED

SPACE = "MNI152NLin2009cAsym"
SCHAEFER = "Schaefer2018400Parcels7Networks"
TEMPLATE = SHARED / f"templateflow/tpl-{SPACE}"
ATLAS = TEMPLATE / f"tpl-{SPACE}_res-02_atlas-Schaefer2018_desc-400Parcels7Networks_dseg.nii.gz"

pytestmark = pytest.mark.skipif(
    not (REAL_BOLD.exists() and ATLAS.exists()), reason="the real run or the atlas is not there"
)


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Written:
    """Return what is written of the run."""
    out = tmp_path_factory.mktemp("real-regions")
    words = ("--atlas", ATLAS, "--connectivity", "pearson", "partial", "partial-sample")
    assert run_app(SHARED / "studyforrest", out, *words) == 0
    return Written(out, "sub-02_task-oneback_run-1", SPACE)


def matrix_of(written: Written, stat: str) -> np.ndarray:
    path = written.path(f"atlas-{SCHAEFER}_stat-{stat}_desc-simple_relmat.tsv")
    return table_of(path).set_index("Node").to_numpy()


def test_the_matrices_are_numpys_and_nilearns(written):
    signals = written.regions("simple", SCHAEFER).to_numpy()
    assert signals.shape == (156, 400)
    pearson = matrix_of(written, "pearsoncorrelation")
    np.testing.assert_allclose(pearson, np.corrcoef(signals, rowvar=False), atol=1e-6)
    [partial] = ConnectivityMeasure(kind="partial correlation").fit_transform([signals])
    np.testing.assert_allclose(matrix_of(written, "partialcorrelation"), partial, atol=1e-6)


def test_what_the_degrees_of_freedom_do_not_hold_is_not_given(written):
    assert np.isnan(matrix_of(written, "samplepartialcorrelation")).all()
    ending = f"atlas-{SCHAEFER}_stat-pearsoncorrelation_desc-simple_relmat.json"
    [flag] = written.sidecar(ending)["Flags"]
    assert flag.startswith("156 volumes with 124 degrees of freedom for 400 regions: ")


def test_the_regions_come_back_as_nilearn_brings_them(written):
    table = written.path(f"atlas-{SCHAEFER}_stat-mean_desc-simple_timeseries.tsv")
    masker = NiftiLabelsMasker(written.path(f"atlas-{SCHAEFER}_dseg.nii.gz"), reports=False).fit()
    theirs = masker.inverse_transform(table_of(table).iloc[[5, 80]].to_numpy(np.float32))
    ours = bidsmask.unmask_signals(table, rows=[5, 80])
    np.testing.assert_array_equal(ours.dataobj, theirs.dataobj)
    np.testing.assert_array_equal(ours.affine, theirs.affine)
    labels = image_of(written.path(f"atlas-{SCHAEFER}_dseg.nii.gz"))
    assert len(np.unique(labels)) == 401
