"""The main job on a real run, voxels and Schaefer's regions, held to nilearn's maskers.

nilearn extracts once, in float64; each cleaning is then `nilearn.signal.clean`, which is what
its maskers call. One known exception: the first row of a difference of confounds is 0 here,
and the second row's value in nilearn's `load_confounds`.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import nibabel
import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from nilearn.interfaces.fmriprep import load_confounds
from nilearn.maskers import NiftiLabelsMasker, NiftiMasker
from nilearn.masking import compute_epi_mask
from nilearn.signal import clean

from tests.make_app import (
    Written,
    correlations,
    image_of,
    needs_validator,
    run_app,
    table_of,
    validator_issues,
)
from tests.make_images import REAL_BOLD, SHARED

SPACE = "MNI152NLin2009cAsym"
SCHAEFER = "Schaefer2018200Parcels7Networks"
TEMPLATE = SHARED / f"templateflow/tpl-{SPACE}"
ATLAS = TEMPLATE / f"tpl-{SPACE}_res-02_atlas-Schaefer2018_desc-200Parcels7Networks_dseg.nii.gz"
DATASET = SHARED / "studyforrest"
MASK = REAL_BOLD.with_name(REAL_BOLD.name.replace("desc-preproc_bold", "desc-brain_mask"))
RUN = "sub-02_task-oneback_run-1"
T_R_S = 2.0
STRATEGIES = ("none", "simple", "36P")
THINNED_BY = 20
FWHM_MM = 6.0

pytestmark = pytest.mark.skipif(
    not (REAL_BOLD.exists() and ATLAS.exists()), reason="the real run or the atlas is not there"
)


# What nilearn says


def their_confounds(strategy: str, first_row: float | None = 0) -> pd.DataFrame | None:
    """Return nilearn's columns of a strategy; the first row of differences is replaced."""
    wanted = {
        "none": None,
        "simple": {"strategy": ("high_pass", "motion", "wm_csf"), "wm_csf": "basic"},
        "36P": {
            "strategy": ("motion", "wm_csf", "global_signal"),
            "wm_csf": "full",
            "global_signal": "full",
        },
    }[strategy]
    if wanted is None:
        return None
    table, sample_mask = load_confounds(str(REAL_BOLD), motion="full", demean=False, **wanted)
    assert sample_mask is None
    if first_row is not None:
        table.loc[0, [name for name in table if "derivative1" in name]] = first_row
    return table


def their_cleaning(
    raw: npt.NDArray[np.float64], strategy: str, *, band: bool = False, first_row: float | None = 0
) -> npt.NDArray[np.float64]:
    """Return signals after nilearn's cleaning, detrended and z-scored."""
    confounds = their_confounds(strategy, first_row)
    return clean(
        raw,
        confounds=confounds,
        detrend=True,
        standardize="zscore_sample",
        filter="butterworth" if band else False,
        high_pass=0.01 if band else None,
        low_pass=0.1 if band else None,
        t_r=T_R_S,
    )


@pytest.fixture(scope="module")
def series() -> nibabel.Nifti1Image:
    """The run in memory, for nilearn, in float64."""
    image = nibabel.load(REAL_BOLD)
    return nibabel.Nifti1Image(np.asarray(image.dataobj, np.float64), image.affine)


@pytest.fixture(scope="module")
def thin_mask(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every twentieth voxel of the mask: nilearn's filter takes its time."""
    image = nibabel.load(MASK)
    voxels = np.asarray(image.dataobj) > 0
    thin = np.zeros(voxels.shape, np.uint8)
    thin[tuple(np.argwhere(voxels)[::THINNED_BY].T)] = 1
    path = tmp_path_factory.mktemp("thin") / "thin_mask.nii.gz"
    nibabel.Nifti1Image(thin, image.affine).to_filename(path)
    return path


def their_regions(
    series: nibabel.Nifti1Image, mask: Path, fwhm_mm: float | None = None
) -> npt.NDArray[np.float64]:
    masker = NiftiLabelsMasker(
        ATLAS, mask_img=mask, smoothing_fwhm=fwhm_mm, dtype="float64", standardize=None, verbose=0
    )
    return masker.fit_transform(series)


def their_voxels(
    series: nibabel.Nifti1Image, mask: Path, fwhm_mm: float | None = None
) -> npt.NDArray[np.float64]:
    masker = NiftiMasker(mask, smoothing_fwhm=fwhm_mm, dtype="float64", standardize=None, verbose=0)
    return masker.fit_transform(series)


@pytest.fixture(scope="module")
def raw_regions(series) -> npt.NDArray[np.float64]:
    return their_regions(series, MASK)


# What the app says


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Written]:
    """Voxels of the whole mask and regions, simple."""
    output = tmp_path_factory.mktemp("real") / "out"
    options = ["--space", SPACE, "--voxels", "--atlas", ATLAS, "--confounds", "simple"]
    assert run_app(DATASET, output, *options) == 0
    yield Written(output, RUN, SPACE)
    shutil.rmtree(output)  # 100 MB of text


