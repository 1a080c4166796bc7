"""The whole app beside nilearn's maskers, option by option, on a small simulated run.

Where the app differs from nilearn on purpose, a test shows that it does, and how.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from nilearn.maskers import NiftiLabelsMasker, NiftiMasker
from nilearn.masking import compute_epi_mask

from bidsmask.cleaning.confounds import select_regressors
from bidsmask.cleaning.strategies import STRATEGIES
from tests.make_app import Written, correlations, run_app, write_run, zscored
from tests.make_cleaning import confounds_table
from tests.make_images import AFFINE, head_volumes, write_image

N_VOLUMES = 80
T_R_S = 2.0
RUN = "sub-01_task-rest"
SHAPE = (18, 20, 16)


def table_with_spikes() -> pd.DataFrame:
    """Return confounds of which volumes 20, 21 and 50 moved."""
    table = confounds_table(N_VOLUMES)
    table.loc[[20, 21, 50], "framewise_displacement"] = 2.0
    return table


@pytest.fixture(scope="module")
def bids(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A head in noise, with drift and a share of the confounds."""
    table = table_with_spikes()
    volumes = head_volumes(SHAPE, N_VOLUMES)
    random = np.random.default_rng(1)
    drift = np.linspace(-1, 1, N_VOLUMES)
    common = zscored(table[["trans_x", "csf"]].to_numpy()).T
    weights = random.normal(size=(3, *SHAPE))
    volumes += np.einsum("cijk,ct->ijkt", weights, np.vstack([common, drift])) * 40
    return write_run(
        tmp_path_factory.mktemp("parity") / "in",
        volumes.round().astype(np.int16),
        confounds=table,
        mask=head_volumes(SHAPE, 1)[..., 0] > 700,
    )


@pytest.fixture(scope="module")
def atlas(tmp_path_factory: pytest.TempPathFactory) -> Path:
    i, j, _ = np.indices(SHAPE)
    labels = (1 + (i >= 9) + 2 * (j >= 10)).astype(np.int16)
    return write_image(tmp_path_factory.mktemp("atlas") / "quarters.nii.gz", labels)


def file_of(bids: Path, ending: str) -> str:
    return str(next(bids.glob(f"sub-01/func/*_{ending}")))


def regressors_of(strategy: str) -> npt.NDArray[np.float64] | None:
    """Return the columns of a strategy, the first row of differences 0."""
    chosen = select_regressors(STRATEGIES[strategy], table_with_spikes(), {}, N_VOLUMES, "here")
    return chosen.values if chosen.names else None


def theirs(
    bids: Path, atlas: Path | None, strategy: str, sample_mask: Any = None, **options: Any
) -> npt.NDArray[np.float64]:
    """Return what nilearn's masker gives for the run in float64.

    Whole numbers it would clean in float32, and be off by 5e-5 itself.
    """
    series = nibabel.load(file_of(bids, "desc-preproc_bold.nii.gz"))
    in_memory = nibabel.Nifti1Image(np.asarray(series.dataobj, np.float64), series.affine)
    settings = {
        "detrend": True,
        "standardize": "zscore_sample",
        "t_r": T_R_S,
        "dtype": "float64",
        "verbose": 0,
        **options,
    }
    mask = file_of(bids, "desc-brain_mask.nii.gz")
    masker = (
        NiftiMasker(mask, **settings)
        if atlas is None
        else NiftiLabelsMasker(str(atlas), mask_img=mask, **settings)
    )
    return masker.fit_transform(
        in_memory, confounds=regressors_of(strategy), sample_mask=sample_mask
    )


