"""Input that is unusual but valid, through the whole app, held to plain nibabel and numpy."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from nibabel.affines import apply_affine
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform
from nilearn.masking import compute_epi_mask

from tests.make_app import Written, image_of, run_app, table_of, write_run, zscored
from tests.make_cleaning import confounds_table
from tests.make_images import AFFINE, head_volumes, random_stored, write_image

SHAPE = (6, 7, 5)
N_VOLUMES = 60
RAW = ("--confounds", "none", "--no-detrend", "--standardize", "none")
RUN = "sub-01_task-rest"


def some_voxels(shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    """Return an irregular mask of about half of the voxels."""
    return np.random.default_rng(7).random(shape) < 0.5


def series(mean: float = 1000, sd: float = 50, shape: tuple[int, ...] = SHAPE) -> npt.NDArray[Any]:
    """Return noise with a drift, (i, j, k, volume)."""
    noise = np.random.default_rng(3).standard_normal((*shape, N_VOLUMES))
    levels = mean * (1 + 0.2 * np.random.default_rng(4).random(shape))
    return levels[..., None] + sd * (noise + np.linspace(-2, 2, N_VOLUMES))


def with_holes() -> npt.NDArray[Any]:
    """Return float32 with NaN and infinities: in single volumes, and in all of a voxel."""
    stored = series().astype(np.float32)
    voxels = np.argwhere(some_voxels(SHAPE))
    for number, hole in enumerate((np.nan, np.inf, -np.inf)):
        stored[(*voxels[number], slice(5 * number, 5 * number + 3))] = hole
        stored[tuple(voxels[number + 10])] = hole
    return stored


def with_constants() -> npt.NDArray[Any]:
    """Return float32 of which some voxels never change: 0, a whole number, and another."""
    stored = series().astype(np.float32)
    for voxel, level in zip(np.argwhere(some_voxels(SHAPE)), (0, 1000, 1234.567), strict=False):
        stored[tuple(voxel)] = level
    return stored


def oblique() -> npt.NDArray[np.float64]:
    """Return an affine that is turned about two axes."""
    a, b = np.cos(0.3), np.sin(0.3)
    about_x = np.array([[1, 0, 0], [0, a, -b], [0, b, a]])
    about_z = np.array([[a, -b, 0], [b, a, 0], [0, 0, 1]])
    affine = AFFINE.copy()
    affine[:3, :3] = about_x @ about_z @ np.diag([3, 3, 3.3])
    return affine


@dataclass(frozen=True)
class Case:
    """A way of storing a run."""

    stored: npt.NDArray[Any]
    how: dict[str, Any] = field(default_factory=dict)


INTEGERS = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")
BIG = {"order": ">"}
SCALED = {"slope": 0.25, "intercept": -12.5}
CASES: dict[str, Case] = {
    **{kind: Case(random_stored((*SHAPE, N_VOLUMES), kind)) for kind in INTEGERS},
    "float32": Case(series().astype(np.float32)),
    "float64": Case(series()),
    **{
        f"{kind} scaled": Case(random_stored((*SHAPE, N_VOLUMES), kind), SCALED)
        for kind in ("uint8", "int16", "int32", "float32", "float64")
    },
    "negative slope": Case(random_stored((*SHAPE, N_VOLUMES)), {"slope": -2.5, "intercept": 7}),
    **{
        f"{kind} big-endian": Case(random_stored((*SHAPE, N_VOLUMES), kind), BIG)
        for kind in ("int16", "float32", "float64")
    },
    "int16 big-endian scaled": Case(random_stored((*SHAPE, N_VOLUMES)), {**BIG, **SCALED}),
    "NaN and infinities": Case(with_holes()),
    "NaN and infinities, scaled": Case(with_holes(), {"slope": 2.0, "intercept": 100}),
    "constant voxels": Case(with_constants()),
    "constant voxels, smaller than the drift's rounding": Case(with_constants() * np.float32(1e-6)),
    "one slice": Case(series(shape=(8, 9, 1))),
    "one row of voxels": Case(series(shape=(12, 1, 1))),
    "oblique": Case(series(), {"affine": oblique()}),
    "plain .nii": Case(random_stored((*SHAPE, N_VOLUMES)), {"extension": ".nii"}),
    "plain .nii, big-endian": Case(series(), {"extension": ".nii", **BIG}),
    "bgzip": Case(random_stored((*SHAPE, N_VOLUMES)), {"compression": "bgzip"}),
    "concatenated gzip": Case(random_stored((*SHAPE, N_VOLUMES)), {"compression": "members"}),
    "NIfTI-2": Case(random_stored((*SHAPE, N_VOLUMES)), {"version": 2}),
    "header extension": Case(random_stored((*SHAPE, N_VOLUMES)), {"offset": 512}),
    "mean of 500 sd": Case(series(mean=25_000).astype(np.float32)),
    "mean of 500 sd, int16": Case(series(mean=25_000).round().astype(np.int16)),
    "TR in milliseconds": Case(series(), {"time_unit": "msec", "t_r": 2000.0}),
    "TR in microseconds": Case(series(), {"time_unit": "usec", "t_r": 2e6}),
}


def plain(bids: Path, mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Return the voxels of the mask in C order, volumes x voxels, 0 for what is not finite."""
    path = next(bids.glob("sub-01/func/*_bold.nii*"))
    values = np.asarray(nibabel.load(path).get_fdata(dtype=np.float64, caching="unchanged"))
    return np.where(np.isfinite(values), values, 0)[mask].T