@pytest.fixture(scope="module")
def regions(tmp_path_factory: pytest.TempPathFactory) -> Written:
    """Regions alone: three strategies, and as they are in the file."""
    output = tmp_path_factory.mktemp("real") / "out"
    options = ["--space", SPACE, "--atlas", ATLAS]
    assert run_app(DATASET, output, *options, "--confounds", *STRATEGIES) == 0
    raw = ["--confounds", "none", "--no-detrend", "--standardize", "none"]
    assert run_app(DATASET, output, *options, *raw) == 0
    return Written(output, RUN, SPACE)


@pytest.fixture(scope="module")
def thin(thin_mask, tmp_path_factory: pytest.TempPathFactory) -> Written:
    """Voxels and regions of the thin mask: filtered as nilearn does, smoothed and not."""
    output = tmp_path_factory.mktemp("real") / "out"
    options = ["--space", SPACE, "--mask-file", thin_mask, "--voxels", "--atlas", ATLAS]
    options += ["--high-pass", 0.01, "--low-pass", 0.1, "--padding", "odd"]
    for smoothing in ([], ["--smoothing-fwhm", FWHM_MM]):
        strategies = STRATEGIES if not smoothing else ("none", "36P")
        assert run_app(DATASET, output, *options, *smoothing, "--confounds", *strategies) == 0
    return Written(output, RUN, SPACE)


def assert_alike(ours: npt.ArrayLike, theirs: npt.NDArray[np.float64]) -> None:
    """Hold z-scored signals to 1e-5, and each column's correlation to 1 - 1e-9."""
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5)
    assert correlations(ours, theirs).min() > 1 - 1e-9


# Masks


def test_the_epi_mask_is_nilearns_voxel_for_voxel(tmp_path):
    options = ["--space", SPACE, "--mask-only", "--mask-strategy", "epi"]
    assert run_app(DATASET, tmp_path / "out", *options) == 0
    expected = np.asarray(compute_epi_mask(str(REAL_BOLD)).dataobj) > 0
    np.testing.assert_array_equal(Written(tmp_path / "out", RUN, SPACE).mask("epi"), expected)


def test_auto_takes_the_mask_of_the_derivatives(whole):
    np.testing.assert_array_equal(whole.mask("derivative"), image_of(MASK) > 0)


# Signals


def test_voxels_of_the_whole_mask_are_nilearns(whole, series):
    path = whole.path("seg-voxels_desc-simple_timeseries.tsv")
    with path.open() as handle:
        n_columns = len(handle.readline().split("\t"))
        # pandas takes half a minute over 60,000 columns.
        ours = np.fromstring(handle.read().replace("\n", "\t"), sep="\t").reshape(-1, n_columns)
    raw = their_voxels(series, MASK)
    assert ours.shape == raw.shape == (156, 59346)
    assert_alike(ours, their_cleaning(raw, "simple"))


def test_raw_regions_are_nilearns(regions, raw_regions):
    ours = regions.regions("noneNODETRENDRAW", SCHAEFER)
    np.testing.assert_allclose(ours, raw_regions, rtol=1e-6)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_cleaned_regions_are_nilearns(regions, raw_regions, strategy):
    assert_alike(regions.regions(strategy, SCHAEFER), their_cleaning(raw_regions, strategy))


def test_regions_are_the_same_beside_voxels(whole, regions):
    name = f"atlas-{SCHAEFER}_stat-mean_desc-simple_timeseries.tsv"
    assert whole.path(name).read_bytes() == regions.path(name).read_bytes()