COSINE = {"clean_args": {"filter": "cosine"}, "high_pass": 0.01}
UNFILTERED = {"clean_args": {"filter": False}}
BAND = ["--high-pass", "0.01", "--low-pass", "0.1", "--padding", "odd"]
CASES: dict[str, tuple[str, list[Any], dict[str, Any]]] = {
    "as it is": ("none", [], UNFILTERED),
    "raw": (
        "none",
        ["--no-detrend", "--standardize", "none"],
        {"detrend": False, "standardize": None, **UNFILTERED},
    ),
    "detrended": ("none", ["--standardize", "none"], {"standardize": None, **UNFILTERED}),
    "z-scored alone": ("none", ["--no-detrend"], {"detrend": False, **UNFILTERED}),
    "percent": ("24P", ["--standardize", "psc"], {"standardize": "psc", **UNFILTERED}),
    "simple": ("simple", [], UNFILTERED),
    "36P": ("36P", [], UNFILTERED),
    "confounds without detrending": ("24P", ["--no-detrend"], {"detrend": False, **UNFILTERED}),
    "confounds, raw scale": (
        "24P",
        ["--no-detrend", "--standardize", "none"],
        {"detrend": False, "standardize": None, **UNFILTERED},
    ),
    "band": ("none", BAND, {"high_pass": 0.01, "low_pass": 0.1}),
    "band and confounds": ("simple", BAND, {"high_pass": 0.01, "low_pass": 0.1}),
    "high-pass": ("24P", ["--high-pass", 0.01, "--padding", "odd"], {"high_pass": 0.01}),
    "low-pass": ("24P", ["--low-pass", 0.1, "--padding", "odd"], {"low_pass": 0.1}),
    "cosines": ("none", ["--filter", "cosine", "--high-pass", 0.01], COSINE),
    "smoothed": ("24P", ["--smoothing-fwhm", 6], {"smoothing_fwhm": 6, **UNFILTERED}),
    "smoothed band": (
        "24P",
        ["--smoothing-fwhm", 8, *BAND],
        {"smoothing_fwhm": 8, "high_pass": 0.01, "low_pass": 0.1},
    ),
}


def ours(
    bids: Path, output: Path, atlas: Path, strategy: str, *options: object
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], str]:
    """Return voxels and regions, and the name of the set of choices."""
    words = ["--voxels", "--atlas", atlas, "--confounds", strategy, *options]
    assert run_app(bids, output, *words) == 0
    files = Written(output, RUN)
    (volumes,) = files.folder.glob("*_volumes.tsv")
    name = volumes.name.removeprefix(f"{RUN}_desc-").removesuffix("_volumes.tsv")
    return files.voxels(name), files.regions(name, "quarters").to_numpy(), name


@pytest.mark.parametrize("case", CASES)
def test_voxels_and_regions_are_nilearns(bids, atlas, tmp_path, case):
    strategy, words, options = CASES[case]
    voxels, regions, _ = ours(bids, tmp_path / "out", atlas, strategy, *words)
    for mine, expected in (
        (voxels, theirs(bids, None, strategy, **options)),
        (regions, theirs(bids, atlas, strategy, **options)),
    ):
        # Raw and percent are held relative to their size.
        size = max(1.0, np.abs(expected).max()) if "--standardize" in words else 1.0
        np.testing.assert_allclose(mine, expected, rtol=0, atol=1e-5 * size)
        assert correlations(mine, expected).min() > 1 - 1e-9


def test_the_epi_mask_is_nilearns(bids, tmp_path):
    options = ["--mask-only", "--mask-strategy", "epi"]
    for words, arguments in (
        ([], {}),
        (["--mask-args", "opening=1"], {"opening": 1}),
        (["--mask-args", "opening=0", "connected=false"], {"opening": 0, "connected": False}),
        (["--mask-args", "lower_cutoff=0.3"], {"lower_cutoff": 0.3}),
    ):
        assert run_app(bids, tmp_path / "out", *options, *words) == 0
        expected = compute_epi_mask(file_of(bids, "desc-preproc_bold.nii.gz"), **arguments)
        mask = Written(tmp_path / "out", RUN).mask("epi")
        np.testing.assert_array_equal(mask, np.asarray(expected.dataobj) > 0)


# Censoring


def kept_volumes() -> npt.NDArray[np.intp]:
    return np.flatnonzero(~(table_with_spikes()["framewise_displacement"] > 0.5))


def test_censored_rows_are_nilearns_where_it_drops_them_first(bids, atlas, tmp_path):
    words = ["--fd-threshold", 0.5, "--no-detrend"]
    voxels, regions, _ = ours(bids, tmp_path / "out", atlas, "24P", *words)
    options = {"sample_mask": kept_volumes(), "detrend": False, **UNFILTERED}
    np.testing.assert_allclose(voxels, theirs(bids, None, "24P", **options), rtol=0, atol=1e-5)
    np.testing.assert_allclose(regions, theirs(bids, atlas, "24P", **options), rtol=0, atol=1e-5)