def confounds_of(table: pd.DataFrame, n_volumes: int) -> npt.NDArray[np.float64]:
    """Return an intercept, a line, and all columns of simple, 0 for n/a in the first row."""
    kinds = ("trans", "rot")
    names = [f"{kind}_{axis}" for kind in kinds for axis in "xyz"]
    names = [n + end for n in names for end in ("", "_derivative1", "_power2")] + [
        f"{n}_derivative1_power2" for n in names
    ]
    names += ["csf", "white_matter", *[name for name in table if "cosine" in name]]
    assert table[names].iloc[0].isna().sum() == 12
    line = np.column_stack([np.ones(n_volumes), np.arange(n_volumes)])
    return np.column_stack([line, table[names].fillna(0).to_numpy(float)])


def regressed(values: npt.ArrayLike, regressors: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return what a least-squares fit of the regressors leaves."""
    y, x = np.asarray(values, np.float64), np.asarray(regressors, np.float64)
    x = x / np.linalg.norm(x, axis=0)
    q, _ = np.linalg.qr(x)
    y = y - y[0]
    y = y - q @ (q.T @ y)
    return np.asarray(y - q @ (q.T @ y))


def without_constants(
    expected: npt.NDArray[np.float64], raw: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return the expected values, NaN where a column never changed."""
    return np.where(np.ptp(raw, axis=0) == 0, np.nan, expected)


@pytest.fixture(params=list(CASES), ids=list(CASES))
def case(request, tmp_path) -> tuple[Path, npt.NDArray[np.bool_]]:
    """A dataset of one run, and its mask."""
    one = CASES[request.param]
    mask = some_voxels(one.stored.shape[:3])
    table = confounds_table(N_VOLUMES)
    return write_run(tmp_path / "in", one.stored, mask=mask, confounds=table, **one.how), mask


def test_raw_signals_are_the_values_of_the_file(case, tmp_path):
    bids, mask = case
    assert run_app(bids, tmp_path / "out", *RAW) == 0
    files = Written(tmp_path / "out", RUN)
    raw = plain(bids, mask)
    expected = without_constants(raw, raw)
    np.testing.assert_allclose(
        files.voxels("noneNODETRENDRAW"), expected, rtol=1e-6, atol=1e-6 * np.abs(raw).max()
    )
    np.testing.assert_array_equal(files.mask("derivative"), mask)
    told = files.sidecar("seg-voxels_desc-noneNODETRENDRAW_timeseries.json")
    assert told["RepetitionTime"] == 2.0
    assert told["ColumnsWithoutSignal"] == np.isnan(expected).all(axis=0).sum()
    series = image_of(next(bids.glob("sub-01/func/*_bold.nii*")))
    assert told["NonFiniteValues"] == np.count_nonzero(~np.isfinite(series[mask]))


def test_cleaned_signals_are_those_of_least_squares(case, tmp_path):
    bids, mask = case
    assert run_app(bids, tmp_path / "out", "--confounds", "simple") == 0
    files = Written(tmp_path / "out", RUN)
    raw = plain(bids, mask)
    fit = confounds_of(confounds_table(N_VOLUMES), N_VOLUMES)
    with np.errstate(invalid="ignore"):
        expected = without_constants(zscored(regressed(raw, fit)), raw)
    np.testing.assert_allclose(files.voxels("simple"), expected, rtol=0, atol=1e-5)


def test_columns_lie_where_the_affine_says(case, tmp_path):
    bids, mask = case
    assert run_app(bids, tmp_path / "out", *RAW) == 0
    files = Written(tmp_path / "out", RUN)
    table = table_of(files.path("seg-voxels_desc-derivative_dseg.tsv"))
    bold = nibabel.load(next(bids.glob("sub-01/func/*_bold.nii*")))
    mm = apply_affine(bold.affine, np.argwhere(mask))
    np.testing.assert_allclose(table[["x", "y", "z"]], mm, atol=1e-3)
    image = nibabel.load(files.path("seg-voxels_desc-derivative_dseg.nii.gz"))
    np.testing.assert_allclose(image.affine, bold.affine, atol=1e-5)
    np.testing.assert_array_equal(
        image_of(image.get_filename())[mask], np.arange(1, mask.sum() + 1)
    )


# Axes


@pytest.fixture(scope="module")
def scene() -> tuple[nibabel.Nifti1Image, nibabel.Nifti1Image, nibabel.Nifti1Image]:
    """A run, its mask and an atlas of four regions, along RAS."""
    ijk = np.indices(SHAPE)
    labels = (1 + (ijk[0] >= 3) + 2 * (ijk[2] >= 2)).astype(np.int32)
    labels[some_voxels(SHAPE)[::-1]] = 0
    affine = AFFINE.copy()
    mask = some_voxels(SHAPE).astype(np.uint8)
    made = (series().astype(np.float32), mask, labels)
    run, mask_image, atlas = (nibabel.Nifti1Image(one, affine) for one in made)
    return run, mask_image, atlas


@pytest.mark.parametrize("axes", ["RAS", "LAS", "PSL", "LSP", "SPR", "AIL"])
def test_other_axes_give_the_same_voxels_and_regions(scene, tmp_path, axes):
    run, mask, atlas = scene
    turn = ornt_transform(io_orientation(run.affine), axcodes2ornt(tuple(axes)))
    turned, turned_mask = run.as_reoriented(turn), mask.as_reoriented(turn)
    assert nibabel.aff2axcodes(turned.affine) == tuple(axes)
    bids = write_run(
        tmp_path / "in",
        np.asarray(turned.dataobj),
        mask=np.asarray(turned_mask.dataobj) > 0,
        affine=turned.affine,
    )
    labels = write_image(
        tmp_path / "four.nii.gz", np.asarray(atlas.dataobj), affine=np.asarray(atlas.affine)
    )
    assert run_app(bids, tmp_path / "out", *RAW, "--voxels", "--atlas", labels) == 0

    files = Written(tmp_path / "out", RUN)
    table = table_of(files.path("seg-voxels_desc-derivative_dseg.tsv"))
    ijk = apply_affine(np.linalg.inv(run.affine), table[["x", "y", "z"]]).round().astype(int)
    series = np.asarray(run.dataobj, np.float64)
    np.testing.assert_allclose(
        files.voxels("noneNODETRENDRAW"), series[tuple(ijk.T)].T, rtol=1e-6, atol=0
    )
    inside, regions = np.asarray(mask.dataobj) > 0, np.asarray(atlas.dataobj)
    means = [series[inside & (regions == one)].mean(axis=0) for one in (1, 2, 3, 4)]
    np.testing.assert_allclose(
        files.regions("noneNODETRENDRAW", "four"), np.transpose(means), rtol=1e-6
    )


# Regions with voxels that hold nothing


def test_voxels_that_are_not_finite_count_as_zero_in_region_means(tmp_path):
    stored, mask = with_holes(), some_voxels(SHAPE)
    bids = write_run(tmp_path / "in", stored, mask=mask)
    labels = np.where(mask, 1 + (np.indices(SHAPE)[0] >= 3), 0).astype(np.int16)
    atlas = write_image(tmp_path / "halves.nii.gz", labels)
    assert run_app(bids, tmp_path / "out", *RAW, "--atlas", atlas) == 0
    filled = np.where(np.isfinite(stored), stored, 0).astype(np.float64)
    expected = np.transpose([filled[labels == one].mean(axis=0) for one in (1, 2)])
    written = Written(tmp_path / "out", RUN).regions("noneNODETRENDRAW", "halves")
    np.testing.assert_allclose(written, expected, rtol=1e-6)


# Time


def test_the_repetition_time_of_the_header_is_in_seconds(tmp_path, capsys):
    """With no sidecar but a header in milliseconds."""
    stored = series().astype(np.float32)
    bids = write_run(tmp_path / "in", stored, metadata={}, time_unit="msec", t_r=800.0)
    options = ["--mask-strategy", "epi", "--mask-args", "opening=0", "--confounds", "none"]
    assert run_app(bids, tmp_path / "out", *options) == 0
    assert "0.8 s is taken from its header" in capsys.readouterr().err
    files = Written(tmp_path / "out", RUN)
    told = files.sidecar("seg-voxels_desc-none_timeseries.json")
    assert told["RepetitionTime"] == pytest.approx(0.8)
    np.testing.assert_allclose(files.volumes("none")["onset"], 0.8 * np.arange(N_VOLUMES))


# Confounds


def test_a_run_without_cosine_columns_is_cleaned_with_the_others(tmp_path):
    """fMRIPrep writes none for a run that is shorter than the period of the first."""
    table = confounds_table(N_VOLUMES)
    short = table[[name for name in table if "cosine" not in name]]
    stored, mask = series(), some_voxels(SHAPE)
    bids = write_run(tmp_path / "in", stored, mask=mask, confounds=short)
    assert run_app(bids, tmp_path / "out", "--confounds", "simple") == 0
    files = Written(tmp_path / "out", RUN)
    expected = zscored(regressed(plain(bids, mask), confounds_of(short, N_VOLUMES)))
    np.testing.assert_allclose(files.voxels("simple"), expected, rtol=0, atol=1e-5)
    told = files.sidecar("seg-voxels_desc-simple_timeseries.json")
    assert len(told["Cleaning"]["Regressors"]) == told["DegreesOfFreedom"]["regressors"] == 26


# A single volume


@pytest.mark.parametrize("shape", ["3D", "4D"])
@pytest.mark.parametrize("dtype", ["int16", "float32"])
def test_a_single_volume_gives_its_mask(tmp_path, shape, dtype):
    head = head_volumes(n_volumes=1).astype(dtype)
    stored = head if shape == "4D" else head[..., 0]
    bids = write_run(tmp_path / "in", stored)
    options = ["--mask-only", "--mask-strategy", "epi"]
    assert run_app(bids, tmp_path / "out", *options) == 0
    expected = compute_epi_mask(nibabel.Nifti1Image(head[..., 0], AFFINE))
    files = Written(tmp_path / "out", RUN)
    np.testing.assert_array_equal(files.mask("epi"), np.asarray(expected.dataobj) > 0)
    assert {path.name for path in files.folder.iterdir()} == {
        f"{RUN}_desc-epi_mask.nii.gz",
        f"{RUN}_desc-epi_mask.json",
        f"{RUN}_desc-epi_qc.json",
    }