def test_smoothed_regions_are_the_same_beside_voxels(thin_mask, tmp_path):
    """To the last digit, though without the voxels a smaller box would do."""
    image = nibabel.load(ATLAS)
    labels = np.asarray(image.dataobj, np.int16)
    few = tmp_path / f"space-{SPACE}_atlas-few_dseg.nii.gz"
    nibabel.Nifti1Image(np.where(labels < 30, labels, 0), image.affine).to_filename(few)
    options = ["--space", SPACE, "--mask-file", thin_mask, "--smoothing-fwhm", FWHM_MM]
    options += ["--atlas", few, "--confounds", "none"]
    assert run_app(DATASET, tmp_path / "beside", *options, "--voxels") == 0
    assert run_app(DATASET, tmp_path / "alone", *options) == 0
    name = "atlas-few_stat-mean_desc-noneFWHM6_timeseries.tsv"
    beside, alone = (
        Written(tmp_path / one, RUN, SPACE).path(name).read_bytes() for one in ("beside", "alone")
    )
    assert alone == beside


@pytest.mark.parametrize("fwhm_mm", [None, FWHM_MM], ids=["unsmoothed", "smoothed"])
def test_filtered_voxels_and_regions_are_nilearns(thin, thin_mask, series, fwhm_mm):
    voxels = their_voxels(series, thin_mask, fwhm_mm)
    means = their_regions(series, thin_mask, fwhm_mm)
    for strategy in STRATEGIES if fwhm_mm is None else ("none", "36P"):
        name = f"{strategy}HP001LP01{'FWHM6' if fwhm_mm else ''}ODD"
        assert_alike(thin.voxels(name), their_cleaning(voxels, strategy, band=True))
        assert_alike(thin.regions(name, SCHAEFER), their_cleaning(means, strategy, band=True))


@pytest.mark.parametrize(("strategy", "least"), [("simple", 0.96), ("36P", 0.91)])
def test_the_first_row_of_differences_takes_one_dimension(regions, raw_regions, strategy, least):
    """The exception to parity: nilearn takes the second volume's difference for the first.

    Another first row turns the space of the confounds in a single dimension,
    so what is left differs in two: the one and the other.
    """
    ours = regions.regions(strategy, SCHAEFER)
    theirs = their_cleaning(raw_regions, strategy, first_row=None)
    # Measured: mean and least correlation .990 and .962 for simple, .984 and .921 for 36P.
    agreement = correlations(ours, theirs)
    assert least < agreement.min() < 1 - 1e-9

    unscaled = [
        clean(raw_regions, confounds=their_confounds(strategy, row), standardize=None)
        for row in (0, None)
    ]
    sizes = np.linalg.svd(unscaled[0] - unscaled[1], compute_uv=False)
    assert sizes[2] < 1e-9 * sizes[0]


# Tables and sidecars


def test_regions_carry_the_names_of_the_table(regions):
    table = table_of(TEMPLATE / f"tpl-{SPACE}_atlas-Schaefer2018_desc-200Parcels7Networks_dseg.tsv")
    assert list(regions.regions("simple", SCHAEFER)) == list(table["name"])


def test_volumes_fall_into_the_trials_of_the_events(regions):
    table = regions.volumes("simple")
    events = table_of(DATASET / f"sub-02/func/{RUN}_events.tsv")
    ends = events["onset"] + events["duration"]
    spans = zip(events["onset"], ends, strict=True)
    of_none = np.array([not table["onset"].between(*span, "left").any() for span in spans])
    for onset, kind in zip(table["onset"], table["trial_type"], strict=True):
        has_begun = (events["onset"] <= onset) & (onset < ends)
        begins = of_none & (onset <= events["onset"]) & (events["onset"] < onset + T_R_S)
        trials = events["trial_type"][has_begun | begins]
        assert kind == trials.iloc[-1] if len(trials) else pd.isna(kind)
    # Pictures of .9 s, two a volume: in only 11 has one begun by the time of the volume.
    assert table["trial_type"].notna().sum() == 96


def test_the_sidecar_tells_of_this_run(regions):
    told = regions.sidecar(f"atlas-{SCHAEFER}_stat-mean_desc-36P_timeseries.json")
    assert told["RepetitionTime"] == T_R_S
    assert told["SpatialReference"] == SPACE
    assert sorted(told["Cleaning"]["Regressors"]) == sorted(their_confounds("36P"))
    assert told["DegreesOfFreedom"] == {
        "volumes": 156,
        "censored": 0,
        "intercept_and_trend": 2,
        "filter": 0,
        "regressors": 36,
        "remaining": 118,
    }
    assert told["MeanFramewiseDisplacement"] == pytest.approx(0.126, abs=1e-3)


@needs_validator
@pytest.mark.parametrize("which", ["whole", "regions", "thin"])
def test_the_official_validator_has_nothing_to_say(request, which):
    assert validator_issues(request.getfixturevalue(which).output) == []