def test_the_line_runs_over_true_times(bids, atlas, tmp_path):
    """nilearn fits the line as if the censored volumes had taken no time."""
    voxels, _, _ = ours(bids, tmp_path / "out", atlas, "none", "--fd-threshold", 0.5)
    kept = kept_volumes()
    raw = nibabel.load(file_of(bids, "desc-preproc_bold.nii.gz")).get_fdata()
    mask = nibabel.load(file_of(bids, "desc-brain_mask.nii.gz")).get_fdata() > 0
    series = raw[mask].T[kept]
    line = np.column_stack([np.ones(len(kept)), kept])
    fit, *_ = np.linalg.lstsq(line, series, rcond=None)
    np.testing.assert_allclose(voxels, zscored(series - line @ fit), rtol=0, atol=1e-5)
    nilearns = theirs(bids, None, "none", sample_mask=kept, **UNFILTERED)
    assert np.abs(voxels - nilearns).max() > 1e-3


def test_a_spike_and_its_mirror_do_not_reach_kept_volumes(tmp_path, atlas):
    """nilearn puts the interpolated value into the mirrored volume, and here into none."""
    table = confounds_table(N_VOLUMES)
    censored = [20, N_VOLUMES - 1 - 20]
    table.loc[censored, "framewise_displacement"] = 2.0
    volumes = head_volumes(SHAPE, N_VOLUMES)
    spoilt = volumes.copy()
    spoilt[..., censored] += 5000
    mask = head_volumes(SHAPE, 1)[..., 0] > 700
    options = ["--fd-threshold", 0.5, *BAND]
    results, nilearns = [], []
    for name, stored in (("clean", volumes), ("spoilt", spoilt)):
        bids = write_run(
            tmp_path / name, stored.astype(np.float32), confounds=table, mask=mask, affine=AFFINE
        )
        results.append(ours(bids, tmp_path / f"{name}-out", atlas, "none", *options)[1])
        kept = np.setdiff1d(np.arange(N_VOLUMES), censored)
        band = {"high_pass": 0.01, "low_pass": 0.1}
        nilearns.append(theirs(bids, atlas, "none", sample_mask=kept, **band))
    np.testing.assert_allclose(results[0], results[1], rtol=0, atol=1e-5)
    assert np.abs(nilearns[0] - nilearns[1]).max() > 1


# Cosines


def test_cosines_stay_beside_a_confound_that_resembles_one(bids, atlas, tmp_path):
    """nilearn leaves out all of its cosines, since one column of 24P is like the first."""
    words = ["--filter", "cosine", "--high-pass", 0.01]
    voxels, _, _ = ours(bids, tmp_path / "out", atlas, "24P", *words)
    with pytest.warns(UserWarning, match="Cosine filter"):
        nilearns = theirs(bids, None, "24P", **COSINE)
    assert np.abs(voxels - nilearns).max() > 0.1
    centres = (np.arange(N_VOLUMES) + 0.5) / N_VOLUMES
    cosines = np.cos(np.pi * np.outer(centres, [1, 2, 3]))
    assert np.abs(cosines.T @ voxels).max() < 1e-3


# Nothing left


def test_a_voxel_in_the_space_of_the_confounds_holds_no_noise(tmp_path, atlas):
    """nilearn z-scores the rounding errors that are left of it."""
    table = confounds_table(N_VOLUMES)
    volumes = head_volumes(SHAPE, N_VOLUMES).astype(np.float32)
    mask = head_volumes(SHAPE, 1)[..., 0] > 700
    voxel = tuple(np.argwhere(mask)[7])
    volumes[voxel] = (1000 + 100 * table["trans_x"]).astype(np.float32)
    bids = write_run(tmp_path / "in", volumes, confounds=table, mask=mask, affine=AFFINE)
    voxels, _, name = ours(bids, tmp_path / "out", atlas, "24P")
    assert np.isnan(voxels[:, 7]).all()
    assert not np.isnan(np.delete(voxels, 7, axis=1)).any()
    told = Written(tmp_path / "out", RUN).sidecar(f"seg-voxels_desc-{name}_timeseries.json")
    assert told["ColumnsWithoutSignal"] == 1
    nilearns = theirs(bids, None, "24P", **UNFILTERED)
    assert nilearns[:, 7].std() == pytest.approx(1, rel=0.05)
